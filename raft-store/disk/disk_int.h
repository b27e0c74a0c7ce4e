/* What the readers of libraft's files share. No file outside raft-store includes this. */
#ifndef RAFT_STORE_DISK_DISK_INT_H
#define RAFT_STORE_DISK_DISK_INT_H

#include "base/buf.h"
#include "base/err.h"
#include "raft-store/disk/scan.h"

/* Up to `size` bytes; *n tells how many there are. */
int disk_read_into(const char *dir, const char *name, uint8_t *p, size_t size, size_t *n, struct error *err);
/* The whole file; ERR_TOO_LARGE above limit. */
int disk_read_file(const char *dir, const char *name, uint64_t limit, struct buf *out, struct error *err);

/* libraft's CRC-32: 0x04c11db7, high bit first, no inversion. Eight bytes at a time. */
struct disk_crc {
    uint32_t table[8][256];
};
void disk_crc_init(struct disk_crc *c);
uint32_t disk_crc(const struct disk_crc *c, const uint8_t *p, size_t n, uint32_t crc);

/* ---- disk/files.c: what files there are, by their names ---- */

struct disk_snapshot_file {
    uint64_t term, index, time;
    char name[80]; /* of the data; the head has ".meta" behind it */
    bool meta, data;
    uint64_t size; /* of the data */
};
struct disk_segment_file {
    bool open;
    uint64_t first, last; /* closed: indexes; open: `first` is the counter */
    char name[80];
};
struct disk_files {
    struct disk_snapshot_file *snapshots; /* oldest first */
    struct disk_segment_file *segments;   /* in order, the open ones behind the closed ones */
    unsigned snapshots_count, segments_count;
    uint64_t bytes; /* of all files */
};
/* No directory: no files. Close it whatever is returned. */
int disk_files_list(const char *dir, struct disk_files *out, struct error *err);
void disk_files_close(struct disk_files *f);

/* ---- disk/segment.c ---- */

enum disk_segment_end {
    DISK_SEGMENT_COMPLETE,   /* the last entry ends where the file does, or zeros follow */
    DISK_SEGMENT_EMPTY,      /* no entry, zeros only (or no byte) */
    DISK_SEGMENT_UNFINISHED, /* what follows is a write that a crash cut short */
    DISK_SEGMENT_DAMAGED,
};
struct disk_segment {
    const struct disk_crc *crc;
    struct str bytes;
    bool open;          /* being written when the master ended */
    bool thorough;      /* look at the data of closed segments too */
    uint64_t count;     /* out: entries */
    size_t at;          /* out: where it ends */
    const char *damage; /* out: what is wrong there */
};
/* Each entry to `each` (index is left 0), whose non-zero result ends the walk and is returned in *rv. */
enum disk_segment_end disk_segment_walk(struct disk_segment *s, int (*each)(void *data, struct disk_entry *e),
                                        void *data, int *rv);

/* libraft's form of a configuration; false: malformed (out is empty). out must be closed. */
bool disk_configuration_read(struct str bytes, struct raft_configuration *out);

#endif
