/* The immutable object: header, canonical bytes, wire form, damage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>

#include "base/env.h"
#include "proto/schema/edit.h"
#include "proto/schema/object.h"
#include "proto/text/text.h"

static const char web[] =
    "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"web\",\"namespace\":\"default\",\"uid\":\"u-1\","
    "\"generation\":4,"
    "\"creationTimestamp\":\"2026-01-02T03:04:05Z\",\"deletionTimestamp\":\"2026-01-02T03:04:06Z\","
    "\"labels\":{\"b\":\"2\",\"a\":\"1\"},\"annotations\":{\"x/y\":\"z\"},\"ownerReferences\":["
    "{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"name\":\"n\",\"uid\":\"no\"},"
    "{\"apiVersion\":\"apps/v1\",\"kind\":\"ReplicaSet\",\"name\":\"r\",\"uid\":\"rs-1\",\"controller\":true}]},"
    "\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\",\"ports\":[{\"containerPort\":80}],\"resources\":{"
    "\"limits\":{\"memory\":"
    "\"1Gi\",\"cpu\":\"1\"}}}]}}";

static struct value *doc(struct arena *a, const char *json)
{
    struct value *v;
    struct error err = {0};
    if (json_read(a, str_of(json), &v, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return v;
}

static struct object *object(const char *json, uint64_t revision)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct value *v = doc(&a, json);
    struct object *o;
    struct error err = {0};
    const struct kind *k = kind_by_name(value_path_str(v, "kind"));
    if (kind_check_fields(k, &a, v, 0, &err) != 0 || object_from_value(k, v, revision, &o, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return o;
}

static void assert_same(const struct object *a, const struct object *b)
{
    assert_int_equal(a->body_size, b->body_size);
    assert_memory_equal(object_body(a), object_body(b), a->body_size);
    assert_true(a->hash == b->hash && a->revision == b->revision && a->kind == b->kind &&
                a->generation == b->generation);
    assert_true(str_eq(a->name, b->name) && str_eq(a->ns, b->ns) && str_eq(a->uid, b->uid) &&
                str_eq(a->owner_uid, b->owner_uid));
    assert_int_equal(a->deleting, b->deleting);
}

static void the_header_is_decoded_once(void **state)
{
    (void)state;
    CLEANUP_OBJECT struct object *o = object(web, 17);
    assert_true(str_is(o->name, "web") && str_is(o->ns, "default") && str_is(o->uid, "u-1"));
    assert_true(str_is(o->owner_uid, "rs-1"));
    assert_int_equal(o->generation, 4);
    assert_int_equal(o->revision, 17);
    assert_true(o->deleting);
    assert_int_equal(o->kind->id, KIND_POD);
    assert_true(str_is(object_label(o, "b"), "2"));
    assert_null(object_label(o, "c").p);
    assert_true(str_is(object_annotation(o, "x/y"), "z"));
    assert_int_equal(object_created_ms(o), 1767323045000);
    assert_true(o->name.p > (char *)object_body(o) && o->name.p < (char *)object_body(o) + o->body_size);
}

static void equal_documents_have_equal_bytes(void **state)
{
    (void)state;
    CLEANUP_OBJECT struct object *a =
        object("{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"data\":{\"z\":\"1\",\"a\":\"2\"},"
               "\"metadata\":{\"namespace\":\"d\",\"name\":\"x\",\"uid\":null}}",
               1);
    CLEANUP_OBJECT struct object *b =
        object("{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"x\",\"namespace\":\"d\","
               "\"resourceVersion\":\"77\"},\"data\":{\"a\":\"2\",\"z\":\"1\"}}",
               1);
    assert_same(a, b);
}

static void cluster_wide_objects_have_no_namespace(void **state)
{
    (void)state;
    CLEANUP_OBJECT struct object *o =
        object("{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"n\",\"namespace\":\"d\"}}", 0);
    assert_true(str_empty(o->ns));
    assert_false(o->deleting);
    assert_true(str_empty(o->owner_uid) && str_empty(o->uid));
    assert_int_equal(object_created_ms(o), 0);
}

static void a_document_without_name_or_kind_is_refused(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    const struct kind *k = kind_by_name(STR("Pod"));
    struct object *o;
    struct error err = {0};
    assert_int_equal(object_from_value(k, doc(&a, "{\"kind\":\"Pod\",\"metadata\":{}}"), 1, &o, &err), ERR_INVALID);
    assert_string_equal(err.field, "metadata.name");
    assert_int_equal(object_from_value(k, doc(&a, "{\"kind\":\"Node\",\"metadata\":{\"name\":\"x\"}}"), 1, &o, &err),
                     ERR_INVALID);
    assert_int_equal(object_from_value(k, doc(&a, "{\"metadata\":{\"name\":\"x\"}}"), 1, &o, &err), ERR_INVALID);
    assert_int_equal(object_from_value(NULL, doc(&a, "{}"), 1, &o, &err), ERR_INVALID);
    assert_int_equal(object_from_value(k, value_list(&a), 1, &o, &err), ERR_INVALID);
}

static void objects_above_the_limit_are_refused(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct value *v = doc(&a, "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"big\"}}");
    char *text = arena_alloc(&a, OBJECT_SIZE_MAX);
    memset(text, 'x', OBJECT_SIZE_MAX);
    value_set(&a, value_ensure_map(&a, v, "data"), "k", value_str(&a, (struct str){text, OBJECT_SIZE_MAX}));
    struct object *o;
    struct error err = {0};
    const struct kind *k = kind_by_name(STR("ConfigMap"));
    assert_int_equal(object_from_value(k, v, 1, &o, &err), ERR_TOO_LARGE);
    assert_non_null(strstr(err.message, "big"));
    CLEANUP_BUF struct buf b = BUF_INIT;
    msgpack_write_value(&b, v);
    assert_int_equal(object_from_body(k, b.data, b.size, 1, &o, NULL), ERR_CORRUPT);
    assert_int_equal(object_from_wire(mp_of(b.data, b.size), &o, NULL), ERR_TOO_LARGE);
}

static void bodies_survive_and_damage_is_corrupt(void **state)
{
    (void)state;
    CLEANUP_OBJECT struct object *o = object(web, 9);
    CLEANUP_OBJECT struct object *back = NULL;
    assert_int_equal(object_from_body(o->kind, object_body(o), o->body_size, 9, &back, NULL), 0);
    assert_same(o, back);
    struct object *none;
    for (size_t n = 0; n < o->body_size; n++) {
        struct error err = {0};
        CLEANUP_FREE uint8_t *cut = xmemdup(object_body(o), n);
        assert_int_equal(object_from_body(o->kind, cut, n, 9, &none, &err), ERR_CORRUPT);
        assert_int_equal(err.code, ERR_CORRUPT);
    }
    assert_int_equal(object_from_body(kind_by_name(STR("Node")), object_body(o), o->body_size, 9, &none, NULL),
                     ERR_CORRUPT);
    CLEANUP_BUF struct buf wire = BUF_INIT;
    object_write_wire(&wire, o);
    assert_int_equal(object_from_body(o->kind, wire.data, wire.size, 9, &none, NULL), ERR_CORRUPT);
}

static void references_are_counted(void **state)
{
    (void)state;
    struct object *o = object(web, 1);
    struct object *p = object_ref(o);
    assert_ptr_equal(o, p);
    object_unref(o);
    assert_int_equal(p->refs, 1);
    object_unref(p);
    object_unref(NULL);
}

static void a_copy_may_have_another_revision(void **state)
{
    (void)state;
    struct object *o = object(web, 1);
    CLEANUP_OBJECT struct object *want = object(web, 8);
    CLEANUP_OBJECT struct object *c = object_with_revision(o, 8);
    object_unref(o);
    assert_same(c, want);
}

static void a_copy_may_have_another_name(void **state)
{
    (void)state;
    CLEANUP_OBJECT struct object *o = object(web, 1);
    CLEANUP_OBJECT struct object *c = object_with_name(o, STR("owl"));
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct value *v = doc(&a, web);
    value_set(&a, value_get(v, "metadata"), "name", value_cstr(&a, "owl"));
    struct object *want;
    assert_int_equal(kind_check_fields(o->kind, &a, v, 0, NULL), 0);
    assert_int_equal(object_from_value(o->kind, v, 1, &want, NULL), 0);
    assert_same(c, want);
    assert_true(str_is(o->name, "web"));
    object_unref(want);
}

static void an_object_that_nobody_else_has_is_given_its_revision(void **state)
{
    (void)state;
    CLEANUP_OBJECT struct object *o = object(web, 0);
    CLEANUP_OBJECT struct object *same = object_give_revision(o, 5);
    assert_ptr_equal(same, o);
    assert_int_equal(o->revision, 5);
    CLEANUP_OBJECT struct object *copy = object_give_revision(o, 6); /* two have it now */
    assert_ptr_not_equal(copy, o);
    assert_true(o->revision == 5 && copy->revision == 6);
    assert_int_equal(o->refs, 2);
}

