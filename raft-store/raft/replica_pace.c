/* The node's patience: what pace.h keeps, brought to libraft and to the other masters.
 *
 * libraft draws each election timeout from between one and two times what it was set to. The second half serves to part
 * candidates, for which a few hundred ms are enough whatever the first half is; so what it drew is cut to [timeout,
 * timeout + floor].
 *
 * What is told travels in fields that libraft 0.22.1 sends and nobody reads, with 0 for "no word" as an earlier Reeve
 * has it:
 *   AppendEntries.version           1 + pace_units(pace_all)    from the leader
 *   AppendEntriesResult.capacity    1 + pace_units(pace_own)    to the leader (0: the disk is low, see
 *                                   raft/replica_io.c)
 *
 * A leader whose process has ended is not waited for. libraft has no call for that. So its election timer is set to the
 * near future, and a member that is asked for a vote before that lets go of the leader first. Members stand for
 * election one after another, by their rank among the members. */
#include "raft-store/raft/replica_int.h"

#define RANK_HEARTBEATS 2 /* between the candidacies of two members for a leader that has ended */

unsigned replica_election_ms(const struct replica *n)
{
    return pace_timeout(&n->pace, replica_now(n));
}

raft_time replica_pace_time(const struct replica *n)
{
    return (raft_time)pace_time(&n->pace, replica_now(n));
}

void replica_attend(struct replica *n)
{
    pace_attend(&n->pace, replica_now(n));
}

bool replica_leader_ended(const struct replica *n)
{
    const struct replica_peers *peers = &n->config.peers;
    raft_id leader = n->raft.state == RAFT_FOLLOWER ? n->raft.follower_state.current_leader.id : 0;
    return leader != 0 && peers->ended != NULL && peers->ended(peers->data, leader);
}

bool replica_leader_silent(const struct replica *n)
{
    return replica_leader_ended(n) || replica_pace_time(n) - n->raft.election_timer_start >= replica_election_ms(n);
}

/* ---- What is told ---- */

void replica_pace_send(const struct replica *n, struct raft_message *m)
{
    if (!pace_adapts(&n->pace)) {
        return;
    }
    if (m->type == RAFT_APPEND_ENTRIES) {
        m->append_entries.version = (unsigned char)(1 + pace_units(pace_all(&n->pace, replica_now(n))));
    } else if (m->type == RAFT_APPEND_ENTRIES_RESULT && m->append_entries_result.capacity > 0) {
        m->append_entries_result.capacity = (unsigned short)(1 + pace_units(pace_own(&n->pace, replica_now(n))));
    }
}

static void recv_append(struct replica *n, struct raft_message *m)
{
    struct raft_append_entries *a = &m->append_entries;
    if (a->term == n->raft.current_term && a->version > 0) {
        pace_told(&n->pace, a->version - 1u, replica_now(n));
    }
    a->version = 0;
    if (n->raft.state == RAFT_FOLLOWER && n->raft.follower_state.current_leader.id == m->server_id &&
        a->term == n->raft.current_term) {
        int64_t silent_ms = (int64_t)(replica_pace_time(n) - n->raft.election_timer_start);
        if (silent_ms > 2 * (int64_t)n->config.heartbeat_ms) {
            pace_observe(&n->pace, silent_ms, replica_now(n));
        }
    }
}

void replica_pace_recv(struct replica *n, struct raft_message *m)
{
    if (!pace_adapts(&n->pace)) {
        return;
    }
    if (m->type == RAFT_APPEND_ENTRIES) {
        recv_append(n, m);
    } else if (m->type == RAFT_APPEND_ENTRIES_RESULT && m->append_entries_result.capacity > 1) {
        pace_heard(&n->pace, m->server_id, m->append_entries_result.capacity - 1u, replica_now(n));
    }
}

/* ---- libraft's timer ---- */

/* Our place among those who may follow the leader that has ended. */
static unsigned rank(const struct replica *n, uint64_t leader)
{
    unsigned before = 0;
    for (unsigned i = 0; i < n->raft.configuration.n; i++) {
        const struct raft_server *s = &n->raft.configuration.servers[i];
        before += s->role == RAFT_VOTER && s->id < n->config.id && s->id != leader;
    }
    return before;
}

static void cut(struct replica *n, unsigned *drawn, unsigned base_ms)
{
    unsigned spread = n->pace.config.floor_ms;
    if (*drawn < base_ms || *drawn > base_ms + spread) {
        struct raft_io *io = n->config.io;
        *drawn = base_ms + (unsigned)io->random(io, 0, (int)spread);
    }
}

void replica_pace_turn(struct replica *n)
{
    if (!pace_adapts(&n->pace)) {
        return;
    }
    struct raft *r = &n->raft;
    unsigned timeout_ms = replica_election_ms(n);
    r->election_timeout = timeout_ms; /* its setter would draw anew */
    if (r->state == RAFT_CANDIDATE) {
        cut(n, &r->candidate_state.randomized_election_timeout, MAX(n->pace.config.floor_ms, timeout_ms / 2));
    }
    bool ended = r->state == RAFT_FOLLOWER && replica_leader_ended(n);
    if (!ended) {
        n->succeeding = 0;
    }
    if (ended && n->succeeding != r->current_term) {
        n->succeeding = r->current_term;
        raft_id leader = r->follower_state.current_leader.id;
        r->follower_state.randomized_election_timeout =
            (unsigned)MIN(replica_pace_time(n) - r->election_timer_start +
                              (raft_time)rank(n, leader) * RANK_HEARTBEATS * n->config.heartbeat_ms,
                          r->follower_state.randomized_election_timeout);
        log_info(n->config.log, "node", "master %llu, which led, has ended", (unsigned long long)leader);
    } else if (r->state == RAFT_FOLLOWER && !ended) {
        cut(n, &r->follower_state.randomized_election_timeout, timeout_ms);
    }
}
