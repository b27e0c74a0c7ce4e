/* How long turns of the loop take: what others wait at most while it is busy with one, and with which part of it.
 *
 * A turn is told in time of the thread on a core, so neither waiting for work nor a machine that gives the core to
 * others counts. Two numbers: the longest of all, and the longest of the last LAPS_WINDOW_MS to twice that. The same of
 * each part, which need not be of one turn.
 *
 * The clock of a thread's time on a core is a system call, ten times as dear as the clock on the wall. So it is asked
 * once a turn, and where a part took LAPS_LONG_US on the wall or longer (laps_is_long): such parts are told in time on
 * a core, the others in time on the wall, and none as longer than its turn. While sockets are read the loop also
 * sleeps: where that was short, their part is what the others leave of the turn. Pure: clocks come in, both in us and
 * above 0. */
#ifndef MASTER_FRONT_LAPS_H
#define MASTER_FRONT_LAPS_H

#include <stdbool.h>
#include <stdint.h>

#define LAPS_WINDOW_MS 5000
#define LAPS_LONG_US   500

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
    int64_t part_us;            /* on the wall: when the former part ended */
    int64_t part_cpu_us;        /* of the thread, when that clock was last asked */
    int64_t short_us;           /* on the wall: of the parts since then */
    int64_t took_us[LAP_COUNT]; /* of the turn that runs */
    int64_t since_us;           /* when the present window began */
    int64_t last_us;
    struct lap_most turn, parts[LAP_COUNT];
};
/* Has the part that ends now been long? Then the thread's clock is to be asked for it. */
bool laps_is_long(const struct laps *l, int64_t wall_us);
/* A part of the turn has ended, which began when the former one did; one of the same turn again or not. cpu_us: what
 * the thread has been on a core since it began; 0: not asked. LAP_SOCKETS: the loop has slept, and read what had
 * arrived. */
void laps_part(struct laps *l, enum lap part, int64_t wall_us, int64_t cpu_us);
/* A turn has ended. What no part was told of it since the last one is LAP_TIMERS. */
void laps_end(struct laps *l, int64_t cpu_us, int64_t wall_us);
int64_t laps_last_us(const struct laps *l);                     /* the turn that ended last; 0: none has */
int64_t laps_longest_us(const struct laps *l, int64_t wall_us); /* of late */
int64_t laps_longest_part_us(const struct laps *l, enum lap part, int64_t wall_us);

#endif
