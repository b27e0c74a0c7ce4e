/* Masters: their lives, what reaches them from outside, and the glue that the daemon has around a core (terms asked of
 * one another, members added, turns of the loop). */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/schema/release.h"
#include "tests/sim/cluster.h"

#define TURNS_AT_ONCE 8

/* ---- Surroundings ---- */

static int64_t life_now(void *data)
{
    return ((struct life *)data)->c->sim.now_ms;
}
static int64_t life_wall(void *data)
{
    struct life *life = data;
    return env_wall_ms(&life->c->sim.env) + life->c->machines[life->id].skew_ms;
}
static void life_random(void *data, void *bytes, size_t n)
{
    env_random(&((struct life *)data)->c->sim.env, bytes, n);
}

static void life_log(void *data, enum log_level level, const char *line, unsigned size)
{
    (void)data;
    (void)level;
    fprintf(stderr, "    %.*s\n", (int)size, line);
}

/* ---- Events of the node ---- */

/* The others' answers come at once, from those that could answer. */
static void ask_heard(void *data)
{
    struct life *life = data;
    struct cluster *c = life->c;
    for (uint64_t id = 1; id <= c->ids; id++) {
        struct life *other = c->machines[id].life;
        size_t cursor = 0;
        struct str name;
        int64_t age_ms;
        if (other == NULL || other == life || other->core == NULL || c->sim.paused[id] || c->sim.cut[life->id][id] ||
            c->sim.cut[id][life->id]) {
            continue;
        }
        while (core_next_heard(other->core, &cursor, &name, &age_ms)) {
            core_hear_of(life->core, name, age_ms);
        }
    }
    core_heard_all(life->core);
}

static void on_leading(void *data, bool leading, uint64_t term)
{
    struct life *life = data;
    struct cluster *c = life->c;
    cluster_trace(c, "master %llu %s, term %llu", (unsigned long long)life->id, leading ? "leads" : "leads no more",
                  (unsigned long long)term);
    if (leading) {
        if (term >= c->terms) {
            c->term_leader = xrealloc(c->term_leader, (term + 1) * sizeof *c->term_leader);
            memset(c->term_leader + c->terms, 0, (term + 1 - c->terms) * sizeof *c->term_leader);
            c->terms = term + 1;
        }
        if (c->term_leader[term] != 0 && c->term_leader[term] != life->id) {
            cluster_violate(c, "masters %llu and %llu both lead in term %llu", (unsigned long long)c->term_leader[term],
                            (unsigned long long)life->id, (unsigned long long)term);
        }
        c->term_leader[term] = life->id;
        c->reigns++;
    }
    core_on_leading(life->core, leading, term);
}

static void on_tip(void *data, const struct change *changes, unsigned count)
{
    core_on_tip(((struct life *)data)->core, changes, count);
}

static void on_fatal(void *data, const struct error *err)
{
    struct life *life = data;
    bool excused = (err->code == ERR_IO && nemesis_has(life->c, "io")) ||
                   (err->code == ERR_CORRUPT && sim_saw_rot(&life->c->sim, life->id));
    cluster_trace(life->c, "master %llu fails: %s", (unsigned long long)life->id, err->message);
    life->fatal = true;
    life->code = err->code;
    if (!excused) {
        cluster_violate(life->c, "master %llu gave up: %s", (unsigned long long)life->id, err->message);
    }
}

/* ---- "Is your term still T?" ---- */

struct question {
    struct cluster *c;
    uint64_t from, to, round, term;
    unsigned life; /* who asked: an answer to a former life is for nobody */
};

static void answer_arrives(void *arg)
{
    struct question *q = arg;
    struct life *asker = q->c->machines[q->from].life;
    if (asker != NULL && asker->number == q->life) {
        replica_term_confirmed(asker->replica, q->round, q->to, q->term);
    }
    free(q);
}

static void question_arrives(void *arg)
{
    struct question *q = arg;
    struct life *asked = q->c->machines[q->to].life;
    if (asked == NULL) {
        free(q);
        return;
    }
    q->term = replica_current_term(asked->replica);
    sim_message(&q->c->sim, q->to, q->from, answer_arrives, free, q);
}

static void ask_term(void *data, uint64_t id, uint64_t round, uint64_t term)
{
    struct life *life = data;
    if (!life->up) {
        return;
    }
    unsigned times = sim_doubles(&life->c->sim) ? 2 : 1;
    for (unsigned i = 0; i < times; i++) {
        struct question *q = xmalloc(sizeof *q);
        *q = (struct question){life->c, life->id, id, round, term, life->number};
        sim_message(&life->c->sim, life->id, id, question_arrives, free, q);
    }
}

