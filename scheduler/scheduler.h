/* The scheduler: which node for which pod. Pure: a view, its own caches built from changes, a time and a seed in;
 * bindings and reasons out. Source: Kubernetes scheduler framework plugin names and semantics.
 *
 * Pods that are alike but for name and uid form one class (hash of all that filters and scores read). Filters and
 * scores are computed once per class and node and then updated only for nodes whose generation changed, so the cost per
 * pod does not grow with the number of nodes. Invariants: 1. a node's requested resources = sum over pods bound to it
 * on the tip. 2. a pod is in exactly one of: bound, active queue, parked (unschedulable, under its class), waiting with
 * its gang. 3. no
 * binding exceeds allocatable (guarantee G7); the same feasibility function serves binding, explain, preemption and
 * plan. 4. nobody is deleted for a pod of equal or lower priority, and nobody of lower priority is placed in the room
 * that was made for a pod (status.nominatedNodeName). 5. a transaction that binds pods of a gang leaves at least
 * minCount of them with a node (guarantee G8; gang.h). */
#ifndef SCHEDULER_SCHEDULER_H
#define SCHEDULER_SCHEDULER_H

#include "base/env.h"
#include "base/log.h"
#include "raft-store/store/store.h"
#include "raft-store/store/txn.h"
#include "raft-store/store/view.h"

struct scheduler;
struct scheduler_config {
    const struct env *env;
    const struct log *log;
    uint64_t seed;
    int64_t budget_ms;      /* of one scheduler_run, by env's clock; 0 = none */
    unsigned build_objects; /* looked at in one scheduler_run when leadership has begun, where tests want few; 0 = what
                               the budget allows */
    unsigned kin_nodes;     /* nodes from which on classes share tables (kin.c), where tests want few; 0 = KIN_NODES */
    unsigned wide_max;      /* domains of a wide key (topology.h), where tests want few; 0 = TOPO_WIDE_MAX */
};
struct scheduler *scheduler_new(const struct scheduler_config *config);
void scheduler_free(struct scheduler *s);
/* The same in steps, since it may know a million pods: so many pods, or nodes, in one call. True: it is freed. Between
 * the calls it must not be used. */
bool scheduler_end(struct scheduler *s, unsigned most);
/* Leadership began: queue and caches are built from the view. With a budget in steps, by the next scheduler_runs, which
 * decide nothing until all is known; else at once. */
void scheduler_resync(struct scheduler *s, const struct view *tip);
/* The tip changed (also by our own bindings, which come back this way). */
void scheduler_observe(struct scheduler *s, const struct change *changes, unsigned count);
/* Decide for at most pods_max queued pods, within the budget (what is begun is finished: a gang is): bindings
 * (spec.nodeName set, condition PodScheduled True, event Scheduled, of a crowd for some alone: BOUND_EVENTS_MAX),
 * reasons (condition PodScheduled False/Unschedulable, event FailedScheduling "0/3 nodes are available: 1 Insufficient
 * cpu, ...") and preemptions (status.nominatedNodeName; its victims deleted with the condition DisruptionTarget and the
 * event Preempted) into t, which the caller submits; then the caller reports success with scheduler_observe or, if the
 * submit failed, calls scheduler_failed to queue them again. True if it is to be called once more: pods are left in the
 * active queue, or may be woken by those that were placed. */
bool scheduler_run(struct scheduler *s, const struct view *tip, int64_t wall_ms, unsigned pods_max, struct txn *t);
void scheduler_failed(struct scheduler *s, const struct txn *t);
/* When it wants to be run although nothing has changed (env's now_ms): nominations whose victims do not go, and the
 * slow retry of all that waits. INT64_MAX: never. */
int64_t scheduler_next_deadline(const struct scheduler *s);
/* Why a pod can't be placed: text like the event's, or "" if it fits somewhere. */
void scheduler_explain(struct scheduler *s, const struct view *tip, const struct object *pod, struct buf *out);
/* Counts anew what is counted, for tests. False: something is wrong, and what. */
bool scheduler_audit(const struct scheduler *s, struct buf *why);
struct scheduler_stats {
    uint64_t bound, unschedulable, evaluations;
    uint64_t violations;           /* what should never be, and was told in the log: the pod waits */
    uint64_t preemptions, victims; /* pods for which others were deleted, and how many */
    uint64_t retries;              /* parked classes that were looked at without a reason */
    uint64_t retry_found;          /* and had a place: a wake-up was lost. Always 0 */
    unsigned active, parked, nodes, classes;
    unsigned nominees;                   /* of the waiting: those for which room is kept */
    uint64_t gangs_bound, gang_attempts; /* gangs that were placed, and how often one was tried */
    uint64_t gang_preemptions;           /* gangs for which others were deleted */
    unsigned gangs, gangs_waiting;       /* groups that are known; of them, gangs that exist and have no room */
    unsigned ganged;                     /* pods that wait for their gang */
};
void scheduler_stats(const struct scheduler *s, struct scheduler_stats *out);

#endif
