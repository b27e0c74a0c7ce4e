#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/net_int.h"

#define BACKLOG       1024
#define LOG_WINDOW_MS 1000
#define LOG_LINES_MAX 5 /* per window: strangers must not fill the log */

/* ---- Connections ---- */

static void listener_unref(struct net_listener *l)
{
    assert(l->refs > 0);
    if (--l->refs == 0) {
        net_tls_unref(l->tls);
        free((void *)l->config.addr);
        free(l);
    }
}

void net_listener_opened(struct net_listener *l, struct net_conn *c)
{
    assert(!l->closing);
    l->config.on_conn(c, l->config.data);
    assert(c->state != NET_OPEN || c->events.on_data != NULL); /* or the first bytes would be lost */
}

void net_listener_failed(struct net_listener *l, struct net_conn *c)
{
    l->stats.handshake_failed++;
    int64_t now = (int64_t)uv_now(c->timer.loop);
    if (now - l->log_window_ms >= LOG_WINDOW_MS) {
        if (l->log_dropped > 0) {
            log_warn(l->config.log, "net", "%u more refused connections", l->log_dropped);
        }
        l->log_window_ms = now;
        l->log_lines = l->log_dropped = 0;
    }
    if (l->log_lines < LOG_LINES_MAX) {
        l->log_lines++;
        log_warn(l->config.log, "net", "%s", c->why->message);
    } else {
        l->log_dropped++;
    }
}

void net_listener_forget(struct net_listener *l, struct net_conn *c)
{
    list_remove(&c->link);
    assert(l->stats.open > 0);
    l->stats.open--;
    c->listener = NULL;
    listener_unref(l);
}

static void free_handle(uv_handle_t *h)
{
    free(h);
}

/* Above the limit: take it off the queue and drop it. */
static void refuse(uv_stream_t *server)
{
    uv_tcp_t *tcp = xcalloc(1, sizeof *tcp);
    uv_tcp_init(server->loop, tcp);
    uv_accept(server, (uv_stream_t *)tcp);
    uv_close((uv_handle_t *)tcp, free_handle);
}

static void note_peer_addr(struct net_conn *c)
{
    struct sockaddr_storage ss = {0};
    int n = sizeof ss;
    char text[NET_ADDR_MAX];
    uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&ss, &n);
    net_addr_text((struct sockaddr *)&ss, text);
    c->addr = xstrdup(text);
}

static void on_connection(uv_stream_t *server, int status)
{
    struct net_listener *l = server->data;
    if (l->closing) {
        return;
    }
    if (status < 0) {
        log_warn(l->config.log, "net", "accept on %s: %s", l->config.addr, uv_strerror(status));
        return;
    }
    if (l->stats.open >= l->config.conns_max) {
        l->stats.refused_limit++;
        refuse(server);
        return;
    }
    struct net_conn *c = net_conn_new(server->loop, l->tls, true, NET_CONNECTING);
    c->listener = l;
    l->refs++;
    l->stats.open++;
    l->stats.accepted++;
    list_push_back(&l->conns, &c->link);
    int rv = uv_accept(server, (uv_stream_t *)&c->tcp);
    note_peer_addr(c);
    if (rv != 0) {
        net_conn_blame(c, err_from_errno(rv), "accept: %s", uv_strerror(rv));
        net_conn_fail(c);
        return;
    }
    net_conn_start_tls(c);
}

/* ---- The listener ---- */

static int bind_error(int errno_value, const char *addr, struct error *err)
{
    if (errno_value == EADDRINUSE) {
        return error_set(
            err, ERR_BUSY,
            "bind %s: address already in use; another process listens there (`ss -ltnp` names it): stop it or "
            "choose another port",
            addr);
    }
    if (errno_value == EADDRNOTAVAIL) {
        return error_set(err, ERR_INVALID, "bind %s: this machine does not have that address", addr);
    }
    return error_set_errno(err, errno_value, "bind %s", addr);
}

static int bind_one(const struct addrinfo *a, int *fd_out)
{
    CLEANUP_CLOSE int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
    int on = 1, off = 0;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) {
        return errno;
    }
    if (a->ai_family == AF_INET6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    }
    if (bind(fd, a->ai_addr, a->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        return errno;
    }
    *fd_out = TAKE_FD(fd);
    return 0;
}

