#include "tests/bench/bench_feeds.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/text/text.h"
#include "tests/bench/bench_load.h"

#define INFLIGHT       64u
#define WATCHERS       10u
#define SPAN           10u /* nodes of one Deployment */
#define WAIT_MS        1800000
#define HEARTBEAT_MS   10000
#define SETTLE_S       11   /* a reading of the longest turn covers ten seconds */
#define PODS_MAX       256u /* of one node, were they spread badly, and some made anew */
#define CREATE_AT_ONCE 100u

struct fake_pod {
    char name[80], uid[40];
    unsigned reports;
};
struct fake {
    struct feeds *feeds;
    struct rpc_session *rpc;
    char name[16];
    unsigned count, next, told; /* pods; the next to report; how many have been reported once */
    bool ready, busy;
    bool changes; /* the master tells what has changed of routes */
    bool registered;
    bool quiet; /* as the agent, it does not want to hear what it said itself */
    struct fake_pod pods[PODS_MAX];
};
struct watcher {
    struct feeds *feeds;
    bool listed;
};
struct feeds {
    struct kit *kit;
    const struct feeds_config *config;
    struct fake *nodes;
    struct watcher watchers[WATCHERS];
    unsigned count, ready, next, inflight;
    unsigned running; /* pods that were reported once */
    unsigned listed;  /* watchers whose list has come */
    uint64_t events, refs, routes, watched, answered, end_us;
    struct samples latency; /* of watchers */
    bool measuring, done;
    void (*send)(struct feeds *f); /* what is done in a closed loop */
    uint64_t serial;
    uv_timer_t beat;
    unsigned beat_at; /* node whose turn it is to send a heartbeat, */
    uint64_t beat_us; /* and when one did last */
};

static void die(const char *what, const char *why)
{
    fprintf(stderr, "bench: %s: %s\n", what, why);
    exit(1);
}

static void call(struct rpc_session *s, const char *method, rpc_result_cb *cb, void *data, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
static void call(struct rpc_session *s, const char *method, rpc_result_cb *cb, void *data, const char *fmt, ...)
{
    CLEANUP_ARENA struct arena arena;
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct value **docs;
    unsigned count;
    struct error err = {0};
    va_list ap;
    arena_init(&arena);
    va_start(ap, fmt);
    const char *text = arena_vprintf(&arena, fmt, ap);
    va_end(ap);
    if (yaml_read(&arena, str_of(text), "bench", &docs, &count, &err) != 0) {
        die(method, err.message);
    }
    msgpack_write_value(&b, docs[0]);
    rpc_call(s, method, buf_str(&b), 0, cb, data);
}

static void must(const struct rpc_result *r, const char *what)
{
    if (r->error != NULL) {
        die(what, r->error->message);
    }
}

/* ---- Streams of a node ---- */

static void on_end(struct rpc_stream *st, const struct error *err, void *data)
{
    (void)data;
    if (err != NULL && err->code != ERR_CLOSED) {
        die("a stream ended", err->message);
    }
    rpc_stream_end(st, NULL);
}

static void report_first(struct fake *n);

static void take_order(struct fake *n, struct mp o)
{
    struct str name = mp_str(mp_path(o, "metadata.name")), uid = mp_str(mp_path(o, "metadata.uid"));
    if (n->count == PODS_MAX) {
        die(n->name, "more pods than this program takes");
    }
    struct fake_pod *p = &n->pods[n->count++];
    snprintf(p->name, sizeof p->name, "%.*s", STR_ARG(name));
    snprintf(p->uid, sizeof p->uid, "%.*s", STR_ARG(uid));
}

static void on_orders(struct rpc_stream *st, struct mp payload, size_t bytes, void *data)
{
    struct fake *n = data;
    for (struct mp_iter it = mp_iter(mp_get(payload, "events")); mp_next(&it);) {
        struct str type = mp_str(mp_get(it.value, "type"));
        if (str_is(type, "ADDED")) {
            take_order(n, mp_get(it.value, "object"));
        }
        n->feeds->events++;
    }
    rpc_stream_consumed(st, bytes);
    report_first(n);
}

static void on_refs(struct rpc_stream *st, struct mp payload, size_t bytes, void *data)
{
    struct fake *n = data;
    n->feeds->refs += mp_count(mp_get(payload, "events"));
    rpc_stream_consumed(st, bytes);
}

static void on_routes(struct rpc_stream *st, struct mp payload, size_t bytes, void *data)
{
    struct fake *n = data;
    (void)payload;
    n->feeds->routes++;
    rpc_stream_consumed(st, bytes);
}

static const struct rpc_stream_events orders_events = {.on_data = on_orders, .on_end = on_end};
static const struct rpc_stream_events refs_events = {.on_data = on_refs, .on_end = on_end};
static const struct rpc_stream_events routes_events = {.on_data = on_routes, .on_end = on_end};

static void open_streams(struct fake *n)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    mp_write_map(&b, 1 + n->quiet);
    mp_write_key_str(&b, "name", str_of(n->name));
    if (n->quiet) {
        mp_write_key_bool(&b, "ownStatus", false);
    }
    rpc_stream_open(n->rpc, "node.pods", buf_str(&b), &orders_events, n);
    buf_reset(&b);
    mp_write_map(&b, 1);
    mp_write_key_str(&b, "name", str_of(n->name));
    rpc_stream_open(n->rpc, "node.refs", buf_str(&b), &refs_events, n);
    buf_reset(&b);
    mp_write_map(&b, 1 + n->changes);
    mp_write_key_str(&b, "name", str_of(n->name));
    if (n->changes) {
        mp_write_cstr(&b, "changes");
        mp_write_bool(&b, true);
    }
    rpc_stream_open(n->rpc, "node.routes", buf_str(&b), &routes_events, n);
}

