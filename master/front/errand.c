#include "master/front/errand.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "master/auth/access.h"
#include "master/auth/bearer.h"
#include "master/front/ask.h"
#include "master/front/audit.h"
#include "master/front/forward.h"
#include "master/front/parked.h"
#include "master/nodes/lease.h"
#include "proto/schema/release.h"

void errand_init(struct errand *e, struct master *m, const struct errand_front *front, const struct api_front *api,
                 struct principal *who)
{
    *e = (struct errand){.front = front, .who = principal_ref(who)};
    arena_init(&e->arena);
    e->api = (struct api_call){.m = m, .front = api, .who = e->who, .arena = &e->arena};
}

void errand_uncount(struct errand *e)
{
    struct master *m = e->api.m;
    struct session *s = e->front->session(e);
    assert(m->request_bytes >= e->counted_bytes);
    m->request_bytes -= e->counted_bytes;
    if (s != NULL) {
        assert(s->request_bytes >= e->counted_bytes);
        s->request_bytes -= e->counted_bytes;
    } else if (e->forwarded && e->subject != NULL) {
        assert(e->subject->forwarded_bytes >= e->counted_bytes);
        e->subject->forwarded_bytes -= e->counted_bytes;
    }
    e->counted_bytes = 0;
}

void errand_end(struct errand *e)
{
    if (e->audit != NULL) {
        audit_end(e);
    }
    errand_uncount(e);
    if (e->begun != NULL) {
        turns_end(e->api.m->turns, TAKE_PTR(e->begun), e->work.sort);
    }
}

void errand_close(struct errand *e)
{
    assert(!api_goes_on(&e->api) && e->work.lane == NULL && e->counted_bytes == 0 && e->begun == NULL);
    if (e->subject != NULL) {
        subject_unref(e->api.m->turns, e->subject);
    }
    principal_unref(e->who);
    arena_close(&e->arena);
}

/* ---- Failing ---- */

void errand_fail(struct errand *e, const struct error *err)
{
    api_let_go(&e->api); /* handled anew, it begins anew */
    if (!errand_park(e, err)) {
        errand_fail_now(e, err);
    }
}

void errand_fail_now(struct errand *e, const struct error *err)
{
    assert(err->code != 0);
    api_let_go(&e->api);
    e->api.m->stats.refused++;
    audit_failed(e, err);
    e->front->fail(e, err);
}

void errand_failf(struct errand *e, int code, const char *fmt, ...)
{
    struct error err = {.code = code};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err.message, sizeof err.message, fmt, ap);
    va_end(ap);
    errand_fail(e, &err);
}

bool errand_become(struct errand *e, const struct impersonate_wish *wish)
{
    struct error err = {0};
    struct principal *as = NULL;
    struct master *m = e->api.m;
    if (e->who->role == PKI_ROLE_NONE) {
        error_set(&err, ERR_UNAUTHORIZED, "nobody asks as somebody else without a certificate or a token of his own");
    } else if (store_level(replica_store(m->replica)) < RELEASE_LEVEL_CARRIED) {
        error_set(&err, ERR_UNSUPPORTED, "impersonation begins when all masters have been upgraded");
    } else if (impersonate_begin(e->who, wish, &as, &err) == 0) {
        principal_unref(e->who);
        e->who = as;
        e->api.who = as;
        return true;
    }
    errand_fail_now(e, &err);
    return false;
}

/* ---- Its time ---- */

int64_t errand_left_ms(const struct errand *e, int64_t max_ms)
{
    if (e->deadline_ms == 0) {
        return max_ms;
    }
    int64_t left = e->deadline_ms - env_now_ms(e->api.m->env);
    return left < 1 ? 1 : MIN(left, max_ms);
}

/* Did whoever asks say how long it waits, and has that passed? */
static bool is_late(const struct errand *e)
{
    return e->timed && e->deadline_ms > 0 && env_now_ms(e->api.m->env) > e->deadline_ms;
}

static void fail_late(struct errand *e)
{
    struct error late = {0};
    unsigned deleted = api_deleted(&e->api);
    e->api.m->stats.late++;
    if (deleted > 0) {
        error_set(&late, ERR_BUSY,
                  "%.*s: the time it gave is over; %u objects were deleted; ask again for the others, or give it more "
                  "time",
                  STR_ARG(e->name), deleted);
    } else {
        error_set(
            &late, ERR_BUSY,
            "%.*s: its turn did not come in the time it gave: this master has much to do for the same identity, or "
            "for all; nothing was done; ask for less at a time, or give it more time",
            STR_ARG(e->name));
    }
    errand_fail_now(e, &late);
}

/* ---- Its turn ---- */

struct subject *errand_subject(struct errand *e)
{
    if (e->front->gone(e)) {
        return NULL;
    }
    if (!e->forwarded) {
        return e->front->session(e)->lane.subject;
    }
    if (e->subject == NULL) {
        const struct pki_identity *who = &principal_asker(e->who)->identity;
        e->subject = subject_get(e->api.m->turns, who, NULL);
    }
    return e->subject;
}

