#include "raft-store/disk/scan.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/le.h"
#include "base/mem.h"
#include "base/spare.h"
#include "raft-store/disk/disk_int.h"
#include "raft-store/disk/mark.h"
#include "raft-store/disk/sequence.h"
#include "raft-store/disk/snapfile.h"
#include "raft-store/store/snapshot.h"

#define META_LIMIT (2u << 20)
#define META_HEAD  32u

struct scan {
    const char *dir;
    const struct disk_events *events;
    struct disk_report *report;
    struct error *err;
    struct disk_crc crc;
    struct disk_sequence sequence;
    struct disk_files files;
    uint64_t next; /* index of the next entry; entries up to the snapshot's are passed over */
    /* an open segment without entries has been seen: they are filled in order, so none with entries may follow */
    bool open_empty;
    char refused[DISK_DAMAGE_MAX]; /* what on_entry said */
};

/* ---- Files ---- */

static int open_file(const char *dir, const char *name, struct error *err)
{
    CLEANUP_FREE char *path = xasprintf("%s/%s", dir, name);
    int fd = spare_open(path, O_RDONLY | O_CLOEXEC, 0);
    return fd >= 0 ? fd : error_set_errno(err, -errno, "read %s", path);
}

int disk_read_into(const char *dir, const char *name, uint8_t *p, size_t size, size_t *n, struct error *err)
{
    CLEANUP_CLOSE int fd = open_file(dir, name, err);
    *n = 0;
    while (fd >= 0 && *n < size) {
        ssize_t got = read(fd, p + *n, size - *n);
        if (got < 0 && errno != EINTR) {
            return error_set_errno(err, -errno, "read %s/%s", dir, name);
        }
        if (got == 0) {
            break;
        }
        *n += got > 0 ? (size_t)got : 0;
    }
    return fd < 0 ? fd : 0;
}

int disk_read_file(const char *dir, const char *name, uint64_t limit, struct buf *out, struct error *err)
{
    CLEANUP_FREE char *path = xasprintf("%s/%s", dir, name);
    struct stat st;
    if (stat(path, &st) != 0) {
        return error_set_errno(err, -errno, "read %s", path);
    }
    if ((uint64_t)st.st_size > limit) {
        return error_set(err, ERR_TOO_LARGE, "%s has %" PRIu64 " bytes", path, (uint64_t)st.st_size);
    }
    size_t n;
    buf_reset(out);
    uint8_t *to = buf_reserve(out, (size_t)st.st_size + 1);
    int rv = disk_read_into(dir, name, to, (size_t)st.st_size, &n, err);
    out->size += rv == 0 ? n : 0;
    return rv;
}

static void damaged(struct scan *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void damaged(struct scan *s, const char *fmt, ...)
{
    va_list ap;
    if (s->report->state != DISK_DAMAGED) { /* the first one is told */
        s->report->state = DISK_DAMAGED;
        va_start(ap, fmt);
        vsnprintf(s->report->damage, sizeof s->report->damage, fmt, ap);
        va_end(ap);
    }
}

static void take_configuration(struct scan *s, uint64_t index, struct str bytes)
{
    struct raft_configuration c;
    if (disk_configuration_read(bytes, &c)) {
        raft_configuration_close(&s->report->configuration);
        s->report->configuration = c;
        s->report->configuration_index = index;
    }
}

/* ---- Snapshots ---- */

/* u64 format (1), u64 CRC of what follows, u64 index of the configuration, u64 its size, the configuration. */
static int read_meta(struct scan *s, const struct disk_snapshot_file *f)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    CLEANUP_FREE char *name = xasprintf("%s.meta", f->name);
    int rv = disk_read_file(s->dir, name, META_LIMIT, &b, s->err);
    if (rv != 0 && rv != ERR_TOO_LARGE) {
        return rv;
    }
    struct raft_configuration c;
    bool ok = rv == 0 && b.size >= META_HEAD && le_load_u64(b.data) == 1 &&
              le_load_u64(b.data + 24) == b.size - META_HEAD &&
              (uint32_t)le_load_u64(b.data + 8) == disk_crc(&s->crc, b.data + 16, b.size - 16, 0) &&
              disk_configuration_read((struct str){(const char *)b.data + META_HEAD, b.size - META_HEAD}, &c);
    if (!ok) {
        damaged(s, "%s: it does not fit its checksum", name);
        return ERR_CORRUPT;
    }
    raft_configuration_close(&s->report->configuration);
    s->report->configuration = c;
    s->report->configuration_index = le_load_u64(b.data + 16);
    return 0;
}

