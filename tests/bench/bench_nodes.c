#include "tests/bench/bench_nodes.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/text/text.h"

#define HEARTBEAT_MS   10000
#define JOIN_AT_ONCE   16u
#define LABELS_AT_ONCE 64u
#define AGAIN_MS       300
#define FAILURES_TOLD  5u
#define REPORT_MAX     64u /* pods of one report */

void bench_die(const char *what, const char *why)
{
    fprintf(stderr, "bench: %s: %s\n", what, why);
    exit(1);
}

void bench_call(struct rpc_session *s, const char *method, rpc_result_cb *cb, void *data, const char *fmt, ...)
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
        bench_die(method, err.message);
    }
    msgpack_write_value(&b, docs[0]);
    rpc_call(s, method, buf_str(&b), 0, cb, data);
}

void bench_must(const struct rpc_result *r, const char *what)
{
    if (r->error != NULL) {
        bench_die(what, r->error->message);
    }
}

static void changed(struct fleet *f)
{
    if (f->on_change != NULL) {
        f->on_change(f, f->data);
    }
}

/* ---- What nodes say ---- */

static void write_condition(struct buf *b, const char *type, bool yes)
{
    mp_write_map(b, 2);
    mp_write_key_str(b, "type", str_of(type));
    mp_write_key_str(b, "status", yes ? STR("True") : STR("False"));
}

static void write_name(struct buf *b, const struct fake_pod *p, unsigned members)
{
    mp_write_map(b, members);
    mp_write_key_str(b, "namespace", str_of(p->ns));
    mp_write_key_str(b, "name", str_of(p->name));
    mp_write_key_str(b, "uid", str_of(p->uid));
}

/* One report in ten, but no first one, says the opposite of what was said before of the pod's readiness: however few
 * pods there are, its ReplicaSet and Deployment have work with that one. Its message is the time, which watchers
 * read. */
