/* ReplicaSet and ReplicationController: as many active pods as spec.replicas. Sources: Kubernetes apps/v1 ReplicaSet,
 * core/v1 ReplicationController. Both are one program (replicas.h): they differ in their names alone.
 *
 * Pods that finished or are being deleted are no replicas. Creations and deletions go in transactions of
 * CONTROLLER_BATCH_MAX; each transaction writes the status that holds after it, so status and pods never disagree for
 * long.
 *
 * A number that is far beyond what the nodes can take (replicas=2147483647 is a slip of the hand) must not fill the
 * masters (pods_pace). Pods that fit nowhere are the first to go, and their order among themselves is not asked for
 * where all of them go. */
#include <assert.h>

#include "base/strmap.h"
#include "controllers/accounts.h"
#include "controllers/claim.h"
#include "controllers/deletion.h"
#include "controllers/registry.h"
#include "controllers/util.h"
#include "controllers/workloads/pods.h"
#include "controllers/workloads/replicas.h"
#include "controllers/workloads/room.h"

#define CREATE_MAX  64u  /* pods made by one reconcile; making one takes far longer than taking one away */
#define UNBOUND_MAX 512u /* pods without a node taken away by one reconcile where they had to be ranked */
/* A look ends in two transactions, this status and its owner's: while the statuses of many pods stream in, one look
 * stands for many. A millisecond between two for so many pods. */
#define REST_PODS   30
#define REST_MAX_MS 50

struct rs {
    const struct reconcile_in *in;
    struct reconcile_out *out;
    const struct object *obj;
    const char *component; /* of events */
    struct selector *selector;
    int64_t replicas, min_ready_s;
    struct counts {
        int64_t active, labeled, ready, available, unplaced;
    } counts;                  /* of ours, after adoption and release */
    struct object_list active; /* they themselves, where they are looked at one by one */
    struct mp template_labels;
    struct { /* of the labels last looked at: pods of one ReplicaSet nearly all have the same */
        struct mp labels;
        bool known, selected, labeled;
    } last;
    unsigned created, adopted;
    const char *refused; /* why no more pods can be made; NULL: nothing keeps it from that */
};

static bool fully_labeled(struct mp labels, struct mp template_labels)
{
    for (struct mp_iter it = mp_iter(template_labels); mp_next(&it);) {
        if (!str_eq(mp_str(mp_get_str_key(labels, it.key)), mp_str(it.value))) {
            return false;
        }
    }
    return true;
}

static void labels_judge(struct rs *rs, struct mp labels)
{
    if (!rs->last.known || !mp_equal(labels, rs->last.labels)) {
        rs->last.labels = labels;
        rs->last.known = true;
        rs->last.selected = selector_matches(rs->selector, labels);
        rs->last.labeled = fully_labeled(labels, rs->template_labels);
    }
}

static bool selected(struct rs *rs, struct mp labels)
{
    labels_judge(rs, labels);
    return rs->last.selected;
}

/* Into the counts, if it is active: true. */
static bool pod_count(struct rs *rs, const struct object *pod)
{
    struct pod_state state = pod_state_of(pod);
    int64_t wait_ms;
    if (!state.active) {
        return false;
    }
    labels_judge(rs, object_labels(pod));
    rs->counts.active++;
    rs->counts.labeled += rs->last.labeled;
    rs->counts.unplaced += state.unplaced;
    rs->counts.ready += state.ready;
    rs->counts.available += pod_state_available(&state, rs->min_ready_s, rs->in->wall_ms, &wait_ms);
    if (wait_ms > 0) {
        requeue_in(rs->out, wait_ms);
    }
    return true;
}

/* ---- Whose pods ---- */

static bool selects(void *data, const struct object *pod)
{
    return selected(data, object_labels(pod));
}

static void keep(void *data, const struct object *pod)
{
    struct rs *rs = data;
    if (pod_count(rs, pod)) {
        object_list_add(rs->out->arena, &rs->active, pod);
    }
}

