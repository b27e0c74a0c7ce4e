/* Node lifecycle: silence becomes Ready Unknown, conditions become taints. Source: Kubernetes node lifecycle
 * controller.
 *
 * Heartbeats are soft state that every master keeps (master/core.h): the age of the last one does not begin anew with a
 * change of leader, and is counted in time that masters listened. Only the change of the condition is written. Together
 * with it, in one transaction, the node's pods lose their Ready condition. When the agent is heard again it reports its
 * node's status, which makes Ready True, and the taints go. When the pods of a lost node are let go is the work of
 * controllers/nodes/node_eviction.c, deleting them that of taint_eviction.c. */
#include <assert.h>

#include "controllers/nodes/taints.h"
#include "controllers/registry.h"

#define COMPONENT "node-controller"

struct node {
    const struct reconcile_in *in;
    struct reconcile_out *out;
    const struct object *obj;
    struct value *doc;
    bool dirty;
};

/* ---- Ready ---- */

static void conditions_unknown(struct node *n)
{
    static const char *const types[] = {"Ready", "MemoryPressure", "DiskPressure", "PIDPressure"};
    struct arena *a = n->out->arena;
    struct value *status = value_ensure_map(a, n->doc, "status");
    for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
        bool never = condition_get(status, types[i]) == NULL;
        n->dirty |= condition_set(
            a, status, types[i], "Unknown", never ? "NodeStatusNeverUpdated" : "NodeStatusUnknown",
            never ? "Agent never posted node status." : "Agent stopped posting node status.", n->in->wall_ms, false);
    }
}

static struct str ready_status(const struct node *n)
{
    return value_path_str(condition_get(value_get(n->doc, "status"), "Ready"), "status");
}

static void heartbeat_judge(struct node *n)
{
    const struct controller_soft *soft = n->in->soft;
    if (soft == NULL || soft->heartbeat_age_ms == NULL) {
        return;
    }
    int64_t age_ms = soft->heartbeat_age_ms(soft->data, n->obj->name);
    int64_t grace_ms = cluster_config_of(n->in->view).node_grace_ms;
    grace_ms = grace_ms == 0 ? soft->node_grace_ms : grace_ms;
    if (age_ms <= grace_ms) {
        requeue_in(n->out, grace_ms - age_ms + 1);
        return;
    }
    if (str_is(ready_status(n), "Unknown")) {
        requeue_in(n->out, grace_ms); /* for taint_date: nothing else tells that the calendar was set back */
        return;
    }
    conditions_unknown(n);
    DECIDED(n->out, REASON_NODE_SILENT, .count = age_ms);
    controller_event(n->out, n->in, n->obj, "Normal", "NodeNotReady", COMPONENT,
                     "Node %.*s status is now: NodeNotReady", STR_ARG(n->obj->name));
}

/* ---- Taints ---- */

static bool condition_has(const struct node *n, const char *type, const char *status)
{
    return str_is(value_path_str(condition_get(value_get(n->doc, "status"), type), "status"), status);
}

static bool want_not_ready(const struct node *n)
{
    struct str s = ready_status(n);
    return str_empty(s) || str_is(s, "False");
}
static bool want_not_ready_execute(const struct node *n)
{
    return condition_has(n, "Ready", "False");
}
static bool want_unreachable(const struct node *n)
{
    return condition_has(n, "Ready", "Unknown");
}
static bool want_unschedulable(const struct node *n)
{
    return value_path_bool(n->doc, "spec.unschedulable", false);
}
static bool want_memory(const struct node *n)
{
    return condition_has(n, "MemoryPressure", "True");
}
static bool want_disk(const struct node *n)
{
    return condition_has(n, "DiskPressure", "True");
}
static bool want_pid(const struct node *n)
{
    return condition_has(n, "PIDPressure", "True");
}
static bool want_network(const struct node *n)
{
    return condition_has(n, "NetworkUnavailable", "True");
}

/* The taints that this controller owns: present exactly when wanted; those of effect NoExecute only where
 * node_eviction.c has given the node up: here the one takes the place of the other, and they go. */
static const struct taint_row {
    const char *key, *effect;
    bool (*wanted)(const struct node *n);
} taint_rows[] = {
    {TAINT_NODE_NOT_READY, "NoSchedule", want_not_ready},
    {TAINT_NODE_NOT_READY, "NoExecute", want_not_ready_execute},
    {TAINT_NODE_UNREACHABLE, "NoSchedule", want_unreachable},
    {TAINT_NODE_UNREACHABLE, "NoExecute", want_unreachable},
    {TAINT_UNSCHEDULABLE, "NoSchedule", want_unschedulable},
    {"node.kubernetes.io/memory-pressure", "NoSchedule", want_memory},
    {"node.kubernetes.io/disk-pressure", "NoSchedule", want_disk},
    {"node.kubernetes.io/pid-pressure", "NoSchedule", want_pid},
    {"node.kubernetes.io/network-unavailable", "NoSchedule", want_network},
};

