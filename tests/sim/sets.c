/* StatefulSets, DaemonSets and Jobs among the others: clients ask for them, and what must hold of them behind every
 * transaction:
 *
 *  1. No two agents run a pod of a StatefulSet under the same name at once, unless somebody removed one by force
 *     (agents' journals: sets_started).
 *  2. A Job's counts change with the transaction that takes JOB_FINALIZER from its pods, by as many of them as ended
 *     so: no end is lost or counted twice. No pod goes while it has the finalizer.
 *  3. A Job that says how it ended has no pod that runs, and does not say otherwise later.
 * At rest StatefulSets have exactly their ordinals, all of the newest revision, DaemonSets one pod on each node that
 * lives, and Jobs have ended or wait for a pod that runs; pods that nobody could place excuse them.
 *
 * Readers of the state are written anew here: nothing is asked of controllers/workloads. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "controllers/deletion.h"
#include "controllers/util.h"
#include "proto/facts/condition.h"
#include "proto/facts/pod_state.h"
#include "tests/sim/cluster.h"

#define SALT      (UINT64_C(90533) << 32) /* such that the seeds that were kept before have none of them */
#define FINALIZER "batch.kubernetes.io/job-tracking"
#define JOBS      3u

void sets_draw(struct cluster *c)
{
    c->setting = rng_apart(c->seed, SALT);
    c->swarm.sets = rng_below(&c->setting, 2) == 0 && c->swarm.workloads && !c->swarm.upgrades;
}

bool sets_next(struct cluster *c)
{
    return c->swarm.sets && rng_below(&c->setting, 6) == 0;
}

/* ---- What clients ask for ---- */

#define POD                                                                                                            \
    "containers: [{name: c, image: i%u}], terminationGracePeriodSeconds: 2, tolerations: [{key: "                      \
    "node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 2}, {key: "               \
    "node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 2}]"

static const char *set_text(struct rng *r, struct arena *a, bool daemon)
{
    unsigned image = (unsigned)rng_below(r, 3);
    if (daemon) {
        return arena_printf(a,
                            "{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: ds, namespace: " NAMESPACE
                            "}, spec: {selector: {matchLabels: {app: ds}}, updateStrategy: {rollingUpdate: "
                            "{maxUnavailable: %u, maxSurge: %u}}, template: {metadata: {labels: {app: ds}}, spec: "
                            "{" POD "}}}}",
                            image % 2, 1 - image % 2, image);
    }
    return arena_printf(
        a,
        "{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: st, namespace: " NAMESPACE
        "}, spec: {replicas: %u, podManagementPolicy: %s, selector: {matchLabels: {app: st}}, template: "
        "{metadata: {labels: {app: st}}, spec: {" POD "}}}}",
        (unsigned)rng_below(r, 4), rng_below(r, 2) == 0 ? "OrderedReady" : "Parallel", image);
}

static const char *job_text(struct rng *r, struct arena *a)
{
    unsigned completions = (unsigned)rng_below(r, 4);
    const char *count = completions == 0 ? "" : arena_printf(a, "completions: %u, ", completions);
    return arena_printf(a,
                        "{apiVersion: batch/v1, kind: Job, metadata: {name: job-%u, namespace: " NAMESPACE
                        "}, spec: {%sparallelism: %u, backoffLimit: 2, podReplacementPolicy: %s, template: {spec: "
                        "{restartPolicy: Never, " POD "}}}}",
                        (unsigned)rng_below(r, JOBS), count, 1 + (unsigned)rng_below(r, 2),
                        rng_below(r, 2) == 0 ? "Failed" : "TerminatingOrFailed", 0u);
}

static const struct object *one_of(const struct view *tip, struct rng *r)
{
    static const enum kind_id kinds[] = {KIND_STATEFULSET, KIND_DAEMONSET, KIND_JOB};
    const struct kind *k = kind_of(kinds[rng_below(r, ARRAY_SIZE(kinds))]);
    const struct object *found = NULL;
    uint64_t n = rng_below(r, JOBS);
    struct view_iter it;
    view_iter(&it, tip, k, STR(NAMESPACE));
    VIEW_FOR(o, &it)
    {
        found = found == NULL || n-- > 0 ? o : found;
    }
    return found;
}

