/* logs, exec, port-forward and images: streams between a client and an agent, through the leader and through a
 * follower. */
#include "tests/unit/kit/master_kit.h"

struct state {
    struct kit *kit;
    unsigned leader;
    struct client *agent, *client[2]; /* clients at the leader and at a follower */
};

/* What the fake agent was asked last. */
static struct rpc_request *asked;
static char asked_method[64];
static struct value *asked_params;
static bool got_asked;

static void on_request(struct client *a, struct rpc_request *r, struct str method, struct mp params)
{
    struct error err = {0};
    snprintf(asked_method, sizeof asked_method, "%.*s", STR_ARG(method));
    assert_int_equal(msgpack_read_value(&a->kit->arena, params.p, (size_t)(params.end - params.p), &asked_params, &err),
                     0);
    asked = r;
    got_asked = true;
}

static void register_agent(struct state *s)
{
    s->agent = client_as(s->kit, s->leader, PKI_ROLE_NODE, "n1");
    s->agent->on_request = on_request;
    must(s->agent, "node.register",
         "{node: {apiVersion: v1, kind: Node, metadata: {name: n1}, status: {conditions: [{type: Ready, status: "
         "'True'}]}}}");
}

static int set_up(void **state)
{
    struct state *s = xcalloc(1, sizeof *s);
    static const char *const calm[] = {"--election-timeout", "1500", "--raft-heartbeat", "100", NULL};
    s->kit = kit_three(calm);
    s->leader = kit_leader(s->kit);
    s->client[0] = client_admin(s->kit, s->leader);
    s->client[1] = client_admin(s->kit, (s->leader + 1) % 3);
    must(s->client[0], "create",
         "{object: {apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {nodeName: n1, containers: [{name: c, image: "
         "i}]}}}");
    must(s->client[0], "create",
         "{object: {apiVersion: v1, kind: Pod, metadata: {name: unbound}, spec: {nodeSelector: {no: where}, "
         "containers: [{name: c, image: i}]}}}");
    must(s->client[0], "create",
         "{object: {apiVersion: v1, kind: Pod, metadata: {name: far}, spec: {nodeName: n2, containers: [{name: c, "
         "image: i}]}}}");
    register_agent(s);
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct state *s = *state;
    kit_free(s->kit);
    free(s);
    return 0;
}

/* A client's stream and the agent's end of it. */
struct pair {
    struct stream *client, *agent;
};

static struct rpc_request *wait_asked(struct kit *k)
{
    kit_until(k, &got_asked, "a request at the agent");
    got_asked = false;
    return asked;
}

static struct pair pair_open(struct state *s, unsigned by, const char *method, const char *params)
{
    struct pair p;
    got_asked = false;
    p.client = stream_open(s->client[by], method, "%s", params);
    p.agent = stream_accept(s->agent, wait_asked(s->kit));
    kit_until(s->kit, &p.client->open, "the answer to the client");
    return p;
}

static void pair_close(struct pair *p)
{
    stream_close(p->client);
    stream_close(p->agent);
}

#define EXEC     "{namespace: default, name: p, command: [sh], stdin: true, stdout: true, stderr: true, tty: false}"
#define BOTH(by) for (unsigned by = 0; by < 2; by++)

static void test_logs_arrive_whole_and_in_order(void **state)
{
    struct state *s = *state;
    BOTH(by)
    {
        struct pair p =
            pair_open(s, by, "logs", "{namespace: default, name: p, container: c, tailLines: 7, follow: true}");
        assert_string_equal(asked_method, "pod.logs");
        assert_int_equal(value_path_int(asked_params, "tailLines", 0), 7);
        assert_string_equal(value_text(s->kit, asked_params, "name"), "p");
        for (int i = 0; i < 50; i++) {
            assert_int_equal(stream_send(p.agent, "'line %d'", i), 0);
        }
        stream_end(p.agent, NULL);
        char want[32];
        for (int i = 0; i < 50; i++) {
            snprintf(want, sizeof want, "line %d", i);
            struct value *v = stream_next(p.client);
            assert_non_null(v);
            assert_true(str_is(value_to_str(v), want));
        }
        assert_null(stream_next(p.client));
        assert_int_equal(p.client->end.code, 0);
        pair_close(&p);
    }
}

