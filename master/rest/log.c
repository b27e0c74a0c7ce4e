/* A container's log over HTTP: a stream of the agent's (`pod.logs`, proto/rpc/api.h), as text.
 *
 * The master that was asked serves it over its own link to the node, once it is as new as the leader; what it has no
 * link for goes over the leader, as with logs of msgpack-RPC (front/relay.c). Credit is given back when the client has
 * read, so a slow one holds a stream's window and REST_SEND_HIGH here, and no more. */
#include <assert.h>
#include <stdlib.h>

#include "master/rest/stream.h"

/* The agent's stream, which may outlive its call. */
struct rest_log {
    struct rest_call *call; /* NULL: over */
    struct rpc_stream *stream;
    size_t owed; /* bytes of credit that the client has not read yet */
    bool ended, doubtful;
};

void rest_log_write(struct rest_call *c, struct buf *b)
{
    const struct rest_options *o = &c->o;
    unsigned more = (o->container.n > 0) + o->follow + o->previous + o->timestamps + (o->tail >= 0) +
                    (o->since_s >= 0) + (o->since_time.n > 0) + (o->bytes >= 0);
    mp_write_map(b, 2u + more);
    mp_write_key_str(b, "namespace", c->path.ns);
    mp_write_key_str(b, "name", c->path.name);
    if (o->container.n > 0) {
        mp_write_key_str(b, "container", o->container);
    }
    if (o->follow) {
        mp_write_key_bool(b, "follow", true);
    }
    if (o->previous) {
        mp_write_key_bool(b, "previous", true);
    }
    if (o->timestamps) {
        mp_write_key_bool(b, "timestamps", true);
    }
    if (o->tail >= 0) {
        mp_write_key_int(b, "tailLines", o->tail);
    }
    if (o->since_s >= 0) {
        mp_write_key_int(b, "sinceSeconds", o->since_s);
    }
    if (o->since_time.n > 0) {
        mp_write_key_str(b, "sinceTime", o->since_time);
    }
    if (o->bytes >= 0) {
        mp_write_key_int(b, "limitBytes", o->bytes);
    }
}

static void stop(struct rest_log *l)
{
    if (!l->ended) {
        l->ended = true;
        rpc_stream_end(l->stream, NULL);
    }
}

static void begin(struct rest_call *c)
{
    if (c->ws != NULL && c->conn != NULL) {
        rest_ws_begin(c);
    } else {
        rest_begin(c, 200, "text/plain; charset=utf-8");
    }
}

/* ---- What the stream tells ---- */

static void on_open(struct rpc_stream *st, struct mp result, void *data)
{
    (void)st;
    (void)result;
    struct rest_log *l = data;
    if (l->call != NULL && l->call->conn != NULL) {
        rest_conn_be_patient(l->call->conn); /* somebody may read it page by page */
    }
    if (l->call != NULL && !l->call->begun) {
        begin(l->call);
    }
}

static void give_credit(struct rest_log *l)
{
    size_t owed = l->owed;
    l->owed = 0;
    if (owed > 0 && !l->ended) {
        rpc_stream_consumed(l->stream, owed);
    }
}

static void on_data(struct rpc_stream *st, struct mp payload, size_t payload_bytes, void *data)
{
    struct rest_log *l = data;
    struct rest_call *c = l->call;
    struct mp with_place = mp_get(payload, "text");
    struct str text;
    if (c == NULL || c->conn == NULL || (!mp_read_bin(&payload, &text) && !mp_read_bin(&with_place, &text))) {
        rpc_stream_consumed(st, payload_bytes);
        return;
    }
    buf_append_str(&c->out, text);
    rest_flush(c);
    l->owed += payload_bytes;
    if (!rest_conn_is_full(c->conn)) {
        give_credit(l);
    }
}

