#include "agent/network/network_int.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/runtime/process.h"
#include "agent/util/defer.h"
#include "agent/util/fsutil.h"
#include "base/list.h"
#include "proto/facts/cidr.h"
#include "proto/text/text.h"

/* One job per ADD or DEL: a chain of steps. The owner is noted before the first and forgotten after the last
 * (network/owner.c).
 *
 *   ADD: [rules, bridge DEL, if something may be there of an attempt that was cut off]
 *        ->  bridge ADD (with host-local)  ->  rules, if there are host ports
 *   DEL: rules without it, if there were host ports  ->  bridge DEL
 * An address is given back only after no rule leads to it any more. A failed ADD is undone by a DEL before its
 * callback, so that no lease leaks. The rules are one text, made from all owners: changes that come while nft runs
 * are written together by its next run. */

#define NETWORK_NAME   "reeve"
#define CNI_VERSION    "1.0.0"
#define CNI_OUTPUT_MAX (256u << 10)

struct network {
    uv_loop_t *loop;
    const struct log *log;
    char *dir, *plugin_dir, *bridge, *cluster_cidr;
    char pod_cidr[64];
    unsigned mtu;
    bool hollow, closing;
    uint32_t hollow_next;
    struct list waiting; /* ADDs before the pod CIDR is known */
    struct network_owners owners;
    struct network_closed closed[NETWORK_CLOSED_MAX];
    unsigned closed_count;
    struct list rules_waiting, rules_batch; /* jobs whose change is not in the kernel yet; ... is being written */
    bool rules_dirty, rules_running;
    int64_t connections;      /* of one pod; -1: no bound */
    network_full_cb *full_cb; /* NULL: the kernel is not being asked */
    void *full_data;
    unsigned holders;
    void (*close_cb)(void *data);
    void *close_data;
};

enum job_step { STEP_STALE_RULES, STEP_STALE_DEL, STEP_BRIDGE_ADD, STEP_RULES, STEP_BRIDGE_DEL, STEP_END };

struct job {
    struct list link;
    struct network *n;
    enum job_step step;
    bool undo; /* a failed ADD: the error stays that of the ADD */
    char *uid, *name, *ns, *netns;
    struct network_owner *owner; /* NULL once it is forgotten */
    char ip[64];
    int rc;
    struct error error;
    network_add_cb *add_cb;
    network_done_cb *done_cb;
    void *data;
};

static void release(struct network *n)
{
    if (--n->holders > 0) {
        return;
    }
    void (*cb)(void *data) = n->close_cb;
    void *data = n->close_data;
    free(n->dir);
    free(n->plugin_dir);
    free(n->bridge);
    free(n->cluster_cidr);
    network_owners_close(&n->owners);
    free(n);
    if (cb != NULL) {
        cb(data);
    }
}

/* ---- Configuration for a plugin ---- */

static void set_str(struct arena *a, struct value *map, const char *key, const char *s)
{
    value_set(a, map, key, value_cstr(a, s));
}

static struct value *config_base(struct arena *a, const char *type)
{
    struct value *v = value_map(a);
    set_str(a, v, "cniVersion", CNI_VERSION);
    set_str(a, v, "name", NETWORK_NAME);
    set_str(a, v, "type", type);
    return v;
}

static struct value *bridge_config(const struct network *n, struct arena *a)
{
    struct value *v = config_base(a, "bridge"), *ipam = value_map(a), *outer = value_list(a), *inner = value_list(a),
                 *range = value_map(a), *routes = value_list(a), *route = value_map(a);
    CLEANUP_FREE char *leases = xasprintf("%s/leases", n->dir);
    set_str(a, v, "bridge", n->bridge);
    value_set(a, v, "isGateway", value_bool(a, true));
    /* A pod must reach itself through a service. */
    value_set(a, v, "hairpinMode", value_bool(a, true));
    /* Not the plugin's masquerade: it would hide pods from each other across nodes. See network/rules.c. */
    value_set(a, v, "ipMasq", value_bool(a, false));
    if (n->mtu > 0) {
        value_set(a, v, "mtu", value_int(a, n->mtu));
    }
    set_str(a, ipam, "type", "host-local");
    set_str(a, ipam, "dataDir", leases);
    set_str(a, range, "subnet", n->pod_cidr);
    value_append(a, inner, range);
    value_append(a, outer, inner);
    value_set(a, ipam, "ranges", outer);
    set_str(a, route, "dst", "0.0.0.0/0");
    value_append(a, routes, route);
    value_set(a, ipam, "routes", routes);
    value_set(a, v, "ipam", ipam);
    return v;
}

