/* Blocks of user ids: one pod each, kept, given back, and not given out again before all others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/pod/userids.h"
#include "agent/util/userns.h"

#include <stdio.h>

static void no_two_pods_have_the_same(void **state)
{
    (void)state;
    struct userids *u = userids_new(USERIDS_FIRST, 3);
    assert_int_equal(userids_take(u, "a"), USERIDS_FIRST);
    assert_int_equal(userids_take(u, "b"), USERIDS_FIRST + USERNS_IDS);
    assert_int_equal(userids_take(u, "a"), USERIDS_FIRST); /* again */
    userids_give(u, "a");
    userids_give(u, "a");
    assert_int_equal(userids_take(u, "c"), USERIDS_FIRST + 2 * USERNS_IDS);
    assert_int_equal(userids_take(u, "d"), USERIDS_FIRST);
    assert_int_equal(userids_take(u, "e"), 0);
    unsigned cursor = 0, n = 0;
    for (const char *uid; (uid = userids_next(u, &cursor)) != NULL; n++) {
        userids_give(u, uid);
    }
    assert_int_equal(n, 3);
    assert_int_not_equal(userids_take(u, "e"), 0);
    userids_free(u);
}

static void what_was_there_before_a_restart_stays(void **state)
{
    (void)state;
    struct userids *u = userids_new(USERNS_IDS, 4);
    userids_keep(u, "b", 2 * USERNS_IDS);
    userids_keep(u, "thief", 2 * USERNS_IDS); /* taken */
    userids_keep(u, "old", USERIDS_FIRST);    /* of another range */
    userids_keep(u, "crooked", USERNS_IDS + 1);
    userids_keep(u, "below", 0);
    assert_int_equal(userids_take(u, "b"), 2 * USERNS_IDS);
    assert_int_equal(userids_take(u, "a"), 3 * USERNS_IDS);
    assert_int_equal(userids_take(u, "c"), 4 * USERNS_IDS);
    assert_int_equal(userids_take(u, "d"), USERNS_IDS);
    assert_int_equal(userids_take(u, "e"), 0);
    userids_free(u);
}

static void the_whole_range_holds_as_many_pods_as_it_says(void **state)
{
    (void)state;
    char uid[32];
    struct userids *u = userids_new(USERIDS_FIRST, USERIDS_PODS);
    uint32_t last = 0;
    for (unsigned i = 0; i < USERIDS_PODS; i++) {
        snprintf(uid, sizeof uid, "pod-%u", i);
        last = userids_take(u, uid);
    }
    assert_int_equal(last, 0x7fff0000u);
    assert_int_equal(userids_take(u, "more"), 0);
    userids_free(u);
    u = userids_new(0, 0);
    assert_int_equal(userids_take(u, "a"), 0);
    userids_free(u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_two_pods_have_the_same),
        cmocka_unit_test(what_was_there_before_a_restart_stays),
        cmocka_unit_test(the_whole_range_holds_as_many_pods_as_it_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
