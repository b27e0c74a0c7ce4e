/* Pods: defaults, rules, and what may change. */
#include <stdlib.h>

#include "tests/unit/proto_kind_fixture.h"

/* SPEC: members of spec in flow style, CONTAINER: further members of its only container. */
#define POD(spec, container)                                                                                           \
    "{apiVersion: v1, kind: Pod, metadata: {name: web}, spec: {" spec " containers: [{name: c, image: i, " container   \
    "}]}}"

static struct value *first_container(struct value *doc)
{
    return value_item(value_path(doc, "spec.containers"), 0);
}

/* ---- Defaults ---- */

static void a_pod_gets_the_defaults_of_the_api(void **state)
{
    struct fixture *f = *state;
    struct value *doc = fixture_good(f, POD("", "")), *c = first_container(doc);
    assert_true(str_is(value_path_str(doc, "spec.restartPolicy"), "Always"));
    assert_true(str_is(value_path_str(doc, "spec.dnsPolicy"), "ClusterFirst"));
    assert_true(str_is(value_path_str(doc, "spec.schedulerName"), "default-scheduler"));
    assert_int_equal(value_path_int(doc, "spec.terminationGracePeriodSeconds", 0), 30);
    assert_true(value_is_map(value_path(doc, "spec.securityContext")));
    assert_true(value_path_bool(doc, "spec.enableServiceLinks", false));
    assert_null(value_path(doc, "spec.serviceAccountName"));
    assert_true(str_is(value_path_str(c, "terminationMessagePath"), "/dev/termination-log"));
    assert_true(str_is(value_path_str(c, "terminationMessagePolicy"), "File"));
    assert_true(str_is(value_path_str(doc, "status.phase"), "Pending"));
    assert_true(str_is(value_path_str(doc, "status.qosClass"), "BestEffort"));
}

static void the_pull_policy_follows_the_tag(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *image, *policy;
    } rows[] = {
        {"nginx", "Always"},
        {"nginx:latest", "Always"},
        {"nginx:1.25", "IfNotPresent"},
        {"localhost:5000/nginx", "Always"},
        {"localhost:5000/nginx:1", "IfNotPresent"},
        {"nginx@sha256:abcd", "IfNotPresent"},
        {"nginx:latest@sha256:abcd", "IfNotPresent"},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        char yaml[256];
        snprintf(yaml, sizeof(yaml),
                 "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c, image: '%s'}]}}",
                 rows[i].image);
        struct value *doc = fixture_good(f, yaml);
        assert_true(str_is(value_path_str(first_container(doc), "imagePullPolicy"), rows[i].policy));
    }
}

static void probes_ports_and_volumes_get_defaults(void **state)
{
    struct fixture *f = *state;
    struct value *doc =
        fixture_good(f, POD("volumes: [{name: e}, {name: m, configMap: {name: x}}, {name: h, hostPath: {path: /x}}],",
                            "ports: [{containerPort: 80}], livenessProbe: {httpGet: {port: 80}, timeoutSeconds: 0}"));
    struct value *c = first_container(doc), *volumes = value_path(doc, "spec.volumes");
    assert_true(str_is(value_path_str(value_item(value_get(c, "ports"), 0), "protocol"), "TCP"));
    assert_true(str_is(value_path_str(c, "livenessProbe.httpGet.path"), "/"));
    assert_true(str_is(value_path_str(c, "livenessProbe.httpGet.scheme"), "HTTP"));
    assert_int_equal(value_path_int(c, "livenessProbe.timeoutSeconds", 0), 1);
    assert_int_equal(value_path_int(c, "livenessProbe.periodSeconds", 0), 10);
    assert_int_equal(value_path_int(c, "livenessProbe.successThreshold", 0), 1);
    assert_int_equal(value_path_int(c, "livenessProbe.failureThreshold", 0), 3);
    assert_null(value_path(c, "livenessProbe.initialDelaySeconds"));
    assert_true(value_is_map(value_get(value_item(volumes, 0), "emptyDir")));
    assert_int_equal(value_path_int(value_item(volumes, 1), "configMap.defaultMode", 0), 420);
    assert_true(value_is_str(value_path(value_item(volumes, 2), "hostPath.type")));
}

