/* Messages of WebSocket out of bytes, however these are cut; the handshake; and what must be refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "proto/websocket/websocket.h"

static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};

/* Everything that an event says; pieces of a message as if they had come at once. */
static void tell(struct buf *out, const struct ws_event *e)
{
    bool message = e->op == WS_TEXT || e->op == WS_BINARY;
    if (e->first) {
        buf_printf(out, "%u ", (unsigned)e->op);
    }
    buf_append_str(out, e->data);
    if (e->op == WS_CLOSE) {
        buf_printf(out, " %u", e->code);
    }
    buf_puts(out, !message || e->last ? "\n" : "");
}

static void feed(struct str bytes, size_t cut, struct buf *out)
{
    struct ws_in in;
    size_t at = 0, end = cut;
    ws_in_init(&in);
    for (;;) {
        struct ws_event e;
        size_t used;
        enum ws_step step = ws_in_feed(&in, bytes.p + at, end - at, &used, &e);
        at += used;
        assert_true(at <= end);
        if (step == WS_EVENT) {
            tell(out, &e);
        } else if (step == WS_BAD) {
            buf_printf(out, "bad %u: %s\n", in.code, in.why);
            break;
        } else {
            assert_int_equal(at, end);
            if (end == bytes.n) {
                break;
            }
            end = bytes.n;
        }
    }
    ws_in_close(&in);
}

static void expect(struct str bytes, const char *wanted)
{
    for (size_t cut = 0; cut <= bytes.n; cut++) {
        CLEANUP_BUF struct buf out = BUF_INIT;
        feed(bytes, cut, &out);
        assert_string_equal(buf_cstr(&out), wanted);
    }
}

static void the_handshake_is_the_specifications(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf out = BUF_INIT;
    assert_true(ws_accept(&out, STR("dGhlIHNhbXBsZSBub25jZQ=="))); /* RFC 6455 section 1.3 */
    assert_string_equal(buf_cstr(&out), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_false(ws_accept(&out, STR("dGhlIHNhbXBsZSBub25jZQ")));
    assert_false(ws_accept(&out, STR("dGhlIHNhbXBsZSBub25jZQ==x")));
    assert_false(ws_accept(&out, STR("!!!!!!!!!!!!!!!!!!!!!!==")));
    assert_false(ws_accept(&out, STR_NONE));
}

static void messages_come_out_however_they_are_cut(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b = BUF_INIT, text = BUF_INIT, wanted = BUF_INIT;
    for (unsigned i = 0; i < 200; i++) {
        buf_putc(&text, (char)('a' + i % 26));
    }
    ws_put_masked(&b, WS_BINARY, true, STR("\1some bytes"), mask);
    ws_put_masked(&b, WS_TEXT, false, STR("frag"), mask);
    ws_put_masked(&b, WS_PING, true, STR("hm"), mask); /* between fragments */
    ws_put_masked(&b, WS_CONTINUATION, false, STR(""), mask);
    ws_put_masked(&b, WS_CONTINUATION, true, STR("ments"), mask);
    ws_put_masked(&b, WS_BINARY, true, STR(""), mask);
    ws_put_masked(&b, WS_BINARY, true, buf_str(&text), mask);
    ws_put_masked(&b, WS_CLOSE, true, STR("\x03\xe8well"), mask);
    buf_printf(&wanted, "2 \1some bytes\n1 frag9 hm\nments\n2 \n2 %s\n8 well 1000\n", buf_cstr(&text));
    expect(buf_str(&b), buf_cstr(&wanted));
}

static void lengths_of_every_size_are_read(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 125, 126, 65535, 65536, 200000};
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        CLEANUP_BUF struct buf plain = BUF_INIT, b = BUF_INIT, back = BUF_INIT, ours = BUF_INIT;
        for (size_t n = 0; n < sizes[i]; n++) {
            buf_putc(&plain, (char)n);
        }
        ws_put_masked(&b, WS_BINARY, true, buf_str(&plain), mask);
        struct ws_in in;
        ws_in_init(&in);
        bool last = false;
        for (size_t at = 0; !last;) {
            struct ws_event e;
            size_t used;
            if (ws_in_feed(&in, b.data + at, MIN(b.size - at, (size_t)777), &used, &e) == WS_EVENT) {
                buf_append_str(&back, e.data);
                last = e.last;
            }
            at += used;
        }
        ws_in_close(&in);
        assert_true(str_eq(buf_str(&plain), buf_str(&back)));
        ws_put(&ours, WS_BINARY, STR("c"), buf_str(&plain));
        size_t head = sizes[i] + 1 < 126 ? 2 : sizes[i] + 1 < 65536 ? 4 : 10;
        assert_int_equal(ours.size, head + 1 + sizes[i]);
    }
}

#define BYTES(text) ((struct str){text, sizeof(text) - 1})

static void what_is_malformed_ends_the_reading(void **state)
{
    (void)state;
    expect(BYTES("\xc2\x80\0\0\0\0"), "bad 1002: a reserved bit is set, and no extension was agreed on\n");
    expect(BYTES("\x83\x80\0\0\0\0"), "bad 1002: the operation of a frame is not known\n");
    expect(BYTES("\x8b\x80\0\0\0\0"), "bad 1002: the operation of a frame is not known\n");
    expect(BYTES("\x82\1x"), "bad 1002: a frame of a client has no mask\n");
    expect(BYTES("\x09\x80\0\0\0\0"), "bad 1002: a control frame is in fragments, or longer than 125 bytes\n");
    expect(BYTES("\x89\xfe\0\x7e\0\0\0\0"), "bad 1002: a control frame is in fragments, or longer than 125 bytes\n");
    expect(BYTES("\x80\x80\0\0\0\0"), "bad 1002: a fragment goes on with no message\n");
    expect(BYTES("\x02\x80\0\0\0\0\x82\x80\0\0\0\0"), "2 bad 1002: a message begins within another one\n");
    expect(BYTES("\x82\xfe\0\x05\0\0\0\0"), "bad 1002: the length of a frame is not written in its shortest form\n");
    expect(BYTES("\x82\xff\0\0\0\0\0\0\xff\xff\0\0\0\0"),
           "bad 1002: the length of a frame is not written in its shortest form\n");
    expect(BYTES("\x82\xff\x80\0\0\0\0\0\0\0\0\0\0\0"),
           "bad 1002: the length of a frame is not written in its shortest form\n");
    expect(BYTES("\x88\x81\0\0\0\0x"), "bad 1002: the code of a Close is none\n");
    expect(BYTES("\x88\x82\0\0\0\0\x03\xed"), "bad 1002: the code of a Close is none\n");
    expect(BYTES("\x88\x83\0\0\0\0\x03\xe8\xff"), "bad 1007: the reason of a Close is not UTF-8\n");
}

static void a_reason_is_cut_between_characters(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b = BUF_INIT, why = BUF_INIT;
    for (unsigned i = 0; i < 100; i++) {
        buf_puts(&why, "\xc3\xa9");
    }
    ws_put_close(&b, WS_PROTOCOL_ERROR, buf_cstr(&why));
    assert_int_equal(b.size, 2 + 2 + 122);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_handshake_is_the_specifications), cmocka_unit_test(messages_come_out_however_they_are_cut),
        cmocka_unit_test(lengths_of_every_size_are_read),      cmocka_unit_test(what_is_malformed_ends_the_reading),
        cmocka_unit_test(a_reason_is_cut_between_characters),
    };
    cmocka_set_test_filter(getenv("TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
