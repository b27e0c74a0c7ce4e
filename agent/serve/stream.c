#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/serve/serve.h"
#include "agent/serve/stream.h"
#include "agent/util/attend.h"
#include "proto/rpc/channel.h"

/* One rpc stream. It lives until that has ended, the serve_stream may have left it before. */
struct wire {
    struct serve_stream *owner; /* NULL: left */
    struct rpc_stream *rpc;
    bool ended; /* our side */
};

struct serve_stream {
    struct list link; /* agent.streams, if it is resumable */
    struct agent *agent;
    struct serve_stream_events events;
    void *data;
    struct wire *wire; /* NULL: CUT, or over */
    bool resumable, ended, over;
    /* resumable: */
    struct channel channel;
    uint8_t token[CHANNEL_TOKEN];
    int64_t tries; /* the number of the client's newest try */
    char *target, *uid;
    char *asker;      /* "": a master of a release before said nothing */
    uv_timer_t timer; /* runs while it is CUT */
    struct attend limit;
    bool cut;
};

static const struct rpc_stream_events wire_events;

static void timer_closed(uv_handle_t *h)
{
    free(h->data);
}

static void free_if_over(struct serve_stream *x)
{
    if (!x->over || !x->ended) {
        return;
    }
    if (!x->resumable) {
        free(x);
        return;
    }
    channel_close(&x->channel);
    free(x->target);
    free(x->uid);
    free(x->asker);
    uv_close((uv_handle_t *)&x->timer, timer_closed);
}

static void wire_end(struct wire *w, const struct error *err)
{
    if (!w->ended) {
        w->ended = true;
        rpc_stream_end(w->rpc, err);
    }
}

/* What still comes over it goes nowhere. */
static void leave_wire(struct serve_stream *x, const struct error *err)
{
    struct wire *w = TAKE_PTR(x->wire);
    if (w != NULL) {
        w->owner = NULL;
        wire_end(w, err);
    }
}

static void set_cut(struct serve_stream *x, bool cut)
{
    if (x->cut != cut) {
        x->cut = cut;
        x->agent->streams_cut = cut ? x->agent->streams_cut + 1 : x->agent->streams_cut - 1;
    }
    if (!cut) {
        uv_timer_stop(&x->timer);
    }
}

static void over(struct serve_stream *x, const struct error *err)
{
    assert(!x->over);
    if (x->resumable) {
        if (!x->ended) {
            log_info(x->agent->log, "serve", "%s: ended, because its client is gone%s%s", x->target,
                     err == NULL ? "" : ": ", err == NULL ? "" : err->message);
        }
        set_cut(x, false);
        list_remove(&x->link);
    }
    x->events.on_end(x, err, x->data);
    x->over = true; /* only now: the owner may end its side in on_end, and must find it */
    leave_wire(x, err);
    free_if_over(x);
}

/* ---- Out ---- */

static void pump(struct serve_stream *x)
{
    struct str payload;
    while (x->wire != NULL && channel_next(&x->channel, &payload)) {
        if (rpc_stream_write(x->wire->rpc, payload) != 0) {
            return; /* on_wire_writable, or the end of the wire */
        }
        channel_took(&x->channel);
    }
}

int serve_stream_write(struct serve_stream *x, struct str payload)
{
    if (x->ended || x->over) {
        return ERR_CLOSED;
    }
    if (!x->resumable) {
        return rpc_stream_write(x->wire->rpc, payload);
    }
    int rc = channel_write(&x->channel, payload);
    pump(x);
    return rc;
}

void serve_stream_consumed(struct serve_stream *x, size_t n)
{
    if (!x->resumable) {
        rpc_stream_consumed(x->wire->rpc, n);
        return;
    }
    channel_consumed(&x->channel, n);
    pump(x);
}

void serve_stream_end(struct serve_stream *x, const struct error *err)
{
    assert(!x->ended);
    x->ended = true;
    if (x->over) {
        free_if_over(x);
    } else if (x->resumable) {
        channel_end(&x->channel, err);
        pump(x);
    } else {
        wire_end(x->wire, err);
    }
}

/* ---- In ---- */

static void on_wire_data(struct rpc_stream *st, struct mp payload, size_t n, void *data)
{
    struct wire *w = data;
    struct serve_stream *x = w->owner;
    if (x != NULL && !x->resumable) {
        x->events.on_data(x, payload, n, x->data);
        return;
    }
    rpc_stream_consumed(st, n); /* the channel's window holds the client back */
    if (x == NULL) {
        return;
    }
    struct error err = {0};
    switch (channel_in(&x->channel, payload, &err)) {
    case CHANNEL_DATA:
        if (x->ended) {
            channel_consumed(&x->channel, n);
        } else {
            x->events.on_data(x, payload, n, x->data);
        }
        break;
    case CHANNEL_OWN:
        if (channel_room(&x->channel) && !x->ended) {
            x->events.on_writable(x, x->data);
        }
        break;
    case CHANNEL_ENDED: /* what clients say with the stream's own end */
        error_set(&err, ERR_CANCELED, "the client has ended it");
        over(x, &err);
        return;
    case CHANNEL_BAD:
        over(x, &err);
        return;
    }
    pump(x);
}

