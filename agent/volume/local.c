#include "agent/volume/local.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/util/fsutil.h"
#include "base/failpoint.h"
#include "base/fs.h"
#include "base/mem.h"

#define MARK      ".reeve-volumes"
#define TRASH     ".trash-"
#define RAW       ".new-"
#define NOTE_MAX  (64u << 10)
#define PATH_SIZE (FS_PATH_MAX)

static bool is_name(const char *name)
{
    return name[0] != '\0' && name[0] != '.' && strchr(name, '/') == NULL && strlen(name) < 254;
}

static bool is_dir(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The whole text of a small file; false: there is none, or it cannot be read, which rc tells. */
static bool read_text(const char *path, struct buf *out, int *rc, struct error *err)
{
    *rc = 0;
    if (!fs_exists(path)) {
        return false;
    }
    *rc = fs_read_file(path, NOTE_MAX, out, err);
    return *rc == 0;
}

/* ---- The root ---- */

static int draw_mark(char out[33], struct error *err)
{
    unsigned char bytes[16];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) {
        return error_set_errno(err, errno, "no random bytes");
    }
    for (unsigned i = 0; i < sizeof bytes; i++) {
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    }
    return 0;
}

/* The first time: the root gets a mark, unless it has one of a former life of this node. */
static int mark_root(const struct local_root *r, const char *note, struct error *err)
{
    char mark[PATH_SIZE], text[33];
    CLEANUP_BUF struct buf b = BUF_INIT;
    int rc = fs_exists(r->dir) ? 0 : fs_make_private_dir(r->dir, err);
    fs_path(mark, sizeof mark, "%s/" MARK, r->dir);
    if (rc == 0 && !read_text(mark, &b, &rc, err) && rc == 0) {
        rc = draw_mark(text, err);
        rc = rc != 0 ? rc : fs_write_file(mark, str_of(text), 0600, true, err);
        buf_puts(&b, text);
    }
    buf_putc(&b, '\n');
    buf_puts(&b, r->dir);
    return rc != 0 ? rc : fs_write_file(note, buf_str(&b), 0600, true, err);
}

int local_open(const struct local_root *r, struct error *err)
{
    char note[PATH_SIZE], mark[PATH_SIZE];
    CLEANUP_BUF struct buf known = BUF_INIT, found = BUF_INIT;
    int rc = fs_make_private_dir(r->notes, err);
    fs_path(note, sizeof note, "%s/root", r->notes);
    fs_path(mark, sizeof mark, "%s/" MARK, r->dir);
    if (rc != 0 || (!read_text(note, &known, &rc, err) && rc != 0)) {
        return rc;
    }
    const char *text = buf_cstr(&known), *newline = strchr(text, '\n');
    if (newline == NULL || strcmp(newline + 1, r->dir) != 0) { /* none, or the configuration names another one now */
        return mark_root(r, note, err);
    }
    bool there = read_text(mark, &found, &rc, err);
    if (rc == 0 && (!there || found.size != (size_t)(newline - text) || memcmp(found.data, text, found.size) != 0)) {
        rc = error_set(err, ERR_SYSTEM,
                       "%s is not the directory of local volumes that this node had (is its disk "
                       "mounted?)",
                       r->dir);
    }
    return rc;
}

/* ---- Volumes ---- */

static int sync_dir(const char *dir, struct error *err)
{
    CLEANUP_CLOSE int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && fsync(fd) == 0 ? 0 : error_set_errno(err, errno, "cannot sync %s", dir);
}

/* Under its name it is whole at once. */
static int make_dir(const struct local_root *r, const char *name, const char *dir, struct error *err)
{
    char raw[PATH_SIZE];
    fs_path(raw, sizeof raw, "%s/" RAW "%s", r->dir, name);
    if (mkdir(raw, 0700) != 0 && errno != EEXIST) {
        return error_set_errno(err, errno, "cannot make %s", raw);
    }
    failpoint(FAILPOINT_local_before_mode);
    if (chmod(raw, 0777) != 0 || rename(raw, dir) != 0) {
        return error_set_errno(err, errno, "cannot make %s", dir);
    }
    failpoint(FAILPOINT_local_before_sync);
    return sync_dir(r->dir, err);
}

