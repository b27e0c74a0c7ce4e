/* What the tests of the key that seals share: three masters under one that writes Secrets, the steps of a replacement,
 * and what masters' directories give away to which key. Waits fail the test after KIT_WAIT_MS. */
#ifndef TESTS_RESEAL_KIT_H
#define TESTS_RESEAL_KIT_H

#include "proto/pki/ring.h"
#include "tests/unit/master_rotate.h"

/* ---- Clusters ---- */

/* Three masters, known to rctl, with the Secret "first"; a fresh writer. The kit is *state, for tear_down. */
struct kit *three(void **state);
int tear_down(void **state);

/* ---- Masters ---- */

/* So many from the first one on, not armed; until each answers. */
void start_all(struct kit *k, unsigned masters);
/* Those that run; all have ended. */
void stop_all(struct kit *k, int sig);
/* Those that have died of a failpoint are started anew, and not armed; how many they were. */
unsigned start_the_dead(struct kit *k);
/* Until it answers. */
void wait_for_service(struct kit *k, unsigned i);

/* ---- A replacement ---- */

/* Starts all masters anew and begins a replacement, and comes to this phase ("spread", "use", "clean", "drop"). No step
 * is taken beyond it as long as these processes run. */
void hold_in(struct kit *k, const char *phase);
/* So many masters, from the first one on, have another key. */
void wait_for_another(struct kit *k, const struct pki_ring *former, unsigned masters);
/* `rctl cert status` says this; all that it says, as long as the kit lives. */
const char *wait_for_status(struct kit *k, const char *text);
/* The record's phase is over: with this no master takes a step any more. Until then armed ones may die, and are started
 * anew. */
void wait_for_end(struct kit *k);
/* Waits for the end; then nothing is left of the former key, and all of the Secrets. The masters are stopped. */
void check_disks(struct kit *k, const struct pki_ring *former, unsigned masters);
/* The same; then masters run again and have all of the Secrets. */
void check_all(struct kit *k, const struct pki_ring *former, unsigned masters);

/* ---- Keys and disks ---- */

/* What seal.key of master i holds, whether it runs or not. */
struct pki_ring keys_of(struct kit *k, unsigned i);
/* All of these hold one key alone, the same, another than the former one. */
bool all_have_another(struct kit *k, const struct pki_ring *former, unsigned masters);
/* A stopped master's directory gives nothing to who has the former key, and all to who has the one of now. */
void look_at_disk(struct kit *k, unsigned i, const struct pki_ring *former);

/* ---- Secrets ---- */

#define SECRETS_MAX 4096u

/* Secrets that were acknowledged, while masters come and go. */
struct writer {
    struct kit *k;
    struct client *c;
    unsigned at, next, acknowledged;
    bool done[SECRETS_MAX];
};
extern struct writer writer; /* of the cluster that three() has made last */

/* One more, by any master that runs; it may fail. */
void write_one(struct writer *w);
/* All that was acknowledged is there, and is what was written. */
void read_back(struct writer *w);

#endif
