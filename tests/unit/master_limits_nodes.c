/* A node that says more than it may, or more often: labels that pods are placed by, events about others, floods. */
#include "master/auth/restrict.h"
#include "master/master.h"
#include "master/nodes/nodes.h"
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

static struct client *agent_new(struct kit *k, const char *name)
{
    struct client *a = client_as(k, 0, PKI_ROLE_NODE, name);
    must(a, "node.register", "{node: {apiVersion: v1, kind: Node, metadata: {name: %s}}}", name);
    return a;
}

static void a_node_sets_no_label_that_pods_are_placed_by(void **state)
{
    struct kit *k = *state;
    static const char *const labels[] = {
        "node-restriction.kubernetes.io/pci: yes",   "topology.kubernetes.io/zone: a",
        "node-role.kubernetes.io/control-plane: ''", "team: blue",
        "node.kubernetes.io/exclude-from-lb: x",
    };
    struct client *c = client_admin(k, 0), *a = client_as(k, 0, PKI_ROLE_NODE, "sly");
    for (unsigned again = 0; again < 2; again++) { /* as a new node and as one that is there */
        for (size_t i = 0; i < ARRAY_SIZE(labels); i++) {
            refused(a, ERR_FORBIDDEN, "may not set the label", "node.register",
                    "{node: {apiVersion: v1, kind: Node, metadata: {name: sly, labels: {%s}}}}", labels[i]);
        }
        must(a, "node.register",
             "{node: {apiVersion: v1, kind: Node, metadata: {name: sly, labels: {kubernetes.io/arch: amd64,"
             " kubernetes.io/hostname: database}}}}");
        must(c, "get", "{kind: Node, name: sly}");
        const struct value *got = value_path(value_get(c->result, "object"), "metadata.labels");
        assert_int_equal(value_count(got), 2);
        /* Pods that ask for the host "database" do not come here. */
        assert_true(str_is(value_to_str(value_get_str_key(got, STR("kubernetes.io/hostname"))), "sly"));
        assert_true(str_is(value_to_str(value_get_str_key(got, STR("kubernetes.io/arch"))), "amd64"));
    }
    client_close(a);
    client_close(c);
}

#define EVENT(kind, name, more)                                                                                        \
    "{involvedObject: {apiVersion: v1, kind: " kind ", namespace: default, name: " name "}, type: Warning, "           \
    "reason: Forged, message: m" more "}"

#define LATE(name)                                                                                                     \
    "{involvedObject: {apiVersion: v1, kind: Pod, namespace: default, name: " name "}, type: Normal, reason: Late, "   \
    "message: m}"

static unsigned events_about(struct client *c, const char *name)
{
    must(c, "list", "{kind: Event, fieldSelector: 'involvedObject.name=%s'}", name);
    return value_count(value_get(c->result, "items"));
}

