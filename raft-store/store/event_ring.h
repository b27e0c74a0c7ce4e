/* The ring of events: what a version of the state holds beside the tree of objects, for Events alone. Internal to
 * raft-store; others ask a view.
 *
 * Why apart: events are the one kind that is written without end and wanted for a while only. In the tree of objects
 * a flood of them would fill the bound of the whole state, and nothing would tell the oldest. Here each namespace has
 * a ring: what is written goes to its newer end, also an event that is counted up, and what is over a bound falls off
 * at its older end, as what has expired does (controllers/cluster/event_ttl.c).
 *
 * What it is: persistent trees (ptree.h), so that a version is forked in O(1) and read by any thread, as the tree of
 * objects is.
 *
 *   by_name   namespace, name                   get, list, pages: what users see is as it is for other kinds
 *   by_age    namespace, revision, name         the rings, one behind another; the oldest of each is its first
 *   spaces    namespace                         what its events weigh together
 *   by_size   weight in steps, namespace        the heaviest namespace first
 *   indexes   by involved object, by owner      as those of other objects (index.h)
 *
 * The order of a ring is that of the revisions at which its events were written, which every replica knows: so it is
 * not stored. Log entries bear events as they bear other objects, and what falls off is a delete in the transaction
 * that made it fall. So
 *  1. the leader alone decides what falls off (world.c), when it evaluates a transaction that writes an event; others
 *     apply it. The same events are on all replicas at the same revision, whatever each one's bound is.
 *  2. watchers are told DELETED, like anybody who reads changes.
 *  3. a program that knows of no ring reads and applies all of it, and reads and writes the same snapshots: it only
 *     lets nothing fall off. Its snapshots and log entries are read here as they are; the events among their objects
 *     come to the ring by being put into a view. No feature level is needed for that.
 *
 * Bounds: so many bytes in all, and an EVENT_NAMESPACE_PART of them in a namespace. An event weighs its body and
 * EVENT_KEEP_BYTES. When a transaction that has written events is done,
 *  a. each namespace that it wrote to loses its oldest while it is above its bound;
 *  b. then the heaviest namespace that still has older ones loses its oldest while all together are above their bound,
 *     or it is above its own (which is so after the bound was lowered, or where a former program wrote).
 * So a namespace loses nothing to others while it has less than an equal share of the whole (less one step of
 * by_size), however much they write. What the transaction itself has written stays. It drops as many as may weigh what
 * it has written and EVENT_DROPS_MORE besides, at most: so a bound that held holds again, one that did not is reached
 * step by step, and the work is bounded by what is written. A transaction has at most TXN_OPS_MAX changes all the same;
 * what is left over then falls with the next one.
 *
 * Sums: view_state_hash is the sum of the hash of all other objects and of that of the ring, which is what former
 * programs compare; each of the two is kept by itself. A snapshot has the ring's in a record of its own (snapshot.h).
 * The contents of namespaces (sums.h) count events, too: a namespace that is deleted asks for them. */
#ifndef RAFT_STORE_STORE_EVENT_RING_H
#define RAFT_STORE_STORE_EVENT_RING_H

#include "raft-store/store/index_tree.h"
#include "raft-store/store/view.h"

#define EVENT_KEEP_BYTES     512u /* what an event takes beside its body, in trees and heads */
#define EVENT_NAMESPACE_PART 4u   /* of the bound of all */
#define EVENT_DROPS_MORE     64u
#define EVENT_STEP_BYTES     (4u << 10) /* of by_size */

struct event_ring {
    struct ptree by_name, by_age, spaces, by_size;
    struct indexes indexes;
    uint64_t weight, body_bytes; /* of all */
};

static inline bool event_ring_holds(const struct kind *k)
{
    return k->id == KIND_EVENT;
}
static inline uint64_t event_ring_weight(const struct object *event)
{
    return (uint64_t)event->body_size + EVENT_KEEP_BYTES;
}

void event_ring_init(struct event_ring *r);
void event_ring_close(struct event_ring *r);
void event_ring_fork(const struct event_ring *from, struct event_ring *to); /* to is initialised by it; O(1) */

/* Put an event in place of what has its name (a ref is taken), at the place that its revision gives it. The former one,
 * its ref taken by the caller, or NULL. */
struct object *event_ring_put(struct event_ring *r, const struct object *event);
/* The removed event, its ref taken by the caller, or NULL if absent. */
struct object *event_ring_remove(struct event_ring *r, struct str ns, struct str name);

const struct object *event_ring_get(const struct event_ring *r, struct str ns, struct str name); /* borrowed, or NULL */
uint64_t event_ring_space(const struct event_ring *r, struct str ns); /* what a namespace's weigh together */
/* The oldest of a namespace. Borrowed; NULL: it has none. */
const struct object *event_ring_oldest(const struct event_ring *r, struct str ns);
/* Namespaces from the heaviest on (of several in one step: the first by name): *at, all 0 at first, becomes the one
 * behind it. False: there is none. ns is borrowed from the version. */
struct event_heavy {
    bool any;
    uint64_t steps;
    struct str ns;
};
bool event_ring_heavy(const struct event_ring *r, struct event_heavy *at);

/* Iteration with ptree_iter_next: by name, from the first that stands not before (ns, name). */
void event_ring_seek_name(const struct event_ring *r, struct ptree_iter *it, struct str ns, struct str name);
/* By age, from the oldest of namespace ns that stands not before (revision, name). */
void event_ring_seek_age(const struct event_ring *r, struct ptree_iter *it, struct str ns, uint64_t revision,
                         struct str name);

/* Asserts that all trees and sums say the same. For tests. */
void event_ring_check(const struct event_ring *r);
/* Bytes of all trees but the events themselves, about. For tests and figures. */
uint64_t event_ring_bytes(const struct event_ring *r);

#endif