/* ---- Running the chain ---- */

static void job_run(struct job *j);
static void rules_run(struct network *n);

static void job_free(struct job *j)
{
    struct network *n = j->n;
    free(j->uid);
    free(j->name);
    free(j->ns);
    free(j->netns);
    free(j);
    release(n);
}

static void job_end(struct job *j)
{
    const struct error *e = j->rc == 0 ? NULL : &j->error;
    if (j->add_cb != NULL) {
        j->add_cb(e == NULL ? j->ip : NULL, e, j->data);
    } else if (j->done_cb != NULL) {
        j->done_cb(e, j->data);
    }
    job_free(j);
}

static void job_end_deferred(void *data)
{
    job_end(data);
}

/* What the plugin says went wrong is JSON on stdout: {"code": 7, "msg": ..., "details": ...}. */
static int plugin_error(const struct process_result *r, const char *plugin, struct error *err)
{
    CLEANUP_ARENA struct arena a;
    struct value *doc = NULL;
    arena_init(&a);
    int rc = process_result_error(r, plugin, err);
    if (rc != 0 && r->out.n > 0 && json_read(&a, r->out, &doc, NULL) == 0) {
        struct str msg = value_to_str(value_get(doc, "msg")), details = value_to_str(value_get(doc, "details"));
        if (msg.n > 0) {
            rc = error_set(err, ERR_SYSTEM, "network plugin %s: %.*s%s%.*s", plugin, STR_ARG(msg),
                           details.n > 0 ? ": " : "", STR_ARG(details));
        }
    }
    return rc;
}

/* "10.1.0.5/24" of the first address -> ip */
static int take_ip(struct job *j, struct str answer)
{
    CLEANUP_ARENA struct arena a;
    struct value *doc;
    arena_init(&a);
    int rc = json_read(&a, answer, &doc, &j->error);
    if (rc != 0) {
        return error_wrap(&j->error, "the network plugin's answer");
    }
    const struct value *ips = value_get(doc, "ips");
    struct str address = value_count(ips) == 0 ? STR_NONE : value_to_str(value_get(value_item(ips, 0), "address"));
    const char *slash = address.n == 0 ? NULL : memchr(address.p, '/', address.n);
    size_t len = slash != NULL ? (size_t)(slash - address.p) : address.n;
    struct in_addr v4;
    if (len == 0 || len >= sizeof j->ip) {
        return error_set(&j->error, ERR_SYSTEM, "the network plugin gave no address");
    }
    memcpy(j->ip, address.p, len);
    j->ip[len] = '\0';
    if (inet_pton(AF_INET, j->ip, &v4) != 1) {
        return error_set(&j->error, ERR_SYSTEM, "the network plugin gave \"%s\", which is no address", j->ip);
    }
    return 0;
}

/* Pods whose host ports lead from the node's own loopback address, too. */
static void open_loopback(const struct network *n)
{
    struct error err;
    CLEANUP_FREE char *path = xasprintf("/proc/sys/net/ipv4/conf/%s/route_localnet", n->bridge);
    if (fs_write_value(path, "1", &err) != 0) {
        log_warn(n->log, "network", "host ports do not answer on 127.0.0.1: %s", err.message);
    }
}

static void undo(struct job *j)
{
    bool in_rules = j->owner->ports_count > 0 && j->owner->ip[0] != '\0';
    j->undo = j->owner->leaving = true;
    j->step = in_rules ? STEP_RULES : STEP_BRIDGE_DEL;
}

