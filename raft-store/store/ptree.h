/* Persistent B+tree: every version stays readable while it is held, versions share all nodes that did not change.
 *
 * Items are pointers that the tree counts through `ops`; keys are not stored: `compare` reads them through the item. A
 * fork is O(1). A change copies the nodes on the way from the root that are shared with another version, and edits in
 * place those that are not, so a batch of changes on one version is cheap.
 *
 * Threads: nodes are shared by versions on different threads (their reference counts are atomic, and ops' ref and unref
 * must be). One version is used by one thread at a time; a fork may be given to another thread, which reads, changes
 * and closes it as it likes. Source of the structure: B+tree with copy-on-write paths (Rodeh, "B-trees, shadowing
 * and clones"). */
#ifndef RAFT_STORE_STORE_PTREE_H
#define RAFT_STORE_STORE_PTREE_H

#include <stdbool.h>
#include <stdint.h>

#define PTREE_FANOUT    16u
#define PTREE_DEPTH_MAX 12 /* six items a node at least: two thousand million items */

struct ptree_node;
struct ptree_ops {
    /* <0, 0, >0: key stands before, at, behind the item. */
    int (*compare)(const void *key, const void *item);
    void (*ref)(void *item);
    void (*unref)(void *item);
};
struct ptree {
    const struct ptree_ops *ops;
    struct ptree_node *root; /* NULL = empty */
    uint64_t count;
};

void ptree_init(struct ptree *t, const struct ptree_ops *ops);
void ptree_close(struct ptree *t);
void ptree_fork(const struct ptree *from, struct ptree *to); /* to is initialised by it */

void *ptree_get(const struct ptree *t, const void *key); /* borrowed; NULL if absent */
/* Insert or replace. The item's ref is given to the tree; returns what was there, its ref taken by the caller, or
 * NULL. */
void *ptree_put(struct ptree *t, const void *key, void *item);
/* Returns the removed item, its ref taken by the caller, or NULL if absent. */
void *ptree_remove(struct ptree *t, const void *key);
/* The same of an item that is there: one way down the tree less. */
void *ptree_take(struct ptree *t, const void *key);

/* Iteration in key order over one version, which must be held and not be changed meanwhile. */
struct ptree_iter {
    const struct ptree_node *stack[PTREE_DEPTH_MAX];
    uint16_t at[PTREE_DEPTH_MAX];
    int depth;
};
void ptree_iter_first(struct ptree_iter *it, const struct ptree *t);
/* From the first item that key does not stand behind. */
void ptree_iter_seek(struct ptree_iter *it, const struct ptree *t, const void *key);
void *ptree_iter_next(struct ptree_iter *it); /* borrowed; NULL at the end */

/* Asserts the invariants (order through `compare_items`, fill, depth, borrowed low items, count). For tests. */
void ptree_check(const struct ptree *t, int (*compare_items)(const void *a, const void *b));
/* Bytes of all nodes of this version, shared ones included. For tests and figures. */
uint64_t ptree_node_bytes(const struct ptree *t);

#endif
