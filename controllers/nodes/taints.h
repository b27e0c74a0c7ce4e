/* Taints of nodes and tolerations of pods, read in place. Source: Kubernetes core/v1 Taint, Toleration. */
#ifndef CONTROLLERS_NODES_TAINTS_H
#define CONTROLLERS_NODES_TAINTS_H

#include "controllers/util.h"

#define TOLERATION_FOR_EVER_S (100ll * 366 * 86400) /* longer than this is for ever */
#define TOLERATION_DEFAULT_S  300
#define TAINT_NOT_READY       "node.kubernetes.io/not-ready"
#define TAINT_UNREACHABLE     "node.kubernetes.io/unreachable"
#define TAINT_UNSCHEDULABLE   "node.kubernetes.io/unschedulable"
#define TAINT_OUT_OF_SERVICE  "node.kubernetes.io/out-of-service"

/* Does one toleration tolerate one taint? Empty key with Exists: every key; empty effect: every effect. */
bool toleration_matches(struct mp toleration, struct mp taint);
/* How long the pod tolerates a NoExecute taint: 0 = not at all, INT64_MAX = for ever. The least of the tolerationSeconds that match;
 * 300 s for not-ready and unreachable where the pod says nothing. */
int64_t toleration_seconds(const struct object *pod, struct mp taint);
bool node_has_taint(const struct object *node, const char *key, const char *effect);
bool node_ready(const struct object *node);

#endif
