/* Volumes that take time: servers, directories with a group, and their end. A mount(8) of our own plays the server: who
 * it is asked for says how it goes. */
#include "tests/unit/agent_master.h"

#include "agent/util/fsutil.h"
#include "agent/volume/volume.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define POD "pod-1"

struct fixture {
    uv_loop_t loop;
    char dir[64], path[VOLUME_PATH_MAX], freezer[128];
    struct volume_store *s;
    unsigned attached, removed, dones;
    struct error error; /* of the last removal */
};

static bool privileged; /* set by main: root, in a mount namespace of its own */

static const char script[] =
    "#!/bin/sh\n"
    "echo \"$@\" >>\"${0%/*}/calls\"\n"
    "case \"$5\" in\n"
    "good:*) exec /bin/mount -t ramfs none \"$6\" ;;\n"
    "denied:*) echo \"mount.nfs: access denied by server while mounting $5\" >&2; exit 32 ;;\n"
    "nohelper:*) echo \"mount: $6: bad option; for several filesystems (e.g. nfs, cifs) you might need a "
    "/sbin/mount.<type> helper program.\" >&2; echo \"       dmesg(1) may have more.\" >&2; exit 32 ;;\n"
    "nothing:*) exit 0 ;;\n"
    "silent:*) exec sleep 1000 ;;\n"
    "frozen:*) echo $$ >\"$FREEZER/cgroup.procs\"; echo FROZEN >\"$FREEZER/freezer.state\"; exec sleep 1000 ;;\n"
    "*) exec /bin/mount \"$@\" ;;\n"
    "esac\n";

static void on_attached(const char *uid, void *data)
{
    assert_string_equal(uid, POD);
    ((struct fixture *)data)->attached++;
}

static void on_removed(const char *uid, void *data)
{
    assert_string_equal(uid, POD);
    ((struct fixture *)data)->removed++;
}

static void on_done(const struct error *err, void *data)
{
    struct fixture *f = data;
    f->dones++;
    f->error = err == NULL ? (struct error){0} : *err;
}

static void open_store(struct fixture *f)
{
    char dir[80];
    snprintf(dir, sizeof dir, "%s/pods", f->dir);
    assert_int_equal(volume_store_new(&f->loop, dir, NULL, &f->s, NULL), 0);
    volume_set_events(f->s, &(struct volume_events){on_attached, on_removed}, f);
}

static void close_store(struct fixture *f)
{
    volume_store_close(f->s, NULL, NULL);
    uv_run(&f->loop, UV_RUN_DEFAULT);
}

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    char path[128];
    uv_loop_init(&f->loop);
    strcpy(f->dir, "/tmp/reeve-attach-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(path, sizeof path, "%s/bin", f->dir);
    assert_int_equal(fs_make_dirs(path, 0755, NULL), 0);
    CLEANUP_FREE char *search = xasprintf("%s:/usr/sbin:/usr/bin:/sbin:/bin", path);
    assert_int_equal(setenv("PATH", search, 1), 0);
    strcat(path, "/mount");
    assert_int_equal(fs_write_file(path, str_of(script), 0755, false, NULL), 0);
    open_store(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    unsigned before = f->dones;
    volume_force_remove_pod(f->s, POD, on_done, f);
    run_until(&f->loop, f->dones > before);
    assert_int_equal(f->error.code, 0);
    close_store(f);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    char type[32];
    assert_false(fs_mount_type(f->path, type, sizeof type)); /* nothing leaks */
    assert_int_equal(fs_remove_tree(f->dir, NULL), 0);
    free(f);
    return 0;
}
#define NEED_MOUNTS()                                                                                                  \
    if (!privileged)                                                                                                   \
    skip()

static int nfs(struct fixture *f, const char *server, struct error *err)
{
    const struct volume_nfs n = {.server = str_of(server), .path = STR("/export"), .options = "vers=4.2,soft"};
    return volume_nfs(f->s, POD, "data", &n, f->path, err);
}

static int nfs_until_it_is_over(struct fixture *f, const char *server, struct error *err)
{
    unsigned before = f->attached;
    assert_int_equal(nfs(f, server, err), ERR_BUSY);
    assert_int_equal(nfs(f, server, err), ERR_BUSY); /* no second one beside it */
    run_until(&f->loop, f->attached > before);
    return nfs(f, server, err);
}

static void remove_it(struct fixture *f, bool force)
{
    unsigned before = f->dones;
    (force ? volume_force_remove_pod : volume_remove_pod)(f->s, POD, on_done, f);
    run_until(&f->loop, f->dones > before);
}

static char *calls(struct fixture *f)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    CLEANUP_FREE char *path = xasprintf("%s/bin/calls", f->dir);
    (void)fs_read_file(path, 1 << 20, &b, NULL);
    return xstrdup(buf_cstr(&b));
}

