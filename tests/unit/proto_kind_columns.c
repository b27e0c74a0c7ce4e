/* Tables of `get`: the cells of every kind. */
#include <stdlib.h>

#include "tests/unit/proto_kind_fixture.h"

#define NOW "2026-01-01T01:00:00Z"

/* The cell below a title must show this. */
static void assert_cell(const struct object *o, const char *title, const char *expected)
{
    CLEANUP_BUF struct buf out = BUF_INIT;
    int64_t now_ms;
    assert_true(timefmt_parse(STR(NOW), &now_ms));
    for (unsigned i = 0; i < o->kind->columns_count; i++) {
        const struct column *c = &o->kind->columns[i];
        if (strcmp(c->title, title) == 0) {
            assert_non_null(c->cell);
            c->cell(&out, o, now_ms);
            assert_string_equal(buf_cstr(&out), expected);
            return;
        }
    }
    fail_msg("no column %s", title);
}

struct pod_row {
    const char *status; /* members of the pod after spec, in flow style */
    const char *init;   /* members of spec */
    const char *ready, *text, *restarts;
};

static void check_pod(struct fixture *f, const struct pod_row *row, const char *meta)
{
    char yaml[2048];
    snprintf(yaml, sizeof(yaml),
             "{apiVersion: v1, kind: Pod, metadata: {name: p%s}, spec: {%s containers: [{name: a, image: i}, {name: b, "
             "image: i}]}, status: {%s}}",
             meta, row->init, row->status);
    CLEANUP_OBJECT struct object *o = fixture_object(f, yaml);
    assert_cell(o, "READY", row->ready);
    assert_cell(o, "STATUS", row->text);
    assert_cell(o, "RESTARTS", row->restarts);
}

#define RUNNING(name)         "{name: " name ", ready: true, state: {running: {}}}"
#define WAITING(name, reason) "{name: " name ", state: {waiting: {reason: " reason "}}}"
#define ENDED(name, rest)     "{name: " name ", state: {terminated: {" rest "}}}"

static void the_status_of_a_pod_says_what_it_is_about(void **state)
{
    static const struct pod_row rows[] = {
        {"phase: Pending", "", "0/2", "Pending", "0"},
        {"phase: Running, containerStatuses: [" RUNNING("a") ", " RUNNING("b") "]", "", "2/2", "Running", "0"},
        {"phase: Pending, containerStatuses: [" WAITING("a", "ContainerCreating") ", " RUNNING("b") "]", "", "1/2",
         "ContainerCreating", "0"},
        {"phase: Running, containerStatuses: [" RUNNING("a") ", " WAITING("b", "ImagePullBackOff") "]", "", "1/2",
         "ImagePullBackOff", "0"},
        {"phase: Failed, containerStatuses: [" ENDED("a", "exitCode: 1, reason: Error") "]", "", "0/2", "Error", "0"},
        {"phase: Failed, containerStatuses: [" ENDED("a", "exitCode: 3") "]", "", "0/2", "ExitCode:3", "0"},
        {"phase: Failed, containerStatuses: [" ENDED("a", "exitCode: 137, signal: 9") "]", "", "0/2", "Signal:9", "0"},
        {"phase: Succeeded, containerStatuses: [" ENDED("a", "reason: Completed") ", " ENDED("b",
                                                                                             "reason: Completed") "]",
         "", "0/2", "Completed", "0"},
        {"phase: Running, containerStatuses: [" ENDED("a", "reason: Completed") ", " RUNNING(
             "b") "], conditions: [{type: Ready, status: 'True'}]",
         "", "1/2", "Running", "0"},
        {"phase: Running, containerStatuses: [" ENDED("a", "reason: Completed") ", " RUNNING("b") "]", "", "1/2",
         "NotReady", "0"},
        {"phase: Failed, reason: Evicted", "", "0/2", "Evicted", "0"},
        {"phase: Pending, conditions: [{type: PodScheduled, status: 'False', reason: SchedulingGated}]", "", "0/2",
         "SchedulingGated", "0"},
        {"", "", "0/2", "Unknown", "0"},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        check_pod(*state, &rows[i], "");
    }
}

