/* A world on a fork decides as the tip does, and nobody hears of it. */
#include "raft-store/store/world.h"

#include "proto/schema/release.h"
#include <pthread.h>

#include "tests/unit/raft-store_help.h"

static const char *const NAMES[] = {"a", "b", "c", "d", "e", "f", "g", "h"};

static void put_label(struct arena *a, struct value *doc, const char *key, int64_t n)
{
    struct value *labels = value_ensure_map(a, value_get(doc, "metadata"), "labels");
    value_set(a, labels, key, value_strf(a, "%lld", (long long)n));
}

static struct object *made(struct rng *rng, const char *name)
{
    switch (rng_below(rng, 4)) {
    case 0:
        return pod("default", name, rng_below(rng, 2) ? "n1" : NULL);
    case 1:
        return yaml_object(
            "{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: %s, namespace: default}, spec: {replicas: %u, "
            "selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: "
            "[{name: c, image: i}]}}}}",
            name, (unsigned)rng_below(rng, 9));
    case 2:
        return yaml_object(
            "{apiVersion: v1, kind: ConfigMap, metadata: {name: %s, namespace: default, finalizers: [x/y]}}", name);
    default:
        return config_map("default", name, "k", "v");
    }
}

/* The object with a label changed, a status, or its deletion begun and its finalizers gone. */
static struct object *changed(struct rng *rng, const struct object *o)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct value *doc = object_to_value(&a, o), *meta = value_get(doc, "metadata");
    switch (rng_below(rng, 5)) {
    case 0:
        value_set(&a, meta, "deletionTimestamp", value_cstr(&a, "2026-01-01T00:00:00Z"));
        break;
    case 1:
        value_remove(meta, "finalizers");
        break;
    case 2:
        if (o->kind->id == KIND_REPLICASET) {
            value_set(&a, value_ensure_map(&a, doc, "status"), "replicas", value_int(&a, (int64_t)rng_below(rng, 5)));
            break;
        } /* fallthrough */
    default:
        put_label(&a, doc, rng_below(rng, 2) ? "x" : "y", (int64_t)rng_below(rng, 3));
    }
    struct object *out = NULL;
    struct error err = {0};
    must(object_from_value(o->kind, doc, 0, &out, &err), &err);
    return out;
}

static void add_random_op(struct txn *t, struct rng *rng, const struct view *v)
{
    static const unsigned kinds[] = {KIND_POD, KIND_REPLICASET, KIND_CONFIGMAP};
    const char *name = NAMES[rng_below(rng, ARRAY_SIZE(NAMES))];
    const struct object *o = find(v, kinds[rng_below(rng, ARRAY_SIZE(kinds))], "default", name);
    if (o == NULL) {
        txn_create(t, made(rng, name));
        return;
    }
    switch (rng_below(rng, 8)) {
    case 0:
        txn_create(t, made(rng, name)); /* often it exists */
        break;
    case 1:
    case 2:
        txn_delete(t, o);
        break;
    case 3:
        txn_check(t, o->kind, o->ns, o->name, rng_below(rng, 3) ? o->revision : UINT64_MAX);
        break;
    case 4:
        txn_delete(t, o);
        txn_create(t, made(rng, name));
        break;
    default:
        txn_update(t, changed(rng, o), (enum txn_part)(TXN_PART_SPEC + 2 * rng_below(rng, 2)),
                   rng_below(rng, 8) == 0 ? o->revision + 1 : 0);
    }
}

static void random_txn(struct txn *t, struct rng *rng, const struct view *v)
{
    txn_init(t, "test");
    for (unsigned n = 1 + (unsigned)rng_below(rng, 5); n > 0; n--) {
        add_random_op(t, rng, v);
    }
}

static struct view_hash hash_of(const struct world *w)
{
    return view_state_hash(world_view(w));
}

static bool hash_equal(struct view_hash a, struct view_hash b)
{
    return a.lo == b.lo && a.hi == b.hi;
}

#define STEPS 60u

