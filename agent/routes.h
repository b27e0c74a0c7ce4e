/* The ways to the pods of other nodes: as masters tell them, and as they were kept until then (kept.h). Loop thread
 * only. */
#ifndef AGENT_ROUTES_H
#define AGENT_ROUTES_H

#include "agent/agent_int.h"

/* As neighbours_told reads it. Our own range is told too: it is how we learn it if it was given after we registered. */
void routes_told(struct agent *a, struct mp message);
void routes_write(const struct agent *a, struct buf *out); /* all of them, a list as routes_told takes it */

#endif
