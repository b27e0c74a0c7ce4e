#include "agent/runtime/process.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/util/fsutil.h"
#include "base/mem.h"

/* States: RUNNING -> (exit seen) DRAINING -> (pipes at their end, or timer) CLOSING -> freed. A start that failed
 * goes to CLOSING directly.
 *
 * Started by posix_spawn(3), not by uv_spawn, which forks: for each command that copies the page tables of the whole
 * agent, and then every page that it writes to until the command has begun. The end is heard of by the pidfd. */
struct process {
    uv_poll_t end; /* on pidfd */
    int pid, pidfd;
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
    if (p->pidfd >= 0) {
        close(p->pidfd);
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
    if (p->started) {
        uv_close((uv_handle_t *)&p->end, handle_closed);
    }
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

static void process_exited(uv_poll_t *h, int unused, int events)
{
    struct process *p = h->data;
    int status = 0;
    pid_t pid;
    (void)unused;
    (void)events;
    do {
        pid = waitpid(p->pid, &status, WNOHANG);
    } while (pid < 0 && errno == EINTR);
    if (pid == 0) {
        return;
    }
    uv_poll_stop(&p->end);
    p->exited = true;
    if (pid < 0) { /* somebody else has waited for it */
        p->result.exit_code = 255;
    } else if (WIFSIGNALED(status)) {
        p->result.signal = WTERMSIG(status);
        p->result.exit_code = 128 + p->result.signal;
    } else {
        p->result.exit_code = WEXITSTATUS(status);
    }
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

/* One pipe between us and the child: theirs is for the child and closed when it has begun. */
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

/* What the child is given as its descriptors 0 to 3; -1: nothing, which for 0 is /dev/null. */
#define GIVEN 4

/* One that is itself among those numbers would be written over before it is given. */
static int move_away(int *fd, int *moved)
{
    if (*fd >= 0 && *fd < GIVEN) {
        *fd = *moved = fcntl(*fd, F_DUPFD_CLOEXEC, GIVEN);
        return *fd < 0 ? -errno : 0;
    }
    return 0;
}

static int give(posix_spawn_file_actions_t *actions, const int fds[GIVEN], const char *cwd)
{
    int rc = fds[0] >= 0 ? 0 : posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0);
    for (int i = 0; rc == 0 && i < GIVEN; i++) {
        rc = fds[i] < 0 ? 0 : posix_spawn_file_actions_adddup2(actions, fds[i], i);
    }
    return rc != 0 || cwd == NULL ? rc : posix_spawn_file_actions_addchdir_np(actions, cwd);
}

/* In a session of its own: kill(-pid) reaches all. With every signal as at a program's start. 0 or -errno. */
static int spawn_with(pid_t *pid, const struct process_spec *spec, const int fds[GIVEN])
{
    extern char **environ;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setsigmask(&attributes, &none);
    int rc = give(&actions, fds, spec->cwd);
    rc = rc != 0 ? rc
                 : posix_spawnp(pid, spec->argv[0], &actions, &attributes, (char *const *)(uintptr_t)spec->argv,
                                spec->env != NULL ? (char *const *)(uintptr_t)spec->env : environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return -rc;
}

/* Its end can be heard of, or it is no more. */
static int watch_end(struct process *p, uv_loop_t *loop)
{
    p->pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0);
    int rc = p->pidfd < 0 ? -errno : uv_poll_init(loop, &p->end, p->pidfd);
    if (rc == 0) {
        p->end.data = p;
        p->open_handles++;
        p->started = true;
        uv_poll_start(&p->end, UV_READABLE, process_exited);
        return 0;
    }
    kill(-p->pid, SIGKILL);
    while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR) {
    }
    return rc;
}

/* The child is given its ends; ours are closed. */
static int begin(struct process *p, const struct process_spec *spec)
{
    CLEANUP_CLOSE int in = -1;
    CLEANUP_CLOSE int out = -1;
    CLEANUP_CLOSE int err = -1;
    int moved[GIVEN] = {-1, -1, -1, -1};
    int rc = make_pipe(&p->out, true, &out);
    rc = rc != 0 ? rc : make_pipe(&p->err, true, &err);
    if (rc == 0 && spec->input.n > 0) {
        rc = make_pipe(&p->in, false, &in);
    }
    int fds[GIVEN] = {in, out, err, spec->extra_fd > 0 ? spec->extra_fd : -1};
    for (unsigned i = 0; rc == 0 && i < GIVEN; i++) {
        rc = move_away(&fds[i], &moved[i]);
    }
    rc = rc != 0 ? rc : spawn_with(&p->pid, spec, fds);
    for (unsigned i = 0; i < GIVEN; i++) {
        if (moved[i] >= 0) {
            close(moved[i]);
        }
    }
    return rc;
}

static int spawn(struct process *p, uv_loop_t *loop, const struct process_spec *spec)
{
    int rc = begin(p, spec); /* what has been closed makes room for one descriptor more */
    return rc != 0 ? rc : watch_end(p, loop);
}

struct process *process_run(uv_loop_t *loop, const struct process_spec *spec, process_exit_cb *cb, void *data)
{
    assert(spec->argv != NULL && spec->argv[0] != NULL && cb != NULL);
    struct process *p = xcalloc(1, sizeof *p);
    p->cb = cb;
    p->data = data;
    p->output_max = spec->output_max != 0 ? spec->output_max : PROCESS_OUTPUT_MAX;
    p->open_handles = 5;
    p->pidfd = -1;
    uv_pipe_init(loop, &p->in, 0);
    uv_pipe_init(loop, &p->out, 0);
    uv_pipe_init(loop, &p->err, 0);
    uv_timer_init(loop, &p->timer);
    uv_timer_init(loop, &p->drop);
    p->in.data = p->out.data = p->err.data = p->timer.data = p->drop.data = p->write.data = p;

    int rc = spawn(p, loop, spec);
    if (rc != 0) {
        error_set_errno(&p->why, -rc, "cannot start %s", spec->argv[0]);
        finish(p);
        return p;
    }
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
    return p->started && !p->exited ? p->pid : 0;
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
