/* Calls we make and requests we answer.
 *
 * A call is in calls (by id) and calls_list (by age) from rpc_call on until its callback; while the session connects
 * also in waiting, with its bytes, so that one that times out there is never sent. A call that fails at once goes to
 * failing and is told from the timer. A request is in requests until it is answered or turned into a stream. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "proto/rpc/rpc_int.h"

#define ENVELOPE_MAX 512 /* bytes of a message besides params, result or payload, method name included */

/* ---- Calls ---- */

static uint32_t next_id(struct rpc_session *s)
{
    do {
        s->last_id++;
    } while (rpc_table_find(&s->calls, s->last_id) != NULL || rpc_table_find(&s->opened, s->last_id) != NULL);
    return s->last_id;
}

/* Out of all lists. */
static void detach(struct rpc_session *s, struct rpc_call *c)
{
    if (c->code == 0) {
        rpc_table_remove(&s->calls, &c->node);
    }
    list_remove(&c->link);
    list_remove(&c->wait_link);
    s->waiting_bytes -= c->bytes.size;
    buf_close(&c->bytes);
}

/* The one callback; frees c. */
static void finish(struct rpc_call *c, const struct rpc_result *result)
{
    if (c->stream != NULL) {
        rpc_stream_answered(c->stream, result);
    } else {
        c->cb(result, c->data);
    }
    free(c);
}

static void finish_error(struct rpc_call *c, const struct error *err)
{
    finish(c, &(struct rpc_result){.error = err, .sent = c->sent});
}

static void fail_soon(struct rpc_session *s, struct rpc_call *c, int code)
{
    assert(code != 0);
    c->code = code;
    list_push_back(&s->failing, &c->link);
    rpc_arm(s, rpc_now(s));
}

static void failing_error(const struct rpc_session *s, const struct rpc_call *c, struct error *err)
{
    switch (c->code) {
    case ERR_BUSY:
        error_set(err, c->code, "%zu bytes wait to be sent to %s, no more are taken", rpc_session_pending(s),
                  rpc_session_peer_addr(s));
        break;
    case ERR_TOO_LARGE:
        error_set(err, c->code, "the request is larger than a message may be (%zu bytes)", s->config.message_max);
        break;
    default:
        error_set(err, c->code, "the session with %s is closed", rpc_session_peer_addr(s));
    }
}

static int refusal(const struct rpc_session *s, struct str params)
{
    if (s->state >= RPC_CLOSING) {
        return ERR_CLOSED;
    }
    if (params.n + ENVELOPE_MAX > s->config.message_max) {
        return ERR_TOO_LARGE;
    }
    return rpc_send_is_full(s) ? ERR_BUSY : 0;
}

static void write_method(struct rpc_session *s, const char *method)
{
    assert(strlen(method) <= ENVELOPE_MAX - 64);
    mp_write_cstr(&s->head, method);
    mp_write_array(&s->head, 1);
}

/* Send what is in head, then params; or keep both in c until the connection is open. */
static void send_or_wait(struct rpc_session *s, struct rpc_call *c, struct str params)
{
    if (s->state == RPC_OPEN) {
        c->sent = true;
        rpc_send(s, params);
        return;
    }
    buf_append(&c->bytes, s->head.data, s->head.size);
    buf_append_str(&c->bytes, params);
    buf_reset(&s->head);
    s->waiting_bytes += c->bytes.size;
    list_push_back(&s->waiting, &c->wait_link);
}

void rpc_call_start(struct rpc_session *s, struct rpc_call *c, const char *method, struct str params,
                    int64_t timeout_ms)
{
    assert(params.n > 0);
    list_init(&c->link);
    list_init(&c->wait_link);
    int code = refusal(s, params);
    if (code != 0) {
        fail_soon(s, c, code);
        return;
    }
    c->node.id = next_id(s);
    rpc_table_add(&s->calls, &c->node);
    list_push_back(&s->calls_list, &c->link);
    if (timeout_ms > 0) {
        c->deadline_ms = rpc_now(s) + timeout_ms;
        rpc_arm(s, c->deadline_ms);
    }
    s->stats->requests_out++;
    assert(s->head.size == 0);
    mp_write_array(&s->head, 4);
    mp_write_uint(&s->head, RPC_MESSAGE_REQUEST);
    mp_write_uint(&s->head, c->node.id);
    write_method(s, method);
    send_or_wait(s, c, params);
}

void rpc_call(struct rpc_session *s, const char *method, struct str params, int64_t timeout_ms, rpc_result_cb *cb,
              void *data)
{
    assert(cb != NULL);
    struct rpc_call *c = xcalloc(1, sizeof *c);
    c->cb = cb;
    c->data = data;
    rpc_call_start(s, c, method, params, timeout_ms);
}

