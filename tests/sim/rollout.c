/* Judges workloads, transaction by transaction. The log's order is the order in which the leader decided, so the state
 * before a transaction is exactly what its decider saw, and rules can be exact, whatever fails meanwhile:
 *
 *  1. A pod is bound once, and never to a node whose capacity does not take it (G7).
 *  2. A Deployment's step never raises what its ReplicaSets want above replicas + maxSurge.
 *  3. It never lowers them so far that fewer than replicas - maxUnavailable serving pods stay (G9). "Stay": a
 *     ReplicaSet keeps at most its spec.replicas. Steps that spread a change of spec.replicas in proportion are free in
 *     this.
 *  4. A ReplicaSet deletes pods only above its spec.replicas, and serving ones last.
 *
 * And at rest: as many pods serve as are wanted, and nobody's owner is gone. */
#include <assert.h>
#include <stdio.h>

#include "controllers/util.h"
#include "proto/model/quantity.h"
#include "tests/sim/cluster.h"

/* ---- Binding ---- */

static int64_t cpu_milli(const struct object *pod)
{
    int64_t sum = 0, milli;
    for (struct mp_iter it = mp_iter(mp_path(object_mp(pod), "spec.containers")); mp_next(&it);) {
        sum += quantity_milli(mp_str(mp_path(it.value, "resources.requests.cpu")), &milli) ? milli : 0;
    }
    return sum;
}

static void judge_capacity(struct cluster *c, const struct view *after, struct str name)
{
    const struct object *node = view_get(after, kind_of(KIND_NODE), STR_NONE, name);
    int64_t used_milli = 0, used_pods = 0, milli = 0, pods = 0;
    if (node == NULL) {
        cluster_violate(c, "a pod was bound to node %.*s, which does not exist", STR_ARG(name));
        return;
    }
    struct view_iter it;
    view_iter_node_pods(&it, after, name);
    VIEW_FOR(pod, &it)
    {
        if (!pod_finished(pod)) {
            used_milli += cpu_milli(pod);
            used_pods++;
        }
    }
    quantity_milli(mp_str(mp_path(object_mp(node), "status.allocatable.cpu")), &milli);
    quantity_units(mp_str(mp_path(object_mp(node), "status.allocatable.pods")), &pods);
    if (used_milli > milli || used_pods > pods) {
        cluster_violate(c, "node %.*s is over-committed: %lldm of %lldm cpu, %lld of %lld pods, at revision %llu",
                        STR_ARG(name), (long long)used_milli, (long long)milli, (long long)used_pods, (long long)pods,
                        (unsigned long long)view_revision(after));
    }
}

static void judge_binding(struct cluster *c, const struct view *after, const struct change *change)
{
    struct str was = change->old == NULL ? STR_NONE : pod_node(change->old), is = pod_node(change->new);
    bool same = change->old != NULL && str_eq(change->old->uid, change->new->uid);
    if (same && was.n > 0 && !str_eq(was, is)) {
        cluster_violate(c, "pod %.*s was bound to %.*s and then to %.*s", STR_ARG(change->new->name), STR_ARG(was),
                        STR_ARG(is));
    }
    if (is.n > 0 && was.n == 0) {
        judge_capacity(c, after, is);
    }
}

/* ---- Deployments ---- */

static int64_t spec_int(const struct object *o, const char *path)
{
    return mp_int(mp_path(object_mp(o), path), 1);
}

static int64_t count_pods(const struct view *v, const struct object *rs, bool serving)
{
    int64_t n = 0;
    struct view_iter it;
    view_iter_owned(&it, v, rs->uid, kind_of(KIND_POD));
    VIEW_FOR(pod, &it)
    {
        n += pod_active(pod) && (!serving || pod_ready(pod, NULL));
    }
    return n;
}

struct sums {
    int64_t wanted, staying;
    bool scaling; /* a change of spec.replicas is not yet spread */
};

static struct sums sums_of(const struct view *v, const struct object *deployment)
{
    struct sums s = {0};
    int64_t replicas = spec_int(deployment, "spec.replicas"), desired;
    struct view_iter it;
    view_iter_owned(&it, v, deployment->uid, kind_of(KIND_REPLICASET));
    VIEW_FOR(rs, &it)
    {
        int64_t wanted = spec_int(rs, "spec.replicas");
        s.wanted += wanted;
        s.staying += MIN(wanted, count_pods(v, rs, true));
        if (wanted > 0 && str_to_int64(object_annotation(rs, "deployment.kubernetes.io/desired-replicas"), &desired)) {
            s.scaling |= desired != replicas;
        }
    }
    return s;
}

