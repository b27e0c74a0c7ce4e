/* Calls from masters, relayed from clients: logs, exec, port-forward, images. Shapes: proto/api.h.
 *
 * Every stream has a struct of its own with two ends: the rpc stream, and what it is tied to (log reader, exec, socket, image load). Flow
 * is by credit both ways: what the peer cannot take pauses the source; what the target has not taken yet is not acknowledged.
 * An end is freed only when both are over. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/agent_int.h"
#include "agent/defer.h"

#define EXEC_INPUT_MAX (256u << 10) /* stdin held for a slow command */
#define EXEC_ARGS_MAX  256u
#define READ_CHUNK     (32u << 10)

/* ---- Finding ---- */

static struct agent_pod *pod_of(struct agent *a, struct mp params, struct error *err)
{
    struct str ns = mp_str(mp_get(params, "namespace")), name = mp_str(mp_get(params, "name"));
    struct agent_pod *ap = pods_find(a, ns, name);
    if (ap == NULL || ap->gone) {
        error_set(err, ERR_NOT_FOUND, "pod \"%.*s\" is not on node %s", STR_ARG(name), a->name);
        return NULL;
    }
    return ap;
}

/* The container named, or the one the pod declares as default, or the first one. */
static struct container *container_of(struct agent_pod *ap, struct mp params, struct error *err)
{
    struct str name = mp_str(mp_get(params, "container"));
    if (str_empty(name)) {
        name = object_annotation(ap->latest, "kubectl.kubernetes.io/default-container");
    }
    if (str_empty(name)) {
        return &ap->pod->containers[ap->pod->spec->init_count];
    }
    struct container *c = pod_find(ap->pod, name);
    if (c == NULL) {
        CLEANUP_BUF struct buf names = BUF_INIT;
        for (unsigned i = 0; i < ap->pod->spec->count; i++) {
            buf_printf(&names, "%s%s", i == 0 ? "" : ", ", ap->pod->spec->containers[i].name);
        }
        error_set(err, ERR_NOT_FOUND, "container %.*s is not valid for pod %s (it has: %s)", STR_ARG(name), ap->name,
                  buf_cstr(&names));
    }
    return c;
}

static bool is_up(const struct container *c)
{
    return c->has_run && !c->end.set;
}

static void refuse(struct rpc_request *r, const struct error *err)
{
    rpc_reply_error(r, err);
}

/* ---- Logs ---- */

struct log_stream {
    struct list link;
    struct rpc_stream *stream;     /* NULL when over */
    struct logfile_reader *reader; /* NULL when over */
    char uid[64], container[64];
    unsigned attempt;
    bool ended;      /* our side of the stream */
    struct buf held; /* read, not yet taken by the stream */
};

static void log_maybe_free(struct log_stream *l)
{
    if (l->stream == NULL && l->reader == NULL) {
        list_remove(&l->link);
        buf_close(&l->held);
        free(l);
    }
}

static bool log_send(struct log_stream *l)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    if (l->held.size == 0 || l->stream == NULL) {
        return true;
    }
    mp_write_bin(&b, l->held.data, l->held.size);
    if (rpc_stream_write(l->stream, buf_str(&b)) != 0) {
        return false;
    }
    buf_reset(&l->held);
    return true;
}

static void log_end(struct log_stream *l, const struct error *err)
{
    if (!l->ended && l->stream != NULL && (l->held.size == 0 || err != NULL)) {
        l->ended = true;
        rpc_stream_end(l->stream, err);
    }
}

static void log_on_data(struct logfile_reader *r, const uint8_t *p, size_t n, void *data)
{
    struct log_stream *l = data;
    buf_append(&l->held, p, n);
    if (!log_send(l)) {
        logfile_pause(r, true);
    }
}

static void log_on_end(struct logfile_reader *r, const struct error *error, void *data)
{
    struct log_stream *l = data;
    (void)r;
    l->reader = NULL;
    log_end(l, error);
    log_maybe_free(l);
}

