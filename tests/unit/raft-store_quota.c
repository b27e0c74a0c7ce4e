/* Quotas and limit ranges where transactions are evaluated: exact, whole, and in bounded steps. */
#include "proto/schema/release.h"
#include "raft-store/store/bounds.h"
#include "raft-store/store/world.h"

#include "tests/unit/raft-store_help.h"

struct fixture {
    struct fake_env env;
    struct world *w;
    struct error err;
};

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    fake_init(&f->env, 1);
    f->w = world_new(NULL, &f->env.env, release.level);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    view_check(world_view(f->w));
    world_free(f->w);
    free(f);
    return 0;
}

static int eval(struct fixture *f, struct txn *t)
{
    struct txn_result result;
    f->err = (struct error){0};
    int rc = world_eval(f->w, t, &result, &f->err);
    txn_reset(t);
    return rc;
}

static int create(struct fixture *f, struct object *o)
{
    struct txn t;
    txn_init(&t, "test");
    txn_create(&t, o);
    int rc = eval(f, &t);
    txn_close(&t);
    return rc;
}

static struct object *quota(const char *hard, const char *more)
{
    return yaml_object("{apiVersion: v1, kind: ResourceQuota, metadata: {name: q, namespace: default}, spec: {hard: "
                       "{%s}%s}}",
                       hard, more);
}

static struct object *worker(const char *name, const char *requests)
{
    return yaml_object(
        "{apiVersion: v1, kind: Pod, metadata: {name: %s, namespace: default}, spec: {containers: [{name: "
        "c, image: i, resources: {requests: {%s}}}]}}",
        name, requests);
}

static const struct object *the_quota(struct fixture *f)
{
    return find(world_view(f->w), KIND_RESOURCEQUOTA, "default", "q");
}

static void assert_used(struct fixture *f, const char *name, const char *amount)
{
    struct str s = mp_str(mp_get(mp_path(object_mp(the_quota(f)), "status.used"), name));
    if (!str_is(s, amount)) {
        fail_msg("%s: %.*s are used, not %s", name, STR_ARG(s), amount);
    }
}

static int end_pod(struct fixture *f, const char *name, bool own)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct txn t;
    txn_init(&t, "test");
    t.own_status = own;
    const struct object *pod = find(world_view(f->w), KIND_POD, "default", name);
    struct value *doc = object_to_value(&a, pod);
    value_set(&a, value_get(doc, "status"), "phase", value_cstr(&a, "Succeeded"));
    must(txn_update_value(&t, pod->kind, doc, TXN_PART_STATUS, 0, &f->err), &f->err);
    int rc = eval(f, &t);
    txn_close(&t);
    return rc;
}

static void what_is_used_changes_with_what_uses_it(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(create(f, worker("before", "cpu: 250m, memory: 64Mi")), 0);
    assert_int_equal(create(f, quota("pods: 3, requests.cpu: 1, requests.memory: 1Gi, count/pods: 4", "")), 0);
    assert_used(f, "pods", "1");
    assert_used(f, "requests.cpu", "250m");
    assert_used(f, "requests.memory", "64Mi");
    assert_int_equal(create(f, worker("a", "cpu: 500m, memory: 64Mi")), 0);
    assert_used(f, "requests.cpu", "750m");
    assert_used(f, "requests.memory", "128Mi");
    uint64_t before = view_revision(world_view(f->w));
    assert_int_equal(create(f, worker("b", "cpu: 500m, memory: 1Mi")), ERR_FORBIDDEN);
    assert_string_equal(f->err.message,
                        "pods \"b\" is forbidden: exceeded quota: q, requested: requests.cpu=500m, used: "
                        "requests.cpu=750m, limited: requests.cpu=1");
    assert_int_equal(view_revision(world_view(f->w)), before);
    assert_int_equal(create(f, pod("default", "c", NULL)), ERR_FORBIDDEN);
    assert_string_equal(f->err.message, "pods \"c\" is forbidden: failed quota: q: must specify requests.cpu for: c; "
                                        "requests.memory for: c");
    /* A pod that has ended uses nothing, but it is there. */
    assert_int_equal(end_pod(f, "a", true), 0);
    assert_used(f, "requests.cpu", "250m");
    assert_used(f, "pods", "1");
    assert_used(f, "count/pods", "2");
    assert_int_equal(create(f, worker("b", "cpu: 500m, memory: 1Mi")), 0);
    assert_used(f, "count/pods", "3");
}

