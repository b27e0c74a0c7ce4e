/* EndpointSlices of Services with many pods: how many there are, and how few are written for one change. */
#include "base/strmap.h"
#include "controllers/registry.h"
#include "controllers/services/places.h"
#include "proto/facts/pod_state.h"
#include "proto/schema/release.h"
#include "raft-store/store/world.h"
#include "tests/script/cluster.h"
#include "tests/script/stage.h"
#include "tests/unit/raft-store_help.h"

struct setup {
    struct fake_env env;
    struct world *w;
    struct rng rng;
    struct error err;
    char from[64]; /* where the walk was left; "": none is on its way */
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

/* One step, evaluated: how many slices it wrote; *again: it wants to go on. */
static unsigned reconcile(struct setup *f, bool *again)
{
    CLEANUP_ARENA struct arena a;
    struct txn t;
    struct txn_result r;
    arena_init(&a);
    txn_init(&t, "test");
    const struct reconcile_place from = {kind_by_id(KIND_POD), STR("default"), str_of(f->from)};
    const struct reconcile_in in = {.view = world_view(f->w),
                                    .from = f->from[0] != '\0' ? &from : NULL,
                                    .key = {kind_by_id(KIND_SERVICE), STR("default"), STR("web")},
                                    .wall_ms = 1,
                                    .rng = &f->rng};
    struct reconcile_out out = {.txn = &t, .arena = &a};
    must(controller_endpointslice.reconcile(&in, &out, &f->err), &f->err);
    unsigned written = t.count;
    char next[sizeof f->from] = "";
    if (out.left_at != NULL) {
        snprintf(next, sizeof next, "%.*s", STR_ARG(out.left_at->name));
    }
    memcpy(f->from, next, sizeof next);
    if (written > 0) {
        must(world_eval(f->w, &t, &r, &f->err), &f->err);
    }
    *again = out.requeue_after_ms > 0 || f->from[0] != '\0';
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

/* The slices say of each pod what it is: where it is ready, and its port. */
static void check_truth(struct setup *f)
{
    struct view_iter it;
    view_iter(&it, world_view(f->w), kind_by_id(KIND_ENDPOINTSLICE), STR_NONE);
    VIEW_FOR(o, &it)
    {
        struct mp_iter ports = mp_iter(mp_get(object_mp(o), "ports"));
        int64_t port = mp_next(&ports) ? mp_int(mp_get(ports.value, "port"), 0) : 0;
        for (struct mp_iter e = mp_iter(mp_get(object_mp(o), "endpoints")); mp_next(&e);) {
            const struct object *pod = view_get(world_view(f->w), kind_by_id(KIND_POD), STR("default"),
                                                mp_str(mp_path(e.value, "targetRef.name")));
            assert_non_null(pod);
            assert_true(str_eq(pod->uid, mp_str(mp_path(e.value, "targetRef.uid"))));
            assert_int_equal(mp_bool(mp_path(e.value, "conditions.ready"), false), pod_ready(pod, NULL));
            struct mp_iter containers = mp_iter(mp_path(object_mp(pod), "spec.containers"));
            assert_true(mp_next(&containers));
            struct mp_iter named = mp_iter(mp_get(containers.value, "ports"));
            assert_int_equal(port, mp_next(&named) ? mp_int(mp_get(named.value, "containerPort"), 0) : 8080);
        }
    }
}

static void so_many_that_one_step_does_not_look_at_all(void **state)
{
    struct setup *f = *state;
    put_service(f);
    for (unsigned i = 0; i < 3500; i++) {
        put_pod(f, i, i % 7 != 0);
    }
    bool again;
    assert_int_equal(reconcile(f, &again), 10);
    assert_true(again);
    assert_int_equal(check(f, 1000), 10);
    assert_int_equal(settle(f), 25);
    assert_int_equal(check(f, 3500), 35);
    assert_int_equal(settle(f), 0);
    put_pod(f, 2017, false);
    put_pod(f, 3500, true);
    assert_int_equal(settle(f), 2); /* one is changed, and one is new, as all are full */
    assert_int_equal(check(f, 3501), 36);
    check_truth(f);
}

/* Endpoints have a thousand addresses at most; few pods among many that have the first label of the selector are all
 * there. */
static void endpoints_are_cut_and_few_among_many_are_found(void **state)
{
    struct setup *f = *state;
    put_service(f);
    put(f, yaml_object("{apiVersion: v1, kind: Service, metadata: {name: few}, spec: {clusterIP: 10.96.0.10, selector: "
                       "{app: web, tier: z}, ports: [{port: 80}]}}"));
    for (unsigned i = 0; i < 2400; i++) {
        put_pod(f, i, true);
    }
    put(f, yaml_object(
               "{apiVersion: v1, kind: Pod, metadata: {name: z, labels: {app: web, tier: z}}, spec: {nodeName: n1, "
               "containers: [{name: c, image: i}]}, status: {phase: Running, podIP: 10.244.99.1, conditions: "
               "[{type: Ready, status: 'True'}]}}"));
    static const struct {
        const char *service;
        unsigned addresses;
        bool cut;
    } wanted[] = {{"web", 1000, true}, {"few", 1, false}};
    for (unsigned i = 0; i < ARRAY_SIZE(wanted); i++) {
        CLEANUP_ARENA struct arena a;
        struct txn t;
        arena_init(&a);
        txn_init(&t, "test");
        const struct reconcile_in in = {.view = world_view(f->w),
                                        .key = {kind_by_id(KIND_SERVICE), STR("default"), str_of(wanted[i].service)},
                                        .wall_ms = 1,
                                        .rng = &f->rng};
        struct reconcile_out out = {.txn = &t, .arena = &a};
        must(controller_endpoints.reconcile(&in, &out, &f->err), &f->err);
        assert_int_equal(t.count, 1);
        struct mp all = object_mp(t.ops[0].object);
        struct mp_iter subsets = mp_iter(mp_get(all, "subsets"));
        assert_true(mp_next(&subsets));
        assert_int_equal(mp_count(mp_get(subsets.value, "addresses")), wanted[i].addresses);
        assert_int_equal(mp_count(mp_path(all, "metadata.annotations")), wanted[i].cut);
        txn_close(&t);
    }
}

static void remove_pod(struct setup *f, const struct object *pod)
{
    struct txn t;
    struct txn_result r;
    txn_init(&t, "test");
    txn_delete(&t, pod);
    must(world_eval(f->w, &t, &r, &f->err), &f->err);
    txn_close(&t);
}

/* A pod is of one of two sorts, whose named port is another number: slices of both, filled by all steps. */
static void put_named_pod(struct setup *f, unsigned n)
{
    put(f, yaml_object("{apiVersion: v1, kind: Pod, metadata: {name: p%05u, labels: {app: web}}, spec: {nodeName: n1, "
                       "containers: [{name: c, image: i, ports: [{name: http, containerPort: %u}]}]}, status: {phase: "
                       "Running, podIP: 10.244.%u.%u, conditions: [{type: Ready, status: '%s'}]}}",
                       n, 9000 + n % 2, n / 250, n % 250 + 1, rng_below(&f->rng, 2) == 0 ? "True" : "False"));
}

/* Pods come, go and change between the steps, also where a walk has been: the next walk brings it to what there is. */
static void steps_and_changes_meet_in_any_order(void **state)
{
    struct setup *f = *state;
    put(f, yaml_object("{apiVersion: v1, kind: Namespace, metadata: {name: default}}"));
    put(f, yaml_object("{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {clusterIP: 10.96.0.9, selector: "
                       "{app: web}, ports: [{port: 80, targetPort: http}]}}"));
    for (unsigned i = 0; i < 2600; i++) {
        put_named_pod(f, i);
    }
    bool again = true;
    for (unsigned round = 0; round < 60; round++) {
        for (unsigned i = 0; i < 20; i++) {
            unsigned n = (unsigned)rng_below(&f->rng, 2700);
            char name[16];
            snprintf(name, sizeof name, "p%05u", n);
            const struct object *pod = view_get(world_view(f->w), kind_by_id(KIND_POD), STR("default"), str_of(name));
            if (pod != NULL && rng_below(&f->rng, 2) == 0) {
                remove_pod(f, pod);
            } else {
                put_named_pod(f, n);
            }
        }
        reconcile(f, &again);
    }
    while (settle(f) > 0) {
    }
    unsigned pods = (unsigned)view_count(world_view(f->w), kind_by_id(KIND_POD));
    assert_true(pods > 1500);
    check(f, pods);
    check_truth(f);
}

static bool slices_say_ready(struct cluster *c, const char *pod)
{
    struct view_iter it;
    view_iter(&it, stage_tip(&c->stage), kind_by_id(KIND_ENDPOINTSLICE), STR_NONE);
    VIEW_FOR(o, &it)
    {
        for (struct mp_iter e = mp_iter(mp_get(object_mp(o), "endpoints")); mp_next(&e);) {
            if (str_is(mp_str(mp_path(e.value, "targetRef.name")), pod)) {
                return mp_bool(mp_path(e.value, "conditions.ready"), false);
            }
        }
    }
    fail_msg("no slice has %s", pod);
    return false;
}

static void unready(struct cluster *c, const char *pod)
{
    stage_status_patch(&c->stage, stage_get(&c->stage, KIND_POD, "default", pod),
                       "status: {conditions: [{type: Ready, status: 'False'}]}");
}

static void run_all(struct cluster *c)
{
    for (unsigned i = 0; i < 100; i++, c->stage.now_ms += 100) {
        while (controllers_run(c->controllers, 1)) {
        }
    }
}

/* A pod of the last step has changed; when the first step has been made, a pod of that step changes. */
static void what_changes_behind_a_walk_is_seen_by_the_next(void **state)
{
    struct cluster c = {0};
    (void)state;
    stage_open(&c.stage, 1);
    const struct controllers_config config = {
        .env = &c.stage.env, .seed = 1, .submit = cluster_submit, .tip = cluster_tip, .data = &c};
    c.controllers = controllers_new(&config);
    c.stage.hooks = (struct stage_hooks){&c, cluster_observe, NULL, NULL};
    stage_apply(&c.stage, "namespace default");
    stage_apply(&c.stage, "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {clusterIP: 10.96.0.9, "
                          "selector: {app: web}, ports: [{port: 80}]}\n");
    for (unsigned i = 0; i < 1200; i++) {
        char text[320];
        snprintf(text, sizeof text,
                 "apiVersion: v1\nkind: Pod\nmetadata: {name: p%04u, labels: {app: web}}\nspec: {nodeName: n1, "
                 "containers: [{name: c, image: i}]}\nstatus: {phase: Running, podIP: 10.244.%u.%u, conditions: "
                 "[{type: Ready, status: 'True'}]}\n",
                 i, i / 250, i % 250 + 1);
        stage_apply(&c.stage, text);
    }
    run_all(&c);
    assert_true(slices_say_ready(&c, "p0001") && slices_say_ready(&c, "p1199"));
    unready(&c, "p1199");
    for (unsigned i = 0; i < 2; i++) { /* one step of the slices, and the Endpoints */
        controllers_run(c.controllers, 0);
    }
    assert_true(slices_say_ready(&c, "p1199"));
    unready(&c, "p0001");
    run_all(&c);
    assert_false(slices_say_ready(&c, "p1199"));
    assert_false(slices_say_ready(&c, "p0001"));
    controllers_free(c.controllers);
    stage_close(&c.stage);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(many_pods_are_in_slices_of_a_hundred),
        TEST(one_pod_writes_one_slice),
        TEST(what_is_new_goes_where_something_is_written_anyway),
        TEST(so_many_that_one_step_does_not_look_at_all),
        TEST(endpoints_are_cut_and_few_among_many_are_found),
        TEST(steps_and_changes_meet_in_any_order),
        cmocka_unit_test(what_changes_behind_a_walk_is_seen_by_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
