/* DaemonSet: a pod on each node that its template allows. Source: Kubernetes apps/v1 DaemonSet.
 *
 * The scheduler binds the pods; each says by its node affinity on which node alone it may be. A node whose taints the
 * pod does not tolerate gets none; one that it has stays unless the taint is NoExecute. While an old pod ends on a
 * node, its successor waits: no node runs two of them, but for maxSurge, where one of the new template may run beside
 * one of the old.
 *
 * A pod that failed is taken away, and its successor comes at once the first time, then ever later: the failures in a
 * row are an annotation of the pod, so that no leader forgets them. So the successor is made in the transaction that
 * takes the former one away. One that has lasted for BACKOFF_MAX_MS begins a new row,
 * and so does another template.
 *
 * A reconcile walks over all nodes. Where there are many, it rests between two looks (REST_NODES). */
#include <assert.h>
#include <stdlib.h>

#include "base/strmap.h"
#include "controllers/accounts.h"
#include "controllers/claim.h"
#include "controllers/deletion.h"
#include "controllers/nodes/taints.h"
#include "controllers/registry.h"
#include "controllers/workloads/pods.h"
#include "controllers/workloads/revisions.h"
#include "controllers/workloads/room.h"
#include "proto/facts/node_match.h"

#define COMPONENT      "daemonset-controller"
#define CREATE_MAX     64u /* pods made by one reconcile */
#define BACKOFF_MS     1000
#define BACKOFF_MAX_MS 900000
#define REST_NODES     500u /* with more nodes than this it rests one millisecond for each 20 of them */
#define FAILURES       "daemonset.reeve.io/failures"
#define FAILURES_SHOWN 30 /* more of them change nothing */
#define NAME_FIELD     "metadata.name"

/* What is on one node. */
struct place {
    const struct object *node; /* NULL: there is no such node */
    struct str name;
    bool should_run, should_stay;
    unsigned pods;                  /* that have not finished, also those that are being deleted */
    const struct object *oldest;    /* of all */
    const struct object *now, *old; /* active ones, of the newest template and of another: the oldest of each */
    bool waits;                     /* one has failed and is not to be replaced yet */
    int64_t failures;               /* the most in a row that one of the failed has seen */
};

struct ds {
    const struct reconcile_in *in;
    struct reconcile_out *out;
    const struct object *obj;
    struct value *doc;
    struct arena *a;
    struct claim_pods mine; /* after an adoption nothing else is done: the next look counts anew */
    int64_t min_ready_s;
    struct str update_name, hash; /* of the newest revision */
    struct revisions revisions;
    struct value *pod_template; /* with what each pod gets; without a node */
    struct mp template_spec, tolerations;
    struct strmap by_name; /* struct place */
    struct place **places; /* nodes in the order of the view, then names that are no node */
    unsigned count, cap;
    unsigned created, deleted, replaced; /* replaced: failed ones, of those deleted */
    unsigned room;                       /* so many can be made by this reconcile; known once one was to be */
    bool room_known;
    const char *refusal; /* of the next one; NULL: it was told, or there is none */
    struct strmap gone;  /* pods that this reconcile takes away */
    int64_t desired;
};

/* ---- Nodes ---- */

static struct place *place_add(struct ds *d, struct str name)
{
    struct place *p = arena_alloc(d->a, sizeof *p);
    *p = (struct place){.name = name};
    strmap_set(&d->by_name, name, p);
    d->places = arena_grow(d->a, d->places, d->count, &d->cap, sizeof *d->places, 64);
    d->places[d->count++] = p;
    return p;
}

static void judge_node(const struct ds *d, struct place *p)
{
    struct mp node = object_mp(p->node);
    if (!node_match_pod(d->template_spec, object_labels(p->node), p->node->name)) {
        return;
    }
    struct str pinned = mp_str(mp_get(d->template_spec, "nodeName"));
    if (!str_empty(pinned) && !str_eq(pinned, p->node->name)) {
        return;
    }
    p->should_run = p->should_stay = true;
    for (struct mp_iter it = mp_iter(mp_path(node, "spec.taints")); mp_next(&it);) {
        struct str effect = mp_str(mp_get(it.value, "effect"));
        if (str_is(effect, "PreferNoSchedule") || node_match_tolerated(d->tolerations, it.value)) {
            continue;
        }
        p->should_run = false;
        p->should_stay = p->should_stay && !str_is(effect, "NoExecute");
    }
}

