/* Directories are made durable, and what cannot be is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"

static void a_directory_is_synced(void **state)
{
    (void)state;
    char dir[] = "/tmp/reeve-fs-XXXXXX";
    assert_non_null(mkdtemp(dir));
    assert_int_equal(fs_sync_dir(dir), 0);
    assert_int_equal(rmdir(dir), 0);
    assert_int_equal(fs_sync_dir(dir), -ENOENT);
}

static void the_parent_of_a_path_is_the_directory_that_it_stands_in(void **state)
{
    (void)state;
    assert_int_equal(fs_sync_parent("/tmp/file-that-need-not-exist"), 0);
    assert_int_equal(fs_sync_parent("/file-at-the-root"), 0);
    assert_int_equal(fs_sync_parent("file-here"), 0);
    assert_int_equal(fs_sync_parent("/nonexistent/file"), -ENOENT);
}

static void what_is_no_directory_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(fs_sync_dir("/dev/null"), -ENOTDIR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_directory_is_synced),
        cmocka_unit_test(the_parent_of_a_path_is_the_directory_that_it_stands_in),
        cmocka_unit_test(what_is_no_directory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
