#include "agent/image/image_int.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/util/fsutil.h"

/* Two archives in a row: `outer` reads the blob and undoes its compression (raw format), `inner` reads the tar that
 * comes out. Both streams run through a digest, and both are drained to their end before the digests are believed.
 *
 * Files are placed by our own code, not by libarchive's disk writer: every path is resolved inside the layer's
 * directory by the kernel (openat2 RESOLVE_IN_ROOT), so no link in a hostile layer leads out of it. */

#define CHUNK_BYTES (256u << 10)

struct layer {
    int fd; /* the blob */
    EVP_MD_CTX *blob_md, *diff_md;
    struct archive *outer, *inner;
    uint8_t raw[CHUNK_BYTES], plain[CHUNK_BYTES];
    uint64_t packed_bytes, unpacked_bytes, looked_bytes;
    int root_fd;
};

static void hex_of(EVP_MD_CTX *md, char hex[IMAGE_HEX_SIZE])
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    EVP_DigestFinal_ex(md, bytes, &n);
    for (unsigned i = 0; i < n && i < 32; i++) {
        snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    }
}

static la_ssize_t read_blob(struct archive *a, void *data, const void **out)
{
    struct layer *l = data;
    ssize_t n;
    do {
        n = read(l->fd, l->raw, sizeof l->raw);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        archive_set_error(a, errno, "read: %s", strerror(errno));
        return -1;
    }
    EVP_DigestUpdate(l->blob_md, l->raw, (size_t)n);
    l->packed_bytes += (uint64_t)n;
    *out = l->raw;
    return n;
}

void image_support_filters(struct archive *a)
{
    archive_read_support_filter_gzip(a);
    archive_read_support_filter_zstd(a);
    archive_read_support_filter_xz(a);
    archive_read_support_filter_bzip2(a);
}

/* A bomb: a few bytes that unpack to a full disk. Of the disk a little stays for others. */
static bool grows_too_much(struct layer *l, struct archive *a)
{
    struct statvfs disk;
    if (l->unpacked_bytes > IMAGE_UNPACKED_MAX) {
        archive_set_error(a, EFBIG, "it unpacks to more than %llu bytes", IMAGE_UNPACKED_MAX);
        return true;
    }
    if (l->unpacked_bytes > IMAGE_RATIO_FROM && l->unpacked_bytes / IMAGE_RATIO_MAX > l->packed_bytes) {
        archive_set_error(a, EFBIG, "it unpacks to more than %u times its size", IMAGE_RATIO_MAX);
        return true;
    }
    if (l->root_fd < 0 || l->unpacked_bytes - l->looked_bytes < IMAGE_LOOK_BYTES) {
        return false;
    }
    l->looked_bytes = l->unpacked_bytes;
    if (fstatvfs(l->root_fd, &disk) == 0 &&
        (uint64_t)disk.f_bavail * disk.f_frsize < MIN((uint64_t)disk.f_blocks * disk.f_frsize / 20, IMAGE_DISK_LEFT)) {
        archive_set_error(a, ENOSPC, "it would fill the node's disk");
        return true;
    }
    return false;
}

static la_ssize_t read_plain(struct archive *a, void *data, const void **out)
{
    struct layer *l = data;
    la_ssize_t n = archive_read_data(l->outer, l->plain, sizeof l->plain);
    if (n < 0) {
        archive_set_error(a, archive_errno(l->outer), "%s", archive_error_string(l->outer));
        return -1;
    }
    EVP_DigestUpdate(l->diff_md, l->plain, (size_t)n);
    l->unpacked_bytes += (uint64_t)n;
    if (grows_too_much(l, a)) {
        return -1;
    }
    *out = l->plain;
    return n;
}

static void layer_close(struct layer *l)
{
    if (l->inner != NULL) {
        archive_read_free(l->inner);
    }
    if (l->outer != NULL) {
        archive_read_free(l->outer);
    }
    EVP_MD_CTX_free(l->blob_md);
    EVP_MD_CTX_free(l->diff_md);
    if (l->fd >= 0) {
        close(l->fd);
    }
    if (l->root_fd >= 0) {
        close(l->root_fd);
    }
    free(l);
}

