/* Recent transaction ids, the revisions they led to, and what each did to which object: what answers repeats. Bounded
 * by age: an id is known as long as fewer than `max` others have come after it; what was done is known as long as,
 * besides, no more than TXNIDS_MARKS_MAX objects have been changed since. Same transactions, same memory, on every
 * master. Internal to raft-store. */
#ifndef RAFT_STORE_STORE_TXNIDS_H
#define RAFT_STORE_STORE_TXNIDS_H

#include "raft-store/store/store.h"

#define TXNIDS_MARKS_MAX (1u << 20)

/* What was done to one object: enum txn_done in the lowest two bits (CREATED to DELETED), the rest is a hash of
 * kind, namespace and name. */
typedef uint64_t txnid_mark;
txnid_mark txnid_mark_of(const struct kind *k, struct str ns, struct str name, enum txn_done done);

struct txnid {
    uint64_t revision;
    uint8_t id[TXN_ID_SIZE];
    bool gone;            /* its id was used again later, which it can be once it is not known any more */
    uint32_t marks_count; /* 0 = not known any more: a transaction that changed nothing is not remembered at all */
    union {               /* most have one */
        txnid_mark one;
        txnid_mark *many;
    }; /* in the order of the changes */
};
static inline const txnid_mark *txnid_marks(const struct txnid *e)
{
    return e->marks_count == 1 ? &e->one : e->many;
}
struct txnids {
    uint64_t max;
    uint32_t cap;       /* of the ring; power of two */
    struct txnid *ring; /* by place modulo cap */
    /* Ids are numbered as they come: those of places [first, end) are in the ring, in order of revisions. */
    uint64_t first, end;
    uint64_t seed;   /* base/hash.h; of the table */
    uint32_t *table; /* 2 cap slots: ring index + 1, open addressing */
    /* Marks are let go by what has been committed alone: those of places in [kept_from, settled) are kept, `kept` in
     * all. */
    uint64_t kept_from, settled, kept;
    uint32_t owners; /* entries whose marks lie in memory of their own */
};
void txnids_init(struct txnids *t, unsigned max);
void txnids_close(struct txnids *t);
void txnids_clear(struct txnids *t);
/* revision is above all others. marks are copied. */
void txnids_add(struct txnids *t, const uint8_t id[TXN_ID_SIZE], uint64_t revision, const txnid_mark *marks,
                uint32_t marks_count);
/* Up to `revision` all is committed. */
void txnids_settle(struct txnids *t, uint64_t revision);
/* The revision, or 0 if unknown at revision `now`. */
uint64_t txnids_find(const struct txnids *t, const uint8_t id[TXN_ID_SIZE], uint64_t now);
/* The same with what was done; NULL if unknown. Borrowed until the next change. */
const struct txnid *txnids_get(const struct txnids *t, const uint8_t id[TXN_ID_SIZE], uint64_t now);
/* Forget what came after `revision`: the tip was dropped. */
void txnids_drop_after(struct txnids *t, uint64_t revision);
uint64_t txnids_newest(const struct txnids *t); /* the highest revision in it; 0 = empty */
/* For snapshots: a copy of what is known at revision `now`, in order of revisions, to be freed with
 * txnids_copy_free. */
struct txnid *txnids_copy(const struct txnids *t, uint64_t now, uint32_t *count);
void txnids_copy_free(struct txnid *copy, uint32_t count);

#endif
