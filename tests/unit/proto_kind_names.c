/* Looking up kinds and fields by name, rules for names, distances. */
#include <stdlib.h>

#include "tests/unit/proto_kind_fixture.h"

static void kinds_are_found_by_id_in_order(void **state)
{
    (void)state;
    assert_true(kinds_count() >= 8);
    for (unsigned i = 0; i < kinds_count(); i++) {
        assert_ptr_equal(kind_by_id(kinds_at(i)->id), kinds_at(i));
        assert_true(i == 0 || kinds_at(i - 1)->id < kinds_at(i)->id);
    }
    assert_null(kind_by_id(0));
    assert_null(kind_by_id(kinds_at(kinds_count() - 1)->id + 1));
    assert_null(kind_by_id(KIND_ID_MAX));
}

static void kinds_are_found_by_what_people_type(void **state)
{
    (void)state;
    static const struct {
        const char *typed;
        enum kind_id id;
    } rows[] = {
        {"pods", KIND_POD},
        {"po", KIND_POD},
        {"Pod", KIND_POD},
        {"DEPLOY", KIND_DEPLOYMENT},
        {"deployments.apps", KIND_DEPLOYMENT},
        {"deployments.v1.apps", KIND_DEPLOYMENT},
        {"rs", KIND_REPLICASET},
        {"cm", KIND_CONFIGMAP},
        {"no", KIND_NODE},
        {"ns", KIND_NAMESPACE},
        {"ev", KIND_EVENT},
        {"secret", KIND_SECRET},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct kind *k = kind_by_any_name(str_of(rows[i].typed));
        assert_non_null(k);
        assert_int_equal(k->id, rows[i].id);
    }
    assert_null(kind_by_any_name(STR("pods.apps")));
    assert_null(kind_by_any_name(STR("podz")));
    assert_null(kind_by_any_name(STR("")));
    assert_null(kind_by_name(STR("pod")));
}

static void a_misspelt_kind_has_a_nearest_one(void **state)
{
    (void)state;
    assert_int_equal(kind_nearest(STR("Deploymnet"))->id, KIND_DEPLOYMENT);
    assert_int_equal(kind_nearest(STR("podss"))->id, KIND_POD);
    assert_int_equal(kind_nearest(STR("configmpa"))->id, KIND_CONFIGMAP);
    assert_null(kind_nearest(STR("Elephant")));
    /* Short names are near to everything. */
    static const char *const far[] = {"Gateway", "Elk", "pdbs", "crb"};
    for (unsigned i = 0; i < ARRAY_SIZE(far); i++) {
        assert_null(kind_nearest(str_of(far[i])));
    }
}

static void kinds_that_are_not_there_yet_are_known(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"Gateway", "Gateway"},
        {"csidriver", "CSIDriver"},
        {"crd", "CustomResourceDefinition"},
        {"httproutes.gateway.networking.k8s.io", "HTTPRoute"},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        const char *name = kind_not_yet(str_of(rows[i][0]));
        assert_non_null(name);
        assert_string_equal(name, rows[i][1]);
        assert_null(kind_by_any_name(str_of(rows[i][0])));
    }
    assert_null(kind_not_yet(STR("pods")));
    assert_null(kind_not_yet(STR("")));
    CLEANUP_BUF struct buf b = BUF_INIT;
    kind_explain_unknown(&b, STR("gtw"));
    assert_non_null(strstr(buf_cstr(&b), "Gateway is not there yet"));
    for (unsigned i = 0; i < kinds_count(); i++) { /* whoever adds a kind takes it out of the other table */
        assert_null(kind_not_yet(str_of(kinds_at(i)->name)));
        assert_null(kind_not_yet(str_of(kinds_at(i)->plural)));
    }
}

static void distance_counts_edits_up_to_three(void **state)
{
    (void)state;
    assert_int_equal(name_distance(STR("image"), STR("image")), 0);
    assert_int_equal(name_distance(STR("imagee"), STR("image")), 1);
    assert_int_equal(name_distance(STR("imaeg"), STR("image")), 1);
    assert_int_equal(name_distance(STR("Image"), STR("image")), 0);
    assert_int_equal(name_distance(STR("mage"), STR("images")), 2);
    assert_int_equal(name_distance(STR(""), STR("abc")), 3);
    assert_int_equal(name_distance(STR("kitten"), STR("elephant")), 4);
    assert_int_equal(name_distance(STR(""), STR("")), 0);
}

static void dns_names_are_judged(void **state)
{
    (void)state;
    char long_label[65];
    memset(long_label, 'a', 64);
    long_label[64] = '\0';
    assert_true(name_is_dns_label(STR("web-1")));
    assert_true(name_is_dns_label((struct str){long_label, 63}));
    assert_false(name_is_dns_label((struct str){long_label, 64}));
    assert_false(name_is_dns_label(STR("-web")));
    assert_false(name_is_dns_label(STR("web-")));
    assert_false(name_is_dns_label(STR("Web")));
    assert_false(name_is_dns_label(STR("a.b")));
    assert_false(name_is_dns_label(STR("")));
    assert_true(name_is_dns_subdomain(STR("a.b-c.d")));
    assert_true(name_is_dns_subdomain(STR("a")));
    assert_false(name_is_dns_subdomain(STR("a..b")));
    assert_false(name_is_dns_subdomain(STR("a.-b")));
    assert_false(name_is_dns_subdomain(STR("a-.b")));
    assert_false(name_is_dns_subdomain(STR(".a")));
    assert_false(name_is_dns_subdomain(STR("a.")));
    assert_false(name_is_dns_subdomain(STR("a_b")));
}

