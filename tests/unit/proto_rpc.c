#include "proto_net_kit.h"

#include "base/env.h"
#include "proto/rpc.h"
#include "proto/rpc_codec.h"

/* ---- The world: one loop, one server that accepts sessions, clients as a test wants them ---- */

struct side {
    struct rpc_session *s;
    struct rpc_stats stats;
    unsigned closes, requests, notifies;
    struct error why;
    bool clean;
    struct rpc_request *kept[8]; /* of "keep" */
    unsigned kept_count;
    struct str last_notify;
    char last_notify_text[64];
    struct source *source; /* what streams are answered with */
};

struct world {
    uv_loop_t loop;
    struct kit_ca ca;
    struct net_tls *server_tls, *client_tls;
    struct net_listener *listener;
    char addr[64];
    struct side server, client;
    struct net_conn *raw; /* a client that speaks bytes, not rpc */
    bool raw_open, raw_closed, raw_stalled;
    struct buf raw_got;
    size_t message_max, send_max;
    unsigned inflight_max;
    int64_t stuck_ms;
    bool no_handler;
};

/* Streams that write: `left` payloads of `size` bytes, as fast as credit lets them; and readers that count. */
struct source {
    struct rpc_stream *st;
    unsigned left, size, sent, opens, datas, ends, writables;
    size_t got_bytes, unconsumed;
    bool consume, end_at_zero, ended, end_with_error, end_on_end;
    struct error why;
    bool clean;
    char *last;
};

static void source_pump(struct source *o)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    char *bytes = xcalloc(1, o->size);
    mp_write_bin(&b, bytes, o->size);
    free(bytes);
    while (o->left > 0) {
        int rv = rpc_stream_write(o->st, buf_str(&b));
        if (rv != 0) {
            assert_int_equal(rv, ERR_BUSY);
            return;
        }
        o->left--;
        o->sent++;
    }
    if (o->end_at_zero && !o->ended) {
        struct error err = {0};
        error_set(&err, ERR_EXPIRED, "too old");
        o->ended = true;
        rpc_stream_end(o->st, o->end_with_error ? &err : NULL);
    }
}

static void source_on_open(struct rpc_stream *st, struct mp result, void *data)
{
    struct source *o = data;
    (void)st;
    assert_int_equal(mp_type(mp_get(result, "stream")), MP_INT);
    o->opens++;
}

static void source_on_data(struct rpc_stream *st, struct mp payload, size_t n, void *data)
{
    struct source *o = data;
    struct str bytes;
    assert_false(o->ended);
    assert_true(mp_read_bin(&payload, &bytes));
    o->datas++;
    o->got_bytes += n;
    if (o->consume) {
        rpc_stream_consumed(st, n);
    } else {
        o->unconsumed += n;
    }
}

static void source_on_writable(struct rpc_stream *st, void *data)
{
    struct source *o = data;
    (void)st;
    o->writables++;
    source_pump(o);
}

static void source_on_end(struct rpc_stream *st, const struct error *err, void *data)
{
    struct source *o = data;
    o->ends++;
    o->clean = err == NULL;
    if (err != NULL) {
        o->why = *err;
    }
    if (!o->ended && o->end_on_end) {
        o->ended = true;
        rpc_stream_end(st, NULL);
    }
}

static const struct rpc_stream_events source_events = {source_on_open, source_on_data, source_on_writable,
                                                       source_on_end};

static void serve(struct rpc_session *s, struct rpc_request *r, struct str method, struct mp params, void *data)
{
    struct side *me = data;
    assert_ptr_equal(rpc_request_session(r), s);
    me->requests++;
    if (str_is(method, "echo")) {
        rpc_reply(r, (struct str){(const char *)params.p, (size_t)(params.end - params.p)});
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
        size_t n = (size_t)mp_int(mp_get(params, "size"), 0);
        char *bytes = xcalloc(1, n);
        mp_write_bin(&b, bytes, n);
        free(bytes);
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

static void note(struct rpc_session *s, struct str method, struct mp params, void *data)
{
    struct side *me = data;
    (void)s;
    me->notifies++;
    snprintf(me->last_notify_text, sizeof me->last_notify_text, "%.*s %lld", STR_ARG(method),
             (long long)mp_int(mp_get(params, "n"), -1));
}

static void closed(struct rpc_session *s, const struct error *why, void *data)
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

static struct rpc_config config_of(struct world *w, struct side *me)
{
    return (struct rpc_config){
        .handler = {w->no_handler ? NULL : serve, note, closed},
        .data = me,
        .message_max = w->message_max,
        .send_max = w->send_max,
        .inflight_max = w->inflight_max,
        .stuck_ms = w->stuck_ms,
        .stats = &me->stats,
    };
}

static void on_conn(struct net_conn *c, void *data)
{
    struct world *w = data;
    assert_null(w->server.s);
    struct rpc_config config = config_of(w, &w->server);
    w->server.s = rpc_session_new(c, &w->loop, &config);
}

static const char *const alpns[] = {ALPN_RPC, NULL};

static struct kit_ca shared_ca;
static struct net_tls *shared_server_tls, *shared_client_tls;

static int make_certificates(void **state)
{
    (void)state;
    shared_ca = kit_ca_new("test");
    shared_server_tls = kit_tls(&shared_ca, PKI_ROLE_MASTER, "1");
    shared_client_tls = kit_tls(&shared_ca, PKI_ROLE_NODE, "n1");
    return 0;
}

static int drop_certificates(void **state)
{
    (void)state;
    net_tls_unref(shared_server_tls);
    net_tls_unref(shared_client_tls);
    kit_ca_free(&shared_ca);
    return 0;
}

static struct world *world_new(void)
{
    struct world *w = xcalloc(1, sizeof *w);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    struct net_listener_config config = {.loop = &w->loop,
                                         .tls = shared_server_tls,
                                         .addr = "127.0.0.1:0",
                                         .fd = -1,
                                         .alpns = alpns,
                                         .conns_max = 8,
                                         .on_conn = on_conn,
                                         .data = w};
    assert_int_equal(net_listen(&config, &w->listener, NULL), 0);
    snprintf(w->addr, sizeof w->addr, "127.0.0.1:%d", net_listener_port(w->listener));
    return w;
}

static void connect_client(struct world *w)
{
    struct rpc_config config = config_of(w, &w->client);
    w->client.s = rpc_session_connect(&w->loop, shared_client_tls, w->addr, ALPN_RPC, 5000, &config);
}

static struct world *world_connected(void)
{
    struct world *w = world_new();
    connect_client(w);
    KIT_UNTIL(&w->loop, w->server.s != NULL && rpc_session_is_open(w->client.s));
    return w;
}

static void world_free(struct world *w)
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

/* ---- What a call brought ---- */

struct answer {
    unsigned count;
    int code;
    bool sent;
    struct error err;
    int64_t n;   /* member "n" of the result */
    size_t size; /* bytes of the result */
    enum mp_type type;
};

static void answered(const struct rpc_result *result, void *data)
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
    a->type = mp_type(result->result);
    a->size = (size_t)(result->result.end - result->result.p);
}

static void call_n(struct rpc_session *s, const char *method, int64_t n, int64_t timeout_ms, struct answer *a)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    mp_write_map(&b, 1);
    mp_write_key_int(&b, "n", n);
    rpc_call(s, method, buf_str(&b), timeout_ms, answered, a);
}

