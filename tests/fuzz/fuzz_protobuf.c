/* Bodies in Kubernetes' protobuf form. What is read is a sound document; checked as a kind's it is stored, or refused
 * with a text. */
#include "proto/protobuf/protobuf.h"
#include "proto/schema/object.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_ARENA struct arena a;
    struct value *doc = NULL;
    struct error err = {0};
    arena_init(&a);
    int rc = protobuf_read(&a, data, size, STR("v1"), STR("Pod"), &doc, &err);
    if (rc != 0) {
        CHECK_FAILED(rc, err);
        CHECK(doc == NULL);
        return 0;
    }
    fuzz_check_value(doc);
    const struct kind *k =
        kind_of_request(value_to_str(value_get(doc, "apiVersion")), value_to_str(value_get(doc, "kind")));
    if (k != NULL) {
        rc = kind_check_fields(k, &a, doc, 0, &err);
        CHECK(rc == 0 || err.message[0] != '\0');
        return 0;
    }
    k = kind_of_document(&a, doc, &err);
    CHECK(k != NULL);
    if ((rc = kind_check(k, &a, doc, NULL, KIND_CHECK_LENIENT, &err)) != 0) {
        CHECK_FAILED(rc, err);
        return 0;
    }
    CLEANUP_OBJECT struct object *o = NULL;
    if (value_path_str(doc, "metadata.name").n > 0) {
        rc = object_from_value(k, doc, 5, &o, &err);
        CHECK(rc == 0 || rc == ERR_TOO_LARGE);
    }
    return 0;
}
