/* Tables that classes of different owners share: each still gets the best node there is for it, and nodes are looked at
 * once for all of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "scheduler/core.h"
#include "tests/script/stage.h"

#define NODES  30u
#define OWNERS 12u

struct fixture {
    struct stage stage;
    struct scheduler *scheduler;
    struct rng rng;
    unsigned next;
    unsigned shared, own; /* classes that were judged by either sort of table */
};

static void observe(void *data, const struct change *changes, unsigned count)
{
    scheduler_observe(((struct fixture *)data)->scheduler, changes, count);
}

static void apply(struct fixture *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void apply(struct fixture *f, const char *fmt, ...)
{
    CLEANUP_ARENA struct arena a;
    va_list ap;
    arena_init(&a);
    va_start(ap, fmt);
    stage_apply(&f->stage, arena_vprintf(&a, fmt, ap));
    va_end(ap);
    buf_reset(&f->stage.trace);
}

static void fixture_open(struct fixture *f, uint64_t seed, unsigned kin_nodes)
{
    *f = (struct fixture){.rng = {seed}};
    stage_open(&f->stage, seed);
    f->scheduler =
        scheduler_new(&(struct scheduler_config){.env = &f->stage.env, .seed = seed, .kin_nodes = kin_nodes});
    f->stage.hooks = (struct stage_hooks){.data = f, .observe = observe};
    apply(f, "namespace default");
}

static void fixture_close(struct fixture *f)
{
    scheduler_free(f->scheduler);
    stage_close(&f->stage);
}

static unsigned below(struct fixture *f, unsigned n)
{
    return (unsigned)rng_below(&f->rng, n);
}

static void schedule(struct fixture *f)
{
    bool more = true;
    while (more) {
        struct txn t;
        struct error err = {0};
        txn_init(&t, "scheduler");
        more = scheduler_run(f->scheduler, stage_tip(&f->stage), env_wall_ms(&f->stage.env), 3, &t);
        if (t.count > 0) {
            assert_int_equal(stage_submit(&f->stage, &t, &err), 0);
        }
        txn_close(&t);
        buf_reset(&f->stage.trace);
    }
}

/* ---- Each gets the best ---- */

/* What the slot's node is worth for the class; below 0: it does not take it. */
static int worth(const struct scheduler *s, const struct sched_class *c, unsigned slot)
{
    const struct sched_node *n = s->slots[slot];
    if (n == NULL || !sched_node_fits(c, n, NULL)) {
        return -1;
    }
    int fixed = sched_node_fixed_score(c, n), moving = sched_node_moving_score(c, n);
    assert_true(fixed >= 0 && moving >= 0);
    return TOPO_SCORE_BIAS + fixed + moving + places_score(c, slot, TOPO_ALL);
}

static void all_get_the_best(struct fixture *f)
{
    struct scheduler *s = f->scheduler;
    const struct strmap_entry *e;
    for (size_t at = 0; (e = strmap_next(&s->classes, &at)) != NULL;) {
        struct sched_class *c = e->value;
        bool shared = kin_has_table(s, c);
        uint32_t pick = table_pick(s, c);
        int best = -1;
        for (unsigned slot = 0; slot < s->slots_count; slot++) {
            best = MAX(best, worth(s, c, slot));
        }
        assert_int_equal(pick == TABLE_NONE ? -1 : worth(s, c, pick), best);
        f->shared += shared;
        f->own += !shared;
    }
}

static void random_step(struct fixture *f)
{
    char name[32];
    unsigned k = below(f, 10), node = below(f, NODES), owner = below(f, OWNERS);
    if (k < 6) {
        for (unsigned i = below(f, 4) + 1; i > 0; i--) {
            apply(f, "pod p%u cpu=%s owner=rs/o%u", f->next++, owner % 3 == 0 ? "500m" : "100m", owner);
        }
    } else if (k < 8 && f->next > 0) {
        snprintf(name, sizeof name, "p%u", below(f, f->next));
        const struct object *o = stage_get(&f->stage, KIND_POD, "default", name);
        if (o != NULL) {
            stage_remove(&f->stage, o);
        }
    } else if (k < 9) {
        apply(f, "node n%u cpu=%u labels=topology.kubernetes.io/zone=z%u%s", node, 1 + below(f, 8), below(f, 3),
              below(f, 4) == 0 ? " cordoned" : "");
    } else {
        snprintf(name, sizeof name, "n%u", node);
        const struct object *o = stage_get(&f->stage, KIND_NODE, "", name);
        if (o != NULL) {
            stage_remove(&f->stage, o);
        }
    }
}

static void each_owner_gets_the_best_node(void **state)
{
    (void)state;
    unsigned shared = 0, own = 0;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct fixture f;
        fixture_open(&f, seed, 1);
        for (unsigned i = 0; i < NODES; i++) {
            apply(&f, "node n%u cpu=%u labels=topology.kubernetes.io/zone=z%u", i, 1 + below(&f, 8), below(&f, 3));
        }
        for (unsigned i = 0; i < OWNERS; i++) {
            apply(&f, "rs o%u replicas=0", i);
        }
        for (unsigned step = 0; step < 150; step++) {
            random_step(&f);
            all_get_the_best(&f);
            schedule(&f);
            all_get_the_best(&f);
        }
        CLEANUP_BUF struct buf why = BUF_INIT;
        if (!scheduler_audit(f.scheduler, &why)) {
            fail_msg("seed %u: %s", (unsigned)seed, buf_cstr(&why));
        }
        shared += f.shared;
        own += f.own;
        fixture_close(&f);
    }
    print_message("%u judgements by shared tables, %u by own ones\n", shared, own);
    assert_true(shared > 5000 && own > 500);
}

/* ---- What it costs ---- */

static void nodes_are_looked_at_once_for_many_owners(void **state)
{
    (void)state;
    struct fixture f;
    struct scheduler_stats stats;
    fixture_open(&f, 1, 0);
    for (unsigned i = 0; i < 300; i++) {
        apply(&f, "node n%u cpu=64 labels=topology.kubernetes.io/zone=z%u", i, i % 3);
    }
    for (unsigned i = 0; i < 100; i++) {
        apply(&f, "rs o%u replicas=0", i);
    }
    for (unsigned k = 0; k < 8; k++) {
        for (unsigned i = 0; i < 100; i++) {
            apply(&f, "pod p%u-%u cpu=10m owner=rs/o%u", i, k, i);
        }
    }
    schedule(&f);
    scheduler_stats(f.scheduler, &stats);
    assert_int_equal(stats.bound, 800);
    print_message("%llu nodes were looked at for 800 pods of 100 owners\n", (unsigned long long)stats.evaluations);
    assert_true(stats.evaluations < 300 + 3 * 800);
    for (unsigned i = 0; i < 100; i++) { /* "replicas of one owner on different nodes" */
        char name[32], seen[300] = {0};
        for (unsigned k = 0; k < 8; k++) {
            snprintf(name, sizeof name, "p%u-%u", i, k);
            struct str node =
                mp_str(mp_path(object_mp(stage_get(&f.stage, KIND_POD, "default", name)), "spec.nodeName"));
            unsigned at = (unsigned)atoi(node.p + 1);
            assert_true(at < 300 && seen[at] == 0);
            seen[at] = 1;
        }
    }
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_owner_gets_the_best_node),
        cmocka_unit_test(nodes_are_looked_at_once_for_many_owners),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
