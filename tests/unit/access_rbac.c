/* Who may do what (master/auth/rbac.h): held against an oracle that looks at all bindings of random policies, and as a
 * table of all kinds and verbs for those who come to a cluster. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "controllers/controller.h"
#include "master/auth/policy.h"
#include "master/auth/rbac.h"
#include "master/rest/parts.h"
#include "tests/script/stage.h"

#define RANDOM_POLICIES 60u
#define RANDOM_ASKS     120u

/* ---- Random policies ---- */

static const char *const verbs[] = {"get", "list", "create", "delete", "*"};
static const char *const groups[] = {"", "apps", "*"};
static const char *const resources[] = {"pods", "pods/log", "deployments", "secrets", "*/log", "*"};
static const char *const names[] = {"a", "b", "*"};
static const char *const paths[] = {"/healthz", "/rpc/*", "/rpc/backup", "*"};
static const char *const spaces[] = {"default", "shop"};
static const char *const users[] = {"ann", "kate", "system:serviceaccount:shop:robot"};
static const char *const circles[] = {"dev", "ops"};

#define PICK(rng, list) list[rng_below(rng, ARRAY_SIZE(list))]

static void add_words(struct buf *b, struct rng *rng, const char *key, const char *const *words, unsigned count)
{
    unsigned n = 1 + (unsigned)rng_below(rng, 2);
    buf_printf(b, "%s: [", key);
    for (unsigned i = 0; i < n; i++) {
        buf_printf(b, "%s\"%s\"", i == 0 ? "" : ", ", words[rng_below(rng, count)]);
    }
    buf_puts(b, "]");
}

#define WORDS(b, rng, key, list) add_words(b, rng, key, list, ARRAY_SIZE(list))

static void add_rule(struct buf *b, struct rng *rng, bool cluster)
{
    buf_puts(b, "{");
    WORDS(b, rng, "verbs", verbs);
    if (cluster && rng_below(rng, 5) == 0) {
        buf_puts(b, ", ");
        WORDS(b, rng, "nonResourceURLs", paths);
    } else {
        buf_puts(b, ", ");
        WORDS(b, rng, "apiGroups", groups);
        buf_puts(b, ", ");
        WORDS(b, rng, "resources", resources);
        if (rng_below(rng, 4) == 0) {
            buf_puts(b, ", ");
            WORDS(b, rng, "resourceNames", names);
        }
    }
    buf_puts(b, "}");
}

static void make_role(struct stage *w, struct rng *rng, unsigned n)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    bool cluster = rng_below(rng, 2) == 0;
    buf_printf(&b, "apiVersion: rbac.authorization.k8s.io/v1\nkind: %sRole\nmetadata: {name: r%u%s%s}\nrules: [",
               cluster ? "Cluster" : "", n, cluster ? "" : ", namespace: ", cluster ? "" : PICK(rng, spaces));
    for (unsigned i = 0, count = (unsigned)rng_below(rng, 4); i < count; i++) {
        buf_puts(&b, i == 0 ? "" : ", ");
        add_rule(&b, rng, cluster);
    }
    buf_puts(&b, "]\n");
    stage_apply(w, buf_cstr(&b));
}

static void make_binding(struct stage *w, struct rng *rng, unsigned n)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    bool cluster = rng_below(rng, 3) == 0;
    buf_printf(&b, "apiVersion: rbac.authorization.k8s.io/v1\nkind: %sRoleBinding\nmetadata: {name: b%u%s%s}\n",
               cluster ? "Cluster" : "", n, cluster ? "" : ", namespace: ", cluster ? "" : PICK(rng, spaces));
    buf_printf(&b, "roleRef: {kind: %s, name: r%u}\nsubjects: [",
               cluster || rng_below(rng, 2) == 0 ? "ClusterRole" : "Role", (unsigned)rng_below(rng, 8));
    for (unsigned i = 0, count = (unsigned)rng_below(rng, 3); i < count; i++) {
        buf_puts(&b, i == 0 ? "" : ", ");
        switch (rng_below(rng, 3)) {
        case 0:
            buf_printf(&b, "{kind: User, name: \"%s\"}", PICK(rng, users));
            break;
        case 1:
            buf_printf(&b, "{kind: Group, name: %s}", PICK(rng, circles));
            break;
        default:
            buf_printf(&b, "{kind: ServiceAccount, name: robot%s}",
                       cluster || rng_below(rng, 2) == 0 ? ", namespace: shop" : "");
        }
    }
    buf_puts(&b, "]\n");
    stage_apply(w, buf_cstr(&b));
}

