/* Pods nobody will finish: bound to a node that does not exist any more, deleted before they were bound, on a node
 * taken out of service, or finished ones above a threshold. Source: Kubernetes pod garbage collector.
 *
 * A node may come back at once under its name, so its pods wait QUARANTINE_MS; the condition DisruptionTarget on the
 * pod remembers since when. */
#include <assert.h>
#include <stdlib.h>

#include "controllers/deletion.h"
#include "controllers/nodes/taints.h"
#include "controllers/registry.h"
#include "proto/facts/disruption.h"

#define QUARANTINE_MS 40000
/* Above the threshold, one in so many endings makes the collector look; fewer where the threshold is small. */
#define FINISHED_SAMPLE 64u
/* It looks at all pods then, and not again before so long. */
#define FINISHED_REST_MS 1000

/* ---- Single pods ---- */

static int force_delete(const struct reconcile_in *in, struct reconcile_out *out, const struct object *pod,
                        enum reason why, struct error *err)
{
    DECIDED(out, why);
    return pod_delete(out->txn, out->arena, pod, 0, in->wall_ms, err);
}

static int node_missing(const struct reconcile_in *in, struct reconcile_out *out, const struct object *pod,
                        struct error *err)
{
    struct mp c = condition_mp(pod, DISRUPTION_TARGET);
    if (condition_is(c, "True") && str_is(mp_str(mp_get(c, "reason")), "DeletionByPodGC")) {
        int64_t at_ms = time_of_mp(mp_get(c, "lastTransitionTime")) + QUARANTINE_MS;
        if (at_ms <= in->wall_ms) {
            return force_delete(in, out, pod, REASON_NODE_GONE, err);
        }
        requeue_in(out, at_ms - in->wall_ms);
        return 0;
    }
    struct value *doc = object_to_value(out->arena, pod), *status = value_ensure_map(out->arena, doc, "status");
    condition_set(out->arena, status, DISRUPTION_TARGET, "True", "DeletionByPodGC", "PodGC: node no longer exists",
                  in->wall_ms, false);
    requeue_in(out, QUARANTINE_MS);
    DECIDED(out, REASON_NODE_MISSING);
    return txn_update_value(out->txn, pod->kind, doc, TXN_PART_STATUS, pod->revision, err);
}

/* The node is there (again). */
static int node_present(const struct reconcile_in *in, struct reconcile_out *out, const struct object *pod,
                        const struct object *node, struct error *err)
{
    if (pod->deleting && node_has_taint(node, TAINT_OUT_OF_SERVICE, NULL) && !node_ready(node)) {
        return force_delete(in, out, pod, REASON_NODE_OUT_OF_SERVICE, err);
    }
    struct mp c = condition_mp(pod, DISRUPTION_TARGET);
    if (!condition_is(c, "True") || !str_is(mp_str(mp_get(c, "reason")), "DeletionByPodGC")) {
        return 0;
    }
    struct value *doc = object_to_value(out->arena, pod);
    condition_remove(value_get(doc, "status"), DISRUPTION_TARGET);
    return txn_update_value(out->txn, pod->kind, doc, TXN_PART_STATUS, pod->revision, err);
}

static int pod_reconcile(const struct reconcile_in *in, struct reconcile_out *out, struct error *err)
{
    const struct object *pod = view_get(in->view, in->key.kind, in->key.ns, in->key.name);
    if (pod == NULL) {
        return 0;
    }
    if (str_empty(pod_node(pod))) {
        bool stuck = pod->deleting && mp_count(mp_path(object_mp(pod), "metadata.finalizers")) == 0;
        return stuck ? force_delete(in, out, pod, REASON_NEVER_BOUND, err) : 0;
    }
    const struct object *node = view_get(in->view, kind_of(KIND_NODE), STR_NONE, pod_node(pod));
    return node == NULL ? node_missing(in, out, pod, err) : node_present(in, out, pod, node, err);
}

/* ---- Finished pods above the threshold: the oldest go ---- */

static int compare_created(const void *pa, const void *pb)
{
    const struct object *a = *(const struct object *const *)pa, *b = *(const struct object *const *)pb;
    int64_t ca = object_created_ms(a), cb = object_created_ms(b);
    return ca != cb ? (ca > cb ? 1 : -1) : object_key_cmp(a, b);
}

