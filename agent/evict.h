/* Has a pod used more of the node's disk than it may? Pure, by what was measured.
 *
 * Source: the kubelet's local storage eviction, its order (emptyDirs, the pod as a whole, single containers) and its words. The pod as a whole may use
 * what its containers together may; an emptyDir in memory counts as memory, not here. */
#ifndef AGENT_EVICT_H
#define AGENT_EVICT_H

#include "agent/podspec.h"

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

/* Bytes on disk of a tree, on this file system alone; a file with several names counts once. Blocking, may be long: for worker threads. What vanishes
 * meanwhile is left out; nothing there is 0. */
uint64_t evict_measure(const char *path);

#endif
