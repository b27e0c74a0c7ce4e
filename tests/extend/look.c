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

static void a_kind_is_asked_for_in_another_version(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    const char *version;
    struct error err = {0};
    const struct kind *k = kind_by_id(KIND_WIDGET);
    assert_ptr_equal(kind_in_named_version(STR("widgets.v1beta1.example.io"), &version), k);
    assert_string_equal(version, "example.io/v1beta1");
    assert_ptr_equal(kind_in_named_version(STR("wi"), &version), k);
    assert_string_equal(version, "example.io/v1");
    assert_ptr_equal(kind_in_named_version(STR("widgets.v1.example.io"), &version), k);
    assert_string_equal(version, "example.io/v1");
    assert_null(kind_in_named_version(STR("widgets.v2.example.io"), &version));
    assert_null(kind_in_named_version(STR("deployments.v1beta1.extensions"), &version)); /* taken, never answered */
    struct value *doc = value_map(&a);
    value_set(&a, value_ensure_map(&a, doc, "spec"), "text", value_cstr(&a, "hi"));
    assert_int_equal(kind_write_version(k, &a, doc, STR("example.io/v1beta1"), &err), 0);
    assert_true(str_is(value_path_str(doc, "spec.words"), "hi"));
    assert_true(str_is(value_path_str(doc, "apiVersion"), "example.io/v1beta1"));
    assert_null(value_path(doc, "spec.text"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kind_is_described_as_its_table_says),
        cmocka_unit_test(a_kind_is_asked_for_in_another_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
