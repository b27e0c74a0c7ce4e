/* Streams: data in order, credit, and the two ends of each side. */
#include "proto_rpc_world.h"

/* The client opens a stream that the server answers with its source. */
static void watch(struct world *w, struct source *server, struct source *client)
{
    w->server.source = server;
    client->st = rpc_stream_open(w->client.s, "watch", EMPTY_MAP, &source_events, client);
}

static void stream_brings_data_in_order_and_ends(void **state)
{
    struct world *w = world_connected(state);
    struct source server = {.left = 100, .size = 1000, .end_at_zero = true, .consume = true};
    struct source client = {.consume = true, .end_on_end = true};
    watch(w, &server, &client);
    KIT_UNTIL(&w->loop, client.ends == 1 && server.ends == 1);
    assert_int_equal(client.opens, 1);
    assert_int_equal(client.datas, 100);
    assert_true(client.clean && server.clean);
    world_free(w);
}

static void stream_ends_with_the_peers_error(void **state)
{
    struct world *w = world_connected(state);
    struct source server = {.left = 1, .size = 10, .end_at_zero = true, .end_with_error = true};
    struct source client = {.consume = true, .end_on_end = true};
    watch(w, &server, &client);
    KIT_UNTIL(&w->loop, server.ends == 1);
    assert_int_equal(client.ends, 1);
    assert_int_equal(client.why.code, ERR_EXPIRED);
    assert_string_equal(client.why.message, "too old");
    assert_true(server.clean);
    world_free(w);
}

static void fast_writer_stays_within_the_readers_window(void **state)
{
    struct world *w = world_connected(state);
    struct source server = {.left = 400, .size = 50000, .end_at_zero = true};
    struct source client = {.end_on_end = true};
    watch(w, &server, &client);
    unsigned rounds = 0;
    while (client.ends == 0) {
        /* The reader consumes nothing: the writer stops after a window and one payload. */
        KIT_UNTIL(&w->loop, client.ends == 1 || (server.left < 400 && client.datas == server.sent &&
                                                 (client.unconsumed >= RPC_STREAM_WINDOW || server.left == 0)));
        assert_true(client.unconsumed < RPC_STREAM_WINDOW + 50005);
        if (client.ends == 0) {
            size_t n = client.unconsumed;
            client.unconsumed = 0;
            rpc_stream_consumed(client.st, n);
            rounds++;
        }
    }
    assert_int_equal(client.datas, 400);
    assert_true(rounds >= 400 * 50000 / (RPC_STREAM_WINDOW + 50005));
    KIT_UNTIL(&w->loop, server.ends == 1);
    world_free(w);
}

static void both_directions_flow_at_once(void **state)
{
    struct world *w = world_connected(state);
    struct source server = {.left = 200, .size = 30000, .consume = true};
    struct source client = {.left = 300, .size = 20000, .consume = true};
    watch(w, &server, &client);
    source_pump(&client); /* refused: not accepted yet */
    assert_int_equal(client.sent, 0);
    KIT_UNTIL(&w->loop, client.datas == 200 && server.datas == 300);
    rpc_stream_end(client.st, NULL);
    client.ended = true;
    KIT_UNTIL(&w->loop, server.ends == 1);
    assert_int_equal(rpc_stream_write(server.st, NIL), ERR_CLOSED);
    rpc_stream_end(server.st, NULL);
    KIT_UNTIL(&w->loop, client.ends == 1);
    world_free(w);
}

static void payload_larger_than_the_window_passes(void **state)
{
    struct world *w = world_connected(state);
    struct source server = {.left = 3, .size = 3 << 20, .end_at_zero = true};
    struct source client = {.consume = true, .end_on_end = true};
    watch(w, &server, &client);
    KIT_UNTIL(&w->loop, server.ends == 1);
    assert_int_equal(client.datas, 3);
    world_free(w);
}

static void refused_stream_ends_with_the_error(void **state)
{
    struct world *w = world_connected(state);
    struct source client = {.end_on_end = true}, other = {.end_on_end = true};
    client.st = rpc_stream_open(w->client.s, "refuse", EMPTY_MAP, &source_events, &client);
    other.st = rpc_stream_open(w->client.s, "echo", EMPTY_MAP, &source_events, &other);
    KIT_UNTIL(&w->loop, client.ends == 1 && other.ends == 1);
    assert_int_equal(client.opens, 0);
    assert_int_equal(client.why.code, ERR_CONFLICT);
    assert_int_equal(other.why.code, ERR_PROTOCOL); /* answered, but with no stream */
    world_free(w);
}

static void stream_ended_before_it_is_accepted_ends_on_both_sides(void **state)
{
    struct world *w = world_connected(state);
    struct source server = {.left = 10, .size = 10, .end_on_end = true};
    struct source client = {0};
    watch(w, &server, &client);
    struct error err = {0};
    error_set(&err, ERR_CANCELED, "no longer wanted");
    client.ended = true;
    rpc_stream_end(client.st, &err);
    KIT_UNTIL(&w->loop, server.ends == 1 && client.ends == 1);
    assert_int_equal(server.why.code, ERR_CANCELED);
    assert_int_equal(client.datas, 0);
    assert_true(client.clean);
    world_free(w);
}

static void session_close_ends_streams_on_both_sides_once(void **state)
{
    struct world *w = world_connected(state);
    struct source server = {.left = 5, .size = 10, .end_on_end = true};
    struct source client = {.consume = true}, unanswered = {.end_on_end = true};
    watch(w, &server, &client);
    unanswered.st = rpc_stream_open(w->client.s, "keep", EMPTY_MAP, &source_events, &unanswered);
    KIT_UNTIL(&w->loop, client.datas == 5 && w->server.kept_count == 1);
    rpc_session_close(w->client.s);
    KIT_UNTIL(&w->loop, w->client.closes == 1 && w->server.closes == 1);
    assert_int_equal(client.ends, 1);
    assert_int_equal(unanswered.ends, 1);
    assert_int_equal(server.ends, 1);
    assert_int_equal(client.why.code, ERR_CLOSED);
    /* Our side is still to be ended; the session is gone. */
    assert_null(rpc_stream_session(client.st));
    assert_int_equal(rpc_stream_write(client.st, NIL), ERR_CLOSED);
    rpc_stream_end(client.st, NULL);
    side_answer_kept(&w->server);
    world_free(w);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stream_brings_data_in_order_and_ends),
        cmocka_unit_test(stream_ends_with_the_peers_error),
        cmocka_unit_test(fast_writer_stays_within_the_readers_window),
        cmocka_unit_test(both_directions_flow_at_once),
        cmocka_unit_test(payload_larger_than_the_window_passes),
        cmocka_unit_test(refused_stream_ends_with_the_error),
        cmocka_unit_test(stream_ended_before_it_is_accepted_ends_on_both_sides),
        cmocka_unit_test(session_close_ends_streams_on_both_sides_once),
    };
    return cmocka_run_group_tests(tests, make_certificates, drop_certificates);
}
