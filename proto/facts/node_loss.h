/* Nodes that are lost, and zones of which too many are: what is asked before the pods of a lost node are let go.
 *
 * A lost node gets the taints of effect NoExecute not-ready or unreachable, which take its pods away when they tolerate
 * it no longer. Which of its zone's nodes gets them when is limited, since a crowd of nodes that are lost at once is
 * more likely a fault of what they have in common than of each.
 * Source: Kubernetes, node lifecycle controller: ComputeZoneState, HealthyQPSFunc, ReducedQPSFunc. Pure. */
#ifndef PROTO_FACTS_NODE_LOSS_H
#define PROTO_FACTS_NODE_LOSS_H

#include "proto/schema/object.h"

#define LABEL_REGION "topology.kubernetes.io/region" /* of a node */

struct node_loss {
    struct str region, zone; /* the zone that it is of: both labels, each may be empty; borrowed */
    bool ready;              /* Ready is True */
    bool evicted;            /* it has such a taint */
    bool waits;              /* Ready is False or Unknown, it has none, and is not being deleted */
};
struct node_loss node_loss_of(const struct object *node);
/* A taint of effect NoExecute with the key not-ready or unreachable. */
bool node_loss_taint(struct mp taint);

enum zone_state {
    ZONE_NORMAL,
    ZONE_PARTIAL, /* more than two nodes are not ready, and they are at least the threshold's part of the zone */
    ZONE_FULL,    /* none is ready */
    ZONE_STATES
};
const char *zone_state_name(enum zone_state s); /* "Normal", "PartialDisruption", "FullDisruption" */
/* threshold_milli: thousandths of the zone's nodes. */
enum zone_state zone_state_of(int64_t nodes, int64_t ready, int64_t threshold_milli);

/* How fast nodes of a zone are given up: thousandths of a node a second. */
struct eviction_rates {
    int64_t rate_milli;      /* of a zone that is normal, or has no ready node while another zone has */
    int64_t secondary_milli; /* of a partially disrupted zone of more than large_zone nodes; of a smaller one: none */
    int64_t threshold_milli; /* for zone_state_of */
    int64_t large_zone;
};
#define EVICTION_RATE           "0.1"
#define EVICTION_SECONDARY_RATE "0.01"
#define EVICTION_THRESHOLD      "0.55"
#define EVICTION_LARGE_ZONE     "50"
#define EVICTION_RATE_MAX_MILLI 100000
#define EVICTION_ZONE_LARGE_MAX 1000000
/* "0.1" in thousandths; false: it is no such number, or not within 0 and most. */
bool eviction_number(struct str s, int64_t most_milli, int64_t *milli);
/* In thousandths of a node a second; 0: nobody is given up. */
int64_t eviction_rate(const struct eviction_rates *r, enum zone_state s, int64_t nodes);

#endif
