/* An open connection: what it carries, when it pauses, how it ends. */
#include <netinet/tcp.h>

#include "proto_net_world.h"

static void bytes_travel_both_ways(void **state)
{
    (void)state;
    struct world *w = world_new();
    w->echo = true;
    world_connect_as(w, PKI_ROLE_NODE, "n1");
    net_conn_send(w->client.c, "hello", 5); /* waits for the handshake */
    KIT_UNTIL(&w->loop, w->client.got.size == 5);
    assert_memory_equal(w->client.got.data, "hello", 5);
    assert_int_equal(w->client.opens, 1);
    net_conn_close(w->client.c);
    assert_int_equal(w->client.closes, 0); /* never from inside the call */
    KIT_UNTIL(&w->loop, w->client.closes == 1 && w->accepted[0].closes == 1);
    assert_true(w->client.clean);
    assert_int_equal(w->accepted[0].why.code, ERR_CLOSED);
    assert_true(net_listener_stats(w->listener)->bytes_in > 0);
    world_free(w);
}

static void both_sides_know_each_other(void **state)
{
    (void)state;
    struct world *w = world_new();
    world_connect_as(w, PKI_ROLE_NODE, "n1");
    KIT_UNTIL(&w->loop, w->accepted_count == 1);
    assert_int_equal(w->client.peer.role, PKI_ROLE_MASTER);
    assert_string_equal(w->client.peer.name, "1");
    assert_int_equal(w->accepted[0].peer.role, PKI_ROLE_NODE);
    assert_string_equal(w->accepted[0].peer.name, "n1");
    assert_string_equal(w->accepted[0].alpn, ALPN_RPC);
    assert_string_equal(w->client.alpn, ALPN_RPC);
    assert_int_equal(strncmp(net_conn_peer_addr(w->accepted[0].c), "127.0.0.1:", 10), 0);
    world_free(w);
}

/* Both sides take new keys while other connections of the same certificate go on (RFC 8446 4.6.3). */
static void keys_are_changed_on_the_way(void **state)
{
    (void)state;
    struct world *w = world_new();
    w->echo = true;
    struct end other = {0};
    end_connect(w, &other);
    world_connect(w, w->client_tls);
    KIT_UNTIL(&w->loop, w->client.opens == 1 && other.opens == 1 && w->accepted_count == 2);
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(SSL_key_update(w->client.c->ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        net_conn_send(w->client.c, "hello", 5);
        net_conn_send(other.c, "there", 5);
        KIT_UNTIL(&w->loop, w->client.got.size == 5 * i && other.got.size == 5 * i);
        assert_int_equal(SSL_key_update(w->accepted[i % 2].c->ssl, SSL_KEY_UPDATE_REQUESTED), 1);
    }
    assert_memory_equal(w->client.got.data, "hellohellohello", 15);
    net_conn_close(other.c);
    KIT_UNTIL(&w->loop, other.closes == 1);
    buf_close(&other.got);
    world_free(w);
}

static void an_idle_connection_holds_no_buffers(void **state)
{
    (void)state;
    struct world *w = world_new();
    w->echo = true;
    world_connect(w, w->client_tls);
    net_conn_send(w->client.c, "hello", 5);
    KIT_UNTIL(&w->loop, w->client.got.size == 5);
    for (unsigned i = 0; i < 2; i++) {
        const struct net_conn *c = i == 0 ? w->client.c : w->accepted[0].c;
        assert_int_equal(c->plain.first.cap + c->cipher.cap + c->stash.cap, 0);
    }
    world_free(w);
}

static void megabytes_arrive_whole_and_drain_is_told(void **state)
{
    (void)state;
    struct world *w = world_new();
    w->echo = true;
    world_connect(w, w->client_tls);
    KIT_UNTIL(&w->loop, w->client.opens == 1);
    size_t size = 5 << 20;
    uint8_t *bytes = xmalloc(size);
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)(i * 2654435761u >> 13);
    }
    net_conn_send(w->client.c, bytes, size);
    assert_int_equal(net_conn_pending(w->client.c), size);
    KIT_UNTIL(&w->loop, w->client.got.size == size);
    assert_memory_equal(w->client.got.data, bytes, size);
    assert_int_equal(w->client.drains, 1);
    assert_int_equal(net_conn_pending(w->client.c), 0);
    free(bytes);
    world_free(w);
}

