/* Tokens of accounts for this node's pods (agent/pod/tokens.h), asked of the master that serves it (account.token,
 * proto/rpc/api.h). */
#ifndef AGENT_ACCOUNTS_H
#define AGENT_ACCOUNTS_H

#include "agent/agent_int.h"

void accounts_open(struct agent *a);
void accounts_on_masters(struct agent *a, bool there); /* one serves this node from now on, or none does */
void accounts_alone(struct agent *a);                  /* pods begin without masters */
void accounts_check(struct agent *a);                  /* once per AGENT_CHECK_MS */
/* The session must be stopped before. True: cb comes. */
bool accounts_close(struct agent *a, void (*cb)(void *data), void *data);

#endif
