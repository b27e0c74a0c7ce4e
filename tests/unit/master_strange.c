/* Objects as no API lets them in, with every value in every place replaced by one of another type or size: as a newer
 * or a damaged program may have stored them. No controller and no scheduler ends the process for them. Each kind's
 * cases run in a process of their own, so that all that fail are told. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "controllers/controller.h"
#include "proto/text/text.h"
#include "scheduler/scheduler.h"
#include "tests/script/stage.h"

struct fixture {
    struct stage stage;
    struct controllers *controllers;
    struct scheduler *scheduler;
};

static int submit(void *data, const struct txn *t, struct error *err)
{
    return stage_submit(&((struct fixture *)data)->stage, t, err);
}

static const struct view *tip(void *data)
{
    return stage_tip(&((struct fixture *)data)->stage);
}

static void observe(void *data, const struct change *changes, unsigned count)
{
    struct fixture *f = data;
    controllers_observe(f->controllers, changes, count);
    scheduler_observe(f->scheduler, changes, count);
}

static int64_t always_heard(void *data, struct str node)
{
    (void)data;
    (void)node;
    return 60000; /* longer than the grace: nodes are looked at as well */
}

static void open_fixture(struct fixture *f)
{
    static const struct log silent = {.name = "test", .level = LOG_LEVEL_OFF};
    memset(f, 0, sizeof *f);
    stage_open(&f->stage, 1);
    f->controllers = controllers_new(&(struct controllers_config){.env = &f->stage.env,
                                                                  .log = &silent,
                                                                  .seed = 1,
                                                                  .soft = {f, always_heard, 40000},
                                                                  .submit = submit,
                                                                  .tip = tip,
                                                                  .data = f});
    f->scheduler = scheduler_new(&(struct scheduler_config){.env = &f->stage.env, .log = &silent, .seed = 1});
    f->stage.hooks = (struct stage_hooks){f, observe, NULL, NULL};
    stage_apply(&f->stage, "namespace default\nnode n1\nnode n2");
}

static void close_fixture(struct fixture *f)
{
    controllers_free(f->controllers);
    scheduler_free(f->scheduler);
    f->stage.hooks = (struct stage_hooks){0};
    stage_close(&f->stage);
}

/* Some turns, in which minutes pass. */
static void let_decide(struct fixture *f)
{
    for (unsigned i = 0; i < 5; i++) {
        struct txn t;
        struct error err = {0};
        for (unsigned n = 0;
             n < 3 && view_count(stage_tip(&f->stage), NULL) < 200 && controllers_run(f->controllers, 1); n++) {
        }
        txn_init(&t, "scheduler");
        scheduler_run(f->scheduler, stage_tip(&f->stage), STAGE_START_MS + f->stage.now_ms, 64, &t);
        if (t.count > 0 && stage_submit(&f->stage, &t, &err) != 0) {
            scheduler_failed(f->scheduler, &t);
        }
        txn_close(&t);
        f->stage.now_ms += 1000 << 2 * i;
    }
}

/* ---- The cases ---- */

static const char *const substitutes[] = {"-1", "9223372036854775807", "x", "[1, x]", "{a: 1}"};

struct cases {
    struct fixture *f;
    struct arena *a;
    const struct kind *kind;
    struct value *root;
    unsigned at, from; /* the case that is tried next; those before are passed over */
    char *shown;       /* shared */
    unsigned *reached; /* shared */
};

static int put(struct fixture *f, const struct kind *k, struct value *doc)
{
    struct txn t;
    struct error err = {0};
    txn_init(&t, "test");
    int rc = txn_create_value(&t, k, doc, &err);
    rc = rc == 0 ? stage_submit(&f->stage, &t, &err) : rc;
    txn_close(&t);
    return rc;
}

static void try_one(struct cases *c, const char *path, const char *with)
{
    const struct kind *k = c->kind;
    *c->reached = c->at;
    alarm(60); /* for each case */
    snprintf(c->shown, 512, "%s %s = %s", k->name, path, with);
    struct fixture f;
    open_fixture(&f);
    if (put(&f, k, c->root) == 0) {
        let_decide(&f);
        controllers_resync(f.controllers); /* as the next leader */
        scheduler_free(f.scheduler);
        f.scheduler = scheduler_new(&(struct scheduler_config){.env = &f.stage.env, .log = NULL, .seed = 1});
        scheduler_resync(f.scheduler, stage_tip(&f.stage));
        let_decide(&f);
    }
    close_fixture(&f);
}

