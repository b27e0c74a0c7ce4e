/* A thread that does the handshakes of a server's connections, so that the loop goes on with its other work.
 *
 * A handshake has two steps, of signatures and keys, which take a millisecond together. While a step is with the
 * thread, TLS and what it finds are the thread's, and the connection is not read; its time, its socket and its end are
 * the loop's all along: one that is closed meanwhile is freed when the thread has given it back. The thread steps back
 * behind the loop where both want the same core. It is one of its own since libuv's pool writes to the disk, which is
 * not to wait for strangers.
 *
 * Loop thread only. */
#ifndef PROTO_NET_WORKER_H
#define PROTO_NET_WORKER_H

#include <uv.h>

#include "base/err.h"

#define NET_WORKER_STEPS 32u /* with the thread at a time, so with the loop in one turn; others wait in their order */
#define NET_WORKER_NICE  5   /* behind whoever made it */

struct net_worker;
struct net_worker_stats {
    uint64_t steps;                 /* that came back */
    unsigned waiting, waiting_most; /* connections with a step that has not: one for each handshake at most */
    unsigned taken_most;            /* steps that came back in one turn of the loop */
};

/* ERR_LIMIT: no thread is to be had. */
int net_worker_new(uv_loop_t *loop, struct net_worker **out, struct error *err);
/* Whoever has a reference may give it back while steps are under way. The last one ends the thread, and its handle is
 * closed, for which the loop must run once more. */
struct net_worker *net_worker_ref(struct net_worker *w);
void net_worker_unref(struct net_worker *w);
const struct net_worker_stats *net_worker_stats(const struct net_worker *w);

#endif
