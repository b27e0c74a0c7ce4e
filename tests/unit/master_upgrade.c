/* Masters are replaced by those of the next release (tests/next) one at a time, and back: what may be written when,
 * what survives, who is refused. */
#include "tests/unit/master_streams.h"

#define WRITES_MAX 4096u

struct upgrade {
    struct state s;
    unsigned written;
};

static int up_tear_down(void **state)
{
    struct upgrade *u = *state;
    end_procs();
    kit_free(u->s.kit);
    free(u);
    return 0;
}

static int up_set_up(void **state)
{
    struct upgrade *u = xcalloc(1, sizeof *u);
    /* Snapshots come early: what is new has to survive them as well. */
    static const char *const args[] = {"--node-grace", "20", "--heartbeat", "1", NULL};
    u->s.kit = kit_three(args);
    u->s.agent.input = -1;
    *state = u;
    return 0;
}

/* ---- Writers ---- */

/* One object more through this master; only what was acknowledged counts. */
static void write_one(struct upgrade *u, unsigned by)
{
    struct client *c = client_admin(u->s.kit, by);
    assert_true(u->written < WRITES_MAX);
    must(c, "apply", "{objects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: w%u}, data: {n: '%u'}}]}",
         u->written, u->written);
    u->written++;
    client_close(c);
}

static void all_are_there(struct upgrade *u, unsigned at)
{
    struct client *c = client_admin(u->s.kit, at);
    for (unsigned i = 0; i < u->written; i++) {
        must(c, "get", "{kind: ConfigMap, name: w%u}", i);
    }
    client_close(c);
}

static int64_t ask(struct upgrade *u, unsigned at, const char *what)
{
    struct client *c = client_admin(u->s.kit, at);
    int64_t n = call(c, "cluster", "{}") == 0 ? int_at(c, what) : -1;
    client_close(c);
    return n;
}

/* The level, and that the object which people look at says so. */
static void wait_level(struct upgrade *u, unsigned at, int64_t level)
{
    struct client *c = client_admin(u->s.kit, at);
    wait_for(&u->s, "the feature level", ask(u, at, "featureLevel") == level);
    wait_for(&u->s, "the feature level in the cluster's configuration",
             call(c, "get", "{kind: ClusterConfiguration, name: cluster}") == 0 &&
                 int_at(c, "object.status.featureLevel") == level);
    client_close(c);
}

/* Stops master i, starts it with the other program, and writes through `by` until it has caught up. */
static void replace(struct upgrade *u, unsigned i, bool newer)
{
    unsigned by = (i + 1) % MASTERS;
    kit_stop(u->s.kit, i, SIGTERM);
    write_one(u, by);
    kit_set_newer(u->s.kit, i, newer);
    kit_start(u->s.kit, i);
    for (unsigned n = 0; n < 10; n++) {
        write_one(u, by);
    }
    int64_t index = ask(u, by, "appliedIndex");
    wait_for(&u->s, "the master that was restarted", ask(u, i, "appliedIndex") >= index);
    write_one(u, i);
}

static const char *hash_at(struct upgrade *u, unsigned at)
{
    struct client *c = client_admin(u->s.kit, at);
    const char *text = call(c, "cluster", "{}") == 0 ? text_at(c, "stateHash") : "";
    client_close(c);
    return text;
}

static void all_states_are_equal(struct upgrade *u)
{
    wait_for(&u->s, "equal states",
             strlen(hash_at(u, 0)) == 32 && strcmp(hash_at(u, 0), hash_at(u, 1)) == 0 &&
                 strcmp(hash_at(u, 0), hash_at(u, 2)) == 0);
}

#define WIDGET "{apiVersion: next/v1, kind: Widget, metadata: {name: %s}, spec: {turns: 3, secret: hush}, note: hello}"
#define NOVEL  "{apiVersion: v1, kind: ConfigMap, metadata: {name: novel}, data: {a: b}, novelty: of tomorrow}"
#define NOVEL_DEPLOYMENT                                                                                               \
    "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {replicas: 2, selector: {matchLabels: {a: "  \
    "b}}, "                                                                                                            \
    "template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i, novelty: within}]}}}}"

