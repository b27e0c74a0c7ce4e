#include "agent/runtime/logfile.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "agent/util/fsutil.h"
#include "base/mem.h"
#include "base/timefmt.h"

#define CHAIN_MAX     100u         /* PATH.N beyond are not looked for */
#define PENDING_MAX   (256u << 10) /* a record without an end that long is garbage */
#define READ_BYTES    (32u << 10)
#define UNWATCHED_MS  1000
#define ROTATIONS_MAX 16u /* seen while a file is opened */

/* ---- Records ---- */

bool logfile_parse(struct str record, struct logfile_line *out)
{
    struct logfile_line l = {0};
    const char *end = record.p + record.n;
    const char *space = record.n == 0 ? NULL : memchr(record.p, ' ', record.n);
    if (space == NULL) {
        return false;
    }
    l.stamp = (struct str){record.p, (size_t)(space - record.p)};
    const char *s = space + 1;
    if (!timefmt_parse(l.stamp, &l.wall_ms) || end - s < 7) {
        return false;
    }
    if (memcmp(s, "stdout ", 7) == 0) {
        l.fd = 1;
    } else if (memcmp(s, "stderr ", 7) == 0) {
        l.fd = 2;
    } else {
        return false;
    }
    s += 7;
    /* Tags are separated by colons; the first one says full or partial. */
    if (s == end || (*s != 'F' && *s != 'P') || (s + 1 < end && s[1] != ' ' && s[1] != ':')) {
        return false;
    }
    l.partial = *s == 'P';
    const char *text = memchr(s, ' ', (size_t)(end - s));
    l.text = text == NULL ? STR_NONE : (struct str){text + 1, (size_t)(end - text - 1)};
    *out = l;
    return true;
}

/* ---- Places ---- */

/* A name of 253 characters with its namespace and uid is longer than a file's name may be: the uid tells pods apart,
 * so the name is cut. */
static const char *pod_dir(char out[NAME_MAX + 1], const char *ns, const char *pod, const char *uid)
{
    size_t fixed = strlen(ns) + strlen(uid) + 2;
    assert(fixed < NAME_MAX);
    fs_path(out, NAME_MAX + 1, "%s_%.*s_%s", ns, (int)(NAME_MAX - fixed), pod, uid);
    return out;
}

void logfile_path(char out[LOGFILE_PATH_MAX], const char *root, const char *ns, const char *pod, const char *uid,
                  const char *container, unsigned attempt)
{
    char dir[NAME_MAX + 1];
    fs_path(out, LOGFILE_PATH_MAX, "%s/%s/%s/%u.log", root, pod_dir(dir, ns, pod, uid), container, attempt);
}

int logfile_remove_pod(const char *root, const char *ns, const char *pod, const char *uid, struct error *err)
{
    char dir[NAME_MAX + 1];
    CLEANUP_FREE char *path = xasprintf("%s/%s", root, pod_dir(dir, ns, pod, uid));
    return fs_remove_tree(path, err);
}

void logfile_remove_old(const char *root, const char *ns, const char *pod, const char *uid, const char *container,
                        unsigned keep_from)
{
    char name[NAME_MAX + 1];
    CLEANUP_FREE char *dir = xasprintf("%s/%s/%s", root, pod_dir(name, ns, pod, uid), container);
    DIR *d = opendir(dir);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        unsigned attempt;
        char tail[8] = "";
        /* "3.log", "3.log.1" */
        if (sscanf(e->d_name, "%u.%4[log]", &attempt, tail) == 2 && strcmp(tail, "log") == 0 && attempt < keep_from) {
            unlinkat(dirfd(d), e->d_name, 0);
        }
    }
    if (d != NULL) {
        closedir(d);
    }
}

bool logfile_rotate(const char *path, uint64_t max_bytes, unsigned max_files)
{
    struct stat st;
    char from[FS_PATH_MAX], to[FS_PATH_MAX];
    assert(max_files >= 2);
    if (stat(path, &st) != 0 || (uint64_t)st.st_size <= max_bytes) {
        return false;
    }
    fs_path(to, sizeof to, "%s.%u", path, max_files - 1);
    unlink(to);
    for (unsigned i = max_files - 1; i > 1; i--) {
        fs_path(from, sizeof from, "%s.%u", path, i - 1);
        fs_path(to, sizeof to, "%s.%u", path, i);
        rename(from, to);
    }
    fs_path(to, sizeof to, "%s.1", path);
    return rename(path, to) == 0;
}

/* ---- Reading ---- */

