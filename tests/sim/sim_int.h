/* Inside the simulated world: what sim_io.c and sim_disk.c share. */
#ifndef TESTS_SIM_SIM_INT_H
#define TESTS_SIM_SIM_INT_H

#include "tests/sim/sim_io.h"

/* sim_io.c */
void sim_enter(struct sim *s, uint64_t id); /* what comes next happens at this server */
int64_t sim_between(struct sim *s, unsigned min, unsigned max);
/* True if the server stands still: then the event comes again. */
bool sim_put_off(struct sim *s, uint64_t id, void (*run)(void *arg), void (*cancel)(void *arg), void *arg);
void sim_io_unref(struct sim_io *me);
struct raft_buffer sim_buffer_copy(struct raft_buffer from, bool raft); /* raft: by raft_malloc */
/* One batch for all, as the library wants it. */
void sim_entries_copy(const struct raft_entry *from, unsigned count, struct raft_entry **to);

/* sim_disk.c */
void sim_disk_methods(struct raft_io *io);
void sim_disk_cancel(struct sim_io *me); /* at close: what was not done */
void sim_disk_crash(struct sim_io *me);
void sim_disk_free(struct sim_disk *d);
/* What the disk holds as its newest snapshot, as raft_io gives it. Owned by the caller. */
struct raft_snapshot *sim_disk_snapshot(const struct sim_disk *d);

#endif
