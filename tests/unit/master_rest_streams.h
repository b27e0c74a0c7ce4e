/* A client of exec, attach, port-forward, proxy and watches over HTTP, frame by frame, and a fake agent beside three
 * masters: for master_rest_streams and master_rest_proxy. */
#ifndef TESTS_UNIT_MASTER_REST_STREAMS_H
#define TESTS_UNIT_MASTER_REST_STREAMS_H

#include "proto/spdy/spdy.h"
#include "proto/websocket/websocket.h"
#include "tests/unit/kit/master_kit.h"

struct state {
    struct kit *kit;
    unsigned leader;
    struct client *agent, *admin;
};

/* What the fake agent is asked: requests wait until the test takes them. */
static struct rpc_request *asked;
static char asked_method[64];
static struct value *asked_params;
static bool got_asked;

static inline void on_request(struct client *a, struct rpc_request *r, struct str method, struct mp params)
{
    struct error err = {0};
    snprintf(asked_method, sizeof asked_method, "%.*s", STR_ARG(method));
    assert_int_equal(msgpack_read_value(&a->kit->arena, params.p, (size_t)(params.end - params.p), &asked_params, &err),
                     0);
    asked = r;
    got_asked = true;
}

static inline void register_agent(struct state *s)
{
    s->agent = client_as(s->kit, s->leader, PKI_ROLE_NODE, "n1");
    s->agent->on_request = on_request;
    must(s->agent, "node.register",
         "{node: {apiVersion: v1, kind: Node, metadata: {name: n1}, status: {conditions: [{type: Ready, status: "
         "'True'}]}}}");
}

static inline int set_up(void **state)
{
    struct state *s = xcalloc(1, sizeof *s);
    static const char *const calm[] = {"--election-timeout", "1500", "--raft-heartbeat", "100", NULL};
    s->kit = kit_three(calm);
    s->leader = kit_leader(s->kit);
    s->admin = client_admin(s->kit, s->leader);
    must(s->admin, "create",
         "{object: {apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {nodeName: n1, containers: [{name: c, image: "
         "i}]}}}");
    register_agent(s);
    *state = s;
    return 0;
}

static inline int tear_down(void **state)
{
    struct state *s = *state;
    kit_free(s->kit);
    free(s);
    return 0;
}

#define BOTH(by) for (unsigned by = 0; by < 2; by++)

static inline struct stream *take_asked(struct state *s)
{
    kit_until(s->kit, &got_asked, "a request at the agent");
    got_asked = false;
    return stream_accept(s->agent, asked);
}

/* ---- A client over HTTP ---- */

#define CHANNELS_KEPT 520

struct peer {
    struct kit *kit;
    struct net_conn *net;      /* NULL: gone */
    bool closed, got;          /* something has come since last looked at */
    bool has_head, ws, tunnel; /* tunnel: SPDY in messages of WebSocket */
    struct buf raw, in, head;
    struct buf frames_in; /* of a tunnel */
    bool bytes;           /* messages are no channels: all are said */
    struct buf said;      /* messages of text, a line each */
    struct spdy_out out;
    struct spdy_in spdy;
    struct ws_in frames; /* those of a server have no mask: read by hand */
    /* What has come, by channel. */
    struct buf text[CHANNELS_KEPT];
    bool fin[CHANNELS_KEPT];
    struct buf pong; /* what the last one says */
    unsigned replies, goaways, pings, resets, closes;
    unsigned close_code;
    char why[ERROR_MESSAGE_MAX]; /* it was closed */
};

static inline void on_data(struct net_conn *c, const uint8_t *p, size_t n, void *data)
{
    (void)c;
    struct peer *x = data;
    buf_append(&x->raw, p, n);
    x->got = true;
}

static inline void on_close(struct net_conn *c, const struct error *why, void *data)
{
    (void)c;
    struct peer *x = data;
    snprintf(x->why, sizeof x->why, "%s", why == NULL ? "" : why->message);
    x->net = NULL;
    x->closed = x->got = true;
}

static const struct net_conn_events peer_events = {.on_data = on_data, .on_close = on_close};

static inline struct peer *peer_offers(struct state *s, unsigned master, enum pki_role role, const char *name,
                                       const char *alpn)
{
    struct kit *k = s->kit;
    struct peer *x = xcalloc(1, sizeof *x);
    struct pki_identity who = {.role = role};
    char *cert = NULL, *key = NULL;
    struct net_tls *tls;
    struct error err = {0};
    snprintf(who.name, sizeof who.name, "%s", name);
    assert_int_equal(pki_issue(k->ca, k->ca_key, &who, NULL, 3600, &cert, &key, &err), 0);
    assert_int_equal(net_tls_new(k->ca, cert, key, NULL, &tls, &err), 0);
    x->kit = k;
    uv_update_time(&k->loop);
    x->net = net_connect(&k->loop, tls, k->masters[master].addr, alpn, 5000, &peer_events, x);
    spdy_in_init(&x->spdy);
    spdy_out_init(&x->out);
    net_tls_unref(tls);
    free(cert);
    pki_free_key(key);
    return x;
}

