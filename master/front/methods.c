/* The method table, who may call what, and the way to the leader. */
#include "master/front/methods.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "master/auth/authority.h"
#include "master/auth/certs.h"
#include "master/auth/rate.h"
#include "master/auth/reseal.h"
#include "master/auth/revoked.h"
#include "master/auth/rotate.h"
#include "master/front/ask.h"
#include "master/front/call.h"
#include "master/front/relay.h"
#include "master/front/verbs.h"
#include "master/members/join.h"
#include "master/members/level.h"
#include "master/members/members.h"
#include "master/members/removed.h"
#include "master/nodes/nodes.h"

/* Of every method: how long whoever asks will wait for the answer. So long the request may wait for a leader. */
#define TIMEOUT_PARAM "timeoutMs"

static const struct method *const methods[] = {
#define X(name) &request_##name,
    METHODS(X)
#undef X
};

static const struct method *find(struct str name)
{
    for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
        if (str_is(name, methods[i]->name)) {
            return methods[i];
        }
    }
    return NULL;
}

static bool word_in(const char *words, struct str word)
{
    for (const char *p = words; *p != '\0';) {
        size_t n = strcspn(p, " ");
        if (n == word.n && memcmp(p, word.p, n) == 0) {
            return true;
        }
        p += n + (p[n] == ' ');
    }
    return false;
}

void call_not_leader(struct call *c)
{
    struct error err = {0};
    const char *address;
    uint64_t leader = replica_leader(c->m->replica, &address);
    if (leader == 0 || leader == c->m->config.id) {
        error_set(&err, ERR_NOT_LEADER, "this master does not lead and knows no leader yet; try again");
    } else {
        struct str agent_address = members_address(c->m, leader, true);
        error_set(&err, ERR_NOT_LEADER, "this master does not lead; the leader is %s", address);
        snprintf(err.field, sizeof err.field, "%.*s", STR_ARG(agent_address));
    }
    err.retry_after_ms = 200;
    call_fail(c, &err);
}

/* ---- To the leader ---- */

static void build_forward(struct call *c, struct buf *b)
{
    mp_write_map(b, 3);
    mp_write_key_str(b, "method", c->method);
    mp_write_cstr(b, "params");
    buf_append(b, c->params.p, (size_t)(c->params.end - c->params.p));
    mp_write_cstr(b, "identity");
    principal_write(b, &c->who);
}

static void forwarded(const struct rpc_result *result, void *data)
{
    struct call *c = data;
    assert(c->subject->forwarding > 0);
    c->subject->forwarding--;
    if (result->error != NULL) {
        struct error err = *result->error;
        if (result->sent && (err.code == ERR_CLOSED || err.code == ERR_TIMEOUT)) {
            error_set(&err, ERR_UNKNOWN_OUTCOME,
                      "the leader went away while it held the request: it may or may not have been done; "
                      "look, or repeat it with the same id");
        } else if (err.code == ERR_CLOSED || err.code == ERR_TIMEOUT) {
            error_set(&err, ERR_NO_QUORUM, "no connection to the leader; nothing was done; try again");
        }
        call_fail(c, &err);
        return;
    }
    struct session *s = call_session(c);
    if (c->row == &request_cert_renew && s != NULL) {
        struct str cert = mp_str(mp_get(result->result, "certificate"));
        certs_note_renewed(s, arena_strndup(&c->arena, cert.n == 0 ? "" : cert.p, cert.n));
    }
    struct buf out = BUF_INIT;
    buf_append(&out, result->result.p, (size_t)(result->result.end - result->result.p));
    call_reply(c, &out);
    buf_close(&out);
}

