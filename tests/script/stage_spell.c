/* Objects spelled in short, one a line:
 *
 *   namespace NAME
 *   node NAME [cpu=4] [memory=8Gi] [pods=110] [labels=a=b,c=d] [taint=key=value:Effect] [cordoned] [notready]
 *   deployment NAME [replicas=3] [image=a] [surge=25%] [unavailable=25%] [recreate] [paused] [minready=0]
 *   [deadline=600] [history=10] rs NAME [replicas=3] [image=a] [owner=KIND/NAME] [minready=0]
 *   pod NAME [image=a] [cpu=100m] [memory=64Mi] [node=N] [ready] [phase=Running] [owner=KIND/NAME] [labels=app=web]
 *   [age=30s]
 *       [priority=0] [port=8080] [selector=k=v] [tolerate=key:Effect[:seconds]] [finalizer=x] [restarts=0] [cost=0]
 *       [readyfor=30s] [unreadyfor=30s] [started=60s] [grace=30] [init-cpu=1]
 *       [claim=NAME[,NAME...]] [own=VOLUME[,VOLUME...] [class=c]]
 *       [pc=PRIORITYCLASS] [policy=Never] [nominated=NODE] [gate=NAME] [gpu=1] [group=PODGROUP]
 *   configmap NAME [owner=KIND/NAME]
 *   pv NAME [size=1Gi] [modes=ReadWriteOnce,...] [class=c] [policy=Retain] [on=NODE] [for=CLAIM] [labels=a=b]
 *   pvc NAME [size=1Gi] [modes=ReadWriteOnce,...] [class=c] [noclass] [volume=PV] [selector=a=b]
 *   budget NAME [min=2] [max=50%] [select=app=web] [policy=AlwaysAllow]
 *   pc NAME [value=0] [default] [never]
 *   group NAME [min=2]; without a minimum its policy is basic
 *   class NAME [provisioner=reeve.io/local] [immediate] [policy=Delete] [grows] [default]
 * A node has [local=10Gi] of room for local volumes, under /volumes.
 * all with [ns=default]. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/timefmt.h"
#include "tests/script/stage.h"

struct words {
    char *w[40];
    unsigned count;
    char *text;
};

static struct words words_of(const char *line)
{
    struct words ws = {.text = xstrdup(line)};
    for (char *save, *p = strtok_r(ws.text, " \t", &save); p != NULL; p = strtok_r(NULL, " \t", &save)) {
        assert(ws.count < ARRAY_SIZE(ws.w));
        ws.w[ws.count++] = p;
    }
    return ws;
}

static const char *word(const struct words *ws, const char *key, const char *fallback)
{
    size_t n = strlen(key);
    for (unsigned i = 2; i < ws->count; i++) {
        if (strncmp(ws->w[i], key, n) == 0 && (ws->w[i][n] == '=' || ws->w[i][n] == '\0')) {
            return ws->w[i][n] == '=' ? ws->w[i] + n + 1 : "";
        }
    }
    return fallback;
}
static bool flag(const struct words *ws, const char *key)
{
    return word(ws, key, NULL) != NULL;
}

static int64_t seconds(const char *s)
{
    int64_t n = strtoll(s, NULL, 10);
    return strchr(s, 'm') != NULL ? n * 60 : strchr(s, 'h') != NULL ? n * 3600 : n;
}

static const char *ago(struct stage *w, struct arena *a, const char *span)
{
    char text[TIMEFMT_SIZE];
    timefmt_rfc3339(env_wall_ms(&w->env) - seconds(span) * 1000, text);
    return arena_strdup(a, text);
}

/* "a=b,c=d" as "{a: 'b', c: 'd'}". */
static const char *map_text(struct arena *a, const char *pairs)
{
    struct buf b = BUF_INIT;
    char *copy = arena_strdup(a, pairs);
    buf_putc(&b, '{');
    for (char *save, *p = strtok_r(copy, ",", &save); p != NULL; p = strtok_r(NULL, ",", &save)) {
        char *eq = strchr(p, '=');
        assert(eq != NULL);
        buf_printf(&b, "%s%.*s: '%s'", b.size > 1 ? ", " : "", (int)(eq - p), p, eq + 1);
    }
    buf_putc(&b, '}');
    char *s = arena_strdup(a, buf_cstr(&b));
    buf_close(&b);
    return s;
}

