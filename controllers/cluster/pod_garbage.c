/* Pods nobody will finish: bound to a node that does not exist any more, deleted before they were bound, on a node
 * taken out of service, or finished ones above a threshold. Source: Kubernetes pod garbage collector.
 *
 * Finished ones above the threshold are found in two walks, each in steps: the first counts them by their age, the
 * second takes away those that are older than what is to stay. What has been counted is remembered from step to step
 * (out->memory).
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

/* Ages in whole seconds: those below AGES_EACH each for itself, then AGES_EACH of equal width from one power of two to
 * the next: of two pods whose ages differ by a hundredth the older goes first. Of those in the last one that is not
 * needed whole any may go. */
#define AGES_EACH 128u
#define AGES      3072u /* up to 2^30 seconds */
struct ages {
    int64_t now_ms;  /* of which the ages are, in all steps */
    uint32_t oldest; /* while they are taken away: this one and all above */
    uint32_t some;   /* of the one below, so many */
    bool deletes;
    bool begins; /* the second walk: the next step is its first */
    uint32_t counts[AGES];
};
static_assert(sizeof(struct ages) <= RECONCILE_MEMORY_MAX, "it is remembered");

static unsigned age_of(const struct ages *g, const struct object *pod)
{
    uint64_t s = (uint64_t)MAX(g->now_ms - object_created_ms(pod), 0) / 1000;
    if (s < AGES_EACH) {
        return (unsigned)s;
    }
    unsigned power = 63 - (unsigned)__builtin_clzll(s) - 7; /* AGES_EACH is 2^7 */
    return MIN(AGES_EACH * (power + 1) + (unsigned)((s >> power) - AGES_EACH), AGES - 1);
}

/* All are counted: which of them go, if so many are too many? */
static void ages_decide(struct ages *g, uint64_t surplus)
{
    g->deletes = g->begins = true;
    g->oldest = AGES;
    while (g->oldest > 0 && g->counts[g->oldest - 1] <= surplus) {
        surplus -= g->counts[--g->oldest];
    }
    g->some = (uint32_t)surplus;
}

static bool goes(struct ages *g, const struct object *pod)
{
    unsigned age = age_of(g, pod);
    if (age + 1 == g->oldest && g->some > 0) {
        g->some--;
        return true;
    }
    return age >= g->oldest;
}

static int finished_trim(const struct reconcile_in *in, struct reconcile_out *out, struct error *err)
{
    int64_t most = cluster_config_of(in->view).terminated_pods;
    int64_t there = view_sum(in->view, VIEW_SUM_PODS, STR_NONE, NULL).fields[PODS_FINISHED];
    if (most == 0 || there <= most) {
        return 0;
    }
    struct ages *g = arena_alloc(out->arena, sizeof *g);
    if (in->memory.n == sizeof *g && in->from != NULL) {
        memcpy(g, in->memory.p, sizeof *g);
    } else { /* the first step, or the first after an error */
        g->now_ms = in->wall_ms;
    }
    struct view_iter it;
    const struct object *last = NULL;
    unsigned visits = 0, gone = 0;
    if (in->from != NULL && !g->begins) {
        view_iter_after(&it, in->view, kind_of(KIND_POD), STR_NONE, in->from->ns, in->from->name);
    } else {
        view_iter(&it, in->view, kind_of(KIND_POD), STR_NONE);
    }
    g->begins = false;
    VIEW_FOR(pod, &it)
    {
        last = pod;
        if (!pod->deleting && pod_finished(pod)) {
            if (!g->deletes) {
                g->counts[age_of(g, pod)]++;
            } else if (goes(g, pod)) {
                int rv = pod_delete(out->txn, out->arena, pod, 0, in->wall_ms, err);
                if (rv != 0) {
                    return rv;
                }
                gone++;
            }
        }
        if (++visits == RECONCILE_VISITS_MAX || gone == CONTROLLER_BATCH_MAX) {
            out->left_at = pod;
            break;
        }
    }
    if (gone > 0) {
        DECIDED(out, REASON_TOO_MANY_FINISHED, .count = gone);
    }
    if (out->left_at == NULL && !g->deletes) { /* all are counted: from the beginning again */
        ages_decide(g, (uint64_t)(there - most));
        out->left_at = last;
    }
    if (out->left_at != NULL) {
        out->memory = (struct str){(const char *)g, sizeof *g};
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

static void garbage_begin(controller_emit *emit, void *data)
{
    emit(data, kind_of(KIND_POD), STR_NONE, STR_NONE);
}

static const struct controller_watch watches[] = {
    {KIND_POD, map_pod}, {KIND_NODE, map_node}, {KIND_CLUSTERCONFIGURATION, map_config}, {0, NULL}};
const struct controller controller_pod_garbage = {
    .name = "pod-garbage", .watches = watches, .reconcile = garbage_reconcile, .begin = garbage_begin};
