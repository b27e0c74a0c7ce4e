#include "client/cmd/tarball.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

#define CHUNK (64u << 10)

/* ---- Packing ---- */

struct pack {
    struct archive *a;
    struct error *err;
    char chunk[CHUNK];
};

static int pack_failed(struct pack *p)
{
    const char *why = archive_error_string(p->a);
    return error_set(p->err, ERR_IO, "pack: %s", why == NULL ? "the other side has closed" : why);
}

/* A file that shrinks while it is read is filled up; one that grows is cut: the header has gone out. */
static int pack_data(struct pack *p, int fd, const char *path, int64_t size)
{
    while (size > 0) {
        ssize_t n = read(fd, p->chunk, (size_t)MIN(size, (int64_t)sizeof(p->chunk)));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return error_set_errno(p->err, errno, "read %s", path);
        }
        if (n == 0) {
            n = (ssize_t)MIN(size, (int64_t)sizeof(p->chunk));
            memset(p->chunk, 0, (size_t)n);
        }
        if (archive_write_data(p->a, p->chunk, (size_t)n) < 0) {
            return pack_failed(p);
        }
        size -= n;
    }
    return 0;
}

static int pack_entry(struct pack *p, const char *path, const char *name, const struct stat *st)
{
    char target[PATH_MAX];
    CLEANUP_CLOSE int fd = S_ISREG(st->st_mode) ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
    if (S_ISREG(st->st_mode) && fd < 0) {
        return error_set_errno(p->err, errno, "open %s", path);
    }
    struct archive_entry *e = archive_entry_new();
    archive_entry_copy_stat(e, st);
    archive_entry_set_pathname(e, name);
    archive_entry_set_nlink(e, 1);
    if (S_ISLNK(st->st_mode)) {
        ssize_t n = readlink(path, target, sizeof(target) - 1);
        target[MAX(n, 0)] = '\0';
        archive_entry_set_symlink(e, target);
    }
    archive_entry_set_size(e, S_ISREG(st->st_mode) ? st->st_size : 0);
    int rc = archive_write_header(p->a, e) < ARCHIVE_WARN ? pack_failed(p) : 0;
    archive_entry_free(e);
    return rc != 0 || fd < 0 ? rc : pack_data(p, fd, path, st->st_size);
}

static int pack_tree(struct pack *p, const char *path, const char *name, unsigned depth)
{
    struct stat st;
    if (lstat(path, &st) != 0) {
        return error_set_errno(p->err, errno, "%s", path);
    }
    if (depth > TARBALL_DEPTH_MAX) {
        return error_set(p->err, ERR_TOO_LARGE, "%s: directories lie more than %u deep", path, TARBALL_DEPTH_MAX);
    }
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode) && !S_ISLNK(st.st_mode)) {
        return 0;
    }
    int rc = pack_entry(p, path, name, &st);
    if (rc != 0 || !S_ISDIR(st.st_mode)) {
        return rc;
    }
    struct dirent **names;
    int n = scandir(path, &names, NULL, alphasort);
    if (n < 0) {
        return error_set_errno(p->err, errno, "read directory %s", path);
    }
    for (int i = 0; i < n; i++) {
        const char *child = names[i]->d_name;
        if (rc == 0 && strcmp(child, ".") != 0 && strcmp(child, "..") != 0) {
            CLEANUP_FREE char *child_path = xasprintf("%s/%s", path, child);
            CLEANUP_FREE char *child_name = xasprintf("%s/%s", name, child);
            rc = pack_tree(p, child_path, child_name, depth + 1);
        }
        free(names[i]);
    }
    free(names);
    return rc;
}

int tarball_pack(int fd, const char *path, const char *name, struct error *err)
{
    struct pack *p = xcalloc(1, sizeof(*p));
    p->a = archive_write_new();
    p->err = err;
    archive_write_set_format_pax_restricted(p->a);
    int rc = archive_write_open_fd(p->a, fd) != ARCHIVE_OK ? pack_failed(p) : 0;
    /* The path that was named may itself be a link: what it points to is meant. */
    CLEANUP_FREE char *real = realpath(path, NULL);
    rc = rc != 0 ? rc : real == NULL ? error_set_errno(err, errno, "%s", path) : pack_tree(p, real, name, 0);
    if (rc == 0 && archive_write_close(p->a) != ARCHIVE_OK) {
        rc = pack_failed(p);
    }
    archive_write_free(p->a);
    free(p);
    return rc;
}

