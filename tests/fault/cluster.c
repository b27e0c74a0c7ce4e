#include "tests/fault/cluster.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/fault/kit.h"
#include "tests/kit/free_port.h"

/* Often, so that masters that come back are sent one. */
#define SNAPSHOTS "--snapshot-entries", "300"
#define READY_MS  60000
#define ANSWER_MS 1500
#define JOIN_MS   40000
#define PORT      7400

extern char **environ;

/* ---- Processes ---- */

const char *cluster_member_dir(struct cluster *c, unsigned i)
{
    return arena_printf(&c->arena, "%s/m%u", c->dir, i + 1);
}

/* Built before fork: the child may only do what is safe in one thread of many. */
static char **environment(struct cluster *c, unsigned i)
{
    size_t n = 0;
    while (environ[n] != NULL) {
        n++;
    }
    char **env = arena_alloc(&c->arena, (n + 5) * sizeof *env);
    memcpy(env, environ, n * sizeof *env);
    if (c->shim[0] != '\0') {
        env[n++] = arena_printf(&c->arena, "LD_PRELOAD=%s", c->shim);
        env[n++] = arena_printf(&c->arena, SHIM_ENVIRONMENT "=%s/m%u.shim", c->dir, i + 1);
        env[n++] = arena_strdup(&c->arena, "ASAN_OPTIONS=verify_asan_link_order=0");
    }
    return env;
}

pid_t cluster_spawn(struct cluster *c, unsigned port, const char *log, const char *const *argv, char *const *env)
{
    pid_t pid = fork();
    if (pid < 0) {
        fault_die("fork", NULL);
    }
    if (pid > 0) {
        return pid;
    }
    int out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* A core dump, if there is one, lies in the cell's directory. */
    setrlimit(RLIMIT_CORE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY});
    setpgid(0, 0); /* an interrupt typed at the terminal is ours alone */
    if (chdir(c->dir) != 0 || out < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0 ||
        (c->isolated && setns(c->fabric.members[port], CLONE_NEWNET) != 0)) {
        _exit(126);
    }
    signal(SIGPIPE, SIG_DFL);
    execve(argv[0], (char *const *)(uintptr_t)argv, env == NULL ? environ : env);
    dprintf(2, "%s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

static pid_t start(struct cluster *c, unsigned i, const char *log, const char *const *argv)
{
    return cluster_spawn(c, i + 1, log, argv, environment(c, i));
}

void cluster_start(struct cluster *c, unsigned i)
{
    struct cluster_member *m = &c->members[i];
    if (m->pid != 0 || m->gone) {
        return;
    }
    const char *argv[] = {c->program, "run", "--dir", cluster_member_dir(c, i), NULL};
    m->pid = start(c, i, arena_printf(&c->arena, "%s/m%u.log", c->dir, i + 1), argv);
    m->frozen = false;
    m->starts++;
}

void cluster_kill(struct cluster *c, unsigned i)
{
    pid_t pid = c->members[i].pid;
    if (pid == 0) {
        return;
    }
    c->members[i].pid = 0;
    c->members[i].frozen = false;
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
}

bool cluster_wait_end(pid_t pid, int64_t limit_ms, int *status)
{
    int64_t end_us = fault_now_us() + limit_ms * 1000;
    while (waitpid(pid, status, WNOHANG) != pid) {
        if (fault_now_us() > end_us) {
            return false;
        }
        fault_sleep_ms(5);
    }
    return true;
}

int cluster_stop(struct cluster *c, unsigned i, int64_t limit_ms)
{
    int status = 0;
    if (c->members[i].pid == 0) {
        return 0;
    }
    kill(c->members[i].pid, SIGTERM);
    if (!cluster_wait_end(c->members[i].pid, limit_ms, &status)) {
        cluster_kill(c, i);
        return -1;
    }
    c->members[i].pid = 0;
    return status;
}

void cluster_freeze(struct cluster *c, unsigned i, bool frozen)
{
    if (c->members[i].pid != 0) {
        kill(c->members[i].pid, frozen ? SIGSTOP : SIGCONT);
        c->members[i].frozen = frozen;
    }
}

unsigned cluster_lost(struct cluster *c, int *status)
{
    for (unsigned i = 0; i < c->count; i++) {
        if (c->members[i].pid != 0 && waitpid(c->members[i].pid, status, WNOHANG) == c->members[i].pid) {
            c->members[i].pid = 0;
            return i + 1;
        }
    }
    return 0;
}

/* ---- Asking ---- */

bool cluster_member_in(const struct cluster *c, unsigned i)
{
    return i < c->count && c->members[i].joined && !c->members[i].gone;
}

unsigned cluster_size(const struct cluster *c)
{
    unsigned n = 0;
    for (unsigned i = 0; i < c->count; i++) {
        n += cluster_member_in(c, i);
    }
    return n;
}

bool cluster_ask(struct cluster *c, unsigned i, struct cluster_view *out)
{
    CLEANUP_ARENA struct arena arena;
    CLEANUP_REPLY struct api_reply r = {0};
    struct error err = {0};
    arena_init(&arena);
    *out = (struct cluster_view){0};
    if (c->members[i].pid == 0 || c->members[i].frozen) {
        return false;
    }
    api_pin(c->api, c->members[i].address);
    bool ok = api_read(c->api, "cluster", value_map(&arena), &r, &err) == 0;
    api_pin(c->api, NULL);
    if (!ok) {
        return false;
    }
    struct str hash = mp_str(mp_get(r.result, "stateHash"));
    *out = (struct cluster_view){.id = mp_int(mp_get(r.result, "id"), 0),
                                 .leader = mp_int(mp_get(r.result, "leader"), 0),
                                 .term = mp_int(mp_get(r.result, "term"), 0),
                                 .revision = mp_int(mp_get(r.result, "revision"), -1),
                                 .applied = mp_int(mp_get(r.result, "appliedIndex"), -1)};
    snprintf(out->hash, sizeof out->hash, "%.*s", STR_ARG(hash));
    for (struct mp_iter it = mp_iter(mp_get(r.result, "members")); mp_next(&it);) {
        out->members++;
        out->voters += str_is(mp_str(mp_get(it.value, "role")), "voter");
    }
    return true;
}

int cluster_leader(struct cluster *c)
{
    int leader = -1;
    int64_t term = -1;
    for (unsigned i = 0; i < c->count; i++) {
        struct cluster_view v;
        if (cluster_member_in(c, i) && cluster_ask(c, i, &v) && v.id == v.leader && v.term > term) {
            leader = (int)i;
            term = v.term;
        }
    }
    return leader;
}

/* ---- Bringing it up ---- */

static const char *shim_path(struct cluster *c, unsigned i)
{
    return arena_printf(&c->arena, "%s/m%u.shim", c->dir, i + 1);
}

static void make_shim(struct cluster *c, unsigned i)
{
    const char *path = shim_path(c, i);
    CLEANUP_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof(struct shim_control)) != 0) {
        fault_die(path, NULL);
    }
    void *p = mmap(NULL, sizeof(struct shim_control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) {
        fault_die(path, NULL);
    }
    c->members[i].shim = p;
}

