/* The operator, who adds, removes and replaces masters while all goes on, one job after another, as with `rctl master`.
 * A job is asked for until it is answered as done.
 *
 * A disk that was wiped or damaged is out for good: who ran on it never runs again under its id, since a voter that
 * forgets what it acknowledged breaks Raft. Its id is removed, and a new one joins on an empty disk; which of the
 * two first is drawn. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/cluster.h"

#define LINGER_MS_MAX 5000 /* a removed master is told late */

/* ---- Who is there ---- */

struct census {
    unsigned members, voters, lost; /* lost: voters whose disk is gone or rotten */
    bool known;                     /* and committed */
};

static bool is_lost(const struct cluster *c, uint64_t id)
{
    return c->machines[id].seat != SEAT_RUN || c->sim.disks[id].damage != NULL || c->sim.disks[id].rotten ||
           sim_saw_rot(&c->sim, id);
}

static struct census census_of(struct cluster *c)
{
    struct census census = {0};
    struct life *leader = masters_leader(c);
    struct replica_member members[SIM_SERVERS_MAX];
    census.members = leader == NULL ? 0 : replica_members(leader->replica, members, SIM_SERVERS_MAX);
    if (leader != NULL) {
        struct replica_stats stats;
        replica_stats(leader->replica, &stats);
        census.known = !stats.members_open; /* a change may yet be undone: by the loss of this very disk */
    }
    for (unsigned i = 0; i < census.members; i++) {
        bool voter = members[i].role == RAFT_VOTER;
        census.voters += voter;
        census.lost += voter && is_lost(c, members[i].id);
    }
    return census;
}

static bool is_voter(struct cluster *c, uint64_t id)
{
    struct life *leader = masters_leader(c);
    struct replica_member members[SIM_SERVERS_MAX];
    unsigned count = leader == NULL ? 0 : replica_members(leader->replica, members, SIM_SERVERS_MAX);
    for (unsigned i = 0; i < count; i++) {
        if (members[i].id == id) {
            return members[i].role == RAFT_VOTER;
        }
    }
    return false;
}

static bool room_for(const struct cluster *c, unsigned newcomers)
{
    return c->ids + newcomers < SIM_SERVERS_MAX && c->operator.count + 2 <= JOBS_MAX;
}

bool members_may_change(struct cluster *c)
{
    struct census census = census_of(c);
    return c->operator.count == 0 && room_for(c, 1) && census.known && census.lost == 0 &&
           census.members == census.voters;
}

bool members_may_lose(struct cluster *c, uint64_t id)
{
    struct census census = census_of(c);
    for (unsigned i = 0; i < c->operator.count; i++) {
        if (!c->operator.jobs[i].repair) {
            return false;
        }
    }
    return room_for(c, 1) && census.known && is_voter(c, id) && !is_lost(c, id) &&
           census.lost + 1 <= (census.voters - 1) / 2;
}

/* ---- Jobs ---- */

static void job_push(struct cluster *c, enum job_kind kind, uint64_t id, bool repair)
{
    assert(c->operator.count<JOBS_MAX);
    c->operator.jobs[c->operator.count++] =(struct job){kind, id, repair};
}

static void job_pop(struct cluster *c)
{
    assert(c->operator.count> 0);
    c->operator.count--;
    c->operator.done++;
    for (unsigned i = 0; i < c->operator.count; i++) {
        c->operator.jobs[i] = c->operator.jobs[i + 1];
    }
}

static void add(struct cluster *c, bool repair)
{
    assert(c->ids + 1 < SIM_SERVERS_MAX);
    uint64_t id = ++c->ids;
    c->machines[id].skew_ms = cluster_chance(c, 2) ? 0 : cluster_between(c, -3000, 3000);
    master_start(c, id, false);
    job_push(c, JOB_ADD, id, repair);
}

void members_add(struct cluster *c)
{
    add(c, false);
}

void members_remove(struct cluster *c, uint64_t id)
{
    job_push(c, JOB_REMOVE, id, false);
}

void members_replace(struct cluster *c, uint64_t id)
{
    struct machine *m = &c->machines[id];
    if (m->seat != SEAT_RUN) {
        return; /* on its way out already */
    }
    assert(m->life == NULL);
    cluster_trace(c, "the disk of master %llu is lost: it will be replaced", (unsigned long long)id);
    m->seat = SEAT_BROKEN;
    bool add_first = cluster_chance(c, 2);
    if (add_first) {
        add(c, true);
    }
    job_push(c, JOB_REMOVE, id, true);
    if (!add_first) {
        add(c, true);
    }
}