static void test_exec_goes_both_ways(void **state)
{
    struct state *s = *state;
    BOTH(by)
    {
        struct pair p = pair_open(s, by, "exec", EXEC);
        assert_string_equal(asked_method, "pod.exec");
        assert_int_equal(value_count(value_get(asked_params, "command")), 1);
        for (int i = 0; i < 20; i++) {
            assert_int_equal(stream_send(p.client, "{stdin: 'in %d'}", i), 0);
            struct value *v = stream_next(p.agent);
            assert_int_equal(stream_send(p.agent, "{stdout: 'out %s'}", value_text(s->kit, v, "stdin")), 0);
            char want[32];
            snprintf(want, sizeof want, "out in %d", i);
            assert_string_equal(value_text(s->kit, stream_next(p.client), "stdout"), want);
        }
        stream_send(p.client, "{eof: true}");
        assert_true(value_path_bool(stream_next(p.agent), "eof", false));
        stream_send(p.agent, "{exit: 3}");
        stream_end(p.agent, NULL);
        assert_int_equal(value_path_int(stream_next(p.client), "exit", -1), 3);
        assert_null(stream_next(p.client));
        assert_int_equal(p.client->end.code, 0);
        pair_close(&p);
    }
}

/* Fills a stream whose reader holds on, then lets go: everything arrives, and little was kept on the way. */
static void fill(struct state *s, struct stream *from, struct stream *to)
{
    char *big = malloc(50001);
    memset(big, 'x', 50000);
    big[50000] = '\0';
    to->hold = true;
    unsigned sent = 0;
    for (int64_t until = kit_now() + 1000; kit_now() < until && sent < 1000;) {
        if (stream_send(from, "'%06u%s'", sent, big) == 0) {
            sent++;
            until = kit_now() + 300;
        } else {
            kit_turn(s->kit, 20);
        }
    }
    free(big);
    print_message("%u payloads of 50 KB on the way\n", sent);
    assert_true(sent > 20 && sent < 200); /* a window a hop */
    stream_release(to);
    for (unsigned i = 0; i < sent; i++) {
        struct value *v = stream_next(to);
        assert_non_null(v);
        assert_int_equal(atoi(value_to_str(v).p), i);
        assert_int_equal(value_to_str(v).n, 50006);
    }
}

static void test_a_slow_reader_slows_the_writer(void **state)
{
    struct state *s = *state;
    BOTH(by)
    {
        struct pair p = pair_open(s, by, "exec", EXEC);
        fill(s, p.agent, p.client);
        fill(s, p.client, p.agent);
        pair_close(&p);
    }
}

static void test_what_was_sent_before_the_end_comes_before_it(void **state)
{
    struct state *s = *state;
    BOTH(by)
    {
        for (int with_error = 0; with_error < 2; with_error++) {
            struct pair p = pair_open(s, by, "exec", EXEC);
            char *big = malloc(900001);
            memset(big, 'x', 900000);
            big[900000] = '\0';
            p.client->hold = true;
            for (int i = 0; i < 4; i++) {
                int64_t until = kit_now() + KIT_WAIT_MS;
                while (stream_send(p.agent, "'%s'", big) != 0) { /* the last ones wait in a master */
                    assert_true(kit_now() < until);
                    kit_turn(s->kit, 20);
                }
            }
            free(big);
            struct error err = {0};
            error_set(&err, ERR_NOT_FOUND, "the file went away");
            stream_end(p.agent, with_error ? &err : NULL);
            kit_turn(s->kit, 50);
            stream_release(p.client);
            for (int i = 0; i < 4; i++) {
                assert_non_null(stream_next(p.client));
            }
            assert_null(stream_next(p.client));
            assert_int_equal(p.client->end.code, with_error ? ERR_NOT_FOUND : 0);
            pair_close(&p);
        }
    }
}

static void test_the_agents_refusal_reaches_the_client(void **state)
{
    struct state *s = *state;
    BOTH(by)
    {
        got_asked = false;
        struct stream *c = stream_open(s->client[by], "logs", "{namespace: default, name: p}");
        struct rpc_request *r = wait_asked(s->kit);
        struct error err = {0};
        error_set(&err, ERR_NOT_FOUND, "container \"c\" has not started");
        rpc_reply_error(r, &err);
        stream_wait_end(c);
        assert_false(c->open);
        assert_int_equal(c->end.code, ERR_NOT_FOUND);
        assert_non_null(strstr(c->end.message, "has not started"));
        stream_close(c);
    }
}

