/* The table of methods, and the way of a request through it. */
#ifndef MASTER_FRONT_METHODS_H
#define MASTER_FRONT_METHODS_H

#include "master/front/call.h"

enum method_flags {
    METHOD_ANON = 1 << 0,        /* without certificate */
    METHOD_NODE = 1 << 1,        /* agents too */
    METHOD_WRITE = 1 << 2,       /* needs the leader: forwarded by the others */
    METHOD_STREAM = 1 << 3,      /* answered by a stream: relayed instead of forwarded */
    METHOD_LEADER = 1 << 4,      /* leader only, others answer NotLeader (agents follow the leader) */
    METHOD_LATE = 1 << 5,        /* with an expired certificate too */
    METHOD_AGAIN = 1 << 7,       /* may be done twice: an unknown outcome is no reason not to repeat it */
    METHOD_ANY_KIND = 1 << 9,    /* also objects of kinds that this program does not know */
    METHOD_WRITES_NODE = 1 << 8, /* writes what nodes have room for (node_write.c) */
    METHOD_RELAY = 1 << 6,       /* of a node: any master that has a link to it serves it */
};
struct method {
    const char *name;
    call_fn *fn;
    unsigned flags;
    const char *params; /* known members, space separated */
};
void master_dispatch(struct master *m, const struct pki_identity *who, const struct pki_facts *facts,
                     struct rpc_request *req, struct str method, struct mp params, bool was_forwarded);
/* What the method does, here or at the leader: its turn has come. */
void master_handle(struct call *c);
/* Its certificate counts no more (revoked.h). True: the call has been failed. */
bool call_revoked(struct call *c);
/* Once more from the start, for what was parked. */
void master_handle_again(struct call *c);
void master_on_peer_request(void *data, uint64_t peer_id, struct rpc_request *req, struct str method, struct mp params);
/* NotLeader, with the leader's agent-facing address in the error's field. */
void call_not_leader(struct call *c);
/* A request of METHOD_RELAY that could not be served here: by the leader. */
void call_to_leader(struct call *c);

#endif
