#include "tests/unit/agent_fakes.h"

#include <poll.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "agent/pod/prober.h"

/* ---- Pure ---- */

static void the_status_line_is_read_as_it_comes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int status;
    } rows[] = {
        {"", 0},
        {"HTT", 0},
        {"HTTP/1.1", 0},
        {"HTTP/1.1 20", 0},
        {"HTTP/1.1 200 OK\r\n", 200},
        {"HTTP/1.0 503", 503},
        {"SSH-2.0-OpenSSH", -1},
        {"HTTP/1.1 abc", -1},
        {"HTTP/2 200 OK", -1},
        {"HTTP/1.1 099", -1},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(prober_parse_status(rows[i].text, strlen(rows[i].text)), rows[i].status);
    }
}

static void the_request_has_the_headers_asked_for(void **state)
{
    (void)state;
    struct podspec_header headers[] = {{"Host", "example.org"}, {"X-A", "b"}, {"Accept", "text/plain"}};
    struct podspec_handler h = {
        .kind = PODSPEC_HANDLER_HTTP, .host = "", .path = "ok?x=1", .port = 80, .headers = headers, .headers_count = 3};
    CLEANUP_BUF struct buf b = BUF_INIT;
    prober_write_request(&b, &h, "10.1.0.5");
    assert_string_equal(buf_cstr(&b),
                        "GET /ok?x=1 HTTP/1.1\r\nHost: example.org\r\nUser-Agent: reeve-agent-probe\r\nX-A: b\r\n"
                        "Accept: text/plain\r\nConnection: close\r\n\r\n");
    h.headers_count = 0;
    buf_reset(&b);
    prober_write_request(&b, &h, "fd00::1");
    assert_non_null(strstr(buf_cstr(&b), "Host: [fd00::1]:80\r\n"));
}

/* ---- Against a server of three lines ---- */

struct fixture {
    uv_loop_t loop;
    uv_tcp_t server, peer;
    bool has_peer;
    const char *answer; /* NULL = silence */
    size_t answer_size; /* 0 = it is text */
    uint16_t port;
    unsigned calls;
    bool ok;
    char message[300], chunk[1024];
    uv_write_t write;
};

static void give_chunk(uv_handle_t *h, size_t hint, uv_buf_t *b)
{
    struct fixture *f = h->data;
    (void)hint;
    *b = uv_buf_init(f->chunk, sizeof f->chunk);
}

static void on_written(uv_write_t *w, int rc)
{
    (void)w, (void)rc;
}

static void on_request(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    struct fixture *f = s->data;
    (void)b;
    if (n > 0 && f->answer != NULL) {
        size_t size = f->answer_size > 0 ? f->answer_size : strlen(f->answer);
        uv_buf_t out = uv_buf_init((char *)f->answer, (unsigned)size);
        uv_write(&f->write, s, &out, 1, on_written);
    }
    if (n < 0 && !uv_is_closing((uv_handle_t *)s)) {
        uv_close((uv_handle_t *)s, NULL);
    }
}

static void on_connection(uv_stream_t *server, int rc)
{
    struct fixture *f = server->data;
    assert_int_equal(rc, 0);
    uv_tcp_init(&f->loop, &f->peer);
    f->peer.data = f;
    f->has_peer = true;
    assert_int_equal(uv_accept(server, (uv_stream_t *)&f->peer), 0);
    uv_read_start((uv_stream_t *)&f->peer, give_chunk, on_request);
}

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    struct sockaddr_in addr;
    int size = sizeof addr;
    uv_loop_init(&f->loop);
    uv_tcp_init(&f->loop, &f->server);
    f->server.data = f;
    uv_ip4_addr("127.0.0.1", 0, &addr);
    assert_int_equal(uv_tcp_bind(&f->server, (struct sockaddr *)&addr, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&f->server, 4, on_connection), 0);
    uv_tcp_getsockname(&f->server, (struct sockaddr *)&addr, &size);
    f->port = ntohs(addr.sin_port);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    uv_close((uv_handle_t *)&f->server, NULL);
    if (f->has_peer && !uv_is_closing((uv_handle_t *)&f->peer)) {
        uv_close((uv_handle_t *)&f->peer, NULL);
    }
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    free(f);
    return 0;
}

static void on_done(bool ok, const char *message, void *data)
{
    struct fixture *f = data;
    f->calls++;
    f->ok = ok;
    snprintf(f->message, sizeof f->message, "%s", message);
}

static void probe(struct fixture *f, enum podspec_handler_kind kind, bool https, uint16_t port, const char *host)
{
    struct podspec_handler h = {.kind = kind, .host = "", .path = "/", .service = "", .https = https, .port = port};
    prober_run(&f->loop, &h, host, 500, on_done, f);
    assert_int_equal(f->calls, 0); /* never inside the call */
    while (f->calls == 0) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    assert_int_equal(f->calls, 1);
}

static void status_200_to_399_is_success(void **state)
{
    struct fixture *f = *state;
    f->answer = "HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n";
    probe(f, PODSPEC_HANDLER_HTTP, false, f->port, "127.0.0.1");
    assert_true(f->ok);
}

static void status_500_is_a_failure_that_names_it(void **state)
{
    struct fixture *f = *state;
    f->answer = "HTTP/1.1 500 Oops\r\n\r\n";
    probe(f, PODSPEC_HANDLER_HTTP, false, f->port, "127.0.0.1");
    assert_false(f->ok);
    assert_string_equal(f->message, "HTTP probe failed with statuscode: 500");
}