/* No master takes what not all of them understand. */
static void nothing_new_is_taken(struct upgrade *u, unsigned at)
{
    struct client *c = client_admin(u->s.kit, at);
    int code = call(c, "create", "{object: " WIDGET "}", "early");
    assert_true(code == ERR_INVALID ||
                code == ERR_UNSUPPORTED); /* an old leader does not know it, a new one knows better */
    assert_non_null(strstr(c->err.message, code == ERR_INVALID ? "unknown kind \"Widget\"" : "feature level"));
    refused(c, ERR_INVALID, "novelty", "create", "{object: " NOVEL "}");
    refused(c, ERR_INVALID, "novelty", "apply", "{objects: [" NOVEL_DEPLOYMENT "]}");
    must(c, "apply", "{objects: [" NOVEL "], validate: ignore, dryRun: true}"); /* left out, as asked for */
    client_close(c);
}

static void the_new_is_there(struct upgrade *u, unsigned at, const char *widget)
{
    struct client *c = client_admin(u->s.kit, at);
    must(c, "get", "{kind: Widget, name: %s}", widget);
    assert_string_equal(text_at(c, "object.spec.secret"), "hush");
    must(c, "get", "{kind: ConfigMap, name: novel}");
    assert_string_equal(text_at(c, "object.novelty"), "of tomorrow");
    must(c, "list", "{kind: Pod}");
    const struct value *items = value_get(c->result, "items");
    unsigned with = 0;
    VALUE_FOR(i, items)
    {
        struct value *first = value_item(value_path(value_item(items, i), "spec.containers"), 0);
        with += str_is(value_path_str(first, "novelty"), "within");
    }
    assert_int_equal(with, 2);
    client_close(c);
}

static void wait_pods(struct upgrade *u, unsigned at, unsigned wanted)
{
    struct client *c = client_admin(u->s.kit, at);
    wait_for(&u->s, "the pods",
             call(c, "list", "{kind: Pod}") == 0 && value_count(value_get(c->result, "items")) == wanted);
    client_close(c);
}

/* ---- The tests ---- */

static void masters_are_upgraded_one_by_one_and_one_goes_back_meanwhile(void **state)
{
    struct upgrade *u = *state;
    struct kit *k = u->s.kit;
    wait_level(u, 0, 1);
    replace(u, 0, true);
    nothing_new_is_taken(u, 0);
    replace(u, 1, true);
    nothing_new_is_taken(u, kit_leader(k));
    replace(u, 1, false); /* back: it serves on */
    assert_int_equal(ask(u, 1, "programLevel"), 1);
    replace(u, 1, true);
    assert_int_equal(ask(u, 2, "featureLevel"), 1);
    nothing_new_is_taken(u, 1);
    replace(u, 2, true);
    for (unsigned i = 0; i < MASTERS; i++) {
        wait_level(u, i, 2);
    }
    struct client *c = client_admin(k, kit_leader(k));
    must(c, "create", "{object: " WIDGET "}", "one");
    must(c, "create", "{object: " NOVEL "}");
    must(c, "apply", "{objects: [" NOVEL_DEPLOYMENT "]}");
    client_close(c);
    wait_pods(u, 0, 2);                      /* made by the controllers, from a template that has it */
    for (unsigned i = 0; i < MASTERS; i++) { /* once more, with the logs that hold it */
        replace(u, i, true);
        the_new_is_there(u, i, "one");
        all_are_there(u, i);
    }
    all_states_are_equal(u);
}

static void make_newer(struct upgrade *u)
{
    for (unsigned i = 0; i < MASTERS; i++) {
        replace(u, i, true);
    }
    for (unsigned i = 0; i < MASTERS; i++) {
        wait_level(u, i, 2);
    }
}

static void expect_end(struct upgrade *u, unsigned i, const char *text)
{
    assert_int_equal(kit_wait_end(u->s.kit, i), 1);
    CLEANUP_FREE char *log = kit_log(u->s.kit, i);
    if (strstr(log, text) == NULL) {
        fail_msg("%s", log);
    }
}

