/* Objects and changes as short text. */
#include <stdio.h>
#include <stdlib.h>

#include "proto/facts/condition.h"
#include "proto/facts/gang.h"
#include "proto/facts/storage.h"
#include "proto/text/text.h"
#include "tests/script/stage.h"

static bool quiet_key(struct str key)
{
    static const char *const keys[] = {"uid",
                                       "creationTimestamp",
                                       "generation",
                                       "resourceVersion",
                                       "lastTransitionTime",
                                       "lastUpdateTime",
                                       "timeAdded",
                                       "lastTimestamp",
                                       "firstTimestamp",
                                       "lastHeartbeatTime",
                                       "eventTime",
                                       "series",
                                       "action",
                                       "reportingComponent",
                                       "reportingInstance"};
    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
        if (str_is(key, keys[i])) {
            return true;
        }
    }
    return false;
}

static struct str element_key(const struct value *v)
{
    static const char *const keys[] = {"type", "name", "key", "uid"};
    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
        struct str s = value_path_str(v, keys[i]);
        if (s.n > 0) {
            return s;
        }
    }
    return STR_NONE;
}

static const struct value *element_find(const struct value *list, const struct value *like, unsigned *nth)
{
    struct str key = element_key(like), effect = value_path_str(like, "effect");
    VALUE_FOR(i, list)
    {
        const struct value *e = value_item(list, i);
        if (str_eq(element_key(e), key) && str_eq(value_path_str(e, "effect"), effect)) {
            *nth = i;
            return e;
        }
    }
    return NULL;
}

static struct value *without_quiet(struct arena *a, const struct value *v)
{
    struct value *c = value_copy(a, v);
    if (c->type == VALUE_MAP) {
        for (unsigned i = c->map.count; i-- > 0;) {
            if (quiet_key(c->map.members[i].key)) {
                value_remove_str_key(c, c->map.members[i].key);
            } else {
                c->map.members[i].value = without_quiet(a, c->map.members[i].value);
            }
        }
    } else if (c->type == VALUE_LIST) {
        VALUE_FOR(i, c)
        {
            c->list.items[i] = without_quiet(a, value_item(c, i));
        }
    }
    return c;
}

static void write_scalar(struct arena *a, struct buf *out, const struct value *v)
{
    if (v == NULL) {
        buf_puts(out, "none");
        return;
    }
    json_write(out, without_quiet(a, v), 0);
}

static void diff(struct arena *a, struct buf *out, const char *path, const struct value *old, const struct value *new)
{
    if (old != NULL && new != NULL && value_equal(old, new)) {
        return;
    }
    if (value_is_map(old) && value_is_map(new)) {
        for (unsigned side = 0; side < 2; side++) {
            const struct value *v = side == 0 ? old : new;
            VALUE_FOR(i, v)
            {
                struct str key = v->map.members[i].key;
                if (quiet_key(key) || (side == 1 && value_get_str_key(old, key) != NULL)) {
                    continue;
                }
                char *below = arena_printf(a, "%s%s%.*s", path, path[0] != '\0' ? "." : "", STR_ARG(key));
                diff(a, out, below, value_get_str_key(old, key), value_get_str_key(new, key));
            }
        }
        return;
    }
    bool keyed = value_is_list(old != NULL ? old : new) && value_count(old != NULL ? old : new) > 0 &&
                 element_key(value_item(old != NULL ? old : new, 0)).n > 0;
    if (keyed) {
        unsigned nth;
        VALUE_FOR(i, old)
        {
            const struct value *e = value_item(old, i);
            diff(a, out, arena_printf(a, "%s[%.*s]", path, STR_ARG(element_key(e))), e, element_find(new, e, &nth));
        }
        VALUE_FOR(i, new)
        {
            const struct value *e = value_item(new, i);
            if (element_find(old, e, &nth) == NULL) {
                diff(a, out, arena_printf(a, "%s[%.*s]", path, STR_ARG(element_key(e))), NULL, e);
            }
        }
        return;
    }
    buf_printf(out, "    %s: ", path);
    if (old != NULL) {
        write_scalar(a, out, old);
        buf_puts(out, " -> ");
    }
    write_scalar(a, out, new);
    buf_putc(out, '\n');
}

static void write_name(struct buf *out, const struct object *o)
{
    buf_printf(out, "%s ", o->kind->name);
    if (o->ns.n > 0) {
        buf_printf(out, "%.*s/", STR_ARG(o->ns));
    }
    buf_append_str(out, o->name);
}

