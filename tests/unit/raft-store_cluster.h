/* A cluster of nodes over a simulated network and disk, and what tests do with it. */
#ifndef TESTS_UNIT_RAFT_STORE_CLUSTER_H
#define TESTS_UNIT_RAFT_STORE_CLUSTER_H

#include "tests/unit/raft-store_help.h"

#include "raft-store/raft/replica.h"
#include "tests/sim/sim_io.h"

#define MEMBERS_MAX 5
#define ADDRESS_MAX 32

struct cluster;
struct member {
    struct cluster *c;
    uint64_t id;
    struct replica *replica; /* NULL = down */
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
    bool deaf[MEMBERS_MAX + 1]; /* by id: the leader is told that nobody hears this one */
};

/* ---- The owner's side ---- */

static inline void on_leading(void *data, bool leading, uint64_t term)
{
    struct member *m = data;
    (void)term;
    m->leading = leading;
    assert_int_equal(replica_leading(m->replica), leading);
    assert_int_equal(store_tip(replica_store(m->replica)) != NULL, leading);
}
static inline void on_tip(void *data, const struct change *changes, unsigned count)
{
    struct member *m = data;
    assert_true(count > 0 && changes != NULL);
    m->tips += count;
}
static inline void on_committed(void *data, uint64_t revision, bool restored)
{
    struct member *m = data;
    assert_true(revision > m->revision || restored);
    m->revision = revision;
    m->restored += restored;
}
static inline void on_fatal(void *data, const struct error *err)
{
    struct member *m = data;
    m->fatal = true;
    m->fatal_error = *err;
}

struct question {
    struct cluster *c;
    uint64_t from, to, round, term;
};
static inline void question_lost(void *arg)
{
    free(arg);
}
static inline void answer_arrives(void *arg)
{
    struct question *q = arg;
    struct member *m = &q->c->members[q->from];
    if (m->replica != NULL) {
        replica_term_confirmed(m->replica, q->round, q->to, q->term);
    }
    free(q);
}
static inline void question_arrives(void *arg)
{
    struct question *q = arg;
    struct member *m = &q->c->members[q->to];
    if (m->replica == NULL) {
        free(q);
        return;
    }
    q->term = replica_current_term(m->replica);
    sim_message(&q->c->sim, q->to, q->from, answer_arrives, question_lost, q);
}
static inline void ask_term(void *data, uint64_t id, uint64_t round, uint64_t term)
{
    struct member *m = data;
    struct question *q = xmalloc(sizeof *q);
    *q = (struct question){m->c, m->id, id, round, term};
    sim_message(&m->c->sim, m->id, id, question_arrives, question_lost, q);
}

static inline bool reachable(void *data, uint64_t id)
{
    struct member *m = data;
    return m->c->members[id].replica != NULL && !m->c->deaf[id];
}

struct job {
    void (*work)(void *arg);
    void (*done)(void *arg);
    void *arg;
};
static inline void job_done(void *arg)
{
    struct job *j = arg;
    j->done(j->arg);
    free(j);
}
static inline void run_async(void *data, void (*work)(void *arg), void (*done)(void *arg), void *arg)
{
    struct member *m = data;
    struct job *j = xmalloc(sizeof *j);
    *j = (struct job){work, done, arg};
    work(arg);
    sim_after(&m->c->sim, 40, job_done, NULL, j);
}

/* ---- Cluster ---- */

static inline void cluster_init(struct cluster *c, unsigned count, uint64_t seed)
{
    memset(c, 0, sizeof *c);
    sim_init(&c->sim, seed);
    c->count = count;
    for (uint64_t id = 1; id <= MEMBERS_MAX; id++) {
        c->members[id].c = c;
        c->members[id].id = id;
    }
}

static inline void member_address(uint64_t id, char address[ADDRESS_MAX])
{
    snprintf(address, ADDRESS_MAX, "sim:%u", (unsigned)id);
}

static inline void member_up(struct cluster *c, uint64_t id)
{
    struct member *m = &c->members[id];
    assert_null(m->replica);
    m->io = sim_io_open(&c->sim, id);
    char address[ADDRESS_MAX];
    member_address(id, address);
    struct replica_config config = {
        .id = id,
        .address = address,
        .io = m->io,
        .env = &c->sim.env,
        .store = {.env = &c->sim.env},
        .events = {m, on_leading, on_tip, on_committed, NULL, on_fatal},
        .peers = {m, ask_term, reachable},
        .election_timeout_ms = 300,
        .heartbeat_ms = 30,
        .snapshot_entries = c->snapshot_entries,
        .run_async = c->async_snapshots ? run_async : NULL,
        .run_async_data = m,
    };
    struct error err = {0};
    must(replica_new(&config, &m->replica, &err), &err);
    m->leading = m->closed = m->fatal = false;
    m->revision = 0;
}

static inline void member_start(struct cluster *c, uint64_t id)
{
    struct error err = {0};
    member_up(c, id);
    must(replica_start(c->members[id].replica, &err), &err);
}

/* All members' disks say: these are the voters. */
static inline void cluster_boot(struct cluster *c)
{
    struct raft_configuration conf;
    raft_configuration_init(&conf);
    for (uint64_t id = 1; id <= c->count; id++) {
        char address[ADDRESS_MAX];
        member_address(id, address);
        assert_int_equal(raft_configuration_add(&conf, id, address, RAFT_VOTER), 0);
    }
    for (uint64_t id = 1; id <= c->count; id++) {
        member_up(c, id);
        struct error err = {0};
        assert_int_equal(c->members[id].io->bootstrap(c->members[id].io, &conf), 0);
        must(replica_start(c->members[id].replica, &err), &err);
    }
    raft_configuration_close(&conf);
}

