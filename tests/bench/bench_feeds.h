/* What the reports of many nodes cost the leader. */
#ifndef TESTS_BENCH_FEEDS_H
#define TESTS_BENCH_FEEDS_H

#include <sys/types.h>

#include "tests/bench/bench_kit.h"

/* `nodes` nodes with FEEDS_PODS pods each, of Deployments with 300 replicas each. Then, one after the other for
 * `seconds` each: pods' statuses, nodes' statuses, ConfigMaps that pods name. The leader's CPU is measured, and that of
 * all masters together if there are others. ca_dir: with ca.crt and ca.key. */
#define FEEDS_PODS  30u
#define FEEDS_PEERS 8u
struct feeds_config {
    const char *name; /* of the figures: NAME_NODES_... */
    unsigned nodes;
    double seconds;
    pid_t leader;             /* at the first of the configuration's addresses */
    pid_t peers[FEEDS_PEERS]; /* the other masters; 0 ends them */
    unsigned inflight;        /* reports at a time; 0: 64 of pods, 8 of nodes */
    bool spread;              /* each master serves its part of the nodes; else all are the first one's */
    const char *ca_dir;
};
void bench_feeds(struct kit *k, const struct feeds_config *c);

#endif
