/* What: see ptree.h. Why a B+tree and not a hash trie: iteration in key order is what lists, snapshots and paging need.
 *
 * Invariants
 *  1. all leaves have the same depth; a node other than the root has PTREE_MIN to PTREE_FANOUT entries.
 *  2. items[i] of an inner node is the lowest item below child i. It is borrowed: the leaf below holds the
 *     ref. A function that changes a leaf's first item owns the whole path to it, and renews the borrowed pointers on
 *     its way back.
 *  3. a node with refs == 1 that was reached through nodes with refs == 1 belongs to one version alone and may be
 *     edited: another thread can only take a ref on a node through a node above it, and nobody else has those. */
#include "raft-store/store/ptree.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/refs.h"

#define PTREE_MIN 6u

struct ptree_node {
    uint32_t refs;
    uint16_t count;
    uint16_t height; /* 0 = leaf */
    void *items[PTREE_FANOUT];
    struct ptree_node *children[]; /* PTREE_FANOUT of them if height > 0 */
};

static struct ptree_node *node_new(uint16_t height)
{
    size_t size = sizeof(struct ptree_node) + (height > 0 ? PTREE_FANOUT * sizeof(struct ptree_node *) : 0);
    struct ptree_node *n = xmalloc(size);
    n->refs = 1;
    n->count = 0;
    n->height = height;
    return n;
}

static void node_unref(const struct ptree_ops *ops, struct ptree_node *n)
{
    if (!refs_drop(&n->refs)) {
        return;
    }
    assert(n->count <= PTREE_FANOUT && n->height < PTREE_DEPTH_MAX);
    for (unsigned i = 0; i < n->count; i++) {
        if (n->height == 0) {
            ops->unref(n->items[i]);
        } else {
            node_unref(ops, n->children[i]);
        }
    }
    free(n);
}

/* The node itself if only this version has it, a copy otherwise (the ref of the caller moves to the copy). */
static struct ptree_node *node_own(const struct ptree_ops *ops, struct ptree_node *n)
{
    if (refs_is_only(&n->refs)) {
        return n;
    }
    struct ptree_node *copy = node_new(n->height);
    copy->count = n->count;
    memcpy(copy->items, n->items, n->count * sizeof(void *));
    if (n->height == 0) {
        for (unsigned i = 0; i < n->count; i++) {
            ops->ref(n->items[i]);
        }
    } else {
        memcpy(copy->children, n->children, n->count * sizeof(n->children[0]));
        for (unsigned i = 0; i < n->count; i++) {
            refs_take(&n->children[i]->refs);
        }
    }
    node_unref(ops, n); /* another thread may have let go of it meanwhile */
    assert(refs_is_only(&copy->refs));
    return copy;
}

void ptree_init(struct ptree *t, const struct ptree_ops *ops)
{
    assert(ops->compare != NULL && ops->ref != NULL && ops->unref != NULL);
    *t = (struct ptree){.ops = ops};
}

void ptree_close(struct ptree *t)
{
    if (t->root != NULL) {
        node_unref(t->ops, t->root);
    }
    t->root = NULL;
    t->count = 0;
}

void ptree_fork(const struct ptree *from, struct ptree *to)
{
    assert((from->root == NULL) == (from->count == 0));
    *to = *from;
    if (to->root != NULL) {
        refs_take(&to->root->refs);
    }
}

/* Leaf: index of the first item that key does not stand behind. */
static unsigned leaf_lower(const struct ptree *t, const struct ptree_node *n, const void *key, bool *exact)
{
    unsigned lo = 0, hi = n->count;
    *exact = false;
    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;
        int c = t->ops->compare(key, n->items[mid]);
        if (c == 0) {
            *exact = true;
            return mid;
        }
        if (c < 0) {
            hi = mid;
        } else {
            lo = mid + 1;
        }
    }
    return lo;
}

/* Inner node: the child that holds key if anyone does. The lowest item of the first child never needs to be looked
 * at. */
static unsigned inner_find(const struct ptree *t, const struct ptree_node *n, const void *key)
{
    unsigned lo = 1, hi = n->count;
    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;
        int c = t->ops->compare(key, n->items[mid]);
        if (c == 0) {
            return mid;
        }
        if (c < 0) {
            hi = mid;
        } else {
            lo = mid + 1;
        }
    }
    return lo - 1;
}

void *ptree_get(const struct ptree *t, const void *key)
{
    const struct ptree_node *n = t->root;
    if (n == NULL) {
        return NULL;
    }
    while (n->height > 0) {
        n = n->children[inner_find(t, n, key)];
    }
    bool exact;
    unsigned at = leaf_lower(t, n, key, &exact);
    return exact ? n->items[at] : NULL;
}

/* ---- Insert ---- */

static void node_insert_at(struct ptree_node *n, unsigned at, void *item, struct ptree_node *child)
{
    assert(n->count < PTREE_FANOUT && at <= n->count);
    memmove(&n->items[at + 1], &n->items[at], (n->count - at) * sizeof(void *));
    n->items[at] = item;
    if (n->height > 0) {
        memmove(&n->children[at + 1], &n->children[at], (n->count - at) * sizeof(n->children[0]));
        n->children[at] = child;
    }
    n->count++;
}

