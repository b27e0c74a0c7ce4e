/* Owners and what their selectors choose: adoption and release, as every workload does them.
 *
 * What a controller owns and its selector chooses is its own; what it owns and no longer chooses is released; an orphan
 * that it chooses is adopted. Nobody takes what another owns, and nothing that is being deleted changes hands.
 * An owner looks for orphans (with the index of labels, or through its whole namespace) only when its spec is new to
 * it (status.observedGeneration lags); later orphans come as keys of their own kind (claim_orphan). So the usual
 * reconcile costs what it owns. A reconcile adopts and releases CONTROLLER_BATCH_MAX at most: when some are left it has
 * to end there, without saying that it has seen the spec, and the key is looked at again. Source: Kubernetes'
 * ControllerRefManager. Pure. */
#ifndef CONTROLLERS_CLAIM_H
#define CONTROLLERS_CLAIM_H

#include "controllers/util.h"

struct claim {
    const struct reconcile_in *in;
    struct reconcile_out *out;
    const struct object *owner;
    const struct kind *kind;                   /* of what it owns */
    bool (*may_adopt)(const struct object *o); /* of orphans that are not being deleted; NULL = any */
    bool (*selects)(void *data, const struct object *o);
    void (*keep)(void *data, const struct object *o); /* the owner's; all that it owns if it is being deleted */
    const struct selector *selector;                  /* what `selects` asks, for an index; NULL = none is asked */
    /* Adopts: claim_adopt, or writes the reference itself. */
    int (*adopt)(void *data, const struct object *o, struct error *err);
    void *data;
};
/* Walks what the owner has and, when its spec is new, the orphans of its namespace, both in the order of the view.
 * 0; CLAIM_MORE: some are left, nothing else is to be written of what was claimed, and the key is queued again; below
 * 0: an error. */
#define CLAIM_MORE 1
int claim_all(const struct claim *c, struct error *err);
/* The two parts of it. What the owner has is walked to its end also with CLAIM_MORE. */
int claim_owned(const struct claim *c, struct error *err);
int claim_orphans(const struct claim *c, struct error *err);
/* What most workloads have: the pods that a selector chooses, in a list. */
struct claim_pods {
    const struct selector *selector;
    /* What an own pod must be besides; NULL = nothing. */
    bool (*fits)(const struct object *owner, const struct object *pod);
    struct object_list pods; /* of the owner before; made here */
    unsigned adopted;        /* beside them, in this transaction */
};
/* As claim_all. */
int claim_pods(struct claim_pods *p, const struct reconcile_in *in, struct reconcile_out *out,
               const struct object *owner, struct error *err);
/* Writes the reference of the owner. */
int claim_adopt(struct reconcile_out *out, const struct object *o, const struct object *owner, struct error *err);
/* The key in->key is of an object that may be an orphan: the first owner of the kind whose spec.selector chooses it
 * adopts it. may_adopt as above. */
int claim_orphan(const struct reconcile_in *in, struct reconcile_out *out, const struct kind *owner_kind,
                 bool (*may_adopt)(const struct object *o), struct error *err);
/* Has an object lost its owner with this change, or come without one, so that its own key is to be looked at
 * (claim_orphan)? */
bool claim_is_new_orphan(const struct object *old, const struct object *now);

#endif
