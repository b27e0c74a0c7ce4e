#include "agent/network/network_int.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* All entries are listed and those to one of the ports are deleted by their first tuple, given back as the kernel wrote
 * it. Source: the kernel's linux/netfilter/nfnetlink_conntrack.h. */

#define REPLY_BYTES   (64u << 10)
#define FORGOTTEN_MAX 65536u

struct tuple {
    uint8_t bytes[120];
    size_t size;
};

static const struct nlattr *find(const void *p, size_t n, unsigned type)
{
    const uint8_t *at = p;
    while (n >= NLA_HDRLEN) {
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

static const struct nlattr *find_in(const struct nlattr *outer, unsigned type)
{
    return outer == NULL ? NULL : find((const uint8_t *)outer + NLA_HDRLEN, outer->nla_len - NLA_HDRLEN, type);
}

static bool is_wanted(const struct nlattr *tuple, const struct network_owner_port *ports, unsigned count)
{
    const struct nlattr *proto = find_in(tuple, CTA_TUPLE_PROTO);
    const struct nlattr *number = find_in(proto, CTA_PROTO_NUM), *port = find_in(proto, CTA_PROTO_DST_PORT);
    uint16_t to;
    if (number == NULL || port == NULL || number->nla_len < NLA_HDRLEN + 1 || port->nla_len < NLA_HDRLEN + sizeof to ||
        *((const uint8_t *)number + NLA_HDRLEN) != IPPROTO_UDP) {
        return false;
    }
    memcpy(&to, (const uint8_t *)port + NLA_HDRLEN, sizeof to);
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(ports[i].protocol, "udp") == 0 && ports[i].host_port == ntohs(to)) {
            return true;
        }
    }
    return false;
}

static int list_entries(int fd, const struct network_owner_port *ports, unsigned count, struct tuple **out,
                        unsigned *out_count)
{
    struct {
        struct nlmsghdr head;
        struct nfgenmsg gen;
    } r = {.head = {.nlmsg_len = sizeof r,
                    .nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET,
                    .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
           .gen = {.nfgen_family = AF_INET, .version = NFNETLINK_V0}};
    if (send(fd, &r, sizeof r, 0) < 0) {
        return -errno;
    }
    uint8_t *reply = xmalloc(REPLY_BYTES);
    int rc = 0;
    for (bool more = true; more && rc == 0;) {
        ssize_t got = recv(fd, reply, REPLY_BYTES, 0);
        if (got < 0) {
            rc = errno == EINTR ? 0 : -errno;
            continue;
        }
        size_t left = (size_t)got;
        for (struct nlmsghdr *h = (void *)reply; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
            if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR) {
                rc = h->nlmsg_type == NLMSG_ERROR ? ((struct nlmsgerr *)NLMSG_DATA(h))->error : 0;
                more = false;
                break;
            }
            if (h->nlmsg_len < NLMSG_LENGTH(sizeof r.gen)) {
                continue;
            }
            const struct nlattr *t = find((uint8_t *)NLMSG_DATA(h) + NLMSG_ALIGN(sizeof r.gen),
                                          h->nlmsg_len - NLMSG_LENGTH(sizeof r.gen), CTA_TUPLE_ORIG);
            if (t != NULL && t->nla_len <= sizeof(*out)->bytes && *out_count < FORGOTTEN_MAX &&
                is_wanted(t, ports, count)) {
                *out = xrealloc(*out, (*out_count + 1) * sizeof **out);
                struct tuple *kept = &(*out)[(*out_count)++];
                kept->size = t->nla_len;
                memcpy(kept->bytes, t, t->nla_len);
            }
        }
    }
    free(reply);
    return rc;
}

static int delete_entry(int fd, const struct tuple *t)
{
    struct {
        struct nlmsghdr head;
        struct nfgenmsg gen;
        uint8_t attributes[sizeof t->bytes];
    } r = {.head = {.nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE,
                    .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
           .gen = {.nfgen_family = AF_INET, .version = NFNETLINK_V0}};
    uint8_t reply[1024] __attribute__((aligned(8)));
    memcpy(r.attributes, t->bytes, t->size);
    r.head.nlmsg_len = (uint32_t)(NLMSG_LENGTH(sizeof r.gen) + NLA_ALIGN(t->size));
    if (send(fd, &r, r.head.nlmsg_len, 0) < 0) {
        return -errno;
    }
    ssize_t n;
    do {
        n = recv(fd, reply, sizeof reply, 0);
    } while (n < 0 && errno == EINTR);
    const struct nlmsghdr *h = (const void *)reply;
    int rc = n < 0 ? -errno
             : (size_t)n >= NLMSG_LENGTH(sizeof(struct nlmsgerr)) && h->nlmsg_type == NLMSG_ERROR
                 ? ((const struct nlmsgerr *)NLMSG_DATA(h))->error
                 : 0;
    return rc == -ENOENT ? 0 : rc;
}

int network_conntrack_forget(const struct network_owner_port *ports, unsigned count, struct error *err)
{
    bool udp = false;
    for (unsigned i = 0; i < count; i++) {
        udp = udp || strcmp(ports[i].protocol, "udp") == 0;
    }
    if (!udp) {
        return 0;
    }
    CLEANUP_CLOSE int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
    struct tuple *tuples = NULL;
    unsigned tuples_count = 0;
    int rc = fd < 0 ? -errno : list_entries(fd, ports, count, &tuples, &tuples_count);
    for (unsigned i = 0; i < tuples_count; i++) {
        int one = delete_entry(fd, &tuples[i]);
        rc = rc != 0 ? rc : one;
    }
    free(tuples);
    return rc == 0 ? 0 : error_set_errno(err, -rc, "cannot end former UDP peers' way to a host port");
}