static void on_wire_writable(struct rpc_stream *st, void *data)
{
    struct wire *w = data;
    (void)st;
    if (w->owner != NULL && w->owner->resumable) {
        pump(w->owner);
    } else if (w->owner != NULL) {
        w->owner->events.on_writable(w->owner, w->owner->data);
    }
}

static void on_cut_tick(uv_timer_t *t)
{
    struct serve_stream *x = t->data;
    int64_t wait_ms = attend_tick(&x->limit, (int64_t)uv_now(t->loop));
    if (wait_ms > 0) {
        uv_timer_start(t, on_cut_tick, (uint64_t)wait_ms, 0);
        return;
    }
    struct error err = {0};
    error_set(&err, ERR_TIMEOUT, "its client did not come back in %d s", (int)(x->agent->cut_ms / 1000));
    over(x, &err);
}

static void begin_cut(struct serve_stream *x)
{
    int64_t wait_ms = attend_start(&x->limit, x->agent->cut_ms, (int64_t)uv_now(x->agent->loop));
    set_cut(x, true);
    channel_cut(&x->channel);
    uv_timer_start(&x->timer, on_cut_tick, (uint64_t)wait_ms, 0);
}

/* "The master is gone" and "the client is gone" are told apart here. Without a session it is the master that we have
 * lost; a master that serves a client of another one says ERR_CANCELED when it has lost that one
 * (master/front/relay.c). All else is the client's own will, or its death. */
static void on_wire_end(struct rpc_stream *st, const struct error *err, void *data)
{
    struct wire *w = data;
    struct serve_stream *x = w->owner;
    bool master_gone = rpc_stream_session(st) == NULL || (err != NULL && err->code == ERR_CANCELED);
    struct error why = err == NULL ? (struct error){0} : *err;
    if (x == NULL || x->resumable) {
        wire_end(w, NULL);
    }
    if (x == NULL) {
        free(w);
        return;
    }
    if (x->resumable && master_gone && !x->agent->stopping && x->agent->streams_cut < SERVE_CUT_MAX) {
        x->wire = NULL;
        free(w);
        begin_cut(x);
        return;
    }
    over(x, err == NULL ? NULL : &why);
    free(w);
}

static const struct rpc_stream_events wire_events = {
    .on_data = on_wire_data, .on_writable = on_wire_writable, .on_end = on_wire_end};

/* ---- Requests ---- */

static bool wire_new(struct serve_stream *x, struct rpc_request *r)
{
    struct wire *w = xcalloc(1, sizeof *w);
    w->owner = x;
    w->rpc = rpc_stream_accept(r, &wire_events, w);
    if (w->rpc == NULL) {
        free(w);
        return false;
    }
    x->wire = w;
    return true;
}

struct resume {
    struct str token;
    int64_t tries;
    uint64_t received;
    bool begun; /* the client has had a stream of this channel before */
};

/* False: what the request says is nonsense. */
static bool read_resume(struct mp params, struct resume *out)
{
    struct mp m = mp_get(params, "resume"), token = mp_get(m, "token"), received = mp_get(m, "received");
    *out = (struct resume){.tries = mp_int(mp_get(m, "try"), 0), .begun = mp_type(received) != MP_NONE};
    return mp_type(m) == MP_MAP && mp_read_bin(&token, &out->token) && out->token.n == CHANNEL_TOKEN &&
           out->tries > 0 && (!out->begun || mp_read_uint(&received, &out->received));
}

static struct serve_stream *find(struct agent *a, const struct resume *w)
{
    LIST_FOR(it, &a->streams)
    {
        struct serve_stream *x = LIST_ENTRY(it, struct serve_stream, link);
        if (memcmp(x->token, w->token.p, CHANNEL_TOKEN) == 0) {
            return x;
        }
    }
    return NULL;
}

/* Another pod may have the name by now: what is kept is not its. */
static bool pod_replaced(struct agent *a, const struct serve_stream *x, struct mp params)
{
    const struct agent_pod *ap = pods_find(a, mp_str(mp_get(params, "namespace")), mp_str(mp_get(params, "name")));
    return ap != NULL && strcmp(ap->uid, x->uid) != 0;
}

