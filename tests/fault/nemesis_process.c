/* Faults of processes: killed, stood still, restarted. */
#include <stdio.h>

#include "tests/fault/kit.h"
#include "tests/fault/nemeses.h"

#define STOP_MS 30000

static void kill_these(struct trial *t, unsigned members)
{
    char names[60];
    trial_say(t, "kill %s", nemesis_names(members, names, sizeof names));
    t->victims |= members;
    for (unsigned i = 0; i < t->cluster.count; i++) {
        if (members & 1u << i) {
            cluster_kill(&t->cluster, i);
        }
    }
}

static void start_all(struct trial *t)
{
    char names[60];
    if (t->victims != 0) {
        trial_say(t, "start %s", nemesis_names(t->victims, names, sizeof names));
    }
    t->victims = 0;
    for (unsigned i = 0; i < t->cluster.count; i++) {
        if (cluster_member_in(&t->cluster, i)) {
            cluster_start(&t->cluster, i);
        }
    }
}

static void start_kill_one(struct trial *t)
{
    kill_these(t, nemesis_pick_some(t, 1));
}

static void start_kill_leader(struct trial *t)
{
    kill_these(t, 1u << nemesis_pick_leader(t));
}

static void start_kill_majority(struct trial *t)
{
    kill_these(t, nemesis_pick_some(t, cluster_size(&t->cluster) - nemesis_minority(t)));
}

static void start_kill_all(struct trial *t)
{
    kill_these(t, nemesis_pick_some(t, cluster_size(&t->cluster)));
}

/* A leader that stands still does not know that it is deposed when it goes on. */
static void freeze(struct trial *t, unsigned members)
{
    char names[60];
    trial_say(t, "freeze %s", nemesis_names(members, names, sizeof names));
    t->victims |= members;
    for (unsigned i = 0; i < t->cluster.count; i++) {
        if (members & 1u << i) {
            cluster_freeze(&t->cluster, i, true);
        }
    }
}

static void thaw(struct trial *t)
{
    if (t->victims != 0) {
        trial_say(t, "thaw");
    }
    t->victims = 0;
    for (unsigned i = 0; i < t->cluster.count; i++) {
        cluster_freeze(&t->cluster, i, false);
    }
}

static void start_pause_leader(struct trial *t)
{
    freeze(t, 1u << nemesis_pick_leader(t));
}

static void start_pause_all(struct trial *t)
{
    freeze(t, nemesis_pick_some(t, cluster_size(&t->cluster)));
}

/* As on a host that gives its time to others. */
static void start_standstill(struct trial *t)
{
    unsigned size = cluster_size(&t->cluster);
    freeze(t, nemesis_pick_some(t, rng_below(&t->rng, 2) == 0 ? size : 1 + (unsigned)rng_below(&t->rng, size)));
}

/* One after the other ends in order, as for a new version; the next when the one before is back. */
static void start_rolling(struct trial *t)
{
    for (unsigned i = 0; i < t->cluster.count; i++) {
        if (!cluster_member_in(&t->cluster, i)) {
            continue;
        }
        trial_say(t, "restart m%u", i + 1);
        int status = cluster_stop(&t->cluster, i, STOP_MS);
        if (status != 0) {
            trial_fail(t, "m%u did not end in order when asked: %s %d", i + 1,
                       status == -1 ? "not within 30 s, status" : "status", status);
        }
        cluster_start(&t->cluster, i);
        struct cluster_view v;
        int64_t end_us = fault_now_us() + STOP_MS * 1000;
        while (fault_now_us() < end_us && (!cluster_ask(&t->cluster, i, &v) || v.leader == 0)) {
            trial_wait(t, 50);
        }
    }
}

static const struct nemesis kill_one = {
    .name = "kill-one",
    .about = "SIGKILL of any master",
    .hold_min_ms = 200,
    .hold_max_ms = 2500,
    .start = start_kill_one,
    .stop = start_all,
};
static const struct nemesis kill_leader = {
    .name = "kill-leader",
    .about = "SIGKILL of the leader",
    .hold_min_ms = 100,
    .hold_max_ms = 2500,
    .start = start_kill_leader,
    .stop = start_all,
};
static const struct nemesis kill_majority = {
    .name = "kill-majority",
    .about = "SIGKILL of a majority at once",
    .needs = NEED_MAJORITY,
    .hold_min_ms = 500,
    .hold_max_ms = 3000,
    .start = start_kill_majority,
    .stop = start_all,
};
static const struct nemesis kill_all = {
    .name = "kill-all",
    .about = "SIGKILL of all at once",
    .hold_min_ms = 100,
    .hold_max_ms = 1500,
    .start = start_kill_all,
    .stop = start_all,
};
static const struct nemesis pause_leader = {
    .name = "pause-leader",
    .about = "SIGSTOP of the leader, up to 60 s",
    .needs = NEED_MAJORITY,
    .hold_min_ms = 1000,
    .hold_max_ms = 60000,
    .start = start_pause_leader,
    .stop = thaw,
    .best = "register",
};
static const struct nemesis pause_all = {
    .name = "pause-all",
    .about = "SIGSTOP of all masters",
    .hold_min_ms = 500,
    .hold_max_ms = 5000,
    .start = start_pause_all,
    .stop = thaw,
};
static const struct nemesis standstill = {
    .name = "standstill",
    .about = "SIGSTOP of all masters or some, 50 ms to 2 s, again and again; no election, no request without an answer",
    .hold_min_ms = 50,
    .hold_max_ms = 2000,
    .start = start_standstill,
    .stop = thaw,
    .steady = true,
};
static const struct nemesis rolling = {
    .name = "rolling-restart",
    .about = "masters end in order and start again, one by one",
    .needs = NEED_MAJORITY,
    .hold_min_ms = 100,
    .hold_max_ms = 500,
    .start = start_rolling,
    .stop = start_all,
};

const struct nemesis *const nemeses_process[] = {&kill_one,  &kill_leader, &kill_majority, &kill_all, &pause_leader,
                                                 &pause_all, &standstill,  &rolling,       NULL};
