/* A simulated world for nodes: virtual time, a network that delays, drops and splits, disks that lose what was not synced. One seed, one
 * course of events. Each server's `struct raft_io` is one of these.
 *
 * Time stands still inside a callback and moves from event to event in sim_step. Disk operations of a server complete in order; at a
 * crash those not completed are lost, save a random prefix that happened to reach the disk. */
#ifndef TESTS_SIM_SIM_IO_H
#define TESTS_SIM_SIM_IO_H

#include <raft.h>
#include <stdbool.h>

#include "base/env.h"
#include "base/list.h"

#define SIM_SERVERS_MAX 9 /* ids 1 to 8 */

struct sim_event {
    int64_t at_ms;
    uint64_t seq; /* order of making: of two at the same time the older comes first */
    void (*run)(void *arg);
    void (*cancel)(void *arg); /* when the simulation ends or the message is lost */
    void *arg;
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
    unsigned fail_appends;                           /* the next so many appends fail at once */
};

struct sim;
struct sim_io {
    struct raft_io io;
    struct sim *sim;
    struct sim_disk *disk;
    uint64_t id;
    unsigned refs; /* the owner's, and one per event that will look at it */
    bool started, crashed, closed;
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
    struct sim_io *ios[SIM_SERVERS_MAX]; /* NULL = down */
    bool cut[SIM_SERVERS_MAX][SIM_SERVERS_MAX];
    bool paused[SIM_SERVERS_MAX];
    unsigned net_min_ms, net_max_ms, drop_permille;
    unsigned disk_min_ms, disk_max_ms;
    uint64_t steps, messages, dropped;
};

void sim_init(struct sim *s, uint64_t seed);
void sim_close(struct sim *s); /* all servers must be closed */
/* An event later. cancel may be NULL. */
void sim_after(struct sim *s, int64_t delay_ms, void (*run)(void *arg), void (*cancel)(void *arg), void *arg);
/* A message from one server to another: run at the receiver's, or cancel if it is lost (cut, dropped, receiver down). */
void sim_message(struct sim *s, uint64_t from, uint64_t to, void (*run)(void *arg), void (*cancel)(void *arg),
                 void *arg);
void sim_cut(struct sim *s, uint64_t a, uint64_t b, bool cut); /* both directions */
void sim_isolate(struct sim *s, uint64_t id, bool cut);        /* from everybody */
/* A process that stands still (SIGSTOP, swapping): what arrives waits, in order, and its timers are late. The owner must
 * not turn its node meanwhile. */
void sim_pause(struct sim *s, uint64_t id, bool paused);
bool sim_step(struct sim *s); /* next event; false if there is none */

/* A raft_io over the disk of server id; up until closed by libraft or crashed. */
struct raft_io *sim_io_open(struct sim *s, uint64_t id);
/* Power off: nothing more is sent, received or written. libraft's close still has to be called to free its memory. */
void sim_io_crash(struct sim *s, uint64_t id);
/* After libraft's close callback. */
void sim_io_free(struct raft_io *io);

#endif