static int open_socket(const char *addr, int *fd, struct error *err)
{
    char host[256], port[8];
    if (!net_addr_split(addr, host, port)) {
        return error_set(err, ERR_INVALID, "listen on %s: an address is host:port, [v6]:port, or :port for all", addr);
    }
    bool any = host[0] == '\0' || strcmp(host, "*") == 0;
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int rv = getaddrinfo(any ? NULL : host, port, &hints, &found);
    if (rv != 0) {
        return error_set(err, ERR_NOT_FOUND, "listen on %s: %s", addr, gai_strerror(rv));
    }
    int errno_value = EADDRNOTAVAIL;
    /* For "all addresses", IPv6 sockets take IPv4 as well, so they come first. */
    for (int pass = 0; pass < 2 && errno_value != 0; pass++) {
        for (struct addrinfo *a = found; a != NULL && errno_value != 0; a = a->ai_next) {
            if ((pass == 0) == (a->ai_family == AF_INET6 || !any)) {
                errno_value = bind_one(a, fd);
            }
        }
        if (errno_value == EADDRINUSE) {
            break;
        }
    }
    freeaddrinfo(found);
    return errno_value == 0 ? 0 : bind_error(errno_value, addr, err);
}

static void on_listener_closed(uv_handle_t *h)
{
    struct net_listener *l = h->data;
    if (l->on_closed != NULL) {
        l->on_closed(l->on_closed_data);
    }
    listener_unref(l);
}

int net_listen(const struct net_listener_config *config, struct net_listener **out, struct error *err)
{
    assert(config->loop != NULL && config->tls != NULL && config->alpns != NULL && config->on_conn != NULL);
    assert(config->conns_max > 0 && out != NULL);
    *out = NULL;
    if (config->tls->cert == NULL) {
        return error_set(err, ERR_INVALID, "a server needs a certificate, and none is given");
    }
    int fd = config->fd;
    int rv = fd >= 0 ? 0 : open_socket(config->addr, &fd, err);
    if (rv != 0) {
        return rv;
    }
    struct net_listener *l = xcalloc(1, sizeof *l);
    l->config = *config;
    l->config.handshake_ms = config->handshake_ms > 0 ? config->handshake_ms : NET_HANDSHAKE_MS;
    l->tls = net_tls_ref(config->tls);
    l->refs = 1;
    list_init(&l->conns);
    struct sockaddr_storage ss = {0};
    int n = sizeof ss;
    char text[NET_ADDR_MAX];
    uv_tcp_init(config->loop, &l->tcp);
    l->tcp.data = l;
    rv = uv_tcp_open(&l->tcp, fd);
    if (rv != 0 && config->fd < 0) {
        close(fd);
    }
    if (rv == 0) {
        rv = uv_tcp_getsockname(&l->tcp, (struct sockaddr *)&ss, &n);
    }
    if (rv == 0) {
        rv = uv_listen((uv_stream_t *)&l->tcp, BACKLOG, on_connection);
    }
    net_addr_text((struct sockaddr *)&ss, text);
    l->port = ss.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&ss)->sin6_port)
                                       : ntohs(((struct sockaddr_in *)&ss)->sin_port);
    l->config.addr = xstrdup(config->fd >= 0 || config->addr == NULL ? text : config->addr);
    if (rv != 0) {
        error_set(err, err_from_errno(rv), "listen on %s: %s", l->config.addr, uv_strerror(rv));
        uv_close((uv_handle_t *)&l->tcp, on_listener_closed);
        return err_from_errno(rv);
    }
    *out = l;
    return 0;
}

void net_listener_set_tls(struct net_listener *l, struct net_tls *tls)
{
    assert(tls->cert != NULL);
    net_tls_ref(tls);
    net_tls_unref(l->tls);
    l->tls = tls;
}

int net_listener_port(const struct net_listener *l)
{
    return l->port;
}

const struct net_stats *net_listener_stats(const struct net_listener *l)
{
    return &l->stats;
}

void net_listener_close(struct net_listener *l, void (*on_closed)(void *data), void *data)
{
    assert(!l->closing);
    l->closing = true;
    l->on_closed = on_closed;
    l->on_closed_data = data;
    LIST_FOR_SAFE(it, &l->conns)
    {
        struct net_conn *c = LIST_ENTRY(it, struct net_conn, link);
        if (c->state < NET_OPEN) {
            net_conn_close(c); /* nobody is left to take it */
        }
    }
    uv_close((uv_handle_t *)&l->tcp, on_listener_closed);
}
