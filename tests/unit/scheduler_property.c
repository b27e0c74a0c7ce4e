/* Random pods, nodes and changes from many seeds: no node is ever over-committed (G7), no host port is taken twice,
 * what the scheduler holds equals what a resync builds, nothing waits that would fit, nor for which pods of lower
 * priority could go, nobody goes for another of equal or lower priority, and the slow retry finds nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/timefmt.h"
#include "proto/model/quantity.h"
#include "scheduler/scheduler.h"
#include "tests/script/stage.h"

struct trial {
    struct stage stage;
    struct scheduler *scheduler;
    struct rng rng;
    uint64_t seed;
    unsigned pods, nodes;
    unsigned steps; /* objects that it looks at in a round when it begins; 0: all */
};

static void observe(void *data, const struct change *changes, unsigned count)
{
    scheduler_observe(((struct trial *)data)->scheduler, changes, count);
}

static int64_t cpu_of(struct mp quantities)
{
    int64_t v = 0;
    return quantity_milli(mp_str(mp_get(quantities, "cpu")), &v) ? v : 0;
}

static bool counts(const struct object *pod)
{
    struct str phase = mp_str(mp_path(object_mp(pod), "status.phase"));
    return !str_is(phase, "Succeeded") && !str_is(phase, "Failed");
}

static void nodes_are_not_over_committed(const struct trial *t)
{
    struct view_iter nodes, pods;
    view_iter(&nodes, stage_tip(&t->stage), kind_by_id(KIND_NODE), STR_NONE);
    VIEW_FOR(node, &nodes)
    {
        int64_t used = 0, ports = 0;
        view_iter_node_pods(&pods, stage_tip(&t->stage), node->name);
        VIEW_FOR(pod, &pods)
        {
            struct mp_iter c = mp_iter(mp_path(object_mp(pod), "spec.containers"));
            if (counts(pod) && mp_next(&c)) {
                used += cpu_of(mp_path(c.value, "resources.requests"));
                ports += mp_count(mp_get(c.value, "ports"));
            }
        }
        int64_t room = cpu_of(mp_path(object_mp(node), "status.allocatable"));
        if (used > room || ports > 1) {
            fail_msg("seed %llu: %.*s has %lld of %lld, %lld ports", (unsigned long long)t->seed, STR_ARG(node->name),
                     (long long)used, (long long)room, (long long)ports);
        }
    }
}

/* ---- Preemption, written anew ---- */

static int64_t priority_of(const struct object *pod)
{
    return mp_int(mp_path(object_mp(pod), "spec.priority"), 0);
}

static int64_t request_of(const struct object *pod)
{
    struct mp_iter c = mp_iter(mp_path(object_mp(pod), "spec.containers"));
    return mp_next(&c) ? cpu_of(mp_path(c.value, "resources.requests")) : 0;
}

static struct str node_of(const struct object *pod, const char *path)
{
    return mp_str(mp_path(object_mp(pod), path));
}

/* Whoever is being deleted here is a victim: the test itself takes pods away at once. */
static bool is_overdue(const struct trial *t, const struct object *pod)
{
    int64_t at_ms = 0;
    timefmt_parse(mp_str(mp_path(object_mp(pod), "metadata.deletionTimestamp")), &at_ms);
    return pod->deleting && at_ms + 30000 < env_wall_ms(&t->stage.env);
}

/* What a node has left beside those that the pod cannot push out, and nominees that go before it. */
static int64_t left_for(const struct trial *t, const struct object *node, const struct object *pod, bool *others)
{
    int64_t left = cpu_of(mp_path(object_mp(node), "status.allocatable"));
    struct view_iter it;
    *others = false;
    view_iter(&it, stage_tip(&t->stage), kind_by_id(KIND_POD), STR_NONE);
    VIEW_FOR(o, &it)
    {
        bool here = str_eq(node_of(o, "spec.nodeName"), node->name);
        bool nominee = str_empty(node_of(o, "spec.nodeName")) && o != pod &&
                       str_eq(node_of(o, "status.nominatedNodeName"), node->name);
        if (!counts(o) || (!here && !nominee)) {
            continue;
        }
        bool stays = priority_of(o) >= priority_of(pod) || (here && is_overdue(t, o));
        left -= stays ? request_of(o) : 0;
        *others |= here && !stays;
    }
    return left;
}

