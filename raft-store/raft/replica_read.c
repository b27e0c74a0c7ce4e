/* Linearizable reads without a log entry (Raft dissertation, section 6.4, with the question for the term in place of
 * heartbeats).
 *
 * A round: note the commit index, ask every voter "is your current term still T?", wait until a majority (ourselves
 * included) has said yes. Whoever says yes after the round began had not voted for a later leader when it began, so no
 * later leader existed then, and nothing acknowledged before the round can be behind the noted index. That holds only
 * once an entry of our own term has been applied, so rounds start in phase LEADING. Reads that come while a round
 * runs wait for the next one. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "raft-store/raft/replica_int.h"

static unsigned voters(const struct replica *n)
{
    unsigned count = 0;
    for (unsigned i = 0; i < n->raft.configuration.n; i++) {
        count += n->raft.configuration.servers[i].role == RAFT_VOTER;
    }
    return count;
}

/* By id: a place in the configuration may be another's after a change of the membership. */
static bool said_yes(const struct replica *n, uint64_t id)
{
    for (unsigned i = 0; i < n->reads.yes_count; i++) {
        if (n->reads.yes[i] == id) {
            return true;
        }
    }
    return false;
}

static void ask_missing(struct replica *n)
{
    for (unsigned i = 0; i < n->raft.configuration.n; i++) {
        const struct raft_server *s = &n->raft.configuration.servers[i];
        if (s->role == RAFT_VOTER && !said_yes(n, s->id)) {
            n->config.peers.ask_term(n->config.peers.data, s->id, n->reads.round, n->term);
        }
    }
    n->reads.ask_again_ms = replica_now(n) + n->config.heartbeat_ms;
}

static void count_yes(struct replica *n, uint64_t id)
{
    if (n->reads.yes_count < ARRAY_SIZE(n->reads.yes) && !said_yes(n, id)) {
        n->reads.yes[n->reads.yes_count++] = id;
    }
}

static bool has_majority(const struct replica *n)
{
    unsigned yes = 0;
    for (unsigned i = 0; i < n->raft.configuration.n; i++) {
        const struct raft_server *s = &n->raft.configuration.servers[i];
        yes += s->role == RAFT_VOTER && said_yes(n, s->id);
    }
    return yes > voters(n) / 2;
}

static void start_round(struct replica *n)
{
    assert(!n->reads.running && list_empty(&n->reads.current));
    while (!list_empty(&n->reads.next)) {
        struct list *l = n->reads.next.next;
        list_remove(l);
        list_push_back(&n->reads.current, l);
    }
    assert(n->phase == REPLICA_LEADING && !list_empty(&n->reads.current));
    n->reads.round++;
    n->reads.running = true;
    n->reads.index = raft_commit_index(&n->raft);
    n->reads.yes_count = 0;
    n->reads.deadline_ms = replica_now(n) + n->config.election_timeout_ms;
    n->stats.read_rounds++;
    count_yes(n, n->config.id);
    if (!has_majority(n)) {
        ask_missing(n);
    }
}

static void finish_round(struct replica *n)
{
    assert(n->reads.running && n->reads.yes_count > 0 && n->reads.yes_count <= ARRAY_SIZE(n->reads.yes));
    assert(n->reads.index <= raft_commit_index(&n->raft));
    n->reads.running = false;
    while (!list_empty(&n->reads.current)) {
        struct waiter *w = LIST_ENTRY(n->reads.current.next, struct waiter, link);
        list_remove(&w->link);
        if (w->index_cb != NULL) {
            w->index = n->reads.index;
            replica_answer(n, w, NULL); /* the other master waits until it has applied that far */
        } else {
            w->index = MAX(w->index, n->reads.index);
            w->deadline_ms = INT64_MAX;
            list_push_back(&n->reads.waiting, &w->link);
        }
    }
}

static void fail_list(struct replica *n, struct list *l, int code, const char *why)
{
    while (!list_empty(l)) {
        struct waiter *w = LIST_ENTRY(l->next, struct waiter, link);
        if (w->result.repeated) {
            replica_answer_lost(n, w, true); /* its first attempt may or may not last */
        } else {
            replica_answer_code(n, w, code, "%s", why);
        }
    }
}

/* ---- The turn ---- */

static bool settle_waiting(struct replica *n)
{
    bool did = false;
    uint64_t applied = raft_last_applied(&n->raft);
    int64_t now = replica_now(n);
    LIST_FOR_SAFE(it, &n->reads.waiting)
    {
        struct waiter *w = LIST_ENTRY(it, struct waiter, link);
        if (applied >= w->index) {
            replica_answer(n, w, w->error); /* a refusal that was to be confirmed, or done */
            did = true;
        } else if (now >= w->deadline_ms) {
            replica_answer_code(n, w, ERR_TIMEOUT,
                                "this master has applied the log up to %llu and did not get to %llu in time",
                                (unsigned long long)applied, (unsigned long long)w->index);
            did = true;
        }
    }
    return did;
}

