/* Keeps pods from the masters: what runs in a pod has no business with the control plane unless somebody says so, and a
 * port that cannot be reached cannot be attacked. It is said by the cluster: where pods act as accounts
 * (podTokens) they reach the masters. Knows the masters' addresses, those of names too, and tells them to the network.
 * Loop thread only. */
#ifndef AGENT_NETWORK_GUARD_H
#define AGENT_NETWORK_GUARD_H

#include "agent/network/network.h"
#include "base/env.h"
#include "base/str.h"

struct guard;
/* network is borrowed until guard_close. open: as guard_set_open. */
struct guard *guard_new(uv_loop_t *loop, struct network *network, bool open, const struct log *log);
/* "HOST:PORT" of a master; one that is known already is fine. A name is resolved in the background. At most
 * NETWORK_CLOSED_MAX are kept. */
void guard_add(struct guard *g, struct str address);
void guard_set_open(struct guard *g, bool open); /* pods may connect to masters from now on, or may not */
void guard_close(
    struct guard *g); /* the closed ports stay closed; frees by itself when no name is being resolved any more */

#endif
