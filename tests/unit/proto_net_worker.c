/* Handshakes beside the loop: a step stands still on the thread for as long as a test wants, and meanwhile others are
 * served, and connections are closed, time out, or send what is no TLS. Under sanitizers nothing leaks. */
#include <pthread.h>

#include "proto/net/worker.h"
#include "proto_net_world.h"

/* ---- A thread that stands still in the middle of a step ---- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    pthread_t loop;
    unsigned standing; /* in a step */
    unsigned after;    /* steps that go on as if nothing were; then all stand still, until... */
    bool held;
    bool on_loop; /* a step was done there */
} held = {.lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER};

/* OpenSSL calls it at the end of every step, among others. */
static void on_info(const SSL *ssl, int where, int result)
{
    (void)ssl, (void)result;
    if (where != SSL_CB_ACCEPT_EXIT) {
        return;
    }
    pthread_mutex_lock(&held.lock);
    held.on_loop |= pthread_equal(pthread_self(), held.loop) != 0;
    if (held.held && held.after > 0) {
        held.after--;
    } else {
        held.standing++;
        while (held.held && !held.on_loop) {
            pthread_cond_wait(&held.moved, &held.lock);
        }
        held.standing--;
    }
    pthread_mutex_unlock(&held.lock);
}

/* From now on: the step after that many. */
static void hold(unsigned after)
{
    pthread_mutex_lock(&held.lock);
    held.held = true;
    held.after = after;
    pthread_mutex_unlock(&held.lock);
}

static void let_go(void)
{
    pthread_mutex_lock(&held.lock);
    held.held = false;
    pthread_cond_broadcast(&held.moved);
    pthread_mutex_unlock(&held.lock);
}

static bool one_stands(void)
{
    pthread_mutex_lock(&held.lock);
    bool one = held.held && held.standing == 1;
    pthread_mutex_unlock(&held.lock);
    return one;
}

/* ---- A world whose listener has a thread ---- */

static void on_tick(uv_timer_t *t)
{
    (void)t; /* the thread tells the loop nothing while it stands still */
}

static struct aside {
    struct world *w;
    struct net_worker *worker;
    uv_timer_t tick;
} beside;

static struct world *begin(int64_t handshake_ms)
{
    struct world *w = world_new();
    beside.w = w;
    net_listener_close(w->listener, NULL, NULL);
    assert_int_equal(net_worker_new(&w->loop, &beside.worker, NULL), 0);
    struct net_listener_config config = world_listener_config(w);
    config.worker = beside.worker;
    config.conns_max = 2 * NET_WORKER_BURST; /* not all of them are accepted */
    config.handshake_ms = handshake_ms;
    assert_int_equal(net_listen(&config, &w->listener, NULL), 0);
    snprintf(w->addr, sizeof w->addr, "127.0.0.1:%d", net_listener_port(w->listener));
    SSL_CTX_set_info_callback(w->server_tls->ctx, on_info);
    held.loop = pthread_self();
    held.on_loop = false;
    uv_timer_init(&w->loop, &beside.tick);
    uv_timer_start(&beside.tick, on_tick, 1, 1);
    return w;
}

static struct net_worker_stats counted(void)
{
    return *net_worker_stats(beside.worker);
}

/* What is left must end by itself: world_free runs the loop until nothing is. */
static void end(void)
{
    let_go();
    uv_close((uv_handle_t *)&beside.tick, NULL);
    net_worker_unref(beside.worker);
    world_free(beside.w);
    assert_false(held.on_loop); /* the thread has ended */
}

/* from: 127.0.0.N */
static int stranger_from(struct world *w, unsigned from, const void *bytes, size_t n)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000000 + from)};
    assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
    in.sin_port = htons((uint16_t)net_listener_port(w->listener));
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(send(fd, bytes, n, 0), n);
    return fd;
}

static int stranger_who_says(struct world *w, const void *bytes, size_t n)
{
    return stranger_from(w, 1, bytes, n);
}

static bool at_end(int fd)
{
    char b[512];
    ssize_t n;
    while ((n = recv(fd, b, sizeof b, MSG_DONTWAIT)) > 0) {
    }
    return n == 0 || (n < 0 && errno != EAGAIN);
}

