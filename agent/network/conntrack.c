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

/* Address and port at one end of a tuple of UDP. */
static bool read_end(const struct nlattr *tuple, unsigned address, unsigned port, uint32_t *ip_out, uint16_t *port_out)
{
    const struct nlattr *proto = netlink_find_in(tuple, CTA_TUPLE_PROTO);
    uint8_t number;
    bool ok = netlink_copy(&number, netlink_find_in(proto, CTA_PROTO_NUM), sizeof number) && number == IPPROTO_UDP &&
              netlink_copy(port_out, netlink_find_in(proto, port), sizeof *port_out) &&
              netlink_copy(ip_out, netlink_find_in(netlink_find_in(tuple, CTA_TUPLE_IP), address), sizeof *ip_out);
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

struct keeping {
    conntrack_wanted *wanted;
    void *data;
    struct conntrack_flow *list;
    unsigned count;
};

static void keep(const struct nlmsghdr *h, void *data)
{
    struct keeping *k = data;
    struct conntrack_flow f;
    if (k->count < CONNTRACK_LIST_MAX && read_flow(h, &f) && k->wanted(&f, k->data)) {
        k->list = xrealloc(k->list, (k->count + 1) * sizeof f);
        k->list[k->count++] = f;
    }
}

static const struct nfgenmsg of_ipv4 = {.nfgen_family = AF_INET, .version = NFNETLINK_V0};

int conntrack_list(conntrack_wanted *wanted, void *data, struct conntrack_flow **list, unsigned *count,
                   struct error *err)
{
    struct keeping k = {.wanted = wanted, .data = data};
    struct netlink n;
    struct netlink_request r;
    netlink_begin(&r, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET, NLM_F_DUMP, &of_ipv4, sizeof of_ipv4);
    int rc = netlink_open(&n, NETLINK_NETFILTER);
    rc = rc != 0 ? rc : netlink_list(&n, &r, keep, &k);
    netlink_close(&n);
    *list = k.list;
    *count = k.count;
    return rc == 0 || rc == -EAGAIN ? 0 : error_set_errno(err, -rc, "cannot list the kernel's connections");
}

static int delete_entry(struct netlink *n, const struct conntrack_flow *t)
{
    struct netlink_request r;
    netlink_begin(&r, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE, 0, &of_ipv4, sizeof of_ipv4);
    netlink_put_raw(&r, t->tuple, t->size);
    int rc = netlink_ask(n, &r);
    return rc == -ENOENT ? 0 : rc;
}

int conntrack_forget(const struct conntrack_flow *list, unsigned count, struct error *err)
{
    struct netlink n = {.fd = -1};
    int rc = count == 0 ? 0 : netlink_open(&n, NETLINK_NETFILTER);
    for (unsigned i = 0; n.fd >= 0 && i < count; i++) {
        int one = delete_entry(&n, &list[i]);
        rc = rc != 0 ? rc : one;
    }
    if (n.fd >= 0) {
        netlink_close(&n);
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
