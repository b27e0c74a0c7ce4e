/* describe: pods, and the parts of pods that templates share. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "proto/describe/parts.h"
#include "proto/facts/storage.h"
#include "proto/kinds/kinds.h"

#define POD_WIDTH 18 /* of the labels on the left */

static struct str path(struct mp m, const char *p)
{
    return mp_str(mp_path(m, p));
}

static void put_int_or_str(struct buf *out, struct mp v)
{
    struct str s = mp_str(v);
    if (s.p != NULL) {
        buf_append_str(out, s);
    } else {
        buf_printf(out, "%" PRId64, mp_int(v, 0));
    }
}

/* ---- Containers ---- */

static void list_lines(struct buf *out, unsigned level, const char *label, struct mp list)
{
    if (mp_count(list) == 0) {
        return;
    }
    describe_label(out, level, 0, label);
    out->size--;
    buf_putc(out, '\n');
    for (struct mp_iter it = mp_iter(list); mp_next(&it);) {
        struct str s = mp_str(it.value);
        buf_printf(out, "%*s%.*s\n", (int)(level + 1) * DESCRIBE_TAB, "", STR_ARG(s));
    }
}

static void ports(struct buf *out, unsigned level, struct mp list)
{
    describe_label(out, level, 16, mp_count(list) > 1 ? "Ports:" : "Port:");
    unsigned n = 0;
    for (struct mp_iter it = mp_iter(list); mp_next(&it); n++) {
        struct str protocol = path(it.value, "protocol");
        buf_printf(out, "%s%" PRId64 "/%.*s", n > 0 ? ", " : "", mp_int(mp_get(it.value, "containerPort"), 0),
                   STR_ARG(protocol.n > 0 ? protocol : STR("TCP")));
        if (mp_int(mp_get(it.value, "hostPort"), 0) != 0) {
            buf_printf(out, " (host %" PRId64 ")", mp_int(mp_get(it.value, "hostPort"), 0));
        }
    }
    buf_puts(out, n == 0 ? "<none>\n" : "\n");
}

static void state(struct buf *out, unsigned level, const char *label, struct mp s)
{
    struct mp running = mp_get(s, "running"), waiting = mp_get(s, "waiting"), terminated = mp_get(s, "terminated");
    if (mp_type(running) == MP_MAP) {
        describe_text(out, level, 16, label, STR("Running"));
        describe_time(out, level + 1, 14, "Started:", path(running, "startedAt"));
    } else if (mp_type(terminated) == MP_MAP) {
        describe_text(out, level, 16, label, STR("Terminated"));
        describe_text(out, level + 1, 14, "Reason:", path(terminated, "reason"));
        if (path(terminated, "message").n > 0) {
            describe_text(out, level + 1, 14, "Message:", path(terminated, "message"));
        }
        describe_label(out, level + 1, 14, "Exit Code:");
        buf_printf(out, "%" PRId64 "\n", mp_int(mp_get(terminated, "exitCode"), 0));
        if (mp_int(mp_get(terminated, "signal"), 0) != 0) {
            describe_label(out, level + 1, 14, "Signal:");
            buf_printf(out, "%" PRId64 "\n", mp_int(mp_get(terminated, "signal"), 0));
        }
        describe_time(out, level + 1, 14, "Started:", path(terminated, "startedAt"));
        describe_time(out, level + 1, 14, "Finished:", path(terminated, "finishedAt"));
    } else {
        describe_text(out, level, 16, label, STR("Waiting"));
        if (path(waiting, "reason").n > 0) {
            describe_text(out, level + 1, 14, "Reason:", path(waiting, "reason"));
        }
        if (path(waiting, "message").n > 0) {
            describe_text(out, level + 1, 14, "Message:", path(waiting, "message"));
        }
    }
}

static void quantities(struct buf *out, unsigned level, const char *label, struct mp map)
{
    if (mp_count(map) == 0) {
        return;
    }
    size_t width = 0;
    for (struct mp_iter it = mp_iter(map); mp_next(&it);) {
        width = MAX(width, it.key.n);
    }
    buf_printf(out, "%*s%s\n", (int)level * DESCRIBE_TAB, "", label);
    for (struct mp_iter it = mp_iter(map); mp_next(&it);) {
        struct str v = mp_str(it.value);
        buf_printf(out, "%*s%.*s:%*s%.*s\n", (int)(level + 1) * DESCRIBE_TAB, "", STR_ARG(it.key),
                   (int)(width - it.key.n) + 2, "", STR_ARG(v));
    }
}