/* Move the entries from `from` on to the end of `to`. */
static void node_move_tail(struct ptree_node *n, unsigned from, struct ptree_node *to)
{
    unsigned moved = n->count - from;
    assert(from <= n->count && to != n);
    assert(to->count + moved <= PTREE_FANOUT && to->height == n->height);
    memcpy(&to->items[to->count], &n->items[from], moved * sizeof(void *));
    if (n->height > 0) {
        memcpy(&to->children[to->count], &n->children[from], moved * sizeof(n->children[0]));
    }
    to->count = (uint16_t)(to->count + moved);
    n->count = (uint16_t)from;
}

/* Insert into an owned node; returns the new right sibling if it had to be split. */
static struct ptree_node *node_insert(struct ptree_node *n, unsigned at, void *item, struct ptree_node *child)
{
    if (n->count < PTREE_FANOUT) {
        node_insert_at(n, at, item, child);
        return NULL;
    }
    /* Ascending inserts (restore, generated names) leave the left half behind for good: keep it fuller. */
    unsigned keep = at == n->count ? PTREE_FANOUT - (PTREE_MIN - 1) : PTREE_FANOUT / 2;
    struct ptree_node *right = node_new(n->height);
    node_move_tail(n, keep, right);
    if (at <= keep) {
        node_insert_at(n, at, item, child);
    } else {
        node_insert_at(right, at - keep, item, child);
    }
    assert(n->count >= PTREE_MIN && right->count >= PTREE_MIN && right->height == n->height);
    return right;
}

static struct ptree_node *put_below(struct ptree *t, struct ptree_node **np, const void *key, void *item, void **old)
{
    struct ptree_node *n = *np = node_own(t->ops, *np);
    if (n->height == 0) {
        bool exact;
        unsigned at = leaf_lower(t, n, key, &exact);
        if (exact) {
            *old = n->items[at];
            n->items[at] = item;
            return NULL;
        }
        return node_insert(n, at, item, NULL);
    }
    unsigned at = inner_find(t, n, key);
    struct ptree_node *right = put_below(t, &n->children[at], key, item, old);
    assert(n->children[at]->height + 1 == n->height && (right == NULL || *old == NULL));
    n->items[at] = n->children[at]->items[0];
    return right == NULL ? NULL : node_insert(n, at + 1, right->items[0], right);
}

void *ptree_put(struct ptree *t, const void *key, void *item)
{
    assert(item != NULL);
    if (t->root == NULL) {
        t->root = node_new(0);
    }
    void *old = NULL;
    struct ptree_node *right = put_below(t, &t->root, key, item, &old);
    if (right != NULL) {
        struct ptree_node *root = node_new((uint16_t)(t->root->height + 1));
        assert(root->height < PTREE_DEPTH_MAX);
        node_insert_at(root, 0, t->root->items[0], t->root);
        node_insert_at(root, 1, right->items[0], right);
        t->root = root;
    }
    if (old == NULL) {
        t->count++;
    }
    assert(t->root->count > 0 && t->count > 0);
    return old;
}

/* ---- Remove ---- */

static void node_remove_at(struct ptree_node *n, unsigned at)
{
    assert(at < n->count);
    memmove(&n->items[at], &n->items[at + 1], (n->count - at - 1u) * sizeof(void *));
    if (n->height > 0) {
        memmove(&n->children[at], &n->children[at + 1], (n->count - at - 1u) * sizeof(n->children[0]));
    }
    n->count--;
}

/* Child `at` of the owned node n has too few entries: merge it with a neighbour, or share the neighbour's evenly. */
static void node_refill(const struct ptree_ops *ops, struct ptree_node *n, unsigned at)
{
    assert(n->count >= 2 && n->height > 0 && at < n->count);
    unsigned left_at = at > 0 ? at - 1 : 0;
    struct ptree_node *l = n->children[left_at] = node_own(ops, n->children[left_at]);
    struct ptree_node *r = n->children[left_at + 1] = node_own(ops, n->children[left_at + 1]);
    unsigned total = (unsigned)l->count + r->count;
    if (total <= PTREE_FANOUT) {
        node_move_tail(r, 0, l);
        free(r);
        node_remove_at(n, left_at + 1);
        return;
    }
    unsigned want = total / 2;
    if (l->count > want) {
        struct ptree_node *fresh = node_new(r->height);
        node_move_tail(l, want, fresh);
        node_move_tail(r, 0, fresh);
        free(r);
        r = n->children[left_at + 1] = fresh;
    } else {
        struct ptree_node *fresh = node_new(r->height);
        node_move_tail(r, want - l->count, fresh);
        node_move_tail(r, 0, l);
        free(r);
        r = n->children[left_at + 1] = fresh;
    }
    n->items[left_at + 1] = r->items[0];
    assert(l->count + r->count == (int)total && l->count >= PTREE_MIN && r->count >= PTREE_MIN);
}

