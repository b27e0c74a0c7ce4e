/* Gangs under attack: ten thousand that wait, one that never fits, small ones that pass a large one for ever, whoever
 * leads in the middle. What one call of the scheduler does for them is bounded, and other pods have their turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "scheduler/gang.h"
#include "scheduler/scheduler.h"
#include "tests/script/stage.h"

struct fixture {
    struct stage stage;
    struct scheduler *scheduler;
};

static void observe(void *data, const struct change *changes, unsigned count)
{
    scheduler_observe(((struct fixture *)data)->scheduler, changes, count);
}

/* objects: looked at in a round when leadership begins; 0: all at once. */
static struct fixture *fixture_in_steps(unsigned objects)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    stage_open(&f->stage, 1);
    const struct scheduler_config config = {.env = &f->stage.env, .seed = 1, .build_objects = objects};
    f->scheduler = scheduler_new(&config);
    f->stage.hooks = (struct stage_hooks){.data = f, .observe = observe};
    stage_apply(&f->stage, "namespace default");
    return f;
}

static struct fixture *fixture_new(void)
{
    return fixture_in_steps(0);
}

static void fixture_free(struct fixture *f)
{
    scheduler_free(f->scheduler);
    stage_close(&f->stage);
    free(f);
}

static struct scheduler_stats stats(const struct fixture *f)
{
    struct scheduler_stats s;
    scheduler_stats(f->scheduler, &s);
    return s;
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

/* One call, as masters make it. */
static bool schedule_once(struct fixture *f)
{
    struct txn t;
    struct error err = {0};
    txn_init(&t, "scheduler");
    bool more = scheduler_run(f->scheduler, stage_tip(&f->stage), env_wall_ms(&f->stage.env), 128, &t);
    if (t.count > 0) {
        assert_int_equal(stage_submit(&f->stage, &t, &err), 0);
    }
    txn_close(&t);
    buf_reset(&f->stage.trace);
    return more;
}

static unsigned schedule(struct fixture *f)
{
    unsigned calls = 1;
    while (schedule_once(f)) {
        calls++;
        assert_true(calls < 100000);
    }
    return calls;
}

static const struct object *get(const struct fixture *f, enum kind_id kind, const char *name)
{
    return stage_get(&f->stage, kind, "default", name);
}

static bool is_bound(const struct fixture *f, const char *name)
{
    return mp_str(mp_path(object_mp(get(f, KIND_POD, name)), "spec.nodeName")).n > 0;
}

/* ---- Very many ---- */

/* labels: each gang is a class of its own. */
static void many_wait(bool labels)
{
    const unsigned gangs = labels ? 2000 : 10000;
    struct fixture *f = fixture_new();
    char name[32];
    for (unsigned i = 0; i < 20; i++) {
        apply(f, "node n%u cpu=3 pods=100\npod own%u cpu=2 node=n%u ready", i, i, i);
    }
    for (unsigned i = 0; i < gangs; i++) {
        apply(f, "group g%u min=2", i);
        for (unsigned k = 0; k < 2; k++) {
            apply(f, "pod g%u-%u cpu=2 group=g%u labels=app=%s%u", i, k, i, labels ? "a" : "a0", labels ? i : 0);
        }
    }
    schedule(f);
    struct scheduler_stats s = stats(f);
    assert_int_equal(s.gangs_bound, 0);
    assert_int_equal(s.gangs_waiting, gangs);
    assert_int_equal(s.ganged, 2 * gangs);
    /* Nothing has changed: nothing is done. */
    uint64_t attempts = s.gang_attempts;
    assert_false(schedule_once(f));
    assert_int_equal(stats(f).gang_attempts, attempts);
    /* One pod ends, which helps none of them. A plain pod comes, and has its turn before all have been looked at. */
    stage_remove(&f->stage, get(f, KIND_POD, "own3"));
    apply(f, "pod plain cpu=1");
    bool more = true;
    unsigned calls = 0, until = 0;
    while (more) {
        attempts = stats(f).gang_attempts;
        more = schedule_once(f);
        calls++;
        assert_true(stats(f).gang_attempts - attempts <= GANG_FAILS_MAX);
        until = until == 0 && is_bound(f, "plain") ? calls : until;
    }
    assert_in_range(until, 1, 2);
    print_message("%u gangs of %s wait: %u calls after a change, %llu attempts, the plain pod in the call %u\n", gangs,
                  labels ? "as many classes" : "one class", calls, (unsigned long long)(stats(f).gang_attempts), until);
    /* Room for one of them: the oldest gets it. */
    stage_remove(&f->stage, get(f, KIND_POD, "own4"));
    schedule(f);
    assert_int_equal(stats(f).gangs_bound, 1);
    assert_true(is_bound(f, "g0-0") && is_bound(f, "g0-1"));
    /* All members go, groups first; nothing is left. */
    for (unsigned i = 1; i < gangs; i++) {
        snprintf(name, sizeof name, "g%u", i);
        stage_remove(&f->stage, get(f, KIND_PODGROUP, name));
        for (unsigned k = 0; k < 2; k++) {
            snprintf(name, sizeof name, "g%u-%u", i, k);
            stage_remove(&f->stage, get(f, KIND_POD, name));
        }
        buf_reset(&f->stage.trace);
    }
    schedule(f);
    s = stats(f);
    assert_int_equal(s.gangs, 1);
    assert_int_equal(s.ganged + s.gangs_waiting, 0);
    fixture_free(f);
}

static void ten_thousand_gangs_wait(void **state)
{
    (void)state;
    many_wait(false);
}

static void thousands_of_gangs_of_as_many_classes_wait(void **state)
{
    (void)state;
    many_wait(true);
}

static void a_gang_that_is_never_whole_costs_nothing(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    apply(f, "node n0 cpu=64 pods=1000\ngroup g min=1000");
    for (unsigned i = 0; i < 999; i++) {
        apply(f, "pod g-%u group=g", i);
    }
    schedule(f);
    for (unsigned i = 0; i < 100; i++) {
        apply(f, "pod plain%u", i);
        schedule(f);
    }
    assert_int_equal(stats(f).gang_attempts, 0);
    assert_int_equal(stats(f).ganged, 999);
    stage_remove(&f->stage, get(f, KIND_POD, "plain0"));
    /* The last one: a thousand at once. */
    apply(f, "node m0 cpu=64 pods=1000\npod g-999 group=g");
    schedule(f);
    assert_int_equal(stats(f).gang_attempts, 1);
    assert_int_equal(stats(f).gangs_bound, 1);
    assert_int_equal(stats(f).bound, 1100);
    fixture_free(f);
}

/* ---- Back-fill ---- */

/* Three pods fit beside the node's own; small gangs come without an end, and each second the oldest of them ends, so
 * that the next takes its room. How many have ended. */
static unsigned small_ones_pass(struct fixture *f, unsigned large_needs, unsigned most)
{
    unsigned first = 0;
    char name[32];
    apply(f, "node n0 cpu=4\npod own cpu=1 node=n0 ready");
    for (unsigned i = 0; i < 3 + most && (i < 4 || !is_bound(f, "large-0")); i++) {
        apply(f, "group s%u min=1\npod s%u cpu=1 group=s%u", i, i, i);
        if (i == 3) {
            apply(f, "group large min=%u", large_needs);
            for (unsigned k = 0; k < large_needs; k++) {
                apply(f, "pod large-%u cpu=1 group=large", k);
            }
        }
        schedule(f);
        snprintf(name, sizeof name, "s%u", first);
        if (i >= 3 && is_bound(f, name)) {
            stage_remove(&f->stage, get(f, KIND_POD, name));
            stage_remove(&f->stage, get(f, KIND_PODGROUP, name));
            first++;
        }
        schedule(f);
        f->stage.now_ms += 1000;
    }
    return first;
}

static void small_gangs_pass_a_large_one_not_for_ever(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    unsigned passed = small_ones_pass(f, 3, 400);
    print_message("%u small gangs passed the large one\n", passed);
    assert_true(is_bound(f, "large-0") && is_bound(f, "large-1") && is_bound(f, "large-2"));
    assert_in_range(passed, GANG_PATIENCE / 2, 2 * GANG_PATIENCE);
    fixture_free(f);
}

/* It would fit if the node were empty, and it never will be. */
static void a_large_gang_that_never_fits_does_not_stop_small_ones(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    unsigned passed = small_ones_pass(f, 4, 1000);
    print_message("%u of 1000 small gangs passed one that never fits\n", passed);
    assert_false(is_bound(f, "large-0"));
    assert_true(passed > 950);
    fixture_free(f);
}

/* ---- Leaders ---- */

/* Another leader after each call, or none of what was decided was written: all is as it would have been. */
static void leaders_change_in_the_middle(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < 2; kind++) {
        struct fixture *f = fixture_new();
        for (unsigned i = 0; i < 4; i++) {
            apply(f, "node n%u cpu=4\npod low%u cpu=3 node=n%u priority=1 ready", i, i, i);
        }
        for (unsigned i = 0; i < 3; i++) {
            apply(f, "group g%u min=4", i);
            for (unsigned k = 0; k < 4; k++) {
                apply(f, "pod g%u-%u cpu=2 group=g%u priority=%u", i, k, i, 10 + 10 * i);
            }
        }
        for (unsigned calls = 0; calls < 30; calls++) {
            if (kind == 1) {
                struct txn t;
                txn_init(&t, "scheduler");
                scheduler_run(f->scheduler, stage_tip(&f->stage), env_wall_ms(&f->stage.env), 128, &t);
                scheduler_failed(f->scheduler, &t);
                txn_close(&t);
            }
            schedule_once(f);
            scheduler_resync(f->scheduler, stage_tip(&f->stage));
            /* Victims go, one at a time. */
            for (unsigned i = 0; i < 4; i++) {
                char name[32];
                snprintf(name, sizeof name, "low%u", i);
                const struct object *o = get(f, KIND_POD, name);
                if (o != NULL && o->deleting) {
                    stage_remove(&f->stage, o);
                    break;
                }
            }
        }
        /* The most important gang has its room, and the next one what is left. */
        for (unsigned k = 0; k < 4; k++) {
            char name[32];
            snprintf(name, sizeof name, "g2-%u", k);
            assert_true(is_bound(f, name));
            snprintf(name, sizeof name, "g1-%u", k);
            assert_true(is_bound(f, name));
            snprintf(name, sizeof name, "g0-%u", k);
            assert_false(is_bound(f, name));
        }
        CLEANUP_BUF struct buf why = BUF_INIT;
        if (!scheduler_audit(f->scheduler, &why)) {
            fail_msg("%s", buf_cstr(&why));
        }
        fixture_free(f);
    }
}

