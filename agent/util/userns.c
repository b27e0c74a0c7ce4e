#include "agent/util/userns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/util/fsutil.h"
#include "base/mem.h"

/* A process with threads cannot enter a user namespace, so a child makes it, and what belongs to it, and waits until
 * both are held elsewhere. */

/* ---- The child: between fork and its end, so system calls only ---- */

/* What the kernel counts by user and by namespace (inotify, message queues, pending signals) it counts for the
 * namespace's owner as well, one level up: that is a user of the node that only this pod has. The capabilities stay
 * until then, for kernels that ask for them. */
static bool become_owner(uint32_t first)
{
    return prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0) == 0 && setresgid(first, first, first) == 0 &&
           setresuid(first, first, first) == 0;
}

static void __attribute__((noreturn)) child(uint32_t first, int flags, int go_fd, int said_fd)
{
    char c = 'x';
    if (!become_owner(first) || unshare(CLONE_NEWUSER) != 0 || write(said_fd, &c, 1) != 1 || read(go_fd, &c, 1) != 1) {
        _exit(1);
    }
    /* The numbers are there now: what is made from here on belongs to root of the namespace. */
    if (setresgid(0, 0, 0) != 0 || setresuid(0, 0, 0) != 0 || unshare(flags) != 0 || write(said_fd, &c, 1) != 1) {
        _exit(2);
    }
    _exit(read(go_fd, &c, 1) < 0 ? 3 : 0); /* until the parent closes it, or is gone */
}

/* ---- The parent ---- */

static bool heard(int fd)
{
    char c;
    ssize_t n;
    do {
        n = read(fd, &c, 1);
    } while (n < 0 && errno == EINTR);
    return n == 1;
}

static int write_maps(int pid, uint32_t first, struct error *err)
{
    static const char *const files[] = {"uid_map", "gid_map"};
    char path[64], line[64];
    int rc = 0;
    snprintf(line, sizeof line, "0 %u %u", first, USERNS_IDS);
    for (unsigned i = 0; i < ARRAY_SIZE(files) && rc == 0; i++) {
        snprintf(path, sizeof path, "/proc/%d/%s", pid, files[i]);
        rc = fs_write_value(path, line, err);
    }
    return rc;
}

static int bind_to(int pid, const char *file, struct error *err)
{
    char source[64];
    snprintf(source, sizeof source, "/proc/%d/ns/user", pid);
    CLEANUP_CLOSE int fd = open(file, O_RDONLY | O_CREAT | O_CLOEXEC, 0444);
    return fd < 0 ? error_set_errno(err, errno, "cannot create %s", file)
                  : fs_mount(source, file, NULL, MS_BIND, NULL, err);
}

static int follow(int pid, int flags, struct error *err)
{
    static const struct {
        int flag;
        const char *name;
    } kinds[] = {{CLONE_NEWNET, "net"}, {CLONE_NEWUTS, "uts"}, {CLONE_NEWIPC, "ipc"}};
    char path[64];
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        snprintf(path, sizeof path, "/proc/%d/ns/%s", pid, kinds[i].name);
        CLEANUP_CLOSE int fd = (flags & kinds[i].flag) == 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC);
        if ((flags & kinds[i].flag) != 0 && (fd < 0 || setns(fd, kinds[i].flag) != 0)) {
            return error_set_errno(err, errno, "cannot enter the pod's %s namespace", kinds[i].name);
        }
    }
    return 0;
}

int userns_make(uint32_t first, int flags, const char *file, struct error *err)
{
    int go[2] = {-1, -1}, said[2] = {-1, -1};
    pid_t pid = -1;
    if (pipe2(go, O_CLOEXEC) != 0 || pipe2(said, O_CLOEXEC) != 0 || (pid = fork()) < 0) {
        int e = errno;
        for (unsigned i = 0; i < 2; i++) {
            close(go[i]);
            close(said[i]);
        }
        return error_set_errno(err, e, "cannot make a user namespace for the pod");
    }
    if (pid == 0) {
        close(go[1]);
        child(first, flags, go[0], said[1]);
    }
    close(go[0]);
    close(said[1]);
    int rc = heard(said[0]) ? 0
                            : error_set(err, ERR_UNSUPPORTED,
                                        "this kernel makes no more user namespaces, or none at all "
                                        "(user.max_user_namespaces, CONFIG_USER_NS)");
    rc = rc != 0 ? rc : write_maps(pid, first, err);
    rc = rc != 0 || write(go[1], "g", 1) == 1 ? rc : error_set_errno(err, errno, "user namespace");
    rc = rc != 0 || heard(said[0]) ? rc
                                   : error_set(err, ERR_SYSTEM, "cannot make namespaces in the pod's user namespace");
    rc = rc != 0 ? rc : bind_to(pid, file, err);
    rc = rc != 0 ? rc : follow(pid, flags, err);
    kill(pid, SIGKILL);
    close(go[1]);
    close(said[0]);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
    return rc;
}

