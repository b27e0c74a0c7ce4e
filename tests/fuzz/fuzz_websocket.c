/* Messages of WebSocket. Input: a byte that says in what pieces the rest is handed over. In pieces or whole, the same
 * messages come out, or the same refusal; a control frame is short and comes at once; pieces of a message have one
 * first and one last; and a handshake's key is answered, or refused. */
#include "proto/websocket/websocket.h"
#include "tests/fuzz/fuzz.h"

static void tell(const struct ws_event *e, struct buf *out, bool *within)
{
    bool message = e->op == WS_TEXT || e->op == WS_BINARY;
    CHECK(message || e->op == WS_CLOSE || e->op == WS_PING || e->op == WS_PONG);
    CHECK(message ? e->first != *within : e->first && e->last && e->data.n <= WS_CONTROL_MAX);
    if (message) {
        *within = !e->last;
    }
    if (e->first) {
        buf_printf(out, "\n%u %u ", (unsigned)e->op, e->code);
    }
    buf_append_str(out, e->data);
    buf_puts(out, e->last ? " last" : "");
}

static void run(const uint8_t *p, size_t n, size_t piece, struct buf *out)
{
    struct ws_in in;
    bool within = false;
    size_t at = 0;
    ws_in_init(&in);
    for (size_t end = MIN(piece, n);;) {
        struct ws_event e;
        size_t used;
        enum ws_step step = ws_in_feed(&in, p + at, end - at, &used, &e);
        at += used;
        CHECK(at <= end && in.piece.size <= n);
        if (step == WS_EVENT) {
            tell(&e, out, &within);
        } else if (step == WS_BAD) {
            CHECK(in.why != NULL && in.code >= 1000);
            buf_printf(out, "\n%u %s", in.code, in.why);
            CLEANUP_BUF struct buf last = BUF_INIT;
            ws_put_close(&last, in.code, in.why);
            CHECK(last.size <= 2 + WS_CONTROL_MAX);
            break;
        } else {
            CHECK(at == end);
            if (end == n) {
                break;
            }
            end = MIN(end + piece, n);
        }
    }
    ws_in_close(&in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input f = fuzz_input(data, size);
    size_t piece = fuzz_byte(&f) % 64u + 1u;
    struct str rest = fuzz_rest(&f);
    CLEANUP_BUF struct buf whole = BUF_INIT, pieces = BUF_INIT, key = BUF_INIT;
    run((const uint8_t *)rest.p, rest.n, rest.n == 0 ? 1 : rest.n, &whole);
    run((const uint8_t *)rest.p, rest.n, piece, &pieces);
    CHECK(str_eq(buf_str(&whole), buf_str(&pieces)));
    CHECK(!ws_accept(&key, rest) || (rest.n == 24 && key.size == 28));
    return 0;
}
