/* The node: life, leadership, the turn. Writes: raft/replica_write.c; reads: raft/replica_read.c; membership:
 * raft/replica_member.c.
 *
 *   FOLLOWING --elected--> BARRIER --own entry applied--> LEADING --replica_transfer--> TRANSFERRING
 *       ^                     |                              |                            |
 *       +------ state or term changed (seen in follow_leadership) -----------------------+
 *   TRANSFERRING --transfer failed, still leader--> BARRIER
 *
 * Everything happens in replica_turn: libraft's callbacks only note. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/mem.h"
#include "raft-store/disk/snapfile.h"
#include "raft-store/raft/replica_int.h"

/* ---- Helpers ---- */

int64_t replica_now(const struct replica *n)
{
    return env_now_ms(n->config.env);
}

bool replica_is_leader_of(const struct replica *n, uint64_t term)
{
    return raft_state((struct raft *)&n->raft) == RAFT_LEADER && raft_current_term(&n->raft) == term;
}

struct waiter *replica_waiter_new(void *data)
{
    struct waiter *w = xcalloc(1, sizeof *w);
    list_init(&w->link);
    w->data = data;
    return w;
}

void replica_answer(struct replica *n, struct waiter *w, const struct error *error)
{
    if (error != NULL && error != w->error) {
        free(w->error);
        w->error = xmemdup(error, sizeof *error);
    }
    list_remove(&w->link);
    list_push_back(&n->ready, &w->link);
}

