/* The agent and its masters: a link to each of them (agent/link/link.h), one of which is the main one.
 *
 * Every link carries heartbeats, and streams that its master opens to the node (logs, exec, port-forward, image load):
 * so each master knows when it heard of the node, and a stream lives as long as the master that its client asked,
 * whoever leads (or longer: agent/serve/stream.h). The main link carries the registration, reports, events and the
 * streams of orders besides. It leads to one of the masters that say in their answers to hello that they serve agents
 * (master/nodes/lease.h); each node has an order of its own for them, so nodes spread over the masters. Once chosen it
 * stays while it serves. A better one that comes up takes the role after some heartbeats, at random, so that its nodes
 * come one after the other. Of masters whose release cannot tell, it is the leader.
 *
 *   NONE -> REGISTERING -> READY        NONE: the next best of those that are known to serve, after a pause; or hello
 *                                       goes to every link, and links that are down are dialed, with growing pauses
 *     ^          |           |
 *     \----------+-----------/           the link is lost, its master serves no more, or another is better; of a master
 *                                       that cannot tell: it leads no more, or another leads in a later term
 *
 * A master that begins to lead says so over all its links (node.lead {term}); its answer to a hello tells it as well,
 * and a NotLeader error names the leader's address. The main role moves to a link that is there already, without a
 * handshake; while leaders change it stays with a master that serves. The registration is committed by the leader
 * whatever the master: what is followed afterwards is never older than what was followed before. A lost connection
 * changes nothing on the node: pods go on, reports wait (agent/link/report.h). Each time READY is reached the streams
 * start anew with a full list (on_list_begin, objects, on_list_end), which is also how what happened meanwhile is
 * learnt. A heartbeat goes out over every link each heartbeatMs together with a `hello`, so that a master that is not
 * there any more is noticed within three periods. Masters are those of the configuration, and those that the leader has
 * told (on_masters: to be kept for the next start), at most SESSION_LINKS_MAX. The certificate is renewed over the main
 * link when it is due (agent/link/renew.h), looked at with each heartbeat; if it has expired, over whichever link comes
 * first. Loop thread only. Callbacks never run inside the call that caused them, except that of session_stop's closing
 * of streams. */
#ifndef AGENT_LINK_SESSION_H
#define AGENT_LINK_SESSION_H

#include "agent/link/renew.h"
#include "base/env.h"
#include "base/mem.h" /* before uv.h: MIN and MAX */
#include "proto/rpc/rpc.h"
#include "proto/schema/object.h"

#define SESSION_CALL_MS        15000
#define SESSION_LINKS_MAX      32u /* masters; those of the configuration first */
#define SESSION_MOVE_BEATS_MIN 2u  /* heartbeats in which a better master has served, before we go there ... */
#define SESSION_MOVE_BEATS     4u  /* ... and fewer than so many more, at random */
#define SESSION_SPREAD_MS                                                                                              \
    5000u /* links beside the main one are made within so long, at random: many agents may have started together */

enum session_stream { SESSION_PODS, SESSION_REFS, SESSION_ROUTES, SESSION_SERVICES, SESSION_POLICIES, SESSION_STREAMS };
enum session_change { SESSION_ADDED, SESSION_MODIFIED, SESSION_DELETED };

struct session_events {
    /* The Node object as it is now, one msgpack document. */
    void (*write_node)(struct buf *out, void *data);
    /* READY: registered, with the leader or over another master. result: {object, heartbeatMs, policies}; without
     * policies on_policies does not come. */
    void (*on_ready)(struct mp result, void *data);
    void (*on_lost)(void *data);                                  /* READY no more */
    void (*on_list_begin)(enum session_stream which, void *data); /* PODS, REFS */
    void (*on_object)(enum session_stream which, enum session_change change, struct object *o, void *data);
    void (*on_list_end)(enum session_stream which, void *data);
    /* As neighbours_told reads it, and podSubnet, serviceSubnet, dnsDomain, podRouting, vxlanID, vxlanPort,
     * podTokens. */
    void (*on_routes)(struct mp message, void *data);
    void (*on_services)(struct mp message, void *data); /* as known_told reads it; of a leader that tells of services */
    void (*on_policies)(struct mp message, void *data); /* as policy_core_told reads it; likewise */
    /* The leader's list of masters' addresses is another one than before. May be NULL. */
    void (*on_masters)(struct mp masters, void *data);
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
    const char *instance;       /* of this agent: ID-START-NONCE (master/nodes/nodes.c); copied. NULL: none is told */
    const char *const *masters; /* "host:port", NULL-terminated, at least one; copied */
    unsigned spread_ms;         /* 0: SESSION_SPREAD_MS */
    const char *const *learnt;  /* what on_masters told in a former life, NULL-terminated; copied. NULL: nothing */
    struct session_events events;
    void *data;
};
struct session;
struct session *session_new(const struct session_config *c);
void session_start(struct session *s);
/* Ends everything; cb from the loop, then s is freed. */
void session_stop(struct session *s, void (*cb)(void *data), void *data);

/* The machine's address is another one: every link is made anew, at once. Nothing while the session stops. */
void session_redial(struct session *s);
bool session_ready(const struct session *s);
/* To the main link's master. Not READY: the callback gets ERR_CLOSED, later. Another master takes the role meanwhile:
 * ERR_UNKNOWN_OUTCOME, at once. */
void session_call(struct session *s, const char *method, struct str params, rpc_result_cb *cb, void *data);
const char *session_leader(const struct session *s); /* address of the main link; "" if none */
unsigned session_links_up(const struct session *s);

#endif
