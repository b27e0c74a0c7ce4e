/* What a Raft directory holds, read by ourselves, before libraft touches it, and without changing anything.
 *
 * libraft 0.22.1 cannot be asked whether a directory is whole: it takes a damaged entry in the segment that is being
 * written for one that was never finished and cuts the log there, passes over a snapshot that it cannot read and starts
 * from an older one, believes a term and a vote without a checksum, and removes what it does not understand. A voter
 * that starts so has forgotten what it acknowledged, and may elect a leader without it. So the master looks first
 * (disk_check), and whoever inspects or recovers a directory reads it here as well.
 *
 * Damage is told from what a power cut leaves behind: the last write may be there in part. Blocks that were never
 * written are zero, since segments are made of zeros; so an entry whose checksum does not fit is unfinished if a whole
 * sector of it is zero, or what is left of the sector that it begins in, and damaged otherwise. A sector that was
 * lost altogether looks the same; the mark (raft-store/disk/mark.h) tells. */
#ifndef RAFT_STORE_DISK_SCAN_H
#define RAFT_STORE_DISK_SCAN_H

#include <raft.h>
#include <stdint.h>

#include "base/err.h"

#define DISK_SECTOR       512u
#define DISK_SNAPSHOT_MAX (2ull << 30)
#define DISK_SEGMENT_MAX  (64ull << 20) /* libraft's own limit is lower */
#define DISK_DAMAGE_MAX   400

enum disk_state {
    DISK_NEW,     /* there is no such directory, or nothing in it */
    DISK_WHOLE,   /* all that was acknowledged is there, as far as can be told */
    DISK_DAMAGED, /* see damage; what is told of the log is what can be read of it */
};

struct disk_report {
    enum disk_state state;
    char damage[DISK_DAMAGE_MAX]; /* file, place, what is wrong */
    bool unfinished;              /* a last write that a crash cut short is left out */
    uint64_t term, voted_for;
    uint64_t snapshot_index, snapshot_term;  /* 0: none */
    uint64_t last_index, last_term;          /* of the log, its snapshot included */
    uint64_t entries;                        /* behind the snapshot */
    uint64_t bytes;                          /* of all files */
    struct raft_configuration configuration; /* the last one in the log, committed or not; n = 0: none is known */
    uint64_t configuration_index;
};

struct disk_entry {
    uint64_t index, term;
    enum raft_entry_type type;
    const void *data;
    size_t size;
};

/* The readable part in order: the newest readable snapshot, then the entries behind it. What they refuse with
 * ERR_CORRUPT is damage (an older snapshot is tried; the log ends before the entry); any other error ends the scan.
 * Data is borrowed for the call. */
struct disk_events {
    void *data;
    int (*on_snapshot)(void *data, const void *p, size_t n, struct error *err);
    int (*on_entry)(void *data, const struct disk_entry *e, struct error *err);
    void (*on_covered)(void *data, const struct disk_entry *e); /* an entry that the snapshot covers; may be NULL */
};

/* events may be NULL; then snapshots are looked at and closed segments are walked without reading all of their bytes
 * again (libraft and the store check those when they load them). 0: see report->state, and close it. Otherwise the
 * directory could not be read (ERR_IO, ERR_FORBIDDEN, ...: nothing is known about its contents). id: the master's
 * own, 0 = not to be compared. */
int disk_scan(const char *dir, uint64_t id, const struct disk_events *events, struct disk_report *report,
              struct error *err);
void disk_report_close(struct disk_report *r);

#endif
