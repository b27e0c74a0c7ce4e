/* A stream to a node that outlives the master it leads over: exec, attach, port-forward.
 *
 *   WAITING --timer--> OPENING --accepted--> OPEN
 *      ^                  |                    |     ends with an error that may pass: WAITING again; else ENDED
 *      \------------------+--------------------/
 *
 * What was sent and what has come is counted by a channel (proto/rpc/channel.h), so that the next stream goes on where
 * the last one was cut. A node that knows no channels does not greet; then a cut is the end, as it always was. Streams
 * that are not resumable (backup, image load) are plain from the start. A wire is one rpc stream; it lives until
 * that has ended, and the channel may have left it before. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/env.h"
#include "client/api/api_internal.h"
#include "client/api/channel.h"
#include "proto/rpc/channel.h"

#define OPEN_MS     10000 /* the node has to answer as well */
#define REST_MS_MIN 20
#define REST_MS_MAX 1000
#define GREET_MS                                                                                                       \
    2000 /* a node whose greeting does not come is taken for one that knows no channels, when it must be known */

enum state { WAITING, OPENING, OPEN, ENDED };

struct wire {
    struct api_channel *owner; /* NULL: left */
    struct rpc_stream *rpc;
    bool ended; /* our side */
};

struct api_channel {
    struct api *api;
    struct api_channel_events events;
    void *data;
    char *method;
    struct buf params, asked; /* asked: with what belongs to the try */
    bool resumable, once;     /* once: the first opening is tried once, by api_channel_try */
    enum state state;
    struct channel channel;
    uint8_t token[CHANNEL_TOKEN];
    unsigned tries;
    struct wire *wire;           /* NULL: none */
    struct rpc_session *session; /* of the wire; to be compared only */
    bool opened;                 /* once at least */
    bool finished;               /* our side, for good */
    bool in_event, closed;
    uv_timer_t timer;
    int64_t since_ms, state_ms; /* of the trouble (0 = none); of the state */
    int64_t rest_ms;
    struct error error;
};

static void arm(struct api_channel *c);

/* ---- Wires ---- */

static void wire_end(struct wire *w)
{
    if (!w->ended) {
        w->ended = true;
        rpc_stream_end(w->rpc, NULL);
    }
}

static void leave_wire(struct api_channel *c)
{
    struct wire *w = TAKE_PTR(c->wire);
    if (w != NULL) {
        w->owner = NULL;
        wire_end(w);
    }
}

static void set_state(struct api_channel *c, enum state state)
{
    c->state = state;
    c->state_ms = api_now();
    arm(c);
}

static void end(struct api_channel *c, const struct error *err)
{
    assert(c->state != ENDED);
    set_state(c, ENDED);
    c->error = err == NULL ? (struct error){0} : *err;
    leave_wire(c);
    c->events.on_end(c, c->error.code == 0 ? NULL : &c->error, c->data);
}

static bool is_plain(const struct api_channel *c)
{
    return c->channel.plain && c->channel.out.kept.size == 0;
}

static void pump(struct api_channel *c)
{
    struct str payload;
    while (c->state == OPEN && c->wire != NULL && channel_next(&c->channel, &payload)) {
        if (rpc_stream_write(c->wire->rpc, payload) != 0) {
            return;
        }
        channel_took(&c->channel);
    }
}

/* The node knows no channels, as far as we can tell. */
static void go_plain(struct api_channel *c)
{
    channel_set_plain(&c->channel);
    pump(c);
    if (channel_room(&c->channel) && c->events.on_writable != NULL && !c->finished) {
        c->events.on_writable(c, c->data);
    }
}

static void well(struct api_channel *c)
{
    c->since_ms = 0;
    c->rest_ms = REST_MS_MIN;
    c->api->told_cut = false;
}

/* ---- When it goes wrong ---- */

static int64_t patience_ms(const struct api_channel *c)
{
    if (c->opened) {
        return API_RESUME_MS;
    }
    return c->error.code == ERR_BUSY ? MIN(API_BUSY_MS, c->api->deadline_ms) : c->api->deadline_ms;
}

static void tell(struct api_channel *c)
{
    struct api *a = c->api;
    if (a->told_cut || a->tell == NULL || c->since_ms == 0 || api_now() - c->since_ms < API_TELL_MS) {
        return;
    }
    a->told_cut = true;
    fprintf(a->tell, "waiting: %s%s%s; it goes on as soon as a master leads to the node\n",
            c->opened ? "the connection was cut" : "no connection yet", c->error.code == 0 ? "" : ": ",
            c->error.message);
    fflush(a->tell);
}

