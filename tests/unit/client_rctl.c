/* The program as a whole, as far as it goes without a cluster: dispatch, help, usage errors, manifests, dry runs,
 * configuration. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "client/cmd/common.h"
#include "client/cmd/rctl.h"
#include "client/cmd/resource.h"
#include "proto/pki/pki.h"
#include "proto/text/text.h"

struct fixture {
    char dir[64];
    char *out, *err;
    size_t out_size, err_size;
};

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof(*f));
    snprintf(f->dir, sizeof(f->dir), "/tmp/client-rctl-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    unsetenv("REEVE_CONFIG");
    setenv("HOME", f->dir, 1);
    *state = f;
    return 0;
}

static void forget(struct fixture *f)
{
    free(f->out);
    free(f->err);
    f->out = f->err = NULL;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];
    forget(f);
    snprintf(command, sizeof(command), "rm -rf %s", f->dir);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

static int run(struct fixture *f, int argc, const char *const *argv)
{
    forget(f);
    FILE *out = open_memstream(&f->out, &f->out_size), *err = open_memstream(&f->err, &f->err_size);
    int code = rctl_main(argc, argv, out, err);
    fclose(out);
    fclose(err);
    return code;
}
#define RCTL(f, ...)                                                                                                   \
    ({                                                                                                                 \
        const char *const words_[] = {"rctl", __VA_ARGS__};                                                            \
        run(f, (int)ARRAY_SIZE(words_), words_);                                                                       \
    })

static const char *file(struct fixture *f, const char *name, const char *text)
{
    static char path[128];
    snprintf(path, sizeof(path), "%s/%s", f->dir, name);
    FILE *s = fopen(path, "w");
    assert_non_null(s);
    fputs(text, s);
    fclose(s);
    return path;
}

static void a_wrong_command_names_the_right_one(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(RCTL(f, "gte", "pods"), EXIT_USAGE);
    assert_non_null(strstr(f->err, "did you mean \"rctl get\"?"));
    assert_int_equal(RCTL(f, "rollout", "sttus"), EXIT_USAGE);
    assert_non_null(strstr(f->err, "did you mean \"rctl rollout status\"?"));
    assert_int_equal(RCTL(f, "get", "pdos"), EXIT_USAGE);
    assert_non_null(strstr(f->err, "did you mean \"pods\"?"));
    assert_int_equal(RCTL(f, "get", "pods", "--outptu", "yaml"), EXIT_USAGE);
    assert_non_null(strstr(f->err, "did you mean --output?"));
    assert_int_equal(RCTL(f, "autoscale", "deploy/web"), EXIT_USAGE);
    assert_non_null(strstr(f->err, "how many at most? --max=N"));
    assert_int_equal(RCTL(f, "top", "pods", "--sort-by=disk"), EXIT_USAGE);
    assert_non_null(strstr(f->err, "--sort-by is cpu, memory or name"));
}

static void set_context_changes_the_namespace_and_nothing_else(void **state)
{
    struct fixture *f = *state;
    const char *config = file(f, "config",
                              "current-context: a\n"
                              "clusters: []\n"
                              "contexts:\n"
                              "- {name: a, context: {cluster: c, user: u}}\n"
                              "- {name: b, context: {cluster: c, user: u, namespace: old}}\n");
    assert_int_equal(RCTL(f, "config", "set-context", "--current", "--namespace=team", "--config", config), EXIT_DONE);
    assert_int_equal(RCTL(f, "config", "get-contexts", "--config", config), EXIT_DONE);
    assert_non_null(strstr(f->out, "team"));
    assert_non_null(strstr(f->out, "old"));
    assert_int_equal(RCTL(f, "config", "set-context", "x", "-n", "Not A Name", "--config", config), EXIT_USAGE);
    assert_int_equal(RCTL(f, "config", "set-context", "--current", "--config", config), EXIT_USAGE);
}

/* Every row of the table, with its subcommands, has a summary and examples that begin with its own name. */
static void each_command_has_help_with_examples(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; rctl_commands_at(i) != NULL; i++) {
        const struct command *c = rctl_commands_at(i);
        assert_int_equal(RCTL(f, c->name, "--help"), EXIT_DONE);
        assert_non_null(strstr(f->out, "Examples:\n"));
        assert_non_null(strstr(c->examples, c->name));
        for (unsigned k = 0; c->subs != NULL && c->subs[k] != NULL; k++) {
            assert_int_equal(RCTL(f, c->name, c->subs[k]->name, "--help"), EXIT_DONE);
            assert_non_null(strstr(f->out, c->subs[k]->summary));
            assert_non_null(c->subs[k]->examples);
        }
    }
    assert_int_equal(RCTL(f, "--help"), EXIT_DONE);
    assert_non_null(strstr(f->out, "port-forward"));
    assert_int_equal(RCTL(f, "help", "rollout", "undo"), EXIT_DONE);
    assert_non_null(strstr(f->out, "--to-revision"));
}

