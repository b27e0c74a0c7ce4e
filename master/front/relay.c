/* logs, exec, port-forward and image loading: two streams tied together, one to whoever asked, one to the agent.
 *
 * Each master has a link to each node (nodes.c), so the one that was asked serves the stream itself, whoever leads: a
 * change of leader does not touch it. A follower looks the pod up in its own state, which may be behind: what it does
 * not know, has no link for, or the agent says is not there, it asks the leader for, over which the stream then goes.
 *
 * What comes in on one stream is written to the other, and acknowledged (credit) only when it was taken there, so that
 * a slow reader slows the writer, end to end, and what is held here is bounded by one stream window a side.
 *
 * What is in here is lost with this master. exec, attach and port-forward bear that: their ends are the client and the
 * agent, which know what has arrived (proto/rpc/channel.h). Our part is to tell the agent the truth about who is
 * gone: a client, whose command is ended, or a master. */
#include "master/front/relay.h"

#include <assert.h>
#include <stdlib.h>

#include "base/le.h"
#include "base/timefmt.h"
#include "master/api/write.h"
#include "master/front/call.h"
#include "master/front/methods.h"
#include "master/master.h"
#include "proto/facts/condition.h"

struct relay;
struct relay_side {
    struct relay *relay;
    struct relay_side *other;
    struct rpc_stream *stream; /* NULL: not accepted yet, or gone */
    struct buf held;           /* payloads (u32 length, bytes) that came from the other side and wait for credit here */
    bool ended;                /* our writing side of this stream is closed */
    bool over;                 /* on_end has come */
    bool end_pending;          /* to be closed when `held` has gone */
    struct error end_error;
};
struct relay {
    struct list opening;           /* master.relays, while `request` waits for another master */
    uint64_t leader;               /* that master; 0: the node's side is an agent */
    const struct rpc_session *via; /* to it; to be compared only */
    struct relay_side client, node;
    char *node_name;             /* NULL: the node's side is another master */
    struct rpc_request *request; /* until the node's side has accepted */
    struct call_origin origin;   /* with it */
    bool doubtful;               /* from a follower's state: if the agent knows no such pod the leader decides */
};

static void side_end(struct relay_side *s, const struct error *err)
{
    if (s->ended || s->stream == NULL) {
        return;
    }
    if (s->held.size > 0) { /* what came before the end goes out before it */
        s->end_pending = true;
        return;
    }
    s->ended = true;
    rpc_stream_end(s->stream, err);
}

static void relay_maybe_free(struct relay *r)
{
    bool client_done = r->client.stream == NULL ? r->request == NULL : r->client.over;
    if (!client_done || !r->node.over) {
        return;
    }
    buf_close(&r->client.held);
    buf_close(&r->node.held);
    call_origin_close(&r->origin);
    free(r->node_name);
    free(r);
}

static void flush_held(struct relay_side *s)
{
    while (s->held.size > 0 && !s->ended && s->stream != NULL) {
        uint32_t n = le_load_u32(s->held.data);
        assert(s->held.size >= 4 + (size_t)n);
        if (rpc_stream_write(s->stream, (struct str){(const char *)s->held.data + 4, n}) != 0) {
            return;
        }
        buf_consume(&s->held, 4 + (size_t)n);
        if (s->other->stream != NULL && !s->other->over) {
            rpc_stream_consumed(s->other->stream, n);
        }
    }
    if (s->end_pending && s->held.size == 0) {
        s->end_pending = false;
        side_end(s, s->end_error.code == 0 ? NULL : &s->end_error);
    }
}

static void on_data(struct rpc_stream *st, struct mp payload, size_t payload_bytes, void *data)
{
    struct relay_side *from = data, *to = from->other;
    if (to->ended || to->stream == NULL) {
        rpc_stream_consumed(st, payload_bytes);
        return;
    }
    struct str bytes = {(const char *)payload.p, (size_t)(payload.end - payload.p)};
    if (to->held.size == 0 && rpc_stream_write(to->stream, bytes) == 0) {
        rpc_stream_consumed(st, payload_bytes);
        return;
    }
    assert(payload_bytes == bytes.n);
    buf_put_u32(&to->held, (uint32_t)bytes.n);
    buf_append(&to->held, bytes.p, bytes.n);
}