static void log_on_writable(struct rpc_stream *st, void *data)
{
    struct log_stream *l = data;
    (void)st;
    if (!log_send(l)) {
        return;
    }
    if (l->reader != NULL) {
        logfile_pause(l->reader, false);
    } else {
        log_end(l, NULL);
    }
}

static void log_ignore(struct rpc_stream *st, struct mp payload, size_t n, void *data)
{
    (void)payload, (void)data;
    rpc_stream_consumed(st, n);
}

static void log_stream_end(struct rpc_stream *st, const struct error *err, void *data)
{
    struct log_stream *l = data;
    (void)err;
    if (!l->ended) {
        l->ended = true;
        rpc_stream_end(st, NULL);
    }
    l->stream = NULL;
    if (l->reader != NULL) {
        logfile_cancel(l->reader);
        l->reader = NULL;
    }
    log_maybe_free(l);
}

static const struct rpc_stream_events log_stream_events = {
    .on_data = log_ignore, .on_writable = log_on_writable, .on_end = log_stream_end};
static const struct logfile_events log_reader_events = {.on_data = log_on_data, .on_end = log_on_end};

/* Which attempt's file, and whether it may still grow. */
static int log_target(const struct container *c, bool previous, unsigned *attempt, bool *grows, struct error *err)
{
    if (previous) {
        bool ended_newest = c->end.set && c->state != CONTAINER_DONE; /* it waits for its next attempt */
        if (!c->last.set && !ended_newest) {
            return error_set(err, ERR_NOT_FOUND, "previous terminated container \"%s\" in pod \"%s\" not found",
                             c->spec->name, c->pod->spec->name);
        }
        *attempt = ended_newest ? c->end.attempt : c->last.attempt;
        *grows = false;
        return 0;
    }
    if (!c->has_run) {
        return error_set(err, ERR_USAGE, "container \"%s\" in pod \"%s\" is waiting to start: %s", c->spec->name,
                         c->pod->spec->name, c->reason[0] != '\0' ? c->reason : "ContainerCreating");
    }
    *attempt = c->attempt;
    *grows = is_up(c);
    return 0;
}

static void serve_logs(struct agent *a, struct rpc_request *r, struct mp params)
{
    struct error err;
    struct agent_pod *ap = pod_of(a, params, &err);
    struct container *c = ap == NULL ? NULL : container_of(ap, params, &err);
    unsigned attempt = 0;
    bool grows = false;
    if (c == NULL || log_target(c, mp_bool(mp_get(params, "previous"), false), &attempt, &grows, &err) != 0) {
        refuse(r, &err);
        return;
    }
    int64_t since = mp_int(mp_get(params, "sinceSeconds"), 0);
    struct logfile_options o = {
        .tail_lines = mp_int(mp_get(params, "tailLines"), -1),
        .since_wall_ms = since > 0 ? env_wall_ms(a->env) - since * 1000 : 0,
        .limit_bytes = mp_int(mp_get(params, "limitBytes"), 0),
        .follow = grows && mp_bool(mp_get(params, "follow"), false),
        .timestamps = mp_bool(mp_get(params, "timestamps"), false),
    };
    char path[LOGFILE_PATH_MAX];
    logfile_path(path, a->logs_dir, ap->ns, ap->name, ap->uid, c->spec->name, attempt);
    struct log_stream *l = xcalloc(1, sizeof *l);
    list_init(&l->link);
    snprintf(l->uid, sizeof l->uid, "%s", ap->uid);
    snprintf(l->container, sizeof l->container, "%s", c->spec->name);
    l->attempt = attempt;
    l->stream = rpc_stream_accept(r, &log_stream_events, l);
    if (l->stream == NULL) {
        free(l);
        return;
    }
    list_push_back(&a->readers, &l->link);
    l->reader = logfile_read(a->loop, path, &o, &log_reader_events, l);
}

void serve_container_ended(struct agent *a, const char *uid, const char *container, unsigned attempt)
{
    LIST_FOR_SAFE(it, &a->readers)
    {
        struct log_stream *l = LIST_ENTRY(it, struct log_stream, link);
        if (l->reader != NULL && l->attempt == attempt && strcmp(l->uid, uid) == 0 &&
            strcmp(l->container, container) == 0) {
            logfile_finish(l->reader);
        }
    }
}

