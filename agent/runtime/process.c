#include "agent/runtime/process.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/util/fsutil.h"
#include "base/mem.h"

/* States: RUNNING -> (exit seen) DRAINING -> (pipes at their end, or timer) CLOSING -> freed. A start that failed
 * goes to CLOSING directly. */
struct process {
    uv_process_t proc;
    uv_pipe_t in, out, err;
    uv_timer_t timer; /* timeout while it runs, then the patience for its pipes */
    uv_timer_t drop;  /* until more of what is dropped is read */
    char *dropped;    /* where it is read to; NULL until there is some */
    uv_write_t write;
    unsigned open_handles;
    bool started, exited, closing, canceled, in_closed;
    bool out_ended, err_ended, out_waits, err_waits;
    struct buf input, out_bytes, err_bytes;
    size_t output_max;
    struct error why;
    struct process_result result;
    process_exit_cb *cb;
    void *data;
};

static void handle_closed(uv_handle_t *h)
{
    struct process *p = h->data;
    assert(p->open_handles > 0);
    if (--p->open_handles > 0) {
        return;
    }
    struct process_result *r = &p->result;
    r->error = p->why.code;
    r->message = p->why.message;
    r->out = buf_str(&p->out_bytes);
    r->err = buf_str(&p->err_bytes);
    if (!p->canceled) {
        p->cb(p, r, p->data);
    }
    buf_close(&p->input);
    buf_close(&p->out_bytes);
    buf_close(&p->err_bytes);
    free(p->dropped);
    free(p);
}

static void close_input(struct process *p)
{
    if (!p->in_closed) {
        p->in_closed = true;
        uv_close((uv_handle_t *)&p->in, handle_closed);
    }
}

static void finish(struct process *p)
{
    if (p->closing) {
        return;
    }
    p->closing = true;
    close_input(p);
    uv_close((uv_handle_t *)&p->out, handle_closed);
    uv_close((uv_handle_t *)&p->err, handle_closed);
    uv_close((uv_handle_t *)&p->timer, handle_closed);
    uv_close((uv_handle_t *)&p->drop, handle_closed);
    uv_close((uv_handle_t *)&p->proc, handle_closed);
}

static void finish_if_drained(struct process *p)
{
    if (p->exited && p->out_ended && p->err_ended) {
        finish(p);
    }
}

static void drain_expired(uv_timer_t *t)
{
    finish(t->data);
}

static void process_exited(uv_process_t *proc, int64_t status, int signal)
{
    struct process *p = proc->data;
    p->exited = true;
    p->result.signal = signal;
    p->result.exit_code = signal != 0 ? 128 + signal : (int)status;
    uv_timer_stop(&p->timer);
    if (p->out_ended && p->err_ended) {
        finish(p);
    } else {
        uv_timer_start(&p->timer, drain_expired, PROCESS_DRAIN_MS, 0);
    }
}

static void timeout_expired(uv_timer_t *t)
{
    struct process *p = t->data;
    p->result.timed_out = true;
    process_kill(p, SIGKILL);
}

static void output_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *out)
{
    struct process *p = h->data;
    struct buf *b = h == (uv_handle_t *)&p->out ? &p->out_bytes : &p->err_bytes;
    (void)suggested;
    if (b->size < p->output_max) {
        *out = uv_buf_init((char *)buf_reserve(b, 4096), 4096);
        return;
    }
    p->dropped = p->dropped == NULL ? xmalloc(PROCESS_DROP_BYTES) : p->dropped;
    *out = uv_buf_init(p->dropped, PROCESS_DROP_BYTES);
}

static void drop_more(uv_timer_t *t);

