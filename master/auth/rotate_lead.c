/* The leader's part of a rotation: it asks the masters how far they are, looks who still has old certificates, and
 * takes the next step. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/failpoint.h"
#include "master/auth/authority.h"
#include "master/auth/rotate_int.h"
#include "master/members/members.h"
#include "proto/facts/condition.h"

/* ---- Users with old certificates ---- */

static int64_t now_ms(const struct master *m)
{
    return env_now_ms(m->env);
}

/* The user's row; if there is none, that of whoever has not been seen for the longest makes room. */
static struct rotate_user *user_row(struct rotate_user *users, const char *name)
{
    struct rotate_user *row = &users[0];
    for (unsigned i = 0; i < ROTATE_USERS_MAX; i++) {
        struct rotate_user *u = &users[i];
        if (u->name[0] != '\0' && strncmp(u->name, name, sizeof u->name - 1) == 0) {
            return u;
        }
        bool older = MAX(u->old_ms, u->new_ms) < MAX(row->old_ms, row->new_ms);
        row = row->name[0] != '\0' && (u->name[0] == '\0' || older) ? u : row;
    }
    *row = (struct rotate_user){.old_ms = INT64_MIN, .new_ms = INT64_MIN};
    snprintf(row->name, sizeof row->name, "%.63s", name);
    return row;
}

static void see(struct rotate_user *users, const char *name, int64_t old_ms, int64_t new_ms)
{
    struct rotate_user *u = user_row(users, name);
    u->old_ms = MAX(u->old_ms, old_ms);
    u->new_ms = MAX(u->new_ms, new_ms);
}

static void see_session(struct rotate_user *users, const struct session *s)
{
    bool old = rotate_is_old(s->m, s->cert_ca);
    if (rotate_under_way(s->m) && s->principal->role == PKI_ROLE_ADMIN && !s->revoked && s->cert_ca[0] != '\0') {
        see(users, s->principal->name, old ? now_ms(s->m) : INT64_MIN, old ? INT64_MIN : now_ms(s->m));
    }
}

void rotate_on_session_closed(struct session *s)
{
    see_session(s->m->rotate->seen, s);
}

/* Those who were here, and those who are. */
static void own_users(struct master *m, struct rotate_user *out)
{
    memcpy(out, m->rotate->seen, sizeof m->rotate->seen);
    LIST_FOR(it, &m->sessions)
    {
        see_session(out, LIST_ENTRY(it, struct session, link));
    }
}

/* ---- What masters tell each other ---- */

static void own_report(struct master *m, struct rotate_report *out)
{
    const struct rotate *r = m->rotate;
    *out = (struct rotate_report){0};
    if (r->done && r->phase != ROTATE_NONE) {
        snprintf(out->next, sizeof out->next, "%s", r->next);
    }
    snprintf(out->presents, sizeof out->presents, "%s", m->identity.ca);
    out->kept = r->done && m->identity.failures == 0;
    own_users(m, out->users);
}

void rotate_tell(struct master *m, struct rpc_request *req)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct rotate_report own;
    own_report(m, &own);
    mp_write_map(&b, 4);
    mp_write_key_str(&b, "next", str_of(own.next));
    mp_write_key_str(&b, "presents", str_of(own.presents));
    mp_write_key_bool(&b, "kept", own.kept);
    mp_write_cstr(&b, "users");
    mp_write_array(&b, ROTATE_USERS_MAX);
    for (unsigned i = 0; i < ROTATE_USERS_MAX; i++) {
        const struct rotate_user *u = &own.users[i];
        bool old = u->old_ms != INT64_MIN, new = u->new_ms != INT64_MIN;
        mp_write_map(&b, u->name[0] == '\0' ? 0 : 1u + old + new);
        if (u->name[0] == '\0') {
            continue;
        }
        mp_write_key_str(&b, "name", str_of(u->name));
        if (old) {
            mp_write_key_int(&b, "oldMsAgo", now_ms(m) - u->old_ms);
        }
        if (new) {
            mp_write_key_int(&b, "newMsAgo", now_ms(m) - u->new_ms);
        }
    }
    rpc_reply(req, buf_str(&b));
}

