/* Requests that are meant to stop masters: three of them, real ones, are all there afterwards and go on writing.
 *
 * Each request goes to every master in turn, as rctl would repeat it to the next leader if one had died of it. */
#include "tests/unit/kit/master_kit.h"

static int set_up(void **state)
{
    *state = kit_three(NULL);
    return 0;
}

static int tear_down(void **state)
{
    kit_free(*state); /* a master that has ended by itself fails the test here */
    return 0;
}

static const char *letters(struct kit *k, size_t n)
{
    char *s = arena_alloc(&k->arena, n + 1);
    memset(s, 'd', n);
    s[n] = '\0';
    return s;
}

static void all_masters_live_and_write(struct kit *k)
{
    static unsigned n;
    for (unsigned i = 0; i < k->masters_count; i++) {
        assert_int_equal(kill(k->masters[i].pid, 0), 0);
        struct client *c = client_admin(k, i);
        must(c, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: after-%u}}}", n++);
        client_close(c);
    }
}

#define TEMPLATE                                                                                                       \
    "selector: {matchLabels: {app: x}}, template: {metadata: {labels: {app: x}}, spec: {containers: [{name: c, "       \
    "image: i}]}}"

/* The name of its ReplicaSet would have 256 characters. */
static void test_a_deployment_with_a_name_of_245_is_told_why_it_makes_nothing(void **state)
{
    struct kit *k = *state;
    const char *name = letters(k, 245);
    for (unsigned i = 0; i < k->masters_count; i++) {
        struct client *c = client_admin(k, i);
        must(c, "apply",
             "{objects: [{apiVersion: apps/v1, kind: Deployment, metadata: {name: %s}, spec: {replicas: %u, " TEMPLATE
             "}}]}",
             name, i);
        for (int64_t until = kit_now() + KIT_WAIT_MS;;) {
            must(c, "get", "{kind: Deployment, name: %s}", name);
            const struct value *failure =
                value_find(value_path(c->result, "object.status.conditions"), "type", STR("ReplicaFailure"));
            if (str_is(value_path_str(failure, "status"), "True")) {
                assert_non_null(strstr(value_text(k, failure, "message"), "256 characters"));
                break;
            }
            assert_true(kit_now() < until);
            kit_turn(k, 20);
        }
        client_close(c);
        all_masters_live_and_write(k);
    }
}

static void test_names_of_others_that_are_too_long_are_refused(void **state)
{
    struct kit *k = *state;
    const char *name = letters(k, 300);
    for (unsigned i = 0; i < k->masters_count; i++) {
        struct client *c = client_admin(k, i);
        static const char *const methods[] = {"create", "apply"};
        for (unsigned m = 0; m < 2; m++) {
            refused(c, ERR_INVALID, "metadata.ownerReferences[0].name", methods[m],
                    m == 0
                        ? "{object: {apiVersion: v1, kind: Pod, metadata: {name: p, ownerReferences: [{apiVersion: "
                          "apps/v1, kind: ReplicaSet, name: %s, uid: u, controller: true}]}, spec: {containers: "
                          "[{name: c, image: i}]}}}"
                        : "{objects: [{apiVersion: v1, kind: Pod, metadata: {name: p, ownerReferences: [{apiVersion: "
                          "apps/v1, kind: ReplicaSet, name: %s, uid: u, controller: true}]}, spec: {containers: "
                          "[{name: c, image: i}]}}]}",
                    name);
        }
        refused(c, ERR_INVALID, "nodeName", "create",
                "{object: {apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {nodeName: %s, containers: [{name: c, "
                "image: i}]}}}",
                name);
        refused(
            c, ERR_INVALID, "involvedObject.name", "create",
            "{object: {apiVersion: v1, kind: Event, metadata: {name: e}, involvedObject: {namespace: default, name: "
            "%s}}}",
            name);
        client_close(c);
        all_masters_live_and_write(k);
    }
}

/* What nodes say is judged as well: types that do not fit, names of others, and more than belongs there. */
static void test_hostile_words_of_a_node_stop_nothing(void **state)
{
    struct kit *k = *state;
    struct client *c = client_as(k, kit_leader(k), PKI_ROLE_NODE, "n1");
    const char *name = letters(k, 300);
    static const char *const registrations[] = {
        "{node: {apiVersion: v1, kind: Node, metadata: {name: n1, labels: [a, b, c]}, spec: 7, status: []}}",
        "{node: {apiVersion: v1, kind: Node, metadata: {name: n1}, status: {conditions: {a: b}}}}",
        "{node: {apiVersion: v1, kind: Node, metadata: {name: n1}, status: {capacity: [1]}}}",
    };
    for (unsigned i = 0; i < ARRAY_SIZE(registrations); i++) {
        refused(c, ERR_INVALID, NULL, "node.register", "%s", registrations[i]);
    }
    must(c, "node.register",
         "{node: {apiVersion: v1, kind: Node, metadata: {name: n1}, status: {capacity: {cpu: '4'}}}}");
    for (unsigned i = 0; i < ARRAY_SIZE(registrations); i++) {
        refused(c, ERR_INVALID, NULL, "node.register", "%s", registrations[i]);
    }
    struct client *admin = client_admin(k, kit_leader(k));
    must(admin, "create",
         "{object: {apiVersion: v1, kind: Pod, metadata: {name: q}, spec: {nodeName: n1, containers: [{name: c, image: "
         "i}]}}}");
    const char *uid = text_at(admin, "object.metadata.uid");
    static const char *const statuses[] = {"{conditions: {a: b}}", "{conditions: [1, {type: 7}, [x]]}",
                                           "{phase: [x], containerStatuses: {a: {b: c}}}", "{conditions: no}"};
    for (unsigned i = 0; i < ARRAY_SIZE(statuses); i++) {
        must(c, "node.status", "{name: n1, pods: [{namespace: default, name: q, uid: %s, status: %s}]}", uid,
             statuses[i]);
    }
    must(c, "node.events",
         "{name: n1, events: [{involvedObject: {kind: Pod, namespace: default, name: %s}, reason: R, message: M}, 7, "
         "{involvedObject: [x]}, {metadata: 7, involvedObject: {kind: Pod, namespace: default, name: q}, reason: R}]}",
         name);
    refused(c, ERR_FORBIDDEN, NULL, "node.status", "{name: n2, pods: []}");
    refused(admin, ERR_USAGE, "node's name", "node.status", "{name: %s, pods: []}", name);
    client_close(c);
    client_close(admin);
    all_masters_live_and_write(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_deployment_with_a_name_of_245_is_told_why_it_makes_nothing),
        cmocka_unit_test(test_names_of_others_that_are_too_long_are_refused),
        cmocka_unit_test(test_hostile_words_of_a_node_stop_nothing),
    };
    return KIT_RUN(tests, set_up, tear_down);
}
