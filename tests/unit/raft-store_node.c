/* Nodes over a simulated network and disk: elections, writes and their outcomes, reads, membership, snapshots, restarts. */
#include "tests/unit/raft-store_help.h"

#include "raft-store/node.h"
#include "tests/sim/sim_io.h"

#include "tests/sim/sim_io.c" /* not part of a library */

#define MEMBERS_MAX 5

struct cluster;
struct member {
    struct cluster *c;
    uint64_t id;
    struct node *node; /* NULL = down */
    struct raft_io *io;
    bool leading, closed, fatal;
    uint64_t revision, restored;
    unsigned tips;
    struct error fatal_error;
};
struct cluster {
    struct sim sim;
    unsigned count;
    struct member members[MEMBERS_MAX + 1]; /* by id */
    unsigned snapshot_entries;
    bool async_snapshots;
};

/* ---- The owner's side ---- */

static void on_leading(void *data, bool leading, uint64_t term)
{
    struct member *m = data;
    (void)term;
    m->leading = leading;
    assert_int_equal(node_leading(m->node), leading);
    assert_int_equal(store_tip(node_store(m->node)) != NULL, leading);
}
static void on_tip(void *data, const struct change *changes, unsigned count)
{
    struct member *m = data;
    assert_true(count > 0 && changes != NULL);
    m->tips += count;
}
static void on_committed(void *data, uint64_t revision, bool restored)
{
    struct member *m = data;
    assert_true(revision > m->revision || restored);
    m->revision = revision;
    m->restored += restored;
}
static void on_fatal(void *data, const struct error *err)
{
    struct member *m = data;
    m->fatal = true;
    m->fatal_error = *err;
}

struct question {
    struct cluster *c;
    uint64_t from, to, round, term;
};
static void question_lost(void *arg)
{
    free(arg);
}
static void answer_arrives(void *arg)
{
    struct question *q = arg;
    struct member *m = &q->c->members[q->from];
    if (m->node != NULL) {
        node_term_confirmed(m->node, q->round, q->to, q->term);
    }
    free(q);
}
static void question_arrives(void *arg)
{
    struct question *q = arg;
    struct member *m = &q->c->members[q->to];
    if (m->node == NULL) {
        free(q);
        return;
    }
    q->term = node_current_term(m->node);
    sim_message(&q->c->sim, q->to, q->from, answer_arrives, question_lost, q);
}
static void ask_term(void *data, uint64_t id, uint64_t round, uint64_t term)
{
    struct member *m = data;
    struct question *q = xmalloc(sizeof *q);
    *q = (struct question){m->c, m->id, id, round, term};
    sim_message(&m->c->sim, m->id, id, question_arrives, question_lost, q);
}

struct job {
    void (*work)(void *arg);
    void (*done)(void *arg);
    void *arg;
};
static void job_done(void *arg)
{
    struct job *j = arg;
    j->done(j->arg);
    free(j);
}
static void run_async(void *data, void (*work)(void *arg), void (*done)(void *arg), void *arg)
{
    struct member *m = data;
    struct job *j = xmalloc(sizeof *j);
    *j = (struct job){work, done, arg};
    work(arg);
    sim_after(&m->c->sim, 40, job_done, NULL, j);
}

/* ---- Cluster ---- */

static void cluster_init(struct cluster *c, unsigned count, uint64_t seed)
{
    memset(c, 0, sizeof *c);
    sim_init(&c->sim, seed);
    c->count = count;
    for (uint64_t id = 1; id <= MEMBERS_MAX; id++) {
        c->members[id].c = c;
        c->members[id].id = id;
    }
}

