/* What waits for the leader. */
#ifndef MASTER_FRONT_ASK_H
#define MASTER_FRONT_ASK_H

#include "master/front/errand.h"

/* A call to another master on behalf of e; done gets e as data, exactly once, also when another leader is known
 * before the answer. */
void errand_ask_leader(struct errand *e, uint64_t leader, const char *method, struct str params, int64_t timeout_ms,
                       rpc_result_cb *done);
void calls_on_leader_known(struct master *m, uint64_t leader);

#endif
