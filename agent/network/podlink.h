/* A pod's link to the node: a pair of virtual interfaces, of which one is a port of the node's bridge and the other the
 * pod's eth0, with its address and its ways. Made and deleted by netlink.
 *
 * The bridge has the first address of the range; pods send all by way of it, also to those on the same bridge: what a
 * Service has led to a neighbour is answered through the rules that have led it there. A pod's MAC follows from its
 * address, so that who gets an address after another one needs nobody to forget anything. The pods' network is IPv4:
 * no end of the pair gives itself an address of IPv6, for which each of them would wake all others on the bridge.
 *
 * Sources: rtnetlink(7), linux/if_link.h. Blocking, some milliseconds. For a thread that ends after it: it enters the
 * pod's network namespace and stays there. */
#ifndef AGENT_NETWORK_PODLINK_H
#define AGENT_NETWORK_PODLINK_H

#include <net/if.h>

#include "base/err.h"
#include "proto/facts/cidr.h"

struct podlink {
    char uid[64];
    char netns[512]; /* the file of the pod's network namespace */
    char bridge[IFNAMSIZ];
    struct cidr range; /* of the node's pods */
    uint32_t ip;       /* of the pod, in the machine's byte order */
    unsigned mtu;      /* 0 = the kernel's choice */
};
/* The name of the bridge's port. It follows from the uid. */
void podlink_name(const char *uid, char name[IFNAMSIZ]);
/* Makes the bridge if need be. After an error part of it may be there. */
int podlink_make(const struct podlink *l, struct error *err);
/* Only uid and netns are needed, and netns only for one that an earlier agent has made. Gone already is fine. */
int podlink_delete(const struct podlink *l, struct error *err);

#endif
