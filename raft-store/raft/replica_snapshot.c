/* Snapshots that do not stop the loop. libraft calls fsm->snapshot on the loop and hands the buffers to
 * io->snapshot_put at once. So fsm->snapshot only forks the state (O(1)) and returns a placeholder; our snapshot_put
 * has a worker serialise the fork into a file (snapfile.h) and then gives a reference to it to the original
 * snapshot_put. For the library one asynchronous write takes a little longer.
 *
 * When: after config.snapshot_entries entries, or when the log since the last one has become a quarter as large as the
 * state (8 MiB at least, config.snapshot_bytes at most), each raised by a share that differs from member to member, so
 * that not all stand still together. So the log, which is in memory, stays small beside the state, and the disk writes
 * at most about five times what the log alone would have it write. What stays in the log behind a snapshot, for those
 * that lag, is counted in bytes as well. libraft only counts entries, so its threshold is held out of reach and
 * lowered to 1 when it is time, and what stays is told to it in entries of the average size. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/mem.h"
#include "raft-store/disk/prune.h"
#include "raft-store/disk/snapfile.h"
#include "raft-store/raft/replica_int.h"
#include "raft-store/store/snapshot.h"

#define THRESHOLD_NEVER (1u << 31)
/* The log may become a quarter as large as the state before the next snapshot, within these and
 * config.snapshot_bytes. */
#define LOG_BYTES_MIN (8u << 20)
/* What stays in the log behind a snapshot, for followers that lag a little: an eighth of the state, within these. */
#define TRAILING_ENTRIES_MAX 1024u
#define TRAILING_BYTES_MIN   (4u << 20)
#define TRAILING_BYTES_MAX   (32u << 20)
#define RETRY_MS             5000

static int fsm_snapshot(struct raft_fsm *fsm, struct raft_buffer *bufs[], unsigned *n_bufs)
{
    struct replica *n = fsm->data;
    raft_set_snapshot_threshold(&n->raft, THRESHOLD_NEVER);
    /* The library names the snapshot by its commit index and does not check that this is what was applied. */
    if (n->dead || n->snapshot.fork != NULL || n->snapshot.sweeping ||
        raft_commit_index(&n->raft) != raft_last_applied(&n->raft) ||
        store_applied_index(n->store) > raft_last_applied(&n->raft)) {
        return RAFT_BUSY;
    }
    assert(n->snapshot.placeholder == NULL);
    if (n->config.events.on_fork != NULL && !n->config.events.on_fork(n->config.events.data)) {
        return RAFT_BUSY;
    }
    n->snapshot.placeholder = raft_calloc(1, sizeof *n->snapshot.placeholder);
    n->snapshot.fork = store_fork_new(n->store);
    n->snapshot.begin_ms = replica_now(n);
    n->snapshot.former_index = n->snapshot.last_index;
    n->snapshot.former_bytes = n->snapshot.bytes;
    n->snapshot.last_index = raft_last_applied(&n->raft);
    n->snapshot.bytes = 0;
    *bufs = n->snapshot.placeholder;
    *n_bufs = 1;
    return 0;
}

/* The library is done with the snapshot, written or not. */
static int fsm_snapshot_finalize(struct raft_fsm *fsm, struct raft_buffer *bufs[], unsigned *n_bufs)
{
    struct replica *n = fsm->data;
    assert(*bufs == n->snapshot.placeholder && !n->snapshot.writing);
    raft_free(*bufs);
    *bufs = NULL;
    *n_bufs = 0;
    n->snapshot.placeholder = NULL;
    store_fork_free(n->snapshot.fork);
    n->snapshot.fork = NULL;
    return 0;
}

void replica_snapshot_init(struct replica *n)
{
    n->fsm.snapshot = fsm_snapshot;
    n->fsm.snapshot_finalize = fsm_snapshot_finalize;
    raft_set_snapshot_threshold(&n->raft, THRESHOLD_NEVER);
    raft_set_snapshot_trailing(&n->raft, TRAILING_ENTRIES_MAX);
}

