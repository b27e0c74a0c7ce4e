/* Requests of HTTP/1.1 out of bytes, however these are cut; and what must be refused. Each row is fed whole, and cut in
 * two at every place, with the same result. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "proto/http/http.h"

#define BODY_MAX 64u

/* Everything that a request says, in one line; several, one behind the other. */
static void tell(struct buf *out, const struct http_request *r)
{
    buf_printf(out, "%.*s %.*s ? %.*s 1.%u%s", STR_ARG(r->method), STR_ARG(r->path), STR_ARG(r->query), r->minor,
               r->keep_alive ? "" : " close");
    for (unsigned i = 0; i < r->headers_count; i++) {
        if (!http_is_word(r->headers[i].name, "host")) {
            buf_printf(out, " %.*s=%.*s", STR_ARG(r->headers[i].name), STR_ARG(r->headers[i].value));
        }
    }
    buf_printf(out, " [%.*s]\n", STR_ARG(r->body));
}

/* cut: bytes of the first piece. */
static void feed(struct str text, size_t cut, struct buf *out)
{
    struct http_in in;
    size_t at = 0, end = cut, heads = 0;
    http_in_init(&in, BODY_MAX);
    for (bool more = true; more;) {
        size_t used;
        enum http_step step = http_in_feed(&in, text.p + at, end - at, &used);
        at += used;
        assert_true(at <= end && http_in_held(&in) < HTTP_HEAD_MAX * 3);
        if (step == HTTP_MORE) {
            assert_int_equal(at, end);
            more = end < text.n;
            end = text.n;
        } else if (step == HTTP_HEAD) {
            heads++;
        } else if (step == HTTP_WHOLE) {
            tell(out, &in.request);
            http_in_next(&in);
            assert_int_equal(heads--, 1);
        } else {
            buf_printf(out, "%u\n", in.status);
            more = false;
        }
    }
    if (in.state != HTTP_IN_BAD && http_in_begun(&in)) {
        buf_puts(out, "...\n");
    }
    http_in_close(&in);
}

