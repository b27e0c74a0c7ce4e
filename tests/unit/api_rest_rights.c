/* [1 verbs] Who may do what, asked through the front: every kind, every part that discovery tells, every verb, as nobody, as a
 * node, as a service account with its token, as a user with a role and as one without, and as an administrator. What is
 * let in is what the roles say (rbac.h, which access_rbac holds against an oracle); no address, no method and no part
 * leads around them. */
#include "tests/unit/api_rest_world.h"

#include "master/auth/rbac.h"
#include "master/rest/parts.h"

static const char policy[] =
    "kind: ServiceAccount\napiVersion: v1\nmetadata: {name: x, namespace: default}\n"
    "---\napiVersion: v1\nkind: Node\nmetadata: {name: n1}\n"
    "---\napiVersion: v1\nkind: Node\nmetadata: {name: x}\n"
    "---\napiVersion: v1\nkind: Secret\nmetadata: {name: x, namespace: default}\n"
    "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: default}\n"
    "---\napiVersion: v1\nkind: Pod\nmetadata: {name: x, namespace: default}\n"
    "spec: {nodeName: n1, serviceAccountName: x, containers: [{name: c, image: i, envFrom: [{secretRef: {name: x}}, "
    "{configMapRef: {name: x}}]}]}\n"
    "---\napiVersion: v1\nkind: Pod\nmetadata: {name: other, namespace: default}\n"
    "spec: {nodeName: x, containers: [{name: c, image: i}]}\n"
    "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: some}\n"
    "rules:\n"
    "- {apiGroups: [''], resources: [pods, secrets, '*/status', nodes], verbs: [get, list, update]}\n"
    "- {apiGroups: [apps], resources: ['*'], verbs: [get, watch, create, patch]}\n"
    "- {apiGroups: ['*'], resources: ['*/scale', serviceaccounts/token, pods/eviction], verbs: [get, create, patch]}\n"
    "- {apiGroups: [batch], resources: [jobs], resourceNames: [x], verbs: ['*']}\n"
    "- {apiGroups: ['*'], resources: [events, services/proxy, namespaces/finalize], verbs: [delete, deletecollection, "
    "update]}\n"
    "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: some}\n"
    "roleRef: {kind: ClusterRole, name: some}\nsubjects: [{kind: User, name: kate}]\n"
    "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: own, namespace: default}\n"
    "rules:\n"
    "- {apiGroups: [''], resources: [configmaps, pods/log], verbs: [get, patch, deletecollection]}\n"
    "- {apiGroups: [policy, autoscaling], resources: ['*'], verbs: ['*']}\n"
    "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: own, namespace: default}\n"
    "roleRef: {kind: Role, name: own}\nsubjects: [{kind: ServiceAccount, name: x, namespace: default}]\n"
    "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: all}\n"
    "rules: [{apiGroups: ['*'], resources: [nodes, '*/status'], verbs: [list, update]}]\n"
    "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: all}\n"
    "roleRef: {kind: ClusterRole, name: all}\nsubjects: [{kind: Group, name: 'system:serviceaccounts:default'}]\n";

struct asker {
    const char *as; /* whose certificate: wire_named */
    struct rbac_subject subject;
    char *token; /* NULL: none */
};

/* One address and method, and what roles call that. */
struct asking {
    const struct kind *kind;
    const char *part, *method, *verb, *name; /* name "": all of the kind */
    bool watch;
};

static void write_address(struct buf *b, const struct asking *q)
{
    const struct kind *k = q->kind;
    buf_printf(b, "%s %s/%s", q->method, strchr(k->api_version, '/') == NULL ? "/api" : "/apis", k->api_version);
    buf_printf(b, "%s/%s%s%s%s%s%s", k->namespaced ? "/namespaces/default" : "", k->plural, *q->name == '\0' ? "" : "/",
               q->name, *q->part == '\0' ? "" : "/", q->part, q->watch ? "?watch=1&timeoutSeconds=1" : "");
}

/* The answer's head and body. */
static char *ask(struct world *w, const struct asker *who, const struct asking *q)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct wire *wire = wire_named(w, NULL, who->as);
    bool patch = strcmp(q->method, "PATCH") == 0, post = strcmp(q->method, "POST") == 0,
         put = strcmp(q->method, "PUT") == 0;
    const char *body = patch ? "{}" : put ? "{\"metadata\":{\"name\":\"x\"}}" : post ? "{\"metadata\":{}}" : "";
    write_address(&b, q);
    buf_puts(&b, " HTTP/1.1\r\nHost: reeve\r\n");
    if (who->token != NULL) {
        buf_printf(&b, "Authorization: Bearer %s\r\n", who->token);
    }
    buf_printf(&b, "%sContent-Length: %zu\r\n\r\n%s", patch ? "Content-Type: application/merge-patch+json\r\n" : "",
               strlen(body), body);
    feed(wire, buf_str(&b), NULL);
    wait_for_answer(w, wire, q->watch);
    char *answer = xstrndup((const char *)wire->out.data, wire->out.size);
    wire_hang_up(wire);
    run_ms(w, 1);
    return answer;
}

static bool is_refused(const char *answer)
{
    return strncmp(answer, "HTTP/1.1 401", 12) == 0 ||
           (strncmp(answer, "HTTP/1.1 403", 12) == 0 &&
            (strstr(answer, " cannot ") != NULL || strstr(answer, " may not call ") != NULL));
}

