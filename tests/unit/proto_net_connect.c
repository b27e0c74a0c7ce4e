/* The way to a connection: addresses, names, refusals, and an end at any moment of it. */
#include "proto_net_world.h"

static void closed_port_says_refused(void **state)
{
    (void)state;
    struct world *w = world_new();
    world_dial(w, w->client_tls, "127.0.0.1:1", ALPN_RPC, 0);
    assert_int_equal(w->client.closes, 0);
    KIT_UNTIL(&w->loop, w->client.closes == 1);
    assert_int_equal(w->client.why.code, ERR_CLOSED);
    assert_non_null(strstr(w->client.why.message, "connect to 127.0.0.1:1: connection refused"));
    world_free(w);
}

static void malformed_addresses_fail_later_with_a_text(void **state)
{
    (void)state;
    struct world *w = world_new();
    const char *bad[] = {"",         "localhost", "localhost:", ":7400", "host:99999",
                         "::1:7400", "[::1]7400", "a:b:1",      "h:-1"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        world_dial(w, w->client_tls, bad[i], ALPN_RPC, 0);
        assert_int_equal(w->client.closes, 0);
        KIT_UNTIL(&w->loop, w->client.closes == 1);
        assert_int_equal(w->client.why.code, ERR_INVALID);
    }
    world_free(w);
}

static void name_with_several_addresses_is_tried_through(void **state)
{
    (void)state;
    struct world *w = world_new();
    char addr[64];
    /* ::1 may come first, nobody is there */
    snprintf(addr, sizeof addr, "localhost:%d", net_listener_port(w->listener));
    world_dial(w, w->client_tls, addr, ALPN_RPC, 0);
    KIT_UNTIL(&w->loop, w->client.opens == 1);
    world_free(w);
}

static void close_at_any_moment_of_connecting_gives_one_callback(void **state)
{
    (void)state;
    struct world *w = world_new();
    char by_name[64];
    snprintf(by_name, sizeof by_name, "localhost:%d", net_listener_port(w->listener));
    for (int turns = 0; turns < 12; turns++) {
        world_dial(w, w->client_tls, turns % 2 ? by_name : w->addr, ALPN_RPC, 0);
        for (int i = 0; i < turns / 2; i++) {
            uv_run(&w->loop, UV_RUN_NOWAIT);
        }
        net_conn_close(w->client.c);
        net_conn_close(w->client.c);
        KIT_UNTIL(&w->loop, w->client.closes == 1);
        assert_true(w->client.clean);
    }
    world_free(w);
}

/* The peer accepts TCP and then is silent. */
static void silent_server_times_out(void **state)
{
    (void)state;
    struct world *w = world_new();
    int port, fd = plain_listen(&port);
    char addr[64];
    snprintf(addr, sizeof addr, "127.0.0.1:%d", port);
    world_dial(w, w->client_tls, addr, ALPN_RPC, 100);
    KIT_UNTIL(&w->loop, w->client.closes == 1);
    assert_int_equal(w->client.why.code, ERR_TIMEOUT);
    assert_non_null(strstr(w->client.why.message, "no TLS handshake within 100 ms"));
    close(fd);
    world_free(w);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closed_port_says_refused),
        cmocka_unit_test(malformed_addresses_fail_later_with_a_text),
        cmocka_unit_test(name_with_several_addresses_is_tried_through),
        cmocka_unit_test(close_at_any_moment_of_connecting_gives_one_callback),
        cmocka_unit_test(silent_server_times_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
