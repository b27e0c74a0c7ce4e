/* What a newer program writes, read by this one: kinds and fields that are unknown here are kept, hashed, saved and
 * changed; formats that must be understood are news, never damage. */
#include "tests/unit/raft-store_help.h"

#include <xxhash.h>

#include "base/le.h"
#include "proto/schema/release.h"
#include "raft-store/store/entry.h"
#include "raft-store/store/snapshot.h"

#define WIDGET 60u /* a number that no kind has here */

static const struct pki_ring seal_keys = {1, {{9, 8, 7}}};

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
    fake_init(&p->fake, 11);
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

static void commit(struct pair *p)
{
    buf_reset(&p->entry);
    store_batch_take(p->leader, &p->entry);
    p->index++;
    must(store_apply(p->leader, p->index, p->entry.data, p->entry.size, &p->err), &p->err);
    must(store_apply(p->follower, p->index, p->entry.data, p->entry.size, &p->err), &p->err);
}

/* An object as a newer program writes it, in an order of its own. */
static struct object *widget(const char *ns, const char *name, const char *secret)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct value **docs;
    unsigned count;
    struct error err = {0};
    char *text = arena_printf(&a,
                              "{apiVersion: next/v1, kind: Widget, metadata: {name: %s%s%s}, spec: {turns: 3, armed: "
                              "%s}, status: {phase: Idle}, above: [1, {b: 2, a: 1}]}",
                              name, ns == NULL ? "" : ", namespace: ", ns == NULL ? "" : ns, secret);
    must(yaml_read(&a, str_of(text), NULL, &docs, &count, &err), &err);
    struct object *o = NULL;
    must(object_from_value(kind_stored(WIDGET), docs[0], 0, &o, &err), &err);
    return o;
}

static const struct object *get(const struct store *s, const char *ns, const char *name)
{
    return view_get(store_committed(s), kind_stored(WIDGET), ns == NULL ? STR_NONE : str_of(ns), str_of(name));
}

static void same_state(const struct pair *p)
{
    struct view_hash a = view_state_hash(store_committed(p->leader)), b = view_state_hash(store_committed(p->follower));
    assert_true(a.lo == b.lo && a.hi == b.hi);
    view_check(store_committed(p->leader));
    view_check(store_committed(p->follower));
}

static void an_object_of_an_unknown_kind_is_kept_and_changed(void **state)
{
    struct pair *p = *state;
    must(eval_create(p->leader, widget("default", "one", "x"), &p->err), &p->err);
    must(eval_create(p->leader, widget(NULL, "two", "x"), &p->err), &p->err);
    commit(p);
    same_state(p);
    const struct view *v = store_committed(p->follower);
    const struct object *o = get(p->follower, "default", "one");
    assert_non_null(o);
    assert_true(str_is(object_kind_name(o), "Widget"));
    assert_true(str_is(mp_str(mp_path(object_mp(o), "spec.armed")), "x"));
    assert_int_equal(mp_int(mp_path(object_mp(o), "spec.turns"), 0), 3);
    assert_int_equal(mp_count(mp_get(object_mp(o), "above")), 2);
    assert_true(o->uid.n > 0 && object_created_ms(o) > 0); /* given by the store, as to any object */
    assert_non_null(get(p->follower, NULL, "two"));
    assert_ptr_equal(view_kind_named(v, STR("Widget")), kind_stored(WIDGET));
    assert_null(view_kind_named(v, STR("Gadget")));
    assert_ptr_equal(view_kind_named(v, STR("Pod")), kind_by_id(KIND_POD));
    assert_int_equal(view_count(v, kind_stored(WIDGET)), 2);
    CLEANUP_OBJECT struct object *labelled = NULL;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct value *doc = object_to_value(&a, o);
    value_set(&a, value_ensure_map(&a, value_get(doc, "metadata"), "labels"), "l", value_cstr(&a, "v"));
    struct txn t;
    struct txn_result result;
    txn_init(&t, "test");
    must(txn_update_value(&t, o->kind, doc, TXN_PART_ALL, o->revision, &p->err), &p->err);
    must(store_eval(p->leader, &t, &result, &p->err), &p->err);
    txn_close(&t);
    commit(p);
    same_state(p);
    o = get(p->follower, "default", "one");
    assert_true(str_is(object_label(o, "l"), "v"));
    assert_true(str_is(mp_str(mp_path(object_mp(o), "spec.armed")), "x"));
    must(eval_delete(p->leader, get(p->leader, NULL, "two"), &p->err), &p->err);
    commit(p);
    same_state(p);
    assert_null(get(p->follower, NULL, "two"));
}

