#include "client/image/layer.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

/* Two archives in a row: `tar` writes into `gzip` (raw format), which writes the file. */
struct layer {
    int fd;
    char *path;
    struct archive *tar, *gzip;
    EVP_MD_CTX *diff_md, *blob_md;
    uint64_t size_bytes;
    char chunk[64u << 10];
};

static la_ssize_t write_blob(struct archive *a, void *data, const void *p, size_t n)
{
    struct layer *l = data;
    const char *at = p;
    EVP_DigestUpdate(l->blob_md, p, n);
    l->size_bytes += n;
    for (size_t left = n; left > 0;) {
        ssize_t put = write(l->fd, at, left);
        if (put < 0 && errno != EINTR) {
            archive_set_error(a, errno, "%s", strerror(errno));
            return -1;
        }
        at += put > 0 ? put : 0;
        left -= put > 0 ? (size_t)put : 0;
    }
    return (la_ssize_t)n;
}

static la_ssize_t write_plain(struct archive *a, void *data, const void *p, size_t n)
{
    struct layer *l = data;
    EVP_DigestUpdate(l->diff_md, p, n);
    if (n > 0 && archive_write_data(l->gzip, p, n) < 0) {
        archive_set_error(a, archive_errno(l->gzip), "%s", archive_error_string(l->gzip));
        return -1;
    }
    return (la_ssize_t)n;
}

static void layer_free(struct layer *l)
{
    if (l->tar != NULL) {
        archive_write_free(l->tar);
    }
    if (l->gzip != NULL) {
        archive_write_free(l->gzip);
    }
    EVP_MD_CTX_free(l->diff_md);
    EVP_MD_CTX_free(l->blob_md);
    if (l->fd >= 0) {
        close(l->fd);
    }
    free(l->path);
    free(l);
}

static int failed(struct layer *l, struct archive *a, struct error *err)
{
    int code = archive_errno(a) == ENOSPC ? ERR_NO_SPACE : ERR_IO;
    return error_set(err, code, "write %s: %s", l->path, archive_error_string(a));
}

int layer_begin(const char *path, struct layer **out, struct error *err)
{
    struct layer *l = xcalloc(1, sizeof(*l));
    l->path = xstrdup(path);
    l->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (l->fd < 0) {
        error_set_errno(err, errno, "create %s", path);
        layer_free(l);
        return ERR_IO;
    }
    l->diff_md = EVP_MD_CTX_new();
    l->blob_md = EVP_MD_CTX_new();
    EVP_DigestInit_ex(l->diff_md, EVP_sha256(), NULL);
    EVP_DigestInit_ex(l->blob_md, EVP_sha256(), NULL);
    l->gzip = archive_write_new();
    archive_write_set_format_raw(l->gzip);
    archive_write_add_filter_gzip(l->gzip);
    archive_write_set_options(l->gzip, "gzip:!timestamp");
    archive_write_set_bytes_in_last_block(l->gzip, 1);
    l->tar = archive_write_new();
    archive_write_set_format_pax_restricted(l->tar);
    struct archive_entry *e = archive_entry_new();
    archive_entry_set_filetype(e, AE_IFREG);
    int rc = archive_write_open(l->gzip, l, NULL, write_blob, NULL) == ARCHIVE_OK &&
                     archive_write_header(l->gzip, e) == ARCHIVE_OK &&
                     archive_write_open(l->tar, l, NULL, write_plain, NULL) == ARCHIVE_OK
                 ? 0
                 : error_set(err, ERR_SYSTEM, "cannot compress: %s", archive_error_string(l->gzip));
    archive_entry_free(e);
    if (rc != 0) {
        layer_free(l);
        return rc;
    }
    *out = l;
    return 0;
}

