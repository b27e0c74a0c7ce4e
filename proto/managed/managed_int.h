/* Inside of proto/managed. */
#ifndef PROTO_MANAGED_MANAGED_INT_H
#define PROTO_MANAGED_MANAGED_INT_H

#include "proto/managed/managed.h"
#include "proto/patch/place.h"

/* Sets in the making: elements are added in any order, and then the set is closed (sorted, what is there twice made
 * one). The node is borrowed until the next one is added. */
struct managed_node *managed_add(struct arena *a, struct managed_set *s, struct managed_node n);
void managed_close(struct arena *a, struct managed_set *s);

/* How a value is taken apart (walk.c). */
enum managed_shape {
    MANAGED_LEAF,
    MANAGED_MAP,  /* members, by their keys */
    MANAGED_LIST, /* elements, by their merge keys, or as the values of a set */
};
enum managed_shape managed_shape_of(struct place p, const struct value *v);
/* The element of a list that is taken apart, as a node that is not owned. Text in the arena. */
struct managed_node managed_item(struct arena *a, struct place list, const struct value *item);
/* Nothing of the system's own (metadata.uid, ...), and of the part that counts. map: what stands at the top. */
bool managed_counts(enum managed_part part, bool at_top, bool in_metadata, struct str key);

/* What stands in live, and what config says of it put upon it (merge.c). others: what other managers own. */
int managed_merge(struct arena *a, const struct kind *k, const struct value *live, const struct value *config,
                  const struct managed_set *others, struct value **out, struct error *err);
/* A new document without what is in `last`, unless it is in `keep`, or holds what is. */
struct value *managed_prune(struct arena *a, const struct kind *k, enum managed_part part, const struct value *doc,
                            const struct managed_set *last, const struct managed_set *keep);

#endif
