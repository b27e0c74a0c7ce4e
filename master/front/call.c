/* A request over msgpack-RPC from arrival to answer: its words, and what its errand asks of its front. */
#include "master/front/call.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "master/auth/certs.h"
#include "master/front/relay.h"
#include "master/front/verbs.h"
#include "master/members/join.h"
#include "master/nodes/nodes.h"

#define CALL_BYTES 512u /* what a request without parameters holds while it waits */

static const struct errand_front call_front;

struct call *call_new(struct master *m, struct rpc_request *req, struct principal *who, struct str method,
                      struct mp params)
{
    struct call *c = xmalloc(sizeof *c);
    errand_init(&c->e, m, &call_front, &rpc_front, who);
    c->m = m;
    c->req = req;
    c->method = method;
    c->e.name = method;
    params_init(&c->params, params);
    c->row = NULL;
    c->page = (struct buf)BUF_INIT;
    c->page_items = 0;
    c->then = NULL;
    return c;
}

static struct session *session_of(const struct errand *e)
{
    struct rpc_session *rpc = e->forwarded ? NULL : rpc_request_session(call_of(e)->req);
    return rpc == NULL ? NULL : rpc_session_data(rpc);
}

struct session *call_session(const struct call *c)
{
    return session_of(&c->e);
}

size_t call_bytes(const struct call *c)
{
    return (size_t)(c->params.all.end - c->params.all.p) + CALL_BYTES;
}

/* The request is the caller's now. */
static struct rpc_request *release(struct call *c)
{
    errand_end(&c->e);
    return TAKE_PTR(c->req);
}

static void call_free(struct call *c)
{
    assert(c->req == NULL);
    errand_close(&c->e);
    buf_close(&c->page);
    free(c);
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
                                .who = principal_ref(c->e.who),
                                .row = c->row,
                                .deadline_ms = c->e.deadline_ms,
                                .tries = c->e.tries,
                                .forwarded = c->e.forwarded};
}

void call_origin_close(struct call_origin *o)
{
    principal_unref(TAKE_PTR(o->who));
}

void call_set_row(struct call *c, const struct method *row)
{
    struct mp wait = call_param(c, TIMEOUT_PARAM);
    c->row = row;
    c->e.name = str_of(row->name);
    c->e.flags = row->flags;
    c->e.timed = mp_type(wait) == MP_INT;
    c->e.newest = (row->flags & METHOD_NEWEST) != 0 && mp_int(call_param(c, "revision"), -1) < 0;
    c->e.stale = (row->flags & METHOD_KNOWN) != 0 || mp_bool(call_param(c, "stale"), false);
    if (row->flags & METHOD_MOVES_LEADER) {
        c->e.repeatable = mp_type(call_param(c, "from")) == MP_INT;
    } else if (row->flags & METHOD_WRITE) {
        c->e.repeatable = mp_type(call_param(c, "id")) == MP_BIN;
    }
}

/* Method and params borrow from the message while it is being handled, and from the request's own copy later. */
static void find_again(struct errand *e)
{
    struct call *c = call_of(e);
    struct mp params = rpc_request_params(c->req);
    c->method = rpc_request_method(c->req);
    if (e->forwarded && c->row != NULL) {
        c->method = mp_str(mp_get(params, "method"));
        params = mp_get(params, "params");
    }
    params_move(&c->params, params);
}

struct call *call_of_request(struct rpc_request *req, const struct call_origin *origin)
{
    struct call *c = call_new(origin->m, req, origin->who, STR_NONE, (struct mp){0});
    c->row = origin->row;
    c->e.deadline_ms = origin->deadline_ms;
    c->e.tries = origin->tries;
    c->e.forwarded = origin->forwarded;
    find_again(&c->e);
    call_set_row(c, c->row);
    return c;
}

/* ---- Answers ---- */

void call_reply(struct call *c, const struct buf *result)
{
    rpc_reply(release(c), buf_str(result));
    call_free(c);
}

void call_fail(struct call *c, const struct error *err)
{
    errand_fail(&c->e, err);
}

