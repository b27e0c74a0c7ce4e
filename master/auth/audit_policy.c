#include "master/auth/audit_policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "proto/text/text.h"

const char *const audit_level_words[4] = {"None", "Metadata", "Request", "RequestResponse"};

struct audit_policy {
    struct arena arena;
    const struct value *rules;
    bool omitted; /* by the policy: the stage that is written */
};

/* ---- Reading ---- */

static int wrong(struct error *err, const char *field, const char *why)
{
    return error_set_field(err, ERR_INVALID, field, "audit policy: %s: %s", field, why);
}

static bool are_texts(const struct value *list)
{
    bool good = value_is_null(list) || value_is_list(list);
    for (unsigned i = 0; good && i < value_count(list); i++) {
        good = value_is_str(value_item(list, i));
    }
    return good;
}

static bool level_of(const struct value *rule, enum audit_level *out)
{
    struct str word = value_path_str(rule, "level");
    for (unsigned i = 0; i < ARRAY_SIZE(audit_level_words); i++) {
        if (str_is(word, audit_level_words[i])) {
            *out = (enum audit_level)i;
            return true;
        }
    }
    return false;
}

static int check_stages(const struct value *list, const char *field, struct error *err)
{
    static const char *const stages[] = {"RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"};
    if (!are_texts(list)) {
        return wrong(err, field, "must be a list of texts");
    }
    for (unsigned i = 0; i < value_count(list); i++) {
        bool known = false;
        for (size_t n = 0; n < ARRAY_SIZE(stages); n++) {
            known |= str_is(value_to_str(value_item(list, i)), stages[n]);
        }
        if (!known) {
            return wrong(err, field, "known are RequestReceived, ResponseStarted, ResponseComplete, Panic");
        }
    }
    return 0;
}

static int check_resources(const struct value *list, unsigned rule, struct error *err)
{
    char field[64];
    snprintf(field, sizeof field, "rules[%u].resources", rule);
    if (!value_is_null(list) && !value_is_list(list)) {
        return wrong(err, field, "must be a list of {group, resources, resourceNames}");
    }
    for (unsigned i = 0; i < value_count(list); i++) {
        const struct value *one = value_item(list, i);
        snprintf(field, sizeof field, "rules[%u].resources[%u]", rule, i);
        if (!value_is_map(one) || !are_texts(value_get(one, "resources")) ||
            !are_texts(value_get(one, "resourceNames")) ||
            (value_get(one, "group") != NULL && !value_is_str(value_get(one, "group")))) {
            return wrong(err, field, "must be {group, resources, resourceNames}: a text, and lists of texts");
        }
        if (value_count(value_get(one, "resourceNames")) > 0 && value_count(value_get(one, "resources")) == 0) {
            return wrong(err, field, "using resourceNames requires at least one resource");
        }
    }
    return 0;
}

