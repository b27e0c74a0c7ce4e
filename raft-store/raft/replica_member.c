/* Membership: one change at a time, each watched until its configuration is committed. The leader also moves newcomers
 * on: spare to standby (the log is sent to them), standby to voter once it has nearly caught up, as long as they
 * answer.
 *
 * libraft's own checks are partly assertions, which Debian's build leaves out, so everything is checked here first. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/mem.h"
#include "raft-store/raft/replica_int.h"

/* A standby this near to the end of the log is offered the vote. */
#define PROMOTE_LAG_MAX 64u

struct raft_server *replica_server(const struct replica *n, uint64_t id)
{
    for (unsigned i = 0; i < n->raft.configuration.n; i++) {
        if (n->raft.configuration.servers[i].id == id) {
            return &n->raft.configuration.servers[i];
        }
    }
    return NULL;
}

unsigned replica_voters(const struct replica *n)
{
    unsigned count = 0;
    for (unsigned i = 0; i < n->raft.configuration.n; i++) {
        count += n->raft.configuration.servers[i].role == RAFT_VOTER;
    }
    return count;
}

static bool reachable(const struct replica *n, uint64_t id)
{
    const struct replica_peers *p = &n->config.peers;
    return id == n->config.id || p->reachable == NULL || p->reachable(p->data, id);
}

uint64_t replica_match_index(const struct replica *n, uint64_t id)
{
    raft_index match = 0;
    bool known = replica_leading(n) && raft_match_index(&n->raft, id, &match) == 0;
    return known ? match : 0;
}

unsigned replica_members(const struct replica *n, struct replica_member *out, unsigned max)
{
    unsigned count = n->closed ? 0 : MIN(n->raft.configuration.n, max);
    for (unsigned i = 0; i < count; i++) {
        const struct raft_server *s = &n->raft.configuration.servers[i];
        out[i] = (struct replica_member){.id = s->id, .role = s->role};
        snprintf(out[i].address, sizeof out[i].address, "%s", s->address);
        for (unsigned d = 0; d < n->disks_count; d++) {
            if (n->disks[d].id == s->id) {
                out[i].disk_known = true;
                out[i].disk_low = n->disks[d].low;
            }
        }
        if (s->id == n->config.id) {
            out[i].disk_known = true;
            out[i].disk_low = n->disk != REPLICA_DISK_ENOUGH;
        }
    }
    return count;
}

/* ---- Starting a change ---- */

bool replica_changing(const struct replica *n)
{
    return n->change.kind != CHANGE_NONE || n->raft.legacy.change != NULL ||
           n->raft.configuration_uncommitted_index != 0 || n->raft.leader_state.promotee_id != 0 ||
           n->raft.transfer != NULL || raft_transferee((struct raft *)&n->raft) != 0;
}

static int may_change(struct replica *n, struct error *err)
{
    if (!replica_leading(n)) {
        return error_set(err, ERR_NOT_LEADER, "this master is not the leader");
    }
    if (replica_changing(n)) {
        return error_set(err, ERR_BUSY, "another change of the membership is under way");
    }
    return 0;
}

static void begin(struct replica *n, enum change_kind kind, uint64_t id, struct waiter *w)
{
    /* The entry is in the library's hands, perhaps on this disk, on no other yet: to die here is the test. */
    (void)(kind == CHANGE_ADD && failpoint(FAILPOINT_member_add_appended));
    (void)(kind == CHANGE_REMOVE && failpoint(FAILPOINT_member_remove_appended));
    assert(n->change.kind == CHANGE_NONE && kind != CHANGE_NONE && n->change.waiter == NULL);
    n->change.kind = kind;
    n->change.id = id;
    n->change.waiter = w;
    n->change.term = n->term;
    n->change.deadline_ms = replica_now(n) + (int64_t)replica_election_ms(n) * 30;
}

static int assign(struct replica *n, uint64_t id, int role, struct error *err)
{
    assert(id != 0 && role <= RAFT_SPARE);
    n->change.role = role;
    int rv = raft_assign(&n->raft, &n->change.req, id, role, NULL);
    if (rv != 0) {
        n->raft.legacy.change = NULL; /* the library leaves it set */
        return replica_raft_error(n, rv, err, "change a member's role");
    }
    (void)failpoint(FAILPOINT_member_promote_appended);
    return 0;
}

static struct waiter *waiter_for(replica_read_cb *cb, void *data)
{
    struct waiter *w = replica_waiter_new(data);
    w->read_cb = cb;
    return w;
}

