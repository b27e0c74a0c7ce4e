/* Each namespace has the ServiceAccount "default", for pods that name none. Whoever deletes it sees it come back, while
 * the namespace is there. Source: Kubernetes' serviceaccounts_controller. */
#include "controllers/registry.h"
#include "controllers/util.h"
#include "proto/facts/account.h"
#include "proto/facts/configdata.h"
#include "proto/schema/release.h"

/* May there be accounts? In a cluster with a record, when all masters know them (master/record.h). */
static bool level_reached(const struct view *v)
{
    const struct object *record = view_get(v, kind_of(KIND_CONFIGMAP), STR("kube-system"), STR("reeve-cluster"));
    int64_t level = 0;
    return record == NULL || (str_to_int64(configdata_text(record, "featureLevel"), &level) &&
                              level >= (int64_t)kind_of(KIND_SERVICEACCOUNT)->since);
}

static int accounts_reconcile(const struct reconcile_in *in, struct reconcile_out *out, struct error *err)
{
    struct arena *a = out->arena;
    const struct kind *k = kind_of(KIND_SERVICEACCOUNT);
    struct str ns = in->key.name;
    if (namespace_closed(in->view, ns) || view_get(in->view, k, ns, STR(ACCOUNT_DEFAULT)) != NULL ||
        !level_reached(in->view)) {
        return 0;
    }
    struct value *doc = value_map(a), *metadata = value_ensure_map(a, doc, "metadata");
    value_set(a, doc, "apiVersion", value_cstr(a, k->api_version));
    value_set(a, doc, "kind", value_cstr(a, k->name));
    value_set(a, metadata, "name", value_cstr(a, ACCOUNT_DEFAULT));
    value_set(a, metadata, "namespace", value_str(a, ns));
    DECIDED(out, REASON_MAKES_ACCOUNT);
    return txn_create_value(out->txn, k, doc, err);
}

/* It is gone. */
static void map_account(const struct view *tip, const struct object *old, const struct object *now,
                        controller_emit *emit, void *data)
{
    (void)tip;
    if (now == NULL && old != NULL && str_is(old->name, ACCOUNT_DEFAULT)) {
        emit(data, kind_of(KIND_NAMESPACE), STR_NONE, old->ns);
    }
}

/* All masters may know accounts now: the namespaces that there were before get theirs. */
static void map_record(const struct view *tip, const struct object *old, const struct object *now,
                       controller_emit *emit, void *data)
{
    struct view_iter it;
    if (now == NULL || !str_is(now->name, "reeve-cluster") || !str_is(now->ns, "kube-system") ||
        str_eq(configdata_text(now, "featureLevel"), configdata_text(old, "featureLevel"))) {
        return;
    }
    view_iter(&it, tip, kind_of(KIND_NAMESPACE), STR_NONE);
    VIEW_FOR(ns, &it)
    {
        emit(data, ns->kind, STR_NONE, ns->name);
    }
}

static const struct controller_watch watches[] = {
    {KIND_NAMESPACE, map_self}, {KIND_SERVICEACCOUNT, map_account}, {KIND_CONFIGMAP, map_record}, {0, NULL}};
const struct controller controller_accounts = {.name = "accounts", .watches = watches, .reconcile = accounts_reconcile};
