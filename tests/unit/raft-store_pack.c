/* Objects that are left alone are packed, and nobody sees it: not who reads, not the other masters, not snapshots. */
#include "tests/unit/raft-store_help.h"

#include "raft-store/store/snapshot.h"

struct site {
    struct fake_env fake;
    struct store *packs, *plain; /* the leader, which packs, and a follower, which does not */
    uint64_t index;
    struct error err;
};

static struct store *new_store(struct site *w, size_t history_bytes, bool early)
{
    struct store_config config = {.env = &w->fake.env, .history_bytes_max = history_bytes, .pack_early = early};
    return store_new(&config);
}

static int setup(void **state)
{
    struct site *w = xcalloc(1, sizeof *w);
    fake_init(&w->fake, 7);
    w->packs = new_store(w, 4096, true);
    w->plain = new_store(w, 4096, false);
    store_tip_open(w->packs, 1);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct site *w = *state;
    store_free(w->packs);
    store_free(w->plain);
    free(w);
    return 0;
}

static struct object *template_pod(const char *name, const char *owner, const char *node, unsigned n)
{
    return yaml_object(
        "{apiVersion: v1, kind: Pod, metadata: {name: %s, namespace: default, labels: {app: web, hash: abc}, "
        "ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: rs, uid: %s, controller: true}]}, spec: "
        "{nodeName: %s, containers: [{name: c, image: 'registry.example.com/team/web:1.25.3', command: [/bin/serve, "
        "--port, '8080'], env: [{name: STAGE, value: production}, {name: REGION, value: north}], resources: {requests: "
        "{cpu: 100m, memory: 128Mi}}}]}, status: {phase: Running, podIP: 10.0.%u.%u, conditions: [{type: Ready, "
        "status: 'True', lastTransitionTime: '2026-01-02T03:%02u:00Z'}]}}",
        name, owner, node, n / 200 % 200, n % 200, n % 60);
}

static void create(struct site *w, const char *prefix, const char *owner, unsigned n)
{
    char name[40], node[16];
    snprintf(name, sizeof name, "%s-%05u", prefix, n);
    snprintf(node, sizeof node, "node-%u", n % 50);
    must(eval_create(w->packs, template_pod(name, owner, node, n), &w->err), &w->err);
}

/* What is open is committed on both. */
static void commit(struct site *w)
{
    CLEANUP_BUF struct buf entry = BUF_INIT;
    if (store_batch_empty(w->packs)) {
        return;
    }
    store_batch_take(w->packs, &entry);
    w->index++;
    must(store_apply(w->plain, w->index, entry.data, entry.size, &w->err), &w->err);
    must(store_apply(w->packs, w->index, entry.data, entry.size, &w->err), &w->err);
}

struct tally {
    unsigned packed, plain, together; /* together: packed ones whose bodies are put together */
    uint64_t bytes;
};

static struct tally tally(const struct view *v, unsigned kind)
{
    struct tally t = {0};
    struct view_iter it;
    view_iter(&it, v, kind_by_id(kind), STR_NONE);
    VIEW_FOR(o, &it)
    {
        t.packed += o->packed;
        t.plain += !o->packed;
        t.together += o->packed && o->body_there != NULL;
        t.bytes += object_kept_bytes(o);
    }
    return t;
}

static int to_buf(void *data, const void *p, size_t n)
{
    buf_append(data, p, n);
    return 0;
}

static void take_snapshot(struct store *s, struct buf *out)
{
    struct store_fork *f = store_fork_new(s);
    assert_int_equal(store_fork_write(f, to_buf, out), 0);
    store_fork_free(f);
}

static void bump(struct arena *a, struct value *doc)
{
    struct value *labels = value_ensure_map(a, value_get(doc, "metadata"), "labels");
    int64_t n = value_to_str(value_get(labels, "n")).n;
    value_set(a, labels, "n", value_strf(a, "%.*s", (int)(n + 1) % 8, "xxxxxxxx"));
}

