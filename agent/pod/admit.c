#include "agent/pod/admit.h"

#include <stdio.h>
#include <string.h>

#include "proto/facts/node_match.h"

static bool refuse(struct admit_refusal *why, bool by_node, const char *predicate, const char *text)
{
    snprintf(why->reason, sizeof why->reason, "%s", predicate);
    snprintf(why->message, sizeof why->message, "Pod was rejected: Predicate %s failed: %s", predicate, text);
    why->by_node = by_node;
    return false;
}

static bool has_room(const char *resource, int64_t wanted, int64_t used, int64_t capacity, struct admit_refusal *why)
{
    if (wanted == 0 || wanted <= capacity - used) {
        return true;
    }
    snprintf(why->reason, sizeof why->reason, "OutOf%s", resource);
    snprintf(why->message, sizeof why->message,
             "Pod was rejected: Node didn't have enough resource: %s, requested: %lld, used: %lld, capacity: %lld",
             resource, (long long)wanted, (long long)used, (long long)capacity);
    why->by_node = false;
    return false;
}

static bool is_any(const char *ip)
{
    return ip[0] == '\0' || strcmp(ip, "0.0.0.0") == 0 || strcmp(ip, "::") == 0;
}

static bool ports_meet(const struct podspec_port *a, const struct podspec_port *b)
{
    return a->host_port != 0 && a->host_port == b->host_port && strcmp(a->protocol, b->protocol) == 0 &&
           (is_any(a->host_ip) || is_any(b->host_ip) || strcmp(a->host_ip, b->host_ip) == 0);
}

/* Init containers' ports are not the node's: as the kubelet has it. */
static bool ports_conflict(const struct podspec *a, const struct podspec *b)
{
    for (unsigned i = a->init_count; i < a->main_count; i++) {
        for (unsigned k = b->init_count; k < b->main_count; k++) {
            const struct podspec_container *x = &a->containers[i], *y = &b->containers[k];
            for (unsigned p = 0; p < x->ports_count; p++) {
                for (unsigned q = 0; q < y->ports_count; q++) {
                    if (ports_meet(&x->ports[p], &y->ports[q])) {
                        return true;
                    }
                }
            }
        }
    }
    return false;
}

static bool taints_tolerated(struct mp tolerations, struct mp taints)
{
    for (struct mp_iter it = mp_iter(taints); mp_next(&it);) {
        if (str_is(mp_str(mp_get(it.value, "effect")), "NoExecute") && !node_match_tolerated(tolerations, it.value)) {
            return false;
        }
    }
    return true;
}

/* ---- Kernel settings ---- */

static bool matches(const char *pattern, size_t n, const char *name)
{
    return n > 0 && pattern[n - 1] == '*' ? strncmp(name, pattern, n - 1) == 0
                                          : strlen(name) == n && strncmp(name, pattern, n) == 0;
}

static bool in_list(const char *patterns, const char *name)
{
    for (const char *p = patterns; p != NULL && *p != '\0';) {
        size_t n = strcspn(p, ",");
        if (matches(p, n, name)) {
            return true;
        }
        p += n + (p[n] == ',');
    }
    return false;
}

/* What belongs to a namespace of the pod; everything else is the node's, and never a pod's to set. */
static const char ipc_sysctls[] = "kernel.shm*,kernel.msg*,kernel.sem,fs.mqueue.*", net_sysctls[] = "net.*";
/* What cannot disturb other pods. */
static const char safe_sysctls[] =
    "kernel.shm_rmid_forced,net.ipv4.ip_local_port_range,net.ipv4.tcp_syncookies,net.ipv4.ping_group_range,"
    "net.ipv4.ip_unprivileged_port_start,net.ipv4.ip_local_reserved_ports,net.ipv4.tcp_keepalive_time,"
    "net.ipv4.tcp_fin_timeout,net.ipv4.tcp_keepalive_intvl,net.ipv4.tcp_keepalive_probes,net.ipv4.tcp_rmem,"
    "net.ipv4.tcp_wmem";

