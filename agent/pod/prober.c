#include "agent/pod/prober.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/pod/grpc_health.h"
#include "agent/util/attend.h"

#define HEAD_MAX 4096u

struct prober {
    uv_tcp_t tcp;
    uv_timer_t timer;
    struct attend limit;
    uv_connect_t connect;
    uv_getaddrinfo_t lookup;
    uv_write_t write;
    enum podspec_handler_kind kind;
    bool https, resolving, writing, finished;
    char host[256];
    uint16_t port;
    unsigned handles;
    struct buf request, out, head; /* out: bytes on their way, kept while writing */
    char chunk[4096];
    SSL_CTX *ctx;
    SSL *ssl;
    BIO *from_net, *to_net; /* owned by ssl */
    struct grpc_health grpc;
    bool ok;
    char message[300];
    prober_cb *cb;
    void *data;
};

/* ---- Pure ---- */

int prober_parse_status(const char *p, size_t n)
{
    static const char lead[] = "HTTP/1.";
    if (n < sizeof lead - 1) {
        return memcmp(p, lead, n) == 0 ? 0 : -1;
    }
    if (memcmp(p, lead, sizeof lead - 1) != 0) {
        return -1;
    }
    if (n < 12) {
        return 0;
    }
    int code = 0;
    for (int i = 9; i < 12; i++) {
        if (p[i] < '0' || p[i] > '9') {
            return -1;
        }
        code = code * 10 + (p[i] - '0');
    }
    return p[8] == ' ' && code >= 100 ? code : -1;
}

static bool header_is(const struct podspec_handler *h, const char *name, const char **value)
{
    for (unsigned i = 0; i < h->headers_count; i++) {
        if (strcasecmp(h->headers[i].name, name) == 0) {
            *value = h->headers[i].value;
            return true;
        }
    }
    return false;
}

void prober_write_request(struct buf *out, const struct podspec_handler *h, const char *host)
{
    const char *value;
    buf_printf(out, "GET %s%s HTTP/1.1\r\n", h->path[0] == '/' ? "" : "/", h->path);
    if (header_is(h, "Host", &value)) {
        buf_printf(out, "Host: %s\r\n", value);
    } else {
        bool v6 = strchr(host, ':') != NULL;
        buf_printf(out, "Host: %s%s%s:%u\r\n", v6 ? "[" : "", host, v6 ? "]" : "", h->port);
    }
    if (!header_is(h, "User-Agent", &value)) {
        buf_puts(out, "User-Agent: reeve-agent-probe\r\n");
    }
    if (!header_is(h, "Accept", &value)) {
        buf_puts(out, "Accept: */*\r\n");
    }
    for (unsigned i = 0; i < h->headers_count; i++) {
        if (strcasecmp(h->headers[i].name, "Host") != 0) {
            buf_printf(out, "%s: %s\r\n", h->headers[i].name, h->headers[i].value);
        }
    }
    buf_puts(out, "Connection: close\r\n\r\n");
}

/* ---- The end ---- */

static void maybe_free(struct prober *p)
{
    if (p->handles > 0 || p->resolving) {
        return;
    }
    p->cb(p->ok, p->message, p->data);
    SSL_free(p->ssl);
    SSL_CTX_free(p->ctx);
    buf_close(&p->request);
    buf_close(&p->out);
    buf_close(&p->head);
    grpc_health_close(&p->grpc);
    free(p);
}

static void on_closed(uv_handle_t *h)
{
    struct prober *p = h->data;
    p->handles--;
    maybe_free(p);
}