#define EMPTY_MAP STR("\x80")

/* ---- Calls ---- */

static void call_is_answered(void **state)
{
    (void)state;
    struct world *w = world_connected();
    struct answer a = {0};
    call_n(w->client.s, "echo", 42, 1000, &a);
    assert_int_equal(a.count, 0);
    KIT_UNTIL(&w->loop, a.count == 1);
    assert_int_equal(a.code, 0);
    assert_int_equal(a.n, 42);
    assert_int_equal(rpc_session_peer(w->server.s)->role, PKI_ROLE_NODE);
    assert_int_equal(rpc_session_peer(w->client.s)->role, PKI_ROLE_MASTER);
    assert_int_equal(w->server.stats.requests_in, 1);
    assert_int_equal(w->client.stats.requests_out, 1);
    world_free(w);
}

static void the_server_may_call_as_well(void **state)
{
    (void)state;
    struct world *w = world_connected();
    struct answer a = {0}, b = {0};
    call_n(w->server.s, "echo", 7, 0, &a);
    call_n(w->client.s, "echo", 8, 0, &b); /* the same id on both sides */
    KIT_UNTIL(&w->loop, a.count == 1 && b.count == 1);
    assert_int_equal(a.n, 7);
    assert_int_equal(b.n, 8);
    world_free(w);
}

static void errors_travel_whole(void **state)
{
    (void)state;
    struct world *w = world_connected();
    struct answer a = {0}, b = {0};
    call_n(w->client.s, "refuse", 1, 0, &a);
    call_n(w->client.s, "nonsense", 1, 0, &b);
    KIT_UNTIL(&w->loop, a.count == 1 && b.count == 1);
    assert_int_equal(a.code, ERR_CONFLICT);
    assert_string_equal(a.err.message, "the object has changed");
    assert_string_equal(a.err.field, "metadata.resourceVersion");
    assert_int_equal(a.err.retry_after_ms, 250);
    assert_true(a.sent);
    assert_int_equal(b.code, ERR_UNSUPPORTED);
    assert_int_equal(w->server.stats.errors_out, 2);
    world_free(w);
}

static void notification_arrives(void **state)
{
    (void)state;
    struct world *w = world_new();
    connect_client(w);
    CLEANUP_BUF struct buf b = BUF_INIT;
    mp_write_map(&b, 1);
    mp_write_key_int(&b, "n", 5);
    assert_int_equal(rpc_notify(w->client.s, "beat", buf_str(&b)), 0); /* waits for the connection */
    KIT_UNTIL(&w->loop, w->server.notifies == 1);
    assert_string_equal(w->server.last_notify_text, "beat 5");
    assert_int_equal(rpc_notify(w->server.s, "beat", buf_str(&b)), 0);
    KIT_UNTIL(&w->loop, w->client.notifies == 1);
    world_free(w);
}

static void session_without_handler_answers_unsupported(void **state)
{
    (void)state;
    struct world *w = world_new();
    w->no_handler = true;
    connect_client(w);
    struct answer a = {0};
    call_n(w->client.s, "echo", 1, 0, &a);
    KIT_UNTIL(&w->loop, a.count == 1);
    assert_int_equal(a.code, ERR_UNSUPPORTED);
    world_free(w);
}

static void calls_before_the_connection_is_open_are_queued_in_order(void **state)
{
    (void)state;
    struct world *w = world_new();
    connect_client(w);
    struct answer a[50] = {0};
    for (int i = 0; i < 50; i++) {
        call_n(w->client.s, "echo", i, 5000, &a[i]);
    }
    assert_false(rpc_session_is_open(w->client.s));
    assert_true(rpc_session_pending(w->client.s) > 0);
    KIT_UNTIL(&w->loop, a[49].count == 1);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(a[i].count, 1);
        assert_int_equal(a[i].n, i);
    }
    world_free(w);
}

static void thousands_of_pipelined_calls_are_answered_once_each(void **state)
{
    (void)state;
    struct world *w = world_connected();
    enum { N = 4000 };
    struct answer *a = xcalloc(N, sizeof *a);
    for (int i = 0; i < N; i++) {
        call_n(w->client.s, "echo", i, 10000, &a[i]);
    }
    KIT_UNTIL(&w->loop, a[N - 1].count == 1);
    for (int i = 0; i < N; i++) {
        assert_int_equal(a[i].count, 1);
        assert_int_equal(a[i].code, 0);
        assert_int_equal(a[i].n, i);
    }
    free(a);
    world_free(w);
}

static void call_without_answer_times_out_and_a_late_answer_is_ignored(void **state)
{
    (void)state;
    struct world *w = world_connected();
    struct answer a = {0}, b = {0};
    call_n(w->client.s, "keep", 1, 20, &a);
    KIT_UNTIL(&w->loop, a.count == 1);
    assert_int_equal(a.code, ERR_TIMEOUT);
    assert_true(a.sent);
    KIT_UNTIL(&w->loop, w->server.kept_count == 1);
    rpc_reply(w->server.kept[0], STR("\xc0"));
    call_n(w->client.s, "echo", 2, 0, &b);
    KIT_UNTIL(&w->loop, b.count == 1);
    assert_int_equal(a.count, 1);
    assert_int_equal(w->client.stats.late_messages, 1);
    world_free(w);
}

