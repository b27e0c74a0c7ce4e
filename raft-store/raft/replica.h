/* The raft shell around the store: libraft's node, proposals, reads, leadership, snapshots. Free of libuv: it is driven
 * through a `struct raft_io` (raft_uv with our transport in the daemon, simulated in tests) and by replica_turn() at
 * the end of each turn of the owner's loop.
 *
 * Rules it keeps, as libraft 0.22.1 wants it: raft_apply one entry at a time; entries padded to 8; all of a turn in one
 * entry of at most REPLICA_ENTRY_MAX, at most REPLICA_INFLIGHT_MAX entries in flight; statuses LEADERSHIPLOST,
 * SHUTDOWN, CANCELED are answered as ERR_UNKNOWN_OUTCOME; snapshots asynchronous, triggered by bytes and entries,
 * staggered by member (raft/replica_snapshot.c); pre-vote on; no answer because of "state is leader" alone; what
 * libraft cannot be told without harm never reaches it (raft/replica_io.c); versions below 0.22.1 refused at start. */
#ifndef RAFT_STORE_RAFT_REPLICA_H
#define RAFT_STORE_RAFT_REPLICA_H

#include <raft.h>

#include "raft-store/store/store.h"

#define REPLICA_ENTRY_MAX    (256u << 10) /* a batch is closed early at this size (one transaction may be larger) */
#define REPLICA_INFLIGHT_MAX 4u
#define REPLICA_MESSAGE_MAX                                                                                            \
    (8u << 20) /* of entries in one message to a follower, unless a single entry is larger (below 16 MiB) */
#define REPLICA_QUEUE_MAX 65536u /* submitted and unanswered transactions; above: ERR_LIMIT */

struct replica;
struct replica_events {
    void *data;
    /* This master began to lead (tip is open, barrier passed) or ceased to. Only from inside replica_turn and
     * replica_close. */
    void (*on_leading)(void *data, bool leading, uint64_t term);
    /* A transaction was put on the tip (leader): feed controllers and scheduler. Changes are borrowed for the call. */
    void (*on_tip)(void *data, const struct change *changes, unsigned count);
    /* committed moved on (every master); watches may go on. restored: by a snapshot, all watchers must check their
     * revision. */
    void (*on_committed)(void *data, uint64_t revision, bool restored);
    /* Leader's id and address as known here changed (0, "" = unknown). */
    void (*on_leader_known)(void *data, uint64_t leader_id, const char *leader_address);
    /* Cannot go on (disk error, divergence, corrupt entry): the owner must stop the process. */
    void (*on_fatal)(void *data, const struct error *err);
    /* A snapshot is about to be forked from store_committed: the last moment to say by which key it is sealed. From
     * inside libraft's call: of this header only replica_store may be called. False: not now. NULL: nobody wants to
     * know. */
    bool (*on_fork)(void *data);
};
/* How the node asks other masters whether its term is still theirs. The owner sends `term` to voter `id` and calls
 * replica_term_confirmed(n, round, id, their_term) with the answer; no answer is no confirmation. */
struct replica_peers {
    void *data;
    void (*ask_term)(void *data, uint64_t id, uint64_t round, uint64_t term);
    /* On the leader: was this member heard of within the last few heartbeats? Whom nobody hears must not be made voter,
     * and nobody is removed on whom a majority of the rest depends. NULL: all of them (a simulator that does
     * without). */
    bool (*reachable)(void *data, uint64_t id);
    /* Has this member's process ended, as far as that can be known (its sessions are gone and nobody listens at its
     * address)? A leader that has is not waited for. NULL: that is never known. */
    bool (*ended)(void *data, uint64_t id);
};
struct replica_config {
    uint64_t id;
    const char *address;
    struct raft_io *io; /* ours to use, not to free */
    const struct env *env;
    const struct log *log;
    struct store_config store;
    struct replica_events events;
    struct replica_peers peers;
    /* On the leader: may this standby, which has caught up and answers, become voter now? Asked again in later turns.
     * NULL: yes. */
    bool (*may_vote)(void *data, uint64_t id);
    void *may_vote_data;
    unsigned election_timeout_ms, heartbeat_ms; /* 0 = 1000, 100; the daemon and tests choose */
    /* Above election_timeout_ms: the timeout adapts to the standstills that masters see (pace.h), between the two,
     * beginning with election_start_ms. 0: it is election_timeout_ms. */
    unsigned election_ceiling_ms, election_start_ms;
    /* Bounds of the whole state, kept by the leader (raft/replica_quota.c); 0: none. */
    uint64_t state_bytes_max, state_objects_max;
    /* A snapshot is due after so many entries (0 = 8192), or when the log behind the last one is a quarter as large as
     * the state, within limits (raft/replica_snapshot.c), and at the latest when it has this size (0 = 256 MiB). */
    unsigned snapshot_entries;
    size_t snapshot_bytes;
    /* Directory for the state of snapshots (raft-store/disk/snapfile.h), that of `io`; NULL: the state goes into the
     * snapshot itself (simulator). */
    const char *snapshot_dir;
    /* Run `work` on a worker thread and then `done` on the owner's thread; NULL = at once, synchronously
     * (simulator). */
    void (*run_async)(void *data, void (*work)(void *arg), void (*done)(void *arg), void *arg);
    void *run_async_data;
};

