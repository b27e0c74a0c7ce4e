/* port-forward: each connection of the client's is a pair of channels, data and error, and a stream of the agent's of
 * its own. Each is an errand of its own as well: it is let in, judged and counted like a request, waits through an
 * election, and goes over the leader where this master has no link to the node.
 *
 * The pod's end of data is told at once on both channels, since clients wait for that of the error channel before they
 * hang up; what they still send goes to the pod until they end it. A failure is a text on the error channel. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/api/write.h"
#include "master/front/forward.h"
#include "master/rest/stream.h"

#define WRITE_MAX (64u << 10)

struct forwards {
    struct list all;
};
struct forward {
    struct list link;      /* forwards.all */
    struct rest_stream *s; /* NULL: it is gone */
    struct errand e;
    struct stream_channel *data, *error; /* NULL: not here yet, or gone */
    char request[24];
    uint16_t port;
    bool asked, waits; /* the errand has begun; is in the hands of front/ */
    bool open;         /* the agent has accepted */
    bool relayed;
    struct stream_node *node;
    struct buf in;
    bool in_over, eof_told;
    size_t owed;
};

static const struct errand_front forward_front;

static void forward_free(struct forward *f)
{
    assert(f->node == NULL && !f->waits);
    if (f->s != NULL) {
        stream_hold(f->s, 0, f->in.size);
    }
    if (f->data != NULL) {
        f->data->owner = NULL;
    }
    if (f->error != NULL) {
        f->error->owner = NULL;
    }
    if (f->asked) {
        errand_close(&f->e);
    }
    list_remove(&f->link);
    buf_close(&f->in);
    free(f);
}

/* Both channels are over on this side: gone, with all that is held for them. */
static void forward_over(struct forward *f)
{
    struct rest_stream *s = f->s;
    struct stream_channel *data = f->data, *error = f->error;
    if (f->node != NULL) {
        stream_node_leave(TAKE_PTR(f->node));
        if (!f->open) {
            errand_end(&f->e);
        }
    }
    if (f->waits) { /* comes back, and finds nobody */
        errand_end(&f->e);
        stream_hold(s, 0, f->in.size);
        buf_close(&f->in);
        list_remove(&f->link);
        f->s = NULL;
        f->data = f->error = NULL;
    } else {
        forward_free(f);
    }
    if (data != NULL) {
        stream_channel_free(data);
    }
    if (error != NULL) {
        stream_channel_free(error);
    }
    struct forwards *all = s->app;
    if (stream_is_ws(s) && !stream_is_tunnel(s) && list_empty(&all->all)) {
        rest_stream_end(s); /* its ports are those of the beginning */
    }
}

/* text NULL: it is over regularly. */
static void tell_end(struct forward *f, const char *text)
{
    struct rest_stream *s = f->s;
    CLEANUP_BUF struct buf b = BUF_INIT;
    if (text != NULL) {
        buf_printf(&b, "error forwarding port %u to pod %.*s: %s", f->port, STR_ARG(s->call->path.name), text);
    }
    stream_write(f->data, STR_NONE, true);
    stream_write(f->error, buf_str(&b), true);
}

/* ---- What the agent says ---- */

static void pump(struct forward *f)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    if (f->node == NULL || !f->open) {
        return;
    }
    while (f->in.size > 0) {
        size_t n = MIN(f->in.size, (size_t)WRITE_MAX);
        buf_reset(&b);
        mp_write_bin(&b, f->in.data, n);
        if (stream_node_write(f->node, buf_str(&b)) != 0) {
            return;
        }
        buf_consume(&f->in, n);
        stream_hold(f->s, 0, n);
    }
    if (f->in_over && !f->eof_told) {
        buf_reset(&b);
        mp_write_map(&b, 1);
        mp_write_key_bool(&b, "eof", true);
        f->eof_told = stream_node_write(f->node, buf_str(&b)) == 0;
    }
}

static void give_credit(struct forward *f)
{
    if (f->node != NULL && f->open && !stream_is_full(f->s)) {
        stream_node_took(f->node, f->owed);
        f->owed = 0;
    }
}

static void on_node_open(void *data)
{
    struct forward *f = data;
    f->open = true;
    errand_end(&f->e);
    pump(f);
}