static void bridge_added(struct job *j, struct str answer)
{
    struct network *n = j->n;
    j->rc = j->rc != 0 ? j->rc : take_ip(j, answer);
    if (j->rc == 0) {
        snprintf(j->owner->ip, sizeof j->owner->ip, "%s", j->ip);
        j->rc = network_owners_keep(&n->owners, j->owner, &j->error);
    }
    if (j->rc != 0) {
        undo(j);
    } else if (j->owner->ports_count > 0) {
        open_loopback(n);
        j->step = STEP_RULES;
    } else {
        j->step = STEP_END;
    }
}

static void bridge_deleted(struct job *j, int rc)
{
    if (rc == 0) { /* otherwise it stays known, and is tried again */
        network_owners_forget(TAKE_PTR(j->owner), &j->n->owners);
    }
    j->step = STEP_END;
}

static void plugin_exited(struct process *p, const struct process_result *r, void *data)
{
    struct job *j = data;
    struct error err = {0};
    (void)p;
    int rc = plugin_error(r, "bridge", &err);
    if (rc != 0 && !j->undo && j->rc == 0 && j->step != STEP_STALE_DEL) {
        j->rc = rc;
        j->error = err;
    }
    if (j->step == STEP_STALE_DEL) { /* if it is still in the way, adding says so */
        j->step = STEP_BRIDGE_ADD;
    } else if (j->step == STEP_BRIDGE_ADD) {
        bridge_added(j, r->out);
    } else {
        bridge_deleted(j, rc);
    }
    job_run(j);
}

static void run_bridge(struct job *j, const char *command)
{
    struct network *n = j->n;
    CLEANUP_ARENA struct arena a;
    CLEANUP_BUF struct buf input = BUF_INIT;
    arena_init(&a);
    json_write(&input, bridge_config(n, &a), 0);
    const char *path = getenv("PATH");
    const char *argv[] = {arena_printf(&a, "%s/bridge", n->plugin_dir), NULL};
    const char *env[] = {
        arena_printf(&a, "CNI_COMMAND=%s", command),
        arena_printf(&a, "CNI_CONTAINERID=%s", j->uid),
        arena_printf(&a, "CNI_NETNS=%s", j->netns),
        "CNI_IFNAME=eth0",
        arena_printf(&a, "CNI_PATH=%s", n->plugin_dir),
        arena_printf(&a, "CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=%s;K8S_POD_NAME=%s", j->ns, j->name),
        arena_printf(&a, "PATH=%s", path != NULL ? path : "/usr/sbin:/usr/bin:/sbin:/bin"),
        NULL};
    struct process_spec ps = {.argv = argv,
                              .env = env,
                              .input = buf_str(&input),
                              .timeout_ms = NETWORK_PLUGIN_MS,
                              .output_max = CNI_OUTPUT_MAX};
    process_run(n->loop, &ps, plugin_exited, j);
}

static void job_run(struct job *j)
{
    switch (j->step) {
    case STEP_BRIDGE_ADD:
        run_bridge(j, "ADD");
        return;
    case STEP_STALE_DEL:
    case STEP_BRIDGE_DEL:
        run_bridge(j, "DEL");
        return;
    case STEP_STALE_RULES:
    case STEP_RULES:
        list_push_back(&j->n->rules_waiting, &j->link);
        rules_run(j->n);
        return;
    case STEP_END:
        job_end(j);
        return;
    }
}

/* ---- The rules ---- */

static void rules_written_for(struct job *j, int rc, const struct error *err)
{
    struct error late;
    if (rc != 0 && !j->undo && j->step != STEP_STALE_RULES) {
        j->rc = rc;
        j->error = *err;
    }
    if (rc == 0 && network_conntrack_forget(j->owner->ports, j->owner->ports_count, &late) != 0) {
        log_warn(j->n->log, "network", "pod %s: %s", j->uid, late.message);
    }
    if (j->step == STEP_STALE_RULES) {
        j->step = STEP_STALE_DEL;
    } else if (j->add_cb != NULL && !j->undo) { /* a pod that comes */
        j->step = STEP_END;
        if (rc != 0) {
            undo(j);
        }
    } else {
        j->step = rc == 0 ? STEP_BRIDGE_DEL : STEP_END;
    }
    job_run(j);
}

