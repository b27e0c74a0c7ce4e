/* ResourceQuota: how much a namespace may have of what. Source: Kubernetes core/v1 ResourceQuota. What counts is
 * proto/facts/quota.h; status is the evaluation's alone (raft-store/store/world_quota.c). */
#include "proto/facts/quota.h"
#include "proto/kinds/quota.h"
#include "proto/schema/release.h"

#include <stdlib.h>

#define SCOPES    "BestEffort|CrossNamespacePodAffinity|NotBestEffort|NotTerminating|PriorityClass|Terminating"
#define OPERATORS "DoesNotExist|Exists|In|NotIn"

/* clang-format off */
SCHEMA_STATIC(scope_requirement, "ScopedResourceSelectorRequirement", "One condition on pods.",
    STRING("scopeName", "What of a pod is looked at: " SCOPES ".", REQUIRED, ONE_OF(SCOPES)),
    STRING("operator", "Exists, DoesNotExist, In or NotIn; In and NotIn are for PriorityClass.", REQUIRED,
           ONE_OF(OPERATORS)),
    STRINGS("values", "Names of priority classes, for In and NotIn."));

SCHEMA_STATIC(scope_selector, "ScopeSelector", "Conditions that must all hold.",
    OBJECTS("matchExpressions", scope_requirement, "The conditions."));

SCHEMA_STATIC(quota_spec, "ResourceQuotaSpec", "How much there may be.",
    QUANTITY_MAP("hard", "The most that there may be of each: pods, requests.cpu, limits.memory, requests.storage, "
                 "services.nodeports, count/deployments.apps, requests.example.com/gpu, "
                 "CLASS.storageclass.storage.k8s.io/requests.storage and others."),
    STRINGS("scopes", "Only pods that are all of this count: " SCOPES ". Cannot change."),
    OBJECT("scopeSelector", scope_selector, "The same with operators, for pods of some priority classes. Cannot "
           "change."));

SCHEMA_STATIC(quota_status, "ResourceQuotaStatus", "How much there is, always exact.",
    QUANTITY_MAP("hard", "The most that there may be, as the amounts beside it were counted for."),
    QUANTITY_MAP("used", "How much there is."));

SCHEMA_STATIC(quota, "ResourceQuota", "How much a namespace may have of what.",
    TYPE_META,
    OBJECT("spec", quota_spec, "How much there may be.", DEFAULT("{}")),
    OBJECT("status", quota_status, "How much there is.", .flags = FIELD_STATUS));
/* clang-format on */

/* ---- Rules ---- */

static bool is_whole(struct str name)
{
    static const char names[] = "pods|services|services.nodeports|services.loadbalancers|configmaps|secrets|"
                                "persistentvolumeclaims|replicationcontrollers|resourcequotas";
    bool device = str_starts(name, STR("requests.")) && memchr(name.p, '/', name.n) != NULL;
    return in_choices(name, names) || str_starts(name, STR("count/")) || device;
}

static bool is_standard(struct str name)
{
    struct quota_resource r;
    quota_resource_read(name, &r);
    return r.what != QUOTA_NOTHING;
}

static void check_hard(const struct value *hard, struct errlist *l)
{
    const struct fpath *p = FPATH_AT(FPATH("spec"), "hard");
    if (value_count(hard) > QUOTA_RESOURCES_MAX) {
        errlist_add(l, ERROR_CAUSE_TOO_MANY, hard, "spec.hard", "Too many: must have at most %u names",
                    QUOTA_RESOURCES_MAX);
        return;
    }
    for (unsigned i = 0; i < value_count(hard); i++) {
        const struct value_member *m = &hard->map.members[i];
        const struct fpath *at = FPATH_KEY(p, m->key);
        struct value *key = value_str(l->arena, m->key);
        key->line = m->line;
        key->column = m->column;
        int64_t milli;
        if (!name_is_label_key(m->key)) {
            bad_value(l, key, at, NAME_LABEL_KEY_WHY);
        } else if (memchr(m->key.p, '/', m->key.n) == NULL && !is_standard(m->key)) {
            bad_value(l, key, at, "must be a standard resource for quota, or have a prefix (such as count/jobs.batch)");
        }
        if (quantity_cmp(value_to_str(m->value), STR("0")) < 0) {
            bad_value(l, m->value, at, "must be greater than or equal to 0");
        } else if (is_whole(m->key) && quantity_milli(value_to_str(m->value), &milli) && milli % 1000 != 0) {
            bad_value(l, m->value, at, "must be an integer");
        }
    }
}

static bool scope_counts(struct str scope, struct str name)
{
    return str_is(name, "pods") ||
           (!str_is(scope, "BestEffort") &&
            in_choices(name, "cpu|memory|requests.cpu|requests.memory|limits.cpu|limits.memory"));
}

/* Names with a prefix are let through, as Kubernetes does: nothing of what they count is in the scope, or is. */
static void check_scope(const struct value *hard, const struct value *scope, const struct fpath *p, struct errlist *l)
{
    for (unsigned i = 0; i < value_count(hard); i++) {
        struct str name = hard->map.members[i].key;
        if (memchr(name.p, '/', name.n) == NULL && !scope_counts(value_to_str(scope), name)) {
            bad_value(
                l, scope, p,
                arena_printf(l->arena, "unsupported scope applied to resource: there is no %.*s in it", STR_ARG(name)));
            return;
        }
    }
}

struct scopes {
    bool ends, lasts, best_effort, not_best_effort;
};

static void scope_note(struct scopes *s, struct str name)
{
    s->ends = s->ends || str_is(name, "Terminating");
    s->lasts = s->lasts || str_is(name, "NotTerminating");
    s->best_effort = s->best_effort || str_is(name, "BestEffort");
    s->not_best_effort = s->not_best_effort || str_is(name, "NotBestEffort");
}

