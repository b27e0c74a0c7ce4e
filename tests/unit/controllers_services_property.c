/* Random changes of Services and pods, from many seeds, over changes of leader: in the turn in which a pod is no longer
 * ready no slice calls it ready any more, each ready pod is in one slice of each Service that selects it, and addresses
 * and node ports are never given twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/strmap.h"
#include "controllers/services/allocate.h"
#include "controllers/services/places.h"
#include "proto/text/text.h"
#include "tests/script/cluster.h"
#include "tests/script/stage.h"

#define SERVICES 6u
#define PODS     30u

struct trial {
    struct cluster cluster;
    struct rng rng;
    struct arena arena;
    uint64_t seed;
    unsigned given, refused, doubles;
};

static int submit(void *data, const struct txn *t, struct error *err)
{
    return stage_submit(&((struct trial *)data)->cluster.stage, t, err);
}

/* A new leader knows only what is in the state. */
static void new_leader(struct trial *t)
{
    controllers_free(t->cluster.controllers);
    const struct controllers_config config = {
        .env = &t->cluster.stage.env, .seed = rng_next(&t->rng), .submit = submit, .tip = cluster_tip, .data = t};
    t->cluster.controllers = controllers_new(&config);
    controllers_resync(t->cluster.controllers);
}

static const struct object *get(const struct trial *t, enum kind_id kind, const char *name)
{
    return view_get(stage_tip(&t->cluster.stage), kind_by_id(kind), STR("default"), str_of(name));
}

/* ---- What happens ---- */

/* Let in as a master does it. raw: as a restored backup brings it, asking nobody. */
static void put_service(struct trial *t, bool raw)
{
    static const char *const types[] = {"ClusterIP", "NodePort", "LoadBalancer"};
    struct arena *a = &t->arena;
    struct value **docs;
    unsigned count;
    struct error err = {0};
    const struct kind *k = kind_by_id(KIND_SERVICE);
    const char *name = arena_printf(a, "s%u", (unsigned)rng_below(&t->rng, SERVICES)),
               *type = types[rng_below(&t->rng, ARRAY_SIZE(types))];
    const struct object *old = get(t, KIND_SERVICE, name);
    bool asks = raw || rng_below(&t->rng, 3) == 0;
    const char *ip =
        asks && old == NULL ? arena_printf(a, "clusterIP: 10.96.0.%u,", 1 + (unsigned)rng_below(&t->rng, 4)) : "";
    bool port = asks && strcmp(type, "ClusterIP") != 0;
    const char *yaml = arena_printf(
        a,
        "{apiVersion: v1, kind: Service, metadata: {name: %s}, spec: {type: %s, %s selector: {app: a%u}, ports: "
        "[{port: 80, targetPort: %s%s}]}}",
        name, type, ip, (unsigned)rng_below(&t->rng, 3), rng_below(&t->rng, 2) == 0 ? "http" : "8080",
        port ? arena_printf(a, ", nodePort: 3000%u", (unsigned)rng_below(&t->rng, 4)) : "");
    assert_int_equal(yaml_read(a, str_of(yaml), NULL, &docs, &count, &err), 0);
    struct value *doc = docs[0], *before = old == NULL ? NULL : object_to_value(a, old);
    if (before != NULL) {
        k->keep(a, doc, before);
    }
    assert_int_equal(kind_check(k, a, doc, before, before == NULL ? 0 : KIND_CHECK_UPDATE, &err), 0);
    struct claims claims;
    claims_init(&claims, NULL);
    const struct allocate al = {.view = stage_tip(&t->cluster.stage), .claims = &claims, .arena = a, .rng = &t->rng};
    int rv = raw ? 0 : service_allocate(&al, before, doc, &err);
    claims_close(&claims);
    t->refused += rv != 0;
    if (rv == 0) {
        struct txn txn;
        txn_init(&txn, "api");
        rv = old == NULL ? txn_create_value(&txn, k, doc, &err)
                         : txn_update_value(&txn, k, doc, TXN_PART_SPEC, old->revision, &err);
        assert_int_equal(rv, 0);
        assert_int_equal(stage_submit(&t->cluster.stage, &txn, &err), 0);
        txn_close(&txn);
        t->given++;
    }
}

static void put_pod(struct trial *t)
{
    unsigned n = (unsigned)rng_below(&t->rng, PODS);
    char name[16], text[400];
    snprintf(name, sizeof name, "p%u", n);
    const struct object *pod = get(t, KIND_POD, name);
    if (pod == NULL) {
        snprintf(
            text, sizeof text,
            "apiVersion: v1\nkind: Pod\nmetadata: {name: %s, labels: {app: a%u}}\nspec: {nodeName: n1, containers: "
            "[{name: c, image: i, ports: [{name: http, containerPort: %u}]}]}\n",
            name, (unsigned)rng_below(&t->rng, 3), 8080 + (unsigned)rng_below(&t->rng, 2));
        stage_apply(&t->cluster.stage, text);
    } else if (rng_below(&t->rng, 6) == 0) {
        stage_remove(&t->cluster.stage, pod);
    } else if (rng_below(&t->rng, 6) == 0 && !pod->deleting) {
        cluster_delete(&t->cluster, pod, DELETION_BACKGROUND, -1);
    } else if (rng_below(&t->rng, 8) == 0) {
        snprintf(text, sizeof text, "metadata: {labels: {app: a%u}}", (unsigned)rng_below(&t->rng, 3));
        stage_patch(&t->cluster.stage, KIND_POD, "default", name, text);
    } else {
        snprintf(text, sizeof text,
                 "status: {phase: Running, podIP: 10.244.0.%u, conditions: [{type: Ready, status: '%s'}]}", n + 1,
                 rng_below(&t->rng, 3) > 0 ? "True" : "False");
        stage_status_patch(&t->cluster.stage, pod, text);
    }
}

