/* Bodies in Kubernetes' protobuf form. What is read is a sound document, which, written in that form, is read as the
 * same; checked as a kind's it is stored, or refused with a text. */
#include "proto/protobuf/protobuf.h"
#include "proto/schema/object.h"
#include "tests/fuzz/fuzz.h"

/* What was written is read, and written again the same: but not the first time, which leaves out what a message cannot
 * say, of a time the parts of a second, and of 1970 so all of it. */
static void check_writing(struct arena *a, const struct value *doc)
{
    CLEANUP_BUF struct buf before = BUF_INIT, now = BUF_INIT;
    if (!protobuf_write_document(&before, doc)) {
        CHECK(before.size == 0);
        return;
    }
    for (unsigned i = 0; i < 2; i++) {
        struct value *back = NULL;
        struct error err = {0};
        int rc = protobuf_read(a, before.data, before.size, STR_NONE, STR_NONE, &back, &err);
        if (rc != 0) {
            fprintf(stderr, "%s\n", err.message);
        }
        CHECK(rc == 0);
        buf_reset(&now);
        CHECK(protobuf_write_document(&now, back));
        CHECK(i == 0 || str_eq(buf_str(&before), buf_str(&now)));
        buf_reset(&before);
        buf_append_str(&before, buf_str(&now));
    }
}

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
    check_writing(&a, doc);
    const struct kind *k =
        kind_of_request(value_to_str(value_get(doc, "apiVersion")), value_to_str(value_get(doc, "kind")));
    if (k != NULL) {
        rc = kind_check_fields(k, &a, doc, 0, &err);
        CHECK(rc == 0 || err.message[0] != '\0');
        return 0;
    }
    k = kind_of_document(&a, doc, &err);
    if (k == NULL) { /* of what is only answered (Status) there are messages, too */
        CHECK(err.code != 0 && err.message[0] != '\0');
        return 0;
    }
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
