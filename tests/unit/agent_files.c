/* Files that are written whole or not at all (agent/util/fsutil.h), and what a killed agent leaves of them. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/network/network_int.h"
#include "agent/util/fsutil.h"
#include "base/mem.h"

static char dir[64];

static int begin(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/var/tmp/reeve-files.XXXXXX");
    assert_non_null(mkdtemp(dir));
    return 0;
}

static int end(void **state)
{
    (void)state;
    return fs_remove_tree(dir, NULL);
}

static unsigned files_in(const char *path)
{
    unsigned n = 0;
    DIR *d = opendir(path);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        n += e->d_name[0] != '.';
    }
    closedir(d);
    return n;
}

static void assert_holds(const char *path, const char *text, mode_t mode)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct stat st;
    assert_int_equal(fs_read_file(path, 1000, &b, NULL), 0);
    assert_string_equal(buf_cstr(&b), text);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, mode);
}

static void a_file_is_made_and_replaced_and_nothing_stays_beside_it(void **state)
{
    (void)state;
    CLEANUP_FREE char *path = xasprintf("%s/note", dir), *link = xasprintf("%s/link", dir);
    struct error err = {0};
    assert_int_equal(fs_write_file(path, STR("one"), 0600, true, &err), 0);
    assert_holds(path, "one", 0600);
    assert_int_equal(fs_write_file(path, STR("two"), 0644, false, &err), 0);
    assert_holds(path, "two", 0644);
    assert_int_equal(files_in(dir), 1);
    assert_int_equal(symlink("nowhere", link), 0); /* is replaced itself */
    assert_int_equal(fs_write_file(link, STR("three"), 0600, false, &err), 0);
    assert_holds(link, "three", 0600);
    assert_int_equal(files_in(dir), 2);
}

static void what_cannot_be_written_says_which_file_and_leaves_nothing(void **state)
{
    (void)state;
    CLEANUP_FREE char *in = xasprintf("%s/not/there", dir), *over = xasprintf("%s/dir", dir);
    struct error err = {0};
    assert_true(fs_write_file(in, STR("x"), 0600, false, &err) < 0);
    assert_non_null(strstr(err.message, in));
    assert_int_equal(mkdir(over, 0700), 0);
    assert_true(fs_write_file(over, STR("x"), 0600, false, &err) < 0);
    assert_non_null(strstr(err.message, over));
    assert_int_equal(files_in(dir), 1);
}

static void what_a_killed_agent_left_is_no_owner_of_addresses(void **state)
{
    (void)state;
    CLEANUP_FREE char *results = xasprintf("%s/results", dir), *leases = xasprintf("%s/leases/reeve", dir);
    CLEANUP_FREE char *note = xasprintf("%s/uid-1", results), *left = xasprintf("%s/uid-2.tmp.77", results);
    CLEANUP_FREE char *lease = xasprintf("%s/10.1.2.3.tmp.78", leases);
    struct error err = {0};
    struct network_owners o = {0};
    assert_int_equal(fs_make_dirs(results, 0700, &err), 0);
    assert_int_equal(fs_make_dirs(leases, 0700, &err), 0);
    assert_int_equal(fs_write_file(note, STR("routed\n"), 0600, false, &err), 0);
    assert_int_equal(fs_write_file(left, STR("rou"), 0600, false, &err), 0);
    assert_int_equal(fs_write_file(lease, STR("uid-3"), 0600, false, &err), 0);
    assert_int_equal(network_owners_open(&o, dir, "reeve", &err), 0);
    assert_non_null(network_owners_find(&o, "uid-1"));
    assert_null(network_owners_find(&o, "uid-2"));
    assert_null(network_owners_find(&o, "uid-2.tmp.77"));
    assert_false(fs_exists(left));
    assert_false(fs_exists(lease));
    network_owners_close(&o);
}

int main(int argc, char **argv)
{
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_is_made_and_replaced_and_nothing_stays_beside_it, begin, end),
        cmocka_unit_test_setup_teardown(what_cannot_be_written_says_which_file_and_leaves_nothing, begin, end),
        cmocka_unit_test_setup_teardown(what_a_killed_agent_left_is_no_owner_of_addresses, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
