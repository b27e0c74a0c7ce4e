#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "client/cmd/session.h"

#define CHUNK (32u << 10)

struct session {
    struct rctl *r;
    struct api_stream *stream;
    bool in, tty; /* what was asked for, as far as it can be */
    bool raw;     /* the terminal is in raw mode */
    struct termios saved;
    int exit_code; /* -1 until told */
    int signal;    /* that ended us; 0 = none */
    bool done;
    /* Standard input: a stream of libuv, or a file that is read when there is credit. */
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tty_t tty;
        uv_pipe_t pipe;
        uv_tcp_t tcp;
    } input;
    bool input_is_file, input_open, input_over;
    struct buf held; /* a payload that found no credit */
    uv_signal_t winch, term, hup;
    char chunk[CHUNK];
};

/* ---- The terminal ---- */

static void terminal_restore(struct session *s)
{
    if (s->raw) {
        tcsetattr(0, TCSADRAIN, &s->saved);
        s->raw = false;
    }
}

static void terminal_raw(struct session *s)
{
    if (!s->tty || !isatty(0) || tcgetattr(0, &s->saved) != 0) {
        return;
    }
    struct termios t = s->saved;
    cfmakeraw(&t);
    s->raw = tcsetattr(0, TCSADRAIN, &t) == 0;
}

static bool terminal_size(struct winsize *w)
{
    return (ioctl(0, TIOCGWINSZ, w) == 0 || ioctl(1, TIOCGWINSZ, w) == 0) && w->ws_row > 0;
}

static void send_size(struct session *s)
{
    struct winsize w;
    if (!terminal_size(&w)) {
        return;
    }
    CLEANUP_BUF struct buf b = BUF_INIT;
    mp_write_map(&b, 2);
    mp_write_key_int(&b, "rows", w.ws_row);
    mp_write_key_int(&b, "columns", w.ws_col);
    api_stream_write(s->stream, buf_str(&b));
}

static void on_signal(uv_signal_t *h, int number)
{
    struct session *s = h->data;
    if (number == SIGWINCH) {
        send_size(s);
        return;
    }
    s->signal = number;
    s->done = true;
}

/* ---- Standard input ---- */

static void input_read(struct session *s);

/* False: kept back until there is credit. */
static bool send_payload(struct session *s)
{
    int rc = api_stream_write(s->stream, buf_str(&s->held));
    if (rc == ERR_BUSY) {
        return false;
    }
    buf_reset(&s->held);
    return true;
}

static bool send_input(struct session *s, const void *p, size_t n)
{
    mp_write_map(&s->held, 1);
    mp_write_cstr(&s->held, "stdin");
    mp_write_bin(&s->held, p, n);
    return send_payload(s);
}

static void input_end(struct session *s)
{
    if (s->input_over) {
        return;
    }
    s->input_over = true;
    mp_write_map(&s->held, 1);
    mp_write_key_bool(&s->held, "eof", true);
    send_payload(s);
}

static void give_chunk(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
    (void)suggested;
    struct session *s = h->data;
    *buf = uv_buf_init(s->chunk, sizeof(s->chunk));
}

static void input_data(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct session *s = stream->data;
    if (n < 0) {
        uv_read_stop(stream);
        input_end(s);
    } else if (n > 0 && !send_input(s, buf->base, (size_t)n)) {
        uv_read_stop(stream);
    }
}

static void input_read(struct session *s)
{
    if (!s->input_is_file) {
        uv_read_start(&s->input.stream, give_chunk, input_data);
        return;
    }
    for (;;) {
        ssize_t n = read(0, s->chunk, sizeof(s->chunk));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            input_end(s);
            return;
        }
        if (!send_input(s, s->chunk, (size_t)n)) {
            return;
        }
    }
}

static void exec_writable(void *data)
{
    struct session *s = data;
    if (s->held.size > 0 && !send_payload(s)) {
        return;
    }
    if (s->in && !s->input_over) {
        input_read(s);
    }
}

static void input_start(struct session *s)
{
    uv_loop_t *loop = api_loop(s->r->api);
    int rc = UV_EINVAL;
    uv_handle_type type = uv_guess_handle(0);
    switch (type) {
    case UV_TTY:
        rc = uv_tty_init(loop, &s->input.tty, 0, 1);
        break;
    case UV_NAMED_PIPE:
        uv_pipe_init(loop, &s->input.pipe, 0);
        rc = uv_pipe_open(&s->input.pipe, 0);
        break;
    case UV_TCP:
        uv_tcp_init(loop, &s->input.tcp);
        rc = uv_tcp_open(&s->input.tcp, 0);
        break;
    default:
        s->input_is_file = true;
        break;
    }
    s->input_open = !s->input_is_file && (rc == 0 || type != UV_TTY);
    s->input.handle.data = s;
    if (rc != 0 && !s->input_is_file) {
        input_end(s);
        return;
    }
    input_read(s);
}