static void on_writable(struct rpc_stream *st, void *data)
{
    (void)st;
    flush_held(data);
}

/* It was not opened: the request's call hears why, and may be parked. */
static void fail_opening(struct relay *r, const struct error *why)
{
    struct call *c = call_of_request(TAKE_PTR(r->request), &r->origin);
    list_remove(&r->opening);
    if (errand_count(&c->e, call_bytes(c))) {
        call_fail(c, why);
    }
}

static void set_unknown(struct error *err)
{
    error_set(err, ERR_UNKNOWN_OUTCOME, "the leader went away while a stream was opened over it: it may have begun");
}

/* People know nodes by their names, not the address that the agent's connection came from. */
static const struct error *name_the_node(const struct relay *r, const struct error *err, struct error *named)
{
    if (r->node_name == NULL || err == NULL || err->code != ERR_CLOSED) {
        return err;
    }
    error_set(
        named, ERR_CLOSED,
        "the connection to node \"%s\" was lost (its agent has ended, or the network); `rctl get node %s` shows when "
        "it is back",
        r->node_name, r->node_name);
    return named;
}

static void on_end(struct rpc_stream *st, const struct error *err, void *data)
{
    struct relay_side *s = data;
    struct relay *r = s->relay;
    struct error named = {0};
    s->over = true;
    err = s == &r->node ? name_the_node(r, err, &named) : err;
    if (s == &r->node && r->request != NULL && r->doubtful && err != NULL && err->code == ERR_NOT_FOUND) {
        struct call *c = call_of_request(TAKE_PTR(r->request), &r->origin);
        if (errand_count(&c->e, call_bytes(c))) {
            errand_to_leader(&c->e);
        }
    }
    if (s == &r->node && r->request != NULL) {
        struct error why = {0};
        error_set(&why, ERR_CLOSED, "the node ended the stream before it began");
        why = err == NULL ? why : *err;
        struct master *m = r->origin.m;
        struct rpc_session *via = m->stopping ? NULL : transport_session(m->transport, r->leader);
        if (r->leader != 0 && why.code == ERR_CLOSED && (via == NULL || via != r->via || !rpc_session_is_open(via))) {
            set_unknown(&why); /* else it is what the leader has to say */
        }
        fail_opening(r, &why);
    }
    struct error gone = {0};
    if (s == &r->client && r->origin.forwarded && rpc_stream_session(st) == NULL) {
        /* Another master that is gone, not the client: that may come another way, and finds its command if the agent
         * knows it. */
        error_set(&gone, ERR_CANCELED, "the master that the client asked is gone");
        err = &gone;
    }
    if (err != NULL) {
        s->other->end_error = *err;
    }
    side_end(s->other, err);
    side_end(s, NULL);
    if (!s->ended) { /* held data has nowhere to go any more */
        s->end_pending = false;
        buf_reset(&s->held);
        side_end(s, NULL);
    }
    relay_maybe_free(r);
}

static const struct rpc_stream_events side_events = {.on_data = on_data, .on_writable = on_writable, .on_end = on_end};

static void on_node_open(struct rpc_stream *st, struct mp result, void *data)
{
    (void)result;
    struct relay_side *s = data;
    struct relay *r = s->relay;
    if (r->request == NULL) {
        return; /* given up, and ended already: a leader that slept */
    }
    list_remove(&r->opening);
    r->client.stream = rpc_stream_accept(TAKE_PTR(r->request), &side_events, &r->client);
    if (r->client.stream == NULL) { /* whoever asked has gone */
        s->ended = true;
        rpc_stream_end(st, NULL);
    }
}

static const struct rpc_stream_events replica_events = {
    .on_open = on_node_open, .on_data = on_data, .on_writable = on_writable, .on_end = on_end};