static bool taint_find(const struct value *taints, const struct taint_row *row, unsigned *at)
{
    VALUE_FOR(i, taints)
    {
        const struct value *t = value_item(taints, i);
        if (str_is(value_path_str(t, "key"), row->key) && str_is(value_path_str(t, "effect"), row->effect)) {
            *at = i;
            return true;
        }
    }
    return false;
}

/* A taint dated in the future was set by a master whose calendar was ahead, perhaps by hours, and pods that tolerate it
 * for a while would stay for as much longer. Since when it has been there is not known any more: from now on. */
static void taint_date(struct node *n, struct value *taint)
{
    if (time_of(value_get(taint, "timeAdded")) > n->in->wall_ms) {
        value_set(n->out->arena, taint, "timeAdded", value_time(n->out->arena, n->in->wall_ms));
        DECIDED(n->out, REASON_TAINT_REDATED);
        n->dirty = true;
    }
}

/* Those that people add say nothing of a time, and what pods tolerate for a while counts from one (taint_eviction.c).
 * It stands with the taint, so that no leader forgets it. */
static void taints_date(struct node *n)
{
    struct value *taints = value_path(n->doc, "spec.taints");
    VALUE_FOR(i, taints)
    {
        struct value *t = value_item(taints, i);
        if (!str_is(value_path_str(t, "effect"), "NoExecute")) {
            continue;
        }
        if (time_of(value_get(t, "timeAdded")) == 0) {
            value_set(n->out->arena, t, "timeAdded", value_time(n->out->arena, n->in->wall_ms));
            DECIDED(n->out, REASON_TAINT_DATED, .what = value_path_str(t, "key"));
            n->dirty = true;
        }
        taint_date(n, t);
    }
}

static void taints_keep(struct node *n)
{
    struct arena *a = n->out->arena;
    struct value *spec = value_ensure_map(a, n->doc, "spec");
    bool evicted = node_loss_of(n->obj).evicted;
    for (unsigned i = 0; i < ARRAY_SIZE(taint_rows); i++) {
        const struct taint_row *row = &taint_rows[i];
        unsigned at;
        bool present = taint_find(value_get(spec, "taints"), row, &at), wanted = row->wanted(n);
        wanted = wanted && (evicted || !str_is(str_of(row->effect), "NoExecute"));
        if (present && wanted) {
            taint_date(n, value_item(value_get(spec, "taints"), at));
        }
        if (present == wanted) {
            continue;
        }
        if (present) {
            value_remove_at(value_get(spec, "taints"), at);
        } else {
            taint_add(a, spec, row->key, row->effect, n->in->wall_ms);
        }
        DECIDED(n->out, present ? REASON_UNTAINTS : REASON_TAINTS, .what = str_of(row->key),
                .more = str_of(row->effect));
        n->dirty = true;
    }
    if (value_get(spec, "taints") != NULL && value_count(value_get(spec, "taints")) == 0) {
        value_remove(spec, "taints");
    }
}

/* ---- Pods ---- */

/* "Pods of a node that is not heard of are not Ready": they leave the services. The agent says it anew when it is
 * back. */
static int pods_unready(struct node *n, struct error *err)
{
    struct view_iter it;
    unsigned count = 0;
    view_iter_node_pods(&it, n->in->view, n->obj->name);
    VIEW_FOR(pod, &it)
    {
        if (!pod_ready(pod, NULL)) {
            continue;
        }
        if (count++ == CONTROLLER_BATCH_MAX) { /* far more than a node is made for; the rest follows */
            requeue_in(n->out, 1);
            return 0;
        }
        struct value *doc = object_to_value(n->out->arena, pod);
        condition_set(n->out->arena, value_get(doc, "status"), "Ready", "False", "NodeLost",
                      "The pod's node is not heard of.", n->in->wall_ms, false);
        int rv = txn_update_value(n->out->txn, pod->kind, doc, TXN_PART_STATUS, pod->revision, err);
        if (rv != 0) {
            return rv;
        }
    }
    return 0;
}

static int node_reconcile(const struct reconcile_in *in, struct reconcile_out *out, struct error *err)
{
    struct node n = {.in = in, .out = out, .obj = view_get(in->view, in->key.kind, STR_NONE, in->key.name)};
    if (n.obj == NULL || n.obj->deleting) {
        return 0;
    }
    n.doc = object_to_value(out->arena, n.obj);
    heartbeat_judge(&n);
    taints_keep(&n);
    taints_date(&n);
    int rv = n.dirty ? txn_update_value(out->txn, n.obj->kind, n.doc, TXN_PART_ALL, n.obj->revision, err) : 0;
    return rv == 0 && str_is(ready_status(&n), "Unknown") ? pods_unready(&n, err) : rv;
}

static const struct controller_watch watches[] = {{KIND_NODE, map_self}, {0, NULL}};
const struct controller controller_node_lifecycle = {
    .name = "node-lifecycle", .watches = watches, .reconcile = node_reconcile};
