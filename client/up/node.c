/* One node of a local cluster: the parent's half (make namespaces, connect, let go) and pid 1's half (file systems,
 * agent, reaping).
 *
 *   rctl up --fork--> A: enter cgroups, unshare --fork--> B: exec "rctl node-init" (pid 1 of the node)
 *                     A tells B's pid and ends.           B waits for the go on fd 3: one byte when its network stands;
 *                                                         end of file means that `rctl up` gave up, and B ends.
 * When pid 1 ends, the kernel kills everything in the node: that is its power switch. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "client/up/up.h"

#define NODE_NAMESPACES (CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP)
#define GO_FD           3
#define RESTART_S       1
#define TERM_S          5
#define PID_MAX         "/proc/sys/kernel/pid_max"

/* ---- The parent's half ---- */

struct launch {
    const struct up *u;
    const char *name;
    const char **argv;
    int log_fd, pid_fd, go_fd;
};

/* The machine's bound of process ids, as text. */
struct pid_max {
    char text[32];
    ssize_t n; /* below 1: not known */
};

static void pid_max_read(struct pid_max *m)
{
    int fd = open(PID_MAX, O_RDONLY | O_CLOEXEC);
    m->n = fd < 0 ? -1 : read(fd, m->text, sizeof m->text);
    if (fd >= 0) {
        close(fd);
    }
}

/* Since Linux 6.14 each namespace has a bound of its own, at first the largest there is, of which the agent would give
 * its pods a part: more than the machine has. Before, this changes nothing. */
static void pid_max_write(const struct pid_max *m)
{
    int fd = m->n < 1 ? -1 : open(PID_MAX, O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        (void)!write(fd, m->text, (size_t)m->n);
        close(fd);
    }
}

/* B: becomes pid 1 of the node by exec. */
static void launch_init(const struct launch *l, const struct pid_max *m)
{
    pid_max_write(m);
    if (dup2(l->log_fd, 1) < 0 || dup2(l->log_fd, 2) < 0 || dup2(l->go_fd, GO_FD) < 0) {
        _exit(126);
    }
    close_range(GO_FD + 1, ~0u, 0);
    signal(SIGPIPE, SIG_DFL);
    execv(l->argv[0], (char *const *)(uintptr_t)l->argv);
    dprintf(2, "%s: %s\n", l->argv[0], strerror(errno));
    _exit(127);
}

/* A: never returns. */
static void launch_child(const struct launch *l)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    pid_t pid = -1;
    struct pid_max m;
    pid_max_read(&m);
    if (setsid() < 0 || dup2(null, 0) < 0 || up_cgroup_enter(l->u, l->name) != 0 || unshare(NODE_NAMESPACES) != 0) {
        dprintf(l->log_fd, "namespaces of node %s: %s\n", l->name, strerror(errno));
        _exit(126);
    }
    pid = fork();
    if (pid == 0) {
        launch_init(l, &m);
    }
    if (pid < 0 || write(l->pid_fd, &pid, sizeof(pid)) != (ssize_t)sizeof(pid)) {
        _exit(126);
    }
    _exit(0);
}

static int launch(struct launch *l, pid_t *pid, struct error *err)
{
    int pid_pipe[2];
    if (pipe2(pid_pipe, O_CLOEXEC) != 0) {
        return error_set_errno(err, errno, "pipe");
    }
    l->pid_fd = pid_pipe[1];
    pid_t child = fork();
    if (child == 0) {
        launch_child(l);
    }
    close(pid_pipe[1]);
    ssize_t n = child < 0 ? -1 : read(pid_pipe[0], pid, sizeof(*pid));
    close(pid_pipe[0]);
    int status = 0;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return n == (ssize_t)sizeof(*pid)
               ? 0
               : error_set(err, ERR_SYSTEM, "make the namespaces of node %s: see logs/%s.log", l->name, l->name);
}

/* rctl node-init NAME JOINED-PATH N [N words of the join command] AGENT... : words are counted, so nothing needs
 * quoting. */
