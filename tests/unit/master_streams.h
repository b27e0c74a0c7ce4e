/* Three masters and an agent (hollow: no processes) as programs, and rctl's streams through them. */
#ifndef TESTS_UNIT_MASTER_STREAMS_H
#define TESTS_UNIT_MASTER_STREAMS_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/unit/kit/master_kit.h"

#define MASTERS 3
#define LINE_MS 10 /* the container writes one so often */

struct proc {
    pid_t pid; /* 0: none */
    int input; /* its standard input; -1 */
    char out[200], err[200];
};
struct state {
    struct kit *kit;
    unsigned leader;
    char agent_dir[200], log_path[512];
    const char *config[MASTERS + 1]; /* of rctl: with one master; the last one: with all */
    struct proc agent;
    unsigned lines;
    int64_t line_ms;
};

static inline const char *program(const char *name)
{
    static char path[600];
    const char *master = kit_program();
    snprintf(path, sizeof path, "%.*s/%s", (int)(strrchr(master, '/') - master), master, name);
    return path;
}

/* All of them, so that none is left of a test that failed. */
static pid_t procs_started[256];
static unsigned procs_count;

static inline void end_procs(void)
{
    for (unsigned i = 0; i < procs_count; i++) {
        if (waitpid(procs_started[i], NULL, WNOHANG) == 0) {
            kill(procs_started[i], SIGKILL);
            waitpid(procs_started[i], NULL, 0);
        }
    }
    procs_count = 0;
}

static inline struct proc start(struct state *s, const char *const *args, bool with_input)
{
    static unsigned count;
    struct proc p = {.input = -1};
    int fds[2] = {-1, -1};
    char path[600];
    const char *argv[24];
    unsigned n = 0;
    for (; args[n] != NULL; n++) {
        argv[n] = args[n];
    }
    argv[n] = NULL;
    snprintf(path, sizeof path, "%s", program(argv[0]));
    snprintf(p.out, sizeof p.out, "%s/out-%u", s->kit->dir, count);
    snprintf(p.err, sizeof p.err, "%s/err-%u", s->kit->dir, count++);
    assert_int_equal(with_input ? pipe2(fds, O_CLOEXEC) : 0, 0);
    pid_t parent = getpid();
    p.pid = fork();
    assert_true(p.pid >= 0);
    if (p.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int in = with_input ? fds[0] : open("/dev/null", O_RDONLY);
        int out = open(p.out, O_WRONLY | O_CREAT | O_APPEND, 0600),
            err = open(p.err, O_WRONLY | O_CREAT | O_APPEND, 0600);
        if (getppid() != parent || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0) {
            _exit(126);
        }
        execv(path, (char *const *)argv);
        _exit(127);
    }
    assert_true(procs_count < ARRAY_SIZE(procs_started));
    procs_started[procs_count++] = p.pid;
    if (with_input) {
        close(fds[0]);
        p.input = fds[1];
    }
    return p;
}

static inline char *text_of(const char *path)
{
    struct buf b = BUF_INIT;
    FILE *f = fopen(path, "re");
    char part[8192];
    for (size_t n; f != NULL && (n = fread(part, 1, sizeof part, f)) > 0;) {
        buf_append(&b, part, n);
    }
    if (f != NULL) {
        fclose(f);
    }
    buf_cstr(&b);
    return (char *)buf_take(&b, NULL);
}

/* ---- The container writes, whoever lives ---- */

static inline void write_lines(struct state *s)
{
    if (s->log_path[0] == '\0' || kit_now() - s->line_ms < LINE_MS) {
        return;
    }
    s->line_ms = kit_now();
    FILE *f = fopen(s->log_path, "ae");
    assert_non_null(f);
    fprintf(f, "2026-01-02T03:04:05.%09uZ stdout F line %u\n", s->lines, s->lines);
    s->lines++;
    fclose(f);
    struct stat st;
    if (stat(s->log_path, &st) == 0 && st.st_size > 40000) { /* and rotates its log, keeping enough of it */
        char from[600], to[600];
        for (unsigned i = 8; i > 0; i--) {
            snprintf(from, sizeof from, "%s.%u", s->log_path, i - 1);
            snprintf(to, sizeof to, "%s.%u", s->log_path, i);
            rename(i == 1 ? s->log_path : from, to);
        }
    }
}

static inline void turn(struct state *s)
{
    write_lines(s);
    kit_turn(s->kit, 5);
}

static inline void pass(struct state *s, int64_t ms)
{
    for (int64_t until = kit_now() + ms; kit_now() < until;) {
        turn(s);
    }
}

#define wait_for(s, what, cond)                                                                                        \
    for (int64_t until_ = kit_now() + 2 * KIT_WAIT_MS; !(cond); turn(s)) {                                             \
        if (kit_now() > until_) {                                                                                      \
            fail_msg("waited in vain for %s", what);                                                                   \
        }                                                                                                              \
    }

static inline bool says(const char *path, const char *text)
{
    CLEANUP_FREE char *all = text_of(path);
    return strstr(all, text) != NULL;
}

