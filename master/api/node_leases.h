/* Leases of nodes: one for each Node, in namespace kube-node-lease, as programs and `kubectl describe node` look for
 * them. Source: Kubernetes' node heartbeats (KEP-589); coordination.k8s.io/v1 Lease.
 *
 * Heartbeats are no entries of the log, so these Leases are in no state: each master makes them, when it is asked, of
 * the Node and of when it has itself heard the agent (core.h: agents send heartbeats to all masters). So renewTime is
 * that master's own, in whole seconds, and may be another one by some heartbeats at each master; a master that has not
 * heard the node yet tells what the Node's condition Ready says, or else when the Node was made. resourceVersion is the
 * Node's, and does not change with renewTime.
 *
 * They are told to who gets one or lists that namespace. A list of all namespaces does not have them: who begins it
 * goes on with a watch, which has no versions of them to tell, and would keep times that grow old. For the same reason
 * a watch of that namespace is refused. Nobody writes them. A Lease of that namespace that is stored (of a time before
 * this rule, or from a backup) is told instead of the one of the same name, and may be changed and deleted.
 * Loop thread only. */
#ifndef MASTER_API_NODE_LEASES_H
#define MASTER_API_NODE_LEASES_H

#include "master/api/api.h"
#include "proto/facts/node_lease.h"
#include "raft-store/store/view.h"

/* The Lease of a Node of this version of the state: one ref, the caller's. NULL: there is no such Node. */
struct object *node_lease_get(const struct master *m, const struct view *v, struct str name);

/* What is stored and what is made, in the order of names, beside an iteration over stored Leases. */
struct node_leases {
    struct view_iter nodes, start;
    const struct object *stored, *node; /* the next of each */
    struct object *made;                /* a ref: what was told last, if it was made */
    bool begun;
};
/* In the arena; from behind a name on (empty: from the first). */
struct node_leases *node_leases_new(struct arena *a, const struct view *v, struct str after);
/* stored: the iteration over stored ones. Borrowed until the next call. NULL: no more. */
const struct object *node_leases_next(struct node_leases *l, const struct master *m, struct view_iter *stored);
void node_leases_again(struct node_leases *l); /* from the beginning; the stored ones begin anew, too */
void node_leases_close(struct node_leases *l); /* NULL is fine */

/* Does the request write what nobody can? Then it has been refused. */
bool node_lease_refused(struct api_call *c, const struct api_request *q);

#endif