static void deadlines_pass_in_their_own_order(void **state)
{
    (void)state;
    struct world *w = world_connected();
    struct answer a = {0}, b = {0}, c = {0};
    call_n(w->client.s, "keep", 1, 60000, &a);
    call_n(w->client.s, "keep", 2, 60, &b);
    call_n(w->client.s, "keep", 3, 20, &c);
    KIT_UNTIL(&w->loop, c.count == 1);
    assert_int_equal(a.count, 0);
    KIT_UNTIL(&w->loop, b.count == 1);
    assert_int_equal(a.count, 0);
    KIT_UNTIL(&w->loop, w->server.kept_count == 3);
    for (int i = 0; i < 3; i++) {
        rpc_reply(w->server.kept[i], STR("\xc0"));
    }
    KIT_UNTIL(&w->loop, a.count == 1);
    assert_int_equal(a.code, 0);
    world_free(w);
}

static void answer_may_come_later_with_method_and_params_at_hand(void **state)
{
    (void)state;
    struct world *w = world_connected();
    struct answer a = {0}, b = {0};
    call_n(w->client.s, "keep", 99, 0, &a);
    call_n(w->client.s, "echo", 1, 0, &b);
    KIT_UNTIL(&w->loop, b.count == 1);
    struct rpc_request *r = w->server.kept[0];
    assert_true(str_is(rpc_request_method(r), "keep"));
    assert_int_equal(mp_int(mp_get(rpc_request_params(r), "n"), 0), 99);
    struct mp params = rpc_request_params(r);
    rpc_reply(r, (struct str){(const char *)params.p, (size_t)(params.end - params.p)});
    KIT_UNTIL(&w->loop, a.count == 1);
    assert_int_equal(a.n, 99);
    world_free(w);
}

static void large_messages_pass_and_larger_ones_are_refused_on_this_side(void **state)
{
    (void)state;
    struct world *w = world_connected();
    struct answer a = {0}, b = {0}, c = {0};
    CLEANUP_BUF struct buf p = BUF_INIT;
    mp_write_map(&p, 1);
    mp_write_key_int(&p, "size", 9 << 20);
    rpc_call(w->client.s, "large", buf_str(&p), 0, answered, &a);
    buf_reset(&p);
    mp_write_map(&p, 1);
    mp_write_key_int(&p, "size", RPC_MESSAGE_MAX);
    rpc_call(w->client.s, "large", buf_str(&p), 0, answered, &b);
    buf_reset(&p);
    mp_write_map(&p, 1);
    mp_write_cstr(&p, "x");
    char *bytes = xcalloc(1, RPC_MESSAGE_MAX);
    mp_write_bin(&p, bytes, RPC_MESSAGE_MAX);
    free(bytes);
    rpc_call(w->client.s, "echo", buf_str(&p), 0, answered, &c);
    assert_int_equal(rpc_notify(w->client.s, "echo", buf_str(&p)), ERR_TOO_LARGE);
    assert_int_equal(c.count, 0); /* later, not now */
    KIT_UNTIL(&w->loop, a.count == 1 && b.count == 1 && c.count == 1);
    assert_int_equal(a.code, 0);
    assert_int_equal(a.size, (9 << 20) + 5);
    assert_int_equal(b.code, ERR_TOO_LARGE);
    assert_int_equal(c.code, ERR_TOO_LARGE);
    assert_false(c.sent);
    assert_true(rpc_session_is_open(w->client.s));
    world_free(w);
}

static void requests_above_the_limit_are_refused(void **state)
{
    (void)state;
    struct world *w = world_new();
    w->inflight_max = 3;
    connect_client(w);
    struct answer a[4] = {0}, again = {0};
    for (int i = 0; i < 4; i++) {
        call_n(w->client.s, "keep", i, 0, &a[i]);
    }
    KIT_UNTIL(&w->loop, a[3].count == 1);
    assert_int_equal(a[3].code, ERR_LIMIT);
    assert_int_equal(w->server.stats.refused_limit, 1);
    rpc_reply(w->server.kept[0], STR("\xc0"));
    KIT_UNTIL(&w->loop, a[0].count == 1);
    call_n(w->client.s, "echo", 5, 0, &again);
    KIT_UNTIL(&w->loop, again.count == 1);
    assert_int_equal(again.code, 0);
    rpc_reply(w->server.kept[1], STR("\xc0"));
    rpc_reply(w->server.kept[2], STR("\xc0"));
    KIT_UNTIL(&w->loop, a[2].count == 1);
    world_free(w);
}

/* ---- Ends of sessions ---- */

static void close_fails_all_calls_once_with_closed(void **state)
{
    (void)state;
    struct world *w = world_connected();
    struct answer a[5] = {0}, late = {0};
    for (int i = 0; i < 5; i++) {
        call_n(w->client.s, "keep", i, 60000, &a[i]);
    }
    KIT_UNTIL(&w->loop, w->server.kept_count == 5);
    rpc_session_close(w->client.s);
    rpc_session_close(w->client.s);
    assert_false(rpc_session_is_open(w->client.s));
    call_n(w->client.s, "echo", 1, 0, &late);
    assert_int_equal(rpc_notify(w->client.s, "x", EMPTY_MAP), ERR_CLOSED);
    assert_int_equal(a[0].count + late.count + w->client.closes, 0);
    KIT_UNTIL(&w->loop, w->client.closes == 1 && w->server.closes == 1);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(a[i].count, 1);
        assert_int_equal(a[i].code, ERR_CLOSED);
        assert_true(a[i].sent);
    }
    assert_int_equal(late.count, 1);
    assert_int_equal(late.code, ERR_CLOSED);
    assert_false(late.sent);
    assert_true(w->client.clean);
    assert_int_equal(w->server.why.code, ERR_CLOSED);
    /* Answers into the void. */
    for (int i = 0; i < 5; i++) {
        assert_null(rpc_request_session(w->server.kept[i]));
        assert_int_equal(mp_int(mp_get(rpc_request_params(w->server.kept[i]), "n"), -1), i);
        if (i == 0) {
            struct error err = {0};
            error_set(&err, ERR_INTERNAL, "x");
            rpc_reply_error(w->server.kept[i], &err);
        } else if (i == 1) {
            assert_null(rpc_stream_accept(w->server.kept[i], &source_events, NULL));
        } else {
            rpc_reply(w->server.kept[i], STR("\xc0"));
        }
    }
    world_free(w);
}

