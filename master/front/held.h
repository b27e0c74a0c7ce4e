/* What connections hold of memory. */
#ifndef MASTER_FRONT_HELD_H
#define MASTER_FRONT_HELD_H

#include "master/master.h"

void held_look(struct master *m); /* once in a turn; ends connections while it is too much */

#endif
