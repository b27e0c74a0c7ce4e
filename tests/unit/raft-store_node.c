/* Nodes over a simulated network and disk: elections, writes and their outcomes, reads, membership, snapshots, restarts. */
#include "tests/unit/raft-store_cluster.h"

static void three_masters_elect_one_and_agree(void **state)
{
    (void)state;
    struct cluster c;
    cluster_init(&c, 3, 1);
    cluster_boot(&c);
    for (unsigned i = 0; i < 50; i++) {
        write_ok(&c, i);
    }
    run_for(&c, 500);
    unsigned leading = 0;
    for (uint64_t id = 1; id <= 3; id++) {
        leading += c.members[id].leading;
        assert_int_equal(view_count(store_committed(node_store(c.members[id].node)), NULL), 50);
        assert_int_equal(c.members[id].revision, 50);
        const char *address;
        assert_int_equal(node_leader(c.members[id].node, &address), leader(&c)->id);
    }
    assert_int_equal(leading, 1);
    assert_int_equal(leader(&c)->tips, 50);
    assert_all_equal(&c);
    cluster_close(&c);
}

static void many_writes_of_one_turn_are_one_entry(void **state)
{
    (void)state;
    struct cluster c;
    cluster_init(&c, 3, 2);
    cluster_boot(&c);
    struct member *m = await_leader(&c);
    run_for(&c, 200);
    struct node_stats before, after;
    node_stats(m->node, &before);
    static struct write w[500];
    for (unsigned i = 0; i < 500; i++) {
        assert_int_equal(submit(m, numbered(i), NULL, &w[i]), 0);
    }
    for (unsigned i = 0; i < 500; i++) {
        await_write(&c, &w[i]);
        assert_int_equal(w[i].code, 0);
        assert_int_equal(w[i].result.revision, i + 1);
    }
    node_stats(m->node, &after);
    assert_int_equal(after.entries - before.entries, 1);
    assert_int_equal(after.transactions - before.transactions, 500);
    assert_int_equal(after.queued, 0);
    cluster_close(&c);
}

static void a_refusal_is_answered_after_what_it_saw_is_committed(void **state)
{
    (void)state;
    struct cluster c;
    cluster_init(&c, 3, 3);
    cluster_boot(&c);
    struct member *m = await_leader(&c);
    struct write first, second, third;
    struct node_stats before, after;
    node_stats(m->node, &before);
    assert_int_equal(submit(m, numbered(0), NULL, &first), 0);
    assert_int_equal(submit(m, numbered(0), NULL, &second), ERR_EXISTS); /* leans on the open batch */
    await_write(&c, &second);
    assert_true(first.answered);
    node_stats(m->node, &after);
    assert_int_equal(after.read_rounds, before.read_rounds);
    assert_int_equal(submit(m, numbered(1), NULL, &first), 0);
    turn_all(&c); /* in flight now */
    assert_int_equal(submit(m, numbered(1), NULL, &second), ERR_EXISTS);
    while (!second.answered) {
        assert_false(second.answered && !first.answered);
        step(&c);
    }
    assert_true(first.answered);
    assert_int_equal(first.code, 0);
    assert_int_equal(second.code, ERR_EXISTS);
    node_stats(m->node, &after);
    assert_int_equal(after.read_rounds, before.read_rounds + 1);
    /* With nothing in flight: confirmed by a round. */
    node_stats(m->node, &before);
    assert_int_equal(submit(m, numbered(1), NULL, &third), ERR_EXISTS);
    await_write(&c, &third);
    assert_int_equal(third.code, ERR_EXISTS);
    node_stats(m->node, &after);
    assert_int_equal(after.read_rounds, before.read_rounds + 1);
    assert_int_equal(after.entries, before.entries);
    cluster_close(&c);
}

