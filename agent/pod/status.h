/* The status of a pod as Kubernetes' clients know it: phase, conditions, addresses, one entry per container. Pure.
 *
 * Source: Kubernetes API v1 PodStatus; phase rules and reasons as the kubelet's. Conditions of others (PodScheduled,
 * readiness gates) are kept from the object. */
#ifndef AGENT_POD_STATUS_H
#define AGENT_POD_STATUS_H

#include "agent/pod/pod.h"

/* "Pending", "Running", "Succeeded", "Failed". */
const char *status_phase(const struct pod *p);
/* The whole document. Remembers in p when conditions changed, hence not const. */
struct value *status_document(struct pod *p, int64_t wall_ms, struct arena *a);
/* ID of the container in the status: "crun://UID_NAME_ATTEMPT". */
const char *status_container_id(const struct container *c, unsigned attempt, struct arena *a);

#endif