/* "http-get http://:80/healthz delay=5s timeout=1s period=10s #success=1 #failure=3" */
static void probe(struct buf *out, unsigned level, const char *label, struct mp p)
{
    if (mp_type(p) != MP_MAP) {
        return;
    }
    describe_label(out, level, 16, label);
    struct mp http = mp_get(p, "httpGet"), tcp = mp_get(p, "tcpSocket"), exec = mp_get(p, "exec");
    if (mp_type(http) == MP_MAP) {
        struct str scheme = path(http, "scheme"), host = path(http, "host"), where = path(http, "path");
        buf_printf(out, "http-get %s://%.*s:", str_is(scheme, "HTTPS") ? "https" : "http", STR_ARG(host));
        put_int_or_str(out, mp_get(http, "port"));
        buf_append_str(out, where);
    } else if (mp_type(tcp) == MP_MAP) {
        struct str host = path(tcp, "host");
        buf_printf(out, "tcp-socket %.*s:", STR_ARG(host));
        put_int_or_str(out, mp_get(tcp, "port"));
    } else {
        unsigned n = 0;
        buf_puts(out, "exec [");
        for (struct mp_iter it = mp_iter(mp_get(exec, "command")); mp_next(&it); n++) {
            struct str s = mp_str(it.value);
            buf_printf(out, "%s%.*s", n > 0 ? " " : "", STR_ARG(s));
        }
        buf_puts(out, "]");
    }
    buf_printf(
        out, " delay=%" PRId64 "s timeout=%" PRId64 "s period=%" PRId64 "s #success=%" PRId64 " #failure=%" PRId64 "\n",
        mp_int(mp_get(p, "initialDelaySeconds"), 0), mp_int(mp_get(p, "timeoutSeconds"), 1),
        mp_int(mp_get(p, "periodSeconds"), 10), mp_int(mp_get(p, "successThreshold"), 1),
        mp_int(mp_get(p, "failureThreshold"), 3));
}

static void variable(struct buf *out, unsigned level, struct mp e)
{
    static const struct {
        const char *path, *what;
    } references[] = {{"valueFrom.secretKeyRef", "secret"}, {"valueFrom.configMapKeyRef", "config map"}};
    struct str name = path(e, "name"), value = path(e, "value"), field = path(e, "valueFrom.fieldRef.fieldPath");
    struct str resource = path(e, "valueFrom.resourceFieldRef.resource");
    buf_printf(out, "%*s%.*s:  ", (int)level * DESCRIBE_TAB, "", STR_ARG(name));
    for (unsigned i = 0; i < ARRAY_SIZE(references); i++) {
        struct mp ref = mp_path(e, references[i].path);
        if (mp_type(ref) == MP_MAP) {
            struct str key = path(ref, "key"), of = path(ref, "name");
            buf_printf(out, "<set to the key '%.*s' of %s '%.*s'>", STR_ARG(key), references[i].what, STR_ARG(of));
        }
    }
    if (field.n > 0) {
        buf_printf(out, "(%.*s)", STR_ARG(field));
    } else if (resource.n > 0) {
        buf_printf(out, "(%.*s)", STR_ARG(resource));
    }
    buf_append_str(out, value);
    buf_putc(out, '\n');
}

static void environment(struct buf *out, unsigned level, struct mp c)
{
    struct mp env = mp_get(c, "env"), from = mp_get(c, "envFrom");
    for (struct mp_iter it = mp_iter(from); mp_next(&it);) {
        struct str cm = path(it.value, "configMapRef.name"), secret = path(it.value, "secretRef.name");
        describe_label(out, level, 0, "Environment Variables from:");
        buf_printf(out, "%.*s  %s\n", STR_ARG(cm.n > 0 ? cm : secret), cm.n > 0 ? "ConfigMap" : "Secret");
    }
    if (mp_count(env) == 0) {
        describe_text(out, level, 16, "Environment:", STR_NONE);
        return;
    }
    buf_printf(out, "%*sEnvironment:\n", (int)level * DESCRIBE_TAB, "");
    for (struct mp_iter it = mp_iter(env); mp_next(&it);) {
        variable(out, level + 1, it.value);
    }
}