static void nodes_read(struct ds *d)
{
    struct view_iter it;
    view_iter(&it, d->in->view, kind_of(KIND_NODE), STR_NONE);
    VIEW_FOR(node, &it)
    {
        struct place *p = place_add(d, node->name);
        p->node = node;
        judge_node(d, p);
        d->desired += p->should_run;
    }
}

/* ---- Pods ---- */

/* Where it is, or the one node where it may be. */
static struct str node_of(const struct object *pod)
{
    struct str node = pod_node(pod);
    if (!str_empty(node)) {
        return node;
    }
    struct mp terms = mp_path(
        object_mp(pod), "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms");
    for (struct mp_iter it = mp_iter(terms); mp_next(&it);) {
        for (struct mp_iter f = mp_iter(mp_get(it.value, "matchFields")); mp_next(&f);) {
            struct mp_iter v = mp_iter(mp_get(f.value, "values"));
            if (str_is(mp_str(mp_get(f.value, "key")), NAME_FIELD) && mp_next(&v)) {
                return mp_str(v.value);
            }
        }
    }
    return STR_NONE;
}

static bool is_current(const struct ds *d, const struct object *pod)
{
    return str_eq(mp_str(mp_get(object_labels(pod), REVISION_HASH_LABEL)), d->hash);
}

static int take_away(struct ds *d, const struct object *pod, struct error *err)
{
    if (pod->deleting || strmap_get(&d->gone, pod->uid) != NULL || d->deleted >= CONTROLLER_BATCH_MAX) {
        return 0;
    }
    strmap_set(&d->gone, pod->uid, d);
    d->deleted++;
    if (d->deleted <= 10) {
        controller_event(d->out, d->in, d->obj, "Normal", "SuccessfulDelete", COMPONENT, "Deleted pod: %.*s",
                         STR_ARG(pod->name));
    }
    return pod_delete(d->out->txn, d->a, pod, -1, d->in->wall_ms, err);
}

static int64_t failures_of(const struct object *pod)
{
    int64_t n = 0;
    return str_to_int64(object_annotation(pod, FAILURES), &n) ? count_bound(n) : 0;
}

static int failed_pod(struct ds *d, struct place *p, const struct object *pod, struct error *err)
{
    int64_t now = d->in->wall_ms, ended = pod_failed_ms(pod, now, BACKOFF_MAX_MS);
    bool begins = !is_current(d, pod) || ended - object_created_ms(pod) >= BACKOFF_MAX_MS;
    int64_t failures = begins ? 0 : MIN(failures_of(pod), FAILURES_SHOWN);
    int64_t wait = failures == 0 ? 0 : MIN(BACKOFF_MAX_MS, BACKOFF_MS << MIN(failures - 1, 20));
    p->failures = MAX(p->failures, failures + 1);
    if (pod->deleting) {
        return 0;
    }
    if (ended + wait > now || d->replaced >= CREATE_MAX) {
        p->waits = true;
        requeue_in(d->out, MAX(ended + wait - now, (int64_t)1));
        return 0;
    }
    d->replaced++;
    bool well = str_is(pod_phase(pod), "Succeeded");
    controller_event(d->out, d->in, d->obj, well ? "Normal" : "Warning",
                     well ? "SucceededDaemonPod" : "FailedDaemonPod", COMPONENT,
                     "Found %s daemon pod %.*s/%.*s on node %.*s, will try to %s it", well ? "succeeded" : "failed",
                     STR_ARG(pod->ns), STR_ARG(pod->name), STR_ARG(p->name), well ? "delete" : "kill");
    DECIDED(d->out, REASON_RESTARTS_FAILED, .what = pod->name);
    return take_away(d, pod, err);
}

static int pod_read(struct ds *d, const struct object *pod, struct error *err)
{
    struct str name = node_of(pod);
    struct place *p = strmap_get(&d->by_name, name);
    p = p != NULL ? p : place_add(d, name);
    p->oldest = object_is_older(pod, p->oldest) ? pod : p->oldest;
    if (pod_finished(pod)) {
        return failed_pod(d, p, pod, err);
    }
    p->pods++;
    if (pod->deleting) {
        return 0;
    }
    if (!p->should_stay) {
        return p->node == NULL && !str_empty(pod_node(pod)) ? 0 : take_away(d, pod, err); /* pod_garbage has those */
    }
    const struct object **mine = is_current(d, pod) ? &p->now : &p->old;
    const struct object *surplus = *mine == NULL ? NULL : object_is_older(pod, *mine) ? *mine : pod;
    *mine = *mine == NULL || object_is_older(pod, *mine) ? pod : *mine;
    return surplus == NULL ? 0 : take_away(d, surplus, err);
}

