/* What of a node's files its local users, images and the kernel's special files can reach: directories, layers,
 * configurations. */
#include "tests/unit/agent_limits_attack.h"

#include "agent/volume/volume.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#define PASSWORD "correct-horse-battery-staple"

/* ---- Inside ---- */

static int attack(const char *which)
{
    if (strcmp(which, "setuid") == 0) { /* leaves a shell that makes everybody root */
        tell("root", mknod("/rootshell", S_IFREG | 04755, 0) != 0 || chmod("/rootshell", 04755) != 0 ? -1 : 0);
    }
    if (strcmp(which, "device") == 0) {
        struct stat disk;
        (void)(stat("/attack", &disk) == 0); /* lies on a disk of the node */
        tell("mknod", mknod("/mine", S_IFBLK | 0666, disk.st_dev));
        tell("mknod-empty", mknod("/empty/mine", S_IFCHR | 0666, makedev(1, 3)));
        tell("read", open("/mine", O_RDONLY));
        tell("write", open("/mine", O_WRONLY));
        tell("open-empty", open("/empty/mine", O_RDWR));
        tell("open-dev", open("/dev/null", O_RDWR));
    }
    return 0;
}

/* ---- A local user ---- */

/* As a user who is nobody: can he open it or go into it? Kills of the test's own descriptors do not matter, it is a
 * child. */
