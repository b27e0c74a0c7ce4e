#include "agent/volume/volume_int.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/util/defer.h"
#include "agent/util/fsutil.h"
#include "base/failpoint.h"

/* A set of files, as containers see it:
 *
 *   NAME/nginx.conf -> ..data/nginx.conf      one link per first component of a path; made once, and when a name comes
 *   NAME/..data -> ..1700000000000-3          swapped by rename(2): the moment of the change
 *   NAME/..1700000000000-3/nginx.conf         the files; the former directory is deleted after the swap
 *
 * A crash between any two steps leaves the old set or the new one; strays are swept with the next change. */

bool volume_name_is_safe(const char *s)
{
    return s[0] != '\0' && s[0] != '.' && strchr(s, '/') == NULL && strlen(s) < 256;
}

void volume_path(const struct volume_store *s, const char *uid, const char *name, char path[VOLUME_PATH_MAX])
{
    assert(volume_name_is_safe(uid) && volume_name_is_safe(name));
    fs_path(path, VOLUME_PATH_MAX, "%s/%s/volumes/%s", s->hollow ? "/hollow" : s->dir, uid, name);
}

/* The group owns it and its files' group is inherited. */
static int give_to_group(const char *path, int64_t gid, mode_t plain, mode_t grouped, struct error *err)
{
    if (gid >= 0 && chown(path, (uid_t)-1, (gid_t)gid) != 0) {
        return error_set_errno(err, errno, "cannot give %s to group %" PRId64, path, gid);
    }
    return chmod(path, gid >= 0 ? grouped : plain) == 0 ? 0 : error_set_errno(err, errno, "cannot chmod %s", path);
}

/* Owner and mode are there with the mount itself: whoever finds it, finds it whole. */
static int mount_tmpfs(const char *path, uint64_t size, unsigned long flags, const char *mode, int64_t gid,
                       struct error *err)
{
    char options[128];
    int n = snprintf(options, sizeof options, "mode=%s", mode);
    if (gid >= 0) {
        n += snprintf(options + n, sizeof options - (size_t)n, ",gid=%" PRId64, gid);
    }
    if (size > 0) {
        snprintf(options + n, sizeof options - (size_t)n, ",size=%" PRIu64, size);
    }
    return fs_is_mount(path) ? 0 : fs_mount("tmpfs", path, "tmpfs", flags, options, err);
}

/* Under another name until it is as it has to be: an agent that dies in between leaves none that others cannot write
 * to. */
static int make_empty_dir(const char *path, int64_t gid, struct error *err)
{
    CLEANUP_FREE char *raw = xasprintf("%s.new", path);
    if (fs_exists(path)) {
        return 0;
    }
    int rc = fs_make_dirs(raw, 0755, err);
    failpoint(FAILPOINT_volume_before_mode);
    rc = rc != 0 ? rc : give_to_group(raw, gid, 0777, 02777, err);
    failpoint(FAILPOINT_volume_before_rename);
    return rc != 0 || rename(raw, path) == 0 ? rc : error_set_errno(err, errno, "cannot make %s", path);
}

int volume_empty_dir(struct volume_store *s, const char *uid, const char *name, bool memory, uint64_t size_limit,
                     int64_t gid, char path[VOLUME_PATH_MAX], struct error *err)
{
    volume_path(s, uid, name, path);
    if (s->hollow) {
        return 0;
    }
    if (!memory) {
        return make_empty_dir(path, gid, err);
    }
    int rc = fs_make_dirs(path, 0755, err);
    return rc != 0 ? rc : mount_tmpfs(path, size_limit, MS_NOSUID | MS_NODEV, gid >= 0 ? "2777" : "0777", gid, err);
}

/* ---- hostPath ---- */