static const struct net_stats *stats(void)
{
    return net_listener_stats(beside.w->listener);
}

/* ---- Many ---- */

static void a_step_that_stands_still_is_in_nobodys_way(void **state)
{
    (void)state;
    struct world *w = begin(0);
    w->echo = true;
    world_connect(w, w->client_tls);
    KIT_UNTIL(&w->loop, w->accepted_count == 1);
    uint64_t before = counted().steps;
    assert_int_equal(before, 2); /* hello, and the client's end of it */
    struct end ends[NET_WORKER_STEPS + 12] = {{0}};
    hold(0);
    for (unsigned i = 0; i < ARRAY_SIZE(ends); i++) {
        end_connect(w, &ends[i]);
    }
    KIT_UNTIL(&w->loop, one_stands() && counted().waiting == ARRAY_SIZE(ends));
    for (unsigned i = 1; i <= 10; i++) {
        net_conn_send(w->client.c, "x", 1);
        KIT_UNTIL(&w->loop, w->client.got.size == i);
    }
    assert_true(one_stands());
    assert_int_equal(counted().steps, before);
    net_conn_abort(ends[3].c);                    /* is with the thread, but not begun */
    net_conn_abort(ends[ARRAY_SIZE(ends) - 1].c); /* waits */
    KIT_UNTIL(&w->loop, ends[3].closes == 1 && ends[ARRAY_SIZE(ends) - 1].closes == 1);
    let_go();
    for (unsigned i = 0; i < ARRAY_SIZE(ends); i++) {
        bool gone = i == 3 || i == ARRAY_SIZE(ends) - 1;
        KIT_UNTIL(&w->loop, gone || ends[i].opens == 1);
    }
    KIT_UNTIL(&w->loop, w->accepted_count == 1 + ARRAY_SIZE(ends) - 2);
    KIT_UNTIL(&w->loop, stats()->open == 1 + ARRAY_SIZE(ends) - 2);
    struct net_worker_stats s = counted();
    assert_int_equal(s.waiting, 0);
    assert_int_equal(s.waiting_most, ARRAY_SIZE(ends));
    assert_true(s.steps >= before + 2 * (ARRAY_SIZE(ends) - 2));
    assert_true(s.taken_most <= NET_WORKER_STEPS); /* what the loop has to take up in one turn */
    for (unsigned i = 0; i < ARRAY_SIZE(ends); i++) {
        if (ends[i].c != NULL) {
            net_conn_close(ends[i].c);
        }
    }
    for (unsigned i = 0; i < ARRAY_SIZE(ends); i++) {
        KIT_UNTIL(&w->loop, ends[i].closes == 1);
    }
    end();
}

/* Steps of a network are done as they come until it has had its share, and then behind those of others. */
static void who_opens_many_waits_behind_others(void **state)
{
    (void)state;
    static const char record[] = "\x16\x03\x01\x00\x08nonsense";
    enum { MANY = NET_WORKER_BURST + 100, SIZE = sizeof record - 1 };
    struct world *w = begin(0);
    int fds[MANY];
    hold(0);
    uint64_t start_ns = uv_hrtime();
    for (unsigned i = 0; i < MANY; i++) {
        fds[i] = stranger_from(w, 1, record, SIZE);
        KIT_UNTIL(&w->loop, counted().waiting == i + 1);
    }
    uint64_t forgotten = (uv_hrtime() - start_ns) * NET_WORKER_SHARE / 1000000000 + 2;
    int other = stranger_from(w, 2, record, SIZE);
    KIT_UNTIL(&w->loop, counted().waiting == MANY + 1);
    let_go();
    KIT_UNTIL(&w->loop, (uv_run(&w->loop, UV_RUN_NOWAIT), at_end(other)));
    assert_true(counted().crowded < (MANY - NET_WORKER_BURST) / 2); /* some, until its socket was closed */
    for (unsigned i = 0; i < MANY; i++) {
        KIT_UNTIL(&w->loop, (uv_run(&w->loop, UV_RUN_NOWAIT), at_end(fds[i])));
        close(fds[i]);
    }
    assert_int_equal(counted().steps, MANY + 1);
    assert_true(counted().crowded <= MANY - NET_WORKER_BURST);
    assert_true(counted().crowded + forgotten >= MANY - NET_WORKER_BURST);
    close(other);
    end();
}

