#include "controllers/accounts.h"

#include <stdio.h>
#include <xxhash.h>

#include "controllers/util.h"
#include "proto/facts/account.h"

static const struct object *account_of(const struct view *v, struct str ns, const struct value *spec)
{
    struct str name = value_to_str(value_get(spec, "serviceAccountName"));
    name = name.n > 0 ? name : value_to_str(value_get(spec, "serviceAccount"));
    return view_get(v, kind_of(KIND_SERVICEACCOUNT), ns, name.n > 0 ? name : STR(ACCOUNT_DEFAULT));
}

/* The pod's word counts, then the account's. */
static bool is_wanted(const struct value *spec, const struct object *account)
{
    const struct value *said = value_get(spec, "automountServiceAccountToken");
    return value_is_null(said) ? mp_bool(mp_get(object_mp(account), "automountServiceAccountToken"), true)
                               : value_to_bool(said, true);
}

static const char *volume_name(struct arena *a, const struct object *account)
{
    static const char letters[] = "bcdfghjklmnpqrstvwxz2456789"; /* as in generated names */
    uint64_t hash = XXH3_64bits_withSeed(account->name.p, account->name.n, account->ns.n);
    char text[6] = "";
    for (unsigned i = 0; i < 5; i++) {
        text[i] = letters[hash % (sizeof letters - 1)];
        hash /= sizeof letters - 1;
    }
    return arena_printf(a, ACCOUNTS_VOLUME "%s", text);
}

static bool has_mount(const struct value *container)
{
    const struct value *mounts = value_get(container, "volumeMounts");
    return value_find(mounts, "mountPath", STR(ACCOUNTS_MOUNT)) != NULL;
}

/* Containers that mount nothing there. How many. */
static unsigned mount_in(struct arena *a, struct value *spec, const char *list, const char *volume)
{
    struct value *containers = value_get(spec, list);
    unsigned count = 0;
    VALUE_FOR(i, containers)
    {
        struct value *c = value_item(containers, i);
        if (!has_mount(c)) {
            struct value *mount = value_map(a);
            value_set(a, mount, "name", value_cstr(a, volume));
            value_set(a, mount, "readOnly", value_bool(a, true));
            value_set(a, mount, "mountPath", value_cstr(a, ACCOUNTS_MOUNT));
            value_append(a, value_ensure_list(a, c, "volumeMounts"), mount);
            count++;
        }
    }
    return count;
}

static struct value *source(struct arena *a, struct value *sources, const char *type)
{
    struct value *one = value_map(a);
    value_append(a, sources, one);
    return value_ensure_map(a, one, type);
}

static struct value *new_volume(struct arena *a, const char *name)
{
    struct value *v = value_map(a), *projected = value_map(a), *sources = value_list(a), *item = value_map(a);
    value_set(a, v, "name", value_cstr(a, name));
    value_set(a, v, "projected", projected);
    value_set(a, projected, "sources", sources);
    value_set(a, projected, "defaultMode", value_int(a, 420));
    struct value *token = source(a, sources, "serviceAccountToken");
    value_set(a, token, "expirationSeconds", value_int(a, ACCOUNTS_LIFE_S));
    value_set(a, token, "path", value_cstr(a, "token"));
    struct value *ca = source(a, sources, "configMap");
    value_set(a, ca, "name", value_cstr(a, ACCOUNTS_ROOT_CA));
    value_set(a, item, "key", value_cstr(a, "ca.crt"));
    value_set(a, item, "path", value_cstr(a, "ca.crt"));
    value_append(a, value_ensure_list(a, ca, "items"), item);
    struct value *facts = source(a, sources, "downwardAPI"), *file = value_map(a);
    struct value *field = value_ensure_map(a, file, "fieldRef");
    value_set(a, file, "path", value_cstr(a, "namespace"));
    value_set(a, field, "apiVersion", value_cstr(a, "v1"));
    value_set(a, field, "fieldPath", value_cstr(a, "metadata.namespace"));
    value_append(a, value_ensure_list(a, facts, "items"), file);
    return v;
}

/* One of this name that somebody wrote himself is taken as it is. */
static void give_token(struct arena *a, struct value *spec, const struct object *account)
{
    const char *name = volume_name(a, account);
    unsigned mounts = mount_in(a, spec, "initContainers", name) + mount_in(a, spec, "containers", name);
    if (mounts > 0 && value_find(value_get(spec, "volumes"), "name", str_of(name)) == NULL) {
        value_append(a, value_ensure_list(a, spec, "volumes"), new_volume(a, name));
    }
}

static void give_pull_secrets(struct arena *a, struct value *spec, const struct object *account)
{
    if (value_count(value_get(spec, "imagePullSecrets")) > 0) {
        return;
    }
    for (struct mp_iter it = mp_iter(mp_get(object_mp(account), "imagePullSecrets")); mp_next(&it);) {
        struct value *one = value_map(a);
        value_set(a, one, "name", value_str(a, mp_str(mp_get(it.value, "name"))));
        value_append(a, value_ensure_list(a, spec, "imagePullSecrets"), one);
    }
}

void accounts_give_pod(const struct view *v, struct arena *a, struct value *pod)
{
    struct value *spec = value_get(pod, "spec");
    struct str ns = value_path_str(pod, "metadata.namespace");
    const struct object *config = view_get(v, kind_of(KIND_CLUSTERCONFIGURATION), STR_NONE, STR(CLUSTER_CONFIG_NAME));
    if (!value_is_map(spec) || config == NULL ||
        !str_is(mp_str(mp_get(object_spec(config), "podTokens")), CLUSTER_POD_TOKENS)) {
        return;
    }
    const struct object *account = account_of(v, ns, spec);
    if (account == NULL) {
        return;
    }
    give_pull_secrets(a, spec, account);
    if (is_wanted(spec, account)) {
        give_token(a, spec, account);
    }
}
