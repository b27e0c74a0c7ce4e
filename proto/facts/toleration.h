/* What a pod tolerates when it does not say: it stays 300 s on a node that is not ready or not reachable.
 * Source: Kubernetes' admission DefaultTolerationSeconds. Pure. */
#ifndef PROTO_FACTS_TOLERATION_H
#define PROTO_FACTS_TOLERATION_H

#include "proto/model/value.h"

#define TAINT_NODE_NOT_READY   "node.kubernetes.io/not-ready"
#define TAINT_NODE_UNREACHABLE "node.kubernetes.io/unreachable"
#define TOLERATION_DEFAULT_S   300

/* Adds to spec.tolerations what is not tolerated yet with effect NoExecute. spec.tolerations must be a list or
 * absent. */
void toleration_add_defaults(struct arena *a, struct value *spec);

#endif
