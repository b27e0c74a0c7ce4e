/* Figures of pods: how long until they are placed, run, and run again. The namespace "bench" must exist and k be
 * connected to the leader. */
#ifndef TESTS_BENCH_PODS_H
#define TESTS_BENCH_PODS_H

#include "tests/bench/bench_kit.h"

/* Applies a Deployment of so many replicas and prints deployment_N_bound and deployment_N_running, in ms; deletes it
 * and waits until its pods are gone. */
void bench_rollout(struct kit *k, unsigned replicas);
/* Makes pods one after the other, each of one container that sleeps. Prints the medians of pod_start (from the sending
 * of the create to Running) and container_restart (from the kill of its process to Running with restartCount 1), in ms.
 * The nodes must be on this machine, have the image busybox:1.35, and the caller be root. */
void bench_restart(struct kit *k, unsigned rounds);

#endif
