#include "raft-store/store/pack.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/mem.h"
#include "raft-store/store/event_ring.h"
#include "raft-store/store/view_edit.h"

void pack_close(struct pack *p)
{
    for (unsigned i = 0; p->rows != NULL && i < PACK_ROWS; i++) {
        for (unsigned b = 0; b < PACK_BASES; b++) {
            object_unref(p->rows[i].bases[b]);
        }
    }
    free(p->rows);
    object_packer_close(&p->scratch);
    buf_close(&p->ns);
    buf_close(&p->name);
    *p = (struct pack){0};
}

/* ---- Bases ---- */

static struct pack_row *row_of(struct pack *p, const struct object *o)
{
    if (p->rows == NULL) {
        p->rows = xcalloc(PACK_ROWS, sizeof *p->rows);
    }
    uint64_t hash = XXH3_64bits_withSeed(o->ns.n > 0 ? o->ns.p : "", o->ns.n, (unsigned)o->kind->id);
    hash = XXH3_64bits_withSeed(o->owner_uid.n > 0 ? o->owner_uid.p : "", o->owner_uid.n, hash);
    return &p->rows[hash % PACK_ROWS];
}

static bool row_has(const struct pack_row *row, const struct object *o)
{
    for (unsigned b = 0; b < PACK_BASES; b++) {
        if (row->bases[b] == o) {
            return true;
        }
    }
    return false;
}

/* o becomes a base, in place of the oldest. */
static void row_put(struct pack *p, struct pack_row *row, const struct object *o)
{
    object_unref(row->bases[PACK_BASES - 1]);
    for (unsigned b = PACK_BASES - 1; b > 0; b--) {
        row->bases[b] = row->bases[b - 1];
    }
    row->bases[0] = object_ref(o);
    row->since = 0;
    p->stats.bases++;
}

/* Pods that wait are a poor base for those that run. */
static bool is_poor(const struct object *packed)
{
    return object_kept_bytes(packed) - sizeof *packed > packed->body_size / PACK_POOR;
}

/* The object in another form, with a ref; NULL: it stays as it is. */
static struct object *pack_one(struct pack *p, const struct object *o)
{
    struct pack_row *row = row_of(p, o);
    struct object *best = NULL;
    if (row_has(row, o)) {
        return NULL;
    }
    for (unsigned b = 0; b < PACK_BASES && (best == NULL || is_poor(best)); b++) {
        struct object *packed = row->bases[b] == NULL ? NULL : object_pack(o, row->bases[b], &p->scratch);
        if (packed != NULL && (best == NULL || object_kept_bytes(packed) < object_kept_bytes(best))) {
            object_unref(best);
            best = packed;
        } else {
            object_unref(packed);
        }
    }
    row->since++;
    bool as_base = best == NULL || (is_poor(best) && row->since >= PACK_POOR_EACH);
    if (as_base && o->body_size <= PACK_BASE_MAX) {
        row_put(p, row, o);
        object_unref(best);
        return NULL;
    }
    p->stats.packed += best != NULL;
    return best;
}

static struct object *pack_again(struct pack *p, const struct object *o)
{
    struct object *base = object_base(o);
    if (object_base_is_its_own(o)) {
        return object_unpack(o); /* its next turn finds it another base, or makes it one */
    }
    bool together = __atomic_load_n(&o->body_there, __ATOMIC_ACQUIRE) != NULL;
    struct object *alone = together ? object_pack_again(o) : NULL;
    p->stats.repacked += together;
    const struct object *now = together ? alone : o;
    if (!is_poor(now) || row_has(row_of(p, o), base)) {
        return alone;
    }
    object_unref(alone);
    struct object *plain = object_unpack(o), *better = pack_one(p, plain); /* by now there are others */
    if (better == NULL) {
        return plain;
    }
    object_unref(plain);
    return better;
}

/* ---- The way through a version ---- */

