/* Canonical bytes, and explain. */
#include <stdlib.h>

#include "tests/unit/proto_kind_fixture.h"

static void encode(struct fixture *f, const char *yaml, struct buf *out)
{
    struct value *doc = fixture_read(f, yaml);
    const struct kind *k = kind_of_document(&f->arena, doc, &f->err);
    if (k == NULL || kind_check_fields(k, &f->arena, doc, 0, &f->err) != 0) {
        fail_msg("%s", f->err.message);
    }
    kind_encode(k, doc, out);
}

/* Both spellings must give the same bytes. */
static void assert_same_bytes(struct fixture *f, const char *one, const char *other)
{
    CLEANUP_BUF struct buf a = BUF_INIT, b = BUF_INIT;
    encode(f, one, &a);
    encode(f, other, &b);
    assert_int_equal(a.size, b.size);
    assert_memory_equal(a.data, b.data, a.size);
    assert_true(mp_valid(mp_of(a.data, a.size)));
}

static void the_order_of_keys_does_not_matter(void **state)
{
    assert_same_bytes(
        *state,
        "{apiVersion: v1, kind: Pod, metadata: {name: p, labels: {a: '1', b: '2'}}, spec: {nodeName: x, "
        "containers: [{name: c, image: i}]}}",
        "{spec: {containers: [{image: i, name: c}], nodeName: x}, metadata: {labels: {b: '2', a: '1'}, name: "
        "p}, kind: Pod, apiVersion: v1}");
}

static void nulls_and_spellings_of_numbers_do_not_matter(void **state)
{
    assert_same_bytes(
        *state,
        "{apiVersion: apps/v1, kind: Deployment, metadata: {name: d, creationTimestamp: null}, spec: "
        "{replicas: 3.0, template: {spec: {containers: [{name: c, resources: {limits: {cpu: 2}}}]}}}}",
        "{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}, spec: {replicas: 3, template: {spec: "
        "{containers: [{name: c, resources: {limits: {cpu: '2'}}}]}}}}");
}

static void the_revision_is_not_in_the_bytes(void **state)
{
    assert_same_bytes(*state, "{apiVersion: v1, kind: ConfigMap, metadata: {name: m, resourceVersion: '7'}}",
                      "{apiVersion: v1, kind: ConfigMap, metadata: {name: m}}");
}

