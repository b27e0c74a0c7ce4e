/* The verbs of the API over msgpack-RPC: parameters become typed requests, typed answers maps. The one place that knows
 * both; the shapes are those of proto/rpc/api.h. */
#ifndef MASTER_FRONT_VERBS_H
#define MASTER_FRONT_VERBS_H

#include "master/front/call.h"

void method_get(struct call *c);
void method_list(struct call *c);
void method_watch(struct call *c);
void method_create(struct call *c);
void method_update(struct call *c);
void method_patch(struct call *c);
void method_apply(struct call *c);
void method_delete(struct call *c);
void method_deletecollection(struct call *c);
void method_txn(struct call *c);

/* How verbs answer a struct call, whose `api` is theirs. */
extern const struct api_front rpc_front;

#endif