static void a_transaction_is_counted_as_a_whole(void **state)
{
    struct fixture *f = *state;
    struct txn t;
    txn_init(&t, "test");
    assert_int_equal(create(f, quota("pods: 2, configmaps: 1", "")), 0);
    for (unsigned i = 0; i < 3; i++) {
        txn_create(&t, pod("default", (const char *const[]){"a", "b", "c"}[i], NULL));
    }
    assert_int_equal(eval(f, &t), ERR_FORBIDDEN);
    assert_string_equal(f->err.message, "pods \"c\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, "
                                        "limited: pods=2");
    assert_used(f, "pods", "0");
    txn_create(&t, pod("default", "a", NULL));
    txn_create(&t, pod("default", "b", NULL));
    assert_int_equal(eval(f, &t), 0);
    assert_used(f, "pods", "2");
    /* What goes makes room, in whatever order. */
    txn_create(&t, pod("default", "c", NULL));
    txn_delete(&t, find(world_view(f->w), KIND_POD, "default", "a"));
    assert_int_equal(eval(f, &t), 0);
    assert_used(f, "pods", "2");
    txn_close(&t);
}

/* A bound below what there is stops what grows, and nothing else. */
static void what_does_not_grow_goes_on(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(create(f, pod("default", "a", NULL)), 0);
    assert_int_equal(create(f, pod("default", "b", NULL)), 0);
    assert_int_equal(create(f, quota("pods: 0, requests.storage: 1Gi, services.nodeports: 1", "")), 0);
    assert_used(f, "pods", "2");
    assert_int_equal(end_pod(f, "a", false), 0);
    assert_used(f, "pods", "1");
    assert_int_equal(create(f, config_map("default", "m", "a", "b")), 0);
    assert_int_equal(
        create(f, yaml_object("{apiVersion: v1, kind: Service, metadata: {name: s, namespace: default}, spec: "
                              "{type: NodePort, ports: [{name: a, port: 1}, {name: b, port: 2}]}}")),
        ERR_FORBIDDEN);
    assert_non_null(strstr(f->err.message, "requested: services.nodeports=2, used: services.nodeports=0, limited: "
                                           "services.nodeports=1"));
}

static void write_used(struct arena *a, struct value *doc)
{
    value_set(a, value_path(doc, "status.used"), "pods", value_cstr(a, "0"));
    value_set(a, value_ensure_map(a, value_get(doc, "metadata"), "annotations"), QUOTA_COUNTING,
              value_cstr(a, "pods/zzz"));
}

static void nobody_else_writes_the_status(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(create(f, pod("default", "a", NULL)), 0);
    assert_int_equal(create(f, quota("pods: 1", "")), 0);
    for (unsigned part = TXN_PART_SPEC; part <= TXN_PART_ALL; part++) {
        struct txn t;
        txn_init(&t, "test");
        txn_update(&t, edited(the_quota(f), write_used), part, 0);
        assert_int_equal(eval(f, &t), 0);
        txn_close(&t);
        assert_used(f, "pods", "1");
        assert_true(str_empty(object_annotation(the_quota(f), QUOTA_COUNTING)));
    }
}