static inline bool over(struct proc *p, int *code)
{
    int status;
    if (p->pid != 0 && waitpid(p->pid, &status, WNOHANG) == p->pid) {
        *code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        p->pid = 0;
    }
    return p->pid == 0;
}

static inline int finish(struct state *s, struct proc *p, int sig)
{
    int code = -1;
    if (p->input >= 0) {
        close(p->input);
        p->input = -1;
    }
    if (p->pid != 0 && sig != 0) {
        kill(p->pid, sig);
    }
    wait_for(s, "the end of a program", over(p, &code));
    return code;
}

/* ---- The cluster ---- */

static inline void run_agent(struct state *s)
{
    const char *const run[] = {"reeve-agent", "run",         "--dir", s->agent_dir, "--runtime",
                               "hollow",      "--log-level", "debug", NULL};
    s->agent = start(s, run, false);
}

/* servers NULL: the cluster is asked. */
static inline const char *make_config(struct state *s, const char *name, const char *servers)
{
    struct kit *k = s->kit;
    const char *path = arena_printf(&k->arena, "%s/%s.config", k->dir, name);
    CLEANUP_FREE char *text = text_of(arena_printf(&k->arena, "%s/admin.config", k->masters[0].dir));
    FILE *f = fopen(path, "we");
    fputs(text, f);
    fclose(f);
    struct proc p = start(s, (const char *[]){"rctl", "--config", path, "config", "set-servers", servers, NULL}, false);
    if (finish(s, &p, 0) != 0) {
        CLEANUP_FREE char *said = text_of(p.err);
        fail_msg("config set-servers: %s", said);
    }
    return path;
}

static inline const char *phase(struct state *s)
{
    struct client *c = client_admin(s->kit, s->leader);
    const char *text = call(c, "get", "{kind: Pod, name: p}") == 0 ? text_at(c, "object.status.phase") : "";
    client_close(c);
    return text;
}

static inline int set_up(void **state)
{
    struct state *s = xcalloc(1, sizeof *s);
    static const char *const args[] = {"--node-grace", "20", "--heartbeat", "1", NULL};
    struct kit *k = s->kit = kit_three(args);
    s->agent.input = -1;
    s->leader = kit_leader(k);
    for (unsigned i = 0; i < MASTERS; i++) {
        s->config[i] = make_config(s, arena_printf(&k->arena, "one%u", i), k->masters[i].addr);
    }
    s->config[MASTERS] = make_config(s, "all", NULL); /* asks the cluster */
    struct client *c = client_admin(k, s->leader);
    must(c, "token", "{role: node}");
    snprintf(s->agent_dir, sizeof s->agent_dir, "%s/agent", k->dir);
    /* It is given one address and learns the others. */
    struct proc join = start(s,
                             (const char *[]){"reeve-agent", "join", "--dir", s->agent_dir, "--name", "n1", "--token",
                                              text_at(c, "token"), k->masters[0].addr, NULL},
                             false);
    assert_int_equal(finish(s, &join, 0), 0);
    run_agent(s);
    must(c, "create",
         "{object: {apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {nodeName: n1, containers: [{name: c, image: "
         "i}]}}}");
    const char *uid = text_at(c, "object.metadata.uid");
    wait_for(s, "the pod to run", strcmp(phase(s), "Running") == 0);
    for (unsigned i = 0; i < MASTERS; i++) {
        wait_for(s, "a link to each master",
                 says(s->agent.err, arena_printf(&k->arena, "%s is linked", k->masters[i].addr)));
    }
    pass(s, 1200); /* one heartbeat more: each master knows it for the node's */
    char dir[300];
    snprintf(dir, sizeof dir, "%s/logs", s->agent_dir);
    mkdir(dir, 0700);
    snprintf(dir, sizeof dir, "%s/logs/default_p_%s", s->agent_dir, uid);
    mkdir(dir, 0700);
    snprintf(dir, sizeof dir, "%s/logs/default_p_%s/c", s->agent_dir, uid);
    assert_int_equal(mkdir(dir, 0700), 0);
    snprintf(s->log_path, sizeof s->log_path, "%s/0.log", dir);
    client_close(c);
    *state = s;
    return 0;
}

static inline int tear_down(void **state)
{
    struct state *s = *state;
    if (s == NULL) { /* it was not set up */
        return 0;
    }
    finish(s, &s->agent, SIGTERM);
    end_procs();
    s->kit->meanwhile = NULL;
    kit_free(s->kit);
    free(s);
    return 0;
}

static inline void transfer(struct state *s, unsigned to)
{
    struct client *c = client_admin(s->kit, to);
    for (int64_t until = kit_now() + KIT_WAIT_MS; s->leader != to; s->leader = kit_leader(s->kit)) {
        assert_true(kit_now() < until);
        call(c, "master.transfer", "{id: %u}", to + 1);
        write_lines(s);
    }
    client_close(c);
}

