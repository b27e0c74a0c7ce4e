#include "tests/bench/bench_kit.h"

#include <dirent.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void die(const char *what, const struct error *err)
{
    fprintf(stderr, "bench: %s: %s\n", what, err->message);
    exit(1);
}

void kit_open(struct kit *k, const char *config_path)
{
    memset(k, 0, sizeof *k);
    struct config config;
    struct error err = {0};
    signal(SIGPIPE, SIG_IGN);
    uv_loop_init(&k->loop);
    arena_init(&k->arena);
    if (config_load(&k->arena, config_path, &config, &err) != 0 ||
        config_resolve(&k->arena, &config, NULL, &k->target, &err) != 0 ||
        net_tls_new(k->target.ca_pem, k->target.cert_pem, k->target.key_pem, NULL, &k->tls, &err) != 0) {
        die("configuration", &err);
    }
}

void kit_disconnect(struct kit *k)
{
    for (unsigned i = 0; i < k->sessions_count; i++) {
        rpc_session_close(k->sessions[i]);
    }
    k->sessions_count = 0;
    while (k->open > 0) {
        uv_run(&k->loop, UV_RUN_ONCE);
    }
}

void kit_close(struct kit *k)
{
    kit_disconnect(k);
    uv_run(&k->loop, UV_RUN_DEFAULT);
    uv_loop_close(&k->loop);
    net_tls_unref(k->tls);
    arena_close(&k->arena);
}

static void on_closed(struct rpc_session *s, const struct error *why, void *data)
{
    struct kit *k = data;
    (void)s;
    (void)why;
    k->open--;
}

struct rpc_session *kit_connect(struct kit *k, const char *address)
{
    k->open++;
    return rpc_session_connect(&k->loop, k->tls, address, ALPN_RPC, 10000,
                               &(struct rpc_config){.handler = {.on_close = on_closed}, .data = k});
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer; /* only keeps the loop from sleeping past the limit */
}

void kit_run(struct kit *k, const bool *done, int64_t limit_ms)
{
    uint64_t end = kit_now_us() + (uint64_t)limit_ms * 1000;
    uv_timer_t tick;
    uv_timer_init(&k->loop, &tick);
    uv_timer_start(&tick, on_tick, 100, 100);
    while (!*done) {
        uv_run(&k->loop, UV_RUN_ONCE);
        if (kit_now_us() > end) {
            fprintf(stderr, "bench: gave up after %lld ms\n", (long long)limit_ms);
            exit(1);
        }
    }
    uv_close((uv_handle_t *)&tick, NULL);
    uv_run(&k->loop, UV_RUN_NOWAIT);
}

struct one_call {
    bool done;
    struct buf *out;
    struct error *err;
};

static void on_one(const struct rpc_result *result, void *data)
{
    struct one_call *c = data;
    c->done = true;
    if (result->error != NULL) {
        *c->err = *result->error;
    } else if (c->out != NULL) {
        buf_append(c->out, result->result.p, (size_t)(result->result.end - result->result.p));
    }
}

int kit_call(struct kit *k, struct rpc_session *s, const char *method, const struct buf *params, struct buf *out,
             struct error *err)
{
    *err = (struct error){0};
    struct one_call c = {.out = out, .err = err};
    rpc_call(s, method, params == NULL ? STR("\x80") : buf_str(params), 5000, on_one, &c);
    kit_run(k, &c.done, 30000);
    return err->code;
}

/* The address of the leader, or of the first master that follows one. NULL if there is none now. */
static char *find_master(struct kit *k, bool follower)
{
    for (unsigned i = 0; i < k->target.servers_count; i++) {
        struct rpc_session *s = kit_connect(k, k->target.servers[i]);
        struct buf out = BUF_INIT;
        struct error err = {0};
        char *address = NULL;
        if (kit_call(k, s, "hello", NULL, &out, &err) == 0) {
            struct mp m = mp_of(out.data, out.size);
            struct str leader = mp_str(mp_get(m, "leaderAddress"));
            bool leads = str_is(mp_str(mp_get(m, "role")), "leader");
            if (mp_int(mp_get(m, "leader"), 0) != 0 && leader.n > 0 && !(leads && follower)) {
                address = follower ? xstrdup(k->target.servers[i]) : xstrndup(leader.p, leader.n);
            }
        }
        rpc_session_close(s);
        buf_close(&out);
        if (address != NULL) {
            return address;
        }
    }
    return NULL;
}

static char *await_master(struct kit *k, bool follower)
{
    uint64_t end = kit_now_us() + 10000000;
    char *address;
    while ((address = find_master(k, follower)) == NULL) {
        if (kit_now_us() > end) {
            fprintf(stderr, "bench: no %s\n", follower ? "follower" : "leader");
            exit(1);
        }
        uv_sleep(50);
    }
    return address;
}

char *kit_leader_address(struct kit *k)
{
    return await_master(k, false);
}

static void connect_to(struct kit *k, bool follower)
{
    char *address = await_master(k, follower);
    for (unsigned i = 0; i < KIT_SESSIONS; i++) {
        k->sessions[k->sessions_count++] = kit_connect(k, address);
    }
    free(address);
}

void kit_connect_leader(struct kit *k)
{
    connect_to(k, false);
}

void kit_connect_follower(struct kit *k)
{
    connect_to(k, true);
}

uint64_t kit_now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

void samples_add(struct samples *s, uint64_t us)
{
    if (s->count == s->cap) {
        s->cap = s->cap == 0 ? 4096 : s->cap * 2;
        s->us = xrealloc(s->us, s->cap * sizeof *s->us);
    }
    s->us[s->count++] = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

uint32_t samples_percentile(struct samples *s, double p)
{
    if (s->count == 0) {
        return 0;
    }
    qsort(s->us, s->count, sizeof *s->us, compare);
    size_t i = (size_t)(p * (double)(s->count - 1));
    return s->us[i];
}

void samples_close(struct samples *s)
{
    free(s->us);
    *s = (struct samples){0};
}

void kit_line(const char *name, double value, const char *unit)
{
    printf(value >= 1000 ? "bench %s %.0f %s\n" : "bench %s %.3g %s\n", name, value, unit);
    fflush(stdout);
}

static uint64_t read_schedstat(const char *path)
{
    uint64_t ns = 0;
    FILE *file = fopen(path, "re");
    if (file != NULL) {
        ns = fscanf(file, "%" SCNu64, &ns) == 1 ? ns : 0;
        fclose(file);
    }
    return ns / 1000;
}

uint64_t kit_thread_cpu_us(pid_t tid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/schedstat", (int)tid);
    return read_schedstat(path);
}

uint64_t kit_cpu_us(pid_t pid)
{
    char path[300];
    uint64_t sum = 0;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *dir = opendir(path);
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        if (e->d_name[0] != '.') {
            snprintf(path, sizeof path, "/proc/%d/task/%.200s/schedstat", (int)pid, e->d_name);
            sum += read_schedstat(path);
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return sum;
}