static void an_older_program_is_refused_once_the_level_is_raised(void **state)
{
    struct upgrade *u = *state;
    struct kit *k = u->s.kit;
    make_newer(u);
    kit_stop(k, 2, SIGTERM);
    kit_set_newer(k, 2, false);
    kit_start(k, 2);
    expect_end(u, 2, "belongs to a cluster at feature level 2");
    write_one(u, 0); /* the others go on */
    /* The note is gone: it is seen in the state, or when the log says so. Nothing is damaged by it. */
    char path[256];
    snprintf(path, sizeof path, "%s/master.yaml", k->masters[2].dir);
    CLEANUP_FREE char *yaml = text_of(path);
    char *line = strstr(yaml, "featureLevel: 2\n");
    assert_non_null(line);
    memmove(line, strchr(line, '\n') + 1, strlen(strchr(line, '\n') + 1) + 1);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs(yaml, f);
    fclose(f);
    kit_start(k, 2);
    expect_end(u, 2, "belongs to a cluster at feature level 2");
    CLEANUP_FREE char *log = kit_log(k, 2);
    assert_null(strstr(log, "quarantine"));
    assert_null(strstr(log, "damaged"));
    kit_set_newer(k, 2, true);
    kit_start(k, 2);
    int64_t index = ask(u, 0, "appliedIndex");
    wait_for(&u->s, "the newer program", ask(u, 2, "appliedIndex") >= index);
    all_are_there(u, 2);
    all_states_are_equal(u);
    /* A newcomer with the older program, and a backup in its hands. */
    CLEANUP_FREE char *said = NULL, *saved = NULL, *restored = NULL, *checked = NULL;
    struct client *c = client_admin(k, 0);
    must(c, "token", "{role: master}");
    char token[128];
    snprintf(token, sizeof token, "%s", text_at(c, "token"));
    must(c, "create", "{object: " WIDGET "}", "one");
    client_close(c);
    assert_int_equal(kit_join_with(k, 0, token, &said), 1);
    assert_non_null(strstr(said, "the cluster is at feature level 2"));
    k->masters_count--;
    snprintf(path, sizeof path, "%s/passphrase", k->dir);
    f = fopen(path, "we");
    fputs("a long passphrase for a test\n", f);
    fclose(f);
    const char *file = arena_printf(&k->arena, "%s/saved", k->dir), *dir = arena_printf(&k->arena, "%s/back", k->dir);
    /* The older rctl saves what the newer masters hold. */
    const char *const save[] = {"backup", "save", "--passphrase-file", path, file, NULL};
    if (kit_rctl(k, &saved, save) != 0) {
        fail_msg("%s", saved);
    }
    const char *const check[] = {"backup", "check", "--passphrase-file", path, file, NULL};
    kit_rctl(k, &checked, check);
    const char *const restore[] = {"restore", "--dir", dir, "--passphrase-file", path, file, NULL};
    assert_int_equal(kit_run(k, &restored, restore), 1);
    if (strstr(restored, "feature level 2") == NULL) {
        fail_msg("%s", restored);
    }
}

/* ---- Clients and agents of another version ---- */

static void says_that(char *said, int code, int wanted, const char *text)
{
    CLEANUP_FREE char *text_said = said;
    if (code != wanted || strstr(text_said, text) == NULL) {
        fail_msg("%d, expected \"%s\": %s", code, text, text_said);
    }
}

static void rctl_says(struct upgrade *u, bool newer, int wanted, const char *text, const char *const *args)
{
    char *said = NULL;
    int code = newer ? kit_rctl_newer(u->s.kit, &said, args) : kit_rctl(u->s.kit, &said, args);
    says_that(said, code, wanted, text);
}
#define RCTL(u, newer, wanted, text, ...) rctl_says(u, newer, wanted, text, (const char *const[]){__VA_ARGS__, NULL})

static const char *file_with(struct upgrade *u, const char *name, const char *text)
{
    const char *path = arena_printf(&u->s.kit->arena, "%s/%s", u->s.kit->dir, name);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    return path;
}

