/* A msgpack-RPC session in memory: the bytes are what the peer sends, in pieces, to a session that answers calls and
 * streams and makes some of its own. Nothing may be left over, called twice or called after its end; the connection is
 * a fake.
 *
 * The first byte: bits 0 to 2 how large the pieces are, bit 3 requests are answered later, bit 4 we call first, bit
 * 5 we end streams. */
#include "proto/rpc/rpc_int.h"
#include "tests/fuzz/fuzz.h"

/* ---- The connection: sends into a counter, is drained between the pieces ---- */

struct net_conn {
    struct net_conn_events events;
    void *data;
    struct pki_identity peer;
    uint8_t written[1 << 16]; /* the newest bytes, to be read as messages */
    size_t pending;
    bool closing, paused;
    struct rpc_scan scan;
    struct buf out; /* what the session sent and was not yet read */
};

void net_conn_send(struct net_conn *c, const void *p, size_t n)
{
    c->pending += n;
    buf_append(&c->out, p, n);
}
size_t net_conn_pending(const struct net_conn *c)
{
    return c->pending;
}
void net_conn_pause(struct net_conn *c, bool paused)
{
    c->paused = paused;
}
void net_conn_close(struct net_conn *c)
{
    CHECK(!c->closing);
    c->closing = true;
}
void net_conn_abort(struct net_conn *c)
{
    c->closing = true;
}
void net_conn_set_events(struct net_conn *c, const struct net_conn_events *events, void *data)
{
    c->events = *events;
    c->data = data;
}
const struct pki_identity *net_conn_peer(const struct net_conn *c)
{
    return &c->peer;
}
const struct pki_facts *net_conn_peer_facts(const struct net_conn *c)
{
    static const struct pki_facts none;
    (void)c;
    return &none;
}
bool net_conn_refused(const struct net_conn *c)
{
    (void)c;
    return false;
}
bool net_conn_accepted(const struct net_conn *c)
{
    (void)c;
    return true;
}
const char *net_conn_peer_addr(const struct net_conn *c)
{
    (void)c;
    return "peer:1";
}
struct net_conn *net_connect(uv_loop_t *loop, struct net_tls *tls, const char *addr, const char *alpn,
                             int64_t timeout_ms, const struct net_conn_events *events, void *data)
{
    (void)loop, (void)tls, (void)addr, (void)alpn, (void)timeout_ms, (void)events, (void)data;
    abort(); /* sessions here are accepted ones */
}

/* ---- The owner ---- */

#define KEPT_MAX 64u

struct owner {
    bool later, end_streams;
    unsigned closed, calls, answers, streams, ends;
    struct rpc_request *kept[KEPT_MAX];
    unsigned kept_count;
};
struct user_stream {
    struct owner *owner;
    struct rpc_stream *st;
    bool ended;
};

static void stream_data(struct rpc_stream *st, struct mp payload, size_t bytes, void *data)
{
    struct user_stream *u = data;
    CHECK(!u->ended && bytes > 0 && payload.p < payload.end);
    rpc_stream_consumed(st, bytes);
    rpc_stream_write(st, (struct str){(const char *)payload.p, (size_t)(payload.end - payload.p)});
    if (u->owner->end_streams) {
        struct error err = {.code = ERR_CANCELED, .message = "enough"};
        rpc_stream_end(st, &err);
        u->ended = true;
    }
}

static void stream_end(struct rpc_stream *st, const struct error *err, void *data)
{
    struct user_stream *u = data;
    CHECK(err == NULL || err->code < 0);
    u->owner->ends++;
    if (!u->ended) {
        rpc_stream_end(st, NULL);
    }
    free(u);
}
static const struct rpc_stream_events stream_events = {.on_data = stream_data, .on_end = stream_end};

static struct user_stream *user_stream(struct owner *o)
{
    struct user_stream *u = xcalloc(1, sizeof *u);
    u->owner = o;
    return u;
}

static void answer(struct owner *o, struct rpc_request *r)
{
    struct str method = rpc_request_method(r);
    struct mp params = rpc_request_params(r);
    CHECK(mp_type(params) == MP_MAP);
    if (str_is(method, "watch")) {
        struct user_stream *u = user_stream(o);
        struct rpc_stream *st = rpc_stream_accept(r, &stream_events, u);
        if (st == NULL) {
            free(u);
            return;
        }
        o->streams++;
        u->st = st;
        rpc_stream_write(st, STR("\xa2hi"));
    } else if (str_is(method, "fail")) {
        struct error err = {.code = ERR_NOT_FOUND, .message = "no", .field = "x"};
        rpc_reply_error(r, &err);
    } else {
        rpc_reply(r, (struct str){(const char *)params.p, (size_t)(params.end - params.p)});
    }
}