static int adopt(void *data, const struct object *pod, struct error *err)
{
    struct rs *rs = data;
    int rv = claim_adopt(rs->out, pod, rs->obj, err);
    pod_count(rs, pod);
    rs->adopted += rv == 0;
    return rv;
}

static struct claim claim_of(struct rs *rs)
{
    return (struct claim){.in = rs->in,
                          .out = rs->out,
                          .owner = rs->obj,
                          .kind = kind_of(KIND_POD),
                          .may_adopt = pod_active,
                          .selects = selects,
                          .keep = keep,
                          .adopt = adopt,
                          .selector = rs->selector,
                          .data = rs};
}

/* The counts, from the view's sums: what the pods' changes cost does not grow with their number. True: some have labels
 * that are not selected any more. */
static bool pods_sum(struct rs *rs)
{
    struct sum_iter it;
    struct sum sum;
    bool strangers = false;
    view_sum_iter_owner(&it, rs->in->view, VIEW_SUM_PODS_OF, rs->obj->ns, rs->obj->uid);
    while (sums_next(&it, &sum)) {
        if (!selected(rs, mp_of(sum.group.labels.p, sum.group.labels.n)) && !rs->obj->deleting) {
            strangers = true;
            continue;
        }
        rs->counts.active += sum.fields[OWNED_ACTIVE];
        rs->counts.labeled += rs->last.labeled ? sum.fields[OWNED_ACTIVE] : 0;
        rs->counts.unplaced += sum.fields[OWNED_UNPLACED];
        rs->counts.ready += sum.fields[OWNED_READY];
        rs->counts.available += sum.fields[OWNED_READY];
    }
    return strangers;
}

/* One by one, into the list and the counts; strangers are released. */
static int pods_walk(struct rs *rs, struct error *err)
{
    const struct claim c = claim_of(rs);
    rs->counts = (struct counts){0};
    rs->active = (struct object_list){0};
    return claim_owned(&c, err);
}

/* What is available after minReadySeconds depends on the time: no sum has it. But where no pod is ready, none is
 * available. */
static int pods_claim(struct rs *rs, struct error *err)
{
    const struct claim c = claim_of(rs);
    bool strangers = pods_sum(rs), timed = rs->min_ready_s > 0 && rs->counts.ready > 0;
    int rv = strangers || timed ? pods_walk(rs, err) : 0;
    return rv != 0 ? rv : claim_orphans(&c, err);
}

/* ---- Making and taking away ---- */

/* Pods of one template differ in their names alone, and those are of one length: one of them is encoded. */
static int pod_add(struct rs *rs, const struct value *pod, struct str name, const struct object **first,
                   struct error *err)
{
    struct txn *t = rs->out->txn;
    if (*first != NULL) {
        txn_create(t, object_with_name(*first, name));
        return 0;
    }
    int rv = txn_create_value(t, kind_of(KIND_POD), pod, err);
    *first = rv == 0 ? t->ops[t->count - 1].object : NULL; /* the transaction holds it */
    return rv;
}