/* Room and sort of its work are known. */
static struct lane *lane_of(struct errand *e)
{
    struct subject *s = errand_subject(e);
    return s == NULL ? NULL : e->forwarded ? subject_lane(s, &e->work) : &e->front->session(e)->lane;
}

void errand_find_again(struct errand *e)
{
    if (e->front->find_again != NULL) {
        e->front->find_again(e);
    }
}

static void drop(struct work *w)
{
    struct errand *e = CONTAINER_OF(w, struct errand, work);
    struct error gone = {0};
    error_set(&gone, ERR_CLOSED, "the connection was closed");
    errand_fail_now(e, &gone); /* into the void */
}

static void late(struct work *w)
{
    struct errand *e = CONTAINER_OF(w, struct errand, work);
    if (e->front->gone(e)) {
        drop(w);
    } else {
        errand_find_again(e);
        fail_late(e);
    }
}

static void handle(struct errand *e);
static void read_now(struct errand *e);

/* What is committed is known now, and so is whether the token is good. */
static void look_again(struct errand *e)
{
    struct error err = {0};
    e->may_read = false;
    if (bearer_check(e->api.m, e->who, &err) != 0) {
        errand_fail_now(e, &err);
    } else {
        handle(e);
    }
}

static void run(struct work *w)
{
    struct errand *e = CONTAINER_OF(w, struct errand, work);
    if (e->front->gone(e)) {
        drop(w);
        return;
    }
    errand_find_again(e);
    if (e->begun == NULL) {
        e->begun = turns_begin(e->api.m->turns, errand_subject(e), e->work.sort);
        e->work.begins = false;
        e->work.begun = true;
    }
    if (is_late(e)) {
        fail_late(e);
    } else if (e->api.listing != NULL) {
        api_go_on(&e->api);
    } else if (errand_revoked(e)) {
        return; /* meanwhile; a read that has waited knows all that was revoked before it began */
    } else if (e->api.clearing != NULL) {
        api_go_on(&e->api);
    } else if (e->may_read) {
        read_now(e);
    } else if (bearer_check(e->api.m, e->who, NULL) != 0) {
        errand_read(e, look_again); /* what this master has not heard of may be there */
    } else {
        handle(e);
    }
}

/* What of the open batch it will need. */
static enum turn_room room_of(const struct errand *e)
{
    if (e->may_read || (e->flags & METHOD_DELETES)) {
        return TURN_ROOM_NONE;
    }
    if (e->flags & METHOD_WRITES_NODE) {
        return TURN_ROOM_NODE;
    }
    return (e->flags & METHOD_WRITE) ? TURN_ROOM_USER : TURN_ROOM_NONE;
}

static enum turn_sort sort_of(const struct errand *e)
{
    if (e->flags & METHOD_MANY) {
        return TURN_LIST;
    }
    return (e->flags & (METHOD_WATCH | METHOD_STREAM)) ? TURN_STREAM
           : (e->flags & METHOD_WRITE)                 ? TURN_WRITE
                                                       : TURN_READ;
}

void errand_take_turn(struct errand *e)
{
    e->work.run = run;
    e->work.drop = drop;
    e->work.late = late;
    e->work.late_ms = e->timed ? e->deadline_ms : 0;
    e->work.room = room_of(e);
    e->work.begins = e->begun == NULL;
    e->work.begun = e->begun != NULL;
    e->work.sort = e->begun == NULL ? sort_of(e) : e->work.sort;
    struct lane *lane = lane_of(e);
    if (lane == NULL) {
        drop(&e->work);
    } else if (!turns_do(e->api.m->turns, lane, &e->work)) {
        struct error err = {0};
        error_set(
            &err, ERR_LIMIT,
            "%.*s: %u requests of %s wait for their turn, which is the most that may; nothing was done; send again "
            "when some are answered",
            STR_ARG(e->name), lane->subject->waiting, lane->subject->name);
        err.retry_after_ms = 1000;
        errand_fail_now(e, &err);
    }
}

void errand_start(struct errand *e, int64_t wait_ms)
{
    int64_t wait = wait_ms < 0 ? 0 : MIN(wait_ms, MASTER_WAIT_MAX_MS);
    e->deadline_ms = env_now_ms(e->api.m->env) + wait;
    e->aged = e->stale && !access_is_master(e->who) && !lease_is_recent(e->api.m, ERRAND_STALE_MS);
    e->stale = e->stale && !e->aged;
    audit_begin(e);
    errand_take_turn(e);
}

void errand_again(struct errand *e)
{
    arena_close(&e->arena);
    arena_init(&e->arena);
    e->api.warnings = e->api.notes = NULL;
    e->may_read = false;
    if (e->front->forget != NULL) {
        e->front->forget(e);
    }
    errand_find_again(e);
    errand_take_turn(e);
}

void errands_on_session_closed(struct session *s)
{
    parked_on_session_closed(s);
    lane_drop(s->m->turns, &s->lane);
}

