#include "agent/service/health.h"

#include "base/list.h"
#include "base/strmap.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define BACKLOG 64

struct listener {
    struct health *health;
    char *name;
    uint16_t port;
    unsigned here;
    uv_tcp_t *tcp; /* NULL: it does not listen */
    bool told;     /* that it cannot */
};
struct conn {
    uv_tcp_t tcp;
    uv_timer_t timer;
    uv_write_t write;
    uv_shutdown_t shutdown;
    struct list link; /* in health.conns, the oldest first */
    struct health *health;
    char *name; /* of the Service; its listener may be gone */
    unsigned handles, got;
    bool answered, closing;
    char end[4]; /* the last bytes */
    struct buf answer;
    char chunk[1024];
};
struct health {
    struct health_config config;
    struct strmap listeners; /* NAMESPACE/NAME -> struct listener */
    struct list conns;
    unsigned conns_count, closing_handles;
    uv_timer_t retry;
    bool closing, many_told;
    void (*close_cb)(void *data);
    void *close_data;
};

static void maybe_closed(struct health *h)
{
    if (!h->closing || h->conns_count > 0 || h->closing_handles > 0) {
        return;
    }
    void (*cb)(void *data) = h->close_cb;
    void *data = h->close_data;
    strmap_close(&h->listeners);
    free(h);
    if (cb != NULL) {
        cb(data);
    }
}

void health_answer(struct buf *out, struct str name, unsigned here, bool works)
{
    const char *slash = memchr(name.p, '/', name.n);
    size_t at = slash == NULL ? 0 : (size_t)(slash - name.p);
    CLEANUP_BUF struct buf body = BUF_INIT;
    /* Names of namespaces and services need no escapes. */
    buf_printf(&body,
               "{\n\t\"service\": {\n\t\t\"namespace\": \"%.*s\",\n\t\t\"name\": \"%.*s\"\n\t},\n"
               "\t\"localEndpoints\": %u,\n\t\"serviceProxyHealthy\": %s\n}",
               (int)at, name.p, (int)(name.n - at - (slash != NULL)), name.p + at + (slash != NULL), here,
               works ? "true" : "false");
    buf_printf(out,
               "HTTP/1.1 %s\r\nContent-Type: application/json\r\nX-Content-Type-Options: nosniff\r\n"
               "X-Load-Balancing-Endpoint-Weight: %u\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
               here > 0 && works ? "200 OK" : "503 Service Unavailable", here, body.size);
    buf_append(out, body.data, body.size);
}

/* ---- Connections ---- */

static void conn_closed(uv_handle_t *handle)
{
    struct conn *c = handle->data;
    struct health *h = c->health;
    if (--c->handles > 0) {
        return;
    }
    list_remove(&c->link);
    h->conns_count--;
    buf_close(&c->answer);
    free(c->name);
    free(c);
    maybe_closed(h);
}

static void conn_close(struct conn *c)
{
    if (!c->closing) {
        c->closing = true;
        uv_close((uv_handle_t *)&c->tcp, conn_closed);
        uv_close((uv_handle_t *)&c->timer, conn_closed);
    }
}

static void on_late(uv_timer_t *t)
{
    conn_close(t->data);
}

static void on_shut(uv_shutdown_t *req, int status)
{
    if (status < 0) {
        conn_close(req->data);
    }
}

/* What else the client sends is read and passed over until it ends the connection: an end with bytes unread would take
 * the answer away from it. */
static void on_written(uv_write_t *req, int status)
{
    struct conn *c = req->data;
    if (status < 0 || (!c->closing && uv_shutdown(&c->shutdown, (uv_stream_t *)&c->tcp, on_shut) != 0)) {
        conn_close(c);
    }
}

static void answer(struct conn *c)
{
    const struct health *h = c->health;
    const struct listener *l = strmap_get(&h->listeners, str_of(c->name));
    c->answered = true;
    health_answer(&c->answer, str_of(c->name), l == NULL ? 0 : l->here, h->config.works(h->config.data));
    uv_buf_t b = uv_buf_init((char *)c->answer.data, (unsigned)c->answer.size);
    if (uv_write(&c->write, (uv_stream_t *)&c->tcp, &b, 1, on_written) != 0) {
        conn_close(c);
    }
}

/* An empty line ends the head. */
static bool head_ends(struct conn *c, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        memmove(c->end, c->end + 1, sizeof c->end - 1);
        c->end[sizeof c->end - 1] = bytes[i];
        if (memcmp(c->end, "\r\n\r\n", 4) == 0 || memcmp(c->end + 2, "\n\n", 2) == 0) {
            return true;
        }
    }
    return false;
}

static void give_chunk(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)suggested;
    struct conn *c = handle->data;
    *buf = uv_buf_init(c->chunk, sizeof c->chunk);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
    struct conn *c = s->data;
    if (n < 0) {
        conn_close(c);
    } else if (n > 0 && !c->answered) {
        c->got += (unsigned)n;
        if (head_ends(c, buf->base, (size_t)n)) {
            answer(c);
        } else if (c->got >= HEALTH_REQUEST_MAX) {
            conn_close(c);
        }
    }
}

