/* The quality of service of a pod: what it is promised of cpu and memory, and with it the order in which a node that
 * runs out of memory takes it back. Source: Kubernetes core/v1 PodQOSClass; kubectl's and the kubelet's GetPodQOS.
 * Pure. */
#ifndef PROTO_FACTS_QOS_H
#define PROTO_FACTS_QOS_H

#include <stdbool.h>

#include "base/str.h"

enum qos_class {
    QOS_BEST_EFFORT, /* nothing is requested or limited */
    QOS_BURSTABLE,   /* all others */
    QOS_GUARANTEED,  /* every container has limits for cpu and memory, and requests what they are */
};
const char *qos_name(enum qos_class q);               /* "BestEffort", as status.qosClass has it */
bool qos_parse(struct str name, enum qos_class *out); /* false: none of them */

/* Adds up containers, main and init ones: qos_count twice for each, for cpu and for memory; begins as zero. An
 * amount of zero is as good as none. equal: limit and request are the same amount. */
struct qos_sum {
    bool any, unequal;
};
void qos_count(struct qos_sum *sum, bool limited, bool requested, bool equal);
enum qos_class qos_of(const struct qos_sum *sum);

#endif
