/* Calls and notifications: answered once, in order, in time; and how fast. */
#include "proto_rpc_world.h"

static void call_is_answered(void **state)
{
    struct world *w = world_connected(state);
    struct answer a = {0};
    call_n(w->client.s, "echo", 42, 1000, &a);
    assert_int_equal(a.count, 0);
    KIT_UNTIL(&w->loop, a.count == 1);
    assert_int_equal(a.code, 0);
    assert_int_equal(a.n, 42);
    assert_int_equal(rpc_session_peer(w->server.s)->role, PKI_ROLE_NODE);
    assert_int_equal(rpc_session_peer(w->client.s)->role, PKI_ROLE_MASTER);
    assert_int_equal(w->server.stats.requests_in, 1);
    assert_int_equal(w->client.stats.requests_out, 1);
    world_free(w);
}

static void the_server_may_call_as_well(void **state)
{
    struct world *w = world_connected(state);
    struct answer a = {0}, b = {0};
    call_n(w->server.s, "echo", 7, 0, &a);
    call_n(w->client.s, "echo", 8, 0, &b); /* the same id on both sides */
    KIT_UNTIL(&w->loop, a.count == 1 && b.count == 1);
    assert_int_equal(a.n, 7);
    assert_int_equal(b.n, 8);
    world_free(w);
}

static void errors_travel_whole(void **state)
{
    struct world *w = world_connected(state);
    struct answer a = {0}, b = {0};
    call_n(w->client.s, "refuse", 1, 0, &a);
    call_n(w->client.s, "nonsense", 1, 0, &b);
    KIT_UNTIL(&w->loop, a.count == 1 && b.count == 1);
    assert_int_equal(a.code, ERR_CONFLICT);
    assert_string_equal(a.err.message, "the object has changed");
    assert_string_equal(a.err.field, "metadata.resourceVersion");
    assert_int_equal(a.err.retry_after_ms, 250);
    assert_true(a.sent);
    assert_int_equal(b.code, ERR_UNSUPPORTED);
    assert_int_equal(w->server.stats.errors_out, 2);
    world_free(w);
}

static void notification_arrives(void **state)
{
    struct world *w = world_new(state);
    connect_client(w);
    CLEANUP_BUF struct buf b = BUF_INIT;
    write_n(&b, 5);
    assert_int_equal(rpc_notify(w->client.s, "beat", buf_str(&b)), 0); /* waits for the connection */
    KIT_UNTIL(&w->loop, w->server.notifies == 1);
    assert_string_equal(w->server.last_notify_text, "beat 5");
    assert_int_equal(rpc_notify(w->server.s, "beat", buf_str(&b)), 0);
    KIT_UNTIL(&w->loop, w->client.notifies == 1);
    world_free(w);
}

static void session_without_handler_answers_unsupported(void **state)
{
    struct world *w = world_new(state);
    w->no_handler = true;
    connect_client(w);
    struct answer a = {0};
    call_n(w->client.s, "echo", 1, 0, &a);
    KIT_UNTIL(&w->loop, a.count == 1);
    assert_int_equal(a.code, ERR_UNSUPPORTED);
    world_free(w);
}

static void calls_before_the_connection_is_open_are_queued_in_order(void **state)
{
    struct world *w = world_new(state);
    connect_client(w);
    struct answer a[50] = {0};
    for (int i = 0; i < 50; i++) {
        call_n(w->client.s, "echo", i, 5000, &a[i]);
    }
    assert_false(rpc_session_is_open(w->client.s));
    assert_true(rpc_session_pending(w->client.s) > 0);
    KIT_UNTIL(&w->loop, a[49].count == 1);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(a[i].count, 1);
        assert_int_equal(a[i].n, i);
    }
    world_free(w);
}

static void thousands_of_pipelined_calls_are_answered_once_each(void **state)
{
    struct world *w = world_connected(state);
    enum { N = 4000 };
    struct answer *a = xcalloc(N, sizeof *a);
    for (int i = 0; i < N; i++) {
        call_n(w->client.s, "echo", i, 10000, &a[i]);
    }
    KIT_UNTIL(&w->loop, a[N - 1].count == 1);
    for (int i = 0; i < N; i++) {
        assert_int_equal(a[i].count, 1);
        assert_int_equal(a[i].code, 0);
        assert_int_equal(a[i].n, i);
    }
    free(a);
    world_free(w);
}

