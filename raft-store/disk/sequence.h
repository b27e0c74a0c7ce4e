/* Do the commands in a log's open segments continue what stands before them?
 *
 * A closed segment bears its indexes in its name; one that was being written does not: libraft numbers its entries from
 * where the closed ones end, or from the snapshot. So if the last closed segments are gone, the entries behind them get
 * too low an index, and nothing that libraft looks at tells. But commands number their transactions without a gap and
 * bear the hash of the state that they were made from (entry.h): the first command of an open segment must be of the
 * revision behind that of the last command before it, and the first one behind the snapshot must have been made from
 * the snapshot's state. That is so in every log, whoever led, and committed or not: what replaces a suffix continues
 * what it is appended to, and a leader proposes behind what it has applied.
 *
 * Only open segments are looked at: what crashed while a leader's snapshot replaced the log may still have the older
 * log's closed ones. Barriers and configurations have no revision: if lost segments held nothing else, nothing is
 * seen. Internal to raft-store. */
#ifndef RAFT_STORE_DISK_SEQUENCE_H
#define RAFT_STORE_DISK_SEQUENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "raft-store/disk/scan.h"

struct disk_sequence {
    const char *dir;
    const char *snapshot; /* its data's file name; NULL: there is none, the log starts from nothing */
    uint64_t snapshot_index;
    /* The rest begins as zeros. */
    bool open;              /* of the segment that is being walked */
    bool in_segment;        /* a command of it has been seen */
    bool behind;            /* a command behind the snapshot has been seen */
    bool known;             /* the revision is */
    uint64_t revision;      /* after the last command of the segments before */
    struct disk_entry last; /* the last command of this segment; borrows from its bytes */
};

/* For each segment in order: begin, its entries, end while its bytes are still there. */
void disk_sequence_begin(struct disk_sequence *q, bool open);
/* ERR_CORRUPT: it does not continue; the text says what was expected and found. What cannot be read (an entry, the
 * snapshot) is passed over: whoever loads it tells. */
int disk_sequence_next(struct disk_sequence *q, const struct disk_entry *e, struct error *err);
void disk_sequence_end(struct disk_sequence *q);

#endif