static bool type_matches(const char *type, mode_t mode)
{
    static const struct {
        const char *type;
        mode_t mode;
    } table[] = {{"DirectoryOrCreate", S_IFDIR}, {"Directory", S_IFDIR},  {"FileOrCreate", S_IFREG}, {"File", S_IFREG},
                 {"Socket", S_IFSOCK},           {"CharDevice", S_IFCHR}, {"BlockDevice", S_IFBLK}};
    for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
        if (strcmp(table[i].type, type) == 0) {
            return (mode & S_IFMT) == table[i].mode;
        }
    }
    return false;
}

static int create_host_path(const char *path, const char *type, struct error *err)
{
    if (strcmp(type, "DirectoryOrCreate") == 0) {
        return fs_make_dirs(path, 0755, err);
    }
    if (strcmp(type, "FileOrCreate") == 0) { /* as the API has it: the parent must be there */
        CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        return fd >= 0 ? 0 : error_set_errno(err, errno, "hostPath: cannot create %s", path);
    }
    return 0;
}

int volume_host_path(struct volume_store *s, const char *host_path, const char *type, char path[VOLUME_PATH_MAX],
                     struct error *err)
{
    struct stat st;
    type = type == NULL ? "" : type;
    if (host_path[0] != '/' || strlen(host_path) >= VOLUME_PATH_MAX) {
        return error_set(err, ERR_INVALID, "hostPath \"%s\" is not an absolute path", host_path);
    }
    strcpy(path, host_path);
    if (s->hollow) {
        return 0;
    }
    int rc = stat(host_path, &st) == 0 ? 0 : -errno;
    if (rc == -ENOENT && (strcmp(type, "DirectoryOrCreate") == 0 || strcmp(type, "FileOrCreate") == 0)) {
        rc = create_host_path(host_path, type, err);
        if (rc != 0) {
            return rc;
        }
        rc = stat(host_path, &st) == 0 ? 0 : -errno;
    }
    if (rc == -ENOENT && type[0] == '\0') { /* no check wanted: as with docker, an empty directory appears */
        return fs_make_dirs(host_path, 0755, err);
    }
    if (rc != 0) {
        return error_set_errno(err, -rc, "hostPath type check failed: %s", host_path);
    }
    if (type[0] != '\0' && !type_matches(type, st.st_mode)) {
        return error_set(err, ERR_INVALID, "hostPath type check failed: %s is not a %s", host_path, type);
    }
    return 0;
}

/* ---- Sets of files ---- */

static int check_files(const struct volume_file *files, unsigned count, struct error *err)
{
    size_t total = 0;
    if (count > VOLUME_FILES_MAX) {
        return error_set(err, ERR_TOO_LARGE, "a volume of %u files is too large (at most %u)", count, VOLUME_FILES_MAX);
    }
    for (unsigned i = 0; i < count; i++) {
        const char *p = files[i].path;
        bool bad = p[0] == '\0' || p[0] == '/' || strncmp(p, "..", 2) == 0 || strlen(p) >= VOLUME_PATH_MAX / 2 ||
                   p[strlen(p) - 1] == '/';
        for (const char *c = p; c != NULL && !bad; c = strchr(c, '/'), c = c == NULL ? NULL : c + 1) {
            bad = c[0] == '/' || (c[0] == '.' && (c[1] == '/' || c[1] == '\0')) ||
                  (c[0] == '.' && c[1] == '.' && (c[2] == '/' || c[2] == '\0'));
        }
        if (bad) {
            return error_set(err, ERR_INVALID, "\"%s\" is no relative path for a file of a volume", p);
        }
        total += files[i].content.n;
    }
    return total <= VOLUME_FILE_SET_MAX
               ? 0
               : error_set(err, ERR_TOO_LARGE, "a volume of %zu bytes is too large (at most %u)", total,
                           VOLUME_FILE_SET_MAX);
}

static mode_t file_mode(const struct volume_file *f, int64_t gid)
{
    mode_t m = f->mode != 0 ? (mode_t)(f->mode & 0777) : 0644;
    return gid >= 0 ? m | 0440 : m; /* the group may read what is given to it */
}