static void mounts(struct buf *out, unsigned level, struct mp list)
{
    if (mp_count(list) == 0) {
        describe_text(out, level, 16, "Mounts:", STR_NONE);
        return;
    }
    buf_printf(out, "%*sMounts:\n", (int)level * DESCRIBE_TAB, "");
    for (struct mp_iter it = mp_iter(list); mp_next(&it);) {
        struct str at = path(it.value, "mountPath"), name = path(it.value, "name"), sub = path(it.value, "subPath");
        buf_printf(out, "%*s%.*s from %.*s (%s", (int)(level + 1) * DESCRIBE_TAB, "", STR_ARG(at), STR_ARG(name),
                   mp_bool(mp_get(it.value, "readOnly"), false) ? "ro" : "rw");
        if (sub.n > 0) {
            buf_printf(out, ",path=\"%.*s\"", STR_ARG(sub));
        }
        buf_puts(out, ")\n");
    }
}

static struct mp status_of(struct mp statuses, struct str name)
{
    for (struct mp_iter it = mp_iter(statuses); mp_next(&it);) {
        if (str_eq(mp_str(mp_get(it.value, "name")), name)) {
            return it.value;
        }
    }
    return (struct mp){0};
}

static void container_status(struct buf *out, unsigned level, struct mp s)
{
    state(out, level, "State:", mp_get(s, "state"));
    if (mp_count(mp_get(s, "lastState")) > 0) {
        state(out, level, "Last State:", mp_get(s, "lastState"));
    }
    describe_text(out, level, 16, "Ready:", mp_bool(mp_get(s, "ready"), false) ? STR("True") : STR("False"));
    describe_label(out, level, 16, "Restart Count:");
    buf_printf(out, "%" PRId64 "\n", mp_int(mp_get(s, "restartCount"), 0));
}

static void container(struct buf *out, unsigned level, struct mp c, struct mp s)
{
    struct str name = path(c, "name");
    bool has_status = mp_type(s) == MP_MAP;
    buf_printf(out, "%*s%.*s:\n", (int)level * DESCRIBE_TAB, "", STR_ARG(name));
    level++;
    if (has_status) {
        describe_label(out, level, 16, "Container ID:");
        buf_append_str(out, path(s, "containerID"));
        buf_putc(out, '\n');
    }
    describe_text(out, level, 16, "Image:", path(c, "image"));
    if (has_status) {
        describe_label(out, level, 16, "Image ID:");
        buf_append_str(out, path(s, "imageID"));
        buf_putc(out, '\n');
    }
    ports(out, level, mp_get(c, "ports"));
    list_lines(out, level, "Command:", mp_get(c, "command"));
    list_lines(out, level, "Args:", mp_get(c, "args"));
    if (has_status) {
        container_status(out, level, s);
    }
    quantities(out, level, "Limits:", mp_path(c, "resources.limits"));
    quantities(out, level, "Requests:", mp_path(c, "resources.requests"));
    probe(out, level, "Liveness:", mp_get(c, "livenessProbe"));
    probe(out, level, "Readiness:", mp_get(c, "readinessProbe"));
    probe(out, level, "Startup:", mp_get(c, "startupProbe"));
    environment(out, level, c);
    mounts(out, level, mp_get(c, "volumeMounts"));
}

void describe_containers(struct buf *out, unsigned level, const char *label, struct mp containers, struct mp statuses)
{
    if (mp_count(containers) == 0) {
        return;
    }
    buf_printf(out, "%*s%s\n", (int)level * DESCRIBE_TAB, "", label);
    for (struct mp_iter it = mp_iter(containers); mp_next(&it);) {
        container(out, level + 1, it.value, status_of(statuses, path(it.value, "name")));
    }
}

/* ---- Volumes ---- */