/* As if the document had been changed and encoded again. */
static void assert_edited(const char *json, const char *key, const char *value)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    CLEANUP_OBJECT struct object *o = object(json, 0);
    struct value *v = object_to_value(&a, o), *meta = value_get(v, "metadata");
    CLEANUP_BUF struct buf written = BUF_INIT, edited = BUF_INIT, whole = BUF_INIT, want = BUF_INIT;
    if (value != NULL) {
        mp_write_cstr(&written, value);
        value_set(&a, meta, key, value_cstr(&a, value));
    } else {
        value_remove(meta, key);
    }
    kind_encode(o->kind, v, &want);
    const struct schema_edit inner = {key, mp_of(written.data, written.size)};
    const struct schema *s = o->kind->schema;
    assert_true(
        schema_edit(&edited, schema_field(s, STR("metadata"))->sub, mp_get(object_mp(o), "metadata"), &inner, 1));
    const struct schema_edit outer = {"metadata", mp_of(edited.data, edited.size)};
    buf_puts(&whole, "before");
    assert_true(schema_edit(&whole, s, object_mp(o), &outer, 1));
    assert_int_equal(whole.size - 6, want.size);
    assert_memory_equal(whole.data + 6, want.data, want.size);
}

static void members_are_set_in_their_places(void **state)
{
    (void)state;
    static const char *const keys[] = {"name", "generateName", "uid", "creationTimestamp", "selfLink"};
    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
        assert_edited(web, keys[i], "2027-01-02T03:04:05Z");
        assert_edited(web, keys[i], "");
        if (i > 0) {
            assert_edited(web, keys[i], NULL);
        }
    }
}