/* ---- In the middle of a step ---- */

static void who_leaves_in_the_middle_of_a_step_is_noticed_behind_it(void **state)
{
    (void)state;
    struct world *w = begin(0);
    for (unsigned after = 0; after < 2; after++) { /* of the first, of the second */
        hold(after);
        world_connect(w, w->client_tls);
        KIT_UNTIL(&w->loop, one_stands());
        net_conn_abort(w->client.c);
        KIT_UNTIL(&w->loop, w->client.closes == 1);
        assert_int_equal(stats()->open, 1);
        let_go();
        KIT_UNTIL(&w->loop, stats()->open == 0);
    }
    assert_int_equal(stats()->handshake_failed, 1); /* the other one had done all that is needed */
    assert_int_equal(w->accepted_count, 1);
    assert_int_equal(w->accepted[0].closes, 1);
    end();
}

static void time_runs_out_in_the_middle_of_a_step(void **state)
{
    (void)state;
    struct world *w = begin(300);
    hold(0);
    struct end waits = {0};
    world_connect(w, w->client_tls);
    end_connect(w, &waits);
    KIT_UNTIL(&w->loop, one_stands());
    KIT_UNTIL(&w->loop, stats()->handshake_failed == 2);
    KIT_UNTIL(&w->loop, w->client.closes == 1 && waits.closes == 1); /* their sockets are closed at once... */
    assert_true(one_stands());
    assert_int_equal(stats()->open, 2); /* ...and they are there until the thread has given them back */
    assert_non_null(strstr(w->log, "no TLS handshake within 300 ms"));
    let_go();
    KIT_UNTIL(&w->loop, stats()->open == 0);
    assert_int_equal(stats()->handshake_failed, 2);
    assert_int_equal(w->accepted_count, 0);
    end();
}

static void listener_ends_in_the_middle_of_a_step(void **state)
{
    (void)state;
    for (unsigned after = 0; after < 2; after++) {
        struct world *w = begin(0);
        struct end other = {0};
        hold(after);
        world_connect(w, w->client_tls);
        KIT_UNTIL(&w->loop, one_stands());
        end_connect(w, &other);
        KIT_UNTIL(&w->loop, counted().waiting == 2);
        net_listener_close(TAKE_PTR(w->listener), world_on_listener_closed, w);
        KIT_UNTIL(&w->loop, w->listener_closed && w->client.closes == 1 && other.closes == 1);
        assert_true(one_stands());
        assert_int_equal(w->accepted_count, 0);
        end();
    }
}

/* The loop has nothing else left: it waits for the step. */
static void the_loop_ends_when_the_step_has(void **state)
{
    (void)state;
    struct world *w = begin(0);
    hold(0);
    int fd = stranger_who_says(w, "nonsense", 8);
    KIT_UNTIL(&w->loop, one_stands());
    net_listener_close(TAKE_PTR(w->listener), world_on_listener_closed, w);
    uv_close((uv_handle_t *)&beside.tick, NULL);
    KIT_UNTIL(&w->loop, w->listener_closed);
    assert_int_equal(uv_loop_alive(&w->loop), 1);
    uv_timer_init(&w->loop, &beside.tick);
    end();
    close(fd);
}

/* A record that is whole, with the first half of a message's head. */
static const char half_message[7] = "\x16\x03\x01\x00\x02\x01";

static void garbage_and_halves_in_the_middle_of_a_step(void **state)
{
    (void)state;
    struct world *w = begin(1000);
    hold(0);
    int garbage = stranger_who_says(w, "GET / HTTP/1.0\r\n\r\n", 18);
    KIT_UNTIL(&w->loop, one_stands());
    int half = stranger_who_says(w, half_message, sizeof half_message);
    KIT_UNTIL(&w->loop, counted().waiting == 2);
    let_go();
    KIT_UNTIL(&w->loop, (uv_run(&w->loop, UV_RUN_NOWAIT), at_end(garbage)));
    assert_non_null(strstr(w->log, "does not speak TLS"));
    close(garbage);
    KIT_UNTIL(&w->loop, (uv_run(&w->loop, UV_RUN_NOWAIT), at_end(half)));
    close(half);
    KIT_UNTIL(&w->loop, stats()->open == 0);
    assert_non_null(strstr(w->log, "no TLS handshake within 1000 ms"));
    assert_int_equal(stats()->handshake_failed, 2);
    end();
}

