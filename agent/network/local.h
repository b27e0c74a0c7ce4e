/* One address that the node has for itself, beside those of its interfaces: where its name server is. It stands on the
 * loopback interface under the label "lo:reeve", by which it is found again: after a restart, when another one takes
 * its place, and by `reeve-agent clean`. Blocking, short. Source: rtnetlink(7). */
#ifndef AGENT_NETWORK_LOCAL_H
#define AGENT_NETWORK_LOCAL_H

#include "base/err.h"

/* The node has this address (in the machine's byte order; 0: none) and no former one. ERR_SYSTEM. */
int network_set_local(uint32_t ip, struct error *err);

#endif
