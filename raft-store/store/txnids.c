#include "raft-store/store/txnids.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/hash.h"
#include "base/mem.h"

/* Beyond `max`: transactions on the tip must not push out what committed still remembers, since the tip may be
 * dropped. */
#ifndef TXNIDS_SLACK /* fuzz targets make stores by the thousand */
#define TXNIDS_SLACK 65536u
#endif

static void free_marks(struct txnid *e)
{
    if (e->marks_count > 1) {
        free(e->many);
    }
    e->marks_count = 0;
}

static void set_marks(struct txnid *e, const txnid_mark *marks, uint32_t count)
{
    e->marks_count = count;
    if (count == 1) {
        e->one = marks[0];
    } else if (count > 1) {
        e->many = xmemdup(marks, count * sizeof *marks);
    }
}

void txnids_init(struct txnids *t, unsigned max)
{
    *t = (struct txnids){.max = max, .cap = 1024, .seed = hash_seed()};
    while (t->cap < (uint64_t)max + TXNIDS_SLACK) {
        t->cap *= 2;
    }
    assert((t->cap & (t->cap - 1)) == 0);
    t->ring = xcalloc(t->cap, sizeof *t->ring);
    t->table = xcalloc((size_t)t->cap * 2, sizeof *t->table);
}

static struct txnid *at_place(const struct txnids *t, uint64_t place)
{
    return &t->ring[place & (t->cap - 1)];
}

/* The first place with a revision above, or the end. */
static uint64_t place_behind(const struct txnids *t, uint64_t revision)
{
    uint64_t low = t->first, high = t->end;
    while (low < high) {
        uint64_t mid = low + (high - low) / 2;
        if (at_place(t, mid)->revision > revision) {
            high = mid;
        } else {
            low = mid + 1;
        }
    }
    return low;
}

/* Most rings are hardly used, and looking at all of one is to fetch megabytes. */
static void free_all_marks(struct txnids *t)
{
    for (uint32_t i = 0; t->owners > 0; i++) {
        assert(i < t->cap);
        t->owners -= t->ring[i].marks_count > 1;
        free_marks(&t->ring[i]);
    }
}

void txnids_close(struct txnids *t)
{
    free_all_marks(t);
    free(t->ring);
    free(t->table);
    *t = (struct txnids){0};
}

void txnids_clear(struct txnids *t)
{
    free_all_marks(t);
    t->first = t->end = t->kept_from = t->settled = t->kept = 0;
    memset(t->ring, 0, t->cap * sizeof *t->ring);
    memset(t->table, 0, (size_t)t->cap * 2 * sizeof *t->table);
}

static uint32_t home_of(const struct txnids *t, const uint8_t id[TXN_ID_SIZE])
{
    return (uint32_t)XXH3_64bits_withSeed(id, TXN_ID_SIZE, t->seed) & (t->cap * 2 - 1);
}

/* The table slot that names this id, or the free one where the search ended. */
static uint32_t slot_of(const struct txnids *t, const uint8_t id[TXN_ID_SIZE])
{
    uint32_t mask = t->cap * 2 - 1, slot = home_of(t, id);
    while (t->table[slot] != 0 && memcmp(t->ring[t->table[slot] - 1].id, id, TXN_ID_SIZE) != 0) {
        slot = (slot + 1) & mask;
    }
    return slot;
}

/* Linear probing without tombstones: entries behind the gap that may stand earlier move into it. */
static void table_remove(struct txnids *t, uint32_t gap)
{
    uint32_t mask = t->cap * 2 - 1;
    t->table[gap] = 0;
    for (uint32_t at = (gap + 1) & mask; t->table[at] != 0; at = (at + 1) & mask) {
        uint32_t home = home_of(t, t->ring[t->table[at] - 1].id);
        if (((at - home) & mask) >= ((at - gap) & mask)) {
            t->table[gap] = t->table[at];
            t->table[at] = 0;
            gap = at;
        }
    }
}

txnid_mark txnid_mark_of(const struct kind *k, struct str ns, struct str name, enum txn_done done)
{
    assert(done >= TXN_DONE_CREATED && done <= TXN_DONE_DELETED);
    uint64_t h = XXH3_64bits_withSeed(ns.p, ns.n, k->id);
    h = XXH3_64bits_withSeed(name.p, name.n, h);
    return (h & ~(uint64_t)3) | (uint64_t)done;
}

static void drop_marks(struct txnids *t, uint64_t place)
{
    struct txnid *e = at_place(t, place);
    if (place >= t->kept_from && place < t->settled) {
        assert(t->kept >= e->marks_count);
        t->kept -= e->marks_count;
    }
    t->owners -= e->marks_count > 1;
    free_marks(e);
}