static int pods_read(struct ds *d, struct error *err)
{
    int rv = claim_pods(&d->mine, d->in, d->out, d->obj, err);
    for (unsigned i = 0; i < d->mine.pods.count && rv == 0 && d->mine.adopted == 0; i++) {
        rv = pod_read(d, d->mine.pods.items[i], err);
    }
    return rv;
}

/* ---- Making them ---- */

/* What each node's bad days are no reason to take it away for. Source: Kubernetes' DaemonSet, "Taints and
 * tolerations". */
static void tolerate(struct arena *a, struct value *spec)
{
    static const struct {
        const char *key, *effect;
        bool host_network; /* only there */
    } rows[] = {
        {TAINT_NODE_NOT_READY, "NoExecute", false},
        {TAINT_NODE_UNREACHABLE, "NoExecute", false},
        {"node.kubernetes.io/disk-pressure", "NoSchedule", false},
        {"node.kubernetes.io/memory-pressure", "NoSchedule", false},
        {"node.kubernetes.io/pid-pressure", "NoSchedule", false},
        {TAINT_UNSCHEDULABLE, "NoSchedule", false},
        {"node.kubernetes.io/network-unavailable", "NoSchedule", true},
    };
    struct value *list = value_ensure_list(a, spec, "tolerations");
    bool host_network = value_to_bool(value_get(spec, "hostNetwork"), false);
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].host_network && !host_network) {
            continue;
        }
        struct value *t = value_map(a);
        value_set(a, t, "key", value_cstr(a, rows[i].key));
        value_set(a, t, "operator", value_cstr(a, "Exists"));
        value_set(a, t, "effect", value_cstr(a, rows[i].effect));
        value_append(a, list, t);
    }
}

static void bind_to(struct arena *a, struct value *spec, struct str node)
{
    struct value *affinity = value_ensure_map(a, value_ensure_map(a, spec, "affinity"), "nodeAffinity");
    struct value *required = value_map(a), *term = value_map(a), *field = value_map(a);
    value_set(a, field, "key", value_cstr(a, NAME_FIELD));
    value_set(a, field, "operator", value_cstr(a, "In"));
    value_append(a, value_ensure_list(a, field, "values"), value_str(a, node));
    value_append(a, value_ensure_list(a, term, "matchFields"), field);
    value_append(a, value_ensure_list(a, required, "nodeSelectorTerms"), term);
    value_set(a, affinity, "requiredDuringSchedulingIgnoredDuringExecution", required);
}

/* They differ in their nodes alone: asked for once. */
static bool has_room(struct ds *d, const struct value *pod)
{
    if (!d->room_known) {
        struct error why = {0};
        d->room_known = true;
        d->room = room_for(d->in, d->out, KIND_POD, pod, CREATE_MAX, &why);
        if (d->room < CREATE_MAX) {
            d->refusal = arena_printf(d->a, "Error creating: %s", why.message);
        }
    }
    if (d->created >= d->room && d->refusal != NULL) {
        room_refused(d->in, d->out, d->obj, COMPONENT, 0, d->refusal);
        d->refusal = NULL;
    }
    return d->created < d->room;
}

static int pod_make(struct ds *d, struct place *p, struct error *err)
{
    if (d->created >= CREATE_MAX || (d->room_known && d->created >= d->room && d->refusal == NULL) ||
        namespace_closed(d->in->view, d->obj->ns)) {
        return 0;
    }
    struct arena *a = d->a;
    struct value *pod = pod_from_template(a, d->obj, d->pod_template), *meta = value_get(pod, "metadata");
    value_set(a, value_ensure_map(a, meta, "labels"), REVISION_HASH_LABEL, value_str(a, d->hash));
    if (p->failures > 0) {
        value_set(a, value_ensure_map(a, meta, "annotations"), FAILURES,
                  value_cstr(a, arena_printf(a, "%lld", (long long)p->failures)));
    }
    bind_to(a, value_get(pod, "spec"), p->name);
    kind_add_undone_condition(kind_of(KIND_POD), a, pod, d->in->wall_ms);
    accounts_give_pod(d->in->view, a, pod);
    int rv = pods_give_classes(d->in->view, a, pod, err);
    if (rv != 0 || !has_room(d, pod)) {
        return rv;
    }
    struct str name =
        pod_name_set(d->in, a, pod, &d->gone); /* names of this reconcile, beside the uids of those that go */
    d->created++;
    if (d->created <= 10) {
        controller_event(d->out, d->in, d->obj, "Normal", "SuccessfulCreate", COMPONENT, "Created pod: %.*s",
                         STR_ARG(name));
    }
    return txn_create_value(d->out->txn, kind_of(KIND_POD), pod, err);
}