/* They take no place with the thread, and are told so when their time is over, or when they speak on. */
static void less_than_the_first_record_is_no_step(void **state)
{
    (void)state;
    static const char record[] = "\x16\x03\x01\x00\x08nonsense";
    enum { HEAD = 5, WHOLE = sizeof record - 1 };
    struct world *w = begin(0);
    int slow = stranger_who_says(w, record, 1), leaves = stranger_who_says(w, record, HEAD - 1);
    uint64_t read = HEAD;
    for (unsigned i = 1; i < WHOLE - 1; i++) {
        KIT_UNTIL(&w->loop, stats()->bytes_in == read);
        assert_int_equal(send(slow, record + i, 1, 0), 1);
        read++;
    }
    KIT_UNTIL(&w->loop, stats()->bytes_in == read);
    close(leaves);
    KIT_UNTIL(&w->loop, stats()->open == 1);
    assert_int_equal(counted().steps + counted().waiting, 0);
    assert_int_equal(send(slow, record + WHOLE - 1, 1, 0), 1);
    KIT_UNTIL(&w->loop, (uv_run(&w->loop, UV_RUN_NOWAIT), at_end(slow)));
    assert_int_equal(counted().steps, 1);
    assert_int_equal(stats()->handshake_failed, 2);
    close(slow);
    end();
}

/* What TLS would not wait for is refused as soon as its head is there. */
static void the_head_of_no_record_is_a_step(void **state)
{
    (void)state;
    static const char *const heads[] = {"\x16\x03\x01\xff\xff", "\x16\x02\x01\x01\x01", "GET /"};
    struct world *w = begin(0);
    for (unsigned i = 0; i < ARRAY_SIZE(heads); i++) {
        int fd = stranger_who_says(w, heads[i], 5);
        KIT_UNTIL(&w->loop, (uv_run(&w->loop, UV_RUN_NOWAIT), at_end(fd)));
        assert_int_equal(counted().steps, i + 1);
        close(fd);
    }
    int silent = stranger_who_says(w, "GET", 3);
    KIT_UNTIL(&w->loop, stats()->open == 1);
    close(silent);
    KIT_UNTIL(&w->loop, stats()->open == 0);
    assert_int_equal(counted().steps, ARRAY_SIZE(heads));
    end();
}

/* Its context lives as long as the handshake that was begun with it, though nobody else has it any more. */
static void certificates_rotate_in_the_middle_of_a_step(void **state)
{
    (void)state;
    for (unsigned after = 0; after < 2; after++) {
        struct world *w = begin(0);
        struct net_tls *former = kit_tls(&w->ca, PKI_ROLE_MASTER, "7"), *next = kit_tls(&w->ca, PKI_ROLE_MASTER, "8");
        SSL_CTX_set_info_callback(former->ctx, on_info);
        net_listener_set_tls(w->listener, former);
        net_tls_unref(former);
        hold(after);
        world_connect(w, w->client_tls);
        KIT_UNTIL(&w->loop, one_stands());
        net_listener_set_tls(w->listener, next);
        net_tls_unref(next);
        let_go();
        KIT_UNTIL(&w->loop, w->accepted_count == 1 && w->client.opens == 1);
        assert_string_equal(w->client.peer.name, "7");
        struct end late = {0};
        end_connect(w, &late);
        KIT_UNTIL(&w->loop, late.opens == 1 && w->accepted_count == 2);
        assert_string_equal(late.peer.name, "8");
        net_conn_close(late.c);
        KIT_UNTIL(&w->loop, late.closes == 1);
        end();
    }
}

static void a_reset_in_the_middle_of_a_step_hurts_nobody(void **state)
{
    (void)state;
    struct world *w = begin(0);
    struct linger hard = {1, 0};
    hold(0);
    int fd = stranger_who_says(w, half_message, sizeof half_message);
    KIT_UNTIL(&w->loop, one_stands());
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(fd);
    let_go();
    KIT_UNTIL(&w->loop, stats()->open == 0);
    assert_int_equal(stats()->handshake_failed, 1);
    end();
}

