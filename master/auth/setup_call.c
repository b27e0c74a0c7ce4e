/* One call to a master from a process that has no loop (yet). */
#include <assert.h>
#include <uv.h>

#include "master/auth/setup.h"
#include "proto/net/loop.h"
#include "proto/rpc/rpc.h"

struct calling {
    uv_poll_t told;
    const struct stop *stop; /* NULL: nobody tells it to stop */
    struct rpc_session *rpc;
    struct buf *result;
    bool reached;
    int rv;
    struct error *err;
};

static void answered(const struct rpc_result *result, void *data)
{
    struct calling *c = data;
    c->reached = result->error == NULL || (result->sent && result->error->code != ERR_CLOSED);
    if (result->error != NULL) {
        *c->err = *result->error;
        c->rv = result->error->code;
    } else {
        c->rv = 0;
        buf_append(c->result, result->result.p, (size_t)(result->result.end - result->result.p));
    }
    rpc_session_close(c->rpc);
}

static void told_to_stop(uv_poll_t *told, int status, int events)
{
    struct calling *c = told->data;
    (void)status, (void)events;
    uv_poll_stop(told); /* it stays readable */
    rpc_session_close(c->rpc);
}

/* A call that the end of the connection cut hears only that it was closed; why (a certificate that is not trusted,
 * say) comes here. */
static void closed(struct rpc_session *rpc, const struct error *why, void *data)
{
    (void)rpc;
    struct calling *c = data;
    if (why != NULL && c->rv == ERR_CLOSED) {
        *c->err = *why;
        c->rv = why->code;
    }
    if (c->stop != NULL) {
        uv_close((uv_handle_t *)&c->told, NULL);
    }
}

static int call(const struct stop *stop, struct net_tls *tls, const char *addr, const char *method, struct str params,
                int64_t timeout_ms, struct buf *result, bool *reached, struct error *err)
{
    uv_loop_t loop;
    struct error local = {0};
    struct calling c = {.stop = stop, .result = result, .rv = ERR_CLOSED, .err = &local};
    buf_reset(result);
    if (net_loop_init(&loop, err) != 0) {
        return ERR_LIMIT;
    }
    c.rpc = rpc_session_connect(&loop, tls, addr, ALPN_RPC, timeout_ms,
                                &(struct rpc_config){.handler.on_close = closed, .data = &c});
    if (stop != NULL) {
        int rv = uv_poll_init(&loop, &c.told, stop->fd);
        assert(rv == 0); /* a descriptor that is ours, of a sort that can be polled */
        (void)rv;
        c.told.data = &c;
        uv_poll_start(&c.told, UV_READABLE, told_to_stop);
    }
    rpc_call(c.rpc, method, params, timeout_ms, answered, &c);
    while (uv_run(&loop, UV_RUN_DEFAULT) != 0) {
    }
    uv_loop_close(&loop);
    if (reached != NULL) {
        *reached = *reached || c.reached;
    }
    if (c.rv != 0 && err != NULL) {
        *err = local;
        error_wrap(err, "%s by %s", method, addr);
    }
    return c.rv;
}

int setup_call(struct net_tls *tls, const char *addr, const char *method, struct str params, int64_t timeout_ms,
               struct buf *result, bool *reached, struct error *err)
{
    return call(NULL, tls, addr, method, params, timeout_ms, result, reached, err);
}

int setup_call_until(const struct stop *stop, struct net_tls *tls, const char *addr, const char *method,
                     struct str params, int64_t timeout_ms, struct buf *result, struct error *err)
{
    int rv = stop_asked(stop) ? ERR_CANCELED : call(stop, tls, addr, method, params, timeout_ms, result, NULL, err);
    return rv == 0 || !stop_asked(stop) ? rv
                                        : error_set(err, ERR_CANCELED, "told to stop while it waited for %s", addr);
}
