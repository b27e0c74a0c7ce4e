/* LimitRanges: what pods and claims of a namespace get where they say nothing, and what they may ask for. Source:
 * Kubernetes core/v1 LimitRange; its admission plugin LimitRanger, whose words these are. Pure. */
#ifndef PROTO_FACTS_LIMITS_H
#define PROTO_FACTS_LIMITS_H

#include "base/buf.h"
#include "proto/schema/object.h"

#define LIMITS_ANNOTATION "kubernetes.io/limit-ranger" /* of a pod: what it was given */

/* Gives the containers of a pod's document the requests and limits that they do not have and the range has defaults
 * for, and tells of it in the annotation. True: there were some. range: the document of a LimitRange. */
bool limits_fill(struct arena *a, struct value *pod, const struct value *range);
/* What a document (a pod, or a claim) has that the range does not allow, in words: one finding, or several as
 * "[one, two]"; nothing: it is allowed. */
void limits_check(struct buf *out, struct arena *a, const struct kind *k, const struct value *doc,
                  const struct value *range);

#endif
