/* A master whose Raft directory is damaged or lost, and what becomes of it without a person.
 *
 * A voter that forgets what it has acknowledged breaks Raft, so such a directory is never started under the id that it
 * belonged to, not even emptied. It is moved aside as evidence, and the master comes back as another one, who never
 * promised anything:
 *
 *   SERVING --damage found--> MARKED --raft/ renamed to quarantine-TIME/--> ASKING --the leader gives a new id-->
 *   RENAMED --> SERVING, as spare
 *
 *   MARKED   master.yaml has `rejoin: REASON`: whatever happens now, raft/ is not started
 *   ASKING   the masters are asked in turn, until one that leads answers ("rejoin", with the old certificate; asked
 *            again after a lost answer it answers the same id); every REPAIR_SAY_MS the log says what it waits for
 *   RENAMED  key and certificate are the new ones, master.yaml has still the old id and the mark; the next step gives
 *            it the new id and takes the mark away
 *
 * Each arrow is one durable step, and a start looks where it was interrupted, so a crash between any two goes on there.
 *
 * Damage is found at start (raft-store/disk/scan.h reads the directory before libraft does; what libraft and the store
 * refuse when they load it), and while serving (an entry that cannot be applied, a state that differs from the
 * leader's). A directory that is empty although the master has voted (master.yaml: started) is damage too. A full disk,
 * an unreadable file or a wrong owner is not: the operator is told, and nothing is moved.
 *
 * A master that is the only voter has nobody to get its state from. It refuses to start and says what `reeve-master
 * recover` would lose. */
#ifndef MASTER_RESCUE_REPAIR_H
#define MASTER_RESCUE_REPAIR_H

#include "master/config.h"
#include "master/daemon.h"
#include "master/stop.h"

#define REPAIR_SAY_MS 30000
/* Damage that is met while serving within this time after a repair is none of the disk's: what the others sent cannot
 * be applied here. */
#define REPAIR_AGAIN_MS (10 * 60 * 1000)

/* Before each start: goes on where a repair was interrupted, then looks at the directory and repairs it if need be. 0:
 * the master may start, *c is what it is now. ERR_CANCELED: the process was told to stop, and has to be in ASKING.
 * Blocks, for as long as no leader answers. */
int repair_before_start(struct master_config *c, const struct log *log, const struct stop *stop, struct error *err);
/* After a master has ended because of damage: the same, for what it met. */
int repair_after_damage(struct master_config *c, const struct log *log, const struct stop *stop,
                        enum master_damage damage, const char *what, struct error *err);

/* ---- rejoin.c ---- */

/* ASKING and RENAMED. On 0 *c is saved. ERR_CANCELED: told to stop while nobody had answered. */
int rejoin(struct master_config *c, const struct log *log, const struct stop *stop, struct error *err);
/* A crash in RENAMED is brought to its end. *finished: the master has its new id. */
int rejoin_finish(struct master_config *c, const struct log *log, bool *finished, struct error *err);

/* ---- known.c: the other masters, as this one last knew them ---- */

struct known_master {
    uint64_t id;
    char role[16]; /* voter, standby, spare */
    char address[NET_ADDR_MAX];
};
/* Up to max; 0 if nothing is known. */
unsigned known_read(const struct master_config *c, struct known_master *out, unsigned max);
/* The file `masters`, if it says something else. Loop thread. */
struct master;
void known_note(struct master *m);

#endif