static void member_up(struct cluster *c, uint64_t id)
{
    struct member *m = &c->members[id];
    assert_null(m->node);
    m->io = sim_io_open(&c->sim, id);
    char address[32];
    snprintf(address, sizeof address, "sim:%u", (unsigned)id);
    struct node_config config = {
        .id = id,
        .address = address,
        .io = m->io,
        .env = &c->sim.env,
        .store = {.env = &c->sim.env},
        .events = {m, on_leading, on_tip, on_committed, NULL, on_fatal},
        .peers = {m, ask_term},
        .election_timeout_ms = 300,
        .heartbeat_ms = 30,
        .snapshot_entries = c->snapshot_entries,
        .run_async = c->async_snapshots ? run_async : NULL,
        .run_async_data = m,
    };
    struct error err = {0};
    must(node_new(&config, &m->node, &err), &err);
    m->leading = m->closed = m->fatal = false;
    m->revision = 0;
}

static void member_start(struct cluster *c, uint64_t id)
{
    struct error err = {0};
    member_up(c, id);
    must(node_start(c->members[id].node, &err), &err);
}

/* All members' disks say: these are the voters. */
static void cluster_boot(struct cluster *c)
{
    struct raft_configuration conf;
    raft_configuration_init(&conf);
    for (uint64_t id = 1; id <= c->count; id++) {
        char address[32];
        snprintf(address, sizeof address, "sim:%u", (unsigned)id);
        assert_int_equal(raft_configuration_add(&conf, id, address, RAFT_VOTER), 0);
    }
    for (uint64_t id = 1; id <= c->count; id++) {
        member_up(c, id);
        struct error err = {0};
        assert_int_equal(c->members[id].io->bootstrap(c->members[id].io, &conf), 0);
        must(node_start(c->members[id].node, &err), &err);
    }
    raft_configuration_close(&conf);
}

static void turn_all(struct cluster *c)
{
    bool did;
    do {
        did = false;
        for (uint64_t id = 1; id <= MEMBERS_MAX; id++) {
            if (c->members[id].node != NULL && !c->members[id].closed && !c->sim.paused[id]) {
                did = node_turn(c->members[id].node) || did;
            }
        }
    } while (did);
}

static void step(struct cluster *c)
{
    turn_all(c);
    assert_true(sim_step(&c->sim));
    turn_all(c);
}

static void run_for(struct cluster *c, int64_t ms)
{
    int64_t until = c->sim.now_ms + ms;
    while (c->sim.now_ms < until) {
        step(c);
    }
}

static struct member *leader(struct cluster *c)
{
    struct member *best = NULL;
    for (uint64_t id = 1; id <= MEMBERS_MAX; id++) {
        struct member *m = &c->members[id];
        if (m->node != NULL && !c->sim.paused[id] && node_leading(m->node) &&
            (best == NULL || node_term(m->node) > node_term(best->node))) {
            best = m;
        }
    }
    return best;
}

static struct member *await_leader(struct cluster *c)
{
    int64_t until = c->sim.now_ms + 20000;
    while (leader(c) == NULL) {
        assert_true(c->sim.now_ms < until);
        step(c);
    }
    return leader(c);
}

static void mark_closed(void *data)
{
    ((struct member *)data)->closed = true;
}

static void member_down(struct cluster *c, uint64_t id, bool crash)
{
    struct member *m = &c->members[id];
    if (crash) {
        sim_io_crash(&c->sim, id);
    }
    node_close(m->node, mark_closed, m);
    while (!m->closed) {
        assert_true(sim_step(&c->sim));
    }
    node_free(m->node);
    sim_io_free(m->io);
    m->node = NULL;
}

static void cluster_close(struct cluster *c)
{
    for (uint64_t id = 1; id <= MEMBERS_MAX; id++) {
        if (c->members[id].node != NULL) {
            member_down(c, id, false);
        }
    }
    sim_close(&c->sim);
}

/* ---- Writes and reads ---- */

struct write {
    bool answered;
    int code;
    struct txn_result result;
    struct error error;
};
static void on_write(const struct txn_result *result, const struct error *error, void *data)
{
    struct write *w = data;
    assert_false(w->answered);
    w->answered = true;
    if (error != NULL) {
        w->code = error->code;
        w->error = *error;
    } else {
        w->code = 0;
        w->result = *result;
    }
}