static void test_a_client_that_cancels_ends_the_agents_stream(void **state)
{
    struct state *s = *state;
    BOTH(by)
    {
        struct pair p = pair_open(s, by, "logs", "{namespace: default, name: p, follow: true}");
        stream_send(p.agent, "'line'");
        stream_next(p.client);
        stream_end(p.client, NULL);
        stream_wait_end(p.agent);
        pair_close(&p);
        p = pair_open(s, by, "exec", EXEC);
        p.client->hold = true; /* and while the relay is full */
        char *big = malloc(900001);
        memset(big, 'x', 900000);
        big[900000] = '\0';
        for (int i = 0; i < 6; i++) {
            stream_send(p.agent, "'%s'", big);
            kit_turn(s->kit, 20);
        }
        free(big);
        stream_end(p.client, NULL);
        stream_wait_end(p.agent);
        pair_close(&p);
    }
}

static void test_a_client_that_goes_away_ends_the_agents_stream(void **state)
{
    struct state *s = *state;
    BOTH(by)
    {
        struct client *kept = s->client[by];
        s->client[by] = client_admin(s->kit, by == 0 ? s->leader : (s->leader + 1) % 3);
        struct pair p = pair_open(s, by, "exec", EXEC);
        got_asked = false;
        struct stream *early = stream_open(s->client[by], "exec", EXEC); /* not answered when the client goes */
        struct rpc_request *r = wait_asked(s->kit);
        client_close(s->client[by]);
        stream_wait_end(p.agent);
        stream_wait_end(early);
        struct stream *late = stream_accept(s->agent, r);
        stream_wait_end(late);
        stream_close(late);
        stream_close(early);
        pair_close(&p);
        s->client[by] = kept;
    }
}

static void test_a_client_that_ends_before_the_agent_answers(void **state)
{
    struct state *s = *state;
    BOTH(by)
    {
        got_asked = false;
        struct stream *c = stream_open(s->client[by], "exec", EXEC);
        stream_end(c, NULL);
        struct stream *a = stream_accept(s->agent, wait_asked(s->kit));
        stream_wait_end(a);
        stream_wait_end(c);
        stream_close(a);
        stream_close(c);
    }
}

static void test_an_agent_that_goes_away_ends_the_clients_streams(void **state)
{
    struct state *s = *state;
    struct pair p[2];
    struct stream *early[2];
    struct rpc_request *unanswered[2];
    BOTH(by)
    {
        p[by] = pair_open(s, by, "exec", EXEC);
        got_asked = false;
        early[by] = stream_open(s->client[by], "logs", "{namespace: default, name: p}");
        unanswered[by] = wait_asked(s->kit);
    }
    client_close(s->agent);
    BOTH(by)
    {
        stream_wait_end(p[by].client);
        assert_int_equal(p[by].client->end.code, ERR_CLOSED);
        assert_non_null(strstr(p[by].client->end.message, "the connection to node \"n1\" was lost"));
        pair_close(&p[by]);
        stream_wait_end(early[by]);
        assert_false(early[by]->open);
        assert_int_equal(early[by]->end.code, ERR_CLOSED);
        stream_close(early[by]);
        rpc_reply(unanswered[by], STR("\x80")); /* into the void */
    }
    BOTH(by)
    {
        for (int64_t until = kit_now() + KIT_WAIT_MS;;) {
            struct stream *c = stream_open(s->client[by], "logs", "{namespace: default, name: p}");
            stream_wait_end(c);
            bool told = c->end.code == ERR_BUSY && strstr(c->end.message, "not connected") != NULL;
            stream_close(c);
            if (told) {
                break;
            }
            assert_true(kit_now() < until);
        }
    }
    register_agent(s);
    struct pair again = pair_open(s, 1, "exec", EXEC);
    pair_close(&again);
}

static void ends_with(struct client *c, int code, const char *text, const char *method, const char *params)
{
    struct stream *st = stream_open(c, method, "%s", params);
    stream_wait_end(st);
    if (st->end.code != code || strstr(st->end.message, text) == NULL) {
        fail_msg("%s %s: expected %s \"%s\", got %s: %s", method, params, err_reason(code), text,
                 err_reason(st->end.code), st->end.message);
    }
    stream_close(st);
}