static void rules_written(struct process *p, const struct process_result *r, void *data)
{
    struct network *n = data;
    struct error err = {0};
    struct list batch;
    (void)p;
    int rc = process_result_error(r, "nft", &err);
    if (rc != 0) {
        log_warn(n->log, "network", "host ports and the way out of the cluster are not as they should be: %s",
                 err.message);
    }
    n->rules_running = false;
    list_init(&batch);
    while (!list_empty(&n->rules_batch)) {
        struct list *first = n->rules_batch.next;
        list_remove(first);
        list_push_back(&batch, first);
    }
    rules_run(n);
    while (!list_empty(&batch)) {
        struct job *j = LIST_ENTRY(batch.next, struct job, link);
        list_remove(&j->link);
        rules_written_for(j, rc, &err);
    }
    release(n);
}

/* Repeatable: the text says what the whole shall be. */
static void rules_run(struct network *n)
{
    CLEANUP_BUF struct buf text = BUF_INIT;
    const char *argv[] = {"nft", "-f", "-", NULL};
    if (n->rules_running || (!n->rules_dirty && list_empty(&n->rules_waiting))) {
        return;
    }
    while (!list_empty(&n->rules_waiting)) {
        struct list *first = n->rules_waiting.next;
        list_remove(first);
        list_push_back(&n->rules_batch, first);
    }
    n->rules_dirty = false;
    n->rules_running = true;
    n->holders++;
    network_rules_write(&text, &(struct network_rules){n->bridge, n->pod_cidr, n->cluster_cidr, &n->owners.list,
                                                       n->closed, n->closed_count});
    process_run(n->loop, &(struct process_spec){.argv = argv, .input = buf_str(&text), .timeout_ms = NETWORK_PLUGIN_MS},
                rules_written, n);
}

/* ---- Connections of one pod ---- */

#define FLOWS_OUTPUT_MAX (1u << 20) /* of some 10,000 addresses that are refused some */

static void flows_written(struct process *p, const struct process_result *r, void *data)
{
    struct network *n = data;
    struct error err = {0};
    (void)p;
    if (process_result_error(r, "nft", &err) != 0) {
        log_warn(n->log, "network", "nothing keeps one pod from filling the node's table of connections: %s",
                 err.message);
    }
    release(n);
}

static void limit_flows(struct network *n, int64_t connections)
{
    static const char places[] = "/proc/sys/net/netfilter/nf_conntrack_max";
    CLEANUP_BUF struct buf text = BUF_INIT;
    const char *argv[] = {"nft", "-f", "-", NULL};
    char line[32];
    if (connections == 0) {
        connections = network_connections_share(fs_read_line(places, line, sizeof line) ? strtoll(line, NULL, 10) : 0);
    }
    n->connections = connections;
    network_flows_write(&text, n->bridge, connections);
    n->holders++;
    process_run(n->loop, &(struct process_spec){.argv = argv, .input = buf_str(&text), .timeout_ms = NETWORK_PLUGIN_MS},
                flows_written, n);
}

static void tell_full(struct network *n, const char *ip, uint64_t packets)
{
    LIST_FOR(it, &n->owners.list)
    {
        struct network_owner *w = LIST_ENTRY(it, struct network_owner, link);
        if (strcmp(w->ip, ip) == 0) {
            bool more = packets > w->dropped;
            w->dropped = packets; /* less, if it was quiet meanwhile */
            if (more) {
                n->full_cb(w->uid, packets, n->connections, n->full_data);
            }
            return;
        }
    }
}

static void flows_listed(struct process *p, const struct process_result *r, void *data)
{
    struct network *n = data;
    struct str text = r->out;
    char ip[INET_ADDRSTRLEN];
    uint64_t packets;
    (void)p;
    while (!n->closing && network_flows_next(&text, ip, &packets)) {
        tell_full(n, ip, packets);
    }
    n->full_cb = NULL;
    release(n);
}