static void global_options_may_stand_anywhere(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(RCTL(f, "-n", "shop", "create", "--config", "/none", "configmap", "c", "--from-literal=a=b",
                          "--dry-run=client", "-o", "yaml"),
                     EXIT_DONE);
    assert_non_null(strstr(f->out, "namespace: shop\n"));
}

static void without_a_configuration_it_says_where_it_looked(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(chdir(f->dir), 0);
    assert_int_equal(RCTL(f, "get", "pods"), EXIT_NOT_FOUND);
    assert_non_null(strstr(f->err, "rctl up"));
    assert_non_null(strstr(f->err, "REEVE_CONFIG"));
    assert_int_equal(chdir("/"), 0);
}

static void create_makes_documents_from_the_command_line(void **state)
{
    struct fixture *f = *state;
    const char *path = file(f, "hello.conf", "server {}\n");
    char from[160];
    snprintf(from, sizeof(from), "--from-file=%s", path);
    assert_int_equal(
        RCTL(f, "create", "configmap", "c", from, "--from-literal=a=1=2", "--dry-run=client", "-o", "yaml"), EXIT_DONE);
    assert_non_null(strstr(f->out, "hello.conf: |\n    server {}\n"));
    assert_non_null(strstr(f->out, "a: 1=2\n"));
    assert_int_equal(RCTL(f, "create", "secret", "generic", "s", "--from-literal=p=hunter2", "--dry-run=client", "-o",
                          "jsonpath={.data.p}"),
                     EXIT_DONE);
    assert_string_equal(f->out, "aHVudGVyMg==");
    assert_int_equal(RCTL(f, "create", "deployment", "web", "--image=reg.io/team/nginx:1.22", "--replicas=3",
                          "--dry-run=client", "-o",
                          "jsonpath={.spec.replicas} {.spec.template.spec.containers[0].name} "
                          "{.spec.template.spec.containers[0].command}",
                          "--", "nginx", "-g"),
                     EXIT_DONE);
    assert_string_equal(f->out, "3 nginx [\"nginx\",\"-g\"]");
    assert_int_equal(RCTL(f, "create", "deployment", "web", "--image=x", "--replicas=-1", "--dry-run"), EXIT_USAGE);
    assert_int_equal(RCTL(f, "create", "configmap", "c", "--from-literal=a=1", "--from-literal=a=2", "--dry-run"),
                     EXIT_USAGE);
    assert_non_null(strstr(f->err, "given twice"));
}

static void bytes_that_are_no_text_become_binary_data(void **state)
{
    struct fixture *f = *state;
    const char *path = file(f, "logo", "\x89PNG\r\n\xff");
    char from[160];
    snprintf(from, sizeof(from), "--from-file=%s", path);
    assert_int_equal(
        RCTL(f, "create", "configmap", "c", from, "--dry-run=client", "-o", "jsonpath={.data}{.binaryData.logo}"),
        EXIT_DONE);
    assert_string_equal(f->out, "iVBORw0K/w==");
}

