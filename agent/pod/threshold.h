/* How little of memory, disk and process ids a node may have left before it takes no more pods and evicts one after
 * the other: "memory.available<100Mi,nodefs.available<10%,pid.available<10%", the kubelet's --eviction-hard. Pure. */
#ifndef AGENT_POD_THRESHOLD_H
#define AGENT_POD_THRESHOLD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct threshold {
    bool is_percent;
    int64_t amount; /* bytes, process ids, or percent of all there is */
};
struct thresholds {
    struct threshold memory, disk, pids;
};
void thresholds_default(struct thresholds *t); /* those of the comment above */
/* What text names is set, the others stay. ERR_INVALID says what is wrong with it. */
int thresholds_parse(struct str text, struct thresholds *t, struct error *err);
/* The amount below which it is short, of so much in all. */
int64_t threshold_of(const struct threshold *t, int64_t all);

#endif
