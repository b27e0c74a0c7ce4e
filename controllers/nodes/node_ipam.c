/* Pod address ranges: every node gets the lowest free part of the cluster's pod addresses, by default a /24 of
 * 10.244.0.0/16 (proto/facts/cluster.h). Source: Kubernetes node IPAM (range allocator).
 *
 * One key for all nodes. Who has no range, and what is taken in the order of addresses, are sums of the state
 * (VIEW_SUM_RANGES), so nobody walks over all nodes. Below which address nothing is free is remembered, as long as no
 * range has come or gone otherwise; where it is not, a look goes through what is taken in steps. That is
 * where the look begins and no more: a range is given if nothing of the state overlaps it. What is taken is what
 * stands in the nodes, of whatever size: so ranges never overlap, and that of a node that is gone is free. A node for
 * which nothing is left is told by an event and its condition NetworkUnavailable, until there is a range for it. */
#include <assert.h>
#include <string.h>

#include "controllers/registry.h"
#include "controllers/util.h"
#include "proto/facts/cluster.h"

#define CONDITION_NETWORK "NetworkUnavailable"
#define REASON_FULL       "CIDRNotAvailable"

static struct str cidr_of(const struct object *node)
{
    return mp_str(mp_get(object_spec(node), "podCIDR"));
}

static bool is_full(const struct object *node)
{
    struct mp c = condition_mp(node, CONDITION_NETWORK);
    return condition_is(c, "True") && str_is(mp_str(mp_get(c, "reason")), REASON_FULL);
}

/* From one look to the next. */
struct kept {
    uint64_t next;  /* nothing below is free */
    int64_t ranges; /* the marks of all ranges then, added up: a range for another is no less a change */
    struct cidr pods;
    unsigned mask;
};
struct ranges {
    const struct view *view;
    struct cluster_config config;
    struct kept kept;
    unsigned seen; /* in this step */
};
enum found { RANGE_FREE, RANGE_NONE, RANGE_LATER };

static uint32_t address_of(struct str bytes)
{
    uint32_t n = 0;
    for (size_t i = 0; i < bytes.n; i++) {
        n = n << 8 | (uint8_t)bytes.p[i];
    }
    return n;
}

static struct str bytes_of(uint32_t address, char out[4])
{
    for (unsigned i = 0; i < 4; i++) {
        out[i] = (char)(address >> (24 - 8 * i) & 0xff);
    }
    return (struct str){out, 4};
}

static struct cidr range_of(const struct sum *s)
{
    return (struct cidr){address_of(s->group.owner), s->group.kind_id};
}

/* A larger range that begins before this one and reaches over it: it begins where fewer bits of the address are set. */
static bool is_covered(const struct ranges *r, struct cidr want, struct cidr *by)
{
    for (unsigned bits = 0; bits < want.bits; bits++) {
        uint32_t first = bits == 0 ? 0 : want.first & (uint32_t)(UINT64_C(0xffffffff) << (32 - bits));
        char bytes[4];
        struct sum s;
        struct sum_iter it;
        if (bits > 0 && (want.first >> (32 - bits) & 1) == 0) {
            continue; /* it begins where the one before does */
        }
        view_sum_iter_owner(&it, r->view, VIEW_SUM_RANGES, SUM_RANGES_TAKEN, bytes_of(first, bytes));
        while (sums_next(&it, &s)) {
            *by = range_of(&s);
            if (cidr_overlap(*by, want)) {
                return true;
            }
        }
    }
    return false;
}

/* So that the next one begins behind what is taken. */
static void move_behind(struct ranges *r, struct cidr taken)
{
    uint64_t size = cidr_size((struct cidr){0, r->config.node_mask});
    uint64_t behind = MAX(cidr_end(taken), r->kept.next + 1);
    r->kept.next = (behind + size - 1) / size * size;
}

/* The lowest free range of the cluster's. RANGE_LATER: the step has looked at enough. */
static enum found range_take(struct ranges *r, struct cidr *out)
{
    struct sum s;
    struct sum_iter it;
    char bytes[4];
    bool going = false;
    for (;;) {
        struct cidr want = {(uint32_t)MIN(r->kept.next, (uint64_t)UINT32_MAX), r->config.node_mask}, by;
        if (r->kept.next + cidr_size(want) > cidr_end(r->config.pods)) {
            return RANGE_NONE;
        }
        if (!going) {
            view_sum_iter_from(&it, r->view, VIEW_SUM_RANGES, SUM_RANGES_TAKEN, bytes_of(want.first, bytes));
            going = true;
        }
        bool any = sums_next(&it, &s);
        while (any && range_of(&s).first < want.first) { /* inside of what was passed */
            any = sums_next(&it, &s);
        }
        if (r->seen++ == RECONCILE_VISITS_MAX) {
            return RANGE_LATER;
        }
        if (any && range_of(&s).first < cidr_end(want)) {
            move_behind(r, range_of(&s));
        } else if (is_covered(r, want, &by)) {
            move_behind(r, by);
            going = false;
        } else {
            r->kept.next = cidr_end(want);
            *out = want;
            return RANGE_FREE;
        }
    }
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

static void ranges_begin(struct ranges *r, const struct reconcile_in *in)
{
    struct kept kept;
    r->view = in->view;
    r->config = cluster_config_of(in->view);
    memset(&r->kept, 0, sizeof r->kept); /* its bytes are handed on */
    r->kept.next = r->config.pods.first;
    r->kept.ranges = view_sum(in->view, VIEW_SUM_NODES_ALL, STR_NONE, NULL).fields[NODES_RANGES];
    r->kept.pods = r->config.pods;
    r->kept.mask = r->config.node_mask;
    if (in->memory.n == sizeof kept) {
        memcpy(&kept, in->memory.p, sizeof kept);
        bool same = kept.ranges == r->kept.ranges && kept.mask == r->kept.mask &&
                    kept.pods.first == r->kept.pods.first && kept.pods.bits == r->kept.pods.bits;
        r->kept.next = same ? kept.next : r->kept.next;
    }
}

static int ipam_reconcile(const struct reconcile_in *in, struct reconcile_out *out, struct error *err)
{
    struct ranges r = {0};
    struct sum s;
    struct sum_iter it;
    unsigned denied = 0, visits = 0;
    int rv = 0;
    ranges_begin(&r, in);
    view_sum_iter_from(&it, in->view, VIEW_SUM_RANGES, SUM_RANGES_NONE, in->from == NULL ? STR_NONE : in->from->name);
    while (rv == 0 && sums_next(&it, &s)) {
        const struct object *node = view_get(in->view, kind_of(KIND_NODE), STR_NONE, s.group.owner);
        if (node == NULL || (in->from != NULL && str_eq(in->from->name, node->name))) {
            continue;
        }
        struct cidr range;
        enum found found = denied > 0 ? RANGE_NONE : range_take(&r, &range);
        if (found == RANGE_LATER) {
            requeue_in(out, 1);
            break;
        }
        if (found == RANGE_FREE) {
            rv = range_give(in, out, node, range, err);
            r.kept.ranges += cidr_mark(range);
        } else {
            denied++;
            rv = range_deny(in, out, node, &r.config, err);
        }
        if (++visits == RECONCILE_VISITS_MAX || out->txn->count >= CONTROLLER_BATCH_MAX) {
            out->left_at = node;
            break;
        }
    }
    out->memory = (struct str){arena_strndup(out->arena, (const char *)&r.kept, sizeof r.kept), sizeof r.kept};
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
