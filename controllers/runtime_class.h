/* What the runtimeClassName of a pod means in a state: overhead and places, written into its spec when it is made, by
 * the API's admission and by all controllers alike. Source: Kubernetes' admission plugin RuntimeClass. Pure. */
#ifndef CONTROLLERS_RUNTIME_CLASS_H
#define CONTROLLERS_RUNTIME_CLASS_H

#include "raft-store/store/txn.h"
#include "raft-store/store/view.h"

/* Gives a new pod's spec what its class says: overhead, nodeSelector and tolerations beside its own. What is in spec is
 * replaced, not changed. Tolerations that others cover are left out if there are at most 128 in all; more stay as they
 * are. with: the transaction that makes the pod, which may make its class too; NULL: none.
 * ERR_FORBIDDEN, with the field, if there is no such class, or if the pod says another overhead (any without a class)
 * or another value for a label. */
int runtime_class_give(const struct view *v, const struct txn *with, struct arena *a, struct value *spec,
                       struct error *err);
/* The same for a controller's pod, a whole document. */
int runtime_class_give_pod(const struct view *v, struct arena *a, struct value *pod, struct error *err);

#endif
