/* A map from byte strings to pointers, for soft state (sessions, heartbeats). Keys are copied; values are borrowed.
 * Iteration order is unspecified: never use it where order may reach the log or a decision.
 *
 * No call takes time that grows with the map, but for strmap_close (strmap_drain says how to empty a large one): a map
 * of more than STRMAP_AT_ONCE places grows in steps. Its entries stay in the former table at first, and each new key
 * takes some of them along. A lookup meanwhile looks into both. */
#ifndef BASE_STRMAP_H
#define BASE_STRMAP_H

#include <stdint.h>

#include "base/str.h"

struct strmap_entry {
    char *key; /* NULL = free; NUL-terminated copy */
    size_t key_size;
    uint64_t hash;
    void *value;
};
struct strmap {
    struct strmap_entry *entries;
    size_t cap;                  /* power of two, or 0 */
    size_t count;                /* of both tables */
    uint64_t seed;               /* base/hash.h */
    struct strmap_entry *former; /* while it grows: those that have not been moved; else NULL */
    size_t former_cap, moved;    /* places below `moved` of it are empty */
};
#define STRMAP_AT_ONCE 1024u /* places of a table that is moved whole */

void strmap_init(struct strmap *m);
void strmap_close(struct strmap *m);
void *strmap_get(const struct strmap *m, struct str key);        /* NULL if absent */
void *strmap_set(struct strmap *m, struct str key, void *value); /* the former value, or NULL; value must not be NULL */
void *strmap_remove(struct strmap *m, struct str key);           /* the removed value, or NULL */
/* for (size_t i = 0; (e = strmap_next(m, &i)) != NULL;) ; inside, no key may come or go (another value for one that is
 * there is no change). */
const struct strmap_entry *strmap_next(const struct strmap *m, size_t *cursor);
/* To empty a map in steps: any entry, NULL if there is none. *cursor begins at 0, and is kept while keys are removed
 * and none are added, so that empty places are looked at once. */
const struct strmap_entry *strmap_drain(const struct strmap *m, size_t *cursor);

#endif
