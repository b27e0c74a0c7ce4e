/* Disruption budgets: how many pods of an application may be taken away on purpose at a time.
 *
 * A budget selects pods of its namespace and says how many of them have to be healthy (Ready, and not being deleted).
 * Whoever takes pods away on purpose asks: evictions are refused (controllers/eviction.h), preemption prefers victims
 * that break no budget (disruption_take here). What is no choice asks nobody: a node that fails or runs short, taints
 * of the effect NoExecute, controllers that replace their own pods.
 *
 * Source: Kubernetes policy/v1 PodDisruptionBudget, its disruption controller, the eviction subresource of pods, and
 * how the scheduler's preemption counts budgets. Pure. */
#ifndef PROTO_FACTS_DISRUPTION_H
#define PROTO_FACTS_DISRUPTION_H

#include "proto/schema/object.h"
#include "proto/schema/selector.h"

#define DISRUPTION_CONDITION "DisruptionAllowed" /* of a budget: may a pod go now? */
#define DISRUPTION_TARGET    "DisruptionTarget"  /* of a pod: it is being taken away, and why */
/* An entry of status.disruptedPods counts for so long; a pod that is still there then is not expected to go. */
#define DISRUPTION_EXPECTED_MS 120000

struct disruption_count {
    int64_t healthy, desired; /* pods that are, and that have to be: status.currentHealthy, status.desiredHealthy */
    int64_t expected;         /* of how many all in all: status.expectedPods; 0: nothing is known, and none may go */
};
/* How many healthy ones may go: status.disruptionsAllowed. */
int64_t disruption_allowed(const struct disruption_count *c);
/* As the budget's status has it. */
struct disruption_count disruption_count_of(const struct object *budget);

/* Are the scales of the pods' owners needed to say how many are expected? (maxUnavailable, and percentages) */
bool disruption_by_scale(const struct object *budget);
/* Fills in desired and expected. pods: that it selects, in whatever state; scale: what their owners want together, used
 * if disruption_by_scale. Percentages are rounded up. */
void disruption_expect(const struct object *budget, int64_t pods, int64_t scale, struct disruption_count *c);

/* No budget holds it: it is finished, has not begun, or is being deleted already. */
bool disruption_is_free(const struct object *pod);
enum disruption_verdict {
    DISRUPTION_FREE,   /* it may go, and is none of those that count */
    DISRUPTION_COUNTS, /* it may go, and one less is healthy */
    DISRUPTION_BREAKS, /* it may not go: spec.unhealthyPodEvictionPolicy, or too few are healthy */
};
/* Of a pod that the budget selects and that is not free. healthy: it is one of those counted in c. */
enum disruption_verdict disruption_judge(const struct object *budget, const struct disruption_count *c, bool healthy);

/* Writes what was counted into a status, with its condition. True if anything changed. */
bool disruption_status_set(struct arena *a, struct value *status, const struct disruption_count *c, int64_t generation,
                           int64_t wall_ms);
/* Nothing could be counted, and no pod may go until it can; the rest of the status stays. */
bool disruption_status_fail(struct arena *a, struct value *status, const char *why, int64_t wall_ms);

/* The budget's selector; NULL: it selects nothing. One without requirements selects all pods of its namespace. */
struct selector *disruption_selector(struct arena *a, const struct object *budget);

/* ---- Would the removal of these pods break budgets? ----
 *
 * For whoever chooses among pods (preemption): budgets as their status has them, and pods that are taken one after
 * another. What was taken counts for those behind it, so the order matters: the same pods in another order break as
 * many budgets, but it may be other pods that do.
 *
 *     struct disruption_budgets *b = disruption_budgets_new(arena);
 *     view_iter(&it, view, kind_by_id(KIND_PODDISRUPTIONBUDGET), STR_NONE);
 *     VIEW_FOR(budget, &it) { disruption_budgets_add(b, budget); }
 *     for each node:
 *         disruption_budgets_restart(b);
 *         for each pod: violations += disruption_take(b, pod);
 *
 * Best effort, as in Kubernetes: a status is what its controller has last seen. Otherwise than there, a pod that is not
 * healthy breaks a budget only where its eviction would be refused, and uses nothing up. */
struct disruption_budgets;
/* Empty; all of it is in the arena. */
struct disruption_budgets *disruption_budgets_new(struct arena *a);
/* One more, of any namespace. It is borrowed: the object must stay. One with a selector that nobody can read selects
 * nothing. */
void disruption_budgets_add(struct disruption_budgets *b, const struct object *budget);
unsigned disruption_budgets_count(const struct disruption_budgets *b);
/* Nothing is taken any more. O(1). */
void disruption_budgets_restart(struct disruption_budgets *b);
/* The pod is taken away: does that break one of the budgets at least? Taken it is in any case. Costs a comparison of
 * labels for each budget of the pod's namespace. */
bool disruption_take(struct disruption_budgets *b, const struct object *pod);

#endif