static void write_owner(struct stage *w, struct buf *b, const struct words *ws)
{
    const char *owner = word(ws, "owner", NULL);
    if (owner == NULL) {
        return;
    }
    const char *slash = strchr(owner, '/');
    const struct kind *k = kind_by_any_name((struct str){owner, (size_t)(slash - owner)});
    const struct object *o = view_get(stage_tip(w), k, str_of(word(ws, "ns", "default")), str_of(slash + 1));
    if (o == NULL) {
        fprintf(stderr, "no owner %s\n", owner);
        abort();
    }
    buf_printf(b,
               ", ownerReferences: [{apiVersion: %s, kind: %s, name: %.*s, uid: %.*s, controller: %s, "
               "blockOwnerDeletion: true}]",
               k->api_version, k->name, STR_ARG(o->name), STR_ARG(o->uid), flag(ws, "plainowner") ? "false" : "true");
}

static void write_metadata(struct stage *w, struct arena *a, struct buf *b, const struct words *ws, const char *labels)
{
    buf_printf(b, "metadata: {name: %s", ws->w[1]);
    static const char *const wide[] = {"node", "namespace", "pv", "class", "pc"};
    bool namespaced = true;
    for (unsigned i = 0; i < ARRAY_SIZE(wide); i++) {
        namespaced = namespaced && strcmp(ws->w[0], wide[i]) != 0;
    }
    if (namespaced) {
        buf_printf(b, ", namespace: %s", word(ws, "ns", "default"));
    }
    buf_printf(b, ", labels: %s", map_text(a, word(ws, "labels", labels)));
    if (word(ws, "age", NULL) != NULL) {
        buf_printf(b, ", creationTimestamp: '%s'", ago(w, a, word(ws, "age", "0s")));
    }
    bool is_claim = strcmp(ws->w[0], "pvc") == 0;
    if (is_claim || strcmp(ws->w[0], "pv") == 0) {
        buf_printf(b, ", finalizers: [kubernetes.io/%s-protection]", is_claim ? "pvc" : "pv");
    } else if (word(ws, "finalizer", NULL) != NULL) {
        buf_printf(b, ", finalizers: ['%s']", word(ws, "finalizer", ""));
    }
    if (word(ws, "cost", NULL) != NULL) {
        buf_printf(b, ", annotations: {controller.kubernetes.io/pod-deletion-cost: '%s'}", word(ws, "cost", "0"));
    }
    if (strcmp(ws->w[0], "node") == 0 && word(ws, "local", NULL) != NULL) {
        buf_puts(b, ", annotations: {reeve.io/local-volumes-root: /volumes}");
    }
    if (strcmp(ws->w[0], "class") == 0 && flag(ws, "default")) {
        buf_puts(b, ", annotations: {storageclass.kubernetes.io/is-default-class: 'true'}");
    }
    write_owner(w, b, ws);
    buf_puts(b, "}\n");
}

static void write_resources(struct buf *b, const char *cpu, const char *memory, const char *gpu)
{
    if (gpu != NULL) {
        buf_printf(b, ", resources: {limits: {example.com/gpu: %s}, requests: {cpu: %s, memory: %s}}", gpu,
                   cpu == NULL ? "0" : cpu, memory == NULL ? "0" : memory);
    } else if (cpu != NULL || memory != NULL) {
        buf_printf(b, ", resources: {requests: {cpu: %s, memory: %s}}", cpu == NULL ? "0" : cpu,
                   memory == NULL ? "0" : memory);
    }
}

