#include "tests/fuzz/kit_hostile.h"

#include "proto/text/text.h"

#define DEPTH_MAX 8u

static struct value *from_yaml(struct arena *a, const char *yaml)
{
    struct value **docs;
    unsigned count;
    struct error err = {0};
    CHECK(yaml_read(a, str_of(yaml), NULL, &docs, &count, &err) == 0 && count == 1);
    return docs[0];
}

#define POD_SPEC "{containers: [{name: c, image: i, resources: {requests: {cpu: 500m, memory: 64Mi}}}]}"
#define POD_OWN                                                                                                        \
    "{containers: [{name: c, image: i}], volumes: [{name: v, ephemeral: {volumeClaimTemplate: {spec: {accessModes: "   \
    "[ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}}}]}"
#define PLACES                                                                                                         \
    "affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: kubernetes.io/hostname, " \
    "labelSelector: {matchLabels: {app: x}}, namespaces: [default], matchLabelKeys: [k]}]}, podAntiAffinity: "         \
    "{preferredDuringSchedulingIgnoredDuringExecution: [{weight: 5, podAffinityTerm: {topologyKey: zone, "             \
    "labelSelector: {}, namespaceSelector: {}, mismatchLabelKeys: [l]}}]}}, topologySpreadConstraints: [{maxSkew: 1, " \
    "topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule, minDomains: 2, labelSelector: "            \
    "{matchLabels: {app: x}}}]"
#define TEMPLATE "selector: {matchLabels: {app: x}}, template: {metadata: {labels: {app: x}}, spec: " POD_SPEC "}"

/* Documents that controllers and the scheduler have work with. A kind that is not here gets one from its table. */
/* A request for a certificate, of CN=kate. */
#define KATE                                                                                                           \
    "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlIbk1JR05BZ0VBTUNzeEREQUtCZ05WQkFvTUEyUmxkakVNTUFv"             \
    "R0ExVUVDZ3dEYjNCek1RMHdDd1lEVlFRRApEQVJyWVhSbE1Ga3dFd1lIS29aSXpqMENBUVlJS29aSXpqMERBUWNEUWdBRXI1M0F0"             \
    "M253eDhLazVveG03dnlvCmFPdXdBdlRia3pyNmx1Wk5NcnZMSU9QWXU5cU5jeERSWjhMdGtxdHlpU04zTUsyNUxqVHdJUlR2QSsy"             \
    "OU93bDMKZzZBQU1Bb0dDQ3FHU000OUJBTUNBMGtBTUVZQ0lRRHQ4cTZvNTBXM09KWUc5K3JxS2xjQ2tVWmRIMm9KZWhxRwp5MzZV"             \
    "UTJmamNBSWhBTzhRaGJVQWtmLy83bXBXYURpWE15T3hwVnlrUjlNc0ZaYTBLK2I3R1pMTQotLS0tLUVORCBDRVJUSUZJQ0FURSBS"             \
    "RVFVRVNULS0tLS0K"

