/* Masters: their lives, what reaches them from outside, and the glue that the daemon has around a core (terms asked of one another, members
 * added, turns of the loop). */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

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
    return env_wall_ms(&life->c->sim.env) + life->skew_ms;
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
    cluster_trace(life->c, "master %llu fails: %s", (unsigned long long)life->id, err->message);
    life->fatal = true;
    if (err->code != ERR_IO || !life->c->swarm.disks) {
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
    struct life *asker = q->c->lives[q->from];
    if (asker != NULL && asker->number == q->life) {
        node_term_confirmed(asker->node, q->round, q->to, q->term);
    }
    free(q);
}

static void question_arrives(void *arg)
{
    struct question *q = arg;
    struct life *asked = q->c->lives[q->to];
    if (asked == NULL) {
        free(q);
        return;
    }
    q->term = node_current_term(asked->node);
    sim_message(&q->c->sim, q->to, q->from, answer_arrives, free, q);
}

static void ask_term(void *data, uint64_t id, uint64_t round, uint64_t term)
{
    struct life *life = data;
    if (!life->up) {
        return;
    }
    struct question *q = xmalloc(sizeof *q);
    *q = (struct question){life->c, life->id, id, round, term, life->number};
    sim_message(&life->c->sim, life->id, id, question_arrives, free, q);
}

/* ---- Life ---- */

static void life_free(void *arg)
{
    struct life *life = arg;
    node_free(life->node);
    core_free(life->core);
    sim_io_free(life->io);
    life->c->closing--;
    free(life);
}

static void life_closed(void *data)
{
    /* libraft is still above us on the stack. */
    struct life *life = data;
    life->closed = true;
    sim_after(&life->c->sim, 1, life_free, life_free, life);
}

static struct node_config node_config_of(struct life *life, const char *address)
{
    const struct swarm *s = &life->c->swarm;
    return (struct node_config){
        .id = life->id,
        .address = address,
        .io = life->io,
        .env = &life->env,
        .log = &life->log,
        .store = {.env = &life->env,
                  .log = &life->log,
                  .seal_key = s->sealed ? (const uint8_t *)"one key of thirty-two bytes, no more" : NULL,
                  .history_bytes_max = s->history_bytes,
                  .txn_ids_max = 8192},
        .events = {.data = life, .on_leading = on_leading, .on_tip = on_tip, .on_fatal = on_fatal},
        .peers = {.data = life, .ask_term = ask_term},
        .election_timeout_ms = s->election_ms,
        .heartbeat_ms = s->heartbeat_ms,
        .snapshot_entries = s->snapshot_entries,
    };
}

void master_start(struct cluster *c, uint64_t id, bool bootstrap)
{
    assert(c->lives[id] == NULL);
    struct life *life = xcalloc(1, sizeof *life);
    char address[32];
    struct error err = {0};
    life->c = c;
    life->id = id;
    life->number = ++c->lives_count;
    life->skew_ms = c->skews[id];
    life->env = (struct env){life, life_now, life_wall, life_random};
    snprintf(life->name, sizeof life->name, "master-%llu", (unsigned long long)id);
    life->log = (struct log){.name = life->name,
                             .level = c->tracing ? LOG_LEVEL_INFO : LOG_LEVEL_OFF,
                             .sink = life_log,
                             .wall_ms = life_wall,
                             .wall_data = life};
    snprintf(address, sizeof address, "sim:%llu", (unsigned long long)id);
    life->io = sim_io_open(&c->sim, id);
    const struct node_config config = node_config_of(life, address);
    if (node_new(&config, &life->node, &err) != 0) {
        fprintf(stderr, "seed %llu: master %llu cannot be made: %s\n", (unsigned long long)c->seed,
                (unsigned long long)id, err.message);
        abort();
    }
    life->core = core_new(&(struct core_config){
        .env = &life->env, .log = &life->log, .seed = c->seed * 31 + life->number, .node_grace_ms = 4000});
    core_set_node(life->core, life->node);
    cluster_trace(c, "master %llu starts", (unsigned long long)id);
    int rc = bootstrap ? node_bootstrap(life->node, &err) : 0;
    rc = rc == 0 ? node_start(life->node, &err) : rc;
    c->lives[id] = life;
    life->up = true;
    if (rc != 0) {
        cluster_violate(c, "master %llu does not start: %s", (unsigned long long)id, err.message);
    }
}

static void life_end(struct life *life)
{
    struct cluster *c = life->c;
    struct node_stats stats;
    node_stats(life->node, &stats);
    c->snapshots += stats.snapshots;
    c->restores += stats.restores;
    c->lives[life->id] = NULL;
    sim_pause(&c->sim, life->id, false);
    c->restart_ms[life->id] = c->sim.now_ms + cluster_between(c, 50, 4000);
    c->closing++;
}

