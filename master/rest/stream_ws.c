/* Channels as messages of WebSocket: the first byte says which (0 stdin, 1 stdout, 2 stderr, 3 error, 4 resize; of a
 * port-forward 2 i data and 2 i + 1 error of the i-th port), or, in base64, its digit. In v5 a message {255, N} ends
 * the client's side of channel N. Or, for a tunnel, messages are bytes of SPDY (stream_spdy.c). */
#include <stdio.h>

#include "master/rest/stream.h"
#include "proto/text/text.h"

#define CLOSES 255u /* the channel that ends others */

static const enum stream_use exec_uses[] = {STREAM_STDIN, STREAM_STDOUT, STREAM_STDERR, STREAM_ERROR, STREAM_RESIZE};

void stream_ws_message(struct rest_stream *s, struct str bytes)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    ws_put(&b, WS_BINARY, bytes, STR_NONE);
    rest_conn_send(s->call->conn, buf_str(&b));
}

static void write_message(struct stream_channel *ch, struct str bytes)
{
    CLEANUP_BUF struct buf b = BUF_INIT, text = BUF_INIT;
    if (stream_is_base64(ch->stream)) {
        buf_putc(&text, (char)('0' + ch->id));
        base64_write(&text, bytes.n == 0 ? "" : bytes.p, bytes.n);
        ws_put(&b, WS_TEXT, buf_str(&text), STR_NONE);
    } else {
        char id = (char)ch->id;
        ws_put(&b, WS_BINARY, (struct str){&id, 1}, bytes);
    }
    rest_conn_send(ch->stream->call->conn, buf_str(&b));
}

/* A channel that is over here is not told: nothing in the protocol does that. */
static void write_data(struct stream_channel *ch, struct str bytes, bool fin)
{
    (void)fin;
    if (stream_is_tunnel(ch->stream)) {
        stream_spdy.write(ch, bytes, fin);
    } else if (bytes.n > 0) {
        write_message(ch, bytes);
    }
}

/* ---- The channels: they are there from the beginning ---- */

static void begin_exec(struct rest_stream *s)
{
    for (unsigned i = 0; i < ARRAY_SIZE(exec_uses) && s->state == STREAM_OPEN; i++) {
        if (s->wants[exec_uses[i]]) {
            struct stream_channel *ch = stream_channel_new(s, i, exec_uses[i]);
            if (ch->use == STREAM_STDOUT || (ch->use == STREAM_STDERR && !s->wants[STREAM_STDOUT])) {
                write_message(ch, STR_NONE); /* as Kubernetes says that it is there */
            }
            s->does->open(ch);
        }
    }
}

static void begin_forward(struct rest_stream *s)
{
    for (unsigned i = 0; i < 2 * s->ports_count; i++) {
        struct stream_channel *ch = stream_channel_new(s, i, i % 2 == 0 ? STREAM_DATA : STREAM_ERROR);
        uint8_t port[2] = {(uint8_t)(s->ports[i / 2] & 0xff), (uint8_t)(s->ports[i / 2] >> 8)};
        ch->port = s->ports[i / 2];
        snprintf(ch->request, sizeof ch->request, "%u", i / 2);
        write_message(ch, (struct str){(const char *)port, 2});
    }
    for (unsigned i = 0; i < 2 * s->ports_count && s->state == STREAM_OPEN; i++) {
        struct stream_channel *ch = stream_channel_by_id(s, i);
        if (ch != NULL) {
            s->does->open(ch);
        }
    }
}

static void begin(struct rest_stream *s)
{
    if (stream_is_tunnel(s)) {
        return;
    }
    if (s->ports_count > 0 && s->does == &stream_forward) {
        begin_forward(s);
    } else {
        begin_exec(s);
    }
}

