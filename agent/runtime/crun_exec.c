/* Commands in running containers whose input and output are streams; crun_command.h says what holds for all commands. A
 * terminal is made by crun inside the container, and its master comes to us over a Unix socket (--console-socket): size
 * and input are ours to set from then on.
 *
 * What is not guaranteed: that the command sees its terminal's size from its first moment. crun lets it go and then
 * sets the size, so a command that asks at once may hear 0 by 0; SIGWINCH tells it better. No size that we set is lost,
 * since crun does not touch it any more once it has given us the master. */
#include "agent/runtime/crun_command.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "agent/util/defer.h"

#define EXEC_READ_BYTES (32u << 10)

struct runtime_exec {
    struct list link; /* in rt->streams */
    struct crun *rt;
    struct runtime_exec_events events;
    void *data;
    uv_process_t proc;
    uv_pipe_t in, out, err; /* with a terminal: out is its master, both ways, and err what crun itself says */
    uv_timer_t drain;       /* after the exit, when somebody keeps the pipes open */
    uv_poll_t console;      /* on the listening socket, then on crun's connection */
    int console_fd;
    char *console_path;
    struct winsize size;
    struct buf early; /* typed before the terminal was there */
    bool tty, proc_open, exited, ended, killed, console_open;
    bool in_open, out_open, err_open, paused, end_wanted;
    bool out_came; /* since the last end that libuv told */
    unsigned handles;
    size_t pending_bytes;
    int exit_code;
    int rc;
    struct error error;
    char *base;
    uint8_t *bytes;
    char said[256]; /* the begin of stderr: crun's words, if it could not begin the command */
    size_t said_bytes;
};

static uv_stream_t *input_of(struct runtime_exec *x)
{
    return (uv_stream_t *)(x->tty ? &x->out : &x->in);
}

