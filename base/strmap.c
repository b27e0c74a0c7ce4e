/* Open addressing with linear probing and backward-shift deletion: no tombstones, load at most 3/4.
 *
 * A large table that is full becomes the former one, beside a new one of twice the places. Each key that comes then
 * moves whole runs of the former one, from its first place on, MOVE_STEP places or a little more. A run is what
 * stands between two free places, so all that is left in the former table is found there as before: the way from where
 * an entry belongs to where it stands leads over no place that was emptied. The former table has 3/4 of its places in
 * use at most, and the new one takes as many again before it is full itself: by then all have been moved. */
#include "base/strmap.h"

#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/hash.h"
#include "base/mem.h"

#define STRMAP_CAP_MIN 16
#define MOVE_STEP      16u

void strmap_init(struct strmap *m)
{
    *m = (struct strmap){.seed = hash_seed()};
}

static void free_keys(const struct strmap_entry *entries, size_t from, size_t cap)
{
    for (size_t i = from; i < cap; i++) {
        free(entries[i].key);
    }
}

void strmap_close(struct strmap *m)
{
    free_keys(m->entries, 0, m->cap);
    free(m->entries);
    free_keys(m->former, m->moved, m->former_cap);
    free(m->former);
    strmap_init(m);
}

/* The slot that holds the key, or the free one where it belongs. cap > 0 and never full. */
static struct strmap_entry *find_slot(struct strmap_entry *entries, size_t cap, struct str key, uint64_t hash)
{
    size_t i = (size_t)hash & (cap - 1);
    while (entries[i].key != NULL) {
        const struct strmap_entry *e = &entries[i];
        if (e->hash == hash && str_eq((struct str){e->key, e->key_size}, key)) {
            break;
        }
        i = (i + 1) & (cap - 1);
    }
    return &entries[i];
}

/* Where an entry goes whose key is in no table. */
static struct strmap_entry *free_slot(struct strmap_entry *entries, size_t cap, uint64_t hash)
{
    size_t i = (size_t)hash & (cap - 1);
    while (entries[i].key != NULL) {
        i = (i + 1) & (cap - 1);
    }
    return &entries[i];
}

/* Runs of the former table, at least so many places; all of it if there are no more. */
static void move_some(struct strmap *m, size_t places)
{
    size_t end = m->former_cap - m->moved > places ? m->moved + places : m->former_cap;
    while (m->moved < m->former_cap && (m->moved < end || m->former[m->moved].key != NULL)) {
        struct strmap_entry *e = &m->former[m->moved++];
        if (e->key != NULL) {
            *free_slot(m->entries, m->cap, e->hash) = *e;
            e->key = NULL;
        }
    }
    if (m->moved == m->former_cap) {
        free(TAKE_PTR(m->former));
        m->former_cap = m->moved = 0;
    }
}

static void grow(struct strmap *m)
{
    assert(m->former == NULL);
    m->former = m->entries;
    m->former_cap = m->cap;
    m->cap = m->cap == 0 ? STRMAP_CAP_MIN : m->cap * 2;
    m->entries = xcalloc(m->cap, sizeof *m->entries);
    if (m->former_cap <= STRMAP_AT_ONCE) {
        move_some(m, m->former_cap);
    }
}

static uint64_t hash_of(const struct strmap *m, struct str key)
{
    return XXH3_64bits_withSeed(key.n == 0 ? "" : key.p, key.n, m->seed);
}

/* NULL: it is in no table. */
static struct strmap_entry *find(const struct strmap *m, struct str key, uint64_t hash)
{
    if (m->count == 0) {
        return NULL;
    }
    struct strmap_entry *e = find_slot(m->entries, m->cap, key, hash);
    if (e->key == NULL && m->former != NULL) {
        e = find_slot(m->former, m->former_cap, key, hash);
    }
    return e->key == NULL ? NULL : e;
}

void *strmap_get(const struct strmap *m, struct str key)
{
    const struct strmap_entry *e = find(m, key, hash_of(m, key));
    return e == NULL ? NULL : e->value;
}

void *strmap_set(struct strmap *m, struct str key, void *value)
{
    assert(value != NULL);
    uint64_t hash = hash_of(m, key);
    struct strmap_entry *e = find(m, key, hash);
    if (e != NULL) {
        void *old = e->value;
        e->value = value;
        return old;
    }
    if (m->former != NULL) {
        move_some(m, MOVE_STEP);
    }
    if ((m->count + 1) * 4 > m->cap * 3) {
        grow(m);
    }
    *free_slot(m->entries, m->cap, hash) = (struct strmap_entry){xstrndup(key.p, key.n), key.n, hash, value};
    m->count++;
    return NULL;
}

/* Close the gap: whoever probed past i and may stand at i moves there. */
static void close_gap(struct strmap_entry *entries, size_t cap, size_t i)
{
    entries[i].key = NULL;
    for (size_t j = (i + 1) & (cap - 1); entries[j].key != NULL; j = (j + 1) & (cap - 1)) {
        size_t home = (size_t)entries[j].hash & (cap - 1);
        bool stays = i <= j ? (i < home && home <= j) : (i < home || home <= j);
        if (!stays) {
            entries[i] = entries[j];
            entries[j].key = NULL;
            i = j;
        }
    }
}

void *strmap_remove(struct strmap *m, struct str key)
{
    struct strmap_entry *e = find(m, key, hash_of(m, key));
    if (e == NULL) {
        return NULL;
    }
    void *old = e->value;
    free(e->key);
    m->count--;
    if (e >= m->entries && e < m->entries + m->cap) {
        close_gap(m->entries, m->cap, (size_t)(e - m->entries));
    } else {
        close_gap(m->former, m->former_cap, (size_t)(e - m->former));
    }
    return old;
}

const struct strmap_entry *strmap_next(const struct strmap *m, size_t *cursor)
{
    while (*cursor < m->cap) {
        const struct strmap_entry *e = &m->entries[(*cursor)++];
        if (e->key != NULL) {
            return e;
        }
    }
    for (*cursor = MAX(*cursor, m->cap + m->moved); *cursor < m->cap + m->former_cap;) {
        const struct strmap_entry *e = &m->former[(*cursor)++ - m->cap];
        if (e->key != NULL) {
            return e;
        }
    }
    return NULL;
}

const struct strmap_entry *strmap_drain(const struct strmap *m, size_t *cursor)
{
    if (m->count == 0) {
        return NULL;
    }
    const struct strmap_entry *e = strmap_next(m, cursor);
    if (e == NULL) { /* a removal has moved one to a place behind the cursor */
        *cursor = 0;
        e = strmap_next(m, cursor);
    }
    --*cursor; /* whoever takes its place is next */
    return e;
}