int rpc_notify(struct rpc_session *s, const char *method, struct str params)
{
    assert(params.n > 0);
    int code = refusal(s, params);
    if (code != 0) {
        return code;
    }
    assert(s->head.size == 0);
    mp_write_array(&s->head, 3);
    mp_write_uint(&s->head, RPC_MESSAGE_NOTIFY);
    write_method(s, method);
    if (s->state == RPC_OPEN) {
        rpc_send(s, params);
        return 0;
    }
    struct rpc_call *c = xcalloc(1, sizeof *c);
    list_init(&c->link);
    c->code = ERR_CLOSED; /* in no table */
    send_or_wait(s, c, params);
    return 0;
}

static bool is_notification(const struct rpc_call *c)
{
    return c->cb == NULL && c->stream == NULL;
}

void rpc_calls_open(struct rpc_session *s)
{
    while (!list_empty(&s->waiting)) {
        struct rpc_call *c = LIST_ENTRY(s->waiting.next, struct rpc_call, wait_link);
        list_remove(&c->wait_link);
        s->waiting_bytes -= c->bytes.size;
        c->sent = true;
        rpc_send(s, buf_str(&c->bytes));
        buf_close(&c->bytes);
        if (is_notification(c)) {
            free(c);
        }
    }
    assert(s->waiting_bytes == 0);
}

static void tell_failing(struct rpc_session *s)
{
    struct list now;
    list_init(&now);
    while (!list_empty(&s->failing)) { /* those that callbacks add come next time */
        struct list *it = s->failing.next;
        list_remove(it);
        list_push_back(&now, it);
    }
    while (!list_empty(&now)) {
        struct rpc_call *c = LIST_ENTRY(now.next, struct rpc_call, link);
        struct error err;
        failing_error(s, c, &err);
        list_remove(&c->link);
        finish_error(c, &err);
    }
}

void rpc_calls_expire(struct rpc_session *s, int64_t now_ms)
{
    tell_failing(s);
    struct list late;
    int64_t next = INT64_MAX;
    list_init(&late);
    LIST_FOR_SAFE(it, &s->calls_list)
    {
        struct rpc_call *c = LIST_ENTRY(it, struct rpc_call, link);
        if (c->deadline_ms == 0 || c->deadline_ms > now_ms) {
            next = c->deadline_ms == 0 ? next : MIN(next, c->deadline_ms);
            continue;
        }
        detach(s, c);
        list_push_back(&late, &c->link);
    }
    while (!list_empty(&late)) {
        struct rpc_call *c = LIST_ENTRY(late.next, struct rpc_call, link);
        struct error err;
        error_set(&err, ERR_TIMEOUT, "no answer from %s in time", rpc_session_peer_addr(s));
        list_remove(&c->link);
        finish_error(c, &err);
    }
    if (next != INT64_MAX) {
        rpc_arm(s, next);
    }
    if (!list_empty(&s->failing)) {
        rpc_arm(s, now_ms);
    }
}

void rpc_calls_close(struct rpc_session *s, const struct error *why)
{
    while (!list_empty(&s->waiting)) {
        struct rpc_call *c = LIST_ENTRY(s->waiting.next, struct rpc_call, wait_link);
        list_remove(&c->wait_link);
        if (is_notification(c)) {
            s->waiting_bytes -= c->bytes.size;
            buf_close(&c->bytes);
            free(c);
        }
    }
    while (!list_empty(&s->calls_list)) {
        struct rpc_call *c = LIST_ENTRY(s->calls_list.next, struct rpc_call, link);
        detach(s, c);
        finish_error(c, why);
    }
    while (!list_empty(&s->failing)) {
        tell_failing(s);
    }
}

void rpc_on_response(struct rpc_session *s, const struct rpc_message *m)
{
    struct rpc_node *n = rpc_table_find(&s->calls, m->id);
    if (n == NULL) {
        s->stats->late_messages++; /* its time was over */
        return;
    }
    struct rpc_call *c = CONTAINER_OF(n, struct rpc_call, node);
    detach(s, c);
    if (mp_type(m->error) == MP_NIL) {
        finish(c, &(struct rpc_result){.result = m->result, .sent = true});
        return;
    }
    struct error err;
    rpc_read_error(m->error, &err);
    finish_error(c, &err);
}

/* ---- Requests ---- */

static void reply(struct rpc_session *s, uint32_t id, const struct error *err, struct str result)
{
    if (s->state != RPC_OPEN) {
        return;
    }
    assert(s->head.size == 0);
    mp_write_array(&s->head, 4);
    mp_write_uint(&s->head, RPC_MESSAGE_RESPONSE);
    mp_write_uint(&s->head, id);
    rpc_write_error(&s->head, err);
    if (err != NULL || result.n == 0) {
        mp_write_nil(&s->head);
        result = STR_NONE;
    }
    s->stats->errors_out += err != NULL;
    rpc_send(s, result);
}

