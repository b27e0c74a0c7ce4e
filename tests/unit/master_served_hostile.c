/* Nodes that are served by a master which does not lead, and tell it what breaks the connection between masters if it
 * is handed on as it stands. */
#include "tests/unit/kit/master_kit.h"

#define MASTERS 3

struct state {
    struct kit *kit;
    unsigned leader;
};

static int set_up(void **state)
{
    struct state *s = xcalloc(1, sizeof *s);
    static const char *const args[] = {
        "--election-timeout", "1000", "--raft-heartbeat", "100", "--snapshot-entries", "4", NULL};
    s->kit = kit_three(args);
    s->leader = kit_leader(s->kit);
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

#define NODE "{apiVersion: v1, kind: Node, metadata: {name: %s}, status: {conditions: [{type: Ready, status: 'True'}]}}"

/* A node that is registered over master `by`. */
static struct client *instance_open(struct state *s, unsigned by, const char *name, const char *instance)
{
    struct client *c = client_as(s->kit, by, PKI_ROLE_NODE, name);
    int64_t until = kit_now() + KIT_WAIT_MS;
    while (call(c, "node.register", "{instance: %s, anyMaster: true, node: " NODE "}", instance, name) != 0) {
        assert_true(kit_now() < until);
        kit_turn(s->kit, 50);
    }
    return c;
}

static struct client *node_open(struct state *s, unsigned by, const char *name)
{
    return instance_open(s, by, name, "a1-1-1");
}

static int64_t counter(struct client *c, const char *name)
{
    char path[80];
    must(c, "cluster", "{}");
    snprintf(path, sizeof path, "stats.%s", name);
    return int_at(c, path);
}

/* [[[...]]], so many around each other. */
static void write_deep(struct buf *b, unsigned depth)
{
    for (unsigned i = 0; i < depth; i++) {
        mp_write_array(b, i + 1 < depth);
    }
}

static void test_a_report_as_deep_as_may_be_harms_nobody_else(void **state)
{
    struct state *s = *state;
    unsigned by = (s->leader + 1) % MASTERS;
    struct client *bad = node_open(s, by, "bad"), *good = node_open(s, by, "good"), *admin = client_admin(s->kit, by);
    int64_t sent = counter(admin, "batchesSent");
    unsigned too_deep = 0, taken = 0;
    for (unsigned depth = 55; depth < 68; depth++) {
        CLEANUP_BUF struct buf deep = BUF_INIT;
        CLEANUP_BUF struct buf node = BUF_INIT;
        CLEANUP_BUF struct buf ok = BUF_INIT;
        struct answer answers[3] = {0};
        mp_write_map(&deep, 2);
        mp_write_key_str(&deep, "name", STR("bad"));
        mp_write_cstr(&deep, "pods");
        write_deep(&deep, depth);
        mp_write_map(&node, 1);
        mp_write_cstr(&node, "node");
        write_deep(&node, depth);
        mp_write_map(&ok, 2);
        mp_write_key_str(&ok, "name", STR("good"));
        mp_write_cstr(&ok, "pods");
        mp_write_array(&ok, 0);
        if (bad->rpc == NULL) { /* what is too deep for anybody ended its own connection */
            client_close(bad);
            bad = node_open(s, by, "bad");
        }
        rpc_call(bad->rpc, "node.status", buf_str(&deep), 0, take_answer, &answers[0]);
        rpc_call(bad->rpc, "node.register", buf_str(&node), 0, take_answer, &answers[1]); /* handed on alone */
        rpc_call(good->rpc, "node.status", buf_str(&ok), 0, take_answer, &answers[2]);
        for (unsigned i = 0; i < ARRAY_SIZE(answers); i++) {
            kit_until(s->kit, &answers[i].done, "an answer");
        }
        assert_int_equal(answers[2].err.code, 0);
        too_deep += answers[0].err.code == ERR_CLOSED;
        taken += answers[0].err.code == 0;
    }
    assert_true(too_deep > 0 && taken > 0); /* both sides of the border were tried */
    assert_true(counter(admin, "batchesSent") > sent);
    client_close(bad);
    client_close(good);
    client_close(admin);
}

static void write_padded(struct buf *b, bool report)
{
    static const char padding[1 << 20];
    mp_write_map(b, 1 + report);
    if (report) {
        mp_write_key_str(b, "name", STR("flood"));
    }
    mp_write_key_str(b, report ? "pods" : "node", (struct str){padding, sizeof padding});
}

static void test_more_than_a_node_may_write_does_not_go_to_the_leader(void **state)
{
    struct state *s = *state;
    unsigned by = (s->leader + 1) % MASTERS;
    struct client *bad = node_open(s, by, "flood"), *admin = client_admin(s->kit, by);
    static const char *const methods[] = {"node.status", "node.register"};
    for (unsigned i = 0; i < ARRAY_SIZE(methods); i++) {
        int64_t refused = counter(admin, "nodesOverRate");
        CLEANUP_BUF struct buf b = BUF_INIT;
        struct answer answer = {0};
        write_padded(&b, i == 0);
        /* ERR_BUSY may come from a leader that has much to do as well: it is the count that tells who refused. */
        for (int64_t until = kit_now() + KIT_WAIT_MS; counter(admin, "nodesOverRate") == refused;) {
            assert_true(kit_now() < until);
            answer = (struct answer){0};
            rpc_call(bad->rpc, methods[i], buf_str(&b), 0, take_answer, &answer);
            kit_until(s->kit, &answer.done, "an answer");
        }
        assert_int_equal(answer.err.code, ERR_BUSY);
    }
    client_close(bad);
    client_close(admin);
}

static void write_much(struct client *admin, const char *name)
{
    CLEANUP_FREE char *text = xcalloc(1, 700001);
    memset(text, 'x', 700000);
    for (unsigned i = 0; i < 16; i++) {
        must(admin, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: %s%u}, data: {text: %s}}}",
             name, i, text);
    }
}