static void write_toleration(struct arena *a, struct buf *b, const char *text)
{
    char *key = arena_strdup(a, text), *effect = strchr(key, ':'), *time = NULL;
    assert(effect != NULL);
    *effect++ = '\0';
    if ((time = strchr(effect, ':')) != NULL) {
        *time++ = '\0';
    }
    buf_printf(b, ", tolerations: [{key: %s, operator: Exists, effect: %s%s%s}]", key, effect,
               time != NULL ? ", tolerationSeconds: " : "", time != NULL ? time : "");
}

static void write_claims(struct arena *a, struct buf *b, const struct words *ws)
{
    unsigned n = 0;
    char *named = arena_strdup(a, word(ws, "claim", "")), *own = arena_strdup(a, word(ws, "own", ""));
    buf_puts(b, ", volumes: [");
    for (char *save, *p = strtok_r(named, ",", &save); p != NULL; p = strtok_r(NULL, ",", &save)) {
        buf_printf(b, "%s{name: v%u, persistentVolumeClaim: {claimName: %s}}", n > 0 ? ", " : "", n, p);
        n++;
    }
    for (char *save, *p = strtok_r(own, ",", &save); p != NULL; p = strtok_r(NULL, ",", &save)) {
        buf_printf(b,
                   "%s{name: %s, ephemeral: {volumeClaimTemplate: {metadata: {labels: {of: %s}}, spec: {accessModes: "
                   "[ReadWriteOnce], storageClassName: '%s', resources: {requests: {storage: 1Gi}}}}}}",
                   n++ > 0 ? ", " : "", p, p, word(ws, "class", ""));
    }
    buf_puts(b, "]");
}

static void write_pod_spec(struct arena *a, struct buf *b, const struct words *ws)
{
    buf_puts(b, "{");
    if (word(ws, "init-cpu", NULL) != NULL) {
        buf_puts(b, "initContainers: [{name: i, image: i");
        write_resources(b, word(ws, "init-cpu", NULL), NULL, NULL);
        buf_puts(b, "}], ");
    }
    buf_printf(b, "containers: [{name: c, image: '%s'", word(ws, "image", "a"));
    write_resources(b, word(ws, "cpu", NULL), word(ws, "memory", NULL), word(ws, "gpu", NULL));
    if (word(ws, "port", NULL) != NULL) {
        buf_printf(b, ", ports: [{containerPort: %s, hostPort: %s}]", word(ws, "port", ""), word(ws, "port", ""));
    }
    buf_puts(b, "}]");
    if (word(ws, "node", NULL) != NULL) {
        buf_printf(b, ", nodeName: %s", word(ws, "node", ""));
    }
    if (word(ws, "priority", NULL) != NULL) {
        buf_printf(b, ", priority: %s", word(ws, "priority", "0"));
    }
    if (word(ws, "pc", NULL) != NULL) {
        buf_printf(b, ", priorityClassName: %s", word(ws, "pc", ""));
    }
    if (word(ws, "policy", NULL) != NULL) {
        buf_printf(b, ", preemptionPolicy: %s", word(ws, "policy", ""));
    }
    if (word(ws, "gate", NULL) != NULL) {
        buf_printf(b, ", schedulingGates: [{name: %s}]", word(ws, "gate", ""));
    }
    if (word(ws, "group", NULL) != NULL) {
        buf_printf(b, ", schedulingGroup: {podGroupName: %s}", word(ws, "group", ""));
    }
    if (word(ws, "grace", NULL) != NULL) {
        buf_printf(b, ", terminationGracePeriodSeconds: %s", word(ws, "grace", "30"));
    }
    if (word(ws, "selector", NULL) != NULL) {
        buf_printf(b, ", nodeSelector: %s", map_text(a, word(ws, "selector", "")));
    }
    if (word(ws, "tolerate", NULL) != NULL) {
        write_toleration(a, b, word(ws, "tolerate", ""));
    }
    if (word(ws, "claim", NULL) != NULL || word(ws, "own", NULL) != NULL) {
        write_claims(a, b, ws);
    }
    buf_puts(b, "}");
}