static void troubled(struct api_channel *c, const struct error *err)
{
    struct api *a = c->api;
    int64_t now = api_now();
    bool passes =
        api_worth_retry(err) || ((err->code == ERR_SYSTEM || err->code == ERR_IO) && a->session != c->session);
    bool again = !c->opened ? !c->once && (err->code != ERR_TIMEOUT || a->session != c->session)
                            : c->resumable && c->channel.known && !c->channel.plain;
    c->error = *err;
    a->refused = a->session == c->session && err->code != ERR_CLOSED && err->code != ERR_TIMEOUT;
    c->since_ms = c->since_ms == 0 ? now : c->since_ms;
    if (!passes || !again || c->finished || now - c->since_ms > patience_ms(c)) {
        end(c, err);
        return;
    }
    bool master_at_fault = err->code != ERR_BUSY && err->code != ERR_LIMIT;
    if (c->opened) {
        channel_cut(&c->channel);
    }
    if (master_at_fault && a->session != NULL && a->session == c->session) {
        api_next_server(a);
    }
    set_state(c, WAITING);
    c->rest_ms = MIN(2 * c->rest_ms, REST_MS_MAX);
}

/* ---- The stream ---- */

static void on_open(struct rpc_stream *st, struct mp result, void *data)
{
    struct wire *w = data;
    struct api_channel *c = w->owner;
    (void)st, (void)result;
    if (c == NULL) {
        return;
    }
    bool first = !c->opened;
    c->opened = true;
    set_state(c, OPEN);
    if (!c->resumable || first) {
        well(c);
    }
    if (first && c->events.on_open != NULL) {
        c->events.on_open(c, c->data);
    }
    pump(c);
}

static void on_data(struct rpc_stream *st, struct mp payload, size_t n, void *data)
{
    struct wire *w = data;
    struct api_channel *c = w->owner;
    struct error err = {0};
    bool own = c != NULL && c->resumable && mp_type(payload) == MP_ARRAY;
    if (c == NULL) {
        rpc_stream_consumed(st, n);
        return;
    }
    if (!own && !c->channel.known) { /* a node that knows no channels, or a stream that needs none */
        if (!c->channel.plain) {
            go_plain(c);
        }
        c->events.on_data(c, payload, n, c->data);
        return;
    }
    rpc_stream_consumed(st, n); /* the channel's window holds the node back */
    switch (channel_in(&c->channel, payload, &err)) {
    case CHANNEL_DATA:
        c->events.on_data(c, payload, n, c->data);
        break;
    case CHANNEL_OWN:
        if (c->since_ms != 0 && !c->channel.waiting) {
            well(c);
        }
        if (channel_room(&c->channel) && c->events.on_writable != NULL && !c->finished) {
            c->events.on_writable(c, c->data);
        }
        break;
    case CHANNEL_ENDED:
    case CHANNEL_BAD:
        end(c, err.code == 0 ? NULL : &err);
        return;
    }
    if (w->owner != NULL) {
        pump(c);
    }
}

static void on_writable(struct rpc_stream *st, void *data)
{
    struct wire *w = data;
    (void)st;
    if (w->owner == NULL) {
        return;
    }
    struct api_channel *c = w->owner;
    pump(c);
    if (is_plain(c) && c->events.on_writable != NULL && !c->finished) {
        c->events.on_writable(c, c->data);
    }
}

static bool is_old_master(const struct api_channel *c, const struct error *err)
{
    return c->resumable && !c->opened && err != NULL && err->code == ERR_USAGE &&
           strstr(err->message, "\"resume\"") != NULL;
}

/* The parameters as they were given, and what makes it a channel. */
static void write_params(struct api_channel *c, struct buf *out, struct str params)
{
    struct mp m = mp_of(params.p, params.n);
    if (!c->resumable) {
        buf_append_str(out, params);
        return;
    }
    mp_write_map_and(out, m, 1);
    mp_write_cstr(out, "resume");
    mp_write_map(out, c->opened ? 3 : 2);
    mp_write_cstr(out, "token");
    mp_write_bin(out, c->token, sizeof c->token);
    mp_write_key_int(out, "try", ++c->tries);
    if (c->opened) {
        mp_write_key_int(out, "received", (int64_t)channel_received(&c->channel));
    }
}

static void on_end(struct rpc_stream *st, const struct error *err, void *data);

static void open_wire(struct api_channel *c, struct str params)
{
    static const struct rpc_stream_events events = {
        .on_open = on_open, .on_data = on_data, .on_writable = on_writable, .on_end = on_end};
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct wire *w = xcalloc(1, sizeof *w);
    write_params(c, &b, params);
    w->owner = c;
    c->wire = w;
    c->session = api_session(c->api);
    set_state(c, OPENING);
    w->rpc = rpc_stream_open(c->session, c->method, buf_str(&b), &events, w);
    assert(w->rpc != NULL);
}

static void on_end(struct rpc_stream *st, const struct error *err, void *data)
{
    struct wire *w = data;
    struct api_channel *c = w->owner;
    (void)st;
    wire_end(w);
    if (c != NULL) {
        c->wire = NULL;
        if (is_old_master(c, err)) { /* as it is with streams that end with their master */
            c->resumable = false;
            go_plain(c);
            open_wire(c, buf_str(&c->asked));
        } else if (err == NULL) {
            end(c, NULL);
        } else {
            troubled(c, err);
        }
    }
    free(w);
}

