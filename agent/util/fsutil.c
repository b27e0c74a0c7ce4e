#include "agent/util/fsutil.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"

void fs_path(char *out, size_t size, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(out, size, fmt, ap);
    va_end(ap);
    assert(n >= 0 && (size_t)n < size);
}

bool fs_exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static ssize_t read_some(int fd, void *p, size_t n)
{
    ssize_t got;
    do {
        got = read(fd, p, n);
    } while (got < 0 && errno == EINTR);
    return got;
}

static int write_all(int fd, const void *p, size_t n)
{
    const uint8_t *at = p;
    while (n > 0) {
        ssize_t put = write(fd, at, n);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0) {
            return -errno;
        }
        at += put;
        n -= (size_t)put;
    }
    return 0;
}

/* fd is a regular file of which more than max_bytes are not wanted. */
static int read_regular(int fd, const char *path, size_t max_bytes, struct buf *out, struct error *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return error_set_errno(err, errno, "cannot look at %s", path);
    }
    if (!S_ISREG(st.st_mode)) {
        return error_set(err, ERR_INVALID, "%s is not a regular file", path);
    }
    /* Virtual files have size 0 and content. */
    size_t start = out->size;
    ssize_t n = 0;
    while (st.st_size <= (off_t)max_bytes && out->size - start <= max_bytes) {
        uint8_t *at = buf_reserve(out, 16384);
        n = read_some(fd, at, 16384);
        if (n <= 0) {
            return n == 0 ? 0 : error_set_errno(err, errno, "cannot read %s", path);
        }
        out->size += (size_t)n;
    }
    return error_set(err, ERR_TOO_LARGE, "%s is larger than %zu bytes", path, max_bytes);
}

int fs_read_file(const char *path, size_t max_bytes, struct buf *out, struct error *err)
{
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        return error_set_errno(err, errno, "cannot open %s", path);
    }
    return read_regular(fd, path, max_bytes, out, err);
}

bool fs_read_line(const char *path, char *out, size_t size)
{
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert(size > 0);
    out[0] = '\0';
    if (fd < 0) {
        return false;
    }
    ssize_t n = read_some(fd, out, size - 1);
    if (n < 0) {
        return false;
    }
    out[n] = '\0';
    out[strcspn(out, "\n")] = '\0';
    return true;
}

bool fs_is_leftover(const char *name)
{
    return strstr(name, ".tmp.") != NULL;
}

/* A file without a name, in the directory of path. Where the file system has none (-EOPNOTSUPP, -EISDIR): one with the
 * name tmp. */
static int open_new(const char *path, const char *tmp, mode_t mode, bool *named)
{
    CLEANUP_FREE char *dir = xstrdup(path);
    char *slash = strrchr(dir, '/');
    if (slash != NULL) {
        slash[slash == dir ? 1 : 0] = '\0';
    }
    int fd = open(slash == NULL ? "." : dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, mode);
    *named = fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR);
    return *named ? open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode) : fd;
}

/* What is whole gets its name. Where another file has it, tmp is in between: for a moment, since a process that is
 * killed there leaves it behind. */
static int name_it(int fd, const char *path, const char *tmp, bool named)
{
    char self[32];
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    if (!named) {
        if (linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0) {
            return 0;
        }
        if (errno != EEXIST) {
            return -errno;
        }
        unlink(tmp);
        if (linkat(AT_FDCWD, self, AT_FDCWD, tmp, AT_SYMLINK_FOLLOW) != 0) {
            return -errno;
        }
    }
    return rename(tmp, path) == 0 ? 0 : -errno;
}

int fs_write_file(const char *path, struct str content, mode_t mode, bool sync, struct error *err)
{
    CLEANUP_FREE char *tmp = xasprintf("%s.tmp.%d", path, (int)gettid());
    bool named;
    CLEANUP_CLOSE int fd = open_new(path, tmp, mode, &named);
    if (fd < 0) {
        return error_set_errno(err, errno, "cannot create %s", path);
    }
    int rc = write_all(fd, content.p, content.n);
    if (rc == 0 && fchmod(fd, mode) != 0) {
        rc = -errno;
    }
    if (rc == 0 && sync && fsync(fd) != 0) {
        rc = -errno;
    }
    if (rc == 0) {
        rc = name_it(fd, path, tmp, named);
    }
    if (rc != 0) {
        unlink(tmp);
        return error_set_errno(err, -rc, "cannot write %s", path);
    }
    if (sync) {
        rc = fs_sync_parent(path);
        if (rc != 0) {
            return error_set_errno(err, -rc, "cannot sync the directory of %s", path);
        }
    }
    return 0;
}

