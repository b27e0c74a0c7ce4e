/* Recent transaction ids and the revisions they led to: what answers repeats. Bounded by age in revisions: an id is known as long as
 * fewer than `max` revisions have come after it. Same transactions, same memory, on every master. Internal to raft-store. */
#ifndef RAFT_STORE_TXNIDS_H
#define RAFT_STORE_TXNIDS_H

#include "raft-store/txn.h"

struct txnid {
    uint64_t revision; /* 0 = free */
    uint8_t id[TXN_ID_SIZE];
};
struct txnids {
    uint64_t max;
    uint32_t cap;       /* of the ring; power of two */
    struct txnid *ring; /* by revision modulo cap */
    uint32_t *table;    /* 2 cap slots: ring index + 1, open addressing */
};
void txnids_init(struct txnids *t, unsigned max);
void txnids_close(struct txnids *t);
void txnids_clear(struct txnids *t);
void txnids_add(struct txnids *t, const uint8_t id[TXN_ID_SIZE], uint64_t revision);
/* The revision, or 0 if unknown at revision `now`. */
uint64_t txnids_find(const struct txnids *t, const uint8_t id[TXN_ID_SIZE], uint64_t now);
/* Forget what came after `revision` (up to `last`): the tip was dropped. */
void txnids_drop_after(struct txnids *t, uint64_t revision, uint64_t last);
/* For snapshots: a copy of what is known at revision `now`, in order of revisions; malloc()ed. */
struct txnid *txnids_copy(const struct txnids *t, uint64_t now, uint32_t *count);

#endif
