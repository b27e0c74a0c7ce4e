/* Gangs among the others: groups that clients make, change and delete, and their members, one by one and several at
 * once, of lower priority than the pods of Deployments, which push them out; and gangs push out each other. Behind
 * every transaction:
 *
 *  Gangs are whole. Where it gives members of a gang their node, the group is there and has minCount members that have
 *  a node and stay (or have succeeded), whatever fails and whoever leads.
 * At rest no gang waits for which there is room, or would be if pods of lower priority went.
 *
 * Readers of the state are written anew here: nothing is asked of the scheduler. */
#include <stdio.h>

#include "controllers/deletion.h"
#include "controllers/util.h"
#include "proto/facts/pod_state.h"
#include "tests/sim/cluster.h"

#define SALT    (UINT64_C(71226) << 32) /* such that the seeds that were kept before have none of them */
#define GROUPS  3u
#define MEMBERS 5u

void troupes_draw(struct cluster *c)
{
    c->ganging = rng_apart(c->seed, SALT);
    c->swarm.gangs = rng_below(&c->ganging, 4) == 0 && c->swarm.workloads && !c->swarm.upgrades;
}

bool troupes_next(struct cluster *c)
{
    return c->swarm.gangs && rng_below(&c->ganging, 5) == 0;
}

static int make_group(const struct view *tip, struct arena *a, struct rng *r, unsigned group, struct txn *t,
                      struct error *err)
{
    return op_make(tip,
                   arena_printf(a,
                                "{apiVersion: scheduling.k8s.io/v1alpha2, kind: PodGroup, metadata: {name: gg-%u, "
                                "namespace: " NAMESPACE "}, spec: {schedulingPolicy: {gang: {minCount: %u}}}}",
                                group, 2 + (unsigned)rng_below(r, 2)),
                   t, err);
}

/* The members of a group are alike. */
static int make_member(const struct cluster *c, const struct view *tip, struct arena *a, unsigned group,
                       unsigned member, struct txn *t, struct error *err)
{
    return op_make(
        tip,
        arena_printf(a,
                     "{apiVersion: v1, kind: Pod, metadata: {name: gg-%u-%u, namespace: " NAMESPACE
                     "}, spec: {schedulingGroup: {podGroupName: gg-%u}, priority: %d, containers: [{name: c, "
                     "image: i, resources: {requests: {cpu: %um}}}], terminationGracePeriodSeconds: 2, "
                     "tolerations: [{key: node.kubernetes.io/unreachable, operator: Exists, effect: "
                     "NoExecute, tolerationSeconds: 2}, {key: node.kubernetes.io/not-ready, operator: "
                     "Exists, effect: NoExecute, tolerationSeconds: 2}]}}",
                     group, member, group, -5 * (int)(1 + group), c->swarm.node_cpu_milli / (2 + group)),
        t, err);
}

int troupes_build(struct life *life, int64_t at, struct txn *t, struct error *err)
{
    const struct view *tip = store_tip(replica_store(life->replica));
    struct rng r = {.state = life->c->seed ^ ((uint64_t)at << 21)};
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    unsigned group = (unsigned)rng_below(&r, GROUPS), member = (unsigned)rng_below(&r, MEMBERS);
    switch (rng_below(&r, 8)) {
    case 0:
        return make_group(tip, &a, &r, group, t, err);
    case 1: { /* all at once */
        int rv = ERR_NOT_FOUND;
        for (unsigned i = 0; i < MEMBERS; i++) {
            rv = make_member(life->c, tip, &a, group, i, t, err) == 0 ? 0 : rv;
        }
        return rv;
    }
    case 2: { /* one goes */
        const char *name = arena_printf(&a, "gg-%u-%u", group, member);
        const struct object *pod = view_get(tip, kind_of(KIND_POD), STR(NAMESPACE), str_of(name));
        if (pod == NULL) {
            return error_set(err, ERR_NOT_FOUND, "%s not found", name);
        }
        strmap_set(&life->c->killed, pod->uid, life->c);
        return pod_delete(t, &a, pod, rng_below(&r, 4) == 0 ? 0 : -1, env_wall_ms(&life->env), err);
    }
    case 3: { /* the group goes, or changes its mind */
        const char *name = arena_printf(&a, "gg-%u", group);
        const struct object *o = view_get(tip, kind_of(KIND_PODGROUP), STR(NAMESPACE), str_of(name));
        if (o == NULL) {
            return make_group(tip, &a, &r, group, t, err);
        }
        if (rng_below(&r, 2) == 0) {
            txn_delete(t, o);
            return 0;
        }
        struct value *doc = object_to_value(&a, o);
        value_set(&a, value_path(doc, "spec.schedulingPolicy.gang"), "minCount",
                  value_int(&a, 1 + (int64_t)rng_below(&r, MEMBERS)));
        return txn_update_value(t, o->kind, doc, TXN_PART_SPEC, o->revision, err);
    }
    default:
        return make_member(life->c, tip, &a, group, member, t, err);
    }
}

