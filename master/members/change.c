/* Changes of the membership that somebody asked for: join, rejoin, replace, remove, transfer.
 *
 * Each is a list of steps, of which most end in a log entry. One change runs at a time, the others wait in a queue of
 * CHANGES_MAX; a step is taken only while the node is free (it moves newcomers on by itself, one at a time as well). If
 * the leader dies between two steps, nothing is left half: whoever asked asks again, at the new leader, and every step
 * that was done already is passed over. A new leader begins when it has heard those who are there (transport_settled):
 * all the steps ask who answers.
 *
 *   join     former (a member at this address that never voted: the same newcomer, who lost the answer) removed, id
 *            taken, the replaced one removed if it does not answer, newcomer added as spare, answered. Roles:
 *            replica_member.c
 *   rejoin   the same, with the former self of the one who asks removed for certain
 *   remove   removed from the configuration, noted in the record (changes_settle does it if we die in between), told,
 *            answered
 *   transfer to the one that was named, or to the voter whose log is longest
 *
 * An id that was taken and given to nobody is lost: ids are many, and none may ever be given twice.
 *
 * A newcomer that replaces a master that still answers is added first; the other one goes when the newcomer votes, so
 * that the cluster never has fewer voters than before (record.h: replaces.NEW). */
#include "master/members/change.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/failpoint.h"
#include "master/auth/authority.h"
#include "master/auth/tokens.h"
#include "master/front/call.h"
#include "master/members/join.h"
#include "master/members/members.h"
#include "master/members/removed.h"
#include "master/record.h"

#define CHANGES_MAX    16u
#define CHANGE_WAIT_MS 20000 /* in the queue and for the node to be free, together */

enum outcome {
    STEP_DONE,  /* the next step may be taken at once */
    STEP_WAIT,  /* a callback will say */
    STEP_LATER, /* not yet: the same step in a later turn */
    STEP_FAIL,  /* err says why */
    STEP_OVER,  /* answered; the change is freed */
};

struct asked_change {
    struct list link; /* master.changes */
    struct master *m;
    struct call *call; /* NULL: our own, or given up by the one who asked */
    const struct plan *plan;
    unsigned step;
    bool waiting; /* a callback is on its way */
    int64_t deadline_ms;
    struct change_request request;
    uint64_t id;     /* the newcomer's, once taken */
    uint64_t former; /* at the same address */
    bool postponed;  /* old_id goes when the newcomer votes */
    char *csr, *sans, *cert_pem;
};

typedef enum outcome change_step(struct asked_change *c, struct error *err);
struct plan {
    const char *what;
    change_step *steps[10];
};

/* ---- Life ---- */

static void change_free(struct asked_change *c)
{
    assert(!c->waiting);
    list_remove(&c->link);
    free(c->csr);
    free(c->sans);
    free(c->cert_pem);
    free(c);
}

static void give_up(struct asked_change *c, const struct error *err)
{
    if (c->call != NULL) {
        call_fail(TAKE_PTR(c->call), err);
    } else {
        log_warn(&c->m->log, "members", "%s: %s", c->plan->what, err->message);
    }
    change_free(c);
}

static void run(struct asked_change *c);
static const struct plan transfer_plan;

static void step_ended(struct asked_change *c, const struct error *err)
{
    assert(c->waiting);
    c->waiting = false;
    bool again = err != NULL && err->code == ERR_BUSY && env_now_ms(c->m->env) < c->deadline_ms;
    if (c->m->stopping && (again || (err == NULL && c->plan != &transfer_plan))) { /* it gets no further turn */
        struct error stopping = {0};
        error_set(&stopping, ERR_CLOSED, "this master is stopping");
        give_up(c, &stopping);
        return;
    }
    if (again) {
        return; /* the node began something of its own meanwhile: the same step again when it is free */
    }
    if (err != NULL) {
        give_up(c, err);
        return;
    }
    c->step++;
    if (c->plan == &transfer_plan) {
        run(c); /* who has given the leadership away gets no further turn */
    } else {
        master_wake(c->m);
    }
}

static void on_changed(const struct error *err, void *data)
{
    step_ended(data, err);
}

static void on_written(const struct txn_result *result, const struct error *err, void *data)
{
    (void)result;
    step_ended(data, err);
}

static enum outcome wait_for_node(struct asked_change *c)
{
    c->waiting = true;
    return STEP_WAIT;
}

/* ---- Join, rejoin ---- */

