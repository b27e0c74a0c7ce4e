/* Garbage collection by ownerReferences. Source: Kubernetes "Owners and Dependents", "Cascading deletion".
 *
 * An object's key means: look at what it is owned by, and, if it is being deleted, at what it owns.
 *  - All its owners are gone: it is deleted (background). Some are gone: their references are taken off.
 *  - It is being deleted with the finalizer "orphan": references to it are taken off its dependents, then the
 *    finalizer.
 *  - It is being deleted with "foregroundDeletion": its dependents are deleted first; when none with blockOwnerDeletion
 *    is left, the finalizer goes. Objects that own each other in a circle do not wait for each other.
 * Owners are found by kind, name and uid; references to kinds that are unknown here are never judged.
 * Dependents are found through the view's index of owners, whether they are controlled or not. */
#include <assert.h>

#include "controllers/deletion.h"
#include "controllers/registry.h"
#include "controllers/util.h"

#define OWNERS_DEPTH 8u  /* of a circle of owners that is noticed, */
#define OWNERS_LOOKS 64u /* and how many references are followed to find it */

enum owner_state { OWNER_SOLID, OWNER_WAITING, OWNER_GONE };

static struct mp references_of(const struct object *o)
{
    return mp_path(object_mp(o), "metadata.ownerReferences");
}

static enum owner_state owner_judge(const struct view *v, struct str ns, struct mp reference)
{
    if (owner_kind(reference) == NULL) {
        return OWNER_SOLID;
    }
    const struct object *owner = owner_get(v, ns, reference);
    if (owner == NULL) {
        return OWNER_GONE;
    }
    return owner->deleting && object_has_finalizer(owner, FINALIZER_FOREGROUND) ? OWNER_WAITING : OWNER_SOLID;
}

/* The element of o's references with this uid; an empty cursor if none. */
static struct mp reference_to(const struct object *o, struct str uid)
{
    for (struct mp_iter it = mp_iter(references_of(o)); mp_next(&it);) {
        if (str_eq(mp_str(mp_get(it.value, "uid")), uid)) {
            return it.value;
        }
    }
    return mp_of(NULL, 0);
}

/* NULL at the end. What stands in another namespace than its owner is none of its dependents. */
static const struct object *dependent_next(struct view_iter *it, const struct object *owner)
{
    const struct object *o;
    do {
        o = view_next(it);
    } while (o != NULL && owner->kind->namespaced && !str_eq(o->ns, owner->ns));
    return o;
}

static void dependents_iter(struct view_iter *it, const struct view *v, const struct object *owner)
{
    view_iter_index(it, v, VIEW_BY_OWNER, owner->uid, NULL, STR_NONE);
}

static bool has_dependents(const struct view *v, const struct object *o)
{
    struct view_iter it;
    dependents_iter(&it, v, o);
    return dependent_next(&it, o) != NULL;
}

static int reference_drop(struct reconcile_out *out, const struct object *o, struct str uid, struct error *err)
{
    struct value *doc = object_to_value(out->arena, o);
    owner_remove(doc, uid);
    return txn_update_value(out->txn, o->kind, doc, TXN_PART_ALL, o->revision, err);
}

static int finalizer_drop(struct reconcile_out *out, const struct object *o, const char *name, struct error *err)
{
    struct value *doc = object_to_value(out->arena, o), *metadata = value_get(doc, "metadata");
    list_remove_str(value_get(metadata, "finalizers"), name);
    if (value_count(value_get(metadata, "finalizers")) == 0) {
        value_remove(metadata, "finalizers");
    }
    DECIDED(out, REASON_TAKES_OFF_FINALIZER, .what = str_of(name));
    return txn_update_value(out->txn, o->kind, doc, TXN_PART_ALL, o->revision, err);
}

/* ---- The object is being deleted ---- */