static void requests_follow_limits_and_give_the_class(void **state)
{
    struct fixture *f = *state;
    struct value *doc = fixture_good(f, POD("", "resources: {limits: {cpu: 500m, memory: 64Mi}}"));
    assert_true(str_is(value_path_str(first_container(doc), "resources.requests.cpu"), "500m"));
    assert_true(str_is(value_path_str(doc, "status.qosClass"), "Guaranteed"));
    doc = fixture_good(f, POD("", "resources: {limits: {cpu: 500m}, requests: {cpu: '0.1'}}"));
    assert_true(str_is(value_path_str(first_container(doc), "resources.requests.cpu"), "100m"));
    assert_true(str_is(value_path_str(doc, "status.qosClass"), "Burstable"));
}

static void checking_twice_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct value *doc = fixture_good(f, POD("volumes: [{name: e}], hostNetwork: true,",
                                            "ports: [{containerPort: 80}], resources: {limits: {cpu: 1}}"));
    struct value *copy = value_copy(&f->arena, doc);
    assert_int_equal(fixture_check_value(f, doc, NULL), 0);
    assert_true(value_equal(doc, copy));
    assert_int_equal(value_path_int(value_item(value_get(first_container(doc), "ports"), 0), "hostPort", 0), 80);
}

/* ---- Rules ---- */

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

static void a_pod_needs_containers_with_names_and_images(void **state)
{
    static const struct rule rules[] = {
        {"{apiVersion: v1, kind: Pod, metadata: {name: p}}", "spec: Required value"},
        {"{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {}}", "spec.containers: Required value"},
        {"{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: []}}", "spec.containers: Required value"},
        {"{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{image: i}]}}",
         "spec.containers[0].name: Required value"},
        {"{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c}]}}",
         "spec.containers[0].image: Required value"},
        {"{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: C_, image: i}]}}",
         "spec.containers[0].name: Invalid value: \"C_\""},
        {POD("initContainers: [{name: c, image: j}],", ""), "spec.initContainers[0].name: Duplicate value: \"c\""},
        {"{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c, image: i}, {name: c, image: "
         "i}]}}",
         "spec.containers[1].name: Duplicate value: \"c\""},
        {"{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c, image: ' i'}]}}",
         "must not have leading or trailing white space"},
    };
    check_rules(*state, rules, ARRAY_SIZE(rules));
}

static void ports_are_checked(void **state)
{
    static const struct rule rules[] = {
        {POD("", "ports: [{containerPort: 0}]"), "ports[0].containerPort: Required value"},
        {POD("", "ports: [{containerPort: 70000}]"), "must be between 1 and 65535, inclusive"},
        {POD("", "ports: [{hostPort: 80}]"), "ports[0].containerPort: Required value"},
        {POD("", "ports: [{containerPort: 80, name: Web}]"), "ports[0].name: Invalid value: \"Web\""},
        {POD("", "ports: [{containerPort: 80, name: a-name-too-long-x}]"), "at most 15"},
        {POD("", "ports: [{containerPort: 80, name: w}, {containerPort: 81, name: w}]"), "Duplicate value: \"w\""},
        {POD("", "ports: [{containerPort: 80, protocol: ICMP}]"),
         "ports[0].protocol: Unsupported value: \"ICMP\": supported values: \"TCP\", \"UDP\", \"SCTP\""},
        {POD("", "ports: [{containerPort: 80, hostPort: 8080}, {containerPort: 81, hostPort: 8080}]"),
         "ports[1].hostPort: Duplicate value: 8080"},
        {POD("", "ports: [{containerPort: 80, hostPort: 8080}, {containerPort: 81, hostPort: 8080, protocol: UDP}]"),
         NULL},
        {POD("hostNetwork: true,", "ports: [{containerPort: 80, hostPort: 81}]"), "must match `containerPort`"},
    };
    check_rules(*state, rules, ARRAY_SIZE(rules));
}

