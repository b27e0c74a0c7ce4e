/* Changing a view: only the store makes new versions. Internal to raft-store. */
#ifndef RAFT_STORE_STORE_VIEW_EDIT_H
#define RAFT_STORE_STORE_VIEW_EDIT_H

#include "raft-store/store/view.h"

struct view *view_new(void);                  /* empty, revision 0, one ref */
struct view *view_fork(const struct view *v); /* a new version that starts equal; O(1) */
bool view_is_shared(const struct view *v);    /* somebody else holds it: fork before editing */
void view_set_revision(struct view *v, uint64_t revision);
/* Requires a view that is not shared. Put o (a ref is taken) in place of what has its key; the former object, its ref
 * taken by the caller, or NULL. */
struct object *view_put(struct view *v, const struct object *o);
/* The removed object, its ref taken by the caller, or NULL if absent. */
struct object *view_remove(struct view *v, const struct kind *k, struct str ns, struct str name);
/* Requires a view that is not shared. o takes the place of the same object (its key, revision and body), which is kept
 * in another form: nothing else changes. A ref on o is taken. Not for events. */
void view_exchange(struct view *v, const struct object *o);
/* Its ring of events, for who decides what falls off (event_ring.h). Borrowed from the version. */
struct event_ring;
const struct event_ring *view_events(const struct view *v);
/* What object o adds to the state hash. */
struct view_hash view_object_hash(const struct object *o);
/* Bytes of all indexes, about, as they were asked of the heap. For tests and figures. */
uint64_t view_index_bytes(const struct view *v);
/* The sums are what is counted anew. For tests and the simulator. */
bool view_sums_hold(const struct view *v);
/* Asserts that indexes, sums and totals agree with the objects. For tests. */
void view_check(const struct view *v);

#endif
