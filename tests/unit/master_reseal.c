/* The key that seals Secrets is replaced while all goes on. */
#include "tests/unit/kit/reseal_kit.h"

#include "tests/unit/kit/backup_kit.h"

static void write_meanwhile(struct kit *k)
{
    (void)k;
    write_one(&writer);
}

static void another_key_seals_and_nothing_is_left_of_the_former_one(void **state)
{
    struct kit *k = three(state);
    struct pki_ring former = keys_of(k, 0);
    while (writer.acknowledged < 50) {
        write_one(&writer);
    }
    k->meanwhile = write_meanwhile;
    const char *said = RCTL(k, 0, "the key that seals Secrets is now", "cert", "rotate-seal");
    k->meanwhile = NULL;
    assert_non_null(strstr(said, "masters get the new key"));
    for (unsigned enough = writer.acknowledged + 20; writer.acknowledged < enough;) {
        write_one(&writer);
    }
    assert_null(strstr(wait_for_status(k, "master 3"), "being replaced"));
    check_all(k, &former, 3);
    struct pki_ring second = keys_of(k, 0); /* and once more */
    RCTL(k, 0, "the key that seals Secrets is now", "cert", "rotate-seal");
    check_all(k, &second, 3);
    RCTL(k, 1, "not being replaced", "cert", "rotate-seal", "--finish");
}

static void a_master_that_is_down_is_waited_for_and_catches_up(void **state)
{
    struct kit *k = three(state);
    struct pki_ring former = keys_of(k, 0);
    kit_stop(k, 2, SIGKILL);
    RCTL(k, 0, NULL, "cert", "rotate-seal", "--no-wait");
    wait_for_status(k, "does not answer");
    write_one(&writer);
    kit_start(k, 2);
    wait_for_another(k, &former, 3);
    char *log = kit_log(k, 2);
    assert_null(strstr(log, "comes back"));
    free(log);
    check_all(k, &former, 3);
}

/* It gets the key in time, or is sent what it cannot open and comes back as a new master: it serves in any case. */
static void a_master_that_missed_it_all_gets_the_key_or_comes_back_as_another(void **state)
{
    struct kit *k = three(state);
    struct pki_ring former = keys_of(k, 0);
    kit_stop(k, 2, SIGTERM);
    RCTL(k, 0, NULL, "cert", "rotate-seal", "--no-wait");
    wait_for_status(k, "does not answer");
    RCTL(k, 0, "is now", "cert", "rotate-seal", "--finish");
    wait_for_another(k, &former, 2);
    for (unsigned i = 0; i < 20; i++) {
        write_one(&writer);
    }
    assert_true(writer.acknowledged > 0);
    struct pki_ring missed = keys_of(k, 2);
    assert_true(pki_ring_equal(&missed, &former));
    kit_start(k, 2);
    wait_for_another(k, &former, 3);
    kit_wait_voters(k, kit_leader(k), 3);
    check_all(k, &former, 3);
}

/* It has all of the log, in which nothing was sealed since, and the others give it the lead. */
static void a_master_without_the_new_key_does_not_lead(void **state)
{
    struct kit *k = three(state);
    stop_all(k, SIGTERM);
    kit_start_armed(k, 0, "reseal_before_step=error@2+"); /* the new key seals, and it goes no further */
    kit_start_armed(k, 1, "reseal_before_step=error@2+");
    RCTL(k, 0, "is being replaced", "cert", "rotate-seal", "--no-wait");
    wait_for_status(k, "master 3 at");
    RCTL(k, 0, "is being replaced", "cert", "rotate-seal", "--finish", "--no-wait");
    wait_for_status(k, "phase \"use\"");
    kit_start_armed(k, 2, "reseal_before_store=error@1+");
    kit_wait_voters(k, kit_leader(k), 3);
    wait_for_status(k, "master 3 does not seal with the new key yet");
    struct client *c = client_admin(k, kit_leader(k));
    call(c, "master.transfer", "{id: 3}"); /* whatever is answered */
    client_close(c);
    assert_int_equal(kit_wait_end(k, 2), 1);
    char *log = kit_log(k, 2);
    assert_non_null(strstr(log, "has not got the new one yet"));
    free(log);
    write_one(&writer);
    kit_start(k, 2);
    wait_for_service(k, 2);
    for (int64_t until = kit_now() + KIT_WAIT_MS; keys_of(k, 2).count < 2; kit_turn(k, 20)) {
        /* Without it, it would end once more if it were elected while all are stopped. */
        assert_true(kit_now() < until);
    }
    read_back(&writer);
}

