/* The leader dies in the middle of a change of the membership: whoever asks again gets what was asked for, and
 * nothing is left half. */
#include "tests/unit/master_members.h"

/* Who ended by itself is started again, without failpoints: what a supervisor does. */
static unsigned ended_for_good = KIT_MASTERS_MAX; /* but for this one: it is to end */

static void restart_ended(struct kit *k)
{
    for (unsigned i = 0; i < k->masters_count; i++) {
        struct kit_master *m = &k->masters[i];
        if (i != ended_for_good && m->pid != 0 && waitpid(m->pid, NULL, WNOHANG) == m->pid) {
            m->pid = 0;
            kit_start(k, i);
        }
    }
}

/* The leader of these has the failpoint armed; its number. */
static unsigned arm_leader(struct kit *k, unsigned count, const char *failpoint)
{
    unsigned armed = (kit_leader(k) + 1) % count;
    kit_stop(k, armed, SIGTERM);
    kit_start_armed(k, armed, arena_printf(&k->arena, "%s=crash", failpoint));
    struct client *c = client_admin(k, kit_leader(k));
    for (int64_t until = kit_now() + KIT_WAIT_MS; kit_leader(k) != armed; kit_turn(k, 50)) {
        assert_true(kit_now() < until);
        if (call(c, "master.transfer", "{id: %u}", armed + 1) != 0) {
            kit_turn(k, 200);
        }
    }
    client_close(c);
    return armed;
}

/* Started at first, armed, and once more after the crash. An election may have come before the failpoint, on a machine
 * that stood still: then another leader has done what was asked for, and this one, which runs and does not lead, is
 * started again without the failpoint. */
static void expect_crashed(struct kit *k, unsigned i)
{
    for (int64_t until = kit_now() + KIT_WAIT_MS;; kit_turn(k, 50)) {
        CLEANUP_FREE char *log = kit_log(k, i);
        unsigned starts = 0;
        for (const char *p = log; (p = strstr(p, " serves ")) != NULL; p++) {
            starts++;
        }
        if (starts == 3) {
            return;
        }
        assert_true(starts < 3 && kit_now() < until);
        restart_ended(k);
        struct kit_master *m = &k->masters[i];
        if (starts == 2 && m->pid != 0 && kit_leader(k) != i && waitpid(m->pid, NULL, WNOHANG) == 0) {
            print_message("another master led when the failpoint would have come\n");
            kit_stop(k, i, SIGTERM);
            kit_start(k, i);
            return;
        }
    }
}

static const char *const join_points[] = {"member_join_before_drop", "member_join_before_add", "member_add_appended",
                                          "member_promote_appended", "member_join_before_answer"};
static const char *const remove_points[] = {"member_remove_before_change", "member_remove_appended",
                                            "member_remove_after_change"};

static void test_a_join_survives_the_leaders_death_at_every_step(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(join_points); i++) {
        struct kit *k = kit_three(NULL);
        unsigned armed = arm_leader(k, 3, join_points[i]);
        struct client *c = client_admin(k, (armed + 1) % 3);
        k->meanwhile = restart_ended;
        unsigned joined = must_join(k, c, "{role: master}");
        kit_start(k, joined);
        int64_t id = id_of(k, joined);
        print_message("%s: joined as %lld\n", join_points[i], (long long)id);
        assert_true(id >= 4);
        await_members(c, (int64_t[]){1, 2, 3, id}, 4);
        k->meanwhile = NULL;
        expect_crashed(k, armed);
        client_close(c);
        kit_free(k);
    }
}

/* Whoever leads knows that this master is down: on a busy machine that may be another than the one that was armed. */
static void await_replaceable(struct client *c, unsigned id)
{
    int64_t until = kit_now() + KIT_WAIT_MS;
    while (call(c, "token", "{role: master, replaces: %u}", id) != 0) {
        if (kit_now() > until) {
            fail_msg("token to replace %u: %s", id, c->err.message);
        }
        kit_turn(c->kit, 20);
    }
}

