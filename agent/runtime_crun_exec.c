/* Commands in running containers, through `crun exec`.
 *
 * crun exec takes user, environment, capabilities and control group from the container's own configuration. Killing crun does not kill
 * what it started, so it writes the command's pid to a file and that process is killed too (as its group, if it leads one).
 * With a terminal there are two in a row: ours, whose slave is crun's stdio, and the container's, between which crun copies. crun is told
 * of a new size by SIGWINCH and takes it over from ours. */
#include "agent/runtime_crun_int.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "agent/defer.h"

#define EXEC_READ_BYTES (32u << 10)
#define EXEC_ARGS_MAX   1024u

/* Where crun writes the pid of what it runs. */
static char *pid_file_path(struct crun *rt, const struct crun_container *c, const void *unique)
{
    (void)rt;
    return xasprintf("%s/persist/exec-%zx", c->dir, (size_t)unique);
}

static void kill_by_file(const char *path)
{
    char text[32];
    if (!fs_read_line(path, text, sizeof text)) {
        return;
    }
    int pid = atoi(text);
    if (pid > 1) {
        if (getpgid(pid) == pid) {
            kill(-pid, SIGKILL);
        }
        kill(pid, SIGKILL);
    }
}

/* argv of crun exec; the array is freed by the caller, the strings are borrowed. NULL: too long. */
static const char **exec_argv(struct crun *rt, const char *id, const char *pid_file, bool tty, const char *const *argv)
{
    const char *head[] = {rt->crun_path, "--root", rt->run_dir, "exec", "--pid-file", pid_file};
    unsigned n = 0, m = 0;
    while (argv[m] != NULL) {
        m++;
    }
    if (m == 0 || m > EXEC_ARGS_MAX) {
        return NULL;
    }
    const char **out = xcalloc(ARRAY_SIZE(head) + m + 4, sizeof *out);
    for (; n < ARRAY_SIZE(head); n++) {
        out[n] = head[n];
    }
    if (tty) {
        out[n++] = "--tty";
    }
    out[n++] = id;
    for (unsigned i = 0; i < m; i++) {
        out[n++] = argv[i];
    }
    return out;
}

static int find_running(struct crun *rt, const char *id, struct crun_container **out, struct error *err)
{
    struct crun_container *c = crun_find(rt, id);
    if (c == NULL || c->leftover) {
        return error_set(err, ERR_NOT_FOUND, "there is no container %s", id);
    }
    if (c->state != RUNTIME_RUNNING || c->removing || rt->closing) {
        return error_set(err, ERR_CONFLICT, "container %s is not running", c->name);
    }
    *out = c;
    return 0;
}

/* ---- Captured ---- */

struct capture {
    struct list link; /* in rt->execs */
    struct crun *rt;
    struct process *process;
    uv_timer_t timer;
    bool timed_out;
    char *pid_file;
    struct buf output;
    int exit_code;
    int rc;
    struct error error;
    runtime_exec_cb *cb;
    void *data;
};

static void capture_end(struct capture *x)
{
    struct crun *rt = x->rt;
    struct runtime_exec_result r = {
        .error = x->rc == 0 ? NULL : &x->error, .exit_code = x->exit_code, .output = buf_str(&x->output)};
    x->cb(&r, x->data);
    buf_close(&x->output);
    free(x->pid_file);
    free(x);
    crun_release(rt);
}

static void capture_deferred(void *data)
{
    capture_end(data);
}

static void capture_closed(uv_handle_t *h)
{
    capture_end(h->data);
}

static void captured(struct process *p, const struct process_result *r, void *data)
{
    struct capture *x = data;
    (void)p;
    x->process = NULL;
    unlink(x->pid_file);
    if (x->timed_out) {
        x->rc = error_set(&x->error, ERR_TIMEOUT, "the command timed out");
    } else if (r->error != 0) {
        x->rc = error_set(&x->error, r->error, "%s", r->message);
    }
    x->exit_code = r->exit_code;
    buf_append_str(&x->output, r->out);
    buf_append_str(&x->output, r->err);
    x->output.size = MIN(x->output.size, (size_t)RUNTIME_EXEC_OUTPUT_MAX);
    list_remove(&x->link);
    uv_close((uv_handle_t *)&x->timer, capture_closed);
}

static void capture_kill(struct capture *x)
{
    x->timed_out = true;
    kill_by_file(x->pid_file);
    if (x->process != NULL) {
        process_kill(x->process, SIGKILL);
    }
}