int userns_mount(int userns_fd, const char *source, const char *target, bool recursive, struct error *err)
{
    unsigned below = recursive ? AT_RECURSIVE : 0;
    struct mount_attr attr = {
        .attr_set = MOUNT_ATTR_IDMAP, .propagation = MS_SLAVE, .userns_fd = (uint64_t)(unsigned)userns_fd};
    CLEANUP_CLOSE int fd = open_tree(AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | below);
    if (fd < 0) {
        return error_set_errno(err, errno, "cannot open %s", source);
    }
    if (mount_setattr(fd, "", AT_EMPTY_PATH | below, &attr, sizeof attr) != 0) {
        return errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP
                   ? error_set(err, ERR_UNSUPPORTED,
                               "the kernel cannot shift the owners of what lies on the file system of %s (an idmapped "
                               "mount)",
                               source)
                   : error_set_errno(err, errno, "cannot shift the owners of %s", source);
    }
    return move_mount(fd, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) == 0
               ? 0
               : error_set_errno(err, errno, "cannot mount %s on %s", source, target);
}

/* ---- Probe ---- */

/* crun goes to a container's root file system as root of the pod, who is nobody on the node. */
static int check_way(const char *dir, struct error *err)
{
    char path[FS_PATH_MAX];
    struct stat st;
    for (size_t n = 1; dir[n] != '\0'; n++) {
        if (dir[n] == '/') {
            fs_path(path, sizeof path, "%.*s", (int)n, dir);
            if (stat(path, &st) != 0 || (st.st_mode & S_IXOTH) == 0) {
                return error_set(err, ERR_UNSUPPORTED, "nobody but its owner may pass %s", path);
            }
        }
    }
    return 0;
}

static int check_owner(const char *path, uint32_t first, struct error *err)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        return error_set_errno(err, errno, "cannot look at %s", path);
    }
    return st.st_uid == first && st.st_gid == first
               ? 0
               : error_set(err, ERR_UNSUPPORTED, "the kernel does not shift the owner of %s", path);
}

/* A layer of an image, shifted, below an overlay. */
static int try_overlay(int userns_fd, const char *dir, uint32_t first, struct error *err)
{
    static const char *const parts[] = {"lower/file", "shifted", "upper", "work", "merged"};
    char path[FS_PATH_MAX], source[FS_PATH_MAX];
    CLEANUP_BUF struct buf options = BUF_INIT;
    int rc = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(parts) && rc == 0; i++) {
        fs_path(path, sizeof path, "%s/%s", dir, parts[i]);
        rc = fs_make_dirs(path, 0700, err);
    }
    fs_path(source, sizeof source, "%s/lower", dir);
    fs_path(path, sizeof path, "%s/shifted", dir);
    rc = rc != 0 ? rc : userns_mount(userns_fd, source, path, false, err);
    if (rc != 0) {
        return rc;
    }
    buf_printf(&options, "lowerdir=%s/shifted,upperdir=%s/upper,workdir=%s/work", dir, dir, dir);
    fs_path(path, sizeof path, "%s/merged", dir);
    rc = fs_mount("overlay", path, "overlay", MS_NODEV, buf_cstr(&options), err);
    fs_path(path, sizeof path, "%s/merged/file", dir);
    return rc != 0 ? ERR_UNSUPPORTED : check_owner(path, first, err);
}

static int try_tmpfs(int userns_fd, const char *dir, uint32_t first, struct error *err)
{
    char source[FS_PATH_MAX], target[FS_PATH_MAX];
    fs_path(source, sizeof source, "%s/secret", dir);
    fs_path(target, sizeof target, "%s/secret-shifted", dir);
    int rc = fs_make_dirs(source, 0700, err);
    rc = rc != 0 ? rc : fs_make_dirs(target, 0700, err);
    rc = rc != 0 ? rc : fs_mount("probe", source, "tmpfs", MS_NOSUID | MS_NODEV, "size=64k,mode=0700", err);
    rc = rc != 0 ? rc : userns_mount(userns_fd, source, target, false, err);
    return rc != 0 ? rc : check_owner(target, first, err);
}

int userns_probe(const char *disk_dir, const char *run_dir, uint32_t first, struct error *err)
{
    char dir[FS_PATH_MAX], file[FS_PATH_MAX];
    fs_path(dir, sizeof dir, "%s/userns-probe", disk_dir);
    fs_path(file, sizeof file, "%s/userns-probe", run_dir);
    int rc = check_way(disk_dir, err);
    rc = rc != 0 ? rc : fs_unmount_below(dir, err); /* of one that was cut off */
    rc = rc != 0 ? rc : fs_remove_tree(dir, err);
    rc = rc != 0 ? rc : fs_unmount_below(file, err);
    rc = rc != 0 ? rc : fs_make_dirs(dir, 0700, err);
    rc = rc != 0 ? rc : userns_make(first, 0, file, err);
    CLEANUP_CLOSE int fd = rc != 0 ? -1 : open(file, O_RDONLY | O_CLOEXEC);
    rc = rc != 0 || fd >= 0 ? rc : error_set_errno(err, errno, "cannot open %s", file);
    rc = rc != 0 ? rc : try_overlay(fd, dir, first, err);
    rc = rc != 0 ? rc : try_tmpfs(fd, dir, first, err);
    fs_unmount_below(dir, NULL);
    fs_remove_tree(dir, NULL);
    fs_unmount_below(file, NULL);
    unlink(file);
    return rc;
}