static int layer_open(const char *path, struct layer **out, struct error *err)
{
    struct layer *l = xcalloc(1, sizeof *l);
    l->root_fd = -1;
    struct stat st;
    l->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (l->fd >= 0 && (fstat(l->fd, &st) != 0 || !S_ISREG(st.st_mode))) { /* a FIFO in a layout would be waited for */
        close(l->fd);
        l->fd = -1;
        errno = EINVAL;
    }
    if (l->fd < 0) {
        free(l);
        return error_set_errno(err, errno, "cannot open the layer %s", path);
    }
    l->blob_md = EVP_MD_CTX_new();
    l->diff_md = EVP_MD_CTX_new();
    EVP_DigestInit_ex(l->blob_md, EVP_sha256(), NULL);
    EVP_DigestInit_ex(l->diff_md, EVP_sha256(), NULL);
    l->outer = archive_read_new();
    image_support_filters(l->outer);
    archive_read_support_format_raw(l->outer);
    archive_read_support_format_empty(l->outer);
    struct archive_entry *e;
    int rc = archive_read_open(l->outer, l, NULL, read_blob, NULL);
    rc = rc != ARCHIVE_OK ? rc : archive_read_next_header(l->outer, &e);
    if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN) {
        error_set(err, ERR_CORRUPT, "cannot read the layer %s: %s", path, archive_error_string(l->outer));
        layer_close(l);
        return ERR_CORRUPT;
    }
    *out = l;
    return 0;
}

/* The rest of both streams, so that the digests are of the whole. */
static int layer_drain(struct layer *l, const char *path, struct error *err)
{
    const void *p;
    la_ssize_t n;
    do {
        n = read_plain(l->outer, l, &p);
    } while (n > 0);
    do {
        n = n < 0 ? n : read_blob(l->outer, l, &p);
    } while (n > 0);
    return n == 0 ? 0
                  : error_set(err, ERR_CORRUPT, "cannot read the layer %s: %s", path, archive_error_string(l->outer));
}

int image_layer_diff(const char *path, char diff_found[IMAGE_HEX_SIZE], struct error *err)
{
    struct layer *l;
    int rc = layer_open(path, &l, err);
    if (rc != 0) {
        return rc;
    }
    rc = layer_drain(l, path, err);
    hex_of(l->diff_md, diff_found);
    layer_close(l);
    return rc;
}

/* ---- Placing entries ---- */

/* Leading "./" and "/" and trailing "/" off; false for what has no name (the root itself) or has ".." in it. */
bool image_clean_path(const char *in, char *out, size_t size)
{
    while (in[0] == '/' || (in[0] == '.' && (in[1] == '/' || in[1] == '\0'))) {
        in++;
    }
    size_t n = strlen(in);
    while (n > 0 && (in[n - 1] == '/' || (in[n - 1] == '.' && n > 1 && in[n - 2] == '/'))) {
        n--;
    }
    if (n == 0 || n >= size) {
        return false;
    }
    memcpy(out, in, n);
    out[n] = '\0';
    for (char *s = out; s != NULL; s = strchr(s, '/'), s = s == NULL ? NULL : s + 1) {
        if (strncmp(s, "..", 2) == 0 && (s[2] == '/' || s[2] == '\0')) {
            return false;
        }
    }
    return true;
}

/* The directory that holds path (made if absent), and the last component. */
int image_open_parent(int root_fd, char *path, const char **base)
{
    char *slash = strrchr(path, '/');
    if (slash == NULL) {
        *base = path;
        return fs_open_in_root(root_fd, ".", O_PATH | O_DIRECTORY, 0);
    }
    *slash = '\0';
    int fd = fs_make_dirs_in_root(root_fd, path, 0755);
    *slash = '/';
    *base = slash + 1;
    return fd;
}

static int set_opaque(int parent)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", parent);
    return setxattr(path, "trusted.overlay.opaque", "y", 1, 0) == 0 ? 0 : -errno;
}

