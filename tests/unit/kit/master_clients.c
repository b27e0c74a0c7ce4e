/* Clients of the kit's masters: calls, streams, and the identities they come with. */
#include "tests/unit/kit/master_kit.h"

/* ---- Clients ---- */

static void session_request(struct rpc_session *s, struct rpc_request *r, struct str method, struct mp params,
                            void *data)
{
    (void)s;
    struct client *c = data;
    if (c->on_request != NULL) {
        c->on_request(c, r, method, params);
        return;
    }
    struct error err = {0};
    error_set(&err, ERR_UNSUPPORTED, "nobody here");
    rpc_reply_error(r, &err);
}

static void session_notify(struct rpc_session *s, struct str method, struct mp params, void *data)
{
    (void)s;
    struct client *c = data;
    if (c->on_notify != NULL) {
        c->on_notify(c, method, params);
    }
}

static void session_closed(struct rpc_session *s, const struct error *why, void *data)
{
    (void)s;
    struct client *c = data;
    c->rpc = NULL;
    if (why != NULL) {
        c->why = *why;
    }
    c->kit->clients_open--;
    if (list_empty(&c->link)) {
        free(c); /* client_close was called before */
    }
}

static struct client *connect_with(struct kit *k, unsigned master, struct net_tls *tls, const char *alpn)
{
    struct client *c = xcalloc(1, sizeof *c);
    c->kit = k;
    snprintf(c->addr, sizeof c->addr, "%s", k->masters[master].addr);
    uv_update_time(&k->loop);
    c->rpc = rpc_session_connect(&k->loop, tls, c->addr, alpn, 5000,
                                 &(struct rpc_config){.handler = {session_request, session_notify, session_closed},
                                                      .data = c,
                                                      .inflight_max = 100000});
    k->clients_open++;
    list_push_back(&k->clients, &c->link);
    return c;
}

struct client *client_with(struct kit *k, unsigned master, struct net_tls *tls)
{
    return connect_with(k, master, tls, ALPN_RPC);
}

static struct client *client_to(struct kit *k, unsigned master, enum pki_role role, const char *name, const char *alpn)
{
    struct pki_identity who = {.role = role};
    char *cert = NULL, *key = NULL;
    struct net_tls *tls;
    struct error err = {0};
    snprintf(who.name, sizeof who.name, "%s", name);
    if ((role != PKI_ROLE_NONE && pki_issue(k->ca, k->ca_key, &who, NULL, 3600, &cert, &key, &err) != 0) ||
        net_tls_new(k->ca, cert, key, NULL, &tls, &err) != 0) {
        fail_msg("%s", err.message);
    }
    struct client *c = connect_with(k, master, tls, alpn);
    net_tls_unref(tls);
    free(cert);
    pki_free_key(key);
    return c;
}

struct client *client_as(struct kit *k, unsigned master, enum pki_role role, const char *name)
{
    return client_to(k, master, role, name, ALPN_RPC);
}

struct client *client_as_raft(struct kit *k, unsigned master, unsigned id)
{
    char name[16];
    snprintf(name, sizeof name, "%u", id);
    return client_to(k, master, PKI_ROLE_MASTER, name, ALPN_RAFT);
}

struct client *client_admin(struct kit *k, unsigned master)
{
    return client_as(k, master, PKI_ROLE_ADMIN, "tester");
}

void client_close(struct client *c)
{
    list_remove(&c->link);
    if (c->rpc == NULL) {
        free(c);
    } else {
        rpc_session_close(c->rpc);
    }
}

struct one_call {
    struct client *c;
    bool done;
};

static void answered(const struct rpc_result *r, void *data)
{
    struct one_call *o = data;
    struct client *c = o->c;
    o->done = true;
    c->err = (struct error){0};
    c->result = NULL;
    if (r->error != NULL) {
        c->err = *r->error;
    } else if (msgpack_read_value(&c->kit->arena, r->result.p, (size_t)(r->result.end - r->result.p), &c->result,
                                  &c->err) != 0) {
        fail_msg("a malformed answer: %s", c->err.message);
    }
}

int call_value(struct client *c, const char *method, const struct value *params)
{
    struct buf b = BUF_INIT;
    struct one_call o = {.c = c};
    if (c->rpc == NULL) {
        c->err = c->why;
        c->err.code = c->err.code == 0 ? ERR_CLOSED : c->err.code;
        return c->err.code;
    }
    msgpack_write_value(&b, params);
    uv_update_time(&c->kit->loop); /* the test may have done something else for long */
    rpc_call(c->rpc, method, buf_str(&b), KIT_WAIT_MS, answered, &o);
    buf_close(&b);
    kit_until(c->kit, &o.done, method);
    return c->err.code;
}

void take_answer(const struct rpc_result *r, void *data)
{
    struct answer *a = data;
    a->done = true;
    a->err = r->error == NULL ? (struct error){0} : *r->error;
    a->count = r->error == NULL ? mp_int(mp_get(r->result, "count"), -1) : -1;
}

static int vcall(struct client *c, const char *method, const char *fmt, va_list ap)
{
    return call_value(c, method, kit_vdoc(c->kit, fmt, ap));
}

int call(struct client *c, const char *method, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int rc = vcall(c, method, fmt, ap);
    va_end(ap);
    return rc;
}