static void spell_pod(struct stage *w, struct arena *a, struct buf *b, const struct words *ws)
{
    bool is_ready = flag(ws, "ready") || flag(ws, "readyfor"), unready = flag(ws, "unreadyfor");
    buf_puts(b, "apiVersion: v1\nkind: Pod\n");
    write_metadata(w, a, b, ws, "app=web");
    buf_puts(b, "spec: ");
    write_pod_spec(a, b, ws);
    buf_printf(b, "\nstatus:\n  phase: %s\n", word(ws, "phase", is_ready || unready ? "Running" : "Pending"));
    if (word(ws, "nominated", NULL) != NULL) {
        buf_printf(b, "  nominatedNodeName: %s\n", word(ws, "nominated", ""));
    }
    if (word(ws, "started", NULL) != NULL) {
        buf_printf(b, "  startTime: '%s'\n", ago(w, a, word(ws, "started", "")));
    }
    if (word(ws, "restarts", NULL) != NULL) {
        buf_printf(b, "  containerStatuses: [{name: c, image: a, imageID: a, ready: true, restartCount: %s}]\n",
                   word(ws, "restarts", "0"));
    }
    if (is_ready || unready) {
        buf_printf(b, "  conditions: [{type: Ready, status: '%s', lastTransitionTime: '%s'}]\n",
                   unready ? "False" : "True",
                   ago(w, a, word(ws, unready ? "unreadyfor" : "readyfor", word(ws, "age", "0s"))));
    }
}

static void spell_node(struct stage *w, struct arena *a, struct buf *b, const struct words *ws)
{
    const char *taint = word(ws, "taint", NULL);
    buf_puts(b, "apiVersion: v1\nkind: Node\n");
    write_metadata(w, a, b, ws, arena_printf(a, "kubernetes.io/hostname=%s", ws->w[1]));
    buf_printf(b, "spec: {unschedulable: %s", flag(ws, "cordoned") ? "true" : "false");
    if (taint != NULL) {
        char *key = arena_strdup(a, taint), *effect = strrchr(key, ':'), *value = strchr(key, '=');
        *effect++ = '\0';
        if (value != NULL) {
            *value++ = '\0';
        }
        buf_printf(b, ", taints: [{key: %s, value: '%s', effect: %s}]", key, value != NULL ? value : "", effect);
    }
    buf_printf(b, "}\nstatus:\n  allocatable: {cpu: '%s', memory: %s, pods: '%s'", word(ws, "cpu", "4"),
               word(ws, "memory", "8Gi"), word(ws, "pods", "110"));
    if (word(ws, "gpu", NULL) != NULL) {
        buf_printf(b, ", example.com/gpu: '%s'", word(ws, "gpu", "0"));
    }
    if (word(ws, "local", NULL) != NULL) {
        buf_printf(b, ", reeve.io/local-storage: %s", word(ws, "local", "0"));
    }
    buf_printf(b, "}\n  conditions: [{type: Ready, status: '%s', reason: AgentReady, lastTransitionTime: '%s'}]\n",
               flag(ws, "notready") ? "False" : "True", ago(w, a, "0s"));
}

static void write_template(struct arena *a, struct buf *b, const struct words *ws)
{
    buf_printf(b, "selector: {matchLabels: %s}, template: {metadata: {labels: %s}, spec: ",
               map_text(a, word(ws, "labels", "app=web")), map_text(a, word(ws, "labels", "app=web")));
    write_pod_spec(a, b, ws);
    buf_puts(b, "}}\n");
}

static void spell_rs(struct stage *w, struct arena *a, struct buf *b, const struct words *ws)
{
    buf_puts(b, "apiVersion: apps/v1\nkind: ReplicaSet\n");
    write_metadata(w, a, b, ws, "app=web");
    buf_printf(b, "spec: {replicas: %s, minReadySeconds: %s, ", word(ws, "replicas", "3"), word(ws, "minready", "0"));
    write_template(a, b, ws);
}

