/* Namespace deletion: everything in it goes, then the namespace. Source: Kubernetes core/v1 Namespace, spec.finalizers
 * "kubernetes".
 *
 * While it lasts, the condition NamespaceContentRemaining names what is left, so that a stuck deletion explains
 * itself. */
#include <assert.h>
#include <stdio.h>

#include "controllers/deletion.h"
#include "controllers/registry.h"
#include "controllers/util.h"

struct remains {
    unsigned total, asked; /* still there; of them now deleted by this transaction */
    struct buf text;       /* "pods. has 2 resource instances" */
};

static int contents_delete(const struct reconcile_in *in, struct reconcile_out *out, struct str ns,
                           struct remains *remains, struct error *err)
{
    const struct deletion_options background = {.grace_s = -1, .policy = DELETION_BACKGROUND};
    for (const struct kind *k = NULL; (k = view_kind_next(in->view, k)) != NULL;) {
        if (!k->namespaced) {
            continue;
        }
        unsigned count = 0;
        struct view_iter it;
        view_iter(&it, in->view, k, ns);
        VIEW_FOR(o, &it)
        {
            count++;
            if (o->deleting || remains->asked == CONTROLLER_BATCH_MAX) {
                continue;
            }
            int rv = deletion_request(out->txn, out->arena, o, &background, in->wall_ms, err);
            if (rv != 0) {
                return rv;
            }
            remains->asked++;
        }
        if (count > 0) {
            buf_printf(&remains->text, "%s%s. has %u resource instances", remains->total == 0 ? "" : ", ", k->plural,
                       count);
            remains->total += count;
        }
    }
    return 0;
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
    reconcile_note(out, "is empty");
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
    int rv = contents_delete(in, out, o->name, &remains, err);
    if (rv == 0) {
        reconcile_note(out, "%u left, %u deleted now", remains.total, remains.asked);
        /* What went at once with this transaction calls again; only what lingers is worth telling. */
        rv = remains.total == 0              ? namespace_finish(out, o, err)
             : remains.total > remains.asked ? remains_tell(in, out, o, &remains, err)
                                             : 0;
    }
    if (remains.asked > 0) {
        requeue_in(out, 1);
    }
    buf_close(&remains.text);
    return rv;
}

static void map_content(const struct view *tip, const struct object *old, const struct object *new,
                        controller_emit *emit, void *data)
{
    if (old != NULL && new != NULL && old->deleting == new->deleting) {
        return;
    }
    struct str ns = new != NULL ? new->ns : old->ns;
    if (str_empty(ns)) {
        return;
    }
    const struct object *o = view_get(tip, kind_of(KIND_NAMESPACE), STR_NONE, ns);
    if (o != NULL && o->deleting) {
        emit(data, o->kind, STR_NONE, ns);
    }
}

static const struct controller_watch watches[] = {{KIND_NAMESPACE, map_self}, {WATCH_ANY_KIND, map_content}, {0, NULL}};
const struct controller controller_namespace = {"namespace", watches, namespace_reconcile, NULL};
