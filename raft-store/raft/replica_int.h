/* Inside the node: what raft/replica.c (life), raft/replica_write.c, raft/replica_read.c, raft/replica_member.c,
 * raft/replica_snapshot.c and raft/replica_io.c (what stands between libraft and the world) share. No file outside
 * raft-store includes this.
 *
 * No request of libraft has a callback: completed requests are fired by raft_uv alone, through a symbol that the
 * library does not export, so with another raft_io they would never fire. The node finds out by itself what has been
 * applied (it is the state machine) and what has been lost (state and term, compared each turn). */
#ifndef RAFT_STORE_RAFT_REPLICA_INT_H
#define RAFT_STORE_RAFT_REPLICA_INT_H

#include <stdatomic.h>

#include "base/list.h"
#include "raft-store/disk/prune.h"
#include "raft-store/raft/pace.h"
#include "raft-store/raft/replica.h"

#if RAFT_VERSION_NUMBER < 2201
#error "libraft 0.22.1 or later is required: earlier versions lose acknowledged writes"
#endif
#define REPLICA_RAFT_VERSION_MIN 2201

/* Uncommitted bytes in the open batch, above which nothing more is taken in: with the largest transaction on top an
 * entry still fits a segment of 16 MiB. Who asks has a share of it (raft/replica_write.c), so that a crowd of one
 * sort leaves room for the others. */
#define REPLICA_BATCH_MAX (4u << 20)

/* Somebody who waits for an answer: by one of the callbacks, or by none. */
struct waiter {
    struct list link;
    replica_write_cb *write_cb; /* all three NULL: a write nobody waits for */
    replica_read_cb *read_cb;
    replica_index_cb *index_cb;
    void *data;
    struct txn_result result; /* writes */
    struct error *error;      /* owned; the refusal, or why it failed; NULL = done */
    uint64_t index;           /* wait_applied; the read index */
    int64_t deadline_ms;      /* wait_applied, reads */
};

/* An entry in Raft's hands. */
struct proposal {
    struct raft_apply req; /* first: freed only when libraft has let go of it */
    struct list link;
    uint64_t term, index;
    bool applied; /* while we led the same term: it was ours */
    struct list waiters;
};

enum replica_phase {
    REPLICA_FOLLOWING,    /* not the leader, or it has not been seen yet */
    REPLICA_BARRIER,      /* leader; our first entry of the term has not been applied */
    REPLICA_LEADING,      /* the tip is open */
    REPLICA_TRANSFERRING, /* leader that gives leadership away; the tip is closed */
};

enum change_kind { CHANGE_NONE, CHANGE_ADD, CHANGE_PROMOTE, CHANGE_REMOVE, CHANGE_TRANSFER };

struct replica {
    struct replica_config config;
    char *address, *snapshot_dir;
    struct raft raft;
    struct raft_fsm fsm;
    struct store *store;
    bool initialised, started, closing, closed;
    void (*closed_cb)(void *data);
    void *closed_data;

    /* What the library called on the raft_io before we put ourselves in between (raft/replica_io.c). */
    struct {
        struct raft_io original;
        raft_io_recv_cb recv;
        raft_io_close_cb close_cb;
        struct list stuck;        /* appends that failed and must be cancelled at close */
        struct raft_message held; /* the leader's last snapshot that came while we swept; data.base NULL: none */
        uint64_t loaded_index, loaded_term; /* of the snapshot last read from disk */
        unsigned verifying;                 /* snapshots that a worker checks before they are sent */
        unsigned installs;                  /* InstallSnapshots on their way */
        int64_t install_until_ms;           /* the last one's receiver is given time until then */
    } io;

    bool resign; /* the tip is to be closed at the next turn; nothing is taken in until then */
    bool dead;   /* fatal: sends nothing, applies nothing */
    bool fatal_told;
    struct error fatal;

    /* Leadership */
    enum replica_phase phase;
    uint64_t term; /* of the leadership */
    struct raft_barrier barrier;
    uint64_t barrier_index;
    uint64_t leader_id;    /* as last told to the owner */
    uint64_t known_leader; /* the last one that there was */
    char leader_address[300];

    /* Writes */
    struct list batch; /* waiters of the open batch */
    struct list proposals;
    unsigned inflight, queued;
    struct list ready; /* answers that are due at the end of the turn */
    enum replica_disk disk;
    char disk_text[200];
    struct { /* what the others' answers to us say of their disks */
        uint64_t id;
        bool low;
    } disks[64];
    unsigned disks_count;

    /* Reads (raft/replica_read.c) */
    struct {
        struct list next;    /* wait for the next round to start */
        struct list current; /* covered by the round under way */
        struct list waiting; /* confirmed or given: wait until index is applied */
        uint64_t round, index;
        bool running;
        int64_t ask_again_ms, deadline_ms;
        uint64_t yes[64]; /* ids that have confirmed the term */
        unsigned yes_count;
    } reads;

    /* Membership (raft/replica_member.c) */
    struct {
        enum change_kind kind;
        uint64_t id;
        struct raft_change req;
        struct raft_transfer transfer;
        int role;              /* CHANGE_PROMOTE: what it is to become */
        struct waiter *waiter; /* NULL: our own promotion */
        uint64_t term;
        int64_t quiet_until_ms; /* after a promotion that failed */
        int64_t deadline_ms;
    } change;

