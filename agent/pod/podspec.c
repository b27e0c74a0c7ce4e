#include "agent/pod/source.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/runtime/cgroup.h"
#include "proto/model/quantity.h"

#define SECONDS(n) ((int64_t)(n)*1000)

/* ---- Small readers ---- */

static const char *text_or(struct arena *a, struct mp m, const char *fallback)
{
    struct str s = mp_str(m);
    return s.p == NULL ? fallback : arena_strndup(a, s.p, s.n);
}

static const char *text(struct arena *a, struct mp m)
{
    return text_or(a, m, "");
}

/* NULL if absent or empty: an empty command is no command. */
static const char *const *text_list(struct arena *a, struct mp m)
{
    uint32_t n = mp_count(m);
    if (n == 0 || mp_type(m) != MP_ARRAY) {
        return NULL;
    }
    const char **list = arena_alloc(a, (n + 1) * sizeof *list);
    uint32_t i = 0;
    for (struct mp_iter it = mp_iter(m); mp_next(&it);) {
        list[i++] = text(a, it.value);
    }
    return list;
}

static bool is_there(struct mp m)
{
    enum mp_type t = mp_type(m);
    return t != MP_NONE && t != MP_NIL;
}

/* ---- Probes and hooks ---- */

/* A port by number, by numeric text, or by the name of one of the container's ports. 0 = no such port. */
static uint16_t port_of(const struct podspec_container *c, struct mp m)
{
    int64_t n = mp_int(m, -1);
    struct str s = mp_str(m);
    if (n < 0 && s.p != NULL) {
        for (unsigned i = 0; i < c->ports_count; i++) {
            if (str_is(s, c->ports[i].name)) {
                return c->ports[i].container_port;
            }
        }
        n = 0;
        for (size_t i = 0; i < s.n && n <= 65535; i++) {
            if (s.p[i] < '0' || s.p[i] > '9') {
                return 0;
            }
            n = n * 10 + (s.p[i] - '0');
        }
    }
    return n > 0 && n <= 65535 ? (uint16_t)n : 0;
}

static void read_headers(struct arena *a, struct mp list, struct podspec_handler *h)
{
    uint32_t n = mp_count(list);
    struct podspec_header *headers = arena_alloc(a, (n + 1) * sizeof *headers);
    for (struct mp_iter it = mp_iter(list); mp_next(&it);) {
        headers[h->headers_count++] =
            (struct podspec_header){text(a, mp_get(it.value, "name")), text(a, mp_get(it.value, "value"))};
    }
    h->headers = headers;
}

static void read_handler(struct arena *a, const struct podspec_container *c, struct mp m, struct podspec_handler *h)
{
    struct mp v;
    if (is_there(v = mp_get(m, "exec"))) {
        h->kind = PODSPEC_HANDLER_EXEC;
        h->argv = text_list(a, mp_get(v, "command"));
    } else if (is_there(v = mp_get(m, "httpGet"))) {
        h->kind = PODSPEC_HANDLER_HTTP;
        h->host = text(a, mp_get(v, "host"));
        h->path = text(a, mp_get(v, "path"));
        h->https = str_is(mp_str(mp_get(v, "scheme")), "HTTPS");
        h->port = port_of(c, mp_get(v, "port"));
        read_headers(a, mp_get(v, "httpHeaders"), h);
    } else if (is_there(v = mp_get(m, "tcpSocket"))) {
        h->kind = PODSPEC_HANDLER_TCP;
        h->host = text(a, mp_get(v, "host"));
        h->port = port_of(c, mp_get(v, "port"));
    } else if (is_there(v = mp_get(m, "grpc"))) {
        h->kind = PODSPEC_HANDLER_GRPC;
        h->host = "";
        h->service = text(a, mp_get(v, "service"));
        h->port = port_of(c, mp_get(v, "port"));
    } else if (is_there(v = mp_get(m, "sleep"))) {
        h->kind = PODSPEC_HANDLER_SLEEP;
        h->sleep_ms = SECONDS(mp_int(mp_get(v, "seconds"), 0));
    }
}

static int64_t at_least_one(struct mp m, int64_t fallback)
{
    int64_t n = mp_int(m, fallback);
    return n < 1 ? fallback : n;
}

