/* How much of something each of many peers may have: a burst, and so much back per time. For what costs this master
 * work and what a peer may ask for again and again: wrong tokens by network, renewals by identity, what a node writes
 * and tells.
 *
 * Each peer has an account of `burst` units, full at first; a unit comes back every every_us microseconds. Accounts are
 * kept in sets of ALLOWANCE_SET, chosen by a seeded hash of the peer's name; in a full set the one that has been quiet
 * for the longest makes room. Nobody can choose a name that shares another one's account, or its set. Soft state of
 * one master. Source: the generic cell rate algorithm (ITU-T I.371), which needs one number a peer. */
#ifndef MASTER_AUTH_ALLOWANCE_H
#define MASTER_AUTH_ALLOWANCE_H

#include "base/env.h"
#include "base/str.h"

#define ALLOWANCE_SETS 512u
#define ALLOWANCE_SET  8u

struct allowance {
    uint64_t seed;
    int64_t burst, every_us;
    struct allowance_row {
        uint64_t who;    /* hash; 0 = free */
        int64_t full_us; /* when the account is full again */
    } rows[ALLOWANCE_SETS][ALLOWANCE_SET];
};

/* burst > 0, every_us > 0; burst * every_us is below 2^40. */
struct allowance *allowance_new(const struct env *env, int64_t burst, int64_t every_us); /* free() it */
/* Milliseconds until `who` has so many units (all of the burst if it wants more); 0: it has them. */
int64_t allowance_wait_ms(const struct allowance *a, struct str who, int64_t units, int64_t now_ms);
/* Takes them if it has them: 0, else as allowance_wait_ms, and nothing was taken. */
int64_t allowance_take(struct allowance *a, struct str who, int64_t units, int64_t now_ms);

#endif
