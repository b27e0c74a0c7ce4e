/* Watches and logs over WebSocket, as browsers ask for them. A client says nothing but Ping and Close; what else it
 * sends is passed over.
 *
 * Of a watch each event is one message of text, the same JSON as a line over HTTP. A protocol that is offered is agreed
 * to (clients offer "base64.binary.k8s.io" and the like, and get text all the same, as from Kubernetes), but one that
 * carries a token. Of a log the bytes come as they come: as binary messages (binary.k8s.io, or no protocol), or as
 * base64 in messages of text (base64.binary.k8s.io); the first message is empty, and says that there is something.
 * Sources: Kubernetes' watch handler, and its readers over WebSocket. */
#include <stdlib.h>
#include <string.h>

#include "master/rest/stream.h"
#include "proto/text/text.h"

struct rest_ws {
    struct ws_in in;
    struct str key, protocol;
    bool bytes, base64; /* of a log; base64: as text */
    bool closed;        /* Close has been said */
};

#define BEARER "base64url.bearer."

/* The first one that is no token. */
static struct str choose_protocol(struct str list)
{
    while (list.n > 0) {
        const char *comma = memchr(list.p, ',', list.n);
        struct str one = {list.p, comma == NULL ? list.n : (size_t)(comma - list.p)};
        list.p += one.n + (comma != NULL);
        list.n -= one.n + (comma != NULL);
        while (one.n > 0 && one.p[0] == ' ') {
            one.p++;
            one.n--;
        }
        while (one.n > 0 && one.p[one.n - 1] == ' ') {
            one.n--;
        }
        if (one.n > 0 && !str_starts(one, STR(BEARER))) {
            return one;
        }
    }
    return STR_NONE;
}

bool rest_ws_decide(struct rest_call *c, const struct http_request *r)
{
    CLEANUP_BUF struct buf key = BUF_INIT;
    if (!http_header_has(r, "Connection", "Upgrade") || !http_header_has(r, "Upgrade", "websocket")) {
        return true;
    }
    if (r->minor == 0 || c->conn->in.body.size > 0 || !str_is(http_header(r, "Sec-WebSocket-Version"), "13") ||
        !ws_accept(&key, http_header(r, "Sec-WebSocket-Key"))) {
        rest_answer_failure(c, 400,
                            "a WebSocket is asked for without a body, with Sec-WebSocket-Version: 13 and a "
                            "Sec-WebSocket-Key of 16 bytes in base64");
        return false;
    }
    struct str protocol = choose_protocol(http_header(r, "Sec-WebSocket-Protocol"));
    bool bytes = c->what == REST_DO_LOG, base64 = str_is(protocol, "base64.binary.k8s.io");
    if (bytes && protocol.n > 0 && !base64 && !str_is(protocol, "binary.k8s.io")) {
        rest_answer_failure(c, 403, "unable to upgrade: logs are told in binary.k8s.io and base64.binary.k8s.io");
        return false;
    }
    c->ws = xcalloc(1, sizeof *c->ws);
    c->ws->bytes = bytes;
    c->ws->base64 = base64;
    ws_in_init(&c->ws->in);
    c->ws->key = (struct str){arena_strndup(&c->own, (const char *)key.data, key.size), key.size};
    c->ws->protocol =
        protocol.n == 0 ? STR_NONE : (struct str){arena_strndup(&c->own, protocol.p, protocol.n), protocol.n};
    return true;
}

void rest_ws_free(struct rest_ws *ws)
{
    if (ws != NULL) {
        ws_in_close(&ws->in);
        free(ws);
    }
}

void rest_ws_begin(struct rest_call *c)
{
    CLEANUP_BUF struct buf head = BUF_INIT;
    c->begun = true;
    c->keep_alive = c->chunks = false;
    http_put_status(&head, 101);
    rest_put_audit(c, &head, 101);
    http_put_header(&head, "Connection", STR("Upgrade"));
    http_put_header(&head, "Upgrade", STR("websocket"));
    http_put_header(&head, "Sec-WebSocket-Accept", c->ws->key);
    if (c->ws->protocol.n > 0) {
        http_put_header(&head, "Sec-WebSocket-Protocol", c->ws->protocol);
    }
    http_put_end(&head);
    if (c->ws->bytes) {
        ws_put(&head, c->ws->base64 ? WS_TEXT : WS_BINARY, STR_NONE, STR_NONE);
    }
    rest_conn_send(c->conn, buf_str(&head));
    rest_conn_upgraded(c->conn, false);
}

/* What has come of a log, in one message. */
static void put_bytes(const struct rest_ws *ws, struct buf *b, struct str bytes)
{
    CLEANUP_BUF struct buf text = BUF_INIT;
    if (ws->base64) {
        base64_write(&text, bytes.p, bytes.n);
        ws_put(b, WS_TEXT, buf_str(&text), STR_NONE);
    } else {
        ws_put(b, WS_BINARY, bytes, STR_NONE);
    }
}

void rest_ws_flush(struct rest_call *c)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct str rest = buf_str(&c->out);
    if (c->ws->bytes && rest.n > 0) {
        put_bytes(c->ws, &b, rest);
        rest.n = 0;
    }
    while (rest.n > 0) {
        const char *end = memchr(rest.p, '\n', rest.n);
        size_t n = end == NULL ? rest.n : (size_t)(end - rest.p);
        ws_put(&b, WS_TEXT, (struct str){rest.p, n}, STR_NONE);
        n += end != NULL;
        rest.p += n;
        rest.n -= n;
    }
    if (c->conn != NULL && b.size > 0 && !c->ws->closed) {
        rest_conn_send(c->conn, buf_str(&b));
    }
    buf_close(&c->out);
}

static void say_close(struct rest_call *c, unsigned code, const char *why)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    if (c->conn != NULL && !c->ws->closed) {
        ws_put_close(&b, code, why);
        rest_conn_send(c->conn, buf_str(&b));
    }
    c->ws->closed = true;
}

void rest_ws_end(struct rest_call *c)
{
    say_close(c, WS_NORMAL, "");
}

bool rest_ws_closed(const struct rest_ws *ws)
{
    return ws != NULL && ws->closed;
}

void rest_ws_feed(struct rest_call *c, const void *p, size_t n)
{
    struct ws_in *in = &c->ws->in;
    for (size_t at = 0; !c->ws->closed;) {
        CLEANUP_BUF struct buf b = BUF_INIT;
        struct ws_event e;
        size_t used;
        enum ws_step step = ws_in_feed(in, (const uint8_t *)p + at, n - at, &used, &e);
        at += used;
        if (step == WS_MORE) {
            return;
        }
        if (step == WS_BAD) {
            c->e.api.m->stats.rest_malformed++;
            say_close(c, in->code, in->why);
        } else if (e.op == WS_CLOSE) {
            say_close(c, WS_NORMAL, "");
        } else if (e.op == WS_PING && !rest_conn_is_full(c->conn)) {
            ws_put(&b, WS_PONG, e.data, STR_NONE);
            rest_conn_send(c->conn, buf_str(&b));
        }
    }
    c->until_ms = 0; /* the next tick ends it: the verb may be at it now */
}
