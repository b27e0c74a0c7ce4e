#include "agent/network_int.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/defer.h"
#include "agent/fsutil.h"
#include "agent/process.h"
#include "base/list.h"
#include "proto/text.h"

/* One job per ADD or DEL: a chain of plugin runs.
 *
 *   ADD: bridge (with host-local)  ->  portmap, if there are host ports  ->  result kept in DIR/results/UID
 *   DEL: portmap, if the kept result says so  ->  bridge  ->  kept result deleted
 * A failed ADD is undone by a DEL before its callback, so that no lease leaks. */

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
    unsigned holders;
    void (*close_cb)(void *data);
    void *close_data;
};

enum job_step { STEP_BRIDGE_ADD, STEP_PORTMAP_ADD, STEP_PORTMAP_DEL, STEP_BRIDGE_DEL, STEP_END };

struct job {
    struct list link;
    struct network *n;
    enum job_step step;
    bool undo; /* a failed ADD: the error stays that of the ADD */
    char *uid, *name, *ns, *netns;
    struct network_port *ports;
    char **port_strings;
    unsigned ports_count;
    char ip[64];
    struct buf result; /* of the last plugin: prevResult of the next */
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
    /* Not the plugin's masquerade: it would hide pods from each other across nodes. See set_masquerade. */
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

static struct value *portmap_config(const struct job *j, struct arena *a)
{
    struct value *v = config_base(a, "portmap"), *list = value_list(a);
    for (unsigned i = 0; i < j->ports_count; i++) {
        const struct network_port *p = &j->ports[i];
        struct value *m = value_map(a);
        value_set(a, m, "hostPort", value_int(a, p->host_port));
        value_set(a, m, "containerPort", value_int(a, p->container_port));
        set_str(a, m, "protocol", p->protocol);
        if (p->host_ip != NULL && p->host_ip[0] != '\0') {
            set_str(a, m, "hostIP", p->host_ip);
        }
        value_append(a, list, m);
    }
    value_set(a, value_ensure_map(a, v, "runtimeConfig"), "portMappings", list);
    value_set(a, value_ensure_map(a, v, "capabilities"), "portMappings", value_bool(a, true));
    return v;
}

/* ---- Kept results ---- */

static char *result_path(const struct network *n, const char *uid)
{
    return xasprintf("%s/results/%s", n->dir, uid);
}

/* First line: number of host ports; then the plugin's result. */
static int keep_result(const struct job *j, struct error *err)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    CLEANUP_FREE char *path = result_path(j->n, j->uid);
    buf_printf(&b, "%u\n", j->ports_count);
    buf_append(&b, j->result.data, j->result.size);
    return fs_write_file(path, buf_str(&b), 0600, false, err);
}

static bool kept_has_ports(const struct network *n, const char *uid)
{
    char line[32];
    CLEANUP_FREE char *path = result_path(n, uid);
    return fs_read_line(path, line, sizeof line) && atoi(line) > 0;
}

/* ---- Running the chain ---- */

static void job_run(struct job *j);