static void failed_connection_fails_queued_calls_unsent(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct rpc_config config = config_of(w, &w->client);
    w->client.s = rpc_session_connect(&w->loop, shared_client_tls, "127.0.0.1:1", ALPN_RPC, 5000, &config);
    struct answer a = {0};
    call_n(w->client.s, "echo", 1, 0, &a);
    rpc_notify(w->client.s, "x", EMPTY_MAP);
    KIT_UNTIL(&w->loop, w->client.closes == 1);
    assert_int_equal(a.count, 1);
    assert_int_equal(a.code, ERR_CLOSED);
    assert_false(a.sent);
    assert_non_null(strstr(a.err.message, "connection refused"));
    assert_non_null(strstr(w->client.why.message, "127.0.0.1:1"));
    world_free(w);
}

static void queued_call_that_times_out_is_never_sent(void **state)
{
    (void)state;
    struct world *w = world_new();
    connect_client(w);
    struct answer a = {0}, b = {0};
    call_n(w->client.s, "keep", 1, 1, &a);
    /* The handshake takes longer than a millisecond of waiting outside the loop. */
    uint64_t until = uv_hrtime() + 5000000;
    while (uv_hrtime() < until) {
    }
    KIT_UNTIL(&w->loop, a.count == 1);
    assert_int_equal(a.code, ERR_TIMEOUT);
    assert_false(a.sent);
    call_n(w->client.s, "echo", 2, 0, &b);
    KIT_UNTIL(&w->loop, b.count == 1);
    assert_int_equal(w->server.requests, 1);
    world_free(w);
}

static struct world *recall_world;
static struct answer recalled;
static void call_again(const struct rpc_result *result, void *data)
{
    answered(result, data);
    call_n(recall_world->client.s, "echo", 1, 0, &recalled);
}

static void call_made_from_a_failing_callback_is_told_too(void **state)
{
    (void)state;
    struct world *w = world_connected();
    struct answer a = {0};
    recall_world = w;
    recalled = (struct answer){0};
    rpc_call(w->client.s, "keep", EMPTY_MAP, 0, call_again, &a);
    rpc_session_close(w->client.s);
    KIT_UNTIL(&w->loop, w->client.closes == 1);
    assert_int_equal(a.count, 1);
    assert_int_equal(recalled.count, 1);
    assert_int_equal(recalled.code, ERR_CLOSED);
    KIT_UNTIL(&w->loop, w->server.closes == 1);
    for (unsigned i = 0; i < w->server.kept_count; i++) {
        rpc_reply(w->server.kept[i], STR("\xc0"));
    }
    world_free(w);
}

/* ---- Streams ---- */

static void stream_brings_data_in_order_and_ends(void **state)
{
    (void)state;
    struct world *w = world_connected();
    struct source server = {.left = 100, .size = 1000, .end_at_zero = true, .consume = true};
    struct source client = {.consume = true, .end_on_end = true};
    w->server.source = &server;
    client.st = rpc_stream_open(w->client.s, "watch", EMPTY_MAP, &source_events, &client);
    KIT_UNTIL(&w->loop, client.ends == 1 && server.ends == 1);
    assert_int_equal(client.opens, 1);
    assert_int_equal(client.datas, 100);
    assert_true(client.clean && server.clean);
    world_free(w);
}

static void stream_ends_with_the_peers_error(void **state)
{
    (void)state;
    struct world *w = world_connected();
    struct source server = {.left = 1, .size = 10, .end_at_zero = true, .end_with_error = true};
    struct source client = {.consume = true, .end_on_end = true};
    w->server.source = &server;
    client.st = rpc_stream_open(w->client.s, "watch", EMPTY_MAP, &source_events, &client);
    KIT_UNTIL(&w->loop, server.ends == 1);
    assert_int_equal(client.ends, 1);
    assert_int_equal(client.why.code, ERR_EXPIRED);
    assert_string_equal(client.why.message, "too old");
    assert_true(server.clean);
    world_free(w);
}

static void fast_writer_stays_within_the_readers_window(void **state)
{
    (void)state;
    struct world *w = world_connected();
    struct source server = {.left = 400, .size = 50000, .end_at_zero = true};
    struct source client = {.end_on_end = true};
    w->server.source = &server;
    client.st = rpc_stream_open(w->client.s, "watch", EMPTY_MAP, &source_events, &client);
    unsigned rounds = 0;
    while (client.ends == 0) {
        /* The reader consumes nothing: the writer stops after a window and one payload. */
        KIT_UNTIL(&w->loop, client.ends == 1 || (server.left < 400 && client.datas == server.sent &&
                                                 (client.unconsumed >= RPC_STREAM_WINDOW || server.left == 0)));
        assert_true(client.unconsumed < RPC_STREAM_WINDOW + 50005);
        if (client.ends == 0) {
            size_t n = client.unconsumed;
            client.unconsumed = 0;
            rpc_stream_consumed(client.st, n);
            rounds++;
        }
    }
    assert_int_equal(client.datas, 400);
    assert_true(rounds >= 400 * 50000 / (RPC_STREAM_WINDOW + 50005));
    KIT_UNTIL(&w->loop, server.ends == 1);
    world_free(w);
}

static void both_directions_flow_at_once(void **state)
{
    (void)state;
    struct world *w = world_connected();
    struct source server = {.left = 200, .size = 30000, .consume = true};
    struct source client = {.left = 300, .size = 20000, .consume = true};
    w->server.source = &server;
    client.st = rpc_stream_open(w->client.s, "watch", EMPTY_MAP, &source_events, &client);
    source_pump(&client); /* refused: not accepted yet */
    assert_int_equal(client.sent, 0);
    KIT_UNTIL(&w->loop, client.datas == 200 && server.datas == 300);
    rpc_stream_end(client.st, NULL);
    client.ended = true;
    KIT_UNTIL(&w->loop, server.ends == 1);
    assert_int_equal(rpc_stream_write(server.st, STR("\xc0")), ERR_CLOSED);
    rpc_stream_end(server.st, NULL);
    KIT_UNTIL(&w->loop, client.ends == 1);
    world_free(w);
}

static void payload_larger_than_the_window_passes(void **state)
{
    (void)state;
    struct world *w = world_connected();
    struct source server = {.left = 3, .size = 3 << 20, .end_at_zero = true};
    struct source client = {.consume = true, .end_on_end = true};
    w->server.source = &server;
    client.st = rpc_stream_open(w->client.s, "watch", EMPTY_MAP, &source_events, &client);
    KIT_UNTIL(&w->loop, server.ends == 1);
    assert_int_equal(client.datas, 3);
    world_free(w);
}