/* The kind to go on with, or NULL: the row begins anew. Secrets are wiped where they lie, and never packed. */
static const struct kind *kind_from(const struct view *v, const struct kind *after)
{
    const struct kind *k = view_kind_next(v, after);
    while (k != NULL && (k->secret || event_ring_holds(k))) {
        k = view_kind_next(v, k);
    }
    return k;
}

static void remember(struct pack *p, const struct object *last)
{
    buf_reset(&p->ns);
    buf_reset(&p->name);
    p->kind_id = (unsigned)last->kind->id;
    buf_append_str(&p->ns, last->ns);
    buf_append_str(&p->name, last->name);
}

void pack_anew(struct pack *p)
{
    p->kind_id = 0;
    p->round++;
}

#define RESTLESS_MAX 5u

static unsigned restless(const struct object *o)
{
    return __atomic_load_n(&o->restless, __ATOMIC_RELAXED);
}

void pack_replaced(const struct object *old, struct object *o)
{
    unsigned n = MIN(restless(old) + old->packed, RESTLESS_MAX);
    if (n != restless(o)) {
        __atomic_store_n(&o->restless, (uint8_t)n, __ATOMIC_RELAXED);
    }
}

static bool has_its_round(const struct pack *p, const struct object *o)
{
    return (p->round & ((1u << restless(o)) - 1)) == 0;
}

/* A packed one that nobody has read since it was packed. */
static void calm(const struct object *o)
{
    unsigned n = restless(o);
    if (n > 0 && __atomic_load_n(&o->body_there, __ATOMIC_RELAXED) == NULL) {
        __atomic_store_n(&((struct object *)o)->restless, (uint8_t)(n - 1), __ATOMIC_RELAXED);
    }
}

/* Objects of one kind, from where it stopped on. What came of them is put into the version when all have been looked
 * at, as iterating over one that changes is not possible. */
static void pack_kind(struct pack *p, struct view *v, const struct kind *k, uint64_t until, struct pack_turn *turn)
{
    struct view_iter it;
    CLEANUP_BUF struct buf done = BUF_INIT;
    const struct object *last = NULL;
    if (p->kind_id == (unsigned)k->id) {
        view_iter_after(&it, v, k, STR_NONE, buf_str(&p->ns), buf_str(&p->name));
    } else {
        view_iter(&it, v, k, STR_NONE);
    }
    for (const struct object *o; turn->visits > 0 && turn->tries > 0 && (o = view_next(&it)) != NULL; turn->visits--) {
        last = o;
        bool plain = !o->packed && o->revision <= until && (until == UINT64_MAX || has_its_round(p, o));
        if (o->packed) {
            calm(o);
        }
        struct object *other = o->packed ? pack_again(p, o) : plain ? pack_one(p, o) : NULL;
        turn->tries -= plain || other != NULL;
        if (other != NULL) {
            buf_append(&done, &other, sizeof other);
        }
    }
    if (last != NULL) {
        remember(p, last);
    }
    for (size_t at = 0; at < done.size; at += sizeof(struct object *)) {
        struct object *other;
        memcpy(&other, done.data + at, sizeof other);
        view_exchange(v, other);
        object_unref(other);
    }
}

/* From where it stopped to the end of the version; true: it has come there. */
static bool pack_on(struct pack *p, struct view *v, uint64_t until, struct pack_turn *turn)
{
    const struct kind *k = p->kind_id == 0 ? kind_from(v, NULL) : kind_stored(p->kind_id);
    assert(!view_is_shared(v));
    for (; k != NULL; k = kind_from(v, k)) {
        pack_kind(p, v, k, until, turn);
        if (turn->visits == 0 || turn->tries == 0) {
            return false;
        }
    }
    return true;
}

void pack_some(struct pack *p, struct view *v, uint64_t until, struct pack_turn *turn)
{
    if (pack_on(p, v, until, turn)) {
        pack_anew(p);
    }
}

void pack_rest(struct pack *p, struct view *v)
{
    pack_on(p, v, UINT64_MAX, &(struct pack_turn){UINT_MAX, UINT_MAX});
}
