/* Leader and followers arrive at the same state, entries and snapshots say all of it, damage is found, secrets are
 * sealed. */
#include "tests/unit/raft-store_help.h"

#include <xxhash.h>

#include "raft-store/store/entry.h"
#include "raft-store/store/snapshot.h"

static const struct pki_ring seal_keys = {1, {{1, 2, 3, 4, 5}}};

struct pair {
    struct fake_env fake;
    struct store *leader, *follower;
    uint64_t index;
    struct error err;
    struct buf entry;
};

static int setup(void **state)
{
    struct pair *p = xcalloc(1, sizeof *p);
    fake_init(&p->fake, 7);
    struct store_config config = {.env = &p->fake.env, .seal_keys = &seal_keys};
    p->leader = store_new(&config);
    p->follower = store_new(&config);
    store_tip_open(p->leader, 1);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct pair *p = *state;
    store_free(p->leader);
    store_free(p->follower);
    buf_close(&p->entry);
    free(p);
    return 0;
}

static void take(struct pair *p)
{
    buf_reset(&p->entry);
    store_batch_take(p->leader, &p->entry);
    assert_int_equal(p->entry.size % 8, 0);
}

static void apply_both(struct pair *p)
{
    p->index++;
    must(store_apply(p->follower, p->index, p->entry.data, p->entry.size, &p->err), &p->err);
    must(store_apply(p->leader, p->index, p->entry.data, p->entry.size, &p->err), &p->err);
}

static void bump(struct arena *a, struct value *doc)
{
    struct value *meta = value_get(doc, "metadata");
    struct value *labels = value_ensure_map(a, meta, "labels");
    int64_t n = value_to_str(value_get(labels, "n")).n;
    value_set(a, labels, "n", value_strf(a, "%.*s", (int)(n + 1) % 8, "xxxxxxxx"));
}

/* One random transaction; returns whether it was accepted. */
static bool random_txn(struct pair *p, struct rng *r)
{
    static const unsigned kinds[] = {KIND_POD, KIND_CONFIGMAP, KIND_SECRET};
    struct txn t;
    struct txn_result result;
    txn_init(&t, "test");
    if (rng_below(r, 2) == 0) {
        uint8_t id[TXN_ID_SIZE];
        for (unsigned i = 0; i < TXN_ID_SIZE; i++) {
            id[i] = (uint8_t)rng_below(r, 256);
        }
        txn_set_id(&t, id);
    }
    unsigned ops = 1 + (unsigned)rng_below(r, 4);
    for (unsigned i = 0; i < ops; i++) {
        unsigned kind = kinds[rng_below(r, 3)];
        char name[16], node[16];
        snprintf(name, sizeof name, "o%u", (unsigned)rng_below(r, 60));
        snprintf(node, sizeof node, "n%u", (unsigned)rng_below(r, 4));
        const struct object *o = find(store_tip(p->leader), kind, "default", name);
        unsigned dice = (unsigned)rng_below(r, 10);
        if (o == NULL) {
            txn_create(&t, kind == KIND_POD ? pod("default", name, dice < 3 ? NULL : node)
                           : kind == KIND_CONFIGMAP
                               ? config_map("default", name, "k", node)
                               : yaml_object("{apiVersion: v1, kind: Secret, metadata: {name: %s, "
                                             "namespace: default}, stringData: {p: hunter2hunter2}}",
                                             name));
        } else if (dice < 7) {
            txn_update(&t, edited(o, bump), TXN_PART_SPEC, 0);
        } else {
            txn_delete(&t, o);
        }
    }
    struct error err;
    int rc = store_eval(p->leader, &t, &result, &err);
    assert_true(rc == 0 || rc == ERR_EXISTS || rc == ERR_NOT_FOUND);
    txn_close(&t);
    return rc == 0;
}

static void leader_and_follower_arrive_at_the_same_state(void **state)
{
    struct pair *p = *state;
    struct rng r = {99};
    struct {
        struct buf bytes;
    } queue[4] = {0};
    unsigned queued = 0;
    for (unsigned step = 0; step < 1500; step++) {
        random_txn(p, &r);
        if (rng_below(&r, 5) == 0 && !store_batch_empty(p->leader)) { /* up to four entries in flight */
            store_batch_take(p->leader, &queue[queued++].bytes);
        }
        if (queued == 4 || (queued > 0 && rng_below(&r, 6) == 0)) {
            for (unsigned i = 0; i < queued; i++) {
                buf_close(&p->entry);
                p->entry = queue[i].bytes;
                queue[i].bytes = BUF_INIT;
                apply_both(p);
                assert_views_equal(store_committed(p->leader), store_committed(p->follower));
            }
            queued = 0;
        }
    }
    for (unsigned i = 0; i < queued; i++) {
        buf_close(&queue[i].bytes);
    }
    assert_true(view_revision(store_committed(p->leader)) > 500);
    view_check(store_tip(p->leader));
}

