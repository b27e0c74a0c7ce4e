/* A thread that does the handshakes of a server's connections, so that the loop goes on with its other work.
 *
 * A handshake has two steps, of signatures and keys, which take a millisecond together. While a step is with the
 * thread, TLS and what it finds are the thread's, and the connection is not read; its time, its socket and its end are
 * the loop's all along: one that is closed meanwhile is freed when the thread has given it back. The thread steps back
 * behind the loop where both want the same core. It is one of its own since libuv's pool writes to the disk, which is
 * not to wait for strangers.
 *
 * Who opens many connections costs others no more than a quarter of a core: of one network (gate.h) so many steps a
 * second are done as they come. What is more crowds: it waits behind the steps of all other networks, and behind each
 * of its steps the thread rests.
 *
 * Loop thread only. */
#ifndef PROTO_NET_WORKER_H
#define PROTO_NET_WORKER_H

#include <uv.h>

#include "base/err.h"

#define NET_WORKER_STEPS   32u /* with the thread at a time, so with the loop in one turn; others wait in their order */
#define NET_WORKER_NICE    5   /* behind whoever made it */
#define NET_WORKER_SHARE   200u /* steps a second of one network that do not crowd... */
#define NET_WORKER_BURST   128u /* ...and so many at once, as when its programs start */
#define NET_WORKER_CROWD   2u   /* steps that crowd, with the thread at a time: somebody else's is not far behind */
#define NET_WORKER_RESTS   3u   /* times as long as such a step took, and NET_WORKER_REST_US at most */
#define NET_WORKER_REST_US 1000u

struct net_worker;
struct net_worker_stats {
    uint64_t steps, crowded;        /* that came back; of them those that crowded */
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
