/* Faults of the nodes: the agents' process killed, or cut off from all masters. Means nothing to workloads without
 * nodes. */
#include "tests/fault/agents.h"
#include "tests/fault/nemeses.h"

static void start_cut(struct trial *t)
{
    for (unsigned i = 0; i < t->cluster.count; i++) {
        fabric_set_both(&t->cluster.fabric, AGENTS_PORT, i + 1, 100);
    }
    fabric_apply(&t->cluster.fabric);
    t->victims = 1;
    trial_say(t, "no master reaches the agents");
}

static void stop_cut(struct trial *t)
{
    if (t->victims != 0) {
        trial_say(t, "heal the network");
    }
    t->victims = 0;
    fabric_heal(&t->cluster.fabric);
}

static void start_kill(struct trial *t)
{
    t->victims = 1;
    trial_say(t, "kill the agents");
    agents_kill(t->agents);
}

static void stop_kill(struct trial *t)
{
    if (t->victims != 0) {
        trial_say(t, "start the agents");
        agents_start(t->agents);
    }
    t->victims = 0;
}

static const struct nemesis killed = {
    .name = "kill-agents",
    .about = "SIGKILL of the agents, with their pretended containers",
    .needs = NEED_AGENTS,
    .hold_min_ms = 100,
    .hold_max_ms = 5000,
    .start = start_kill,
    .stop = stop_kill,
};
static const struct nemesis cut = {
    .name = "partition-agents",
    .about = "the agents cut off from all masters",
    .needs = NEED_FABRIC | NEED_AGENTS,
    .hold_min_ms = 1000,
    .hold_max_ms = 5000,
    .start = start_cut,
    .stop = stop_cut,
};

const struct nemesis *const nemeses_agents[] = {&killed, &cut, NULL};