void call_failf(struct call *c, int code, const char *fmt, ...)
{
    struct error err = {.code = code};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err.message, sizeof err.message, fmt, ap);
    va_end(ap);
    errand_fail(&c->e, &err);
}

bool call_str(struct call *c, const char *key, struct str *out, bool required)
{
    struct error err = {0};
    if (params_str(&c->params, c->method, key, out, required, &err) != 0) {
        call_fail(c, &err);
        return false;
    }
    return true;
}

static void then_read(struct errand *e)
{
    struct call *c = call_of(e);
    c->then(c);
}

void call_read(struct call *c, call_fn *then)
{
    c->then = then;
    errand_read(&c->e, then_read);
}

/* ---- What the errand asks of its front ---- */

static bool gone(const struct errand *e)
{
    return rpc_request_session(call_of(e)->req) == NULL;
}

static size_t unread(const struct errand *e)
{
    struct session *s = session_of(e);
    return s == NULL ? 0 : rpc_session_pending(s->rpc);
}

static void handle(struct errand *e)
{
    struct call *c = call_of(e);
    c->row->fn(c);
}

static void fail(struct errand *e, const struct error *err)
{
    struct call *c = call_of(e);
    find_again(e);
    join_note_failure(c, err);
    rpc_reply_error(release(c), err);
    call_free(c);
}

/* As it came: it is the masters' language already. */
static bool write_as_it_came(struct errand *e, struct buf *b)
{
    struct call *c = call_of(e);
    if (c->row == &request_node_register && e->who->role == PKI_ROLE_NODE &&
        !node_may_write(c, str_of(e->who->name))) { /* as the leader will */
        return false;
    }
    mp_write_key_str(b, "method", c->method);
    mp_write_cstr(b, "params");
    buf_append(b, c->params.all.p, (size_t)(c->params.all.end - c->params.all.p));
    return true;
}

static void answered(struct errand *e, struct mp result)
{
    struct call *c = call_of(e);
    struct session *s = session_of(e);
    if (c->row == &request_cert_renew && s != NULL) {
        struct str cert = mp_str(mp_get(result, "certificate"));
        certs_note_renewed(s, arena_strndup(&e->arena, cert.n == 0 ? "" : cert.p, cert.n));
    }
    if (c->row == &request_node_register) {
        nodes_registered_there(c, result);
        return;
    }
    CLEANUP_BUF struct buf out = BUF_INIT;
    buf_append(&out, result.p, (size_t)(result.end - result.p));
    call_reply(c, &out);
}

static bool relay_near(struct errand *e)
{
    return relay_here(call_of(e));
}

static void relay(struct errand *e, uint64_t leader, struct str params)
{
    struct rpc_session *to = transport_session(e->api.m->transport, leader);
    if (to == NULL) {
        errand_failf(e, ERR_NO_QUORUM, "no connection to the leader; try again");
    } else {
        relay_start(call_of(e), leader, to, "forward", params);
    }
}

/* Requests that are about parts of pods, or what HTTP has a path for. All others that are not typed have paths of their
 * own. */
static const char *access_of(struct errand *e, struct str *ns, struct str *name)
{
    static const struct {
        const struct method *row;
        const char *access;
    } rows[] = {{&request_logs, "get pods/log"},
                {&request_exec, "create pods/exec"},
                {&request_attach, "create pods/attach"},
                {&request_portforward, "create pods/portforward"},
                {&request_metrics_text, "get /metrics"}};
    struct call *c = call_of(e);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (c->row == rows[i].row) {
            *ns = mp_str(call_param(c, "namespace"));
            *name = mp_str(call_param(c, "name"));
            return rows[i].access;
        }
    }
    return NULL;
}

static const struct errand_front call_front = {
    .access = access_of,
    .find_again = find_again,
    .gone = gone,
    .session = session_of,
    .unread = unread,
    .handle = handle,
    .fail = fail,
    .write = write_as_it_came,
    .answered = answered,
    .relay_here = relay_near,
    .relay = relay,
    .typed = verbs_typed,
    .peek = verbs_peek,
};
