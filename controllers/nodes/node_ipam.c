/* Pod address ranges: every node gets the lowest free part of the cluster's pod addresses, by default a /24 of
 * 10.244.0.0/16 (proto/facts/cluster.h). Source: Kubernetes node IPAM (range allocator).
 *
 * One key for all nodes: one pass reads what is taken and serves whoever has none, as far as one transaction goes. A
 * pass looks at all nodes, so in a large cluster it waits a little for others that come meanwhile: NODES_A_MS. What
 * is taken is what stands in the nodes, of whatever size: so ranges never overlap, and that of a node that is gone is
 * free. A node for which nothing is left is told by an event and its condition NetworkUnavailable, until there is a
 * range for it. */
#include <assert.h>
#include <stdlib.h>

#include "controllers/registry.h"
#include "controllers/util.h"
#include "proto/facts/cluster.h"

#define CONDITION_NETWORK "NetworkUnavailable"
#define REASON_FULL       "CIDRNotAvailable"
#define NODES_A_MS        200u /* for each so many nodes a pass is followed by a millisecond without one */

static struct str cidr_of(const struct object *node)
{
    return mp_str(mp_get(object_spec(node), "podCIDR"));
}

static bool is_full(const struct object *node)
{
    struct mp c = condition_mp(node, CONDITION_NETWORK);
    return condition_is(c, "True") && str_is(mp_str(mp_get(c, "reason")), REASON_FULL);
}

static int compare(const void *a, const void *b)
{
    uint32_t x = ((const struct cidr *)a)->first, y = ((const struct cidr *)b)->first;
    return x < y ? -1 : x > y;
}

/* What is taken, in the order of addresses, and how far it has been looked through. */
struct ranges {
    struct cidr *taken;
    unsigned count, at;
    uint64_t next; /* nothing below is free */
};

/* The lowest free range of the cluster's; false: none is left. */
static bool range_take(struct ranges *r, const struct cluster_config *config, struct cidr *out)
{
    struct cidr want = {(uint32_t)MIN(r->next, (uint64_t)UINT32_MAX), config->node_mask};
    while (r->next + cidr_size(want) <= cidr_end(config->pods)) {
        want.first = (uint32_t)r->next;
        while (r->at < r->count && cidr_end(r->taken[r->at]) <= want.first) {
            r->at++;
        }
        if (r->at == r->count || !cidr_overlap(r->taken[r->at], want)) {
            r->next += cidr_size(want);
            *out = want;
            return true;
        }
        uint64_t size = cidr_size(want), behind = MAX(cidr_end(r->taken[r->at]), cidr_end(want));
        r->next = (behind + size - 1) / size * size;
    }
    return false;
}

static int range_give(const struct reconcile_in *in, struct reconcile_out *out, const struct object *node,
                      struct cidr range, struct error *err)
{
    struct arena *a = out->arena;
    struct value *doc = object_to_value(a, node), *spec = value_ensure_map(a, doc, "spec"), *list = value_list(a);
    char text[CIDR_TEXT_SIZE];
    cidr_text(range, text);
    value_append(a, list, value_cstr(a, text));
    value_set(a, spec, "podCIDR", value_cstr(a, text));
    value_set(a, spec, "podCIDRs", list);
    if (is_full(node)) {
        condition_set(a, value_ensure_map(a, doc, "status"), CONDITION_NETWORK, "False", "CIDRAssigned",
                      "the node has a range for its pods", in->wall_ms, false);
    }
    return txn_update_value(out->txn, node->kind, doc, TXN_PART_ALL, node->revision, err);
}

/* Nothing is left: said once, and for as long as it lasts. */
static int range_deny(const struct reconcile_in *in, struct reconcile_out *out, const struct object *node,
                      const struct cluster_config *config, struct error *err)
{
    if (is_full(node)) {
        return 0;
    }
    char pods[CIDR_TEXT_SIZE];
    cidr_text(config->pods, pods);
    const char *why = arena_printf(out->arena, "all ranges of %u bits of %s are taken", config->node_mask, pods);
    controller_event(out, in, node, "Warning", REASON_FULL, "cidr-allocator", "Node %.*s status is now: %s (%s)",
                     STR_ARG(node->name), REASON_FULL, why);
    struct value *doc = object_to_value(out->arena, node);
    condition_set(out->arena, value_ensure_map(out->arena, doc, "status"), CONDITION_NETWORK, "True", REASON_FULL, why,
                  in->wall_ms, false);
    return txn_update_value(out->txn, node->kind, doc, TXN_PART_STATUS, node->revision, err);
}

/* Those that have no range go to without; the ranges of the others are what is taken. */
static void nodes_read(const struct reconcile_in *in, struct arena *a, struct ranges *r, struct object_list *without)
{
    struct view_iter it;
    r->taken = arena_alloc(a, (view_count(in->view, kind_of(KIND_NODE)) + 1) * sizeof *r->taken);
    view_iter(&it, in->view, kind_of(KIND_NODE), STR_NONE);
    VIEW_FOR(node, &it)
    {
        if (cidr_parse(cidr_of(node), &r->taken[r->count])) {
            r->count++;
        } else if (str_empty(cidr_of(node)) && !node->deleting) {
            object_list_add(a, without, node);
        }
    }
    qsort(r->taken, r->count, sizeof *r->taken, compare);
}

static int ipam_reconcile(const struct reconcile_in *in, struct reconcile_out *out, struct error *err)
{
    struct cluster_config config = cluster_config_of(in->view);
    struct ranges r = {.next = config.pods.first};
    struct object_list without = {0};
    nodes_read(in, out->arena, &r, &without);
    unsigned denied = 0;
    int rv = 0;
    out->rest_ms = r.count / NODES_A_MS;
    for (unsigned i = 0; i < without.count && rv == 0; i++) {
        if (out->txn->count >= CONTROLLER_BATCH_MAX) {
            requeue_in(out, 1);
            out->rest_ms = 0;
            break;
        }
        struct cidr range;
        if (denied == 0 && range_take(&r, &config, &range)) {
            rv = range_give(in, out, without.items[i], range, err);
        } else {
            denied++;
            rv = range_deny(in, out, without.items[i], &config, err);
        }
    }
    if (denied > 0) {
        DECIDED(out, REASON_NO_RANGE_FREE, .count = denied);
    }
    return rv;
}

static void map_node(const struct view *tip, const struct object *old, const struct object *now, controller_emit *emit,
                     void *data)
{
    (void)tip;
    if (now == NULL || (old == NULL && str_empty(cidr_of(now)))) {
        emit(data, kind_of(KIND_NODE), STR_NONE, STR_NONE);
    }
}

static void map_config(const struct view *tip, const struct object *old, const struct object *now,
                       controller_emit *emit, void *data)
{
    (void)tip;
    if (old == NULL || now == NULL || old->generation != now->generation) {
        emit(data, kind_of(KIND_NODE), STR_NONE, STR_NONE);
    }
}

static const struct controller_watch watches[] = {
    {KIND_NODE, map_node}, {KIND_CLUSTERCONFIGURATION, map_config}, {0, NULL}};
const struct controller controller_node_ipam = {.name = "node-ipam", .watches = watches, .reconcile = ipam_reconcile};