/* With sixteen members the head has three bytes instead of one. */
static void a_map_grows_over_what_a_small_head_can_tell(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf map = BUF_INIT, out = BUF_INIT;
    const struct schema *s = schema_field(kind_by_name(STR("Pod"))->schema, STR("spec"))->sub;
    CLEANUP_BUF struct buf one = BUF_INIT;
    mp_write_int(&one, 1);
    for (unsigned count = 13; count < 19; count++) {
        buf_reset(&map);
        buf_reset(&out);
        mp_write_map(&map, count - 1);
        for (unsigned i = 0; i < count; i++) {
            if (i != 7) {
                mp_write_key_int(&map, s->fields[i].name, 1);
            }
        }
        const struct schema_edit edit = {s->fields[7].name, mp_of(one.data, one.size)};
        assert_true(schema_edit(&out, s, mp_of(map.data, map.size), &edit, 1));
        struct mp m = mp_of(out.data, out.size);
        assert_true(mp_valid(m) && mp_shortest(m) && mp_count(m) == count);
        unsigned at = 0;
        for (struct mp_iter it = mp_iter(m); mp_next(&it); at++) {
            assert_true(str_is(it.key, s->fields[at].name));
        }
    }
}

static void unknown_members_stay_behind_and_other_orders_are_left_alone(void **state)
{
    (void)state;
    const struct schema *s = kind_by_name(STR("Pod"))->schema;
    CLEANUP_BUF struct buf map = BUF_INIT, out = BUF_INIT;
    mp_write_map(&map, 2);
    mp_write_key_str(&map, "kind", STR("Pod"));
    mp_write_key_str(&map, "later", STR("x"));
    const struct schema_edit edits[] = {{"apiVersion", mp_of("\xa2v1", 3)}, {"status", mp_of("\x80", 1)}};
    assert_true(schema_edit(&out, s, mp_of(map.data, map.size), edits, 2));
    static const char *const want[] = {"apiVersion", "kind", "status", "later"};
    unsigned at = 0;
    for (struct mp_iter it = mp_iter(mp_of(out.data, out.size)); mp_next(&it); at++) {
        assert_true(str_is(it.key, want[at]));
    }
    assert_int_equal(at, 4);
    buf_reset(&map);
    buf_reset(&out);
    buf_puts(&out, "kept");
    mp_write_map(&map, 2);
    mp_write_key_str(&map, "status", STR("x"));
    mp_write_key_str(&map, "kind", STR("Pod"));
    assert_false(schema_edit(&out, s, mp_of(map.data, map.size), edits, 1));
    assert_int_equal(out.size, 4);
    buf_reset(&map);
    mp_write_map(&map, 2);
    mp_write_key_str(&map, "kind", STR("Pod"));
    mp_write_key_str(&map, "kind", STR("Pod"));
    assert_false(schema_edit(&out, s, mp_of(map.data, map.size), edits, 1));
    assert_int_equal(out.size, 4);
}

