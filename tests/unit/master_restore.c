/* Backups as a user restores them: after the loss of all masters, cut at every step, from files that are none, from
 * earlier formats. */
#include <sys/stat.h>

#include "tests/unit/kit/backup_kit.h"

#define GOLDEN "tests/unit/data/backup-format-1.rvb"

static int set_up_one(void **state)
{
    *state = kit_one(NULL);
    return 0;
}

static int set_up_three(void **state)
{
    *state = kit_three(NULL);
    return 0;
}

static int tear_down(void **state)
{
    kit_free(*state);
    return 0;
}

static void a_lost_cluster_comes_back_from_its_backup(void **state)
{
    struct kit *k = *state;
    struct client *c = client_admin(k, kit_leader(k));
    must(c, "create",
         "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: default}, data: {k: v}}}");
    const char *version = text_at(c, "object.metadata.resourceVersion"), *uid = text_at(c, "object.metadata.uid");
    must(c, "create",
         "{object: {apiVersion: v1, kind: Secret, metadata: {name: s, namespace: default}, stringData: {p: "
         "hidden-treasure}}}");
    unsigned follower = (kit_leader(k) + 1) % 3;
    const char *file = saved(k, follower); /* any master makes one */
    must(c, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: late, namespace: default}}}");
    uint64_t last = strtoull(text_at(c, "object.metadata.resourceVersion"), NULL, 10);
    struct value *told = show(k, file);
    assert_int_equal(value_path_int(told, "nextMasterId", 0), 4);
    assert_int_equal(value_path_int(told, "kinds.Secret", 0),
                     7); /* four of tokens, one of the CA's key, one of keys of accounts */
    client_close(c);
    kill_all(k);

    int64_t start = kit_now();
    unsigned r = restored(k, file);
    kit_start(k, r);
    assert_int_equal(kit_leader(k), r);
    assert_true(kit_now() - start < 3 * KIT_WAIT_MS); /* the aim of 10 s is for a machine that does nothing else */
    c = client_admin(k, r);                           /* by the former CA */
    must(c, "get", "{kind: ConfigMap, namespace: default, name: a}");
    assert_string_equal(text_at(c, "object.metadata.resourceVersion"), version);
    assert_string_equal(text_at(c, "object.metadata.uid"), uid);
    assert_string_equal(text_at(c, "object.data.k"), "v");
    must(c, "get", "{kind: Secret, namespace: default, name: s}");
    refused(c, ERR_NOT_FOUND, NULL, "get", "{kind: ConfigMap, namespace: default, name: late}");

    /* Revisions go on above all that the former cluster gave out: who watched there is told to list anew. */
    must(c, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: fresh, namespace: default}}}");
    assert_true(strtoull(text_at(c, "object.metadata.resourceVersion"), NULL, 10) > last + 1000000);
    struct stream *w =
        stream_open(c, "watch", "{kind: ConfigMap, namespace: default, revision: %llu}", (unsigned long long)last);
    stream_wait_end(w);
    assert_int_equal(w->end.code, ERR_EXPIRED);
    stream_close(w);

    /* So do the ids, and the former masters count for nothing. */
    must(c, "cluster", "{}");
    assert_true(int_at(c, "id") >= 4 + 100);
    assert_int_equal(value_count(value_get(c->result, "members")), 1);
    must(c, "get", "{kind: ConfigMap, namespace: kube-system, name: reeve-cluster}");
    assert_int_equal(strncmp(text_at(c, "object.data.removedMasters"), "1-", 2), 0);
    struct client *former = client_as(k, r, PKI_ROLE_MASTER, "2");
    assert_int_not_equal(call(former, "get", "{kind: ConfigMap, namespace: default, name: a}"), 0);
    client_close(former);
    struct client *agent = client_as(k, r, PKI_ROLE_NODE, "n1"); /* agents' certificates go on */
    must(agent, "hello", "{}");
    client_close(agent);
    client_close(c);

    kit_start(k, kit_join(k, r)); /* and it grows again */
    kit_wait_voters(k, r, 2);
    kit_stop(k, r, SIGTERM);
    kit_start(k, r);
    kit_leader(k);
    c = client_admin(k, r);
    must(c, "get", "{kind: ConfigMap, namespace: default, name: fresh}");
    client_close(c);
}

static void expect_refusal(struct kit *k, unsigned place, const char *file, const char *text)
{
    const char *said;
    assert_int_equal(restore(k, place, file, NULL, &said), 1);
    if (strstr(said, text) == NULL) {
        fail_msg("expected \"%s\" in: %s", text, said);
    }
}

