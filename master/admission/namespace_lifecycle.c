/* Source: Kubernetes' admission plugin NamespaceLifecycle. */
#include "master/admission/row.h"

static bool makes(const struct txn *t, const struct kind *k, struct str name)
{
    for (unsigned i = 0; t != NULL && i < t->count; i++) {
        const struct txn_op *op = &t->ops[i];
        if (op->type == TXN_CREATE && op->kind == k && str_eq(op->name, name)) {
            return true;
        }
    }
    return false;
}

static int give(const struct admission *ad, struct admission_change *c, struct error *err)
{
    const struct kind *nk = kind_by_id(KIND_NAMESPACE);
    struct str ns = value_path_str(c->doc, "metadata.namespace");
    const struct object *o = c->kind->namespaced ? view_get(ad->tip, nk, STR_NONE, ns) : NULL;
    if (!c->kind->namespaced || c->before != NULL) {
        return 0;
    }
    if (o != NULL && o->deleting) {
        error_set(err, ERR_FORBIDDEN, "nothing can be created in namespace \"%.*s\", because it is being terminated",
                  STR_ARG(ns));
        error_add_cause(err, ERROR_CAUSE_NAMESPACE_TERMINATING, STR("namespace"), STR("it is being terminated"));
        return ERR_FORBIDDEN;
    }
    if (o != NULL || makes(ad->same_txn, nk, ns)) {
        return 0;
    }
    return error_set(err, ERR_NOT_FOUND, "namespaces \"%.*s\" not found; create it first, or apply it together",
                     STR_ARG(ns));
}

static int remove_one(const struct view *tip, const struct principal *who, const struct object *o, struct error *err)
{
    (void)tip;
    (void)who;
    bool needed = o->kind->id == KIND_NAMESPACE && (str_is(o->name, "default") || str_is(o->name, "kube-system"));
    return needed ? admission_is_needed(o, err) : 0;
}

const struct admission_row admission_namespace_lifecycle = {
    .name = "NamespaceLifecycle",
    .kinds_told = "all in namespaces, namespaces",
    .operations = ADMISSION_CREATE | ADMISSION_DELETE,
    .help = "Nothing is made in a namespace that is not there or is being deleted; default and kube-system stay.",
    .give = give,
    .remove = remove_one,
};