static void call_without_answer_times_out_and_a_late_answer_is_ignored(void **state)
{
    struct world *w = world_connected(state);
    struct answer a = {0}, b = {0};
    call_n(w->client.s, "keep", 1, 20, &a);
    KIT_UNTIL(&w->loop, a.count == 1);
    assert_int_equal(a.code, ERR_TIMEOUT);
    assert_true(a.sent);
    KIT_UNTIL(&w->loop, w->server.kept_count == 1);
    side_answer_kept(&w->server);
    call_n(w->client.s, "echo", 2, 0, &b);
    KIT_UNTIL(&w->loop, b.count == 1);
    assert_int_equal(a.count, 1);
    assert_int_equal(w->client.stats.late_messages, 1);
    world_free(w);
}

static void deadlines_pass_in_their_own_order(void **state)
{
    struct world *w = world_connected(state);
    struct answer a = {0}, b = {0}, c = {0};
    call_n(w->client.s, "keep", 1, 60000, &a);
    call_n(w->client.s, "keep", 2, 60, &b);
    call_n(w->client.s, "keep", 3, 20, &c);
    KIT_UNTIL(&w->loop, c.count == 1);
    assert_int_equal(a.count, 0);
    KIT_UNTIL(&w->loop, b.count == 1);
    assert_int_equal(a.count, 0);
    KIT_UNTIL(&w->loop, w->server.kept_count == 3);
    side_answer_kept(&w->server);
    KIT_UNTIL(&w->loop, a.count == 1);
    assert_int_equal(a.code, 0);
    world_free(w);
}

static void answer_may_come_later_with_method_and_params_at_hand(void **state)
{
    struct world *w = world_connected(state);
    struct answer a = {0}, b = {0};
    call_n(w->client.s, "keep", 99, 0, &a);
    call_n(w->client.s, "echo", 1, 0, &b);
    KIT_UNTIL(&w->loop, b.count == 1);
    struct rpc_request *r = w->server.kept[0];
    assert_true(str_is(rpc_request_method(r), "keep"));
    assert_int_equal(mp_int(mp_get(rpc_request_params(r), "n"), 0), 99);
    reply_params(r, rpc_request_params(r));
    KIT_UNTIL(&w->loop, a.count == 1);
    assert_int_equal(a.n, 99);
    world_free(w);
}

/* ---- How fast, for the record ---- */

struct rate {
    struct rpc_session *s;
    unsigned made, done, total;
};

static void rate_answered(const struct rpc_result *result, void *data)
{
    struct rate *r = data;
    assert_null(result->error);
    r->done++;
    if (r->made < r->total) {
        r->made++;
        rpc_call(r->s, "echo", STR("\x81\xa1n\x01"), 5000, rate_answered, r);
    }
}

static double measure(struct world *w, unsigned total, unsigned depth)
{
    struct rate r = {.s = w->client.s, .total = total};
    uint64_t start = uv_hrtime();
    for (r.made = 0; r.made < depth;) {
        r.made++;
        rpc_call(r.s, "echo", STR("\x81\xa1n\x01"), 5000, rate_answered, &r);
    }
    KIT_UNTIL(&w->loop, r.done == total);
    return (double)total / ((double)(uv_hrtime() - start) / 1e9);
}

static void rates_are_printed(void **state)
{
    struct world *w = world_connected(state);
    printf("note: small echo calls over TLS on loopback, both ends in this thread: %.0f/s with 256 in flight",
           measure(w, 50000, 256));
    printf(", %.0f/s with 1 in flight\n", measure(w, 5000, 1));
    world_free(w);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(call_is_answered),
        cmocka_unit_test(the_server_may_call_as_well),
        cmocka_unit_test(errors_travel_whole),
        cmocka_unit_test(notification_arrives),
        cmocka_unit_test(session_without_handler_answers_unsupported),
        cmocka_unit_test(calls_before_the_connection_is_open_are_queued_in_order),
        cmocka_unit_test(thousands_of_pipelined_calls_are_answered_once_each),
        cmocka_unit_test(call_without_answer_times_out_and_a_late_answer_is_ignored),
        cmocka_unit_test(deadlines_pass_in_their_own_order),
        cmocka_unit_test(answer_may_come_later_with_method_and_params_at_hand),
        cmocka_unit_test(rates_are_printed),
    };
    return cmocka_run_group_tests(tests, make_certificates, drop_certificates);
}