static void documents_carry_the_revision_as_text(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    CLEANUP_OBJECT struct object *o = object(web, UINT64_MAX);
    struct value *v = object_to_value(&a, o);
    assert_true(str_is(value_path_str(v, "metadata.resourceVersion"), "18446744073709551615"));
    struct object *again;
    assert_int_equal(object_from_value(o->kind, v, UINT64_MAX, &again, NULL), 0);
    assert_same(o, again);
    object_unref(again);
    CLEANUP_OBJECT struct object *fresh = object(web, 0);
    assert_null(value_path(object_to_value(&a, fresh), "metadata.resourceVersion"));
}

static void the_wire_form_has_the_revision_first(void **state)
{
    (void)state;
    CLEANUP_OBJECT struct object *o = object(web, 123456789);
    CLEANUP_BUF struct buf b = BUF_INIT;
    buf_puts(&b, "before");
    object_write_wire(&b, o);
    struct mp m = mp_of(b.data + 6, b.size - 6);
    assert_true(mp_valid(m) && mp_shortest(m));
    struct mp_iter it = mp_iter(mp_get(m, "metadata"));
    assert_true(mp_next(&it) && str_is(it.key, "resourceVersion") && str_is(mp_str(it.value), "123456789"));
    assert_int_equal(mp_count(mp_get(m, "metadata")), mp_count(mp_get(object_mp(o), "metadata")) + 1);
    CLEANUP_OBJECT struct object *back = NULL;
    assert_int_equal(object_from_wire(m, &back, NULL), 0);
    assert_same(o, back);
}

static void the_wire_form_holds_with_many_metadata_members(void **state)
{
    (void)state;
    /* Fifteen members and one more: the head of the map grows. */
    CLEANUP_OBJECT struct object *o = object("{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\","
                                             "\"generateName\":\"b\",\"namespace\":\"c\","
                                             "\"selfLink\":\"d\",\"uid\":\"e\",\"generation\":1,\"creationTimestamp\":"
                                             "\"2026-01-02T03:04:05Z\",\"deletionTimestamp\":"
                                             "\"2026-01-02T03:04:05Z\",\"deletionGracePeriodSeconds\":1,\"labels\":{},"
                                             "\"annotations\":{},\"ownerReferences\":[],"
                                             "\"finalizers\":[],\"managedFields\":[]}}",
                                             5);
    CLEANUP_BUF struct buf b = BUF_INIT;
    object_write_wire(&b, o);
    CLEANUP_OBJECT struct object *back = NULL;
    assert_int_equal(object_from_wire(mp_of(b.data, b.size), &back, NULL), 0);
    assert_same(o, back);
}

static void reverse(struct value *v)
{
    if (value_is_list(v)) {
        VALUE_FOR(i, v) reverse(value_item(v, i));
    } else if (value_is_map(v)) {
        for (unsigned i = 0; i < v->map.count; i++) {
            reverse(v->map.members[i].value);
        }
        for (unsigned i = 0, k = v->map.count; i + 1 < k; i++) {
            struct value_member m = v->map.members[i];
            v->map.members[i] = v->map.members[--k];
            v->map.members[k] = m;
        }
    }
}

static void any_key_order_comes_in_from_the_wire(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    CLEANUP_OBJECT struct object *o = object(web, 6);
    struct value *v = object_to_value(&a, o);
    reverse(v);
    CLEANUP_BUF struct buf b = BUF_INIT;
    msgpack_write_value(&b, v);
    CLEANUP_OBJECT struct object *back = NULL;
    struct error err = {0};
    if (object_from_wire(mp_of(b.data, b.size), &back, &err) != 0) {
        fail_msg("%s", err.message);
    }
    assert_same(o, back);
}