    /* Snapshots (raft/replica_snapshot.c) */
    struct {
        uint64_t last_index; /* covered by the last one */
        size_t bytes;        /* of entries applied since */
        struct store_fork *fork;
        struct raft_buffer *placeholder; /* what the library was handed */
        struct raft_snapshot filled;
        struct raft_io_snapshot_put *req;
        struct raft_io_snapshot_put put;
        unsigned trailing;
        int64_t begin_ms;             /* of the one that is being taken */
        bool writing;                 /* the worker has the fork */
        atomic_bool stop;             /* the worker need not go on: we are closing */
        bool sweeping;                /* a worker removes files of former snapshots */
        atomic_uint_least64_t spared; /* of the snapshot in io.held, for that worker */
        int write_status;             /* the worker's: 0 or a code, with the error */
        struct error write_error;
        uint64_t former_index; /* what last_index and bytes were, for a snapshot that fails */
        size_t former_bytes;
        int64_t retry_ms;                  /* after one that failed */
        uint64_t clean_wanted, clean_done; /* replica_clean: nothing up to this entry is to be on the disk; is */
        bool pruning;                      /* the sweep removes what the newest snapshot covers, too */
        bool pruned;                       /* since the last snapshot */
        int prune_status;
        struct error prune_error;
        struct disk_pruned prune;
    } snapshot;

    struct pace pace;
    uint64_t
        succeeding; /* raft/replica_pace.c: the term whose leader has ended, once our own candidacy is set for it */

    uint64_t told_revision;
    bool restored;
    bool turning;
    struct replica_stats stats;
};

/* raft/replica.c */
void replica_die(struct replica *n, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Give the waiter its answer at the end of the turn. error may be NULL (done) or is copied. */
void replica_answer(struct replica *n, struct waiter *w, const struct error *error);
void replica_answer_code(struct replica *n, struct waiter *w, int code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
struct waiter *replica_waiter_new(void *data);
int64_t replica_now(const struct replica *n);
bool replica_is_leader_of(const struct replica *n, uint64_t term); /* by libraft's state now */
int replica_raft_error(struct replica *n, int rv, struct error *err, const char *what);
void replica_resign_tip(struct replica *n); /* leadership is gone or given away: answers, tip closed */

/* raft/replica_write.c */
bool replica_writes_propose(struct replica *n);                 /* make an entry of the open batch, if one may go out */
void replica_writes_applied(struct replica *n, uint64_t index); /* the state machine has applied this entry */
bool replica_writes_finish(struct replica *n);                  /* answer what has been applied */
void replica_writes_lose_batch(struct replica *n);
void replica_writes_lose_proposals(struct replica *n);
void replica_answer_lost(struct replica *n, struct waiter *w,
                         bool proposed); /* leadership went before its answer was due */

/* raft/replica_quota.c: on the leader. False: the state is full, and the transaction adds to it. */
bool replica_state_takes(const struct replica *n, const struct txn *t, bool user, struct error *err);

/* raft/replica_io.c */
void replica_io_wrap(struct replica *n);
void replica_io_unwrap(struct replica *n);
void replica_io_turn(struct replica *n);
void replica_io_close(struct raft_io *io, raft_io_close_cb cb);
void replica_io_swept(struct replica *n); /* what was held while files were removed comes in now */

/* raft/replica_pace.c */
unsigned replica_election_ms(const struct replica *n); /* the election timeout of now */
raft_time replica_pace_time(const struct replica *n);  /* what libraft takes for the time */
bool replica_leader_ended(const struct replica *n);    /* as a follower: its process is known to have ended */
bool replica_leader_silent(const struct replica *n);   /* that, or not heard for an election timeout */
void replica_pace_send(const struct replica *n, struct raft_message *m);
void replica_pace_recv(struct replica *n, struct raft_message *m);
void replica_pace_turn(struct replica *n);

/* raft/replica_read.c */
bool replica_reads_turn(struct replica *n);
void replica_reads_fail(struct replica *n, int code, const char *why);
void replica_reads_leadership_lost(struct replica *n);
int64_t replica_reads_deadline(const struct replica *n);
void replica_confirm(struct replica *n, struct waiter *w); /* answer w (whatever it holds) when the term is confirmed */

/* raft/replica_member.c */
struct raft_server *replica_server(const struct replica *n, uint64_t id); /* NULL: not in the configuration */
unsigned replica_voters(const struct replica *n);
bool replica_members_turn(struct replica *n);
int64_t replica_members_deadline(const struct replica *n);
void replica_members_fail(struct replica *n, int code, const char *why);

/* raft/replica_snapshot.c */
void replica_snapshot_init(struct replica *n);
void replica_snapshot_applied(struct replica *n, size_t bytes);
void replica_snapshot_turn(struct replica *n);
void replica_snapshot_cancel(struct replica *n); /* at close: a write that was never begun */
/* What a snapshot says, wherever its bytes are. */
int replica_snapshot_check(const struct replica *n, const struct raft_buffer *data, struct error *err);
int replica_snapshot_restore(struct replica *n, const struct raft_buffer *data, struct error *err);
void replica_snapshot_stored(struct replica *n); /* by libraft, ours or the leader's: what it replaces goes */
bool replica_snapshot_is_ours(const struct replica *n, const struct raft_snapshot *s);
int replica_snapshot_put(struct replica *n, unsigned trailing, struct raft_io_snapshot_put *req,
                         const struct raft_snapshot *snapshot, raft_io_snapshot_put_cb cb);

#endif