void replica_snapshot_applied(struct replica *n, size_t bytes)
{
    n->snapshot.bytes += bytes;
}

bool replica_snapshot_is_ours(const struct replica *n, const struct raft_snapshot *s)
{
    return n->snapshot.placeholder != NULL && s->bufs == n->snapshot.placeholder;
}

/* ---- Writing ---- */

static int sink_buffers(void *data, const void *p, size_t size)
{
    struct raft_snapshot *s = data;
    if (s->n_bufs % 64 == 0) {
        s->bufs = xrealloc(s->bufs, (s->n_bufs + 64) * sizeof *s->bufs);
    }
    s->bufs[s->n_bufs++] = (struct raft_buffer){.base = xmemdup(p, size), .len = size};
    return 0;
}

/* The fork into a file of its own, and a reference to that into `filled`. */
static int write_file(struct replica *n, struct error *err)
{
    uint8_t ref[SNAPFILE_REF_SIZE];
    int rv = snapfile_save(n->snapshot_dir, n->snapshot.fork, &n->snapshot.stop, ref, err);
    return rv == 0 ? sink_buffers(&n->snapshot.filled, ref, sizeof ref) : rv;
}

static void work(void *arg)
{
    struct replica *n = arg;
    n->snapshot.write_status = n->snapshot_dir != NULL
                                   ? write_file(n, &n->snapshot.write_error)
                                   : store_fork_write(n->snapshot.fork, sink_buffers, &n->snapshot.filled);
    store_fork_drop(n->snapshot.fork); /* not on the loop: what has changed meanwhile is freed with it */
}

static void free_filled(struct replica *n)
{
    for (unsigned i = 0; i < n->snapshot.filled.n_bufs; i++) {
        free(n->snapshot.filled.bufs[i].base);
    }
    free(n->snapshot.filled.bufs);
    n->snapshot.filled.bufs = NULL;
    n->snapshot.filled.n_bufs = 0;
}

/* A status other than 0 makes the library forget the snapshot; the log stays as long as it is. */
static void finish(struct replica *n, int status, const char *why)
{
    struct raft_io_snapshot_put *req = n->snapshot.req;
    assert(req != NULL && !n->snapshot.writing);
    free_filled(n);
    n->snapshot.req = NULL;
    n->stats.snapshots += status == 0;
    if (status == 0) {
        n->stats.snapshot_ms = MAX(replica_now(n) - n->snapshot.begin_ms, 1);
        replica_snapshot_stored(n);
    } else if (status != RAFT_CANCELED) {
        log_error(n->config.log, "node", "snapshot not written, tried again in %d s: %s", RETRY_MS / 1000, why);
        n->snapshot.last_index = n->snapshot.former_index;
        n->snapshot.bytes += n->snapshot.former_bytes;
        n->snapshot.retry_ms = replica_now(n) + RETRY_MS;
    }
    req->cb(req, status);
}

static void put_done(struct raft_io_snapshot_put *put, int status)
{
    struct replica *n = CONTAINER_OF(put, struct replica, snapshot.put);
    finish(n, status, n->config.io->errmsg);
}

static void work_done(void *arg)
{
    struct replica *n = arg;
    assert(n->snapshot.writing && n->snapshot.req != NULL && n->snapshot.fork != NULL);
    n->snapshot.writing = false;
    if (n->closing || n->dead) {
        finish(n, RAFT_CANCELED, NULL);
        if (n->io.close_cb != NULL && !n->snapshot.sweeping) {
            replica_io_close(n->config.io, n->io.close_cb);
        }
        return;
    }
    if (n->snapshot.write_status != 0) {
        finish(n, RAFT_IOERR, n->snapshot.write_error.message);
        return;
    }
    int rv = failpoint(FAILPOINT_snapshot_before_put)
                 ? RAFT_IOERR
                 : n->io.original.snapshot_put(n->config.io, n->snapshot.trailing, &n->snapshot.put,
                                               &n->snapshot.filled, put_done);
    if (rv != 0) { /* may still be inside the library's call: its callback comes at close */
        replica_die(n, ERR_IO, "cannot write a snapshot: %s",
                    n->config.io->errmsg[0] != '\0' ? n->config.io->errmsg : raft_strerror(rv));
    }
}