static void read_probe(struct arena *a, const struct podspec_container *c, struct mp m, struct podspec_probe *p)
{
    if (!is_there(m)) {
        return;
    }
    read_handler(a, c, m, &p->handler);
    p->initial_delay_ms = SECONDS(MAX(mp_int(mp_get(m, "initialDelaySeconds"), 0), 0));
    p->period_ms = SECONDS(at_least_one(mp_get(m, "periodSeconds"), 10));
    p->timeout_ms = SECONDS(at_least_one(mp_get(m, "timeoutSeconds"), 1));
    p->success_threshold = (unsigned)at_least_one(mp_get(m, "successThreshold"), 1);
    p->failure_threshold = (unsigned)at_least_one(mp_get(m, "failureThreshold"), 3);
    int64_t grace = mp_int(mp_get(m, "terminationGracePeriodSeconds"), -1);
    p->grace_ms = grace < 0 ? -1 : SECONDS(grace);
}

/* ---- Containers ---- */

static void read_ports(struct arena *a, struct mp list, struct podspec_container *c)
{
    struct podspec_port *ports = arena_alloc(a, (mp_count(list) + 1) * sizeof *ports);
    for (struct mp_iter it = mp_iter(list); mp_next(&it);) {
        struct str protocol = mp_str(mp_get(it.value, "protocol"));
        ports[c->ports_count++] = (struct podspec_port){
            .name = text(a, mp_get(it.value, "name")),
            .protocol = str_is(protocol, "UDP")    ? "udp"
                        : str_is(protocol, "SCTP") ? "sctp"
                                                   : "tcp",
            .host_ip = text(a, mp_get(it.value, "hostIP")),
            .container_port = (uint16_t)mp_int(mp_get(it.value, "containerPort"), 0),
            .host_port = (uint16_t)mp_int(mp_get(it.value, "hostPort"), 0),
        };
    }
    c->ports = ports;
}

static void read_mounts(struct arena *a, struct mp list, struct podspec_container *c)
{
    struct podspec_mount *mounts = arena_alloc(a, (mp_count(list) + 1) * sizeof *mounts);
    for (struct mp_iter it = mp_iter(list); mp_next(&it);) {
        struct podspec_mount *m = &mounts[c->mounts_count++];
        m->name = text(a, mp_get(it.value, "name"));
        m->path = text(a, mp_get(it.value, "mountPath"));
        m->sub_path = text(a, mp_get(it.value, "subPath"));
        if (m->sub_path[0] == '\0') {
            m->sub_path = text(a, mp_get(it.value, "subPathExpr"));
            m->sub_path_is_expr = m->sub_path[0] != '\0';
        }
        m->propagation = text(a, mp_get(it.value, "mountPropagation"));
        m->read_only = mp_bool(mp_get(it.value, "readOnly"), false);
        m->recursive_read_only = text(a, mp_get(it.value, "recursiveReadOnly"));
    }
    c->mounts = mounts;
}

static void read_amounts(struct mp m, struct podspec_amounts *out)
{
    struct str cpu = mp_str(mp_get(m, "cpu")), memory = mp_str(mp_get(m, "memory"));
    out->has_cpu = cpu.p != NULL && quantity_milli(cpu, &out->cpu_milli) && out->cpu_milli > 0;
    out->has_memory = memory.p != NULL && quantity_units(memory, &out->memory_bytes) && out->memory_bytes > 0;
    struct str disk = mp_str(mp_get(m, "ephemeral-storage"));
    if (disk.p == NULL || !quantity_units(disk, &out->ephemeral_bytes)) {
        out->ephemeral_bytes = 0;
    }
    out->cpu_milli = out->has_cpu ? out->cpu_milli : 0;
    out->memory_bytes = out->has_memory ? out->memory_bytes : 0;
}

