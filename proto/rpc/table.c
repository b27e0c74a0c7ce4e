#include <assert.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "proto/rpc/rpc_int.h"

#define SIZE_MIN 16u

/* Multiply and shift, with an odd factor that nobody knows: ids that a peer chose do not fall onto one another. */
static struct rpc_node **slot_of(const struct rpc_table *t, uint32_t id)
{
    uint64_t factor = hash_seed() ^ 0x9e3779b97f4a7c15u;
    return &t->slots[(id * (factor | 1)) >> 40 & (t->size - 1)];
}

struct rpc_node *rpc_table_find(const struct rpc_table *t, uint32_t id)
{
    if (t->count == 0) {
        return NULL;
    }
    struct rpc_node *n = *slot_of(t, id);
    while (n != NULL && n->id != id) {
        n = n->next;
    }
    return n;
}

static void grow(struct rpc_table *t)
{
    struct rpc_table bigger = {.size = t->size == 0 ? SIZE_MIN : t->size * 2, .count = t->count};
    bigger.slots = xcalloc(bigger.size, sizeof *bigger.slots);
    for (uint32_t i = 0; i < t->size; i++) {
        for (struct rpc_node *n = t->slots[i], *next; n != NULL; n = next) {
            struct rpc_node **slot = slot_of(&bigger, n->id);
            next = n->next;
            n->next = *slot;
            *slot = n;
        }
    }
    free(t->slots);
    *t = bigger;
}

void rpc_table_add(struct rpc_table *t, struct rpc_node *n)
{
    assert(rpc_table_find(t, n->id) == NULL);
    if (t->count >= t->size) {
        grow(t);
    }
    struct rpc_node **slot = slot_of(t, n->id);
    n->next = *slot;
    *slot = n;
    t->count++;
}

void rpc_table_remove(struct rpc_table *t, struct rpc_node *n)
{
    struct rpc_node **at = slot_of(t, n->id);
    while (*at != n) {
        assert(*at != NULL);
        at = &(*at)->next;
    }
    *at = n->next;
    t->count--;
    if (t->count == 0 && t->size > SIZE_MIN * 16) {
        rpc_table_close(t); /* a burst is over */
    }
}

void rpc_table_close(struct rpc_table *t)
{
    assert(t->count == 0);
    free(t->slots);
    *t = (struct rpc_table){0};
}