static void write_pod(struct buf *b, struct fake_pod *p, uint64_t serial)
{
    char now[24];
    p->unready = p->unready != (serial % 10 == 9);
    bool ready = !p->unready;
    snprintf(now, sizeof now, "%" PRIu64, kit_now_us());
    write_name(b, p, 4);
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

void fake_write_report(struct buf *b, struct fake *n, unsigned from, unsigned to)
{
    mp_write_map(b, 2);
    mp_write_key_str(b, "name", str_of(n->name));
    mp_write_cstr(b, "pods");
    mp_write_array(b, to - from);
    for (unsigned i = from; i < to; i++) {
        write_pod(b, &n->pods[i], n->pods[i].reports == 0 ? 0 : n->fleet->serial++);
    }
}

void fake_check_results(const struct rpc_result *r)
{
    bench_must(r, "node.status");
    for (struct mp_iter it = mp_iter(mp_get(r->result, "results")); mp_next(&it);) {
        if (mp_type(it.value) != MP_NIL) {
            bench_die("node.status", "a pod's status was refused");
        }
    }
}

static void report_due(struct fake *n);

/* Nobody knows what was taken of a report that was cut off. */
static void say_again(struct fake *n)
{
    n->due = 0;
    for (unsigned i = 0; i < n->count; i++) {
        struct fake_pod *p = &n->pods[i];
        p->told = false;
        if (!p->leaving && !p->known) {
            p->reports = 0;
        }
        n->due += p->leaving || p->reports == 0;
    }
}

static void on_due(const struct rpc_result *r, void *data)
{
    struct fake *n = data;
    n->busy = false;
    if (r->error != NULL && n->fleet->config.comes_back) {
        say_again(n);
        return;
    }
    bench_must(r, "node.status");
    for (unsigned i = 0; i < n->count; i++) {
        n->pods[i].known = n->pods[i].reports > 0;
    }
    for (struct mp_iter it = mp_iter(mp_get(r->result, "results")); mp_next(&it);) {
        n->fleet->running += mp_type(it.value) == MP_NIL;
    }
    changed(n->fleet);
    report_due(n);
}

/* First reports, and what has gone. */
static void report_due(struct fake *n)
{
    if (n->busy || n->due == 0 || n->fleet->hold || n->rpc == NULL || !n->registered) {
        return;
    }
    CLEANUP_BUF struct buf pods = BUF_INIT, gone = BUF_INIT, b = BUF_INIT;
    unsigned first = 0, left = 0;
    for (unsigned i = 0; i < n->count && first + left < REPORT_MAX; i++) {
        struct fake_pod *p = &n->pods[i];
        if (p->leaving && !p->told) {
            p->told = true;
            write_name(&gone, p, 3);
            left++;
        } else if (!p->leaving && p->reports == 0) {
            write_pod(&pods, p, 0);
            first++;
        }
    }
    n->due -= MIN(n->due, first + left);
    if (first + left == 0) {
        n->due = 0;
        return;
    }
    mp_write_map(&b, 3);
    mp_write_key_str(&b, "name", str_of(n->name));
    mp_write_cstr(&b, "pods");
    mp_write_array(&b, first);
    buf_append(&b, pods.data, pods.size);
    mp_write_cstr(&b, "gone");
    mp_write_array(&b, left);
    buf_append(&b, gone.data, gone.size);
    n->busy = true;
    rpc_call(n->rpc, "node.status", buf_str(&b), 0, on_due, n);
}

unsigned fleet_registered(const struct fleet *f)
{
    unsigned count = 0;
    for (unsigned i = 0; i < f->count; i++) {
        count += f->nodes[i].registered;
    }
    return count;
}

void fleet_release(struct fleet *f)
{
    f->hold = false;
    for (unsigned i = 0; i < f->count; i++) {
        report_due(&f->nodes[i]);
    }
}

/* ---- Streams of a node ---- */

/* It registers anew when its session is over. */
static void leave(struct fake *n)
{
    n->registered = false;
    if (n->rpc != NULL && rpc_session_is_open(n->rpc)) {
        rpc_session_close(n->rpc);
    }
}

static void on_end(struct rpc_stream *st, const struct error *err, void *data)
{
    struct fake *n = data;
    if (err != NULL && err->code != ERR_CLOSED && !n->fleet->config.comes_back) {
        bench_die("a stream ended", err->message);
    }
    rpc_stream_end(st, NULL);
    if (err != NULL) {
        leave(n);
    }
}

static struct fake_pod *find_pod(struct fake *n, struct str uid)
{
    for (unsigned i = 0; i < n->count; i++) {
        if (str_eq(str_of(n->pods[i].uid), uid)) {
            return &n->pods[i];
        }
    }
    return NULL;
}

static struct fake_pod *add_pod(struct fake *n, struct mp o, struct str uid)
{
    if (n->count == n->cap) {
        n->cap = n->cap == 0 ? 32 : n->cap * 2;
        n->pods = xrealloc(n->pods, n->cap * sizeof *n->pods);
    }
    struct fake_pod *p = &n->pods[n->count++];
    *p = (struct fake_pod){0};
    snprintf(p->ns, sizeof p->ns, "%.*s", STR_ARG(mp_str(mp_path(o, "metadata.namespace"))));
    snprintf(p->name, sizeof p->name, "%.*s", STR_ARG(mp_str(mp_path(o, "metadata.name"))));
    snprintf(p->uid, sizeof p->uid, "%.*s", STR_ARG(uid));
    n->due++;
    n->fleet->ordered++;
    return p;
}

static void take_order(struct fake *n, struct str type, struct mp o)
{
    struct str uid = mp_str(mp_path(o, "metadata.uid"));
    struct fake_pod *p = find_pod(n, uid);
    if (str_is(type, "DELETED")) {
        if (p != NULL) {
            n->due -= MIN(n->due, (unsigned)(p->leaving ? !p->told : p->reports == 0));
            *p = n->pods[--n->count];
            n->fleet->gone++;
        }
    } else if (str_is(type, "ADDED") || str_is(type, "MODIFIED")) {
        p = p != NULL ? p : add_pod(n, o, uid);
        if (!p->leaving && mp_type(mp_path(o, "metadata.deletionTimestamp")) == MP_STR) {
            n->due += p->reports > 0; /* else it is due already */
            p->leaving = true;
        }
    }
}

static void on_orders(struct rpc_stream *st, struct mp payload, size_t bytes, void *data)
{
    struct fake *n = data;
    for (struct mp_iter it = mp_iter(mp_get(payload, "events")); mp_next(&it);) {
        take_order(n, mp_str(mp_get(it.value, "type")), mp_get(it.value, "object"));
        n->fleet->events++;
    }
    rpc_stream_consumed(st, bytes);
    changed(n->fleet);
    report_due(n);
}

static void on_refs(struct rpc_stream *st, struct mp payload, size_t bytes, void *data)
{
    struct fake *n = data;
    n->fleet->refs += mp_count(mp_get(payload, "events"));
    rpc_stream_consumed(st, bytes);
}

static void on_routes(struct rpc_stream *st, struct mp payload, size_t bytes, void *data)
{
    struct fake *n = data;
    struct fleet *f = n->fleet;
    (void)payload;
    f->routes++;
    f->routed += !n->routed;
    n->routed = true;
    f->done = f->done || (f->following && f->routed == f->count);
    rpc_stream_consumed(st, bytes);
}

static void open_streams(struct fake *n)
{
    static const struct rpc_stream_events orders = {.on_data = on_orders, .on_end = on_end};
    static const struct rpc_stream_events refs = {.on_data = on_refs, .on_end = on_end};
    static const struct rpc_stream_events routes = {.on_data = on_routes, .on_end = on_end};
    CLEANUP_BUF struct buf b = BUF_INIT;
    mp_write_map(&b, 1 + n->quiet);
    mp_write_key_str(&b, "name", str_of(n->name));
    if (n->quiet) {
        mp_write_key_bool(&b, "ownStatus", false);
    }
    rpc_stream_open(n->rpc, "node.pods", buf_str(&b), &orders, n);
    buf_reset(&b);
    mp_write_map(&b, 1);
    mp_write_key_str(&b, "name", str_of(n->name));
    rpc_stream_open(n->rpc, "node.refs", buf_str(&b), &refs, n);
    if (n->fleet->config.no_routes) {
        return;
    }
    buf_reset(&b);
    mp_write_map(&b, 1 + n->changes);
    mp_write_key_str(&b, "name", str_of(n->name));
    if (n->changes) {
        mp_write_key_bool(&b, "changes", true);
    }
    rpc_stream_open(n->rpc, "node.routes", buf_str(&b), &routes, n);
}

static void on_beat(uv_timer_t *t)
{
    struct fleet *f = t->data;
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
        report_due(n); /* what was refused before */
    }
}

