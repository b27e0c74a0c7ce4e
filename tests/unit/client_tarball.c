/* Archives on their way to and from containers: what comes back is what was packed, and an archive that wants out of
 * its directory gets nowhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>
#include <cmocka.h>

#include "base/mem.h"
#include "client/cmd/tarball.h"

struct fixture {
    char dir[64];
    struct error err;
    char skipped[512];
};

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof(*f));
    snprintf(f->dir, sizeof(f->dir), "/tmp/client-tarball-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    assert_int_equal(chdir(f->dir), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];
    assert_int_equal(chdir("/"), 0);
    snprintf(command, sizeof(command), "rm -rf %s", f->dir);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

static void put(const char *path, const char *text)
{
    FILE *s = fopen(path, "w");
    assert_non_null(s);
    fputs(text, s);
    fclose(s);
}

static void has(const char *path, const char *text)
{
    char got[256] = "";
    FILE *s = fopen(path, "r");
    if (s == NULL) {
        fail_msg("%s is missing", path);
    }
    got[fread(got, 1, sizeof(got) - 1, s)] = '\0';
    fclose(s);
    assert_string_equal(got, text);
}

static void skipped(const char *what, void *data)
{
    struct fixture *f = data;
    size_t n = strlen(f->skipped);
    snprintf(f->skipped + n, sizeof(f->skipped) - n, "%s\n", what);
}

/* Through a file, as both block. */
static int pack(struct fixture *f, const char *path, const char *name)
{
    FILE *t = fopen("t.tar", "w");
    int rc = tarball_pack(fileno(t), path, name, &f->err);
    fclose(t);
    return rc;
}

static int unpack(struct fixture *f, const char *dest, const char *name)
{
    FILE *t = fopen("t.tar", "r");
    f->skipped[0] = '\0';
    f->err = (struct error){0};
    int rc = tarball_unpack(fileno(t), dest, name, skipped, f, &f->err);
    fclose(t);
    return rc;
}

static void a_directory_comes_back_as_it_was(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(system("mkdir -p src/sub/empty && ln -s sub src/link && mkfifo src/pipe"), 0);
    put("src/a", "text");
    put("src/sub/b", "");
    assert_int_equal(chmod("src/a", 0750), 0);
    assert_int_equal(pack(f, "src", "there"), 0);
    assert_int_equal(unpack(f, "back", "there"), 0);
    has("back/a", "text");
    has("back/sub/b", "");
    struct stat st;
    assert_int_equal(stat("back/a", &st), 0);
    assert_int_equal(st.st_mode & 0777, 0750);
    assert_int_equal(stat("back/sub/empty", &st), 0);
    assert_int_not_equal(lstat("back/link", &st), 0);
    assert_string_equal(f->skipped, "there/link\n"); /* the pipe was not even packed */
}

static void a_file_gets_the_name_that_was_asked_for(void **state)
{
    struct fixture *f = *state;
    put("one", "1");
    assert_int_equal(pack(f, "one", "x"), 0);
    assert_int_equal(mkdir("d", 0700), 0);
    assert_int_equal(unpack(f, "d/two", "x"), 0);
    has("d/two", "1");
    put("d/two", "longer than before");
    assert_int_equal(unpack(f, "d/two", "x"), 0);
    has("d/two", "1");
    assert_int_equal(unpack(f, "nosuch/two", "x"), ERR_NOT_FOUND);
    assert_int_equal(pack(f, "nosuch", "x"), ERR_NOT_FOUND);
}

/* One entry, written as an attacker would. */
static void evil(const char *path, unsigned type, const char *link)
{
    struct archive *a = archive_write_new();
    archive_write_set_format_gnutar(a);
    assert_int_equal(archive_write_open_filename(a, "t.tar"), ARCHIVE_OK);
    struct archive_entry *e = archive_entry_new();
    archive_entry_set_pathname(e, path);
    archive_entry_set_filetype(e, type);
    archive_entry_set_perm(e, 0644);
    if (type == AE_IFLNK) {
        archive_entry_set_symlink(e, link);
    } else if (link != NULL) {
        archive_entry_set_hardlink(e, link);
    }
    archive_entry_set_size(e, type == AE_IFREG && link == NULL ? 4 : 0);
    assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
    if (type == AE_IFREG && link == NULL) {
        assert_int_equal(archive_write_data(a, "evil", 4), 4);
    }
    archive_entry_free(e);
    archive_write_close(a);
    archive_write_free(a);
}

