/* Limits: of a message, of requests in flight, and of what waits for a peer that does not read. */
#include "proto_rpc_world.h"

static void large_messages_pass_and_larger_ones_are_refused_on_this_side(void **state)
{
    struct world *w = world_connected(state);
    struct answer a = {0}, b = {0}, c = {0};
    call_n(w->client.s, "large", 9 << 20, 0, &a);
    call_n(w->client.s, "large", RPC_MESSAGE_MAX, 0, &b);
    CLEANUP_BUF struct buf p = BUF_INIT;
    mp_write_map(&p, 1);
    mp_write_cstr(&p, "x");
    write_zeros(&p, RPC_MESSAGE_MAX);
    rpc_call(w->client.s, "echo", buf_str(&p), 0, answered, &c);
    assert_int_equal(rpc_notify(w->client.s, "echo", buf_str(&p)), ERR_TOO_LARGE);
    assert_int_equal(c.count, 0); /* later, not now */
    KIT_UNTIL(&w->loop, a.count == 1 && b.count == 1 && c.count == 1);
    assert_int_equal(a.code, 0);
    assert_int_equal(a.size, (9 << 20) + 5);
    assert_int_equal(b.code, ERR_TOO_LARGE);
    assert_int_equal(c.code, ERR_TOO_LARGE);
    assert_false(c.sent);
    assert_true(rpc_session_is_open(w->client.s));
    world_free(w);
}

static void requests_above_the_limit_are_refused(void **state)
{
    struct world *w = world_new(state);
    w->inflight_max = 3;
    connect_client(w);
    struct answer a[4] = {0}, again = {0};
    for (int i = 0; i < 4; i++) {
        call_n(w->client.s, "keep", i, 0, &a[i]);
    }
    KIT_UNTIL(&w->loop, a[3].count == 1);
    assert_int_equal(a[3].code, ERR_LIMIT);
    assert_int_equal(w->server.stats.refused_limit, 1);
    rpc_reply(w->server.kept[0], NIL);
    KIT_UNTIL(&w->loop, a[0].count == 1);
    call_n(w->client.s, "echo", 5, 0, &again);
    KIT_UNTIL(&w->loop, again.count == 1);
    assert_int_equal(again.code, 0);
    rpc_reply(w->server.kept[1], NIL);
    rpc_reply(w->server.kept[2], NIL);
    KIT_UNTIL(&w->loop, a[2].count == 1);
    world_free(w);
}

/* The raw client is connected and does not read. */
static void raw_connect_deaf(struct world *w)
{
    raw_connect(w);
    KIT_UNTIL(&w->loop, w->raw_open);
    net_conn_pause(w->raw, true);
}

static void peer_that_does_not_read_meets_busy_and_then_the_end(void **state)
{
    struct world *w = world_new(state);
    w->send_max = 1 << 20;
    w->stuck_ms = 50;
    raw_connect_deaf(w);
    CLEANUP_BUF struct buf b = BUF_INIT;
    mp_write_map(&b, 1);
    mp_write_cstr(&b, "x");
    write_zeros(&b, 1 << 20);
    int rv = 0;
    for (int i = 0; i < 100 && rv == 0; i++) { /* what the kernel takes differs from machine to machine */
        uv_run(&w->loop, UV_RUN_NOWAIT);
        rv = rpc_notify(w->server.s, "x", buf_str(&b));
    }
    assert_int_equal(rv, ERR_BUSY);
    assert_true(rpc_session_pending(w->server.s) > w->send_max);
    struct answer a = {0};
    call_n(w->server.s, "echo", 1, 0, &a);
    assert_int_equal(a.count, 0);
    KIT_UNTIL(&w->loop, a.count == 1);
    assert_int_equal(a.code, ERR_BUSY);
    assert_false(a.sent);
    KIT_UNTIL(&w->loop, w->server.closes == 1);
    assert_int_equal(w->server.why.code, ERR_TIMEOUT);
    assert_non_null(strstr(w->server.why.message, "takes nothing"));
    world_free(w);
}

static void requests_are_not_read_while_their_answers_pile_up(void **state)
{
    struct world *w = world_new(state);
    w->send_max = 1 << 20;
    raw_connect_deaf(w);
    CLEANUP_BUF struct buf b = BUF_INIT;
    enum { N = 200 };
    for (int i = 0; i < N; i++) {
        /* A comfortable message each, so that they do not come in one read. */
        mp_write_array(&b, 4);
        mp_write_uint(&b, 0);
        mp_write_uint(&b, (uint64_t)i);
        mp_write_cstr(&b, "large");
        mp_write_array(&b, 1);
        mp_write_map(&b, 2);
        mp_write_key_int(&b, "n", 1 << 20);
        mp_write_cstr(&b, "fill");
        write_zeros(&b, 20000);
    }
    net_conn_send(w->raw, b.data, b.size);
    KIT_UNTIL(&w->loop, rpc_session_pending(w->server.s) > w->send_max);
    for (int i = 0; i < 50; i++) {
        uv_run(&w->loop, UV_RUN_NOWAIT);
    }
    assert_true(w->server.requests < N / 2);
    assert_true(rpc_session_pending(w->server.s) < 4u << 20);
    net_conn_pause(w->raw, false);
    KIT_UNTIL(&w->loop, w->raw_got.size > (size_t)N << 20);
    assert_int_equal(w->server.requests, N);
    world_free(w);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(large_messages_pass_and_larger_ones_are_refused_on_this_side),
        cmocka_unit_test(requests_above_the_limit_are_refused),
        cmocka_unit_test(peer_that_does_not_read_meets_busy_and_then_the_end),
        cmocka_unit_test(requests_are_not_read_while_their_answers_pile_up),
    };
    return cmocka_run_group_tests(tests, make_certificates, drop_certificates);
}