static void repeats_are_known_to_followers_and_in_snapshots(void **state)
{
    struct pair *p = *state;
    uint8_t id[TXN_ID_SIZE] = {9, 9};
    struct txn t;
    struct txn_result result;
    txn_init(&t, "test");
    txn_set_id(&t, id);
    txn_create(&t, config_map("default", "a", "k", "v"));
    must(store_eval(p->leader, &t, &result, &p->err), &p->err);
    take(p);
    apply_both(p);
    uint64_t revision = 0;
    assert_true(store_find_txn(p->follower, id, &revision));
    assert_int_equal(revision, 1);
    store_tip_drop(p->leader); /* leadership moves */
    store_tip_open(p->follower, 2);
    must(store_eval(p->follower, &t, &result, &p->err), &p->err);
    assert_true(result.repeated);
    assert_int_equal(result.revision, 1);
    txn_close(&t);
}

static void an_id_is_forgotten_by_age(void **state)
{
    (void)state;
    struct fake_env w;
    fake_init(&w, 3);
    struct store_config config = {.env = &w.env, .txn_ids_max = 10};
    struct store *s = store_new(&config);
    store_tip_open(s, 1);
    struct error err;
    for (unsigned i = 1; i <= 40; i++) {
        struct txn t;
        struct txn_result result;
        uint8_t id[TXN_ID_SIZE] = {(uint8_t)i};
        txn_init(&t, "test");
        txn_set_id(&t, id);
        char name[16];
        snprintf(name, sizeof name, "c%u", i);
        txn_create(&t, config_map("default", name, "k", "v"));
        must(store_eval(s, &t, &result, &err), &err);
        txn_close(&t);
        for (unsigned j = 1; j <= i; j++) {
            uint8_t asked[TXN_ID_SIZE] = {(uint8_t)j};
            uint64_t revision = 0;
            assert_int_equal(store_find_txn(s, asked, &revision), j + 10 > i);
        }
    }
    store_free(s);
}

static int append_sink(void *data, const void *bytes, size_t n)
{
    assert_true(n <= SNAPSHOT_CHUNK);
    buf_append(data, bytes, n);
    return 0;
}

static void take_snapshot(struct store *s, struct buf *out)
{
    struct store_fork *f = store_fork_new(s);
    assert_int_equal(store_fork_write(f, append_sink, out), 0);
    store_fork_free(f);
}

static void a_restored_store_equals_the_original_and_goes_on(void **state)
{
    struct pair *p = *state;
    struct rng r = {5};
    for (unsigned i = 0; i < 800; i++) {
        random_txn(p, &r);
    }
    take(p);
    p->index++;
    must(store_apply(p->leader, p->index, p->entry.data, p->entry.size, &p->err), &p->err);
    CLEANUP_BUF struct buf snapshot = BUF_INIT;
    take_snapshot(p->leader, &snapshot);
    must(snapshot_check(snapshot.data, snapshot.size, &p->err), &p->err);
    must(store_restore(p->follower, snapshot.data, snapshot.size, p->index, &p->err), &p->err);
    assert_views_equal(store_committed(p->leader), store_committed(p->follower));
    assert_int_equal(store_applied_index(p->follower), p->index);
    uint64_t revision = view_revision(store_committed(p->follower));
    const struct history_txn *h;
    assert_int_equal(store_history_next(p->follower, revision - 1, &h), ERR_EXPIRED);
    assert_int_equal(store_history_next(p->follower, revision, &h), 0);
    assert_null(h);
    for (unsigned i = 0; i < 50; i++) {
        random_txn(p, &r);
    }
    take(p);
    apply_both(p);
    assert_views_equal(store_committed(p->leader), store_committed(p->follower));
}

/* ---- What a repeated transaction is told ---- */