static struct relay *start(struct call *c, struct rpc_session *to, uint64_t leader, const char *method,
                           struct str params)
{
    struct relay *r = xcalloc(1, sizeof *r);
    list_init(&r->opening);
    r->leader = leader;
    r->via = to;
    if (leader != 0) {
        list_push_back(&c->m->relays, &r->opening);
    }
    r->client.relay = r->node.relay = r;
    r->client.other = &r->node;
    r->node.other = &r->client;
    call_origin(c, &r->origin);
    r->request = call_take_request(c);
    r->node.stream = rpc_stream_open(to, method, params, &replica_events, &r->node);
    assert(r->node.stream != NULL);
    return r;
}

void relay_start(struct call *c, uint64_t leader, struct rpc_session *to, const char *method, struct str params)
{
    start(c, to, leader, method, params);
}

void relays_on_leader_known(struct master *m, uint64_t leader)
{
    LIST_FOR_SAFE(it, &m->relays)
    {
        struct relay *r = LIST_ENTRY(it, struct relay, opening);
        if (leader != 0 && r->leader != leader) {
            struct error err = {0};
            set_unknown(&err);
            fail_opening(r, &err);
            side_end(&r->node, NULL); /* freed when the other master, or the end of its connection, says so */
        }
    }
}

/* ---- From a pod's name to its agent ---- */

struct rpc_session *relay_link_to(struct master *m, struct str node)
{
    struct session *s = strmap_get(&m->agents, node);
    return s == NULL || !rpc_session_is_open(s->rpc) ? NULL : s->rpc;
}

static struct rpc_session *agent_of(struct call *c, struct str node)
{
    struct rpc_session *rpc = relay_link_to(c->m, node);
    if (rpc == NULL) {
        call_failf(c, ERR_BUSY, "node \"%.*s\" is not connected to the leader at present; try again when it is Ready",
                   STR_ARG(node));
    }
    return rpc;
}

/* The parameters as they came, less `node`; with who asks, if the stream may be taken up again: by the same. */
static void copy_params(struct call *c, struct buf *b)
{
    bool has_node = mp_type(call_param(c, "node")) != MP_NONE;
    bool again = mp_type(call_param(c, "resume")) != MP_NONE;
    mp_write_map(b, mp_count(c->params.all) - has_node + again);
    if (again) {
        mp_write_key_str(b, "asker", str_of(c->e.who->name));
    }
    for (struct mp_iter it = mp_iter(c->params.all); mp_next(&it);) {
        if (!str_is(it.key, "node")) {
            mp_write_str(b, it.key);
            buf_append(b, it.value.p, (size_t)(it.value.end - it.value.p));
        }
    }
}

#define PLACING_MS 5000

/* New, and the scheduler has not looked at it: asking again is worth it. Where it has found no place nobody knows
 * how long it takes. */
static bool placing_soon(const struct call *c, const struct object *pod)
{
    int64_t created_ms, now_ms = env_wall_ms(c->m->env);
    if (mp_type(condition_mp(pod, "PodScheduled")) != MP_NONE) {
        return false;
    }
    return timefmt_parse(mp_str(mp_path(object_mp(pod), "metadata.creationTimestamp")), &created_ms) &&
           now_ms < created_ms + PLACING_MS;
}

static bool node_of_call(struct call *c, struct str *node)
{
    if (str_starts(c->method, STR("image"))) {
        return call_str(c, "node", node, true);
    }
    struct str ns, name;
    if (!call_str(c, "namespace", &ns, true) || !call_str(c, "name", &name, true)) {
        return false;
    }
    const struct object *pod = view_get(store_tip(replica_store(c->m->replica)), kind_by_id(KIND_POD), ns, name);
    if (pod == NULL) {
        api_refuse_not_found(&c->e.api, kind_by_id(KIND_POD), name);
        return false;
    }
    *node = mp_str(mp_path(object_mp(pod), "spec.nodeName"));
    if (node->n == 0) {
        call_failf(
            c, placing_soon(c, pod) ? ERR_BUSY : ERR_USAGE,
            "pod \"%.*s\" does not have a host assigned: it is not on a node yet; `rctl describe pod %.*s` tells "
            "why",
            STR_ARG(name), STR_ARG(name));
        return false;
    }
    return true;
}

