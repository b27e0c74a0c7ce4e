/* Rules for the volumes of a pod. */
#include "proto/kinds/kinds.h"
#include "proto/quantity.h"

#define MODE_WHY "must be a number between 0 and 0777 (octal), both inclusive"

static void check_mode(const struct value *v, const struct fpath *p, struct errlist *l)
{
    if (v != NULL && (v->integer < 0 || v->integer > 0777)) {
        bad_value(l, v, p, MODE_WHY);
    }
}

static bool has_dot_dot(struct str path)
{
    for (size_t i = 0; i + 1 < path.n; i++) {
        bool starts = i == 0 || path.p[i - 1] == '/', ends = i + 2 == path.n || path.p[i + 2] == '/';
        if (starts && ends && path.p[i] == '.' && path.p[i + 1] == '.') {
            return true;
        }
    }
    return false;
}

/* A file below the volume's root, which may not hide what keeps the volume current (names that begin with ".."). */
void check_relative_path(struct errlist *l, const struct value *v, const struct fpath *p)
{
    struct str s = value_to_str(v);
    if (s.n == 0) {
        return;
    }
    if (s.p[0] == '/') {
        bad_value(l, v, p, "must be a relative path");
    } else if (has_dot_dot(s)) {
        bad_value(l, v, p, "must not contain '..'");
    } else if (str_starts(s, STR(".."))) {
        bad_value(l, v, p, "must not start with '..'");
    }
}

static void check_no_dot_dot(const struct value *v, const struct fpath *p, struct errlist *l)
{
    if (has_dot_dot(value_to_str(v))) {
        bad_value(l, v, p, "must not contain '..'");
    }
}

static void check_items(const struct value *source, const struct fpath *p, struct errlist *l)
{
    const struct value *items = value_get(source, "items");
    check_mode(value_get(source, "defaultMode"), FPATH_AT(p, "defaultMode"), l);
    VALUE_FOR(i, items)
    {
        const struct value *item = value_item(items, i), *key = value_get(item, "key");
        const struct fpath *at = FPATH_ITEM(FPATH_AT(p, "items"), i);
        if (value_to_str(key).n > 0 && !name_is_config_key(value_to_str(key))) {
            bad_value(l, key, FPATH_AT(at, "key"), NAME_CONFIG_KEY_WHY);
        }
        check_relative_path(l, value_get(item, "path"), FPATH_AT(at, "path"));
        check_mode(value_get(item, "mode"), FPATH_AT(at, "mode"), l);
    }
}

static void check_named_items(const struct value *source, const char *name, const struct fpath *p, struct errlist *l)
{
    if (value_to_str(value_get(source, name)).n == 0) {
        bad_required(l, source, FPATH_AT(p, name));
    }
    check_items(source, p, l);
}

static void check_config_map(const struct value *source, const struct fpath *p, struct errlist *l)
{
    check_named_items(source, "name", p, l);
}

static void check_secret(const struct value *source, const struct fpath *p, struct errlist *l)
{
    check_named_items(source, "secretName", p, l);
}

static void check_downward(const struct value *source, const struct fpath *p, struct errlist *l)
{
    const struct value *items = value_get(source, "items");
    check_mode(value_get(source, "defaultMode"), FPATH_AT(p, "defaultMode"), l);
    VALUE_FOR(i, items)
    {
        const struct value *item = value_item(items, i);
        const struct value *field = value_get(item, "fieldRef"), *resource = value_get(item, "resourceFieldRef");
        const struct fpath *at = FPATH_ITEM(FPATH_AT(p, "items"), i);
        check_relative_path(l, value_get(item, "path"), FPATH_AT(at, "path"));
        check_mode(value_get(item, "mode"), FPATH_AT(at, "mode"), l);
        if (field == NULL && resource == NULL) {
            errlist_add(l, item, fpath_text(l->arena, FPATH_AT(at, "fieldRef")),
                        "Required value: one of fieldRef and resourceFieldRef is required");
        } else if (field != NULL && resource != NULL) {
            bad_forbidden(l, resource, FPATH_AT(at, "resourceFieldRef"), "fieldRef is given as well");
        } else if (field != NULL) {
            check_field_ref(l, field, FPATH_AT(at, "fieldRef"), true);
        } else {
            check_resource_ref(l, resource, FPATH_AT(at, "resourceFieldRef"), true);
        }
    }
}

static void check_empty_dir(const struct value *source, const struct fpath *p, struct errlist *l)
{
    const struct value *limit = value_get(source, "sizeLimit"), *medium = value_get(source, "medium");
    if (limit != NULL && quantity_cmp(value_to_str(limit), STR("0")) < 0) {
        bad_value(l, limit, FPATH_AT(p, "sizeLimit"), "must be greater than or equal to 0");
    }
    if (value_to_str(medium).n > 0 && !str_is(value_to_str(medium), "Memory") &&
        !str_starts(value_to_str(medium), STR("HugePages"))) {
        bad_choice(l, medium, FPATH_AT(p, "medium"), "Memory|HugePages");
    }
}

