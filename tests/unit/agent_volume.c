#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/util/fsutil.h"
#include "agent/volume/volume.h"
#include "base/failpoint.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define POD "pod-1"

struct fixture {
    uv_loop_t loop;
    char dir[64], path[VOLUME_PATH_MAX];
    struct volume_store *s;
    unsigned dones;
    int error;
};

static bool privileged; /* set by main: root, in a mount namespace of its own */

static void on_done(const struct error *err, void *data)
{
    struct fixture *f = data;
    f->dones++;
    f->error = err == NULL ? 0 : err->code;
}

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    char dir[80];
    uv_loop_init(&f->loop);
    strcpy(f->dir, "/tmp/reeve-volume-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(dir, sizeof dir, "%s/pods", f->dir);
    assert_int_equal(volume_store_new(&f->loop, dir, NULL, &f->s, NULL), 0);
    *state = f;
    return 0;
}
static int teardown(void **state)
{
    struct fixture *f = *state;
    volume_remove_pod(f->s, POD, on_done, f);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(f->error, 0);
    volume_store_close(f->s, NULL, NULL);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    assert_int_equal(fs_remove_tree(f->dir, NULL), 0);
    free(f);
    return 0;
}
#define NEED_MOUNTS()                                                                                                  \
    if (!privileged)                                                                                                   \
    skip()

static void assert_content(const char *dir, const char *name, const char *content)
{
    CLEANUP_FREE char *path = xasprintf("%s/%s", dir, name);
    CLEANUP_BUF struct buf b = BUF_INIT;
    assert_int_equal(fs_read_file(path, 1 << 20, &b, NULL), 0);
    assert_string_equal(buf_cstr(&b), content);
}

static void an_empty_dir_is_made_once_and_removed(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    assert_int_equal(volume_empty_dir(f->s, POD, "data", false, 0, -1, f->path, NULL), 0);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0777);
    CLEANUP_FREE char *file = xasprintf("%s/x", f->path);
    assert_int_equal(fs_write_file(file, STR("x"), 0600, false, NULL), 0);
    assert_int_equal(volume_empty_dir(f->s, POD, "data", false, 0, -1, f->path, NULL), 0);
    assert_true(fs_exists(file));
    unsigned cursor = 0;
    char uid[64];
    assert_true(volume_next(f->s, &cursor, uid));
    assert_string_equal(uid, POD);
    volume_remove_pod(f->s, POD, on_done, f);
    assert_int_equal(f->dones, 0);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(f->dones, 1);
    assert_false(fs_exists(f->path));
}

static void a_memory_volume_has_its_size(void **state)
{
    struct fixture *f = *state;
    NEED_MOUNTS();
    static char big[300 << 10];
    assert_int_equal(volume_empty_dir(f->s, POD, "mem", true, 256 << 10, 1234, f->path, NULL), 0);
    struct stat st;
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_gid, 1234);
    assert_true((st.st_mode & S_ISGID) != 0);
    CLEANUP_FREE char *file = xasprintf("%s/x", f->path);
    assert_int_equal(fs_write_file(file, (struct str){big, sizeof big}, 0600, false, NULL), ERR_NO_SPACE);
    assert_int_equal(fs_write_file(file, (struct str){big, 1000}, 0600, false, NULL), 0);
    /* a second call finds it */
    assert_int_equal(volume_empty_dir(f->s, POD, "mem", true, 256 << 10, 1234, f->path, NULL), 0);
    assert_true(fs_exists(file));
}

