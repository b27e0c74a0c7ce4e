/* Taints of nodes and tolerations of pods, read in place. Source: Kubernetes core/v1 Taint, Toleration. */
#ifndef CONTROLLERS_NODES_TAINTS_H
#define CONTROLLERS_NODES_TAINTS_H

#include "controllers/util.h"
#include "proto/facts/toleration.h"

#define TOLERATION_FOR_EVER_S (100ll * 366 * 86400) /* longer than this is for ever */
#define TAINT_UNSCHEDULABLE   "node.kubernetes.io/unschedulable"
#define TAINT_OUT_OF_SERVICE  "node.kubernetes.io/out-of-service"

/* How long the pod tolerates a NoExecute taint: 0 = not at all, INT64_MAX = for ever. The least of the
 * tolerationSeconds that match; 300 s for not-ready and unreachable where the pod says nothing. */
int64_t toleration_seconds(const struct object *pod, struct mp taint);
bool node_has_taint(const struct object *node, const char *key, const char *effect);
bool node_ready(const struct object *node);
/* Adds one to spec.taints that was added at that time. */
void taint_add(struct arena *a, struct value *spec, const char *key, const char *effect, int64_t wall_ms);

#endif
