/* The runtime's queue: one key once, backoff after errors, delays, the time budget; and the common pieces of
 * controllers. */
#include "tests/unit/controllers_fixture.h"

static void many_changes_of_one_object_are_one_key(void **state)
{
    (void)state;
    struct fixture f;
    struct env env;
    open_fixture(&f, &env);
    stage_apply(&f.cluster.stage, "rs web replicas=0");
    unsigned queued = stats_of(&f).queued;
    assert_int_equal(queued, 3); /* itself; having no owner, a look for a Deployment; and one for rivals */
    for (int i = 0; i < 5; i++) {
        stage_patch(&f.cluster.stage, KIND_REPLICASET, "default", "web",
                    i % 2 == 0 ? "metadata: {labels: {a: b}}" : "metadata: {labels: {a: c}}");
    }
    assert_int_equal(stats_of(&f).queued, queued);
    close_fixture(&f);
}

static void errors_back_off_and_success_forgets_them(void **state)
{
    (void)state;
    struct fixture f;
    struct env env;
    open_fixture(&f, &env);
    stage_apply(&f.cluster.stage, "rs web replicas=0");
    f.refuse = 4;
    for (int64_t wanted_ms = 5; wanted_ms <= 40; wanted_ms *= 2) {
        controllers_run(f.cluster.controllers, 1);
        int64_t due_ms = controllers_next_deadline(f.cluster.controllers);
        assert_int_equal(due_ms - f.cluster.stage.now_ms, wanted_ms);
        f.cluster.stage.now_ms = due_ms;
    }
    assert_int_equal(stats_of(&f).errors, 4);
    while (controllers_run(f.cluster.controllers, 1)) {
    }
    assert_int_equal(controllers_next_deadline(f.cluster.controllers), INT64_MAX);
    stage_patch(&f.cluster.stage, KIND_REPLICASET, "default", "web", "spec: {minReadySeconds: 1}");
    f.refuse = 1;
    controllers_run(f.cluster.controllers, 1);
    assert_int_equal(controllers_next_deadline(f.cluster.controllers) - f.cluster.stage.now_ms, 5);
    close_fixture(&f);
}

static void a_turn_ends_with_its_budget_but_does_one_key_at_least(void **state)
{
    (void)state;
    struct fixture f;
    struct env env;
    open_fixture(&f, &env);
    stage_apply(&f.cluster.stage, "rs a replicas=0\nrs b replicas=0\nrs c replicas=0");
    uint64_t before = stats_of(&f).reconciles;
    f.clock_step_ms = 10;
    assert_true(controllers_run(f.cluster.controllers, 5));
    assert_int_equal(stats_of(&f).reconciles, before + 1);
    f.clock_step_ms = 0;
    controllers_run(f.cluster.controllers, 5);
    assert_int_equal(stats_of(&f).queued, 0);
    close_fixture(&f);
}

static void without_leadership_nothing_is_reconciled(void **state)
{
    (void)state;
    struct fixture f;
    struct env env;
    open_fixture(&f, &env);
    stage_apply(&f.cluster.stage, "rs web replicas=3");
    f.led = false;
    unsigned submits = f.submits;
    assert_false(controllers_run(f.cluster.controllers, 5));
    assert_int_equal(f.submits, submits);
    f.led = true;
    controllers_resync(f.cluster.controllers);
    while (controllers_run(f.cluster.controllers, 5)) {
    }
    assert_int_equal(view_count(stage_tip(&f.cluster.stage), kind_by_id(KIND_POD)), 3);
    close_fixture(&f);
}

/* A new leader of many objects: each turn looks at some of them, keys are served in between, and all have their turn,
 * also those that come and change meanwhile. */
