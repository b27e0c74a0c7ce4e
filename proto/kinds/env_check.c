/* Rules for the environment of containers, and for references to fields of the pod. */
#include "proto/kinds/kinds.h"
#include "proto/model/quantity.h"

#define FIELD_PATHS_ENV                                                                                                \
    "metadata.name|metadata.namespace|metadata.uid|spec.nodeName|spec.serviceAccountName|status.hostIP|"               \
    "status.hostIPs|status.podIP|status.podIPs"
#define FIELD_PATHS_VOLUME "metadata.name|metadata.namespace|metadata.uid|metadata.labels|metadata.annotations"
#define RESOURCE_NAMES                                                                                                 \
    "limits.cpu|limits.memory|limits.ephemeral-storage|requests.cpu|requests.memory|requests.ephemeral-storage"

/* metadata.labels['key'], metadata.annotations['key']. True, and reported if the key is wrong. */
static bool is_subscript(struct errlist *l, const struct value *v, const struct fpath *p)
{
    static const char *const maps[] = {"metadata.labels['", "metadata.annotations['"};
    struct str path = value_to_str(v);
    for (unsigned i = 0; i < ARRAY_SIZE(maps); i++) {
        struct str prefix = str_of(maps[i]);
        if (!str_starts(path, prefix) || !str_ends(path, STR("']")) || path.n < prefix.n + 2) {
            continue;
        }
        struct str key = {path.p + prefix.n, path.n - prefix.n - 2};
        if (i == 0 ? !name_is_label_key(key) : !name_is_annotation_key(key)) {
            bad_value(l, value_str(l->arena, key), p, NAME_LABEL_KEY_WHY);
        }
        return true;
    }
    return false;
}

void check_field_ref(struct errlist *l, const struct value *ref, const struct fpath *p, bool in_volume)
{
    const struct value *path = value_get(ref, "fieldPath"), *version = value_get(ref, "apiVersion");
    const char *paths = in_volume ? FIELD_PATHS_VOLUME : FIELD_PATHS_ENV;
    if (version != NULL && !str_is(value_to_str(version), "v1")) {
        bad_choice(l, version, FPATH_AT(p, "apiVersion"), "v1");
    }
    if (value_to_str(path).n > 0 && !in_choices(value_to_str(path), paths) && !is_subscript(l, path, p)) {
        bad_choice(l, path, FPATH_AT(p, "fieldPath"), paths);
    }
}

/* One of a unit: 1m and 1 for cpu, 1, 1k, 1Ki and so on for bytes; none, or 0, is the smallest that makes sense. */
static void check_divisor(struct errlist *l, struct str resource, const struct value *divisor, const struct fpath *p)
{
    static const char *const cpu[] = {"1m", "1"};
    static const char *const bytes[] = {"1",   "1k",  "1M",  "1G",  "1T",  "1P", "1E",
                                        "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"};
    struct str s = value_to_str(divisor);
    bool of_cpu = str_ends(resource, STR("s.cpu"));
    const char *const *good = of_cpu ? cpu : bytes;
    if (s.n == 0 || resource.n == 0 || quantity_cmp(s, STR("0")) == 0) {
        return;
    }
    for (unsigned i = 0; i < (of_cpu ? ARRAY_SIZE(cpu) : ARRAY_SIZE(bytes)); i++) {
        if (quantity_cmp(s, str_of(good[i])) == 0) {
            return;
        }
    }
    bad_value(l, divisor, p,
              of_cpu ? "must be 1m or 1 for cpu" : "must be 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi or 1Ei");
}

void check_resource_ref(struct errlist *l, const struct value *ref, const struct fpath *p, bool in_volume)
{
    const struct value *resource = value_get(ref, "resource");
    struct str s = value_to_str(resource);
    if (in_volume && value_to_str(value_get(ref, "containerName")).n == 0) {
        bad_required(l, ref, FPATH_AT(p, "containerName"));
    }
    if (s.n > 0 && !in_choices(s, RESOURCE_NAMES) && !str_starts(s, STR("limits.hugepages-")) &&
        !str_starts(s, STR("requests.hugepages-"))) {
        bad_choice(l, resource, FPATH_AT(p, "resource"), RESOURCE_NAMES);
    }
    check_divisor(l, s, value_get(ref, "divisor"), FPATH_AT(p, "divisor"));
}