static bool may_go_to(const struct object *node, const struct object *pod)
{
    bool ssd = mp_count(mp_path(object_mp(pod), "spec.nodeSelector")) > 0;
    return !mp_bool(mp_path(object_mp(node), "spec.unschedulable"), false) &&
           (!ssd || mp_type(mp_path(object_mp(node), "metadata.labels.disk")) == MP_STR);
}

static void nothing_waits_for_which_others_could_go(const struct trial *t)
{
    struct view_iter pods, nodes;
    view_iter(&pods, stage_tip(&t->stage), kind_by_id(KIND_POD), STR_NONE);
    VIEW_FOR(pod, &pods)
    {
        struct mp_iter c = mp_iter(mp_path(object_mp(pod), "spec.containers"));
        if (!counts(pod) || !str_empty(node_of(pod, "spec.nodeName")) ||
            !str_empty(node_of(pod, "status.nominatedNodeName")) || !mp_next(&c) ||
            mp_count(mp_get(c.value, "ports")) > 0) {
            continue;
        }
        view_iter(&nodes, stage_tip(&t->stage), kind_by_id(KIND_NODE), STR_NONE);
        VIEW_FOR(node, &nodes)
        {
            bool others;
            if (may_go_to(node, pod) && left_for(t, node, pod, &others) >= request_of(pod) && others) {
                fail_msg("seed %llu: %.*s waits, and others could go on %.*s", (unsigned long long)t->seed,
                         STR_ARG(pod->name), STR_ARG(node->name));
            }
        }
    }
}

static bool makes_room(const struct trial *t, const struct txn *txn, const struct object *victim)
{
    struct view_iter it;
    view_iter(&it, stage_tip(&t->stage), kind_by_id(KIND_POD), STR_NONE);
    VIEW_FOR(o, &it)
    {
        const struct object *now = o;
        for (unsigned k = 0; k < txn->count; k++) {
            const struct txn_op *op = &txn->ops[k];
            now = op->kind == o->kind && str_eq(op->name, o->name) && op->object != NULL ? op->object : now;
        }
        if (priority_of(now) > priority_of(victim) && str_empty(node_of(now, "spec.nodeName")) &&
            str_eq(node_of(now, "status.nominatedNodeName"), node_of(victim, "spec.nodeName"))) {
            return true;
        }
    }
    return false;
}

/* Each pod that a transaction deletes is on a node for which a pod of higher priority is nominated then. */
static void nobody_goes_for_his_equal(const struct trial *t, const struct txn *txn)
{
    for (unsigned i = 0; i < txn->count; i++) {
        const struct txn_op *op = &txn->ops[i];
        const struct object *victim = view_get(stage_tip(&t->stage), op->kind, op->ns, op->name);
        bool goes = op->kind->id == KIND_POD && victim != NULL && !victim->deleting && op->type == TXN_UPDATE &&
                    op->object->deleting;
        if (goes && !makes_room(t, txn, victim)) {
            fail_msg("seed %llu: %.*s goes for nobody of higher priority", (unsigned long long)t->seed,
                     STR_ARG(victim->name));
        }
    }
}

static void schedule(struct trial *t, unsigned max, bool refuse)
{
    struct txn txn;
    struct error err = {0};
    bool more = true;
    while (more) {
        txn_init(&txn, "scheduler");
        more = scheduler_run(t->scheduler, stage_tip(&t->stage), env_wall_ms(&t->stage.env), max, &txn) && !refuse;
        if (refuse) {
            scheduler_failed(t->scheduler, &txn);
        } else if (txn.count > 0) {
            nobody_goes_for_his_equal(t, &txn);
            assert_int_equal(stage_submit(&t->stage, &txn, &err), 0);
            nodes_are_not_over_committed(t);
        }
        txn_close(&txn);
    }
}