static void judge_step(struct cluster *c, const struct view *before, const struct view *after, const struct object *rs)
{
    const struct object *d = owner_get(before, rs->ns, owner_controller(rs));
    if (d == NULL || d->deleting || d->kind->id != KIND_DEPLOYMENT ||
        str_is(mp_str(mp_path(object_mp(d), "spec.strategy.type")), "Recreate")) {
        return;
    }
    struct sums was = sums_of(before, d), is = sums_of(after, d);
    int64_t replicas = spec_int(d, "spec.replicas");
    int64_t most = replicas + spec_int(d, "spec.strategy.rollingUpdate.maxSurge");
    int64_t least = replicas - spec_int(d, "spec.strategy.rollingUpdate.maxUnavailable");
    if (is.wanted > was.wanted && is.wanted > most) {
        cluster_violate(c, "deployment %.*s wants %lld pods at revision %llu; replicas + maxSurge is %lld",
                        STR_ARG(d->name), (long long)is.wanted, (unsigned long long)view_revision(after),
                        (long long)most);
    }
    if (is.staying < was.staying && is.staying < least && !was.scaling) {
        cluster_violate(
            c,
            "deployment %.*s keeps %lld serving pods at revision %llu (%lld before); replicas - maxUnavailable is %lld",
            STR_ARG(d->name), (long long)is.staying, (unsigned long long)view_revision(after), (long long)was.staying,
            (long long)least);
    }
}

/* ---- ReplicaSets ---- */

/* Somebody else had a reason to delete this pod: a user, or what befell its node. */
static bool excused(struct cluster *c, const struct view *before, const struct object *pod)
{
    const struct object *node = view_get(before, kind_of(KIND_NODE), STR_NONE, pod_node(pod));
    return strmap_get(&c->killed, pod->uid) != NULL || pod_finished(pod) ||
           (pod_node(pod).n > 0 && (node == NULL || mp_count(mp_path(object_mp(node), "spec.taints")) > 0));
}

static void judge_deletion(struct cluster *c, const struct view *before, const struct view *after,
                           const struct object *pod)
{
    const struct object *rs = owner_get(before, pod->ns, owner_controller(pod));
    if (rs == NULL || rs->deleting || rs->kind->id != KIND_REPLICASET || excused(c, before, pod)) {
        return;
    }
    int64_t wanted = spec_int(rs, "spec.replicas"), active = count_pods(after, rs, false);
    int64_t served = count_pods(before, rs, true), serve = count_pods(after, rs, true);
    if (active < wanted) {
        cluster_violate(c, "pod %.*s was deleted at revision %llu, which leaves %.*s %lld of %lld", STR_ARG(pod->name),
                        (unsigned long long)view_revision(after), STR_ARG(rs->name), (long long)active,
                        (long long)wanted);
    } else if (serve < MIN(wanted, served)) {
        cluster_violate(c, "serving pod %.*s was deleted at revision %llu in place of one that does not serve",
                        STR_ARG(pod->name), (unsigned long long)view_revision(after));
    }
}

/* The owner goes in the same transaction or has gone: then nothing is wanted any more. */
static bool owner_stays(const struct view *after, const struct object *pod)
{
    const struct object *rs = owner_get(after, pod->ns, owner_controller(pod));
    return rs != NULL && !rs->deleting;
}

void rollout_judge(struct cluster *c, const struct view *before, const struct view *after, const struct history_txn *t)
{
    for (unsigned i = 0; i < t->count; i++) {
        const struct object *old = t->changes[i].old, *now = t->changes[i].new;
        const struct object *o = now != NULL ? now : old;
        if (o->kind->id == KIND_POD) {
            if (now != NULL) {
                judge_binding(c, after, &t->changes[i]);
            }
            if (old != NULL && !old->deleting && (now == NULL || now->deleting) && owner_stays(after, old)) {
                judge_deletion(c, before, after, old);
            }
        } else if (o->kind->id == KIND_REPLICASET && old != NULL && now != NULL &&
                   spec_int(old, "spec.replicas") != spec_int(now, "spec.replicas")) {
            judge_step(c, before, after, now);
        } else if (o->kind->id == KIND_REPLICASET && old == NULL) {
            judge_step(c, before, after, now);
        }
    }
}

/* ---- The end ---- */

static int64_t deployment_pods(const struct view *v, const struct object *d, bool serving)
{
    int64_t pods = 0;
    struct view_iter it;
    view_iter_owned(&it, v, d->uid, kind_of(KIND_REPLICASET));
    VIEW_FOR(rs, &it)
    {
        pods += count_pods(v, rs, serving);
    }
    return pods;
}

