/* What controllers share that needs no cluster: hashes of templates, percentages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "controllers/util.h"

static void template_hashes_are_stable_and_told_apart(void **state)
{
    (void)state;
    struct arena a;
    char one[16], same[16], collided[16], other[16];
    arena_init(&a);
    struct value *t = value_map(&a), *u = value_map(&a);
    value_set(&a, t, "a", value_int(&a, 1));
    value_set(&a, t, "b", value_int(&a, 2));
    value_set(&a, u, "b", value_int(&a, 2));
    value_set(&a, u, "a", value_int(&a, 1));
    template_hash(&a, t, 0, one);
    template_hash(&a, u, 0, same);
    template_hash(&a, t, 1, collided);
    value_set(&a, u, "a", value_int(&a, 3));
    template_hash(&a, u, 0, other);
    assert_string_equal(one, same);
    assert_string_not_equal(one, collided);
    assert_string_not_equal(one, other);
    assert_true(name_is_label_value(str_of(one)));
    /* The name of every ReplicaSet depends on it: it must never change. */
    assert_string_equal(one, "9jszfk9jlh");
    arena_close(&a);
}

static void percentages_round_as_rollouts_need(void **state)
{
    (void)state;
    struct value text = {.type = VALUE_STR, .str = STR("25%")}, number = {.type = VALUE_INT, .integer = 7};
    assert_int_equal(int_or_percent(&text, 3, true, "0"), 1);
    assert_int_equal(int_or_percent(&text, 3, false, "0"), 0);
    assert_int_equal(int_or_percent(&text, 10, true, "0"), 3);
    assert_int_equal(int_or_percent(&text, 10, false, "0"), 2);
    assert_int_equal(int_or_percent(&number, 10, false, "0"), 7);
    assert_int_equal(int_or_percent(NULL, 10, true, "25%"), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(template_hashes_are_stable_and_told_apart),
        cmocka_unit_test(percentages_round_as_rollouts_need),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
