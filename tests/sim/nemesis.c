/* What goes wrong: drawn per seed which kinds of faults there are, then one after another at random times until the calm. */
#include <stdlib.h>

#include "tests/sim/cluster.h"

#define TICK_MS 50

void swarm_draw(struct cluster *c)
{
    struct swarm *s = &c->swarm;
    static const unsigned net_max_ms[] = {3, 3, 10, 40}, disk_max_ms[] = {2, 5, 25}, drop[] = {0, 0, 5, 30};
    static const unsigned think_ms[] = {5, 30, 100}, cpu[] = {600, 1500, 4000}, snapshots[] = {25, 80, 400};
    c->sim.net_max_ms = net_max_ms[rng_below(&c->rng, 4)];
    c->sim.disk_max_ms = disk_max_ms[rng_below(&c->rng, 3)];
    *s = (struct swarm){.clients = 2 + (unsigned)rng_below(&c->rng, cluster_chance(c, 4) ? CLIENTS_MAX - 1 : 5),
                        .agents = 2 + (unsigned)rng_below(&c->rng, AGENTS_MAX - 1),
                        .think_ms = think_ms[rng_below(&c->rng, 3)],
                        .client_net_ms = cluster_chance(c, 3) ? 50 : 4,
                        .client_loss_permille = cluster_chance(c, 3) ? 30 : 0,
                        .election_ms = cluster_chance(c, 2) ? 300 : 1000,
                        .snapshot_entries = snapshots[rng_below(&c->rng, 3)],
                        .history_bytes = cluster_chance(c, 3) ? 256u << 10 : 0,
                        .node_cpu_milli = cpu[rng_below(&c->rng, 3)],
                        .load_ms = cluster_between(c, 8000, 20000),
                        .fault_every_ms = cluster_between(c, 200, 3000)};
    s->heartbeat_ms = s->election_ms / (cluster_chance(c, 2) ? 10 : 5);
    s->crashes = !cluster_chance(c, 4);
    s->outages = cluster_chance(c, 4);
    s->partitions = cluster_chance(c, 2);
    s->losses = drop[rng_below(&c->rng, 4)] > 0;
    s->disks = cluster_chance(c, 4);
    s->transfers = cluster_chance(c, 3);
    s->stops = cluster_chance(c, 3);
    s->freezes = cluster_chance(c, 3);
    s->sealed = cluster_chance(c, 2);
    s->flaps = cluster_chance(c, 3);
    s->silences = cluster_chance(c, 3);
    s->workloads = !cluster_chance(c, 4);
    s->dead = s->silences && s->agents > 2 && cluster_chance(c, 2);
    for (unsigned i = 1; i <= MASTERS; i++) {
        c->skews[i] = cluster_chance(c, 2) ? 0 : cluster_between(c, -3000, 3000);
    }
}

static void let_go(void *arg)
{
    (void)arg;
}

/* ---- Faults ---- */

static uint64_t any_master(struct cluster *c)
{
    return 1 + rng_below(&c->rng, MASTERS);
}

static uint64_t victim(struct cluster *c)
{
    struct life *leader = masters_leader(c);
    return leader != NULL && !cluster_chance(c, 3) ? leader->id : any_master(c);
}

static void crash(struct cluster *c)
{
    uint64_t id = victim(c);
    if (c->lives[id] != NULL) {
        master_crash(c, id);
    }
}

static void outage(struct cluster *c)
{
    for (uint64_t id = 1; id <= MASTERS; id++) {
        if (c->lives[id] != NULL) {
            master_crash(c, id);
        }
    }
}

static void stop(struct cluster *c)
{
    uint64_t id = victim(c);
    if (c->lives[id] != NULL) {
        master_stop(c, id);
    }
}

static void partition(struct cluster *c)
{
    uint64_t a = victim(c), b = any_master(c);
    switch (rng_below(&c->rng, 4)) {
    case 0:
        sim_isolate(&c->sim, a, true);
        cluster_trace(c, "master %llu cut off", (unsigned long long)a);
        break;
    case 1:
        c->sim.cut[a][b] = a != b; /* one way only */
        cluster_trace(c, "nothing from master %llu to %llu", (unsigned long long)a, (unsigned long long)b);
        break;
    default:
        for (uint64_t i = 1; i <= MASTERS; i++) {
            sim_isolate(&c->sim, i, false);
        }
        cluster_trace(c, "network whole again");
        break;
    }
}