static void one_that_packs_agrees_with_one_that_does_not(void **state)
{
    struct site *w = *state;
    struct rng r = {11};
    static const char *const owners[] = {"rs-1", "rs-2", "rs-3"}, *const prefixes[] = {"a", "b", "c"};
    for (unsigned i = 0; i < 3000; i++) {
        unsigned which = (unsigned)rng_below(&r, 3), n = (unsigned)rng_below(&r, 40);
        char name[40];
        snprintf(name, sizeof name, "%s-%05u", prefixes[which], n);
        const struct object *o = find(store_tip(w->packs), KIND_POD, "default", name);
        if (o == NULL) {
            create(w, prefixes[which], owners[which], n);
        } else if (rng_below(&r, 3) == 0) {
            must(eval_delete(w->packs, o, &w->err), &w->err);
        } else {
            must(eval_update(w->packs, edited(o, bump), TXN_PART_SPEC, 0, NULL, &w->err), &w->err);
        }
        if (rng_below(&r, 3) == 0) {
            store_pack(w->packs);
        }
        if (rng_below(&r, 4) == 0) {
            commit(w); /* which compares hashes */
        }
        if (rng_below(&r, 60) == 0) {
            store_pack(w->packs);
            view_check(store_tip(w->packs));
        }
    }
    commit(w);
    store_pack(w->packs);
    struct pack_stats stats;
    store_pack_stats(w->packs, &stats);
    assert_in_range(stats.packed, 500, 1000000);
    assert_in_range(stats.repacked, 100, 1000000);
    assert_in_range(tally(store_committed(w->packs), KIND_POD).packed, 30, 120);
    CLEANUP_BUF struct buf mine = BUF_INIT, theirs = BUF_INIT;
    take_snapshot(w->packs, &mine);
    take_snapshot(w->plain, &theirs);
    assert_int_equal(mine.size, theirs.size);
    assert_memory_equal(mine.data, theirs.data, mine.size);
    assert_views_equal(store_committed(w->packs), store_committed(w->plain));
}

static void a_version_that_is_held_stays_as_it_is(void **state)
{
    struct site *w = *state;
    for (unsigned i = 0; i < 20; i++) {
        create(w, "a", "rs-1", i);
    }
    commit(w);
    struct view *held = view_ref(store_committed(w->packs)), *fork = view_fork(held);
    const struct object *o = find(held, KIND_POD, "default", "a-00007");
    store_pack(w->packs);
    assert_true(find(held, KIND_POD, "default", "a-00007") == o && !o->packed);
    assert_int_equal(tally(held, KIND_POD).packed, 0);
    assert_int_equal(tally(fork, KIND_POD).packed, 0);
    assert_int_equal(tally(store_tip(w->packs), KIND_POD).packed, 19);
    assert_int_equal(tally(store_committed(w->packs), KIND_POD).packed, 19); /* nothing was in flight */
    assert_true(view_revision(held) == view_revision(store_committed(w->packs)));
    assert_views_equal(held, store_committed(w->packs));
    view_unref(held);
    view_unref(fork);
}

static void one_that_changes_changes_no_other(void **state)
{
    struct site *w = *state;
    for (unsigned i = 0; i < 20; i++) {
        create(w, "a", "rs-1", i);
    }
    commit(w);
    store_pack(w->packs);
    /* Also the first one, which is the base of all others. */
    const char *const names[] = {"a-00000", "a-00007"};
    for (unsigned i = 0; i < 2; i++) {
        const struct object *o = find(store_tip(w->packs), KIND_POD, "default", names[i]);
        must(eval_update(w->packs, edited(o, bump), TXN_PART_SPEC, 0, NULL, &w->err), &w->err);
    }
    must(eval_delete(w->packs, find(store_tip(w->packs), KIND_POD, "default", "a-00003"), &w->err), &w->err);
    commit(w);
    for (unsigned i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof name, "a-%05u", i);
        const struct object *o = find(store_tip(w->packs), KIND_POD, "default", name);
        assert_int_equal(o != NULL, i != 3);
        assert_int_equal(o != NULL && !str_empty(object_label(o, "n")), i == 0 || i == 7);
    }
    assert_views_equal(store_committed(w->packs), store_committed(w->plain));
}

