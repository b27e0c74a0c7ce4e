/* JSON text: strict reading, and what was read survives every form that Reeve writes. */
#include "proto/text/text.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_ARENA struct arena a;
    struct value *doc, *loose;
    struct error err = {0}, why = {0};
    arena_init(&a);
    struct value *twice = value_list(&a);
    int rc = json_read(&a, (struct str){(const char *)data, size}, &doc, &err);
    if (json_read_twice(&a, (struct str){(const char *)data, size}, TEXT_NODES_MAX, &loose, twice, &why) == 0) {
        fuzz_check_value(loose);
        CHECK(rc != 0 || (value_count(twice) == 0 && value_equal(doc, loose)));
    } else {
        CHECK(rc != 0);
    }
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