static void copy(char *out, size_t size, struct mp from)
{
    struct str s = mp_str(from);
    snprintf(out, size, "%.*s", STR_ARG(s));
}

static int64_t seen_at(const struct master *m, struct mp ago)
{
    int64_t ms = mp_int(ago, -1);
    return ms < 0 || ms > ROTATE_RECENT_MS ? INT64_MIN : now_ms(m) - ms;
}

void rotate_answered(struct master *m, unsigned row, struct mp result)
{
    struct rotate_report *to = &m->rotate->reports[row];
    *to = (struct rotate_report){.kept = mp_bool(mp_get(result, "kept"), false)};
    copy(to->next, sizeof to->next, mp_get(result, "next"));
    copy(to->presents, sizeof to->presents, mp_get(result, "presents"));
    for (struct mp_iter it = mp_iter(mp_get(result, "users")); mp_next(&it);) {
        char name[64];
        copy(name, sizeof name, mp_get(it.value, "name"));
        if (name[0] != '\0') {
            see(to->users, name, seen_at(m, mp_get(it.value, "oldMsAgo")), seen_at(m, mp_get(it.value, "newMsAgo")));
        }
    }
}

/* ---- Who is waited for ---- */

/* Masters that answer are always waited for: with a finish those are not that do not. */
static void wait_for_member(struct master *m, const struct replica_member *member, struct rotate_user *users)
{
    struct rotate *r = m->rotate;
    struct rotate_report own, *told_us = &own;
    unsigned row = 0;
    bool self = member->id == m->config.id;
    if (self) {
        own_report(m, &own);
    } else if ((row = poll_ask(m, &r->poll, member->id)) < POLL_MEMBERS_MAX) {
        told_us = &r->reports[row];
    } else {
        return; /* more members than a cluster may have */
    }
    for (unsigned i = 0; i < ROTATE_USERS_MAX; i++) {
        const struct rotate_user *u = &told_us->users[i];
        if (u->name[0] != '\0') {
            see(users, u->name, u->old_ms, u->new_ms);
        }
    }
    if (!self &&
        poll_heard(m, &r->poll, row, member, r->finish != ROTATE_FINISH_NOBODY, "replace the CA") != POLL_ANSWERS) {
        return;
    }
    if (r->phase == ROTATE_TRUST && strcmp(told_us->next, r->next) != 0) {
        poll_wait_for(&r->poll, "master %" PRIu64 " does not trust the new CA yet", member->id);
    } else if (r->phase == ROTATE_SWITCH && (strcmp(told_us->presents, r->next) != 0 || !told_us->kept)) {
        poll_wait_for(&r->poll, "master %" PRIu64 " has its old certificate", member->id);
    }
}

static void wait_for_nodes(struct master *m)
{
    struct rotate *r = m->rotate;
    struct view_iter it;
    view_iter(&it, store_committed(replica_store(m->replica)), kind_by_id(KIND_NODE), STR_NONE);
    VIEW_FOR(node, &it)
    {
        const struct session *s = strmap_get(&m->agents, node->name);
        if (s == NULL && condition_is(condition_mp(node, "Ready"), "True")) {
            poll_wait_for(&r->poll, "node %.*s is not connected to the leader at present", STR_ARG(node->name));
        } else if (s != NULL && s->principal->role == PKI_ROLE_NODE && rotate_is_old(m, s->cert_ca)) {
            poll_wait_for(&r->poll, "node %.*s has its old certificate", STR_ARG(node->name));
        }
    }
}