/* It looks at what there is in steps. What changes before it has come to that is seen then, and counts once. */
static void what_changes_before_a_new_leader_has_seen_it_counts_once(void **state)
{
    (void)state;
    struct fixture *f = fixture_in_steps(1);
    apply(f, "class local provisioner=reeve.io/local\nnode n1 cpu=8 local=3Gi\npvc c1 class=local size=2Gi\n"
             "group g min=4\npod a cpu=1 group=g node=n1 ready\npod b cpu=1 group=g node=n1 ready");
    scheduler_resync(f->scheduler, stage_tip(&f->stage));
    assert_true(schedule_once(f)); /* the namespace */
    apply(f, "pv v1 class=local size=1Gi on=n1");
    stage_status_patch(&f->stage, get(f, KIND_POD, "a"), "status: {phase: Succeeded}");
    apply(f, "pod c cpu=1 group=g\npod p cpu=1 claim=c1\npod q cpu=1");
    stage_remove(&f->stage, get(f, KIND_POD, "q"));
    schedule(f);
    assert_true(is_bound(f, "p"));
    assert_false(is_bound(f, "c")); /* one runs, one has succeeded: two more are needed */
    apply(f, "pod d cpu=1 group=g");
    schedule(f);
    assert_true(is_bound(f, "c") && is_bound(f, "d"));
    CLEANUP_BUF struct buf why = BUF_INIT;
    assert_true(scheduler_audit(f->scheduler, &why));
    fixture_free(f);
}

