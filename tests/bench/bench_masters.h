/* The masters of a bench: what each costs, the end of the one that leads, and its return. */
#ifndef TESTS_BENCH_MASTERS_H
#define TESTS_BENCH_MASTERS_H

#include "tests/bench/bench_kit.h"

#define MASTERS_MAX 9u

struct bench_master {
    pid_t pid;
    char address[64], dir[256];
    uint64_t cpu_us; /* when it was last asked */
};
struct masters {
    struct kit *kit;
    struct bench_master items[MASTERS_MAX];
    unsigned count;
    const char *program; /* reeve-master, to start one again */
};

/* "PID,ADDRESS,DIR"; ends the program if it is not. */
void masters_add(struct masters *m, const char *text);
/* The one that the kit's sessions lead to, which is the leader after kit_connect_leader; NULL: it is none of these. */
struct bench_master *masters_connected(struct masters *m);
double master_rss_mb(const struct bench_master *b);
/* A counter that the master tells of itself (stats); -1: it does not answer. */
int64_t master_counter(struct masters *m, const struct bench_master *b, const char *name);
/* Microseconds on a core since the last call. */
uint64_t master_cpu_spent(struct bench_master *b);
/* Kills it (SIGKILL) and writes until that is acknowledged by another: seconds. The kit must not be connected; ns is
 * there. */
double master_kill_to_write(struct masters *m, struct bench_master *b, const char *ns);
/* Starts it again: seconds until it answers a linearizable read. It ends with this program. */
double master_start_to_read(struct masters *m, struct bench_master *b, const char *ns);

#endif
