#include "agent/session.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/backoff.h"
#include "agent/defer.h"
#include "proto/api.h"

#define COMPLAINTS_MAX      6u
#define HELLO_MS_MIN        3000 /* a busy leader is not left at once */
#define COMPLAINTS_PAUSE_MS 300000

enum session_state {
    SESSION_WAITING,
    SESSION_DIALING,
    SESSION_REGISTERING,
    SESSION_READY,
    SESSION_LEAVING,
    SESSION_STOPPED
};

struct order_stream {
    struct session *session;
    enum session_stream which;
    struct rpc_stream *stream; /* NULL = none */
    bool listing;
};

struct session {
    struct session_config config;
    char **masters;
    unsigned masters_count, next_master;
    char target[NET_ADDR_MAX]; /* whom we talk to, or try to */
    char follow[NET_ADDR_MAX]; /* whom to try next at once; "" = the next one of the list, after a pause */
    unsigned hops;
    enum session_state state;
    bool stopping;
    struct rpc_session *rpc;
    struct order_stream streams[SESSION_STREAMS];
    struct backoff backoff;
    uv_timer_t pause, heartbeat;
    unsigned handles;
    int64_t heartbeat_ms;
    bool hello_pending;
    char complaint[ERROR_MESSAGE_MAX]; /* last reason logged */
    unsigned complaints;               /* logged since complained_ms */
    int64_t complained_ms;
    void (*stop_cb)(void *data);
    void *stop_data;
};

static const char *state_name(enum session_state s)
{
    static const char *const names[] = {"waiting", "dialing", "registering", "ready", "leaving", "stopped"};
    return names[s];
}

/* From every state only these are reached. */
static const unsigned allowed[] = {
    [SESSION_WAITING] = 1u << SESSION_DIALING | 1u << SESSION_STOPPED,
    [SESSION_DIALING] = 1u << SESSION_REGISTERING | 1u << SESSION_LEAVING | 1u << SESSION_WAITING,
    [SESSION_REGISTERING] = 1u << SESSION_READY | 1u << SESSION_LEAVING | 1u << SESSION_WAITING,
    [SESSION_READY] = 1u << SESSION_LEAVING | 1u << SESSION_WAITING,
    [SESSION_LEAVING] = 1u << SESSION_WAITING,
    [SESSION_STOPPED] = 0,
};

static void move(struct session *s, enum session_state next)
{
    assert(allowed[s->state] & 1u << next);
    log_debug(s->config.log, "session", "%s -> %s (%s)", state_name(s->state), state_name(next), s->target);
    enum session_state former = s->state;
    s->state = next;
    if (former == SESSION_READY) {
        uv_timer_stop(&s->heartbeat);
        s->config.events.on_lost(s->config.data);
    }
}

/* ---- Leaving: the connection is closed, and its on_close decides what is next ---- */

static void leave(struct session *s, const char *follow)
{
    if (s->state == SESSION_LEAVING || s->rpc == NULL) {
        return;
    }
    snprintf(s->follow, sizeof s->follow, "%s", follow);
    move(s, SESSION_LEAVING);
    rpc_session_close(s->rpc);
}

/* Once a reason, and all of them at most COMPLAINTS_MAX times before it is silent for a while: masters may be away for days. */
static void complain(struct session *s, const char *what, const struct error *why)
{
    char text[ERROR_MESSAGE_MAX];
    int64_t now = env_now_ms(s->config.env);
    snprintf(text, sizeof text, "%.200s: %.700s", what, why == NULL ? "closed" : why->message);
    if (now - s->complained_ms > COMPLAINTS_PAUSE_MS) {
        s->complaints = 0;
        s->complaint[0] = '\0';
    }
    if (strcmp(text, s->complaint) == 0 || s->complaints >= COMPLAINTS_MAX) {
        return;
    }
    snprintf(s->complaint, sizeof s->complaint, "%s", text);
    s->complained_ms = s->complaints++ == 0 ? now : s->complained_ms;
    log_warn(s->config.log, "session", "master %s: %s", s->target, text);
}

/* NotLeader names the leader's address in its field. */
static void leave_for(struct session *s, const char *what, const struct error *why)
{
    bool named =
        why != NULL && why->code == ERR_NOT_LEADER && why->field[0] != '\0' && strcmp(why->field, s->target) != 0;
    if (!named) {
        complain(s, what, why);
    }
    leave(s, named ? why->field : "");
}

/* ---- Orders ---- */

