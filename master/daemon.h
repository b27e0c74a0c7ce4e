/* The one entry of the daemon for main. */
#ifndef MASTER_DAEMON_H
#define MASTER_DAEMON_H

#include "master/config.h"

/* Serve until SIGTERM (0), or until it cannot go on (1). A negative code with *err filled if it could not start.
 * *damage: what is in raft/ is damaged, which was found when it was loaded or when an entry or a snapshot was
 * applied; *err says how, and repair.h what becomes of it. */
enum master_damage { MASTER_DAMAGE_NONE, MASTER_DAMAGE_LOADED, MASTER_DAMAGE_APPLIED };
int master_run(const struct master_config *config, enum master_damage *damage, struct error *err);

#endif
