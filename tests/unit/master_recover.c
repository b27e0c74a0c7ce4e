/* `reeve-master recover` and `inspect`: a cluster goes on from what one master still has. */
#include "tests/unit/kit/master_kit.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

static void write_some(struct kit *k, unsigned from, unsigned count)
{
    struct client *c = client_admin(k, kit_leader(k));
    for (unsigned i = from; i < from + count; i++) {
        must(c, "create",
             "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: c%u, namespace: default}, data: {k: v%u}}}",
             i, i);
    }
    client_close(c);
}

static unsigned count_maps(struct kit *k, unsigned i)
{
    struct client *c = client_admin(k, i);
    must(c, "list", "{kind: ConfigMap, namespace: default}");
    unsigned n = value_count(value_get(c->result, "items"));
    client_close(c);
    return n;
}

/* Three masters; the last one has not the last five writes; all are dead. */
static struct kit *kit_all_dead(void)
{
    static const char *const args[] = {"--snapshot-entries", "10", NULL};
    struct kit *k = kit_three(args);
    kit_wait_parts(k, 3);
    write_some(k, 0, 30);
    for (unsigned i = 0; i < 3; i++) {
        if (kit_leader(k) != 2) {
            break;
        }
        struct client *c = client_admin(k, 2);
        call(c, "master.transfer", "{}");
        client_close(c);
    }
    assert_int_not_equal(kit_leader(k), 2);
    kit_stop(k, 2, SIGKILL);
    write_some(k, 30, 5);
    kit_stop(k, 0, SIGKILL);
    kit_stop(k, 1, SIGKILL);
    return k;
}

static char *recover(struct kit *k, int expected, unsigned i, const char *option, int other)
{
    char *said;
    const char *args[] = {"recover", "--dir", k->masters[i].dir, option, other < 0 ? NULL : k->masters[other].dir,
                          NULL};
    int rc = kit_run(k, &said, args);
    if (rc != expected) {
        fail_msg("recover ended with %d: %s", rc, said);
    }
    return said;
}

static void the_shorter_log_is_refused_and_what_it_lacks_is_named(void **state)
{
    (void)state;
    struct kit *k = kit_all_dead();
    CLEANUP_FREE char *said = recover(k, 1, 2, "--yes", 0);
    assert_non_null(strstr(said, "is not the most advanced"));
    assert_non_null(strstr(said, "ConfigMap default/c34"));
    const char *only = strstr(said, "only there: ");
    assert_non_null(only);
    /* The five made while it was away; the cluster's own objects may have changed meanwhile, too. */
    assert_true(strtoul(only + strlen("only there: "), NULL, 10) >= 5);
    assert_non_null(strstr(said, "--force"));
    const char *inspect[] = {"inspect", "--dir", k->masters[2].dir, NULL};
    CLEANUP_FREE char *seen = NULL;
    assert_int_equal(kit_run(k, &seen, inspect), 0);
    assert_non_null(strstr(seen, "condition         whole"));
    assert_non_null(strstr(seen, "master            3"));
    /* Without a yes nothing happens either. */
    CLEANUP_FREE char *asked = NULL;
    const char *ask[] = {"recover", "--dir", k->masters[0].dir, NULL};
    assert_int_equal(kit_run(k, &asked, ask), 1);
    assert_non_null(strstr(asked, "nothing was changed"));
    for (unsigned i = 0; i < 3; i++) {
        kit_start(k, i);
    }
    kit_leader(k);
    assert_int_equal(count_maps(k, 0), 35);
    /* And not while it runs. */
    CLEANUP_FREE char *busy = recover(k, 1, 0, "--yes", -1);
    assert_non_null(strstr(busy, "in use by another reeve-master"));
    kit_free(k);
}

static void the_recovered_one_leads_alone_and_the_others_join_anew(void **state)
{
    (void)state;
    struct kit *k = kit_all_dead();
    free(recover(k, 0, 0, "--yes", 2));
    kit_start(k, 0);
    assert_int_equal(kit_leader(k), 0);
    assert_int_equal(count_maps(k, 0), 35);
    write_some(k, 100, 3);
    struct client *c = client_admin(k, 0);
    must(c, "cluster", "{}");
    assert_int_equal(value_count(value_get(c->result, "members")), 1);
    assert_true(int_at(c, "id") >= 104);
    assert_true(int_at(c, "revision") > 1000000);
    client_close(c);
    /* One that comes back with its former data is told that it is out. */
    kit_start(k, 1);
    assert_int_equal(kit_wait_end(k, 1), 3);
    unsigned fresh = kit_join(k, 0);
    kit_start(k, fresh);
    unsigned there = 0;
    for (int64_t until = kit_now() + KIT_WAIT_MS; there != 38; kit_turn(k, 50)) {
        assert_true(kit_now() < until);
        c = client_admin(k, fresh);
        if (call(c, "list", "{kind: ConfigMap, namespace: default}") == 0) {
            there = value_count(value_get(c->result, "items"));
        }
        client_close(c);
    }
    kit_free(k);
}