static bool expire_next(struct replica *n)
{
    int64_t now = replica_now(n);
    struct list late;
    list_init(&late);
    LIST_FOR_SAFE(it, &n->reads.next)
    {
        struct waiter *w = LIST_ENTRY(it, struct waiter, link);
        if (now >= w->deadline_ms) {
            list_remove(&w->link);
            list_push_back(&late, &w->link);
        }
    }
    bool did = !list_empty(&late);
    fail_list(n, &late, ERR_NO_QUORUM, "the new leader has not heard from a majority of the masters");
    return did;
}

bool replica_reads_turn(struct replica *n)
{
    bool did = false;
    if (n->reads.running && has_majority(n)) {
        finish_round(n);
        did = true;
    }
    if (n->reads.running && replica_now(n) >= n->reads.deadline_ms) {
        n->reads.running = false;
        fail_list(n, &n->reads.current, ERR_NO_QUORUM, "no majority of the masters answers");
        did = true;
    } else if (n->reads.running && replica_now(n) >= n->reads.ask_again_ms) {
        ask_missing(n);
        did = true;
    }
    if (!n->reads.running && !list_empty(&n->reads.next)) {
        if (n->phase == REPLICA_LEADING && replica_is_leader_of(n, n->term)) {
            start_round(n);
            if (has_majority(n)) {
                finish_round(n); /* the only voter */
            }
            did = true;
        } else {
            did = expire_next(n) || did;
        }
    }
    return settle_waiting(n) || did;
}

int64_t replica_reads_deadline(const struct replica *n)
{
    int64_t at = INT64_MAX;
    if (n->reads.running) {
        at = MIN(n->reads.deadline_ms, n->reads.ask_again_ms);
    }
    LIST_FOR(it, &n->reads.waiting)
    {
        at = MIN(at, LIST_ENTRY(it, struct waiter, link)->deadline_ms);
    }
    LIST_FOR(it, &n->reads.next)
    {
        at = MIN(at, LIST_ENTRY(it, struct waiter, link)->deadline_ms);
    }
    return at;
}

static void lose_list(struct replica *n, struct list *l)
{
    while (!list_empty(l)) {
        replica_answer_lost(n, LIST_ENTRY(l->next, struct waiter, link), false);
    }
}

void replica_reads_leadership_lost(struct replica *n)
{
    n->reads.running = false;
    lose_list(n, &n->reads.current);
    if (!replica_is_leader_of(n, n->term)) {
        lose_list(n, &n->reads.next);
    }
    assert(list_empty(&n->reads.current));
    LIST_FOR_SAFE(it, &n->reads.waiting)
    {
        struct waiter *w = LIST_ENTRY(it, struct waiter, link);
        if (w->write_cb != NULL) { /* leans on entries of ours; others may stand at their index now */
            replica_answer_lost(n, w, false);
        }
    }
}

void replica_reads_fail(struct replica *n, int code, const char *why)
{
    n->reads.running = false;
    fail_list(n, &n->reads.current, code, why);
    fail_list(n, &n->reads.next, code, why);
    fail_list(n, &n->reads.waiting, code, why);
    assert(list_empty(&n->reads.current) && list_empty(&n->reads.next) && list_empty(&n->reads.waiting));
}

/* ---- The public side ---- */

void replica_confirm(struct replica *n, struct waiter *w)
{
    w->deadline_ms = replica_now(n) + n->config.election_timeout_ms;
    if (n->dead || n->closing || n->phase == REPLICA_FOLLOWING || !replica_is_leader_of(n, n->term)) {
        replica_answer_code(n, w, ERR_NOT_LEADER, "this master is not the leader");
        return;
    }
    list_push_back(&n->reads.next, &w->link);
}

void replica_read(struct replica *n, replica_read_cb *cb, void *data)
{
    struct waiter *w = replica_waiter_new(data);
    w->read_cb = cb;
    n->stats.reads++;
    replica_confirm(n, w);
}

void replica_read_index(struct replica *n, replica_index_cb *cb, void *data)
{
    struct waiter *w = replica_waiter_new(data);
    w->index_cb = cb;
    n->stats.reads++;
    replica_confirm(n, w);
}

void replica_wait_applied(struct replica *n, uint64_t index, int64_t timeout_ms, replica_read_cb *cb, void *data)
{
    struct waiter *w = replica_waiter_new(data);
    w->read_cb = cb;
    w->index = index;
    w->deadline_ms = replica_now(n) + timeout_ms;
    if (n->dead || n->closing) {
        replica_answer_code(n, w, ERR_CLOSED, "this master is stopping");
    } else {
        list_push_back(&n->reads.waiting, &w->link);
    }
}

void replica_term_confirmed(struct replica *n, uint64_t round, uint64_t from_id, uint64_t their_term)
{
    if (n->reads.running && round == n->reads.round && their_term == n->term && replica_is_leader_of(n, n->term)) {
        count_yes(n, from_id);
    }
}