/* Evaluates transactions made up on the way on the world, and keeps them with what became of each. */
struct course {
    struct txn txns[STEPS];
    int codes[STEPS];
    struct error errors[STEPS];
    struct view_hash after[STEPS];
};
static void course_run(struct course *c, struct world *w, struct rng *rng)
{
    for (unsigned i = 0; i < STEPS; i++) {
        struct txn_result result;
        random_txn(&c->txns[i], rng, world_view(w));
        c->errors[i] = (struct error){0};
        c->codes[i] = world_eval(w, &c->txns[i], &result, &c->errors[i]);
        c->after[i] = hash_of(w);
    }
}

static void course_close(struct course *c)
{
    for (unsigned i = 0; i < STEPS; i++) {
        txn_close(&c->txns[i]);
    }
}

/* The same on the leader's tip, which is closed into log entries now and then. */
static void course_repeat(const struct course *c, struct store *s, struct store *follower, struct rng *rng)
{
    for (unsigned i = 0; i < STEPS; i++) {
        struct txn_result result;
        struct error err = {0};
        assert_int_equal(store_eval(s, &c->txns[i], &result, &err), c->codes[i]);
        assert_string_equal(err.message, c->errors[i].message);
        assert_true(hash_equal(view_state_hash(store_tip(s)), c->after[i]));
        if (!store_batch_empty(s) && rng_below(rng, 3) == 0) {
            CLEANUP_BUF struct buf entry = BUF_INIT;
            store_batch_take(s, &entry);
            uint64_t index = store_applied_index(s) + 1;
            must(store_apply(s, index, entry.data, entry.size, &err), &err);
            must(store_apply(follower, index, entry.data, entry.size, &err), &err);
            assert_views_equal(store_committed(s), store_committed(follower));
        }
    }
}

/* Whoever was cut anywhere, between two objects of a transaction as well, is told the transaction that he has not
 * seen the end of. */
static void check_history(struct store *s)
{
    uint64_t newest = view_revision(store_committed(s));
    const struct history_txn *t;
    for (uint64_t after = store_history_oldest(s); after < newest; after++) {
        assert_int_equal(store_history_next(s, after, &t), 0);
        assert_non_null(t);
        assert_true(txn_first_revision(t) <= after + 1 && t->revision > after);
        unsigned rest = 0;
        for (unsigned i = 0; i < t->count; i++) {
            rest += txn_change_revision(t, i) > after;
        }
        assert_int_equal(rest, t->numbered ? t->revision - after : t->count);
    }
    assert_int_equal(store_history_next(s, newest, &t), 0);
    assert_null(t);
}

static void a_fork_comes_to_the_same_state_as_the_tip_and_leaves_it_alone(void **state)
{
    (void)state;
    struct course *c = xmalloc(sizeof *c);
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct rng rng = {seed};
        struct fake_env fake, forked;
        fake_init(&fake, seed);
        struct store *s = store_plain(&fake), *follower = store_plain(&fake);
        store_tip_open(s, 1);
        for (unsigned round = 0; round < 4; round++) {
            forked = fake; /* the same clock, and the same chance */
            forked.env.data = &forked;
            struct view *before = view_ref(store_tip(s));
            struct view_hash hash = view_state_hash(before);
            unsigned level = rng_below(&rng, 4) == 0 ? 0 : release.level;
            store_set_level(s, level);
            struct world *w = world_new(store_tip(s), &forked.env, level);
            course_run(c, w, &rng);
            assert_ptr_equal(store_tip(s), before);
            view_check(before);
            assert_true(hash_equal(view_state_hash(before), hash));
            view_unref(before);
            course_repeat(c, s, follower, &rng);
            assert_views_equal(world_view(w), store_tip(s));
            course_close(c);
            world_free(w);
        }
        check_history(s);
        check_history(follower);
        store_free(s);
        store_free(follower);
    }
    free(c);
}

/* Every object of a transaction has the next revision, and its change stands there: whatever came to nothing on the
 * way. */
