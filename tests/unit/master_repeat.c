/* Requests sent again with the same id, because their first answer was lost: they are answered as the first would have
 * been, on any master, also behind a snapshot and a restart. And answers about objects that the request itself has
 * taken away. */
#include <sys/stat.h>

#include "master/config.h"
#include "tests/unit/kit/master_kit.h"

static const char *const run_args[] = {"--snapshot-entries", "40", NULL};

static int set_up(void **state)
{
    *state = kit_three(run_args);
    return 0;
}

static int tear_down(void **state)
{
    kit_free(*state);
    return 0;
}

static struct value *with_id(struct kit *k, struct value *params, uint8_t fill)
{
    uint8_t id[16];
    memset(id, fill, sizeof id);
    value_set(&k->arena, params, "id", value_bin(&k->arena, id, sizeof id));
    return params;
}

static void make(struct client *c, const char *name, const char *value)
{
    must(c, "apply", "{objects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: %s}, data: {v: '%s'}}]}", name,
         value);
}

/* As `result name=v` for each result. */
static const char *results(struct client *c)
{
    struct buf b = BUF_INIT;
    const struct value *list = value_get(c->result, "results");
    VALUE_FOR(i, list)
    {
        const struct value *one = value_item(list, i);
        buf_printf(&b, "%s%s %s=%s", i > 0 ? ", " : "", value_text(c->kit, one, "result"),
                   value_text(c->kit, one, "object.metadata.name"), value_text(c->kit, one, "object.data.v"));
    }
    const char *text = arena_strdup(&c->kit->arena, buf_cstr(&b));
    buf_close(&b);
    return text;
}

/* On every master: each forwards to the leader what it is asked to write. */
static void assert_everywhere(struct kit *k, struct value *params, const char *wanted, int64_t revision)
{
    for (unsigned i = 0; i < k->masters_count; i++) {
        struct client *c = client_admin(k, i);
        must_value(c, "apply", params);
        assert_string_equal(results(c), wanted);
        assert_int_equal(int_at(c, "revision"), revision);
        client_close(c);
    }
}

static void new_leader(struct kit *k)
{
    unsigned old = kit_leader(k);
    struct client *c = client_admin(k, old);
    must(c, "master.transfer", "{}");
    client_close(c);
    while (kit_leader(k) == old) {
        kit_turn(k, 50);
    }
}

static void test_a_repeated_apply_says_what_the_first_did(void **state)
{
    struct kit *k = *state;
    struct client *c = client_admin(k, 0);
    make(c, "there", "1");
    make(c, "same", "1");
    struct value *apply =
        with_id(k,
                kit_doc(k, "{objects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: fresh}, data: {v: '1'}},"
                           " {apiVersion: v1, kind: ConfigMap, metadata: {name: same}, data: {v: '1'}},"
                           " {apiVersion: v1, kind: ConfigMap, metadata: {name: there}, data: {v: '2'}}]}"),
                1);
    must_value(c, "apply", apply);
    const char *first = results(c);
    int64_t revision = int_at(c, "revision");
    assert_string_equal(first, "created fresh=1, unchanged same=1, configured there=2");
    make(c, "there", "3"); /* somebody else goes on; the answer is that of then */
    assert_everywhere(k, apply, first, revision);
    new_leader(k);
    assert_everywhere(k, apply, first, revision);
    /* Behind snapshots and a restart the objects of then are no longer in memory; what was done still is known. */
    for (int i = 0; i < 120; i++) {
        make(c, "other", i % 2 == 0 ? "a" : "b");
    }
    client_close(c);
    for (unsigned i = 0; i < k->masters_count; i++) {
        kit_stop(k, i, SIGTERM);
    }
    for (unsigned i = 0; i < k->masters_count; i++) {
        kit_start(k, i);
    }
    kit_leader(k);
    assert_everywhere(k, apply, "created fresh=1, unchanged same=1, configured there=3", revision);
}

static void test_a_repeated_deletion_says_how_many(void **state)
{
    struct kit *k = *state;
    struct client *c = client_admin(k, 0);
    for (int i = 0; i < 5; i++) {
        must(c, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: many-%d, labels: {a: b}}}}", i);
    }
    struct value *del = with_id(k, kit_doc(k, "{kind: ConfigMap, labelSelector: a=b}"), 2);
    must_value(c, "deletecollection", del);
    assert_int_equal(int_at(c, "count"), 5);
    new_leader(k);
    must_value(c, "deletecollection", del);
    assert_int_equal(int_at(c, "count"), 5);
    make(c, "alone", "1");
    del = with_id(k, kit_doc(k, "{kind: ConfigMap, name: alone}"), 3);
    for (int i = 0; i < 2; i++) {
        must_value(c, "delete", del);
        assert_true(value_path_bool(c->result, "gone", false));
        assert_string_equal(text_at(c, "object.data.v"), "1");
    }
    client_close(c);
}

