/* Streams: two directions, each with its own credit and its own end.
 *
 * A stream is in one of its session's tables from the moment it is accepted until both sides have ended. Before, on the
 * opener's side, its call holds it. It is freed when both sides have ended and none of its callbacks runs.
 * Credit: send_credit is what the peer lets us send, recv_credit what we let it send; a payload may pass while any is
 * left and take it below zero, so a peer that sends at or below zero breaks the protocol. What the reader reports as
 * consumed is returned in steps of a quarter of the window. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "proto/rpc/rpc_int.h"

#define CREDIT_STEP  (RPC_STREAM_WINDOW / 4)
#define CREDIT_MAX   (INT64_C(1) << 40) /* more than any peer means */
#define ENVELOPE_MAX 64

static unsigned our_side(const struct rpc_stream *st)
{
    return st->opener ? 0 : 1;
}

static struct rpc_table *table_of(const struct rpc_stream *st)
{
    return st->opener ? &st->session->opened : &st->session->accepted;
}

static struct rpc_stream *stream_new(struct rpc_session *s, const struct rpc_stream_events *events, void *data)
{
    assert(events != NULL && events->on_data != NULL && events->on_end != NULL);
    struct rpc_stream *st = xcalloc(1, sizeof *st);
    st->session = s;
    st->events = *events;
    st->data = data;
    st->send_credit = st->recv_credit = RPC_STREAM_WINDOW;
    list_init(&st->link);
    return st;
}

static void enter_table(struct rpc_stream *st)
{
    st->open = true;
    rpc_table_add(table_of(st), &st->node);
    list_push_back(&st->session->streams_list, &st->link);
}

static void leave_table(struct rpc_stream *st)
{
    if (st->session != NULL && st->open) {
        rpc_table_remove(table_of(st), &st->node);
        list_remove(&st->link);
    }
    st->session = NULL;
}

static void free_if_over(struct rpc_stream *st)
{
    if (!st->local_ended || !st->peer_ended || st->busy > 0) {
        return;
    }
    leave_table(st);
    free(st->end_error);
    free(st);
}

/* The peer's side is over, whatever the reason. May free st. */
static void peer_over(struct rpc_stream *st, const struct error *err)
{
    assert(!st->peer_ended);
    st->peer_ended = true;
    st->busy++;
    st->events.on_end(st, err, st->data);
    st->busy--;
    free_if_over(st);
}

/* ---- Out ---- */

static bool can_send(const struct rpc_stream *st)
{
    return st->session != NULL && st->open && st->session->state == RPC_OPEN;
}

static struct buf *begin(struct rpc_stream *st, const char *method)
{
    struct buf *b = &st->session->head;
    assert(b->size == 0);
    mp_write_array(b, 3);
    mp_write_uint(b, RPC_MESSAGE_NOTIFY);
    mp_write_cstr(b, method);
    mp_write_array(b, 3);
    mp_write_uint(b, st->node.id);
    mp_write_uint(b, our_side(st));
    return b;
}

static void send_end(struct rpc_stream *st, const struct error *err)
{
    if (can_send(st)) {
        rpc_write_error(begin(st, "stream.end"), err);
        rpc_send(st->session, STR_NONE);
    }
}

int rpc_stream_write(struct rpc_stream *st, struct str payload)
{
    assert(payload.n > 0);
    if (st->local_ended || st->peer_ended || st->session == NULL || st->session->state >= RPC_CLOSING) {
        return ERR_CLOSED;
    }
    if (payload.n + ENVELOPE_MAX > st->session->config.message_max) {
        return ERR_TOO_LARGE;
    }
    if (!st->open || st->send_credit <= 0 || rpc_send_is_full(st->session)) {
        st->want_write = true;
        return ERR_BUSY;
    }
    st->send_credit -= (int64_t)payload.n;
    begin(st, "stream.data");
    rpc_send(st->session, payload);
    return 0;
}

void rpc_stream_consumed(struct rpc_stream *st, size_t n)
{
    assert(n <= st->unconsumed);
    st->unconsumed -= n;
    st->to_credit += n;
    if (st->to_credit < CREDIT_STEP || st->local_ended || st->peer_ended || !can_send(st)) {
        return;
    }
    st->recv_credit += (int64_t)st->to_credit;
    mp_write_uint(begin(st, "stream.credit"), st->to_credit);
    st->to_credit = 0;
    rpc_send(st->session, STR_NONE);
}

void rpc_stream_end(struct rpc_stream *st, const struct error *err)
{
    assert(!st->local_ended);
    st->local_ended = true;
    st->want_write = false;
    if (st->opener && !st->open && err != NULL) {
        st->end_error = xmemdup(err, sizeof *err); /* goes out when the answer is there */
    } else {
        send_end(st, err);
    }
    free_if_over(st);
}

/* Someone whose write was refused may go on. May free st. */
static void tell_writable(struct rpc_stream *st)
{
    if (!st->want_write || st->send_credit <= 0 || st->local_ended || st->peer_ended || rpc_send_is_full(st->session)) {
        return;
    }
    st->want_write = false;
    if (st->events.on_writable != NULL) {
        st->busy++;
        st->events.on_writable(st, st->data);
        st->busy--;
        free_if_over(st);
    }
}

void rpc_streams_drained(struct rpc_session *s)
{
    /* A callback may end any stream or session: take turns by a list of its own, from which streams leave as they
     * please. */
    struct list todo;
    list_init(&todo);
    while (!list_empty(&s->streams_list)) {
        struct list *it = s->streams_list.next;
        list_remove(it);
        list_push_back(&todo, it);
    }
    while (!list_empty(&todo)) {
        struct rpc_stream *st = LIST_ENTRY(todo.next, struct rpc_stream, link);
        list_remove(&st->link);
        list_push_back(&s->streams_list, &st->link);
        if (s->state == RPC_OPEN) {
            tell_writable(st);
        }
    }
}