static void output_read(uv_stream_t *s, ssize_t n, const uv_buf_t *unused)
{
    struct process *p = s->data;
    bool is_out = s == (uv_stream_t *)&p->out;
    struct buf *b = is_out ? &p->out_bytes : &p->err_bytes;
    (void)unused;
    if (n < 0) {
        uv_read_stop(s);
        *(is_out ? &p->out_ended : &p->err_ended) = true;
        finish_if_drained(p);
        return;
    }
    size_t room = p->output_max - b->size;
    b->size += MIN((size_t)n, room);
    p->result.truncated |= (size_t)n > room;
    if (n > 0 && b->size == p->output_max) { /* a command that says more, without end perhaps, is not worth the time */
        uv_read_stop(s);
        *(is_out ? &p->out_waits : &p->err_waits) = true;
        if (!uv_is_active((uv_handle_t *)&p->drop)) {
            uv_timer_start(&p->drop, drop_more, PROCESS_DROP_MS, 0);
        }
    }
}

static void drop_more(uv_timer_t *t)
{
    struct process *p = t->data;
    if (p->out_waits) {
        p->out_waits = false;
        uv_read_start((uv_stream_t *)&p->out, output_alloc, output_read);
    }
    if (p->err_waits) {
        p->err_waits = false;
        uv_read_start((uv_stream_t *)&p->err, output_alloc, output_read);
    }
}

static void input_written(uv_write_t *w, int status)
{
    (void)status; /* a child that does not read its input is its own affair */
    close_input(w->data);
}

/* One pipe between us and the child: theirs is for uv_spawn and closed after it. */
static int make_pipe(uv_pipe_t *ours, bool we_read, int *theirs)
{
    int fds[2];
    int rc = we_read ? uv_pipe(fds, UV_NONBLOCK_PIPE, 0) : uv_pipe(fds, 0, UV_NONBLOCK_PIPE);
    if (rc != 0) {
        return rc;
    }
    rc = uv_pipe_open(ours, fds[we_read ? 0 : 1]);
    if (rc != 0) {
        close(fds[we_read ? 0 : 1]);
        close(fds[we_read ? 1 : 0]);
        return rc;
    }
    *theirs = fds[we_read ? 1 : 0];
    return 0;
}

static int spawn(struct process *p, uv_loop_t *loop, const struct process_spec *spec)
{
    CLEANUP_CLOSE int in = -1;
    CLEANUP_CLOSE int out = -1;
    CLEANUP_CLOSE int err = -1;
    int rc = make_pipe(&p->out, true, &out);
    rc = rc != 0 ? rc : make_pipe(&p->err, true, &err);
    if (rc == 0 && spec->input.n > 0) {
        rc = make_pipe(&p->in, false, &in);
    }
    if (rc != 0) {
        return rc;
    }
    uv_stdio_container_t stdio[4] = {{.flags = in >= 0 ? UV_INHERIT_FD : UV_IGNORE, .data.fd = in},
                                     {.flags = UV_INHERIT_FD, .data.fd = out},
                                     {.flags = UV_INHERIT_FD, .data.fd = err},
                                     {.flags = UV_INHERIT_FD, .data.fd = spec->extra_fd}};
    uv_process_options_t o = {
        .exit_cb = process_exited,
        .file = spec->argv[0],
        .args = (char **)spec->argv,
        .env = (char **)spec->env,
        .cwd = spec->cwd,
        .flags = UV_PROCESS_DETACHED, /* a session of its own: kill(-pid) reaches all */
        .stdio_count = spec->extra_fd > 0 ? 4 : 3,
        .stdio = stdio,
    };
    rc = uv_spawn(loop, &p->proc, &o);
    p->proc.data = p;
    return rc;
}

struct process *process_run(uv_loop_t *loop, const struct process_spec *spec, process_exit_cb *cb, void *data)
{
    assert(spec->argv != NULL && spec->argv[0] != NULL && cb != NULL);
    struct process *p = xcalloc(1, sizeof *p);
    p->cb = cb;
    p->data = data;
    p->output_max = spec->output_max != 0 ? spec->output_max : PROCESS_OUTPUT_MAX;
    p->open_handles = 6;
    uv_pipe_init(loop, &p->in, 0);
    uv_pipe_init(loop, &p->out, 0);
    uv_pipe_init(loop, &p->err, 0);
    uv_timer_init(loop, &p->timer);
    uv_timer_init(loop, &p->drop);
    p->in.data = p->out.data = p->err.data = p->timer.data = p->drop.data = p->write.data = p;

