/* Writes: from the transaction to its answer.
 *
 * replica_submit evaluates on the tip and puts a waiter into the open batch; the turn's end makes one entry of the
 * batch (a proposal); the state machine marks the proposal applied if we still lead the term it was made in; the turn
 * after that answers. What is in a proposal when leadership goes is unknown; what was still in the open batch never
 * happened. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "raft-store/raft/replica_int.h"

/* ---- In ---- */

bool replica_writes_propose(struct replica *n)
{
    if (!replica_leading(n) || store_batch_empty(n->store) || n->inflight >= REPLICA_INFLIGHT_MAX) {
        return false;
    }
    CLEANUP_BUF struct buf entry = BUF_INIT;
    store_batch_take(n->store, &entry);
    assert(entry.size > 0 && entry.size % 8 == 0 && store_batch_empty(n->store));
    struct raft_buffer buf = {.base = raft_malloc(entry.size), .len = entry.size};
    assert(buf.base != NULL);
    memcpy(buf.base, entry.data, entry.size);
    struct proposal *p = xcalloc(1, sizeof *p);
    list_init(&p->waiters);
    if (!list_empty(&n->batch)) { /* move all */
        p->waiters = n->batch;
        p->waiters.next->prev = &p->waiters;
        p->waiters.prev->next = &p->waiters;
        list_init(&n->batch);
    }
    assert(list_empty(&n->batch));
    p->term = n->term;
    p->index = raft_last_index(&n->raft) + 1;
    assert(p->index > store_applied_index(n->store));
    assert(list_empty(&n->proposals) || LIST_ENTRY(n->proposals.prev, struct proposal, link)->index < p->index);
    list_push_back(&n->proposals, &p->link);
    n->inflight++;
    int rv = raft_apply(&n->raft, &p->req, &buf, 1, NULL);
    if (rv != 0) {
        /* Nothing was appended. The tip holds what was not proposed: it has to go, and comes back behind a barrier. Not
         * here: the owner may be in the middle of reading it. */
        struct error why = {0};
        replica_raft_error(n, rv, &why, "propose a log entry");
        log_warn(n->config.log, "node", "%s", why.message);
        raft_free(buf.base);
        while (!list_empty(&p->waiters)) {
            replica_answer(n, LIST_ENTRY(p->waiters.next, struct waiter, link), &why);
        }
        list_remove(&p->link);
        n->inflight--;
        free(p);
        n->resign = true;
        return true;
    }
    assert(p->index == p->req.index);
    return true;
}

static void add_waiter(struct replica *n, struct list *to, struct waiter *w)
{
    n->queued++;
    list_push_back(to, &w->link);
}

/* The answer reads the tip (a refusal, a repeat, an update that changed nothing). It goes out when all that the tip
 * holds has been committed and it is sure that no other leader had been elected when it was read. The open batch gives
 * both, since it is proposed only now. What is in flight does not give the second: its acknowledgements may have been
 * on their way before the question came, and the next leader elected behind them. So without an open batch the term
 * is confirmed by a round that starts now. */
static void answer_when_tip_holds(struct replica *n, struct waiter *w)
{
    n->queued++;
    if (!store_batch_empty(n->store)) {
        list_push_back(&n->batch, &w->link);
        return;
    }
    if (!list_empty(&n->proposals)) {
        w->index = LIST_ENTRY(n->proposals.prev, struct proposal, link)->index;
    }
    replica_confirm(n, w);
}

/* ---- Room on the disk ----
 * While the disk is low nobody makes anything new, and users change no specs: what is left is for status, and for
 * taking away. The last of it is for taking away alone, so that a cluster with full disks can always be cleaned.
 * What the members need to be repaired and replaced is always taken. */

static bool removes(const struct txn_op *op)
{
    return op->type == TXN_DELETE || (op->type == TXN_UPDATE && op->object->deleting);
}

static bool removes_something(const struct txn *t)
{
    for (unsigned i = 0; i < t->count; i++) {
        if (removes(&t->ops[i])) {
            return true;
        }
    }
    return false;
}

static bool makes_something(const struct txn *t, bool user)
{
    for (unsigned i = 0; i < t->count; i++) {
        const struct txn_op *op = &t->ops[i];
        if (op->type == TXN_CREATE ||
            (user && op->type == TXN_UPDATE && op->part == TXN_PART_SPEC && !op->object->deleting)) {
            return true;
        }
    }
    return false;
}

static bool is_from(const struct txn *t, const char *origin)
{
    return t->origin != NULL && strcmp(t->origin, origin) == 0;
}