static void finish(struct prober *p, bool ok, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void finish(struct prober *p, bool ok, const char *fmt, ...)
{
    if (p->finished) {
        return;
    }
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(p->message, sizeof p->message, fmt, ap);
    va_end(ap);
    p->finished = true;
    p->ok = ok;
    if (p->resolving) {
        uv_cancel((uv_req_t *)&p->lookup);
    }
    uv_close((uv_handle_t *)&p->tcp, on_closed);
    uv_close((uv_handle_t *)&p->timer, on_closed);
}

static const char *scheme(const struct prober *p)
{
    return p->kind == PODSPEC_HANDLER_TCP    ? "tcp"
           : p->kind == PODSPEC_HANDLER_GRPC ? "grpc"
           : p->https                        ? "https"
                                             : "http";
}

static void fail_with(struct prober *p, const char *what, int rc)
{
    finish(p, false, "%s://%s:%u: %s: %s", scheme(p), p->host, p->port, what, uv_strerror(rc));
}

/* ---- The answer ---- */

static void send_request(struct prober *p);

static void on_grpc(struct prober *p, const char *bytes, size_t n)
{
    char why[160];
    switch (grpc_health_feed(&p->grpc, bytes, n, &p->request, why)) {
    case GRPC_HEALTH_SERVING:
        finish(p, true, "service is serving");
        break;
    case GRPC_HEALTH_BAD:
        finish(p, false, "%s", why);
        break;
    default:
        send_request(p);
    }
}

static void on_text(struct prober *p, const char *text, size_t n)
{
    if (p->finished) {
        return;
    }
    if (p->kind == PODSPEC_HANDLER_GRPC) {
        on_grpc(p, text, n);
        return;
    }
    buf_append(&p->head, text, n);
    int status = prober_parse_status((const char *)p->head.data, p->head.size);
    if (status < 0 || (status == 0 && p->head.size > HEAD_MAX)) {
        finish(p, false, "%s://%s:%u: malformed HTTP response", scheme(p), p->host, p->port);
    } else if (status >= 200 && status < 400) {
        finish(p, true, "HTTP status %d", status);
    } else if (status > 0) {
        finish(p, false, "HTTP probe failed with statuscode: %d", status);
    }
}

/* ---- TLS on memory BIOs ---- */

static void flush(struct prober *p);

static void on_written(uv_write_t *w, int rc)
{
    struct prober *p = w->data;
    p->writing = false;
    buf_reset(&p->out);
    if (p->finished) {
        return;
    }
    if (rc != 0) {
        fail_with(p, "write", rc);
    } else if (p->https) {
        flush(p);
    } else {
        send_request(p);
    }
}

static void send_out(struct prober *p)
{
    uv_buf_t b = uv_buf_init((char *)p->out.data, (unsigned)p->out.size);
    p->writing = true;
    p->write.data = p;
    int rc = uv_write(&p->write, (uv_stream_t *)&p->tcp, &b, 1, on_written);
    if (rc != 0) {
        p->writing = false;
        fail_with(p, "write", rc);
    }
}

/* In clear. What is added while something is on its way follows it. */
static void send_request(struct prober *p)
{
    if (!p->writing && !p->finished && p->request.size > 0) {
        buf_append(&p->out, p->request.data, p->request.size);
        buf_reset(&p->request);
        send_out(p);
    }
}

static void flush(struct prober *p)
{
    size_t n = BIO_ctrl_pending(p->to_net);
    if (n == 0 || p->writing || p->finished) {
        return;
    }
    int got = BIO_read(p->to_net, buf_reserve(&p->out, n), (int)n);
    if (got > 0) {
        p->out.size += (size_t)got;
        send_out(p);
    }
}

static void tls_step(struct prober *p)
{
    if (!SSL_is_init_finished(p->ssl)) {
        int rc = SSL_do_handshake(p->ssl);
        int why = rc == 1 ? SSL_ERROR_NONE : SSL_get_error(p->ssl, rc);
        if (why != SSL_ERROR_NONE && why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) {
            ERR_clear_error();
            finish(p, false, "https://%s:%u: TLS handshake failed", p->host, p->port);
            return;
        }
        if (rc == 1) {
            SSL_write(p->ssl, p->request.data, (int)p->request.size);
        }
    }
    for (int n;
         !p->finished && SSL_is_init_finished(p->ssl) && (n = SSL_read(p->ssl, p->chunk, sizeof p->chunk)) > 0;) {
        on_text(p, p->chunk, (size_t)n);
    }
    ERR_clear_error();
    flush(p);
}

static bool tls_begin(struct prober *p)
{
    p->ctx = SSL_CTX_new(TLS_client_method());
    p->ssl = p->ctx == NULL ? NULL : SSL_new(p->ctx);
    if (p->ssl == NULL) {
        finish(p, false, "no memory for TLS");
        return false;
    }
    SSL_set_verify(p->ssl, SSL_VERIFY_NONE, NULL);
    p->from_net = BIO_new(BIO_s_mem());
    p->to_net = BIO_new(BIO_s_mem());
    SSL_set_bio(p->ssl, p->from_net, p->to_net);
    SSL_set_connect_state(p->ssl);
    return true;
}

/* ---- The connection ---- */

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *b)
{
    struct prober *p = h->data;
    (void)hint;
    *b = uv_buf_init(p->chunk, sizeof p->chunk);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b)
{
    struct prober *p = stream->data;
    if (p->finished || n == 0) {
        return;
    }
    if (n < 0) {
        if (n == UV_EOF) {
            finish(p, false, "%s://%s:%u: connection closed without an answer", scheme(p), p->host, p->port);
        } else {
            fail_with(p, "read", (int)n);
        }
    } else if (p->https) {
        BIO_write(p->from_net, b->base, (int)n);
        tls_step(p);
    } else {
        on_text(p, b->base, (size_t)n);
    }
}