static void when_leadership_begins_objects_are_looked_at_step_by_step(void **state)
{
    (void)state;
    struct fixture f;
    struct env env;
    char name[32];
    open_fixture(&f, &env);
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "rs r%u replicas=1", i);
        stage_apply(&f.cluster.stage, name);
    }
    controllers_resync(f.cluster.controllers);
    assert_true(stats_of(&f).queued < 10);
    f.clock_step_ms = 10; /* a step, and a key, a call */
    assert_true(controllers_run(f.cluster.controllers, 5));
    unsigned first = stats_of(&f).queued, calls = 1;
    assert_in_range(first, 1, 1000);
    stage_apply(&f.cluster.stage, "rs late replicas=1");
    stage_patch(&f.cluster.stage, KIND_REPLICASET, "default", "r999", "spec: {replicas: 2}");
    stage_remove(&f.cluster.stage, stage_get(&f.cluster.stage, KIND_REPLICASET, "default", "r998"));
    while (controllers_run(f.cluster.controllers, 5)) {
        calls++;
        buf_reset(&f.cluster.stage.trace);
    }
    assert_true(calls > 1000);
    assert_int_equal(view_count(stage_tip(&f.cluster.stage), kind_by_id(KIND_POD)), 1001);
    close_fixture(&f);
}

static void a_large_replicaset_is_filled_in_batches(void **state)
{
    (void)state;
    struct fixture f;
    struct env env;
    open_fixture(&f, &env);
    stage_apply(&f.cluster.stage, "rs web replicas=1200");
    while (controllers_run(f.cluster.controllers, 5)) {
    }
    assert_int_equal(view_count(stage_tip(&f.cluster.stage), kind_by_id(KIND_POD)), 1200);
    const struct object *rs = stage_get(&f.cluster.stage, KIND_REPLICASET, "default", "web");
    assert_int_equal(mp_int(mp_path(object_mp(rs), "status.replicas"), 0), 1200);
    stage_patch(&f.cluster.stage, KIND_REPLICASET, "default", "web", "spec: {replicas: 0}");
    while (controllers_run(f.cluster.controllers, 5)) {
    }
    assert_int_equal(view_count(stage_tip(&f.cluster.stage), kind_by_id(KIND_POD)), 0);
    close_fixture(&f);
}

static void finished_pods_above_the_threshold_go_oldest_first(void **state)
{
    (void)state;
    struct fixture f;
    struct env env;
    struct arena a;
    struct txn t;
    struct error err = {0};
    open_fixture(&f, &env);
    stage_apply(&f.cluster.stage, "pod first phase=Failed age=900s");
    const struct object *first = stage_get(&f.cluster.stage, KIND_POD, "default", "first");
    arena_init(&a);
    txn_init(&t, "test");
    struct value *doc = object_to_value(&a, first), *metadata = value_get(doc, "metadata");
    value_remove(metadata, "uid");
    value_remove(metadata, "creationTimestamp");
    for (unsigned i = 0; i < 12600; i++) {
        value_set(&a, metadata, "name", value_strf(&a, "p%u", i));
        assert_int_equal(txn_create_value(&t, first->kind, doc, &err), 0);
        if (t.count == 700) {
            assert_int_equal(stage_submit(&f.cluster.stage, &t, &err), 0);
            txn_reset(&t);
        }
    }
    txn_close(&t);
    arena_close(&a);
    controllers_resync(f.cluster.controllers);
    while (controllers_run(f.cluster.controllers, 5)) {
    }
    assert_int_equal(view_count(stage_tip(&f.cluster.stage), kind_by_id(KIND_POD)), 12500);
    assert_null(stage_get(&f.cluster.stage, KIND_POD, "default", "first"));
    close_fixture(&f);
}

/* ---- Common pieces ---- */

static void a_repeated_event_counts_up(void **state)
{
    (void)state;
    struct stage w;
    stage_open(&w, 1);
    stage_apply(&w, "namespace default\nnode n1");
    for (int i = 0; i < 3; i++) {
        struct arena a;
        struct txn t;
        struct error err = {0};
        arena_init(&a);
        txn_init(&t, "test");
        const struct reconcile_in in = {.view = stage_tip(&w), .wall_ms = env_wall_ms(&w.env), .rng = &w.rng};
        struct reconcile_out out = {.txn = &t, .arena = &a};
        const struct object *node = stage_get(&w, KIND_NODE, "", "n1");
        controller_event(&out, &in, node, "Normal", "Tested", "test", "said %s", "again");
        controller_event(&out, &in, node, "Normal", "Tested", "test", "said %s", "again");
        assert_int_equal(stage_submit(&w, &t, &err), 0);
        txn_close(&t);
        arena_close(&a);
    }
    assert_int_equal(view_count(stage_tip(&w), kind_by_id(KIND_EVENT)), 1);
    struct view_iter it;
    view_iter(&it, stage_tip(&w), kind_by_id(KIND_EVENT), STR_NONE);
    assert_int_equal(mp_int(mp_path(object_mp(view_next(&it)), "count"), 0), 3);
    stage_close(&w);
}

