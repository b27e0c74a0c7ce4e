/* exec, attach and port-forward over WebSocket: what each frame of a client does, and with which code a connection is
 * closed. RFC 6455 is the rule where Kubernetes' protocols say nothing. */
#include "tests/unit/master_rest_streams.h"

/* [4 channels] */
static void exec_over_websocket(void **state)
{
    struct state *s = *state;
    BOTH(by)
    {
        got_asked = false;
        struct peer *x = peer_as(s, master_of(s, by), PKI_ROLE_ADMIN, "tester");
        ask_ws(x, EXEC, "v5.channel.k8s.io, v4.channel.k8s.io");
        struct stream *a = take_asked(s);
        UNTIL(x, x->has_head);
        assert_non_null(strstr(buf_cstr(&x->head), "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
        assert_non_null(strstr(buf_cstr(&x->head), "Sec-WebSocket-Protocol: v5.channel.k8s.io\r\n"));
        type_in(x, 0, "typed", false);
        assert_string_equal(bytes_of(s, stream_next(a), "stdin"), "typed");
        struct buf b = BUF_INIT;
        static const uint8_t mask[4] = {9, 8, 7, 6};
        ws_put_masked(&b, WS_PING, true, STR("there?"), mask);
        ws_put_masked(&b, WS_BINARY, true, (struct str){"\xff\0", 2}, mask);
        send_buf(x, &b);
        assert_true(value_path_bool(stream_next(a), "eof", false));
        agent_say(a, "stdout", "out");
        agent_say(a, "stderr", "err");
        stream_send(a, "{exit: 3}");
        stream_end(a, NULL);
        UNTIL(x, x->closes == 1);
        assert_int_equal(x->close_code, WS_NORMAL);
        assert_int_equal(x->pings, 1);
        assert_string_equal(TEXT(x, 1), "out");
        assert_string_equal(TEXT(x, 2), "err");
        assert_non_null(strstr(TEXT(x, 3), "\"message\":\"3\""));
        peer_free(x);
        stream_close(a);
    }
}

/* [4 malformed] Frames that are none, one behind the other, and what the connection is closed with. */
static void frames_that_are_none_end_the_command(void **state)
{
    struct state *s = *state;
    static const struct {
        const char *rule, *protocol, *bytes;
        size_t n;
        unsigned code;
    } rows[] = {
#define V4(rule, bytes, code) {rule, "v4.channel.k8s.io", bytes, sizeof(bytes) - 1, code}
#define V5(rule, bytes, code)                                                                                          \
    {                                                                                                                  \
        rule, "v5.channel.k8s.io", bytes, sizeof(bytes) - 1, code                                                      \
    }
#define B64(rule, bytes, code)                                                                                         \
    {                                                                                                                  \
        rule, "v4.base64.channel.k8s.io", bytes, sizeof(bytes) - 1, code                                               \
    }
#define M "\0\0\0\0"
        V4("5.1: a client's frame has a mask", "\x82\1x", WS_PROTOCOL_ERROR),
        V5("5.1: a client's frame has a mask", "\x82\2\xff\0", WS_PROTOCOL_ERROR),
        V4("5.1: a Close has one, too", "\x88\2\3\xe8", WS_PROTOCOL_ERROR),
        V5("5.2: reserved bits", "\xc2\x81" M "x", WS_PROTOCOL_ERROR),
        V5("5.2: operations that are not known", "\x83\x81" M "x", WS_PROTOCOL_ERROR),
        V4("5.2: a length is written in its shortest form", "\x82\xfe\0\5" M, WS_PROTOCOL_ERROR),
        V4("5.2: in 63 bits", "\x82\xff\x80\0\0\0\0\0\0\0" M, WS_PROTOCOL_ERROR),
        V5("5.4: a fragment goes on with a message", "\x80\x81" M "x", WS_PROTOCOL_ERROR),
        V5("5.4: a message does not begin within another", "\2\x82" M "\0x\x82\x81" M "x", WS_PROTOCOL_ERROR),
        V4("5.5: control frames are short", "\x89\xfe\0\x7e" M, WS_PROTOCOL_ERROR),
        V5("5.5: and whole", "\x09\x81" M "x", WS_PROTOCOL_ERROR),
        V5("5.5.1: half a code", "\x88\x81" M "\3", WS_PROTOCOL_ERROR),
        V5("7.4.1: 1005 is never sent", "\x88\x82" M "\3\xed", WS_PROTOCOL_ERROR),
        V5("7.4.2: nor is 999", "\x88\x82" M "\3\xe7", WS_PROTOCOL_ERROR),
        V4("5.5.1: a reason is UTF-8", "\x88\x83" M "\3\xe8\xff", WS_BAD_DATA),
        V4("5.5.1: a Close is answered", "\x88\x80" M, WS_NORMAL),
        V5("5.5.1: whatever its code", "\x88\x86" M "\x0f\xa1over", WS_NORMAL),
        B64("base64 is base64", "\x81\x83" M "0*)", WS_BAD_DATA),
#undef V4
#undef V5
#undef B64
#undef M
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        got_asked = false;
        struct peer *x = peer_as(s, master_of(s, (unsigned)i % 2), PKI_ROLE_ADMIN, "tester");
        ask_ws(x, EXEC, rows[i].protocol);
        struct stream *a = take_asked(s);
        UNTIL(x, x->has_head);
        net_conn_send(x->net, rows[i].bytes, rows[i].n);
        UNTIL(x, x->closes == 1);
        if (x->close_code != rows[i].code) {
            fail_msg("%s: closed with %u, not %u", rows[i].rule, x->close_code, rows[i].code);
        }
        stream_wait_end(a);
        peer_free(x);
        stream_close(a);
    }
}

static struct peer *open_ws(struct state *s, unsigned by, const char *protocol, struct stream **a)
{
    got_asked = false;
    struct peer *x = peer_as(s, master_of(s, by), PKI_ROLE_ADMIN, "tester");
    ask_ws(x, EXEC, protocol);
    *a = take_asked(s);
    UNTIL(x, x->has_head);
    return x;
}

static void put(struct peer *x, enum ws_op op, bool last, struct str bytes)
{
    struct buf b = BUF_INIT;
    static const uint8_t mask[4] = {4, 3, 2, 1};
    ws_put_masked(&b, op, last, bytes, mask);
    send_buf(x, &b);
}

/* [4 ping] RFC 6455 5.5.2: with the same bytes, the longest as well, and between fragments. */
static void a_ping_is_answered_with_what_it_says(void **state)
{
    struct state *s = *state;
    struct stream *a;
    struct peer *x = open_ws(s, 0, "v5.channel.k8s.io", &a);
    char longest[WS_CONTROL_MAX];
    memset(longest, 'p', sizeof longest);
    put(x, WS_PING, true, (struct str){longest, sizeof longest});
    UNTIL(x, x->pings == 1);
    assert_int_equal(x->pong.size, sizeof longest);
    assert_memory_equal(x->pong.data, longest, sizeof longest);
    put(x, WS_BINARY, false, (struct str){"\0one ", 5});
    put(x, WS_PING, true, STR("between"));
    put(x, WS_CONTINUATION, true, STR("message"));
    UNTIL(x, x->pings == 2);
    assert_string_equal(buf_cstr(&x->pong), "between");
    struct buf in = BUF_INIT;
    while (in.size < strlen("one message")) {
        buf_puts(&in, bytes_of(s, stream_next(a), "stdin"));
    }
    assert_string_equal(buf_cstr(&in), "one message");
    put(x, WS_PONG, true, STR("nobody asked")); /* 5.5.3: is no mistake */
    put(x, WS_PING, true, STR_NONE);
    UNTIL(x, x->pings == 3);
    assert_int_equal(x->pong.size, 0);
    buf_close(&in);
    peer_free(x);
    stream_close(a);
}

/* One message of 4 MiB goes through piece by piece, and holds no more than others; in base64, where it would have to be
 * held, 256 KiB are the bound. */
static void a_message_may_be_larger_than_what_is_held(void **state)
{
    struct state *s = *state;
    struct stream *a;
    struct peer *x = open_ws(s, 0, "v4.channel.k8s.io", &a);
    enum { LARGE = 4 << 20 };
    CLEANUP_FREE char *large = xcalloc(1, LARGE + 1);
    memset(large + 1, 'x', LARGE);
    put(x, WS_BINARY, true, (struct str){large, LARGE + 1});
    for (size_t all = 0; all < LARGE;) {
        struct value *v = stream_next(a);
        assert_non_null(v);
        all += value_get(v, "stdin")->str.n;
    }
    peer_free(x);
    stream_close(a);
    x = open_ws(s, 1, "v4.base64.channel.k8s.io", &a);
    memset(large, '0', 300000);
    put(x, WS_TEXT, true, (struct str){large, 300000});
    UNTIL(x, x->closes == 1);
    assert_int_equal(x->close_code, WS_TOO_LARGE);
    stream_wait_end(a);
    peer_free(x);
    stream_close(a);
}

/* [4 close] {255, N} ends the client's half of N in v5 (what is no channel of the client's, or is over, is passed
 * over); before it is a channel like others that are not there. */
static void only_the_fifth_version_closes_channels(void **state)
{
    struct state *s = *state;
    struct stream *a;
    struct peer *x = open_ws(s, 0, "v4.channel.k8s.io", &a);
    put(x, WS_BINARY, true, (struct str){"\xff\0", 2});
    type_in(x, 0, "still open", false);
    assert_string_equal(bytes_of(s, stream_next(a), "stdin"), "still open");
    peer_free(x);
    stream_close(a);
    x = open_ws(s, 1, "v5.channel.k8s.io", &a);
    put(x, WS_BINARY, true, (struct str){"\xff\7", 2});
    put(x, WS_BINARY, true, (struct str){"\xff", 1});
    put(x, WS_BINARY, true, (struct str){"\xff\1", 2});
    type_in(x, 0, "the last", false);
    assert_string_equal(bytes_of(s, stream_next(a), "stdin"), "the last");
    put(x, WS_BINARY, true, (struct str){"\xff\0", 2});
    put(x, WS_BINARY, true, (struct str){"\xff\0", 2});
    type_in(x, 0, "too late", false);
    assert_true(value_path_bool(stream_next(a), "eof", false));
    agent_say(a, "stdout", "out");
    stream_send(a, "{exit: 0}");
    stream_end(a, NULL);
    UNTIL(x, x->closes == 1);
    assert_int_equal(x->close_code, WS_NORMAL);
    assert_string_equal(TEXT(x, 1), "out");
    assert_non_null(strstr(TEXT(x, 3), "\"status\":\"Success\""));
    assert_int_equal(a->taken, a->count);
    peer_free(x);
    stream_close(a);
}

/* [4 plain-channel] Before v4 the end is told as text; the base64 forms are a digit and base64, both ways. */
static void older_protocols_tell_the_end_as_text(void **state)
{
    struct state *s = *state;
    static const struct {
        const char *protocol;
        const char *end; /* of exit code 3 */
    } rows[] = {{"channel.k8s.io", "command terminated with non-zero exit code: 3"},
                {"base64.channel.k8s.io", "3Y29tbWFuZCB0ZXJtaW5hdGVkIHdpdGggbm9uLXplcm8gZXhpdCBjb2RlOiAz"},
                {"v4.base64.channel.k8s.io", "3ey"}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct stream *a;
        struct peer *x = open_ws(s, (unsigned)i % 2, rows[i].protocol, &a);
        CLEANUP_FREE char *agreed = xasprintf("Sec-WebSocket-Protocol: %s\r\n", rows[i].protocol);
        assert_non_null(strstr(buf_cstr(&x->head), agreed));
        if (i == 0) {
            type_in(x, 0, "in", false);
        } else {
            put(x, WS_TEXT, true, STR("0aW4="));
        }
        assert_string_equal(bytes_of(s, stream_next(a), "stdin"), "in");
        agent_say(a, "stdout", "out");
        stream_send(a, "{exit: 3}");
        stream_end(a, NULL);
        UNTIL(x, x->closes == 1);
        assert_string_equal(i == 0 ? TEXT(x, 1) : strstr(buf_cstr(&x->said), "1b3V0\n") != NULL ? "out" : "", "out");
        assert_non_null(strstr(i == 0 ? TEXT(x, 3) : buf_cstr(&x->said), rows[i].end));
        peer_free(x);
        stream_close(a);
    }
}

/* [4 tunnel] Messages are bytes of SPDY, wherever they are cut. */
static void ports_in_a_tunnel(void **state)
{
    struct state *s = *state;
    BOTH(by)
    {
        got_asked = false;
        struct peer *x = peer_as(s, master_of(s, by), PKI_ROLE_ADMIN, "tester");
        x->tunnel = true;
        ask_ws(x, "p/portforward", "SPDY/3.1+portforward.k8s.io");
        UNTIL(x, x->has_head);
        assert_non_null(strstr(buf_cstr(&x->head), "Sec-WebSocket-Protocol: SPDY/3.1+portforward.k8s.io\r\n"));
        open_use(x, 1, "error", "80", "0");
        open_use(x, 3, "data", "80", "0");
        struct stream *a = take_asked(s);
        assert_int_equal(value_path_int(asked_params, "port", 0), 80);
        UNTIL(x, x->replies == 2);
        struct buf b = BUF_INIT;
        spdy_put_data(&b, 3, STR("hello"), true);
        put(x, WS_BINARY, true, (struct str){(const char *)b.data, 5});
        put(x, WS_BINARY, true, (struct str){(const char *)b.data + 5, b.size - 5});
        buf_close(&b);
        assert_string_equal(bytes_of(s, stream_next(a), NULL), "hello");
        assert_true(value_path_bool(stream_next(a), "eof", false));
        agent_say(a, NULL, "answer");
        stream_send(a, "{eof: true}");
        stream_end(a, NULL);
        UNTIL(x, x->fin[3] && x->fin[1]);
        assert_string_equal(TEXT(x, 3), "answer");
        assert_string_equal(TEXT(x, 1), "");
        peer_free(x);
        stream_close(a);
    }
}

/* [4 ports] The port stands in front, low byte first, on either channel of it. */
static void ports_over_websocket(void **state)
{
    struct state *s = *state;
    got_asked = false;
    struct peer *x = peer_as(s, s->leader, PKI_ROLE_ADMIN, "tester");
    ask_ws(x, "p/portforward?ports=8080", "v4.channel.k8s.io");
    struct stream *a = take_asked(s);
    assert_int_equal(value_path_int(asked_params, "port", 0), 8080);
    UNTIL(x, x->text[0].size == 2 && x->text[1].size == 2);
    assert_memory_equal(x->text[0].data, "\x90\x1f", 2);
    type_in(x, 0, "request", false);
    assert_string_equal(bytes_of(s, stream_next(a), NULL), "request");
    agent_say(a, NULL, "answer");
    UNTIL(x, x->text[0].size == 8);
    stream_end(a, NULL);
    UNTIL(x, x->closes == 1);
    peer_free(x);
    stream_close(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exec_over_websocket),
        cmocka_unit_test(frames_that_are_none_end_the_command),
        cmocka_unit_test(a_ping_is_answered_with_what_it_says),
        cmocka_unit_test(a_message_may_be_larger_than_what_is_held),
        cmocka_unit_test(only_the_fifth_version_closes_channels),
        cmocka_unit_test(older_protocols_tell_the_end_as_text),
        cmocka_unit_test(ports_in_a_tunnel),
        cmocka_unit_test(ports_over_websocket),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