static void spell_deployment(struct stage *w, struct arena *a, struct buf *b, const struct words *ws)
{
    buf_puts(b, "apiVersion: apps/v1\nkind: Deployment\n");
    write_metadata(w, a, b, ws, "app=web");
    buf_printf(
        b,
        "spec: {replicas: %s, minReadySeconds: %s, paused: %s, progressDeadlineSeconds: %s, revisionHistoryLimit: %s, ",
        word(ws, "replicas", "3"), word(ws, "minready", "0"), flag(ws, "paused") ? "true" : "false",
        word(ws, "deadline", "600"), word(ws, "history", "10"));
    if (flag(ws, "recreate")) {
        buf_puts(b, "strategy: {type: Recreate}, ");
    } else {
        buf_printf(b, "strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: %s, maxUnavailable: %s}}, ",
                   word(ws, "surge", "25%"), word(ws, "unavailable", "25%"));
    }
    write_template(a, b, ws);
}

static void spell_plain(struct stage *w, struct arena *a, struct buf *b, const struct words *ws)
{
    bool ns = strcmp(ws->w[0], "namespace") == 0;
    buf_printf(b, "apiVersion: v1\nkind: %s\n", ns ? "Namespace" : "ConfigMap");
    write_metadata(w, a, b, ws, "");
    if (ns) {
        buf_puts(b, "spec: {finalizers: [kubernetes]}\nstatus: {phase: Active}\n");
    }
}

/* ---- Storage ---- */

static void spell_pv(struct stage *w, struct arena *a, struct buf *b, const struct words *ws)
{
    const char *on = word(ws, "on", NULL), *claim = word(ws, "for", NULL);
    buf_puts(b, "apiVersion: v1\nkind: PersistentVolume\n");
    write_metadata(w, a, b, ws, "");
    buf_printf(b,
               "spec: {capacity: {storage: %s}, accessModes: [%s], hostPath: {path: /x}, storageClassName: '%s', "
               "persistentVolumeReclaimPolicy: %s",
               word(ws, "size", "1Gi"), word(ws, "modes", "ReadWriteOnce"), word(ws, "class", ""),
               word(ws, "policy", "Retain"));
    if (on != NULL) {
        buf_printf(b,
                   ", nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/hostname, "
                   "operator: In, values: [%s]}]}]}}",
                   on);
    }
    if (claim != NULL) {
        buf_printf(b, ", claimRef: {namespace: default, name: %s}", claim);
    }
    buf_puts(b, "}\nstatus: {phase: Pending}\n");
}

static void spell_pvc(struct stage *w, struct arena *a, struct buf *b, const struct words *ws)
{
    buf_puts(b, "apiVersion: v1\nkind: PersistentVolumeClaim\n");
    write_metadata(w, a, b, ws, "");
    buf_printf(b, "spec: {accessModes: [%s], resources: {requests: {storage: %s}}", word(ws, "modes", "ReadWriteOnce"),
               word(ws, "size", "1Gi"));
    if (!flag(ws, "noclass")) {
        buf_printf(b, ", storageClassName: '%s'", word(ws, "class", ""));
    }
    if (word(ws, "volume", NULL) != NULL) {
        buf_printf(b, ", volumeName: %s", word(ws, "volume", ""));
    }
    if (word(ws, "selector", NULL) != NULL) {
        buf_printf(b, ", selector: {matchLabels: %s}", map_text(a, word(ws, "selector", "")));
    }
    buf_puts(b, "}\nstatus: {phase: Pending}\n");
}

static void spell_class(struct stage *w, struct arena *a, struct buf *b, const struct words *ws)
{
    buf_puts(b, "apiVersion: storage.k8s.io/v1\nkind: StorageClass\n");
    write_metadata(w, a, b, ws, "");
    buf_printf(b, "provisioner: %s\nvolumeBindingMode: %s\nreclaimPolicy: %s\nallowVolumeExpansion: %s\n",
               word(ws, "provisioner", "reeve.io/local"), flag(ws, "immediate") ? "Immediate" : "WaitForFirstConsumer",
               word(ws, "policy", "Delete"), flag(ws, "grows") ? "true" : "false");
}

