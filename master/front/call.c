/* One request from arrival to answer: its arena, its parameters, its deferral until a read is linearizable. */
#include "master/front/call.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "master/front/ask.h"
#include "master/front/methods.h"
#include "master/front/parked.h"
#include "master/front/verbs.h"
#include "master/master.h"
#include "master/members/join.h"

#define CALL_BYTES 512u /* what a request without parameters holds while it waits */

struct call *call_new(struct master *m, struct rpc_request *req, const struct principal *who, struct str method,
                      struct mp params)
{
    struct call *c = xcalloc(1, sizeof *c);
    c->m = m;
    c->req = req;
    c->who = *who;
    c->method = method;
    c->params = params;
    arena_init(&c->arena);
    c->api = (struct api_call){.m = m, .front = &rpc_front, .who = &c->who, .arena = &c->arena};
    return c;
}

struct session *call_session(const struct call *c)
{
    struct rpc_session *rpc = c->forwarded ? NULL : rpc_request_session(c->req);
    return rpc == NULL ? NULL : rpc_session_data(rpc);
}

static void call_free(struct call *c)
{
    assert(c->req == NULL && !api_goes_on(&c->api) && c->work.lane == NULL);
    if (c->subject != NULL) {
        subject_unref(c->m->turns, c->subject);
    }
    buf_close(&c->page);
    arena_close(&c->arena);
    free(c);
}

/* Takes the request out of the call, and off the account of those that wait. */
static struct rpc_request *release(struct call *c)
{
    struct session *s = call_session(c);
    assert(c->m->request_bytes >= c->counted_bytes);
    c->m->request_bytes -= c->counted_bytes;
    if (s != NULL) {
        assert(s->request_bytes >= c->counted_bytes);
        s->request_bytes -= c->counted_bytes;
    } else if (c->forwarded && c->subject != NULL) {
        assert(c->subject->forwarded_bytes >= c->counted_bytes);
        c->subject->forwarded_bytes -= c->counted_bytes;
    }
    c->counted_bytes = 0;
    return TAKE_PTR(c->req);
}

bool call_count(struct call *c)
{
    struct session *s = call_session(c);
    size_t *account = s != NULL ? &s->request_bytes : NULL;
    if (c->forwarded && call_lane(c) != NULL) { /* not the other master's: whom it speaks for */
        account = &c->subject->forwarded_bytes;
    }
    size_t n = (size_t)(c->params.end - c->params.p) + CALL_BYTES, here = account == NULL ? 0 : *account;
    uint64_t all_max = MIN((uint64_t)MASTER_REQUEST_BYTES_MAX, c->m->held.max / 2),
             here_max = MIN((uint64_t)MASTER_SESSION_BYTES_MAX, all_max);
    if (here + n > here_max || c->m->request_bytes + n > all_max) {
        c->m->stats.refused_bytes++;
        call_failf(c, ERR_BUSY,
                   "%.*s: requests that wait for their answers have %zu bytes on this connection (at most %" PRIu64
                   ") and %zu in "
                   "all (at most %" PRIu64 "); nothing was done; send again when some are answered",
                   STR_ARG(c->method), here, here_max, c->m->request_bytes, all_max);
        return false;
    }
    c->counted_bytes = n;
    c->m->request_bytes += n;
    if (account != NULL) {
        *account += n;
    }
    return true;
}

struct rpc_request *call_take_request(struct call *c)
{
    struct rpc_request *req = release(c);
    call_free(c);
    return req;
}

void call_origin(const struct call *c, struct call_origin *out)
{
    *out = (struct call_origin){.m = c->m,
                                .who = c->who,
                                .row = c->row,
                                .deadline_ms = c->deadline_ms,
                                .tries = c->tries,
                                .forwarded = c->forwarded};
}

struct call *call_of_request(struct rpc_request *req, const struct call_origin *origin)
{
    struct call *c = call_new(origin->m, req, &origin->who, STR_NONE, (struct mp){0});
    c->row = origin->row;
    c->deadline_ms = origin->deadline_ms;
    c->tries = origin->tries;
    c->forwarded = origin->forwarded;
    call_find_again(c);
    return c;
}

void call_reply(struct call *c, const struct buf *result)
{
    rpc_reply(release(c), buf_str(result));
    call_free(c);
}

void call_fail(struct call *c, const struct error *err)
{
    api_let_go(&c->api); /* handled anew, it begins anew */
    if (!call_park(c, err)) {
        call_fail_now(c, err);
    }
}

