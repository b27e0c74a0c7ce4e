/* Nodes as agents are: each with its certificate, its connection and its three streams, over the real protocol; all of
 * one process, without containers. */
#ifndef TESTS_BENCH_FEEDS_H
#define TESTS_BENCH_FEEDS_H

#include <sys/types.h>

#include "tests/bench/bench_kit.h"

/* `nodes` nodes with FEEDS_PODS pods each, of Deployments with 300 replicas each. Then, one after the other for
 * `seconds` each: pods' statuses, nodes' statuses, ConfigMaps that pods name. leader: the master's process, whose CPU
 * is measured. ca_dir: with ca.crt and ca.key. */
#define FEEDS_PODS 30u
void bench_feeds(struct kit *k, unsigned nodes, double seconds, pid_t leader, const char *ca_dir);

#endif
