/* A peer that breaks rules, in bytes: what is answered, what is ignored, and what ends the session. */
#include "proto_rpc_world.h"

/* The bytes close the session with this code. */
static void assert_refused(void **state, struct str bytes, int code)
{
    struct world *w = world_raw(state);
    raw_send(w, bytes);
    KIT_UNTIL(&w->loop, w->server.closes == 1 && w->raw_closed);
    assert_int_equal(w->server.why.code, code);
    assert_int_equal(w->server.stats.bad_messages, 1);
    assert_int_equal(w->server.requests, 0);
    world_free(w);
}

static void garbage_closes_the_session(void **state)
{
    assert_refused(state, STR("hello, world"), ERR_PROTOCOL);
    assert_refused(state, STR("\xc1"), ERR_PROTOCOL);
    assert_refused(state, STR("\x94\x07\x01\xa1x\x91\x80"), ERR_PROTOCOL);                 /* type 7 */
    assert_refused(state, STR("\x93\x00\x01\xa1x"), ERR_PROTOCOL);                         /* a request of three */
    assert_refused(state, STR("\x94\x00\xff\xa1x\x91\x80"), ERR_PROTOCOL);                 /* a negative id */
    assert_refused(state, STR("\x94\x00\xcf\0\0\0\1\0\0\0\0\xa1x\x91\x80"), ERR_PROTOCOL); /* an id of 33 bits */
    assert_refused(state, STR("\x94\x00\x01\x02\x91\x80"), ERR_PROTOCOL);          /* a method that is a number */
    assert_refused(state, STR("\x94\x00\x01\xa1x\x80"), ERR_PROTOCOL);             /* params that are no array */
    assert_refused(state, STR("\x93\x02\xa1x\x91\x01"), ERR_PROTOCOL);             /* a notification with a number */
    assert_refused(state, STR("\x94\x00\x01\xa1x\x91\x81\x01\x02"), ERR_PROTOCOL); /* a number as a key */
    assert_refused(state, STR("\x94\x00\x01\xa1x\x91\xd4\x01\x02"), ERR_PROTOCOL); /* an ext type */
    assert_refused(state, STR("\x90"), ERR_PROTOCOL);
    assert_refused(state, STR("\x93\x02\xabstream.data\x92\x01\x00"), ERR_PROTOCOL);
    assert_refused(state, STR("\x93\x02\xabstream.data\x93\x01\x02\xc0"), ERR_PROTOCOL); /* side 2 */
}

static void messages_that_claim_too_much_close_the_session_at_once(void **state)
{
    assert_refused(state, STR("\x94\x00\x01\xdb\xff\xff\xff\xff"), ERR_TOO_LARGE); /* a method of 4 GiB */
    assert_refused(state, STR("\x94\x00\x01\xa1x\x91\x81\xa1k\xc6\xff\xff\xff\xff"), ERR_TOO_LARGE);
    assert_refused(state, STR("\xdd\xff\xff\xff\xff"), ERR_TOO_LARGE);
    assert_refused(state, STR("\x94\x00\x01\xa1x\x91\xdf\xff\xff\xff\xff"), ERR_TOO_LARGE);
}

static void deep_nesting_closes_the_session(void **state)
{
    char deep[4096];
    memset(deep, '\x91', sizeof deep);
    memcpy(deep, "\x94\x00\x01\xa1x", 5);
    assert_refused(state, (struct str){deep, sizeof deep}, ERR_PROTOCOL);
}

static void wrong_params_of_a_request_are_answered(void **state)
{
    struct world *w = world_raw(state);
    raw_send(w, STR("\x94\x00\x01\xa1x\x90"));
    KIT_UNTIL(&w->loop, w->raw_got.size > 4);
    assert_memory_equal(w->raw_got.data, "\x94\x01\x01\x83", 4);
    assert_int_equal(w->server.stats.errors_out, 1);
    assert_true(rpc_session_is_open(w->server.s));
    world_free(w);
}

static void message_in_single_bytes_is_understood(void **state)
{
    struct world *w = world_raw(state);
    struct str m = STR("\x94\x00\x05\xa4"
                       "echo\x91\x81\xa1n\xcd\x01\x02");
    for (size_t i = 0; i < m.n; i++) {
        uint64_t before = w->server.requests;
        assert_int_equal(before, 0);
        net_conn_send(w->raw, m.p + i, 1);
        KIT_UNTIL(&w->loop, net_conn_pending(w->raw) == 0);
    }
    KIT_UNTIL(&w->loop, w->raw_got.size == 10);
    assert_memory_equal(w->raw_got.data, "\x94\x01\x05\xc0\x81\xa1n\xcd\x01\x02", 10);
    world_free(w);
}

