/* What there is to reach in the cluster: all Services and EndpointSlices, one table, which all agents' feeds share
 * (node.services). From it a node makes its rules and answers names.
 *
 * An agent receives messages, each {"whole", "changed", "gone", "complete", "revision"}:
 *   whole     true: what it knew counts no more; this is the first of all there is
 *   changed   a list of objects as the API has them: {kind: Service ...} or {kind: EndpointSlice ...}. An EndpointSlice
 *             belongs to the Service that its label kubernetes.io/service-name names, in its namespace
 *   gone      a list of {"kind", "namespace", "name"}; of one that it does not know as well
 *   complete  it has been told everything that is committed; until the first such message it knows a part only
 *   revision  with complete: what it knows now is what there was at this revision, and nothing has changed since
 * The same object may come again. Objects come in the order of their last changes, so a slice may come before its
 * Service.
 *
 * Each change has a number. Whoever was told everything up to a number is told what has changed since, about
 * SERVING_MESSAGE_BYTES at a time; what is written for one is kept for the others that stand where it stood. What is
 * gone stays known as gone, SERVING_GONE_MAX of them; who was last told before that is told the whole again. Loop
 * thread only. */
#ifndef MASTER_NODES_SERVING_H
#define MASTER_NODES_SERVING_H

#include "base/buf.h"
#include "raft-store/store/view.h"

#define SERVING_GONE_MAX      4096u
#define SERVING_MESSAGE_BYTES (256u << 10) /* and one object */

struct serving;
struct serving *serving_new(void);
void serving_free(struct serving *s);
bool serving_is_of(const struct object *o); /* of one of its kinds */
/* All objects of a version of the state: what is not in it is gone. */
void serving_sync(struct serving *s, const struct view *v);
/* One of its objects has changed; old and new may be NULL. */
void serving_change(struct serving *s, const struct object *old, const struct object *new);

/* What serving_change told of has come with this revision. */
void serving_is_at(struct serving *s, uint64_t revision);

/* How far somebody has been told; {0}: nothing. */
struct serving_place {
    uint64_t began; /* number of the newest change when it was told the whole */
    uint64_t sent;
};
bool serving_is_behind(const struct serving *s, const struct serving_place *p);
/* The next message for who stands at p, which is behind; *next: where it stands with it. Borrowed until the next
 * call. */
struct str serving_message(struct serving *s, const struct serving_place *p, struct serving_place *next);

#endif
