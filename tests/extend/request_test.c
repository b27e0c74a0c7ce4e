/* The request greeting, asked of a real master: tests/unit/master_extend.c. */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_request_is_answered),
        cmocka_unit_test(test_its_parameters_are_those_of_its_row),
        cmocka_unit_test(test_agents_may_not_ask_what_their_row_does_not_allow),
    };
    return KIT_RUN(tests, set_up, tear_down);
}