static void sends_of_one_turn_leave_together(void **state)
{
    (void)state;
    struct world *w = world_connected();
    uint64_t before = net_listener_stats(w->listener)->bytes_in;
    for (int i = 0; i < 1000; i++) {
        net_conn_send(w->client.c, "12345678", 8);
    }
    KIT_UNTIL(&w->loop, w->accepted[0].got.size == 8000);
    /* One record: 8000 bytes and 22 of TLS. */
    assert_int_equal(net_listener_stats(w->listener)->bytes_in - before, 8022);
    world_free(w);
}

/* Pieces of answers, and what stands between them. */
static void what_is_given_arrives_in_its_order(void **state)
{
    (void)state;
    struct world *w = world_connected();
    CLEANUP_BUF struct buf all = BUF_INIT;
    for (unsigned i = 0; i < 40; i++) {
        struct buf b = BUF_INIT;
        size_t n = i % 3 == 0 ? 100 : 50000 + i * 1000;
        memset(buf_reserve(&b, n + 7), 'a' + (int)i % 26, n + 7);
        b.size = n + 7;
        buf_append(&all, b.data + 7, n);
        net_conn_give(w->client.c, &b, 7);
        buf_puts(&all, "between");
        net_conn_send(w->client.c, "between", 7);
        assert_int_equal(net_conn_pending(w->client.c), all.size);
    }
    KIT_UNTIL(&w->loop, w->accepted[0].got.size == all.size);
    assert_memory_equal(w->accepted[0].got.data, all.data, all.size);
    assert_int_equal(net_conn_pending(w->client.c), 0);
    assert_int_equal(w->client.drains, 1);
    world_free(w);
}

static void bytes_sent_before_close_still_arrive(void **state)
{
    (void)state;
    struct world *w = world_new();
    world_connect(w, w->client_tls);
    KIT_UNTIL(&w->loop, w->client.opens == 1);
    char *bytes = xcalloc(1, 300000);
    net_conn_send(w->client.c, bytes, 300000);
    net_conn_close(w->client.c);
    net_conn_send(w->client.c, "late", 4); /* ignored */
    KIT_UNTIL(&w->loop, w->client.closes == 1 && w->accepted_count == 1 && w->accepted[0].closes == 1);
    assert_int_equal(w->accepted[0].got.size, 300000);
    free(bytes);
    world_free(w);
}

static void paused_connection_reads_nothing_and_then_everything(void **state)
{
    (void)state;
    struct world *w = world_connected();
    struct end probe = {0};
    struct end *server = &w->accepted[0];
    net_conn_pause(server->c, true);
    char *bytes = xcalloc(1, 100000);
    net_conn_send(w->client.c, bytes, 100000);
    /* Another connection's whole handshake gives the bytes time to arrive. */
    end_connect(w, &probe);
    KIT_UNTIL(&w->loop, w->accepted_count == 2);
    assert_int_equal(server->got.size, 0);
    net_conn_pause(server->c, false);
    KIT_UNTIL(&w->loop, server->got.size == 100000);
    net_conn_close(probe.c);
    free(bytes);
    world_free(w);
}

static void pause_inside_on_data_holds_back_the_next_record(void **state)
{
    (void)state;
    struct world *w = world_connected();
    struct end *server = &w->accepted[0];
    server->pausing = true;
    char *bytes = xcalloc(1, 200000);
    net_conn_send(w->client.c, bytes, 200000);
    unsigned rounds = 0;
    while (server->got.size < 200000) {
        KIT_UNTIL(&w->loop, server->paused);
        server->paused = false;
        net_conn_pause(server->c, false);
        rounds++;
    }
    assert_true(rounds >= 200000 / 16384);
    free(bytes);
    world_free(w);
}