static void a_node_tells_events_of_its_own_only(void **state)
{
    struct kit *k = *state;
    struct client *c = client_admin(k, 0), *a = agent_new(k, "n1"), *b = agent_new(k, "n2");
    must(c, "create",
         "{object: {apiVersion: v1, kind: Pod, metadata: {name: theirs}, spec: {nodeName: n2, containers: [{name: c,"
         " image: i}]}}}");
    must(c, "create",
         "{object: {apiVersion: v1, kind: Pod, metadata: {name: mine}, spec: {nodeName: n1, containers: [{name: c,"
         " image: i}]}}}");
    must(a, "node.events", "{name: n1, events: [%s, %s, %s, %s, %s, %s]}", EVENT("Pod", "theirs", ""),
         EVENT("Node", "n2", ""), EVENT("Deployment", "web", ""), EVENT("Pod", "past", ""),
         EVENT("Node", "n1", ", source: {component: default-scheduler, host: n2}, reportingInstance: n2"),
         EVENT("Pod", "mine", ", source: {component: reeve-master}"));
    assert_int_equal(events_about(c, "theirs"), 0);
    assert_int_equal(events_about(c, "n2"), 0);
    assert_int_equal(events_about(c, "web"), 0);
    assert_int_equal(events_about(c, "past"), 0); /* nobody has ever heard of it */
    assert_int_equal(events_about(c, "mine"), 1);
    assert_int_equal(events_about(c, "n1"), 1);
    const struct value *event = value_item(value_get(c->result, "items"), 0);
    assert_string_equal(value_text(k, event, "source.component"), "reeve-agent"); /* whoever it said it was */
    assert_string_equal(value_text(k, event, "source.host"), "n1");
    assert_string_equal(value_text(k, event, "reportingInstance"), "n1");
    must(c, "cluster", "{}");
    assert_int_equal(int_at(c, "stats.droppedEvents"), 4);

    /* of a Service: that its kernel does not take a part of it, and nothing else */
    must(c, "create", "{object: {apiVersion: v1, kind: Service, metadata: {name: web}, spec: {ports: [{port: 80}]}}}");
    CLEANUP_FREE char *uid = xstrdup(value_text(k, c->result, "object.metadata.uid"));
    unsigned told = events_about(c, "web");
    must(a, "node.events",
         "{name: n1, events: [%s, {involvedObject: {apiVersion: v1, kind: Service, namespace: default, name: web, uid: "
         "other}, type: Warning, reason: NotBalanced, message: m}]}",
         EVENT("Service", "web", ""));
    assert_int_equal(events_about(c, "web"), told);
    must(a, "node.events",
         "{name: n1, events: [{involvedObject: {apiVersion: v1, kind: Service, namespace: default, name: web, uid: "
         "'%s'}, type: Warning, reason: NotBalanced, message: m}]}",
         uid);
    assert_int_equal(events_about(c, "web"), told + 1);

    /* of a pod that is gone: for some minutes, by the node that had it, and by its own name and namespace */
    must(c, "delete", "{kind: Pod, namespace: default, name: mine, gracePeriodSeconds: 0}");
    must(c, "delete", "{kind: Pod, namespace: default, name: theirs, gracePeriodSeconds: 0}");
    unsigned before = events_about(c, "mine");
    must(a, "node.events", "{name: n1, events: [%s, %s]}", LATE("mine"), LATE("theirs"));
    assert_int_equal(events_about(c, "mine"), before + 1);
    assert_int_equal(events_about(c, "theirs"), 0);
    must(b, "node.events", "{name: n2, events: [%s]}", LATE("theirs"));
    assert_int_equal(events_about(c, "theirs"), 1);
    client_close(a);
    client_close(b);
    client_close(c);
}

static void a_flood_of_events_is_cut_and_the_others_are_heard(void **state)
{
    struct kit *k = *state;
    struct client *c = client_admin(k, 0), *a = agent_new(k, "loud"), *b = agent_new(k, "quiet");
    CLEANUP_BUF struct buf many = BUF_INIT;
    const unsigned calls = 8, each = 400;
    int64_t start = kit_now();
    for (unsigned i = 0; i < calls; i++) {
        buf_reset(&many);
        for (unsigned j = 0; j < each; j++) {
            buf_printf(&many, "%s{involvedObject: {apiVersion: v1, kind: Node, name: loud}, reason: R%u, message: m%u}",
                       j > 0 ? ", " : "", i, j);
        }
        must(a, "node.events", "{name: loud, events: [%s]}", buf_cstr(&many));
    }
    int64_t earned = (kit_now() - start) * 1000 / RESTRICT_EVENT_US + 1;
    must(c, "cluster", "{}");
    int64_t dropped = int_at(c, "stats.droppedEvents");
    assert_in_range(calls * each - dropped, RESTRICT_EVENT_BURST, RESTRICT_EVENT_BURST + earned);
    must(b, "node.events", "{name: quiet, events: [%s]}", EVENT("Node", "quiet", ""));
    assert_int_equal(events_about(c, "quiet"), 1);
    client_close(a);
    client_close(b);
    client_close(c);
}

static void long_messages_are_cut_at_a_character(void **state)
{
    struct kit *k = *state;
    struct client *c = client_admin(k, 0), *a = agent_new(k, "wordy");
    CLEANUP_BUF struct buf text = BUF_INIT;
    for (unsigned i = 0; i < 100000; i++) {
        buf_puts(&text, "\xe2\x82\xac"); /* three bytes each */
    }
    must(a, "node.events",
         "{name: wordy, events: [{involvedObject: {kind: Node, name: wordy}, reason: R, message: %s}]}",
         buf_cstr(&text));
    assert_int_equal(events_about(c, "wordy"), 1);
    const char *message = value_text(k, value_item(value_get(c->result, "items"), 0), "message");
    assert_in_range(strlen(message), RESTRICT_EVENT_MESSAGE - 3, RESTRICT_EVENT_MESSAGE);
    assert_string_equal(message + strlen(message) - 6, "\xe2\x82\xac...");
    client_close(a);
    client_close(c);
}