/* Nobody finds it any more. It keeps its place, and its revision for the order's sake. */
static void forget(struct txnids *t, uint64_t place)
{
    struct txnid *e = at_place(t, place);
    if (!e->gone) {
        uint32_t slot = slot_of(t, e->id);
        assert(at_place(t, place) == &t->ring[t->table[slot] - 1]);
        table_remove(t, slot);
        drop_marks(t, place);
        e->gone = true;
    }
}

static void remove_first(struct txnids *t)
{
    assert(t->end > t->first);
    forget(t, t->first);
    t->first++;
    t->kept_from = MAX(t->kept_from, t->first);
    t->settled = MAX(t->settled, t->first);
}

/* The place of a ring index that is in use. */
static uint64_t place_of(const struct txnids *t, uint32_t index)
{
    return t->first + ((index - (uint32_t)t->first) & (t->cap - 1));
}

void txnids_add(struct txnids *t, const uint8_t id[TXN_ID_SIZE], uint64_t revision, const txnid_mark *marks,
                uint32_t marks_count)
{
    assert(revision > txnids_newest(t));
    if (t->end - t->first == t->cap) {
        remove_first(t);
    }
    uint32_t slot = slot_of(t, id);
    if (t->table[slot] != 0) { /* the id was used before and has been forgotten by age */
        forget(t, place_of(t, t->table[slot] - 1));
        slot = slot_of(t, id);
    }
    struct txnid *e = at_place(t, t->end);
    *e = (struct txnid){.revision = revision};
    memcpy(e->id, id, TXN_ID_SIZE);
    set_marks(e, marks, marks_count > TXN_OPS_MAX ? 0 : marks_count);
    t->owners += e->marks_count > 1;
    assert(t->table[slot] == 0);
    t->table[slot] = (uint32_t)(t->end & (t->cap - 1)) + 1;
    t->end++;
    assert(t->end - t->first <= t->cap && txnids_newest(t) == revision);
}

uint64_t txnids_newest(const struct txnids *t)
{
    return t->end == t->first ? 0 : at_place(t, t->end - 1)->revision;
}

void txnids_settle(struct txnids *t, uint64_t revision)
{
    while (t->settled < t->end && at_place(t, t->settled)->revision <= revision) {
        t->kept += at_place(t, t->settled++)->marks_count;
    }
    while (t->kept_from < t->settled && (t->settled - t->kept_from > t->max || t->kept > TXNIDS_MARKS_MAX)) {
        drop_marks(t, t->kept_from);
        t->kept_from++;
    }
    assert(t->first <= t->kept_from && t->kept_from <= t->settled && t->settled <= t->end);
}

const struct txnid *txnids_get(const struct txnids *t, const uint8_t id[TXN_ID_SIZE], uint64_t now)
{
    uint32_t at = t->table[slot_of(t, id)];
    if (at == 0) {
        return NULL;
    }
    const struct txnid *e = &t->ring[at - 1];
    return e->revision <= now && place_of(t, at - 1) + t->max >= t->end ? e : NULL;
}

uint64_t txnids_find(const struct txnids *t, const uint8_t id[TXN_ID_SIZE], uint64_t now)
{
    const struct txnid *e = txnids_get(t, id, now);
    return e == NULL ? 0 : e->revision;
}

void txnids_drop_after(struct txnids *t, uint64_t revision)
{
    while (t->end > t->first && at_place(t, t->end - 1)->revision > revision) {
        assert(t->end > t->settled);
        forget(t, t->end - 1);
        t->end--;
    }
    assert(txnids_newest(t) <= revision || t->end == t->first);
}

struct txnid *txnids_copy(const struct txnids *t, uint64_t now, uint32_t *count)
{
    uint64_t end = place_behind(t, now), first = end - t->first > t->max ? end - t->max : t->first;
    struct txnid *copy = xmalloc(MAX(end - first, 1u) * sizeof *copy);
    uint32_t n = 0;
    for (uint64_t place = first; place < end; place++) {
        const struct txnid *id = at_place(t, place);
        if (!id->gone) {
            copy[n] = *id;
            set_marks(&copy[n++], txnid_marks(id), id->marks_count);
        }
    }
    assert(n <= t->max && (n == 0 || copy[n - 1].revision <= now));
    *count = n;
    return copy;
}

void txnids_copy_free(struct txnid *copy, uint32_t count)
{
    for (uint32_t i = 0; copy != NULL && i < count; i++) {
        free_marks(&copy[i]);
    }
    free(copy);
}