void rpc_request_free(struct rpc_request *r)
{
    if (r->session != NULL) {
        rpc_table_remove(&r->session->requests, &r->node);
        list_remove(&r->link);
        if (r->session->current == r) {
            r->session->current = NULL;
        }
    }
    free(r->copy);
    free(r);
}

void rpc_reply_error(struct rpc_request *r, const struct error *err)
{
    assert(err != NULL && err->code != 0);
    struct rpc_session *s = r->session;
    uint32_t id = r->node.id;
    rpc_request_free(r);
    if (s != NULL) {
        reply(s, id, err, STR_NONE);
    }
}

void rpc_reply(struct rpc_request *r, struct str result)
{
    struct rpc_session *s = r->session;
    if (s != NULL && result.n + ENVELOPE_MAX > s->config.message_max) {
        struct error err;
        error_set(&err, ERR_TOO_LARGE, "the answer has %zu bytes, more than a message may have; ask for less at a time",
                  result.n);
        rpc_reply_error(r, &err);
        return;
    }
    uint32_t id = r->node.id;
    if (s != NULL) {
        rpc_table_remove(&s->requests, &r->node);
        list_remove(&r->link);
        s->current = s->current == r ? NULL : s->current;
        reply(s, id, NULL, result); /* before r goes: the result may lie in its params */
    }
    free(r->copy);
    free(r);
}

/* Whoever asks for method and params after on_request finds them here. */
static void keep_copy(struct rpc_request *r)
{
    size_t params = (size_t)(r->params.end - r->params.p);
    r->copy = xmalloc(r->method.n + params);
    memcpy(r->copy, r->method.p, r->method.n);
    memcpy(r->copy + r->method.n, r->params.p, params);
    r->method.p = (const char *)r->copy;
    r->params = mp_of(r->copy + r->method.n, params);
}

/* An answer without the handler. */
static void refuse(struct rpc_session *s, uint32_t id, int code, const char *text, struct str method)
{
    struct error err;
    error_set(&err, code, "%.*s: %s", (int)MIN(method.n, (size_t)100), method.p, text);
    reply(s, id, &err, STR_NONE);
}

void rpc_refuse_unread(struct rpc_session *s, const uint8_t *p, size_t n, const char *text)
{
    /* Cursors believe no count beyond the bytes there are, and few may be there of an array's elements: the head of
     * four is one byte. */
    struct mp m = mp_of(p + 1, n - 1);
    uint64_t type, id;
    struct str method;
    if (n > 1 && p[0] == 0x94 && mp_read_uint(&m, &type) && type == RPC_MESSAGE_REQUEST && mp_read_uint(&m, &id) &&
        id <= UINT32_MAX && mp_read_str(&m, &method) && rpc_table_find(&s->requests, (uint32_t)id) == NULL) {
        refuse(s, (uint32_t)id, ERR_TOO_LARGE, text, method);
    }
}

void rpc_on_request(struct rpc_session *s, const struct rpc_message *m)
{
    struct mp params;
    s->stats->requests_in++;
    if (rpc_table_find(&s->requests, m->id) != NULL || rpc_table_find(&s->accepted, m->id) != NULL) {
        rpc_session_fail(s, ERR_PROTOCOL, "request id %u is used again while the former request is in flight", m->id);
        return;
    }
    if (s->requests.count + s->accepted.count >= s->config.inflight_max) {
        s->stats->refused_limit++;
        refuse(s, m->id, ERR_LIMIT, "too many requests and streams of this session are in flight", m->method);
        return;
    }
    if (!rpc_message_params(m->params, &params)) {
        refuse(s, m->id, ERR_USAGE, "the parameters must be one map", m->method);
        return;
    }
    if (s->config.handler.on_request == NULL) {
        refuse(s, m->id, ERR_UNSUPPORTED, "nothing can be called here", m->method);
        return;
    }
    struct rpc_request *r = xcalloc(1, sizeof *r);
    r->node.id = m->id;
    r->session = s;
    r->method = m->method;
    r->params = params;
    rpc_table_add(&s->requests, &r->node);
    list_push_back(&s->requests_list, &r->link);
    s->current = r;
    s->config.handler.on_request(s, r, m->method, params, s->config.data);
    if (s->current != NULL) {
        assert(s->current == r);
        keep_copy(r);
        s->current = NULL;
    }
}

void rpc_requests_close(struct rpc_session *s)
{
    while (!list_empty(&s->requests_list)) {
        struct rpc_request *r = LIST_ENTRY(s->requests_list.next, struct rpc_request, link);
        rpc_table_remove(&s->requests, &r->node);
        list_remove(&r->link);
        r->session = NULL;
    }
}

struct rpc_session *rpc_request_session(struct rpc_request *r)
{
    return r->session;
}

struct str rpc_request_method(const struct rpc_request *r)
{
    return r->method;
}

struct mp rpc_request_params(const struct rpc_request *r)
{
    return r->params;
}
