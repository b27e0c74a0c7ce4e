/* StatefulSet: pods that have a name, a number and claims of their own. Source: Kubernetes apps/v1 StatefulSet.
 *
 * A name is never given twice: a pod is made when no pod has its name, and one that is being deleted has its name until
 * its agent says that it has ended. So a pod on a node that is cut off is waited for, and only a person who knows
 * better (delete --force, or the taint out-of-service) ends the waiting.
 *
 * With podManagementPolicy OrderedReady pods come one after another, each when the one before is available; they go in
 * the opposite order. A rolling update deletes pods from the highest ordinal down to the partition, and each comes back
 * with the newest template before the next one goes.
 *
 * A pod of an old template that cannot become ready by itself (no such image, no node takes it, it crashes), or that
 * has not been ready once within STARTING_MS, is exchanged although the set is not whole: otherwise a bad template
 * could not be mended by applying a good one (k8s#67250). */
#include <assert.h>
#include <stdlib.h>

#include "controllers/claim.h"
#include "controllers/deletion.h"
#include "controllers/registry.h"
#include "controllers/workloads/pods.h"
#include "controllers/workloads/room.h"
#include "controllers/workloads/statefulset.h"

#define STARTING_MS    60000 /* a pod that is not ready yet may merely be starting for so long */
#define FAILED_SOON_MS 60000
#define FAILED_WAIT_MS 10000

/* ---- Reading ---- */

static bool fits(const struct object *set, const struct object *pod)
{
    return sts_ordinal(set, pod->name) >= 0;
}

static int compare_up(const void *a, const void *b)
{
    int64_t x = ((const struct sts_pod *)a)->ordinal, y = ((const struct sts_pod *)b)->ordinal;
    return (x > y) - (x < y);
}

static int compare_down(const void *a, const void *b)
{
    return compare_up(b, a);
}

static struct sts_pod judge(struct sts *s, const struct object *pod)
{
    struct pod_state state = pod_state_of(pod);
    struct sts_pod p = {.ordinal = sts_ordinal(s->obj, pod->name), .pod = pod};
    int64_t wait_ms = 0;
    p.ready = state.active && state.ready;
    p.available = p.ready && pod_state_available(&state, s->min_ready_s, s->in->wall_ms, &wait_ms);
    p.updated = str_eq(mp_str(mp_get(object_labels(pod), REVISION_HASH_LABEL)), s->update);
    s->unplaced += state.unplaced;
    if (wait_ms > 0) {
        requeue_in(s->out, wait_ms);
    }
    return p;
}

static int pods_read(struct sts *s, struct error *err)
{
    const struct object_list *pods = &s->mine.pods;
    s->mine.fits = fits;
    int rv = claim_pods(&s->mine, s->in, s->out, s->obj, err);
    if (rv != 0 || pods->count == 0) {
        return rv;
    }
    s->slots = arena_alloc(s->a, pods->count * sizeof *s->slots);
    s->condemned = arena_alloc(s->a, pods->count * sizeof *s->condemned);
    for (unsigned i = 0; i < pods->count; i++) {
        struct sts_pod p = judge(s, pods->items[i]);
        if (p.ordinal >= s->start && p.ordinal < s->start + s->replicas) {
            s->slots[s->slots_count++] = p;
        } else {
            s->condemned[s->condemned_count++] = p;
        }
    }
    qsort(s->slots, s->slots_count, sizeof *s->slots, compare_up);
    qsort(s->condemned, s->condemned_count, sizeof *s->condemned, compare_down);
    return 0;
}

/* ---- Deleting ---- */

static int take_away(struct sts *s, struct sts_pod *p, struct error *err)
{
    if (p->pod->deleting || s->deleted >= CONTROLLER_BATCH_MAX) {
        return 0;
    }
    s->deleted++;
    p->ready = p->available = false;
    controller_event(s->out, s->in, s->obj, "Normal", "SuccessfulDelete", STATEFULSET_COMPONENT,
                     "delete Pod %.*s in StatefulSet %.*s successful", STR_ARG(p->pod->name), STR_ARG(s->obj->name));
    return pod_delete(s->out->txn, s->a, p->pod, -1, s->in->wall_ms, err);
}