    int rc = spawn(p, loop, spec);
    if (rc != 0) {
        error_set_errno(&p->why, -rc, "cannot start %s", spec->argv[0]);
        if (p->proc.type != UV_PROCESS) { /* the pipes failed: uv_spawn was not reached */
            p->open_handles--;
            p->closing = true;
            close_input(p);
            uv_close((uv_handle_t *)&p->out, handle_closed);
            uv_close((uv_handle_t *)&p->err, handle_closed);
            uv_close((uv_handle_t *)&p->timer, handle_closed);
            uv_close((uv_handle_t *)&p->drop, handle_closed);
            return p;
        }
        finish(p);
        return p;
    }
    p->started = true;
    uv_read_start((uv_stream_t *)&p->out, output_alloc, output_read);
    uv_read_start((uv_stream_t *)&p->err, output_alloc, output_read);
    if (spec->input.n > 0) {
        buf_append_str(&p->input, spec->input);
        uv_buf_t b = uv_buf_init((char *)p->input.data, (unsigned)p->input.size);
        if (uv_write(&p->write, (uv_stream_t *)&p->in, &b, 1, input_written) != 0) {
            close_input(p);
        }
    } else {
        close_input(p);
    }
    if (spec->timeout_ms > 0) {
        uv_timer_start(&p->timer, timeout_expired, (uint64_t)spec->timeout_ms, 0);
    }
    return p;
}

int process_pid(const struct process *p)
{
    return p->started && !p->exited ? p->proc.pid : 0;
}

void process_kill(struct process *p, int signal)
{
    int pid = process_pid(p);
    if (pid > 0) {
        kill(-pid, signal);
    }
}

void process_cancel(struct process *p)
{
    p->canceled = true;
    process_kill(p, SIGKILL);
    if (p->exited) {
        finish(p);
    }
}

/* The last line of text that is not blank. */
static struct str last_line(struct str s)
{
    while (s.n > 0 && (s.p[s.n - 1] == '\n' || s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\r')) {
        s.n--;
    }
    const char *nl = s.n == 0 ? NULL : memrchr(s.p, '\n', s.n);
    if (nl != NULL) {
        s.n -= (size_t)(nl + 1 - s.p);
        s.p = nl + 1;
    }
    return s;
}

int process_result_error(const struct process_result *r, const char *what, struct error *err)
{
    if (r->error != 0) {
        return error_set(err, r->error, "%s: %s", what, r->message);
    }
    if (r->timed_out) {
        return error_set(err, ERR_TIMEOUT, "%s: timed out", what);
    }
    if (r->exit_code == 0) {
        return 0;
    }
    struct str line = last_line(r->err);
    if (line.n > 0) {
        return error_set(err, ERR_SYSTEM, "%s: %.*s", what, STR_ARG(line));
    }
    if (r->signal != 0) {
        return error_set(err, ERR_SYSTEM, "%s: killed by signal %d", what, r->signal);
    }
    return error_set(err, ERR_SYSTEM, "%s: exit code %d", what, r->exit_code);
}

bool process_started(int pid, uint64_t *ticks)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    if (pid <= 0 || !fs_read_line(path, text, sizeof text)) {
        return false;
    }
    /* The name in parentheses may hold anything; fields are counted after it, the state being number 3. */
    const char *s = strrchr(text, ')');
    char state = 0;
    for (unsigned field = 2; s != NULL && field < 22; field++) {
        s = strchr(s + 1, ' ');
        if (field == 2 && s != NULL) {
            state = s[1];
        }
    }
    return s != NULL && state != 'Z' && sscanf(s, "%" SCNu64, ticks) == 1;
}
