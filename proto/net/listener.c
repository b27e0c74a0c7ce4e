/* Listening: accept, a place at the gate, hand over.
 *
 * Accepting is our own (uv_poll) rather than libuv's, since it must be able to wait: for a place when all handshakes
 * are taken, and for a descriptor when there is none. Neither spins: accepting stops and a timer goes on with it. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/net/net_int.h"

#define BACKLOG             1024
#define ACCEPTS_MAX         64  /* in one turn of the loop: those who are in come first */
#define PLACE_PAUSE_MS      20  /* until a place for a handshake is looked for again */
#define DESCRIPTOR_PAUSE_MS 100 /* the same for a descriptor */

static void go_on(struct net_listener *l);

/* ---- Connections ---- */

static void listener_unref(struct net_listener *l)
{
    assert(l->refs > 0);
    if (--l->refs == 0) {
        net_tls_unref(l->tls);
        net_gate_unref(l->gate);
        net_worker_unref(l->config.worker);
        free((void *)l->config.addr);
        free(l);
    }
}

static void opened(struct net_conn *c)
{
    struct net_listener *l = c->listener;
    assert(!l->closing);
    struct error why = {0};
    if (net_gate_admit(&c->place, net_conn_peer(c), &why) == 0) {
        l->config.on_conn(c, l->config.data);
        assert(c->state != NET_OPEN || c->events.on_data != NULL); /* or the first bytes would be lost */
        return;
    }
    char peer[NET_PEER_MAX];
    log_warn_of(l->config.log, "net", net_peer_word(net_conn_peer(c), c->addr, peer), "connection from %s refused: %s",
                c->addr, why.message);
    if (l->config.on_refused == NULL) {
        net_conn_close(c);
        return;
    }
    c->timeout_ms = NET_REFUSED_MS;
    net_conn_start_timer(c);
    l->config.on_refused(c, &why, l->config.data);
}

/* A handshake failed: counted and told to the log. */
static void failed(struct net_conn *c)
{
    struct net_listener *l = c->listener;
    l->stats.handshake_failed++;
    log_warn(l->config.log, "net", "%s", c->why->message);
}

static void gone(struct net_conn *c)
{
    struct net_listener *l = c->listener;
    list_remove(&c->link);
    assert(l->stats.open > 0);
    l->stats.open--;
    c->listener = NULL;
    listener_unref(l);
}

static const struct net_conn_side server_side = {.opened = opened, .failed = failed, .gone = gone};

static void note_peer_addr(struct net_conn *c, const struct sockaddr *from)
{
    char text[NET_ADDR_MAX];
    net_addr_text(from, text);
    c->addr = xstrdup(text);
}

/* ---- Accepting ---- */

static void on_pause_over(uv_timer_t *timer)
{
    go_on(timer->data);
}

static void pause_for(struct net_listener *l, unsigned ms)
{
    uv_poll_stop(&l->poll);
    uv_timer_start(&l->pause, on_pause_over, ms, 0);
}

static void begin(struct net_listener *l, int fd, const struct sockaddr *from, const struct net_place *place)
{
    struct net_conn *c = net_conn_new(l->poll.loop, l->tls, true, NET_CONNECTING, &server_side);
    c->listener = l;
    l->refs++;
    l->stats.open++;
    l->stats.accepted++;
    list_push_back(&l->conns, &c->link);
    note_peer_addr(c, from);
    net_gate_move(place, &c->place);
    int rv = uv_tcp_open(&c->tcp, fd);
    if (rv != 0) {
        close(fd);
        net_conn_blame(c, err_from_errno(rv), "accept: %s", uv_strerror(rv));
        net_conn_fail(c);
        return;
    }
    net_conn_start_tls(c);
}

/* A handshake that has had its time makes room. */
static bool cut_one(struct net_listener *l)
{
    struct net_place *p = net_gate_victim(l->gate, (int64_t)uv_now(l->poll.loop));
    if (p == NULL) {
        return false;
    }
    struct net_conn *c = CONTAINER_OF(p, struct net_conn, place);
    net_gate_stats(l->gate)->cut++;
    net_conn_blame(c, ERR_LIMIT, "cut during the TLS handshake: %u others are at it, and somebody new comes",
                   net_gate_config(l->gate)->max[NET_CLASS_HANDSHAKE]);
    net_conn_fail(c);
    net_gate_leave(&c->place);
    return true;
}

