/* The node: life, leadership, the turn. Writes: node_write.c; reads: node_read.c; membership: node_member.c.
 *
 *   FOLLOWING --elected--> BARRIER --own entry applied--> LEADING --node_transfer--> TRANSFERRING
 *       ^                     |                              |                            |
 *       +------ state or term changed (seen in follow_leadership) -----------------------+
 *   TRANSFERRING --transfer failed, still leader--> BARRIER
 *
 * Everything happens in node_turn: libraft's callbacks only note. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/mem.h"
#include "raft-store/node_int.h"
#include "raft-store/snapfile.h"

/* ---- Helpers ---- */

int64_t node_now(const struct node *n)
{
    return env_now_ms(n->config.env);
}

bool node_is_leader_of(const struct node *n, uint64_t term)
{
    return raft_state((struct raft *)&n->raft) == RAFT_LEADER && raft_current_term(&n->raft) == term;
}

struct waiter *node_waiter_new(void *data)
{
    struct waiter *w = xcalloc(1, sizeof *w);
    list_init(&w->link);
    w->data = data;
    return w;
}

void node_answer(struct node *n, struct waiter *w, const struct error *error)
{
    if (error != NULL && error != w->error) {
        free(w->error);
        w->error = xmemdup(error, sizeof *error);
    }
    list_remove(&w->link);
    list_push_back(&n->ready, &w->link);
}

void node_answer_code(struct node *n, struct waiter *w, int code, const char *fmt, ...)
{
    struct error e = {0};
    char text[ERROR_MESSAGE_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    error_set(&e, code, "%s", text);
    node_answer(n, w, &e);
}

void node_die(struct node *n, int code, const char *fmt, ...)
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

int node_raft_error(struct node *n, int rv, struct error *err, const char *what)
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
    struct node *n = fsm->data;
    *result = NULL;
    if (n->dead) {
        return 0; /* the library ignores failures and goes on in disorder: swallow instead, the process ends */
    }
    uint64_t index = raft_last_applied(&n->raft) + 1;
    struct error err = {0};
    uint64_t before = view_revision(store_committed(n->store));
    int rv = failpoint(FAILPOINT_apply_damaged) ? error_set(&err, ERR_CORRUPT, "failed by a failpoint")
                                                : store_apply(n->store, index, buf->base, buf->len, &err);
    if (rv != 0) {
        error_wrap(&err, "log entry %llu", (unsigned long long)index);
        node_die(n, ERR_CORRUPT, "%s", err.message);
        return 0;
    }
    n->stats.transactions += view_revision(store_committed(n->store)) - before;
    n->stats.entries++;
    n->stats.bytes += buf->len;
    node_snapshot_applied(n, buf->len);
    node_writes_applied(n, index);
    return 0;
}

static int fsm_restore(struct raft_fsm *fsm, struct raft_buffer *buf)
{
    struct node *n = fsm->data;
    struct error err = {0};
    /* The index is put right by the next turn: libraft sets its own only behind this call. */
    int rc = node_snapshot_restore(n, buf, &err);
    if (rc != 0) {
        node_die(n, rc, "%s", err.message);
        return RAFT_CORRUPT;
    }
    raft_free(buf->base);
    n->stats.restores++;
    n->restored = true;
    return 0;
}

/* ---- Life ---- */

static void set_up_raft(struct node *n)
{
    const struct node_config *c = &n->config;
    raft_set_election_timeout(&n->raft, node_election_ms(n));
    raft_set_heartbeat_timeout(&n->raft, c->heartbeat_ms);
    node_io_turn(n);
    raft_set_pre_vote(&n->raft, true);
    raft_set_max_inflight_entries(&n->raft, NODE_INFLIGHT_MAX * 4);
    raft_set_max_catch_up_round_duration(&n->raft, c->election_timeout_ms * 5);
    /* The check refuses barriers too and knows only prepared segments; the owner watches the disk (node_set_disk). */
    raft_set_capacity_threshold(&n->raft, 0);
    node_snapshot_init(n);
}

