/* sim [--seeds N] [--first N] [--jobs N] [--logs DIR] [--verbose] | --seed N [--trace]: whole clusters in virtual time,
 * one a seed. See tests/sim/cluster.h.
 *
 * Seeds are run by worker processes (pool.c), so that one that crashes or hangs is a failure like others. Each is run
 * once; one in REPEAT_EVERY twice, and both must take the same course to the last bit. Seeds of tests/sim/seeds.txt
 * (they found something once) come first, whatever range was asked for. A failing one is run again with its trace
 * written to DIR/sim-SEED.trace and what its clients saw to DIR/sim-SEED.jsonl (for build/tests/check/check). */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/sim/cluster.h"
#include "tests/sim/pool.h"

#define REPEAT_EVERY 10
#define SEEDS_FILE   "tests/sim/seeds.txt"

/* ---- One seed ---- */

void sim_run_seed(uint64_t seed, bool tracing, const char *history, struct report *r)
{
    static struct cluster c;
    struct error err = {0};
    cluster_run(&c, seed, tracing);
    if (history != NULL && hist_write_file(&c.history, history, &err) != 0) {
        fprintf(stderr, "%s\n", err.message);
    }
    uint64_t hash = c.trace_hash;
    *r = (struct report){.seed = seed,
                         .ended = true,
                         .failed = c.violation[0] != '\0',
                         .done = c.done,
                         .unknown = c.unknown,
                         .faults = c.faults,
                         .revisions = c.ledger.count,
                         .changes = c.operator.done,
                         .installs = c.restores,
                         .virtual_ms = (uint64_t)c.sim.now_ms,
                         .rest_ms = (uint64_t)c.rest_ms,
                         .unjudged = c.unjudged};
    snprintf(r->violation, sizeof r->violation, "%s", c.violation);
    snprintf(r->summary, sizeof r->summary,
             "%s, %u masters, %.1f s (%.1f to rest), %llu revisions, %llu faults, %llu changes of members, %llu of "
             "leaders; %llu done, "
             "%llu refused, %llu "
             "unknown, %llu repeated, %llu given up, %llu reads, %llu snapshots, %llu restored; course %016llx",
             r->failed ? "FAILED" : "ok", c.swarm.masters, (double)c.sim.now_ms / 1000, (double)c.rest_ms / 1000,
             (unsigned long long)c.ledger.count, (unsigned long long)c.faults, (unsigned long long)c.operator.done,
             (unsigned long long)c.reigns, (unsigned long long)c.done, (unsigned long long)c.refused,
             (unsigned long long)c.unknown, (unsigned long long)c.repeats, (unsigned long long)c.given_up,
             (unsigned long long)c.reads, (unsigned long long)c.snapshots, (unsigned long long)c.restores,
             (unsigned long long)hash);
    cluster_close(&c);
    if (r->failed || tracing || seed % REPEAT_EVERY != 0) {
        return;
    }
    cluster_run(&c, seed, false);
    if (c.trace_hash != hash) {
        r->failed = true;
        snprintf(r->violation, sizeof r->violation,
                 "took another course the second time: something depends on more than the seed");
    }
    cluster_close(&c);
}

/* ---- Many ---- */

static void seeds_push(struct pool *p, uint64_t seed)
{
    p->seeds = xrealloc(p->seeds, (p->count + 1) * sizeof *p->seeds);
    p->seeds[p->count++] = seed;
}

static void seeds_kept(struct pool *p)
{
    FILE *f = fopen(SEEDS_FILE, "r");
    char line[300];
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        char *end;
        uint64_t seed = strtoull(line, &end, 10);
        if (end != line) {
            seeds_push(p, seed);
        }
    }
    if (f != NULL) {
        fclose(f);
    }
}

static double seconds_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int run_many(struct pool *p, uint64_t first, uint64_t seeds)
{
    seeds_kept(p);
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        seeds_push(p, seed);
    }
    double start = seconds_now();
    pool_run(p);
    double took = seconds_now() - start;
    const struct totals *t = &p->totals;
    printf(
        "sim: %llu seeds, %llu failed, %.1f seeds/s; %llu s of clusters' time, %llu faults, %llu changes of members, "
        "%llu snapshots installed, %llu writes acknowledged, %llu of unknown outcome, %llu revisions\n",
        (unsigned long long)t->run, (unsigned long long)t->failed, (double)t->run / took,
        (unsigned long long)t->virtual_ms / 1000, (unsigned long long)t->faults, (unsigned long long)t->changes,
        (unsigned long long)t->installs, (unsigned long long)t->done, (unsigned long long)t->unknown,
        (unsigned long long)t->revisions);
    printf(
        "sim: at rest %.1f s after the last fault at the latest (seed %llu); %llu histories were too hard to judge\n",
        (double)t->rest_ms_max / 1000, (unsigned long long)t->rest_seed, (unsigned long long)t->unjudged);
    printf("%llu passed, %llu failed\n", (unsigned long long)(t->run - t->failed), (unsigned long long)t->failed);
    free(p->seeds);
    return t->failed == 0 ? 0 : 1;
}

/* In this process, for a debugger. */
static int run_one(uint64_t seed, bool tracing)
{
    static struct report r;
    sim_run_seed(seed, tracing, NULL, &r);
    printf("seed %llu: %s\n%s%s", (unsigned long long)seed, r.summary, r.violation, r.failed ? "\n" : "");
    return r.failed ? 1 : 0;
}

static int usage(const char *program)
{
    fprintf(stderr,
            "usage: %s [--seeds N] [--first N] [--jobs N] [--logs DIR] [--verbose]\n"
            "       %s --seed N [--trace]\n",
            program, program);
    return 2;
}

int main(int argc, char **argv)
{
    struct pool p = {.program = argv[0], .jobs = 1};
    uint64_t first = 1, seeds = 100;
    bool one = false, tracing = false;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--trace") == 0) {
            tracing = true;
        } else if (strcmp(argv[i], "--verbose") == 0) {
            p.verbose = true;
        } else if (value != NULL && strcmp(argv[i], "--seeds") == 0) {
            seeds = strtoull(argv[++i], NULL, 10);
        } else if (value != NULL && strcmp(argv[i], "--first") == 0) {
            first = strtoull(argv[++i], NULL, 10);
        } else if (value != NULL && strcmp(argv[i], "--jobs") == 0) {
            p.jobs = (unsigned)strtoul(argv[++i], NULL, 10);
        } else if (value != NULL && strcmp(argv[i], "--logs") == 0) {
            p.logs = argv[++i];
        } else if (value != NULL && strcmp(argv[i], "--seed") == 0) {
            first = strtoull(argv[++i], NULL, 10);
            one = true;
        } else {
            return usage(argv[0]);
        }
    }
    p.jobs = MAX(1, MIN(p.jobs, POOL_JOBS_MAX));
    return one ? run_one(first, tracing) : run_many(&p, first, seeds);
}
