/* Members come, get a vote, hand leadership over and go. */
#include "tests/unit/raft-store_cluster.h"

static int role_as_told_by(struct member *m, uint64_t id)
{
    struct replica_member members[MEMBERS_MAX];
    unsigned n = replica_members(m->replica, members, MEMBERS_MAX);
    for (unsigned i = 0; i < n; i++) {
        if (members[i].id == id) {
            return members[i].role;
        }
    }
    return -1;
}

static int role_of(struct cluster *c, uint64_t id)
{
    return role_as_told_by(await_leader(c), id);
}

static int add_member(struct cluster *c, uint64_t id)
{
    struct read r = {0};
    char address[ADDRESS_MAX];
    member_address(id, address);
    replica_member_add(await_leader(c)->replica, id, address, on_read, &r);
    await_read(c, &r);
    return r.code;
}

static int remove_member(struct cluster *c, uint64_t id)
{
    struct read r = {0};
    replica_member_remove(await_leader(c)->replica, id, on_read, &r);
    await_read(c, &r);
    return r.code;
}

static int transfer(struct cluster *c, uint64_t to)
{
    struct member *old = await_leader(c);
    struct read r = {0};
    replica_transfer(old->replica, to, on_read, &r);
    assert_false(replica_leading(old->replica));
    await_read(c, &r);
    return r.code;
}

static void a_cluster_grows_from_one_and_shrinks(void **state)
{
    (void)state;
    struct cluster c;
    cluster_init(&c, 1, 12);
    struct error err = {0};
    member_up(&c, 1);
    must(replica_bootstrap(c.members[1].replica, &err), &err);
    must(replica_start(c.members[1].replica, &err), &err);
    write_ok(&c, 1);
    for (uint64_t id = 2; id <= 3; id++) {
        member_start(&c, id);
        int64_t until = c.sim.now_ms + 20000;
        int rc = add_member(&c, id);
        for (; rc == ERR_BUSY && c.sim.now_ms < until; rc = add_member(&c, id)) {
            step(&c); /* the one before is moved on */
        }
        assert_int_equal(rc, 0);
    }
    run_for(&c, 3000);
    struct replica_member members[8];
    assert_int_equal(replica_members(await_leader(&c)->replica, members, 8), 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(members[i].role, RAFT_VOTER);
    }
    write_ok(&c, 2);
    run_for(&c, 500);
    assert_all_equal(&c);
    member_down(&c, 1, true); /* any one may go now */
    write_ok(&c, 3);
    assert_int_equal(remove_member(&c, 1), 0);
    assert_int_equal(replica_members(await_leader(&c)->replica, members, 8), 2);
    assert_int_equal(remove_member(&c, await_leader(&c)->id), ERR_USAGE);
    cluster_close(&c);
}

static void who_does_not_answer_gets_no_vote(void **state)
{
    (void)state;
    struct cluster c;
    cluster_start(&c, 3, 31);
    write_ok(&c, 1);
    member_start(&c, 4); /* takes the log, but for the leader's ears it is not there */
    c.deaf[4] = true;
    assert_int_equal(add_member(&c, 4), 0);
    run_for(&c, 5000);
    assert_int_equal(role_of(&c, 4), RAFT_STANDBY);
    assert_true(has(&c.members[4], 1));
    c.deaf[4] = false;
    run_for(&c, 3000);
    assert_int_equal(role_of(&c, 4), RAFT_VOTER);
    c.deaf[4] = true; /* and keeps the vote when it falls silent */
    run_for(&c, 20000);
    assert_int_equal(role_of(&c, 4), RAFT_VOTER);
    c.deaf[4] = false;
    /* One that never comes stays without a vote, and in nobody's way. */
    assert_int_equal(add_member(&c, 5), 0);
    run_for(&c, 5000);
    assert_int_equal(role_of(&c, 5), RAFT_STANDBY);
    write_ok(&c, 2);
    assert_int_equal(remove_member(&c, 5), 0);
    assert_int_equal(role_of(&c, 5), -1);
    cluster_close(&c);
}

