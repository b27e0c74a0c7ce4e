/* Deployment, ReplicaSet, ConfigMap, Secret, Node, Namespace, Event: defaults and rules. */
#include <stdlib.h>

#include "tests/unit/proto_kind_fixture.h"

#define WORKLOAD(kind, spec, pod)                                                                                      \
    "{apiVersion: apps/v1, kind: " kind ", metadata: {name: w}, spec: {" spec                                          \
    " selector: {matchLabels: {app: a}}, template: {metadata: {labels: {app: a, x: z}}, spec: {" pod                   \
    " containers: [{name: c, image: i}]}}}}"
#define DEPLOYMENT(spec) WORKLOAD("Deployment", spec, "")
#define CONFIGMAP(rest)  "{apiVersion: v1, kind: ConfigMap, metadata: {name: m}, " rest "}"
#define SECRET(rest)     "{apiVersion: v1, kind: Secret, metadata: {name: s}, " rest "}"
#define NODE(rest)       "{apiVersion: v1, kind: Node, metadata: {name: n1}, " rest "}"

static void a_deployment_gets_the_defaults_of_the_api(void **state)
{
    struct fixture *f = *state;
    struct value *doc = fixture_good(f, DEPLOYMENT(""));
    assert_int_equal(value_path_int(doc, "spec.replicas", 0), 1);
    assert_int_equal(value_path_int(doc, "spec.revisionHistoryLimit", 0), 10);
    assert_int_equal(value_path_int(doc, "spec.progressDeadlineSeconds", 0), 600);
    assert_true(str_is(value_path_str(doc, "spec.strategy.type"), "RollingUpdate"));
    assert_true(str_is(value_path_str(doc, "spec.strategy.rollingUpdate.maxSurge"), "25%"));
    assert_true(str_is(value_path_str(doc, "spec.strategy.rollingUpdate.maxUnavailable"), "25%"));
    assert_null(value_path(doc, "spec.minReadySeconds"));
    assert_null(value_path(doc, "spec.template.spec.enableServiceLinks"));
    assert_true(str_is(value_path_str(doc, "spec.template.spec.restartPolicy"), "Always"));
    struct value *c = value_item(value_path(doc, "spec.template.spec.containers"), 0);
    assert_true(str_is(value_path_str(c, "imagePullPolicy"), "Always"));
    doc = fixture_good(f, DEPLOYMENT("strategy: {type: Recreate},"));
    assert_null(value_path(doc, "spec.strategy.rollingUpdate"));
    doc = fixture_good(f, DEPLOYMENT("replicas: 0,"));
    assert_int_equal(value_path_int(doc, "spec.replicas", 7), 0);
}

struct rule {
    const char *yaml, *error;
};

static void check_rules(struct fixture *f, const struct rule *rules, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (rules[i].error != NULL) {
            fixture_bad(f, rules[i].yaml, rules[i].error);
        } else {
            fixture_good(f, rules[i].yaml);
        }
    }
}