static void refused_stream_ends_with_the_error(void **state)
{
    (void)state;
    struct world *w = world_connected();
    struct source client = {.end_on_end = true}, other = {.end_on_end = true};
    client.st = rpc_stream_open(w->client.s, "refuse", EMPTY_MAP, &source_events, &client);
    other.st = rpc_stream_open(w->client.s, "echo", EMPTY_MAP, &source_events, &other);
    KIT_UNTIL(&w->loop, client.ends == 1 && other.ends == 1);
    assert_int_equal(client.opens, 0);
    assert_int_equal(client.why.code, ERR_CONFLICT);
    assert_int_equal(other.why.code, ERR_PROTOCOL); /* answered, but with no stream */
    world_free(w);
}

static void stream_ended_before_it_is_accepted_ends_on_both_sides(void **state)
{
    (void)state;
    struct world *w = world_connected();
    struct source server = {.left = 10, .size = 10, .end_on_end = true};
    struct source client = {0};
    w->server.source = &server;
    client.st = rpc_stream_open(w->client.s, "watch", EMPTY_MAP, &source_events, &client);
    struct error err = {0};
    error_set(&err, ERR_CANCELED, "no longer wanted");
    client.ended = true;
    rpc_stream_end(client.st, &err);
    KIT_UNTIL(&w->loop, server.ends == 1 && client.ends == 1);
    assert_int_equal(server.why.code, ERR_CANCELED);
    assert_int_equal(client.datas, 0);
    assert_true(client.clean);
    world_free(w);
}

static void session_close_ends_streams_on_both_sides_once(void **state)
{
    (void)state;
    struct world *w = world_connected();
    struct source server = {.left = 5, .size = 10, .end_on_end = true};
    struct source client = {.consume = true}, unanswered = {.end_on_end = true};
    w->server.source = &server;
    client.st = rpc_stream_open(w->client.s, "watch", EMPTY_MAP, &source_events, &client);
    unanswered.st = rpc_stream_open(w->client.s, "keep", EMPTY_MAP, &source_events, &unanswered);
    KIT_UNTIL(&w->loop, client.datas == 5 && w->server.kept_count == 1);
    rpc_session_close(w->client.s);
    KIT_UNTIL(&w->loop, w->client.closes == 1 && w->server.closes == 1);
    assert_int_equal(client.ends, 1);
    assert_int_equal(unanswered.ends, 1);
    assert_int_equal(server.ends, 1);
    assert_int_equal(client.why.code, ERR_CLOSED);
    /* Our side is still to be ended; the session is gone. */
    assert_null(rpc_stream_session(client.st));
    assert_int_equal(rpc_stream_write(client.st, STR("\xc0")), ERR_CLOSED);
    rpc_stream_end(client.st, NULL);
    rpc_reply(w->server.kept[0], STR("\xc0"));
    world_free(w);
}

/* ---- A peer that breaks rules: a raw connection to the server's session ---- */

static void raw_on_open(struct net_conn *c, void *data)
{
    (void)c;
    ((struct world *)data)->raw_open = true;
}
static void raw_on_data(struct net_conn *c, const uint8_t *p, size_t n, void *data)
{
    (void)c;
    struct world *w = data;
    buf_append(&w->raw_got, p, n);
}
static void raw_on_close(struct net_conn *c, const struct error *why, void *data)
{
    (void)c, (void)why;
    ((struct world *)data)->raw_closed = true;
}
static const struct net_conn_events raw_events = {raw_on_open, raw_on_data, NULL, raw_on_close};

static void raw_connect(struct world *w)
{
    w->raw = net_connect(&w->loop, shared_client_tls, w->addr, ALPN_RPC, 5000, &raw_events, w);
    KIT_UNTIL(&w->loop, w->server.s != NULL);
}

/* The bytes close the session with this code. */
static void assert_refused(struct str bytes, int code)
{
    struct world *w = world_new();
    raw_connect(w);
    net_conn_send(w->raw, bytes.p, bytes.n);
    KIT_UNTIL(&w->loop, w->server.closes == 1 && w->raw_closed);
    assert_int_equal(w->server.why.code, code);
    assert_int_equal(w->server.stats.bad_messages, 1);
    assert_int_equal(w->server.requests, 0);
    world_free(w);
}

static void garbage_closes_the_session(void **state)
{
    (void)state;
    assert_refused(STR("hello, world"), ERR_PROTOCOL);
    assert_refused(STR("\xc1"), ERR_PROTOCOL);
    assert_refused(STR("\x94\x07\x01\xa1x\x91\x80"), ERR_PROTOCOL);                 /* type 7 */
    assert_refused(STR("\x93\x00\x01\xa1x"), ERR_PROTOCOL);                         /* a request of three */
    assert_refused(STR("\x94\x00\xff\xa1x\x91\x80"), ERR_PROTOCOL);                 /* a negative id */
    assert_refused(STR("\x94\x00\xcf\0\0\0\1\0\0\0\0\xa1x\x91\x80"), ERR_PROTOCOL); /* an id of 33 bits */
    assert_refused(STR("\x94\x00\x01\x02\x91\x80"), ERR_PROTOCOL);                  /* a method that is a number */
    assert_refused(STR("\x94\x00\x01\xa1x\x80"), ERR_PROTOCOL);                     /* params that are no array */
    assert_refused(STR("\x93\x02\xa1x\x91\x01"), ERR_PROTOCOL);                     /* a notification with a number */
    assert_refused(STR("\x94\x00\x01\xa1x\x91\x81\x01\x02"), ERR_PROTOCOL);         /* a number as a key */
    assert_refused(STR("\x94\x00\x01\xa1x\x91\xd4\x01\x02"), ERR_PROTOCOL);         /* an ext type */
    assert_refused(STR("\x90"), ERR_PROTOCOL);
    assert_refused(STR("\x93\x02\xabstream.data\x92\x01\x00"), ERR_PROTOCOL);
    assert_refused(STR("\x93\x02\xabstream.data\x93\x01\x02\xc0"), ERR_PROTOCOL); /* side 2 */
}