static int check_rule(const struct value *rule, unsigned n, struct error *err)
{
    static const char *const known[] = {"level",           "users",      "userGroups",
                                        "verbs",           "resources",  "namespaces",
                                        "nonResourceURLs", "omitStages", "omitManagedFields"};
    static const char *const lists[] = {"users", "userGroups", "verbs", "namespaces", "nonResourceURLs"};
    enum audit_level level;
    char field[64];
    snprintf(field, sizeof field, "rules[%u]", n);
    if (!value_is_map(rule)) {
        return wrong(err, field, "must be a map");
    }
    for (unsigned i = 0; i < value_count(rule); i++) {
        struct str key = rule->map.members[i].key;
        bool found = false;
        for (size_t k = 0; k < ARRAY_SIZE(known); k++) {
            found |= str_is(key, known[k]);
        }
        if (!found) { /* of which one hopes that it keeps something out of the record, or in it */
            snprintf(field, sizeof field, "rules[%u].%.*s", n, (int)MIN(key.n, (size_t)40), key.p);
            return wrong(err, field, "unknown field");
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        if (!are_texts(value_get(rule, lists[i]))) {
            snprintf(field, sizeof field, "rules[%u].%s", n, lists[i]);
            return wrong(err, field, "must be a list of texts");
        }
    }
    if (!level_of(rule, &level)) {
        snprintf(field, sizeof field, "rules[%u].level", n);
        return wrong(err, field, "must be None, Metadata, Request or RequestResponse");
    }
    bool paths = value_count(value_get(rule, "nonResourceURLs")) > 0;
    if (paths && (value_count(value_get(rule, "resources")) > 0 || value_count(value_get(rule, "namespaces")) > 0)) {
        return wrong(err, field, "rules cannot apply to both regular resources and non-resource URLs");
    }
    snprintf(field, sizeof field, "rules[%u].omitStages", n);
    int rv = check_stages(value_get(rule, "omitStages"), field, err);
    return rv != 0 ? rv : check_resources(value_get(rule, "resources"), n, err);
}

static bool is_in(const struct value *list, struct str word)
{
    for (unsigned i = 0; i < value_count(list); i++) {
        if (str_eq(value_to_str(value_item(list, i)), word)) {
            return true;
        }
    }
    return false;
}

static int read_policy(struct audit_policy *p, struct str text, struct error *err)
{
    struct value **docs;
    unsigned count = 0;
    int rv = yaml_read(&p->arena, text, NULL, &docs, &count, err);
    if (rv != 0) {
        return rv;
    }
    if (count != 1 || !value_is_map(docs[0])) {
        return wrong(err, "policy", "must be one document");
    }
    struct str version = value_path_str(docs[0], "apiVersion"), kind = value_path_str(docs[0], "kind");
    if (!str_is(version, "audit.k8s.io/v1") || !str_is(kind, "Policy")) {
        return wrong(err, "apiVersion", "must be audit.k8s.io/v1, and kind Policy");
    }
    p->rules = value_get(docs[0], "rules");
    if (!value_is_list(p->rules) || value_count(p->rules) == 0 || value_count(p->rules) > AUDIT_RULES_MAX) {
        return wrong(err, "rules", "must be a list of 1 to 256 rules");
    }
    for (unsigned i = 0; rv == 0 && i < value_count(p->rules); i++) {
        rv = check_rule(value_item(p->rules, i), i, err);
    }
    const struct value *omit = value_get(docs[0], "omitStages");
    rv = rv != 0 ? rv : check_stages(omit, "omitStages", err);
    p->omitted = is_in(omit, STR(AUDIT_STAGE));
    return rv;
}

int audit_policy_read(struct str text, struct audit_policy **out, struct error *err)
{
    struct audit_policy *p = xcalloc(1, sizeof *p);
    arena_init(&p->arena);
    int rv = read_policy(p, text, err);
    if (rv != 0) {
        audit_policy_free(p);
        return rv;
    }
    *out = p;
    return 0;
}

void audit_policy_free(struct audit_policy *p)
{
    if (p != NULL) {
        arena_close(&p->arena);
        free(p);
    }
}

/* ---- Matching ---- */

static bool fits_groups(const struct value *list, const struct rbac_subject *who)
{
    for (unsigned i = 0; i < who->groups_count; i++) {
        if (is_in(list, who->groups[i])) {
            return true;
        }
    }
    return false;
}

/* "*", "pods", "pods/log", "pods/" + "*", "*" + "/scale". */
static bool fits_resource(struct str word, const struct audit_what *w)
{
    const char *slash = word.n == 0 ? NULL : memchr(word.p, '/', word.n);
    if (str_is(word, "*")) {
        return true;
    }
    if (slash == NULL) {
        return w->sub.n == 0 && str_eq(word, w->resource);
    }
    struct str of = {word.p, (size_t)(slash - word.p)}, sub = {slash + 1, word.n - (size_t)(slash - word.p) - 1};
    bool same_of = str_is(of, "*") || str_eq(of, w->resource);
    return same_of && w->sub.n > 0 && (str_is(sub, "*") || str_eq(sub, w->sub));
}

static bool fits_resources(const struct value *list, const struct audit_what *w)
{
    for (unsigned i = 0; i < value_count(list); i++) {
        const struct value *one = value_item(list, i), *words = value_get(one, "resources"),
                           *names = value_get(one, "resourceNames");
        if (!str_eq(value_path_str(one, "group"), w->group)) {
            continue;
        }
        bool fits = value_count(words) == 0;
        for (unsigned n = 0; !fits && n < value_count(words); n++) {
            fits = fits_resource(value_to_str(value_item(words, n)), w);
        }
        if (fits && (value_count(names) == 0 || is_in(names, w->name))) {
            return true;
        }
    }
    return false;
}

static bool fits_path(const struct value *list, struct str path)
{
    for (unsigned i = 0; i < value_count(list); i++) {
        struct str word = value_to_str(value_item(list, i));
        bool all = word.n > 0 && word.p[word.n - 1] == '*';
        if (all ? str_starts(path, (struct str){word.p, word.n - 1}) : str_eq(path, word)) {
            return true;
        }
    }
    return false;
}

static bool fits(const struct value *rule, const struct rbac_subject *who, const struct audit_what *w)
{
    const struct value *users = value_get(rule, "users"), *groups = value_get(rule, "userGroups"),
                       *verbs = value_get(rule, "verbs"), *spaces = value_get(rule, "namespaces"),
                       *resources = value_get(rule, "resources"), *paths = value_get(rule, "nonResourceURLs");
    if ((value_count(users) > 0 && !is_in(users, who->user)) ||
        (value_count(groups) > 0 && !fits_groups(groups, who)) || (value_count(verbs) > 0 && !is_in(verbs, w->verb))) {
        return false;
    }
    if (value_count(spaces) > 0 || value_count(resources) > 0) {
        return w->resource.n > 0 && (value_count(spaces) == 0 || is_in(spaces, w->ns)) &&
               (value_count(resources) == 0 || fits_resources(resources, w));
    }
    return value_count(paths) == 0 || (w->resource.n == 0 && fits_path(paths, w->path));
}

enum audit_level audit_policy_level(const struct audit_policy *p, const struct rbac_subject *who,
                                    const struct audit_what *what)
{
    enum audit_level level = AUDIT_NONE;
    for (unsigned i = 0; i < value_count(p->rules); i++) {
        const struct value *rule = value_item(p->rules, i);
        if (fits(rule, who, what)) {
            bool omitted = p->omitted || is_in(value_get(rule, "omitStages"), STR(AUDIT_STAGE));
            return !omitted && level_of(rule, &level) ? level : AUDIT_NONE;
        }
    }
    return AUDIT_NONE;
}

bool audit_is_secret(const struct audit_what *w)
{
    bool core = w->group.n == 0;
    return (core && str_is(w->resource, "secrets")) || str_is(w->resource, "tokenreviews") ||
           (core && str_is(w->resource, "serviceaccounts") && str_is(w->sub, "token")) ||
           (core && str_is(w->resource, "configmaps") && str_is(w->ns, "kube-system") &&
            str_starts(w->name, STR("reeve-"))) ||
           w->resource.n == 0;
}
