/* exec and attach: the agent's stream (proto/rpc/api.h) begins before the 101, so that what cannot be is told by a
 * Status; what a command prints before the client has made its channels waits for them, not acknowledged.
 *
 * The end: both outputs are closed, then the error channel says how it went. From v4 on it is a Status, with the exit
 * code in its causes; before it is a text, and nothing if all went well. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "master/api/write.h"
#include "master/front/forward.h"
#include "master/rest/stream.h"
#include "proto/text/text.h"

#define WRITE_MAX  (64u << 10) /* of one payload to the agent */
#define RESIZE_MAX 1024u       /* of a size that is half here */

struct exec {
    struct rest_stream *s;
    struct stream_node *node; /* NULL: it is over */
    bool relayed;
    struct stream_channel *channels[STREAM_USES];
    struct buf held[2]; /* stdout and stderr whose channel is not there yet */
    size_t owed;        /* bytes that are held, or that the client has not read */
    struct buf in, resize;
    bool in_over, eof_told, resized;
    unsigned rows, columns;
    bool has_exit;
    int exit_code;
    struct error error; /* why it ended; code 0: regularly */
};

static void exec_free(struct exec *x)
{
    x->s->app = NULL;
    buf_close(&x->held[0]);
    buf_close(&x->held[1]);
    buf_close(&x->in);
    buf_close(&x->resize);
    free(x);
}

/* ---- The end ---- */

static void write_failure(struct buf *b, const char *reason, struct str message, const char *causes)
{
    buf_puts(b, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"message\":");
    json_write_text(b, message);
    buf_printf(b, ",\"reason\":\"%s\"%s}", reason, causes);
}

static void write_result(const struct exec *x, struct buf *b)
{
    CLEANUP_BUF struct buf text = BUF_INIT, causes = BUF_INIT;
    bool failed = x->error.code != 0, exited = !failed && x->has_exit && x->exit_code != 0;
    if (exited) {
        buf_printf(&text, "command terminated with non-zero exit code: %d", x->exit_code);
        buf_printf(&causes, ",\"details\":{\"causes\":[{\"reason\":\"ExitCode\",\"message\":\"%d\"}]}", x->exit_code);
    } else if (failed) {
        buf_puts(&text, x->error.message);
        buf_puts(&causes, ",\"code\":500");
    }
    if (stream_level(x->s) < 4) {
        buf_append_str(b, buf_str(&text));
    } else if (exited || failed) {
        write_failure(b, exited ? "NonZeroExitCode" : "InternalError", buf_str(&text), buf_cstr(&causes));
    } else {
        buf_puts(b, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Success\"}");
    }
}

/* Clients open one channel after the other, and want an answer to each: who has not opened all would not read the
 * end. */
static bool waits(struct rest_stream *s)
{
    const struct exec *x = s->app;
    for (unsigned use = 0; use < STREAM_USES; use++) {
        bool opens = use != STREAM_RESIZE || stream_level(s) >= 3; /* before, terminals had no size */
        if (s->wants[use] && opens && x->channels[use] == NULL) {
            return true;
        }
    }
    return false;
}

static void give_credit(struct exec *x)
{
    if (x->node != NULL && x->held[0].size == 0 && x->held[1].size == 0 && !stream_is_full(x->s)) {
        stream_node_took(x->node, x->owed);
        x->owed = 0;
    }
}

static void flush(struct exec *x)
{
    for (unsigned i = 0; i < 2; i++) {
        struct stream_channel *ch = x->channels[i == 0 ? STREAM_STDOUT : STREAM_STDERR];
        if (ch != NULL && x->held[i].size > 0) {
            stream_write(ch, buf_str(&x->held[i]), false);
            x->s->kept -= x->held[i].size;
            buf_close(&x->held[i]);
        }
    }
    give_credit(x);
}

/* The agent has ended, and the client's channels are there: says how it went. */
static void try_finish(struct exec *x)
{
    struct rest_stream *s = x->s;
    if (x->node != NULL || s->state != STREAM_OPEN || waits(s)) {
        return;
    }
    CLEANUP_BUF struct buf result = BUF_INIT;
    flush(x);
    stream_write(x->channels[STREAM_STDOUT], STR_NONE, true);
    stream_write(x->channels[STREAM_STDERR], STR_NONE, true);
    write_result(x, &result);
    stream_write(x->channels[STREAM_ERROR], buf_str(&result), true);
    rest_stream_end(s);
}

