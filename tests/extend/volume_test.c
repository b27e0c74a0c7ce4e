/* The source of volumes of tests/extend: what is let in, what it refers to, and what the node makes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "agent/pod/podspec.h"
#include "proto/text/text.h"

#define POD(text)                                                                                                      \
    "{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: shop, uid: u}, spec: {containers: [{name: c, image: "  \
    "i}], "                                                                                                            \
    "volumes: [{name: v, words: {text: " text ", configMap: more}}]}}"

static int pod(struct arena *a, const char *text, struct object **out, struct error *err)
{
    struct value **docs;
    unsigned count;
    assert_int_equal(yaml_read(a, str_of(text), NULL, &docs, &count, err), 0);
    int rv = kind_check(kind_by_id(KIND_POD), a, docs[0], NULL, 0, err);
    if (rv == 0) {
        assert_int_equal(object_from_value(kind_by_id(KIND_POD), docs[0], 1, out, err), 0);
    }
    return rv;
}

static void a_source_is_checked_as_its_row_says(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    CLEANUP_OBJECT struct object *o = NULL;
    struct error err = {0};
    assert_int_equal(pod(&a, POD("nothing"), &o, &err), ERR_INVALID);
    assert_string_equal(err.field, "spec.volumes[0].words.text");
}

static void count_content(void *data, const struct kind_reference *r)
{
    *(unsigned *)data += r->use == REFERENCE_CONTENT && str_is(r->name, "more");
}

static void a_source_is_laid_out_and_refers_as_its_row_says(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    CLEANUP_OBJECT struct object *o = NULL;
    struct error err = {0};
    struct podspec *s;
    const struct podspec_facts facts = {0};
    struct volume_file *files;
    unsigned count, found = 0;
    bool secret;
    assert_int_equal(pod(&a, POD("hello"), &o, &err), 0);
    kind_references(o, count_content, &found);
    assert_int_equal(found, 1);
    assert_int_equal(podspec_new(o, &s, &err), 0);
    assert_int_equal(podspec_volume_files(s, &s->volumes[0], &facts, &a, &files, &count, &secret, &err), 0);
    assert_int_equal(count, 1);
    assert_string_equal(files[0].path, "words");
    assert_true(str_is(files[0].content, "hello"));
    podspec_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_source_is_checked_as_its_row_says),
        cmocka_unit_test(a_source_is_laid_out_and_refers_as_its_row_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