static void revisions_are_counted_by_object(void **state)
{
    (void)state;
    struct course *c = xmalloc(sizeof *c);
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct rng rng = {seed};
        struct fake_env fake;
        fake_init(&fake, seed);
        struct world *w = world_new(NULL, &fake.env, RELEASE_LEVEL_NUMBERS);
        course_run(c, w, &rng);
        uint64_t revision = 0;
        for (const struct history_txn *t = NULL; (t = world_next_txn(w, t)) != NULL;) {
            assert_int_equal(txn_first_revision(t), revision + 1);
            for (unsigned i = 0; i < t->count; i++) {
                assert_int_equal(txn_change_revision(t, i), ++revision);
                assert_true(t->changes[i].new == NULL || t->changes[i].new->revision == revision);
            }
            assert_int_equal(t->revision, revision);
        }
        assert_int_equal(view_revision(world_view(w)), revision);
        view_check(world_view(w));
        course_close(c);
        world_free(w);
    }
    free(c);
}

/* ---- On another thread ---- */

struct worker {
    pthread_t thread;
    struct fake_env fake;
    uint64_t seed;
    struct world *world; /* opened, evaluated and, for every second, closed by the thread */
    struct view *base;   /* a ref is given to the thread */
    struct course course;
    struct view *result; /* a ref is given back */
};

static void *work(void *data)
{
    struct worker *k = data;
    struct rng rng = {k->seed};
    struct world *w = world_new(k->base, &k->fake.env, release.level);
    view_unref(k->base);
    course_run(&k->course, w, &rng);
    k->result = view_ref(world_view(w));
    view_check(k->result);
    if (k->seed % 2 == 0) {
        world_free(w);
        w = NULL;
    }
    k->world = w;
    return NULL;
}

#define WORKERS 2u

/* Rounds of workers on forks of the tip, while the loop evaluates, closes batches and applies what is left of it. */
static void workers_evaluate_on_forks_while_the_loop_writes(void **state)
{
    (void)state;
    struct worker *workers = xcalloc(WORKERS, sizeof *workers);
    struct course *own = xmalloc(sizeof *own);
    struct fake_env fake;
    struct rng rng = {1};
    fake_init(&fake, 1);
    struct store *s = store_plain(&fake), *follower = store_plain(&fake);
    store_set_level(s, release.level);
    store_tip_open(s, 1);
    for (uint64_t round = 0; round < 25; round++) {
        for (unsigned i = 0; i < WORKERS; i++) {
            struct worker *k = &workers[i];
            k->seed = 1 + round * WORKERS + i;
            fake_init(&k->fake, k->seed);
            k->base = view_ref(store_tip(s));
            assert_int_equal(pthread_create(&k->thread, NULL, work, k), 0);
        }
        struct fake_env twin = fake; /* what the loop will write, made up beforehand on a fork of its own */
        twin.env.data = &twin;
        struct world *w = world_new(store_tip(s), &twin.env, release.level);
        course_run(own, w, &rng);
        course_repeat(own, s, follower, &rng);
        assert_views_equal(world_view(w), store_tip(s));
        course_close(own);
        world_free(w);
        for (unsigned i = 0; i < WORKERS; i++) {
            struct worker *k = &workers[i];
            assert_int_equal(pthread_join(k->thread, NULL), 0);
            view_check(k->result);
            assert_true(view_revision(k->result) > 0);
            course_close(&k->course);
            world_free(k->world); /* on this thread what the other made */
            view_unref(k->result);
        }
        view_check(store_tip(s));
    }
    store_free(s);
    store_free(follower);
    free(own);
    free(workers);
}

static int eval_made(struct world *w, struct object *o, struct error *err)
{
    struct txn t;
    struct txn_result result;
    txn_init(&t, "test");
    txn_create(&t, o);
    int rc = world_eval(w, &t, &result, err);
    txn_close(&t);
    return rc;
}

