/* What a container says to a gRPC probe. Input: a byte that says in what pieces the rest is handed over. In pieces or
 * whole, the verdict, its words and what is sent back are the same; memory stays within its bounds. With the highest
 * bit the rest is a service's name: the question has sound frames, whatever it is. */
#include "agent/pod/grpc_health.h"
#include "tests/fuzz/fuzz.h"

#define HEAD_SIZE 9u
#define FRAME_MAX 16384u

struct verdict {
    enum grpc_health_result result;
    char why[160];
    struct buf out;
};

static void feed(struct str bytes, size_t piece, struct verdict *v)
{
    struct grpc_health g;
    grpc_health_init(&g);
    v->result = GRPC_HEALTH_MORE;
    for (size_t at = 0; at < bytes.n && v->result == GRPC_HEALTH_MORE; at += piece) {
        v->result = grpc_health_feed(&g, bytes.p + at, MIN(piece, bytes.n - at), &v->out, v->why);
        CHECK(v->result != GRPC_HEALTH_MORE || g.in.size < HEAD_SIZE + FRAME_MAX);
        CHECK(g.message.size <= 1024);
    }
    CHECK(v->result != GRPC_HEALTH_BAD || (v->why[0] != '\0' && memchr(v->why, '\0', sizeof v->why) != NULL));
    grpc_health_close(&g);
}

static void ask(struct str service)
{
    static const char hello[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    CLEANUP_BUF struct buf out = BUF_INIT;
    grpc_health_ask(&out, STR("10.0.0.1:50051"), service);
    size_t at = sizeof hello - 1;
    CHECK(out.size > at && memcmp(out.data, hello, at) == 0);
    while (at < out.size) {
        CHECK(out.size - at >= HEAD_SIZE);
        size_t n = (size_t)out.data[at] << 16 | (size_t)out.data[at + 1] << 8 | out.data[at + 2];
        CHECK(n <= FRAME_MAX);
        at += HEAD_SIZE + n;
    }
    CHECK(at == out.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input f = fuzz_input(data, size);
    uint8_t head = fuzz_byte(&f);
    struct str rest = fuzz_rest(&f);
    struct verdict whole = {.out = BUF_INIT}, pieces = {.out = BUF_INIT};
    if ((head & 0x80) != 0) {
        ask(rest);
        return 0;
    }
    feed(rest, rest.n == 0 ? 1 : rest.n, &whole);
    feed(rest, head % 64u + 1u, &pieces);
    CHECK(whole.result == pieces.result && strcmp(whole.why, pieces.why) == 0);
    CHECK(str_eq(buf_str(&whole.out), buf_str(&pieces.out)));
    buf_close(&whole.out);
    buf_close(&pieces.out);
    return 0;
}