static void a_write_to_a_follower_is_refused_later(void **state)
{
    (void)state;
    struct cluster c;
    cluster_init(&c, 3, 4);
    cluster_boot(&c);
    struct member *l = await_leader(&c);
    struct member *f = &c.members[l->id % 3 + 1];
    struct write w;
    assert_int_equal(submit(f, numbered(1), NULL, &w), ERR_NOT_LEADER);
    await_write(&c, &w);
    assert_int_equal(w.code, ERR_NOT_LEADER);
    struct read r = {0};
    node_read(f->node, on_read, &r);
    await_read(&c, &r);
    assert_int_equal(r.code, ERR_NOT_LEADER);
    cluster_close(&c);
}

static void what_is_in_flight_when_the_leader_is_cut_off_is_unknown(void **state)
{
    (void)state;
    struct cluster c;
    cluster_init(&c, 3, 5);
    cluster_boot(&c);
    write_ok(&c, 1);
    struct member *old = await_leader(&c);
    sim_isolate(&c.sim, old->id, true);
    struct write in_flight, refused;
    uint8_t id[TXN_ID_SIZE] = {1};
    assert_int_equal(submit(old, numbered(2), id, &in_flight), 0);
    run_for(&c, 5);
    assert_int_equal(submit(old, numbered(2), NULL, &refused), ERR_EXISTS); /* leans on what is in flight */
    await_write(&c, &in_flight);
    assert_int_equal(in_flight.code, ERR_UNKNOWN_OUTCOME);
    await_write(&c, &refused);
    assert_true(refused.code == ERR_NOT_LEADER || refused.code == ERR_NO_QUORUM);
    assert_false(old->leading);
    struct member *new = await_leader(&c);
    assert_ptr_not_equal(new, old);
    assert_true(has(new, 1));
    /* Repeating with the same id does it exactly once. */
    struct write again;
    submit(new, numbered(2), id, &again);
    await_write(&c, &again);
    assert_int_equal(again.code, 0);
    sim_isolate(&c.sim, old->id, false);
    run_for(&c, 2000);
    assert_true(has(old, 2));
    assert_all_equal(&c);
    cluster_close(&c);
}

static void a_cut_off_leader_does_not_answer_reads(void **state)
{
    (void)state;
    struct cluster c;
    cluster_init(&c, 3, 6);
    cluster_boot(&c);
    write_ok(&c, 1);
    struct member *old = await_leader(&c);
    struct read fine = {0}, r = {0};
    node_read(old->node, on_read, &fine);
    await_read(&c, &fine);
    assert_int_equal(fine.code, 0);
    sim_isolate(&c.sim, old->id, true);
    assert_true(node_leading(old->node)); /* it does not know yet */
    node_read(old->node, on_read, &r);
    await_read(&c, &r);
    assert_true(r.code == ERR_NO_QUORUM || r.code == ERR_NOT_LEADER);
    cluster_close(&c);
}

/* The hardest case: a leader whose process stood still does not know that it has been replaced, and what it gets first on waking are
 * a question and acknowledgements of its last entry, all from before. */
static void a_leader_that_stood_still_tells_nothing_old(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct cluster c;
        cluster_init(&c, 3, 200 + seed);
        cluster_boot(&c);
        write_ok(&c, 1);
        struct member *old = await_leader(&c);
        run_for(&c, 100);
        struct write in_flight;
        assert_int_equal(submit(old, numbered(2), NULL, &in_flight), 0);
        turn_all(&c); /* proposed and sent */
        sim_pause(&c.sim, old->id, true);
        struct member *new = await_leader(&c);
        assert_ptr_not_equal(new, old);
        struct txn t;
        struct write deleted = {0};
        txn_init(&t, "test");
        txn_delete(&t, find(store_tip(node_store(new->node)), KIND_CONFIGMAP, "default", "c00001"));
        assert_int_equal(node_submit(new->node, &t, on_write, &deleted, NULL), 0);
        txn_close(&t);
        await_write(&c, &deleted);
        assert_int_equal(deleted.code, 0);
        sim_pause(&c.sim, old->id, false);
        assert_true(node_leading(old->node)); /* so it thinks */
        struct read r = {0};
        struct write refused;
        node_read(old->node, on_read, &r);
        assert_int_equal(submit(old, numbered(1), NULL, &refused), ERR_EXISTS);
        await_read(&c, &r);
        await_write(&c, &refused);
        await_write(&c, &in_flight);
        assert_true(r.code == ERR_NOT_LEADER || r.code == ERR_NO_QUORUM);
        assert_true(refused.code == ERR_NOT_LEADER || refused.code == ERR_NO_QUORUM);
        run_for(&c, 1000);
        assert_true(in_flight.code == ERR_UNKNOWN_OUTCOME || (in_flight.code == 0 && has(new, 2)));
        assert_all_equal(&c);
        cluster_close(&c);
    }
}

