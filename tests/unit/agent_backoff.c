#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/util/backoff.h"

static void the_pause_doubles_up_to_the_maximum(void **state)
{
    (void)state;
    static const int64_t expected[] = {10000, 20000, 40000, 80000, 160000, 300000, 300000};
    struct backoff b;
    backoff_init(&b, 10000, 300000);
    assert_int_equal(backoff_left(&b, 0, 0), 0); /* the first failure costs nothing */
    int64_t now = 5000;
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        assert_int_equal(backoff_grow(&b, now), expected[i]);
        now += expected[i];
    }
}

static void what_is_left_shrinks_with_time(void **state)
{
    (void)state;
    struct backoff b;
    backoff_init(&b, 10000, 300000);
    backoff_grow(&b, 1000);
    assert_int_equal(backoff_left(&b, 2000, 2000), 10000);
    assert_int_equal(backoff_left(&b, 2000, 11999), 1);
    assert_int_equal(backoff_left(&b, 2000, 50000), 0);
}

static void twice_the_maximum_without_failure_forgets_all(void **state)
{
    (void)state;
    struct backoff b;
    backoff_init(&b, 10000, 300000);
    backoff_grow(&b, 0);
    backoff_grow(&b, 10000);
    assert_int_equal(backoff_left(&b, 10000 + 600001, 10000 + 600001), 0);
    assert_int_equal(backoff_grow(&b, 10000 + 600001), 10000);
}

static void random_byte(void *data, void *bytes, size_t n)
{
    memset(bytes, *(int *)data, n);
}

static void jitter_stays_between_half_and_the_whole(void **state)
{
    (void)state;
    struct backoff b;
    int byte = 0;
    struct env env = {&byte, NULL, NULL, random_byte, NULL};
    backoff_init(&b, 100, 5000);
    backoff_grow(&b, 0);
    for (; byte < 256; byte++) {
        int64_t ms = backoff_jitter(&b, &env);
        assert_true(ms >= 50 && ms <= 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_pause_doubles_up_to_the_maximum),
        cmocka_unit_test(what_is_left_shrinks_with_time),
        cmocka_unit_test(twice_the_maximum_without_failure_forgets_all),
        cmocka_unit_test(jitter_stays_between_half_and_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