static int append_sink(void *data, const void *p, size_t n)
{
    buf_append(data, p, n);
    return 0;
}

static bool contains(const struct buf *b, const char *text)
{
    return memmem(b->data, b->size, text, strlen(text)) != NULL;
}

/* What it is, nobody here can tell: it may be a secret. */
static void objects_of_unknown_kinds_are_sealed_in_entries_and_snapshots(void **state)
{
    struct pair *p = *state;
    must(eval_create(p->leader, widget("default", "one", "hushhushhush"), &p->err), &p->err);
    commit(p);
    assert_false(contains(&p->entry, "hushhushhush"));
    CLEANUP_BUF struct buf saved = BUF_INIT;
    struct store_fork *f = store_fork_new(p->follower);
    assert_int_equal(store_fork_write(f, append_sink, &saved), 0);
    store_fork_free(f);
    assert_false(contains(&saved, "hushhushhush"));
    struct store_config config = {.env = &p->fake.env, .seal_keys = &seal_keys};
    struct store *other = store_new(&config);
    must(store_restore(other, saved.data, saved.size, p->index, &p->err), &p->err);
    struct view_hash a = view_state_hash(store_committed(p->leader)), b = view_state_hash(store_committed(other));
    assert_true(a.lo == b.lo && a.hi == b.hi);
    assert_true(str_is(mp_str(mp_path(object_mp(get(other, "default", "one")), "spec.armed")), "hushhushhush"));
    store_free(other);
}

/* ---- Formats ---- */

/* An entry of one transaction that puts a ConfigMap. */
static void make_entry(const struct pair *p, struct buf *payload, struct str extra)
{
    CLEANUP_OBJECT struct object *o = config_map("default", "c", "k", "v");
    struct entry_txn t = {.revision = view_revision(store_committed(p->follower)) + 1, .count = 1, .extra = extra};
    struct effect e = {.type = EFFECT_PUT,
                       .kind_id = KIND_CONFIGMAP,
                       .ns = o->ns,
                       .name = o->name,
                       .bytes = {(const char *)object_body(o), o->body_size}};
    entry_write_txn(payload, &t);
    entry_write_effect(payload, &e);
}

static void finish(struct pair *p, const struct buf *payload, unsigned optional)
{
    buf_reset(&p->entry);
    entry_finish(&p->entry, payload, view_state_hash(store_committed(p->follower)), optional);
}

static void sign(struct buf *entry)
{
    uint8_t *p = entry->data;
    le_store_u64(p + 16, XXH3_64bits_withSeed(p + 24, 16 + le_load_u32(p + 8), XXH3_64bits(p, 16)));
}

static void what_may_be_passed_over_is_passed_over(void **state)
{
    struct pair *p = *state;
    CLEANUP_BUF struct buf payload = BUF_INIT;
    make_entry(p, &payload, STR("what only a newer program knows"));
    finish(p, &payload, 0x8100);
    assert_true(entry_is_sound(p->entry.data, p->entry.size));
    must(store_apply(p->follower, 1, p->entry.data, p->entry.size, &p->err), &p->err);
    assert_non_null(find(store_committed(p->follower), KIND_CONFIGMAP, "default", "c"));
    struct entry_span span;
    assert_true(entry_read_span(p->entry.data, p->entry.size, &span));
}

static void apply_is(struct pair *p, int code, const char *text)
{
    struct store_config config = {.env = &p->fake.env, .log = NULL, .seal_keys = &seal_keys};
    struct log silent = {.name = "test", .level = LOG_LEVEL_OFF};
    config.log = &silent;
    struct store *s = store_new(&config);
    p->err = (struct error){0};
    assert_int_equal(store_apply(s, 1, p->entry.data, p->entry.size, &p->err), code);
    if (strstr(p->err.message, text) == NULL) {
        fail_msg("%s", p->err.message);
    }
    store_free(s);
}

