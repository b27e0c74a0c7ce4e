#include "tests/unit/kit/master_kit.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/kit/free_port.h"

/* ---- Processes ---- */

const char *kit_program(void)
{
    static char path[512];
    char self[400];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    assert_true(n > 0);
    self[n] = '\0';
    for (int up = 0; up < 3; up++) { /* BUILD/tests/unit/PROGRAM */
        *strrchr(self, '/') = '\0';
    }
    snprintf(path, sizeof path, "%s/reeve-master", self);
    return path;
}

unsigned kit_free_port(void)
{
    return free_port();
}

static const char *sibling_program(const char *name)
{
    static char path[520];
    const char *plain = kit_program();
    snprintf(path, sizeof path, "%.*s/%s", (int)(strrchr(plain, '/') - plain), plain, name);
    return path;
}

/* seconds: killed after so long; 0 = never. failpoints: NULL = none. A master that is told to end before it is the
 * program that can hear it (master/stop.h) hears it then. */
static pid_t spawn(const struct kit *k, const char *program, const char *const *args, const char *log_path,
                   unsigned seconds, const char *failpoints)
{
    const char *argv[40] = {program};
    unsigned n = 1;
    for (; args[n - 1] != NULL; n++) {
        assert_true(n < ARRAY_SIZE(argv) - 1);
        argv[n] = args[n - 1];
    }
    sigset_t stop, before;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    bool serves = args[0] != NULL && strcmp(args[0], "run") == 0;
    sigprocmask(SIG_BLOCK, serves ? &stop : NULL, &before);
    pid_t parent = getpid(), pid = fork();
    sigprocmask(SIG_SETMASK, pid == 0 ? NULL : &before, NULL);
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that crashes leaves no master behind */
        alarm(seconds);
        if (k->descriptors > 0) {
            setrlimit(RLIMIT_NOFILE, &(struct rlimit){k->descriptors / 2, k->descriptors});
        }
        int fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND, 0600);
        if (getppid() != parent || fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0) {
            _exit(126);
        }
        if (failpoints != NULL) {
            setenv("REEVE_FAILPOINTS", failpoints, 1);
        }
        execv(argv[0], (char *const *)argv);
        _exit(127);
    }
    return pid;
}

/* A process that does not end in time is killed, so that no test hangs for it. */
static int wait_for(pid_t pid)
{
    int status = 0, fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd >= 0) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        for (int64_t left, until = kit_now() + KIT_END_MS; (left = until - kit_now()) > 0;) {
            if (poll(&p, 1, (int)left) > 0) {
                break;
            }
        }
        if ((p.revents & POLLIN) == 0) {
            kill(pid, SIGKILL);
        }
        close(fd);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static char *read_all(const char *path)
{
    struct buf b = BUF_INIT;
    FILE *f = fopen(path, "r");
    if (f != NULL) {
        char part[4096];
        size_t n;
        while ((n = fread(part, 1, sizeof part, f)) > 0) {
            buf_append(&b, part, n);
        }
        fclose(f);
    }
    buf_cstr(&b);
    return (char *)buf_take(&b, NULL);
}

