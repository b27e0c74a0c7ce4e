/* Messages that libraft would take badly, late ones above all: what a follower answers to those of a former term, what
 * it does with old ones of this term, and which answers a leader believes (raft/replica_io.c, rules 7, 14, 15, 17 to
 * 20). */
#include "raft-store/raft/replica_int.h"
#include "tests/sim/sim_int.h"
#include "tests/unit/raft-store_cluster.h"

struct heard {
    unsigned acknowledged, refused;
    struct raft_append_entries_result last;
};

static void hear_result(void *data, uint64_t id, const struct raft_message *m)
{
    struct heard *h = data;
    (void)id;
    if (m->type == RAFT_APPEND_ENTRIES_RESULT) {
        h->acknowledged += m->append_entries_result.rejected == 0;
        h->refused += m->append_entries_result.rejected > 0;
        h->last = m->append_entries_result;
    }
}

static void hear(struct cluster *c, struct heard *h)
{
    memset(h, 0, sizeof *h);
    c->sim.on_send = hear_result;
    c->sim.on_send_data = h;
}

/* The leader crashes and comes back: the term it led is a former one now. */
static uint64_t end_term(struct cluster *c)
{
    struct member *l = await_leader(c);
    uint64_t former = replica_term(l->replica);
    member_down(c, l->id, true);
    member_start(c, l->id);
    await_leader(c);
    run_for(c, 500);
    return former;
}

/* Entry 1 in a batch of its own, as the transport gives it. */
static struct raft_entry *one_entry(uint64_t term)
{
    struct raft_entry *e = raft_calloc(1, sizeof *e);
    assert_non_null(e);
    e->batch = raft_calloc(1, 8);
    assert_non_null(e->batch);
    e->term = term;
    e->type = RAFT_BARRIER;
    e->buf = (struct raft_buffer){e->batch, 8};
    return e;
}

/* A follower of the second term hears a message of the first. */
static void hear_former(struct cluster *c, uint64_t prev, unsigned entries, struct heard *h, uint64_t *last)
{
    cluster_start(c, 3, 23);
    write_range(c, 0, 10);
    uint64_t former = end_term(c);
    struct member *l = await_leader(c);
    struct member *f = next_to(c, l);
    struct replica_stats stats;
    replica_stats(f->replica, &stats);
    *last = stats.last_index;
    assert_true(replica_term(f->replica) > former);
    struct raft_message late = {
        .type = RAFT_APPEND_ENTRIES,
        .server_id = l->id,
        .server_address = "sim:x",
        .append_entries = {.term = former,
                           .prev_log_index = prev,
                           .prev_log_term = prev == 0 ? 0 : former,
                           .entries = entries == 0 ? NULL : one_entry(former),
                           .n_entries = entries},
    };
    hear(c, h);
    c->sim.ios[f->id]->recv(f->io, &late);
    assert_int_equal(h->acknowledged + h->refused, 1);
    assert_true(h->last.term > former); /* this is how who sent it learns of the term */
}

static void a_log_from_its_beginning_of_a_former_term_is_refused(void **state)
{
    (void)state;
    for (unsigned entries = 0; entries < 2; entries++) {
        struct cluster c;
        struct heard h;
        uint64_t last;
        hear_former(&c, 0, entries, &h, &last); /* libraft: a success, with an index from nowhere */
        assert_int_equal(h.acknowledged, 0);
        assert_int_equal(h.last.rejected, 1);
        assert_int_equal(h.last.last_log_index, 0);
        c.sim.on_send = NULL;
        write_ok(&c, 100);
        run_for(&c, 1000);
        assert_all_equal(&c);
        cluster_close(&c);
    }
}

static void a_refusal_names_the_last_entry_before_what_it_refuses(void **state)
{
    (void)state;
    struct cluster c;
    struct heard h;
    uint64_t last;
    hear_former(&c, 5, 0, &h, &last);
    assert_int_equal(h.last.rejected, 5);
    assert_int_equal(h.last.last_log_index, 4);
    cluster_close(&c);
    hear_former(&c, 1000, 0, &h, &last);
    assert_int_equal(h.last.rejected, 1000);
    assert_true(last > 5 && last < 999);
    assert_int_equal(h.last.last_log_index, last);
    cluster_close(&c);
}

