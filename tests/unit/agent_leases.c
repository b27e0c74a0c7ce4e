#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/network/leases.h"
#include "agent/util/fsutil.h"
#include "base/mem.h"

struct fixture {
    char top[64], dir[128];
};

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    strcpy(f->top, "/tmp/reeve-leases-XXXXXX");
    assert_non_null(mkdtemp(f->top));
    snprintf(f->dir, sizeof f->dir, "%s/leases/reeve", f->top);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    fs_remove_tree(f->top, NULL);
    free(f);
    return 0;
}

static struct cidr range_of(const char *text)
{
    struct cidr c;
    assert_true(cidr_parse(str_of(text), &c));
    return c;
}

static uint32_t ip_of(const char *text)
{
    uint32_t ip;
    assert_true(cidr_parse_address(str_of(text), &ip));
    return ip;
}

static uint32_t take(struct fixture *f, const char *range, const char *uid)
{
    uint32_t ip = 0;
    assert_int_equal(leases_take(f->dir, range_of(range), uid, 0, &ip, NULL), 0);
    return ip;
}

static void addresses_come_in_turn_and_the_first_and_last_are_nobodys(void **state)
{
    struct fixture *f = *state;
    struct error err;
    uint32_t ip;
    char uid[16];
    for (unsigned i = 0; i < 5; i++) {
        snprintf(uid, sizeof uid, "pod-%u", i);
        assert_int_equal(take(f, "10.1.2.8/29", uid), ip_of("10.1.2.10") + i);
    }
    assert_int_equal(leases_take(f->dir, range_of("10.1.2.8/29"), "more", 0, &ip, &err), ERR_LIMIT);
    assert_non_null(strstr(err.message, "no addresses are left in the range 10.1.2.8/29"));
    leases_give(f->dir, "pod-3", 0);
    leases_give(f->dir, "pod-1", ip_of("10.1.2.11"));
    assert_int_equal(take(f, "10.1.2.8/29", "pod-5"), ip_of("10.1.2.11"));
    leases_give(f->dir, "pod-5", ip_of("10.1.2.11"));
    /* the one that was given back last is the last to come again */
    assert_int_equal(take(f, "10.1.2.8/29", "pod-6"), ip_of("10.1.2.13"));
    assert_int_equal(take(f, "10.1.2.8/29", "pod-7"), ip_of("10.1.2.11"));
    assert_int_equal(leases_take(f->dir, range_of("10.1.2.8/31"), "pod-8", 0, &ip, &err), ERR_INVALID);
}

static void a_wish_is_fulfilled_if_nobody_else_has_it(void **state)
{
    struct fixture *f = *state;
    static const char *const none[] = {"10.1.2.0", "10.1.2.1", "10.1.2.255", "10.1.3.7", "9.1.2.7"};
    struct cidr range = range_of("10.1.2.0/24");
    uint32_t ip;
    assert_int_equal(leases_take(f->dir, range, "one", ip_of("10.1.2.77"), &ip, NULL), 0);
    assert_int_equal(ip, ip_of("10.1.2.77"));
    assert_int_equal(leases_take(f->dir, range, "two", ip_of("10.1.2.77"), &ip, NULL), ERR_EXISTS);
    for (unsigned i = 0; i < ARRAY_SIZE(none); i++) {
        assert_int_equal(leases_take(f->dir, range, "two", ip_of(none[i]), &ip, NULL), ERR_EXISTS);
    }
    /* another's is not given back by who only believes to have it */
    leases_give(f->dir, "two", ip_of("10.1.2.77"));
    assert_int_equal(leases_take(f->dir, range, "two", ip_of("10.1.2.77"), &ip, NULL), ERR_EXISTS);
    leases_give(f->dir, "one", ip_of("10.1.2.77"));
    assert_int_equal(leases_take(f->dir, range, "two", ip_of("10.1.2.77"), &ip, NULL), 0);
}

static void files_of_former_agents_count(void **state)
{
    struct fixture *f = *state;
    char path[256], text[64];
    assert_int_equal(fs_make_dirs(f->dir, 0700, NULL), 0);
    snprintf(path, sizeof path, "%s/10.1.2.2", f->dir);
    assert_int_equal(fs_write_file(path, str_of("old\r\neth0"), 0600, false, NULL), 0);
    snprintf(path, sizeof path, "%s/10.1.2.3", f->dir); /* it ended while it wrote */
    assert_int_equal(fs_write_file(path, STR_NONE, 0600, false, NULL), 0);
    snprintf(path, sizeof path, "%s/last_reserved_ip.0", f->dir);
    assert_int_equal(fs_write_file(path, str_of("10.9.9.9"), 0600, false, NULL), 0); /* of another range */
    assert_int_equal(take(f, "10.1.2.0/24", "new"), ip_of("10.1.2.3"));
    snprintf(path, sizeof path, "%s/10.1.2.3", f->dir);
    assert_true(fs_read_line(path, text, sizeof text));
    assert_string_equal(text, "new\r");
    leases_give(f->dir, "old", 0);
    snprintf(path, sizeof path, "%s/10.1.2.2", f->dir);
    assert_false(fs_exists(path));
    leases_give("/no/such/directory", "old", 0);
}

static void a_lease_that_cannot_be_written_is_an_error_and_no_lease(void **state)
{
    struct fixture *f = *state;
    struct rlimit before, narrow;
    struct error err;
    uint32_t ip;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    narrow = before;
    narrow.rlim_cur = 5;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &narrow), 0);
    errno = EEXIST; /* of whatever was before */
    int rc = leases_take(f->dir, range_of("10.1.2.0/24"), "pod-1", 0, &ip, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_not_equal(rc, 0);
    assert_non_null(strstr(err.message, strerror(ENOSPC)));
    assert_int_equal(take(f, "10.1.2.0/24", "pod-1"), ip_of("10.1.2.2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(addresses_come_in_turn_and_the_first_and_last_are_nobodys, setup, teardown),
        cmocka_unit_test_setup_teardown(a_wish_is_fulfilled_if_nobody_else_has_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_lease_that_cannot_be_written_is_an_error_and_no_lease, setup, teardown),
        cmocka_unit_test_setup_teardown(files_of_former_agents_count, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