static int pods_create(struct rs *rs, unsigned wanted, struct error *err)
{
    struct arena *a = rs->out->arena;
    if (namespace_closed(rs->in->view, rs->obj->ns)) {
        DECIDED(rs->out, REASON_NAMESPACE_CLOSED);
        return 0;
    }
    struct sum all = view_sum_owned(rs->in->view, rs->obj);
    rs->refused = pods_pace(rs->out, rs->counts.unplaced, all.count - all.fields[OWNED_UNFINISHED]);
    if (rs->refused != NULL) {
        return 0;
    }
    const struct value *doc = object_to_value(a, rs->obj);
    if (!pods_have_classes(rs->in, rs->out, rs->obj, value_path(doc, "spec.template"), rs->component)) {
        return 0;
    }
    struct value *pod = pod_from_template(a, rs->obj, value_path(doc, "spec.template"));
    kind_add_undone_condition(kind_of(KIND_POD), a, pod, rs->in->wall_ms);
    const struct object *first = NULL;
    struct str name = STR_NONE;
    struct strmap taken;
    struct error why = {0};
    accounts_give_pod(rs->in->view, a, pod);
    int rv = pods_give_classes(rs->in->view, a, pod, err);
    unsigned count = MIN(wanted, CREATE_MAX), room = room_for(rs->in, rs->out, KIND_POD, pod, count, &why);
    rs->refused = room < count ? arena_strdup(a, why.message) : NULL;
    strmap_init(&taken);
    for (unsigned i = 0; i < room && rv == 0; i++) {
        name = pod_name_set(rs->in, a, pod, &taken);
        rv = pod_add(rs, pod, name, &first, err);
        rs->created++;
        if (rv == 0 && (wanted <= 10 || room <= 10)) {
            controller_event(rs->out, rs->in, rs->obj, "Normal", "SuccessfulCreate", rs->component, "Created pod: %.*s",
                             STR_ARG(name));
        }
    }
    strmap_close(&taken);
    if (rv == 0 && wanted > 10 && room > 10) {
        controller_event(rs->out, rs->in, rs->obj, "Normal", "SuccessfulCreate", rs->component,
                         "Created %u pods, the last of them %.*s", rs->created, STR_ARG(name));
    }
    if (rs->created > 0) {
        DECIDED(rs->out, REASON_CREATES_PODS, .count = rs->created);
    }
    return rv;
}

/* Pods of this ReplicaSet and of its siblings under the same owner: what "doubled up on a node" is counted over. */
static void related_pods(struct rs *rs, struct object_list *related)
{
    struct arena *a = rs->out->arena;
    for (unsigned i = 0; i < rs->active.count; i++) {
        object_list_add(a, related, rs->active.items[i]);
    }
    if (str_empty(rs->obj->owner_uid)) {
        return;
    }
    struct view_iter siblings, pods;
    view_iter_owned(&siblings, rs->in->view, rs->obj->owner_uid, rs->obj->kind);
    VIEW_FOR(sibling, &siblings)
    {
        if (sibling == rs->obj) {
            continue;
        }
        view_iter_owned(&pods, rs->in->view, sibling->uid, kind_of(KIND_POD));
        VIEW_FOR(pod, &pods)
        {
            if (pod_active(pod)) {
                object_list_add(a, related, pod);
            }
        }
    }
}

/* Those without a node to the front; how many there are. */
static unsigned unbound_first(struct rs *rs)
{
    unsigned front = 0;
    for (unsigned i = 0; i < rs->active.count; i++) {
        const struct object *pod = rs->active.items[i];
        if (!pod_state_of(pod).bound) {
            rs->active.items[i] = rs->active.items[front];
            rs->active.items[front++] = pod;
        }
    }
    return front;
}

/* The pods to delete come in front; how many of them go now. "Not bound before bound": as long as there are enough
 * without a node, no others need to be looked at; and where all of those go in the end, their order among themselves
 * does not matter. */
static unsigned pods_rank(struct rs *rs, unsigned surplus)
{
    struct object_list unbound = {rs->active.items, unbound_first(rs), rs->active.cap}, related = {0};
    unsigned count = MIN(surplus, CONTROLLER_BATCH_MAX);
    if (unbound.count >= count && unbound.count <= surplus) {
        return count;
    }
    if (unbound.count > surplus) {
        pods_rank_for_deletion(rs->out->arena, &unbound, &related, rs->min_ready_s, rs->in->wall_ms);
        return MIN(surplus, UNBOUND_MAX);
    }
    related_pods(rs, &related);
    pods_rank_for_deletion(rs->out->arena, &rs->active, &related, rs->min_ready_s, rs->in->wall_ms);
    return count;
}