static void messages_that_claim_too_much_close_the_session_at_once(void **state)
{
    (void)state;
    assert_refused(STR("\x94\x00\x01\xdb\xff\xff\xff\xff"), ERR_TOO_LARGE); /* a method of 4 GiB */
    assert_refused(STR("\x94\x00\x01\xa1x\x91\x81\xa1k\xc6\xff\xff\xff\xff"), ERR_TOO_LARGE);
    assert_refused(STR("\xdd\xff\xff\xff\xff"), ERR_TOO_LARGE);
    assert_refused(STR("\x94\x00\x01\xa1x\x91\xdf\xff\xff\xff\xff"), ERR_TOO_LARGE);
}

static void deep_nesting_closes_the_session(void **state)
{
    (void)state;
    char deep[4096];
    memset(deep, '\x91', sizeof deep);
    memcpy(deep, "\x94\x00\x01\xa1x", 5);
    assert_refused((struct str){deep, sizeof deep}, ERR_PROTOCOL);
}

static void wrong_params_of_a_request_are_answered(void **state)
{
    (void)state;
    struct world *w = world_new();
    raw_connect(w);
    net_conn_send(w->raw, "\x94\x00\x01\xa1x\x90", 6);
    KIT_UNTIL(&w->loop, w->raw_got.size > 4);
    assert_memory_equal(w->raw_got.data, "\x94\x01\x01\x83", 4);
    assert_int_equal(w->server.stats.errors_out, 1);
    assert_true(rpc_session_is_open(w->server.s));
    world_free(w);
}

static void message_in_single_bytes_is_understood(void **state)
{
    (void)state;
    struct world *w = world_new();
    raw_connect(w);
    struct str m = STR("\x94\x00\x05\xa4"
                       "echo\x91\x81\xa1n\xcd\x01\x02");
    for (size_t i = 0; i < m.n; i++) {
        uint64_t before = w->server.requests;
        assert_int_equal(before, 0);
        net_conn_send(w->raw, m.p + i, 1);
        KIT_UNTIL(&w->loop, net_conn_pending(w->raw) == 0);
    }
    KIT_UNTIL(&w->loop, w->raw_got.size == 10);
    assert_memory_equal(w->raw_got.data, "\x94\x01\x05\xc0\x81\xa1n\xcd\x01\x02", 10);
    world_free(w);
}

static void id_used_again_in_flight_closes_the_session(void **state)
{
    (void)state;
    struct world *w = world_new();
    raw_connect(w);
    net_conn_send(w->raw, "\x94\x00\x05\xa4keep\x91\x80\x94\x00\x05\xa4keep\x91\x80", 20);
    KIT_UNTIL(&w->loop, w->server.closes == 1);
    assert_int_equal(w->server.why.code, ERR_PROTOCOL);
    assert_non_null(strstr(w->server.why.message, "request id 5"));
    assert_int_equal(w->server.kept_count, 1);
    rpc_reply(w->server.kept[0], STR("\xc0"));
    world_free(w);
}

static void late_stream_messages_and_answers_are_ignored_and_counted(void **state)
{
    (void)state;
    struct world *w = world_new();
    raw_connect(w);
    struct str m = STR("\x93\x02\xabstream.data\x93\x07\x00\xa1x"
                       "\x93\x02\xadstream.credit\x93\x07\x00\x05"
                       "\x93\x02\xaastream.end\x93\x07\x00\xc0"
                       "\x94\x01\x09\xc0\xc0");
    net_conn_send(w->raw, m.p, m.n);
    KIT_UNTIL(&w->loop, w->server.stats.late_messages == 4);
    assert_true(rpc_session_is_open(w->server.s));
    world_free(w);
}

static void sender_without_credit_is_cut(void **state)
{
    (void)state;
    struct world *w = world_new();
    raw_connect(w);
    struct source server = {.end_on_end = true};
    w->server.source = &server;
    net_conn_send(w->raw, "\x94\x00\x05\xa5watch\x91\x80", 11);
    CLEANUP_BUF struct buf b = BUF_INIT;
    static const char bytes[300000];
    for (int i = 0; i < 5; i++) { /* four of them fill the window; the fifth has no credit left */
        buf_append(&b, "\x93\x02\xabstream.data\x93\x05\x00", 17);
        mp_write_bin(&b, bytes, sizeof bytes);
    }
    net_conn_send(w->raw, b.data, b.size);
    KIT_UNTIL(&w->loop, w->server.closes == 1);
    assert_int_equal(w->server.why.code, ERR_PROTOCOL);
    assert_int_equal(server.datas, 4);
    assert_int_equal(server.ends, 1);
    world_free(w);
}

static void impossible_credit_is_refused(void **state)
{
    (void)state;
    struct world *w = world_new();
    raw_connect(w);
    struct source server = {.end_on_end = true};
    w->server.source = &server;
    net_conn_send(w->raw, "\x94\x00\x05\xa5watch\x91\x80", 11);
    struct str m = STR("\x93\x02\xadstream.credit\x93\x05\x00\xcf\xff\xff\xff\xff\xff\xff\xff\xff");
    net_conn_send(w->raw, m.p, m.n);
    KIT_UNTIL(&w->loop, w->server.closes == 1);
    assert_int_equal(w->server.why.code, ERR_PROTOCOL);
    world_free(w);
}

static void data_after_the_end_is_refused(void **state)
{
    (void)state;
    struct world *w = world_new();
    raw_connect(w);
    struct source server = {0};
    w->server.source = &server;
    struct str m = STR("\x94\x00\x05\xa5watch\x91\x80"
                       "\x93\x02\xaastream.end\x93\x05\x00\xc0"
                       "\x93\x02\xabstream.data\x93\x05\x00\xc4\x01x");
    net_conn_send(w->raw, m.p, m.n);
    KIT_UNTIL(&w->loop, w->server.closes == 1);
    assert_int_equal(w->server.why.code, ERR_PROTOCOL);
    assert_int_equal(server.ends, 1);
    assert_int_equal(server.datas, 0);
    rpc_stream_end(server.st, NULL);
    world_free(w);
}

/* ---- A peer that does not read ---- */

