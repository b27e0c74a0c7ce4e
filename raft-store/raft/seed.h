/* Raft directories that do not start empty: a state is laid down as the snapshot that the log of a new cluster begins
 * behind, with one voter, who leads at once when started. What restored backups and the recovery after the loss of a
 * majority stand on. Nothing of a former log is kept.
 *
 * Written through libraft (raft_uv's metadata and snapshot files), so that what is read later is what the library
 * itself wrote; the state lies in a file of its own (raft-store/disk/snapfile.h), which the node must be told to
 * look for (replica_config.snapshot_dir). */
#ifndef RAFT_STORE_RAFT_SEED_H
#define RAFT_STORE_RAFT_SEED_H

#include "raft-store/store/store.h"

struct seed {
    uint64_t id;          /* of the only member */
    const char *address;  /* where others will reach it */
    uint64_t term, index; /* place of the state in the log, at least 1 each */
    const struct store_fork *state;
};
/* Blocks; runs a loop of its own. dir must exist and be empty; when 0 is returned all is on disk. ERR_EXISTS if dir
 * holds a term or a snapshot already, ERR_NO_SPACE, ERR_IO; then dir holds nothing that can be started from: remove
 * it. */
int seed_write(const char *dir, const struct seed *seed, struct error *err);

#endif