static unsigned count_files(const char *dir)
{
    unsigned n = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) {
            continue;
        }
        char path[FS_PATH_MAX];
        fs_path(path, sizeof path, "%s/%s", dir, e->d_name);
        n += e->d_type == DT_DIR ? count_files(path) : 1;
    }
    if (d != NULL) {
        closedir(d);
    }
    return n;
}

/* Is this just what is there? */
static bool set_is_same(const char *path, const struct volume_file *files, unsigned count, int64_t gid)
{
    char data[FS_PATH_MAX], file[FS_PATH_MAX];
    struct stat st;
    fs_path(data, sizeof data, "%s/..data/", path);
    if (stat(data, &st) != 0 || count_files(data) != count) {
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        CLEANUP_BUF struct buf b = BUF_INIT;
        fs_path(file, sizeof file, "%s%s", data, files[i].path);
        if (stat(file, &st) != 0 || (st.st_mode & 07777) != file_mode(&files[i], gid) ||
            (files[i].user > 0 && st.st_uid != (uid_t)files[i].user) || (uint64_t)st.st_size != files[i].content.n ||
            fs_read_file(file, VOLUME_FILE_SET_MAX, &b, NULL) != 0 || !str_eq(buf_str(&b), files[i].content)) {
            return false;
        }
    }
    return true;
}

static int write_set(const char *dir, const struct volume_file *files, unsigned count, int64_t gid, struct error *err)
{
    char path[FS_PATH_MAX];
    int rc = fs_make_dirs(dir, 0755, err);
    rc = rc != 0 ? rc : give_to_group(dir, gid, 0755, 02755, err);
    for (unsigned i = 0; rc == 0 && i < count; i++) {
        fs_path(path, sizeof path, "%s/%s", dir, files[i].path);
        rc = fs_make_parent(path, 0755, err);
        rc = rc != 0 ? rc : fs_write_file(path, files[i].content, file_mode(&files[i], gid), false, err);
        if (rc == 0 && gid >= 0 && chown(path, (uid_t)-1, (gid_t)gid) != 0) {
            rc = error_set_errno(err, errno, "cannot give %s to group %" PRId64, path, gid);
        }
        if (rc == 0 && files[i].user > 0 && chown(path, (uid_t)files[i].user, (gid_t)-1) != 0) {
            rc = error_set_errno(err, errno, "cannot give %s to user %" PRId64, path, files[i].user);
        }
    }
    return rc;
}

/* NAME/first -> ..data/first for each first component, and away with links to what is no more. */
static int link_names(const char *path, const struct volume_file *files, unsigned count, struct error *err)
{
    char link[FS_PATH_MAX], target[FS_PATH_MAX];
    for (unsigned i = 0; i < count; i++) {
        int n = (int)strcspn(files[i].path, "/");
        fs_path(link, sizeof link, "%s/%.*s", path, n, files[i].path);
        fs_path(target, sizeof target, "..data/%.*s", n, files[i].path);
        if (symlink(target, link) != 0 && errno != EEXIST) {
            return error_set_errno(err, errno, "cannot make the link %s", link);
        }
    }
    return 0;
}

static void sweep(const char *path, const char *current)
{
    DIR *d = opendir(path);
    struct stat st;
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        char entry[FS_PATH_MAX];
        fs_path(entry, sizeof entry, "%s/%s", path, e->d_name);
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || strcmp(e->d_name, "..data") == 0 ||
            strcmp(e->d_name, current) == 0) {
            continue;
        }
        if (strncmp(e->d_name, "..", 2) == 0) {
            fs_remove_tree(entry, NULL); /* an older set */
        } else if (e->d_type == DT_LNK && stat(entry, &st) != 0) {
            unlink(entry);
        }
    }
    if (d != NULL) {
        closedir(d);
    }
}

