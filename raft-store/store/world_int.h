/* Inside the store: records of transactions, and what a world is made of. No file outside raft-store includes this. */
#ifndef RAFT_STORE_STORE_WORLD_INT_H
#define RAFT_STORE_STORE_WORLD_INT_H

#include "base/buf.h"
#include "raft-store/store/view_edit.h"
#include "raft-store/store/world.h"

/* What one transaction changed. Made when it is evaluated (leader) or decoded (others); lives in the open batch, then
 * in a flight, then in the history. One allocation: the changes stand behind it. There is one for nearly every
 * object, so it is small. */
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
struct record *record_new(uint64_t revision, bool numbered, struct changes *c);
void record_free(struct record *r);

struct world {
    struct view *view;
    const struct env *env;
    unsigned level;
    uint64_t events_bytes_max; /* 0: none */
    uint64_t events_dropped;   /* so far */
    struct records records;    /* of all transactions, unless the store takes them */
    struct record *last;       /* of the last successful evaluation; borrowed from records; NULL = it changed nothing */
    int64_t wall_ms;           /* when that was */
    struct world_decider deciders[WORLD_DECIDERS_MAX];
    unsigned deciders_count;
    struct changes changes; /* being collected */
    struct buf body, edits; /* scratch */
};
/* The oldest events that the bound does not let stay, behind what the transaction on a state of revision `base` has
 * changed: taken out of the view, and added to the changes (event_ring.h). */
void world_drop_events(struct world *w, uint64_t base);
/* What the quotas become with the changes that a transaction on a state of revision `base` has made (world_quota.c), or
 * why it is refused (ERR_FORBIDDEN). The caller puts them, and closes the list. */
struct quota_writes {
    struct object **items;
    unsigned count;
};
int world_quotas(struct world *w, const struct txn *t, uint64_t base, struct quota_writes *out, struct error *err);
void quota_writes_close(struct quota_writes *l);
/* Its version may be edited: it is nobody else's, or becomes one that is not. */
void world_own_view(struct world *w);
/* The open batch is closed: its records go to the flight (out is initialised by it). */
void world_take_records(struct world *w, struct records *out);

#endif
