/* Counters as rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/counters.h"

#define THINGS(X)                                                                                                      \
    X(seen, "seen", "things that were seen")                                                                           \
    X(lost, "lost", "things that were lost")

static void a_counter_is_one_line(void **state)
{
    (void)state;
    struct {
        THINGS(COUNTER_FIELD)
    } stats = {.seen = 3};
    struct counters rows = {0};
    stats.lost++;
#define ADD(field, name, help) counters_add(&rows, name, help, stats.field);
    THINGS(ADD)
#undef ADD
    counters_add_level(&rows, "open", "things that are open", 7);
    assert_int_equal(rows.count, 3);
    assert_string_equal(rows.items[1].name, "lost");
    assert_string_equal(rows.items[1].help, "things that were lost");
    assert_int_equal(rows.items[0].value, 3);
    assert_int_equal(rows.items[1].value, 1);
    assert_false(rows.items[0].level);
    assert_true(rows.items[2].level);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_counter_is_one_line)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
