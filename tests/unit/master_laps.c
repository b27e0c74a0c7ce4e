/* The longest turn of the loop, ever and of late (master/front/laps.h). */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include <stdint.h>

#include "base/mem.h"
#include "master/front/laps.h"

static void the_first_turn_is_only_a_beginning(void **state)
{
    struct laps l = {0};
    laps_end(&l, 700000, 1000);
    assert_int_equal(laps_longest_us(&l, 1000), 0);
    laps_end(&l, 700300, 1001);
    assert_int_equal(laps_longest_us(&l, 1001), 300);
    (void)state;
}

static void a_long_turn_is_told_for_a_window_or_two_and_then_forgotten(void **state)
{
    struct laps l = {0};
    laps_end(&l, 1, 0);
    laps_end(&l, 9001, 10);
    laps_end(&l, 9101, LAPS_WINDOW_MS);
    assert_int_equal(laps_longest_us(&l, LAPS_WINDOW_MS), 9000);
    assert_int_equal(laps_longest_us(&l, 2 * LAPS_WINDOW_MS), 100); /* nothing has ended since */
    assert_int_equal(laps_longest_us(&l, 3 * LAPS_WINDOW_MS), 0);
    laps_end(&l, 9151, 3 * LAPS_WINDOW_MS);
    assert_int_equal(laps_longest_us(&l, 3 * LAPS_WINDOW_MS), 50);
    assert_int_equal(l.turn.ever_us, 9000);
    (void)state;
}

static void each_part_has_its_longest_and_the_rest_is_the_timers(void **state)
{
    struct laps l = {0};
    laps_part(&l, LAP_SOCKETS, 500); /* before the first turn has ended */
    laps_end(&l, 1000, 0);
    laps_part(&l, LAP_SOCKETS, 1010);
    laps_part(&l, LAP_DECISIONS, 1100);
    laps_part(&l, LAP_REQUESTS, 1105);
    laps_part(&l, LAP_DECISIONS, 1110); /* the second turn within one of the loop */
    laps_end(&l, 1117, 1);
    laps_part(&l, LAP_SOCKETS, 1157);
    laps_end(&l, 1158, 2);
    static const int64_t most[LAP_COUNT] = {
        [LAP_SOCKETS] = 40, [LAP_REQUESTS] = 5, [LAP_DECISIONS] = 95, [LAP_TIMERS] = 7};
    for (unsigned i = 0; i < LAP_COUNT; i++) {
        assert_int_equal(laps_longest_part_us(&l, i, 2), most[i]);
        assert_int_equal(laps_longest_part_us(&l, i, 3 * LAPS_WINDOW_MS), 0);
    }
    assert_int_equal(laps_longest_us(&l, 2), 117);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_turn_is_only_a_beginning),
        cmocka_unit_test(each_part_has_its_longest_and_the_rest_is_the_timers),
        cmocka_unit_test(a_long_turn_is_told_for_a_window_or_two_and_then_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