static void id_used_again_in_flight_closes_the_session(void **state)
{
    struct world *w = world_raw(state);
    raw_send(w, STR("\x94\x00\x05\xa4keep\x91\x80\x94\x00\x05\xa4keep\x91\x80"));
    KIT_UNTIL(&w->loop, w->server.closes == 1);
    assert_int_equal(w->server.why.code, ERR_PROTOCOL);
    assert_non_null(strstr(w->server.why.message, "request id 5"));
    assert_int_equal(w->server.kept_count, 1);
    side_answer_kept(&w->server);
    world_free(w);
}

static void late_stream_messages_and_answers_are_ignored_and_counted(void **state)
{
    struct world *w = world_raw(state);
    struct str m = STR("\x93\x02\xabstream.data\x93\x07\x00\xa1x"
                       "\x93\x02\xadstream.credit\x93\x07\x00\x05"
                       "\x93\x02\xaastream.end\x93\x07\x00\xc0"
                       "\x94\x01\x09\xc0\xc0");
    raw_send(w, m);
    KIT_UNTIL(&w->loop, w->server.stats.late_messages == 4);
    assert_true(rpc_session_is_open(w->server.s));
    world_free(w);
}

/* Stream 5 of the raw client, which the server answers with its source. */
static void raw_watch(struct world *w, struct source *server)
{
    w->server.source = server;
    raw_send(w, STR("\x94\x00\x05\xa5watch\x91\x80"));
}

static void sender_without_credit_is_cut(void **state)
{
    struct world *w = world_raw(state);
    struct source server = {.end_on_end = true};
    raw_watch(w, &server);
    CLEANUP_BUF struct buf b = BUF_INIT;
    for (int i = 0; i < 5; i++) { /* four of them fill the window; the fifth has no credit left */
        buf_append(&b, "\x93\x02\xabstream.data\x93\x05\x00", 17);
        write_zeros(&b, 300000);
    }
    raw_send(w, buf_str(&b));
    KIT_UNTIL(&w->loop, w->server.closes == 1);
    assert_int_equal(w->server.why.code, ERR_PROTOCOL);
    assert_int_equal(server.datas, 4);
    assert_int_equal(server.ends, 1);
    world_free(w);
}

static void impossible_credit_is_refused(void **state)
{
    struct world *w = world_raw(state);
    struct source server = {.end_on_end = true};
    raw_watch(w, &server);
    struct str m = STR("\x93\x02\xadstream.credit\x93\x05\x00\xcf\xff\xff\xff\xff\xff\xff\xff\xff");
    raw_send(w, m);
    KIT_UNTIL(&w->loop, w->server.closes == 1);
    assert_int_equal(w->server.why.code, ERR_PROTOCOL);
    world_free(w);
}

static void data_after_the_end_is_refused(void **state)
{
    struct world *w = world_raw(state);
    struct source server = {0};
    raw_watch(w, &server);
    struct str m = STR("\x93\x02\xaastream.end\x93\x05\x00\xc0"
                       "\x93\x02\xabstream.data\x93\x05\x00\xc4\x01x");
    raw_send(w, m);
    KIT_UNTIL(&w->loop, w->server.closes == 1);
    assert_int_equal(w->server.why.code, ERR_PROTOCOL);
    assert_int_equal(server.ends, 1);
    assert_int_equal(server.datas, 0);
    rpc_stream_end(server.st, NULL);
    world_free(w);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(garbage_closes_the_session),
        cmocka_unit_test(messages_that_claim_too_much_close_the_session_at_once),
        cmocka_unit_test(deep_nesting_closes_the_session),
        cmocka_unit_test(wrong_params_of_a_request_are_answered),
        cmocka_unit_test(message_in_single_bytes_is_understood),
        cmocka_unit_test(id_used_again_in_flight_closes_the_session),
        cmocka_unit_test(late_stream_messages_and_answers_are_ignored_and_counted),
        cmocka_unit_test(sender_without_credit_is_cut),
        cmocka_unit_test(impossible_credit_is_refused),
        cmocka_unit_test(data_after_the_end_is_refused),
    };
    return cmocka_run_group_tests(tests, make_certificates, drop_certificates);
}