/* The container's own security context over the pod's. */
static void read_security(struct arena *a, struct mp pod, struct mp own, struct runtime_security *s)
{
    int64_t user = mp_int(mp_get(pod, "runAsUser"), -1), group = mp_int(mp_get(pod, "runAsGroup"), -1);
    s->run_as_user = mp_int(mp_get(own, "runAsUser"), user);
    s->run_as_group = mp_int(mp_get(own, "runAsGroup"), group);
    s->run_as_non_root = mp_bool(mp_get(own, "runAsNonRoot"), mp_bool(mp_get(pod, "runAsNonRoot"), false));
    s->read_only_root = mp_bool(mp_get(own, "readOnlyRootFilesystem"), false);
    s->privileged = mp_bool(mp_get(own, "privileged"), false);
    s->unmasked_proc = str_is(mp_str(mp_get(own, "procMount")), "Unmasked");
    s->no_new_privileges = !mp_bool(mp_get(own, "allowPrivilegeEscalation"), true);
    s->capabilities_add = text_list(a, mp_path(own, "capabilities.add"));
    s->capabilities_drop = text_list(a, mp_path(own, "capabilities.drop"));
    struct mp seccomp = mp_get(is_there(mp_get(own, "seccompProfile")) ? own : pod, "seccompProfile");
    struct str type = mp_str(mp_get(seccomp, "type"));
    s->seccomp_unconfined = str_is(type, "Unconfined") || s->privileged;
    s->seccomp_localhost = str_is(type, "Localhost") ? text(a, mp_get(seccomp, "localhostProfile")) : NULL;
    s->strict_groups = str_is(mp_str(mp_get(pod, "supplementalGroupsPolicy")), "Strict");

    struct mp groups = mp_get(pod, "supplementalGroups");
    int64_t fs_group = mp_int(mp_get(pod, "fsGroup"), -1);
    int64_t *list = arena_alloc(a, (mp_count(groups) + 1) * sizeof *list);
    for (struct mp_iter it = mp_iter(groups); mp_next(&it);) {
        list[s->supplemental_groups_count++] = mp_int(it.value, 0);
    }
    if (fs_group >= 0) {
        list[s->supplemental_groups_count++] = fs_group;
    }
    s->supplemental_groups = list;
}

static void read_container(struct arena *a, struct mp pod_security, struct mp m, bool is_init,
                           struct podspec_container *c)
{
    struct runtime_spec unset;
    runtime_spec_init(&unset);
    c->security = unset.security;
    c->raw = m;
    c->name = text(a, mp_get(m, "name"));
    c->image = text(a, mp_get(m, "image"));
    c->pull_policy = text(a, mp_get(m, "imagePullPolicy"));
    c->cwd = text(a, mp_get(m, "workingDir"));
    c->is_init = is_init;
    c->target = text(a, mp_get(m, "targetContainerName"));
    c->is_sidecar = is_init && str_is(mp_str(mp_get(m, "restartPolicy")), "Always");
    c->command = text_list(a, mp_get(m, "command"));
    c->args = text_list(a, mp_get(m, "args"));
    read_ports(a, mp_get(m, "ports"), c);
    read_mounts(a, mp_get(m, "volumeMounts"), c);
    read_probe(a, c, mp_get(m, "startupProbe"), &c->probes[PODSPEC_STARTUP]);
    read_probe(a, c, mp_get(m, "livenessProbe"), &c->probes[PODSPEC_LIVENESS]);
    read_probe(a, c, mp_get(m, "readinessProbe"), &c->probes[PODSPEC_READINESS]);
    read_handler(a, c, mp_path(m, "lifecycle.postStart"), &c->post_start);
    read_handler(a, c, mp_path(m, "lifecycle.preStop"), &c->pre_stop);
    c->stop_signal = text(a, mp_path(m, "lifecycle.stopSignal"));
    read_amounts(mp_path(m, "resources.requests"), &c->requests);
    read_amounts(mp_path(m, "resources.limits"), &c->limits);
    read_security(a, pod_security, mp_get(m, "securityContext"), &c->security);
    c->tty = mp_bool(mp_get(m, "tty"), false);
    c->stdin_open = mp_bool(mp_get(m, "stdin"), false);
    c->stdin_once = mp_bool(mp_get(m, "stdinOnce"), false);
    c->termination_message_path = text_or(a, mp_get(m, "terminationMessagePath"), "/dev/termination-log");
    c->message_from_log = str_is(mp_str(mp_get(m, "terminationMessagePolicy")), "FallbackToLogsOnError");
}

