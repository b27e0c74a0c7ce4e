/* Open addressing with linear probing and backward-shift deletion: no tombstones, load at most 3/4. */
#include "base/strmap.h"

#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/hash.h"
#include "base/mem.h"

#define STRMAP_CAP_MIN 16

void strmap_init(struct strmap *m)
{
    *m = (struct strmap){.seed = hash_seed()};
}

void strmap_close(struct strmap *m)
{
    for (size_t i = 0; i < m->cap; i++) {
        free(m->entries[i].key);
    }
    free(m->entries);
    strmap_init(m);
}

/* The slot that holds the key, or the free one where it belongs. cap > 0 and never full. */
static size_t find_slot(const struct strmap *m, struct str key, uint64_t hash)
{
    size_t i = (size_t)hash & (m->cap - 1);
    while (m->entries[i].key != NULL) {
        const struct strmap_entry *e = &m->entries[i];
        if (e->hash == hash && str_eq((struct str){e->key, e->key_size}, key)) {
            break;
        }
        i = (i + 1) & (m->cap - 1);
    }
    return i;
}

static void grow(struct strmap *m)
{
    struct strmap bigger = {NULL, m->cap == 0 ? STRMAP_CAP_MIN : m->cap * 2, m->count, m->seed};
    bigger.entries = xcalloc(bigger.cap, sizeof *bigger.entries);
    for (size_t i = 0; i < m->cap; i++) {
        struct strmap_entry *e = &m->entries[i];
        if (e->key != NULL) {
            bigger.entries[find_slot(&bigger, (struct str){e->key, e->key_size}, e->hash)] = *e;
        }
    }
    free(m->entries);
    *m = bigger;
}

static uint64_t hash_of(const struct strmap *m, struct str key)
{
    return XXH3_64bits_withSeed(key.n == 0 ? "" : key.p, key.n, m->seed);
}

void *strmap_get(const struct strmap *m, struct str key)
{
    if (m->count == 0) {
        return NULL;
    }
    const struct strmap_entry *e = &m->entries[find_slot(m, key, hash_of(m, key))];
    return e->key == NULL ? NULL : e->value;
}

void *strmap_set(struct strmap *m, struct str key, void *value)
{
    assert(value != NULL);
    if ((m->count + 1) * 4 > m->cap * 3) {
        grow(m);
    }
    uint64_t hash = hash_of(m, key);
    struct strmap_entry *e = &m->entries[find_slot(m, key, hash)];
    if (e->key != NULL) {
        void *old = e->value;
        e->value = value;
        return old;
    }
    *e = (struct strmap_entry){xstrndup(key.p, key.n), key.n, hash, value};
    m->count++;
    return NULL;
}

void *strmap_remove(struct strmap *m, struct str key)
{
    if (m->count == 0) {
        return NULL;
    }
    size_t i = find_slot(m, key, hash_of(m, key));
    if (m->entries[i].key == NULL) {
        return NULL;
    }
    void *old = m->entries[i].value;
    free(m->entries[i].key);
    m->entries[i].key = NULL;
    m->count--;
    /* Close the gap: whoever probed past i and may stand at i moves there. */
    for (size_t j = (i + 1) & (m->cap - 1); m->entries[j].key != NULL; j = (j + 1) & (m->cap - 1)) {
        size_t home = (size_t)m->entries[j].hash & (m->cap - 1);
        bool stays = i <= j ? (i < home && home <= j) : (i < home || home <= j);
        if (!stays) {
            m->entries[i] = m->entries[j];
            m->entries[j].key = NULL;
            i = j;
        }
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
    return NULL;
}
