/* A master that was away catches up, by a snapshot or by the log; snapshots that cannot be stored, are damaged, or
 * are just being written. */
#include "tests/unit/raft-store_cluster.h"

static void a_lagging_master_gets_a_snapshot(void **state)
{
    (void)state;
    for (unsigned async = 0; async < 2; async++) {
        struct cluster c;
        cluster_start_with(&c, 3, 11, 20, async == 1);
        write_ok(&c, 0);
        uint64_t lagging = next_to(&c, await_leader(&c))->id;
        member_down(&c, lagging, true);
        write_range(&c, 1, 200);
        struct replica_stats stats;
        replica_stats(leader(&c)->replica, &stats);
        assert_true(stats.snapshots >= 3);
        member_start(&c, lagging);
        run_for(&c, 3000);
        replica_stats(c.members[lagging].replica, &stats);
        assert_true(stats.restores >= 1);
        assert_true(c.members[lagging].restored >= 1);
        assert_all_equal(&c);
        /* And from its own disk afterwards. */
        member_down(&c, lagging, true);
        member_start(&c, lagging);
        run_for(&c, 1000);
        assert_all_equal(&c);
        cluster_close(&c);
    }
}

static void large_transactions_reach_a_lagging_master(void **state)
{
    (void)state;
    struct cluster c;
    cluster_start(&c, 3, 18);
    write_ok(&c, 0);
    struct member *m = await_leader(&c);
    uint64_t lagging = isolate_follower(&c);
    enum { BIG = 900000 };
    char *big = xmalloc(BIG + 1);
    for (unsigned i = 0; i < BIG; i++) {
        big[i] = (char)('a' + rng_below(&c.sim.rng, 26));
    }
    big[BIG] = 0;
    for (unsigned i = 0; i < 6; i++) {
        struct write w = {0};
        struct txn t;
        txn_init(&t, "test");
        for (unsigned k = 0; k < 5; k++) { /* 4.5 MB an entry: two of them pass a message's limit */
            char name[32];
            snprintf(name, sizeof name, "big-%u-%u", i, k);
            txn_create(&t, config_map("default", name, "k", big));
        }
        assert_int_equal(replica_submit(m->replica, &t, on_write, &w, NULL), 0);
        txn_close(&t);
        await_write(&c, &w);
        assert_int_equal(w.code, 0);
    }
    free(big);
    sim_isolate(&c.sim, lagging, false);
    run_for(&c, 4000);
    assert_int_equal(view_count(store_committed(replica_store(c.members[lagging].replica)), NULL), 31);
    write_ok(&c, 1);
    run_for(&c, 500);
    assert_all_equal(&c);
    cluster_close(&c);
}

/* Rule 12 of raft/replica_io.c: it is not taken for one that still writes it. */
static void a_master_that_cannot_store_the_leaders_snapshot_stops(void **state)
{
    (void)state;
    struct cluster c;
    cluster_start_with(&c, 3, 20, 8, false);
    write_ok(&c, 1);
    uint64_t away = isolate_follower(&c);
    write_range(&c, 2, 60);
    c.sim.disks[away].fail_snapshots = 1;
    sim_isolate(&c.sim, away, false);
    run_for(&c, 5000);
    assert_true(c.members[away].fatal);
    assert_int_equal(c.members[away].fatal_error.code, ERR_IO);
    assert_non_null(strstr(c.members[away].fatal_error.message, "store the leader's snapshot"));
    cluster_close(&c);
}

/* Rule 13 of raft/replica_io.c: it is not sent again and again to one who refuses it. */
static void a_leader_that_finds_its_snapshot_damaged_stops_and_another_sends_its_own(void **state)
{
    (void)state;
    struct cluster c;
    cluster_start_with(&c, 3, 21, 8, true);
    write_ok(&c, 1);
    struct member *m = await_leader(&c);
    uint64_t away = isolate_follower(&c);
    write_range(&c, 2, 60);
    run_for(&c, 200);
    assert_int_equal(sim_disk_damage(&c.sim, m->id, SIM_DAMAGE_FLIP), SIM_DAMAGE_FLIP);
    sim_isolate(&c.sim, away, false);
    run_for(&c, 5000);
    assert_true(m->fatal);
    assert_int_equal(m->fatal_error.code, ERR_CORRUPT);
    assert_non_null(strstr(m->fatal_error.message, "the snapshot on this master's disk is damaged"));
    run_for(&c, 5000);
    assert_int_equal(view_count(store_committed(replica_store(c.members[away].replica)), NULL), 59);
    cluster_close(&c);
}

/* A worker with a snapshot holds up the end; what a follower that lags says meanwhile comes to a library that has
 * taken itself apart. */
static void a_leader_that_stops_while_a_snapshot_is_written_bears_late_answers(void **state)
{
    (void)state;
    for (unsigned k = 0; k < 60; k++) {
        struct cluster c;
        cluster_start_with(&c, 3, 22 + k, 6, true);
        struct member *m = await_leader(&c);
        uint64_t away = isolate_follower(&c);
        write_range(&c, 0, k % 12 + 1);
        sim_isolate(&c.sim, away, false);
        struct write w;
        assert_int_equal(submit(m, numbered(100), NULL, &w), 0);
        run_for(&c, 5 * (k / 12) + 1);
        member_down(&c, m->id, false);
        assert_true(w.answered);
        run_for(&c, 3000);
        write_ok(&c, 101);
        cluster_close(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lagging_master_gets_a_snapshot),
        cmocka_unit_test(large_transactions_reach_a_lagging_master),
        cmocka_unit_test(a_master_that_cannot_store_the_leaders_snapshot_stops),
        cmocka_unit_test(a_leader_that_finds_its_snapshot_damaged_stops_and_another_sends_its_own),
        cmocka_unit_test(a_leader_that_stops_while_a_snapshot_is_written_bears_late_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
