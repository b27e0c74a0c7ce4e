/* Random pods, nodes and changes from many seeds: no node is ever over-committed (G7), no host port is taken twice, what the scheduler holds
 * equals what a resync builds, and nothing waits that would fit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "proto/quantity.h"
#include "scheduler/scheduler.h"
#include "tests/script/world.c"
#include "tests/script/world_spell.c"
#include "tests/script/world_text.c"

struct trial {
    struct world world;
    struct scheduler *scheduler;
    struct rng rng;
    uint64_t seed;
    unsigned pods, nodes;
};

static void observe(void *data, const struct change *changes, unsigned count)
{
    scheduler_observe(((struct trial *)data)->scheduler, changes, count);
}

static int64_t cpu_of(struct mp quantities)
{
    int64_t v = 0;
    return quantity_milli(mp_str(mp_get(quantities, "cpu")), &v) ? v : 0;
}

static bool counts(const struct object *pod)
{
    struct str phase = mp_str(mp_path(object_mp(pod), "status.phase"));
    return !str_is(phase, "Succeeded") && !str_is(phase, "Failed");
}

static void nodes_are_not_over_committed(const struct trial *t)
{
    struct view_iter nodes, pods;
    view_iter(&nodes, world_tip(&t->world), kind_by_id(KIND_NODE), STR_NONE);
    VIEW_FOR(node, &nodes)
    {
        int64_t used = 0, ports = 0;
        view_iter_node_pods(&pods, world_tip(&t->world), node->name);
        VIEW_FOR(pod, &pods)
        {
            struct mp_iter c = mp_iter(mp_path(object_mp(pod), "spec.containers"));
            if (counts(pod) && mp_next(&c)) {
                used += cpu_of(mp_path(c.value, "resources.requests"));
                ports += mp_count(mp_get(c.value, "ports"));
            }
        }
        int64_t room = cpu_of(mp_path(object_mp(node), "status.allocatable"));
        if (used > room || ports > 1) {
            fail_msg("seed %llu: %.*s has %lld of %lld, %lld ports", (unsigned long long)t->seed, STR_ARG(node->name),
                     (long long)used, (long long)room, (long long)ports);
        }
    }
}

static void schedule(struct trial *t, unsigned max, bool refuse)
{
    struct txn txn;
    struct error err = {0};
    bool more = true;
    while (more) {
        txn_init(&txn, "scheduler");
        more = scheduler_run(t->scheduler, world_tip(&t->world), env_wall_ms(&t->world.env), max, &txn) && !refuse;
        if (refuse) {
            scheduler_failed(t->scheduler, &txn);
        } else if (txn.count > 0) {
            assert_int_equal(world_submit(&t->world, &txn, &err), 0);
            nodes_are_not_over_committed(t);
        }
        txn_close(&txn);
    }
}

static const struct object *random_object(struct trial *t, enum kind_id kind)
{
    uint64_t count = view_count(world_tip(&t->world), kind_by_id(kind));
    if (count == 0) {
        return NULL;
    }
    uint64_t at = rng_below(&t->rng, count);
    struct view_iter it;
    view_iter(&it, world_tip(&t->world), kind_by_id(kind), STR_NONE);
    const struct object *o = view_next(&it);
    while (at-- > 0) {
        o = view_next(&it);
    }
    return o;
}

static void make_pod(struct trial *t)
{
    static const char *const extras[] = {"",          "", "owner=rs/web", "owner=rs/db", "port=80", "selector=disk=ssd",
                                         "priority=5"};
    char line[200];
    snprintf(line, sizeof line, "pod p%u cpu=%um %s", t->pods++, 100 * (1 + (unsigned)rng_below(&t->rng, 10)),
             extras[rng_below(&t->rng, ARRAY_SIZE(extras))]);
    world_apply(&t->world, line);
}

static void make_node(struct trial *t)
{
    char line[200];
    snprintf(line, sizeof line, "node n%u cpu=%u %s", t->nodes++, 1 + (unsigned)rng_below(&t->rng, 4),
             rng_below(&t->rng, 2) == 0 ? "labels=disk=ssd" : "");
    world_apply(&t->world, line);
}

static void node_event(struct trial *t)
{
    const struct object *node = random_object(t, KIND_NODE);
    if (node == NULL) {
        return;
    }
    if (rng_below(&t->rng, 3) == 0) {
        patch_part(&t->world, node, "spec: {unschedulable: true}", TXN_PART_SPEC);
    } else {
        patch_part(&t->world, node, "spec: {unschedulable: false}", TXN_PART_SPEC);
    }
}

static void random_event(struct trial *t)
{
    const struct object *pod;
    switch (rng_below(&t->rng, 12)) {
    case 0:
        make_node(t);
        break;
    case 1:
    case 2:
        node_event(t);
        break;
    case 3:
    case 4:
        pod = random_object(t, KIND_POD);
        if (pod != NULL) {
            world_remove(&t->world, pod);
        }
        break;
    case 5:
        pod = random_object(t, KIND_POD);
        if (pod != NULL && counts(pod)) {
            world_status_patch(&t->world, pod, "status: {phase: Succeeded}");
        }
        break;
    case 6:
        if (rng_below(&t->rng, 4) == 0) {
            scheduler_resync(t->scheduler, world_tip(&t->world)); /* a new leader */
        }
        schedule(t, 3, true);
        break;
    case 7:
        schedule(t, 2, false);
        break;
    default:
        make_pod(t);
        break;
    }
}

