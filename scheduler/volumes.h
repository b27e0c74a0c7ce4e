/* Volumes of pods, as the scheduler sees them: what the claims of a class of pods are bound to, which of them get a
 * volume with the node, and what is written for that with the binding. Inside the scheduler only.
 *
 * Claims are resolved against the tip, for a class, when something of storage has changed since
 * (sched.storage_changes): the filter (plugins/volume_binding.c) then asks claims_place of each node. A pod that has
 * claims is the last of its round: the next decision sees what was written for it. Source: Kubernetes' plugins
 * VolumeBinding and VolumeRestrictions; the words are theirs. */
#ifndef SCHEDULER_VOLUMES_H
#define SCHEDULER_VOLUMES_H

#include "proto/facts/storage.h"
#include "raft-store/store/txn.h"
#include "raft-store/store/view.h"

struct sched_class;
struct sched_node;

#define CLAIMS_MAX 64u /* of one pod; one with more is not placed */

struct sched_claim {
    struct object *claim;
    struct object *volume; /* that it is bound to; NULL: it waits for its first consumer */
    struct object *class;  /* of one that waits */
    bool foreign;          /* its volume is made by a program beside Reeve (storage_class_is_foreign) */
    struct object **free;  /* volumes that it could have, the best first */
    unsigned free_count;
    char *only_node; /* ReadWriteOnce, and pods of this node use it; NULL: any */
    bool taken;      /* ReadWriteOncePod, and a pod uses it */
};
struct sched_claims {
    struct sched_claim items[CLAIMS_MAX];
    unsigned count;
    char *blocked;      /* why no node will do, whatever the nodes; NULL: ask them */
    uint64_t seen;      /* storage_changes + 1; 0: never resolved */
    uint64_t signature; /* of all of it */
};

/* Does the pod name claims? own: some of them are made for it alone, so that it is a class of its own. */
bool claims_named(const struct object *pod, bool *own);
struct sched_claims *claims_new(void);
void claims_free(struct sched_claims *c); /* NULL is fine */
/* Reads the claims of the sample anew. True: something is another than before. */
bool claims_resolve(struct sched_claims *c, const struct object *sample, const struct view *tip);

/* What each claim that waits gets on a node: one of its free volumes or, NULL, a new one of its provisioner. */
struct claims_placing {
    const struct object *volumes[CLAIMS_MAX];
};
/* Can pods with these claims run on the node? why: in Kubernetes' words. */
bool claims_place(const struct sched_claims *c, const struct sched_node *n, struct claims_placing *out,
                  const char **why);
/* Are some of them to be made by others first? Then the node is not the pod's yet: claims_ask_others has it written on
 * those claims, and the pod waits until they have their volumes. */
bool claims_need_others(const struct sched_claims *c, const struct claims_placing *placing);
int claims_ask_others(struct txn *t, struct arena *a, const struct sched_claims *c, const char *node,
                      const struct claims_placing *placing, struct error *err);
/* What binding a pod to the node means for its claims, added to the transaction; the placing must be of the same
 * state. */
int claims_write(struct txn *t, struct arena *a, const struct view *tip, const struct sched_claims *c,
                 const struct sched_node *n, const struct claims_placing *placing, int64_t wall_ms, struct error *err);

#endif