/* A master of an earlier version may still say such a thing. */
static void more_than_a_leader_has_is_not_taken_for_an_acknowledgement(void **state)
{
    (void)state;
    struct cluster c;
    struct write w;
    cluster_start(&c, 3, 24);
    write_ok(&c, 1);
    struct member *l = await_leader(&c);
    run_for(&c, 500);
    assert_ptr_equal(l, leader(&c));
    uint64_t others[] = {next_to(&c, l)->id, next_to(&c, next_to(&c, l))->id};
    sim_isolate(&c.sim, others[0], true);
    sim_isolate(&c.sim, others[1], true);
    submit(l, numbered(2), NULL, &w);
    run_for(&c, 50); /* on the leader's disk, and nowhere else */
    assert_true(replica_leading(l->replica) && !w.answered);
    struct raft_message absurd = {
        .type = RAFT_APPEND_ENTRIES_RESULT,
        .server_id = others[0],
        .server_address = "sim:x",
        .append_entries_result = {.version = 2,
                                  .term = replica_term(l->replica),
                                  .last_log_index = 94402101175567,
                                  .features = 1,
                                  .capacity = 1},
    };
    c.sim.ios[l->id]->recv(l->io, &absurd);
    run_for(&c, 50);
    assert_true(!w.answered || w.code != 0);
    assert_false(has(l, 2));
    sim_isolate(&c.sim, others[0], false);
    sim_isolate(&c.sim, others[1], false);
    await_write(&c, &w);
    write_ok(&c, 3);
    run_for(&c, 1000);
    assert_all_equal(&c);
    cluster_close(&c);
}

static void an_old_message_does_not_take_back_the_commit_index(void **state)
{
    (void)state;
    struct cluster c;
    cluster_start(&c, 3, 19);
    write_range(&c, 0, 20);
    run_for(&c, 200);
    struct member *l = await_leader(&c);
    struct member *f = next_to(&c, l);
    struct replica_stats before, after;
    replica_stats(f->replica, &before);
    struct raft_message probe = {
        .type = RAFT_APPEND_ENTRIES,
        .server_id = l->id,
        .server_address = "sim:x",
        .append_entries = {.term = replica_term(l->replica),
                           .prev_log_index = 8,
                           .prev_log_term = replica_term(l->replica),
                           .leader_commit = before.commit_index + 5},
    };
    c.sim.ios[f->id]->recv(f->io, &probe);
    replica_stats(f->replica, &after);
    assert_true(after.commit_index >= before.commit_index);
    cluster_close(&c);
}

/* Where a candidate keeps whether it asks for pre-votes, a follower has the second byte of this pointer. */
static void put_leader_address_at_round_place(struct raft *r)
{
    char *address = aligned_alloc(1 << 16, 1 << 16);
    assert_non_null(address);
    strcpy(address, r->follower_state.current_leader.address);
    raft_free(r->follower_state.current_leader.address);
    r->follower_state.current_leader.address = address;
}

static void a_late_answer_about_a_pre_vote_moves_no_follower_to_the_next_term(void **state)
{
    (void)state;
    struct cluster c;
    cluster_start(&c, 3, 25);
    write_ok(&c, 1);
    run_for(&c, 500);
    struct member *l = await_leader(&c);
    struct member *f = next_to(&c, l);
    uint64_t term = replica_term(l->replica);
    put_leader_address_at_round_place(&f->replica->raft);
    struct raft_message late = {
        .type = RAFT_REQUEST_VOTE_RESULT,
        .server_id = l->id,
        .server_address = "sim:x",
        .request_vote_result = {.version = 2, .term = term + 1, .pre_vote = true, .features = 1, .capacity = 1},
    };
    c.sim.ios[f->id]->recv(f->io, &late);
    assert_int_equal(replica_current_term(f->replica), term);
    run_for(&c, 500);
    assert_ptr_equal(leader(&c), l);
    assert_int_equal(replica_term(l->replica), term);
    cluster_close(&c);
}

/* One has the entries that the other lacks, the other has asked for votes in vain and is terms ahead, the third is
 * dead. */
static void who_has_the_longer_log_and_an_older_term_is_elected(void **state)
{
    (void)state;
    struct cluster c;
    cluster_start(&c, 3, 26);
    write_ok(&c, 1);
    run_for(&c, 500);
    struct member *l = await_leader(&c);
    struct member *behind = next_to(&c, l), *third = next_to(&c, behind);
    uint64_t ids[] = {l->id, behind->id, third->id};
    member_down(&c, ids[1], true);
    write_range(&c, 2, 10);
    member_down(&c, ids[2], true);
    member_down(&c, ids[0], true);
    c.sim.disks[ids[1]].term += 3;
    c.sim.disks[ids[1]].vote = ids[1];
    member_start(&c, ids[1]);
    member_start(&c, ids[0]);
    assert_int_equal(await_leader(&c)->id, ids[0]);
    write_ok(&c, 10);
    cluster_close(&c);
}