static void items(struct buf *out, unsigned level, struct mp list)
{
    if (mp_count(list) == 0) {
        return;
    }
    buf_printf(out, "%*sItems:\n", (int)level * DESCRIBE_TAB, "");
    for (struct mp_iter it = mp_iter(list); mp_next(&it);) {
        struct str key = path(it.value, "key"), to = path(it.value, "path");
        buf_printf(out, "%*s%.*s -> %.*s\n", (int)(level + 1) * DESCRIBE_TAB, "", STR_ARG(key), STR_ARG(to));
    }
}

static struct str read_only(struct mp source)
{
    return mp_bool(mp_get(source, "readOnly"), false) ? STR("true") : STR("false");
}

static void own_claim(struct buf *out, unsigned level, struct mp template)
{
    CLEANUP_BUF struct buf modes = BUF_INIT;
    struct mp spec = mp_get(template, "spec");
    storage_write_modes(&modes, mp_get(spec, "accessModes"));
    describe_text(
        out, level, 12, "Type:",
        STR("EphemeralVolume (an inline specification for a volume that gets created and deleted with the pod)"));
    describe_text(out, level, 12, "StorageClass:", path(spec, "storageClassName"));
    describe_text(out, level, 12, "Volume:", path(spec, "volumeName"));
    describe_map(out, level, 12, "Labels:", mp_path(template, "metadata.labels"), "=");
    describe_map(out, level, 12, "Annotations:", mp_path(template, "metadata.annotations"), ": ");
    describe_text(out, level, 12, "Capacity:", path(spec, "resources.requests.storage"));
    describe_text(out, level, 12, "Access Modes:", buf_str(&modes));
    describe_text(out, level, 12, "VolumeMode:", path(spec, "volumeMode"));
}

static void volume(struct buf *out, unsigned level, struct mp v)
{
    struct str name = path(v, "name");
    buf_printf(out, "%*s%.*s:\n", (int)level * DESCRIBE_TAB, "", STR_ARG(name));
    level++;
    struct mp cm = mp_get(v, "configMap"), secret = mp_get(v, "secret"), empty = mp_get(v, "emptyDir");
    struct mp host = mp_get(v, "hostPath"), claim = mp_get(v, "persistentVolumeClaim"), nfs = mp_get(v, "nfs");
    struct mp template = mp_path(v, "ephemeral.volumeClaimTemplate");
    if (mp_type(cm) == MP_MAP) {
        describe_text(out, level, 12, "Type:", STR("ConfigMap (a volume populated by a ConfigMap)"));
        describe_text(out, level, 12, "Name:", path(cm, "name"));
        describe_text(out, level, 12, "Optional:", mp_bool(mp_get(cm, "optional"), false) ? STR("true") : STR("false"));
        items(out, level, mp_get(cm, "items"));
    } else if (mp_type(secret) == MP_MAP) {
        describe_text(out, level, 12, "Type:", STR("Secret (a volume populated by a Secret)"));
        describe_text(out, level, 12, "SecretName:", path(secret, "secretName"));
        describe_text(out, level, 12,
                      "Optional:", mp_bool(mp_get(secret, "optional"), false) ? STR("true") : STR("false"));
        items(out, level, mp_get(secret, "items"));
    } else if (mp_type(empty) == MP_MAP) {
        struct str limit = path(empty, "sizeLimit");
        describe_text(out, level, 12, "Type:", STR("EmptyDir (a temporary directory that shares a pod's lifetime)"));
        describe_text(out, level, 12, "Medium:", path(empty, "medium"));
        describe_text(out, level, 12, "SizeLimit:", limit.n > 0 ? limit : STR("<unset>"));
    } else if (mp_type(host) == MP_MAP) {
        describe_text(out, level, 12, "Type:", STR("HostPath (bare host directory volume)"));
        describe_text(out, level, 12, "Path:", path(host, "path"));
        describe_text(out, level, 12, "HostPathType:", path(host, "type"));
    } else if (mp_type(claim) == MP_MAP) {
        describe_text(out, level, 12, "Type:",
                      STR("PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same "
                          "namespace)"));
        describe_text(out, level, 12, "ClaimName:", path(claim, "claimName"));
        describe_text(out, level, 12, "ReadOnly:", read_only(claim));
    } else if (mp_type(template) == MP_MAP) {
        own_claim(out, level, template);
    } else if (mp_type(nfs) == MP_MAP) {
        describe_text(out, level, 12, "Type:", STR("NFS (an NFS mount that lasts the lifetime of a pod)"));
        describe_text(out, level, 12, "Server:", path(nfs, "server"));
        describe_text(out, level, 12, "Path:", path(nfs, "path"));
        describe_text(out, level, 12, "ReadOnly:", read_only(nfs));
    } else {
        describe_value(out, v, level);
    }
}

