/* What falls off the rings of events behind a transaction that has written some: rules a and b of event_ring.h. */
#include "raft-store/store/event_ring.h"
#include "raft-store/store/world_int.h"

struct drops {
    struct world *w;
    const struct event_ring *ring;
    uint64_t base; /* what was written behind it is the transaction's own */
    uint64_t left; /* so many more */
};

static bool writes_event(const struct change *c)
{
    const struct object *written = c->new;
    return written != NULL && event_ring_holds(written->kind);
}

/* False: nothing of the namespace may fall. ns is not read once its oldest is gone. */
static bool drop_oldest(struct drops *d, struct str ns)
{
    const struct object *o = event_ring_oldest(d->ring, ns);
    if (d->left == 0 || o == NULL || o->revision > d->base) {
        return false;
    }
    d->left--;
    d->w->events_dropped++;
    changes_push(&d->w->changes, view_remove(d->w->view, o->kind, o->ns, o->name), NULL);
    return true;
}

void world_drop_events(struct world *w, uint64_t base)
{
    const struct changes *c = &w->changes;
    const unsigned made = c->count;
    uint64_t written = 0, part_max = w->events_bytes_max / EVENT_NAMESPACE_PART;
    for (unsigned i = 0; i < made; i++) {
        written += writes_event(&c->items[i]) ? event_ring_weight(c->items[i].new) : 0;
    }
    if (written == 0 || w->events_bytes_max == 0) {
        return;
    }
    struct drops d = {w, view_events(w->view), base,
                      MIN(written / EVENT_KEEP_BYTES + EVENT_DROPS_MORE, TXN_OPS_MAX - made)};
    for (unsigned i = 0; i < made; i++) {
        while (writes_event(&c->items[i]) && event_ring_space(d.ring, c->items[i].new->ns) > part_max &&
               drop_oldest(&d, c->items[i].new->ns)) {
        }
    }
    /* Those before `own` have nothing but what the transaction has written, and stay as they are; others only get
     * lighter: none comes before it. */
    struct event_heavy own = {.any = false}, heavy = own;
    while (d.left > 0 && event_ring_heavy(d.ring, &heavy) &&
           (d.ring->weight > w->events_bytes_max || event_ring_space(d.ring, heavy.ns) > part_max)) {
        own = drop_oldest(&d, heavy.ns) ? own : heavy;
        heavy = own;
    }
}