static void a_rejection_that_reaches_a_leader_while_it_stops_is_dropped(void **state)
{
    (void)state;
    struct cluster c;
    cluster_start(&c, 3, 20);
    write_ok(&c, 1);
    struct member *l = await_leader(&c);
    struct sim_io *io = l->io->impl;
    struct raft_message rejection = {
        .type = RAFT_APPEND_ENTRIES_RESULT,
        .server_id = next_to(&c, l)->id,
        .server_address = "sim:x",
        .append_entries_result = {2, replica_term(l->replica), 2287, 2286, 1, 65000},
    };
    replica_close(l->replica, mark_closed, l);
    assert_false(l->closed);
    /* libraft has freed what it knew of its followers, and still calls itself the leader */
    io->recv(l->io, &rejection);
    member_await_closed(&c, l);
    cluster_close(&c);
}

static void a_snapshot_of_a_former_term_is_not_acknowledged(void **state)
{
    (void)state;
    struct cluster c;
    struct heard h;
    cluster_start_with(&c, 3, 21, 10, false);
    write_range(&c, 0, 30);
    uint64_t former = end_term(&c);
    struct member *l = await_leader(&c);
    struct member *f = next_to(&c, l);
    assert_true(replica_term(f->replica) > former && c.sim.disks[l->id].has_snapshot);
    struct raft_snapshot *s = sim_disk_snapshot(&c.sim.disks[l->id]);
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
    hear(&c, &h);
    c.sim.ios[f->id]->recv(f->io, &late); /* libraft answers it with a success and an index from nowhere */
    assert_int_equal(h.acknowledged, 0);
    cluster_close(&c);
}

static void entries_of_a_former_term_from_the_first_on_are_not_acknowledged(void **state)
{
    (void)state;
    struct cluster c;
    struct heard h;
    cluster_start(&c, 3, 22);
    write_ok(&c, 1);
    uint64_t former = end_term(&c);
    struct member *l = await_leader(&c);
    struct member *f = next_to(&c, l);
    assert_true(replica_term(f->replica) > former);
    struct raft_message late = {
        .type = RAFT_APPEND_ENTRIES,
        .server_id = l->id,
        .server_address = "sim:x",
        .append_entries = {.term = former, .prev_log_index = 0, .leader_commit = 1},
    };
    hear(&c, &h);
    c.sim.ios[f->id]->recv(f->io, &late);
    assert_int_equal(h.acknowledged, 0);
    cluster_close(&c);
}

/* What it sent in its former life, and lost, must not look like what it writes now. */
static void the_only_voter_leads_in_a_new_term_when_it_comes_back(void **state)
{
    (void)state;
    struct cluster c;
    cluster_start(&c, 1, 26);
    write_ok(&c, 1);
    struct member *l = await_leader(&c);
    uint64_t former = replica_term(l->replica);
    member_down(&c, l->id, true);
    member_start(&c, l->id);
    l = await_leader(&c);
    assert_true(replica_term(l->replica) > former);
    assert_int_equal(c.sim.disks[l->id].term, replica_term(l->replica));
    write_ok(&c, 2);
    cluster_close(&c);
}

static void hear_index(uint64_t index, const struct error *error, void *data)
{
    (void)index;
    *(int *)data = error == NULL ? 0 : error->code;
}

static void what_is_asked_of_a_node_that_closes_is_answered(void **state)
{
    (void)state;
    struct cluster c;
    cluster_start(&c, 3, 27);
    struct member *l = await_leader(&c);
    int code = 0;
    replica_close(l->replica, mark_closed, l);
    assert_false(l->closed);
    replica_read_index(l->replica, hear_index, &code);
    member_await_closed(&c, l);
    assert_int_not_equal(code, 0);
    cluster_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_only_voter_leads_in_a_new_term_when_it_comes_back),
        cmocka_unit_test(what_is_asked_of_a_node_that_closes_is_answered),
        cmocka_unit_test(who_has_the_longer_log_and_an_older_term_is_elected),
        cmocka_unit_test(a_late_answer_about_a_pre_vote_moves_no_follower_to_the_next_term),
        cmocka_unit_test(a_log_from_its_beginning_of_a_former_term_is_refused),
        cmocka_unit_test(a_refusal_names_the_last_entry_before_what_it_refuses),
        cmocka_unit_test(more_than_a_leader_has_is_not_taken_for_an_acknowledgement),
        cmocka_unit_test(an_old_message_does_not_take_back_the_commit_index),
        cmocka_unit_test(a_rejection_that_reaches_a_leader_while_it_stops_is_dropped),
        cmocka_unit_test(a_snapshot_of_a_former_term_is_not_acknowledged),
        cmocka_unit_test(entries_of_a_former_term_from_the_first_on_are_not_acknowledged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