volatile struct shim_control *cluster_shim(struct cluster *c, unsigned i)
{
    assert(c->members[i].shim != NULL);
    return c->members[i].shim;
}

static void make_member(struct cluster *c, unsigned i)
{
    struct cluster_member *m = &c->members[i];
    *m = (struct cluster_member){0};
    if (c->isolated) {
        char ip[32];
        fabric_add(&c->fabric, i + 1);
        fabric_address(i + 1, ip, sizeof ip);
        snprintf(m->address, sizeof m->address, "%s:%u", ip, PORT);
    } else {
        m->port = free_port();
        snprintf(m->address, sizeof m->address, "127.0.0.1:%u", m->port);
    }
    disk_open(&m->disk, c->disk_type, cluster_member_dir(c, i));
    if (c->shim[0] != '\0') {
        make_shim(c, i);
    }
}

static void read_target(struct cluster *c)
{
    struct config conf;
    struct error err = {0};
    if (config_load(&c->arena, arena_printf(&c->arena, "%s/admin.config", cluster_member_dir(c, 0)), &conf, &err) !=
            0 ||
        config_resolve(&c->arena, &conf, NULL, &c->target, &err) != 0 ||
        api_new(&c->target, ANSWER_MS, false, &c->api, &err) != 0) {
        fault_die("client configuration", &err);
    }
}

const char *cluster_token(struct cluster *c, const char *role, int64_t uses, int64_t replaces)
{
    CLEANUP_REPLY struct api_reply r = {0};
    struct api *a;
    struct error err = {0};
    struct value *params = value_map(&c->arena);
    value_set(&c->arena, params, "role", value_cstr(&c->arena, role));
    value_set(&c->arena, params, "uses", value_int(&c->arena, uses));
    if (replaces != 0) {
        value_set(&c->arena, params, "replaces", value_int(&c->arena, replaces));
    }
    if (api_new(&c->target, 10000, false, &a, &err) != 0) {
        fault_die("client", &err);
    }
    bool ok = api_read(a, "token", params, &r, &err) == 0; /* a write, but one without transaction id */
    struct str token = mp_str(mp_get(r.result, "token"));
    if (!ok) {
        fprintf(stderr, "fault: no token for a %s: %s\n", role, err.message);
    }
    const char *copy = ok ? arena_strndup(&c->arena, token.p, token.n) : NULL;
    api_free(a);
    return copy;
}

