/* The question to a gRPC health service, and what its answers mean. A server's bytes are written here as they are. */
#include "agent/pod/grpc_health.h"

#include "tests/unit/agent_fakes.h"

#define SETTINGS "\0\0\0\4\0\0\0\0\0"
#define HEADERS  "\0\0\3\1\4\0\0\0\1\x88\x5f\x00" /* what it says is not read */
#define TRAILERS "\0\0\1\1\5\0\0\0\1\x88"
#define SERVING  "\0\0\7\0\0\0\0\0\1\0\0\0\0\2\x08\1"
#define BYTES(text)                                                                                                    \
    (struct str)                                                                                                       \
    {                                                                                                                  \
        text, sizeof(text) - 1                                                                                         \
    }

static void the_question_is_one_call_of_http2(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b = BUF_INIT;
    grpc_health_ask(&b, STR("10.0.0.1:50051"), STR("db"));
    static const char want[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
                               "\0\0\6\4\0\0\0\0\0\0\2\0\0\0\0" /* SETTINGS: no push */
                               "\0\0\x64\1\4\0\0\0\1\x83\x86"   /* POST, http */
                               "\4\x1c/grpc.health.v1.Health/Check\1\x0e"
                               "10.0.0.1:50051" /* :path, :authority */
                               "\x0f\x10\x10"
                               "application/grpc\0\2te\x08trailers\x0f\x2b\x11reeve-agent-probe"
                               "\0\0\x09\0\1\0\0\0\1\0\0\0\0\4\x0a\2"
                               "db";
    assert_int_equal(b.size, sizeof want - 1);
    assert_memory_equal(b.data, want, sizeof want - 1);
    buf_reset(&b);
    grpc_health_ask(&b, STR("10.0.0.1:50051"), STR(""));
    static const char end[] = "\0\0\5\0\1\0\0\0\1\0\0\0\0\0";
    assert_memory_equal(b.data + b.size - (sizeof end - 1), end, sizeof end - 1);
}

static void a_long_name_of_a_service_fits(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b = BUF_INIT;
    char name[300];
    memset(name, 'x', sizeof name);
    grpc_health_ask(&b, STR("h:1"), (struct str){name, sizeof name});
    const uint8_t *data = b.data + b.size - sizeof name - 3; /* key, two bytes of length, name */
    assert_int_equal(data[0], 0x0a);
    assert_int_equal(data[1] | data[2] << 8, (300 & 127) | 128 | (300 >> 7) << 8);
}

/* Fed piece by piece of so many bytes. */
static enum grpc_health_result ask(struct str bytes, size_t piece, struct buf *out, char why[160])
{
    struct grpc_health g;
    enum grpc_health_result r = GRPC_HEALTH_MORE;
    grpc_health_init(&g);
    for (size_t at = 0; at < bytes.n && r == GRPC_HEALTH_MORE; at += piece) {
        r = grpc_health_feed(&g, bytes.p + at, MIN(piece, bytes.n - at), out, why);
    }
    grpc_health_close(&g);
    return r;
}

static void answers_mean_what_they_say(void **state)
{
    (void)state;
    static const struct {
        struct str bytes;
        enum grpc_health_result want;
        const char *why;
    } rows[] = {
        {BYTES(SETTINGS HEADERS SERVING TRAILERS), GRPC_HEALTH_SERVING, ""},
        /* padded, in two parts, with a field that nobody knows, and the stream ended by the data */
        {BYTES(SETTINGS "\0\0\x09\0\x08\0\0\0\1\3\0\0\0\0\4\0\0\0"
                        "\0\0\4\0\1\0\0\0\1\x08\1\x12\0"),
         GRPC_HEALTH_SERVING, ""},
        {BYTES(SETTINGS HEADERS SERVING), GRPC_HEALTH_MORE, ""},
        {BYTES(SETTINGS HEADERS "\0\0\7\0\0\0\0\0\1\0\0\0\0\2\x08\2" TRAILERS), GRPC_HEALTH_BAD,
         "service unhealthy (responded with \"NOT_SERVING\")"},
        {BYTES(SETTINGS HEADERS "\0\0\5\0\0\0\0\0\1\0\0\0\0\0" TRAILERS), GRPC_HEALTH_BAD,
         "responded with \"UNKNOWN\""},
        {BYTES(SETTINGS TRAILERS), GRPC_HEALTH_BAD, "does not implement"},
        {BYTES(SETTINGS "\0\0\4\3\0\0\0\0\1\0\0\0\7"), GRPC_HEALTH_BAD, "aborts the call"},
        {BYTES(SETTINGS "\0\0\x08\7\0\0\0\0\0\0\0\0\0\0\0\0\0"), GRPC_HEALTH_BAD, "closes the connection"},
        {BYTES("HTTP/1.1 400 Bad Request\r\n\r\n"), GRPC_HEALTH_BAD, "does not speak HTTP/2"},
        {BYTES(HEADERS), GRPC_HEALTH_BAD, "does not speak HTTP/2"},
        {BYTES(SETTINGS "\0\0\1\0\x09\0\0\0\1\1"), GRPC_HEALTH_BAD, "malformed HTTP/2"},
        {BYTES(SETTINGS "\0\0\7\0\1\0\0\0\1\1\0\0\0\2\x08\1"), GRPC_HEALTH_BAD, "malformed answer"}, /* compressed */
        {BYTES(SETTINGS "\0\0\7\0\1\0\0\0\1\0\0\0\0\3\x08\1"), GRPC_HEALTH_BAD, "malformed answer"},
        {BYTES(SETTINGS "\0\0\7\0\1\0\0\0\1\0\0\0\0\2\x0a\x7f"), GRPC_HEALTH_BAD, "malformed answer"},
        {BYTES(SETTINGS "\0\0\7\0\1\0\0\0\1\0\0\0\0\2\x08\x80"), GRPC_HEALTH_BAD, "malformed answer"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        for (size_t piece = 1; piece <= 64; piece += 21) {
            CLEANUP_BUF struct buf out = BUF_INIT;
            char why[160] = "";
            enum grpc_health_result r = ask(rows[i].bytes, piece, &out, why);
            if (r != rows[i].want || strstr(why, rows[i].why) == NULL) {
                fail_msg("row %zu, pieces of %zu: %d \"%s\"", i, piece, r, why);
            }
        }
    }
}

static void settings_and_pings_are_acknowledged(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf out = BUF_INIT;
    char why[160];
    assert_int_equal(ask(BYTES(SETTINGS "\0\0\0\4\1\0\0\0\0"
                                        "\0\0\x08\6\0\0\0\0\0"
                                        "12345678"),
                         100, &out, why),
                     GRPC_HEALTH_MORE);
    static const char want[] = "\0\0\0\4\1\0\0\0\0"
                               "\0\0\x08\6\1\0\0\0\0"
                               "12345678";
    assert_int_equal(out.size, sizeof want - 1);
    assert_memory_equal(out.data, want, sizeof want - 1);
}

static void an_answer_without_end_takes_no_memory(void **state)
{
    (void)state;
    struct grpc_health g;
    CLEANUP_BUF struct buf out = BUF_INIT;
    char why[160] = "";
    enum grpc_health_result r;
    grpc_health_init(&g);
    grpc_health_feed(&g, SETTINGS, sizeof SETTINGS - 1, &out, why);
    for (int i = 0; (r = grpc_health_feed(&g, "\0\0\2\0\0\0\0\0\1xx", 11, &out, why)) == GRPC_HEALTH_MORE; i++) {
        assert_true(i < 1000);
    }
    assert_non_null(strstr(why, "too long"));
    grpc_health_close(&g);
    grpc_health_init(&g);
    assert_int_equal(grpc_health_feed(&g, "\xff\xff\xff\4\0\0\0\0\0", 9, &out, why), GRPC_HEALTH_BAD);
    grpc_health_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_question_is_one_call_of_http2),
        cmocka_unit_test(a_long_name_of_a_service_fits),
        cmocka_unit_test(answers_mean_what_they_say),
        cmocka_unit_test(settings_and_pings_are_acknowledged),
        cmocka_unit_test(an_answer_without_end_takes_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
