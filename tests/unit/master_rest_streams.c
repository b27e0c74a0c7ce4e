/* exec and attach over SPDY: a client's frames on one side, a fake agent's stream on the other, through
 * the leader and through a follower, which goes over the leader. */
#include <dirent.h>

#include "base/timefmt.h"
#include "tests/unit/master_rest_streams.h"

/* ---- exec ---- */

/* [4 exec] [4 exit] [4 syn-reply] */
static void exec_goes_both_ways_and_tells_the_exit_code(void **state)
{
    struct state *s = *state;
    BOTH(by)
    {
        struct pair p = exec_open(s, by, true);
        assert_string_equal(asked_method, "pod.exec");
        assert_int_equal(value_count(value_get(asked_params, "command")), 2);
        assert_string_equal(value_text(s->kit, asked_params, "container"), "c");
        for (int i = 0; i < 10; i++) {
            char in[24], out[24];
            snprintf(in, sizeof in, "in %d\n", i);
            snprintf(out, sizeof out, "out %d\n", i);
            type_in(p.peer, IN_ID, in, false);
            assert_string_equal(bytes_of(s, stream_next(p.agent), "stdin"), in);
            assert_int_equal(agent_say(p.agent, i % 2 == 0 ? "stdout" : "stderr", out), 0);
        }
        type_in(p.peer, IN_ID, "", true);
        assert_true(value_path_bool(stream_next(p.agent), "eof", false));
        stream_send(p.agent, "{exit: 7}");
        stream_end(p.agent, NULL);
        UNTIL(p.peer, p.peer->fin[ERROR_ID] && p.peer->goaways == 1);
        assert_true(p.peer->fin[OUT_ID] && p.peer->fin[ERR_ID]);
        assert_string_equal(TEXT(p.peer, OUT_ID), "out 0\nout 2\nout 4\nout 6\nout 8\n");
        assert_string_equal(TEXT(p.peer, ERR_ID), "out 1\nout 3\nout 5\nout 7\nout 9\n");
        assert_non_null(strstr(TEXT(p.peer, ERROR_ID), "\"reason\":\"NonZeroExitCode\""));
        assert_non_null(strstr(TEXT(p.peer, ERROR_ID), "{\"reason\":\"ExitCode\",\"message\":\"7\"}"));
        UNTIL(p.peer, p.peer->closed); /* also of a client that does not hang up */
        pair_close(&p);
    }
}

/* [4 protocols] The client's first one that is served is chosen, in one header or several; of who offers none nothing
 * is agreed on. By GET as well as by POST. */