static const char **init_argv(struct arena *a, const char *name, const struct up_node_spec *spec)
{
    char self[UP_PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    self[n < 0 ? 0 : n] = '\0';
    unsigned joins = 0, runs = 0, k = 0;
    while (spec->join_argv != NULL && spec->join_argv[joins] != NULL) {
        joins++;
    }
    while (spec->argv[runs] != NULL) {
        runs++;
    }
    const char **argv = arena_alloc(a, (joins + runs + 6) * sizeof(*argv));
    argv[k++] = arena_strdup(a, self);
    argv[k++] = "node-init";
    argv[k++] = name;
    argv[k++] = spec->joined_path == NULL ? "-" : spec->joined_path;
    argv[k++] = arena_printf(a, "%u", joins);
    for (unsigned i = 0; i < joins; i++) {
        argv[k++] = spec->join_argv[i];
    }
    for (unsigned i = 0; i < runs; i++) {
        argv[k++] = spec->argv[i];
    }
    return argv;
}

int up_node_start(const struct up *u, const struct up_node_spec *spec, struct error *err)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    const char *name = arena_printf(&a, "n%u", spec->index + 1);
    int rc = up_cgroup_make(u, name, err);
    if (rc != 0) {
        return rc;
    }
    const char *log = up_path(&a, u, "logs/%s.log", name);
    CLEANUP_CLOSE int log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    int go[2];
    if (log_fd < 0 || pipe2(go, O_CLOEXEC) != 0) {
        return error_set_errno(err, errno, "open %s", log);
    }
    struct launch l = {.u = u, .name = name, .argv = init_argv(&a, name, spec), .log_fd = log_fd, .go_fd = go[0]};
    pid_t pid = 0;
    rc = launch(&l, &pid, err);
    close(go[0]);
    rc = rc != 0 ? rc : up_record_pid(u, name, pid, err);
    rc = rc != 0 ? rc : up_fabric_attach(u, spec->index, pid, err);
    if (rc == 0 && write(go[1], "g", 1) != 1) {
        rc = error_set_errno(err, errno, "start node %s", name);
    }
    close(go[1]);
    return rc;
}

/* ---- Pid 1's half ---- */

static int read_list(char *out, size_t size, struct error *err)
{
    int fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, out, size - 1);
    if (fd >= 0) {
        close(fd);
    }
    if (n < 0) {
        return error_set_errno(err, errno, "read /proc/self/cgroup");
    }
    out[n] = '\0';
    return 0;
}

static int mount_at(const char *type, const char *dir, unsigned long flags, const char *data, struct error *err)
{
    return mount(type, dir, type, flags, data) != 0 ? error_set_errno(err, errno, "mount %s on %s", type, dir) : 0;
}

/* A node sees the machine's files, but its own processes, devices of the kernel, control groups, /run and shared
 * memory. */
static int mount_all(struct error *err)
{
    char list[4096];
    int rc = read_list(list, sizeof(list), err);
    if (rc == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        rc = error_set_errno(err, errno, "make / private");
    }
    umount2("/sys", MNT_DETACH);
    rc = rc != 0 ? rc : mount_at("proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, err);
    rc = rc != 0 ? rc : mount_at("sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, err);
    rc = rc != 0 ? rc : up_cgroup_mount(list, err);
    rc = rc != 0 ? rc : mount_at("tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=755", err);
    rc = rc != 0 ? rc : mount_at("tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777", err);
    if (rc == 0 && mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL) != 0) {
        rc = error_set_errno(err, errno, "make / shared");
    }
    return rc;
}

static int set_sysctl(const char *path, const char *text, struct error *err)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));
    int e = errno;
    if (fd >= 0) {
        close(fd);
    }
    return n < 0 ? error_set_errno(err, e, "write %s", path) : 0;
}

/* Children inherit what pid 1 blocks: undo it. */
static pid_t start(const char *const *argv)
{
    pid_t pid = fork();
    if (pid == 0) {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        setsid();
        execv(argv[0], (char *const *)(uintptr_t)argv);
        dprintf(2, "%s: %s\n", argv[0], strerror(errno));
        _exit(127);
    }
    return pid;
}

