#include "agent/network/netlink.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

#define WATCH_BYTES (1 << 20)

/* ---- Reading ---- */

const struct nlattr *netlink_find(const void *p, size_t n, unsigned type)
{
    for (const uint8_t *at = p; n >= NLA_HDRLEN;) {
        const struct nlattr *a = (const void *)at;
        size_t step = NLA_ALIGN(a->nla_len);
        if (a->nla_len < NLA_HDRLEN || a->nla_len > n) {
            return NULL;
        }
        if ((a->nla_type & NLA_TYPE_MASK) == type) {
            return a;
        }
        step = step < n ? step : n;
        at += step;
        n -= step;
    }
    return NULL;
}

const struct nlattr *netlink_find_in(const struct nlattr *outer, unsigned type)
{
    return outer == NULL ? NULL : netlink_find((const uint8_t *)outer + NLA_HDRLEN, outer->nla_len - NLA_HDRLEN, type);
}

const struct nlattr *netlink_find_behind(const struct nlmsghdr *h, size_t head_bytes, unsigned type)
{
    size_t head = NLMSG_ALIGN(head_bytes);
    return h->nlmsg_len < NLMSG_HDRLEN + head
               ? NULL
               : netlink_find((const uint8_t *)NLMSG_DATA(h) + head, h->nlmsg_len - NLMSG_HDRLEN - head, type);
}

bool netlink_copy(void *to, const struct nlattr *a, size_t n)
{
    if (a == NULL || a->nla_len < NLA_HDRLEN + n) {
        return false;
    }
    memcpy(to, (const uint8_t *)a + NLA_HDRLEN, n);
    return true;
}

/* ---- Writing ---- */

void netlink_begin(struct netlink_request *r, unsigned type, unsigned flags, const void *head, size_t head_bytes)
{
    memset(r, 0, sizeof *r);
    assert(NLMSG_SPACE(head_bytes) <= sizeof r->bytes);
    r->head.nlmsg_len = (uint32_t)NLMSG_SPACE(head_bytes);
    r->head.nlmsg_type = (uint16_t)type;
    r->head.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
    memcpy(r->bytes + NLMSG_HDRLEN, head, head_bytes);
}

void netlink_put(struct netlink_request *r, unsigned attribute, const void *p, size_t n)
{
    struct nlattr a = {.nla_len = (uint16_t)(NLA_HDRLEN + n), .nla_type = (uint16_t)attribute};
    uint8_t *at = r->bytes + r->head.nlmsg_len;
    assert(n <= sizeof r->bytes && r->head.nlmsg_len + NLA_HDRLEN + NLA_ALIGN(n) <= sizeof r->bytes);
    memcpy(at, &a, sizeof a);
    if (n > 0) {
        memcpy(at + NLA_HDRLEN, p, n);
    }
    r->head.nlmsg_len += (uint32_t)(NLA_HDRLEN + NLA_ALIGN(n));
}

void netlink_put_raw(struct netlink_request *r, const void *attributes, size_t n)
{
    assert(n <= sizeof r->bytes && r->head.nlmsg_len + NLA_ALIGN(n) <= sizeof r->bytes);
    memcpy(r->bytes + r->head.nlmsg_len, attributes, n);
    r->head.nlmsg_len += (uint32_t)NLA_ALIGN(n);
}

void netlink_put_u8(struct netlink_request *r, unsigned attribute, uint8_t value)
{
    netlink_put(r, attribute, &value, sizeof value);
}

void netlink_put_u32(struct netlink_request *r, unsigned attribute, uint32_t value)
{
    netlink_put(r, attribute, &value, sizeof value);
}

void netlink_put_text(struct netlink_request *r, unsigned attribute, const char *text)
{
    netlink_put(r, attribute, text, strlen(text) + 1);
}

size_t netlink_nest(struct netlink_request *r, unsigned attribute)
{
    size_t at = r->head.nlmsg_len;
    netlink_put(r, attribute | NLA_F_NESTED, NULL, 0);
    return at;
}

void netlink_nest_end(struct netlink_request *r, size_t nest)
{
    uint16_t size = (uint16_t)(r->head.nlmsg_len - nest);
    memcpy(r->bytes + nest, &size, sizeof size);
}

/* ---- Asking ---- */

int netlink_open(struct netlink *n, int protocol)
{
    struct sockaddr_nl own = {.nl_family = AF_NETLINK};
    socklen_t size = sizeof own;
    *n = (struct netlink){.fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol)};
    if (n->fd < 0 || bind(n->fd, (struct sockaddr *)&own, sizeof own) != 0 ||
        getsockname(n->fd, (struct sockaddr *)&own, &size) != 0) {
        int rc = -errno;
        netlink_close(n);
        return rc;
    }
    n->port = own.nl_pid;
    n->reply = xmalloc(NETLINK_REPLY_BYTES);
    return 0;
}

void netlink_make_watch(struct netlink *n)
{
    int bytes = WATCH_BYTES;
    fcntl(n->fd, F_SETFL, O_NONBLOCK);
    (void)setsockopt(n->fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes); /* what is lost is looked for */
}

void netlink_close(struct netlink *n)
{
    if (n->fd >= 0) {
        close(n->fd);
    }
    free(n->reply);
    *n = (struct netlink){.fd = -1};
}

static int send_request(struct netlink *n, struct netlink_request *r)
{
    ssize_t sent;
    r->head.nlmsg_seq = ++n->sequence;
    do {
        sent = send(n->fd, r, r->head.nlmsg_len, 0);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

/* Up to the last message of the answer: an error (0 is the acknowledgement) or the end of a list. */
static int receive(struct netlink *n, netlink_each *each, void *data)
{
    bool gaps = false;
    for (;;) {
        ssize_t got = recv(n->fd, n->reply, NETLINK_REPLY_BYTES, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return -errno;
        }
        size_t left = (size_t)got;
        for (const struct nlmsghdr *h = (const void *)n->reply; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
            if (h->nlmsg_seq != n->sequence) {
                continue; /* of an answer that was given up */
            }
            gaps = gaps || (h->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
            if (h->nlmsg_type == NLMSG_ERROR) {
                return h->nlmsg_len < NLMSG_LENGTH(sizeof(struct nlmsgerr))
                           ? -EPROTO
                           : ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
            }
            if (h->nlmsg_type == NLMSG_DONE) {
                return gaps ? -EAGAIN : 0;
            }
            if (each != NULL) {
                each(h, data);
            }
        }
    }
}

int netlink_ask(struct netlink *n, struct netlink_request *r)
{
    r->head.nlmsg_flags |= NLM_F_ACK;
    int rc = send_request(n, r);
    return rc != 0 ? rc : receive(n, NULL, NULL);
}

int netlink_list(struct netlink *n, struct netlink_request *r, netlink_each *each, void *data)
{
    r->head.nlmsg_flags |= (r->head.nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP ? 0 : NLM_F_ACK;
    int rc = send_request(n, r);
    return rc != 0 ? rc : receive(n, each, data);
}
