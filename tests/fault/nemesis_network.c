/* Faults of the network: cuts between groups of members, in both directions or one, and packets lost by chance.
 *
 * Port 0 of the fabric is the clients, port i + 1 is member i. Cuts between members leave the clients connected to all
 * of them, so there is always a client that talks to the wrong side. */
#include <stdio.h>

#include "tests/fault/nemeses.h"

static unsigned all_members(const struct trial *t)
{
    unsigned all = 0;
    for (unsigned i = 0; i < t->cluster.count; i++) {
        all |= cluster_member_in(&t->cluster, i) ? 1u << i : 0;
    }
    return all;
}

/* Nothing passes from one of `from` to one of `to`. */
static void cut(struct trial *t, unsigned from, unsigned to)
{
    for (unsigned a = 0; a < t->cluster.count; a++) {
        for (unsigned b = 0; b < t->cluster.count; b++) {
            if (a != b && (from & 1u << a) && (to & 1u << b)) {
                fabric_set(&t->cluster.fabric, a + 1, b + 1, 100);
            }
        }
    }
}

static void cut_both(struct trial *t, unsigned one, unsigned other)
{
    cut(t, one, other);
    cut(t, other, one);
}

static void apply(struct trial *t, const char *what, unsigned members)
{
    char names[60];
    fabric_apply(&t->cluster.fabric);
    t->victims = members;
    trial_say(t, "%s: %s", what, nemesis_names(members, names, sizeof names));
}

static void heal(struct trial *t)
{
    if (t->victims != 0) {
        trial_say(t, "heal the network");
    }
    t->victims = 0;
    fabric_heal(&t->cluster.fabric);
}

static void start_leader_alone(struct trial *t)
{
    unsigned leader = 1u << nemesis_pick_leader(t);
    cut_both(t, leader, all_members(t) & ~leader);
    apply(t, "cut off the leader", leader);
}

/* A minority with the leader, the rest without it. */
static void start_halves(struct trial *t)
{
    unsigned leader = nemesis_pick_leader(t), all = all_members(t), some = 1u << leader;
    while ((unsigned)__builtin_popcount(some) < nemesis_minority(t)) {
        some |= 1u << nemesis_pick(t, all & ~some);
    }
    if (rng_below(&t->rng, 2) == 0) { /* half of the time the leader stays with the majority */
        some = nemesis_pick_some(t, nemesis_minority(t));
    }
    cut_both(t, some, all & ~some);
    apply(t, "cut in two; the smaller half is", some);
}

/* One hears nothing, or is not heard. */
static void start_one_way(struct trial *t)
{
    unsigned one = 1u << (rng_below(&t->rng, 2) == 0 ? nemesis_pick_leader(t) : (unsigned)nemesis_pick(t, 0));
    bool deaf = rng_below(&t->rng, 2) == 0;
    cut(t, deaf ? all_members(t) & ~one : one, deaf ? one : all_members(t) & ~one);
    apply(t, deaf ? "deaf" : "mute", one);
}

/* Everybody sees a majority, no two the same: each only its neighbours. With three that is all, so there each hears
 * its successor only. */
static void start_ring(struct trial *t)
{
    unsigned order[CLUSTER_MEMBERS_MAX], n = 0;
    for (unsigned left = all_members(t); left != 0; n++) {
        order[n] = (unsigned)nemesis_pick(t, left);
        left &= ~(1u << order[n]);
    }
    for (unsigned a = 0; a < n; a++) {
        for (unsigned b = 0; b < n; b++) {
            unsigned apart = (b + n - a) % n;
            if (n <= 3 ? apart == 1 : apart > 1 && apart < n - 1) {
                fabric_set(&t->cluster.fabric, order[a] + 1, order[b] + 1, 100);
            }
        }
    }
    apply(t, "ring", all_members(t));
}

