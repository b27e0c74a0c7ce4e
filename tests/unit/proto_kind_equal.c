/* Values are compared by what they mean: kind_equal, and what is kept. */
#include <stdlib.h>

#include "proto/kinds/kinds.h"
#include "tests/unit/proto_kind_fixture.h"

#define CONTAINER(more) "{spec: {containers: [{name: c, image: i, " more "}]}}"
#define REQUESTS(list)  CONTAINER("resources: {requests: {" list "}}")

struct pair {
    bool equal;
    const char *a, *b;
};

static void expect(struct fixture *f, const char *kind, const char *path, const struct pair *pairs, unsigned count)
{
    const struct kind *k = kind_by_name(str_of(kind));
    for (unsigned i = 0; i < count; i++) {
        const struct value *a = value_path(fixture_read(f, pairs[i].a), path);
        const struct value *b = value_path(fixture_read(f, pairs[i].b), path);
        if (kind_equal(k, path, a, b) != pairs[i].equal || kind_equal(k, path, b, a) != pairs[i].equal) {
            fail_msg("%s and %s should be %s", pairs[i].a, pairs[i].b, pairs[i].equal ? "equal" : "different");
        }
        assert_true(kind_equal(k, path, a, a) && kind_equal(k, path, b, b));
    }
}

static void values_of_pods_are_compared_by_meaning(void **state)
{
    static const struct pair pairs[] = {
        {true, REQUESTS("cpu: '0.01', memory: 1024Ki"), REQUESTS("memory: 1Mi, cpu: 10m")},
        {true, REQUESTS("memory: '1048576'"), REQUESTS("memory: 1Mi")},
        {false, REQUESTS("memory: 1M"), REQUESTS("memory: 1Mi")},
        {false, REQUESTS("cpu: 1"), REQUESTS("cpu: 1, memory: 1Mi")},
        {false, REQUESTS("cpu: '1'"), REQUESTS("memory: '1'")},
        {true, REQUESTS("cpu: '1', memory: null"), REQUESTS("cpu: 1000m")},
        {true, CONTAINER("resources: {}"), CONTAINER("")},
        {true, CONTAINER("resources: {requests: {}}"), CONTAINER("command: []")},
        {true, CONTAINER("command: null"), CONTAINER("tty: false, workingDir: ''")},
        {false, CONTAINER("command: [a, b]"), CONTAINER("command: [b, a]")},
        {false, CONTAINER("tty: true"), CONTAINER("")},
        {true, CONTAINER("terminationMessagePolicy: File"), CONTAINER("")},
        {false, CONTAINER("terminationMessagePolicy: FallbackToLogsOnError"), CONTAINER("")},
        /* Here false and nothing are two things. */
        {false, CONTAINER("securityContext: {allowPrivilegeEscalation: false}"), CONTAINER("securityContext: {}")},
        {false, CONTAINER("securityContext: {runAsUser: 0}"), CONTAINER("securityContext: {}")},
        {true, CONTAINER("readinessProbe: {httpGet: {port: 80}}"),
         CONTAINER("readinessProbe: {httpGet: {port: '80'}}")},
        {false, CONTAINER("readinessProbe: {httpGet: {port: 80}}"), CONTAINER("readinessProbe: {httpGet: {port: 81}}")},
        {true, CONTAINER("readinessProbe: {httpGet: {port: a}, initialDelaySeconds: 0}"),
         CONTAINER("readinessProbe: {httpGet: {port: a, scheme: HTTP, path: /}}")},
        {true, "{spec: {hostNetwork: false, securityContext: {}, nodeSelector: {}}}",
         "{spec: {restartPolicy: Always}}"},
        {false,
         "{spec: {affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: a, "
         "labelSelector: {}}]}}}}",
         "{spec: {affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: a}]}}}}"},
        {true, "{spec: {ofTomorrow: 1}}", "{spec: {ofTomorrow: 1}}"},
        {false, "{spec: {ofTomorrow: 1}}", "{spec: {}}"},
        {false, "{spec: {}}", "{}"},
    };
    expect(*state, "Pod", "spec", pairs, ARRAY_SIZE(pairs));
}

