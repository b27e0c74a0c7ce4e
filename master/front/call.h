/* One request on its way. */
#ifndef MASTER_FRONT_CALL_H
#define MASTER_FRONT_CALL_H

#include "master/api/api.h"
#include "master/auth/principal.h"
#include "master/front/requests.h"
#include "master/master.h"

#define CALL_PARAMS_MAX 20u /* no method has more */
struct call {
    struct master *m;
    struct rpc_request *req; /* NULL once answered */
    bool forwarded;          /* by another master, which vouches for `who` */
    struct principal who;
    struct str method; /* both borrowed: valid while the request is being handled, and again inside `then` */
    struct mp params;
    struct {
        bool found;
        unsigned count;
        struct call_param_at {
            uint32_t key, key_size, begin, end; /* from params.p; they stay when the request moves */
        } at[CALL_PARAMS_MAX];
    } index; /* of params, for call_param */
    struct arena arena;
    const struct method *row;
    struct api_call api;     /* the same for verbs of the API, which know nothing of the others (verbs.c) */
    struct buf page;         /* answers.c: of a list, what has been written of its answer */
    uint32_t page_items;     /* in it */
    struct work work;        /* while it waits for its turn (turns.h) */
    struct subject *subject; /* a reference, of one that was forwarded and waits */
    call_fn *then;           /* after call_read */
    bool may_read;           /* its turn is that of `then` */
    int64_t deadline_ms;     /* env now_ms: so long it may wait for a leader; 0 = it does not */
    unsigned tries;          /* parked.c: how often it failed of an election */
    bool maybe_done;         /* an attempt had an unknown outcome */
    size_t counted_bytes;    /* by call_count */
};
struct call *call_new(struct master *m, struct rpc_request *req, const struct principal *who, struct str method,
                      struct mp params);
/* The bytes that the call holds while it waits go onto the account of its connection and of this master. False: too
 * many, the call has been failed. */
bool call_count(struct call *c);
/* Done by the leader, which may be us meanwhile: for what could not be done here. */
void call_to_leader(struct call *c);
/* Whose connection it came on; NULL if it was forwarded, or the connection is gone. Ask anew after anything
 * asynchronous. */
struct session *call_session(const struct call *c);
/* Answer and free. An error that only means that nobody leads at the moment parks the call instead (parked.c): it
 * will be handled anew. */
void call_reply(struct call *c, const struct buf *result);
void call_fail(struct call *c, const struct error *err);
void call_fail_now(struct call *c, const struct error *err); /* never parks */
void call_failf(struct call *c, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The request is taken over (stream accepted): frees the call, not the request. */
struct rpc_request *call_take_request(struct call *c);
/* What is not in the request itself, to make a call of it again after all (a stream that was not accepted). */
struct call_origin {
    struct master *m;
    struct principal who;
    const struct method *row;
    int64_t deadline_ms;
    unsigned tries;
    bool forwarded;
};
void call_origin(const struct call *c, struct call_origin *out);
struct call *call_of_request(struct rpc_request *req, const struct call_origin *origin);
/* Handles it when it is its turn, anew if it was handled before. */
void call_take_turn(struct call *c);
/* Where its work waits: its connection's lane, or that of whom another master speaks for. NULL: nobody waits for the
 * answer any more. */
struct lane *call_lane(struct call *c);
/* Linearizable unless params.stale: runs `then` when committed may be read, and it is its turn. */
void call_read(struct call *c, call_fn *then);
/* A parameter, as mp_get has it, without a walk over the others. */
struct mp call_param(struct call *c, const char *key);
/* A parameter that is a text; absent: empty. False: the call has been failed. */
bool call_str(struct call *c, const char *key, struct str *out, bool required);

/* Method and params as they lie now: they move when the request has been left waiting. */
void call_find_again(struct call *c);
/* How long the answer to something asked on its behalf may take: what is left of its own deadline, at most max_ms. */
int64_t call_left_ms(const struct call *c, int64_t max_ms);

#endif
