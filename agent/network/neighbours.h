/* The nodes' networks as the leader tells them: all at once ({routes: [{name, podCIDR, internalIP, zone}]}; of
 * a node without a zone that is left out), then what changes ({changed: [the same], gone: [name]}). Pure; the routes
 * themselves are network_set_routes. */
#ifndef AGENT_NETWORK_NEIGHBOURS_H
#define AGENT_NETWORK_NEIGHBOURS_H

#include "base/strmap.h"
#include "proto/facts/cidr.h"
#include "proto/model/msgpack.h"

#define NEIGHBOURS_MAX 65536u /* what is told beyond is left out */

struct neighbour {
    char *pod_cidr, *node_ip, *zone; /* zone: "" = none */
    struct cidr pods;                /* pod_cidr; 0.0.0.0/32 if it is none */
};
struct neighbours {
    struct strmap by_name; /* -> struct neighbour; our own node as well */
};
void neighbours_init(struct neighbours *n);
void neighbours_close(struct neighbours *n);
void neighbours_told(struct neighbours *n, struct mp message);
/* May a pod have this address? In the part of a node, and neither the first of it nor the node's own there, nor the
 * last. */
bool neighbours_may_have(const struct neighbours *n, uint32_t ip);

#endif