static void reads_beyond_the_share_of_a_turn_wait_for_a_later_one(void **state)
{
    (void)state;
    struct world *w = world_connected();
    struct end *server = &w->accepted[0], probes[3] = {0};
    net_listener_turn(w->listener, 0); /* nothing but what waits by now */
    net_conn_send(w->client.c, "first", 5);
    /* Whole handshakes of others, which are bounded elsewhere, give the bytes time to arrive. */
    end_connect(w, &probes[0]);
    KIT_UNTIL(&w->loop, w->accepted_count == 2);
    assert_int_equal(server->got.size, 0);
    net_listener_turn(w->listener, 0);
    KIT_UNTIL(&w->loop, server->got.size == 5);

    /* The grant was for one read. And who is paused meanwhile does not read when its turn comes, but later. */
    net_conn_send(w->client.c, "again", 5);
    end_connect(w, &probes[1]);
    KIT_UNTIL(&w->loop, w->accepted_count == 3);
    assert_int_equal(server->got.size, 5);
    net_conn_pause(server->c, true);
    net_listener_turn(w->listener, 1000000000);
    net_conn_send(probes[1].c, "quick", 5);
    KIT_UNTIL(&w->loop, w->accepted[2].got.size == 5);
    assert_int_equal(server->got.size, 5);
    net_conn_pause(server->c, false);
    KIT_UNTIL(&w->loop, server->got.size == 10);

    /* One that waits may end; the others read on when nobody tells of turns any more. */
    net_listener_turn(w->listener, 0);
    net_conn_send(w->client.c, "third", 5);
    net_conn_send(probes[0].c, "never", 5);
    end_connect(w, &probes[2]);
    KIT_UNTIL(&w->loop, w->accepted_count == 4 && !list_empty(&server->c->read_link) &&
                            !list_empty(&w->accepted[1].c->read_link));
    net_conn_close(w->accepted[1].c);
    net_listener_turn(w->listener, 0);
    KIT_UNTIL(&w->loop, server->got.size == 15 && probes[0].closes == 1);
    assert_int_equal(w->accepted[1].got.size, 0);
    for (unsigned i = 1; i < ARRAY_SIZE(probes); i++) {
        net_conn_close(probes[i].c);
    }
    world_free(w);
}

static void reads_that_wait_go_on_when_the_listener_closes(void **state)
{
    (void)state;
    struct world *w = world_connected();
    net_listener_turn(w->listener, 0);
    net_conn_send(w->client.c, "first", 5);
    KIT_UNTIL(&w->loop, !list_empty(&w->accepted[0].c->read_link));
    net_listener_close(w->listener, world_on_listener_closed, w);
    KIT_UNTIL(&w->loop, w->accepted[0].got.size == 5);
    w->listener = NULL;
    world_free(w);
}

static unsigned writers_waiting(const struct world *w)
{
    unsigned n = 0;
    LIST_FOR(it, &w->listener->writes.users)
    {
        n++;
    }
    LIST_FOR(it, &w->listener->writes.nodes)
    {
        n++;
    }
    return n;
}

