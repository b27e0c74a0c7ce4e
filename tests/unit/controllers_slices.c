/* EndpointSlices of Services with many pods: how many there are, and how few are written for one change. */
#include "base/strmap.h"
#include "controllers/registry.h"
#include "controllers/services/places.h"
#include "proto/schema/release.h"
#include "raft-store/store/world.h"
#include "tests/unit/raft-store_help.h"

struct setup {
    struct fake_env env;
    struct world *w;
    struct rng rng;
    struct error err;
};

static int set_up(void **state)
{
    struct setup *f = xcalloc(1, sizeof *f);
    fake_init(&f->env, 3);
    f->rng.state = 9;
    f->w = world_new(NULL, &f->env.env, release.level);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct setup *f = *state;
    world_free(f->w);
    free(f);
    return 0;
}

static void put(struct setup *f, struct object *o)
{
    struct txn t;
    struct txn_result r;
    txn_init(&t, "test");
    if (view_get(world_view(f->w), o->kind, o->ns, o->name) == NULL) {
        txn_create(&t, o);
    } else {
        txn_update(&t, o, TXN_PART_ALL, 0);
    }
    must(world_eval(f->w, &t, &r, &f->err), &f->err);
    txn_close(&t);
}

static void put_pod(struct setup *f, unsigned n, bool ready)
{
    put(f, yaml_object("{apiVersion: v1, kind: Pod, metadata: {name: p%05u, labels: {app: web}}, spec: {nodeName: n1, "
                       "containers: [{name: c, image: i}]}, status: {phase: Running, podIP: 10.244.%u.%u, conditions: "
                       "[{type: Ready, status: '%s'}]}}",
                       n, n / 250, n % 250 + 1, ready ? "True" : "False"));
}

static void put_service(struct setup *f)
{
    put(f, yaml_object("{apiVersion: v1, kind: Namespace, metadata: {name: default}}"));
    put(f, yaml_object("{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {clusterIP: 10.96.0.9, selector: "
                       "{app: web}, ports: [{port: 80, targetPort: 8080}]}}"));
}

/* One reconcile, evaluated: how many slices it wrote; *again: it wants to go on. */
static unsigned reconcile(struct setup *f, bool *again)
{
    CLEANUP_ARENA struct arena a;
    struct txn t;
    struct txn_result r;
    arena_init(&a);
    txn_init(&t, "test");
    const struct reconcile_in in = {.view = world_view(f->w),
                                    .key = {kind_by_id(KIND_SERVICE), STR("default"), STR("web")},
                                    .wall_ms = 1,
                                    .rng = &f->rng};
    struct reconcile_out out = {.txn = &t, .arena = &a};
    must(controller_endpointslice.reconcile(&in, &out, &f->err), &f->err);
    unsigned written = t.count;
    if (written > 0) {
        must(world_eval(f->w, &t, &r, &f->err), &f->err);
    }
    *again = out.requeue_after_ms > 0;
    txn_close(&t);
    return written;
}

static unsigned settle(struct setup *f)
{
    bool again = true;
    unsigned written = 0;
    while (again) {
        written += reconcile(f, &again);
    }
    return written;
}

/* Every pod is in one slice, none in two, and no slice has more than 100. */
static unsigned check(struct setup *f, unsigned pods)
{
    struct strmap seen;
    struct view_iter it;
    unsigned slices = 0;
    strmap_init(&seen);
    view_iter(&it, world_view(f->w), kind_by_id(KIND_ENDPOINTSLICE), STR_NONE);
    VIEW_FOR(o, &it)
    {
        struct mp list = mp_get(object_mp(o), "endpoints");
        assert_true(mp_count(list) <= 100);
        slices++;
        for (struct mp_iter e = mp_iter(list); mp_next(&e);) {
            assert_null(strmap_set(&seen, mp_str(mp_path(e.value, "targetRef.uid")), f));
        }
    }
    assert_int_equal(seen.count, pods);
    strmap_close(&seen);
    return slices;
}

static void many_pods_are_in_slices_of_a_hundred(void **state)
{
    struct setup *f = *state;
    put_service(f);
    for (unsigned i = 0; i < 250; i++) {
        put_pod(f, i, true);
    }
    assert_int_equal(settle(f), 3);
    assert_int_equal(check(f, 250), 3);
    assert_int_equal(settle(f), 0);
}

static void one_pod_writes_one_slice(void **state)
{
    struct setup *f = *state;
    put_service(f);
    for (unsigned i = 0; i < 450; i++) {
        put_pod(f, i, true);
    }
    settle(f);
    put_pod(f, 17, false);
    assert_int_equal(settle(f), 1);
    put_pod(f, 450, true); /* there is room in the last */
    assert_int_equal(settle(f), 1);
    assert_int_equal(check(f, 451), 5);
    for (unsigned i = 451; i < 460; i++) {
        put_pod(f, i, true);
    }
    assert_int_equal(settle(f), 1);
    assert_int_equal(check(f, 460), 5);
}

static void what_is_new_goes_where_something_is_written_anyway(void **state)
{
    struct setup *f = *state;
    put_service(f);
    for (unsigned i = 0; i < 200; i++) {
        put_pod(f, i, true);
    }
    settle(f);
    struct txn t;
    struct txn_result r;
    txn_init(&t, "test");
    txn_delete(&t, view_get(world_view(f->w), kind_by_id(KIND_POD), STR("default"), STR("p00003")));
    must(world_eval(f->w, &t, &r, &f->err), &f->err);
    txn_close(&t);
    put_pod(f, 200, true);
    assert_int_equal(settle(f), 1);
    assert_int_equal(check(f, 200), 2);
}

static void so_many_that_one_transaction_does_not_hold_them(void **state)
{
    struct setup *f = *state;
    put_service(f);
    for (unsigned i = 0; i < 10500; i++) {
        put_pod(f, i, i % 7 != 0);
    }
    bool again;
    assert_int_equal(reconcile(f, &again), 100);
    assert_true(again);
    settle(f);
    assert_int_equal(check(f, 10500), 105);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(many_pods_are_in_slices_of_a_hundred),
        TEST(one_pod_writes_one_slice),
        TEST(what_is_new_goes_where_something_is_written_anyway),
        TEST(so_many_that_one_transaction_does_not_hold_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
