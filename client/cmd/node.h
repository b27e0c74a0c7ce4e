/* Nodes that a command line selects, cordoned: what cordon, uncordon and drain share. */
#ifndef CLIENT_CMD_NODE_H
#define CLIENT_CMD_NODE_H

#include "client/cmd/common.h"

/* Connects, selects by words or -l, cordons or uncordons each, and says so. nodes: all that were found; the caller
 * closes it. What to exit with: of the first failure. */
int node_cordon_all(struct rctl *r, bool cordon, struct api_list *nodes);

#endif
