/* msgpack-RPC messages: the end of one is found at the same place whatever the pieces it comes in, and agrees with
 * mp_valid. */
#include "proto/rpc/codec.h"
#include "tests/fuzz/fuzz.h"

#define LIMIT 65536u

static enum rpc_scan_result scan_in_pieces(const uint8_t *p, size_t n, unsigned step, size_t *end)
{
    struct rpc_scan s;
    enum rpc_scan_result r = RPC_SCAN_MORE;
    rpc_scan_init(&s);
    for (size_t have = 0; r == RPC_SCAN_MORE && have <= n;) {
        r = rpc_scan(&s, p, have, LIMIT);
        if (have == n) {
            break;
        }
        have = MIN(n, have + step);
    }
    *end = s.at;
    return r;
}

static void check_message(struct mp m)
{
    struct rpc_message msg;
    struct mp map, item;
    uint32_t id;
    unsigned side;
    CHECK(mp_valid(m) || mp_count(m) > 0); /* the scanner allows two levels more */
    if (!rpc_message_parse(m, &msg)) {
        return;
    }
    if (msg.type == RPC_MESSAGE_RESPONSE) {
        CHECK(msg.error.p >= m.p && msg.result.end <= m.end);
        return;
    }
    CHECK(msg.params.p > m.p && msg.params.end == m.end);
    if (rpc_message_params(msg.params, &map)) {
        CHECK(mp_type(map) == MP_MAP && map.end == m.end);
    }
    if (rpc_stream_params(msg.params, &id, &side, &item)) {
        CHECK(side <= 1 && item.p < item.end && item.end <= m.end);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input f = fuzz_input(data, size);
    unsigned step = 1 + fuzz_byte(&f) % 17;
    const uint8_t *p = f.p;
    size_t n = (size_t)(f.end - f.p);
    while (n > 0) {
        struct rpc_scan s;
        size_t end;
        rpc_scan_init(&s);
        enum rpc_scan_result r = rpc_scan(&s, p, n, LIMIT), pieces = scan_in_pieces(p, n, step, &end);
        CHECK(r == pieces);
        if (r != RPC_SCAN_DONE) {
            break;
        }
        CHECK(s.at == end && s.at > 0 && s.at <= n && s.at <= LIMIT);
        check_message(mp_of(p, s.at));
        p += s.at;
        n -= s.at;
    }
    return 0;
}