/* ---- What comes out ---- */

static void the_reason_for_a_refusal_comes_from_the_thread(void **state)
{
    (void)state;
    struct world *w = begin(0);
    struct kit_ca other = kit_ca_new("other");
    struct kit_leaf leaf = kit_leaf_new(&other, PKI_ROLE_ADMIN, "eve", 60);
    struct net_tls *distrusts = kit_tls(&other, PKI_ROLE_ADMIN, "eve"), *distrusted;
    char print[33];
    pki_cert_fingerprint(w->ca.cert, print, NULL);
    assert_int_equal(net_tls_new(NULL, leaf.cert, leaf.key, print, &distrusted, NULL), 0);
    world_connect_refused(w, distrusts, ERR_UNAUTHORIZED);
    KIT_UNTIL(&w->loop, stats()->open == 0);
    assert_non_null(strstr(w->log, "the peer refused our certificate (master 1)"));
    world_connect_refused(w, distrusted, ERR_UNAUTHORIZED);
    assert_non_null(strstr(w->client.why.message, "refused our certificate (admin eve)"));
    KIT_UNTIL(&w->loop, stats()->open == 0);
    assert_non_null(strstr(w->log, "certificate of admin eve is not signed by this cluster's CA"));
    world_dial(w, w->client_tls, w->addr, "nothing/1", 5000);
    KIT_UNTIL(&w->loop, w->client.closes == 1);
    assert_int_equal(w->client.why.code, ERR_UNSUPPORTED);
    KIT_UNTIL(&w->loop, stats()->open == 0);
    assert_non_null(strstr(w->log, "offers no protocol that is spoken here"));
    assert_int_equal(stats()->handshake_failed, 3);
    assert_int_equal(w->accepted_count, 0);
    net_tls_unref(distrusts);
    net_tls_unref(distrusted);
    kit_leaf_free(&leaf);
    kit_ca_free(&other);
    end();
}

/* What was sent with the last of the handshake is there for whoever takes the connection, once it reads. */
static void what_comes_with_the_end_of_the_handshake_is_not_lost(void **state)
{
    (void)state;
    struct world *w = begin(0);
    struct end *server = &w->accepted[0];
    server->pausing = true;
    hold(1);
    world_connect(w, w->client_tls);
    net_conn_send(w->client.c, "hello", 5);
    KIT_UNTIL(&w->loop, one_stands());
    assert_int_equal(w->accepted_count, 0);
    let_go();
    KIT_UNTIL(&w->loop, server->got.size == 5);
    assert_int_equal(server->peer.role, PKI_ROLE_ADMIN);
    assert_string_equal(server->peer.name, "kate");
    assert_string_equal(server->alpn, ALPN_RPC);
    net_conn_send(w->client.c, " again", 6);
    server->paused = false;
    net_conn_pause(server->c, false);
    KIT_UNTIL(&w->loop, server->got.size == 11);
    end();
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_that_stands_still_is_in_nobodys_way),
        cmocka_unit_test(who_opens_many_waits_behind_others),
        cmocka_unit_test(who_leaves_in_the_middle_of_a_step_is_noticed_behind_it),
        cmocka_unit_test(time_runs_out_in_the_middle_of_a_step),
        cmocka_unit_test(listener_ends_in_the_middle_of_a_step),
        cmocka_unit_test(the_loop_ends_when_the_step_has),
        cmocka_unit_test(garbage_and_halves_in_the_middle_of_a_step),
        cmocka_unit_test(less_than_the_first_record_is_no_step),
        cmocka_unit_test(the_head_of_no_record_is_a_step),
        cmocka_unit_test(certificates_rotate_in_the_middle_of_a_step),
        cmocka_unit_test(a_reset_in_the_middle_of_a_step_hurts_nobody),
        cmocka_unit_test(the_reason_for_a_refusal_comes_from_the_thread),
        cmocka_unit_test(what_comes_with_the_end_of_the_handshake_is_not_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
