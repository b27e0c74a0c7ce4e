/* What of an object can be asked for on its own, and which methods its address takes: for requests and for discovery
 * alike. Pure. */
#ifndef MASTER_REST_PARTS_H
#define MASTER_REST_PARTS_H

#include "proto/schema/kind.h"

struct rest_part {
    const char *name;                  /* "status"; "": the object */
    bool (*has)(const struct kind *k); /* NULL: every kind */
    const char *methods;               /* "GET PUT PATCH" */
    const char *verbs;                 /* for discovery: "get patch update" */
    const char *api_version, *kind;    /* of what goes in and out, where it is not the object; NULL */
};
extern const struct rest_part rest_parts[];
extern const unsigned rest_parts_count;
/* NULL: the kind has no such part. */
const struct rest_part *rest_part_of(const struct kind *k, struct str name);

#define REST_LIST_METHODS "GET POST DELETE" /* of all objects of a kind */
#define REST_LIST_VERBS   "create delete deletecollection get list patch update watch"

#endif
