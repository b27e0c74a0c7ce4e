#include "agent/volume/ownership.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

/* Pods may be using the volume meanwhile: everything is done to descriptors, never to paths. */
struct walk {
    gid_t gid;
    dev_t dev;
    atomic_bool *cancel;
};

static mode_t wanted(const struct stat *st)
{
    mode_t mode = st->st_mode & 07777;
    return S_ISDIR(st->st_mode) ? mode | S_ISGID | 0770 : mode | 0660;
}

/* fd: O_PATH, or any other. */
static int give_one(const struct walk *w, int fd, const struct stat *st)
{
    char self[64];
    if (st->st_gid != w->gid && fchownat(fd, "", (uid_t)-1, w->gid, AT_EMPTY_PATH) != 0) {
        return -errno;
    }
    mode_t mode = wanted(st);
    if (S_ISLNK(st->st_mode) || (mode == (st->st_mode & 07777) && st->st_gid == w->gid)) {
        return 0;
    }
    snprintf(self, sizeof self, "/proc/thread-self/fd/%d", fd);
    return chmod(self, mode) == 0 ? 0 : -errno;
}

static int give_below(const struct walk *w, int fd, unsigned depth);

static int give_entry(const struct walk *w, int dir, const char *name, unsigned depth)
{
    struct stat st;
    CLEANUP_CLOSE int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        return errno == ENOENT ? 0 : -errno;
    }
    if (st.st_dev != w->dev) {
        return 0;
    }
    int rc = give_one(w, fd, &st);
    if (rc != 0 || !S_ISDIR(st.st_mode)) {
        return rc;
    }
    int sub = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return sub < 0 ? -errno : give_below(w, sub, depth + 1);
}

/* fd is consumed. */
static int give_below(const struct walk *w, int fd, unsigned depth)
{
    int rc = 0;
    DIR *d = fdopendir(fd);
    if (d == NULL) {
        close(fd);
        return -errno;
    }
    if (depth > OWNERSHIP_DEPTH_MAX) {
        closedir(d);
        return -ELOOP;
    }
    for (struct dirent *e; rc == 0 && (e = readdir(d)) != NULL;) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            rc = atomic_load(w->cancel) ? -ECANCELED : give_entry(w, dirfd(d), e->d_name, depth);
        }
    }
    closedir(d);
    return rc;
}

int ownership_give(int fd, int64_t gid, bool on_mismatch, atomic_bool *cancel, struct error *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return error_set_errno(err, errno, "cannot look at the volume");
    }
    struct walk w = {.gid = (gid_t)gid, .dev = st.st_dev, .cancel = cancel};
    if (on_mismatch && st.st_gid == w.gid && wanted(&st) == (st.st_mode & 07777)) {
        return 0;
    }
    /* The top last: with OnRootMismatch it tells that all was done. */
    int sub = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = sub < 0 ? -errno : give_below(&w, sub, 1);
    rc = rc != 0 ? rc : give_one(&w, fd, &st);
    return rc == 0            ? 0
           : rc == -ECANCELED ? error_set(err, ERR_CANCELED, "the pod goes")
           : rc == -ELOOP ? error_set(err, ERR_LIMIT, "fsGroup: the volume has more than %u directories in one another",
                                      OWNERSHIP_DEPTH_MAX)
                          : error_set_errno(err, -rc, "fsGroup: the volume cannot be given to group %" PRId64, gid);
}