/* A connection finds its place, is refused, or has to wait (false). */
static bool place_one(struct net_listener *l, int fd, const struct sockaddr *from)
{
    struct net_place place = {0};
    enum net_gate_answer answer;
    int64_t now_ms = (int64_t)uv_now(l->poll.loop);
    bool waited = l->waiting >= 0 && now_ms - l->waiting_since_ms >= NET_GATE_WAIT_MS;
    do {
        answer = net_gate_enter(l->gate, from, now_ms, waited, &place);
    } while (answer == NET_GATE_FULL && cut_one(l));
    switch (answer) {
    case NET_GATE_IN:
        begin(l, fd, from, &place);
        return true;
    case NET_GATE_REFUSED:
        close(fd);
        return true;
    case NET_GATE_FULL:
        break;
    }
    return false;
}

static int accept_one(struct net_listener *l)
{
    socklen_t n = sizeof l->from;
    l->from = (struct sockaddr_storage){0};
    int fd = accept4(l->fd, (struct sockaddr *)&l->from, &n, SOCK_CLOEXEC | SOCK_NONBLOCK);
    return fd >= 0 ? fd : -errno;
}

/* Without a descriptor nobody can be let in. Whoever waits is told so by being closed, as long as there is a
 * descriptor kept to do that with. */