static enum outcome check_join(struct asked_change *c, struct error *err)
{
    struct replica_member there, old;
    const struct change_request *r = &c->request;
    bool taken = members_find(c->m, 0, r->address, &there);
    bool has_old = r->old_id != 0 && members_find(c->m, r->old_id, NULL, &old);
    bool up = has_old && members_up(c->m, r->old_id);
    if (has_old && up && r->rejoin) {
        error_set(err, ERR_BUSY,
                  "master %" PRIu64 " still answers, so it can't be the one that asks to come back; try again",
                  r->old_id);
        return STEP_FAIL;
    }
    if (has_old && up && !r->even_reachable) {
        error_set(err, ERR_CONFLICT,
                  "master %" PRIu64 " at %s, which is to be replaced, answers again; to replace it all the same, make "
                  "another token: rctl master replace %" PRIu64 " --yes",
                  r->old_id, old.address, r->old_id);
        return STEP_FAIL;
    }
    if (taken && there.id != r->old_id && there.role == RAFT_VOTER) {
        error_set(err, ERR_EXISTS,
                  "%s is the address of master %" PRIu64
                  ", which votes; if that one is dead and this machine takes its "
                  "place, join with a token of `rctl master replace %" PRIu64 "`; else join with another address",
                  r->address, there.id, there.id);
        return STEP_FAIL;
    }
    if (taken && members_up(c->m, there.id)) {
        error_set(err, ERR_EXISTS,
                  "%s is the address of master %" PRIu64 ", which still runs: stop it first, or join with another "
                  "address",
                  r->address, there.id);
        return STEP_FAIL;
    }
    c->postponed = has_old && up;
    c->former = taken && there.id != r->old_id ? there.id : 0;
    return STEP_DONE;
}

/* The rows that let the next leader, and a repetition, know what this was about. */
static void write_rows(struct asked_change *c, struct record *r)
{
    const struct change_request *q = &c->request;
    if (q->rejoin) {
        value_set(r->arena, r->data, record_key(r, "successor", q->old_id),
                  value_strf(r->arena, "%" PRIu64 " %s", c->id, q->address));
    } else if (c->postponed) {
        value_set(r->arena, r->data, record_key(r, "replaces", c->id), value_strf(r->arena, "%" PRIu64, q->old_id));
    }
}

static enum outcome take_id(struct asked_change *c, struct error *err)
{
    struct master *m = c->m;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct record r;
    if (!record_open(m, &a, &r)) {
        error_set(err, ERR_BUSY, "the cluster is just being made; try again");
        return STEP_FAIL;
    }
    c->id = record_take_id(m, &r);
    char name[32];
    snprintf(name, sizeof name, "%" PRIu64, c->id);
    free(TAKE_PTR(c->cert_pem));
    if (join_sign(m, PKI_ROLE_MASTER, name, c->csr, c->sans, &c->cert_pem, err) != 0) {
        return STEP_FAIL;
    }
    write_rows(c, &r);
    struct txn t;
    txn_init(&t, "join");
    enum outcome o = STEP_FAIL;
    if (record_put(&r, &t, err) == 0 &&
        (c->request.token_id[0] == '\0' || token_use(m, &t, c->request.token_id, c->request.who, err) == 0)) {
        o = wait_for_node(c);
        replica_submit(m->replica, &t, on_written, c, NULL); /* a refusal comes by the callback as well */
    }
    txn_close(&t);
    return o;
}

static enum outcome drop(struct asked_change *c, uint64_t id)
{
    struct replica_member there;
    if (id == 0 || !members_find(c->m, id, NULL, &there)) {
        return STEP_DONE; /* nobody, or done before */
    }
    if (!authority_may_drop(c->m, id)) {
        return STEP_LATER; /* the others are given a new key of the CA's first */
    }
    enum outcome o = wait_for_node(c);
    replica_member_remove(c->m->replica, id, on_changed, c);
    return o;
}

static enum outcome drop_former(struct asked_change *c, struct error *err)
{
    if (failpoint(FAILPOINT_member_join_before_drop)) {
        error_set(err, ERR_BUSY, "failpoint");
        return STEP_FAIL;
    }
    if (c->former != 0) {
        log_info(&c->m->log, "members", "master %" PRIu64 " at %s never came; it joins anew as %" PRIu64, c->former,
                 c->request.address, c->id);
    }
    return drop(c, c->former);
}

static enum outcome drop_old(struct asked_change *c, struct error *err)
{
    (void)err;
    return c->postponed ? STEP_DONE : drop(c, c->request.old_id);
}

