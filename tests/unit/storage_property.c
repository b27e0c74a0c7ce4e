/* Random volumes, claims and pods from many seeds, against plain oracles that know nothing of controllers and
 * scheduler: each claim gets the smallest volume that it could have, none waits that could have one, and a pod finds a
 * node exactly if there is one with a volume for each of its claims. SEED=n runs one seed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/facts/storage.h"
#include "scheduler/scheduler.h"
#include "tests/script/cluster.h"
#include "tests/script/stage.h"

#define SEEDS 300u

static uint64_t seed_first(uint64_t *count)
{
    const char *one = getenv("SEED");
    *count = one != NULL ? 1 : SEEDS;
    return one != NULL ? strtoull(one, NULL, 10) : 1;
}

static bool has_mode(const struct object *volume, struct str mode)
{
    for (struct mp_iter it = mp_iter(mp_get(object_spec(volume), "accessModes")); mp_next(&it);) {
        if (str_eq(mp_str(it.value), mode)) {
            return true;
        }
    }
    return false;
}

/* In whole GiB: all sizes here are. */
static long gib(struct mp spec, const char *path)
{
    return strtol(mp_str(mp_path(spec, path)).p, NULL, 10);
}

/* What a claim asks for, of a volume that nobody has. */
static bool could_have(const struct object *claim, const struct object *volume)
{
    struct mp c = object_spec(claim), v = object_spec(volume), wanted = mp_path(c, "selector.matchLabels");
    struct mp_iter mode = mp_iter(mp_get(c, "accessModes"));
    bool fits = mp_next(&mode) && has_mode(volume, mp_str(mode.value));
    for (struct mp_iter it = mp_iter(wanted); mp_next(&it);) {
        fits = fits && str_eq(mp_str(mp_get_str_key(object_labels(volume), it.key)), mp_str(it.value));
    }
    return fits && !volume->deleting && gib(v, "capacity.storage") >= gib(c, "resources.requests.storage") &&
           str_eq(mp_str(mp_get(c, "storageClassName")), mp_str(mp_get(v, "storageClassName")));
}

/* ---- Controllers ---- */

struct trial {
    struct cluster c;
    uint64_t seed;
    unsigned bound;
};

/* A claim has got this volume: no smaller one that was free would have done. */
static void judge_choice(struct trial *t, const struct object *claim, const struct object *volume)
{
    struct view_iter it;
    view_iter(&it, stage_tip(&t->c.stage), kind_by_id(KIND_PERSISTENTVOLUME), STR_NONE);
    VIEW_FOR(o, &it)
    {
        bool is_free = mp_type(mp_get(object_spec(o), "claimRef")) != MP_MAP;
        if (is_free && could_have(claim, o) &&
            gib(object_spec(o), "capacity.storage") < gib(object_spec(volume), "capacity.storage")) {
            fail_msg("seed %llu: claim %.*s got %.*s, and %.*s would have done", (unsigned long long)t->seed,
                     STR_ARG(claim->name), STR_ARG(volume->name), STR_ARG(o->name));
        }
    }
    t->bound++;
}

static void observe(void *data, const struct change *changes, unsigned count)
{
    struct trial *t = data;
    for (unsigned i = 0; i < count; i++) {
        const struct object *old = changes[i].old, *now = changes[i].new;
        if (now == NULL || now->kind->id != KIND_PERSISTENTVOLUMECLAIM || str_empty(storage_volume_name(now)) ||
            old == NULL || !str_empty(storage_volume_name(old))) {
            continue;
        }
        const struct object *volume =
            view_get(stage_tip(&t->c.stage), kind_by_id(KIND_PERSISTENTVOLUME), STR_NONE, storage_volume_name(now));
        assert_non_null(volume);
        judge_choice(t, now, volume);
    }
    cluster_observe(&t->c, changes, count);
}

static void both_sides_agree(const struct trial *t)
{
    const struct view *v = stage_tip(&t->c.stage);
    struct view_iter it, volumes;
    view_iter(&it, v, kind_by_id(KIND_PERSISTENTVOLUMECLAIM), STR_NONE);
    VIEW_FOR(claim, &it)
    {
        struct str name = storage_volume_name(claim);
        unsigned owned = 0;
        view_iter(&volumes, v, kind_by_id(KIND_PERSISTENTVOLUME), STR_NONE);
        VIEW_FOR(volume, &volumes)
        {
            struct mp ref = mp_get(object_spec(volume), "claimRef");
            bool own = str_eq(mp_str(mp_get(ref, "uid")), claim->uid);
            owned += own;
            if (own != str_eq(name, volume->name)) {
                fail_msg("seed %llu: claim %.*s and volume %.*s do not agree", (unsigned long long)t->seed,
                         STR_ARG(claim->name), STR_ARG(volume->name));
            }
            if (name.n == 0 && mp_type(ref) != MP_MAP && could_have(claim, volume)) {
                fail_msg("seed %llu: claim %.*s waits, and could have %.*s", (unsigned long long)t->seed,
                         STR_ARG(claim->name), STR_ARG(volume->name));
            }
        }
        assert_true(owned == (name.n > 0));
    }
}

