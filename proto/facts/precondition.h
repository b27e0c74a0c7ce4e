/* What a caller asks an object to be before it is changed or deleted: the very one, as it was read.
 * Source: Kubernetes metav1.Preconditions, metadata.resourceVersion. Pure. */
#ifndef PROTO_FACTS_PRECONDITION_H
#define PROTO_FACTS_PRECONDITION_H

#include "proto/schema/object.h"

/* `deployments.apps "web"`, cut to the buffer, which is returned: how errors name an object. */
#define PRECONDITION_NAME_SIZE 512
const char *precondition_name(const struct kind *k, struct str name, char out[PRECONDITION_NAME_SIZE]);
/* ERR_CONFLICT, with the field metadata.uid or metadata.resourceVersion, if o is not what was asked for. uid: empty =
 * any; revision: 0 = any. */
int precondition_check(const struct object *o, struct str uid, uint64_t revision, struct error *err);

#endif
