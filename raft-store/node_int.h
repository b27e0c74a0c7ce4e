/* Inside the node: what node.c (life), node_write.c, node_read.c, node_member.c, node_snapshot.c and node_io.c (what stands
 * between libraft and the world) share. No file outside raft-store includes this.
 *
 * No request of libraft has a callback: completed requests are fired by raft_uv alone, through a symbol that the library does not export,
 * so with another raft_io they would never fire. The node finds out by itself what has been applied (it is the state machine) and what
 * has been lost (state and term, compared each turn). */
#ifndef RAFT_STORE_NODE_INT_H
#define RAFT_STORE_NODE_INT_H

#include <stdatomic.h>

#include "base/list.h"
#include "raft-store/node.h"
#include "raft-store/pace.h"

#if RAFT_VERSION_NUMBER < 2201
#error "libraft 0.22.1 or later is required: earlier versions lose acknowledged writes"
#endif
#define NODE_RAFT_VERSION_MIN 2201

/* Uncommitted bytes in the open batch, above which nothing more is taken in: with the largest transaction on top an entry still fits a
 * segment of 16 MiB. Who asks has a share of it (node_write.c), so that a crowd of one sort leaves room for the others. */
#define NODE_BATCH_MAX (4u << 20)

/* Somebody who waits for an answer: by one of the callbacks, or by none. */
struct waiter {
    struct list link;
    node_write_cb *write_cb; /* all three NULL: a write nobody waits for */
    node_read_cb *read_cb;
    node_index_cb *index_cb;
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

enum node_phase {
    NODE_FOLLOWING,    /* not the leader, or it has not been seen yet */
    NODE_BARRIER,      /* leader; our first entry of the term has not been applied */
    NODE_LEADING,      /* the tip is open */
    NODE_TRANSFERRING, /* leader that gives leadership away; the tip is closed */
};

enum change_kind { CHANGE_NONE, CHANGE_ADD, CHANGE_PROMOTE, CHANGE_REMOVE, CHANGE_TRANSFER };

struct node {
    struct node_config config;
    char *address, *snapshot_dir;
    struct raft raft;
    struct raft_fsm fsm;
    struct store *store;
    bool initialised, started, closing, closed;
    void (*closed_cb)(void *data);
    void *closed_data;

    /* What the library called on the raft_io before we put ourselves in between (node_io.c). */
    struct {
        struct raft_io original;
        raft_io_recv_cb recv;
        raft_io_close_cb close_cb;
        struct list stuck;                  /* appends that failed and must be cancelled at close */
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
    enum node_phase phase;
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
    enum node_disk disk;
    char disk_text[200];
    struct { /* what the others' answers to us say of their disks */
        uint64_t id;
        bool low;
    } disks[64];
    unsigned disks_count;

    /* Reads (node_read.c) */
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

    /* Membership (node_member.c) */
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

    /* Snapshots (node_snapshot.c) */
    struct {
        uint64_t last_index; /* covered by the last one */
        size_t bytes;        /* of entries applied since */
        struct store_fork *fork;
        struct raft_buffer *placeholder; /* what the library was handed */
        struct raft_snapshot filled;
        struct raft_io_snapshot_put *req;
        struct raft_io_snapshot_put put;
        unsigned trailing;
        bool writing;     /* the worker has the fork */
        atomic_bool stop; /* the worker need not go on: we are closing */
        bool sweeping;    /* a worker removes files of former snapshots */
        int write_status; /* the worker's: 0 or a code, with the error */
        struct error write_error;
        uint64_t former_index; /* what last_index and bytes were, for a snapshot that fails */
        size_t former_bytes;
        int64_t retry_ms; /* after one that failed */
    } snapshot;

    struct pace pace;
    uint64_t succeeding; /* node_pace.c: the term whose leader has ended, once our own candidacy is set for it */

    uint64_t told_revision;
    bool restored;
    bool turning;
    struct node_stats stats;
};

/* node.c */
void node_die(struct node *n, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Give the waiter its answer at the end of the turn. error may be NULL (done) or is copied. */
void node_answer(struct node *n, struct waiter *w, const struct error *error);
void node_answer_code(struct node *n, struct waiter *w, int code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
struct waiter *node_waiter_new(void *data);
int64_t node_now(const struct node *n);
bool node_is_leader_of(const struct node *n, uint64_t term); /* by libraft's state now */
int node_raft_error(struct node *n, int rv, struct error *err, const char *what);
void node_resign_tip(struct node *n); /* leadership is gone or given away: answers, tip closed */

/* node_write.c */
bool node_writes_propose(struct node *n);                 /* make an entry of the open batch, if one may go out */
void node_writes_applied(struct node *n, uint64_t index); /* the state machine has applied this entry */
bool node_writes_finish(struct node *n);                  /* answer what has been applied */
void node_writes_lose_batch(struct node *n);
void node_writes_lose_proposals(struct node *n);
void node_answer_lost(struct node *n, struct waiter *w, bool proposed); /* leadership went before its answer was due */

/* node_quota.c: on the leader. False: the state is full, and the transaction adds to it. */
bool node_state_takes(const struct node *n, const struct txn *t, bool user, struct error *err);

/* node_io.c */
void node_io_wrap(struct node *n);
void node_io_unwrap(struct node *n);
void node_io_turn(struct node *n);
void node_io_close(struct raft_io *io, raft_io_close_cb cb);

/* node_pace.c */
unsigned node_election_ms(const struct node *n); /* the election timeout of now */
raft_time node_pace_time(const struct node *n);  /* what libraft takes for the time */
bool node_leader_ended(const struct node *n);    /* as a follower: its process is known to have ended */
bool node_leader_silent(const struct node *n);   /* that, or not heard for an election timeout */
void node_pace_send(const struct node *n, struct raft_message *m);
void node_pace_recv(struct node *n, struct raft_message *m);
void node_pace_turn(struct node *n);

/* node_read.c */
bool node_reads_turn(struct node *n);
void node_reads_fail(struct node *n, int code, const char *why);
void node_reads_leadership_lost(struct node *n);
int64_t node_reads_deadline(const struct node *n);
void node_confirm(struct node *n, struct waiter *w); /* answer w (whatever it holds) when the term is confirmed */

/* node_member.c */
struct raft_server *node_server(const struct node *n, uint64_t id); /* NULL: not in the configuration */
unsigned node_voters(const struct node *n);
bool node_members_turn(struct node *n);
int64_t node_members_deadline(const struct node *n);
void node_members_fail(struct node *n, int code, const char *why);

/* node_snapshot.c */
void node_snapshot_init(struct node *n);
void node_snapshot_applied(struct node *n, size_t bytes);
void node_snapshot_turn(struct node *n);
void node_snapshot_cancel(struct node *n); /* at close: a write that was never begun */
/* What a snapshot says, wherever its bytes are. */
int node_snapshot_check(const struct node *n, const struct raft_buffer *data, struct error *err);
int node_snapshot_restore(struct node *n, const struct raft_buffer *data, struct error *err);
void node_snapshot_stored(struct node *n); /* by libraft, ours or the leader's: what it replaces goes */
bool node_snapshot_is_ours(const struct node *n, const struct raft_snapshot *s);
int node_snapshot_put(struct node *n, unsigned trailing, struct raft_io_snapshot_put *req,
                      const struct raft_snapshot *snapshot, raft_io_snapshot_put_cb cb);

#endif
