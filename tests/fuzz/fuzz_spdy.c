/* Frames of SPDY. Input: a byte that says in what pieces the rest is handed over. In pieces or whole, the same frames
 * come out, or the same refusal; memory stays within its bounds; and what came out, written anew, is read as the
 * same. */
#include "proto/spdy/spdy.h"
#include "tests/fuzz/fuzz.h"

/* Pieces of data as if they had come at once. */
static void tell(const struct spdy_frame *f, struct buf *out, uint32_t *data_of)
{
    if (f->type != SPDY_DATA || *data_of != f->stream) {
        buf_printf(out, "\n%u %u %u", (unsigned)f->type, f->stream, f->value);
    }
    buf_append_str(out, f->data);
    *data_of = f->type == SPDY_DATA ? f->stream : 0;
    for (unsigned i = 0; i < f->count; i++) {
        buf_printf(out, " %.*s=%.*s", STR_ARG(f->pairs[i].name), STR_ARG(f->pairs[i].value));
    }
    if (f->fin) {
        buf_puts(out, " fin");
        *data_of = 0;
    }
}

static void write_anew(struct spdy_out *out, const struct spdy_frame *f, struct buf *b)
{
    switch (f->type) {
    case SPDY_DATA:
        if (f->stream > 0) {
            spdy_put_data(b, f->stream, f->data, f->fin);
        }
        break;
    case SPDY_SYN_STREAM:
        spdy_put_stream(out, b, f->stream, f->fin, f->pairs, f->count);
        break;
    case SPDY_SYN_REPLY:
        spdy_put_reply(out, b, f->stream, f->fin, f->pairs, f->count);
        break;
    case SPDY_RST_STREAM:
        spdy_put_reset(b, f->stream, (enum spdy_status)f->value);
        break;
    case SPDY_PING:
        spdy_put_ping(b, f->value);
        break;
    case SPDY_GOAWAY:
        spdy_put_goaway(b, f->stream, f->value);
        break;
    case SPDY_SETTINGS:
    case SPDY_HEADERS:
    case SPDY_WINDOW_UPDATE:
        break;
    }
}

static void check_frame(const struct spdy_frame *f)
{
    CHECK(f->count <= SPDY_PAIRS_MAX && f->stream <= 0x7fffffffu);
    for (unsigned i = 0; i < f->count; i++) {
        CHECK(f->pairs[i].name.n > 0 && f->pairs[i].name.n + f->pairs[i].value.n <= SPDY_HEADERS_MAX);
    }
    CHECK(f->count == 0 || spdy_header(f, "streamtype").n <= SPDY_HEADERS_MAX);
}

/* anew: frames that this program writes are written there; NULL: not. */
static void run(const uint8_t *p, size_t n, size_t piece, struct buf *out, struct buf *anew)
{
    struct spdy_in in;
    struct spdy_out writer;
    uint32_t data_of = 0;
    size_t at = 0;
    spdy_in_init(&in);
    spdy_out_init(&writer);
    for (size_t end = MIN(piece, n);;) {
        struct spdy_frame f;
        size_t used;
        enum spdy_step step = spdy_in_feed(&in, p + at, end - at, &used, &f);
        at += used;
        CHECK(at <= end && spdy_in_held(&in) < (SPDY_CONTROL_MAX + SPDY_HEADERS_MAX) * 3 + (40u << 10));
        if (step == SPDY_FRAME) {
            check_frame(&f);
            tell(&f, out, &data_of);
            if (anew != NULL) {
                write_anew(&writer, &f, anew);
            }
        } else if (step == SPDY_BAD) {
            CHECK(in.why != NULL);
            buf_printf(out, "\n%s", in.why);
            break;
        } else {
            CHECK(at == end);
            if (end == n) {
                break;
            }
            end = MIN(end + piece, n);
        }
    }
    spdy_in_close(&in);
    spdy_out_close(&writer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input f = fuzz_input(data, size);
    size_t piece = fuzz_byte(&f) % 64u + 1u;
    struct str rest = fuzz_rest(&f);
    CLEANUP_BUF struct buf whole = BUF_INIT, pieces = BUF_INIT, anew = BUF_INIT, again = BUF_INIT, third = BUF_INIT,
                           last = BUF_INIT;
    run((const uint8_t *)rest.p, rest.n, rest.n == 0 ? 1 : rest.n, &whole, &anew);
    run((const uint8_t *)rest.p, rest.n, piece, &pieces, NULL);
    CHECK(str_eq(buf_str(&whole), buf_str(&pieces)));
    run(anew.data, anew.size, piece, &again, &third);
    run(third.data, third.size, 64, &last, NULL);
    CHECK(str_eq(buf_str(&again), buf_str(&last)));
    return 0;
}
