/* YAML manifests: whatever can be read is a sound document, and survives every form that Reeve writes. */
#include "proto/text/text.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_ARENA struct arena a;
    struct value **docs;
    unsigned count;
    struct error err = {0};
    arena_init(&a);
    struct value **loose, *twice = value_list(&a);
    unsigned loose_count;
    if (yaml_read_twice(&a, (struct str){(const char *)data, size}, NULL, TEXT_NODES_MAX, &loose, &loose_count, twice,
                        &err) == 0) {
        for (unsigned i = 0; i < loose_count; i++) {
            fuzz_check_value(loose[i]);
        }
    }
    err = (struct error){0};
    int rc = yaml_read(&a, (struct str){(const char *)data, size}, "fuzz.yaml", &docs, &count, &err);
    if (rc != 0) {
        CHECK_FAILED(rc, err);
        return 0;
    }
    for (unsigned i = 0; i < count; i++) {
        fuzz_check_value(docs[i]);
        fuzz_check_forms(docs[i]);
    }
    return 0;
}
