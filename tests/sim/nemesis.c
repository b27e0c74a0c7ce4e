/* What goes wrong: drawn per seed which kinds of faults there are, then one after another at random times until the
 * calm. A kind is a row of `faults`; how the network splits is partition.c's, what becomes of a master without a
 * disk members.c's. */
#include <assert.h>
#include <stdlib.h>

#include "tests/sim/cluster.h"

#define TICK_MS    50
#define HOUR_MS    (3600 * 1000)
#define MASTERS_UP 7u /* the operator adds no more */

static void let_go(void *arg)
{
    (void)arg;
}

static uint64_t victim(struct cluster *c)
{
    struct life *leader = masters_leader(c);
    return leader != NULL && !cluster_chance(c, 3) ? leader->id : masters_any(c);
}

/* ---- Processes ---- */

static void crash(struct cluster *c)
{
    uint64_t id = victim(c);
    if (c->machines[id].life != NULL) {
        master_crash(c, id);
    }
}

static void outage(struct cluster *c)
{
    for (uint64_t id = 1; id <= c->ids; id++) {
        if (c->machines[id].life != NULL) {
            master_crash(c, id);
        }
    }
}

static void stop(struct cluster *c)
{
    uint64_t id = victim(c);
    if (c->machines[id].life != NULL) {
        master_stop(c, id);
    }
}

static void thaw(void *arg)
{
    struct cluster *c = arg;
    for (uint64_t id = 1; id <= c->ids; id++) {
        bool paused = c->machines[id].thaw_ms > c->sim.now_ms && c->machines[id].life != NULL;
        sim_pause(&c->sim, id, paused);
        masters_touch(c, id);
    }
}

static void stand_still(struct cluster *c, uint64_t id, int64_t ms)
{
    c->machines[id].thaw_ms = c->sim.now_ms + ms;
    sim_pause(&c->sim, id, c->machines[id].life != NULL);
    sim_after(&c->sim, ms, thaw, let_go, c);
    cluster_trace(c, "master %llu stands still for %lld ms", (unsigned long long)id, (long long)ms);
}

static void freeze(struct cluster *c)
{
    uint64_t id = victim(c);
    stand_still(c, id, cluster_between(c, 50, 4000));
}

/* The host is busy: all masters, or some, and each goes on when it is its turn. */
static void standstill(struct cluster *c)
{
    int64_t ms = 50 + (int64_t)rng_below(&c->more, 1950);
    bool all = rng_below(&c->more, 2) == 0;
    for (uint64_t id = 1; id <= c->ids; id++) {
        if (all || rng_below(&c->more, 2) == 0) {
            stand_still(c, id, ms + (int64_t)rng_below(&c->more, 50));
        }
    }
}

/* The calendar; the clock that measures durations goes on. */
static void jump(struct cluster *c)
{
    uint64_t id = victim(c);
    int64_t ms = cluster_chance(c, 3) ? cluster_between(c, -3000, 3000) : cluster_between(c, -6 * HOUR_MS, 6 * HOUR_MS);
    c->machines[id].skew_ms = ms;
    cluster_trace(c, "the calendar of master %llu is off by %lld ms", (unsigned long long)id, (long long)ms);
}

/* ---- Network ---- */

static void loss(struct cluster *c)
{
    struct sim *s = &c->sim;
    static const unsigned late_ms[] = {50, 500, 5000};
    s->drop_permille = s->drop_permille > 0 || cluster_chance(c, 3) ? 0 : (unsigned)cluster_between(c, 5, 200);
    s->double_permille = cluster_chance(c, 2) ? 0 : (unsigned)cluster_between(c, 5, 200);
    s->late_permille = cluster_chance(c, 2) ? 0 : (unsigned)cluster_between(c, 5, 200);
    s->late_ms = late_ms[rng_below(&c->rng, 3)];
    cluster_trace(c, "of 1000 messages %u are lost, %u come twice, %u up to %u ms later", s->drop_permille,
                  s->double_permille, s->late_permille, s->late_ms);
}

static void silence(struct cluster *c)
{
    struct agent *a = &c->agents[rng_below(&c->rng, c->swarm.agents)];
    a->silent = !a->silent;
    cluster_trace(c, "agent %s is %s", a->name, a->silent ? "cut off" : "back");
}

/* ---- Disks ---- */

static void io_error(struct cluster *c)
{
    uint64_t id = masters_any(c);
    struct sim_disk *d = &c->sim.disks[id];
    unsigned *const kinds[] = {&d->fail_appends, &d->fail_appends, &d->fail_metadata, &d->fail_snapshots,
                               &d->fail_reads};
    static const char *const names[] = {"append", "append", "write of term or vote", "snapshot", "read"};
    unsigned row = (unsigned)rng_below(&c->rng, ARRAY_SIZE(kinds));
    *kinds[row] = 1;
    cluster_trace(c, "the next %s of master %llu will fail", names[row], (unsigned long long)id);
}

