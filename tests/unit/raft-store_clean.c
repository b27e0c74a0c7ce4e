/* What was written before a moment goes from masters' disks (replica_clean): so a key can be dropped that has sealed
 * some of it. */
#include "tests/unit/raft-store_disk_world.h"

#include "base/failpoint.h"
#include "raft-store/disk/replay.h"
#include "raft-store/raft/replica_int.h"

static const struct pki_ring before = {1, {{1, 2, 3}}}, after = {1, {{4, 5, 6}}};
static const struct pki_ring both = {2, {{4, 5, 6}, {1, 2, 3}}};

/* How many objects these keys bring back of a directory. */
static uint64_t opened(const char *dir, const struct pki_ring *keys, bool whole)
{
    struct disk_replay r;
    struct error err = {0};
    must(disk_replay(dir, keys, &r, &err), &err);
    uint64_t n = view_count(store_committed(r.store), NULL);
    if (whole && r.report.state != DISK_WHOLE) {
        fail_msg("%s: %s", dir, r.report.damage);
    }
    assert_int_equal(r.report.state, whole ? DISK_WHOLE : DISK_DAMAGED);
    disk_replay_close(&r);
    return n;
}

static void replace_key(struct world3 *w, unsigned members)
{
    for (unsigned id = 1; id <= members; id++) {
        store_set_seal_keys(replica_store(w->members[id].replica), &both);
    }
    w->seal_keys = &both;
}

static void nothing_that_the_former_key_has_sealed_stays(void **state)
{
    (void)state;
    struct world3 w;
    unsigned written = 0;
    world_open(&w);
    w.snapshot_entries = 16;
    w.seal_keys = &before;
    member_start(&w, 1, true);
    write_ok(&w, written++);
    join(&w, 2);
    join(&w, 3);
    while (written < 50) {
        write_ok(&w, written++);
    }
    replace_key(&w, 3);
    write_ok(&w, written++); /* whatever was under way with the former key is behind this one */
    for (unsigned id = 1; id <= 3; id++) {
        KIT_UNTIL(&w.loop, count(&w.members[id]) == written);
        replica_clean(w.members[id].replica);
        assert_false(replica_is_clean(w.members[id].replica));
    }
    for (unsigned id = 1; id <= 3; id++) {
        while (!replica_is_clean(w.members[id].replica)) {
            write_ok(&w, written++); /* writers go on */
        }
    }
    for (unsigned i = 0; i < 5; i++) {
        write_ok(&w, written++);
    }
    for (unsigned id = 1; id <= 3; id++) {
        KIT_UNTIL(&w.loop, count(&w.members[id]) == written);
    }
    for (unsigned id = 1; id <= 3; id++) {
        member_stop(&w, id);
        assert_int_equal(opened(w.members[id].dir, &before, false), 0);
        assert_int_equal(opened(w.members[id].dir, &after, true), written);
    }
    w.seal_keys = &after; /* the former one is needed by nobody */
    for (unsigned id = 1; id <= 3; id++) {
        member_start(&w, id, false);
    }
    KIT_UNTIL(&w.loop, leader(&w) != NULL);
    write_ok(&w, written++);
    for (unsigned id = 1; id <= 3; id++) {
        KIT_UNTIL(&w.loop, count(&w.members[id]) == written);
    }
    world_close(&w);
}

/* No entry comes meanwhile, as in a cluster where nothing happens. */
static void a_quiet_master_comes_to_an_end_of_it(void **state)
{
    (void)state;
    struct world3 w;
    struct replica_stats one, two;
    world_open(&w);
    w.seal_keys = &before;
    member_start(&w, 1, true);
    for (unsigned i = 0; i < 5; i++) {
        write_ok(&w, i);
    }
    struct replica *n = w.members[1].replica;
    assert_true(replica_is_clean(n)); /* nobody has asked for anything */
    replace_key(&w, 1);
    replica_clean(n);
    KIT_UNTIL(&w.loop, replica_is_clean(n));
    replica_stats(n, &one);
    assert_int_equal(one.snapshots, 1);
    replica_clean(n); /* nothing is new since then: what there is does */
    KIT_UNTIL(&w.loop, replica_is_clean(n));
    replica_stats(n, &two);
    assert_int_equal(two.snapshots, 1);
    member_stop(&w, 1);
    assert_int_equal(opened(w.members[1].dir, &after, true), 5);
    member_start(&w, 1, false); /* and after a start, of which it is not known what was done before it */
    KIT_UNTIL(&w.loop, leader(&w) != NULL);
    replica_clean(w.members[1].replica);
    KIT_UNTIL(&w.loop, replica_is_clean(w.members[1].replica));
    world_close(&w);
}