static void feed_event(struct order_stream *os, struct mp event)
{
    struct session *s = os->session;
    struct str type = mp_str(mp_get(event, "type"));
    if (str_is(type, "BOOKMARK")) {
        if (os->listing) {
            os->listing = false;
            s->config.events.on_list_end(os->which, s->config.data);
        }
        return;
    }
    struct object *o = NULL;
    struct error err;
    int rv = object_from_wire(mp_get(event, "object"), &o, &err);
    if (rv != 0) {
        log_error(s->config.log, "session", "an order that cannot be read: %s", err.message);
        return;
    }
    enum session_change change = str_is(type, "ADDED")     ? SESSION_ADDED
                                 : str_is(type, "DELETED") ? SESSION_DELETED
                                                           : SESSION_MODIFIED;
    s->config.events.on_object(os->which, change, o, s->config.data);
    object_unref(o);
}

static void on_stream_data(struct rpc_stream *st, struct mp payload, size_t payload_bytes, void *data)
{
    struct order_stream *os = data;
    struct session *s = os->session;
    if (s->state == SESSION_READY && os->which == SESSION_ROUTES) {
        s->config.events.on_routes(mp_get(payload, "routes"), s->config.data);
    } else if (s->state == SESSION_READY) {
        for (struct mp_iter it = mp_iter(mp_get(payload, "events")); mp_next(&it);) {
            feed_event(os, it.value);
        }
    }
    rpc_stream_consumed(st, payload_bytes);
}

static void open_stream(struct session *s, enum session_stream which);

static void on_stream_end(struct rpc_stream *st, const struct error *err, void *data)
{
    struct order_stream *os = data;
    struct session *s = os->session;
    rpc_stream_end(st, NULL);
    os->stream = NULL;
    if (s->state != SESSION_READY) {
        return;
    }
    if (err != NULL && err->code == ERR_EXPIRED) {
        open_stream(s, os->which); /* we were too slow: the whole list again */
    } else if (err == NULL || err->code != ERR_CLOSED) {
        leave_for(s, "stream of orders ended", err);
    }
}

static const struct rpc_stream_events stream_events = {.on_data = on_stream_data, .on_end = on_stream_end};

static void write_name(struct session *s, struct buf *b)
{
    mp_write_map(b, 1);
    mp_write_key_str(b, "name", str_of(s->config.name));
}

static void open_stream(struct session *s, enum session_stream which)
{
    static const char *const methods[SESSION_STREAMS] = {"node.pods", "node.refs", "node.routes"};
    CLEANUP_BUF struct buf params = BUF_INIT;
    struct order_stream *os = &s->streams[which];
    *os = (struct order_stream){.session = s, .which = which, .listing = which != SESSION_ROUTES};
    if (os->listing) {
        s->config.events.on_list_begin(which, s->config.data);
    }
    write_name(s, &params);
    os->stream = rpc_stream_open(s->rpc, methods[which], buf_str(&params), &stream_events, os);
}

/* ---- Heartbeats ---- */

static void send_hello(struct session *s, int64_t timeout_ms, rpc_result_cb *cb)
{
    CLEANUP_BUF struct buf params = BUF_INIT;
    mp_write_map(&params, 2);
    mp_write_key_str(&params, "version", STR(REEVE_VERSION));
    mp_write_key_str(&params, "name", str_of(s->config.name));
    rpc_call(s->rpc, "hello", buf_str(&params), timeout_ms, cb, s);
}

static bool leads(struct mp hello)
{
    int64_t id = mp_int(mp_get(hello, "id"), 0);
    return str_is(mp_str(mp_get(hello, "role")), "leader") || (id != 0 && id == mp_int(mp_get(hello, "leader"), 0));
}

/* The leader's address out of a hello, if it is someone else's. */
static void leader_of(struct session *s, struct mp hello, char out[NET_ADDR_MAX])
{
    struct str address = mp_str(mp_get(hello, "leaderAddress"));
    snprintf(out, NET_ADDR_MAX, "%.*s", STR_ARG(address));
    if (strcmp(out, s->target) == 0) {
        out[0] = '\0';
    }
}

static void on_heartbeat_hello(const struct rpc_result *r, void *data)
{
    struct session *s = data;
    s->hello_pending = false;
    if (s->state != SESSION_READY) {
        return;
    }
    if (r->error != NULL) {
        complain(s, "no answer to a heartbeat", r->error);
        leave(s, "");
    } else if (!leads(r->result)) {
        char leader[NET_ADDR_MAX];
        leader_of(s, r->result, leader);
        leave(s, leader);
    }
}

/* ---- The certificate ---- */

static void on_renewed(struct net_tls *tls, const struct error *err, void *data)
{
    struct session *s = data;
    if (tls != NULL) {
        net_tls_unref(s->config.tls);
        s->config.tls = tls;
    }
    if (s->state != SESSION_DIALING) {
        return; /* over a session in use, which goes on */
    }
    if (tls != NULL) {
        leave(s, s->target); /* the same master, with the new one */
    } else if (err->code != ERR_CLOSED) {
        leave_for(s, "renew the expired certificate", err);
    }
}