static void apply(struct stage *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void apply(struct stage *w, const char *fmt, ...)
{
    char line[300];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    stage_apply(w, line);
}

static unsigned below(struct rng *r, unsigned n)
{
    return (unsigned)rng_below(r, n);
}

static const char *const modes[] = {"ReadWriteOnce", "ReadWriteMany", "ReadWriteOnce,ReadWriteMany"};

static void claims_get_the_smallest_volume_that_fits(void **state)
{
    (void)state;
    uint64_t count, first = seed_first(&count);
    unsigned bound = 0;
    for (uint64_t seed = first; seed < first + count; seed++) {
        struct trial t = {.seed = seed};
        struct rng r = {.state = seed};
        cluster_open(&t.c, seed);
        t.c.stage.hooks.data = &t;
        t.c.stage.hooks.observe = observe;
        apply(&t.c.stage, "class a provisioner=kubernetes.io/no-provisioner immediate");
        apply(&t.c.stage, "class b provisioner=kubernetes.io/no-provisioner immediate");
        for (unsigned step = 0; step < 30; step++) {
            const char *class = below(&r, 3) > 0 ? "a" : "b";
            unsigned size = 1 + below(&r, 6);
            if (below(&r, 2) == 0) {
                apply(&t.c.stage, "pv v%u size=%uGi class=%s modes=%s labels=tier=%s", step, size, class,
                      modes[below(&r, 3)], below(&r, 3) > 0 ? "gold" : "tin");
            } else {
                apply(&t.c.stage, "pvc c%u size=%uGi class=%s modes=%s%s", step, size, class, modes[below(&r, 2)],
                      below(&r, 4) > 0 ? "" : " selector=tier=gold");
            }
            if (below(&r, 3) == 0) { /* several at once, or one after the other */
                while (controllers_run(t.c.controllers, 1000)) {
                }
                both_sides_agree(&t);
            }
        }
        while (controllers_run(t.c.controllers, 1000)) {
        }
        both_sides_agree(&t);
        bound += t.bound;
        cluster_close(&t.c);
    }
    assert_true(count == 1 || bound > 2 * SEEDS);
}

/* ---- Scheduler ---- */

#define NODES   3u
#define VOLUMES 4u
#define CLAIMS  3u
struct world {
    struct stage stage;
    struct scheduler *scheduler;
    unsigned room[NODES];                              /* GiB that the node offers; 0: nothing */
    unsigned volume_size[VOLUMES], volume_on[VOLUMES]; /* NODES: can be reached from everywhere */
    unsigned claim_size[CLAIMS];
    bool claim_local[CLAIMS];
};

static void world_observe(void *data, const struct change *changes, unsigned count)
{
    scheduler_observe(((struct world *)data)->scheduler, changes, count);
}

/* Tries all ways to give the claims from the nth on a volume each. */
static bool can_place(const struct world *w, unsigned node, const unsigned *claims, unsigned count, unsigned nth,
                      unsigned taken, unsigned room)
{
    if (nth == count) {
        return true;
    }
    unsigned size = w->claim_size[claims[nth]];
    if (w->claim_local[claims[nth]]) {
        return size <= room && can_place(w, node, claims, count, nth + 1, taken, room - size);
    }
    for (unsigned i = 0; i < VOLUMES; i++) {
        bool reaches = w->volume_on[i] == NODES || w->volume_on[i] == node;
        if ((taken & 1u << i) == 0 && reaches && w->volume_size[i] >= size &&
            can_place(w, node, claims, count, nth + 1, taken | 1u << i, room)) {
            return true;
        }
    }
    return false;
}

static void world_make(struct world *w, struct rng *r)
{
    apply(&w->stage, "class local");
    apply(&w->stage, "class disks provisioner=kubernetes.io/no-provisioner");
    for (unsigned i = 0; i < NODES; i++) {
        w->room[i] = below(r, 2) == 0 ? 0 : 1 + below(r, 6);
        if (w->room[i] > 0) {
            apply(&w->stage, "node n%u local=%uGi", i, w->room[i]);
        } else {
            apply(&w->stage, "node n%u", i);
        }
    }
    for (unsigned i = 0; i < VOLUMES; i++) {
        w->volume_size[i] = 1 + below(r, 4);
        w->volume_on[i] = below(r, NODES + 1);
        if (w->volume_on[i] < NODES) {
            apply(&w->stage, "pv v%u size=%uGi class=disks on=n%u", i, w->volume_size[i], w->volume_on[i]);
        } else {
            apply(&w->stage, "pv v%u size=%uGi class=disks", i, w->volume_size[i]);
        }
    }
    for (unsigned i = 0; i < CLAIMS; i++) {
        w->claim_size[i] = 1 + below(r, 4);
        w->claim_local[i] = below(r, 2) == 0;
        apply(&w->stage, "pvc c%u size=%uGi class=%s", i, w->claim_size[i], w->claim_local[i] ? "local" : "disks");
    }
}

static void schedule(struct world *w)
{
    for (bool more = true; more;) {
        struct txn t;
        struct error err = {0};
        txn_init(&t, "scheduler");
        more = scheduler_run(w->scheduler, stage_tip(&w->stage), env_wall_ms(&w->stage.env), 100, &t);
        assert_true(t.count == 0 || stage_submit(&w->stage, &t, &err) == 0);
        txn_close(&t);
    }
}

static void judge_pod(const struct world *w, uint64_t seed, const unsigned *claims, unsigned count)
{
    const struct object *pod = stage_get(&w->stage, KIND_POD, "default", "p");
    struct str node = mp_str(mp_get(object_spec(pod), "nodeName"));
    bool can = false, can_there = false;
    for (unsigned i = 0; i < NODES; i++) {
        bool here = can_place(w, i, claims, count, 0, 0, w->room[i]);
        can = can || here;
        can_there = can_there || (here && node.n > 0 && node.p[1] == (char)('0' + i));
    }
    if (node.n > 0 ? !can_there : can) {
        fail_msg("seed %llu: the pod is on \"%.*s\", and it %s", (unsigned long long)seed, STR_ARG(node),
                 can ? "has a place elsewhere" : "has no place");
    }
    for (unsigned i = 0; i < count; i++) {
        char name[8];
        snprintf(name, sizeof name, "c%u", claims[i]);
        const struct object *claim = stage_get(&w->stage, KIND_PERSISTENTVOLUMECLAIM, "default", name);
        const struct object *volume =
            view_get(stage_tip(&w->stage), kind_by_id(KIND_PERSISTENTVOLUME), STR_NONE, storage_volume_name(claim));
        assert_true(storage_is_bound(claim, volume) == (node.n > 0)); /* all or nothing */
    }
}

static void a_pod_finds_a_node_exactly_if_there_is_one(void **state)
{
    (void)state;
    uint64_t count, first = seed_first(&count);
    unsigned placed = 0, waiting = 0;
    for (uint64_t seed = first; seed < first + 4 * count; seed++) {
        struct world w = {0};
        struct rng r = {.state = seed};
        unsigned claims[CLAIMS] = {0, 1, 2}, of = 1 + below(&r, CLAIMS);
        stage_open(&w.stage, seed);
        const struct scheduler_config config = {.env = &w.stage.env, .seed = seed};
        w.scheduler = scheduler_new(&config);
        w.stage.hooks = (struct stage_hooks){.data = &w, .observe = world_observe};
        stage_apply(&w.stage, "namespace default");
        scheduler_resync(w.scheduler, stage_tip(&w.stage));
        world_make(&w, &r);
        apply(&w.stage, "pod p claim=%s", of == 1 ? "c0" : of == 2 ? "c0,c1" : "c0,c1,c2");
        schedule(&w);
        judge_pod(&w, seed, claims, of);
        bool is = mp_str(mp_get(object_spec(stage_get(&w.stage, KIND_POD, "default", "p")), "nodeName")).n > 0;
        placed += is;
        waiting += !is;
        scheduler_free(w.scheduler);
        stage_close(&w.stage);
        if (getenv("SEED") != NULL) {
            return;
        }
    }
    assert_true(placed > SEEDS && waiting > SEEDS / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(claims_get_the_smallest_volume_that_fits),
        cmocka_unit_test(a_pod_finds_a_node_exactly_if_there_is_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
