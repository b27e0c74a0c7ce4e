/* Volumes of the local provisioner on this node (proto/facts/storage.h): where they lie, how much they may have, and
 * their end. The directories themselves are agent/volume/local.h.
 *
 * A volume that is to go, and that neither a claim protects nor a pod here has any more, is removed on a thread, and
 * told to the masters (node.volumes) until they say that they know. All of that follows from the objects: whatever a
 * former agent had begun is found and ended. How much a volume holds is not bounded: quotas are not used, and pods that
 * share a disk fill it together, as with other provisioners of this sort. Loop thread only. */
#ifndef AGENT_POD_LOCALS_H
#define AGENT_POD_LOCALS_H

#include "agent/agent_int.h"

struct locals;
/* dir: absolute, or NULL: a directory of the agent's own. bytes: what all of them together may be promised; 0: nine
 * tenths of the file system. */
int locals_open(struct agent *a, const char *dir, int64_t bytes, struct error *err);
void locals_close(struct agent *a, void (*cb)(void *data), void *data);
const char *locals_dir(const struct agent *a);
const char *locals_notes(const struct agent *a); /* for struct local_root */
int64_t locals_bytes(const struct agent *a);     /* 0: the directory is not there now */
/* Looks at the volumes that are to go. Whenever one of those things has changed, and once in a while. */
void locals_check(struct agent *a);
void locals_look(struct agent *a); /* once in a while: is the root still there? Beside the loop */

#endif
