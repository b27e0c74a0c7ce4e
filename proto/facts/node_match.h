/* Taints against tolerations, and node selectors against a node, read in place: what the scheduler asks of every node,
 * and a node of itself. Source: Kubernetes core/v1 Toleration, NodeSelector, NodeSelectorTerm. */
#ifndef PROTO_FACTS_NODE_MATCH_H
#define PROTO_FACTS_NODE_MATCH_H

#include "proto/model/msgpack.h"

#define LABEL_ZONE "topology.kubernetes.io/zone" /* of a node */

bool node_match_toleration(struct mp toleration, struct mp taint);
bool node_match_tolerated(struct mp tolerations, struct mp taint); /* by one of the list */
bool node_match_cordon_tolerated(struct mp tolerations);           /* the taint that stands for a cordon */
/* nodeSelectorTerms are alternatives; a term without requirements matches nothing. labels, name: of the node. */
bool node_match_selector(struct mp node_selector, struct mp labels, struct str name);
bool node_match_term(struct mp term, struct mp labels, struct str name);
/* A pod's spec: its nodeSelector and its required node affinity. */
bool node_match_pod(struct mp pod_spec, struct mp labels, struct str name);

#endif
