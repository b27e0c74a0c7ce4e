#include "agent/network/network_int.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A socket belongs to the network namespace in which it was made, whichever thread uses it later. So a thread enters
 * the namespace, makes the socket and ends (some 50 microseconds, waited for); connecting goes on the loop as for
 * any other socket. */

struct connect {
    uv_poll_t poll;
    uv_timer_t timer;
    unsigned handles;
    int fd;
    int rc;
    struct error error;
    char target[128];
    network_connect_cb *cb;
    void *data;
};

struct make_socket {
    const char *netns;
    int family;
    int fd;
    int error; /* errno */
    const char *what;
};

static void *make_socket_thread(void *arg)
{
    struct make_socket *m = arg;
    CLEANUP_CLOSE int ns = open(m->netns, O_RDONLY | O_CLOEXEC);
    if (ns < 0 || setns(ns, CLONE_NEWNET) != 0) {
        m->error = errno;
        m->what = "cannot enter the pod's network namespace";
        return NULL;
    }
    m->fd = socket(m->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    m->error = m->fd < 0 ? errno : 0;
    m->what = "cannot make a socket";
    return NULL;
}

static int open_socket(const char *netns, int family, struct error *err)
{
    struct make_socket m = {.netns = netns, .family = family, .fd = -1, .what = "cannot start a thread"};
    pthread_t t;
    if (netns == NULL || netns[0] == '\0') {
        m.fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        m.error = errno;
        m.what = "cannot make a socket";
    } else if ((m.error = pthread_create(&t, NULL, make_socket_thread, &m)) == 0) {
        pthread_join(t, NULL);
    }
    if (m.fd < 0) {
        error_set_errno(err, m.error, "%s", m.what);
    }
    return m.fd;
}

static void connect_closed(uv_handle_t *h)
{
    struct connect *c = h->data;
    if (--c->handles > 0) {
        return;
    }
    if (c->rc != 0 && c->fd >= 0) {
        close(c->fd);
        c->fd = -1;
    }
    c->cb(c->fd, c->rc == 0 ? NULL : &c->error, c->data);
    free(c);
}

static void finish(struct connect *c)
{
    if (uv_is_closing((uv_handle_t *)&c->timer)) {
        return;
    }
    uv_close((uv_handle_t *)&c->timer, connect_closed);
    if (c->handles == 2) {
        uv_close((uv_handle_t *)&c->poll, connect_closed);
    }
}

static void on_timeout(uv_timer_t *t)
{
    struct connect *c = t->data;
    if (c->rc == 0) {
        c->rc = error_set(&c->error, ERR_TIMEOUT, "connecting to %s timed out", c->target);
    }
    finish(c);
}

static void on_writable(uv_poll_t *p, int status, int events)
{
    struct connect *c = p->data;
    int e = 0;
    socklen_t n = sizeof e;
    (void)status; /* libuv says EBADF whatever the error is: the socket knows better */
    (void)events;
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &e, &n) != 0) {
        e = errno;
    }
    if (e != 0) {
        c->rc = error_set(&c->error, ERR_SYSTEM, "cannot connect to %s: %s", c->target, strerror(e));
    }
    finish(c);
}

/* The outcome of connect(2) that is known at once; 0 = in progress or done. */
static int begin(struct connect *c, const char *netns, const char *address, uint16_t port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    bool is_v4 = inet_pton(AF_INET, address, &v4.sin_addr) == 1;
    if (!is_v4 && inet_pton(AF_INET6, address, &v6.sin6_addr) != 1) {
        return error_set(&c->error, ERR_INVALID, "\"%s\" is not an IP address", address);
    }
    c->fd = open_socket(netns, is_v4 ? AF_INET : AF_INET6, &c->error);
    if (c->fd < 0) {
        return c->error.code;
    }
    const struct sockaddr *sa = is_v4 ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
    if (connect(c->fd, sa, is_v4 ? sizeof v4 : sizeof v6) != 0 && errno != EINPROGRESS && errno != EINTR) {
        return error_set(&c->error, ERR_SYSTEM, "cannot connect to %s: %s", c->target, strerror(errno));
    }
    return 0;
}

void network_connect(uv_loop_t *loop, const char *netns, const char *address, uint16_t port, int64_t timeout_ms,
                     network_connect_cb *cb, void *data)
{
    assert(cb != NULL);
    struct connect *c = xcalloc(1, sizeof *c);
    address = address == NULL || address[0] == '\0' ? "127.0.0.1" : address;
    snprintf(c->target, sizeof c->target, strchr(address, ':') != NULL ? "[%s]:%u" : "%s:%u", address, port);
    c->fd = -1;
    c->cb = cb;
    c->data = data;
    uv_timer_init(loop, &c->timer);
    c->timer.data = c->poll.data = c;
    c->handles = 1;
    c->rc = begin(c, netns, address, port);
    if (c->rc == 0 && uv_poll_init(loop, &c->poll, c->fd) == 0) {
        c->handles = 2;
        c->poll.data = c;
        uv_poll_start(&c->poll, UV_WRITABLE, on_writable);
    } else if (c->rc == 0) {
        c->rc = error_set(&c->error, ERR_SYSTEM, "cannot watch a socket");
    }
    uint64_t wait_ms = c->rc != 0 ? 0 : (uint64_t)(timeout_ms > 0 ? timeout_ms : NETWORK_CONNECT_MS);
    uv_timer_start(&c->timer, on_timeout, wait_ms, 0);
}