static void make_policy(struct stage *w, struct rng *rng)
{
    for (unsigned i = 0; i < 8; i++) {
        make_role(w, rng, i);
    }
    for (unsigned i = 0; i < 16; i++) {
        make_binding(w, rng, i);
    }
}

/* ---- The oracle: all bindings, plainly ---- */

static bool oracle_word(const struct value *list, const char *word)
{
    for (unsigned i = 0; i < value_count(list); i++) {
        if (str_is(value_to_str(value_item(list, i)), word)) {
            return true;
        }
    }
    return false;
}

static const char *copy(struct arena *a, struct str s)
{
    return arena_strndup(a, s.n == 0 ? "" : s.p, s.n);
}

static bool oracle_path(struct arena *a, const struct value *list, const char *path)
{
    for (unsigned i = 0; i < value_count(list); i++) {
        const char *p = copy(a, value_to_str(value_item(list, i)));
        size_t n = strlen(p);
        if (strcmp(p, path) == 0 || (n > 0 && p[n - 1] == '*' && strncmp(p, path, n - 1) == 0)) {
            return true;
        }
    }
    return false;
}

static bool oracle_rule(struct arena *a, const struct value *rule, const struct access *q)
{
    const struct value *v = value_get(rule, "verbs"), *g = value_get(rule, "apiGroups"),
                       *r = value_get(rule, "resources"), *n = value_get(rule, "resourceNames");
    if (!oracle_word(v, "*") && !oracle_word(v, copy(a, q->verb))) {
        return false;
    }
    if (q->path.n > 0) {
        return oracle_path(a, value_get(rule, "nonResourceURLs"), copy(a, q->path));
    }
    const char *whole =
        q->sub.n == 0 ? copy(a, q->resource) : arena_printf(a, "%.*s/%.*s", STR_ARG(q->resource), STR_ARG(q->sub));
    const char *part = arena_printf(a, "*/%.*s", STR_ARG(q->sub));
    return (oracle_word(g, "*") || oracle_word(g, copy(a, q->group))) &&
           (oracle_word(r, "*") || oracle_word(r, whole) || (q->sub.n > 0 && oracle_word(r, part))) &&
           (value_count(n) == 0 || (q->name.n > 0 && oracle_word(n, copy(a, q->name))));
}

static bool oracle_names(const struct value *binding, const struct rbac_subject *who)
{
    const struct value *subjects = value_get(binding, "subjects");
    struct str own = value_path_str(binding, "metadata.namespace");
    for (unsigned i = 0; i < value_count(subjects); i++) {
        const struct value *s = value_item(subjects, i);
        struct str kind = value_path_str(s, "kind"), name = value_path_str(s, "name"),
                   ns = value_path_str(s, "namespace");
        char account[256];
        ns = ns.n > 0 ? ns : own;
        snprintf(account, sizeof account, "system:serviceaccount:%.*s:%.*s", STR_ARG(ns), STR_ARG(name));
        if ((str_is(kind, "User") && str_eq(name, who->user)) ||
            (str_is(kind, "ServiceAccount") && ns.n > 0 && str_is(who->user, account))) {
            return true;
        }
        for (unsigned k = 0; str_is(kind, "Group") && k < who->groups_count; k++) {
            if (str_eq(name, who->groups[k])) {
                return true;
            }
        }
    }
    return false;
}

static bool oracle_binding(struct arena *a, const struct view *v, const struct object *o,
                           const struct rbac_subject *who, const struct access *q)
{
    const struct value *b = object_to_value(a, o);
    bool cluster = o->kind->id == KIND_CLUSTERROLEBINDING;
    if (!oracle_names(b, who) || (!cluster && (q->path.n > 0 || !str_eq(o->ns, q->ns)))) {
        return false;
    }
    bool whole = str_is(value_path_str(b, "roleRef.kind"), "ClusterRole");
    const struct object *role = view_get(v, kind_by_id(whole ? KIND_CLUSTERROLE : KIND_ROLE), whole ? STR_NONE : o->ns,
                                         value_path_str(b, "roleRef.name"));
    const struct value *rules = role == NULL ? NULL : value_get(object_to_value(a, role), "rules");
    for (unsigned i = 0; i < value_count(rules); i++) {
        if (oracle_rule(a, value_item(rules, i), q)) {
            return true;
        }
    }
    return false;
}

