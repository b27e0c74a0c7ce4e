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

/* ---- What another master says ---- */

static int64_t bad_messages(struct client *c)
{
    must(c, "cluster", "{}");
    return int_at(c, "stats.badRaftMessages");
}

/* Until it has been read as bad: who was bad before is not heard at once. Its connection is closed for it. */
static void say_badly(struct kit *k, struct client *admin, unsigned to, unsigned id, const char *row,
                      const struct value *params)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    int64_t before = bad_messages(admin);
    msgpack_write_value(&b, params);
    for (int64_t until = kit_now() + KIT_WAIT_MS; bad_messages(admin) == before;) {
        struct client *liar = client_as_raft(k, to, id);
        uv_update_time(&k->loop);
        assert_int_equal(rpc_notify(liar->rpc, "raft", buf_str(&b)), 0);
        while (liar->rpc != NULL && kit_now() < until) {
            kit_turn(k, 50);
        }
        if (liar->rpc != NULL || kit_now() > until) {
            fail_msg("%s is not taken for bad, or its connection goes on", row);
        }
        client_close(liar);
    }
    assert_int_equal(bad_messages(admin), before + 1);
}

/* It is authenticated, but damaged, or of another version: its connection ends, and not the master that it speaks
 * to. */
static void test_nonsense_of_another_master_closes_its_connection(void **state)
{
    struct kit *k = *state;
    struct arena *a = &k->arena;
    unsigned leader = kit_leader(k), to = (leader + 1) % 3, gone = (leader + 2) % 3, id = gone + 1;
    static const char *const rows[] = {
        "[]",
        "[99, 1, 1]",                                       /* an unknown kind */
        "[3, 1, 1]",                                        /* cut short */
        "[3, 2, 5, 77, 0, 0, 0, 0]",                        /* somebody else's election */
        "[3, 2, 4611686018427387904, %u, 0, 0, 0, 0]",      /* a term that cannot be */
        "[1, 1, 0, 0, 0, 0, []]",                           /* entries of no term */
        "[1, 1, 9, 4, 11, 4, []]",                          /* behind one of a later term than their own */
        "[2, 2, 9223372036854775807, 0, 0, 0, 0]",          /* an acknowledgement of a term that cannot be */
        "[4, 2, 9223372036854775807, 1, 0, 0, 0]",          /* a vote for one */
        "[5, 2, 1, 1, 1, 1, 100, [[1, '127.0.0.1:1', 1]]]", /* a snapshot that does not come in parts */
        "[6, 1, 0, 0, 0]",                                  /* leadership given on in no term */
    };
    kit_stop(k, gone, SIGKILL);
    struct client *c = client_admin(k, to), *l = client_admin(k, leader);
    /* By turns to either, who each hear it ever later after it was bad. */
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_BUF struct buf m = BUF_INIT;
        msgpack_write_value(&m, kit_doc(k, rows[i], id));
        struct value *p = kit_doc(k, "{from: %u, address: '127.0.0.1:1'}", id);
        value_set(a, p, "data", value_bin(a, m.data, m.size));
        say_badly(k, i % 2 == 0 ? c : l, i % 2 == 0 ? to : leader, id, rows[i], p);
    }
    /* an entry that nobody has written: refused before it is kept */
    CLEANUP_BUF struct buf m = BUF_INIT;
    must(c, "cluster", "{}");
    struct value *doc = kit_doc(k, "[1, 1, %lld, 0, 0, 0]", (long long)int_at(c, "term")),
                 *entry = kit_doc(k, "[[%lld, 1]]", (long long)int_at(c, "term"));
    value_append(a, value_item(entry, 0), value_bin(a, "01234567", 8));
    value_append(a, doc, entry);
    msgpack_write_value(&m, doc);
    struct value *p = kit_doc(k, "{from: %u, address: '127.0.0.1:1'}", id);
    value_set(a, p, "data", value_bin(a, m.data, m.size));
    say_badly(k, c, to, id, "an entry of nobody's", p);
    say_badly(k, l, leader, id, "nothing", kit_doc(k, "{}"));
    say_badly(k, l, leader, id, "in another one's name", kit_doc(k, "{from: 77, address: x}"));
    client_close(l);
    client_close(c);
    /* Parts of snapshots are requests: the answer is an error. */
    static const char *const parts[] = {
        "{}",
        "{transfer: 1, offset: 0, size: 10, hash: 1, data: x}",
        "{transfer: 1, offset: -1, size: 10, hash: 1, data: x}",
        "{transfer: 9, offset: 0, size: 0, hash: 1, head: '', data: ''}",
    };
    for (unsigned i = 0; i < ARRAY_SIZE(parts); i++) {
        for (int64_t until = kit_now() + KIT_WAIT_MS;;) { /* it is not heard at once, again */
            struct client *liar = client_as_raft(k, to, id);
            int rc = call(liar, "raft.part", "%s", parts[i]);
            client_close(liar);
            if (rc == ERR_PROTOCOL) {
                break;
            }
            assert_int_equal(rc, ERR_CLOSED);
            assert_true(kit_now() < until);
            kit_turn(k, 20);
        }
    }
    /* Whom it was said in the name of comes back, and is heard. */
    kit_start(k, gone);
    kit_stop(k, leader, SIGKILL); /* now both are needed */
    c = client_admin(k, to);
    must(c, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: both}}}");
    client_close(c);
    kit_start(k, leader);
    for (int64_t until = kit_now() + KIT_WAIT_MS;; kit_turn(k, 20)) {
        c = client_admin(k, leader);
        bool up = call(c, "hello", "{}") == 0;
        client_close(c);
        if (up) {
            break;
        }
        assert_true(kit_now() < until);
    }
    all_masters_live_and_write(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_deployment_with_a_name_of_245_is_told_why_it_makes_nothing),
        cmocka_unit_test(test_names_of_others_that_are_too_long_are_refused),
        cmocka_unit_test(test_hostile_words_of_a_node_stop_nothing),
        cmocka_unit_test(test_nonsense_of_another_master_closes_its_connection),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
