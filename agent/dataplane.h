/* The agent's part in services: what masters tell of them goes to the dataplane (agent/service), with the ranges of
 * addresses and the node's own. A node whose kernel cannot balance services says so in its log and runs pods all the
 * same. Loop thread only. */
#ifndef AGENT_DATAPLANE_H
#define AGENT_DATAPLANE_H

#include "base/mem.h" /* before uv.h: MIN and MAX */
#include "proto/model/msgpack.h"

struct agent;
struct known;
void dataplane_open(struct agent *a);     /* after the node's address is known */
void dataplane_set_node(struct agent *a); /* a->node_ip is another one */
void dataplane_told(struct agent *a, struct mp message);
/* The same from what was kept over a restart. Unless `anew`, the kernel still has what a former agent made of it, or of
 * something newer: that stays as it is until masters are heard. */
void dataplane_remember(struct agent *a, struct mp message, bool anew);
/* A pod of this node is about to be stopped: new connections go to it no more, but where only those are left that end.
 * The kernel has that when this returns, unless the rules are being made or mended. */
void dataplane_pod_leaves(struct agent *a, struct str uid);
void dataplane_pod_left(struct agent *a, struct str uid); /* it has ended */
/* It has this address, whatever masters tell: services and names lead there. */
void dataplane_pod_is_at(struct agent *a, struct str uid, const char *ip);
/* The range of all pods, or of all services: "" is passed over. */
void dataplane_set_pods(struct agent *a, struct str cidr);
void dataplane_set_services(struct agent *a, struct str cidr);
void dataplane_set_zone(struct agent *a, struct str zone); /* of the node; "": it has none */
/* What masters have told of services; NULL: nothing is heard. Borrowed until dataplane_close. */
const struct known *dataplane_known(const struct agent *a);
/* Connections go on with the rules as they are. cb from the loop. False: there is nothing to close, and no callback. */
bool dataplane_close(struct agent *a, void (*cb)(void *data), void *data);

#endif
