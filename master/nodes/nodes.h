/* What agents ask: registration, heartbeats, status; and which node is linked where. */
#ifndef MASTER_NODES_NODES_H
#define MASTER_NODES_NODES_H

#include "master/front/call.h"

/* params.name, which must be the caller's own (masters and admins may act for any, for repair and tests). False:
 * failed. */
bool call_own_name(struct call *c, struct str *name);
/* The same, and the node is served by this master. */
bool call_own_node(struct call *c, struct str *name);
/* Is there something left of the node's allowance for a call of this size? False: the call has been failed
 * (restrict.h). */
bool node_may_write(struct call *c, struct str node);
#define NODES_HEARTBEAT_LOOK_MS 50 /* denser heartbeats of a connection are counted and not looked at */
void nodes_on_heartbeat(struct session *s, struct mp params);
void nodes_on_hello(struct call *c); /* of an agent: is this the link of its node? */
/* A registration that the leader has taken from a node over this master: c is answered when it is applied here. */
void nodes_registered_there(struct call *c, struct mp result);
/* A Node was committed, made (former NULL) or deleted (node NULL): its agent here may count no more. */
void nodes_on_node_changed(struct master *m, const struct object *former, const struct object *node);
/* The state is another one, or so much of it is new that single changes are not known: the same for all agents. */
void nodes_on_restored(struct master *m);
uint64_t nodes_served_by(const struct object *node); /* the master's id; 0: the leader, whoever it is */
/* Leading: all agents are called to register here, NODES_CALLED_MAX of them in each nodes_turn. Not leading: their
 * orders end; their links stay. */
#define NODES_CALLED_MAX 256u
void nodes_on_leading(struct master *m, bool leading);
bool nodes_turn(struct master *m); /* true: there is more to do at once */
void nodes_on_session_closed(struct session *s);
void nodes_ask_heard(void *m); /* core_config.ask_heard */
void nodes_tell_heard(struct master *m, struct rpc_request *req);
bool nodes_taken(struct master *m, struct str name); /* leader only: a living agent has this name */

#endif
