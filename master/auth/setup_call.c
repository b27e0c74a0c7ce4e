/* One call to a master from a process that has no loop (yet). */
#include <signal.h>
#include <uv.h>

#include "master/auth/setup.h"
#include "proto/net/loop.h"
#include "proto/rpc/rpc.h"

#define STOP_LOOK_MS 200

struct calling {
    uv_timer_t stop;
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

/* A caller that has blocked SIGTERM and SIGINT, to take them when it likes, does not like to wait for this call
 * then. */
static void look_for_stop(uv_timer_t *timer)
{
    struct calling *c = timer->data;
    sigset_t pending;
    if (sigpending(&pending) == 0 && (sigismember(&pending, SIGTERM) || sigismember(&pending, SIGINT))) {
        uv_timer_stop(timer);
        rpc_session_close(c->rpc);
    }
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
    uv_close((uv_handle_t *)&c->stop, NULL);
}

int setup_call(struct net_tls *tls, const char *addr, const char *method, struct str params, int64_t timeout_ms,
               struct buf *result, bool *reached, struct error *err)
{
    uv_loop_t loop;
    struct error local = {0};
    struct calling c = {.result = result, .rv = ERR_CLOSED, .err = &local};
    buf_reset(result);
    if (net_loop_init(&loop, err) != 0) {
        return ERR_LIMIT;
    }
    c.rpc = rpc_session_connect(&loop, tls, addr, ALPN_RPC, timeout_ms,
                                &(struct rpc_config){.handler.on_close = closed, .data = &c});
    uv_timer_init(&loop, &c.stop);
    c.stop.data = &c;
    uv_timer_start(&c.stop, look_for_stop, STOP_LOOK_MS, STOP_LOOK_MS);
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