/* The state itself, or a reference to the file that holds it (snapfile.h). Without events only that it is there: the
 * store looks at all of it when it is loaded. */
static int read_data(struct scan *s, const struct disk_snapshot_file *f)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct snapfile_map state = {0};
    bool quick = s->events == NULL;
    if (quick && f->size != SNAPFILE_REF_SIZE) {
        return 0;
    }
    int rv = disk_read_file(s->dir, f->name, DISK_SNAPSHOT_MAX, &b, s->err);
    if (rv == 0) {
        rv = snapfile_open(s->dir, b.data, b.size, &state, s->err);
    }
    if (rv == 0 && !quick) {
        rv = snapshot_check(state.p, state.n, s->err);
    }
    if (rv == 0 && !quick && s->events->on_snapshot != NULL) {
        rv = s->events->on_snapshot(s->events->data, state.p, state.n, s->err);
    }
    rv = snapfile_tell_damage(b.data, b.size, &state, rv, s->err);
    snapfile_unmap(&state);
    if (rv == ERR_CORRUPT) {
        damaged(s, "%s: %s", f->name, s->err->message);
    }
    return rv;
}

static int choose_snapshot(struct scan *s)
{
    for (unsigned i = s->files.snapshots_count; i-- > 0;) {
        const struct disk_snapshot_file *f = &s->files.snapshots[i];
        int rv = 0;
        if (f->meta && !f->data) {
            /* a crash between the two files: the log still holds all of it, or the reading of segments fails */
            continue;
        }
        if (f->data && !f->meta) {
            damaged(s, "%s.meta is missing", f->name);
            continue;
        }
        if (f->size == 0) {
            damaged(s, "%s is empty", f->name);
            continue;
        }
        rv = read_meta(s, f);
        rv = rv == 0 ? read_data(s, f) : rv;
        if (rv == 0) {
            s->report->snapshot_index = f->index;
            s->report->snapshot_term = f->term;
            s->sequence.snapshot = f->name;
            s->sequence.snapshot_index = f->index;
            return 0;
        }
        if (rv != ERR_CORRUPT) {
            return rv;
        }
    }
    return 0;
}

/* ---- Segments ---- */

static int take_entry(void *data, struct disk_entry *e)
{
    struct scan *s = data;
    struct disk_report *r = s->report;
    e->index = s->next;
    if ((e->index > r->snapshot_index && e->term < r->last_term) ||
        (e->type != RAFT_COMMAND && e->type != RAFT_BARRIER && e->type != RAFT_CHANGE)) {
        snprintf(s->refused, sizeof s->refused,
                 "entry %" PRIu64 " is of term %" PRIu64 " and type %d behind term %" PRIu64, e->index, e->term,
                 e->type, r->last_term);
        return ERR_CORRUPT;
    }
    struct error gap = {0};
    if (disk_sequence_next(&s->sequence, e, &gap) != 0) {
        snprintf(s->refused, sizeof s->refused, "entry %" PRIu64 ": %.300s", e->index, gap.message);
        return ERR_CORRUPT;
    }
    if (e->index > r->snapshot_index) {
        if (s->events != NULL && s->events->on_entry != NULL) {
            int rv = s->events->on_entry(s->events->data, e, s->err);
            if (rv != 0) {
                snprintf(s->refused, sizeof s->refused, "entry %" PRIu64 ": %.300s", e->index, s->err->message);
                return rv;
            }
        }
        r->entries++;
        r->last_index = e->index;
        r->last_term = e->term;
    } else if (s->events != NULL && s->events->on_covered != NULL) {
        s->events->on_covered(s->events->data, e);
    }
    if (e->type == RAFT_CHANGE && e->index > r->configuration_index) {
        take_configuration(s, e->index, (struct str){e->data, e->size});
    }
    s->next++;
    return 0;
}