/* ---- Joining ---- */

static char *ca_pem, *ca_key_pem;
static void join_next(struct fleet *f);
static void join(struct fake *n, unsigned attempt);

static void leave_way_back(struct fake *n)
{
    n->fleet->back -= n->back;
    n->back = false;
}

static void on_registered(const struct rpc_result *r, void *data)
{
    struct fake *n = data;
    struct fleet *f = n->fleet;
    if (r->error != NULL && f->config.comes_back) {
        if (f->failures++ < FAILURES_TOLD) {
            fprintf(stderr, "# %s: %s\n", n->name, r->error->message);
        }
        leave(n);
        return;
    }
    bench_must(r, "node.register");
    n->registered = true;
    leave_way_back(n);
    n->changes = mp_bool(mp_get(r->result, "routeChanges"), false);
    n->quiet = mp_bool(mp_get(r->result, "ownStatus"), false);
    if (!n->counted) {
        n->counted = true;
        f->ready++;
        f->inflight--;
        join_next(f);
    }
    if (f->following) { /* this one is back */
        open_streams(n);
        report_due(n);
    }
    f->done = f->done || (!f->following && f->ready == f->count);
}

struct again {
    uv_timer_t timer;
    struct fake *node;
};

static void on_again_closed(uv_handle_t *h)
{
    free(h->data);
}

/* All nodes of a master that has gone come back at once, and share the one thread that shakes hands for them: by turns,
 * or none would be done in time. */
static void on_again(uv_timer_t *t)
{
    struct again *a = t->data;
    struct fleet *f = a->node->fleet;
    static unsigned attempts;
    if (f->back >= JOIN_AT_ONCE) {
        uv_timer_start(t, on_again, AGAIN_MS, 0);
        return;
    }
    f->back++;
    a->node->back = true;
    join(a->node, ++attempts);
    uv_close((uv_handle_t *)t, on_again_closed);
}

static void on_session_closed(struct rpc_session *s, const struct error *why, void *data)
{
    (void)s;
    struct fake *n = data;
    struct fleet *f = n->fleet;
    n->rpc = NULL;
    n->registered = false;
    leave_way_back(n);
    if (f->ending) {
        return;
    }
    if (!f->config.comes_back) {
        bench_die(n->name, why != NULL ? why->message : "closed");
    }
    struct again *a = xcalloc(1, sizeof *a);
    a->node = n;
    a->timer.data = a;
    uv_timer_init(&f->config.kit->loop, &a->timer);
    uv_timer_start(&a->timer, on_again, AGAIN_MS, 0);
}

static struct net_tls *identity_of(const struct fake *n)
{
    struct pki_identity who = {.role = PKI_ROLE_NODE};
    char *cert, *key;
    struct net_tls *tls;
    struct error err = {0};
    snprintf(who.name, sizeof who.name, "%s", n->name);
    if (pki_issue(ca_pem, ca_key_pem, &who, NULL, 24 * 3600, &cert, &key, &err) != 0 ||
        net_tls_new(ca_pem, cert, key, NULL, &tls, &err) != 0) {
        bench_die("certificate", err.message);
    }
    free(cert);
    pki_free_key(key);
    return tls;
}