static void peer_that_does_not_read_meets_busy_and_then_the_end(void **state)
{
    (void)state;
    struct world *w = world_new();
    w->send_max = 1 << 20;
    w->stuck_ms = 50;
    raw_connect(w);
    KIT_UNTIL(&w->loop, w->raw_open);
    net_conn_pause(w->raw, true);
    static char bytes[1 << 20];
    CLEANUP_BUF struct buf b = BUF_INIT;
    mp_write_map(&b, 1);
    mp_write_cstr(&b, "x");
    mp_write_bin(&b, bytes, sizeof bytes);
    int rv = 0;
    for (int i = 0; i < 100 && rv == 0; i++) { /* what the kernel takes differs from machine to machine */
        uv_run(&w->loop, UV_RUN_NOWAIT);
        rv = rpc_notify(w->server.s, "x", buf_str(&b));
    }
    assert_int_equal(rv, ERR_BUSY);
    assert_true(rpc_session_pending(w->server.s) > w->send_max);
    struct answer a = {0};
    call_n(w->server.s, "echo", 1, 0, &a);
    assert_int_equal(a.count, 0);
    KIT_UNTIL(&w->loop, a.count == 1);
    assert_int_equal(a.code, ERR_BUSY);
    assert_false(a.sent);
    KIT_UNTIL(&w->loop, w->server.closes == 1);
    assert_int_equal(w->server.why.code, ERR_TIMEOUT);
    assert_non_null(strstr(w->server.why.message, "takes nothing"));
    world_free(w);
}

static void requests_are_not_read_while_their_answers_pile_up(void **state)
{
    (void)state;
    struct world *w = world_new();
    w->send_max = 1 << 20;
    raw_connect(w);
    KIT_UNTIL(&w->loop, w->raw_open);
    net_conn_pause(w->raw, true);
    CLEANUP_BUF struct buf b = BUF_INIT;
    enum { N = 200 };
    for (int i = 0; i < N; i++) {
        /* A comfortable message each, so that they do not come in one read. */
        mp_write_array(&b, 4);
        mp_write_uint(&b, 0);
        mp_write_uint(&b, (uint64_t)i);
        mp_write_cstr(&b, "large");
        mp_write_array(&b, 1);
        mp_write_map(&b, 2);
        mp_write_key_int(&b, "size", 1 << 20);
        mp_write_cstr(&b, "fill");
        char fill[20000] = {0};
        mp_write_bin(&b, fill, sizeof fill);
    }
    net_conn_send(w->raw, b.data, b.size);
    KIT_UNTIL(&w->loop, rpc_session_pending(w->server.s) > w->send_max);
    for (int i = 0; i < 50; i++) {
        uv_run(&w->loop, UV_RUN_NOWAIT);
    }
    assert_true(w->server.requests < N / 2);
    assert_true(rpc_session_pending(w->server.s) < 4u << 20);
    net_conn_pause(w->raw, false);
    KIT_UNTIL(&w->loop, w->raw_got.size > (size_t)N << 20);
    assert_int_equal(w->server.requests, N);
    world_free(w);
}

/* ---- The scanner ---- */

static enum rpc_scan_result scan_pieces(const uint8_t *p, size_t n, size_t step, size_t limit, size_t *at)
{
    struct rpc_scan s;
    rpc_scan_init(&s);
    enum rpc_scan_result r = RPC_SCAN_MORE;
    for (size_t have = 0; r == RPC_SCAN_MORE && have < n;) {
        have = MIN(n, have + step);
        r = rpc_scan(&s, p, have, limit);
    }
    *at = s.at;
    return r;
}

/* A random document, mostly well-formed. */
static void random_item(struct rng *r, struct buf *b, unsigned depth)
{
    char text[300] = {0};
    unsigned n = (unsigned)rng_below(r, 5);
    switch (rng_below(r, depth > 5 ? 6 : 9)) {
    case 0:
        mp_write_nil(b);
        break;
    case 1:
        mp_write_int(b, (int64_t)rng_next(r) >> rng_below(r, 64));
        break;
    case 2:
        mp_write_float(b, 1.5);
        break;
    case 3:
        mp_write_str(b, (struct str){text, rng_below(r, sizeof text)});
        break;
    case 4:
        mp_write_bin(b, text, rng_below(r, sizeof text));
        break;
    case 5:
        mp_write_bool(b, true);
        break;
    case 6:
        mp_write_map(b, n);
        for (unsigned i = 0; i < n; i++) {
            mp_write_cstr(b, "key");
            random_item(r, b, depth + 1);
        }
        break;
    default:
        n = rng_below(r, 10) == 0 ? n + 16 : n;
        mp_write_array(b, n);
        for (unsigned i = 0; i < n; i++) {
            random_item(r, b, depth + 1);
        }
    }
}

static void scanner_finds_the_end_whatever_the_pieces(void **state)
{
    (void)state;
    struct rng r = {1};
    for (int i = 0; i < 2000; i++) {
        CLEANUP_BUF struct buf b = BUF_INIT;
        mp_write_array(&b, 3);
        for (int k = 0; k < 3; k++) {
            random_item(&r, &b, 0);
        }
        size_t size = b.size, at;
        assert_true(mp_valid(mp_of(b.data, size)));
        buf_append(&b, "\x93\xff\xff", 3); /* the next message */
        for (size_t step = 1; step < 40; step += 13) {
            assert_int_equal(scan_pieces(b.data, b.size, step, 1 << 20, &at), RPC_SCAN_DONE);
            assert_int_equal(at, size);
            assert_int_equal(scan_pieces(b.data, size - 1, step, 1 << 20, &at), RPC_SCAN_MORE);
            assert_int_equal(scan_pieces(b.data, size, step, size - 1, &at), RPC_SCAN_TOO_LARGE);
            assert_int_equal(scan_pieces(b.data, size, step, size, &at), RPC_SCAN_DONE);
        }
    }
}

static void scanner_and_validator_agree_on_damaged_bytes(void **state)
{
    (void)state;
    struct rng r = {2};
    unsigned done = 0;
    for (int i = 0; i < 20000; i++) {
        CLEANUP_BUF struct buf b = BUF_INIT;
        mp_write_array(&b, 2);
        random_item(&r, &b, 0);
        random_item(&r, &b, 0);
        b.data[rng_below(&r, b.size)] = (uint8_t)rng_next(&r);
        size_t at, at2;
        enum rpc_scan_result whole = scan_pieces(b.data, b.size, b.size, 1 << 20, &at);
        assert_int_equal(scan_pieces(b.data, b.size, 1, 1 << 20, &at2), whole);
        if (whole == RPC_SCAN_DONE) {
            done++;
            assert_true(mp_valid(mp_of(b.data, at)));
            assert_true(mp_type(mp_of(b.data, at)) == MP_ARRAY);
        } else if (mp_type(mp_of(b.data, b.size)) == MP_ARRAY) {
            assert_false(mp_valid(mp_of(b.data, b.size)));
        }
        struct rpc_message m;
        rpc_message_parse(mp_of(b.data, b.size), &m); /* reads nothing outside */
    }
    assert_true(done > 1000);
}