static void other_values_are_compared_by_meaning(void **state)
{
    static const struct pair workloads[] = {
        {true, "{spec: {strategy: {rollingUpdate: {maxSurge: 1}}}}",
         "{spec: {strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: '1'}}, paused: false}}"},
        {false, "{spec: {replicas: 0}}", "{spec: {replicas: 1}}"},
        {true, "{spec: {replicas: 1}}", "{spec: {}}"},
        {false, "{spec: {replicas: 0}}", "{spec: {}}"},
    };
    expect(*state, "Deployment", "spec", workloads, ARRAY_SIZE(workloads));
    static const struct pair events[] = {
        {true, "{firstTimestamp: '2026-01-01T00:00:00Z'}", "{firstTimestamp: '2026-01-01T01:00:00+01:00'}"},
        {false, "{firstTimestamp: '2026-01-01T00:00:00Z'}", "{firstTimestamp: '2026-01-01T00:00:01Z'}"},
        {true, "{metadata: {labels: {}, annotations: null, finalizers: []}}", "{metadata: {}}"},
        {false, "{metadata: {labels: {a: ''}}}", "{metadata: {}}"},
    };
    expect(*state, "Event", "", events, ARRAY_SIZE(events));
}

static void one_meaning_is_kept_as_one_text(void **state)
{
    struct fixture *f = *state;
#define WHOLE(more)                                                                                                    \
    "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c, image: i, " more "}]}}"
    static const char *const same[] = {
        WHOLE("resources: {requests: {cpu: '0.01', memory: 1024Ki}}"),
        WHOLE("resources: {requests: {memory: 1Mi, cpu: 10m}, limits: {}}"),
        WHOLE("command: [], ports: null, resources: {requests: {memory: '1.0Mi', cpu: 1e-2}}"),
    };
    CLEANUP_BUF struct buf first = BUF_INIT;
    for (unsigned i = 0; i < ARRAY_SIZE(same); i++) {
        CLEANUP_BUF struct buf b = BUF_INIT;
        struct value *doc = fixture_good(f, same[i]);
        kind_encode(kind_by_id(KIND_POD), doc, i == 0 ? &first : &b);
        assert_true(i == 0 || str_eq(buf_str(&b), buf_str(&first)));
        assert_true(
            str_is(value_path_str(value_item(value_path(doc, "spec.containers"), 0), "resources.requests.cpu"), "10m"));
    }
}

static void a_pod_that_was_kept_in_another_spelling_can_be_changed(void **state)
{
    struct fixture *f = *state;
    struct value *old = fixture_good(f, WHOLE("resources: {requests: {cpu: 10m}}"));
    value_set(&f->arena, value_path(value_item(value_path(old, "spec.containers"), 0), "resources.requests"), "cpu",
              value_cstr(&f->arena, "0.010"));
    struct value *doc = value_copy(&f->arena, old);
    value_set(&f->arena, value_ensure_map(&f->arena, value_get(doc, "metadata"), "labels"), "a",
              value_cstr(&f->arena, "b"));
    assert_int_equal(fixture_check_value(f, doc, old), 0);
    value_set(&f->arena, value_path(value_item(value_path(doc, "spec.containers"), 0), "resources.requests"), "cpu",
              value_cstr(&f->arena, "20m"));
    assert_int_equal(fixture_check_value(f, doc, old), ERR_INVALID);
}

static void a_selector_that_was_kept_with_empty_parts_is_the_same_without(void **state)
{
    struct fixture *f = *state;
#define DEPLOYMENT(selector)                                                                                           \
    "{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}, spec: {selector: {" selector "}, template: "         \
    "{metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}}}"
    struct value *old = fixture_read(f, DEPLOYMENT("matchLabels: {a: b}, matchExpressions: []"));
    assert_int_equal(fixture_check_value(f, fixture_read(f, DEPLOYMENT("matchLabels: {a: b}")), old), 0);
    struct value *other =
        fixture_read(f, DEPLOYMENT("matchLabels: {a: b}, matchExpressions: [{key: a, operator: Exists}]"));
    assert_int_equal(fixture_check_value(f, other, old), ERR_INVALID);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(values_of_pods_are_compared_by_meaning),
        TEST(other_values_are_compared_by_meaning),
        TEST(one_meaning_is_kept_as_one_text),
        TEST(a_pod_that_was_kept_in_another_spelling_can_be_changed),
        TEST(a_selector_that_was_kept_with_empty_parts_is_the_same_without),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
