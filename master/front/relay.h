/* Streams to nodes: logs, exec, port-forward, images. */
#ifndef MASTER_FRONT_RELAY_H
#define MASTER_FRONT_RELAY_H

#include "master/front/call.h"

/* On a follower: serves the call over our own link, if the node is known and linked. False: nothing was done. */
bool relay_here(struct call *c);
/* Two streams tied together: the one to be accepted on the call's request, and one opened on `to`, the session to the
 * master `leader`. Takes the call over; it fails (and may be parked) if `to` refuses, or another master leads before
 * it has answered. */
void relay_start(struct call *c, uint64_t leader, struct rpc_session *to, const char *method, struct str params);
/* The link of a node's agent to this master; NULL: there is none. */
struct rpc_session *relay_link_to(struct master *m, struct str node);
void relays_on_leader_known(struct master *m, uint64_t leader);

#endif