static void workloads_are_checked(void **state)
{
    static const struct rule rules[] = {
        {DEPLOYMENT("replicas: -1,"), "spec.replicas: Invalid value: -1: must be greater than or equal to 0"},
        {WORKLOAD("ReplicaSet", "minReadySeconds: -1,", ""), "spec.minReadySeconds: Invalid value: -1"},
        {DEPLOYMENT("revisionHistoryLimit: -1,"), "spec.revisionHistoryLimit: Invalid value: -1"},
        {DEPLOYMENT("progressDeadlineSeconds: 10, minReadySeconds: 10,"), "must be greater than minReadySeconds"},
        {"{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: w}, spec: {template: {spec: {containers: [{name: c, "
         "image: i}]}}}}",
         "spec.selector: Required value"},
        {"{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: w}, spec: {selector: {}, template: {spec: "
         "{containers: "
         "[{name: c, image: i}]}}}}",
         "an empty selector is not allowed"},
        {"{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: w}, spec: {selector: {matchLabels: {a: b}}}}",
         "spec.template: Required value"},
        {"{apiVersion: apps/v1, kind: Deployment, metadata: {name: w}, spec: {selector: {matchLabels: {app: a}}, "
         "template: "
         "{metadata: {labels: {app: b}}, spec: {containers: [{name: c, image: i}]}}}}",
         "spec.template.metadata.labels: Invalid value: {\"app\":\"b\"}: selector does not match template labels"},
        {"{apiVersion: apps/v1, kind: Deployment, metadata: {name: w}, spec: {selector: {matchExpressions: [{key: app, "
         "operator: In}]}, template: {spec: {containers: [{name: c, image: i}]}}}}",
         "spec.selector.matchExpressions[0].values: Required value"},
        {WORKLOAD("ReplicaSet", "", "restartPolicy: Never,"),
         "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\""},
        {WORKLOAD("ReplicaSet", "", "activeDeadlineSeconds: 5,"),
         "spec.template.spec.activeDeadlineSeconds: Forbidden"},
        {WORKLOAD("ReplicaSet", "", "volumes: [{name: V}],"), "spec.template.spec.volumes[0].name: Invalid value"},
        {DEPLOYMENT("strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 0}},"),
         "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0"},
        {DEPLOYMENT("strategy: {rollingUpdate: {maxSurge: 0%, maxUnavailable: 0}},"), "may not be 0"},
        {DEPLOYMENT("strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 1}},"), NULL},
        {DEPLOYMENT("strategy: {rollingUpdate: {maxSurge: -1}},"), "maxSurge: Invalid value: -1"},
        {DEPLOYMENT("strategy: {rollingUpdate: {maxSurge: lots}},"), "must be a number or a percentage"},
        {DEPLOYMENT("strategy: {rollingUpdate: {maxUnavailable: 101%}},"), "must not be greater than 100%"},
        {DEPLOYMENT("strategy: {rollingUpdate: {maxSurge: 200%}},"), NULL},
        {DEPLOYMENT("strategy: {type: Recreate, rollingUpdate: {maxSurge: 1}},"), "rollingUpdate: Forbidden"},
        {DEPLOYMENT("strategy: {type: Slowly},"), "spec.strategy.type: Unsupported value: \"Slowly\""},
    };
    check_rules(*state, rules, ARRAY_SIZE(rules));
}

static void the_selector_of_a_workload_cannot_change(void **state)
{
    struct fixture *f = *state;
    const char *after =
        "{apiVersion: apps/v1, kind: Deployment, metadata: {name: w}, spec: {selector: {matchLabels: {x: z}},"
        " template: {metadata: {labels: {x: z}}, spec: {containers: [{name: c, image: i}]}}}}";
    fixture_change(f, DEPLOYMENT(""), after,
                   "spec.selector: Invalid value: {\"matchLabels\":{\"x\":\"z\"}}: field is immutable");
    fixture_change(f, DEPLOYMENT(""), DEPLOYMENT("replicas: 5,"), NULL);
}

static void config_maps_and_secrets_are_checked(void **state)
{
    static const struct rule rules[] = {
        {CONFIGMAP("data: {a.b-c_D: x}"), NULL},
        {CONFIGMAP("data: {'a b': x}"), "data[a b]: Invalid value: \"a b\": a key must be"},
        {CONFIGMAP("data: {..a: x}"), "data[..a]: Invalid value"},
        {CONFIGMAP("data: {a: x}, binaryData: {a: eHg=}"),
         "data[a]: Invalid value: \"a\": the key is in binaryData as well"},
        {CONFIGMAP("binaryData: {a: '%'}"), "must be base64 text"},
        {SECRET("type: kubernetes.io/tls, data: {tls.crt: eHg=}"), "data[tls.key]: Required value"},
        {SECRET("type: kubernetes.io/tls, stringData: {tls.crt: a, tls.key: b}"), NULL},
        {SECRET("type: kubernetes.io/basic-auth"), "data[username]: Required value"},
        {SECRET("type: kubernetes.io/basic-auth, stringData: {password: p}"), NULL},
        {SECRET("type: kubernetes.io/ssh-auth"), "data[ssh-privatekey]: Required value"},
        {SECRET("type: kubernetes.io/dockerconfigjson"), "data[.dockerconfigjson]: Required value"},
        {SECRET("type: kubernetes.io/service-account-token"), "service-account.name]: Required value"},
        {SECRET("type: my/own"), NULL},
    };
    check_rules(*state, rules, ARRAY_SIZE(rules));
}

