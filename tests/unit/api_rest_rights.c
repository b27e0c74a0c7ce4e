/* Who may do what, asked through the front: every kind, every part that discovery tells, every verb, as nobody, as a
 * node, as a user with a role and as one without. What is let in is what the roles say (rbac.h, which access_rbac holds
 * against an oracle); no address, no method and no part leads around them. */
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
    "roleRef: {kind: ClusterRole, name: some}\nsubjects: [{kind: User, name: kate}]\n";

struct asker {
    const char *as;
    struct rbac_subject subject;
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
static char *ask(struct world *w, const char *as, const struct asking *q)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct wire *wire = wire_named(w, NULL, as);
    bool patch = strcmp(q->method, "PATCH") == 0, post = strcmp(q->method, "POST") == 0,
         put = strcmp(q->method, "PUT") == 0;
    const char *body = patch ? "{}" : put ? "{\"metadata\":{\"name\":\"x\"}}" : post ? "{\"metadata\":{}}" : "";
    write_address(&b, q);
    buf_printf(&b, " HTTP/1.1\r\nHost: reeve\r\n%sContent-Length: %zu\r\n\r\n%s",
               patch ? "Content-Type: application/merge-patch+json\r\n" : "", strlen(body), body);
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
    bool may = rbac_decide(store_committed(replica_store(w->m->replica)), &who->subject, &a, &why);
    CLEANUP_FREE char *answer = ask(w, who->as, q);
    CLEANUP_BUF struct buf text = BUF_INIT;
    write_address(&text, q);
    if (is_refused(answer) == may) {
        fail_msg("%.*s %s, and by the rules %s: %s\n%.300s", STR_ARG(who->subject.user),
                 may ? "was refused" : "was let in", may ? "he may" : "he may not", buf_cstr(&text), answer);
    }
    allowed += may;
    refused += !may;
}

/* What writes is asked last of all, and of names that are not there: so nothing changes that others ask for. */
static void check_kind(struct world *w, const struct asker *who, const struct kind *k)
{
    const struct asking of_kind[] = {{k, "", "GET", "get", "x", false},    {k, "", "GET", "list", "", false},
                                     {k, "", "GET", "watch", "", true},    {k, "", "POST", "create", "", false},
                                     {k, "", "PUT", "update", "x", false}, {k, "", "PATCH", "patch", "x", false}};
    for (size_t i = 0; i < ARRAY_SIZE(of_kind); i++) {
        check(w, who, &of_kind[i]);
    }
    if (strcmp(who->as, "kate") != 0) { /* who may delete some things, which others ask for */
        check(w, who, &(struct asking){k, "", "DELETE", "delete", "x", false});
        check(w, who, &(struct asking){k, "", "DELETE", "deletecollection", "", false});
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

static void test_what_is_let_in_is_what_the_rules_say(void **state)
{
    (void)state;
    struct world w = {0};
    const struct asker askers[] = {{"none", {.user = STR("system:anonymous")}},
                                   {"node", {.user = STR("system:node:n1"), .node = STR("n1")}},
                                   {"tom", {.user = STR("tom")}},
                                   {"kate", {.user = STR("kate")}}};
    world_open(&w, 1);
    world_apply(&w, policy);
    for (size_t n = 0; n < ARRAY_SIZE(askers); n++) {
        allowed = refused = 0;
        for (unsigned i = 0; i < kinds_count(); i++) {
            check_kind(&w, &askers[n], kinds_at(i));
            check_parts(&w, &askers[n], kinds_at(i));
        }
        /* Or the test asked for nothing. */
        assert_true(refused > 200);
        assert_true(n == 3 ? allowed > 30 : n == 1 ? allowed >= 5 : allowed == 0);
    }
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_let_in_is_what_the_rules_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
