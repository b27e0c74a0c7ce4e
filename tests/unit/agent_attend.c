#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/util/attend.h"

/* Until the limit is over, each tick late_ms later than asked for. */
static int64_t run(int64_t limit_ms, int64_t late_ms)
{
    struct attend a;
    int64_t now = 5000;
    for (int64_t wait = attend_start(&a, limit_ms, now); wait > 0; wait = attend_tick(&a, now)) {
        now += wait + late_ms;
    }
    return now - 5000;
}

static void a_limit_is_over_in_time_if_the_process_runs(void **state)
{
    (void)state;
    assert_int_equal(run(1000, 0), 1000);
    assert_int_equal(run(250, 0), 250);
    assert_int_equal(run(1, 0), 1);
    assert_in_range(run(1000, 5), 1000, 1050);
}

static void a_standstill_does_not_count(void **state)
{
    (void)state;
    struct attend a;
    int64_t wait = attend_start(&a, 1000, 0);
    wait = attend_tick(&a, wait);
    assert_int_equal(wait, ATTEND_TICK_MS);
    wait = attend_tick(&a, 2500); /* stood still from 100 to 2500 */
    for (int64_t now = 2500, ticks = 0; ticks < 9; ticks++) {
        assert_int_equal(wait, ATTEND_TICK_MS);
        now += wait;
        wait = attend_tick(&a, now);
    }
    assert_int_equal(wait, 0);
}

static void one_in_the_last_tick_leaves_time_to_take_the_answer(void **state)
{
    (void)state;
    struct attend a;
    attend_start(&a, 100, 0);
    assert_int_equal(attend_tick(&a, 2000), 100);
    assert_int_equal(attend_tick(&a, 2100), 0);
}

static void it_ends_even_if_every_tick_is_late(void **state)
{
    (void)state;
    assert_in_range(run(1000, 700), 1000 + ATTEND_EXTRA_MS, 2 * ATTEND_EXTRA_MS);
}

static void what_has_not_begun_takes_nothing_from_the_limit(void **state)
{
    (void)state;
    struct attend a;
    int64_t now = attend_start(&a, 300, 0);
    for (int i = 0; i < 5; i++) {
        now += attend_skip(&a, now);
    }
    assert_int_equal(attend_tick(&a, now), 100);
    assert_int_equal(attend_tick(&a, now + 100), 100);
    assert_int_equal(attend_tick(&a, now + 200), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_limit_is_over_in_time_if_the_process_runs),
        cmocka_unit_test(a_standstill_does_not_count),
        cmocka_unit_test(one_in_the_last_tick_leaves_time_to_take_the_answer),
        cmocka_unit_test(it_ends_even_if_every_tick_is_late),
        cmocka_unit_test(what_has_not_begun_takes_nothing_from_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
