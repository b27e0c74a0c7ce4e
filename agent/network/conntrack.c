#include "agent/network/conntrack.h"

#include "agent/network/netlink.h"
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

/* All entries are listed, and those that are to be forgotten are deleted by their first tuple, given back as the kernel
 * wrote it. Source: the kernel's linux/netfilter/nfnetlink_conntrack.h. */

#define REPLY_BYTES (64u << 10)

static bool copy(void *to, const struct nlattr *a, size_t n)
{
    if (a == NULL || a->nla_len < NLA_HDRLEN + n) {
        return false;
    }
    memcpy(to, (const uint8_t *)a + NLA_HDRLEN, n);
    return true;
}

/* Address and port at one end of a tuple of UDP. */
static bool read_end(const struct nlattr *tuple, unsigned address, unsigned port, uint32_t *ip_out, uint16_t *port_out)
{
    const struct nlattr *proto = netlink_find_in(tuple, CTA_TUPLE_PROTO);
    uint8_t number;
    bool ok = copy(&number, netlink_find_in(proto, CTA_PROTO_NUM), sizeof number) && number == IPPROTO_UDP &&
              copy(port_out, netlink_find_in(proto, port), sizeof *port_out) &&
              copy(ip_out, netlink_find_in(netlink_find_in(tuple, CTA_TUPLE_IP), address), sizeof *ip_out);
    *ip_out = ok ? ntohl(*ip_out) : 0;
    *port_out = ok ? ntohs(*port_out) : 0;
    return ok;
}

static bool read_flow(const struct nlmsghdr *h, struct conntrack_flow *f)
{
    size_t head = NLMSG_ALIGN(sizeof(struct nfgenmsg));
    if (h->nlmsg_len < NLMSG_LENGTH(head)) {
        return false;
    }
    const uint8_t *at = (const uint8_t *)NLMSG_DATA(h) + head;
    size_t size = h->nlmsg_len - NLMSG_LENGTH(head);
    const struct nlattr *first = netlink_find(at, size, CTA_TUPLE_ORIG),
                        *reply = netlink_find(at, size, CTA_TUPLE_REPLY);
    if (!read_end(first, CTA_IP_V4_DST, CTA_PROTO_DST_PORT, &f->to_ip, &f->to_port) ||
        !read_end(reply, CTA_IP_V4_SRC, CTA_PROTO_SRC_PORT, &f->reply_ip, &f->reply_port) ||
        first->nla_len > sizeof f->tuple) {
        return false;
    }
    f->size = first->nla_len;
    memcpy(f->tuple, first, f->size);
    return true;
}

static void keep(const struct nlmsghdr *h, conntrack_wanted *wanted, void *data, struct conntrack_flow **list,
                 unsigned *count)
{
    struct conntrack_flow f;
    if (*count < CONNTRACK_LIST_MAX && read_flow(h, &f) && wanted(&f, data)) {
        *list = xrealloc(*list, (*count + 1) * sizeof f);
        (*list)[(*count)++] = f;
    }
}

static int list_entries(int fd, conntrack_wanted *wanted, void *data, struct conntrack_flow **list, unsigned *count)
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
            keep(h, wanted, data, list, count);
        }
    }
    free(reply);
    return rc;
}

int conntrack_list(conntrack_wanted *wanted, void *data, struct conntrack_flow **list, unsigned *count,
                   struct error *err)
{
    CLEANUP_CLOSE int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
    *list = NULL;
    *count = 0;
    int rc = fd < 0 ? -errno : list_entries(fd, wanted, data, list, count);
    return rc == 0 ? 0 : error_set_errno(err, -rc, "cannot list the kernel's connections");
}

static int delete_entry(int fd, const struct conntrack_flow *t)
{
    struct {
        struct nlmsghdr head;
        struct nfgenmsg gen;
        uint8_t attributes[sizeof t->tuple];
    } r = {.head = {.nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE,
                    .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
           .gen = {.nfgen_family = AF_INET, .version = NFNETLINK_V0}};
    uint8_t reply[1024] __attribute__((aligned(8)));
    memcpy(r.attributes, t->tuple, t->size);
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

int conntrack_forget(const struct conntrack_flow *list, unsigned count, struct error *err)
{
    CLEANUP_CLOSE int fd = count == 0 ? -1 : socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
    int rc = count > 0 && fd < 0 ? -errno : 0;
    for (unsigned i = 0; fd >= 0 && i < count; i++) {
        int one = delete_entry(fd, &list[i]);
        rc = rc != 0 ? rc : one;
    }
    return rc == 0 ? 0 : error_set_errno(err, -rc, "cannot end former UDP peers' way");
}

/* ---- Host ports ---- */

struct host_ports {
    const struct network_owner_port *list;
    unsigned count;
};

static bool is_for_host_port(const struct conntrack_flow *flow, void *data)
{
    const struct host_ports *ports = data;
    for (unsigned i = 0; i < ports->count; i++) {
        if (strcmp(ports->list[i].protocol, "udp") == 0 && ports->list[i].host_port == flow->to_port) {
            return true;
        }
    }
    return false;
}

int network_conntrack_forget(const struct network_owner_port *ports, unsigned count, struct error *err)
{
    struct host_ports wanted = {ports, count};
    struct conntrack_flow *list = NULL;
    unsigned found = 0;
    bool udp = false;
    for (unsigned i = 0; i < count; i++) {
        udp = udp || strcmp(ports[i].protocol, "udp") == 0;
    }
    if (!udp) {
        return 0;
    }
    int rc = conntrack_list(is_for_host_port, &wanted, &list, &found, err);
    rc = rc != 0 ? rc : conntrack_forget(list, found, err);
    free(list);
    return rc == 0 ? 0 : error_wrap(err, "host ports");
}