static void renew(struct session *s)
{
    renew_send(s->config.renew, s->rpc, SESSION_CALL_MS, on_renewed, s);
}

static void on_heartbeat(uv_timer_t *t)
{
    struct session *s = t->data;
    if (s->config.renew != NULL && renew_due(s->config.renew)) {
        renew(s);
    }
    CLEANUP_BUF struct buf params = BUF_INIT;
    write_name(s, &params);
    rpc_notify(s->rpc, "node.heartbeat", buf_str(&params));
    if (!s->hello_pending) {
        s->hello_pending = true;
        send_hello(s, MAX(s->heartbeat_ms, HELLO_MS_MIN), on_heartbeat_hello);
    }
}

/* ---- Registration ---- */

static void on_registered(const struct rpc_result *r, void *data)
{
    struct session *s = data;
    if (s->state != SESSION_REGISTERING && s->state != SESSION_READY) {
        return;
    }
    if (r->error != NULL) {
        leave_for(s, "registration refused", r->error);
        return;
    }
    bool again = s->state == SESSION_READY;
    s->heartbeat_ms = mp_int(mp_get(r->result, "heartbeatMs"), API_HEARTBEAT_MS_DEFAULT);
    if (s->heartbeat_ms < 100) {
        s->heartbeat_ms = 100;
    }
    if (again) {
        return;
    }
    move(s, SESSION_READY);
    backoff_reset(&s->backoff);
    s->hops = 0;
    s->complaint[0] = '\0';
    s->complaints = 0;
    s->hello_pending = false;
    log_info(s->config.log, "session", "registered with the leader at %s", s->target);
    uv_timer_start(&s->heartbeat, on_heartbeat, (uint64_t)s->heartbeat_ms, (uint64_t)s->heartbeat_ms);
    s->config.events.on_ready(r->result, s->config.data);
    for (int i = 0; i < SESSION_STREAMS; i++) {
        open_stream(s, (enum session_stream)i);
    }
}

static void send_registration(struct session *s)
{
    CLEANUP_BUF struct buf params = BUF_INIT;
    mp_write_map(&params, 1);
    mp_write_cstr(&params, "node");
    s->config.events.write_node(&params, s->config.data);
    rpc_call(s->rpc, "node.register", buf_str(&params), SESSION_CALL_MS, on_registered, s);
}

/* ---- Dialing ---- */

static void on_hello(const struct rpc_result *r, void *data)
{
    struct session *s = data;
    if (s->state != SESSION_DIALING) {
        return;
    }
    /* By the master's clock our certificate has expired, by ours it has not. */
    if (r->error != NULL && strcmp(r->error->field, "cert.renew") == 0 && s->config.renew != NULL) {
        renew(s);
        return;
    }
    if (r->error != NULL) {
        if (r->error->code != ERR_CLOSED) { /* that one is told by on_close, with the reason */
            leave_for(s, "hello", r->error);
        }
        return;
    }
    char leader[NET_ADDR_MAX];
    leader_of(s, r->result, leader);
    if (leads(r->result)) {
        move(s, SESSION_REGISTERING);
        send_registration(s);
    } else {
        leave(s, leader);
    }
}

static void dial(struct session *s);

static void on_pause_over(uv_timer_t *t)
{
    dial(t->data);
}

static void stopped(struct session *s);

static void on_rpc_close(struct rpc_session *rpc, const struct error *why, void *data)
{
    struct session *s = data;
    (void)rpc;
    s->rpc = NULL;
    bool lost = s->state != SESSION_LEAVING;
    if (lost && !s->stopping) {
        complain(s, s->state == SESSION_DIALING ? "connect" : "connection lost", why);
        s->follow[0] = '\0';
    }
    move(s, SESSION_WAITING);
    if (s->stopping) {
        stopped(s);
        return;
    }
    if (s->follow[0] != '\0' && s->hops < SESSION_HOPS_MAX) {
        s->hops++;
        dial(s);
        return;
    }
    s->follow[0] = '\0';
    s->hops = 0;
    backoff_grow(&s->backoff, env_now_ms(s->config.env));
    uv_timer_start(&s->pause, on_pause_over, (uint64_t)backoff_jitter(&s->backoff, s->config.env), 0);
}

static void on_rpc_request(struct rpc_session *rpc, struct rpc_request *r, struct str method, struct mp params,
                           void *data)
{
    struct session *s = data;
    (void)rpc;
    s->config.events.on_request(r, method, params, s->config.data);
}

