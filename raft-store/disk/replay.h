/* What a Raft directory would bring back: its readable part replayed through a store, in memory. Nothing on disk is
 * touched. */
#ifndef RAFT_STORE_DISK_REPLAY_H
#define RAFT_STORE_DISK_REPLAY_H

#include "raft-store/disk/scan.h"
#include "raft-store/store/store.h"

struct disk_replay {
    struct disk_report report;
    struct store *store;  /* as far as it could be read */
    int64_t last_wall_ms; /* when the last transaction was made; 0: no entry is there that tells */
};

/* All of it is looked at, also what libraft would pass over. Entries are replayed whether committed or not: a directory
 * by itself does not tell. seal_keys: NULL = the state ends before the first Secret. 0 also if the directory is
 * damaged: see the report. */
int disk_replay(const char *dir, const struct pki_ring *seal_keys, struct disk_replay *out, struct error *err);
void disk_replay_close(struct disk_replay *r);

#endif