void replica_member_add(struct replica *n, uint64_t id, const char *address, replica_read_cb *cb, void *data)
{
    struct waiter *w = waiter_for(cb, data);
    struct error err = {0};
    int rc = may_change(n, &err);
    if (rc == 0 && id == 0) {
        rc = error_set(&err, ERR_USAGE, "a master's id must not be 0");
    }
    const struct raft_server *there = rc == 0 ? replica_server(n, id) : NULL;
    if (there != NULL) {
        rc = strcmp(there->address, address) == 0
                 ? 0
                 : error_set(&err, ERR_EXISTS, "master %llu is a member already, at %s", (unsigned long long)id,
                             there->address);
        if (rc == 0) {
            replica_answer(n, w, NULL); /* a repeat */
            return;
        }
    }
    for (unsigned i = 0; rc == 0 && i < n->raft.configuration.n; i++) {
        if (strcmp(n->raft.configuration.servers[i].address, address) == 0) {
            rc = error_set(&err, ERR_EXISTS, "the address %s is master %llu's", address,
                           n->raft.configuration.servers[i].id);
        }
    }
    if (rc == 0) {
        int rv = raft_add(&n->raft, &n->change.req, id, address, NULL);
        rc = rv == 0 ? 0 : replica_raft_error(n, rv, &err, "add a member");
    }
    if (rc != 0) {
        replica_answer(n, w, &err);
        return;
    }
    begin(n, CHANGE_ADD, id, w);
}

/* Of the voters without `id`, those that answer must be a majority. */
static int may_do_without(const struct replica *n, uint64_t id, struct error *err)
{
    unsigned rest = 0, up = 0;
    for (unsigned i = 0; i < n->raft.configuration.n; i++) {
        const struct raft_server *s = &n->raft.configuration.servers[i];
        bool counts = s->role == RAFT_VOTER && s->id != id;
        rest += counts;
        up += counts && reachable(n, s->id);
    }
    assert(up <= rest);
    if (up >= rest / 2 + 1) {
        return 0;
    }
    return error_set(err, ERR_CONFLICT,
                     "without master %llu there would be %u voters, of which only %u answer%s and %u are needed: the "
                     "cluster would stand still; bring another one back first",
                     (unsigned long long)id, rest, up, up == 1 ? "s" : "", rest / 2 + 1);
}

void replica_member_remove(struct replica *n, uint64_t id, replica_read_cb *cb, void *data)
{
    struct waiter *w = waiter_for(cb, data);
    struct error err = {0};
    int rc = may_change(n, &err);
    const struct raft_server *s = rc == 0 ? replica_server(n, id) : NULL;
    if (rc == 0 && s == NULL) {
        rc = error_set(&err, ERR_NOT_FOUND, "no master has the id %llu", (unsigned long long)id);
    }
    if (rc == 0 && s->role == RAFT_VOTER && replica_voters(n) == 1) {
        rc = error_set(&err, ERR_USAGE, "master %llu is the only voter: the cluster would end", (unsigned long long)id);
    }
    if (rc == 0 && id == n->config.id) {
        rc = error_set(&err, ERR_USAGE, "master %llu is the leader: transfer the leadership first",
                       (unsigned long long)id);
    }
    if (rc == 0 && s->role == RAFT_VOTER) {
        rc = may_do_without(n, id, &err);
    }
    if (rc == 0) {
        int rv = raft_remove(&n->raft, &n->change.req, id, NULL);
        rc = rv == 0 ? 0 : replica_raft_error(n, rv, &err, "remove a member");
    }
    if (rc != 0) {
        replica_answer(n, w, &err);
        return;
    }
    begin(n, CHANGE_REMOVE, id, w);
}

void replica_transfer(struct replica *n, uint64_t to_id, replica_read_cb *cb, void *data)
{
    struct waiter *w = waiter_for(cb, data);
    struct error err = {0};
    int rc = may_change(n, &err);
    if (rc == 0 && to_id == n->config.id) {
        replica_answer(n, w, NULL);
        return;
    }
    const struct raft_server *s = rc == 0 && to_id != 0 ? replica_server(n, to_id) : NULL;
    if (rc == 0 && to_id != 0 && (s == NULL || s->role != RAFT_VOTER)) {
        rc = error_set(&err, ERR_NOT_FOUND, "no voting master has the id %llu", (unsigned long long)to_id);
    }
    if (rc == 0 && replica_voters(n) < 2) {
        rc = error_set(&err, ERR_USAGE, "there is no other voting master");
    }
    if (rc == 0) {
        int rv = raft_transfer(&n->raft, &n->change.transfer, to_id, NULL);
        rc = rv == 0 ? 0 : replica_raft_error(n, rv, &err, "transfer the leadership");
    }
    if (rc != 0) {
        replica_answer(n, w, &err);
        return;
    }
    begin(n, CHANGE_TRANSFER, to_id, w);
    n->resign = true; /* nothing is proposed while it is under way */
}