void master_crash(struct cluster *c, uint64_t id)
{
    struct life *life = c->lives[id];
    assert(life != NULL && life->up);
    cluster_trace(c, "master %llu crashes", (unsigned long long)id);
    life->up = false;
    life_end(life);
    sim_io_crash(&c->sim, id);
    node_close(life->node, life_closed, life);
}

void master_stop(struct cluster *c, uint64_t id)
{
    struct life *life = c->lives[id];
    assert(life != NULL && life->up);
    cluster_trace(c, "master %llu stops", (unsigned long long)id);
    life_end(life);
    node_close(life->node, life_closed, life); /* what is due is still answered */
    life->up = false;
}

/* ---- Turns ---- */

static void wake(void *arg)
{
    struct cluster *c = arg;
    for (uint64_t id = 1; id <= MASTERS; id++) {
        if (c->lives[id] != NULL) {
            c->lives[id]->waking = false;
        }
    }
}

static void nothing(void *arg)
{
    (void)arg;
}

void masters_turn(struct cluster *c)
{
    for (uint64_t id = 1; id <= MASTERS; id++) {
        struct life *life = c->lives[id];
        if (life == NULL || c->sim.paused[id]) {
            continue;
        }
        bool more = true;
        for (unsigned i = 0; more && i < TURNS_AT_ONCE && !life->fatal; i++) {
            more = core_turn(life->core);
        }
        ledger_follow(life);
        if (life->fatal) {
            master_crash(c, id);
        } else if (more && !life->waking) {
            life->waking = true; /* deciding takes time, in which the world goes on */
            sim_after(&c->sim, 1, wake, nothing, c);
        }
    }
}

struct life *masters_leader(struct cluster *c)
{
    struct life *leader = NULL;
    for (uint64_t id = 1; id <= MASTERS; id++) {
        struct life *life = c->lives[id];
        if (life != NULL && node_leading(life->node) &&
            (leader == NULL || node_term(life->node) > node_term(leader->node))) {
            leader = life;
        }
    }
    return leader;
}

/* ---- Joining ---- */

static void added(const struct error *error, void *data)
{
    cluster_trace(data, "member added: %s", error == NULL ? "yes" : error->message);
}

/* One step; called until all have joined. A change that is under way answers "busy": the next call tries again. */
void masters_join(struct cluster *c)
{
    struct life *leader = masters_leader(c);
    struct node_member members[MASTERS];
    unsigned count = leader == NULL ? MASTERS : node_members(leader->node, members, MASTERS);
    if (count < MASTERS) {
        char address[32];
        snprintf(address, sizeof address, "sim:%u", count + 1);
        node_member_add(leader->node, count + 1, address, added, c);
    }
}

bool masters_joined(struct cluster *c)
{
    struct life *leader = masters_leader(c);
    struct node_member members[MASTERS];
    unsigned count = leader == NULL ? 0 : node_members(leader->node, members, MASTERS), voters = 0;
    for (unsigned i = 0; i < count; i++) {
        voters += members[i].role == RAFT_VOTER;
    }
    return voters == MASTERS;
}

/* ---- The door ---- */

struct visit {
    struct cluster *c;
    uint64_t id;
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
    struct life *life = v->c->lives[v->id];
    if (v->c->sim.paused[v->id] && life != NULL) {
        sim_after(&v->c->sim, 1, visit_arrives, visit_lost, v);
        return;
    }
    if (life == NULL || v->c->phase == PHASE_END) {
        visit_lost(v);
        return;
    }
    v->run(life, v->arg);
    free(v);
}

static bool loses(struct cluster *c)
{
    return c->phase == PHASE_LOAD && rng_below(&c->rng, 1000) < c->swarm.client_loss_permille;
}

void masters_call(struct cluster *c, uint64_t id, void (*run)(struct life *life, void *arg), void (*lost)(void *arg),
                  void *arg)
{
    struct visit *v = xmalloc(sizeof *v);
    *v = (struct visit){c, id, run, lost, arg};
    int64_t delay_ms = cluster_between(c, 1, c->swarm.client_net_ms);
    sim_after(&c->sim, delay_ms, loses(c) ? visit_lost : visit_arrives, visit_lost, v);
}

void masters_reply(struct life *life, void (*run)(void *arg), void (*lost)(void *arg), void *arg)
{
    struct cluster *c = life->c;
    if (!life->up) {
        lost(arg);
        return;
    }
    sim_after(&c->sim, cluster_between(c, 1, c->swarm.client_net_ms), loses(c) ? lost : run, lost, arg);
}