/* It will not become ready without help: no image, a crash, no node. */
static bool is_stuck(const struct object *pod)
{
    static const char *const lists[] = {"status.initContainerStatuses", "status.containerStatuses"};
    if (pod_state_of(pod).unplaced) {
        return true;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(lists); i++) {
        for (struct mp_iter it = mp_iter(mp_path(object_mp(pod), lists[i])); mp_next(&it);) {
            struct str why = mp_str(mp_path(it.value, "state.waiting.reason"));
            if (why.n > 0 && !str_is(why, "ContainerCreating") && !str_is(why, "PodInitializing")) {
                return true;
            }
        }
    }
    return false;
}

/* As far as its agent has told: it has not been ready since its containers first began. */
static bool never_was_ready(const struct object *pod)
{
    struct mp ready = condition_mp(pod, "Ready");
    int64_t since_ms = time_of_mp(mp_get(ready, "lastTransitionTime"));
    for (struct mp_iter it = mp_iter(mp_get(object_status(pod), "containerStatuses")); mp_next(&it);) {
        int64_t began_ms = time_of_mp(mp_path(it.value, "state.running.startedAt"));
        bool known = mp_int(mp_get(it.value, "restartCount"), 0) == 0 && (began_ms == 0 || since_ms <= began_ms);
        if (!known) {
            return false; /* it may have been, before it began anew or since it has begun */
        }
    }
    return !condition_is(ready, "True");
}

/* ---- The pods that there are to be ---- */

/* One that has failed soon is exchanged a while later: the node may refuse the next one as well. Not if the next one is
 * of another template. */
static bool waits_after_failure(struct sts *s, const struct sts_pod *p)
{
    int64_t now = s->in->wall_ms, ended = pod_failed_ms(p->pod, now, FAILED_WAIT_MS);
    bool soon = ended - object_created_ms(p->pod) < FAILED_SOON_MS;
    if (!soon || !p->updated || ended + FAILED_WAIT_MS <= now) {
        return false;
    }
    requeue_in(s->out, ended + FAILED_WAIT_MS - now);
    return true;
}

/* What of an existing pod keeps the next one waiting. True: nothing. */
static bool slot_tend(struct sts *s, struct sts_pod *p, int *rv, struct error *err)
{
    *rv = sts_keep_claims(s, p->pod, false, err);
    if (*rv != 0 || p->pod->deleting) {
        return false;
    }
    if (pod_finished(p->pod) && waits_after_failure(s, p)) {
        return false;
    }
    if (pod_finished(p->pod)) {
        controller_event(s->out, s->in, s->obj, "Warning", "RecreatingFailedPod", STATEFULSET_COMPONENT,
                         "StatefulSet %.*s/%.*s is recreating failed Pod %.*s", STR_ARG(s->obj->ns),
                         STR_ARG(s->obj->name), STR_ARG(p->pod->name));
        *rv = take_away(s, p, err);
        return false;
    }
    return p->available;
}

/* True: all that are to be there are available. */
static bool fill(struct sts *s, int *rv, struct error *err)
{
    bool whole = true, closed = namespace_closed(s->in->view, s->obj->ns);
    unsigned at = 0;
    *rv = 0;
    if (closed) {
        DECIDED(s->out, REASON_NAMESPACE_CLOSED);
    }
    /* As many as two thousand million are wanted: each turn makes a pod, or finds one, or is the last. */
    for (int64_t ordinal = s->start; ordinal < s->start + s->replicas && *rv == 0; ordinal++) {
        bool is_there = at < s->slots_count && s->slots[at].ordinal == ordinal;
        bool fine = false;
        if (is_there) {
            fine = slot_tend(s, &s->slots[at++], rv, err);
        } else if (closed || s->refused || !sts_may_name_pod(s, ordinal)) {
            return false; /* nor any of those after it that are not there */
        } else if (s->created < STATEFULSET_CREATE_MAX) {
            sts_create_pod(s, ordinal, rv, err);
            if (s->refused) {
                return false;
            }
        } else {
            requeue_in(s->out, 1);
        }
        whole = whole && fine;
        if (!fine && (s->ordered || s->created >= STATEFULSET_CREATE_MAX)) {
            break;
        }
    }
    return whole;
}