static void on_beat(uv_timer_t *t)
{
    struct feeds *f = t->data;
    uint64_t now_us = kit_now_us();
    uint64_t due = (now_us - f->beat_us) * f->count / (HEARTBEAT_MS * 1000u) + 1; /* timers may come late */
    f->beat_us = now_us;
    for (uint64_t i = 0; i < MIN(due, f->count); i++) {
        struct fake *n = &f->nodes[f->beat_at++ % f->count];
        if (!n->registered) {
            continue;
        }
        CLEANUP_BUF struct buf b = BUF_INIT;
        mp_write_map(&b, 1);
        mp_write_key_str(&b, "name", str_of(n->name));
        rpc_notify(n->rpc, "node.heartbeat", buf_str(&b));
    }
}

/* ---- What nodes say ---- */

static void write_condition(struct buf *b, const char *type, bool yes)
{
    mp_write_map(b, 2);
    mp_write_key_str(b, "type", str_of(type));
    mp_write_key_str(b, "status", yes ? STR("True") : STR("False"));
}

/* One in ten says that the pod is not ready. Its message is the time, which watchers read. */
static void write_pod(struct buf *b, struct fake_pod *p, uint64_t serial)
{
    char now[24];
    bool ready = serial % 10 != 9;
    snprintf(now, sizeof now, "%" PRIu64, kit_now_us());
    mp_write_map(b, 4);
    mp_write_key_str(b, "namespace", STR("bench"));
    mp_write_key_str(b, "name", str_of(p->name));
    mp_write_key_str(b, "uid", str_of(p->uid));
    mp_write_cstr(b, "status");
    mp_write_map(b, 6);
    mp_write_key_str(b, "phase", STR("Running"));
    mp_write_key_str(b, "message", str_of(now));
    mp_write_key_str(b, "hostIP", STR("10.0.0.1"));
    mp_write_key_str(b, "podIP", STR("10.200.0.17"));
    mp_write_cstr(b, "conditions");
    mp_write_array(b, 3);
    write_condition(b, "Initialized", true);
    write_condition(b, "ContainersReady", ready);
    write_condition(b, "Ready", ready);
    mp_write_cstr(b, "containerStatuses");
    mp_write_array(b, 1);
    mp_write_map(b, 5);
    mp_write_key_str(b, "name", STR("c"));
    mp_write_key_str(b, "image", STR("busybox:1.35"));
    mp_write_key_str(b, "imageID", STR("sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"));
    mp_write_key_int(b, "restartCount", p->reports++);
    mp_write_cstr(b, "ready");
    mp_write_bool(b, ready);
}

static void write_report(struct buf *b, struct fake *n, unsigned from, unsigned to)
{
    mp_write_map(b, 2);
    mp_write_key_str(b, "name", str_of(n->name));
    mp_write_cstr(b, "pods");
    mp_write_array(b, to - from);
    for (unsigned i = from; i < to; i++) {
        write_pod(b, &n->pods[i], n->pods[i].reports == 0 ? 0 : n->feeds->serial++);
    }
}

static void check_results(const struct rpc_result *r)
{
    must(r, "node.status");
    for (struct mp_iter it = mp_iter(mp_get(r->result, "results")); mp_next(&it);) {
        if (mp_type(it.value) != MP_NIL) {
            die("node.status", "a pod's status was refused");
        }
    }
}

static void on_first(const struct rpc_result *r, void *data)
{
    struct fake *n = data;
    check_results(r);
    n->busy = false;
    n->feeds->running += mp_count(mp_get(r->result, "results"));
    n->feeds->done = n->feeds->running >= n->feeds->count * FEEDS_PODS;
    report_first(n);
}