static bool oracle_may(const struct view *v, const struct rbac_subject *who, const struct access *q)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    for (unsigned i = 0; i < 2; i++) {
        struct view_iter it;
        view_iter(&it, v, kind_by_id(i == 0 ? KIND_CLUSTERROLEBINDING : KIND_ROLEBINDING), STR_NONE);
        VIEW_FOR(o, &it)
        {
            if (oracle_binding(&a, v, o, who, q)) {
                return true;
            }
        }
    }
    return false;
}

static struct rbac_subject random_subject(struct rng *rng)
{
    struct rbac_subject s = {.user = str_of(PICK(rng, users))};
    for (unsigned i = 0; i < ARRAY_SIZE(circles); i++) {
        if (rng_below(rng, 2) == 0) {
            s.groups[s.groups_count++] = str_of(circles[i]);
        }
    }
    return s;
}

static struct access random_access(struct rng *rng)
{
    static const char *const asked[] = {"pods", "deployments", "secrets", "nodes"}, *const parts[] = {"", "", "log"},
                             *const called[] = {"", "a", "b", "c"},
                             *const urls[] = {"/healthz", "/rpc/backup", "/rpc/token", "/metrics"};
    if (rng_below(rng, 6) == 0) {
        return (struct access){.verb = str_of(verbs[rng_below(rng, 4)]),
                               .ns = rng_below(rng, 2) == 0 ? STR_NONE : str_of(PICK(rng, spaces)),
                               .path = str_of(PICK(rng, urls))};
    }
    return (struct access){.verb = str_of(verbs[rng_below(rng, 4)]),
                           .group = str_of(groups[rng_below(rng, 2)]),
                           .resource = str_of(PICK(rng, asked)),
                           .sub = str_of(PICK(rng, parts)),
                           .ns = rng_below(rng, 5) == 0 ? STR_NONE : str_of(PICK(rng, spaces)),
                           .name = str_of(PICK(rng, called))};
}

/* [6 rules] [6 parts] [6 urls] */
static void test_decisions_are_those_of_all_bindings_looked_at_plainly(void **state)
{
    (void)state;
    unsigned allowed = 0;
    for (uint64_t seed = 1; seed <= RANDOM_POLICIES; seed++) {
        struct stage w;
        struct rng rng = {.state = seed};
        stage_open(&w, seed);
        make_policy(&w, &rng);
        for (unsigned i = 0; i < RANDOM_ASKS; i++) {
            struct rbac_subject who = random_subject(&rng);
            struct access q = random_access(&rng);
            struct rbac_answer answer;
            bool may = rbac_decide(stage_tip(&w), &who, &q, &answer);
            if (may != oracle_may(stage_tip(&w), &who, &q)) {
                fail_msg("seed %llu, ask %u: %s, and the oracle says otherwise", (unsigned long long)seed, i,
                         may ? "allowed" : "denied");
            }
            assert_true(!may || (answer.by == RBAC_RULE && answer.role != NULL && answer.binding != NULL));
            allowed += may;
        }
        stage_close(&w);
    }
    assert_in_range(allowed, RANDOM_POLICIES * 4, RANDOM_POLICIES * RANDOM_ASKS / 2); /* or little was tried */
}

/* All that can be asked of the words above. */
static bool next_access(unsigned *n, struct access *q)
{
    static const char *const asked[] = {"pods", "deployments", "secrets"}, *const called[] = {"", "a", "b"};
    unsigned i = (*n)++;
    *q = (struct access){.verb = str_of(verbs[i % 4]),
                         .group = str_of(groups[i / 4 % 2]),
                         .resource = str_of(asked[i / 8 % 3]),
                         .sub = str_of(i / 24 % 2 == 0 ? "" : "log"),
                         .ns = STR("shop"),
                         .name = str_of(called[i / 48 % 3])};
    return i < 144;
}

/* Whoever holds what a role says could do all of it before; and whoever could do all that a role without "*" says holds
 * it. */
