/* What connections hold of memory. */
#ifndef MASTER_FRONT_HELD_H
#define MASTER_FRONT_HELD_H

#include <stdbool.h>

#include "master/master.h"

void held_look(struct master *m); /* once in a turn; ends connections while it is too much */
/* Is there room for what could be sent later as well? False from half of the bound on, so that what all agents are told
 * at once ends no connection. It becomes true when peers have read; whoever waits for it asks again in each turn. If
 * nobody reads it is true all the same after HELD_PATIENCE_MS: those who do not read hold up nobody else. */
#define HELD_PATIENCE_MS 1000
bool held_has_room(struct master *m);

#endif