static void set_id(struct txn *t, uint8_t first)
{
    uint8_t id[TXN_ID_SIZE] = {first};
    txn_init(t, "test");
    txn_set_id(t, id);
}

static void eval_taken(struct pair *p, struct txn *t)
{
    struct txn_result result;
    must(store_eval(p->leader, t, &result, &p->err), &p->err);
    assert_false(result.repeated || result.unchanged);
    txn_close(t);
}

/* One transaction (id 7) that creates new, changes old, deletes gone and leaves same; behind others that made these. */
static void make_past(struct pair *p)
{
    must(eval_create(p->leader, config_map("default", "old", "k", "v"), &p->err), &p->err);
    must(eval_create(p->leader, config_map("default", "gone", "k", "last"), &p->err), &p->err);
    must(eval_create(p->leader, config_map("default", "same", "k", "v"), &p->err), &p->err);
    struct txn t;
    set_id(&t, 7);
    const struct view *tip = store_tip(p->leader);
    txn_create(&t, config_map("default", "new", "k", "v"));
    txn_update(&t, edited(find(tip, KIND_CONFIGMAP, "default", "old"), bump), TXN_PART_ALL, 0);
    txn_delete(&t, find(tip, KIND_CONFIGMAP, "default", "gone"));
    txn_update(&t, object_ref(find(tip, KIND_CONFIGMAP, "default", "same")), TXN_PART_ALL, 0);
    eval_taken(p, &t);
}

static void assert_past(struct store *s, bool with_objects)
{
    static const struct {
        const char *name;
        enum txn_done done;
    } rows[] = {{"new", TXN_DONE_CREATED},
                {"old", TXN_DONE_CHANGED},
                {"gone", TXN_DONE_DELETED},
                {"same", TXN_DONE_UNCHANGED},
                {"old", TXN_DONE_CHANGED}}; /* the order of the questions does not matter */
    uint8_t id[TXN_ID_SIZE] = {7};
    struct txn_past past;
    assert_true(store_past(s, id, &past));
    assert_int_equal(past.revision, 4);
    assert_int_equal(store_past_count(&past), 3);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct object *o;
        assert_int_equal(store_past_did(&past, kind_by_id(KIND_CONFIGMAP), STR("default"), str_of(rows[i].name), &o),
                         rows[i].done);
        assert_int_equal(o != NULL, with_objects && rows[i].done != TXN_DONE_UNCHANGED);
        assert_true(o == NULL || str_is(o->name, rows[i].name));
    }
    id[0] = 8;
    assert_false(store_past(s, id, &past));
}

static void what_a_transaction_did_is_known_to_all_and_in_snapshots(void **state)
{
    struct pair *p = *state;
    make_past(p);
    assert_past(p->leader, true); /* in the open batch */
    take(p);
    assert_past(p->leader, true); /* in flight */
    apply_both(p);
    assert_past(p->leader, true);
    assert_past(p->follower, true);
    CLEANUP_BUF struct buf snapshot = BUF_INIT, again = BUF_INIT;
    take_snapshot(p->leader, &snapshot);
    take_snapshot(p->follower, &again);
    assert_int_equal(snapshot.size, again.size);
    assert_memory_equal(snapshot.data, again.data, again.size);
    must(store_restore(p->follower, snapshot.data, snapshot.size, p->index, &p->err), &p->err);
    assert_past(p->follower, false);
    buf_reset(&again);
    take_snapshot(p->follower, &again);
    assert_int_equal(snapshot.size, again.size);
    assert_memory_equal(snapshot.data, again.data, again.size);
    store_rebase(p->follower, 4);
    assert_past(p->follower, false);
}

/* Version 1 knows that a transaction was done, and not what it did. */
static void a_snapshot_of_the_first_version_is_read(void **state)
{
    struct pair *p = *state;
    make_past(p);
    take(p);
    apply_both(p);
    struct txnid id = {.revision = 4, .id = {7}};
    struct snapshot_source from = {store_committed(p->leader), &id, 1, NULL, 0};
    CLEANUP_BUF struct buf snapshot = BUF_INIT;
    assert_int_equal(snapshot_write(&from, append_sink, &snapshot), 0);
    assert_int_equal(snapshot.data[4], 2);
    snapshot.data[4] = 1;
    must(snapshot_check(snapshot.data, snapshot.size, &p->err), &p->err);
    must(store_restore(p->follower, snapshot.data, snapshot.size, p->index, &p->err), &p->err);
    struct txn_past past;
    const struct object *o;
    assert_true(store_past(p->follower, id.id, &past));
    assert_int_equal(store_past_count(&past), 0);
    assert_int_equal(store_past_did(&past, kind_by_id(KIND_CONFIGMAP), STR("default"), STR("new"), &o),
                     TXN_DONE_UNKNOWN);
    snapshot.data[4] = 3;
    assert_int_equal(snapshot_check(snapshot.data, snapshot.size, &p->err), ERR_UNSUPPORTED);
    assert_non_null(strstr(p->err.message, "newer"));
}

