/* Events that the master itself tells. Loop thread only. */
#ifndef MASTER_WARN_H
#define MASTER_WARN_H

#include "master/master.h"

/* Leader: an event about an object of the tip: `reason`, Warning, from "reeve-master". Best effort: nobody waits for
 * it. False: the same was told less than a minute ago. */
bool master_warn(struct master *m, const struct object *about, const char *reason, struct str message);

#endif
