/* What comes in over msgpack-RPC: from clients and agents, and from other masters. */
#ifndef MASTER_FRONT_METHODS_H
#define MASTER_FRONT_METHODS_H

#include "master/front/call.h"

void master_dispatch(struct master *m, struct principal *who, struct rpc_request *req, struct str method,
                     struct mp params);
void master_on_peer_request(void *data, uint64_t peer_id, struct rpc_request *req, struct str method, struct mp params);

#endif