void replica_snapshot_cancel(struct replica *n)
{
    if (n->snapshot.req != NULL && !n->snapshot.writing) {
        finish(n, RAFT_CANCELED, NULL);
    }
}

int replica_snapshot_put(struct replica *n, unsigned trailing, struct raft_io_snapshot_put *req,
                         const struct raft_snapshot *snapshot, raft_io_snapshot_put_cb cb)
{
    assert(n->snapshot.req == NULL && !n->snapshot.writing);
    assert(n->snapshot.fork != NULL && snapshot->index == n->snapshot.last_index);
    req->cb = cb;
    n->snapshot.req = req;
    n->snapshot.trailing = trailing;
    n->snapshot.filled = *snapshot; /* index, term, configuration: the library keeps them until the callback */
    n->snapshot.filled.bufs = NULL;
    n->snapshot.filled.n_bufs = 0;
    n->snapshot.writing = true;
    n->snapshot.write_error = (struct error){0};
    if (n->config.run_async != NULL) {
        n->config.run_async(n->config.run_async_data, work, work_done, n);
    } else {
        /* At once. The original calls back later, so nothing comes back into the library from inside this call. */
        work(n);
        work_done(n);
    }
    return 0;
}

/* ---- Reading ---- */

int replica_snapshot_check(const struct replica *n, const struct raft_buffer *data, struct error *err)
{
    assert(!n->snapshot.sweeping);
    struct snapfile_map state;
    int rv = snapfile_open(n->snapshot_dir, data->base, data->len, &state, err);
    if (rv == 0) {
        rv = snapfile_tell_damage(data->base, data->len, &state, snapshot_check(state.p, state.n, err), err);
        snapfile_unmap(&state);
    }
    return rv;
}

int replica_snapshot_restore(struct replica *n, const struct raft_buffer *data, struct error *err)
{
    struct snapfile_map state;
    int rv = snapfile_open(n->snapshot_dir, data->base, data->len, &state, err);
    if (rv == 0) {
        rv = store_restore(n->store, state.p, state.n, 0, err);
        rv = snapfile_tell_damage(data->base, data->len, &state, rv, err);
        snapfile_unmap(&state);
    }
    return rv;
}

/* ---- Sweeping: removing a gigabyte takes a while, too ---- */

static void sweep(void *arg)
{
    struct replica *n = arg;
    struct error *err = &n->snapshot.prune_error;
    if (n->snapshot.pruning) {
        n->snapshot.prune_status = failpoint(FAILPOINT_clean_before_prune)
                                       ? error_set(err, ERR_IO, "failed by a failpoint")
                                       : disk_prune(n->snapshot_dir, &n->snapshot.prune, err);
    }
    snapfile_sweep(n->snapshot_dir, false, &n->snapshot.spared);
}

/* Closed segments that are left may hold entries of before, if more were written to them while the snapshot was: the
 * next one covers them. */
static void prune_done(struct replica *n)
{
    const struct disk_pruned *p = &n->snapshot.prune;
    n->snapshot.pruning = false;
    n->snapshot.pruned = n->snapshot.prune_status == 0;
    if (n->snapshot.prune_status != 0) {
        log_error(n->config.log, "node", "former snapshots and entries are not removed, tried again in %d s: %s",
                  RETRY_MS / 1000, n->snapshot.prune_error.message);
        n->snapshot.retry_ms = replica_now(n) + RETRY_MS;
        return;
    }
    n->snapshot.last_index = p->snapshot_index;
    if (p->snapshot_index >= n->snapshot.clean_wanted &&
        (p->first_entry == 0 || p->first_entry > n->snapshot.clean_wanted)) {
        n->snapshot.clean_done = n->snapshot.clean_wanted;
    }
}