static void check_holding(const struct view *v, const struct rbac_subject *who, const struct object *role)
{
    CLEANUP_ARENA struct arena a;
    struct error err = {0};
    struct access q;
    arena_init(&a);
    struct mp rules = mp_get(object_mp(role), "rules");
    bool holds = rbac_holds(v, who, STR("shop"), rules, &err) == 0, lacks = false, star = false, any = false;
    for (struct mp_iter it = mp_iter(rules); mp_next(&it);) {
        star = star || mp_count(mp_get(it.value, "nonResourceURLs")) > 0;
        for (struct mp_iter m = mp_iter(it.value); mp_next(&m);) {
            for (struct mp_iter word = mp_iter(m.value); mp_next(&word);) {
                star = star || (memchr(mp_str(word.value).p, '*', mp_str(word.value).n) != NULL);
            }
        }
        for (unsigned n = 0; next_access(&n, &q);) {
            struct rbac_answer answer;
            if (access_rule_allows(it.value, &q)) {
                any = true;
                lacks = lacks || !rbac_decide(v, who, &q, &answer);
            }
        }
    }
    if (holds && lacks) {
        fail_msg("%.*s gives what \"%.*s\" could not do before", STR_ARG(role->name), STR_ARG(who->user));
    }
    assert_true(holds || lacks || star || !any);
}

/* [6 escalation] */
static void test_nobody_gives_more_than_he_has(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= RANDOM_POLICIES; seed++) {
        struct stage w;
        struct rng rng = {.state = seed};
        stage_open(&w, seed);
        make_policy(&w, &rng);
        for (unsigned i = 0; i < 6; i++) {
            struct rbac_subject who = random_subject(&rng);
            struct view_iter it;
            view_iter(&it, stage_tip(&w), kind_by_id(i % 2 == 0 ? KIND_ROLE : KIND_CLUSTERROLE), STR_NONE);
            VIEW_FOR(role, &it)
            {
                check_holding(stage_tip(&w), &who, role);
            }
        }
        stage_close(&w);
    }
}

/* ---- What those who come to a cluster may ---- */

static void add_policy(struct stage *w)
{
    struct txn t;
    struct error err = {0};
    txn_init(&t, "test");
    assert_int_equal(policy_reconcile(stage_tip(w), &t, &err), 0);
    if (t.count > 0) {
        assert_int_equal(stage_submit(w, &t, &err), 0);
    }
    txn_close(&t);
}

/* Roles that are made of others, until nothing changes. */
static void gather_roles(struct stage *w)
{
    const struct controller *c = controller_by_name("roles");
    bool changed = true;
    for (unsigned round = 0; changed && round < 5; round++) {
        struct view_iter it;
        struct view *v = view_ref(stage_tip(w));
        changed = false;
        view_iter(&it, v, kind_by_id(KIND_CLUSTERROLE), STR_NONE);
        VIEW_FOR(role, &it)
        {
            struct error err = {0};
            struct arena arena;
            struct txn t;
            arena_init(&arena);
            txn_init(&t, "test");
            struct reconcile_in in = {.view = v, .key = {role->kind, STR_NONE, role->name}, .rng = &w->rng};
            struct reconcile_out out = {.txn = &t, .arena = &arena};
            assert_int_equal(c->reconcile(&in, &out, &err), 0);
            if (t.count > 0) {
                assert_int_equal(stage_submit(w, &t, &err), 0);
                changed = true;
            }
            txn_close(&t);
            arena_close(&arena);
        }
        view_unref(v);
    }
    assert_false(changed);
}

static const char *const table_verbs[] = {"get",         "list",  "watch",   "create",
                                          "update",      "patch", "delete",  "deletecollection",
                                          "impersonate", "bind",  "escalate"};
static const char letters[] = "glwcupdDibe";

static void write_rights(struct buf *b, const struct view *v, const struct rbac_subject *who, const char *group,
                         const char *resource, const char *sub, struct str ns, const char *name)
{
    buf_puts(b, "  ");
    for (unsigned i = 0; i < ARRAY_SIZE(table_verbs); i++) {
        struct rbac_answer answer;
        const struct access a = {.verb = str_of(table_verbs[i]),
                                 .group = str_of(group),
                                 .resource = str_of(resource),
                                 .sub = str_of(sub),
                                 .ns = ns,
                                 .name = i == 1 || i == 2 || (i == 3 && sub[0] == '\0') || i == 7 ? STR_NONE
                                                                                                  : str_of(name)};
        buf_printf(b, "%c", rbac_decide(v, who, &a, &answer) ? letters[i] : '-');
    }
}

