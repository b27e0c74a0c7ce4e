/* A class over all nodes: what fits, as a heap with the best in front for each cell (topology.h; mostly there is one).
 * Equal scores are ordered by a random part drawn at every change, so ties break evenly and yet the same from the same
 * seed. */
#include <assert.h>
#include <stdlib.h>

#include "scheduler/cache.h"
#include "scheduler/topology.h"

struct sched_table *table_new(unsigned cap, struct topo_key *const *wide, unsigned wide_count)
{
    struct sched_table *t = xcalloc(1, sizeof *t);
    t->cap = cap;
    t->fixed = xcalloc(cap, sizeof *t->fixed);
    t->heap_at = xmalloc(cap * sizeof *t->heap_at);
    memset(t->heap_at, 0xff, cap * sizeof *t->heap_at);
    t->key = xcalloc(cap, sizeof *t->key);
    if (wide_count > 0) {
        t->wide = xmemdup(wide, wide_count * sizeof(struct topo_key *));
        t->wide_count = wide_count;
        t->cell_of = xcalloc(cap, sizeof *t->cell_of);
    } else {
        t->cells = xcalloc(1, sizeof *t->cells);
        t->cells_count = 1;
    }
    strmap_init(&t->cells_known);
    list_init(&t->lru);
    return t;
}

void table_free(struct sched_table *t)
{
    if (t == NULL) {
        return;
    }
    list_remove(&t->lru);
    for (unsigned i = 0; i < t->cells_count; i++) {
        free(t->cells[i].heap);
    }
    strmap_close(&t->cells_known);
    free(t->cells);
    free(t->wide);
    free(t->cell_of);
    free(t->fixed);
    free(t->heap_at);
    free(t->key);
    free(t);
}

size_t table_bytes(const struct sched_table *t)
{
    size_t slot = sizeof *t->fixed + sizeof *t->heap_at + sizeof *t->key + sizeof *t->cells->heap;
    return t->cap * (slot + (t->cell_of != NULL ? sizeof *t->cell_of : 0));
}

static void put(struct sched_table *t, struct sched_cell *c, uint32_t at, uint32_t slot)
{
    c->heap[at] = slot;
    t->heap_at[slot] = at;
}

static void sift_up(struct sched_table *t, struct sched_cell *c, uint32_t at)
{
    uint32_t slot = c->heap[at];
    for (; at > 0 && t->key[slot] > t->key[c->heap[(at - 1) / 2]]; at = (at - 1) / 2) {
        put(t, c, at, c->heap[(at - 1) / 2]);
    }
    put(t, c, at, slot);
}

static void sift_down(struct sched_table *t, struct sched_cell *c, uint32_t at)
{
    uint32_t slot = c->heap[at];
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= c->count) {
            break;
        }
        if (child + 1 < c->count && t->key[c->heap[child + 1]] > t->key[c->heap[child]]) {
            child++;
        }
        if (t->key[c->heap[child]] <= t->key[slot]) {
            break;
        }
        put(t, c, at, c->heap[child]);
        at = child;
    }
    put(t, c, at, slot);
}

static struct sched_cell *cell_of(const struct sched_table *t, unsigned slot)
{
    return &t->cells[t->cell_of == NULL ? 0 : t->cell_of[slot]];
}

static void take_out(struct sched_table *t, uint32_t slot)
{
    struct sched_cell *c = cell_of(t, slot);
    uint32_t at = t->heap_at[slot], last = c->heap[--c->count];
    t->heap_at[slot] = TABLE_NONE;
    if (last != slot) {
        put(t, c, at, last);
        sift_down(t, c, at);
        sift_up(t, c, t->heap_at[last]);
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
    struct sched_cell *c = cell_of(t, slot);
    t->key[slot] = (uint64_t)score << 32 | (rng_next(rng) & UINT32_MAX);
    if (t->heap_at[slot] == TABLE_NONE) {
        if (c->count == c->cap) {
            c->cap = MAX(8u, c->cap * 2);
            c->heap = xrealloc(c->heap, c->cap * sizeof *c->heap);
        }
        put(t, c, c->count++, slot);
    }
    sift_down(t, c, t->heap_at[slot]);
    sift_up(t, c, t->heap_at[slot]);
}

void table_place(struct sched_table *t, unsigned slot)
{
    if (t->cell_of == NULL) {
        return;
    }
    uint32_t places[TOPO_KEYS_MAX];
    for (unsigned i = 0; i < t->wide_count; i++) {
        places[i] = t->wide[i]->domain_of[slot];
    }
    struct str key = {(const char *)places, t->wide_count * sizeof *places};
    uintptr_t cell = (uintptr_t)strmap_get(&t->cells_known, key);
    if (cell == 0) {
        t->cells = xrealloc(t->cells, (t->cells_count + 1) * sizeof *t->cells);
        t->cells[t->cells_count++] = (struct sched_cell){0};
        cell = t->cells_count;
        strmap_set(&t->cells_known, key, (void *)cell);
    }
    if (t->heap_at[slot] != TABLE_NONE && t->cell_of[slot] != cell - 1) {
        take_out(t, slot);
    }
    t->cell_of[slot] = (uint32_t)cell - 1;
}