int replica_new(const struct replica_config *config, struct replica **out, struct error *err);
/* First start of a new cluster: this member alone as voter. ERR_EXISTS if the disk holds state. */
int replica_bootstrap(struct replica *n, struct error *err);
int replica_start(struct replica *n, struct error *err);
void replica_close(struct replica *n, void (*closed)(void *data), void *data); /* then replica_free */
void replica_free(struct replica *n);

struct store *replica_store(struct replica *n);
/* How much room the disk has, which the owner watches (raft/replica_write.c; what is refused: ERR_NO_SPACE).
 *   LOW   nothing new is made, and users (origin "api") change no specs; status, bindings and deletes go on
 *   LAST  users and agents only take away; controllers do what needs nothing new */
enum replica_disk { REPLICA_DISK_ENOUGH, REPLICA_DISK_LOW, REPLICA_DISK_LAST };
void replica_set_disk(struct replica *n, enum replica_disk disk);
/* Where, and how much is free, for the refusal's text. Copied. */
void replica_set_disk_text(struct replica *n, const char *text);
bool replica_disk_low(const struct replica *n);
/* How full the state is, but for events: the tip's on the leader, what is committed elsewhere. Full (100 %): ERR_LIMIT
 * for what makes something new, and for what users make larger; deletes, status and the members' own records go on. */
#define REPLICA_STATE_OBJECT_BYTES 512u /* what an object takes beside its body, in trees and heads (tests/README.md) */
struct replica_state {
    uint64_t bytes, bytes_max, objects, objects_max; /* bodies, and REPLICA_STATE_OBJECT_BYTES for each object */
    unsigned percent;                                /* of the bound that is nearer, at most 1000 */
    bool by_bytes;                                   /* which that is */
};
void replica_state(const struct replica *n, struct replica_state *out);
bool replica_leading(const struct replica *n); /* tip open: writes may be submitted */
uint64_t replica_term(const struct replica *n);
uint64_t replica_leader(const struct replica *n, const char **address); /* 0 if unknown */
/* Up to here the log is committed and on this master's disk. */
uint64_t replica_durable_index(const struct replica *n);

/* Answers of writes. error NULL: committed, result valid. Otherwise refused (what the refusal was judged by is
 * committed, or the term confirmed: raft/replica_write.c), or
 * ERR_UNKNOWN_OUTCOME, or ERR_NOT_LEADER (nothing happened). Exactly once, never from inside replica_submit. */
typedef void replica_write_cb(const struct txn_result *result, const struct error *error, void *data);
/* Evaluate now on the tip and answer when it is durable. The txn is borrowed for the call. Also reports the evaluation
 * at once through the return value (0 or the refusal's code), for callers inside this process such as controllers
 * that need no durable answer: cb may be NULL. */
int replica_submit(struct replica *n, const struct txn *t, replica_write_cb *cb, void *data, struct error *err);
/* The same, with what the evaluation changed: `decided` is called from inside, once, before anything else is evaluated,
 * if it was evaluated for the first time and not refused (count 0: it changed nothing). The changes are borrowed for
 * the call. */
typedef void replica_decided_cb(const struct change *changes, unsigned count, void *data);
int replica_submit_seen(struct replica *n, const struct txn *t, replica_decided_cb *decided, replica_write_cb *cb,
                        void *data, struct error *err);
/* A refusal found by the caller itself while reading the tip (validation against stored state, not found): answered by
 * cb when what the tip said is committed, or the term is confirmed. */
void replica_refuse(struct replica *n, const struct error *refusal, replica_write_cb *cb, void *data);
/* May controllers and the scheduler submit? They ask first, and wait when there is no room: it comes with the next
 * entry that commits. Their transactions are taken in even so, up to the bounds for users; but who asks is never
 * refused for want of room. */
bool replica_has_room(const struct replica *n);
/* Leader only: would a write of users, or of agents, be taken in now? Who can wait asks first, and asks again after
 * the next entry. */
enum replica_room { REPLICA_ROOM_USERS, REPLICA_ROOM_AGENTS };
bool replica_has_room_for(const struct replica *n, enum replica_room who);

/* Linearizable reads. cb with error NULL: committed is at least as new as anything acknowledged before the call; read
 * store_committed() inside the callback. Leader: confirms its term with a majority (one round for all that wait).
 * Follower: ERR_NOT_LEADER; the owner asks the leader's replica_read_index and then replica_wait_applied. */
