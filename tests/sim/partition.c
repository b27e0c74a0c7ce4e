/* How the network splits. Each way is a row; the former split ends when the next begins, and now and then all is
 * whole. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/cluster.h"

struct split {
    struct cluster *c;
    uint64_t ids[SIM_SERVERS_MAX]; /* that run, in drawn order */
    unsigned count;
};

static void cut_both(struct cluster *c, uint64_t a, uint64_t b)
{
    sim_cut(&c->sim, a, b, true);
    sim_cut(&c->sim, b, a, true);
}

/* Two groups of any size. */
static void halves(struct split *s)
{
    unsigned first = s->count < 2 ? 0 : 1 + (unsigned)rng_below(&s->c->rng, s->count - 1);
    for (unsigned i = 0; i < first; i++) {
        for (unsigned j = first; j < s->count; j++) {
            cut_both(s->c, s->ids[i], s->ids[j]);
        }
    }
}

/* Some are heard no more by the others, but hear them. */
static void one_way(struct split *s)
{
    unsigned first = s->count < 2 ? 0 : 1 + (unsigned)rng_below(&s->c->rng, s->count - 1);
    for (unsigned i = 0; i < first; i++) {
        for (unsigned j = first; j < s->count; j++) {
            sim_cut(&s->c->sim, s->ids[i], s->ids[j], true);
        }
    }
}

/* Each sees a majority, no two the same one. Three cannot, but each can miss the voice of another. */
static void ring(struct split *s)
{
    unsigned reach = (s->count / 2 + 1) / 2;
    for (unsigned i = 0; i < s->count; i++) {
        for (unsigned d = 1; d < s->count; d++) {
            unsigned apart = MIN(d, s->count - d);
            if (s->count > 3 && apart > reach) {
                sim_cut(&s->c->sim, s->ids[i], s->ids[(i + d) % s->count], true);
            }
        }
        if (s->count == 3) {
            sim_cut(&s->c->sim, s->ids[i], s->ids[(i + 1) % s->count], true);
        }
    }
}

/* Two groups, and one who sees both. */
static void bridge(struct split *s)
{
    for (unsigned i = 1; s->count > 2 && i <= s->count / 2; i++) {
        for (unsigned j = s->count / 2 + 1; j < s->count; j++) {
            cut_both(s->c, s->ids[i], s->ids[j]);
        }
    }
}

static void alone(struct split *s)
{
    sim_isolate(&s->c->sim, s->ids[0], true);
}

static void leader_alone(struct split *s)
{
    struct life *leader = masters_leader(s->c);
    if (leader != NULL) {
        sim_isolate(&s->c->sim, leader->id, true); /* but not from clients and agents */
    }
}

/* A leader that its own hear, and that hears nobody; or the other way round. */
static void leader_deaf(struct split *s)
{
    struct life *leader = masters_leader(s->c);
    bool deaf = cluster_chance(s->c, 2);
    for (unsigned i = 0; leader != NULL && i < s->count; i++) {
        sim_cut(&s->c->sim, deaf ? s->ids[i] : leader->id, deaf ? leader->id : s->ids[i], s->ids[i] != leader->id);
    }
}

static void link_down(struct split *s)
{
    if (s->count > 1) {
        cut_both(s->c, s->ids[0], s->ids[1]);
    }
}

static void link_slow(struct split *s)
{
    unsigned ms = (unsigned)cluster_between(s->c, 50, 3000);
    if (s->count > 1) {
        s->c->sim.slow_ms[s->ids[0]][s->ids[1]] = ms;
        s->c->sim.slow_ms[s->ids[1]][s->ids[0]] = cluster_chance(s->c, 2) ? ms : 0;
    }
}

static void shut(struct split *s, enum door door, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        s->c->shut[door][s->ids[i]] = true;
    }
}

static void agents_alone(struct split *s)
{
    shut(s, DOOR_AGENTS, s->count);
}

static void clients_alone(struct split *s)
{
    shut(s, DOOR_CLIENTS, s->count);
}

/* Whoever leads may be out of their sight, or the only one they see. */
static void doors(struct split *s)
{
    shut(s, DOOR_AGENTS, (unsigned)rng_below(&s->c->rng, s->count + 1));
    shut(s, DOOR_CLIENTS, (unsigned)rng_below(&s->c->rng, s->count + 1));
}

static void whole(struct split *s)
{
    (void)s;
}

static const struct {
    const char *name;
    void (*run)(struct split *s);
} splits[] = {
    {"in two groups", halves},
    {"in two groups, one way", one_way},
    {"as a ring", ring},
    {"with a bridge", bridge},
    {"one master alone", alone},
    {"the leader alone", leader_alone},
    {"the leader deaf or mute", leader_deaf},
    {"one link down", link_down},
    {"one link slow", link_slow},
    {"all agents alone", agents_alone},
    {"all clients alone", clients_alone},
    {"agents and clients from some", doors},
    {"not at all", whole},
    {"not at all", whole},
    {"not at all", whole},
    {"not at all", whole},
};

void partition_heal(struct cluster *c)
{
    sim_whole(&c->sim);
    memset(c->shut, 0, sizeof c->shut);
}

/* Any order is as likely. */
static struct split draw_order(struct cluster *c)
{
    struct split s = {.c = c};
    s.count = masters_running(c, s.ids);
    for (unsigned i = s.count; i > 1; i--) {
        unsigned j = (unsigned)rng_below(&c->rng, i);
        uint64_t id = s.ids[i - 1];
        s.ids[i - 1] = s.ids[j];
        s.ids[j] = id;
    }
    return s;
}

uint64_t partition_minority(struct cluster *c, uint64_t not_these)
{
    struct split s = draw_order(c);
    uint64_t cut = 0;
    partition_heal(c);
    for (unsigned i = 0; i < s.count && (unsigned)__builtin_popcountll(cut) < (s.count - 1) / 2; i++) {
        if ((not_these >> s.ids[i] & 1) == 0) {
            cut |= UINT64_C(1) << s.ids[i];
        }
    }
    for (unsigned i = 0; i < s.count; i++) {
        for (unsigned j = 0; j < s.count; j++) {
            if ((cut >> s.ids[i] & 1) != 0 && (cut >> s.ids[j] & 1) == 0) {
                cut_both(c, s.ids[i], s.ids[j]);
            }
        }
    }
    return cut;
}

void partition_strike(struct cluster *c)
{
    struct split s = draw_order(c);
    unsigned row = (unsigned)rng_below(&c->rng, ARRAY_SIZE(splits));
    partition_heal(c);
    splits[row].run(&s);
    cluster_trace(c, "the network is split %s", splits[row].name);
}
