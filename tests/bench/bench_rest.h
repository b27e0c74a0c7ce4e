/* The Kubernetes API over HTTPS as many clients see it, each with a connection of its own, at the leader. */
#ifndef TESTS_BENCH_REST_H
#define TESTS_BENCH_REST_H

#include "tests/bench/bench_kit.h"

/* Figures rest_*: gets and creates of pods with `clients` at a time, beside the same over msgpack-RPC; lists of what
 * was created; what connections and watches take that do nothing; one change that 400 watches are told. leader:
 * its process. */
void bench_rest(struct kit *k, unsigned clients, double seconds, pid_t leader);

#endif
