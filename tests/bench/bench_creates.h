/* Pods that many clients create at a time, and patch: over HTTPS, with a connection each, and over msgpack-RPC, with as
 * many requests in flight on the kit's sessions. There are no nodes, so each pod is told as well that it has no place:
 * a create is three objects written. */
#ifndef TESTS_BENCH_CREATES_H
#define TESTS_BENCH_CREATES_H

#include "tests/bench/bench_web.h"

#define CREATES_PODS      5000u
#define CREATES_CROWD_MAX 4u

/* CPU that was used until now. */
struct creates_cpu {
    uint64_t leader_us, all_us, bench_us;
};
/* masters: processes, the leader's first; 0 ends them. */
struct creates_cpu creates_cpu(const pid_t *masters);
/* Figures NAME_CLIENTS: a second, percentiles; _cpu, _all_cpu, _bench_cpu: CPU for each since *before, of the leader,
 * of all masters, and of this process. */
void creates_tell(const char *name, unsigned clients, struct web_run *r, uint64_t us, const struct creates_cpu *before,
                  const pid_t *masters);
/* Figures rest_creates_* and rpc_creates_* of CREATES_PODS pods by r's clients, in the new namespaces `rest` and `rpc`
 * with the suffix. The kit is connected to the leader. */
void creates_run(struct kit *k, struct web_run *r, const char *suffix, const pid_t *masters);
/* The same, and rest_patches_* of them, with a number of clients at the leader; of users by turns if there are
 * configurations of such: an identity may have 512 connections (proto/net/gate.h). */
void bench_creates(struct kit *k, unsigned clients, const pid_t *masters, const char *const *crowd,
                   unsigned crowd_count);

#endif