/* `reeve-master init` or `join`, to its end. */
static bool set_up(struct cluster *c, unsigned i, const char *token)
{
    const char *dir = cluster_member_dir(c, i), *listen = c->members[i].address;
    const char *token_path = arena_printf(&c->arena, "%s/token", c->dir);
    CLEANUP_BUF struct buf others = BUF_INIT;
    for (unsigned k = 0; k < c->count; k++) {
        if (k != i && cluster_member_in(c, k)) {
            buf_printf(&others, "%s%s", others.size > 0 ? "," : "", c->members[k].address);
        }
    }
    const char *init[] = {c->program, "init", "--dir", dir, "--listen", listen, SNAPSHOTS, NULL};
    const char *join[] = {c->program, "join",    "--dir",           dir, "--listen", listen, "--token-file",
                          token_path, SNAPSHOTS, buf_cstr(&others), NULL};
    if (token != NULL) {
        fault_write_file(token_path, token);
    }
    pid_t pid = start(c, i, arena_printf(&c->arena, "%s/setup.log", c->dir), token == NULL ? init : join);
    int status;
    if (!cluster_wait_end(pid, JOIN_MS, &status)) {
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        return false;
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Member 0 sees `voters` voters and a leader. */
static void wait_ready(struct cluster *c, unsigned voters)
{
    int64_t end_us = fault_now_us() + READY_MS * 1000;
    struct cluster_view v;
    while (!cluster_ask(c, 0, &v) || v.voters < voters || v.leader == 0) {
        int status;
        unsigned lost = cluster_lost(c, &status);
        if (lost != 0 || fault_now_us() > end_us) {
            struct error err = {0};
            error_set(&err, ERR_SYSTEM, "%u masters do not come up%s; see %s/*.log", voters,
                      lost != 0 ? ": one has ended" : "", c->dir);
            fault_die("set-up", &err);
        }
        fault_sleep_ms(50);
    }
}

void cluster_up(struct cluster *c, const struct cluster_config *config)
{
    memset(c, 0, sizeof *c);
    arena_init(&c->arena);
    snprintf(c->dir, sizeof c->dir, "%s", config->dir);
    snprintf(c->program, sizeof c->program, "%s", config->program);
    snprintf(c->shim, sizeof c->shim, "%s", config->shim == NULL ? "" : config->shim);
    c->isolated = config->isolated;
    c->disk_type = config->disk_type;
    fabric_none(&c->fabric);
    if (c->isolated) {
        fabric_open(&c->fabric, c->dir);
        c->fabric.relayed = config->relayed;
    }
    for (unsigned i = 0; i < config->masters; i++) {
        c->count = i + 1;
        make_member(c, i);
        const char *token = i == 0 ? NULL : cluster_token(c, "master", 1, 0);
        if ((i > 0 && token == NULL) || !set_up(c, i, token)) {
            struct error err = {0};
            error_set(&err, ERR_SYSTEM, "reeve-master %s failed; see %s/setup.log", i == 0 ? "init" : "join", c->dir);
            fault_die("set-up", &err);
        }
        if (i == 0) {
            read_target(c);
        }
        c->members[i].joined = true;
        c->target.servers[i] = c->members[i].address;
        c->target.servers_count = i + 1;
        cluster_start(c, i);
        wait_ready(c, i + 1);
    }
}

bool cluster_add(struct cluster *c, int64_t replaces, unsigned *index)
{
    if (c->count == CLUSTER_MEMBERS_MAX) {
        return false;
    }
    unsigned i = c->count++;
    make_member(c, i);
    const char *token = cluster_token(c, "master", 1, replaces);
    if (token == NULL || !set_up(c, i, token)) {
        c->members[i].gone = true;
        return false;
    }
    c->members[i].joined = true;
    cluster_start(c, i);
    *index = i;
    return true;
}

void cluster_down(struct cluster *c)
{
    for (unsigned i = 0; i < c->count; i++) {
        cluster_kill(c, i);
        disk_close(&c->members[i].disk);
    }
    api_free(c->api);
    arena_close(&c->arena);
}
