/* Priorities among the others: pods of lower priority than those of Deployments, which clients make and delete. There
 * is hardly ever room for all of them, so that Deployments push them out, and they each other. Behind every
 * transaction:
 *
 *  1. Nobody is pushed out for a pod of equal or lower priority: whoever gets the condition of a victim is on the node
 *     for which a pod of higher priority is nominated then.
 *  2. The room of a nominee is kept: no transaction that binds pods of lower priority to its node, and none that are
 *     not, leaves it too little.
 * At rest nobody waits who would find room, or would if others of lower priority went. (Pods of Deployments:
 * rollout.c.)
 *
 * Readers of the state are written anew here: nothing is asked of the scheduler. */
#include <stdio.h>

#include "controllers/deletion.h"
#include "controllers/util.h"
#include "proto/facts/condition.h"
#include "proto/facts/pod_state.h"
#include "proto/model/quantity.h"
#include "tests/sim/cluster.h"

#define SALT (UINT64_C(60617) << 32) /* such that the seeds that were kept before have none of them */
#define PODS 8u

void priorities_draw(struct cluster *c)
{
    c->ranking = rng_apart(c->seed, SALT);
    c->swarm.priorities = rng_below(&c->ranking, 2) == 0 && c->swarm.workloads && !c->swarm.upgrades;
}

bool priorities_next(struct cluster *c)
{
    return c->swarm.priorities && rng_below(&c->ranking, 6) == 0;
}

int priorities_build(struct life *life, int64_t at, struct txn *t, struct error *err)
{
    const struct view *tip = store_tip(replica_store(life->replica));
    struct rng r = {.state = life->c->seed ^ ((uint64_t)at << 20)};
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    const char *name = arena_printf(&a, "pr-%u", (unsigned)rng_below(&r, PODS));
    if (rng_below(&r, 4) == 0) {
        const struct object *pod = view_get(tip, kind_of(KIND_POD), STR(NAMESPACE), str_of(name));
        if (pod == NULL) {
            return error_set(err, ERR_NOT_FOUND, "%s not found", name);
        }
        strmap_set(&life->c->killed, pod->uid, life->c);
        return pod_delete(t, &a, pod, rng_below(&r, 4) == 0 ? 0 : -1, env_wall_ms(&life->env), err);
    }
    return op_make(tip,
                   arena_printf(&a,
                                "{apiVersion: v1, kind: Pod, metadata: {name: %s, namespace: " NAMESPACE
                                "}, spec: {priority: %d, containers: [{name: c, image: i, resources: {requests: {cpu: "
                                "%um}}}], terminationGracePeriodSeconds: 2, tolerations: "
                                "[{key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, "
                                "tolerationSeconds: 2}, {key: node.kubernetes.io/not-ready, operator: Exists, effect: "
                                "NoExecute, tolerationSeconds: 2}]}}",
                                name, -10 * (int)(1 + rng_below(&r, 3)),
                                life->c->swarm.node_cpu_milli / (2 + (unsigned)rng_below(&r, 3))),
                   t, err);
}

/* ---- What is read ---- */

static int64_t priority_of(const struct object *pod)
{
    return mp_int(mp_get(object_spec(pod), "priority"), 0);
}

static struct str nominated(const struct object *pod)
{
    return pod == NULL || pod_node(pod).n > 0 || pod_finished(pod) || pod->deleting
               ? STR_NONE
               : mp_str(mp_get(object_status(pod), "nominatedNodeName"));
}

int64_t room_cpu_of(const struct object *pod)
{
    int64_t sum = 0, milli;
    for (struct mp_iter it = mp_iter(mp_get(object_spec(pod), "containers")); mp_next(&it);) {
        sum += quantity_milli(mp_str(mp_path(it.value, "resources.requests.cpu")), &milli) ? milli : 0;
    }
    return sum;
}

static bool is_victim(const struct object *pod)
{
    struct mp condition = condition_mp(pod, "DisruptionTarget");
    return condition_is(condition, "True") && str_is(mp_str(mp_get(condition, "reason")), "PreemptionByScheduler");
}

struct left room_left_on(const struct view *v, const struct object *node, int64_t from_priority)
{
    struct left l = {0};
    struct view_iter it;
    quantity_milli(mp_str(mp_path(object_mp(node), "status.allocatable.cpu")), &l.milli);
    quantity_units(mp_str(mp_path(object_mp(node), "status.allocatable.pods")), &l.pods);
    view_iter_node_pods(&it, v, node->name);
    VIEW_FOR(pod, &it)
    {
        if (!pod_finished(pod) && !pod->deleting && priority_of(pod) >= from_priority) {
            l.milli -= room_cpu_of(pod);
            l.pods--;
        }
    }
    return l;
}

bool room_takes(struct left l, const struct object *pod)
{
    return l.pods >= 1 && l.milli >= room_cpu_of(pod);
}