static void worlds_on_worlds_do_not_see_each_other(void **state)
{
    (void)state;
    struct fake_env fake;
    struct error err = {0};
    fake_init(&fake, 1);
    unsigned level = release.level;
    struct world *ground = world_new(NULL, &fake.env, level);
    must(eval_made(ground, config_map("default", "both", "k", "v"), &err), &err);
    struct world *left = world_new(world_view(ground), &fake.env, level),
                 *right = world_new(world_view(ground), &fake.env, level);
    must(eval_made(left, config_map("default", "left", "k", "v"), &err), &err);
    struct world *below = world_new(world_view(left), &fake.env, level);
    world_free(ground); /* nobody needs it any more */
    must(eval_made(right, config_map("default", "right", "k", "v"), &err), &err);
    must(eval_made(below, config_map("default", "below", "k", "v"), &err), &err);
    assert_int_equal(eval_made(below, config_map("default", "left", "k", "v"), &err), ERR_EXISTS);
    assert_int_equal(view_count(world_view(left), NULL), 2);
    assert_int_equal(view_count(world_view(right), NULL), 2);
    assert_int_equal(view_count(world_view(below), NULL), 3);
    assert_non_null(find(world_view(right), KIND_CONFIGMAP, "default", "both"));
    assert_null(find(world_view(right), KIND_CONFIGMAP, "default", "left"));
    world_free(left);
    view_check(world_view(below));
    world_free(below);
    world_free(right);
}

static void a_world_tells_what_was_done_on_it(void **state)
{
    (void)state;
    struct fake_env fake;
    struct error err = {0};
    unsigned count;
    fake_init(&fake, 1);
    struct world *w = world_new(NULL, &fake.env, release.level);
    assert_null(world_next_txn(w, NULL));
    must(eval_made(w, config_map("default", "one", "k", "v"), &err), &err);
    must(eval_made(w, config_map("default", "two", "k", "v"), &err), &err);
    assert_true(str_is(world_last_changes(w, &count)[0].new->name, "two"));
    assert_int_equal(count, 1);
    assert_int_equal(eval_made(w, config_map("default", "two", "k", "v"), &err), ERR_EXISTS);
    assert_null(world_last_changes(w, &count));
    const struct history_txn *t = world_next_txn(w, NULL);
    assert_true(str_is(t->changes[0].new->name, "one"));
    t = world_next_txn(w, t);
    assert_true(str_is(t->changes[0].new->name, "two"));
    assert_null(world_next_txn(w, t));
    world_forget(w);
    assert_null(world_next_txn(w, NULL));
    world_free(w);
}

/* A decider that sees to it that each ConfigMap "x" is followed by "xx", up to four letters. */
static void note_new(void *data, const struct change *changes, unsigned count)
{
    char *next = data;
    for (unsigned i = 0; i < count; i++) {
        struct str name = changes[i].new->name;
        snprintf(next, 16, "%.*s%c", STR_ARG(name), name.p[0]);
    }
}
static bool make_next(void *data, struct world *w)
{
    char *next = data;
    struct error err = {0};
    return next[0] != '\0' && strlen(next) <= 4 && eval_made(w, config_map("default", next, "k", "v"), &err) == 0;
}

static void deciders_take_turns_until_all_is_quiet(void **state)
{
    (void)state;
    struct fake_env fake;
    struct error err = {0};
    char next[16] = "";
    fake_init(&fake, 1);
    struct world *w = world_new(NULL, &fake.env, release.level);
    world_add_decider(w, &(struct world_decider){.data = next, .observe = note_new, .turn = make_next});
    assert_true(world_settle(w, 1));
    must(eval_made(w, config_map("default", "x", "k", "v"), &err), &err);
    assert_false(world_settle(w, 2));
    assert_true(world_settle(w, 10));
    assert_int_equal(view_count(world_view(w), NULL), 4);
    assert_non_null(find(world_view(w), KIND_CONFIGMAP, "default", "xxxx"));
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fork_comes_to_the_same_state_as_the_tip_and_leaves_it_alone),
        cmocka_unit_test(revisions_are_counted_by_object),
        cmocka_unit_test(workers_evaluate_on_forks_while_the_loop_writes),
        cmocka_unit_test(worlds_on_worlds_do_not_see_each_other),
        cmocka_unit_test(a_world_tells_what_was_done_on_it),
        cmocka_unit_test(deciders_take_turns_until_all_is_quiet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