/* Clients go on meanwhile. */
static int run_program(struct kit *k, const char *program, char **said, const char *const *args)
{
    char path[200];
    int status = 0;
    snprintf(path, sizeof path, "%s/run.out", k->dir);
    unlink(path);
    pid_t pid = spawn(k, program, args, path, 80, NULL);
    while (waitpid(pid, &status, WNOHANG) == 0) {
        kit_turn(k, 10);
        if (k->meanwhile != NULL) {
            k->meanwhile(k);
        }
    }
    if (said != NULL) {
        *said = read_all(path);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int kit_run(struct kit *k, char **said, const char *const *args)
{
    return run_program(k, kit_program(), said, args);
}

static int run_rctl(struct kit *k, const char *program, char **said, const char *const *args)
{
    const char *argv[32] = {"--config", arena_printf(&k->arena, "%s/admin.config", k->masters[0].dir)};
    for (unsigned n = 2; (argv[n] = args[n - 2]) != NULL; n++) {
        assert_true(n < ARRAY_SIZE(argv) - 1);
    }
    return run_program(k, sibling_program(program), said, argv);
}

int kit_rctl(struct kit *k, char **said, const char *const *args)
{
    return run_rctl(k, "rctl", said, args);
}

int kit_rctl_newer(struct kit *k, char **said, const char *const *args)
{
    return run_rctl(k, "tests/rctl-next", said, args);
}

void kit_set_newer(struct kit *k, unsigned i, bool newer)
{
    k->masters[i].newer = newer;
}

char *kit_log(struct kit *k, unsigned i)
{
    return read_all(k->masters[i].log);
}

void kit_tell_log(struct kit *k, unsigned i)
{
    CLEANUP_FREE char *log = kit_log(k, i);
    size_t n = strlen(log), from = MIN((size_t)k->masters[i].begun, n);
    from = MAX(from, n - MIN(n, KIT_TOLD_BYTES));
    fprintf(stderr, "---- master %u since its last start%s:\n%s----\n", i,
            from > (size_t)k->masters[i].begun ? ", the end" : "", log + from);
}

size_t kit_memory_kb(struct kit *k, unsigned i)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/status", (int)k->masters[i].pid);
    CLEANUP_FREE char *text = read_all(path);
    char *at = strstr(text, "VmRSS:");
    assert_non_null(at);
    return strtoul(at + 6, NULL, 10);
}

int64_t kit_cpu_ms(struct kit *k, unsigned i)
{
    char path[64];
    unsigned long user = 0, kernel = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)k->masters[i].pid);
    CLEANUP_FREE char *text = read_all(path);
    const char *at = strrchr(text, ')');
    assert_true(at != NULL &&
                sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel) == 2);
    return (int64_t)(user + kernel) * 1000 / sysconf(_SC_CLK_TCK);
}

static struct kit *costly; /* of COST=1: the kit that lives */

static void tell_cost(const struct kit_master *m)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/status", (int)m->pid);
    CLEANUP_FREE char *text = read_all(path);
    const char *peak = strstr(text, "VmHWM:"), *now = strstr(text, "VmRSS:");
    unsigned i = (unsigned)(m - costly->masters);
    if (peak != NULL && now != NULL) {
        print_message("cost of master %u: %.2f s of CPU, %.1f MiB now, %.1f MiB at most\n", i,
                      (double)kit_cpu_ms(costly, i) / 1000, (double)strtoul(now + 6, NULL, 10) / 1024,
                      (double)strtoul(peak + 6, NULL, 10) / 1024);
    }
}

/* Also of masters that a test leaves behind that fails. */
static void tell_costs_at_end(void)
{
    for (unsigned i = 0; costly != NULL && i < costly->masters_count; i++) {
        if (costly->masters[i].pid > 0) {
            tell_cost(&costly->masters[i]);
        }
    }
}

static void watch_costs(struct kit *k)
{
    static bool told;
    if (getenv("COST") != NULL) {
        costly = k;
        told = told || atexit(tell_costs_at_end) == 0;
    }
}

/* ---- The kit ---- */

int64_t kit_now(void)
{
    return env_now_ms(env_real());
}

struct kit *kit_new(void)
{
    struct kit *k = xcalloc(1, sizeof *k);
    watch_costs(k);
    signal(SIGPIPE, SIG_IGN);
    snprintf(k->dir, sizeof k->dir, "/tmp/reeve-test-XXXXXX");
    assert_non_null(mkdtemp(k->dir));
    uv_loop_init(&k->loop);
    uv_timer_init(&k->loop, &k->timer);
    arena_init(&k->arena);
    list_init(&k->clients);
    return k;
}