static void a_wrong_manifest_is_refused_with_file_line_and_column(void **state)
{
    struct fixture *f = *state;
    const char *path = file(f, "pod.yaml",
                            "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec:\n  containers:\n"
                            "  - name: a\n    imag: b\n");
    char where[160];
    snprintf(where, sizeof(where), "%s:7:5: ", path);
    assert_int_equal(RCTL(f, "create", "--dry-run=client", "-f", path), EXIT_FAILED);
    assert_non_null(strstr(f->err, where));
    assert_non_null(strstr(f->err, "\"image\""));
    assert_int_equal(RCTL(f, "create", "--dry-run=client", "--validate=false", "-f", path), EXIT_DONE);
    assert_string_equal(f->out, "pod/x created (dry run)\n");
    path = file(f, "bad.yaml", "a: [1,\nb: 2\n");
    assert_int_equal(RCTL(f, "apply", "--dry-run=client", "-f", path), EXIT_FAILED);
    assert_non_null(strstr(f->err, "bad.yaml:3:1: "));
    path = file(f, "kind.yaml", "apiVersion: v1\nkind: Podd\nmetadata: {name: x}\n");
    assert_int_equal(RCTL(f, "apply", "--dry-run=client", "-f", path), EXIT_FAILED);
    assert_non_null(strstr(f->err, "kind.yaml:2:"));
    path = file(f, "noname.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n");
    assert_int_equal(RCTL(f, "apply", "--dry-run=client", "-f", path), EXIT_FAILED);
    assert_non_null(strstr(f->err, "metadata.name"));
    assert_int_equal(RCTL(f, "apply", "--dry-run=client", "-f", "/none.yaml"), EXIT_NOT_FOUND);
}

static void manifests_come_from_directories_lists_and_many_documents(void **state)
{
    struct fixture *f = *state;
    file(f, "a.yaml",
         "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\n---\napiVersion: v1\nkind: Namespace\n"
         "metadata: {name: b}\n");
    file(f, "b.json",
         "{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [{\"apiVersion\": \"v1\", \"kind\": "
         "\"ConfigMap\", \"metadata\": {\"name\": \"c\"}}]}");
    file(f, "notes.txt", "not a manifest");
    assert_int_equal(RCTL(f, "create", "--dry-run=client", "-o", "name", "-f", f->dir), EXIT_DONE);
    assert_string_equal(f->out, "configmap/a\nnamespace/b\nconfigmap/c\n");
}