/* The name of a ConfigMap or Secret; what cannot be a name at all the table has refused. */
static void check_config_name(struct errlist *l, const struct value *ref, const struct fpath *p)
{
    const struct value *name = value_get(ref, "name");
    if (name == NULL || value_to_str(name).n == 0 || name_is_key(value_to_str(name))) {
        check_dns_subdomain(l, ref, name, FPATH_AT(p, "name"));
    }
}

static void check_key_ref(struct errlist *l, const struct value *ref, const struct fpath *p)
{
    const struct value *key = value_get(ref, "key");
    check_config_name(l, ref, p);
    if (value_to_str(key).n > 0 && !name_is_config_key(value_to_str(key))) {
        bad_value(l, key, FPATH_AT(p, "key"), NAME_CONFIG_KEY_WHY);
    }
}

static void check_value_from(struct errlist *l, const struct value *env, const struct fpath *p)
{
    const struct value *from = value_get(env, "valueFrom");
    const struct fpath *at = FPATH_AT(p, "valueFrom");
    if (value_count(from) == 0) {
        errlist_add(l, ERROR_CAUSE_INVALID, from, fpath_text(l->arena, at),
                    "Invalid value: \"\": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or "
                    "`secretKeyRef`");
        return;
    }
    if (value_to_str(value_get(env, "value")).n > 0) {
        bad_value(l, from, at, "may not be specified when `value` is not empty");
    } else if (value_count(from) > 1) {
        bad_value(l, from, at, "may not have more than one field specified at a time");
    }
    const struct value *field = value_get(from, "fieldRef"), *resource = value_get(from, "resourceFieldRef");
    const struct value *config = value_get(from, "configMapKeyRef"), *secret = value_get(from, "secretKeyRef");
    if (field != NULL) {
        check_field_ref(l, field, FPATH_AT(at, "fieldRef"), false);
    }
    if (resource != NULL) {
        check_resource_ref(l, resource, FPATH_AT(at, "resourceFieldRef"), false);
    }
    if (config != NULL) {
        check_key_ref(l, config, FPATH_AT(at, "configMapKeyRef"));
    }
    if (secret != NULL) {
        check_key_ref(l, secret, FPATH_AT(at, "secretKeyRef"));
    }
}

static void check_env_from(struct errlist *l, const struct value *from, const struct fpath *p)
{
    const struct value *config = value_get(from, "configMapRef"), *secret = value_get(from, "secretRef");
    const struct value *prefix = value_get(from, "prefix");
    if (value_to_str(prefix).n > 0 && !name_is_env(value_to_str(prefix))) {
        bad_value(l, prefix, FPATH_AT(p, "prefix"), NAME_ENV_WHY);
    }
    if (config == NULL && secret == NULL) {
        bad_value(l, from, p, "must specify one of: `configMapRef` or `secretRef`");
    } else if (config != NULL && secret != NULL) {
        bad_value(l, from, p, "may not have more than one field specified at a time");
    }
    if (config != NULL) {
        check_config_name(l, config, FPATH_AT(p, "configMapRef"));
    }
    if (secret != NULL) {
        check_config_name(l, secret, FPATH_AT(p, "secretRef"));
    }
}

void container_env_check(const struct value *container, const struct fpath *p, struct errlist *l)
{
    const struct value *env = value_get(container, "env"), *from = value_get(container, "envFrom");
    VALUE_FOR(i, env)
    {
        const struct value *e = value_item(env, i), *name = value_get(e, "name");
        const struct fpath *at = FPATH_ITEM(FPATH_AT(p, "env"), i);
        if (value_to_str(name).n > 0 && !name_is_env(value_to_str(name))) {
            bad_value(l, name, FPATH_AT(at, "name"), NAME_ENV_WHY);
        }
        if (value_get(e, "valueFrom") != NULL) {
            check_value_from(l, e, at);
        }
    }
    VALUE_FOR(i, from)
    {
        check_env_from(l, value_item(from, i), FPATH_ITEM(FPATH_AT(p, "envFrom"), i));
    }
}