void describe_volumes(struct buf *out, unsigned level, struct mp volumes)
{
    if (mp_count(volumes) == 0) {
        describe_text(out, level, POD_WIDTH, "Volumes:", STR_NONE);
        return;
    }
    buf_printf(out, "%*sVolumes:\n", (int)level * DESCRIBE_TAB, "");
    for (struct mp_iter it = mp_iter(volumes); mp_next(&it);) {
        volume(out, level + 1, it.value);
    }
}

/* spec.resources: what the pod has as a whole. */
static void whole_resources(struct buf *out, unsigned level, struct mp resources)
{
    if (mp_count(mp_get(resources, "limits")) + mp_count(mp_get(resources, "requests")) > 0) {
        buf_printf(out, "%*sResources:\n", (int)level * DESCRIBE_TAB, "");
        quantities(out, level + 1, "Limits:", mp_get(resources, "limits"));
        quantities(out, level + 1, "Requests:", mp_get(resources, "requests"));
    }
}

void describe_pod_template(struct buf *out, struct mp template, unsigned level)
{
    struct mp spec = mp_get(template, "spec");
    describe_map(out, level, 14, "Labels:", mp_path(template, "metadata.labels"), "=");
    if (mp_count(mp_path(template, "metadata.annotations")) > 0) {
        describe_map(out, level, 14, "Annotations:", mp_path(template, "metadata.annotations"), ": ");
    }
    whole_resources(out, level, mp_get(spec, "resources"));
    describe_containers(out, level, "Init Containers:", mp_get(spec, "initContainers"), (struct mp){0});
    describe_containers(out, level, "Containers:", mp_get(spec, "containers"), (struct mp){0});
    describe_volumes(out, level, mp_get(spec, "volumes"));
}

/* ---- Pods ---- */

static void toleration(struct buf *out, struct mp t)
{
    struct str key = path(t, "key"), value = path(t, "value"), effect = path(t, "effect"), op = path(t, "operator");
    buf_append_str(out, key);
    if (value.n > 0) {
        buf_printf(out, "=%.*s", STR_ARG(value));
    }
    if (effect.n > 0) {
        buf_printf(out, ":%.*s", STR_ARG(effect));
    }
    if (str_is(op, "Exists")) {
        buf_puts(out, key.n == 0 && effect.n == 0 ? "op=Exists" : " op=Exists");
    }
    if (mp_type(mp_get(t, "tolerationSeconds")) != MP_NONE) {
        buf_printf(out, " for %" PRId64 "s", mp_int(mp_get(t, "tolerationSeconds"), 0));
    }
    buf_putc(out, '\n');
}

static void tolerations(struct buf *out, struct mp list, unsigned width)
{
    unsigned n = 0;
    describe_label(out, 0, width, "Tolerations:");
    for (struct mp_iter it = mp_iter(list); mp_next(&it); n++) {
        if (n > 0) {
            describe_label(out, 0, width, "");
        }
        toleration(out, it.value);
    }
    buf_puts(out, n == 0 ? "<none>\n" : "");
}

static void controlled_by(struct buf *out, struct mp owners)
{
    for (struct mp_iter it = mp_iter(owners); mp_next(&it);) {
        if (mp_bool(mp_get(it.value, "controller"), false)) {
            struct str kind = path(it.value, "kind"), name = path(it.value, "name");
            describe_label(out, 0, POD_WIDTH, "Controlled By:");
            buf_printf(out, "%.*s/%.*s\n", STR_ARG(kind), STR_ARG(name));
        }
    }
}

