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

#define WINDOW_US (LAPS_WINDOW_MS * INT64_C(1000))

static void the_first_turn_is_only_a_beginning(void **state)
{
    struct laps l = {0};
    laps_end(&l, 700000, 1000);
    assert_int_equal(laps_longest_us(&l, 1000), 0);
    laps_end(&l, 700300, 1301);
    assert_int_equal(laps_longest_us(&l, 1301), 300);
    (void)state;
}

static void a_long_turn_is_told_for_a_window_or_two_and_then_forgotten(void **state)
{
    struct laps l = {0};
    laps_end(&l, 1, 1);
    laps_end(&l, 9001, 10000);
    laps_end(&l, 9101, WINDOW_US);
    assert_int_equal(laps_longest_us(&l, WINDOW_US), 9000);
    assert_int_equal(laps_last_us(&l), 100);
    assert_int_equal(laps_longest_us(&l, 2 * WINDOW_US), 100); /* nothing has ended since */
    assert_int_equal(laps_longest_us(&l, 3 * WINDOW_US), 0);
    laps_end(&l, 9151, 3 * WINDOW_US);
    assert_int_equal(laps_longest_us(&l, 3 * WINDOW_US), 50);
    assert_int_equal(l.turn.ever_us, 9000);
    (void)state;
}

static void each_part_has_its_longest_and_sockets_have_what_the_others_leave(void **state)
{
    struct laps l = {0};
    laps_part(&l, LAP_SOCKETS, 500, 0);
    laps_end(&l, 1000, 1000);
    laps_part(&l, LAP_SOCKETS, 71000, 1010); /* it slept, and was on a core for 10 us of it */
    laps_part(&l, LAP_DECISIONS, 71090, 0);
    laps_part(&l, LAP_REQUESTS, 71095, 0);
    laps_part(&l, LAP_DECISIONS, 71100, 0); /* the second turn within one of the loop */
    laps_end(&l, 1117, 71107);
    laps_part(&l, LAP_SOCKETS, 71300, 0); /* a short time: what is left of the turn is theirs */
    laps_end(&l, 1158, 71301);
    static const int64_t most[LAP_COUNT] = {
        [LAP_SOCKETS] = 40, [LAP_REQUESTS] = 5, [LAP_DECISIONS] = 95, [LAP_TIMERS] = 7};
    for (unsigned i = 0; i < LAP_COUNT; i++) {
        assert_int_equal(laps_longest_part_us(&l, i, 71301), most[i]);
        assert_int_equal(laps_longest_part_us(&l, i, 3 * WINDOW_US), 0);
    }
    assert_int_equal(laps_longest_us(&l, 71301), 117);
    (void)state;
}

static void a_long_part_is_told_in_time_on_a_core(void **state)
{
    struct laps l = {0};
    laps_end(&l, 1000, 1000);
    laps_part(&l, LAP_SOCKETS, 1010, 0);
    laps_part(&l, LAP_REQUESTS, 1110, 0);
    assert_false(laps_is_long(&l, 1110 + LAPS_LONG_US - 1));
    assert_true(laps_is_long(&l, 51110));
    laps_part(&l, LAP_WATCHES, 51110, 1130); /* others had the core for nearly all of it */
    laps_part(&l, LAP_DECISIONS, 52110, 2030);
    laps_end(&l, 2050, 52130);
    assert_int_equal(laps_longest_part_us(&l, LAP_REQUESTS, 52130), 100);
    assert_int_equal(laps_longest_part_us(&l, LAP_WATCHES, 52130), 30);
    assert_int_equal(laps_longest_part_us(&l, LAP_DECISIONS, 52130), 900);
    assert_int_equal(laps_longest_part_us(&l, LAP_TIMERS, 52130), 20);
    assert_int_equal(laps_longest_part_us(&l, LAP_SOCKETS, 52130), 0);
    assert_int_equal(laps_longest_us(&l, 52130), 1050);
    (void)state;
}

static void a_part_during_which_others_had_the_core_is_no_longer_than_its_turn(void **state)
{
    struct laps l = {0};
    laps_end(&l, 1000, 1000);
    laps_part(&l, LAP_SOCKETS, 1010, 0);
    laps_part(&l, LAP_WATCHES, 1410, 0);
    laps_end(&l, 1060, 1412);
    assert_int_equal(laps_longest_part_us(&l, LAP_WATCHES, 1412), 60);
    assert_int_equal(laps_longest_part_us(&l, LAP_SOCKETS, 1412), 0);
    assert_int_equal(laps_longest_us(&l, 1412), 60);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_turn_is_only_a_beginning),
        cmocka_unit_test(each_part_has_its_longest_and_sockets_have_what_the_others_leave),
        cmocka_unit_test(a_long_part_is_told_in_time_on_a_core),
        cmocka_unit_test(a_part_during_which_others_had_the_core_is_no_longer_than_its_turn),
        cmocka_unit_test(a_long_turn_is_told_for_a_window_or_two_and_then_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
