/* One stream at a time, blocking to open and to close. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "client/api/api_internal.h"
#include "client/api/channel.h"

#define STREAM_REST_MS  200
#define STREAM_CLOSE_MS 1000

struct api_stream {
    struct api *api;
    struct api_channel *channel;
    struct api_stream_events events;
    void *data;
    bool settled; /* opened or ended */
    bool opened, ended, finished;
    struct error error; /* of the end; code 0 = regular */
};

static void stream_open(struct api_channel *c, void *data)
{
    (void)c;
    struct api_stream *s = data;
    s->opened = true;
    s->settled = true;
}

static void stream_data(struct api_channel *c, struct mp payload, size_t payload_bytes, void *data)
{
    struct api_stream *s = data;
    s->events.on_data(payload, s->data);
    api_channel_consumed(c, payload_bytes);
}

static void stream_writable(struct api_channel *c, void *data)
{
    (void)c;
    struct api_stream *s = data;
    if (s->events.on_writable != NULL) {
        s->events.on_writable(s->data);
    }
}

static void stream_end(struct api_channel *c, const struct error *err, void *data)
{
    (void)c;
    struct api_stream *s = data;
    if (err != NULL) {
        s->error = *err;
    }
    s->ended = true;
    s->settled = true;
}

/* Those whose other end is a thing of its own on a node. */
static bool is_resumable(const char *method)
{
    return strcmp(method, "exec") == 0 || strcmp(method, "attach") == 0;
}

static void open_once(struct api_stream *s, struct api_patience *p, const char *method, struct str params,
                      int64_t deadline_ms)
{
    s->settled = s->opened = s->ended = s->finished = false;
    s->error = (struct error){0};
    CLEANUP_BUF struct buf b = BUF_INIT;
    api_add_timeout(s->api, &b, params, deadline_ms - api_now());
    api_channel_try(s->channel, buf_str(&b));
    /* The node has to answer as well, so the master alone may be quick. */
    if (api_wait(s->api, p, &s->settled, deadline_ms, API_PROBE_MS, API_SILENT_MS) != API_WAIT_DONE) {
        api_next_server(s->api); /* closing the session ends the stream */
        api_run(s->api, &s->settled, 0);
        error_set(&s->error, ERR_TIMEOUT, "%s: no answer within %lld ms; waited for %s", method,
                  (long long)(api_now() - p->start_ms), p->text);
    }
}

int api_stream_open(struct api *a, const char *method, const struct value *params,
                    const struct api_stream_events *events, void *data, struct api_stream **out, struct error *err)
{
    assert(events->on_data != NULL);
    static const struct api_channel_events channel_events = {
        .on_open = stream_open, .on_data = stream_data, .on_writable = stream_writable, .on_end = stream_end};
    struct api_stream *s = xcalloc(1, sizeof(*s));
    *s = (struct api_stream){.api = a, .events = *events, .data = data};
    CLEANUP_BUF struct buf b = BUF_INIT;
    msgpack_write_value(&b, params);
    s->channel = api_channel_new(a, method, buf_str(&b), is_resumable(method), &channel_events, s);
    struct api_patience p;
    api_patience_init(&p);
    for (unsigned tries = 1;; tries++) {
        open_once(s, &p, method, buf_str(&b), p.start_ms + a->deadline_ms);
        if (s->opened) {
            *out = s;
            return 0;
        }
        a->refused = s->error.code != ERR_CLOSED && s->error.code != ERR_TIMEOUT && a->session != NULL;
        bool lost = s->error.code == ERR_SYSTEM && a->session == NULL; /* the connection, not the node */
        if (api_old_master(a, &s->error)) {
            continue;
        }
        int64_t patience_ms = s->error.code == ERR_BUSY ? MIN(API_BUSY_MS, a->deadline_ms) : a->deadline_ms;
        bool twice = s->error.code == ERR_UNKNOWN_OUTCOME && strcmp(method, "exec") == 0; /* a command runs once */
        if (!(api_worth_retry(&s->error) || lost) || twice || api_now() - p.start_ms > patience_ms) {
            break;
        }
        if (s->error.code == ERR_BUSY) {
            api_waits_for(&p, "%s", s->error.message);
        } else if (a->refused) {
            api_waits_for(&p, "the masters are electing a leader");
        }
        api_next_server(a);
        if (tries % a->servers_count == 0) {
            api_rest(a, &p, STREAM_REST_MS);
        }
    }
    if (s->error.code == 0) {
        error_set(&s->error, ERR_CLOSED, "%s: the other side ended it at once", method);
    }
    *err = s->error;
    api_channel_free(s->channel);
    free(s);
    return err->code;
}

int api_stream_write(struct api_stream *s, struct str payload)
{
    return s->finished ? ERR_CLOSED : api_channel_write(s->channel, payload);
}

void api_stream_finish(struct api_stream *s)
{
    if (!s->finished) {
        s->finished = true;
        api_channel_finish(s->channel);
    }
}

const bool *api_stream_ended(const struct api_stream *s)
{
    return &s->ended;
}

int api_stream_close(struct api_stream *s, struct error *err)
{
    if (s == NULL) {
        return 0;
    }
    api_stream_finish(s);
    if (!s->ended && !api_run(s->api, &s->ended, STREAM_CLOSE_MS)) {
        api_next_server(s->api);
        api_run(s->api, &s->ended, 0);
        s->error.code = 0; /* we wanted it to end */
    }
    int rc = s->error.code;
    if (rc != 0 && err != NULL) {
        s->api->refused = rc != ERR_CLOSED && rc != ERR_TIMEOUT && s->api->session != NULL;
        *err = s->error;
    }
    api_channel_free(s->channel);
    free(s);
    return rc;
}
