/* Agents' feeds: what a committed transaction concerns of a node's pods and what they refer to. */
#ifndef MASTER_NODES_FEEDS_H
#define MASTER_NODES_FEEDS_H

#include "master/master.h"

void node_feeds_end(struct master *m); /* we lead no more */
/* feeds.c: note what a committed transaction concerns; send; look at everything again after a restored snapshot. */
void node_feeds_advance(struct master *m, const struct history_txn *txn);
void node_feeds_flush(struct master *m);
void node_feeds_restored(struct master *m);

#endif
