/* The audit: what a policy records, the file that it goes into, and what masters write of requests over both of their
 * languages, whichever of them is asked. */
#include "tests/unit/kit/master_kit.h"

#include <sys/stat.h>

#include "master/auth/audit_policy.h"

/* ---- Policies ---- */

static struct audit_policy *read_policy(const char *text)
{
    struct audit_policy *p = NULL;
    struct error err = {0};
    if (audit_policy_read(str_of(text), &p, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return p;
}

#define HEAD "{apiVersion: audit.k8s.io/v1, kind: Policy, "

static void test_the_first_rule_that_fits_says_the_level(void **state)
{
    (void)state;
    struct audit_policy *p =
        read_policy(HEAD "rules: [{level: None, users: [tom]}, {level: None, userGroups: [bots], verbs: [get]}, "
                         "{level: RequestResponse, resources: [{group: '', resources: [pods]}, {group: apps}]}, "
                         "{level: Request, resources: [{group: '', resources: ['pods/*']}], namespaces: [shop]}, "
                         "{level: Metadata, resources: [{group: '', resources: [configmaps], resourceNames: [cm]}]}, "
                         "{level: Metadata, nonResourceURLs: ['/rpc/*', /version]}, "
                         "{level: Metadata, verbs: [create], omitStages: [ResponseComplete]}, "
                         "{level: Metadata, verbs: [create, patch], namespaces: ['']}]}");
    const struct rbac_subject kate = {.user = STR("kate"), .groups = {STR("bots")}, .groups_count = 1},
                              tom = {.user = STR("tom")};
    static const struct {
        struct audit_what what;
        enum audit_level level;
    } rows[] = {
        {{.verb = STR("get"), .resource = STR("pods"), .ns = STR("shop")}, AUDIT_NONE},
        {{.verb = STR("list"), .resource = STR("pods"), .ns = STR("shop")}, AUDIT_REQUEST_RESPONSE},
        {{.verb = STR("list"), .resource = STR("pods"), .group = STR("acme.com")}, AUDIT_NONE},
        {{.verb = STR("patch"), .resource = STR("deployments"), .group = STR("apps"), .sub = STR("scale")},
         AUDIT_REQUEST_RESPONSE},
        {{.verb = STR("update"), .resource = STR("pods"), .sub = STR("log"), .ns = STR("shop")}, AUDIT_REQUEST},
        {{.verb = STR("update"), .resource = STR("pods"), .sub = STR("log"), .ns = STR("other")}, AUDIT_NONE},
        {{.verb = STR("list"), .resource = STR("configmaps"), .name = STR("cm")}, AUDIT_METADATA},
        {{.verb = STR("list"), .resource = STR("configmaps"), .name = STR("other")}, AUDIT_NONE},
        {{.verb = STR("post"), .path = STR("/rpc/token")}, AUDIT_METADATA},
        {{.verb = STR("post"), .path = STR("/version/x")}, AUDIT_NONE},
        {{.verb = STR("create"), .resource = STR("nodes")}, AUDIT_NONE}, /* the stage is omitted */
        {{.verb = STR("patch"), .resource = STR("nodes")}, AUDIT_METADATA},
        {{.verb = STR("patch"), .resource = STR("secrets"), .ns = STR("shop")}, AUDIT_NONE},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (audit_policy_level(p, &kate, &rows[i].what) != rows[i].level) {
            fail_msg("row %zu", i);
        }
        assert_int_equal(audit_policy_level(p, &tom, &rows[i].what), AUDIT_NONE);
    }
    audit_policy_free(p);
}

static void test_what_is_no_policy_is_refused_with_the_field(void **state)
{
    (void)state;
    static const struct {
        const char *text, *field;
    } rows[] = {
        {"", "policy"},
        {"[]", "policy"},
        {"{kind: Policy}", "apiVersion"},
        {HEAD "rules: []}", "rules"},
        {HEAD "rules: [{}]}", "rules[0].level"},
        {HEAD "rules: [{level: None}, {level: All}]}", "rules[1].level"},
        {HEAD "rules: [{level: None, user: [a]}]}", "rules[0].user"},
        {HEAD "rules: [{level: None, users: a}]}", "rules[0].users"},
        {HEAD "rules: [{level: None, verbs: [1]}]}", "rules[0].verbs"},
        {HEAD "rules: [{level: None, resources: [{resources: [a], group: 1}]}]}", "rules[0].resources[0]"},
        {HEAD "rules: [{level: None, resources: [{resourceNames: [a]}]}]}", "rules[0].resources[0]"},
        {HEAD "rules: [{level: None, omitStages: [Later]}]}", "rules[0].omitStages"},
        {HEAD "rules: [{level: None}], omitStages: [Later]}", "omitStages"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct audit_policy *p = NULL;
        struct error err = {0};
        assert_int_equal(audit_policy_read(str_of(rows[i].text), &p, &err), ERR_INVALID);
        assert_string_equal(err.field, rows[i].field);
    }
}

/* ---- Masters ---- */

static struct value *lines_of(struct kit *k, unsigned i, unsigned *count)
{
    char path[200];
    snprintf(path, sizeof path, "%s/audit.log", k->masters[i].dir);
    FILE *f = fopen(path, "r");
    struct value *list = value_list(&k->arena);
    char *line = NULL;
    size_t size = 0;
    *count = 0;
    for (ssize_t n; f != NULL && (n = getline(&line, &size, f)) > 0 && line[n - 1] == '\n';) {
        struct value *v = NULL;
        assert_int_equal(json_read(&k->arena, (struct str){line, (size_t)n - 1}, &v, NULL), 0);
        assert_null(strstr(line, "geheim"));
        assert_null(strstr(line, "Z2VoZWlt"));
        value_append(&k->arena, list, v);
        ++*count;
    }
    free(line);
    if (f != NULL) {
        fclose(f);
    }
    return list;
}

/* The record of a request about an object of this name: waits until it is there. */
static struct value *wait_record(struct kit *k, unsigned i, const char *verb, const char *name)
{
    for (int64_t until = kit_now() + KIT_WAIT_MS; kit_now() < until; kit_turn(k, 20)) {
        unsigned count;
        struct value *lines = lines_of(k, i, &count);
        for (unsigned n = 0; n < count; n++) {
            struct value *v = value_item(lines, n);
            if (str_is(value_path_str(v, "verb"), verb) && str_is(value_path_str(v, "objectRef.name"), name)) {
                return v;
            }
        }
    }
    fail_msg("master %u has no record of %s %s", i, verb, name);
    return NULL;
}

static void is(struct kit *k, const struct value *v, const char *path, const char *text)
{
    if (strcmp(value_text(k, v, path), text) != 0) {
        fail_msg("%s is \"%s\", not \"%s\"", path, value_text(k, v, path), text);
    }
}

static void test_requests_are_recorded_by_the_master_that_was_asked(void **state)
{
    struct kit *k = *state;
    struct client *admin[3];
    unsigned leader = kit_leader(k), other = (leader + 1) % 3;
    for (unsigned i = 0; i < 3; i++) {
        admin[i] = client_admin(k, i);
    }
    struct stat st;
    char path[200];
    snprintf(path, sizeof path, "%s/audit.log", k->masters[leader].dir);
    assert_int_not_equal(stat(path, &st), 0); /* no policy: no file */
    refused(admin[0], ERR_INVALID, "audit policy: rules[0].level", "create",
            "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: reeve-audit, namespace: kube-system}, data: "
            "{policy.yaml: '{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: Most}]}'}}}");
    must(admin[0], "create",
         "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: reeve-audit, namespace: kube-system}, data: "
         "{policy.yaml: '{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: None, userGroups: "
         "[\"system:nodes\", \"reeve:masters\"]}, {level: RequestResponse}]}'}}}");
    must(admin[other], "get", "{kind: ConfigMap, name: reeve-audit, namespace: kube-system}"); /* it has heard of it */
    /* A write over a follower: recorded there, and not by the leader. */
    must(admin[other], "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {x: one}}}");
    struct value *v = wait_record(k, other, "create", "a");
    is(k, v, "apiVersion", "audit.k8s.io/v1");
    is(k, v, "kind", "Event");
    is(k, v, "level", "RequestResponse");
    is(k, v, "stage", "ResponseComplete");
    is(k, v, "requestURI", "/rpc/create");
    is(k, v, "user.username", "tester");
    is(k, v, "objectRef.resource", "configmaps");
    is(k, v, "objectRef.namespace", "default");
    is(k, v, "objectRef.apiVersion", "v1");
    is(k, v, "requestObject.data.x", "one");
    assert_int_equal(value_path_int(v, "responseStatus.code", 0), 201);
    assert_true(str_is(value_to_str(value_get(value_get(v, "annotations"), "authorization.k8s.io/decision")), "allow"));
    assert_true(str_starts(value_to_str(value_item(value_get(v, "sourceIPs"), 0)), STR("127.")));
    /* Secrets: that they were written and read, and nothing of what is in them. */
    must(admin[other], "create", "{object: {apiVersion: v1, kind: Secret, metadata: {name: s}, data: {x: Z2VoZWlt}}}");
    must(admin[other], "apply",
         "{objects: [{apiVersion: v1, kind: Secret, metadata: {name: s2}, stringData: {x: geheim}}, {apiVersion: v1, "
         "kind: ConfigMap, metadata: {name: b}, data: {x: two}}]}");
    must(admin[other], "get", "{kind: Secret, name: s}");
    refused(admin[other], ERR_INVALID, NULL, "patch",
            "{kind: Secret, name: s, type: merge, patch: {data: {x: 'geheim!'}}}");
    v = wait_record(k, other, "get", "s");
    is(k, v, "level", "Metadata");
    v = wait_record(k, other, "patch", "s");
    is(k, v, "level", "Metadata");
    is(k, v, "responseStatus.status", "Failure");
    assert_int_equal(value_path_int(v, "responseStatus.code", 0), 422);
    v = wait_record(k, other, "patch", "s2");
    is(k, v, "level", "Metadata");
    struct value *b = wait_record(k, other, "patch", "b");
    is(k, b, "requestObject.data.x", "two");
    assert_string_equal(value_text(k, v, "auditID"), value_text(k, b, "auditID")); /* of one request */
    /* A node's request for a token of a pod that it has not, which is judged by the state and recorded without one. */
    struct client *node = client_as(k, other, PKI_ROLE_NODE, "n7");
    refused(node, ERR_FORBIDDEN, NULL, "account.token", "{name: default, boundKind: Pod, boundName: p, boundUid: '1'}");
    client_close(node);
    refused(admin[other], ERR_FORBIDDEN, "system:node:n7", "account.token",
            "{name: default, boundKind: Pod, boundName: p, boundUid: '1', as: {user: 'system:node:n7', groups: "
            "['system:nodes']}}");
    wait_record(k, other, "create", "default");
    /* Both names of who asks as somebody else, and what he may not. */
    refused(admin[other], ERR_FORBIDDEN, NULL, "get", "{kind: Node, name: n9, as: {user: kate, groups: [dev]}}");
    v = wait_record(k, other, "get", "n9");
    is(k, v, "user.username", "tester");
    is(k, v, "impersonatedUser.username", "kate");
    is(k, v, "responseStatus.reason", "Forbidden");
    assert_true(
        str_is(value_to_str(value_get(value_get(v, "annotations"), "authorization.k8s.io/decision")), "forbid"));
    unsigned count;
    struct value *lines = lines_of(k, leader, &count);
    for (unsigned i = 0; i < count; i++) {
        assert_string_not_equal(value_text(k, value_item(lines, i), "objectRef.name"), "a");
    }
    /* Where it cannot be written the master goes on, and counts; then it records again. */
    snprintf(path, sizeof path, "%s/audit.log", k->masters[other].dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    must(admin[other], "get", "{kind: ConfigMap, name: a}");
    for (int64_t until = kit_now() + KIT_WAIT_MS; kit_now() < until; kit_turn(k, 20)) {
        char *log = kit_log(k, other);
        bool said = strstr(log, "records are dropped (counter auditDropped)") != NULL;
        free(log);
        if (said) {
            break;
        }
    }
    assert_int_equal(rmdir(path), 0);
    must(admin[other], "get", "{kind: ConfigMap, name: b}");
    wait_record(k, other, "get", "b");
    for (unsigned i = 0; i < 3; i++) {
        client_close(admin[i]);
    }
}

static int set_up(void **state)
{
    *state = kit_three(NULL);
    return 0;
}

static int tear_down(void **state)
{
    kit_free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_rule_that_fits_says_the_level),
        cmocka_unit_test(test_what_is_no_policy_is_refused_with_the_field),
        cmocka_unit_test_setup_teardown(test_requests_are_recorded_by_the_master_that_was_asked, set_up, tear_down),
    };
    cmocka_set_test_filter(getenv("TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