static int scale_down(struct sts *s, bool whole, struct error *err)
{
    int rv = 0;
    for (unsigned i = 0; i < s->condemned_count && rv == 0; i++) {
        struct sts_pod *p = &s->condemned[i];
        if (s->ordered && !whole) {
            break; /* those that stay come first */
        }
        rv = sts_keep_claims(s, p->pod, true, err);
        rv = rv == 0 ? take_away(s, p, err) : rv;
        if (s->ordered) {
            break;
        }
    }
    return rv;
}

/* ---- Rolling update ---- */

/* Nothing is lost with it: it goes whatever is missing. It is missing itself, so others wait until it is back. */
static bool is_hopeless(struct sts *s, const struct sts_pod *p)
{
    if (p->ready || p->updated || p->pod->deleting) {
        return false;
    }
    int64_t left_ms = object_created_ms(p->pod) + STARTING_MS - s->in->wall_ms;
    bool never = !is_stuck(p->pod) && never_was_ready(p->pod);
    if (never && left_ms > 0) {
        requeue_in(s->out, MIN(left_ms, (int64_t)STARTING_MS));
    }
    return never ? left_ms <= 0 : is_stuck(p->pod);
}

static int roll(struct sts *s, struct error *err)
{
    const struct value *bound = value_path(s->doc, "spec.updateStrategy.rollingUpdate.maxUnavailable");
    int64_t allowed = MAX(1, bound == NULL ? 1 : count_bound(int_or_percent(bound, s->replicas, true, "1")));
    int64_t missing = s->replicas - s->slots_count, replaced = 0;
    int rv = 0;
    for (unsigned i = 0; i < s->slots_count; i++) {
        missing += !s->slots[i].available;
    }
    for (unsigned i = s->slots_count; i-- > 0 && rv == 0;) {
        struct sts_pod *p = &s->slots[i];
        bool hopeless = is_hopeless(s, p);
        /* In no order nobody waits for one that was ready once and is not now: it is the one that is missing. */
        bool lost = !s->ordered && !p->ready && !never_was_ready(p->pod);
        if (p->ordinal < s->start + s->partition) {
            break;
        }
        if (!p->updated && !p->pod->deleting && (hopeless || missing - lost < allowed)) {
            missing += p->available;
            replaced++;
            rv = take_away(s, p, err);
        }
    }
    if (replaced > 0) {
        DECIDED(s->out, REASON_REPLACES_PODS, .count = replaced);
    }
    return rv;
}

/* ---- Status ---- */

static int status_update(struct sts *s, struct error *err)
{
    int64_t all = s->created, ready = 0, available = 0, current = 0, updated = 0;
    struct arena *a = s->a;
    const struct sts_pod *lists[] = {s->slots, s->condemned};
    const unsigned counts[] = {s->slots_count, s->condemned_count};
    for (unsigned k = 0; k < ARRAY_SIZE(lists); k++) {
        for (unsigned i = 0; i < counts[k]; i++) {
            const struct sts_pod *p = &lists[k][i];
            struct str revision = mp_str(mp_get(object_labels(p->pod), REVISION_HASH_LABEL));
            all++;
            ready += p->ready;
            available += p->available;
            current += !p->pod->deleting && str_eq(revision, s->current);
            updated += !p->pod->deleting && p->updated;
        }
    }
    bool done = s->rolling && updated == s->replicas && ready == s->replicas && all == s->replicas;
    if (done) {
        s->current = s->update;
        current = updated;
    }
    struct value *status = value_ensure_map(a, s->doc, "status");
    bool changed = status_set_int(a, status, "observedGeneration", s->obj->generation, false);
    changed |= status_set_int(a, status, "replicas", all, true);
    changed |= status_set_int(a, status, "readyReplicas", ready, false);
    changed |= status_set_int(a, status, "currentReplicas", current, false);
    changed |= status_set_int(a, status, "updatedReplicas", updated, false);
    changed |= status_set_int(a, status, "availableReplicas", available, true);
    changed |= status_set_int(a, status, "collisionCount", s->revisions.collisions, false);
    const struct {
        const char *name;
        struct str v;
    } names[] = {{"currentRevision", s->current}, {"updateRevision", s->update}};
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        if (!str_eq(value_path_str(status, names[i].name), names[i].v)) {
            value_set(a, status, names[i].name, value_str(a, names[i].v));
            changed = true;
        }
    }
    return changed ? txn_update_value(s->out->txn, s->obj->kind, s->doc, TXN_PART_STATUS, s->obj->revision, err) : 0;
}

