/* The longest turn of a master's loop while something goes on. The master tells the longest of its last five to ten
 * seconds (master/front/laps.h); it is asked every two. What it tells in the first ten seconds counts if it is more
 * than it told at the beginning: else it may have been before. */
#ifndef TESTS_BENCH_TURNS_H
#define TESTS_BENCH_TURNS_H

#include "tests/bench/bench_kit.h"

#define TURNS_TEXT_MAX 160u

struct turns {
    struct kit *kit;
    struct rpc_session *rpc; /* NULL: none, or it has ended */
    uv_timer_t timer;
    uint64_t began_us;
    int64_t before_us, longest_us; /* before: -1 until it is known */
    char parts[TURNS_TEXT_MAX];    /* of the samples that told the longest: "sockets 3.1 ..., ms" */
    bool asking, with_past;
};

/* From now on, of the master at this address. with_past: what was before counts as well. Zero *t before the first use;
 * turns_end must have been called since the last one. */
void turns_begin(struct turns *t, struct kit *k, const char *address, bool with_past);
/* Asks once more. Milliseconds. *at_most: nothing that came was longer than what had been before, which is returned;
 * below 0: the master did not answer. */
double turns_end(struct turns *t, bool *at_most);

#endif