/* It gets a snapshot and does not see the change that took the name away. */
static void test_who_was_replaced_while_its_master_stood_still_is_let_go(void **state)
{
    struct state *s = *state;
    s->leader = kit_leader(s->kit);
    unsigned by = (s->leader + 1) % MASTERS, other = 3 - by - s->leader;
    struct client *former = instance_open(s, by, "twin", "b1-1-1"), *moved = node_open(s, by, "moved");
    struct stream *pods[] = {stream_open(former, "node.pods", "{name: twin}"),
                             stream_open(moved, "node.pods", "{name: moved}")};
    struct client *admin = client_admin(s->kit, s->leader);
    kit_freeze(s->kit, by);
    write_much(admin, "before"); /* more than connections hold: what comes now is not on its way to the frozen one */
    struct client *next = instance_open(s, other, "twin", "b1-2-2"), *elsewhere = node_open(s, other, "moved");
    write_much(admin, "after"); /* more than the log keeps */
    kit_thaw_all(s->kit);
    for (unsigned i = 0; i < ARRAY_SIZE(pods); i++) {
        stream_wait_end(pods[i]);
        stream_close(pods[i]);
    }
    struct client *there = client_admin(s->kit, by);
    assert_true(counter(there, "restores") > 0);
    for (int64_t until = kit_now() + KIT_WAIT_MS; former->rpc != NULL; kit_turn(s->kit, 20)) {
        assert_true(kit_now() < until);
    }
    assert_non_null(moved->rpc); /* this one may come back */
    client_close(former);
    client_close(moved);
    client_close(next);
    client_close(elsewhere);
    client_close(there);
    client_close(admin);
}

static int thaw(void **state)
{
    struct state *s = *state;
    kit_thaw_all(s->kit);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_report_as_deep_as_may_be_harms_nobody_else),
        cmocka_unit_test(test_more_than_a_node_may_write_does_not_go_to_the_leader),
        cmocka_unit_test_teardown(test_who_was_replaced_while_its_master_stood_still_is_let_go, thaw),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