static void *remove_below(struct ptree *t, struct ptree_node **np, const void *key)
{
    struct ptree_node *n = *np = node_own(t->ops, *np);
    if (n->height == 0) {
        bool exact;
        unsigned at = leaf_lower(t, n, key, &exact);
        assert(exact);
        void *item = n->items[at];
        node_remove_at(n, at);
        return item;
    }
    unsigned at = inner_find(t, n, key);
    void *item = remove_below(t, &n->children[at], key);
    if (n->children[at]->count < PTREE_MIN) {
        node_refill(t->ops, n, at);
        at = at > 0 ? at - 1 : 0;
    }
    n->items[at] = n->children[at]->items[0];
    if (at + 1 < n->count) {
        n->items[at + 1] = n->children[at + 1]->items[0];
    }
    return item;
}

void *ptree_remove(struct ptree *t, const void *key)
{
    return ptree_get(t, key) == NULL ? NULL : ptree_take(t, key); /* nothing is copied for what is not there */
}

void *ptree_take(struct ptree *t, const void *key)
{
    assert(t->root != NULL && t->count > 0);
    void *item = remove_below(t, &t->root, key);
    t->count--;
    struct ptree_node *root = t->root;
    if (root->count == 0) {
        assert(root->height == 0 && t->count == 0);
        free(root);
        t->root = NULL;
    } else if (root->height > 0 && root->count == 1) {
        t->root = root->children[0];
        free(root); /* owned: its only ref to the child moved to the tree */
    }
    assert(item != NULL && (t->root == NULL) == (t->count == 0));
    return item;
}

/* ---- Iteration ---- */

static void iter_descend(struct ptree_iter *it, const struct ptree_node *n)
{
    for (;;) {
        assert(it->depth < PTREE_DEPTH_MAX);
        it->stack[it->depth] = n;
        it->at[it->depth] = 0;
        it->depth++;
        if (n->height == 0) {
            return;
        }
        n = n->children[0];
    }
}

void ptree_iter_first(struct ptree_iter *it, const struct ptree *t)
{
    it->depth = 0;
    if (t->root != NULL) {
        iter_descend(it, t->root);
    }
}

void ptree_iter_seek(struct ptree_iter *it, const struct ptree *t, const void *key)
{
    it->depth = 0;
    const struct ptree_node *n = t->root;
    while (n != NULL) {
        assert(it->depth < PTREE_DEPTH_MAX);
        bool exact;
        unsigned at = n->height > 0 ? inner_find(t, n, key) : leaf_lower(t, n, key, &exact);
        it->stack[it->depth] = n;
        it->at[it->depth] = (uint16_t)at;
        it->depth++;
        n = n->height > 0 ? n->children[at] : NULL;
    }
}

void *ptree_iter_next(struct ptree_iter *it)
{
    assert(it->depth <= PTREE_DEPTH_MAX);
    while (it->depth > 0) {
        const struct ptree_node *n = it->stack[it->depth - 1];
        uint16_t *at = &it->at[it->depth - 1];
        if (n->height == 0) {
            if (*at < n->count) {
                return n->items[(*at)++];
            }
        } else if (*at + 1u < n->count) {
            (*at)++;
            iter_descend(it, n->children[*at]);
            continue;
        }
        it->depth--;
    }
    return NULL;
}

/* ---- Checks ---- */

static uint64_t check_below(const struct ptree_node *n, bool root, int (*compare_items)(const void *, const void *))
{
    assert(n->refs > 0 && n->count <= PTREE_FANOUT);
    assert(n->count >= (root ? (n->height > 0 ? 2u : 1u) : PTREE_MIN));
    uint64_t count = n->height == 0 ? n->count : 0;
    for (unsigned i = 0; i < n->count; i++) {
        assert(i == 0 || compare_items(n->items[i - 1], n->items[i]) < 0);
        if (n->height > 0) {
            const struct ptree_node *child = n->children[i];
            assert(child->height + 1 == n->height);
            assert(n->items[i] == child->items[0]);
            assert(i + 1u == n->count || compare_items(child->items[child->count - 1], n->items[i + 1]) < 0);
            count += check_below(child, false, compare_items);
        }
    }
    return count;
}

void ptree_check(const struct ptree *t, int (*compare_items)(const void *a, const void *b))
{
    uint64_t count = t->root == NULL ? 0 : check_below(t->root, true, compare_items);
    assert(count == t->count);
    (void)count;
}

static uint64_t bytes_below(const struct ptree_node *n)
{
    uint64_t bytes = sizeof *n + (n->height > 0 ? PTREE_FANOUT * sizeof n->children[0] : 0);
    for (unsigned i = 0; n->height > 0 && i < n->count; i++) {
        bytes += bytes_below(n->children[i]);
    }
    return bytes;
}

uint64_t ptree_node_bytes(const struct ptree *t)
{
    return t->root == NULL ? 0 : bytes_below(t->root);
}