static enum outcome add(struct asked_change *c, struct error *err)
{
    if (failpoint(FAILPOINT_member_join_before_add)) {
        error_set(err, ERR_BUSY, "failpoint");
        return STEP_FAIL;
    }
    enum outcome o = wait_for_node(c);
    replica_member_add(c->m->replica, c->id, c->request.address, on_changed, c);
    return o;
}

static enum outcome answer_join(struct asked_change *c, struct error *err)
{
    struct master *m = c->m;
    if (failpoint(FAILPOINT_member_join_before_answer)) {
        error_set(err, ERR_BUSY, "failpoint");
        return STEP_FAIL;
    }
    log_info(&m->log, "members", "master %" PRIu64 " at %s joins%s%s", c->id, c->request.address,
             c->request.rejoin ? ", anew: " : "", c->request.rejoin ? c->request.reason : "");
    if (c->call != NULL) {
        join_answer(TAKE_PTR(c->call), c->cert_pem, c->id, c->request.old_id);
    }
    change_free(c);
    return STEP_OVER;
}

static const struct plan join_plan = {
    .what = "join",
    .steps = {check_join, take_id, drop_former, drop_old, add, answer_join},
};

/* ---- Remove ---- */

/* Given away once, and no member's: an earlier leader removed it, and may have died before it could write that down. */
static bool was_removed(struct asked_change *c)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct record r;
    return record_open(c->m, &a, &r) && c->request.old_id < record_next_id(c->m, &r);
}

static enum outcome check_remove(struct asked_change *c, struct error *err)
{
    struct replica_member there;
    uint64_t id = c->request.old_id;
    unsigned up, voters = members_voters(c->m, &up);
    if (!members_find(c->m, id, NULL, &there)) {
        if (was_removed(c)) {
            return STEP_DONE;
        }
        error_set(err, ERR_NOT_FOUND, "no master has the id %" PRIu64 "; `rctl master list` shows them", id);
        return STEP_FAIL;
    }
    if (there.role != RAFT_VOTER || c->request.force) {
        return STEP_DONE;
    }
    bool counts = members_up(c->m, id);
    int now = (int)up - (int)(voters / 2 + 1), then = (int)(up - counts) - (int)((voters - 1) / 2 + 1);
    if (now > 0 && then == 0) {
        error_set(err, ERR_CONFLICT,
                  "without master %" PRIu64
                  " the cluster of %u could lose no master any more (now: %d); add the new one "
                  "first (rctl master replace %" PRIu64 "), or use --force",
                  id, voters - 1, now, id);
        return STEP_FAIL;
    }
    return STEP_DONE;
}

static enum outcome remove_it(struct asked_change *c, struct error *err)
{
    if (failpoint(FAILPOINT_member_remove_before_change)) {
        error_set(err, ERR_BUSY, "failpoint");
        return STEP_FAIL;
    }
    return drop(c, c->request.old_id);
}

/* Who was removed on purpose does not come back as its own successor. */
static void drop_successor_of(struct record *r, uint64_t id)
{
    for (unsigned i = 0; i < value_count(r->data);) {
        struct str key = r->data->map.members[i].key;
        if (record_key_id(key, "successor") != 0 && record_get_id(r, arena_strndup(r->arena, key.p, key.n)) == id) {
            value_remove_str_key(r->data, key);
        } else {
            i++;
        }
    }
}

static enum outcome note_removed(struct asked_change *c, struct error *err)
{
    if (failpoint(FAILPOINT_member_remove_after_change)) {
        error_set(err, ERR_BUSY, "failpoint");
        return STEP_FAIL;
    }
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct record r;
    if (!record_open(c->m, &a, &r)) {
        return STEP_DONE;
    }
    drop_successor_of(&r, c->request.old_id);
    record_settle(c->m, &r);
    struct txn t;
    txn_init(&t, "members");
    members_forget(c->m, &t);
    enum outcome o = STEP_FAIL;
    if (record_put(&r, &t, err) == 0) {
        o = wait_for_node(c);
        replica_submit(c->m->replica, &t, on_written, c, NULL);
    }
    txn_close(&t);
    return o;
}

static enum outcome answer_remove(struct asked_change *c, struct error *err)
{
    (void)err;
    log_info(&c->m->log, "members", "master %" PRIu64 " is removed", c->request.old_id);
    removed_tell(c->m, c->request.old_id);
    if (c->call != NULL) {
        struct buf b = BUF_INIT;
        mp_write_map(&b, 1);
        mp_write_key_int(&b, "id", (int64_t)c->request.old_id);
        call_reply(TAKE_PTR(c->call), &b);
        buf_close(&b);
    }
    change_free(c);
    return STEP_OVER;
}

