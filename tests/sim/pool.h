/* Worker processes that run seeds and report. A worker that dies (a crash, an assertion, a sanitizer, a hang) is a
 * failure of the seed it was at; another goes on behind it. */
#ifndef TESTS_SIM_POOL_H
#define TESTS_SIM_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POOL_JOBS_MAX 64u

/* What a worker tells, one write to its pipe each: that it begins a seed, and how that ended. */
struct report {
    uint64_t seed;
    bool ended, failed;
    uint64_t done, unknown, faults, revisions, changes, installs, virtual_ms, rest_ms, unjudged;
    char violation[1024], summary[512];
};
struct totals {
    uint64_t run, failed, done, unknown, faults, revisions, changes, installs, virtual_ms, rest_ms_max, rest_seed,
        unjudged;
};
struct pool {
    const char *program;
    const char *logs; /* where traces of failing seeds go; NULL = nowhere */
    unsigned jobs;
    bool verbose;
    uint64_t *seeds;
    size_t count;
    struct totals totals;
};

void pool_run(struct pool *p);

/* main.c */
/* history: a file for what clients saw; NULL = none. */
void sim_run_seed(uint64_t seed, bool tracing, const char *history, struct report *r);

#endif
