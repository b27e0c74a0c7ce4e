/* Figures of a running cluster, as a client sees them.
 *
 * usage: bench_cluster [--config FILE] [--seconds S] WHAT N
 *   writes N          updates of 256-byte ConfigMaps with N in flight over 8 connections to the leader: 1/s, p50, p99
 *   gets N            linearizable gets of them, N in flight
 *   gets-follower N   the same, asked of a master that does not lead
 *   watch N           one writer, N watchers spread over all masters: from the sending of a write to each watcher's event
 *   failover PID      kills that process (the leader's) and tells how long until the next acknowledged write
 *   rollout N         apply a Deployment of N replicas: until all pods are bound, until all are Running
 *   restart N         N pods, one after the other, on nodes of this machine: until Running, and from the kill of the container to Running again */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/env.h"
#include "proto/object.h"
#include "tests/bench/bench_kit.h"
#include "tests/bench/bench_pods.h"

#define KEYS        2000u
#define VALUE_BYTES 256u

struct load_kind {
    const char *what, *line, *method;
    bool get, follower;
};
static const struct load_kind load_kinds[] = {
    {"writes", "writes", "update", false, false},
    {"gets", "gets", "get", true, false},
    {"gets-follower", "follower_gets", "get", true, true},
};
static const struct load_kind creating = {"creates", "creates", "create", false, false};

static void key_name(char out[32], unsigned i)
{
    snprintf(out, 32, "bench-%06u", i);
}

static void write_config_map(struct buf *b, const char *ns, const char *name, uint64_t salt)
{
    char value[VALUE_BYTES + 1];
    struct rng rng = {salt};
    for (unsigned i = 0; i < VALUE_BYTES; i++) {
        value[i] = (char)('a' + rng_below(&rng, 26));
    }
    mp_write_map(b, 4);
    mp_write_key_str(b, "apiVersion", STR("v1"));
    mp_write_key_str(b, "kind", STR("ConfigMap"));
    mp_write_cstr(b, "metadata");
    mp_write_map(b, 2);
    mp_write_key_str(b, "name", str_of(name));
    mp_write_key_str(b, "namespace", str_of(ns));
    mp_write_cstr(b, "data");
    mp_write_map(b, 1);
    mp_write_key_str(b, "v", (struct str){value, VALUE_BYTES});
}

static void object_params(struct buf *b, const char *name, uint64_t salt)
{
    mp_write_map(b, 1);
    mp_write_cstr(b, "object");
    write_config_map(b, "bench", name, salt);
}

/* ---- Closed loops of N calls in flight ---- */

struct load {
    struct kit *kit;
    const struct load_kind *kind;
    unsigned inflight, next_key;
    uint64_t salt, end_us, errors;
    struct samples samples;
    bool done;
};
struct slot {
    struct load *load;
    unsigned index;
    uint64_t start_us;
};

static void issue(struct slot *s);

static void on_answer(const struct rpc_result *result, void *data)
{
    struct slot *s = data;
    struct load *l = s->load;
    uint64_t now = kit_now_us();
    if (result->error != NULL) {
        if (l->errors++ == 0 && !(l->kind == &creating && result->error->code == ERR_EXISTS)) {
            fprintf(stderr, "bench: first error: %s\n", result->error->message);
        }
    } else {
        samples_add(&l->samples, now - s->start_us);
    }
    bool over = l->kind == &creating ? l->next_key >= KEYS : now >= l->end_us;
    if (!over) {
        issue(s);
    } else if (--l->inflight == 0) {
        l->done = true;
    }
}

static void issue(struct slot *s)
{
    struct load *l = s->load;
    char name[32];
    struct buf b = BUF_INIT;
    key_name(name, l->next_key++ % KEYS);
    if (l->kind->get) {
        mp_write_map(&b, 3);
        mp_write_key_str(&b, "kind", STR("ConfigMap"));
        mp_write_key_str(&b, "namespace", STR("bench"));
        mp_write_key_str(&b, "name", str_of(name));
    } else {
        object_params(&b, name, ++l->salt);
    }
    s->start_us = kit_now_us();
    rpc_call(l->kit->sessions[s->index % l->kit->sessions_count], l->kind->method, buf_str(&b), 30000, on_answer, s);
    buf_close(&b);
}

