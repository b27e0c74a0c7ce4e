/* Patience: time attended, standstills remembered and told, and the timeout made of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "raft-store/raft/pace.h"

static struct pace new_pace(unsigned ceiling_ms, unsigned start_ms)
{
    struct pace p;
    pace_init(
        &p, &(struct pace_config){.heartbeat_ms = 100, .floor_ms = 450, .ceiling_ms = ceiling_ms, .start_ms = start_ms},
        1000);
    return p;
}

/* The owner looks at its sockets every `step` ms. */
static int64_t attend_until(struct pace *p, int64_t from_ms, int64_t to_ms, int64_t step_ms)
{
    for (; from_ms < to_ms; from_ms += step_ms) {
        pace_attend(p, from_ms);
    }
    return from_ms;
}

static void time_passes_for_who_never_attends(void **state)
{
    (void)state;
    struct pace p = new_pace(0, 0);
    assert_int_equal(pace_time(&p, 1000), 1000);
    assert_int_equal(pace_time(&p, 91000), 91000);
}

static void attended_time_is_the_clock_while_the_loop_turns(void **state)
{
    (void)state;
    struct pace p = new_pace(0, 0);
    int64_t now = attend_until(&p, 1000, 9000, 100);
    assert_int_equal(pace_time(&p, now), now);
    assert_int_equal(pace_time(&p, now - 50), now - 50);
}

static void standing_still_for_seconds_is_one_heartbeat(void **state)
{
    (void)state;
    struct pace p = new_pace(0, 0);
    pace_attend(&p, 1000);
    assert_int_equal(pace_time(&p, 6000), 1100); /* a timer that is due before the sockets are read */
    pace_attend(&p, 6000);
    assert_int_equal(pace_time(&p, 6000), 1100);
    assert_int_equal(pace_time(&p, 6040), 1140);
}

static void time_never_goes_back(void **state)
{
    (void)state;
    struct pace p = new_pace(0, 0);
    pace_attend(&p, 1000);
    pace_attend(&p, 900);
    assert_int_equal(pace_time(&p, 800), 1000);
}

static void without_a_ceiling_the_timeout_never_changes(void **state)
{
    (void)state;
    struct pace p = new_pace(450, 0);
    pace_observe(&p, 900, 2000);
    pace_told(&p, 200, 2000);
    assert_false(pace_adapts(&p));
    assert_int_equal(pace_timeout(&p, 2000), 450);
}

static void the_timeout_begins_with_start_and_comes_down_to_the_floor(void **state)
{
    (void)state;
    struct pace p = new_pace(3000, 1000);
    assert_int_equal(pace_timeout(&p, 1000), 1000);
    assert_int_equal(pace_all(&p, 1000), 0); /* supposed, not seen */
    assert_int_equal(pace_timeout(&p, 999 + 2 * PACE_WINDOW_MS), 1000);
    assert_int_equal(pace_timeout(&p, 1000 + 2 * PACE_WINDOW_MS), 450);
}

static void a_standstill_of_our_own_raises_it_and_is_forgotten_in_time(void **state)
{
    (void)state;
    struct pace p = new_pace(3000, 0);
    pace_attend(&p, 1000);
    pace_attend(&p, 1090);
    assert_int_equal(pace_own(&p, 1090), 0); /* as it should be */
    pace_attend(&p, 2090);
    assert_int_equal(pace_own(&p, 2090), 1000);
    assert_int_equal(pace_timeout(&p, 2090), 1700);
    pace_observe(&p, 10, 2000 + PACE_WINDOW_MS);
    assert_int_equal(pace_timeout(&p, 2000 + PACE_WINDOW_MS), 1700);
    pace_observe(&p, 10, 2000 + 2 * PACE_WINDOW_MS);
    assert_int_equal(pace_timeout(&p, 2000 + 2 * PACE_WINDOW_MS), 450);
}

static void a_long_standstill_reaches_the_ceiling_and_an_absence_counts_for_nothing(void **state)
{
    (void)state;
    struct pace p = new_pace(3000, 0);
    pace_observe(&p, 6001, 1000);
    assert_int_equal(pace_timeout(&p, 1000), 450);
    pace_observe(&p, 6000, 1000);
    assert_int_equal(pace_timeout(&p, 1000), 3000);
}

static void what_followers_tell_counts_while_they_tell_it(void **state)
{
    (void)state;
    struct pace p = new_pace(3000, 0);
    pace_heard(&p, 2, pace_units(800), 1000);
    pace_heard(&p, 3, pace_units(1600), 1000);
    assert_int_equal(pace_own(&p, 1000), 0);
    assert_int_equal(pace_timeout(&p, 1000), 2600);
    pace_heard(&p, 3, 0, 2000);
    assert_int_equal(pace_timeout(&p, 2000), 1400);
    assert_int_equal(pace_timeout(&p, 1000 + PACE_FRESH_MS), 450);
}

static void what_a_leader_tells_counts_for_a_window(void **state)
{
    (void)state;
    struct pace p = new_pace(3000, 0);
    pace_told(&p, pace_units(1000), 1000);
    assert_int_equal(pace_own(&p, 1000), 0); /* not told on as ours: nobody would ever forget it */
    assert_int_equal(pace_timeout(&p, 1000), 1008 * 3 / 2 + 200);
    assert_int_equal(pace_timeout(&p, 1000 + PACE_WINDOW_MS), 450);
}

static void what_is_told_fits_a_byte(void **state)
{
    (void)state;
    assert_int_equal(pace_units(0), 0);
    assert_int_equal(pace_units(1), 1);
    assert_int_equal(pace_units(16), 1);
    assert_int_equal(pace_units(4000), 250);
    assert_int_equal(pace_units(100000), 254);
}

static void more_members_than_places_replace_the_oldest(void **state)
{
    (void)state;
    struct pace p = new_pace(3000, 0);
    for (uint64_t id = 1; id <= PACE_PEERS_MAX + 1; id++) {
        pace_heard(&p, id, id == 1 ? pace_units(1600) : 0, 1000 + (int64_t)id);
    }
    assert_int_equal(pace_timeout(&p, 1100), 450);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_passes_for_who_never_attends),
        cmocka_unit_test(attended_time_is_the_clock_while_the_loop_turns),
        cmocka_unit_test(standing_still_for_seconds_is_one_heartbeat),
        cmocka_unit_test(time_never_goes_back),
        cmocka_unit_test(without_a_ceiling_the_timeout_never_changes),
        cmocka_unit_test(the_timeout_begins_with_start_and_comes_down_to_the_floor),
        cmocka_unit_test(a_standstill_of_our_own_raises_it_and_is_forgotten_in_time),
        cmocka_unit_test(a_long_standstill_reaches_the_ceiling_and_an_absence_counts_for_nothing),
        cmocka_unit_test(what_followers_tell_counts_while_they_tell_it),
        cmocka_unit_test(what_a_leader_tells_counts_for_a_window),
        cmocka_unit_test(what_is_told_fits_a_byte),
        cmocka_unit_test(more_members_than_places_replace_the_oldest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