static void pod_head(struct buf *out, const struct object *o)
{
    struct mp m = object_mp(o);
    struct str node = path(m, "spec.nodeName"), host = path(m, "status.hostIP"),
               account = path(m, "spec.serviceAccountName");
    describe_text(out, 0, POD_WIDTH, "Name:", o->name);
    describe_text(out, 0, POD_WIDTH, "Namespace:", o->ns);
    describe_label(out, 0, POD_WIDTH, "Priority:");
    buf_printf(out, "%" PRId64 "\n", mp_int(mp_path(m, "spec.priority"), 0));
    if (!str_empty(mp_str(mp_path(m, "spec.priorityClassName")))) {
        describe_text(out, 0, POD_WIDTH, "Priority Class Name:", mp_str(mp_path(m, "spec.priorityClassName")));
    }
    if (account.n > 0) {
        describe_text(out, 0, POD_WIDTH, "Service Account:", account);
    }
    describe_label(out, 0, POD_WIDTH, "Node:");
    buf_printf(out, "%.*s%s%.*s\n", STR_ARG(node.n > 0 ? node : STR("<none>")), host.n > 0 ? "/" : "", STR_ARG(host));
    if (path(m, "status.startTime").n > 0) {
        describe_time(out, 0, POD_WIDTH, "Start Time:", path(m, "status.startTime"));
    }
    describe_map(out, 0, POD_WIDTH, "Labels:", mp_path(m, "metadata.labels"), "=");
    describe_map(out, 0, POD_WIDTH, "Annotations:", mp_path(m, "metadata.annotations"), ": ");
}

static void pod_status(struct buf *out, const struct object *o)
{
    struct mp m = object_mp(o);
    if (o->deleting) {
        struct str at = path(m, "metadata.deletionTimestamp");
        describe_label(out, 0, POD_WIDTH, "Status:");
        buf_printf(out, "Terminating (since %.*s)\n", STR_ARG(at));
        describe_label(out, 0, POD_WIDTH, "Termination Grace Period:");
        buf_printf(out, "%" PRId64 "s\n", mp_int(mp_path(m, "metadata.deletionGracePeriodSeconds"), 0));
    } else {
        describe_text(out, 0, POD_WIDTH, "Status:", path(m, "status.phase"));
    }
    if (path(m, "status.reason").n > 0) {
        describe_text(out, 0, POD_WIDTH, "Reason:", path(m, "status.reason"));
    }
    if (path(m, "status.message").n > 0) {
        describe_text(out, 0, POD_WIDTH, "Message:", path(m, "status.message"));
    }
    describe_label(out, 0, POD_WIDTH, "IP:");
    buf_append_str(out, path(m, "status.podIP"));
    buf_puts(out, "\nIPs:");
    unsigned n = 0;
    for (struct mp_iter it = mp_iter(mp_path(m, "status.podIPs")); mp_next(&it); n++) {
        struct str ip = path(it.value, "ip");
        buf_printf(out, "\n  IP:  %.*s", STR_ARG(ip));
    }
    buf_puts(out, n == 0 ? "  <none>\n" : "\n");
}

void pod_describe(struct buf *out, const struct object *o, const struct describe_context *c)
{
    struct mp m = object_mp(o);
    pod_head(out, o);
    pod_status(out, o);
    controlled_by(out, mp_path(m, "metadata.ownerReferences"));
    whole_resources(out, 0, mp_path(m, "spec.resources"));
    describe_containers(out, 0, "Init Containers:", mp_path(m, "spec.initContainers"),
                        mp_path(m, "status.initContainerStatuses"));
    describe_containers(out, 0, "Containers:", mp_path(m, "spec.containers"), mp_path(m, "status.containerStatuses"));
    describe_containers(out, 0, "Ephemeral Containers:", mp_path(m, "spec.ephemeralContainers"),
                        mp_path(m, "status.ephemeralContainerStatuses"));
    describe_conditions(out, mp_path(m, "status.conditions"), false);
    describe_volumes(out, 0, mp_path(m, "spec.volumes"));
    describe_text(out, 0, POD_WIDTH, "QoS Class:", path(m, "status.qosClass"));
    describe_map(out, 0, POD_WIDTH, "Node-Selectors:", mp_path(m, "spec.nodeSelector"), "=");
    tolerations(out, mp_path(m, "spec.tolerations"), POD_WIDTH);
    describe_events(out, c);
}