static void job_free(struct job *j)
{
    struct network *n = j->n;
    for (unsigned i = 0; i < j->ports_count; i++) {
        free(j->port_strings[2 * i]);
        free(j->port_strings[2 * i + 1]);
    }
    free(j->port_strings);
    free(j->ports);
    free(j->uid);
    free(j->name);
    free(j->ns);
    free(j->netns);
    buf_close(&j->result);
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
static int take_ip(struct job *j)
{
    CLEANUP_ARENA struct arena a;
    struct value *doc;
    arena_init(&a);
    int rc = json_read(&a, buf_str(&j->result), &doc, &j->error);
    if (rc != 0) {
        return error_wrap(&j->error, "the network plugin's answer");
    }
    const struct value *ips = value_get(doc, "ips");
    struct str address = value_count(ips) == 0 ? STR_NONE : value_to_str(value_get(value_item(ips, 0), "address"));
    const char *slash = address.n == 0 ? NULL : memchr(address.p, '/', address.n);
    size_t len = slash != NULL ? (size_t)(slash - address.p) : address.n;
    if (len == 0 || len >= sizeof j->ip) {
        return error_set(&j->error, ERR_SYSTEM, "the network plugin gave no address");
    }
    memcpy(j->ip, address.p, len);
    j->ip[len] = '\0';
    return 0;
}

static void add_succeeded(struct job *j)
{
    if (j->rc == 0) {
        j->rc = keep_result(j, &j->error);
    }
    if (j->rc != 0) {
        j->undo = true;
        j->step = j->ports_count > 0 ? STEP_PORTMAP_DEL : STEP_BRIDGE_DEL;
    } else {
        j->step = STEP_END;
    }
}

static void plugin_exited(struct process *p, const struct process_result *r, void *data)
{
    struct job *j = data;
    bool adding = j->step == STEP_BRIDGE_ADD || j->step == STEP_PORTMAP_ADD;
    struct error err = {0};
    (void)p;
    int rc = plugin_error(r, j->step == STEP_BRIDGE_ADD || j->step == STEP_BRIDGE_DEL ? "bridge" : "portmap", &err);
    if (rc != 0 && !j->undo && j->rc == 0) {
        j->rc = rc;
        j->error = err;
    }
    if (adding && rc == 0) {
        buf_reset(&j->result);
        buf_append_str(&j->result, r->out);
    }
    switch (j->step) {
    case STEP_BRIDGE_ADD:
        j->rc = j->rc != 0 ? j->rc : take_ip(j);
        if (j->rc == 0 && j->ports_count > 0) {
            j->step = STEP_PORTMAP_ADD;
            break;
        }
        add_succeeded(j);
        break;
    case STEP_PORTMAP_ADD:
        add_succeeded(j);
        break;
    case STEP_PORTMAP_DEL:
        j->step = STEP_BRIDGE_DEL;
        break;
    default:
        j->step = STEP_END;
    }
    job_run(j);
}

static void run_plugin(struct job *j, const char *plugin, const char *command, struct value *config, struct arena *a)
{
    struct network *n = j->n;
    CLEANUP_BUF struct buf input = BUF_INIT;
    struct value *previous;
    if (j->result.size > 0 && strcmp(plugin, "portmap") == 0 &&
        json_read(a, buf_str(&j->result), &previous, NULL) == 0) {
        value_set(a, config, "prevResult", previous);
    }
    json_write(&input, config, 0);
    const char *path = getenv("PATH");
    const char *argv[] = {arena_printf(a, "%s/%s", n->plugin_dir, plugin), NULL};
    const char *env[] = {
        arena_printf(a, "CNI_COMMAND=%s", command),
        arena_printf(a, "CNI_CONTAINERID=%s", j->uid),
        arena_printf(a, "CNI_NETNS=%s", j->netns),
        "CNI_IFNAME=eth0",
        arena_printf(a, "CNI_PATH=%s", n->plugin_dir),
        arena_printf(a, "CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=%s;K8S_POD_NAME=%s", j->ns, j->name),
        arena_printf(a, "PATH=%s", path != NULL ? path : "/usr/sbin:/usr/bin:/sbin:/bin"),
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
    CLEANUP_ARENA struct arena a;
    struct network *n = j->n;
    arena_init(&a);
    switch (j->step) {
    case STEP_BRIDGE_ADD:
        run_plugin(j, "bridge", "ADD", bridge_config(n, &a), &a);
        return;
    case STEP_PORTMAP_ADD:
        run_plugin(j, "portmap", "ADD", portmap_config(j, &a), &a);
        return;
    case STEP_PORTMAP_DEL:
        run_plugin(j, "portmap", "DEL", portmap_config(j, &a), &a);
        return;
    case STEP_BRIDGE_DEL:
        run_plugin(j, "bridge", "DEL", bridge_config(n, &a), &a);
        return;
    case STEP_END:
        if (j->rc == 0 && j->add_cb == NULL) {
            CLEANUP_FREE char *path = result_path(n, j->uid);
            unlink(path);
        }
        job_end(j);
        return;
    }
}

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

static void copy_ports(struct job *j, const struct network_pod *pod)
{
    j->ports_count = MIN(pod->ports_count, NETWORK_PORTS_MAX);
    j->ports = xcalloc(j->ports_count + 1, sizeof *j->ports);
    j->port_strings = xcalloc(2 * j->ports_count + 1, sizeof *j->port_strings);
    for (unsigned i = 0; i < j->ports_count; i++) {
        j->ports[i] = pod->ports[i];
        j->port_strings[2 * i] = xstrdup(pod->ports[i].protocol == NULL ? "tcp" : pod->ports[i].protocol);
        j->port_strings[2 * i + 1] = xstrdup(pod->ports[i].host_ip == NULL ? "" : pod->ports[i].host_ip);
        j->ports[i].protocol = j->port_strings[2 * i];
        j->ports[i].host_ip = j->port_strings[2 * i + 1];
    }
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

void network_add(struct network *n, const struct network_pod *pod, network_add_cb *cb, void *data)
{
    struct job *j = job_new(n, pod->uid, pod->name, pod->ns, pod->netns);
    j->add_cb = cb;
    j->data = data;
    copy_ports(j, pod);
    if (n->hollow) {
        hollow_address(n, j->ip);
        defer_call(n->loop, job_end_deferred, j);
    } else if (n->pod_cidr[0] == '\0') {
        list_push_back(&n->waiting, &j->link);
    } else {
        job_run(j); /* STEP_BRIDGE_ADD */
    }
}

void network_del(struct network *n, const char *uid, const char *netns, network_done_cb *cb, void *data)
{
    struct job *j = job_new(n, uid, NULL, NULL, netns);
    j->done_cb = cb;
    j->data = data;
    LIST_FOR_SAFE(it, &n->waiting)
    {
        struct job *w = LIST_ENTRY(it, struct job, link);
        if (strcmp(w->uid, uid) == 0) {
            list_remove(it);
            w->rc = error_set(&w->error, ERR_CANCELED, "the pod is being deleted");
            defer_call(n->loop, job_end_deferred, w);
        }
    }
    if (n->hollow || n->pod_cidr[0] == '\0') {
        defer_call(n->loop, job_end_deferred, j);
        return;
    }
    j->step = kept_has_ports(n, uid) ? STEP_PORTMAP_DEL : STEP_BRIDGE_DEL;
    job_run(j);
}

/* ---- The node's side ---- */

static void masquerade_set(struct process *p, const struct process_result *r, void *data)
{
    struct network *n = data;
    struct error err = {0};
    (void)p;
    if (process_result_error(r, "nft", &err) != 0) {
        log_warn(n->log, "network", "pods cannot reach beyond the cluster: %s", err.message);
    }
    release(n);
}

/* Pods keep their address among themselves; what leaves the cluster leaves as the node. One transaction, repeatable. */
static void set_masquerade(struct network *n)
{
    CLEANUP_FREE char *rules =
        xasprintf("table ip reeve-masquerade\ndelete table ip reeve-masquerade\n"
                  "table ip reeve-masquerade {\n chain out {\n  type nat hook postrouting priority 100;\n"
                  "  ip saddr %s ip daddr != %s masquerade\n }\n}\n",
                  n->pod_cidr, n->cluster_cidr);
    const char *argv[] = {"nft", "-f", "-", NULL};
    n->holders++;
    process_run(n->loop, &(struct process_spec){.argv = argv, .input = str_of(rules), .timeout_ms = NETWORK_PLUGIN_MS},
                masquerade_set, n);
}

static bool pods_are_there(const struct network *n)
{
    CLEANUP_FREE char *path = xasprintf("%s/results", n->dir);
    return rmdir(path) != 0 && errno == ENOTEMPTY ? true : (fs_make_dirs(path, 0700, NULL), false);
}

int network_set_pod_cidr(struct network *n, const char *pod_cidr, struct error *err)
{
    struct network_prefix p;
    if (!network_prefix_parse(pod_cidr, &p) || strlen(pod_cidr) >= sizeof n->pod_cidr) {
        return error_set(err, ERR_INVALID, "\"%s\" is not a range of addresses", pod_cidr);
    }
    if (strcmp(n->pod_cidr, pod_cidr) == 0) {
        return 0;
    }
    if (n->pod_cidr[0] != '\0' && !n->hollow && pods_are_there(n)) {
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
    if (n->cluster_cidr != NULL) {
        set_masquerade(n);
    }
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
    list_init(&n->waiting);
    CLEANUP_FREE char *results = xasprintf("%s/results", n->dir);
    int rc = fs_make_dirs(results, 0700, err);
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
    *out = n;
    return 0;
}

struct network *network_hollow_new(uv_loop_t *loop, const char *pod_cidr)
{
    struct network *n = xcalloc(1, sizeof *n);
    n->loop = loop;
    n->hollow = true;
    n->holders = 1;
    list_init(&n->waiting);
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
