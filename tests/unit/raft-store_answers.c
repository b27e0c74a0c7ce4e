/* What a follower answers to messages of a former term, and which answers a leader believes (node_io.c, rule 17). */
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
    cluster_init(c, 3, 23);
    cluster_boot(c);
    for (unsigned i = 0; i < 10; i++) {
        write_ok(c, i);
    }
    struct member *l = await_leader(c);
    uint64_t former = node_term(l->node);
    member_down(c, l->id, true);
    member_start(c, l->id);
    l = await_leader(c);
    run_for(c, 500);
    struct member *f = &c->members[l->id % 3 + 1];
    struct node_stats stats;
    node_stats(f->node, &stats);
    *last = stats.last_index;
    assert_true(node_term(f->node) > former);
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
    memset(h, 0, sizeof *h);
    c->sim.on_send = hear_result;
    c->sim.on_send_data = h;
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
    cluster_init(&c, 3, 24);
    cluster_boot(&c);
    write_ok(&c, 1);
    struct member *l = await_leader(&c);
    run_for(&c, 500);
    assert_ptr_equal(l, leader(&c));
    uint64_t others[] = {l->id % 3 + 1, (l->id + 1) % 3 + 1};
    sim_isolate(&c.sim, others[0], true);
    sim_isolate(&c.sim, others[1], true);
    submit(l, numbered(2), NULL, &w);
    run_for(&c, 50); /* on the leader's disk, and nowhere else */
    assert_true(node_leading(l->node) && !w.answered);
    struct raft_message absurd = {
        .type = RAFT_APPEND_ENTRIES_RESULT,
        .server_id = others[0],
        .server_address = "sim:x",
        .append_entries_result =
            {.version = 2, .term = node_term(l->node), .last_log_index = 94402101175567, .features = 1, .capacity = 1},
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_from_its_beginning_of_a_former_term_is_refused),
        cmocka_unit_test(a_refusal_names_the_last_entry_before_what_it_refuses),
        cmocka_unit_test(more_than_a_leader_has_is_not_taken_for_an_acknowledgement),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