static int change(const struct view *tip, struct rng *r, struct txn *t, struct error *err)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    const struct object *o = one_of(tip, r);
    if (o == NULL || o->deleting) {
        return error_set(err, ERR_NOT_FOUND, "nothing to change");
    }
    struct value *doc = object_to_value(&a, o), *spec = value_get(doc, "spec");
    if (o->kind->id == KIND_JOB) {
        value_set(&a, spec, "suspend", value_bool(&a, !value_to_bool(value_get(spec, "suspend"), false)));
    } else if (o->kind->id == KIND_STATEFULSET && rng_below(r, 2) == 0) {
        value_set(&a, spec, "replicas", value_int(&a, (int64_t)rng_below(r, 4)));
    } else {
        struct value *containers = value_path(spec, "template.spec.containers");
        value_set(&a, value_item(containers, 0), "image", value_strf(&a, "i%u", (unsigned)rng_below(r, 4)));
    }
    return txn_update_value(t, o->kind, doc, TXN_PART_SPEC, o->revision, err);
}

static int delete_pod(struct life *life, const struct view *tip, struct rng *r, struct txn *t, struct error *err)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    const struct object *found = NULL;
    uint64_t n = rng_below(r, 6);
    struct view_iter it;
    view_iter(&it, tip, kind_of(KIND_POD), STR(NAMESPACE));
    VIEW_FOR(pod, &it)
    {
        if (sets_own(pod)) {
            found = found == NULL || n-- > 0 ? pod : found;
        }
    }
    if (found == NULL) {
        return error_set(err, ERR_NOT_FOUND, "no pod");
    }
    bool force = rng_below(r, 4) == 0;
    strmap_set(&life->c->killed, found->uid, life->c);
    if (force) {
        strmap_set(&life->c->forced, found->uid, life->c);
    }
    return pod_delete(t, &a, found, force ? 0 : -1, env_wall_ms(&life->env), err);
}

int sets_build(struct life *life, int64_t at, struct txn *t, struct error *err)
{
    const struct view *tip = store_tip(replica_store(life->replica));
    struct rng r = {.state = life->c->seed ^ ((uint64_t)at << 22)};
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    switch (rng_below(&r, 10)) {
    case 0:
    case 1:
        return op_make(tip, set_text(&r, &a, rng_below(&r, 3) == 0), t, err);
    case 2:
    case 3:
    case 4:
        return op_make(tip, job_text(&r, &a), t, err);
    case 5:
    case 6:
        return change(tip, &r, t, err);
    case 7: {
        const struct object *o = one_of(tip, &r);
        const struct deletion_options options = {.grace_s = -1, .policy = DELETION_BACKGROUND};
        return o == NULL ? error_set(err, ERR_NOT_FOUND, "nothing to delete")
                         : deletion_request(t, &a, o, &options, env_wall_ms(&life->env), err);
    }
    default:
        return delete_pod(life, tip, &r, t, err);
    }
}

/* ---- Agents ---- */

static struct str owner_kind_of(const struct object *pod)
{
    return mp_str(mp_get(owner_controller(pod), "kind"));
}

bool sets_own(const struct object *pod)
{
    struct str kind = owner_kind_of(pod);
    return str_is(kind, "StatefulSet") || str_is(kind, "DaemonSet") || str_is(kind, "Job");
}

bool sets_ends(const struct object *pod)
{
    return str_is(owner_kind_of(pod), "Job");
}

void sets_started(struct agent *by, const struct object *pod)
{
    struct cluster *c = by->c;
    if (!str_is(owner_kind_of(pod), "StatefulSet")) {
        return;
    }
    for (unsigned i = 0; i < c->swarm.agents; i++) {
        const char *other = agent_runs_name(&c->agents[i], pod->name, pod->uid);
        if (other != NULL && strmap_get(&c->forced, str_of(other)) == NULL) {
            cluster_violate(c, "pod %.*s of a StatefulSet was started on %s while one of that name ran on %s",
                            STR_ARG(pod->name), by->name, c->agents[i].name);
        }
    }
}