void call_fail_now(struct call *c, const struct error *err)
{
    assert(err->code != 0);
    api_let_go(&c->api);
    c->m->stats.refused++;
    join_note_failure(c, err);
    rpc_reply_error(release(c), err);
    call_free(c);
}

void call_failf(struct call *c, int code, const char *fmt, ...)
{
    struct error err = {.code = code};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err.message, sizeof err.message, fmt, ap);
    va_end(ap);
    call_fail(c, &err);
}

/* Each look into the map of a large request would walk over all of it, so where each parameter lies is found once. */
static void find_params(struct call *c)
{
    c->index.found = true;
    for (struct mp_iter it = mp_iter(c->params); mp_next(&it);) {
        if (c->index.count == CALL_PARAMS_MAX) {
            c->index.found =
                false; /* more than there are names of: each look is a walk, and the request will be refused */
            return;
        }
        c->index.at[c->index.count++] = (struct call_param_at){
            .key = (uint32_t)((const uint8_t *)it.key.p - c->params.p),
            .key_size = (uint32_t)it.key.n,
            .begin = (uint32_t)(it.value.p - c->params.p),
            .end = (uint32_t)(it.value.end - c->params.p),
        };
    }
}

struct mp call_param(struct call *c, const char *key)
{
    if (!c->index.found && c->index.count == 0 && mp_type(c->params) == MP_MAP) {
        find_params(c);
    }
    if (!c->index.found) {
        return mp_get(c->params, key);
    }
    for (unsigned i = 0; i < c->index.count; i++) {
        const struct call_param_at *at = &c->index.at[i];
        if (str_is((struct str){(const char *)c->params.p + at->key, at->key_size}, key)) {
            return mp_of(c->params.p + at->begin, at->end - at->begin);
        }
    }
    return mp_get((struct mp){0}, key); /* as of a map that has it not */
}

bool call_str(struct call *c, const char *key, struct str *out, bool required)
{
    struct mp m = call_param(c, key);
    *out = mp_str(m);
    enum mp_type type = mp_type(m);
    if (type != MP_STR && type != MP_NONE && type != MP_NIL) {
        call_failf(c, ERR_USAGE, "%.*s: parameter \"%s\" must be a string", STR_ARG(c->method), key);
        return false;
    }
    if (required && out->n == 0) {
        call_failf(c, ERR_USAGE, "%.*s: parameter \"%s\" is missing", STR_ARG(c->method), key);
        return false;
    }
    return true;
}

/* ---- Linearizable reads on any master ---- */

/* Method and params borrow from the message while it is being handled, and from the request's own copy later. */
void call_find_again(struct call *c)
{
    c->method = rpc_request_method(c->req);
    c->params = rpc_request_params(c->req);
    if (c->forwarded) {
        c->method = mp_str(mp_get(c->params, "method"));
        c->params = mp_get(c->params, "params");
    }
}

int64_t call_left_ms(const struct call *c, int64_t max_ms)
{
    if (c->deadline_ms == 0) {
        return max_ms;
    }
    int64_t left = c->deadline_ms - env_now_ms(c->m->env);
    return left < 1 ? 1 : MIN(left, max_ms);
}

/* ---- Its turn ---- */

struct lane *call_lane(struct call *c)
{
    if (rpc_request_session(c->req) == NULL) {
        return NULL;
    }
    if (!c->forwarded) {
        return &call_session(c)->lane;
    }
    if (c->subject == NULL) {
        struct pki_identity who = principal_identity(&c->who);
        c->subject = subject_get(c->m->turns, &who, NULL);
    }
    return &c->subject->forwarded;
}

static void read_now(struct call *c);

static void drop(struct work *w)
{
    struct call *c = CONTAINER_OF(w, struct call, work);
    struct error gone = {0};
    error_set(&gone, ERR_CLOSED, "the connection was closed");
    call_fail_now(c, &gone); /* into the void */
}

/* Did whoever asks say how long it waits, and has that passed? */
static bool is_late(struct call *c)
{
    return mp_type(call_param(c, "timeoutMs")) == MP_INT && c->deadline_ms > 0 &&
           env_now_ms(c->m->env) > c->deadline_ms;
}

