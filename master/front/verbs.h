/* The verbs of the API over msgpack-RPC: parameters become typed requests (verbs.c), typed answers maps (answers.c). No
 * other file knows both; the shapes are those of proto/rpc/api.h. */
#ifndef MASTER_FRONT_VERBS_H
#define MASTER_FRONT_VERBS_H

#include "master/front/call.h"

/* How verbs answer a struct call, whose `api` is theirs (answers.c). */
extern const struct api_front rpc_front;

#endif