static void deletion_checks_its_preconditions(void **state)
{
    (void)state;
    struct stage w;
    struct txn t;
    struct arena a;
    struct error err = {0};
    stage_open(&w, 1);
    arena_init(&a);
    txn_init(&t, "test");
    stage_apply(&w, "namespace default\npod a");
    const struct object *pod = stage_get(&w, KIND_POD, "default", "a");
    struct deletion_options options = {.grace_s = -1, .if_uid = STR("another")};
    assert_int_equal(deletion_request(&t, &a, pod, &options, 0, &err), ERR_CONFLICT);
    options = (struct deletion_options){.grace_s = -1, .if_revision = pod->revision + 1};
    assert_int_equal(deletion_request(&t, &a, pod, &options, 0, &err), ERR_CONFLICT);
    assert_int_equal(t.count, 0);
    options = (struct deletion_options){.grace_s = -1, .if_uid = pod->uid, .if_revision = pod->revision};
    assert_int_equal(deletion_request(&t, &a, pod, &options, 0, &err), 0);
    assert_int_equal(t.count, 1);
    assert_int_equal(deletion_policy_parse(STR("Foreground")), DELETION_FOREGROUND);
    assert_int_equal(deletion_policy_parse(STR("foreground")), -1);
    txn_close(&t);
    arena_close(&a);
    stage_close(&w);
}

/* ---- A crowd ---- */

static bool has_room;
static bool room_of_the_test(void *data)
{
    (void)data;
    return has_room;
}

static void with_room(struct fixture *f, struct env *env)
{
    open_fixture(f, env);
    controllers_free(f->cluster.controllers);
    const struct controllers_config config = {
        .env = env, .seed = 1, .submit = submit, .tip = tip, .room = room_of_the_test, .data = f};
    f->cluster.controllers = controllers_new(&config);
}

static void without_room_nothing_is_decided_and_with_it_all_goes_on(void **state)
{
    (void)state;
    struct fixture f;
    struct env env;
    with_room(&f, &env);
    has_room = false;
    stage_apply(&f.cluster.stage, "rs web replicas=3");
    uint64_t before = stats_of(&f).reconciles;
    for (int i = 0; i < 3; i++) {
        assert_true(controllers_run(f.cluster.controllers, 1)); /* there is something to do */
    }
    assert_int_equal(stats_of(&f).reconciles, before);
    assert_int_equal(stats_of(&f).errors, 0); /* waiting is no failure */
    has_room = true;
    while (controllers_run(f.cluster.controllers, 1)) {
    }
    assert_int_equal(view_count(stage_tip(&f.cluster.stage), kind_by_id(KIND_POD)), 3);
    close_fixture(&f);
}

static int64_t replicas_said(struct fixture *f, const char *name)
{
    return mp_int(mp_path(object_mp(stage_get(&f->cluster.stage, KIND_REPLICASET, "default", name)), "status.replicas"),
                  -1);
}

