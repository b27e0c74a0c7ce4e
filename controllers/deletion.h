/* What deleting an object means: grace, finalizers and propagation. Used by the API's delete and by all controllers.
 *
 * Rules (source: Kubernetes API conventions "Object deletion", garbage collection "Cascading deletion", pod
 * termination):
 *  - A pod that is bound to a node and not finished gets deletionTimestamp = now + grace and stays until its agent
 *    confirms. Every other pod, and grace 0, is removed at once.
 *  - propagation ORPHAN puts the finalizer "orphan", FOREGROUND "foregroundDeletion" on the object; the garbage
 *    collector takes them off.
 *  - An object with finalizers only gets its deletionTimestamp; it goes when the last finalizer goes.
 *  - A namespace becomes Terminating; the namespace controller empties and removes it.
 *  - Deleting again can shorten a pod's grace, never lengthen it, and can change the propagation. */
#ifndef CONTROLLERS_DELETION_H
#define CONTROLLERS_DELETION_H

#include "raft-store/store/txn.h"

#define FINALIZER_ORPHAN     "orphan"
#define FINALIZER_FOREGROUND "foregroundDeletion"
#define GRACE_DEFAULT_S      30
#define GRACE_MAX_S          INT32_MAX

enum deletion_policy { DELETION_DEFAULT, DELETION_BACKGROUND, DELETION_FOREGROUND, DELETION_ORPHAN };
struct deletion_options {
    int64_t grace_s; /* -1 = the pod's own terminationGracePeriodSeconds */
    enum deletion_policy policy;
    struct str if_uid;    /* empty = any */
    uint64_t if_revision; /* 0 = any */
    /* Of a pod that is marked here: the condition DisruptionTarget with this reason and message; NULL: none. */
    const char *disruption, *disruption_message;
};
/* "Background", "Foreground", "Orphan", "" -> policy; -1 if none of them. */
int deletion_policy_parse(struct str s);
const char *deletion_policy_word(enum deletion_policy policy); /* the way back */
/* Adds at most one op to the transaction: TXN_DELETE (the object goes at once), TXN_UPDATE (it is marked), or none (it
 * is marked already and nothing changes). ERR_CONFLICT if the preconditions do not hold for o; ERR_TOO_LARGE. o is
 * borrowed; a is scratch. */
int deletion_request(struct txn *t, struct arena *a, const struct object *o, const struct deletion_options *options,
                     int64_t wall_ms, struct error *err);
/* Background deletion of a pod with its own grace (grace_s -1) or with the one given. */
int pod_delete(struct txn *t, struct arena *a, const struct object *pod, int64_t grace_s, int64_t wall_ms,
               struct error *err);

#endif
