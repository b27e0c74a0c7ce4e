/* A simulated world for nodes: virtual time, a network that delays, drops, doubles, reorders and splits, disks that
 * lose what was not synced, fail, fill up and rot. One seed, one course of events. Each server's `struct raft_io` is
 * one of these.
 *
 *   sim_io.c time, events, network, life    sim_disk.c the disk under a raft_io    sim_int.h what the two share
 *
 * Time stands still inside a callback and moves from event to event in sim_step. Disk operations of a server complete
 * in order; at a crash those not completed are lost, save a random prefix that happened to reach the disk; an append
 * that was being written may be torn: a prefix of its entries is there (raft_uv cuts a torn batch off as a whole, so
 * this is the harder disk). */
#ifndef TESTS_SIM_SIM_IO_H
#define TESTS_SIM_SIM_IO_H

#include <raft.h>
#include <stdbool.h>

#include "base/env.h"
#include "base/list.h"

#define SIM_SERVERS_MAX 33 /* ids 1 to 32 */

struct sim_event {
    int64_t at_ms;
    uint64_t seq; /* order of making: of two at the same time the older comes first */
    void (*run)(void *arg);
    void (*cancel)(void *arg); /* when the simulation ends or the message is lost */
    void *arg;
};

/* What a disk can suffer while its server is down.
 *
 *   WIPE      nothing is left
 *   ENTRIES   bits flipped in, or lost from, a log segment; raft_uv's checksums see it: loading fails
 *   METADATA  term and vote cannot be read: loading fails
 *   FLIP      a bit of the snapshot's data; raft_uv hands it through, and only the store can tell
 *   CUT       the snapshot's file is shorter than it was; the store can tell
 *
 * FLIP and CUT without a snapshot are ENTRIES. */
enum sim_damage {
    SIM_DAMAGE_WIPE,
    SIM_DAMAGE_ENTRIES,
    SIM_DAMAGE_METADATA,
    SIM_DAMAGE_FLIP,
    SIM_DAMAGE_CUT,
    SIM_DAMAGES
};

struct sim_op; /* of a disk */
struct sim_disk {
    raft_term term;
    raft_id vote;
    struct raft_entry *entries; /* durable; data in buf.base, malloc()ed */
    unsigned count;
    raft_index start; /* of entries[0] */
    bool has_snapshot;
    raft_index snapshot_index, snapshot_conf_index;
    raft_term snapshot_term;
    struct raft_buffer snapshot_conf, snapshot_data; /* malloc()ed */
    const char *damage;                              /* loading fails with this; NULL = it is readable */
    bool rotten;                                     /* the snapshot is damaged, and only who reads it can tell */
    /* EIO: the next so many of these fail, appends at once or when they should be done, snapshots then, the others
     * at once. */
    unsigned fail_appends, fail_metadata, fail_snapshots, fail_reads;
    bool full; /* ENOSPC: what is to be written waits, as it does in raft_uv, until this is false again */
};

struct sim;
struct sim_io {
    struct raft_io io;
    struct sim *sim;
    struct sim_disk *disk;
    uint64_t id;
    unsigned refs; /* the owner's, and one per event that will look at it */
    bool started, crashed, closed;
    bool errored; /* an append failed: none is done any more */
    bool saw_rot; /* a rotten snapshot was read: it will tell, even if a sound one stands on the disk by then */
    unsigned tick_ms;
    raft_io_tick_cb tick;
    raft_io_recv_cb recv;
    struct list ops; /* disk operations under way, in order */
};

struct sim {
    struct rng rng;
    struct env env;
    int64_t now_ms;
    struct sim_event *events; /* a heap: the next one first */
    size_t events_count, events_cap;
    uint64_t seq;
    struct sim_disk disks[SIM_SERVERS_MAX];
    struct sim_io *ios[SIM_SERVERS_MAX];                                    /* NULL = down */
    void (*on_send)(void *data, uint64_t id, const struct raft_message *m); /* sees what servers say; may be NULL */
    void *on_send_data;
    void (*on_enter)(void *data, uint64_t id); /* what comes next happens at this server; may be NULL */
    void *on_enter_data;
    uint64_t touched; /* bit per server that an event has reached; the owner clears it */
    bool paused[SIM_SERVERS_MAX];
    bool flight_spared;                         /* a cut loses what is sent from then on, not what is under way */
    bool cut[SIM_SERVERS_MAX][SIM_SERVERS_MAX]; /* from, to */
    unsigned slow_ms[SIM_SERVERS_MAX][SIM_SERVERS_MAX]; /* from, to: up to so much on top */
    unsigned net_min_ms, net_max_ms, drop_permille, double_permille;
    unsigned late_permille, late_ms; /* so many come up to late_ms later than others, and so behind them */
    unsigned beside_late_permille;   /* the same of messages that are not Raft's; used if it is more */
    unsigned disk_min_ms, disk_max_ms;
    uint64_t steps, messages, dropped, doubled;
};

void sim_init(struct sim *s, uint64_t seed);
void sim_close(struct sim *s); /* all servers must be closed */
/* An event later. cancel may be NULL. */
void sim_after(struct sim *s, int64_t delay_ms, void (*run)(void *arg), void (*cancel)(void *arg), void *arg);
/* A message from one server to another: run at the receiver's, or cancel if it is lost (cut, dropped, receiver
 * down). */
void sim_message(struct sim *s, uint64_t from, uint64_t to, void (*run)(void *arg), void (*cancel)(void *arg),
                 void *arg);
/* Should the message that was just sent be sent twice? The sender makes the copy: only it knows what there is to be
 * copied. */
bool sim_doubles(struct sim *s);
void sim_cut(struct sim *s, uint64_t from, uint64_t to, bool cut); /* one direction */
void sim_isolate(struct sim *s, uint64_t id, bool cut);            /* from everybody, both directions */
void sim_whole(struct sim *s);                                     /* nothing is cut or slow any more */
/* A process that stands still (SIGSTOP, swapping): what arrives waits, in order, and its timers are late. The owner
 * must not turn its node meanwhile. */
void sim_pause(struct sim *s, uint64_t id, bool paused);
bool sim_step(struct sim *s); /* next event; false if there is none */

/* A raft_io over the disk of server id; up until closed by libraft or crashed. */
struct raft_io *sim_io_open(struct sim *s, uint64_t id);
/* Power off: nothing more is sent, received or written. libraft's close still has to be called to free its memory. */
void sim_io_crash(struct sim *s, uint64_t id);
/* Runs, and has read a snapshot from its disk that was rotten then. */
bool sim_saw_rot(const struct sim *s, uint64_t id);
/* After libraft's close callback. */
void sim_io_free(struct raft_io *io);
/* The server must be down, except for FLIP and CUT. Says what was done. */
enum sim_damage sim_disk_damage(struct sim *s, uint64_t id, enum sim_damage kind);

#endif
