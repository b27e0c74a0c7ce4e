/* A master made of paper: listens on loopback with certificates of its own CA, answers agents, and remembers what
 * they say. */
#ifndef TESTS_UNIT_AGENT_MASTER_H
#define TESTS_UNIT_AGENT_MASTER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/env.h"
#include "base/mem.h"
#include "base/timefmt.h"
#include "proto/rpc/api.h"
#include "proto/rpc/rpc.h"
#include "proto/schema/object.h"
#include "proto/text/text.h"

#define MASTER_PEERS 8
#define MASTER_TEXTS 512 /* later ones are not kept */

struct fake_master {
    uv_loop_t *loop;
    const char *ca_pem, *ca_key_pem; /* borrowed */
    struct net_tls *tls;
    struct net_listener *listener;
    bool closed;
    char address[64];
    bool leads;
    bool tells_serves, serves; /* in its hello: of a release in which masters that do not lead serve agents */
    bool many;                 /* agents: their streams are not kept apart, nor told anything */
    unsigned of_any;           /* registrations that told anyMaster */
    int id;                    /* its port */
    int64_t term;
    char leader_address[64];
    const char *tells_masters[2]; /* in its hello; NULL: nothing */
    int64_t heartbeat_ms;
    bool hold_events; /* the next node.events call is not answered but kept */
    struct rpc_request *held_events;
    unsigned hold_hellos; /* so many more are not answered, but kept */
    struct rpc_request *held_hellos[4];
    unsigned held_count;
    bool tells_own_status; /* as the last node.pods wanted it */
    int refuse_register;   /* error code for node.register; 0 = accept */
    int refuse_status;     /* error code for node.status; 0 = accept */
    struct rpc_session *peers[MASTER_PEERS];
    struct rpc_session *agent; /* the one that registered last */
    bool tells_policies;       /* there is node.policies */
    struct rpc_stream *pods, *refs, *routes, *policies;
    unsigned connections; /* ever */
    unsigned refusals;    /* of registrations */
    char instance[96];    /* of the last registration, or hello */
    unsigned hellos, registrations, heartbeats, statuses, events, joins, renewals, gets;
    const char *node_json;    /* what get answers; with single quotes */
    int refuse_renewal;       /* error code for cert.renew; 0 = sign */
    const char *renewal_ca;   /* told with a renewed certificate; NULL: nothing is */
    const char *renewal_name; /* certify this one instead; NULL = the caller */
    bool calls_expired;       /* hello is answered as to one whose certificate has expired */
    int64_t peer_until_s;     /* end of the certificate of the newest connection */
    bool peer_expired;
    char *log[MASTER_TEXTS]; /* "status default/web Running", "gone default/web", "event Started", "message ..." */
    unsigned log_count;
    char last_status[16384]; /* JSON */
    char last_node[16384];   /* likewise, of the last registration */
    int refuse_volumes;      /* error code for node.volumes; 0 = accept. They are told as "volume NAME UID" */
    unsigned tokens;         /* given; each is told as "token ACCOUNT POD POD-UID AUDIENCE SECONDS" */
    int refuse_tokens;       /* error code for account.token; 0 = give */
    bool hold_tokens;        /* those that are asked for are kept, at most four */
    struct rpc_request *held_tokens[4];
    unsigned held_tokens_count;
};

/* ---- The loop ---- */