void network_check_flows(struct network *n, network_full_cb *cb, void *data)
{
    const char *argv[] = NETWORK_FLOWS_ARGV;
    if (n->hollow || n->closing || n->connections < 0 || n->full_cb != NULL || list_empty(&n->owners.list)) {
        return;
    }
    n->full_cb = cb;
    n->full_data = data;
    n->holders++;
    process_run(n->loop,
                &(struct process_spec){.argv = argv, .timeout_ms = NETWORK_PLUGIN_MS, .output_max = FLOWS_OUTPUT_MAX},
                flows_listed, n);
}

bool network_is_asking(const struct network *n)
{
    return n->full_cb != NULL;
}

void network_set_cluster_cidr(struct network *n, struct str cidr)
{
    struct cidr range;
    if (!cidr_parse(cidr, &range) || (n->cluster_cidr != NULL && str_is(cidr, n->cluster_cidr))) {
        return;
    }
    free(n->cluster_cidr);
    n->cluster_cidr = xasprintf("%.*s", STR_ARG(cidr));
    if (n->pod_cidr[0] != '\0' && !n->hollow && !n->closing) {
        n->rules_dirty = true;
        rules_run(n);
    }
}

void network_set_closed(struct network *n, const struct network_closed *closed, unsigned count)
{
    count = MIN(count, NETWORK_CLOSED_MAX);
    memset(n->closed, 0, sizeof n->closed);
    if (count > 0) {
        memcpy(n->closed, closed, count * sizeof *closed);
    }
    n->closed_count = count;
    if (n->pod_cidr[0] != '\0' && !n->hollow && !n->closing) {
        n->rules_dirty = true;
        rules_run(n);
    }
}

/* ---- Orders ---- */

static struct job *job_new(struct network *n, const char *uid, const char *name, const char *ns, const char *netns)
{
    assert(uid[0] != '\0' && strchr(uid, '/') == NULL && !n->closing);
    struct job *j = xcalloc(1, sizeof *j);
    j->n = n;
    j->uid = xstrdup(uid);
    j->name = xstrdup(name == NULL ? "" : name);
    j->ns = xstrdup(ns == NULL ? "" : ns);
    j->netns = xstrdup(netns == NULL ? "" : netns);
    list_init(&j->link);
    n->holders++;
    return j;
}

static void hollow_address(struct network *n, char ip[64])
{
    struct network_prefix p;
    uint32_t base = 10u << 24, size = 1u << 24;
    if (network_prefix_parse(n->pod_cidr, &p) && p.family == AF_INET) {
        memcpy(&base, p.bytes, 4);
        base = ntohl(base);
        size = p.bits == 0 ? UINT32_MAX : 1u << (32 - p.bits);
    }
    uint32_t at = htonl(base + (size > 4 ? 2 + n->hollow_next++ % (size - 3) : 0));
    inet_ntop(AF_INET, &at, ip, 64);
}

/* An owner that is known already is what an attempt left that was cut off. */
static void take_owner(struct job *j, const struct network_pod *pod)
{
    struct network *n = j->n;
    struct network_owner *former = network_owners_find(&n->owners, j->uid);
    j->step = former == NULL ? STEP_BRIDGE_ADD : former->ports_count > 0 ? STEP_STALE_RULES : STEP_STALE_DEL;
    if (former != NULL) {
        network_owners_forget(former, &n->owners);
    }
    j->owner = network_owners_add(&n->owners, j->uid, pod->ports, MIN(pod->ports_count, NETWORK_PORTS_MAX), &j->error);
    j->rc = j->owner == NULL ? j->error.code : 0;
}