/* The newcomer has the new key alone: it is sent a snapshot, none of the entries before. */
static void a_newcomer_is_sent_nothing_of_before(void **state)
{
    (void)state;
    struct world3 w;
    world_open(&w);
    w.seal_keys = &before;
    member_start(&w, 1, true);
    for (unsigned i = 0; i < 12; i++) {
        write_ok(&w, i);
    }
    replace_key(&w, 1);
    write_ok(&w, 12);
    replica_clean(w.members[1].replica);
    KIT_UNTIL(&w.loop, replica_is_clean(w.members[1].replica));
    w.seal_keys = &after;
    join(&w, 2);
    KIT_UNTIL(&w.loop, count(&w.members[2]) == 13);
    assert_int_equal(w.members[2].restored, 1);
    assert_false(w.members[2].fatal);
    world_close(&w);
}

static void what_cannot_be_removed_is_tried_again(void **state)
{
    (void)state;
    struct world3 w;
    world_open(&w);
    w.seal_keys = &before;
    member_start(&w, 1, true);
    write_ok(&w, 0);
    replace_key(&w, 1);
    write_ok(&w, 1);
    assert_true(failpoint_arm("clean_before_prune=error@1", NULL));
    replica_clean(w.members[1].replica);
    KIT_UNTIL(&w.loop, replica_is_clean(w.members[1].replica));
    failpoint_disarm_all();
    member_stop(&w, 1);
    assert_int_equal(opened(w.members[1].dir, &before, false), 0);
    assert_int_equal(opened(w.members[1].dir, &after, true), 2);
    world_close(&w);
}

/* ---- A sweep that lasts ---- */

static void a_snapshot_that_comes_while_files_are_removed_is_taken_behind_that(void **state)
{
    (void)state;
    struct world3 w;
    struct write added = {0};
    world_open(&w);
    w.snapshot_entries = 16;
    member_start(&w, 1, true);
    for (unsigned i = 0; i < 60; i++) {
        write_ok(&w, i);
    }
    struct member *m = &w.members[2];
    member_start(&w, 2, false);
    m->holds_jobs = true;
    replica_snapshot_stored(m->replica); /* as if one had been: the sweep begins, and does not end */
    replica_member_add(leader(&w)->replica, 2, m->address, on_read, &added);
    KIT_UNTIL(&w.loop, m->replica->io.held.install_snapshot.data.base != NULL);
    assert_int_equal(m->jobs_count, 1);
    assert_int_equal(m->restored, 0);
    release_jobs(m);
    KIT_UNTIL(&w.loop, added.answered && count(m) == 60);
    assert_int_equal(m->restored, 1);
    /* Once, if the leader gets its turns; one that stood still for longer than its patience sends it again. */
    assert_in_range(transport_stats(w.members[1].transport)->snapshots_sent, 1, 3);
    assert_false(m->fatal);
    world_close(&w);
}

static void a_master_that_ends_gives_up_the_snapshot_that_waits(void **state)
{
    (void)state;
    struct world3 w;
    struct write added = {0};
    world_open(&w);
    w.snapshot_entries = 16;
    member_start(&w, 1, true);
    for (unsigned i = 0; i < 60; i++) {
        write_ok(&w, i);
    }
    struct member *m = &w.members[2];
    member_start(&w, 2, false);
    m->holds_jobs = true;
    replica_snapshot_stored(m->replica);
    replica_member_add(leader(&w)->replica, 2, m->address, on_read, &added);
    KIT_UNTIL(&w.loop, m->replica->io.held.install_snapshot.data.base != NULL);
    replica_close(m->replica, mark, &m->node_closed);
    release_jobs(m);
    KIT_UNTIL(&w.loop, m->node_closed);
    assert_int_equal(m->restored, 0);
    m->up = false;
    replica_free(m->replica);
    m->replica = NULL;
    member_stop(&w, 2);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_that_the_former_key_has_sealed_stays),
        cmocka_unit_test(a_quiet_master_comes_to_an_end_of_it),
        cmocka_unit_test(a_newcomer_is_sent_nothing_of_before),
        cmocka_unit_test(what_cannot_be_removed_is_tried_again),
        cmocka_unit_test(a_snapshot_that_comes_while_files_are_removed_is_taken_behind_that),
        cmocka_unit_test(a_master_that_ends_gives_up_the_snapshot_that_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