static void whoever_joins_meanwhile_has_all_keys(void **state)
{
    static const char *const phases[] = {"spread", "clean"};
    struct kit *k = three(state);
    for (size_t p = 0; p < ARRAY_SIZE(phases); p++) {
        struct pki_ring former = keys_of(k, 0);
        CLEANUP_FREE char *join = NULL;
        hold_in(k, phases[p]);
        unsigned late = k->masters_count;
        assert_int_equal(kit_join_with(k, 0, token_by_rctl(k, "master"), &join), 0);
        struct pki_ring keys = keys_of(k, late);
        assert_int_equal(keys.count, 2);
        kit_start(k, late);
        write_one(&writer);
        wait_for_service(k, late);
        for (unsigned i = 0; i < late; i++) { /* not held any more */
            kit_stop(k, i, SIGTERM);
            kit_start(k, i);
            wait_for_service(k, i);
        }
        check_disks(k, &former, late + 1);
    }
    start_all(k, k->masters_count);
    read_back(&writer);
}

/* The leader that has made the key, and all that have it, are gone: another one is made. */
static void a_key_that_is_lost_with_its_maker_is_made_anew(void **state)
{
    struct kit *k = three(state);
    struct pki_ring former = keys_of(k, 0);
    stop_all(k, SIGTERM);
    for (unsigned i = 0; i < 3; i++) {
        kit_start_armed(k, i, "reseal_before_store=error@1+");
    }
    unsigned maker = kit_leader(k);
    struct client *c = client_admin(k, maker);
    must(c, "cert.reseal", "{}");
    client_close(c);
    if (keys_of(k, maker).count != 2) {
        maker = kit_leader(k); /* another one led by then */
    }
    struct pki_ring lost = keys_of(k, maker);
    assert_int_equal(lost.count, 2);
    kit_stop(k, maker, SIGKILL);
    for (unsigned i = 0; i < 3; i++) {
        if (i != maker) {
            kit_stop(k, i, SIGTERM);
            kit_start(k, i);
        }
    }
    wait_for_status(k, "does not answer"); /* the maker, now */
    for (int64_t until = kit_now() + KIT_WAIT_MS;
         keys_of(k, (maker + 1) % 3).count != 2 || keys_of(k, (maker + 2) % 3).count != 2; kit_turn(k, 50)) {
        assert_true(kit_now() < until);
    }
    kit_start(k, maker);
    wait_for_another(k, &former, 3);
    struct pki_ring now = keys_of(k, 0);
    assert_memory_not_equal(now.keys[0], lost.keys[1], PKI_SEAL_KEY_SIZE);
    check_all(k, &former, 3);
}

/* All but one are lost in the middle; that one goes on alone, and ends it. */
static void a_recovered_master_goes_on_with_it(void **state)
{
    static const char *const phases[] = {"spread", "clean"};
    for (size_t p = 0; p < ARRAY_SIZE(phases); p++) {
        struct kit *k = three(state);
        struct pki_ring former = keys_of(k, 0);
        hold_in(k, phases[p]);
        stop_all(k, SIGKILL);
        const char *recover[] = {"recover", "--dir", k->masters[0].dir, "--yes", NULL};
        assert_int_equal(kit_run(k, NULL, recover), 0);
        k->masters_count = 1;
        start_all(k, 1);
        check_all(k, &former, 1);
        struct client *c = client_admin(k, kit_leader(k));
        must(c, "get", "{kind: Secret, namespace: default, name: first}");
        client_close(c);
        tear_down(state);
    }
}

/* A backup holds the key that its state is sealed with. What was under way goes on: in SPREAD with another key,
 * since the one that was made is not in the backup. */
