#include "controllers/workloads/pods.h"

#include <stdlib.h>

#include "controllers/priority.h"
#include "controllers/runtime_class.h"
#include "controllers/workloads/room.h"
#include "proto/facts/toleration.h"

struct value *pod_from_template(struct arena *a, const struct object *owner, const struct value *pod_template)
{
    static const char *const copied[] = {"labels", "annotations", "finalizers"};
    struct value *pod = value_map(a), *metadata = value_map(a), *status = value_map(a);
    const struct value *template_metadata = value_get(pod_template, "metadata");
    value_set(a, metadata, "generateName", value_str(a, name_generate_prefix(a, owner->name)));
    value_set(a, metadata, "namespace", value_str(a, owner->ns));
    for (unsigned i = 0; i < ARRAY_SIZE(copied); i++) {
        const struct value *v = value_get(template_metadata, copied[i]);
        if (v != NULL) {
            value_set(a, metadata, copied[i], value_copy(a, v));
        }
    }
    value_set(a, pod, "apiVersion", value_cstr(a, "v1"));
    value_set(a, pod, "kind", value_cstr(a, "Pod"));
    value_set(a, pod, "metadata", metadata);
    owner_add(a, pod, owner);
    struct value *spec = map_copy(a, value_get(pod_template, "spec"));
    toleration_add_defaults(a, spec);
    value_set(a, pod, "spec", spec);
    value_set(a, status, "phase", value_cstr(a, "Pending"));
    value_set(a, pod, "status", status);
    kind_of(KIND_POD)->fill(a, pod); /* what pods get beyond their template: requests from limits, priority, qosClass */
    return pod;
}

bool pods_have_classes(const struct reconcile_in *in, struct reconcile_out *out, const struct object *owner,
                       const struct value *pod_template, const char *component)
{
    static const char *const read[] = {"priorityClassName", "priority", "preemptionPolicy",
                                       "runtimeClassName",  "overhead", "nodeSelector"};
    struct value *spec = value_map(out->arena);
    struct error err = {0};
    for (size_t i = 0; i < ARRAY_SIZE(read); i++) {
        struct value *v = value_at(pod_template, "spec", read[i], NULL);
        if (v != NULL) {
            value_set(out->arena, spec, read[i], v);
        }
    }
    bool placed = priority_give(in->view, NULL, out->arena, spec, &err) == 0;
    if (placed && runtime_class_give(in->view, NULL, out->arena, spec, &err) == 0) {
        return true;
    }
    controller_event(out, in, owner, "Warning", "FailedCreate", component, "Error creating: pods are forbidden: %s",
                     err.message);
    if (placed) {
        DECIDED(out, REASON_NO_RUNTIME_CLASS);
    } else {
        DECIDED(out, REASON_NO_PRIORITY_CLASS);
    }
    return false;
}

int pods_give_classes(const struct view *v, struct arena *a, struct value *pod, struct error *err)
{
    int rv = priority_give_pod(v, a, pod, err);
    return rv != 0 ? rv : runtime_class_give_pod(v, a, pod, err);
}

/* Objects whose templates name a class that is new, or a runtime class that says something else now. (A priority class
 * cannot change in what pods get.) */
static void map_class(const struct controller *c, const struct view *tip, const struct object *old,
                      const struct object *now, controller_emit *emit, void *data)
{
    struct view_iter it;
    if (now == NULL || (old != NULL && now->kind->id != KIND_RUNTIMECLASS)) {
        return;
    }
    view_iter_referring(&it, tip, now, kind_of(c->watches[0].kind));
    VIEW_FOR(o, &it)
    {
        emit(data, o->kind, o->ns, o->name);
    }
}

const struct controller_shared pods_watches[] = {{KIND_RESOURCEQUOTA, room_map},
                                                 {KIND_LIMITRANGE, room_map},
                                                 {KIND_PRIORITYCLASS, map_class},
                                                 {KIND_RUNTIMECLASS, map_class},
                                                 {0, NULL}};