/* ---- Life ---- */

static void life_free(void *arg)
{
    struct life *life = arg;
    replica_free(life->replica);
    core_free(life->core);
    sim_io_free(life->io);
    life->c->closing--;
    free(life);
}

/* The daemon knows it from its sessions. */
static bool reachable(void *data, uint64_t id)
{
    struct life *life = data;
    const struct sim *s = &life->c->sim;
    return id < SIM_SERVERS_MAX && life->c->machines[id].life != NULL && !s->paused[id] && !s->cut[life->id][id] &&
           !s->cut[id][life->id];
}

/* Nobody listens where it did. */
static bool ended(void *data, uint64_t id)
{
    struct life *life = data;
    const struct sim *s = &life->c->sim;
    return id < SIM_SERVERS_MAX && life->c->machines[id].life == NULL && !s->cut[life->id][id] && !s->cut[id][life->id];
}

static void life_closed(void *data)
{
    /* libraft is still above us on the stack. */
    struct life *life = data;
    life->closed = true;
    sim_after(&life->c->sim, 1, life_free, life_free, life);
}

/* A worker thread: what it does is done at once, since it works on a fork; only when it says so takes time. */
struct work {
    struct cluster *c;
    uint64_t id;
    void (*done)(void *arg);
    void *arg;
};

static void work_done(void *data)
{
    struct work *w = data;
    upgrade_enter(w->c, w->id);
    w->done(w->arg);
    free(w);
}

static void run_async(void *data, void (*work)(void *arg), void (*done)(void *arg), void *arg)
{
    struct life *life = data;
    struct work *w = xmalloc(sizeof *w);
    *w = (struct work){life->c, life->id, done, arg};
    work(arg);
    sim_after(&life->c->sim, 1 + (int64_t)rng_below(&life->c->sim.rng, life->c->swarm.async_ms), work_done, NULL, w);
}

static const struct pki_ring seal_keys = {1, {"one key of thirty-two bytes here"}};

static struct replica_config node_config_of(struct life *life, const char *address)
{
    const struct swarm *s = &life->c->swarm;
    return (struct replica_config){
        .id = life->id,
        .address = address,
        .io = life->io,
        .env = &life->env,
        .log = &life->log,
        .store = {.env = &life->env,
                  .log = &life->log,
                  .seal_keys = s->sealed ? &seal_keys : NULL,
                  .history_bytes_max = s->history_bytes,
                  .txn_ids_max = 4096,
                  .events_bytes_max = s->events_bytes,
                  .pack_early = life->id % 2 == 1, /* with one that packs nothing it must agree */
                  .release = life->release},
        .events = {.data = life, .on_leading = on_leading, .on_tip = on_tip, .on_fatal = on_fatal},
        .peers = {.data = life, .ask_term = ask_term, .reachable = reachable, .ended = s->patient ? ended : NULL},
        .election_timeout_ms = s->election_ms * (cluster_uneven(life->c) && life->id == 1 ? 4 : 1),
        .election_ceiling_ms = s->patient ? 6 * s->election_ms + 300 : 0,
        .election_start_ms = 2 * s->election_ms + s->heartbeat_ms,
        .heartbeat_ms = s->heartbeat_ms,
        .snapshot_entries = s->snapshot_entries,
        .run_async = s->async_ms > 0 ? run_async : NULL,
        .run_async_data = life,
    };
}

/* Damage that was done must be seen, and none that was not. */
static void judge_start(struct cluster *c, uint64_t id, int rc, const struct error *err)
{
    const struct sim_disk *disk = &c->sim.disks[id];
    bool damaged = disk->damage != NULL || disk->rotten;
    if (damaged && rc == 0) {
        cluster_violate(c, "master %llu started from a damaged disk", (unsigned long long)id);
    } else if (rc != 0 && (!damaged || rc != ERR_CORRUPT) && (rc != ERR_IO || !nemesis_has(c, "io"))) {
        cluster_violate(c, "master %llu does not start: %s", (unsigned long long)id, err->message);
    }
}