/* 0: go on with the next one; 1: the readable part of the log ends here. */
static int read_segment(struct scan *s, const struct disk_segment_file *f)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    int rv = disk_read_file(s->dir, f->name, DISK_SEGMENT_MAX, &b, s->err);
    if (rv == ERR_TOO_LARGE) {
        damaged(s, "%s: larger than a segment can be", f->name);
        return 1;
    }
    if (rv != 0) {
        return rv;
    }
    struct disk_segment seg = {.crc = &s->crc, .bytes = buf_str(&b), .open = f->open, .thorough = s->events != NULL};
    uint64_t first = s->next;
    disk_sequence_begin(&s->sequence, f->open);
    enum disk_segment_end end = disk_segment_walk(&seg, take_entry, s, &rv);
    disk_sequence_end(&s->sequence);
    if (rv != 0 && rv != ERR_CORRUPT) {
        return rv;
    }
    if (rv != 0) {
        damaged(s, "%s: %s", f->name, s->refused);
        return 1;
    }
    if (f->open && seg.count > 0 && s->report->unfinished) {
        damaged(s, "%s: entries stand behind a write that was never finished", f->name);
        return 1;
    }
    switch (end) {
    case DISK_SEGMENT_DAMAGED:
        damaged(s, "%s, byte %zu: %s", f->name, seg.at, seg.damage);
        return 1;
    case DISK_SEGMENT_UNFINISHED:
        s->report->unfinished = true;
        break;
    case DISK_SEGMENT_EMPTY:
    case DISK_SEGMENT_COMPLETE:
        break;
    }
    if (!f->open && (seg.count != f->last - f->first + 1 || seg.at != b.size)) {
        damaged(s, "%s: %" PRIu64 " entries, %" PRIu64 " expected", f->name, seg.count, f->last - f->first + 1);
        return 1;
    }
    if (f->open && seg.count > 0) {
        if (s->open_empty) {
            damaged(s, "an open segment before %s has lost its entries", f->name);
            s->next = first;
            return 1;
        }
    } else if (f->open) {
        s->open_empty = true;
        if (b.size == 0 &&
            f != &s->files.segments[s->files.segments_count - 1]) { /* each is made at its full size before the next */
            damaged(s, "%s is empty", f->name);
        }
    }
    return 0;
}

/* The closed segments that belong together at the end of the log begin here. */
static unsigned first_segment(const struct scan *s)
{
    unsigned closed = 0, i;
    while (closed < s->files.segments_count && !s->files.segments[closed].open) {
        closed++;
    }
    for (i = closed; i > 1 && s->files.segments[i - 2].last + 1 == s->files.segments[i - 1].first; i--) {
    }
    return closed == 0 ? 0 : i - 1;
}

static int read_segments(struct scan *s)
{
    struct disk_report *r = s->report;
    unsigned i = first_segment(s);
    s->next = r->snapshot_index + 1;
    if (i < s->files.segments_count && !s->files.segments[i].open) {
        bool behind = i == 0 || s->files.segments[i].first <= r->snapshot_index + 1;
        if (s->files.segments[i].first > r->snapshot_index + 1 || !behind) {
            damaged(s, "%s: the entries from %" PRIu64 " on are missing before it", s->files.segments[i].name,
                    r->snapshot_index + 1);
            i = 0; /* what can still be read are the older ones */
            while (i < s->files.segments_count && !s->files.segments[i].open &&
                   s->files.segments[i].last <= r->snapshot_index) {
                i++;
            }
        }
        if (i < s->files.segments_count && !s->files.segments[i].open) {
            s->next = s->files.segments[i].first;
        }
    }
    for (; i < s->files.segments_count; i++) {
        if (!s->files.segments[i].open && s->files.segments[i].first != s->next) {
            damaged(s, "%s: it should begin with entry %" PRIu64, s->files.segments[i].name, s->next);
            return 0;
        }
        int rv = read_segment(s, &s->files.segments[i]);
        if (rv != 0) {
            return rv == 1 ? 0 : rv;
        }
    }
    if (s->next <= r->snapshot_index && s->next > 1) {
        /* Closed segments that end before the snapshot are left over from its installation; libraft cannot load such
         * a directory. */
        bool any = s->files.segments_count > 0 && !s->files.segments[0].open && s->next > s->files.segments[0].first;
        if (any && s->files.segments[s->files.segments_count - 1].open) {
            damaged(s, "the entries end at %" PRIu64 ", before the snapshot at %" PRIu64, s->next - 1,
                    r->snapshot_index);
        }
    }
    return 0;
}