/* Two halves that meet in one member only. */
static void start_bridge(struct trial *t)
{
    unsigned all = all_members(t), middle = 1u << nemesis_pick(t, 0), one = 0;
    unsigned half = (unsigned)(__builtin_popcount(all) - 1) / 2;
    while ((unsigned)__builtin_popcount(one) < half) {
        one |= 1u << nemesis_pick(t, all & ~middle & ~one);
    }
    cut_both(t, one, all & ~middle & ~one);
    apply(t, "two halves, joined by", middle);
}

/* The masters see each other; clients reach one of them only, or not the leader. */
static void start_clients(struct trial *t)
{
    unsigned leader = 1u << nemesis_pick_leader(t), all = all_members(t);
    unsigned lost = rng_below(&t->rng, 2) == 0 ? leader : all & ~(1u << nemesis_pick(t, 0));
    for (unsigned i = 0; i < t->cluster.count; i++) {
        if (lost & 1u << i) {
            fabric_set_both(&t->cluster.fabric, 0, i + 1, 100);
        }
    }
    apply(t, "no client reaches", lost);
}

/* The leader stands still, is cut off from the others meanwhile, and goes on: clients still reach it, nobody tells
 * it that it is deposed. */
static void start_stale_leader(struct trial *t)
{
    unsigned i = nemesis_pick_leader(t), leader = 1u << i;
    cluster_freeze(&t->cluster, i, true);
    cut_both(t, leader, all_members(t) & ~leader);
    apply(t, "freeze and cut off the leader", leader);
    trial_wait(t, 1500 + (int64_t)rng_below(&t->rng, 2500));
    cluster_freeze(&t->cluster, i, false);
    trial_say(t, "thaw it, cut off");
}

static void stop_stale_leader(struct trial *t)
{
    for (unsigned i = 0; i < t->cluster.count; i++) {
        cluster_freeze(&t->cluster, i, false);
    }
    heal(t);
}

static void start_loss(struct trial *t)
{
    for (unsigned a = 0; a <= t->cluster.count; a++) {
        for (unsigned b = 0; b <= t->cluster.count; b++) {
            if (a != b) {
                fabric_set(&t->cluster.fabric, a, b, 30);
            }
        }
    }
    apply(t, "30 % of all packets lost", all_members(t));
}

/* ---- Delay ---- */

static void set_relays(struct trial *t, struct relay_control want)
{
    for (unsigned i = 0; i < t->cluster.count; i++) {
        volatile struct relay_control *c = t->cluster.fabric.relays[i + 1];
        c->delay_us = want.delay_us;
        c->jitter_us = want.jitter_us;
        c->reorder_percent = want.reorder_percent;
        c->double_percent = want.double_percent;
        c->spoil_permille = want.spoil_permille;
    }
}

static void start_delay(struct trial *t)
{
    bool wild = rng_below(&t->rng, 2) == 0;
    t->victims = all_members(t);
    set_relays(t, wild ? (struct relay_control){.delay_us = 20000,
                                                .jitter_us = 200000,
                                                .reorder_percent = 20,
                                                .double_percent = 10}
                       : (struct relay_control){.delay_us = 60000, .jitter_us = 20000});
    trial_say(t, wild ? "packets take 20 to 220 ms, a fifth overtakes, a tenth comes twice"
                      : "packets take 60 to 80 ms at each master");
}

static void stop_delay(struct trial *t)
{
    if (t->victims != 0) {
        uint64_t passed = 0, dropped = 0;
        for (unsigned i = 0; i < t->cluster.count; i++) {
            passed += t->cluster.fabric.relays[i + 1]->passed;
            dropped += t->cluster.fabric.relays[i + 1]->dropped;
        }
        trial_say(t, "no delay; so far %llu packets passed, %llu were dropped", (unsigned long long)passed,
                  (unsigned long long)dropped);
    }
    t->victims = 0;
    set_relays(t, (struct relay_control){0});
}

/* ---- Corruption ---- */