static void scanner_accepts_documents_of_the_greatest_depth(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b = BUF_INIT;
    size_t at;
    for (int i = 0; i < RPC_DEPTH_MAX; i++) {
        mp_write_array(&b, 1);
    }
    mp_write_nil(&b);
    assert_int_equal(scan_pieces(b.data, b.size, 7, 1000, &at), RPC_SCAN_DONE);
    buf_reset(&b);
    for (int i = 0; i <= RPC_DEPTH_MAX; i++) {
        mp_write_array(&b, 1);
    }
    mp_write_nil(&b);
    assert_int_equal(scan_pieces(b.data, b.size, 7, 1000, &at), RPC_SCAN_BAD);
}

static void errors_of_other_implementations_are_read(void **state)
{
    (void)state;
    struct error err;
    rpc_read_error(mp_of("\xa4oops", 5), &err);
    assert_int_equal(err.code, ERR_INTERNAL);
    assert_string_equal(err.message, "oops");
    rpc_read_error(mp_of("\x05", 1), &err);
    assert_int_equal(err.code, ERR_INTERNAL);
    rpc_read_error(mp_of("\x81\xa4"
                         "code\x05",
                         7),
                   &err); /* a positive code is none of ours */
    assert_int_equal(err.code, ERR_INTERNAL);
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct error in = {.code = ERR_LIMIT, .retry_after_ms = 10};
    memset(in.message, 'x', sizeof in.message - 1);
    rpc_write_error(&b, &in);
    rpc_read_error(mp_of(b.data, b.size), &err);
    assert_memory_equal(&in, &err, sizeof err);
}

/* ---- How fast, for the record ---- */

struct rate {
    struct rpc_session *s;
    unsigned made, done, total;
};

static void rate_answered(const struct rpc_result *result, void *data)
{
    struct rate *r = data;
    assert_null(result->error);
    r->done++;
    if (r->made < r->total) {
        r->made++;
        rpc_call(r->s, "echo", STR("\x81\xa1n\x01"), 5000, rate_answered, r);
    }
}

static double measure(struct world *w, unsigned total, unsigned depth)
{
    struct rate r = {.s = w->client.s, .total = total};
    uint64_t start = uv_hrtime();
    for (r.made = 0; r.made < depth;) {
        r.made++;
        rpc_call(r.s, "echo", STR("\x81\xa1n\x01"), 5000, rate_answered, &r);
    }
    KIT_UNTIL(&w->loop, r.done == total);
    return (double)total / ((double)(uv_hrtime() - start) / 1e9);
}

static void rates_are_printed(void **state)
{
    (void)state;
    struct world *w = world_connected();
    printf("note: small echo calls over TLS on loopback, both ends in this thread: %.0f/s with 256 in flight",
           measure(w, 50000, 256));
    printf(", %.0f/s with 1 in flight\n", measure(w, 5000, 1));
    world_free(w);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(call_is_answered),
        cmocka_unit_test(the_server_may_call_as_well),
        cmocka_unit_test(errors_travel_whole),
        cmocka_unit_test(notification_arrives),
        cmocka_unit_test(session_without_handler_answers_unsupported),
        cmocka_unit_test(calls_before_the_connection_is_open_are_queued_in_order),
        cmocka_unit_test(thousands_of_pipelined_calls_are_answered_once_each),
        cmocka_unit_test(call_without_answer_times_out_and_a_late_answer_is_ignored),
        cmocka_unit_test(deadlines_pass_in_their_own_order),
        cmocka_unit_test(answer_may_come_later_with_method_and_params_at_hand),
        cmocka_unit_test(large_messages_pass_and_larger_ones_are_refused_on_this_side),
        cmocka_unit_test(requests_above_the_limit_are_refused),
        cmocka_unit_test(close_fails_all_calls_once_with_closed),
        cmocka_unit_test(failed_connection_fails_queued_calls_unsent),
        cmocka_unit_test(queued_call_that_times_out_is_never_sent),
        cmocka_unit_test(call_made_from_a_failing_callback_is_told_too),
        cmocka_unit_test(stream_brings_data_in_order_and_ends),
        cmocka_unit_test(stream_ends_with_the_peers_error),
        cmocka_unit_test(fast_writer_stays_within_the_readers_window),
        cmocka_unit_test(both_directions_flow_at_once),
        cmocka_unit_test(payload_larger_than_the_window_passes),
        cmocka_unit_test(refused_stream_ends_with_the_error),
        cmocka_unit_test(stream_ended_before_it_is_accepted_ends_on_both_sides),
        cmocka_unit_test(session_close_ends_streams_on_both_sides_once),
        cmocka_unit_test(garbage_closes_the_session),
        cmocka_unit_test(messages_that_claim_too_much_close_the_session_at_once),
        cmocka_unit_test(deep_nesting_closes_the_session),
        cmocka_unit_test(wrong_params_of_a_request_are_answered),
        cmocka_unit_test(message_in_single_bytes_is_understood),
        cmocka_unit_test(id_used_again_in_flight_closes_the_session),
        cmocka_unit_test(late_stream_messages_and_answers_are_ignored_and_counted),
        cmocka_unit_test(sender_without_credit_is_cut),
        cmocka_unit_test(impossible_credit_is_refused),
        cmocka_unit_test(data_after_the_end_is_refused),
        cmocka_unit_test(peer_that_does_not_read_meets_busy_and_then_the_end),
        cmocka_unit_test(requests_are_not_read_while_their_answers_pile_up),
        cmocka_unit_test(scanner_finds_the_end_whatever_the_pieces),
        cmocka_unit_test(scanner_and_validator_agree_on_damaged_bytes),
        cmocka_unit_test(scanner_accepts_documents_of_the_greatest_depth),
        cmocka_unit_test(errors_of_other_implementations_are_read),
        cmocka_unit_test(rates_are_printed),
    };
    return cmocka_run_group_tests(tests, make_certificates, drop_certificates);
}