static void free_forms_are_sorted_at_any_depth(void **state)
{
    assert_same_bytes(
        *state,
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: m, managedFields: [{fieldsV1: {'f:a': {x1: {}, b: "
        "[{d: 1, c: 2}]}, 'f:0': {}}}]}}",
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: m, managedFields: [{fieldsV1: {'f:0': {}, 'f:a': "
        "{b: [{c: 2, d: 1}], x1: {}}}}]}}");
}

static void maps_of_any_size_are_sorted(void **state)
{
    struct fixture *f = *state;
    const struct kind *k = kind_by_id(KIND_CONFIGMAP);
    struct value *doc = fixture_read(f, "{apiVersion: v1, kind: ConfigMap, metadata: {name: m}, data: {}}");
    for (unsigned i = 100; i-- > 0;) {
        char key[16];
        snprintf(key, sizeof(key), "k%02u", i);
        value_set(&f->arena, value_get(doc, "data"), key, value_int(&f->arena, 0));
        value_set(&f->arena, value_get(doc, "data"), key, value_cstr(&f->arena, "x"));
    }
    CLEANUP_BUF struct buf b = BUF_INIT;
    kind_encode(k, doc, &b);
    struct str last = STR("");
    unsigned count = 0;
    for (struct mp_iter it = mp_iter(mp_get(mp_of(b.data, b.size), "data")); mp_next(&it); count++) {
        assert_true(str_cmp(last, it.key) < 0);
        last = it.key;
    }
    assert_int_equal(count, 100);
}

static void bytes_read_back_as_the_same_document(void **state)
{
    struct fixture *f = *state;
    const char *yaml =
        "{apiVersion: v1, kind: Secret, metadata: {name: s, labels: {a: b}}, data: {k: AAEC/w==}, type: Opaque}";
    struct value *doc = fixture_read(f, yaml), *back;
    const struct kind *k = kind_by_id(KIND_SECRET);
    CLEANUP_BUF struct buf b = BUF_INIT;
    assert_int_equal(kind_check_fields(k, &f->arena, doc, 0, &f->err), 0);
    kind_encode(k, doc, &b);
    assert_int_equal(msgpack_read_value(&f->arena, b.data, b.size, &back, &f->err), 0);
    assert_true(value_equal(doc, back));
    assert_int_equal(kind_check_fields(k, &f->arena, back, 0, &f->err), 0);
    assert_true(value_equal(doc, back));
    assert_int_equal(value_path(back, "data.k")->type, VALUE_BIN);
}

static void keys_stand_in_the_order_of_the_table(void **state)
{
    struct fixture *f = *state;
    CLEANUP_BUF struct buf b = BUF_INIT;
    encode(f, "{status: {phase: Running}, spec: {containers: []}, metadata: {name: p}, kind: Pod, apiVersion: v1}", &b);
    static const char *const expected[] = {"apiVersion", "kind", "metadata", "spec", "status"};
    unsigned i = 0;
    for (struct mp_iter it = mp_iter(mp_of(b.data, b.size)); mp_next(&it); i++) {
        assert_true(str_is(it.key, expected[i]));
    }
    assert_int_equal(i, 5);
}

static void every_field_of_every_table_survives(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < kinds_count(); i++) {
        const struct kind *k = kinds_at(i);
        struct value *doc = fixture_full_map(&f->arena, k->schema), *back;
        CLEANUP_BUF struct buf one = BUF_INIT, two = BUF_INIT;
        assert_int_equal(kind_check_fields(k, &f->arena, doc, 0, &f->err), 0);
        kind_encode(k, doc, &one);
        assert_int_equal(msgpack_read_value(&f->arena, one.data, one.size, &back, &f->err), 0);
        assert_int_equal(kind_check_fields(k, &f->arena, back, 0, &f->err), 0);
        value_remove(value_get(doc, "metadata"), "resourceVersion");
        assert_int_equal(value_count(value_get(back, "metadata")), value_count(value_get(doc, "metadata")));
        kind_encode(k, back, &two);
        assert_int_equal(one.size, two.size);
        assert_memory_equal(one.data, two.data, one.size);
    }
}

/* ---- Explain ---- */

static const char *explain(struct fixture *f, const char *path, bool recursive)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    assert_int_equal(kind_explain(&b, str_of(path), recursive, &f->err), 0);
    return arena_strdup(&f->arena, buf_cstr(&b));
}

static void explain_shows_a_kind_and_its_fields(void **state)
{
    const char *text = explain(*state, "deploy", false);
    assert_contains(text, "GROUP:      apps\n");
    assert_contains(text, "KIND:       Deployment\n");
    assert_contains(text, "VERSION:    v1\n");
    assert_contains(text, "  spec\t<DeploymentSpec> -required-\n");
}

static void explain_shows_a_field_with_default_and_choices(void **state)
{
    struct fixture *f = *state;
    const char *text = explain(f, "pods.spec.restartPolicy", false);
    assert_contains(text, "FIELD: restartPolicy <string>");
    assert_contains(text, "One of: Always, OnFailure, Never. Default: Always.");
    text = explain(f, "pod.spec.containers", false);
    assert_contains(text, "FIELD: containers <[]Container>");
    assert_contains(text, "  livenessProbe\t<Probe>\n");
}

static void explain_can_show_the_whole_tree(void **state)
{
    const char *text = explain(*state, "rs.spec", true);
    assert_contains(text, "  template\t<PodTemplateSpec> -required-\n");
    assert_contains(text, "\n          initialDelaySeconds\t<integer>\n");
}

static void explain_keeps_lines_short(void **state)
{
    struct fixture *f = *state;
    static const char *const paths[] = {"pods.spec", "pods.spec.containers", "nodes.spec.taints", "pods.metadata"};
    for (unsigned i = 0; i < ARRAY_SIZE(paths); i++) {
        for (const char *p = explain(f, paths[i], false); *p != '\0';) {
            size_t n = strcspn(p, "\n");
            assert_true(n <= 80);
            p += n + (p[n] == '\n');
        }
    }
}

static void explain_names_the_nearest_field(void **state)
{
    struct fixture *f = *state;
    CLEANUP_BUF struct buf b = BUF_INIT;
    assert_int_equal(kind_explain(&b, STR("pods.spec.contaners"), false, &f->err), ERR_NOT_FOUND);
    assert_contains(f->err.message, "PodSpec has no field \"contaners\" (did you mean \"containers\"?)");
    assert_int_equal(kind_explain(&b, STR("podz"), false, &f->err), ERR_NOT_FOUND);
    assert_contains(f->err.message, "did you mean \"pods\"?");
    assert_int_equal(kind_explain(&b, STR("pods.kind.x"), false, &f->err), ERR_NOT_FOUND);
    assert_contains(f->err.message, "kind has no fields");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_order_of_keys_does_not_matter),    TEST(nulls_and_spellings_of_numbers_do_not_matter),
        TEST(the_revision_is_not_in_the_bytes),     TEST(free_forms_are_sorted_at_any_depth),
        TEST(maps_of_any_size_are_sorted),          TEST(bytes_read_back_as_the_same_document),
        TEST(keys_stand_in_the_order_of_the_table), TEST(every_field_of_every_table_survives),
        TEST(explain_shows_a_kind_and_its_fields),  TEST(explain_shows_a_field_with_default_and_choices),
        TEST(explain_can_show_the_whole_tree),      TEST(explain_keeps_lines_short),
        TEST(explain_names_the_nearest_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