static void a_restored_cluster_goes_on_with_it(void **state)
{
    static const char *const phases[] = {"spread", "use", "clean"};
    for (size_t p = 0; p < ARRAY_SIZE(phases); p++) {
        struct kit *k = three(state);
        struct pki_ring former = keys_of(k, 0);
        hold_in(k, phases[p]);
        const char *file = saved(k, kit_leader(k));
        kill_all(k);
        unsigned r = restored(k, file);
        kit_start(k, r);
        wait_for_end(k);
        struct pki_ring keys = keys_of(k, r);
        assert_int_equal(keys.count, 1);
        assert_false(pki_ring_equal(&keys, &former));
        struct client *c = client_admin(k, r);
        must(c, "get", "{kind: Secret, namespace: default, name: first}");
        client_close(c);
        kit_stop(k, r, SIGTERM);
        look_at_disk(k, r, &former);
        tear_down(state);
    }
}

/* A master's newest snapshot is of the end of the last replacement, and what it sees next is the end of this one. */
static void the_end_of_one_is_not_taken_for_that_of_the_next(void **state)
{
    struct kit *k = three(state);
    RCTL(k, 0, "the key that seals Secrets is now", "cert", "rotate-seal");
    struct pki_ring former = keys_of(k, 0);
    for (unsigned i = 0; i < 10; i++) {
        write_one(&writer);
    }
    hold_in(k, "spread");
    unsigned late = (kit_leader(k) + 1) % 3;
    for (int64_t until = kit_now() + KIT_WAIT_MS; keys_of(k, late).count != 2; kit_turn(k, 20)) {
        assert_true(kit_now() < until);
    }
    kit_stop(k, late, SIGKILL);
    for (unsigned i = 0; i < 3; i++) { /* not held any more */
        if (i != late) {
            kit_stop(k, i, SIGTERM);
            kit_start(k, i);
            wait_for_service(k, i);
        }
    }
    RCTL(k, 0, "is now", "cert", "rotate-seal", "--finish");
    kit_start(k, late);
    wait_for_service(k, late);
    check_all(k, &former, 3);
}

static void it_is_begun_once_and_by_administrators(void **state)
{
    struct kit *k = three(state);
    struct client *c = client_admin(k, 0), *n = client_as(k, 0, PKI_ROLE_NODE, "n1");
    refused(n, ERR_FORBIDDEN, NULL, "cert.reseal", "{}");
    client_close(n);
    must(c, "cert.resealing", "{}");
    const char *first = text_at(c, "key");
    struct pki_ring former = keys_of(k, 0);
    must(c, "cert.reseal", "{replaces: %s}", first);
    assert_true(value_path_bool(c->result, "begun", false));
    refused(c, ERR_FORBIDDEN, "the cluster needs it", "delete",
            "{kind: ConfigMap, namespace: kube-system, name: reeve-seal}");
    wait_for_another(k, &former, 3);
    wait_for_end(k);
    must(c, "cert.reseal", "{replaces: %s}", first); /* the repetition of an answered request */
    assert_false(value_path_bool(c->result, "begun", true));
    assert_string_not_equal(text_at(c, "key"), first);
    assert_null(value_path(c->result, "resealing"));
    struct pki_ring keys = keys_of(k, 1);
    char id[PKI_RING_ID_SIZE];
    pki_ring_id(keys.keys[0], id);
    assert_string_equal(text_at(c, "key"), id);
    client_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(another_key_seals_and_nothing_is_left_of_the_former_one, tear_down),
        cmocka_unit_test_teardown(a_master_that_is_down_is_waited_for_and_catches_up, tear_down),
        cmocka_unit_test_teardown(a_master_that_missed_it_all_gets_the_key_or_comes_back_as_another, tear_down),
        cmocka_unit_test_teardown(a_master_without_the_new_key_does_not_lead, tear_down),
        cmocka_unit_test_teardown(whoever_joins_meanwhile_has_all_keys, tear_down),
        cmocka_unit_test_teardown(a_key_that_is_lost_with_its_maker_is_made_anew, tear_down),
        cmocka_unit_test_teardown(a_recovered_master_goes_on_with_it, tear_down),
        cmocka_unit_test_teardown(a_restored_cluster_goes_on_with_it, tear_down),
        cmocka_unit_test_teardown(the_end_of_one_is_not_taken_for_that_of_the_next, tear_down),
        cmocka_unit_test_teardown(it_is_begun_once_and_by_administrators, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