/* ---- Servers ---- */

static void a_server_is_mounted_beside_the_loop(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    NEED_MOUNTS();
    assert_int_equal(nfs_until_it_is_over(f, "good", &err), 0);
    assert_true(fs_is_mount(f->path));
    CLEANUP_FREE char *line = calls(f);
    CLEANUP_FREE char *want = xasprintf("-t nfs -o vers=4.2,soft good:/export %s\n", f->path);
    assert_string_equal(line, want);
    close_store(f); /* another agent finds it */
    open_store(f);
    assert_int_equal(nfs(f, "good", &err), 0);
    remove_it(f, false);
    assert_int_equal(f->error.code, 0);
    assert_int_equal(f->removed, 1);
    assert_false(fs_exists(f->path));
}

static void what_cannot_be_mounted_says_why(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    NEED_MOUNTS();
    static const struct {
        const char *server, *says;
    } rows[] = {
        {"denied", "mount -t nfs: mount.nfs: access denied by server while mounting denied:/export"},
        {"nohelper", "is the package nfs-common (nfs-utils) installed on this node?"},
        {"nothing", "nothing is mounted at"},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(nfs_until_it_is_over(f, rows[i].server, &err), ERR_SYSTEM);
        if (strstr(err.message, rows[i].says) == NULL) {
            fail_msg("%s: %s", rows[i].server, err.message);
        }
        assert_null(strchr(err.message, '\n'));
    }
    assert_int_equal(nfs_until_it_is_over(f, "good", &err), 0); /* each next call tries again */
}

/* Nobody serves NFS there, and most kernels that run tests have no client. */
static void the_kernel_s_own_refusal_is_told(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    NEED_MOUNTS();
    volume_set_patience(f->s, 20000, 20000);
    assert_true(nfs_until_it_is_over(f, "127.0.0.1", &err) < 0);
    assert_non_null(strstr(err.message, "mount -t nfs"));
    char file[80];
    snprintf(file, sizeof file, "/proc/filesystems");
    CLEANUP_BUF struct buf b = BUF_INIT;
    assert_int_equal(fs_read_file(file, 1 << 20, &b, NULL), 0);
    if (strstr(buf_cstr(&b), "nfs") == NULL && !fs_exists("/sbin/mount.nfs")) {
        assert_true(strstr(err.message, "no NFS client") != NULL || strstr(err.message, "nfs-common") != NULL);
    }
}

static void a_name_that_would_be_an_option_is_refused(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    static const char *const bad[] = {"", "-oexec", "a b", "a/b", "a,b", "$(x)", "a;b"};
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(nfs(f, bad[i], &err), ERR_INVALID);
    }
    struct volume_nfs n = {.server = STR("good"), .path = STR("export"), .options = ""};
    assert_int_equal(volume_nfs(f->s, POD, "data", &n, f->path, &err), ERR_INVALID);
}

static void six_and_read_only_are_told_to_mount(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    NEED_MOUNTS();
    const struct volume_nfs n = {.server = STR("::1"), .path = STR("/x y"), .options = "", .read_only = true};
    assert_int_equal(volume_nfs(f->s, POD, "data", &n, f->path, &err), ERR_BUSY);
    run_until(&f->loop, f->attached > 0);
    CLEANUP_FREE char *line = calls(f);
    assert_true(str_starts(str_of(line), STR("-t nfs -o ro [::1]:/x y ")));
}

