/* Far more pods than the nodes can take: whoever asks meanwhile is answered, users and nodes alike, and scaling back
 * begins at once. */
#include "tests/unit/kit/master_kit.h"

static int set_up(void **state)
{
    *state = kit_one(NULL);
    return 0;
}

static int tear_down(void **state)
{
    kit_free(*state);
    return 0;
}

static int64_t pods_of(struct client *c)
{
    must(c, "get", "{kind: Deployment, name: huge}");
    return MAX(0, int_at(c, "object.status.replicas"));
}

static void replicas_set(struct client *c, int64_t n)
{
    must(c, "patch", "{kind: Deployment, name: huge, type: merge, part: scale, patch: {spec: {replicas: %lld}}}",
         (long long)n);
}

/* Asks until the node is within its own rate again: it asks as fast as it can, which no agent does. */
static void node_asks(struct client *node, const char *what, const char *params)
{
    for (int64_t until = kit_now() + KIT_WAIT_MS; call(node, what, "%s", params) != 0;) {
        if (node->err.code != ERR_BUSY || strstr(node->err.message, "nodeRequestsPerSecond") == NULL ||
            kit_now() > until) {
            fail_msg("%s: %s", what, node->err.message);
        }
        kit_turn(node->kit, 20);
    }
}

/* A user who writes and a node that registers and reports; nothing may be refused. */
static void others_go_on(struct client *user, struct client *node)
{
    static unsigned n;
    if (call(user, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: c%u}}}", n++) != 0) {
        fail_msg("a user's write: %s", user->err.message);
    }
    node_asks(node, "node.register",
              "{node: {apiVersion: v1, kind: Node, metadata: {name: n1}, status: {capacity: {cpu: '4', pods: '110'}, "
              "conditions: [{type: Ready, status: 'True'}]}}}");
    node_asks(node, "node.status", "{name: n1, pods: []}");
}

static void test_a_slip_of_the_hand_can_be_taken_back(void **state)
{
    struct kit *k = *state;
    struct client *c = client_admin(k, 0), *user = client_admin(k, 0);
    struct client *node = client_as(k, 0, PKI_ROLE_NODE, "n1");
    others_go_on(user, node);
    must(c, "create",
         "{object: {apiVersion: apps/v1, kind: Deployment, metadata: {name: huge}, spec: {replicas: 3, selector: "
         "{matchLabels: {app: x}}, template: {metadata: {labels: {app: x}}, spec: {containers: [{name: c, image: i, "
         "resources: {requests: {cpu: '1'}}}]}}}}}");
    replicas_set(c, INT32_MAX);
    int64_t until = kit_now() + 3 * KIT_WAIT_MS, most;
    while ((most = pods_of(c)) < 4000) {
        others_go_on(user, node);
        assert_true(kit_now() < until);
    }
    replicas_set(c, 3);
    /* What had been begun is finished; then it goes down only. */
    int64_t before = pods_of(c) + 2000, now;
    assert_true(before < most + 10000);
    for (until = kit_now() + 3 * KIT_WAIT_MS; (now = pods_of(c)) > 3;) {
        assert_true(now <= before);
        before = MIN(before, MAX(now, 4000));
        others_go_on(user, node);
        assert_true(kit_now() < until);
    }
    assert_int_equal(now, 3);
    must(c, "delete", "{kind: Deployment, name: huge}");
    client_close(c);
    client_close(user);
    client_close(node);
    char *log = kit_log(k, 0);
    assert_null(strstr(log, "refused"));
    free(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_slip_of_the_hand_can_be_taken_back),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
