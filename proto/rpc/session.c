/* Sessions: the connection's life, messages cut out of its bytes, the limits.
 *
 * Messages are read where they lie: in the bytes the connection hands over, or, if one came in pieces, in `in`, which
 * never holds more than message_max and one read. Sending appends to the connection, which gathers a turn's messages.
 * A peer that does not read is met in steps: calls and notifications fail with ERR_BUSY above send_max, streams wait,
 * its own requests are no longer read (or their answers would pile up), and after RPC_STUCK_MS the session is
 * closed. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "proto/rpc/rpc_int.h"

#define KEEP_BYTES     4096u
#define SEND_MAX_LEAST (2 * NET_LOW_WATER) /* below, the connection would not report that it has drained */
#define LOOP_TICK_MS   1                   /* deferred callbacks: the next turn, not this one */

static const struct pki_identity nobody;

int64_t rpc_now(const struct rpc_session *s)
{
    return (int64_t)uv_now(s->loop);
}

static void on_timer(uv_timer_t *t);

void rpc_arm(struct rpc_session *s, int64_t at_ms)
{
    if (s->state == RPC_ENDED || (s->timer_at_ms != 0 && s->timer_at_ms <= at_ms)) {
        return;
    }
    int64_t now = rpc_now(s);
    s->timer_at_ms = at_ms;
    uv_timer_start(&s->timer, on_timer, (uint64_t)MAX(at_ms - now, (int64_t)LOOP_TICK_MS), 0);
}

/* ---- The end ---- */