static void try_again(struct api_channel *c)
{
    buf_reset(&c->asked);
    api_add_timeout(c->api, &c->asked, buf_str(&c->params), OPEN_MS);
    open_wire(c, buf_str(&c->asked));
}

/* ---- Time ---- */

static void on_timer(uv_timer_t *t)
{
    struct api_channel *c = t->data;
    int64_t passed_ms = api_now() - c->state_ms;
    tell(c);
    if (c->state == WAITING && passed_ms >= MAX(c->rest_ms, c->error.retry_after_ms)) {
        try_again(c);
        return;
    }
    if (c->state == OPENING && passed_ms >= OPEN_MS && c->api->session == c->session) {
        api_next_server(c->api); /* closing the session ends the stream */
        return;
    }
    if (c->state == OPEN && c->channel.out.refused && !c->channel.known && passed_ms >= GREET_MS) {
        go_plain(c); /* what comes now cannot be kept: better no resumption than no end */
        return;
    }
    arm(c);
}

/* The timer looks again when something may be due. */
static void arm(struct api_channel *c)
{
    int64_t now = api_now(), at = INT64_MAX;
    bool unknown = c->state == OPEN && c->channel.out.refused && !c->channel.known && !c->channel.plain;
    at = c->state == WAITING ? c->state_ms + MAX(c->rest_ms, c->error.retry_after_ms) : at;
    at = c->state == OPENING && !c->once ? c->state_ms + OPEN_MS : at;
    at = unknown ? c->state_ms + GREET_MS : at;
    if (c->state != ENDED && c->since_ms != 0 && !c->api->told_cut && c->api->tell != NULL) {
        at = MIN(at, c->since_ms + API_TELL_MS);
    }
    uv_timer_stop(&c->timer);
    if (at != INT64_MAX && c->state != ENDED) {
        uv_update_time(&c->api->loop);
        uv_timer_start(&c->timer, on_timer, (uint64_t)MAX(at - now, 1), 0);
    }
}

/* ---- For its owner ---- */

struct api_channel *api_channel_new(struct api *a, const char *method, struct str params, bool resumable,
                                    const struct api_channel_events *events, void *data)
{
    struct api_channel *c = xcalloc(1, sizeof *c);
    assert(events->on_data != NULL && events->on_end != NULL);
    *c = (struct api_channel){.api = a,
                              .events = *events,
                              .data = data,
                              .method = xstrdup(method),
                              .resumable = resumable,
                              .once = true,
                              .state = ENDED,
                              .rest_ms = REST_MS_MIN};
    buf_append_str(&c->params, params);
    env_random(env_real(), c->token, sizeof c->token);
    channel_init(&c->channel, false);
    c->channel.plain = !resumable;
    uv_timer_init(&a->loop, &c->timer);
    c->timer.data = c;
    return c;
}

void api_channel_try(struct api_channel *c, struct str params)
{
    assert(c->state == ENDED && !c->opened);
    c->since_ms = 0;
    buf_reset(&c->asked);
    buf_append_str(&c->asked, params);
    open_wire(c, params);
}

void api_channel_start(struct api_channel *c)
{
    assert(c->state == ENDED && !c->opened);
    c->once = false;
    c->since_ms = api_now();
    try_again(c);
}

int api_channel_write(struct api_channel *c, struct str payload)
{
    if (c->finished || c->state == ENDED) {
        return ERR_CLOSED;
    }
    if (is_plain(c)) {
        return c->state == OPEN ? rpc_stream_write(c->wire->rpc, payload) : ERR_BUSY;
    }
    int rc = channel_write(&c->channel, payload);
    pump(c);
    if (rc == ERR_BUSY && !c->channel.known) {
        arm(c);
    }
    return rc;
}

void api_channel_consumed(struct api_channel *c, size_t n)
{
    if (c->channel.known) {
        channel_consumed(&c->channel, n);
        pump(c);
    } else if (c->wire != NULL) {
        rpc_stream_consumed(c->wire->rpc, n);
    }
}

void api_channel_finish(struct api_channel *c)
{
    if (c->finished) {
        return;
    }
    c->finished = true;
    if (c->wire != NULL) {
        wire_end(c->wire);
    } else if (c->state != ENDED) {
        end(c, NULL);
    }
}

static void on_closed(uv_handle_t *h)
{
    struct api_channel *c = h->data;
    channel_close(&c->channel);
    buf_close(&c->params);
    buf_close(&c->asked);
    free(c->method);
    free(c);
}

void api_channel_free(struct api_channel *c)
{
    c->state = ENDED;
    leave_wire(c);
    uv_close((uv_handle_t *)&c->timer, on_closed);
}