#define INITS "initContainers: [{name: x, image: i}, {name: s, image: i, restartPolicy: Always}],"

static void init_containers_come_first(void **state)
{
    static const struct pod_row rows[] = {
        {"phase: Pending, initContainerStatuses: [{name: x, state: {running: {}}}, {name: s}]", INITS, "0/3",
         "Init:0/2", "0"},
        {"phase: Pending, initContainerStatuses: [" ENDED("x", "exitCode: 0") ", {name: s}]", INITS, "0/3", "Init:1/2",
         "0"},
        {"phase: Pending, initContainerStatuses: [" ENDED("x", "exitCode: 2, reason: Error") "]", INITS, "0/3",
         "Init:Error", "0"},
        {"phase: Pending, initContainerStatuses: [" WAITING("x", "CrashLoopBackOff") "]", INITS, "0/3",
         "Init:CrashLoopBackOff", "0"},
        {"phase: Pending, initContainerStatuses: [" WAITING("x", "PodInitializing") "]", INITS, "0/3", "Init:0/2", "0"},
        {"phase: Running, initContainerStatuses: [{name: x, restartCount: 4, state: {terminated: {exitCode: 0}}}, "
         "{name: s, "
         "ready: true, started: true, restartCount: 1, state: {running: {}}}], containerStatuses: [" RUNNING(
             "a") ", " RUNNING("b") "]",
         INITS, "3/3", "Running", "1"},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        check_pod(*state, &rows[i], "");
    }
}

static void restarts_tell_when_the_last_one_was(void **state)
{
    static const struct pod_row row = {
        "phase: Running, containerStatuses: [{name: a, restartCount: 2, ready: true, state: {running: {}}, lastState: "
        "{terminated: {finishedAt: '2026-01-01T00:59:50Z'}}}, {name: b, restartCount: 1}]",
        "", "1/2", "Running", "3 (10s ago)"};
    check_pod(*state, &row, "");
}

static void a_pod_that_is_deleted_terminates(void **state)
{
    static const struct pod_row rows[] = {
        {"phase: Running, containerStatuses: [" RUNNING("a") "]", "", "1/2", "Terminating", "0"},
        {"phase: Running, reason: NodeLost", "", "0/2", "Unknown", "0"},
        {"phase: Succeeded, containerStatuses: [" ENDED("a", "reason: Completed") "]", "", "0/2", "Completed", "0"},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        check_pod(*state, &rows[i], ", deletionTimestamp: '2026-01-01T00:00:00Z'");
    }
}

static void wide_pods_show_where_they_are(void **state)
{
    struct fixture *f = *state;
    CLEANUP_OBJECT struct object *o = fixture_object(
        f,
        "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {nodeName: n1, readinessGates: [{conditionType: a/b}, "
        "{conditionType: c/d}]}, status: {podIP: 10.1.2.3, conditions: [{type: a/b, status: 'True'}]}}");
    assert_cell(o, "IP", "10.1.2.3");
    assert_cell(o, "NODE", "n1");
    assert_cell(o, "NOMINATED NODE", "<none>");
    assert_cell(o, "READINESS GATES", "1/2");
}

static void workloads_show_their_numbers(void **state)
{
    struct fixture *f = *state;
#define SPEC                                                                                                           \
    "spec: {replicas: 3, selector: {matchLabels: {app: a}, matchExpressions: [{key: t, operator: In, values: [u, "     \
    "v]}]}, "                                                                                                          \
    "template: {spec: {containers: [{name: c, image: i:1}, {name: d, image: j}]}}}, "
    CLEANUP_OBJECT struct object *d =
        fixture_object(f, "{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}, " SPEC
                          "status: {replicas: 4, updatedReplicas: 2, readyReplicas: 3, availableReplicas: 1}}");
    assert_cell(d, "READY", "3/3");
    assert_cell(d, "UP-TO-DATE", "2");
    assert_cell(d, "AVAILABLE", "1");
    assert_cell(d, "CONTAINERS", "c,d");
    assert_cell(d, "IMAGES", "i:1,j");
    assert_cell(d, "SELECTOR", "app=a,t in (u,v)");
    CLEANUP_OBJECT struct object *r = fixture_object(
        f, "{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: r}, " SPEC "status: {replicas: 2}}");
    assert_cell(r, "DESIRED", "3");
    assert_cell(r, "CURRENT", "2");
    assert_cell(r, "READY", "0");
}