int fs_write_value(const char *path, const char *text, struct error *err)
{
    CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return error_set_errno(err, errno, "cannot open %s", path);
    }
    ssize_t n;
    do {
        n = write(fd, text, strlen(text));
    } while (n < 0 && errno == EINTR);
    return n < 0 ? error_set_errno(err, errno, "cannot write \"%s\" to %s", text, path) : 0;
}

int fs_make_dirs(const char *path, mode_t mode, struct error *err)
{
    CLEANUP_FREE char *p = xstrdup(path);
    for (char *s = p + 1;; s++) {
        if (*s != '/' && *s != '\0') {
            continue;
        }
        char end = *s;
        *s = '\0';
        if (mkdir(p, mode) == 0) {
            (void)chmod(p, mode); /* whatever the umask is */
        } else if (errno != EEXIST) {
            return error_set_errno(err, errno, "cannot make the directory %s", p);
        }
        if (end == '\0') {
            break;
        }
        *s = end;
    }
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
        return error_set_errno(err, ENOTDIR, "cannot make the directory %s", path);
    }
    return 0;
}

int fs_make_private_dir(const char *path, struct error *err)
{
    int rc = fs_make_dirs(path, 0700, err);
    return rc != 0 || chmod(path, 0700) == 0 ? rc : error_set_errno(err, errno, "cannot chmod %s", path);
}

static bool is_empty(const char *path)
{
    bool empty = true;
    DIR *d = opendir(path);
    for (struct dirent *e; d != NULL && empty && (e = readdir(d)) != NULL;) {
        empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
    }
    if (d != NULL) {
        closedir(d);
    }
    return empty;
}

int fs_make_ram_dir(const char *path, uint64_t size_bytes, struct error *err)
{
    char options[64];
    struct statfs fs;
    int rc = fs_make_private_dir(path, err);
    if (rc != 0 || (statfs(path, &fs) == 0 && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC))) {
        return rc;
    }
    if (!is_empty(path)) {
        return error_set(err, ERR_BUSY, "%s lies on a disk and is not empty", path);
    }
    snprintf(options, sizeof options, "mode=0700,size=%llu", (unsigned long long)size_bytes);
    return fs_mount("reeve", path, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options, err);
}

int fs_make_parent(const char *path, mode_t mode, struct error *err)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL || slash == path) {
        return 0;
    }
    CLEANUP_FREE char *dir = xstrndup(path, (size_t)(slash - path));
    return fs_make_dirs(dir, mode, err);
}

/* Descriptors that a deletion holds at once. What lies deeper is moved up to the top of the tree, where it is come to
 * later: a pod makes its directories as deep as it likes. */
#define REMOVE_DEPTH_MAX 32u

struct removal {
    int top;
    unsigned moved; /* names that were tried */
    bool again;     /* something was moved up */
};

static int move_up(struct removal *r, int dir, const char *name)
{
    char above[32];
    int rc;
    do {
        snprintf(above, sizeof above, ".deep-%u", r->moved++);
        rc = renameat2(dir, name, r->top, above, RENAME_NOREPLACE) == 0 ? 0 : -errno;
    } while (rc == -EEXIST);
    r->again = r->again || rc == 0;
    return rc;
}

static int remove_children(struct removal *r, int fd, unsigned depth);

static int remove_dir(struct removal *r, int dir, const char *name, unsigned depth)
{
    if (unlinkat(dir, name, AT_REMOVEDIR) == 0) {
        return 0;
    }
    if (depth == 0) {
        return move_up(r, dir, name);
    }
    /* Not into a mount, also one of the same file system. */
    struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, .resolve = RESOLVE_NO_XDEV};
    int sub = (int)syscall(SYS_openat2, dir, name, &how, sizeof how);
    if (sub < 0) {
        return errno == EXDEV ? -EBUSY : -errno;
    }
    int rc = remove_children(r, sub, depth - 1);
    return rc == 0 && unlinkat(dir, name, AT_REMOVEDIR) != 0 ? -errno : rc;
}

