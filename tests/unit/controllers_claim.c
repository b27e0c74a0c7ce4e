/* Owners whose selectors choose very many pods, or choose them no longer: they change hands in steps. */
#include "tests/unit/controllers_fixture.h"

#define PODS 700u

/* How many belong to an owner that is called so. */
static unsigned owned(struct fixture *f, enum kind_id kind, const char *name)
{
    const struct object *owner = stage_get(&f->cluster.stage, kind, "default", name);
    struct view_iter it;
    unsigned count = 0;
    view_iter_owned(&it, stage_tip(&f->cluster.stage), owner->uid, kind_by_id(KIND_POD));
    VIEW_FOR(pod, &it)
    {
        count++;
    }
    return count;
}

/* Until there is nothing left to do; no transaction is larger than a step may be. */
static void settle(struct fixture *f)
{
    for (unsigned i = 0; i < 10000; i++) {
        if (!controllers_run(f->cluster.controllers, 1000) &&
            controllers_next_deadline(f->cluster.controllers) > f->cluster.stage.now_ms + 1000) {
            break;
        }
        f->cluster.stage.now_ms += 1;
        buf_reset(&f->cluster.stage.trace);
    }
    assert_in_range(f->ops_most, 1, CONTROLLER_BATCH_MAX + 100);
}

static void apply_yaml(struct fixture *f, const char *yaml)
{
    struct error err = {0};
    if (stage_apply_yaml(&f->cluster.stage, yaml, &err) != 0) {
        fail_msg("%s", err.message);
    }
}

static void make_orphans(struct fixture *f)
{
    CLEANUP_BUF struct buf text = BUF_INIT;
    for (unsigned i = 0; i < PODS; i++) {
        buf_printf(&text, "pod stray%u labels=app=web node=n%u ready\n", i, i % 3);
    }
    stage_apply(&f->cluster.stage, buf_cstr(&text));
}

static void relabel(struct fixture *f)
{
    struct view_iter it;
    struct txn t;
    struct error err = {0};
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    txn_init(&t, "test");
    view_iter(&it, stage_tip(&f->cluster.stage), kind_by_id(KIND_POD), STR_NONE);
    VIEW_FOR(pod, &it)
    {
        struct value *doc = object_to_value(&a, pod);
        value_set(&a, value_get(value_get(doc, "metadata"), "labels"), "app", value_cstr(&a, "quarantine"));
        assert_int_equal(txn_update_value(&t, pod->kind, doc, TXN_PART_ALL, 0, &err), 0);
    }
    assert_int_equal(stage_submit(&f->cluster.stage, &t, &err), 0);
    txn_close(&t);
}

static void a_replicaset_adopts_and_releases_many_in_steps(void **state)
{
    (void)state;
    struct fixture f;
    struct env env;
    open_fixture(&f, &env);
    make_orphans(&f);
    stage_apply(&f.cluster.stage, "rs web replicas=700");
    settle(&f);
    assert_int_equal(owned(&f, KIND_REPLICASET, "web"), PODS);
    const struct object *rs = stage_get(&f.cluster.stage, KIND_REPLICASET, "default", "web");
    assert_int_equal(mp_int(mp_path(object_mp(rs), "status.replicas"), 0), PODS);
    assert_int_equal(mp_int(mp_path(object_mp(rs), "status.observedGeneration"), 0), rs->generation);
    relabel(&f);
    settle(&f); /* they are let go, and replaced */
    assert_int_equal(owned(&f, KIND_REPLICASET, "web"), PODS);
    assert_int_equal(view_count(stage_tip(&f.cluster.stage), kind_by_id(KIND_POD)), 2 * PODS);
    close_fixture(&f);
}

static void a_daemonset_adopts_many_in_steps(void **state)
{
    (void)state;
    struct fixture f;
    struct env env;
    open_fixture(&f, &env);
    make_orphans(&f);
    apply_yaml(&f,
               "{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: web, namespace: default}, spec: {selector: "
               "{matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, "
               "image: i}]}}}}");
    settle(&f);
    unsigned left = 0;
    struct view_iter it;
    view_iter(&it, stage_tip(&f.cluster.stage), kind_by_id(KIND_POD), STR_NONE);
    VIEW_FOR(pod, &it)
    {
        left += str_empty(pod->owner_uid);
    }
    assert_int_equal(left, 0); /* all are its own; where there is no node for them they are the garbage collection's */
    close_fixture(&f);
}

/* Old ReplicaSets that somebody has orphaned. */
static void a_deployment_adopts_many_in_steps(void **state)
{
    (void)state;
    struct fixture f;
    struct env env;
    open_fixture(&f, &env);
    for (unsigned i = 0; i < 300; i++) {
        CLEANUP_FREE char *yaml = xasprintf(
            "{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: old%u, namespace: default, labels: {app: web}}, "
            "spec: {replicas: 0, selector: {matchLabels: {app: web, hash: h%u}}, template: {metadata: {labels: {app: "
            "web, hash: h%u}}, spec: {containers: [{name: c, image: i}]}}}}",
            i, i, i);
        apply_yaml(&f, yaml);
    }
    settle(&f);
    f.ops_most = 0;
    apply_yaml(&f,
               "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: default}, spec: {replicas: "
               "1, revisionHistoryLimit: 1000, selector: {matchLabels: {app: web}}, template: {metadata: {labels: "
               "{app: web}}, spec: {containers: [{name: c, image: j}]}}}}");
    settle(&f);
    unsigned orphans = 0;
    struct view_iter it;
    view_iter(&it, stage_tip(&f.cluster.stage), kind_by_id(KIND_REPLICASET), STR_NONE);
    VIEW_FOR(rs, &it)
    {
        orphans += str_empty(rs->owner_uid);
    }
    assert_int_equal(orphans, 0);
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_replicaset_adopts_and_releases_many_in_steps),
        cmocka_unit_test(a_daemonset_adopts_many_in_steps),
        cmocka_unit_test(a_deployment_adopts_many_in_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