static void scopes_choose_pods(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(
        create(f, quota("pods: 1", ", scopes: [NotBestEffort], scopeSelector: {matchExpressions: "
                                   "[{scopeName: PriorityClass, operator: In, values: [system-cluster-critical]}]}")),
        0);
    assert_int_equal(create(f, worker("low", "cpu: 1")), 0);
    assert_used(f, "pods", "0");
    for (unsigned i = 0; i < 2; i++) {
        struct object *o = yaml_object(
            "{apiVersion: v1, kind: Pod, metadata: {name: high-%u, namespace: default}, spec: "
            "{priorityClassName: system-cluster-critical, containers: [{name: c, image: i, resources: {limits: "
            "{cpu: 1}}}]}}",
            i);
        assert_int_equal(create(f, o), i == 0 ? 0 : ERR_FORBIDDEN);
    }
    assert_used(f, "pods", "1");
}

/* ---- Counting what there is ---- */

static void touch(struct arena *a, struct value *doc)
{
    value_set(a, value_ensure_map(a, value_get(doc, "metadata"), "annotations"), QUOTA_COUNTING, value_cstr(a, "//"));
}

/* 4,500 objects: three steps. What changes between two of them is counted once. */
static void many_are_counted_in_steps(void **state)
{
    struct fixture *f = *state;
    struct txn t;
    char name[32];
    txn_init(&t, "test");
    for (unsigned i = 0; i < 4500; i++) {
        snprintf(name, sizeof name, "m%04u", i);
        txn_create(&t, config_map("default", name, "a", "b"));
    }
    assert_int_equal(eval(f, &t), 0);
    assert_int_equal(create(f, quota("configmaps: 9000", "")), 0);
    assert_used(f, "configmaps", "2k");
    assert_true(str_is(object_annotation(the_quota(f), QUOTA_COUNTING), "configmaps/m1999"));
    assert_int_equal(create(f, config_map("default", "a-new-one", "a", "b")), ERR_FORBIDDEN);
    assert_string_equal(f->err.message,
                        "configmaps \"a-new-one\" is forbidden: status unknown for quota: q, resources: configmaps");
    txn_delete(&t, find(world_view(f->w), KIND_CONFIGMAP, "default", "m0001"));
    assert_int_equal(eval(f, &t), 0);
    txn_delete(&t, find(world_view(f->w), KIND_CONFIGMAP, "default", "m4000"));
    assert_int_equal(eval(f, &t), 0);
    assert_used(f, "configmaps", "1999");
    for (unsigned i = 0; i < 2; i++) {
        txn_update(&t, edited(the_quota(f), touch), TXN_PART_ALL, 0);
        assert_int_equal(eval(f, &t), 0);
    }
    assert_used(f, "configmaps", "4498");
    assert_true(str_empty(object_annotation(the_quota(f), QUOTA_COUNTING)));
    assert_int_equal(create(f, config_map("default", "a-new-one", "a", "b")), 0);
    assert_used(f, "configmaps", "4499");
    txn_close(&t);
}

/* ---- Asked before ---- */

static void the_room_is_what_the_evaluation_lets_through(void **state)
{
    struct fixture *f = *state;
    CLEANUP_OBJECT struct object *o = worker("x", "cpu: 300m");
    assert_int_equal(create(f, quota("pods: 5, requests.cpu: 1", "")), 0);
    assert_int_equal(create(f, worker("a", "cpu: 100m")), 0);
    assert_int_equal(bounds_room(world_view(f->w), o, 2, &f->err), 2);
    assert_int_equal(bounds_room(world_view(f->w), o, 100, &f->err), 3);
    assert_string_equal(f->err.message,
                        "pods \"x\" is forbidden: exceeded quota: q, requested: requests.cpu=300m, used: "
                        "requests.cpu=1, limited: requests.cpu=1");
    for (unsigned i = 0; i < 4; i++) {
        char name[16];
        snprintf(name, sizeof name, "x%u", i);
        assert_int_equal(create(f, worker(name, "cpu: 300m")), i < 3 ? 0 : ERR_FORBIDDEN);
    }
}

/* ---- Limit ranges ---- */

static struct object *limits(const char *items)
{
    return yaml_object(
        "{apiVersion: v1, kind: LimitRange, metadata: {name: l, namespace: default}, spec: {limits: [%s]}}", items);
}

