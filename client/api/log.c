/* Logs that survive masters and agents: every piece comes with the place behind it, and a stream that was cut is opened
 * again at that place.
 *
 *   WAITING --timer--> OPENING --accepted--> OPEN
 *      ^                  |                    |     end with an error that may pass: WAITING again; else ENDED
 *      \\------------------+--------------------/
 *
 * A piece and its place arrive in one message or not at all, so what was given to the caller and `place` always
 * agree. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/api/api_internal.h"

#define OPEN_MS     10000 /* the node has to answer as well */
#define REST_MS_MIN 20
#define REST_MS_MAX 1000
#define NOTE_MS     2000 /* of trouble, before the user is told */
#define CLOSE_MS    1000

enum log_state { LOG_WAITING, LOG_OPENING, LOG_OPEN, LOG_ENDED };

struct api_log {
    struct api *api;
    struct arena arena;
    struct value *params;
    struct api_log_events events;
    void *data;
    enum log_state state;
    uv_timer_t timer; /* WAITING: the next try; OPENING: patience */
    bool timer_closed;
    struct rpc_stream *stream;   /* NULL: over */
    struct rpc_session *session; /* that it is on; to be compared only */
    bool finished;               /* our side of the stream */
    bool closing;                /* nobody listens any more */
    bool ended;                  /* nothing more comes */
    bool follow, opened_once, noted;
    char place[512]; /* "" = none yet: the whole request again */
    int64_t limit;   /* of limitBytes, what is left; 0 = none was set */
    int64_t since;   /* of the trouble; 0 = none */
    int64_t rest_ms;
    struct error error;
};

static void end(struct api_log *l)
{
    uv_timer_stop(&l->timer);
    l->state = LOG_ENDED;
    l->ended = true;
}

static void on_timer(uv_timer_t *t);

static void well(struct api_log *l)
{
    l->since = 0;
    l->rest_ms = REST_MS_MIN;
    l->noted = false;
}

/* Another master, or later, may do better. */
static bool may_pass(const struct api_log *l, const struct error *e)
{
    bool lost = (e->code == ERR_SYSTEM || e->code == ERR_IO) && l->api->session != l->session; /* the connection */
    return api_worth_retry(e) || lost;
}

static void troubled(struct api_log *l)
{
    struct api *a = l->api;
    int64_t now = api_now();
    int64_t patience = l->opened_once && l->follow ? API_LOG_PATIENCE_MS : a->deadline_ms;
    a->refused = a->session == l->session && l->error.code != ERR_CLOSED && l->error.code != ERR_TIMEOUT;
    l->since = l->since == 0 ? now : l->since;
    if (l->closing || !may_pass(l, &l->error) || now - l->since > patience) {
        end(l);
        return;
    }
    if (!l->noted && now - l->since > NOTE_MS && l->events.on_note != NULL) {
        char text[ERROR_MESSAGE_MAX + 128];
        l->noted = true;
        snprintf(text, sizeof(text),
                 l->opened_once ? "the log was cut (%s); it goes on when the node can be reached" : "waiting: %s",
                 l->error.message);
        l->events.on_note(text, l->data);
    }
    bool master_at_fault = l->error.code != ERR_BUSY && l->error.code != ERR_LIMIT;
    if (master_at_fault && a->session != NULL && a->session == l->session) {
        api_next_server(a);
    }
    l->state = LOG_WAITING;
    uv_update_time(&a->loop);
    uv_timer_start(&l->timer, on_timer, (uint64_t)MAX(l->rest_ms, l->error.retry_after_ms), 0);
    l->rest_ms = MIN(2 * l->rest_ms, REST_MS_MAX);
}

/* ---- The stream ---- */

static void log_opened(struct rpc_stream *st, struct mp result, void *data)
{
    struct api_log *l = data;
    (void)st, (void)result;
    uv_timer_stop(&l->timer);
    l->state = LOG_OPEN;
    l->opened_once = true;
}

