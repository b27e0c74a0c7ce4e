#include "tests/bench/bench_feeds.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/bench/bench_load.h"
#include "tests/bench/bench_nodes.h"

#define INFLIGHT 64u
#define WATCHERS 10u
#define SPAN     10u /* nodes of one Deployment */
#define SETTLE_S 11  /* a reading of the longest turn covers ten seconds */

struct watcher {
    struct feeds *feeds;
    bool listed;
};
struct feeds {
    struct kit *kit;
    const struct feeds_config *config;
    struct fleet fleet;
    struct watcher watchers[WATCHERS];
    unsigned next, inflight;
    unsigned listed; /* watchers whose list has come */
    uint64_t watched, answered, end_us;
    struct samples latency; /* of watchers */
    bool measuring, done;
    void (*send)(struct feeds *f); /* what is done in a closed loop */
    uint64_t serial;
};

/* ---- Closed loops ---- */

static void on_answer(const struct rpc_result *r, void *data)
{
    struct feeds *f = data;
    fake_check_results(r);
    f->inflight--;
    f->answered++;
    if (kit_now_us() < f->end_us) {
        f->send(f);
    }
    f->done = f->inflight == 0;
}

static struct fake *next_node(struct feeds *f)
{
    return &f->fleet.nodes[f->next++ % f->fleet.count];
}

static void send_pod_status(struct feeds *f)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct fake *n = next_node(f);
    while (n->count == 0) {
        n = next_node(f);
    }
    unsigned at = n->next++ % n->count;
    fake_write_report(&b, n, at, at + 1);
    f->inflight++;
    rpc_call(n->rpc, "node.status", buf_str(&b), 0, on_answer, f);
}

static void send_node_status(struct feeds *f)
{
    struct fake *n = next_node(f);
    f->inflight++;
    bench_call(
        n->rpc, "node.status", on_answer, f,
        "{name: %s, node: {capacity: {cpu: '64', memory: 256Gi, pods: '110'}, allocatable: {cpu: '64', memory: 256Gi, "
        "pods: '110'}, "
        "nodeInfo: {kernelVersion: '%" PRIu64 "'}, addresses: [{type: InternalIP, address: 10.%u.%u.1}], "
        "conditions: [{type: Ready, status: 'True'}]}}",
        n->name, f->serial++, (unsigned)(n - f->fleet.nodes) / 250, (unsigned)(n - f->fleet.nodes) % 250);
}

static void send_configmap(struct feeds *f)
{
    f->inflight++;
    bench_call(f->kit->sessions[0], "update", on_answer, f,
               "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: c%" PRIu64
               ", namespace: bench}, data: {k: '%" PRIu64 "'}}}",
               f->serial % MAX(f->fleet.count / SPAN, 1u), f->serial);
    f->serial++;
}

/* ---- Measuring ---- */

/* FEEDS_NODES_WHAT[_MORE] */
static void figure(const struct feeds *f, const char *what, const char *more, double value, const char *unit)
{
    char name[80];
    snprintf(name, sizeof name, "%s_%u_%s%s", f->config->name, f->fleet.count, what, more);
    kit_line(name, value, unit);
}

/* The longest turn of the loop: of late, with its parts as a note; or since the master's start. */
static void tell_turns(struct feeds *f, const char *what, bool ever)
{
    CLEANUP_BUF struct buf out = BUF_INIT;
    struct error err;
    if (kit_call(f->kit, f->kit->sessions[0], "cluster", NULL, &out, &err) != 0) {
        bench_die("cluster", err.message);
    }
    struct mp stats = mp_get(mp_of(out.data, out.size), "stats");
    figure(f, what, "_turn", (double)mp_int(mp_get(stats, ever ? "turnLongestEverUs" : "turnLongestUs"), -1) / 1000,
           "ms");
    static const char *const parts[] = {"turnSocketsUs", "turnRequestsUs",  "turnWatchesUs",
                                        "turnFeedsUs",   "turnDecisionsUs", "turnTimersUs"};
    for (unsigned i = 0; i < ARRAY_SIZE(parts); i++) {
        fprintf(stderr, "%s%s %" PRId64, i == 0 ? "# the longest parts of late: " : ", ", parts[i],
                mp_int(mp_get(stats, parts[i]), -1));
    }
    fprintf(stderr, "\n");
}

