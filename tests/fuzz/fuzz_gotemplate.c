/* Templates of `get -o go-template`. Input: a template, NUL, a document (YAML). */
#include "client/ui/gotemplate.h"
#include "proto/text/text.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input f = fuzz_input(data, size);
    struct str text = fuzz_until(&f, 0);
    CLEANUP_ARENA struct arena a;
    CLEANUP_BUF struct buf out = BUF_INIT, again = BUF_INIT;
    struct value **docs;
    unsigned count;
    struct error err = {0};
    struct gotemplate *t;
    arena_init(&a);
    if (yaml_read(&a, fuzz_rest(&f), NULL, &docs, &count, NULL) != 0) {
        return 0;
    }
    const struct value *root = count == 0 ? NULL : docs[0];
    int rc = gotemplate_parse(&a, arena_strndup(&a, text.p == NULL ? "" : text.p, text.n), &t, &err);
    if (rc != 0) {
        CHECK_FAILED(rc, err);
        return 0;
    }
    rc = gotemplate_run(&a, t, root, &out, &err);
    if (rc != 0) {
        CHECK_FAILED(rc, err);
    }
    /* A template and a document are not changed by being used. */
    CHECK(gotemplate_run(&a, t, root, &again, &err) == rc && str_eq(buf_str(&out), buf_str(&again)));
    return 0;
}
