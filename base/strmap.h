/* A map from byte strings to pointers, for soft state (sessions, heartbeats). Keys are copied; values are borrowed.
 * Iteration order is unspecified: never use it where order may reach the log or a decision. */
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
    size_t cap; /* power of two, or 0 */
    size_t count;
    uint64_t seed; /* base/hash.h */
};

void strmap_init(struct strmap *m);
void strmap_close(struct strmap *m);
void *strmap_get(const struct strmap *m, struct str key);        /* NULL if absent */
void *strmap_set(struct strmap *m, struct str key, void *value); /* the former value, or NULL; value must not be NULL */
void *strmap_remove(struct strmap *m, struct str key);           /* the removed value, or NULL */
/* for (size_t i = 0; (e = strmap_next(m, &i)) != NULL;) ; do not change the map inside. */
const struct strmap_entry *strmap_next(const struct strmap *m, size_t *cursor);

#endif