static void forward(struct call *c)
{
    struct master *m = c->m;
    const char *address;
    uint64_t leader = replica_leader(m->replica, &address);
    if (c->forwarded) {
        call_not_leader(c); /* forwarded once already: no ping-pong between masters that disagree */
        return;
    }
    if (leader == 0 || leader == m->config.id) {
        struct error err = {0};
        error_set(&err, ERR_NO_QUORUM,
                  "no leader is known: the masters that can be reached are no majority, or are just electing one; "
                  "nothing was done; try again");
        err.retry_after_ms = 300;
        call_fail(c, &err);
        return;
    }
    if (c->subject == NULL) {
        struct pki_identity who = principal_identity(&c->who);
        c->subject = subject_get(m->turns, &who, NULL);
    }
    if (c->subject->forwarding >= MASTER_FORWARDING_MAX) {
        struct error err = {0};
        error_set(&err, ERR_BUSY,
                  "%.*s: %u requests of %s are at the leader already, which is the most that one may have there over "
                  "this master; nothing was done; send again when some are answered",
                  STR_ARG(c->method), c->subject->forwarding, c->subject->name);
        err.retry_after_ms = 200;
        m->stats.over_rate++;
        call_fail(c, &err);
        return;
    }
    m->stats.forwarded++;
    struct buf b = BUF_INIT;
    build_forward(c, &b);
    if (c->row->flags & METHOD_STREAM) {
        struct rpc_session *to = transport_session(m->transport, leader);
        if (to == NULL) {
            call_failf(c, ERR_NO_QUORUM, "no connection to the leader; try again");
        } else {
            relay_start(c, leader, to, "forward", buf_str(&b));
        }
    } else {
        bool limited = mp_type(call_param(c, TIMEOUT_PARAM)) == MP_INT;
        int64_t timeout_ms = limited ? call_left_ms(c, MASTER_FORWARD_TIMEOUT_MS) : MASTER_FORWARD_TIMEOUT_MS;
        c->subject->forwarding++;
        call_ask_leader(c, leader, "forward", buf_str(&b), timeout_ms, forwarded);
    }
    buf_close(&b);
}

void call_to_leader(struct call *c)
{
    if (replica_leading(c->m->replica)) {
        c->row->fn(c); /* meanwhile it is us */
    } else {
        forward(c);
    }
}

/* ---- Dispatch ---- */

static bool allowed(const struct method *row, const struct principal *who)
{
    switch (who->role) {
    case PKI_ROLE_MASTER:
    case PKI_ROLE_ADMIN:
        return true;
    case PKI_ROLE_NODE:
        return (row->flags & METHOD_NODE) != 0;
    case PKI_ROLE_NONE:
        return (row->flags & METHOD_ANON) != 0;
    }
    return false;
}

/* "did you mean": the nearest method name. */
static const char *nearest(struct str name)
{
    const char *best = NULL;
    unsigned best_distance = 3;
    for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
        unsigned d = name_distance(name, str_of(methods[i]->name));
        if (d < best_distance) {
            best = methods[i]->name;
            best_distance = d;
        }
    }
    return best;
}

static bool params_known(struct call *c)
{
    if (mp_type(c->params) != MP_MAP) {
        c->m->stats.bad_params++;
        call_failf(c, ERR_USAGE, "%.*s: params must be one map", STR_ARG(c->method));
        return false;
    }
    for (struct mp_iter it = mp_iter(c->params); mp_next(&it);) {
        if (!word_in(c->row->params, it.key) && !str_is(it.key, TIMEOUT_PARAM)) {
            c->m->stats.bad_params++;
            call_failf(c, ERR_USAGE, "%.*s: unknown parameter \"%.*s\"; known are: %s", STR_ARG(c->method),
                       STR_ARG(it.key), c->row->params);
            return false;
        }
    }
    return true;
}

bool call_revoked(struct call *c)
{
    struct error err = {0};
    struct pki_identity who = principal_identity(&c->who);
    if (!revoked_has(c->m, &who, &c->who.facts, &err)) {
        return false;
    }
    struct session *s = call_session(c);
    c->m->stats.revoked_calls++;
    if (s != NULL) {
        revoked_mark(s); /* the chores close it when this has been said */
    }
    call_fail_now(c, &err);
    return true;
}