/* Whatever it knows of: bound and waiting pods, gangs, nominees, those that it has not come to yet. */
static void a_scheduler_ends_in_steps(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < 3; kind++) {
        struct fixture *f = fixture_in_steps(kind == 2 ? 30 : 0);
        apply(f, "node full cpu=1\npod low cpu=1 node=full priority=1 ready");
        for (unsigned i = 0; i < 20; i++) {
            apply(f, "node n%u cpu=4\npod own%u cpu=2 node=n%u ready\npod gone%u cpu=1 node=nowhere%u ready", i, i, i,
                  i, i);
            apply(f, "pod alone%u cpu=3\ngroup g%u min=2\npod g%u-a cpu=1 group=g%u\npod g%u-b cpu=%u group=g%u", i, i,
                  i, i, i, i % 3, i);
        }
        apply(f, "pod high cpu=1 priority=9 selector=kubernetes.io/hostname=full");
        if (kind == 2) {
            scheduler_resync(f->scheduler, stage_tip(&f->stage));
            for (unsigned i = 0; i < 4; i++) {
                assert_true(schedule_once(f));
            }
        } else {
            schedule(f);
        }
        unsigned calls = 1, most = kind == 0 ? 1 : 7;
        while (!scheduler_end(f->scheduler, most)) {
            calls++;
        }
        assert_in_range(calls, 60 / most, 300 / most);
        f->scheduler = NULL;
        fixture_free(f);
    }
}

