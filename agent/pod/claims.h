/* Which PersistentVolumes the pods of this node have, by the claims that they name. What a pod has got it keeps,
 * whatever masters say of it later, or do not say: each is noted beside the pod's volumes (agent/volume), with the
 * volume's object, so that an agent that is started anew mounts for the next attempt of a container what it mounted
 * before, and nobody's directory is removed under a pod. Forgotten when the pod's volumes are gone. Loop thread
 * only. */
#ifndef AGENT_POD_CLAIMS_H
#define AGENT_POD_CLAIMS_H

#include "agent/pod/refs.h"
#include "agent/volume/volume.h"
#include "base/list.h"

struct claim {
    struct list link;
    char uid[64]; /* of the pod */
    char *name;   /* of the pod's volume */
    struct object *volume;
    bool read_only;
    bool single; /* ReadWriteOncePod */
    bool ready;  /* it has been mounted: fsGroup has been applied */
};

struct claims;
/* With what is noted. store is borrowed. */
struct claims *claims_new(struct volume_store *store, const struct log *log);
void claims_free(struct claims *c);

struct claim *claims_find(struct claims *c, const char *uid, const char *name); /* NULL: it has none yet */
/* The claim and the volume that it is bound to; borrowed.
 *   ERR_BUSY       masters have not told of it yet
 *   ERR_NOT_FOUND  the claim is absent or not bound; its coming is told
 *   ERR_INVALID    one of them is being deleted */
int claims_bound(const struct refs *refs, struct str ns, struct str name, const struct object **claim,
                 const struct object **volume, struct error *err);
/* From now on the pod has it. ERR_INVALID: it is another pod's alone, until that has gone (volume_events.removed). */
int claims_take(struct claims *c, const char *uid, const char *name, const struct object *claim,
                const struct object *volume, struct claim **out, struct error *err);
void claims_set_ready(struct claims *c, struct claim *k);
/* True: there were some. */
bool claims_drop(struct claims *c, const char *uid);
/* Does a pod beside this one ("" = any) have the volume? */
bool claims_use(const struct claims *c, struct str volume_uid, const char *but_uid, bool ready);

#endif
