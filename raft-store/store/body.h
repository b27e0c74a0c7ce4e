/* Canonical bodies put together from parts of others, byte by byte, without decoding documents. Internal to
 * raft-store. */
#ifndef RAFT_STORE_STORE_BODY_H
#define RAFT_STORE_STORE_BODY_H

#include "proto/schema/edit.h"
#include "proto/schema/object.h"

/* Write to out the body of `base` with the members of metadata edited (in the schema's order) and, if status_of is
 * another object, with that one's status in place of its own. Both are of one kind. The result is canonical if the
 * parts are. */
void body_merge(struct buf *out, const struct object *base, const struct object *status_of,
                const struct schema_edit *edits, unsigned count);
/* Everything but apiVersion, kind, metadata and status is the same. */
bool body_spec_equal(const struct object *a, const struct object *b);
/* The bytes that two bodies have in common at both ends. at + tail is at most the size of the smaller. */
void body_common_ends(const void *a, size_t a_size, const void *b, size_t b_size, size_t *at, size_t *tail);

#endif
