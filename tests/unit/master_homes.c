/* Real agents (hollow: no processes) and three masters: nodes spread over the masters, and go on when any of them dies,
 * stands still or comes back. */
#include "tests/unit/master_streams.h"

#define NODES 12

static struct client *admin(struct state *s, unsigned i)
{
    struct client *c = client_admin(s->kit, i);
    for (int64_t until = kit_now() + KIT_WAIT_MS; call(c, "hello", "{}") != 0;) { /* it may just start */
        assert_true(kit_now() < until);
        client_close(c);
        kit_turn(s->kit, 50);
        c = client_admin(s->kit, i);
    }
    return c;
}

static int nodes_set_up(void **state)
{
    static const char *const args[] = {"--node-grace", "10", "--heartbeat", "1", NULL};
    struct state *s = xcalloc(1, sizeof *s);
    s->kit = kit_three(args);
    s->leader = kit_leader(s->kit);
    struct client *c = admin(s, s->leader);
    must(c, "token", "{role: node, uses: %d}", NODES);
    const char *token = text_at(c, "token");
    char nodes[8];
    snprintf(nodes, sizeof nodes, "%d", NODES);
    snprintf(s->agent_dir, sizeof s->agent_dir, "%s/nodes", s->kit->dir);
    const char *const join[] = {"reeve-agent",
                                "join",
                                "--dir",
                                s->agent_dir,
                                "--name",
                                "n",
                                "--token",
                                token,
                                "--hollow-nodes",
                                nodes,
                                s->kit->masters[0].addr,
                                NULL};
    struct proc joining = start(s, join, false);
    assert_int_equal(finish(s, &joining, 0), 0);
    const char *const run[] = {"reeve-agent",    "run", "--dir", s->agent_dir, "--runtime", "hollow",
                               "--hollow-nodes", nodes, NULL};
    s->agent = start(s, run, false);
    client_close(c);
    *state = s;
    return 0;
}

static int nodes_tear_down(void **state)
{
    struct state *s = *state;
    kit_thaw_all(s->kit);
    end_procs();
    kit_free(s->kit);
    free(s);
    return 0;
}

/* How many nodes name each master. */
static void count_served(struct client *c, unsigned at[MASTERS])
{
    memset(at, 0, MASTERS * sizeof *at);
    if (call(c, "list", "{kind: Node}") != 0) {
        return; /* an election */
    }
    const struct value *items = value_get(c->result, "items");
    VALUE_FOR(i, items)
    {
        struct str by =
            value_to_str(value_get(value_path(value_item(items, i), "metadata.annotations"), "reeve.io/served-by"));
        if (by.n == 1 && by.p[0] >= '1' && by.p[0] < '1' + MASTERS) {
            at[by.p[0] - '1']++;
        }
    }
}

/* Some of the nodes at each of these masters, none elsewhere. */
static bool spread_over(struct client *c, const bool *masters)
{
    unsigned at[MASTERS], all = 0;
    bool right = true;
    count_served(c, at);
    for (unsigned i = 0; i < MASTERS; i++) {
        right = right && (masters[i] ? at[i] > 0 : at[i] == 0);
        all += at[i];
    }
    return right && all == NODES;
}

/* A pod on each node, which its agent reports. */
static void run_everywhere(struct state *s, struct client *c, const char *round)
{
    for (unsigned i = 0; i < NODES; i++) {
        must(c, "create",
             "{object: {apiVersion: v1, kind: Pod, metadata: {name: %s-%u, labels: {round: %s}}, spec: {nodeName: "
             "n-%u, terminationGracePeriodSeconds: 0, containers: [{name: c, image: 'busybox:1'}]}}}",
             round, i, round, i);
    }
    unsigned running = 0;
    for (int64_t until = kit_now() + 2 * KIT_WAIT_MS; running < NODES; turn(s)) {
        assert_true(kit_now() < until);
        running = 0;
        if (call(c, "list", "{kind: Pod, namespace: default, labelSelector: round=%s}", round) != 0) {
            continue;
        }
        const struct value *items = value_get(c->result, "items");
        VALUE_FOR(i, items)
        {
            running += str_is(value_path_str(value_item(items, i), "status.phase"), "Running");
        }
    }
    must(c, "deletecollection", "{kind: Pod, namespace: default, labelSelector: round=%s}", round);
    wait_for(s, "the pods' end",
             call(c, "list", "{kind: Pod, namespace: default}") == 0 &&
                 value_count(value_get(c->result, "items")) == 0);
}

static void test_nodes_spread_and_go_on_whoever_dies(void **state)
{
    struct state *s = *state;
    static const bool all[MASTERS] = {true, true, true};
    s->leader = kit_leader(s->kit);
    struct client *c = admin(s, s->leader);
    wait_for(s, "nodes at each master", spread_over(c, all));
    run_everywhere(s, c, "first");
    /* A follower. */
    unsigned dead = (s->leader + 1) % MASTERS;
    bool left[MASTERS] = {true, true, true};
    left[dead] = false;
    kit_stop(s->kit, dead, SIGKILL);
    wait_for(s, "its nodes at the others", spread_over(c, left));
    run_everywhere(s, c, "follower");
    kit_start(s->kit, dead);
    wait_for(s, "its nodes' return", spread_over(c, all));
    run_everywhere(s, c, "back");
    client_close(c);
    /* The leader. */
    s->leader = kit_leader(s->kit);
    unsigned former = s->leader;
    left[dead] = true;
    left[former] = false;
    kit_stop(s->kit, former, SIGKILL);
    s->leader = kit_leader(s->kit);
    c = admin(s, s->leader);
    wait_for(s, "the former leader's nodes at the others", spread_over(c, left));
    run_everywhere(s, c, "leader");
    kit_start(s->kit, former);
    wait_for(s, "the former leader's nodes' return", spread_over(c, all));
    client_close(c);
}

static void test_nodes_go_on_while_a_master_stands_still(void **state)
{
    struct state *s = *state;
    static const bool all[MASTERS] = {true, true, true};
    for (unsigned round = 0; round < 2; round++) {
        s->leader = kit_leader(s->kit);
        unsigned still = round == 0 ? (s->leader + 1) % MASTERS : s->leader;
        struct client *c = admin(s, (still + 1) % MASTERS);
        bool left[MASTERS] = {true, true, true};
        wait_for(s, "nodes at each master", spread_over(c, all));
        left[still] = false;
        kit_freeze(s->kit, still);
        wait_for(s, "its nodes at the others", spread_over(c, left));
        run_everywhere(s, c, round == 0 ? "still" : "leaderstill");
        kit_thaw_all(s->kit);
        wait_for(s, "its nodes' return", spread_over(c, all));
        client_close(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nodes_spread_and_go_on_whoever_dies),
        cmocka_unit_test(test_nodes_go_on_while_a_master_stands_still),
    };
    return cmocka_run_group_tests(tests, nodes_set_up, nodes_tear_down);
}
