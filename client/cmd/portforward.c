/* rctl port-forward: local ports that lead into a pod, one stream per connection.
 *
 * Bytes flow only as fast as the slower side takes them: what finds no credit on the stream stops the reading of the
 * socket, and credit is given back when the socket has taken the bytes. A connection outlives the master that it leads
 * over (client/api/channel.h); one that is made while there is none waits. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "client/api/channel.h"
#include "client/cmd/common.h"

#define PORTS_MAX 64u
#define CHUNK     (32u << 10)
#define BACKLOG   128

static const struct option_row forward_options[] = {
    {"address", 0, OPTION_VALUE, "127.0.0.1", NULL, "IP", "where to listen"},
};

struct forward {
    struct rctl *r;
    const char *ns, *name; /* the pod */
    struct error fatal;
    bool done;
};
struct listener {
    uv_tcp_t tcp;
    struct forward *f;
    uint16_t local, remote;
};

/* One connection. Freed when the socket is closed and the stream is over. */
struct conn {
    uv_tcp_t tcp;
    struct listener *l;
    struct api_channel *stream; /* NULL: over */
    struct buf held;            /* a payload without credit */
    bool closing, closed, eof_sent, stream_ended;
    char chunk[CHUNK];
};

static void conn_maybe_free(struct conn *c)
{
    if (c->closed && c->stream == NULL) {
        buf_close(&c->held);
        free(c);
    }
}

static void conn_closed(uv_handle_t *h)
{
    struct conn *c = h->data;
    c->closed = true;
    conn_maybe_free(c);
}

static void end_stream(struct conn *c)
{
    if (c->stream != NULL && !c->stream_ended) {
        c->stream_ended = true;
        api_channel_finish(c->stream); /* may be its end at once */
    }
}

static void conn_close(struct conn *c)
{
    bool first = !c->closing;
    c->closing = true;
    end_stream(c);
    if (first) {
        uv_close((uv_handle_t *)&c->tcp, conn_closed);
    }
}

/* ---- From the socket to the pod ---- */

static void give_chunk(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
    (void)suggested;
    struct conn *c = h->data;
    *buf = uv_buf_init(c->chunk, sizeof(c->chunk));
}

static bool flush_held(struct conn *c)
{
    if (c->held.size > 0 && c->stream != NULL && !c->stream_ended) {
        if (api_channel_write(c->stream, buf_str(&c->held)) == ERR_BUSY) {
            return false;
        }
        buf_reset(&c->held);
    }
    return true;
}

static void socket_data(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
    struct conn *c = s->data;
    if (n == 0) {
        return;
    }
    if (n < 0 && n != UV_EOF) {
        conn_close(c);
        return;
    }
    if (n == UV_EOF) {
        c->eof_sent = true;
        uv_read_stop(s);
        mp_write_map(&c->held, 1);
        mp_write_key_bool(&c->held, "eof", true);
    } else {
        mp_write_bin(&c->held, buf->base, (size_t)n);
    }
    if (!flush_held(c)) {
        uv_read_stop(s);
    }
}

static void stream_writable(struct api_channel *st, void *data)
{
    (void)st;
    struct conn *c = data;
    if (flush_held(c) && !c->eof_sent && !c->closing) {
        uv_read_start((uv_stream_t *)&c->tcp, give_chunk, socket_data);
    }
}

/* ---- From the pod to the socket ---- */

struct write {
    uv_write_t req;
    struct conn *conn;
    size_t payload_bytes;
    char bytes[];
};

static void socket_written(uv_write_t *req, int status)
{
    struct write *w = req->data;
    struct conn *c = w->conn;
    if (c->stream != NULL) {
        api_channel_consumed(c->stream, w->payload_bytes);
    }
    if (status < 0) {
        conn_close(c);
    }
    free(w);
}

static void socket_shut(uv_shutdown_t *req, int status)
{
    (void)status;
    struct conn *c = req->data;
    free(req);
    if (c->stream == NULL || c->eof_sent) {
        conn_close(c);
    }
}