static void volumes_are_checked(void **state)
{
    static const struct rule rules[] = {
        {POD("volumes: [{name: v}, {name: v}],", ""), "spec.volumes[1].name: Duplicate value: \"v\""},
        {POD("volumes: [{emptyDir: {}}],", ""), "spec.volumes[0].name: Required value"},
        {POD("volumes: [{name: v, emptyDir: {}, hostPath: {path: /x}}],", ""),
         "spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type"},
        {POD("volumes: [{name: v, configMap: {}}],", ""), "spec.volumes[0].configMap.name: Required value"},
        {POD("volumes: [{name: v, secret: {}}],", ""), "spec.volumes[0].secret.secretName: Required value"},
        {POD("volumes: [{name: v, configMap: {name: m, defaultMode: 512}}],", ""), "between 0 and 0777"},
        {POD("volumes: [{name: v, configMap: {name: m, items: [{key: k}]}}],", ""), "items[0].path: Required value"},
        {POD("volumes: [{name: v, configMap: {name: m, items: [{key: k, path: ../x}]}}],", ""),
         "must not contain '..'"},
        {POD("volumes: [{name: v, configMap: {name: m, items: [{key: k, path: ..x}]}}],", ""),
         "must not start with '..'"},
        {POD("volumes: [{name: v, configMap: {name: m, items: [{key: k, path: /x}]}}],", ""),
         "must be a relative path"},
        {POD("volumes: [{name: v, hostPath: {path: /a/../b}}],", ""), "hostPath.path: Invalid value"},
        {POD("volumes: [{name: v, hostPath: {path: /a, type: Disk}}],", ""), "hostPath.type: Unsupported value"},
        {POD("volumes: [{name: v, hostPath: {path: /a, type: Directory}}],", ""), NULL},
        {POD("volumes: [{name: v, emptyDir: {sizeLimit: -1}}],", ""), "sizeLimit: Forbidden"},
        {POD("volumes: [{name: v, nfs: {server: s, path: x}}],", ""), "must be an absolute path"},
        {POD("volumes: [{name: v, projected: {sources: [{secret: {name: s}, configMap: {name: m}}]}}],", ""),
         "may not specify more than 1 volume type per source"},
        {POD("volumes: [{name: v, downwardAPI: {items: [{path: p, fieldRef: {fieldPath: status.podIP}}]}}],", ""),
         "fieldRef.fieldPath: Unsupported value"},
        {POD("volumes: [{name: v, downwardAPI: {items: [{path: p, fieldRef: {fieldPath: metadata.labels}}]}}],", ""),
         NULL},
        {POD("", "volumeMounts: [{name: v, mountPath: /x}]"), "volumeMounts[0].name: Not found: \"v\""},
        {POD("volumes: [{name: v}],", "volumeMounts: [{name: v, mountPath: /x}, {name: v, mountPath: /x}]"),
         "volumeMounts[1].mountPath: Invalid value: \"/x\": must be unique"},
        {POD("volumes: [{name: v}],", "volumeMounts: [{name: v, mountPath: '/x:y'}]"), NULL},
        {POD("volumes: [{name: v}],", "volumeMounts: [{name: v, mountPath: /x, subPath: ../y}]"),
         "subPath: Invalid value"},
        {POD("volumes: [{name: v}],", "volumeMounts: [{name: v}]"), "volumeMounts[0].mountPath: Required value"},
        {POD("volumes: [{name: v}],", "volumeMounts: [{name: v, mountPath: /x, mountPropagation: Bidirectional}]"),
         "only to privileged containers"},
        {POD("volumes: [{name: v}],", "volumeDevices: [{name: v, devicePath: /dev/x}]"),
         "can only use volume source type"},
    };
    check_rules(*state, rules, ARRAY_SIZE(rules));
}

