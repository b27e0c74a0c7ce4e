/* rctl create serviceaccount, role, clusterrole, rolebinding, clusterrolebinding. */
#include <string.h>

#include "client/cmd/create.h"
#include "client/cmd/resource.h"
#include "proto/facts/access.h"

#define GROUP ACCESS_GROUP

/* ---- serviceaccount ---- */

static const struct option_row plain_options[] = {OPTION_ROWS_CREATE};

static int run_account(struct rctl *r)
{
    return r->args.words_count != 1
               ? rctl_usage(r, "exactly one name is needed")
               : create_made(r, create_document(r, "v1", "ServiceAccount", r->args.words[0], true));
}

const struct command create_account = {
    .name = "serviceaccount",
    .alias = "sa",
    .usage = "NAME",
    .summary = "Create a ServiceAccount: whom programs in pods are for the cluster",
    .examples = "  rctl create serviceaccount robot\n"
                "  rctl create rolebinding robot --clusterrole=view --serviceaccount=default:robot\n",
    .options = plain_options,
    .options_count = ARRAY_SIZE(plain_options),
    .run = run_account,
};

/* ---- role, clusterrole ---- */

/* The items of all options of a name, each a list with commas; "*" among them is all of them. */
static struct value *words_of(struct rctl *r, const char *option, bool commas)
{
    struct arena *a = &r->arena;
    struct value *list = value_list(a);
    for (unsigned i = 0; i < args_count(&r->args, option); i++) {
        const char *p = args_at(&r->args, option, i);
        while (*p != '\0') {
            size_t n = commas ? strcspn(p, ",") : strlen(p);
            struct value *word = value_str(a, (struct str){arena_strndup(a, p, n), n});
            bool known = false;
            VALUE_FOR(k, list)
            {
                known = known || value_equal(value_item(list, k), word);
            }
            if (n > 0 && !known) {
                value_append(a, list, word);
            }
            p += n + (p[n] == ',');
        }
    }
    return list;
}

static struct value *verbs_of(struct rctl *r)
{
    struct value *verbs = words_of(r, "verb", true), *all = value_list(&r->arena);
    VALUE_FOR(i, verbs)
    {
        if (str_is(value_to_str(value_item(verbs, i)), "*")) {
            value_append(&r->arena, all, value_cstr(&r->arena, "*"));
            return all;
        }
    }
    return verbs;
}

/* "deployments.apps/scale": its group, and the resource with its part. */
static int read_resource(struct rctl *r, struct str word, struct str *group, struct value **resource, struct error *err)
{
    struct arena *a = &r->arena;
    const char *slash = memchr(word.p, '/', word.n);
    size_t n = slash == NULL ? word.n : (size_t)(slash - word.p);
    const struct kind *k;
    if (n == 1 && word.p[0] == '*') {
        *group = STR("*");
        *resource = value_str(a, word);
        return 0;
    }
    int rc = resource_kind(arena_strndup(a, word.p, n), &k, err);
    if (rc == 0) {
        *group = kind_group(k);
        *resource = value_strf(a, "%s%.*s", k->plural, (int)(word.n - n), slash == NULL ? "" : slash);
    }
    return rc;
}

/* A rule for each group, with its resources. */
static int add_rules(struct rctl *r, struct value *rules, struct error *err)
{
    struct arena *a = &r->arena;
    struct value *resources = words_of(r, "resource", true), *names = words_of(r, "resource-name", false);
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < value_count(resources); i++) {
        struct str group;
        struct value *resource = NULL, *rule = NULL;
        rc = read_resource(r, value_to_str(value_item(resources, i)), &group, &resource, err);
        for (unsigned k = 0; rc == 0 && k < value_count(rules); k++) {
            struct value *had = value_item(value_get(value_item(rules, k), "apiGroups"), 0);
            rule = str_eq(value_to_str(had), group) ? value_item(rules, k) : rule;
        }
        if (rc == 0 && rule == NULL) {
            rule = value_map(a);
            value_set(a, rule, "verbs", verbs_of(r));
            value_append(a, value_ensure_list(a, rule, "apiGroups"), value_str(a, group));
            (void)value_ensure_list(a, rule, "resources");
            if (value_count(names) > 0) {
                value_set(a, rule, "resourceNames", names);
            }
            value_append(a, rules, rule);
        }
        if (rc == 0) {
            value_append(a, value_get(rule, "resources"), resource);
        }
    }
    return rc;
}