/* When no more than names is remembered, what has been made since under the same name is not taken for it. */
static void test_a_repetition_is_not_answered_with_another_object(void **state)
{
    struct kit *k = *state;
    struct client *c = client_admin(k, 0);
    struct value *create = with_id(
        k, kit_doc(k, "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: again}, data: {v: '1'}}}"), 20);
    struct value *create_kept = with_id(
        k, kit_doc(k, "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: kept}, data: {v: '1'}}}"), 21);
    struct value *del = with_id(k, kit_doc(k, "{kind: ConfigMap, name: again}"), 22);
    must_value(c, "create", create);
    must_value(c, "create", create_kept);
    must_value(c, "delete", del);
    make(c, "again", "2"); /* another one */
    make(c, "kept", "2");  /* the same, changed */
    for (int i = 0; i < 2; i++) {
        must_value(c, "create", create);
        assert_string_equal(text_at(c, "object.data.v"), "1");
        must_value(c, "delete", del);
        assert_string_equal(text_at(c, "object.data.v"), "1");
    }
    for (int i = 0; i < 120; i++) {
        make(c, "other", i % 2 == 0 ? "a" : "b");
    }
    client_close(c);
    for (unsigned i = 0; i < k->masters_count; i++) {
        kit_stop(k, i, SIGTERM);
    }
    for (unsigned i = 0; i < k->masters_count; i++) {
        kit_start(k, i);
    }
    kit_leader(k);
    c = client_admin(k, 0);
    must_value(c, "create", create);
    assert_true(value_is_null(value_get(c->result, "object")));
    assert_true(value_path_bool(c->result, "gone", false));
    must_value(c, "delete", del);
    assert_true(value_is_null(value_get(c->result, "object")));
    assert_true(value_path_bool(c->result, "gone", false));
    must_value(c, "create", create_kept);
    assert_string_equal(text_at(c, "object.data.v"), "2");
    assert_false(value_path_bool(c->result, "gone", true));
    must(c, "get", "{kind: ConfigMap, name: again}");
    assert_string_equal(text_at(c, "object.data.v"), "2");
    client_close(c);
}

/* What a program of a release before has created bears no mark of the request. Armed: its level counts. */
static void repeat_what_a_former_program_did(const char *level, bool changed_is_known)
{
    struct kit *k = kit_new();
    kit_init(k, run_args);
    if (changed_is_known) { /* older clusters have no such object */
        assert_int_equal(unlink(arena_printf(&k->arena, "%s/" MASTER_CLUSTER_FILE, k->masters[0].dir)), 0);
    }
    kit_start_armed(k, 0, arena_printf(&k->arena, "%suid_of_former=error@1+", level));
    kit_leader(k);
    struct client *c = client_admin(k, 0);
    struct value *kept = with_id(
        k, kit_doc(k, "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: kept}, data: {v: '1'}}}"), 30);
    struct value *changed = with_id(
        k, kit_doc(k, "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: changed}, data: {v: '1'}}}"), 31);
    struct value *secret = with_id(
        k, kit_doc(k, "{object: {apiVersion: v1, kind: Secret, metadata: {name: secret}, data: {v: MQ==}}}"), 32);
    must_value(c, "create", kept);
    must_value(c, "create", changed);
    must_value(c, "create", secret);
    make(c, "changed", "2");
    must(c, "apply", "{objects: [{apiVersion: v1, kind: Secret, metadata: {name: secret}, data: {v: Mg==}}]}");
    for (int i = 0; i < 120; i++) { /* the objects are not remembered then */
        make(c, "other", i % 2 == 0 ? "a" : "b");
    }
    client_close(c);
    kit_stop(k, 0, SIGTERM);
    kit_start_armed(k, 0, level);
    kit_leader(k);
    c = client_admin(k, 0);
    must_value(c, "create", kept);
    assert_string_equal(text_at(c, "object.data.v"), "1");
    must_value(c, "create", changed);
    assert_int_equal(value_path_bool(c->result, "gone", false), !changed_is_known);
    assert_string_equal(text_at(c, "object.data.v"), changed_is_known ? "2" : "");
    must_value(c, "create", secret); /* whoever may create it perhaps may not read it, and this may be another's */
    assert_true(value_path_bool(c->result, "gone", false));
    assert_string_equal(text_at(c, "object.data.v"), "");
    client_close(c);
    kit_free(k);
}