static const struct {
    enum kind_id kind;
    const char *yaml[3];
} bases[] = {
    {KIND_NAMESPACE, {"{apiVersion: v1, kind: Namespace, metadata: {name: extra}}"}},
    {KIND_NODE,
     {"{apiVersion: v1, kind: Node, metadata: {name: n1}, status: {conditions: [{type: Ready, status: 'False'}]}}",
      "{apiVersion: v1, kind: Node, metadata: {name: n3}, spec: {taints: [{key: k, effect: NoExecute}]}}"}},
    {KIND_POD,
     {"{apiVersion: v1, kind: Pod, metadata: {name: p, labels: {app: x}}, spec: " POD_SPEC "}",
      "{apiVersion: v1, kind: Pod, metadata: {name: q}, spec: {nodeName: n1, containers: [{name: c, image: i}], " PLACES
      "}, "
      "status: "
      "{phase: Running, conditions: [{type: Ready, status: 'True'}]}}",
      "{apiVersion: v1, kind: Pod, metadata: {generateName: g-}, spec: " POD_OWN "}"}},
    {KIND_CONFIGMAP,
     {"{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {k: v}}",
      "{apiVersion: v1, kind: ConfigMap, metadata: {name: b}, data: {k: w}}"}},
    {KIND_SERVICEACCOUNT, {"{apiVersion: v1, kind: ServiceAccount, metadata: {name: default}, secrets: [{name: s}]}"}},
    {KIND_CLUSTERROLE,
     {"{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: c, labels: {app: x}}, rules: "
      "[{verbs: [get], apiGroups: [''], resources: [pods]}]}",
      "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: m, labels: {app: x}}, "
      "aggregationRule: {clusterRoleSelectors: [{matchLabels: {app: x}}, {}]}}"}},
    {KIND_SECRET, {"{apiVersion: v1, kind: Secret, metadata: {name: s}, stringData: {p: hidden}}"}},
    {KIND_REPLICASET,
     {"{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: r, labels: {app: x}}, spec: {replicas: 2, " TEMPLATE
      "}}"}},
    {KIND_DEPLOYMENT,
     {"{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}, spec: {replicas: 3, " TEMPLATE "}}",
      "{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}, spec: {replicas: 1, strategy: {type: Recreate}, "
      "selector: {matchLabels: {app: x}}, template: {metadata: {labels: {app: x, v: '2'}}, spec: " POD_SPEC "}}}"}},
    {KIND_RESOURCEQUOTA,
     {"{apiVersion: v1, kind: ResourceQuota, metadata: {name: q}, spec: {hard: {pods: 3, requests.cpu: 1, "
      "count/jobs.batch: 2, requests.storage: 1Gi, services.nodeports: 1}}}",
      "{apiVersion: v1, kind: ResourceQuota, metadata: {name: q2, annotations: {reeve.io/counting: pods/p}}, spec: "
      "{hard: {pods: 2, limits.memory: 1Gi}, scopes: [NotTerminating], scopeSelector: {matchExpressions: [{scopeName: "
      "PriorityClass, operator: NotIn, values: [a]}]}}}"}},
    {KIND_LIMITRANGE,
     {"{apiVersion: v1, kind: LimitRange, metadata: {name: l}, spec: {limits: [{type: Container, default: {cpu: 1}, "
      "min: {cpu: 10m}, maxLimitRequestRatio: {cpu: 100}}, {type: Pod, max: {memory: 1Gi}}]}}"}},
    {KIND_EVENT,
     {"{apiVersion: v1, kind: Event, metadata: {name: e}, involvedObject: {kind: Pod, namespace: default, name: p}, "
      "reason: R, message: M}"}},
    {KIND_CLUSTERCONFIGURATION,
     {"{apiVersion: reeve.io/v1, kind: ClusterConfiguration, metadata: {name: cluster}, spec: {networking: "
      "{podSubnet: 10.8.0.0/14, nodeCIDRMaskSize: 26}, nodeMonitorGracePeriodSeconds: 9}}"}},
    {KIND_SERVICE,
     {"{apiVersion: v1, kind: Service, metadata: {name: v}, spec: {selector: {app: x}, ports: [{port: 80, targetPort: "
      "http}]}}",
      "{apiVersion: v1, kind: Service, metadata: {name: v}, spec: {type: LoadBalancer, externalTrafficPolicy: Local, "
      "sessionAffinity: ClientIP, selector: {app: x}, ports: [{name: a, port: 80}, {name: b, port: 53, protocol: UDP, "
      "nodePort: 30053}]}}",
      "{apiVersion: v1, kind: Service, metadata: {name: h}, spec: {clusterIP: None, selector: {app: x}}}"}},
    {KIND_ENDPOINTS,
     {"{apiVersion: v1, kind: Endpoints, metadata: {name: v}, subsets: [{addresses: [{ip: 10.244.0.2, nodeName: n1, "
      "targetRef: {kind: Pod, name: p}}], ports: [{port: 80}]}]}"}},
    {KIND_ENDPOINTSLICE,
     {"{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: v-1, labels: "
      "{kubernetes.io/service-name: v}}, addressType: IPv4, endpoints: [{addresses: [10.244.0.2], conditions: {ready: "
      "true}, nodeName: n1}], ports: [{port: 80}]}"}},
    {KIND_PERSISTENTVOLUME,
     {"{apiVersion: v1, kind: PersistentVolume, metadata: {name: pv}, spec: {capacity: {storage: 1Gi}, accessModes: "
      "[ReadWriteOnce], hostPath: {path: /v}, claimRef: {namespace: default, name: c}}}",
      "{apiVersion: v1, kind: PersistentVolume, metadata: {name: pw, labels: {reeve.io/node: n1}}, spec: {capacity: "
      "{storage: 2Gi}, accessModes: [ReadWriteMany], storageClassName: local, local: {path: /v}, nodeAffinity: "
      "{required: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: "
      "[n1]}]}]}}}}"}},
    {KIND_PERSISTENTVOLUMECLAIM,
     {"{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: c}, spec: {accessModes: [ReadWriteOnce], "
      "resources: {requests: {storage: 1Gi}}}}",
      "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: c2}, spec: {accessModes: [ReadWriteOncePod], "
      "storageClassName: local, volumeName: pv, resources: {requests: {storage: 1Gi}}}}"}},
    {KIND_STORAGECLASS,
     {"{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: local}, provisioner: reeve.io/local, "
      "volumeBindingMode: WaitForFirstConsumer, allowVolumeExpansion: true}"}},
    {KIND_PRIORITYCLASS,
     {"{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: high}, value: 1000}",
      "{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: usual}, value: 5, globalDefault: true, "
      "preemptionPolicy: Never}"}},
    {KIND_PODGROUP,
     {"{apiVersion: scheduling.k8s.io/v1alpha2, kind: PodGroup, metadata: {name: g}, spec: {schedulingPolicy: {gang: "
      "{minCount: 2}}}}",
      "{apiVersion: scheduling.k8s.io/v1alpha2, kind: PodGroup, metadata: {name: g}, spec: {schedulingPolicy: {gang: "
      "{minCount: 2147483647}}}, status: {conditions: [{type: PodGroupScheduled, status: 'True'}]}}"}},
    {KIND_PODTEMPLATE,
     {"{apiVersion: v1, kind: PodTemplate, metadata: {name: t}, template: {metadata: {labels: {a: b}}, spec: "
      "{containers: "
      "[{name: c, image: i}]}}}"}},
    {KIND_CERTIFICATESIGNINGREQUEST,
     {"{apiVersion: certificates.k8s.io/v1, kind: CertificateSigningRequest, metadata: {name: kate}, spec: "
      "{signerName: "
      "kubernetes.io/kube-apiserver-client, usages: [client auth], request: " KATE "}}",
      "{apiVersion: certificates.k8s.io/v1, kind: CertificateSigningRequest, metadata: {name: kate}, spec: "
      "{signerName: "
      "example.com/x, usages: [any], expirationSeconds: 600, request: " KATE
      "}, status: {conditions: [{type: Approved, "
      "status: 'True'}], certificate: aGVsbG8=}}"}},
    {KIND_CONTROLLERREVISION,
     {"{apiVersion: apps/v1, kind: ControllerRevision, metadata: {name: st-1}, revision: 1, data: {spec: {template: "
      "{}}}}"}},
    {KIND_DAEMONSET,
     {"{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: ds}, spec: {" TEMPLATE "}}",
      "{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: ds}, spec: {updateStrategy: {rollingUpdate: {maxSurge: "
      "1, maxUnavailable: 0}}, " TEMPLATE "}}"}},
    {KIND_STATEFULSET,
     {"{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: st}, spec: {serviceName: h, replicas: 2, " TEMPLATE
      "}}",
      "{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: st}, spec: {podManagementPolicy: Parallel, "
      "volumeClaimTemplates: [{metadata: {name: c}, spec: {accessModes: [ReadWriteOnce], resources: {requests: "
      "{storage: 1Gi}}}}], " TEMPLATE "}}"}},
    {KIND_JOB,
     {"{apiVersion: batch/v1, kind: Job, metadata: {name: j}, spec: {completions: 3, parallelism: 2, template: {spec: "
      "{restartPolicy: Never, containers: [{name: c, image: i}]}}}}",
      "{apiVersion: batch/v1, kind: Job, metadata: {name: j}, spec: {completionMode: Indexed, completions: 3, "
      "backoffLimitPerIndex: 1, template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}}"}},
    {KIND_CRONJOB,
     {"{apiVersion: batch/v1, kind: CronJob, metadata: {name: cj}, spec: {schedule: '* * * * *', concurrencyPolicy: "
      "Replace, jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}}}}",
      "{apiVersion: batch/v1, kind: CronJob, metadata: {name: cj}, spec: {schedule: '@every 1m', timeZone: UTC, "
      "concurrencyPolicy: Forbid, startingDeadlineSeconds: 5, successfulJobsHistoryLimit: 0, jobTemplate: {spec: "
      "{template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}}}, status: {lastScheduleTime: "
      "'9999-12-31T23:59:59Z', active: [{kind: Job, name: j, uid: x}]}}"}},
    {KIND_REPLICATIONCONTROLLER,
     {"{apiVersion: v1, kind: ReplicationController, metadata: {name: rc}, spec: {replicas: 2, selector: {app: x}, "
      "template: {metadata: {labels: {app: x}}, spec: " POD_SPEC "}}}"}},
    {KIND_PODDISRUPTIONBUDGET,
     {"{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: b}, spec: {minAvailable: 1, selector: "
      "{matchLabels: {app: x}}}}",
      "{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: b}, spec: {maxUnavailable: 30%, selector: "
      "{}, "
      "unhealthyPodEvictionPolicy: AlwaysAllow}, status: {disruptedPods: {p: '2026-01-01T00:00:00Z'}}}"}},
    {KIND_HORIZONTALPODAUTOSCALER,
     {"{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: h}, spec: {scaleTargetRef: "
      "{apiVersion: apps/v1, kind: Deployment, name: d}, maxReplicas: 5, metrics: [{type: Resource, resource: {name: "
      "cpu, target: {type: AverageValue, averageValue: 10m}}}], behavior: {scaleDown: {policies: [{type: Pods, value: "
      "1, periodSeconds: 60}]}}}}",
      "{apiVersion: autoscaling/v1, kind: HorizontalPodAutoscaler, metadata: {name: h}, spec: {scaleTargetRef: {kind: "
      "StatefulSet, apiVersion: apps/v1, name: st}, minReplicas: 2, maxReplicas: 5, targetCPUUtilizationPercentage: "
      "50}}"}},
    {KIND_NETWORKPOLICY,
     {"{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: n}, spec: {podSelector: {matchLabels: "
      "{app: x}}, ingress: [{from: [{podSelector: {}}, {ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}], ports: "
      "[{port: 80}, {port: http}]}], egress: [{to: [{namespaceSelector: {}}]}]}}"}},
    {KIND_INGRESS,
     {"{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: i}, spec: {ingressClassName: c, "
      "defaultBackend: {resource: {kind: ConfigMap, name: c}}, tls: [{hosts: [a.b, '*.b'], secretName: s}], rules: "
      "[{host: '*.b', http: {paths: [{path: /a, pathType: Prefix, backend: {service: {name: h, port: {name: http}}}}, "
      "{pathType: ImplementationSpecific, backend: {service: {name: h, port: {number: 80}}}}]}}, {host: a.b}]}, "
      "status: {loadBalancer: {ingress: [{ip: 10.0.0.1}, {hostname: b.c, ports: [{port: 80, protocol: TCP}]}]}}}"}},
    {KIND_RUNTIMECLASS,
     {"{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {name: r}, handler: kata, overhead: {podFixed: {cpu: "
      "100m, memory: 1Mi}}, scheduling: {nodeSelector: {a: b}, tolerations: [{operator: Exists}]}}"}},
    {KIND_INGRESSCLASS,
     {"{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: c, annotations: "
      "{ingressclass.kubernetes.io/is-default-class: 'true'}}, spec: {controller: a.b/c, parameters: {kind: "
      "ConfigMap, name: c, scope: Namespace, namespace: default}}}"}},
};

