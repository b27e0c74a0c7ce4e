/* The daemon's `struct raft_io`: disk by libraft's raft_uv (segments, snapshots, term and vote, on kernel AIO), network
 * by our transport.
 *
 * After raft_uv_init these are ours, and call raft_uv's own but for send; all else is raft_uv's:
 *   start, send          messages go by the transport; raft_uv's own never connects (uv_stub.h)
 *   init, set_term,      the mark (disk/mark.h) follows each term and vote before it counts, the log from time to time
 *                        and at close; room for
 *   set_vote             both is held back in reeve-ballast; the owner is told of the first promise
 *   load                 entries get blocks of their own size instead of whole segments
 *   close                also our handles and workers
 * What raft_uv stores as a snapshot is a reference to a file of ours (snapfile.h, raft/replica_snapshot.c). Its memory
 * comes from raft_heap.h, and is given back a little at each turn. io_destroy(2) runs on a thread of its own. A failed
 * write of a segment, which raft_uv only traces, ends the node. What raft_uv opens gets a descriptor even when the
 * process has no more (base/spare.h). Segment size 16 MiB (64 MiB wraps a counter of prepared space), auto-recovery
 * off, UV_THREADPOOL_SIZE raised by the daemon's main before the first use of the loop. */
#ifndef RAFT_STORE_RAFT_UV_IO_H
#define RAFT_STORE_RAFT_UV_IO_H

#include <raft.h>
#include <uv.h>

#include "raft-store/raft/transport.h"

/* Free space below which the node is told that its disk is low, or at its last (replica_set_disk), and from which on
 * it no longer is. */
#define UV_IO_DISK_LAST   (24u << 20)
#define UV_IO_DISK_LOW    (64u << 20)
#define UV_IO_DISK_ENOUGH (96u << 20)

struct uv_io;
/* dir must exist and be writable. ERR_* with what is wrong (read-only, full, damaged segment: names the file). The
 * transport is borrowed. */
int uv_io_new(uv_loop_t *loop, const char *dir, struct transport *transport, const struct log *log, struct uv_io **out,
              struct error *err);
struct raft_io *uv_io_raft(struct uv_io *io);
/* Called once, before the first term or vote is written: from then on the directory must not be lost unnoticed, and the
 * owner makes a durable note of that elsewhere. Non-zero: it failed, nothing is written and the node dies. Before
 * the node starts. */
void uv_io_on_first_promise(struct uv_io *io, int (*cb)(void *data, struct error *err), void *data);
/* After replica_close's callback. */
void uv_io_free(struct uv_io *io);

#endif