/* Whoever has the token and is another: it has leaked. */
static bool asked_by_another(const struct serve_stream *x, struct mp params)
{
    return x->asker[0] != '\0' && !str_is(mp_str(mp_get(params, "asker")), x->asker);
}

static int take_up(struct serve_stream *x, const struct resume *w, struct error *err)
{
    if (w->tries <= x->tries) { /* it was on its way for long, and the client has come another way since */
        return error_set(err, ERR_CONFLICT, "try %" PRId64 " to go on comes after try %" PRId64, w->tries, x->tries);
    }
    int rc = channel_resume(&x->channel, w->received, err);
    if (rc == 0) {
        struct error moved = {0};
        error_set(&moved, ERR_CLOSED, "the client goes on over another master");
        leave_wire(x, &moved);
        x->tries = w->tries;
        log_info(x->agent->log, "serve", "%s: its client goes on over another connection", x->target);
    }
    return rc;
}

bool serve_stream_resumed(struct agent *a, struct rpc_request *r, struct mp params, const char *target)
{
    struct resume w;
    struct error err = {0};
    if (mp_type(mp_get(params, "resume")) == MP_NONE) {
        return false;
    }
    if (!read_resume(params, &w)) {
        error_set_field(&err, ERR_USAGE, "resume", "resume: {token: bin of %u bytes, try: 1.., ?received: bytes}",
                        CHANNEL_TOKEN);
        rpc_reply_error(r, &err);
        return true;
    }
    struct serve_stream *x = find(a, &w);
    if (x == NULL && !w.begun) {
        return false;
    }
    if (x == NULL || strcmp(x->target, target) != 0) {
        error_set(&err, ERR_EXPIRED,
                  "node %s does not keep this stream: its agent was started again, or nobody came for it in %d s",
                  a->name, (int)(a->cut_ms / 1000));
    } else if (asked_by_another(x, params)) {
        error_set(&err, ERR_FORBIDDEN, "this stream was begun by another user, who alone may go on with it");
        log_warn(a->log, "serve", "%s: another user than the one who began it asked to go on with it", x->target);
    } else if (pod_replaced(a, x, params)) {
        error_set(&err, ERR_EXPIRED, "the pod that this stream led to is gone; another one has its name now");
    }
    if (err.code != 0 || take_up(x, &w, &err) != 0) {
        rpc_reply_error(r, &err);
        return true;
    }
    if (wire_new(x, r)) {
        set_cut(x, false);
        pump(x);
    } else if (!x->cut) {
        begin_cut(x);
    } else {
        channel_cut(&x->channel);
    }
    return true;
}

struct serve_stream *serve_stream_accept(struct agent *a, struct rpc_request *r, struct mp params, const char *target,
                                         const char *uid, const struct serve_stream_events *events, void *data)
{
    struct resume w;
    struct serve_stream *x = xcalloc(1, sizeof *x);
    x->agent = a;
    x->events = *events;
    x->data = data;
    x->resumable = read_resume(params, &w);
    if (x->resumable) { /* before the request goes, with its parameters */
        memcpy(x->token, w.token.p, CHANNEL_TOKEN);
        x->tries = w.tries;
        struct str asker = mp_str(mp_get(params, "asker"));
        x->asker = xstrndup(asker.n == 0 ? "" : asker.p, asker.n);
    }
    if (!wire_new(x, r)) {
        free(x->asker);
        free(x);
        return NULL;
    }
    if (x->resumable) {
        x->target = xstrdup(target);
        x->uid = xstrdup(uid);
        channel_init(&x->channel, true);
        uv_timer_init(a->loop, &x->timer);
        x->timer.data = x;
        list_push_back(&a->streams, &x->link);
        pump(x);
    }
    return x;
}

bool serve_target(char out[SERVE_TARGET_MAX], const char *method, struct mp params, struct str which)
{
    struct str ns = mp_str(mp_get(params, "namespace")), name = mp_str(mp_get(params, "name"));
    int n = snprintf(out, SERVE_TARGET_MAX, "%s %.*s/%.*s%s%.*s", method, STR_ARG(ns), STR_ARG(name),
                     str_empty(which) ? "" : " ", STR_ARG(which));
    return n >= 0 && (size_t)n < SERVE_TARGET_MAX;
}

void serve_streams_close(struct agent *a)
{
    LIST_FOR_SAFE(it, &a->streams)
    {
        struct serve_stream *x = LIST_ENTRY(it, struct serve_stream, link);
        if (x->cut) {
            struct error err = {0};
            error_set(&err, ERR_CANCELED, "the agent stops");
            over(x, &err);
        }
    }
}
