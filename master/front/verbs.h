/* The verbs of the API over msgpack-RPC: parameters become typed requests, typed answers maps. The one place that knows
 * both; the shapes are those of proto/rpc/api.h. */
#ifndef MASTER_FRONT_VERBS_H
#define MASTER_FRONT_VERBS_H

#include "master/front/call.h"

/* How verbs answer a struct call, whose `api` is theirs. */
extern const struct api_front rpc_front;

#endif
