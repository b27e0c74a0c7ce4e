/* port-forward over SPDY, as master_rest_streams.c has exec. */
#include "tests/unit/master_rest_streams.h"

/* [4 port-forward] */
static void connections_are_forwarded_side_by_side(void **state)
{
    struct state *s = *state;
    BOTH(by)
    {
        struct peer *x = peer_as(s, master_of(s, by), PKI_ROLE_ADMIN, "tester");
        ask_spdy(x, "POST", "p/portforward");
        UNTIL(x, x->has_head);
        assert_non_null(strstr(buf_cstr(&x->head), " 101 "));
        open_use(x, 1, "error", "80", "0");
        open_use(x, 3, "data", "80", "0");
        type_in(x, 3, "before it is open", false);
        struct stream *first = take_asked(s);
        assert_string_equal(asked_method, "pod.portforward");
        assert_int_equal(value_path_int(asked_params, "port", 0), 80);
        open_use(x, 5, "error", "81", "1");
        open_use(x, 7, "data", "81", "1");
        struct stream *second = take_asked(s);
        assert_int_equal(value_path_int(asked_params, "port", 0), 81);
        assert_string_equal(bytes_of(s, stream_next(first), NULL), "before it is open");
        type_in(x, 7, "hello", false);
        assert_string_equal(bytes_of(s, stream_next(second), NULL), "hello");
        agent_say(first, NULL, "of the first");
        agent_say(second, NULL, "of the second");
        stream_send(first, "{eof: true}");
        UNTIL(x, x->fin[3] && x->fin[1] && x->text[7].size > 0);
        assert_string_equal(TEXT(x, 3), "of the first");
        assert_string_equal(TEXT(x, 7), "of the second");
        assert_string_equal(TEXT(x, 1), "");
        type_in(x, 3, "late", true); /* what the client still had to say */
        assert_string_equal(bytes_of(s, stream_next(first), NULL), "late");
        assert_true(value_path_bool(stream_next(first), "eof", false));
        stream_end(first, NULL);
        struct error err = {0};
        error_set(&err, ERR_CLOSED, "the pod closed the connection: reset");
        stream_end(second, &err);
        UNTIL(x, x->fin[5] && x->fin[7]);
        assert_non_null(strstr(TEXT(x, 5), "error forwarding port 81 to pod p"));
        open_use(x, 9, "error", "82", "2"); /* one that the agent refuses */
        open_use(x, 11, "data", "82", "2");
        kit_until(s->kit, &got_asked, "a request at the agent");
        got_asked = false;
        error_set(&err, ERR_USAGE, "connection refused");
        rpc_reply_error(asked, &err);
        UNTIL(x, x->fin[9] && x->fin[11]);
        assert_non_null(strstr(TEXT(x, 9), "connection refused"));
        open_use(x, 13, "error", "83", "3"); /* one that the client throws away */
        open_use(x, 15, "data", "83", "3");
        struct stream *third = take_asked(s);
        struct buf b = BUF_INIT;
        spdy_put_reset(&b, 15, SPDY_CANCEL);
        send_buf(x, &b);
        stream_wait_end(third);
        peer_free(x);
        stream_close(first);
        stream_close(second);
        stream_close(third);
    }
}

/* [4 pairs] Half a pair, two of one kind, no port: none of them begins anything. */
static void pairs_must_be_pairs(void **state)
{
    struct state *s = *state;
    struct peer *x = peer_as(s, s->leader, PKI_ROLE_ADMIN, "tester");
    got_asked = false;
    ask_spdy(x, "POST", "p/portforward");
    UNTIL(x, x->has_head);
    open_use(x, 1, "error", "80", "0");
    open_use(x, 3, "error", "80", "0");
    open_use(x, 5, "data", "81", "0");
    open_use(x, 7, "data", "0", "1");
    open_use(x, 9, "stdin", "80", "2");
    open_use(x, 11, "data", "80", "a-request-with-a-name-that-is-too-long");
    UNTIL(x, x->resets == 5 && x->replies == 6);
    assert_false(got_asked);
    peer_free(x);
}

