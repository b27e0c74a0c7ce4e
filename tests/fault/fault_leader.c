/* fault_leader [--seconds N] [--every MS] [--dir DIR] [--keep]: three real masters on loopback, the leader killed with SIGKILL again and again
 * (sometimes another, all at once, or the leader stopped for a while) while clients write, read and watch. Afterwards: nothing acknowledged is lost, no increment is lost or doubled, reads were linearizable,
 * no watch has a gap or a double, all masters agree.
 *
 * Needs neither root nor namespaces nor nodes. The data directory stays if something is wrong. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/env.h"
#include "tests/fault/workload.h"

#define CREATORS     3u
#define INCREMENTERS 4u
#define READERS      8u
#define SETTLE_MS    20000

struct trial {
    struct processes cluster;
    struct api *api;
    struct rng rng;
    int64_t seconds, every_ms;
    bool keep, stop_work, stop_watch;
    struct worker workers[CREATORS + INCREMENTERS + READERS];
    struct watcher watchers[FAULT_MASTERS];
    struct deeds deeds;
    struct seens end;
    int64_t faults_us[1000];
    unsigned faults, killed, outages, frozen, passed, failed;
};

/* ---- Faults ---- */

static void note_losses(struct trial *t)
{
    int status;
    unsigned lost;
    while ((lost = processes_lost(&t->cluster, &status)) != 0) {
        printf("FAIL  master %u ended by itself, %s %d; see %s/m%u.log\n", lost,
               WIFSIGNALED(status) ? "signal" : "exit", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
               t->cluster.dir, lost);
        t->failed++;
        processes_start(&t->cluster, lost - 1);
    }
}

/* Down for a while: longer than an election takes, or shorter. */
static void stay_down(struct trial *t)
{
    fault_sleep_ms(100 + (int64_t)rng_below(&t->rng, (uint64_t)t->every_ms / 2));
}

static void kill_one(struct trial *t, int at)
{
    t->killed++;
    processes_kill(&t->cluster, (unsigned)at);
    stay_down(t);
    processes_start(&t->cluster, (unsigned)at);
}

static void kill_all(struct trial *t)
{
    t->outages++;
    for (unsigned i = 0; i < FAULT_MASTERS; i++) {
        processes_kill(&t->cluster, i);
    }
    stay_down(t);
    for (unsigned i = 0; i < FAULT_MASTERS; i++) {
        processes_start(&t->cluster, i);
    }
}

/* A leader that stands still does not know that it is deposed when it goes on. */
static void freeze_one(struct trial *t, int at)
{
    t->frozen++;
    processes_freeze(&t->cluster, (unsigned)at, true);
    fault_sleep_ms(1500 + (int64_t)rng_below(&t->rng, (uint64_t)t->every_ms));
    processes_freeze(&t->cluster, (unsigned)at, false);
}

static void strike(struct trial *t)
{
    int leader = processes_leader(&t->cluster, t->api);
    if (leader < 0 || t->faults == ARRAY_SIZE(t->faults_us)) {
        return;
    }
    t->faults_us[t->faults++] = fault_now_us();
    switch (t->faults % 2 == 1 ? 0 : 1 + rng_below(&t->rng, 4)) { /* every second one is the leader's death */
    case 0:
        kill_one(t, leader);
        break;
    case 1:
        kill_one(t, (int)rng_below(&t->rng, FAULT_MASTERS));
        break;
    case 2:
        kill_all(t);
        break;
    default:
        freeze_one(t, leader);
        break;
    }
}

static void run_faults(struct trial *t)
{
    int64_t end_us = fault_now_us() + t->seconds * 1000000;
    while (fault_now_us() < end_us) {
        fault_sleep_ms(t->every_ms / 2 + (int64_t)rng_below(&t->rng, (uint64_t)t->every_ms));
        note_losses(t);
        if (fault_now_us() < end_us) {
            strike(t);
        }
    }
}

/* ---- Work ---- */

static void start_work(struct trial *t)
{
    for (unsigned i = 0; i < FAULT_MASTERS; i++) {
        t->watchers[i] = (struct watcher){.index = i, .target = &t->cluster.target, .stop = &t->stop_watch};
        watcher_start(&t->watchers[i]);
    }
    /* A watch that begins later lists what it missed, newest versions only: all must be there before the first write. */
    for (unsigned i = 0; i < FAULT_MASTERS; i++) {
        int64_t deadline_us = fault_now_us() + SETTLE_MS * 1000;
        while (!__atomic_load_n(&t->watchers[i].synced, __ATOMIC_ACQUIRE)) {
            if (fault_now_us() > deadline_us) {
                fault_die("a watch does not begin", NULL);
            }
            fault_sleep_ms(10);
        }
    }
    for (unsigned i = 0; i < ARRAY_SIZE(t->workers); i++) {
        t->workers[i] =
            (struct worker){.index = i,
                            .type = i < CREATORS                  ? DEED_CREATE
                                    : i < CREATORS + INCREMENTERS ? DEED_INCREMENT
                                                                  : DEED_READ,
                            /* Some readers rest between reads, long enough to ask a leader that has just been
                             * deposed without knowing it. */
                            .pause_ms = i >= CREATORS + INCREMENTERS + 2 ? 100 * (int64_t)(i % 5) : 0,
                            .target = &t->cluster.target,
                            .stop = &t->stop_work};
        worker_start(&t->workers[i]);
    }
}

