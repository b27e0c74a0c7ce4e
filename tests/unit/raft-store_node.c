/* Nodes over a simulated network and disk: elections, writes and their outcomes, reads, restarts. */
#include "tests/unit/raft-store_cluster.h"

static void three_masters_elect_one_and_agree(void **state)
{
    (void)state;
    struct cluster c;
    cluster_start(&c, 3, 1);
    write_range(&c, 0, 50);
    run_for(&c, 500);
    unsigned leading = 0;
    for (uint64_t id = 1; id <= 3; id++) {
        leading += c.members[id].leading;
        assert_int_equal(view_count(store_committed(replica_store(c.members[id].replica)), NULL), 50);
        assert_int_equal(c.members[id].revision, 50);
        const char *address;
        assert_int_equal(replica_leader(c.members[id].replica, &address), leader(&c)->id);
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
    cluster_start(&c, 3, 2);
    struct member *m = await_leader(&c);
    run_for(&c, 200);
    struct replica_stats before, after;
    replica_stats(m->replica, &before);
    static struct write w[500];
    for (unsigned i = 0; i < 500; i++) {
        assert_int_equal(submit(m, numbered(i), NULL, &w[i]), 0);
    }
    for (unsigned i = 0; i < 500; i++) {
        await_write(&c, &w[i]);
        assert_int_equal(w[i].code, 0);
        assert_int_equal(w[i].result.revision, i + 1);
    }
    replica_stats(m->replica, &after);
    assert_int_equal(after.entries - before.entries, 1);
    assert_int_equal(after.transactions - before.transactions, 500);
    assert_int_equal(after.queued, 0);
    cluster_close(&c);
}

static void a_refusal_is_answered_after_what_it_saw_is_committed(void **state)
{
    (void)state;
    struct cluster c;
    cluster_start(&c, 3, 3);
    struct member *m = await_leader(&c);
    struct write first, second, third;
    struct replica_stats before, after;
    replica_stats(m->replica, &before);
    assert_int_equal(submit(m, numbered(0), NULL, &first), 0);
    assert_int_equal(submit(m, numbered(0), NULL, &second), ERR_EXISTS); /* leans on the open batch */
    await_write(&c, &second);
    assert_true(first.answered);
    replica_stats(m->replica, &after);
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
    replica_stats(m->replica, &after);
    assert_int_equal(after.read_rounds, before.read_rounds + 1);
    /* With nothing in flight: confirmed by a round. */
    replica_stats(m->replica, &before);
    assert_int_equal(submit(m, numbered(1), NULL, &third), ERR_EXISTS);
    await_write(&c, &third);
    assert_int_equal(third.code, ERR_EXISTS);
    replica_stats(m->replica, &after);
    assert_int_equal(after.read_rounds, before.read_rounds + 1);
    assert_int_equal(after.entries, before.entries);
    cluster_close(&c);
}

static void a_write_to_a_follower_is_refused_later(void **state)
{
    (void)state;
    struct cluster c;
    cluster_start(&c, 3, 4);
    struct member *l = await_leader(&c);
    struct member *f = next_to(&c, l);
    struct write w;
    assert_int_equal(submit(f, numbered(1), NULL, &w), ERR_NOT_LEADER);
    await_write(&c, &w);
    assert_int_equal(w.code, ERR_NOT_LEADER);
    struct read r = {0};
    replica_read(f->replica, on_read, &r);
    await_read(&c, &r);
    assert_int_equal(r.code, ERR_NOT_LEADER);
    cluster_close(&c);
}

static void what_is_in_flight_when_the_leader_is_cut_off_is_unknown(void **state)
{
    (void)state;
    struct cluster c;
    cluster_start(&c, 3, 5);
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
    cluster_start(&c, 3, 6);
    write_ok(&c, 1);
    struct member *old = await_leader(&c);
    struct read fine = {0}, r = {0};
    replica_read(old->replica, on_read, &fine);
    await_read(&c, &fine);
    assert_int_equal(fine.code, 0);
    sim_isolate(&c.sim, old->id, true);
    assert_true(replica_leading(old->replica)); /* it does not know yet */
    replica_read(old->replica, on_read, &r);
    await_read(&c, &r);
    assert_true(r.code == ERR_NO_QUORUM || r.code == ERR_NOT_LEADER);
    cluster_close(&c);
}

/* The hardest case: a leader whose process stood still does not know that it has been replaced, and what it gets first
 * on waking are a question and acknowledgements of its last entry, all from before. */
static void a_leader_that_stood_still_tells_nothing_old(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct cluster c;
        cluster_start(&c, 3, 200 + seed);
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
        txn_delete(&t, find(store_tip(replica_store(new->replica)), KIND_CONFIGMAP, "default", "c00001"));
        assert_int_equal(replica_submit(new->replica, &t, on_write, &deleted, NULL), 0);
        txn_close(&t);
        await_write(&c, &deleted);
        assert_int_equal(deleted.code, 0);
        sim_pause(&c.sim, old->id, false);
        assert_true(replica_leading(old->replica)); /* so it thinks */
        struct read r = {0};
        struct write refused;
        replica_read(old->replica, on_read, &r);
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
    cluster_start(&c, 3, 7);
    for (unsigned i = 0; i < 20; i++) {
        write_ok(&c, i);
        struct member *l = await_leader(&c);
        struct member *f = next_to(&c, l);
        struct index_answer a = {0};
        replica_read_index(l->replica, on_index, &a);
        while (!a.answered) {
            step(&c);
        }
        struct read r = {0};
        replica_wait_applied(f->replica, a.index, 1000, on_read, &r);
        await_read(&c, &r);
        assert_int_equal(r.code, 0);
        assert_true(has(f, i));
    }
    struct read late = {0};
    replica_wait_applied(c.members[1].replica, 1u << 30, 100, on_read, &late);
    await_read(&c, &late);
    assert_int_equal(late.code, ERR_TIMEOUT);
    cluster_close(&c);
}

static void everything_acknowledged_survives_a_power_cut_of_all(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct cluster c;
        cluster_start_with(&c, 3, 100 + seed, 16, false);
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

static void a_failing_disk_stops_its_master_and_only_that_one(void **state)
{
    (void)state;
    struct cluster c;
    cluster_start(&c, 3, 14);
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
    assert_false(replica_leading(old->replica));
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
    cluster_start(&c, 1, 15);
    write_ok(&c, 1);
    member_down(&c, 1, false);
    member_up(&c, 1);
    struct error err = {0};
    assert_int_equal(replica_bootstrap(c.members[1].replica, &err), ERR_EXISTS);
    must(replica_start(c.members[1].replica, &err), &err);
    assert_true(has(await_leader(&c), 1));
    cluster_close(&c);
}

static void a_full_queue_is_an_error(void **state)
{
    (void)state;
    struct cluster c;
    cluster_start(&c, 3, 16);
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

static int submit_as(struct member *m, const char *origin, struct object *create, const struct object *remove)
{
    struct txn t;
    struct error err = {0};
    txn_init(&t, origin);
    if (create != NULL) {
        txn_create(&t, create);
    } else {
        txn_delete(&t, remove);
    }
    int rc = replica_submit(m->replica, &t, NULL, NULL, &err);
    txn_close(&t);
    return rc;
}

/* Bytes that no compression and no splice makes smaller, under a new name each time. */
static struct object *big_object(const char *prefix, unsigned i)
{
    static char big[60000];
    char name[32];
    memset(big, 'x', sizeof big - 1);
    snprintf(name, sizeof name, "%s%05u", prefix, i);
    return config_map("default", name, "k", big);
}

/* "What the system wants leaves room for users, users for nodes, and all for removals." Nothing commits here: the
 * leader is alone. */
static void a_full_batch_is_full_for_the_system_first_and_for_removals_last(void **state)
{
    (void)state;
    struct cluster c;
    cluster_start(&c, 3, 18);
    for (unsigned i = 0; i < 100; i++) {
        write_ok(&c, i);
    }
    struct member *m = await_leader(&c);
    struct store *s = replica_store(m->replica);
    sim_isolate(&c.sim, m->id, true);
    assert_true(replica_has_room(m->replica));
    static const char *const origins[] = {"scheduler", "api", "agent"};
    size_t full_at[3] = {0};
    for (unsigned o = 0; o < 3; o++) {
        for (unsigned i = 0;; i++) {
            assert_true(i < 200);
            if (o == 0 && !replica_has_room(m->replica)) {
                break; /* it asks first */
            }
            int rc = submit_as(m, origins[o], big_object(origins[o], i), NULL);
            if (rc != 0) {
                assert_int_equal(rc, ERR_LIMIT);
                break;
            }
        }
        full_at[o] = store_batch_bytes(s);
        assert_true(o == 0 || full_at[o] > full_at[o - 1] + (200u << 10));
    }
    assert_int_equal(submit_as(m, "api", big_object("late", 1), NULL), ERR_LIMIT);
    assert_int_equal(submit_as(m, "agent", big_object("late", 2), NULL), ERR_LIMIT);
    /* Removals go on, of users and of nodes; and what asks for room and removal at once does not pass as a removal. */
    assert_int_equal(submit_as(m, "api", NULL, find(store_tip(s), KIND_CONFIGMAP, "default", "c00001")), 0);
    assert_int_equal(submit_as(m, "agent", NULL, find(store_tip(s), KIND_CONFIGMAP, "default", "c00002")), 0);
    struct txn t;
    struct error err = {0};
    txn_init(&t, "api");
    txn_delete(&t, find(store_tip(s), KIND_CONFIGMAP, "default", "c00003"));
    txn_create(&t, big_object("late", 3));
    assert_int_equal(replica_submit(m->replica, &t, NULL, NULL, &err), ERR_LIMIT);
    txn_close(&t);
    sim_isolate(&c.sim, m->id, false);
    run_for(&c, 3000);
    assert_true(replica_has_room(await_leader(&c)->replica));
    assert_all_equal(&c);
    cluster_close(&c);
}

/* One transaction of this origin that creates, updates and deletes what is not NULL. */
static int try_write(struct member *m, const char *origin, struct object *create, struct object *update,
                     enum txn_part part, const struct object *del)
{
    struct txn t;
    struct error err = {0};
    txn_init(&t, origin);
    if (create != NULL) {
        txn_create(&t, create);
    }
    if (update != NULL) {
        txn_update(&t, update, part, 0);
    }
    if (del != NULL) {
        txn_delete(&t, del);
    }
    int rv = replica_submit(m->replica, &t, NULL, NULL, &err);
    txn_close(&t);
    return rv;
}

static void a_nearly_full_disk_takes_status_and_deletes_and_the_last_of_it_deletes_alone(void **state)
{
    (void)state;
    struct cluster c;
    cluster_start(&c, 1, 17);
    for (unsigned i = 1; i <= 6; i++) {
        write_ok(&c, i);
    }
    struct member *m = await_leader(&c);
    unsigned next = 10, gone = 1;
#define VICTIM                                                                                                         \
    find(store_tip(replica_store(m->replica)), KIND_CONFIGMAP, "default",                                              \
         (snprintf(name, sizeof name, "c%05u", gone++), name))
    char name[16];
    static const struct {
        enum replica_disk disk;
        const char *origin;
        bool create, change_spec, change_all, also_deletes;
        int rv;
    } rows[] = {
        {REPLICA_DISK_LOW, "api", true, false, false, false, ERR_NO_SPACE},
        {REPLICA_DISK_LOW, "api", false, true, false, false, ERR_NO_SPACE},
        {REPLICA_DISK_LOW, "api", true, false, false, true, ERR_NO_SPACE}, /* a delete is no key for the rest */
        {REPLICA_DISK_LOW, "api", false, false, false, true, 0},
        {REPLICA_DISK_LOW, "agent", true, false, false, false, ERR_NO_SPACE},
        {REPLICA_DISK_LOW, "agent", false, false, true, false, 0},
        {REPLICA_DISK_LOW, "controller/replicaset", true, false, false, false, ERR_NO_SPACE},
        {REPLICA_DISK_LOW, "controller/replicaset", true, false, false, true, 0}, /* what it deletes it may tell of */
        {REPLICA_DISK_LOW, "scheduler", false, true, false, false, 0},
        {REPLICA_DISK_LOW, "token", true, false, false, false, 0},
        {REPLICA_DISK_LAST, "agent", false, false, true, false, ERR_NO_SPACE},
        {REPLICA_DISK_LAST, "api", false, false, true, false, ERR_NO_SPACE},
        {REPLICA_DISK_LAST, "api", false, false, false, true, 0},
        {REPLICA_DISK_LAST, "controller/namespace", false, false, true, false, 0},
        {REPLICA_DISK_LAST, "controller/namespace", true, false, false, false, ERR_NO_SPACE},
        {REPLICA_DISK_LAST, "join", true, false, true, false, 0},
        {REPLICA_DISK_ENOUGH, "api", true, true, false, false, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        replica_set_disk(m->replica, rows[i].disk);
        bool change = rows[i].change_spec || rows[i].change_all;
        int rv = try_write(m, rows[i].origin, rows[i].create ? numbered(next++) : NULL, change ? numbered(6) : NULL,
                           rows[i].change_all ? TXN_PART_ALL : TXN_PART_SPEC, rows[i].also_deletes ? VICTIM : NULL);
        if (rv != rows[i].rv) {
            fail_msg("row %zu: %s instead of %s", i, err_reason(rv), err_reason(rows[i].rv));
        }
    }
#undef VICTIM
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
        cmocka_unit_test(a_failing_disk_stops_its_master_and_only_that_one),
        cmocka_unit_test(a_second_bootstrap_is_refused),
        cmocka_unit_test(a_full_queue_is_an_error),
        cmocka_unit_test(a_full_batch_is_full_for_the_system_first_and_for_removals_last),
        cmocka_unit_test(a_nearly_full_disk_takes_status_and_deletes_and_the_last_of_it_deletes_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