struct value *must_value(struct client *c, const char *method, const struct value *params)
{
    int rc;
    for (int64_t until = kit_now() + KIT_WAIT_MS;;) {
        rc = call_value(c, method, params);
        if ((rc != ERR_NO_QUORUM && rc != ERR_NOT_LEADER) || kit_now() > until) {
            break;
        }
        kit_turn(c->kit, 20);
    }
    if (rc != 0) {
        fail_msg("%s: %s: %s (%s)", method, err_reason(rc), c->err.message, c->err.field);
    }
    return c->result;
}

struct value *must(struct client *c, const char *method, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    struct value *params = kit_vdoc(c->kit, fmt, ap);
    va_end(ap);
    return must_value(c, method, params);
}

void refused(struct client *c, int code, const char *text, const char *method, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int rc = vcall(c, method, fmt, ap);
    va_end(ap);
    if (rc != code) {
        fail_msg("%s: expected %s, got %s: %s", method, err_reason(code), rc == 0 ? "success" : err_reason(rc),
                 c->err.message);
    }
    if (text != NULL && strstr(c->err.message, text) == NULL) {
        fail_msg("%s: expected \"%s\" in: %s", method, text, c->err.message);
    }
}

const char *value_text(struct kit *k, const struct value *v, const char *path)
{
    struct str s = value_path_str(v, path);
    return arena_strndup(&k->arena, s.n == 0 ? "" : s.p, s.n);
}

const char *text_at(struct client *c, const char *path)
{
    return value_text(c->kit, c->result, path);
}

int64_t int_at(struct client *c, const char *path)
{
    return value_path_int(c->result, path, -1);
}

/* ---- Streams ---- */

static void on_open(struct rpc_stream *st, struct mp result, void *data)
{
    (void)st;
    (void)result;
    ((struct stream *)data)->open = true;
}

static void on_data(struct rpc_stream *st, struct mp payload, size_t n, void *data)
{
    struct stream *s = data;
    s->bytes += n;
    if (s->hold) {
        s->held_bytes += n;
    } else {
        rpc_stream_consumed(st, n);
    }
    if (s->count_only) {
        return;
    }
    if (s->count == s->cap) {
        s->cap = MAX(16u, s->cap * 2);
        s->items = xrealloc(s->items, s->cap * sizeof *s->items);
    }
    struct error err = {0};
    if (msgpack_read_value(&s->kit->arena, payload.p, n, &s->items[s->count++], &err) != 0) {
        fail_msg("a malformed payload: %s", err.message);
    }
}

static void on_end(struct rpc_stream *st, const struct error *err, void *data)
{
    (void)st;
    struct stream *s = data;
    s->ended = true;
    if (err != NULL) {
        s->end = *err;
    }
}

static const struct rpc_stream_events events = {.on_open = on_open, .on_data = on_data, .on_end = on_end};

struct stream *stream_open(struct client *c, const char *method, const char *fmt, ...)
{
    struct stream *s = xcalloc(1, sizeof *s);
    struct buf b = BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    msgpack_write_value(&b, kit_vdoc(c->kit, fmt, ap));
    va_end(ap);
    s->client = c;
    s->kit = c->kit;
    assert_non_null(c->rpc);
    s->stream = rpc_stream_open(c->rpc, method, buf_str(&b), &events, s);
    buf_close(&b);
    return s;
}

struct stream *stream_accept(struct client *c, struct rpc_request *r)
{
    struct stream *s = xcalloc(1, sizeof *s);
    s->client = c;
    s->kit = c->kit;
    s->open = true;
    s->stream = rpc_stream_accept(r, &events, s);
    assert_non_null(s->stream);
    return s;
}

struct value *stream_next(struct stream *s)
{
    for (int64_t until = kit_now() + KIT_WAIT_MS; s->taken == s->count && !s->ended;) {
        if (kit_now() > until) {
            fail_msg("waited in vain for the next payload of a stream");
        }
        kit_turn(s->kit, 200);
    }
    return s->taken < s->count ? s->items[s->taken++] : NULL;
}

bool stream_quiet(struct stream *s, int64_t ms)
{
    for (int64_t until = kit_now() + ms; kit_now() < until && s->taken == s->count && !s->ended;) {
        kit_turn(s->kit, until - kit_now() + 1);
    }
    return s->taken == s->count && !s->ended;
}

void stream_wait_end(struct stream *s)
{
    kit_until(s->kit, &s->ended, "the end of a stream");
}

int stream_send(struct stream *s, const char *fmt, ...)
{
    struct buf b = BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    msgpack_write_value(&b, kit_vdoc(s->kit, fmt, ap));
    va_end(ap);
    int rc = rpc_stream_write(s->stream, buf_str(&b));
    buf_close(&b);
    return rc;
}

void stream_release(struct stream *s)
{
    s->hold = false;
    if (!s->ended) {
        rpc_stream_consumed(s->stream, s->held_bytes);
    }
    s->held_bytes = 0;
}

void stream_end(struct stream *s, const struct error *err)
{
    assert_false(s->local_ended);
    s->local_ended = true;
    rpc_stream_end(s->stream, err);
}

void stream_close(struct stream *s)
{
    if (!s->local_ended) {
        stream_end(s, NULL);
    }
    stream_wait_end(s);
    free(s->items);
    free(s);
}