static void a_secret_is_opaque_unless_it_says_otherwise(void **state)
{
    struct fixture *f = *state;
    assert_true(str_is(value_path_str(fixture_good(f, SECRET("data: {}")), "type"), "Opaque"));
    fixture_change(f, SECRET("data: {}"), SECRET("type: other"), "type: Invalid value: \"other\": field is immutable");
}

static void a_stored_job_without_a_template_is_no_reason_to_end(void **state)
{
    struct fixture *f = *state;
    const char *text = "{apiVersion: batch/v1, kind: Job, metadata: {name: d}, spec: {suspend: true, template: {spec: "
                       "{restartPolicy: Never, containers: [{name: c, image: i}]}}}}";
    struct value *old = fixture_good(f, text);
    value_remove(value_get(old, "spec"), "template");
    assert_int_not_equal(fixture_check_value(f, fixture_read(f, text), old), 0);
    assert_non_null(strstr(f->err.message, "spec.template: Invalid value"));
}

static void immutable_config_stays(void **state)
{
    struct fixture *f = *state;
    fixture_change(f, CONFIGMAP("immutable: true, data: {a: b}"), CONFIGMAP("immutable: true, data: {a: c}"),
                   "data: Forbidden: field is immutable when `immutable` is set");
    fixture_change(f, CONFIGMAP("immutable: true, data: {a: b}"), CONFIGMAP("data: {a: b}"), "immutable: Forbidden");
    fixture_change(f, CONFIGMAP("data: {a: b}"), CONFIGMAP("immutable: true, data: {a: c}"), NULL);
    fixture_change(f, SECRET("immutable: true, stringData: {a: b}"), SECRET("immutable: true, stringData: {a: c}"),
                   "data: Forbidden");
    assert_null(strstr(f->err.message, "Yg"));
}

static void too_much_config_is_refused(void **state)
{
    struct fixture *f = *state;
    struct value *doc = fixture_read(f, CONFIGMAP("data: {}"));
    size_t n = (1u << 20) + 1;
    char *big = xmalloc(n);
    memset(big, 'x', n);
    value_set(&f->arena, value_get(doc, "data"), "a", value_str(&f->arena, (struct str){big, n}));
    free(big);
    assert_int_equal(fixture_check_value(f, doc, NULL), ERR_INVALID);
    assert_contains(f->err.message, "data: Too long");
}

static void nodes_are_checked(void **state)
{
    struct fixture *f = *state;
    static const struct rule rules[] = {
        {NODE("spec: {taints: [{key: a, effect: NoSchedule}, {key: a, effect: NoExecute}]}"), NULL},
        {NODE("spec: {taints: [{key: a, effect: NoSchedule}, {key: a, value: b, effect: NoSchedule}]}"),
         "spec.taints[1]: Duplicate value"},
        {NODE("spec: {taints: [{key: a, effect: Never}]}"), "effect: Unsupported value: \"Never\""},
        {NODE("spec: {taints: [{key: a}]}"), "spec.taints[0].effect: Required value"},
        {NODE("spec: {podCIDR: 10.0.0.0}"), "must be a range of addresses"},
        {NODE("spec: {podCIDR: 10.0.0.0/33}"), "must be a range of addresses"},
        {NODE("spec: {podCIDR: 10.0.0.0/24, podCIDRs: [10.0.1.0/24]}"), "the first one must be podCIDR"},
        {NODE("spec: {podCIDR: 'fd00::/64'}"), NULL},
        {NODE("status: {capacity: {cpu: -1}}"), "status.capacity[cpu]: Invalid value"},
    };
    check_rules(f, rules, ARRAY_SIZE(rules));
    fixture_change(f, NODE("spec: {}"), NODE("spec: {podCIDR: 10.0.0.0/24}"), NULL);
    fixture_change(f, NODE("spec: {podCIDR: 10.0.0.0/24}"), NODE("spec: {podCIDR: 10.0.1.0/24}"),
                   "spec.podCIDR: Forbidden: node updates may not change podCIDR");
    fixture_change(f, NODE("spec: {podCIDR: 10.0.0.0/24}"), NODE("spec: {}"), "spec.podCIDR: Forbidden");
}