static void write_row(struct buf *b, const struct view *v, const struct rbac_subject *who, unsigned count,
                      const char *group, const char *resource, const char *sub, bool namespaced)
{
    char what[96];
    snprintf(what, sizeof what, "%s%s%s%s%s", resource, group[0] == '\0' ? "" : ".", group, sub[0] == '\0' ? "" : "/",
             sub);
    buf_printf(b, "%-52s", what);
    for (unsigned i = 0; i < count; i++) {
        /* The node's name is that of the Node, all else is called x. */
        const char *name = strcmp(resource, "nodes") == 0 ? "n1" : "x";
        write_rights(b, v, &who[i], group, resource, sub, namespaced ? STR("shop") : STR_NONE, name);
    }
    buf_putc(b, '\n');
}

static const char policy[] =
    "kind: ServiceAccount\napiVersion: v1\nmetadata: {name: x, namespace: shop}\n"
    "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: look, namespace: shop}\n"
    "roleRef: {kind: ClusterRole, name: view}\nsubjects: [{kind: User, name: vic}]\n"
    "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: dev, namespace: shop}\n"
    "roleRef: {kind: ClusterRole, name: edit}\nsubjects: [{kind: Group, name: dev}]\n"
    "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: lead, namespace: shop}\n"
    "roleRef: {kind: ClusterRole, name: admin}\nsubjects: [{kind: User, name: lea}]\n"
    "---\napiVersion: v1\nkind: Node\nmetadata: {name: n1}\n"
    "---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: x, namespace: shop}\n"
    "spec: {accessModes: [ReadWriteOnce], volumeName: x, resources: {requests: {storage: 1Gi}}}\n"
    "---\napiVersion: v1\nkind: Pod\nmetadata: {name: x, namespace: shop}\n"
    "spec: {nodeName: n1, serviceAccountName: x, containers: [{name: c, image: i, envFrom: [{secretRef: {name: x}}, "
    "{configMapRef: {name: x}}]}], volumes: [{name: d, persistentVolumeClaim: {claimName: x}}]}\n";

static char *read_kept(const char *path)
{
    FILE *f = fopen(path, "r");
    char *text = xcalloc(1, 64u << 10);
    if (f != NULL) {
        size_t n = fread(text, 1, (64u << 10) - 1, f);
        (void)n;
        fclose(f);
    }
    return text;
}