/* Much is sent to four; a turn has time for one. */
static void writes_beyond_the_share_of_a_turn_wait_for_a_later_one(void **state)
{
    (void)state;
    enum { MUCH = 100000, FOUR = 4 };
    struct world *w = world_connected();
    struct end probes[FOUR - 1] = {0}, *clients[FOUR] = {&w->client};
    char *bytes = xcalloc(1, MUCH);
    for (unsigned i = 1; i < FOUR; i++) {
        clients[i] = &probes[i - 1];
        end_connect(w, clients[i]);
        KIT_UNTIL(&w->loop, w->accepted_count == i + 1);
    }
    net_listener_turn(w->listener, 1000000000);
    net_listener_bound_writes(w->listener, 1);
    for (unsigned i = 0; i < FOUR; i++) {
        net_conn_send(w->accepted[i].c, bytes, MUCH);
    }
    unsigned first = 0;
    KIT_UNTIL(&w->loop, writers_waiting(w) == FOUR - 1);
    while (list_empty(&w->accepted[first].c->write_link) == 0) {
        first++;
    }
    KIT_UNTIL(&w->loop, clients[first]->got.size == MUCH);

    /* Who has little to send does not wait, and who has waited comes before who has not. */
    net_conn_send(w->accepted[first].c, "little", 6);
    KIT_UNTIL(&w->loop, clients[first]->got.size == MUCH + 6);
    assert_int_equal(writers_waiting(w), FOUR - 1);
    net_conn_send(w->accepted[first].c, bytes, MUCH);
    KIT_UNTIL(&w->loop, writers_waiting(w) == FOUR);
    struct net_conn *next = LIST_ENTRY(w->listener->writes.users.next, struct net_conn, write_link);
    net_listener_turn(w->listener, 1000000000);
    unsigned second = 0;
    while (w->accepted[second].c != next) {
        second++;
    }
    assert_true(second != first);
    KIT_UNTIL(&w->loop, clients[second]->got.size == MUCH);
    assert_int_equal(writers_waiting(w), FOUR - 1);

    /* One that waits may end at once; the others send all when nobody tells of turns any more. */
    unsigned third = 0;
    while (third == first || third == second) {
        third++;
    }
    net_conn_abort(w->accepted[third].c);
    KIT_UNTIL(&w->loop, clients[third]->closes == 1);
    assert_int_equal(clients[third]->got.size, 0);
    assert_int_equal(writers_waiting(w), FOUR - 2);
    net_listener_close(w->listener, world_on_listener_closed, w);
    w->listener = NULL;
    unsigned fourth = 0 + 1 + 2 + 3 - first - second - third;
    KIT_UNTIL(&w->loop, clients[fourth]->got.size == MUCH && clients[first]->got.size == 2 * MUCH + 6);
    for (unsigned i = 1; i < FOUR; i++) {
        if (clients[i]->c != NULL) {
            net_conn_close(clients[i]->c);
        }
        KIT_UNTIL(&w->loop, clients[i]->closes == 1);
        buf_close(&clients[i]->got);
    }
    free(bytes);
    world_free(w);
}

/* Many to whom much is sent, of different roles; a turn has time for one. */
enum { CROWD = 6, CROWD_MUCH = 100000 };
struct crowd {
    struct world *w;
    struct end clients[CROWD];
    char bytes[CROWD_MUCH];
};

static void crowd_join(struct crowd *cr, unsigned i, enum pki_role role, const char *name, const char *alpn)
{
    struct net_tls *tls = kit_tls(&cr->w->ca, role, name);
    struct end *e = &cr->clients[i];
    e->c = net_connect(&cr->w->loop, tls, cr->w->addr, alpn, 5000, &end_events, e);
    net_tls_unref(tls);
    KIT_UNTIL(&cr->w->loop, cr->w->accepted_count == i + 1);
}

static struct crowd *crowd_new(void)
{
    struct crowd *cr = xcalloc(1, sizeof *cr);
    cr->w = world_new();
    return cr;
}

/* From now on one of them sends; the one before has been served. */
static void crowd_bound(struct crowd *cr)
{
    net_listener_turn(cr->w->listener, 1000000000);
    net_listener_bound_writes(cr->w->listener, 1);
}

/* The i-th is the one to be served in this turn, or needs none. */
static void crowd_got(struct crowd *cr, unsigned i)
{
    KIT_UNTIL(&cr->w->loop, cr->clients[i].got.size == CROWD_MUCH);
}

/* The i-th is sent much, and waits as one of so many. */
static void crowd_waits(struct crowd *cr, unsigned i, unsigned waiting)
{
    net_conn_send(cr->w->accepted[i].c, cr->bytes, CROWD_MUCH);
    KIT_UNTIL(&cr->w->loop, writers_waiting(cr->w) == waiting);
    assert_false(list_empty(&cr->w->accepted[i].c->write_link));
}

static void crowd_free(struct crowd *cr)
{
    for (unsigned i = 0; i < cr->w->accepted_count; i++) {
        if (cr->clients[i].c != NULL) {
            net_conn_close(cr->clients[i].c);
        }
        KIT_UNTIL(&cr->w->loop, cr->clients[i].closes == 1);
        buf_close(&cr->clients[i].got);
    }
    world_free(cr->w);
    free(cr);
}