/* A tip that is dropped takes its transactions along; what they would have pushed out is still there. */
static void what_a_dropped_tip_did_is_forgotten(void **state)
{
    struct pair *p = *state;
    make_past(p);
    take(p);
    apply_both(p);
    struct txn t;
    set_id(&t, 8);
    txn_create(&t, config_map("default", "never", "k", "v"));
    eval_taken(p, &t);
    store_tip_drop(p->leader);
    assert_past(p->leader, true);
}

/* The oldest are let go when there are too many objects to remember, the same ones on every master. */
static void what_was_done_is_bounded_in_objects(void **state)
{
    (void)state;
    struct txnids a, b;
    txnids_init(&a, 1000);
    txnids_init(&b, 1000);
    uint32_t each = TXN_OPS_MAX;
    txnid_mark *marks = xcalloc(each, sizeof *marks);
    for (uint32_t i = 0; i < each; i++) {
        marks[i] = ((uint64_t)i << 2) | TXN_DONE_CREATED;
    }
    unsigned fit = TXNIDS_MARKS_MAX / each;
    for (unsigned i = 1; i <= fit + 20; i++) {
        uint8_t id[TXN_ID_SIZE] = {(uint8_t)i, 1};
        txnids_add(&a, id, i, marks, each);
        txnids_add(&b, id, i, marks, each);
        txnids_settle(&b, i); /* one by one, as a follower; a leader's tip runs ahead */
    }
    txnids_settle(&a, fit + 20);
    free(marks);
    for (unsigned i = 1; i <= fit + 20; i++) {
        uint8_t id[TXN_ID_SIZE] = {(uint8_t)i, 1};
        const struct txnid *x = txnids_get(&a, id, fit + 20), *y = txnids_get(&b, id, fit + 20);
        assert_non_null(x);
        assert_non_null(y);
        assert_int_equal(x->marks_count, i > 20 ? each : 0);
        assert_int_equal(x->marks_count, y->marks_count);
    }
    txnids_close(&a);
    txnids_close(&b);
}

static bool contains(const struct buf *b, const char *text)
{
    return memmem(b->data, b->size, text, strlen(text)) != NULL;
}

static void secrets_are_in_no_entry_and_no_snapshot_in_clear(void **state)
{
    struct pair *p = *state;
    must(eval_create(p->leader,
                     yaml_object("{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: default}, stringData: "
                                 "{password: correct-horse-battery}}"),
                     &p->err),
         &p->err);
    must(eval_create(p->leader, config_map("default", "c", "k", "not-a-secret-at-all"), &p->err), &p->err);
    const struct object *o = find(store_tip(p->leader), KIND_SECRET, "default", "s");
    must(eval_update(p->leader, edited(o, bump), TXN_PART_SPEC, 0, NULL, &p->err), &p->err);
    take(p);
    apply_both(p);
    CLEANUP_BUF struct buf snapshot = BUF_INIT, payload = BUF_INIT;
    struct view_hash before;
    take_snapshot(p->leader, &snapshot);
    must(entry_open(p->entry.data, p->entry.size, &payload, &before, &p->err), &p->err);
    o = find(store_committed(p->follower), KIND_SECRET, "default", "s");
    assert_non_null(o);
    struct str plain = mp_str(mp_path(object_mp(o), "data.password"));
    if (plain.p == NULL) { /* bytes */
        struct mp m = mp_path(object_mp(o), "data.password");
        assert_true(mp_read_bin(&m, &plain));
    }
    assert_true(str_is(plain, "correct-horse-battery"));
    assert_false(contains(&p->entry, "correct-horse"));
    assert_false(contains(&payload, "correct-horse"));
    assert_false(contains(&snapshot, "correct-horse"));
    assert_true(contains(&payload, "not-a-secret"));
}