/* While all is being looked at when leadership has begun, a step of it. */
static void run_once(struct trial *t)
{
    struct txn txn;
    struct error err = {0};
    txn_init(&txn, "scheduler");
    scheduler_run(t->scheduler, stage_tip(&t->stage), env_wall_ms(&t->stage.env), 3, &txn);
    if (txn.count > 0) {
        assert_int_equal(stage_submit(&t->stage, &txn, &err), 0);
        nodes_are_not_over_committed(t);
    }
    txn_close(&txn);
}

static const struct object *random_object(struct trial *t, enum kind_id kind)
{
    uint64_t count = view_count(stage_tip(&t->stage), kind_by_id(kind));
    if (count == 0) {
        return NULL;
    }
    uint64_t at = rng_below(&t->rng, count);
    struct view_iter it;
    view_iter(&it, stage_tip(&t->stage), kind_by_id(kind), STR_NONE);
    const struct object *o = view_next(&it);
    while (at-- > 0) {
        o = view_next(&it);
    }
    return o;
}

static void make_pod(struct trial *t)
{
    static const char *const extras[] = {
        "",           "",           "owner=rs/web", "owner=rs/db", "port=80", "selector=disk=ssd",
        "priority=5", "priority=9", "priority=-3"};
    char line[200];
    snprintf(line, sizeof line, "pod p%u cpu=%um %s", t->pods++, 100 * (1 + (unsigned)rng_below(&t->rng, 10)),
             extras[rng_below(&t->rng, ARRAY_SIZE(extras))]);
    stage_apply(&t->stage, line);
}

static void make_node(struct trial *t)
{
    char line[200];
    snprintf(line, sizeof line, "node n%u cpu=%u %s", t->nodes++, 1 + (unsigned)rng_below(&t->rng, 4),
             rng_below(&t->rng, 2) == 0 ? "labels=disk=ssd" : "");
    stage_apply(&t->stage, line);
}

static void node_event(struct trial *t)
{
    const struct object *node = random_object(t, KIND_NODE);
    if (node == NULL) {
        return;
    }
    if (rng_below(&t->rng, 3) == 0) {
        stage_patch_part(&t->stage, node, "spec: {unschedulable: true}", TXN_PART_SPEC);
    } else {
        stage_patch_part(&t->stage, node, "spec: {unschedulable: false}", TXN_PART_SPEC);
    }
}

static void random_event(struct trial *t)
{
    const struct object *pod;
    if (t->steps > 0 && rng_below(&t->rng, 2) == 0) {
        run_once(t);
    }
    switch (rng_below(&t->rng, 13)) {
    case 0: /* room for nearly all, or for few */
        if (t->seed % 2 == 0 || t->nodes < 3) {
            make_node(t);
        }
        break;
    case 1:
    case 2:
        node_event(t);
        break;
    case 3:
    case 4:
        pod = random_object(t, KIND_POD);
        if (pod != NULL) {
            stage_remove(&t->stage, pod);
        }
        break;
    case 5:
        pod = random_object(t, KIND_POD);
        if (pod != NULL && counts(pod)) {
            stage_status_patch(&t->stage, pod, "status: {phase: Succeeded}");
        }
        break;
    case 6:
        if (rng_below(&t->rng, 4) == 0) {
            scheduler_resync(t->scheduler, stage_tip(&t->stage)); /* a new leader */
        }
        schedule(t, 3, true);
        break;
    case 7:
        schedule(t, 2, false);
        break;
    case 8:
        t->stage.now_ms += 1000 * (int64_t)rng_below(&t->rng, 400);
        break;
    default:
        make_pod(t);
        break;
    }
}

static void nothing_waits_that_fits(struct trial *t)
{
    struct view_iter it;
    view_iter(&it, stage_tip(&t->stage), kind_by_id(KIND_POD), STR_NONE);
    VIEW_FOR(pod, &it)
    {
        struct buf why = BUF_INIT;
        if (counts(pod) && str_empty(node_of(pod, "spec.nodeName"))) {
            scheduler_explain(t->scheduler, stage_tip(&t->stage), pod, &why);
            if (why.size == 0) {
                fail_msg("seed %llu: %.*s waits and fits", (unsigned long long)t->seed, STR_ARG(pod->name));
            }
        }
        buf_close(&why);
    }
}

