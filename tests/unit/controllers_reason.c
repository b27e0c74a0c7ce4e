/* Why a controller decided what it did: data, which becomes a text where it is shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "controllers/util.h"

static void the_text_of_a_decision_is_made_where_it_is_shown(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    CLEANUP_BUF struct buf b = BUF_INIT;
    char name[] = "web-1";
    struct reconcile_out out = {.arena = &a};
    DECIDED(&out, REASON_SCALES_SET, .what = str_of(name), .count = 2, .other = -3);
    name[0] = 'x'; /* its words are its own */
    DECIDED(&out, REASON_ADOPTS, .what = STR("pod"), .more = STR("p1"));
    DECIDED(&out, REASON_NO_OWNER_LEFT);
    assert_int_equal(out.decisions.count, 3);
    assert_int_equal(out.decisions.items[0].reason, REASON_SCALES_SET);
    assert_int_equal(out.decisions.items[0].count, 2);
    decisions_write(&b, &out.decisions);
    assert_string_equal(buf_cstr(&b), "web-1 2 -> -3; adopts pod p1; no owner is left");
}

static void every_reason_has_a_text_of_its_own(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf all = BUF_INIT;
    for (unsigned i = 0; i < REASONS; i++) {
        CLEANUP_BUF struct buf b = BUF_INIT;
        const struct decision d = {(enum reason)i, STR("what"), STR("more"), 1, 2};
        buf_puts(&b, "\n");
        decision_write(&b, &d);
        buf_puts(&b, "\n");
        assert_true(b.size > 6);
        assert_null(strchr(buf_cstr(&b), '%'));
        assert_null(all.size == 0 ? NULL : strstr(buf_cstr(&all), buf_cstr(&b)));
        buf_append_str(&all, buf_str(&b));
    }
}

static void decisions_have_a_bound_and_tell_what_was_left_out(void **state)
{
    (void)state;
    struct decisions l = {0};
    CLEANUP_BUF struct buf b = BUF_INIT;
    for (unsigned i = 0; i < DECISIONS_MAX + 2; i++) {
        decisions_add(&l, &(struct decision){.reason = REASON_IS_EMPTY});
    }
    assert_int_equal(l.count, DECISIONS_MAX);
    decisions_write(&b, &l);
    assert_non_null(strstr(buf_cstr(&b), "is empty; and 2 more"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_text_of_a_decision_is_made_where_it_is_shown),
        cmocka_unit_test(every_reason_has_a_text_of_its_own),
        cmocka_unit_test(decisions_have_a_bound_and_tell_what_was_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
