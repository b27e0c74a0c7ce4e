/* Has a pod used more of the node's disk than it may? Pure, by what was measured.
 *
 * Source: the kubelet's local storage eviction, its order (emptyDirs, the pod as a whole, single containers) and its
 * words. The pod as a whole may use what its containers together may; an emptyDir in memory counts as memory, not here.
 *
 * When the disk is nearly full (DiskPressure), a pod goes that has no limit, too: one at a time, by the kubelet's
 * order, those of lower priority first, then those that use most beyond what they requested. Unlike the kubelet, it
 * must use more than it requested and a hundredth of the disk, so that its going helps: else all pods of a node
 * would go one after another for what something else has written. */
#ifndef AGENT_POD_EVICT_H
#define AGENT_POD_EVICT_H

#include "agent/pod/podspec.h"

#define EVICT_MESSAGE_MAX 256

/* Does anything of this pod have to be measured at all? */
bool evict_has_limits(const struct podspec *s);
/* An emptyDir on the node's disk. */
bool evict_is_disk(const struct podspec_volume *v);

struct evict_usage {
    const uint64_t *volumes;    /* bytes, one per volume of the spec; only evict_is_disk ones are looked at */
    const uint64_t *containers; /* bytes of the writable layer and the logs, one per container */
};
/* True: it is to be evicted, and why. */
bool evict_decide(const struct podspec *s, const struct evict_usage *u, char message[EVICT_MESSAGE_MAX]);

/* All of it that counts. */
uint64_t evict_used(const struct podspec *s, const struct evict_usage *u);

/* As the kubelet has it: pods of the system stay (system-node-critical, system-cluster-critical). */
#define EVICT_CRITICAL_PRIORITY 2000000000
struct evict_candidate {
    int64_t priority;
    uint64_t used, requested;
};
/* Would it help a disk of so many bytes if this pod went? */
bool evict_helps(const struct evict_candidate *c, uint64_t disk_bytes);
/* Of two that would help: a goes before b. */
bool evict_goes_first(const struct evict_candidate *a, const struct evict_candidate *b);
/* Memory and process ids: those that use more than they requested, then those of lower priority, then those that use
 * most beyond it. */
bool evict_takes_first(const struct evict_candidate *a, const struct evict_candidate *b);
void evict_memory_message(const struct evict_candidate *c, int64_t threshold, int64_t left,
                          char message[EVICT_MESSAGE_MAX]);
void evict_pids_message(const struct evict_candidate *c, int64_t threshold, int64_t left,
                        char message[EVICT_MESSAGE_MAX]);
void evict_pressure_message(const struct evict_candidate *c, char message[EVICT_MESSAGE_MAX]);

/* Bytes on disk of a tree, on this file system alone; a file with several names counts once. Blocking, may be long: for
 * worker threads. What vanishes meanwhile is left out; nothing there is 0. */
uint64_t evict_measure(const char *path);

#endif
