/* Manifests of every kind, from text to object: checking is idempotent, and what was accepted is stored and read
 * back the same. */
#include "proto/schema/object.h"
#include "proto/text/text.h"
#include "tests/fuzz/fuzz.h"

static void encode(const struct kind *k, const struct value *doc, struct buf *out)
{
    buf_reset(out);
    kind_encode(k, doc, out);
}

static bool same(const struct buf *a, const struct buf *b)
{
    return a->size == b->size && memcmp(a->data, b->data, a->size) == 0;
}

static void check_accepted(const struct kind *k, struct arena *a, struct value *doc)
{
    CLEANUP_BUF struct buf one = BUF_INIT;
    CLEANUP_BUF struct buf two = BUF_INIT;
    struct error err = {0};
    encode(k, doc, &one);
    CHECK(kind_check(k, a, doc, NULL, 0, &err) == 0);
    encode(k, doc, &two);
    CHECK(same(&one, &two));
    CHECK(kind_check(k, a, doc, value_copy(a, doc), KIND_CHECK_UPDATE, &err) == 0);

    CLEANUP_OBJECT struct object *o = NULL;
    if (value_path_str(doc, "metadata.name").n == 0) {
        return; /* a prefix alone: the masters complete it first */
    }
    CHECK(object_from_value(k, doc, 5, &o, &err) == 0);
    CHECK(o->body_size == one.size && memcmp(object_body(o), one.data, one.size) == 0);
    struct value *back = object_to_value(a, o);
    encode(k, back, &two);
    CHECK(same(&one, &two));
    buf_reset(&two);
    object_write_wire(&two, o);
    CLEANUP_OBJECT struct object *wired = NULL;
    CHECK(object_from_wire(mp_of(two.data, two.size), &wired, &err) == 0);
    CHECK(wired->hash == o->hash && wired->revision == 5);
    buf_reset(&two);
    for (unsigned i = 0; i < k->columns_count; i++) {
        if (k->columns[i].cell != NULL) {
            k->columns[i].cell(&two, o, 1767225600000);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_ARENA struct arena a;
    struct value **docs;
    unsigned count;
    struct error err = {0};
    arena_init(&a);
    if (yaml_read(&a, (struct str){(const char *)data, size}, NULL, &docs, &count, NULL) != 0) {
        return 0;
    }
    for (unsigned i = 0; i < count; i++) {
        const struct kind *k = kind_of_document(&a, docs[i], &err);
        if (k == NULL) {
            CHECK(err.code == ERR_INVALID && err.message[0] != '\0');
            continue;
        }
        struct value *patch = value_copy(&a, docs[i]);
        kind_check_fields(k, &a, patch, KIND_CHECK_PATCH, NULL);
        int rc = kind_check(k, &a, docs[i], NULL, 0, &err);
        if (rc != 0) {
            CHECK_FAILED(rc, err);
            continue;
        }
        check_accepted(k, &a, docs[i]);
    }
    return 0;
}
