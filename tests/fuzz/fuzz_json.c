/* JSON text: strict reading, and what was read survives every form that Reeve writes. */
#include "proto/text/text.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_ARENA struct arena a;
    struct value *doc;
    struct error err = {0};
    arena_init(&a);
    int rc = json_read(&a, (struct str){(const char *)data, size}, &doc, &err);
    if (rc != 0) {
        CHECK_FAILED(rc, err);
        return 0;
    }
    fuzz_check_value(doc);
    fuzz_check_forms(doc);
    struct value *copy = value_copy(&a, doc);
    value_sort(copy);
    CHECK(value_equal(doc, copy));
    return 0;
}
