/* Snapshots that do not stop the loop. libraft calls fsm->snapshot on the loop and hands the buffers to io->snapshot_put at once. So
 * fsm->snapshot only forks the state (O(1)) and returns a placeholder; our snapshot_put has a worker serialise the fork and then gives the
 * real buffers to the original snapshot_put. For the library one asynchronous write takes a little longer.
 *
 * When: after config.snapshot_entries entries or config.snapshot_bytes of log, each raised by a share that differs from member to member,
 * so that not all stand still together. libraft only counts entries, so its threshold is held out of reach and lowered to 1 when it is time. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/mem.h"
#include "raft-store/node_int.h"
#include "raft-store/snapshot.h"

#define THRESHOLD_NEVER (1u << 31)
/* What stays in the log behind a snapshot, for followers that lag a little. */
#define TRAILING_ENTRIES_MAX 1024u
#define TRAILING_BYTES_MAX   (32u << 20)

static int fsm_snapshot(struct raft_fsm *fsm, struct raft_buffer *bufs[], unsigned *n_bufs)
{
    struct node *n = fsm->data;
    raft_set_snapshot_threshold(&n->raft, THRESHOLD_NEVER);
    /* The library names the snapshot by its commit index and does not check that this is what was applied. */
    if (n->dead || n->snapshot.fork != NULL || raft_commit_index(&n->raft) != raft_last_applied(&n->raft) ||
        store_applied_index(n->store) > raft_last_applied(&n->raft)) {
        return RAFT_BUSY;
    }
    assert(n->snapshot.placeholder == NULL);
    n->snapshot.placeholder = raft_calloc(1, sizeof *n->snapshot.placeholder);
    n->snapshot.fork = store_fork_new(n->store);
    n->snapshot.last_index = raft_last_applied(&n->raft);
    n->snapshot.bytes = 0;
    *bufs = n->snapshot.placeholder;
    *n_bufs = 1;
    return 0;
}

/* The library is done with the snapshot, written or not. */
static int fsm_snapshot_finalize(struct raft_fsm *fsm, struct raft_buffer *bufs[], unsigned *n_bufs)
{
    struct node *n = fsm->data;
    raft_free(*bufs);
    *bufs = NULL;
    *n_bufs = 0;
    n->snapshot.placeholder = NULL;
    store_fork_free(n->snapshot.fork);
    n->snapshot.fork = NULL;
    return 0;
}

void node_snapshot_init(struct node *n)
{
    n->fsm.snapshot = fsm_snapshot;
    n->fsm.snapshot_finalize = fsm_snapshot_finalize;
    raft_set_snapshot_threshold(&n->raft, THRESHOLD_NEVER);
    raft_set_snapshot_trailing(&n->raft, TRAILING_ENTRIES_MAX);
}

void node_snapshot_applied(struct node *n, size_t bytes)
{
    n->snapshot.bytes += bytes;
}

bool node_snapshot_is_ours(const struct node *n, const struct raft_snapshot *s)
{
    return n->snapshot.placeholder != NULL && s->bufs == n->snapshot.placeholder;
}

/* ---- Writing ---- */

static int sink(void *data, const void *p, size_t size)
{
    struct raft_snapshot *s = data;
    if (s->n_bufs % 64 == 0) {
        s->bufs = xrealloc(s->bufs, (s->n_bufs + 64) * sizeof *s->bufs);
    }
    s->bufs[s->n_bufs++] = (struct raft_buffer){.base = xmemdup(p, size), .len = size};
    return 0;
}

static void work(void *arg)
{
    struct node *n = arg;
    store_fork_write(n->snapshot.fork, sink, &n->snapshot.filled);
}

static void free_filled(struct node *n)
{
    for (unsigned i = 0; i < n->snapshot.filled.n_bufs; i++) {
        free(n->snapshot.filled.bufs[i].base);
    }
    free(n->snapshot.filled.bufs);
    n->snapshot.filled.bufs = NULL;
    n->snapshot.filled.n_bufs = 0;
}

static void finish(struct node *n, int status)
{
    struct raft_io_snapshot_put *req = n->snapshot.req;
    free_filled(n);
    n->snapshot.req = NULL;
    n->stats.snapshots += status == 0;
    if (status != 0 && status != RAFT_CANCELED) {
        log_error(n->config.log, "node", "snapshot not written: %s", n->config.io->errmsg);
    }
    req->cb(req, status);
}

static void put_done(struct raft_io_snapshot_put *put, int status)
{
    finish(CONTAINER_OF(put, struct node, snapshot.put), status);
}

static void work_done(void *arg)
{
    struct node *n = arg;
    n->snapshot.writing = false;
    if (n->closing || n->dead) {
        finish(n, RAFT_CANCELED);
        if (n->io.close_cb != NULL) {
            node_io_close(n->config.io, n->io.close_cb);
        }
        return;
    }
    int rv = failpoint(FAILPOINT_snapshot_before_put)
                 ? RAFT_IOERR
                 : n->io.original.snapshot_put(n->config.io, n->snapshot.trailing, &n->snapshot.put,
                                               &n->snapshot.filled, put_done);
    if (rv != 0) { /* may still be inside the library's call: its callback comes at close */
        node_die(n, ERR_IO, "cannot write a snapshot: %s",
                 n->config.io->errmsg[0] != '\0' ? n->config.io->errmsg : raft_strerror(rv));
    }
}

void node_snapshot_cancel(struct node *n)
{
    if (n->snapshot.req != NULL && !n->snapshot.writing) {
        finish(n, RAFT_CANCELED);
    }
}

int node_snapshot_put(struct node *n, unsigned trailing, struct raft_io_snapshot_put *req,
                      const struct raft_snapshot *snapshot, raft_io_snapshot_put_cb cb)
{
    assert(n->snapshot.req == NULL && !n->snapshot.writing);
    req->cb = cb;
    n->snapshot.req = req;
    n->snapshot.trailing = trailing;
    n->snapshot.filled = *snapshot; /* index, term, configuration: the library keeps them until the callback */
    n->snapshot.filled.bufs = NULL;
    n->snapshot.filled.n_bufs = 0;
    n->snapshot.writing = true;
    if (n->config.run_async != NULL) {
        n->config.run_async(n->config.run_async_data, work, work_done, n);
    } else {
        /* At once. The original calls back later, so nothing comes back into the library from inside this call. */
        work(n);
        work_done(n);
    }
    return 0;
}

/* ---- When ---- */

static unsigned my_position(const struct node *n)
{
    for (unsigned i = 0; i < n->raft.configuration.n; i++) {
        if (n->raft.configuration.servers[i].id == n->config.id) {
            return i % 8;
        }
    }
    return 0;
}

void node_snapshot_turn(struct node *n)
{
    uint64_t applied = raft_last_applied(&n->raft);
    uint64_t entries = applied > n->snapshot.last_index ? applied - n->snapshot.last_index : 0;
    unsigned eighths = 8 + my_position(n);
    if (n->snapshot.fork != NULL || (entries < (uint64_t)n->config.snapshot_entries * eighths / 8 &&
                                     n->snapshot.bytes < n->config.snapshot_bytes / 8 * eighths)) {
        return;
    }
    size_t average = entries == 0 ? 1 : n->snapshot.bytes / entries + 1;
    unsigned trailing = (unsigned)MIN(TRAILING_BYTES_MAX / average, TRAILING_ENTRIES_MAX);
    raft_set_snapshot_trailing(&n->raft, MIN(MAX(trailing, 4u), n->config.snapshot_entries));
    raft_set_snapshot_threshold(&n->raft, 1); /* the library takes it at its next step */
}