static struct life *life_new(struct cluster *c, uint64_t id)
{
    struct life *life = xcalloc(1, sizeof *life);
    life->c = c;
    life->id = id;
    life->born_ms = c->sim.now_ms;
    life->release = upgrade_release(c, id);
    c->machines[id].knows = life->release != &release;
    life->number = ++c->lives_count;
    life->env = (struct env){life, life_now, life_wall, life_random, NULL};
    snprintf(life->name, sizeof life->name, "master-%llu", (unsigned long long)id);
    life->log = (struct log){.name = life->name,
                             .level = c->tracing ? LOG_LEVEL_INFO : LOG_LEVEL_OFF,
                             .sink = life_log,
                             .wall_ms = life_wall,
                             .wall_data = life};
    life->io = sim_io_open(&c->sim, id);
    upgrade_enter(c, id);
    return life;
}

void master_start(struct cluster *c, uint64_t id, bool bootstrap)
{
    struct machine *m = &c->machines[id];
    assert(m->life == NULL && (m->seat == SEAT_FREE || m->seat == SEAT_RUN));
    struct life *life = life_new(c, id);
    struct error err = {0};
    char address[32];
    snprintf(address, sizeof address, "sim:%llu", (unsigned long long)id);
    const struct replica_config config = node_config_of(life, address);
    if (replica_new(&config, &life->replica, &err) != 0) {
        fprintf(stderr, "seed %llu: master %llu cannot be made: %s\n", (unsigned long long)c->seed,
                (unsigned long long)id, err.message);
        abort();
    }
    life->core = core_new(&(struct core_config){.env = &life->env,
                                                .log = &life->log,
                                                .seed = c->seed * 31 + life->number,
                                                .node_grace_ms = 4000,
                                                .usage_ms = 1000,
                                                .ask_heard = ask_heard,
                                                .data = life});
    core_set_node(life->core, life->replica);
    /* Leaders that number objects follow leaders that do not: entries say it, and nobody else. */
    bool oldest = (c->seed + life->number) % 4 == 0 && !c->swarm.upgrades && !c->swarm.services && !c->swarm.storage &&
                  !c->swarm.sets && !c->swarm.runs && !c->swarm.budgets && !c->swarm.quotas && !c->swarm.autoscalers;
    store_set_level(replica_store(life->replica), oldest ? 0 : release.level);
    cluster_trace(c, "master %llu starts", (unsigned long long)id);
    m->seat = SEAT_RUN;
    int rc = bootstrap ? replica_bootstrap(life->replica, &err) : 0;
    rc = rc == 0 ? replica_start(life->replica, &err) : rc;
    judge_start(c, id, rc, &err);
    if (rc != 0) {
        cluster_trace(c, "master %llu does not start: %s", (unsigned long long)id, err.message);
        c->closing++;
        replica_close(life->replica, life_closed, life);
        if (rc == ERR_IO) { /* started again, as by its supervisor */
            m->restart_ms = c->sim.now_ms + 500;
        } else {
            members_replace(c, id);
        }
        return;
    }
    m->life = life;
    life->up = true;
    masters_touch(c, id);
}

static void life_end(struct life *life)
{
    struct cluster *c = life->c;
    struct machine *m = &c->machines[life->id];
    struct replica_stats stats;
    replica_stats(life->replica, &stats);
    c->snapshots += stats.snapshots;
    c->restores += stats.restores;
    m->life = NULL;
    sim_pause(&c->sim, life->id, false);
    m->restart_ms = c->sim.now_ms + cluster_between(c, 50, 4000);
    c->closing++;
}

void master_crash(struct cluster *c, uint64_t id)
{
    struct life *life = c->machines[id].life;
    assert(life != NULL && life->up);
    cluster_trace(c, "master %llu crashes", (unsigned long long)id);
    life->up = false;
    life_end(life);
    sim_io_crash(&c->sim, id);
    replica_close(life->replica, life_closed, life);
}

void master_stop(struct cluster *c, uint64_t id)
{
    struct life *life = c->machines[id].life;
    assert(life != NULL && life->up);
    cluster_trace(c, "master %llu stops", (unsigned long long)id);
    life_end(life);
    replica_close(life->replica, life_closed, life); /* what is due is still answered */
    life->up = false;
}

/* ---- Turns ---- */

static void wake(void *arg)
{
    struct cluster *c = arg;
    for (uint64_t id = 1; id <= c->ids; id++) {
        struct life *life = c->machines[id].life;
        if (life != NULL && life->waking) {
            life->waking = false;
            masters_touch(c, id);
        }
    }
}

static void nothing(void *arg)
{
    (void)arg;
}

void masters_touch(struct cluster *c, uint64_t id)
{
    c->sim.touched |= UINT64_C(1) << id;
}

