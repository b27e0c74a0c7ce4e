/* attach: the input and output of a container's first process on a stream, over the socket that its runtime keeps for
 * that (packets; those from the container begin with the number of the descriptor + 1: 2 stdout, 3 stderr). What the
 * client has not taken stops the reading; input that the socket has not taken is not acknowledged. The container
 * goes on when the stream ends, and the stream ends when the container does.
 *
 * The socket tells what is printed from now on. Who asks for `fromStart` gets the output from the container's log, from
 * its first record on and then as it grows: what was printed before anybody could join is in there, and nothing can
 * come from two places. The socket then takes input, and its end says that the log is complete: it is emptied, and what
 * it says is thrown away. A container without a log (the hollow runtime) is listened to at the socket after all. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/serve/serve.h"
#include "agent/serve/stream.h"

#define PACKET_MAX (64u << 10)
#define INPUT_MAX  (8u << 10) /* of a packet to the container; a runtime cuts what is longer than it reads at once */

struct attach_stream {
    struct agent *agent;
    struct serve_stream *stream;
    uv_poll_t poll;
    int fd;
    char id[RUNTIME_ID_MAX];
    bool closing, closed; /* poll */
    bool ended;           /* our side of the stream */
    bool wants_input, input_over, output_over;
    struct logfile_reader *reader; /* of the log; NULL: there is none, or it is over */
    bool from_log, log_begun;      /* the output is the log's; the log is there */
    struct buf held;               /* of the log, not yet payloads: pieces */
    size_t last;                   /* where in `held` its last piece begins */
    struct buf out;                /* a payload the stream has not taken */
    struct buf in;                 /* input the socket has not taken */
    size_t unacknowledged;         /* bytes of payloads that are in `in` */
    uint8_t packet[PACKET_MAX];
};

static void attach_maybe_free(struct attach_stream *x)
{
    if (x->stream == NULL && x->closed) {
        assert(x->reader == NULL);
        buf_close(&x->held);
        buf_close(&x->out);
        buf_close(&x->in);
        free(x);
    }
}

static void attach_on_closed(uv_handle_t *h)
{
    struct attach_stream *x = h->data;
    close(x->fd);
    x->closed = true;
    attach_maybe_free(x);
}

static void attach_close(struct attach_stream *x)
{
    if (!x->closing) {
        x->closing = true;
        if (x->reader != NULL) {
            logfile_cancel(x->reader);
            x->reader = NULL;
        }
        uv_close((uv_handle_t *)&x->poll, attach_on_closed);
    }
}

static void attach_end(struct attach_stream *x, const struct error *err)
{
    attach_close(x);
    if (!x->ended && x->stream != NULL) {
        x->ended = true;
        serve_stream_end(x->stream, err);
    }
}

/* False: kept back until there is credit. */
static bool attach_send(struct attach_stream *x)
{
    if (x->out.size > 0 && x->stream != NULL && !x->ended) {
        if (serve_stream_write(x->stream, buf_str(&x->out)) != 0) {
            return false;
        }
    }
    buf_reset(&x->out);
    return true;
}

static void attach_on_poll(uv_poll_t *p, int status, int events);

static void attach_poll(struct attach_stream *x)
{
    bool listens = x->from_log ? x->log_begun : x->out.size == 0;
    int events = (listens && !x->output_over ? UV_READABLE : 0) | (x->in.size > 0 ? UV_WRITABLE : 0);
    if (x->closing) {
        return;
    }
    if (events == 0) {
        uv_poll_stop(&x->poll);
    } else {
        uv_poll_start(&x->poll, events, attach_on_poll);
    }
}

/* ---- Input ---- */

static void attach_write(struct attach_stream *x)
{
    size_t done = 0;
    while (done < x->in.size) {
        ssize_t n = send(x->fd, x->in.data + done, MIN(x->in.size - done, INPUT_MAX), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            break;
        }
        done = n < 0 ? x->in.size : done + (size_t)n; /* nobody reads any more: it is thrown away */
    }
    buf_consume(&x->in, done);
    if (x->in.size > 0) {
        return;
    }
    if (x->unacknowledged > 0 && x->stream != NULL) {
        serve_stream_consumed(x->stream, x->unacknowledged);
    }
    x->unacknowledged = 0;
    if (x->input_over) {
        shutdown(x->fd, SHUT_WR);
    }
}