void network_add(struct network *n, const struct network_pod *pod, network_add_cb *cb, void *data)
{
    struct job *j = job_new(n, pod->uid, pod->name, pod->ns, pod->netns);
    j->add_cb = cb;
    j->data = data;
    if (n->hollow) {
        hollow_address(n, j->ip);
        defer_call(n->loop, job_end_deferred, j);
        return;
    }
    take_owner(j, pod);
    if (j->rc != 0) {
        defer_call(n->loop, job_end_deferred, j);
    } else if (n->pod_cidr[0] == '\0') {
        list_push_back(&n->waiting, &j->link);
    } else {
        job_run(j);
    }
}

static void forget_waiting(struct network *n, const char *uid)
{
    LIST_FOR_SAFE(it, &n->waiting)
    {
        struct job *w = LIST_ENTRY(it, struct job, link);
        if (strcmp(w->uid, uid) == 0) {
            list_remove(it);
            if (w->step == STEP_BRIDGE_ADD) {
                network_owners_forget(TAKE_PTR(w->owner), &n->owners);
            }
            w->rc = error_set(&w->error, ERR_CANCELED, "the pod is being deleted");
            defer_call(n->loop, job_end_deferred, w);
        }
    }
}

void network_del(struct network *n, const char *uid, const char *netns, network_done_cb *cb, void *data)
{
    struct job *j = job_new(n, uid, NULL, NULL, netns);
    j->done_cb = cb;
    j->data = data;
    if (!n->hollow) {
        forget_waiting(n, uid);
        j->owner = network_owners_find(&n->owners, uid);
    }
    if (j->owner == NULL || n->pod_cidr[0] == '\0') {
        defer_call(n->loop, job_end_deferred, j);
        return;
    }
    j->owner->leaving = true;
    j->step = j->owner->ports_count > 0 ? STEP_RULES : STEP_BRIDGE_DEL;
    job_run(j);
}

bool network_next(struct network *n, unsigned *cursor, char uid[64])
{
    unsigned at = 0;
    for (struct list *it = n->hollow ? NULL : n->owners.list.next; it != NULL && it != &n->owners.list; it = it->next) {
        if (at++ == *cursor) {
            snprintf(uid, 64, "%s", LIST_ENTRY(it, struct network_owner, link)->uid);
            (*cursor)++;
            return true;
        }
    }
    return false;
}

/* ---- The node's side ---- */

int network_set_pod_cidr(struct network *n, const char *pod_cidr, struct error *err)
{
    struct network_prefix p;
    if (!network_prefix_parse(pod_cidr, &p) || strlen(pod_cidr) >= sizeof n->pod_cidr) {
        return error_set(err, ERR_INVALID, "\"%s\" is not a range of addresses", pod_cidr);
    }
    if (strcmp(n->pod_cidr, pod_cidr) == 0) {
        return 0;
    }
    if (n->pod_cidr[0] != '\0' && !n->hollow && !list_empty(&n->owners.list)) {
        return error_set(err, ERR_CONFLICT, "pods of this node use %s; it cannot change to %s", n->pod_cidr, pod_cidr);
    }
    snprintf(n->pod_cidr, sizeof n->pod_cidr, "%s", pod_cidr);
    if (n->hollow) {
        return 0;
    }
    /* Remembered, so that pods can be taken down before a master was reached after a restart. */
    CLEANUP_FREE char *path = xasprintf("%s/pod-cidr", n->dir);
    int rc = fs_write_file(path, str_of(pod_cidr), 0644, false, err);
    if (rc != 0) {
        return rc;
    }
    n->rules_dirty = true; /* also of rules of ours that are left from before */
    rules_run(n);
    while (!list_empty(&n->waiting)) {
        struct job *j = LIST_ENTRY(n->waiting.next, struct job, link);
        list_remove(&j->link);
        job_run(j);
    }
    return 0;
}

const char *network_pod_cidr(const struct network *n)
{
    return n->pod_cidr;
}

