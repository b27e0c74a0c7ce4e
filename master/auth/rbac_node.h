/* What a node's agent may do with objects: read its own Node, the pods that are bound to it and what these name, and
 * ask for tokens of their accounts. Source: Kubernetes' Node authorizer.
 *
 * What agents are told by themselves (node.pods, node.refs and the like, master/nodes/feeds.h) is made of the same
 * references: nothing comes to a node that its pods do not name. */
#ifndef MASTER_AUTH_RBAC_NODE_H
#define MASTER_AUTH_RBAC_NODE_H

#include "proto/facts/access.h"
#include "raft-store/store/view.h"

/* *pod: the first of its pods that needs it; NULL: it is about the node itself. */
bool rbac_node_may(const struct view *v, struct str node, const struct access *a, const struct object **pod);

#endif
