/* A seed's course: boot (one master, the others join), load with faults, calm, and then everything must come to rest
 * in bounded time. */
#include "tests/sim/cluster.h"
#include "tests/sim/kinds.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#define BOOT_MS_MAX  60000
#define CALM_MS_MAX  120000
#define QUIET_MS     1500      /* nothing is written for so long: at rest */
#define STEPS_MAX    20000000u /* of a course of seconds; STEADY_STEPS: of many minutes */
#define STEADY_STEPS 200000000u
#define MORE_SALT                                                                                                      \
    1031593u /* such that the seeds that were kept before c->more came draw nothing from it, and keep their course */

/* ---- Small things ---- */

void cluster_trace(struct cluster *c, const char *fmt, ...)
{
    char line[700];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    size_t size = MIN((size_t)n, sizeof line - 1);
    c->trace_hash = XXH3_64bits_withSeed(line, size, c->trace_hash ^ (uint64_t)c->sim.now_ms);
    if (c->tracing) {
        fprintf(stderr, "%9.3f %s\n", (double)c->sim.now_ms / 1000, line);
    }
}

void cluster_violate(struct cluster *c, const char *fmt, ...)
{
    if (c->violation[0] != '\0') {
        return;
    }
    int n = snprintf(c->violation, sizeof c->violation, "at %.3f s: ", (double)c->sim.now_ms / 1000);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(c->violation + n, sizeof c->violation - (size_t)n, fmt, ap);
    va_end(ap);
    cluster_trace(c, "VIOLATION %s", c->violation);
}

bool cluster_chance(struct cluster *c, unsigned in)
{
    return rng_below(&c->rng, in) == 0;
}

int64_t cluster_between(struct cluster *c, int64_t min, int64_t max)
{
    return min + (int64_t)rng_below(&c->rng, (uint64_t)(max - min) + 1);
}

/* ---- Phases ---- */

static bool step(struct cluster *c)
{
    if (c->violation[0] != '\0') {
        return false;
    }
    if (!sim_step(&c->sim) || c->sim.steps > (cluster_steady(c) ? STEADY_STEPS : STEPS_MAX)) {
        cluster_violate(c, "the simulation ran dry or wild");
        return false;
    }
    masters_turn(c);
    ledger_watch(c);
    return c->violation[0] == '\0';
}

static void first_objects(struct cluster *c)
{
    struct life *leader = masters_leader(c);
    struct error err = {0};
    struct txn t;
    char name[32];
    txn_init(&t, "api");
    txn_create(&t, yaml_object("{apiVersion: v1, kind: Namespace, metadata: {name: " NAMESPACE "}}"));
    if (c->swarm.services) {
        txn_create(&t, services_config());
    }
    if (c->swarm.storage) {
        storage_first(&t);
    }
    if (c->swarm.budgets) {
        budgets_first(c, &t);
    }
    if (c->swarm.autoscalers) {
        autoscalers_first(c, &t);
    }
    for (unsigned i = 0; i < CELLS; i++) {
        cell_name(i, name);
        txn_create(&t, config_map_new(name, i < REGISTERS + COUNTERS ? 0 : BALANCE_START, -1));
    }
    for (unsigned i = 0; i < LISTS; i++) {
        list_name(i, name);
        txn_create(&t, list_new(name, STR_NONE, -1));
    }
    if (replica_submit(leader->replica, &t, NULL, NULL, &err) != 0) {
        cluster_violate(c, "the first objects were refused: %s", err.message);
    }
    txn_close(&t);
}

static void boot(struct cluster *c)
{
    c->phase = PHASE_BOOT;
    char why[256] = "";
    c->ids = 1;
    c->machines[1].skew_ms = cluster_chance(c, 2) ? 0 : cluster_between(c, -3000, 3000);
    master_start(c, 1, true);
    while (c->ids < c->swarm.masters) {
        members_add(c);
    }
    for (int64_t next_ms = 0; step(c) && !(masters_leader(c) != NULL && members_settled(c, why));) {
        if (c->sim.now_ms >= next_ms) {
            members_tick(c);
            next_ms = c->sim.now_ms + 100;
        }
        if (c->sim.now_ms > BOOT_MS_MAX) {
            cluster_violate(c, "the masters do not join: %s", why);
        }
    }
    if (c->violation[0] == '\0') {
        first_objects(c);
    }
    while (c->ledger.count == 0 && step(c)) {
    }
}

static void load(struct cluster *c)
{
    int64_t end_ms = c->sim.now_ms + c->swarm.load_ms;
    uint64_t reigns = c->reigns, allowed = (uint64_t)(c->swarm.load_ms / STEADY_CHANGE_MS);
    c->phase = PHASE_LOAD;
    agents_start(c);
    clients_start(c);
    nemesis_start(c);
    promises_probe(c);
    while (c->sim.now_ms < end_ms && step(c)) {
    }
    if (cluster_steady(c) && c->reigns - reigns > allowed) {
        cluster_violate(c, "nobody died, and the leader changed %llu times in %lld minutes",
                        (unsigned long long)(c->reigns - reigns), (long long)c->swarm.load_ms / 60000);
    }
    if (cluster_steady(c) && c->given_up > 0) {
        cluster_violate(c, "nobody died, and %llu requests were given up", (unsigned long long)c->given_up);
    }
}