static const struct plan remove_plan = {
    .what = "remove a master",
    .steps = {check_remove, remove_it, note_removed, answer_remove},
};

/* ---- Transfer ---- */

/* The voter that answers and has most of the log. */
static uint64_t best_heir(struct master *m)
{
    struct replica_member members[64];
    unsigned n = replica_members(m->replica, members, ARRAY_SIZE(members));
    uint64_t best = 0, best_match = 0;
    for (unsigned i = 0; i < n; i++) {
        uint64_t id = members[i].id, match = replica_match_index(m->replica, id);
        if (id != m->config.id && members[i].role == RAFT_VOTER && transport_reachable(m->transport, id) &&
            (best == 0 || match > best_match)) {
            best = id;
            best_match = match;
        }
    }
    return best;
}

static enum outcome transfer(struct asked_change *c, struct error *err)
{
    struct master *m = c->m;
    uint64_t to = c->request.new_id;
    struct replica_member there;
    if (c->request.old_id != 0 && c->request.old_id != m->config.id) {
        c->request.new_id = m->config.id; /* asked again: it went on to us already */
        return STEP_DONE;
    }
    if (to != 0 && !members_find(m, to, NULL, &there)) {
        error_set(err, ERR_NOT_FOUND, "no master has the id %" PRIu64 "; `rctl master list` shows them", to);
        return STEP_FAIL;
    }
    if (to != 0 && there.role != RAFT_VOTER) {
        error_set(err, ERR_CONFLICT,
                  "master %" PRIu64 " has no vote yet, so it can't lead; it gets one by itself "
                  "when it has caught up",
                  to);
        return STEP_FAIL;
    }
    if (to != 0 && !members_up(m, to)) {
        error_set(err, ERR_CONFLICT, "master %" PRIu64 " at %s does not answer, so it can't lead", to, there.address);
        return STEP_FAIL;
    }
    to = to == 0 ? best_heir(m) : to;
    if (to == 0) {
        error_set(err, ERR_CONFLICT, "no other voting master answers: master %" PRIu64 " goes on leading",
                  m->config.id);
        return STEP_FAIL;
    }
    c->request.new_id = to;
    enum outcome o = wait_for_node(c);
    replica_transfer(m->replica, to, on_changed, c);
    return o;
}

static enum outcome answer_transfer(struct asked_change *c, struct error *err)
{
    (void)err;
    if (c->call != NULL) {
        struct buf b = BUF_INIT;
        mp_write_map(&b, 1);
        mp_write_key_int(&b, "leader", (int64_t)c->request.new_id);
        call_reply(TAKE_PTR(c->call), &b);
        buf_close(&b);
    }
    change_free(c);
    return STEP_OVER;
}

static const struct plan transfer_plan = {.what = "transfer", .steps = {transfer, answer_transfer}};

/* ---- The queue ---- */

static void run(struct asked_change *c)
{
    for (;;) {
        struct error err = {0};
        assert(c->plan->steps[c->step] != NULL);
        switch (c->plan->steps[c->step](c, &err)) {
        case STEP_DONE:
            c->step++;
            if (replica_changing(c->m->replica)) {
                return;
            }
            break;
        case STEP_WAIT:
        case STEP_OVER:
        case STEP_LATER:
            return;
        case STEP_FAIL:
            give_up(c, &err);
            return;
        }
    }
}

static struct asked_change *first(struct master *m)
{
    return list_empty(&m->changes) ? NULL : LIST_ENTRY(m->changes.next, struct asked_change, link);
}

void changes_turn(struct master *m)
{
    for (struct asked_change *c, *former = NULL; (c = first(m)) != NULL && !c->waiting && c != former; former = c) {
        if (!replica_leading(m->replica) || replica_changing(m->replica) ||
            !transport_settled(m->transport, core_leading_since_ms(m->core))) {
            return;
        }
        run(c);
    }
}

