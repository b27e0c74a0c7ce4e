/* `rctl describe`: everything about one object, for people to read.
 *
 * How a kind is described is its table's: the hook `describe` (kind.h) writes the text, and `related` says which other
 * objects it wants to see for it. A kind without a hook is described as the document it is. Pure: objects in, text
 * out. */
#ifndef PROTO_DESCRIBE_DESCRIBE_H
#define PROTO_DESCRIBE_DESCRIBE_H

#include "base/buf.h"
#include "proto/schema/object.h"

struct describe_list {
    struct object *const *items; /* borrowed */
    unsigned count;
};
/* What belongs to the object, fetched before. */
struct describe_context {
    int64_t now_ms;
    struct describe_list events;                    /* about the object, oldest first */
    bool without_events;                            /* nothing is said of them */
    struct describe_list related[KIND_RELATED_MAX]; /* in the order of the kind's rows */
};
void describe_object(struct buf *out, const struct object *o, const struct describe_context *c);

/* ---- Pieces that kinds share (proto/kinds/pod_describe.c) ---- */

void describe_containers(struct buf *out, unsigned level, const char *label, struct mp containers, struct mp statuses);
void describe_volumes(struct buf *out, unsigned level, struct mp volumes);
void describe_pod_template(struct buf *out, struct mp template, unsigned level);

#endif