static void on_connect(uv_connect_t *c, int rc)
{
    struct prober *p = c->data;
    if (p->finished) {
        return;
    }
    if (rc != 0) {
        fail_with(p, "connect", rc);
        return;
    }
    if (p->kind == PODSPEC_HANDLER_TCP) {
        finish(p, true, "connected");
        return;
    }
    uv_read_start((uv_stream_t *)&p->tcp, on_alloc, on_read);
    if (p->https) {
        if (tls_begin(p)) {
            tls_step(p);
        }
    } else {
        send_request(p);
    }
}

static void connect_to(struct prober *p, const struct sockaddr *addr)
{
    p->connect.data = p;
    int rc = uv_tcp_connect(&p->connect, &p->tcp, addr, on_connect);
    if (rc != 0) {
        fail_with(p, "connect", rc);
    }
}

static void on_lookup(uv_getaddrinfo_t *req, int rc, struct addrinfo *found)
{
    struct prober *p = req->data;
    p->resolving = false;
    if (!p->finished && rc == 0) {
        connect_to(p, found->ai_addr);
    } else if (!p->finished) {
        fail_with(p, "lookup", rc);
    }
    uv_freeaddrinfo(found);
    maybe_free(p);
}

static void begin(struct prober *p)
{
    struct sockaddr_storage addr;
    char port[8];
    if (uv_ip4_addr(p->host, p->port, (struct sockaddr_in *)&addr) == 0 ||
        uv_ip6_addr(p->host, p->port, (struct sockaddr_in6 *)&addr) == 0) {
        connect_to(p, (const struct sockaddr *)&addr);
        return;
    }
    snprintf(port, sizeof port, "%u", p->port);
    p->lookup.data = p;
    int rc = uv_getaddrinfo(p->tcp.loop, &p->lookup, on_lookup, p->host, port,
                            &(struct addrinfo){.ai_socktype = SOCK_STREAM});
    if (rc == 0) {
        p->resolving = true;
    } else {
        fail_with(p, "lookup", rc);
    }
}

static void on_timeout(uv_timer_t *t)
{
    struct prober *p = t->data;
    int64_t wait_ms = attend_tick(&p->limit, (int64_t)uv_now(t->loop));
    if (wait_ms > 0) {
        uv_timer_start(t, on_timeout, (uint64_t)wait_ms, 0);
    } else {
        finish(p, false, "%s://%s:%u: timed out", scheme(p), p->host, p->port);
    }
}

void prober_run(uv_loop_t *loop, const struct podspec_handler *h, const char *host, int64_t timeout_ms, prober_cb *cb,
                void *data)
{
    struct prober *p = xcalloc(1, sizeof *p);
    assert(h->kind == PODSPEC_HANDLER_HTTP || h->kind == PODSPEC_HANDLER_TCP || h->kind == PODSPEC_HANDLER_GRPC);
    p->kind = h->kind;
    p->https = h->kind == PODSPEC_HANDLER_HTTP && h->https;
    p->port = h->port;
    p->cb = cb;
    p->data = data;
    snprintf(p->host, sizeof p->host, "%s", h->host[0] != '\0' ? h->host : host);
    if (h->kind == PODSPEC_HANDLER_HTTP) {
        prober_write_request(&p->request, h, p->host);
    } else if (h->kind == PODSPEC_HANDLER_GRPC) {
        char authority[300];
        snprintf(authority, sizeof authority, strchr(p->host, ':') != NULL ? "[%s]:%u" : "%s:%u", p->host, h->port);
        grpc_health_ask(&p->request, str_of(authority), str_of(h->service));
    }
    grpc_health_init(&p->grpc);
    uv_tcp_init(loop, &p->tcp);
    uv_timer_init(loop, &p->timer);
    p->tcp.data = p->timer.data = p;
    p->handles = 2;
    uv_update_time(loop);
    uv_timer_start(&p->timer, on_timeout, (uint64_t)attend_start(&p->limit, MAX(timeout_ms, 1), (int64_t)uv_now(loop)),
                   0);
    if (h->port == 0) {
        finish(p, false, "the probe's port is no port of the container");
    } else if (p->host[0] == '\0') {
        finish(p, false, "the pod has no address");
    } else {
        begin(p);
    }
}
