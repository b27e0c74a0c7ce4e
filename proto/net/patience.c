/* Peers that take what they are sent slowly, because somebody reads it: what tells them from those that are gone. */
#include "proto/net/net_int.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

size_t net_conn_untaken(const struct net_conn *c)
{
    uv_os_fd_t fd;
    int queued = 0;
    if (c->state < NET_HANDSHAKE || c->state == NET_CLOSED || uv_fileno((const uv_handle_t *)&c->tcp, &fd) != 0 ||
        ioctl(fd, SIOCOUTQ, &queued) != 0) {
        queued = 0;
    }
    return net_conn_pending(c) + (size_t)MAX(queued, 0);
}

/* A window that is shut counts for TCP_USER_TIMEOUT. Without it a peer that answers probes is waited for; one that does
 * not is given up when the kernel has sent again often enough. */
void net_conn_be_patient(struct net_conn *c)
{
    uv_os_fd_t fd;
    unsigned none = 0;
    if (c->state < NET_FLUSHING && uv_fileno((uv_handle_t *)&c->tcp, &fd) == 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &none, sizeof none);
    }
}

void net_conn_close_slowly(struct net_conn *c, int64_t patience_ms)
{
    bool open = c->state == NET_OPEN;
    net_conn_close(c);
    if (open) {
        c->await_eof = true;
        c->patience_ms = patience_ms;
        c->untaken = net_conn_untaken(c);
        c->taken_ms = (int64_t)uv_now(c->timer.loop);
    }
}

bool net_conn_may_take_more(struct net_conn *c)
{
    int64_t now_ms = (int64_t)uv_now(c->timer.loop);
    size_t untaken = net_conn_untaken(c);
    if (untaken != c->untaken) {
        c->untaken = untaken;
        c->taken_ms = now_ms;
    }
    return untaken > 0 && now_ms - c->taken_ms < c->patience_ms;
}
