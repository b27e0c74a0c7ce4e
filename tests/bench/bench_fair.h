/* What somebody's requests cost others: gets and creates of one user, now and then, beside another one who asks for all
 * that he can. Over HTTPS, at the leader; the other one is a process of its own. */
#ifndef TESTS_BENCH_FAIR_H
#define TESTS_BENCH_FAIR_H

#include "tests/bench/bench_kit.h"

/* Figures fair_*: alone; beside one who lists all pods in a loop, on one connection and on 64; while he asks for 10,000
 * connections, and when those that he got are open and have each listed 50 pods. greedy: his configuration. The
 * namespace "rest" is there, with its pods (bench_rest). */
void bench_fair(struct kit *k, double seconds, const char *greedy);

/* What the greedy one does, until it is ended. A line on stdout says that it has begun, or that all are open. */
void bench_greedy_lists(struct kit *k, unsigned connections);
void bench_greedy_connections(struct kit *k, unsigned count);

#endif