static int orphan_dependents(const struct reconcile_in *in, struct reconcile_out *out, const struct object *o,
                             struct error *err)
{
    struct view_iter it;
    unsigned count = 0;
    dependents_iter(&it, in->view, o);
    for (const struct object *dependent; (dependent = dependent_next(&it, o)) != NULL; count++) {
        if (count == CONTROLLER_BATCH_MAX) {
            requeue_in(out, 1);
            return 0;
        }
        int rv = reference_drop(out, dependent, o->uid, err);
        if (rv != 0) {
            return rv;
        }
    }
    DECIDED(out, REASON_ORPHANS, .count = count);
    return finalizer_drop(out, o, FINALIZER_ORPHAN, err);
}

/* Someone else, not on the way out, owns it as well. */
static bool has_other_owner(const struct view *v, const struct object *o, struct str uid)
{
    for (struct mp_iter it = mp_iter(references_of(o)); mp_next(&it);) {
        if (!str_eq(mp_str(mp_get(it.value, "uid")), uid) && owner_judge(v, o->ns, it.value) == OWNER_SOLID) {
            return true;
        }
    }
    return false;
}

static int dependent_delete(const struct reconcile_in *in, struct reconcile_out *out, const struct object *o,
                            struct str owner_uid, struct error *err)
{
    if (has_other_owner(in->view, o, owner_uid)) {
        return reference_drop(out, o, owner_uid, err);
    }
    const struct deletion_options options = {
        .grace_s = -1, .policy = has_dependents(in->view, o) ? DELETION_FOREGROUND : DELETION_DEFAULT};
    return deletion_request(out->txn, out->arena, o, &options, in->wall_ms, err);
}

/* Is `uid` an owner of o, or of one of its owners? No further up than depth, and at most *looks references. */
static bool descends_from(const struct view *v, const struct object *o, struct str uid, unsigned depth, unsigned *looks)
{
    for (struct mp_iter it = mp_iter(references_of(o)); *looks > 0 && mp_next(&it); (*looks)--) {
        if (str_eq(mp_str(mp_get(it.value, "uid")), uid)) {
            return true;
        }
        const struct object *owner = depth == 0 ? NULL : owner_get(v, o->ns, it.value);
        if (owner != NULL && owner != o && descends_from(v, owner, uid, depth - 1, looks)) {
            return true;
        }
    }
    return false;
}

/* A dependent that waits for o in its turn, being an owner of it, however far up, or o itself: whoever waited for
 * the other would wait for ever. */
static bool waits_for(const struct view *v, const struct object *dependent, const struct object *o)
{
    unsigned looks = OWNERS_LOOKS;
    return dependent == o || (dependent->deleting && object_has_finalizer(dependent, FINALIZER_FOREGROUND) &&
                              descends_from(v, o, dependent->uid, OWNERS_DEPTH, &looks));
}

static int foreground_step(const struct reconcile_in *in, struct reconcile_out *out, const struct object *o,
                           struct error *err)
{
    struct view_iter it;
    unsigned blocking = 0, deleted = 0;
    dependents_iter(&it, in->view, o);
    for (const struct object *dependent; (dependent = dependent_next(&it, o)) != NULL;) {
        blocking += mp_bool(mp_get(reference_to(dependent, o->uid), "blockOwnerDeletion"), false) &&
                    !waits_for(in->view, dependent, o);
        if (dependent->deleting) {
            continue;
        }
        if (deleted++ == CONTROLLER_BATCH_MAX) {
            requeue_in(out, 1);
            return 0;
        }
        int rv = dependent_delete(in, out, dependent, o->uid, err);
        if (rv != 0) {
            return rv;
        }
    }
    DECIDED(out, REASON_WAITS_FOR_DEPENDENTS, .count = blocking, .other = deleted);
    return blocking == 0 ? finalizer_drop(out, o, FINALIZER_FOREGROUND, err) : 0;
}

/* ---- The object's owners ---- */

