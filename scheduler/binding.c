/* What the scheduler writes: bindings, the conditions PodScheduled and DisruptionTarget, nominations, deletions of
 * victims, events. Source: Kubernetes core/v1 Binding, PodCondition, Event. */
#include <assert.h>
#include <stdio.h>
#include <xxhash.h>

#include "controllers/deletion.h"
#include "proto/facts/condition.h"
#include "raft-store/store/event.h"
#include "scheduler/core.h"

static void event_write(struct txn *t, struct arena *a, const struct view *tip, const struct object *pod, bool warning,
                        const char *reason, const char *message, int64_t wall_ms)
{
    struct event_words w = event_about(pod);
    w.warning = warning;
    w.reason = reason;
    w.component = SCHEDULER_NAME;
    w.message = str_of(message);
    event_put(t, a, tip, event_document(a, &w), wall_ms, 0, NULL); /* a pod stands in a transaction once */
}

int binding_write(struct txn *t, struct arena *a, const struct view *tip, const struct object *pod, const char *node,
                  int64_t wall_ms, struct error *err)
{
    struct value *doc = object_to_value(a, pod);
    value_set(a, value_ensure_map(a, doc, "spec"), "nodeName", value_cstr(a, node));
    value_remove(value_get(doc, "status"), "nominatedNodeName");
    condition_set(a, value_ensure_map(a, doc, "status"), "PodScheduled", "True", "", "", wall_ms, false);
    int rv = txn_update_value(t, pod->kind, doc, TXN_PART_ALL, pod->revision, err);
    if (rv == 0) {
        const char *message =
            arena_printf(a, "Successfully assigned %.*s/%.*s to %s", STR_ARG(pod->ns), STR_ARG(pod->name), node);
        event_write(t, a, tip, pod, false, "Scheduled", message, wall_ms);
    }
    return rv;
}

/* The status says so already. */
static bool is_told(const struct object *pod, const char *message, const char *nominated)
{
    struct mp c = condition_mp(pod, "PodScheduled");
    struct str node = mp_str(mp_get(object_status(pod), "nominatedNodeName"));
    return str_is(node, nominated == NULL ? "" : nominated) && condition_is(c, "False") &&
           str_is(mp_str(mp_get(c, "reason")), "Unschedulable") && str_is(mp_str(mp_get(c, "message")), message);
}

bool unschedulable_write(struct txn *t, struct arena *a, const struct view *tip, const struct object *pod,
                         const char *message, const char *nominated, bool event, int64_t wall_ms)
{
    if (is_told(pod, message, nominated)) {
        return false;
    }
    struct value *doc = object_to_value(a, pod), *status = value_ensure_map(a, doc, "status");
    condition_set(a, status, "PodScheduled", "False", "Unschedulable", message, wall_ms, false);
    if (nominated != NULL) {
        value_set(a, status, "nominatedNodeName", value_cstr(a, nominated));
    } else {
        value_remove(status, "nominatedNodeName");
    }
    if (txn_update_value(t, pod->kind, doc, TXN_PART_STATUS, pod->revision, NULL) != 0) {
        return false;
    }
    if (event) {
        event_write(t, a, tip, pod, true, "FailedScheduling", message, wall_ms);
    }
    return true;
}

int victim_write(struct txn *t, struct arena *a, const struct view *tip, const struct object *victim,
                 const struct object *preemptor, const char *node, int64_t wall_ms, struct error *err)
{
    const struct deletion_options options = {.grace_s = -1,
                                             .policy = DELETION_BACKGROUND,
                                             .if_uid = victim->uid,
                                             .disruption = "PreemptionByScheduler",
                                             .disruption_message =
                                                 SCHEDULER_NAME ": makes room for a pod of higher priority"};
    int rv = deletion_request(t, a, victim, &options, wall_ms, err);
    if (rv == 0) {
        const char *message = arena_printf(a, "Preempted by pod %.*s/%.*s on node %s", STR_ARG(preemptor->ns),
                                           STR_ARG(preemptor->name), node);
        event_write(t, a, tip, victim, false, "Preempted", message, wall_ms);
    }
    return rv;
}
