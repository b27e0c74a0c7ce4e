/* One of an agent's connections: to one master, kept for as long as the agent runs. Of agent/link/session.c, which
 * decides what goes over which link.
 *
 *   WAITING -> DIALING -> UP
 *      ^          |        |      closed by anybody, or no answer to a hello: WAITING again, with a jittered pause of
 *                 100 ms to 5 s
 *      \----------+--------/
 *
 * UP: the master has answered a hello, so it knows who we are, and we know who it is, whether it leads and in which
 * term, and whether it serves agents. If our certificate has expired it is renewed first (agent/link/renew.h). Two
 * addresses may lead to one master: of two links the second waits as a spare. Loop thread only. Callbacks never run
 * inside the call that caused them. */
#ifndef AGENT_LINK_LINK_H
#define AGENT_LINK_LINK_H

#include "agent/link/renew.h"
#include "base/env.h"
#include "base/mem.h" /* before uv.h: MIN and MAX */
#include "proto/rpc/rpc.h"

#define LINK_CONNECT_MS  5000
#define LINK_SPARE_MS    600000 /* a second link to one master waits so long, or until the first one is down */
#define LINK_MASTERS_MAX 64u    /* addresses told in one hello; more are not looked at */

struct link;
struct link_events {
    /* A hello was answered; the first one makes the link UP. hello: the answer. */
    void (*on_hello)(struct link *l, struct mp hello, void *data);
    void (*on_down)(struct link *l, void *data);   /* UP no more; its calls and streams have been told */
    void (*on_closed)(struct link *l, void *data); /* link_stop is done: l may be freed */
    void (*on_request)(struct link *l, struct rpc_request *r, struct str method, struct mp params, void *data);
    void (*on_notify)(struct link *l, struct str method, struct mp params, void *data);
    bool (*is_spare)(struct link *l,
                     void *data); /* another link leads to the same master: asked when the first hello is answered */
};
/* What the links of one agent share; the owner keeps it, and changes tls when it has been renewed. */
struct link_config {
    uv_loop_t *loop;
    struct net_tls *tls;
    struct renew *renew; /* NULL: the certificate is not renewed */
    const struct env *env;
    const struct log *log;
    const char *name;     /* of the node */
    const char *instance; /* NULL: none is told (master/nodes/nodes.c) */
    struct link_events events;
    void *data;
};
struct link *link_new(struct link_config *shared, const char *address); /* borrowed; address is copied */
void link_dial(struct link *l);                                         /* at once, if it is WAITING */
/* In so many milliseconds, if it was never dialed and is not going to be. True: it will be now. */
bool link_dial_first(struct link *l, int64_t in_ms);
void link_stop(struct link *l); /* for good */
void link_free(struct link *l); /* only after on_closed */
/* Hangs up; it will be dialed again. */
void link_leave(struct link *l, const char *what, const struct error *why);
/* Asks the master anew; if it is UP and twice does not answer in timeout_ms we hang up. One at a time: nothing
 * happens while one is under way. */
void link_hello(struct link *l, int64_t timeout_ms);
/* Ask for the certificate over this link, unless it is asked for already. */
void link_renew(struct link *l);

bool link_is_up(const struct link *l);
const char *link_address(const struct link *l);
void *link_owner(const struct link *l);       /* link_config.data */
struct rpc_session *link_rpc(struct link *l); /* UP, or just being hung up on */
/* As of its last answer, or of what it has said since. */
int64_t link_master(const struct link *l); /* 0 = not known */
bool link_leads(const struct link *l);
/* It serves agents, as the leader or for it; and: its release can tell (master/nodes/lease.h). */
bool link_serves(const struct link *l);
bool link_tells_serves(const struct link *l);
void link_set_unserving(struct link *l); /* until its next answer */
int64_t link_term(const struct link *l);
void link_set_leads(struct link *l, bool leads, int64_t term);
/* Once a reason, and all of them at most a few times before it is silent for a while: masters may be away for days. */
void link_complain(struct link *l, const char *what, const struct error *why);

#endif