static void run_load(struct load *l, unsigned inflight, double seconds)
{
    struct slot *slots = xcalloc(inflight, sizeof *slots);
    l->inflight = inflight;
    l->end_us = kit_now_us() + (uint64_t)(seconds * 1e6);
    for (unsigned i = 0; i < inflight; i++) {
        slots[i] = (struct slot){.load = l, .index = i};
        issue(&slots[i]);
    }
    kit_run(l->kit, &l->done, 600000);
    free(slots);
}

static void prepare_namespace(struct kit *k)
{
    kit_connect_leader(k);
    struct buf b = BUF_INIT;
    struct error err;
    mp_write_map(&b, 1);
    mp_write_cstr(&b, "object");
    mp_write_map(&b, 3);
    mp_write_key_str(&b, "apiVersion", STR("v1"));
    mp_write_key_str(&b, "kind", STR("Namespace"));
    mp_write_cstr(&b, "metadata");
    mp_write_map(&b, 1);
    mp_write_key_str(&b, "name", STR("bench"));
    if (kit_call(k, k->sessions[0], "create", &b, NULL, &err) != 0 && err.code != ERR_EXISTS) {
        fprintf(stderr, "bench: %s\n", err.message);
        exit(1);
    }
    buf_close(&b);
}

/* Connects to the leader; afterwards the namespace and all keys are there. */
static void prepare(struct kit *k)
{
    prepare_namespace(k);
    struct load create = {.kit = k, .kind = &creating};
    run_load(&create, 256, 0);
    samples_close(&create.samples);
}

static void print_load(unsigned inflight, struct load *l, double seconds)
{
    char line[64];
    snprintf(line, sizeof line, "%s_%u", l->kind->line, inflight);
    kit_line(line, (double)l->samples.count / seconds, "1/s");
    snprintf(line, sizeof line, "%s_%u_p50", l->kind->line, inflight);
    kit_line(line, samples_percentile(&l->samples, 0.5) / 1000.0, "ms");
    snprintf(line, sizeof line, "%s_%u_p99", l->kind->line, inflight);
    kit_line(line, samples_percentile(&l->samples, 0.99) / 1000.0, "ms");
    if (l->errors > 0) {
        fprintf(stderr, "bench: %" PRIu64 " of the calls failed\n", l->errors);
        exit(1);
    }
}

static void bench_load(struct kit *k, const struct load_kind *kind, unsigned inflight, double seconds)
{
    prepare(k);
    if (kind->follower) {
        kit_disconnect(k);
        kit_connect_follower(k);
    }
    struct load warm = {.kit = k, .kind = kind, .salt = kit_now_us()};
    run_load(&warm, inflight, seconds / 5);
    samples_close(&warm.samples);
    /* No value comes twice: each write changes its object. */
    struct load l = {.kit = k, .kind = kind, .salt = kit_now_us()};
    uint64_t start = kit_now_us();
    run_load(&l, inflight, seconds);
    print_load(inflight, &l, (double)(kit_now_us() - start) / 1e6);
    samples_close(&l.samples);
}

/* ---- Watch latency ---- */

struct watchers {
    struct kit *kit;
    unsigned synced, events;
    uint64_t sent_us;
    unsigned expected;
    bool ready, round_done;
    struct samples samples;
};

static void on_watch_data(struct rpc_stream *st, struct mp payload, size_t n, void *data)
{
    struct watchers *w = data;
    uint64_t now = kit_now_us();
    for (struct mp_iter it = mp_iter(mp_get(payload, "events")); mp_next(&it);) {
        if (str_is(mp_str(mp_get(it.value, "type")), "BOOKMARK")) {
            w->ready = ++w->synced >= w->expected;
        } else if (w->ready) {
            samples_add(&w->samples, now - w->sent_us);
            w->round_done = ++w->events >= w->expected;
        }
    }
    rpc_stream_consumed(st, n);
}

static void on_watch_end(struct rpc_stream *st, const struct error *err, void *data)
{
    (void)data;
    if (err != NULL && err->code != ERR_CLOSED) {
        fprintf(stderr, "bench: watch ended: %s\n", err->message);
    }
    rpc_stream_end(st, NULL);
}

