#include "master/auth/rbac_node.h"

#include "proto/facts/account.h"
#include "proto/facts/storage.h"
#include "proto/schema/kind.h"

/* Kinds that nodes read if a pod names them. */
static const enum kind_id READ[] = {KIND_SECRET, KIND_CONFIGMAP, KIND_PERSISTENTVOLUMECLAIM, KIND_SERVICEACCOUNT,
                                    KIND_RUNTIMECLASS};

static const struct kind *kind_asked(const struct access *a)
{
    const struct kind *k = a->resource.n == 0 ? NULL : kind_by_any_name(a->resource);
    return k != NULL && str_is(a->resource, k->plural) && str_eq(kind_group(k), a->group) ? k : NULL;
}

struct looking {
    const struct view *view;
    const struct kind *kind;
    struct str ns, name;
    bool found;
};

/* The volume that a claim has. */
static bool is_volume_of(const struct looking *l, const struct kind_reference *r)
{
    const struct object *claim =
        r->kind->id == KIND_PERSISTENTVOLUMECLAIM ? view_get(l->view, r->kind, r->ns, r->name) : NULL;
    return claim != NULL && str_eq(storage_volume_name(claim), l->name);
}

static void look(void *data, const struct kind_reference *r)
{
    struct looking *l = data;
    if (r->use == REFERENCE_OWNER) {
        return;
    }
    l->found = l->found || (l->kind->id == KIND_PERSISTENTVOLUME
                                ? is_volume_of(l, r)
                                : r->kind == l->kind && str_eq(r->ns, l->ns) && str_eq(r->name, l->name));
}

static bool pod_needs(const struct view *v, const struct object *pod, const struct kind *k, const struct access *a)
{
    struct looking l = {.view = v, .kind = k, .ns = a->ns, .name = a->name};
    if (k->namespaced && !str_eq(pod->ns, a->ns)) {
        return false;
    }
    if (k->id == KIND_SERVICEACCOUNT) { /* that of a pod which names none, too */
        return str_eq(account_of_pod(pod), a->name);
    }
    kind_references(pod, look, &l);
    return l.found;
}

static bool is_read(const struct kind *k)
{
    bool read = k->id == KIND_PERSISTENTVOLUME;
    for (size_t i = 0; i < ARRAY_SIZE(READ); i++) {
        read = read || k->id == READ[i];
    }
    return read;
}

bool rbac_node_may(const struct view *v, struct str node, const struct access *a, const struct object **pod)
{
    const struct kind *k = kind_asked(a);
    bool token = k != NULL && k->id == KIND_SERVICEACCOUNT && str_is(a->sub, "token") && str_is(a->verb, "create");
    *pod = NULL;
    if (k == NULL || a->name.n == 0 || (!token && (!str_is(a->verb, "get") || a->sub.n > 0))) {
        return false;
    }
    if (k->id == KIND_NODE) {
        return str_eq(a->name, node);
    }
    if (k->id == KIND_POD) {
        const struct object *o = view_get(v, k, a->ns, a->name);
        *pod = o;
        return o != NULL && str_eq(mp_str(mp_get(object_spec(o), "nodeName")), node);
    }
    if (!is_read(k)) {
        return false;
    }
    struct view_iter it;
    view_iter_node_pods(&it, v, node);
    VIEW_FOR(o, &it)
    {
        if (pod_needs(v, o, k, a)) {
            *pod = o;
            return true;
        }
    }
    return false;
}