/* ---- Unpacking ---- */

struct unpack {
    struct archive *a;
    const char *dest, *name;
    void (*skipped)(const char *what, void *data);
    void *data;
    struct error *err;
    unsigned entries;
};

static int unpack_failed(struct unpack *u)
{
    const char *why = archive_error_string(u->a);
    return error_set(u->err, ERR_INVALID, "what came from the container is no good archive: %s",
                     why == NULL ? "it is cut" : why);
}

/* What of the path lies below `name`: "" for name itself; NULL: it lies elsewhere, or goes up. */
static const char *below(const char *path, const char *name)
{
    while (strncmp(path, "./", 2) == 0) {
        path += 2;
    }
    if (path[0] == '/') {
        return NULL;
    }
    for (const char *part = path; *part != '\0';) {
        size_t n = strcspn(part, "/");
        if (n == 2 && memcmp(part, "..", 2) == 0) {
            return NULL;
        }
        part += n + (part[n] == '/');
    }
    size_t n = strlen(name);
    if (strcmp(name, ".") == 0) {
        return strcmp(path, ".") == 0 ? "" : path;
    }
    if (strncmp(path, name, n) != 0 || (path[n] != '/' && path[n] != '\0')) {
        return NULL;
    }
    path += n;
    return path + strspn(path, "/");
}

static int in_the_way(struct unpack *u, const char *rest)
{
    int why = errno;
    if (why == ELOOP || why == ENOTDIR) {
        return error_set(u->err, ERR_FORBIDDEN,
                         "%s/%s: a link or a file stands in the way here, and links are not followed", u->dest, rest);
    }
    return error_set_errno(u->err, why, "write %s/%s", u->dest, rest);
}

/* The directory in which the last part of `rest` lies, made if need be; *last that part. Links are not followed
 * below dest. */
static int open_parent(struct unpack *u, int dir, const char *rest, const char **last, int *out)
{
    CLEANUP_CLOSE int at = dup(dir);
    for (;;) {
        size_t n = strcspn(rest, "/");
        const char *next = rest + n + strspn(rest + n, "/");
        if (*next == '\0') {
            *last = rest;
            *out = TAKE_FD(at);
            return 0;
        }
        CLEANUP_FREE char *part = xstrndup(rest, n);
        if (mkdirat(at, part, 0755) != 0 && errno != EEXIST) {
            return in_the_way(u, rest);
        }
        int fd = openat(at, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0) {
            return in_the_way(u, rest);
        }
        close(at);
        at = fd;
        rest = next;
    }
}

static int write_file(struct unpack *u, int fd, const char *rest)
{
    const void *p;
    size_t n;
    la_int64_t offset;
    int rc;
    while ((rc = archive_read_data_block(u->a, &p, &n, &offset)) == ARCHIVE_OK) {
        while (n > 0) {
            ssize_t done = pwrite(fd, p, n, offset);
            if (done < 0 && errno == EINTR) {
                continue;
            }
            if (done < 0) {
                return error_set_errno(u->err, errno, "write %s/%s", u->dest, rest);
            }
            p = (const char *)p + done;
            n -= (size_t)done;
            offset += done;
        }
    }
    return rc == ARCHIVE_EOF ? 0 : unpack_failed(u);
}

/* A file has its name when all of it is there; until then it is called so, and what had the name stays. */
#define PART_FORM ".%.200s.rctl-part"

/* Makes a file in parent: with *part, its name until it is whole; or, where no other file can be made, or what has the
 * name is no file, into what is there (*part NULL). -1: errno. */
static int open_file(int parent, const char *name, mode_t mode, char **part)
{
    struct stat st;
    *part = NULL;
    bool there = fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (!there || S_ISREG(st.st_mode)) {
        CLEANUP_FREE char *other = xasprintf(PART_FORM, name);
        unlinkat(parent, other, 0); /* of a copy that was ended */
        int fd = openat(parent, other, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode | 0200);
        if (fd >= 0 || !there) {
            *part = fd < 0 ? NULL : TAKE_PTR(other);
            return fd;
        }
    }
    return openat(parent, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode | 0200);
}

