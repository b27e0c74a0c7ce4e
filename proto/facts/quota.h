/* ResourceQuotas read: what their names count, what an object uses of it, and which pods their scopes choose. Source:
 * Kubernetes core/v1 ResourceQuota, "Resource Quotas" of its documentation.
 *
 * Amounts are counted in thousandths, exactly: what is finer is rounded up in each quantity, and one above 2^62 counts
 * as that. Pure. */
#ifndef PROTO_FACTS_QUOTA_H
#define PROTO_FACTS_QUOTA_H

#include "proto/model/quantity.h"
#include "proto/schema/object.h"

/* Annotation of a quota while what there is is being counted: "PLURAL[.GROUP]/NAME" of the last that was; "/": none. */
#define QUOTA_COUNTING      "reeve.io/counting"
#define QUOTA_RESOURCES_MAX 128u /* names in one quota: each is looked at with each change of what it counts */

typedef __int128 quota_amount;
quota_amount quota_amount_of(struct str quantity); /* malformed: 0 */

enum quota_what {
    QUOTA_NOTHING, /* of a kind that there is not (yet) */
    QUOTA_OBJECTS, /* objects of a kind */
    QUOTA_PODS,    /* pods that have not finished; so do the next two */
    QUOTA_REQUESTS,
    QUOTA_LIMITS,
    QUOTA_NODE_PORTS, /* of Services of type NodePort, and of LoadBalancers that have some */
    QUOTA_BALANCERS,
    QUOTA_STORAGE, /* that claims ask for, of one class or of all */
    QUOTA_CLAIMS,  /* of one class */
};
/* One name of spec.hard, taken apart. Borrows the name. */
struct quota_resource {
    struct str name;
    enum quota_what what;
    const struct kind *kind; /* whose objects it counts; NULL: QUOTA_NOTHING */
    struct str of;           /* "cpu" of requests and limits; a StorageClass, empty: all */
};
void quota_resource_read(struct str name, struct quota_resource *out);
/* In the form in which such amounts are written: 500m, 2Gi, 10. */
void quota_amount_text(const struct quota_resource *r, quota_amount n, char out[QUANTITY_SIZE]);

struct quota_row {
    struct quota_resource resource;
    quota_amount hard, used;
};
struct quota {
    const struct object *object;
    struct mp scopes, expressions; /* spec.scopes, spec.scopeSelector.matchExpressions */
    struct quota_row *rows;        /* in the order of their names */
    unsigned count;
    bool known;    /* status.used is there for all of them */
    bool counting; /* it counts what there is, and has come to the object `to`, which is counted: kind, then name */
    unsigned to_kind;
    struct str to_name;
};
/* spec is that of o; the status is that of `counted` (NULL: none is known), if it is of the same names and scopes.
 * Borrows both. */
void quota_read(struct quota *q, struct arena *a, const struct object *o, const struct object *counted);
bool quota_scoped(const struct quota *q);
/* Do its scopes choose the object? With scopes: pods alone. */
bool quota_matches(const struct quota *q, const struct object *o);
/* What an object (NULL: none) that it matches uses of a row. */
quota_amount quota_usage(const struct quota_resource *r, const struct object *o);
/* All of it, with quota_matches. */
quota_amount quota_row_usage(const struct quota *q, const struct quota_row *row, const struct object *o);
/* Neither of two versions can count otherwise than the other. */
bool quota_same(const struct object *old, const struct object *now);
/* "limits.cpu for: web; requests.memory for: web,init" into out: what a pod's containers must say because the quota
 * counts it. Nothing: they say all. */
void quota_unsaid(struct buf *out, const struct quota *q, const struct object *pod);

#endif