static void a_range_gives_what_is_not_said(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(
        create(f, limits("{type: Container, default: {cpu: 1, memory: 1Gi}, defaultRequest: {cpu: 100m}}")), 0);
    assert_int_equal(create(f, quota("limits.cpu: 2, requests.cpu: 1", "")), 0);
    assert_int_equal(create(f, pod("default", "a", NULL)), 0);
    const struct object *a = find(world_view(f->w), KIND_POD, "default", "a");
    assert_true(
        str_is(object_annotation(a, "kubernetes.io/limit-ranger"),
               "LimitRanger plugin set: cpu, memory request for container c; cpu, memory limit for container c"));
    assert_true(str_is(mp_str(mp_path(object_mp(a), "status.qosClass")), "Burstable"));
    assert_used(f, "limits.cpu", "1");
    assert_used(f, "requests.cpu", "100m");
    /* With what it says itself it makes no sense. */
    assert_int_equal(create(f, worker("b", "cpu: 3")), ERR_INVALID);
    assert_non_null(strstr(f->err.message, "must be less than or equal to cpu limit of 1"));
}

static void a_range_refuses_what_is_too_much_or_too_little(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *resources, *why;
    } rows[] = {
        {"requests: {cpu: 100m}, limits: {cpu: 1}", NULL},
        {"requests: {cpu: 50m}, limits: {cpu: 100m}", "minimum cpu usage per Container is 100m, but request is 50m"},
        {"requests: {cpu: 100m}",
         "[maximum cpu usage per Container is 2.  No limit is specified, cpu max limit to request "
         "ratio per Container is 10, but no limit is specified or limit is 0]"},
        {"requests: {cpu: 100m}, limits: {cpu: 1500m}",
         "cpu max limit to request ratio per Container is 10, but provided ratio is 15.000000"},
        {"requests: {cpu: 100m}, limits: {cpu: 99999999999999999999E}",
         "[maximum cpu usage per Container is 2, but limit is 99999999999999999999E, cpu max limit to request ratio "
         "per "
         "Container is 10, but provided ratio is 9223372036854775807.000000]"},
        {"limits: {cpu: 3}", "maximum cpu usage per Container is 2, but limit is 3"},
        {"limits: {cpu: 1, memory: 2Gi}", "maximum memory usage per Pod is 1Gi, but limit is 2Gi"},
    };
    assert_int_equal(create(f, limits("{type: Container, min: {cpu: 100m}, maxLimitRequestRatio: {cpu: 10}}, "
                                      "{type: PersistentVolumeClaim, min: {storage: 1Gi}, max: {storage: 2Gi}}")),
                     0);
    struct txn t;
    txn_init(&t, "test");
    txn_delete(&t, find(world_view(f->w), KIND_LIMITRANGE, "default", "l"));
    assert_int_equal(eval(f, &t), 0);
    txn_close(&t);
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        /* Stored as it is: without the defaults that the kind makes of max and min. */
        CLEANUP_ARENA struct arena a;
        arena_init(&a);
        struct object *range =
            limits(i < 6 ? "{type: Container, min: {cpu: 100m}, max: {cpu: 2}, maxLimitRequestRatio: {cpu: "
                           "10}}"
                         : "{type: Pod, max: {memory: 1Gi}}");
        struct value *doc = object_to_value(&a, range);
        value_remove(value_item(value_path(doc, "spec.limits"), 0), "default");
        value_remove(value_item(value_path(doc, "spec.limits"), 0), "defaultRequest");
        object_unref(range);
        must(object_from_value(kind_by_id(KIND_LIMITRANGE), doc, 0, &range, &f->err), &f->err);
        assert_int_equal(create(f, range), 0);
        struct object *o = yaml_object("{apiVersion: v1, kind: Pod, metadata: {name: p%u, namespace: default}, spec: "
                                       "{containers: [{name: c, image: i, resources: {%s}}]}}",
                                       i, rows[i].resources);
        int rc = create(f, o);
        if (rows[i].why == NULL) {
            must(rc, &f->err);
        } else {
            char whole[512];
            snprintf(whole, sizeof whole, "pods \"p%u\" is forbidden: %s", i, rows[i].why);
            assert_int_equal(rc, ERR_FORBIDDEN);
            assert_string_equal(f->err.message, whole);
        }
        txn_init(&t, "test");
        txn_delete(&t, find(world_view(f->w), KIND_LIMITRANGE, "default", "l"));
        assert_int_equal(eval(f, &t), 0);
        txn_close(&t);
    }
}

