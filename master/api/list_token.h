/* What a list that has more pages gives its reader to go on with. Opaque to him, and whatever comes back may have been
 * made by him: it names a place in a version of the state, and no right to it. Pure.
 *
 * Base64 of msgpack [master id, revision, namespace, name, objects of the pages so far]. */
#ifndef MASTER_API_LIST_TOKEN_H
#define MASTER_API_LIST_TOKEN_H

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"

struct list_token {
    uint64_t master;     /* whose pages they are: no other master keeps the version */
    uint64_t revision;   /* of the version */
    struct str ns, name; /* the last object that was told */
    uint64_t told;       /* objects on the pages so far */
};
/* Appends it. */
void list_token_write(struct buf *out, const struct list_token *t);
/* Texts are in the arena. False: it is none. */
bool list_token_read(struct arena *a, struct str text, struct list_token *t);

#endif