static bool at_rest(struct cluster *c, char why[256])
{
    if (!clients_idle(c)) {
        snprintf(why, 256, "clients have no answer");
        return false;
    }
    if (masters_leader(c) == NULL) {
        snprintf(why, 256, "no master leads");
        return false;
    }
    if (!members_settled(c, why)) {
        return false;
    }
    for (uint64_t id = 1; id <= c->ids; id++) {
        const struct machine *m = &c->machines[id];
        if (m->seat == SEAT_RUN && (m->life == NULL || m->life->seen != c->ledger.count)) {
            snprintf(why, 256, "master %llu has not caught up", (unsigned long long)id);
            return false;
        }
    }
    if (!rollout_settled(c, why) || !agents_settled(c, why)) {
        return false;
    }
    if (!upgrade_settled(c, why) || !services_settled(c, why) || !storage_settled(c, why) || !sets_settled(c, why) ||
        !runs_settled(c, why) || !budgets_settled(c, why) || !quotas_settled(c, why) || !priorities_settled(c, why) ||
        !troupes_settled(c, why) || !autoscalers_settled(c, why)) {
        return false;
    }
    snprintf(why, 256, "something is written for ever");
    return c->sim.now_ms - c->ledger.changed_ms >= QUIET_MS;
}

static void calm(struct cluster *c)
{
    int64_t end_ms = c->sim.now_ms + CALM_MS_MAX, next_ms = 0;
    char why[256] = "";
    c->phase = PHASE_CALM;
    c->calm_ms = c->sim.now_ms;
    nemesis_heal(c);
    c->settling = c->swarm.workloads ? 0 : SETTLE_ROUNDS * DEPLOYMENTS;
    while (step(c)) {
        if (c->sim.now_ms < next_ms) {
            continue;
        }
        next_ms = c->sim.now_ms + 100;
        if (at_rest(c, why)) {
            c->rest_ms = c->sim.now_ms - c->calm_ms;
            return;
        }
        if (c->sim.now_ms > end_ms) {
            cluster_violate(c, "not at rest %d s after the last fault: %s", CALM_MS_MAX / 1000, why);
        }
    }
}

void cluster_run(struct cluster *c, uint64_t seed, bool tracing)
{
    memset(c, 0, sizeof *c);
    c->seed = seed;
    c->tracing = tracing;
    c->rng.state = seed * 0x9e3779b97f4a7c15u + 7;
    c->more.state = seed ^ MORE_SALT;
    c->more.state = rng_next(&c->more); /* else it would be the next seed's, one draw earlier */
    sim_init(&c->sim, seed + 1);
    c->sim.on_send = promises_sent;
    c->sim.on_send_data = c;
    c->sim.on_enter = upgrade_enter;
    c->sim.on_enter_data = c;
    kinds_of_release(false);
    strmap_init(&c->ran);
    strmap_init(&c->killed);
    strmap_init(&c->forced);
    strmap_init(&c->late.since);
    strmap_init(&c->spoiled);
    strmap_init(&c->begun);
    swarm_draw(c);
    services_draw(c);
    events_draw(c);
    upgrade_draw(c);
    storage_draw(c);
    sets_draw(c);
    runs_draw(c);
    budgets_draw(c);
    quotas_draw(c);
    priorities_draw(c);
    troupes_draw(c);
    autoscalers_draw(c);
    ledger_open(c);
    witness_open(c);
    boot(c);
    if (c->violation[0] == '\0') {
        load(c);
    }
    if (c->violation[0] == '\0') {
        calm(c);
    }
    if (c->violation[0] == '\0') {
        witness_judge(c);
    }
    if (c->swarm.events_bytes > 0) {
        cluster_trace(c, "%llu events fell off", (unsigned long long)c->dropped);
    }
    if (c->swarm.autoscalers) {
        cluster_trace(c, "the autoscaler changed how many pods are wanted %llu times", (unsigned long long)c->scaled);
    }
    if (c->swarm.budgets) {
        cluster_trace(c, "%llu pods were evicted, %llu of them under a budget", (unsigned long long)c->evicted,
                      (unsigned long long)c->spared);
    }
    cluster_trace(
        c,
        "end: %llu revisions, endpoints wrong in %u commits at most, %llu Services spoiled; of a newer release "
        "%u objects made, %u changed, %u by older programs, which held some in %llu turns",
        (unsigned long long)c->ledger.count, c->late.most, (unsigned long long)c->spoils, c->novelties.made,
        c->novelties.changed, c->novelties.old_changed, (unsigned long long)c->novelties.carried);
}

void cluster_close(struct cluster *c)
{
    c->phase = PHASE_END;
    for (uint64_t id = 1; id <= c->ids; id++) {
        sim_pause(&c->sim, id, false);
        if (c->machines[id].life != NULL) {
            master_stop(c, id);
        }
    }
    while (c->closing > 0 && sim_step(&c->sim)) {
    }
    assert(c->closing == 0);
    sim_close(&c->sim);
    agents_close(c);
    ledger_close(c);
    witness_close(c);
    strmap_close(&c->ran);
    strmap_close(&c->killed);
    strmap_close(&c->forced);
    strmap_close(&c->late.since);
    strmap_close(&c->spoiled);
    strmap_close(&c->begun);
    free(c->term_leader);
    free(c->ops);
}