/* ---- Exec ---- */

struct exec_stream {
    struct agent *agent;
    struct rpc_stream *stream;
    struct runtime_exec *exec;
    bool ended, paused, input_over;
    struct buf held[3];    /* by descriptor: output the stream has not taken */
    size_t unacknowledged; /* bytes of input given to the command and not yet taken by it */
    bool has_exit;
    int exit_code;
    struct error error;
};

static void exec_maybe_free(struct exec_stream *x)
{
    if (x->stream == NULL && x->exec == NULL) {
        buf_close(&x->held[1]);
        buf_close(&x->held[2]);
        free(x);
    }
}

static bool exec_send(struct exec_stream *x)
{
    for (int fd = 1; fd <= 2; fd++) {
        CLEANUP_BUF struct buf b = BUF_INIT;
        if (x->held[fd].size == 0) {
            continue;
        }
        mp_write_map(&b, 1);
        mp_write_cstr(&b, fd == 1 ? "stdout" : "stderr");
        mp_write_bin(&b, x->held[fd].data, x->held[fd].size);
        if (rpc_stream_write(x->stream, buf_str(&b)) != 0) {
            return false;
        }
        buf_reset(&x->held[fd]);
    }
    return true;
}

/* The command is over and all its output has been taken: tell its code and end. */
static void exec_finish(struct exec_stream *x)
{
    if (x->stream == NULL || x->ended || x->exec != NULL || !exec_send(x)) {
        return;
    }
    if (x->has_exit) {
        CLEANUP_BUF struct buf b = BUF_INIT;
        mp_write_map(&b, 1);
        mp_write_key_int(&b, "exit", x->exit_code);
        if (rpc_stream_write(x->stream, buf_str(&b)) != 0) {
            return;
        }
    }
    x->ended = true;
    rpc_stream_end(x->stream, x->has_exit ? NULL : &x->error);
}

static void exec_on_output(struct runtime_exec *re, int fd, const uint8_t *p, size_t n, void *data)
{
    struct exec_stream *x = data;
    if (x->stream == NULL || x->ended) {
        return;
    }
    buf_append(&x->held[fd == 2 ? 2 : 1], p, n);
    if (!exec_send(x) && !x->paused) {
        x->paused = true;
        runtime_exec_pause(x->agent->runtime, re, true);
    }
}

static void exec_on_drain(struct runtime_exec *re, void *data)
{
    struct exec_stream *x = data;
    (void)re;
    if (x->stream != NULL && x->unacknowledged > 0) {
        rpc_stream_consumed(x->stream, x->unacknowledged);
    }
    x->unacknowledged = 0;
}

static void exec_on_end(struct runtime_exec *re, int exit_code, const struct error *error, void *data)
{
    struct exec_stream *x = data;
    (void)re;
    x->exec = NULL;
    x->has_exit = error == NULL;
    x->exit_code = exit_code;
    if (error != NULL) {
        x->error = *error;
    }
    exec_finish(x);
    exec_maybe_free(x);
}

static const struct runtime_exec_events exec_events = {
    .on_output = exec_on_output, .on_drain = exec_on_drain, .on_end = exec_on_end};

static void exec_on_data(struct rpc_stream *st, struct mp payload, size_t n, void *data)
{
    struct exec_stream *x = data;
    struct mp input = mp_get(payload, "stdin");
    struct str bytes;
    if (x->exec == NULL) {
        rpc_stream_consumed(st, n);
        return;
    }
    if (mp_read_bin(&input, &bytes) && !x->input_over) {
        runtime_exec_write(x->agent->runtime, x->exec, bytes.p, bytes.n);
        if (runtime_exec_pending(x->agent->runtime, x->exec) > EXEC_INPUT_MAX) {
            x->unacknowledged += n;
            return;
        }
    } else if (mp_bool(mp_get(payload, "eof"), false) && !x->input_over) {
        x->input_over = true;
        runtime_exec_end_input(x->agent->runtime, x->exec);
    } else if (mp_type(mp_get(payload, "rows")) == MP_INT) {
        runtime_exec_resize(x->agent->runtime, x->exec, (unsigned)mp_int(mp_get(payload, "rows"), 24),
                            (unsigned)mp_int(mp_get(payload, "columns"), 80));
    }
    rpc_stream_consumed(st, n);
}

