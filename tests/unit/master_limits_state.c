/* A state that fills up: a warning from 80 %, refusal at the bound, and a way back; every master holds the same,
 * whatever its own bound is. */
#include "master/master.h"
#include "tests/unit/kit/master_kit.h"

/* Room for what a cluster makes for itself (roles, namespaces, accounts), and some more. */
#define MOST "100"
static const char *const few_objects[] = {"--state-objects", MOST, NULL};
static const char *const few_bytes[] = {"--state-mb", "4", NULL};

static int tear_down(void **state)
{
    kit_free(*state);
    return 0;
}

static int set_up_objects(void **state)
{
    *state = kit_one(few_objects);
    return 0;
}

static int set_up_bytes(void **state)
{
    *state = kit_one(few_bytes);
    return 0;
}

static int set_up_three(void **state)
{
    *state = kit_three(few_objects);
    return 0;
}

static int create(struct client *c, unsigned i)
{
    return call(c, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: c%u}}}", i);
}

/* Until it is refused; the number that were made. *warned: from which one on there was a warning. */
static unsigned fill(struct client *c, unsigned *warned)
{
    *warned = 0;
    for (unsigned i = 0; i < 200; i++) {
        if (create(c, i) != 0) {
            return i;
        }
        if (*warned == 0 && value_count(value_get(c->result, "warnings")) > 0) {
            *warned = i;
        }
    }
    fail_msg("nothing was refused");
    return 0;
}

static void objects_are_refused_at_the_bound_and_deletes_make_room(void **state)
{
    struct kit *k = *state;
    struct client *c = client_admin(k, 0), *node = client_as(k, 0, PKI_ROLE_NODE, "n1");
    must(c, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: own}, data: {x: long text}}}");
    must(node, "node.register", "{node: {apiVersion: v1, kind: Node, metadata: {name: n1}}}");
    unsigned warned, made = fill(c, &warned);
    assert_int_equal(c->err.code, ERR_LIMIT);
    assert_non_null(
        strstr(c->err.message, "the cluster's state is full: " MOST " objects, at most " MOST " (stateObjects in the"));
    assert_true(warned > 0 && warned < made);
    must(c, "cluster", "{}");
    assert_int_equal(int_at(c, "state.objects"), atoi(MOST));
    assert_int_equal(int_at(c, "state.percent"), 100);
    assert_true(int_at(c, "stats.refusedState") >= 1); /* controllers may have been, too */
    assert_non_null(strstr(text_at(c, "state.warning"), MOST " of " MOST " objects"));
    /* What exists goes on; what gets no larger as well. */
    must(node, "node.status", "{name: n1, pods: []}");
    must(node, "node.register", "{node: {apiVersion: v1, kind: Node, metadata: {name: n1}}}");
    must(c, "patch", "{kind: ConfigMap, name: own, type: merge, patch: {data: {x: short}}}");
    refused(c, ERR_LIMIT, "the cluster's state is full", "patch",
            "{kind: ConfigMap, name: own, type: merge, patch: {data: {x: a very long text instead of a short one}}}");
    refused(c, ERR_LIMIT, "the cluster's state is full", "apply",
            "{objects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: more}}]}");
    must(c, "token", "{role: node}"); /* a node can be replaced */
    unsigned gone = 0;
    int rv;
    do { /* what the cluster had not made for itself yet takes room as well */
        assert_true(gone < made);
        must(c, "delete", "{kind: ConfigMap, name: c%u}", gone++);
        rv = create(c, made + gone);
    } while (rv != 0 && c->err.code == ERR_LIMIT);
    assert_int_equal(rv, 0);
    client_close(c);
    client_close(node);
}