static void fill(struct cluster *c)
{
    uint64_t id = victim(c);
    c->sim.disks[id].full = true;
    c->machines[id].room_ms = c->sim.now_ms + cluster_between(c, 200, 6000);
    cluster_trace(c, "the disk of master %llu is full", (unsigned long long)id);
}

static void damage(struct cluster *c)
{
    uint64_t id = victim(c);
    struct machine *m = &c->machines[id];
    if (!members_may_lose(c, id)) {
        return;
    }
    enum sim_damage kind = (enum sim_damage)rng_below(&c->rng, SIM_DAMAGES);
    bool running =
        (kind == SIM_DAMAGE_FLIP || kind == SIM_DAMAGE_CUT) && c->sim.disks[id].has_snapshot && cluster_chance(c, 2);
    if (m->life != NULL && !running) {
        master_crash(c, id);
    }
    kind = sim_disk_damage(&c->sim, id, kind);
    static const char *const names[] = {"is wiped", "has a damaged log", "has lost term and vote",
                                        "has a bit of its snapshot wrong", "has lost the end of its snapshot"};
    cluster_trace(c, "the disk of master %llu %s", (unsigned long long)id, names[kind]);
    if (kind == SIM_DAMAGE_WIPE) {
        members_replace(c, id);
    }
}

/* ---- From one majority to another ---- */

static void relay_ends(void *arg)
{
    struct cluster *c = arg;
    partition_heal(c);
    cluster_trace(c, "the relay is over");
}

/* All lose power, and of those who come back others are cut off than before: whoever leads next must have it from
 * one disk. */
static void relay_turns(void *arg)
{
    struct cluster *c = arg;
    if (c->phase != PHASE_LOAD) {
        return;
    }
    uint64_t away = partition_minority(c, c->relay);
    cluster_trace(c, "relay: %llx come back, %llx are cut off", (unsigned long long)c->relay, (unsigned long long)away);
    for (uint64_t id = 1; id <= c->ids; id++) {
        if (c->machines[id].life != NULL) {
            master_crash(c, id);
            c->machines[id].restart_ms = c->sim.now_ms + cluster_between(c, 50, 500);
        }
    }
    if (nemesis_has(c, "damage") && cluster_chance(c, 2)) {
        damage(c);
    }
    sim_after(&c->sim, cluster_between(c, 1000, 5000), relay_ends, let_go, c);
}

static void relay(struct cluster *c)
{
    c->relay = partition_minority(c, 0);
    cluster_trace(c, "relay: %llx are cut off", (unsigned long long)c->relay);
    sim_after(&c->sim, cluster_between(c, 200, 2500), relay_turns, let_go, c);
}

/* ---- Operators ---- */

static void transferred(const struct error *error, void *data)
{
    (void)error;
    (void)data;
}

static void transfer(struct cluster *c)
{
    struct life *leader = masters_leader(c);
    if (leader != NULL) {
        uint64_t to = cluster_chance(c, 2) ? 0 : masters_any(c);
        cluster_trace(c, "leadership from master %llu to %llu", (unsigned long long)leader->id, (unsigned long long)to);
        masters_touch(c, leader->id);
        replica_transfer(leader->replica, to, transferred, NULL);
    }
}

static void change_members(struct cluster *c)
{
    uint64_t ids[SIM_SERVERS_MAX], id = masters_any(c);
    unsigned running = masters_running(c, ids);
    if (!members_may_change(c)) {
        return;
    }
    bool grow = running < 2 || (running < MASTERS_UP && cluster_chance(c, 2));
    cluster_trace(c, grow ? "a master is to be added" : "master %llu is to be removed", (unsigned long long)id);
    if (grow) {
        members_add(c);
    } else {
        members_remove(c, id);
    }
}

/* Others lead and write for a while, then the network is whole, and they are asked to pass leadership back until
 * they have. */
static void back(void *arg)
{
    struct cluster *c = arg;
    struct life *leader = masters_leader(c);
    bool replaced = leader != NULL && leader->id != c->back.id, over = --c->back.tries == 0 || c->phase != PHASE_LOAD;
    if (replaced && !c->back.whole && rng_below(&c->more, 3) == 0) {
        partition_heal(c);
        c->back.whole = true;
    } else if (replaced && c->back.whole) {
        cluster_trace(c, "leadership is to go back to master %llu", (unsigned long long)c->back.id);
        masters_touch(c, leader->id);
        replica_transfer(leader->replica, c->back.id, transferred, NULL);
    }
    if (over || (c->back.whole && !replaced)) {
        partition_heal(c);
        c->back.tries = 0;
        return;
    }
    sim_after(&c->sim, 50 + (int64_t)rng_below(&c->more, 400), back, let_go, c);
}