static void loop(struct feeds *f, void (*send)(struct feeds *f), unsigned inflight, double seconds)
{
    f->send = send;
    f->done = false;
    f->answered = 0;
    f->end_us = kit_now_us() + (uint64_t)(seconds * 1e6);
    for (unsigned i = 0; i < inflight; i++) {
        send(f);
    }
    kit_run(f->kit, &f->done, NODES_WAIT_MS);
}

static uint64_t all_cpu_us(const struct feeds *f)
{
    uint64_t us = kit_cpu_us(f->config->leader);
    for (unsigned i = 0; i < FEEDS_PEERS && f->config->peers[i] != 0; i++) {
        us += kit_cpu_us(f->config->peers[i]);
    }
    return us;
}

static void measure(struct feeds *f, const char *what, void (*send)(struct feeds *f), unsigned inflight)
{
    double seconds = f->config->seconds;
    pid_t leader = f->config->leader;
    loop(f, send, inflight, SETTLE_S);
    uint64_t all_cpu = all_cpu_us(f), cpu = kit_cpu_us(leader), loop_cpu = kit_thread_cpu_us(leader),
             start = kit_now_us();
    f->measuring = true;
    f->watched = f->fleet.events = f->fleet.refs = 0;
    loop(f, send, inflight, seconds);
    f->measuring = false;
    double n = f->answered == 0 ? 1 : (double)f->answered;
    double took_s = (double)(kit_now_us() - start) / 1e6;
    figure(f, what, "", n / took_s, "1/s");
    figure(f, what, "_cpu", (double)(kit_cpu_us(leader) - cpu) / n, "us");
    if (f->config->peers[0] != 0) {
        figure(f, what, "_all_cpu", (double)(all_cpu_us(f) - all_cpu) / n, "us");
    }
    figure(f, what, "_loop", (double)(kit_thread_cpu_us(leader) - loop_cpu) / n, "us");
    tell_turns(f, what, false);
    figure(f, what, "_told", (double)(f->fleet.events + f->fleet.refs) / n, "events"); /* to agents, for each */
}

/* ---- Watchers ---- */

static void on_end(struct rpc_stream *st, const struct error *err, void *data)
{
    (void)data;
    if (err != NULL && err->code != ERR_CLOSED) {
        bench_die("a stream ended", err->message);
    }
    rpc_stream_end(st, NULL);
}

static void on_watched(struct rpc_stream *st, struct mp payload, size_t bytes, void *data)
{
    struct watcher *w = data;
    struct feeds *f = w->feeds;
    uint64_t now = kit_now_us();
    for (struct mp_iter it = mp_iter(mp_get(payload, "events")); mp_next(&it);) {
        if (!w->listed && str_is(mp_str(mp_get(it.value, "type")), "BOOKMARK")) {
            w->listed = true;
            f->done = ++f->listed == WATCHERS;
        }
        struct str sent = mp_str(mp_path(it.value, "object.status.message"));
        char text[24];
        if (f->measuring && sent.n > 0 && sent.n < sizeof text) {
            snprintf(text, sizeof text, "%.*s", STR_ARG(sent));
            samples_add(&f->latency, now - MIN(now, strtoull(text, NULL, 10)));
            f->watched++;
        }
    }
    rpc_stream_consumed(st, bytes);
}