static void masters_do_not_wait_to_send_and_nodes_not_behind_all_users(void **state)
{
    (void)state;
    struct crowd *cr = crowd_new();
    for (unsigned i = 0; i < 3; i++) {
        crowd_join(cr, i, PKI_ROLE_ADMIN, "kate", ALPN_RPC);
    }
    crowd_join(cr, 3, PKI_ROLE_NODE, "n1", ALPN_RPC);
    crowd_join(cr, 4, PKI_ROLE_NODE, "n2", ALPN_RPC);
    crowd_join(cr, 5, PKI_ROLE_MASTER, "2", ALPN_RAFT);
    crowd_bound(cr);
    net_conn_send(cr->w->accepted[0].c, cr->bytes, CROWD_MUCH);
    crowd_got(cr, 0);
    for (unsigned i = 1; i < 5; i++) {
        crowd_waits(cr, i, i);
    }
    net_conn_send(cr->w->accepted[5].c, cr->bytes, CROWD_MUCH);
    crowd_got(cr, 5);
    assert_int_equal(writers_waiting(cr->w), 4);

    static const unsigned order[] = {3, 1, 4, 2}; /* the users have come first, and neither waits for all others */
    for (unsigned i = 0; i < ARRAY_SIZE(order); i++) {
        net_listener_turn(cr->w->listener, 1000000000);
        crowd_got(cr, order[i]);
        assert_int_equal(writers_waiting(cr->w), 3 - i);
    }
    crowd_free(cr);
}

/* Its time to flush runs; turns of others may last longer. */
static void who_waits_to_send_and_is_closed_sends_at_once(void **state)
{
    (void)state;
    struct crowd *cr = crowd_new();
    for (unsigned i = 0; i < 4; i++) {
        crowd_join(cr, i, PKI_ROLE_ADMIN, "kate", ALPN_RPC);
    }
    crowd_bound(cr);
    net_conn_send(cr->w->accepted[0].c, cr->bytes, CROWD_MUCH);
    crowd_got(cr, 0);
    for (unsigned i = 1; i < 4; i++) {
        crowd_waits(cr, i, i);
    }
    net_conn_close(cr->w->accepted[1].c);
    KIT_UNTIL(&cr->w->loop, cr->clients[1].closes == 1);
    assert_int_equal(cr->clients[1].got.size, CROWD_MUCH);

    /* Who sends what is no TLS is told so. */
    static char garbage[] = "\x17\x03\x03\x00\x20 0123456789 0123456789 0123456789";
    uv_buf_t b = uv_buf_init(garbage, 5 + 32);
    assert_int_equal(uv_try_write((uv_stream_t *)&cr->clients[2].c->tcp, &b, 1), 5 + 32);
    KIT_UNTIL(&cr->w->loop, cr->clients[2].closes == 1);
    assert_non_null(strstr(cr->clients[2].why.message, "alert"));
    assert_int_equal(writers_waiting(cr->w), 1);
    crowd_free(cr);
}

/* A peer whose machine is gone says nothing: the kernel has to find out. */
static void sockets_are_told_to_find_dead_peers(void **state)
{
    (void)state;
    struct world *w = world_connected();
    struct net_conn *both[] = {w->client.c, w->accepted[0].c};
    for (int i = 0; i < 2; i++) {
        int fd, keepalive = 0, nodelay = 0, timeout_ms = 0;
        socklen_t n = sizeof(int);
        assert_int_equal(uv_fileno((uv_handle_t *)&both[i]->tcp, &fd), 0);
        assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &keepalive, &n), 0);
        assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, &n), 0);
        assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, &n), 0);
        assert_true(keepalive && nodelay && timeout_ms == 30000);
    }
    world_free(w);
}

/* The peer never reads: what was to be flushed is given up. */
static void close_does_not_wait_for_a_peer_that_takes_nothing(void **state)
{
    (void)state;
    struct world *w = world_connected();
    net_conn_pause(w->accepted[0].c, true);
    size_t size = 32 << 20;
    char *bytes = xcalloc(1, size);
    net_conn_send(w->client.c, bytes, size);
    net_conn_close(w->client.c);
    KIT_UNTIL(&w->loop, w->client.closes == 1);
    assert_true(w->client.clean);
    free(bytes);
    world_free(w);
}

static void on_time(uv_timer_t *t)
{
    *(bool *)t->data = true;
}