#define OPTION_ROWS_RULE                                                                                               \
    {"verb", 0, OPTION_REPEAT, NULL, NULL, "VERB[,...]", "what may be done: get, list, watch, create, ..., *"},        \
        {"resource", 0, OPTION_REPEAT, NULL, NULL, "TYPE[.GROUP][/PART][,...]", "with which types"},                   \
    {                                                                                                                  \
        "resource-name", 0, OPTION_REPEAT, NULL, NULL, "NAME", "only with objects of this name"                        \
    }

static const struct option_row role_options[] = {OPTION_ROWS_RULE, OPTION_ROWS_CREATE};

static int run_role(struct rctl *r)
{
    struct error err = {0};
    if (r->args.words_count != 1) {
        return rctl_usage(r, "exactly one name is needed");
    }
    if (args_count(&r->args, "verb") == 0) {
        return rctl_usage(r, "at least one verb must be specified: --verb=get");
    }
    if (args_count(&r->args, "resource") == 0) {
        return rctl_usage(r, "at least one resource must be specified: --resource=pods");
    }
    struct value *doc = create_document(r, GROUP "/v1", "Role", r->args.words[0], true);
    if (add_rules(r, value_ensure_list(&r->arena, doc, "rules"), &err) != 0) {
        return rctl_fail_here(r, &err);
    }
    return create_made(r, doc);
}

const struct command create_role = {
    .name = "role",
    .usage = "NAME --verb=VERB,... --resource=TYPE[.GROUP][/PART],... [--resource-name=NAME]...",
    .summary = "Create a Role: what may be done in a namespace",
    .examples = "  rctl create role reader --verb=get,list,watch --resource=pods,pods/log\n"
                "  rctl create role scaler --verb=get,patch --resource=deployments.apps/scale\n"
                "  rctl create role own --verb=get --resource=configmaps --resource-name=settings\n",
    .options = role_options,
    .options_count = ARRAY_SIZE(role_options),
    .run = run_role,
};

static const struct option_row clusterrole_options[] = {
    OPTION_ROWS_RULE,
    {"non-resource-url", 0, OPTION_REPEAT, NULL, NULL, "PATH[,...]", "paths that are no objects: /metrics"},
    {"aggregation-rule", 0, OPTION_VALUE, NULL, NULL, "KEY=VALUE[,...]", "it is made of the roles with these labels"},
    OPTION_ROWS_CREATE,
};

static int set_aggregation(struct rctl *r, struct value *doc, struct error *err)
{
    struct arena *a = &r->arena;
    struct value *labels = value_map(a), *selector = value_map(a);
    const char *p = opt(r, "aggregation-rule");
    while (*p != '\0') {
        size_t n = strcspn(p, ",");
        const char *equals = memchr(p, '=', n);
        if (equals == NULL || equals == p) {
            return error_set(err, ERR_USAGE, "--aggregation-rule: \"%.*s\" must be KEY=VALUE", (int)n, p);
        }
        value_set_str_key(a, labels, (struct str){arena_strndup(a, p, (size_t)(equals - p)), (size_t)(equals - p)},
                          value_strf(a, "%.*s", (int)(n - (size_t)(equals - p) - 1), equals + 1));
        p += n + (p[n] == ',');
    }
    value_set(a, selector, "matchLabels", labels);
    value_append(a, value_ensure_list(a, value_ensure_map(a, doc, "aggregationRule"), "clusterRoleSelectors"),
                 selector);
    return 0;
}