static void a_base_that_serves_nobody_else_goes(void **state)
{
    struct site *w = *state;
    for (unsigned i = 0; i < 3; i++) {
        create(w, "a", "rs-1", i);
    }
    commit(w);
    store_pack(w->packs);
    assert_int_equal(tally(store_tip(w->packs), KIND_POD).packed, 2);
    /* Its base and the other are deleted, others push it out of the table (two hosts of a row). */
    must(eval_delete(w->packs, find(store_tip(w->packs), KIND_POD, "default", "a-00000"), &w->err), &w->err);
    must(eval_delete(w->packs, find(store_tip(w->packs), KIND_POD, "default", "a-00001"), &w->err), &w->err);
    commit(w);
    for (unsigned i = 0; i < 40; i++) { /* pods of that owner that resemble nothing: the row is theirs then */
        char name[16], junk[700];
        struct rng r = {i};
        for (unsigned n = 0; n + 1 < sizeof junk; n++) {
            junk[n] = (char)('a' + rng_below(&r, 26));
        }
        junk[sizeof junk - 1] = '\0';
        snprintf(name, sizeof name, "z-%05u", i);
        must(
            eval_create(w->packs,
                        yaml_object("{apiVersion: v1, kind: Pod, metadata: {name: %s, namespace: default, annotations: "
                                    "{a: %s}, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: rs, "
                                    "uid: rs-1, controller: true}]}, spec: {containers: [{name: c, image: i}]}}",
                                    name, junk),
                        &w->err),
            &w->err);
        commit(w);
        store_pack(w->packs);
    }
    for (unsigned i = 0; i < 20; i++) { /* and the history lets go of those that were deleted */
        must(eval_create(w->packs, config_map("default", "m", "k", "v"), &w->err), &w->err);
        must(eval_delete(w->packs, find(store_tip(w->packs), KIND_CONFIGMAP, "default", "m"), &w->err), &w->err);
        commit(w);
        store_pack(w->packs);
    }
    const struct object *last = find(store_tip(w->packs), KIND_POD, "default", "a-00002");
    assert_false(last->packed);
    assert_views_equal(store_committed(w->packs), store_committed(w->plain));
}

static void what_history_lets_go_of_is_packed_and_what_is_read_is_packed_again(void **state)
{
    struct site *w = *state;
    store_free(w->packs);
    w->packs = new_store(w, 64 << 10, false);
    store_tip_open(w->packs, 1);
    for (unsigned i = 0; i < 400; i++) {
        create(w, "a", "rs-1", i);
        commit(w);
        store_pack(w->packs);
    }
    struct tally before = tally(store_committed(w->packs), KIND_POD);
    assert_in_range(before.packed, 250, 399); /* the newest are in the history still */
    assert_in_range(before.plain, 10, 150);
    struct view_iter it;
    view_iter(&it, store_committed(w->packs), kind_by_id(KIND_POD), STR_NONE);
    VIEW_FOR(o, &it)
    {
        assert_true(mp_type(object_spec(o)) == MP_MAP);
    }
    assert_int_equal(tally(store_committed(w->packs), KIND_POD).together, before.packed);
    for (unsigned i = 400; i < 520; i++) {
        create(w, "a", "rs-1", i);
        commit(w);
        store_pack(w->packs);
    }
    assert_int_equal(tally(store_committed(w->packs), KIND_POD).together, 0);
    assert_views_equal(store_committed(w->packs), store_committed(w->plain));
}

