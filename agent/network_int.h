/* Inside of the pod network: CNI and its queue are network.c, the kernel's routing table is network_route.c, connections network_connect.c. */
#ifndef AGENT_NETWORK_INT_H
#define AGENT_NETWORK_INT_H

#include "agent/network.h"

#include <netinet/in.h>

struct network_prefix {
    int family; /* AF_INET, AF_INET6 */
    uint8_t bytes[16];
    unsigned bits;
};
/* "10.1.0.0/16". Host bits must be zero. False if malformed. */
bool network_prefix_parse(const char *text, struct network_prefix *out);

/* The kernel's routes that carry our protocol number become exactly these. Blocking, short. Errors: the first one. */
struct network_via {
    struct network_prefix prefix;
    uint8_t gateway[16];
};
int network_routes_apply(const struct network_via *routes, unsigned count, struct error *err);

#endif