/* Returns when each has been sent its list: what a list of all pods costs is another figure. */
static void watch_pods(struct feeds *f)
{
    static const struct rpc_stream_events events = {.on_data = on_watched, .on_end = on_end};
    CLEANUP_BUF struct buf b = BUF_INIT;
    mp_write_map(&b, 2);
    mp_write_key_str(&b, "kind", STR("Pod"));
    mp_write_key_str(&b, "namespace", STR("bench"));
    f->done = false;
    for (unsigned i = 0; i < WATCHERS; i++) {
        f->watchers[i].feeds = f;
        rpc_stream_open(f->kit->sessions[i % f->kit->sessions_count], "watch", buf_str(&b), &events, &f->watchers[i]);
    }
    uint64_t start = kit_now_us();
    kit_run(f->kit, &f->done, NODES_WAIT_MS);
    fprintf(stderr, "# %u watchers have their lists after %.1f s\n", WATCHERS, (double)(kit_now_us() - start) / 1e6);
}

/* ---- Setting up ---- */

static void on_made(const struct rpc_result *r, void *data)
{
    bench_must(r, "apply");
    *(bool *)data = true;
}

static void make_workloads(struct feeds *f)
{
    unsigned pods = f->fleet.count * FEEDS_PODS;
    for (unsigned i = 0; pods > 0; i++) {
        unsigned replicas = MIN(pods, SPAN * FEEDS_PODS);
        bool done = false;
        bench_call(
            f->kit->sessions[0], "apply", on_made, &done,
            "{objects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: c%u, namespace: bench}, data: {k: v}}, "
            "{apiVersion: apps/v1, kind: Deployment, metadata: {name: d%u, namespace: bench}, spec: {replicas: %u, "
            "selector: {matchLabels: {app: d%u}}, "
            "template: {metadata: {labels: {app: d%u}}, spec: {containers: [{name: c, image: 'busybox:1.35', "
            "resources: {requests: {cpu: 10m}}, "
            "envFrom: [{configMapRef: {name: c%u}}]}]}}}}]}",
            i, i, replicas, i, i, i);
        kit_run(f->kit, &done, NODES_WAIT_MS);
        pods -= replicas;
    }
}

static void on_running(struct fleet *fleet, void *data)
{
    struct feeds *f = data;
    f->done = fleet->running >= fleet->count * FEEDS_PODS;
}

static void set_up(struct feeds *f)
{
    load_namespace(f->kit, "bench");
    uint64_t start = kit_now_us();
    fleet_open(&f->fleet,
               &(struct fleet_config){
                   .kit = f->kit, .nodes = f->config->nodes, .spread = f->config->spread, .ca_dir = f->config->ca_dir});
    make_workloads(f);
    f->done = false;
    f->fleet.on_change = on_running;
    f->fleet.data = f;
    on_running(&f->fleet, f);
    kit_run(f->kit, &f->done, NODES_WAIT_MS);
    f->fleet.on_change = NULL;
    fprintf(stderr, "# %u pods run after %.1f s\n", (unsigned)f->fleet.running, (double)(kit_now_us() - start) / 1e6);
}

void bench_feeds(struct kit *k, const struct feeds_config *c)
{
    struct feeds f = {.kit = k, .config = c};
    set_up(&f);
    tell_turns(&f, "setup", true);
    watch_pods(&f);
    tell_turns(&f, "lists", false);
    measure(&f, "status", send_pod_status, c->inflight > 0 ? c->inflight : INFLIGHT);
    figure(&f, "watch_p50", "", samples_percentile(&f.latency, 0.5) / 1000.0, "ms");
    figure(&f, "watch_p99", "", samples_percentile(&f.latency, 0.99) / 1000.0, "ms");
    figure(&f, "watch_events", "", (double)f.watched / c->seconds, "1/s");
    measure(&f, "node", send_node_status, c->inflight > 0 ? c->inflight : 8);
    measure(&f, "configmap", send_configmap, 8);
    fflush(stdout);
    _exit(0); /* thousands of connections: the kernel closes them faster */
}
