/* The replicated state machine: committed and tip versions, evaluation, log entries, apply, history, snapshots. Pure:
 * no libuv, no libraft; the raft shell is raft-store/raft/replica.h.
 *
 * Invariants (checked):
 *  1. committed is what the entries applied so far say, and depends on nothing else.
 *  2. tip exists only on a leader that has passed its barrier; tip = committed + in-flight entries + the open batch.
 *  3. revision(tip) - revision(committed) = number of objects changed by transactions evaluated and not yet applied
 *     (below feature level 1: number of these transactions).
 *  4. an entry's state hash is that of the version it was decided on; apply compares it: a difference is divergence.
 *  5. nothing that was read from the tip leaves before what it saw has been committed (raft/replica.h keeps that for
 *     callers).
 *
 * Log entry: magic "RVE1", format version u16, flags u16 (1 = lz4), u32 payload size, u32 size uncompressed, XXH3-64 of
 * what follows the head, state hash before (128 bit), then transactions: revision, id, wall time, effects (put, splice,
 * delete). Padded to 8 bytes. Bodies of Secrets are sealed (AES-256-GCM, aad = the object's key) when the store has
 * keys, with the first of them; so are they in snapshots. Any of the keys opens them (proto/pki/ring.h). */
#ifndef RAFT_STORE_STORE_STORE_H
#define RAFT_STORE_STORE_STORE_H

#include "base/env.h"
#include "base/log.h"
#include "proto/pki/ring.h"
#include "raft-store/store/pack.h"
#include "raft-store/store/txn.h"
#include "raft-store/store/view.h"

struct store;
struct txnid;
struct store_config {
    const struct env *env; /* leader only: uids and timestamps; apply never looks */
    const struct log *log;
    const struct pki_ring *seal_keys; /* copied; NULL or empty = Secrets are not sealed (tests only) */
    size_t history_bytes_max;         /* 0 = 64 MiB: what watches can resume from */
    unsigned txn_ids_max;             /* 0 = 65536: remembered transaction ids */
    uint64_t events_bytes_max;        /* 0 = 64 MiB: leader only: what all events may weigh (event_ring.h) */
    bool pack_early;                  /* tests: objects are packed at once, not when the history is done with them */
    const struct release *release;    /* what entries are written as; NULL = this program's (others: tests only) */
};
struct store *store_new(const struct store_config *config);
void store_free(struct store *s);
/* Other keys for Secrets; copied, not empty. What is evaluated, and what is forked, from now on is sealed with the
 * first one. The keys of what is still in the log, or on its way there, must be among them. */
void store_set_seal_keys(struct store *s, const struct pki_ring *keys);

const struct view *store_committed(const struct store *s); /* borrowed until the next apply: view_ref to keep */
const struct view *
store_tip(const struct store *s); /* NULL: not leading; edited in place: borrowed until the next store_eval */
uint64_t store_applied_index(const struct store *s);
uint64_t store_transactions(const struct store *s); /* applied since the store was made */

/* ---- Leader ---- */
/* The cluster's feature level (proto/schema/release.h), as its record says that was committed: what is evaluated from
 * now on may hold kinds and fields of up to this level, and entries are written so. 0 at first. Apply never looks at
 * it. */
void store_set_level(struct store *s, unsigned level);
unsigned store_level(const struct store *s);
uint64_t store_events_bytes_max(const struct store *s); /* for worlds on forks: world_bound_events */
uint64_t store_events_dropped(const struct store *s);   /* by the bound, in transactions that were decided here */
void store_tip_open(struct store *s, uint64_t term);    /* after the barrier: tip = committed */
void store_tip_drop(struct store *s); /* leadership lost: the in-flight and the open batch are forgotten */

/* Evaluate on the tip, which is a world (world.h): 0: effects are on the tip and in the open batch. A refusal touches
 * nothing. Requires an open tip. txn is borrowed. */
int store_eval(struct store *s, const struct txn *t, struct txn_result *result, struct error *err);
/* What the last successful store_eval changed, for the controllers' queue. Borrowed until the next call. */
const struct change *store_last_changes(const struct store *s, unsigned *count);
bool store_batch_empty(const struct store *s);
size_t store_batch_bytes(const struct store *s);
/* Close the open batch into one log entry (appended to out, length a multiple of 8). The tip's version is kept until
 * it is applied. */
void store_batch_take(struct store *s, struct buf *entry);

/* ---- Every master ---- */
/* Apply one committed entry. ERR_CORRUPT: it cannot be decoded, or the state hash differs (divergence); then nothing
 * was applied and the store serves no more. Called in index order. */
