/* How often an identity may have its certificate renewed: signing costs milliseconds of the loop, and whoever has a certificate could ask on and on.
 *
 * Each identity has RENEWALS_BURST, and RENEWALS_EVERY_MS give one back: far more than a healthy agent or client needs, also with certificates that live
 * for seconds. They are counted when they are asked for, so no more than that many wait at a time. At most RENEWALS_MAX identities are
 * remembered; the one that has been quiet for the longest makes room. Soft state of the master that is asked. */
#ifndef MASTER_RENEWALS_H
#define MASTER_RENEWALS_H

#include "base/env.h"
#include "proto/pki.h"

#define RENEWALS_BURST    10u
#define RENEWALS_EVERY_MS 10000
#define RENEWALS_MAX      1024u

struct renewals {
    uint64_t seed; /* of the hash: nobody can choose a name that shares another one's account */
    struct renewals_row {
        uint64_t who;    /* hash of role and name; 0 = free */
        int64_t full_ms; /* when it has all its renewals again */
    } rows[RENEWALS_MAX];
};

void renewals_init(struct renewals *r, const struct env *env);
/* Takes one from the account: 0; else milliseconds until there is one, and nothing was taken. */
int64_t renewals_take(struct renewals *r, const struct pki_identity *who, int64_t now_ms);

#endif