static void capture_timeout(uv_timer_t *t)
{
    capture_kill(t->data);
}

void crun_exec(struct runtime *base, const char *id, const char *const *argv, int64_t timeout_ms, runtime_exec_cb *cb,
               void *data)
{
    struct crun *rt = (struct crun *)base;
    struct crun_container *c = NULL;
    struct capture *x = xcalloc(1, sizeof *x);
    x->rt = rt;
    x->cb = cb;
    x->data = data;
    list_init(&x->link);
    crun_hold(rt);
    x->rc = find_running(rt, id, &c, &x->error);
    CLEANUP_FREE const char **args = NULL;
    if (x->rc == 0) {
        x->pid_file = pid_file_path(rt, c, x);
        args = exec_argv(rt, id, x->pid_file, false, argv);
        if (args == NULL) {
            x->rc = error_set(&x->error, ERR_INVALID, "the command is empty or has more than %u words", EXEC_ARGS_MAX);
        }
    }
    if (x->rc != 0) {
        defer_call(rt->loop, capture_deferred, x);
        return;
    }
    uv_timer_init(rt->loop, &x->timer);
    x->timer.data = x;
    if (timeout_ms > 0) {
        uv_timer_start(&x->timer, capture_timeout, (uint64_t)timeout_ms, 0);
    }
    list_push_back(&rt->execs, &x->link);
    struct process_spec ps = {.argv = args, .output_max = RUNTIME_EXEC_OUTPUT_MAX};
    x->process = process_run(rt->loop, &ps, captured, x);
}

/* ---- Streaming ---- */

struct runtime_exec {
    struct list link; /* in rt->streams */
    struct crun *rt;
    struct runtime_exec_events events;
    void *data;
    uv_process_t proc;
    uv_pipe_t in, out, err; /* with a terminal: out is its master, both ways */
    bool tty, proc_open, exited, ended, killed;
    bool in_open, out_open, err_open, paused, end_wanted;
    unsigned handles;
    size_t pending_bytes;
    int exit_code;
    int rc;
    struct error error;
    char *pid_file;
    uint8_t *bytes;
};

static uv_stream_t *input_of(struct runtime_exec *x)
{
    return (uv_stream_t *)(x->tty ? &x->out : &x->in);
}

static void exec_finish(struct runtime_exec *x)
{
    struct crun *rt = x->rt;
    list_remove(&x->link);
    if (x->pid_file != NULL) {
        unlink(x->pid_file);
    }
    x->events.on_end(x, x->exit_code, x->rc == 0 ? NULL : &x->error, x->data);
    free(x->pid_file);
    free(x->bytes);
    free(x);
    crun_release(rt);
}

static void exec_deferred(void *data)
{
    exec_finish(data);
}

static void exec_handle_closed(uv_handle_t *h)
{
    struct runtime_exec *x = h->data;
    assert(x->handles > 0);
    if (--x->handles == 0) {
        exec_finish(x);
    }
}

static void close_pipe(uv_pipe_t *p, bool *open)
{
    if (*open) {
        *open = false;
        uv_close((uv_handle_t *)p, exec_handle_closed);
    }
}

/* Over when the process is gone and its output is read to the end. */
static void exec_check_end(struct runtime_exec *x)
{
    if (x->exited && !x->out_open && !x->err_open && !x->ended) {
        x->ended = true;
        close_pipe(&x->in, &x->in_open);
        uv_close((uv_handle_t *)&x->proc, exec_handle_closed);
    }
}

static void exec_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *out)
{
    struct runtime_exec *x = h->data;
    (void)suggested;
    *out = uv_buf_init((char *)x->bytes, EXEC_READ_BYTES);
}

static void exec_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    struct runtime_exec *x = s->data;
    bool is_err = s == (uv_stream_t *)&x->err;
    if (n > 0) {
        if (!x->killed) {
            x->events.on_output(x, is_err ? 2 : 1, (const uint8_t *)b->base, (size_t)n, x->data);
        }
        return;
    }
    if (n < 0) { /* the end; a terminal says EIO */
        close_pipe(is_err ? &x->err : &x->out, is_err ? &x->err_open : &x->out_open);
        exec_check_end(x);
    }
}

static void exec_exited(uv_process_t *p, int64_t status, int signal)
{
    struct runtime_exec *x = p->data;
    x->exited = true;
    x->exit_code = signal != 0 ? 128 + signal : (int)status;
    if (x->killed) { /* nobody listens: do not wait for those who hold the pipes */
        close_pipe(&x->out, &x->out_open);
        close_pipe(&x->err, &x->err_open);
    }
    exec_check_end(x);
}

