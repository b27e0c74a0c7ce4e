/* A world: a view, the changes made on it, and the evaluation of transactions: the one place where transactions are
 * decided.
 *
 * The leader's tip is a world in front of Raft (store_eval); a dry run, a plan, a question "what if" and a test are
 * worlds on forks, of which nobody hears. Opening one costs O(1), whatever the view holds: it shares the trees and
 * copies what it changes. The view that it was opened on is never changed, nor is any store.
 *
 * Guarantees
 *  1. the same transactions, evaluated in the same order on equal views with equal clocks and randomness, and the
 *     same bound of events, lead to the same state: the state hash is equal whether the world is a tip or a fork.
 *  2. a refused transaction leaves the world as it was.
 *  3. a world holds what it needs: the view it was opened on, and the store it came from, may go meanwhile.
 *
 * Threads: a world is used by one thread at a time, which may be another than the one that owns the state; that one
 * goes on meanwhile. It needs a view that is held for it (view_ref on the owner's thread, before it is handed over),
 * and an env of its own. What it made, objects and versions, may be given to any thread. */
#ifndef RAFT_STORE_STORE_WORLD_H
#define RAFT_STORE_STORE_WORLD_H

#include "raft-store/store/txn.h"
#include "raft-store/store/view.h"

struct world;
/* On view v (a ref is taken; NULL: on an empty one). env gives uids and timestamps; it must outlive the world. level:
 * the feature level (proto/schema/release.h), above which no kind and no field is written. */
struct world *world_new(const struct view *v, const struct env *env, unsigned level);
void world_free(struct world *w); /* NULL is fine */
/* The bound of all events, in bytes; 0: none, as at first. What is above it falls off with the transactions that write
 * events from now on, oldest first, and is among their changes (event_ring.h). A fork that is to decide as its store
 * does has store_events_bytes_max. */
void world_bound_events(struct world *w, uint64_t bytes_max);

/* As it is now. Edited in place: borrowed until the next world_eval; view_ref to keep this version. */
const struct view *world_view(const struct world *w);

/* Evaluates one transaction, all or nothing. A refusal (NOT_FOUND, EXISTS, CONFLICT, INVALID, USAGE, TOO_LARGE,
 * UNSUPPORTED: of a later feature level) touches nothing; err names the object as "deployments.apps \"web\" already
 * exists" does. Repetitions are the store's matter: the id is not looked at. t is borrowed. */
int world_eval(struct world *w, const struct txn *t, struct txn_result *result, struct error *err);

/* What the last successful evaluation changed; none if it changed nothing. Borrowed until the next evaluation. */
const struct change *world_last_changes(const struct world *w, unsigned *count);
/* All transactions that changed something since it was opened (or told to forget), in order: the one behind `after`
 * (NULL: the first), NULL at the end. Of the leader's tip: those that are in no log entry yet. Borrowed as long as
 * the world keeps it. */
const struct history_txn *world_next_txn(const struct world *w, const struct history_txn *after);
/* Lets go of them, for who reads each when it was made. Not on a tip. */
void world_forget(struct world *w);

/* Who decides on what others did: controllers, a scheduler, simulated agents. In the order in which they were added. */
#define WORLD_DECIDERS_MAX 8u
struct world_decider {
    void *data;
    /* Behind each evaluation that changed something. Must not evaluate. NULL: needs none. */
    void (*observe)(void *data, const struct change *changes, unsigned count);
    /* One turn: evaluates on the world what is to be done now; true if anything was. NULL: it only looks on. */
    bool (*turn)(void *data, struct world *w);
};
void world_add_decider(struct world *w, const struct world_decider *d); /* copied */
/* Turns of all deciders until none has anything to do, or turns_max rounds were made: then false. */
bool world_settle(struct world *w, unsigned turns_max);

#endif