/* ---- Reconcile ---- */

static bool is_live(void *data, const struct object *revision)
{
    const struct sts *s = data;
    if (str_eq(revision->name, s->update) || str_eq(revision->name, s->current)) {
        return true;
    }
    for (unsigned i = 0; i < s->mine.pods.count; i++) {
        if (str_eq(mp_str(mp_get(object_labels(s->mine.pods.items[i]), REVISION_HASH_LABEL)), revision->name)) {
            return true;
        }
    }
    return false;
}

static int act(struct sts *s, struct error *err)
{
    int rv = 0;
    const char *pause = s->slots_count < s->replicas ? pods_pace(s->out, s->unplaced, 0) : NULL;
    if (pause != NULL) {
        s->refused = true;
        room_refused(s->in, s->out, s->obj, STATEFULSET_COMPONENT, 0,
                     arena_printf(s->a, "create Pod in StatefulSet %.*s failed: %s", STR_ARG(s->obj->name), pause));
    }
    bool whole = fill(s, &rv, err);
    rv = rv == 0 ? scale_down(s, whole, err) : rv;
    if (rv == 0 && s->rolling && s->deleted == 0 && s->created == 0 && s->condemned_count == 0) {
        rv = roll(s, err);
    }
    if (rv == 0) {
        int64_t limit = count_bound(value_path_int(s->doc, "spec.revisionHistoryLimit", 10));
        revisions_truncate(&s->revisions, limit, is_live, s);
    }
    if (s->created > 0) {
        DECIDED(s->out, REASON_CREATES_PODS, .count = s->created);
    }
    return rv;
}

static void spec_read(struct sts *s)
{
    const struct value *spec = value_get(s->doc, "spec");
    s->replicas = count_bound(value_path_int(spec, "replicas", 1));
    s->start = count_bound(value_path_int(spec, "ordinals.start", 0));
    s->partition = count_bound(value_path_int(spec, "updateStrategy.rollingUpdate.partition", 0));
    s->min_ready_s = count_bound(value_path_int(spec, "minReadySeconds", 0));
    s->ordered = !str_is(value_path_str(spec, "podManagementPolicy"), "Parallel");
    s->rolling = !str_is(value_path_str(spec, "updateStrategy.type"), "OnDelete");
    const struct value *retention = value_get(spec, "persistentVolumeClaimRetentionPolicy");
    s->when_deleted = str_is(value_path_str(retention, "whenDeleted"), "Delete");
    s->when_scaled = str_is(value_path_str(retention, "whenScaled"), "Delete");
}