struct logfile_reader {
    uv_loop_t *loop;
    uv_timer_t step; /* one step per turn of the loop */
    uv_fs_event_t watch;
    bool unwatched; /* the kernel has no watch left for us: it is read again and again */
    unsigned handles;
    bool watching, paused, finishing, ending, canceled, begins_with_gap;
    struct logfile_options o;
    struct logfile_events events;
    void *data;
    char *path;
    int fd;
    unsigned index;             /* of the chain: path.index, 0 = path itself */
    ino_t inode;                /* of what fd is; not given to another file while we hold it open */
    struct logfile_position at; /* behind what was given */
    int64_t left_bytes;         /* of limit_bytes */
    bool in_line;               /* the last record was partial: no time stamp before the next one */
    struct buf pending;         /* a record not yet complete */
    struct buf out;
    struct error error;
};

static void chain_name(const struct logfile_reader *r, unsigned index, char out[FS_PATH_MAX])
{
    if (index == 0) {
        fs_path(out, FS_PATH_MAX, "%s", r->path);
    } else {
        fs_path(out, FS_PATH_MAX, "%s.%u", r->path, index);
    }
}

static void reader_closed(uv_handle_t *h)
{
    struct logfile_reader *r = h->data;
    if (--r->handles > 0) {
        return;
    }
    if (!r->canceled) {
        r->events.on_end(r, r->error.code == 0 ? NULL : &r->error, r->data);
    }
    if (r->fd >= 0) {
        close(r->fd);
    }
    buf_close(&r->pending);
    buf_close(&r->out);
    free(r->path);
    free(r);
}

static void reader_end(struct logfile_reader *r)
{
    if (r->ending) {
        return;
    }
    r->ending = true;
    uv_close((uv_handle_t *)&r->step, reader_closed);
    if (r->watching) {
        uv_close((uv_handle_t *)&r->watch, reader_closed);
    }
}

static bool open_chain(struct logfile_reader *r, unsigned index)
{
    char name[FS_PATH_MAX];
    struct stat st;
    chain_name(r, index, name);
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) != 0) {
        return false;
    }
    if (r->fd >= 0) {
        close(r->fd);
    }
    buf_reset(&r->pending); /* torn: its end never came */
    r->fd = fd;
    r->index = index;
    r->inode = st.st_ino;
    return true;
}

static unsigned oldest_index(const struct logfile_reader *r)
{
    char name[FS_PATH_MAX];
    unsigned oldest = 0;
    while (oldest < CHAIN_MAX && (chain_name(r, oldest + 1, name), fs_exists(name))) {
        oldest++;
    }
    return oldest;
}

/* ---- Places in a log ---- */

/* Hash of the first bytes of fd, as many as a position at `offset` has seen. False: the file is shorter. */
static bool head_of(int fd, uint64_t offset, uint64_t *out)
{
    char head[LOGFILE_HEAD_BYTES];
    size_t want = offset < sizeof head ? (size_t)offset : sizeof head;
    if (pread(fd, head, want, 0) != (ssize_t)want) {
        return false;
    }
    *out = XXH3_64bits(head, want);
    return true;
}

/* A file of which nothing was read yet has no identity: the place stays the end of the one before. */
static void note_place(struct logfile_reader *r)
{
    off_t offset = lseek(r->fd, 0, SEEK_CUR) - (off_t)r->pending.size;
    struct logfile_position at = {.offset = (uint64_t)offset, .in_line = r->in_line};
    if (offset > 0 && head_of(r->fd, at.offset, &at.head)) {
        r->at = at;
    }
}

struct logfile_position logfile_tell(const struct logfile_reader *r)
{
    return r->at;
}

static void emit(struct logfile_reader *r);

static void tell_gap(struct logfile_reader *r)
{
    emit(r);
    r->in_line = false;
    if (!r->canceled && r->events.on_gap != NULL) {
        r->events.on_gap(r, r->data);
    }
}

/* Opens the file that `after` is in, behind it. False: there is no log. */
static bool find_place(struct logfile_reader *r)
{
    const struct logfile_position *after = &r->o.after;
    unsigned oldest = oldest_index(r);
    for (unsigned i = 0; after->offset > 0 && i <= oldest; i++) {
        struct stat st;
        uint64_t head;
        if (open_chain(r, i) && fstat(r->fd, &st) == 0 && (uint64_t)st.st_size >= after->offset &&
            head_of(r->fd, after->offset, &head) && head == after->head) {
            lseek(r->fd, (off_t)after->offset, SEEK_SET);
            r->at = *after;
            r->in_line = after->in_line;
            return true;
        }
    }
    if (!open_chain(r, oldest)) {
        return false;
    }
    r->begins_with_gap = after->offset > 0;
    return true;
}

/* We begin at the first byte of file `index`, of which nothing can be said yet: that is behind the last byte of the
 * one before it. */