static void a_silent_server_is_given_up(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    NEED_MOUNTS();
    volume_set_patience(f->s, 200, 20000);
    assert_int_equal(nfs_until_it_is_over(f, "silent", &err), ERR_TIMEOUT);
    assert_non_null(strstr(err.message, "no answer from the server"));
}

static void a_pod_that_goes_ends_the_mount_that_is_under_way(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    NEED_MOUNTS();
    assert_int_equal(nfs(f, "silent", &err), ERR_BUSY);
    remove_it(f, false);
    assert_int_equal(f->error.code, 0);
    assert_false(fs_exists(f->path));
    assert_int_equal(nfs(f, "silent", &err), ERR_BUSY); /* and an agent that ends does, too */
    close_store(f);
    open_store(f);
}

/* A kernel that waits for a server lets no process go: a frozen group is as deaf. */
static void a_mount_that_the_kernel_keeps_is_told_and_ended_later(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    NEED_MOUNTS();
    snprintf(f->freezer, sizeof f->freezer, "/sys/fs/cgroup/freezer/%s", f->dir + strlen("/tmp/"));
    if (mkdir(f->freezer, 0755) != 0) {
        skip();
    }
    setenv("FREEZER", f->freezer, 1);
    CLEANUP_FREE char *state_file = xasprintf("%s/freezer.state", f->freezer);
    volume_set_patience(f->s, 100, 100);
    assert_int_equal(nfs(f, "frozen", &err), ERR_BUSY);
    run_until(&f->loop, f->attached > 0);
    assert_int_equal(nfs(f, "frozen", &err), ERR_TIMEOUT);
    assert_non_null(strstr(err.message, "the kernel still waits"));
    assert_int_equal(nfs(f, "frozen", &err), ERR_TIMEOUT);
    CLEANUP_FREE char *line = calls(f);
    assert_ptr_equal(strchr(line, '\n'), strrchr(line, '\n')); /* one, not one more each time */
    for (unsigned i = 0; i < 2; i++) {
        remove_it(f, false);
        assert_int_equal(f->error.code, ERR_TIMEOUT);
    }
    assert_int_equal(f->removed, 0);
    assert_int_equal(fs_write_value(state_file, "THAWED", &err), 0);
    run_until(&f->loop, f->removed == 1); /* by itself */
    assert_false(fs_exists(f->path));
    while (rmdir(f->freezer) != 0) {
        assert_int_equal(errno, EBUSY);
    }
}

static void a_mount_in_use_is_told_and_goes_later(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    NEED_MOUNTS();
    assert_int_equal(nfs_until_it_is_over(f, "good", &err), 0);
    CLEANUP_FREE char *file = xasprintf("%s/x", f->path);
    int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    remove_it(f, false);
    assert_int_equal(f->error.code, ERR_BUSY);
    assert_string_equal(f->error.message, "volume \"data\" is still in use and cannot be unmounted");
    assert_true(fs_exists(file));
    close(fd);
    remove_it(f, false);
    assert_int_equal(f->error.code, 0);

    assert_int_equal(nfs_until_it_is_over(f, "good", &err), 0);
    fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    remove_it(f, true);
    assert_int_equal(f->error.code, 0);
    assert_int_equal(write(fd, "x", 1), 1); /* who has it open has it */
    close(fd);
}