static int run_clusterrole(struct rctl *r)
{
    struct arena *a = &r->arena;
    struct error err = {0};
    unsigned verbs = args_count(&r->args, "verb"), resources = args_count(&r->args, "resource"),
             paths = args_count(&r->args, "non-resource-url");
    bool made = opt(r, "aggregation-rule") != NULL;
    if (r->args.words_count != 1) {
        return rctl_usage(r, "exactly one name is needed");
    }
    struct value *doc = create_document(r, GROUP "/v1", "ClusterRole", r->args.words[0], false);
    if (made) {
        if (verbs + resources + paths + args_count(&r->args, "resource-name") > 0) {
            return rctl_usage(r, "--aggregation-rule goes with no rules of its own");
        }
        return set_aggregation(r, doc, &err) != 0 ? rctl_usage(r, "%s", err.message) : create_made(r, doc);
    }
    if (verbs == 0) {
        return rctl_usage(r, "at least one verb must be specified: --verb=get");
    }
    if (resources + paths == 0) {
        return rctl_usage(r, "one of --resource or --non-resource-url must be specified");
    }
    struct value *rules = value_ensure_list(a, doc, "rules");
    if (add_rules(r, rules, &err) != 0) {
        return rctl_fail_here(r, &err);
    }
    if (paths > 0) {
        struct value *rule = value_map(a);
        value_set(a, rule, "verbs", verbs_of(r));
        value_set(a, rule, "nonResourceURLs", words_of(r, "non-resource-url", true));
        value_append(a, rules, rule);
    }
    return create_made(r, doc);
}

const struct command create_clusterrole = {
    .name = "clusterrole",
    .usage = "NAME --verb=VERB,... --resource=TYPE,...|--non-resource-url=PATH,... | NAME --aggregation-rule=KEY=VALUE",
    .summary = "Create a ClusterRole: what may be done in the whole cluster, or where it is bound",
    .examples = "  rctl create clusterrole nodes --verb=get,list,watch --resource=nodes\n"
                "  rctl create clusterrole probe --verb=get --non-resource-url=/healthz,/readyz\n"
                "  rctl create clusterrole watcher --aggregation-rule=example.com/watch=true\n",
    .options = clusterrole_options,
    .options_count = ARRAY_SIZE(clusterrole_options),
    .run = run_clusterrole,
};

/* ---- rolebinding, clusterrolebinding ---- */

static void add_subjects(struct rctl *r, struct value *subjects, const char *option, const char *kind)
{
    struct arena *a = &r->arena;
    for (unsigned i = 0; i < args_count(&r->args, option); i++) {
        struct value *s = value_map(a);
        value_set(a, s, "kind", value_cstr(a, kind));
        value_set(a, s, "apiGroup", value_cstr(a, GROUP));
        value_set(a, s, "name", value_cstr(a, args_at(&r->args, option, i)));
        value_append(a, subjects, s);
    }
}

static int add_accounts(struct rctl *r, struct value *subjects, struct error *err)
{
    struct arena *a = &r->arena;
    for (unsigned i = 0; i < args_count(&r->args, "serviceaccount"); i++) {
        const char *word = args_at(&r->args, "serviceaccount", i), *colon = strchr(word, ':');
        if (colon == NULL || colon == word || colon[1] == '\0' || strchr(colon + 1, ':') != NULL) {
            return error_set(err, ERR_USAGE, "serviceaccount must be <namespace>:<name>, not \"%s\"", word);
        }
        struct value *s = value_map(a);
        value_set(a, s, "kind", value_cstr(a, "ServiceAccount"));
        value_set(a, s, "name", value_cstr(a, colon + 1));
        value_set(a, s, "namespace", value_strf(a, "%.*s", (int)(colon - word), word));
        value_append(a, subjects, s);
    }
    return 0;
}