int node_new(const struct node_config *config, struct node **out, struct error *err)
{
    assert(config->id != 0 && config->io != NULL && config->env != NULL);
    *out = NULL;
    if (raft_version_number() < NODE_RAFT_VERSION_MIN) {
        return error_set(
            err, ERR_UNSUPPORTED,
            "libraft %d.%d.%d is too old: versions before 0.22.1 lose acknowledged writes; install libraft0 "
            "0.22.1 or later (Debian 12 has it in bookworm-backports)",
            raft_version_number() / 10000, raft_version_number() / 100 % 100, raft_version_number() % 100);
    }
    struct node *n = xcalloc(1, sizeof *n);
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
        int rc = node_raft_error(n, rv, err, "open the data directory");
        node_free(n);
        return rc;
    }
    n->initialised = true;
    n->raft.data = n;
    set_up_raft(n);
    node_io_wrap(n);
    n->raft.now = node_pace_time(n); /* what it has is by the clock of the raft_io */
    *out = n;
    return 0;
}

int node_bootstrap(struct node *n, struct error *err)
{
    struct raft_configuration conf;
    raft_configuration_init(&conf);
    int rv = raft_configuration_add(&conf, n->config.id, n->address, RAFT_VOTER);
    if (rv == 0) {
        rv = raft_bootstrap(&n->raft, &conf);
    }
    raft_configuration_close(&conf);
    return rv == 0 ? 0 : node_raft_error(n, rv, err, "start a new cluster in the data directory");
}

