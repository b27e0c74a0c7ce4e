/* An autoscaler over a Deployment whose load goes up and down: agents tell the leader what their pods use, and it is
 * forgotten with each leader.
 *
 * What must hold: nobody else changes how many pods are wanted here, so each change stands in one transaction with what
 * the autoscaler says of it, and lies within its bounds; it never goes down further than its policy lets it at once. At
 * rest, under a load that does not change, as many are wanted as that load asks for. */
#include <stdio.h>
#include <stdlib.h>

#include "controllers/util.h"
#include "tests/sim/cluster.h"

#define SALT      (UINT64_C(4242) << 32) /* such that the seeds that were kept before have none of them */
#define BUSY      "busy"
#define LEAST     2
#define MOST      8
#define TARGET    1000 /* bytes, of a pod */
#define LAST_LOAD 5    /* in pods, in the end */
#define DOWN      2    /* pods at once */
#define TURN_MS   2000 /* so long a load lasts */

/* Not where an agent never comes back: of its pods nothing is known as long as they are bound to it, and that counts as
 * what changes least. */
void autoscalers_draw(struct cluster *c)
{
    c->growing = rng_apart(c->seed, SALT);
    c->swarm.autoscalers = rng_below(&c->growing, 2) == 0 && c->swarm.workloads && !c->swarm.upgrades &&
                           !c->swarm.priorities && !c->swarm.gangs && !c->swarm.dead;
}

void autoscalers_first(struct cluster *c, struct txn *t)
{
    (void)c;
    txn_create(t, yaml_object("{apiVersion: apps/v1, kind: Deployment, metadata: {name: " BUSY ", namespace: " NAMESPACE
                              "}, spec: {replicas: 3, selector: {matchLabels: {app: " BUSY
                              "}}, template: {metadata: {labels: {app: " BUSY "}}, spec: {containers: [{name: c, "
                              "image: v1}]}}}}"));
    txn_create(t, yaml_object("{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: " BUSY
                              ", namespace: " NAMESPACE "}, spec: {scaleTargetRef: {apiVersion: apps/v1, kind: "
                              "Deployment, name: " BUSY "}, minReplicas: 2, maxReplicas: 8, metrics: [{type: Resource, "
                              "resource: {name: memory, target: {type: AverageValue, averageValue: '1000'}}}], "
                              "behavior: {scaleDown: {stabilizationWindowSeconds: 2, policies: [{type: Pods, value: 2, "
                              "periodSeconds: 1}]}}}}"));
}

/* ---- What is used ---- */

/* Of each pod: the load in equal parts of those that are wanted. */
static int64_t used(const struct cluster *c, const struct view *v)
{
    const struct object *d = view_get(v, kind_of(KIND_DEPLOYMENT), STR(NAMESPACE), STR(BUSY));
    int64_t wanted = d == NULL ? 1 : MAX(mp_int(mp_get(object_spec(d), "replicas"), 1), (int64_t)1);
    int64_t load = c->phase >= PHASE_CALM ? LAST_LOAD : (c->sim.now_ms / TURN_MS * 7 + (int64_t)(c->seed % 10)) % 10;
    return load * TARGET / wanted;
}

static int by_uid(const void *a, const void *b)
{
    return str_cmp((*(const struct object *const *)a)->uid, (*(const struct object *const *)b)->uid);
}

/* An agent is heard by the leader: with what its pods use, each time. */
void autoscalers_report(struct life *life, const char *node)
{
    const struct object *pods[64];
    const struct view *v = store_committed(replica_store(life->replica));
    struct error err = {0};
    struct view_iter it;
    unsigned count = 0;
    CLEANUP_BUF struct buf b = BUF_INIT;
    view_iter_node_pods(&it, v, str_of(node));
    VIEW_FOR(pod, &it)
    {
        if (count < ARRAY_SIZE(pods) && str_is(object_label(pod, "app"), BUSY)) {
            pods[count++] = pod;
        }
    }
    qsort(pods, count, sizeof *pods, by_uid);
    mp_write_map(&b, 5);
    mp_write_key_int(&b, "at", env_wall_ms(&life->env));
    mp_write_key_int(&b, "window", 1000);
    mp_write_key_int(&b, "cpu", 0);
    mp_write_key_int(&b, "memory", 0);
    mp_write_cstr(&b, "pods");
    mp_write_array(&b, count);
    for (unsigned i = 0; i < count; i++) {
        mp_write_array(&b, 2);
        mp_write_str(&b, pods[i]->uid);
        mp_write_array(&b, 1);
        mp_write_array(&b, 3);
        mp_write_cstr(&b, "c");
        mp_write_int(&b, 0);
        mp_write_int(&b, used(life->c, v));
    }
    if (usage_take(core_usage(life->core), str_of(node), mp_of(b.data, b.size), env_now_ms(&life->env), &err) != 0) {
        cluster_violate(life->c, "what %s uses was refused: %s", node, err.message);
    }
}

/* ---- What must hold ---- */

static const struct object *autoscaler_in(const struct history_txn *t)
{
    for (unsigned i = 0; i < t->count; i++) {
        const struct object *o = t->changes[i].new;
        if (o != NULL && o->kind->id == KIND_HORIZONTALPODAUTOSCALER) {
            return o;
        }
    }
    return NULL;
}

void autoscalers_judge(struct cluster *c, const struct history_txn *t)
{
    for (unsigned i = 0; i < t->count && c->swarm.autoscalers; i++) {
        const struct object *old = t->changes[i].old, *now = t->changes[i].new;
        if (old == NULL || now == NULL || now->kind->id != KIND_DEPLOYMENT || !str_is(now->name, BUSY)) {
            continue;
        }
        int64_t from = mp_int(mp_get(object_spec(old), "replicas"), 1),
                to = mp_int(mp_get(object_spec(now), "replicas"), 1);
        const struct object *h = autoscaler_in(t);
        if (from == to) {
            continue;
        }
        c->scaled++;
        if (h == NULL || mp_int(mp_get(object_status(h), "desiredReplicas"), -1) != to ||
            mp_int(mp_get(object_status(h), "currentReplicas"), -1) != from) {
            cluster_violate(c, "%lld pods were wanted and %lld are now, and the autoscaler does not say so",
                            (long long)from, (long long)to);
        }
        if (to < LEAST || to > MOST || from - to > DOWN) {
            cluster_violate(c, "the autoscaler went from %lld pods to %lld", (long long)from, (long long)to);
        }
    }
}

bool autoscalers_settled(struct cluster *c, char why[256])
{
    if (!c->swarm.autoscalers) {
        return true;
    }
    const struct object *d = view_get(c->ledger.model, kind_of(KIND_DEPLOYMENT), STR(NAMESPACE), STR(BUSY));
    int64_t wanted = d == NULL ? -1 : mp_int(mp_get(object_spec(d), "replicas"), 1);
    if (wanted != LAST_LOAD) {
        const struct object *h =
            view_get(c->ledger.model, kind_of(KIND_HORIZONTALPODAUTOSCALER), STR(NAMESPACE), STR(BUSY));
        struct str said = h == NULL ? STR_NONE : mp_str(mp_get(condition_mp(h, "ScalingActive"), "message"));
        snprintf(why, 256, "%lld pods are wanted where the load asks for %d (%.*s)", (long long)wanted, LAST_LOAD,
                 STR_ARG(said));
    }
    return wanted == LAST_LOAD;
}