static inline void master_timed_out(uv_timer_t *t)
{
    *(bool *)t->data = true;
}
static inline void master_timer_closed(uv_handle_t *h)
{
    *(bool *)h->data = true;
}
/* Turn the loop until cond holds; fails after fifteen seconds. */
#define run_until(the_loop, cond)                                                                                      \
    do {                                                                                                               \
        uv_timer_t guard_;                                                                                             \
        bool late_ = false, gone_ = false;                                                                             \
        uv_timer_init((the_loop), &guard_);                                                                            \
        guard_.data = &late_;                                                                                          \
        uv_timer_start(&guard_, master_timed_out, 120000, 0);                                                          \
        while (!(cond) && !late_) {                                                                                    \
            uv_run((the_loop), UV_RUN_ONCE);                                                                           \
        }                                                                                                              \
        bool ok_ = !late_;                                                                                             \
        guard_.data = &gone_;                                                                                          \
        uv_close((uv_handle_t *)&guard_, master_timer_closed);                                                         \
        while (!gone_) {                                                                                               \
            uv_run((the_loop), UV_RUN_NOWAIT);                                                                         \
        }                                                                                                              \
        if (!ok_) {                                                                                                    \
            fail_msg("waited in vain for %s", #cond);                                                                  \
        }                                                                                                              \
    } while (0)

/* ---- What agents say ---- */

static inline void master_note(struct fake_master *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static inline void master_note(struct fake_master *m, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (m->log_count < MASTER_TEXTS) {
        m->log[m->log_count++] = xstrdup(text);
    }
}
static inline bool master_heard(const struct fake_master *m, const char *text)
{
    for (unsigned i = 0; i < m->log_count; i++) {
        if (strcmp(m->log[i], text) == 0) {
            return true;
        }
    }
    return false;
}
static inline void master_forget(struct fake_master *m)
{
    for (unsigned i = 0; i < m->log_count; i++) {
        free(m->log[i]);
    }
    m->log_count = 0;
}

static inline void master_ignore(struct rpc_stream *st, struct mp payload, size_t n, void *data)
{
    (void)payload, (void)data;
    rpc_stream_consumed(st, n);
}
static inline void master_order_end(struct rpc_stream *st, const struct error *err, void *data)
{
    struct fake_master *m = data;
    (void)err;
    if (m->many || m->pods == st || m->refs == st || m->routes == st ||
        m->policies == st) { /* else the test has ended it */
        rpc_stream_end(st, NULL);
    }
    m->pods = m->pods == st ? NULL : m->pods;
    m->refs = m->refs == st ? NULL : m->refs;
    m->routes = m->routes == st ? NULL : m->routes;
    m->policies = m->policies == st ? NULL : m->policies;
}
static const struct rpc_stream_events master_order_events = {.on_data = master_ignore, .on_end = master_order_end};

static inline void master_reply_error(struct rpc_request *r, int code, const char *field, const char *message)
{
    struct error err = {0};
    error_set_field(&err, code, field, "%s", message);
    rpc_reply_error(r, &err);
}
static inline void master_hello(struct fake_master *m, struct rpc_request *r)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    m->hellos++;
    mp_write_map(&b, 5 + (m->tells_masters[0] != NULL) + m->tells_serves);
    if (m->tells_serves) {
        mp_write_key_bool(&b, "serves", m->serves);
    }
    mp_write_key_int(&b, "id", m->id);
    mp_write_key_int(&b, "leader", m->leads ? m->id : 1);
    mp_write_key_int(&b, "term", m->term);
    if (m->tells_masters[0] != NULL) {
        mp_write_cstr(&b, "masters");
        mp_write_array(&b, 2);
        mp_write_cstr(&b, m->tells_masters[0]);
        mp_write_cstr(&b, m->tells_masters[1]);
    }
    mp_write_key_str(&b, "leaderAddress", str_of(m->leads ? m->address : m->leader_address));
    mp_write_key_str(&b, "role", m->leads ? STR("leader") : STR("follower"));
    rpc_reply(r, buf_str(&b));
}
static inline void master_json(struct mp v, char *out, size_t size)
{
    CLEANUP_ARENA struct arena a;
    CLEANUP_BUF struct buf json = BUF_INIT;
    struct value *value;
    arena_init(&a);
    assert_int_equal(msgpack_read_value(&a, v.p, (size_t)(v.end - v.p), &value, NULL), 0);
    json_write(&json, value, 0);
    snprintf(out, size, "%s", buf_cstr(&json));
}
static inline void master_volumes(struct fake_master *m, struct rpc_request *r, struct mp params)
{
    for (struct mp_iter it = mp_iter(mp_get(params, "volumes")); mp_next(&it);) {
        master_note(m, "volume %.*s %.*s", STR_ARG(mp_str(mp_get(it.value, "name"))),
                    STR_ARG(mp_str(mp_get(it.value, "uid"))));
    }
    if (m->refuse_volumes != 0) {
        master_reply_error(r, m->refuse_volumes, "", "not now");
    } else {
        rpc_reply(r, STR("\x80"));
    }
}
static inline void master_register(struct fake_master *m, struct rpc_request *r, struct mp params)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct mp node = mp_get(params, "node");
    if (!m->leads && !m->serves) {
        master_reply_error(r, ERR_NOT_LEADER, m->leader_address, "not the leader");
        return;
    }
    if (m->refuse_register != 0) {
        m->refusals++;
        master_reply_error(r, m->refuse_register, "instance", "another agent has this name");
        return;
    }
    struct object *o = NULL;
    struct error err = {0};
    if (object_from_wire(node, &o, &err) != 0) {
        fail_msg("%s", err.message);
    }
    object_unref(o);
    m->registrations++;
    master_json(node, m->last_node, sizeof m->last_node);
    m->of_any += mp_bool(mp_get(params, "anyMaster"), false);
    m->agent = rpc_request_session(r);
    mp_write_map(&b, 4);
    mp_write_key_bool(&b, "policies", m->tells_policies);
    mp_write_key_int(&b, "heartbeatMs", m->heartbeat_ms);
    mp_write_key_bool(&b, "ownStatus", true);
    mp_write_cstr(&b, "object");
    buf_append(&b, node.p, (size_t)(node.end - node.p));
    rpc_reply(r, buf_str(&b));
}
static inline void master_status(struct fake_master *m, struct rpc_request *r, struct mp params)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    m->statuses++;
    if (m->refuse_status != 0) {
        master_reply_error(r, m->refuse_status, "", "not now");
        return;
    }
    mp_write_map(&b, 2);
    mp_write_key_int(&b, "revision", 9);
    mp_write_cstr(&b, "results");
    mp_write_array(&b, mp_count(mp_get(params, "pods")));
    for (struct mp_iter it = mp_iter(mp_get(params, "pods")); mp_next(&it);) {
        struct mp s = mp_get(it.value, "status");
        master_json(s, m->last_status, sizeof m->last_status);
        master_note(m, "status %.*s/%.*s %.*s", STR_ARG(mp_str(mp_get(it.value, "namespace"))),
                    STR_ARG(mp_str(mp_get(it.value, "name"))), STR_ARG(mp_str(mp_get(s, "phase"))));
        mp_write_nil(&b);
    }
    for (struct mp_iter it = mp_iter(mp_get(params, "gone")); mp_next(&it);) {
        master_note(m, "gone %.*s/%.*s", STR_ARG(mp_str(mp_get(it.value, "namespace"))),
                    STR_ARG(mp_str(mp_get(it.value, "name"))));
    }
    rpc_reply(r, buf_str(&b));
}
static inline void master_events(struct fake_master *m, struct rpc_request *r, struct mp params)
{
    if (m->hold_events && m->held_events == NULL) {
        m->held_events = r;
        return;
    }
    for (struct mp_iter it = mp_iter(mp_get(params, "events")); mp_next(&it);) {
        struct object *o = NULL;
        struct error err = {0};
        if (object_from_wire(it.value, &o, &err) != 0) {
            fail_msg("%s", err.message);
        }
        m->events++;
        master_note(m, "event %.*s", STR_ARG(mp_str(mp_get(object_mp(o), "reason"))));
        master_note(m, "message %.*s", STR_ARG(mp_str(mp_get(object_mp(o), "message"))));
        object_unref(o);
    }
    rpc_reply(r, STR("\x80"));
}
static inline void master_join(struct fake_master *m, struct rpc_request *r, struct mp params)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct error err = {0};
    struct str csr = mp_str(mp_get(params, "csr")), name = mp_str(mp_get(params, "name"));
    if (!str_starts(mp_str(mp_get(params, "token")), STR("abcdef.0123456789abcdef@"))) {
        master_reply_error(r, ERR_UNAUTHORIZED, "", "the token is unknown or has expired");
        return;
    }
    CLEANUP_FREE char *csr_text = xstrndup(csr.p, csr.n);
    char *certificate = NULL;
    struct pki_identity who = {.role = PKI_ROLE_NODE};
    snprintf(who.name, sizeof who.name, "%.*s", STR_ARG(name));
    if (pki_sign_request(m->ca_pem, m->ca_key_pem, csr_text, &who, NULL, 3600, 0, &certificate, &err) != 0) {
        fail_msg("%s", err.message);
    }
    m->joins++;
    mp_write_map(&b, 4);
    mp_write_key_str(&b, "certificate", str_of(certificate));
    mp_write_key_str(&b, "ca", str_of(m->ca_pem));
    mp_write_key_str(&b, "cluster", STR("test"));
    mp_write_cstr(&b, "masters");
    mp_write_array(&b, 1);
    mp_write_cstr(&b, m->address);
    rpc_reply(r, buf_str(&b));
    free(certificate);
}
static inline void master_renew(struct fake_master *m, struct rpc_request *r, struct mp params)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct error err = {0};
    struct str csr = mp_str(mp_get(params, "csr"));
    CLEANUP_FREE char *csr_text = xstrndup(csr.p, csr.n);
    char *certificate = NULL;
    struct pki_identity who = *rpc_session_peer(rpc_request_session(r));
    m->renewals++;
    if (m->refuse_renewal != 0) {
        master_reply_error(r, m->refuse_renewal, "", "not for you");
        return;
    }
    if (m->renewal_name != NULL) {
        snprintf(who.name, sizeof who.name, "%s", m->renewal_name);
    }
    if (pki_sign_request(m->ca_pem, m->ca_key_pem, csr_text, &who, NULL, 7200, 0, &certificate, &err) != 0) {
        fail_msg("%s", err.message);
    }
    m->calls_expired = false;
    mp_write_map(&b, 1 + (m->renewal_ca != NULL));
    mp_write_key_str(&b, "certificate", str_of(certificate));
    if (m->renewal_ca != NULL) {
        mp_write_key_str(&b, "ca", str_of(m->renewal_ca));
    }
    rpc_reply(r, buf_str(&b));
    free(certificate);
}
static inline void master_get(struct fake_master *m, struct rpc_request *r, struct mp params)
{
    CLEANUP_ARENA struct arena a;
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct value *doc;
    char json[1024];
    arena_init(&a);
    assert_true(str_is(mp_str(mp_get(params, "kind")), "Node"));
    snprintf(json, sizeof json, "%s", m->node_json);
    for (char *p = json; *p != '\0'; p++) {
        *p = *p == '\'' ? '"' : *p;
    }
    assert_int_equal(json_read(&a, str_of(json), &doc, NULL), 0);
    m->gets++;
    mp_write_map(&b, 1);
    mp_write_cstr(&b, "object");
    msgpack_write_value(&b, doc);
    rpc_reply(r, buf_str(&b));
}
/* "token-1", "token-2", ..., good for as long as was asked for. */
static inline void master_give_token(struct fake_master *m, struct rpc_request *r, int64_t life_s)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    char token[32], date[TIMEFMT_SIZE];
    snprintf(token, sizeof token, "token-%u", ++m->tokens);
    timefmt_rfc3339(env_wall_ms(env_real()) + life_s * 1000, date);
    mp_write_map(&b, 2);
    mp_write_key_str(&b, "token", str_of(token));
    mp_write_key_str(&b, "expirationTimestamp", str_of(date));
    rpc_reply(r, buf_str(&b));
}
static inline void master_token(struct fake_master *m, struct rpc_request *r, struct mp params)
{
    struct mp audiences = mp_get(params, "audiences");
    struct mp_iter it = mp_iter(audiences);
    struct str audience = mp_next(&it) ? mp_str(it.value) : STR("-");
    int64_t life_s = mp_int(mp_get(params, "expirationSeconds"), 0);
    assert_true(str_is(mp_str(mp_get(params, "boundKind")), "Pod"));
    master_note(m, "token %.*s/%.*s %.*s %.*s %.*s %lld", STR_ARG(mp_str(mp_get(params, "namespace"))),
                STR_ARG(mp_str(mp_get(params, "name"))), STR_ARG(mp_str(mp_get(params, "boundName"))),
                STR_ARG(mp_str(mp_get(params, "boundUid"))), STR_ARG(audience), (long long)life_s);
    if (m->hold_tokens && m->held_tokens_count < 4) {
        m->held_tokens[m->held_tokens_count++] = r;
    } else if (m->refuse_tokens != 0) {
        master_reply_error(r, m->refuse_tokens, "", "serviceaccounts \"robot\" not found");
    } else {
        master_give_token(m, r, life_s);
    }
}
/* The newest one counts; a former one may still be there. */
static inline void master_take_stream(struct fake_master *m, struct rpc_stream **slot, struct rpc_request *r)
{
    if (m->many) {
        rpc_stream_accept(r, &master_order_events, m);
        return;
    }
    if (*slot != NULL) {
        rpc_stream_end(TAKE_PTR(*slot), NULL);
    }
    *slot = rpc_stream_accept(r, &master_order_events, m);
}
static inline void master_request(struct rpc_session *s, struct rpc_request *r, struct str method, struct mp params,
                                  void *data)
{
    struct fake_master *m = data;
    (void)s;
    if (str_is(method, "hello") && m->calls_expired) {
        master_reply_error(r, ERR_UNAUTHORIZED, "cert.renew", "the certificate has expired");
    } else if (str_is(method, "hello")) {
        if (m->hold_hellos > 0 && m->held_count < 4) {
            m->hold_hellos--;
            m->held_hellos[m->held_count++] = r;
            return;
        }
        snprintf(m->instance, sizeof m->instance, "%.*s", STR_ARG(mp_str(mp_get(params, "instance"))));
        master_hello(m, r);
    } else if (str_is(method, "node.register")) {
        master_register(m, r, params);
    } else if (str_is(method, "node.pods")) {
        m->tells_own_status = mp_bool(mp_get(params, "ownStatus"), true);
        master_take_stream(m, &m->pods, r);
    } else if (str_is(method, "node.refs")) {
        master_take_stream(m, &m->refs, r);
    } else if (str_is(method, "node.routes")) {
        master_take_stream(m, &m->routes, r);
    } else if (str_is(method, "node.policies")) {
        master_take_stream(m, &m->policies, r);
    } else if (str_is(method, "node.status")) {
        master_status(m, r, params);
    } else if (str_is(method, "node.volumes")) {
        master_volumes(m, r, params);
    } else if (str_is(method, "node.events")) {
        master_events(m, r, params);
    } else if (str_is(method, "get")) {
        master_get(m, r, params);
    } else if (str_is(method, "join")) {
        master_join(m, r, params);
    } else if (str_is(method, "cert.renew")) {
        master_renew(m, r, params);
    } else if (str_is(method, "account.token")) {
        master_token(m, r, params);
    } else {
        fail_msg("unknown method %.*s", STR_ARG(method));
    }
}
static inline void master_notified(struct rpc_session *s, struct str method, struct mp params, void *data)
{
    struct fake_master *m = data;
    (void)s, (void)params;
    m->heartbeats += str_is(method, "node.heartbeat");
}
static inline void master_peer_closed(struct rpc_session *s, const struct error *why, void *data)
{
    struct fake_master *m = data;
    (void)why;
    for (int i = 0; i < MASTER_PEERS; i++) {
        m->peers[i] = m->peers[i] == s ? NULL : m->peers[i];
    }
    m->agent = m->agent == s ? NULL : m->agent;
}
static inline void master_accept(struct net_conn *c, void *data)
{
    struct fake_master *m = data;
    struct rpc_config config = {
        .handler = {.on_request = master_request, .on_notify = master_notified, .on_close = master_peer_closed},
        .data = m,
    };
    int64_t from_s;
    m->connections++;
    net_conn_peer_life(c, &from_s, &m->peer_until_s);
    m->peer_expired = net_conn_peer_expired(c);
    for (int i = 0; i < MASTER_PEERS; i++) {
        if (m->peers[i] == NULL) {
            m->peers[i] = rpc_session_new(c, m->loop, &config);
            return;
        }
    }
    fail_msg("too many connections");
}

