/* Is the master that serves us still there? A process that is killed closes its connections; one that hangs, or whose
 * machine lost its power, keeps them, and what follows it would wait for ever. */
#include <stdlib.h>

#include "client/api/api_internal.h"

struct ping {
    struct api *api;
    struct rpc_session *session; /* to be compared only */
};

static void pinged(const struct rpc_result *r, void *data)
{
    struct ping *p = data;
    struct api *a = p->api;
    bool same = a->session == p->session;
    free(p);
    a->ping.asked = false;
    if (!same || a->ping.users == 0) {
        return;
    }
    bool late = r->error != NULL && r->error->code == ERR_TIMEOUT;
    bool blind = r->error == NULL && mp_int(mp_get(r->result, "leader"), 0) == 0;
    a->ping.leaderless = blind ? a->ping.leaderless + 1 : 0;
    if (late || (a->ping.leaderless >= API_PING_LEADERLESS && a->ping.fixed == 0 && a->pinned == NULL &&
                 a->servers_count > 1)) {
        a->ping.leaderless = 0;
        api_next_server(a);
    }
}

static void on_ping(uv_timer_t *t)
{
    struct api *a = t->data;
    if (a->session == NULL || a->ping.asked || !rpc_session_is_open(a->session)) {
        return;
    }
    CLEANUP_BUF struct buf params = BUF_INIT;
    struct ping *p = xmalloc(sizeof(*p));
    *p = (struct ping){a, a->session};
    a->ping.asked = true;
    mp_write_map(&params, 0);
    rpc_call(a->session, "hello", buf_str(&params), a->ping.late_ms, pinged, p);
}

void api_ping_init(struct api *a)
{
    uv_timer_init(&a->loop, &a->ping.timer);
    a->ping.timer.data = a;
    a->ping.period_ms = API_PING_MS;
    a->ping.late_ms = API_PING_LATE_MS;
    uv_unref((uv_handle_t *)&a->ping.timer);
}

void api_ping_start(struct api *a, bool movable)
{
    a->ping.fixed += !movable;
    if (a->ping.users++ == 0) {
        a->ping.leaderless = 0;
        uv_timer_start(&a->ping.timer, on_ping, (uint64_t)a->ping.period_ms, (uint64_t)a->ping.period_ms);
    }
}

void api_ping_stop(struct api *a, bool movable)
{
    a->ping.fixed -= !movable;
    if (--a->ping.users == 0) {
        uv_timer_stop(&a->ping.timer);
    }
}
