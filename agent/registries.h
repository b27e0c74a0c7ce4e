/* Which registries this node may ask: registries.yaml, and the file of logins that it names. Read at the start, and
 * again whenever one of the two is another file than before, or has changed: looked at before an image is pulled and
 * every AGENT_CHECK_MS. What cannot be read is told in the log and by an event of the node (InvalidRegistries),
 * once, and the former registries stay. A file that is taken away: none. Loop thread only; blocking, two looks at
 * the disk. */
#ifndef AGENT_REGISTRIES_H
#define AGENT_REGISTRIES_H

#include "agent/agent_int.h"

/* path is copied. ERR_INVALID and others with file and field: it cannot be read. */
int registries_open(struct agent *a, const char *path, struct error *err);
void registries_look(struct agent *a); /* without registries_open: nothing */
void registries_close(struct agent *a);

#endif
