/* What masters promise one another and their clients, looked at where it is given: a broken promise is noticed even if
 * nothing comes of it this time. (What would come of it takes a crash or an election at just the wrong moment.)
 *
 *  1. A vote that is granted is on the voter's disk; entries that are acknowledged are on the follower's (Raft, figure
 *     2: "updated on stable storage before responding").
 *  2. A leader moves its commit index to entries of its own term only (Raft 5.4.2), unless it is the only voter.
 *  3. Who takes part has what it promised in former lives, too: it votes for one in a term, and its disk does not end
 *     before an entry that it knew to be committed and had. (A disk that lost something is out, and its id with it:
 *     members.c.)
 *  4. A leader that answers had no successor when it was asked (Raft dissertation 6.4: reads, and all that is not
 *     written but answered).
 *
 * So that a leader that was replaced is asked while it still believes in itself, every leader is asked now and then;
 * and, since then it would rightly get no answer from the others, the network is healed in just that moment, half of
 * the time. */
#include <stdlib.h>

#include "tests/sim/cluster.h"

#define PROBE_MS 20
#define USURP_IN 100 /* probes */

/* ---- Votes, entries, commit ---- */

/* The last entry that a power cut would leave. */
static raft_index durable_index(const struct sim_disk *d)
{
    return MAX(d->start + d->count - 1, d->has_snapshot ? d->snapshot_index : 0);
}

static void judge_disk(struct cluster *c, uint64_t id, const struct sim_disk *d)
{
    if (durable_index(d) < c->given[id].committed) {
        cluster_violate(c,
                        "master %llu takes part with a disk that ends at entry %llu, but it had entry %llu, which is "
                        "committed",
                        (unsigned long long)id, (unsigned long long)durable_index(d),
                        (unsigned long long)c->given[id].committed);
    }
}

static void judge_vote(struct cluster *c, uint64_t id, uint64_t term, uint64_t candidate)
{
    if (c->given[id].vote_term == term && c->given[id].vote != candidate) {
        cluster_violate(c, "master %llu votes for masters %llu and %llu in term %llu", (unsigned long long)id,
                        (unsigned long long)c->given[id].vote, (unsigned long long)candidate, (unsigned long long)term);
    }
    c->given[id].vote_term = term;
    c->given[id].vote = candidate;
}

void promises_sent(void *data, uint64_t id, const struct raft_message *m)
{
    struct cluster *c = data;
    const struct sim_disk *d = &c->sim.disks[id];
    judge_disk(c, id, d);
    if (m->type == RAFT_REQUEST_VOTE_RESULT) {
        const struct raft_request_vote_result *r = &m->request_vote_result;
        if (r->vote_granted && !r->pre_vote && (d->term != r->term || d->vote != m->server_id)) {
            cluster_violate(c,
                            "master %llu votes for master %llu in term %llu, but its disk has master %llu in term %llu",
                            (unsigned long long)id, (unsigned long long)m->server_id, (unsigned long long)r->term,
                            (unsigned long long)d->vote, (unsigned long long)d->term);
        }
        if (r->vote_granted && !r->pre_vote) {
            judge_vote(c, id, r->term, m->server_id);
        }
    } else if (m->type == RAFT_APPEND_ENTRIES_RESULT) {
        const struct raft_append_entries_result *r = &m->append_entries_result;
        if (r->rejected == 0 && r->last_log_index > durable_index(d)) {
            cluster_violate(c, "master %llu acknowledges log entry %llu, but its disk ends at %llu",
                            (unsigned long long)id, (unsigned long long)r->last_log_index,
                            (unsigned long long)durable_index(d));
        }
    }
}

/* 0: not on the disk. */
static raft_term term_on_disk(const struct sim_disk *d, raft_index index)
{
    return index >= d->start && index < d->start + d->count ? d->entries[index - d->start].term : 0;
}

/* Then what is on its disk is on all disks that count. */
static bool votes_alone(const struct life *life)
{
    struct replica_member members[SIM_SERVERS_MAX];
    unsigned count = replica_members(life->replica, members, SIM_SERVERS_MAX), voters = 0;
    for (unsigned i = 0; i < count; i++) {
        voters += members[i].role == RAFT_VOTER;
    }
    return voters == 1;
}