/* node.refresh: the master had given us up and wants to know how we are. */
static void on_rpc_notify(struct rpc_session *rpc, struct str method, struct mp params, void *data)
{
    struct session *s = data;
    (void)rpc, (void)params;
    if (s->state == SESSION_READY && str_is(method, "node.refresh")) {
        send_registration(s);
    }
}

static void dial(struct session *s)
{
    assert(s->state == SESSION_WAITING && s->rpc == NULL);
    const char *next = s->follow;
    if (next[0] == '\0') {
        next = s->masters[s->next_master];
        s->next_master = (s->next_master + 1) % s->masters_count;
    }
    snprintf(s->target, sizeof s->target, "%s", next);
    s->follow[0] = '\0';
    move(s, SESSION_DIALING);
    struct rpc_config config = {
        .handler = {.on_request = on_rpc_request, .on_notify = on_rpc_notify, .on_close = on_rpc_close},
        .data = s,
        .log = s->config.log,
    };
    s->rpc = rpc_session_connect(s->config.loop, s->config.tls, s->target, ALPN_RPC, SESSION_CONNECT_MS, &config);
    if (s->config.renew != NULL && renew_expired(s->config.renew)) {
        renew(s);
    } else {
        send_hello(s, SESSION_CONNECT_MS, on_hello);
    }
}

/* ---- Life ---- */

struct session *session_new(const struct session_config *c)
{
    struct session *s = xcalloc(1, sizeof *s);
    assert(c->masters != NULL && c->masters[0] != NULL && c->name != NULL);
    s->config = *c;
    s->config.name = xstrdup(c->name);
    s->config.masters = NULL;
    net_tls_ref(c->tls);
    while (c->masters[s->masters_count] != NULL) {
        s->masters_count++;
    }
    s->masters = xcalloc(s->masters_count, sizeof *s->masters);
    for (unsigned i = 0; i < s->masters_count; i++) {
        s->masters[i] = xstrdup(c->masters[i]);
    }
    uint32_t r = 0;
    env_random(c->env, &r, sizeof r);
    s->next_master = r % s->masters_count; /* nodes spread over the masters */
    backoff_init(&s->backoff, BACKOFF_CONNECT_BASE_MS, BACKOFF_CONNECT_MAX_MS);
    uv_timer_init(c->loop, &s->pause);
    uv_timer_init(c->loop, &s->heartbeat);
    s->pause.data = s->heartbeat.data = s;
    return s;
}

void session_start(struct session *s)
{
    assert(s->state == SESSION_WAITING && s->rpc == NULL);
    uv_timer_start(&s->pause, on_pause_over, 0, 0);
}

static void on_handle_closed(uv_handle_t *h)
{
    struct session *s = h->data;
    if (--s->handles > 0) {
        return;
    }
    void (*cb)(void *data) = s->stop_cb;
    void *data = s->stop_data;
    for (unsigned i = 0; i < s->masters_count; i++) {
        free(s->masters[i]);
    }
    free(s->masters);
    free((char *)s->config.name);
    net_tls_unref(s->config.tls);
    free(s);
    cb(data);
}

static void stopped(struct session *s)
{
    move(s, SESSION_STOPPED);
    s->handles = 2;
    uv_close((uv_handle_t *)&s->pause, on_handle_closed);
    uv_close((uv_handle_t *)&s->heartbeat, on_handle_closed);
}

void session_stop(struct session *s, void (*cb)(void *data), void *data)
{
    assert(!s->stopping);
    s->stopping = true;
    s->stop_cb = cb;
    s->stop_data = data;
    uv_timer_stop(&s->pause);
    if (s->rpc != NULL) {
        leave(s, "");
    } else {
        stopped(s);
    }
}

bool session_ready(const struct session *s)
{
    return s->state == SESSION_READY;
}

const char *session_leader(const struct session *s)
{
    return s->state == SESSION_READY ? s->target : "";
}

struct refused_call {
    rpc_result_cb *cb;
    void *data;
};

static void refuse(void *data)
{
    struct refused_call *r = data;
    struct error err = {0};
    error_set(&err, ERR_CLOSED, "no leader is connected");
    struct rpc_result result = {.error = &err, .sent = false};
    r->cb(&result, r->data);
    free(r);
}

void session_call(struct session *s, const char *method, struct str params, rpc_result_cb *cb, void *data)
{
    if (s->state == SESSION_READY) {
        rpc_call(s->rpc, method, params, SESSION_CALL_MS, cb, data);
        return;
    }
    struct refused_call *r = xmalloc(sizeof *r);
    *r = (struct refused_call){cb, data};
    defer_call(s->config.loop, refuse, r);
}
