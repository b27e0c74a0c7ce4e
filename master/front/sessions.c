/* Connections of clients, nodes, strangers and masters: who comes in is turned into a session or given to the
 * transport, who has no place is told so, and strangers do not stay. */
#include "master/front/sessions.h"

#include <stdlib.h>
#include <string.h>

#include "master/auth/revoked.h"
#include "master/auth/rotate.h"
#include "master/front/errand.h"
#include "master/front/methods.h"
#include "master/members/removed.h"
#include "master/nodes/nodes.h"
#include "master/rest/rest.h"

static void session_request(struct rpc_session *rpc, struct rpc_request *r, struct str method, struct mp params,
                            void *data)
{
    (void)method;
    (void)params; /* borrowed for this call only; the request's own copies live until the answer */
    struct session *s = data;
    s->heard_ms = env_now_ms(s->m->env);
    if (s->refusal != NULL) {
        s->m->stats.refused++;
        rpc_reply_error(r, s->refusal);
        rpc_session_close(rpc); /* what was sent still goes out */
        return;
    }
    master_dispatch(s->m, s->principal, r, rpc_request_method(r), rpc_request_params(r));
}

static void session_notify(struct rpc_session *rpc, struct str method, struct mp params, void *data)
{
    (void)rpc;
    struct session *s = data;
    if (s->refusal == NULL && str_is(method, "node.heartbeat")) {
        nodes_on_heartbeat(s, params);
    }
}

void session_over(struct session *s, const struct error *why)
{
    if (why != NULL) {
        log_debug(&s->m->log, "session", "closed: %s", why->message);
    }
    nodes_on_session_closed(s);
    rotate_on_session_closed(s);
    errands_on_session_closed(s);
    principal_unref(s->principal);
    subject_unref(s->m->turns, s->subject);
    list_remove(&s->link);
    list_remove(&s->stranger_link);
    free(s->refusal);
    free(s);
}

static void session_closed(struct rpc_session *rpc, const struct error *why, void *data)
{
    (void)rpc;
    session_over(data, why);
}

/* ---- msgpack-RPC's way ---- */

static bool is_open(const struct session *s)
{
    return rpc_session_is_open(s->rpc);
}

static void way_close(struct session *s)
{
    rpc_session_close(s->rpc);
}

static void shed(struct session *s, const char *why)
{
    rpc_session_shed(s->rpc, "%s", why);
}

static size_t held(const struct session *s)
{
    return rpc_session_held(s->rpc);
}

static unsigned inflight(const struct session *s)
{
    return rpc_session_inflight(s->rpc);
}

static const char *addr(const struct session *s)
{
    return rpc_session_peer_addr(s->rpc);
}

static const struct session_way rpc_way = {
    .is_open = is_open, .close = way_close, .shed = shed, .held = held, .inflight = inflight, .addr = addr};

/* ---- New ones ---- */

static void speak_rpc(struct session *s, struct net_conn *c)
{
    struct master *m = s->m;
    enum pki_role role = s->principal->role;
    bool stranger = role == PKI_ROLE_NONE, node = role == PKI_ROLE_NODE;
    s->way = &rpc_way;
    s->rpc = rpc_session_new(c, &m->loop,
                             &(struct rpc_config){
                                 .handler = {session_request, session_notify, session_closed},
                                 .data = s,
                                 .message_max = stranger ? MASTER_STRANGER_MESSAGE_MAX : 0,
                                 .in_max = node ? MASTER_NODE_MESSAGE_MAX : 0,
                                 .elements_max = stranger ? MASTER_STRANGER_ELEMENTS_MAX
                                                 : node   ? MASTER_NODE_ELEMENTS_MAX
                                                          : MASTER_USER_ELEMENTS_MAX,
                                 .inflight_max = stranger ? MASTER_STRANGER_INFLIGHT_MAX : 0,
                                 .stats = &m->rpc_stats,
                                 .log = &m->log,
                             });
    rpc_session_set_data(s->rpc, s);
}

struct principal *sessions_principal(struct subject *s, const struct principal *p)
{
    if (s->principal == NULL || !principal_same(s->principal, p)) {
        principal_unref(s->principal);
        s->principal = principal_share(p);
    }
    return principal_ref(s->principal);
}

