/* Patches. Input: a byte (type, kind), then a YAML stream: the object, the patch, and for apply what was last applied.
 * What comes out is a sound document, the inputs are untouched, and patching twice with a merge changes nothing
 * more. */
#include "proto/patch/patch.h"
#include "proto/text/text.h"
#include "tests/fuzz/fuzz.h"

enum { APPLY = PATCH_JSON + 1, TYPES };

static void print(struct buf *out, const struct value *v)
{
    buf_reset(out);
    if (v != NULL) {
        json_write(out, v, 0);
    }
}

static bool unchanged(struct buf *scratch, const struct buf *before, const struct value *v)
{
    print(scratch, v);
    return scratch->size == before->size &&
           (before->size == 0 || memcmp(scratch->data, before->data, before->size) == 0);
}

static int run(unsigned type, const struct kind *k, struct arena *a, struct value *const *docs, unsigned count,
               struct value **out, struct error *err)
{
    if (type == APPLY) {
        return patch_three_way(k, a, count > 2 ? docs[2] : NULL, docs[1], docs[0], out, err);
    }
    return patch_apply((enum patch_type)type, k, a, docs[0], docs[1], out, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input f = fuzz_input(data, size);
    unsigned head = fuzz_byte(&f), type = head % TYPES;
    const struct kind *k = kinds_at(head / TYPES % kinds_count());
    CLEANUP_ARENA struct arena a;
    CLEANUP_BUF struct buf before = BUF_INIT;
    CLEANUP_BUF struct buf patch = BUF_INIT;
    CLEANUP_BUF struct buf scratch = BUF_INIT;
    struct value **docs, *out = NULL, *again = NULL;
    unsigned count;
    struct error err = {0};
    arena_init(&a);
    if (yaml_read(&a, fuzz_rest(&f), NULL, &docs, &count, NULL) != 0 || count < 2) {
        return 0;
    }
    print(&before, docs[0]);
    print(&patch, docs[1]);
    int rc = run(type, k, &a, docs, count, &out, &err);
    CHECK(unchanged(&scratch, &before, docs[0]) && unchanged(&scratch, &patch, docs[1]));
    if (rc != 0) {
        CHECK_FAILED(rc, err);
        return 0;
    }
    CHECK(out != NULL);
    if (type != PATCH_JSON || value_count(docs[1]) < 100) {
        fuzz_check_value(out);
    }
    if (type == PATCH_MERGE) {
        docs[0] = out;
        CHECK(run(type, k, &a, docs, count, &again, &err) == 0 && value_equal(out, again));
    }
    return 0;
}