static struct value *written(struct arena *a, const struct kind *k, unsigned choice)
{
    for (unsigned i = 0; i < ARRAY_SIZE(bases); i++) {
        if (bases[i].kind == k->id) {
            unsigned count = 1;
            while (count < 3 && bases[i].yaml[count] != NULL) {
                count++;
            }
            return from_yaml(a, bases[i].yaml[choice % count]);
        }
    }
    return NULL;
}

struct value *hostile_base(struct arena *a, const struct kind *k, unsigned choice)
{
    struct value *doc = written(a, k, choice);
    if (doc == NULL) {
        doc = hostile_made(a, k, choice % 2 == 1);
    }
    if (k->namespaced) {
        value_set(a, value_get(doc, "metadata"), "namespace", value_cstr(a, "default"));
    }
    return doc;
}

/* ---- Values ---- */

static struct value *letters(struct arena *a, size_t n, char last)
{
    char *s = arena_alloc(a, n + 1);
    memset(s, 'd', n);
    s[n - 1] = last;
    s[n] = '\0';
    return value_cstr(a, s);
}

static struct value *deep(struct arena *a, unsigned levels)
{
    struct value *v = value_cstr(a, "deep");
    for (unsigned i = 0; i < levels; i++) {
        struct value *outer = i % 2 == 0 ? value_map(a) : value_list(a);
        if (i % 2 == 0) {
            value_set(a, outer, "k", v);
        } else {
            value_append(a, outer, v);
        }
        v = outer;
    }
    return v;
}