/* Joining, leaving, and what the cluster keeps of itself. */
static bool is_members(const struct txn *t)
{
    static const char *const origins[] = {"announce", "bootstrap", "join", "members", "token"};
    for (size_t i = 0; i < ARRAY_SIZE(origins); i++) {
        if (is_from(t, origins[i])) {
            return true;
        }
    }
    return false;
}

static bool has_room(const struct replica *n, const struct txn *t)
{
    bool user = is_from(t, "api"), agent = is_from(t, "agent");
    switch (n->disk) {
    case REPLICA_DISK_ENOUGH:
        return true;
    case REPLICA_DISK_LOW:
        return is_members(t) || !makes_something(t, user) || (!user && removes_something(t));
    case REPLICA_DISK_LAST:
        return is_members(t) || removes_something(t) || (!user && !agent && !makes_something(t, false));
    }
    return false;
}

/* ---- Shares ----
 * A batch that is full is full for somebody: what the system itself wants leaves room for users, users leave room for
 * nodes (an agent that cannot register or report is a node lost), and all leave room for taking away, without which
 * nothing would get better. */

enum share { SHARE_SYSTEM, SHARE_USER, SHARE_NODE, SHARE_REMOVAL };
static const struct {
    size_t batch_bytes; /* of the open batch: nothing of this sort is taken in above */
    unsigned queued;    /* transactions that wait for their answers, likewise */
} shares[] = {
    [SHARE_SYSTEM] = {REPLICA_BATCH_MAX / 4, REPLICA_QUEUE_MAX / 8},
    [SHARE_USER] = {REPLICA_BATCH_MAX / 4 * 3, REPLICA_QUEUE_MAX - 8192},
    [SHARE_NODE] = {REPLICA_BATCH_MAX / 8 * 7, REPLICA_QUEUE_MAX - 4096},
    [SHARE_REMOVAL] = {REPLICA_BATCH_MAX, REPLICA_QUEUE_MAX},
};

static bool only_removes(const struct txn *t)
{
    for (unsigned i = 0; i < t->count; i++) {
        const struct txn_op *op = &t->ops[i];
        bool takes_away = op->type == TXN_DELETE || op->type == TXN_CHECK ||
                          (op->type == TXN_UPDATE && op->part == TXN_PART_ALL && op->object->deleting);
        if (!takes_away) {
            return false;
        }
    }
    return t->count > 0;
}

/* The system's own removals are many as well: they wait with the rest of it. */
static enum share share_of(const struct txn *t)
{
    bool user = is_from(t, "api"), agent = is_from(t, "agent");
    if ((user || agent) && only_removes(t)) {
        return SHARE_REMOVAL;
    }
    return agent ? SHARE_NODE : SHARE_USER;
}

static bool has_share(const struct replica *n, enum share s)
{
    return n->queued < shares[s].queued && store_batch_bytes(n->store) <= shares[s].batch_bytes;
}

bool replica_has_room_for(const struct replica *n, enum replica_room who)
{
    return has_share(n, who == REPLICA_ROOM_AGENTS ? SHARE_NODE : SHARE_USER);
}

bool replica_has_room(const struct replica *n)
{
    return replica_leading(n) && has_share(n, SHARE_SYSTEM);
}

static int may_submit(struct replica *n, const struct txn *t, struct error *err)
{
    if (!replica_leading(n)) {
        return error_set(err, ERR_NOT_LEADER, "this master is not the leader");
    }
    if (!has_share(n, share_of(t))) {
        return error_set(err, ERR_LIMIT, "%u writes (%zu bytes) wait to be replicated already; try again in a moment",
                         n->queued, store_batch_bytes(n->store));
    }
    if (!has_room(n, t)) {
        return error_set(err, ERR_NO_SPACE,
                         "the disk of master %llu is nearly full%s%s: only deletes%s are accepted until there is room",
                         (unsigned long long)n->config.id, n->disk_text[0] == '\0' ? "" : ": ", n->disk_text,
                         n->disk == REPLICA_DISK_LAST ? "" : " and status");
    }
    if (!is_members(t) && !replica_state_takes(n, t, is_from(t, "api"), err)) {
        n->stats.state_refused++;
        return ERR_LIMIT;
    }
    return 0;
}

int replica_submit(struct replica *n, const struct txn *t, replica_write_cb *cb, void *data, struct error *err)
{
    return replica_submit_seen(n, t, NULL, cb, data, err);
}

