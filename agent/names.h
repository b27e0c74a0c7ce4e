/* The agent's part in names: the name server of the node (agent/dns) at the cluster's address for it, fed by what
 * masters tell of services, and what pods find in their resolv.conf. A node where it cannot serve says so in its log,
 * tries again, and gives pods its own resolv.conf meanwhile. Loop thread only. */
#ifndef AGENT_NAMES_H
#define AGENT_NAMES_H

#include "base/mem.h" /* before uv.h: MIN and MAX */
#include "base/str.h"

struct agent;
struct podspec_dns;
void names_open(struct agent *a);     /* after dataplane_open; a hollow node has none */
void names_set_node(struct agent *a); /* a->node_ip is another one */
/* Ranges of addresses, and the domain: what is empty or no range is passed over. */
void names_set(struct agent *a, struct str domain, struct str services, struct str pods);
/* For resolv.conf of pods; NULL: this node answers no names. Borrowed until the next turn of the loop. */
const struct podspec_dns *names_of_cluster(const struct agent *a);
/* Once in a while: has the node's resolv.conf changed; serve, if that failed before. */
void names_check(struct agent *a);
/* cb when all is closed. False: there is nothing to close, and no callback. The address stays: pods have it. */
bool names_close(struct agent *a, void (*cb)(void *data), void *data);

#endif