/* ---- What must hold ---- */

static bool has_finalizer(const struct object *pod)
{
    return mp_list_has_str(mp_path(object_mp(pod), "metadata.finalizers"), FINALIZER);
}

static bool says(const struct object *job, const char *type)
{
    return condition_is(condition_mp(job, type), "True");
}

static int64_t count_of(const struct object *job, const char *name)
{
    return mp_int(mp_get(object_status(job), name), 0);
}

/* How many pods of the Job were let go by the transaction, as ended so. */
static void ends_in(const struct history_txn *t, struct str uid, int64_t *succeeded, int64_t *failed)
{
    *succeeded = *failed = 0;
    for (unsigned i = 0; i < t->count; i++) {
        const struct object *old = t->changes[i].old, *now = t->changes[i].new;
        if (old == NULL || old->kind->id != KIND_POD || !str_eq(old->owner_uid, uid) || !has_finalizer(old) ||
            (now != NULL && has_finalizer(now))) {
            continue;
        }
        bool well = str_is(pod_phase(old), "Succeeded");
        *succeeded += well;
        *failed += !well && (old->deleting || str_is(pod_phase(old), "Failed"));
    }
}

/* A Job that says how it ended has no pod that runs. */
static void judge_end(struct cluster *c, const struct view *after, const struct object *job)
{
    struct view_iter it;
    view_iter_owned(&it, after, job->uid, kind_of(KIND_POD));
    VIEW_FOR(pod, &it)
    {
        if (!pod->deleting && !pod_finished(pod)) {
            cluster_violate(c, "Job %.*s says that it has ended while its pod %.*s runs", STR_ARG(job->name),
                            STR_ARG(pod->name));
        }
    }
}

static void judge_job(struct cluster *c, const struct view *after, const struct history_txn *t,
                      const struct object *old, const struct object *now)
{
    int64_t succeeded, failed;
    if (old == NULL || now == NULL) {
        return;
    }
    ends_in(t, now->uid, &succeeded, &failed);
    bool over = says(old, "Complete") || says(old, "Failed") || old->deleting;
    int64_t more = count_of(now, "succeeded") - count_of(old, "succeeded"),
            worse = count_of(now, "failed") - count_of(old, "failed");
    if (over ? more != 0 || worse != 0 : more != succeeded || worse != failed) {
        cluster_violate(
            c,
            "Job %.*s counts %lld successes and %lld failures more at revision %llu, where %lld and %lld of "
            "its pods were let go",
            STR_ARG(now->name), (long long)more, (long long)worse, (unsigned long long)t->revision,
            (long long)succeeded, (long long)failed);
    }
    if (!over && (says(now, "Complete") || says(now, "Failed"))) {
        judge_end(c, after, now);
    }
    static const char *const ends[] = {"Complete", "Failed"};
    for (unsigned i = 0; i < ARRAY_SIZE(ends); i++) {
        if (says(old, ends[i]) && !says(now, ends[i])) {
            cluster_violate(c, "Job %.*s was %s and is no more", STR_ARG(now->name), ends[i]);
        }
    }
    if (says(now, "Complete") && says(now, "Failed")) {
        cluster_violate(c, "Job %.*s is Complete and Failed", STR_ARG(now->name));
    }
}

static bool is_changed(const struct history_txn *t, const struct object *o)
{
    for (unsigned i = 0; i < t->count; i++) {
        const struct object *now = t->changes[i].new;
        if (now != NULL && now->kind == o->kind && str_eq(now->uid, o->uid)) {
            return true;
        }
    }
    return false;
}