static void note_end_of(struct logfile_reader *r, unsigned index)
{
    char name[FS_PATH_MAX];
    struct stat st;
    chain_name(r, index, name);
    CLEANUP_CLOSE int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct logfile_position at = {0};
    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0) {
        at.offset = (uint64_t)st.st_size;
        r->at = head_of(fd, at.offset, &at.head) ? at : r->at;
    }
}

/* Offset at which the last `lines` records of fd begin; what is missing stays in *lines. */
static off_t tail_offset(int fd, int64_t *lines)
{
    off_t end = lseek(fd, 0, SEEK_END);
    char block[8192];
    bool first = true;
    while (end > 0) {
        off_t start = end > (off_t)sizeof block ? end - (off_t)sizeof block : 0;
        ssize_t n = pread(fd, block, (size_t)(end - start), start);
        if (n <= 0) {
            return 0;
        }
        for (ssize_t i = n - 1; i >= 0; i--) {
            /* The newline at the very end closes the last record; others begin the one behind them. */
            if (block[i] == '\n' && !first && --*lines == 0) {
                return start + i + 1;
            }
            first = false;
        }
        end = start;
    }
    if (!first) {
        --*lines; /* the first record of the file has no newline before it */
    }
    return 0;
}

/* Where to begin: the oldest file, or as far back as tail wants. */
static bool find_start(struct logfile_reader *r)
{
    unsigned oldest = oldest_index(r);
    if (r->o.resume) {
        return find_place(r);
    }
    if (r->o.tail_lines < 0) {
        return open_chain(r, oldest);
    }
    int64_t lines = r->o.tail_lines;
    for (unsigned i = 0; i <= oldest; i++) {
        if (!open_chain(r, i)) {
            return false;
        }
        off_t at = lines == 0 ? lseek(r->fd, 0, SEEK_END) : tail_offset(r->fd, &lines);
        lseek(r->fd, at, SEEK_SET);
        if (lines <= 0) {
            if (at == 0 && i < oldest) {
                note_end_of(r, i + 1);
            }
            break;
        }
    }
    return true;
}

static void put_out(struct logfile_reader *r, const char *p, size_t n)
{
    if (r->o.limit_bytes > 0) {
        n = MIN(n, (size_t)r->left_bytes);
        r->left_bytes -= (int64_t)n;
    }
    buf_append(&r->out, p, n);
}

static void put_record(struct logfile_reader *r, struct str record)
{
    struct logfile_line l;
    if (!logfile_parse(record, &l) || (r->o.since_wall_ms > 0 && l.wall_ms < r->o.since_wall_ms)) {
        return;
    }
    if (r->events.on_record != NULL) {
        if (!r->canceled) {
            r->events.on_record(r, l.fd, l.text, !l.partial, r->data);
        }
        return;
    }
    if (r->o.timestamps && !r->in_line) {
        bool utc = str_ends(l.stamp, STR("+00:00")); /* conmon's way of writing Z */
        put_out(r, l.stamp.p, utc ? l.stamp.n - 6 : l.stamp.n);
        put_out(r, utc ? "Z " : " ", utc ? 2 : 1);
    }
    put_out(r, l.text.p, l.text.n);
    if (!l.partial) {
        put_out(r, "\n", 1);
    }
    r->in_line = l.partial;
}

static void take_records(struct logfile_reader *r)
{
    size_t at = 0;
    for (;;) {
        const uint8_t *nl = at == r->pending.size ? NULL : memchr(r->pending.data + at, '\n', r->pending.size - at);
        if (nl == NULL) {
            break;
        }
        size_t n = (size_t)(nl - (r->pending.data + at));
        put_record(r, (struct str){(const char *)r->pending.data + at, n});
        at += n + 1;
    }
    buf_consume(&r->pending, at);
    if (r->pending.size > PENDING_MAX) {
        buf_reset(&r->pending);
    }
}

static void emit(struct logfile_reader *r)
{
    if (r->out.size > 0 && !r->canceled) {
        note_place(r);
        r->events.on_data(r, r->out.data, r->out.size, r->data);
    }
    buf_reset(&r->out);
}

static void step(uv_timer_t *t);

static void schedule(struct logfile_reader *r)
{
    if (!r->paused && !r->ending) {
        uv_timer_start(&r->step, step, 0, 0);
    }
}

/* Opens the file that follows the one in hand, which is not the newest any more. Rotation may go on meanwhile: names
 * move, inodes do not. */