/* A Deployment cannot fill what users may not: its pods are refused, and it can be taken away. */
static void controllers_stop_at_the_bound_too(void **state)
{
    struct kit *k = *state;
    struct client *c = client_admin(k, 0);
    must(c, "create",
         "{object: {apiVersion: apps/v1, kind: Deployment, metadata: {name: huge}, spec: {replicas: 100000, selector: "
         "{matchLabels: {app: x}}, template: {metadata: {labels: {app: x}}, spec: {containers: [{name: c, image: "
         "i}]}}}}}");
    for (int64_t until = kit_now() + 3 * KIT_WAIT_MS;; assert_true(kit_now() < until)) {
        must(c, "cluster", "{}");
        if (int_at(c, "stats.refusedState") > 0) {
            break;
        }
    }
    must(c, "cluster", "{}");
    assert_true(int_at(c, "state.objects") < atoi(MOST) + (int64_t)TXN_OPS_MAX);
    must(c, "delete", "{kind: Deployment, name: huge}");
    for (int64_t until = kit_now() + 3 * KIT_WAIT_MS;; assert_true(kit_now() < until)) {
        must(c, "list", "{kind: Pod}");
        if (value_count(value_get(c->result, "items")) == 0) {
            break;
        }
    }
    assert_int_equal(create(c, 0), 0);
    client_close(c);
}

static void bytes_are_bounded_as_well(void **state)
{
    enum { SIZE = 300000 };
    struct kit *k = *state;
    struct client *c = client_admin(k, 0);
    CLEANUP_FREE char *text = xcalloc(1, SIZE + 1);
    memset(text, 'x', SIZE);
    unsigned made = 0;
    while (call(c, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: b%u}, data: {x: %s}}}", made,
                text) == 0) {
        assert_true(++made < 100);
    }
    assert_int_equal(c->err.code, ERR_LIMIT);
    assert_non_null(strstr(c->err.message, "at most 4194304 (stateMegabytes in the masters' master.yaml)"));
    must(c, "cluster", "{}");
    assert_in_range(int_at(c, "state.bytes"), 4 << 20, (4 << 20) + SIZE + 4096);
    must(c, "delete", "{kind: ConfigMap, name: b0}");
    assert_int_equal(create(c, 0), 0);
    client_close(c);
}

/* A follower whose own bound is lower holds what the leader took in; leading, it takes nothing more. */
static void the_leader_decides_and_all_hold_the_same(void **state)
{
    struct kit *k = *state;
    unsigned leader = kit_leader(k), warned, to = (leader + 1) % 3;
    struct client *c = client_admin(k, leader), *other = client_admin(k, to);
    fill(c, &warned);
    refused(other, ERR_LIMIT, "the cluster's state is full", "create",
            "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: x}}}");
    for (int64_t until = kit_now() + KIT_WAIT_MS; kit_leader(k) != to; assert_true(kit_now() < until)) {
        call(c, "master.transfer", "{id: %u}", to + 1); /* beside much other work it is not taken over in time */
    }
    refused(other, ERR_LIMIT, "the cluster's state is full", "create",
            "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: x}}}");
    must(other, "delete", "{kind: ConfigMap, name: c0}");
    must(other, "cluster", "{}");
    CLEANUP_FREE char *hash = xstrdup(text_at(other, "stateHash"));
    int64_t revision = int_at(other, "revision");
    for (int64_t until = kit_now() + KIT_WAIT_MS;; assert_true(kit_now() < until)) {
        must(c, "cluster", "{}");
        if (int_at(c, "revision") == revision) {
            break;
        }
        must(other, "cluster", "{}");
        revision = int_at(other, "revision");
        free(hash);
        hash = xstrdup(text_at(other, "stateHash"));
    }
    assert_string_equal(text_at(c, "stateHash"), hash);
    client_close(c);
    client_close(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(objects_are_refused_at_the_bound_and_deletes_make_room, set_up_objects,
                                        tear_down),
        cmocka_unit_test_setup_teardown(controllers_stop_at_the_bound_too, set_up_objects, tear_down),
        cmocka_unit_test_setup_teardown(bytes_are_bounded_as_well, set_up_bytes, tear_down),
        cmocka_unit_test_setup_teardown(the_leader_decides_and_all_hold_the_same, set_up_three, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
