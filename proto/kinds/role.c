/* Role and ClusterRole: what may be done. Source: Kubernetes rbac.authorization.k8s.io/v1; v1beta1 is taken as well. */
#include "proto/describe/parts.h"
#include "proto/facts/access.h"
#include "proto/kinds/kinds.h"
#include "proto/schema/release.h"

/* clang-format off */
SCHEMA_STATIC(rule, "PolicyRule", "What may be done with which objects, or with which paths.",
    STRINGS("verbs", "get, list, watch, create, update, patch, delete, deletecollection, impersonate, bind, escalate; "
            "'*': all."),
    STRINGS("apiGroups", "Groups of the kinds; '' is the first one, '*': all."),
    STRINGS("resources", "Kinds by their plural names, and parts of them: pods, pods/log; '*': all, '*/scale': that "
            "part of all."),
    STRINGS("resourceNames", "Only objects of these names; none: all. Lists, watches and creates have no name."),
    STRINGS("nonResourceURLs", "Paths that are no objects, '*' at the end stands for the rest. In cluster roles "
            "alone."));

SCHEMA_STATIC(aggregation, "AggregationRule", "A role that is made of others.",
    OBJECTS("clusterRoleSelectors", schema_label_selector, "Roles with these labels; their rules are its own."));

SCHEMA_STATIC(role, "Role", "What may be done in its namespace, by those whom a RoleBinding names.",
    TYPE_META,
    OBJECTS("rules", rule, "What may be done."));

SCHEMA_STATIC(clusterrole, "ClusterRole", "What may be done in the whole cluster, or where a RoleBinding names it, in "
              "that one's namespace.",
    TYPE_META,
    OBJECTS("rules", rule, "What may be done; kept by the masters where there is an aggregationRule."),
    OBJECT("aggregationRule", aggregation, "Which roles it is made of."));
/* clang-format on */

static void check_rule(const struct value *r, bool namespaced, const struct fpath *p, struct errlist *l)
{
    const struct value *urls = value_get(r, "nonResourceURLs"), *groups = value_get(r, "apiGroups"),
                       *resources = value_get(r, "resources"), *names = value_get(r, "resourceNames");
    if (value_count(value_get(r, "verbs")) == 0) {
        bad_missing(l, r, FPATH_AT(p, "verbs"), "verbs must contain at least one value");
    }
    if (value_count(urls) > 0) {
        if (namespaced) {
            bad_value(l, urls, FPATH_AT(p, "nonResourceURLs"), "namespaced rules cannot apply to non-resource URLs");
        }
        if (value_count(groups) + value_count(resources) + value_count(names) > 0) {
            bad_value(l, urls, FPATH_AT(p, "nonResourceURLs"),
                      "rules cannot apply to both regular resources and non-resource URLs");
        }
        return;
    }
    if (value_count(groups) == 0) {
        bad_missing(l, r, FPATH_AT(p, "apiGroups"), "resource rules must supply at least one api group");
    }
    if (value_count(resources) == 0) {
        bad_missing(l, r, FPATH_AT(p, "resources"), "resource rules must supply at least one resource");
    }
}

static void check_rules(const struct value *obj, bool namespaced, struct errlist *l)
{
    const struct value *rules = value_get(obj, "rules");
    VALUE_FOR(i, rules)
    {
        check_rule(value_item(rules, i), namespaced, FPATH_ITEM(FPATH("rules"), i), l);
    }
}

static void role_validate(const struct value *obj, const struct value *old, struct errlist *l)
{
    (void)old;
    check_rules(obj, true, l);
}

static void clusterrole_validate(const struct value *obj, const struct value *old, struct errlist *l)
{
    const struct value *made = value_get(obj, "aggregationRule"), *list = value_get(made, "clusterRoleSelectors");
    const struct fpath *p = FPATH_AT(FPATH("aggregationRule"), "clusterRoleSelectors");
    (void)old;
    check_rules(obj, false, l);
    if (value_is_map(made) && value_count(list) == 0) {
        bad_missing(l, made, p, "at least one clusterRoleSelector required if aggregationRule is non-nil");
    }
    VALUE_FOR(i, list)
    {
        check_label_selector(l, value_item(list, i), FPATH_ITEM(p, i));
    }
}

static void cell_created(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_str(out, mp_path(object_mp(o), "metadata.creationTimestamp"));
}

static const struct column columns[] = {
    {.title = "NAME"},
    {.title = "CREATED AT", .cell = cell_created},
};

static void describe(struct buf *out, const struct object *o, const struct describe_context *c)
{
    struct mp rules = mp_get(object_mp(o), "rules");
    (void)c;
    describe_text(out, 0, 14, "Name:", o->name);
    describe_map(out, 0, 14, "Labels:", object_labels(o), "=");
    describe_map(out, 0, 14, "Annotations:", mp_path(object_mp(o), "metadata.annotations"), ": ");
    buf_puts(out, "PolicyRule:\n");
    CLEANUP_BUF struct buf table = BUF_INIT;
    describe_role_rules(&table, &rules, 1, DESCRIBE_DASHES);
    describe_indented(out, buf_cstr(&table));
}

static const struct kind_version versions[] = {{ACCESS_GROUP "/v1beta1", NULL, NULL, .read_only = true}, {0}};

const struct kind kind_role = {
    .id = KIND_ROLE,
    .since = RELEASE_LEVEL_CARRIED,
    .name = "Role",
    .api_version = ACCESS_GROUP "/v1",
    .plural = "roles",
    .singular = "role",
    .short_names = "",
    .namespaced = true,
    .names = NAMES_KEY,
    .versions = versions,
    .schema = &role,
    .columns = columns,
    .columns_count = ARRAY_SIZE(columns),
    .validate = role_validate,
    .describe = describe,
    .put_makes = true,
};

const struct kind kind_clusterrole = {
    .id = KIND_CLUSTERROLE,
    .since = RELEASE_LEVEL_CARRIED,
    .name = "ClusterRole",
    .api_version = ACCESS_GROUP "/v1",
    .plural = "clusterroles",
    .singular = "clusterrole",
    .short_names = "",
    .names = NAMES_KEY,
    .versions = versions,
    .schema = &clusterrole,
    .columns = columns,
    .columns_count = ARRAY_SIZE(columns),
    .validate = clusterrole_validate,
    .describe = describe,
    .put_makes = true,
};
