/* Gives lost nodes up, zone by zone and not all at once: a node that is given up gets the taint of effect NoExecute,
 * not-ready or unreachable, and its pods go when they tolerate it no longer (taint_eviction.c). Source: Kubernetes node
 * lifecycle controller, --node-eviction-rate and its kin.
 *
 *      state of the zone       nodes are given up
 *      Normal                  at the rate
 *      PartialDisruption       at the secondary rate in a large zone, else not at all
 *      FullDisruption          at the rate, as another zone has nodes that are ready
 *
 * While no node of the cluster is ready the fault is more likely on the masters' side: none is given up, and those that
 * were are so no more, so that what their pods tolerate begins anew when somebody is heard again.
 *
 * A key is a zone: its region as the namespace, its name as the name. How many nodes of it are there, ready, given up
 * and waiting are sums of the state. When the last one was given up stands in the taints (timeAdded), which a new
 * leader looks through once; from then on it is remembered. Who waits longest is not asked: they go in the order of
 * their names. */
#include <assert.h>
#include <string.h>

#include "controllers/nodes/taints.h"
#include "controllers/registry.h"
#include "proto/facts/node_loss.h"

#define COMPONENT "node-controller"
#define LOOK_MS   10000 /* between two looks, while nodes are lost, whether any node of the cluster is ready */

/* From one step to the next. */
struct kept {
    int64_t last_ms; /* when a node was given up */
    uint32_t given;  /* in this walk */
    uint8_t known;   /* last_ms is as the taints say */
    uint8_t walk;    /* which walk it is that was left half through */
    uint8_t told;    /* what was told last: 1 + the state, more by ZONE_STATES while no node is ready; 0: nothing */
};

struct zone {
    const struct reconcile_in *in;
    struct reconcile_out *out;
    struct str region, name;
    int64_t nodes, ready, evicted, waiting;
    bool all_lost; /* no node of the cluster is ready */
    enum zone_state state;
    int64_t rate_milli;
    struct kept kept;
};

static void zone_read(struct zone *z)
{
    struct sum s;
    struct sum_iter it;
    struct sum all = view_sum(z->in->view, VIEW_SUM_NODES_ALL, STR_NONE, NULL);
    const struct eviction_rates rates = cluster_config_of(z->in->view).evictions;
    z->all_lost = all.fields[NODES_READY] == 0;
    view_sum_iter_owner(&it, z->in->view, VIEW_SUM_NODES, STR_NONE, z->name);
    while (sums_next(&it, &s)) {
        if (str_eq(s.group.labels, z->region)) {
            z->nodes = s.count;
            z->ready = s.fields[NODES_READY];
            z->evicted = s.fields[NODES_EVICTED];
            z->waiting = s.fields[NODES_WAITING];
        }
    }
    z->state = zone_state_of(z->nodes, z->ready, rates.threshold_milli);
    z->rate_milli = z->all_lost ? 0 : eviction_rate(&rates, z->state, z->nodes);
    if (z->in->memory.n == sizeof z->kept) {
        memcpy(&z->kept, z->in->memory.p, sizeof z->kept);
    }
}

static void zone_keep(struct zone *z)
{
    z->out->memory = (struct str){arena_strndup(z->out->arena, (const char *)&z->kept, sizeof z->kept), sizeof z->kept};
}

/* Once for each state: with the cluster's configuration, where people look for what concerns all. */
static void zone_tell(struct zone *z)
{
    uint8_t now = (uint8_t)(1 + z->state + (z->all_lost ? ZONE_STATES : 0));
    const struct object *about =
        view_get(z->in->view, kind_of(KIND_CLUSTERCONFIGURATION), STR_NONE, STR(CLUSTER_CONFIG_NAME));
    if (z->kept.told == now || (z->kept.told == 0 && z->state == ZONE_NORMAL) || z->nodes < 2 || about == NULL) {
        return;
    }
    z->kept.told = now;
    const char *slash = z->region.n > 0 ? "/" : "";
    struct str name = z->region.n + z->name.n > 0 ? z->name : STR("(none)");
    if (z->state == ZONE_NORMAL) {
        controller_event(z->out, z->in, about, "Normal", "ZoneNormal", COMPONENT,
                         "Zone %.*s%s%.*s: enough nodes are ready", STR_ARG(z->region), slash, STR_ARG(name));
        return;
    }
    controller_event(z->out, z->in, about, "Warning",
                     z->state == ZONE_FULL ? "ZoneFullDisruption" : "ZonePartialDisruption", COMPONENT,
                     "Zone %.*s%s%.*s: %s nodes are ready; %s", STR_ARG(z->region), slash, STR_ARG(name),
                     z->state == ZONE_FULL ? "no" : "few",
                     z->all_lost          ? "nor is any other: pods of lost nodes stay"
                     : z->rate_milli == 0 ? "pods of lost nodes stay"
                                          : "lost nodes are given up one by one");
}

