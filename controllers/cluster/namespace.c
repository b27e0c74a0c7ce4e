/* Namespace deletion: everything in it goes, then the namespace. Source: Kubernetes core/v1 Namespace, spec.finalizers
 * "kubernetes".
 *
 * What is there is told by the view's sums; a step looks at RECONCILE_VISITS_MAX objects at most, and the next one goes
 * on behind them. While it lasts, the condition NamespaceContentRemaining names what is left, so that a stuck
 * deletion explains itself. */
#include <assert.h>
#include <stdio.h>

#include "controllers/deletion.h"
#include "controllers/registry.h"
#include "controllers/util.h"

#define LOOK_AGAIN_MS 1000

struct remains {
    unsigned total;     /* still there, */
    unsigned untouched; /* of them not being deleted, */
    unsigned asked;     /* of those deleted by this transaction */
    unsigned visits;
    struct buf text; /* "pods. has 2 resource instances" */
};

static void remains_count(const struct view *v, struct str ns, struct remains *remains)
{
    struct sum_iter it;
    struct sum sum;
    view_sum_iter(&it, v, VIEW_SUM_CONTENTS, ns);
    while (sums_next(&it, &sum)) {
        buf_printf(&remains->text, "%s%s. has %lld resource instances", remains->total == 0 ? "" : ", ",
                   kind_stored(sum.group.kind_id)->plural, (long long)sum.count);
        remains->total += (unsigned)sum.count;
        remains->untouched += (unsigned)(sum.count - sum.fields[CONTENTS_DELETING]);
    }
}

/* Of one kind. Full: out->left_at is set. */
static int kind_delete(const struct reconcile_in *in, struct reconcile_out *out, struct view_iter *it,
                       struct remains *remains, struct error *err)
{
    const struct deletion_options background = {.grace_s = -1, .policy = DELETION_BACKGROUND};
    VIEW_FOR(o, it)
    {
        if (!o->deleting) {
            int rv = deletion_request(out->txn, out->arena, o, &background, in->wall_ms, err);
            if (rv != 0) {
                return rv;
            }
            remains->asked++;
        }
        if (++remains->visits == RECONCILE_VISITS_MAX || remains->asked == CONTROLLER_BATCH_MAX) {
            out->left_at = o;
            return 0;
        }
    }
    return 0;
}

static int contents_delete(const struct reconcile_in *in, struct reconcile_out *out, struct str ns,
                           struct remains *remains, struct error *err)
{
    struct sum_iter kinds;
    struct sum sum;
    int rv = 0;
    view_sum_iter(&kinds, in->view, VIEW_SUM_CONTENTS, ns);
    while (rv == 0 && out->left_at == NULL && sums_next(&kinds, &sum)) {
        const struct kind *k = kind_stored(sum.group.kind_id);
        unsigned from = in->from == NULL ? 0 : (unsigned)in->from->kind->id;
        struct view_iter it;
        if (sum.group.kind_id < from || sum.count == sum.fields[CONTENTS_DELETING]) {
            continue;
        }
        if (sum.group.kind_id == from) {
            view_iter_after(&it, in->view, k, ns, in->from->ns, in->from->name);
        } else {
            view_iter(&it, in->view, k, ns);
        }
        rv = kind_delete(in, out, &it, remains, err);
    }
    return rv;
}

static int remains_tell(const struct reconcile_in *in, struct reconcile_out *out, const struct object *o,
                        struct remains *remains, struct error *err)
{
    struct value *doc = object_to_value(out->arena, o), *status = value_ensure_map(out->arena, doc, "status");
    const char *message = arena_printf(out->arena, "Some resources are remaining: %s", buf_cstr(&remains->text));
    bool changed = condition_set(out->arena, status, "NamespaceContentRemaining", "True", "SomeResourcesRemain",
                                 message, in->wall_ms, false);
    if (!str_is(value_path_str(status, "phase"), "Terminating")) {
        value_set(out->arena, status, "phase", value_cstr(out->arena, "Terminating"));
        changed = true;
    }
    return changed ? txn_update_value(out->txn, o->kind, doc, TXN_PART_STATUS, o->revision, err) : 0;
}

static int namespace_finish(struct reconcile_out *out, const struct object *o, struct error *err)
{
    DECIDED(out, REASON_IS_EMPTY);
    if (mp_count(mp_path(object_mp(o), "metadata.finalizers")) == 0) {
        txn_delete(out->txn, o);
        return 0;
    }
    /* Somebody else's finalizer holds it: it goes when that one does. */
    if (mp_count(mp_path(object_mp(o), "spec.finalizers")) == 0) {
        return 0;
    }
    struct value *doc = object_to_value(out->arena, o);
    value_remove(value_get(doc, "spec"), "finalizers");
    return txn_update_value(out->txn, o->kind, doc, TXN_PART_ALL, o->revision, err);
}

static int namespace_reconcile(const struct reconcile_in *in, struct reconcile_out *out, struct error *err)
{
    const struct object *o = view_get(in->view, in->key.kind, STR_NONE, in->key.name);
    if (o == NULL || !o->deleting) {
        return 0;
    }
    struct remains remains = {.text = BUF_INIT};
    remains_count(in->view, o->name, &remains);
    int rv = contents_delete(in, out, o->name, &remains, err);
    if (rv == 0) {
        DECIDED(out, REASON_STILL_FULL, .count = remains.total, .other = remains.asked);
        /* What went at once with this transaction calls again; only what lingers is worth telling. */
        rv = remains.total == 0              ? namespace_finish(out, o, err)
             : remains.total > remains.asked ? remains_tell(in, out, o, &remains, err)
                                             : 0;
    }
    if (out->left_at == NULL && remains.asked > 0) {
        requeue_in(out, 1);
    } else if (out->left_at == NULL && remains.untouched > 0) {
        requeue_in(out, LOOK_AGAIN_MS); /* it came where the walk had been */
    }
    buf_close(&remains.text);
    return rv;
}

static void map_content(const struct view *tip, const struct object *old, const struct object *now,
                        controller_emit *emit, void *data)
{
    if (old != NULL && now != NULL && old->deleting == now->deleting) {
        return;
    }
    struct str ns = now != NULL ? now->ns : old->ns;
    if (str_empty(ns)) {
        return;
    }
    const struct object *o = view_get(tip, kind_of(KIND_NAMESPACE), STR_NONE, ns);
    if (o != NULL && o->deleting) {
        emit(data, o->kind, STR_NONE, ns);
    }
}

static const struct controller_watch watches[] = {{KIND_NAMESPACE, map_self}, {WATCH_ANY_KIND, map_content}, {0, NULL}};
const struct controller controller_namespace = {
    .name = "namespace", .watches = watches, .reconcile = namespace_reconcile};