static int submit(struct member *m, struct object *o, const uint8_t *id, struct write *w)
{
    struct txn t;
    *w = (struct write){0};
    txn_init(&t, "test");
    if (id != NULL) {
        txn_set_id(&t, id);
    }
    txn_create(&t, o);
    int rc = node_submit(m->node, &t, on_write, w, NULL);
    assert_false(w->answered);
    txn_close(&t);
    return rc;
}

static void await_write(struct cluster *c, const struct write *w)
{
    int64_t until = c->sim.now_ms + 20000;
    while (!w->answered) {
        assert_true(c->sim.now_ms < until);
        step(c);
    }
}

static struct object *numbered(unsigned i)
{
    char name[32];
    snprintf(name, sizeof name, "c%05u", i);
    return config_map("default", name, "k", "v");
}

static void write_ok(struct cluster *c, unsigned i)
{
    struct write w;
    for (unsigned tries = 0; tries < 20; tries++) {
        struct member *m = await_leader(c);
        uint8_t id[TXN_ID_SIZE] = {(uint8_t)i, (uint8_t)(i >> 8), 7};
        submit(m, numbered(i), id, &w);
        await_write(c, &w);
        if (w.code == 0) {
            return;
        }
        assert_true(w.code == ERR_UNKNOWN_OUTCOME || w.code == ERR_NOT_LEADER);
    }
    fail_msg("no write went through");
}

static bool has(struct member *m, unsigned i)
{
    char name[32];
    snprintf(name, sizeof name, "c%05u", i);
    return find(store_committed(node_store(m->node)), KIND_CONFIGMAP, "default", name) != NULL;
}

struct read {
    bool answered;
    int code;
};
static void on_read(const struct error *error, void *data)
{
    struct read *r = data;
    assert_false(r->answered);
    r->answered = true;
    r->code = error == NULL ? 0 : error->code;
}
static void await_read(struct cluster *c, const struct read *r)
{
    int64_t until = c->sim.now_ms + 60000;
    while (!r->answered) {
        assert_true(c->sim.now_ms < until);
        step(c);
    }
}

static void assert_all_equal(struct cluster *c)
{
    const struct view *first = NULL;
    for (uint64_t id = 1; id <= MEMBERS_MAX; id++) {
        if (c->members[id].node != NULL) {
            const struct view *v = store_committed(node_store(c->members[id].node));
            first = first == NULL ? v : first;
            assert_views_equal(first, v);
        }
    }
}

/* ---- Tests ---- */

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

/* Random faults under load. Every write has an id; one that is unknown is repeated until it is known. At the end every acknowledged write
 * is there exactly once and all masters are equal. Linearizable reads never miss an acknowledged write. */