static struct session *session_new(struct master *m, struct net_conn *c)
{
    struct session *s = xcalloc(1, sizeof *s);
    s->m = m;
    const struct pki_identity *who = net_conn_peer(c);
    const struct pki_facts *facts = net_conn_peer_facts(c);
    memcpy(s->cert_ca, facts->ca, sizeof s->cert_ca);
    struct principal principal;
    principal_of_user(&principal, who, facts, net_conn_peer_groups(c));
    s->expired = net_conn_peer_expired(c);
    if (revoked_has(m, who, facts, NULL)) {
        revoked_mark(s); /* its calls will hear so */
    }
    s->since_ms = s->heard_ms = env_now_ms(m->env);
    net_conn_peer_life(c, &s->cert_from_s, &s->cert_until_s);
    s->subject = subject_get(m->turns, who, net_conn_peer_addr(c));
    bool stranger = who->role == PKI_ROLE_NONE;
    if (stranger && m->nobody == NULL) {
        m->nobody = principal_share(&principal);
    }
    s->principal = stranger ? principal_ref(m->nobody) : sessions_principal(s->subject, &principal);
    lane_init(&s->lane, s->subject);
    list_push_back(&m->sessions, &s->link);
    list_init(&s->stranger_link);
    list_init(&s->call_link);
    if (stranger) {
        list_push_back(&m->strangers, &s->stranger_link);
    }
    if (strcmp(net_conn_alpn(c), ALPN_HTTP) == 0) {
        rest_open(s, c);
    } else {
        speak_rpc(s, c);
    }
    return s;
}

void sessions_on_conn(struct net_conn *c, void *data)
{
    struct master *m = data;
    struct error why = {0};
    char peer[NET_PEER_MAX];
    net_peer_word(net_conn_peer(c), net_conn_peer_addr(c), peer);
    if (m->stopping) {
        net_conn_close(c);
    } else if (strcmp(net_conn_alpn(c), ALPN_RAFT) == 0) {
        uint64_t id = net_conn_peer(c)->role == PKI_ROLE_MASTER ? strtoull(net_conn_peer(c)->name, NULL, 10) : 0;
        if (id != 0 && members_removed(m, id)) {
            removed_farewell(m, c, id);
        } else if (revoked_has(m, net_conn_peer(c), net_conn_peer_facts(c), &why)) {
            log_warn_of(&m->log, "session", peer, "connection from %s refused: %s", net_conn_peer_addr(c), why.message);
            net_conn_close(c);
        } else if (net_conn_peer(c)->role == PKI_ROLE_MASTER) {
            transport_accept(m->transport, c);
        } else {
            log_warn_of(&m->log, "session", peer, "%s asks for %s without a master's certificate; refused",
                        net_conn_peer_addr(c), ALPN_RAFT);
            net_conn_close(c);
        }
    } else {
        session_new(m, c);
    }
}

void sessions_on_refused(struct net_conn *c, const struct error *why, void *data)
{
    struct master *m = data;
    if (m->stopping || strcmp(net_conn_alpn(c), ALPN_RAFT) == 0) {
        net_conn_close(c);
    } else {
        session_new(m, c)->refusal = xmemdup(why, sizeof *why);
    }
}

void sessions_tick(struct master *m)
{
    int64_t now = env_now_ms(m->env);
    LIST_FOR_SAFE(it, &m->strangers)
    {
        struct session *s = LIST_ENTRY(it, struct session, stranger_link);
        if (s->way->inflight(s) > 0) {
            s->heard_ms = now;
        } else if (now - s->heard_ms >= MASTER_STRANGER_IDLE_MS || now - s->since_ms >= MASTER_STRANGER_LIFE_MS) {
            list_remove(&s->stranger_link);
            m->stats.strangers_late++;
            s->way->close(s);
        }
    }
}

void sessions_write_places(struct master *m, struct buf *b)
{
    const struct net_gate_config *shares = net_gate_config(m->gate);
    const struct net_gate_stats *stats = net_gate_stats(m->gate);
    mp_write_cstr(b, "connections");
    mp_write_array(b, NET_CLASSES);
    for (int i = 0; i < NET_CLASSES; i++) {
        mp_write_map(b, 4);
        mp_write_key_str(b, "of", str_of(net_class_word((enum net_class)i)));
        mp_write_key_int(b, "open", stats->open[i]);
        mp_write_key_int(b, "places", shares->max[i]);
        mp_write_key_int(b, "refused", (int64_t)stats->refused[i]);
    }
}
