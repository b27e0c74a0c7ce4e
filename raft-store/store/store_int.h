/* Inside the store: what eval.c, store.c, history.c and snapshot.c share; world_int.h has the part of worlds. No
 * file outside raft-store includes this. */
#ifndef RAFT_STORE_STORE_STORE_INT_H
#define RAFT_STORE_STORE_STORE_INT_H

#include "base/buf.h"
#include "base/list.h"
#include "proto/pki/ring.h"
#include "proto/schema/release.h"
#include "raft-store/store/entry.h"
#include "raft-store/store/pack.h"
#include "raft-store/store/store.h"
#include "raft-store/store/txnids.h"
#include "raft-store/store/view_edit.h"
#include "raft-store/store/world_int.h"

/* The window of committed transactions, in order; none is left out between two. */
struct history {
    struct record **ring;
    size_t cap, first, count; /* cap: power of two or 0 */
    size_t bytes, bytes_max;
    uint64_t oldest;
    uint64_t left; /* objects that went out of it and are still there, so far */
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
    struct pki_ring keys;

    struct view *committed;
    uint64_t applied_index, transactions;
    bool broken; /* diverged or met a damaged entry: applies nothing more */
    struct txnids ids;
    struct history history;
    struct pack pack;
    bool pack_early;
    uint64_t packed_at; /* the revision, in tests */

    /* Leader */
    const struct release *release;
    unsigned level;
    uint64_t events_bytes_max, events_dropped;
    struct world *tip; /* NULL = not leading; its records are those of the open batch */
    uint64_t term;
    struct {
        struct buf payload;
        struct view_hash before;
    } batch;
    struct list flights;

    struct changes changes;                       /* being collected by apply */
    struct buf body, sealed, aad, payload, marks; /* scratch */
};

const char *store_no_key_fits(const struct pki_ring *keys); /* why something sealed cannot be opened */
/* txnid_mark of each change, appended. */
void store_write_marks(struct buf *out, const struct change *changes, unsigned count);

/* Whether entries bear what this program's release added to them. */
static inline bool store_writes_news(const struct store *s)
{
    return s->level >= s->release->level;
}

/* Whether objects of this kind are sealed where they leave memory. What is in those of an unknown kind, nobody here
 * can tell. */
static inline bool store_seals(const struct store *s, unsigned kind_id)
{
    return s->keys.count > 0 && kind_stored(kind_id)->secret;
}

#endif
