/* The request greeting, and a list of widgets by what they say, asked of a real master: tests/unit/master_extend.c. */
#include "master/front/turns.h"
#include "tests/unit/kit/master_kit.h"

static struct kit *kit;
static struct client *admin;

static int set_up(void **state)
{
    (void)state;
    kit = kit_one(NULL);
    admin = client_admin(kit, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    kit_free(kit);
    return 0;
}

static void test_the_request_is_answered(void **state)
{
    (void)state;
    must(admin, "greeting", "{name: world}");
    assert_string_equal(text_at(admin, "hello"), "world");
    assert_true(strlen(text_at(admin, "from")) > 0);
}

static void test_its_parameters_are_those_of_its_row(void **state)
{
    (void)state;
    refused(admin, ERR_USAGE, "parameter \"name\" is missing", "greeting", "{}");
    refused(admin, ERR_USAGE, "known are: name", "greeting", "{nme: world}");
}

static void test_agents_may_not_ask_what_their_row_does_not_allow(void **state)
{
    (void)state;
    refused(client_as(kit, 0, PKI_ROLE_NODE, "n1"), ERR_FORBIDDEN, "may not call greeting", "greeting", "{name: n1}");
}

static void test_a_row_of_admission_refuses_and_is_told(void **state)
{
    (void)state;
    refused(admin, ERR_FORBIDDEN, "widgets do not shout", "create",
            "{object: {apiVersion: example.io/v1, kind: Widget, metadata: {name: loud}, spec: {text: HELLO}}}");
    const struct value *rows = value_get(must(admin, "admission", "{}"), "admission");
    assert_string_equal(value_text(kit, value_item(rows, value_count(rows) - 1), "name"), "QuietWidgets");
}

/* More than any other list here has to look at. */
static void test_a_list_looks_at_what_the_index_leads_to(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 300; i++) {
        must(admin, "create",
             "{object: {apiVersion: example.io/v1, kind: Widget, metadata: {name: w%u, namespace: default}, spec: "
             "{text: "
             "%s}}}",
             i, i % 150 == 0 ? "rare" : "common");
    }
    struct value *found = must(admin, "list", "{kind: Widget, namespace: default, fieldSelector: spec.text=rare}");
    assert_int_equal(value_count(value_get(found, "items")), 2);
    must(admin, "cluster", "{}");
    assert_in_range(int_at(admin, "stats.pieceVisitsMost"), 1, TURNS_PIECE_VISITS - 1);
    found = must(admin, "list", "{kind: Widget, namespace: default, fieldSelector: spec.text!=common}");
    assert_int_equal(value_count(value_get(found, "items")), 2);
    must(admin, "cluster", "{}");
    assert_int_equal(int_at(admin, "stats.pieceVisitsMost"), TURNS_PIECE_VISITS); /* a scan */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_request_is_answered),
        cmocka_unit_test(test_its_parameters_are_those_of_its_row),
        cmocka_unit_test(test_agents_may_not_ask_what_their_row_does_not_allow),
        cmocka_unit_test(test_a_row_of_admission_refuses_and_is_told),
        cmocka_unit_test(test_a_list_looks_at_what_the_index_leads_to),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