static void host_paths_are_checked_by_type(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    char path[128];
    assert_int_equal(volume_host_path(f->s, "/etc", "Directory", f->path, &err), 0);
    assert_string_equal(f->path, "/etc");
    assert_int_equal(volume_host_path(f->s, "/etc", "File", f->path, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "/etc is not a File"));
    assert_int_equal(volume_host_path(f->s, "/no/such", "Directory", f->path, &err), ERR_NOT_FOUND);
    assert_int_equal(volume_host_path(f->s, "etc", "", f->path, &err), ERR_INVALID);
    assert_int_equal(volume_host_path(f->s, "/dev/null", "CharDevice", f->path, &err), 0);
    snprintf(path, sizeof path, "%s/a/b", f->dir);
    assert_int_equal(volume_host_path(f->s, path, "DirectoryOrCreate", f->path, &err), 0);
    assert_true(fs_exists(path));
    strcat(path, "/file");
    assert_int_equal(volume_host_path(f->s, path, "FileOrCreate", f->path, &err), 0);
    assert_int_equal(volume_host_path(f->s, path, "File", f->path, &err), 0);
}

static void a_set_of_files_is_swapped_as_a_whole(void **state)
{
    struct fixture *f = *state;
    bool changed;
    struct stat st;
    struct volume_file one[] = {{.path = "a.conf", .content = STR("1")},
                                {.path = "sub/b", .content = STR("2"), .mode = 0400}};
    struct volume_file two[] = {{.path = "a.conf", .content = STR("one")},
                                {.path = "c", .content = STR("3"), .mode = 0755}};
    assert_int_equal(volume_files(f->s, POD, "conf", false, one, 2, -1, f->path, &changed, NULL), 0);
    assert_true(changed);
    assert_content(f->path, "a.conf", "1");
    assert_content(f->path, "sub/b", "2");
    CLEANUP_FREE char *b = xasprintf("%s/sub/b", f->path);
    assert_int_equal(stat(b, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0400);
    assert_int_equal(volume_update(f->s, POD, "conf", one, 2, -1, &changed, NULL), 0);
    assert_false(changed);
    assert_int_equal(volume_update(f->s, POD, "conf", two, 2, -1, &changed, NULL), 0);
    assert_true(changed);
    assert_content(f->path, "a.conf", "one");
    assert_content(f->path, "c", "3");
    assert_false(fs_exists(b));
    CLEANUP_FREE char *sub = xasprintf("%s/sub", f->path);
    assert_false(fs_exists(sub));
    assert_int_equal(volume_update(f->s, POD, "absent", two, 2, -1, &changed, NULL), ERR_NOT_FOUND);
}

static void names_that_lead_out_are_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {"", "/x", "../x", "a/../../x", "..data", "a//b", "a/", "./x", "a/."};
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        struct volume_file one = {.path = bad[i], .content = STR("x")};
        assert_int_equal(volume_files(f->s, POD, "conf", false, &one, 1, -1, f->path, NULL, NULL), ERR_INVALID);
    }
}

static void secrets_lie_in_memory(void **state)
{
    struct fixture *f = *state;
    NEED_MOUNTS();
    struct volume_file one = {.path = "password", .content = STR("x"), .mode = 0400};
    assert_int_equal(volume_files(f->s, POD, "secret", true, &one, 1, 77, f->path, NULL, NULL), 0);
    assert_true(fs_is_mount(f->path));
    CLEANUP_FREE char *path = xasprintf("%s/password", f->path);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_gid, 77);
    assert_int_equal(st.st_mode & 07777, 0440);
}