static void exec_on_writable(struct rpc_stream *st, void *data)
{
    struct exec_stream *x = data;
    (void)st;
    if (!exec_send(x)) {
        return;
    }
    if (x->exec != NULL && x->paused) {
        x->paused = false;
        runtime_exec_pause(x->agent->runtime, x->exec, false);
    }
    exec_finish(x);
}

/* Whoever asked does not want any more, or is gone. (The end of its input alone is {eof: true}.) */
static void exec_stream_end(struct rpc_stream *st, const struct error *err, void *data)
{
    struct exec_stream *x = data;
    (void)err;
    if (!x->ended) {
        x->ended = true;
        rpc_stream_end(st, NULL);
    }
    x->stream = NULL;
    if (x->exec != NULL) {
        runtime_exec_kill(x->agent->runtime, x->exec);
    }
    exec_maybe_free(x);
}

static const struct rpc_stream_events exec_stream_events = {
    .on_data = exec_on_data, .on_writable = exec_on_writable, .on_end = exec_stream_end};

static int exec_command(struct mp params, struct arena *a, const char *const **out, struct error *err)
{
    struct mp command = mp_get(params, "command");
    uint32_t n = mp_count(command), i = 0;
    if (mp_type(command) != MP_ARRAY || n == 0 || n > EXEC_ARGS_MAX) {
        return error_set_field(err, ERR_USAGE, "command", "exec: a command of 1 to %u words is needed", EXEC_ARGS_MAX);
    }
    const char **argv = arena_alloc(a, (n + 1) * sizeof *argv);
    for (struct mp_iter it = mp_iter(command); mp_next(&it);) {
        struct str word = mp_str(it.value);
        argv[i++] = arena_strndup(a, word.p == NULL ? "" : word.p, word.n);
    }
    *out = argv;
    return 0;
}

static void serve_exec(struct agent *a, struct rpc_request *r, struct mp params)
{
    CLEANUP_ARENA struct arena arena;
    struct error err;
    const char *const *argv = NULL;
    arena_init(&arena);
    struct agent_pod *ap = pod_of(a, params, &err);
    struct container *c = ap == NULL ? NULL : container_of(ap, params, &err);
    if (c != NULL && !is_up(c)) {
        error_set(&err, ERR_USAGE, "container %s of pod %s is not running", c->spec->name, ap->name);
        c = NULL;
    }
    if (c == NULL || exec_command(params, &arena, &argv, &err) != 0) {
        refuse(r, &err);
        return;
    }
    struct runtime_exec_spec spec = {
        .argv = argv,
        .tty = mp_bool(mp_get(params, "tty"), false),
        .stdin_open = mp_bool(mp_get(params, "stdin"), false),
        .rows = (unsigned)mp_int(mp_get(params, "rows"), 0),
        .columns = (unsigned)mp_int(mp_get(params, "columns"), 0),
    };
    char id[RUNTIME_ID_MAX];
    runtime_container_id(id, ap->uid, c->spec->name, c->attempt);
    struct exec_stream *x = xcalloc(1, sizeof *x);
    x->agent = a;
    x->stream = rpc_stream_accept(r, &exec_stream_events, x);
    if (x->stream == NULL) {
        free(x);
        return;
    }
    x->exec = runtime_exec_open(a->runtime, id, &spec, &exec_events, x);
}

/* ---- Port-forward ---- */