static struct value *hostile_string(struct fuzz_input *f, struct arena *a)
{
    static const char *const texts[] = {
        "",
        ".",
        "..",
        "a/b",
        "a b",
        "\x01\x1f",
        "100%",
        "-1",
        "25%",
        "1e999",
        "99999999999999999999",
        "0.0000001n",
        "9223372036854775807",
        "True",
        "2026-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "0001-01-01T00:00:00Z",
        "n1",
        "n2",
        "default",
        "kube-system",
        "extra",
        "p",
        "d",
        "x",
        "Recreate",
        "Failed",
        "Succeeded",
        "Running",
        "NoExecute",
        "NoSchedule",
        "Exists",
        "In",
        "Gt",
        "cpu",
        "1000000Ti",
        "foregroundDeletion",
        "orphan",
        "example.com/hold",
        "node.kubernetes.io/unreachable",
        "false",
        "\xc3\xa9\xff",
        "apps/v1",
        "v1",
        "Deployment",
        "ReplicaSet",
        "Pod",
        "Event",
        "Node",
    };
    static const size_t sizes[] = {57, 63, 64, 245, 253, 254, 300, 600, 70000};
    unsigned at = fuzz_byte(f);
    if (at < ARRAY_SIZE(texts)) {
        return value_cstr(a, texts[at]);
    }
    if (at < 200) {
        return letters(a, sizes[at % ARRAY_SIZE(sizes)], "d.-/"[at / 16 % 4]);
    }
    return value_str(a, (struct str){"a\0b", 3});
}