static bool open_successor(struct logfile_reader *r)
{
    for (unsigned tries = 0; tries < ROTATIONS_MAX; tries++) {
        unsigned oldest = oldest_index(r), i = 1;
        ino_t former = r->inode;
        struct stat st;
        char name[FS_PATH_MAX];
        while (i <= oldest && (chain_name(r, i, name), stat(name, &st) != 0 || st.st_ino != former)) {
            i++;
        }
        if (i > oldest) { /* rotated away under us; how much was in between nobody knows */
            bool opened = open_chain(r, oldest);
            if (opened) {
                tell_gap(r);
            }
            return opened;
        }
        int kept = dup(r->fd); /* holds the inode */
        bool opened = open_chain(r, i - 1);
        bool moved = stat(name, &st) != 0 || st.st_ino != former;
        if (opened && moved) { /* that was the one behind: back to the former, and again */
            close(r->fd);
            r->fd = kept;
            r->inode = former;
            continue;
        }
        close(kept);
        return opened;
    }
    return false; /* the next change of the directory wakes us */
}

/* At the end of the file. Returns false if there is nothing more for now. */
static bool next_file(struct logfile_reader *r)
{
    struct stat st;
    /* The newest, or between two files: the writer makes the new one after its last word to the old one. */
    if (r->index == 0 && (stat(r->path, &st) != 0 || st.st_ino == r->inode)) {
        return false;
    }
    uint8_t *p = buf_reserve(&r->pending, 1);
    ssize_t n = read(r->fd, p, 1);
    if (n > 0) {
        r->pending.size += 1;
        return true;
    }
    return open_successor(r);
}

static void step(uv_timer_t *t)
{
    struct logfile_reader *r = t->data;
    bool idle = false;
    if (r->fd < 0) {
        if (!find_start(r)) {
            error_set(&r->error, ERR_NOT_FOUND, "there is no log %s", r->path);
            reader_end(r);
            return;
        }
        note_place(r);
        if (!r->canceled && r->events.on_begin != NULL) {
            r->events.on_begin(r, r->data);
        }
        if (r->begins_with_gap) {
            tell_gap(r);
        }
        if (r->ending || r->paused) {
            return;
        }
    }
    while (r->out.size < LOGFILE_CHUNK_MAX - READ_BYTES && !idle && !r->paused) {
        ssize_t n = read(r->fd, buf_reserve(&r->pending, READ_BYTES / 2), READ_BYTES / 2);
        if (n < 0 && errno != EINTR) {
            error_set_errno(&r->error, errno, "cannot read %s", r->path);
            break;
        }
        if (n == 0) {
            idle = !next_file(r);
            continue;
        }
        r->pending.size += n > 0 ? (size_t)n : 0;
        take_records(r);
        if (r->o.limit_bytes > 0 && r->left_bytes == 0) {
            break;
        }
    }
    bool over =
        r->error.code != 0 || (r->o.limit_bytes > 0 && r->left_bytes == 0) || (idle && (!r->o.follow || r->finishing));
    emit(r);
    if (r->events.on_step != NULL && !r->canceled) {
        r->events.on_step(r, r->data);
    }
    if (over) {
        reader_end(r);
    } else if (!idle) {
        schedule(r);
    } else if (r->unwatched && !r->paused && !r->ending) {
        uv_timer_start(&r->step, step, UNWATCHED_MS, 0);
    }
}

static void on_change(uv_fs_event_t *h, const char *name, int events, int status)
{
    (void)name;
    (void)events;
    (void)status;
    schedule(h->data);
}

struct logfile_reader *logfile_read(uv_loop_t *loop, const char *path, const struct logfile_options *o,
                                    const struct logfile_events *events, void *data)
{
    struct logfile_reader *r = xcalloc(1, sizeof *r);
    r->loop = loop;
    r->o = *o;
    r->events = *events;
    r->data = data;
    r->path = xstrdup(path);
    r->fd = -1;
    r->left_bytes = o->limit_bytes;
    uv_timer_init(loop, &r->step);
    r->step.data = r;
    r->handles = 1;
    if (o->follow) {
        /* The directory, not the file: rotation puts another file into its place. */
        CLEANUP_FREE char *dir = xstrdup(path);
        char *slash = strrchr(dir, '/');
        assert(slash != NULL);
        *slash = '\0';
        uv_fs_event_init(loop, &r->watch);
        r->watch.data = r;
        r->watching = true;
        r->handles++;
        r->unwatched = uv_fs_event_start(&r->watch, on_change, dir, 0) != 0;
    }
    schedule(r);
    return r;
}

void logfile_pause(struct logfile_reader *r, bool pause)
{
    if (r->paused == pause) {
        return;
    }
    r->paused = pause;
    if (pause && !r->ending) {
        uv_timer_stop(&r->step);
    } else {
        schedule(r);
    }
}

void logfile_finish(struct logfile_reader *r)
{
    r->finishing = true;
    schedule(r);
}

void logfile_cancel(struct logfile_reader *r)
{
    r->canceled = true;
    reader_end(r);
}
