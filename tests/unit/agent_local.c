/* Directories of the local provisioner: made once, never silently again, removed as a whole, whatever an agent dies
 * at. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/util/fsutil.h"
#include "agent/volume/local.h"
#include "base/failpoint.h"
#include "base/mem.h"

#define NAME "pvc-1"

struct fixture {
    char dir[64], root[96], notes[96], volume[128];
    struct local_root r;
    struct error err;
};

static bool privileged; /* set by main: root, in a mount namespace of its own */

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    strcpy(f->dir, "/tmp/reeve-local-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->root, sizeof f->root, "%s/root", f->dir);
    snprintf(f->notes, sizeof f->notes, "%s/notes", f->dir);
    snprintf(f->volume, sizeof f->volume, "%s/" NAME, f->root);
    f->r = (struct local_root){f->root, f->notes};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    failpoint_disarm_all();
    assert_int_equal(fs_remove_tree(f->dir, NULL), 0);
    free(f);
    return 0;
}

static void write_data(struct fixture *f)
{
    CLEANUP_FREE char *path = xasprintf("%s/data", f->volume);
    assert_int_equal(fs_write_file(path, STR("x"), 0600, false, NULL), 0);
}

static bool has_data(struct fixture *f)
{
    CLEANUP_FREE char *path = xasprintf("%s/data", f->volume);
    return fs_exists(path);
}

static void a_volume_is_made_once(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    assert_int_equal(local_make(&f->r, NAME, "u1", &f->err), 0);
    assert_int_equal(stat(f->volume, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0777);
    assert_int_equal(stat(f->root, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700); /* the node's users stay out */
    write_data(f);
    assert_int_equal(local_make(&f->r, NAME, "u1", &f->err), 0);
    assert_true(has_data(f));
    assert_int_equal(local_make(&f->r, NAME, "u2", &f->err), ERR_INVALID);
}

static void a_volume_that_is_gone_is_not_made_anew(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(local_make(&f->r, NAME, "u1", &f->err), 0);
    assert_int_equal(rmdir(f->volume), 0);
    assert_int_equal(local_make(&f->r, NAME, "u1", &f->err), ERR_SYSTEM);
    assert_non_null(strstr(f->err.message, "was there once and is gone"));
    assert_false(fs_exists(f->volume));
}

static void a_root_whose_disk_is_not_mounted_is_noticed(void **state)
{
    struct fixture *f = *state;
    char away[96];
    snprintf(away, sizeof away, "%s/away", f->dir);
    assert_int_equal(local_make(&f->r, NAME, "u1", &f->err), 0);
    write_data(f);
    assert_int_equal(rename(f->root, away), 0);
    assert_int_equal(mkdir(f->root, 0755), 0); /* the bare mount point */
    assert_int_equal(local_make(&f->r, "pvc-2", "u2", &f->err), ERR_SYSTEM);
    assert_non_null(strstr(f->err.message, "is its disk mounted?"));
    assert_int_equal(local_remove(&f->r, NAME, "u1", &f->err), ERR_SYSTEM); /* not "gone" */
    assert_int_equal(local_open(&f->r, &f->err), ERR_SYSTEM);
    assert_int_equal(rmdir(f->root), 0);
    assert_int_equal(rename(away, f->root), 0);
    assert_int_equal(local_open(&f->r, &f->err), 0);
    assert_true(has_data(f));
}

static void another_root_of_the_configuration_is_another_one(void **state)
{
    struct fixture *f = *state;
    char other[96];
    snprintf(other, sizeof other, "%s/other", f->dir);
    assert_int_equal(local_open(&f->r, &f->err), 0);
    struct local_root r = {other, f->notes};
    assert_int_equal(local_make(&r, NAME, "u1", &f->err), 0);
    assert_int_equal(local_open(&r, &f->err), 0);
}

static void names_that_lead_out_are_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {"", ".", "..", "a/b", "../x", ".trash-x"};
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(local_make(&f->r, bad[i], "u1", &f->err), ERR_INVALID);
        assert_int_equal(local_remove(&f->r, bad[i], "u1", &f->err), ERR_INVALID);
    }
}

static void a_removed_volume_follows_no_link(void **state)
{
    struct fixture *f = *state;
    CLEANUP_FREE char *precious = xasprintf("%s/precious", f->dir), *link = xasprintf("%s/link", f->volume),
                      *file = xasprintf("%s/keep", precious);
    assert_int_equal(local_make(&f->r, NAME, "u1", &f->err), 0);
    assert_int_equal(fs_make_dirs(precious, 0755, NULL), 0);
    assert_int_equal(fs_write_file(file, STR("x"), 0600, false, NULL), 0);
    assert_int_equal(symlink(precious, link), 0);
    assert_int_equal(local_remove(&f->r, NAME, "u1", &f->err), 0);
    assert_false(fs_exists(f->volume));
    assert_true(fs_exists(file));
    assert_int_equal(local_remove(&f->r, NAME, "u1", &f->err), 0); /* once more: fine */
    assert_int_equal(local_make(&f->r, NAME, "u2", &f->err), 0);   /* the name is free */
    assert_int_equal(local_remove(&f->r, NAME, "u1", &f->err), 0); /* late, for one that was there before */
    assert_true(fs_exists(f->volume));
    /* a link in the volume's own place */
    assert_int_equal(rmdir(f->volume), 0);
    assert_int_equal(symlink(precious, f->volume), 0);
    assert_int_equal(local_make(&f->r, NAME, "u2", &f->err), ERR_SYSTEM);
    assert_int_equal(local_remove(&f->r, NAME, "u2", &f->err), 0);
    assert_true(fs_exists(file));
}

