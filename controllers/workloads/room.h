/* What a controller may make in its namespace: quotas and limit ranges asked before it makes pods (and claims), so that
 * it makes as many as there is room for, says what keeps it from making more, and goes on when that changes. Pure. */
#ifndef CONTROLLERS_WORKLOADS_ROOM_H
#define CONTROLLERS_WORKLOADS_ROOM_H

#include "controllers/util.h"

/* How many objects like this document, which differ in nothing but their names, can be made now; at most `wanted`. If
 * these are fewer, *why (initialised to zero) says why the next one cannot be, in the words in which it would be
 * refused. A document without a name stands in them by its generateName. */
unsigned room_for(const struct reconcile_in *in, const struct reconcile_out *out, enum kind_id kind,
                  const struct value *doc, unsigned wanted, struct error *why);
/* Something could not be made: an event FailedCreate about its owner, unless the same was told a moment ago; and the
 * key is asked for again, the later the longer it has lasted. since_ms: since when it does; 0: not known. */
void room_refused(const struct reconcile_in *in, struct reconcile_out *out, const struct object *owner,
                  const char *component, int64_t since_ms, const char *message);
/* A shared watch of ResourceQuotas and LimitRanges: with more room than before, the controller's objects in the
 * namespace that wait for some (controller.waits) are keys. A step looks at few, where little has changed: the others
 * ask by themselves. */
void room_map(const struct controller *c, const struct view *tip, const struct object *old, const struct object *now,
              controller_emit *emit, void *data);
/* As controller.waits, of a kind with spec.replicas: there are fewer than are wanted. */
bool room_wants_replicas(const struct object *o);

#endif
