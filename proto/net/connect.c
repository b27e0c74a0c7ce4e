/* The way to an open socket: a name becomes addresses, which are tried one after another. */
#include "proto/net/net_int.h"

#include <assert.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

/* Outlives the connection: a look-up that runs cannot be called off. */
struct net_resolve {
    uv_getaddrinfo_t req;
    struct net_conn *c; /* NULL: nobody waits any more */
};

static void try_next(struct net_conn *c);

static void on_socket_gone(uv_handle_t *h)
{
    struct net_conn *c = h->data;
    if (c->state == NET_CLOSED) {
        net_conn_on_handle_closed(h);
        return;
    }
    int rv = uv_tcp_init(h->loop, &c->tcp);
    assert(rv == 0);
    (void)rv;
    c->tcp.data = c;
    try_next(c);
}

static void attempt_failed(struct net_conn *c, int status)
{
    if (c->addr_next != NULL) {
        uv_close((uv_handle_t *)&c->tcp, on_socket_gone); /* libuv wants a fresh socket for the next address */
        return;
    }
    c->refused = status == UV_ECONNREFUSED;
    net_conn_blame(c, err_from_errno(status), "%s%s", uv_strerror(status),
                   status == UV_ECONNREFUSED ? "; nobody listens there: is the master running?" : "");
    net_conn_fail(c);
}

/* What connecting holds. */
static void release(struct net_conn *c)
{
    if (c->resolve != NULL) {
        uv_cancel((uv_req_t *)&c->resolve->req); /* its callback comes all the same */
        c->resolve->c = NULL;
        c->resolve = NULL;
    }
    if (c->addrs != NULL) {
        uv_freeaddrinfo(c->addrs);
        c->addrs = c->addr_next = NULL;
    }
}

static void on_connect(uv_connect_t *req, int status)
{
    struct net_conn *c = req->data;
    free(req);
    if (c->state == NET_CLOSED) {
        return;
    }
    if (status == 0) {
        release(c);
        net_conn_start_tls(c);
    } else {
        attempt_failed(c, status);
    }
}

static void try_address(struct net_conn *c, const struct sockaddr *sa)
{
    c->state = NET_CONNECTING;
    uv_connect_t *req = xcalloc(1, sizeof *req);
    req->data = c;
    int rv = uv_tcp_connect(req, &c->tcp, sa, on_connect);
    if (rv != 0) {
        free(req);
        attempt_failed(c, rv);
    }
}

static void try_next(struct net_conn *c)
{
    const struct addrinfo *a = c->addr_next;
    c->addr_next = a->ai_next;
    try_address(c, a->ai_addr);
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *addrs)
{
    struct net_resolve *r = CONTAINER_OF(req, struct net_resolve, req);
    struct net_conn *c = r->c;
    free(r);
    if (c == NULL) {
        uv_freeaddrinfo(addrs);
        return;
    }
    c->resolve = NULL;
    if (status != 0 || addrs == NULL) {
        uv_freeaddrinfo(addrs);
        net_conn_blame(c, ERR_NOT_FOUND, "the name cannot be resolved: %s",
                       status == 0 ? "it has no address" : uv_strerror(status));
        net_conn_fail(c);
        return;
    }
    c->addrs = c->addr_next = addrs;
    try_next(c);
}

static void opened(struct net_conn *c)
{
    if (c->events.on_open != NULL) {
        c->events.on_open(c, c->data);
    }
}

static const struct net_conn_side client_side = {.opened = opened, .closes = release};

static void resolve(struct net_conn *c, uv_loop_t *loop, const char *host, const char *port)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP};
    struct net_resolve *r = xcalloc(1, sizeof *r);
    int rv = uv_getaddrinfo(loop, &r->req, on_resolved, host, port, &hints);
    if (rv != 0) {
        free(r);
        net_conn_blame(c, ERR_NOT_FOUND, "the name cannot be resolved: %s", uv_strerror(rv));
        net_conn_fail(c);
        return;
    }
    r->c = c;
    c->resolve = r;
}

struct net_conn *net_connect(uv_loop_t *loop, struct net_tls *tls, const char *addr, const char *alpn,
                             int64_t timeout_ms, const struct net_conn_events *events, void *data)
{
    assert(loop != NULL && tls != NULL && addr != NULL && alpn != NULL && events != NULL);
    struct net_conn *c = net_conn_new(loop, tls, false, NET_RESOLVING, &client_side);
    net_conn_set_events(c, events, data);
    c->alpn = xstrdup(alpn);
    c->addr = xstrndup(addr, strnlen(addr, NET_ADDR_MAX));
    c->timeout_ms = timeout_ms > 0 ? timeout_ms : NET_HANDSHAKE_MS;
    uv_update_time(loop); /* the turn, or the start of the program, may have been long */
    net_conn_start_timer(c);
    char host[256], port[8];
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } to;
    if (!net_addr_split(addr, host, port) || host[0] == '\0') {
        net_conn_blame(c, ERR_INVALID, "an address is host:port, or [v6]:port");
        net_conn_fail(c);
    } else if (uv_ip4_addr(host, atoi(port), &to.in) == 0 || uv_ip6_addr(host, atoi(port), &to.in6) == 0) {
        try_address(c, &to.sa);
    } else {
        resolve(c, loop, host, port);
    }
    return c;
}