/* [6 default-roles] */
static void test_who_may_do_what_is_the_kept_table(void **state)
{
    (void)state;
    struct stage w;
    CLEANUP_BUF struct buf b = BUF_INIT;
    static const struct {
        const char *group, *resource, *sub;
    } parts[] = {{"", "pods", "binding"},
                 {"metrics.k8s.io", "pods", ""},
                 {"metrics.k8s.io", "nodes", ""},
                 {"", "users", ""},
                 {"", "groups", ""},
                 {"authentication.k8s.io", "uids", ""},
                 {"authentication.k8s.io", "userextras", "scopes"},
                 {"authentication.k8s.io", "selfsubjectreviews", ""},
                 {"authentication.k8s.io", "tokenreviews", ""},
                 {"authorization.k8s.io", "selfsubjectaccessreviews", ""},
                 {"authorization.k8s.io", "selfsubjectrulesreviews", ""},
                 {"authorization.k8s.io", "localsubjectaccessreviews", ""},
                 {"authorization.k8s.io", "subjectaccessreviews", ""}};
    static const char *const wide[] = {"nodes",
                                       "namespaces",
                                       "users",
                                       "groups",
                                       "uids",
                                       "userextras",
                                       "selfsubjectreviews",
                                       "tokenreviews",
                                       "selfsubjectaccessreviews",
                                       "selfsubjectrulesreviews",
                                       "subjectaccessreviews"};
    static const char *const asked[] = {"/api",
                                        "/apis/apps/v1",
                                        "/openapi/v2",
                                        "/version",
                                        "/healthz",
                                        "/readyz",
                                        "/metrics",
                                        "/.well-known/openid-configuration",
                                        "/openid/v1/jwks",
                                        "/rpc/cluster",
                                        "/rpc/cert.status",
                                        "/rpc/token",
                                        "/rpc/backup",
                                        "/rpc/cert.revoke",
                                        "/rpc/master.remove"};
    const struct rbac_subject who[] = {
        {.user = STR("system:anonymous"), .groups = {STR("system:unauthenticated")}, .groups_count = 1},
        {.user = STR("system:node:n1"),
         .node = STR("n1"),
         .groups = {STR("system:nodes"), STR("system:authenticated")},
         .groups_count = 2},
        {.user = STR("system:node:n2"),
         .node = STR("n2"),
         .groups = {STR("system:nodes"), STR("system:authenticated")},
         .groups_count = 2},
        {.user = STR("system:bootstrap:abcdef"),
         .groups = {STR("system:bootstrappers"), STR("system:authenticated")},
         .groups_count = 2},
        {.user = STR("system:serviceaccount:shop:robot"),
         .groups = {STR("system:serviceaccounts"), STR("system:serviceaccounts:shop"), STR("system:authenticated")},
         .groups_count = 3},
        {.user = STR("vic"), .groups = {STR("system:authenticated")}, .groups_count = 1},
        {.user = STR("kate"), .groups = {STR("dev"), STR("system:authenticated")}, .groups_count = 2},
        {.user = STR("lea"), .groups = {STR("system:authenticated")}, .groups_count = 1},
        {.user = STR("admin"), .groups = {STR("system:masters")}, .groups_count = 1}};
    stage_open(&w, 1);
    add_policy(&w);
    gather_roles(&w);
    stage_apply(&w, policy);
    static const char *const titles[] = {"anonymous", "node n1", "node n2", "bootstrap", "account",
                                         "view",      "edit",    "admin",   "masters"};
    assert_int_equal(ARRAY_SIZE(titles), ARRAY_SIZE(who));
    buf_printf(&b, "%-52s", "# of x in namespace shop, or of x");
    for (size_t i = 0; i < ARRAY_SIZE(titles); i++) {
        buf_printf(&b, "  %-11s", titles[i]);
    }
    buf_putc(&b, '\n');
    for (unsigned i = 0; i < kinds_count(); i++) {
        const struct kind *k = kinds_at(i);
        char group[64];
        snprintf(group, sizeof group, "%.*s", STR_ARG(kind_group(k)));
        write_row(&b, stage_tip(&w), who, ARRAY_SIZE(who), group, k->plural, "", k->namespaced);
        for (unsigned n = 0; n < rest_parts_count; n++) { /* as discovery tells them */
            const struct rest_part *part = &rest_parts[n];
            if (part->name[0] != '\0' && (part->has == NULL || part->has(k))) {
                write_row(&b, stage_tip(&w), who, ARRAY_SIZE(who), group, k->plural, part->name, k->namespaced);
            }
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        bool namespaced = true;
        for (size_t n = 0; n < ARRAY_SIZE(wide); n++) {
            namespaced = namespaced && strcmp(parts[i].resource, wide[n]) != 0;
        }
        write_row(&b, stage_tip(&w), who, ARRAY_SIZE(who), parts[i].group, parts[i].resource, parts[i].sub, namespaced);
    }
    for (size_t i = 0; i < ARRAY_SIZE(asked); i++) {
        buf_printf(&b, "%-52s", asked[i]);
        for (unsigned n = 0; n < ARRAY_SIZE(who); n++) {
            struct rbac_answer answer;
            const struct access get = {.verb = STR("get"), .path = str_of(asked[i])},
                                post = {.verb = STR("post"), .path = str_of(asked[i])};
            buf_printf(&b, "  %-11s",
                       rbac_decide(stage_tip(&w), &who[n], &post, &answer)  ? "get, post"
                       : rbac_decide(stage_tip(&w), &who[n], &get, &answer) ? "get"
                                                                            : "-");
        }
        buf_putc(&b, '\n');
    }
    if (getenv("REGEN") != NULL) {
        FILE *f = fopen("tests/script/access/who.txt", "w");
        assert_non_null(f);
        fputs(buf_cstr(&b), f);
        fclose(f);
    }
    CLEANUP_FREE char *kept = read_kept("tests/script/access/who.txt");
    if (strcmp(kept, buf_cstr(&b)) != 0) {
        printf("%s", buf_cstr(&b));
        fail_msg("%s", "who may do what is not what tests/script/access/who.txt has; what it is stands above");
    }
    /* Elsewhere those who were given something in shop may do nothing. */
    for (unsigned i = 0; i < kinds_count(); i++) {
        for (unsigned k = 4; k <= 7; k++) {
            struct rbac_answer answer;
            const struct access a = {.verb = STR("get"),
                                     .group = kind_group(kinds_at(i)),
                                     .resource = str_of(kinds_at(i)->plural),
                                     .ns = STR("default"),
                                     .name = STR("x")};
            assert_false(rbac_decide(stage_tip(&w), &who[k], &a, &answer));
        }
    }
    /* What was made is not made again; what is taken away comes back, unless somebody said not to. */
    struct txn t;
    struct error err = {0};
    txn_init(&t, "test");
    assert_int_equal(policy_reconcile(stage_tip(&w), &t, &err), 0);
    assert_int_equal(t.count, 0);
    stage_patch(&w, KIND_CLUSTERROLE, "", "system:basic-user", "rules: []");
    stage_patch(&w, KIND_CLUSTERROLE, "", "system:discovery",
                "{rules: [], metadata: {annotations: {rbac.authorization.kubernetes.io/autoupdate: \"false\"}}}");
    assert_int_equal(policy_reconcile(stage_tip(&w), &t, &err), 0);
    assert_int_equal(t.count, 1);
    assert_true(str_is(t.ops[0].name, "system:basic-user"));
    txn_close(&t);
    stage_close(&w);
}

static void test_why_names_binding_role_and_subject(void **state)
{
    (void)state;
    struct stage w;
    struct rbac_answer answer;
    CLEANUP_BUF struct buf b = BUF_INIT;
    const struct rbac_subject kate = {.user = STR("kate"), .groups = {STR("dev")}, .groups_count = 1};
    const struct access a = {.verb = STR("get"), .resource = STR("pods"), .sub = STR("log"), .ns = STR("shop")};
    struct error err = {0};
    stage_open(&w, 1);
    stage_apply(&w, "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: r, namespace: shop}\n"
                    "rules: [{verbs: [list], apiGroups: [\"\"], resources: [pods]}, "
                    "{verbs: [get], apiGroups: [\"\"], resources: [pods/log]}]\n"
                    "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\n"
                    "metadata: {name: b, namespace: shop}\nroleRef: {kind: Role, name: r}\n"
                    "subjects: [{kind: Group, name: ops}, {kind: Group, name: dev}]\n");
    assert_true(rbac_decide(stage_tip(&w), &kate, &a, &answer));
    assert_int_equal(answer.rule, 1);
    rbac_write_reason(&b, &answer);
    assert_string_equal(buf_cstr(&b), "RBAC: allowed by RoleBinding \"b/shop\" of Role \"r\" to Group \"dev\"");
    /* A binding of a role that is gone counts for nothing, and again when there is one of that name. */
    stage_remove(&w, stage_get(&w, KIND_ROLE, "shop", "r"));
    assert_false(rbac_decide(stage_tip(&w), &kate, &a, &answer));
    assert_int_equal(rbac_refuse(&kate, &a, &err), ERR_FORBIDDEN);
    assert_string_equal(err.message,
                        "pods is forbidden: User \"kate\" cannot get resource \"pods/log\" in API group \"\" "
                        "in the namespace \"shop\"");
    const struct access node = {.verb = STR("delete"), .resource = STR("nodes"), .name = STR("n1")},
                        path = {.verb = STR("post"), .path = STR("/rpc/token")};
    rbac_refuse(&kate, &node, &err);
    assert_string_equal(err.message, "nodes \"n1\" is forbidden: User \"kate\" cannot delete resource \"nodes\" in API "
                                     "group \"\" at the cluster scope");
    rbac_refuse(&kate, &path, &err);
    assert_string_equal(err.message, "forbidden: User \"kate\" cannot post path \"/rpc/token\"");
    stage_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decisions_are_those_of_all_bindings_looked_at_plainly),
        cmocka_unit_test(test_nobody_gives_more_than_he_has),
        cmocka_unit_test(test_who_may_do_what_is_the_kept_table),
        cmocka_unit_test(test_why_names_binding_role_and_subject),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