/* 300 ReplicaSets wait for their turn when the spec of another changes: it is the next. */
static void a_changed_spec_goes_before_the_crowd(void **state)
{
    (void)state;
    struct fixture f;
    struct env env;
    open_fixture(&f, &env);
    stage_apply(&f.cluster.stage, "rs web replicas=0");
    while (controllers_run(f.cluster.controllers, 1)) {
    }
    for (int i = 0; i < 300; i++) {
        char line[40];
        snprintf(line, sizeof line, "rs r%d replicas=1", i);
        stage_apply(&f.cluster.stage, line);
    }
    stage_patch(&f.cluster.stage, KIND_REPLICASET, "default", "web", "spec: {replicas: 2}");
    unsigned count;
    controllers_all(&count);
    run_keys(&f, count); /* each controller has had its turn */
    assert_int_equal(replicas_said(&f, "web"), 2);
    assert_true(stats_of(&f).queued > 290);
    /* And a crowd of changed specs does not starve the rest. */
    for (int i = 200; i < 300; i++) {
        char name[16];
        snprintf(name, sizeof name, "r%d", i);
        stage_patch(&f.cluster.stage, KIND_REPLICASET, "default", name, "spec: {replicas: 0}");
    }
    run_keys(&f, 100);
    assert_int_equal(replicas_said(&f, "r0"), 1);
    close_fixture(&f);
}

/* Bound pods stay while there are others, and what is to stay is what ranking says. */
static void pods_without_a_node_go_first_whatever_their_number(void **state)
{
    (void)state;
    static const struct {
        unsigned replicas, bound_left, unbound_left;
    } rows[] = {{650, 50, 600}, {100, 50, 50}, {50, 50, 0}, {20, 20, 0}};
    for (unsigned r = 0; r < ARRAY_SIZE(rows); r++) {
        struct fixture f;
        struct env env;
        open_fixture(&f, &env);
        stage_apply(&f.cluster.stage, "node n1\nrs web replicas=700");
        while (controllers_run(f.cluster.controllers, 1)) {
        }
        for (unsigned i = 0; i < 50; i++) {
            assert_true(cluster_schedule(&f.cluster));
        }
        char patch[40];
        snprintf(patch, sizeof patch, "spec: {replicas: %u}", rows[r].replicas);
        stage_patch(&f.cluster.stage, KIND_REPLICASET, "default", "web", patch);
        while (controllers_run(f.cluster.controllers, 1)) {
        }
        unsigned bound = 0, unbound = 0;
        struct view_iter it;
        view_iter(&it, stage_tip(&f.cluster.stage), kind_by_id(KIND_POD), STR_NONE);
        VIEW_FOR(pod, &it)
        {
            bound += !str_empty(pod_node(pod)) && !pod->deleting;
            unbound += str_empty(pod_node(pod));
        }
        assert_int_equal(bound, rows[r].bound_left);
        assert_int_equal(unbound, rows[r].unbound_left);
        assert_true(f.ops_most <= 520); /* 600 go in the second row: not in one turn */
        close_fixture(&f);
    }
}

/* ---- Steps ---- */

/* Named PREFIX0, PREFIX1, ...; every nth is given `extra` in its metadata. */
static void put_many(struct fixture *f, const char *yaml, const char *prefix, unsigned count, unsigned nth,
                     void (*extra)(struct arena *a, struct value *doc))
{
    CLEANUP_ARENA struct arena a;
    struct txn t;
    struct error err = {0};
    struct value **docs;
    unsigned docs_count;
    arena_init(&a);
    assert_int_equal(yaml_read(&a, str_of(yaml), NULL, &docs, &docs_count, &err), 0);
    const struct kind *k = kind_of_document(&a, docs[0], &err);
    txn_init(&t, "test");
    for (unsigned i = 0; i < count; i++) {
        struct value *doc = value_copy(&a, docs[0]);
        value_set(&a, value_get(doc, "metadata"), "name", value_strf(&a, "%s%05u", prefix, i));
        if (i % nth == 0) {
            extra(&a, doc);
        }
        assert_int_equal(txn_create_value(&t, k, doc, &err), 0);
        if (t.count == 1000 || i + 1 == count) {
            assert_int_equal(stage_submit(&f->cluster.stage, &t, &err), 0);
            txn_reset(&t);
        }
    }
    txn_close(&t);
}

static void held_by_a_finalizer(struct arena *a, struct value *doc)
{
    value_append(a, value_ensure_list(a, value_get(doc, "metadata"), "finalizers"), value_cstr(a, "example.com/hold"));
}

