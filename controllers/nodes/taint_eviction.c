/* NoExecute taints: pods that do not tolerate them, or only for a while, are deleted, with the condition
 * DisruptionTarget. Source: Kubernetes taint-eviction controller.
 *
 * What a pod tolerates for a while counts from when the taint was added (node_lifecycle.c dates those that say
 * nothing), and of a pod that came later from when it came: else it would go at once, and its successor, too, for ever.
 *
 * When no node at all is Ready, the fault is more likely ours than theirs: nobody is evicted until one is heard of
 * again. */
#include <assert.h>

#include "controllers/deletion.h"
#include "controllers/nodes/taints.h"
#include "controllers/registry.h"

#define COMPONENT         "taint-eviction-controller"
#define ALL_LOST_RETRY_MS 10000

static bool no_execute(struct mp taint)
{
    return str_is(mp_str(mp_get(taint, "effect")), "NoExecute");
}

static bool any_node_ready(const struct view *v)
{
    return view_sum(v, VIEW_SUM_NODES_ALL, STR_NONE, NULL).fields[NODES_READY] > 0;
}

/* Since when it has its node; 0: not known, or dated ahead. */
static int64_t bound_ms(const struct object *pod, int64_t wall_ms)
{
    struct mp placed = condition_mp(pod, "PodScheduled");
    int64_t at_ms =
        condition_is(placed, "True") ? time_of_mp(mp_get(placed, "lastTransitionTime")) : object_created_ms(pod);
    return at_ms > wall_ms ? 0 : at_ms;
}

/* When the pod must go: the earliest over all taints; INT64_MAX = it may stay. */
static int64_t evict_at_ms(const struct object *pod, const struct object *node, int64_t wall_ms)
{
    int64_t at_ms = INT64_MAX, came_ms = bound_ms(pod, wall_ms);
    for (struct mp_iter it = mp_iter(mp_path(object_mp(node), "spec.taints")); mp_next(&it);) {
        if (!no_execute(it.value)) {
            continue;
        }
        int64_t seconds = toleration_seconds(pod, it.value);
        if (seconds == INT64_MAX) {
            continue;
        }
        int64_t since_ms = time_of_mp(mp_get(it.value, "timeAdded"));
        bool now = seconds == 0 || since_ms == 0; /* not dated yet: it is looked at again when it is */
        at_ms = MIN(at_ms, (now ? wall_ms : MAX(since_ms, came_ms)) + seconds * 1000);
    }
    return at_ms;
}

static bool by_lost_node(const struct object *node)
{
    return node_has_taint(node, TAINT_NODE_UNREACHABLE, "NoExecute") ||
           node_has_taint(node, TAINT_NODE_NOT_READY, "NoExecute");
}

static int eviction_reconcile(const struct reconcile_in *in, struct reconcile_out *out, struct error *err)
{
    const struct object *pod = view_get(in->view, in->key.kind, in->key.ns, in->key.name);
    if (pod == NULL || !pod_active(pod) || str_empty(pod_node(pod))) {
        return 0;
    }
    const struct object *node = view_get(in->view, kind_of(KIND_NODE), STR_NONE, pod_node(pod));
    int64_t at_ms = node == NULL ? INT64_MAX : evict_at_ms(pod, node, in->wall_ms);
    if (at_ms == INT64_MAX) {
        return 0;
    }
    if (at_ms > in->wall_ms) {
        requeue_in(out, at_ms - in->wall_ms);
        return 0;
    }
    if (by_lost_node(node) && !any_node_ready(in->view)) {
        DECIDED(out, REASON_NO_NODE_READY);
        requeue_in(out, ALL_LOST_RETRY_MS);
        return 0;
    }
    DECIDED(out, REASON_EVICTED, .what = node->name);
    controller_event(out, in, pod, "Normal", "TaintManagerEviction", COMPONENT, "Marking for deletion Pod %.*s/%.*s",
                     STR_ARG(pod->ns), STR_ARG(pod->name));
    const struct deletion_options options = {.grace_s = -1,
                                             .policy = DELETION_BACKGROUND,
                                             .disruption = "DeletionByTaintManager",
                                             .disruption_message = "Taint manager: deleting due to NoExecute taint"};
    return deletion_request(out->txn, out->arena, pod, &options, in->wall_ms, err);
}

static bool has_no_execute(const struct object *node)
{
    for (struct mp_iter it = mp_iter(mp_path(object_mp(node), "spec.taints")); mp_next(&it);) {
        if (no_execute(it.value)) {
            return true;
        }
    }
    return false;
}

static void map_node(const struct view *tip, const struct object *old, const struct object *now, controller_emit *emit,
                     void *data)
{
    if (now == NULL || !has_no_execute(now) ||
        (old != NULL && mp_equal(mp_path(object_mp(old), "spec.taints"), mp_path(object_mp(now), "spec.taints")))) {
        return;
    }
    struct view_iter it;
    view_iter_node_pods(&it, tip, now->name);
    VIEW_FOR(pod, &it)
    {
        emit(data, pod->kind, pod->ns, pod->name);
    }
}

static void map_pod(const struct view *tip, const struct object *old, const struct object *now, controller_emit *emit,
                    void *data)
{
    if (now == NULL || now->deleting || (old != NULL && object_same_spec(old, now)) || str_empty(pod_node(now)) ||
        (old != NULL && str_eq(pod_node(old), pod_node(now)) &&
         mp_equal(mp_get(object_spec(old), "tolerations"), mp_get(object_spec(now), "tolerations")))) {
        return;
    }
    const struct object *node = view_get(tip, kind_of(KIND_NODE), STR_NONE, pod_node(now));
    if (node != NULL && has_no_execute(node)) {
        emit(data, now->kind, now->ns, now->name);
    }
}

static const struct controller_watch watches[] = {{KIND_NODE, map_node}, {KIND_POD, map_pod}, {0, NULL}};
const struct controller controller_taint_eviction = {
    .name = "taint-eviction", .watches = watches, .reconcile = eviction_reconcile};