static void a_follower_packs_and_so_does_who_reads_a_snapshot(void **state)
{
    struct site *w = *state;
    struct store *follower = new_store(w, 4096, true), *restored = new_store(w, 4096, false);
    CLEANUP_BUF struct buf snapshot = BUF_INIT;
    for (unsigned i = 0; i < 300; i++) {
        create(w, i % 2 == 0 ? "a" : "b", i % 2 == 0 ? "rs-1" : "rs-2", i);
        CLEANUP_BUF struct buf entry = BUF_INIT;
        store_batch_take(w->packs, &entry);
        must(store_apply(w->packs, i + 1, entry.data, entry.size, &w->err), &w->err);
        must(store_apply(follower, i + 1, entry.data, entry.size, &w->err), &w->err);
        store_pack(follower);
    }
    must(eval_create(w->packs,
                     yaml_object("{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: default}, "
                                 "stringData: {k: v}}"),
                     &w->err),
         &w->err);
    CLEANUP_BUF struct buf entry = BUF_INIT;
    store_batch_take(w->packs, &entry);
    must(store_apply(w->packs, 301, entry.data, entry.size, &w->err), &w->err);
    must(store_apply(follower, 301, entry.data, entry.size, &w->err), &w->err);
    assert_in_range(tally(store_committed(follower), KIND_POD).packed, 200, 298);
    take_snapshot(follower, &snapshot);
    must(store_restore(restored, snapshot.data, snapshot.size, 301, &w->err), &w->err);
    assert_int_equal(tally(store_committed(restored), KIND_POD).packed, 298);
    assert_int_equal(tally(store_committed(restored), KIND_POD).together, 0);
    assert_views_equal(store_committed(restored), store_committed(follower));
    assert_views_equal(store_committed(w->packs), store_committed(follower));
    store_free(follower);
    store_free(restored);
}

/* What a pod of a template takes in a version: its object, and its places in tree and indexes. */
#define POD_BYTES_MAX 600u

static void a_pod_of_a_template_takes_few_bytes(void **state)
{
    struct site *w = *state;
    enum { PODS = 5000 };
    store_free(w->packs);
    w->packs = new_store(w, 4096, false);
    store_tip_open(w->packs, 1);
    for (unsigned i = 0; i < PODS; i++) {
        create(w, i % 10 == 0 ? "a" : "b", i % 10 == 0 ? "rs-1" : "rs-2", i);
        if (i % 50 == 49) {
            CLEANUP_BUF struct buf entry = BUF_INIT;
            store_batch_take(w->packs, &entry);
            must(store_apply(w->packs, ++w->index, entry.data, entry.size, &w->err), &w->err);
            store_pack(w->packs);
        }
    }
    for (unsigned i = 0; i < 100; i++) {
        store_pack(w->packs);
    }
    const struct view *v = store_committed(w->packs);
    struct tally t = tally(v, KIND_POD);
    uint64_t bytes = t.bytes / PODS, indexed = view_index_bytes(v) / PODS;
    print_message("a pod: %u bytes, %u in indexes, of a body of %u; %u of %u packed\n", (unsigned)bytes,
                  (unsigned)indexed, (unsigned)(view_bytes(v) / PODS), t.packed, PODS);
    assert_in_range(t.packed, PODS * 85 / 100, PODS); /* the last lap does not meet what came behind it */
    assert_in_range(bytes + indexed, 1, POD_BYTES_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_that_packs_agrees_with_one_that_does_not, setup, teardown),
        cmocka_unit_test_setup_teardown(a_version_that_is_held_stays_as_it_is, setup, teardown),
        cmocka_unit_test_setup_teardown(one_that_changes_changes_no_other, setup, teardown),
        cmocka_unit_test_setup_teardown(a_base_that_serves_nobody_else_goes, setup, teardown),
        cmocka_unit_test_setup_teardown(what_history_lets_go_of_is_packed_and_what_is_read_is_packed_again, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_follower_packs_and_so_does_who_reads_a_snapshot, setup, teardown),
        cmocka_unit_test_setup_teardown(a_pod_of_a_template_takes_few_bytes, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