static void walk(struct cases *c, struct value *v, const char *path)
{
    unsigned count = v->type == VALUE_MAP ? v->map.count : v->type == VALUE_LIST ? v->list.count : 0;
    for (unsigned i = 0; i < count; i++) {
        struct value **place = v->type == VALUE_MAP ? &v->map.members[i].value : &v->list.items[i];
        struct value *was = *place;
        const char *here = v->type == VALUE_MAP ? arena_printf(c->a, "%s.%.*s", path, STR_ARG(v->map.members[i].key))
                                                : arena_printf(c->a, "%s[%u]", path, i);
        for (unsigned s = 0; s < ARRAY_SIZE(substitutes); s++, c->at++) {
            struct value **docs;
            unsigned n;
            bool crowd = strcmp(here, ".spec.replicas") == 0; /* controllers_runtime has it: it takes long */
            if (c->at >= c->from && !crowd && yaml_read(c->a, str_of(substitutes[s]), NULL, &docs, &n, NULL) == 0) {
                *place = docs[0];
                try_one(c, here, substitutes[s]);
                *place = was;
            }
        }
        walk(c, was, here);
    }
}

/* From case `from` on; does not return. */
static void run_cases(const char *yaml, unsigned from, char *shown, unsigned *reached)
{
    struct arena a;
    struct value **docs;
    unsigned count;
    struct error err = {0};
    arena_init(&a);
    if (yaml_read(&a, str_of(yaml), NULL, &docs, &count, &err) != 0) {
        _exit(1);
    }
    struct cases c = {.a = &a,
                      .kind = kind_by_name(value_path_str(docs[0], "kind")),
                      .root = docs[0],
                      .from = from,
                      .shown = shown,
                      .reached = reached};
    if (freopen("/dev/null", "w", stderr) == NULL) {
        _exit(1);
    }
    static const int signals[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    for (unsigned i = 0; i < ARRAY_SIZE(signals); i++) {
        signal(signals[i], SIG_DFL); /* cmocka has its own */
    }
    walk(&c, docs[0], "");
    _exit(0);
}

static void nothing_stops(const char *yaml)
{
    char *shown = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    unsigned *reached = (unsigned *)(void *)(shown + 1024), from = 0, failed = 0;
    for (int status = 1; status != 0 && failed < 40;) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            run_cases(yaml, from, shown, reached);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (status != 0) {
            print_error("%s: status 0x%x\n", shown, (unsigned)status);
            from = *reached + 1;
            failed++;
        }
    }
    munmap(shown, 4096);
    assert_int_equal(failed, 0);
}

#define SPEC                                                                                                           \
    "spec: {nodeSelector: {a: b}, tolerations: [{key: a, operator: Exists, effect: NoExecute, tolerationSeconds: "     \
    "5}], "                                                                                                            \
    "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: "                   \
    "[{matchExpressions: "                                                                                             \
    "[{key: a, operator: In, values: [b]}]}]}, preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, "         \
    "preference: "                                                                                                     \
    "{matchExpressions: [{key: a, operator: Gt, values: ['1']}]}}]}}, terminationGracePeriodSeconds: 3, priority: 5, " \
    "initContainers: [{name: i, image: i, resources: {requests: {cpu: 1, memory: 1Mi}}}], containers: [{name: c, "     \
    "image: i, ports: [{containerPort: 80, hostPort: 80, protocol: TCP}], resources: {requests: {cpu: 100m, memory: "  \
    "1Mi, example.com/x: '1'}, limits: {cpu: 1}}}]}"
#define META(rest) "metadata: {name: x, namespace: default, uid: u1, labels: {a: b}, annotations: {c: d}" rest "}"
#define OWNER                                                                                                          \
    ", ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: r, uid: u2, controller: true, "                 \
    "blockOwnerDeletion: true}]"
#define GOING                                                                                                          \
    ", finalizers: [foregroundDeletion], deletionTimestamp: '2026-01-01T00:00:00Z', deletionGracePeriodSeconds: 1"

static void pods_of_any_shape_stop_nothing(void **state)
{
    (void)state;
    nothing_stops("{apiVersion: v1, kind: Pod, " META(OWNER) ", " SPEC "}");
    nothing_stops("{apiVersion: v1, kind: Pod, " META(
        GOING) ", spec: {nodeName: n1, containers: [{name: c, image: i}]}, "
               "status: {phase: Running, podIP: 1.2.3.4, startTime: '2026-01-01T00:00:00Z', conditions: [{type: "
               "Ready, status: 'True', lastTransitionTime: '2026-01-01T00:00:00Z'}], containerStatuses: [{name: c, "
               "ready: true, restartCount: 1, state: {running: {startedAt: '2026-01-01T00:00:00Z'}}}]}}");
}

