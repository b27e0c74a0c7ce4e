/* What the pods of a node ask for, summed by their priority: tells at once whether anybody's going could help a pod,
 * and up to which priority they would have to go. Sums of cpu, memory and scratch alone: a port, a device or another
 * pod that is in the way shows when it is tried (preempt.c). */
#include <assert.h>
#include <stdlib.h>

#include "scheduler/cache.h"

static unsigned level_place(const struct levels *l, int64_t priority)
{
    unsigned low = 0, high = l->count;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (l->items[middle].priority < priority) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static int64_t shifted(int64_t a, int64_t b, int sign)
{
    return (int64_t)((uint64_t)a + (sign > 0 ? (uint64_t)b : -(uint64_t)b)); /* as resources_account */
}

void levels_account(struct levels *l, const struct sched_class *c, int sign)
{
    unsigned at = level_place(l, c->priority);
    if (at == l->count || l->items[at].priority != c->priority) {
        assert(sign > 0);
        if (l->count == l->cap) {
            l->cap = l->cap == 0 ? 2 : l->cap * 2;
            l->items = xrealloc(l->items, l->cap * sizeof *l->items);
        }
        memmove(&l->items[at + 1], &l->items[at], (l->count - at) * sizeof *l->items);
        l->items[at] = (struct level){.priority = c->priority};
        l->count++;
    }
    struct level *v = &l->items[at];
    assert(sign > 0 || v->pods > 0);
    v->pods += (unsigned)sign;
    for (unsigned i = 0; i < RESOURCE_FIXED; i++) {
        v->fixed[i] = shifted(v->fixed[i], c->request.fixed[i], sign);
    }
    if (v->pods == 0) {
        l->count--;
        memmove(&l->items[at], &l->items[at + 1], (l->count - at) * sizeof *l->items);
    }
}

void levels_close(struct levels *l)
{
    free(l->items);
    memset(l, 0, sizeof *l);
}

struct room {
    int64_t pods, fixed[RESOURCE_FIXED];
};

static void room_add(struct room *r, const struct level *v)
{
    r->pods += v->pods;
    for (unsigned i = 0; i < RESOURCE_FIXED; i++) {
        r->fixed[i] = shifted(r->fixed[i], v->fixed[i], 1);
    }
}

static bool room_suffices(const struct room *r, const struct sched_class *c)
{
    bool enough = r->pods >= 1;
    for (unsigned i = 0; i < RESOURCE_FIXED; i++) {
        enough = enough && (c->request.fixed[i] == 0 || c->request.fixed[i] <= r->fixed[i]);
    }
    return enough;
}

bool levels_reach(const struct sched_node *n, const struct sched_class *c, int64_t *highest)
{
    bool lower = n->levels.count > 0 && n->levels.items[0].priority < c->priority;
    if (n->obj == NULL || (!lower && n->leaving.count == 0)) {
        return false;
    }
    struct room room = {.pods = n->pods_alloc - n->pods_used};
    for (unsigned i = 0; i < RESOURCE_FIXED; i++) {
        room.fixed[i] = shifted(n->alloc.fixed[i], n->used.fixed[i], -1);
    }
    for (unsigned i = 0; i < n->leaving.count; i++) {
        room_add(&room, &n->leaving.items[i]);
    }
    *highest = INT64_MIN;
    for (unsigned i = 0; i < n->levels.count && !room_suffices(&room, c); i++) {
        if (n->levels.items[i].priority >= c->priority) {
            return false;
        }
        room_add(&room, &n->levels.items[i]);
        *highest = n->levels.items[i].priority;
    }
    return room_suffices(&room, c);
}