static int pods_delete(struct rs *rs, unsigned surplus, struct error *err)
{
    struct arena *a = rs->out->arena;
    if (rs->active.count == 0) {
        struct counts summed = rs->counts;
        int rv = pods_walk(rs, err);
        if (!CONTROLLER_CHECK(rs->out, memcmp(&summed, &rs->counts, sizeof summed) == 0) || rv != 0) {
            return rv;
        }
    }
    unsigned count = pods_rank(rs, surplus);
    for (unsigned i = 0; i < count; i++) {
        const struct object *pod = rs->active.items[i];
        int rv = pod_delete(rs->out->txn, a, pod, -1, rs->in->wall_ms, err);
        if (rv != 0) {
            return rv;
        }
        if (surplus <= 10) {
            controller_event(rs->out, rs->in, rs->obj, "Normal", "SuccessfulDelete", rs->component, "Deleted pod: %.*s",
                             STR_ARG(pod->name));
        }
    }
    if (surplus > 10) {
        controller_event(rs->out, rs->in, rs->obj, "Normal", "SuccessfulDelete", rs->component,
                         "Deleted %u pods, the last of them %.*s", count, STR_ARG(rs->active.items[count - 1]->name));
    }
    rs->counts = (struct counts){0};
    for (unsigned i = count; i < rs->active.count; i++) {
        pod_count(rs, rs->active.items[i]);
    }
    DECIDED(rs->out, REASON_DELETES_PODS, .count = count);
    return 0;
}

/* The refusals are for the same reason: what is used meanwhile may differ. */
static bool same_refusal(struct str a, struct str b)
{
    const struct str end = STR(", used: ");
    const char *x = a.n == 0 ? NULL : memmem(a.p, a.n, end.p, end.n),
               *y = b.n == 0 ? NULL : memmem(b.p, b.n, end.p, end.n);
    a.n = x == NULL ? a.n : (size_t)(x - a.p);
    b.n = y == NULL ? b.n : (size_t)(y - b.p);
    return str_eq(a, b);
}

/* The condition ReplicaFailure is there as long as pods are missing that cannot be made. */
static bool failure_write(struct rs *rs, struct value *status)
{
    const struct value *c = condition_get(status, "ReplicaFailure");
    bool known = c != NULL && rs->refused != NULL && same_refusal(value_path_str(c, "message"), str_of(rs->refused));
    int64_t since_ms = known ? time_of(value_get(c, "lastTransitionTime")) : rs->in->wall_ms;
    if (rs->adopted > 0 || rs->obj->deleting) {
        return false; /* nothing was to be made */
    }
    if (rs->refused == NULL) {
        return condition_remove(status, "ReplicaFailure");
    }
    room_refused(rs->in, rs->out, rs->obj, rs->component, since_ms,
                 arena_printf(rs->out->arena, "Error creating: %s", rs->refused));
    return !known && condition_set(rs->out->arena, status, "ReplicaFailure", "True", "FailedCreate", rs->refused,
                                   rs->in->wall_ms, false);
}

static int status_update(struct rs *rs, struct error *err)
{
    struct arena *a = rs->out->arena;
    struct value *doc = object_to_value(a, rs->obj), *status = value_ensure_map(a, doc, "status");
    bool changed = status_set_int(a, status, "replicas", rs->counts.active + rs->created, true);
    changed |= status_set_int(a, status, "fullyLabeledReplicas", rs->counts.labeled + rs->created, false);
    changed |= status_set_int(a, status, "readyReplicas", rs->counts.ready, false);
    changed |= status_set_int(a, status, "availableReplicas", rs->counts.available, false);
    changed |= status_set_int(a, status, "observedGeneration", rs->obj->generation, false);
    changed |= failure_write(rs, status);
    return changed ? txn_update_value(rs->out->txn, rs->obj->kind, doc, TXN_PART_STATUS, rs->obj->revision, err) : 0;
}

