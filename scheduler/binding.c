/* What the scheduler writes: bindings, the conditions PodScheduled and DisruptionTarget, nominations, deletions of
 * victims, events. Source: Kubernetes core/v1 Binding, PodCondition, Event. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/timefmt.h"
#include "controllers/deletion.h"
#include "proto/facts/condition.h"
#include "proto/facts/gang.h"
#include "proto/schema/edit.h"
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

/* ---- Bindings ---- */

static size_t size_of(struct mp m)
{
    return (size_t)(m.end - m.p);
}

static struct mp written(const struct buf *b, size_t from)
{
    return mp_of(b->data + from, b->size - from);
}

/* What the condition PodScheduled says. reason and message: NULL, or there are both. */
struct told {
    const char *status, *reason, *message;
};

/* The condition PodScheduled behind the others, which have none. */
static void conditions_write(struct buf *out, struct mp conditions, const struct told *told, int64_t wall_ms)
{
    char since[TIMEFMT_SIZE];
    timefmt_rfc3339(wall_ms, since);
    mp_write_array(out, mp_count(conditions) + 1);
    for (struct mp_iter it = mp_iter(conditions); mp_next(&it);) {
        buf_append(out, it.value.p, size_of(it.value));
    }
    mp_write_map(out, told->reason == NULL ? 3 : 5);
    mp_write_key_str(out, "type", STR("PodScheduled"));
    mp_write_key_str(out, "status", str_of(told->status));
    mp_write_key_str(out, "lastTransitionTime", str_of(since));
    if (told->reason != NULL) {
        mp_write_key_str(out, "reason", str_of(told->reason));
        mp_write_key_str(out, "message", str_of(told->message));
    }
}

static size_t text_size(const char *text)
{
    return text == NULL ? 0 : strlen(text);
}

#define PLACING_BYTES_MAX 512u /* what it adds besides texts: a condition, heads */

/* The pod with its node (NULL: it has none yet), and what is told of it, without decoding it: nearly all have never
 * been told anything. nominated: the node that room is made on, NULL: none. NULL: this one has been told, or is not in
 * the order of our tables. */
static struct object *placed_in_place(const struct object *pod, const char *node, const struct told *told,
                                      const char *nominated, int64_t wall_ms)
{
    const struct schema *s = pod->kind->schema;
    struct mp conditions = mp_get(object_status(pod), "conditions");
    if (condition_in(conditions, STR("PodScheduled")).p != NULL) {
        return NULL;
    }
    /* Parts are read while others are written behind them: there is room for all. */
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct object *o = NULL;
    size_t texts = text_size(node) + text_size(told->reason) + text_size(told->message) + text_size(nominated);
    buf_reserve(&b, 3 * (size_t)pod->body_size + PLACING_BYTES_MAX + 3 * texts);
    const uint8_t *place = b.data;
    struct schema_edit whole[2], status[2] = {{"conditions", mp_of(NULL, 0)}, {"nominatedNodeName", mp_of(NULL, 0)}};
    unsigned count = 0;
    bool ok = true;
    if (node != NULL) {
        mp_write_cstr(&b, node);
        const struct schema_edit named = {"nodeName", written(&b, 0)};
        size_t from = b.size;
        ok = schema_edit(&b, schema_field(s, STR("spec"))->sub, object_spec(pod), &named, 1);
        whole[count++] = (struct schema_edit){"spec", written(&b, from)};
    }
    size_t from = b.size;
    conditions_write(&b, conditions, told, wall_ms);
    status[0].value = written(&b, from);
    if (nominated != NULL) {
        from = b.size;
        mp_write_cstr(&b, nominated);
        status[1].value = written(&b, from);
    }
    from = b.size;
    ok = ok && schema_edit(&b, schema_field(s, STR("status"))->sub, object_status(pod), status, ARRAY_SIZE(status));
    whole[count++] = (struct schema_edit){"status", written(&b, from)};
    from = b.size;
    ok = ok && schema_edit(&b, s, object_mp(pod), whole, count);
    assert(b.data == place);
    ok = ok && object_from_body(pod->kind, b.data + from, b.size - from, 0, &o, NULL) == 0;
    return ok ? o : NULL;
}

static int bound_by_document(struct txn *t, struct arena *a, const struct object *pod, const char *node,
                             int64_t wall_ms, struct error *err)
{
    struct value *doc = object_to_value(a, pod);
    value_set(a, value_ensure_map(a, doc, "spec"), "nodeName", value_cstr(a, node));
    value_remove(value_get(doc, "status"), "nominatedNodeName");
    condition_set(a, value_ensure_map(a, doc, "status"), "PodScheduled", "True", "", "", wall_ms, false);
    return txn_update_value(t, pod->kind, doc, TXN_PART_ALL, pod->revision, err);
}

int binding_write(struct txn *t, struct arena *a, const struct view *tip, const struct object *pod, const char *node,
                  bool event, int64_t wall_ms, struct error *err)
{
    struct object *bound = placed_in_place(pod, node, &(struct told){.status = "True"}, NULL, wall_ms);
    int rv = 0;
    if (bound != NULL) {
        txn_update(t, bound, TXN_PART_ALL, pod->revision);
    } else {
        rv = bound_by_document(t, a, pod, node, wall_ms, err);
    }
    if (rv == 0 && event) {
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

static int wait_by_document(struct txn *t, struct arena *a, const struct object *pod, const char *message,
                            const char *nominated, int64_t wall_ms)
{
    struct value *doc = object_to_value(a, pod), *status = value_ensure_map(a, doc, "status");
    condition_set(a, status, "PodScheduled", "False", "Unschedulable", message, wall_ms, false);
    if (nominated != NULL) {
        value_set(a, status, "nominatedNodeName", value_cstr(a, nominated));
    } else {
        value_remove(status, "nominatedNodeName");
    }
    return txn_update_value(t, pod->kind, doc, TXN_PART_STATUS, pod->revision, NULL);
}

bool unschedulable_write(struct txn *t, struct arena *a, const struct view *tip, const struct object *pod,
                         const char *message, const char *nominated, bool event, int64_t wall_ms)
{
    if (is_told(pod, message, nominated)) {
        return false;
    }
    const struct told told = {"False", "Unschedulable", message};
    struct object *waiting = message[0] == '\0' ? NULL : placed_in_place(pod, NULL, &told, nominated, wall_ms);
    if (waiting != NULL) {
        txn_update(t, waiting, TXN_PART_ALL, pod->revision);
    } else if (wait_by_document(t, a, pod, message, nominated, wall_ms) != 0) {
        return false;
    }
    if (event) {
        event_write(t, a, tip, pod, true, "FailedScheduling", message, wall_ms);
    }
    return true;
}

bool group_condition_write(struct txn *t, struct arena *a, const struct view *tip, const struct object *group,
                           bool placed, const char *message, int64_t wall_ms)
{
    struct value *doc = object_to_value(a, group), *status = value_ensure_map(a, doc, "status");
    if (!condition_set(a, status, GANG_CONDITION, placed ? "True" : "False",
                       placed ? GANG_REASON_PLACED : GANG_REASON_WAITING, message, wall_ms, false) ||
        txn_update_value(t, group->kind, doc, TXN_PART_STATUS, group->revision, NULL) != 0) {
        return false;
    }
    event_write(t, a, tip, group, !placed, placed ? "Scheduled" : "FailedScheduling", message, wall_ms);
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