struct index_answer {
    bool answered;
    uint64_t index;
};
static void on_index(uint64_t index, const struct error *error, void *data)
{
    struct index_answer *a = data;
    assert_null(error);
    a->answered = true;
    a->index = index;
}

static void a_follower_reads_at_the_leaders_index(void **state)
{
    (void)state;
    struct cluster c;
    cluster_init(&c, 3, 7);
    cluster_boot(&c);
    for (unsigned i = 0; i < 20; i++) {
        write_ok(&c, i);
        struct member *l = await_leader(&c);
        struct member *f = &c.members[l->id % 3 + 1];
        struct index_answer a = {0};
        node_read_index(l->node, on_index, &a);
        while (!a.answered) {
            step(&c);
        }
        struct read r = {0};
        node_wait_applied(f->node, a.index, 1000, on_read, &r);
        await_read(&c, &r);
        assert_int_equal(r.code, 0);
        assert_true(has(f, i));
    }
    struct read late = {0};
    node_wait_applied(c.members[1].node, 1u << 30, 100, on_read, &late);
    await_read(&c, &late);
    assert_int_equal(late.code, ERR_TIMEOUT);
    cluster_close(&c);
}

static void everything_acknowledged_survives_a_power_cut_of_all(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct cluster c;
        cluster_init(&c, 3, 100 + seed);
        c.snapshot_entries = 16;
        cluster_boot(&c);
        unsigned written = 0;
        for (unsigned round = 0; round < 4; round++) {
            for (unsigned i = 0; i < 15; i++) {
                write_ok(&c, written++);
            }
            for (uint64_t id = 1; id <= 3; id++) {
                member_down(&c, id, true);
            }
            for (uint64_t id = 1; id <= 3; id++) {
                member_start(&c, id);
            }
        }
        write_ok(&c, written++);
        struct member *l = await_leader(&c);
        for (unsigned i = 0; i < written; i++) {
            assert_true(has(l, i));
        }
        run_for(&c, 1000);
        assert_all_equal(&c);
        cluster_close(&c);
    }
}

static void an_old_message_does_not_take_back_the_commit_index(void **state)
{
    (void)state;
    struct cluster c;
    cluster_init(&c, 3, 19);
    cluster_boot(&c);
    for (unsigned i = 0; i < 20; i++) {
        write_ok(&c, i);
    }
    run_for(&c, 200);
    struct member *l = await_leader(&c);
    struct member *f = &c.members[l->id % 3 + 1];
    struct node_stats before, after;
    node_stats(f->node, &before);
    struct raft_message probe = {
        .type = RAFT_APPEND_ENTRIES,
        .server_id = l->id,
        .server_address = "sim:x",
        .append_entries = {.term = node_term(l->node),
                           .prev_log_index = 8,
                           .prev_log_term = node_term(l->node),
                           .leader_commit = before.commit_index + 5},
    };
    c.sim.ios[f->id]->recv(f->io, &probe);
    node_stats(f->node, &after);
    assert_true(after.commit_index >= before.commit_index);
    cluster_close(&c);
}

static void a_rejection_that_reaches_a_leader_while_it_stops_is_dropped(void **state)
{
    (void)state;
    struct cluster c;
    cluster_init(&c, 3, 20);
    cluster_boot(&c);
    write_ok(&c, 1);
    struct member *l = await_leader(&c);
    struct sim_io *io = l->io->impl;
    struct raft_message rejection = {
        .type = RAFT_APPEND_ENTRIES_RESULT,
        .server_id = l->id % 3 + 1,
        .server_address = "sim:x",
        .append_entries_result = {2, node_term(l->node), 2287, 2286, 1, 65000},
    };
    node_close(l->node, mark_closed, l);
    assert_false(l->closed);
    io->recv(l->io,
             &rejection); /* libraft has freed what it knew of its followers, and still calls itself the leader */
    while (!l->closed) {
        assert_true(sim_step(&c.sim));
    }
    node_free(l->node);
    sim_io_free(l->io);
    l->node = NULL;
    cluster_close(&c);
}