static void what_must_be_understood_is_news_and_not_damage(void **state)
{
    struct pair *p = *state;
    CLEANUP_BUF struct buf payload = BUF_INIT;
    make_entry(p, &payload, STR_NONE);
    finish(p, &payload, 0);
    p->entry.data[4] = 2; /* another version, */
    apply_is(p, ERR_CORRUPT, "checksum");
    assert_false(entry_is_sound(p->entry.data, p->entry.size));
    sign(&p->entry);
    apply_is(p, ERR_UNSUPPORTED, "newer reeve-master");
    assert_true(entry_is_sound(p->entry.data, p->entry.size)); /* it goes into the log, and is met when it is applied */
    p->entry.data[4] = 1;
    p->entry.data[6] = 2; /* a flag, */
    sign(&p->entry);
    apply_is(p, ERR_UNSUPPORTED, "newer reeve-master");
    payload.data[0] |= 0x40; /* a transaction's flag, */
    finish(p, &payload, 0);
    apply_is(p, ERR_UNSUPPORTED, "newer reeve-master");
    buf_reset(&payload);
    make_entry(p, &payload, STR_NONE);
    uint8_t *effect = memchr(payload.data + 1, EFFECT_PUT, payload.size - 1);
    while (effect[1] != KIND_CONFIGMAP) {
        effect = memchr(effect + 1, EFFECT_PUT, payload.size);
    }
    *effect = 4; /* a type of effect, */
    finish(p, &payload, 0);
    apply_is(p, ERR_UNSUPPORTED, "newer reeve-master");
    *effect = EFFECT_PUT;
    size_t at = (size_t)(effect - payload.data) + 1;
    buf_append(&payload, "\0\0", 2);
    memmove(payload.data + at + 3, payload.data + at + 1, payload.size - at - 3);
    memcpy(payload.data + at, (const uint8_t[]){0x80, 0x80, 0x04}, 3); /* a number: KIND_ID_MAX + 1 */
    finish(p, &payload, 0);
    apply_is(p, ERR_UNSUPPORTED, "newer reeve-master");
    memcpy(payload.data + at, (const uint8_t[]){0x80, 0x80, 0}, 3);
    finish(p, &payload, 0);
    apply_is(p, ERR_CORRUPT, "malformed");
}

/* A snapshot of one block with these records. */
static void make_snapshot(struct buf *out, struct str records)
{
    buf_reset(out);
    buf_append(out, "RVS1\2\0\0\0", 8);
    buf_put_u32(out, (uint32_t)records.n);
    buf_put_u32(out, (uint32_t)records.n);
    buf_put_u64(out, XXH3_64bits_withSeed(records.p, records.n, 0));
    buf_append_str(out, records);
    const uint8_t nothing[40] = {0};
    buf_put_u64(out, 0);
    buf_put_u64(out, XXH3_64bits_withSeed(nothing, sizeof nothing, 1));
    buf_append(out, nothing, sizeof nothing);
}

static void records_of_newer_snapshots_are_passed_over_or_news(void **state)
{
    struct pair *p = *state;
    CLEANUP_BUF struct buf b = BUF_INIT;
    make_snapshot(&b, STR("\x81\4some"));
    must(store_restore(p->follower, b.data, b.size, 1, &p->err), &p->err);
    make_snapshot(&b, STR("\x09\4some"));
    assert_int_equal(store_restore(p->follower, b.data, b.size, 1, &p->err), ERR_UNSUPPORTED);
    assert_non_null(strstr(p->err.message, "newer reeve-master"));
    make_snapshot(&b, STR("\x81\5some"));
    assert_int_equal(store_restore(p->follower, b.data, b.size, 1, &p->err), ERR_CORRUPT);
    b.data[4] = 3;
    assert_int_equal(store_restore(p->follower, b.data, b.size, 1, &p->err), ERR_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_object_of_an_unknown_kind_is_kept_and_changed, setup, teardown),
        cmocka_unit_test_setup_teardown(objects_of_unknown_kinds_are_sealed_in_entries_and_snapshots, setup, teardown),
        cmocka_unit_test_setup_teardown(what_may_be_passed_over_is_passed_over, setup, teardown),
        cmocka_unit_test_setup_teardown(what_must_be_understood_is_news_and_not_damage, setup, teardown),
        cmocka_unit_test_setup_teardown(records_of_newer_snapshots_are_passed_over_or_news, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