/* ---- What cannot be written ---- */

/* The object once more under another name, padded by an annotation to so many bytes. */
static void create_padded(struct fixture *f, const struct object *like, const char *name, size_t bytes)
{
    CLEANUP_ARENA struct arena a;
    CLEANUP_FREE char *padding = xcalloc(1, bytes + 1);
    struct txn t;
    struct error err = {0};
    arena_init(&a);
    struct value *doc = object_to_value(&a, like), *metadata = value_get(doc, "metadata");
    value_set(&a, metadata, "name", value_cstr(&a, name));
    value_remove(metadata, "uid");
    value_remove(metadata, "resourceVersion");
    assert_true(bytes > like->body_size);
    memset(padding, 'x', bytes - like->body_size);
    value_set(&a, value_ensure_map(&a, metadata, "annotations"), "padding", value_cstr(&a, padding));
    txn_init(&t, "test");
    assert_int_equal(txn_create_value(&t, like->kind, doc, &err), 0);
    assert_int_equal(stage_submit(&f->stage, &t, &err), 0);
    txn_close(&t);
}

static void assert_tried(struct fixture *f, unsigned least, unsigned most)
{
    uint64_t before = stats(f).gang_attempts;
    unsigned calls = 1;
    while (schedule_once(f) && calls < 20) {
        calls++;
    }
    assert_in_range(calls, 1, 19);
    assert_in_range(stats(f).gang_attempts - before, least, most);
}