/* ---- Volumes, names ---- */

static void read_volume(struct arena *a, struct mp m, struct podspec_volume *v)
{
    v->name = text(a, mp_get(m, "name"));
    v->source_name = "none";
    for (struct mp_iter it = mp_iter(m); mp_next(&it);) {
        if (str_is(it.key, "name") || !is_there(it.value)) {
            continue;
        }
        v->source_name = arena_strndup(a, it.key.p, it.key.n);
        v->source = it.value;
        v->how = source_find(it.key);
        return;
    }
    v->how = &source_empty_dir; /* no source at all means emptyDir */
    v->source_name = v->how->name;
}

static const char *read_host_aliases(struct arena *a, struct mp list)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    for (struct mp_iter it = mp_iter(list); mp_next(&it);) {
        buf_append_str(&b, mp_str(mp_get(it.value, "ip")));
        for (struct mp_iter n = mp_iter(mp_get(it.value, "hostnames")); mp_next(&n);) {
            buf_putc(&b, ' ');
            buf_append_str(&b, mp_str(n.value));
        }
        buf_putc(&b, '\n');
    }
    return b.size == 0 ? NULL : arena_strndup(a, (const char *)b.data, b.size);
}

/* NULL if there is none. */
static const char *const *names_of(struct arena *a, struct mp list)
{
    const char **out = arena_alloc(a, (mp_count(list) + 1) * sizeof *out);
    unsigned n = 0;
    for (struct mp_iter it = mp_iter(list); mp_next(&it);) {
        out[n++] = text(a, mp_get(it.value, "name"));
    }
    return n == 0 ? NULL : out;
}

/* A pod on the node's network looks names up as the node does, unless it says ClusterFirstWithHostNet. */
static enum podspec_dns_policy dns_policy(struct str policy, bool host_network)
{
    if (str_is(policy, "None")) {
        return PODSPEC_DNS_NONE;
    }
    bool cluster = str_is(policy, "ClusterFirstWithHostNet") || (!str_is(policy, "Default") && !host_network);
    return cluster ? PODSPEC_DNS_CLUSTER : PODSPEC_DNS_NODE;
}

static void read_dns(struct arena *a, struct mp spec, struct podspec *s)
{
    struct mp dns = mp_get(spec, "dnsConfig"), options = mp_get(dns, "options");
    const char **list = arena_alloc(a, (mp_count(options) + 1) * sizeof *list);
    unsigned n = 0;
    s->dns = dns_policy(mp_str(mp_get(spec, "dnsPolicy")), mp_bool(mp_get(spec, "hostNetwork"), false));
    s->dns_servers = text_list(a, mp_get(dns, "nameservers"));
    s->dns_searches = text_list(a, mp_get(dns, "searches"));
    for (struct mp_iter it = mp_iter(options); mp_next(&it);) {
        const char *name = text(a, mp_get(it.value, "name")), *value = text(a, mp_get(it.value, "value"));
        list[n++] = value[0] == '\0' ? name : arena_printf(a, "%s:%s", name, value);
    }
    s->dns_options = n == 0 ? NULL : list;
}

static void read_sysctls(struct arena *a, struct mp list, struct podspec *s)
{
    struct podspec_sysctl *out = arena_alloc(a, (mp_count(list) + 1) * sizeof *out);
    for (struct mp_iter it = mp_iter(list); mp_next(&it);) {
        out[s->sysctls_count++] = (struct podspec_sysctl){podspec_sysctl_name(a, mp_str(mp_get(it.value, "name"))),
                                                          text(a, mp_get(it.value, "value"))};
    }
    s->sysctls = out;
}

/* What is limited and not requested is requested up to the limit. */
static void count_amount(struct qos_sum *sum, bool limited, int64_t limit, bool requested, int64_t request)
{
    qos_count(sum, limited, requested || limited, !requested || request == limit);
}

