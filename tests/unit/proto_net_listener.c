/* The listener: strangers that speak no TLS or stop half-way, its limit, and the sockets it listens on. */
#include "proto_net_world.h"

/* Connected, and silent; the caller closes it. */
static int stranger(struct world *w)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)net_listener_port(w->listener))};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof in), 0);
    return fd;
}

/* The server has hung up. */
static bool at_end(int fd)
{
    char b[512];
    ssize_t n;
    while ((n = recv(fd, b, sizeof b, MSG_DONTWAIT)) > 0) {
    }
    return n == 0 || (n < 0 && errno != EAGAIN);
}

/* The head of one, of a length never reached. */
static const char client_hello[7] = "\x16\x03\x01\x02\x00\x01";

static void garbage_instead_of_tls_is_cut_and_counted(void **state)
{
    (void)state;
    struct world *w = world_new();
    const char *garbage[] = {"GET / HTTP/1.0\r\n\r\n",
                             "\x16\x03\x01\xff\xff\x01 nonsense that is long enough to be looked at",
                             "\x93\x02\xa1x\x90 a message in clear", "SSH-2.0-OpenSSH_9.2\r\n"};
    for (size_t i = 0; i < ARRAY_SIZE(garbage); i++) {
        int fd = stranger(w);
        assert_true(send(fd, garbage[i], strlen(garbage[i]), 0) > 0);
        KIT_UNTIL(&w->loop, (uv_run(&w->loop, UV_RUN_NOWAIT), at_end(fd)));
        close(fd);
        KIT_UNTIL(&w->loop, net_listener_stats(w->listener)->open == 0);
    }
    assert_int_equal(net_listener_stats(w->listener)->handshake_failed, ARRAY_SIZE(garbage));
    assert_non_null(strstr(w->log, "does not speak TLS"));
    assert_int_equal(w->accepted_count, 0);
    world_free(w);
}

static void reset_in_the_middle_of_a_handshake_hurts_nobody(void **state)
{
    (void)state;
    struct world *w = world_new();
    for (int i = 0; i < 3; i++) {
        int fd = stranger(w);
        assert_true(send(fd, client_hello, sizeof client_hello, 0) == sizeof client_hello);
        KIT_UNTIL(&w->loop, net_listener_stats(w->listener)->bytes_in == sizeof client_hello * (unsigned)(i + 1));
        struct linger hard = {1, 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        close(fd);
        KIT_UNTIL(&w->loop, net_listener_stats(w->listener)->open == 0);
    }
    assert_int_equal(net_listener_stats(w->listener)->handshake_failed, 3);
    world_free(w);
}

static void half_a_handshake_is_cut_after_its_time(void **state)
{
    (void)state;
    struct world *w = world_new_with(50);
    int silent = stranger(w), half = stranger(w);
    assert_true(send(half, client_hello, sizeof client_hello, 0) == sizeof client_hello);
    KIT_UNTIL(&w->loop, net_listener_stats(w->listener)->accepted == 2);
    KIT_UNTIL(&w->loop, net_listener_stats(w->listener)->open == 0);
    assert_int_equal(net_listener_stats(w->listener)->handshake_failed, 2);
    assert_non_null(strstr(w->log, "no TLS handshake within 50 ms"));
    assert_true(at_end(silent) && at_end(half));
    close(silent);
    close(half);
    world_free(w);
}

static void connections_above_the_limit_are_closed_and_counted(void **state)
{
    (void)state;
    struct world *w = world_new();
    enum { MAX = WORLD_CONNS_MAX };
    struct end e[MAX + 1] = {0};
    for (int i = 0; i < MAX; i++) {
        end_connect(w, &e[i]);
    }
    KIT_UNTIL(&w->loop, w->accepted_count == MAX);
    end_connect(w, &e[MAX]);
    KIT_UNTIL(&w->loop, e[MAX].closes == 1);
    assert_int_equal(e[MAX].why.code, ERR_CLOSED);
    assert_int_equal(net_gate_stats(net_listener_gate(w->listener))->refused[NET_CLASS_HANDSHAKE], 1);
    assert_int_equal(net_listener_stats(w->listener)->open, MAX);
    net_conn_close(e[0].c);
    KIT_UNTIL(&w->loop, net_listener_stats(w->listener)->open == MAX - 1);
    e[MAX] = (struct end){0};
    end_connect(w, &e[MAX]);
    KIT_UNTIL(&w->loop, w->accepted_count == MAX + 1);
    for (int i = 1; i <= MAX; i++) {
        net_conn_close(e[i].c);
    }
    world_free(w);
}

static void port_in_use_is_said(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct net_listener_config config = world_listener_config(w);
    config.addr = w->addr;
    struct net_listener *l;
    struct error err = {0};
    assert_int_equal(net_listen(&config, &l, &err), ERR_BUSY);
    assert_non_null(strstr(err.message, w->addr));
    assert_non_null(strstr(err.message, "address already in use"));
    config.addr = "203.0.113.7:1";
    assert_int_equal(net_listen(&config, &l, &err), ERR_INVALID);
    config.addr = "nonsense";
    assert_int_equal(net_listen(&config, &l, &err), ERR_INVALID);
    assert_null(l);
    world_free(w);
}

static void listener_takes_over_a_listening_socket(void **state)
{
    (void)state;
    struct world *w = world_new();
    int port;
    struct net_listener_config config = world_listener_config(w);
    config.addr = NULL;
    config.fd = plain_listen(&port);
    struct net_listener *l;
    assert_int_equal(net_listen(&config, &l, NULL), 0);
    assert_int_equal(net_listener_port(l), port);
    snprintf(w->addr, sizeof w->addr, "127.0.0.1:%d", port);
    world_connect(w, w->client_tls);
    KIT_UNTIL(&w->loop, w->accepted_count == 1);
    net_listener_close(l, NULL, NULL);
    /* The connection lives on without its listener. */
    w->accepted[0].echo = true;
    net_conn_send(w->client.c, "x", 1);
    KIT_UNTIL(&w->loop, w->client.got.size == 1);
    world_free(w);
}

static void listener_closed_during_handshakes_cuts_them(void **state)
{
    (void)state;
    struct world *w = world_new();
    int fd = stranger(w);
    KIT_UNTIL(&w->loop, net_listener_stats(w->listener)->open == 1);
    world_free(w); /* the loop must run empty although the stranger keeps its socket */
    close(fd);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(garbage_instead_of_tls_is_cut_and_counted),
        cmocka_unit_test(reset_in_the_middle_of_a_handshake_hurts_nobody),
        cmocka_unit_test(half_a_handshake_is_cut_after_its_time),
        cmocka_unit_test(connections_above_the_limit_are_closed_and_counted),
        cmocka_unit_test(port_in_use_is_said),
        cmocka_unit_test(listener_takes_over_a_listening_socket),
        cmocka_unit_test(listener_closed_during_handshakes_cuts_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
