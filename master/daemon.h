/* The one entry of the daemon for main. */
#ifndef MASTER_DAEMON_H
#define MASTER_DAEMON_H

#include "master/config.h"

/* Serve until SIGTERM (0), or until it cannot go on (1). A negative code with *err filled if it could not start. */
int master_run(const struct master_config *config, struct error *err);

#endif