static bool local_user_reaches(const char *path)
{
    pid_t pid = fork();
    if (pid == 0) {
        if (setgid(65534) != 0 || setuid(65534) != 0) {
            _exit(2);
        }
        struct stat st;
        _exit(open(path, O_PATH | O_CLOEXEC) >= 0 || stat(path, &st) == 0 || access(path, F_OK) == 0 ? 1 : 0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
    return WEXITSTATUS(status) == 1;
}

static void assert_hidden(const char *path)
{
    struct stat st;
    if (lstat(path, &st) != 0) {
        fail_msg("%s is not there: nothing was tested", path);
    }
    if (local_user_reaches(path)) {
        fail_msg("a local user reaches %s", path);
    }
}

static void a_local_user_reaches_no_file_of_a_pod(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct volume_store *volumes;
    struct error err = {0};
    struct runtime_spec s;
    struct runtime_mount mounts[3];
    char secret[VOLUME_PATH_MAX], path[VOLUME_PATH_MAX + 64];
    struct volume_file files[] = {{.path = "password", .content = STR(PASSWORD)}};
    assert_int_equal(chmod(f->dir, 0755), 0); /* what protects must be the agent's own directories */
    assert_true(local_user_reaches(f->dir));
    snprintf(path, sizeof path, "%s/volumes", f->dir);
    assert_int_equal(mkdir(path, 0755), 0); /* as an earlier agent left it */
    assert_int_equal(volume_store_new(&f->loop, path, NULL, &volumes, &err), 0);
    assert_int_equal(volume_files(volumes, POD, "s", true, files, 1, -1, secret, NULL, &err), 0);
    crun_spec(f, &s);
    mounts[0] = (struct runtime_mount){.source = secret, .target = "/secret", .data = true, .read_only = true};
    s.security.run_as_user = 0;
    attack_mounts(&s, mounts, 1);
    static const char *const env[] = {"ASAN_OPTIONS=detect_leaks=0", NULL};
    s.env = env;
    char program[128];
    snprintf(program, sizeof program, "/attack/%s", self_name);
    const char *cmd[] = {"sh", "-c", "\"$0\" attack setuid && exec sleep 600", program, NULL};
    start(f, &s, cmd);
    assert_string_equal(f->start_message, "");
    const char *wait[] = {"sh", "-c", "until [ -u /rootshell ]; do sleep 0.02; done", NULL};
    run_inside(f, f->id, wait, 60000);

    snprintf(path, sizeof path, "%s/password", secret);
    assert_hidden(path);
    const char *below_container[] = {"rootfs/rootshell", "upper/rootshell", "message/termination-log", "state.json"};
    for (unsigned i = 0; i < ARRAY_SIZE(below_container); i++) {
        snprintf(path, sizeof path, "%s/rt/containers/%s/%s", f->dir, f->id, below_container[i]);
        assert_hidden(path);
    }
    snprintf(path, sizeof path, "%s/etc/passwd", f->image->layers[0]);
    assert_hidden(path);
    assert_hidden(f->sb.hosts);
    assert_hidden(f->sb.net);
    assert_hidden(f->log);
    snprintf(path, sizeof path, "%s/%s/config.json", f->run, f->id);
    assert_hidden(path);

    remove_it(f);
    unsigned before = f->dones;
    volume_remove_pod(volumes, POD, on_done, f);
    wait_for(f, &f->dones, before + 1);
    volume_store_close(volumes, NULL, NULL);
}

/* ---- Configurations ---- */

static char found_in[512]; /* of nftw, which passes nothing on */

static int look_for_password(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    (void)st;
    (void)ftw;
    if (type == FTW_F && fs_read_file(path, 16 << 20, &b, NULL) == 0 &&
        memmem(b.data, b.size, PASSWORD, strlen(PASSWORD)) != NULL) {
        snprintf(found_in, sizeof found_in, "%s", path);
    }
    return 0;
}

static void assert_not_on_disk(struct fixture *f)
{
    struct statfs fs;
    struct stat st;
    found_in[0] = '\0';
    assert_int_equal(nftw(f->dir, look_for_password, 32, FTW_PHYS), 0);
    assert_string_equal(found_in, "");
    assert_int_equal(statfs(f->run, &fs), 0);
    assert_int_equal(fs.f_type, TMPFS_MAGIC);
    assert_int_equal(stat(f->run, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
}

static unsigned count_prefix(const char *dir, const char *prefix)
{
    unsigned n = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        n += strncmp(e->d_name, prefix, strlen(prefix)) == 0;
    }
    closedir(d);
    return n;
}

static void secrets_of_the_environment_are_never_on_a_disk(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    static const char *const env[] = {"TOKEN=" PASSWORD, NULL};
    const char *show[] = {"printenv", "TOKEN", NULL}, *cat[] = {"cat", NULL};
    crun_spec(f, &s);
    s.env = env;
    start(f, &s, sleeper);
    assert_string_equal(f->start_message, "");
    assert_not_on_disk(f);
    assert_int_equal(count_prefix(f->run, "config-"), 0);

    /* while a command runs, which is given the same environment, and after it */
    unsigned before = f->ends;
    struct runtime_exec *x =
        runtime_exec_open(f->rt, f->id, &(struct runtime_exec_spec){.argv = cat, .stdin_open = true}, &streaming, f);
    runtime_exec_write(f->rt, x, "x", 1);
    wait_for_output(f, "x");
    assert_not_on_disk(f);
    runtime_exec_end_input(f->rt, x);
    wait_for(f, &f->ends, before + 1);
    assert_int_equal(count_prefix(f->run, "exec-"), 0);

    /* an agent that comes back finds it all the same, and takes away what a former one was about to use */
    char stray[128];
    close_runtime(f);
    snprintf(stray, sizeof stray, "%s/exec-stray.json", f->run);
    assert_int_equal(fs_write_file(stray, STR(PASSWORD), 0600, false, NULL), 0);
    char bundle[256];
    snprintf(bundle, sizeof bundle, "%s/rt/containers/%s/config.json", f->dir, f->id);
    assert_int_equal(fs_write_file(bundle, STR("{\"process\":{\"env\":[\"TOKEN=" PASSWORD "\"]}}"), 0600, false, NULL),
                     0); /* as an earlier agent kept it */
    open_crun(f);
    assert_false(fs_exists(stray));
    assert_false(fs_exists(bundle));
    run_inside(f, f->id, show, 60000);
    assert_string_equal(f->exec_output, PASSWORD "\n");
    assert_not_on_disk(f);
    remove_it(f);
    assert_not_on_disk(f);
    assert_int_equal(count_prefix(f->run, POD), 0);
}

static void a_start_that_fails_leaves_no_configuration(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    static const char *const env[] = {"TOKEN=" PASSWORD, NULL}, *const nothing[] = {"/no/such/program", NULL};
    crun_spec(f, &s);
    s.env = env;
    start(f, &s, nothing);
    assert_int_not_equal(f->start_error, 0);
    assert_not_on_disk(f);
    assert_int_equal(count_prefix(f->run, "config-"), 0);
    assert_int_equal(count_prefix(f->run, POD), 0);
}

/* ---- Images ---- */

static void add_special(struct tar *t, const char *path, mode_t type, unsigned dev_major, unsigned dev_minor)
{
    struct archive_entry *e = archive_entry_new();
    archive_entry_set_pathname(e, path);
    archive_entry_set_filetype(e, type);
    archive_entry_set_perm(e, 0666);
    archive_entry_set_rdevmajor(e, dev_major);
    archive_entry_set_rdevminor(e, dev_minor);
    assert_int_equal(archive_write_header(t->a, e), ARCHIVE_OK);
    archive_entry_free(e);
}

/* The image in f->image is replaced. passwd: its type, and where it leads if it is a link. */
static void hostile_image(struct fixture *f, const char *ref, mode_t passwd, const char *target)
{
    struct tar t;
    char layout[128];
    tar_begin(&t, false);
    tar_add(&t, "usr/", AE_IFDIR, NULL);
    tar_add(&t, "etc/", AE_IFDIR, NULL);
    tar_add(&t, "bin", AE_IFLNK, "usr/bin");
    tar_add(&t, "lib", AE_IFLNK, "usr/lib");
    tar_add(&t, "lib64", AE_IFLNK, "usr/lib64");
    add_special(&t, "etc/disk", AE_IFBLK, 254, 0);
    add_special(&t, "etc/mem", AE_IFCHR, 1, 1);
    add_special(&t, "etc/white", AE_IFCHR, 0, 0);
    add_special(&t, "etc/fifo", AE_IFIFO, 0, 0);
    if (passwd == AE_IFLNK || passwd == AE_IFREG) {
        tar_add(&t, "etc/passwd", passwd, target);
    } else {
        add_special(&t, "etc/passwd", passwd, 1, 8);
    }
    tar_end(&t);
    snprintf(layout, sizeof layout, "%s/layout-%s", f->dir, ref);
    make_layout(layout, ref, &t, 1);
    unsigned before = f->dones;
    image_load_path(f->images, layout, NULL, on_loaded, f);
    wait_for(f, &f->dones, before + 1);
    image_unref(f->image);
    f->image = image_find(f->images, ref);
    assert_non_null(f->image);
}

static void device_nodes_of_an_image_are_not_made(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    static const char *const names[] = {"disk", "mem", "white", "passwd"};
    char path[512];
    struct stat st;
    hostile_image(f, "devices:1", AE_IFCHR, NULL);
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        snprintf(path, sizeof path, "%s/etc/%s", f->image->layers[0], names[i]);
        assert_int_equal(lstat(path, &st), -1);
    }
    snprintf(path, sizeof path, "%s/etc/fifo", f->image->layers[0]);
    assert_int_equal(lstat(path, &st), 0);
    assert_true(S_ISFIFO(st.st_mode));
}

static void a_passwd_file_that_is_none_harms_nothing(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    char path[512];
    hostile_image(f, "fifo:1", AE_IFIFO, NULL);
    crun_spec(f, &s);
    start(f, &s, sleeper);
    assert_string_equal(f->reason, "CreateContainerConfigError");
    assert_string_equal(f->start_message, "the image's /etc/passwd is not a regular file");

    /* a link to the node's file: it leads to the image's, which it has not, so there are no names in it */
    hostile_image(f, "link:1", AE_IFLNK, "/etc/shadow");
    crun_spec(f, &s);
    start(f, &s, sleeper);
    assert_string_equal(f->start_message, "");
    remove_it(f);
    hostile_image(f, "climb:1", AE_IFLNK, "../../../../../../../../proc/self/root/etc/shadow");
    crun_spec(f, &s);
    start(f, &s, sleeper);
    assert_string_equal(f->start_message, "");
    remove_it(f);

    hostile_image(f, "large:1", AE_IFREG, "root:x:0:0::/root:/bin/sh\n");
    snprintf(path, sizeof path, "%s/etc/passwd", f->image->layers[0]);
    assert_int_equal(truncate(path, 10LL << 30), 0);
    crun_spec(f, &s);
    start(f, &s, sleeper);
    assert_string_equal(f->reason, "CreateContainerConfigError");
    assert_non_null(strstr(f->start_message, "the image's /etc/passwd is larger than"));
}

static void a_device_node_that_a_container_made_opens_nothing(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    struct runtime_mount mounts[3];
    char empty[128];
    const char *add[] = {"MKNOD", NULL};
    snprintf(empty, sizeof empty, "%s/empty", f->dir);
    assert_int_equal(mkdir(empty, 0777), 0);
    crun_spec(f, &s);
    s.security.run_as_user = 0;
    s.security.capabilities_add = add;
    s.security.seccomp_unconfined = true;
    mounts[0] = (struct runtime_mount){.source = empty, .target = "/empty", .no_device = true};
    attack_mounts(&s, mounts, 1);
    CLEANUP_FREE char *text = attack_run(f, &s, "device");
    assert_result(text, "mknod", "ok");
    assert_result(text, "mknod-empty", "ok");
    assert_result(text, "read", "EPERM");
    assert_result(text, "write", "EPERM");
    assert_result(text, "open-empty", "EACCES");
    assert_result(text, "open-dev", "ok");

    /* the same node is nothing to somebody on the machine either */
    char path[256];
    struct stat st;
    start(f, &s, sleeper);
    snprintf(path, sizeof path, "%s/rt/containers/%s/rootfs/null", f->dir, f->id);
    assert_int_equal(mknod(path, S_IFCHR | 0666, makedev(1, 3)), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(open(path, O_RDWR), -1);
    assert_int_equal(errno, EACCES);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "attack") == 0) {
        return attack(argv[2]);
    }
#define CRUN_TEST(fn) cmocka_unit_test_setup_teardown(fn, crun_setup, crun_teardown)
    const struct CMUnitTest tests[] = {
        CRUN_TEST(a_local_user_reaches_no_file_of_a_pod),
        CRUN_TEST(secrets_of_the_environment_are_never_on_a_disk),
        CRUN_TEST(a_start_that_fails_leaves_no_configuration),
        CRUN_TEST(device_nodes_of_an_image_are_not_made),
        CRUN_TEST(a_passwd_file_that_is_none_harms_nothing),
        CRUN_TEST(a_device_node_that_a_container_made_opens_nothing),
    };
    attack_init();
    have_crun = enter_private_mounts();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