/* Those that follow one that failed come first: what is known of it goes with it. */
static int fill_nodes(struct ds *d, struct error *err)
{
    int rv = 0;
    bool can = true;
    for (unsigned i = 0; i < 2 * d->count && rv == 0 && can; i++) {
        struct place *p = d->places[i % d->count];
        if (p->should_run && p->pods == 0 && !p->waits && (p->failures > 0) == (i < d->count)) {
            can = pods_have_classes(d->in, d->out, d->obj, d->pod_template, COMPONENT);
            rv = !can ? 0 : pod_make(d, p, err);
        }
    }
    return rv;
}

/* ---- Rolling update ---- */

static bool available(struct ds *d, const struct object *pod)
{
    int64_t wait_ms = 0;
    bool is = pod != NULL && pod_available(pod, d->min_ready_s, d->in->wall_ms, &wait_ms);
    if (pod != NULL && wait_ms > 0) {
        requeue_in(d->out, wait_ms);
    }
    return is;
}

static int64_t bound_of(const struct ds *d, const char *name, const char *fallback)
{
    const struct value *bounds = value_path(d->doc, "spec.updateStrategy.rollingUpdate");
    return count_bound(int_or_percent(value_get(bounds, name), d->desired, true, fallback));
}

/* Old pods that are not available go at once: nothing is lost. Of the others as many as may be missing. */
static int roll(struct ds *d, int64_t max_unavailable, struct error *err)
{
    int64_t missing = 0, replaced = 0;
    int rv = 0;
    for (unsigned i = 0; i < d->count; i++) {
        struct place *p = d->places[i];
        missing += p->should_run && !available(d, p->now) && !available(d, p->old);
    }
    for (unsigned i = 0; i < d->count && rv == 0; i++) {
        struct place *p = d->places[i];
        if (p->old == NULL || !p->should_stay) {
            continue;
        }
        bool lost = !available(d, p->old) || available(d, p->now); /* both: it surged until a moment ago */
        if (lost || missing < max_unavailable) {
            missing += !lost && p->should_run;
            replaced++;
            rv = take_away(d, p->old, err);
        }
    }
    if (replaced > 0) {
        DECIDED(d->out, REASON_REPLACES_PODS, .count = replaced);
    }
    return rv;
}

/* A port of the node that this pod takes and the other one wants; 0: none. */
static int64_t port_of_both(const struct object *a, const struct object *b)
{
    for (struct mp_iter x = mp_iter(mp_get(object_spec(a), "containers")); mp_next(&x);) {
        for (struct mp_iter p = mp_iter(mp_get(x.value, "ports")); mp_next(&p);) {
            int64_t port = mp_int(mp_get(p.value, "hostPort"), 0);
            for (struct mp_iter y = mp_iter(mp_get(object_spec(b), "containers")); port > 0 && mp_next(&y);) {
                for (struct mp_iter q = mp_iter(mp_get(y.value, "ports")); mp_next(&q);) {
                    if (mp_int(mp_get(q.value, "hostPort"), 0) == port) {
                        return port;
                    }
                }
            }
        }
    }
    return 0;
}

/* A pod that surges finds no place where the old one has its host port: nobody goes on. Kubernetes lets both be asked
 * for, and waits in silence; here it is told, once for each template. */
static void tell_port_taken(struct ds *d, const struct place *p)
{
    int64_t port = pod_state_of(p->now).unplaced ? port_of_both(p->old, p->now) : 0;
    if (port == 0) {
        return;
    }
    if (!str_eq(d->in->memory, d->hash) && str_empty(d->out->memory)) {
        controller_event(
            d->out, d->in, d->obj, "Warning", "SurgeBlocked", COMPONENT,
            "Pod %.*s waits on node %.*s for port %lld, which %.*s has until it is replaced: set maxSurge to "
            "0 and maxUnavailable to 1 or more, or take the hostPort away",
            STR_ARG(p->now->name), STR_ARG(p->name), (long long)port, STR_ARG(p->old->name));
    }
    d->out->memory = d->hash;
}