static void end_work(struct trial *t)
{
    __atomic_store_n(&t->stop_work, true, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < ARRAY_SIZE(t->workers); i++) {
        worker_join(&t->workers[i], &t->deeds);
    }
    create_one(t->api, END_NAME, &t->deeds);
    list_end(t->api, &t->end);
    int64_t end_us = fault_now_us() + SETTLE_MS * 1000;
    for (unsigned i = 0; i < FAULT_MASTERS; i++) {
        while (!__atomic_load_n(&t->watchers[i].complete, __ATOMIC_ACQUIRE) && fault_now_us() < end_us) {
            fault_sleep_ms(20);
        }
    }
    __atomic_store_n(&t->stop_watch, true, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < FAULT_MASTERS; i++) {
        watcher_join(&t->watchers[i]);
    }
}

/* ---- Judgement ---- */

static void verdict(struct trial *t, const char *what, unsigned found, const struct buf *why)
{
    printf("%s  %s\n", found == 0 ? "ok  " : "FAIL", what);
    if (found > 0) {
        printf("%.*s", (int)why->size, (const char *)why->data);
    }
    t->passed += found == 0;
    t->failed += found != 0;
}

/* All masters show the same revision within the time to settle. */
static unsigned judge_agreement(struct trial *t, struct buf *out)
{
    int64_t end_us = fault_now_us() + SETTLE_MS * 1000;
    for (;;) {
        int64_t revisions[FAULT_MASTERS];
        bool equal = true;
        for (unsigned i = 0; i < FAULT_MASTERS; i++) {
            CLEANUP_REPLY struct api_reply r = {0};
            revisions[i] = processes_ask(&t->cluster, t->api, i, &r) ? mp_int(mp_get(r.result, "revision"), -1) : -1;
            equal &= revisions[i] >= 0 && revisions[i] == revisions[0];
        }
        if (equal) {
            return 0;
        }
        if (fault_now_us() > end_us) {
            for (unsigned i = 0; i < FAULT_MASTERS; i++) {
                buf_printf(out, "  master %u is at revision %lld\n", i + 1, (long long)revisions[i]);
            }
            return 1;
        }
        fault_sleep_ms(100);
    }
}

static unsigned judge_endings(struct trial *t, struct buf *out)
{
    unsigned found = 0;
    for (unsigned i = 0; i < FAULT_MASTERS; i++) {
        int status = processes_stop(&t->cluster, i, SETTLE_MS);
        if (status != 0) {
            buf_printf(out, "  master %u: %s %d\n", i + 1, status == -1 ? "not within the time" : "status", status);
            found++;
        }
    }
    return found;
}

static void judge(struct trial *t)
{
    CLEANUP_BUF struct buf why = BUF_INIT;
    verdict(t, "every acknowledged creation is there, nothing else is", judge_writes(&t->deeds, &t->end, &why), &why);
    buf_reset(&why);
    verdict(t, "registers are linearizable, no increment is lost or doubled", judge_registers(&t->deeds, &why), &why);
    for (unsigned i = 0; i < FAULT_MASTERS; i++) {
        char what[100];
        buf_reset(&why);
        unsigned found = judge_watcher(&t->watchers[i].told, &t->end, &t->deeds, &why);
        snprintf(what, sizeof what, "watch %u was told everything once and in order (%zu events)", i + 1,
                 t->watchers[i].told.count);
        verdict(t, what, found, &why);
    }
    buf_reset(&why);
    verdict(t, "all masters are at the same revision", judge_agreement(t, &why), &why);
    note_losses(t);
    buf_reset(&why);
    verdict(t, "masters end in order when asked", judge_endings(t, &why), &why);
}

/* ---- Summary ---- */

static int compare_i64(const void *pa, const void *pb)
{
    int64_t a = *(const int64_t *)pa, b = *(const int64_t *)pb;
    return (a > b) - (a < b);
}

