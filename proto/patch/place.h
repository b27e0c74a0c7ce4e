/* What all patches stand on: which table entry stands behind a key, the path that an error names, copies. For this room
 * and for proto/managed. */
#ifndef PROTO_PATCH_PLACE_H
#define PROTO_PATCH_PLACE_H

#include "base/err.h"
#include "proto/schema/kind.h"

/* A place in a document: the field that describes it, and whether the value is one element of that field (of its list
 * or map) or the field's whole value. f == NULL: nothing is known, maps merge freely and lists are atomic. */
struct place {
    const struct field *f;
    bool element;
    const struct schema *schema; /* of the map that stands here; NULL if its keys are free */
};
struct place place_root(const struct kind *k);
struct place place_child(struct place map, struct str key);
struct place place_element(struct place list);

enum list_strategy { LIST_ATOMIC, LIST_SET, LIST_KEYED };
enum list_strategy place_list_strategy(struct place p);
/* A struct or a map that server-side apply sets and owns as one value (a selector, a reference): Kubernetes'
 * structType=atomic and mapType=atomic. */
bool place_is_atomic(struct place p);

/* Path of the field at work, for errors: a chain on the stack. */
struct crumb {
    const struct crumb *up;
    struct str key; /* of a map; empty: index counts */
    unsigned index;
};
/* error_set_field with the path written out. */
int patch_error(struct error *err, const struct crumb *at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Deep copy without null members (a null says "not there"). */
struct value *copy_without_nulls(struct arena *a, const struct value *v);
/* A new map with the members of `map` (nodes shared). NULL or no map: empty. */
struct value *copy_members(struct arena *a, const struct value *map);

#endif
