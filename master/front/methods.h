/* The table of methods, and the way of a request through it. */
#ifndef MASTER_FRONT_METHODS_H
#define MASTER_FRONT_METHODS_H

#include "master/front/call.h"

void master_dispatch(struct master *m, const struct principal *who, struct rpc_request *req, struct str method,
                     struct mp params);
/* What the method does, here or at the leader: its turn has come. */
void master_handle(struct call *c);
/* Its certificate counts no more (revoked.h). True: the call has been failed. */
bool call_revoked(struct call *c);
/* Once more from the start, for what was parked. */
void master_handle_again(struct call *c);
void master_on_peer_request(void *data, uint64_t peer_id, struct rpc_request *req, struct str method, struct mp params);
/* NotLeader, with the leader's agent-facing address in the error's field. */
void call_not_leader(struct call *c);

#endif