static void test_streams_to_nowhere_are_refused_with_the_reason(void **state)
{
    struct state *s = *state;
    BOTH(by)
    {
        struct client *c = s->client[by];
        ends_with(c, ERR_NOT_FOUND, "pods \"none\" not found", "logs", "{namespace: default, name: none}");
        ends_with(c, ERR_USAGE, "does not have a host assigned", "logs", "{namespace: default, name: unbound}");
        ends_with(c, ERR_BUSY, "node \"n2\" is not connected", "exec", "{namespace: default, name: far}");
        ends_with(c, ERR_USAGE, "\"name\" is missing", "logs", "{namespace: default}");
        ends_with(c, ERR_USAGE, "\"node\" is missing", "imageload", "{}");
        ends_with(c, ERR_USAGE, "\"node\" is missing", "imagepull", "{}");
        assert_int_equal(call(c, "imageremove", "{node: n2, name: x}"), ERR_BUSY);
        ends_with(c, ERR_USAGE, "unknown parameter", "logs", "{namespace: default, name: p, colour: true}");
        assert_int_equal(call(c, "images", "{node: n2}"), ERR_BUSY);
    }
}

static void test_images_are_asked_of_the_node(void **state)
{
    struct state *s = *state;
    BOTH(by)
    {
        got_asked = false;
        struct stream *c = stream_open(s->client[by], "images", "{node: n1}"); /* a plain answer ends a stream's call */
        struct rpc_request *r = wait_asked(s->kit);
        assert_string_equal(asked_method, "image.list");
        struct buf b = BUF_INIT;
        msgpack_write_value(&b, kit_doc(s->kit, "{images: []}"));
        rpc_reply(r, buf_str(&b));
        buf_close(&b);
        stream_wait_end(c);
        assert_int_equal(c->end.code, ERR_PROTOCOL);
        stream_close(c);
        got_asked = false;
        c = stream_open(s->client[by], "imageremove", "{node: n1, name: tool}");
        r = wait_asked(s->kit);
        assert_string_equal(asked_method, "image.remove");
        assert_null(value_get(asked_params, "node"));
        assert_string_equal(value_text(s->kit, asked_params, "name"), "tool");
        struct error err = {0};
        error_set(&err, ERR_CONFLICT, "the image tool is in use by container a of pod b/c");
        rpc_reply_error(r, &err);
        stream_wait_end(c);
        assert_int_equal(c->end.code, ERR_CONFLICT);
        stream_close(c);
        struct pair pull = pair_open(s, by, "imagepull", "{node: n1, name: tool}");
        assert_string_equal(asked_method, "image.pull");
        pair_close(&pull);
        struct pair p = pair_open(s, by, "imageload", "{node: n1, name: tool}");
        assert_string_equal(asked_method, "image.load");
        assert_null(value_get(asked_params, "node"));
        assert_string_equal(value_text(s->kit, asked_params, "name"), "tool");
        pair_close(&p);
    }
}

static void test_a_leader_that_dies_ends_the_streams(void **state)
{
    struct state *s = *state;
    struct pair p[2];
    BOTH(by)
    {
        p[by] = pair_open(s, by, "exec", EXEC);
    }
    kit_stop(s->kit, s->leader, SIGKILL);
    BOTH(by)
    {
        stream_wait_end(p[by].client);
        assert_int_equal(p[by].client->end.code, ERR_CLOSED);
        pair_close(&p[by]);
    }
    unsigned former = s->leader;
    s->leader = kit_leader(s->kit);
    client_close(s->agent);
    register_agent(s);
    client_close(s->client[0]);
    client_close(s->client[1]);
    s->client[0] = client_admin(s->kit, s->leader);
    s->client[1] = client_admin(s->kit, 3 - former - s->leader);
    BOTH(by)
    {
        p[by] = pair_open(s, by, "exec", EXEC);
        pair_close(&p[by]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logs_arrive_whole_and_in_order),
        cmocka_unit_test(test_exec_goes_both_ways),
        cmocka_unit_test(test_a_slow_reader_slows_the_writer),
        cmocka_unit_test(test_what_was_sent_before_the_end_comes_before_it),
        cmocka_unit_test(test_the_agents_refusal_reaches_the_client),
        cmocka_unit_test(test_a_client_that_cancels_ends_the_agents_stream),
        cmocka_unit_test(test_a_client_that_goes_away_ends_the_agents_stream),
        cmocka_unit_test(test_a_client_that_ends_before_the_agent_answers),
        cmocka_unit_test(test_an_agent_that_goes_away_ends_the_clients_streams),
        cmocka_unit_test(test_streams_to_nowhere_are_refused_with_the_reason),
        cmocka_unit_test(test_images_are_asked_of_the_node),
        cmocka_unit_test(test_a_leader_that_dies_ends_the_streams),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