/* ---- Opening ---- */

struct rpc_stream *rpc_stream_open(struct rpc_session *s, const char *method, struct str params,
                                   const struct rpc_stream_events *events, void *data)
{
    struct rpc_stream *st = stream_new(s, events, data);
    st->opener = true;
    struct rpc_call *c = xcalloc(1, sizeof *c);
    c->stream = st;
    rpc_call_start(s, c, method, params, 0);
    st->node.id = c->node.id;
    return st;
}

void rpc_stream_answered(struct rpc_stream *st, const struct rpc_result *result)
{
    if (result->error == NULL && mp_int(mp_get(result->result, "stream"), -1) == (int64_t)st->node.id) {
        enter_table(st);
        if (st->local_ended) {
            send_end(st, st->end_error); /* it was ended before it was open */
            return;
        }
        st->busy++;
        if (st->events.on_open != NULL) {
            st->events.on_open(st, result->result, st->data);
        }
        if (st->session != NULL && st->session->state == RPC_OPEN) {
            tell_writable(st);
        }
        st->busy--;
        free_if_over(st);
        return;
    }
    struct error err;
    error_set(&err, ERR_PROTOCOL, "the peer answered, but not with a stream");
    st->session = NULL; /* in no table */
    peer_over(st, result->error != NULL ? result->error : &err);
}

struct rpc_stream *rpc_stream_accept(struct rpc_request *r, const struct rpc_stream_events *events, void *data)
{
    struct rpc_session *s = r->session;
    uint32_t id = r->node.id;
    rpc_request_free(r);
    if (s == NULL) {
        return NULL;
    }
    struct rpc_stream *st = stream_new(s, events, data);
    st->node.id = id;
    enter_table(st);
    if (s->state == RPC_OPEN) {
        assert(s->head.size == 0);
        mp_write_array(&s->head, 4);
        mp_write_uint(&s->head, RPC_MESSAGE_RESPONSE);
        mp_write_uint(&s->head, id);
        mp_write_nil(&s->head);
        mp_write_map(&s->head, 1);
        mp_write_key_int(&s->head, "stream", id);
        rpc_send(s, STR_NONE);
    }
    return st;
}

/* ---- In ---- */

static void on_stream_data(struct rpc_stream *st, struct mp payload)
{
    size_t n = (size_t)(payload.end - payload.p);
    if (st->recv_credit <= 0) {
        rpc_session_fail(st->session, ERR_PROTOCOL, "stream %u: the peer sent more than it may", st->node.id);
        return;
    }
    st->recv_credit -= (int64_t)n;
    if (st->local_ended) {
        return;
    }
    st->unconsumed += n;
    st->busy++;
    st->events.on_data(st, payload, n, st->data);
    st->busy--;
    free_if_over(st);
}

static void on_stream_credit(struct rpc_stream *st, struct mp bytes)
{
    uint64_t n;
    if (!mp_read_uint(&bytes, &n) || n > CREDIT_MAX || st->send_credit + (int64_t)n > CREDIT_MAX) {
        rpc_session_fail(st->session, ERR_PROTOCOL, "stream %u: the peer gave a credit that is none", st->node.id);
        return;
    }
    st->send_credit += (int64_t)n;
    tell_writable(st);
}

static void on_stream_end(struct rpc_stream *st, struct mp error)
{
    if (mp_type(error) == MP_NIL) {
        peer_over(st, NULL);
        return;
    }
    struct error err;
    rpc_read_error(error, &err);
    peer_over(st, &err);
}

bool rpc_on_stream_message(struct rpc_session *s, const struct rpc_message *m)
{
    bool data = str_eq(m->method, STR("stream.data")), credit = str_eq(m->method, STR("stream.credit"));
    if (!data && !credit && !str_eq(m->method, STR("stream.end"))) {
        return false;
    }
    uint32_t id;
    unsigned side;
    struct mp item;
    if (!rpc_stream_params(m->params, &id, &side, &item)) {
        rpc_session_fail(s, ERR_PROTOCOL, "%.*s without number, side and content", STR_ARG(m->method));
        return true;
    }
    /* Side 0 speaks: they made the request, we accepted. */
    struct rpc_node *n = rpc_table_find(side == 0 ? &s->accepted : &s->opened, id);
    struct rpc_stream *st = n == NULL ? NULL : CONTAINER_OF(n, struct rpc_stream, node);
    if (st == NULL || (st->peer_ended && credit)) {
        s->stats->late_messages++; /* it was on its way when the stream ended */
    } else if (st->peer_ended) {
        rpc_session_fail(s, ERR_PROTOCOL, "stream %u: the peer goes on after its end", id);
    } else if (data) {
        on_stream_data(st, item);
    } else if (credit) {
        on_stream_credit(st, item);
    } else {
        on_stream_end(st, item);
    }
    return true;
}

void rpc_streams_close(struct rpc_session *s, const struct error *why)
{
    while (!list_empty(&s->streams_list)) {
        struct rpc_stream *st = LIST_ENTRY(s->streams_list.next, struct rpc_stream, link);
        leave_table(st);
        if (!st->peer_ended) {
            peer_over(st, why);
        } else {
            free_if_over(st);
        }
    }
}

struct rpc_session *rpc_stream_session(struct rpc_stream *st)
{
    return st->session;
}