static void a_node_that_writes_without_end_waits_and_others_do_not(void **state)
{
    struct kit *k = *state;
    struct client *a = agent_new(k, "big"), *b = agent_new(k, "small");
    CLEANUP_BUF struct buf images = BUF_INIT;
    for (unsigned i = 0; i < 1000; i++) {
        buf_printf(&images, "%s{names: ['example.com/a/long/name/of/an/image/that/nobody/has/%u'], sizeBytes: 1}",
                   i > 0 ? ", " : "", i);
    }
    refused(a, ERR_LIMIT, "the Node has", "node.register",
            "{node: {apiVersion: v1, kind: Node, metadata: {name: big}, status: {images: [%s, %s, %s, %s]}}}",
            buf_cstr(&images), buf_cstr(&images), buf_cstr(&images), buf_cstr(&images));
    struct value *report = kit_doc(k, "{name: big, pods: [], node: {images: [%s]}}", buf_cstr(&images));
    unsigned taken = 0;
    while (call_value(a, "node.status", report) == 0) {
        assert_true(++taken < 2000);
    }
    assert_int_equal(a->err.code, ERR_BUSY);
    assert_non_null(strstr(a->err.message, "writes more than"));
    assert_true(a->err.retry_after_ms > 0);
    must(b, "node.status", "{name: small, pods: []}");
    client_close(a);
    client_close(b);
}

/* Each entry of a report makes the leader read and judge the whole pod: one that stands there again and again is
 * looked at once. */
static void a_pod_counts_once_in_a_report(void **state)
{
    struct kit *k = *state;
    struct client *c = client_admin(k, 0), *a = agent_new(k, "n1");
    CLEANUP_BUF struct buf value = BUF_INIT;
    CLEANUP_BUF struct buf pods = BUF_INIT;
    const unsigned times = 4000;
    for (unsigned i = 0; i < 200000; i++) {
        buf_puts(&value, "x");
    }
    must(c, "create",
         "{object: {apiVersion: v1, kind: Pod, metadata: {name: fat, annotations: {a: %s}}, spec: {nodeName: n1, "
         "containers: [{name: c, image: i}]}}}",
         buf_cstr(&value));
    const char *uid = arena_strdup(&k->arena, text_at(c, "object.metadata.uid"));
    for (unsigned i = 0; i < times; i++) {
        buf_printf(&pods, "%s{namespace: default, name: fat, uid: %s, status: {phase: Running}}", i > 0 ? ", " : "",
                   uid);
    }
    int64_t cpu_ms = kit_cpu_ms(k, 0);
    size_t before_kb = kit_memory_kb(k, 0);
    must(a, "node.status", "{name: n1, pods: [%s], gone: [%s]}", buf_cstr(&pods), buf_cstr(&pods));
    print_message("a pod of 200 kB %u times in a report: %lld ms of the processor, %zu KiB of memory more\n", times,
                  (long long)(kit_cpu_ms(k, 0) - cpu_ms), kit_memory_kb(k, 0) - before_kb);
    const struct value *results = value_get(a->result, "results");
    assert_int_equal(value_count(results), times);
    assert_true(value_is_null(value_item(results, 0)));
    for (unsigned i = 1; i < times; i++) {
        assert_string_equal(value_text(k, value_item(results, i), "message"),
                            "node.status: this pod stands in the report twice");
    }
    must(c, "get", "{kind: Pod, name: fat}");
    assert_string_equal(text_at(c, "object.status.phase"), "Running");
    client_close(a);
    client_close(c);
}

static void a_report_with_too_many_conditions_is_refused(void **state)
{
    struct kit *k = *state;
    struct client *c = client_admin(k, 0), *a = agent_new(k, "n1");
    must(c, "create",
         "{object: {apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {nodeName: n1, containers: [{name: c, image: "
         "i}]}}}");
    const char *uid = arena_strdup(&k->arena, text_at(c, "object.metadata.uid"));
    const unsigned counts[] = {
        1000, 25000}; /* as many as a message may have elements; the second against the first: each with each */
    for (unsigned i = 0; i < ARRAY_SIZE(counts); i++) {
        CLEANUP_BUF struct buf list = BUF_INIT;
        for (unsigned j = 0; j < counts[i]; j++) {
            buf_printf(&list, "%s{type: t%u-%u, status: 'True'}", j > 0 ? ", " : "", i, j);
        }
        int64_t cpu_ms = kit_cpu_ms(k, 0);
        must(a, "node.status", "{name: n1, pods: [{namespace: default, name: p, uid: %s, status: {conditions: [%s]}}]}",
             uid, buf_cstr(&list));
        print_message("%u conditions: %lld ms of the processor\n", counts[i], (long long)(kit_cpu_ms(k, 0) - cpu_ms));
        const struct value *said = value_item(value_get(a->result, "results"), 0);
        assert_int_equal(value_is_null(said), i == 0);
        if (i > 0) {
            assert_non_null(strstr(value_text(k, said, "message"), "at most"));
        }
    }
    client_close(a);
    client_close(c);
}