static int owners_check(const struct reconcile_in *in, struct reconcile_out *out, const struct object *o,
                        struct error *err)
{
    unsigned states[3] = {0};
    for (struct mp_iter it = mp_iter(references_of(o)); mp_next(&it);) {
        states[owner_judge(in->view, o->ns, it.value)]++;
    }
    if (states[OWNER_SOLID] == 0 && states[OWNER_GONE] + states[OWNER_WAITING] > 0) {
        const struct deletion_options options = {.grace_s = -1,
                                                 .policy = states[OWNER_WAITING] > 0 && has_dependents(in->view, o)
                                                               ? DELETION_FOREGROUND
                                                               : DELETION_DEFAULT};
        DECIDED(out, REASON_NO_OWNER_LEFT);
        return o->deleting ? 0 : deletion_request(out->txn, out->arena, o, &options, in->wall_ms, err);
    }
    if (states[OWNER_GONE] + states[OWNER_WAITING] > 0) {
        struct value *doc = object_to_value(out->arena, o);
        for (struct mp_iter it = mp_iter(references_of(o)); mp_next(&it);) {
            if (owner_judge(in->view, o->ns, it.value) != OWNER_SOLID) {
                owner_remove(doc, mp_str(mp_get(it.value, "uid")));
            }
        }
        DECIDED(out, REASON_DROPS_OWNERS);
        return txn_update_value(out->txn, o->kind, doc, TXN_PART_ALL, o->revision, err);
    }
    return 0;
}

static int garbage_reconcile(const struct reconcile_in *in, struct reconcile_out *out, struct error *err)
{
    const struct object *o = view_get(in->view, in->key.kind, in->key.ns, in->key.name);
    if (o == NULL) {
        return 0;
    }
    if (o->deleting && object_has_finalizer(o, FINALIZER_ORPHAN)) {
        return orphan_dependents(in, out, o, err);
    }
    if (o->deleting && object_has_finalizer(o, FINALIZER_FOREGROUND)) {
        return foreground_step(in, out, o, err);
    }
    return owners_check(in, out, o, err);
}

/* ---- Where to look ---- */

static bool owners_need_a_look(const struct view *tip, const struct object *o)
{
    for (struct mp_iter it = mp_iter(references_of(o)); mp_next(&it);) {
        if (owner_judge(tip, o->ns, it.value) != OWNER_SOLID) {
            return true;
        }
    }
    return false;
}

static void map_gone(const struct view *tip, const struct object *old, controller_emit *emit, void *data)
{
    struct view_iter it;
    dependents_iter(&it, tip, old);
    VIEW_FOR(o, &it)
    {
        emit(data, o->kind, o->ns, o->name);
    }
    for (struct mp_iter r = mp_iter(references_of(old)); mp_next(&r);) {
        const struct object *owner = owner_get(tip, old->ns, r.value);
        if (owner != NULL && owner->deleting) {
            emit(data, owner->kind, owner->ns, owner->name);
        }
    }
}

static void map_any(const struct view *tip, const struct object *old, const struct object *now, controller_emit *emit,
                    void *data)
{
    if ((now != NULL ? now : old)->kind->unowned) {
        return;
    }
    if (now == NULL) {
        map_gone(tip, old, emit, data);
        return;
    }
    if (old != NULL && !str_eq(old->uid, now->uid)) {
        map_gone(tip, old, emit, data);
    }
    bool finalizing = now->deleting &&
                      (object_has_finalizer(now, FINALIZER_ORPHAN) || object_has_finalizer(now, FINALIZER_FOREGROUND));
    bool references_new = old == NULL || !mp_equal(references_of(old), references_of(now));
    if (finalizing || (references_new && owners_need_a_look(tip, now))) {
        emit(data, now->kind, now->ns, now->name);
    }
}

static void garbage_resync(const struct view *tip, const struct object *o, controller_emit *emit, void *data)
{
    map_any(tip, NULL, o, emit, data);
}

static const struct controller_watch watches[] = {{WATCH_ANY_KIND, map_any}, {0, NULL}};
const struct controller controller_garbage = {
    .name = "garbage-collector", .watches = watches, .reconcile = garbage_reconcile, .resync = garbage_resync};
