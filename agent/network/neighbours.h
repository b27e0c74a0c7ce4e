/* The nodes' networks as the leader tells them: all at once ({routes: [{name, podCIDR, internalIP}]}), then what
 * changes ({changed: [the same], gone: [name]}). Pure; the routes themselves are network_set_routes. */
#ifndef AGENT_NETWORK_NEIGHBOURS_H
#define AGENT_NETWORK_NEIGHBOURS_H

#include "base/strmap.h"
#include "proto/model/msgpack.h"

#define NEIGHBOURS_MAX 65536u /* what is told beyond is left out */

struct neighbour {
    char *pod_cidr, *node_ip;
};
struct neighbours {
    struct strmap by_name; /* -> struct neighbour; our own node as well */
};
void neighbours_init(struct neighbours *n);
void neighbours_close(struct neighbours *n);
void neighbours_told(struct neighbours *n, struct mp message);

#endif
