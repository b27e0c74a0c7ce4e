/* rctl logs -f, exec, port-forward and image load, with real masters, a real agent (hollow: no processes) and real
 * rctl, while the leadership is given on, the leader is killed and the agent is started anew. What comes through is
 * counted line by line. */
#include "tests/unit/master_streams.h"

/* ---- Tests ---- */

static void test_streams_go_on_while_leaders_change_and_die(void **state)
{
    struct state *s = *state;
    unsigned dead = s->leader, kept = (dead + 1) % MASTERS, spare = 3 - dead - kept, n = 0;
    uv_tcp_t echo;
    unsigned port = echo_listen(s, &echo);
    const char *remote = arena_printf(&s->kit->arena, ":%u", port);
    struct proc logs[2] = {follow(s, MASTERS, "--tail=-1"), follow(s, kept, "--tail=-1")};
    struct proc commands[2] = {cat(s, kept), cat(s, dead)};
    struct proc forward =
        start(s, (const char *[]){"rctl", "--config", s->config[kept], "port-forward", "p", remote, NULL}, false);
    int fd = dial(s, &forward);
    struct proc watches[2];
    for (unsigned i = 0; i < 2; i++) {
        watches[i] = start(s,
                           (const char *[]){"rctl", "--config", s->config[i == 0 ? MASTERS : kept], "get", "configmaps",
                                            "-w", "-o", "name", NULL},
                           false);
    }
    unsigned made = 0;
    pass(s, 300);
    for (unsigned round = 0; round < 4; round++) {
        echo_line(s, &commands[0], n);
        echo_line(s, &commands[1], n);
        through(s, fd, n++);
        make_configmap(s, made++);
        transfer(s, round % 2 == 0 ? spare : round == 1 ? kept : dead);
        pass(s, 200);
    }
    transfer(s, dead);
    struct proc late = follow(s, dead, "--tail=0"); /* its only master dies: it goes on when that one is back */
    pass(s, 300);
    unsigned late_from = s->lines;
    wait_for(s, "the log", has_line(&logs[0], late_from - 1) && has_line(&logs[1], late_from - 1));
    pass(s, 300);
    kit_stop(s->kit, dead, SIGKILL);
    for (unsigned i = 0; i < 5; i++) { /* without a leader */
        echo_line(s, &commands[0], n);
        through(s, fd, n++);
    }
    s->leader = kit_leader(s->kit);
    make_configmap(s, made++);
    pass(s, 300);
    echo_line(s, &commands[0], n);
    through(s, fd, n++);
    int other = dial(s, &forward); /* and another connection */
    through(s, other, n++);
    close(other);
    close(fd);
    kit_start(s->kit, dead);
    echo_line(s, &commands[1], n); /* it knows no other master, and waited for that one */
    pass(s, 500);
    unsigned last = s->lines - 1;
    wait_for(s, "the whole log", has_line(&logs[0], last) && has_line(&logs[1], last) && has_line(&late, last));
    for (unsigned i = 0; i < 2; i++) {
        expect_lines(&logs[i], 0, last);
        assert_false(says(logs[i].err, "missing"));
        finish(s, &logs[i], SIGTERM);
    }
    CLEANUP_FREE char *all = text_of(late.out);
    unsigned first = 0;
    assert_int_equal(sscanf(all, "line %u", &first), 1);
    assert_true(first <= late_from);
    expect_lines(&late, first, last);
    finish(s, &late, SIGTERM);
    assert_int_equal(finish(s, &commands[0], 0), 0);
    assert_int_equal(finish(s, &commands[1], 0), 0);
    finish(s, &forward, SIGTERM);
    s->leader = kit_leader(s->kit);
    make_configmap(s, made++);
    for (unsigned i = 0; i < 2; i++) { /* each of them once, whoever led when it was made */
        char want[32];
        snprintf(want, sizeof want, "configmap/made-%u\n", made - 1);
        wait_for(s, "a watch", says(watches[i].out, want));
        CLEANUP_FREE char *told = text_of(watches[i].out);
        for (unsigned k = 0; k < made; k++) {
            snprintf(want, sizeof want, "configmap/made-%u\n", k);
            char *at = strstr(told, want);
            assert_non_null(at);
            assert_null(strstr(at + 1, want));
        }
        finish(s, &watches[i], SIGTERM);
    }
    uv_close((uv_handle_t *)&echo, NULL);
    kit_turn(s->kit, 1);
    s->leader = kit_leader(s->kit);
}

static void test_a_log_goes_on_over_restarts_of_the_agent(void **state)
{
    struct state *s = *state;
    unsigned from = s->lines;
    struct proc logs = follow(s, MASTERS, "--tail=0");
    struct proc command = cat(s, MASTERS);
    echo_line(s, &command, 1);
    pass(s, 300);
    wait_for(s, "the log", has_line(&logs, s->lines - 20));
    for (int round = 0; round < 2; round++) {
        finish(s, &s->agent, round == 0 ? SIGTERM : SIGKILL);
        pass(s, 500);
        run_agent(s);
        pass(s, 300);
        unsigned last = s->lines;
        wait_for(s, "the log", has_line(&logs, last));
    }
    CLEANUP_FREE char *all = text_of(logs.out);
    unsigned first = 0, last = s->lines;
    assert_int_equal(sscanf(all, "line %u", &first), 1);
    assert_true(first >= from);
    wait_for(s, "the log", has_line(&logs, last));
    expect_lines(&logs, first, last);
    assert_false(says(logs.err, "missing"));
    finish(s, &logs, SIGTERM);
    assert_int_equal(finish(s, &command, 0), 1);
    assert_true(says(command.err, "was cut before the command ended and cannot go on"));
    assert_true(says(command.err, "node n1 does not keep this stream: its agent was started again"));
    /* Whole logs are whole, too. */
    struct proc whole = start(s, (const char *[]){"rctl", "--config", s->config[MASTERS], "logs", "p", NULL}, false);
    assert_int_equal(finish(s, &whole, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams_go_on_while_leaders_change_and_die),
        cmocka_unit_test(test_a_log_goes_on_over_restarts_of_the_agent),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