static struct relay *relay_to(struct call *c, struct rpc_session *agent, struct str node)
{
    static const struct {
        const char *here, *there;
    } names[] = {{"logs", "pod.logs"},        {"exec", "pod.exec"},
                 {"attach", "pod.attach"},    {"portforward", "pod.portforward"},
                 {"imageload", "image.load"}, {"imagepull", "image.pull"}};
    size_t i = 0;
    while (!str_is(c->method, names[i].here)) {
        i++;
        assert(i < ARRAY_SIZE(names)); /* the method table knows no other */
    }
    CLEANUP_BUF struct buf b = BUF_INIT;
    copy_params(c, &b);
    struct relay *r = start(c, agent, 0, names[i].there, buf_str(&b));
    r->node_name = xstrndup(node.p, node.n);
    return r;
}

static void method_relay_to_node(struct call *c)
{
    struct str node;
    struct rpc_session *agent = node_of_call(c, &node) ? agent_of(c, node) : NULL;
    if (agent != NULL) {
        relay_to(c, agent, node);
    }
}

const struct method request_logs = {
    "logs", method_relay_to_node, METHOD_STREAM | METHOD_RELAY | METHOD_AGAIN,
    "namespace name container follow previous tailLines sinceSeconds sinceTime timestamps limitBytes places after"};
const struct method request_exec = {"exec", method_relay_to_node, METHOD_STREAM | METHOD_RELAY,
                                    "namespace name container command stdin stdout stderr tty rows columns resume"};
const struct method request_attach = {"attach", method_relay_to_node, METHOD_STREAM | METHOD_RELAY,
                                      "namespace name container stdin stdout stderr tty rows columns resume fromStart"};
const struct method request_portforward = {"portforward", method_relay_to_node,
                                           METHOD_STREAM | METHOD_RELAY | METHOD_AGAIN, "namespace name port resume"};
const struct method request_imageload = {"imageload", method_relay_to_node, METHOD_STREAM | METHOD_RELAY | METHOD_AGAIN,
                                         "node name"};

const struct method request_imagepull = {"imagepull", method_relay_to_node, METHOD_STREAM | METHOD_RELAY | METHOD_AGAIN,
                                         "node name"};

/* Requests to a node that are answered at once, without a stream. */
static const char *plain_method(const struct call *c)
{
    return str_is(c->method, "images") ? "image.list" : str_is(c->method, "imageremove") ? "image.remove" : NULL;
}

static void ask_node(struct call *c, struct rpc_session *agent);

bool relay_here(struct call *c)
{
    struct str node = mp_str(call_param(c, "node"));
    if (node.n == 0) {
        struct str ns = mp_str(call_param(c, "namespace")), name = mp_str(call_param(c, "name"));
        const struct object *pod =
            view_get(store_committed(replica_store(c->m->replica)), kind_by_id(KIND_POD), ns, name);
        node = pod == NULL ? STR_NONE : mp_str(mp_path(object_mp(pod), "spec.nodeName"));
    }
    struct rpc_session *agent = node.n == 0 ? NULL : relay_link_to(c->m, node);
    if (agent == NULL) {
        return false;
    }
    if (plain_method(c) != NULL) {
        ask_node(c, agent);
        return true;
    }
    relay_to(c, agent, node)->doubtful = true;
    return true;
}

static void node_answered(const struct rpc_result *result, void *data)
{
    struct call *c = data;
    if (result->error != NULL) {
        call_fail(c, result->error);
        return;
    }
    struct buf b = BUF_INIT;
    buf_append(&b, result->result.p, (size_t)(result->result.end - result->result.p));
    call_reply(c, &b);
    buf_close(&b);
}

static void ask_node(struct call *c, struct rpc_session *agent)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    copy_params(c, &b);
    rpc_call(agent, plain_method(c), buf_str(&b), MASTER_FORWARD_TIMEOUT_MS, node_answered, c);
}

static void method_ask_node(struct call *c)
{
    struct str node;
    struct rpc_session *agent = node_of_call(c, &node) ? agent_of(c, node) : NULL;
    if (agent != NULL) {
        ask_node(c, agent);
    }
}

const struct method request_images = {"images", method_ask_node, METHOD_WRITE | METHOD_AGAIN | METHOD_RELAY, "node"};
const struct method request_imageremove = {"imageremove", method_ask_node, METHOD_WRITE | METHOD_RELAY, "node name"};
