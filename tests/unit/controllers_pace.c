/* How fast controllers make pods that come to nothing: those that fit nowhere, those that fail at once. */
#include "tests/unit/controllers_fixture.h"

/* All pods without a node are told that they fit nowhere, as the scheduler does. */
static void tell_unplaced(struct fixture *f)
{
    struct txn t;
    struct arena a;
    struct error err = {0};
    arena_init(&a);
    txn_init(&t, "scheduler");
    struct view_iter it;
    view_iter(&it, stage_tip(&f->cluster.stage), kind_by_id(KIND_POD), STR_NONE);
    VIEW_FOR(pod, &it)
    {
        if (pod_state_of(pod).unplaced) {
            continue;
        }
        struct value *doc = object_to_value(&a, pod);
        if (mp_type(mp_path(object_mp(pod), "spec.nodeName")) == MP_NONE &&
            condition_set(&a, value_ensure_map(&a, doc, "status"), "PodScheduled", "False", "Unschedulable", "full", 0,
                          false)) {
            assert_int_equal(txn_update_value(&t, pod->kind, doc, TXN_PART_STATUS, 0, &err), 0);
        }
    }
    if (t.count > 0) {
        assert_int_equal(stage_submit(&f->cluster.stage, &t, &err), 0);
    }
    txn_close(&t);
    arena_close(&a);
}

static unsigned pods_count(struct fixture *f)
{
    return (unsigned)view_count(stage_tip(&f->cluster.stage), kind_by_id(KIND_POD));
}

/* "replicas=2147483647" grows ever more slowly while nothing of it finds a place, and scaling back begins at once. */
static void what_fits_nowhere_grows_slowly_and_goes_at_once(void **state)
{
    (void)state;
    struct fixture f;
    struct env env;
    open_fixture(&f, &env);
    stage_apply(&f.cluster.stage, "rs huge replicas=2147483647");
    unsigned slices = 0, largest = 0;
    for (int64_t until_ms = f.cluster.stage.now_ms + 10000; f.cluster.stage.now_ms < until_ms; slices++) {
        unsigned before = pods_count(&f);
        run_keys(&f, 20);
        tell_unplaced(&f);
        largest = MAX(largest, pods_count(&f) - before);
        f.cluster.stage.now_ms += 50;
    }
    unsigned grown = pods_count(&f);
    assert_true(slices > 20);
    assert_true(grown > 1000 && grown < 12000); /* without its pace it would be as many as there were turns */
    /* It is resting when the user changes his mind. */
    stage_patch(&f.cluster.stage, KIND_REPLICASET, "default", "huge", "spec: {replicas: 3}");
    unsigned count;
    controllers_all(&count);
    run_keys(&f, count);
    assert_true(pods_count(&f) <= grown - CONTROLLER_BATCH_MAX);
    for (int i = 0; i < 100000 && pods_count(&f) > 3; i++) {
        run_keys(&f, 1);
        f.cluster.stage.now_ms += 10;
    }
    assert_int_equal(pods_count(&f), 3);
    close_fixture(&f);
}

static uint64_t transactions_in(struct fixture *f, int64_t span_ms)
{
    uint64_t before = stats_of(f).transactions;
    for (int64_t until_ms = f->cluster.stage.now_ms + span_ms; f->cluster.stage.now_ms < until_ms;) {
        run_keys(f, 20);
        tell_unplaced(f);
        buf_reset(&f->cluster.stage.trace);
        f->cluster.stage.now_ms += 500;
    }
    return stats_of(f).transactions - before;
}

/* 100,000 replicas of a template that no node takes: 10,000 pods are there in the end, an event now and then says why
 * there are no more, and those that found a place make room for the next. */
static void of_what_fits_nowhere_a_bounded_number_is_made(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "rs huge replicas=100000",
        "apiVersion: batch/v1\nkind: Job\nmetadata: {name: huge, namespace: default}\nspec: {parallelism: 100000, "
        "completions: 100000, manualSelector: true, selector: {matchLabels: {j: h}}, template: {metadata: {labels: {j: "
        "h}}, spec: "
        "{restartPolicy: Never, containers: [{name: c, image: i}]}}}",
    };
    for (unsigned i = 0; i < ARRAY_SIZE(texts); i++) {
        struct fixture f;
        struct env env;
        open_fixture(&f, &env);
        stage_apply(&f.cluster.stage, texts[i]);
        for (unsigned k = 0; k < 400 && pods_count(&f) < 10000; k++) {
            transactions_in(&f, 1000);
        }
        unsigned most = pods_count(&f);
        assert_true(most >= 10000 && most < 10200);
        assert_true(transactions_in(&f, 600000) < 100);
        assert_int_equal(pods_count(&f), most);
        stage_apply(&f.cluster.stage, "node n1");
        for (unsigned k = 0; k < 300; k++) {
            struct view_iter it;
            view_iter(&it, stage_tip(&f.cluster.stage), kind_by_id(KIND_POD), STR_NONE);
            const struct object *pod = view_next(&it);
            while (!str_empty(pod_node(pod))) {
                pod = view_next(&it);
            }
            CLEANUP_OBJECT struct object *kept = object_ref(pod);
            stage_patch_part(&f.cluster.stage, kept, "spec: {nodeName: n1}", TXN_PART_ALL);
        }
        transactions_in(&f, 60000);
        assert_true(pods_count(&f) > most);
        close_fixture(&f);
    }
}

/* The node refuses each of them at once (it is named by the template, and full). */
static void pods_that_fail_at_once_are_made_ever_more_slowly(void **state)
{
    (void)state;
    struct fixture f;
    struct env env;
    open_fixture(&f, &env);
    stage_apply(&f.cluster.stage, "node n1\nrs web replicas=64");
    for (unsigned turn = 0; turn < 200; turn++) {
        run_keys(&f, 20);
        struct view_iter it;
        view_iter(&it, stage_tip(&f.cluster.stage), kind_by_id(KIND_POD), STR_NONE);
        CLEANUP_ARENA struct arena a;
        struct txn t;
        struct error err = {0};
        arena_init(&a);
        txn_init(&t, "agent");
        VIEW_FOR(pod, &it)
        {
            if (pod_active(pod)) {
                struct value *doc = object_to_value(&a, pod);
                value_set(&a, value_ensure_map(&a, doc, "status"), "phase", value_cstr(&a, "Failed"));
                assert_int_equal(txn_update_value(&t, pod->kind, doc, TXN_PART_STATUS, 0, &err), 0);
            }
        }
        if (t.count > 0) {
            assert_int_equal(stage_submit(&f.cluster.stage, &t, &err), 0);
        }
        txn_close(&t);
        f.cluster.stage.now_ms += 500; /* 100 s in all */
    }
    assert_true(pods_count(&f) > 500 && pods_count(&f) < 2000);
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fits_nowhere_grows_slowly_and_goes_at_once),
        cmocka_unit_test(of_what_fits_nowhere_a_bounded_number_is_made),
        cmocka_unit_test(pods_that_fail_at_once_are_made_ever_more_slowly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