static void check_conflict(const struct scopes *s, const struct value *where, const struct fpath *p, struct errlist *l)
{
    if ((s->ends && s->lasts) || (s->best_effort && s->not_best_effort)) {
        bad_value(l, where, p, "conflicting scopes: no pod is both");
    }
}

static void check_expression(const struct value *e, const struct fpath *p, struct errlist *l)
{
    struct str scope = value_path_str(e, "scopeName"), how = value_path_str(e, "operator");
    bool listed = in_choices(how, "In|NotIn");
    unsigned values = value_count(value_get(e, "values"));
    if (!in_choices(scope, SCOPES) || !in_choices(how, OPERATORS)) {
        return; /* the table has said it */
    }
    if (!str_is(scope, "PriorityClass") && !str_is(how, "Exists")) {
        bad_value(l, value_get(e, "operator"), FPATH_AT(p, "operator"),
                  arena_printf(l->arena, "must be 'Exists' for the scope %.*s", STR_ARG(scope)));
    } else if (listed && values == 0) {
        bad_missing(l, e, FPATH_AT(p, "values"), "must be at least one value when `operator` is 'In' or 'NotIn'");
    } else if (!listed && values > 0) {
        bad_value(l, value_get(e, "values"), FPATH_AT(p, "values"),
                  "must be no value when `operator` is 'Exists' or 'DoesNotExist'");
    }
}

static bool same_set(struct arena *a, const struct value *x, const struct value *y)
{
    unsigned n = value_count(x);
    struct str *xs = arena_alloc(a, (n + 1) * sizeof *xs), *ys = arena_alloc(a, (n + 1) * sizeof *ys);
    if (value_count(y) != n) {
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        xs[i] = value_to_str(value_item(x, i));
        ys[i] = value_to_str(value_item(y, i));
    }
    qsort(xs, n, sizeof *xs, str_cmp_at);
    qsort(ys, n, sizeof *ys, str_cmp_at);
    for (unsigned i = 0; i < n; i++) {
        if (!str_eq(xs[i], ys[i])) {
            return false;
        }
    }
    return true;
}

static void quota_validate(const struct value *obj, const struct value *old, struct errlist *l)
{
    const struct value *spec = value_get(obj, "spec"), *was = value_get(old, "spec"), *hard = value_get(spec, "hard");
    const struct value *scopes = value_get(spec, "scopes"), *selector = value_get(spec, "scopeSelector");
    const struct value *list = value_get(selector, "matchExpressions");
    const struct fpath *p = FPATH("spec"), *at = FPATH_AT(p, "scopes"),
                       *in = FPATH_AT(FPATH_AT(p, "scopeSelector"), "matchExpressions");
    struct scopes plain = {0}, selected = {0};
    check_hard(hard, l);
    VALUE_FOR(i, scopes)
    {
        const struct value *scope = value_item(scopes, i);
        if (!in_choices(value_to_str(scope), SCOPES)) {
            bad_choice(l, scope, FPATH_ITEM(at, i), SCOPES);
            continue;
        }
        scope_note(&plain, value_to_str(scope));
        check_scope(hard, scope, FPATH_ITEM(at, i), l);
    }
    VALUE_FOR(i, list)
    {
        const struct value *e = value_item(list, i), *scope = value_get(e, "scopeName");
        scope_note(&selected, value_to_str(scope));
        check_expression(e, FPATH_ITEM(in, i), l);
        if (in_choices(value_to_str(scope), SCOPES)) {
            check_scope(hard, scope, FPATH_AT(FPATH_ITEM(in, i), "scopeName"), l);
        }
    }
    check_conflict(&plain, scopes, at, l);
    check_conflict(&selected, list, in, l);
    if (old != NULL && !same_set(l->arena, scopes, value_get(was, "scopes"))) {
        check_immutable(l, scopes, value_get(was, "scopes"), at);
    }
    if (old != NULL) {
        check_immutable(l, selector, value_get(was, "scopeSelector"), FPATH_AT(p, "scopeSelector"));
    }
}

/* ---- Columns ---- */

/* Those whose name begins with "limits." have a column of their own. */
static void cell_used(struct buf *out, const struct object *o, bool limits)
{
    struct mp used = mp_get(object_status(o), "used");
    unsigned n = 0;
    for (struct mp_iter it = mp_iter(mp_get(object_status(o), "hard")); mp_next(&it);) {
        struct str u = mp_str(mp_get_str_key(used, it.key)), h = mp_str(it.value);
        if (str_starts(it.key, STR("limits.")) == limits) {
            u = u.n > 0 ? u : STR("0");
            buf_printf(out, "%s%.*s: %.*s/%.*s", n++ > 0 ? ", " : "", STR_ARG(it.key), STR_ARG(u), STR_ARG(h));
        }
    }
}

static void cell_request(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_used(out, o, false);
}

static void cell_limit(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_used(out, o, true);
}

static const struct column columns[] = {
    {.title = "NAME"},
    {.title = "REQUEST", .cell = cell_request},
    {.title = "LIMIT", .cell = cell_limit},
    {.title = "AGE"},
};

const struct kind kind_resourcequota = {
    .id = KIND_RESOURCEQUOTA,
    .since = RELEASE_LEVEL_CARRIED,
    .name = "ResourceQuota",
    .api_version = "v1",
    .plural = "resourcequotas",
    .singular = "resourcequota",
    .short_names = "quota",
    .namespaced = true,
    .has_status = true,
    .schema = &quota,
    .columns = columns,
    .columns_count = ARRAY_SIZE(columns),
    .validate = quota_validate,
    .doubt = quota_doubt,
    .describe = quota_describe,
};