struct port_stream {
    struct agent *agent;
    struct rpc_request *request; /* until the connection is there */
    struct rpc_stream *stream;
    uv_tcp_t tcp;
    bool open, closing, closed; /* tcp */
    bool ended;                 /* our side of the stream */
    bool source_eof, eof_told;  /* the pod has closed its side; the peer knows */
    bool input_eof;             /* the peer has closed its side */
    struct buf held;            /* from the pod, not yet taken by the stream */
    char chunk[READ_CHUNK];
};
struct port_write {
    uv_write_t req;
    struct port_stream *port;
    size_t payload_bytes;
    size_t size;
    uint8_t bytes[];
};

static void port_maybe_free(struct port_stream *p)
{
    if (p->stream == NULL && p->closed) {
        buf_close(&p->held);
        free(p);
    }
}

static void port_on_closed(uv_handle_t *h)
{
    struct port_stream *p = h->data;
    p->closed = true;
    port_maybe_free(p);
}

static void port_close(struct port_stream *p)
{
    if (!p->closing) {
        p->closing = true;
        uv_close((uv_handle_t *)&p->tcp, port_on_closed);
    }
}

static void port_end(struct port_stream *p, const struct error *err)
{
    if (!p->ended && p->stream != NULL) {
        p->ended = true;
        rpc_stream_end(p->stream, err);
    }
}

static bool port_send(struct port_stream *p)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    if (p->stream == NULL || p->ended) {
        return true;
    }
    if (p->held.size > 0) {
        mp_write_bin(&b, p->held.data, p->held.size);
        if (rpc_stream_write(p->stream, buf_str(&b)) != 0) {
            return false;
        }
        buf_reset(&p->held);
    }
    if (p->source_eof && !p->eof_told) {
        buf_reset(&b);
        mp_write_map(&b, 1);
        mp_write_key_bool(&b, "eof", true);
        if (rpc_stream_write(p->stream, buf_str(&b)) != 0) {
            return false;
        }
        p->eof_told = true;
    }
    if (p->eof_told && p->input_eof) {
        port_end(p, NULL);
    }
    return true;
}

static void port_on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *b)
{
    struct port_stream *p = h->data;
    (void)hint;
    *b = uv_buf_init(p->chunk, sizeof p->chunk);
}

static void port_on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    struct port_stream *p = s->data;
    if (n == 0) {
        return;
    }
    if (n < 0) {
        uv_read_stop(s);
        p->source_eof = true;
    } else {
        buf_append(&p->held, b->base, (size_t)n);
    }
    if (!port_send(p)) {
        uv_read_stop(s);
    }
}

static void port_on_written(uv_write_t *req, int rc)
{
    struct port_write *w = CONTAINER_OF(req, struct port_write, req);
    struct port_stream *p = w->port;
    if (p->stream != NULL) {
        rpc_stream_consumed(p->stream, w->payload_bytes);
    }
    free(w);
    if (rc != 0 && rc != UV_ECANCELED && !p->closing) {
        struct error err = {0};
        error_set(&err, ERR_CLOSED, "the pod closed the connection: %s", uv_strerror(rc));
        port_end(p, &err);
    }
}

static void port_on_shutdown(uv_shutdown_t *req, int rc)
{
    (void)rc;
    free(req);
}

static void port_on_data(struct rpc_stream *st, struct mp payload, size_t n, void *data)
{
    struct port_stream *p = data;
    struct mp m = payload;
    struct str bytes;
    if (mp_read_bin(&m, &bytes) && !p->closing) {
        struct port_write *w = xmalloc(sizeof *w + bytes.n);
        w->port = p;
        w->payload_bytes = n;
        w->size = bytes.n;
        memcpy(w->bytes, bytes.p, bytes.n);
        uv_buf_t b = uv_buf_init((char *)w->bytes, (unsigned)w->size);
        if (uv_write(&w->req, (uv_stream_t *)&p->tcp, &b, 1, port_on_written) == 0) {
            return;
        }
        free(w);
    } else if (mp_bool(mp_get(payload, "eof"), false) && !p->closing && !p->input_eof) {
        p->input_eof = true;
        uv_shutdown_t *req = xmalloc(sizeof *req);
        if (uv_shutdown(req, (uv_stream_t *)&p->tcp, port_on_shutdown) != 0) {
            free(req);
        }
        rpc_stream_consumed(st, n);
        port_send(p);
        return;
    }
    rpc_stream_consumed(st, n);
}

