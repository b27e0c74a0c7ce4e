/* A time limit for something outside that counts only time in which this process ran: what another failed to do while
 * we stood still (a stopped machine, a starved core) is not held against it.
 *
 * The limit is cut into ticks. A tick that comes far too late counts nothing: nobody was there to take an answer. Pure:
 * the caller owns the timer. A process that never gets its time still comes to an end: ATTEND_EXTRA_MS after the
 * limit every tick counts. */
#ifndef AGENT_UTIL_ATTEND_H
#define AGENT_UTIL_ATTEND_H

#include <stdbool.h>
#include <stdint.h>

#define ATTEND_TICK_MS  100
#define ATTEND_EXTRA_MS 30000

struct attend {
    int64_t left_ms;  /* of the limit */
    int64_t armed_ms; /* when this tick began */
    int64_t last_ms;  /* from then on late ticks count, too */
};
/* Returns after how many ms attend_tick is to be called. limit_ms > 0. */
int64_t attend_start(struct attend *a, int64_t limit_ms, int64_t now_ms);
/* 0: the limit is over. Otherwise as attend_start. */
int64_t attend_tick(struct attend *a, int64_t now_ms);
/* The same for a tick that does not count whenever it comes: what the limit is for has not begun. */
int64_t attend_skip(struct attend *a, int64_t now_ms);

#endif