static void a_server_that_is_silent_times_out(void **state)
{
    struct fixture *f = *state;
    probe(f, PODSPEC_HANDLER_HTTP, false, f->port, "127.0.0.1");
    assert_false(f->ok);
    assert_non_null(strstr(f->message, "timed out"));
}

static void garbage_is_no_http(void **state)
{
    struct fixture *f = *state;
    f->answer = "hello\r\n";
    probe(f, PODSPEC_HANDLER_HTTP, false, f->port, "127.0.0.1");
    assert_non_null(strstr(f->message, "malformed HTTP response"));
}

static void a_tcp_check_is_a_connection(void **state)
{
    struct fixture *f = *state;
    probe(f, PODSPEC_HANDLER_TCP, false, f->port, "127.0.0.1");
    assert_true(f->ok);
}

/* How its answers are read: agent_grpc_health. status: of a HealthCheckResponse, as one character. */
static void ask_grpc(struct fixture *f, char status)
{
    static char answer[] = "\0\0\0\4\0\0\0\0\0"                  /* SETTINGS */
                           "\0\0\1\1\4\0\0\0\1\x88"              /* HEADERS */
                           "\0\0\7\0\1\0\0\0\1\0\0\0\0\2\x08\1"; /* DATA, the end */
    answer[sizeof answer - 2] = status;
    f->answer = answer;
    f->answer_size = sizeof answer - 1;
    probe(f, PODSPEC_HANDLER_GRPC, false, f->port, "127.0.0.1");
}

static void a_grpc_service_is_asked_for_its_health(void **state)
{
    struct fixture *f = *state;
    ask_grpc(f, 1);
    assert_true(f->ok);
    assert_string_equal(f->message, "service is serving");
}

static void a_grpc_service_that_is_ill_fails(void **state)
{
    struct fixture *f = *state;
    ask_grpc(f, 2);
    assert_false(f->ok);
    assert_string_equal(f->message, "service unhealthy (responded with \"NOT_SERVING\")");
}

static void nobody_listening_is_told(void **state)
{
    struct fixture *f = *state;
    probe(f, PODSPEC_HANDLER_TCP, false, 1, "127.0.0.1");
    assert_false(f->ok);
    assert_string_equal(f->message, "tcp://127.0.0.1:1: connect: connection refused");
}

static void a_plain_server_fails_an_https_check(void **state)
{
    struct fixture *f = *state;
    f->answer = "HTTP/1.1 400 Bad Request\r\n\r\n";
    probe(f, PODSPEC_HANDLER_HTTP, true, f->port, "127.0.0.1");
    assert_false(f->ok);
    assert_non_null(strstr(f->message, "TLS handshake failed"));
}

static void a_port_that_has_no_number_or_a_pod_without_address_fails_at_once(void **state)
{
    struct fixture *f = *state;
    probe(f, PODSPEC_HANDLER_TCP, false, 0, "127.0.0.1");
    assert_string_equal(f->message, "the probe's port is no port of the container");
    f->calls = 0;
    probe(f, PODSPEC_HANDLER_TCP, false, 80, "");
    assert_string_equal(f->message, "the pod has no address");
}

/* The answer was there in time; it was us who did not run. */
static void an_answer_that_waits_behind_a_standstill_counts(void **state)
{
    struct fixture *f = *state;
    static const char answer[] = "HTTP/1.1 200 OK\r\n\r\n";
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof addr;
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server, (struct sockaddr *)&addr, size), 0);
    assert_int_equal(listen(server, 1), 0);
    getsockname(server, (struct sockaddr *)&addr, &size);
    struct podspec_handler h = {.kind = PODSPEC_HANDLER_HTTP, .host = "", .path = "/", .port = ntohs(addr.sin_port)};
    prober_run(&f->loop, &h, "127.0.0.1", 300, on_done, f);
    int peer = accept4(server, NULL, NULL, SOCK_CLOEXEC);
    assert_true(peer >= 0);
    struct pollfd asked = {.fd = peer, .events = POLLIN};
    while (poll(&asked, 1, 0) == 0) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    assert_int_equal(write(peer, answer, sizeof answer - 1), sizeof answer - 1);
    nanosleep(&(struct timespec){0, 800000000}, NULL); /* the standstill, far beyond the limit */
    while (f->calls == 0) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    assert_string_equal(f->message, "HTTP status 200");
    assert_true(f->ok);
    close(peer);
    close(server);
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_status_line_is_read_as_it_comes),
        cmocka_unit_test(the_request_has_the_headers_asked_for),
        WITH(status_200_to_399_is_success),
        WITH(status_500_is_a_failure_that_names_it),
        WITH(a_server_that_is_silent_times_out),
        WITH(an_answer_that_waits_behind_a_standstill_counts),
        WITH(garbage_is_no_http),
        WITH(a_tcp_check_is_a_connection),
        WITH(a_grpc_service_is_asked_for_its_health),
        WITH(a_grpc_service_that_is_ill_fails),
        WITH(nobody_listening_is_told),
        WITH(a_plain_server_fails_an_https_check),
        WITH(a_port_that_has_no_number_or_a_pod_without_address_fails_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