static void workloads_of_any_shape_stop_nothing(void **state)
{
    (void)state;
    nothing_stops("{apiVersion: apps/v1, kind: Deployment, metadata: {name: x, namespace: default, generation: 1, "
                  "labels: {a: b}, annotations: "
                  "{deployment.kubernetes.io/revision: '1'}}, spec: {replicas: 2, paused: false, revisionHistoryLimit: "
                  "1, minReadySeconds: 1, "
                  "progressDeadlineSeconds: 10, strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 25%, "
                  "maxUnavailable: 1}}, selector: "
                  "{matchLabels: {a: b}, matchExpressions: [{key: a, operator: In, values: [b]}]}, template: "
                  "{metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: "
                  "i}]}}}, status: {replicas: 1, observedGeneration: 1, updatedReplicas: 1, collisionCount: 1, "
                  "conditions: [{type: Progressing, status: 'True', "
                  "reason: X, lastUpdateTime: '2026-01-01T00:00:00Z', lastTransitionTime: '2026-01-01T00:00:00Z'}]}}");
    nothing_stops("{apiVersion: apps/v1, kind: ReplicaSet, " META(
        "") ", spec: {replicas: 2, minReadySeconds: 1, selector: {matchLabels: {a: b}}, template: {metadata: "
            "{labels: {a: b}, annotations: {e: f}}, spec: {containers: [{name: c, image: i}]}}}, status: {replicas: 1, "
            "readyReplicas: 1, conditions: [{type: ReplicaFailure, status: 'True'}]}}");
    nothing_stops("{apiVersion: apps/v1, kind: ReplicaSet, " META(
        GOING) ", spec: {replicas: 0, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, "
               "spec: {containers: [{name: c, image: i}]}}}}");
}

static void the_rest_of_any_shape_stops_nothing(void **state)
{
    (void)state;
    nothing_stops("{apiVersion: v1, kind: Node, metadata: {name: x, uid: u1, labels: {a: b}}, spec: {podCIDR: "
                  "10.1.0.0/24, podCIDRs: [10.1.0.0/24], unschedulable: false, "
                  "taints: [{key: a, value: b, effect: NoExecute, timeAdded: '2026-01-01T00:00:00Z'}]}, status: "
                  "{allocatable: {cpu: 2, memory: 1Gi, pods: 10}, capacity: "
                  "{cpu: 2, memory: 1Gi}, addresses: [{type: InternalIP, address: 1.2.3.4}], images: [{names: [i], "
                  "sizeBytes: 1}], conditions: [{type: Ready, status: 'True', "
                  "lastHeartbeatTime: '2026-01-01T00:00:00Z', lastTransitionTime: '2026-01-01T00:00:00Z'}]}}");
    nothing_stops("{apiVersion: v1, kind: Namespace, metadata: {name: x, deletionTimestamp: '2026-01-01T00:00:00Z', "
                  "finalizers: [a/b]}, spec: {finalizers: [kubernetes]}, status: "
                  "{phase: Terminating, conditions: [{type: NamespaceContentRemaining, status: 'True'}]}}");
    nothing_stops("{apiVersion: v1, kind: Event, " META(
        "") ", involvedObject: {kind: Pod, name: p, namespace: default, uid: u}, reason: R, message: m, count: 1, "
            "type: Normal, "
            "firstTimestamp: '2026-01-01T00:00:00Z', lastTimestamp: '2026-01-01T00:00:00Z', source: {component: c}}");
    nothing_stops("{apiVersion: v1, kind: ConfigMap, " META(
        OWNER ", finalizers: [orphan], deletionTimestamp: '2026-01-01T00:00:00Z'") ", data: {a: b}}");
    nothing_stops("{apiVersion: v1, kind: Secret, metadata: {name: bootstrap-token-abcdef, namespace: kube-system}, "
                  "type: bootstrap.kubernetes.io/token, data: {token-id: YWJjZGVm, "
                  "expiration: MjAyNi0wMS0wMVQwMDowMDowMFo=}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pods_of_any_shape_stop_nothing),
        cmocka_unit_test(workloads_of_any_shape_stop_nothing),
        cmocka_unit_test(the_rest_of_any_shape_stops_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