static void end(struct rest_stream *s, const char *why)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    unsigned code = why == NULL          ? WS_NORMAL
                    : s->close_code != 0 ? s->close_code
                    : s->ws_in.bad       ? s->ws_in.code
                                         : WS_PROTOCOL_ERROR;
    if (stream_is_tunnel(s)) {
        stream_spdy.end(s, why);
    }
    ws_put_close(&b, code, why == NULL ? "" : why);
    rest_conn_send(s->call->conn, buf_str(&b));
}

/* ---- What comes ---- */

static void on_fin(struct rest_stream *s, unsigned id)
{
    struct stream_channel *ch = stream_channel_by_id(s, id);
    if (ch != NULL && !ch->in_over) {
        ch->in_over = true;
        s->does->fin(ch);
    }
}

static void on_bytes(struct rest_stream *s, unsigned id, struct str bytes)
{
    struct stream_channel *ch = stream_channel_by_id(s, id);
    if (ch != NULL && !ch->in_over && bytes.n > 0) {
        s->does->data(ch, bytes);
    }
}

static void on_binary(struct rest_stream *s, const struct ws_event *e)
{
    struct str bytes = e->data;
    if (e->first) {
        s->ws_head = 0;
    }
    if (s->ws_head == 0 && bytes.n > 0) {
        s->ws_channel = (uint8_t)bytes.p[0];
        s->ws_head = 1;
        bytes.p++;
        bytes.n--;
    }
    if (s->ws_head > 0 && s->ws_channel == CLOSES && stream_level(s) >= 5) {
        if (s->ws_head == 1 && bytes.n > 0) {
            s->ws_head = 2;
            on_fin(s, (uint8_t)bytes.p[0]);
        }
    } else if (s->ws_head > 0) {
        on_bytes(s, s->ws_channel, bytes);
    }
}

static void on_base64(struct rest_stream *s, const struct ws_event *e)
{
    CLEANUP_BUF struct buf bytes = BUF_INIT;
    if (e->first) {
        buf_reset(&s->text);
    }
    if (s->text.size + e->data.n > STREAM_TEXT_MAX) {
        s->close_code = WS_TOO_LARGE;
        stream_fail(s, "a message in base64 is larger than 256 KiB");
        return;
    }
    buf_append_str(&s->text, e->data);
    if (!e->last || s->text.size == 0) {
        return;
    }
    struct str rest = {(const char *)s->text.data + 1, s->text.size - 1};
    if (!base64_read(&bytes, rest)) {
        s->close_code = WS_BAD_DATA;
        stream_fail(s, "a message is not a digit and base64");
        return;
    }
    on_bytes(s, (unsigned)(s->text.data[0] - '0'), buf_str(&bytes));
    buf_close(&s->text);
}

static void on_event(struct rest_stream *s, const struct ws_event *e)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    switch (e->op) {
    case WS_PING:
        if (!stream_is_full(s)) { /* whoever does not read what he asks for is not answered */
            ws_put(&b, WS_PONG, e->data, STR_NONE);
            rest_conn_send(s->call->conn, buf_str(&b));
        }
        break;
    case WS_CLOSE:
        rest_stream_end(s);
        break;
    case WS_TEXT:
    case WS_BINARY:
        if (stream_is_tunnel(s)) {
            stream_spdy_feed(s, (const uint8_t *)e->data.p, e->data.n);
        } else if (stream_is_base64(s)) {
            on_base64(s, e);
        } else {
            on_binary(s, e);
        }
        break;
    case WS_PONG:
    case WS_CONTINUATION:
        break;
    }
}

static void feed(struct rest_stream *s, const uint8_t *p, size_t n)
{
    size_t at = 0;
    while (s->state == STREAM_OPEN) {
        struct ws_event e;
        size_t used;
        enum ws_step step = ws_in_feed(&s->ws_in, p + at, n - at, &used, &e);
        at += used;
        if (step == WS_MORE) {
            return;
        }
        if (step == WS_BAD) {
            stream_fail(s, s->ws_in.why);
            return;
        }
        on_event(s, &e);
    }
}

const struct stream_carrier stream_ws = {.begin = begin, .feed = feed, .write = write_data, .end = end};