static void objects_one_after_the_other_and_lists_of_one_kind_are_read(void **state)
{
    struct fixture *f = *state;
    const char *path = file(f, "two.json",
                            "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"a\"}}\n"
                            "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"b\"}}\n");
    assert_int_equal(RCTL(f, "create", "--dry-run=client", "-o", "name", "-f", path), EXIT_DONE);
    assert_string_equal(f->out, "configmap/a\nconfigmap/b\n");

    /* What a dry run writes for many objects can be read again. */
    path = file(f, "many.yaml",
                "\xef\xbb\xbf"
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\n"
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n");
    assert_int_equal(RCTL(f, "create", "--dry-run=client", "-o", "json", "-f", path), EXIT_DONE);
    char *written = xstrdup(f->out);
    path = file(f, "again.json", written);
    free(written);
    assert_int_equal(RCTL(f, "create", "--dry-run=client", "-o", "name", "-f", path), EXIT_DONE);
    assert_string_equal(f->out, "configmap/a\nconfigmap/b\n");

    /* The items of a typed list need not name the kind. */
    path = file(f, "list.yaml",
                "apiVersion: v1\nkind: ConfigMapList\nmetadata: {}\nitems:\n- {metadata: {name: a}}\n"
                "- {apiVersion: v1, kind: ConfigMap, metadata: {name: b}}\n");
    assert_int_equal(RCTL(f, "create", "--dry-run=client", "-o", "name", "-f", path), EXIT_DONE);
    assert_string_equal(f->out, "configmap/a\nconfigmap/b\n");
    path = file(f, "deploys.yaml", "apiVersion: v1\nkind: DeploymentList\nitems: []\n");
    assert_int_equal(RCTL(f, "create", "--dry-run=client", "-f", path), EXIT_FAILED);
    assert_non_null(strstr(f->err, "apiVersion of this list must be apps/v1"));
    path = file(f, "what.yaml", "apiVersion: v1\nkind: ShoppingList\nitems: []\n");
    assert_int_equal(RCTL(f, "create", "--dry-run=client", "-f", path), EXIT_FAILED);
    assert_non_null(strstr(f->err, "unknown kind \"ShoppingList\""));

    path = file(f, "broken.json", "{\"apiVersion\":\"v1\"}\n{\"kind\": oops}\n");
    assert_int_equal(RCTL(f, "create", "--dry-run=client", "-f", path), EXIT_FAILED);
    assert_non_null(strstr(f->err, "broken.json:2:10: "));
}

static void files_of_variables_may_come_from_other_systems(void **state)
{
    struct fixture *f = *state;
    char from[160];
    setenv("REEVE_TEST_COLOR", "blue", 1);
    const char *path = file(f, "crlf.env",
                            "\xef\xbb\xbf"
                            "A=1\r\nB= two words \r\n\r\n  # a comment\r\n\t C=x=y\n"
                            "REEVE_TEST_COLOR\nREEVE_TEST_NONE\nLAST=");
    snprintf(from, sizeof(from), "--from-env-file=%s", path);
    assert_int_equal(RCTL(f, "create", "configmap", "c", from, "--dry-run=client", "-o", "jsonpath={.data}"),
                     EXIT_DONE);
    assert_string_equal(f->out, "{\"A\":\"1\",\"B\":\" two words \",\"C\":\"x=y\",\"LAST\":\"\","
                                "\"REEVE_TEST_COLOR\":\"blue\",\"REEVE_TEST_NONE\":\"\"}");
    unsetenv("REEVE_TEST_COLOR");
    path = file(f, "bad.env", "A=1\n1B=2\n");
    snprintf(from, sizeof(from), "--from-env-file=%s", path);
    assert_int_equal(RCTL(f, "create", "configmap", "c", from, "--dry-run=client"), EXIT_USAGE);
    assert_non_null(strstr(f->err, "bad.env:2: \"1B\" cannot be a key"));
}

static void keys_are_checked_where_they_are_made(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[][2] = {
        {"--from-literal=a b=1", "\"a b\" cannot be a key"},
        {"--from-literal=..a=1", "\"..a\" cannot be a key"},
        {"--from-literal==1", "KEY=VALUE"},
        {"--from-literal=a", "KEY=VALUE"},
        {"--from-file==/dev/null", "KEY=PATH"},
        {"--from-file=a=", "KEY=PATH"},
        {"--from-file=a=b=/dev/null", "KEY=PATH"},
        {"--from-file=a/b=/dev/null", "\"a/b\" cannot be a key"},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(RCTL(f, "create", "configmap", "c", bad[i][0], "--dry-run=client"), EXIT_USAGE);
        if (strstr(f->err, bad[i][1]) == NULL) {
            fail_msg("%s: %s", bad[i][0], f->err);
        }
    }
    assert_int_equal(RCTL(f, "create", "configmap", "c", "--from-file=.a_-1=/dev/null", "--dry-run=client"), EXIT_DONE);
}

static void another_namespace_than_the_one_asked_for_is_refused(void **state)
{
    struct fixture *f = *state;
    const char *path = file(f, "c.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: one}\n");
    assert_int_equal(RCTL(f, "create", "-n", "two", "--dry-run=client", "-f", path), EXIT_FAILED);
    assert_non_null(strstr(f->err, "\"one\""));
    assert_int_equal(RCTL(f, "create", "-n", "one", "--dry-run=client", "-f", path), EXIT_DONE);
}

static void words_name_resources(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct resources res;
    struct error err = {0};
    const char *const several[] = {"pods,rs"}, *const slashes[] = {"po/a", "deploy/b"},
                      *const names[] = {"Pod", "a", "b"}, *const mixed[] = {"pods", "rs/a"};
    assert_int_equal(resource_parse(&a, several, 1, &res, &err), 0);
    assert_int_equal(res.count, 2);
    assert_true(res.several_kinds);
    assert_int_equal(resource_parse(&a, slashes, 2, &res, &err), 0);
    assert_int_equal(res.items[1].kind->id, KIND_DEPLOYMENT);
    assert_string_equal(res.items[1].name, "b");
    assert_int_equal(resource_parse(&a, names, 3, &res, &err), 0);
    assert_int_equal(res.count, 2);
    assert_false(res.several_kinds);
    assert_int_equal(resource_parse(&a, mixed, 2, &res, &err), ERR_USAGE);
    assert_int_equal(resource_parse(&a, NULL, 0, &res, &err), ERR_USAGE);
}

static void a_configuration_is_written_read_and_shown_without_secrets(void **state)
{
    struct fixture *f = *state;
    char path[128];
    snprintf(path, sizeof(path), "%s/config", f->dir);
    struct config_target t = {.context = "one",
                              .cluster = "reeve",
                              .ns = "shop",
                              .servers = {"127.0.0.1:7400", "[::1]:7401"},
                              .servers_count = 2,
                              .ca_pem = "CA",
                              .cert_pem = "CERT",
                              .key_pem = "KEY"};
    struct error err = {0};
    assert_int_equal(config_write(path, &t, "admin", &err), 0);
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct config c;
    struct config_target back;
    assert_int_equal(config_load(&a, path, &c, &err), 0);
    assert_int_equal(config_resolve(&a, &c, NULL, &back, &err), 0);
    assert_string_equal(back.ns, "shop");
    assert_string_equal(back.key_pem, "KEY");
    assert_int_equal(back.servers_count, 2);
    assert_string_equal(back.servers[1], "[::1]:7401");
    assert_int_equal(config_resolve(&a, &c, "two", &back, &err), ERR_NOT_FOUND);
    assert_int_equal(RCTL(f, "config", "view", "--config", path), EXIT_DONE);
    assert_non_null(strstr(f->out, "client-key-data: REDACTED"));
    assert_null(strstr(f->out, "S0VZ")); /* base64 of KEY */
    assert_int_equal(RCTL(f, "config", "use-context", "two", "--config", path), EXIT_NOT_FOUND);
    assert_non_null(strstr(f->err, "there are: one"));
    assert_int_equal(RCTL(f, "config", "current-context", "--config", path), EXIT_DONE);
    assert_string_equal(f->out, "one\n");
}

static void servers_are_read_in_the_spellings_people_have(void **state)
{
    struct fixture *f = *state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct config c;
    struct config_target t;
    struct error err = {0};
    file(f, "ca.crt", "CA");
    const char *path = file(f, "config",
                            "current-context: x\n"
                            "clusters: [{name: k, cluster: {server: \"https://master.example/\", "
                            "certificate-authority: ca.crt}}]\n"
                            "users: [{name: u, user: {client-certificate-data: Q0VSVA==, client-key-data: S0VZ}}]\n"
                            "contexts: [{name: x, context: {cluster: k, user: u}}]\n");
    assert_int_equal(config_load(&a, path, &c, &err), 0);
    if (config_resolve(&a, &c, NULL, &t, &err) != 0) {
        fail_msg("%s", err.message);
    }
    assert_string_equal(t.servers[0], "master.example:7400");
    assert_string_equal(t.ca_pem, "CA");
    assert_string_equal(t.cert_pem, "CERT");
    assert_string_equal(t.ns, "default");
}

/* What `up` cannot do it says before it does anything. */
static void up_refuses_an_even_number_of_masters_and_says_why(void **state)
{
    struct fixture *f = *state;
    char dir[96];
    snprintf(dir, sizeof(dir), "%s/new", f->dir);
    for (unsigned i = 2; i <= 6; i += 2) {
        char n[8];
        snprintf(n, sizeof(n), "%u", i);
        assert_int_equal(RCTL(f, "up", "--dir", dir, "--agents", "0", "--masters", n), EXIT_USAGE);
        assert_non_null(strstr(f->err, "--masters is 1, 3, 5 or 7, not "));
        assert_non_null(strstr(f->err, "a majority must be up"));
    }
    assert_int_equal(RCTL(f, "up", "--dir", dir, "--agents", "0", "--masters", "9"), EXIT_USAGE);
    assert_int_not_equal(access(dir, F_OK), 0);
}

static void up_refuses_options_that_differ_from_the_cluster_that_is_there(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *option, *value, *text;
    } rows[] = {
        {"--masters", "1", "--masters=1: the cluster in "},
        {"--agents", "0", "--agents=0: the cluster in "},
        {"--port", "9999", "--port is for new masters"},
        {"--heartbeat", "3s", "--heartbeat can only be given when the cluster is made"},
        {"--node-grace", "7s", "--node-grace can only be given when the cluster is made"},
        {"--master-arg", "--log=info", "--master-arg differs from what the cluster"},
        {"--agent-arg", "--hollow", "--agent-arg differs from what the cluster"},
        {"--images", "/", "the nodes of "},
    };
    file(f, "cluster.yaml",
         "masterPorts: [7501, 7502, 7503]\nnodes: 1\nimages: /elsewhere\n"
         "masterArguments: ['--heartbeat=2.000', '--log=debug']\nagentArguments: ['--cpu=2']\n");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(RCTL(f, "up", "--dir", f->dir, rows[i].option, rows[i].value), EXIT_USAGE);
        if (strstr(f->err, rows[i].text) == NULL) {
            fail_msg("%s: %s", rows[i].option, f->err);
        }
    }
}