static void a_node_can_give_away_what_it_has(void **state)
{
    struct fixture *f = *state;
    struct value *doc = fixture_good(f, NODE("status: {capacity: {cpu: 4}}"));
    assert_true(str_is(value_path_str(doc, "status.allocatable.cpu"), "4"));
    assert_true(value_is_map(value_get(doc, "spec")));
}

static void a_namespace_is_active_and_labelled(void **state)
{
    struct fixture *f = *state;
    struct value *doc = fixture_good(f, "{apiVersion: v1, kind: Namespace, metadata: {name: team}}");
    assert_true(str_is(value_path_str(doc, "status.phase"), "Active"));
    assert_true(
        str_is(value_to_str(value_get(value_path(doc, "metadata.labels"), "kubernetes.io/metadata.name")), "team"));
}

static void an_event_lives_beside_its_object(void **state)
{
    static const struct rule rules[] = {
        {"{apiVersion: v1, kind: Event, metadata: {name: e, namespace: a}, involvedObject: {kind: Pod, namespace: a}}",
         NULL},
        {"{apiVersion: v1, kind: Event, metadata: {name: e, namespace: a}, involvedObject: {kind: Pod, namespace: b}}",
         "involvedObject.namespace: Invalid value: \"b\": does not match metadata.namespace"},
        {"{apiVersion: v1, kind: Event, metadata: {name: e}, involvedObject: {kind: Node, name: n1}}", NULL},
        {"{apiVersion: v1, kind: Event, metadata: {name: e, namespace: a}, involvedObject: {kind: Node, name: n1}}",
         "involvedObject.namespace: Invalid value"},
        {"{apiVersion: v1, kind: Event, metadata: {name: e}}", "involvedObject: Required value"},
    };
    check_rules(*state, rules, ARRAY_SIZE(rules));
}

static struct value *class_with(struct fixture *f, unsigned tolerations)
{
    struct value *doc =
        fixture_read(f, "{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {name: c}, handler: "
                        "kata, scheduling: {tolerations: []}}");
    for (unsigned i = 0; i < tolerations; i++) {
        struct value *t = value_map(&f->arena);
        value_set(&f->arena, t, "key", value_strf(&f->arena, "k%u", i));
        value_set(&f->arena, t, "operator", value_cstr(&f->arena, "Exists"));
        value_append(&f->arena, value_path(doc, "scheduling.tolerations"), t);
    }
    return doc;
}

/* A former version took more: what is stored stays, and its labels can change. */
static void a_runtime_class_has_few_tolerations(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fixture_check_value(f, class_with(f, 100), NULL), 0);
    assert_int_equal(fixture_check_value(f, class_with(f, 101), NULL), ERR_INVALID);
    assert_contains(f->err.message, "scheduling.tolerations: Too many: 101: must have at most 100 items");
    assert_int_equal(fixture_check_value(f, class_with(f, 101), class_with(f, 101)), 0);
    assert_int_equal(fixture_check_value(f, class_with(f, 102), class_with(f, 101)), ERR_INVALID);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_deployment_gets_the_defaults_of_the_api),
        TEST(workloads_are_checked),
        TEST(the_selector_of_a_workload_cannot_change),
        TEST(config_maps_and_secrets_are_checked),
        TEST(a_secret_is_opaque_unless_it_says_otherwise),
        TEST(a_stored_job_without_a_template_is_no_reason_to_end),
        TEST(immutable_config_stays),
        TEST(too_much_config_is_refused),
        TEST(nodes_are_checked),
        TEST(a_node_can_give_away_what_it_has),
        TEST(a_namespace_is_active_and_labelled),
        TEST(a_runtime_class_has_few_tolerations),
        TEST(an_event_lives_beside_its_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
