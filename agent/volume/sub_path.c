/* What a container mounts of a volume, if it is not just the volume: a path below it, and owners that are shifted.
 *
 * Everything below a volume is the pods' to change, at any moment, from the question whether a path leads out until the
 * mount. So paths are not looked at and then mounted: the kernel resolves them from the volume's own directory and
 * refuses whatever leaves it (openat2, RESOLVE_BENEATH), and what is mounted is the descriptor that came of it. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/util/fsutil.h"
#include "agent/util/userns.h"
#include "agent/volume/volume_int.h"
#include "base/failpoint.h"

#define TRIES 16u /* the kernel could not be sure where ".." of a link led, as something was renamed meanwhile */

static int open_beneath(int root_fd, const char *path, int flags, uint64_t more)
{
    struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC),
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | more};
    for (unsigned tries = 0;; tries++) {
        long fd = syscall(SYS_openat2, root_fd, path, &how, sizeof how);
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR) || tries == TRIES) {
            return (int)fd;
        }
    }
}

/* One directory in a directory, with the mode that is wanted whatever the umask is. */
static int make_one(int dir, const char *name, mode_t mode)
{
    if (mkdirat(dir, name, mode) != 0) {
        return errno == EEXIST ? 0 : -errno;
    }
    CLEANUP_CLOSE int fd = open_beneath(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, RESOLVE_NO_SYMLINKS);
    return fd >= 0 && fchmod(fd, mode) != 0 ? -errno : 0;
}

/* The directories of path that are missing; each prefix is opened anew from the top, as the pod may move what was just
 * made. -1 with errno. */
static int make_beneath(int root_fd, const char *path, mode_t mode)
{
    CLEANUP_FREE char *p = xstrdup(path);
    int dir = open_beneath(root_fd, ".", O_PATH | O_DIRECTORY, 0);
    for (char *at = p; dir >= 0 && *at != '\0';) {
        size_t n = strcspn(at, "/");
        char end = at[n];
        at[n] = '\0';
        if (n > 0) {
            CLEANUP_CLOSE int parent = dir;
            dir = open_beneath(root_fd, p, O_PATH | O_DIRECTORY, 0);
            if (dir < 0 && errno == ENOENT) {
                int rc = make_one(parent, at, mode);
                errno = -rc;
                dir = rc == 0 ? open_beneath(root_fd, p, O_PATH | O_DIRECTORY, 0) : -1;
            }
        }
        at[n] = end;
        at += n + (end != '\0');
    }
    return dir;
}

/* Opens sub_path inside of the volume. What is missing is made as the volume's own directory is: who may write there
 * may write here. */
static int open_sub_path(int root_fd, const char *sub_path, bool make, int *fd, struct error *err)
{
    struct stat st;
    *fd = open_beneath(root_fd, sub_path, O_PATH, 0);
    if (*fd < 0 && errno == ENOENT && make && fstat(root_fd, &st) == 0) {
        *fd = make_beneath(root_fd, sub_path, st.st_mode & 07777);
    }
    if (*fd >= 0) {
        return 0;
    }
    return errno == EXDEV ? error_set(err, ERR_INVALID, "subPath \"%s\" leads out of the volume", sub_path)
                          : error_set_errno(err, errno, "cannot use subPath \"%s\" of the volume", sub_path);
}

static bool has_dot_dot(const char *path)
{
    for (const char *c = path; c != NULL; c = strchr(c, '/'), c = c == NULL ? NULL : c + 1) {
        if (c[0] == '.' && c[1] == '.' && (c[2] == '/' || c[2] == '\0')) {
            return true;
        }
    }
    return false;
}

/* A former mount is replaced: the container starts anew and what the path leads to may have changed. */
static int make_place(const char *path, bool directory, struct error *err)
{
    int rc = fs_unmount_below(path, err);
    rc = rc != 0 ? rc : fs_remove_tree(path, err);
    rc = rc != 0 ? rc : fs_make_parent(path, 0700, err);
    return rc != 0 ? rc : directory ? fs_make_dirs(path, 0700, err) : fs_write_file(path, STR_NONE, 0600, false, err);
}

int volume_sub_path(struct volume_store *s, const char *uid, const char *key, const char *volume_path,
                    const char *sub_path, bool read_only_source, char path[VOLUME_PATH_MAX], struct error *err)
{
    struct stat st;
    char source[64];
    assert(volume_name_is_safe(uid) && volume_name_is_safe(key));
    if (sub_path[0] == '/' || has_dot_dot(sub_path)) {
        return error_set(err, ERR_INVALID, "subPath \"%s\" must be relative and without \"..\"", sub_path);
    }
    if (sub_path[0] == '\0') { /* an expression of empty variables */
        sub_path = ".";
    }
    fs_path(path, VOLUME_PATH_MAX, "%s/%s/subpaths/%s", s->hollow ? "/hollow" : s->dir, uid, key);
    if (s->hollow) {
        return 0;
    }
    CLEANUP_CLOSE int root_fd = open(volume_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0) {
        return error_set_errno(err, errno, "cannot open the volume %s", volume_path);
    }
    CLEANUP_CLOSE int fd = -1;
    int rc = open_sub_path(root_fd, sub_path, !read_only_source, &fd, err);
    if (rc != 0) {
        return rc;
    }
    if (fstat(fd, &st) != 0) {
        return error_set_errno(err, errno, "cannot look at subPath \"%s\"", sub_path);
    }
    rc = make_place(path, S_ISDIR(st.st_mode), err);
    failpoint(FAILPOINT_sub_path_before_mount);
    /* Through the descriptor: nothing a container renames now can change what is bound. */
    snprintf(source, sizeof source, "/proc/thread-self/fd/%d", fd);
    return rc != 0 ? rc : fs_mount(source, path, NULL, MS_BIND | MS_REC, NULL, err);
}

int volume_shift(struct volume_store *s, const char *uid, const char *key, const char *source,
                 const char *user_namespace, bool recursive, char path[VOLUME_PATH_MAX], struct error *err)
{
    struct stat st;
    assert(volume_name_is_safe(uid) && volume_name_is_safe(key));
    fs_path(path, VOLUME_PATH_MAX, "%s/%s/shifted/%s", s->hollow ? "/hollow" : s->dir, uid, key);
    if (s->hollow) {
        return 0;
    }
    CLEANUP_CLOSE int fd = open(user_namespace, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || stat(source, &st) != 0) {
        return error_set_errno(err, errno, "cannot open %s", fd < 0 ? user_namespace : source);
    }
    int rc = make_place(path, S_ISDIR(st.st_mode), err);
    return rc != 0 ? rc : userns_mount(fd, source, path, recursive, err);
}
