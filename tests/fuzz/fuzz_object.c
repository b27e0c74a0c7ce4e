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
    CHECK(back->body_size == o->body_size && memcmp(back->body, o->body, o->body_size) == 0);
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
    if ((head & 1) == 0) { /* a body from the log is not looked at more closely than its form */
        check_wire(o);
        check_document(o);
    }
    return 0;
}
