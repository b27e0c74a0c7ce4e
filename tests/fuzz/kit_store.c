#include "tests/fuzz/kit_store.h"

#include "proto/text/text.h"
#include "raft-store/store/snapshot.h"
#include "raft-store/store/view_edit.h"

/* Two, as while the key is replaced: what is damaged is tried with both. */
const struct pki_ring fuzz_seal_keys = {2, {"0123456789abcdef0123456789abcdef", "another key of thirty-two bytes!"}};

static const char *const base_objects[] = {
    "{apiVersion: v1, kind: Namespace, metadata: {name: default}}",
    "{apiVersion: v1, kind: Node, metadata: {name: n1}, spec: {podCIDR: 10.0.0.0/24}}",
    "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, labels: {a: b}}, data: {k: v}}",
    "{apiVersion: v1, kind: Secret, metadata: {name: s}, stringData: {p: secret}}",
    "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {nodeName: n1, containers: [{name: c, image: nginx}]}}",
    "{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}, spec: {selector: {matchLabels: {a: b}}, template: "
    "{metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: nginx}]}}}}",
};

static int64_t fixed_now(void *data)
{
    (void)data;
    return 1000;
}
static int64_t fixed_wall(void *data)
{
    (void)data;
    return 1767225600000; /* 2026-01-01T00:00:00Z */
}
static void fixed_random(void *data, void *bytes, size_t n)
{
    (void)data;
    memset(bytes, 0x5a, n);
}
static const struct env fixed_env = {NULL, fixed_now, fixed_wall, fixed_random, NULL};

struct store *fuzz_store_empty(bool sealed)
{
    struct store_config config = {
        .env = &fixed_env, .seal_keys = sealed ? &fuzz_seal_keys : NULL, .history_bytes_max = 4096, .txn_ids_max = 64};
    return store_new(&config);
}

void fuzz_store_create(struct store *s, const char *yaml)
{
    CLEANUP_ARENA struct arena a;
    struct value **docs;
    unsigned count;
    struct error err = {0};
    struct object *o = NULL;
    struct txn t;
    struct txn_result result;
    arena_init(&a);
    CHECK(yaml_read(&a, str_of(yaml), NULL, &docs, &count, &err) == 0 && count == 1);
    const struct kind *k = kind_of_document(&a, docs[0], &err);
    if (k == NULL || kind_check(k, &a, docs[0], NULL, 0, &err) != 0) {
        fprintf(stderr, "%s: %s\n", yaml, err.message);
        abort();
    }
    CHECK(object_from_value(k, docs[0], 0, &o, &err) == 0);
    txn_init(&t, "fuzz");
    uint8_t id[TXN_ID_SIZE] = {(uint8_t)view_revision(store_tip(s)), 1};
    txn_set_id(&t, id);
    txn_create(&t, o);
    CHECK(store_eval(s, &t, &result, &err) == 0);
    txn_close(&t);
}

/* Made once: evaluating is far slower than restoring. */
static const struct buf *base_snapshot(bool sealed)
{
    static struct buf made[2];
    struct buf *out = &made[sealed];
    if (out->size > 0) {
        return out;
    }
    struct store *s = fuzz_store_empty(sealed);
    CLEANUP_BUF struct buf entry = BUF_INIT;
    store_tip_open(s, 1);
    for (unsigned i = 0; i < ARRAY_SIZE(base_objects); i++) {
        fuzz_store_create(s, base_objects[i]);
    }
    store_batch_take(s, &entry);
    CHECK(store_apply(s, 1, entry.data, entry.size, NULL) == 0);
    CHECK(view_revision(store_committed(s)) == FUZZ_BASE_REVISION);
    fuzz_store_snapshot(s, out);
    store_free(s);
    return out;
}

struct store *fuzz_store_new(bool sealed)
{
    const struct buf *snapshot = base_snapshot(sealed);
    struct store *s = fuzz_store_empty(sealed);
    CHECK(store_restore(s, snapshot->data, snapshot->size, 1, NULL) == 0);
    return s;
}

static int sink(void *data, const void *p, size_t n)
{
    buf_append(data, p, n);
    return 0;
}

void fuzz_store_snapshot(struct store *s, struct buf *out)
{
    struct store_fork *f = store_fork_new(s);
    CHECK(store_fork_write(f, sink, out) == 0);
    store_fork_free(f);
}

void fuzz_check_same_view(const struct view *a, const struct view *b)
{
    struct view_hash ha = view_state_hash(a), hb = view_state_hash(b);
    view_check(a);
    view_check(b);
    CHECK(view_revision(a) == view_revision(b) && view_bytes(a) == view_bytes(b));
    CHECK(ha.lo == hb.lo && ha.hi == hb.hi);
    struct view_iter ia, ib;
    view_iter_all(&ia, a);
    view_iter_all(&ib, b);
    for (;;) {
        const struct object *x = view_next(&ia), *y = view_next(&ib);
        CHECK((x == NULL) == (y == NULL));
        if (x == NULL) {
            return;
        }
        CHECK(object_key_cmp(x, y) == 0 && x->revision == y->revision && x->body_size == y->body_size);
        CHECK(memcmp(object_body(x), object_body(y), x->body_size) == 0);
    }
}

void fuzz_store_check(struct store *s, bool sealed)
{
    CLEANUP_BUF struct buf one = BUF_INIT;
    CLEANUP_BUF struct buf two = BUF_INIT;
    struct error err = {0};
    fuzz_store_snapshot(s, &one);
    CHECK(snapshot_check(one.data, one.size, &err) == 0);
    struct store *other = fuzz_store_empty(sealed);
    int rc = store_restore(other, one.data, one.size, store_applied_index(s), &err);
    if (rc != 0) {
        fprintf(stderr, "%s\n", err.message);
    }
    CHECK(rc == 0);
    fuzz_check_same_view(store_committed(s), store_committed(other));
    fuzz_store_snapshot(other, &two);
    CHECK(sealed || (one.size == two.size && memcmp(one.data, two.data, one.size) == 0)); /* nonces are random */
    store_free(other);
}
