/* How long turns of the loop take: what others wait at most while it is busy with one, and with which part of it.
 *
 * A turn is told in time of the thread on a core, so neither waiting for work nor a machine that gives the core to
 * others counts. Two numbers: the longest of all, and the longest of the last LAPS_WINDOW_MS to twice that. The same of
 * each part, which need not be of one turn. Pure: clocks come in. */
#ifndef MASTER_FRONT_LAPS_H
#define MASTER_FRONT_LAPS_H

#include <stdint.h>

#define LAPS_WINDOW_MS 5000

/* The parts of a turn in their order. X(name, counter, what it is) */
#define LAPS(X)                                                                                                        \
    X(SOCKETS, "turnSocketsUs", "what had arrived was read and what it asks for begun")                                \
    X(REQUESTS, "turnRequestsUs", "pieces of requests that waited for their turn")                                     \
    X(WATCHES, "turnWatchesUs", "what watches are sent")                                                               \
    X(FEEDS, "turnFeedsUs", "what agents are sent")                                                                    \
    X(DECISIONS, "turnDecisionsUs", "controllers, scheduler, and the log")                                             \
    X(TIMERS, "turnTimersUs", "timers, and what is behind a turn")
#define LAP_ENUM(name, counter, what) LAP_##name,
enum lap { LAPS(LAP_ENUM) LAP_COUNT };

struct lap_most {
    int64_t now_us, was_us; /* the longest of the present window, and of the one before */
    int64_t ever_us;
};
/* Zero before its first use. */
struct laps {
    int64_t cpu_us;             /* of the thread, when the former turn ended; 0 = none has */
    int64_t part_cpu_us;        /* when the former part did */
    int64_t took_us[LAP_COUNT]; /* of the turn that runs */
    int64_t since_ms;           /* when the present window began */
    struct lap_most turn, parts[LAP_COUNT];
};
/* A part of the turn has ended, one of the same turn again or not. cpu_us: what the thread has been on a core since it
 * began (above 0). */
void laps_part(struct laps *l, enum lap part, int64_t cpu_us);
/* A turn has ended; what no part was told of it is LAP_TIMERS. */
void laps_end(struct laps *l, int64_t cpu_us, int64_t now_ms);
int64_t laps_longest_us(const struct laps *l, int64_t now_ms); /* of late */
int64_t laps_longest_part_us(const struct laps *l, enum lap part, int64_t now_ms);

#endif
