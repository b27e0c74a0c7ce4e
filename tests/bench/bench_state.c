#include "tests/bench/bench_state.h"

#include <stdio.h>
#include <stdlib.h>

#define WATCH_NS   "bench-watch"
#define WATCH_KEYS 64u

/* ---- Watches ---- */

struct watchers {
    struct kit *kit;
    unsigned synced, events, expected;
    uint64_t all_events, sent_us;
    bool measuring, ready, round_done;
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
            w->all_events++;
            if (w->measuring) {
                samples_add(&w->samples, now - w->sent_us);
                w->round_done = ++w->events >= w->expected;
            }
        }
    }
    rpc_stream_consumed(st, n);
}

static void on_watch_end(struct rpc_stream *st, const struct error *err, void *data)
{
    (void)data;
    if (err != NULL && err->code != ERR_CLOSED) {
        fprintf(stderr, "bench: watch ended: %s\n", err->message);
        exit(1);
    }
    rpc_stream_end(st, NULL);
}

static void one_write_each_round(struct kit *k, struct watchers *w, unsigned rounds)
{
    struct buf b = BUF_INIT;
    w->measuring = true;
    for (unsigned i = 0; i < rounds; i++) {
        struct error err;
        char name[32];
        load_key_name(name, i % WATCH_KEYS);
        buf_reset(&b);
        load_object_params(&b, WATCH_NS, name, LOAD_VALUE, kit_now_us());
        w->events = 0;
        w->round_done = false;
        w->sent_us = kit_now_us();
        kit_call(k, k->sessions[0], "update", &b, NULL, &err);
        kit_run(k, &w->round_done, 30000);
    }
    w->measuring = false;
    buf_close(&b);
}

/* All that was written must arrive: the clock stops when the last watcher has the last event. */
static double events_per_s(struct kit *k, struct watchers *w, double seconds)
{
    struct load l = {.kit = k, .kind = load_find("writes"), .ns = WATCH_NS, .keys = WATCH_KEYS};
    uint64_t start = kit_now_us();
    w->all_events = 0;
    load_run(&l, 16, seconds);
    while (w->all_events < (uint64_t)l.samples.count * w->expected && kit_now_us() - start < 120000000) {
        uv_run(&k->loop, UV_RUN_ONCE);
    }
    if (w->all_events != (uint64_t)l.samples.count * w->expected) {
        fprintf(stderr, "bench: %llu events of %zu writes at %u watchers\n", (unsigned long long)w->all_events,
                l.samples.count, w->expected);
        exit(1);
    }
    samples_close(&l.samples);
    return (double)w->all_events / ((double)(kit_now_us() - start) / 1e6);
}

void bench_watch(struct kit *k, unsigned watchers, unsigned rounds, double seconds)
{
    static const struct rpc_stream_events events = {.on_data = on_watch_data, .on_end = on_watch_end};
    load_prepare(k, WATCH_NS, WATCH_KEYS, 0);
    struct watchers w = {.kit = k, .expected = watchers};
    struct rpc_session *by_master[CONFIG_SERVERS_MAX][2];
    struct buf b = BUF_INIT;
    mp_write_map(&b, 2);
    mp_write_key_str(&b, "kind", STR("ConfigMap"));
    mp_write_key_str(&b, "namespace", STR(WATCH_NS));
    unsigned masters = k->target.servers_count;
    for (unsigned i = 0; i < 2 * masters; i++) {
        by_master[i % masters][i / masters] = kit_connect(k, k->target.servers[i % masters]);
    }
    for (unsigned i = 0; i < watchers; i++) {
        rpc_stream_open(by_master[i % masters][i / masters % 2], "watch", buf_str(&b), &events, &w);
    }
    buf_close(&b);
    kit_run(k, &w.ready, 60000);
    one_write_each_round(k, &w, rounds);
    char line[64];
    snprintf(line, sizeof line, "watch_%u_p50", watchers);
    kit_line(line, samples_percentile(&w.samples, 0.5) / 1000.0, "ms");
    snprintf(line, sizeof line, "watch_%u_p99", watchers);
    kit_line(line, samples_percentile(&w.samples, 0.99) / 1000.0, "ms");
    snprintf(line, sizeof line, "watch_%u_events", watchers);
    kit_line(line, events_per_s(k, &w, seconds), "1/s");
    samples_close(&w.samples);
    for (unsigned i = 0; i < 2 * masters; i++) {
        rpc_session_close(by_master[i % masters][i / masters]);
    }
}

/* ---- Ranges ---- */