static void check_host_path(const struct value *source, const struct fpath *p, struct errlist *l)
{
    check_no_dot_dot(value_get(source, "path"), FPATH_AT(p, "path"), l);
}

static void check_nfs(const struct value *source, const struct fpath *p, struct errlist *l)
{
    struct str path = value_to_str(value_get(source, "path"));
    if (path.n > 0 && path.p[0] != '/') {
        bad_value(l, value_get(source, "path"), FPATH_AT(p, "path"), "must be an absolute path");
    }
}

static void check_git(const struct value *source, const struct fpath *p, struct errlist *l)
{
    check_relative_path(l, value_get(source, "directory"), FPATH_AT(p, "directory"));
}

static void check_ephemeral(const struct value *source, const struct fpath *p, struct errlist *l)
{
    if (value_get(source, "volumeClaimTemplate") == NULL) {
        bad_required(l, source, FPATH_AT(p, "volumeClaimTemplate"));
    }
}

static void check_token(const struct value *source, const struct fpath *p, struct errlist *l)
{
    check_at_least(l, value_get(source, "expirationSeconds"), FPATH_AT(p, "expirationSeconds"), 600);
    check_relative_path(l, value_get(source, "path"), FPATH_AT(p, "path"));
}

static void check_bundle(const struct value *source, const struct fpath *p, struct errlist *l)
{
    bool name = value_get(source, "name") != NULL, signer = value_get(source, "signerName") != NULL;
    check_relative_path(l, value_get(source, "path"), FPATH_AT(p, "path"));
    if (name == signer) {
        bad_value(l, source, p, "exactly one of name and signerName is required");
    }
}

struct source_rule {
    const char *name;
    void (*check)(const struct value *source, const struct fpath *p, struct errlist *l);
};

/* Exactly one member of v (beside "name") is a source; its rule, if there is one, is applied. */
static void check_one_source(const struct value *v, const struct source_rule *rules, unsigned count,
                             const struct fpath *p, const char *what, struct errlist *l)
{
    unsigned sources = 0;
    for (unsigned i = 0; i < value_count(v); i++) {
        const struct value_member *m = &v->map.members[i];
        if (str_is(m->key, "name")) {
            continue;
        }
        if (sources++ > 0) {
            bad_forbidden(l, m->value, FPATH_STR(p, m->key),
                          arena_printf(l->arena, "may not specify more than 1 %s", what));
        }
        for (unsigned j = 0; j < count; j++) {
            if (str_is(m->key, rules[j].name)) {
                rules[j].check(m->value, FPATH_STR(p, m->key), l);
            }
        }
    }
    if (sources == 0) {
        errlist_add(l, v, fpath_text(l->arena, p), "Required value: must specify a %s", what);
    }
}

static void check_projected(const struct value *source, const struct fpath *p, struct errlist *l)
{
    static const struct source_rule rules[] = {
        {"configMap", check_config_map},      {"secret", check_config_map},         {"downwardAPI", check_downward},
        {"serviceAccountToken", check_token}, {"clusterTrustBundle", check_bundle},
    };
    const struct value *sources = value_get(source, "sources");
    check_mode(value_get(source, "defaultMode"), FPATH_AT(p, "defaultMode"), l);
    VALUE_FOR(i, sources)
    {
        check_one_source(value_item(sources, i), rules, ARRAY_SIZE(rules), FPATH_ITEM(FPATH_AT(p, "sources"), i),
                         "projection type", l);
    }
}

void pod_volumes_check(const struct value *volumes, const struct fpath *p, struct errlist *l)
{
    static const struct source_rule rules[] = {
        {"configMap", check_config_map}, {"secret", check_secret},       {"downwardAPI", check_downward},
        {"emptyDir", check_empty_dir},   {"hostPath", check_host_path},  {"nfs", check_nfs},
        {"gitRepo", check_git},          {"projected", check_projected}, {"ephemeral", check_ephemeral},
    };
    VALUE_FOR(i, volumes)
    {
        const struct value *v = value_item(volumes, i), *name = value_get(v, "name");
        const struct fpath *at = FPATH_ITEM(p, i);
        if (value_to_str(name).n > 0) {
            check_dns_label(l, v, name, FPATH_AT(at, "name"));
            if (value_find(volumes, "name", value_to_str(name)) != v) {
                bad_duplicate(l, name, FPATH_AT(at, "name"));
            }
        }
        check_one_source(v, rules, ARRAY_SIZE(rules), at, "volume type", l);
    }
}