static void remove_tree(const char *path)
{
    chmod(path, 0700);
    DIR *d = opendir(path);
    if (d == NULL) {
        unlink(path);
        return;
    }
    struct dirent *e;
    while ((e = readdir(d)) != NULL) {
        char sub[600];
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            snprintf(sub, sizeof sub, "%s/%s", path, e->d_name);
            if (e->d_type == DT_DIR) {
                remove_tree(sub);
            } else {
                unlink(sub);
            }
        }
    }
    closedir(d);
    rmdir(path);
}

void kit_free(struct kit *k)
{
    kit_thaw_all(k);
    LIST_FOR_SAFE(it, &k->clients)
    {
        client_close(LIST_ENTRY(it, struct client, link));
    }
    int64_t until = kit_now() + KIT_WAIT_MS;
    while (k->clients_open > 0 && kit_now() < until) {
        kit_turn(k, 50);
    }
    assert_int_equal(k->clients_open, 0);
    for (unsigned i = 0; i < k->masters_count; i++) {
        kit_stop(k, i, SIGTERM);
    }
    costly = NULL;
    uv_close((uv_handle_t *)&k->timer, NULL);
    uv_run(&k->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&k->loop), 0);
    arena_close(&k->arena);
    free(k->ca);
    pki_free_key(k->ca_key);
    if (getenv("KEEP") == NULL) {
        remove_tree(k->dir);
    }
    free(k);
}

static unsigned new_master(struct kit *k)
{
    assert_true(k->masters_count < KIT_MASTERS_MAX);
    unsigned i = k->masters_count++;
    struct kit_master *m = &k->masters[i];
    char home[sizeof k->dir];
    memcpy(home, k->dir, sizeof home);
    snprintf(m->dir, sizeof m->dir, "%s/m%u", home, i);
    snprintf(m->log, sizeof m->log, "%s/m%u.log", home, i);
    if (m->addr[0] == '\0') {
        snprintf(m->addr, sizeof m->addr, "127.0.0.1:%u", kit_free_port());
    }
    return i;
}

/* Joined command line: what is fixed, what the kit was given, what comes last. */
static int run_setup(struct kit *k, unsigned i, char **said, const char *command, const char *token, const char *by)
{
    const char *args[32] = {command,
                            "--dir",
                            k->masters[i].dir,
                            "--listen",
                            k->masters[i].addr,
                            "--election-timeout",
                            "500",
                            "--raft-heartbeat",
                            "50"};
    unsigned n = 9;
    if (strcmp(command, "init") == 0) { /* what pods get by themselves is shown where it is meant (master_tokens) */
        args[n++] = "--set";
        args[n++] = "podTokens=OnRequest";
    }
    for (const char *const *a = k->run_args; a != NULL && *a != NULL; a++) {
        args[n++] = *a;
    }
    if (token != NULL) {
        args[n++] = "--token";
        args[n++] = token;
        args[n++] = by;
    }
    return kit_run(k, said, args);
}

