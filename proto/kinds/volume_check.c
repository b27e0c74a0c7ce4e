/* Rules for the volumes of a pod. */
#include "base/strmap.h"
#include "proto/kinds/kinds.h"
#include "proto/model/quantity.h"

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

void check_descending_path(struct errlist *l, const struct value *v, const struct fpath *p)
{
    struct str s = value_to_str(v);
    if (s.n > 0 && s.p[0] == '/') {
        bad_value(l, v, p, "must be a relative path");
    } else if (has_dot_dot(s)) {
        bad_value(l, v, p, "must not contain '..'");
    }
}

void check_relative_path(struct errlist *l, const struct value *v, const struct fpath *p)
{
    check_descending_path(l, v, p);
    if (str_starts(value_to_str(v), STR("..")) && !has_dot_dot(value_to_str(v))) {
        bad_value(l, v, p, "must not start with '..'");
    }
}

void check_no_dot_dot(const struct value *v, const struct fpath *p, struct errlist *l)
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
        const struct value *item = value_item(items, i);
        const struct fpath *at = FPATH_ITEM(FPATH_AT(p, "items"), i);
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
            bad_missing(l, item, at, "one of fieldRef and resourceFieldRef is required");
        } else if (field != NULL && resource != NULL) {
            bad_value(l, item, at, "fieldRef and resourceFieldRef can not be specified together");
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
        bad_forbidden(l, limit, FPATH_AT(p, "sizeLimit"), "must be greater than or equal to 0");
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

static void check_git(const struct value *source, const struct fpath *p, struct errlist *l)
{
    check_descending_path(l, value_get(source, "directory"), FPATH_AT(p, "directory"));
}

/* In a template the reference may still be missing, as the image of a container may not. */
static void check_image(const struct value *source, const struct fpath *p, struct errlist *l)
{
    if (value_to_str(value_get(source, "reference")).n == 0) {
        bad_required(l, source, FPATH_AT(p, "reference"));
    }
}

static void check_ephemeral(const struct value *source, const struct fpath *p, struct errlist *l)
{
    const struct value *template = value_get(source, "volumeClaimTemplate");
    if (template == NULL) {
        bad_required(l, source, FPATH_AT(p, "volumeClaimTemplate"));
    } else {
        claim_template_check(template, FPATH_AT(p, "volumeClaimTemplate"), l);
    }
}

static void check_token(const struct value *source, const struct fpath *p, struct errlist *l)
{
    check_range(l, value_get(source, "expirationSeconds"), FPATH_AT(p, "expirationSeconds"), 600, 1ll << 32);
    check_relative_path(l, value_get(source, "path"), FPATH_AT(p, "path"));
}

static void check_bundle(const struct value *source, const struct fpath *p, struct errlist *l)
{
    const struct value *name = value_get(source, "name"), *signer = value_get(source, "signerName");
    const struct value *selector = value_get(source, "labelSelector");
    check_relative_path(l, value_get(source, "path"), FPATH_AT(p, "path"));
    check_label_selector(l, selector, FPATH_AT(p, "labelSelector"));
    if (name != NULL && signer != NULL) {
        bad_value(l, source, p, "only one of name and signerName may be used");
    } else if (name == NULL && signer == NULL) {
        bad_missing(l, source, p, "one of name and signerName is required");
    } else if (name != NULL && selector != NULL) {
        bad_value(l, selector, FPATH_AT(p, "labelSelector"), "must not be set if name is");
    }
}

struct source_rule {
    const char *name;
    void (*check)(const struct value *source, const struct fpath *p, struct errlist *l);
};

/* Exactly one member of v (beside "name") is a source, or none if none is required; its rule, if there is one, is
 * applied. */
static void check_one_source(const struct value *v, const struct source_rule *rules, unsigned count, bool required,
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
    if (sources == 0 && required) {
        bad_missing(l, v, p, arena_printf(l->arena, "must specify a %s", what));
    }
}

/* Two files under one path, in whichever of the sources. */
static void check_conflicts(const struct value *sources, const struct fpath *p, struct errlist *l)
{
    struct strmap seen;
    strmap_init(&seen);
    VALUE_FOR(i, sources)
    {
        const struct value *v = value_item(sources, i);
        for (unsigned k = 0; k < value_count(v); k++) {
            const struct value *source = v->map.members[k].value, *items = value_get(source, "items");
            bool bundle = str_is(v->map.members[k].key, "clusterTrustBundle");
            for (unsigned j = bundle ? 0 : 1; j < value_count(items) + 1; j++) {
                struct value *path = value_get(j == 0 ? source : value_item(items, j - 1), "path");
                if (value_to_str(path).n > 0 && strmap_set(&seen, value_to_str(path), path) != NULL) {
                    bad_value(l, path, p, "conflicting duplicate paths");
                }
            }
        }
    }
    strmap_close(&seen);
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
        check_one_source(value_item(sources, i), rules, ARRAY_SIZE(rules), false, FPATH_ITEM(FPATH_AT(p, "sources"), i),
                         "volume type per source", l);
    }
    check_conflicts(sources, FPATH_AT(p, "sources"), l);
}

/* Claims made for the pod are called POD-VOLUME. */
static void check_claim_names(const struct value *volumes, struct str pod, const struct fpath *p, struct errlist *l)
{
    for (unsigned i = 0; pod.n > 0 && i < value_count(volumes); i++) {
        const struct value *v = value_item(volumes, i), *name = value_get(v, "name");
        const struct value *claim = value_at(v, "persistentVolumeClaim", "claimName", NULL);
        const struct fpath *at = FPATH_ITEM(p, i);
        struct str s = value_to_str(claim);
        if (value_get(v, "ephemeral") != NULL && value_to_str(name).n > 0) {
            const char *made = arena_printf(l->arena, "%.*s-%.*s", STR_ARG(pod), STR_ARG(value_to_str(name)));
            if (!name_is_dns_subdomain(str_of(made))) {
                bad_value(l, name, FPATH_AT(at, "name"),
                          arena_printf(l->arena, "the claim would be called \"%s\", which is no name", made));
            }
        }
        if (s.n <= pod.n + 1 || !str_starts(s, pod) || s.p[pod.n] != '-') {
            continue;
        }
        const struct value *other = value_find(volumes, "name", (struct str){s.p + pod.n + 1, s.n - pod.n - 1});
        if (value_get(other, "ephemeral") != NULL) {
            bad_value(l, claim, FPATH_AT(FPATH_AT(at, "persistentVolumeClaim"), "claimName"),
                      "must not be the claim that is made for an ephemeral volume");
        }
    }
}

void pod_volumes_check(const struct value *volumes, struct str pod_name, const struct fpath *p, struct errlist *l)
{
    static const struct source_rule rules[] = {
        {"configMap", check_config_map}, {"secret", check_secret},       {"downwardAPI", check_downward},
        {"emptyDir", check_empty_dir},   {"hostPath", check_host_path},  {"gitRepo", check_git},
        {"projected", check_projected},  {"ephemeral", check_ephemeral},
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
        check_one_source(v, rules, ARRAY_SIZE(rules), true, at, "volume type", l);
        if (pod_name.n > 0 && value_get(v, "image") != NULL) {
            check_image(value_get(v, "image"), FPATH_AT(at, "image"), l);
        }
        for (unsigned k = 0; k < value_count(v); k++) {
            const struct value_member *m = &v->map.members[k];
            if (value_is_map(m->value)) {
                foreign_volume_check(m->key, m->value, value_to_str(name), FPATH_STR(at, m->key), l);
            }
        }
    }
    check_claim_names(volumes, pod_name, p, l);
}