/* It was refused before it began: as an error; a follower that may know the pod wrongly asks the leader. */
static void end_call(struct rest_log *l, const struct error *err)
{
    struct rest_call *c = l->call;
    l->call = NULL;
    c->log = NULL;
    if (c->begun && err == NULL) {
        rest_end(c);
    } else if (c->begun || err != NULL) {
        if (!c->begun && l->doubtful && err->code == ERR_NOT_FOUND) {
            errand_to_leader(&c->e);
        } else {
            errand_fail_now(&c->e, err);
        }
    } else {
        begin(c);
        rest_end(c);
    }
}

static void on_end(struct rpc_stream *st, const struct error *err, void *data)
{
    (void)st;
    struct rest_log *l = data;
    if (l->call != NULL) {
        end_call(l, err);
    }
    stop(l);
    free(l);
}

static const struct rpc_stream_events log_events = {.on_open = on_open, .on_data = on_data, .on_end = on_end};

static struct rest_log *open_on(struct rest_call *c, struct rpc_session *to, const char *method, struct str params)
{
    struct rest_log *l = xcalloc(1, sizeof *l);
    l->call = c;
    c->log = l;
    l->stream = rpc_stream_open(to, method, params, &log_events, l);
    assert(l->stream != NULL);
    return l;
}

static struct rest_log *open_at(struct rest_call *c, struct rpc_session *agent)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    rest_log_write(c, &b);
    return open_on(c, agent, "pod.logs", buf_str(&b));
}

/* False: it has been failed. */
static bool is_clear(struct rest_call *c)
{
    struct error err = {0};
    bool clear = stream_check_container(c->e.api.m, c->path.ns, c->path.name, c->o.container, &err) == 0;
    if (!clear) {
        errand_fail(&c->e, &err);
    }
    return clear;
}

void rest_log_here(struct rest_call *c)
{
    struct error err = {0};
    if (!is_clear(c)) {
        return;
    }
    struct rpc_session *agent = stream_node_link(c->e.api.m, c->path.ns, c->path.name, &err);
    if (agent == NULL) {
        errand_fail(&c->e, &err);
    } else {
        open_at(c, agent);
    }
}

static bool open_near(struct rest_call *c)
{
    struct rpc_session *agent = stream_node_link(c->e.api.m, c->path.ns, c->path.name, NULL);
    if (agent == NULL) {
        return false;
    }
    open_at(c, agent)->doubtful = true;
    return true;
}

/* All that the leader knows is here now. */
static void look_again(struct errand *e)
{
    struct rest_call *c = rest_call_of(e);
    if (is_clear(c) && !open_near(c)) {
        errand_to_leader(e);
    }
}

bool rest_log_near(struct rest_call *c)
{
    struct error err = {0};
    if (stream_check_container(c->e.api.m, c->path.ns, c->path.name, c->o.container, &err) != 0) {
        errand_read(&c->e, look_again); /* this master may be behind */
        return true;
    }
    return open_near(c);
}

/* Who is no administrator is judged by the newest roles: all that the leader knows of them, and of pods, is here now.
 * Names of containers are told to who may read logs alone. */
static void judge(struct errand *e)
{
    struct rest_call *c = rest_call_of(e);
    if (!errand_allowed(e, NULL) || !is_clear(c)) {
        return;
    }
    c->judged = true;
    if (!open_near(c)) {
        errand_to_leader(e);
    }
}

void rest_log_relay(struct rest_call *c, uint64_t leader, struct str params)
{
    struct rpc_session *to = transport_session(c->e.api.m->transport, leader);
    if (!c->judged) {
        errand_read(&c->e, judge);
    } else if (to == NULL) {
        errand_failf(&c->e, ERR_NO_QUORUM, "no connection to the leader; try again");
    } else {
        open_on(c, to, "forward", params);
    }
}

void rest_log_drained(struct rest_call *c)
{
    give_credit(c->log);
}

void rest_log_lost(struct rest_call *c)
{
    struct rest_log *l = c->log;
    l->call = NULL;
    c->log = NULL;
    stop(l); /* freed when the other side has ended, too */
    errand_end(&c->e);
    rest_call_free(c);
}

void rest_log_close(struct rest_call *c)
{
    struct rest_log *l = c->log;
    l->call = NULL;
    c->log = NULL;
    stop(l);
    rest_end(c);
}