static void sweep_done(void *arg)
{
    struct replica *n = arg;
    assert(n->snapshot.sweeping);
    n->snapshot.sweeping = false;
    if (n->snapshot.pruning) {
        prune_done(n);
    }
    if (n->io.close_cb != NULL && !n->snapshot.writing) {
        replica_io_close(n->config.io, n->io.close_cb);
    } else {
        replica_io_swept(n);
    }
}

/* While files are removed, no file may be finished that libraft has no reference to yet: it would be removed as well.
 * So fsm_snapshot waits for the end, and a snapshot of the leader is held until then (raft/replica_io.c) and its file
 * spared. If the file came and was removed before we heard of it, the snapshot is refused and sent again. */
void replica_snapshot_stored(struct replica *n)
{
    if (n->snapshot_dir == NULL || n->snapshot.sweeping || n->io.close_cb != NULL) {
        n->snapshot.pruned = false; /* of what has just been stored nothing is known yet */
        return;
    }
    n->snapshot.sweeping = true;
    n->snapshot.pruning = n->snapshot.clean_done < n->snapshot.clean_wanted;
    if (n->config.run_async != NULL) {
        n->config.run_async(n->config.run_async_data, sweep, sweep_done, n);
    } else {
        sweep(n);
        sweep_done(n);
    }
}

/* ---- When ---- */

static unsigned my_position(const struct replica *n)
{
    const struct raft_server *me = replica_server(n, n->config.id);
    return me == NULL ? 0 : (unsigned)(me - n->raft.configuration.servers) % 8;
}

void replica_clean(struct replica *n)
{
    if (n->snapshot_dir != NULL) {
        n->snapshot.clean_wanted = MAX(n->snapshot.clean_wanted, raft_last_applied(&n->raft));
        n->snapshot.pruned = false;
    }
}

bool replica_is_clean(const struct replica *n)
{
    return n->snapshot.clean_done >= n->snapshot.clean_wanted;
}

/* The snapshot that there is may be new enough; otherwise another one is taken. Entries before it are not kept, also
 * not for followers that lag: they would bring to them again what is to be gone. */
static void clean_turn(struct replica *n, uint64_t applied)
{
    if (n->raft.legacy.snapshot_install) {
        return; /* libraft itself removes files meanwhile */
    }
    if (!n->snapshot.pruned) {
        replica_snapshot_stored(n);
    } else if (applied > n->snapshot.last_index) {
        raft_set_snapshot_trailing(&n->raft,
                                   (unsigned)MIN(MAX(applied - n->snapshot.clean_wanted, 1u), TRAILING_ENTRIES_MAX));
        raft_set_snapshot_threshold(&n->raft, 1);
    }
}

void replica_snapshot_turn(struct replica *n)
{
    uint64_t applied = raft_last_applied(&n->raft);
    uint64_t entries = applied > n->snapshot.last_index ? applied - n->snapshot.last_index : 0;
    unsigned eighths = 8 + my_position(n);
    size_t state = view_bytes(store_committed(n->store));
    size_t log_max = MIN(MAX(state / 4, (size_t)LOG_BYTES_MIN), n->config.snapshot_bytes);
    if (n->snapshot.fork != NULL || n->snapshot.sweeping || replica_now(n) < n->snapshot.retry_ms) {
        return;
    }
    if (!replica_is_clean(n)) {
        clean_turn(n, applied);
        return;
    }
    if ((entries < (uint64_t)n->config.snapshot_entries * eighths / 8 && n->snapshot.bytes < log_max / 8 * eighths)) {
        return;
    }
    size_t trailing_bytes = MIN(MAX(state / 8, (size_t)TRAILING_BYTES_MIN), (size_t)TRAILING_BYTES_MAX);
    size_t average = entries == 0 ? 1 : n->snapshot.bytes / entries + 1;
    unsigned trailing = (unsigned)MIN(trailing_bytes / average, TRAILING_ENTRIES_MAX);
    raft_set_snapshot_trailing(&n->raft, MIN(MAX(trailing, 4u), n->config.snapshot_entries));
    raft_set_snapshot_threshold(&n->raft, 1); /* the library takes it at its next step */
}
