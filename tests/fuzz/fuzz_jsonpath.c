/* JSONPath templates of `get -o jsonpath`. Input: a template, NUL, a document (YAML). */
#include "client/ui/jsonpath.h"
#include "proto/text/text.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input f = fuzz_input(data, size);
    struct str text = fuzz_until(&f, 0);
    CLEANUP_ARENA struct arena a;
    CLEANUP_BUF struct buf out = BUF_INIT;
    struct value **docs;
    unsigned count;
    struct error err = {0};
    arena_init(&a);
    if (yaml_read(&a, fuzz_rest(&f), NULL, &docs, &count, NULL) != 0 || count == 0) {
        return 0;
    }
    const char *template = arena_strndup(&a, text.p == NULL ? "" : text.p, text.n);
    int rc = jsonpath_print(&a, docs[0], template, &out, &err);
    if (rc != 0) {
        CHECK_FAILED(rc, err);
    }
    const struct value **found;
    unsigned found_count;
    rc = jsonpath_find(&a, docs[0], template, &found, &found_count, &err);
    if (rc != 0) {
        CHECK_FAILED(rc, err);
        return 0;
    }
    CHECK(found_count <= JSONPATH_RESULTS_MAX);
    for (unsigned i = 0; i < found_count && i < 100; i++) {
        CHECK(found[i] != NULL);
        buf_reset(&out);
        jsonpath_write_value(&out, found[i]);
    }
    return 0;
}