/* The new pod comes first; when it is available the old one goes. */
static int roll_with_surge(struct ds *d, int64_t max_surge, struct error *err)
{
    int64_t surging = 0;
    int rv = 0;
    for (unsigned i = 0; i < d->count && rv == 0; i++) {
        struct place *p = d->places[i];
        if (p->old != NULL && p->now != NULL) {
            if (available(d, p->now) || !available(d, p->old)) {
                rv = take_away(d, p->old, err);
            } else {
                surging++;
                tell_port_taken(d, p);
            }
        }
    }
    for (unsigned i = 0; i < d->count && rv == 0; i++) {
        struct place *p = d->places[i];
        if (p->old == NULL || p->now != NULL || !p->should_run || p->pods > 1 || p->waits) {
            continue; /* more than one: the former new one still ends; waits: it failed a short while ago */
        }
        if (!available(d, p->old)) {
            rv = take_away(d, p->old, err);
            rv = rv == 0 ? pod_make(d, p, err) : rv;
        } else if (surging < max_surge) {
            surging++;
            rv = pod_make(d, p, err);
        }
    }
    return rv;
}

static int update(struct ds *d, struct error *err)
{
    if (str_is(value_path_str(d->doc, "spec.updateStrategy.type"), "OnDelete")) {
        return 0;
    }
    int64_t surge = bound_of(d, "maxSurge", "0"), unavailable = bound_of(d, "maxUnavailable", "1");
    if (surge > 0) {
        return roll_with_surge(d, surge, err);
    }
    return roll(d, MAX(unavailable, 1), err);
}

/* ---- Status ---- */

static int status_update(struct ds *d, struct error *err)
{
    struct {
        int64_t scheduled, ready, available, updated, misscheduled;
    } n = {0};
    for (unsigned i = 0; i < d->count; i++) {
        const struct place *p = d->places[i];
        const struct object *pod = p->oldest;
        if (p->node == NULL || pod == NULL) {
            continue;
        }
        if (!p->should_run) {
            n.misscheduled++;
            continue;
        }
        const struct object *best = available(d, p->now) ? p->now : p->old != NULL ? p->old : p->now;
        n.scheduled++;
        n.updated += p->now != NULL;
        n.ready += best != NULL && pod_ready(best, NULL);
        n.available += available(d, best);
    }
    struct arena *a = d->a;
    struct value *status = value_ensure_map(a, d->doc, "status");
    bool changed = status_set_int(a, status, "currentNumberScheduled", n.scheduled, true);
    changed |= status_set_int(a, status, "numberMisscheduled", n.misscheduled, true);
    changed |= status_set_int(a, status, "desiredNumberScheduled", d->desired, true);
    changed |= status_set_int(a, status, "numberReady", n.ready, true);
    changed |= status_set_int(a, status, "observedGeneration", d->obj->generation, false);
    changed |= status_set_int(a, status, "updatedNumberScheduled", n.updated, false);
    changed |= status_set_int(a, status, "numberAvailable", n.available, false);
    changed |= status_set_int(a, status, "numberUnavailable", d->desired - n.available, false);
    changed |= status_set_int(a, status, "collisionCount", d->revisions.collisions, false);
    return changed ? txn_update_value(d->out->txn, d->obj->kind, d->doc, TXN_PART_STATUS, d->obj->revision, err) : 0;
}

/* ---- Reconcile ---- */

static bool is_live(void *data, const struct object *revision)
{
    const struct ds *d = data;
    struct str hash = revision_hash(d->obj, revision->name);
    if (str_eq(revision->name, d->update_name)) {
        return true;
    }
    for (unsigned i = 0; i < d->count; i++) {
        const struct object *old = d->places[i]->old;
        if (old != NULL && str_eq(mp_str(mp_get(object_labels(old), REVISION_HASH_LABEL)), hash)) {
            return true;
        }
    }
    return false;
}

static int act(struct ds *d, struct error *err)
{
    int rv = fill_nodes(d, err);
    rv = rv == 0 ? update(d, err) : rv;
    if (rv == 0) {
        int64_t limit = count_bound(value_path_int(d->doc, "spec.revisionHistoryLimit", 10));
        revisions_truncate(&d->revisions, limit, is_live, d);
    }
    if (d->created > 0) {
        DECIDED(d->out, REASON_CREATES_PODS, .count = d->created);
    }
    if (d->created >= CREATE_MAX || d->deleted >= CONTROLLER_BATCH_MAX) {
        requeue_in(d->out, 1);
    }
    if (d->count > REST_NODES) {
        d->out->rest_ms = d->count / 20;
    }
    return rv;
}

