/* A listener without descriptors, and with more peers in front of it than it has places for handshakes. */
#include <fcntl.h>
#include <sys/resource.h>

#include "proto_net_world.h"

#define CROWD 80

static struct sockaddr_in there(const struct world *w)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)net_listener_port(w->listener))};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return in;
}

static int peer(struct world *w, int fd)
{
    struct sockaddr_in in = there(w);
    assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof in), 0);
    return fd;
}

static bool at_end(int fd)
{
    char b[64];
    ssize_t n = recv(fd, b, sizeof b, MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno != EAGAIN);
}

/* Takes all descriptors that this process may have. */
static unsigned use_up(int *fds, unsigned max)
{
    unsigned n = 0;
    for (int fd; n < max && (fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0; n++) {
        fds[n] = fd;
    }
    assert_true(n < max && errno == EMFILE);
    return n;
}

static void without_descriptors_peers_are_told_by_closing_and_nothing_spins(void **state)
{
    (void)state;
    static int taken[4096];
    struct rlimit before, low;
    getrlimit(RLIMIT_NOFILE, &before);
    low = (struct rlimit){256, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    struct world *w = world_new();
    struct net_gate_stats *stats = net_gate_stats(net_listener_gate(w->listener));
    int sockets[4];
    for (int i = 0; i < 4; i++) {
        sockets[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    }
    unsigned n = use_up(taken, ARRAY_SIZE(taken));
    peer(w, sockets[0]);
    KIT_UNTIL(&w->loop, at_end(sockets[0]));
    assert_int_equal(stats->no_descriptor, 1);
    /* The one kept for that is lost as well: they wait, and the loop sleeps meanwhile. */
    assert_true(w->listener->spare >= 0);
    close(w->listener->spare);
    w->listener->spare = -1;
    n += use_up(taken + n, ARRAY_SIZE(taken) - n);
    peer(w, sockets[1]);
    KIT_UNTIL(&w->loop, stats->no_descriptor == 3); /* at every pause once */
    assert_false(at_end(sockets[1]));
    assert_int_equal(w->listener->stats.accepted, 0);
    while (n > 0) {
        close(taken[--n]);
    }
    KIT_UNTIL(&w->loop, w->listener->stats.accepted == 1);
    world_connect(w, w->client_tls);
    KIT_UNTIL(&w->loop, w->accepted_count == 1);
    assert_true(stats->no_descriptor < 100);
    world_free(w);
    for (int i = 0; i < 4; i++) {
        close(sockets[i]);
    }
    setrlimit(RLIMIT_NOFILE, &before);
}

static void on_tick(uv_timer_t *t)
{
    (void)t; /* the loop's clock goes on */
}

/* Many who never begin their handshake; the gate has places for fewer. Whoever comes behind them is let in all the
 * same. */
static void silent_peers_do_not_keep_others_out(void **state)
{
    (void)state;
    struct world *w = world_new();
    net_listener_close(w->listener, NULL, NULL);
    struct net_gate_config shares;
    net_gate_share(256, &shares);
    struct net_gate *gate = net_gate_new(&shares);
    struct net_listener_config config = world_listener_config(w);
    config.gate = gate;
    assert_int_equal(net_listen(&config, &w->listener, NULL), 0);
    snprintf(w->addr, sizeof w->addr, "127.0.0.1:%d", net_listener_port(w->listener));
    int fds[CROWD];
    assert_true(CROWD > 2 * shares.max[NET_CLASS_HANDSHAKE]);
    for (unsigned i = 0; i < CROWD; i++) {
        fds[i] = peer(w, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        if (i == shares.max[NET_CLASS_HANDSHAKE]) {
            KIT_UNTIL(&w->loop, net_gate_stats(gate)->open[NET_CLASS_HANDSHAKE] == shares.max[NET_CLASS_HANDSHAKE]);
        }
    }
    world_dial(w, w->client_tls, w->addr, ALPN_RPC, KIT_DEADLINE_MS);
    KIT_UNTIL(&w->loop, w->accepted_count == 1 || w->client.closes == 1);
    if (w->client.closes == 1) { /* its address has most of them: once they are old they go, not it */
        uv_timer_t tick;
        uv_timer_init(&w->loop, &tick);
        uv_timer_start(&tick, on_tick, 20, 20);
        KIT_UNTIL(&w->loop, net_gate_victim(gate, (int64_t)uv_now(&w->loop)) != NULL);
        uv_close((uv_handle_t *)&tick, NULL);
        uv_run(&w->loop, UV_RUN_NOWAIT);
        world_dial(w, w->client_tls, w->addr, ALPN_RPC, KIT_DEADLINE_MS);
        KIT_UNTIL(&w->loop, w->accepted_count == 1);
        assert_true(net_gate_stats(gate)->cut >= 1);
    }
    assert_true(net_gate_stats(gate)->open[NET_CLASS_HANDSHAKE] <= shares.max[NET_CLASS_HANDSHAKE]);
    assert_int_equal(net_gate_stats(gate)->open[NET_CLASS_ADMIN], 1);
    world_free(w);
    for (unsigned i = 0; i < CROWD; i++) {
        close(fds[i]);
    }
    net_gate_unref(gate);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_descriptors_peers_are_told_by_closing_and_nothing_spins),
        cmocka_unit_test(silent_peers_do_not_keep_others_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