/* Empties the directory behind fd (consumed). */
static int remove_children(struct removal *r, int fd, unsigned depth)
{
    int first = 0;
    DIR *d = fdopendir(fd);
    if (d == NULL) {
        close(fd);
        return -errno;
    }
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) {
            continue;
        }
        if (unlinkat(dirfd(d), e->d_name, 0) == 0 || errno == ENOENT) {
            continue;
        }
        int rc = -errno;
        if (rc == -EISDIR || rc == -EPERM) {
            rc = remove_dir(r, dirfd(d), e->d_name, depth);
        }
        first = first != 0 ? first : rc;
    }
    closedir(d);
    return first;
}

static int empty_top(struct removal *r)
{
    int rc;
    do {
        int fd = openat(r->top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        r->again = false;
        rc = fd < 0 ? -errno : remove_children(r, fd, REMOVE_DEPTH_MAX);
    } while (rc == 0 && r->again);
    return rc;
}

int fs_remove_tree(const char *path, struct error *err)
{
    if (unlink(path) == 0 || errno == ENOENT) {
        return 0;
    }
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return error_set_errno(err, errno, "cannot delete %s", path);
    }
    struct removal r = {.top = fd};
    int rc = empty_top(&r);
    if (rc == 0 && rmdir(path) != 0) {
        rc = -errno;
    }
    return rc == 0 ? 0 : error_set_errno(err, -rc, "cannot delete %s", path);
}

int fs_open_in_root(int root_fd, const char *path, int flags, mode_t mode)
{
    struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC),
                           .mode = (flags & O_CREAT) != 0 ? mode : 0,
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    for (unsigned tries = 0;; tries++) {
        long fd = syscall(SYS_openat2, root_fd, path, &how, sizeof how);
        /* EAGAIN: something was renamed meanwhile and the kernel could not be sure. */
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR) || tries == 16) {
            return (int)fd;
        }
    }
}

int fs_read_in_root(int root_fd, const char *path, size_t max_bytes, struct buf *out, struct error *err)
{
    char again[64];
    struct stat st;
    /* First without opening what it is: a device may act on being opened. */
    CLEANUP_CLOSE int at = fs_open_in_root(root_fd, path, O_PATH, 0);
    if (at < 0) {
        bool absent = errno == ENOENT || errno == ENOTDIR;
        return absent ? error_set(err, ERR_NOT_FOUND, "%s is not there", path)
                      : error_set_errno(err, errno, "%s cannot be opened", path);
    }
    if (fstat(at, &st) != 0 || !S_ISREG(st.st_mode)) {
        return error_set(err, ERR_INVALID, "%s is not a regular file", path);
    }
    snprintf(again, sizeof again, "/proc/thread-self/fd/%d", at);
    CLEANUP_CLOSE int fd = open(again, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    return fd < 0 ? error_set_errno(err, errno, "%s cannot be opened", path)
                  : read_regular(fd, path, max_bytes, out, err);
}

int fs_make_dirs_in_root(int root_fd, const char *path, mode_t mode)
{
    int dir = fs_open_in_root(root_fd, path, O_PATH | O_DIRECTORY, 0);
    if (dir >= 0 || errno != ENOENT) {
        return dir;
    }
    /* Step by step: open what is there, make what is not. */
    CLEANUP_FREE char *p = xstrdup(path);
    for (char *s = p;; s++) {
        if (*s != '/' && *s != '\0') {
            continue;
        }
        char end = *s;
        *s = '\0';
        char *base = strrchr(p, '/');
        base = base == NULL ? p : base + 1;
        if (base[0] != '\0' && strcmp(base, ".") != 0 && strcmp(base, "..") != 0) {
            char keep = 0;
            if (base != p) {
                keep = base[-1];
                base[-1] = '\0';
            }
            CLEANUP_CLOSE int parent =
                fs_open_in_root(root_fd, base == p || p[0] == '\0' ? "." : p, O_PATH | O_DIRECTORY, 0);
            if (base != p) {
                base[-1] = keep;
            }
            if (parent < 0 || (mkdirat(parent, base, mode) != 0 && errno != EEXIST)) {
                return -1;
            }
        }
        if (end == '\0') {
            break;
        }
        *s = end;
    }
    return fs_open_in_root(root_fd, path, O_PATH | O_DIRECTORY, 0);
}

int fs_mount(const char *source, const char *target, const char *type, unsigned long flags, const char *options,
             struct error *err)
{
    if (mount(source, target, type, flags, options) != 0) {
        return error_set_errno(err, errno, "cannot mount %s on %s",
                               type != NULL     ? type
                               : source != NULL ? source
                                                : "options",
                               target);
    }
    return 0;
}

/* mountinfo writes space, tab, newline and backslash as \ooo. */
static void unescape_octal(char *s)
{
    char *out = s;
    while (*s != '\0') {
        if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' && s[3] >= '0' && s[3] <= '7') {
            *out++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
            s += 4;
        } else {
            *out++ = *s++;
        }
    }
    *out = '\0';
}