static void label_keys_and_values_are_judged(void **state)
{
    (void)state;
    assert_true(name_is_label_key(STR("app")));
    assert_true(name_is_label_key(STR("example.com/My_name.x")));
    assert_false(name_is_label_key(STR("/app")));
    assert_false(name_is_label_key(STR("example.com/")));
    assert_false(name_is_label_key(STR("Example.com/app")));
    assert_false(name_is_label_key(STR("a/b/c")));
    assert_false(name_is_label_key(STR("")));
    assert_true(name_is_label_value(STR("")));
    assert_true(name_is_label_value(STR("v1.2_3-a")));
    assert_false(name_is_label_value(STR("-a")));
    assert_false(name_is_label_value(STR("a b")));
}

static void assert_prefix(struct arena *a, const char *owner, const char *expected)
{
    struct str got = name_generate_prefix(a, str_of(owner));
    assert_string_equal(arena_strndup(a, got.p, got.n), expected);
    assert_true(name_is_dns_subdomain(str_of(arena_printf(a, "%.*sx2345", STR_ARG(got)))));
}

#define B56 "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static void names_that_are_made_up_are_names(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    assert_prefix(&a, "web", "web-");
    assert_prefix(&a, B56 "c", B56 "c-");
    assert_prefix(&a, B56 "cd", B56 "cd");
    assert_prefix(&a, B56 ".x.cccccc", B56 ".x");
    assert_prefix(&a, B56 "c.x.cccccc", B56 "c.");
    assert_prefix(&a, B56 "c-x.cccccc", B56 "c-");
    /* What users write as generateName, cut anywhere. */
    const char *base = "a--b-.c.d";
    for (size_t n = 1; n <= strlen(base); n++) {
        struct str cut = name_generate_base(str_of(base), n);
        assert_true(cut.n > 0 && name_is_dns_subdomain(str_of(arena_printf(&a, "%.*sx", STR_ARG(cut)))) ==
                                     (n < 7)); /* behind "-." nothing is good */
    }
    assert_true(str_is(name_of_event(&a, STR("x.-abcde"), 1), "object.0000000000000001"));
    assert_true(str_is(name_of_event(&a, STR_NONE, 1), "object.0000000000000001"));
    /* An event's name, however the name is cut that it is made from. */
    char name[254];
    for (size_t n = 1; n <= 253; n++) {
        memset(name, 'a', n);
        for (size_t i = 1; i + 1 < n; i += 2) {
            name[i] = i % 4 == 1 ? '.' : '-';
        }
        name[n - 1] = 'z';
        struct str event = name_of_event(&a, (struct str){name, n}, n);
        assert_true(name_is_dns_subdomain(event) && name_is_key(event));
    }
}

static void fields_are_found_by_exact_name(void **state)
{
    (void)state;
    const struct schema *s = kind_by_id(KIND_POD)->schema;
    assert_non_null(schema_field(s, STR("spec")));
    assert_null(schema_field(s, STR("spe")));
    assert_null(schema_field(s, STR("specs")));
    assert_null(schema_field(s, STR("")));
    const struct schema *spec = schema_field(s, STR("spec"))->sub;
    assert_string_equal(schema_field(spec, STR("containers"))->merge_key, "name");
    assert_null(schema_field(spec, STR("tolerations"))->merge_key);
    assert_true(schema_field(spec, STR("volumes"))->flags & FIELD_RETAIN_KEYS);
}

static void check_table(const struct schema *s, unsigned depth)
{
    assert_true(depth < VALUE_DEPTH_MAX);
    assert_non_null(s->doc);
    assert_true(s->count <= 64); /* the encoder's limit */
    for (unsigned i = 0; i < s->count; i++) {
        const struct field *f = &s->fields[i];
        assert_ptr_equal(schema_field(s, str_of(f->name)), f); /* no name twice */
        assert_true(f->doc != NULL && f->doc[0] != '\0');
        assert_true((f->type == FIELD_OBJECT) == (f->sub != NULL));
        if (f->merge_key != NULL) {
            assert_non_null(schema_field(f->sub, str_of(f->merge_key)));
        }
        if (f->sub != NULL) {
            check_table(f->sub, depth + 1);
        }
    }
}

static void every_table_is_sound(void **state)
{
    (void)state;
    for (unsigned i = 0; i < kinds_count(); i++) {
        const struct kind *k = kinds_at(i);
        check_table(k->schema, 0);
        assert_string_equal(k->schema->fields[0].name, "apiVersion");
        assert_string_equal(k->schema->fields[1].name, "kind");
        assert_string_equal(k->schema->fields[2].name, "metadata");
        assert_int_equal(k->has_status, schema_field(k->schema, STR("status")) != NULL);
        assert_true(k->columns_count > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_are_found_by_id_in_order),    cmocka_unit_test(kinds_are_found_by_what_people_type),
        cmocka_unit_test(a_misspelt_kind_has_a_nearest_one), cmocka_unit_test(kinds_that_are_not_there_yet_are_known),
        cmocka_unit_test(distance_counts_edits_up_to_three), cmocka_unit_test(dns_names_are_judged),
        cmocka_unit_test(label_keys_and_values_are_judged),  cmocka_unit_test(names_that_are_made_up_are_names),
        cmocka_unit_test(fields_are_found_by_exact_name),    cmocka_unit_test(every_table_is_sound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