static struct value *hostile_int(struct fuzz_input *f, struct arena *a)
{
    static const int64_t numbers[] = {0,         1,         -1,        2,         5,     100,   INT32_MAX,
                                      INT32_MIN, INT64_MAX, INT64_MIN, 1ll << 40, 65535, 65536, INT32_MAX + 1ll};
    return value_int(a, numbers[fuzz_byte(f) % ARRAY_SIZE(numbers)]);
}

static const struct object *some_object(struct fuzz_input *f, const struct view *v)
{
    unsigned at = fuzz_byte(f);
    struct view_iter it;
    const struct object *o = NULL, *last = NULL;
    view_iter_all(&it, v);
    while (at-- > 0 && (o = view_next(&it)) != NULL) {
        last = o;
    }
    return last;
}

/* Members of the reference whole or in part, to what is stored: cycles come of it. */
static struct value *reference(struct fuzz_input *f, struct arena *a, const struct view *v)
{
    const struct object *o = some_object(f, v);
    struct value *r = value_map(a);
    unsigned how = fuzz_byte(f);
    if (o != NULL) {
        value_set(a, r, "apiVersion", value_cstr(a, o->kind->api_version));
        value_set(a, r, "kind", value_cstr(a, o->kind->name));
        value_set(a, r, "name", (how & 1) ? hostile_string(f, a) : value_str(a, o->name));
        value_set(a, r, "uid", (how & 2) ? hostile_string(f, a) : value_str(a, o->uid));
        value_set(a, r, "controller", value_bool(a, (how & 4) != 0));
        value_set(a, r, "blockOwnerDeletion", value_bool(a, (how & 8) != 0));
    }
    return r;
}