/* What has been ordered and not been told as running. */
static void report_first(struct fake *n)
{
    if (n->busy || n->told == n->count) {
        return;
    }
    CLEANUP_BUF struct buf b = BUF_INIT;
    n->busy = true;
    write_report(&b, n, n->told, n->count);
    n->told = n->count;
    rpc_call(n->rpc, "node.status", buf_str(&b), 0, on_first, n);
}

/* ---- Closed loops ---- */

static void on_answer(const struct rpc_result *r, void *data)
{
    struct feeds *f = data;
    check_results(r);
    f->inflight--;
    f->answered++;
    if (kit_now_us() < f->end_us) {
        f->send(f);
    }
    f->done = f->inflight == 0;
}

static void send_pod_status(struct feeds *f)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct fake *n = &f->nodes[f->next++ % f->count];
    while (n->count == 0) {
        n = &f->nodes[f->next++ % f->count];
    }
    unsigned at = n->next++ % n->count;
    write_report(&b, n, at, at + 1);
    f->inflight++;
    rpc_call(n->rpc, "node.status", buf_str(&b), 0, on_answer, f);
}

static void send_node_status(struct feeds *f)
{
    struct fake *n = &f->nodes[f->next++ % f->count];
    f->inflight++;
    call(n->rpc, "node.status", on_answer, f,
         "{name: %s, node: {capacity: {cpu: '64', memory: 256Gi, pods: '110'}, allocatable: {cpu: '64', memory: 256Gi, "
         "pods: '110'}, "
         "nodeInfo: {kernelVersion: '%" PRIu64 "'}, addresses: [{type: InternalIP, address: 10.%u.%u.1}], "
         "conditions: [{type: Ready, status: 'True'}]}}",
         n->name, f->serial++, (unsigned)(n - f->nodes) / 250, (unsigned)(n - f->nodes) % 250);
}

static void send_configmap(struct feeds *f)
{
    f->inflight++;
    call(f->kit->sessions[0], "update", on_answer, f,
         "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: c%" PRIu64
         ", namespace: bench}, data: {k: '%" PRIu64 "'}}}",
         f->serial % MAX(f->count / SPAN, 1u), f->serial);
    f->serial++;
}

/* ---- Measuring ---- */

/* FEEDS_NODES_WHAT[_MORE] */
static void figure(const struct feeds *f, const char *what, const char *more, double value, const char *unit)
{
    char name[80];
    snprintf(name, sizeof name, "%s_%u_%s%s", f->config->name, f->count, what, more);
    kit_line(name, value, unit);
}

/* The longest turn of the loop: of late, with its parts as a note; or since the master's start. */
static void tell_turns(struct feeds *f, const char *what, bool ever)
{
    CLEANUP_BUF struct buf out = BUF_INIT;
    struct error err;
    if (kit_call(f->kit, f->kit->sessions[0], "cluster", NULL, &out, &err) != 0) {
        die("cluster", err.message);
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
    kit_run(f->kit, &f->done, WAIT_MS);
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
    f->watched = f->events = f->refs = 0;
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
    figure(f, what, "_told", (double)(f->events + f->refs) / n, "events"); /* to agents, for each */
}

/* ---- Watchers ---- */

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
    kit_run(f->kit, &f->done, WAIT_MS);
    fprintf(stderr, "# %u watchers have their lists after %.1f s\n", WATCHERS, (double)(kit_now_us() - start) / 1e6);
}

/* ---- Setting up ---- */

static void join_next(struct feeds *f);

static void on_registered(const struct rpc_result *r, void *data)
{
    struct fake *n = data;
    must(r, "node.register");
    n->registered = true;
    n->changes = mp_bool(mp_get(r->result, "routeChanges"), false);
    n->quiet = mp_bool(mp_get(r->result, "ownStatus"), false);
    n->feeds->ready++;
    n->feeds->inflight--;
    join_next(n->feeds);
    n->feeds->done = n->feeds->ready == n->feeds->count;
}

static void on_session_closed(struct rpc_session *s, const struct error *why, void *data)
{
    (void)s;
    struct fake *n = data;
    if (!n->feeds->measuring && why != NULL && n->rpc != NULL) {
        die(n->name, why->message);
    }
}

static char *ca_pem, *ca_key_pem;