static bool is_here(const struct zone *z, const struct node_loss *l)
{
    return str_eq(l->zone, z->name) && str_eq(l->region, z->region);
}

static int node_give_up(struct zone *z, const struct object *node, struct error *err)
{
    struct arena *a = z->out->arena;
    struct value *doc = object_to_value(a, node);
    bool unknown = condition_is(condition_mp(node, "Ready"), "Unknown");
    taint_add(a, value_ensure_map(a, doc, "spec"), unknown ? TAINT_NODE_UNREACHABLE : TAINT_NODE_NOT_READY, "NoExecute",
              z->in->wall_ms);
    DECIDED(z->out, REASON_GIVES_UP_NODE, .what = node->name);
    return txn_update_value(z->out->txn, node->kind, doc, TXN_PART_ALL, node->revision, err);
}

static int node_keep(struct zone *z, const struct object *node, struct error *err)
{
    struct value *doc = object_to_value(z->out->arena, node), *spec = value_get(doc, "spec"),
                 *taints = value_get(spec, "taints");
    unsigned at = 0;
    for (struct mp_iter it = mp_iter(mp_get(object_spec(node), "taints")); mp_next(&it);) {
        if (node_loss_taint(it.value)) {
            value_remove_at(taints, at);
        } else {
            at++;
        }
    }
    if (value_count(taints) == 0) {
        value_remove(spec, "taints");
    }
    DECIDED(z->out, REASON_KEEPS_NODE, .what = node->name);
    return txn_update_value(z->out->txn, node->kind, doc, TXN_PART_ALL, node->revision, err);
}

static int64_t given_up_ms(const struct object *node)
{
    int64_t latest_ms = 0;
    for (struct mp_iter it = mp_iter(mp_get(object_spec(node), "taints")); mp_next(&it);) {
        latest_ms = node_loss_taint(it.value) ? MAX(latest_ms, time_of_mp(mp_get(it.value, "timeAdded"))) : latest_ms;
    }
    return latest_ms;
}

/* A rate of more than one a second gives up so many at once, once a second: taints are dated to the second. */
static int64_t period_ms(const struct zone *z)
{
    return z->rate_milli >= 1000 ? 1000 : 1000000 / z->rate_milli;
}

enum walk { WALK_NONE, WALK_RECALL, WALK_KEEP, WALK_GIVE_UP };

/* What was left half through is this walk, not another one. */
static bool walk_goes_on(const struct zone *z, enum walk walk)
{
    return z->in->from != NULL && z->in->from->kind == kind_of(KIND_NODE) && z->kept.walk == walk;
}

/* One step over the nodes; left where it is to go on. */
static int zone_walk(struct zone *z, enum walk walk, struct error *err)
{
    struct view_iter it;
    unsigned visits = 0;
    int rv = 0;
    uint32_t most = (uint32_t)MIN(MAX(z->rate_milli / 1000, 1), (int64_t)CONTROLLER_BATCH_MAX);
    if (walk_goes_on(z, walk)) {
        view_iter_after(&it, z->in->view, kind_of(KIND_NODE), STR_NONE, STR_NONE, z->in->from->name);
    } else {
        z->kept.given = 0;
        z->kept.walk = (uint8_t)walk;
        view_iter(&it, z->in->view, kind_of(KIND_NODE), STR_NONE);
    }
    VIEW_FOR(node, &it)
    {
        struct node_loss l = node_loss_of(node);
        if (is_here(z, &l)) {
            if (walk == WALK_RECALL && l.evicted) {
                z->kept.last_ms = MAX(z->kept.last_ms, given_up_ms(node));
            } else if (walk == WALK_KEEP && l.evicted) {
                rv = node_keep(z, node, err);
            } else if (walk == WALK_GIVE_UP && l.waits) {
                rv = node_give_up(z, node, err);
                z->kept.last_ms = z->in->wall_ms;
                z->kept.given++;
            }
        }
        if (rv != 0 || (walk == WALK_GIVE_UP && z->kept.given >= most)) {
            return rv;
        }
        if (++visits == RECONCILE_VISITS_MAX || z->out->txn->count >= CONTROLLER_BATCH_MAX) {
            z->out->left_at = node;
            return 0;
        }
    }
    z->kept.known |= walk == WALK_RECALL;
    return 0;
}