static void rctl_and_masters_of_other_versions_work_with_what_both_know(void **state)
{
    struct upgrade *u = *state;
    wait_level(u, 0, 1);
    const char *novel = file_with(u, "novel.yaml", NOVEL), *widget = file_with(u, "widget.yaml",
                                                                               "{apiVersion: next/v1, kind: Widget, "
                                                                               "metadata: {name: one}}");
    const char *web = file_with(u, "web.yaml", NOVEL_DEPLOYMENT);
    /* A newer rctl, older masters. */
    RCTL(u, true, 0, "Feature Level: 1", "version");
    static const char *const status[] = {"cluster", "status", NULL};
    for (int64_t until = kit_now() + KIT_WAIT_MS;; kit_turn(u->s.kit, 100)) { /* each master answers when it has time */
        CLEANUP_FREE char *said = NULL;
        int code = kit_rctl_newer(u->s.kit, &said, status);
        if (code == 0 && strstr(said, "all masters' programs know 1") != NULL) {
            break;
        }
        if (kit_now() > until) {
            fail_msg("%d: %s", code, said);
        }
    }
    RCTL(u, true, 1, "unknown field \"novelty\"", "apply", "-f", novel);
    RCTL(u, true, 1, "unknown kind \"Widget\"", "apply", "-f", widget);
    RCTL(u, true, 5, "unknown kind \"Widget\"", "get", "widgets");
    RCTL(u, true, 0, "configmap/novel created", "apply", "--validate=false", "-f", novel);
    RCTL(u, true, 0, "deleted", "delete", "cm", "novel");
    make_newer(u);
    /* An older rctl, newer masters. */
    RCTL(u, false, 0, "Level:    2; all masters' programs know 2", "cluster", "status");
    RCTL(u, true, 0, "created", "apply", "-f", novel);
    RCTL(u, true, 0, "created", "apply", "-f", widget);
    RCTL(u, true, 0, "created", "apply", "-f", web);
    wait_pods(u, 0, 2);
    RCTL(u, false, 0, "novelty: of tomorrow", "get", "cm", "novel", "-o", "yaml");
    RCTL(u, false, 0, "labeled", "label", "cm", "novel", "a=b");
    RCTL(u, false, 0, "patched", "patch", "cm", "novel", "-p", "{\"data\":{\"c\":\"d\"}}");
    RCTL(u, false, 0, "updated", "set", "env", "deploy/web", "X=y");
    setenv("EDITOR", "sed -i s/other/another/", 1);
    RCTL(u, false, 0, "configured", "apply", "--validate=false", "-f",
         file_with(
             u, "novel2.yaml",
             "{apiVersion: v1, kind: ConfigMap, metadata: {name: novel, labels: {a: b}}, data: {a: other}, novelty: "
             "of tomorrow}"));
    RCTL(u, false, 0, "edited", "edit", "cm", "novel");
    RCTL(u, false, 0, "novelty: of tomorrow", "get", "cm", "novel", "-o", "yaml");
    RCTL(u, false, 0, "a: another", "get", "cm", "novel", "-o", "yaml");
    RCTL(u, false, 0, "novelty: within", "get", "deploy", "web", "-o", "yaml");
    RCTL(u, false, 2, "there is no resource type \"widgets\"", "get", "widgets");
    RCTL(u, true, 0, "one", "get", "widgets");
}

static void start_agent(struct upgrade *u, const char *name, const char *program, struct proc *out)
{
    struct kit *k = u->s.kit;
    struct client *c = client_admin(k, 0);
    const char *dir = arena_printf(&k->arena, "%s/agent-%s", k->dir, name);
    must(c, "token", "{role: node}");
    struct proc join = start(&u->s,
                             (const char *[]){program, "join", "--dir", dir, "--name", name, "--token",
                                              text_at(c, "token"), k->masters[0].addr, NULL},
                             false);
    assert_int_equal(finish(&u->s, &join, 0), 0);
    *out = start(&u->s, (const char *[]){program, "run", "--dir", dir, "--runtime", "hollow", NULL}, false);
    client_close(c);
}

static void wait_running(struct upgrade *u, const char *pod)
{
    struct client *c = client_admin(u->s.kit, 0);
    wait_for(&u->s, "a pod to run",
             call(c, "get", "{kind: Pod, name: %s}", pod) == 0 &&
                 strcmp(text_at(c, "object.status.phase"), "Running") == 0);
    client_close(c);
}

static void agents_of_another_version_run_pods(void **state)
{
    struct upgrade *u = *state;
    struct proc newer, older;
    start_agent(u, "newer", "tests/reeve-agent-next", &newer);
    start_agent(u, "older", "reeve-agent", &older);
    struct client *c = client_admin(u->s.kit, 0);
    must(c, "create",
         "{object: {apiVersion: v1, kind: Pod, metadata: {name: p1}, spec: {nodeName: newer, containers: [{name: c, "
         "image: i}]}}}");
    client_close(c);
    wait_running(u, "p1");
    make_newer(u);
    c = client_admin(u->s.kit, 0);
    must(c, "create",
         "{object: {apiVersion: v1, kind: Pod, metadata: {name: p2}, spec: {nodeName: older, containers: [{name: c, "
         "image: i, novelty: x}]}}}");
    wait_running(u, "p2");
    must(c, "get", "{kind: Pod, name: p2}");
    assert_string_equal(value_text(u->s.kit, value_item(value_path(c->result, "object.spec.containers"), 0), "novelty"),
                        "x");
    must(c, "get", "{kind: Pod, name: p1}");
    assert_string_equal(text_at(c, "object.status.phase"), "Running");
    client_close(c);
    assert_int_equal(finish(&u->s, &newer, SIGTERM), 0);
    assert_int_equal(finish(&u->s, &older, SIGTERM), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, up_set_up, up_tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(masters_are_upgraded_one_by_one_and_one_goes_back_meanwhile),
        TEST(an_older_program_is_refused_once_the_level_is_raised),
        TEST(rctl_and_masters_of_other_versions_work_with_what_both_know),
        TEST(agents_of_another_version_run_pods),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
