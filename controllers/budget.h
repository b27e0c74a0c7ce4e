/* Disruption budgets on a view: what they count now, and which of them hold a pod. Pure.
 *
 * Counting costs the groups of equal labels and owners among the pods of the namespace (VIEW_SUM_PODS_OF), not the
 * pods: so an eviction counts on the state that it changes, and asks no status that somebody wrote before.
 * Source of what is counted: proto/facts/disruption.h. */
#ifndef CONTROLLERS_BUDGET_H
#define CONTROLLERS_BUDGET_H

#include "proto/facts/disruption.h"
#include "raft-store/store/view.h"

#define BUDGET_GROUPS_MAX 50000u /* of a namespace; pods of StatefulSets are a group each. With more nothing counts */

struct budget_counted {
    struct disruption_count count;
    int64_t pods;                 /* that it selects, in whatever state */
    int64_t unmanaged;            /* of them without an owner, where the owners' scales are asked for */
    struct value *disrupted;      /* what is left of status.disruptedPods; NULL: nothing */
    const struct object *overdue; /* a pod that should have gone by status.disruptedPods and has not; NULL: none */
    int64_t again_ms;             /* when time alone will change it; 0: never */
    unsigned visits;              /* what it has cost */
};
/* ERR_INVALID: nothing can be counted, since an owner tells no scale, or is not there, or BUDGET_GROUPS_MAX. */
int budget_count(const struct view *v, struct arena *a, const struct object *budget, int64_t wall_ms,
                 struct budget_counted *out, struct error *err);
/* The status that says so, with its disruptedPods; true if it changes. */
bool budget_status_set(struct arena *a, struct value *status, const struct budget_counted *c, int64_t generation,
                       int64_t wall_ms);

/* Each budget of the namespace that selects these labels; false from the function ends it. */
typedef bool budget_found(void *data, const struct object *budget);
void budgets_select(const struct view *v, struct str ns, struct mp labels, budget_found *found, void *data);

#endif