/* ---- What is read ---- */

static struct str group_of(const struct object *pod)
{
    return mp_str(mp_path(object_mp(pod), "spec.schedulingGroup.podGroupName"));
}

static int64_t min_of(const struct object *group)
{
    return mp_int(mp_path(object_mp(group), "spec.schedulingPolicy.gang.minCount"), 0);
}

/* Members that count; *waiting: those without a node, *one: one of these. */
static int64_t members_of(const struct view *v, struct str ns, struct str group, int64_t *waiting,
                          const struct object **one)
{
    int64_t has = 0;
    struct view_iter it;
    view_iter(&it, v, kind_of(KIND_POD), ns);
    *waiting = 0;
    VIEW_FOR(pod, &it)
    {
        if (!str_eq(group_of(pod), group)) {
            continue;
        }
        bool placed = pod_node(pod).n > 0 && !pod_finished(pod) && !pod->deleting;
        has += placed || str_is(pod_phase(pod), "Succeeded");
        if (str_empty(pod_node(pod)) && !pod->deleting && !pod_finished(pod)) {
            (*waiting)++;
            *one = pod;
        }
    }
    return has;
}

/* ---- Behind each transaction ---- */

void troupes_judge(struct cluster *c, const struct view *after, const struct history_txn *t)
{
    for (unsigned i = 0; i < t->count && c->swarm.gangs; i++) {
        const struct object *now = t->changes[i].new, *old = t->changes[i].old, *one;
        int64_t waiting;
        if (now == NULL || old == NULL || now->kind->id != KIND_POD || str_empty(group_of(now)) ||
            str_empty(pod_node(now)) || pod_node(old).n > 0) {
            continue;
        }
        const struct object *group = view_get(after, kind_of(KIND_PODGROUP), now->ns, group_of(now));
        int64_t has = members_of(after, now->ns, group_of(now), &waiting, &one);
        if (group == NULL || has < min_of(group)) {
            cluster_violate(c, "revision %llu gives pod %.*s a node, and %lld of %lld members of its gang have one",
                            (unsigned long long)t->revision, STR_ARG(now->name), (long long)has,
                            group == NULL ? -1 : (long long)min_of(group));
        }
    }
}

/* ---- The end ---- */

uint64_t troupes_pods(const struct cluster *c, bool bound)
{
    uint64_t n = 0;
    struct view_iter it;
    view_iter(&it, c->ledger.model, kind_of(KIND_POD), STR(NAMESPACE));
    VIEW_FOR(pod, &it)
    {
        bool dead = c->swarm.dead && pod->deleting && str_is(pod_node(pod), c->agents[0].name);
        n += group_of(pod).n > 0 && !dead && str_empty(pod_node(pod)) != bound;
    }
    return n;
}

/* How many pods like this nodes would take if those of lower priority were gone. */
static int64_t room_for(const struct view *v, const struct object *pod)
{
    int64_t room = 0;
    struct view_iter it;
    view_iter(&it, v, kind_of(KIND_NODE), STR_NONE);
    VIEW_FOR(node, &it)
    {
        if (mp_count(mp_path(object_mp(node), "spec.taints")) > 0) {
            continue;
        }
        struct left l = room_left_on(v, node, mp_int(mp_get(object_spec(pod), "priority"), 0));
        while (room_takes(l, pod)) {
            room++;
            l.milli -= room_cpu_of(pod);
            l.pods--;
        }
    }
    return room;
}

bool troupes_settled(struct cluster *c, char why[256])
{
    const struct view *v = c->ledger.model;
    struct view_iter it;
    view_iter(&it, v, kind_of(KIND_PODGROUP), STR(NAMESPACE));
    VIEW_FOR(group, &it)
    {
        const struct object *one = NULL;
        int64_t waiting, has = members_of(v, group->ns, group->name, &waiting, &one),
                         need = MAX(1, min_of(group) - has);
        if (c->swarm.gangs && waiting >= need && room_for(v, one) >= need) {
            snprintf(why, 256, "%lld members of gang %.*s wait, %lld have a node, and there is room for %lld more",
                     (long long)waiting, STR_ARG(group->name), (long long)has, (long long)room_for(v, one));
            return false;
        }
    }
    return true;
}
