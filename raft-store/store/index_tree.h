/* The trees of a view's indexes. Internal to raft-store/store; others ask a view. */
#ifndef RAFT_STORE_STORE_INDEX_TREE_H
#define RAFT_STORE_STORE_INDEX_TREE_H

#include "raft-store/store/index.h"
#include "raft-store/store/ptree.h"

struct indexes {
    struct ptree by[VIEW_INDEX_COUNT];
};
void indexes_init(struct indexes *x);
void indexes_close(struct indexes *x);
void indexes_fork(const struct indexes *from, struct indexes *to); /* to is initialised by it; O(1) */
/* o took the place of old, which has the same kind, namespace and name (NULL: there was none). Keeps a ref on
 * neither. */
void indexes_put(struct indexes *x, const struct object *o, const struct object *old);
void indexes_remove(struct indexes *x, const struct object *o);

/* An object in an index, by its name: the version that is meant is the one that the view has. Borrowed. */
struct index_found {
    unsigned kind_id;
    struct str key, ns, name;
};
/* From the first that stands not before (key, kind_id, ns, name). */
void indexes_seek(const struct indexes *x, struct ptree_iter *it, enum view_index index,
                  const struct index_found *from);
bool indexes_next(struct ptree_iter *it, struct index_found *out); /* false: the end */

/* Asserts the trees' invariants and that o is found by each of its keys; the sum of the keys of all objects must be
 * that of the items. For tests. */
void indexes_check(const struct indexes *x);
uint64_t indexes_check_object(const struct indexes *x, const struct object *o); /* how many keys it has */
uint64_t indexes_items(const struct indexes *x);
/* Bytes of all tree nodes and of what they hold (about), as the heap's user asked for them. For tests and figures. */
uint64_t indexes_bytes(const struct indexes *x);

#endif
