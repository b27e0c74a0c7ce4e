/* rctl exec and port-forward while the master that they lead over is killed, again and again: every byte once, in
 * order, both ways. */
#include "tests/unit/master_streams.h"

#define EXEC_BYTES 6000000u
#define PORT_BYTES 3000000u

static char byte_at(size_t i)
{
    return (char)('a' + (i * 2654435761u >> 11) % 26);
}

static size_t fill(char *out, size_t n, size_t from)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = byte_at(from + i);
    }
    return n;
}

static unsigned times(const char *path, const char *text)
{
    CLEANUP_FREE char *all = text_of(path);
    unsigned n = 0;
    for (const char *at = all; (at = strstr(at, text)) != NULL; at++) {
        n++;
    }
    return n;
}

static unsigned resumed(const struct state *s)
{
    return times(s->agent.err, "goes on over another connection");
}

/* Kills it, and starts it when the others have had their time. */
static void kill_and_start(struct state *s, unsigned i)
{
    kit_stop(s->kit, i, SIGKILL);
    pass(s, 700);
    unsigned links = times(s->agent.err, arena_printf(&s->kit->arena, "%s is linked", s->kit->masters[i].addr));
    kit_start(s->kit, i);
    wait_for(s, "the master's link to the node",
             times(s->agent.err, arena_printf(&s->kit->arena, "%s is linked", s->kit->masters[i].addr)) > links);
    s->leader = kit_leader(s->kit);
}

static void test_input_and_output_of_exec_go_on_whichever_master_is_killed(void **state)
{
    struct state *s = *state;
    unsigned before = resumed(s);
    struct proc p = cat(s, MASTERS);
    size_t sent = 0, next_kill = EXEC_BYTES / 8;
    unsigned kills = 0;
    fcntl(p.input, F_SETFL, O_NONBLOCK);
    for (int64_t until = kit_now() + 5 * KIT_WAIT_MS; sent < EXEC_BYTES; turn(s)) {
        char part[20000];
        size_t n = MIN(sizeof part, EXEC_BYTES - sent);
        ssize_t took = write(p.input, part, fill(part, n, sent));
        sent += took > 0 ? (size_t)took : 0;
        assert_true(kit_now() < until);
        if (sent >= next_kill &&
            kills < 2 * MASTERS) { /* in the middle of it: each of them, so the one that serves as well */
            kill_and_start(s, kills++ % MASTERS);
            next_kill += EXEC_BYTES / 8;
        }
    }
    assert_int_equal(finish(s, &p, 0), 0);
    CLEANUP_FREE char *all = text_of(p.out);
    assert_int_equal(strlen(all), EXEC_BYTES);
    for (size_t i = 0; i < EXEC_BYTES; i++) {
        if (all[i] != byte_at(i)) {
            fail_msg("byte %zu is another one", i);
        }
    }
    print_message("%u masters killed, resumed %u times\n", kills, resumed(s) - before);
    assert_true(resumed(s) - before >= 2);
}

static void test_a_command_that_is_typed_to_goes_on_when_all_masters_are_killed(void **state)
{
    struct state *s = *state;
    struct proc p = cat(s, MASTERS);
    CLEANUP_BUF struct buf want = BUF_INIT;
    for (unsigned i = 0; i < 3; i++) {
        echo_line(s, &p, i);
        buf_printf(&want, "echo %u\n", i);
    }
    for (unsigned i = 0; i < MASTERS; i++) {
        kit_stop(s->kit, i, SIGKILL);
    }
    assert_int_equal(write(p.input, "meanwhile\n", 10), 10);
    buf_puts(&want, "meanwhile\n");
    wait_for(s, "a word about what is waited for", says(p.err, "waiting: the connection was cut"));
    for (unsigned i = 0; i < MASTERS; i++) {
        kit_start(s->kit, i);
    }
    wait_for(s, "what was typed meanwhile", says(p.out, "meanwhile\n"));
    echo_line(s, &p, 7);
    buf_puts(&want, "echo 7\n");
    assert_int_equal(finish(s, &p, 0), 0);
    CLEANUP_FREE char *all = text_of(p.out);
    assert_string_equal(all, buf_cstr(&want));
    assert_int_equal(times(p.err, "waiting: the connection was cut"), 1);
    s->leader = kit_leader(s->kit);
}

static struct proc forward_to(struct state *s, unsigned port)
{
    const char *remote = arena_printf(&s->kit->arena, ":%u", port);
    return start(s, (const char *[]){"rctl", "--config", s->config[MASTERS], "port-forward", "p", remote, NULL}, false);
}

