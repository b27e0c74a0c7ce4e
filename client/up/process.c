/* Starting things: commands that end, daemons that stay. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "client/up/up.h"

#define WORDS_MAX 64

/* What the command said, on one line: the last line of its output. */
static const char *last_words(struct buf *b)
{
    while (b->size > 0 && (b->data[b->size - 1] == '\n' || b->data[b->size - 1] == ' ')) {
        b->size--;
    }
    const char *text = buf_cstr(b);
    const char *nl = strrchr(text, '\n');
    return nl == NULL ? text : nl + 1;
}

static int read_all(int fd, struct buf *out)
{
    for (;;) {
        ssize_t n = read(fd, buf_reserve(out, 4096), 4096);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n == 0 ? 0 : -errno;
        }
        out->size += (size_t)n;
    }
}

static int run(const char *netns, const char *const *argv, struct error *err)
{
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) != 0) {
        return error_set_errno(err, errno, "pipe");
    }
    pid_t pid = fork();
    if (pid == 0) {
        int ns = netns == NULL ? -1 : open(netns, O_RDONLY | O_CLOEXEC);
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if ((netns != NULL && (ns < 0 || setns(ns, CLONE_NEWNET) != 0)) || dup2(null, 0) < 0 ||
            dup2(pipe_fds[1], 1) < 0 || dup2(pipe_fds[1], 2) < 0) {
            _exit(126);
        }
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        dprintf(2, "%s", strerror(errno));
        _exit(127);
    }
    close(pipe_fds[1]);
    if (pid < 0) {
        close(pipe_fds[0]);
        return error_set_errno(err, errno, "fork");
    }
    CLEANUP_BUF struct buf out = BUF_INIT;
    read_all(pipe_fds[0], &out);
    close(pipe_fds[0]);
    int status;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return 0;
    }
    CLEANUP_BUF struct buf line = BUF_INIT;
    for (unsigned i = 0; argv[i] != NULL; i++) {
        buf_printf(&line, "%s%s", i > 0 ? " " : "", argv[i]);
    }
    return error_set(err, ERR_SYSTEM, "%s: %s (%s %d)", buf_cstr(&line), last_words(&out),
                     WIFEXITED(status) ? "exit" : "signal", WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

int up_command(const char *const *argv, struct error *err)
{
    return run(NULL, argv, err);
}

static int run_line(const char *netns, char *line, struct error *err)
{
    const char *argv[WORDS_MAX];
    unsigned n = 0;
    char *save = NULL;
    for (char *w = strtok_r(line, " ", &save); w != NULL; w = strtok_r(NULL, " ", &save)) {
        assert(n + 1 < WORDS_MAX);
        argv[n++] = w;
    }
    argv[n] = NULL;
    return run(netns, argv, err);
}

int up_command_in(const char *netns, struct error *err, const char *fmt, ...)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    va_list ap;
    va_start(ap, fmt);
    char *line = arena_vprintf(&a, fmt, ap);
    va_end(ap);
    return run_line(netns, line, err);
}

/* In the child. Only functions that are safe between fork and exec of a program without threads. */
static void daemon_child(const struct up *u, const char *name, const char *const *argv, int log_fd, int listen_fd)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (setsid() < 0 || dup2(null, 0) < 0 || dup2(log_fd, 1) < 0 || dup2(log_fd, 2) < 0) {
        _exit(126);
    }
    if (geteuid() == 0 && up_cgroup_enter(u, name) != 0) {
        dprintf(2, "cannot join the cgroups %s/%s: %s\n", u->prefix, name, strerror(errno));
        _exit(126);
    }
    if (listen_fd >= 0) {
        char pid[16];
        snprintf(pid, sizeof(pid), "%d", (int)getpid());
        setenv("LISTEN_PID", pid, 1);
        setenv("LISTEN_FDS", "1", 1);
        if (listen_fd == 3 ? fcntl(3, F_SETFD, 0) != 0 : dup2(listen_fd, 3) < 0) {
            _exit(126);
        }
    }
    close_range(listen_fd >= 0 ? 4 : 3, ~0u, 0);
    signal(SIGPIPE, SIG_DFL);
    execv(argv[0], (char *const *)(uintptr_t)argv);
    dprintf(2, "%s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

int up_start_daemon(const struct up *u, const char *name, const char *const *argv, int listen_fd, struct error *err)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    if (geteuid() == 0 && up_cgroup_make(u, name, err) != 0) {
        return err->code;
    }
    const char *log = up_path(&a, u, "logs/%s.log", name);
    CLEANUP_CLOSE int log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (log_fd < 0) {
        return error_set_errno(err, errno, "open %s", log);
    }
    pid_t pid = fork();
    if (pid == 0) {
        daemon_child(u, name, argv, log_fd, listen_fd);
    }
    if (pid < 0) {
        return error_set_errno(err, errno, "fork");
    }
    return up_record_pid(u, name, pid, err);
}

int up_find_program(struct arena *a, const char *name, const char **path, struct error *err)
{
    char self[UP_PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (n > 0) {
        self[n] = '\0';
        *strrchr(self, '/') = '\0';
        *path = arena_printf(a, "%s/%s", self, name);
        if (access(*path, X_OK) == 0) {
            return 0;
        }
    }
    char *dirs = arena_strdup(a, getenv("PATH") == NULL ? "/usr/sbin:/usr/bin" : getenv("PATH")), *save = NULL;
    for (char *d = strtok_r(dirs, ":", &save); d != NULL; d = strtok_r(NULL, ":", &save)) {
        *path = arena_printf(a, "%s/%s", d, name);
        if (access(*path, X_OK) == 0) {
            return 0;
        }
    }
    return error_set(err, ERR_NOT_FOUND, "%s is neither beside rctl (%s) nor in PATH; \"make\" builds it", name,
                     n > 0 ? self : "?");
}

void up_log_tail(const struct up *u, const char *name, unsigned lines, struct buf *out)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    CLEANUP_CLOSE int fd = open(up_path(&a, u, "logs/%s.log", name), O_RDONLY | O_CLOEXEC);
    off_t end = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
    if (end <= 0) {
        return;
    }
    char text[8192];
    size_t want = MIN((size_t)end, sizeof(text));
    ssize_t n = pread(fd, text, want, end - (off_t)want);
    if (n <= 0) {
        return;
    }
    ssize_t at = n - (text[n - 1] == '\n');
    while (at > 0 && !(text[at - 1] == '\n' && --lines == 0)) {
        at--;
    }
    buf_append(out, text + at, (size_t)(n - at));
}