static void judge_pod(struct cluster *c, const struct view *after, const struct history_txn *t,
                      const struct object *old, const struct object *now)
{
    if (old == NULL || !has_finalizer(old) || (now != NULL && has_finalizer(now))) {
        return;
    }
    if (now == NULL && mp_count(mp_path(object_mp(old), "metadata.finalizers")) > 1) {
        cluster_violate(c, "pod %.*s went with a finalizer", STR_ARG(old->name));
    }
    struct view_iter it;
    view_iter(&it, after, kind_of(KIND_JOB), STR(NAMESPACE));
    VIEW_FOR(job, &it)
    {
        int64_t succeeded, failed;
        if (!str_eq(job->uid, old->owner_uid) || says(job, "Complete") || says(job, "Failed") || job->deleting) {
            continue;
        }
        ends_in(t, job->uid, &succeeded, &failed);
        if (succeeded + failed > 0 && !is_changed(t, job)) {
            cluster_violate(c, "pod %.*s was let go at revision %llu without Job %.*s counting it", STR_ARG(old->name),
                            (unsigned long long)t->revision, STR_ARG(job->name));
        }
    }
}

static const struct object *set_of(const struct view *v, const struct object *pod)
{
    struct view_iter it;
    view_iter(&it, v, kind_of(KIND_STATEFULSET), STR(NAMESPACE));
    VIEW_FOR(set, &it)
    {
        if (str_eq(set->uid, pod->owner_uid)) {
            return set;
        }
    }
    return NULL;
}

/* "No more than maxUnavailable of a StatefulSet (1) may be missing by what we do": a pod that is ready is taken away by
 * an update only if all others are ready. Those that users delete, that a taint takes or that are too many go
 * anyway. */
static void judge_set_pod(struct cluster *c, const struct view *after, const struct object *old,
                          const struct object *now)
{
    if (old == NULL || !str_is(owner_kind_of(old), "StatefulSet")) {
        return;
    }
    struct pod_state was = pod_state_of(old);
    const struct object *set = set_of(after, old);
    bool goes = was.active && was.ready && (now == NULL || now->deleting),
         meant = strmap_get(&c->killed, old->uid) != NULL ||
                 (now != NULL && condition_is(condition_mp(now, "DisruptionTarget"), "True"));
    if (!goes || meant || set == NULL || set->deleting) {
        return;
    }
    int64_t wanted = mp_int(mp_get(object_spec(set), "replicas"), 1), ready = 0, ordinal = 0;
    size_t prefix = MIN(set->name.n + 1, old->name.n);
    if (!str_to_int64((struct str){old->name.p + prefix, old->name.n - prefix}, &ordinal) || ordinal >= wanted) {
        return;
    }
    struct view_iter it;
    view_iter_owned(&it, after, set->uid, kind_of(KIND_POD));
    VIEW_FOR(pod, &it)
    {
        struct pod_state is = pod_state_of(pod);
        ready += is.active && is.ready;
    }
    if (ready + 1 < wanted) {
        cluster_violate(c, "pod %.*s of a StatefulSet was taken away while it was ready, and %lld of %lld are left",
                        STR_ARG(old->name), (long long)ready, (long long)wanted);
    }
}

void sets_judge(struct cluster *c, const struct view *after, const struct history_txn *t)
{
    for (unsigned i = 0; i < t->count && c->swarm.sets; i++) {
        const struct object *old = t->changes[i].old, *now = t->changes[i].new;
        const struct object *o = now != NULL ? now : old;
        if (o->kind->id == KIND_JOB) {
            judge_job(c, after, t, old, now);
        } else if (o->kind->id == KIND_POD) {
            judge_pod(c, after, t, old, now);
            judge_set_pod(c, after, old, now);
        }
    }
}

/* ---- The end ---- */

static bool on_dead(const struct cluster *c, const struct object *pod)
{
    return c->swarm.dead && str_is(pod_node(pod), c->agents[0].name);
}

uint64_t sets_pods(const struct cluster *c, bool running)
{
    uint64_t n = 0;
    struct view_iter it;
    view_iter(&it, c->ledger.model, kind_of(KIND_POD), STR(NAMESPACE));
    VIEW_FOR(pod, &it)
    {
        bool runs = !str_empty(pod_node(pod)) && !pod_finished(pod);
        n += c->swarm.sets && sets_own(pod) && !(pod->deleting && on_dead(c, pod)) && runs == running;
    }
    return n;
}