static void shut(struct conn *c)
{
    uv_shutdown_t *req = xcalloc(1, sizeof(*req));
    req->data = c;
    if (c->closing || uv_shutdown(req, (uv_stream_t *)&c->tcp, socket_shut) != 0) {
        free(req);
        conn_close(c);
    }
}

static void stream_data(struct api_channel *st, struct mp payload, size_t payload_bytes, void *data)
{
    struct conn *c = data;
    struct str bytes;
    if (!mp_read_bin(&payload, &bytes) || c->closing) {
        api_channel_consumed(st, payload_bytes);
        if (mp_bool(mp_get(payload, "eof"), false) && !c->closing) {
            shut(c);
        }
        return;
    }
    struct write *w = xmalloc(sizeof(*w) + bytes.n);
    *w = (struct write){.conn = c, .payload_bytes = payload_bytes};
    memcpy(w->bytes, bytes.p, bytes.n);
    w->req.data = w;
    uv_buf_t b = uv_buf_init(w->bytes, (unsigned)bytes.n);
    if (uv_write(&w->req, (uv_stream_t *)&c->tcp, &b, 1, socket_written) != 0) {
        free(w);
        api_channel_consumed(st, payload_bytes);
        conn_close(c);
    }
}

static void stream_over(struct api_channel *st, const struct error *err, void *data)
{
    struct conn *c = data;
    struct forward *f = c->l->f;
    bool wanted = c->stream_ended; /* we have ended it: how it ends is of no interest */
    c->stream_ended = true;
    c->stream = NULL;
    if (err != NULL && !wanted) {
        bool cut = err->code == ERR_CLOSED || err->code == ERR_EXPIRED;
        rctl_note(f->r, "error: forwarding %u -> %u: %s%s", c->l->local, c->l->remote,
                  cut ? "this connection was cut and cannot go on, the next one is tried anew: " : "", err->message);
        if (err->code == ERR_NOT_FOUND) {
            f->fatal = *err;
            f->done = true; /* the pod is gone: no later connection can do better */
        }
    }
    if (err != NULL) {
        conn_close(c);
    } else if (!c->closing) {
        c->eof_sent = true;
        shut(c); /* what is queued goes out first */
    }
    api_channel_free(st);
    conn_maybe_free(c);
}

static const struct api_channel_events stream_events = {
    .on_data = stream_data, .on_writable = stream_writable, .on_end = stream_over};

/* ---- Listening ---- */

static void on_connection(uv_stream_t *server, int status)
{
    struct listener *l = server->data;
    struct rctl *r = l->f->r;
    if (status < 0) {
        return;
    }
    struct conn *c = xcalloc(1, sizeof(*c));
    c->l = l;
    uv_tcp_init(api_loop(r->api), &c->tcp);
    c->tcp.data = c;
    if (uv_accept(server, (uv_stream_t *)&c->tcp) != 0) {
        conn_close(c);
        return;
    }
    fprintf(r->out, "Handling connection for %u\n", l->local);
    fflush(r->out);
    CLEANUP_BUF struct buf params = BUF_INIT;
    mp_write_map(&params, 3);
    mp_write_key_str(&params, "namespace", str_of(l->f->ns));
    mp_write_key_str(&params, "name", str_of(l->f->name));
    mp_write_key_int(&params, "port", l->remote);
    c->stream = api_channel_new(r->api, "portforward", buf_str(&params), true, &stream_events, c);
    api_channel_start(c->stream);
    uv_tcp_nodelay(&c->tcp, 1);
    uv_read_start((uv_stream_t *)&c->tcp, give_chunk, socket_data);
}

static int parse_port(const char *text, size_t n, uint16_t *out)
{
    unsigned long v = 0;
    if (n == 0 || n > 5) {
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return -1;
        }
        v = v * 10 + (unsigned long)(text[i] - '0');
    }
    *out = (uint16_t)v;
    return v > 65535 ? -1 : 0;
}