static void seen_lately(struct arena *a, struct value *doc)
{
    value_set(a, doc, "lastTimestamp", value_cstr(a, "2099-01-01T00:00:00Z"));
}

/* As many keys as the queue has, at most `limit`; each is one step. */
static unsigned run_all(struct fixture *f, unsigned limit)
{
    uint64_t before = stats_of(f).reconciles;
    while (stats_of(f).reconciles - before < limit && controllers_run(f->cluster.controllers, 1)) {
        f->cluster.stage.now_ms += 2;
    }
    return (unsigned)(stats_of(f).reconciles - before);
}

static void a_large_namespace_is_emptied_step_by_step(void **state)
{
    (void)state;
    enum { COUNT = 6000, HELD = 4 };
    struct fixture f;
    struct env env;
    open_fixture(&f, &env);
    stage_apply(&f.cluster.stage, "namespace big");
    put_many(&f, "{apiVersion: v1, kind: ConfigMap, metadata: {name: x, namespace: big}}", "c", COUNT, HELD,
             held_by_a_finalizer);
    run_all(&f, UINT32_MAX);
    unsigned submits = f.submits;
    stage_patch(&f.cluster.stage, KIND_NAMESPACE, "", "big", "metadata: {deletionTimestamp: '2026-01-01T00:00:00Z'}");
    const struct kind *k = kind_by_id(KIND_CONFIGMAP);
    for (unsigned i = 0; i < 10000 && view_count(stage_tip(&f.cluster.stage), k) > COUNT / HELD; i++) {
        uint64_t before = view_count(stage_tip(&f.cluster.stage), k);
        run_keys(&f, 1);
        f.cluster.stage.now_ms += 2;
        assert_true(before - view_count(stage_tip(&f.cluster.stage), k) <= CONTROLLER_BATCH_MAX);
    }
    run_all(&f, 1000);
    const struct view *tip = stage_tip(&f.cluster.stage);
    struct sum left = view_sum(tip, VIEW_SUM_CONTENTS, STR("big"), NULL);
    assert_int_equal(left.count, COUNT / HELD);
    assert_int_equal(left.fields[CONTENTS_DELETING], COUNT / HELD);
    assert_true(f.submits - submits >= COUNT / CONTROLLER_BATCH_MAX);
    const struct object *ns = view_get(tip, kind_by_id(KIND_NAMESPACE), STR_NONE, STR("big"));
    struct str told = mp_str(mp_get(condition_mp(ns, "NamespaceContentRemaining"), "message"));
    assert_non_null(memmem(told.p, told.n, "configmaps. has", strlen("configmaps. has")));
    /* Nothing is left to be asked: it waits, and goes with the last of them. */
    assert_int_equal(run_all(&f, 100), 0);
    close_fixture(&f);
}

static void events_expire_step_by_step(void **state)
{
    (void)state;
    enum { COUNT = 5000, FRESH = 5 };
    struct fixture f;
    struct env env;
    open_fixture(&f, &env);
    put_many(
        &f,
        "{apiVersion: v1, kind: Event, metadata: {name: x, namespace: default}, involvedObject: {kind: Pod, name: p}, "
        "reason: R, message: M, lastTimestamp: '2020-01-01T00:00:00Z'}",
        "e", COUNT, FRESH, seen_lately);
    controllers_resync(f.cluster.controllers);
    unsigned submits = f.submits;
    run_all(&f, UINT32_MAX);
    assert_int_equal(view_count(stage_tip(&f.cluster.stage), kind_by_id(KIND_EVENT)), COUNT / FRESH);
    assert_true(f.submits - submits >= (COUNT - COUNT / FRESH) / CONTROLLER_BATCH_MAX);
    assert_int_equal(stats_of(&f).errors, 0);
    close_fixture(&f);
}

/* ---- Hostile names ---- */