static void a_wrong_key_is_an_error_not_a_crash(void **state)
{
    struct pair *p = *state;
    must(eval_create(p->leader, yaml_object("{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: default}}"),
                     &p->err),
         &p->err);
    take(p);
    p->index = 1;
    must(store_apply(p->leader, 1, p->entry.data, p->entry.size, &p->err), &p->err);
    CLEANUP_BUF struct buf snapshot = BUF_INIT;
    take_snapshot(p->leader, &snapshot);
    struct fake_env w;
    fake_init(&w, 1);
    static const struct pki_ring other = {1, {{42}}};
    struct store_config config = {.env = &w.env, .seal_keys = &other};
    struct store *s = store_new(&config);
    assert_int_equal(store_restore(s, snapshot.data, snapshot.size, 1, &p->err), ERR_CORRUPT);
    assert_non_null(strstr(p->err.message, "none of the keys in seal.key fits"));
    assert_int_equal(store_apply(s, 1, p->entry.data, p->entry.size, &p->err), ERR_CORRUPT);
    store_free(s);
}

static void make_secret(struct pair *p, const char *name)
{
    const char *text = "{apiVersion: v1, kind: Secret, metadata: {name: %s, namespace: default}, stringData: {k: v}}";
    CLEANUP_FREE char *yaml = xasprintf(text, name);
    must(eval_create(p->leader, yaml_object(yaml), &p->err), &p->err);
    take(p);
    must(store_apply(p->leader, ++p->index, p->entry.data, p->entry.size, &p->err), &p->err);
}

/* A follower that knows both keys applies what either has sealed; one that knows one alone gets as far as that. */
static void while_the_key_is_replaced_both_open_and_one_seals(void **state)
{
    struct pair *p = *state;
    static const struct pki_ring both = {2, {{42}, {1, 2, 3, 4, 5}}}, fresh = {1, {{42}}};
    struct store_config config = {.env = &p->fake.env, .seal_keys = &fresh};
    CLEANUP_BUF struct buf before = BUF_INIT, after = BUF_INIT, again = BUF_INIT;
    make_secret(p, "first");
    must(store_apply(p->follower, 1, p->entry.data, p->entry.size, &p->err), &p->err);
    take_snapshot(p->leader, &before);
    struct store_fork *fork = store_fork_new(p->leader);
    store_set_seal_keys(p->leader, &both);
    store_set_seal_keys(p->follower, &both);
    assert_memory_equal(store_fork_key(fork), seal_keys.keys[0], PKI_SEAL_KEY_SIZE); /* it was made before */
    store_fork_free(fork);
    make_secret(p, "second");
    must(store_apply(p->follower, 2, p->entry.data, p->entry.size, &p->err), &p->err);
    take_snapshot(p->leader, &after);
    take_snapshot(p->follower, &again);
    struct store *s = store_new(&config);
    assert_int_equal(store_restore(s, before.data, before.size, 1, &p->err), ERR_CORRUPT);
    must(store_restore(s, after.data, after.size, 2, &p->err), &p->err);
    must(store_restore(s, again.data, again.size, 2, &p->err), &p->err);
    struct view_hash a = view_state_hash(store_committed(s)), b = view_state_hash(store_committed(p->leader));
    assert_true(a.lo == b.lo && a.hi == b.hi);
    store_free(s);
    config.seal_keys = &seal_keys; /* the old one alone opens neither the newer entry nor the newer snapshot */
    s = store_new(&config);
    must(store_restore(s, before.data, before.size, 1, &p->err), &p->err);
    assert_int_equal(store_apply(s, 2, p->entry.data, p->entry.size, &p->err), ERR_CORRUPT);
    assert_int_equal(store_restore(s, after.data, after.size, 2, &p->err), ERR_CORRUPT);
    store_free(s);
}

static void a_diverged_follower_stops(void **state)
{
    struct pair *p = *state;
    must(eval_create(p->leader, config_map("default", "a", "k", "v"), &p->err), &p->err);
    take(p);
    p->index = 1;
    must(store_apply(p->leader, 1, p->entry.data, p->entry.size, &p->err), &p->err);
    must(eval_create(p->leader, config_map("default", "b", "k", "v"), &p->err), &p->err);
    take(p);
    /* The follower never saw the first entry. */
    assert_int_equal(store_apply(p->follower, 2, p->entry.data, p->entry.size, &p->err), ERR_CORRUPT);
    assert_non_null(strstr(p->err.message, "diverged"));
    assert_int_equal(view_count(store_committed(p->follower), NULL), 0);
    assert_int_equal(store_apply(p->follower, 3, p->entry.data, p->entry.size, &p->err), ERR_CORRUPT);
    must(store_apply(p->leader, 2, p->entry.data, p->entry.size, &p->err), &p->err);
}

