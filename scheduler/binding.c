/* What the scheduler writes: bindings, the condition PodScheduled, events. Source: Kubernetes core/v1 Binding,
 * PodCondition, Event. */
#include <assert.h>
#include <stdio.h>
#include <xxhash.h>

#include "base/timefmt.h"
#include "proto/facts/event.h"
#include "scheduler/core.h"

static struct value *now_value(struct arena *a, int64_t wall_ms)
{
    char text[TIMEFMT_SIZE];
    timefmt_rfc3339(wall_ms, text);
    return value_cstr(a, text);
}

/* True if the condition was not like this already. reason NULL: none, and no message. */
static bool pod_scheduled_set(struct arena *a, struct value *doc, const char *status, const char *reason,
                              const char *message, int64_t wall_ms)
{
    struct value *conditions = value_ensure_list(a, value_ensure_map(a, doc, "status"), "conditions");
    struct value *c = value_find(conditions, "type", STR("PodScheduled"));
    if (c == NULL) {
        c = value_map(a);
        value_set(a, c, "type", value_cstr(a, "PodScheduled"));
        value_append(a, conditions, c);
    }
    bool moved = !str_is(value_path_str(c, "status"), status);
    bool changed = moved || !str_eq(value_path_str(c, "reason"), str_of(reason)) ||
                   !str_eq(value_path_str(c, "message"), str_of(message));
    value_set(a, c, "status", value_cstr(a, status));
    if (moved) {
        value_set(a, c, "lastTransitionTime", now_value(a, wall_ms));
    }
    if (reason == NULL) {
        value_remove(c, "reason");
        value_remove(c, "message");
    } else {
        value_set(a, c, "reason", value_cstr(a, reason));
        value_set(a, c, "message", value_cstr(a, message));
    }
    return changed;
}

/* Equal events have equal names, so that repeating one finds the first. */
static struct str event_name(struct arena *a, const struct object *pod, const char *reason, const char *message)
{
    char *identity = arena_printf(a, "%.*s/%s/%s", STR_ARG(pod->uid), reason, message);
    return name_of_event(a, pod->name, XXH64(identity, strlen(identity), 0));
}

static void event_create(struct txn *t, struct arena *a, const struct object *pod, struct str name, const char *type,
                         const char *reason, const char *message, int64_t wall_ms)
{
    struct value *doc = value_map(a), *metadata = value_map(a), *about = value_map(a), *source = value_map(a);
    value_set(a, metadata, "name", value_str(a, name));
    value_set(a, metadata, "namespace", value_str(a, pod->ns));
    value_set(a, about, "kind", value_cstr(a, "Pod"));
    value_set(a, about, "namespace", value_str(a, pod->ns));
    value_set(a, about, "name", value_str(a, pod->name));
    value_set(a, about, "uid", value_str(a, pod->uid));
    value_set(a, about, "apiVersion", value_cstr(a, "v1"));
    value_set(a, source, "component", value_cstr(a, SCHEDULER_NAME));
    value_set(a, doc, "apiVersion", value_cstr(a, "v1"));
    value_set(a, doc, "kind", value_cstr(a, "Event"));
    value_set(a, doc, "metadata", metadata);
    value_set(a, doc, "involvedObject", about);
    value_set(a, doc, "reason", value_cstr(a, reason));
    value_set(a, doc, "message", value_cstr(a, message));
    value_set(a, doc, "source", source);
    value_set(a, doc, "type", value_cstr(a, type));
    event_set_first(a, doc, wall_ms, t->count, "reeve-master");
    txn_create_value(t, kind_by_id(KIND_EVENT), doc, NULL);
}

int binding_write(struct txn *t, struct arena *a, const struct object *pod, const char *node, int64_t wall_ms,
                  struct error *err)
{
    struct value *doc = object_to_value(a, pod);
    value_set(a, value_ensure_map(a, doc, "spec"), "nodeName", value_cstr(a, node));
    value_remove(value_get(doc, "status"), "nominatedNodeName");
    pod_scheduled_set(a, doc, "True", NULL, NULL, wall_ms);
    int rv = txn_update_value(t, pod->kind, doc, TXN_PART_ALL, pod->revision, err);
    if (rv == 0) {
        const char *message =
            arena_printf(a, "Successfully assigned %.*s/%.*s to %s", STR_ARG(pod->ns), STR_ARG(pod->name), node);
        event_create(t, a, pod, event_name(a, pod, "Scheduled", message), "Normal", "Scheduled", message, wall_ms);
    }
    return rv;
}

/* The condition says so already. */
static bool is_told(const struct object *pod, const char *message)
{
    for (struct mp_iter it = mp_iter(mp_path(object_mp(pod), "status.conditions")); mp_next(&it);) {
        if (str_is(mp_str(mp_get(it.value, "type")), "PodScheduled")) {
            return str_is(mp_str(mp_get(it.value, "status")), "False") &&
                   str_is(mp_str(mp_get(it.value, "reason")), "Unschedulable") &&
                   str_is(mp_str(mp_get(it.value, "message")), message);
        }
    }
    return false;
}

bool unschedulable_write(struct txn *t, struct arena *a, const struct view *tip, const struct object *pod,
                         const char *message, bool event, int64_t wall_ms)
{
    if (is_told(pod, message)) {
        return false;
    }
    struct value *doc = object_to_value(a, pod);
    if (!pod_scheduled_set(a, doc, "False", "Unschedulable", message, wall_ms) ||
        txn_update_value(t, pod->kind, doc, TXN_PART_STATUS, pod->revision, NULL) != 0) {
        return false;
    }
    if (!event) {
        return true;
    }
    struct str name = event_name(a, pod, "FailedScheduling", message);
    const struct object *former = view_get(tip, kind_by_id(KIND_EVENT), pod->ns, name);
    if (former == NULL) {
        event_create(t, a, pod, name, "Warning", "FailedScheduling", message, wall_ms);
        return true;
    }
    struct value *again = object_to_value(a, former);
    event_set_again(a, again, wall_ms, t->count);
    txn_update_value(t, former->kind, again, TXN_PART_ALL, former->revision, NULL);
    return true;
}