static void a_path_below_a_server_is_looked_for_beside_the_loop(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    char sub[VOLUME_PATH_MAX];
    NEED_MOUNTS();
    assert_int_equal(nfs_until_it_is_over(f, "good", &err), 0);
    for (unsigned attempt = 0; attempt < 2; attempt++) {
        unsigned before = f->attached;
        assert_int_equal(volume_sub_path_aside(f->s, POD, "c-0", attempt, f->path, "a/b", sub, &err), ERR_BUSY);
        run_until(&f->loop, f->attached > before);
        assert_int_equal(volume_sub_path_aside(f->s, POD, "c-0", attempt, f->path, "a/b", sub, &err), 0);
        assert_true(fs_is_mount(sub));
        assert_int_equal(volume_sub_path_aside(f->s, POD, "c-0", attempt, f->path, "a/b", sub, &err), 0);
    }
    CLEANUP_FREE char *link = xasprintf("%s/l", f->path);
    assert_int_equal(symlink("/etc", link), 0);
    unsigned before = f->attached;
    assert_int_equal(volume_sub_path_aside(f->s, POD, "c-1", 0, f->path, "l", sub, &err), ERR_BUSY);
    run_until(&f->loop, f->attached > before);
    assert_int_equal(volume_sub_path_aside(f->s, POD, "c-1", 0, f->path, "l", sub, &err), ERR_INVALID);
    remove_it(f, false); /* the bound path does not keep it */
    assert_int_equal(f->error.code, 0);
}

/* ---- Directories ---- */

static int directory_until_it_is_over(struct fixture *f, const struct volume_directory *d, struct error *err)
{
    unsigned before = f->attached;
    assert_int_equal(volume_directory(f->s, POD, "data", d, f->path, err), ERR_BUSY);
    run_until(&f->loop, f->attached > before);
    return volume_directory(f->s, POD, "data", d, f->path, err);
}

static void a_directory_must_be_there(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    char path[128];
    struct volume_directory d = {.path = "/no/such", .gid = -1};
    assert_int_equal(directory_until_it_is_over(f, &d, &err), ERR_SYSTEM);
    assert_string_equal(err.message, "path \"/no/such\" does not exist");
    d.path = "/dev/null";
    assert_int_equal(directory_until_it_is_over(f, &d, &err), ERR_INVALID);
    snprintf(path, sizeof path, "%s/bin", f->dir);
    d.path = path;
    assert_int_equal(directory_until_it_is_over(f, &d, &err), 0);
    assert_string_equal(f->path, path);
    remove_it(f, false);
    assert_true(fs_exists(path)); /* it outlives the pod */
}

static void a_path_of_a_server_is_looked_at_beside_the_loop(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    char path[128];
    snprintf(path, sizeof path, "%s/bin", f->dir);
    assert_false(fs_is_remote(path));
    assert_false(fs_is_remote("/proc"));
    static const struct {
        const char *type;
        int code;
    } rows[] = {{"File", ERR_INVALID}, {"Directory", 0}};
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        unsigned before = f->attached;
        assert_int_equal(volume_host_path_aside(f->s, POD, "data", path, rows[i].type, f->path, &err), ERR_BUSY);
        run_until(&f->loop, f->attached > before);
        assert_int_equal(volume_host_path_aside(f->s, POD, "data", path, rows[i].type, f->path, &err), rows[i].code);
    }
    assert_string_equal(f->path, path);
}

/* A file system of a program that never answers: whoever looks at it stands still, as with a server that is away. The
 * descriptor keeps it; -1: the kernel has none. */