/* One directory of three has one part of the CA's key, and two are needed. */
static void without_enough_parts_the_cluster_goes_on_and_gets_another_ca(void **state)
{
    (void)state;
    struct kit *k = kit_all_dead();
    CLEANUP_FREE char *said = recover(k, 0, 0, "--yes", -1);
    assert_non_null(strstr(said, "of which 2 are needed and 1 are in these directories"));
    assert_non_null(strstr(said, "rctl cert rotate-ca"));
    kit_start(k, 0);
    assert_int_equal(kit_leader(k), 0);
    assert_int_equal(count_maps(k, 0), 35); /* clients' certificates go on, and the master shows its former one */
    struct client *c = client_admin(k, 0);
    must(c, "hello", "{}");
    assert_null(strstr(text_at(c, "refused"), "1-")); /* which is not among those that are refused */
    must(c, "cert.status", "{}");
    assert_true(int_at(c, "id") >= 104);
    assert_string_equal(text_at(c, "own.subject"), "O=reeve:masters CN=1"); /* what stands in it */
    CLEANUP_FREE char *join = NULL;
    if (call(c, "token", "{role: master}") == 0) { /* before all parts there are have been tried */
        assert_int_equal(kit_join_with(k, 0, text_at(c, "token"), &join), 1);
        assert_non_null(strstr(join, "rctl cert rotate-ca"));
        k->masters_count--;
    } else {
        assert_non_null(strstr(c->err.message, "rctl cert rotate-ca"));
    }
    client_close(c);
    CLEANUP_FREE char *rotated = NULL;
    const char *rotate[] = {"cert", "rotate-ca", NULL};
    if (kit_rctl(k, &rotated, rotate) != 0) {
        fail_msg("%s", rotated);
    }
    CLEANUP_FREE char *token = NULL;
    const char *add[] = {"token", "create", "--role", "node", NULL};
    assert_int_equal(kit_rctl(k, &token, add), 0); /* it is signed for, and believed, by the new one */
    kit_free(k);
}

static void with_force_the_shorter_one_goes_on(void **state)
{
    (void)state;
    struct kit *k = kit_all_dead();
    const char *args[] = {"recover", "--dir", k->masters[2].dir, "--yes", "--force", k->masters[0].dir, NULL};
    char *said;
    assert_int_equal(kit_run(k, &said, args), 0);
    free(said);
    kit_start(k, 2);
    assert_int_equal(kit_leader(k), 2);
    assert_int_equal(count_maps(k, 2), 30);
    kit_free(k);
}

static void a_crash_at_any_step_of_a_recovery_is_gone_on_from(void **state)
{
    (void)state;
    static const char *const steps[] = {"recover_before_config", "recover_before_quarantine", "quarantine_after_rename",
                                        "recover_before_rename", "recover_before_identity",   "recover_before_end"};
    static const char *const args[] = {"--snapshot-entries", "10", NULL};
    struct kit *k = kit_one(args);
    write_some(k, 0, 25);
    char program[600];
    snprintf(program, sizeof program, "%.*s/tests/reeve-master", (int)(strrchr(kit_program(), '/') - kit_program()),
             kit_program());
    for (size_t s = 0; s < ARRAY_SIZE(steps); s++) {
        char command[1500];
        kit_stop(k, 0, s % 2 == 0 ? SIGTERM : SIGKILL);
        snprintf(command, sizeof command, "REEVE_FAILPOINTS=%s=%s %s recover --dir %s --yes >/dev/null 2>&1", steps[s],
                 s < 4 ? "crash" : "error", program, k->masters[0].dir);
        assert_int_not_equal(system(command), 0);
        if (s % 2 == 0) { /* the start goes on by itself */
            kit_start(k, 0);
        } else {
            free(recover(k, 0, 0, "--yes", -1));
            kit_start(k, 0);
        }
        kit_leader(k);
        assert_int_equal(count_maps(k, 0), 25 + s);
        write_some(k, 200 + (unsigned)s, 1);
        struct client *c = client_admin(k, 0);
        must(c, "cluster", "{}");
        int64_t id = int_at(c, "id");
        assert_true(s == 0 ? id == 1 : id > 100);
        client_close(c);
    }
    kit_free(k);
}

static void what_can_be_read_of_a_damaged_log_is_taken(void **state)
{
    (void)state;
    struct kit *k = kit_one(NULL);
    write_some(k, 0, 100); /* behind what a cluster begins with */
    kit_stop(k, 0, SIGTERM);
    char path[512];
    struct stat st;
    DIR *d;
    struct dirent *e;
    snprintf(path, sizeof path, "%s/raft", k->masters[0].dir);
    d = opendir(path);
    off_t largest = 0;
    char file[600] = "";
    while ((e = readdir(d)) != NULL) {
        char one[600];
        snprintf(one, sizeof one, "%.300s/%.200s", path, e->d_name);
        if (e->d_name[0] == '0' && stat(one, &st) == 0 && st.st_size > largest) {
            largest = st.st_size;
            snprintf(file, sizeof file, "%s", one);
        }
    }
    closedir(d);
    CLEANUP_CLOSE int fd = open(file, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "\xff\xff\xff\xff", 4, largest / 4 * 3), 4);
    const char *run[] = {"run", "--dir", k->masters[0].dir, NULL};
    CLEANUP_FREE char *refused_text = NULL;
    assert_int_equal(kit_run(k, &refused_text, run), 1);
    CLEANUP_FREE char *said = recover(k, 0, 0, "--yes", -1);
    assert_non_null(strstr(said, "taken up to the damage only"));
    kit_start(k, 0);
    kit_leader(k);
    unsigned n = count_maps(k, 0);
    print_message("%u of 100 objects stand before the damage\n", n);
    assert_in_range(n, 3, 99);
    kit_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_shorter_log_is_refused_and_what_it_lacks_is_named),
        cmocka_unit_test(the_recovered_one_leads_alone_and_the_others_join_anew),
        cmocka_unit_test(without_enough_parts_the_cluster_goes_on_and_gets_another_ca),
        cmocka_unit_test(with_force_the_shorter_one_goes_on),
        cmocka_unit_test(a_crash_at_any_step_of_a_recovery_is_gone_on_from),
        cmocka_unit_test(what_can_be_read_of_a_damaged_log_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