/* With a node's name in it the pod would be larger than an object may be. */
static void one_that_cannot_be_written_is_tried_when_something_changes(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    apply(f, "node n1 cpu=8\ngroup g min=2\npod a cpu=1 group=g");
    create_padded(f, get(f, KIND_POD, "a"), "b", OBJECT_SIZE_MAX - 40);
    size_t left = OBJECT_SIZE_MAX - get(f, KIND_POD, "b")->body_size;
    print_message("%zu bytes are left\n", left);
    assert_in_range(left, 0, 39);
    create_padded(f, get(f, KIND_POD, "a"), "c", OBJECT_SIZE_MAX - 40);
    stage_remove(&f->stage, get(f, KIND_POD, "a"));
    assert_tried(f, 1, 2);
    assert_false(is_bound(f, "b"));
    assert_tried(f, 0, 0);
    apply(f, "node n2 cpu=8");
    assert_tried(f, 1, 1);
    apply(f, "pod other cpu=1"); /* it may have what the gang had for a moment */
    assert_tried(f, 0, 0);
    assert_true(is_bound(f, "other"));
    CLEANUP_BUF struct buf why = BUF_INIT;
    assert_true(scheduler_audit(f->scheduler, &why));
    fixture_free(f);
}

/* Each fits, and its claim as well: all of them would be more than a transaction may hold. */
static void claims_count_as_part_of_what_a_transaction_holds(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    apply(f, "class local provisioner=reeve.io/local\nnode n1 cpu=8 local=100Gi\npvc one class=local size=1Gi\n"
             "group g min=8");
    for (unsigned i = 0; i < 8; i++) {
        char name[16];
        snprintf(name, sizeof name, "c%u", i);
        create_padded(f, get(f, KIND_PERSISTENTVOLUMECLAIM, "one"), name, OBJECT_SIZE_MAX - 4096);
        apply(f, "pod p%u cpu=1 group=g claim=c%u", i, i);
    }
    assert_tried(f, 0, 1); /* a transaction that is refused would end the test */
    assert_false(is_bound(f, "p0"));
    const struct object *g = get(f, KIND_PODGROUP, "g");
    struct mp_iter it = mp_iter(mp_path(object_mp(g), "status.conditions"));
    assert_true(mp_next(&it));
    struct str message = mp_str(mp_get(it.value, "message")), words = STR("too large, for one transaction");
    assert_non_null(memmem(message.p, message.n, words.p, words.n));
    fixture_free(f);
}

/* All that wait would be more than a transaction may hold; those that are needed are not. The others follow. */
static void a_few_are_placed_though_all_that_wait_are_too_large_together(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    char name[16];
    apply(f, "node n1 cpu=64 pods=1000\ngroup g min=2\npod first cpu=1m group=g");
    for (unsigned i = 0; i < 2 * GANG_AT_ONCE; i++) {
        snprintf(name, sizeof name, "p%u", i);
        create_padded(f, get(f, KIND_POD, "first"), name, GANG_BYTES_MAX / GANG_AT_ONCE + 1000);
    }
    stage_remove(&f->stage, get(f, KIND_POD, "first"));
    schedule_once(f);
    assert_int_equal(stats(f).gangs_bound, 1);
    assert_in_range(stats(f).bound, 2, GANG_AT_ONCE - 1);
    schedule(f);
    for (unsigned i = 0; i < 2 * GANG_AT_ONCE; i++) {
        snprintf(name, sizeof name, "p%u", i);
        assert_true(is_bound(f, name));
    }
    CLEANUP_BUF struct buf why = BUF_INIT;
    assert_true(scheduler_audit(f->scheduler, &why));
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_thousand_gangs_wait),
        cmocka_unit_test(thousands_of_gangs_of_as_many_classes_wait),
        cmocka_unit_test(a_gang_that_is_never_whole_costs_nothing),
        cmocka_unit_test(small_gangs_pass_a_large_one_not_for_ever),
        cmocka_unit_test(a_large_gang_that_never_fits_does_not_stop_small_ones),
        cmocka_unit_test(leaders_change_in_the_middle),
        cmocka_unit_test(what_changes_before_a_new_leader_has_seen_it_counts_once),
        cmocka_unit_test(a_scheduler_ends_in_steps),
        cmocka_unit_test(one_that_cannot_be_written_is_tried_when_something_changes),
        cmocka_unit_test(claims_count_as_part_of_what_a_transaction_holds),
        cmocka_unit_test(a_few_are_placed_though_all_that_wait_are_too_large_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