static void on_node_data(struct mp payload, size_t n, void *data)
{
    struct forward *f = data;
    struct mp m = payload;
    struct str bytes;
    f->owed += n;
    if (mp_read_bin(&m, &bytes)) {
        stream_write(f->data, bytes, false);
    } else if (mp_bool(mp_get(payload, "eof"), false)) {
        tell_end(f, NULL);
    }
    give_credit(f);
}

static void on_node_writable(void *data)
{
    pump(data);
}

static void on_node_end(const struct error *err, void *data)
{
    struct forward *f = data;
    f->node = NULL;
    if (!f->open) {
        struct error why;
        stream_node_refusal(f->relayed, err, &why);
        f->waits = true;
        errand_fail(&f->e, &why); /* which may park it */
        return;
    }
    tell_end(f, err == NULL               ? NULL
                : err->code == ERR_CLOSED ? "the connection to the pod's node was lost"
                                          : err->message);
    forward_over(f);
}

static const struct stream_node_events node_events = {
    .open = on_node_open, .data = on_node_data, .writable = on_node_writable, .end = on_node_end};

/* ---- Its errand ---- */

static struct forward *forward_of(const struct errand *e)
{
    return CONTAINER_OF(e, struct forward, e);
}

static bool errand_gone(const struct errand *e)
{
    const struct forward *f = forward_of(e);
    return f->s == NULL || f->s->call->conn == NULL;
}

static struct session *errand_session(const struct errand *e)
{
    return errand_gone(e) ? NULL : forward_of(e)->s->call->conn->session;
}

static size_t errand_unread(const struct errand *e)
{
    (void)e;
    return 0; /* it is bounded by itself */
}

static void open_on(struct forward *f, struct rpc_session *to, bool relayed, const char *method, struct str params)
{
    f->waits = false;
    f->relayed = relayed;
    f->node = stream_node_open(to, relayed, method, params, &node_events, f);
}

static void open_near(struct forward *f, struct rpc_session *agent)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    stream_write_params(f->s, &b, f->port);
    open_on(f, agent, false, stream_node_method(f->s), buf_str(&b));
}

static struct rpc_session *link_of(struct forward *f, struct error *err)
{
    const struct rest_path *p = &f->s->call->path;
    return stream_node_link(f->e.api.m, p->ns, p->name, err);
}

static void errand_handle(struct errand *e)
{
    struct forward *f = forward_of(e);
    struct error err = {0};
    struct rpc_session *agent = link_of(f, &err);
    f->waits = true;
    if (agent != NULL) {
        open_near(f, agent);
    } else if (err.code == ERR_BUSY && !replica_leading(e->api.m->replica)) {
        e->flags = stream_flags(f->s);
        errand_forward(e);
    } else {
        errand_fail_now(e, &err);
    }
}

static void errand_failed(struct errand *e, const struct error *err)
{
    struct forward *f = forward_of(e);
    errand_end(e);
    f->waits = false;
    if (f->s == NULL) {
        forward_free(f);
        return;
    }
    tell_end(f, err->message);
    forward_over(f);
}

static bool errand_write(struct errand *e, struct buf *b)
{
    struct forward *f = forward_of(e);
    mp_write_key_str(b, "method", e->name);
    mp_write_cstr(b, "params");
    stream_write_params(f->s, b, f->port);
    return true;
}

static bool errand_near(struct errand *e)
{
    struct forward *f = forward_of(e);
    struct rpc_session *agent = link_of(f, NULL);
    if (agent != NULL) {
        open_near(f, agent);
    }
    return agent != NULL;
}

static void errand_relay(struct errand *e, uint64_t leader, struct str params)
{
    struct rpc_session *to = transport_session(e->api.m->transport, leader);
    if (to == NULL) {
        errand_failf(e, ERR_NO_QUORUM, "no connection to the leader; try again");
    } else {
        open_on(forward_of(e), to, true, "forward", params);
    }
}

static const char *errand_access(struct errand *e, struct str *ns, struct str *name)
{
    const struct rest_stream *s = forward_of(e)->s;
    *ns = s->call->path.ns;
    *name = s->call->path.name;
    return stream_access(s);
}

static const struct errand_front forward_front = {.access = errand_access,
                                                  .gone = errand_gone,
                                                  .session = errand_session,
                                                  .unread = errand_unread,
                                                  .handle = errand_handle,
                                                  .fail = errand_failed,
                                                  .write = errand_write,
                                                  .relay_here = errand_near,
                                                  .relay = errand_relay};