void rpc_session_fail(struct rpc_session *s, int code, const char *fmt, ...)
{
    if (s->state != RPC_OPEN) {
        return;
    }
    char text[ERROR_MESSAGE_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    s->stats->bad_messages += code == ERR_PROTOCOL || code == ERR_TOO_LARGE;
    char peer[NET_PEER_MAX];
    net_peer_word(rpc_session_peer(s), rpc_session_peer_addr(s), peer);
    log_warn_of(s->config.log, "rpc", peer, "session with %s closed: %s", rpc_session_peer_addr(s), text);
    s->why = xmalloc(sizeof *s->why);
    error_set(s->why, code, "session with %s closed: %s", rpc_session_peer_addr(s), text);
    rpc_session_close(s);
}

void rpc_session_close(struct rpc_session *s)
{
    if (s->state == RPC_CONNECTING || s->state == RPC_OPEN) {
        s->state = RPC_CLOSING;
        net_conn_close(s->conn);
    }
}

/* What calls and streams hear; on_close alone gets the reason with its own code. */
static void closed_error(const struct rpc_session *s, struct error *err)
{
    if (s->why == NULL) {
        error_set(err, ERR_CLOSED, "the session with %s was closed", s->addr_was);
    } else {
        *err = *s->why;
        err->code = ERR_CLOSED;
    }
}

static void on_timer_closed(uv_handle_t *h)
{
    struct rpc_session *s = h->data;
    struct error err;
    closed_error(s, &err);
    rpc_calls_close(s, &err); /* those made by the callbacks of others */
    assert(list_empty(&s->requests_list) && list_empty(&s->streams_list) && list_empty(&s->waiting));
    if (s->config.handler.on_close != NULL) {
        s->config.handler.on_close(s, s->why, s->config.data);
    }
    assert(list_empty(&s->calls_list) && list_empty(&s->failing)); /* on_close is the last; call no more */
    rpc_table_close(&s->calls);
    rpc_table_close(&s->opened);
    rpc_table_close(&s->requests);
    rpc_table_close(&s->accepted);
    buf_close(&s->in);
    buf_close(&s->head);
    free(s->why);
    free(s->peer_was);
    free(s->addr_was);
    free(s);
}

/* ---- What the connection tells ---- */

static void on_conn_close(struct net_conn *conn, const struct error *why, void *data)
{
    struct rpc_session *s = data;
    assert(s->conn == conn && s->state != RPC_ENDED);
    if (why != NULL && s->why == NULL && s->state != RPC_CLOSING) {
        s->why = xmemdup(why, sizeof *why);
    }
    s->addr_was = xstrdup(net_conn_peer_addr(conn));
    s->refused = net_conn_refused(conn);
    s->reached = net_conn_accepted(conn);
    s->peer_was = xmemdup(net_conn_peer(conn), sizeof *s->peer_was);
    s->state = RPC_ENDED;
    s->conn = NULL;
    struct error err;
    closed_error(s, &err);
    rpc_requests_close(s);
    rpc_calls_close(s, &err);
    rpc_streams_close(s, &err);
    uv_close((uv_handle_t *)&s->timer, on_timer_closed);
}

static void dispatch(struct rpc_session *s, const uint8_t *p, size_t n)
{
    struct rpc_message m;
    if (!rpc_message_parse(mp_of(p, n), &m)) {
        rpc_session_fail(s, ERR_PROTOCOL, "the peer sent something that is no msgpack-RPC message");
        return;
    }
    switch (m.type) {
    case RPC_MESSAGE_REQUEST:
        rpc_on_request(s, &m);
        break;
    case RPC_MESSAGE_RESPONSE:
        rpc_on_response(s, &m);
        break;
    case RPC_MESSAGE_NOTIFY: {
        struct mp params;
        if (rpc_on_stream_message(s, &m)) {
            break;
        }
        if (!rpc_message_params(m.params, &params)) {
            rpc_session_fail(s, ERR_PROTOCOL, "the parameters of a notification must be one map");
            break;
        }
        s->stats->notifications_in++;
        if (s->config.handler.on_notify != NULL) {
            s->config.handler.on_notify(s, m.method, params, s->config.data);
        }
        break;
    }
    }
}

/* Refused at the head that tells: it is not even buffered. */
static void too_large(struct rpc_session *s, const uint8_t *p, size_t n, uint64_t limit, const char *what)
{
    char text[160];
    snprintf(text, sizeof text, "a message of yours may have %llu %s here, and this one has more; send less at a time",
             (unsigned long long)limit, what);
    s->stats->too_large++;
    rpc_refuse_unread(s, p, n, text);
    rpc_session_fail(s, ERR_TOO_LARGE, "the peer sent a message of more than %llu %s", (unsigned long long)limit, what);
}

/* Handle the messages that are whole; returns the bytes they had. */
static size_t consume(struct rpc_session *s, const uint8_t *p, size_t n)
{
    size_t used = 0;
    while (s->state == RPC_OPEN) {
        switch (rpc_scan(&s->scan, p + used, n - used, s->config.in_max)) {
        case RPC_SCAN_MORE:
            return used;
        case RPC_SCAN_DONE: {
            size_t size = s->scan.at;
            rpc_scan_again(&s->scan);
            dispatch(s, p + used, size);
            used += size;
            break;
        }
        case RPC_SCAN_BAD:
            rpc_session_fail(s, ERR_PROTOCOL, "the peer does not speak msgpack-RPC");
            break;
        case RPC_SCAN_TOO_LARGE:
            too_large(s, p + used, n - used, s->config.in_max, "bytes");
            break;
        case RPC_SCAN_TOO_MANY:
            too_large(s, p + used, n - used, s->config.elements_max, "elements");
            break;
        }
    }
    return n; /* the rest is not looked at */
}

static void on_conn_data(struct net_conn *conn, const uint8_t *p, size_t n, void *data)
{
    (void)conn;
    struct rpc_session *s = data;
    s->stats->bytes += n;
    if (s->in.size == 0) {
        size_t used = consume(s, p, n);
        buf_append(&s->in, p + used, n - used);
        return;
    }
    buf_append(&s->in, p, n);
    buf_consume(&s->in, consume(s, s->in.data, s->in.size));
    if (s->in.size == 0 && s->in.cap > KEEP_BYTES) {
        buf_close(&s->in);
    }
}

static void on_conn_drain(struct net_conn *conn, void *data)
{
    struct rpc_session *s = data;
    if (s->state != RPC_OPEN) {
        return;
    }
    s->stuck_since_ms = 0;
    if (s->paused) {
        s->paused = false;
        net_conn_pause(conn, false);
    }
    rpc_streams_drained(s);
}

static void on_conn_open(struct net_conn *conn, void *data)
{
    (void)conn;
    struct rpc_session *s = data;
    assert(s->state == RPC_CONNECTING);
    s->state = RPC_OPEN;
    rpc_calls_open(s);
}

static void on_timer(uv_timer_t *t)
{
    struct rpc_session *s = t->data;
    int64_t now = rpc_now(s);
    s->timer_at_ms = 0;
    if (s->stuck_since_ms != 0 && s->state == RPC_OPEN) {
        if (!rpc_send_is_full(s)) {
            s->stuck_since_ms = 0;
        } else if (now - s->stuck_since_ms >= s->config.stuck_ms) {
            rpc_session_fail(s, ERR_TIMEOUT, "the peer takes nothing: %zu bytes have waited for %lld ms",
                             net_conn_pending(s->conn), (long long)(now - s->stuck_since_ms));
        } else {
            rpc_arm(s, s->stuck_since_ms + s->config.stuck_ms);
        }
    }
    rpc_calls_expire(s, now);
}

/* ---- Out ---- */

bool rpc_send_is_full(const struct rpc_session *s)
{
    return rpc_session_pending(s) > s->config.send_max;
}

void rpc_send(struct rpc_session *s, struct str tail)
{
    assert(s->state == RPC_OPEN);
    s->stats->bytes += s->head.size + tail.n;
    net_conn_send(s->conn, s->head.data, s->head.size);
    net_conn_send(s->conn, tail.p, tail.n);
    buf_reset(&s->head);
    if (!rpc_send_is_full(s)) {
        s->stuck_since_ms = 0;
        return;
    }
    if (s->stuck_since_ms == 0) {
        s->stuck_since_ms = rpc_now(s);
        rpc_arm(s, s->stuck_since_ms + s->config.stuck_ms);
    }
    if (!s->paused) {
        s->paused = true;
        net_conn_pause(s->conn, true);
    }
}

/* ---- The face ---- */

static const struct net_conn_events conn_events = {on_conn_open, on_conn_data, on_conn_drain, on_conn_close};

static struct rpc_session *session_new(uv_loop_t *loop, const struct rpc_config *config, enum rpc_state state)
{
    assert(loop != NULL && config != NULL);
    struct rpc_session *s = xcalloc(1, sizeof *s);
    s->loop = loop;
    s->state = state;
    s->config = *config;
    s->config.message_max = config->message_max == 0 ? RPC_MESSAGE_MAX : config->message_max;
    s->config.in_max = config->in_max == 0 ? s->config.message_max : config->in_max;
    s->config.send_max = config->send_max == 0 ? RPC_SEND_MAX : MAX(config->send_max, (size_t)SEND_MAX_LEAST);
    s->config.inflight_max = config->inflight_max == 0 ? RPC_INFLIGHT_MAX : config->inflight_max;
    s->config.stuck_ms = config->stuck_ms == 0 ? RPC_STUCK_MS : config->stuck_ms;
    s->stats = config->stats != NULL ? config->stats : &s->own_stats;
    rpc_scan_init(&s->scan);
    s->scan.elements_max = s->config.elements_max;
    s->scan.depth_max = s->config.hands_on ? RPC_DEPTH_HANDED_MAX : RPC_DEPTH_MAX;
    list_init(&s->calls_list);
    list_init(&s->waiting);
    list_init(&s->failing);
    list_init(&s->requests_list);
    list_init(&s->streams_list);
    uv_timer_init(loop, &s->timer);
    s->timer.data = s;
    return s;
}

struct rpc_session *rpc_session_new(struct net_conn *conn, uv_loop_t *loop, const struct rpc_config *config)
{
    struct rpc_session *s = session_new(loop, config, RPC_OPEN);
    s->conn = conn;
    net_conn_set_events(conn, &conn_events, s);
    return s;
}

struct rpc_session *rpc_session_connect(uv_loop_t *loop, struct net_tls *tls, const char *addr, const char *alpn,
                                        int64_t timeout_ms, const struct rpc_config *config)
{
    struct rpc_session *s = session_new(loop, config, RPC_CONNECTING);
    s->conn = net_connect(loop, tls, addr, alpn, timeout_ms, &conn_events, s);
    return s;
}

bool rpc_session_is_open(const struct rpc_session *s)
{
    return s->state == RPC_OPEN;
}

const struct pki_identity *rpc_session_peer(const struct rpc_session *s)
{
    return s->conn != NULL ? net_conn_peer(s->conn) : s->peer_was != NULL ? s->peer_was : &nobody;
}

const struct pki_facts *rpc_session_peer_facts(const struct rpc_session *s)
{
    static const struct pki_facts none;
    return s->conn != NULL ? net_conn_peer_facts(s->conn) : &none;
}

const char *rpc_session_peer_addr(const struct rpc_session *s)
{
    return s->conn != NULL ? net_conn_peer_addr(s->conn) : s->addr_was;
}

bool rpc_session_refused(const struct rpc_session *s)
{
    return s->refused;
}

bool rpc_session_accepted(const struct rpc_session *s)
{
    return s->reached;
}

size_t rpc_session_pending(const struct rpc_session *s)
{
    return s->waiting_bytes + (s->conn != NULL ? net_conn_pending(s->conn) : 0);
}

unsigned rpc_session_inflight(const struct rpc_session *s)
{
    return s->requests.count + s->accepted.count;
}

size_t rpc_session_held(const struct rpc_session *s)
{
    return rpc_session_pending(s) + s->in.cap;
}

void rpc_session_shed(struct rpc_session *s, const char *fmt, ...)
{
    char text[ERROR_MESSAGE_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    rpc_session_fail(s, ERR_LIMIT, "%s", text);
    if (s->conn != NULL) {
        net_conn_abort(s->conn);
    }
}

void *rpc_session_data(const struct rpc_session *s)
{
    return s->config.data;
}

void rpc_session_set_data(struct rpc_session *s, void *data)
{
    s->config.data = data;
}