static unsigned descriptors_of(const struct state *s, unsigned master)
{
    CLEANUP_FREE char *path = xasprintf("/proc/%d/fd", (int)s->kit->masters[master].pid);
    DIR *d = opendir(path);
    unsigned n = 0;
    assert_non_null(d);
    while (readdir(d) != NULL) {
        n++;
    }
    closedir(d);
    return n;
}

/* Links between masters that have just begun come by themselves: so many it has when half a second brings no more. */
static unsigned settled_descriptors_of(struct state *s, unsigned master)
{
    unsigned n = descriptors_of(s, master);
    for (unsigned same = 0; same < 25; same++) {
        kit_turn(s->kit, 20);
        unsigned now = descriptors_of(s, master);
        same = now == n ? same : 0;
        n = now;
    }
    return n;
}

/* As many connections as one stream carries: each in its turn, ended by the pod, by the client, by halves, or by
 * nobody. Nothing is left of them. */
static void many_connections_leave_nothing_behind(void **state)
{
    struct state *s = *state;
    enum { MANY = 256 / 2 };
    struct stream *a[MANY];
    BOTH(by)
    {
        unsigned master = master_of(s, by);
        unsigned leader = settled_descriptors_of(s, s->leader), here = settled_descriptors_of(s, master);
        struct peer *x = peer_as(s, master, PKI_ROLE_ADMIN, "tester");
        char request[16];
        ask_spdy(x, "POST", "p/portforward");
        got_asked = false;
        for (unsigned i = 0; i < MANY; i++) {
            snprintf(request, sizeof request, "%u", i);
            open_use(x, 4 * i + 1, "error", "80", request);
            open_use(x, 4 * i + 3, "data", "80", request);
            a[i] = take_asked(s);
            type_in(x, 4 * i + 3, "in", i % 4 == 0);
            assert_string_equal(bytes_of(s, stream_next(a[i]), NULL), "in");
            agent_say(a[i], NULL, "out");
        }
        open_use(x, 4 * MANY + 1, "error", "80", "more"); /* beyond the bound: refused at once */
        UNTIL(x, x->resets == 1);
        struct error err = {0};
        error_set(&err, ERR_SYSTEM, "the pod closed the connection: reset");
        for (unsigned i = 0; i < MANY; i++) {
            UNTIL(x, x->text[4 * i + 3].size == 3);
            if (i % 4 == 0) { /* the client has ended its half, now the pod does */
                assert_true(value_path_bool(stream_next(a[i]), "eof", false));
                stream_send(a[i], "{eof: true}");
                stream_end(a[i], NULL);
            } else if (i % 4 == 1) { /* the pod is killed */
                stream_end(a[i], &err);
            } else if (i % 4 == 2) { /* the pod has ended its half, the client goes on */
                stream_send(a[i], "{eof: true}");
            }
        }
        for (unsigned i = 0; i < MANY; i++) {
            if (i % 4 != 3) {
                UNTIL(x, x->fin[4 * i + 3] && x->fin[4 * i + 1]);
            }
            if (i % 4 == 1) {
                assert_non_null(strstr(TEXT(x, 4 * i + 1), "reset"));
            } else if (i % 4 == 2) {
                type_in(x, 4 * i + 3, "late", false);
                assert_string_equal(bytes_of(s, stream_next(a[i]), NULL), "late");
            }
        }
        open_use(x, 4 * MANY + 5, "error", "80", "again"); /* there is room again */
        open_use(x, 4 * MANY + 7, "data", "80", "again");
        struct stream *again = take_asked(s);
        peer_free(x);
        stream_wait_end(again);
        stream_close(again);
        for (unsigned i = 0; i < MANY; i++) {
            stream_wait_end(a[i]);
            stream_close(a[i]);
        }
        for (int64_t until = kit_now() + KIT_WAIT_MS;
             descriptors_of(s, s->leader) > leader || descriptors_of(s, master) > here;) {
            assert_true(kit_now() < until);
            kit_turn(s->kit, 20);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_are_forwarded_side_by_side),
        cmocka_unit_test(pairs_must_be_pairs),
        cmocka_unit_test(many_connections_leave_nothing_behind),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