static inline struct peer *peer_as(struct state *s, unsigned master, enum pki_role role, const char *name)
{
    return peer_offers(s, master, role, name, ALPN_HTTP);
}

static inline unsigned master_of(const struct state *s, unsigned by)
{
    return (s->leader + by) % 3;
}

static inline void peer_free(struct peer *x)
{
    if (x->net != NULL) {
        net_conn_abort(x->net);
        kit_until(x->kit, &x->closed, "the end of a connection");
    }
    buf_close(&x->raw);
    buf_close(&x->in);
    buf_close(&x->frames_in);
    buf_close(&x->head);
    buf_close(&x->said);
    buf_close(&x->pong);
    for (unsigned i = 0; i < ARRAY_SIZE(x->text); i++) {
        buf_close(&x->text[i]);
    }
    spdy_in_close(&x->spdy);
    spdy_out_close(&x->out);
    free(x);
}

static inline void send_buf(struct peer *x, struct buf *b)
{
    if (x->net != NULL) {
        net_conn_send(x->net, b->data, b->size);
    }
    buf_close(b);
}

static inline void send_text(struct peer *x, const char *text)
{
    net_conn_send(x->net, text, strlen(text));
}

/* Frames of a server have no mask. */
static inline void read_ws(struct peer *x)
{
    for (;;) {
        const uint8_t *p = x->in.data;
        size_t size = x->in.size, head = 2;
        if (size < 2) {
            return;
        }
        uint64_t n = p[1] & 0x7fu;
        assert_int_equal(p[1] & 0x80u, 0);
        unsigned more = n == 126 ? 2 : n == 127 ? 8 : 0;
        head += more;
        if (size < head) {
            return;
        }
        for (unsigned i = 0; more > 0 && i < more; i++) {
            n = (i == 0 ? 0 : n << 8) | p[2 + i];
        }
        if (size < head + n) {
            return;
        }
        unsigned op = p[0] & 0x0fu;
        if (op == WS_CLOSE) {
            x->closes++;
            x->close_code = n < 2 ? 0 : (unsigned)p[head] << 8 | p[head + 1];
        } else if (op == WS_PONG) {
            x->pings++;
            buf_reset(&x->pong);
            buf_append(&x->pong, p + head, n);
        } else if (op == WS_TEXT || x->bytes) {
            buf_append(&x->said, p + head, n);
            buf_putc(&x->said, '\n');
        } else if (x->tunnel) {
            buf_append(&x->frames_in, p + head, n);
        } else if (n > 0) {
            buf_append(&x->text[p[head]], p + head + 1, n - 1);
        }
        buf_consume(&x->in, head + n);
    }
}

static inline void read_spdy(struct peer *x, struct buf *in)
{
    size_t at = 0;
    for (;;) {
        struct spdy_frame f;
        size_t used;
        enum spdy_step step = spdy_in_feed(&x->spdy, in->data + at, in->size - at, &used, &f);
        at += used;
        assert_true(step != SPDY_BAD);
        if (step == SPDY_MORE) {
            break;
        }
        x->replies += f.type == SPDY_SYN_REPLY;
        x->goaways += f.type == SPDY_GOAWAY;
        x->pings += f.type == SPDY_PING;
        x->resets += f.type == SPDY_RST_STREAM;
        if (f.type == SPDY_DATA) {
            assert_true(f.stream < ARRAY_SIZE(x->text) && !x->fin[f.stream]);
            buf_append_str(&x->text[f.stream], f.data);
            x->fin[f.stream] = f.fin;
        }
    }
    buf_reset(in);
}

static inline void look(struct peer *x)
{
    if (!x->has_head) {
        buf_append_str(&x->head, buf_str(&x->raw));
        buf_reset(&x->raw);
        const char *end = strstr(buf_cstr(&x->head), "\r\n\r\n");
        if (end == NULL) {
            return;
        }
        size_t n = (size_t)(end - (const char *)x->head.data) + 4;
        x->has_head = true;
        buf_append(&x->in, x->head.data + n, x->head.size - n);
        x->head.size = strstr(buf_cstr(&x->head), " 101 ") != NULL ? n : x->head.size;
    }
    buf_append_str(&x->in, buf_str(&x->raw));
    buf_reset(&x->raw);
    if (strstr(buf_cstr(&x->head), " 101 ") == NULL) {
        buf_append_str(&x->head, buf_str(&x->in));
        buf_reset(&x->in);
    } else if (x->ws) {
        read_ws(x);
        read_spdy(x, &x->frames_in);
    } else {
        read_spdy(x, &x->in);
    }
}