void master_dispatch(struct master *m, const struct principal *who, struct rpc_request *req, struct str method,
                     struct mp params)
{
    m->stats.requests++;
    struct call *c = call_new(m, req, who, method, params);
    c->forwarded = who->forwarded_by != 0;
    if (call_revoked(c)) {
        return;
    }
    c->row = find(method);
    if (c->row == NULL) {
        const char *near = nearest(method);
        call_failf(c, ERR_UNSUPPORTED, "unknown method \"%.*s\"%s%s%s", STR_ARG(method),
                   near == NULL ? "" : "; did you mean \"", near == NULL ? "" : near, near == NULL ? "" : "\"?");
        return;
    }
    if (!allowed(c->row, who)) {
        if (who->role == PKI_ROLE_NONE) {
            call_failf(c, ERR_UNAUTHORIZED, "%s needs a client certificate; this connection has none", c->row->name);
        } else {
            call_failf(c, ERR_FORBIDDEN, "node \"%s\" may not call %s", who->name, c->row->name);
        }
        return;
    }
    struct session *s = call_session(c);
    if (s != NULL && s->expired && !(c->row->flags & METHOD_LATE)) {
        struct error err = {0};
        error_set_field(&err, ERR_UNAUTHORIZED, "cert.renew",
                        who->role == PKI_ROLE_NODE
                            ? "the certificate of node %s has expired: it may call cert.renew, nothing else"
                            : "the certificate of master %s has expired: the masters renew theirs among each other",
                        who->name);
        call_fail(c, &err);
        return;
    }
    uint64_t master_id = who->role == PKI_ROLE_MASTER ? strtoull(who->name, NULL, 10) : 0;
    if (master_id != 0 && c->row != &request_rejoin && members_removed(m, master_id)) {
        call_failf(c, ERR_FORBIDDEN, "master %llu was removed from the cluster; its certificate is good for nothing",
                   (unsigned long long)master_id);
        return;
    }
    if (!params_known(c) || !rate_takes(c) || !call_count(c) || (c->row == &request_join && !join_may_try(c))) {
        return;
    }
    int64_t wait = mp_int(call_param(c, TIMEOUT_PARAM), MASTER_WAIT_MS);
    c->deadline_ms = env_now_ms(m->env) + (wait < 0 ? 0 : MIN(wait, MASTER_WAIT_MAX_MS));
    call_take_turn(c);
}

void master_handle_again(struct call *c)
{
    arena_close(&c->arena);
    arena_init(&c->arena);
    c->api.warnings = NULL;
    c->may_read = false;
    call_find_again(c);
    call_take_turn(c);
}

void master_handle(struct call *c)
{
    struct master *m = c->m;
    if ((c->row->flags & METHOD_LEADER) && !replica_leading(m->replica)) {
        call_not_leader(c);
        return;
    }
    if ((c->row->flags & METHOD_RELAY) && !replica_leading(m->replica) && !c->forwarded && relay_here(c)) {
        return;
    }
    bool here = (c->row->flags & METHOD_STALE) != 0 && mp_bool(call_param(c, "stale"), false);
    if ((c->row->flags & (METHOD_WRITE | METHOD_STREAM)) && !replica_leading(m->replica) && !here) {
        forward(c);
        return;
    }
    c->row->fn(c);
}

static void index_answered(uint64_t index, const struct error *error, void *data)
{
    struct rpc_request *req = data;
    if (error != NULL) {
        rpc_reply_error(req, error);
        return;
    }
    struct buf b = BUF_INIT;
    mp_write_map(&b, 1);
    mp_write_key_int(&b, "index", (int64_t)index);
    rpc_reply(req, buf_str(&b));
    buf_close(&b);
}

/* What other masters ask: they have authenticated their client and vouch for its identity. */
void master_on_peer_request(void *data, uint64_t peer_id, struct rpc_request *req, struct str method, struct mp params)
{
    struct master *m = data;
    params = rpc_request_params(req); /* the request's own copies live until the answer */
    method = rpc_request_method(req);
    if (str_is(method, "read.index")) {
        replica_read_index(m->replica, index_answered, req);
    } else if (str_is(method, "ca.state")) {
        rotate_tell(m, req);
    } else if (str_is(method, "seal.state")) {
        reseal_tell(m, req);
    } else if (str_is(method, "seal.key")) {
        reseal_give(m, req, params);
    } else if (authority_on_request(m, peer_id, req, method, params)) {
        /* answered */
    } else if (str_is(method, "about")) {
        level_tell(req);
    } else if (str_is(method, "nodes.heard")) {
        nodes_tell_heard(m, req);
    } else if (str_is(method, "forward")) {
        struct principal who;
        struct error err = {0};
        if (principal_read(mp_get(params, "identity"), peer_id, &who, &err) != 0) {
            rpc_reply_error(req, &err);
            return;
        }
        master_dispatch(m, &who, req, mp_str(mp_get(params, "method")), mp_get(params, "params"));
    } else if (str_is(method, "announce")) {
        struct pki_identity peer = {.role = PKI_ROLE_MASTER};
        struct principal who;
        snprintf(peer.name, sizeof peer.name, "%llu", (unsigned long long)peer_id);
        principal_of_certificate(&who, &peer, NULL);
        struct call *c = call_new(m, req, &who, method, params);
        c->forwarded = true; /* not on a session of ours */
        if (!replica_leading(m->replica)) {
            call_not_leader(c);
        } else {
            method_announce(c);
        }
    } else {
        struct error err = {0};
        error_set(&err, ERR_UNSUPPORTED, "unknown method \"%.*s\" between masters", STR_ARG(method));
        rpc_reply_error(req, &err);
    }
}