static void nodes_show_state_and_make(void **state)
{
    struct fixture *f = *state;
    CLEANUP_OBJECT struct object *o = fixture_object(
        f,
        "{apiVersion: v1, kind: Node, metadata: {name: n1, labels: {node-role.kubernetes.io/worker: '', "
        "node-role.kubernetes.io/gpu: '', kubernetes.io/role: db}}, spec: {unschedulable: true}, status: {conditions: "
        "[{type: Ready, status: 'True'}], addresses: [{type: InternalIP, address: 10.0.0.1}], nodeInfo: "
        "{kubeletVersion: "
        "v1, kernelVersion: '6.1', osImage: Debian}}}");
    assert_cell(o, "STATUS", "Ready,SchedulingDisabled");
    assert_cell(o, "ROLES", "db,gpu,worker");
    assert_cell(o, "VERSION", "v1");
    assert_cell(o, "INTERNAL-IP", "10.0.0.1");
    assert_cell(o, "EXTERNAL-IP", "<none>");
    assert_cell(o, "OS-IMAGE", "Debian");
    assert_cell(o, "CONTAINER-RUNTIME", "<unknown>");
    CLEANUP_OBJECT struct object *bare = fixture_object(f, "{apiVersion: v1, kind: Node, metadata: {name: n1}}");
    assert_cell(bare, "STATUS", "Unknown");
    assert_cell(bare, "ROLES", "<none>");
    CLEANUP_OBJECT struct object *lost = fixture_object(
        f,
        "{apiVersion: v1, kind: Node, metadata: {name: n1}, status: {conditions: [{type: Ready, status: Unknown}]}}");
    assert_cell(lost, "STATUS", "NotReady");
}

static void config_namespaces_and_events_show_their_cells(void **state)
{
    struct fixture *f = *state;
    CLEANUP_OBJECT struct object *m = fixture_object(
        f, "{apiVersion: v1, kind: ConfigMap, metadata: {name: m}, data: {a: b, c: d}, binaryData: {e: eHg=}}");
    assert_cell(m, "DATA", "3");
    CLEANUP_OBJECT struct object *s =
        fixture_object(f, "{apiVersion: v1, kind: Secret, metadata: {name: s}, type: Opaque, data: {e: eHg=}}");
    assert_cell(s, "DATA", "1");
    assert_cell(s, "TYPE", "Opaque");
    CLEANUP_OBJECT struct object *n =
        fixture_object(f, "{apiVersion: v1, kind: Namespace, metadata: {name: s}, status: {phase: Active}}");
    assert_cell(n, "STATUS", "Active");
    CLEANUP_OBJECT struct object *e = fixture_object(
        f, "{apiVersion: v1, kind: Event, metadata: {name: e}, involvedObject: {kind: ReplicaSet, name: web}, reason: "
           "Made, "
           "message: \"made it\\n\", type: Normal, firstTimestamp: '2026-01-01T00:00:00Z', lastTimestamp: "
           "'2026-01-01T00:58:00Z', count: 4, source: {component: x, host: n1}}");
    assert_cell(e, "LAST SEEN", "2m");
    assert_cell(e, "FIRST SEEN", "60m");
    assert_cell(e, "TYPE", "Normal");
    assert_cell(e, "REASON", "Made");
    assert_cell(e, "OBJECT", "replicaset/web");
    assert_cell(e, "SOURCE", "x, n1");
    assert_cell(e, "MESSAGE", "made it");
    assert_cell(e, "COUNT", "4");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_status_of_a_pod_says_what_it_is_about),
        TEST(init_containers_come_first),
        TEST(restarts_tell_when_the_last_one_was),
        TEST(a_pod_that_is_deleted_terminates),
        TEST(wide_pods_show_where_they_are),
        TEST(workloads_show_their_numbers),
        TEST(nodes_show_state_and_make),
        TEST(config_namespaces_and_events_show_their_cells),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
