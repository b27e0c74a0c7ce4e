/* A version of the whole state: immutable, shared, O(1) to keep. Everything that decides (API reads, controllers,
 * scheduler, snapshots, plan) reads a view. Pure: no libuv, no libraft, no clock.
 *
 * A view is persistent trees that share structure with other versions: objects by (kind, namespace, name), and one for
 * each index (index.h) and each sum (sums.h). Events are objects like others to who reads, and stand in trees of their
 * own (event_ring.h). Order of iteration is the order of keys: kind id, namespace, name by bytes; where all kinds are
 * asked for, events come last. Objects got from a view are borrowed: valid while the view is held (or ref the object).
 * Threads: a version that is held changes no more, and any number of threads may read it, take and drop refs on it and
 * on its objects, and fork it (view_edit.h, world.h) while the owner of the state goes on: the counts of versions,
 * tree nodes and objects are atomic. */
#ifndef RAFT_STORE_STORE_VIEW_H
#define RAFT_STORE_STORE_VIEW_H

#include "proto/schema/object.h"
#include "raft-store/store/index.h"
#include "raft-store/store/ptree.h"
#include "raft-store/store/sums.h"

struct view;
struct view *view_ref(const struct view *v);
void view_unref(struct view *v); /* NULL is fine */

/* of the last transaction in it, and of that one's last object; 0 = empty store */
uint64_t view_revision(const struct view *v);
struct view_hash {
    uint64_t lo, hi;
};
struct view_hash
view_state_hash(const struct view *v); /* incremental set hash over (key, revision, body hash) of all objects */
struct view_hash view_events_hash(const struct view *v);         /* the events' part of it */
uint64_t view_count(const struct view *v, const struct kind *k); /* objects of a kind (NULL = all) */
/* The kinds that have objects here, in the order of their ids: the first after one (NULL: of all), or NULL. Whoever
 * means "every kind" of a state asks this, and forgets none. */
const struct kind *view_kind_next(const struct view *v, const struct kind *after);
uint64_t view_bytes(const struct view *v);        /* sum of body sizes */
uint64_t view_events_bytes(const struct view *v); /* of events */

/* The kind of this name: a known one or, if objects of it are in this version, the stand-in that they are kept
 * under; else NULL. */
const struct kind *view_kind_named(const struct view *v, struct str name);
/* What the view's objects of a kind call it ("Pod"); of a stand-in without objects, the stand-in's name. Borrowed. */
struct str view_kind_name(const struct view *v, const struct kind *k);

/* NULL if absent. ns is ignored for cluster-wide kinds. */
const struct object *view_get(const struct view *v, const struct kind *k, struct str ns, struct str name);

/* Iteration. Start, then view_next until NULL. `after` (object names) resumes behind a key: for paging. */
#define VIEW_SCOPE_MAX 640 /* above the longest key of an index that has well-formed names, and a namespace */
struct view_iter {
    const struct view *view;
    struct ptree_iter tree;
    /* Iteration ends where keys leave what the starter asked for. */
    enum { VIEW_ALL, VIEW_KIND, VIEW_KIND_NS, VIEW_INDEXED } until;
    enum view_index index;
    unsigned kind_id;           /* 0: any */
    bool controller;            /* only those whose controlling owner it is */
    bool events;                /* it is among the events */
    char scope[VIEW_SCOPE_MAX]; /* the index's key and the namespace, copied: callers' strings may go. Longer ones
                                   match nothing. */
    uint16_t scope_size, ns_size;
};
/* All of a kind (ns empty) or of a kind in one namespace. */
void view_iter(struct view_iter *it, const struct view *v, const struct kind *k, struct str ns);
/* The same from behind (ns, name) on. */
void view_iter_after(struct view_iter *it, const struct view *v, const struct kind *k, struct str ns_filter,
                     struct str after_ns, struct str after_name);
/* Everything, in canonical order. */
void view_iter_all(struct view_iter *it, const struct view *v);
/* Events, namespace by namespace, in each from the one that was written first to the last, from behind (ns, revision,
 * name) on: nothing and 0: all; revision UINT64_MAX: from the next namespace on. */
void view_iter_events(struct view_iter *it, const struct view *v, struct str ns, uint64_t revision, struct str name);
/* What an index has under a key: of kind k (NULL: of all, and ns is empty) and of one namespace (empty: of all). */
void view_iter_index(struct view_iter *it, const struct view *v, enum view_index index, struct str key,
                     const struct kind *k, struct str ns);
/* The same from behind (ns, name) on; k is not NULL. */
void view_iter_index_after(struct view_iter *it, const struct view *v, enum view_index index, struct str key,
                           const struct kind *k, struct str ns, struct str after_ns, struct str after_name);
/* The index that has the fewest objects of kind k under what the selectors (NULL: none) ask for, and the key, put into
 * the buffer; what it has must still be compared with the selectors. False: none is of use. Counts 64 keys of each of
 * four choices of an index at most. */
bool view_choose_index(const struct view *v, const struct kind *k, struct str ns, const struct selector *labels,
                       const struct selector *fields, enum view_index *index, struct buf *key);
/* Objects (of kind k, or all if NULL) whose controller ownerReference has this uid. */
void view_iter_owned(struct view_iter *it, const struct view *v, struct str owner_uid, const struct kind *k);
/* Pods with spec.nodeName = node, which is not empty. */
void view_iter_node_pods(struct view_iter *it, const struct view *v, struct str node);
/* Objects (of kind k, or all if NULL) that name o, but for those that it owns (kind_references). */
void view_iter_referring(struct view_iter *it, const struct view *v, const struct object *o, const struct kind *k);
const struct object *view_next(struct view_iter *it);
#define VIEW_FOR(o, it) for (const struct object *o = view_next(it); o != NULL; o = view_next(it))

/* The sums of one namespace or node: group by group with sums_next, or added up, of one kind (NULL: all) or owner. */
void view_sum_iter(struct sum_iter *it, const struct view *v, enum view_sum which, struct str of);
void view_sum_iter_owner(struct sum_iter *it, const struct view *v, enum view_sum which, struct str of,
                         struct str owner);
void view_sum_iter_from(struct sum_iter *it, const struct view *v, enum view_sum which, struct str of,
                        struct str owner);
struct sum view_sum(const struct view *v, enum view_sum which, struct str of, const struct kind *k);
/* VIEW_SUM_PODS_OF of one owner. */
struct sum view_sum_owned(const struct view *v, const struct object *owner);

/* From one version to a later one: pairs (old, new), NULL = absent. */
struct change {
    const struct object *old, *new;
};

#endif