/* ---- Behind each transaction ---- */

static void judge_victim(struct cluster *c, const struct view *after, const struct object *victim,
                         const struct history_txn *t)
{
    bool for_higher = false;
    struct view_iter it;
    view_iter(&it, after, kind_of(KIND_POD), STR_NONE);
    VIEW_FOR(pod, &it)
    {
        for_higher |= str_empty(pod_node(pod)) && str_eq(nominated(pod), pod_node(victim)) &&
                      priority_of(pod) > priority_of(victim);
    }
    if (!for_higher) {
        cluster_violate(c,
                        "pod %.*s of priority %lld on %.*s was pushed out at revision %llu for nobody of higher "
                        "priority",
                        STR_ARG(victim->name), (long long)priority_of(victim), STR_ARG(pod_node(victim)),
                        (unsigned long long)t->revision);
    }
}

/* Did it bind pods to the node, all of lower priority? */
static bool binds_lower(const struct history_txn *t, struct str node, int64_t priority)
{
    bool lower = false;
    for (unsigned i = 0; i < t->count; i++) {
        const struct object *now = t->changes[i].new, *old = t->changes[i].old;
        if (now == NULL || now->kind->id != KIND_POD || !str_eq(pod_node(now), node) ||
            (old != NULL && pod_node(old).n > 0)) {
            continue;
        }
        if (priority_of(now) >= priority) {
            return false;
        }
        lower = true;
    }
    return lower;
}

static void judge_nominees(struct cluster *c, const struct view *before, const struct view *after,
                           const struct history_txn *t)
{
    struct view_iter it;
    view_iter(&it, after, kind_of(KIND_POD), STR_NONE);
    VIEW_FOR(pod, &it)
    {
        struct str name = str_empty(pod_node(pod)) ? nominated(pod) : STR_NONE;
        const struct object *node = name.n == 0 ? NULL : view_get(after, kind_of(KIND_NODE), STR_NONE, name);
        const struct object *was = view_get(before, pod->kind, pod->ns, pod->name);
        if (node == NULL || was == NULL || !str_eq(nominated(was), name) || !binds_lower(t, name, priority_of(pod))) {
            continue;
        }
        if (room_takes(room_left_on(before, node, INT64_MIN), pod) &&
            !room_takes(room_left_on(after, node, INT64_MIN), pod)) {
            cluster_violate(c, "the room of pod %.*s on %.*s was given to pods of lower priority at revision %llu",
                            STR_ARG(pod->name), STR_ARG(name), (unsigned long long)t->revision);
        }
    }
}

void priorities_judge(struct cluster *c, const struct view *before, const struct view *after,
                      const struct history_txn *t)
{
    bool bound = false;
    if (!c->swarm.priorities) {
        return;
    }
    for (unsigned i = 0; i < t->count; i++) {
        const struct object *now = t->changes[i].new, *old = t->changes[i].old;
        if (now == NULL || now->kind->id != KIND_POD) {
            continue;
        }
        bound |= pod_node(now).n > 0 && (old == NULL || pod_node(old).n == 0);
        if (is_victim(now) && (old == NULL || !is_victim(old))) {
            judge_victim(c, after, now, t);
        }
    }
    if (bound) {
        judge_nominees(c, before, after, t);
    }
}

/* ---- The end ---- */

static bool is_own(const struct object *pod)
{
    return str_starts(pod->name, STR("pr-"));
}

uint64_t priorities_pods(const struct cluster *c, bool bound)
{
    uint64_t n = 0;
    struct view_iter it;
    view_iter(&it, c->ledger.model, kind_of(KIND_POD), STR(NAMESPACE));
    VIEW_FOR(pod, &it)
    {
        bool dead = c->swarm.dead && pod->deleting && str_is(pod_node(pod), c->agents[0].name);
        n += is_own(pod) && !dead && str_empty(pod_node(pod)) != bound;
    }
    return n;
}

bool priorities_settled(struct cluster *c, char why[256])
{
    const struct view *v = c->ledger.model;
    struct view_iter pods, nodes;
    view_iter(&pods, v, kind_of(KIND_POD), STR_NONE);
    VIEW_FOR(pod, &pods)
    {
        if (!c->swarm.priorities || !is_own(pod) || pod->deleting || !str_empty(pod_node(pod))) {
            continue;
        }
        view_iter(&nodes, v, kind_of(KIND_NODE), STR_NONE);
        VIEW_FOR(node, &nodes)
        {
            bool tainted = mp_count(mp_path(object_mp(node), "spec.taints")) > 0;
            if (!tainted && room_takes(room_left_on(v, node, priority_of(pod)), pod)) {
                snprintf(why, 256, "pod %.*s waits, and node %.*s would have room without those of lower priority",
                         STR_ARG(pod->name), STR_ARG(node->name));
                return false;
            }
        }
    }
    return true;
}
