/* Agents' feeds: the ConfigMaps, Secrets and claims that a node's pods name, with their volumes (node.refs), the routes
 * to other nodes (node.routes), all Services with where they lead (node.services; what an agent receives is told in
 * serving.h), and the network policies for its pods (node.policies, policing.h). */
#ifndef MASTER_NODES_FEEDS_H
#define MASTER_NODES_FEEDS_H

#include "master/master.h"

struct node_feeds *node_feeds_new(struct master *m);
void node_feeds_free(struct node_feeds *f);                                         /* no stream is left */
void node_feeds_end(struct master *m, const struct error *why);                     /* all of them */
void node_feeds_end_of(struct master *m, struct str node, const struct error *why); /* it has some */
bool node_feeds_has(const struct master *m, struct str node);                       /* does it follow anything here? */
unsigned node_feeds_nodes(const struct master *m);                                  /* how many nodes do */
/* When Services and where they lead have changed: borrowed. */
const struct moments *node_feeds_services_changes(const struct master *m);
/* Note what a committed transaction concerns; look at everything again after a restored snapshot. */
void node_feeds_advance(struct master *m, const struct history_txn *txn);
void node_feeds_restored(struct master *m);
void node_feeds_tick(struct master *m);              /* twice a second: what a crowd of nodes has not been told yet */
bool node_feeds_waiting(const struct node_feeds *f); /* is there anything to send? */
/* Once in a turn of the loop: sends for a while. True: there is more to do at once. */
bool node_feeds_turn(struct node_feeds *f);

#endif