/* ---- Doing them ---- */

static void removed(struct cluster *c, uint64_t id)
{
    struct machine *m = &c->machines[id];
    m->removed = true;
    if (m->seat == SEAT_RUN) {
        m->seat = SEAT_GONE;
        m->end_ms = c->sim.now_ms + cluster_between(c, 0, LINGER_MS_MAX);
    }
}

static void answered(const struct error *error, void *data)
{
    struct cluster *c = data;
    assert(c->operator.asked && c->operator.count> 0);
    const struct job job = c->operator.jobs[0];
    bool gone = job.kind == JOB_REMOVE && error != NULL && error->code == ERR_NOT_FOUND;
    c->operator.asked = false;
    cluster_trace(c, "member %llu %s: %s", (unsigned long long)job.id, job.kind == JOB_ADD ? "added" : "removed",
                  error == NULL ? "yes" : error->message);
    if (error == NULL || gone) {
        if (job.kind == JOB_REMOVE) {
            removed(c, job.id);
        }
        job_pop(c);
    }
}

static void transferred(const struct error *error, void *data)
{
    (void)error;
    ((struct cluster *)data)->operator.asked = false;
}

/* The operator looks first: whoever is left must be able to go on. */
static bool may_remove(struct cluster *c, uint64_t id)
{
    struct census census = census_of(c);
    bool voter = is_voter(c, id);
    unsigned voters = census.voters - voter, lost = census.lost - (voter && is_lost(c, id));
    return census.known && voters > 0 && lost <= (voters - 1) / 2;
}

static void job_ask(struct cluster *c, struct life *leader, const struct job *job)
{
    char address[32];
    if (job->kind == JOB_ADD) {
        snprintf(address, sizeof address, "sim:%llu", (unsigned long long)job->id);
        c->operator.asked = true;
        replica_member_add(leader->replica, job->id, address, answered, c);
    } else if (!may_remove(c, job->id)) {
        return;
    } else if (leader->id == job->id) {
        c->operator.asked = true;
        replica_transfer(leader->replica, 0, transferred, c);
    } else {
        c->operator.asked = true;
        replica_member_remove(leader->replica, job->id, answered, c);
    }
    masters_touch(c, leader->id);
}

/* Who was removed is no member any more for whoever leads from then on. */
static void judge_members(struct cluster *c, struct life *leader)
{
    struct replica_member members[SIM_SERVERS_MAX];
    unsigned count = replica_members(leader->replica, members, SIM_SERVERS_MAX);
    for (unsigned i = 0; i < count; i++) {
        if (members[i].id > c->ids || c->machines[members[i].id].removed) {
            cluster_violate(c, "master %llu, which leads in term %llu, has member %llu, which %s",
                            (unsigned long long)leader->id, (unsigned long long)replica_term(leader->replica),
                            (unsigned long long)members[i].id,
                            members[i].id > c->ids ? "was never added" : "was removed");
        }
    }
}

void members_tick(struct cluster *c)
{
    struct life *leader = masters_leader(c);
    if (leader != NULL) {
        judge_members(c, leader);
    }
    if (c->operator.count> 0 && !c->operator.asked && leader != NULL && !c->sim.paused[leader->id]) {
        job_ask(c, leader, &c->operator.jobs[0]);
    }
    for (uint64_t id = 1; id <= c->ids; id++) {
        struct machine *m = &c->machines[id];
        if (m->seat == SEAT_GONE && m->life != NULL && c->sim.now_ms >= m->end_ms) {
            master_stop(c, id);
        }
    }
}

bool members_settled(struct cluster *c, char why[256])
{
    struct life *leader = masters_leader(c);
    struct replica_member members[SIM_SERVERS_MAX];
    uint64_t ids[SIM_SERVERS_MAX];
    unsigned running = masters_running(c, ids);
    if (c->operator.count> 0) {
        snprintf(why, 256, "master %llu is not %s yet", (unsigned long long)c->operator.jobs[0].id,
                 c->operator.jobs[0].kind == JOB_ADD ? "added" : "removed");
        return false;
    }
    unsigned count = leader == NULL ? 0 : replica_members(leader->replica, members, SIM_SERVERS_MAX), voters = 0;
    for (unsigned i = 0; i < count; i++) {
        voters += members[i].role == RAFT_VOTER && c->machines[members[i].id].seat == SEAT_RUN;
    }
    if (count != running || voters != running) {
        snprintf(why, 256, "%u masters run; of %u members %u of them have the vote", running, count, voters);
    }
    return count == running && voters == running;
}