static const struct {
    const char *bytes, *told;
} rows[] = {
    {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / ?  1.1 []\n"},
    {"GET /a?b=c HTTP/1.1\r\nHost: a\r\nX:  y \r\n\r\n", "GET /a ? b=c 1.1 X=y []\n"},
    {"\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n", "GET / ?  1.1 []\n"},
    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "GET / ?  1.1 close Connection=close []\n"},
    {"GET / HTTP/1.0\r\n\r\n", "GET / ?  1.0 close []\n"},
    {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET / ?  1.0 Connection=keep-alive []\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /x HTTP/1.1\r\nHost: a\r\n\r\n",
     "POST / ?  1.1 Content-Length=3 [abc]\nGET /x ?  1.1 []\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: 1\r\n\r\n",
     "POST / ?  1.1 Transfer-Encoding=chunked [abcde]\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
     "POST / ?  1.1 Transfer-Encoding=Chunked []\nGET / ?  1.1 []\n"},
    {"GET / HTTP/1.1\r\nHost: a\r\nContent-Len", "...\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab", "...\n"},
    /* What two readers could read differently. */
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", "400\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", "400\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc", "400\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc", "400\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc", "400\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\nabc", "400\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nabc", "400\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "501\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", "501\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", "501\n"},
    {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400\n"},
    {"GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", "400\n"},
    {"GET / HTTP/1.1\r\nHost: a\r\n X: y\r\n\r\n", "400\n"},
    {"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n", "400\n"},
    {"GET / HTTP/1.1\nHost: a\r\n\r\n", "400\n"},
    {"GET / HTTP/1.1\r\nHost: a\n\r\n", "400\n"},
    {"GET / HTTP/1.1\r\nHost: a\r\nX: y\rZ: w\r\n\r\n", "400\n"},
    {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400\n"},
    {"GET / HTTP/1.1\r\n\r\n", "400\n"},
    {"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "400\n"},
    {"GET /\tx HTTP/1.1\r\nHost: a\r\n\r\n", "400\n"},
    {"GET a HTTP/1.1\r\nHost: a\r\n\r\n", "400\n"},
    {"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "400\n"},
    {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", "400\n"},
    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505\n"},
    {"GET /\r\n\r\n", "400\n"},
    {"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", "400\n"},
    {"GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n", "417\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65\r\n\r\n", "413\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n41\r\n", "413\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n", "413\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n100000000\r\n", "400\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "400\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\r\n", "400\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n", "400\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n", "400\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3 \t;x\r\nabc\r\n0 \r\n\r\n",
     "POST / ?  1.1 Transfer-Encoding=chunked [abc]\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3 4\r\nabc\r\n", "400\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n 3\r\nabc\r\n", "400\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n", "400\n"},
    {"\r\n\r\n\r\n\r\n\r\n\r\n", "400\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     "400\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0b"
     "chunked\r\n\r\n0\r\n\r\n",
     "400\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", "501\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n0\r\n\r\n", "501\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\n: y\r\n\r\n", "400\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3 4\r\n\r\nabc", "400\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3_0\r\n\r\nabc", "400\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551619\r\n\r\nabc", "400\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent_Length: 3\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
     "POST / ?  1.1 Content_Length=3 []\nGET / ?  1.1 []\n"},
    /* A line feed alone, in an extension or a trailer: who takes it for an end reads another request there. */
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x\nabc\r\n0\r\n\r\n", "400\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x\ry\r\nabc\r\n0\r\n\r\n", "400\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nT: 1\n\r\n", "400\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\n", "400\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1_0\r\nabc\r\n", "400\n"},
};

static void test_requests_are_read_however_they_are_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct str text = str_of(rows[i].bytes);
        for (size_t cut = 0; cut <= text.n; cut++) {
            CLEANUP_BUF struct buf told = BUF_INIT;
            feed(text, cut, &told);
            if (strcmp(buf_cstr(&told), rows[i].told) != 0) {
                fail_msg("%s\ncut at %zu: \"%s\" instead of \"%s\"", rows[i].bytes, cut, buf_cstr(&told), rows[i].told);
            }
        }
    }
}

static void test_long_lines_and_heads_are_refused(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf line = BUF_INIT, told = BUF_INIT;
    buf_puts(&line, "GET /");
    for (unsigned i = 0; i < HTTP_LINE_MAX; i++) {
        buf_putc(&line, 'x');
    }
    feed(buf_str(&line), 1, &told);
    assert_string_equal(buf_cstr(&told), "431\n");
    buf_reset(&line);
    buf_reset(&told);
    buf_puts(&line, "GET / HTTP/1.1\r\nHost: a\r\n");
    while (line.size <= HTTP_HEAD_MAX) {
        buf_printf(&line, "X-Long: %0999d\r\n", 1);
    }
    feed(buf_str(&line), 1, &told);
    assert_string_equal(buf_cstr(&told), "431\n");
    buf_reset(&line);
    buf_reset(&told);
    buf_puts(&line, "GET / HTTP/1.1\r\n");
    for (unsigned i = 0; i <= HTTP_HEADERS_MAX; i++) {
        buf_puts(&line, "X: y\r\n");
    }
    buf_puts(&line, "\r\n");
    feed(buf_str(&line), 1, &told);
    assert_string_equal(buf_cstr(&told), "431\n");
}

static void test_the_client_is_told_when_its_body_may_come(void **state)
{
    (void)state;
    struct http_in in;
    struct str head = STR("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    size_t used;
    http_in_init(&in, BODY_MAX);
    assert_int_equal(http_in_feed(&in, head.p, head.n, &used), HTTP_HEAD);
    assert_int_equal(used, head.n);
    assert_true(in.request.expect_continue);
    assert_int_equal(http_in_feed(&in, "ab", 2, &used), HTTP_WHOLE);
    http_in_close(&in);
}

static void test_targets_are_decoded(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b = BUF_INIT;
    assert_true(http_decode(&b, STR("a%2Fb+c%3d"), false));
    assert_string_equal(buf_cstr(&b), "a/b+c=");
    buf_reset(&b);
    assert_true(http_decode(&b, STR("a+b%20"), true));
    assert_string_equal(buf_cstr(&b), "a b ");
    static const char *const bad[] = {"%", "%1", "%zz", "%00", "a%2"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_false(http_decode(&b, str_of(bad[i]), false));
    }
    struct str rest = STR("&a=1&&b&c=d=e"), k, v;
    assert_true(http_query_next(&rest, &k, &v) && str_is(k, "a") && str_is(v, "1"));
    assert_true(http_query_next(&rest, &k, &v) && str_is(k, "b") && v.n == 0);
    assert_true(http_query_next(&rest, &k, &v) && str_is(k, "c") && str_is(v, "d=e"));
    assert_false(http_query_next(&rest, &k, &v));
}

static void test_media_types_have_parameters_and_quality(void **state)
{
    (void)state;
    struct str rest = STR("application/json;as=Table ; v=\"v1\";q=0.25, , */*;q=0, text/plain;q=x");
    struct http_media m;
    assert_true(http_media_next(&rest, &m) && str_is(m.type, "application/json") && m.q == 250);
    assert_true(str_is(http_media_param(&m, "AS"), "Table") && str_is(http_media_param(&m, "v"), "v1"));
    assert_true(http_media_param(&m, "w").p == NULL);
    assert_true(http_media_next(&rest, &m) && str_is(m.type, "*/*") && m.q == 0);
    assert_true(http_media_next(&rest, &m) && str_is(m.type, "text/plain") && m.q == 0);
    assert_false(http_media_next(&rest, &m));
}

static void test_tags_are_found_in_lists(void **state)
{
    (void)state;
    static const char *const has[] = {"\"a\"", "W/\"a\"", "\"b\", \"a\"", "\"b\" ,W/\"a\",", "*", "\"b,c\", \"a\""};
    static const char *const has_not[] = {"", "a", "\"A\"", "\"b\"", "\"b,\"a\"", "w/\"a\"", "\"a", ",,"};
    for (size_t i = 0; i < ARRAY_SIZE(has); i++) {
        assert_true(http_has_tag(str_of(has[i]), "\"a\""));
    }
    for (size_t i = 0; i < ARRAY_SIZE(has_not); i++) {
        assert_false(http_has_tag(str_of(has_not[i]), "\"a\""));
    }
}

static void test_headers_of_answers_cannot_be_split(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b = BUF_INIT;
    http_put_status(&b, 404);
    http_put_header(&b, "Warning", STR("a\r\nb"));
    http_put_chunk(&b, STR_NONE);
    http_put_chunk(&b, STR("0123456789abcdef"));
    http_put_last_chunk(&b);
    assert_string_equal(buf_cstr(&b), "HTTP/1.1 404 Not Found\r\nWarning: a  b\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n");
}

/* What another server's head says; bad: it never will be one. */
static void test_heads_of_answers_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text, *wanted;
    } heads[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: a b \r\n\r\nhello", "200 [OK] 5 Content-Length=5 X=a b +5"},
        {"HTTP/1.0 404\r\n\r\n", "404 [] +0"},
        {"HTTP/1.1 204 \r\nA:\r\n\r\n", "204 [] A= +0"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "200 [OK] chunked Transfer-Encoding=chunked +0"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
         "200 [OK] 5 Content-Length=5 Content-Length=5 +0"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", "bad"},
        {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "bad"},
        {"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n", "bad"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", "bad"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "bad"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "bad"},
        {"HTTP/1.1 200 OK\r\n folded: x\r\n\r\n", "bad"},
        {"HTTP/1.1 200 OK\r\nname : x\r\n\r\n", "bad"},
        {"HTTP/1.1 200 OK\r\nname: a\nb: c\r\n\r\n", "bad"},
        {"HTTP/1.1 200 OK\r\nname: a\rb\r\n\r\n", "bad"},
        {"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "bad"},
        {"HTTP/1.1 20 OK\r\n\r\n", "bad"},
        {"HTTP/1.1 999 OK\r\n\r\n", "bad"},
        {"HTTP/2.0 200 OK\r\n\r\n", "bad"},
        {"\r\n\r\n", "bad"},
        {"HTTP/1.1 200 OK\r\nA: b\r\n", "more"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
        CLEANUP_BUF struct buf b = BUF_INIT;
        struct http_reply r;
        size_t size = strlen(heads[i].text);
        int64_t n = http_reply_read(heads[i].text, size, &r);
        if (n > 0) {
            buf_printf(&b, "%u [%.*s]%s", r.status, STR_ARG(r.reason), r.chunked ? " chunked" : "");
            if (r.has_length) {
                buf_printf(&b, " %llu", (unsigned long long)r.length);
            }
            for (unsigned k = 0; k < r.headers_count; k++) {
                buf_printf(&b, " %.*s=%.*s", STR_ARG(r.headers[k].name), STR_ARG(r.headers[k].value));
            }
            buf_printf(&b, " +%zu", size - (size_t)n);
        } else {
            buf_puts(&b, n < 0 ? "bad" : "more");
        }
        assert_string_equal(buf_cstr(&b), heads[i].wanted);
        for (size_t cut = 0; n > 0 && cut < (size_t)n; cut++) {
            assert_true(http_reply_read(heads[i].text, cut, &r) == 0);
        }
    }
    CLEANUP_BUF struct buf endless = BUF_INIT;
    while (endless.size <= HTTP_HEAD_MAX) {
        buf_puts(&endless, "HTTP/1.1 200 OK\r\n");
    }
    struct http_reply r;
    assert_true(http_reply_read(endless.data, endless.size, &r) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_are_read_however_they_are_cut),
        cmocka_unit_test(test_long_lines_and_heads_are_refused),
        cmocka_unit_test(test_the_client_is_told_when_its_body_may_come),
        cmocka_unit_test(test_targets_are_decoded),
        cmocka_unit_test(test_media_types_have_parameters_and_quality),
        cmocka_unit_test(test_tags_are_found_in_lists),
        cmocka_unit_test(test_headers_of_answers_cannot_be_split),
        cmocka_unit_test(test_heads_of_answers_are_read),
    };
    cmocka_set_test_filter(getenv("TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