/* ---- A disk that is full ---- */

static void fill(const char *dir)
{
    static char block[4096];
    CLEANUP_FREE char *path = xasprintf("%s/filler", dir);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    while (fwrite(block, 1, sizeof block, file) == sizeof block && fflush(file) == 0) {
    }
    fclose(file);
}

static void a_full_disk_is_told_and_leaves_nothing_half_made(void **state)
{
    struct fixture *f = *state;
    if (!privileged) {
        skip();
    }
    CLEANUP_FREE char *filler = xasprintf("%s/filler", f->notes);
    assert_int_equal(local_open(&f->r, &f->err), 0);
    CLEANUP_FREE char *mark = xasprintf("%s/root", f->notes);
    CLEANUP_BUF struct buf kept = BUF_INIT;
    assert_int_equal(fs_read_file(mark, 4096, &kept, NULL), 0);
    assert_int_equal(mount("none", f->notes, "tmpfs", 0, "size=64k,mode=0700"), 0);
    assert_int_equal(fs_write_file(mark, buf_str(&kept), 0600, false, NULL), 0);
    fill(f->notes);
    assert_int_equal(local_make(&f->r, NAME, "u1", &f->err), ERR_NO_SPACE); /* no note: nobody has it yet */
    assert_int_equal(unlink(filler), 0);
    assert_int_equal(local_make(&f->r, NAME, "u1", &f->err), 0);
    write_data(f);
    fill(f->notes);
    assert_int_equal(local_make(&f->r, NAME, "u1", &f->err), 0);
    assert_int_equal(local_remove(&f->r, NAME, "u1", &f->err), 0); /* deleting needs no room */
    assert_false(fs_exists(f->volume));
    assert_int_equal(umount(f->notes), 0);
}

/* ---- An agent that dies ---- */

static void die(struct fixture *f, const char *where,
                int (*fn)(const struct local_root *r, const char *name, const char *uid, struct error *err))
{
    CLEANUP_FREE char *text = xasprintf("%s=crash", where);
    const char *bad;
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        if (!failpoint_arm(text, &bad)) {
            _exit(9);
        }
        fn(&f->r, NAME, "u1", &f->err);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFSIGNALED(status)) {
        fail_msg("nobody died at %s: %d", where, WEXITSTATUS(status));
    }
}

static void a_volume_is_made_whole_whatever_step_the_agent_dies_at(void **state)
{
    struct fixture *f = *state;
    static const char *const steps[] = {"local_before_mode", "local_before_sync", "local_before_note"};
    for (unsigned i = 0; i < ARRAY_SIZE(steps); i++) {
        struct stat st;
        die(f, steps[i], local_make);
        assert_int_equal(local_make(&f->r, NAME, "u1", &f->err), 0);
        assert_int_equal(stat(f->volume, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0777);
        assert_int_equal(local_remove(&f->r, NAME, "u1", &f->err), 0);
    }
}

static unsigned entries(const char *dir)
{
    CLEANUP_FREE char *cmd = xasprintf("ls -A '%s' | grep -v '^.reeve-volumes$' | wc -l", dir);
    unsigned n = 99;
    FILE *p = popen(cmd, "r");
    assert_non_null(p);
    assert_int_equal(fscanf(p, "%u", &n), 1);
    pclose(p);
    return n;
}

static void a_volume_is_removed_whatever_step_the_agent_dies_at(void **state)
{
    struct fixture *f = *state;
    static const char *const steps[] = {"local_after_rename", "local_before_trash", "local_after_trash"};
    for (unsigned k = 0; k < 2; k++) {
        for (unsigned i = 0; i < ARRAY_SIZE(steps); i++) {
            assert_int_equal(local_make(&f->r, NAME, "u1", &f->err), 0);
            write_data(f);
            die(f, steps[i], local_remove);
            if (k == 0) { /* its object is still there */
                assert_int_equal(local_remove(&f->r, NAME, "u1", &f->err), 0);
            } else { /* somebody has taken it away meanwhile */
                assert_int_equal(local_sweep(&f->r, &f->err), 0);
                assert_int_equal(local_remove(&f->r, NAME, "u1", &f->err), 0);
            }
            assert_int_equal(entries(f->root), 0);
            assert_int_equal(entries(f->notes), 1);
        }
    }
}

int main(void)
{
    privileged = geteuid() == 0 && unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_volume_is_made_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_volume_that_is_gone_is_not_made_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(a_root_whose_disk_is_not_mounted_is_noticed, setup, teardown),
        cmocka_unit_test_setup_teardown(another_root_of_the_configuration_is_another_one, setup, teardown),
        cmocka_unit_test_setup_teardown(names_that_lead_out_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_removed_volume_follows_no_link, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_disk_is_told_and_leaves_nothing_half_made, setup, teardown),
        cmocka_unit_test_setup_teardown(a_volume_is_made_whole_whatever_step_the_agent_dies_at, setup, teardown),
        cmocka_unit_test_setup_teardown(a_volume_is_removed_whatever_step_the_agent_dies_at, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