static void port_on_writable(struct rpc_stream *st, void *data)
{
    struct port_stream *p = data;
    (void)st;
    if (port_send(p) && !p->source_eof && !p->closing) {
        uv_read_start((uv_stream_t *)&p->tcp, port_on_alloc, port_on_read);
    }
}

static void port_stream_end(struct rpc_stream *st, const struct error *err, void *data)
{
    struct port_stream *p = data;
    (void)err;
    if (!p->ended) {
        p->ended = true;
        rpc_stream_end(st, NULL);
    }
    p->stream = NULL;
    port_close(p);
    port_maybe_free(p);
}

static const struct rpc_stream_events port_events = {
    .on_data = port_on_data, .on_writable = port_on_writable, .on_end = port_stream_end};

static void port_on_connected(int fd, const struct error *error, void *data)
{
    struct port_stream *p = data;
    struct rpc_request *request = TAKE_PTR(p->request);
    p->agent->pending--;
    if (error != NULL) {
        rpc_reply_error(request, error);
        free(p);
        return;
    }
    uv_tcp_init(p->agent->loop, &p->tcp);
    p->tcp.data = p;
    if (uv_tcp_open(&p->tcp, fd) != 0) {
        close(fd);
        struct error err = {0};
        rpc_reply_error(request, (error_set(&err, ERR_SYSTEM, "the connection cannot be used"), &err));
        port_close(p);
        return;
    }
    p->stream = rpc_stream_accept(request, &port_events, p);
    if (p->stream == NULL) {
        port_close(p);
        return;
    }
    uv_read_start((uv_stream_t *)&p->tcp, port_on_alloc, port_on_read);
}

static void serve_portforward(struct agent *a, struct rpc_request *r, struct mp params)
{
    struct error err;
    struct agent_pod *ap = pod_of(a, params, &err);
    int64_t port = mp_int(mp_get(params, "port"), 0);
    if (ap != NULL && (port < 1 || port > 65535)) {
        error_set_field(&err, ERR_USAGE, "port", "port-forward: port must be between 1 and 65535");
        ap = NULL;
    } else if (ap != NULL && (ap->sandbox == NULL || ap->pod->state < POD_INIT)) {
        error_set(&err, ERR_USAGE, "pod %s is not running", ap->name);
        ap = NULL;
    }
    if (ap == NULL) {
        refuse(r, &err);
        return;
    }
    struct port_stream *p = xcalloc(1, sizeof *p);
    p->agent = a;
    p->request = r;
    a->pending++;
    network_connect(a->loop, ap->sandbox->net, NULL, (uint16_t)port, NETWORK_CONNECT_MS, port_on_connected, p);
}

/* ---- Images ---- */

struct load_stream {
    struct agent *agent;
    struct rpc_stream *stream;
    struct image_load *load; /* takes bytes; NULL once finished or aborted */
    bool loading;            /* finished, the store is at it */
    bool ended, peer_over;
};

static void load_maybe_free(struct load_stream *l)
{
    if (l->ended && l->peer_over && !l->loading) {
        free(l);
    }
}

static void load_end(struct load_stream *l, const struct error *err)
{
    if (l->load != NULL) {
        image_load_abort(TAKE_PTR(l->load));
    }
    if (!l->ended) {
        l->ended = true;
        rpc_stream_end(l->stream, err);
    }
}

static void write_loaded(struct load_stream *l, const struct image_loaded *r)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    unsigned n = 0;
    while (r->refs[n] != NULL) {
        n++;
    }
    mp_write_map(&b, 1);
    mp_write_cstr(&b, "loaded");
    mp_write_array(&b, n);
    for (unsigned i = 0; i < n; i++) {
        mp_write_cstr(&b, r->refs[i]);
    }
    rpc_stream_write(l->stream, buf_str(&b));
}

