/* Requests of HTTP/1.1, and heads of answers. Input: a byte that says in what pieces the rest is handed over. In pieces
 * or whole, the same requests come out, or the same refusal; memory stays within its bounds; and what stands in a
 * request (its path, its query, its media types) is read to its end. */
#include "proto/http/http.h"
#include "tests/fuzz/fuzz.h"

#define BODY_MAX 512u

static void read_parts(const struct http_request *r, struct buf *out)
{
    struct str rest = r->query, key, value;
    struct http_media m;
    CLEANUP_BUF struct buf text = BUF_INIT;
    buf_printf(out, "%d", http_decode(&text, r->path, false));
    while (http_query_next(&rest, &key, &value)) {
        buf_printf(out, "%d", http_decode(&text, value, true));
    }
    struct str tags = http_header(r, "If-None-Match");
    buf_printf(out, "%d", http_has_tag(tags, "\"a\""));
    rest = http_header(r, "Accept");
    while (http_media_next(&rest, &m)) {
        CHECK(m.q <= 1000);
        buf_printf(out, "%.*s,%.*s", STR_ARG(m.type), STR_ARG(http_media_param(&m, "as")));
    }
}

static void tell(const struct http_request *r, struct buf *out)
{
    buf_printf(out, "%.*s %.*s %.*s %u %d", STR_ARG(r->method), STR_ARG(r->path), STR_ARG(r->query), r->minor,
               r->keep_alive);
    for (unsigned i = 0; i < r->headers_count; i++) {
        buf_printf(out, " %.*s=%.*s", STR_ARG(r->headers[i].name), STR_ARG(r->headers[i].value));
    }
    read_parts(r, out);
    buf_append_str(out, r->body);
    buf_putc(out, '\n');
}

static void run(const uint8_t *p, size_t n, size_t piece, struct buf *out)
{
    struct http_in in;
    size_t at = 0;
    http_in_init(&in, BODY_MAX);
    for (size_t end = MIN(piece, n);;) {
        size_t used;
        enum http_step step = http_in_feed(&in, p + at, end - at, &used);
        at += used;
        CHECK(at <= end && in.body.size <= BODY_MAX && http_in_held(&in) < HTTP_HEAD_MAX * 3);
        if (step == HTTP_WHOLE) {
            CHECK(in.request.headers_count <= HTTP_HEADERS_MAX && in.request.method.n > 0);
            tell(&in.request, out);
            http_in_next(&in);
        } else if (step == HTTP_BAD) {
            CHECK(in.status >= 400 && in.why != NULL);
            buf_printf(out, "%u", in.status);
            break;
        } else if (step == HTTP_MORE) {
            CHECK(at == end);
            if (end == n) {
                break;
            }
            end = MIN(end + piece, n);
        }
    }
    http_in_close(&in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input f = fuzz_input(data, size);
    size_t piece = fuzz_byte(&f) % 64u + 1u;
    struct str rest = fuzz_rest(&f);
    CLEANUP_BUF struct buf whole = BUF_INIT, pieces = BUF_INIT;
    struct http_reply reply;
    int64_t head = http_reply_read(rest.p, rest.n, &reply);
    CHECK(head <= (int64_t)rest.n && (head <= 0 || (reply.status >= 100 && !(reply.chunked && reply.has_length))));
    run((const uint8_t *)rest.p, rest.n, rest.n == 0 ? 1 : rest.n, &whole);
    run((const uint8_t *)rest.p, rest.n, piece, &pieces);
    CHECK(str_eq(buf_str(&whole), buf_str(&pieces)));
    return 0;
}