/* Reaps whatever ends. True when `pid` was among it. */
static bool reap(pid_t pid, int *status)
{
    bool found = false;
    for (;;) {
        int st;
        pid_t p = waitpid(-1, &st, WNOHANG);
        if (p <= 0) {
            return found;
        }
        if (p == pid) {
            found = true;
            *status = st;
        }
    }
}

enum wait_end { WAIT_ENDED, WAIT_LATE, WAIT_STOP };

/* Waits for the child's end, for at most seconds (0 = for ever), or until asked to stop. pid 0: only time and
 * signals count. */
static enum wait_end wait_child(pid_t pid, const sigset_t *set, int *status, int seconds)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    time_t until = now.tv_sec + seconds;
    for (;;) {
        if (reap(pid, status)) {
            return WAIT_ENDED;
        }
        clock_gettime(CLOCK_MONOTONIC, &now);
        struct timespec left = {.tv_sec = seconds == 0 ? 3600 : MAX(until - now.tv_sec, 0)};
        int sig = sigtimedwait(set, NULL, &left);
        if (sig == SIGTERM || sig == SIGINT) {
            return WAIT_STOP;
        }
        if (sig < 0 && errno == EAGAIN && seconds > 0) {
            return WAIT_LATE;
        }
    }
}

/* The power switch: the agent may finish what it writes, then the kernel ends the rest of the node. */
static void stop(pid_t pid, const sigset_t *set)
{
    int status;
    if (pid > 0) {
        kill(pid, SIGTERM);
        wait_child(pid, set, &status, TERM_S);
    }
    _exit(0);
}

/* Runs the command to its end. */
static int run_once(const char *const *argv, const sigset_t *set)
{
    int status = -1;
    pid_t pid = start(argv);
    if (pid < 0) {
        return -1;
    }
    if (wait_child(pid, set, &status, 0) == WAIT_STOP) {
        stop(pid, set);
    }
    return status;
}

static void rest(const sigset_t *set)
{
    int status;
    if (wait_child(0, set, &status, RESTART_S) == WAIT_STOP) {
        stop(0, set);
    }
}

static int setup(const char *name, struct error *err)
{
    char go;
    if (read(GO_FD, &go, 1) != 1) {
        _exit(0);
    }
    close(GO_FD);
    prctl(PR_SET_NAME, "reeve-node");
    if (sethostname(name, strlen(name)) != 0) {
        return error_set_errno(err, errno, "set the host name");
    }
    int rc = mount_all(err);
    return rc != 0 ? rc : set_sysctl("/proc/sys/net/ipv4/ip_forward", "1", err);
}

static void join(const struct log *log, const char *name, const char *joined_path, const char *const *argv,
                 const sigset_t *set)
{
    for (;;) {
        int status = run_once(argv, set);
        if (status == 0) {
            break;
        }
        log_warn(log, name, "joining failed (status %d), again in %d s", status, RESTART_S);
        rest(set);
    }
    for (unsigned i = 0; argv[i] != NULL && argv[i + 1] != NULL; i++) {
        if (strcmp(argv[i], "--token-file") == 0) {
            unlink(argv[i + 1]); /* it has done its service */
        }
    }
    int fd = open(joined_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd >= 0) {
        close(fd);
    }
}

int up_node_main(int argc, const char *const *argv)
{
    struct log log = {.name = "node", .level = LOG_LEVEL_INFO};
    struct error err = {0};
    int joins = argc > 2 ? atoi(argv[2]) : 0;
    if (argc < 4 || joins < 0 || joins > argc - 4) {
        fputs("node-init is started by \"rctl up\" only\n", stderr);
        return 2;
    }
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    if (setup(argv[0], &err) != 0) {
        log_error(&log, argv[0], "%s", err.message);
        return 1;
    }
    if (joins > 0) {
        const char **words = xcalloc((size_t)joins + 1, sizeof(*words));
        memcpy(words, argv + 3, (size_t)joins * sizeof(*words));
        join(&log, argv[0], argv[1], words, &set);
        free(words);
    }
    for (;;) {
        int status = run_once(argv + 3 + joins, &set);
        log_warn(&log, argv[0], "the agent ended (%s %d), again in %d s", WIFEXITED(status) ? "exit" : "signal",
                 WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status), RESTART_S);
        rest(&set);
    }
}