int replica_submit_seen(struct replica *n, const struct txn *t, replica_decided_cb *decided, replica_write_cb *cb,
                        void *data, struct error *err)
{
    struct error local = {0};
    struct waiter *w = NULL;
    if (cb != NULL) {
        w = replica_waiter_new(data);
        w->write_cb = cb;
    }
    err = err != NULL ? err : &local;
    int rc = may_submit(n, t, err);
    if (rc != 0) {
        if (w != NULL) {
            n->queued++;
            replica_answer(n, w, err);
        }
        return rc;
    }
    struct txn_result result;
    rc = store_eval(n->store, t, &result, err);
    n->stats.refused += rc != 0;
    unsigned count = 0;
    const struct change *changes = rc != 0 ? NULL : store_last_changes(n->store, &count);
    if (rc == 0 && decided != NULL && !result.repeated) {
        decided(changes, count, data);
    }
    if (rc == 0 && !result.unchanged && !result.repeated) {
        assert(count > 0);
        if (w != NULL) {
            w->result = result;
            add_waiter(n, &n->batch, w);
        }
        if (n->config.events.on_tip != NULL) {
            n->config.events.on_tip(n->config.events.data, changes, count);
        }
        if (store_batch_bytes(n->store) >= REPLICA_ENTRY_MAX) {
            replica_writes_propose(n);
        }
    } else if (w != NULL) {
        w->result = result;
        w->error = rc == 0 ? NULL : xmemdup(err, sizeof *err);
        answer_when_tip_holds(n, w);
    }
    return rc;
}

void replica_refuse(struct replica *n, const struct error *refusal, replica_write_cb *cb, void *data)
{
    struct waiter *w = replica_waiter_new(data);
    w->write_cb = cb;
    if (!replica_leading(n)) {
        n->queued++;
        replica_answer_code(n, w, ERR_NOT_LEADER, "this master is not the leader");
        return;
    }
    w->error = xmemdup(refusal, sizeof *refusal);
    answer_when_tip_holds(n, w);
}

/* ---- Out ---- */

void replica_writes_applied(struct replica *n, uint64_t index)
{
    if (list_empty(&n->proposals)) {
        return;
    }
    LIST_FOR(it, &n->proposals)
    {
        struct proposal *p = LIST_ENTRY(it, struct proposal, link);
        if (!p->applied) {
            assert(index <= p->index || !replica_is_leader_of(n, p->term)); /* in order, and none is passed over */
            /* Ours only if we led without a break from proposing to applying: another leader may have put its own
             * entry here. */
            p->applied = p->index == index && replica_is_leader_of(n, p->term);
            return;
        }
    }
}

bool replica_writes_finish(struct replica *n)
{
    bool did = false;
    while (!list_empty(&n->proposals)) {
        struct proposal *p = LIST_ENTRY(n->proposals.next, struct proposal, link);
        if (!p->applied) {
            break;
        }
        assert(store_applied_index(n->store) >= p->index && n->inflight > 0);
        while (!list_empty(&p->waiters)) {
            struct waiter *w = LIST_ENTRY(p->waiters.next, struct waiter, link);
            assert(w->result.revision <= view_revision(store_committed(n->store))); /* what it is told is committed */
            replica_answer(n, w, w->error);
        }
        list_remove(&p->link);
        n->inflight--;
        free(p);
        did = true;
    }
    return did;
}

/* What a waiter hears when its entry's fate is not known. Refusals and no-ops did nothing, whatever became of the
 * entry they leant on. */
void replica_answer_lost(struct replica *n, struct waiter *w, bool proposed)
{
    if (w->error != NULL || w->result.unchanged) {
        replica_answer_code(n, w, ERR_NOT_LEADER, "this master ceased to be the leader; nothing was done");
    } else if (proposed || w->result.repeated) {
        n->stats.unknown++;
        replica_answer_code(
            n, w, ERR_UNKNOWN_OUTCOME,
            "this master ceased to be the leader while the write was being replicated: it may or may not be "
            "done; repeat it with the same id");
    } else {
        replica_answer_code(n, w, ERR_NOT_LEADER, "this master ceased to be the leader; nothing was done");
    }
}

void replica_writes_lose_batch(struct replica *n)
{
    while (!list_empty(&n->batch)) {
        replica_answer_lost(n, LIST_ENTRY(n->batch.next, struct waiter, link), false);
    }
}

void replica_writes_lose_proposals(struct replica *n)
{
    LIST_FOR_SAFE(it, &n->proposals)
    {
        struct proposal *p = LIST_ENTRY(it, struct proposal, link);
        while (!list_empty(&p->waiters)) {
            struct waiter *w = LIST_ENTRY(p->waiters.next, struct waiter, link);
            if (p->applied) {
                replica_answer(n, w, w->error);
            } else {
                replica_answer_lost(n, w, true);
            }
        }
        if (p->applied || !replica_is_leader_of(n, p->term)) {
            assert(n->inflight > 0);
            list_remove(&p->link); /* libraft let go of its requests when it stepped down */
            n->inflight--;
            free(p);
        }
    }
}
