/* Each namespace has the ConfigMap kube-root-ca.crt with the cluster's CA, which pods that speak to the masters trust:
 * what the masters write into ConfigMap kube-system/reeve-root-ca (master/auth/root_ca.c). Whoever changes or deletes
 * it sees it come back. Only in a cluster whose pods are given tokens (podTokens: Automatic). Source: Kubernetes'
 * root-ca-certificate-publisher. */
#include "controllers/accounts.h"
#include "controllers/registry.h"
#include "controllers/util.h"
#include "proto/facts/configdata.h"

#define RECORD_NS   "kube-system"
#define RECORD_NAME "reeve-root-ca"
#define KEY         "ca.crt"

static const struct object *config_map(const struct view *v, struct str ns, const char *name)
{
    return view_get(v, kind_of(KIND_CONFIGMAP), ns, str_of(name));
}

static int root_ca_reconcile(const struct reconcile_in *in, struct reconcile_out *out, struct error *err)
{
    struct arena *a = out->arena;
    struct str ns = in->key.name, ca = configdata_text(config_map(in->view, STR(RECORD_NS), RECORD_NAME), KEY);
    const struct object *old = config_map(in->view, ns, ACCOUNTS_ROOT_CA);
    if (namespace_closed(in->view, ns) || ca.n == 0 || !cluster_config_of(in->view).pod_tokens ||
        (old != NULL && (old->deleting || str_eq(configdata_text(old, KEY), ca)))) {
        return 0;
    }
    const struct kind *k = kind_of(KIND_CONFIGMAP);
    struct value *doc = old != NULL ? object_to_value(a, old) : value_map(a),
                 *metadata = value_ensure_map(a, doc, "metadata"), *data = value_ensure_map(a, doc, "data");
    value_set(a, data, KEY, value_str(a, ca));
    DECIDED(out, REASON_GIVES_CA);
    if (old != NULL) {
        return txn_update_value(out->txn, k, doc, TXN_PART_ALL, old->revision, err);
    }
    value_set(a, doc, "apiVersion", value_cstr(a, k->api_version));
    value_set(a, doc, "kind", value_cstr(a, k->name));
    value_set(a, metadata, "name", value_cstr(a, ACCOUNTS_ROOT_CA));
    value_set(a, metadata, "namespace", value_str(a, ns));
    value_set(a, value_ensure_map(a, metadata, "annotations"), "kubernetes.io/description",
              value_cstr(a, "The certificate authority of the masters. Written by the cluster, whatever is written "
                            "here."));
    return txn_create_value(out->txn, k, doc, err);
}

static void emit_all(const struct view *tip, controller_emit *emit, void *data)
{
    struct view_iter it;
    view_iter(&it, tip, kind_of(KIND_NAMESPACE), STR_NONE);
    VIEW_FOR(ns, &it)
    {
        emit(data, ns->kind, STR_NONE, ns->name);
    }
}

static void map_config_map(const struct view *tip, const struct object *old, const struct object *now,
                           controller_emit *emit, void *data)
{
    const struct object *o = now != NULL ? now : old;
    if (str_is(o->name, RECORD_NAME) && str_is(o->ns, RECORD_NS)) {
        emit_all(tip, emit, data);
    } else if (old != NULL && str_is(o->name, ACCOUNTS_ROOT_CA)) {
        emit(data, kind_of(KIND_NAMESPACE), STR_NONE, o->ns);
    }
}

static void map_config(const struct view *tip, const struct object *old, const struct object *now,
                       controller_emit *emit, void *data)
{
    struct cluster_config before, after;
    cluster_config_read(old, &before);
    cluster_config_read(now, &after);
    if (before.pod_tokens != after.pod_tokens) {
        emit_all(tip, emit, data);
    }
}

static const struct controller_watch watches[] = {
    {KIND_NAMESPACE, map_self}, {KIND_CONFIGMAP, map_config_map}, {KIND_CLUSTERCONFIGURATION, map_config}, {0, NULL}};
const struct controller controller_root_ca = {.name = "root-ca", .watches = watches, .reconcile = root_ca_reconcile};