static void nothing_acknowledged_is_lost_whatever_happens(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct cluster c;
        cluster_init(&c, 3, seed);
        c.snapshot_entries = seed % 3 == 0 ? 10 : 1000;
        c.async_snapshots = seed % 2 == 0;
        c.sim.drop_permille = seed % 4 == 0 ? 50 : 0;
        c.sim.net_max_ms = seed % 5 == 0 ? 40 : 3; /* messages overtake each other */
        cluster_boot(&c);
        struct rng r = {seed * 977};
        enum { WRITES = 150 };
        struct write w[WRITES] = {0};
        bool acked[WRITES] = {0}, open[WRITES] = {0};
        struct read reads[WRITES] = {0};
        unsigned must_have[WRITES];
        struct member *reader[WRITES] = {0};
        unsigned next = 0, reads_made = 0, checked = 0;
        for (unsigned round = 0; round < 1500; round++) {
            struct member *l = leader(&c);
            for (uint64_t id = 1; id <= 3; id++) { /* any that thinks it leads: also a deposed one */
                struct member *m = &c.members[id];
                if (m->node != NULL && !c.sim.paused[id] && node_leading(m->node) && rng_below(&r, 2) == 0) {
                    l = m;
                }
            }
            unsigned i = next < WRITES && rng_below(&r, 4) == 0 ? next : (unsigned)rng_below(&r, MIN(next + 1, WRITES));
            if (l != NULL && !acked[i] && !open[i]) {
                uint8_t id[TXN_ID_SIZE] = {(uint8_t)i, (uint8_t)(i >> 8), 1, (uint8_t)seed};
                submit(l, numbered(i), id, &w[i]);
                open[i] = true;
                next += i == next;
            }
            if (l != NULL && reads_made < WRITES && rng_below(&r, 8) == 0) {
                unsigned n = 0;
                for (unsigned k = 0; k < WRITES; k++) {
                    n += acked[k];
                }
                must_have[reads_made] = n;
                reader[reads_made] = l;
                node_read(l->node, on_read, &reads[reads_made++]);
            }
            for (unsigned s = 1 + (unsigned)rng_below(&r, 6); s > 0; s--) {
                step(&c);
                for (; checked < reads_made && reads[checked].answered; checked++) {
                    if (reads[checked].code == 0 && reader[checked]->node != NULL) {
                        assert_true(view_count(store_committed(node_store(reader[checked]->node)), NULL) >=
                                    must_have[checked]);
                    }
                }
            }
            for (unsigned k = 0; k < next; k++) {
                if (open[k] && w[k].answered) {
                    open[k] = false;
                    acked[k] = w[k].code == 0;
                    assert_true(w[k].code == 0 || w[k].code == ERR_UNKNOWN_OUTCOME || w[k].code == ERR_NOT_LEADER ||
                                w[k].code == ERR_NO_QUORUM || w[k].code == ERR_CLOSED);
                }
            }
            uint64_t victim = 1 + rng_below(&r, 3);
            unsigned dice = (unsigned)rng_below(&r, 100);
            unsigned down = 0;
            for (uint64_t id = 1; id <= 3; id++) {
                down += c.members[id].node == NULL;
            }
            if (dice == 0 && c.members[victim].node != NULL && down == 0) {
                sim_pause(&c.sim, victim, false);
                member_down(&c, victim, true);
                for (unsigned k = 0; k < reads_made; k++) {
                    reader[k] = reader[k] == &c.members[victim] ? &c.members[4] : reader[k]; /* nobody */
                }
            } else if (dice < 6 && c.members[victim].node == NULL) {
                member_start(&c, victim);
            } else if (dice == 14 && c.members[victim].node != NULL) {
                sim_pause(&c.sim, victim, true);
            } else if (dice < 20 && dice > 14) {
                sim_pause(&c.sim, victim, false);
            } else if (dice == 7) {
                sim_isolate(&c.sim, victim, true);
            } else if (dice < 14) {
                sim_isolate(&c.sim, victim, false);
            }
            for (uint64_t id = 1; id <= 3; id++) {
                assert_false(c.members[id].fatal);
            }
        }
        c.sim.drop_permille = 0;
        for (uint64_t id = 1; id <= 3; id++) {
            sim_isolate(&c.sim, id, false);
            sim_pause(&c.sim, id, false);
            if (c.members[id].node == NULL) {
                member_start(&c, id);
            }
        }
        run_for(&c, 5000);
        for (unsigned k = 0; k < next; k++) {
            if (open[k]) {
                await_write(&c, &w[k]);
                acked[k] = w[k].code == 0;
            }
        }
        run_for(&c, 1000);
        assert_all_equal(&c);
        unsigned count = 0;
        for (unsigned k = 0; k < next; k++) {
            assert_true(!acked[k] || has(leader(&c), k));
            count += acked[k];
        }
        assert_true(count > 20);
        cluster_close(&c);
    }
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
        cmocka_unit_test(a_lagging_master_gets_a_snapshot),
        cmocka_unit_test(a_cluster_grows_from_one_and_shrinks),
        cmocka_unit_test(leadership_is_handed_over),
        cmocka_unit_test(a_failing_disk_stops_its_master_and_only_that_one),
        cmocka_unit_test(a_second_bootstrap_is_refused),
        cmocka_unit_test(a_full_queue_is_an_error),
        cmocka_unit_test(large_transactions_reach_a_lagging_master),
        cmocka_unit_test(a_nearly_full_disk_refuses_users_but_not_deletes),
        cmocka_unit_test(nothing_acknowledged_is_lost_whatever_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
