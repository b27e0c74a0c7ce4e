/* Which Leases are those of nodes: who is heard how, as Kubernetes has it (KEP-589). */
#ifndef PROTO_FACTS_NODE_LEASE_H
#define PROTO_FACTS_NODE_LEASE_H

#include "proto/schema/kind.h"

#define NODE_LEASE_NS      "kube-node-lease"
#define NODE_LEASE_SECONDS 40 /* leaseDurationSeconds; Kubernetes' default of kubelets */

static inline bool node_lease_in(const struct kind *k, struct str ns)
{
    return k->id == KIND_LEASE && str_is(ns, NODE_LEASE_NS);
}

#endif
