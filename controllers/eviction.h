/* Evictions: a pod is deleted on purpose, unless a disruption budget forbids it. For the API's request, and whoever
 * else has a choice.
 *
 * Rules (source: Kubernetes, the subresource pods/eviction of policy/v1):
 *  - A pod that is finished, has not begun (Pending) or is being deleted goes as in any deletion.
 *  - One that a budget selects goes if the budget allows it. What the budget allows is counted on the state that the
 *    transaction changes, and the budget's new status is part of the transaction: of two evictions in flight the second
 *    one sees the first, whoever asks, and no time passes between the count and the deletion.
 *  - One that is running and not Ready goes by spec.unhealthyPodEvictionPolicy.
 *  - Several budgets that select one pod are an error, as nobody can say which of them counts.
 * A pod that goes with grace has the condition DisruptionTarget, reason EvictionByEvictionAPI.
 *
 * It is not what takes pods away without a choice: taints of the effect NoExecute, a node that runs short or is gone,
 * controllers that replace their pods. None of them asks for budgets, as in Kubernetes. */
#ifndef CONTROLLERS_EVICTION_H
#define CONTROLLERS_EVICTION_H

#include "controllers/deletion.h"
#include "raft-store/store/view.h"

#define EVICTION_RETRY_MS     5000  /* the hint of a refusal: something else has to change first */
#define EVICTION_UNCOUNTED_MS 10000 /* and where the budget cannot be counted */

/* Adds to the transaction, which is to be evaluated on v: at most one op for the pod (deletion_request), then at most
 * one for its budget. ERR_LIMIT, with a cause ERROR_CAUSE_DISRUPTION_BUDGET that names the budget and a hint when to
 * try again: it would break the budget; ERR_INTERNAL: several budgets; and what deletion_request fails with. a is
 * scratch, and options are borrowed. */
int eviction_request(struct txn *t, struct arena *a, const struct view *v, const struct object *pod,
                     const struct deletion_options *options, int64_t wall_ms, struct error *err);
/* The error is such a refusal. */
bool eviction_is_refusal(const struct error *err);

#endif
