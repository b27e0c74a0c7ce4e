/* What is kept of other servers' answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "agent/dns/cache.h"

static struct str got(struct dns_cache *c, const char *key, int64_t now_ms)
{
    struct str answer;
    uint32_t age;
    return dns_cache_get(c, str_of(key), now_ms, &answer, &age) ? answer : STR_NONE;
}

static void an_answer_is_kept_for_its_time_and_tells_its_age(void **state)
{
    (void)state;
    struct dns_cache *c = dns_cache_new(1 << 20);
    struct str answer;
    uint32_t age = 0;
    dns_cache_put(c, STR("a"), STR("one"), 10, 5000);
    assert_true(dns_cache_get(c, STR("a"), 8999, &answer, &age));
    assert_true(str_is(answer, "one"));
    assert_int_equal(age, 3);
    assert_true(dns_cache_get(c, STR("a"), 14999, &answer, &age));
    assert_int_equal(age, 9);
    assert_false(dns_cache_get(c, STR("a"), 15000, &answer, &age));
    assert_int_equal(dns_cache_bytes(c), 0);
    assert_false(dns_cache_get(c, STR("b"), 0, &answer, &age));
    dns_cache_free(c);
}

static void the_newest_answer_counts(void **state)
{
    (void)state;
    struct dns_cache *c = dns_cache_new(1 << 20);
    dns_cache_put(c, STR("a"), STR("one"), 10, 0);
    dns_cache_put(c, STR("a"), STR("two"), 10, 1000);
    assert_int_equal(dns_cache_count(c), 1);
    assert_true(str_is(got(c, "a", 10500), "two"));
    dns_cache_put(c, STR("a"), STR("never"), 0, 1000); /* not to be kept: what was known is not true any more */
    assert_int_equal(got(c, "a", 1001).n, 0);
    dns_cache_free(c);
}

static void what_was_not_asked_for_longest_goes_first(void **state)
{
    (void)state;
    const size_t most = 20000;
    struct dns_cache *c = dns_cache_new(most);
    char key[16], answer[500];
    memset(answer, 'x', sizeof answer);
    for (unsigned i = 0; i < 200; i++) {
        snprintf(key, sizeof key, "%u", i);
        dns_cache_put(c, str_of(key), (struct str){answer, sizeof answer}, 100, 0);
        assert_true(dns_cache_bytes(c) <= most);
        assert_int_equal(got(c, "0", 1).n, sizeof answer); /* asked for again and again: it stays */
    }
    assert_true(dns_cache_count(c) > 20 && dns_cache_count(c) < 40);
    assert_int_equal(got(c, "1", 1).n, 0);
    assert_int_equal(got(c, "199", 1).n, sizeof answer);
    dns_cache_free(c);
}

static void what_is_too_large_is_not_kept(void **state)
{
    (void)state;
    struct dns_cache *c = dns_cache_new(16000);
    char answer[1000];
    memset(answer, 'x', sizeof answer);
    dns_cache_put(c, STR("a"), STR("small"), 100, 0);
    dns_cache_put(c, STR("a"), (struct str){answer, sizeof answer}, 100, 0);
    assert_int_equal(dns_cache_count(c), 0);
    dns_cache_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_kept_for_its_time_and_tells_its_age),
        cmocka_unit_test(the_newest_answer_counts),
        cmocka_unit_test(what_was_not_asked_for_longest_goes_first),
        cmocka_unit_test(what_is_too_large_is_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
