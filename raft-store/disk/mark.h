/* The mark: a file of ours beside libraft's, which says with a checksum what the directory must hold at least. By it a
 * master knows that a term or a vote was altered (libraft's metadata has no checksum), that the end of the log was lost
 * (files that are gone or zeroed), and that the directory is another master's.
 *
 * One sector, written in place and synced: at every change of term or vote, behind libraft's own write and before the
 * promise leaves; for the log, from time to time and when it is closed. So it never claims what is not on disk. Layout
 * (integers little-endian): "RVM1", u32 0, u64 id, u64 metadata version, u64 term, u64 vote, u64 index of the log's
 * end, u64 XXH3-64 of what stands before it. */
#ifndef RAFT_STORE_DISK_MARK_H
#define RAFT_STORE_DISK_MARK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define DISK_MARK_FILE "reeve-mark"

struct disk_mark {
    uint64_t id;
    uint64_t version, term, vote; /* of libraft's metadata */
    uint64_t last_index;          /* the log reached it, committed and on this disk */
};

/* ERR_NOT_FOUND, ERR_CORRUPT (names the file), ERR_IO. */
int disk_mark_read(const char *dir, struct disk_mark *out, struct error *err);
/* Blocks for one disk flush (three when the file is made). */
int disk_mark_write(const char *dir, const struct disk_mark *mark, struct error *err);

/* libraft's metadata1 and metadata2: 4 u64 each (format 1, version, term, vote), odd versions in the first; the
 * highest version counts. */
struct disk_metadata {
    uint64_t version, term, vote; /* version 0: none */
};
/* ERR_CORRUPT: they contradict themselves. */
int disk_metadata_read(const char *dir, struct disk_metadata *out, struct error *err);
/* Are the term and vote on disk those that were last promised, or of a promise that never left? The text says why
 * not. */
bool disk_mark_fits(const struct disk_mark *mark, const struct disk_metadata *m, const char **why);

#endif