/* A token of an account: its reader's alone, and renewed in one step. */
static void a_file_is_its_users(void **state)
{
    struct fixture *f = *state;
    NEED_MOUNTS();
    struct volume_file one = {.path = "token", .content = STR("first"), .mode = 0600, .user = 1000};
    CLEANUP_BUF struct buf content = BUF_INIT;
    struct stat st, other;
    bool changed;
    assert_int_equal(volume_read(f->s, POD, "access", "token", 100, &content, NULL), ERR_NOT_FOUND);
    assert_int_equal(volume_files(f->s, POD, "access", true, &one, 1, -1, f->path, &changed, NULL), 0);
    CLEANUP_FREE char *path = xasprintf("%s/token", f->path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_uid, 1000);
    assert_int_equal(st.st_gid, 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(volume_read(f->s, POD, "access", "token", 100, &content, NULL), 0);
    assert_string_equal(buf_cstr(&content), "first");
    assert_int_equal(volume_read(f->s, POD, "access", "token", 4, &content, NULL), ERR_TOO_LARGE);
    assert_int_equal(volume_read(f->s, POD, "access", "../../x", 4, &content, NULL), ERR_INVALID);
    assert_int_equal(volume_update(f->s, POD, "access", &one, 1, -1, &changed, NULL), 0);
    assert_false(changed);
    one.content = STR("second");
    int held = open(path, O_RDONLY | O_CLOEXEC); /* who has it open reads what it was */
    assert_true(held >= 0);
    assert_int_equal(volume_update(f->s, POD, "access", &one, 1, -1, &changed, NULL), 0);
    assert_true(changed);
    assert_content(f->path, "token", "second");
    assert_int_equal(fstat(held, &other), 0);
    assert_int_equal(other.st_size, 5);
    close(held);
    /* with a group: the group may read it, too */
    assert_int_equal(volume_update(f->s, POD, "access", &one, 1, 77, &changed, NULL), 0);
    assert_true(changed);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_uid, 1000);
    assert_int_equal(st.st_gid, 77);
    assert_int_equal(st.st_mode & 07777, 0640);
}

static void a_sub_path_cannot_leave_its_volume(void **state)
{
    struct fixture *f = *state;
    NEED_MOUNTS();
    char sub[VOLUME_PATH_MAX];
    assert_int_equal(volume_empty_dir(f->s, POD, "data", false, 0, -1, f->path, NULL), 0);
    assert_int_equal(volume_sub_path(f->s, POD, "c-0", f->path, "x/y", false, sub, NULL), 0);
    CLEANUP_FREE char *in = xasprintf("%s/file", sub);
    assert_int_equal(fs_write_file(in, STR("inside"), 0644, false, NULL), 0);
    assert_content(f->path, "x/y/file", "inside");
    /* one file */
    assert_int_equal(volume_sub_path(f->s, POD, "c-1", f->path, "x/y/file", false, sub, NULL), 0);
    CLEANUP_BUF struct buf content = BUF_INIT;
    assert_int_equal(fs_read_file(sub, 100, &content, NULL), 0);
    assert_string_equal(buf_cstr(&content), "inside");
    /* also where the volume has a directory of that name */
    CLEANUP_FREE char *link = xasprintf("%s/evil", f->path);
    assert_int_equal(symlink("/", link), 0);
    assert_int_equal(volume_sub_path(f->s, POD, "c-2", f->path, "evil/etc", true, sub, NULL), ERR_INVALID);
    assert_int_equal(volume_sub_path(f->s, POD, "c-2", f->path, "evil/etc", false, sub, NULL), ERR_INVALID);
    assert_int_equal(volume_sub_path(f->s, POD, "c-2", f->path, "evil", false, sub, NULL), ERR_INVALID);
    assert_int_equal(volume_sub_path(f->s, POD, "c-3", f->path, "../x", false, sub, NULL), ERR_INVALID);
    assert_int_equal(volume_sub_path(f->s, POD, "c-4", f->path, "/etc", false, sub, NULL), ERR_INVALID);
    /* again for the next attempt of the container */
    assert_int_equal(volume_sub_path(f->s, POD, "c-0", f->path, "x/y", false, sub, NULL), 0);
    assert_content(sub, "file", "inside");
}