/* ---- What comes back ---- */

static void write_out(int fd, struct str bytes)
{
    while (bytes.n > 0) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        if (n < 0 && errno != EINTR && errno != EAGAIN) {
            return;
        }
        bytes.p += n > 0 ? n : 0;
        bytes.n -= n > 0 ? (size_t)n : 0;
    }
}

static void exec_data(struct mp payload, void *data)
{
    struct session *s = data;
    struct str bytes;
    struct mp out = mp_get(payload, "stdout"), err = mp_get(payload, "stderr"), code = mp_get(payload, "exit");
    if (mp_read_bin(&out, &bytes)) {
        write_out(fileno(s->r->raw_out), bytes);
    }
    if (mp_read_bin(&err, &bytes)) {
        write_out(fileno(s->r->raw_err_out), bytes);
    }
    if (mp_bool(mp_get(payload, "gap"), false)) {
        rctl_note(s->r, "note: some of the output is missing here: the node has removed that part of the log");
    }
    if (mp_type(code) == MP_INT || mp_type(code) == MP_UINT) {
        s->exit_code = (int)mp_int(code, 1);
    }
}

static void start_signal(struct session *s, uv_signal_t *h, int number)
{
    uv_signal_init(api_loop(s->r->api), h);
    h->data = s;
    uv_signal_start(h, on_signal, number);
}

static void stop_all(struct session *s)
{
    uv_handle_t *const handles[] = {(uv_handle_t *)&s->winch, (uv_handle_t *)&s->term, (uv_handle_t *)&s->hup,
                                    s->input_open ? &s->input.handle : NULL};
    for (unsigned i = 0; i < ARRAY_SIZE(handles); i++) {
        if (handles[i] != NULL) {
            uv_close(handles[i], NULL);
        }
    }
    uv_run(api_loop(s->r->api), UV_RUN_NOWAIT);
    terminal_restore(s);
    buf_close(&s->held);
}

/* Until the command or a signal ends it. */
static void run_session(struct session *s)
{
    const bool *ended = api_stream_ended(s->stream);
    while (!*ended && !s->done) {
        uv_run(api_loop(s->r->api), UV_RUN_ONCE);
    }
}

bool session_wants_tty(struct rctl *r)
{
    if (opt_flag(r, "tty") && !isatty(0)) {
        rctl_note(r, "Unable to use a TTY - input is not a terminal or the right kind of file");
        return false;
    }
    return opt_flag(r, "tty");
}

struct value *session_params(struct rctl *r, const struct object *pod, const char *container, bool in, bool tty)
{
    struct arena *a = &r->arena;
    struct value *p = value_map(a);
    struct winsize w;
    value_set(a, p, "namespace", value_str(a, pod->ns));
    value_set(a, p, "name", value_str(a, pod->name));
    if (container != NULL) {
        value_set(a, p, "container", value_cstr(a, container));
    }
    value_set(a, p, "stdin", value_bool(a, in));
    value_set(a, p, "stdout", value_bool(a, true));
    value_set(a, p, "stderr", value_bool(a, !tty));
    value_set(a, p, "tty", value_bool(a, tty));
    if (tty && terminal_size(&w)) {
        value_set(a, p, "rows", value_int(a, w.ws_row));
        value_set(a, p, "columns", value_int(a, w.ws_col));
    }
    return p;
}

int session_run(struct rctl *r, const char *method, const struct value *params, bool in, bool tty,
                struct session_end *end, struct error *err)
{
    *end = (struct session_end){.exit_code = -1};
    static const struct api_stream_events events = {.on_data = exec_data, .on_writable = exec_writable};
    struct session *s = xcalloc(1, sizeof(*s));
    *s = (struct session){.r = r, .in = in, .tty = tty, .exit_code = -1};
    int rc = api_stream_open(r->api, method, params, &events, s, &s->stream, err);
    if (rc != 0) {
        free(s);
        return rc;
    }
    fflush(r->out);
    terminal_raw(s);
    start_signal(s, &s->winch, SIGWINCH);
    start_signal(s, &s->term, SIGTERM);
    start_signal(s, &s->hup, SIGHUP);
    if (s->in) {
        input_start(s);
    }
    api_ping_start(r->api, false);
    run_session(s);
    api_ping_stop(r->api, false);
    stop_all(s);
    rc = api_stream_close(s->stream, err);
    *end = (struct session_end){s->signal != 0 ? 128 + s->signal : s->exit_code, s->signal != 0};
    rc = s->signal != 0 || s->exit_code >= 0 ? 0 : rc;
    free(s);
    return rc;
}