/* Answers as masters may give them about an object that is gone; none of them may be taken for one that is no
 * answer, or end the program. */
static void an_answer_without_an_object_is_read_as_what_it_is(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        bool ok, gone;
    } rows[] = {
        {"{object: null, unchanged: false, gone: true, revision: 7}", true, true},
        {"{revision: 7}", true, true},
        {"{}", true, true},
        {"{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: x}}, gone: true}", true, true},
        {"{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: x}}}", true, false},
        {"{object: 7}", false, false},
        {"{object: {}}", false, false},
        {"[]", false, false},
        {"null", false, false}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct rctl r = {0};
        struct error err = {0};
        struct value **docs;
        unsigned count;
        arena_init(&r.arena);
        assert_int_equal(yaml_read(&r.arena, str_of(rows[i].answer), "answer", &docs, &count, &err), 0);
        CLEANUP_BUF struct buf b = BUF_INIT;
        if (count > 0) {
            msgpack_write_value(&b, docs[0]);
        }
        CLEANUP_OBJECT struct object *o = NULL;
        bool gone = false;
        int rc = common_answer(&r, mp_of(b.data, b.size), kind_by_id(KIND_CONFIGMAP), "x", "a", &o, &gone, &err);
        assert_int_equal(rc == 0, rows[i].ok);
        assert_int_equal(o != NULL, rows[i].ok);
        if (o != NULL) {
            assert_true(str_is(o->name, "a") && str_is(o->ns, "x"));
            assert_int_equal(gone, rows[i].gone);
        }
        arena_close(&r.arena);
    }
}

