/* A removed master's disk in the hands of a thief: what its identity and the CA's key on it are still good for. */
#include "tests/unit/master_rotate.h"

static int set_up(void **state)
{
    *state = kit_three(NULL);
    RCTL(*state, 0, "knows 3 masters now", "config", "set-servers");
    return 0;
}

static int tear_down(void **state)
{
    kit_thaw_all(*state);
    kit_free(*state);
    return 0;
}

/* What the leader says reaches a client when it happens to ask the leader, and a node with the next hello. */
static void wait_for_word(struct kit *k, const char *path, const char *word)
{
    for (int64_t until = kit_now() + KIT_WAIT_MS;; kit_turn(k, 50)) {
        const char *args[] = {"get", "namespaces", NULL};
        char *text = NULL;
        kit_rctl(k, NULL, args);
        bool there = pki_read_file(path, 1 << 20, &text, NULL, NULL) == 0 && strstr(text, word) != NULL;
        free(text);
        if (there) {
            return;
        }
        if (kit_now() > until) {
            fail_msg("%s does not say \"%s\"", path, word);
        }
    }
}

/* In what it wrote from `from` on. */
static void wait_for_log(struct kit *k, const struct agent_process *a, size_t from, const char *text)
{
    for (int64_t until = kit_now() + KIT_WAIT_MS; strstr(text_of(k, a->log) + from, text) == NULL; kit_turn(k, 50)) {
        if (kit_now() > until) {
            fail_msg("the agent does not say \"%s\"", text);
        }
    }
}

static void a_removed_masters_disk_poses_as_a_master_to_nobody_who_was_told(void **state)
{
    struct kit *k = *state;
    struct agent_process n1;
    assert_int_equal(agent_join(k, &n1, "n1", token_by_rctl(k, "node"), 0), 0);
    agent_run(k, &n1);
    kit_stop(k, 2, SIGTERM); /* from here on its directory is the thief's: it has not heard of the removal */
    RCTL(k, 0, NULL, "master", "remove", "3", "--force");
    wait_for_word(k, in_kit(k, "m0/admin.config"), "refused-masters: \"3\"");
    wait_for_word(k, in_kit(k, "n1/masters.refused"), "3");
    agent_stop(k, &n1);
    kit_freeze(k, 0);
    kit_freeze(k, 1);
    kit_start(k, 2);
    struct client *unaware = NULL; /* somebody who was never told takes it for a master: it answers */
    for (int64_t until = kit_now() + KIT_WAIT_MS;; kit_turn(k, 50)) {
        unaware = client_as(k, 2, PKI_ROLE_ADMIN, "unaware");
        if (call(unaware, "hello", "{}") == 0) {
            break;
        }
        client_close(unaware);
        assert_true(kit_now() < until);
    }
    client_close(unaware);
    const char *said = RCTL(k, 1, "was removed from the cluster", "get", "namespaces", "--server", k->masters[2].addr);
    assert_non_null(strstr(said, "master 3"));
    size_t said_before = strlen(text_of(k, n1.log));
    agent_run(k, &n1); /* all that answers is the thief */
    wait_for_log(k, &n1, said_before, "was removed from the cluster");
    agent_stop(k, &n1);
    kit_thaw(k, 0);
    kit_thaw(k, 1);
    kit_wait_end(k, 2); /* the others tell it */
}

/* Somebody has its key and talks to the others as it does, while they remove it. */
static void a_removed_masters_connections_end_with_it(void **state)
{
    struct kit *k = *state;
    unsigned leader = kit_leader(k), gone = (leader + 1) % 3;
    struct client *admin = client_admin(k, leader);
    kit_stop(k, gone, SIGTERM);
    struct client *thieves[2];
    for (unsigned i = 0; i < 2; i++) {
        thieves[i] = client_as_raft(k, (gone + 1 + i) % 3, gone + 1);
        assert_int_equal(call(thieves[i], "raft.term", "{round: 1, term: 1}"), 0);
    }
    must(admin, "master.remove", "{id: %u, force: true}", gone + 1);
    int64_t removed = kit_now();
    for (unsigned i = 0; i < 2; i++) {
        for (int64_t until = kit_now() + KIT_WAIT_MS; thieves[i]->rpc != NULL; kit_turn(k, 5)) {
            assert_true(kit_now() < until);
        }
        print_message("closed %lld ms after the answer\n", (long long)(kit_now() - removed));
        client_close(thieves[i]);
        struct client *again = client_as_raft(k, (gone + 1 + i) % 3, gone + 1);
        assert_int_not_equal(call(again, "raft.term", "{round: 1, term: 1}"), 0);
        client_close(again);
    }
    client_close(admin);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_removed_masters_disk_poses_as_a_master_to_nobody_who_was_told, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_removed_masters_connections_end_with_it, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
