/* How old is what nodes answer names from (master/nodes/moments.h). */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include "master/nodes/moments.h"

static void who_knows_the_newest_lacks_nothing(void **state)
{
    struct moments m = {0};
    assert_int_equal(moments_behind_ms(&m, 0, 5000), 0);
    moments_note(&m, 10, 1000);
    assert_int_equal(moments_behind_ms(&m, 10, 90000), 0);
    assert_int_equal(moments_behind_ms(&m, 12, 90000), 0);
    (void)state;
}

static void who_lacks_something_has_lacked_it_since_it_changed(void **state)
{
    struct moments m = {0};
    moments_note(&m, 10, 1000);
    moments_note(&m, 20, 5000);
    moments_note(&m, 30, 9000);
    assert_int_equal(moments_behind_ms(&m, 20, 10000), 1000);
    assert_int_equal(moments_behind_ms(&m, 19, 10000), 5000);
    assert_int_equal(moments_behind_ms(&m, 5, 10000), 9000);
    assert_int_equal(moments_behind_ms(&m, 20, 8000), 0); /* by then there was nothing newer */
    (void)state;
}

/* coredns#3860: what is missed in the second of another change is seen as well. */
static void the_last_change_of_a_second_is_not_taken_for_the_first(void **state)
{
    struct moments m = {0};
    moments_note(&m, 10, 1000);
    moments_note(&m, 11, 1400);
    moments_note(&m, 12, 1999);
    assert_int_equal(moments_behind_ms(&m, 10, 61000), 60000);
    assert_int_equal(moments_behind_ms(&m, 12, 61000), 0);
    (void)state;
}

static void what_is_forgotten_counts_since_the_oldest_that_is_not(void **state)
{
    struct moments m = {0};
    for (unsigned i = 0; i < 3 * MOMENTS_MAX + 7; i++) {
        moments_note(&m, 100 + i, (int64_t)i * MOMENT_MS);
    }
    int64_t now_ms = (int64_t)(3 * MOMENTS_MAX + 6) * MOMENT_MS;
    assert_int_equal(moments_behind_ms(&m, 1, now_ms), (int64_t)(MOMENTS_MAX - 1) * MOMENT_MS);
    assert_int_equal(moments_behind_ms(&m, 100 + 3 * MOMENTS_MAX + 5, now_ms), 0);
    assert_int_equal(moments_behind_ms(&m, 100 + 3 * MOMENTS_MAX + 4, now_ms), MOMENT_MS);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_knows_the_newest_lacks_nothing),
        cmocka_unit_test(who_lacks_something_has_lacked_it_since_it_changed),
        cmocka_unit_test(the_last_change_of_a_second_is_not_taken_for_the_first),
        cmocka_unit_test(what_is_forgotten_counts_since_the_oldest_that_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
