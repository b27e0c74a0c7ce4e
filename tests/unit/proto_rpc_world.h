/* The world of the tests of rpc: one loop, one server that accepts a session, and a client, either of rpc or of raw
 * bytes.
 *
 * The certificates are made once a program: make_certificates and drop_certificates are its group's fixtures, and a
 * test hands its state to world_new, world_connected or world_raw. */
#ifndef TESTS_UNIT_PROTO_RPC_WORLD_H
#define TESTS_UNIT_PROTO_RPC_WORLD_H

#include "proto_rpc_source.h"

#define EMPTY_MAP STR("\x80")
#define NIL       STR("\xc0")

/* ---- Certificates ---- */

struct certificates {
    struct kit_ca ca;
    struct net_tls *server, *client; /* of master 1 and of node n1 */
};

static inline int make_certificates(void **state)
{
    struct certificates *certs = xcalloc(1, sizeof *certs);
    certs->ca = kit_ca_new("test");
    certs->server = kit_tls(&certs->ca, PKI_ROLE_MASTER, "1");
    certs->client = kit_tls(&certs->ca, PKI_ROLE_NODE, "n1");
    *state = certs;
    return 0;
}

static inline int drop_certificates(void **state)
{
    struct certificates *certs = *state;
    net_tls_unref(certs->server);
    net_tls_unref(certs->client);
    kit_ca_free(&certs->ca);
    free(certs);
    return 0;
}

/* ---- One side: what it serves, and what happened to it ---- */

struct side {
    struct rpc_session *s;
    struct rpc_stats stats;
    unsigned closes, requests, notifies;
    struct error why;
    bool clean;
    struct rpc_request *kept[8]; /* of "keep" */
    unsigned kept_count;
    char last_notify_text[64];
    struct source *source; /* what "watch" is answered with */
};

static inline void reply_params(struct rpc_request *r, struct mp params)
{
    rpc_reply(r, (struct str){(const char *)params.p, (size_t)(params.end - params.p)});
}

/* echo, refuse, keep (answered by the test), large (n zeros), watch (a stream of the side's source). */
static inline void side_serve(struct rpc_session *s, struct rpc_request *r, struct str method, struct mp params,
                              void *data)
{
    struct side *me = data;
    assert_ptr_equal(rpc_request_session(r), s);
    me->requests++;
    if (str_is(method, "echo")) {
        reply_params(r, params);
    } else if (str_is(method, "refuse")) {
        struct error err = {0};
        error_set_field(&err, ERR_CONFLICT, "metadata.resourceVersion", "the object has changed");
        err.retry_after_ms = 250;
        rpc_reply_error(r, &err);
    } else if (str_is(method, "keep")) {
        assert_true(me->kept_count < ARRAY_SIZE(me->kept));
        me->kept[me->kept_count++] = r;
    } else if (str_is(method, "large")) {
        CLEANUP_BUF struct buf b = BUF_INIT;
        write_zeros(&b, (size_t)mp_int(mp_get(params, "n"), 0));
        rpc_reply(r, buf_str(&b));
    } else if (str_is(method, "watch")) {
        struct source *o = me->source;
        o->st = rpc_stream_accept(r, &source_events, o);
        source_pump(o);
    } else {
        struct error err = {0};
        error_set(&err, ERR_UNSUPPORTED, "no method %.*s", STR_ARG(method));
        rpc_reply_error(r, &err);
    }
}

static inline void side_on_notify(struct rpc_session *s, struct str method, struct mp params, void *data)
{
    struct side *me = data;
    (void)s;
    me->notifies++;
    snprintf(me->last_notify_text, sizeof me->last_notify_text, "%.*s %lld", STR_ARG(method),
             (long long)mp_int(mp_get(params, "n"), -1));
}

static inline void side_on_close(struct rpc_session *s, const struct error *why, void *data)
{
    struct side *me = data;
    assert_ptr_equal(s, me->s);
    me->closes++;
    me->clean = why == NULL;
    if (why != NULL) {
        me->why = *why;
    }
    me->s = NULL;
}

/* Nil to each request kept and not yet answered, from the oldest on. */
static inline void side_answer_kept(struct side *me)
{
    for (unsigned i = 0; i < me->kept_count; i++) {
        rpc_reply(me->kept[i], NIL);
    }
    me->kept_count = 0;
}

/* ---- The world ---- */

struct world {
    uv_loop_t loop;
    const struct certificates *certs;
    struct net_listener *listener;
    char addr[64];
    struct side server, client;
    struct net_conn *raw; /* a client that speaks bytes, not rpc */
    bool raw_open, raw_closed;
    struct buf raw_got;
    /* Of sessions made from now on; 0 is rpc's own. */
    size_t send_max;
    unsigned inflight_max;
    int64_t stuck_ms;
    bool no_handler;
};

