/* The routes between nodes: for each node the network of its pods, the address behind which it is, and the zone that
 * its label names. One table, which all agents' feeds share.
 *
 * Each change of a route has a number. Whoever was told everything up to a number is told what has changed since; what
 * is written for one is kept for the others that stand where it stood. Nodes that are gone stay known as gone,
 * ROUTES_GONE_MAX of them; who was last told before that gets the whole table. Loop thread only. */
#ifndef MASTER_NODES_ROUTES_H
#define MASTER_NODES_ROUTES_H

#include "base/buf.h"
#include "proto/facts/cluster.h"
#include "raft-store/store/view.h"

#define ROUTES_GONE_MAX 1024u
/* Each change goes to all followers, so a cluster that grows by a thousand nodes would send a thousand messages to each
 * of them. A crowd hears of changes once in so many milliseconds as it has times ROUTES_A_MS followers, of all changes
 * together. */
#define ROUTES_CROWD 256u
#define ROUTES_A_MS  5u

struct routes;
struct routes *routes_new(void);
void routes_free(struct routes *r);
/* All nodes of a version of the state: what is not in it is gone. */
void routes_sync(struct routes *r, const struct view *v);
/* A node has changed; old and new may be NULL. True: its route has as well. */
bool routes_change(struct routes *r, const struct object *old, const struct object *new);
/* What every message tells of the cluster: addresses of all pods and of all services, the domain of its names, how
 * packets come from node to node, and whether pods act as accounts. Copied. True: it has changed. */
bool routes_set_cluster(struct routes *r, const struct cluster_config *c);
uint64_t routes_version(const struct routes *r); /* of the newest change; above 0 after the first routes_sync */
/* Something has changed: are the followers told now? False: it is too early; ask again in some 100 ms. */
bool routes_tell_now(struct routes *r, unsigned followers, int64_t now_ms);
/* The message for who was told everything up to `since` (0: nothing): {"podSubnet", "serviceSubnet", "dnsDomain",
 * "podRouting", "vxlanID", "vxlanPort", "podTokens", "routes": [...]}, or with "changed": [...], "gone": [names] in
 * place of "routes" if changes are understood and all are known. Borrowed until the next call. *stands: up to where who
 * hears it has been told everything. That may be less than the newest: writing the whole table of a crowd takes as long
 * as the crowd is large, so while it grows the one that was written is told again, as long as not a quarter of it is
 * old; what has changed since follows as changes. Who does not understand those is always told the newest. */
struct str routes_message(struct routes *r, uint64_t since, bool changes, uint64_t *stands);

#endif
