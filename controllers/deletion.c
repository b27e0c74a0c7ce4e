#include "controllers/deletion.h"

#include <assert.h>

#include "base/timefmt.h"
#include "controllers/util.h"
#include "proto/facts/disruption.h"
#include "proto/facts/precondition.h"
#include "proto/schema/edit.h"

static const char *const names[] = {"", "Background", "Foreground", "Orphan"}; /* by policy */

const char *deletion_policy_word(enum deletion_policy policy)
{
    return names[policy];
}

int deletion_policy_parse(struct str s)
{
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        if (str_is(s, names[i])) {
            return (int)i;
        }
    }
    return -1;
}

/* 0 = at once. "-1" asks for the pod's own grace. */
static int64_t grace_decide(const struct object *o, int64_t grace_s)
{
    if (o->kind->id != KIND_POD || str_empty(pod_node(o)) || pod_finished(o)) {
        return 0;
    }
    if (grace_s < 0) {
        grace_s = mp_int(mp_path(object_mp(o), "spec.terminationGracePeriodSeconds"), GRACE_DEFAULT_S);
    }
    return MAX(0, MIN(grace_s, (int64_t)GRACE_MAX_S));
}

/* Take off and put on the finalizers that stand for a propagation policy. True if the list changed. */
static bool finalizers_decide(struct arena *a, struct value *metadata, enum deletion_policy policy)
{
    static const struct {
        const char *name;
        enum deletion_policy policy;
    } rows[] = {{FINALIZER_ORPHAN, DELETION_ORPHAN}, {FINALIZER_FOREGROUND, DELETION_FOREGROUND}};
    if (policy == DELETION_DEFAULT) {
        return false;
    }
    bool changed = false;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        bool wanted = rows[i].policy == policy, present = list_has_str(value_get(metadata, "finalizers"), rows[i].name);
        if (wanted && !present) {
            value_append(a, value_ensure_list(a, metadata, "finalizers"), value_cstr(a, rows[i].name));
        } else if (!wanted && present) {
            list_remove_str(value_get(metadata, "finalizers"), rows[i].name);
        }
        changed |= wanted != present;
    }
    if (value_count(value_get(metadata, "finalizers")) == 0) {
        value_remove(metadata, "finalizers");
    }
    return changed;
}

static void deletion_mark(struct arena *a, struct value *metadata, int64_t when_ms, int64_t grace_s)
{
    char text[TIMEFMT_SIZE];
    timefmt_rfc3339(when_ms, text);
    value_set(a, metadata, "deletionTimestamp", value_cstr(a, text));
    value_set(a, metadata, "deletionGracePeriodSeconds", value_int(a, grace_s));
}

/* The same without a document, for what is deleted by the thousand: nothing else changes. NULL: it is not in the order
 * of our tables. */
static struct object *marked_in_place(const struct object *o, int64_t when_ms, int64_t grace_s)
{
    const struct schema *s = o->kind->schema;
    CLEANUP_BUF struct buf values = BUF_INIT, metadata = BUF_INIT, body = BUF_INIT;
    struct object *marked = NULL;
    char text[TIMEFMT_SIZE];
    timefmt_rfc3339(when_ms, text);
    mp_write_cstr(&values, text);
    size_t at = values.size;
    mp_write_int(&values, grace_s);
    const struct schema_edit edits[] = {
        {"deletionTimestamp", mp_of(values.data, at)},
        {"deletionGracePeriodSeconds", mp_of(values.data + at, values.size - at)},
    };
    if (schema_edit(&metadata, schema_field(s, STR("metadata"))->sub, mp_get(object_mp(o), "metadata"), edits,
                    ARRAY_SIZE(edits))) {
        const struct schema_edit whole = {"metadata", mp_of(metadata.data, metadata.size)};
        if (schema_edit(&body, s, object_mp(o), &whole, 1)) {
            object_from_body(o->kind, body.data, body.size, 0, &marked, NULL);
        }
    }
    return marked;
}