static int finished_trim(const struct reconcile_in *in, struct reconcile_out *out, struct error *err)
{
    int64_t most = cluster_config_of(in->view).terminated_pods;
    if (most == 0 || view_sum(in->view, VIEW_SUM_PODS, STR_NONE, NULL).fields[PODS_FINISHED] <= most) {
        return 0;
    }
    struct object_list finished = {0};
    struct view_iter it;
    view_iter(&it, in->view, kind_of(KIND_POD), STR_NONE);
    VIEW_FOR(pod, &it)
    {
        if (!pod->deleting && pod_finished(pod)) {
            object_list_add(out->arena, &finished, pod);
        }
    }
    if (!CONTROLLER_CHECK(out, finished.count > most)) {
        return 0;
    }
    qsort(finished.items, finished.count, sizeof *finished.items, compare_created);
    unsigned surplus = finished.count - (unsigned)most;
    for (unsigned i = 0; i < MIN(surplus, CONTROLLER_BATCH_MAX); i++) {
        int rv = pod_delete(out->txn, out->arena, finished.items[i], 0, in->wall_ms, err);
        if (rv != 0) {
            return rv;
        }
    }
    DECIDED(out, REASON_TOO_MANY_FINISHED, .count = surplus);
    if (surplus > CONTROLLER_BATCH_MAX) {
        requeue_in(out, 1);
    } else {
        out->rest_ms = FINISHED_REST_MS;
    }
    return 0;
}

static int garbage_reconcile(const struct reconcile_in *in, struct reconcile_out *out, struct error *err)
{
    return str_empty(in->key.name) ? finished_trim(in, out, err) : pod_reconcile(in, out, err);
}

/* ---- Where to look ---- */

/* Is this ending one at which the collector is to look? */
static bool is_sample(const struct view *tip, const struct object *pod)
{
    if (!pod_finished(pod)) {
        return false;
    }
    int64_t most = cluster_config_of(tip).terminated_pods;
    int64_t one_in = MIN(MAX(most / FINISHED_SAMPLE, 1), (int64_t)FINISHED_SAMPLE);
    return most > 0 && view_count(tip, pod->kind) > (uint64_t)most && pod->hash % (uint64_t)one_in == 0;
}

static void map_pod(const struct view *tip, const struct object *old, const struct object *now, controller_emit *emit,
                    void *data)
{
    if (now == NULL) {
        return;
    }
    bool turned = old == NULL || old->deleting != now->deleting ||
                  (!object_same_spec(old, now) && !str_eq(pod_node(old), pod_node(now)));
    if (turned && (now->deleting || !str_empty(pod_node(now)))) {
        const struct object *node = view_get(tip, kind_of(KIND_NODE), STR_NONE, pod_node(now));
        if (node == NULL || now->deleting) {
            emit(data, now->kind, now->ns, now->name);
        }
    }
    if (is_sample(tip, now)) {
        emit(data, now->kind, STR_NONE, STR_NONE);
    }
}

static void map_node(const struct view *tip, const struct object *old, const struct object *now, controller_emit *emit,
                     void *data)
{
    bool came_or_went = old == NULL || now == NULL;
    if (!came_or_went && mp_equal(mp_path(object_mp(old), "spec.taints"), mp_path(object_mp(now), "spec.taints"))) {
        return;
    }
    if (!came_or_went && !node_has_taint(now, TAINT_OUT_OF_SERVICE, NULL)) {
        return;
    }
    struct view_iter it;
    view_iter_node_pods(&it, tip, now != NULL ? now->name : old->name);
    VIEW_FOR(pod, &it)
    {
        emit(data, pod->kind, pod->ns, pod->name);
    }
}

static void map_config(const struct view *tip, const struct object *old, const struct object *now,
                       controller_emit *emit, void *data)
{
    (void)tip;
    (void)old;
    if (now != NULL) {
        emit(data, kind_of(KIND_POD), STR_NONE, STR_NONE);
    }
}

static void garbage_resync(const struct view *tip, controller_emit *emit, void *data)
{
    struct view_iter it;
    view_iter(&it, tip, kind_of(KIND_POD), STR_NONE);
    VIEW_FOR(pod, &it)
    {
        map_pod(tip, NULL, pod, emit, data);
    }
    emit(data, kind_of(KIND_POD), STR_NONE, STR_NONE);
}

static const struct controller_watch watches[] = {
    {KIND_POD, map_pod}, {KIND_NODE, map_node}, {KIND_CLUSTERCONFIGURATION, map_config}, {0, NULL}};
const struct controller controller_pod_garbage = {"pod-garbage", watches, garbage_reconcile, garbage_resync};
