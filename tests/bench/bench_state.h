/* Figures of a state that is large, and of many who watch it. k is fresh: each function connects by itself. */
#ifndef TESTS_BENCH_STATE_H
#define TESTS_BENCH_STATE_H

#include "tests/bench/bench_load.h"

/* Prints watch_N_p50, watch_N_p99 (from the sending of an update to its event at each of N watchers of a namespace,
 * spread over all masters) and watch_N_events, how many events a second reach them while 16 updates are in flight
 * for `seconds`. */
void bench_watch(struct kit *k, unsigned watchers, unsigned rounds, double seconds);
/* Prints range_N (objects a second) and range_N_p50, the time of one list of a namespace with N objects of 256
 * bytes, all its pages. */
void bench_range(struct kit *k, unsigned objects, unsigned rounds);
/* N objects with values of value_bytes; prints fill_N, objects a second. */
void bench_fill(struct kit *k, unsigned objects, unsigned value_bytes);
/* Writes with so many in flight, at most 1000 a second: stall_p50, _p99, _p999, _max and how many snapshots the
 * masters took meanwhile. */
void bench_stall(struct kit *k, unsigned inflight, double seconds);
/* Prints catch_up: until the master on that port of loopback answers with all applied that the leader had committed
 * at the start. */
void bench_catch_up(struct kit *k, unsigned port);

#endif