/* One pipe; *theirs is given to crun. */
static int exec_pipe(struct runtime_exec *x, uv_pipe_t *ours, bool *open, bool we_read, int *theirs)
{
    int fds[2];
    int rc = we_read ? uv_pipe(fds, UV_NONBLOCK_PIPE, 0) : uv_pipe(fds, 0, UV_NONBLOCK_PIPE);
    if (rc != 0) {
        return rc;
    }
    uv_pipe_init(x->rt->loop, ours, 0);
    ours->data = x;
    *open = true;
    x->handles++;
    *theirs = fds[we_read ? 1 : 0];
    return uv_pipe_open(ours, fds[we_read ? 0 : 1]);
}

static int exec_terminal(struct runtime_exec *x, const struct runtime_exec_spec *spec, int *theirs)
{
    struct winsize ws = {.ws_row = (unsigned short)(spec->rows != 0 ? spec->rows : 24),
                         .ws_col = (unsigned short)(spec->columns != 0 ? spec->columns : 80)};
    int master;
    if (openpty(&master, theirs, NULL, NULL, &ws) != 0) {
        return -errno;
    }
    fcntl(master, F_SETFD, FD_CLOEXEC);
    fcntl(*theirs, F_SETFD, FD_CLOEXEC);
    fcntl(master, F_SETFL, O_NONBLOCK);
    uv_pipe_init(x->rt->loop, &x->out, 0);
    x->out.data = x;
    x->out_open = true;
    x->handles++;
    return uv_pipe_open(&x->out, master);
}

static int exec_spawn(struct runtime_exec *x, const char *id, const struct runtime_exec_spec *spec)
{
    CLEANUP_CLOSE int in = -1;
    CLEANUP_CLOSE int out = -1;
    CLEANUP_CLOSE int err = -1;
    CLEANUP_FREE const char **args = exec_argv(x->rt, id, x->pid_file, spec->tty, spec->argv);
    int rc = args == NULL ? -EINVAL : 0;
    if (spec->tty) {
        rc = rc != 0 ? rc : exec_terminal(x, spec, &out);
    } else {
        rc = rc != 0 ? rc : exec_pipe(x, &x->out, &x->out_open, true, &out);
        rc = rc != 0 ? rc : exec_pipe(x, &x->err, &x->err_open, true, &err);
        if (spec->stdin_open) {
            rc = rc != 0 ? rc : exec_pipe(x, &x->in, &x->in_open, false, &in);
        }
    }
    if (rc != 0) {
        return rc;
    }
    uv_stdio_container_t stdio[3] = {
        {.flags = spec->tty || in >= 0 ? UV_INHERIT_FD : UV_IGNORE, .data.fd = spec->tty ? out : in},
        {.flags = UV_INHERIT_FD, .data.fd = out},
        {.flags = UV_INHERIT_FD, .data.fd = spec->tty ? out : err}};
    uv_process_options_t o = {.exit_cb = exec_exited,
                              .file = args[0],
                              .args = (char **)args,
                              .flags = UV_PROCESS_DETACHED,
                              .stdio_count = 3,
                              .stdio = stdio};
    x->proc_open = true;
    x->handles++;
    rc = uv_spawn(x->rt->loop, &x->proc, &o);
    x->proc.data = x;
    return rc;
}

struct runtime_exec *crun_exec_open(struct runtime *base, const char *id, const struct runtime_exec_spec *spec,
                                    const struct runtime_exec_events *events, void *data)
{
    struct crun *rt = (struct crun *)base;
    struct crun_container *c = NULL;
    struct runtime_exec *x = xcalloc(1, sizeof *x);
    x->rt = rt;
    x->events = *events;
    x->data = data;
    x->tty = spec->tty;
    list_init(&x->link);
    crun_hold(rt);
    x->rc = find_running(rt, id, &c, &x->error);
    if (x->rc != 0) {
        defer_call(rt->loop, exec_deferred, x);
        return x;
    }
    x->bytes = xmalloc(EXEC_READ_BYTES);
    x->pid_file = pid_file_path(rt, c, x);
    int rc = exec_spawn(x, id, spec);
    if (rc != 0) {
        x->rc = error_set_errno(&x->error, -rc, "cannot run the command");
        x->exited = true;
        x->ended = true;
        close_pipe(&x->in, &x->in_open);
        close_pipe(&x->out, &x->out_open);
        close_pipe(&x->err, &x->err_open);
        if (x->proc_open) {
            uv_close((uv_handle_t *)&x->proc, exec_handle_closed);
        } else if (x->handles == 0) {
            defer_call(rt->loop, exec_deferred, x);
        }
        return x;
    }
    list_push_back(&rt->streams, &x->link);
    uv_read_start((uv_stream_t *)&x->out, exec_alloc, exec_read);
    if (x->err_open) {
        uv_read_start((uv_stream_t *)&x->err, exec_alloc, exec_read);
    }
    return x;
}