int network_set_routes(struct network *n, const struct network_route *routes, unsigned count, struct error *err)
{
    struct network_via *via = xcalloc(count + 1, sizeof *via);
    unsigned used = 0;
    int first = 0;
    for (unsigned i = 0; i < count; i++) {
        struct network_via *v = &via[used];
        if (!network_prefix_parse(routes[i].pod_cidr, &v->prefix) ||
            inet_pton(v->prefix.family, routes[i].node_ip, v->gateway) != 1) {
            first = error_set(err, ERR_INVALID, "cannot route %s to node %s: malformed", routes[i].pod_cidr,
                              routes[i].node_ip);
        } else if (strcmp(routes[i].pod_cidr, n->pod_cidr) != 0) {
            used++;
        }
    }
    if (!n->hollow) {
        struct error e = {0};
        if (network_routes_apply(via, used, &e) != 0) {
            log_warn(n->log, "network", "%s", e.message);
        }
    }
    free(via);
    return first;
}

/* ---- Open and close ---- */

static void init_lists(struct network *n)
{
    list_init(&n->waiting);
    list_init(&n->rules_waiting);
    list_init(&n->rules_batch);
    list_init(&n->owners.list);
}

int network_new(uv_loop_t *loop, const struct network_config *c, struct network **out, struct error *err)
{
    static const char *const plugins[] = {"bridge", "host-local"};
    struct network *n = xcalloc(1, sizeof *n);
    n->loop = loop;
    n->log = c->log;
    n->dir = xstrdup(c->dir);
    n->plugin_dir = xstrdup(c->plugin_dir != NULL ? c->plugin_dir : "/usr/lib/cni");
    n->bridge = xstrdup(c->bridge != NULL ? c->bridge : "reeve0");
    n->cluster_cidr = c->cluster_cidr != NULL ? xstrdup(c->cluster_cidr) : NULL;
    n->mtu = c->mtu;
    n->holders = 1;
    init_lists(n);
    int rc = network_owners_open(&n->owners, n->dir, NETWORK_NAME, err);
    for (unsigned i = 0; rc == 0 && i < ARRAY_SIZE(plugins); i++) {
        CLEANUP_FREE char *path = xasprintf("%s/%s", n->plugin_dir, plugins[i]);
        if (access(path, X_OK) != 0) {
            rc = error_set(err, ERR_NOT_FOUND,
                           "cannot find the network plugin %s: is the package containernetworking-plugins installed?",
                           path);
        }
    }
    char remembered[64];
    CLEANUP_FREE char *path = xasprintf("%s/pod-cidr", n->dir);
    const char *cidr = c->pod_cidr != NULL && c->pod_cidr[0] != '\0' ? c->pod_cidr : NULL;
    if (cidr == NULL && fs_read_line(path, remembered, sizeof remembered) && remembered[0] != '\0') {
        cidr = remembered;
    }
    if (rc == 0 && cidr != NULL) {
        rc = network_set_pod_cidr(n, cidr, err);
    }
    if (rc != 0) {
        release(n);
        return rc;
    }
    struct error e = {0};
    if (fs_write_value("/proc/sys/net/ipv4/ip_forward", "1", &e) != 0) {
        log_warn(n->log, "network", "%s", e.message);
    }
    limit_flows(n, c->pod_connections);
    *out = n;
    return 0;
}

struct network *network_hollow_new(uv_loop_t *loop, const char *pod_cidr)
{
    struct network *n = xcalloc(1, sizeof *n);
    n->loop = loop;
    n->hollow = true;
    n->holders = 1;
    init_lists(n);
    snprintf(n->pod_cidr, sizeof n->pod_cidr, "%s", pod_cidr == NULL ? "" : pod_cidr);
    return n;
}

static void close_deferred(void *data)
{
    struct network *n = data;
    while (!list_empty(&n->waiting)) {
        struct job *j = LIST_ENTRY(n->waiting.next, struct job, link);
        list_remove(&j->link);
        j->rc = error_set(&j->error, ERR_CANCELED, "the agent is stopping");
        job_end(j);
    }
    release(n);
}

void network_close(struct network *n, void (*cb)(void *data), void *data)
{
    assert(!n->closing);
    n->closing = true;
    n->close_cb = cb;
    n->close_data = data;
    defer_call(n->loop, close_deferred, n);
}