static struct value *hostile_value(struct fuzz_input *f, struct arena *a, const struct view *v)
{
    const struct object *o;
    switch (fuzz_byte(f) % 12) {
    case 0:
        return value_null(a);
    case 1:
        return value_bool(a, fuzz_byte(f) & 1);
    case 2:
        return value_float(a, fuzz_byte(f) % 2 == 0 ? 1e300 : 0.5);
    case 3:
        return value_list(a);
    case 4:
        return value_map(a);
    case 5:
        return deep(a, fuzz_byte(f));
    case 6:
        o = some_object(f, v);
        return o == NULL ? value_null(a) : value_str(a, fuzz_byte(f) % 2 == 0 ? o->uid : o->name);
    case 7:
        return value_bin(a, "\0\xff", 2);
    case 8:
    case 9:
        return hostile_int(f, a);
    default:
        return hostile_string(f, a);
    }
}

/* Mostly of the type that the table wants, so that it passes further. */
static struct value *fitting_value(struct fuzz_input *f, struct arena *a, const struct field *field,
                                   const struct view *v)
{
    if (fuzz_byte(f) % 8 == 0) {
        return hostile_value(f, a, v);
    }
    switch (field->type) {
    case FIELD_INT32:
    case FIELD_INT64:
    case FIELD_FLOAT:
        return hostile_int(f, a);
    case FIELD_BOOL:
        return value_bool(a, fuzz_byte(f) & 1);
    case FIELD_INT_OR_STRING:
        return fuzz_byte(f) % 2 == 0 ? hostile_int(f, a) : hostile_string(f, a);
    case FIELD_OBJECT:
        return value_map(a);
    default:
        return hostile_string(f, a);
    }
}

/* ---- Edits ---- */

static void edit_map(struct fuzz_input *f, struct arena *a, const struct schema *s, struct value *map,
                     const struct view *v, unsigned depth);

static void edit_element(struct fuzz_input *f, struct arena *a, const struct field *field, struct value *list,
                         const struct view *v, unsigned depth)
{
    unsigned count = value_count(list), at = fuzz_byte(f) % (count + 1);
    if (str_is(str_of(field->name), "ownerReferences") && fuzz_byte(f) % 4 != 0) {
        value_append(a, list, reference(f, a, v));
        return;
    }
    if (at == count) {
        value_append(a, list, fitting_value(f, a, field, v));
    }
    struct value *item = value_item(list, at);
    if (field->type == FIELD_OBJECT && value_is_map(item)) {
        edit_map(f, a, field->sub, item, v, depth + 1);
    }
}