static int zone_work(struct zone *z, struct error *err)
{
    requeue_in(z->out, LOOK_MS);
    if (z->all_lost) {
        return z->evicted > 0 ? zone_walk(z, WALK_KEEP, err) : 0;
    }
    if (z->waiting == 0 || z->rate_milli == 0) {
        return 0;
    }
    if (!z->kept.known) {
        requeue_in(z->out, 1);
        return zone_walk(z, WALK_RECALL, err);
    }
    /* A calendar that was set back: from now on. */
    z->kept.last_ms = MIN(z->kept.last_ms, z->in->wall_ms);
    int64_t wait_ms = walk_goes_on(z, WALK_GIVE_UP) ? 0 : z->kept.last_ms + period_ms(z) - z->in->wall_ms;
    if (wait_ms > 0) {
        requeue_in(z->out, wait_ms);
        return 0;
    }
    int rv = zone_walk(z, WALK_GIVE_UP, err);
    requeue_in(z->out, period_ms(z));
    return rv;
}

static int zone_reconcile(const struct reconcile_in *in, struct reconcile_out *out, struct error *err)
{
    struct zone z = {.in = in, .out = out, .region = in->key.ns, .name = in->key.name};
    memset(&z.kept, 0, sizeof z.kept);
    zone_read(&z);
    zone_tell(&z);
    if (z.evicted == 0 && z.waiting == 0) {
        if (z.state != ZONE_NORMAL && z.nodes > 0) {
            zone_keep(&z); /* what was told */
        }
        return 0;
    }
    int rv = zone_work(&z, err);
    zone_keep(&z);
    return rv;
}

/* ---- Which zones to look at ---- */

static void emit_zone(controller_emit *emit, void *data, const struct node_loss *l)
{
    emit(data, kind_of(KIND_NODE), l->region, l->zone);
}

static void map_node(const struct view *tip, const struct object *old, const struct object *now, controller_emit *emit,
                     void *data)
{
    (void)tip;
    struct node_loss before = {0}, l = {0};
    if (old != NULL) {
        before = node_loss_of(old);
    }
    if (now != NULL) {
        l = node_loss_of(now);
    }
    bool moved = !str_eq(before.zone, l.zone) || !str_eq(before.region, l.region);
    if (old != NULL && now != NULL && !moved && before.ready == l.ready && before.evicted == l.evicted &&
        before.waits == l.waits) {
        return;
    }
    if (old != NULL) {
        emit_zone(emit, data, &before);
    }
    if (now != NULL && (old == NULL || moved)) {
        emit_zone(emit, data, &l);
    }
}

static void map_config(const struct view *tip, const struct object *old, const struct object *now,
                       controller_emit *emit, void *data)
{
    struct sum s;
    struct sum_iter it;
    if (old != NULL && now != NULL && old->generation == now->generation) {
        return;
    }
    view_sum_iter(&it, tip, VIEW_SUM_NODES, STR_NONE);
    while (sums_next(&it, &s)) {
        emit(data, kind_of(KIND_NODE), s.group.labels, s.group.owner);
    }
}

static const struct controller_watch watches[] = {
    {KIND_NODE, map_node}, {KIND_CLUSTERCONFIGURATION, map_config}, {0, NULL}};
const struct controller controller_node_eviction = {
    .name = "node-eviction", .watches = watches, .reconcile = zone_reconcile};
