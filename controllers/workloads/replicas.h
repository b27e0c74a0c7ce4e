/* What keeps so many pods of a template: a ReplicaSet, or a ReplicationController (replicaset.c). */
#ifndef CONTROLLERS_WORKLOADS_REPLICAS_H
#define CONTROLLERS_WORKLOADS_REPLICAS_H

#include "controllers/controller.h"

/* For the rows of both: the same functions, with the kind, and the component that events name. */
int replicas_reconcile(const struct reconcile_in *in, struct reconcile_out *out, enum kind_id kind,
                       const char *component, struct error *err);
/* A pod tells its owner; a pod that lost its owner, or never had one, looks for one itself. */
void replicas_map_pod(enum kind_id kind, const struct object *old, const struct object *now, controller_emit *emit,
                      void *data);
/* With a new leader orphans look again, too: the last one may have died before it came to them. */
void replicas_resync(enum kind_id kind, const struct object *o, controller_emit *emit, void *data);

#endif