/* ---- Where it is done ---- */

/* Here, if whoever asks may. What is typed is asked when it has been read (errand_do). */
static void do_here(struct errand *e)
{
    if (errand_allowed(e, NULL)) {
        e->front->handle(e);
    }
}

static void handle(struct errand *e)
{
    bool leading = replica_leading(e->api.m->replica);
    bool here = leading || ((e->flags & METHOD_STALE) != 0 && e->stale);
    bool serves = (e->flags & METHOD_SERVED) && !e->forwarded && lease_held(e->api.m);
    if ((e->flags & METHOD_LEADER) && !leading && !serves) {
        errand_not_leader(e);
    } else if ((e->flags & METHOD_RELAY) && !leading && !e->forwarded && access_is_master(e->who) &&
               e->front->relay_here(e)) { /* others are judged by the leader: the newest roles count */
        return;
    } else if ((e->flags & METHOD_WRITE) && !here && e->reads_first) {
        errand_read(e, errand_forward);
    } else if ((e->flags & (METHOD_WRITE | METHOD_STREAM)) && !here) {
        errand_forward(e);
    } else if (e->newest) {
        errand_read(e, do_here);
    } else if (!access_is_master(e->who) && !(e->flags & (METHOD_OPEN | METHOD_ANON | METHOD_NODE | METHOD_WRITE))) {
        errand_read(e, do_here); /* the newest roles count: who leads may have been deposed and not know it */
    } else {
        do_here(e);
    }
}

void errand_do(struct errand *e)
{
    struct api_request q;
    if (e->front->typed(e, &q) && errand_count_made(e) && errand_allowed(e, &q)) {
        api_do(&e->api, &q);
    }
}

void errand_to_leader(struct errand *e)
{
    if (replica_leading(e->api.m->replica)) {
        do_here(e); /* meanwhile it is us */
    } else {
        errand_forward(e);
    }
}

/* ---- Linearizable reads on any master ---- */

/* Answers to someone who does not read them would pile up here. */
static void read_now(struct errand *e)
{
    size_t waiting = e->front->unread(e);
    if (waiting > MASTER_SESSION_BYTES_MAX) {
        e->api.m->stats.refused_bytes++;
        errand_failf(e, ERR_BUSY, "%.*s: %zu bytes of answers wait to be read by this connection; read them first",
                     STR_ARG(e->name), waiting);
        return;
    }
    e->then(e);
}

static void read_done(const struct error *error, void *data)
{
    struct errand *e = data;
    if (error != NULL) {
        errand_fail(e, error);
        return;
    }
    errand_find_again(e);
    e->may_read = true;
    errand_take_turn(e);
}

static const char *or_stale(const struct errand *e)
{
    return e->aged ? " (what this master knows of roles and tokens is too old for a stale read)"
                   : ", or ask for a stale read";
}

static void index_known(const struct rpc_result *result, void *data)
{
    struct errand *e = data;
    if (result->error != NULL) {
        errand_failf(e, ERR_NO_QUORUM, "the leader did not confirm the read: %s; try again%s", result->error->message,
                     or_stale(e));
        return;
    }
    int64_t index = mp_int(mp_get(result->result, "index"), -1);
    if (index < 0) {
        errand_failf(e, ERR_INTERNAL, "the leader's answer to read.index is malformed");
        return;
    }
    replica_wait_applied(e->api.m->replica, (uint64_t)index, errand_left_ms(e, MASTER_READ_TIMEOUT_MS), read_done, e);
}

void errand_read(struct errand *e, errand_fn *then)
{
    struct master *m = e->api.m;
    e->then = then;
    if (e->stale) {
        read_now(e);
        return;
    }
    if (replica_leading(m->replica)) {
        replica_read(m->replica, read_done, e);
        return;
    }
    const char *address;
    uint64_t leader = replica_leader(m->replica, &address);
    if (leader == 0 || leader == m->config.id) {
        errand_failf(e, ERR_NO_QUORUM, "no leader is known, so a current read can't be answered; try again%s",
                     or_stale(e));
        return;
    }
    errand_ask_leader(e, leader, "read.index", STR("\x80"), errand_left_ms(e, MASTER_READ_TIMEOUT_MS), index_known);
}

/* ---- For api_front ---- */

void errand_api_fail(struct api_call *c, const struct error *err)
{
    errand_fail(errand_of_api(c), err);
}

void errand_api_go_on(struct api_call *c)
{
    struct errand *e = errand_of_api(c);
    struct lane *lane = lane_of(e);
    assert(lane != NULL); /* nothing closes connections in a turn */
    turns_go_on(c->m->turns, lane, &e->work);
}

void errand_api_wake(struct api_call *c)
{
    errand_take_turn(errand_of_api(c));
}

struct lane *errand_api_lane(const struct api_call *c)
{
    const struct errand *e = errand_of_api(c);
    struct session *s = e->front->session(e);
    return s == NULL ? NULL : &s->lane;
}
