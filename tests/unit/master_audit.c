/* The audit: what a policy records, the file that it goes into, and what masters write of requests over both of their
 * languages, whichever of them is asked. */
#include "tests/unit/kit/master_kit.h"

#include <sys/stat.h>

#include "master/auth/audit_file.h"
#include "master/auth/audit_policy.h"
#include "master/master.h"

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

/* ---- The files ---- */

static unsigned lines_with(struct buf *text, const char *path, const char *word)
{
    unsigned count = 0;
    buf_reset(text);
    FILE *f = fopen(path, "r");
    char part[4096];
    for (size_t n; f != NULL && (n = fread(part, 1, sizeof part, f)) > 0;) {
        buf_append(text, part, n);
    }
    if (f != NULL) {
        fclose(f);
    }
    for (const char *p = text->size == 0 ? "" : buf_cstr(text); (p = strstr(p, word)) != NULL; p++) {
        count++;
    }
    return count;
}

static void write_lines(struct audit_file *f, struct master *m, const char *who, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char line[101];
        memset(line, ' ', sizeof line);
        memcpy(line, who, strlen(who));
        line[99] = '\n';
        audit_file_add(f, str_of(who), (struct str){line, 100});
        if (i % 8 == 7) {
            uv_run(&m->loop, UV_RUN_DEFAULT);
        }
    }
    uv_run(&m->loop, UV_RUN_DEFAULT);
    assert_true(audit_file_is_idle(f));
}