/* ---- What the agent says ---- */

static void on_node_open(void *data)
{
    struct exec *x = data;
    stream_upgrade(x->s);
}

static void print(struct exec *x, unsigned which, struct str bytes)
{
    enum stream_use use = which == 0 ? STREAM_STDOUT : STREAM_STDERR;
    struct stream_channel *ch = x->channels[use];
    if (ch != NULL) {
        stream_write(ch, bytes, false);
    } else if (x->s->wants[use]) {
        buf_append_str(&x->held[which], bytes);
        x->s->kept += bytes.n;
    }
}

static void on_node_data(struct mp payload, size_t n, void *data)
{
    struct exec *x = data;
    struct mp out = mp_get(payload, "stdout"), err = mp_get(payload, "stderr"), code = mp_get(payload, "exit");
    struct str bytes;
    if (mp_read_bin(&out, &bytes)) {
        print(x, 0, bytes);
    } else if (mp_read_bin(&err, &bytes)) {
        print(x, 1, bytes);
    } else if (mp_type(code) != MP_NONE) {
        x->has_exit = true;
        x->exit_code = (int)mp_int(code, 0);
    }
    x->owed += n;
    give_credit(x);
}

static void pump(struct exec *x);

static void on_node_writable(void *data)
{
    pump(data);
}

static void on_node_end(const struct error *err, void *data)
{
    struct exec *x = data;
    struct rest_stream *s = x->s;
    x->node = NULL;
    if (s->state == STREAM_ASKED) { /* refused; or nobody knows */
        struct error why;
        struct errand *e = &s->call->e;
        stream_node_refusal(x->relayed, err, &why);
        exec_free(x);
        errand_fail(e, &why);
        return;
    }
    if (err != NULL && err->code == ERR_CLOSED) {
        error_set(&x->error, ERR_CLOSED,
                  "the connection to the pod's node was lost (its agent has ended, or the network); the command may "
                  "still be running");
    } else if (err != NULL) {
        x->error = *err;
    }
    try_finish(x);
}

static const struct stream_node_events node_events = {
    .open = on_node_open, .data = on_node_data, .writable = on_node_writable, .end = on_node_end};

static struct exec *exec_new(struct rest_stream *s, bool relayed)
{
    struct exec *x = xcalloc(1, sizeof *x);
    assert(s->app == NULL);
    x->s = s;
    x->relayed = relayed;
    s->app = x;
    return x;
}

static void open_near(struct rest_stream *s, struct rpc_session *agent)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct exec *x = exec_new(s, false);
    stream_write_params(s, &b, 0);
    x->node = stream_node_open(agent, false, stream_node_method(s), buf_str(&b), &node_events, x);
}

/* False: it has been failed. */
static bool is_clear(struct rest_stream *s)
{
    struct rest_call *c = s->call;
    struct error err = {0};
    bool clear = stream_check_container(c->e.api.m, c->path.ns, c->path.name, s->container, &err) == 0;
    if (!clear) {
        errand_fail_now(&c->e, &err);
    }
    return clear;
}

/* Over this master's own link; a follower that has none asks the leader. */
static void here(struct rest_stream *s)
{
    struct errand *e = &s->call->e;
    struct error err = {0};
    if (!is_clear(s)) {
        return;
    }
    struct rpc_session *agent = stream_node_link(e->api.m, s->call->path.ns, s->call->path.name, &err);
    if (agent != NULL) {
        open_near(s, agent);
    } else if (err.code == ERR_BUSY && !replica_leading(e->api.m->replica)) {
        e->flags = stream_flags(s);
        errand_forward(e);
    } else {
        errand_fail_now(e, &err);
    }
}

static bool go_near(struct rest_call *c)
{
    struct rpc_session *agent = stream_node_link(c->e.api.m, c->path.ns, c->path.name, NULL);
    if (agent != NULL) {
        open_near(c->upgrade, agent);
    }
    return agent != NULL;
}

/* All that the leader knows is here now. */
static void look_again(struct errand *e)
{
    struct rest_call *c = rest_call_of(e);
    if (is_clear(c->upgrade) && !go_near(c)) {
        errand_to_leader(e);
    }
}

bool rest_stream_near(struct rest_call *c)
{
    struct error err = {0};
    if (stream_check_container(c->e.api.m, c->path.ns, c->path.name, c->upgrade->container, &err) != 0) {
        errand_read(&c->e, look_again); /* this master may be behind */
        return true;
    }
    return go_near(c);
}

