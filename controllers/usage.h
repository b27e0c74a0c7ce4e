/* What pods and nodes use, as agents have measured it last: soft state of the leader.
 *
 * An agent measures its containers and its node each period and tells it in one report (agent/usage.h). Nothing of it
 * goes into the log: the leader keeps the newest report of each node and forgets it with its leadership; within one
 * period the next leader has them again. Who decides by it (the autoscaler) asks through struct controller_soft and so
 * stays a pure function of what it is handed.
 *
 * Whose pod it is the state says: a sample counts for a pod only if it came from the node that the pod is bound to and
 * has its uid. So an agent speaks for the pods of its own node alone, whatever it writes.
 *
 * A report, as parameters of node.usage:
 *
 *     {name, at, window, cpu, memory, services, pods: [[UID, [[CONTAINER, CPU, MEMORY], ...]], ...]}
 *
 * at: the end of the window on the agent's calendar, in ms; window: its length in ms; cpu in billionths of a core, mean
 * over the window; memory in bytes, without what the kernel can drop at once ("working set"). Pods come in the order of
 * their uids, each once. services: the revision of the state of Services from which the node answers names and leads
 * connections; 0, or left out: it does not say. Source: Kubernetes metrics.k8s.io/v1beta1 NodeMetrics, PodMetrics.
 * Loop thread only. */
#ifndef CONTROLLERS_USAGE_H
#define CONTROLLERS_USAGE_H

#include "proto/model/msgpack.h"
#include "proto/schema/object.h"

#define USAGE_PERIOD_MS      15000 /* how often agents measure; as metrics-server */
#define USAGE_STALE_PERIODS  4     /* a sample that is older is not known any more */
#define USAGE_PODS_MAX       1024u /* of one report */
#define USAGE_CONTAINERS_MAX 4096u
#define USAGE_REPORT_BYTES   (512u << 10)
#define USAGE_BYTES_MAX      (256u << 20) /* of all reports that are kept */

struct usage_container {
    struct str name;
    int64_t cpu_nano, memory_bytes;
};
/* Borrowed from the table: valid until it is told something. */
struct usage_pod {
    int64_t at_ms, window_ms; /* on the agent's calendar */
    const struct usage_container *containers;
    unsigned count; /* not 0 */
};
struct usage_node {
    int64_t at_ms, window_ms;
    int64_t cpu_nano, memory_bytes;
    uint64_t services_revision; /* 0: not told */
    int64_t heard_ms;           /* on the clock of usage_take */
};
int64_t usage_pod_cpu_nano(const struct usage_pod *p); /* of all containers */
int64_t usage_pod_memory_bytes(const struct usage_pod *p);

struct usage;
struct usage *usage_new(int64_t period_ms);
void usage_free(struct usage *u);
void usage_clear(struct usage *u);
int64_t usage_period_ms(const struct usage *u);
/* A node's newest report takes the place of its former one. 0, ERR_USAGE (it is none), ERR_LIMIT. now_ms: of a clock
 * that does not jump. */
int usage_take(struct usage *u, struct str node, struct mp report, int64_t now_ms, struct error *err);
void usage_forget(struct usage *u, struct str node);
/* False: not known, or not any more. */
bool usage_of_node(const struct usage *u, struct str node, int64_t now_ms, struct usage_node *out);
bool usage_of_pod(const struct usage *u, const struct object *pod, int64_t now_ms, struct usage_pod *out);
/* Nodes with a report, in no order. *cursor begins with 0. False: no more. */
bool usage_next(const struct usage *u, size_t *cursor, struct str *node);
size_t usage_bytes(const struct usage *u);
size_t usage_count(const struct usage *u); /* nodes with a report, however old */

#endif