static void load_on_loaded(const struct image_loaded *r, void *data)
{
    struct load_stream *l = data;
    l->loading = false;
    l->agent->pending--;
    if (r->error == NULL) {
        if (!l->ended) {
            write_loaded(l, r);
        }
        report_node_dirty(l->agent->report);
    }
    load_end(l, r->error);
    load_maybe_free(l);
}

static void load_finish(struct load_stream *l)
{
    l->loading = true;
    l->agent->pending++;
    image_load_finish(TAKE_PTR(l->load), load_on_loaded, l);
}

static void load_on_data(struct rpc_stream *st, struct mp payload, size_t n, void *data)
{
    struct load_stream *l = data;
    struct mp m = payload;
    struct str bytes;
    struct error err;
    if (l->load != NULL && mp_read_bin(&m, &bytes)) {
        if (image_load_write(l->load, bytes.p, bytes.n, &err) != 0) {
            load_end(l, &err);
            return;
        }
    } else if (l->load != NULL && mp_bool(mp_get(payload, "eof"), false)) {
        load_finish(l);
    }
    rpc_stream_consumed(st, n);
}

/* The client's end finishes the archive; if it went away instead nothing is kept. */
static void load_stream_end(struct rpc_stream *st, const struct error *err, void *data)
{
    struct load_stream *l = data;
    (void)st;
    l->peer_over = true;
    if (err == NULL && l->load != NULL) {
        load_finish(l);
        return;
    }
    if (!l->loading) {
        load_end(l, NULL);
    }
    load_maybe_free(l);
}

static const struct rpc_stream_events load_events = {.on_data = load_on_data, .on_end = load_stream_end};

static void serve_load(struct agent *a, struct rpc_request *r, struct mp params)
{
    struct error err;
    struct str name = mp_str(mp_get(params, "name"));
    CLEANUP_FREE char *text = str_empty(name) ? NULL : xstrndup(name.p, name.n);
    struct load_stream *l = xcalloc(1, sizeof *l);
    l->agent = a;
    if (image_load_begin(a->images, text, &l->load, &err) != 0) {
        refuse(r, &err);
        free(l);
        return;
    }
    l->stream = rpc_stream_accept(r, &load_events, l);
    if (l->stream == NULL) {
        image_load_abort(l->load);
        free(l);
    }
}

static void serve_images(struct agent *a, struct rpc_request *r, struct mp params)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    CLEANUP_BUF struct buf items = BUF_INIT;
    struct image **list = NULL;
    unsigned count = image_list(a->images, &list), entries = 0;
    (void)params;
    for (unsigned i = 0; i < count; i++) {
        for (unsigned k = 0; list[i]->refs[k] != NULL; k++, entries++) {
            mp_write_map(&items, 3);
            mp_write_key_str(&items, "name", str_of(list[i]->refs[k]));
            mp_write_key_str(&items, "digest", str_of(list[i]->digest));
            mp_write_key_int(&items, "sizeBytes", (int64_t)list[i]->size_bytes);
        }
        image_unref(list[i]);
    }
    free(list);
    mp_write_map(&b, 1);
    mp_write_cstr(&b, "images");
    mp_write_array(&b, entries);
    buf_append(&b, items.data, items.size);
    rpc_reply(r, buf_str(&b));
}

/* ---- Methods ---- */

void serve_request(struct rpc_request *r, struct str method, struct mp params, void *data)
{
    static const struct {
        const char *name;
        void (*serve)(struct agent *a, struct rpc_request *r, struct mp params);
    } methods[] = {
        {"pod.logs", serve_logs},   {"pod.exec", serve_exec},     {"pod.portforward", serve_portforward},
        {"image.load", serve_load}, {"image.list", serve_images},
    };
    for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
        if (str_is(method, methods[i].name)) {
            methods[i].serve(data, r, params);
            return;
        }
    }
    struct error err = {0};
    error_set(&err, ERR_UNSUPPORTED, "agents have no method %.*s", STR_ARG(method));
    rpc_reply_error(r, &err);
}