static void the_first_protocol_that_is_served_is_chosen(void **state)
{
    struct state *s = *state;
    static const struct {
        const char *method, *offered, *agreed; /* NULL: no header */
        const char *end;                       /* of exit code 3 */
    } rows[] = {
#define OFFER "X-Stream-Protocol-Version: "
        {"POST", OFFER "v5.channel.k8s.io\r\n" OFFER "v4.channel.k8s.io\r\n" OFFER "channel.k8s.io\r\n",
         OFFER "v4.channel.k8s.io\r\n", "\"reason\":\"NonZeroExitCode\""},
        {"GET", OFFER "v5.channel.k8s.io, v4.channel.k8s.io,channel.k8s.io\r\n", OFFER "v4.channel.k8s.io\r\n",
         "\"reason\":\"NonZeroExitCode\""},
        {"POST", OFFER "channel.k8s.io\r\n" OFFER "v4.channel.k8s.io\r\n", OFFER "channel.k8s.io\r\n",
         "command terminated with non-zero exit code: 3"},
        {"POST", "", NULL, "command terminated with non-zero exit code: 3"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        got_asked = false;
        struct peer *x = peer_as(s, master_of(s, (unsigned)i % 2), PKI_ROLE_ADMIN, "tester");
        CLEANUP_FREE char *text =
            xasprintf("%s /api/v1/namespaces/default/pods/p/exec?command=sh&stdout=true HTTP/1.1\r\nHost: x\r\n"
                      "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n%s\r\n",
                      rows[i].method, rows[i].offered);
        send_text(x, text);
        struct stream *a = take_asked(s);
        UNTIL(x, x->has_head);
        assert_non_null(strstr(buf_cstr(&x->head), "HTTP/1.1 101 Switching Protocols\r\n"));
        assert_non_null(strstr(buf_cstr(&x->head), "Connection: Upgrade\r\n"));
        assert_non_null(strstr(buf_cstr(&x->head), "Upgrade: SPDY/3.1\r\n"));
        assert_non_null(strstr(buf_cstr(&x->head), rows[i].agreed == NULL ? "\r\n" : rows[i].agreed));
        assert_true(rows[i].agreed != NULL || strstr(buf_cstr(&x->head), OFFER) == NULL);
#undef OFFER
        open_use(x, ERROR_ID, "error", NULL, NULL);
        open_use(x, OUT_ID, "stdout", NULL, NULL);
        stream_send(a, "{exit: 3}");
        stream_end(a, NULL);
        UNTIL(x, x->fin[ERROR_ID]);
        assert_non_null(strstr(TEXT(x, ERROR_ID), rows[i].end));
        peer_free(x);
        stream_close(a);
    }
}

/* [4 exec-waits] What a command says before the client has made its channels, even if it is over by then. */
static void output_waits_for_its_channels(void **state)
{
    struct state *s = *state;
    BOTH(by)
    {
        struct pair p = exec_open(s, by, false);
        agent_say(p.agent, "stdout", "early");
        agent_say(p.agent, "stderr", "bad");
        stream_send(p.agent, "{exit: 0}");
        stream_end(p.agent, NULL);
        kit_turn(s->kit, 50);
        open_use(p.peer, ERROR_ID, "error", NULL, NULL);
        open_use(p.peer, IN_ID, "stdin", NULL, NULL);
        open_use(p.peer, OUT_ID, "stdout", NULL, NULL);
        UNTIL(p.peer, p.peer->text[OUT_ID].size > 0);
        assert_false(p.peer->fin[OUT_ID]);
        open_use(p.peer, ERR_ID, "stderr", NULL, NULL);
        UNTIL(p.peer, p.peer->fin[ERROR_ID]);
        assert_string_equal(TEXT(p.peer, OUT_ID), "early");
        assert_string_equal(TEXT(p.peer, ERR_ID), "bad");
        assert_non_null(strstr(TEXT(p.peer, ERROR_ID), "\"status\":\"Success\""));
        pair_close(&p);
    }
}

/* [4 exec-waits] [4 ping] Of a terminal the client opens its size last, and waits for an answer to it before it reads
 * anything. */
static void a_terminals_short_command_is_told_whole(void **state)
{
    struct state *s = *state;
    BOTH(by)
    {
        struct pair p;
        struct buf b = BUF_INIT;
        got_asked = false;
        p.peer = peer_as(s, master_of(s, by), PKI_ROLE_ADMIN, "tester");
        ask_spdy(p.peer, "POST", "p/exec?command=sh&stdin=true&stdout=true&tty=true");
        p.agent = take_asked(s);
        agent_say(p.agent, "stdout", "short");
        stream_send(p.agent, "{exit: 3}");
        stream_end(p.agent, NULL);
        stream_wait_end(p.agent);
        UNTIL(p.peer, p.peer->has_head);
        open_use(p.peer, ERROR_ID, "error", NULL, NULL);
        open_use(p.peer, IN_ID, "stdin", NULL, NULL);
        open_use(p.peer, OUT_ID, "stdout", NULL, NULL);
        spdy_put_ping(&b, 1);
        send_buf(p.peer, &b);
        UNTIL(p.peer, p.peer->pings == 1);
        assert_int_equal(p.peer->goaways, 0);
        open_use(p.peer, RESIZE_ID, "resize", NULL, NULL);
        UNTIL(p.peer, p.peer->fin[ERROR_ID] && p.peer->goaways == 1);
        assert_int_equal(p.peer->replies, 4);
        assert_string_equal(TEXT(p.peer, OUT_ID), "short");
        assert_non_null(strstr(TEXT(p.peer, ERROR_ID), "{\"reason\":\"ExitCode\",\"message\":\"3\"}"));
        pair_close(&p);
    }
}

/* Payloads until no more are taken, at most so many. The client is paused. */
static unsigned fill(struct state *s, struct peer *x, struct stream *a, const char *key, const char *big, unsigned most)
{
    unsigned sent = 0;
    net_conn_pause(x->net, true);
    for (int64_t until = kit_now() + 1000; kit_now() < until && sent < most;) {
        if (agent_say(a, key, big) == 0) {
            sent++;
            until = kit_now() + 300;
        } else {
            kit_turn(s->kit, 20);
        }
    }
    return sent;
}

/* Longer than what is waited for who does not hang up, and for who takes nothing of what is left at a close. */
static void wait_out(struct state *s, const struct peer *x)
{
    for (int64_t until = kit_now() + 8000; kit_now() < until;) {
        assert_false(x->closed);
        kit_turn(s->kit, 100);
    }
}

static void a_slow_reader_gets_the_end_as_well(void **state)
{
    struct state *s = *state;
    CLEANUP_FREE char *big = malloc(50001);
    memset(big, 'x', 50000);
    big[50000] = '\0';
    struct pair p[2];
    unsigned sent[2], told[2];
    struct peer *log[2];
    struct stream *source[2];
    BOTH(by)
    {
        struct pair probe = exec_open(s, by, true);
        unsigned most = fill(s, probe.peer, probe.agent, "stdout", big, 2000) - 4; /* so the end goes out, too */
        pair_close(&probe);
        p[by] = exec_open(s, by, true);
        sent[by] = fill(s, p[by].peer, p[by].agent, "stdout", big, most);
        while (stream_send(p[by].agent, "{exit: 0}") != 0) { /* this way holds less */
            net_conn_pause(p[by].peer->net, false);
            kit_turn(s->kit, 1);
            net_conn_pause(p[by].peer->net, true);
        }
        stream_end(p[by].agent, NULL);
        log[by] = peer_as(s, master_of(s, by), PKI_ROLE_ADMIN, "tester");
        send_text(log[by], "GET /api/v1/namespaces/default/pods/p/log?follow=true HTTP/1.1\r\nHost: x\r\nConnection: "
                           "close\r\n\r\n");
        source[by] = take_asked(s);
        UNTIL(log[by], log[by]->has_head);
        told[by] = fill(s, log[by], source[by], NULL, big, most);
        stream_end(source[by], NULL);
    }
    wait_out(s, p[0].peer);
    BOTH(by)
    {
        net_conn_pause(p[by].peer->net, false);
        UNTIL(p[by].peer, p[by].peer->fin[ERROR_ID]);
        assert_int_equal(p[by].peer->text[OUT_ID].size, (size_t)sent[by] * 50000);
        net_conn_pause(log[by]->net, false);
        UNTIL(log[by], log[by]->closed);
        const char *end = "\r\n0\r\n\r\n";
        assert_true(log[by]->head.size > (size_t)told[by] * 50000);
        assert_string_equal(buf_cstr(&log[by]->head) + log[by]->head.size - strlen(end), end);
        pair_close(&p[by]);
        peer_free(log[by]);
        stream_close(source[by]);
    }
}

/* Requests may come one behind the other, and what belongs to the stream behind them. */
static void what_comes_behind_an_upgrade_is_the_streams(void **state)
{
    struct state *s = *state;
    BOTH(by)
    {
        struct peer *x = peer_as(s, master_of(s, by), PKI_ROLE_ADMIN, "tester");
        struct buf b = BUF_INIT;
        struct spdy_pair pairs[3] = {
            {STR("streamtype"), STR("error")}, {STR("port"), STR("80")}, {STR("requestid"), STR("0")}};
        got_asked = false;
        buf_puts(&b, "GET /api/v1/namespaces/default/pods/p HTTP/1.1\r\nHost: x\r\n\r\nGET /version HTTP/1.1\r\nHost: "
                     "x\r\n\r\nPOST /api/v1/namespaces/default/pods/p/portforward HTTP/1.1\r\nHost: x\r\nConnection: "
                     "Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n");
        spdy_put_stream(&x->out, &b, 1, false, pairs, 3);
        pairs[0].value = STR("data");
        spdy_put_stream(&x->out, &b, 3, false, pairs, 3);
        spdy_put_data(&b, 3, STR("hello"), false);
        send_buf(x, &b);
        struct stream *a = take_asked(s);
        assert_string_equal(bytes_of(s, stream_next(a), NULL), "hello");
        peer_free(x);
        stream_close(a);
    }
}

/* [4 back-pressure] */
static void a_slow_reader_slows_the_writer(void **state)
{
    struct state *s = *state;
    CLEANUP_FREE char *big = malloc(50001);
    memset(big, 'x', 50000);
    big[50000] = '\0';
    BOTH(by)
    {
        struct pair p = exec_open(s, by, true);
        net_conn_pause(p.peer->net, true);
        unsigned sent = 0;
        for (int64_t until = kit_now() + 1000; kit_now() < until && sent < 2000;) {
            if (agent_say(p.agent, "stdout", big) == 0) {
                sent++;
                until = kit_now() + 300;
            } else {
                kit_turn(s->kit, 20);
            }
        }
        print_message("to the client: %u payloads of 50 KB on the way\n", sent);
        assert_true(sent > 10 && sent < 600);
        net_conn_pause(p.peer->net, false);
        UNTIL(p.peer, p.peer->text[OUT_ID].size == (size_t)sent * 50000);
        p.agent->hold = true;
        unsigned typed = 0;
        for (int64_t until = kit_now() + 1000; kit_now() < until && typed < 2000;) {
            if (net_conn_pending(p.peer->net) < 100000) {
                type_in(p.peer, IN_ID, big, false);
                typed++;
                until = kit_now() + 300;
            }
            kit_turn(s->kit, 5);
        }
        print_message("to the agent: %u payloads of 50 KB on the way\n", typed);
        assert_true(typed > 10 && typed < 600);
        stream_release(p.agent);
        for (size_t all = 0; all < (size_t)typed * 50000;) {
            struct value *v = stream_next(p.agent);
            assert_non_null(v);
            all += value_get(v, "stdin")->str.n;
        }
        pair_close(&p);
    }
}

/* [4 malformed] */
static void frames_that_are_none_end_the_command(void **state)
{
    struct state *s = *state;
    static const struct {
        const char *bytes;
        size_t n;
    } rows[] = {
#define ROW(text) {text, sizeof(text) - 1}
        ROW("GET / HTTP/1.1\r\n\r\n"),                       /* data of a stream, and then */
        ROW("\x80\2\0\1\0\0\0\0"),                           /* another version */
        ROW("\x80\3\0\1\0\xff\xff\xff"),                     /* a block of 16 MiB */
        ROW("\x80\3\0\1\0\0\0\16\0\0\0\13\0\0\0\0\0\0garb"), /* headers that do not inflate */
        ROW("\x80\3\0\1\0\0\0\12\0\0\0\2\0\0\0\0\0\0"),      /* no headers */
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct pair p = exec_open(s, (unsigned)i % 2, true);
        net_conn_send(p.peer->net, rows[i].bytes, rows[i].n);
        if (i == 0) {
            net_conn_send(p.peer->net, "\x80\3\0\1\0\xff\xff\xff", 8); /* "GET " is a length, and that much is data */
            kit_turn(s->kit, 50);
            stream_send(p.agent, "{exit: 0}");
            stream_end(p.agent, NULL);
        } else {
            UNTIL(p.peer, p.peer->goaways == 1);
        }
        stream_wait_end(p.agent);
        pair_close(&p);
    }
}

/* [4 unwanted] What SPDY has for a flow control of its own counts for nothing. */
static void streams_that_are_not_wanted_are_refused(void **state)
{
    struct state *s = *state;
    struct pair p = exec_open(s, 0, true);
    struct buf b = BUF_INIT;
    open_use(p.peer, 11, "stdout", NULL, NULL); /* there is one */
    open_use(p.peer, 13, "resize", NULL, NULL); /* no terminal */
    open_use(p.peer, 15, "colour", NULL, NULL);
    spdy_put_ping(&b, 5);
    send_buf(p.peer, &b);
    UNTIL(p.peer, p.peer->resets == 3 && p.peer->pings == 1);
    buf_append(&b, "\x80\3\0\4\0\0\0\14\0\0\0\1\0\0\0\7\0\0\0\1", 20); /* SETTINGS: a window of one byte */
    buf_append(&b, "\x80\3\0\11\0\0\0\10\0\0\0\3\0\0\0\1", 16);        /* WINDOW_UPDATE of stdin */
    send_buf(p.peer, &b);
    type_in(p.peer, IN_ID, "still", false);
    assert_string_equal(bytes_of(s, stream_next(p.agent), "stdin"), "still");
    pair_close(&p);
}

/* [4 resize] */
static void terminals_have_sizes(void **state)
{
    struct state *s = *state;
    struct pair p;
    got_asked = false;
    p.peer = peer_as(s, s->leader, PKI_ROLE_ADMIN, "tester");
    ask_spdy(p.peer, "POST", "p/exec?command=sh&stdin=true&stdout=true&stderr=true&tty=true");
    p.agent = take_asked(s);
    assert_true(value_path_bool(asked_params, "tty", false));
    assert_false(value_path_bool(asked_params, "stderr", true));
    open_use(p.peer, ERROR_ID, "error", NULL, NULL);
    open_use(p.peer, IN_ID, "stdin", NULL, NULL);
    open_use(p.peer, OUT_ID, "stdout", NULL, NULL);
    open_use(p.peer, RESIZE_ID, "resize", NULL, NULL);
    UNTIL(p.peer, p.peer->replies == 4);
    type_in(p.peer, RESIZE_ID, "{\"Width\":80,\"Height\":24}\n{\"Width\":1", false);
    struct value *v = stream_next(p.agent);
    assert_int_equal(value_path_int(v, "rows", 0), 24);
    assert_int_equal(value_path_int(v, "columns", 0), 80);
    type_in(p.peer, RESIZE_ID, "00,\"Height\":30}{\"Width\":-1,\"Height\":2}", false);
    v = stream_next(p.agent);
    assert_int_equal(value_path_int(v, "rows", 0), 30);
    assert_int_equal(value_path_int(v, "columns", 0), 100);
    pair_close(&p);
}

static void tell_start(struct state *s, const char *at)
{
    struct peer *x = peer_as(s, s->leader, PKI_ROLE_ADMIN, "tester");
    CLEANUP_FREE char *body =
        xasprintf("{\"status\":{\"phase\":\"Running\",\"containerStatuses\":[{\"name\":\"c\",\"image\":"
                  "\"i\",\"imageID\":\"\",\"ready\":true,\"restartCount\":0,\"state\":{\"running\":{"
                  "\"startedAt\":\"%s\"}}}]}}",
                  at);
    CLEANUP_FREE char *text =
        xasprintf("PATCH /api/v1/namespaces/default/pods/p/status HTTP/1.1\r\nHost: "
                  "x\r\nContent-Type: application/merge-patch+json\r\nContent-Length: %zu\r\n\r\n%s",
                  strlen(body), body);
    send_text(x, text);
    UNTIL(x, x->has_head);
    assert_non_null(strstr(buf_cstr(&x->head), "HTTP/1.1 200 OK\r\n"));
    peer_free(x);
}

/* [4 attach] Who attaches to what has just begun sees all of it, as `kubectl run -it` needs; later, what comes from
 * then on. */
static void an_attach_to_what_has_just_begun_shows_all(void **state)
{
    struct state *s = *state;
    char now[TIMEFMT_SIZE];
    timefmt_rfc3339(env_wall_ms(env_real()), now);
    const char *const starts[] = {NULL, "2001-01-02T03:04:05Z", now}; /* NULL: nothing is known of it yet */
    static const char *const targets[] = {"p/attach?stdin=true&stdout=true&container=c", "p/attach?stdout=true"};
    for (size_t i = 0; i < ARRAY_SIZE(starts); i++) {
        if (starts[i] != NULL) {
            tell_start(s, starts[i]);
        }
        BOTH(by)
        {
            struct peer *x = peer_as(s, master_of(s, by), PKI_ROLE_ADMIN, "tester");
            got_asked = false;
            ask_spdy(x, "POST", targets[by]);
            struct stream *a = take_asked(s);
            assert_string_equal(asked_method, "pod.attach");
            assert_int_equal(value_path_bool(asked_params, "fromStart", false), i != 1);
            peer_free(x);
            stream_close(a);
        }
    }
}

/* A follower that is behind does not judge by what it knows: whose logs are asked for over it, or who attaches over it,
 * of a container that was just added, as `kubectl debug` does, finds it. What there is not is refused alike by all. */
static void a_container_that_was_just_added_is_found_over_a_follower(void **state)
{
    struct state *s = *state;
    pid_t follower = s->kit->masters[master_of(s, 1)].pid;
    for (unsigned i = 0; i < 2; i++) {
        struct peer *x = peer_as(s, master_of(s, 1), PKI_ROLE_ADMIN, "tester");
        struct peer *leader = peer_as(s, s->leader, PKI_ROLE_ADMIN, "tester");
        CLEANUP_FREE char *body =
            xasprintf("{\"spec\":{\"ephemeralContainers\":[{\"name\":\"debug-%u\",\"image\":\"i\"}]}}", i);
        CLEANUP_FREE char *text =
            xasprintf("PATCH /api/v1/namespaces/default/pods/p/ephemeralcontainers HTTP/1.1\r\nHost: x\r\n"
                      "Content-Type: application/strategic-merge-patch+json\r\nContent-Length: %zu\r\n\r\n%s",
                      strlen(body), body);
        assert_int_equal(kill(follower, SIGSTOP), 0);
        got_asked = false;
        if (i == 0) {
            send_text(x, "GET /api/v1/namespaces/default/pods/p/log?container=debug-0 HTTP/1.1\r\nHost: x\r\n\r\n");
        } else {
            ask_spdy(x, "POST", "p/attach?stdout=true&container=debug-1");
        }
        kit_turn(s->kit, 50); /* it stands before what the leader sends */
        send_text(leader, text);
        UNTIL(leader, leader->has_head);
        assert_non_null(strstr(buf_cstr(&leader->head), "HTTP/1.1 200 OK\r\n"));
        assert_int_equal(kill(follower, SIGCONT), 0);
        struct stream *a = take_asked(s);
        assert_string_equal(asked_method, i == 0 ? "pod.logs" : "pod.attach");
        assert_string_equal(value_text(s->kit, asked_params, "container"), i == 0 ? "debug-0" : "debug-1");
        peer_free(x);
        peer_free(leader);
        stream_close(a);
    }
    static const char *const targets[] = {"POST /api/v1/namespaces/default/pods/p/attach?stdout=true&container=none",
                                          "GET /api/v1/namespaces/default/pods/p/log?container=none"};
    for (size_t i = 0; i < 2 * ARRAY_SIZE(targets); i++) {
        CLEANUP_FREE char *ask = xasprintf("%s HTTP/1.1\r\nHost: x\r\n%s\r\n", targets[i / 2],
                                           i / 2 > 0 ? ""
                                                     : "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
                                                       "X-Stream-Protocol-Version: v4.channel.k8s.io\r\n");
        struct peer *refused = peer_as(s, master_of(s, i % 2), PKI_ROLE_ADMIN, "tester");
        send_text(refused, ask);
        UNTIL(refused, strstr(buf_cstr(&refused->head), "container none is not valid for pod p") != NULL);
        assert_non_null(strstr(buf_cstr(&refused->head), "HTTP/1.1 400 "));
        peer_free(refused);
    }
}

static void who_hangs_up_ends_the_command(void **state)
{
    struct state *s = *state;
    BOTH(by)
    {
        struct pair p = exec_open(s, by, by == 0);
        peer_free(p.peer);
        stream_wait_end(p.agent);
        stream_close(p.agent);
        struct peer *early = peer_as(s, master_of(s, by), PKI_ROLE_ADMIN, "tester"); /* before the agent answers */
        got_asked = false;
        ask_spdy(early, "POST", EXEC);
        kit_until(s->kit, &got_asked, "a request at the agent");
        got_asked = false;
        struct rpc_request *r = asked;
        peer_free(early);
        struct stream *late = stream_accept(s->agent, r);
        stream_wait_end(late);
        stream_close(late);
    }
}

/* [4 refused] Whoever cannot be served hears it before the connection becomes a stream. */
static void the_agents_refusal_is_a_status(void **state)
{
    struct state *s = *state;
    BOTH(by)
    {
        struct peer *x = peer_as(s, master_of(s, by), PKI_ROLE_ADMIN, "tester");
        got_asked = false;
        ask_spdy(x, "POST", EXEC);
        kit_until(s->kit, &got_asked, "a request at the agent");
        got_asked = false;
        struct error err = {0};
        error_set(&err, ERR_USAGE, "container not running: \"c\" of pod \"p\" has not started yet");
        rpc_reply_error(asked, &err);
        UNTIL(x, strstr(buf_cstr(&x->head), "has not started yet") != NULL);
        assert_non_null(strstr(buf_cstr(&x->head), "HTTP/1.1 400 "));
        ask_spdy(x, "POST", EXEC); /* the connection goes on */
        struct stream *a = take_asked(s);
        peer_free(x);
        stream_close(a);
    }
}

/* ---- Rights ---- */

/* Whoever may read logs is told by every master alike which container is meant, and nobody else is told names. */
static void a_log_whose_container_is_not_clear_is_refused_by_each_master(void **state)
{
    struct state *s = *state;
    static const char *const objects[] = {
        "{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: logs}, rules: [{apiGroups: [''], "
        "resources: [pods/log], verbs: [get]}]}",
        "{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: logs}, roleRef: {apiGroup: "
        "rbac.authorization.k8s.io, kind: Role, name: logs}, subjects: [{apiGroup: rbac.authorization.k8s.io, kind: "
        "User, name: reads}]}",
        "{apiVersion: v1, kind: Pod, metadata: {name: two}, spec: {nodeName: n1, containers: [{name: a, image: i}, "
        "{name: b, image: i}]}}"};
    static const struct {
        const char *user, *log, *status, *text;
    } rows[] = {
        {"reads", "two/log?container=none", " 400 ", "container none is not valid for pod two"},
        {"reads", "two/log", " 400 ", "a container name must be specified for pod two, choose one of: [a b]"},
        {"reads", "none/log?container=c", " 404 ", "pods \\\"none\\\" not found"},
        {"nobody", "two/log?container=none", " 403 ", "forbidden"},
        {"nobody", "two/log", " 403 ", "forbidden"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(objects); i++) {
        must(s->admin, "create", "{object: %s}", objects[i]);
    }
    BOTH(by)
    {
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
            CLEANUP_FREE char *ask =
                xasprintf("GET /api/v1/namespaces/default/pods/%s HTTP/1.1\r\nHost: x\r\n\r\n", rows[i].log);
            struct peer *x = peer_as(s, master_of(s, by), PKI_ROLE_USER, rows[i].user);
            got_asked = false;
            send_text(x, ask);
            UNTIL(x, strstr(buf_cstr(&x->head), rows[i].text) != NULL);
            assert_non_null(strstr(buf_cstr(&x->head), rows[i].status));
            assert_false(got_asked);
            peer_free(x);
        }
        struct peer *x = peer_as(s, master_of(s, by), PKI_ROLE_USER, "reads");
        send_text(x, "GET /api/v1/namespaces/default/pods/two/log?container=b HTTP/1.1\r\nHost: x\r\n\r\n");
        struct stream *a = take_asked(s);
        assert_string_equal(asked_method, "pod.logs");
        assert_string_equal(value_text(s->kit, asked_params, "container"), "b");
        peer_free(x);
        stream_close(a);
    }
}

/* [4 rights] [9 exec-by-get] A right to read is none to run a command. */
static void get_needs_two_rights_and_post_one(void **state)
{
    struct state *s = *state;
    static const char *const names[] = {"both", "creates", "gets"};
    static const char *const verbs[] = {"create, get", "create", "get"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        must(
            s->admin, "create",
            "{object: {apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: %s}, rules: [{apiGroups: "
            "[''], resources: [pods/exec, pods/portforward], verbs: [%s]}]}}",
            names[i], verbs[i]);
        must(s->admin, "create",
             "{object: {apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: %s}, roleRef: "
             "{apiGroup: rbac.authorization.k8s.io, kind: Role, name: %s}, subjects: [{apiGroup: "
             "rbac.authorization.k8s.io, kind: User, name: %s}]}}",
             names[i], names[i], names[i]);
    }
    static const struct {
        const char *user, *method;
        bool allowed;
    } rows[] = {{"both", "GET", true},  {"both", "POST", true},  {"creates", "GET", false}, {"creates", "POST", true},
                {"gets", "GET", false}, {"gets", "POST", false}, {"nobody", "GET", false},  {"nobody", "POST", false}};
    BOTH(by)
    {
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
            struct peer *x = peer_as(s, master_of(s, by), PKI_ROLE_USER, rows[i].user);
            got_asked = false;
            ask_spdy(x, rows[i].method, EXEC);
            struct stream *a = rows[i].allowed ? take_asked(s) : NULL;
            UNTIL(x, x->has_head);
            assert_non_null(strstr(buf_cstr(&x->head), rows[i].allowed ? " 101 " : " 403 "));
            assert_false(got_asked);
            peer_free(x);
            if (a != NULL) {
                stream_close(a);
            }
        }
        struct peer *x = peer_as(s, master_of(s, by), PKI_ROLE_USER, "creates");
        ask_spdy(x, "POST", "p/portforward");
        UNTIL(x, x->has_head);
        open_use(x, 1, "error", "80", "0");
        open_use(x, 3, "data", "80", "0");
        struct stream *a = take_asked(s);
        peer_free(x);
        stream_close(a);
    }
}