/* Whoever reads an object to change it writes back what only a newer program knows. */
static void fields_of_a_newer_program_are_kept_from_the_wire(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    CLEANUP_OBJECT struct object *o = object(web, 6);
    struct value *v = object_to_value(&a, o);
    value_set(&a, v, "fieldOfTomorrow", value_int(&a, 1));
    value_set(&a, value_get(v, "spec"), "another", doc(&a, "{\"b\":[1,{\"x\":null,\"y\":2}],\"a\":{}}"));
    value_set(&a, value_get(v, "metadata"), "third", value_cstr(&a, "x"));
    CLEANUP_BUF struct buf b = BUF_INIT;
    msgpack_write_value(&b, v);
    CLEANUP_OBJECT struct object *back = NULL;
    struct error err = {0};
    assert_int_equal(object_from_wire(mp_of(b.data, b.size), &back, &err), 0);
    assert_int_equal(mp_int(mp_get(object_mp(back), "fieldOfTomorrow"), 0), 1);
    assert_int_equal(mp_count(mp_path(object_mp(back), "spec.another")), 2);
    assert_true(str_is(mp_str(mp_path(object_mp(back), "metadata.third")), "x"));
    buf_reset(&b);
    object_write_wire(&b, back); /* and on */
    CLEANUP_OBJECT struct object *again = NULL;
    assert_int_equal(object_from_wire(mp_of(b.data, b.size), &again, &err), 0);
    assert_same(back, again);
}

static void what_is_no_object_is_refused_from_the_wire(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    static const struct {
        const char *json;
        int code;
    } cases[] = {
        {"[]", ERR_PROTOCOL},
        {"{}", ERR_INVALID},
        {"{\"kind\":\"Nonsense\",\"metadata\":{\"name\":\"x\"}}", ERR_INVALID},
        {"{\"kind\":\"Pod\",\"metadata\":{}}", ERR_INVALID},
        {"{\"kind\":\"Pod\",\"metadata\":5}", ERR_INVALID},
        {"{\"kind\":\"Pod\"}", ERR_INVALID},
        {"{\"kind\":\"Pod\",\"metadata\":{\"resourceVersion\":\"x\",\"name\":\"x\"}}", ERR_INVALID},
        {"{\"kind\":\"Pod\",\"metadata\":{\"resourceVersion\":5,\"name\":\"x\"}}", ERR_INVALID},
        {"{\"kind\":\"Pod\",\"metadata\":{\"resourceVersion\":\"99999999999999999999\",\"name\":\"x\"}}", ERR_INVALID},
        {"{\"kind\":\"Pod\",\"metadata\":{\"name\":\"x\"},\"spec\":[]}", ERR_INVALID},
        {"{\"kind\":\"Pod\",\"metadata\":{\"name\":\"x\"},\"spec\":{\"containers\":{}}}", ERR_INVALID},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP_BUF struct buf b = BUF_INIT;
        msgpack_write_value(&b, doc(&a, cases[i].json));
        struct object *o;
        struct error err = {0};
        int rc = object_from_wire(mp_of(b.data, b.size), &o, &err);
        if (rc != cases[i].code) {
            fail_msg("%s: %d %s", cases[i].json, rc, err.message);
        }
        assert_int_equal(err.code, rc);
    }
    struct object *o;
    assert_int_equal(object_from_wire(mp_of(NULL, 0), &o, NULL), ERR_PROTOCOL);
}

static void damaged_wire_bytes_are_refused_or_make_an_object(void **state)
{
    (void)state;
    struct rng r = {21};
    CLEANUP_OBJECT struct object *o = object(web, 6);
    CLEANUP_BUF struct buf b = BUF_INIT;
    object_write_wire(&b, o);
    for (int i = 0; i < 5000; i++) {
        CLEANUP_FREE uint8_t *bytes = xmemdup(b.data, b.size);
        for (uint64_t k = 1 + rng_below(&r, 3); k > 0; k--) {
            bytes[rng_below(&r, b.size)] = (uint8_t)rng_next(&r);
        }
        CLEANUP_OBJECT struct object *back = NULL;
        if (object_from_wire(mp_of(bytes, b.size), &back, NULL) == 0) {
            CLEANUP_ARENA struct arena a;
            arena_init(&a);
            struct value *v = object_to_value(&a, back);
            /* What came in is in normal form: it can be encoded again and is the same. */
            CLEANUP_BUF struct buf again = BUF_INIT;
            kind_encode(back->kind, v, &again);
            assert_int_equal(again.size, back->body_size);
            assert_memory_equal(again.data, object_body(back), again.size);
        }
    }
}