/* ---- What holds ---- */

static bool serves(const struct object *service, const struct object *pod)
{
    return !pod->deleting && stage_pod_is_ready(pod) && !str_empty(mp_str(mp_path(object_mp(pod), "status.podIP"))) &&
           str_eq(mp_str(mp_path(object_mp(service), "spec.selector.app")), mp_str(mp_get(object_labels(pod), "app")));
}

static void check_slices(const struct trial *t)
{
    struct view_iter services, it;
    const struct view *v = stage_tip(&t->cluster.stage);
    view_iter(&services, v, kind_by_id(KIND_SERVICE), STR("default"));
    VIEW_FOR(service, &services)
    {
        struct strmap named;
        strmap_init(&named);
        view_iter(&it, v, kind_by_id(KIND_ENDPOINTSLICE), STR("default"));
        VIEW_FOR(slice, &it)
        {
            if (!str_eq(mp_str(mp_get(object_labels(slice), LABEL_SERVICE_NAME)), service->name)) {
                continue;
            }
            for (struct mp_iter e = mp_iter(mp_get(object_mp(slice), "endpoints")); mp_next(&e);) {
                struct str name = mp_str(mp_path(e.value, "targetRef.name"));
                const struct object *pod = view_get(v, kind_by_id(KIND_POD), STR("default"), name);
                bool ready = mp_bool(mp_path(e.value, "conditions.ready"), true);
                if (ready && (pod == NULL || !serves(service, pod))) {
                    fail_msg("seed %llu: %.*s of %.*s is called ready and is not", (unsigned long long)t->seed,
                             STR_ARG(name), STR_ARG(service->name));
                }
                assert_null(strmap_set(&named, name, (void *)t));
            }
        }
        view_iter(&it, v, kind_by_id(KIND_POD), STR("default"));
        VIEW_FOR(pod, &it)
        {
            if (serves(service, pod) && strmap_get(&named, pod->name) == NULL) {
                fail_msg("seed %llu: %.*s serves %.*s and is in no slice", (unsigned long long)t->seed,
                         STR_ARG(pod->name), STR_ARG(service->name));
            }
        }
        strmap_close(&named);
    }
}

static void count_claim(void *data, struct str key)
{
    struct strmap *seen = data;
    if (strmap_set(seen, key, seen) != NULL) {
        strmap_set(seen, STR("twice"), seen);
    }
}

/* Is anything claimed by two? */
static bool claimed_twice(const struct trial *t)
{
    struct strmap seen;
    struct view_iter it;
    strmap_init(&seen);
    view_iter(&it, stage_tip(&t->cluster.stage), kind_by_id(KIND_SERVICE), STR_NONE);
    VIEW_FOR(o, &it)
    {
        o->kind->claims(o, count_claim, &seen);
    }
    bool twice = strmap_get(&seen, STR("twice")) != NULL;
    strmap_close(&seen);
    return twice;
}

static void trials(uint64_t seeds, bool restores)
{
    unsigned given = 0, refused = 0, doubles = 0;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        struct trial t = {.seed = seed, .rng = {seed * 7919 + 1}};
        arena_init(&t.arena);
        stage_open(&t.cluster.stage, seed);
        t.cluster.stage.hooks = (struct stage_hooks){&t.cluster, cluster_observe, cluster_turn, cluster_deadline};
        new_leader(&t);
        stage_apply(&t.cluster.stage, "namespace default\nnode n1");
        for (unsigned i = 0; i < 250; i++) {
            char name[16];
            uint64_t what = rng_below(&t.rng, 20);
            bool twice = false;
            if (what == 0) {
                new_leader(&t);
            } else if (what == 1) {
                snprintf(name, sizeof name, "s%u", (unsigned)rng_below(&t.rng, SERVICES));
                if (get(&t, KIND_SERVICE, name) != NULL) {
                    stage_remove(&t.cluster.stage, get(&t, KIND_SERVICE, name));
                }
            } else if (what < 6) {
                bool raw = restores && what == 5;
                put_service(&t, raw);
                twice = claimed_twice(&t);
                assert_true(raw || !twice);
                t.doubles += twice;
            } else {
                put_pod(&t);
            }
            while (controllers_run(t.cluster.controllers, 1000)) {
            }
            check_slices(&t);
            assert_false(claimed_twice(&t)); /* what a restore has brought is mended */
            t.cluster.stage.now_ms += (int64_t)rng_below(&t.rng, 1500);
        }
        given += t.given;
        refused += t.refused;
        doubles += t.doubles;
        arena_close(&t.arena);
        cluster_close(&t.cluster);
    }
    print_message("%u services written, %u refused, %u doubles\n", given, refused, doubles);
    assert_true(given > 100 && refused > 10 && (doubles > 0) == restores);
}

static void slices_follow_in_the_same_turn_and_nothing_is_given_twice(void **state)
{
    (void)state;
    trials(40, false);
}

static void what_a_restore_has_brought_twice_is_mended(void **state)
{
    (void)state;
    trials(20, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_follow_in_the_same_turn_and_nothing_is_given_twice),
        cmocka_unit_test(what_a_restore_has_brought_twice_is_mended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