static bool deployment_settled(const struct view *v, const struct object *d, char why[256])
{
    struct mp status = mp_get(object_mp(d), "status");
    int64_t replicas = spec_int(d, "spec.replicas"), updated = mp_int(mp_get(status, "updatedReplicas"), 0);
    int64_t all = mp_int(mp_get(status, "replicas"), 0), available = mp_int(mp_get(status, "availableReplicas"), 0);
    if (d->deleting || mp_int(mp_get(status, "observedGeneration"), 0) != d->generation || all != replicas ||
        updated != replicas || available != replicas) {
        snprintf(why, 256, "deployment %.*s: %lld wanted, %lld there, %lld updated, %lld available%s", STR_ARG(d->name),
                 (long long)replicas, (long long)all, (long long)updated, (long long)available,
                 d->deleting ? ", being deleted" : "");
        return false;
    }
    int64_t pods = deployment_pods(v, d, true);
    if (pods != replicas) {
        snprintf(why, 256, "deployment %.*s says complete, but has %lld serving pods of %lld", STR_ARG(d->name),
                 (long long)pods, (long long)replicas);
    }
    return pods == replicas;
}

static bool on_dead_node(const struct cluster *c, const struct object *pod)
{
    return c->swarm.dead && pod->deleting && str_is(pod_node(pod), c->agents[0].name);
}

/* What waits for the end of pods, waits for ever if their node is dead: foreground deletion, Recreate. */
static bool held_by_the_dead(const struct cluster *c, const struct object *d)
{
    if (!d->deleting && !str_is(mp_str(mp_path(object_mp(d), "spec.strategy.type")), "Recreate")) {
        return false;
    }
    struct view_iter sets, pods;
    view_iter_owned(&sets, c->ledger.model, d->uid, kind_of(KIND_REPLICASET));
    VIEW_FOR(rs, &sets)
    {
        view_iter_owned(&pods, c->ledger.model, rs->uid, kind_of(KIND_POD));
        VIEW_FOR(pod, &pods)
        {
            if (on_dead_node(c, pod)) {
                return true;
            }
        }
    }
    return false;
}

uint64_t rollout_pods(struct cluster *c)
{
    uint64_t n = 0;
    struct view_iter it;
    view_iter(&it, c->ledger.model, kind_of(KIND_POD), STR(NAMESPACE));
    VIEW_FOR(pod, &it)
    {
        n += !on_dead_node(c, pod);
    }
    n -= storage_pods(c, false) + sets_pods(c, false) + priorities_pods(c, false) + troupes_pods(c, false);
    return n;
}

/* Pods that a dead agent will never finish outlive their owners, and so do ReplicaSets whose deletion waits for such
 * pods. */
static bool owners_there(const struct cluster *c, enum kind_id kind, char why[256])
{
    const struct view *v = c->ledger.model;
    struct view_iter it;
    view_iter(&it, v, kind_of(kind), STR(NAMESPACE));
    VIEW_FOR(o, &it)
    {
        struct mp owner = owner_controller(o);
        bool excused = c->swarm.dead && o->deleting && (kind != KIND_POD || on_dead_node(c, o));
        if (mp_count(owner) > 0 && !excused && owner_get(v, o->ns, owner) == NULL) {
            snprintf(why, 256, "the owner of %s %.*s is gone", o->kind->name, STR_ARG(o->name));
            return false;
        }
    }
    return true;
}

bool rollout_settled(struct cluster *c, char why[256])
{
    const struct view *v = c->ledger.model;
    int64_t wanted = 0;
    struct view_iter it;
    if (!owners_there(c, KIND_REPLICASET, why) || !owners_there(c, KIND_POD, why)) {
        return false;
    }
    view_iter(&it, v, kind_of(KIND_DEPLOYMENT), STR(NAMESPACE));
    VIEW_FOR(d, &it)
    {
        if (held_by_the_dead(c, d)) {
            wanted += deployment_pods(v, d, false);
            continue;
        }
        if (!deployment_settled(v, d, why)) {
            return false;
        }
        wanted += spec_int(d, "spec.replicas");
    }
    wanted += (int64_t)(storage_pods(c, true) + sets_pods(c, true) + priorities_pods(c, true) + troupes_pods(c, true));
    int64_t pods = (int64_t)rollout_pods(c);
    if (pods != wanted) {
        snprintf(why, 256, "%lld pods, but %lld wanted in all", (long long)pods, (long long)wanted);
    }
    return pods == wanted;
}
