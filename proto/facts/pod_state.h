/* What controllers, scheduler and agents read off a pod to count it. Source: Kubernetes core/v1 PodStatus. Pure. */
#ifndef PROTO_FACTS_POD_STATE_H
#define PROTO_FACTS_POD_STATE_H

#include "proto/schema/object.h"

struct str pod_node(const struct object *pod);  /* spec.nodeName; empty = not bound */
struct str pod_phase(const struct object *pod); /* "" before any status */
bool pod_finished(const struct object *pod);    /* Succeeded or Failed */
bool pod_active(const struct object *pod);      /* neither finished nor being deleted: what counts as a replica */
/* The body is walked over once in the object's life, on whatever thread. */
struct pod_state {
    bool active, ready, bound;
    bool unplaced;          /* not bound, and the scheduler has said that it fits nowhere */
    int64_t ready_since_ms; /* last transition of Ready; 0 = unknown */
};
struct pod_state pod_state_of(const struct object *pod);
/* As pod_available below. */
bool pod_state_available(const struct pod_state *s, int64_t min_ready_s, int64_t wall_ms, int64_t *wait_ms);
/* Condition Ready is True; *since_ms = its last transition. */
bool pod_ready(const struct object *pod, int64_t *since_ms);
/* Ready for at least min_ready_s. Otherwise *wait_ms = when it will be (0 = not by waiting). wait_ms may be NULL. */
bool pod_available(const struct object *pod, int64_t min_ready_s, int64_t wall_ms, int64_t *wait_ms);

#endif