static void loss(struct cluster *c)
{
    c->sim.drop_permille = c->sim.drop_permille > 0 ? 0 : (unsigned)cluster_between(c, 5, 200);
    cluster_trace(c, "%u of 1000 messages are lost", c->sim.drop_permille);
}

static void disk(struct cluster *c)
{
    uint64_t id = any_master(c);
    if (c->lives[id] != NULL) {
        c->sim.disks[id].fail_appends = 1;
        cluster_trace(c, "the disk of master %llu will fail", (unsigned long long)id);
    }
}

static void thaw(void *arg)
{
    struct cluster *c = arg;
    for (uint64_t id = 1; id <= MASTERS; id++) {
        sim_pause(&c->sim, id, c->thaw_ms[id] > c->sim.now_ms && c->lives[id] != NULL);
    }
}

static void freeze(struct cluster *c)
{
    uint64_t id = victim(c);
    int64_t ms = cluster_between(c, 50, 4000);
    c->thaw_ms[id] = c->sim.now_ms + ms;
    sim_pause(&c->sim, id, c->lives[id] != NULL);
    sim_after(&c->sim, ms, thaw, let_go, c);
    cluster_trace(c, "master %llu stands still for %lld ms", (unsigned long long)id, (long long)ms);
}

static void transferred(const struct error *error, void *data)
{
    (void)error;
    (void)data;
}

static void transfer(struct cluster *c)
{
    struct life *leader = masters_leader(c);
    if (leader != NULL) {
        uint64_t to = cluster_chance(c, 2) ? 0 : any_master(c);
        cluster_trace(c, "leadership from master %llu to %llu", (unsigned long long)leader->id, (unsigned long long)to);
        node_transfer(leader->node, to, transferred, NULL);
    }
}

static void silence(struct cluster *c)
{
    struct agent *a = &c->agents[rng_below(&c->rng, c->swarm.agents)];
    a->silent = !a->silent;
    cluster_trace(c, "agent %s is %s", a->name, a->silent ? "cut off" : "back");
}

static void strike(struct cluster *c)
{
    const struct {
        bool on;
        void (*run)(struct cluster *c);
    } rows[] = {{c->swarm.crashes, crash},        {c->swarm.outages, outage},   {c->swarm.stops, stop},
                {c->swarm.partitions, partition}, {c->swarm.losses, loss},      {c->swarm.disks, disk},
                {c->swarm.transfers, transfer},   {c->swarm.silences, silence}, {c->swarm.freezes, freeze}};
    unsigned on = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        on += rows[i].on;
    }
    uint64_t skip = on == 0 ? 0 : rng_below(&c->rng, on);
    for (unsigned i = 0; on > 0 && i < ARRAY_SIZE(rows); i++) {
        if (rows[i].on && skip-- == 0) {
            c->faults++;
            rows[i].run(c);
            return;
        }
    }
}

/* ---- Its clock ---- */

static void restart_due(struct cluster *c)
{
    for (uint64_t id = 1; id <= MASTERS; id++) {
        if (c->lives[id] == NULL && c->restart_ms[id] <= c->sim.now_ms) {
            master_start(c, id, false);
        }
    }
}

static void tick(void *arg)
{
    struct cluster *c = arg;
    if (c->phase == PHASE_END) {
        return;
    }
    restart_due(c);
    if (c->phase == PHASE_LOAD && (int64_t)rng_below(&c->rng, (uint64_t)c->swarm.fault_every_ms) < TICK_MS) {
        strike(c);
    }
    sim_after(&c->sim, TICK_MS, tick, let_go, c);
}

void nemesis_start(struct cluster *c)
{
    sim_after(&c->sim, TICK_MS, tick, let_go, c);
}

void nemesis_heal(struct cluster *c)
{
    cluster_trace(c, "calm");
    for (uint64_t id = 1; id <= MASTERS; id++) {
        sim_isolate(&c->sim, id, false);
        c->sim.disks[id].fail_appends = 0;
        sim_pause(&c->sim, id, false);
        c->restart_ms[id] = MIN(c->restart_ms[id], c->sim.now_ms + 1000);
    }
    c->sim.drop_permille = 0;
    for (unsigned i = 0; i < c->swarm.agents; i++) {
        c->agents[i].silent = i == 0 && c->swarm.dead;
    }
}
