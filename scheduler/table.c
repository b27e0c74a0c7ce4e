/* A class over all nodes: what fits, as a heap with the best in front. Equal scores are ordered by a random part drawn
 * at every change, so ties break evenly and yet the same from the same seed. */
#include <assert.h>
#include <stdlib.h>

#include "scheduler/cache.h"

struct sched_table *table_new(unsigned cap)
{
    struct sched_table *t = xcalloc(1, sizeof *t);
    t->cap = cap;
    t->fixed = xcalloc(cap, sizeof *t->fixed);
    t->heap_at = xmalloc(cap * sizeof *t->heap_at);
    memset(t->heap_at, 0xff, cap * sizeof *t->heap_at);
    t->key = xcalloc(cap, sizeof *t->key);
    t->heap = xcalloc(cap, sizeof *t->heap);
    list_init(&t->lru);
    return t;
}

void table_free(struct sched_table *t)
{
    if (t == NULL) {
        return;
    }
    list_remove(&t->lru);
    free(t->fixed);
    free(t->heap_at);
    free(t->key);
    free(t->heap);
    free(t);
}

static void put(struct sched_table *t, uint32_t at, uint32_t slot)
{
    t->heap[at] = slot;
    t->heap_at[slot] = at;
}

static void sift_up(struct sched_table *t, uint32_t at)
{
    uint32_t slot = t->heap[at];
    for (; at > 0 && t->key[slot] > t->key[t->heap[(at - 1) / 2]]; at = (at - 1) / 2) {
        put(t, at, t->heap[(at - 1) / 2]);
    }
    put(t, at, slot);
}

static void sift_down(struct sched_table *t, uint32_t at)
{
    uint32_t slot = t->heap[at];
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= t->heap_count) {
            break;
        }
        if (child + 1 < t->heap_count && t->key[t->heap[child + 1]] > t->key[t->heap[child]]) {
            child++;
        }
        if (t->key[t->heap[child]] <= t->key[slot]) {
            break;
        }
        put(t, at, t->heap[child]);
        at = child;
    }
    put(t, at, slot);
}

static void take_out(struct sched_table *t, uint32_t slot)
{
    uint32_t at = t->heap_at[slot], last = t->heap[--t->heap_count];
    t->heap_at[slot] = TABLE_NONE;
    if (last != slot) {
        put(t, at, last);
        sift_down(t, at);
        sift_up(t, t->heap_at[last]);
    }
}

void table_set(struct sched_table *t, unsigned slot, int score, struct rng *rng)
{
    assert(slot < t->cap);
    if (score < 0) {
        if (t->heap_at[slot] != TABLE_NONE) {
            take_out(t, slot);
        }
        return;
    }
    t->key[slot] = (uint64_t)score << 32 | (rng_next(rng) & UINT32_MAX);
    if (t->heap_at[slot] == TABLE_NONE) {
        put(t, t->heap_count++, slot);
    }
    sift_down(t, t->heap_at[slot]);
    sift_up(t, t->heap_at[slot]);
}