static void attach_on_data(struct serve_stream *st, struct mp payload, size_t n, void *data)
{
    struct attach_stream *x = data;
    struct mp input = mp_get(payload, "stdin");
    struct str bytes;
    if (x->closing || x->input_over) {
        serve_stream_consumed(st, n);
        return;
    }
    if (x->wants_input && mp_read_bin(&input, &bytes)) {
        buf_append(&x->in, bytes.p, bytes.n);
        x->unacknowledged += n;
        attach_write(x);
    } else {
        if (mp_bool(mp_get(payload, "eof"), false)) {
            x->input_over = true;
            attach_write(x);
        } else if (mp_type(mp_get(payload, "rows")) == MP_INT || mp_type(mp_get(payload, "rows")) == MP_UINT) {
            runtime_attach_resize(x->agent->runtime, x->id, (unsigned)mp_int(mp_get(payload, "rows"), 24),
                                  (unsigned)mp_int(mp_get(payload, "columns"), 80));
        }
        serve_stream_consumed(st, n);
    }
    attach_poll(x);
}

/* ---- Output: from the log ---- */

/* A piece of `held`: what printed it, how long it is, and the bytes. */
struct piece {
    int fd; /* 0: some of the log is missing here */
    uint32_t size;
};

static struct piece piece_at(const struct attach_stream *x, size_t at)
{
    struct piece p;
    memcpy(&p, x->held.data + at, sizeof p);
    return p;
}

/* Output of the same descriptor goes into one piece, and so into one payload. */
static void hold_piece(struct attach_stream *x, int fd, struct str text, bool line_ends)
{
    struct piece p = {.fd = fd};
    if (x->held.size > 0) {
        p = piece_at(x, x->last);
    }
    if (x->held.size == 0 || p.fd != fd || p.size >= PACKET_MAX / 2) {
        p = (struct piece){.fd = fd};
        x->last = x->held.size;
        buf_append(&x->held, &p, sizeof p);
    }
    buf_append(&x->held, text.p, text.n);
    buf_append(&x->held, "\n", line_ends);
    p.size += (uint32_t)(text.n + line_ends);
    memcpy(x->held.data + x->last, &p, sizeof p);
}

/* As much of what is held as the stream takes. The log is read on when all of it is gone. */
static void attach_pump(struct attach_stream *x)
{
    size_t at = 0;
    while (attach_send(x) && at < x->held.size) {
        struct piece p = piece_at(x, at);
        mp_write_map(&x->out, 1);
        if (p.fd == 0) {
            mp_write_key_bool(&x->out, "gap", true);
        } else {
            mp_write_cstr(&x->out, p.fd == 2 ? "stderr" : "stdout");
            mp_write_bin(&x->out, x->held.data + at + sizeof p, p.size);
        }
        at += sizeof p + p.size;
    }
    buf_consume(&x->held, at);
    x->last -= MIN(x->last, at);
    bool all = x->out.size == 0;
    if (x->reader != NULL) {
        logfile_pause(x->reader, !all);
    } else if (all) {
        attach_end(x, NULL);
    }
}

static void attach_on_log_begin(struct logfile_reader *r, void *data)
{
    struct attach_stream *x = data;
    (void)r;
    x->log_begun = true;
    attach_poll(x);
}

static void attach_on_log_gap(struct logfile_reader *r, void *data)
{
    (void)r;
    hold_piece(data, 0, STR_NONE, false); /* goes out with what comes next */
}

/* Held back until all that was read at once is there: few large payloads instead of one for each line. */
static void attach_on_record(struct logfile_reader *r, int fd, struct str text, bool line_ends, void *data)
{
    struct attach_stream *x = data;
    hold_piece(x, fd, text, line_ends);
    if (x->held.size >= PACKET_MAX) {
        logfile_pause(r, true);
    }
}

static void attach_on_step(struct logfile_reader *r, void *data)
{
    (void)r;
    attach_pump(data);
}

static void attach_on_log_end(struct logfile_reader *r, const struct error *error, void *data)
{
    struct attach_stream *x = data;
    (void)r;
    x->reader = NULL;
    if (!x->log_begun) { /* there is none */
        x->from_log = false;
        attach_poll(x);
    } else if (error != NULL) {
        attach_end(x, error);
    } else {
        attach_pump(x);
    }
}

static const struct logfile_events attach_log_events = {.on_begin = attach_on_log_begin,
                                                        .on_gap = attach_on_log_gap,
                                                        .on_record = attach_on_record,
                                                        .on_step = attach_on_step,
                                                        .on_end = attach_on_log_end};

/* ---- Output: from the socket ---- */

static void attach_output_over(struct attach_stream *x)
{
    x->output_over = true;
    if (!x->from_log) {
        attach_end(x, NULL);
    } else if (x->reader != NULL) {
        logfile_finish(x->reader);
    }
}