/* A leader is replaced and leads again before long, in the same life: what it remembers of its former term must not
 * be taken for true. */
static void there_and_back(struct cluster *c)
{
    struct life *leader = masters_leader(c);
    if (leader == NULL || c->back.tries > 0) {
        return;
    }
    cluster_trace(c, "master %llu is cut off, and is to lead again", (unsigned long long)leader->id);
    c->back.id = leader->id;
    c->back.whole = false;
    c->back.tries = 40;
    sim_isolate(&c->sim, leader->id, true);
    sim_after(&c->sim, c->swarm.election_ms, back, let_go, c);
}

/* ---- The table ---- */

static const struct {
    const char *name;
    unsigned percent; /* of seeds that have it */
    void (*run)(struct cluster *c);
} faults[] = {
    {"crash", 70, crash},
    {"outage", 20, outage},
    {"stop", 30, stop},
    {"freeze", 30, freeze},
    {"clock", 25, jump},
    {"split", 60, partition_strike},
    {"loss", 40, loss},
    {"silence", 30, silence},
    {"io", 25, io_error},
    {"full", 20, fill},
    {"damage", 40, damage},
    {"transfer", 30, transfer},
    {"members", 40, change_members},
    {"relay", 15, relay},
    {"back", 30, there_and_back},
    {"standstill", 25, standstill},
};
#define FAULTS_LATER 14u /* rows from here on are drawn from c->more */

bool nemesis_has(const struct cluster *c, const char *fault)
{
    for (unsigned i = 0; i < ARRAY_SIZE(faults); i++) {
        if (strcmp(faults[i].name, fault) == 0) {
            return (c->swarm.faults >> i & 1) != 0;
        }
    }
    return false;
}

static void strike(struct cluster *c)
{
    uint64_t skip = c->swarm.faults == 0 ? 0 : rng_below(&c->rng, (uint64_t)__builtin_popcount(c->swarm.faults));
    for (unsigned i = 0; i < ARRAY_SIZE(faults); i++) {
        if ((c->swarm.faults >> i & 1) != 0 && skip-- == 0) {
            c->faults++;
            faults[i].run(c);
            return;
        }
    }
}

/* ---- Drawing ---- */

static void draw_steady(struct cluster *c)
{
    struct swarm *s = &c->swarm;
    unsigned row = ARRAY_SIZE(faults) - 1;
    assert(faults[row].run == standstill);
    *s = (struct swarm){.masters = cluster_chance(c, 3) ? 5 : 3,
                        .clients = 3,
                        .agents = 2,
                        .think_ms = 200,
                        .client_net_ms = 4,
                        .election_ms = 450,
                        .heartbeat_ms = 100,
                        .snapshot_entries = 400,
                        .node_cpu_milli = 1500,
                        .load_ms = 3 * STEADY_CHANGE_MS,
                        .faults = 1u << row,
                        .fault_every_ms = cluster_between(c, 1000, 5000),
                        .patient = true,
                        .lag_ms = 100};
    struct sim *sim = &c->sim;
    sim->flight_spared = false;
    sim->late_permille = sim->beside_late_permille = 0;
}

struct rng rng_apart(uint64_t seed, uint64_t salt)
{
    struct rng r = {seed ^ salt};
    rng_next(&r);
    r.state = rng_next(&r);
    return r;
}