#define FORWARD_BYTES 1024u /* what one holds while it waits */

/* Both channels are here. */
static void begin(struct forward *f)
{
    struct rest_stream *s = f->s;
    errand_init(&f->e, s->call->e.api.m, &forward_front, &rest_api_front, s->call->e.who);
    f->asked = f->waits = true;
    f->e.name = str_of(stream_method(s));
    f->e.newest = true;
    if (!errand_revoked(&f->e) && errand_may(&f->e) && errand_take_in(&f->e, FORWARD_BYTES)) {
        errand_start(&f->e, MASTER_WAIT_MS);
    }
}

/* ---- What the client says ---- */

static struct forward *find(struct forwards *all, const char *request)
{
    LIST_FOR(it, &all->all)
    {
        struct forward *f = LIST_ENTRY(it, struct forward, link);
        if (strcmp(f->request, request) == 0) {
            return f;
        }
    }
    return NULL;
}

static bool open_channel(struct stream_channel *ch)
{
    struct forwards *all = ch->stream->app;
    struct forward *f = find(all, ch->request);
    if ((ch->use != STREAM_DATA && ch->use != STREAM_ERROR) || ch->port == 0) {
        return false;
    }
    if (f == NULL) {
        f = xcalloc(1, sizeof *f);
        f->s = ch->stream;
        f->port = ch->port;
        memcpy(f->request, ch->request, sizeof f->request);
        list_push_back(&all->all, &f->link);
    }
    struct stream_channel **place = ch->use == STREAM_DATA ? &f->data : &f->error;
    if (*place != NULL || f->asked || f->port != ch->port) {
        return false;
    }
    *place = ch;
    ch->owner = f;
    if (f->data != NULL && f->error != NULL) {
        begin(f);
    }
    return true;
}

static void on_data(struct stream_channel *ch, struct str bytes)
{
    struct forward *f = ch->owner;
    if (f != NULL && ch == f->data) {
        buf_append_str(&f->in, bytes);
        stream_hold(f->s, bytes.n, 0);
        pump(f);
    }
}

static void on_fin(struct stream_channel *ch)
{
    struct forward *f = ch->owner;
    if (f == NULL) {
        return;
    }
    if (ch->reset && (ch == f->data || f->data == NULL)) { /* it is thrown away */
        tell_end(f, NULL);
        forward_over(f);
    } else if (ch == f->data) {
        f->in_over = true;
        pump(f);
    }
}

static void here(struct rest_stream *s)
{
    struct errand *e = &s->call->e;
    const struct rest_path *p = &s->call->path;
    struct error err = {0};
    stream_node_link(e->api.m, p->ns, p->name, &err);
    if (err.code != 0 && (err.code != ERR_BUSY || replica_leading(e->api.m->replica))) {
        errand_fail_now(e, &err);
        return;
    }
    struct forwards *all = xcalloc(1, sizeof *all);
    list_init(&all->all);
    s->app = all;
    stream_upgrade(s);
}

static void on_drained(struct rest_stream *s)
{
    struct forwards *all = s->app;
    LIST_FOR(it, &all->all)
    {
        give_credit(LIST_ENTRY(it, struct forward, link));
    }
}

static bool waits(struct rest_stream *s)
{
    (void)s;
    return false;
}

static void lost(struct rest_stream *s)
{
    struct forwards *all = s->app;
    LIST_FOR_SAFE(it, &all->all)
    {
        struct forward *f = LIST_ENTRY(it, struct forward, link);
        if (f->node != NULL) {
            stream_node_leave(TAKE_PTR(f->node));
        }
        if (f->asked) {
            errand_end(&f->e);
        }
        f->in.size = 0;
        list_remove(&f->link);
        f->data = f->error = NULL;
        f->s = NULL;
        if (!f->waits) {
            forward_free(f);
        }
    }
    s->held = 0;
    s->app = NULL;
    free(all);
}

const struct stream_app stream_forward = {.here = here,
                                          .open = open_channel,
                                          .data = on_data,
                                          .fin = on_fin,
                                          .drained = on_drained,
                                          .waits = waits,
                                          .lost = lost};