/* A volume's directory, its note, and whether there is one: then whose the directory is. */
struct local {
    char dir[PATH_SIZE], note[PATH_SIZE];
    bool made, ours;
};

static int look_at(const struct local_root *r, const char *name, const char *uid, struct local *out, struct error *err)
{
    CLEANUP_BUF struct buf text = BUF_INIT;
    if (!is_name(name)) {
        return error_set(err, ERR_INVALID, "\"%s\" cannot be the name of a local volume", name);
    }
    int rc = local_open(r, err);
    if (rc != 0) {
        return rc;
    }
    fs_path(out->dir, sizeof out->dir, "%s/%s", r->dir, name);
    fs_path(out->note, sizeof out->note, "%s/volume-%s", r->notes, name);
    out->made = read_text(out->note, &text, &rc, err);
    out->ours = out->made && strcmp(buf_cstr(&text), uid) == 0;
    return rc;
}

int local_make(const struct local_root *r, const char *name, const char *uid, struct error *err)
{
    struct local l;
    int rc = look_at(r, name, uid, &l, err);
    if (rc != 0) {
        return rc;
    }
    bool there = is_dir(l.dir);
    if (l.made && !l.ours) {
        return error_set(err, ERR_INVALID, "%s belongs to another volume of that name", l.dir);
    }
    if (l.made && !there) {
        return error_set(err, ERR_SYSTEM,
                         "the directory %s of the volume was there once and is gone; it is not made "
                         "anew, as its data would be missing",
                         l.dir);
    }
    if (l.made) {
        return 0;
    }
    rc = there ? 0 : make_dir(r, name, l.dir, err);
    failpoint(FAILPOINT_local_before_note);
    return rc != 0 ? rc : fs_write_file(l.note, str_of(uid), 0600, true, err);
}

/* ---- Ends ---- */

static int empty_trash(const char *trash, struct error *err)
{
    int rc = fs_remove_tree(trash, err);
    failpoint(FAILPOINT_local_after_trash);
    return rc;
}

int local_remove(const struct local_root *r, const char *name, const char *uid, struct error *err)
{
    char trash[PATH_SIZE];
    struct local l;
    int rc = look_at(r, name, uid, &l, err);
    if (rc == 0 && l.made && !l.ours) {
        return 0; /* that one is another's; ours was never made */
    }
    fs_path(trash, sizeof trash, "%s/" TRASH "%s", r->dir, name);
    rc = rc != 0 ? rc : empty_trash(trash, err); /* of a removal that was cut short */
    if (rc != 0) {
        return rc;
    }
    if (rename(l.dir, trash) != 0 && errno != ENOENT) {
        return error_set_errno(err, errno, "cannot remove %s", l.dir);
    }
    failpoint(FAILPOINT_local_after_rename);
    rc = sync_dir(r->dir, err);
    if (rc == 0 && unlink(l.note) != 0 && errno != ENOENT) {
        rc = error_set_errno(err, errno, "cannot remove %s", l.note);
    }
    failpoint(FAILPOINT_local_before_trash);
    return rc != 0 ? rc : empty_trash(trash, err);
}

int local_sweep(const struct local_root *r, struct error *err)
{
    int rc = local_open(r, err);
    DIR *d = rc == 0 ? opendir(r->dir) : NULL;
    for (struct dirent *e; d != NULL && rc == 0 && (e = readdir(d)) != NULL;) {
        char path[PATH_SIZE];
        fs_path(path, sizeof path, "%s/%s", r->dir, e->d_name);
        if (strncmp(e->d_name, TRASH, strlen(TRASH)) == 0) {
            rc = fs_remove_tree(path, err);
        }
    }
    if (d != NULL) {
        closedir(d);
    }
    return rc;
}