void changes_start(struct master *m, struct call *call, enum change_kind_asked kind,
                   const struct change_request *request)
{
    static const struct plan *const plans[] = {
        [CHANGE_ASK_JOIN] = &join_plan, [CHANGE_ASK_REMOVE] = &remove_plan, [CHANGE_ASK_TRANSFER] = &transfer_plan};
    unsigned waiting = 0;
    LIST_FOR_SAFE(it, &m->changes)
    {
        struct asked_change *c = LIST_ENTRY(it, struct asked_change, link);
        waiting++;
        if (c->call != NULL && kind == CHANGE_ASK_JOIN && strcmp(c->request.address, request->address) == 0) {
            /* It hung up, or lost patience, and asks again: only the last one is answered. */
            call_failf(TAKE_PTR(c->call), ERR_CANCELED, "%s asked again meanwhile; only that request is answered",
                       request->address);
            if (!c->waiting && c->step == 0) {
                change_free(c);
                waiting--;
            }
        }
    }
    if (waiting >= CHANGES_MAX) {
        if (call != NULL) {
            call_failf(call, ERR_BUSY, "%u other changes of the membership wait for their turn; try again", waiting);
        }
        return;
    }
    struct asked_change *c = xcalloc(1, sizeof *c);
    *c = (struct asked_change){.m = m,
                               .call = call,
                               .plan = plans[kind],
                               .request = *request,
                               .csr = request->csr == NULL ? NULL : xstrdup(request->csr),
                               .sans = request->sans == NULL ? NULL : xstrdup(request->sans),
                               .deadline_ms = env_now_ms(m->env) + CHANGE_WAIT_MS};
    list_push_back(&m->changes, &c->link);
    master_wake(m);
}

static void fail_waiting(struct master *m, int code, const char *why)
{
    LIST_FOR_SAFE(it, &m->changes)
    {
        struct asked_change *c = LIST_ENTRY(it, struct asked_change, link);
        if (!c->waiting) { /* else its callback comes by itself */
            struct error err = {0};
            error_set(&err, code, "%s", why);
            give_up(c, &err);
        }
    }
}

void changes_on_leading(struct master *m, bool leading)
{
    if (!leading) {
        fail_waiting(m, ERR_NOT_LEADER, "this master does not lead any more; ask again: what was done is kept");
    }
}

void changes_close(struct master *m)
{
    fail_waiting(m, ERR_CLOSED, "this master is stopping");
}

static void expire(struct master *m)
{
    LIST_FOR_SAFE(it, &m->changes)
    {
        struct asked_change *c = LIST_ENTRY(it, struct asked_change, link);
        if (!c->waiting && env_now_ms(m->env) >= c->deadline_ms) {
            struct error err = {0};
            error_set(&err, ERR_BUSY,
                      "another change of the membership is under way (a newcomer catching up, perhaps) and did not end "
                      "within %d s; `rctl master list` shows the members; try again",
                      CHANGE_WAIT_MS / 1000);
            give_up(c, &err);
        }
    }
}

/* ---- Duties of the leader, at every chore ---- */

static void settled(const struct txn_result *result, const struct error *error, void *data)
{
    (void)result;
    (void)error; /* the next chore tries again */
    ((struct master *)data)->settling = false;
}

/* Replacements whose newcomer votes: the other one goes, or first gives away the leadership. */
static void finish_replacements(struct master *m, const struct record *r)
{
    for (unsigned i = 0; i < value_count(r->data); i++) {
        struct str key = r->data->map.members[i].key;
        uint64_t new = record_key_id(key, "replaces");
        struct replica_member there;
        if (new == 0 || !members_find(m, new, NULL, &there) || there.role != RAFT_VOTER || !members_up(m, new)) {
            continue;
        }
        struct change_request q = {.force = true, .new_id = new};
        q.old_id = record_get_id(r, arena_strndup(r->arena, key.p, key.n));
        log_info(&m->log, "members", "master %" PRIu64 " votes; master %" PRIu64 ", which it replaces, goes", new,
                 q.old_id);
        changes_start(m, NULL, q.old_id == m->config.id ? CHANGE_ASK_TRANSFER : CHANGE_ASK_REMOVE, &q);
        return;
    }
}

void changes_settle(struct master *m)
{
    expire(m);
    if (!replica_leading(m->replica) || replica_changing(m->replica) || !list_empty(&m->changes) || m->settling) {
        return;
    }
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct record r;
    if (!record_open(m, &a, &r)) {
        return;
    }
    struct txn t;
    txn_init(&t, "members");
    bool changed = record_settle(m, &r);
    changed = members_forget(m, &t) || changed;
    if (changed && record_put(&r, &t, NULL) == 0) {
        m->settling = true;
        replica_submit(m->replica, &t, settled, m, NULL);
    } else if (!changed) {
        finish_replacements(m, &r);
    }
    txn_close(&t);
}