static int place_file(struct layer *l, int parent, const char *base, struct archive_entry *e)
{
    CLEANUP_CLOSE int fd = openat(parent, base, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return -errno;
    }
    const void *p;
    size_t n;
    la_int64_t offset;
    int rc;
    while ((rc = archive_read_data_block(l->inner, &p, &n, &offset)) == ARCHIVE_OK) {
        for (size_t done = 0; done < n;) {
            ssize_t put = pwrite(fd, (const char *)p + done, n - done, offset + (la_int64_t)done);
            if (put < 0 && errno != EINTR) {
                return -errno;
            }
            done += put > 0 ? (size_t)put : 0;
        }
    }
    if (rc != ARCHIVE_EOF) {
        return -EBADMSG;
    }
    if (ftruncate(fd, archive_entry_size(e)) != 0 ||
        fchown(fd, (uid_t)archive_entry_uid(e), (gid_t)archive_entry_gid(e)) != 0 ||
        fchmod(fd, archive_entry_perm(e)) != 0) {
        return -errno;
    }
    /* File capabilities matter to programs; other attributes are the builder's business. */
    const char *name;
    const void *value;
    size_t size;
    archive_entry_xattr_reset(e);
    while (archive_entry_xattr_next(e, &name, &value, &size) == ARCHIVE_OK) {
        if (strcmp(name, "security.capability") == 0 || strncmp(name, "user.", 5) == 0) {
            (void)fsetxattr(fd, name, value, size, 0);
        }
    }
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = archive_entry_mtime(e)}};
    (void)futimens(fd, times);
    return 0;
}

static int place_directory(int parent, const char *base, struct archive_entry *e)
{
    struct stat st;
    if (mkdirat(parent, base, 0700) != 0) {
        if (errno != EEXIST || fstatat(parent, base, &st, AT_SYMLINK_NOFOLLOW) != 0) {
            return -errno;
        }
        if (!S_ISDIR(st.st_mode) && (unlinkat(parent, base, 0) != 0 || mkdirat(parent, base, 0700) != 0)) {
            return -errno;
        }
    }
    CLEANUP_CLOSE int fd = openat(parent, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fchown(fd, (uid_t)archive_entry_uid(e), (gid_t)archive_entry_gid(e)) != 0 ||
        fchmod(fd, archive_entry_perm(e)) != 0) {
        return -errno;
    }
    return 0;
}

static int place_hardlink(struct layer *l, int parent, const char *base, const char *target)
{
    char path[FS_PATH_MAX];
    if (!image_clean_path(target, path, sizeof path)) {
        return -EINVAL;
    }
    const char *from;
    CLEANUP_CLOSE int dir = image_open_parent(l->root_fd, path, &from);
    return dir < 0 || linkat(dir, from, parent, base, 0) != 0 ? -errno : 0;
}

/* FIFOs only. Device nodes are left out: containers have a /dev of their own, and a node in a layer would be a door to
 * the node's disks for whoever reaches the layer. Sockets mean nothing without who made them. */
static int place_special(int parent, const char *base, struct archive_entry *e)
{
    mode_t type = archive_entry_filetype(e);
    if (type == AE_IFCHR || type == AE_IFBLK || type == AE_IFSOCK) {
        return 0;
    }
    if (type != AE_IFIFO) {
        return -EINVAL;
    }
    if (mkfifoat(parent, base, archive_entry_perm(e)) != 0 ||
        fchownat(parent, base, (uid_t)archive_entry_uid(e), (gid_t)archive_entry_gid(e), AT_SYMLINK_NOFOLLOW) != 0 ||
        fchmodat(parent, base, archive_entry_perm(e), 0) != 0) {
        return -errno;
    }
    return 0;
}

static int place_entry(struct layer *l, struct archive_entry *e)
{
    char path[FS_PATH_MAX];
    const char *name = archive_entry_pathname(e), *base;
    if (name == NULL || strstr(name, "..") != NULL) {
        /* Only a component that is exactly ".." is a fault. */
        if (name == NULL || !image_clean_path(name, path, sizeof path)) {
            return -EINVAL;
        }
    } else if (!image_clean_path(name, path, sizeof path)) { /* the root: only its owner and mode */
        return fchmod(l->root_fd, archive_entry_perm(e)) != 0 ? -errno : 0;
    }
    CLEANUP_CLOSE int parent = image_open_parent(l->root_fd, path, &base);
    if (parent < 0) {
        return -errno;
    }
    if (strcmp(base, ".wh..wh..opq") == 0) {
        return set_opaque(parent);
    }
    if (strncmp(base, ".wh..wh.", 8) == 0) {
        return 0; /* aufs' own bookkeeping */
    }
    if (strncmp(base, ".wh.", 4) == 0) {
        return mknodat(parent, base + 4, S_IFCHR, 0) != 0 && errno != EEXIST ? -errno : 0;
    }
    const char *link = archive_entry_hardlink(e);
    if (link == NULL && archive_entry_filetype(e) == AE_IFDIR) {
        return place_directory(parent, base, e);
    }
    /* A later entry of the same name replaces the earlier one. */
    if (unlinkat(parent, base, 0) != 0 && errno != ENOENT &&
        (errno != EISDIR || unlinkat(parent, base, AT_REMOVEDIR) != 0)) {
        return -errno;
    }
    if (link != NULL) {
        return place_hardlink(l, parent, base, link);
    }
    if (archive_entry_filetype(e) == AE_IFREG) {
        return place_file(l, parent, base, e);
    }
    if (archive_entry_filetype(e) == AE_IFLNK) {
        const char *target = archive_entry_symlink(e);
        if (target == NULL || symlinkat(target, parent, base) != 0 ||
            fchownat(parent, base, (uid_t)archive_entry_uid(e), (gid_t)archive_entry_gid(e), AT_SYMLINK_NOFOLLOW) !=
                0) {
            return -errno;
        }
        return 0;
    }
    return place_special(parent, base, e);
}