static void on_connection(uv_stream_t *server, int status)
{
    struct listener *l = server->data;
    struct health *h = l->health;
    if (status < 0 || h->closing) {
        return;
    }
    if (h->conns_count >= HEALTH_CONNECTIONS_MAX) {
        LIST_FOR(it, &h->conns)
        {
            struct conn *oldest = LIST_ENTRY(it, struct conn, link);
            if (!oldest->closing) {
                conn_close(oldest);
                break;
            }
        }
    }
    struct conn *c = xcalloc(1, sizeof *c);
    c->health = h;
    c->name = xstrdup(l->name);
    c->handles = 2;
    c->tcp.data = c->timer.data = c->write.data = c->shutdown.data = c;
    list_push_back(&h->conns, &c->link);
    h->conns_count++;
    uv_tcp_init(h->config.loop, &c->tcp);
    uv_timer_init(h->config.loop, &c->timer);
    if (uv_accept(server, (uv_stream_t *)&c->tcp) != 0 ||
        uv_read_start((uv_stream_t *)&c->tcp, give_chunk, on_read) != 0) {
        conn_close(c);
        return;
    }
    uv_timer_start(&c->timer, on_late, HEALTH_ANSWER_MS, 0);
}

/* ---- Listeners ---- */

static void handle_closed(uv_handle_t *handle)
{
    struct health *h = handle->data;
    if (handle != (uv_handle_t *)&h->retry) {
        free(handle);
    }
    h->closing_handles--;
    maybe_closed(h);
}

static void close_handle(struct health *h, uv_handle_t *handle)
{
    h->closing_handles++;
    handle->data = h;
    uv_close(handle, handle_closed);
}

static void on_retry(uv_timer_t *t);

static void listen_at(struct listener *l)
{
    struct health *h = l->health;
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(l->port), .sin_addr = {.s_addr = htonl(h->config.ip)}};
    if (h->config.ip == 0) {
        return;
    }
    uv_tcp_t *tcp = xcalloc(1, sizeof *tcp);
    uv_tcp_init(h->config.loop, tcp);
    tcp->data = l;
    int rc = uv_tcp_bind(tcp, (const struct sockaddr *)(const void *)&at, 0);
    rc = rc != 0 ? rc : uv_listen((uv_stream_t *)tcp, BACKLOG, on_connection);
    if (rc == 0) {
        l->tcp = tcp;
        return;
    }
    close_handle(h, (uv_handle_t *)tcp);
    if (!l->told) {
        log_warn(h->config.log, "services", "Service %s: nobody can ask port %u for its health: %s", l->name, l->port,
                 uv_strerror(rc));
    }
    l->told = true;
    uv_timer_start(&h->retry, on_retry, h->config.retry_ms != 0 ? h->config.retry_ms : HEALTH_RETRY_MS, 0);
}

static void on_retry(uv_timer_t *t)
{
    struct health *h = t->data;
    const struct strmap_entry *e;
    for (size_t i = 0; (e = strmap_next(&h->listeners, &i)) != NULL;) {
        struct listener *l = e->value;
        if (l->tcp == NULL) {
            listen_at(l);
        }
    }
}

static void listener_drop(struct listener *l)
{
    if (l->tcp != NULL) {
        close_handle(l->health, (uv_handle_t *)l->tcp);
    }
    free(l->name);
    free(l);
}

void health_set_ip(struct health *h, uint32_t ip)
{
    const struct strmap_entry *e;
    bool same = ip == h->config.ip;
    h->config.ip = ip;
    for (size_t i = 0; !same && !h->closing && (e = strmap_next(&h->listeners, &i)) != NULL;) {
        struct listener *l = e->value;
        if (l->tcp != NULL) {
            close_handle(h, (uv_handle_t *)TAKE_PTR(l->tcp));
        }
        l->told = false;
        listen_at(l);
    }
}

void health_set(struct health *h, const char *name, uint16_t port, unsigned here)
{
    struct str key = str_of(name);
    struct listener *l = strmap_get(&h->listeners, key);
    if (l != NULL && l->port != port) {
        strmap_remove(&h->listeners, key);
        listener_drop(TAKE_PTR(l));
    }
    if (port != 0 && l == NULL) {
        if (h->listeners.count >= HEALTH_SERVICES_MAX) {
            if (!h->many_told) {
                log_warn(h->config.log, "services",
                         "Service %s and others: more than %u have a healthCheckNodePort; theirs are not served", name,
                         HEALTH_SERVICES_MAX);
            }
            h->many_told = true;
            return;
        }
        l = xcalloc(1, sizeof *l);
        l->health = h;
        l->name = xstrdup(name);
        l->port = port;
        strmap_set(&h->listeners, key, l);
        listen_at(l);
    }
    if (l != NULL) {
        l->here = here;
    }
}

struct health *health_new(const struct health_config *config)
{
    struct health *h = xcalloc(1, sizeof *h);
    h->config = *config;
    strmap_init(&h->listeners);
    list_init(&h->conns);
    uv_timer_init(config->loop, &h->retry);
    h->retry.data = h;
    return h;
}

void health_close(struct health *h, void (*cb)(void *data), void *data)
{
    const struct strmap_entry *e;
    assert(!h->closing);
    h->closing = true;
    h->close_cb = cb;
    h->close_data = data;
    for (size_t i = 0; (e = strmap_next(&h->listeners, &i)) != NULL;) {
        listener_drop(e->value);
    }
    LIST_FOR(it, &h->conns)
    {
        conn_close(LIST_ENTRY(it, struct conn, link));
    }
    close_handle(h, (uv_handle_t *)&h->retry);
}