static void random_clusters_are_never_over_committed(void **state)
{
    (void)state;
    uint64_t preemptions = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct trial t = {
            .seed = seed, .rng = {seed * 31 + 7}, .steps = (unsigned)(seed % 3 == 0 ? 0 : seed % 3 + seed % 7)};
        stage_open(&t.stage, seed);
        const struct scheduler_config config = {.env = &t.stage.env, .seed = seed, .build_objects = t.steps};
        t.scheduler = scheduler_new(&config);
        t.stage.hooks = (struct stage_hooks){.data = &t, .observe = observe};
        stage_apply(&t.stage, "namespace default\nrs web replicas=0\nrs db replicas=0");
        for (unsigned i = 0; i < 250; i++) {
            random_event(&t);
        }
        schedule(&t, 1024, false);
        nothing_waits_that_fits(&t);
        nothing_waits_for_which_others_could_go(&t);
        t.stage.now_ms += 301000;
        schedule(&t, 1024, false);
        nothing_waits_that_fits(&t);
        struct scheduler_stats before, after;
        scheduler_stats(t.scheduler, &before);
        assert_true(before.parked == 0 || before.retries > 0);
        if (before.retry_found != 0) {
            fail_msg("seed %llu: a wake-up was lost", (unsigned long long)seed);
        }
        assert_int_equal(before.violations, 0);
        preemptions += before.preemptions;
        scheduler_free(t.scheduler);
        t.scheduler = scheduler_new(&(struct scheduler_config){.env = &t.stage.env, .seed = seed});
        scheduler_resync(t.scheduler, stage_tip(&t.stage));
        scheduler_stats(t.scheduler, &after);
        assert_int_equal(before.active, 0);
        assert_int_equal(after.active, before.parked);
        assert_int_equal(after.nodes, before.nodes);
        assert_int_equal(after.classes, before.classes);
        nothing_waits_that_fits(&t);
        scheduler_free(t.scheduler);
        stage_close(&t.stage);
    }
    assert_true(preemptions > 60);
}

static void the_same_seed_places_the_same(void **state)
{
    (void)state;
    uint64_t hashes[2];
    for (unsigned run = 0; run < 2; run++) {
        struct trial t = {.seed = 5, .rng = {5}};
        stage_open(&t.stage, 5);
        const struct scheduler_config config = {.env = &t.stage.env, .seed = 5};
        t.scheduler = scheduler_new(&config);
        t.stage.hooks = (struct stage_hooks){.data = &t, .observe = observe};
        stage_apply(&t.stage, "namespace default\nrs web replicas=0\nrs db replicas=0");
        for (unsigned i = 0; i < 200; i++) {
            random_event(&t);
        }
        schedule(&t, 1024, false);
        hashes[run] = view_state_hash(stage_tip(&t.stage)).lo;
        scheduler_free(t.scheduler);
        stage_close(&t.stage);
    }
    assert_true(hashes[0] == hashes[1]);
}

/* ---- A crowd that waits ---- */

static unsigned decide_once(struct trial *t, struct scheduler_stats *after)
{
    struct txn txn;
    struct error err = {0};
    txn_init(&txn, "scheduler");
    scheduler_run(t->scheduler, stage_tip(&t->stage), env_wall_ms(&t->stage.env), 1024, &txn);
    unsigned ops = txn.count;
    if (ops > 0) {
        assert_int_equal(stage_submit(&t->stage, &txn, &err), 0);
    }
    txn_close(&txn);
    scheduler_stats(t->scheduler, after);
    return ops;
}

static void open_crowd(struct trial *t, const struct scheduler_config *config, unsigned pods)
{
    memset(t, 0, sizeof *t);
    stage_open(&t->stage, 1);
    t->scheduler = scheduler_new(config);
    t->stage.hooks = (struct stage_hooks){.data = t, .observe = observe};
    stage_apply(&t->stage, "namespace default\nnode n1 cpu=1\nrs web replicas=0");
    CLEANUP_BUF struct buf text = BUF_INIT;
    for (unsigned i = 0; i < pods; i++) {
        buf_printf(&text, "pod p%05u cpu=1000m owner=rs/web\n", i);
    }
    stage_apply(&t->stage, buf_cstr(&text));
}

