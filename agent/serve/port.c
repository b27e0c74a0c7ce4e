/* port-forward: one TCP connection into a pod's network namespace on a stream, to its loopback address; `podIP` asks
 * for the pod's own, at which others reach it (proxy). {eof: true} is a half close, in both directions; the stream ends
 * when both halves are closed. A connection that the pod breaks off (it was killed, or does not read what it was sent)
 * ends in the same way: that is the application's word to its client, and no failure of forwarding, which would end the
 * other connections of kubectl as well. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/serve/serve.h"
#include "agent/serve/stream.h"

#define READ_CHUNK (32u << 10)

struct port_stream {
    struct agent *agent;
    struct rpc_request *request; /* until the connection is there */
    char *target, *uid;          /* with it */
    struct serve_stream *stream;
    uv_tcp_t tcp;
    bool open, closing, closed; /* tcp */
    bool ended;                 /* our side of the stream */
    bool source_eof, eof_told;  /* the pod has closed its side; the peer knows */
    bool input_eof;             /* the peer has closed its side, or the pod takes nothing any more */
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
        free(p->target);
        free(p->uid);
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
        serve_stream_end(p->stream, err);
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
        if (serve_stream_write(p->stream, buf_str(&b)) != 0) {
            return false;
        }
        buf_reset(&p->held);
    }
    if (p->source_eof && !p->eof_told) {
        buf_reset(&b);
        mp_write_map(&b, 1);
        mp_write_key_bool(&b, "eof", true);
        if (serve_stream_write(p->stream, buf_str(&b)) != 0) {
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
        p->input_eof = p->input_eof || n != UV_EOF;
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
        serve_stream_consumed(p->stream, w->payload_bytes);
    }
    free(w);
    if (rc != 0 && rc != UV_ECANCELED && !p->closing) {
        p->input_eof = true; /* what it has said before is still to be read */
        port_send(p);
    }
}

static void port_on_shutdown(uv_shutdown_t *req, int rc)
{
    (void)rc;
    free(req);
}

static void port_on_data(struct serve_stream *st, struct mp payload, size_t n, void *data)
{
    struct port_stream *p = data;
    struct mp m = payload;
    struct str bytes;
    if (mp_read_bin(&m, &bytes) && !p->closing && !p->input_eof) {
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
        serve_stream_consumed(st, n);
        port_send(p);
        return;
    }
    serve_stream_consumed(st, n);
}

static void port_on_writable(struct serve_stream *st, void *data)
{
    struct port_stream *p = data;
    (void)st;
    if (port_send(p) && !p->source_eof && !p->closing) {
        uv_read_start((uv_stream_t *)&p->tcp, port_on_alloc, port_on_read);
    }
}

static void port_stream_end(struct serve_stream *st, const struct error *err, void *data)
{
    struct port_stream *p = data;
    (void)err;
    if (!p->ended) {
        p->ended = true;
        serve_stream_end(st, NULL);
    }
    p->stream = NULL;
    port_close(p);
    port_maybe_free(p);
}

static const struct serve_stream_events port_events = {
    .on_data = port_on_data, .on_writable = port_on_writable, .on_end = port_stream_end};

static void port_on_connected(int fd, const struct error *error, void *data)
{
    struct port_stream *p = data;
    struct rpc_request *request = TAKE_PTR(p->request);
    p->agent->pending--;
    if (error != NULL) {
        rpc_reply_error(request, error);
        free(p->target);
        free(p->uid);
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
    p->stream = serve_stream_accept(p->agent, request, rpc_request_params(request), p->target, p->uid, &port_events, p);
    if (p->stream == NULL) {
        port_close(p);
        return;
    }
    uv_read_start((uv_stream_t *)&p->tcp, port_on_alloc, port_on_read);
}

/* Where `podIP` leads; "": the pod has no address yet. */
static const char *address_of(const struct agent *a, const struct sandbox *sb)
{
    return sb->ip[0] == '\0' && sb->host_network ? a->node_ip : sb->ip;
}

void serve_portforward(struct agent *a, struct rpc_request *r, struct mp params)
{
    struct error err = {0};
    char target[SERVE_TARGET_MAX], number[24];
    int64_t port = mp_int(mp_get(params, "port"), 0);
    snprintf(number, sizeof number, "%" PRId64, port);
    if (!serve_target(target, "port-forward", params, str_of(number))) {
        rpc_reply_error(r, (error_set(&err, ERR_USAGE, "port-forward: a name is too long"), &err));
        return;
    }
    if (serve_stream_resumed(a, r, params, target)) {
        return;
    }
    struct agent_pod *ap = serve_find_pod(a, params, &err);
    if (ap != NULL && (port < 1 || port > 65535)) {
        error_set_field(&err, ERR_USAGE, "port", "port-forward: port must be between 1 and 65535");
        ap = NULL;
    } else if (ap != NULL && (ap->sandbox == NULL || ap->pod->state < POD_INIT)) {
        error_set(&err, ERR_USAGE, "pod %s is not running", ap->name);
        ap = NULL;
    }
    const char *address = NULL; /* loopback */
    if (ap != NULL && mp_bool(mp_get(params, "podIP"), false)) {
        address = address_of(a, ap->sandbox);
        if (address[0] == '\0') {
            error_set(&err, ERR_USAGE, "pod %s has no address yet", ap->name);
            ap = NULL;
        }
    }
    if (ap == NULL) {
        rpc_reply_error(r, &err);
        return;
    }
    struct port_stream *p = xcalloc(1, sizeof *p);
    p->agent = a;
    p->target = xstrdup(target);
    p->uid = xstrdup(ap->uid);
    p->request = r;
    a->pending++;
    network_connect(a->loop, ap->sandbox->net, address, (uint16_t)port, NETWORK_CONNECT_MS, port_on_connected, p);
}