void replica_answer_code(struct replica *n, struct waiter *w, int code, const char *fmt, ...)
{
    struct error e = {0};
    char text[ERROR_MESSAGE_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    error_set(&e, code, "%s", text);
    replica_answer(n, w, &e);
}

void replica_die(struct replica *n, int code, const char *fmt, ...)
{
    if (n->dead) {
        return;
    }
    char text[ERROR_MESSAGE_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    n->dead = true;
    error_set(&n->fatal, code, "%s", text);
    log_error(n->config.log, "node", "%s", text);
}

int replica_raft_error(struct replica *n, int rv, struct error *err, const char *what)
{
    int code = ERR_INTERNAL;
    switch (rv) {
    case RAFT_NOTLEADER:
        code = ERR_NOT_LEADER;
        break;
    case RAFT_CANTBOOTSTRAP:
        code = ERR_EXISTS;
        break;
    case RAFT_CORRUPT:
    case RAFT_MALFORMED:
        code = ERR_CORRUPT;
        break;
    case RAFT_IOERR:
        code = ERR_IO;
        break;
    case RAFT_NOSPACE:
        code = ERR_NO_SPACE;
        break;
    case RAFT_NOTFOUND:
    case RAFT_BADID:
        code = ERR_NOT_FOUND;
        break;
    case RAFT_DUPLICATEID:
    case RAFT_DUPLICATEADDRESS:
        code = ERR_EXISTS;
        break;
    case RAFT_CANTCHANGE:
    case RAFT_BUSY:
        code = ERR_BUSY;
        break;
    case RAFT_UNAUTHORIZED:
        code = ERR_FORBIDDEN;
        break;
    default:
        break;
    }
    const char *detail = n->config.io->errmsg[0] != '\0' ? n->config.io->errmsg : raft_errmsg(&n->raft);
    if (detail == NULL || detail[0] == '\0') {
        detail = raft_strerror(rv);
    }
    if (code == ERR_IO && strstr(detail, "no space left") != NULL) {
        code = ERR_NO_SPACE;
    }
    return error_set(err, code, "%s: %s", what, detail);
}

/* ---- The state machine ---- */

static int fsm_apply(struct raft_fsm *fsm, const struct raft_buffer *buf, void **result)
{
    struct replica *n = fsm->data;
    *result = NULL;
    if (n->dead) {
        return 0; /* the library ignores failures and goes on in disorder: swallow instead, the process ends */
    }
    uint64_t index = raft_last_applied(&n->raft) + 1;
    struct error err = {0};
    uint64_t before = store_transactions(n->store);
    int rv = failpoint(FAILPOINT_apply_damaged) ? error_set(&err, ERR_CORRUPT, "failed by a failpoint")
                                                : store_apply(n->store, index, buf->base, buf->len, &err);
    if (rv != 0) {
        error_wrap(&err, "log entry %llu", (unsigned long long)index);
        replica_die(n, rv == ERR_UNSUPPORTED ? ERR_UNSUPPORTED : ERR_CORRUPT, "%s", err.message);
        return 0;
    }
    assert(store_applied_index(n->store) == index && store_transactions(n->store) >= before);
    n->stats.transactions += store_transactions(n->store) - before;
    n->stats.entries++;
    n->stats.bytes += buf->len;
    replica_snapshot_applied(n, buf->len);
    replica_writes_applied(n, index);
    return 0;
}

static int fsm_restore(struct raft_fsm *fsm, struct raft_buffer *buf)
{
    struct replica *n = fsm->data;
    struct error err = {0};
    /* The index is put right by the next turn: libraft sets its own only behind this call. */
    int rc = replica_snapshot_restore(n, buf, &err);
    if (rc != 0) {
        replica_die(n, rc, "%s", err.message);
        return RAFT_CORRUPT;
    }
    raft_free(buf->base);
    n->stats.restores++;
    n->restored = true;
    return 0;
}

/* ---- Life ---- */

static void set_up_raft(struct replica *n)
{
    const struct replica_config *c = &n->config;
    raft_set_election_timeout(&n->raft, replica_election_ms(n));
    raft_set_heartbeat_timeout(&n->raft, c->heartbeat_ms);
    replica_io_turn(n);
    raft_set_pre_vote(&n->raft, true);
    raft_set_max_inflight_entries(&n->raft, REPLICA_INFLIGHT_MAX * 4);
    raft_set_max_catch_up_round_duration(&n->raft, c->election_timeout_ms * 5);
    /* The check refuses barriers too and knows only prepared segments; the owner watches the disk
     * (replica_set_disk). */
    raft_set_capacity_threshold(&n->raft, 0);
    replica_snapshot_init(n);
}

int replica_new(const struct replica_config *config, struct replica **out, struct error *err)
{
    assert(config->id != 0 && config->io != NULL && config->env != NULL);
    *out = NULL;
    if (raft_version_number() < REPLICA_RAFT_VERSION_MIN) {
        return error_set(
            err, ERR_UNSUPPORTED,
            "libraft %d.%d.%d is too old: versions before 0.22.1 lose acknowledged writes; install libraft0 "
            "0.22.1 or later (Debian 12 has it in bookworm-backports)",
            raft_version_number() / 10000, raft_version_number() / 100 % 100, raft_version_number() % 100);
    }
    struct replica *n = xcalloc(1, sizeof *n);
    n->config = *config;
    n->config.election_timeout_ms = config->election_timeout_ms == 0 ? 1000 : config->election_timeout_ms;
    n->config.heartbeat_ms = config->heartbeat_ms == 0 ? 100 : config->heartbeat_ms;
    pace_init(&n->pace,
              &(struct pace_config){.heartbeat_ms = n->config.heartbeat_ms,
                                    .floor_ms = n->config.election_timeout_ms,
                                    .ceiling_ms = config->election_ceiling_ms,
                                    .start_ms = config->election_start_ms},
              env_now_ms(config->env));
    n->config.snapshot_entries = config->snapshot_entries == 0 ? 8192 : config->snapshot_entries;
    n->config.snapshot_bytes = config->snapshot_bytes == 0 ? 256u << 20 : config->snapshot_bytes;
    n->address = xstrdup(config->address);
    n->config.address = n->address;
    n->snapshot_dir = config->snapshot_dir == NULL ? NULL : xstrdup(config->snapshot_dir);
    n->config.snapshot_dir = n->snapshot_dir;
    n->store = store_new(&config->store);
    list_init(&n->batch);
    list_init(&n->proposals);
    list_init(&n->ready);
    list_init(&n->reads.next);
    list_init(&n->reads.current);
    list_init(&n->reads.waiting);
    list_init(&n->io.stuck);
    n->fsm = (struct raft_fsm){.version = 3, .data = n, .apply = fsm_apply, .restore = fsm_restore};
    int rv = raft_init(&n->raft, config->io, &n->fsm, config->id, n->address);
    if (rv != 0) {
        int rc = replica_raft_error(n, rv, err, "open the data directory");
        replica_free(n);
        return rc;
    }
    n->initialised = true;
    n->raft.data = n;
    set_up_raft(n);
    replica_io_wrap(n);
    n->raft.now = replica_pace_time(n); /* what it has is by the clock of the raft_io */
    *out = n;
    return 0;
}

int replica_bootstrap(struct replica *n, struct error *err)
{
    struct raft_configuration conf;
    raft_configuration_init(&conf);
    int rv = raft_configuration_add(&conf, n->config.id, n->address, RAFT_VOTER);
    if (rv == 0) {
        rv = raft_bootstrap(&n->raft, &conf);
    }
    raft_configuration_close(&conf);
    return rv == 0 ? 0 : replica_raft_error(n, rv, err, "start a new cluster in the data directory");
}

int replica_start(struct replica *n, struct error *err)
{
    assert(!n->started);
    int rv = raft_start(&n->raft);
    if (n->dead) {
        if (err != NULL) {
            *err = n->fatal;
        }
        return n->fatal.code;
    }
    if (rv != 0) {
        return replica_raft_error(n, rv, err, "load the state from the data directory");
    }
    n->started = true;
    if (n->snapshot_dir != NULL) {
        snapfile_sweep(n->snapshot_dir, true, NULL);
    }
    n->snapshot.last_index = n->restored ? raft_last_applied(&n->raft) : 0;
    n->restored = false;
    return 0;
}

static void free_waiters(struct list *l)
{
    LIST_FOR_SAFE(it, l)
    {
        struct waiter *w = LIST_ENTRY(it, struct waiter, link);
        list_remove(&w->link);
        free(w->error);
        free(w);
    }
}

static void fire_ready(struct replica *n);

static void raft_closed(struct raft *raft)
{
    struct replica *n = raft->data;
    assert(n->closing && !n->closed && list_empty(&n->batch) && store_tip(n->store) == NULL);
    LIST_FOR_SAFE(it, &n->proposals)
    {
        struct proposal *p = LIST_ENTRY(it, struct proposal, link);
        list_remove(&p->link);
        free(p);
    }
    replica_io_unwrap(n);
    fire_ready(n); /* what was asked, and refused, since close_now */
    n->closed = true;
    if (n->closed_cb != NULL) {
        n->closed_cb(n->closed_data);
    }
}

static void close_now(struct replica *n)
{
    assert(n->closing && !n->turning);
    replica_resign_tip(n);
    replica_reads_fail(n, ERR_CLOSED, "this master is stopping");
    replica_members_fail(n, ERR_CLOSED, "this master is stopping");
    fire_ready(n);
    raft_close(&n->raft, raft_closed);
}

void replica_close(struct replica *n, void (*closed)(void *data), void *data)
{
    assert(!n->closing);
    n->closed_cb = closed;
    n->closed_data = data;
    n->closing = true;
    if (!n->turning) { /* from inside a callback of ours: the turn's end does it */
        close_now(n);
    }
}

void replica_free(struct replica *n)
{
    if (n == NULL) {
        return;
    }
    assert(!n->initialised || n->closed);
    free_waiters(&n->batch);
    free_waiters(&n->ready);
    store_fork_free(n->snapshot.fork);
    store_free(n->store);
    free(n->address);
    free(n->snapshot_dir);
    free(n);
}

/* ---- What is known ---- */

struct store *replica_store(struct replica *n)
{
    return n->store;
}

bool replica_leading(const struct replica *n)
{
    return n->phase == REPLICA_LEADING && !n->resign && !n->dead && !n->closing && replica_is_leader_of(n, n->term);
}

uint64_t replica_term(const struct replica *n)
{
    return raft_current_term(&n->raft);
}

uint64_t replica_current_term(const struct replica *n)
{
    return n->dead || n->closing ? 0 : raft_current_term(&n->raft);
}

uint64_t replica_leader(const struct replica *n, const char **address)
{
    raft_id id = 0;
    const char *a = NULL;
    if (n->started && !n->closing) {
        raft_leader((struct raft *)&n->raft, &id, &a);
    }
    if (address != NULL) {
        *address = id == 0 || a == NULL ? "" : a;
    }
    return id;
}

uint64_t replica_durable_index(const struct replica *n)
{
    return n->started && !n->closed ? MIN(raft_last_applied((struct raft *)&n->raft), n->raft.last_stored) : 0;
}

void replica_set_disk(struct replica *n, enum replica_disk disk)
{
    n->disk = disk;
}

void replica_set_disk_text(struct replica *n, const char *text)
{
    snprintf(n->disk_text, sizeof n->disk_text, "%s", text);
}

bool replica_disk_low(const struct replica *n)
{
    return n->disk != REPLICA_DISK_ENOUGH;
}

void replica_stats(const struct replica *n, struct replica_stats *out)
{
    *out = n->stats;
    out->commit_index = n->closed ? 0 : raft_commit_index(&n->raft);
    out->last_index = n->closed ? 0 : raft_last_index((struct raft *)&n->raft);
    out->applied_index = store_applied_index(n->store);
    out->inflight = n->inflight;
    out->queued = n->queued;
    out->election_timeout_ms = replica_election_ms(n);
    out->standstill_ms = pace_all(&n->pace, replica_now(n));
    out->members_open = !n->closed && n->raft.configuration_uncommitted_index != 0;
}

/* ---- Leadership ---- */

static void set_phase(struct replica *n, enum replica_phase phase)
{
    bool was = n->phase == REPLICA_LEADING, is = phase == REPLICA_LEADING;
    assert(!is || n->phase == REPLICA_BARRIER);
    assert(is == (store_tip(n->store) != NULL));
    n->phase = phase;
    if (was != is) {
        log_info(n->config.log, "node", "%s, term %llu", is ? "leading" : "leading no more",
                 (unsigned long long)n->term);
        if (n->config.events.on_leading != NULL && !n->closing) {
            n->config.events.on_leading(n->config.events.data, is, n->term);
        }
    }
}

void replica_resign_tip(struct replica *n)
{
    n->resign = false;
    store_tip_drop(n->store);
    replica_writes_lose_batch(n);
    bool leader = n->initialised && replica_is_leader_of(n, n->term);
    if (!leader || n->closing || n->dead) {
        replica_writes_lose_proposals(n);
    }
    replica_reads_leadership_lost(n);
    if (n->phase != REPLICA_FOLLOWING) {
        set_phase(n, leader && !n->closing ? REPLICA_TRANSFERRING : REPLICA_FOLLOWING);
    }
}

static bool submit_barrier(struct replica *n)
{
    assert(n->phase == REPLICA_FOLLOWING || n->phase == REPLICA_TRANSFERRING);
    if (raft_transferee(&n->raft) != 0 || raft_barrier(&n->raft, &n->barrier, NULL) != 0) {
        return false;
    }
    n->barrier_index = n->barrier.index;
    assert(n->barrier_index > 0 && n->barrier_index <= raft_last_index(&n->raft));
    n->phase = REPLICA_BARRIER;
    return true;
}

static bool follow_leadership(struct replica *n)
{
    bool leader = raft_state(&n->raft) == RAFT_LEADER;
    uint64_t term = raft_current_term(&n->raft);
    bool did = false;
    if (n->phase != REPLICA_FOLLOWING && (!leader || term != n->term)) {
        replica_resign_tip(n);
        assert(n->phase == REPLICA_FOLLOWING);
        did = true;
    } else if (n->resign) {
        replica_resign_tip(n);
        did = true;
    }
    assert(n->phase == REPLICA_FOLLOWING || (leader && term == n->term));
    if (n->phase == REPLICA_FOLLOWING && leader) {
        assert(list_empty(&n->proposals) || LIST_ENTRY(n->proposals.next, struct proposal, link)->applied);
        n->term = term;
        did = submit_barrier(n) || did;
    }
    if (n->phase == REPLICA_BARRIER && raft_last_applied(&n->raft) >= n->barrier_index) {
        store_tip_open(n->store, term);
        set_phase(n, REPLICA_LEADING);
        did = true;
    }
    if (n->phase == REPLICA_TRANSFERRING && n->raft.transfer == NULL && raft_transferee(&n->raft) == 0 &&
        list_empty(&n->proposals)) {
        did = submit_barrier(n) || did;
    }
    return did;
}

static bool tell_leader(struct replica *n)
{
    const char *address;
    uint64_t id = replica_leader(n, &address);
    if (id == n->leader_id && strcmp(address, n->leader_address) == 0) {
        return false;
    }
    if (id != 0 && id != n->known_leader) {
        n->stats.leaders += n->known_leader != 0;
        n->known_leader = id;
    }
    n->leader_id = id;
    snprintf(n->leader_address, sizeof n->leader_address, "%s", address);
    if (n->config.events.on_leader_known != NULL) {
        n->config.events.on_leader_known(n->config.events.data, id, n->leader_address);
    }
    return true;
}

/* ---- Turn ---- */

static bool tell_committed(struct replica *n)
{
    uint64_t revision = view_revision(store_committed(n->store));
    if (revision == n->told_revision && !n->restored) {
        return false;
    }
    bool restored = n->restored;
    assert(restored || revision > n->told_revision);
    n->told_revision = revision;
    n->restored = false;
    if (restored) {
        n->snapshot.last_index = raft_last_applied(&n->raft);
        n->snapshot.bytes = 0;
    }
    if (n->config.events.on_committed != NULL) {
        n->config.events.on_committed(n->config.events.data, revision, restored);
    }
    return true;
}

static void fire_ready(struct replica *n)
{
    while (!list_empty(&n->ready)) {
        struct waiter *w = LIST_ENTRY(n->ready.next, struct waiter, link);
        list_remove(&w->link);
        if (w->write_cb != NULL) {
            assert(n->queued > 0);
            n->queued--;
            w->write_cb(w->error == NULL ? &w->result : NULL, w->error, w->data);
        } else if (w->index_cb != NULL) {
            w->index_cb(w->index, w->error, w->data);
        } else if (w->read_cb != NULL) {
            w->read_cb(w->error, w->data);
        }
        free(w->error);
        free(w);
    }
}

static bool tell_fatal(struct replica *n)
{
    if (!n->dead || n->fatal_told) {
        return false;
    }
    n->fatal_told = true;
    replica_resign_tip(n);
    replica_reads_fail(n, ERR_CLOSED, "this master has failed");
    replica_members_fail(n, ERR_CLOSED, "this master has failed");
    fire_ready(n);
    if (n->config.events.on_fatal != NULL) {
        n->config.events.on_fatal(n->config.events.data, &n->fatal);
    }
    return true;
}

bool replica_turn(struct replica *n)
{
    assert(!n->turning);
    if (!n->started || n->closing) {
        return false;
    }
    n->turning = true;
    bool did = tell_fatal(n);
    if (!n->dead) {
        uint64_t applied = raft_last_applied(&n->raft);
        if (applied > store_applied_index(n->store)) {
            store_apply_empty(n->store, applied); /* barriers, configuration, a restored snapshot */
        }
        assert(store_applied_index(n->store) >= applied);
        did = replica_writes_finish(n) || did;
        did = follow_leadership(n) || did;
        replica_pace_turn(n);
        did = tell_leader(n) || did;
        did = tell_committed(n) || did;
        store_pack(n->store);
        did = replica_writes_propose(n) || did;
        did = replica_reads_turn(n) || did;
        did = replica_members_turn(n) || did;
        replica_snapshot_turn(n);
        replica_io_turn(n);
    }
    if (!list_empty(&n->ready)) {
        fire_ready(n);
        did = true;
    }
    n->turning = false;
    if (n->closing) {
        close_now(n);
    }
    return did;
}

int64_t replica_next_deadline(const struct replica *n)
{
    int64_t a = replica_reads_deadline(n), b = replica_members_deadline(n);
    return MIN(a, b);
}
