/* What the priorityClassName of a pod means in a state: its priority and its preemptionPolicy, written into its spec
 * when it is made, by the API's admission and by all controllers alike. Source: Kubernetes' admission plugin Priority.
 * Pure. */
#ifndef CONTROLLERS_PRIORITY_H
#define CONTROLLERS_PRIORITY_H

#include "proto/facts/priority.h"
#include "raft-store/store/txn.h"
#include "raft-store/store/view.h"

/* The class of pods that name none: the one that is the default; of several, which no API lets in, the lowest. NULL:
 * none. */
const struct object *priority_default_class(const struct view *v);
/* Gives a new pod's spec what its class says; a pod without a class stays as it is. with: the transaction that makes
 * the pod, which may make its class too; NULL: none. ERR_FORBIDDEN, with the field, if the class does not exist, or if
 * the spec says another priority or policy than the class (0 and PreemptLowerPriority without one). */
int priority_give(const struct view *v, const struct txn *with, struct arena *a, struct value *spec, struct error *err);
/* The same for a controller's pod, a whole document, with an error that names the pod's class. */
int priority_give_pod(const struct view *v, struct arena *a, struct value *pod, struct error *err);

#endif