/* A pod without an owner: the set whose name it bears, and whose selector chooses it, takes it. */
static int orphan_reconcile(const struct reconcile_in *in, struct reconcile_out *out, struct error *err)
{
    const struct object *pod = view_get(in->view, in->key.kind, in->key.ns, in->key.name);
    if (pod == NULL || !claim_is_new_orphan(NULL, pod) || !pod_active(pod)) {
        return 0;
    }
    struct view_iter it;
    view_iter(&it, in->view, kind_of(KIND_STATEFULSET), pod->ns);
    VIEW_FOR(set, &it)
    {
        struct selector *selector;
        if (!set->deleting && sts_ordinal(set, pod->name) >= 0 &&
            selector_from_mp(out->arena, mp_path(object_mp(set), "spec.selector"), &selector, NULL) == 0 &&
            selector_matches_object(selector, pod)) {
            return claim_adopt(out, pod, set, err);
        }
    }
    return 0;
}

static int statefulset_reconcile(const struct reconcile_in *in, struct reconcile_out *out, struct error *err)
{
    if (in->key.kind->id == KIND_POD) {
        return orphan_reconcile(in, out, err);
    }
    const struct object *o = view_get(in->view, in->key.kind, in->key.ns, in->key.name);
    if (o == NULL || o->deleting) {
        return 0; /* its pods are the garbage collection's */
    }
    struct sts s = {.in = in, .out = out, .obj = o, .a = out->arena, .doc = object_to_value(out->arena, o)};
    struct selector *selector = NULL;
    int rv = workload_sound(o, err);
    rv = rv == 0 ? selector_from_value(s.a, value_path(s.doc, "spec.selector"), &selector, err) : rv;
    if (rv == 0) {
        struct mp labels = mp_path(object_mp(o), "spec.template.metadata.labels");
        rv = workload_selects_own(o, selector_matches(selector, labels), err);
        s.mine.selector = selector;
    }
    if (rv != 0) {
        return rv;
    }
    spec_read(&s);
    revisions_read(&s.revisions, in, out, o, s.doc);
    rv = revisions_current(&s.revisions, &s.update, err);
    if (rv != 0 || str_empty(s.update)) {
        return rv;
    }
    s.current = value_path_str(s.doc, "status.currentRevision");
    if (str_empty(s.current) || (revisions_find(&s.revisions, s.current) == NULL && !str_eq(s.current, s.update))) {
        s.current = s.update;
    }
    rv = pods_read(&s, err);
    if (rv != 0 || s.mine.adopted > 0) {
        return MIN(rv, 0); /* CLAIM_MORE: the rest is claimed first */
    }
    rv = act(&s, err);
    return rv == 0 ? status_update(&s, err) : rv;
}

/* ---- Watches ---- */

static void map_owned(const struct view *tip, const struct object *old, const struct object *now, controller_emit *emit,
                      void *data)
{
    (void)tip;
    map_owner(KIND_STATEFULSET, old, now, emit, data);
}

static void map_pod(const struct view *tip, const struct object *old, const struct object *now, controller_emit *emit,
                    void *data)
{
    map_owned(tip, old, now, emit, data);
    if (claim_is_new_orphan(old, now) && !str_empty(mp_str(mp_get(object_labels(now), STATEFULSET_POD_LABEL)))) {
        emit(data, now->kind, now->ns, now->name);
    }
}

/* A claim that is gone may be what a pod waits for. */
static void map_claim(const struct view *tip, const struct object *old, const struct object *now, controller_emit *emit,
                      void *data)
{
    if (now != NULL || old == NULL) {
        return;
    }
    struct view_iter it;
    view_iter(&it, tip, kind_of(KIND_STATEFULSET), old->ns);
    VIEW_FOR(set, &it)
    {
        if (sts_may_own_claim(set, old->name)) {
            emit(data, set->kind, set->ns, set->name);
        }
    }
}

static const struct controller_watch watches[] = {{KIND_STATEFULSET, map_self},
                                                  {KIND_POD, map_pod},
                                                  {KIND_CONTROLLERREVISION, map_owned},
                                                  {KIND_PERSISTENTVOLUMECLAIM, map_claim},
                                                  {0, NULL}};
const struct controller controller_statefulset = {.name = "statefulset",
                                                  .watches = watches,
                                                  .reconcile = statefulset_reconcile,
                                                  .shared = pods_watches,
                                                  .waits = room_wants_replicas};