static void losing_leadership_drops_the_tip_and_committed_stays(void **state)
{
    struct pair *p = *state;
    must(eval_create(p->leader, config_map("default", "a", "k", "v"), &p->err), &p->err);
    take(p);
    CLEANUP_BUF struct buf first = BUF_INIT;
    buf_append(&first, p->entry.data, p->entry.size);
    must(eval_create(p->leader, config_map("default", "b", "k", "v"), &p->err), &p->err);
    take(p);
    must(eval_create(p->leader, config_map("default", "c", "k", "v"), &p->err), &p->err);
    store_tip_drop(p->leader);
    assert_null(store_tip(p->leader));
    assert_int_equal(view_count(store_committed(p->leader), NULL), 0);
    /* The first entry was committed after all: it is decoded now, as anywhere else. */
    must(store_apply(p->leader, 1, first.data, first.size, &p->err), &p->err);
    must(store_apply(p->follower, 1, first.data, first.size, &p->err), &p->err);
    assert_views_equal(store_committed(p->leader), store_committed(p->follower));
    store_tip_open(p->leader, 3);
    assert_null(find(store_tip(p->leader), KIND_CONFIGMAP, "default", "b"));
}

static void an_entry_of_somebody_else_ends_the_tip(void **state)
{
    struct pair *p = *state;
    must(eval_create(p->leader, config_map("default", "a", "k", "v"), &p->err), &p->err);
    take(p);
    store_tip_open(p->follower, 2);
    must(eval_create(p->follower, config_map("default", "z", "k", "v"), &p->err), &p->err);
    CLEANUP_BUF struct buf other = BUF_INIT;
    store_batch_take(p->follower, &other);
    must(store_apply(p->leader, 1, other.data, other.size, &p->err), &p->err);
    assert_null(store_tip(p->leader));
    assert_non_null(find(store_committed(p->leader), KIND_CONFIGMAP, "default", "z"));
    assert_null(find(store_committed(p->leader), KIND_CONFIGMAP, "default", "a"));
}

static void history_is_ordered_bounded_and_says_when_it_has_expired(void **state)
{
    (void)state;
    struct fake_env w;
    fake_init(&w, 3);
    struct store_config config = {.env = &w.env, .history_bytes_max = 20000};
    struct store *s = store_new(&config);
    store_tip_open(s, 1);
    struct error err;
    for (unsigned i = 1; i <= 300; i++) {
        char name[16];
        snprintf(name, sizeof name, "c%u", i);
        must(eval_create(s, config_map("default", name, "k", "v"), &err), &err);
        CLEANUP_BUF struct buf entry = BUF_INIT;
        store_batch_take(s, &entry);
        must(store_apply(s, i, entry.data, entry.size, &err), &err);
    }
    uint64_t oldest = store_history_oldest(s), at = oldest;
    assert_true(oldest > 0 && oldest < 300);
    const struct history_txn *h;
    assert_int_equal(store_history_next(s, oldest - 1, &h), ERR_EXPIRED);
    while (store_history_next(s, at, &h) == 0 && h != NULL) {
        assert_int_equal(h->revision, at + 1);
        assert_int_equal(h->count, 1);
        assert_null(h->changes[0].old);
        buf_putc(store_history_wire(h, 0), 'x'); /* freed with the record */
        at = h->revision;
    }
    assert_int_equal(at, 300);
    store_free(s);
}

static void updates_travel_as_splices(void **state)
{
    struct pair *p = *state;
    char big[3000];
    memset(big, 'a', sizeof big - 1);
    big[sizeof big - 1] = 0;
    for (unsigned i = 0; i < sizeof big - 1; i++) {
        big[i] = (char)('a' + rng_next(&p->fake.rng) % 26);
    }
    must(eval_create(p->leader, config_map("default", "a", "k", big), &p->err), &p->err);
    take(p);
    apply_both(p);
    const struct object *o = find(store_tip(p->leader), KIND_CONFIGMAP, "default", "a");
    must(eval_update(p->leader, edited(o, bump), TXN_PART_SPEC, 0, NULL, &p->err), &p->err);
    take(p);
    assert_true(p->entry.size < 200);
    apply_both(p);
    assert_views_equal(store_committed(p->leader), store_committed(p->follower));
}