struct str pod_name_set(const struct reconcile_in *in, struct arena *a, struct value *pod, struct strmap *taken)
{
    struct value *meta = value_get(pod, "metadata");
    struct str base = value_path_str(meta, "generateName"), ns = value_path_str(meta, "namespace");
    struct str name = name_generate_free(in, a, kind_of(KIND_POD), ns, base, taken);
    value_set(a, meta, "name", value_str(a, name));
    return name;
}

/* ---- Pace ---- */

#define UNPLACED_FREE 1000 /* that fit nowhere without any rest */
#define UNPLACED_MS   100  /* of rest for each 1,000 of them */
#define ENDED_FREE    500
#define ENDED_MS      10 /* for each of them */

#define TEXT_OF(n)    #n
#define NUMBER_OF(n)  TEXT_OF(n)

const char *pods_pace(struct reconcile_out *out, int64_t unplaced, int64_t ended)
{
    int64_t rest_ms =
        MAX(unplaced > UNPLACED_FREE ? unplaced * UNPLACED_MS / 1000 : 0, ended > ENDED_FREE ? ended * ENDED_MS : 0);
    if (rest_ms > 0) {
        out->rest_ms = MAX(out->rest_ms, MIN(rest_ms, PODS_REST_MAX_MS));
        requeue_in(out, out->rest_ms);
    }
    return unplaced < PODS_UNPLACED_MAX
               ? NULL
               : NUMBER_OF(PODS_UNPLACED_MAX) " of its pods or more fit nowhere; others are made "
                                              "when some of these have found a place";
}

/* ---- Ranking ---- */

struct ranked {
    const struct object *pod;
    struct str node;
    unsigned phase; /* Pending 0, Unknown 1, Running 2 */
    bool ready, available;
    int64_t cost;
    unsigned doubled;           /* related pods on its node */
    int ready_log, created_log; /* how long ago, in powers of two; UNKNOWN_LOG: it is not known */
    int64_t restarts, sidecar_restarts;
};
#define UNKNOWN_LOG (-1)

