/* Networks that stay split: as long as some master is heard by a majority that it hears, writes go on, however odd the
 * rest is. Each split is a row; `leads` led when it began. Masters 1 to 5, votes all. */
#include "tests/unit/raft-store_cluster.h"

#define COUNT   5u
#define HOLD_MS 15000
#define SEEDS   2u

static void cut_both(struct cluster *c, uint64_t a, uint64_t b)
{
    sim_cut(&c->sim, a, b, true);
    sim_cut(&c->sim, b, a, true);
}

/* The i-th master after the leader, in a circle. */
static uint64_t after(uint64_t leads, unsigned i)
{
    return (leads - 1 + i) % COUNT + 1;
}

static void leader_in_minority(struct cluster *c, uint64_t leads)
{
    for (unsigned i = 2; i < COUNT; i++) {
        cut_both(c, leads, after(leads, i));
        cut_both(c, after(leads, 1), after(leads, i));
    }
}

static void leader_mute(struct cluster *c, uint64_t leads)
{
    for (unsigned i = 1; i < COUNT; i++) {
        sim_cut(&c->sim, leads, after(leads, i), true);
    }
}

/* It still tells everybody that it leads, but hears no answer. */
static void leader_deaf(struct cluster *c, uint64_t leads)
{
    for (unsigned i = 1; i < COUNT; i++) {
        sim_cut(&c->sim, after(leads, i), leads, true);
    }
}

static void leader_heard_by_one(struct cluster *c, uint64_t leads)
{
    for (unsigned i = 2; i < COUNT; i++) {
        cut_both(c, leads, after(leads, i));
    }
}

/* Two who miss the leader but see those who follow it. */
static void two_miss_the_leader(struct cluster *c, uint64_t leads)
{
    cut_both(c, leads, after(leads, 1));
    cut_both(c, leads, after(leads, 2));
}

static void one_hears_nobody_but_is_heard(struct cluster *c, uint64_t leads)
{
    for (unsigned i = 0; i < COUNT; i++) {
        if (i != 1) {
            sim_cut(&c->sim, after(leads, i), after(leads, 1), true);
        }
    }
}

static void ring(struct cluster *c, uint64_t leads)
{
    for (unsigned i = 0; i < COUNT; i++) {
        cut_both(c, after(leads, i), after(leads, i + 2));
    }
}

/* Two and two, and the bridge sees all; the leader is on one side. */
static void bridge(struct cluster *c, uint64_t leads)
{
    const unsigned left[] = {0, 1}, right[] = {3, 4};
    for (unsigned i = 0; i < 2; i++) {
        for (unsigned j = 0; j < 2; j++) {
            cut_both(c, after(leads, left[i]), after(leads, right[j]));
        }
    }
}

static const struct {
    const char *name;
    void (*cut)(struct cluster *c, uint64_t leads);
} splits[] = {
    {"leader in the minority", leader_in_minority},
    {"leader mute", leader_mute},
    {"leader deaf", leader_deaf},
    {"leader heard by one", leader_heard_by_one},
    {"two miss the leader", two_miss_the_leader},
    {"one hears nobody but is heard", one_hears_nobody_but_is_heard},
    {"ring", ring},
    {"bridge", bridge},
};

/* A client that asks whoever leads as far as it can tell, one write after another; how many were acknowledged within
 * ms. */
static unsigned writes_within(struct cluster *c, int64_t ms, unsigned *next)
{
    unsigned done = 0;
    int64_t until = c->sim.now_ms + ms;
    struct write w = {.answered = true, .code = -1};
    while (c->sim.now_ms < until) {
        struct member *m = leader(c);
        if (w.answered && m != NULL) {
            done += w.code == 0;
            submit(m, numbered((*next)++), NULL, &w);
        }
        step(c);
    }
    while (!w.answered) {
        step(c); /* a write's answer needs its place until it has come */
    }
    return done;
}

static void writes_go_on_while_the_network_stays_split(void **state)
{
    (void)state;
    for (unsigned s = 0; s < ARRAY_SIZE(splits); s++) {
        for (unsigned seed = 1; seed <= SEEDS; seed++) {
            struct cluster c;
            unsigned next = 1;
            cluster_start(&c, COUNT, 100 * s + seed);
            assert_true(writes_within(&c, 1000, &next) > 0);
            splits[s].cut(&c, await_leader(&c)->id);
            writes_within(&c, HOLD_MS / 3, &next); /* time for another to be elected */
            for (unsigned third = 1; third < 3; third++) {
                unsigned done = writes_within(&c, HOLD_MS / 3, &next);
                if (done < 20) {
                    fail_msg("%s, seed %u: %u writes in %d ms", splits[s].name, seed, done, HOLD_MS / 3);
                }
            }
            sim_whole(&c.sim);
            run_for(&c, 5000);
            assert_true(writes_within(&c, 1000, &next) > 0);
            run_for(&c, 2000);
            assert_all_equal(&c);
            cluster_close(&c);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_go_on_while_the_network_stays_split),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