/* Of three, one dead: without the leader nothing goes, so it must come back. Of five the others go on without it. */
static void replace_while_the_leader_dies(struct kit *k, unsigned count, const char *point)
{
    unsigned armed = arm_leader(k, count, point), dead = (armed + 1) % count, other = (armed + 2) % count, n = 0;
    struct client *c = client_admin(k, other);
    int64_t ids[8];
    kit_stop(k, dead, SIGKILL);
    await_replaceable(c, dead + 1);
    k->meanwhile = count == 3 ? restart_ended : NULL;
    unsigned joined = must_join(k, c, arena_printf(&k->arena, "{role: master, replaces: %u}", dead + 1));
    kit_start(k, joined);
    k->meanwhile = restart_ended;
    for (unsigned i = 0; i < count; i++) {
        if (i != dead) {
            ids[n++] = i + 1;
        }
    }
    ids[n++] = id_of(k, joined);
    await_members(c, ids, n);
    k->meanwhile = NULL;
    expect_crashed(k, armed);
    kit_start(k, dead);
    assert_int_equal(kit_wait_end(k, dead), 3);
    client_close(c);
}

static void test_a_replacement_survives_the_leaders_death_at_every_step(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(join_points); i++) {
        struct kit *k = kit_three(NULL);
        replace_while_the_leader_dies(k, 3, join_points[i]);
        kit_free(k);
    }
    struct kit *k = kit_five();
    replace_while_the_leader_dies(k, 5, "member_remove_appended");
    kit_free(k);
}

/* The next leader may be asked before the one that died is back. Then it rightly refuses, and says what is missing. */
static void remove_when_enough_are_back(struct kit *k, unsigned gone)
{
    const char *const args[] = {"master", "remove", arena_printf(&k->arena, "%u", gone + 1), "--force", NULL};
    for (int64_t until = kit_now() + KIT_WAIT_MS;; kit_turn(k, 200)) {
        CLEANUP_FREE char *said = NULL;
        int rc = kit_rctl(k, &said, args);
        if (rc == 0) {
            assert_non_null(strstr(said, "removed"));
            return;
        }
        if (strstr(said, "bring another one back first") == NULL || kit_now() >= until) {
            fail_msg("exit code %d: %s", rc, said);
        }
    }
}

static void test_a_removal_survives_the_leaders_death_at_every_step(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(remove_points); i++) {
        struct kit *k = kit_three(NULL);
        unsigned armed = arm_leader(k, 3, remove_points[i]), gone = (armed + 1) % 3, other = (armed + 2) % 3;
        struct client *c = client_admin(k, other);
        rctl_ok(k, NULL, "config", "set-servers");
        k->meanwhile = restart_ended;
        ended_for_good = gone; /* whoever leads next: perhaps the one that is to go */
        remove_when_enough_are_back(k, gone);
        assert_int_equal(kit_wait_end(k, gone), 3);
        await_members(c, (int64_t[]){armed + 1, other + 1}, 2);
        expect_crashed(k, armed);
        k->meanwhile = NULL;
        ended_for_good = KIT_MASTERS_MAX;
        must(c, "get", "{kind: ConfigMap, namespace: kube-system, name: reeve-cluster}");
        assert_string_equal(text_at(c, "object.data.removedMasters"), arena_printf(&k->arena, "%u", gone + 1));
        client_close(c);
        kit_free(k);
    }
}

/* Nobody asks any more when a living master's successor votes: the leader's own duty, and the next leader's. */
static void test_the_end_of_a_living_masters_replacement_survives_the_leaders_death(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(remove_points); i++) {
        struct kit *k = kit_three(NULL);
        unsigned armed = arm_leader(k, 3, remove_points[i]), gone = (armed + 1) % 3, other = (armed + 2) % 3;
        struct client *c = client_admin(k, other);
        unsigned joined =
            must_join(k, c, arena_printf(&k->arena, "{role: master, replaces: %u, evenReachable: true}", gone + 1));
        k->meanwhile = restart_ended;
        ended_for_good = gone;
        kit_start(k, joined);
        await_members(c, (int64_t[]){armed + 1, other + 1, 4}, 3);
        assert_int_equal(kit_wait_end(k, gone), 3);
        expect_crashed(k, armed);
        k->meanwhile = NULL;
        ended_for_good = KIT_MASTERS_MAX;
        client_close(c);
        kit_free(k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_join_survives_the_leaders_death_at_every_step),
        cmocka_unit_test(test_a_replacement_survives_the_leaders_death_at_every_step),
        cmocka_unit_test(test_a_removal_survives_the_leaders_death_at_every_step),
        cmocka_unit_test(test_the_end_of_a_living_masters_replacement_survives_the_leaders_death),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