/* 3,000 pods wait for room; when there is room for one, as many as WAKE_MAX are looked at, not all, and the oldest
 * gets it. */
static void room_for_one_does_not_stir_the_crowd(void **state)
{
    (void)state;
    struct trial t;
    struct scheduler_stats before, after;
    const struct scheduler_config config = {.env = &t.stage.env, .seed = 1};
    open_crowd(&t, &config, 3000);
    do {
        decide_once(&t, &after);
    } while (after.active > 0);
    assert_int_equal(after.bound, 1);
    assert_int_equal(after.parked, 2999);
    /* A crowd has its conditions, the first of it events as well. */
    assert_true(view_count(stage_tip(&t.stage), kind_by_id(KIND_EVENT)) < 1100);
    for (unsigned i = 0; i < 3; i++) {
        char name[16];
        snprintf(name, sizeof name, "p%05u", i);
        stage_remove(&t.stage, stage_get(&t.stage, KIND_POD, "default", name));
        before = after;
        unsigned ops = 0;
        do {
            ops += decide_once(&t, &after);
        } while (after.active > 0);
        assert_int_equal(after.bound, before.bound + 1);
        assert_true(after.unschedulable - before.unschedulable < 100);
        assert_true(ops <= 2); /* the binding and its event */
        snprintf(name, sizeof name, "p%05u", i + 1);
        const struct object *next = stage_get(&t.stage, KIND_POD, "default", name);
        assert_true(str_is(mp_str(mp_path(object_mp(next), "spec.nodeName")), "n1"));
    }
    /* Room for many: group after group finds its place, until none is left. */
    stage_apply(&t.stage, "node n2 cpu=4000 pods=5000");
    do {
        decide_once(&t, &after);
    } while (after.active > 0);
    assert_int_equal(after.parked, 0);
    nodes_are_not_over_committed(&t);
    scheduler_free(t.scheduler);
    stage_close(&t.stage);
}

static int64_t clock_ms;
static int64_t running_clock(void *data)
{
    (void)data;
    return clock_ms++;
}

/* Each look at the clock takes a millisecond here: a run ends soon after its budget, and the rest goes on in the
 * next. */
static void a_run_ends_with_its_budget(void **state)
{
    (void)state;
    struct trial t;
    struct scheduler_stats stats;
    struct env env = {NULL, running_clock, NULL, NULL, NULL};
    const struct scheduler_config config = {.env = &env, .seed = 1, .budget_ms = 2};
    open_crowd(&t, &config, 500);
    unsigned runs = 0;
    do {
        unsigned ops = decide_once(&t, &stats);
        assert_true(ops > 0 && ops < 200);
        runs++;
    } while (stats.active > 0);
    assert_true(runs > 5);
    assert_int_equal(stats.parked, 499);
    scheduler_free(t.scheduler);
    stage_close(&t.stage);
}

/* ---- Bounds of what pods want of other pods ---- */

static void run_all(struct trial *t, struct scheduler_stats *after)
{
    do {
        decide_once(t, after);
    } while (after->active > 0);
    decide_once(t, after);
}

static void apart_by(struct trial *t, unsigned i, unsigned terms)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    buf_printf(&b, "apiVersion: v1\nkind: Pod\nmetadata: {name: k%u}\nspec: {containers: [{name: c, image: i}], ", i);
    buf_puts(&b, "affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [");
    for (unsigned n = 0; n < terms; n++) {
        buf_printf(&b, "%s{topologyKey: key-%u, labelSelector: {}}", n > 0 ? ", " : "", i + n);
    }
    buf_puts(&b, "]}}}\n");
    stage_apply(&t->stage, buf_cstr(&b));
}

/* 192 topology keys that no node has are followed, and 100 terms of a pod: beyond that pods wait, and are woken when a
 * key is free. */