#define OPTION_ROWS_SUBJECTS                                                                                           \
    {"user", 0, OPTION_REPEAT, NULL, NULL, "NAME", "a user who may"},                                                  \
        {"group", 0, OPTION_REPEAT, NULL, NULL, "NAME", "a group that may"},                                           \
    {                                                                                                                  \
        "serviceaccount", 0, OPTION_REPEAT, NULL, NULL, "NAMESPACE:NAME", "an account that may"                        \
    }

static const struct option_row binding_options[] = {
    {"clusterrole", 0, OPTION_VALUE, NULL, NULL, "NAME", "the ClusterRole that is given"},
    {"role", 0, OPTION_VALUE, NULL, NULL, "NAME", "the Role of the namespace that is given"},
    OPTION_ROWS_SUBJECTS,
    OPTION_ROWS_CREATE,
};
static const struct option_row cluster_binding_options[] = {
    {"clusterrole", 0, OPTION_VALUE, NULL, NULL, "NAME", "the ClusterRole that is given"},
    OPTION_ROWS_SUBJECTS,
    OPTION_ROWS_CREATE,
};

static int make_binding(struct rctl *r, const char *kind, bool namespaced, const char *cluster, const char *role)
{
    struct arena *a = &r->arena;
    struct error err = {0};
    if (r->args.words_count != 1) {
        return rctl_usage(r, "exactly one name is needed");
    }
    if ((cluster == NULL) == (role == NULL)) {
        return rctl_usage(r, namespaced ? "exactly one of clusterrole or role must be specified"
                                        : "clusterrole must be specified");
    }
    struct value *doc = create_document(r, GROUP "/v1", kind, r->args.words[0], namespaced);
    struct value *subjects = value_list(a), *ref = value_map(a);
    add_subjects(r, subjects, "user", "User");
    add_subjects(r, subjects, "group", "Group");
    if (add_accounts(r, subjects, &err) != 0) {
        return rctl_usage(r, "%s", err.message);
    }
    if (value_count(subjects) > 0) {
        value_set(a, doc, "subjects", subjects);
    }
    value_set(a, ref, "apiGroup", value_cstr(a, GROUP));
    value_set(a, ref, "kind", value_cstr(a, cluster != NULL ? "ClusterRole" : "Role"));
    value_set(a, ref, "name", value_cstr(a, cluster != NULL ? cluster : role));
    value_set(a, doc, "roleRef", ref);
    return create_made(r, doc);
}

static int run_binding(struct rctl *r)
{
    return make_binding(r, "RoleBinding", true, opt(r, "clusterrole"), opt(r, "role"));
}

static int run_cluster_binding(struct rctl *r)
{
    return make_binding(r, "ClusterRoleBinding", false, opt(r, "clusterrole"), NULL);
}

const struct command create_rolebinding = {
    .name = "rolebinding",
    .usage = "NAME --clusterrole=NAME|--role=NAME [--user=NAME]... [--group=NAME]... [--serviceaccount=NS:NAME]...",
    .summary = "Create a RoleBinding: who may do in a namespace what a role says",
    .examples = "  rctl create rolebinding dev --clusterrole=edit --group=dev -n shop\n"
                "  rctl create rolebinding robot --role=reader --serviceaccount=shop:robot -n shop\n",
    .options = binding_options,
    .options_count = ARRAY_SIZE(binding_options),
    .run = run_binding,
};

const struct command create_clusterrolebinding = {
    .name = "clusterrolebinding",
    .usage = "NAME --clusterrole=NAME [--user=NAME]... [--group=NAME]... [--serviceaccount=NS:NAME]...",
    .summary = "Create a ClusterRoleBinding: who may do everywhere what a role says",
    .examples = "  rctl create clusterrolebinding kate --clusterrole=view --user=kate\n"
                "  rctl create clusterrolebinding ops --clusterrole=cluster-admin --group=ops\n",
    .options = cluster_binding_options,
    .options_count = ARRAY_SIZE(cluster_binding_options),
    .run = run_cluster_binding,
};
