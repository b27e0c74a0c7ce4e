/* Accounts of peers that fill again. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "master/auth/allowance.h"

static void an_account_fills_again_and_is_one_peers_alone(void **state)
{
    (void)state;
    struct allowance *a = allowance_new(env_real(), 10, 6000000);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(allowance_wait_ms(a, STR("kate"), 1, 1000), 0);
        assert_int_equal(allowance_take(a, STR("kate"), 1, 1000), 0);
    }
    assert_int_equal(allowance_take(a, STR("kate"), 1, 1000), 6000);
    assert_int_equal(allowance_take(a, STR("kate"), 1, 1001), 5999); /* asking in vain costs nothing */
    assert_int_equal(allowance_take(a, STR("john"), 1, 1001), 0);
    assert_int_equal(allowance_wait_ms(a, STR("kate"), 1, 7000), 0);
    assert_int_equal(allowance_take(a, STR("kate"), 1, 7000), 0);
    assert_int_equal(allowance_take(a, STR("kate"), 1, 7000), 6000);
    assert_int_equal(allowance_take(a, STR("kate"), 10, 7000), 60000);
    free(a);
}

static void more_than_the_burst_costs_all_of_it(void **state)
{
    (void)state;
    struct allowance *a = allowance_new(env_real(), 100, 1000);
    assert_int_equal(allowance_take(a, STR("n1"), 1000000, 50), 0); /* or it would never be taken */
    assert_int_equal(allowance_take(a, STR("n1"), 1, 50), 1);
    assert_int_equal(allowance_take(a, STR("n1"), 40, 90), 0);
    assert_int_equal(allowance_take(a, STR("n1"), 1000000, 90), 100);
    assert_int_equal(allowance_take(a, STR("n2"), 0, 90), 0);
    free(a);
}

static void more_peers_than_there_is_room_for_push_out_the_quietest(void **state)
{
    (void)state;
    struct allowance *a = allowance_new(env_real(), 10, 6000000);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(allowance_take(a, STR("greedy"), 1, 0), 0);
    }
    for (unsigned i = 0; i < 4 * ALLOWANCE_SETS * ALLOWANCE_SET; i++) {
        char who[16];
        snprintf(who, sizeof who, "n%u", i);
        assert_int_equal(allowance_take(a, str_of(who), 1, 1), 0);
    }
    assert_true(allowance_take(a, STR("greedy"), 1, 2) > 0); /* who owes most is kept */
    free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_account_fills_again_and_is_one_peers_alone),
        cmocka_unit_test(more_than_the_burst_costs_all_of_it),
        cmocka_unit_test(more_peers_than_there_is_room_for_push_out_the_quietest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