static void no_descriptor(struct net_listener *l, int errno_value)
{
    net_gate_stats(l->gate)->no_descriptor++;
    log_error(l->config.log, "net", "accept on %s: %s; connections are closed until there is one", l->config.addr,
              strerror(errno_value));
    if (l->spare >= 0) {
        close(l->spare);
        int fd = accept_one(l);
        if (fd >= 0) {
            close(fd);
        }
        l->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    if (l->spare < 0) {
        pause_for(l, DESCRIPTOR_PAUSE_MS);
    }
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct net_listener *l = poll->data;
    (void)status, (void)events;
    for (unsigned i = 0; i < ACCEPTS_MAX && !l->closing; i++) {
        int fd = accept_one(l);
        switch (fd) {
        case -EAGAIN:
            return;
        case -EMFILE:
        case -ENFILE:
        case -ENOBUFS:
        case -ENOMEM:
            no_descriptor(l, -fd);
            return;
        default:
            break;
        }
        if (fd < 0) {
            continue; /* of that one connection: it is gone already */
        }
        if (!place_one(l, fd, (const struct sockaddr *)&l->from)) {
            l->waiting = fd;
            l->waiting_since_ms = (int64_t)uv_now(l->poll.loop);
            pause_for(l, PLACE_PAUSE_MS);
            return;
        }
    }
}

static void go_on(struct net_listener *l)
{
    if (l->closing) {
        return;
    }
    if (l->spare < 0) {
        l->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    if (l->waiting >= 0 && !place_one(l, l->waiting, (const struct sockaddr *)&l->from)) {
        pause_for(l, PLACE_PAUSE_MS);
        return;
    }
    l->waiting = -1;
    uv_poll_start(&l->poll, UV_READABLE, on_readable);
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
    if (--l->handles > 0) {
        return;
    }
    close(l->fd);
    if (l->waiting >= 0) {
        close(l->waiting);
    }
    if (l->spare >= 0) {
        close(l->spare);
    }
    if (l->on_closed != NULL) {
        l->on_closed(l->on_closed_data);
    }
    listener_unref(l);
}

static void on_unused_closed(uv_handle_t *h)
{
    free(CONTAINER_OF(h, struct net_listener, poll));
}

int net_listen(const struct net_listener_config *config, struct net_listener **out, struct error *err)
{
    assert(config->loop != NULL && config->tls != NULL && config->alpns != NULL && config->on_conn != NULL);
    assert((config->conns_max > 0 || config->gate != NULL) && out != NULL);
    *out = NULL;
    if (config->tls->cert == NULL) {
        return error_set(err, ERR_INVALID, "a server needs a certificate, and none is given");
    }
    int fd = config->fd;
    int rv = fd >= 0 ? 0 : open_socket(config->addr, &fd, err);
    if (rv != 0) {
        return rv;
    }
    struct sockaddr_storage ss = {0};
    socklen_t n = sizeof ss;
    char text[NET_ADDR_MAX];
    struct net_listener *l = xcalloc(1, sizeof *l);
    rv = uv_poll_init(config->loop, &l->poll, fd);
    if (rv == 0 && (listen(fd, BACKLOG) != 0 || getsockname(fd, (struct sockaddr *)&ss, &n) != 0)) {
        rv = -errno;
        uv_close((uv_handle_t *)&l->poll, on_unused_closed);
        l = NULL;
    }
    if (rv != 0) {
        free(l);
        if (config->fd < 0) {
            close(fd);
        }
        return error_set(err, err_from_errno(rv), "listen on %s: %s", config->addr == NULL ? "socket" : config->addr,
                         uv_strerror(rv));
    }
    l->config = *config;
    l->config.handshake_ms = config->handshake_ms > 0 ? config->handshake_ms : NET_HANDSHAKE_MS;
    l->tls = net_tls_ref(config->tls);
    struct net_gate_config plain;
    net_gate_plain(config->conns_max, &plain);
    l->config.worker = config->worker != NULL ? net_worker_ref(config->worker) : NULL;
    l->gate = config->gate != NULL ? net_gate_ref(config->gate) : net_gate_new(&plain);
    l->refs = 1;
    l->fd = fd;
    l->waiting = -1;
    l->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    list_init(&l->conns);
    list_init(&l->reads.waiting);
    list_init(&l->writes.nodes);
    list_init(&l->writes.users);
    uv_timer_init(config->loop, &l->pause);
    l->handles = 2;
    l->poll.data = l->pause.data = l;
    uv_poll_start(&l->poll, UV_READABLE, on_readable);
    net_addr_text((struct sockaddr *)&ss, text);
    l->port = ss.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&ss)->sin6_port)
                                       : ntohs(((struct sockaddr_in *)&ss)->sin_port);
    l->config.addr = xstrdup(config->fd >= 0 || config->addr == NULL ? text : config->addr);
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

struct net_gate *net_listener_gate(const struct net_listener *l)
{
    return l->gate;
}

const struct net_stats *net_listener_stats(const struct net_listener *l)
{
    return &l->stats;
}

static void read_again(struct net_listener *l, unsigned most)
{
    while (most > 0 && !list_empty(&l->reads.waiting)) {
        most -= net_conn_read_again(LIST_ENTRY(l->reads.waiting.next, struct net_conn, read_link));
    }
}

void net_listener_turn(struct net_listener *l, uint64_t share_ns)
{
    assert(!l->closing && l->reads.since_ns == 0);
    l->reads.bounded = true;
    l->reads.share_ns = share_ns;
    l->reads.used_ns = 0;
    l->writes.used_ns = 0;
    read_again(l, NET_READS_GRANTED);
}

void net_listener_bound_writes(struct net_listener *l, uint64_t share_ns)
{
    assert(!l->closing && share_ns > 0);
    l->writes.share_ns = share_ns;
}

void net_listener_close(struct net_listener *l, void (*on_closed)(void *data), void *data)
{
    assert(!l->closing);
    l->closing = true;
    l->on_closed = on_closed;
    l->on_closed_data = data;
    l->reads.bounded = false; /* nobody tells of turns any more */
    l->writes.share_ns = 0;
    read_again(l, UINT_MAX);
    LIST_FOR_SAFE(it, &l->conns)
    {
        struct net_conn *c = LIST_ENTRY(it, struct net_conn, link);
        if (c->state < NET_OPEN) {
            net_conn_close(c); /* nobody is left to take it */
        }
    }
    uv_poll_stop(&l->poll);
    uv_close((uv_handle_t *)&l->poll, on_listener_closed);
    uv_close((uv_handle_t *)&l->pause, on_listener_closed);
}