static void log_data(struct rpc_stream *st, struct mp payload, size_t payload_bytes, void *data)
{
    struct api_log *l = data;
    struct mp text = mp_get(payload, "text");
    struct str after = mp_str(mp_get(payload, "after")), bytes = STR_NONE;
    if (!l->closing && mp_read_bin(&text, &bytes) && after.n < sizeof(l->place)) {
        well(l);
        if (mp_bool(mp_get(payload, "gap"), false) && l->events.on_note != NULL) {
            l->events.on_note("lines are missing here: the node has rotated them away before they could be read",
                              l->data);
        }
        if (after.n > 0) {
            memcpy(l->place, after.p, after.n);
            l->place[after.n] = '\0';
        }
        l->limit -= l->limit > 0 ? (int64_t)bytes.n : 0;
        if (bytes.n > 0) {
            l->events.on_text(bytes, l->data);
        }
    }
    rpc_stream_consumed(st, payload_bytes);
}

static void log_end(struct rpc_stream *st, const struct error *err, void *data)
{
    struct api_log *l = data;
    l->stream = NULL;
    if (!l->finished) {
        rpc_stream_end(st, NULL);
    }
    uv_timer_stop(&l->timer);
    l->error = err == NULL ? (struct error){0} : *err;
    if (err == NULL) {
        end(l);
    } else {
        troubled(l);
    }
}

static void try_open(struct api_log *l)
{
    static const struct rpc_stream_events events = {.on_open = log_opened, .on_data = log_data, .on_end = log_end};
    if (l->place[0] != '\0') {
        value_set(&l->arena, l->params, "after", value_cstr(&l->arena, l->place));
        value_remove(l->params, "tailLines");
        value_remove(l->params, "sinceSeconds");
    }
    if (l->limit > 0) {
        value_set(&l->arena, l->params, "limitBytes", value_int(&l->arena, l->limit));
    }
    CLEANUP_BUF struct buf b = BUF_INIT;
    msgpack_write_value(&b, l->params);
    l->finished = false;
    l->session = api_session(l->api);
    l->state = LOG_OPENING;
    uv_update_time(&l->api->loop);
    uv_timer_start(&l->timer, on_timer, OPEN_MS, 0);
    l->stream = rpc_stream_open(l->session, "logs", buf_str(&b), &events, l);
    if (l->stream == NULL) {
        uv_timer_stop(&l->timer);
        error_set(&l->error, ERR_CLOSED, "the connection was closed");
        troubled(l);
    }
}

static void on_timer(uv_timer_t *t)
{
    struct api_log *l = t->data;
    if (l->state == LOG_WAITING) {
        try_open(l);
    } else if (l->api->session == l->session) {
        api_next_server(l->api); /* closing the session ends the stream */
    }
}

/* ---- Life ---- */

struct api_log *api_log_open(struct api *a, const struct value *params, const struct api_log_events *events, void *data)
{
    struct api_log *l = xcalloc(1, sizeof(*l));
    CLEANUP_BUF struct buf copy = BUF_INIT;
    *l = (struct api_log){.api = a, .events = *events, .data = data, .rest_ms = REST_MS_MIN};
    assert(events->on_text != NULL);
    arena_init(&l->arena);
    msgpack_write_value(&copy, params);
    int rc = msgpack_read_value(&l->arena, copy.data, copy.size, &l->params, &l->error);
    assert(rc == 0);
    (void)rc;
    value_set(&l->arena, l->params, "places", value_bool(&l->arena, true));
    l->follow = value_path_bool(l->params, "follow", false);
    l->limit = value_path_int(l->params, "limitBytes", 0);
    uv_timer_init(&a->loop, &l->timer);
    l->timer.data = l;
    api_ping_start(a, true);
    l->since = api_now();
    uv_timer_start(&l->timer, on_timer, 0, 0);
    return l;
}

const bool *api_log_ended(const struct api_log *l)
{
    return &l->ended;
}

static void timer_closed(uv_handle_t *h)
{
    ((struct api_log *)h->data)->timer_closed = true;
}

int api_log_close(struct api_log *l, struct error *err)
{
    struct api *a = l->api;
    bool wanted = !l->ended; /* we end it: no error */
    l->closing = true;
    uv_timer_stop(&l->timer);
    if (l->stream != NULL) {
        l->finished = true;
        rpc_stream_end(l->stream, NULL);
        if (!api_run(a, &l->ended, CLOSE_MS)) {
            api_next_server(a);
            api_run(a, &l->ended, 0);
        }
    }
    api_ping_stop(a, true);
    uv_close((uv_handle_t *)&l->timer, timer_closed);
    api_run(a, &l->timer_closed, 0);
    int rc = wanted ? 0 : l->error.code;
    if (rc != 0 && err != NULL) {
        *err = l->error;
    }
    arena_close(&l->arena);
    free(l);
    return rc;
}