/* A right that is taken away counts for the next connection that is forwarded. */
static void a_right_that_is_taken_away_counts_at_once(void **state)
{
    struct state *s = *state;
    struct peer *x = peer_as(s, s->leader, PKI_ROLE_USER, "both");
    ask_spdy(x, "POST", "p/portforward");
    UNTIL(x, x->has_head);
    must(s->admin, "delete", "{kind: RoleBinding, namespace: default, name: both}");
    got_asked = false;
    open_use(x, 1, "error", "80", "0");
    open_use(x, 3, "data", "80", "0");
    UNTIL(x, x->fin[1]);
    assert_non_null(strstr(TEXT(x, 1), "forbidden"));
    assert_false(got_asked);
    peer_free(x);
}

/* ---- What is lost ---- */

static void an_agent_that_goes_away_is_told(void **state)
{
    struct state *s = *state;
    struct pair p[2];
    struct peer *forward[2];
    struct stream *forwarded[2];
    BOTH(by)
    {
        p[by] = exec_open(s, by, true);
        forward[by] = peer_as(s, master_of(s, by), PKI_ROLE_ADMIN, "tester");
        ask_spdy(forward[by], "POST", "p/portforward");
        open_use(forward[by], 1, "error", "80", "0");
        open_use(forward[by], 3, "data", "80", "0");
        forwarded[by] = take_asked(s);
    }
    client_close(s->agent);
    BOTH(by)
    {
        UNTIL(p[by].peer, p[by].peer->fin[ERROR_ID]);
        assert_non_null(strstr(TEXT(p[by].peer, ERROR_ID), "the connection to the pod's node was lost"));
        assert_non_null(strstr(TEXT(p[by].peer, ERROR_ID), "\"reason\":\"InternalError\""));
        UNTIL(forward[by], forward[by]->fin[1] && forward[by]->fin[3]);
        pair_close(&p[by]);
        peer_free(forward[by]);
        stream_close(forwarded[by]);
    }
    register_agent(s);
    struct pair again = exec_open(s, 1, true);
    pair_close(&again);
}