/* Calls fn with each mount point and its type, oldest first, until it returns false. */
static int mounts_walk(bool (*fn)(const char *point, const char *type, void *data), void *data)
{
    FILE *f = fopen("/proc/thread-self/mountinfo", "re");
    if (f == NULL) {
        return -errno;
    }
    char *line = NULL;
    size_t cap = 0;
    while (getline(&line, &cap, f) > 0) {
        char *save = NULL;
        char *field = strtok_r(line, " ", &save);
        for (unsigned i = 0; field != NULL && i < 4; i++) {
            field = strtok_r(NULL, " ", &save);
        }
        const char *word = field; /* optional fields end with "-" */
        while (word != NULL && strcmp(word, "-") != 0) {
            word = strtok_r(NULL, " ", &save);
        }
        const char *type = word == NULL ? NULL : strtok_r(NULL, " ", &save);
        if (type != NULL) {
            unescape_octal(field);
            if (!fn(field, type, data)) {
                break;
            }
        }
    }
    free(line);
    fclose(f);
    return 0;
}

/* ---- What is mounted below a path ---- */

static bool collect_below(const char *point, const char *type, void *data)
{
    struct fs_mounts *m = data;
    size_t n = strlen(m->path);
    if (strncmp(point, m->path, n) != 0 || (point[n] != '/' && point[n] != '\0')) {
        return true;
    }
    m->list = xrealloc(m->list, (m->count + 1) * sizeof *m->list);
    m->list[m->count++] = (struct fs_mounted){xstrdup(point), strcmp(type, "tmpfs") == 0};
    return true;
}

int fs_mounts_read(struct fs_mounts *m, const char *path, struct error *err)
{
    *m = (struct fs_mounts){.path = realpath(path, NULL)};
    if (m->path == NULL) {
        return errno == ENOENT ? 0 : error_set_errno(err, errno, "cannot resolve %s", path);
    }
    int rc = mounts_walk(collect_below, m);
    return rc == 0 ? 0 : error_set_errno(err, -rc, "cannot read the mount table");
}

void fs_mounts_close(struct fs_mounts *m)
{
    while (m->count > 0) {
        free(m->list[--m->count].point);
    }
    free(m->list);
    free(m->path);
    *m = (struct fs_mounts){0};
}

/* What stands behind PATH or PATH/NAME in a mount point: "" or what begins with a slash; NULL: it is not below it. */
static const char *behind(const struct fs_mounts *m, const char *name, const char *point)
{
    size_t n = strlen(m->path), k = strlen(name);
    if (k == 0) {
        return point + n;
    }
    return point[n] == '/' && strncmp(point + n + 1, name, k) == 0 &&
                   (point[n + 1 + k] == '/' || point[n + 1 + k] == '\0')
               ? point + n + 1 + k
               : NULL;
}

int fs_mounts_detach(const struct fs_mounts *m, const char *name, struct error *err)
{
    int first = 0;
    for (size_t i = m->count; i-- > 0;) {
        const char *point = m->list[i].point;
        if (behind(m, name, point) != NULL && umount2(point, MNT_DETACH | UMOUNT_NOFOLLOW) != 0 && errno != EINVAL &&
            errno != ENOENT && first == 0) {
            first = error_set_errno(err, errno, "cannot unmount %s", point);
        }
    }
    return first;
}

