/* Inside the store: what eval.c, store.c, history.c and snapshot.c share. No file outside raft-store includes this. */
#ifndef RAFT_STORE_STORE_STORE_INT_H
#define RAFT_STORE_STORE_STORE_INT_H

#include "base/buf.h"
#include "base/list.h"
#include "proto/pki/pki.h"
#include "proto/schema/release.h"
#include "raft-store/store/entry.h"
#include "raft-store/store/store.h"
#include "raft-store/store/txnids.h"
#include "raft-store/store/view_edit.h"

/* What one transaction changed. Made when it is evaluated (leader) or decoded (others); lives in the open batch, then in a flight, then
 * in the history. One allocation: the changes stand behind it. There is one for nearly every object, so it is small. */
struct record {
    struct history_txn txn;
    struct record *next; /* in a batch or a flight */
};
struct records {
    struct record *first, **last;
};
void records_init(struct records *l);
void records_push(struct records *l, struct record *r);
void records_free(struct records *l);

/* Changes being collected for a record. The list holds a ref on every object in it. */
struct changes {
    struct change *items;
    unsigned count, cap;
};
void changes_push(struct changes *c, struct object *old_taken, const struct object *new);
void changes_clear(struct changes *c);
/* The record takes the refs; the list is empty then. */
struct record *record_new(uint64_t revision, struct changes *c);
void record_free(struct record *r);

/* The window of committed transactions, contiguous by revision. */
struct history {
    struct record **ring;
    size_t cap, first, count; /* cap: power of two or 0 */
    size_t bytes, bytes_max;
    uint64_t oldest;
};
void history_init(struct history *h, size_t bytes_max);
void history_close(struct history *h);
void history_restart(struct history *h, uint64_t revision);
void history_push(struct history *h, struct record *r); /* given; drops the oldest above the limit */

/* A closed batch on its way through Raft. */
struct flight {
    struct list link;
    struct view *after;
    struct view_hash before;
    struct records records;
    uint8_t head[ENTRY_HEAD_SIZE];
    size_t size;
};

struct store {
    const struct env *env;
    const struct log *log;
    bool has_key;
    uint8_t key[PKI_SEAL_KEY_SIZE];

    struct view *committed;
    uint64_t applied_index;
    bool broken; /* diverged or met a damaged entry: applies nothing more */
    struct txnids ids;
    struct history history;

    /* Leader */
    unsigned level;
    struct view *tip; /* NULL = not leading */
    uint64_t term;
    struct {
        struct buf payload;
        struct view_hash before;
        struct records records;
    } batch;
    struct list flights;
    struct record *last; /* of the last successful evaluation; borrowed from the batch; NULL = it changed nothing */

    struct changes changes;                              /* being collected */
    struct buf body, edits, sealed, aad, payload, marks; /* scratch */
};

/* txnid_mark of each change, appended. */
void store_write_marks(struct buf *out, const struct change *changes, unsigned count);

/* Whether entries bear what this program's release added to them. */
static inline bool store_writes_news(const struct store *s)
{
    return s->level >= release.level;
}

/* Whether objects of this kind are sealed where they leave memory. What is in those of an unknown kind, nobody here can tell. */
static inline bool store_seals(const struct store *s, unsigned kind_id)
{
    return s->has_key && (kind_id == KIND_SECRET || kind_by_id(kind_id) == NULL);
}

#endif