typedef void replica_read_cb(const struct error *error, void *data);
void replica_read(struct replica *n, replica_read_cb *cb, void *data);
/* For another master: the confirmed commit index. */
typedef void replica_index_cb(uint64_t index, const struct error *error, void *data);
void replica_read_index(struct replica *n, replica_index_cb *cb, void *data);
/* Called when `index` has been applied here; ERR_TIMEOUT after timeout_ms. */
void replica_wait_applied(struct replica *n, uint64_t index, int64_t timeout_ms, replica_read_cb *cb, void *data);
void replica_term_confirmed(struct replica *n, uint64_t round, uint64_t from_id, uint64_t their_term);
/* The answer this master gives to such a question: its current term. */
uint64_t replica_current_term(const struct replica *n);

/* Membership, leader only. Answers by callback; one change at a time (ERR_BUSY). add answers when the newcomer is in
 * the configuration (as spare), remove when it is in no configuration any more.
 *
 * Roles move by themselves, upwards only: every leader makes spares standby (the log is sent to them) and standbys that
 * have nearly caught up, and answer, voters. A voter is never demoted for being silent: with one voter less, fewer
 * disks than before would have to hold a write that is acknowledged, and who is merely cut off for a while would come
 * back to find its vote gone. A silent voter costs nothing but the reserve, which is shown; a person, who knows whether
 * it will come back, removes or replaces it.
 *
 * remove refuses the leader itself (transfer first), the last voter (ERR_USAGE both), and a voter without which those
 * that answer would be no majority of the rest (ERR_CONFLICT): the change itself could not be committed, and the
 * cluster would stand still. There is no way round this rule. */
struct replica_member {
    uint64_t id;
    char address[300];
    int role; /* RAFT_VOTER, RAFT_STANDBY, RAFT_SPARE */
    /* Its disk is nearly full. Ourselves, and on the leader all that have answered since it leads (disk_known). */
    bool disk_low, disk_known;
};
unsigned replica_members(const struct replica *n, struct replica_member *out, unsigned max);
/* A change is under way (a member's, a role's, a transfer, or an earlier leader's that is not committed yet). */
bool replica_changing(const struct replica *n);
/* How far the log of a member is known to reach, on the leader; 0 otherwise. */
uint64_t replica_match_index(const struct replica *n, uint64_t id);
void replica_member_add(struct replica *n, uint64_t id, const char *address, replica_read_cb *cb, void *data);
void replica_member_remove(struct replica *n, uint64_t id, replica_read_cb *cb, void *data);
void replica_transfer(struct replica *n, uint64_t to_id, replica_read_cb *cb, void *data);

/* The owner has just read what had arrived; once per turn of its loop, before replica_turn. Who calls it gets attended
 * time (pace.h): time in which this process did not run is not taken for other masters' silence. Who never does
 * lives by the clock. */
void replica_attend(struct replica *n);
/* End of a turn of the owner's loop: closes the batch, proposes, answers what is due, follows leadership, starts
 * snapshots. Returns true if it did anything (the owner may loop until false). Cheap when there is nothing. */
bool replica_turn(struct replica *n);
/* When replica_turn must be called at the latest for timeouts (env now_ms), or INT64_MAX. */
int64_t replica_next_deadline(const struct replica *n);

/* Nothing that was written before now is to be on this disk any more: neither snapshots nor entries up to the one that
 * was applied last. A snapshot is taken for it as soon as there is something new since the last one, and another one
 * if entries came while it was written; what they cover is removed, and failures are tried again. That is for this
 * run alone: whoever starts asks again. Without a snapshot_dir there is nothing to do. */
void replica_clean(struct replica *n);
bool replica_is_clean(const struct replica *n); /* all that was asked for is done */

struct replica_stats {
    uint64_t entries, transactions, bytes, snapshots, restores, refused, unknown, reads, read_rounds, state_refused;
    uint64_t commit_index, last_index, applied_index;
    unsigned inflight, queued;
    unsigned election_timeout_ms; /* as of now */
    unsigned standstill_ms;       /* the longest that is known of any master */
    uint64_t absurd;              /* messages of other masters that none can have meant; not followed */
    uint64_t leaders;    /* changes of leader that this master has seen since it started, the first not counted */
    int64_t snapshot_ms; /* that writing the newest snapshot took; 0: none was written */
    bool members_open;   /* the members as replica_members tells them are not committed yet */
};
void replica_stats(const struct replica *n, struct replica_stats *out);
/* What of a message no master can have meant that keeps to Raft's rules, in words for a log; NULL: nothing. The node
 * drops such a message by itself; who holds the connection that it came over should close it. */
const char *replica_absurd(const struct replica *n, const struct raft_message *m);

#endif
