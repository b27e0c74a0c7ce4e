/* How long a master waits for another one before it believes it dead. Pure: the owner brings the time.
 *
 * Two things mislead who judges others by a clock alone.
 *
 * 1. Whoever stood still (a busy host, a frozen virtual machine, SIGSTOP) finds its timers due before it has looked at
 *    what arrived meanwhile. So the clock here is that of time attended: between two looks at the sockets (pace_attend)
 *    it goes on by one heartbeat at most.
 * 2. Whoever hears nothing of another cannot tell whether that one is dead or stands still. So each master keeps how
 *    long it stood still itself, and for how long its leader was silent and then went on; followers tell their leader,
 *    the leader tells everybody the longest, and the election timeout stays above it:
 *
 *        timeout = 3/2 of the longest standstill + 2 heartbeats, at least floor, at most ceiling
 *
 *    A standstill is remembered for one to two windows of PACE_WINDOW_MS. In the first two, in which little is known,
 *    it is at least `start`.
 *
 * A process that has ended needs none of this: its sockets are closed, and nobody listens where it did
 * (replica_peers.ended). */
#ifndef RAFT_STORE_RAFT_PACE_H
#define RAFT_STORE_RAFT_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define PACE_WINDOW_MS (15 * 60 * 1000)
#define PACE_FRESH_MS  (60 * 1000) /* what a follower told counts for so long behind its last word */
#define PACE_PEERS_MAX 64u
#define PACE_UNIT_MS   16u /* of what is told, rounded up */
#define PACE_UNITS_MAX 254u

struct pace_config {
    unsigned heartbeat_ms;
    unsigned floor_ms;   /* of the election timeout */
    unsigned ceiling_ms; /* not above floor_ms: the timeout is floor_ms, always, and attended time alone is kept */
    unsigned start_ms;   /* between the two */
};
struct pace {
    struct pace_config config;
    int64_t start_until_ms;
    bool attended;            /* pace_attend was called: until then time just passes */
    int64_t base_ms, seen_ms; /* attended, and the owner's, at the last look */
    struct {                  /* the longest standstill that this master has seen, of this window and the one before */
        int64_t since_ms;
        unsigned now_ms, before_ms;
    } own;
    struct {
        uint64_t id;
        unsigned ms;
        int64_t at_ms;
    } heard[PACE_PEERS_MAX];
    unsigned heard_count;
    unsigned told_ms; /* by a leader */
    int64_t told_at_ms;
};

void pace_init(struct pace *p, const struct pace_config *config, int64_t now_ms);
bool pace_adapts(const struct pace *p);
/* Time attended, in ms; never goes back. */
int64_t pace_time(const struct pace *p, int64_t now_ms);
/* What had arrived was read just now. Once per turn of the owner's loop. */
void pace_attend(struct pace *p, int64_t now_ms);
/* Somebody was silent for so long, and went on. Longer than twice the ceiling is an absence, not a standstill: not
 * kept. */
void pace_observe(struct pace *p, int64_t silent_ms, int64_t now_ms);
/* What a follower told us. More than PACE_PEERS_MAX of them: the oldest is forgotten. */
void pace_heard(struct pace *p, uint64_t id, unsigned units, int64_t now_ms);
/* What the leader told us. */
void pace_told(struct pace *p, unsigned units, int64_t now_ms);
/* The longest standstill known, in ms: our own (what a follower tells), and of all (what a leader tells, and the
 * timeout is made of). */
unsigned pace_own(const struct pace *p, int64_t now_ms);
unsigned pace_all(const struct pace *p, int64_t now_ms);
/* As told: in PACE_UNIT_MS, at most PACE_UNITS_MAX. */
unsigned pace_units(unsigned ms);
/* The election timeout. */
unsigned pace_timeout(const struct pace *p, int64_t now_ms);

#endif