static void join(struct fake *n, unsigned attempt)
{
    const struct fleet_config *c = &n->fleet->config;
    struct kit *k = c->kit;
    n->tls = n->tls != NULL ? n->tls : identity_of(n);
    unsigned i = c->first + (unsigned)(n - n->fleet->nodes);
    unsigned pods = c->capacity == 0 ? 110 : c->capacity;
    uv_update_time(&k->loop);
    const char *server = k->target.servers[c->spread ? (i + attempt) % k->target.servers_count : 0];
    n->rpc = rpc_session_connect(&k->loop, n->tls, server, ALPN_RPC, 60000,
                                 &(struct rpc_config){.handler = {.on_close = on_session_closed}, .data = n});
    bench_call(
        n->rpc, "node.register", on_registered, n,
        "{anyMaster: %s, node: {apiVersion: v1, kind: Node, metadata: {name: %s, labels: {kubernetes.io/hostname: "
        "%s}}, status: {capacity: {cpu: '64', memory: 256Gi, pods: '%u'}, allocatable: {cpu: '64', memory: "
        "256Gi, pods: '%u'}, addresses: [{type: InternalIP, address: 10.%u.%u.%u}], conditions: [{type: Ready, "
        "status: 'True'}]}}}",
        c->spread ? "true" : "false", n->name, n->name, pods, pods, i / 250 % 250, i % 250, 1 + i / 62500);
}

static void join_next(struct fleet *f)
{
    while (f->inflight < JOIN_AT_ONCE && f->next < f->count) {
        f->inflight++;
        join(&f->nodes[f->next++], 0);
    }
}

static void on_labelled(const struct rpc_result *r, void *data)
{
    struct fleet *f = data;
    bench_must(r, "a node's zone");
    f->inflight--;
    f->labelled++;
    f->done = f->labelled == f->count;
}

/* A node may not say it of itself. */
static void label_zones(struct fleet *f)
{
    struct kit *k = f->config.kit;
    f->done = false;
    for (f->next = 0; f->next < f->count;) {
        while (f->next < f->count && f->inflight < LABELS_AT_ONCE) {
            unsigned i = f->next++;
            f->inflight++;
            bench_call(k->sessions[i % k->sessions_count], "patch", on_labelled, f,
                       "{kind: Node, name: node-%05u, type: merge, patch: {metadata: {labels: "
                       "{topology.kubernetes.io/zone: z%u}}}}",
                       i, i % f->config.zones);
        }
        uv_run(&k->loop, UV_RUN_ONCE);
    }
    kit_run(k, &f->done, NODES_WAIT_MS);
}

static void read_ca(const char *dir)
{
    struct error err = {0};
    char path[600];
    size_t n;
    snprintf(path, sizeof path, "%s/ca.crt", dir);
    int rv = pki_read_file(path, PKI_PEM_MAX, &ca_pem, &n, &err);
    snprintf(path, sizeof path, "%s/ca.key", dir);
    rv = rv != 0 ? rv : pki_read_file(path, PKI_PEM_MAX, &ca_key_pem, &n, &err);
    if (rv != 0) {
        bench_die("the cluster's CA", err.message);
    }
}

void fleet_open(struct fleet *f, const struct fleet_config *c)
{
    *f = (struct fleet){.config = *c, .count = c->nodes};
    read_ca(c->ca_dir);
    f->nodes = xcalloc(f->count, sizeof *f->nodes);
    for (unsigned i = 0; i < f->count; i++) {
        f->nodes[i].fleet = f;
        snprintf(f->nodes[i].name, sizeof f->nodes[i].name, "node-%05u", c->first + i);
    }
    uint64_t start = kit_now_us();
    uv_timer_init(&c->kit->loop, &f->beat);
    f->beat.data = f;
    f->beat_us = start;
    /* joining may take longer than the grace */
    uv_timer_start(&f->beat, on_beat, HEARTBEAT_MS / 100, HEARTBEAT_MS / 100);
    join_next(f);
    kit_run(c->kit, &f->done, NODES_WAIT_MS);
    fprintf(stderr, "# %u nodes registered after %.1f s\n", f->count, (double)(kit_now_us() - start) / 1e6);
    if (c->zones > 0) {
        label_zones(f);
    }
    f->done = false;
    f->following = true;
    for (unsigned i = 0; i < f->count; i++) {
        if (f->nodes[i].registered) {
            open_streams(&f->nodes[i]);
        }
    }
    if (c->no_routes) {
        return;
    }
    kit_run(c->kit, &f->done, NODES_WAIT_MS);
    fprintf(stderr, "# they have heard of all routes after %.1f s\n", (double)(kit_now_us() - start) / 1e6);
}
