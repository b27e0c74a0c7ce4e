/* How long turns of the loop take: what others wait at most while it is busy with one.
 *
 * A turn is told in time of the thread on a core, so neither waiting for work nor a machine that gives the core to
 * others counts. Two numbers: the longest of all, and the longest of the last LAPS_WINDOW_MS to twice that. Pure:
 * clocks come in. */
#ifndef MASTER_FRONT_LAPS_H
#define MASTER_FRONT_LAPS_H

#include <stdint.h>

#define LAPS_WINDOW_MS 5000

/* Zero before its first use. */
struct laps {
    int64_t cpu_us;         /* of the thread, when the former turn ended; 0 = none has */
    int64_t since_ms;       /* when the present window began */
    int64_t now_us, was_us; /* the longest of the present window, and of the one before */
    int64_t ever_us;
};
/* A turn has ended. cpu_us: what the thread has been on a core since it began (above 0). */
void laps_end(struct laps *l, int64_t cpu_us, int64_t now_ms);
int64_t laps_longest_us(const struct laps *l, int64_t now_ms); /* of late */

#endif
