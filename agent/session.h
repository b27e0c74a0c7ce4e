/* The agent's connection to the leader: find it, register, receive orders, send heartbeats, find the next one.
 *
 *   WAITING -> DIALING -> REGISTERING -> READY
 *      ^          |            |           |      any failure: back to WAITING (jittered pause, 100 ms to 5 s);
 *      \----------+------------+-----------/      "not the leader" with an address: DIALING there at once
 *
 * Any configured master tells who leads (`hello`); a NotLeader error names the address in its field. A lost connection changes
 * nothing on the node: pods go on, reports wait (agent/report.h).
 * Each time READY is reached the three streams start anew with a full list (on_list_begin, objects, on_list_end), which is also how what
 * happened meanwhile is learnt. A heartbeat goes out every heartbeatMs together with a `hello`, so that a master that has lost the
 * leadership, or is not there any more, is noticed within two periods.
 * The certificate is renewed over the session when it is due (agent/renew.h), looked at with each heartbeat. If it has expired, a connection is
 * made for that alone, before anything else.
 * Loop thread only. Callbacks never run inside the call that caused them, except that of session_stop's closing of streams. */
#ifndef AGENT_SESSION_H
#define AGENT_SESSION_H

#include "agent/renew.h"
#include "base/env.h"
#include "base/mem.h" /* before uv.h: MIN and MAX */
#include "proto/object.h"
#include "proto/rpc.h"

#define SESSION_CONNECT_MS 5000
#define SESSION_CALL_MS    15000
#define SESSION_HOPS_MAX   3u /* from one "not the leader" to the next without a pause */

enum session_stream { SESSION_PODS, SESSION_REFS, SESSION_ROUTES, SESSION_STREAMS };
enum session_change { SESSION_ADDED, SESSION_MODIFIED, SESSION_DELETED };

struct session_events {
    /* The Node object as it is now, one msgpack document. */
    void (*write_node)(struct buf *out, void *data);
    /* READY: registered. result: {object, heartbeatMs}. */
    void (*on_ready)(struct mp result, void *data);
    void (*on_lost)(void *data);                                  /* READY no more */
    void (*on_list_begin)(enum session_stream which, void *data); /* PODS, REFS */
    void (*on_object)(enum session_stream which, enum session_change change, struct object *o, void *data);
    void (*on_list_end)(enum session_stream which, void *data);
    void (*on_routes)(struct mp routes, void *data); /* list of {name, podCIDR, internalIP} */
    /* A call from a master; answer with rpc_reply, rpc_reply_error or rpc_stream_accept. */
    void (*on_request)(struct rpc_request *r, struct str method, struct mp params, void *data);
};
struct session_config {
    uv_loop_t *loop;
    struct net_tls *tls; /* a reference is taken */
    struct renew *renew; /* renews the certificate of tls; borrowed, outlives the session. NULL: it is not renewed */
    const struct env *env;
    const struct log *log;
    const char *name;           /* of the node */
    const char *const *masters; /* "host:port", NULL-terminated, at least one; copied */
    struct session_events events;
    void *data;
};
struct session;
struct session *session_new(const struct session_config *c);
void session_start(struct session *s);
/* Ends everything; cb from the loop, then s is freed. */
void session_stop(struct session *s, void (*cb)(void *data), void *data);

bool session_ready(const struct session *s);
/* To the leader. Not READY: the callback gets ERR_CLOSED, later. */
void session_call(struct session *s, const char *method, struct str params, rpc_result_cb *cb, void *data);
const char *session_leader(const struct session *s); /* address we are talking to; "" if none */

#endif