static bool only_marks(const struct object *o, const struct deletion_options *options)
{
    return !o->deleting && o->kind->id != KIND_NAMESPACE && options->disruption == NULL &&
           (options->policy == DELETION_DEFAULT || options->policy == DELETION_BACKGROUND) &&
           mp_type(mp_path(object_mp(o), "metadata.finalizers")) == MP_NONE;
}

/* A second delete: "a grace period can only be shortened". */
static bool grace_shorten(struct arena *a, const struct object *o, struct value *metadata, int64_t grace_s)
{
    int64_t old_grace_s = count_bound(value_path_int(metadata, "deletionGracePeriodSeconds", 0)), at_ms = 0;
    if (o->kind->id != KIND_POD || grace_s >= old_grace_s ||
        !timefmt_parse(value_path_str(metadata, "deletionTimestamp"), &at_ms)) {
        return false;
    }
    deletion_mark(a, metadata, at_ms - (old_grace_s - grace_s) * 1000, grace_s);
    return true;
}

static bool gone_at_once(const struct object *o, const struct deletion_options *options, int64_t grace_s)
{
    return grace_s == 0 && o->kind->id != KIND_NAMESPACE &&
           (options->policy == DELETION_DEFAULT || options->policy == DELETION_BACKGROUND) &&
           mp_count(mp_path(object_mp(o), "metadata.finalizers")) == 0;
}

int deletion_request(struct txn *t, struct arena *a, const struct object *o, const struct deletion_options *options,
                     int64_t wall_ms, struct error *err)
{
    assert(t != NULL && o != NULL && options != NULL);
    int rv = precondition_check(o, options->if_uid, options->if_revision, err);
    if (rv != 0) {
        return rv;
    }
    int64_t grace_s = grace_decide(o, options->grace_s);
    if (gone_at_once(o, options, grace_s)) {
        txn_delete(t, o);
        return 0;
    }
    struct object *marked = only_marks(o, options) ? marked_in_place(o, wall_ms + grace_s * 1000, grace_s) : NULL;
    if (marked != NULL) {
        txn_update(t, marked, TXN_PART_ALL, o->revision);
        return 0;
    }
    struct value *doc = object_to_value(a, o), *metadata = value_ensure_map(a, doc, "metadata");
    bool changed = finalizers_decide(a, metadata, options->policy);
    bool held = value_count(value_get(metadata, "finalizers")) > 0;
    if (grace_s == 0 && !held && o->kind->id != KIND_NAMESPACE) {
        txn_delete(t, o);
        return 0;
    }
    if (!o->deleting) {
        deletion_mark(a, metadata, wall_ms + grace_s * 1000, grace_s);
        changed = true;
        if (options->disruption != NULL && o->kind->id == KIND_POD) {
            condition_set(a, value_ensure_map(a, doc, "status"), DISRUPTION_TARGET, "True", options->disruption,
                          options->disruption_message, wall_ms, false);
        }
    } else if (options->grace_s >= 0) {
        changed |= grace_shorten(a, o, metadata, grace_s);
    }
    if (o->kind->id == KIND_NAMESPACE && !str_is(value_path_str(doc, "status.phase"), "Terminating")) {
        value_set(a, value_ensure_map(a, doc, "status"), "phase", value_cstr(a, "Terminating"));
        changed = true;
    }
    return changed ? txn_update_value(t, o->kind, doc, TXN_PART_ALL, o->revision, err) : 0;
}

int pod_delete(struct txn *t, struct arena *a, const struct object *pod, int64_t grace_s, int64_t wall_ms,
               struct error *err)
{
    assert(pod->kind->id == KIND_POD);
    const struct deletion_options options = {.grace_s = grace_s, .policy = DELETION_BACKGROUND};
    return deletion_request(t, a, pod, &options, wall_ms, err);
}