static void fail_late(struct call *c)
{
    struct error late = {0};
    unsigned deleted = api_deleted(&c->api);
    c->m->stats.late++;
    if (deleted > 0) {
        error_set(&late, ERR_BUSY,
                  "%.*s: the time it gave is over; %u objects were deleted; ask again for the others, or give it more "
                  "time",
                  STR_ARG(c->method), deleted);
    } else {
        error_set(
            &late, ERR_BUSY,
            "%.*s: its turn did not come in the time it gave: this master has much to do for the same identity, or "
            "for all; nothing was done; ask for less at a time, or give it more time",
            STR_ARG(c->method));
    }
    call_fail_now(c, &late);
}

static void run(struct work *w)
{
    struct call *c = CONTAINER_OF(w, struct call, work);
    if (rpc_request_session(c->req) == NULL) {
        drop(w);
        return;
    }
    call_find_again(c);
    if (is_late(c)) {
        fail_late(c);
    } else if (c->api.listing != NULL) {
        api_go_on(&c->api);
    } else if (call_revoked(c)) {
        return; /* meanwhile; a read that has waited knows all that was revoked before it began */
    } else if (c->api.clearing != NULL) {
        api_go_on(&c->api);
    } else if (c->may_read) {
        read_now(c);
    } else {
        master_handle(c);
    }
}

/* What of the open batch it will need. Deletes are taken in while there is any room at all (node_write.c), so they
 * wait for none. */
static enum turn_room room_of(const struct call *c)
{
    if (c->may_read || c->row == &request_delete || c->row == &request_deletecollection) {
        return TURN_ROOM_NONE;
    }
    if (c->row->flags & METHOD_WRITE) {
        return TURN_ROOM_USER;
    }
    return (c->row->flags & METHOD_WRITES_NODE) ? TURN_ROOM_NODE : TURN_ROOM_NONE;
}

void call_take_turn(struct call *c)
{
    struct lane *lane = call_lane(c);
    c->work.run = run;
    c->work.drop = drop;
    c->work.room = room_of(c);
    if (lane == NULL) {
        drop(&c->work);
    } else if (!turns_do(c->m->turns, lane, &c->work)) {
        struct error err = {0};
        error_set(
            &err, ERR_LIMIT,
            "%.*s: %u requests of %s wait for their turn, which is the most that may; nothing was done; send again "
            "when some are answered",
            STR_ARG(c->method), lane->subject->waiting, lane->subject->name);
        err.retry_after_ms = 1000;
        call_fail_now(c, &err);
    }
}

/* Answers to someone who does not read them would pile up here. */
static void read_now(struct call *c)
{
    struct session *s = call_session(c);
    size_t waiting = s == NULL ? 0 : rpc_session_pending(s->rpc);
    if (waiting > MASTER_SESSION_BYTES_MAX) {
        c->m->stats.refused_bytes++;
        call_failf(c, ERR_BUSY, "%.*s: %zu bytes of answers wait to be read by this connection; read them first",
                   STR_ARG(c->method), waiting);
        return;
    }
    c->then(c);
}

static void read_done(const struct error *error, void *data)
{
    struct call *c = data;
    if (error != NULL) {
        call_fail(c, error);
        return;
    }
    call_find_again(c);
    c->may_read = true;
    call_take_turn(c);
}

static void index_known(const struct rpc_result *result, void *data)
{
    struct call *c = data;
    if (result->error != NULL) {
        call_failf(c, ERR_NO_QUORUM, "the leader did not confirm the read: %s; try again, or ask for a stale read",
                   result->error->message);
        return;
    }
    int64_t index = mp_int(mp_get(result->result, "index"), -1);
    if (index < 0) {
        call_failf(c, ERR_INTERNAL, "the leader's answer to read.index is malformed");
        return;
    }
    replica_wait_applied(c->m->replica, (uint64_t)index, call_left_ms(c, MASTER_READ_TIMEOUT_MS), read_done, c);
}

void call_read(struct call *c, call_fn *then)
{
    struct master *m = c->m;
    c->then = then;
    if (mp_bool(call_param(c, "stale"), false)) {
        read_now(c);
        return;
    }
    if (replica_leading(m->replica)) {
        replica_read(m->replica, read_done, c);
        return;
    }
    const char *address;
    uint64_t leader = replica_leader(m->replica, &address);
    if (leader == 0 || leader == m->config.id) {
        call_failf(c, ERR_NO_QUORUM,
                   "no leader is known, so a current read can't be answered; try again, or ask for a stale read");
        return;
    }
    call_ask_leader(c, leader, "read.index", STR("\x80"), call_left_ms(c, MASTER_READ_TIMEOUT_MS), index_known);
}
