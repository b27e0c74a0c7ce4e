#include "tests/script/cluster.h"

#include "controllers/eviction.h"
#include "proto/facts/node_match.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int cluster_submit(void *data, const struct txn *t, struct error *err)
{
    return stage_submit(&((struct cluster *)data)->stage, t, err);
}
const struct view *cluster_tip(void *data)
{
    return stage_tip(&((struct cluster *)data)->stage);
}
void cluster_observe(void *data, const struct change *changes, unsigned count)
{
    controllers_observe(((struct cluster *)data)->controllers, changes, count);
}

static bool node_takes(const struct object *node, const struct object *pod)
{
    struct mp spec = mp_get(object_mp(pod), "spec");
    if (node->deleting || !node_match_pod(spec, object_labels(node), node->name)) {
        return false;
    }
    for (struct mp_iter it = mp_iter(mp_path(object_mp(node), "spec.taints")); mp_next(&it);) {
        if (!node_match_tolerated(mp_get(spec, "tolerations"), it.value)) {
            return false;
        }
    }
    return true;
}

static struct str emptiest_node(const struct view *v, const struct object *pod)
{
    struct view_iter nodes, others;
    struct str best = STR_NONE;
    unsigned fewest = UINT32_MAX;
    view_iter(&nodes, v, kind_by_id(KIND_NODE), STR_NONE);
    VIEW_FOR(node, &nodes)
    {
        unsigned count = 0;
        view_iter_node_pods(&others, v, node->name);
        while (view_next(&others) != NULL) {
            count++;
        }
        if (node_takes(node, pod) && count < fewest) {
            best = node->name;
            fewest = count;
        }
    }
    return best;
}

/* Binds one pod. */
bool cluster_schedule(struct cluster *c)
{
    struct view_iter it;
    view_iter(&it, stage_tip(&c->stage), kind_by_id(KIND_POD), STR_NONE);
    VIEW_FOR(pod, &it)
    {
        bool bound = mp_type(mp_path(object_mp(pod), "spec.nodeName")) == MP_STR;
        struct str node = bound ? STR_NONE : emptiest_node(stage_tip(&c->stage), pod);
        if (pod->deleting || node.n == 0) {
            continue;
        }
        struct arena a;
        struct txn t;
        struct error err = {0};
        arena_init(&a);
        txn_init(&t, "scheduler");
        struct value *doc = object_to_value(&a, pod);
        value_set(&a, value_get(doc, "spec"), "nodeName", value_str(&a, node));
        bool ok =
            txn_update_value(&t, pod->kind, doc, TXN_PART_ALL, 0, &err) == 0 && stage_submit(&c->stage, &t, &err) == 0;
        txn_close(&t);
        arena_close(&a);
        return ok;
    }
    return false;
}

bool cluster_turn(void *data)
{
    struct cluster *c = data;
    struct controllers_stats before, after;
    controllers_stats(c->controllers, &before);
    while (controllers_run(c->controllers, 1)) {
    }
    controllers_stats(c->controllers, &after);
    return cluster_schedule(c) || after.transactions != before.transactions;
}

int64_t cluster_deadline(void *data)
{
    return controllers_next_deadline(((struct cluster *)data)->controllers);
}

void cluster_open(struct cluster *c, uint64_t seed)
{
    memset(c->kept, 0, sizeof c->kept);
    stage_open(&c->stage, seed);
    const struct controllers_config config = {.env = &c->stage.env,
                                              .seed = seed,
                                              .soft = {.data = &c->stage,
                                                       .heartbeat_age_ms = stage_heartbeat_age_ms,
                                                       .node_grace_ms = 40000,
                                                       .usage = stage_usage_of,
                                                       .zone = stage_zone},
                                              .submit = cluster_submit,
                                              .tip = cluster_tip,
                                              .data = c};
    c->controllers = controllers_new(&config);
    c->stage.hooks = (struct stage_hooks){c, cluster_observe, cluster_turn, cluster_deadline};
    stage_apply(&c->stage, "namespace default");
    controllers_resync(c->controllers);
}

void cluster_close(struct cluster *c)
{
    for (unsigned i = 0; i < ARRAY_SIZE(c->kept); i++) {
        buf_close(&c->kept[i].memory);
    }
    controllers_free(c->controllers);
    stage_close(&c->stage);
}

void cluster_delete(struct cluster *c, const struct object *o, enum deletion_policy policy, int64_t grace_s)
{
    struct arena a;
    struct txn t;
    struct error err = {0};
    const struct deletion_options options = {.grace_s = grace_s, .policy = policy};
    arena_init(&a);
    txn_init(&t, "api");
    int rv = deletion_request(&t, &a, o, &options, env_wall_ms(&c->stage.env), &err);
    if (rv == 0 && t.count > 0) {
        rv = stage_submit(&c->stage, &t, &err);
    }
    if (rv != 0) {
        fprintf(stderr, "delete: %s\n", err.message);
        abort();
    }
    txn_close(&t);
    arena_close(&a);
}

int cluster_evict(struct cluster *c, const struct object *pod, int64_t grace_s, struct error *err)
{
    struct arena a;
    struct txn t;
    const struct deletion_options options = {.grace_s = grace_s};
    arena_init(&a);
    txn_init(&t, "api");
    int rv = eviction_request(&t, &a, stage_tip(&c->stage), pod, &options, env_wall_ms(&c->stage.env), err);
    rv = rv == 0 && t.count > 0 ? stage_submit(&c->stage, &t, err) : rv;
    txn_close(&t);
    arena_close(&a);
    return rv;
}
