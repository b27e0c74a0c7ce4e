/* Snapshots: a whole version as bytes and back. Pure.
 *
 * Layout (integers little-endian): "RVS1", u16 version, u16 flags (0); blocks: u32 size packed (lz4; equal to the raw
 * size: stored), u32 raw size, u64 XXH3-64 of the packed bytes seeded with the block's number, bytes; trailer: a block
 * head with both sizes 0 and, as its checksum, the hash of what follows: u64 revision, u64 objects, u64 ids, 16 bytes
 * state hash. Raw content: records that do not cross blocks: 1 = object (kind, sealed 0/1, revision, [namespace, name
 * if sealed], body), 2 = transaction id (16 bytes, revision), 3 = the same with what the transaction did (count, u64
 * marks of txnids.h), 128 = events (a string: their count, and their 16 bytes of the state hash). Numbers are LEB128,
 * strings a number and bytes. Version 1 has no records of type 3; it is read, too. Internal to raft-store.
 *
 * Events are a section of their own: they stand behind all other objects, as records of type 1, and the record of type
 * 128, which stands before them, says what they must be when all is read. The trailer counts them with all objects, as
 * it always did. So a former program reads the whole, passing over that record, which is written from feature level
 * RELEASE_LEVEL_CARRIED on: before it, programs passed over nothing. In snapshots of former programs events stand
 * anywhere among the objects; they come to the ring all the same (event_ring.h).
 *
 * What a newer program may write: records from type 128 on are a string and may be passed over (and are lost then);
 * another version, other flags and other records must be understood: ERR_UNSUPPORTED, "written by a newer program",
 * never damage. Objects of unknown kinds are read, and written again sealed. None of this is written before the
 * cluster's feature level allows it. */
#ifndef RAFT_STORE_STORE_SNAPSHOT_H
#define RAFT_STORE_STORE_SNAPSHOT_H

#include "proto/pki/ring.h"
#include "raft-store/store/pack.h"
#include "raft-store/store/txnids.h"
#include "raft-store/store/view.h"

#define SNAPSHOT_BLOCK (256u << 10) /* a block is closed when it has reached this size */
#define SNAPSHOT_CHUNK (1u << 20)   /* the most that goes to the sink at once */

struct snapshot_source {
    const struct view *view;
    const struct txnid *ids;
    uint32_t ids_count;
    const uint8_t *seal_key; /* NULL = nothing is sealed */
    unsigned level;          /* the cluster's feature level */
};
/* 0, or what the sink returned. */
int snapshot_write(const struct snapshot_source *from, int (*sink)(void *data, const void *p, size_t n), void *data);
/* seal_keys: NULL = none, what is sealed is ERR_CORRUPT. pack: packs what has been read, now and then, so that a state
 * of packed objects does not need the room of a plain one on its way in; NULL: nothing is packed. A new view (one ref)
 * and the ids (added to `ids`, which must be empty). ERR_CORRUPT, ERR_UNSUPPORTED; then *out is NULL and ids are
 * undefined. */
int snapshot_read(const void *p, size_t n, const struct pki_ring *seal_keys, struct pack *pack, struct view **out,
                  struct txnids *ids, struct error *err);
/* Form and checksums only: before a snapshot from elsewhere is allowed to replace anything. */
int snapshot_check(const void *p, size_t n, struct error *err);
/* What the trailer says of the state, from the last SNAPSHOT_END_SIZE bytes alone, which may be all there is at p. Its
 * checksum is not looked at, as that needs the blocks before it. False: no trailer stands there. */
#define SNAPSHOT_END_SIZE 56u
bool snapshot_end(const void *p, size_t n, uint64_t *revision, struct view_hash *hash);

#endif