static int replace_set(struct volume_store *s, const char *path, const struct volume_file *files, unsigned count,
                       int64_t gid, bool *changed, struct error *err)
{
    char name[64], dir[FS_PATH_MAX], tmp[FS_PATH_MAX], data[FS_PATH_MAX];
    struct timespec now;
    if (changed != NULL) {
        *changed = false;
    }
    if (set_is_same(path, files, count, gid)) {
        return 0;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(name, sizeof name, "..%lld-%u", (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000, s->set_number++);
    fs_path(dir, sizeof dir, "%s/%s", path, name);
    fs_path(tmp, sizeof tmp, "%s/..data_tmp", path);
    fs_path(data, sizeof data, "%s/..data", path);
    int rc = write_set(dir, files, count, gid, err);
    if (rc == 0) {
        unlink(tmp);
        if (symlink(name, tmp) != 0 || rename(tmp, data) != 0) {
            rc = error_set_errno(err, errno, "cannot swap %s", data);
        }
    }
    if (rc != 0) {
        fs_remove_tree(dir, NULL);
        return rc;
    }
    rc = link_names(path, files, count, err);
    sweep(path, name);
    if (changed != NULL) {
        *changed = true;
    }
    return rc;
}

int volume_files(struct volume_store *s, const char *uid, const char *name, bool secret,
                 const struct volume_file *files, unsigned count, int64_t gid, char path[VOLUME_PATH_MAX],
                 bool *changed, struct error *err)
{
    volume_path(s, uid, name, path);
    int rc = check_files(files, count, err);
    if (rc != 0 || s->hollow) {
        return rc;
    }
    rc = fs_make_dirs(path, 0755, err);
    if (rc == 0 && secret) {
        rc = mount_tmpfs(path, 0, MS_NOSUID | MS_NODEV | MS_NOEXEC, "0755", gid, err);
    }
    rc = rc != 0 ? rc : give_to_group(path, gid, 0755, 02755, err);
    return rc != 0 ? rc : replace_set(s, path, files, count, gid, changed, err);
}

int volume_update(struct volume_store *s, const char *uid, const char *name, const struct volume_file *files,
                  unsigned count, int64_t gid, bool *changed, struct error *err)
{
    char path[VOLUME_PATH_MAX];
    volume_path(s, uid, name, path);
    int rc = check_files(files, count, err);
    if (rc != 0 || s->hollow) {
        return rc;
    }
    if (!fs_exists(path)) {
        return error_set(err, ERR_NOT_FOUND, "there is no volume %s of pod %s", name, uid);
    }
    return replace_set(s, path, files, count, gid, changed, err);
}

int volume_read(struct volume_store *s, const char *uid, const char *name, const char *file, size_t max,
                struct buf *out, struct error *err)
{
    char dir[VOLUME_PATH_MAX], path[FS_PATH_MAX];
    const struct volume_file one = {.path = file};
    if (s->hollow) {
        return error_set(err, ERR_NOT_FOUND, "there is no disk");
    }
    int rc = check_files(&one, 1, err);
    volume_path(s, uid, name, dir);
    fs_path(path, sizeof path, "%s/..data/%s", dir, file);
    return rc != 0 ? rc : fs_read_file(path, max, out, err);
}

/* ---- Notes ---- */

int volume_write_note(struct volume_store *s, const char *uid, const char *name, struct str bytes, struct error *err)
{
    char path[VOLUME_PATH_MAX];
    assert(volume_name_is_safe(uid) && volume_name_is_safe(name) && bytes.n <= VOLUME_NOTE_MAX);
    if (s->hollow) {
        return 0;
    }
    fs_path(path, sizeof path, "%s/%s/notes/%s", s->dir, uid, name);
    int rc = fs_make_parent(path, 0700, err);
    return rc != 0 ? rc : fs_write_file(path, bytes, 0600, false, err);
}

bool volume_next_note(struct volume_store *s, const char *uid, unsigned *cursor, char name[256], struct buf *out)
{
    char path[VOLUME_PATH_MAX];
    unsigned at = 0;
    bool found = false;
    if (s->hollow) {
        return false;
    }
    fs_path(path, sizeof path, "%s/%s/notes", s->dir, uid);
    DIR *d = opendir(path);
    for (struct dirent *e; d != NULL && !found && (e = readdir(d)) != NULL;) {
        if (volume_name_is_safe(e->d_name) && !fs_is_leftover(e->d_name) && at++ == *cursor) {
            snprintf(name, 256, "%s", e->d_name);
            fs_path(path, sizeof path, "%s/%s/notes/%s", s->dir, uid, name);
            buf_reset(out);
            (*cursor)++;
            found = fs_read_file(path, VOLUME_NOTE_MAX, out, NULL) == 0;
        }
    }
    if (d != NULL) {
        closedir(d);
    }
    return found;
}

/* ---- The store ---- */

bool volume_next(struct volume_store *s, unsigned *cursor, char uid[64])
{
    DIR *d = s->hollow ? NULL : opendir(s->dir);
    unsigned at = 0;
    bool found = false;
    for (struct dirent *e; d != NULL && !found && (e = readdir(d)) != NULL;) {
        if (volume_name_is_safe(e->d_name) && strlen(e->d_name) < 64 && at++ == *cursor) {
            snprintf(uid, 64, "%.63s", e->d_name);
            (*cursor)++;
            found = true;
        }
    }
    if (d != NULL) {
        closedir(d);
    }
    return found;
}

void volume_hold(struct volume_store *s)
{
    s->holders++;
}

static void on_aside_closed(void *data)
{
    struct volume_store *s = data;
    void (*cb)(void *data) = s->close_cb;
    void *cb_data = s->close_data;
    attach_close(s);
    free(s->dir);
    free(s);
    if (cb != NULL) {
        cb(cb_data);
    }
}

void volume_release(struct volume_store *s)
{
    if (--s->holders > 0) {
        return;
    }
    if (s->aside != NULL) {
        aside_close(s->aside, on_aside_closed, s);
    } else {
        on_aside_closed(s);
    }
}

static struct volume_store *new_store(uv_loop_t *loop)
{
    struct volume_store *s = xcalloc(1, sizeof *s);
    s->loop = loop;
    s->holders = 1;
    s->mount_ms = VOLUME_MOUNT_MS;
    s->remove_ms = VOLUME_REMOVE_MS;
    list_init(&s->attachments);
    list_init(&s->removals);
    return s;
}

int volume_store_new(uv_loop_t *loop, const char *dir, const struct log *log, struct volume_store **out,
                     struct error *err)
{
    int rc = fs_make_private_dir(dir, err);
    if (rc != 0) {
        return rc;
    }
    CLEANUP_FREE char *real = realpath(dir, NULL);
    assert(real != NULL);
    if (strlen(real) > VOLUME_PATH_MAX / 2) {
        return error_set(err, ERR_INVALID, "the path %s is too long", dir);
    }
    struct volume_store *s = new_store(loop);
    s->log = log;
    s->dir = TAKE_PTR(real);
    s->aside = aside_new(loop);
    *out = s;
    return 0;
}

struct volume_store *volume_store_hollow_new(uv_loop_t *loop)
{
    struct volume_store *s = new_store(loop);
    s->hollow = true;
    return s;
}

void volume_set_events(struct volume_store *s, const struct volume_events *events, void *data)
{
    s->events = *events;
    s->events_data = data;
}

void volume_set_patience(struct volume_store *s, int64_t mount_ms, int64_t remove_ms)
{
    s->mount_ms = mount_ms;
    s->remove_ms = remove_ms;
}

static void close_deferred(void *data)
{
    volume_release(data);
}

void volume_store_close(struct volume_store *s, void (*cb)(void *data), void *data)
{
    assert(!s->closing);
    s->closing = true;
    s->close_cb = cb;
    s->close_data = data;
    attach_close(s);
    defer_call(s->loop, close_deferred, s);
}
