/* Raft directories that do not start empty: a state is laid down as the snapshot that the log of a new cluster begins behind, with one voter, who
 * leads at once when started. What restored backups and the recovery after the loss of a majority stand on. Nothing of a former log is kept.
 *
 * Written through libraft (raft_uv's metadata and snapshot files), so that what is read later is what the library itself wrote. */
#ifndef RAFT_STORE_SEED_H
#define RAFT_STORE_SEED_H

#include "raft-store/store.h"

struct seed {
    uint64_t id;         /* of the only member */
    const char *address; /* where others will reach it */
    /* Place of the state in the log, at least 1 each. A term above all that was ever used, so that nothing from there is taken for newer. */
    uint64_t term, index;
    const struct store_fork *state;
};
/* Blocks; runs a loop of its own. dir must exist and be empty; when 0 is returned all is on disk. ERR_EXISTS if dir holds a term or a
 * snapshot already, ERR_NO_SPACE, ERR_IO, ERR_TOO_LARGE (SEED_BYTES_MAX); then dir holds nothing that can be started from: remove it. */
#define SEED_BYTES_MAX ((2ull << 30) - (64ull << 10)) /* libraft's snapshots end below 2 GiB */
int seed_write(const char *dir, const struct seed *seed, struct error *err);

#endif