static void test_forwarded_connections_go_on_and_new_ones_wait(void **state)
{
    struct state *s = *state;
    uv_tcp_t echo;
    struct proc forward = forward_to(s, echo_listen(s, &echo));
    unsigned before = resumed(s), kills = 0;
    int fd = dial(s, &forward), idle = dial(s, &forward);
    size_t sent = 0, got = 0, next_kill = PORT_BYTES / 5;
    through(s, idle, 1);
    for (int64_t until = kit_now() + 5 * KIT_WAIT_MS; got < PORT_BYTES; turn(s)) {
        char part[16000];
        size_t n = MIN(sizeof part, PORT_BYTES - sent);
        ssize_t m = n == 0 ? 0 : send(fd, part, fill(part, n, sent), MSG_NOSIGNAL | MSG_DONTWAIT);
        sent += m > 0 ? (size_t)m : 0;
        while ((m = recv(fd, part, sizeof part, MSG_DONTWAIT)) > 0) {
            for (size_t i = 0; i < (size_t)m; i++) {
                assert_int_equal(part[i], byte_at(got + i));
            }
            got += (size_t)m;
        }
        assert_true(m != 0); /* it was closed */
        assert_true(kit_now() < until);
        if (sent >= next_kill && kills < MASTERS) {
            kill_and_start(s, kills++);
            next_kill += PORT_BYTES / 5;
        }
    }
    assert_true(resumed(s) - before >= 2); /* both connections, at least once */
    through(s, idle, 2);
    for (unsigned i = 0; i < MASTERS; i++) {
        kit_stop(s->kit, i, SIGKILL);
    }
    int late = dial(s, &forward);
    wait_for(s, "a word about what is waited for", says(forward.err, "waiting: "));
    for (unsigned i = 0; i < MASTERS; i++) {
        kit_start(s->kit, i);
    }
    through(s, late, 3);
    through(s, idle, 4);
    s->leader = kit_leader(s->kit);
    /* Without the agent there is nothing to go on with: the connection is closed, and it is said why. */
    finish(s, &s->agent, SIGKILL);
    run_agent(s);
    char c;
    wait_for(s, "the end of a connection", recv(idle, &c, 1, MSG_DONTWAIT) == 0);
    wait_for(s, "the reason", says(forward.err, "cut and cannot go on"));
    close(fd);
    close(idle);
    close(late);
    finish(s, &forward, SIGTERM);
    uv_close((uv_handle_t *)&echo, NULL);
    kit_turn(s->kit, 1);
    wait_for(s, "the pod to run", strcmp(phase(s), "Running") == 0);
}

static void test_a_command_ends_at_once_with_its_client(void **state)
{
    struct state *s = *state;
    static const int signals[] = {SIGKILL, SIGTERM};
    for (unsigned i = 0; i < ARRAY_SIZE(signals); i++) {
        unsigned gone = times(s->agent.err, "exec default/p: ended, because its client is gone");
        struct proc p = cat(s, MASTERS);
        echo_line(s, &p, i);
        kill(p.pid, signals[i]); /* with its input open: that is not what ends the command */
        wait_for(s, "the end of the command",
                 times(s->agent.err, "exec default/p: ended, because its client is gone") > gone);
        finish(s, &p, 0);
        assert_false(says(s->agent.err, "did not come back")); /* it did not wait for the client to return */
    }
}

/* ---- A node whose agent knows no channels ---- */

static struct rpc_request *asked;

static void on_request(struct client *a, struct rpc_request *r, struct str method, struct mp params)
{
    (void)a, (void)method, (void)params;
    asked = r;
}

static void test_an_agent_that_knows_no_channels_serves_as_ever(void **state)
{
    struct state *s = *state;
    s->leader = kit_leader(s->kit);
    struct client *admin = client_admin(s->kit, s->leader), *old = client_as(s->kit, s->leader, PKI_ROLE_NODE, "n2");
    old->on_request = on_request;
    must(old, "node.register",
         "{instance: a1-1-1, node: {apiVersion: v1, kind: Node, metadata: {name: n2}, status: {conditions: [{type: "
         "Ready, status: 'True'}]}}}");
    must(admin, "create",
         "{object: {apiVersion: v1, kind: Pod, metadata: {name: q}, spec: {nodeName: n2, containers: [{name: c, image: "
         "i}]}}}");
    struct proc p = start(
        s, (const char *[]){"rctl", "--config", s->config[s->leader], "exec", "-i", "q", "--", "cat", NULL}, true);
    wait_for(s, "the request", asked != NULL);
    struct stream *st = stream_accept(old, asked);
    fcntl(p.input, F_SETFL, O_NONBLOCK);
    size_t sent = 0;
    /* More than a window, while nothing comes back that could tell what the node knows. */
    wait_for(s, "the input to be taken", ({
                 char part[20000];
                 ssize_t n = write(p.input, part, fill(part, sizeof part, sent));
                 sent += n > 0 ? (size_t)n : 0;
                 sent >= 3 * RPC_STREAM_WINDOW;
             }));
    close(p.input);
    p.input = -1;
    wait_for(s, "all of the input", st->bytes > sent);
    stream_send(st, "{exit: 3}");
    stream_end(st, NULL);
    assert_int_equal(finish(s, &p, 0), 3);
    stream_close(st);
    client_close(old);
    client_close(admin);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_input_and_output_of_exec_go_on_whichever_master_is_killed),
        cmocka_unit_test(test_a_command_that_is_typed_to_goes_on_when_all_masters_are_killed),
        cmocka_unit_test(test_forwarded_connections_go_on_and_new_ones_wait),
        cmocka_unit_test(test_a_command_ends_at_once_with_its_client),
        cmocka_unit_test(test_an_agent_that_knows_no_channels_serves_as_ever),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