static void attach_read(struct attach_stream *x)
{
    while (!x->closing && !x->output_over && (x->from_log || x->out.size == 0)) {
        ssize_t n = recv(x->fd, x->packet, sizeof x->packet, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return;
        }
        if (n <= 0) {
            attach_output_over(x);
            return;
        }
        if (n > 1 && !x->from_log) {
            mp_write_map(&x->out, 1);
            mp_write_cstr(&x->out, x->packet[0] == 3 ? "stderr" : "stdout");
            mp_write_bin(&x->out, x->packet + 1, (size_t)n - 1);
            attach_send(x);
        }
    }
}

static void attach_on_poll(uv_poll_t *p, int status, int events)
{
    struct attach_stream *x = p->data;
    if (status < 0) {
        uv_poll_stop(p);
        attach_output_over(x);
        return;
    }
    if (events & UV_WRITABLE) {
        attach_write(x);
    }
    if (events & UV_READABLE) {
        attach_read(x);
    }
    attach_poll(x);
}

static void attach_on_writable(struct serve_stream *st, void *data)
{
    struct attach_stream *x = data;
    (void)st;
    if (x->from_log) {
        attach_pump(x);
    } else if (attach_send(x)) {
        attach_read(x);
        attach_poll(x);
    }
}

static void attach_on_end(struct serve_stream *st, const struct error *err, void *data)
{
    struct attach_stream *x = data;
    (void)err;
    if (!x->ended) {
        x->ended = true;
        serve_stream_end(st, NULL);
    }
    x->stream = NULL;
    attach_close(x);
    attach_maybe_free(x);
}

static const struct serve_stream_events attach_events = {
    .on_data = attach_on_data, .on_writable = attach_on_writable, .on_end = attach_on_end};

/* ---- The request ---- */

void serve_attach(struct agent *a, struct rpc_request *r, struct mp params)
{
    struct error err = {0};
    int fd = -1;
    char id[RUNTIME_ID_MAX], target[SERVE_TARGET_MAX], log[LOGFILE_PATH_MAX];
    if (!serve_target(target, "attach", params, mp_str(mp_get(params, "container")))) {
        rpc_reply_error(r, (error_set(&err, ERR_USAGE, "attach: a name is too long"), &err));
        return;
    }
    if (serve_stream_resumed(a, r, params, target)) {
        return;
    }
    struct agent_pod *ap = serve_find_pod(a, params, &err);
    struct container *c = ap == NULL ? NULL : serve_find_container(ap, params, &err);
    if (c != NULL && !container_is_up(c)) {
        error_set(&err, ERR_USAGE, "container not running: \"%s\" of pod \"%s\"", c->spec->name, ap->name);
        c = NULL;
    }
    if (c != NULL) {
        runtime_container_id(id, ap->uid, c->spec->name, c->attempt);
        logfile_path(log, a->logs_dir, ap->ns, ap->name, ap->uid, c->spec->name, c->attempt);
    }
    if (c == NULL || runtime_attach(a->runtime, id, &fd, &err) != 0) {
        rpc_reply_error(r, &err);
        return;
    }
    struct attach_stream *x = xcalloc(1, sizeof *x);
    x->agent = a;
    x->fd = fd;
    x->wants_input = mp_bool(mp_get(params, "stdin"), false);
    bool tty = mp_bool(mp_get(params, "tty"), false);
    unsigned rows = (unsigned)mp_int(mp_get(params, "rows"), 0),
             columns = (unsigned)mp_int(mp_get(params, "columns"), 80);
    memcpy(x->id, id, sizeof id);
    x->stream = serve_stream_accept(a, r, params, target, ap->uid, &attach_events, x);
    if (x->stream == NULL || uv_poll_init(a->loop, &x->poll, fd) != 0) {
        close(fd);
        if (x->stream != NULL) {
            error_set(&err, ERR_SYSTEM, "cannot watch the container's socket");
            x->closing = x->closed = x->ended = true;
            serve_stream_end(x->stream, &err);
            return;
        }
        free(x);
        return;
    }
    x->poll.data = x;
    if (mp_bool(mp_get(params, "fromStart"), false)) {
        static const struct logfile_options all = {.tail_lines = -1, .follow = true};
        x->from_log = true;
        x->reader = logfile_read(a->loop, log, &all, &attach_log_events, x);
    }
    if (tty && rows > 0) {
        runtime_attach_resize(a->runtime, id, rows, columns);
    }
    attach_poll(x);
}
