/* A node's own look at a pod that was bound to it: has it the room, the labels and the ports? Whoever wrote
 * spec.nodeName (a person, another scheduler, ours by a mistake) has not asked the node. Pure.
 *
 * Source: the kubelet's admission (general predicates and NoExecute taints), its reasons and messages. Quirk kept from
 * there: an amount is compared only if the pod asks for it. Resources that a node does not have at all are not
 * looked at. */
#ifndef AGENT_POD_ADMIT_H
#define AGENT_POD_ADMIT_H

#include "agent/pod/podspec.h"

struct admit_node {
    const char *name;
    int64_t cpu_milli, memory_bytes, ephemeral_bytes; /* allocatable */
    unsigned pods;
    bool known; /* labels and taints are; if not, nothing is refused on their account */
    struct mp labels, taints;
    const char *no_user_namespaces; /* why the node makes none; NULL = it does */
    const char *unsafe_sysctls;     /* that the node allows: "kernel.msg*,net.core.somaxconn"; NULL = none */
};
struct admit_refusal {
    /* "OutOfcpu", "OutOfmemory", "OutOfephemeral-storage", "OutOfpods", "NodeAffinity", "NodePorts", "TaintToleration",
     * "SysctlForbidden", "UserNamespaces", and those of podspec_honoured */
    char reason[40];
    char message[240]; /* as in the pod's status */
    bool by_node;      /* labels or taints: they may have changed since the node was read */
};
/* others: the pods that hold room here now. True: it may run. */
bool admit_pod(const struct podspec *pod, const struct admit_node *node, const struct podspec *const *others,
               unsigned count, struct admit_refusal *why);

/* Is it one of the system's (system-node-critical, system-cluster-critical), which takes its room from others? */
bool admit_is_critical(const struct podspec *pod);
/* A critical pod was refused for want of room: who of the others has to go (goes[i], at the index in others), so that
 * it is taken? Those that may be asked (may_go[i]) and are not critical: as few as need be, BestEffort before Burstable
 * before Guaranteed, and among these the lower priority first. Source: the kubelet's preemption. False: their going
 * does not help, and nobody goes. */
bool admit_victims(const struct podspec *pod, const struct admit_node *node, const struct podspec *const *others,
                   const bool *may_go, unsigned count, bool *goes);

#endif