/* A pod as no API lets it in, but an earlier version may have: its owner's name is too long. */
static void put_pod_with_owner(struct fixture *f, const char *name, size_t owner_size)
{
    struct arena a;
    struct txn t;
    struct error err = {0};
    arena_init(&a);
    txn_init(&t, "test");
    char *owner = arena_alloc(&a, owner_size + 1);
    memset(owner, 'o', owner_size);
    owner[owner_size] = '\0';
    struct value *doc = value_map(&a), *meta = value_map(&a), *reference = value_map(&a);
    value_set(&a, doc, "apiVersion", value_cstr(&a, "v1"));
    value_set(&a, doc, "kind", value_cstr(&a, "Pod"));
    value_set(&a, meta, "name", value_cstr(&a, name));
    value_set(&a, meta, "namespace", value_cstr(&a, "default"));
    value_set(&a, reference, "apiVersion", value_cstr(&a, "apps/v1"));
    value_set(&a, reference, "kind", value_cstr(&a, "ReplicaSet"));
    value_set(&a, reference, "name", value_cstr(&a, owner));
    value_set(&a, reference, "uid", value_cstr(&a, owner));
    value_set(&a, reference, "controller", value_bool(&a, true));
    value_append(&a, value_ensure_list(&a, meta, "ownerReferences"), reference);
    value_set(&a, doc, "metadata", meta);
    assert_int_equal(txn_create_value(&t, kind_by_id(KIND_POD), doc, &err), 0);
    assert_int_equal(stage_submit(&f->cluster.stage, &t, &err), 0);
    txn_close(&t);
    arena_close(&a);
}

static void names_of_any_length_in_what_is_stored_stop_nothing(void **state)
{
    (void)state;
    struct fixture f;
    struct env env;
    open_fixture(&f, &env);
    put_pod_with_owner(&f, "a", 300);
    assert_int_equal(stats_of(&f).keys_refused, 0); /* a key like others: there is no such owner */
    put_pod_with_owner(&f, "b", 100000);
    assert_int_equal(stats_of(&f).keys_refused, 1);
    for (int i = 0; i < 2; i++) { /* as it comes, and with the next leader */
        while (controllers_run(f.cluster.controllers, 1)) {
        }
        controllers_resync(f.cluster.controllers);
    }
    assert_int_equal(stats_of(&f).errors, 0);
    assert_null(stage_get(&f.cluster.stage, KIND_POD, "default", "a")); /* its owner is gone: garbage */
    assert_null(stage_get(&f.cluster.stage, KIND_POD, "default", "b"));
    close_fixture(&f);
}

/* Numbers that no API lets in, in what is stored: they count as the nearest that may be. */
static void numbers_of_any_size_in_what_is_stored_stop_nothing(void **state)
{
    (void)state;
    struct fixture f;
    struct env env;
    open_fixture(&f, &env);
    stage_apply(&f.cluster.stage, "deployment web replicas=0 image=a");
    while (controllers_run(f.cluster.controllers, 1)) {
    }
    stage_apply(&f.cluster.stage, "deployment web replicas=0 image=b");
    while (controllers_run(f.cluster.controllers, 1)) {
    }
    assert_int_equal(view_count(stage_tip(&f.cluster.stage), kind_by_id(KIND_REPLICASET)), 2);
    static const int64_t numbers[] = {-1, -5, INT32_MIN, INT64_MIN, INT64_MAX};
    static const char *const fields[] = {"revisionHistoryLimit", "progressDeadlineSeconds", "minReadySeconds",
                                         "replicas"};
    for (unsigned i = 0; i < ARRAY_SIZE(numbers) * ARRAY_SIZE(fields); i++) {
        struct arena a;
        struct txn t;
        struct error err = {0};
        arena_init(&a);
        txn_init(&t, "test");
        struct value *doc = object_to_value(&a, stage_get(&f.cluster.stage, KIND_DEPLOYMENT, "default", "web"));
        int64_t number = numbers[i / ARRAY_SIZE(fields)];
        number = i % ARRAY_SIZE(fields) == 3 ? MIN(number, 0) : number;
        value_set(&a, value_get(doc, "spec"), fields[i % ARRAY_SIZE(fields)], value_int(&a, number));
        value_remove(value_get(doc, "metadata"), "resourceVersion");
        assert_int_equal(txn_update_value(&t, kind_by_id(KIND_DEPLOYMENT), doc, TXN_PART_ALL, 0, &err), 0);
        assert_int_equal(stage_submit(&f.cluster.stage, &t, &err), 0);
        txn_close(&t);
        arena_close(&a);
        while (controllers_run(f.cluster.controllers, 1)) {
        }
    }
    assert_int_equal(stats_of(&f).errors, 0);
    assert_int_equal(view_count(stage_tip(&f.cluster.stage), kind_by_id(KIND_POD)), 0);
    close_fixture(&f);
}