static void pass(struct world *w, uint64_t ms)
{
    uv_timer_t t;
    bool over = false;
    uv_timer_init(&w->loop, &t);
    uv_update_time(&w->loop);
    t.data = &over;
    uv_timer_start(&t, on_time, ms, 0);
    KIT_UNTIL(&w->loop, over);
    uv_close((uv_handle_t *)&t, kit_closed_cb);
    while (t.data != NULL) {
        uv_run(&w->loop, UV_RUN_NOWAIT);
    }
}

/* Longer than a close waits; what it still says meanwhile cuts nothing. */
static void a_slow_close_waits_for_a_peer_that_reads_late(void **state)
{
    (void)state;
    struct world *w = world_connected();
    size_t size = 32 << 20;
    char *bytes = xcalloc(1, size);
    net_conn_pause(w->accepted[0].c, true);
    net_conn_send(w->client.c, bytes, size);
    net_conn_close_slowly(w->client.c, 60000);
    net_conn_send(w->accepted[0].c, "still here", 10);
    pass(w, 3000);
    assert_int_equal(w->client.closes + w->accepted[0].closes, 0);
    net_conn_pause(w->accepted[0].c, false);
    KIT_UNTIL(&w->loop, w->client.closes == 1 && w->accepted[0].closes == 1);
    assert_int_equal(w->accepted[0].got.size, size);
    assert_true(w->client.clean);
    free(bytes);
    world_free(w);
}

static void a_slow_close_has_an_end(void **state)
{
    (void)state;
    for (int told = 0; told < 2; told++) { /* when its patience is over, or when it is told */
        struct world *w = world_connected();
        size_t size = 32 << 20;
        char *bytes = xcalloc(1, size);
        net_conn_pause(w->accepted[0].c, true);
        net_conn_send(w->client.c, bytes, size);
        net_conn_close_slowly(w->client.c, told ? 3600000 : 2000);
        if (told) {
            net_conn_close(w->client.c);
        }
        KIT_UNTIL(&w->loop, w->client.closes == 1);
        assert_true(w->client.clean);
        free(bytes);
        world_free(w);
    }
}

static void peer_that_resets_is_reported(void **state)
{
    (void)state;
    struct world *w = world_connected();
    uv_tcp_close_reset(&w->client.c->tcp, net_conn_on_handle_closed);
    w->client.c->state = NET_CLOSED; /* what enter_closed does, but for the manner */
    uv_close((uv_handle_t *)&w->client.c->timer, net_conn_on_handle_closed);
    uv_close((uv_handle_t *)&w->client.c->kick, net_conn_on_handle_closed);
    KIT_UNTIL(&w->loop, w->accepted[0].closes == 1);
    assert_int_equal(w->accepted[0].why.code, ERR_CLOSED);
    assert_non_null(strstr(w->accepted[0].why.message, "reset"));
    world_free(w);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_travel_both_ways),
        cmocka_unit_test(both_sides_know_each_other),
        cmocka_unit_test(keys_are_changed_on_the_way),
        cmocka_unit_test(an_idle_connection_holds_no_buffers),
        cmocka_unit_test(megabytes_arrive_whole_and_drain_is_told),
        cmocka_unit_test(sends_of_one_turn_leave_together),
        cmocka_unit_test(what_is_given_arrives_in_its_order),
        cmocka_unit_test(bytes_sent_before_close_still_arrive),
        cmocka_unit_test(paused_connection_reads_nothing_and_then_everything),
        cmocka_unit_test(pause_inside_on_data_holds_back_the_next_record),
        cmocka_unit_test(reads_beyond_the_share_of_a_turn_wait_for_a_later_one),
        cmocka_unit_test(reads_that_wait_go_on_when_the_listener_closes),
        cmocka_unit_test(writes_beyond_the_share_of_a_turn_wait_for_a_later_one),
        cmocka_unit_test(masters_do_not_wait_to_send_and_nodes_not_behind_all_users),
        cmocka_unit_test(who_waits_to_send_and_is_closed_sends_at_once),
        cmocka_unit_test(sockets_are_told_to_find_dead_peers),
        cmocka_unit_test(close_does_not_wait_for_a_peer_that_takes_nothing),
        cmocka_unit_test(a_slow_close_waits_for_a_peer_that_reads_late),
        cmocka_unit_test(a_slow_close_has_an_end),
        cmocka_unit_test(peer_that_resets_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