static void write_created(struct buf *out, const struct object *o)
{
    struct mp root = object_mp(o);
    if (o->kind->id == KIND_EVENT) {
        buf_printf(out, "! %.*s %.*s: %.*s\n", STR_ARG(mp_str(mp_get(root, "type"))),
                   STR_ARG(mp_str(mp_get(root, "reason"))), STR_ARG(mp_str(mp_get(root, "message"))));
        return;
    }
    buf_puts(out, "+ ");
    write_name(out, o);
    struct mp_iter owners = mp_iter(mp_path(root, "metadata.ownerReferences"));
    if (mp_next(&owners)) {
        buf_printf(out, " owner=%.*s/%.*s", STR_ARG(mp_str(mp_get(owners.value, "kind"))),
                   STR_ARG(mp_str(mp_get(owners.value, "name"))));
    }
    if (o->kind->has_scale) {
        buf_printf(out, " replicas=%lld", (long long)mp_int(mp_path(root, "spec.replicas"), 1));
    }
    buf_putc(out, '\n');
}

/* Without statuses and bindings: what the deciders decided. */
static void brief(struct value *doc)
{
    value_remove(doc, "status");
    value_remove(value_get(doc, "spec"), "nodeName");
    value_remove(value_get(doc, "metadata"), "deletionGracePeriodSeconds");
}

void stage_write_change(struct stage *w, struct buf *out, const struct object *old, const struct object *new)
{
    if (old == NULL) {
        write_created(out, new);
        return;
    }
    if (new == NULL) {
        buf_puts(out, "- ");
        if (old->kind->id == KIND_EVENT) {
            buf_printf(out, "Event of %.*s", STR_ARG(old->ns)); /* its name is a hash */
        } else {
            write_name(out, old);
        }
        buf_putc(out, '\n');
        return;
    }
    struct arena a;
    struct buf lines = BUF_INIT;
    arena_init(&a);
    struct value *before = object_to_value(&a, old), *after = object_to_value(&a, new);
    if (w->brief) {
        brief(before);
        brief(after);
    }
    diff(&a, &lines, "", before, after);
    if (new->kind->id == KIND_EVENT) {
        buf_printf(out, "! %.*s again\n", STR_ARG(mp_str(mp_get(object_mp(new), "reason"))));
    } else if (lines.size > 0) {
        buf_puts(out, "~ ");
        write_name(out, new);
        buf_putc(out, '\n');
        buf_append_str(out, buf_str(&lines));
    }
    buf_close(&lines);
    arena_close(&a);
}

/* ---- One line on an object ---- */

static void write_conditions(struct buf *out, const struct object *o)
{
    for (struct mp_iter it = mp_iter(mp_path(object_mp(o), "status.conditions")); mp_next(&it);) {
        struct str reason = mp_str(mp_get(it.value, "reason"));
        buf_printf(out, " %.*s=%.*s", STR_ARG(mp_str(mp_get(it.value, "type"))),
                   STR_ARG(mp_str(mp_get(it.value, "status"))));
        if (reason.n > 0) {
            buf_printf(out, "(%.*s)", STR_ARG(reason));
        }
    }
}

static void write_taints(struct buf *out, const struct object *o)
{
    for (struct mp_iter it = mp_iter(mp_path(object_mp(o), "spec.taints")); mp_next(&it);) {
        buf_printf(out, " %.*s:%.*s", STR_ARG(mp_str(mp_get(it.value, "key"))),
                   STR_ARG(mp_str(mp_get(it.value, "effect"))));
    }
}