struct lines {
    char text[4096];
    unsigned count;
};
static void keep_line(void *data, enum log_level level, const char *line, unsigned size)
{
    struct lines *l = data;
    (void)level;
    snprintf(l->text + strlen(l->text), sizeof l->text - strlen(l->text), "%.*s\n", (int)size, line);
    l->count++;
}

/* "A key that goes on failing is told once, a crowd of them as a number." */
static void keys_that_fail_are_told_once_and_a_crowd_as_a_number(void **state)
{
    (void)state;
    struct fixture f;
    struct env env;
    struct lines lines = {.count = 0};
    struct log log = {.name = "test", .level = LOG_LEVEL_INFO, .sink = keep_line, .sink_data = &lines};
    open_fixture(&f, &env);
    controllers_free(f.cluster.controllers);
    const struct controllers_config config = {
        .env = &env, .log = &log, .seed = 1, .submit = submit, .tip = tip, .data = &f};
    f.cluster.controllers = controllers_new(&config);
    char name[40];
    for (int i = 0; i < 15; i++) {
        snprintf(name, sizeof name, "rs r%d replicas=0", i);
        stage_apply(&f.cluster.stage, name);
    }
    f.refuse = INT32_MAX;
    for (int64_t until_ms = f.cluster.stage.now_ms + 50000; f.cluster.stage.now_ms < until_ms;) {
        while (controllers_run(f.cluster.controllers, 1)) {
        }
        f.cluster.stage.now_ms = controllers_next_deadline(f.cluster.controllers);
    }
    assert_int_equal(lines.count, 10);
    assert_non_null(strstr(lines.text, "replicaset default/r0: refused by the test (tried 4 times"));
    f.cluster.stage.now_ms += 60000;
    stage_apply(&f.cluster.stage, "rs late replicas=0");
    for (int64_t until_ms = f.cluster.stage.now_ms + 1000; f.cluster.stage.now_ms < until_ms;) {
        while (controllers_run(f.cluster.controllers, 1)) {
        }
        f.cluster.stage.now_ms = controllers_next_deadline(f.cluster.controllers);
    }
    assert_int_equal(lines.count, 13); /* late is a key of two controllers */
    assert_non_null(strstr(lines.text, "more keys went on failing"));
    assert_non_null(strstr(lines.text, "default/late"));
    close_fixture(&f);
}

/* "An assumption that does not hold fails the key, not the process." */
static void a_reconcile_whose_assumption_fails_is_told_and_changes_nothing(void **state)
{
    (void)state;
    struct fixture f;
    struct env env;
    struct lines lines = {.count = 0};
    struct log log = {.name = "test", .level = LOG_LEVEL_INFO, .sink = keep_line, .sink_data = &lines};
    open_fixture(&f, &env);
    controllers_free(f.cluster.controllers);
    const struct controllers_config config = {
        .env = &env, .log = &log, .seed = 1, .submit = submit, .tip = tip, .data = &f};
    f.cluster.controllers = controllers_new(&config);
    assert_true(failpoint_arm("reconcile_violation=error@1+", NULL));
    stage_apply(&f.cluster.stage, "rs r0 replicas=1");
    while (controllers_run(f.cluster.controllers, 1)) {
    }
    assert_int_equal(view_count(stage_tip(&f.cluster.stage), kind_by_id(KIND_POD)), 0);
    assert_true(stats_of(&f).violations > 0);
    assert_int_equal(stats_of(&f).errors, stats_of(&f).violations);
    assert_non_null(strstr(lines.text, "replicaset default/r0: an assumption of this program does not hold"));
    struct view_iter it;
    unsigned told = 0;
    view_iter(&it, stage_tip(&f.cluster.stage), kind_by_id(KIND_EVENT), STR_NONE);
    VIEW_FOR(o, &it)
    {
        told += str_is(mp_str(mp_get(object_mp(o), "reason")), "ReconcileFailed") &&
                str_is(mp_str(mp_path(object_mp(o), "involvedObject.name")), "r0");
    }
    assert_true(told > 0);
    assert_true(controllers_next_deadline(f.cluster.controllers) - f.cluster.stage.now_ms > 1000); /* not at once */
    failpoint_disarm_all();
    f.cluster.stage.now_ms += 60000;
    while (controllers_run(f.cluster.controllers, 1)) {
    }
    assert_int_equal(view_count(stage_tip(&f.cluster.stage), kind_by_id(KIND_POD)), 1);
    close_fixture(&f);
}