struct tally {
    unsigned pods, others; /* others: not of the newest revision, being deleted, on the dead node, or without one */
    bool excused;
};

static struct tally tally_of(const struct cluster *c, const struct object *set, struct str revision)
{
    struct tally n = {0};
    struct view_iter it;
    view_iter_owned(&it, c->ledger.model, set->uid, kind_of(KIND_POD));
    VIEW_FOR(pod, &it)
    {
        struct str hash = object_label(pod, "controller-revision-hash");
        n.pods++;
        n.excused |= str_empty(pod_node(pod)) || on_dead(c, pod);
        n.others += pod->deleting || (revision.n > 0 && !str_eq(hash, revision));
    }
    return n;
}

static bool statefulset_settled(const struct cluster *c, const struct object *set, char why[256])
{
    int64_t wanted = mp_int(mp_get(object_spec(set), "replicas"), 1);
    struct tally n = tally_of(c, set, mp_str(mp_get(object_status(set), "updateRevision")));
    snprintf(why, 256, "StatefulSet %.*s has %u pods of %lld, %u of them old", STR_ARG(set->name), n.pods,
             (long long)wanted, n.others);
    if (n.excused) {
        return true;
    }
    for (int64_t i = 0; i < wanted; i++) {
        char name[64];
        snprintf(name, sizeof name, "%.*s-%lld", STR_ARG(set->name), (long long)i);
        if (view_get(c->ledger.model, kind_of(KIND_POD), STR(NAMESPACE), str_of(name)) == NULL) {
            snprintf(why, 256, "StatefulSet %.*s lacks pod %s", STR_ARG(set->name), name);
            return false;
        }
    }
    return (int64_t)n.pods == wanted && n.others == 0;
}

static bool daemonset_settled(const struct cluster *c, const struct object *set, char why[256])
{
    struct tally n = tally_of(c, set, STR_NONE);
    unsigned nodes = c->swarm.agents - (c->swarm.dead ? 1 : 0);
    snprintf(why, 256, "DaemonSet %.*s has %u pods on %u nodes, %u of them deleted", STR_ARG(set->name), n.pods, nodes,
             n.others);
    return n.excused || (n.pods == nodes && n.others == 0 && count_of(set, "updatedNumberScheduled") == nodes);
}

static bool job_settled(const struct cluster *c, const struct object *job, char why[256])
{
    bool over = says(job, "Complete") || says(job, "Failed"),
         suspended = mp_bool(mp_get(object_spec(job), "suspend"), false);
    struct tally n = tally_of(c, job, STR_NONE);
    struct view_iter it;
    if (n.excused || (suspended && count_of(job, "active") == 0)) {
        return true;
    }
    view_iter_owned(&it, c->ledger.model, job->uid, kind_of(KIND_POD));
    VIEW_FOR(pod, &it)
    {
        if (over && has_finalizer(pod)) {
            snprintf(why, 256, "Job %.*s is over and pod %.*s has its finalizer", STR_ARG(job->name),
                     STR_ARG(pod->name));
            return false;
        }
    }
    snprintf(why, 256, "Job %.*s has not ended: %lld active, %lld succeeded, %lld failed", STR_ARG(job->name),
             (long long)count_of(job, "active"), (long long)count_of(job, "succeeded"),
             (long long)count_of(job, "failed"));
    return over;
}

bool sets_settled(struct cluster *c, char why[256])
{
    static const struct {
        enum kind_id kind;
        bool (*settled)(const struct cluster *c, const struct object *o, char why[256]);
    } rows[] = {{KIND_STATEFULSET, statefulset_settled}, {KIND_DAEMONSET, daemonset_settled}, {KIND_JOB, job_settled}};
    for (unsigned i = 0; i < ARRAY_SIZE(rows) && c->swarm.sets; i++) {
        struct view_iter it;
        view_iter(&it, c->ledger.model, kind_of(rows[i].kind), STR(NAMESPACE));
        VIEW_FOR(o, &it)
        {
            if (!o->deleting && !rows[i].settled(c, o, why)) {
                return false;
            }
        }
    }
    return true;
}
