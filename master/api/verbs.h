/* The verbs of the API, for the table of methods (front/methods.h). */
#ifndef MASTER_API_VERBS_H
#define MASTER_API_VERBS_H

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

#endif