static void answer_kept(struct owner *o)
{
    while (o->kept_count > 0) {
        answer(o, o->kept[--o->kept_count]);
    }
}

static void on_request(struct rpc_session *s, struct rpc_request *r, struct str method, struct mp params, void *data)
{
    struct owner *o = data;
    CHECK(o->closed == 0 && rpc_request_session(r) == s);
    CHECK(str_eq(method, rpc_request_method(r)) && mp_type(params) == MP_MAP);
    if (o->later && o->kept_count < KEPT_MAX) {
        o->kept[o->kept_count++] = r;
    } else {
        answer(o, r);
    }
}

static void on_notify(struct rpc_session *s, struct str method, struct mp params, void *data)
{
    struct owner *o = data;
    CHECK(o->closed == 0 && mp_type(params) == MP_MAP);
    if (str_is(method, "bye")) {
        rpc_session_close(s);
    }
}

static void on_close(struct rpc_session *s, const struct error *why, void *data)
{
    (void)s;
    struct owner *o = data;
    CHECK(why == NULL || (why->code < 0 && why->message[0] != '\0'));
    o->closed++;
}

static void on_result(const struct rpc_result *result, void *data)
{
    struct owner *o = data;
    CHECK(result->error != NULL || result->result.p < result->result.end);
    o->answers++;
}

/* ---- A run ---- */

/* What the session sends is well-formed whatever it was sent. */
static void read_output(struct net_conn *c)
{
    size_t at = 0;
    while (at < c->out.size) {
        struct rpc_scan scan;
        struct rpc_message m;
        rpc_scan_init(&scan);
        CHECK(rpc_scan(&scan, c->out.data + at, c->out.size - at, RPC_MESSAGE_MAX) == RPC_SCAN_DONE);
        CHECK(rpc_message_parse(mp_of(c->out.data + at, scan.at), &m));
        at += scan.at;
    }
    buf_reset(&c->out);
    c->pending = 0;
}

static void drain(struct net_conn *c)
{
    read_output(c);
    if (!c->closing) {
        c->events.on_drain(c, c->data);
    }
}

static void feed(struct net_conn *c, struct fuzz_input *f, size_t piece, struct owner *o)
{
    while (f->p < f->end && !c->closing) {
        size_t n = MIN(piece, (size_t)(f->end - f->p));
        uint8_t *copy = xmemdup(f->p, n); /* borrowed for the call only: kept pointers show */
        c->events.on_data(c, copy, n, c->data);
        free(copy);
        f->p += n;
        if (c->pending > 4096) {
            drain(c);
        }
    }
    answer_kept(o);
    if (!c->closing) {
        drain(c);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uv_loop_t loop;
    static bool ready;
    if (!ready) {
        CHECK(uv_loop_init(&loop) == 0);
        ready = true;
    }
    struct fuzz_input f = fuzz_input(data, size);
    unsigned head = fuzz_byte(&f);
    struct owner o = {.later = (head & 8) != 0, .end_streams = (head & 32) != 0};
    struct net_conn *c = xcalloc(1, sizeof *c);
    struct rpc_stats stats = {0};
    struct rpc_config config = {.handler = {on_request, on_notify, on_close},
                                .data = &o,
                                .message_max = 4096,
                                .inflight_max = 8,
                                .stats = &stats};
    struct rpc_session *s = rpc_session_new(c, &loop, &config);
    if (head & 16) { /* ids 1, 2, 3 ... as the peer will answer them */
        rpc_call(s, "a", STR("\x80"), 0, on_result, &o);
        rpc_call(s, "b", STR("\x80"), 100000, on_result, &o);
        o.calls = 2;
        for (unsigned i = 0; i < 2; i++) {
            struct user_stream *u = user_stream(&o);
            u->st = rpc_stream_open(s, "watch", STR("\x80"), &stream_events, u);
            o.streams++;
        }
    }
    static const size_t pieces[] = {1, 2, 3, 7, 16, 64, 1024, SIZE_MAX};
    feed(c, &f, pieces[head & 7], &o);
    if (!c->closing) {
        rpc_session_close(s);
    }
    struct error why = {.code = ERR_CLOSED, .message = "the peer left"};
    c->events.on_close(c, head & 64 ? &why : NULL, c->data);
    uv_run(&loop, UV_RUN_DEFAULT);
    answer_kept(&o);
    CHECK(o.closed == 1 && o.answers == o.calls && o.ends == o.streams);
    buf_close(&c->out);
    free(c);
    return 0;
}