/* dir: where dest is or will be; rest: path below it. */
static int unpack_at(struct unpack *u, struct archive_entry *e, int dir, const char *rest)
{
    CLEANUP_CLOSE int parent = -1;
    const char *last = rest;
    int rc = open_parent(u, dir, rest, &last, &parent);
    if (rc != 0) {
        return rc;
    }
    CLEANUP_FREE char *name = xstrndup(last, strcspn(last, "/"));
    mode_t mode = archive_entry_perm(e) & 0777;
    if (archive_entry_filetype(e) == AE_IFDIR) {
        struct stat st;
        if (mkdirat(parent, name, mode | 0700) != 0 && errno != EEXIST) {
            return in_the_way(u, rest);
        }
        if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(st.st_mode)) {
            errno = ENOTDIR;
            return in_the_way(u, rest);
        }
        return 0;
    }
    CLEANUP_FREE char *part = NULL;
    CLEANUP_CLOSE int fd = open_file(parent, name, mode, &part);
    if (fd < 0) {
        return in_the_way(u, rest);
    }
    rc = write_file(u, fd, rest);
    if (rc == 0 && (fchmod(fd, mode) != 0 || (part != NULL && renameat(parent, part, parent, name) != 0))) {
        rc = error_set_errno(u->err, errno, "write %s/%s", u->dest, rest);
    }
    if (rc != 0 && part != NULL) {
        unlinkat(parent, part, 0);
    }
    return rc;
}

/* dest is taken apart into the directory that is there and a name, so that one way handles files and directories. */
static int unpack_entry(struct unpack *u, struct archive_entry *e, int dest_dir, const char *dest_name)
{
    const char *path = archive_entry_pathname(e);
    const char *rest = path == NULL ? NULL : below(path, u->name);
    if (rest == NULL) {
        return error_set(
            u->err, ERR_INVALID,
            "the container's archive holds \"%s\", which lies outside of what was asked for; nothing of it "
            "is written",
            path == NULL ? "" : path);
    }
    u->entries++;
    if (archive_entry_filetype(e) != AE_IFDIR && archive_entry_filetype(e) != AE_IFREG) {
        u->skipped(path, u->data);
        return 0;
    }
    if (archive_entry_hardlink(e) != NULL) {
        u->skipped(path, u->data);
        return 0;
    }
    CLEANUP_FREE char *all = xasprintf("%s%s%s", dest_name, rest[0] == '\0' ? "" : "/", rest);
    return unpack_at(u, e, dest_dir, all);
}

static void drain(int fd)
{
    char chunk[4096];
    ssize_t n;
    while ((n = read(fd, chunk, sizeof(chunk))) > 0 || (n < 0 && errno == EINTR)) {
    }
}

int tarball_unpack(int fd, const char *dest, const char *name, void (*skipped)(const char *what, void *data),
                   void *data, struct error *err)
{
    struct unpack u = {archive_read_new(), dest, name, skipped, data, err, 0};
    CLEANUP_FREE char *copy = xstrdup(dest);
    for (size_t n = strlen(copy); n > 1 && copy[n - 1] == '/'; n--) {
        copy[n - 1] = '\0';
    }
    char *slash = strrchr(copy, '/');
    const char *dir = slash == NULL ? "." : slash == copy ? "/" : copy, *last = slash == NULL ? copy : slash + 1;
    if (slash != NULL) {
        *slash = '\0';
    }
    CLEANUP_CLOSE int dest_dir = open(*dir == '\0' ? "/" : dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = dest_dir < 0 ? error_set_errno(err, errno, "%s", dir) : 0;
    archive_read_support_format_tar(u.a);
    archive_read_support_format_empty(u.a);
    if (rc == 0 && archive_read_open_fd(u.a, fd, CHUNK) != ARCHIVE_OK) {
        rc = unpack_failed(&u);
    }
    while (rc == 0) {
        struct archive_entry *e;
        int next = archive_read_next_header(u.a, &e);
        if (next == ARCHIVE_EOF) {
            rc = u.entries == 0 ? error_set(err, ERR_NOT_FOUND, "nothing came from the container") : 0;
            break;
        }
        rc = next < ARCHIVE_WARN ? unpack_failed(&u) : unpack_entry(&u, e, dest_dir, last);
    }
    archive_read_free(u.a);
    drain(fd);
    return rc;
}