int layer_entry(struct layer *l, struct archive_entry *e, struct error *err)
{
    archive_entry_set_mtime(e, 0, 0);
    archive_entry_unset_atime(e);
    archive_entry_unset_ctime(e);
    archive_entry_unset_birthtime(e);
    archive_entry_set_uname(e, NULL);
    archive_entry_set_gname(e, NULL);
    archive_entry_set_dev(e, 0);
    archive_entry_set_ino(e, 0);
    archive_entry_set_nlink(e, 1);
    return archive_write_header(l->tar, e) < ARCHIVE_WARN ? failed(l, l->tar, err) : 0;
}

int layer_data(struct layer *l, const void *p, size_t n, struct error *err)
{
    return n > 0 && archive_write_data(l->tar, p, n) < 0 ? failed(l, l->tar, err) : 0;
}

static void hex_of(EVP_MD_CTX *md, char hex[LAYER_HEX_SIZE])
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    EVP_DigestFinal_ex(md, bytes, &n);
    for (unsigned i = 0; i < n && i < 32; i++) {
        snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    }
}

int layer_finish(struct layer *l, struct layer_digests *out, struct error *err)
{
    int rc = archive_write_close(l->tar) != ARCHIVE_OK ? failed(l, l->tar, err) : 0;
    rc = rc == 0 && archive_write_close(l->gzip) != ARCHIVE_OK ? failed(l, l->gzip, err) : rc;
    hex_of(l->diff_md, out->diff_hex);
    hex_of(l->blob_md, out->blob_hex);
    out->size_bytes = l->size_bytes;
    if (rc == 0 && close(TAKE_FD(l->fd)) != 0) {
        rc = error_set_errno(err, errno, "write %s", l->path);
    }
    layer_free(l);
    return rc;
}

void layer_abort(struct layer *l)
{
    unlink(l->path);
    layer_free(l);
}

void sha256_hex(const void *p, size_t n, char hex[LAYER_HEX_SIZE])
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    EVP_DigestInit_ex(md, EVP_sha256(), NULL);
    EVP_DigestUpdate(md, p, n);
    hex_of(md, hex);
    EVP_MD_CTX_free(md);
}

/* ---- In short ---- */

static struct archive_entry *entry_new(const char *name, mode_t type, mode_t mode, struct layer_owner owner)
{
    struct archive_entry *e = archive_entry_new();
    archive_entry_set_pathname(e, name);
    archive_entry_set_filetype(e, type);
    archive_entry_set_perm(e, mode);
    archive_entry_set_uid(e, owner.uid);
    archive_entry_set_gid(e, owner.gid);
    archive_entry_set_size(e, 0);
    return e;
}

int layer_directory(struct layer *l, const char *name, mode_t mode, struct layer_owner owner, struct error *err)
{
    struct archive_entry *e = entry_new(name, AE_IFDIR, mode, owner);
    int rc = layer_entry(l, e, err);
    archive_entry_free(e);
    return rc;
}

int layer_text(struct layer *l, const char *name, mode_t mode, struct layer_owner owner, struct str text,
               struct error *err)
{
    struct archive_entry *e = entry_new(name, AE_IFREG, mode, owner);
    archive_entry_set_size(e, (la_int64_t)text.n);
    int rc = layer_entry(l, e, err);
    archive_entry_free(e);
    return rc != 0 ? rc : layer_data(l, text.p, text.n, err);
}

int layer_link(struct layer *l, const char *name, const char *target, struct error *err)
{
    struct archive_entry *e = entry_new(name, AE_IFLNK, 0777, (struct layer_owner){0, 0});
    archive_entry_set_symlink(e, target);
    int rc = layer_entry(l, e, err);
    archive_entry_free(e);
    return rc;
}

int layer_copy_data(struct layer *l, struct archive *from, struct error *err)
{
    la_ssize_t n;
    int rc = 0;
    while (rc == 0 && (n = archive_read_data(from, l->chunk, sizeof(l->chunk))) > 0) {
        rc = layer_data(l, l->chunk, (size_t)n, err);
    }
    return rc == 0 && n < 0 ? error_set(err, ERR_CORRUPT, "read: %s", archive_error_string(from)) : rc;
}