int replicas_reconcile(const struct reconcile_in *in, struct reconcile_out *out, enum kind_id kind,
                       const char *component, struct error *err)
{
    if (in->key.kind->id == KIND_POD) {
        return claim_orphan(in, out, kind_of(kind), pod_active, err);
    }
    struct rs rs = {.in = in,
                    .out = out,
                    .obj = view_get(in->view, in->key.kind, in->key.ns, in->key.name),
                    .component = component};
    if (rs.obj == NULL) {
        return 0;
    }
    int rv = workload_sound(rs.obj, err);
    if (rv != 0) {
        return rv;
    }
    struct mp spec = mp_get(object_mp(rs.obj), "spec");
    rs.replicas = count_bound(mp_int(mp_get(spec, "replicas"), 1));
    rs.min_ready_s = count_bound(mp_int(mp_get(spec, "minReadySeconds"), 0));
    rs.template_labels = mp_path(spec, "template.metadata.labels");
    rv = selector_from_mp(out->arena, mp_get(spec, "selector"), &rs.selector, err);
    if (rv == 0 && !rs.obj->deleting) {
        bool own = !selector_empty(rs.selector) && selector_matches(rs.selector, rs.template_labels);
        rv = workload_selects_own(rs.obj, own, err);
    }
    if (rv == 0) {
        rv = pods_claim(&rs, err);
    }
    if (rv == CLAIM_MORE) {
        return 0;
    }
    /* After an adoption the pods are counted anew first: no object twice in one transaction. */
    if (rv == 0 && !rs.obj->deleting && rs.adopted == 0) {
        int64_t missing = rs.replicas - rs.counts.active;
        if (missing > 0) {
            rv = pods_create(&rs, (unsigned)MIN(missing, (int64_t)UINT32_MAX), err);
        } else if (missing < 0) {
            rv = pods_delete(&rs, (unsigned)-missing, err);
        }
    }
    if (rv == 0 && rs.counts.active == rs.replicas) {
        out->rest_ms = MAX(out->rest_ms, MIN(rs.counts.active / REST_PODS, (int64_t)REST_MAX_MS));
    }
    return rv == 0 ? status_update(&rs, err) : rv;
}

/* For whoever counts it both are the same: an owner of many pods whose statuses stream in is asked only when one of
 * them counts otherwise than before. */
static bool counts_as_before(const struct object *old, const struct object *now)
{
    struct pod_state a = pod_state_of(old), b = pod_state_of(now);
    return a.active == b.active && a.ready == b.ready && a.unplaced == b.unplaced &&
           a.ready_since_ms == b.ready_since_ms && old->deleting == now->deleting &&
           pod_finished(old) == pod_finished(now) && str_eq(old->owner_uid, now->owner_uid) &&
           mp_equal(object_labels(old), object_labels(now));
}

void replicas_map_pod(enum kind_id kind, const struct object *old, const struct object *now, controller_emit *emit,
                      void *data)
{
    if (old != NULL && now != NULL && counts_as_before(old, now)) {
        return;
    }
    map_owner(kind, old, now, emit, data);
    if (claim_is_new_orphan(old, now)) {
        emit(data, now->kind, now->ns, now->name);
    }
}

void replicas_resync(enum kind_id kind, const struct object *o, controller_emit *emit, void *data)
{
    if (o->kind->id == kind) {
        emit(data, o->kind, o->ns, o->name);
    } else if (o->kind->id == KIND_POD && str_empty(o->owner_uid)) {
        replicas_map_pod(kind, NULL, o, emit, data);
    }
}

/* ---- The ReplicaSet's row ---- */

static int replicaset_reconcile(const struct reconcile_in *in, struct reconcile_out *out, struct error *err)
{
    return replicas_reconcile(in, out, KIND_REPLICASET, "replicaset-controller", err);
}

static void map_pod(const struct view *tip, const struct object *old, const struct object *now, controller_emit *emit,
                    void *data)
{
    (void)tip;
    replicas_map_pod(KIND_REPLICASET, old, now, emit, data);
}

static void replicaset_resync(const struct view *tip, const struct object *o, controller_emit *emit, void *data)
{
    (void)tip;
    replicas_resync(KIND_REPLICASET, o, emit, data);
}

static const struct controller_watch watches[] = {{KIND_REPLICASET, map_self}, {KIND_POD, map_pod}, {0, NULL}};
const struct controller controller_replicaset = {.name = "replicaset",
                                                 .watches = watches,
                                                 .reconcile = replicaset_reconcile,
                                                 .resync = replicaset_resync,
                                                 .shared = pods_watches,
                                                 .waits = room_wants_replicas};