static void life_turn(struct life *life)
{
    struct cluster *c = life->c;
    bool more = true;
    upgrade_enter(c, life->id);
    replica_attend(life->replica);
    core_attend(life->core);
    for (unsigned i = 0; more && i < TURNS_AT_ONCE && !life->fatal; i++) {
        more = core_turn(life->core);
    }
    promises_turn(life);
    services_turn(life);
    events_turn(life);
    ledger_follow(life);
    if (c->swarm.upgrades && !life->fatal && !upgrade_turn(life)) {
        master_crash(c, life->id);
        return;
    }
    if (life->fatal) {
        bool corrupt = life->code == ERR_CORRUPT;
        uint64_t id = life->id;
        master_crash(c, id);
        if (corrupt) {
            members_replace(c, id);
        }
        return;
    }
    life->deadline_ms = core_next_deadline(life->core);
    if (more && !life->waking) {
        life->waking = true; /* deciding takes time, in which the world goes on */
        sim_after(&c->sim, 1, wake, nothing, c);
    }
}

void masters_turn(struct cluster *c)
{
    uint64_t touched = c->sim.touched, kept = 0;
    c->sim.touched = 0;
    for (uint64_t id = 1; id <= c->ids; id++) {
        struct life *life = c->machines[id].life;
        bool due = life != NULL && ((touched >> id & 1) != 0 || life->deadline_ms <= c->sim.now_ms);
        if (due && c->sim.paused[id]) {
            kept |= UINT64_C(1) << id;
        } else if (due) {
            life_turn(life);
        }
    }
    c->sim.touched |= kept;
}

uint64_t masters_any(struct cluster *c)
{
    uint64_t ids[SIM_SERVERS_MAX];
    unsigned count = masters_running(c, ids);
    return count == 0 ? 1 : ids[rng_below(&c->rng, count)];
}

unsigned masters_running(struct cluster *c, uint64_t ids[SIM_SERVERS_MAX])
{
    unsigned count = 0;
    for (uint64_t id = 1; id <= c->ids; id++) {
        if (c->machines[id].seat == SEAT_RUN) {
            ids[count++] = id;
        }
    }
    return count;
}

/* A former one may still believe that it leads: it is not meant. */
struct life *masters_leader(struct cluster *c)
{
    uint64_t term = c->terms == 0 ? 0 : c->terms - 1;
    struct life *life = term == 0 ? NULL : c->machines[c->term_leader[term]].life;
    return life != NULL && replica_leading(life->replica) && replica_term(life->replica) == term ? life : NULL;
}

/* ---- The door ---- */

struct visit {
    struct cluster *c;
    uint64_t id;
    enum door door;
    void (*run)(struct life *life, void *arg);
    void (*lost)(void *arg);
    void *arg;
};

static void visit_lost(void *arg)
{
    struct visit *v = arg;
    v->lost(v->arg);
    free(v);
}

static void visit_arrives(void *arg)
{
    struct visit *v = arg;
    struct cluster *c = v->c;
    struct life *life = c->machines[v->id].life;
    if (c->sim.paused[v->id] && life != NULL) {
        sim_after(&c->sim, 1, visit_arrives, visit_lost, v);
        return;
    }
    if (life == NULL || c->phase == PHASE_END || c->shut[v->door][v->id]) {
        visit_lost(v);
        return;
    }
    masters_touch(c, v->id);
    upgrade_enter(c, v->id);
    v->run(life, v->arg);
    free(v);
}

static bool loses(struct cluster *c)
{
    return c->phase == PHASE_LOAD && rng_below(&c->rng, 1000) < c->swarm.client_loss_permille;
}

void masters_call(struct cluster *c, enum door door, uint64_t id, void (*run)(struct life *life, void *arg),
                  void (*lost)(void *arg), void *arg)
{
    struct visit *v = xmalloc(sizeof *v);
    *v = (struct visit){c, id, door, run, lost, arg};
    int64_t delay_ms = cluster_between(c, 1, c->swarm.client_net_ms);
    sim_after(&c->sim, delay_ms, loses(c) ? visit_lost : visit_arrives, visit_lost, v);
}

void masters_reply(struct life *life, enum door door, void (*run)(void *arg), void (*lost)(void *arg), void *arg)
{
    struct cluster *c = life->c;
    if (!life->up) {
        lost(arg);
        return;
    }
    bool gone = loses(c) || c->shut[door][life->id];
    sim_after(&c->sim, cluster_between(c, 1, c->swarm.client_net_ms), gone ? lost : run, lost, arg);
}
