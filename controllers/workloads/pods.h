/* Pods of a controller: made from a template, and ranked for deletion. Pure. */
#ifndef CONTROLLERS_WORKLOADS_PODS_H
#define CONTROLLERS_WORKLOADS_PODS_H

#include "controllers/util.h"

/* The document of a pod that `owner` makes from a template (a PodTemplateSpec that was checked with its owner): labels,
 * annotations and finalizers of the template, the controlling ownerReference, generateName "OWNER-", phase Pending.
 * metadata.name is left to the caller. */
struct value *pod_from_template(struct arena *a, const struct object *owner, const struct value *pod_template);
/* Are there the PriorityClass and the RuntimeClass that the template names, and does it say nothing else than they do?
 * If not, an event of the owner says so, and no pod can be made; the owner is looked at again when the class comes
 * (pods_watches). component: whose event. */
bool pods_have_classes(const struct reconcile_in *in, struct reconcile_out *out, const struct object *owner,
                       const struct value *pod_template, const char *component);
/* Gives a new pod, a whole document, what its classes say (priority.h, runtime_class.h). */
int pods_give_classes(const struct view *v, struct arena *a, struct value *pod, struct error *err);
/* The shared watches of controllers that make pods of templates: quotas and limit ranges that leave more room (room.h),
 * and PriorityClasses and RuntimeClasses that are new and that a template names. */
extern const struct controller_shared pods_watches[];
/* Sets metadata.name from its generateName: name_generate_free. Returns the name. */
struct str pod_name_set(const struct reconcile_in *in, struct arena *a, struct value *pod, struct strmap *taken);

/* Asked before an owner makes pods: of a template that nobody can place, or whose pods fail at once, 100,000 are wanted
 * as easily as one. While more than a thousand of its pods fit nowhere, or some hundreds have failed and are still
 * there, the owner rests after each slice (out->rest_ms), the longer the more there are, up to PODS_REST_MAX_MS; what
 * a user changes does not wait for that. With PODS_UNPLACED_MAX that fit nowhere no more are made: the text says so.
 * NULL: go on. unplaced, ended: how many of its pods there are of each. */
#define PODS_UNPLACED_MAX 10000
#define PODS_REST_MAX_MS  10000
const char *pods_pace(struct reconcile_out *out, int64_t unplaced, int64_t ended);

/* The first `wanted` of pods to delete when there are too many (sorts l in place). Order, source: Kubernetes'
 * ActivePodsWithRanks: not bound before bound; Pending, Unknown, Running; not ready before ready; (ours: not available
 * before available, so that what a rollout counts on is what stays); lower pod-deletion-cost; more pods of `related`
 * on the same node; ready for a shorter time; more restarts, of containers, then of sidecars; younger; by name. Times
 * count in powers of two, so that a bad day does not take all of the newest. related: the pods of all siblings, the
 * candidates included. */
void pods_rank_for_deletion(struct arena *a, struct object_list *l, const struct object_list *related,
                            int64_t min_ready_s, int64_t wall_ms);
/* When the last of its containers ended; where that is not known, when it was made. Never after wall_ms. */
int64_t pod_ended_ms(const struct object *pod, int64_t wall_ms);
/* The same, for who waits after a failure: what another clock has dated ahead counts as of now as long as that is by no
 * more than within_ms, beyond it as long ago. */
int64_t pod_failed_ms(const struct object *pod, int64_t wall_ms, int64_t within_ms);

#endif
