/* Objects from the wire and from the log: what gets in is canonical, leaves as it came, and every reader of objects
 * can take it. */
#include "proto/schema/object.h"
#include "tests/fuzz/fuzz.h"

static void check_cells(const struct object *o)
{
    CLEANUP_BUF struct buf out = BUF_INIT;
    for (unsigned i = 0; i < o->kind->columns_count; i++) {
        if (o->kind->columns[i].cell != NULL) {
            o->kind->columns[i].cell(&out, o, 1767225600000);
        }
    }
}

static void check_wire(const struct object *o)
{
    CLEANUP_BUF struct buf wire = BUF_INIT;
    CLEANUP_OBJECT struct object *back = NULL;
    struct error err = {0};
    object_write_wire(&wire, o);
    int rc = object_from_wire(mp_of(wire.data, wire.size), &back, &err);
    if (rc != 0) {
        CHECK_FAILED(rc, err);
        fprintf(stderr, "%s\n", err.message);
    }
    CHECK(rc == 0);
    CHECK(back->kind == o->kind && back->revision == o->revision && back->hash == o->hash);
    CHECK(back->body_size == o->body_size && memcmp(object_body(back), object_body(o), o->body_size) == 0);
    CHECK(str_eq(back->name, o->name) && str_eq(back->ns, o->ns) && str_eq(back->uid, o->uid));
    CHECK(back->deleting == o->deleting && back->generation == o->generation);
}

/* A store's document, read, checked as an update of itself, written: a second round changes nothing. */
static void check_document(const struct object *o)
{
    CLEANUP_ARENA struct arena a;
    CLEANUP_BUF struct buf one = BUF_INIT;
    CLEANUP_BUF struct buf two = BUF_INIT;
    struct error err = {0};
    arena_init(&a);
    struct value *doc = object_to_value(&a, o), *old = value_copy(&a, doc);
    int rc = kind_check(o->kind, &a, doc, old, KIND_CHECK_UPDATE | KIND_CHECK_LENIENT, &err);
    if (rc != 0) {
        CHECK_FAILED(rc, err);
        return;
    }
    kind_encode(o->kind, doc, &one);
    CHECK(mp_valid(mp_of(one.data, one.size)) && mp_shortest(mp_of(one.data, one.size)));
    rc = kind_check(o->kind, &a, doc, NULL, 0, &err);
    CHECK(rc == 0 || rc == ERR_INVALID);
    if (rc == 0) {
        kind_encode(o->kind, doc, &two);
        CHECK(one.size == two.size && memcmp(one.data, two.data, one.size) == 0);
    }
}

/* The value with some of its members and elements left out, as the bits of `which` say. */
static void write_thinned(struct buf *out, struct mp m, uint64_t *which)
{
    enum mp_type type = mp_type(m);
    if (type != MP_MAP && type != MP_ARRAY) {
        buf_append(out, m.p, (size_t)(m.end - m.p));
        return;
    }
    CLEANUP_BUF struct buf items = BUF_INIT;
    uint32_t count = 0;
    for (struct mp_iter it = mp_iter(m); mp_next(&it);) {
        *which = *which * 6364136223846793005u + 1442695040888963407u;
        if (*which >> 61 == 0) {
            continue;
        }
        if (it.is_map) {
            mp_write_str(&items, it.key);
        }
        write_thinned(&items, it.value, which);
        count++;
    }
    if (type == MP_MAP) {
        mp_write_map(out, count);
    } else {
        mp_write_array(out, count);
    }
    buf_append(out, items.data, items.size);
}

static void check_packed(const struct object *o, const struct object *base)
{
    struct object_packer scratch = {0};
    CLEANUP_BUF struct buf body = BUF_INIT;
    CLEANUP_OBJECT struct object *packed = object_pack(o, base, &scratch);
    object_packer_close(&scratch);
    if (packed == NULL) {
        return;
    }
    CLEANUP_OBJECT struct object *again = object_pack_again(packed);
    CHECK(object_kept_bytes(again) < object_kept_bytes(o)); /* before anybody reads it */
    CLEANUP_OBJECT struct object *plain = object_unpack(again);
    object_append_body(&body, packed);
    CHECK(body.size == o->body_size && memcmp(body.data, object_body(o), body.size) == 0);
    CHECK(memcmp(object_body(packed), object_body(o), body.size) == 0 && plain->hash == o->hash);
    CHECK(str_eq(again->name, o->name) && str_eq(again->ns, o->ns) && str_eq(again->uid, o->uid));
    CHECK(str_eq(again->owner_uid, o->owner_uid) && again->deleting == o->deleting);
}

/* Against itself, and against what resembles it, both ways. */
static void check_packing(const struct object *o)
{
    uint64_t which = o->hash;
    CLEANUP_OBJECT struct object *same = object_with_revision(o, 3);
    check_packed(o, same);
    for (unsigned i = 0; i < 3; i++) {
        CLEANUP_BUF struct buf body = BUF_INIT;
        CLEANUP_OBJECT struct object *base = NULL;
        write_thinned(&body, object_mp(o), &which);
        if (object_from_body(o->kind, body.data, body.size, 9, &base, NULL) == 0) {
            check_packed(o, base);
            check_packed(base, o);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input f = fuzz_input(data, size);
    unsigned head = fuzz_byte(&f);
    CLEANUP_OBJECT struct object *o = NULL;
    struct error err = {0};
    struct mp m = mp_of(f.p, (size_t)(f.end - f.p));
    const struct kind *k = kinds_at((head >> 1) % kinds_count());
    int rc = head & 1 ? object_from_body(k, m.p, (size_t)(m.end - m.p), 7, &o, &err) : object_from_wire(m, &o, &err);
    if (rc != 0) {
        CHECK_FAILED(rc, err);
        return 0;
    }
    CHECK(!str_empty(o->name) && o->body_size <= OBJECT_SIZE_MAX);
    object_label(o, "app");
    object_annotation(o, "a");
    object_created_ms(o);
    check_cells(o);
    check_packing(o);
    if ((head & 1) == 0) { /* a body from the log is not looked at more closely than its form */
        check_wire(o);
        check_document(o);
    }
    return 0;
}