static void what_cannot_be_restored_is_refused_and_nothing_is_touched(void **state)
{
    struct kit *k = *state;
    const char *file = saved(k, 0), *bad = in_dir(k, "bad.rvb");
    unsigned place = new_place(k);
    char *bytes;
    size_t size;
    struct error err = {0};
    assert_int_equal(pki_read_file(file, 1 << 20, &bytes, &size, &err), 0);
    put_file(bad, bytes, size - 10);
    expect_refusal(k, place, bad, "it ends before its last chunk");
    bytes[size - 100] ^= 1;
    put_file(bad, bytes, size);
    expect_refusal(k, place, bad, "wrong passphrase or damaged file");
    bytes[size - 100] ^= 1;
    bytes[4] = 2;
    put_file(bad, bytes, size);
    expect_refusal(k, place, bad, "format 2; this program (");
    put_file(bad, "nothing of the kind, but long enough to be a header of one", 58);
    expect_refusal(k, place, bad, "no backup of Reeve's");
    expect_refusal(k, place, in_dir(k, "absent.rvb"), "absent.rvb");
    assert_int_equal(access(k->masters[place].dir, F_OK), -1);
    free(bytes);

    assert_int_equal(mkdir(k->masters[place].dir, 0700), 0);
    char other[300];
    snprintf(other, sizeof other, "%s/notes.txt", k->masters[place].dir);
    put_file(other, "mine", 4);
    expect_refusal(k, place, file, "is not empty (it holds notes.txt)");
    unlink(other);
    const char *said;
    assert_int_equal(restore(k, place, file, NULL, &said), 0); /* an empty one is fine */
    expect_refusal(k, place, file, "holds a master already");
    expect_refusal(k, 0, file, "holds a master already");
}

static void a_restore_that_was_cut_anywhere_is_completed_by_running_it_again(void **state)
{
    struct kit *k = *state;
    static const char *const cuts[] = {"setup_before_state=crash", "setup_before_config=crash",
                                       "setup_before_config=error"};
    const char *said, *file = saved(k, 0);
    kit_stop(k, 0, SIGTERM);
    unsigned place = new_place(k);
    const char *run_args[] = {"run", "--dir", k->masters[place].dir, NULL};
    const char *init_args[] = {"init", "--dir", k->masters[place].dir, NULL};
    for (size_t i = 0; i < ARRAY_SIZE(cuts); i++) {
        assert_int_equal(restore(k, place, file, cuts[i], &said), strstr(cuts[i], "crash") ? 128 + SIGKILL : 1);
        assert_int_equal(run(k, "reeve-master", NULL, &said, run_args), 1);
        assert_non_null(strstr(said, "was left unfinished by a restore; run `reeve-master restore` again"));
        assert_int_equal(run(k, "reeve-master", NULL, &said, init_args), 1);
        assert_non_null(strstr(said, "was left unfinished by a restore"));
    }
    assert_int_equal(restore(k, place, file, NULL, &said), 0);
    kit_start(k, place);
    assert_int_equal(kit_leader(k), place);
}

/* Made by Reeve 0.1.0, format 1, from a cluster "golden" of three masters: every later version must read it. */
static void a_backup_of_the_first_format_is_read(void **state)
{
    struct kit *k = kit_new();
    const char *said, *args[] = {"restore", "--check", "--passphrase-file", passphrase_file(k), GOLDEN, NULL};
    if (run(k, "reeve-master", NULL, &said, args) != 0) {
        fail_msg("%s", said);
    }
    assert_non_null(strstr(said, "can be restored: cluster golden at revision"));
    struct value *told = show(k, GOLDEN);
    assert_int_equal(value_path_int(told, "format", 0), 1);
    assert_string_equal(value_text(k, told, "version"), "0.1.0");
    unsigned r = restored(k, GOLDEN);
    char path[300];
    struct error err = {0};
    snprintf(path, sizeof path, "%s/ca.crt", k->masters[r].dir);
    assert_int_equal(pki_read_file(path, 1 << 16, &k->ca, NULL, &err), 0);
    snprintf(path, sizeof path, "%s/ca.key", k->masters[r].dir);
    assert_int_equal(pki_read_file(path, 1 << 16, &k->ca_key, NULL, &err), 0);
    kit_start(k, r);
    kit_leader(k);
    struct client *c = client_admin(k, r);
    must(c, "get", "{kind: ConfigMap, namespace: default, name: greeting}");
    assert_string_equal(text_at(c, "object.data.text"), "hello from format 1");
    must(c, "get", "{kind: Secret, namespace: default, name: password}");
    const struct value *bytes = value_path(c->result, "object.data.p");
    assert_non_null(bytes);
    struct str secret = bytes->str;
    assert_int_equal(secret.n, strlen("of-no-use"));
    assert_memory_equal(secret.p, "of-no-use", secret.n);
    must(c, "get", "{kind: Deployment, namespace: default, name: web}");
    assert_int_equal(int_at(c, "object.spec.replicas"), 3);
    client_close(c);
    kit_free(k);
    (void)state;
}

int main(void)
{
#define ONE(f)   cmocka_unit_test_setup_teardown(f, set_up_one, tear_down)
#define THREE(f) cmocka_unit_test_setup_teardown(f, set_up_three, tear_down)
    const struct CMUnitTest tests[] = {
        THREE(a_lost_cluster_comes_back_from_its_backup),
        ONE(what_cannot_be_restored_is_refused_and_nothing_is_touched),
        ONE(a_restore_that_was_cut_anywhere_is_completed_by_running_it_again),
        cmocka_unit_test(a_backup_of_the_first_format_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
