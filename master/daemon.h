/* The one entry of the daemon for main. */
#ifndef MASTER_DAEMON_H
#define MASTER_DAEMON_H

#include "master/config.h"
#include "master/stop.h"

/* Serve until the process is told to stop (0), also if it was before, or until it cannot go on (1). A negative code
 * with *err filled if it could not start. *damage: what is in raft/ is damaged, which was found when it was loaded or
 * when an entry or a snapshot was applied; *err says how, and repair.h what becomes of it. */
enum master_damage { MASTER_DAMAGE_NONE, MASTER_DAMAGE_LOADED, MASTER_DAMAGE_APPLIED };
int master_run(const struct master_config *config, const struct stop *stop, enum master_damage *damage,
               struct error *err);

#endif