static void count_acknowledgements(void *data, uint64_t id, const struct raft_message *m)
{
    (void)id;
    *(unsigned *)data += m->type == RAFT_APPEND_ENTRIES_RESULT && m->append_entries_result.rejected == 0;
}

static void a_snapshot_of_a_former_term_is_not_acknowledged(void **state)
{
    (void)state;
    struct cluster c;
    unsigned acknowledged = 0;
    cluster_init(&c, 3, 21);
    c.snapshot_entries = 10;
    cluster_boot(&c);
    for (unsigned i = 0; i < 30; i++) {
        write_ok(&c, i);
    }
    struct member *l = await_leader(&c);
    uint64_t former = node_term(l->node);
    member_down(&c, l->id, true);
    member_start(&c, l->id);
    l = await_leader(&c);
    run_for(&c, 500);
    struct member *f = &c.members[l->id % 3 + 1];
    assert_true(node_term(f->node) > former && c.sim.disks[l->id].has_snapshot);
    struct raft_snapshot *s = disk_snapshot(&c.sim.disks[l->id]);
    struct raft_message late = {
        .type = RAFT_INSTALL_SNAPSHOT,
        .server_id = l->id,
        .server_address = "sim:x",
        .install_snapshot = {.term = former,
                             .last_index = 1000,
                             .last_term = former,
                             .conf = s->configuration,
                             .conf_index = s->configuration_index,
                             .data = s->bufs[0]},
    };
    raft_free(s->bufs);
    raft_free(s);
    c.sim.on_send = count_acknowledgements;
    c.sim.on_send_data = &acknowledged;
    c.sim.ios[f->id]->recv(f->io, &late); /* libraft answers it with a success and an index from nowhere */
    assert_int_equal(acknowledged, 0);
    cluster_close(&c);
}

static void entries_of_a_former_term_from_the_first_on_are_not_acknowledged(void **state)
{
    (void)state;
    struct cluster c;
    unsigned acknowledged = 0;
    cluster_init(&c, 3, 22);
    cluster_boot(&c);
    write_ok(&c, 1);
    struct member *l = await_leader(&c);
    uint64_t former = node_term(l->node);
    member_down(&c, l->id, true);
    member_start(&c, l->id);
    l = await_leader(&c);
    run_for(&c, 500);
    struct member *f = &c.members[l->id % 3 + 1];
    assert_true(node_term(f->node) > former);
    struct raft_message late = {
        .type = RAFT_APPEND_ENTRIES,
        .server_id = l->id,
        .server_address = "sim:x",
        .append_entries = {.term = former, .prev_log_index = 0, .leader_commit = 1},
    };
    c.sim.on_send = count_acknowledgements;
    c.sim.on_send_data = &acknowledged;
    c.sim.ios[f->id]->recv(f->io, &late);
    assert_int_equal(acknowledged, 0);
    cluster_close(&c);
}