static void an_archive_that_wants_out_is_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const paths[] = {"../out",  "there/../../out", "/tmp/out-of-tarball",
                                        "other/x", "thereabouts",     "there/a/../../../out"};
    assert_int_equal(mkdir("in", 0700), 0);
    for (unsigned i = 0; i < ARRAY_SIZE(paths); i++) {
        evil(paths[i], AE_IFREG, NULL);
        assert_int_equal(unpack(f, "in/there", "there"), ERR_INVALID);
        assert_non_null(strstr(f->err.message, paths[i]));
        assert_int_not_equal(access("out", F_OK), 0);
        assert_int_not_equal(access("/tmp/out-of-tarball", F_OK), 0);
    }
    assert_int_equal(rmdir("in"), 0); /* nothing was written at all */
}

static void links_are_left_out_and_those_in_the_way_are_not_followed(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(mkdir("in", 0700), 0);
    evil("there/l", AE_IFLNK, "/etc");
    assert_int_equal(unpack(f, "in/there", "there"), 0);
    assert_string_equal(f->skipped, "there/l\n");
    evil("there/h", AE_IFREG, "there/l");
    assert_int_equal(unpack(f, "in/there", "there"), 0);
    assert_string_equal(f->skipped, "there/h\n");
    assert_int_equal(
        system("mkdir -p in/there target && ln -s ../../target in/there/d && ln -s ../../target/f in/there/f"), 0);
    evil("there/d/f", AE_IFREG, NULL);
    assert_int_equal(unpack(f, "in/there", "there"), ERR_FORBIDDEN);
    evil("there/f", AE_IFREG, NULL);
    assert_int_equal(unpack(f, "in/there", "there"), ERR_FORBIDDEN);
    assert_int_equal(rmdir("target"), 0);
}

static void a_cut_or_empty_archive_is_told(void **state)
{
    struct fixture *f = *state;
    put("t.tar", "");
    assert_int_equal(unpack(f, "x", "x"), ERR_NOT_FOUND);
    put("t.tar", "this is no archive, but it is long enough to be looked at as one by a reader of archives...");
    assert_int_equal(unpack(f, "x", "x"), ERR_INVALID);
    put("big", "0123456789");
    assert_int_equal(truncate("big", 100000), 0);
    assert_int_equal(pack(f, "big", "x"), 0);
    assert_int_equal(truncate("t.tar", 50000), 0);
    assert_int_equal(unpack(f, "y", "x"), ERR_INVALID);
    assert_int_equal(access("y", F_OK), -1);
    assert_int_equal(access(".y.rctl-part", F_OK), -1);
}

static void what_was_there_stays_until_all_has_come(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    put("big", "0123456789");
    assert_int_equal(truncate("big", 100000), 0);
    assert_int_equal(pack(f, "big", "x"), 0);
    put("y", "of before");
    put(".y.rctl-part", "of a copy that was killed");
    for (long at = 0; at < 100000; at += 9973) { /* cut anywhere */
        assert_int_equal(pack(f, "big", "x"), 0);
        assert_int_equal(truncate("t.tar", at), 0);
        assert_int_not_equal(unpack(f, "y", "x"), 0);
        has("y", "of before");
    }
    assert_int_equal(pack(f, "big", "x"), 0);
    assert_int_equal(unpack(f, "y", "x"), 0);
    assert_int_equal(stat("y", &st), 0);
    assert_int_equal(st.st_size, 100000);
    assert_int_equal(access(".y.rctl-part", F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_directory_comes_back_as_it_was, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_gets_the_name_that_was_asked_for, setup, teardown),
        cmocka_unit_test_setup_teardown(an_archive_that_wants_out_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(links_are_left_out_and_those_in_the_way_are_not_followed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_cut_or_empty_archive_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_there_stays_until_all_has_come, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