/* ---- Trees ---- */

/* The header has gone out: a file that became another meanwhile makes no image. */
static int file_content(struct layer *l, int fd, const char *path, int64_t size, struct error *err)
{
    while (size > 0) {
        ssize_t n = read(fd, l->chunk, (size_t)MIN(size, (int64_t)sizeof(l->chunk)));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? error_set_errno(err, errno, "read %s", path)
                         : error_set(err, ERR_CONFLICT, "%s became shorter while it was read; build again", path);
        }
        int rc = layer_data(l, l->chunk, (size_t)n, err);
        if (rc != 0) {
            return rc;
        }
        size -= n;
    }
    return 0;
}

static int one_entry(struct layer *l, const char *path, const char *name, const struct stat *st,
                     const struct layer_owner *owner, mode_t mode, struct error *err)
{
    char target[PATH_MAX];
    CLEANUP_CLOSE int fd = S_ISREG(st->st_mode) ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
    if (S_ISREG(st->st_mode) && fd < 0) {
        return error_set_errno(err, errno, "open %s", path);
    }
    struct layer_owner as_is = {st->st_uid, st->st_gid};
    bool given = mode != 0 && S_ISREG(st->st_mode);
    struct archive_entry *e =
        entry_new(name, st->st_mode & S_IFMT, given ? mode : st->st_mode & 07777, owner != NULL ? *owner : as_is);
    archive_entry_set_size(e, S_ISREG(st->st_mode) ? st->st_size : 0);
    if (S_ISLNK(st->st_mode)) {
        ssize_t n = readlink(path, target, sizeof(target) - 1);
        target[MAX(n, 0)] = '\0';
        archive_entry_set_symlink(e, target);
    }
    int rc = layer_entry(l, e, err);
    archive_entry_free(e);
    return rc != 0 || fd < 0 ? rc : file_content(l, fd, path, st->st_size, err);
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int tree(struct layer *l, const char *path, const char *name, const struct layer_owner *owner, mode_t mode,
                unsigned depth, struct error *err)
{
    struct stat st;
    if (depth > LAYER_DEPTH_MAX) {
        return error_set(err, ERR_TOO_LARGE, "%s: directories lie more than %u deep", path, LAYER_DEPTH_MAX);
    }
    if ((depth == 0 ? stat(path, &st) : lstat(path, &st)) != 0) { /* what is named may itself be a link */
        return error_set_errno(err, errno, "%s", path);
    }
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode) && !S_ISLNK(st.st_mode)) {
        return 0;
    }
    CLEANUP_FREE char *real = depth == 0 ? realpath(path, NULL) : NULL;
    int rc = name[0] == '\0' ? 0 : one_entry(l, real != NULL ? real : path, name, &st, owner, mode, err);
    if (rc != 0 || !S_ISDIR(st.st_mode)) {
        return rc;
    }
    struct dirent **names;
    int n = scandir(path, &names, NULL, by_bytes);
    if (n < 0) {
        return error_set_errno(err, errno, "read directory %s", path);
    }
    for (int i = 0; i < n; i++) {
        const char *child = names[i]->d_name;
        if (rc == 0 && strcmp(child, ".") != 0 && strcmp(child, "..") != 0) {
            CLEANUP_FREE char *child_path = xasprintf("%s/%s", path, child);
            CLEANUP_FREE char *child_name = xasprintf("%s%s%s", name, name[0] == '\0' ? "" : "/", child);
            rc = tree(l, child_path, child_name, owner, mode, depth + 1, err);
        }
        free(names[i]);
    }
    free(names);
    return rc;
}

int layer_tree(struct layer *l, const char *path, const char *name, const struct layer_owner *owner, mode_t mode,
               struct error *err)
{
    return tree(l, path, name, owner, mode, 0, err);
}