static void join(struct fake *n)
{
    struct kit *k = n->feeds->kit;
    struct pki_identity who = {.role = PKI_ROLE_NODE};
    char *cert, *key;
    struct net_tls *tls;
    struct error err = {0};
    snprintf(who.name, sizeof who.name, "%s", n->name);
    if (pki_issue(ca_pem, ca_key_pem, &who, NULL, 24 * 3600, &cert, &key, &err) != 0 ||
        net_tls_new(ca_pem, cert, key, NULL, &tls, &err) != 0) {
        die("certificate", err.message);
    }
    uv_update_time(&k->loop);
    unsigned i = (unsigned)(n - n->feeds->nodes);
    bool spread = n->feeds->config->spread;
    const char *server = k->target.servers[spread ? i % k->target.servers_count : 0];
    n->rpc = rpc_session_connect(&k->loop, tls, server, ALPN_RPC, 60000,
                                 &(struct rpc_config){.handler = {.on_close = on_session_closed}, .data = n});
    net_tls_unref(tls);
    free(cert);
    pki_free_key(key);
    call(n->rpc, "node.register", on_registered, n,
         "{anyMaster: %s, node: {apiVersion: v1, kind: Node, metadata: {name: %s, labels: {kubernetes.io/hostname: "
         "%s}}, status: {"
         "capacity: {cpu: '64', memory: 256Gi, pods: '110'}, allocatable: {cpu: '64', memory: 256Gi, pods: '110'}, "
         "addresses: [{type: InternalIP, address: 10.%u.%u.1}], conditions: [{type: Ready, status: 'True'}]}}}",
         spread ? "true" : "false", n->name, n->name, i / 250, i % 250);
}

static void join_next(struct feeds *f)
{
    while (f->inflight < 16 && f->next < f->count) {
        f->inflight++;
        join(&f->nodes[f->next++]);
    }
}

static void on_made(const struct rpc_result *r, void *data)
{
    must(r, "apply");
    *(bool *)data = true;
}

static void make_workloads(struct feeds *f)
{
    unsigned pods = f->count * FEEDS_PODS;
    for (unsigned i = 0; pods > 0; i++) {
        unsigned replicas = MIN(pods, SPAN * FEEDS_PODS);
        bool done = false;
        call(f->kit->sessions[0], "apply", on_made, &done,
             "{objects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: c%u, namespace: bench}, data: {k: v}}, "
             "{apiVersion: apps/v1, kind: Deployment, metadata: {name: d%u, namespace: bench}, spec: {replicas: %u, "
             "selector: {matchLabels: {app: d%u}}, "
             "template: {metadata: {labels: {app: d%u}}, spec: {containers: [{name: c, image: 'busybox:1.35', "
             "resources: {requests: {cpu: 10m}}, "
             "envFrom: [{configMapRef: {name: c%u}}]}]}}}}]}",
             i, i, replicas, i, i, i);
        kit_run(f->kit, &done, WAIT_MS);
        pods -= replicas;
    }
}

static void set_up(struct feeds *f)
{
    struct error err = {0};
    load_namespace(f->kit, "bench");
    f->nodes = xcalloc(f->count, sizeof *f->nodes);
    for (unsigned i = 0; i < f->count; i++) {
        f->nodes[i].feeds = f;
        snprintf(f->nodes[i].name, sizeof f->nodes[i].name, "node-%05u", i);
    }
    uint64_t start = kit_now_us();
    uv_timer_init(&f->kit->loop, &f->beat);
    f->beat.data = f;
    f->beat_us = start;
    uv_timer_start(&f->beat, on_beat, HEARTBEAT_MS / 100,
                   HEARTBEAT_MS / 100); /* joining may take longer than the grace */
    f->done = false;
    join_next(f);
    kit_run(f->kit, &f->done, WAIT_MS);
    f->next = 0;
    fprintf(stderr, "# %u nodes registered after %.1f s\n", f->count, (double)(kit_now_us() - start) / 1e6);
    for (unsigned i = 0; i < f->count; i++) {
        open_streams(&f->nodes[i]);
    }
    f->done = false;
    make_workloads(f);
    kit_run(f->kit, &f->done, WAIT_MS);
    fprintf(stderr, "# %u pods run after %.1f s\n", f->running, (double)(kit_now_us() - start) / 1e6);
    (void)err;
}

void bench_feeds(struct kit *k, const struct feeds_config *c)
{
    struct feeds f = {.kit = k, .config = c, .count = c->nodes};
    struct error err = {0};
    char path[600];
    size_t n;
    snprintf(path, sizeof path, "%s/ca.crt", c->ca_dir);
    int rv = pki_read_file(path, PKI_PEM_MAX, &ca_pem, &n, &err);
    snprintf(path, sizeof path, "%s/ca.key", c->ca_dir);
    rv = rv != 0 ? rv : pki_read_file(path, PKI_PEM_MAX, &ca_key_pem, &n, &err);
    if (rv != 0) {
        die("the cluster's CA", err.message);
    }
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
    free(f.nodes);
    fflush(stdout);
    _exit(0); /* thousands of connections: the kernel closes them faster */
}