static void a_new_sub_path_is_as_open_as_its_volume(void **state)
{
    struct fixture *f = *state;
    NEED_MOUNTS();
    char sub[VOLUME_PATH_MAX];
    struct stat st;
    assert_int_equal(volume_empty_dir(f->s, POD, "data", false, 0, 1234, f->path, NULL), 0);
    assert_int_equal(volume_sub_path(f->s, POD, "c-0", f->path, "a//b/", false, sub, NULL), 0);
    assert_int_equal(stat(sub, &st), 0);
    assert_int_equal(st.st_mode & 07777, 02777);
    assert_int_equal(st.st_gid, 1234);
    assert_int_equal(volume_sub_path(f->s, POD, "c-1", f->path, "", false, sub, NULL), 0); /* nothing of it */
    CLEANUP_FREE char *below = xasprintf("%s/a/b", sub);
    assert_true(fs_exists(below));
}

static void an_update_does_not_reach_a_sub_path(void **state)
{
    struct fixture *f = *state;
    NEED_MOUNTS();
    char sub[VOLUME_PATH_MAX];
    bool changed;
    struct volume_file one = {.path = "a.conf", .content = STR("1")}, two = {.path = "a.conf", .content = STR("2")};
    assert_int_equal(volume_files(f->s, POD, "conf", false, &one, 1, -1, f->path, NULL, NULL), 0);
    assert_int_equal(volume_sub_path(f->s, POD, "c-0", f->path, "a.conf", true, sub, NULL), 0);
    assert_int_equal(volume_update(f->s, POD, "conf", &two, 1, -1, &changed, NULL), 0);
    assert_content(f->path, "a.conf", "2");
    CLEANUP_BUF struct buf b = BUF_INIT;
    assert_int_equal(fs_read_file(sub, 100, &b, NULL), 0);
    assert_string_equal(buf_cstr(&b), "1");
    /* the container's next attempt has it */
    assert_int_equal(volume_sub_path(f->s, POD, "c-0", f->path, "a.conf", true, sub, NULL), 0);
    buf_reset(&b);
    assert_int_equal(fs_read_file(sub, 100, &b, NULL), 0);
    assert_string_equal(buf_cstr(&b), "2");
}

/* ---- A pod that changes its volume while it is mounted (CVE-2017-1002101, CVE-2021-25741) ---- */

static void swap(const char *a, const char *b)
{
    assert_int_equal(renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE), 0);
}

struct swapper {
    char dir[VOLUME_PATH_MAX + 16], link[VOLUME_PATH_MAX + 16];
    _Atomic bool stop;
    pthread_t thread;
};

static void *swap_without_end(void *data)
{
    struct swapper *s = data;
    while (!s->stop) {
        renameat2(AT_FDCWD, s->dir, AT_FDCWD, s->link, RENAME_EXCHANGE);
    }
    return NULL;
}

static void *swap_before_mount(void *data)
{
    struct swapper *s = data;
    while (failpoint_hits(FAILPOINT_sub_path_before_mount) == 0) {
        sched_yield();
    }
    renameat2(AT_FDCWD, s->dir, AT_FDCWD, s->link, RENAME_EXCHANGE);
    return NULL;
}

/* volume/x is a directory with the file "inside", volume/l a link to what the pod must not see. */
static void lay_a_trap(struct fixture *f, struct swapper *s, const char *lead)
{
    char path[VOLUME_PATH_MAX + 32], to[128];
    snprintf(path, sizeof path, "%s/precious", f->dir);
    assert_int_equal(fs_make_dirs(path, 0755, NULL), 0);
    strcat(path, "/secret");
    assert_int_equal(fs_write_file(path, STR("x"), 0644, false, NULL), 0);
    assert_int_equal(volume_empty_dir(f->s, POD, "data", false, 0, -1, f->path, NULL), 0);
    snprintf(s->dir, sizeof s->dir, "%s/x", f->path);
    snprintf(s->link, sizeof s->link, "%s/l", f->path);
    snprintf(path, sizeof path, "%s/inside", s->dir);
    assert_int_equal(fs_remove_tree(s->dir, NULL), 0);
    assert_int_equal(fs_remove_tree(s->link, NULL), 0);
    assert_int_equal(fs_make_dirs(s->dir, 0777, NULL), 0);
    assert_int_equal(fs_write_file(path, STR("y"), 0644, false, NULL), 0);
    snprintf(to, sizeof to, "%s%s/precious", lead, lead[0] == '\0' ? f->dir : "");
    assert_int_equal(symlink(to, s->link), 0);
}