static void exit_codes_follow_the_kind_of_error(void **state)
{
    (void)state;
    assert_int_equal(exit_code_of(0), 0);
    assert_int_equal(exit_code_of(ERR_INVALID), 1);
    assert_int_equal(exit_code_of(ERR_USAGE), 2);
    assert_int_equal(exit_code_of(ERR_CONFLICT), 3);
    assert_int_equal(exit_code_of(ERR_EXISTS), 3);
    assert_int_equal(exit_code_of(ERR_UNKNOWN_OUTCOME), 4);
    assert_int_equal(exit_code_of(ERR_NOT_FOUND), 5);
    assert_int_equal(exit_code_of(ERR_FORBIDDEN), 6);
    assert_int_equal(exit_code_of(ERR_NO_QUORUM), 7);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_wrong_command_names_the_right_one),
        TEST(set_context_changes_the_namespace_and_nothing_else),
        TEST(each_command_has_help_with_examples),
        TEST(global_options_may_stand_anywhere),
        TEST(without_a_configuration_it_says_where_it_looked),
        TEST(create_makes_documents_from_the_command_line),
        TEST(bytes_that_are_no_text_become_binary_data),
        TEST(a_wrong_manifest_is_refused_with_file_line_and_column),
        TEST(manifests_come_from_directories_lists_and_many_documents),
        TEST(objects_one_after_the_other_and_lists_of_one_kind_are_read),
        TEST(files_of_variables_may_come_from_other_systems),
        TEST(keys_are_checked_where_they_are_made),
        TEST(another_namespace_than_the_one_asked_for_is_refused),
        cmocka_unit_test(words_name_resources),
        TEST(a_configuration_is_written_read_and_shown_without_secrets),
        TEST(servers_are_read_in_the_spellings_people_have),
        TEST(up_refuses_an_even_number_of_masters_and_says_why),
        TEST(up_refuses_options_that_differ_from_the_cluster_that_is_there),
        cmocka_unit_test(an_answer_without_an_object_is_read_as_what_it_is),
        cmocka_unit_test(exit_codes_follow_the_kind_of_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