static void probes_and_hooks_are_checked(void **state)
{
    static const struct rule rules[] = {
        {POD("", "livenessProbe: {}"), "livenessProbe: Required value: must specify a handler type"},
        {POD("", "livenessProbe: {exec: {command: [a]}, tcpSocket: {port: 80}}"),
         "livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type"},
        {POD("", "livenessProbe: {exec: {}}"), "livenessProbe.exec.command: Required value"},
        {POD("", "livenessProbe: {httpGet: {port: 0}}"), "httpGet.port: Invalid value: 0"},
        {POD("", "livenessProbe: {httpGet: {port: web}}"), NULL},
        {POD("", "livenessProbe: {httpGet: {port: We_b}}"), "httpGet.port: Invalid value: \"We_b\""},
        {POD("", "livenessProbe: {httpGet: {}}"), "httpGet.port: Required value"},
        {POD("", "livenessProbe: {httpGet: {port: 80, scheme: FTP}}"), "scheme: Unsupported value: \"FTP\""},
        {POD("", "livenessProbe: {httpGet: {port: 80, httpHeaders: [{name: 'a b'}]}}"), "httpHeaders[0].name"},
        {POD("", "livenessProbe: {tcpSocket: {port: 80}, successThreshold: 2}"),
         "successThreshold: Invalid value: 2: must be 1"},
        {POD("", "readinessProbe: {tcpSocket: {port: 80}, successThreshold: 2}"), NULL},
        {POD("", "readinessProbe: {grpc: {port: 80}, initialDelaySeconds: -1}"), "must be greater than or equal to 0"},
        {POD("", "readinessProbe: {grpc: {port: 80}, periodSeconds: -1}"), "must be greater than or equal to 1"},
        {POD("", "readinessProbe: {grpc: {port: 80}, terminationGracePeriodSeconds: 1}"),
         "must not be set for readinessProbes"},
        {POD("", "lifecycle: {preStop: {}}"), "lifecycle.preStop: Required value: must specify a handler type"},
        {POD("", "lifecycle: {preStop: {sleep: {seconds: 31}}}"), "must be greater than 0 and less than"},
        {POD("", "lifecycle: {preStop: {sleep: {seconds: 3}}}"), NULL},
        {POD("initContainers: [{name: i, image: i, livenessProbe: {tcpSocket: {port: 1}}}],", ""),
         "spec.initContainers[0].livenessProbe: Forbidden"},
        {POD("initContainers: [{name: i, image: i, restartPolicy: Always, livenessProbe: {tcpSocket: {port: 1}}}],",
             ""),
         NULL},
        {POD("", "restartPolicy: Always"), "may not be set for non-init containers"},
    };
    check_rules(*state, rules, ARRAY_SIZE(rules));
}

static void environment_and_resources_are_checked(void **state)
{
    static const struct rule rules[] = {
        {POD("", "env: [{name: 1A, value: x}]"), "env[0].name: Invalid value: \"1A\""},
        {POD("", "env: [{name: A.b-C_9, value: x}]"), NULL},
        {POD("", "env: [{value: x}]"), "env[0].name: Required value"},
        {POD("", "env: [{name: A, valueFrom: {}}]"), "must specify one of: `fieldRef`"},
        {POD("", "env: [{name: A, value: x, valueFrom: {fieldRef: {fieldPath: status.podIP}}}]"),
         "may not be specified when `value` is not empty"},
        {POD("", "env: [{name: A, valueFrom: {fieldRef: {fieldPath: status.podIP}}}]"), NULL},
        {POD("", "env: [{name: A, valueFrom: {fieldRef: {fieldPath: spec.foo}}}]"),
         "fieldPath: Unsupported value: \"spec.foo\""},
        {POD("", "env: [{name: A, valueFrom: {fieldRef: {fieldPath: 'metadata.labels[''app'']'}}}]"), NULL},
        {POD("", "env: [{name: A, valueFrom: {configMapKeyRef: {name: m, key: ..k}}}]"),
         "configMapKeyRef.key: Invalid value"},
        {POD("", "env: [{name: A, valueFrom: {secretKeyRef: {key: k}}}]"), "secretKeyRef.name: Required value"},
        {POD("", "env: [{name: A, valueFrom: {resourceFieldRef: {resource: limits.fun}}}]"),
         "resource: Unsupported value"},
        {POD("", "envFrom: [{}]"), "envFrom[0]: Invalid value"},
        {POD("", "envFrom: [{configMapRef: {name: m}}]"), NULL},
        {POD("", "resources: {limits: {cpu: 1}, requests: {cpu: 2}}"),
         "resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1"},
        {POD("", "resources: {requests: {memory: -1Mi}}"), "requests[memory]: Invalid value: \"-1Mi\""},
        {POD("", "resources: {limits: {fun: 1}}"), "must be a standard resource"},
        {POD("", "resources: {limits: {example.com/gpu: 1.5}}"), "must be an integer"},
        {POD("", "resources: {limits: {example.com/gpu: 2}, requests: {example.com/gpu: 1}}"), "must be equal to"},
        {POD("", "resources: {claims: [{name: x}]}"), "claims[0].name: Not found"},
        {POD("", "imagePullPolicy: Often"), "imagePullPolicy: Unsupported value: \"Often\""},
        {POD("", "securityContext: {runAsUser: -1}"), "runAsUser: Invalid value: -1"},
    };
    check_rules(*state, rules, ARRAY_SIZE(rules));
}