/* count voters, who take a snapshot after so many entries (0: the default), in a worker or on the loop. */
static inline void cluster_start_with(struct cluster *c, unsigned count, uint64_t seed, unsigned snapshot_entries,
                                      bool async_snapshots)
{
    cluster_init(c, count, seed);
    c->snapshot_entries = snapshot_entries;
    c->async_snapshots = async_snapshots;
    cluster_boot(c);
}

static inline void cluster_start(struct cluster *c, unsigned count, uint64_t seed)
{
    cluster_start_with(c, count, seed, 0, false);
}

static inline void turn_all(struct cluster *c)
{
    bool did;
    do {
        did = false;
        for (uint64_t id = 1; id <= MEMBERS_MAX; id++) {
            if (c->members[id].replica != NULL && !c->members[id].closed && !c->sim.paused[id]) {
                did = replica_turn(c->members[id].replica) || did;
            }
        }
    } while (did);
}

static inline void step(struct cluster *c)
{
    turn_all(c);
    assert_true(sim_step(&c->sim));
    turn_all(c);
}

static inline void run_for(struct cluster *c, int64_t ms)
{
    int64_t until = c->sim.now_ms + ms;
    while (c->sim.now_ms < until) {
        step(c);
    }
}

static inline struct member *leader(struct cluster *c)
{
    struct member *best = NULL;
    for (uint64_t id = 1; id <= MEMBERS_MAX; id++) {
        struct member *m = &c->members[id];
        if (m->replica != NULL && !c->sim.paused[id] && replica_leading(m->replica) &&
            (best == NULL || replica_term(m->replica) > replica_term(best->replica))) {
            best = m;
        }
    }
    return best;
}

static inline struct member *await_leader(struct cluster *c)
{
    int64_t until = c->sim.now_ms + 20000;
    while (leader(c) == NULL) {
        assert_true(c->sim.now_ms < until);
        step(c);
    }
    return leader(c);
}

static inline void mark_closed(void *data)
{
    ((struct member *)data)->closed = true;
}

/* The next of the first members, in a circle: a follower, if m leads. */
static inline struct member *next_to(struct cluster *c, const struct member *m)
{
    return &c->members[m->id % c->count + 1];
}

/* Cuts a follower off, and says which. */
static inline uint64_t isolate_follower(struct cluster *c)
{
    uint64_t id = next_to(c, await_leader(c))->id;
    sim_isolate(&c->sim, id, true);
    return id;
}

/* After replica_close with mark_closed. */
static inline void member_await_closed(struct cluster *c, struct member *m)
{
    while (!m->closed) {
        assert_true(sim_step(&c->sim));
    }
    replica_free(m->replica);
    sim_io_free(m->io);
    m->replica = NULL;
}

static inline void member_down(struct cluster *c, uint64_t id, bool crash)
{
    struct member *m = &c->members[id];
    if (crash) {
        sim_io_crash(&c->sim, id);
    }
    replica_close(m->replica, mark_closed, m);
    member_await_closed(c, m);
}

static inline void cluster_close(struct cluster *c)
{
    for (uint64_t id = 1; id <= MEMBERS_MAX; id++) {
        if (c->members[id].replica != NULL) {
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
static inline void on_write(const struct txn_result *result, const struct error *error, void *data)
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

static inline int submit(struct member *m, struct object *o, const uint8_t *id, struct write *w)
{
    struct txn t;
    *w = (struct write){0};
    txn_init(&t, "test");
    if (id != NULL) {
        txn_set_id(&t, id);
    }
    txn_create(&t, o);
    int rc = replica_submit(m->replica, &t, on_write, w, NULL);
    assert_false(w->answered);
    txn_close(&t);
    return rc;
}

static inline void await_write(struct cluster *c, const struct write *w)
{
    int64_t until = c->sim.now_ms + 20000;
    while (!w->answered) {
        assert_true(c->sim.now_ms < until);
        step(c);
    }
}

static inline struct object *numbered(unsigned i)
{
    char name[32];
    snprintf(name, sizeof name, "c%05u", i);
    return config_map("default", name, "k", "v");
}

static inline void write_ok(struct cluster *c, unsigned i)
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

static inline void write_range(struct cluster *c, unsigned from, unsigned below)
{
    for (unsigned i = from; i < below; i++) {
        write_ok(c, i);
    }
}

static inline bool has(struct member *m, unsigned i)
{
    char name[32];
    snprintf(name, sizeof name, "c%05u", i);
    return find(store_committed(replica_store(m->replica)), KIND_CONFIGMAP, "default", name) != NULL;
}

struct read {
    bool answered;
    int code;
};
static inline void on_read(const struct error *error, void *data)
{
    struct read *r = data;
    assert_false(r->answered);
    r->answered = true;
    r->code = error == NULL ? 0 : error->code;
}
static inline void await_read(struct cluster *c, const struct read *r)
{
    int64_t until = c->sim.now_ms + 60000;
    while (!r->answered) {
        assert_true(c->sim.now_ms < until);
        step(c);
    }
}

static inline void assert_all_equal(struct cluster *c)
{
    const struct view *first = NULL;
    for (uint64_t id = 1; id <= MEMBERS_MAX; id++) {
        if (c->members[id].replica != NULL) {
            const struct view *v = store_committed(replica_store(c->members[id].replica));
            first = first == NULL ? v : first;
            assert_views_equal(first, v);
        }
    }
}

#endif