void stage_write_summary(struct stage *w, struct buf *out, const struct object *o)
{
    (void)w;
    struct mp root = object_mp(o), status = mp_get(root, "status");
    write_name(out, o);
    if (o->kind->id == KIND_POD) {
        struct str node = mp_str(mp_path(root, "spec.nodeName"));
        buf_printf(out, " %.*s", STR_ARG(mp_str(mp_get(status, "phase"))));
        buf_printf(out, " on %.*s", STR_ARG(node.n > 0 ? node : STR("-")));
        write_conditions(out, o);
    } else if (o->kind->has_scale) {
        buf_printf(out, " %lld wanted, %lld there, %lld ready, %lld available",
                   (long long)mp_int(mp_path(root, "spec.replicas"), 1),
                   (long long)mp_int(mp_get(status, "replicas"), 0),
                   (long long)mp_int(mp_get(status, "readyReplicas"), 0),
                   (long long)mp_int(mp_get(status, "availableReplicas"), 0));
        if (o->kind->id == KIND_DEPLOYMENT) {
            buf_printf(out, ", %lld updated", (long long)mp_int(mp_get(status, "updatedReplicas"), 0));
        }
        struct str revision = object_annotation(o, "deployment.kubernetes.io/revision");
        if (revision.n > 0) {
            buf_printf(out, ", revision %.*s", STR_ARG(revision));
        }
        write_conditions(out, o);
    } else if (o->kind->id == KIND_PODDISRUPTIONBUDGET) {
        buf_printf(out, " %lld may go, %lld healthy of %lld, %lld desired",
                   (long long)mp_int(mp_get(status, "disruptionsAllowed"), -1),
                   (long long)mp_int(mp_get(status, "currentHealthy"), -1),
                   (long long)mp_int(mp_get(status, "expectedPods"), -1),
                   (long long)mp_int(mp_get(status, "desiredHealthy"), -1));
        write_conditions(out, o);
    } else if (o->kind->id == KIND_PODGROUP) {
        struct mp condition = condition_mp(o, GANG_CONDITION);
        buf_printf(out, " %.*s: %.*s", STR_ARG(mp_str(mp_get(condition, "status"))),
                   STR_ARG(mp_str(mp_get(condition, "message"))));
    } else if (o->kind->id == KIND_NODE) {
        buf_printf(out, " %.*s", STR_ARG(mp_str(mp_path(root, "spec.podCIDR"))));
        write_taints(out, o);
        write_conditions(out, o);
    } else if (o->kind->id == KIND_NAMESPACE) {
        buf_printf(out, " %.*s", STR_ARG(mp_str(mp_get(status, "phase"))));
        write_conditions(out, o);
    } else if (o->kind->id == KIND_HORIZONTALPODAUTOSCALER) {
        buf_printf(out, " has %lld, wants %lld; ", (long long)mp_int(mp_get(status, "currentReplicas"), -1),
                   (long long)mp_int(mp_get(status, "desiredReplicas"), -1));
        for (unsigned i = 0; i < o->kind->columns_count; i++) {
            if (strcmp(o->kind->columns[i].title, "TARGETS") == 0) {
                o->kind->columns[i].cell(out, o, 0);
            }
        }
        for (struct mp_iter it = mp_iter(mp_get(status, "conditions")); mp_next(&it);) {
            buf_printf(out, " %.*s=%.*s/%.*s", STR_ARG(mp_str(mp_get(it.value, "type"))),
                       STR_ARG(mp_str(mp_get(it.value, "status"))), STR_ARG(mp_str(mp_get(it.value, "reason"))));
        }
    } else if (o->kind->id == KIND_PERSISTENTVOLUME) {
        struct mp ref = mp_path(root, "spec.claimRef");
        struct str on = storage_node(o);
        buf_printf(out, " %.*s %.*s", STR_ARG(mp_str(mp_get(status, "phase"))),
                   STR_ARG(mp_str(mp_path(root, "spec.capacity.storage"))));
        if (mp_type(ref) == MP_MAP) {
            buf_printf(out, " claim=%.*s%s", STR_ARG(mp_str(mp_get(ref, "name"))),
                       str_empty(mp_str(mp_get(ref, "uid"))) ? " beforehand" : "");
        }
        buf_puts(out, on.n > 0 ? " on " : "");
        buf_append_str(out, on);
    } else if (o->kind->id == KIND_PERSISTENTVOLUMECLAIM) {
        struct str volume = storage_volume_name(o), class = storage_class_of(o);
        buf_printf(out, " %.*s volume=%.*s %.*s class=%.*s", STR_ARG(mp_str(mp_get(status, "phase"))),
                   STR_ARG(volume.n > 0 ? volume : STR("-")), STR_ARG(mp_str(mp_path(status, "capacity.storage"))),
                   STR_ARG(class));
        write_conditions(out, o);
    } else if (o->kind->id == KIND_RESOURCEQUOTA) {
        for (struct mp_iter it = mp_iter(mp_get(status, "hard")); mp_next(&it);) {
            buf_printf(out, " %.*s %.*s/%.*s", STR_ARG(it.key),
                       STR_ARG(mp_str(mp_get_str_key(mp_get(status, "used"), it.key))), STR_ARG(mp_str(it.value)));
        }
    }
    struct mp finalizers = mp_path(root, "metadata.finalizers");
    if (o->deleting) {
        buf_puts(out, " being deleted");
    }
    for (struct mp_iter it = mp_iter(finalizers); mp_next(&it);) {
        buf_printf(out, " finalizer=%.*s", STR_ARG(mp_str(it.value)));
    }
    buf_putc(out, '\n');
}