int node_start(struct node *n, struct error *err)
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
        return node_raft_error(n, rv, err, "load the state from the data directory");
    }
    n->started = true;
    if (n->snapshot_dir != NULL) {
        snapfile_sweep(n->snapshot_dir, true);
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

static void fire_ready(struct node *n);

static void raft_closed(struct raft *raft)
{
    struct node *n = raft->data;
    LIST_FOR_SAFE(it, &n->proposals)
    {
        struct proposal *p = LIST_ENTRY(it, struct proposal, link);
        list_remove(&p->link);
        free(p);
    }
    node_io_unwrap(n);
    fire_ready(n); /* what was asked, and refused, since close_now */
    n->closed = true;
    if (n->closed_cb != NULL) {
        n->closed_cb(n->closed_data);
    }
}

static void close_now(struct node *n)
{
    node_resign_tip(n);
    node_reads_fail(n, ERR_CLOSED, "this master is stopping");
    node_members_fail(n, ERR_CLOSED, "this master is stopping");
    fire_ready(n);
    raft_close(&n->raft, raft_closed);
}

void node_close(struct node *n, void (*closed)(void *data), void *data)
{
    assert(!n->closing);
    n->closed_cb = closed;
    n->closed_data = data;
    n->closing = true;
    if (!n->turning) { /* from inside a callback of ours: the turn's end does it */
        close_now(n);
    }
}

void node_free(struct node *n)
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

struct store *node_store(struct node *n)
{
    return n->store;
}

bool node_leading(const struct node *n)
{
    return n->phase == NODE_LEADING && !n->resign && !n->dead && !n->closing && node_is_leader_of(n, n->term);
}

uint64_t node_term(const struct node *n)
{
    return raft_current_term(&n->raft);
}

uint64_t node_current_term(const struct node *n)
{
    return n->dead || n->closing ? 0 : raft_current_term(&n->raft);
}

uint64_t node_leader(const struct node *n, const char **address)
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

uint64_t node_durable_index(const struct node *n)
{
    return n->started && !n->closed ? MIN(raft_last_applied((struct raft *)&n->raft), n->raft.last_stored) : 0;
}

void node_set_disk(struct node *n, enum node_disk disk)
{
    n->disk = disk;
}

void node_set_disk_text(struct node *n, const char *text)
{
    snprintf(n->disk_text, sizeof n->disk_text, "%s", text);
}

bool node_disk_low(const struct node *n)
{
    return n->disk != NODE_DISK_ENOUGH;
}

void node_stats(const struct node *n, struct node_stats *out)
{
    *out = n->stats;
    out->commit_index = n->closed ? 0 : raft_commit_index(&n->raft);
    out->last_index = n->closed ? 0 : raft_last_index((struct raft *)&n->raft);
    out->applied_index = store_applied_index(n->store);
    out->inflight = n->inflight;
    out->queued = n->queued;
    out->election_timeout_ms = node_election_ms(n);
    out->standstill_ms = pace_all(&n->pace, node_now(n));
    out->members_open = !n->closed && n->raft.configuration_uncommitted_index != 0;
}

/* ---- Leadership ---- */

static void set_phase(struct node *n, enum node_phase phase)
{
    bool was = n->phase == NODE_LEADING, is = phase == NODE_LEADING;
    n->phase = phase;
    if (was != is) {
        log_info(n->config.log, "node", "%s, term %llu", is ? "leading" : "leading no more",
                 (unsigned long long)n->term);
        if (n->config.events.on_leading != NULL && !n->closing) {
            n->config.events.on_leading(n->config.events.data, is, n->term);
        }
    }
}

void node_resign_tip(struct node *n)
{
    n->resign = false;
    store_tip_drop(n->store);
    node_writes_lose_batch(n);
    bool leader = n->initialised && node_is_leader_of(n, n->term);
    if (!leader || n->closing || n->dead) {
        node_writes_lose_proposals(n);
    }
    node_reads_leadership_lost(n);
    if (n->phase != NODE_FOLLOWING) {
        set_phase(n, leader && !n->closing ? NODE_TRANSFERRING : NODE_FOLLOWING);
    }
}

static bool submit_barrier(struct node *n)
{
    if (raft_transferee(&n->raft) != 0 || raft_barrier(&n->raft, &n->barrier, NULL) != 0) {
        return false;
    }
    n->barrier_index = n->barrier.index;
    n->phase = NODE_BARRIER;
    return true;
}

static bool follow_leadership(struct node *n)
{
    bool leader = raft_state(&n->raft) == RAFT_LEADER;
    uint64_t term = raft_current_term(&n->raft);
    bool did = false;
    if (n->phase != NODE_FOLLOWING && (!leader || term != n->term)) {
        node_resign_tip(n);
        assert(n->phase == NODE_FOLLOWING);
        did = true;
    } else if (n->resign) {
        node_resign_tip(n);
        did = true;
    }
    if (n->phase == NODE_FOLLOWING && leader) {
        assert(list_empty(&n->proposals) || LIST_ENTRY(n->proposals.next, struct proposal, link)->applied);
        n->term = term;
        did = submit_barrier(n) || did;
    }
    if (n->phase == NODE_BARRIER && raft_last_applied(&n->raft) >= n->barrier_index) {
        store_tip_open(n->store, term);
        set_phase(n, NODE_LEADING);
        did = true;
    }
    if (n->phase == NODE_TRANSFERRING && n->raft.transfer == NULL && raft_transferee(&n->raft) == 0 &&
        list_empty(&n->proposals)) {
        did = submit_barrier(n) || did;
    }
    return did;
}

static bool tell_leader(struct node *n)
{
    const char *address;
    uint64_t id = node_leader(n, &address);
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

static bool tell_committed(struct node *n)
{
    uint64_t revision = view_revision(store_committed(n->store));
    if (revision == n->told_revision && !n->restored) {
        return false;
    }
    bool restored = n->restored;
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

static void fire_ready(struct node *n)
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

static bool tell_fatal(struct node *n)
{
    if (!n->dead || n->fatal_told) {
        return false;
    }
    n->fatal_told = true;
    node_resign_tip(n);
    node_reads_fail(n, ERR_CLOSED, "this master has failed");
    node_members_fail(n, ERR_CLOSED, "this master has failed");
    fire_ready(n);
    if (n->config.events.on_fatal != NULL) {
        n->config.events.on_fatal(n->config.events.data, &n->fatal);
    }
    return true;
}

bool node_turn(struct node *n)
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
        did = node_writes_finish(n) || did;
        did = follow_leadership(n) || did;
        node_pace_turn(n);
        did = tell_leader(n) || did;
        did = tell_committed(n) || did;
        did = node_writes_propose(n) || did;
        did = node_reads_turn(n) || did;
        did = node_members_turn(n) || did;
        node_snapshot_turn(n);
        node_io_turn(n);
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

int64_t node_next_deadline(const struct node *n)
{
    int64_t a = node_reads_deadline(n), b = node_members_deadline(n);
    return MIN(a, b);
}