/* Each line from the first one on, once, in order. */
static inline void expect_lines(const struct proc *p, unsigned from, unsigned to)
{
    CLEANUP_FREE char *all = text_of(p->out);
    char want[32];
    const char *at = all;
    for (unsigned i = from; i < to; i++) {
        int n = snprintf(want, sizeof want, "line %u\n", i);
        if (strncmp(at, want, (size_t)n) != 0) {
            fail_msg("instead of line %u of %u there is: %.60s", i, to, at);
        }
        at += n;
    }
}

static inline bool has_line(const struct proc *p, unsigned i)
{
    char want[32];
    snprintf(want, sizeof want, "\nline %u\n", i);
    return says(p->out, want);
}

static inline struct proc follow(struct state *s, unsigned config, const char *tail)
{
    return start(s, (const char *[]){"rctl", "--config", s->config[config], "logs", "-f", "p", tail, NULL}, false);
}

static inline struct proc cat(struct state *s, unsigned config)
{
    return start(s, (const char *[]){"rctl", "--config", s->config[config], "exec", "-i", "p", "--", "cat", NULL},
                 true);
}

/* One more line through the command and back. */
static inline void echo_line(struct state *s, struct proc *p, unsigned i)
{
    char line[32];
    int n = snprintf(line, sizeof line, "echo %u\n", i);
    if (write(p->input, line, (size_t)n) != n) {
        CLEANUP_FREE char *said = text_of(p->err);
        fail_msg("a command has ended: %s", said);
    }
    wait_for(s, "the echo of a command", says(p->out, line));
}

/* ---- A port to forward to ---- */

static inline void echo_alloc(uv_handle_t *h, size_t hint, uv_buf_t *b)
{
    static char chunk[4096];
    (void)h, (void)hint;
    *b = uv_buf_init(chunk, sizeof chunk);
}

static inline void echo_closed(uv_handle_t *h)
{
    free(h);
}

struct echo {
    uv_write_t req;
    char bytes[4096];
};

static inline void echo_written(uv_write_t *req, int status)
{
    (void)status;
    free(CONTAINER_OF(req, struct echo, req));
}

static inline void echo_shut(uv_shutdown_t *req, int status)
{
    (void)status;
    uv_close((uv_handle_t *)req->handle, echo_closed);
    free(req);
}

static inline void echo_read(uv_stream_t *st, ssize_t n, const uv_buf_t *b)
{
    if (n == UV_EOF) {
        uv_shutdown_t *req = xmalloc(sizeof *req);
        assert_int_equal(uv_shutdown(req, st, echo_shut), 0);
    } else if (n < 0) {
        uv_close((uv_handle_t *)st, echo_closed);
    } else if (n > 0) {
        struct echo *e = xmalloc(sizeof *e);
        memcpy(e->bytes, b->base, (size_t)n);
        uv_buf_t out = uv_buf_init(e->bytes, (unsigned)n);
        uv_write(&e->req, st, &out, 1, echo_written);
    }
}

static inline void echo_conn(uv_stream_t *server, int status)
{
    uv_tcp_t *tcp = xcalloc(1, sizeof *tcp);
    assert_int_equal(status, 0);
    uv_tcp_init(server->loop, tcp);
    assert_int_equal(uv_accept(server, (uv_stream_t *)tcp), 0);
    uv_read_start((uv_stream_t *)tcp, echo_alloc, echo_read);
}

static inline unsigned echo_listen(struct state *s, uv_tcp_t *server)
{
    struct sockaddr_in a;
    int n = sizeof a;
    uv_tcp_init(&s->kit->loop, server);
    uv_ip4_addr("127.0.0.1", 0, &a);
    assert_int_equal(uv_tcp_bind(server, (struct sockaddr *)&a, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)server, 8, echo_conn), 0);
    assert_int_equal(uv_tcp_getsockname(server, (struct sockaddr *)&a, &n), 0);
    return ntohs(a.sin_port);
}

static inline int dial(struct state *s, const struct proc *forward)
{
    wait_for(s, "port-forward to listen", says(forward->out, "Forwarding from"));
    CLEANUP_FREE char *said = text_of(forward->out);
    unsigned port = 0;
    assert_int_equal(sscanf(said, "Forwarding from 127.0.0.1:%u", &port), 1);
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static inline void through(struct state *s, int fd, unsigned i)
{
    char line[32], back[64] = "";
    int n = snprintf(line, sizeof line, "port %u\n", i);
    size_t got = 0;
    assert_int_equal(send(fd, line, (size_t)n, MSG_NOSIGNAL), n);
    wait_for(s, "the echo through the port", ({
                 ssize_t m = recv(fd, back + got, (size_t)n - got, MSG_DONTWAIT);
                 got += m > 0 ? (size_t)m : 0;
                 got == (size_t)n;
             }));
    assert_memory_equal(line, back, (size_t)n);
}

static inline void make_configmap(struct state *s, unsigned i)
{
    struct client *c = client_admin(s->kit, s->leader);
    must(c, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: made-%u}}}", i);
    client_close(c);
}

#endif