static void keys_and_terms_are_bounded(void **state)
{
    (void)state;
    struct trial t = {0};
    struct scheduler_stats stats;
    stage_open(&t.stage, 1);
    const struct scheduler_config config = {.env = &t.stage.env, .seed = 1};
    t.scheduler = scheduler_new(&config);
    t.stage.hooks = (struct stage_hooks){.data = &t, .observe = observe};
    stage_apply(&t.stage, "namespace default\nnode n1 cpu=4 pods=1000");
    for (unsigned i = 0; i < 260; i++) {
        apart_by(&t, i, 1);
    }
    apart_by(&t, 1000, 101);
    run_all(&t, &stats);
    assert_int_equal(stats.bound, 192);
    assert_int_equal(stats.parked, 69);
    const struct object *last = stage_get(&t.stage, KIND_POD, "default", "k259");
    CLEANUP_BUF struct buf why = BUF_INIT;
    scheduler_explain(t.scheduler, stage_tip(&t.stage), last, &why);
    assert_string_equal(buf_cstr(&why), "0/1 nodes are available: more topology keys are in use than the scheduler "
                                        "follows.");
    stage_remove(&t.stage, stage_get(&t.stage, KIND_POD, "default", "k7"));
    stage_remove(&t.stage, stage_get(&t.stage, KIND_POD, "default", "k8"));
    run_all(&t, &stats);
    assert_int_equal(stats.bound, 194);
    assert_int_equal(stats.parked, 67);
    assert_int_equal(stats.violations, 0);
    scheduler_free(t.scheduler);
    stage_close(&t.stage);
}

/* 300 pods that differ in a label alone are 300 classes, but nodes are looked at once for all of them, until a term
 * asks for the label. */
static void labels_that_nobody_asks_for_cost_no_look_at_all_nodes(void **state)
{
    (void)state;
    struct trial t = {0};
    struct scheduler_stats stats;
    stage_open(&t.stage, 1);
    const struct scheduler_config config = {.env = &t.stage.env, .seed = 1};
    t.scheduler = scheduler_new(&config);
    t.stage.hooks = (struct stage_hooks){.data = &t, .observe = observe};
    CLEANUP_BUF struct buf text = BUF_INIT;
    buf_puts(&text, "namespace default\nrs web replicas=0\n");
    for (unsigned i = 0; i < 100; i++) {
        buf_printf(&text, "node n%u labels=topology.kubernetes.io/zone=z%u\n", i, i % 3);
    }
    for (unsigned i = 0; i < 300; i++) {
        buf_printf(&text, "pod p%u labels=number=n%u owner=rs/web\n", i, i);
    }
    stage_apply(&t.stage, buf_cstr(&text));
    run_all(&t, &stats);
    assert_int_equal(stats.bound, 300);
    assert_int_equal(stats.classes, 300);
    assert_true(stats.evaluations < 1000);
    stage_apply(&t.stage,
                "apiVersion: v1\nkind: Pod\nmetadata: {name: apart}\nspec: {containers: [{name: c, image: i}], "
                "affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: "
                "topology.kubernetes.io/zone, labelSelector: {matchLabels: {number: n300}}}]}}}\n");
    run_all(&t, &stats);
    const struct object *apart = stage_get(&t.stage, KIND_POD, "default", "apart");
    struct str zone = mp_str(mp_path(object_mp(apart), "spec.nodeName"));
    stage_apply(&t.stage, "pod p300 labels=number=n300 owner=rs/web\npod p301 labels=number=n301 owner=rs/web");
    run_all(&t, &stats);
    assert_int_equal(stats.bound, 303);
    const struct object *meant = stage_get(&t.stage, KIND_POD, "default", "p300");
    struct str other = mp_str(mp_path(object_mp(meant), "spec.nodeName"));
    assert_true(atoi(zone.p + 1) % 3 != atoi(other.p + 1) % 3);
    assert_int_equal(stats.violations, 0);
    scheduler_free(t.scheduler);
    stage_close(&t.stage);
}

/* Pods p0, p1, ... like the one of that name with a request of cpu that no node has; each a class of its own, or all
 * one. */