void promises_turn(struct life *life)
{
    struct cluster *c = life->c;
    struct replica_stats stats;
    replica_stats(life->replica, &stats);
    uint64_t term = replica_current_term(life->replica);
    raft_term of_entry = term_on_disk(&c->sim.disks[life->id], stats.commit_index);
    bool leads = term != 0 && replica_leader(life->replica, NULL) == life->id;
    if (leads && stats.commit_index > life->commit_index && of_entry != 0 && of_entry != term && !votes_alone(life)) {
        cluster_violate(c, "master %llu, leader of term %llu, takes entry %llu of term %llu for committed",
                        (unsigned long long)life->id, (unsigned long long)term, (unsigned long long)stats.commit_index,
                        (unsigned long long)of_entry);
    }
    life->commit_index = stats.commit_index;
    if (list_empty(&c->sim.ios[life->id]->ops)) { /* else what ends its disk may be about to be truncated */
        uint64_t had = MIN(stats.commit_index, durable_index(&c->sim.disks[life->id]));
        c->given[life->id].committed = MAX(c->given[life->id].committed, had);
    }
}

/* ---- Answers ---- */

struct promise promise_asked(const struct life *life)
{
    const struct cluster *c = life->c;
    return (struct promise){life->id, replica_current_term(life->replica), c->terms == 0 ? 0 : c->terms - 1};
}

void promise_answered(struct cluster *c, int64_t op, const struct promise *p)
{
    if (p->led > p->term) {
        cluster_violate(c,
                        "operation %lld was answered by master %llu in term %llu, but term %llu had a leader before it "
                        "was asked",
                        (long long)op, (unsigned long long)p->master, (unsigned long long)p->term,
                        (unsigned long long)p->led);
    }
}

struct probe {
    struct cluster *c;
    struct promise promise;
};

static void probe_answered(const struct error *error, void *data)
{
    struct probe *p = data;
    if (error == NULL) {
        promise_answered(p->c, -1, &p->promise);
    }
    free(p);
}

static void nothing(void *arg)
{
    (void)arg;
}

static void heal(void *arg)
{
    partition_heal(arg);
}

/* Cut off the leader, so that another comes. In seeds with uneven patience it believes in itself for a while still. */
static void usurp(struct cluster *c)
{
    struct life *leader = masters_leader(c);
    if (cluster_uneven(c) && leader != NULL && leader->id == 1 && cluster_chance(c, USURP_IN)) {
        cluster_trace(c, "master %llu is cut off until another leads", (unsigned long long)leader->id);
        sim_isolate(&c->sim, leader->id, true);
        sim_after(&c->sim, 6 * c->swarm.election_ms, heal, nothing, c);
    }
}

/* What the others said before is still on its way: it gets the time to arrive. */
static bool hears_old_answers(struct cluster *c)
{
    return c->swarm.flight_spared && rng_below(&c->more, 30) != 0;
}

static void probe_all(void *arg)
{
    struct cluster *c = arg;
    if (c->phase != PHASE_LOAD) {
        return;
    }
    for (uint64_t id = 1; id <= c->ids; id++) {
        struct life *life = c->machines[id].life;
        if (life != NULL && !c->sim.paused[id] && replica_leading(life->replica)) {
            if (replica_current_term(life->replica) + 1 < c->terms && cluster_chance(c, 2) && !hears_old_answers(c)) {
                cluster_trace(c, "master %llu hears the others again before it knows that it was replaced",
                              (unsigned long long)id);
                partition_heal(c);
            }
            struct probe *p = xmalloc(sizeof *p);
            *p = (struct probe){c, promise_asked(life)};
            replica_read(life->replica, probe_answered, p);
            masters_touch(c, id);
        }
    }
    usurp(c);
    sim_after(&c->sim, cluster_between(c, PROBE_MS / 2, 2 * PROBE_MS), probe_all, nothing, c);
}

void promises_probe(struct cluster *c)
{
    sim_after(&c->sim, PROBE_MS, probe_all, nothing, c);
}