static void nobody_is_removed_on_whom_the_majority_depends(void **state)
{
    (void)state;
    struct cluster c;
    cluster_start(&c, 4, 32);
    write_ok(&c, 1);
    uint64_t l = await_leader(&c)->id, a = l % 4 + 1, b = a % 4 + 1, d = b % 4 + 1;
    member_down(&c, a, true);
    run_for(&c, 500);
    assert_int_equal(remove_member(&c, b), 0);            /* of the three others two answer */
    assert_int_equal(remove_member(&c, d), ERR_CONFLICT); /* of the two others one would */
    assert_int_equal(role_of(&c, d), RAFT_VOTER);
    assert_int_equal(remove_member(&c, a), 0); /* the dead one may go */
    assert_int_equal(remove_member(&c, d), 0);
    write_ok(&c, 2);
    cluster_close(&c);
}

static void leadership_is_handed_over(void **state)
{
    (void)state;
    struct cluster c;
    cluster_start(&c, 3, 13);
    write_ok(&c, 1);
    struct member *old = await_leader(&c);
    uint64_t to = next_to(&c, old)->id;
    assert_int_equal(transfer(&c, to), 0);
    assert_int_equal(await_leader(&c)->id, to);
    write_ok(&c, 2);
    /* To one that is away: it fails, and the leader goes on. */
    old = await_leader(&c);
    to = isolate_follower(&c);
    assert_int_equal(transfer(&c, to), ERR_TIMEOUT);
    assert_int_equal(await_leader(&c)->id, old->id);
    write_ok(&c, 3);
    cluster_close(&c);
}

/* Rule 11 of raft/replica_io.c: what it missed has a configuration behind other entries, and comes in one go. */
static void who_was_away_when_members_changed_can_change_them_as_leader(void **state)
{
    (void)state;
    struct cluster c;
    cluster_start(&c, 3, 19);
    write_ok(&c, 1);
    struct member *m = await_leader(&c);
    uint64_t away = isolate_follower(&c);
    write_ok(&c, 2);
    write_ok(&c, 3);
    assert_int_equal(add_member(&c, 4), 0);
    write_ok(&c, 4);
    sim_isolate(&c.sim, away, false);
    run_for(&c, 3000);
    assert_int_equal(await_leader(&c)->id, m->id);
    assert_int_equal(transfer(&c, away), 0);
    assert_int_equal(await_leader(&c)->id, away);
    assert_int_equal(remove_member(&c, 4), 0);
    cluster_close(&c);
}

/* Rule 16 of raft/replica_io.c: 2 is lost, so 1 needs the vote of 3, who was made voter and has not heard of it. */
static void a_voter_that_does_not_know_it_yet_gives_its_vote(void **state)
{
    (void)state;
    struct cluster c;
    cluster_start(&c, 2, 23);
    write_ok(&c, 1);
    struct member *m = await_leader(&c);
    uint64_t old = m->id, other = 3 - old;
    member_start(&c, 3);
    struct read r = {0};
    replica_member_add(m->replica, 3, "sim:3", on_read, &r);
    int64_t until = c.sim.now_ms + 20000;
    while (role_as_told_by(m, 3) != RAFT_VOTER) {
        assert_true(c.sim.now_ms < until);
        step(&c);
    }
    sim_isolate(&c.sim, 3, true);
    struct replica_stats stats;
    for (replica_stats(m->replica, &stats); stats.members_open; replica_stats(m->replica, &stats)) {
        assert_true(c.sim.now_ms < until);
        step(&c);
    }
    assert_int_equal(role_as_told_by(&c.members[3], 3), RAFT_STANDBY);
    member_down(&c, other, true);
    member_down(&c, old, true);
    sim_isolate(&c.sim, 3, false);
    member_start(&c, old);
    assert_int_equal(await_leader(&c)->id, old);
    write_ok(&c, 2);
    assert_int_equal(role_as_told_by(&c.members[3], 3), RAFT_VOTER);
    cluster_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cluster_grows_from_one_and_shrinks),
        cmocka_unit_test(who_does_not_answer_gets_no_vote),
        cmocka_unit_test(nobody_is_removed_on_whom_the_majority_depends),
        cmocka_unit_test(leadership_is_handed_over),
        cmocka_unit_test(who_was_away_when_members_changed_can_change_them_as_leader),
        cmocka_unit_test(a_voter_that_does_not_know_it_yet_gives_its_vote),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