/* ---- The whole ---- */

static void check_mark(struct scan *s, uint64_t id, const struct disk_metadata *m)
{
    struct disk_report *r = s->report;
    struct disk_mark mark;
    struct error err = {0};
    int rv = disk_mark_read(s->dir, &mark, &err);
    const char *why;
    if (rv == ERR_NOT_FOUND) {
        return; /* written by a version without it */
    }
    if (rv != 0) {
        damaged(s, "%s", err.message);
        return;
    }
    if (id != 0 && mark.id != id) {
        damaged(s, "%s: the directory is master %" PRIu64 "'s", DISK_MARK_FILE, mark.id);
    }
    if (!disk_mark_fits(&mark, m, &why)) {
        damaged(s, "metadata1, metadata2: %s", why);
    }
    if (r->last_index < mark.last_index) {
        damaged(s, "the log ends at entry %" PRIu64 ", but reached entry %" PRIu64 ": its end is lost", r->last_index,
                mark.last_index);
    }
}

static int scan_all(struct scan *s, uint64_t id)
{
    struct disk_report *r = s->report;
    struct disk_metadata m = {0};
    int rv = disk_files_list(s->dir, &s->files, s->err);
    r->bytes = s->files.bytes;
    if (rv != 0) {
        return rv;
    }
    rv = disk_metadata_read(s->dir, &m, s->err);
    if (rv == ERR_CORRUPT) {
        damaged(s, "%s", s->err->message);
    } else if (rv != 0) {
        return rv;
    }
    r->term = m.term;
    r->voted_for = m.vote;
    rv = choose_snapshot(s);
    r->last_index = r->snapshot_index;
    r->last_term = r->snapshot_term;
    rv = rv == 0 ? read_segments(s) : rv;
    if (rv != 0) {
        return rv;
    }
    if (r->last_index > 0 && r->state != DISK_DAMAGED && m.term < r->last_term) {
        damaged(s, "metadata1, metadata2: %s, but the log has entries of term %" PRIu64,
                m.version == 0 ? "both are gone" : "their term is too low", r->last_term);
    }
    check_mark(s, id, &m);
    if (r->state != DISK_DAMAGED) {
        r->state = r->last_index > 0 || m.version > 0 ? DISK_WHOLE : DISK_NEW;
    }
    return 0;
}

int disk_scan(const char *dir, uint64_t id, const struct disk_events *events, struct disk_report *report,
              struct error *err)
{
    struct error local = {0};
    *report = (struct disk_report){0};
    raft_configuration_init(&report->configuration);
    struct scan *s = xcalloc(1, sizeof *s);
    s->dir = s->sequence.dir = dir;
    s->events = events;
    s->report = report;
    s->err = &local;
    disk_crc_init(&s->crc);
    int rv = scan_all(s, id);
    disk_files_close(&s->files);
    free(s);
    if (rv != 0) {
        disk_report_close(report);
        if (err != NULL) {
            *err = local;
        }
    }
    return rv;
}

void disk_report_close(struct disk_report *r)
{
    raft_configuration_close(&r->configuration);
    raft_configuration_init(&r->configuration);
}
