/* Programs that are kept for profiles. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/runtime/filters.h"
#include "base/mem.h"

static void a_program_is_found_by_its_profile_alone(void **state)
{
    (void)state;
    struct filters *f = filters_new();
    assert_null(filters_find(f, STR("{a}")));
    filters_keep(f, STR("{a}"), STR("12345678"));
    filters_keep(f, STR("{b}"), STR("abcdefgh"));
    assert_string_equal(filters_find(f, STR("{a}")), "MTIzNDU2Nzg=");
    assert_string_equal(filters_find(f, STR("{b}")), "YWJjZGVmZ2g=");
    assert_null(filters_find(f, STR("{a} ")));
    assert_null(filters_find(f, STR("{a")));
    filters_keep(f, STR("{a}"), STR("87654321")); /* the first one stays */
    assert_string_equal(filters_find(f, STR("{a}")), "MTIzNDU2Nzg=");
    filters_free(f);
}

static void what_is_no_program_is_not_kept(void **state)
{
    (void)state;
    static char large[FILTERS_PROFILE_MAX + 8];
    struct filters *f = filters_new();
    filters_keep(f, STR("{a}"), STR(""));
    filters_keep(f, STR("{a}"), STR("1234567")); /* half an instruction */
    filters_keep(f, STR("{a}"), (struct str){large, FILTERS_PROGRAM_MAX + 8});
    assert_null(filters_find(f, STR("{a}")));
    memset(large, 'x', sizeof large);
    filters_keep(f, (struct str){large, FILTERS_PROFILE_MAX + 1}, STR("12345678"));
    assert_null(filters_find(f, (struct str){large, FILTERS_PROFILE_MAX + 1}));
    filters_free(f);
}

static void the_oldest_makes_room(void **state)
{
    (void)state;
    char name[16];
    struct filters *f = filters_new();
    for (unsigned i = 0; i <= FILTERS_MAX; i++) {
        snprintf(name, sizeof name, "{%u}", i);
        filters_keep(f, str_of(name), STR("12345678"));
    }
    assert_null(filters_find(f, STR("{0}")));
    assert_non_null(filters_find(f, STR("{1}")));
    assert_non_null(filters_find(f, str_of(name)));
    filters_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_is_found_by_its_profile_alone),
        cmocka_unit_test(what_is_no_program_is_not_kept),
        cmocka_unit_test(the_oldest_makes_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