void rest_stream_relay(struct rest_call *c, uint64_t leader, struct str params)
{
    struct rpc_session *to = transport_session(c->e.api.m->transport, leader);
    if (to == NULL) {
        errand_failf(&c->e, ERR_NO_QUORUM, "no connection to the leader; try again");
    } else {
        struct exec *x = exec_new(c->upgrade, true);
        x->node = stream_node_open(to, true, "forward", params, &node_events, x);
    }
}

/* ---- What the client says ---- */

static bool say(struct exec *x, const struct buf *b)
{
    return x->node != NULL && stream_node_write(x->node, buf_str(b)) == 0;
}

/* As much of it as the agent takes. */
static void pump(struct exec *x)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    while (x->in.size > 0) {
        size_t n = MIN(x->in.size, (size_t)WRITE_MAX);
        buf_reset(&b);
        mp_write_map(&b, 1);
        mp_write_cstr(&b, "stdin");
        mp_write_bin(&b, x->in.data, n);
        if (!say(x, &b)) {
            return;
        }
        buf_consume(&x->in, n);
        stream_hold(x->s, 0, n);
    }
    buf_reset(&b);
    if (x->in_over && !x->eof_told) {
        mp_write_map(&b, 1);
        mp_write_key_bool(&b, "eof", true);
        x->eof_told = say(x, &b);
        buf_reset(&b);
    }
    if (x->resized) {
        mp_write_map(&b, 2);
        mp_write_key_int(&b, "rows", x->rows);
        mp_write_key_int(&b, "columns", x->columns);
        x->resized = !say(x, &b);
    }
}

/* Documents {"Width":80,"Height":24}, one behind the other; the last one counts. */
static void read_sizes(struct exec *x, struct str bytes)
{
    if (x->resize.size + bytes.n > RESIZE_MAX) {
        stream_fail(x->s, "the size of a terminal is not a small document");
        return;
    }
    buf_append_str(&x->resize, bytes);
    const uint8_t *end;
    while (x->resize.size > 0 && (end = memchr(x->resize.data, '}', x->resize.size)) != NULL) {
        CLEANUP_ARENA struct arena a;
        struct value *doc = NULL;
        size_t n = (size_t)(end - x->resize.data) + 1;
        arena_init(&a);
        if (json_read(&a, (struct str){(const char *)x->resize.data, n}, &doc, NULL) == 0) {
            int64_t width = value_to_int(value_get(doc, "Width"), 0),
                    height = value_to_int(value_get(doc, "Height"), 0);
            if (width > 0 && width <= 65535 && height > 0 && height <= 65535) {
                x->columns = (unsigned)width;
                x->rows = (unsigned)height;
                x->resized = true;
            }
        }
        buf_consume(&x->resize, n);
    }
    pump(x);
}

static bool open_channel(struct stream_channel *ch)
{
    struct rest_stream *s = ch->stream;
    struct exec *x = s->app;
    if (!s->wants[ch->use] || x->channels[ch->use] != NULL) {
        return false;
    }
    x->channels[ch->use] = ch;
    flush(x);
    try_finish(x);
    return true;
}

static void on_data(struct stream_channel *ch, struct str bytes)
{
    struct exec *x = ch->stream->app;
    if (ch->use == STREAM_RESIZE) {
        read_sizes(x, bytes);
    } else if (ch->use == STREAM_STDIN && x->node != NULL) {
        buf_append_str(&x->in, bytes);
        stream_hold(x->s, bytes.n, 0);
        pump(x);
    }
}

static void on_fin(struct stream_channel *ch)
{
    struct exec *x = ch->stream->app;
    if (ch->use == STREAM_STDIN) {
        x->in_over = true;
        pump(x);
    }
}

static void on_drained(struct rest_stream *s)
{
    struct exec *x = s->app;
    give_credit(x);
}

static void lost(struct rest_stream *s)
{
    struct exec *x = s->app;
    if (x->node != NULL) {
        stream_node_leave(x->node);
    }
    s->held = s->kept = 0;
    exec_free(x);
}

const struct stream_app stream_exec = {.here = here,
                                       .open = open_channel,
                                       .data = on_data,
                                       .fin = on_fin,
                                       .drained = on_drained,
                                       .waits = waits,
                                       .lost = lost};
