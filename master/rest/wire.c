/* HTTP over the TLS streams of the masters' port. */
#include <stdlib.h>

#include "master/front/sessions.h"
#include "master/rest/call.h"
#include "master/rest/rest.h"

static void wire_send(void *data, const void *p, size_t n)
{
    net_conn_send(data, p, n);
}

static void wire_give(void *data, struct buf *b, size_t at)
{
    net_conn_give(data, b, at);
}

static size_t wire_pending(const void *data)
{
    return net_conn_pending(data);
}

static bool wire_waits(const void *data)
{
    return net_conn_waits(data);
}

static void wire_pause(void *data, bool paused)
{
    net_conn_pause(data, paused);
}

static size_t wire_untaken(const void *data)
{
    return net_conn_untaken(data);
}

static void wire_close(void *data, int64_t patience_ms)
{
    net_conn_close_slowly(data, patience_ms);
}

static void wire_abort(void *data)
{
    net_conn_abort(data);
}

static bool wire_proven(void *data, const struct pki_identity *who)
{
    return net_conn_prove(data, who);
}

static void wire_be_patient(void *data)
{
    net_conn_be_patient(data);
}

static const struct rest_wire net_wire = {.send = wire_send,
                                          .give = wire_give,
                                          .pending = wire_pending,
                                          .waits = wire_waits,
                                          .pause = wire_pause,
                                          .untaken = wire_untaken,
                                          .close = wire_close,
                                          .abort = wire_abort,
                                          .proven = wire_proven,
                                          .be_patient = wire_be_patient};

static void on_data(struct net_conn *net, const uint8_t *p, size_t n, void *data)
{
    (void)net;
    rest_conn_feed(data, p, n);
}

static void on_drain(struct net_conn *net, void *data)
{
    (void)net;
    rest_conn_drained(data);
}

static void on_close(struct net_conn *net, const struct error *why, void *data)
{
    (void)net;
    struct rest_conn *c = data;
    struct session *s = c->session;
    rest_conn_gone(c);
    session_over(s, why);
}

static const struct net_conn_events net_events = {.on_data = on_data, .on_drain = on_drain, .on_close = on_close};

/* ---- The session's way ---- */

static bool is_open(const struct session *s)
{
    return !s->http->dropped;
}

static void way_close(struct session *s)
{
    s->http->closing = s->http->dropped = true;
    net_conn_close(s->http->wire_data);
}

static void shed(struct session *s, const char *why)
{
    char peer[NET_PEER_MAX];
    const char *addr = net_conn_peer_addr(s->http->wire_data);
    net_peer_word(&s->principal->identity, addr, peer);
    log_warn_of(&s->m->log, "rest", peer, "session with %s closed: %s", addr, why);
    s->http->closing = s->http->dropped = true;
    s->http->wire->abort(s->http->wire_data);
}

static size_t held(const struct session *s)
{
    const struct rest_conn *c = s->http;
    size_t call = c->call == NULL ? 0 : rest_call_held(c->call);
    return c->wire->pending(c->wire_data) + http_in_held(&c->in) + c->ahead.cap + call;
}

static unsigned inflight(const struct session *s)
{
    return s->http->call != NULL;
}

static const char *addr(const struct session *s)
{
    return net_conn_peer_addr(s->http->wire_data);
}

static const struct session_way http_way = {
    .is_open = is_open, .close = way_close, .shed = shed, .held = held, .inflight = inflight, .addr = addr};

void rest_open(struct session *s, struct net_conn *net)
{
    s->way = &http_way;
    struct rest_conn *c = rest_conn_new(s, &net_wire, net);
    net_conn_set_events(net, &net_events, c);
}