static void nothing_waits_that_fits(struct trial *t)
{
    struct view_iter it;
    view_iter_node_pods(&it, world_tip(&t->world), STR_NONE);
    VIEW_FOR(pod, &it)
    {
        struct buf why = BUF_INIT;
        if (counts(pod)) {
            scheduler_explain(t->scheduler, world_tip(&t->world), pod, &why);
            if (why.size == 0) {
                fail_msg("seed %llu: %.*s waits and fits", (unsigned long long)t->seed, STR_ARG(pod->name));
            }
        }
        buf_close(&why);
    }
}

static void random_clusters_are_never_over_committed(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct trial t = {.seed = seed, .rng = {seed * 31 + 7}};
        world_open(&t.world, seed);
        const struct scheduler_config config = {.env = &t.world.env, .seed = seed};
        t.scheduler = scheduler_new(&config);
        t.world.hooks = (struct world_hooks){.data = &t, .observe = observe};
        world_apply(&t.world, "namespace default\nrs web replicas=0\nrs db replicas=0");
        for (unsigned i = 0; i < 250; i++) {
            random_event(&t);
        }
        schedule(&t, 1024, false);
        nothing_waits_that_fits(&t);
        struct scheduler_stats before, after;
        scheduler_stats(t.scheduler, &before);
        scheduler_resync(t.scheduler, world_tip(&t.world));
        scheduler_stats(t.scheduler, &after);
        assert_int_equal(before.active, 0);
        assert_int_equal(after.active, before.parked);
        assert_int_equal(after.nodes, before.nodes);
        assert_int_equal(after.classes, before.classes);
        nothing_waits_that_fits(&t);
        scheduler_free(t.scheduler);
        world_close(&t.world);
    }
}

static void the_same_seed_places_the_same(void **state)
{
    (void)state;
    uint64_t hashes[2];
    for (unsigned run = 0; run < 2; run++) {
        struct trial t = {.seed = 5, .rng = {5}};
        world_open(&t.world, 5);
        const struct scheduler_config config = {.env = &t.world.env, .seed = 5};
        t.scheduler = scheduler_new(&config);
        t.world.hooks = (struct world_hooks){.data = &t, .observe = observe};
        world_apply(&t.world, "namespace default\nrs web replicas=0\nrs db replicas=0");
        for (unsigned i = 0; i < 200; i++) {
            random_event(&t);
        }
        schedule(&t, 1024, false);
        hashes[run] = view_state_hash(world_tip(&t.world)).lo;
        scheduler_free(t.scheduler);
        world_close(&t.world);
    }
    assert_true(hashes[0] == hashes[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_clusters_are_never_over_committed),
        cmocka_unit_test(the_same_seed_places_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
