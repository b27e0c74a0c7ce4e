#include "tests/fault/processes.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Often, so that masters that come back are sent one. */
#define SNAPSHOTS "--snapshot-entries", "500"
#define READY_MS  30000
#define ANSWER_MS 1500

void fault_die(const char *what, const struct error *err)
{
    fprintf(stderr, "fault: %s: %s\n", what, err == NULL ? strerror(errno) : err->message);
    exit(1);
}

int64_t fault_now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

void fault_sleep_ms(int64_t ms)
{
    struct timespec ts = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&ts, &ts) != 0 && errno == EINTR) {
    }
}

/* ---- Processes ---- */

static pid_t start(struct processes *p, const char *log, const char *const *argv)
{
    pid_t pid = fork();
    if (pid < 0) {
        fault_die("fork", NULL);
    }
    if (pid == 0) {
        int out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (out < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0) {
            _exit(126);
        }
        execv(p->program, (char *const *)(uintptr_t)argv);
        dprintf(2, "%s: %s\n", p->program, strerror(errno));
        _exit(127);
    }
    return pid;
}

static void run_to_end(struct processes *p, const char *const *argv)
{
    const char *log = arena_printf(&p->arena, "%s/setup.log", p->dir);
    pid_t pid = start(p, log, argv);
    int status;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fprintf(stderr, "fault: %s %s failed; see %s\n", p->program, argv[1], log);
        processes_down(p, false);
        exit(1);
    }
}

static const char *master_dir(struct processes *p, unsigned i)
{
    return arena_printf(&p->arena, "%s/m%u", p->dir, i + 1);
}

void processes_start(struct processes *p, unsigned i)
{
    const char *argv[] = {p->program, "run", "--dir", master_dir(p, i), NULL};
    p->masters[i].pid = start(p, arena_printf(&p->arena, "%s/m%u.log", p->dir, i + 1), argv);
}

int processes_stop(struct processes *p, unsigned i, int64_t limit_ms)
{
    int64_t end_us = fault_now_us() + limit_ms * 1000;
    int status;
    kill(p->masters[i].pid, SIGTERM);
    while (fault_now_us() < end_us) {
        if (waitpid(p->masters[i].pid, &status, WNOHANG) == p->masters[i].pid) {
            p->masters[i].pid = 0;
            return status;
        }
        fault_sleep_ms(10);
    }
    processes_kill(p, i);
    return -1;
}

void processes_kill(struct processes *p, unsigned i)
{
    pid_t pid = p->masters[i].pid;
    if (pid == 0) {
        return;
    }
    p->masters[i].pid = 0;
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
}

void processes_freeze(struct processes *p, unsigned i, bool frozen)
{
    if (p->masters[i].pid != 0) {
        kill(p->masters[i].pid, frozen ? SIGSTOP : SIGCONT);
    }
}

unsigned processes_lost(struct processes *p, int *status)
{
    for (unsigned i = 0; i < FAULT_MASTERS; i++) {
        if (p->masters[i].pid != 0 && waitpid(p->masters[i].pid, status, WNOHANG) == p->masters[i].pid) {
            p->masters[i].pid = 0;
            return i + 1;
        }
    }
    return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

void processes_down(struct processes *p, bool remove)
{
    for (unsigned i = 0; i < FAULT_MASTERS; i++) {
        processes_kill(p, i);
    }
    if (remove) {
        nftw(p->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    }
    arena_close(&p->arena);
}

/* ---- Asking ---- */

bool processes_ask(struct processes *p, struct api *a, unsigned i, struct api_reply *out)
{
    CLEANUP_ARENA struct arena arena;
    struct error err = {0};
    arena_init(&arena);
    api_pin(a, p->masters[i].address);
    bool ok = api_read(a, "cluster", value_map(&arena), out, &err) == 0;
    api_pin(a, NULL);
    return ok;
}

int processes_leader(struct processes *p, struct api *a)
{
    for (unsigned i = 0; i < FAULT_MASTERS; i++) {
        CLEANUP_REPLY struct api_reply r = {0};
        if (p->masters[i].pid != 0 && processes_ask(p, a, i, &r) &&
            mp_int(mp_get(r.result, "id"), 0) == mp_int(mp_get(r.result, "leader"), -1)) {
            return (int)i;
        }
    }
    return -1;
}

/* ---- Bringing it up ---- */

/* A port that is free now. Somebody may be quicker; then the master says so in its log. */
static uint16_t free_port(void)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof in;
    CLEANUP_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&in, size) != 0 || getsockname(fd, (struct sockaddr *)&in, &size) != 0) {
        fault_die("find a free port", NULL);
    }
    return ntohs(in.sin_port);
}

