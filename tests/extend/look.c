/* What people see of the kind of tests/extend/kind.c: its own description. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/describe/describe.h"
#include "proto/text/text.h"

static void a_kind_is_described_as_its_table_says(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct value *doc;
    struct object *o;
    struct error err = {0};
    const struct describe_context c = {0};
    CLEANUP_BUF struct buf out = BUF_INIT;
    assert_int_equal(json_read(&a,
                               STR("{\"apiVersion\":\"example.io/v1\",\"kind\":\"Widget\",\"metadata\":{\"name\":\"w\","
                                   "\"namespace\":\"shop\",\"uid\":\"u\"},\"spec\":{\"text\":\"hi\"}}"),
                               &doc, &err),
                     0);
    assert_int_equal(object_from_value(kind_by_id(KIND_WIDGET), doc, 1, &o, &err), 0);
    describe_object(&out, o, &c);
    assert_string_equal(buf_cstr(&out), "Name:       w\nNamespace:  shop\nLabels:     <none>\nAnnotations: <none>\n"
                                        "Text:       hi\nPods:       0\n");
    object_unref(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_kind_is_described_as_its_table_says)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