static bool has(const char *dir, const char *name)
{
    CLEANUP_FREE char *path = xasprintf("%s/%s", dir, name);
    return fs_exists(path);
}

static void what_is_swapped_all_the_time_never_leads_out(void **state)
{
    struct fixture *f = *state;
    NEED_MOUNTS();
    static const char *const leads[] = {"", "../../../.."}; /* from volume to the fixture's directory */
    char sub[VOLUME_PATH_MAX];
    for (unsigned k = 0; k < ARRAY_SIZE(leads); k++) {
        struct swapper s = {.stop = false};
        unsigned good = 0, bad = 0;
        lay_a_trap(f, &s, leads[k]);
        assert_true(has(s.link, "secret"));
        assert_int_equal(pthread_create(&s.thread, NULL, swap_without_end, &s), 0);
        for (unsigned i = 0; i < 2000 || ((good == 0 || bad == 0) && i < 1000000); i++) {
            struct error err = {0};
            int rv = volume_sub_path(f->s, POD, "c-0", f->path, "x", false, sub, &err);
            good += rv == 0;
            bad += rv != 0;
            if (rv == 0 && (has(sub, "secret") || !has(sub, "inside"))) {
                fail_msg("a container would see what it must not");
            }
        }
        s.stop = true;
        pthread_join(s.thread, NULL);
        assert_true(good > 0 && bad > 0);
    }
}

static void what_is_swapped_between_look_and_mount_is_what_was_looked_at(void **state)
{
    struct fixture *f = *state;
    NEED_MOUNTS();
    struct swapper s = {.stop = false};
    const char *at;
    char sub[VOLUME_PATH_MAX];
    lay_a_trap(f, &s, "");
    assert_true(failpoint_arm("sub_path_before_mount=sleep:500", &at));
    assert_int_equal(pthread_create(&s.thread, NULL, swap_before_mount, &s), 0);
    assert_int_equal(volume_sub_path(f->s, POD, "c-0", f->path, "x", false, sub, NULL), 0);
    pthread_join(s.thread, NULL);
    failpoint_disarm_all();
    assert_true(has(sub, "inside"));
    assert_false(has(sub, "secret"));
    assert_true(has(s.dir, "secret")); /* the pod has had its way with the volume */
    /* and with the container's restart */
    assert_int_equal(volume_sub_path(f->s, POD, "c-0", f->path, "x", false, sub, NULL), ERR_INVALID);
    swap(s.dir, s.link);
    assert_int_equal(volume_sub_path(f->s, POD, "c-0", f->path, "x", false, sub, NULL), 0);
    assert_true(has(sub, "inside"));
}

/* ---- An agent that dies ---- */

