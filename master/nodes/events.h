/* Events that nodes tell, and those of the master itself. */
#ifndef MASTER_NODES_EVENTS_H
#define MASTER_NODES_EVENTS_H

#include "master/front/call.h"

/* An event about an object of the tip: `reason`, Warning. Best effort: nobody waits for it. False: the same was told
 * less than a minute ago. */
bool events_warn(struct master *m, const struct object *about, const char *reason, struct str message);

#endif
