/* Removes from a Raft directory what its newest snapshot covers, while libraft works in it.
 *
 * libraft keeps two snapshots, and of the log whole segments: of those that a snapshot covers the last ones. Nothing of
 * that is needed to start: a snapshot, and the entries behind it. Who must not have on disk what was written before
 * a moment removes it here. What is removed is removed from the file system, not wiped from the disk. */
#ifndef RAFT_STORE_DISK_PRUNE_H
#define RAFT_STORE_DISK_PRUNE_H

#include <stdint.h>

#include "base/err.h"

struct disk_pruned {
    uint64_t
        snapshot_index;   /* of the newest snapshot, the one that is left; 0: there is none, and nothing was removed */
    uint64_t first_entry; /* the lowest in closed segments that are left; 0: none is left */
};
/* Not while libraft stores a snapshot. The caller sweeps state files behind it (snapfile.h). Open segments stay: since
 * libraft closes them with each snapshot that it takes, theirs are entries behind it. Each removal is durable before
 * the next one. On error some may have been removed, and it can be tried again. */
int disk_prune(const char *dir, struct disk_pruned *out, struct error *err);

#endif