static bool sysctls_allowed(const struct podspec *pod, const char *unsafe, struct admit_refusal *why)
{
    for (unsigned i = 0; i < pod->sysctls_count; i++) {
        const char *name = pod->sysctls[i].name;
        bool ipc = in_list(ipc_sysctls, name), net = in_list(net_sysctls, name);
        const char *text = net && pod->host_network      ? "not allowed with host net enabled"
                           : ipc && pod->host_ipc        ? "not allowed with host ipc enabled"
                           : !(ipc || net)               ? "not allowlisted"
                           : in_list(safe_sysctls, name) ? NULL
                           : in_list(unsafe, name)       ? NULL
                                                         : "not allowlisted";
        if (text != NULL) {
            snprintf(why->reason, sizeof why->reason, "SysctlForbidden");
            snprintf(why->message, sizeof why->message, "Pod was rejected: forbidden sysctl: \"%.80s\" %s", name, text);
            why->by_node = false;
            return false;
        }
    }
    return true;
}

/* Ephemeral containers come later, and are looked at when they start. */
static bool all_honoured(const struct podspec *pod, struct admit_refusal *why)
{
    const char *reason;
    char message[PODSPEC_WHY_MAX];
    for (unsigned i = 0; i < pod->main_count; i++) {
        if (!podspec_honoured(pod, &pod->containers[i], &reason, message)) {
            snprintf(why->reason, sizeof why->reason, "%s", reason);
            snprintf(why->message, sizeof why->message, "Pod was rejected: %s", message);
            why->by_node = false;
            return false;
        }
    }
    return true;
}

static bool user_namespace_made(const struct podspec *pod, const struct admit_node *node, struct admit_refusal *why)
{
    const char *shared = pod->host_network ? "hostNetwork"
                         : pod->host_pid   ? "hostPID"
                         : pod->host_ipc   ? "hostIPC"
                                           : NULL;
    if (!pod->own_users || (shared == NULL && node->no_user_namespaces == NULL)) {
        return true;
    }
    snprintf(why->reason, sizeof why->reason, "UserNamespaces");
    if (shared != NULL) {
        snprintf(why->message, sizeof why->message, "Pod was rejected: hostUsers false cannot be had with %s", shared);
    } else {
        snprintf(
            why->message, sizeof why->message,
            "Pod was rejected: hostUsers false needs a user namespace of the pod, and this node makes none: %.110s",
            node->no_user_namespaces);
    }
    why->by_node = false;
    return false;
}

bool admit_pod(const struct podspec *pod, const struct admit_node *node, const struct podspec *const *others,
               unsigned count, struct admit_refusal *why)
{
    struct mp spec = mp_get(object_mp(pod->object), "spec");
    const struct podspec_total *wanted = &pod->total;
    struct podspec_total used = {0};
    for (unsigned i = 0; i < count; i++) {
        used = podspec_total_sum(used, others[i]->total);
    }
    if (!has_room("pods", 1, count, node->pods, why) ||
        !has_room("cpu", wanted->cpu_milli, used.cpu_milli, node->cpu_milli, why) ||
        !has_room("memory", wanted->memory_bytes, used.memory_bytes, node->memory_bytes, why) ||
        !has_room("ephemeral-storage", wanted->ephemeral_bytes, used.ephemeral_bytes, node->ephemeral_bytes, why)) {
        return false;
    }
    if (node->known && !node_match_pod(spec, node->labels, str_of(node->name))) {
        return refuse(why, true, "NodeAffinity", "node(s) didn't match Pod's node affinity/selector");
    }
    for (unsigned i = 0; i < count; i++) {
        if (ports_conflict(pod, others[i])) {
            return refuse(why, false, "NodePorts", "node(s) didn't have free ports for the requested pod ports");
        }
    }
    if (node->known && !taints_tolerated(mp_get(spec, "tolerations"), node->taints)) {
        return refuse(why, true, "TaintToleration", "node(s) had taints that the pod didn't tolerate");
    }
    return sysctls_allowed(pod, node->unsafe_sysctls, why) && user_namespace_made(pod, node, why) &&
           all_honoured(pod, why);
}