static unsigned list_all(struct kit *k, const char *ns)
{
    struct buf b = BUF_INIT, out = BUF_INIT;
    char token[512] = "";
    unsigned count = 0;
    do {
        struct error err;
        buf_reset(&b);
        buf_reset(&out);
        mp_write_map(&b, 3 + (token[0] != '\0'));
        mp_write_key_str(&b, "kind", STR("ConfigMap"));
        mp_write_key_str(&b, "namespace", str_of(ns));
        mp_write_key_int(&b, "limit", 100000);
        if (token[0] != '\0') {
            mp_write_key_str(&b, "continue", str_of(token));
        }
        if (kit_call(k, k->sessions[0], "list", &b, &out, &err) != 0) {
            fprintf(stderr, "bench: list: %s\n", err.message);
            exit(1);
        }
        struct mp m = mp_of(out.data, out.size);
        struct str next = mp_str(mp_get(m, "continue"));
        snprintf(token, sizeof token, "%.*s", STR_ARG(next));
        count += mp_count(mp_get(m, "items"));
    } while (token[0] != '\0');
    buf_close(&b);
    buf_close(&out);
    return count;
}

void bench_range(struct kit *k, unsigned objects, unsigned rounds)
{
    char ns[32], line[64];
    struct samples s = {0};
    snprintf(ns, sizeof ns, "range-%u", objects);
    load_prepare(k, ns, objects, 0);
    uint64_t start = kit_now_us();
    for (unsigned i = 0; i < rounds; i++) {
        uint64_t from = kit_now_us();
        unsigned count = list_all(k, ns);
        samples_add(&s, kit_now_us() - from);
        if (count < objects || count > objects + 1) { /* kube-root-ca.crt and the like may be there */
            fprintf(stderr, "bench: a list of %u objects told %u\n", objects, count);
            exit(1);
        }
    }
    snprintf(line, sizeof line, "range_%u", objects);
    kit_line(line, (double)objects * rounds / ((double)(kit_now_us() - start) / 1e6), "objects/s");
    snprintf(line, sizeof line, "range_%u_p50", objects);
    kit_line(line, samples_percentile(&s, 0.5) / 1000.0, "ms");
    samples_close(&s);
}

/* ---- A large state ---- */

void bench_fill(struct kit *k, unsigned objects, unsigned value_bytes)
{
    char line[64];
    uint64_t start = kit_now_us();
    load_prepare(k, "fill", objects, value_bytes);
    snprintf(line, sizeof line, "fill_%u", objects);
    kit_line(line, (double)objects / ((double)(kit_now_us() - start) / 1e6), "objects/s");
}

/* One number that a master tells about itself; -1 if it does not answer. */
static int64_t ask(struct kit *k, const char *address, const char *part, const char *name)
{
    struct rpc_session *s = kit_connect(k, address);
    struct buf out = BUF_INIT;
    struct error err;
    int64_t value = -1;
    if (kit_call(k, s, "cluster", NULL, &out, &err) == 0) {
        struct mp m = mp_of(out.data, out.size);
        value = mp_int(mp_get(part == NULL ? m : mp_get(m, part), name), -1);
    }
    rpc_session_close(s);
    buf_close(&out);
    return value;
}

static int64_t snapshots_of_all(struct kit *k)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < k->target.servers_count; i++) {
        sum += ask(k, k->target.servers[i], "stats", "snapshots");
    }
    return sum;
}

void bench_stall(struct kit *k, unsigned inflight, double seconds)
{
    load_prepare(k, "bench", LOAD_KEYS, 0);
    int64_t before = snapshots_of_all(k);
    struct load l = {.kit = k, .kind = load_find("writes")};
    uint64_t start = kit_now_us();
    load_run(&l, inflight, seconds);
    kit_line("stall_writes", (double)l.samples.count / ((double)(kit_now_us() - start) / 1e6), "1/s");
    kit_line("stall_p50", samples_percentile(&l.samples, 0.5) / 1000.0, "ms");
    kit_line("stall_p99", samples_percentile(&l.samples, 0.99) / 1000.0, "ms");
    kit_line("stall_p999", samples_percentile(&l.samples, 0.999) / 1000.0, "ms");
    kit_line("stall_max", samples_percentile(&l.samples, 1) / 1000.0, "ms");
    kit_line("stall_snapshots", (double)(snapshots_of_all(k) - before), "snapshots");
    samples_close(&l.samples);
}

void bench_catch_up(struct kit *k, unsigned port)
{
    char address[64];
    snprintf(address, sizeof address, "127.0.0.1:%u", port);
    uint64_t start = kit_now_us();
    int64_t wanted = -1;
    for (unsigned i = 0; i < k->target.servers_count; i++) {
        if (strcmp(k->target.servers[i], address) != 0) {
            int64_t index = ask(k, k->target.servers[i], NULL, "commitIndex");
            wanted = index > wanted ? index : wanted;
        }
    }
    while (ask(k, address, NULL, "appliedIndex") < wanted) {
        if (kit_now_us() - start > 300000000) {
            fprintf(stderr, "bench: %s has not caught up in 300 s\n", address);
            exit(1);
        }
        uv_sleep(5);
    }
    kit_line("catch_up", (double)(kit_now_us() - start) / 1000.0, "ms");
}
