#include "raft-store/store/txnids.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/hash.h"
#include "base/mem.h"

/* Beyond `max`: transactions on the tip must not push out what committed still remembers, since the tip may be dropped. */
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
    t->ring = xcalloc(t->cap, sizeof *t->ring);
    t->table = xcalloc((size_t)t->cap * 2, sizeof *t->table);
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
    t->kept_from = t->settled = t->kept = 0;
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

static bool has_settled(const struct txnids *t, uint64_t revision)
{
    return revision >= t->kept_from && revision <= t->settled;
}

static void drop_marks(struct txnids *t, struct txnid *e)
{
    if (has_settled(t, e->revision)) {
        assert(t->kept >= e->marks_count);
        t->kept -= e->marks_count;
    }
    t->owners -= e->marks_count > 1;
    free_marks(e);
}

static void ring_remove(struct txnids *t, uint32_t index)
{
    if (t->ring[index].revision == 0) {
        return;
    }
    uint32_t slot = slot_of(t, t->ring[index].id);
    assert(t->table[slot] == index + 1);
    table_remove(t, slot);
    drop_marks(t, &t->ring[index]);
    t->ring[index].revision = 0;
}

void txnids_add(struct txnids *t, const uint8_t id[TXN_ID_SIZE], uint64_t revision, const txnid_mark *marks,
                uint32_t marks_count)
{
    assert(revision > 0);
    uint32_t index = (uint32_t)(revision & (t->cap - 1));
    ring_remove(t, index);
    uint32_t slot = slot_of(t, id);
    if (t->table[slot] != 0) { /* the id was used before and has been forgotten by age */
        ring_remove(t, t->table[slot] - 1);
        slot = slot_of(t, id);
    }
    t->ring[index].revision = revision;
    memcpy(t->ring[index].id, id, TXN_ID_SIZE);
    set_marks(&t->ring[index], marks, marks_count > TXN_OPS_MAX ? 0 : marks_count);
    t->owners += t->ring[index].marks_count > 1;
    t->table[slot] = index + 1;
    if (has_settled(t, revision)) { /* read from a snapshot, or written anew behind one */
        t->kept += t->ring[index].marks_count;
    }
}

void txnids_settle(struct txnids *t, uint64_t revision)
{
    if (revision > t->settled + t->cap) { /* nothing older than the ring is there */
        t->settled = revision - t->cap;
    }
    while (t->settled < revision) {
        uint64_t r = ++t->settled;
        const struct txnid *e = &t->ring[r & (t->cap - 1)];
        t->kept += e->revision == r && r >= t->kept_from ? e->marks_count : 0;
    }
    if (t->kept_from + t->cap < revision) {
        t->kept_from = revision - t->cap;
    }
    while (t->kept_from <= t->settled && (t->kept_from + t->max <= t->settled || t->kept > TXNIDS_MARKS_MAX)) {
        struct txnid *e = &t->ring[t->kept_from & (t->cap - 1)];
        if (e->revision == t->kept_from) {
            drop_marks(t, e);
        }
        t->kept_from++;
    }
}

const struct txnid *txnids_get(const struct txnids *t, const uint8_t id[TXN_ID_SIZE], uint64_t now)
{
    uint32_t at = t->table[slot_of(t, id)];
    if (at == 0) {
        return NULL;
    }
    uint64_t revision = t->ring[at - 1].revision;
    return revision <= now && revision + t->max > now ? &t->ring[at - 1] : NULL;
}

uint64_t txnids_find(const struct txnids *t, const uint8_t id[TXN_ID_SIZE], uint64_t now)
{
    const struct txnid *e = txnids_get(t, id, now);
    return e == NULL ? 0 : e->revision;
}

void txnids_drop_after(struct txnids *t, uint64_t revision, uint64_t last)
{
    for (uint64_t r = revision + 1; r <= last; r++) {
        uint32_t index = (uint32_t)(r & (t->cap - 1));
        if (t->ring[index].revision == r) {
            ring_remove(t, index);
        }
    }
}

struct txnid *txnids_copy(const struct txnids *t, uint64_t now, uint32_t *count)
{
    uint32_t n = 0;
    uint64_t first = now >= t->max ? now - t->max + 1 : 1;
    for (uint64_t r = first; r <= now; r++) {
        n += t->ring[r & (t->cap - 1)].revision == r;
    }
    struct txnid *copy = xmalloc(MAX(n, 1u) * sizeof *copy);
    n = 0;
    for (uint64_t r = first; r <= now; r++) {
        const struct txnid *id = &t->ring[r & (t->cap - 1)];
        if (id->revision == r) {
            copy[n] = *id;
            set_marks(&copy[n++], txnid_marks(id), id->marks_count);
        }
    }
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