/* Until cond holds. */
#define UNTIL(x, cond)                                                                                                 \
    for (int64_t until_ = kit_now() + KIT_WAIT_MS; look(x), !(cond);) {                                                \
        if (kit_now() > until_) {                                                                                      \
            fail_msg("%s:%d: not within a minute: %s", __FILE__, __LINE__, #cond);                                     \
        }                                                                                                              \
        kit_turn((x)->kit, 20);                                                                                        \
    }
#define TEXT(x, i) buf_cstr(&(x)->text[i])

static inline void ask_spdy(struct peer *x, const char *method, const char *target)
{
    CLEANUP_FREE char *text =
        xasprintf("%s /api/v1/namespaces/default/pods/%s HTTP/1.1\r\nHost: x\r\nConnection: "
                  "Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: %s\r\n\r\n",
                  method, target, strstr(target, "portforward") != NULL ? "portforward.k8s.io" : "v4.channel.k8s.io");
    send_text(x, text);
}

static inline void ask_ws(struct peer *x, const char *target, const char *protocol)
{
    CLEANUP_FREE char *text =
        xasprintf("GET /api/v1/namespaces/default/pods/%s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: "
                  "websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
                  "dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: %s\r\n\r\n",
                  target, protocol);
    x->ws = true;
    send_text(x, text);
}

/* Frames of SPDY. */
static inline void send_frames(struct peer *x, struct buf *b)
{
    static const uint8_t mask[4] = {5, 6, 7, 8};
    struct buf message = BUF_INIT;
    if (x->tunnel) {
        ws_put_masked(&message, WS_BINARY, true, buf_str(b), mask);
        buf_close(b);
        *b = message;
    }
    send_buf(x, b);
}

static inline void open_use(struct peer *x, unsigned id, const char *use, const char *port, const char *request)
{
    struct spdy_pair pairs[3] = {{STR("streamtype"), str_of(use)}};
    struct buf b = BUF_INIT;
    if (port != NULL) {
        pairs[1] = (struct spdy_pair){STR("port"), str_of(port)};
        pairs[2] = (struct spdy_pair){STR("requestid"), str_of(request)};
    }
    spdy_put_stream(&x->out, &b, id, false, pairs, port == NULL ? 1 : 3);
    send_frames(x, &b);
}

static inline void type_in(struct peer *x, unsigned id, const char *text, bool fin)
{
    struct buf b = BUF_INIT;
    static const uint8_t mask[4] = {1, 2, 3, 4};
    if (x->ws && !x->tunnel) {
        CLEANUP_FREE char *message = xasprintf("%c%s", id == 0 ? 'x' : (char)id, text);
        message[0] = (char)id;
        ws_put_masked(&b, WS_BINARY, true, (struct str){message, 1 + strlen(text)}, mask);
        send_buf(x, &b);
    } else {
        spdy_put_data(&b, id, str_of(text), fin);
        send_frames(x, &b);
    }
}

static inline int agent_say(struct stream *a, const char *key, const char *text)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    if (key != NULL) {
        mp_write_map(&b, 1);
        mp_write_cstr(&b, key);
    }
    mp_write_bin(&b, text, strlen(text));
    return rpc_stream_write(a->stream, buf_str(&b));
}

static inline const char *bytes_of(struct state *s, const struct value *v, const char *key)
{
    const struct value *bin = key == NULL ? v : value_get(v, key);
    assert_non_null(bin);
    assert_int_equal(bin->type, VALUE_BIN);
    return arena_strndup(&s->kit->arena, bin->str.p, bin->str.n);
}

#define EXEC "p/exec?command=sh&command=-c&stdin=true&stdout=true&stderr=true&container=c"
enum { ERROR_ID = 1, IN_ID = 3, OUT_ID = 5, ERR_ID = 7, RESIZE_ID = 9 };

struct pair {
    struct peer *peer;
    struct stream *agent;
};

static inline struct pair exec_open(struct state *s, unsigned by, bool channels)
{
    struct pair p;
    got_asked = false;
    p.peer = peer_as(s, master_of(s, by), PKI_ROLE_ADMIN, "tester");
    ask_spdy(p.peer, "POST", EXEC);
    p.agent = take_asked(s);
    UNTIL(p.peer, p.peer->has_head);
    assert_non_null(strstr(buf_cstr(&p.peer->head), "HTTP/1.1 101 Switching Protocols\r\n"));
    assert_non_null(strstr(buf_cstr(&p.peer->head), "X-Stream-Protocol-Version: v4.channel.k8s.io\r\n"));
    if (channels) {
        open_use(p.peer, ERROR_ID, "error", NULL, NULL);
        open_use(p.peer, IN_ID, "stdin", NULL, NULL);
        open_use(p.peer, OUT_ID, "stdout", NULL, NULL);
        open_use(p.peer, ERR_ID, "stderr", NULL, NULL);
        UNTIL(p.peer, p.peer->replies == 4);
    }
    return p;
}

static inline void pair_close(struct pair *p)
{
    peer_free(p->peer);
    stream_close(p->agent);
}

#endif