static void objects_are_ordered_by_kind_namespace_name(void **state)
{
    (void)state;
    CLEANUP_OBJECT struct object *a = object("{\"kind\":\"Pod\",\"metadata\":{\"name\":\"b\",\"namespace\":\"a\"}}", 1);
    CLEANUP_OBJECT struct object *b = object("{\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\",\"namespace\":\"b\"}}", 1);
    CLEANUP_OBJECT struct object *n = object("{\"kind\":\"Node\",\"metadata\":{\"name\":\"z\"}}", 1);
    assert_true(object_key_cmp(a, b) < 0 && object_key_cmp(b, a) > 0 && object_key_cmp(a, a) == 0);
    assert_true(object_key_cmp(n, a) < 0);
}

static void assert_part(struct mp part, struct mp found)
{
    assert_true(part.p == found.p && part.end == found.end);
}

static void spec_and_status_are_where_they_are_found(void **state)
{
    (void)state;
    static const char *const pods[] = {
        "{\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\"},\"spec\":{\"nodeName\":\"n\"},\"status\":{\"phase\":"
        "\"Running\"}}",
        "{\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\"},\"spec\":{\"nodeName\":\"n\"},\"status\":{\"phase\":"
        "\"Pending\"}}",
        "{\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\"},\"spec\":{\"nodeName\":\"n\"}}",
        "{\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\"},\"spec\":{\"nodeName\":\"m\"},\"status\":{\"phase\":"
        "\"Running\"}}",
        "{\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\"},\"status\":{\"phase\":\"Running\"}}",
        "{\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\"}}",
    };
    enum { SPEC_N = 3 }; /* the first of them differ in nothing but their status */
    struct object *all[ARRAY_SIZE(pods)];
    for (unsigned i = 0; i < ARRAY_SIZE(pods); i++) {
        all[i] = object(pods[i], i + 1);
        struct mp spec = mp_get(object_mp(all[i]), "spec"), status = mp_get(object_mp(all[i]), "status");
        assert_part(object_spec(all[i]), mp_type(spec) == MP_NONE ? mp_of(NULL, 0) : spec);
        assert_part(object_status(all[i]), mp_type(status) == MP_NONE ? mp_of(NULL, 0) : status);
        CLEANUP_OBJECT struct object *copy = object_with_revision(all[i], 9);
        assert_true(object_same_spec(copy, all[i]) && object_same_but_status(copy, all[i]));
    }
    for (unsigned i = 0; i < ARRAY_SIZE(pods); i++) {
        for (unsigned n = 0; n < ARRAY_SIZE(pods); n++) {
            bool same = i == n || (i < SPEC_N && n < SPEC_N) || (i >= 4 && n >= 4);
            assert_int_equal(object_same_spec(all[i], all[n]), same);
            assert_int_equal(object_same_but_status(all[i], all[n]), same);
        }
    }
    for (unsigned i = 0; i < ARRAY_SIZE(pods); i++) {
        object_unref(all[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spec_and_status_are_where_they_are_found),
        cmocka_unit_test(the_header_is_decoded_once),
        cmocka_unit_test(equal_documents_have_equal_bytes),
        cmocka_unit_test(cluster_wide_objects_have_no_namespace),
        cmocka_unit_test(a_document_without_name_or_kind_is_refused),
        cmocka_unit_test(objects_above_the_limit_are_refused),
        cmocka_unit_test(bodies_survive_and_damage_is_corrupt),
        cmocka_unit_test(references_are_counted),
        cmocka_unit_test(a_copy_may_have_another_revision),
        cmocka_unit_test(a_copy_may_have_another_name),
        cmocka_unit_test(an_object_that_nobody_else_has_is_given_its_revision),
        cmocka_unit_test(members_are_set_in_their_places),
        cmocka_unit_test(a_map_grows_over_what_a_small_head_can_tell),
        cmocka_unit_test(unknown_members_stay_behind_and_other_orders_are_left_alone),
        cmocka_unit_test(documents_carry_the_revision_as_text),
        cmocka_unit_test(the_wire_form_has_the_revision_first),
        cmocka_unit_test(the_wire_form_holds_with_many_metadata_members),
        cmocka_unit_test(any_key_order_comes_in_from_the_wire),
        cmocka_unit_test(fields_of_a_newer_program_are_kept_from_the_wire),
        cmocka_unit_test(what_is_no_object_is_refused_from_the_wire),
        cmocka_unit_test(damaged_wire_bytes_are_refused_or_make_an_object),
        cmocka_unit_test(objects_are_ordered_by_kind_namespace_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