/* What keys, deciders and sums are made of: half of all ways go there. NULL: none of them in this schema. */
static const struct field *hot_field(const struct schema *s, unsigned choice)
{
    static const char *const names[] = {"metadata",   "spec",        "status",   "name",       "ownerReferences",
                                        "finalizers", "nodeName",    "replicas", "labels",     "conditions",
                                        "taints",     "tolerations", "template", "containers", "requests",
                                        "resources",  "selector",    "capacity", "strategy"};
    unsigned count = 0;
    for (unsigned pass = 0; pass < 2; pass++) {
        for (unsigned i = 0; i < s->count; i++) {
            for (unsigned n = 0; n < ARRAY_SIZE(names); n++) {
                if (str_is(str_of(names[n]), s->fields[i].name) && (pass == 0 ? ++count == 0 : choice-- == 0)) {
                    return &s->fields[i];
                }
            }
        }
        if (count == 0) {
            return NULL;
        }
        choice %= count;
    }
    return NULL;
}

static void edit_map(struct fuzz_input *f, struct arena *a, const struct schema *s, struct value *map,
                     const struct view *v, unsigned depth)
{
    unsigned at = fuzz_byte(f);
    if (at == 255 || s->count == 0) { /* a member that no table has */
        value_set(a, map, "unknown", hostile_value(f, a, v));
        return;
    }
    const struct field *field = &s->fields[at % s->count];
    if (depth == 0 && field->type != FIELD_OBJECT && field->shape != SHAPE_MAP && fuzz_byte(f) % 16 != 0) {
        field = &s->fields[2 + at / s->count %
                                   (s->count - 2)]; /* rarely kind and version, behind which nothing is looked at */
    }
    const struct field *hot = at % 2 == 0 ? hot_field(s, at / 2) : NULL;
    field = hot != NULL ? hot : field;
    if (depth == DEPTH_MAX || fuzz_byte(f) % 32 == 0) {
        value_set(a, map, field->name, hostile_value(f, a, v));
    } else if (field->shape == SHAPE_LIST) {
        edit_element(f, a, field, value_ensure_list(a, map, field->name), v, depth);
    } else if (field->shape == SHAPE_MAP) {
        struct value *key = hostile_string(f, a);
        value_set_str_key(a, value_ensure_map(a, map, field->name), key->str, fitting_value(f, a, field, v));
    } else if (field->type == FIELD_OBJECT) {
        edit_map(f, a, field->sub, value_ensure_map(a, map, field->name), v, depth + 1);
    } else {
        value_set(a, map, field->name, fitting_value(f, a, field, v));
    }
}

void hostile_edit(struct fuzz_input *f, struct arena *a, const struct schema *s, struct value *doc,
                  const struct view *v)
{
    edit_map(f, a, s, doc, v, 0);
}

/* ---- The cluster ---- */

static const char *const cluster[] = {
    "{apiVersion: v1, kind: Namespace, metadata: {name: default}}",
    "{apiVersion: v1, kind: Node, metadata: {name: n1}, status: {capacity: {cpu: '4', memory: 8Gi, pods: '20'}, "
    "conditions: "
    "[{type: Ready, status: 'True'}]}}",
    "{apiVersion: v1, kind: Node, metadata: {name: n2}, status: {capacity: {cpu: '2', memory: 4Gi, pods: '20'}, "
    "conditions: "
    "[{type: Ready, status: 'True'}]}}",
};

void hostile_cluster(void *data, int (*submit)(void *data, const struct txn *t, struct error *err),
                     const struct env *env)
{
    (void)env;
    for (unsigned i = 0; i < ARRAY_SIZE(cluster); i++) {
        CLEANUP_ARENA struct arena a;
        struct error err = {0};
        struct txn t;
        arena_init(&a);
        txn_init(&t, "api");
        struct value *doc = from_yaml(&a, cluster[i]);
        const struct kind *k = kind_of_document(&a, doc, &err);
        CHECK(k != NULL && kind_check(k, &a, doc, NULL, 0, &err) == 0);
        CHECK(txn_create_value(&t, k, doc, &err) == 0 && submit(data, &t, &err) == 0);
        txn_close(&t);
    }
}