static void exec_finish(struct runtime_exec *x)
{
    struct crun *rt = x->rt;
    list_remove(&x->link);
    if (x->console_fd >= 0) {
        close(x->console_fd);
    }
    if (x->console_path != NULL) {
        unlink(x->console_path);
    }
    free(x->console_path);
    buf_close(&x->early);
    if (x->base != NULL) {
        x->exit_code = crun_command_exit_code(x->base, x->exit_code, x->said);
        crun_command_unlink(x->base);
    }
    x->events.on_end(x, x->exit_code, x->rc == 0 ? NULL : &x->error, x->data);
    free(x->base);
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

static void close_console(struct runtime_exec *x)
{
    if (x->console_open) {
        x->console_open = false;
        if (!uv_is_closing((uv_handle_t *)&x->console)) { /* else console_reopen sees to it */
            uv_poll_stop(&x->console);
            uv_close((uv_handle_t *)&x->console, exec_handle_closed);
        }
    }
}

/* Over when the process is gone and its output is read to the end. */
static void exec_check_end(struct runtime_exec *x)
{
    if (!x->exited || x->ended) {
        return;
    }
    /* A brief command may be over before its terminal reached us: then the drain timer sets the limit. */
    if (!x->console_open && !x->out_open && !x->err_open) {
        x->ended = true;
        close_pipe(&x->in, &x->in_open);
        uv_close((uv_handle_t *)&x->drain, exec_handle_closed);
        uv_close((uv_handle_t *)&x->proc, exec_handle_closed);
    }
}

static void close_output(struct runtime_exec *x)
{
    close_console(x);
    close_pipe(&x->out, &x->out_open);
    close_pipe(&x->err, &x->err_open);
    exec_check_end(x);
}

static void drain_over(uv_timer_t *t)
{
    struct runtime_exec *x = t->data;
    if (x->paused) { /* the receiver has no room: what is there must not be lost */
        uv_timer_start(t, drain_over, PROCESS_DRAIN_MS, 0);
    } else {
        close_output(x);
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
        x->out_came |= !is_err;
        if (is_err) {
            size_t more = MIN((size_t)n, sizeof x->said - 1 - x->said_bytes);
            memcpy(x->said + x->said_bytes, b->base, more);
            x->said_bytes += more;
        }
        if (!x->killed) {
            x->events.on_output(x, is_err && !x->tty ? 2 : 1, (const uint8_t *)b->base, (size_t)n, x->data);
        }
        return;
    }
    /* libuv takes a short read beside a hang-up for the end. Of a terminal that is not true: the kernel hands over what
     * was written bit by bit, and only EIO says that there is no more. */
    if (n == UV_EOF && x->tty && !is_err && x->out_came) {
        x->out_came = false;
        uv_read_start(s, exec_alloc, exec_read);
        return;
    }
    if (n < 0) {
        close_pipe(is_err ? &x->err : &x->out, is_err ? &x->err_open : &x->out_open);
        exec_check_end(x);
    }
}

static void exec_exited(uv_process_t *p, int64_t status, int signal)
{
    struct runtime_exec *x = p->data;
    x->exited = true;
    x->exit_code = signal != 0 ? 128 + signal : (int)status;
    if (x->killed) { /* nobody listens */
        close_output(x);
        return;
    }
    uv_timer_start(&x->drain, drain_over, PROCESS_DRAIN_MS, 0);
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

/* ---- Input ---- */

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

static void write_stream(struct runtime_exec *x, const void *p, size_t n)
{
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

/* ---- The terminal's way to us ---- */

static void terminal_came(struct runtime_exec *x, int master)
{
    fcntl(master, F_SETFL, O_NONBLOCK);
    uv_pipe_init(x->rt->loop, &x->out, 0);
    x->out.data = x;
    x->out_open = true;
    x->handles++;
    if (uv_pipe_open(&x->out, master) != 0) {
        close(master);
        return;
    }
    ioctl(master, TIOCSWINSZ, &x->size);
    if (!x->paused) {
        uv_read_start((uv_stream_t *)&x->out, exec_alloc, exec_read);
    }
    if (x->early.size > 0) {
        CLEANUP_BUF struct buf early = x->early;
        x->early = BUF_INIT;
        x->pending_bytes -= early.size;
        write_stream(x, early.data, early.size);
    }
}

static void console_message(uv_poll_t *p, int status, int events)
{
    struct runtime_exec *x = p->data;
    char byte[64];
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec io = {byte, sizeof byte};
    struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    (void)status;
    (void)events;
    ssize_t n = recvmsg(x->console_fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    struct cmsghdr *c = n <= 0 ? NULL : CMSG_FIRSTHDR(&m);
    close_console(x);
    if (c != NULL && c->cmsg_type == SCM_RIGHTS) {
        int fd;
        memcpy(&fd, CMSG_DATA(c), sizeof fd);
        terminal_came(x, fd);
    }
}

static void console_reopen(uv_handle_t *h);

static void console_connection(uv_poll_t *p, int status, int events)
{
    struct runtime_exec *x = p->data;
    (void)status;
    (void)events;
    int fd = accept4(x->console_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        return;
    }
    /* The handle of the listening socket is closed and one for the connection opened in its place, in the close
     * callback. */
    uv_poll_stop(p);
    close(x->console_fd);
    x->console_fd = fd;
    uv_close((uv_handle_t *)p, console_reopen);
}

static void console_reopen(uv_handle_t *h)
{
    struct runtime_exec *x = h->data;
    if (!x->console_open || uv_poll_init(x->rt->loop, &x->console, x->console_fd) != 0) {
        x->console_open = false;
        exec_handle_closed(h);
        return;
    }
    x->console.data = x;
    uv_poll_start(&x->console, UV_READABLE, console_message);
}

static int console_listen(struct runtime_exec *x)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    x->console_path = xasprintf("%s/" CRUN_EXEC_PREFIX "%zx.sock", x->rt->run_dir, (size_t)x);
    if (strlen(x->console_path) >= sizeof sa.sun_path) {
        return -ENAMETOOLONG;
    }
    strcpy(sa.sun_path, x->console_path);
    unlink(x->console_path);
    x->console_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (x->console_fd < 0 || bind(x->console_fd, (struct sockaddr *)&sa, sizeof sa) != 0 ||
        listen(x->console_fd, 1) != 0) {
        return -errno;
    }
    int rc = uv_poll_init(x->rt->loop, &x->console, x->console_fd);
    if (rc == 0) {
        x->console.data = x;
        x->console_open = true;
        x->handles++;
        uv_poll_start(&x->console, UV_READABLE, console_connection);
    }
    return rc;
}

static int exec_spawn(struct runtime_exec *x, const struct crun_container *c, const struct runtime_exec_spec *spec)
{
    CLEANUP_CLOSE int in = -1;
    CLEANUP_CLOSE int out = -1;
    CLEANUP_CLOSE int err = -1;
    struct crun_command args;
    int rc = exec_pipe(x, &x->err, &x->err_open, true, &err);
    if (spec->tty) {
        rc = rc != 0 ? rc : console_listen(x);
    } else {
        rc = rc != 0 ? rc : exec_pipe(x, &x->out, &x->out_open, true, &out);
        if (spec->stdin_open) {
            rc = rc != 0 ? rc : exec_pipe(x, &x->in, &x->in_open, false, &in);
        }
    }
    if (rc != 0) {
        return rc;
    }
    crun_command_args(&args, c, x->base, x->console_path);
    uv_stdio_container_t stdio[3] = {{.flags = in >= 0 ? UV_INHERIT_FD : UV_IGNORE, .data.fd = in},
                                     {.flags = out >= 0 ? UV_INHERIT_FD : UV_IGNORE, .data.fd = out},
                                     {.flags = UV_INHERIT_FD, .data.fd = err}};
    uv_process_options_t o = {.exit_cb = exec_exited,
                              .file = args.argv[0],
                              .args = (char **)args.argv,
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
    x->console_fd = -1;
    x->size.ws_row = (unsigned short)(spec->rows != 0 ? spec->rows : 24);
    x->size.ws_col = (unsigned short)(spec->columns != 0 ? spec->columns : 80);
    list_init(&x->link);
    crun_hold(rt);
    x->rc = crun_command_find(rt, id, &c, &x->error);
    if (x->rc == 0) {
        x->base = crun_command_path(c, x);
        x->rc = crun_command_write(c, x->base, spec->argv, spec->tty ? &x->size : NULL, &x->error);
    }
    if (x->rc != 0) {
        defer_call(rt->loop, exec_deferred, x);
        return x;
    }
    x->bytes = xmalloc(EXEC_READ_BYTES);
    uv_timer_init(rt->loop, &x->drain);
    x->drain.data = x;
    x->handles++;
    int rc = exec_spawn(x, c, spec);
    if (rc != 0) {
        x->rc = error_set_errno(&x->error, -rc, "cannot run the command");
        x->exited = true;
        x->ended = true;
        close_console(x);
        close_pipe(&x->in, &x->in_open);
        close_pipe(&x->out, &x->out_open);
        close_pipe(&x->err, &x->err_open);
        uv_close((uv_handle_t *)&x->drain, exec_handle_closed);
        if (x->proc_open) {
            uv_close((uv_handle_t *)&x->proc, exec_handle_closed);
        }
        return x;
    }
    list_push_back(&rt->streams, &x->link);
    uv_read_start((uv_stream_t *)&x->err, exec_alloc, exec_read);
    if (x->out_open) {
        uv_read_start((uv_stream_t *)&x->out, exec_alloc, exec_read);
    }
    return x;
}

void crun_exec_write(struct runtime_exec *x, const void *p, size_t n)
{
    bool open = x->tty ? x->out_open : x->in_open;
    if (n == 0 || x->killed || x->end_wanted || x->exited) {
        return;
    }
    if (open) {
        write_stream(x, p, n);
    } else if (x->tty && x->console_open) {
        x->pending_bytes += n;
        buf_append(&x->early, p, n);
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
    uv_os_fd_t fd;
    x->size.ws_row = (unsigned short)rows;
    x->size.ws_col = (unsigned short)columns;
    if (x->tty && x->out_open && uv_fileno((uv_handle_t *)&x->out, &fd) == 0) {
        ioctl(fd, TIOCSWINSZ, &x->size); /* the kernel tells the terminal's foreground processes */
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
    if (x->killed || x->ended || x->bytes == NULL) {
        return;
    }
    x->killed = true;
    crun_command_kill(x->base);
    if (!x->exited) {
        kill(-x->proc.pid, SIGKILL);
        return;
    }
    close_output(x);
}

void crun_exec_kill_all(struct crun *rt)
{
    crun_capture_kill_all(rt);
    LIST_FOR_SAFE(it, &rt->streams)
    {
        crun_exec_kill(LIST_ENTRY(it, struct runtime_exec, link));
    }
}