static void the_spec_is_checked(void **state)
{
    static const struct rule rules[] = {
        {POD("restartPolicy: Sometimes,", ""), "spec.restartPolicy: Unsupported value: \"Sometimes\""},
        {POD("terminationGracePeriodSeconds: -1,", ""), "must be greater than or equal to 0"},
        {POD("activeDeadlineSeconds: 0,", ""), "spec.activeDeadlineSeconds: Invalid value: 0"},
        {POD("nodeName: N1,", ""), "spec.nodeName: Invalid value: \"N1\""},
        {POD("nodeSelector: {'a b': c},", ""), "spec.nodeSelector: Invalid value: \"a b\""},
        {POD("hostname: a.b,", ""), "spec.hostname: Invalid value"},
        {POD("tolerations: [{operator: Equal}],", ""), "operator must be Exists when `key` is empty"},
        {POD("tolerations: [{operator: Exists}],", ""), NULL},
        {POD("tolerations: [{key: a, operator: Exists, value: b}],", ""), "value must be empty"},
        {POD("tolerations: [{key: a, effect: Never}],", ""), "effect: Unsupported value"},
        {POD("tolerations: [{key: a, tolerationSeconds: 3}],", ""), "effect must be 'NoExecute'"},
        {POD("dnsPolicy: None,", ""), "spec.dnsConfig: Required value"},
        {POD("dnsConfig: {nameservers: [here]},", ""), "must be a valid IP address"},
        {POD("hostAliases: [{ip: 1.2.3, hostnames: [a]}],", ""), "hostAliases[0].ip: Invalid value"},
        {POD("hostAliases: [{ip: '::1', hostnames: [a.b]}],", ""), NULL},
        {POD("hostPID: true, shareProcessNamespace: true,", ""), "cannot both be true"},
        {POD("schedulingGates: [{name: g}], nodeName: n1,", ""), "until all schedulingGates have been cleared"},
        {POD("ephemeralContainers: [{name: e, image: i}],", ""), "spec.ephemeralContainers: Forbidden"},
        {POD("affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: "
             "[{matchExpressions: [{key: a, operator: In}]}]}}},",
             ""),
         "matchExpressions[0].values: Required value"},
        {POD("affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: "
             "[{matchExpressions: [{key: a, operator: Gt, values: ['4']}]}]}}},",
             ""),
         NULL},
        {POD("affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 101, preference: "
             "{matchExpressions: [{key: a, operator: Exists}]}}]}},",
             ""),
         "weight: Invalid value: 101: must be between 1 and 100"},
        {POD("affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{labelSelector: {}}]}},",
             ""),
         "topologyKey: Required value"},
        {POD("topologySpreadConstraints: [{maxSkew: 0, topologyKey: a, whenUnsatisfiable: DoNotSchedule}],", ""),
         "maxSkew: Invalid value: 0"},
        {POD("topologySpreadConstraints: [{maxSkew: 1, topologyKey: a, whenUnsatisfiable: ScheduleAnyway}, {maxSkew: "
             "1, "
             "topologyKey: a, whenUnsatisfiable: ScheduleAnyway}],",
             ""),
         "Duplicate value: \"a\""},
    };
    check_rules(*state, rules, ARRAY_SIZE(rules));
}

/* ---- Changes ---- */

static void a_pod_can_change_images_deadlines_and_tolerations(void **state)
{
    struct fixture *f = *state;
    const char *before = POD("tolerations: [{key: a, operator: Exists}], activeDeadlineSeconds: 50,", "");
    fixture_change(f, before,
                   "{apiVersion: v1, kind: Pod, metadata: {name: web, labels: {a: b}}, spec: {"
                   "activeDeadlineSeconds: 40, tolerations: [{key: a, operator: Exists}, {key: b, operator: Exists}], "
                   "containers: [{name: c, image: j:2, imagePullPolicy: Always}]}}",
                   NULL);
    fixture_change(f, before, POD("activeDeadlineSeconds: 50,", ""), "spec.tolerations: Forbidden");
    fixture_change(f, before, POD("tolerations: [{key: a, operator: Exists}], activeDeadlineSeconds: 60,", ""),
                   "must be less than or equal to previous value 50");
}

static void a_pod_cannot_change_otherwise(void **state)
{
    struct fixture *f = *state;
    static const char *const after[] = {
        POD("", "command: [x]"),
        POD("", "env: [{name: A, value: b}]"),
        POD("", "resources: {limits: {cpu: 1}}"),
        POD("restartPolicy: Never,", ""),
        POD("volumes: [{name: v}],", ""),
        "{apiVersion: v1, kind: Pod, metadata: {name: web}, spec: {containers: [{name: d, image: i}]}}",
    };
    for (unsigned i = 0; i < ARRAY_SIZE(after); i++) {
        fixture_change(f, POD("", ""), after[i], "spec: Forbidden: pod updates may not change fields other than");
    }
    fixture_change(f, POD("", ""), POD("initContainers: [{name: x, image: z}],", ""),
                   "spec.initContainers: Forbidden: pod updates may not add or remove containers");
}

