#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/pod/probe.h"

static const struct podspec_probe config = {
    .handler = {.kind = PODSPEC_HANDLER_EXEC},
    .initial_delay_ms = 2000,
    .period_ms = 10000,
    .timeout_ms = 1000,
    .success_threshold = 2,
    .failure_threshold = 3,
};

static enum probe_verdict run(struct probe *p, bool success)
{
    int64_t at = probe_deadline(p);
    probe_begin(p, at);
    assert_int_equal(probe_deadline(p), PROBE_NEVER);
    return probe_feed(p, success, at + 5);
}

static void the_first_run_is_after_the_initial_delay_and_then_every_period(void **state)
{
    (void)state;
    struct probe p;
    probe_start(&p, &config, false, 1000, 1000);
    assert_int_equal(probe_deadline(&p), 3000);
    run(&p, true);
    assert_int_equal(probe_deadline(&p), 13000);
}

static void a_delay_that_is_over_means_now(void **state)
{
    (void)state;
    struct probe p;
    probe_start(&p, &config, false, 1000, 60000);
    assert_int_equal(probe_deadline(&p), 60000);
}

static void a_slow_run_delays_the_next_one(void **state)
{
    (void)state;
    struct probe p;
    probe_start(&p, &config, false, 0, 0);
    probe_begin(&p, 2000);
    probe_feed(&p, true, 15000);
    assert_int_equal(probe_deadline(&p), 15000);
}

static void results_count_only_in_a_row(void **state)
{
    (void)state;
    struct probe p;
    probe_start(&p, &config, false, 0, 0);
    assert_int_equal(run(&p, true), PROBE_SAME);
    assert_int_equal(run(&p, false), PROBE_SAME);
    assert_int_equal(run(&p, true), PROBE_SAME);
    assert_int_equal(run(&p, true), PROBE_PASSED);
    assert_true(p.result);
    assert_int_equal(run(&p, false), PROBE_SAME);
    assert_int_equal(run(&p, false), PROBE_SAME);
    assert_true(p.result);
    assert_int_equal(run(&p, false), PROBE_FAILED);
    assert_int_equal(run(&p, false), PROBE_SAME);
}

static void without_a_delay_the_program_gets_a_moment_to_start(void **state)
{
    (void)state;
    struct podspec_probe eager = config;
    struct probe p;
    eager.initial_delay_ms = 0;
    probe_start(&p, &eager, false, 1000, 1000);
    assert_int_equal(probe_deadline(&p), 1000 + PROBE_FIRST_MS);
}

/* Not more often, also before it has passed for the first time. */
static void every_run_is_a_period_after_the_one_before(void **state)
{
    (void)state;
    struct probe p;
    probe_start(&p, &config, false, 0, 0);
    for (int i = 0; i < 8; i++) {
        int64_t at = probe_deadline(&p);
        run(&p, i > 4);
        assert_int_equal(probe_deadline(&p), at + config.period_ms);
    }
    assert_true(p.result);
}

static void runs_missed_in_a_standstill_are_not_made_up_for(void **state)
{
    (void)state;
    struct probe p;
    probe_start(&p, &config, true, 0, 0);
    run(&p, true);
    assert_int_equal(probe_deadline(&p), 12000);
    probe_begin(&p, 47000);
    probe_feed(&p, true, 47001);
    assert_int_equal(probe_deadline(&p), 57000);
}

static void a_probe_without_handler_never_runs(void **state)
{
    (void)state;
    struct podspec_probe none = {0};
    struct probe p;
    probe_start(&p, &none, true, 0, 0);
    assert_false(probe_running(&p));
    assert_int_equal(probe_deadline(&p), PROBE_NEVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_run_is_after_the_initial_delay_and_then_every_period),
        cmocka_unit_test(a_delay_that_is_over_means_now),
        cmocka_unit_test(a_slow_run_delays_the_next_one),
        cmocka_unit_test(results_count_only_in_a_row),
        cmocka_unit_test(without_a_delay_the_program_gets_a_moment_to_start),
        cmocka_unit_test(every_run_is_a_period_after_the_one_before),
        cmocka_unit_test(runs_missed_in_a_standstill_are_not_made_up_for),
        cmocka_unit_test(a_probe_without_handler_never_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