static void bench_watch(struct kit *k, unsigned count, unsigned rounds)
{
    static const struct rpc_stream_events events = {.on_data = on_watch_data, .on_end = on_watch_end};
    prepare(k);
    struct watchers w = {.kit = k, .expected = count};
    struct rpc_session *by_master[CONFIG_SERVERS_MAX];
    for (unsigned i = 0; i < k->target.servers_count; i++) {
        by_master[i] = kit_connect(k, k->target.servers[i]);
    }
    struct buf b = BUF_INIT;
    mp_write_map(&b, 3);
    mp_write_key_str(&b, "kind", STR("ConfigMap"));
    mp_write_key_str(&b, "namespace", STR("bench"));
    mp_write_key_str(&b, "fieldSelector", STR("metadata.name=bench-000000"));
    for (unsigned i = 0; i < count; i++) {
        rpc_stream_open(by_master[i % k->target.servers_count], "watch", buf_str(&b), &events, &w);
    }
    kit_run(k, &w.ready, 30000);
    for (unsigned i = 0; i < rounds; i++) {
        buf_reset(&b);
        object_params(&b, "bench-000000", kit_now_us());
        w.events = 0;
        w.round_done = false;
        w.sent_us = kit_now_us();
        struct error err;
        kit_call(k, k->sessions[0], "update", &b, NULL, &err);
        kit_run(k, &w.round_done, 10000);
    }
    buf_close(&b);
    kit_line("watch_latency_p50", samples_percentile(&w.samples, 0.5) / 1000.0, "ms");
    kit_line("watch_latency_p99", samples_percentile(&w.samples, 0.99) / 1000.0, "ms");
    samples_close(&w.samples);
    for (unsigned i = 0; i < k->target.servers_count; i++) {
        rpc_session_close(by_master[i]);
    }
}

/* ---- Failover ---- */

static void bench_failover(struct kit *k, pid_t leader)
{
    prepare(k);
    kit_disconnect(k);
    kill(leader, SIGKILL);
    uint64_t start = kit_now_us();
    struct buf b = BUF_INIT;
    object_params(&b, "bench-000001", start);
    for (unsigned i = 0;; i++) {
        struct rpc_session *s = kit_connect(k, k->target.servers[i % k->target.servers_count]);
        struct error err;
        int rv = kit_call(k, s, "update", &b, NULL, &err);
        rpc_session_close(s);
        if (rv == 0) {
            break;
        }
        if (kit_now_us() - start > 30000000) {
            fprintf(stderr, "bench: no write for 30 s: %s\n", err.message);
            exit(1);
        }
        uv_sleep(5);
    }
    buf_close(&b);
    kit_line("leader_kill_to_write", (double)(kit_now_us() - start) / 1000.0, "ms");
}

static int usage(void)
{
    fprintf(stderr,
            "usage: bench_cluster [--config FILE] [--seconds S] writes N | gets N | gets-follower N | watch N | "
            "failover PID | rollout N | restart N\n");
    return 2;
}

static int run(struct kit *k, const char *what, unsigned n, double seconds)
{
    for (unsigned i = 0; i < sizeof load_kinds / sizeof *load_kinds; i++) {
        if (strcmp(what, load_kinds[i].what) == 0) {
            bench_load(k, &load_kinds[i], n, seconds);
            return 0;
        }
    }
    if (strcmp(what, "watch") == 0) {
        bench_watch(k, n, 200);
    } else if (strcmp(what, "failover") == 0) {
        bench_failover(k, (pid_t)n);
    } else if (strcmp(what, "rollout") == 0) {
        prepare_namespace(k);
        bench_rollout(k, n);
    } else if (strcmp(what, "restart") == 0) {
        prepare_namespace(k);
        bench_restart(k, n);
    } else {
        return usage();
    }
    return 0;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"seconds", required_argument, NULL, 's'}, {NULL, 0, NULL, 0}};
    const char *config = NULL;
    double seconds = 5;
    int c;
    while ((c = getopt_long(argc, argv, "c:s:", options, NULL)) != -1) {
        if (c == 'c') {
            config = optarg;
        } else if (c == 's') {
            seconds = strtod(optarg, NULL);
        } else {
            return usage();
        }
    }
    unsigned n = argc - optind == 2 ? (unsigned)strtoul(argv[optind + 1], NULL, 10) : 0;
    if (n == 0 || !(seconds > 0)) {
        return usage();
    }
    struct kit k;
    kit_open(&k, config);
    int rc = run(&k, argv[optind], n, seconds);
    kit_close(&k);
    return rc;
}
