/* Members of canonical maps set and taken away, byte by byte: what changes one field of an object need not make a
 * document of it. */
#ifndef PROTO_SCHEMA_EDIT_H
#define PROTO_SCHEMA_EDIT_H

#include "proto/schema/kind.h"

#define SCHEMA_EDITS_MAX 8u

struct schema_edit {
    const char *key; /* of the schema, in its order and each once */
    struct mp value; /* canonical; empty: taken away */
};

/* Appends the map (empty: one without members) with the edits, each in the place that the schema gives it; members that
 * the schema does not know stay behind the others. False: the map's own members are not in the schema's order (a
 * document of another program's), and nothing was written. */
bool schema_edit(struct buf *out, const struct schema *s, struct mp map, const struct schema_edit *edits,
                 unsigned count);

#endif