static void a_pod_is_bound_once(void **state)
{
    struct fixture *f = *state;
    fixture_change(f, POD("", ""), POD("nodeName: n1,", ""), NULL);
    fixture_change(f, POD("nodeName: n1,", ""), POD("nodeName: n2,", ""), "spec: Forbidden");
    fixture_change(f, POD("nodeName: n1,", ""), POD("", ""), "spec: Forbidden");
}

static void defaults_that_an_old_pod_lacks_are_no_change(void **state)
{
    struct fixture *f = *state;
    struct value *old = fixture_read(f, POD("", "")), *doc = fixture_read(f, POD("nodeName: n1,", ""));
    assert_int_equal(fixture_check_value(f, doc, old), 0);
    assert_null(value_path(old, "spec.restartPolicy")); /* the old document stays as it is */
}

static void ephemeral_containers_are_checked(void **state)
{
    struct fixture *f = *state;
    fixture_change(
        f, POD("", ""),
        POD("ephemeralContainers: [{name: e, image: i, imagePullPolicy: Always, targetContainerName: c}],", ""), NULL);
    fixture_change(f, POD("", ""), POD("ephemeralContainers: [{name: e, image: i, targetContainerName: x}],", ""),
                   "targetContainerName: Not found");
    fixture_change(f, POD("", ""), POD("ephemeralContainers: [{name: e, image: i, ports: [{containerPort: 1}]}],", ""),
                   "ports: Forbidden");
}

/* As many as a list may have, in the other order, each for another time. */
static void many_tolerations_may_change_their_order(void **state)
{
    struct fixture *f = *state;
    struct value *old = fixture_good(f, POD("tolerations: [],", "")),
                 *doc = fixture_read(f, POD("tolerations: [],", ""));
    struct value *spec = value_get(doc, "spec"), *before = value_get(old, "spec");
    struct value *now = value_list(&f->arena), *was = value_list(&f->arena);
    for (unsigned i = 0; i < KIND_LIST_MAX; i++) {
        for (unsigned k = 0; k < 2; k++) {
            struct value *t = value_map(&f->arena);
            value_set(&f->arena, t, "key", value_strf(&f->arena, "k%u", k == 0 ? i : KIND_LIST_MAX - 1 - i));
            value_set(&f->arena, t, "operator", value_cstr(&f->arena, "Exists"));
            value_set(&f->arena, t, "effect", value_cstr(&f->arena, "NoExecute"));
            value_set(&f->arena, t, "tolerationSeconds", value_int(&f->arena, k));
            value_append(&f->arena, k == 0 ? was : now, t);
        }
    }
    value_set(&f->arena, before, "tolerations", was);
    value_set(&f->arena, spec, "tolerations", now);
    assert_int_equal(fixture_check_value(f, value_copy(&f->arena, doc), old), 0);
    value_set(&f->arena, value_item(now, 500), "effect", value_cstr(&f->arena, "NoSchedule"));
    value_remove(value_item(now, 500), "tolerationSeconds");
    assert_int_equal(fixture_check_value(f, doc, old), ERR_INVALID);
    assert_non_null(strstr(f->err.message, "existing toleration can not be modified"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_pod_gets_the_defaults_of_the_api),
        TEST(the_pull_policy_follows_the_tag),
        TEST(probes_ports_and_volumes_get_defaults),
        TEST(requests_follow_limits_and_give_the_class),
        TEST(checking_twice_changes_nothing),
        TEST(a_pod_needs_containers_with_names_and_images),
        TEST(ports_are_checked),
        TEST(volumes_are_checked),
        TEST(probes_and_hooks_are_checked),
        TEST(environment_and_resources_are_checked),
        TEST(the_spec_is_checked),
        TEST(a_pod_can_change_images_deadlines_and_tolerations),
        TEST(many_tolerations_may_change_their_order),
        TEST(a_pod_cannot_change_otherwise),
        TEST(a_pod_is_bound_once),
        TEST(defaults_that_an_old_pod_lacks_are_no_change),
        TEST(ephemeral_containers_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
