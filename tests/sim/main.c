/* sim [--seeds N] [--first N] | --seed N [--trace]: whole clusters in virtual time, one a seed. See tests/sim/cluster.h.
 *
 * Each seed is run once; one in REPEAT_EVERY twice, and both must take the same course to the last bit. Seeds of tests/sim/seeds.txt (they found
 * something once) come first, whatever range was asked for. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/cluster.h"

#define REPEAT_EVERY 10
#define HANG_S       120
#define SEEDS_FILE   "tests/sim/seeds.txt"

struct totals {
    const char *program;
    uint64_t run, failed, done, unknown, faults, revisions, virtual_ms;
    bool verbose, tracing;
};

/* Only for those who die at their work: the seed that is being run. */
static volatile uint64_t seed_running;

/* A hang (SIGALRM) or a crash: say at which seed. */
static void dies(int sig)
{
    char text[100] = "sim: dies at seed 00000000000000000000; replay it with --seed\n";
    uint64_t seed = seed_running;
    for (unsigned i = 37; i > 17; i--, seed /= 10) {
        text[i] = (char)('0' + seed % 10);
    }
    ssize_t n = write(STDERR_FILENO, text, strlen(text));
    (void)n;
    signal(sig, SIG_DFL);
    raise(sig == SIGALRM ? SIGKILL : sig);
}

static void run_seed(struct totals *t, uint64_t seed)
{
    static struct cluster c;
    alarm(HANG_S);
    seed_running = seed;
    cluster_run(&c, seed, t->tracing);
    uint64_t hash = c.trace_hash;
    bool failed = c.violation[0] != '\0';
    if (failed) {
        printf("seed %llu: %s\n    replay: %s --seed %llu --trace\n", (unsigned long long)seed, c.violation, t->program,
               (unsigned long long)seed);
    }
    if (t->verbose) {
        printf(
            "seed %llu: %s, %.1f s, %llu revisions, %llu faults; %llu done, %llu refused, %llu unknown, %llu repeated, "
            "%llu given up, %llu reads, %llu snapshots, %llu restored; course %016llx\n",
            (unsigned long long)seed, failed ? "FAILED" : "ok", (double)c.sim.now_ms / 1000,
            (unsigned long long)c.ledger.count, (unsigned long long)c.faults, (unsigned long long)c.done,
            (unsigned long long)c.refused, (unsigned long long)c.unknown, (unsigned long long)c.repeats,
            (unsigned long long)c.given_up, (unsigned long long)c.reads, (unsigned long long)c.snapshots,
            (unsigned long long)c.restores, (unsigned long long)hash);
    }
    t->done += c.done;
    t->unknown += c.unknown;
    t->faults += c.faults;
    t->revisions += c.ledger.count;
    t->virtual_ms += (uint64_t)c.sim.now_ms;
    cluster_close(&c);
    if (!failed && !t->tracing && seed % REPEAT_EVERY == 0) {
        cluster_run(&c, seed, false);
        if (c.trace_hash != hash) {
            failed = true;
            printf("seed %llu: took another course the second time: something depends on more than the seed\n",
                   (unsigned long long)seed);
        }
        cluster_close(&c);
    }
    t->run++;
    t->failed += failed;
    fflush(stdout);
}

static void run_kept(struct totals *t)
{
    FILE *f = fopen(SEEDS_FILE, "r");
    char line[200];
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        char *end;
        uint64_t seed = strtoull(line, &end, 10);
        if (end != line) {
            run_seed(t, seed);
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

static int usage(const char *program)
{
    fprintf(stderr,
            "usage: %s [--seeds N] [--first N] [--verbose]\n"
            "       %s --seed N [--trace]\n",
            program, program);
    return 2;
}

int main(int argc, char **argv)
{
    struct totals t = {.program = argv[0]};
    uint64_t first = 1, seeds = 100;
    bool kept = true;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--trace") == 0) {
            t.tracing = t.verbose = true;
        } else if (strcmp(argv[i], "--verbose") == 0) {
            t.verbose = true;
        } else if (value != NULL && strcmp(argv[i], "--seeds") == 0) {
            seeds = strtoull(argv[++i], NULL, 10);
        } else if (value != NULL && strcmp(argv[i], "--first") == 0) {
            first = strtoull(argv[++i], NULL, 10);
        } else if (value != NULL && strcmp(argv[i], "--seed") == 0) {
            first = strtoull(argv[++i], NULL, 10);
            seeds = 1;
            kept = false;
            t.verbose = true;
        } else {
            return usage(argv[0]);
        }
    }
    signal(SIGALRM, dies);
    signal(SIGABRT, dies);
    signal(SIGSEGV, dies);
    double start = seconds_now();
    if (kept) {
        run_kept(&t);
    }
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        run_seed(&t, seed);
    }
    double took = seconds_now() - start;
    printf(
        "sim: %llu seeds, %llu failed, %.1f seeds/s; %llu s of clusters' time, %llu faults, %llu writes acknowledged, "
        "%llu of unknown outcome, %llu revisions\n",
        (unsigned long long)t.run, (unsigned long long)t.failed, (double)t.run / took,
        (unsigned long long)t.virtual_ms / 1000, (unsigned long long)t.faults, (unsigned long long)t.done,
        (unsigned long long)t.unknown, (unsigned long long)t.revisions);
    printf("%llu passed, %llu failed\n", (unsigned long long)(t.run - t.failed), (unsigned long long)t.failed);
    return t.failed == 0 ? 0 : 1;
}
