/* Conditions: what is said of an object's state, one entry a type in status.conditions, found and written in one way.
 *
 * The rule that all who write one keep: lastTransitionTime changes with the status and with nothing else.
 * Source: Kubernetes API conventions, "Typical status properties"; metav1.Condition. Pure. */
#ifndef PROTO_FACTS_CONDITION_H
#define PROTO_FACTS_CONDITION_H

#include "proto/model/value.h"
#include "proto/schema/object.h"

/* ---- Read: NULL, or an empty cursor, where there is none of the type ---- */

struct value *condition_get(const struct value *status, const char *type);
struct mp condition_in(struct mp conditions, struct str type);        /* a list, in place */
struct mp condition_mp(const struct object *o, const char *type);     /* of status.conditions, in place */
bool condition_is(struct mp condition, const char *condition_status); /* its status is "True", "False", "Unknown" */

/* ---- Written; texts are copied ---- */

/* A new one that has had its status since `since_ms`. reason, message: NULL or empty = left out. */
struct value *condition_new(struct arena *a, const char *type, const char *condition_status, int64_t since_ms,
                            const char *reason, const char *message);
/* Sets the one of the type in status.conditions, or adds it at the end. reason, message: NULL = left as it is, empty =
 * taken away. with_update_time: lastUpdateTime changes with any of them (Deployments have it). True if anything
 * changed. */
bool condition_set(struct arena *a, struct value *status, const char *type, const char *condition_status,
                   const char *reason, const char *message, int64_t wall_ms, bool with_update_time);
/* The conditions of a former status that the new one has no entry of stay, in front: those are others' (PodScheduled
 * of a pod). They are borrowed from `former`. */
void condition_keep(struct arena *a, struct value *status, const struct value *former);
bool condition_remove(struct value *status, const char *type); /* true if there was one */

#endif
