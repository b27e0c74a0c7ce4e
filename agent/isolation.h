/* The agent's part in network policies: what masters tell of them goes to the kernel (agent/policy), and a pod begins
 * only when the policies for it are in force there. Loop thread only.
 *
 * A pod with an address waits, before the first of its containers, until all policies are known that were committed
 * before it was bound to this node, and if one of them selects it, until the kernel has them. If that takes long, an
 * event says why; it goes on by itself. A node whose kernel cannot enforce policies runs pods that no policy selects.
 * Masters of a release that knows no policies tell of none: then no pod waits. */
#ifndef AGENT_ISOLATION_H
#define AGENT_ISOLATION_H

#include "base/mem.h" /* before uv.h: MIN and MAX */
#include "proto/model/msgpack.h"

#define ISOLATION_EVENT_MS 5000  /* so long a pod waits without an event */
#define ISOLATION_AGAIN_MS 60000 /* and then between two */

struct agent;
struct agent_pod;
struct pod;
struct error;
void isolation_open(struct agent *a);
void isolation_on_masters(struct agent *a, bool tell); /* a session has begun, with or without node.policies */
void isolation_told(struct agent *a, struct mp message);
/* The same from what was kept over a restart. Unless `anew`, the kernel still has what a former agent made of it, or of
 * something newer: that stays as it is until masters are heard, or a pod wants to begin. */
void isolation_remember(struct agent *a, struct mp message, bool anew);
void isolation_write(struct agent *a, struct buf *out); /* what isolation_remember reads; appended. Nothing: not yet */

/* A pod of this node has got an address: cb when it may begin, or with the error when it is deleted or the agent stops
 * before that. At once or later, never both. */
typedef void isolation_cb(const char *ip, const struct error *error, void *data);
void isolation_pod_comes(struct agent_pod *ap, const char *ip, isolation_cb *cb);
void isolation_pod_is_here(struct agent_pod *ap);  /* it has an address, and has begun; also after its object changed */
void isolation_pod_left(struct agent_pod *ap);     /* its address is given back */
void isolation_bulk(struct agent *a, bool begins); /* others write much into the packet filter */
/* What is enforced stays in force. cb from the loop. False: there is nothing to close, and no callback. */
bool isolation_close(struct agent *a, void (*cb)(void *data), void *data);

#endif