/* ---- Watching it ---- */

static void end(struct replica *n, const struct error *err)
{
    struct waiter *w = n->change.waiter;
    assert(n->change.kind != CHANGE_NONE);
    if (w == NULL && err != NULL) {
        n->change.quiet_until_ms = replica_now(n) + (int64_t)replica_election_ms(n) * 5;
        log_warn(n->config.log, "node", "master %llu not moved on yet: %s", (unsigned long long)n->change.id,
                 err->message);
    }
    n->change.kind = CHANGE_NONE;
    n->change.waiter = NULL;
    if (w != NULL) {
        replica_answer(n, w, err);
    }
}

void replica_members_fail(struct replica *n, int code, const char *why)
{
    if (n->change.kind != CHANGE_NONE) {
        struct error err = {0};
        error_set(&err, code, "%s", why);
        end(n, &err);
    }
}

static bool watch_transfer(struct replica *n)
{
    if (n->raft.transfer != NULL && replica_now(n) < n->change.deadline_ms) {
        return false;
    }
    uint64_t leader = replica_leader(n, NULL);
    if (leader == 0 && replica_now(n) < n->change.deadline_ms) {
        return false;
    }
    if (leader != n->config.id && leader != 0 && (n->change.id == 0 || leader == n->change.id)) {
        end(n, NULL);
    } else {
        struct error err = {0};
        error_set(&err, ERR_TIMEOUT, "the leadership was not taken over in time; the leader is now master %llu",
                  (unsigned long long)leader);
        end(n, &err);
    }
    return true;
}

static bool watch_change(struct replica *n)
{
    struct error err = {0};
    if (n->change.kind == CHANGE_TRANSFER) {
        return watch_transfer(n);
    }
    if (!replica_is_leader_of(n, n->change.term)) {
        error_set(&err, ERR_UNKNOWN_OUTCOME,
                  "this master ceased to be the leader while the membership changed: look at the members, then repeat");
        end(n, &err);
        return true;
    }
    if (n->raft.legacy.change != NULL || n->raft.configuration_uncommitted_index != 0) {
        return false;
    }
    const struct raft_server *s = replica_server(n, n->change.id);
    bool done = n->change.kind == CHANGE_REMOVE ? s == NULL
                : n->change.kind == CHANGE_ADD  ? s != NULL
                                                : s != NULL && s->role == n->change.role;
    if (!done) {
        error_set(&err, ERR_TIMEOUT, "master %llu did not catch up in time; it stays as it was and will be tried again",
                  (unsigned long long)n->change.id);
    }
    end(n, done ? NULL : &err);
    return true;
}

/* Our own duty: newcomers move on. Nobody else is woken for it: the answer of the newcomer to a heartbeat is what
 * starts the turn. */
static bool move_newcomers(struct replica *n)
{
    if (n->phase != REPLICA_LEADING || replica_now(n) < n->change.quiet_until_ms || may_change(n, NULL) != 0) {
        return false;
    }
    for (unsigned i = 0; i < n->raft.configuration.n; i++) {
        const struct raft_server *s = &n->raft.configuration.servers[i];
        raft_index match = 0;
        int role = s->role == RAFT_SPARE ? RAFT_STANDBY : RAFT_VOTER;
        if (s->role == RAFT_VOTER || /* a spare is sent nothing, so nothing is heard of it */
            (s->role == RAFT_STANDBY && (!reachable(n, s->id) || raft_match_index(&n->raft, s->id, &match) != 0 ||
                                         match + PROMOTE_LAG_MAX < raft_last_index(&n->raft) || match == 0))) {
            continue;
        }
        if (role == RAFT_VOTER && n->config.may_vote != NULL && !n->config.may_vote(n->config.may_vote_data, s->id)) {
            continue;
        }
        struct error err = {0};
        uint64_t id = s->id;
        begin(n, CHANGE_PROMOTE, id, NULL);
        log_info(n->config.log, "node", "master %llu becomes %s", (unsigned long long)id,
                 role == RAFT_VOTER ? "voter" : "standby");
        if (assign(n, id, role, &err) != 0) {
            end(n, &err);
        }
        return true;
    }
    return false;
}

bool replica_members_turn(struct replica *n)
{
    if (n->change.kind != CHANGE_NONE) {
        return watch_change(n);
    }
    return n->raft.configuration.n > 1 && move_newcomers(n);
}

int64_t replica_members_deadline(const struct replica *n)
{
    if (n->change.kind == CHANGE_TRANSFER) {
        return n->change.deadline_ms;
    }
    return n->change.quiet_until_ms > replica_now(n) ? n->change.quiet_until_ms : INT64_MAX;
}
