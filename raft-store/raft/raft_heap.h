/* libraft's memory: large blocks are not given back where libraft lets go of them, but a little at each turn of the
 * loop.
 *
 * After a snapshot libraft drops the log before it at once, up to config.snapshot_bytes in blocks of some 256 KiB.
 * Giving 200 MiB back to the kernel took the loop 65 ms in which no write was answered. Blocks from RAFT_HEAP_LARGE on
 * that the loop's thread frees therefore wait in a list (threaded through the blocks themselves) for raft_heap_drain;
 * other threads free at once. libraft has one heap per process; so has this. With AddressSanitizer nothing waits, so
 * that it sees every free where it happens. */
#ifndef RAFT_STORE_RAFT_RAFT_HEAP_H
#define RAFT_STORE_RAFT_RAFT_HEAP_H

#include <stdbool.h>
#include <stddef.h>

#define RAFT_HEAP_LARGE (32u << 10)
#define RAFT_HEAP_TURN  (2u << 20) /* freed in one turn: some 0.3 ms */

/* From now on libraft allocates through this; again is fine. The calling thread is one that will drain. */
void raft_heap_install(void);
/* Gives back up to bytes_max (one block at least, if one waits). True: more wait. */
bool raft_heap_drain(size_t bytes_max);
size_t raft_heap_waiting(void); /* bytes, of the calling thread */

#endif