void swarm_draw(struct cluster *c)
{
    struct swarm *s = &c->swarm;
    static const unsigned net_max_ms[] = {3, 3, 10, 40}, disk_max_ms[] = {2, 5, 25};
    static const unsigned think_ms[] = {5, 30, 100}, cpu[] = {600, 1500, 4000};
    static const unsigned lag_ms[] = {20, 100, 400};
    static const unsigned snapshots[] = {5, 10, 25, 80, 400}, masters[] = {1, 3, 3, 3, 3, 3, 5, 5, 5, 7};
    c->sim.net_max_ms = net_max_ms[rng_below(&c->rng, 4)];
    c->sim.disk_max_ms = disk_max_ms[rng_below(&c->rng, 3)];
    *s = (struct swarm){.masters = masters[rng_below(&c->rng, ARRAY_SIZE(masters))],
                        .clients = 2 + (unsigned)rng_below(&c->rng, cluster_chance(c, 4) ? CLIENTS_MAX - 1 : 5),
                        .agents = 2 + (unsigned)rng_below(&c->rng, AGENTS_MAX - 1),
                        .think_ms = think_ms[rng_below(&c->rng, 3)],
                        .client_net_ms = cluster_chance(c, 3) ? 50 : 4,
                        .client_loss_permille = cluster_chance(c, 3) ? 30 : 0,
                        .client_double_permille = cluster_chance(c, 3) ? 100 : 0,
                        .election_ms = cluster_chance(c, 2) ? 300 : 1000,
                        .snapshot_entries = snapshots[rng_below(&c->rng, ARRAY_SIZE(snapshots))],
                        .async_ms = cluster_chance(c, 2) ? 0 : 60,
                        .history_bytes = cluster_chance(c, 3) ? 2u << 20 : 0,
                        .node_cpu_milli = cpu[rng_below(&c->rng, 3)],
                        .load_ms = cluster_between(c, 8000, 20000),
                        .fault_every_ms =
                            cluster_chance(c, 8) ? cluster_between(c, 150, 500) : cluster_between(c, 200, 3000)};
    s->heartbeat_ms = s->election_ms / (cluster_chance(c, 2) ? 10 : 5);
    for (unsigned i = 0; i < ARRAY_SIZE(faults); i++) {
        s->faults |= (unsigned)(rng_below(i >= FAULTS_LATER ? &c->more : &c->rng, 100) < faults[i].percent) << i;
    }
    s->sealed = cluster_chance(c, 2);
    s->flaps = cluster_chance(c, 3);
    s->workloads = !cluster_chance(c, 4);
    s->dead = nemesis_has(c, "silence") && s->agents > 2 && cluster_chance(c, 2);
    /* What came later, from a stream of its own. */
    s->flight_spared = c->sim.flight_spared = rng_below(&c->more, 3) == 0;
    if (s->flight_spared) {
        unsigned permille = 20 + (unsigned)rng_below(&c->more, 180);
        s->uneven = rng_below(&c->more, 2) == 0;
        /* While a leader is cut off, its late heartbeats keep others from electing: not where it is to be replaced
         * while it still reads. */
        *(s->uneven ? &c->sim.beside_late_permille : &c->sim.late_permille) = permille;
        c->sim.late_ms = 5000;
    }
    s->loyal = rng_below(&c->more, 3) == 0 ? 1 + (unsigned)rng_below(&c->more, s->clients) : 0;
    s->lag_ms = lag_ms[rng_below(&c->more, 3)];
    s->patient = rng_below(&c->more, 2) == 0;
    struct rng later = {.state = c->seed ^ 0x75706772u}; /* seeds without it keep their course */
    rng_next(&later);
    s->upgrades = rng_below(&later, 4) == 0;
    if (cluster_steady(c)) {
        draw_steady(c);
    }
}

/* ---- Its clock ---- */

static void machines_tick(struct cluster *c)
{
    for (uint64_t id = 1; id <= c->ids; id++) {
        struct machine *m = &c->machines[id];
        struct sim_disk *d = &c->sim.disks[id];
        d->full = d->full && c->sim.now_ms < m->room_ms;
        if (m->seat == SEAT_RUN && m->life == NULL && m->restart_ms <= c->sim.now_ms) {
            master_start(c, id, false);
        }
        if (m->life != NULL) {
            replica_set_disk(m->life->replica, d->full ? REPLICA_DISK_LOW : REPLICA_DISK_ENOUGH);
        }
    }
}

static void tick(void *arg)
{
    struct cluster *c = arg;
    if (c->phase == PHASE_END) {
        return;
    }
    machines_tick(c);
    members_tick(c);
    if (c->phase == PHASE_LOAD && (int64_t)rng_below(&c->rng, (uint64_t)c->swarm.fault_every_ms) < TICK_MS) {
        strike(c);
    }
    sim_after(&c->sim, TICK_MS, tick, let_go, c);
}

void nemesis_start(struct cluster *c)
{
    upgrade_start(c);
    sim_after(&c->sim, TICK_MS, tick, let_go, c);
}

void nemesis_heal(struct cluster *c)
{
    struct sim *s = &c->sim;
    cluster_trace(c, "calm");
    partition_heal(c);
    upgrade_heal(c);
    for (uint64_t id = 1; id <= c->ids; id++) {
        struct machine *m = &c->machines[id];
        struct sim_disk *d = &s->disks[id];
        d->fail_appends = d->fail_metadata = d->fail_snapshots = d->fail_reads = 0;
        d->full = false;
        sim_pause(s, id, false);
        masters_touch(c, id);
        m->restart_ms = MIN(m->restart_ms, s->now_ms + 1000);
        m->skew_ms = MAX(MIN(m->skew_ms, 3000), -3000);
    }
    s->drop_permille = s->double_permille = s->late_permille = s->beside_late_permille = 0;
    for (unsigned i = 0; i < c->swarm.agents; i++) {
        c->agents[i].silent = i == 0 && c->swarm.dead;
    }
}