/* The master has told the class when it let the pod in, and it stays; a pod without a status is looked at. */
static enum qos_class read_qos(const struct podspec *s)
{
    struct qos_sum sum = {0};
    enum qos_class told;
    if (qos_parse(mp_str(mp_path(object_mp(s->object), "status.qosClass")), &told)) {
        return told;
    }
    const struct podspec_amounts *wr = &s->whole_requests, *wl = &s->whole_limits;
    if (wr->has_cpu || wr->has_memory || wl->has_cpu || wl->has_memory) {
        count_amount(&sum, wl->has_cpu, wl->cpu_milli, wr->has_cpu, wr->cpu_milli);
        count_amount(&sum, wl->has_memory, wl->memory_bytes, wr->has_memory, wr->memory_bytes);
        return qos_of(&sum);
    }
    for (unsigned i = 0; i < s->main_count; i++) {
        const struct podspec_amounts *r = &s->containers[i].requests, *l = &s->containers[i].limits;
        count_amount(&sum, l->has_cpu, l->cpu_milli, r->has_cpu, r->cpu_milli);
        count_amount(&sum, l->has_memory, l->memory_bytes, r->has_memory, r->memory_bytes);
    }
    return qos_of(&sum);
}

/* ---- The whole ---- */

static void read_containers(struct podspec *s, struct mp spec)
{
    struct arena *a = &s->arena;
    struct mp inits = mp_get(spec, "initContainers"), apps = mp_get(spec, "containers");
    struct mp security = mp_get(spec, "securityContext");
    struct mp ephemerals = mp_get(spec, "ephemeralContainers");
    unsigned main_count = mp_count(inits) + mp_count(apps);
    unsigned others = MIN(mp_count(ephemerals), PODSPEC_CONTAINERS_MAX - main_count);
    struct podspec_container *list = arena_alloc(a, (main_count + others) * sizeof *list);
    for (struct mp_iter it = mp_iter(inits); mp_next(&it);) {
        read_container(a, security, it.value, true, &list[s->count++]);
    }
    s->init_count = s->count;
    for (struct mp_iter it = mp_iter(apps); mp_next(&it);) {
        read_container(a, security, it.value, false, &list[s->count++]);
    }
    s->main_count = s->count;
    for (struct mp_iter it = mp_iter(ephemerals); s->count < main_count + others && mp_next(&it);) {
        list[s->count].is_ephemeral = true;
        read_container(a, security, it.value, false, &list[s->count++]);
    }
    s->left_out = mp_count(ephemerals) - others;
    s->containers = list;

    struct mp volumes = mp_get(spec, "volumes");
    struct podspec_volume *v = arena_alloc(a, (mp_count(volumes) + 1) * sizeof *v);
    for (struct mp_iter it = mp_iter(volumes); mp_next(&it);) {
        read_volume(a, it.value, &v[s->volumes_count++]);
    }
    s->volumes = v;
}

static void read_names(struct podspec *s, struct mp spec)
{
    struct arena *a = &s->arena;
    const char *hostname = text(a, mp_get(spec, "hostname")), *subdomain = text(a, mp_get(spec, "subdomain"));
    s->hostname = hostname[0] != '\0' ? hostname : s->name;
    s->domain = subdomain[0] == '\0' ? NULL : arena_printf(a, "%s.%s.svc.cluster.local", subdomain, s->ns);
    s->extra_hosts = read_host_aliases(a, mp_get(spec, "hostAliases"));
    s->fqdn_hostname = mp_bool(mp_get(spec, "setHostnameAsFQDN"), false);
    read_dns(a, spec, s);
    s->pull_secrets = names_of(a, mp_get(spec, "imagePullSecrets"));
    read_sysctls(a, mp_path(spec, "securityContext.sysctls"), s);
    s->service_account = text_or(a, mp_get(spec, "serviceAccountName"), "default");
    s->runtime_class = text_or(a, mp_get(spec, "runtimeClassName"), "");
}