static unsigned allowed, refused;

static void check(struct world *w, const struct asker *who, const struct asking *q)
{
    struct rbac_answer why;
    const struct access a = {.verb = str_of(q->verb),
                             .group = kind_group(q->kind),
                             .resource = str_of(q->kind->plural),
                             .sub = str_of(q->part),
                             .ns = q->kind->namespaced ? STR("default") : STR_NONE,
                             .name = str_of(q->name)};
    const struct view *v = store_committed(replica_store(w->m->replica));
    bool may = rbac_decide(v, &who->subject, &a, &why);
    bool makes = strcmp(q->method, "PUT") == 0 && *q->part == '\0' && q->kind->put_makes &&
                 view_get(v, q->kind, a.ns, a.name) == NULL;
    if (may && makes) { /* it takes both rights */
        struct access create = a;
        create.verb = STR("create");
        create.name = STR_NONE;
        may = rbac_decide(v, &who->subject, &create, &why);
    }
    CLEANUP_FREE char *answer = ask(w, who, q);
    CLEANUP_BUF struct buf text = BUF_INIT;
    write_address(&text, q);
    if (is_refused(answer) == may) {
        fail_msg("%.*s %s, and by the rules %s: %s\n%.300s", STR_ARG(who->subject.user),
                 may ? "was refused" : "was let in", may ? "he may" : "he may not", buf_cstr(&text), answer);
    }
    allowed += may;
    refused += !may;
}

/* What one of them may delete must not be there for the next one: the administrator comes last. */
static void check_kind(struct world *w, const struct asker *who, const struct kind *k)
{
    const struct asking of_kind[] = {
        {k, "", "GET", "get", "x", false},       {k, "", "GET", "list", "", false},
        {k, "", "GET", "watch", "", true},       {k, "", "POST", "create", "", false},
        {k, "", "PUT", "update", "x", false},    {k, "", "PATCH", "patch", "x", false},
        {k, "", "DELETE", "delete", "x", false}, {k, "", "DELETE", "deletecollection", "", false}};
    for (size_t i = 0; i < ARRAY_SIZE(of_kind); i++) {
        check(w, who, &of_kind[i]);
    }
}

static void check_parts(struct world *w, const struct asker *who, const struct kind *k)
{
    static const char *const methods[][2] = {
        {"GET", "get"}, {"POST", "create"}, {"PUT", "update"}, {"PATCH", "patch"}, {"DELETE", "delete"}};
    for (unsigned i = 0; i < rest_parts_count; i++) {
        const struct rest_part *part = &rest_parts[i];
        bool streams = strcmp(part->name, "exec") == 0 || strcmp(part->name, "attach") == 0 ||
                       strcmp(part->name, "portforward") == 0; /* master_rest_streams */
        for (size_t n = 0; n < ARRAY_SIZE(methods); n++) {
            bool has = part->name[0] != '\0' && !streams && (part->has == NULL || part->has(k)) &&
                       str_is_among(str_of(methods[n][0]), part->methods);
            if (has) {
                check(w, who, &(struct asking){k, part->name, methods[n][0], methods[n][1], "x", false});
            }
        }
    }
}

/* As account x of default is given one, bound to nothing. */
static char *make_token(struct world *w)
{
    static const char key[] = "\"status\":{\"token\":\"";
    const struct asker ann = {.as = "admin"};
    const struct asking q = {kind_by_id(KIND_SERVICEACCOUNT), "token", "POST", "create", "x", false};
    CLEANUP_FREE char *answer = ask(w, &ann, &q);
    const char *at = strstr(answer, key);
    assert_non_null(at);
    at += sizeof key - 1;
    return xstrndup(at, strcspn(at, "\""));
}

static void test_what_is_let_in_is_what_the_rules_say(void **state)
{
    (void)state;
    struct world w = {0};
    /* In the order in which what they may delete harms nobody behind them. */
    struct asker askers[] = {
        {"none", {.user = STR("system:anonymous")}, NULL},
        {"node", {.user = STR("system:node:n1"), .node = STR("n1")}, NULL},
        {"tom", {.user = STR("tom")}, NULL},
        {"kate", {.user = STR("kate")}, NULL},
        {"none",
         {.user = STR("system:serviceaccount:default:x"),
          .groups = {STR("system:serviceaccounts"), STR("system:serviceaccounts:default"), STR("system:authenticated")},
          .groups_count = 3},
         NULL},
        {"admin", {.user = STR("ann"), .groups = {STR("system:masters")}, .groups_count = 1}, NULL}};
    static const unsigned at_least[ARRAY_SIZE(askers)] = {0, 5, 0, 30, 30, 300};
    world_open(&w, 1);
    world_make_keys(&w);
    world_apply(&w, policy);
    askers[4].token = make_token(&w);
    for (size_t n = 0; n < ARRAY_SIZE(askers); n++) {
        allowed = refused = 0;
        for (unsigned i = 0; i < kinds_count(); i++) {
            check_kind(&w, &askers[n], kinds_at(i));
            check_parts(&w, &askers[n], kinds_at(i));
        }
        /* Or the test asked for nothing. */
        assert_true(n + 1 == ARRAY_SIZE(askers) ? refused == 0 : refused > 200);
        assert_true(at_least[n] == 0 ? allowed == 0 : allowed >= at_least[n]);
    }
    free(askers[4].token);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_let_in_is_what_the_rules_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