/* A port by the name that a container of the pod gives it; 0 if none does. */
static uint16_t named_port(const struct object *pod, struct str name)
{
    for (struct mp_iter c = mp_iter(mp_path(object_mp(pod), "spec.containers")); mp_next(&c);) {
        for (struct mp_iter p = mp_iter(mp_get(c.value, "ports")); mp_next(&p);) {
            if (str_eq(mp_str(mp_get(p.value, "name")), name)) {
                return (uint16_t)mp_int(mp_get(p.value, "containerPort"), 0);
            }
        }
    }
    return 0;
}

/* A port of a Service, by its number or else its name: the Service's number of it and that which it has in the pod.
 * A headless Service translates nothing, so its port is the pod's, whatever its targetPort is. */
static int service_port(const struct object *service, const struct object *pod, struct str remote, uint16_t *number,
                        uint16_t *in_pod, struct error *err)
{
    struct mp spec = mp_get(object_mp(service), "spec");
    bool by_number = parse_port(remote.p, remote.n, number) == 0, other_protocol = false;
    for (struct mp_iter it = mp_iter(mp_get(spec, "ports")); mp_next(&it);) {
        uint16_t port = (uint16_t)mp_int(mp_get(it.value, "port"), 0);
        if (by_number ? port != *number : !str_eq(mp_str(mp_get(it.value, "name")), remote)) {
            continue;
        }
        if (!str_is(mp_str(mp_get(it.value, "protocol")), "TCP")) {
            other_protocol = true; /* TCP may have the same number */
            continue;
        }
        struct mp target = mp_get(it.value, "targetPort");
        bool headless = str_is(mp_str(mp_get(spec, "clusterIP")), "None");
        struct str name = headless ? STR_NONE : mp_str(target);
        *number = port;
        *in_pod = headless ? port : name.n > 0 ? named_port(pod, name) : (uint16_t)mp_int(target, port);
        return *in_pod != 0 ? 0
                            : error_set(err, ERR_INVALID, "Pod '%.*s' does not have a named port '%.*s'",
                                        STR_ARG(pod->name), STR_ARG(name));
    }
    if (other_protocol) {
        return error_set(err, ERR_INVALID, "only TCP can be forwarded, port %.*s of Service '%.*s' is none of it",
                         STR_ARG(remote), STR_ARG(service->name));
    }
    return by_number ? error_set(err, ERR_INVALID, "Service %.*s does not have a service port %u",
                                 STR_ARG(service->name), *number)
                     : error_set(err, ERR_INVALID, "Service '%.*s' does not have a named port '%.*s'",
                                 STR_ARG(service->name), STR_ARG(remote));
}

/* LOCAL:REMOTE, :REMOTE (any free port), PORT (the same on both sides). REMOTE is the Service's if one is named. */
static int parse_ports(const char *text, const struct object *pod, const struct object *service, struct listener *l,
                       struct error *err)
{
    const char *colon = strchr(text, ':');
    struct str remote = str_of(colon == NULL ? text : colon + 1);
    uint16_t number = 0;
    int bad = remote.n == 0 || (colon != NULL && colon != text && parse_port(text, (size_t)(colon - text), &l->local));
    if (bad == 0 && service != NULL) {
        int rc = service_port(service, pod, remote, &number, &l->remote, err);
        if (rc != 0) {
            return rc;
        }
    } else if (bad == 0) {
        bool by_number = parse_port(remote.p, remote.n, &l->remote) == 0;
        number = l->remote = by_number ? l->remote : named_port(pod, remote);
    }
    if (bad != 0 || l->remote == 0) {
        return error_set(err, ERR_USAGE, "\"%s\" is not [LOCAL:]REMOTE with a port number or a port's name in the pod",
                         text);
    }
    if (colon == NULL) {
        l->local = number;
    }
    return 0;
}

