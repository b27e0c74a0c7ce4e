/* Ends of sessions: what becomes of calls that are waiting, queued or made too late. */
#include "proto_rpc_world.h"

static void close_fails_all_calls_once_with_closed(void **state)
{
    struct world *w = world_connected(state);
    struct answer a[5] = {0}, late = {0};
    for (int i = 0; i < 5; i++) {
        call_n(w->client.s, "keep", i, 60000, &a[i]);
    }
    KIT_UNTIL(&w->loop, w->server.kept_count == 5);
    rpc_session_close(w->client.s);
    rpc_session_close(w->client.s);
    assert_false(rpc_session_is_open(w->client.s));
    call_n(w->client.s, "echo", 1, 0, &late);
    assert_int_equal(rpc_notify(w->client.s, "x", EMPTY_MAP), ERR_CLOSED);
    assert_int_equal(a[0].count + late.count + w->client.closes, 0);
    KIT_UNTIL(&w->loop, w->client.closes == 1 && w->server.closes == 1);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(a[i].count, 1);
        assert_int_equal(a[i].code, ERR_CLOSED);
        assert_true(a[i].sent);
    }
    assert_int_equal(late.count, 1);
    assert_int_equal(late.code, ERR_CLOSED);
    assert_false(late.sent);
    assert_true(w->client.clean);
    assert_int_equal(w->server.why.code, ERR_CLOSED);
    /* Answers into the void. */
    for (int i = 0; i < 5; i++) {
        assert_null(rpc_request_session(w->server.kept[i]));
        assert_int_equal(mp_int(mp_get(rpc_request_params(w->server.kept[i]), "n"), -1), i);
        if (i == 0) {
            struct error err = {0};
            error_set(&err, ERR_INTERNAL, "x");
            rpc_reply_error(w->server.kept[i], &err);
        } else if (i == 1) {
            assert_null(rpc_stream_accept(w->server.kept[i], &source_events, NULL));
        } else {
            rpc_reply(w->server.kept[i], NIL);
        }
    }
    world_free(w);
}

static void failed_connection_fails_queued_calls_unsent(void **state)
{
    struct world *w = world_new(state);
    connect_client_to(w, "127.0.0.1:1");
    struct answer a = {0};
    call_n(w->client.s, "echo", 1, 0, &a);
    rpc_notify(w->client.s, "x", EMPTY_MAP);
    KIT_UNTIL(&w->loop, w->client.closes == 1);
    assert_int_equal(a.count, 1);
    assert_int_equal(a.code, ERR_CLOSED);
    assert_false(a.sent);
    assert_non_null(strstr(a.err.message, "connection refused"));
    assert_non_null(strstr(w->client.why.message, "127.0.0.1:1"));
    world_free(w);
}

static void queued_call_that_times_out_is_never_sent(void **state)
{
    struct world *w = world_new(state);
    connect_client(w);
    struct answer a = {0}, b = {0};
    call_n(w->client.s, "keep", 1, 1, &a);
    /* The handshake takes longer than a millisecond of waiting outside the loop. */
    uint64_t until = uv_hrtime() + 5000000;
    while (uv_hrtime() < until) {
    }
    KIT_UNTIL(&w->loop, a.count == 1);
    assert_int_equal(a.code, ERR_TIMEOUT);
    assert_false(a.sent);
    call_n(w->client.s, "echo", 2, 0, &b);
    KIT_UNTIL(&w->loop, b.count == 1);
    assert_int_equal(w->server.requests, 1);
    world_free(w);
}

struct recall {
    struct rpc_session *s;
    struct answer first, again;
};

static void call_again(const struct rpc_result *result, void *data)
{
    struct recall *r = data;
    answered(result, &r->first);
    call_n(r->s, "echo", 1, 0, &r->again);
}

static void call_made_from_a_failing_callback_is_told_too(void **state)
{
    struct world *w = world_connected(state);
    struct recall r = {.s = w->client.s};
    rpc_call(w->client.s, "keep", EMPTY_MAP, 0, call_again, &r);
    rpc_session_close(w->client.s);
    KIT_UNTIL(&w->loop, w->client.closes == 1);
    assert_int_equal(r.first.count, 1);
    assert_int_equal(r.again.count, 1);
    assert_int_equal(r.again.code, ERR_CLOSED);
    KIT_UNTIL(&w->loop, w->server.closes == 1);
    side_answer_kept(&w->server);
    world_free(w);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(close_fails_all_calls_once_with_closed),
        cmocka_unit_test(failed_connection_fails_queued_calls_unsent),
        cmocka_unit_test(queued_call_that_times_out_is_never_sent),
        cmocka_unit_test(call_made_from_a_failing_callback_is_told_too),
    };
    return cmocka_run_group_tests(tests, make_certificates, drop_certificates);
}