/* From each fault to the first write that was asked for after it and answered; and the longest time without any answer. */
static void print_gaps(struct trial *t)
{
    int64_t *ends = xmalloc((t->deeds.count + 1) * sizeof *ends), longest = 0, gaps[1000];
    size_t count = 0;
    for (size_t i = 0; i < t->deeds.count; i++) {
        if (t->deeds.items[i].type != DEED_READ && t->deeds.items[i].outcome == DEED_DONE) {
            ends[count++] = t->deeds.items[i].end_us;
        }
    }
    qsort(ends, count, sizeof *ends, compare_i64);
    for (size_t i = 1; i < count; i++) {
        longest = MAX(longest, ends[i] - ends[i - 1]);
    }
    for (unsigned k = 0; k < t->faults; k++) {
        /* The longest silence that touches the time right after the fault. */
        gaps[k] = 0;
        for (size_t i = 1; i < count; i++) {
            if (ends[i] > t->faults_us[k] && ends[i - 1] < t->faults_us[k] + 200000) {
                gaps[k] = MAX(gaps[k], ends[i] - MAX(ends[i - 1], t->faults_us[k]));
            }
        }
    }
    qsort(gaps, t->faults, sizeof *gaps, compare_i64);
    printf("  longest time without a write   %8.2f s\n", (double)longest / 1e6);
    printf("  a fault to the next write      %8.2f s median, %.2f s at most\n",
           t->faults == 0 ? 0 : (double)gaps[t->faults / 2] / 1e6,
           t->faults == 0 ? 0 : (double)gaps[t->faults - 1] / 1e6);
    free(ends);
}

static void print_summary(struct trial *t)
{
    static const char *const names[] = {"creations", "increments", "reads"};
    size_t counts[3][4] = {0};
    for (size_t i = 0; i < t->deeds.count; i++) {
        counts[t->deeds.items[i].type][t->deeds.items[i].outcome]++;
    }
    printf(
        "fault_leader: %lld s; %u masters killed, most of them leading; all killed %u times; leader frozen %u times\n",
        (long long)t->seconds, t->killed, t->outages, t->frozen);
    printf("  %-12s %10s %10s %10s %10s\n", "", "done", "refused", "unknown", "failed");
    for (unsigned i = 0; i < 3; i++) {
        printf("  %-12s %10zu %10zu %10zu %10zu\n", names[i], counts[i][DEED_DONE], counts[i][DEED_REFUSED],
               counts[i][DEED_UNKNOWN], counts[i][DEED_FAILED]);
    }
    for (unsigned i = 0; i < FAULT_MASTERS; i++) {
        printf("  watch %u     %10zu events, %u times resumed, %u times listed again\n", i + 1,
               t->watchers[i].told.count, t->watchers[i].told.resumed, t->watchers[i].told.relisted);
    }
    print_gaps(t);
}

/* ---- Program ---- */

static const char *beside(struct arena *a, const char *argv0)
{
    char self[400];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    snprintf(self + MAX(n, 0), sizeof self - (size_t)MAX(n, 0), "%s", n < 0 ? argv0 : "");
    char *slash = strstr(self, "/tests/fault/");
    if (slash != NULL) {
        *slash = '\0';
    }
    return arena_printf(a, "%s/reeve-master", self);
}

static int usage(void)
{
    fprintf(stderr,
            "usage: fault_leader [--seconds N] [--every MS] [--seed N] [--dir DIR] [--master PROGRAM] [--keep]\n");
    return 2;
}

int main(int argc, char **argv)
{
    static struct trial t = {.seconds = 30, .every_ms = 3000};
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    char temp[] = "/tmp/reeve-fault-XXXXXX";
    const char *dir = NULL, *program = beside(&a, argv[0]);
    t.rng.state = (uint64_t)fault_now_us();
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--keep") == 0) {
            t.keep = true;
        } else if (value == NULL) {
            return usage();
        } else if (strcmp(argv[i], "--seconds") == 0) {
            t.seconds = strtoll(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--every") == 0) {
            t.every_ms = strtoll(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--seed") == 0) {
            t.rng.state = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--dir") == 0) {
            dir = argv[++i];
        } else if (strcmp(argv[i], "--master") == 0) {
            program = argv[++i];
        } else {
            return usage();
        }
    }
    t.every_ms = MAX(t.every_ms, 100);
    signal(SIGPIPE, SIG_IGN);
    dir = dir != NULL ? dir : mkdtemp(temp);
    if (dir == NULL) {
        fault_die("temporary directory", NULL);
    }
    struct error err = {0};
    processes_up(&t.cluster, dir, program, true);
    if (api_new(&t.cluster.target, 15000, false, &t.api, &err) != 0) {
        fault_die("client", &err);
    }
    registers_make(t.api);
    start_work(&t);
    run_faults(&t);
    end_work(&t);
    judge(&t);
    print_summary(&t);
    api_free(t.api);
    bool remove = t.failed == 0 && !t.keep;
    if (!remove) {
        printf("  logs and data are in %s\n", dir);
    }
    processes_down(&t.cluster, remove);
    deeds_close(&t.deeds);
    seens_close(&t.end);
    for (unsigned i = 0; i < FAULT_MASTERS; i++) {
        seens_close(&t.watchers[i].told);
    }
    printf("%u passed, %u failed\n", t.passed, t.failed);
    return t.failed == 0 ? 0 : 1;
}