static int listen_on(struct forward *f, struct listener *l, const char *address, struct error *err)
{
    struct sockaddr_storage sa;
    int len = sizeof(sa);
    uv_tcp_init(api_loop(f->r->api), &l->tcp);
    l->tcp.data = l;
    int rc = strchr(address, ':') == NULL ? uv_ip4_addr(address, l->local, (struct sockaddr_in *)&sa)
                                          : uv_ip6_addr(address, l->local, (struct sockaddr_in6 *)&sa);
    rc = rc != 0 ? rc : uv_tcp_bind(&l->tcp, (const struct sockaddr *)&sa, 0);
    rc = rc != 0 ? rc : uv_listen((uv_stream_t *)&l->tcp, BACKLOG, on_connection);
    rc = rc != 0 ? rc : uv_tcp_getsockname(&l->tcp, (struct sockaddr *)&sa, &len);
    if (rc != 0) {
        return error_set(err, err_from_errno(rc), "unable to listen on %s:%u: %s; :%u takes any free port", address,
                         l->local, uv_strerror(rc), l->remote);
    }
    l->local = ntohs(sa.ss_family == AF_INET ? ((struct sockaddr_in *)&sa)->sin_port
                                             : ((struct sockaddr_in6 *)&sa)->sin6_port);
    fprintf(f->r->out, "Forwarding from %s:%u -> %u\n", address, l->local, l->remote);
    return 0;
}

static int run_forward(struct rctl *r)
{
    struct error err = {0};
    if (r->args.words_count < 2) {
        return rctl_usage(r, r->args.words_count == 0 ? "which pod?" : "which port? [LOCAL:]REMOTE");
    }
    unsigned count = r->args.words_count - 1;
    if (count > PORTS_MAX) {
        return rctl_usage(r, "at most %u ports at once", PORTS_MAX);
    }
    if (rctl_connect(r, &err) != 0) {
        return rctl_fail(r, &err);
    }
    CLEANUP_OBJECT struct object *pod = NULL, *owner = NULL;
    if (resource_get_pod(r, r->args.words[0], &pod, &owner, &err) != 0) {
        return err.code == ERR_USAGE ? rctl_usage(r, "%s", err.message) : rctl_fail(r, &err);
    }
    struct str phase = mp_str(mp_path(object_mp(pod), "status.phase"));
    if (!str_is(phase, "Running")) {
        error_set(&err, ERR_INVALID, "unable to forward port because pod is not running. Current status=%.*s",
                  STR_ARG(phase));
        return rctl_fail(r, &err);
    }
    const struct object *service = owner != NULL && owner->kind->id == KIND_SERVICE ? owner : NULL;
    struct forward f = {.r = r};
    f.ns = arena_strndup(&r->arena, pod->ns.p, pod->ns.n);
    f.name = arena_strndup(&r->arena, pod->name.p, pod->name.n);
    struct listener *listeners = arena_alloc(&r->arena, count * sizeof(*listeners));
    for (unsigned i = 0; i < count; i++) {
        listeners[i].f = &f;
        if (parse_ports(r->args.words[i + 1], pod, service, &listeners[i], &err) != 0) {
            return common_fail(r, &err);
        }
    }
    int rc = 0;
    for (unsigned i = 0; i < count && rc == 0; i++) {
        rc = listen_on(&f, &listeners[i], opt(r, "address"), &err);
    }
    fflush(r->out);
    if (rc != 0) {
        return rctl_fail(r, &err);
    }
    api_ping_start(r->api, false);
    api_run(r->api, &f.done, 0); /* until the pod is gone, or Ctrl-C */
    return rctl_fail(r, &f.fatal);
}

const struct command command_port_forward = {
    .name = "port-forward",
    .usage = "POD | TYPE/NAME [LOCAL:]REMOTE...",
    .summary = "Reach a port of a pod or a service from this machine",
    .examples = "  # http://127.0.0.1:10080 is the pod's port 80, until Ctrl-C\n"
                "  rctl port-forward hello 10080:80\n"
                "  # any free local port; some pod of a Deployment; several ports\n"
                "  rctl port-forward hello :80\n"
                "  rctl port-forward deploy/hello 8080 10080:80\n"
                "  # a Service's port, by its number or name, in a pod that is ready\n"
                "  rctl port-forward svc/hello 10080:http\n",
    .options = forward_options,
    .options_count = ARRAY_SIZE(forward_options),
    .run = run_forward,
};