static int mount_deaf(const char *path)
{
    char options[96];
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    assert_int_equal(fs_make_dirs(path, 0755, NULL), 0);
    snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
    if (fd >= 0 && mount("deaf", path, "fuse", 0, options) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static void a_server_that_went_away_is_not_asked_by_the_loop(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    char sub[VOLUME_PATH_MAX], volume[128];
    NEED_MOUNTS();
    snprintf(volume, sizeof volume, "%s/pods/" POD "/volumes/data", f->dir);
    int fd = mount_deaf(volume);
    if (fd < 0) {
        skip();
    }
    volume_set_patience(f->s, 100, 100);
    assert_int_equal(nfs(f, "good", &err), 0); /* mounted by an agent before this one */
    assert_string_equal(f->path, volume);
    assert_int_equal(volume_sub_path_aside(f->s, POD, "c-0", 0, f->path, "a", sub, &err), ERR_BUSY);
    remove_it(f, false);
    assert_int_equal(f->error.code, ERR_TIMEOUT);
    close(fd); /* the server is given up */
    run_until(&f->loop, f->removed == 1);
    assert_false(fs_exists(volume));
}

static void a_server_that_is_away_holds_up_its_own_pod_alone(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    char deaf[96], path[128];
    NEED_MOUNTS();
    snprintf(deaf, sizeof deaf, "%s/deaf", f->dir);
    assert_int_equal(fs_make_dirs(deaf, 0755, NULL), 0);
    int fd = mount_deaf(deaf);
    if (fd < 0) {
        skip();
    }
    snprintf(path, sizeof path, "%s/below", deaf);
    assert_true(fs_is_remote(path));
    assert_true(fs_is_remote(deaf));
    volume_set_patience(f->s, 100, 100);
    assert_int_equal(volume_host_path_aside(f->s, POD, "data", path, "Directory", f->path, &err), ERR_BUSY);
    /* another volume meanwhile */
    const struct volume_directory d = {.path = f->dir, .gid = -1};
    char other[VOLUME_PATH_MAX];
    assert_int_equal(volume_directory(f->s, POD, "other", &d, other, &err), ERR_BUSY);
    run_until(&f->loop, f->attached > 0);
    assert_int_equal(volume_directory(f->s, POD, "other", &d, other, &err), 0);
    assert_int_equal(volume_host_path_aside(f->s, POD, "data", path, "Directory", f->path, &err), ERR_BUSY);
    remove_it(f, false);
    assert_int_equal(f->error.code, ERR_TIMEOUT);
    assert_non_null(strstr(f->error.message, "the kernel still waits for its server"));
    close(fd); /* the server is given up */
    run_until(&f->loop, f->removed == 1);
    assert_int_equal(umount2(deaf, MNT_DETACH), 0);
}

static void assert_owned(const char *dir, const char *name, gid_t gid, mode_t mode)
{
    CLEANUP_FREE char *path = xasprintf("%s/%s", dir, name);
    struct stat st;
    assert_int_equal(lstat(path, &st), 0);
    if (st.st_gid != gid || (st.st_mode & 07777) != mode) {
        fail_msg("%s: group %u, mode %o", name, st.st_gid, st.st_mode & 07777);
    }
}

static void a_volume_is_given_to_its_group(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    char dir[128], path[192];
    if (geteuid() != 0) {
        skip();
    }
    snprintf(dir, sizeof dir, "%s/volume", f->dir);
    snprintf(path, sizeof path, "%s/a/b", dir);
    assert_int_equal(fs_make_dirs(path, 0750, NULL), 0);
    strcat(path, "/file");
    assert_int_equal(fs_write_file(path, STR("x"), 0640, false, NULL), 0);
    snprintf(path, sizeof path, "%s/bin/untouched", f->dir);
    assert_int_equal(fs_write_file(path, STR("x"), 0600, false, NULL), 0);
    CLEANUP_FREE char *link = xasprintf("%s/a/link", dir);
    assert_int_equal(symlink(path, link), 0);
    const struct volume_directory d = {.path = dir, .gid = 4321};
    assert_int_equal(directory_until_it_is_over(f, &d, &err), 0);
    assert_owned(dir, ".", 4321, 02770);
    assert_owned(dir, "a", 4321, 02770);
    assert_owned(dir, "a/b/file", 4321, 0660);
    assert_owned(f->dir, "bin/untouched", 0, 0600);

    /* OnRootMismatch: the top is as it should be, so nothing below is looked at */
    remove_it(f, false);
    CLEANUP_FREE char *file = xasprintf("%s/a/b/file", dir);
    assert_int_equal(chown(file, 0, 0), 0);
    struct volume_directory quick = d;
    quick.on_mismatch = true;
    assert_int_equal(directory_until_it_is_over(f, &quick, &err), 0);
    assert_owned(dir, "a/b/file", 0, 0660);
    remove_it(f, false);
    assert_int_equal(chmod(dir, 0770), 0);
    assert_int_equal(directory_until_it_is_over(f, &quick, &err), 0);
    assert_owned(dir, "a/b/file", 4321, 0660);
}

static void a_pod_that_goes_ends_what_takes_long(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    char dir[128], path[192];
    if (geteuid() != 0) {
        skip();
    }
    snprintf(dir, sizeof dir, "%s/volume", f->dir);
    assert_int_equal(fs_make_dirs(dir, 0750, NULL), 0);
    for (unsigned i = 0; i < 20000; i++) {
        snprintf(path, sizeof path, "%s/%u", dir, i);
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        close(fd);
    }
    const struct volume_directory d = {.path = dir, .gid = 4321};
    assert_int_equal(volume_directory(f->s, POD, "data", &d, f->path, &err), ERR_BUSY);
    remove_it(f, false);
    assert_int_equal(f->error.code, 0);
    assert_owned(f->dir, "volume", 0, 0750); /* the top comes last: the next pod begins anew */
    assert_int_equal(directory_until_it_is_over(f, &d, &err), 0);
    assert_owned(dir, "19999", 4321, 0660);
}

static void what_is_too_deep_is_told(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    CLEANUP_BUF struct buf path = BUF_INIT;
    if (geteuid() != 0) {
        skip();
    }
    buf_printf(&path, "%s/volume", f->dir);
    CLEANUP_FREE char *dir = xstrdup(buf_cstr(&path));
    for (unsigned i = 0; i < 300; i++) {
        buf_puts(&path, "/d");
    }
    assert_int_equal(fs_make_dirs(buf_cstr(&path), 0755, NULL), 0);
    const struct volume_directory d = {.path = dir, .gid = 4321};
    assert_int_equal(directory_until_it_is_over(f, &d, &err), ERR_LIMIT);
    assert_non_null(strstr(err.message, "directories in one another"));
}

static void notes_go_with_the_volumes(void **state)
{
    struct fixture *f = *state;
    char name[256];
    unsigned cursor = 0;
    CLEANUP_BUF struct buf b = BUF_INIT;
    assert_int_equal(volume_write_note(f->s, POD, "data", STR("one"), NULL), 0);
    assert_int_equal(volume_write_note(f->s, POD, "data", STR("two"), NULL), 0);
    assert_true(volume_next_note(f->s, POD, &cursor, name, &b));
    assert_string_equal(name, "data");
    assert_string_equal(buf_cstr(&b), "two");
    assert_false(volume_next_note(f->s, POD, &cursor, name, &b));
    remove_it(f, false);
    cursor = 0;
    assert_false(volume_next_note(f->s, POD, &cursor, name, &b));
}

int main(void)
{
    privileged = geteuid() == 0 && unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_server_is_mounted_beside_the_loop, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_mounted_says_why, setup, teardown),
        cmocka_unit_test_setup_teardown(the_kernel_s_own_refusal_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(a_name_that_would_be_an_option_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(six_and_read_only_are_told_to_mount, setup, teardown),
        cmocka_unit_test_setup_teardown(a_silent_server_is_given_up, setup, teardown),
        cmocka_unit_test_setup_teardown(a_pod_that_goes_ends_the_mount_that_is_under_way, setup, teardown),
        cmocka_unit_test_setup_teardown(a_mount_that_the_kernel_keeps_is_told_and_ended_later, setup, teardown),
        cmocka_unit_test_setup_teardown(a_mount_in_use_is_told_and_goes_later, setup, teardown),
        cmocka_unit_test_setup_teardown(a_path_below_a_server_is_looked_for_beside_the_loop, setup, teardown),
        cmocka_unit_test_setup_teardown(a_directory_must_be_there, setup, teardown),
        cmocka_unit_test_setup_teardown(a_path_of_a_server_is_looked_at_beside_the_loop, setup, teardown),
        cmocka_unit_test_setup_teardown(a_server_that_went_away_is_not_asked_by_the_loop, setup, teardown),
        cmocka_unit_test_setup_teardown(a_server_that_is_away_holds_up_its_own_pod_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(a_volume_is_given_to_its_group, setup, teardown),
        cmocka_unit_test_setup_teardown(a_pod_that_goes_ends_what_takes_long, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_too_deep_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(notes_go_with_the_volumes, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
