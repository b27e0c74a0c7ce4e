/* Committed transactions that watches can still read: a ring ordered by revision, bounded by bytes. Nothing is
 * queued per watcher. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/refs.h"
#include "raft-store/store/store_int.h"

/* ---- Changes and records ---- */

void changes_push(struct changes *c, struct object *old_taken, const struct object *new)
{
    assert(old_taken != NULL || new != NULL);
    assert(old_taken == NULL || new == NULL || old_taken->kind->id == new->kind->id);
    if (c->count == c->cap) {
        c->cap = c->cap == 0 ? 16 : c->cap * 2;
        c->items = xrealloc(c->items, c->cap * sizeof *c->items);
    }
    c->items[c->count++] = (struct change){old_taken, new == NULL ? NULL : object_ref(new)};
}

void changes_clear(struct changes *c)
{
    for (unsigned i = 0; i < c->count; i++) {
        object_unref((struct object *)c->items[i].old);
        object_unref((struct object *)c->items[i].new);
    }
    c->count = 0;
}

struct record *record_new(uint64_t revision, bool numbered, struct changes *c)
{
    assert(revision > 0 && (!numbered || revision >= c->count));
    struct record *r = xmalloc(sizeof *r + c->count * sizeof(struct change));
    struct change *items = (struct change *)(r + 1);
    *r = (struct record){.txn = {revision, c->count, numbered && c->count > 1, false, items, NULL}};
    for (unsigned i = 0; i < c->count; i++) {
        items[i] = c->items[i];
    }
    c->count = 0;
    return r;
}

/* What keeping it costs. */
static size_t record_bytes(const struct record *r)
{
    size_t bytes = sizeof *r;
    for (unsigned i = 0; i < r->txn.count; i++) {
        const struct change *ch = &r->txn.changes[i];
        /* The new object is shared with the state until it is replaced; its wire form may be kept here. */
        const struct object *o = ch->new != NULL ? ch->new : ch->old;
        bytes += sizeof *ch + sizeof(struct buf) + o->body_size + 32;
        bytes += ch->old != NULL ? sizeof *o + ch->old->body_size : 0;
    }
    return bytes;
}

void record_free(struct record *r)
{
    for (unsigned i = 0; i < r->txn.count; i++) {
        object_unref((struct object *)r->txn.changes[i].old);
        object_unref((struct object *)r->txn.changes[i].new);
        if (r->txn.wire != NULL) {
            buf_close(&r->txn.wire[i]);
        }
    }
    free(r->txn.wire);
    free(r);
}

void records_init(struct records *l)
{
    l->first = NULL;
    l->last = &l->first;
}

void records_push(struct records *l, struct record *r)
{
    assert(*l->last == NULL);
    r->next = NULL;
    *l->last = r;
    l->last = &r->next;
}

void records_free(struct records *l)
{
    for (struct record *r = l->first; r != NULL;) {
        struct record *next = r->next;
        record_free(r);
        r = next;
    }
    records_init(l);
}

/* ---- The window ---- */

void history_init(struct history *h, size_t bytes_max)
{
    *h = (struct history){.bytes_max = bytes_max};
}

static void pop_oldest(struct history *h)
{
    assert(h->count > 0);
    struct record *r = h->ring[h->first];
    h->first = (h->first + 1) & (h->cap - 1);
    h->count--;
    assert(h->bytes >= record_bytes(r) && r->txn.revision > h->oldest);
    h->bytes -= record_bytes(r);
    h->oldest = r->txn.revision;
    for (unsigned i = 0; i < r->txn.count; i++) {
        h->left += r->txn.changes[i].new != NULL && !refs_is_only(&r->txn.changes[i].new->refs);
    }
    record_free(r);
}

void history_close(struct history *h)
{
    while (h->count > 0) {
        pop_oldest(h);
    }
    free(h->ring);
    *h = (struct history){0};
}

void history_restart(struct history *h, uint64_t revision)
{
    while (h->count > 0) {
        pop_oldest(h);
    }
    assert(h->bytes == 0);
    h->oldest = revision;
}

static const struct history_txn *txn_at(const struct history *h, size_t i)
{
    return &h->ring[(h->first + i) & (h->cap - 1)]->txn;
}

static uint64_t newest_in(const struct history *h)
{
    return h->count == 0 ? h->oldest : txn_at(h, h->count - 1)->revision;
}

void history_push(struct history *h, struct record *r)
{
    assert(txn_first_revision(&r->txn) == newest_in(h) + 1);
    if (h->count == h->cap) {
        size_t cap = h->cap == 0 ? 256 : h->cap * 2;
        struct record **ring = xmalloc(cap * sizeof(struct record *));
        for (size_t i = 0; i < h->count; i++) {
            ring[i] = h->ring[(h->first + i) & (h->cap - 1)];
        }
        free(h->ring);
        h->ring = ring;
        h->cap = cap;
        h->first = 0;
    }
    h->ring[(h->first + h->count) & (h->cap - 1)] = r;
    h->count++;
    h->bytes += record_bytes(r);
    while (h->bytes > h->bytes_max && h->count > 1) {
        pop_oldest(h);
    }
    assert(h->count > 0 && h->count <= h->cap && (h->cap & (h->cap - 1)) == 0);
    assert(newest_in(h) == r->txn.revision && h->oldest < r->txn.revision);
}

uint64_t store_history_oldest(const struct store *s)
{
    return s->history.oldest;
}

/* The first with a revision > after, which is below newest. A transaction counts one revision at least, so where it
 * stands is known nearly, and exactly where all have changed one object. */
static const struct history_txn *txn_behind(const struct history *h, uint64_t after, uint64_t newest)
{
    assert(h->count > 0 && after >= h->oldest && after < newest);
    size_t low = newest - after < h->count ? h->count - (size_t)(newest - after) : 0;
    size_t high = after - h->oldest < h->count ? (size_t)(after - h->oldest) : h->count - 1;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (txn_at(h, mid)->revision > after) {
            high = mid;
        } else {
            low = mid + 1;
        }
    }
    return txn_at(h, low);
}

int store_history_next(struct store *s, uint64_t after, const struct history_txn **out)
{
    const struct history *h = &s->history;
    *out = NULL;
    if (after < h->oldest) {
        return ERR_EXPIRED;
    }
    uint64_t newest = newest_in(h);
    if (after < newest) {
        *out = txn_behind(h, after, newest);
        assert(txn_first_revision(*out) <= after + 1 && (*out)->revision > after);
    }
    return 0;
}

struct buf *store_history_wire(const struct history_txn *txn, unsigned change)
{
    assert(change < txn->count);
    struct record *r = CONTAINER_OF(txn, struct record, txn);
    if (r->txn.wire == NULL) {
        r->txn.wire = xcalloc(txn->count, sizeof *r->txn.wire);
    }
    return &r->txn.wire[change];
}
