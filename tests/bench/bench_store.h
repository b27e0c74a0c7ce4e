/* What benches of one process share: a store and a scheduler as a leader has them, without a disk, a network and a
 * log. */
#ifndef TESTS_BENCH_STORE_H
#define TESTS_BENCH_STORE_H

#include "raft-store/store/store.h"
#include "scheduler/scheduler.h"

struct bench_store {
    struct store *store;
    struct scheduler *scheduler;
    uint64_t index; /* of the newest entry */
    bool packs;     /* a turn packs what the history has let go of (raft-store/store/pack.h) */
};

/* Prints the error and ends the program unless rv is 0. */
void bench_store_must(int rv, const struct error *err);
/* A turn of a master's loop: evaluated on the tip, seen by the scheduler, an entry of the log, applied. */
void bench_store_submit(struct bench_store *b, struct txn *t);

#endif