static unsigned nodes_count(const struct str *nodes, unsigned count, struct str node)
{
    unsigned low = 0, high = count;
    while (low < high) {
        unsigned mid = (low + high) / 2;
        if (str_cmp(nodes[mid], node) < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    unsigned n = 0;
    while (low + n < count && str_eq(nodes[low + n], node)) {
        n++;
    }
    return n;
}

/* "Times are bucketed on an integer log scale": pods of about the same age are alike, so that not the whole newest
 * generation goes. As Kubernetes has it, of nanoseconds. */
static int age_log(int64_t since_ms, int64_t wall_ms)
{
    int64_t age_ms = MIN(wall_ms - since_ms, INT64_MAX / 1000000);
    return since_ms == 0 || age_ms <= 0 ? UNKNOWN_LOG : 63 - __builtin_clzll((unsigned long long)age_ms * 1000000);
}

static int64_t restarts_most(struct mp statuses)
{
    int64_t most = 0;
    for (struct mp_iter it = mp_iter(statuses); mp_next(&it);) {
        most = MAX(most, mp_int(mp_get(it.value, "restartCount"), 0));
    }
    return most;
}

/* Init containers that go on beside the others. */
static int64_t sidecar_restarts(struct mp pod)
{
    int64_t most = 0;
    for (struct mp_iter it = mp_iter(mp_path(pod, "spec.initContainers")); mp_next(&it);) {
        if (!str_is(mp_str(mp_get(it.value, "restartPolicy")), "Always")) {
            continue;
        }
        for (struct mp_iter s = mp_iter(mp_path(pod, "status.initContainerStatuses")); mp_next(&s);) {
            bool same = str_eq(mp_str(mp_get(s.value, "name")), mp_str(mp_get(it.value, "name")));
            most = same ? MAX(most, mp_int(mp_get(s.value, "restartCount"), 0)) : most;
        }
    }
    return most;
}

/* Of pods without a node there may be very many, and most of it has no meaning for them. */
static struct ranked ranked_of(const struct object *pod, int64_t wall_ms)
{
    struct pod_state state = pod_state_of(pod);
    struct ranked r = {.pod = pod, .ready = state.ready};
    r.created_log = age_log(object_created_ms(pod), wall_ms);
    r.ready_log = age_log(state.ready_since_ms, wall_ms);
    str_to_int64(object_annotation(pod, "controller.kubernetes.io/pod-deletion-cost"), &r.cost);
    if (!state.bound) {
        return r;
    }
    struct str phase = pod_phase(pod);
    r.node = pod_node(pod);
    r.phase = str_is(phase, "Running") ? 2 : str_is(phase, "Unknown") ? 1 : 0;
    r.restarts = restarts_most(mp_path(object_mp(pod), "status.containerStatuses"));
    r.sidecar_restarts = sidecar_restarts(object_mp(pod));
    return r;
}

/* <0: a goes first. */
static int compare_i64(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int ranked_cmp(const void *pa, const void *pb)
{
    const struct ranked *a = pa, *b = pb;
    int c = (int)!str_empty(a->node) - (int)!str_empty(b->node);
    c = c != 0 ? c : (int)a->phase - (int)b->phase;
    c = c != 0 ? c : (int)a->ready - (int)b->ready;
    c = c != 0 ? c : (int)a->available - (int)b->available;
    c = c != 0 ? c : compare_i64(a->cost, b->cost);
    c = c != 0 ? c : compare_i64(b->doubled, a->doubled);
    c = c != 0 || !a->ready ? c : compare_i64(a->ready_log, b->ready_log); /* what is not known counts as youngest */
    c = c != 0 ? c : compare_i64(b->restarts, a->restarts);
    c = c != 0 ? c : compare_i64(b->sidecar_restarts, a->sidecar_restarts);
    c = c != 0 ? c : compare_i64(a->created_log, b->created_log);
    return c != 0 ? c : str_cmp(a->pod->name, b->pod->name);
}

void pods_rank_for_deletion(struct arena *a, struct object_list *l, const struct object_list *related,
                            int64_t min_ready_s, int64_t wall_ms)
{
    if (l->count == 0) {
        return;
    }
    struct str *nodes = arena_alloc(a, related->count * sizeof *nodes);
    for (unsigned i = 0; i < related->count; i++) {
        nodes[i] = pod_node(related->items[i]);
    }
    qsort(nodes, related->count, sizeof *nodes, str_cmp_at);
    struct ranked *ranked = arena_alloc(a, l->count * sizeof *ranked);
    for (unsigned i = 0; i < l->count; i++) {
        ranked[i] = ranked_of(l->items[i], wall_ms);
        ranked[i].available = pod_available(l->items[i], min_ready_s, wall_ms, NULL);
        ranked[i].doubled = str_empty(ranked[i].node) ? 0 : nodes_count(nodes, related->count, ranked[i].node);
    }
    qsort(ranked, l->count, sizeof *ranked, ranked_cmp);
    for (unsigned i = 0; i < l->count; i++) {
        l->items[i] = ranked[i].pod;
    }
}

int64_t pod_ended_ms(const struct object *pod, int64_t wall_ms)
{
    int64_t end = object_created_ms(pod);
    for (struct mp_iter it = mp_iter(mp_path(object_mp(pod), "status.containerStatuses")); mp_next(&it);) {
        end = MAX(end, time_of_mp(mp_path(it.value, "state.terminated.finishedAt")));
    }
    return MIN(end, wall_ms);
}

int64_t pod_failed_ms(const struct object *pod, int64_t wall_ms, int64_t within_ms)
{
    int64_t ended = pod_ended_ms(pod, INT64_MAX);
    return ended > wall_ms + within_ms ? 0 : MIN(ended, wall_ms);
}