int store_apply(struct store *s, uint64_t index, const void *entry, size_t n, struct error *err);
/* Entries that are not ours (barriers, configuration) also move the index. */
void store_apply_empty(struct store *s, uint64_t index);

/* Objects that have been left alone are packed (pack.h), as many as there is cause for and a turn of the loop has time
 * for. What was borrowed from the tip and from committed is not valid any more: the owner calls it between two turns,
 * when nobody has anything. No version that is held sees it. */
void store_pack(struct store *s);
void store_pack_stats(const struct store *s, struct pack_stats *out);

/* ---- Retried transactions ---- */
/* Looks on the tip if open, else in committed. False if the id is not remembered. */
bool store_find_txn(const struct store *s, const uint8_t id[TXN_ID_SIZE], uint64_t *revision);
/* What a remembered transaction did, so that its repetition is answered like itself. */
enum txn_done {
    TXN_DONE_UNCHANGED,
    TXN_DONE_CREATED,
    TXN_DONE_CHANGED,
    TXN_DONE_DELETED,
    /* it changed something; what is not remembered any more (too many changes since, or an old snapshot) */
    TXN_DONE_UNKNOWN,
};
struct txn_past {
    uint64_t revision;
    const struct history_txn *txn; /* with the objects, while the window of history has them; else NULL */
    const struct txnid *id;
    unsigned at; /* where the next search begins: objects are mostly asked for in order */
};
/* False: not remembered. Borrowed until the next evaluation or apply. */
bool store_past(const struct store *s, const uint8_t id[TXN_ID_SIZE], struct txn_past *out);
/* *object: as the transaction left it, or as it was before its deletion; NULL where unchanged or no longer in
 * memory. Borrowed. */
enum txn_done store_past_did(struct txn_past *p, const struct kind *k, struct str ns, struct str name,
                             const struct object **object);
/* How many objects it created, changed or deleted; 0 = no longer known. */
unsigned store_past_count(const struct txn_past *p);

/* ---- History: what watches read ---- */
/* Committed transactions since `oldest` in order. A watcher is a revision: it asks for the next behind the one it has
 * sent. Nothing is queued per watcher; who falls behind the window hears ERR_EXPIRED and lists again. */
uint64_t store_history_oldest(const struct store *s); /* the lowest revision a watch may start behind */
/* The first transaction with revision > after. If `after` lies between two of its objects, those up to `after` are
 * known to who asks: the rest is meant (txn_change_revision). 0 and *out = NULL if there is none yet; ERR_EXPIRED if
 * after < oldest. Borrowed until the next apply. */
int store_history_next(struct store *s, uint64_t after, const struct history_txn **out);
/* Room for the wire form of one change: empty at first, filled by who needs it first, shared by all watchers, freed
 * with the transaction. */
struct buf *store_history_wire(const struct history_txn *txn, unsigned change);

/* ---- Snapshots ---- */
/* A fork that a worker thread may serialise while the loop goes on. */
struct store_fork;
struct store_fork *store_fork_new(struct store *s);
void store_fork_free(struct store_fork *f); /* owner's thread */
/* Lets go of the state: whatever has changed since is freed with it, which takes a while. Any thread; behind it there
 * is only store_fork_free. */
void store_fork_drop(struct store_fork *f);
/* Worker thread. Chunks of at most 1 MiB go to the sink; format: magic "RVS1", version, lz4 blocks each with length and
 * checksum, a trailer with counts and the state hash. */
int store_fork_write(const struct store_fork *f, int (*sink)(void *data, const void *p, size_t n), void *data);
/* What is in it. Borrowed; any thread may read and ref. */
const struct view *store_fork_view(const struct store_fork *f);
uint32_t store_fork_ids(const struct store_fork *f);       /* remembered transaction ids */
const uint8_t *store_fork_key(const struct store_fork *f); /* by which it is sealed; NULL: by none. Borrowed */
/* Replace everything by a snapshot. On error (ERR_CORRUPT) the store is unchanged. History restarts: watchers hear
 * ERR_EXPIRED unless their revision is the snapshot's. */
int store_restore(struct store *s, const void *p, size_t n, uint64_t index, struct error *err);
/* Numbers the next transaction revision + 1, though fewer have been: for a state that goes on in another course of
 * history (a restored backup), whose revisions must not be mistaken for those that came after it in the first. Objects
 * keep their revisions; remembered transactions are moved along. Not while a tip is open; revision must not be below
 * the present one. */
void store_rebase(struct store *s, uint64_t revision);

#endif