static void a_lagging_master_gets_a_snapshot(void **state)
{
    (void)state;
    for (unsigned async = 0; async < 2; async++) {
        struct cluster c;
        cluster_init(&c, 3, 11);
        c.snapshot_entries = 20;
        c.async_snapshots = async == 1;
        cluster_boot(&c);
        write_ok(&c, 0);
        struct member *l = await_leader(&c);
        uint64_t lagging = l->id % 3 + 1;
        member_down(&c, lagging, true);
        for (unsigned i = 1; i < 200; i++) {
            write_ok(&c, i);
        }
        struct node_stats stats;
        node_stats(leader(&c)->node, &stats);
        assert_true(stats.snapshots >= 3);
        member_start(&c, lagging);
        run_for(&c, 3000);
        node_stats(c.members[lagging].node, &stats);
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

static void a_cluster_grows_from_one_and_shrinks(void **state)
{
    (void)state;
    struct cluster c;
    cluster_init(&c, 1, 12);
    struct error err = {0};
    member_up(&c, 1);
    must(node_bootstrap(c.members[1].node, &err), &err);
    must(node_start(c.members[1].node, &err), &err);
    write_ok(&c, 1);
    for (uint64_t id = 2; id <= 3; id++) {
        member_start(&c, id);
        char address[32];
        snprintf(address, sizeof address, "sim:%u", (unsigned)id);
        struct read r = {0};
        int64_t until = c.sim.now_ms + 20000;
        do { /* busy while the one before is moved on */
            r = (struct read){0};
            node_member_add(await_leader(&c)->node, id, address, on_read, &r);
            await_read(&c, &r);
            if (r.code == ERR_BUSY) {
                step(&c);
            }
        } while (r.code == ERR_BUSY && c.sim.now_ms < until);
        assert_int_equal(r.code, 0);
    }
    run_for(&c, 3000);
    struct node_member members[8];
    assert_int_equal(node_members(await_leader(&c)->node, members, 8), 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(members[i].role, RAFT_VOTER);
    }
    write_ok(&c, 2);
    run_for(&c, 500);
    assert_all_equal(&c);
    member_down(&c, 1, true); /* any one may go now */
    write_ok(&c, 3);
    struct read r = {0};
    node_member_remove(await_leader(&c)->node, 1, on_read, &r);
    await_read(&c, &r);
    assert_int_equal(r.code, 0);
    assert_int_equal(node_members(await_leader(&c)->node, members, 8), 2);
    r = (struct read){0};
    struct member *l = await_leader(&c);
    node_member_remove(l->node, l->id, on_read, &r);
    await_read(&c, &r);
    assert_int_equal(r.code, ERR_USAGE);
    cluster_close(&c);
}

static int role_of(struct cluster *c, uint64_t id)
{
    struct node_member members[8];
    unsigned n = node_members(await_leader(c)->node, members, 8);
    for (unsigned i = 0; i < n; i++) {
        if (members[i].id == id) {
            return members[i].role;
        }
    }
    return -1;
}

static int remove_member(struct cluster *c, uint64_t id)
{
    struct read r = {0};
    node_member_remove(await_leader(c)->node, id, on_read, &r);
    await_read(c, &r);
    return r.code;
}

static void who_does_not_answer_gets_no_vote(void **state)
{
    (void)state;
    struct cluster c;
    cluster_init(&c, 3, 31);
    cluster_boot(&c);
    write_ok(&c, 1);
    member_start(&c, 4); /* takes the log, but for the leader's ears it is not there */
    c.deaf[4] = true;
    struct read r = {0};
    node_member_add(await_leader(&c)->node, 4, "sim:4", on_read, &r);
    await_read(&c, &r);
    assert_int_equal(r.code, 0);
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
    r = (struct read){0};
    node_member_add(await_leader(&c)->node, 5, "sim:5", on_read, &r);
    await_read(&c, &r);
    assert_int_equal(r.code, 0);
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
    cluster_init(&c, 4, 32);
    cluster_boot(&c);
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
    cluster_init(&c, 3, 13);
    cluster_boot(&c);
    write_ok(&c, 1);
    struct member *old = await_leader(&c);
    uint64_t to = old->id % 3 + 1;
    struct read r = {0};
    node_transfer(old->node, to, on_read, &r);
    assert_false(node_leading(old->node));
    await_read(&c, &r);
    assert_int_equal(r.code, 0);
    assert_int_equal(await_leader(&c)->id, to);
    write_ok(&c, 2);
    /* To one that is away: it fails, and the leader goes on. */
    old = await_leader(&c);
    to = old->id % 3 + 1;
    sim_isolate(&c.sim, to, true);
    r = (struct read){0};
    node_transfer(old->node, to, on_read, &r);
    await_read(&c, &r);
    assert_int_equal(r.code, ERR_TIMEOUT);
    assert_int_equal(await_leader(&c)->id, old->id);
    write_ok(&c, 3);
    cluster_close(&c);
}

static void a_failing_disk_stops_its_master_and_only_that_one(void **state)
{
    (void)state;
    struct cluster c;
    cluster_init(&c, 3, 14);
    cluster_boot(&c);
    write_ok(&c, 1);
    struct member *old = await_leader(&c);
    c.sim.disks[old->id].fail_appends = 1;
    struct write w;
    assert_int_equal(submit(old, numbered(2), NULL, &w), 0);
    await_write(&c, &w);
    assert_int_equal(w.code, ERR_UNKNOWN_OUTCOME);
    run_for(&c, 10);
    assert_true(old->fatal);
    assert_int_equal(old->fatal_error.code, ERR_IO);
    assert_non_null(strstr(old->fatal_error.message, "simulated disk failure"));
    assert_false(node_leading(old->node));
    member_down(&c, old->id, false);
    write_ok(&c, 3);
    member_start(&c, old->id);
    run_for(&c, 2000);
    assert_all_equal(&c);
    cluster_close(&c);
}

static void a_second_bootstrap_is_refused(void **state)
{
    (void)state;
    struct cluster c;
    cluster_init(&c, 1, 15);
    cluster_boot(&c);
    write_ok(&c, 1);
    member_down(&c, 1, false);
    member_up(&c, 1);
    struct error err = {0};
    assert_int_equal(node_bootstrap(c.members[1].node, &err), ERR_EXISTS);
    must(node_start(c.members[1].node, &err), &err);
    assert_true(has(await_leader(&c), 1));
    cluster_close(&c);
}

static void a_full_queue_is_an_error(void **state)
{
    (void)state;
    struct cluster c;
    cluster_init(&c, 3, 16);
    cluster_boot(&c);
    struct member *m = await_leader(&c);
    char big[900];
    memset(big, 'x', sizeof big);
    big[sizeof big - 1] = 0;
    unsigned accepted = 0;
    static struct write w[20000];
    for (; accepted < 20000; accepted++) {
        char name[32];
        snprintf(name, sizeof name, "c%05u", accepted);
        if (submit(m, config_map("default", name, "k", big), NULL, &w[accepted]) != 0) {
            break;
        }
    }
    assert_true(accepted > 1000 && accepted < 20000);
    await_write(&c, &w[accepted]);
    assert_int_equal(w[accepted].code, ERR_LIMIT);
    for (unsigned i = 0; i < accepted; i++) {
        await_write(&c, &w[i]);
        assert_int_equal(w[i].code, 0);
    }
    cluster_close(&c);
}

static void large_transactions_reach_a_lagging_master(void **state)
{
    (void)state;
    struct cluster c;
    cluster_init(&c, 3, 18);
    cluster_boot(&c);
    write_ok(&c, 0);
    struct member *m = await_leader(&c);
    uint64_t lagging = m->id % 3 + 1;
    sim_isolate(&c.sim, lagging, true);
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
        assert_int_equal(node_submit(m->node, &t, on_write, &w, NULL), 0);
        txn_close(&t);
        await_write(&c, &w);
        assert_int_equal(w.code, 0);
    }
    free(big);
    sim_isolate(&c.sim, lagging, false);
    run_for(&c, 4000);
    assert_int_equal(view_count(store_committed(node_store(c.members[lagging].node)), NULL), 31);
    write_ok(&c, 1);
    run_for(&c, 500);
    assert_all_equal(&c);
    cluster_close(&c);
}

/* Rule 12 of node_io.c: it is not taken for one that still writes it. */
static void a_master_that_cannot_store_the_leaders_snapshot_stops(void **state)
{
    (void)state;
    struct cluster c;
    cluster_init(&c, 3, 20);
    c.snapshot_entries = 8;
    cluster_boot(&c);
    write_ok(&c, 1);
    struct member *m = await_leader(&c);
    uint64_t away = m->id % 3 + 1;
    sim_isolate(&c.sim, away, true);
    for (unsigned i = 2; i < 60; i++) {
        write_ok(&c, i);
    }
    c.sim.disks[away].fail_snapshots = 1;
    sim_isolate(&c.sim, away, false);
    run_for(&c, 5000);
    assert_true(c.members[away].fatal);
    assert_int_equal(c.members[away].fatal_error.code, ERR_IO);
    assert_non_null(strstr(c.members[away].fatal_error.message, "store the leader's snapshot"));
    cluster_close(&c);
}

/* Rule 13 of node_io.c: it is not sent again and again to one who refuses it. */
static void a_leader_that_finds_its_snapshot_damaged_stops_and_another_sends_its_own(void **state)
{
    (void)state;
    struct cluster c;
    cluster_init(&c, 3, 21);
    c.snapshot_entries = 8;
    c.async_snapshots = true;
    cluster_boot(&c);
    write_ok(&c, 1);
    struct member *m = await_leader(&c);
    uint64_t away = m->id % 3 + 1;
    sim_isolate(&c.sim, away, true);
    for (unsigned i = 2; i < 60; i++) {
        write_ok(&c, i);
    }
    run_for(&c, 200);
    assert_int_equal(sim_disk_damage(&c.sim, m->id, SIM_DAMAGE_FLIP), SIM_DAMAGE_FLIP);
    sim_isolate(&c.sim, away, false);
    run_for(&c, 5000);
    assert_true(m->fatal);
    assert_int_equal(m->fatal_error.code, ERR_CORRUPT);
    assert_non_null(strstr(m->fatal_error.message, "the snapshot on this master's disk is damaged"));
    run_for(&c, 5000);
    assert_int_equal(view_count(store_committed(node_store(c.members[away].node)), NULL), 59);
    cluster_close(&c);
}

/* A worker with a snapshot holds up the end; what a follower that lags says meanwhile comes to a library that has taken itself apart. */
static void a_leader_that_stops_while_a_snapshot_is_written_bears_late_answers(void **state)
{
    (void)state;
    for (unsigned k = 0; k < 60; k++) {
        struct cluster c;
        cluster_init(&c, 3, 22 + k);
        c.snapshot_entries = 6;
        c.async_snapshots = true;
        cluster_boot(&c);
        struct member *m = await_leader(&c);
        uint64_t away = m->id % 3 + 1;
        sim_isolate(&c.sim, away, true);
        for (unsigned i = 0; i <= k % 12; i++) {
            write_ok(&c, i);
        }
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

static int role_as_told_by(struct member *m, uint64_t id)
{
    struct node_member members[MEMBERS_MAX];
    unsigned n = node_members(m->node, members, MEMBERS_MAX);
    for (unsigned i = 0; i < n; i++) {
        if (members[i].id == id) {
            return members[i].role;
        }
    }
    return -1;
}

/* Rule 16 of node_io.c: 2 is lost, so 1 needs the vote of 3, who was made voter and has not heard of it. */
static void a_voter_that_does_not_know_it_yet_gives_its_vote(void **state)
{
    (void)state;
    struct cluster c;
    cluster_init(&c, 2, 23);
    cluster_boot(&c);
    write_ok(&c, 1);
    struct member *m = await_leader(&c);
    uint64_t old = m->id, other = 3 - old;
    member_start(&c, 3);
    struct read r = {0};
    node_member_add(m->node, 3, "sim:3", on_read, &r);
    int64_t until = c.sim.now_ms + 20000;
    while (role_as_told_by(m, 3) != RAFT_VOTER) {
        assert_true(c.sim.now_ms < until);
        step(&c);
    }
    sim_isolate(&c.sim, 3, true);
    struct node_stats stats;
    for (node_stats(m->node, &stats); stats.members_open; node_stats(m->node, &stats)) {
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

/* Rule 11 of node_io.c: what it missed has a configuration behind other entries, and comes in one go. */
static void who_was_away_when_members_changed_can_change_them_as_leader(void **state)
{
    (void)state;
    struct cluster c;
    cluster_init(&c, 3, 19);
    cluster_boot(&c);
    write_ok(&c, 1);
    struct member *m = await_leader(&c);
    uint64_t away = m->id % 3 + 1;
    sim_isolate(&c.sim, away, true);
    write_ok(&c, 2);
    write_ok(&c, 3);
    struct read r = {0};
    node_member_add(m->node, 4, "sim:4", on_read, &r);
    await_read(&c, &r);
    assert_int_equal(r.code, 0);
    write_ok(&c, 4);
    sim_isolate(&c.sim, away, false);
    run_for(&c, 3000);
    assert_int_equal(await_leader(&c)->id, m->id);
    r = (struct read){0};
    node_transfer(m->node, away, on_read, &r);
    await_read(&c, &r);
    assert_int_equal(r.code, 0);
    assert_int_equal(await_leader(&c)->id, away);
    r = (struct read){0};
    node_member_remove(c.members[away].node, 4, on_read, &r);
    await_read(&c, &r);
    assert_int_equal(r.code, 0);
    cluster_close(&c);
}

static void a_nearly_full_disk_refuses_users_but_not_deletes(void **state)
{
    (void)state;
    struct cluster c;
    cluster_init(&c, 1, 17);
    cluster_boot(&c);
    write_ok(&c, 1);
    struct member *m = await_leader(&c);
    node_set_disk_low(m->node, true);
    struct txn t;
    struct error err = {0};
    txn_init(&t, "api");
    txn_create(&t, numbered(2));
    assert_int_equal(node_submit(m->node, &t, NULL, NULL, &err), ERR_NO_SPACE);
    txn_reset(&t);
    txn_delete(&t, find(store_tip(node_store(m->node)), KIND_CONFIGMAP, "default", "c00001"));
    assert_int_equal(node_submit(m->node, &t, NULL, NULL, &err), 0);
    node_set_disk_low(m->node, false);
    txn_reset(&t);
    txn_create(&t, numbered(2));
    assert_int_equal(node_submit(m->node, &t, NULL, NULL, &err), 0);
    txn_close(&t);
    cluster_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_masters_elect_one_and_agree),
        cmocka_unit_test(many_writes_of_one_turn_are_one_entry),
        cmocka_unit_test(a_refusal_is_answered_after_what_it_saw_is_committed),
        cmocka_unit_test(a_write_to_a_follower_is_refused_later),
        cmocka_unit_test(what_is_in_flight_when_the_leader_is_cut_off_is_unknown),
        cmocka_unit_test(a_cut_off_leader_does_not_answer_reads),
        cmocka_unit_test(a_leader_that_stood_still_tells_nothing_old),
        cmocka_unit_test(a_follower_reads_at_the_leaders_index),
        cmocka_unit_test(everything_acknowledged_survives_a_power_cut_of_all),
        cmocka_unit_test(an_old_message_does_not_take_back_the_commit_index),
        cmocka_unit_test(a_rejection_that_reaches_a_leader_while_it_stops_is_dropped),
        cmocka_unit_test(a_snapshot_of_a_former_term_is_not_acknowledged),
        cmocka_unit_test(entries_of_a_former_term_from_the_first_on_are_not_acknowledged),
        cmocka_unit_test(a_lagging_master_gets_a_snapshot),
        cmocka_unit_test(a_cluster_grows_from_one_and_shrinks),
        cmocka_unit_test(who_does_not_answer_gets_no_vote),
        cmocka_unit_test(nobody_is_removed_on_whom_the_majority_depends),
        cmocka_unit_test(leadership_is_handed_over),
        cmocka_unit_test(a_failing_disk_stops_its_master_and_only_that_one),
        cmocka_unit_test(a_second_bootstrap_is_refused),
        cmocka_unit_test(a_full_queue_is_an_error),
        cmocka_unit_test(large_transactions_reach_a_lagging_master),
        cmocka_unit_test(who_was_away_when_members_changed_can_change_them_as_leader),
        cmocka_unit_test(a_master_that_cannot_store_the_leaders_snapshot_stops),
        cmocka_unit_test(a_leader_that_finds_its_snapshot_damaged_stops_and_another_sends_its_own),
        cmocka_unit_test(a_leader_that_stops_while_a_snapshot_is_written_bears_late_answers),
        cmocka_unit_test(a_voter_that_does_not_know_it_yet_gives_its_vote),
        cmocka_unit_test(a_nearly_full_disk_refuses_users_but_not_deletes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