static int place_all(struct layer *l, const char *path, const atomic_bool *cancel, struct error *err)
{
    l->inner = archive_read_new();
    archive_read_support_format_tar(l->inner);
    archive_read_support_format_empty(l->inner);
    int rc = archive_read_open(l->inner, l, NULL, read_plain, NULL);
    unsigned entries = 0;
    while (rc == ARCHIVE_OK || rc == ARCHIVE_WARN) {
        struct archive_entry *e;
        rc = archive_read_next_header(l->inner, &e);
        if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN) {
            break;
        }
        if (atomic_load(cancel)) {
            return error_set(err, ERR_CANCELED, "unpacking %s was cancelled", path);
        }
        if (++entries > IMAGE_ENTRIES_MAX) {
            return error_set(err, ERR_TOO_LARGE, "the layer %s is not unpacked: it has more than %u files", path,
                             IMAGE_ENTRIES_MAX);
        }
        int put = place_entry(l, e);
        if (put == -EBADMSG) {
            rc = ARCHIVE_FATAL;
        } else if (put != 0) {
            return error_set_errno(err, -put, "cannot unpack \"%s\" of the layer %s", archive_entry_pathname(e), path);
        }
    }
    if (rc != ARCHIVE_EOF) {
        int code = archive_errno(l->inner);
        return error_set(err,
                         code == EFBIG    ? ERR_TOO_LARGE
                         : code == ENOSPC ? ERR_NO_SPACE
                                          : ERR_CORRUPT,
                         "the layer %s %s: %s", path,
                         code == EFBIG || code == ENOSPC ? "is not unpacked" : "is damaged",
                         archive_error_string(l->inner));
    }
    return 0;
}

static int check_digest(const char *what, const char *path, const char *wanted, const char *found, struct error *err)
{
    if (wanted == NULL || strcmp(wanted, found) == 0) {
        return 0;
    }
    return error_set(err, ERR_CORRUPT, "%s of the layer %s is sha256:%.12s..., the manifest says sha256:%.12s...", what,
                     path, found, wanted);
}

int image_layer_unpack(const char *path, const char *blob_hex, const char *diff_hex, const char *dir,
                       char diff_found[IMAGE_HEX_SIZE], const atomic_bool *cancel, struct error *err)
{
    struct layer *l;
    int rc = layer_open(path, &l, err);
    if (rc != 0) {
        return rc;
    }
    if (mkdir(dir, 0755) != 0 || (l->root_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
        rc = error_set_errno(err, errno, "cannot make the directory %s", dir);
    } else if (fchmod(l->root_fd, 0755) != 0) {
        rc = error_set_errno(err, errno, "cannot chmod %s", dir);
    }
    rc = rc != 0 ? rc : place_all(l, path, cancel, err);
    rc = rc != 0 ? rc : layer_drain(l, path, err);
    if (rc == 0) {
        char blob_found[IMAGE_HEX_SIZE];
        hex_of(l->blob_md, blob_found);
        hex_of(l->diff_md, diff_found);
        rc = check_digest("the digest", path, blob_hex, blob_found, err);
        rc = rc != 0 ? rc : check_digest("the digest of the content", path, diff_hex, diff_found, err);
    }
    if (rc == 0 && syncfs(l->root_fd) != 0) {
        rc = error_set_errno(err, errno, "cannot sync %s", dir);
    }
    layer_close(l);
    return rc;
}