static void spell_budget(struct stage *w, struct arena *a, struct buf *b, const struct words *ws)
{
    static const char *const bounds[][2] = {
        {"min", "minAvailable"}, {"max", "maxUnavailable"}, {"policy", "unhealthyPodEvictionPolicy"}};
    buf_puts(b, "apiVersion: policy/v1\nkind: PodDisruptionBudget\n");
    write_metadata(w, a, b, ws, "");
    buf_printf(b, "spec: {selector: {matchLabels: %s}", map_text(a, word(ws, "select", "app=web")));
    for (unsigned i = 0; i < ARRAY_SIZE(bounds); i++) {
        if (word(ws, bounds[i][0], NULL) != NULL) {
            buf_printf(b, ", %s: %s", bounds[i][1], word(ws, bounds[i][0], ""));
        }
    }
    buf_puts(b, "}\n");
}

static void spell_priority(struct stage *w, struct arena *a, struct buf *b, const struct words *ws)
{
    buf_puts(b, "apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\n");
    write_metadata(w, a, b, ws, "");
    buf_printf(b, "value: %s\nglobalDefault: %s\npreemptionPolicy: %s\n", word(ws, "value", "0"),
               flag(ws, "default") ? "true" : "false", flag(ws, "never") ? "Never" : "PreemptLowerPriority");
}

static void spell_group(struct stage *w, struct arena *a, struct buf *b, const struct words *ws)
{
    const char *min = word(ws, "min", NULL);
    buf_puts(b, "apiVersion: scheduling.k8s.io/v1alpha2\nkind: PodGroup\n");
    write_metadata(w, a, b, ws, "");
    if (min == NULL) {
        buf_puts(b, "spec: {schedulingPolicy: {basic: {}}}\n");
    } else {
        buf_printf(b, "spec: {schedulingPolicy: {gang: {minCount: %s}}}\n", min);
    }
}

static const struct {
    const char *word;
    void (*spell)(struct stage *w, struct arena *a, struct buf *b, const struct words *ws);
} spellings[] = {
    {"pod", spell_pod},         {"node", spell_node},       {"rs", spell_rs},       {"deployment", spell_deployment},
    {"namespace", spell_plain}, {"configmap", spell_plain}, {"pv", spell_pv},       {"pvc", spell_pvc},
    {"class", spell_class},     {"budget", spell_budget},   {"pc", spell_priority}, {"group", spell_group}};

static bool spell_line(struct stage *w, const char *line, struct error *err)
{
    struct words ws = words_of(line);
    bool found = false;
    for (unsigned i = 0; i < ARRAY_SIZE(spellings) && ws.count > 1; i++) {
        if (strcmp(spellings[i].word, ws.w[0]) == 0) {
            struct arena a;
            struct buf yaml = BUF_INIT;
            arena_init(&a);
            spellings[i].spell(w, &a, &yaml, &ws);
            found = true;
            if (stage_apply_yaml(w, buf_cstr(&yaml), err) != 0) {
                fprintf(stderr, "%s\n%s%s\n", line, buf_cstr(&yaml), err->message);
                abort();
            }
            buf_close(&yaml);
            arena_close(&a);
        }
    }
    free(ws.text);
    return found;
}

void stage_apply(struct stage *w, const char *text)
{
    struct error err = {0};
    if (strncmp(text, "apiVersion:", 11) == 0 || strncmp(text, "kind:", 5) == 0) {
        if (stage_apply_yaml(w, text, &err) != 0) {
            fprintf(stderr, "%s\n%s\n", text, err.message);
            abort();
        }
        return;
    }
    char *copy = xstrdup(text);
    for (char *save, *line = strtok_r(copy, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
        if (line[0] != '#' && !spell_line(w, line, &err)) {
            fprintf(stderr, "not understood: %s\n", line);
            abort();
        }
    }
    free(copy);
}
