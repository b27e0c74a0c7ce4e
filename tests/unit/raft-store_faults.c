/* Random faults under load, from seeds: crashes with a part of the unsynced writes, splits, lost and overtaking
 * messages, processes that stand still. Every write has an id; one that is unknown is repeated until it is known. Reads
 * are linearizable: none misses a write that was acknowledged before it was asked for. In the end all acknowledged
 * writes are there, once, and all masters are equal.
 *
 * SEEDS=n runs seeds 1 to n, FIRST=n begins with n: a failing seed is printed. */
#include "tests/unit/raft-store_cluster.h"

#define WRITES 150
#define READS  150
#define ROUNDS 1500

struct run {
    struct cluster c;
    struct rng r;
    uint64_t seed;
    struct write writes[WRITES];
    bool acked[WRITES], open[WRITES];
    unsigned next; /* writes begun */
    struct read reads[READS];
    unsigned must_have[READS];
    struct member *reader[READS]; /* NULL: has crashed since */
    unsigned reads_made, reads_checked;
};

static void run_open(struct run *run, uint64_t seed)
{
    memset(run, 0, sizeof *run);
    run->seed = seed;
    run->r.state = seed * 977;
    struct cluster *c = &run->c;
    cluster_init(c, 3, seed);
    c->snapshot_entries = seed % 3 == 0 ? 5 + seed % 20 : 1000;
    c->async_snapshots = seed % 2 == 0;
    c->sim.drop_permille = seed % 4 == 0 ? 50 : 0;
    c->sim.net_max_ms = seed % 5 == 0 ? 40 : 3;
    c->sim.disk_max_ms = seed % 7 == 0 ? 40 : 3;
    cluster_boot(c);
}

/* Somebody who thinks that it leads: also one that has been deposed and does not know. */
static struct member *some_leader(struct run *run)
{
    struct member *l = leader(&run->c);
    for (uint64_t id = 1; id <= 3; id++) {
        struct member *m = &run->c.members[id];
        if (m->replica != NULL && !run->c.sim.paused[id] && replica_leading(m->replica) && rng_below(&run->r, 2) == 0) {
            l = m;
        }
    }
    return l;
}

static void ask(struct run *run)
{
    struct member *l = some_leader(run);
    unsigned i = run->next < WRITES && rng_below(&run->r, 4) == 0
                     ? run->next
                     : (unsigned)rng_below(&run->r, MIN(run->next + 1, WRITES));
    if (l == NULL) {
        return;
    }
    if (!run->acked[i] && !run->open[i]) {
        uint8_t id[TXN_ID_SIZE] = {(uint8_t)i, (uint8_t)(i >> 8), 1, (uint8_t)run->seed};
        submit(l, numbered(i), id, &run->writes[i]);
        run->open[i] = true;
        run->next += i == run->next;
    }
    if (run->reads_made < READS && rng_below(&run->r, 8) == 0) {
        for (unsigned k = 0; k < WRITES; k++) {
            run->must_have[run->reads_made] += run->acked[k];
        }
        run->reader[run->reads_made] = l;
        replica_read(l->replica, on_read, &run->reads[run->reads_made++]);
    }
}

static void hear(struct run *run)
{
    for (; run->reads_checked < run->reads_made && run->reads[run->reads_checked].answered; run->reads_checked++) {
        unsigned k = run->reads_checked;
        if (run->reads[k].code == 0 && run->reader[k] != NULL) {
            uint64_t there = view_count(store_committed(replica_store(run->reader[k]->replica)), NULL);
            if (there < run->must_have[k]) {
                fail_msg("seed %u: a read saw %u of %u acknowledged writes", (unsigned)run->seed, (unsigned)there,
                         run->must_have[k]);
            }
        }
    }
    for (unsigned k = 0; k < run->next; k++) {
        const struct write *w = &run->writes[k];
        if (run->open[k] && w->answered) {
            run->open[k] = false;
            run->acked[k] = w->code == 0;
            assert_true(w->code == 0 || w->code == ERR_UNKNOWN_OUTCOME || w->code == ERR_NOT_LEADER ||
                        w->code == ERR_NO_QUORUM || w->code == ERR_CLOSED);
        }
    }
}

static void crash(struct run *run, uint64_t id)
{
    sim_pause(&run->c.sim, id, false);
    member_down(&run->c, id, true);
    for (unsigned k = 0; k < run->reads_made; k++) {
        run->reader[k] = run->reader[k] == &run->c.members[id] ? NULL : run->reader[k];
    }
}

static void disturb(struct run *run)
{
    struct cluster *c = &run->c;
    uint64_t victim = 1 + rng_below(&run->r, 3);
    unsigned dice = (unsigned)rng_below(&run->r, 100), down = 0;
    bool up = c->members[victim].replica != NULL;
    for (uint64_t id = 1; id <= 3; id++) {
        down += c->members[id].replica == NULL;
    }
    if (dice == 0 && down == 0) {
        crash(run, victim);
    } else if (dice < 6 && !up) {
        member_start(c, victim);
    } else if (dice == 7) {
        sim_isolate(&c->sim, victim, true);
    } else if (dice < 14) {
        sim_isolate(&c->sim, victim, false);
    } else if (dice == 14 && up) {
        sim_pause(&c->sim, victim, true);
    } else if (dice < 20) {
        sim_pause(&c->sim, victim, false);
    }
}

static void check_fatal(struct run *run)
{
    for (uint64_t id = 1; id <= 3; id++) {
        if (run->c.members[id].fatal) {
            fail_msg("seed %u: master %u: %s", (unsigned)run->seed, (unsigned)id,
                     run->c.members[id].fatal_error.message);
        }
    }
}

static void heal_and_check(struct run *run)
{
    struct cluster *c = &run->c;
    c->sim.drop_permille = 0;
    for (uint64_t id = 1; id <= 3; id++) {
        sim_isolate(&c->sim, id, false);
        sim_pause(&c->sim, id, false);
        if (c->members[id].replica == NULL) {
            member_start(c, id);
        }
    }
    run_for(c, 10000);
    unsigned count = 0;
    for (unsigned k = 0; k < run->next; k++) {
        if (run->open[k]) {
            await_write(c, &run->writes[k]);
            run->acked[k] = run->writes[k].code == 0;
        }
    }
    run_for(c, 1000);
    check_fatal(run);
    assert_all_equal(c);
    for (unsigned k = 0; k < run->next; k++) {
        if (run->acked[k] && !has(leader(c), k)) {
            fail_msg("seed %u: write %u was acknowledged and is not there", (unsigned)run->seed, k);
        }
        count += run->acked[k];
    }
    assert_true(count > 20);
}

static uint64_t number_from(const char *name, uint64_t fallback)
{
    const char *text = getenv(name);
    return text == NULL ? fallback : strtoull(text, NULL, 10);
}

static void nothing_acknowledged_is_lost_whatever_happens(void **state)
{
    (void)state;
    struct run *run = xmalloc(sizeof *run);
    uint64_t last = number_from("SEEDS", 40);
    for (uint64_t seed = number_from("FIRST", 1); seed <= last; seed++) {
        run_open(run, seed);
        for (unsigned round = 0; round < ROUNDS; round++) {
            ask(run);
            for (unsigned s = 1 + (unsigned)rng_below(&run->r, 6); s > 0; s--) {
                step(&run->c);
                hear(run);
            }
            disturb(run);
            check_fatal(run);
        }
        heal_and_check(run);
        cluster_close(&run->c);
    }
    free(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_acknowledged_is_lost_whatever_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