/* 64 KiB in all, so a file has 16 KiB, and a subject 2 KiB of the first. */
static void test_who_asks_much_pushes_out_nobody_elses_records(void **state)
{
    (void)state;
    struct master *m = xcalloc(1, sizeof *m);
    char dir[] = "/tmp/reeve-audit-XXXXXX", path[64], busy[64], old[64];
    CLEANUP_BUF struct buf text = BUF_INIT;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/audit.log", dir);
    snprintf(busy, sizeof busy, "%s/audit-busy.log", dir);
    snprintf(old, sizeof old, "%s/audit-busy.log.1", dir);
    assert_int_equal(uv_loop_init(&m->loop), 0);
    struct audit_file *f = audit_file_new(m, path, 64 << 10);
    write_lines(f, m, "kate", 5);
    write_lines(f, m, "loud", 2000);
    write_lines(f, m, "paul", 5);
    assert_int_equal(lines_with(&text, path, "kate"), 5);
    assert_int_equal(lines_with(&text, path, "paul"), 5);
    assert_int_equal(lines_with(&text, path, "loud"), 20);
    assert_in_range(lines_with(&text, busy, "loud") + lines_with(&text, old, "loud"), 160, 328);
    assert_int_equal(m->stats.audited, 2010);
    assert_int_equal(m->stats.audit_dropped, 0);
    /* Eight at the same time have it begun anew, and then everybody has a share again. */
    for (unsigned i = 0; i < 9; i++) {
        char who[8];
        snprintf(who, sizeof who, "user%u", i);
        write_lines(f, m, who, 20);
    }
    write_lines(f, m, "loud", 1);
    assert_int_equal(lines_with(&text, path, "kate"), 0);
    assert_int_equal(lines_with(&text, path, "loud"), 1);
    audit_file_free(f);
    assert_int_equal(uv_loop_close(&m->loop), 0);
    const char *const names[] = {"audit.log", "audit.log.1", "audit-busy.log", "audit-busy.log.1"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(dir), 0);
    free(m);
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

/* [6 audit] */
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

static void policy_of(struct client *admin)
{
    must(admin, "create",
         "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: reeve-audit, namespace: kube-system}, data: "
         "{policy.yaml: '{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: None, userGroups: "
         "[\"system:nodes\", \"reeve:masters\"]}, {level: RequestResponse}]}'}}}");
}

/* Whichever master is asked: the leader finds it out, and tells. */
static void test_pod_security_is_in_the_record(void **state)
{
    struct kit *k = *state;
    unsigned leader = kit_leader(k);
    struct client *at[2] = {client_admin(k, leader), client_admin(k, (leader + 1) % 3)};
    policy_of(at[0]);
    must(at[1], "get", "{kind: ConfigMap, name: reeve-audit, namespace: kube-system}");
    must(at[0], "create",
         "{object: {apiVersion: v1, kind: Namespace, metadata: {name: safe, labels: "
         "{pod-security.kubernetes.io/enforce: baseline, pod-security.kubernetes.io/audit: restricted}}}}");
    for (unsigned i = 0; i < 2; i++) {
        must(at[i], "create",
             "{object: {apiVersion: v1, kind: Pod, metadata: {name: p%u, namespace: safe}, spec: {containers: [{name: "
             "c, image: i}]}}}",
             i);
        must(at[i], "apply",
             "{objects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: c%u, namespace: safe}}, {apiVersion: "
             "apps/v1, kind: Deployment, metadata: {name: d%u, namespace: safe}, spec: {selector: {matchLabels: {a: "
             "b}}, replicas: 0, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}}}]}",
             i, i);
        char name[8];
        snprintf(name, sizeof name, "p%u", i);
        const struct value *v = value_get(wait_record(k, (leader + i) % 3, "create", name), "annotations");
        assert_true(str_is(value_to_str(value_get(v, "pod-security.kubernetes.io/enforce-policy")), "baseline:latest"));
        assert_true(str_starts(value_to_str(value_get(v, "pod-security.kubernetes.io/audit-violations")),
                               STR("would violate PodSecurity \"restricted:latest\": allowPrivilegeEscalation")));
        snprintf(name, sizeof name, "d%u", i);
        v = value_get(wait_record(k, (leader + i) % 3, "patch", name), "annotations");
        assert_null(value_get(v, "pod-security.kubernetes.io/enforce-policy")); /* it is no pod */
        assert_non_null(value_get(v, "pod-security.kubernetes.io/audit-violations"));
        snprintf(name, sizeof name, "c%u", i);
        v = value_get(wait_record(k, (leader + i) % 3, "patch", name), "annotations");
        assert_null(value_get(v, "pod-security.kubernetes.io/audit-violations"));
    }
    refused(at[0], ERR_FORBIDDEN, "violates PodSecurity", "create",
            "{object: {apiVersion: v1, kind: Pod, metadata: {name: bad, namespace: safe}, spec: {hostNetwork: true, "
            "containers: [{name: c, image: i}]}}}");
    const struct value *v = value_get(wait_record(k, leader, "create", "bad"), "annotations");
    assert_non_null(value_get(v, "pod-security.kubernetes.io/audit-violations"));
    client_close(at[0]);
    client_close(at[1]);
}

/* Of what a transaction only looks at some have lines of their own, and none is left out. */
static void test_a_request_of_many_objects_is_a_few_lines(void **state)
{
    struct kit *k = *state;
    unsigned leader = kit_leader(k), count, own = 0, more = 0;
    struct client *admin = client_admin(k, leader);
    CLEANUP_BUF struct buf ops = BUF_INIT, named = BUF_INIT;
    policy_of(admin);
    for (unsigned i = 0; i < 1000; i++) {
        buf_printf(&ops, "{op: check, kind: ConfigMap, namespace: default, name: n%04u, absent: true}, ", i);
    }
    must(admin, "txn", "{ops: [%s{op: create, object: {apiVersion: v1, kind: ConfigMap, metadata: {name: made}}}]}",
         buf_cstr(&ops));
    wait_record(k, leader, "create", "made");
    must(admin, "get", "{kind: ConfigMap, name: made}");
    wait_record(k, leader, "get", "made"); /* all that was recorded before stands in the file */
    struct value *lines = lines_of(k, leader, &count);
    for (unsigned i = 0; i < count; i++) {
        const struct value *v = value_item(lines, i);
        struct str names = value_to_str(value_get(value_get(v, "annotations"), "reeve.io/more-objects"));
        own += str_is(value_path_str(v, "requestURI"), "/rpc/txn") && names.n == 0;
        more += names.n > 0;
        buf_append_str(&named, names);
    }
    assert_int_equal(own, 1 + 64);
    assert_int_equal(more, 1);
    assert_null(strstr(buf_cstr(&named), "default/n0063"));
    assert_non_null(strstr(buf_cstr(&named), "get configmaps default/n0064, get configmaps default/n0065"));
    assert_non_null(strstr(buf_cstr(&named), "get configmaps default/n0999"));
    client_close(admin);
}

static const char *header_of(struct kit *k, const char *answer, const char *name)
{
    const char *at = strstr(answer, name), *end = at == NULL ? NULL : strchr(at, '\r');
    return end == NULL ? "" : arena_strndup(&k->arena, at + strlen(name), (size_t)(end - at) - strlen(name));
}

/* [6 audit-id] What is answered is what is recorded, under the number that the answer has; and no value of a Secret. */
static void test_answers_over_https_have_the_number_of_their_record(void **state)
{
    struct kit *k = *state;
    unsigned leader = kit_leader(k);
    struct client *admin = client_admin(k, leader);
    char *answer, *token;
    must(admin, "apply",
         "{objects: [{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: kate}, roleRef: "
         "{kind: ClusterRole, name: edit}, subjects: [{kind: User, name: kate}]}, {apiVersion: v1, kind: Service, "
         "metadata: {name: nobody}, spec: {ports: [{port: 80}]}}, {apiVersion: v1, kind: Secret, metadata: {name: s}, "
         "stringData: {x: geheim}}]}");
    must(admin, "user.token", "{name: kate, groups: []}");
    token = arena_strdup(&k->arena, text_at(admin, "token"));
    assert_int_equal(kit_https(k, leader, token, "GET /api/v1/namespaces/default/secrets/s", NULL, &answer), 200);
    assert_string_equal(header_of(k, answer, "Audit-Id: "), ""); /* nothing is recorded yet */
    policy_of(admin);
    assert_int_equal(kit_https(k, leader, token, "GET /api/v1/namespaces/default/secrets/s", NULL, &answer), 200);
    assert_non_null(strstr(answer, "Z2VoZWlt"));
    struct value *v = wait_record(k, leader, "get", "s"); /* which looks for the value in all lines */
    is(k, v, "auditID", header_of(k, answer, "Audit-Id: "));
    is(k, v, "level", "Metadata");
    is(k, v, "user.username", "kate");
    assert_int_equal(value_path_int(v, "responseStatus.code", 0), 200);
    assert_int_equal(kit_https(k, leader, token, "PUT /api/v1/namespaces/default/secrets/s",
                               "{\"metadata\":{\"name\":\"s\"},\"stringData\":{\"y\":\"geheimer\"}}", &answer),
                     200);
    v = wait_record(k, leader, "update", "s");
    is(k, v, "level", "Metadata");
    assert_null(value_get(v, "requestObject"));
    assert_null(value_get(v, "responseObject"));
    assert_int_equal(kit_https(k, leader, token, "GET /api/v1/namespaces/default/secrets", NULL, NULL), 200);
    assert_int_equal(
        kit_https(k, leader, token, "GET /api/v1/namespaces/default/services/nobody/proxy/x", NULL, &answer), 503);
    v = wait_record(k, leader, "get", "nobody");
    is(k, v, "objectRef.subresource", "proxy");
    is(k, v, "auditID", header_of(k, answer, "Audit-Id: "));
    assert_int_equal(value_path_int(v, "responseStatus.code", 0), 503);
    assert_int_equal(
        kit_https(k, leader, token, "DELETE /api/v1/namespaces/kube-system/configmaps/reeve-audit", NULL, &answer),
        403);
    v = wait_record(k, leader, "delete", "reeve-audit");
    is(k, v, "auditID", header_of(k, answer, "Audit-Id: "));
    assert_int_equal(value_path_int(v, "responseStatus.code", 0), 403);
    client_close(admin);
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
        cmocka_unit_test(test_who_asks_much_pushes_out_nobody_elses_records),
        cmocka_unit_test_setup_teardown(test_requests_are_recorded_by_the_master_that_was_asked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pod_security_is_in_the_record, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_request_of_many_objects_is_a_few_lines, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_answers_over_https_have_the_number_of_their_record, set_up, tear_down),
    };
    cmocka_set_test_filter(getenv("TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
