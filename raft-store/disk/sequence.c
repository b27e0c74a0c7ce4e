#include "raft-store/disk/sequence.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/spare.h"
#include "raft-store/disk/disk_int.h"
#include "raft-store/disk/snapfile.h"
#include "raft-store/store/entry.h"
#include "raft-store/store/snapshot.h"

/* The end of the state, wherever it lies, without reading all of it. */
static bool read_snapshot(const struct disk_sequence *q, uint64_t *revision, struct view_hash *hash)
{
    uint8_t bytes[SNAPFILE_REF_SIZE];
    CLEANUP_FREE char *path = xasprintf("%s/%s", q->dir, q->snapshot);
    CLEANUP_CLOSE int fd = spare_open(path, O_RDONLY | O_CLOEXEC, 0);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0 || st.st_size < (off_t)SNAPSHOT_END_SIZE) {
        return false;
    }
    if (st.st_size == SNAPFILE_REF_SIZE && pread(fd, bytes, sizeof bytes, 0) == (ssize_t)sizeof bytes &&
        snapfile_is_ref(bytes, sizeof bytes)) {
        struct snapfile_map map = {0};
        bool read =
            snapfile_map(q->dir, bytes, sizeof bytes, &map, NULL) == 0 && snapshot_end(map.p, map.n, revision, hash);
        snapfile_unmap(&map);
        return read;
    }
    return pread(fd, bytes, SNAPSHOT_END_SIZE, st.st_size - (off_t)SNAPSHOT_END_SIZE) == (ssize_t)SNAPSHOT_END_SIZE &&
           snapshot_end(bytes, SNAPSHOT_END_SIZE, revision, hash);
}

static int follows_snapshot(const struct disk_sequence *q, const struct disk_entry *e, struct error *err)
{
    uint64_t revision = 0;
    struct entry_span span;
    struct view_hash hash;
    if (!entry_read_span(e->data, e->size, &span) || (q->snapshot != NULL && !read_snapshot(q, &revision, &hash))) {
        return 0;
    }
    const char *behind = q->snapshot != NULL ? q->snapshot : "the beginning";
    if (span.first != revision + 1) {
        return error_set(err, ERR_CORRUPT,
                         "the first command behind %s should be revision %" PRIu64 ", found %" PRIu64
                         ": segments before it are lost",
                         behind, revision + 1, span.first);
    }
    if (q->snapshot != NULL && (span.before.lo != hash.lo || span.before.hi != hash.hi)) {
        return error_set(err, ERR_CORRUPT,
                         "the command of revision %" PRIu64 " was not made from the state of %s, revision %" PRIu64
                         ": they are not of one log",
                         span.first, behind, revision);
    }
    return 0;
}

static int follows_command(const struct disk_sequence *q, const struct disk_entry *e, struct error *err)
{
    struct entry_span span;
    if (!entry_read_span(e->data, e->size, &span) || span.first == q->revision + 1) {
        return 0;
    }
    return error_set(err, ERR_CORRUPT,
                     "the first command of the segment should be revision %" PRIu64 ", found %" PRIu64
                     ": segments before it are lost",
                     q->revision + 1, span.first);
}

void disk_sequence_begin(struct disk_sequence *q, bool open)
{
    q->open = open;
    q->in_segment = false;
}

int disk_sequence_next(struct disk_sequence *q, const struct disk_entry *e, struct error *err)
{
    if (e->type != RAFT_COMMAND) {
        return 0;
    }
    bool first_behind = e->index > q->snapshot_index && !q->behind, first_here = !q->in_segment;
    q->behind |= first_behind;
    q->in_segment = true;
    q->last = *e;
    if (q->open && first_behind) {
        return follows_snapshot(q, e, err);
    }
    return q->open && first_here && q->known ? follows_command(q, e, err) : 0;
}

void disk_sequence_end(struct disk_sequence *q)
{
    struct entry_span span;
    if (q->in_segment) {
        q->known = entry_read_span(q->last.data, q->last.size, &span);
        q->revision = q->known ? span.last : 0;
    }
}