static void the_owner_is_asked_when_a_pod_counts_otherwise_and_not_at_each_status(void **state)
{
    (void)state;
    static const struct {
        const char *patch;
        unsigned queued; /* keys */
    } steps[] = {
        {"status: {phase: Running, podIP: 10.0.0.1}", 0},
        {"status: {conditions: [{type: Ready, status: 'False'}, {type: Initialized, status: 'True'}]}", 0},
        {"status: {message: more of the same}", 0},
        {"status: {conditions: [{type: Ready, status: 'True', lastTransitionTime: '2026-01-01T00:00:00Z'}]}", 1},
        {"status: {message: and more}", 0},
        {"status: {conditions: [{type: Ready, status: 'True', lastTransitionTime: '2026-01-01T00:00:01Z'}]}", 1},
        {"status: {conditions: [{type: Ready, status: 'False'}]}", 1},
        {"status: {phase: Failed}", 1},
    };
    struct fixture f;
    struct env env;
    open_fixture(&f, &env);
    stage_apply(&f.cluster.stage, "rs web replicas=1");
    for (unsigned i = 0; i < ARRAY_SIZE(steps); i++) {
        struct view_iter it;
        while (controllers_run(f.cluster.controllers, 1)) {
        }
        view_iter(&it, stage_tip(&f.cluster.stage), kind_by_id(KIND_POD), STR_NONE);
        CLEANUP_OBJECT struct object *pod = object_ref(view_next(&it));
        assert_int_equal(stats_of(&f).queued, 0);
        stage_status_patch(&f.cluster.stage, pod, steps[i].patch);
        assert_int_equal(stats_of(&f).queued, steps[i].queued);
    }
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_owner_is_asked_when_a_pod_counts_otherwise_and_not_at_each_status),
        cmocka_unit_test(many_changes_of_one_object_are_one_key),
        cmocka_unit_test(errors_back_off_and_success_forgets_them),
        cmocka_unit_test(a_turn_ends_with_its_budget_but_does_one_key_at_least),
        cmocka_unit_test(without_leadership_nothing_is_reconciled),
        cmocka_unit_test(when_leadership_begins_objects_are_looked_at_step_by_step),
        cmocka_unit_test(a_large_replicaset_is_filled_in_batches),
        cmocka_unit_test(finished_pods_above_the_threshold_go_oldest_first),
        cmocka_unit_test(a_repeated_event_counts_up),
        cmocka_unit_test(a_reconcile_whose_assumption_fails_is_told_and_changes_nothing),
        cmocka_unit_test(deletion_checks_its_preconditions),
        cmocka_unit_test(without_room_nothing_is_decided_and_with_it_all_goes_on),
        cmocka_unit_test(a_changed_spec_goes_before_the_crowd),
        cmocka_unit_test(pods_without_a_node_go_first_whatever_their_number),
        cmocka_unit_test(a_large_namespace_is_emptied_step_by_step),
        cmocka_unit_test(events_expire_step_by_step),
        cmocka_unit_test(names_of_any_length_in_what_is_stored_stop_nothing),
        cmocka_unit_test(numbers_of_any_size_in_what_is_stored_stop_nothing),
        cmocka_unit_test(keys_that_fail_are_told_once_and_a_crowd_as_a_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
