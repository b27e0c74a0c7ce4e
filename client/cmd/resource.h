/* What the words on a command line mean: TYPE, TYPE NAME..., TYPE/NAME..., TYPE,TYPE. */
#ifndef CLIENT_CMD_RESOURCE_H
#define CLIENT_CMD_RESOURCE_H

#include "client/cmd/rctl.h"
#include "proto/schema/kind.h"

#define RESOURCES_MAX    4096u
#define RESOURCE_ALL_MAX 32u /* kinds of the category "all" */

struct resource {
    const struct kind *kind;
    const char *name;        /* NULL: all of the kind */
    const char *api_version; /* that it was asked for in: the kind's, or another it is answered in; NULL = the kind's */
    const char *ns;          /* NULL: that of the command line or the context */
};
struct resources {
    struct resource *items;
    unsigned count;
    bool several_kinds;
};
/* ERR_USAGE or ERR_NOT_FOUND with the nearest type. "all" stands for resource_all. */
int resource_parse(struct arena *a, const char *const *words, unsigned count, struct resources *out, struct error *err);
/* The kinds of the category "all", by group and plural, as kubectl has them. Returns how many. */
unsigned resource_all(const struct kind *out[RESOURCE_ALL_MAX]);
/* One kind by what a person types. */
int resource_kind(const char *word, const struct kind **out, struct error *err);
/* "NAME" alone means a pod; "deploy/NAME" a kind that has pods, "svc/NAME" one that leads to some. */
int resource_parse_pod_owner(struct arena *a, const char *word, struct resource *out, struct error *err);

/* The object by its name or, if there is none and `prefix`, by a prefix that fits exactly one. */
int resource_get(struct rctl *r, const struct resource *res, const char *ns, bool prefix, struct object **out,
                 struct error *err);
/* The pod that a word means: its name, a prefix, or a pod of deploy/NAME, rs/NAME or svc/NAME: one that is ready if
 * there is one, otherwise one that runs. owner may be NULL; *owner is what the word names if that is no pod, or NULL.
 * */
int resource_get_pod(struct rctl *r, const char *word, struct object **out, struct object **owner, struct error *err);
/* Selector text of spec.selector, in the arena. ERR_INVALID for a Service that has none. */
const char *resource_selector(struct arena *a, const struct object *o, struct error *err);
/* kubectl's "pod/web" or "deployment.apps/web". */
const char *resource_title(struct arena *a, const struct kind *k, struct str name);

#endif
