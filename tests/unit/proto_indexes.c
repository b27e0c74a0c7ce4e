/* Sets of indexes: read, written, added to, against a plain set of bits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/env.h"
#include "proto/facts/indexes.h"

static void text_is(const struct indexes *s, const char *wanted)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    indexes_write(&b, s);
    assert_string_equal(buf_cstr(&b), wanted);
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct indexes s;
    assert_true(indexes_parse(&s, &a, STR(""), 5));
    assert_int_equal(indexes_count(&s), 0);
    assert_true(indexes_parse(&s, &a, STR("0,2-4,9"), 10));
    assert_int_equal(indexes_count(&s), 5);
    text_is(&s, "0,2-4,9");
    assert_true(indexes_parse(&s, &a, STR("1,2,3,5,6"), 10));
    text_is(&s, "1-3,5,6");
    static const char *const bad[] = {"3,1", "1,1",  "1-1,", ",1",  "a",   "1-",          "-1",
                                      "2-1", "0,,2", "10",   "1 2", "1;2", "99999999999", "0-10"};
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_false(indexes_parse(&s, &a, str_of(bad[i]), 10));
        assert_int_equal(s.count, 0);
    }
}

#define MOST 80u

static void they_are_sets(void **state)
{
    (void)state;
    struct rng rng = {7};

    for (unsigned round = 0; round < 500; round++) {
        CLEANUP_ARENA struct arena a;
        arena_init(&a);
        struct indexes s[2] = {{0}, {0}};
        bool has[2][MOST] = {{false}};
        unsigned count[2] = {0, 0}, common = 0, adds = (unsigned)rng_below(&rng, 2 * MOST);
        for (unsigned i = 0; i < adds; i++) {
            unsigned which = (unsigned)rng_below(&rng, 2), n = (unsigned)rng_below(&rng, MOST);
            indexes_add(&s[which], &a, n);
            count[which] += !has[which][n];
            has[which][n] = true;
        }
        for (unsigned n = 0; n < MOST; n++) {
            unsigned after = n;
            while (after < MOST && has[0][after]) {
                after++;
            }
            assert_int_equal(indexes_has(&s[0], n), has[0][n]);
            assert_int_equal(indexes_after(&s[0], n), after);
            common += has[0][n] && has[1][n];
        }
        assert_int_equal(indexes_count(&s[0]), count[0]);
        assert_int_equal(indexes_common(&s[0], &s[1]), common);
        assert_int_equal(indexes_common(&s[1], &s[0]), common);
        CLEANUP_BUF struct buf text = BUF_INIT, again = BUF_INIT;
        struct indexes read;
        indexes_write(&text, &s[0]);
        assert_true(indexes_parse(&read, &a, buf_str(&text), MOST));
        indexes_write(&again, &read);
        assert_true(str_eq(buf_str(&text), buf_str(&again)));
        for (unsigned i = 1; i < s[0].count; i++) {
            assert_true(s[0].spans[i].from > s[0].spans[i - 1].to + 1);
        }
        unsigned below = (unsigned)rng_below(&rng, MOST), left = 0;
        for (unsigned n = 0; n < below; n++) {
            left += has[0][n];
        }
        assert_int_equal(indexes_cut(&s[0], below), left < count[0]);
        assert_int_equal(indexes_count(&s[0]), left);
        for (unsigned n = 0; n < MOST; n++) {
            assert_int_equal(indexes_has(&s[0], n), n < below && has[0][n]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(they_are_sets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