static void put_crowd(struct trial *t, const char *ns, unsigned count, bool alike)
{
    CLEANUP_ARENA struct arena a;
    struct txn txn;
    struct error err = {0};
    arena_init(&a);
    txn_init(&txn, "test");
    struct value *doc = object_to_value(&a, stage_get(&t->stage, KIND_POD, ns, "first"));
    struct value *meta = value_get(doc, "metadata");
    struct value *requests = value_path(value_item(value_path(doc, "spec.containers"), 0), "resources.requests");
    value_remove(meta, "uid");
    value_remove(meta, "resourceVersion");
    for (unsigned i = 0; i < count; i++) {
        value_set(&a, meta, "name", value_strf(&a, "p%u", i));
        value_set(&a, requests, "cpu", value_strf(&a, "%u", alike ? 1000 : 1000 + i));
        assert_int_equal(txn_create_value(&txn, kind_by_id(KIND_POD), doc, &err), 0);
        if (txn.count == 500 || i + 1 == count) {
            assert_int_equal(stage_submit(&t->stage, &txn, &err), 0);
            txn_reset(&txn);
        }
    }
    txn_close(&txn);
    buf_reset(&t->stage.trace);
}

/* How many pods were decided before this one was bound. */
static unsigned decisions_until_bound(struct trial *t, const char *ns, const char *name)
{
    struct scheduler_stats before, stats;
    scheduler_stats(t->scheduler, &before);
    for (unsigned round = 0; round < 10000; round++) {
        struct txn txn;
        struct error err = {0};
        txn_init(&txn, "scheduler");
        scheduler_run(t->scheduler, stage_tip(&t->stage), env_wall_ms(&t->stage.env), 64, &txn);
        assert_int_equal(stage_submit(&t->stage, &txn, &err), 0);
        txn_close(&txn);
        buf_reset(&t->stage.trace);
        if (!str_empty(node_of(stage_get(&t->stage, KIND_POD, ns, name), "spec.nodeName"))) {
            scheduler_stats(t->scheduler, &stats);
            return (unsigned)(stats.bound + stats.unschedulable - before.bound - before.unschedulable);
        }
    }
    fail_msg("%s was not bound", name);
    return 0;
}

/* 20,000 pods that fit nowhere, of one template or of as many, were there before: others do not wait for all of them to
 * be told so. */
static void a_crowd_that_fits_nowhere_keeps_other_namespaces_waiting_for_one_turn(void **state)
{
    (void)state;
    for (unsigned alike = 0; alike < 2; alike++) {
        struct trial t = {0};
        struct scheduler_stats stats;
        stage_open(&t.stage, 1);
        const struct scheduler_config config = {.env = &t.stage.env, .seed = 1};
        t.scheduler = scheduler_new(&config);
        t.stage.hooks = (struct stage_hooks){.data = &t, .observe = observe};
        stage_apply(&t.stage, "namespace crowd\nnamespace other\nnode n1 cpu=4\npod first ns=crowd cpu=1000");
        put_crowd(&t, "crowd", 20000, alike);
        stage_apply(&t.stage, "pod one ns=other cpu=1\npod two ns=other cpu=1");
        unsigned decisions = decisions_until_bound(&t, "other", "two");
        if (decisions > 256 + 64) {
            fail_msg("another namespace was served after %u decisions", decisions);
        }
        /* The same namespace: another template waits as little. */
        stage_apply(&t.stage, "pod three ns=crowd cpu=1");
        assert_true(decisions_until_bound(&t, "crowd", "three") <= (alike ? 512 + 64 : 21000));
        run_all(&t, &stats);
        assert_int_equal(stats.bound, 3);
        assert_int_equal(stats.parked, 20001);
        /* And of those that wait a few are looked at when room comes, not all. */
        uint64_t told = stats.unschedulable;
        stage_apply(&t.stage, "node n2 cpu=4\npod four ns=other cpu=1");
        run_all(&t, &stats);
        assert_int_equal(stats.bound, 4);
        assert_true(stats.unschedulable - told <= 64);
        scheduler_free(t.scheduler);
        stage_close(&t.stage);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_clusters_are_never_over_committed),
        cmocka_unit_test(the_same_seed_places_the_same),
        cmocka_unit_test(room_for_one_does_not_stir_the_crowd),
        cmocka_unit_test(a_run_ends_with_its_budget),
        cmocka_unit_test(a_crowd_that_fits_nowhere_keeps_other_namespaces_waiting_for_one_turn),
        cmocka_unit_test(keys_and_terms_are_bounded),
        cmocka_unit_test(labels_that_nobody_asks_for_cost_no_look_at_all_nodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