/* The client's connection is gone with it; what it has begun on the node is ended by the leader. */
static void a_follower_that_dies_takes_its_streams_along(void **state)
{
    struct state *s = *state;
    unsigned follower = master_of(s, 2);
    struct pair p = exec_open(s, 2, true), other = exec_open(s, 0, true);
    struct peer *x = peer_as(s, follower, PKI_ROLE_ADMIN, "tester");
    ask_spdy(x, "POST", "p/portforward");
    open_use(x, 1, "error", "80", "0");
    open_use(x, 3, "data", "80", "0");
    struct stream *a = take_asked(s);
    kit_stop(s->kit, follower, SIGKILL);
    stream_wait_end(p.agent);
    stream_wait_end(a);
    UNTIL(p.peer, p.peer->closed);
    UNTIL(x, x->closed);
    type_in(other.peer, IN_ID, "still", false); /* those of others go on */
    assert_string_equal(bytes_of(s, stream_next(other.agent), "stdin"), "still");
    peer_free(x);
    stream_close(a);
    pair_close(&p);
    pair_close(&other);
}

static void a_leader_that_dies_ends_what_goes_over_it(void **state)
{
    struct state *s = *state;
    struct pair p = exec_open(s, 1, true);
    kit_stop(s->kit, s->leader, SIGKILL);
    UNTIL(p.peer, p.peer->fin[ERROR_ID]);
    assert_non_null(strstr(TEXT(p.peer, ERROR_ID), "\"reason\":\"InternalError\""));
    pair_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exec_goes_both_ways_and_tells_the_exit_code),
        cmocka_unit_test(the_first_protocol_that_is_served_is_chosen),
        cmocka_unit_test(output_waits_for_its_channels),
        cmocka_unit_test(a_terminals_short_command_is_told_whole),
        cmocka_unit_test(a_slow_reader_gets_the_end_as_well),
        cmocka_unit_test(what_comes_behind_an_upgrade_is_the_streams),
        cmocka_unit_test(a_slow_reader_slows_the_writer),
        cmocka_unit_test(frames_that_are_none_end_the_command),
        cmocka_unit_test(streams_that_are_not_wanted_are_refused),
        cmocka_unit_test(terminals_have_sizes),
        cmocka_unit_test(an_attach_to_what_has_just_begun_shows_all),
        cmocka_unit_test(a_container_that_was_just_added_is_found_over_a_follower),
        cmocka_unit_test(who_hangs_up_ends_the_command),
        cmocka_unit_test(the_agents_refusal_is_a_status),
        cmocka_unit_test(get_needs_two_rights_and_post_one),
        cmocka_unit_test(a_log_whose_container_is_not_clear_is_refused_by_each_master),
        cmocka_unit_test(a_right_that_is_taken_away_counts_at_once),
        cmocka_unit_test(an_agent_that_goes_away_is_told),
        cmocka_unit_test(a_follower_that_dies_takes_its_streams_along),
        cmocka_unit_test(a_leader_that_dies_ends_what_goes_over_it),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