/* The message is cut; in any other place there is no reason for more than a few words. */
static void an_event_that_is_large_elsewhere_than_in_its_message_is_dropped(void **state)
{
    struct kit *k = *state;
    static const char *const where[] = {
        "reason: R, involvedObject: {kind: Node, name: fat, fieldPath: %s}",
        "reason: R, involvedObject: {kind: Node, name: fat, uid: %s}",
        "reason: R, involvedObject: {kind: Node, name: fat, apiVersion: %s}",
        "reason: R, involvedObject: {kind: Node, name: fat}, type: %s",
        "reason: R, involvedObject: {kind: Node, name: fat}, related: {kind: Pod, fieldPath: %s}",
    };
    struct client *c = client_admin(k, 0), *a = agent_new(k, "fat");
    CLEANUP_BUF struct buf text = BUF_INIT;
    for (unsigned i = 0; i < 100000; i++) {
        buf_puts(&text, "x");
    }
    for (size_t i = 0; i < ARRAY_SIZE(where); i++) {
        CLEANUP_BUF struct buf event = BUF_INIT;
        char *cut = strstr(where[i], "%s");
        buf_append(&event, where[i], (size_t)(cut - where[i]));
        buf_puts(&event, buf_cstr(&text));
        buf_puts(&event, cut + 2);
        must(a, "node.events", "{name: fat, events: [{%s, message: m}]}", buf_cstr(&event));
        assert_int_equal(events_about(c, "fat"), 0);
    }
    must(a, "node.events", "{name: fat, events: [%s]}", EVENT("Node", "fat", ""));
    assert_int_equal(events_about(c, "fat"), 1);
    must(c, "cluster", "{}");
    assert_int_equal(int_at(c, "stats.droppedEvents"), ARRAY_SIZE(where));
    client_close(a);
    client_close(c);
}

static void count_refreshes(struct client *c, struct str method, struct mp params)
{
    (void)params;
    *(unsigned *)c->data += str_is(method, "node.refresh");
}

/* Heartbeats wait for no turn. For each the leader looks at the whole Node, and answers if it had given it up. */
static void a_flood_of_heartbeats_is_looked_at_now_and_then(void **state)
{
    struct kit *k = *state;
    struct client *c = client_admin(k, 0), *a = agent_new(k, "eager");
    CLEANUP_BUF struct buf conditions = BUF_INIT;
    CLEANUP_BUF struct buf beat = BUF_INIT;
    unsigned refreshes = 0;
    for (unsigned i = 0; i < 1000; i++) {
        buf_printf(&conditions, "{type: t%u, status: 'True'}, ", i);
    }
    must(a, "node.status", "{name: eager, node: {conditions: [%s{type: Ready, status: Unknown}]}}",
         buf_cstr(&conditions));
    a->data = &refreshes;
    a->on_notify = count_refreshes;
    msgpack_write_value(&beat, kit_doc(k, "{name: eager}"));
    must(c, "cluster", "{}");
    int64_t heard = int_at(c, "stats.heartbeats"), cpu_ms = kit_cpu_ms(k, 0), start = kit_now();
    const unsigned beats = 20000;
    for (unsigned i = 0; i < beats; i++) {
        if (rpc_notify(a->rpc, "node.heartbeat", buf_str(&beat)) != 0) {
            must(a, "hello", "{}"); /* the way is full */
        }
    }
    must(a, "hello", "{}");
    print_message("%u heartbeats: %lld ms of the processor, %u answers\n", beats,
                  (long long)(kit_cpu_ms(k, 0) - cpu_ms), refreshes);
    assert_in_range(refreshes, 1, (kit_now() - start) / NODES_HEARTBEAT_LOOK_MS + 1);
    must(c, "cluster", "{}");
    assert_true(int_at(c, "stats.heartbeats") - heard > beats / 2); /* they are counted all the same */
    client_close(a);
    client_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_node_sets_no_label_that_pods_are_placed_by, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_node_tells_events_of_its_own_only, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_flood_of_events_is_cut_and_the_others_are_heard, set_up, tear_down),
        cmocka_unit_test_setup_teardown(long_messages_are_cut_at_a_character, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_node_that_writes_without_end_waits_and_others_do_not, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_pod_counts_once_in_a_report, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_report_with_too_many_conditions_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_event_that_is_large_elsewhere_than_in_its_message_is_dropped, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_flood_of_heartbeats_is_looked_at_now_and_then, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