static void test_what_a_former_program_created_is_known_again(void **state)
{
    (void)state;
    repeat_what_a_former_program_did("level_of_program=error@1+,", true);
    repeat_what_a_former_program_did("", false); /* another one may have been made since */
}

/* ---- An update that takes the object away ---- */

#define HELD "{apiVersion: v1, kind: ConfigMap, metadata: {name: held, finalizers: [%s]}, data: {v: '1'}}"

/* Terminating, and held by nothing but its finalizer. */
static void make_held(struct client *c)
{
    must(c, "apply", "{objects: [" HELD "]}", "example.com/hold");
    must(c, "delete", "{kind: ConfigMap, name: held}");
    assert_false(value_path_bool(c->result, "gone", true));
}

static void assert_gone(struct client *c)
{
    refused(c, ERR_NOT_FOUND, NULL, "get", "{kind: ConfigMap, name: held}");
}

static void test_the_last_finalizer_taken_away_answers_with_the_last_state(void **state)
{
    struct kit *k = *state;
    struct client *c = client_admin(k, 0);
    const struct {
        const char *method;
        struct value *params;
    } rows[] = {
        {"patch", kit_doc(k, "{kind: ConfigMap, name: held, type: merge, patch: {metadata: {finalizers: null}}}")},
        {"update", kit_doc(k, "{object: " HELD "}", "")},
        {"apply", kit_doc(k, "{objects: [" HELD "]}", "")},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        make_held(c);
        with_id(k, rows[i].params, (uint8_t)(10 + i));
        for (int twice = 0; twice < 2; twice++) {
            must_value(c, rows[i].method, rows[i].params);
            const struct value *one = value_get(c->result, "results");
            one = one == NULL ? c->result : value_item(one, 0);
            assert_string_equal(value_text(k, one, "object.metadata.name"), "held");
            assert_string_equal(value_text(k, one, "object.data.v"), "1");
            assert_true(value_path_bool(one, "gone", false));
            assert_gone(c);
        }
    }
    client_close(c);
}

static void rctl_says(struct kit *k, const char *wanted, const char *const *args)
{
    char *said;
    int rc = kit_rctl(k, &said, args);
    if (rc != 0 || strstr(said, wanted) == NULL) {
        fail_msg("rctl %s: expected exit code 0 and \"%s\", got %d and: %s", args[0], wanted, rc, said);
    }
    free(said);
}
#define RCTL(k, wanted, ...) rctl_says(k, wanted, (const char *const[]){__VA_ARGS__, NULL})

static const char *write_file(struct kit *k, const char *name, const char *text)
{
    const char *path = arena_printf(&k->arena, "%s/%s", k->dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    return path;
}

static void test_rctl_takes_the_last_finalizer_away(void **state)
{
    struct kit *k = *state;
    struct client *c = client_admin(k, 0);
    RCTL(k, "", "config", "set-servers", k->masters[0].addr);
    const char *free_path = write_file(k, "free.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: held}}\n");
    make_held(c);
    RCTL(k, "configmap/held patched", "patch", "cm", "held", "--type=merge", "-p", "{metadata: {finalizers: null}}");
    assert_gone(c);
    make_held(c);
    RCTL(k, "configmap/held replaced", "replace", "-f", free_path);
    assert_gone(c);
    make_held(c);
    RCTL(k, "configmap/held configured", "apply", "-f", free_path);
    assert_gone(c);
    make_held(c);
    const char *editor = write_file(k, "editor", "#!/bin/sh\nsed -i '/finalizers:/d; /example.com.hold/d' \"$1\"\n");
    chmod(editor, 0700);
    setenv("EDITOR", editor, 1);
    RCTL(k, "configmap/held edited", "edit", "cm", "held");
    assert_gone(c);
    make_held(c);
    RCTL(k, "name: held", "patch", "cm", "held", "--type=json", "-p", "[{op: remove, path: /metadata/finalizers}]",
         "-o", "yaml");
    assert_gone(c);
    client_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_repeated_apply_says_what_the_first_did),
        cmocka_unit_test(test_a_repeated_deletion_says_how_many),
        cmocka_unit_test(test_a_repetition_is_not_answered_with_another_object),
        cmocka_unit_test(test_what_a_former_program_created_is_known_again),
        cmocka_unit_test(test_the_last_finalizer_taken_away_answers_with_the_last_state),
        cmocka_unit_test(test_rctl_takes_the_last_finalizer_away),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