static int reconcile(struct ds *d, struct error *err)
{
    struct selector *selector = NULL;
    int rv = workload_sound(d->obj, err);
    rv = rv == 0 ? selector_from_value(d->a, value_path(d->doc, "spec.selector"), &selector, err) : rv;
    if (rv == 0) {
        struct mp labels = mp_path(object_mp(d->obj), "spec.template.metadata.labels");
        rv = workload_selects_own(d->obj, selector_matches(selector, labels), err);
        d->mine.selector = selector;
    }
    if (rv != 0) {
        return rv;
    }
    revisions_read(&d->revisions, d->in, d->out, d->obj, d->doc);
    rv = revisions_current(&d->revisions, &d->update_name, err);
    if (rv != 0 || str_empty(d->update_name)) {
        return rv;
    }
    d->hash = revision_hash(d->obj, d->update_name);
    d->min_ready_s = count_bound(value_path_int(d->doc, "spec.minReadySeconds", 0));
    d->pod_template = map_copy(d->a, value_path(d->doc, "spec.template"));
    tolerate(d->a, value_ensure_map(d->a, d->pod_template, "spec"));
    CLEANUP_BUF struct buf body = BUF_INIT;
    msgpack_write_value(&body, value_path(d->pod_template, "spec.tolerations"));
    d->tolerations = mp_of(body.data, body.size);
    d->template_spec = mp_path(object_mp(d->obj), "spec.template.spec");
    nodes_read(d);
    rv = pods_read(d, err);
    if (rv != 0 || d->mine.adopted > 0) {
        return MIN(rv, 0); /* CLAIM_MORE: the rest is claimed first */
    }
    rv = act(d, err);
    return rv == 0 ? status_update(d, err) : rv;
}

static int daemonset_reconcile(const struct reconcile_in *in, struct reconcile_out *out, struct error *err)
{
    if (in->key.kind->id == KIND_POD) {
        return claim_orphan(in, out, kind_of(KIND_DAEMONSET), pod_active, err);
    }
    const struct object *o = view_get(in->view, in->key.kind, in->key.ns, in->key.name);
    if (o == NULL || o->deleting) {
        return 0; /* its pods are the garbage collection's */
    }
    struct ds d = {.in = in, .out = out, .obj = o, .a = out->arena, .doc = object_to_value(out->arena, o)};
    strmap_init(&d.by_name);
    strmap_init(&d.gone);
    int rv = reconcile(&d, err);
    strmap_close(&d.by_name);
    strmap_close(&d.gone);
    return rv;
}

/* ---- Watches ---- */

static void emit_all(const struct view *tip, controller_emit *emit, void *data)
{
    struct view_iter it;
    view_iter(&it, tip, kind_of(KIND_DAEMONSET), STR_NONE);
    VIEW_FOR(o, &it)
    {
        emit(data, o->kind, o->ns, o->name);
    }
}

/* A heartbeat changes nothing of what they ask of a node. */
static void map_node(const struct view *tip, const struct object *old, const struct object *now, controller_emit *emit,
                     void *data)
{
    if (old != NULL && now != NULL && mp_equal(object_labels(old), object_labels(now)) &&
        mp_equal(mp_path(object_mp(old), "spec.taints"), mp_path(object_mp(now), "spec.taints"))) {
        return;
    }
    emit_all(tip, emit, data);
}

static void map_pod(const struct view *tip, const struct object *old, const struct object *now, controller_emit *emit,
                    void *data)
{
    (void)tip;
    map_owner(KIND_DAEMONSET, old, now, emit, data);
    if (claim_is_new_orphan(old, now)) {
        emit(data, now->kind, now->ns, now->name);
    }
}

static void map_revision(const struct view *tip, const struct object *old, const struct object *now,
                         controller_emit *emit, void *data)
{
    (void)tip;
    map_owner(KIND_DAEMONSET, old, now, emit, data);
}

static bool waits(const struct object *ds)
{
    struct mp status = object_status(ds);
    return mp_int(mp_get(status, "currentNumberScheduled"), 0) < mp_int(mp_get(status, "desiredNumberScheduled"), 0);
}

static const struct controller_watch watches[] = {{KIND_DAEMONSET, map_self},
                                                  {KIND_POD, map_pod},
                                                  {KIND_CONTROLLERREVISION, map_revision},
                                                  {KIND_NODE, map_node},
                                                  {0, NULL}};
const struct controller controller_daemonset = {
    .name = "daemonset", .watches = watches, .reconcile = daemonset_reconcile, .shared = pods_watches, .waits = waits};