static inline struct rpc_config world_config(struct world *w, struct side *me)
{
    return (struct rpc_config){
        .handler = {w->no_handler ? NULL : side_serve, side_on_notify, side_on_close},
        .data = me,
        .send_max = w->send_max,
        .inflight_max = w->inflight_max,
        .stuck_ms = w->stuck_ms,
        .stats = &me->stats,
    };
}

static inline void world_on_conn(struct net_conn *c, void *data)
{
    struct world *w = data;
    assert_null(w->server.s);
    struct rpc_config config = world_config(w, &w->server);
    w->server.s = rpc_session_new(c, &w->loop, &config);
}

static inline struct world *world_new(void **state)
{
    static const char *const alpns[] = {ALPN_RPC, NULL};
    struct world *w = xcalloc(1, sizeof *w);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    w->certs = *state;
    struct net_listener_config config = {
        .loop = &w->loop,
        .tls = w->certs->server,
        .addr = "127.0.0.1:0",
        .fd = -1,
        .alpns = alpns,
        .conns_max = 8,
        .on_conn = world_on_conn,
        .data = w,
    };
    assert_int_equal(net_listen(&config, &w->listener, NULL), 0);
    snprintf(w->addr, sizeof w->addr, "127.0.0.1:%d", net_listener_port(w->listener));
    return w;
}

static inline void connect_client_to(struct world *w, const char *addr)
{
    struct rpc_config config = world_config(w, &w->client);
    w->client.s = rpc_session_connect(&w->loop, w->certs->client, addr, ALPN_RPC, 5000, &config);
}

static inline void connect_client(struct world *w)
{
    connect_client_to(w, w->addr);
}

static inline struct world *world_connected(void **state)
{
    struct world *w = world_new(state);
    connect_client(w);
    KIT_UNTIL(&w->loop, w->server.s != NULL && rpc_session_is_open(w->client.s));
    return w;
}

static inline void world_free(struct world *w)
{
    if (w->client.s != NULL) {
        rpc_session_close(w->client.s);
    }
    if (w->raw != NULL && !w->raw_closed) {
        net_conn_close(w->raw);
    }
    KIT_UNTIL(&w->loop, w->client.s == NULL && w->server.s == NULL && (w->raw == NULL || w->raw_closed));
    net_listener_close(w->listener, NULL, NULL);
    kit_loop_end(&w->loop);
    buf_close(&w->raw_got);
    free(w);
}

/* ---- A peer that may break rules: a raw connection to the server's session ---- */

static inline void raw_on_open(struct net_conn *c, void *data)
{
    (void)c;
    ((struct world *)data)->raw_open = true;
}

static inline void raw_on_data(struct net_conn *c, const uint8_t *p, size_t n, void *data)
{
    (void)c;
    struct world *w = data;
    buf_append(&w->raw_got, p, n);
}

static inline void raw_on_close(struct net_conn *c, const struct error *why, void *data)
{
    (void)c, (void)why;
    ((struct world *)data)->raw_closed = true;
}

static const struct net_conn_events raw_events = {raw_on_open, raw_on_data, NULL, raw_on_close};

static inline void raw_connect(struct world *w)
{
    w->raw = net_connect(&w->loop, w->certs->client, w->addr, ALPN_RPC, 5000, &raw_events, w);
    KIT_UNTIL(&w->loop, w->server.s != NULL);
}

static inline void raw_send(struct world *w, struct str bytes)
{
    net_conn_send(w->raw, bytes.p, bytes.n);
}

static inline struct world *world_raw(void **state)
{
    struct world *w = world_new(state);
    raw_connect(w);
    return w;
}

/* ---- Calls and what they brought ---- */

struct answer {
    unsigned count;
    int code;
    bool sent;
    struct error err;
    int64_t n;   /* member "n" of the result */
    size_t size; /* bytes of the result */
};

static inline void answered(const struct rpc_result *result, void *data)
{
    struct answer *a = data;
    a->count++;
    a->sent = result->sent;
    if (result->error != NULL) {
        a->err = *result->error;
        a->code = result->error->code;
        return;
    }
    a->n = mp_int(mp_get(result->result, "n"), -1);
    a->size = (size_t)(result->result.end - result->result.p);
}

static inline void write_n(struct buf *b, int64_t n)
{
    mp_write_map(b, 1);
    mp_write_key_int(b, "n", n);
}

static inline void call_n(struct rpc_session *s, const char *method, int64_t n, int64_t timeout_ms, struct answer *a)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    write_n(&b, n);
    rpc_call(s, method, buf_str(&b), timeout_ms, answered, a);
}

#endif
