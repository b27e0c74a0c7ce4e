/* The node's side of the pod network: its ranges, closed addresses, the bound of connections; opening and closing. What
 * is done for one pod is job.c, for other nodes network_peers.c. */
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
#include "proto/facts/cidr.h"

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
    network_release(n);
}

void network_flows_run(struct network *n)
{
    CLEANUP_BUF struct buf text = BUF_INIT;
    const char *argv[] = {"nft", "-f", "-", NULL};
    network_watch_want(n, "reeve-flows", n->connections >= 0);
    network_flows_write(&text, n->bridge, n->connections);
    n->holders++;
    process_run(n->loop, &(struct process_spec){.argv = argv, .input = buf_str(&text), .timeout_ms = NETWORK_PLUGIN_MS},
                flows_written, n);
}

static void limit_flows(struct network *n, int64_t connections)
{
    static const char places[] = "/proc/sys/net/netfilter/nf_conntrack_max";
    char line[32];
    if (connections == 0) {
        connections = network_connections_share(fs_read_line(places, line, sizeof line) ? strtoll(line, NULL, 10) : 0);
    }
    n->connections = connections;
    network_flows_run(n);
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
    network_release(n);
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

/* ---- Ranges, closed addresses ---- */

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
        network_rules_run(n);
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
        network_rules_run(n);
    }
}

void network_set_names(struct network *n, const char *ip)
{
    snprintf(n->names, sizeof n->names, "%s", ip);
    if (n->pod_cidr[0] != '\0' && !n->hollow && !n->closing) {
        n->rules_dirty = true;
        network_rules_run(n);
    }
}

int network_set_pod_cidr(struct network *n, const char *pod_cidr, struct error *err)
{
    struct cidr range;
    if (!cidr_parse(str_of(pod_cidr), &range)) {
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
    network_rules_run(n);
    network_peers_changed(n);
    network_jobs_go(n);
    return 0;
}

const char *network_pod_cidr(const struct network *n)
{
    return n->pod_cidr;
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
    struct network *n = xcalloc(1, sizeof *n);
    n->loop = loop;
    n->log = c->log;
    n->dir = xstrdup(c->dir);
    n->bridge = xstrdup(c->bridge != NULL ? c->bridge : "reeve0");
    n->cluster_cidr = c->cluster_cidr != NULL ? xstrdup(c->cluster_cidr) : NULL;
    n->mtu = c->mtu;
    n->holders = 1;
    n->aside = aside_new(loop);
    init_lists(n);
    int rc = network_owners_open(&n->owners, n->dir, NETWORK_NAME, err);
    rc = rc != 0 ? rc : network_peers_open(n, c->node_ip, err);
    rc = rc != 0 ? rc : network_watch_open(n, err);
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
        network_watch_close(n);
        network_peers_close(n);
        network_release(n);
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
    network_jobs_cancel(n);
    network_watch_close(n);
    network_peers_close(n);
    network_release(n);
}

void network_close(struct network *n, void (*cb)(void *data), void *data)
{
    assert(!n->closing);
    n->closing = true;
    n->close_cb = cb;
    n->close_data = data;
    defer_call(n->loop, close_deferred, n);
}