static char *file_of(struct kit *k, unsigned i, const char *name)
{
    char path[256], *text = NULL;
    struct error err = {0};
    snprintf(path, sizeof path, "%s/%s", k->masters[i].dir, name);
    if (pki_read_file(path, 1 << 20, &text, NULL, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return text;
}

void kit_init(struct kit *k, const char *const *args)
{
    CLEANUP_FREE char *said = NULL;
    k->run_args = args;
    unsigned i = new_master(k);
    int rc = run_setup(k, i, &said, "init", NULL, NULL);
    if (rc != 0) {
        fail_msg("init ended with %d: %s", rc, said);
    }
    k->ca = file_of(k, i, "ca.crt");
    k->ca_key = file_of(k, i, "ca.key");
}

int kit_join_at(struct kit *k, const char *by, const char *token, char **said)
{
    unsigned i = new_master(k);
    return run_setup(k, i, said, "join", token, by);
}

int kit_join_with(struct kit *k, unsigned by, const char *token, char **said)
{
    return kit_join_at(k, k->masters[by].addr, token, said);
}

unsigned kit_join(struct kit *k, unsigned by)
{
    struct client *c = client_admin(k, by);
    must(c, "token", "{role: master}");
    CLEANUP_FREE char *said = NULL;
    if (kit_join_with(k, by, text_at(c, "token"), &said) != 0) {
        fail_msg("join: %s", said);
    }
    client_close(c);
    return k->masters_count - 1;
}

void kit_start_armed(struct kit *k, unsigned i, const char *failpoints)
{
    const char *args[] = {"run", "--dir", k->masters[i].dir, NULL};
    assert_int_equal(k->masters[i].pid, 0);
    const char *program = k->masters[i].newer  ? sibling_program("tests/reeve-master-next")
                          : failpoints == NULL ? kit_program()
                                               : sibling_program("tests/reeve-master");
    struct stat before;
    k->masters[i].begun = stat(k->masters[i].log, &before) == 0 ? before.st_size : 0;
    k->masters[i].pid = spawn(k, program, args, k->masters[i].log, 0, failpoints);
}

void kit_start(struct kit *k, unsigned i)
{
    kit_start_armed(k, i, NULL);
}

int kit_wait_end(struct kit *k, unsigned i)
{
    struct kit_master *m = &k->masters[i];
    int status = 0;
    for (int64_t until = kit_now() + KIT_WAIT_MS; waitpid(m->pid, &status, WNOHANG) == 0; kit_turn(k, 20)) {
        if (kit_now() > until) {
            kit_tell_log(k, i);
            fail_msg("master %u does not end by itself", i);
        }
    }
    m->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool kit_stands(struct kit *k, unsigned i)
{
    int status = 0;
    if (waitpid(k->masters[i].pid, &status, WUNTRACED | WNOHANG) == 0) {
        return false;
    }
    if (!WIFSTOPPED(status)) {
        k->masters[i].pid = 0;
        kit_tell_log(k, i);
        fail_msg("master %u ended, status %d", i, status);
    }
    return true;
}

void kit_wait_standing(struct kit *k, unsigned i)
{
    for (int64_t until = kit_now() + KIT_WAIT_MS; !kit_stands(k, i); kit_turn(k, 5)) {
        if (kit_now() > until) {
            kit_tell_log(k, i);
            fail_msg("master %u does not come to where it is to stand still", i);
        }
    }
}

void kit_freeze(struct kit *k, unsigned i)
{
    assert_true(k->masters[i].pid > 0);
    kill(k->masters[i].pid, SIGSTOP);
}

void kit_thaw(struct kit *k, unsigned i)
{
    assert_true(k->masters[i].pid > 0);
    kill(k->masters[i].pid, SIGCONT);
}

void kit_thaw_all(struct kit *k)
{
    for (unsigned i = 0; i < k->masters_count; i++) {
        if (k->masters[i].pid > 0) {
            kit_thaw(k, i);
        }
    }
}

void kit_stop(struct kit *k, unsigned i, int sig)
{
    struct kit_master *m = &k->masters[i];
    if (m->pid == 0) {
        return;
    }
    if (costly == k) {
        tell_cost(m);
    }
    kill(m->pid, sig);
    kill(m->pid, SIGCONT); /* a frozen one would never hear of it */
    int rc = wait_for(m->pid);
    m->pid = 0;
    if (sig != SIGKILL && rc != 0) {
        kit_tell_log(k, i);
        fail_msg("master %u ended with %d", i, rc);
    }
}

struct kit *kit_one(const char *const *args)
{
    struct kit *k = kit_new();
    kit_init(k, args);
    kit_start(k, 0);
    kit_leader(k);
    return k;
}

void kit_wait_voters(struct kit *k, unsigned by, unsigned wanted)
{
    struct client *c = client_admin(k, by);
    unsigned voters = 0;
    for (int64_t until = kit_now() + KIT_WAIT_MS; voters < wanted;) {
        assert_true(kit_now() < until);
        voters = 0;
        must(c, "cluster", "{}");
        const struct value *members = value_get(c->result, "members");
        VALUE_FOR(i, members)
        {
            voters += str_is(value_path_str(value_item(members, i), "role"), "voter");
        }
        kit_turn(k, 20);
    }
    client_close(c);
}

int64_t kit_wait_parts(struct kit *k, unsigned parts)
{
    for (int64_t until = kit_now() + KIT_WAIT_MS;; kit_turn(k, 50)) {
        struct client *c = client_admin(k, kit_leader(k));
        unsigned has = 0, all = 0;
        int64_t generation = 0;
        if (call(c, "cert.status", "{}") == 0) {
            const struct value *list = value_path(c->result, "caKey.parts");
            all = value_count(list);
            VALUE_FOR(i, list)
            {
                has += value_path_bool(value_item(list, i), "has", false);
            }
            if (value_path_bool(c->result, "caKey.atHand", false) && !value_path_bool(c->result, "caKey.clear", true) &&
                int_at(c, "caKey.threshold") == parts / 2 + 1) {
                generation = int_at(c, "caKey.generation");
            }
        }
        client_close(c);
        if (generation > 0 && has == parts && all == parts) {
            return generation;
        }
        if (kit_now() > until) {
            fail_msg("%u of %u masters have parts, generation %lld", has, all, (long long)generation);
        }
    }
}

struct kit *kit_three(const char *const *args)
{
    struct kit *k = kit_one(args);
    for (unsigned i = 1; i < 3; i++) {
        kit_start(k, kit_join(k, 0));
    }
    kit_wait_voters(k, 0, 3);
    return k;
}

static void timer_fired(uv_timer_t *t)
{
    *(bool *)t->data = true;
}

void kit_turn(struct kit *k, int64_t ms)
{
    bool late = false;
    k->timer.data = &late;
    uv_update_time(&k->loop);
    uv_timer_start(&k->timer, timer_fired, (uint64_t)ms, 0);
    uv_run(&k->loop, UV_RUN_ONCE);
    uv_timer_stop(&k->timer);
}

void kit_until(struct kit *k, const bool *done, const char *what)
{
    for (int64_t until = kit_now() + KIT_WAIT_MS; !*done;) {
        if (kit_now() > until) {
            fail_msg("waited in vain for: %s", what);
        }
        kit_turn(k, 200);
    }
}

struct value *kit_vdoc(struct kit *k, const char *fmt, va_list ap)
{
    char *text = arena_vprintf(&k->arena, fmt, ap);
    struct value **docs;
    unsigned count;
    struct error err = {0};
    if (yaml_read(&k->arena, str_of(text), NULL, &docs, &count, &err) != 0 || count != 1) {
        fail_msg("%s in: %s", err.message, text);
    }
    return docs[0];
}

struct value *kit_doc(struct kit *k, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    struct value *v = kit_vdoc(k, fmt, ap);
    va_end(ap);
    return v;
}

/* A leader takes writes when its barrier has passed: a read that it has confirmed says so. */
unsigned kit_leader(struct kit *k)
{
    for (int64_t until = kit_now() + KIT_WAIT_MS; kit_now() < until;) {
        for (unsigned i = 0; i < k->masters_count; i++) {
            if (k->masters[i].pid == 0) {
                continue;
            }
            struct client *c = client_admin(k, i);
            bool leads = call(c, "hello", "{}") == 0 && strcmp(text_at(c, "role"), "leader") == 0 &&
                         call(c, "get", "{kind: Namespace, name: default}") == 0;
            client_close(c);
            if (leads) {
                return i;
            }
        }
        kit_turn(k, 20);
    }
    for (unsigned i = 0; i < k->masters_count; i++) {
        kit_tell_log(k, i);
    }
    fail_msg("no leader");
    return 0;
}