int podspec_new(const struct object *pod, struct podspec **out, struct error *err)
{
    assert(pod->kind->id == KIND_POD);
    struct mp spec = mp_get(object_mp(pod), "spec");
    uint32_t count = mp_count(mp_get(spec, "initContainers")) + mp_count(mp_get(spec, "containers"));
    if (str_empty(pod->uid) || mp_count(mp_get(spec, "containers")) == 0 || count > PODSPEC_CONTAINERS_MAX) {
        return error_set_field(err, ERR_INVALID, "spec.containers",
                               "pod %.*s/%.*s: has no uid, or %u containers (1 to %u can run)", STR_ARG(pod->ns),
                               STR_ARG(pod->name), count, PODSPEC_CONTAINERS_MAX);
    }
    struct podspec *s = xcalloc(1, sizeof *s);
    arena_init(&s->arena);
    s->object = object_ref(pod);
    s->ns = arena_strndup(&s->arena, pod->ns.p, pod->ns.n);
    s->name = arena_strndup(&s->arena, pod->name.p, pod->name.n);
    s->uid = arena_strndup(&s->arena, pod->uid.p, pod->uid.n);
    struct str restart = mp_str(mp_get(spec, "restartPolicy"));
    s->restart = str_is(restart, "Never")       ? PODSPEC_NEVER
                 : str_is(restart, "OnFailure") ? PODSPEC_ON_FAILURE
                                                : PODSPEC_ALWAYS;
    s->grace_ms = SECONDS(MAX(mp_int(mp_get(spec, "terminationGracePeriodSeconds"), PODSPEC_GRACE_DEFAULT_S), 0));
    s->active_deadline_ms = SECONDS(MAX(mp_int(mp_get(spec, "activeDeadlineSeconds"), 0), 0));
    s->deleting = pod->deleting;
    int64_t grace = mp_int(mp_path(object_mp(pod), "metadata.deletionGracePeriodSeconds"), -1);
    s->deletion_grace_ms = grace < 0 ? -1 : SECONDS(grace);
    s->host_network = mp_bool(mp_get(spec, "hostNetwork"), false);
    s->host_ipc = mp_bool(mp_get(spec, "hostIPC"), false);
    s->host_pid = mp_bool(mp_get(spec, "hostPID"), false);
    s->own_users = !mp_bool(mp_get(spec, "hostUsers"), true);
    s->shared_pid = mp_bool(mp_get(spec, "shareProcessNamespace"), false) && !s->host_pid;
    s->fs_group = mp_int(mp_path(spec, "securityContext.fsGroup"), -1);
    read_amounts(mp_path(spec, "resources.requests"), &s->whole_requests);
    read_amounts(mp_path(spec, "resources.limits"), &s->whole_limits);
    read_containers(s, spec);
    read_names(s, spec);
    s->qos = read_qos(s);
    podspec_sum_requests(s);
    *out = s;
    return 0;
}

void podspec_free(struct podspec *s)
{
    if (s == NULL) {
        return;
    }
    object_unref(s->object);
    arena_close(&s->arena);
    free(s);
}

const struct podspec_container *podspec_find(const struct podspec *s, struct str container)
{
    for (unsigned i = 0; i < s->count; i++) {
        if (str_is(container, s->containers[i].name)) {
            return &s->containers[i];
        }
    }
    return NULL;
}

/* ---- References ---- */

struct refers {
    const struct object *to;
    bool found;
};

static void refers_to(void *data, const struct kind_reference *r)
{
    struct refers *f = data;
    f->found |= r->use == REFERENCE_CONTENT && r->kind == f->to->kind && str_eq(r->name, f->to->name) &&
                str_eq(r->ns, f->to->ns);
}

bool podspec_refers(const struct podspec *s, const struct object *to)
{
    struct refers f = {.to = to};
    kind_references(s->object, refers_to, &f);
    return f.found;
}

/* ---- Amounts ---- */

#define CPU_SHARES_MIN   2
#define CPU_SHARES_MAX   262144
#define CPU_PERIOD_US    100000
#define CPU_MILLI_MAX    (1ll << 36) /* more than any node has; the kernel takes a quota below 2^44 us */
#define CPU_QUOTA_MIN_US 1000

static uint64_t shares_of(int64_t milli)
{
    int64_t shares = MIN(milli, CPU_MILLI_MAX) * 1024 / 1000;
    return (uint64_t)MIN(MAX(shares, CPU_SHARES_MIN), CPU_SHARES_MAX);
}

static int64_t quota_of(int64_t milli)
{
    return milli <= 0 ? 0 : MAX(MIN(milli, CPU_MILLI_MAX) * CPU_PERIOD_US / 1000, CPU_QUOTA_MIN_US);
}