static struct object *claim(const char *storage)
{
    return yaml_object("{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: c, namespace: default}, spec: "
                       "{storageClassName: local, accessModes: [ReadWriteOnce], resources: {requests: {storage: %s}}}}",
                       storage);
}

static void claims_are_bounded_by_both(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(create(f, limits("{type: PersistentVolumeClaim, min: {storage: 1Gi}, max: {storage: 4Gi}}")), 0);
    assert_int_equal(
        create(f, quota("requests.storage: 3Gi, local.storageclass.storage.k8s.io/persistentvolumeclaims: 1, "
                        "other.storageclass.storage.k8s.io/requests.storage: 0",
                        "")),
        0);
    assert_int_equal(create(f, claim("512Mi")), ERR_FORBIDDEN);
    assert_non_null(
        strstr(f->err.message, "minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 512Mi"));
    assert_int_equal(create(f, claim("5Gi")), ERR_FORBIDDEN);
    assert_non_null(
        strstr(f->err.message, "maximum storage usage per PersistentVolumeClaim is 4Gi, but request is 5Gi"));
    assert_int_equal(create(f, claim("4Gi")), ERR_FORBIDDEN);
    assert_non_null(strstr(f->err.message,
                           "exceeded quota: q, requested: requests.storage=4Gi, used: requests.storage=0, "
                           "limited: requests.storage=3Gi"));
    assert_int_equal(create(f, claim("2Gi")), 0);
    assert_used(f, "requests.storage", "2Gi");
    assert_used(f, "local.storageclass.storage.k8s.io/persistentvolumeclaims", "1");
    assert_used(f, "other.storageclass.storage.k8s.io/requests.storage", "0");
}

static void bind(struct arena *a, struct value *doc)
{
    value_set(a, value_get(doc, "spec"), "volumeName", value_cstr(a, "v"));
}

static void grow(struct arena *a, struct value *doc)
{
    value_set(a, value_path(doc, "spec.resources.requests"), "storage", value_cstr(a, "6Gi"));
}

static void a_claim_that_was_there_before_a_range_may_be_bound(void **state)
{
    struct fixture *f = *state;
    struct txn t;
    txn_init(&t, "test");
    assert_int_equal(create(f, claim("5Gi")), 0);
    assert_int_equal(create(f, limits("{type: PersistentVolumeClaim, max: {storage: 4Gi}}")), 0);
    txn_update(&t, edited(find(world_view(f->w), KIND_PERSISTENTVOLUMECLAIM, "default", "c"), bind), TXN_PART_ALL, 0);
    assert_int_equal(eval(f, &t), 0);
    txn_update(&t, edited(find(world_view(f->w), KIND_PERSISTENTVOLUMECLAIM, "default", "c"), grow), TXN_PART_SPEC, 0);
    assert_int_equal(eval(f, &t), ERR_FORBIDDEN);
    txn_close(&t);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_used_changes_with_what_uses_it),
        TEST(a_transaction_is_counted_as_a_whole),
        TEST(what_does_not_grow_goes_on),
        TEST(nobody_else_writes_the_status),
        TEST(scopes_choose_pods),
        TEST(many_are_counted_in_steps),
        TEST(the_room_is_what_the_evaluation_lets_through),
        TEST(a_range_gives_what_is_not_said),
        TEST(a_range_refuses_what_is_too_much_or_too_little),
        TEST(claims_are_bounded_by_both),
        TEST(a_claim_that_was_there_before_a_range_may_be_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
