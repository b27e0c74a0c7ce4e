/* A controller of one file and one line: controllers/cluster/widget.c. Widgets say what they are to say. */
#include "controllers/registry.h"
#include "controllers/util.h"

static int widget_reconcile(const struct reconcile_in *in, struct reconcile_out *out, struct error *err)
{
    const struct object *o = view_get(in->view, in->key.kind, in->key.ns, in->key.name);
    struct str text = o == NULL ? STR_NONE : mp_str(mp_path(object_mp(o), "spec.text"));
    if (o == NULL || o->deleting || str_eq(text, mp_str(mp_path(object_mp(o), "status.said")))) {
        return 0;
    }
    struct value *doc = object_to_value(out->arena, o);
    value_set(out->arena, value_ensure_map(out->arena, doc, "status"), "said", value_str(out->arena, text));
    return txn_update_value(out->txn, o->kind, doc, TXN_PART_STATUS, o->revision, err);
}

static const struct controller_watch watches[] = {{KIND_WIDGET, map_self}, {0, NULL}};
const struct controller controller_widget = {.name = "widget", .watches = watches, .reconcile = widget_reconcile};
