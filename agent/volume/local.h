/* Volumes of the local provisioner: directories below one root, which outlive pods and agents.
 *
 *   ROOT/.reeve-volumes   which root it is
 *   ROOT/NAME             one volume
 *   ROOT/.trash-NAME      one that is being deleted
 *   NOTES/root            which root this node has
 *   NOTES/volume-NAME     the volume was made, for the PersistentVolume with this uid
 *
 * A volume that was made once is never made again: if it is not there (the disk of ROOT is not mounted, somebody has
 * deleted it) that is an error, never an empty directory. Notes are written after the directory is on the disk and
 * before anybody uses it, and go after it has its new name. So whatever step an agent dies at, the next one goes on
 * from there. Blocking; any thread, one at a time for a volume. */
#ifndef AGENT_VOLUME_LOCAL_H
#define AGENT_VOLUME_LOCAL_H

#include "base/err.h"

struct local_root {
    const char *dir, *notes; /* absolute */
};
/* The root is made if this node never had one. ERR_SYSTEM: it is not the one that it had. */
int local_open(const struct local_root *r, struct error *err);
/* Idempotent. name: of the PersistentVolume, a DNS name. */
int local_make(const struct local_root *r, const char *name, const char *uid, struct error *err);
/* Idempotent: that nothing of it is there is fine. Never follows links, never enters a mount. */
int local_remove(const struct local_root *r, const char *name, const char *uid, struct error *err);
/* What a former agent began to delete. */
int local_sweep(const struct local_root *r, struct error *err);

#endif