static void start_corruption(struct trial *t)
{
    t->victims = all_members(t);
    set_relays(t, (struct relay_control){.spoil_permille = rng_below(&t->rng, 2) == 0 ? 2 : 20});
    trial_say(t, "bits of packets flip");
}

static void stop_corruption(struct trial *t)
{
    if (t->victims != 0) {
        uint64_t spoilt = 0;
        for (unsigned i = 0; i < t->cluster.count; i++) {
            spoilt += t->cluster.fabric.relays[i + 1]->spoilt;
        }
        trial_say(t, "no more; %llu packets were spoilt so far", (unsigned long long)spoilt);
    }
    t->victims = 0;
    set_relays(t, (struct relay_control){0});
}

#define NEEDS (NEED_FABRIC | NEED_MAJORITY)
static const struct nemesis leader_alone = {
    .name = "partition-leader",
    .about = "the leader cut off from the others",
    .needs = NEEDS,
    .hold_min_ms = 1000,
    .hold_max_ms = 6000,
    .start = start_leader_alone,
    .stop = heal,
    .best = "append",
};
static const struct nemesis halves = {
    .name = "partition-halves",
    .about = "cut in two, the leader on either side",
    .needs = NEEDS,
    .hold_min_ms = 1000,
    .hold_max_ms = 6000,
    .start = start_halves,
    .stop = heal,
};
static const struct nemesis one_way = {
    .name = "partition-one-way",
    .about = "one master deaf or mute",
    .needs = NEEDS,
    .hold_min_ms = 1000,
    .hold_max_ms = 6000,
    .start = start_one_way,
    .stop = heal,
    .best = "queue",
};
static const struct nemesis ring = {
    .name = "partition-ring",
    .about = "each sees a majority, no two the same (of 3: each hears one only)",
    .needs = NEEDS,
    .hold_min_ms = 1000,
    .hold_max_ms = 6000,
    .start = start_ring,
    .stop = heal,
};
static const struct nemesis bridge = {
    .name = "partition-bridge",
    .about = "two halves that meet in one master",
    .needs = NEEDS,
    .hold_min_ms = 1000,
    .hold_max_ms = 6000,
    .start = start_bridge,
    .stop = heal,
};
static const struct nemesis clients = {
    .name = "partition-clients",
    .about = "clients reach one master only, or all but the leader",
    .needs = NEEDS,
    .hold_min_ms = 1000,
    .hold_max_ms = 6000,
    .start = start_clients,
    .stop = heal,
};
static const struct nemesis stale = {
    .name = "stale-leader",
    .about = "the leader stands still, is cut off and goes on",
    .needs = NEEDS,
    .hold_min_ms = 300,
    .hold_max_ms = 1500,
    .start = start_stale_leader,
    .stop = stop_stale_leader,
    .best = "register",
};
static const struct nemesis loss = {
    .name = "loss",
    .about = "30 % of all packets lost",
    .needs = NEED_FABRIC,
    .hold_min_ms = 3000,
    .hold_max_ms = 8000,
    .start = start_loss,
    .stop = heal,
};

static const struct nemesis delay = {
    .name = "delay",
    .about = "packets wait, overtake and come twice",
    .needs = NEED_FABRIC | NEED_RELAY,
    .hold_min_ms = 2000,
    .hold_max_ms = 6000,
    .start = start_delay,
    .stop = stop_delay,
};

static const struct nemesis corruption = {
    .name = "corruption",
    .about = "a bit flips in 2 or 20 of 1000 packets, checksums match",
    .needs = NEED_FABRIC | NEED_RELAY,
    .hold_min_ms = 2000,
    .hold_max_ms = 6000,
    .start = start_corruption,
    .stop = stop_corruption,
    .best = "queue",
};

const struct nemesis *const nemeses_network[] = {&leader_alone, &halves, &one_way, &ring,       &bridge, &clients,
                                                 &stale,        &loss,   &delay,   &corruption, NULL};