static void read_target(struct processes *p, unsigned servers)
{
    struct config c;
    struct error err = {0};
    if (config_load(&p->arena, arena_printf(&p->arena, "%s/m1/admin.config", p->dir), &c, &err) != 0 ||
        config_resolve(&p->arena, &c, NULL, &p->target, &err) != 0) {
        fault_die("client configuration", &err);
    }
    p->target.servers_count = servers;
    for (unsigned i = 0; i < servers; i++) {
        p->target.servers[i] = p->masters[i].address;
    }
}

static void wait_ready(struct processes *p, unsigned masters)
{
    struct api *a;
    struct error err = {0};
    int64_t end_us = fault_now_us() + READY_MS * 1000;
    if (api_new(&p->target, ANSWER_MS, false, &a, &err) != 0) {
        fault_die("client", &err);
    }
    for (;;) {
        CLEANUP_REPLY struct api_reply r = {0};
        unsigned voters = 0;
        bool answered = processes_ask(p, a, 0, &r);
        for (struct mp_iter it = mp_iter(mp_get(r.result, "members")); answered && mp_next(&it);) {
            voters += str_is(mp_str(mp_get(it.value, "role")), "voter");
        }
        if (voters >= masters && mp_int(mp_get(r.result, "leader"), 0) != 0) {
            break;
        }
        int status;
        unsigned lost = processes_lost(p, &status);
        if (lost != 0 || fault_now_us() > end_us) {
            fprintf(stderr, "fault: %u masters do not come up%s; see %s/*.log\n", masters,
                    lost != 0 ? ": one has ended" : "", p->dir);
            exit(1);
        }
        fault_sleep_ms(50);
    }
    api_free(a);
}

static const char *master_token(struct processes *p)
{
    CLEANUP_REPLY struct api_reply r = {0};
    struct api *a;
    struct error err = {0};
    struct value *params = value_map(&p->arena);
    value_set(&p->arena, params, "role", value_cstr(&p->arena, "master"));
    if (api_new(&p->target, 10000, false, &a, &err) != 0 || api_read(a, "token", params, &r, &err) != 0) {
        fault_die("token", &err);
    }
    struct str token = mp_str(mp_get(r.result, "token"));
    const char *copy = arena_strndup(&p->arena, token.p, token.n);
    api_free(a);
    return copy;
}

void processes_up(struct processes *p, const char *dir, const char *program, bool notes)
{
    memset(p, 0, sizeof *p);
    arena_init(&p->arena);
    snprintf(p->dir, sizeof p->dir, "%s", dir);
    snprintf(p->program, sizeof p->program, "%s", program);
    if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
        fault_die(dir, NULL);
    }
    for (unsigned i = 0; i < FAULT_MASTERS; i++) {
        p->masters[i].port = free_port();
        snprintf(p->masters[i].address, sizeof p->masters[i].address, "127.0.0.1:%u", p->masters[i].port);
        const char *listen = p->masters[i].address;
        if (i == 0) {
            const char *argv[] = {program, "init", "--dir", master_dir(p, i), "--listen", listen, SNAPSHOTS, NULL};
            run_to_end(p, argv);
        } else {
            const char *argv[] = {program,   "join",          "--dir",   master_dir(p, i),      "--listen", listen,
                                  "--token", master_token(p), SNAPSHOTS, p->masters[0].address, NULL};
            run_to_end(p, argv);
        }
        read_target(p, i + 1);
        processes_start(p, i);
        wait_ready(p, i + 1);
        if (notes) {
            fprintf(stderr, "fault: master %u at %s, pid %d\n", i + 1, listen, (int)p->masters[i].pid);
        }
    }
}
