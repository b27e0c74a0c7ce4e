/* Channels as streams of SPDY/3.1, which the client opens: each is answered at once, since clients open the next one
 * only then. On the connection itself, or inside the messages of a WebSocket.
 *
 * Headers of a stream: `streamtype` (error, stdin, stdout, stderr, resize, data), and of a port-forward `port` and
 * `requestid`, by which its two streams find each other; clients that send no `requestid` open the error stream first
 * and the data stream next, so the id of the former names both. */
#include <stdio.h>

#include "master/rest/stream.h"

static void say(struct rest_stream *s, const struct buf *b)
{
    if (stream_is_tunnel(s)) {
        stream_ws_message(s, buf_str(b));
    } else {
        rest_conn_send(s->call->conn, buf_str(b));
    }
}

static void begin(struct rest_stream *s)
{
    (void)s;
}

static void write_data(struct stream_channel *ch, struct str bytes, bool fin)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    spdy_put_data(&b, ch->id, bytes, fin);
    say(ch->stream, &b);
}

static void end(struct rest_stream *s, const char *why)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    spdy_put_goaway(&b, s->last_id, why == NULL ? 0 : SPDY_PROTOCOL_ERROR);
    say(s, &b);
}

/* ---- What the client opens ---- */

static void reset(struct rest_stream *s, uint32_t id, enum spdy_status status)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    spdy_put_reset(&b, id, status);
    say(s, &b);
}

static bool read_use(const struct spdy_frame *f, enum stream_use *use)
{
    static const char *const names[] = {
        [STREAM_ERROR] = "error",   [STREAM_STDIN] = "stdin",   [STREAM_STDOUT] = "stdout",
        [STREAM_STDERR] = "stderr", [STREAM_RESIZE] = "resize", [STREAM_DATA] = "data",
    };
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        if (str_is(spdy_header(f, "streamtype"), names[i])) {
            *use = (enum stream_use)i;
            return true;
        }
    }
    return false;
}

/* False: the headers make no sense. */
static bool read_port(struct stream_channel *ch, const struct spdy_frame *f)
{
    struct str port = spdy_header(f, "port"), request = spdy_header(f, "requestid");
    int64_t n = 0;
    if (port.n > 0 && (!str_to_int64(port, &n) || n < 1 || n > 65535)) {
        return false;
    }
    ch->port = (uint16_t)n;
    if (request.n > 0) {
        snprintf(ch->request, sizeof ch->request, "%.*s", (int)MIN(request.n, sizeof ch->request - 1), request.p);
    } else {
        snprintf(ch->request, sizeof ch->request, "#%u", ch->use == STREAM_ERROR ? ch->id : ch->id - 2);
    }
    return request.n < sizeof ch->request;
}

static void on_stream(struct rest_stream *s, const struct spdy_frame *f)
{
    enum stream_use use;
    if (f->stream % 2 == 0 || f->stream <= s->last_id) {
        stream_fail(s, "a stream has a number that is not a client's next");
        return;
    }
    s->last_id = f->stream;
    if (!read_use(f, &use)) {
        reset(s, f->stream, SPDY_REFUSED_STREAM);
        return;
    }
    if (s->channels_count >= STREAM_CHANNELS_MAX) {
        reset(s, f->stream, SPDY_REFUSED_STREAM);
        return;
    }
    struct stream_channel *ch = stream_channel_new(s, f->stream, use);
    CLEANUP_BUF struct buf b = BUF_INIT;
    spdy_put_reply(&s->spdy_out, &b, f->stream, false, NULL, 0);
    say(s, &b);
    if (!read_port(ch, f) || !s->does->open(ch)) {
        reset(s, f->stream, SPDY_REFUSED_STREAM);
        stream_channel_free(ch);
        return;
    }
    ch = s->state == STREAM_OPEN ? stream_channel_by_id(s, f->stream) : NULL; /* it may have ended at once */
    if (f->fin && ch != NULL) {
        ch->in_over = true;
        s->does->fin(ch);
    }
}

static void on_data(struct rest_stream *s, const struct spdy_frame *f)
{
    struct stream_channel *ch = stream_channel_by_id(s, f->stream);
    if (ch == NULL || ch->in_over) {
        return; /* of one that was refused, or is over on this side */
    }
    if (f->data.n > 0) {
        s->does->data(ch, f->data);
    }
    ch = s->state == STREAM_OPEN ? stream_channel_by_id(s, f->stream) : NULL;
    if (f->fin && ch != NULL) {
        ch->in_over = true;
        s->does->fin(ch);
    }
}

static void on_reset(struct rest_stream *s, const struct spdy_frame *f)
{
    struct stream_channel *ch = stream_channel_by_id(s, f->stream);
    if (ch != NULL) {
        ch->in_over = ch->out_over = ch->reset = true;
        s->does->fin(ch);
    }
}

/* Whoever does not read what he asks for is not answered. */
static void on_ping(struct rest_stream *s, const struct spdy_frame *f)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    if (f->value % 2 == 1 && !stream_is_full(s)) {
        spdy_put_ping(&b, f->value);
        say(s, &b);
    }
}

static void on_frame(struct rest_stream *s, const struct spdy_frame *f)
{
    switch (f->type) {
    case SPDY_SYN_STREAM:
        on_stream(s, f);
        break;
    case SPDY_DATA:
        on_data(s, f);
        break;
    case SPDY_RST_STREAM:
        on_reset(s, f);
        break;
    case SPDY_PING:
        on_ping(s, f);
        break;
    case SPDY_SYN_REPLY:
    case SPDY_HEADERS:
    case SPDY_GOAWAY: /* it hangs up when it has read what is still to come */
    case SPDY_SETTINGS:
    case SPDY_WINDOW_UPDATE:
        break;
    }
}

void stream_spdy_feed(struct rest_stream *s, const uint8_t *p, size_t n)
{
    size_t at = 0;
    while (s->state == STREAM_OPEN) {
        struct spdy_frame f;
        size_t used;
        enum spdy_step step = spdy_in_feed(&s->spdy_in, p + at, n - at, &used, &f);
        at += used;
        if (step == SPDY_MORE) {
            return;
        }
        if (step == SPDY_BAD) {
            stream_fail(s, s->spdy_in.why);
            return;
        }
        on_frame(s, &f);
    }
}

const struct stream_carrier stream_spdy = {.begin = begin, .feed = stream_spdy_feed, .write = write_data, .end = end};