int fs_mounts_unmount_in(const struct fs_mounts *m, const char *name, bool detach, struct error *err)
{
    int first = 0;
    for (size_t i = m->count; i-- > 0;) {
        const char *point = m->list[i].point, *last = behind(m, name, point);
        if (last == NULL || last[0] != '/' || strchr(last + 1, '/') != NULL || m->list[i].is_tmpfs ||
            umount2(point, UMOUNT_NOFOLLOW) == 0 || errno == EINVAL || errno == ENOENT ||
            (detach &&
             (umount2(point, MNT_FORCE | UMOUNT_NOFOLLOW) == 0 || umount2(point, MNT_DETACH | UMOUNT_NOFOLLOW) == 0))) {
            continue;
        }
        if (first == 0) {
            first = errno == EBUSY
                        ? error_set(err, ERR_BUSY, "volume \"%s\" is still in use and cannot be unmounted", last + 1)
                        : error_set_errno(err, errno, "cannot unmount %s", point);
        }
    }
    return first;
}

int fs_unmount_below(const char *path, struct error *err)
{
    struct fs_mounts m;
    int rc = fs_mounts_read(&m, path, err);
    rc = rc != 0 ? rc : fs_mounts_detach(&m, "", err);
    fs_mounts_close(&m);
    return rc;
}

int fs_remove_mounted(const char *path, const char *const *names, unsigned count, struct error *err)
{
    for (unsigned i = 0; i <= count; i++) {
        CLEANUP_FREE char *point = i < count ? xasprintf("%s/%s", path, names[i]) : xstrdup(path);
        while (umount2(point, MNT_DETACH | UMOUNT_NOFOLLOW) == 0) {
        }
    }
    if (fs_remove_tree(path, NULL) == 0) {
        return 0;
    }
    int rc = fs_unmount_below(path, err); /* mostly it is that something else is mounted in it */
    return rc != 0 ? rc : fs_remove_tree(path, err);
}

struct type_of {
    const char *path;
    char *out;
    size_t size;
    bool found;
};

static bool type_of_point(const char *point, const char *type, void *data)
{
    struct type_of *t = data;
    if (strcmp(point, t->path) == 0) { /* the newest hides the others */
        snprintf(t->out, t->size, "%s", type);
        t->found = true;
    }
    return true;
}

bool fs_mount_type(const char *path, char *type, size_t size)
{
    struct type_of t = {.path = path, .out = type, .size = size};
    return mounts_walk(type_of_point, &t) == 0 && t.found;
}

static bool is_remote_type(const char *type)
{
    static const char *const types[] = {"nfs", "nfs4", "cifs", "smb3", "ceph", "9p", "afs", "lustre", "autofs"};
    for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
        if (strcmp(type, types[i]) == 0) {
            return true;
        }
    }
    return strncmp(type, "fuse", 4) == 0;
}

struct deepest {
    const char *path;
    size_t n; /* of the longest mount point above path */
    bool remote;
};

static bool look_above(const char *point, const char *type, void *data)
{
    struct deepest *d = data;
    size_t n = strcmp(point, "/") == 0 ? 0 : strlen(point);
    if (n >= d->n && strncmp(d->path, point, n) == 0 && (d->path[n] == '/' || d->path[n] == '\0')) {
        d->n = n;
        d->remote = is_remote_type(type);
    }
    return true;
}

bool fs_is_remote(const char *path)
{
    struct deepest d = {.path = path};
    return mounts_walk(look_above, &d) == 0 && d.remote;
}

bool fs_is_shared(const char *path)
{
    struct statx stx;
    bool shared = false;
    char *line = NULL;
    size_t cap = 0;
    if (statx(AT_FDCWD, path, AT_NO_AUTOMOUNT, STATX_MNT_ID, &stx) != 0 || (stx.stx_mask & STATX_MNT_ID) == 0) {
        return true; /* an older kernel does not tell */
    }
    FILE *f = fopen("/proc/thread-self/mountinfo", "re");
    while (f != NULL && getline(&line, &cap, f) > 0) {
        char *end = strstr(line, " - ");
        if (strtoull(line, NULL, 10) == stx.stx_mnt_id && end != NULL) {
            *end = '\0'; /* optional fields stand before */
            shared = strstr(line, " shared:") != NULL;
        }
    }
    free(line);
    if (f != NULL) {
        fclose(f);
    }
    return shared;
}

bool fs_is_mount(const char *path)
{
    /* Not by the mount table: it also lists mounts that a later one on a parent directory hides. */
    struct statx stx;
    return statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_TYPE, &stx) == 0 &&
           (stx.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}