static void damaged_entries_and_snapshots_are_refused(void **state)
{
    struct pair *p = *state;
    struct rng r = {17};
    for (unsigned i = 0; i < 60; i++) {
        random_txn(p, &r);
    }
    take(p);
    p->index = 1;
    must(store_apply(p->leader, 1, p->entry.data, p->entry.size, &p->err), &p->err);
    CLEANUP_BUF struct buf snapshot = BUF_INIT, copy = BUF_INIT;
    take_snapshot(p->leader, &snapshot);
    struct fake_env w;
    fake_init(&w, 1);
    for (unsigned i = 0; i < 400; i++) {
        const struct buf *from = i % 2 == 0 ? &p->entry : &snapshot;
        buf_reset(&copy);
        buf_append(&copy, from->data, from->size);
        size_t n = rng_below(&r, 3) == 0 ? (size_t)rng_below(&r, copy.size) : copy.size;
        /* The padding of an entry is not covered by our checksum, nor does it mean anything. */
        copy.data[rng_below(&r, copy.size - 8)] ^= (uint8_t)(1 + rng_below(&r, 255));
        struct store_config config = {.env = &w.env, .seal_keys = &seal_keys};
        struct store *s = store_new(&config);
        int rc = i % 2 == 0 ? store_apply(s, 1, copy.data, n, &p->err) : store_restore(s, copy.data, n, 1, &p->err);
        assert_int_equal(rc, ERR_CORRUPT);
        assert_int_equal(view_count(store_committed(s), NULL), 0);
        store_free(s);
    }
}

static void put_u64(uint8_t *p, uint64_t v)
{
    for (unsigned i = 0; i < 8; i++) {
        p[i] = (uint8_t)(v >> (8 * i));
    }
}

static void a_snapshot_is_as_new_as_all_that_is_in_it(void **state)
{
    struct pair *p = *state;
    must(eval_create(p->leader, config_map("default", "a", "k", "v"), &p->err), &p->err);
    must(eval_create(p->leader, config_map("default", "b", "k", "v"), &p->err), &p->err);
    take(p);
    apply_both(p);
    CLEANUP_BUF struct buf snapshot = BUF_INIT;
    take_snapshot(p->leader, &snapshot);
    uint8_t *trailer = snapshot.data + snapshot.size - 40;
    static const struct {
        uint64_t revision;
        int rc;
    } cases[] = {{2, 0}, {3, 0}, {1, ERR_CORRUPT}, {0, ERR_CORRUPT}, {UINT64_MAX, ERR_CORRUPT}};
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        put_u64(trailer, cases[i].revision);
        put_u64(trailer - 8, XXH3_64bits_withSeed(trailer, 40, 1)); /* behind one block */
        assert_int_equal(store_restore(p->follower, snapshot.data, snapshot.size, 2, &p->err), cases[i].rc);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(leader_and_follower_arrive_at_the_same_state),
        TEST(repeats_are_known_to_followers_and_in_snapshots),
        cmocka_unit_test(an_id_is_forgotten_by_age),
        TEST(a_restored_store_equals_the_original_and_goes_on),
        TEST(what_a_transaction_did_is_known_to_all_and_in_snapshots),
        TEST(a_snapshot_of_the_first_version_is_read),
        TEST(what_a_dropped_tip_did_is_forgotten),
        cmocka_unit_test(what_was_done_is_bounded_in_objects),
        TEST(secrets_are_in_no_entry_and_no_snapshot_in_clear),
        TEST(while_the_key_is_replaced_both_open_and_one_seals),
        TEST(a_wrong_key_is_an_error_not_a_crash),
        TEST(a_diverged_follower_stops),
        TEST(losing_leadership_drops_the_tip_and_committed_stays),
        TEST(an_entry_of_somebody_else_ends_the_tip),
        cmocka_unit_test(history_is_ordered_bounded_and_says_when_it_has_expired),
        TEST(updates_travel_as_splices),
        TEST(damaged_entries_and_snapshots_are_refused),
        TEST(a_snapshot_is_as_new_as_all_that_is_in_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