static void an_empty_dir_that_was_half_made_is_made(void **state)
{
    struct fixture *f = *state;
    static const char *const deaths[] = {"volume_before_mode=crash", "volume_before_rename=crash"};
    for (unsigned i = 0; i < ARRAY_SIZE(deaths); i++) {
        char name[16];
        struct stat st;
        const char *at;
        int status = 0;
        snprintf(name, sizeof name, "data-%u", i);
        pid_t pid = fork();
        if (pid == 0) {
            failpoint_arm(deaths[i], &at);
            volume_empty_dir(f->s, POD, name, false, 0, -1, f->path, NULL);
            _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(volume_empty_dir(f->s, POD, name, false, 0, -1, f->path, NULL), 0);
        assert_int_equal(stat(f->path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0777);
    }
}

static void removal_does_not_follow_mounts_and_links(void **state)
{
    struct fixture *f = *state;
    NEED_MOUNTS();
    char precious[128], file[160], inside[VOLUME_PATH_MAX + 16];
    snprintf(precious, sizeof precious, "%s/precious", f->dir);
    snprintf(file, sizeof file, "%s/keep", precious);
    assert_int_equal(fs_make_dirs(precious, 0755, NULL), 0);
    assert_int_equal(fs_write_file(file, STR("x"), 0644, false, NULL), 0);
    assert_int_equal(volume_empty_dir(f->s, POD, "data", false, 0, -1, f->path, NULL), 0);
    snprintf(inside, sizeof inside, "%s/m", f->path);
    assert_int_equal(fs_make_dirs(inside, 0755, NULL), 0);
    assert_int_equal(mount(precious, inside, NULL, MS_BIND, NULL), 0);
    snprintf(inside, sizeof inside, "%s/l", f->path);
    assert_int_equal(symlink(precious, inside), 0);
    volume_remove_pod(f->s, POD, on_done, f);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(f->error, 0);
    assert_true(fs_exists(file));
    assert_false(fs_exists(f->path));
}

/* As an agent leaves a container that it was starting when it was killed: more is mounted there than is known by name,
 * a layer of an image on a directory and a file on a file. */
static void a_tree_goes_with_whatever_is_mounted_in_it(void **state)
{
    static const char *const names[] = {"known"};
    struct fixture *f = *state;
    NEED_MOUNTS();
    CLEANUP_FREE char *layer = xasprintf("%s/layer", f->dir), *content = xasprintf("%s/layer/keep", f->dir);
    CLEANUP_FREE char *tree = xasprintf("%s/tree", f->dir), *known = xasprintf("%s/known", tree);
    CLEANUP_FREE char *lower = xasprintf("%s/lower/0", tree), *file = xasprintf("%s/lower/file", tree);
    assert_int_equal(fs_make_dirs(layer, 0755, NULL), 0);
    assert_int_equal(fs_write_file(content, STR("x"), 0644, false, NULL), 0);
    assert_int_equal(fs_make_dirs(known, 0755, NULL), 0);
    assert_int_equal(fs_make_dirs(lower, 0755, NULL), 0);
    assert_int_equal(fs_write_file(file, STR(""), 0644, false, NULL), 0);
    assert_int_equal(mount(layer, known, NULL, MS_BIND, NULL), 0);
    assert_int_equal(mount(layer, lower, NULL, MS_BIND, NULL), 0);
    assert_int_equal(mount(content, file, NULL, MS_BIND, NULL), 0);
    assert_int_equal(fs_remove_mounted(tree, names, 1, NULL), 0);
    assert_false(fs_exists(tree));
    assert_true(fs_exists(content));
    assert_int_equal(fs_remove_mounted(tree, names, 1, NULL), 0); /* gone already */
}

int main(void)
{
    privileged = geteuid() == 0 && unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_empty_dir_is_made_once_and_removed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_memory_volume_has_its_size, setup, teardown),
        cmocka_unit_test_setup_teardown(host_paths_are_checked_by_type, setup, teardown),
        cmocka_unit_test_setup_teardown(a_set_of_files_is_swapped_as_a_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(names_that_lead_out_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(secrets_lie_in_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_is_its_users, setup, teardown),
        cmocka_unit_test_setup_teardown(a_sub_path_cannot_leave_its_volume, setup, teardown),
        cmocka_unit_test_setup_teardown(a_new_sub_path_is_as_open_as_its_volume, setup, teardown),
        cmocka_unit_test_setup_teardown(an_update_does_not_reach_a_sub_path, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_swapped_all_the_time_never_leads_out, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_swapped_between_look_and_mount_is_what_was_looked_at, setup, teardown),
        cmocka_unit_test_setup_teardown(an_empty_dir_that_was_half_made_is_made, setup, teardown),
        cmocka_unit_test_setup_teardown(removal_does_not_follow_mounts_and_links, setup, teardown),
        cmocka_unit_test_setup_teardown(a_tree_goes_with_whatever_is_mounted_in_it, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