struct exec_write {
    uv_write_t req;
    struct runtime_exec *x;
    size_t n;
    uint8_t bytes[];
};

static void end_input_now(struct runtime_exec *x)
{
    if (!x->tty) {
        close_pipe(&x->in, &x->in_open);
    }
}

static void exec_written(uv_write_t *req, int status)
{
    struct exec_write *w = CONTAINER_OF(req, struct exec_write, req);
    struct runtime_exec *x = w->x;
    (void)status; /* a command that reads no more */
    x->pending_bytes -= w->n;
    free(w);
    if (x->pending_bytes == 0 && x->end_wanted) {
        end_input_now(x);
    }
    if (x->pending_bytes == 0 && x->events.on_drain != NULL && !x->ended && !x->killed) {
        x->events.on_drain(x, x->data);
    }
}

void crun_exec_write(struct runtime_exec *x, const void *p, size_t n)
{
    bool open = x->tty ? x->out_open : x->in_open;
    if (!open || n == 0 || x->killed || x->end_wanted) {
        return;
    }
    struct exec_write *w = xmalloc(sizeof *w + n);
    w->x = x;
    w->n = n;
    memcpy(w->bytes, p, n);
    uv_buf_t b = uv_buf_init((char *)w->bytes, (unsigned)n);
    x->pending_bytes += n;
    if (uv_write(&w->req, input_of(x), &b, 1, exec_written) != 0) {
        x->pending_bytes -= n;
        free(w);
    }
}

size_t crun_exec_pending(const struct runtime_exec *x)
{
    return x->pending_bytes;
}

void crun_exec_end_input(struct runtime_exec *x)
{
    if (x->end_wanted || x->killed) {
        return;
    }
    if (x->tty) { /* what a person would type */
        crun_exec_write(x, "\004", 1);
    }
    x->end_wanted = true;
    if (x->pending_bytes == 0) {
        end_input_now(x);
    }
}

void crun_exec_resize(struct runtime_exec *x, unsigned rows, unsigned columns)
{
    struct winsize ws = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};
    uv_os_fd_t fd;
    if (x->tty && x->out_open && uv_fileno((uv_handle_t *)&x->out, &fd) == 0 && ioctl(fd, TIOCSWINSZ, &ws) == 0 &&
        !x->exited) {
        kill(x->proc.pid, SIGWINCH);
    }
}

void crun_exec_pause(struct runtime_exec *x, bool pause)
{
    if (x->paused == pause) {
        return;
    }
    x->paused = pause;
    uv_pipe_t *pipes[] = {x->out_open ? &x->out : NULL, x->err_open ? &x->err : NULL};
    for (unsigned i = 0; i < ARRAY_SIZE(pipes); i++) {
        if (pipes[i] != NULL && pause) {
            uv_read_stop((uv_stream_t *)pipes[i]);
        } else if (pipes[i] != NULL) {
            uv_read_start((uv_stream_t *)pipes[i], exec_alloc, exec_read);
        }
    }
}

void crun_exec_kill(struct runtime_exec *x)
{
    if (x->killed || x->ended || x->pid_file == NULL) {
        return;
    }
    x->killed = true;
    kill_by_file(x->pid_file);
    if (!x->exited) {
        kill(-x->proc.pid, SIGKILL);
        return;
    }
    close_pipe(&x->out, &x->out_open);
    close_pipe(&x->err, &x->err_open);
    exec_check_end(x);
}

void crun_exec_kill_all(struct crun *rt)
{
    LIST_FOR_SAFE(it, &rt->execs)
    {
        capture_kill(LIST_ENTRY(it, struct capture, link));
    }
    LIST_FOR_SAFE(it, &rt->streams)
    {
        crun_exec_kill(LIST_ENTRY(it, struct runtime_exec, link));
    }
}
