/* A request that came over msgpack-RPC: its words, and its errand (errand.h), which knows who asks, when and where it
 * is done. Requests are functions of it. */
#ifndef MASTER_FRONT_CALL_H
#define MASTER_FRONT_CALL_H

#include "master/front/errand.h"
#include "master/front/params.h"
#include "master/front/requests.h"

struct call {
    struct errand e;
    struct master *m;
    struct rpc_request *req; /* NULL once answered */
    struct str method;       /* both borrowed: valid while the request is being handled, and again inside `then` */
    struct params params;
    const struct method *row;
    struct buf page;     /* answers.c: of a list, what has been written of its answer */
    uint32_t page_items; /* in it */
    call_fn *then;       /* after call_read */
};
static inline struct call *call_of(const struct errand *e)
{
    return CONTAINER_OF(e, struct call, e);
}
struct call *call_new(struct master *m, struct rpc_request *req, struct principal *who, struct str method,
                      struct mp params);
size_t call_bytes(const struct call *c); /* that it holds while it waits */
/* Whose connection it came on; NULL if it was forwarded, or the connection is gone. Ask anew after anything
 * asynchronous. */
struct session *call_session(const struct call *c);
/* Answer and free. An error that only means that nobody leads at the moment parks the call instead (parked.c): it
 * will be handled anew. */
void call_reply(struct call *c, const struct buf *result);
void call_fail(struct call *c, const struct error *err);
void call_failf(struct call *c, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The request is taken over (stream accepted): frees the call, not the request. */
struct rpc_request *call_take_request(struct call *c);
/* What is not in the request itself, to make a call of it again after all (a stream that was not accepted). */
struct call_origin {
    struct master *m;
    struct principal *who; /* a reference: call_origin_close */
    const struct method *row;
    int64_t deadline_ms;
    unsigned tries;
    bool forwarded;
};
void call_origin(const struct call *c, struct call_origin *out);
void call_origin_close(struct call_origin *o);
struct call *call_of_request(struct rpc_request *req, const struct call_origin *origin);
/* Linearizable unless params.stale: runs `then` when committed may be read, and it is its turn. */
void call_read(struct call *c, call_fn *then);
/* A parameter, as mp_get has it. */
static inline struct mp call_param(struct call *c, const char *key)
{
    return params_get(&c->params, key);
}
/* A parameter that is a text; absent: empty. False: the call has been failed. */
bool call_str(struct call *c, const char *key, struct str *out, bool required);
/* What the request says to its errand: how long it may take, and what it bears. Name and flags are its row's. */
void call_set_row(struct call *c, const struct method *row);

#endif