static void look(struct master *m)
{
    struct rotate *r = m->rotate;
    struct replica_member members[POLL_MEMBERS_MAX];
    struct rotate_user users[ROTATE_USERS_MAX] = {0};
    unsigned n = replica_members(m->replica, members, ARRAY_SIZE(members));
    poll_wait_for_nobody(&r->poll);
    if (!r->done) {
        poll_wait_for(&r->poll, "master %" PRIu64 ", which leads, cannot do its part; its log says why", m->config.id);
    }
    if (!authority_settled(m) || authority_key(m, r->next_pem) == NULL) {
        poll_wait_for(&r->poll, "the key of the new CA, whose parts the masters have, to be at hand");
    }
    for (unsigned i = 0; i < n; i++) {
        wait_for_member(m, &members[i], users);
    }
    if (r->phase == ROTATE_TRUST || r->finish == ROTATE_FINISH_ALL) {
        return;
    }
    wait_for_nodes(m);
    for (unsigned i = 0; i < ROTATE_USERS_MAX; i++) {
        const struct rotate_user *u = &users[i];
        if (u->name[0] != '\0' && u->old_ms > u->new_ms && now_ms(m) - u->old_ms < ROTATE_RECENT_MS) {
            poll_wait_for(&r->poll, "user %s uses an old certificate: any command of rctl renews it", u->name);
        }
    }
    if (r->phase == ROTATE_SIGN && r->hold) {
        poll_wait_for(&r->poll, "you: rctl cert rotate-ca --finish ends the time in which users renew (--hold)");
    }
}

/* ---- The next step ---- */

/* Who finishes while masters begin to trust has been told of masters alone. Nodes and users have had no chance to renew
 * by then: they are waited for until a finish is asked for again. */
static enum rotate_finish finish_after(const struct rotate *r)
{
    return r->phase == ROTATE_SWITCH                                       ? ROTATE_FINISH_NOBODY
           : r->phase == ROTATE_TRUST && r->finish != ROTATE_FINISH_NOBODY ? ROTATE_FINISH_MASTERS
                                                                           : r->finish;
}

static void written(const struct txn_result *result, const struct error *error, void *data)
{
    struct master *m = data;
    (void)result;
    m->rotate->writing = false;
    if (error != NULL) {
        log_debug(&m->log, "rotate", "the step is not noted: %s", error->message); /* whoever leads tries again */
    } else if (failpoint(FAILPOINT_rotate_after_step)) {
        log_debug(&m->log, "rotate", "failpoint");
    }
}

void rotate_lead(struct master *m)
{
    struct rotate *r = m->rotate;
    if (r->phase == ROTATE_NONE || r->writing || m->stopping) {
        return;
    }
    look(m);
    if (r->poll.waiting_count > 0 || !transport_settled(m->transport, core_leading_since_ms(m->core))) {
        return;
    }
    const struct view *tip = store_tip(replica_store(m->replica));
    const struct object *o = tip == NULL ? NULL : rotate_record_in(tip);
    struct rotate_step step = {.to = r->phase == ROTATE_SWITCH ? ROTATE_NONE : (enum rotate_phase)(r->phase + 1)};
    if (o == NULL || o->revision != r->revision || failpoint(FAILPOINT_rotate_before_step)) {
        return; /* it is just being changed */
    }
    step.hold = step.to != ROTATE_NONE && r->hold;
    step.finish = finish_after(r);
    step.ca_pem = step.to == ROTATE_NONE ? r->next_pem : NULL;
    struct txn t;
    txn_init(&t, "rotate");
    if (rotate_write_step(m, &t, &step, NULL) == 0) {
        r->writing = true;
        replica_submit(m->replica, &t, written, m, NULL);
    }
    txn_close(&t);
}

/* ---- What is told about it ---- */

bool rotate_write(struct master *m, struct buf *b)
{
    const struct rotate *r = m->rotate;
    if (r->phase == ROTATE_NONE) {
        return false;
    }
    bool leading = replica_leading(m->replica);
    mp_write_cstr(b, "rotation");
    mp_write_map(b, leading ? 5 : 3);
    mp_write_key_str(b, "phase", str_of(rotate_phases[r->phase]));
    mp_write_key_str(b, "since", str_of(r->since));
    mp_write_key_str(b, "next", str_of(r->next));
    if (leading) {
        poll_write_waiting(&r->poll, b);
    }
    return true;
}