/* ---- Life ---- */

static inline struct net_tls *tls_of(const char *ca_pem, const char *ca_key_pem, enum pki_role role, const char *name)
{
    struct pki_identity who = {.role = role};
    struct net_tls *tls = NULL;
    struct error err = {0};
    char *cert, *key;
    snprintf(who.name, sizeof who.name, "%s", name);
    if (pki_issue(ca_pem, ca_key_pem, &who, "localhost,127.0.0.1", 3600, &cert, &key, &err) != 0 ||
        net_tls_new(ca_pem, cert, key, NULL, &tls, &err) != 0) {
        fail_msg("%s", err.message);
    }
    free(cert);
    pki_free_key(key);
    return tls;
}
static inline void master_open(struct fake_master *m, uv_loop_t *loop, const char *ca_pem, const char *ca_key_pem)
{
    static const char *const alpns[] = {ALPN_RPC, NULL};
    struct error err = {0};
    *m = (struct fake_master){
        .loop = loop, .ca_pem = ca_pem, .ca_key_pem = ca_key_pem, .leads = true, .heartbeat_ms = 10000};
    m->tls = tls_of(ca_pem, ca_key_pem, PKI_ROLE_MASTER, "1");
    net_tls_set_grace(m->tls, 3600);
    struct net_listener_config c = {.loop = loop,
                                    .tls = m->tls,
                                    .addr = "127.0.0.1:0",
                                    .fd = -1,
                                    .alpns = alpns,
                                    .conns_max = MASTER_PEERS,
                                    .on_conn = master_accept,
                                    .data = m};
    if (net_listen(&c, &m->listener, &err) != 0) {
        fail_msg("%s", err.message);
    }
    m->id = net_listener_port(m->listener);
    snprintf(m->address, sizeof m->address, "127.0.0.1:%d", m->id);
}
static inline void master_listener_closed(void *data)
{
    ((struct fake_master *)data)->closed = true;
}
/* It leads from now on, and says so to all its agents. */
static inline void master_lead(struct fake_master *m, int64_t term)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    m->leads = true;
    m->term = term;
    mp_write_map(&b, 1);
    mp_write_key_int(&b, "term", term);
    for (int i = 0; i < MASTER_PEERS; i++) {
        if (m->peers[i] != NULL) {
            rpc_notify(m->peers[i], "node.lead", buf_str(&b));
        }
    }
}
static inline bool master_has_peers(const struct fake_master *m)
{
    for (int i = 0; i < MASTER_PEERS; i++) {
        if (m->peers[i] != NULL) {
            return true;
        }
    }
    return false;
}
static inline void master_hang_up(struct fake_master *m)
{
    for (int i = 0; i < MASTER_PEERS; i++) {
        if (m->peers[i] != NULL) {
            rpc_session_close(m->peers[i]);
        }
    }
}
static inline void master_close(struct fake_master *m)
{
    net_listener_close(m->listener, master_listener_closed, m);
    master_hang_up(m);
    run_until(m->loop, m->closed && !master_has_peers(m));
    net_tls_unref(m->tls);
    master_forget(m);
}

/* ---- Orders ---- */

/* json: with single quotes; type NULL = BOOKMARK. */
static inline void master_order(struct rpc_stream *st, const char *type, const char *json)
{
    CLEANUP_ARENA struct arena a;
    CLEANUP_BUF struct buf text = BUF_INIT;
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct error err = {0};
    struct value *doc;
    arena_init(&a);
    mp_write_map(&b, 2);
    mp_write_key_int(&b, "revision", 5);
    mp_write_cstr(&b, "events");
    mp_write_array(&b, 1);
    mp_write_map(&b, type == NULL ? 1 : 2);
    mp_write_key_str(&b, "type", type == NULL ? STR("BOOKMARK") : str_of(type));
    if (type != NULL) {
        for (const char *p = json; *p != '\0'; p++) {
            buf_putc(&text, *p == '\'' ? '"' : *p);
        }
        if (json_read(&a, buf_str(&text), &doc, &err) != 0) {
            fail_msg("%s", err.message);
        }
        mp_write_cstr(&b, "object");
        msgpack_write_value(&b, doc);
    }
    assert_int_equal(rpc_stream_write(st, buf_str(&b)), 0);
}

#endif
