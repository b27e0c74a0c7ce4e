/* The Kubernetes API over HTTPS as many clients see it, each with a connection of its own, at the leader. */
#ifndef TESTS_BENCH_REST_H
#define TESTS_BENCH_REST_H

#include "tests/bench/bench_kit.h"

/* Figures rest_*: gets and creates of pods with `clients` at a time, beside the same over msgpack-RPC; lists of what
 * was created; what connections and watches take that do nothing; one change that many watches are told. masters:
 * their processes, the leader's first; 0 ends them. crowd: configurations of users, as whom the watches are opened by
 * turns; each has 500 of them at most. None: 400, of k's own. */
#define REST_CROWD_MAX 4u
void bench_rest(struct kit *k, unsigned clients, double seconds, const pid_t *masters, const char *const *crowd,
                unsigned crowd_count);
/* Of these the figures of lists alone; `clients` create what is listed. */
void bench_rest_lists(struct kit *k, unsigned clients, const pid_t *masters);

#endif