/* The less of what it asked for a container uses of the node's memory, the later it is chosen by the kernel's OOM
 * killer. */
static int oom_score(const struct podspec *s, const struct podspec_container *c, int64_t node_memory_bytes)
{
    if (s->qos == QOS_GUARANTEED) {
        return -997;
    }
    if (s->qos == QOS_BEST_EFFORT || node_memory_bytes <= 0) {
        return 1000;
    }
    /* What the pod requests beyond its containers is shared among them. */
    int64_t asked = 0, request = c->requests.memory_bytes;
    for (unsigned i = 0; i < s->main_count; i++) {
        asked += s->containers[i].requests.memory_bytes / 1024;
    }
    int64_t more = s->whole_requests.memory_bytes / 1024 - asked;
    request += s->main_count > 0 && more > 0 ? more / s->main_count * 1024 : 0;
    int64_t score = 1000 - 1000 * (request / 1024) / MAX(node_memory_bytes / 1024, 1);
    return (int)MIN(MAX(score, 3), 999);
}

void podspec_container_resources(const struct podspec *s, const struct podspec_container *c, int64_t node_memory_bytes,
                                 struct runtime_resources *out)
{
    int64_t cpu = c->requests.has_cpu ? c->requests.cpu_milli : c->limits.cpu_milli;
    *out = (struct runtime_resources){
        .memory_bytes = (uint64_t)c->limits.memory_bytes,
        .cpu_shares = shares_of(cpu),
        .cpu_quota_us = quota_of(c->limits.cpu_milli),
        .cpu_period_us = CPU_PERIOD_US,
        .oom_score_adj = oom_score(s, c, node_memory_bytes),
    };
}

/* What a pod says may be near the greatest number: bounded, as its total. */
static int64_t plus(int64_t a, int64_t b)
{
    return podspec_total_sum((struct podspec_total){.cpu_milli = a}, (struct podspec_total){.cpu_milli = b}).cpu_milli;
}

/* Containers run together with sidecars, init containers one at a time: the larger of both counts. A limit holds for
 * the pod only if every container has one, or if the pod says it as a whole. */
void podspec_pod_limits(const struct podspec *s, struct cgroup_limits *out)
{
    int64_t cpu = 0, quota = 0, memory = 0, init_cpu = 0, init_quota = 0, init_memory = 0;
    bool all_cpu = true, all_memory = true;
    for (unsigned i = 0; i < s->main_count; i++) {
        const struct podspec_container *c = &s->containers[i];
        int64_t request = c->requests.has_cpu ? c->requests.cpu_milli : c->limits.cpu_milli;
        all_cpu = all_cpu && c->limits.has_cpu;
        all_memory = all_memory && c->limits.has_memory;
        if (c->is_init && !c->is_sidecar) {
            init_cpu = MAX(init_cpu, request);
            init_quota = MAX(init_quota, c->limits.cpu_milli);
            init_memory = MAX(init_memory, c->limits.memory_bytes);
        } else {
            cpu = plus(cpu, request);
            quota = plus(quota, c->limits.cpu_milli);
            memory = plus(memory, c->limits.memory_bytes);
        }
    }
    const struct podspec_amounts *r = &s->whole_requests, *l = &s->whole_limits;
    int64_t shares = r->has_cpu ? r->cpu_milli : l->has_cpu ? l->cpu_milli : MAX(cpu, init_cpu);
    memory = l->has_memory ? l->memory_bytes : all_memory ? MAX(memory, init_memory) : 0;
    quota = l->has_cpu ? l->cpu_milli : all_cpu ? MAX(quota, init_quota) : 0;
    /* What the pod needs itself is in its group as well: its runtime may have processes there. */
    struct podspec_amounts over = {0};
    read_amounts(mp_get(object_spec(s->object), "overhead"), &over);
    *out = (struct cgroup_limits){
        .memory_bytes = memory > 0 ? (uint64_t)plus(memory, over.memory_bytes) : 0,
        .cpu_shares = shares_of(plus(shares, over.cpu_milli)),
        .cpu_quota_us = quota > 0 ? quota_of(plus(quota, over.cpu_milli)) : 0,
        .cpu_period_us = CPU_PERIOD_US,
    };
}
