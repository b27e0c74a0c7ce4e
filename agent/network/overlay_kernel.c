#include "agent/network/overlay_kernel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>

#include "agent/util/fsutil.h"
#include "base/mem.h"

#define LISTS_AGAIN 5 /* what is listed may change meanwhile */

int overlay_kernel_open(struct overlay_kernel *k, struct error *err)
{
    static const unsigned groups[] = {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE};
    int on = 1;
    k->watch.fd = -1;
    k->watch.reply = NULL;
    int rc = netlink_open(&k->asks, NETLINK_ROUTE);
    rc = rc != 0 ? rc : netlink_open(&k->watch, NETLINK_ROUTE);
    for (unsigned i = 0; rc == 0 && i < ARRAY_SIZE(groups); i++) {
        rc = setsockopt(k->watch.fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i], sizeof groups[i]) == 0 ? 0
                                                                                                             : -errno;
    }
    if (rc == 0) {
        netlink_make_watch(&k->watch);
        /* The kernel sorts out by itself what of a list is asked for; one that cannot tells more. */
        (void)setsockopt(k->asks.fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof on);
        return 0;
    }
    overlay_kernel_close(k);
    return error_set_errno(err, -rc, "cannot open a netlink socket for routes");
}

void overlay_kernel_close(struct overlay_kernel *k)
{
    netlink_close(&k->asks);
    netlink_close(&k->watch);
}

static uint32_t address_in(const struct nlattr *a)
{
    uint32_t be = 0;
    netlink_copy(&be, a, sizeof be);
    return ntohl(be);
}

static bool is_of(const struct nlmsghdr *h, unsigned type, size_t head_bytes)
{
    return h->nlmsg_type == type && h->nlmsg_len >= NLMSG_LENGTH(head_bytes);
}

/* ---- Links and their addresses ---- */

struct links {
    struct overlay_link *list;
    unsigned count;
    uint32_t node;
    struct overlay_tunnel *tunnel;
};

static void read_vxlan(const struct nlattr *info, struct overlay_tunnel *t)
{
    const struct nlattr *data = netlink_find_in(info, IFLA_INFO_DATA);
    uint8_t learning = 1, collects = 0;
    uint16_t port = 0;
    uint32_t id = 0, below = 0;
    char kind[8] = "";
    const struct nlattr *name = netlink_find_in(info, IFLA_INFO_KIND);
    netlink_copy(kind, name, name == NULL ? 0 : MIN(name->nla_len - (size_t)NLA_HDRLEN, sizeof kind - 1));
    netlink_copy(&learning, netlink_find_in(data, IFLA_VXLAN_LEARNING), sizeof learning);
    netlink_copy(&collects, netlink_find_in(data, IFLA_VXLAN_COLLECT_METADATA), sizeof collects);
    netlink_copy(&port, netlink_find_in(data, IFLA_VXLAN_PORT), sizeof port);
    netlink_copy(&id, netlink_find_in(data, IFLA_VXLAN_ID), sizeof id);
    netlink_copy(&below, netlink_find_in(data, IFLA_VXLAN_LINK), sizeof below);
    t->vxlan = strcmp(kind, "vxlan") == 0;
    t->learning = learning != 0 || collects != 0 || below != 0; /* not ours as we make it */
    t->port = ntohs(port);
    t->id = id;
    t->node = address_in(netlink_find_in(data, IFLA_VXLAN_LOCAL));
}

static void read_link(const struct nlmsghdr *h, void *data)
{
    struct links *l = data;
    if (!is_of(h, RTM_NEWLINK, sizeof(struct ifinfomsg))) {
        return;
    }
    const struct ifinfomsg *m = NLMSG_DATA(h);
    const struct nlattr *name = netlink_find_behind(h, sizeof *m, IFLA_IFNAME);
    struct overlay_link *at;
    uint32_t mtu = 0;
    netlink_copy(&mtu, netlink_find_behind(h, sizeof *m, IFLA_MTU), sizeof mtu);
    l->list = xrealloc(l->list, (l->count + 1) * sizeof *l->list);
    at = &l->list[l->count++];
    *at = (struct overlay_link){.index = (uint32_t)m->ifi_index,
                                .mtu = mtu,
                                .shared = (m->ifi_flags & IFF_BROADCAST) != 0 &&
                                          (m->ifi_flags & (IFF_NOARP | IFF_POINTOPOINT | IFF_LOOPBACK)) == 0};
    if (name != NULL && name->nla_len == NLA_HDRLEN + sizeof OVERLAY_LINK &&
        memcmp((const uint8_t *)name + NLA_HDRLEN, OVERLAY_LINK, sizeof OVERLAY_LINK) == 0) {
        l->tunnel->index = at->index;
        l->tunnel->mtu = mtu;
        l->tunnel->up = (m->ifi_flags & IFF_UP) != 0;
        netlink_copy(l->tunnel->mac, netlink_find_behind(h, sizeof *m, IFLA_ADDRESS), sizeof l->tunnel->mac);
        read_vxlan(netlink_find_behind(h, sizeof *m, IFLA_LINKINFO), l->tunnel);
        at->shared = false;
    }
}

static void read_address(const struct nlmsghdr *h, void *data)
{
    struct links *l = data;
    if (!is_of(h, RTM_NEWADDR, sizeof(struct ifaddrmsg))) {
        return;
    }
    const struct ifaddrmsg *m = NLMSG_DATA(h);
    uint32_t ip = address_in(netlink_find_behind(h, sizeof *m, IFA_LOCAL));
    if (m->ifa_index == l->tunnel->index && m->ifa_prefixlen == 32 && l->tunnel->address == 0) {
        l->tunnel->address = ip;
        return;
    }
    l->tunnel->address = m->ifa_index == l->tunnel->index ? 0 : l->tunnel->address;
    for (unsigned i = 0; i < l->count; i++) {
        if (l->list[i].index == m->ifa_index && (l->node == 0 || ip == l->node)) {
            l->list[i].ours = true;
        }
    }
}

static int list_links(struct overlay_kernel *k, struct links *l)
{
    struct netlink_request r;
    netlink_begin(&r, RTM_GETLINK, NLM_F_DUMP, &(struct ifinfomsg){.ifi_family = AF_UNSPEC}, sizeof(struct ifinfomsg));
    int rc = netlink_list(&k->asks, &r, read_link, l);
    if (rc != 0) {
        return rc;
    }
    netlink_begin(&r, RTM_GETADDR, NLM_F_DUMP, &(struct ifaddrmsg){.ifa_family = AF_INET}, sizeof(struct ifaddrmsg));
    return netlink_list(&k->asks, &r, read_address, l);
}

int overlay_kernel_links(struct overlay_kernel *k, uint32_t node, struct overlay_link **list, unsigned *count,
                         struct overlay_tunnel *tunnel, struct error *err)
{
    struct links l = {.node = node, .tunnel = tunnel};
    int rc = -EAGAIN;
    for (unsigned i = 0; i < LISTS_AGAIN && rc == -EAGAIN; i++) {
        l.count = 0;
        *tunnel = (struct overlay_tunnel){0};
        rc = list_links(k, &l);
    }
    *list = l.list;
    *count = l.count;
    return rc == 0 ? 0 : error_set_errno(err, -rc, "cannot list the links of this machine");
}

/* ---- Ways ---- */

static void read_way(const struct nlmsghdr *h, void *data)
{
    struct overlay_way *w = data;
    if (!is_of(h, RTM_NEWROUTE, sizeof(struct rtmsg))) {
        return;
    }
    const struct rtmsg *m = NLMSG_DATA(h);
    w->local = m->rtm_type == RTN_LOCAL;
    w->reachable = m->rtm_type == RTN_UNICAST;
    w->gateway = netlink_find_behind(h, sizeof *m, RTA_GATEWAY) != NULL ||
                 netlink_find_behind(h, sizeof *m, RTA_VIA) != NULL ||
                 netlink_find_behind(h, sizeof *m, RTA_MULTIPATH) != NULL ||
                 netlink_find_behind(h, sizeof *m, RTA_ENCAP) != NULL;
    netlink_copy(&w->link, netlink_find_behind(h, sizeof *m, RTA_OIF), sizeof w->link);
}

int overlay_kernel_way(struct overlay_kernel *k, uint32_t to, struct overlay_way *out, struct error *err)
{
    struct netlink_request r;
    uint32_t be = htonl(to);
    *out = (struct overlay_way){0};
    netlink_begin(&r, RTM_GETROUTE, 0, &(struct rtmsg){.rtm_family = AF_INET, .rtm_dst_len = 32}, sizeof(struct rtmsg));
    netlink_put(&r, RTA_DST, &be, sizeof be);
    int rc = netlink_list(&k->asks, &r, read_way, out);
    if (rc == -ENETUNREACH || rc == -EHOSTUNREACH || rc == -EACCES || rc == -EINVAL) {
        return 0; /* there is no way, or one that says so */
    }
    return rc == 0 ? 0 : error_set_errno(err, -rc, "cannot ask for the route to another node");
}

/* ---- Entries ---- */

struct entries {
    struct overlay_entry *list;
    unsigned count;
    uint32_t tunnel;
};

static struct overlay_entry *add_entry(struct entries *e)
{
    e->list = xrealloc(e->list, (e->count + 1) * sizeof *e->list);
    e->list[e->count] = (struct overlay_entry){0};
    return &e->list[e->count++];
}

static void read_route(const struct nlmsghdr *h, void *data)
{
    if (!is_of(h, RTM_NEWROUTE, sizeof(struct rtmsg))) {
        return;
    }
    const struct rtmsg *m = NLMSG_DATA(h);
    if (m->rtm_family != AF_INET || m->rtm_protocol != OVERLAY_ROUTE_PROTOCOL || m->rtm_table != RT_TABLE_MAIN) {
        return;
    }
    struct overlay_entry *e = add_entry(data);
    e->kind = OVERLAY_ROUTE;
    e->pods = (struct cidr){address_in(netlink_find_behind(h, sizeof *m, RTA_DST)), m->rtm_dst_len};
    e->ip = address_in(netlink_find_behind(h, sizeof *m, RTA_GATEWAY));
    netlink_copy(&e->link, netlink_find_behind(h, sizeof *m, RTA_OIF), sizeof e->link);
    e->onlink = (m->rtm_flags & RTNH_F_ONLINK) != 0;
}

static void read_neighbour(const struct nlmsghdr *h, void *data)
{
    struct entries *all = data;
    if (!is_of(h, RTM_NEWNEIGH, sizeof(struct ndmsg))) {
        return;
    }
    const struct ndmsg *m = NLMSG_DATA(h);
    if ((uint32_t)m->ndm_ifindex != all->tunnel || (m->ndm_family != AF_INET && m->ndm_family != AF_BRIDGE)) {
        return;
    }
    struct overlay_entry *e = add_entry(all);
    e->kind = m->ndm_family == AF_INET ? OVERLAY_NEIGHBOUR : OVERLAY_FORWARD;
    e->ip = address_in(netlink_find_behind(h, sizeof *m, NDA_DST));
    if ((m->ndm_state & NUD_PERMANENT) != 0) { /* another one is as if it had no MAC: it is replaced */
        netlink_copy(e->mac, netlink_find_behind(h, sizeof *m, NDA_LLADDR), sizeof e->mac);
    }
}

static int list_entries(struct overlay_kernel *k, struct entries *e)
{
    struct netlink_request r;
    struct rtmsg routes = {.rtm_family = AF_INET, .rtm_protocol = OVERLAY_ROUTE_PROTOCOL, .rtm_table = RT_TABLE_MAIN};
    netlink_begin(&r, RTM_GETROUTE, NLM_F_DUMP, &routes, sizeof routes);
    int rc = netlink_list(&k->asks, &r, read_route, e);
    static const unsigned char families[] = {AF_INET, AF_BRIDGE};
    for (unsigned i = 0; rc == 0 && e->tunnel != 0 && i < ARRAY_SIZE(families); i++) {
        struct ndmsg neighbours = {.ndm_family = families[i]};
        netlink_begin(&r, RTM_GETNEIGH, NLM_F_DUMP, &neighbours, sizeof neighbours);
        netlink_put_u32(&r, NDA_IFINDEX, e->tunnel);
        rc = netlink_list(&k->asks, &r, read_neighbour, e);
    }
    return rc;
}

int overlay_kernel_entries(struct overlay_kernel *k, uint32_t tunnel, struct overlay_entry **list, unsigned *count,
                           struct error *err)
{
    struct entries e = {.tunnel = tunnel};
    int rc = -EAGAIN;
    for (unsigned i = 0; i < LISTS_AGAIN && rc == -EAGAIN; i++) {
        e.count = 0;
        rc = list_entries(k, &e);
    }
    *list = e.list;
    *count = e.count;
    return rc == 0 ? 0 : error_set_errno(err, -rc, "cannot list the routes to other nodes");
}

static void write_route(struct netlink_request *r, bool put, const struct overlay_entry *e)
{
    uint32_t to = htonl(e->pods.first), gateway = htonl(e->ip);
    struct rtmsg head = {.rtm_family = AF_INET,
                         .rtm_dst_len = (unsigned char)e->pods.bits,
                         .rtm_table = RT_TABLE_MAIN,
                         .rtm_protocol = OVERLAY_ROUTE_PROTOCOL,
                         .rtm_type = RTN_UNICAST,
                         .rtm_scope = RT_SCOPE_UNIVERSE,
                         .rtm_flags = put && e->onlink ? RTNH_F_ONLINK : 0};
    netlink_begin(r, put ? RTM_NEWROUTE : RTM_DELROUTE, put ? NLM_F_CREATE | NLM_F_REPLACE : 0, &head, sizeof head);
    netlink_put(r, RTA_DST, &to, sizeof to);
    if (put) {
        netlink_put(r, RTA_GATEWAY, &gateway, sizeof gateway);
        if (e->link != 0) {
            netlink_put_u32(r, RTA_OIF, e->link);
        }
    }
}

static void write_neighbour(struct netlink_request *r, bool put, const struct overlay_entry *e, uint32_t tunnel)
{
    uint32_t ip = htonl(e->ip);
    bool forward = e->kind == OVERLAY_FORWARD;
    struct ndmsg head = {.ndm_family = forward ? AF_BRIDGE : AF_INET,
                         .ndm_ifindex = (int)tunnel,
                         .ndm_state = NUD_PERMANENT,
                         .ndm_flags = forward ? NTF_SELF : 0};
    netlink_begin(r, put ? RTM_NEWNEIGH : RTM_DELNEIGH, put ? NLM_F_CREATE | NLM_F_REPLACE : 0, &head, sizeof head);
    if (put || forward) {
        netlink_put(r, NDA_LLADDR, e->mac, sizeof e->mac);
    }
    if (put || !forward) {
        netlink_put(r, NDA_DST, &ip, sizeof ip);
    }
}

int overlay_kernel_change(struct overlay_kernel *k, const struct overlay_change *c, uint32_t tunnel, struct error *err)
{
    struct netlink_request r;
    bool put = c->verb == OVERLAY_PUT;
    if (c->entry.kind == OVERLAY_ROUTE) {
        write_route(&r, put, &c->entry);
    } else {
        write_neighbour(&r, put, &c->entry, tunnel);
    }
    int rc = netlink_ask(&k->asks, &r);
    if (rc == 0 || (!put && (rc == -ESRCH || rc == -ENOENT))) {
        return 0;
    }
    CLEANUP_BUF struct buf text = BUF_INIT;
    overlay_change_text(&text, c);
    if (put && rc == -ENETUNREACH && c->entry.kind == OVERLAY_ROUTE && !c->entry.onlink) {
        return error_set(err, ERR_SYSTEM,
                         "ways to other nodes' pods: cannot %s: that node is on no link of this one; with podRouting "
                         "auto it is reached by VXLAN (rctl cluster set podRouting=auto)",
                         buf_cstr(&text));
    }
    return error_set_errno(err, -rc, "ways to other nodes' pods: cannot %s", buf_cstr(&text));
}

/* ---- The VXLAN link ---- */

static void set_link_value(const char *path, const char *value)
{
    struct error e;
    (void)fs_write_value(path, value, &e); /* a kernel without the setting needs none */
}

static int make_link(struct overlay_kernel *k, const struct overlay_tunnel *t, struct error *err)
{
    struct netlink_request r;
    uint32_t node = htonl(t->node);
    uint16_t port = htons(t->port);
    netlink_begin(&r, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &(struct ifinfomsg){.ifi_family = AF_UNSPEC},
                  sizeof(struct ifinfomsg));
    netlink_put_text(&r, IFLA_IFNAME, OVERLAY_LINK);
    netlink_put_u32(&r, IFLA_MTU, t->mtu);
    netlink_put(&r, IFLA_ADDRESS, t->mac, sizeof t->mac);
    size_t info = netlink_nest(&r, IFLA_LINKINFO);
    netlink_put_text(&r, IFLA_INFO_KIND, "vxlan");
    size_t data = netlink_nest(&r, IFLA_INFO_DATA);
    netlink_put_u32(&r, IFLA_VXLAN_ID, t->id);
    netlink_put(&r, IFLA_VXLAN_PORT, &port, sizeof port);
    netlink_put_u8(&r, IFLA_VXLAN_LEARNING, 0);
    if (t->node != 0) {
        netlink_put(&r, IFLA_VXLAN_LOCAL, &node, sizeof node);
    }
    netlink_nest_end(&r, data);
    netlink_nest_end(&r, info);
    int rc = netlink_ask(&k->asks, &r);
    if (rc == -EOPNOTSUPP || rc == -ENOENT) {
        return error_set(err, ERR_UNSUPPORTED,
                         "this kernel has no VXLAN (module vxlan): pods of nodes that are on another link cannot be "
                         "reached");
    }
    if (rc == -EEXIST) {
        return error_set(err, ERR_CONFLICT,
                         "another VXLAN link of this machine has the number %u: give the cluster another one (rctl "
                         "cluster set vxlanID=NUMBER)",
                         t->id);
    }
    return rc == 0 ? 0 : error_set_errno(err, -rc, "cannot make the link " OVERLAY_LINK);
}

int overlay_kernel_remove_tunnel(struct overlay_kernel *k, const struct overlay_tunnel *there, struct error *err)
{
    struct netlink_request r;
    if (there->index == 0 || !there->vxlan) {
        return 0;
    }
    netlink_begin(&r, RTM_DELLINK, 0, &(struct ifinfomsg){.ifi_family = AF_UNSPEC, .ifi_index = (int)there->index},
                  sizeof(struct ifinfomsg));
    int rc = netlink_ask(&k->asks, &r);
    return rc == 0 || rc == -ENODEV ? 0 : error_set_errno(err, -rc, "cannot remove the link " OVERLAY_LINK);
}

/* Its size and that it is up. */
static int set_link(struct overlay_kernel *k, const struct overlay_tunnel *t)
{
    struct netlink_request r;
    struct ifinfomsg head = {
        .ifi_family = AF_UNSPEC, .ifi_index = (int)t->index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
    netlink_begin(&r, RTM_NEWLINK, 0, &head, sizeof head);
    netlink_put_u32(&r, IFLA_MTU, t->mtu);
    return netlink_ask(&k->asks, &r);
}

/* What this node sends through the tunnel leaves with an address of its range, so that answers come by the tunnel. */
static int set_address(struct overlay_kernel *k, const struct overlay_tunnel *t)
{
    struct netlink_request r;
    uint32_t ip = htonl(t->address);
    struct ifaddrmsg head = {.ifa_family = AF_INET, .ifa_prefixlen = 32, .ifa_index = t->index};
    netlink_begin(&r, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &head, sizeof head);
    netlink_put(&r, IFA_LOCAL, &ip, sizeof ip);
    netlink_put(&r, IFA_ADDRESS, &ip, sizeof ip);
    return netlink_ask(&k->asks, &r);
}

/* An address cannot be replaced, nor VXLAN's number: the link is made anew for that, too. */
static bool can_stay(const struct overlay_tunnel *there, const struct overlay_tunnel *wanted)
{
    return there->index != 0 && !there->learning && there->id == wanted->id && there->port == wanted->port &&
           there->node == wanted->node && memcmp(there->mac, wanted->mac, sizeof there->mac) == 0 &&
           (there->address == 0 || there->address == wanted->address);
}

int overlay_kernel_set_tunnel(struct overlay_kernel *k, const struct overlay_tunnel *there,
                              struct overlay_tunnel *wanted, struct error *err)
{
    static const char loose[] = "/proc/sys/net/ipv4/conf/" OVERLAY_LINK "/rp_filter",
                      no_ipv6[] = "/proc/sys/net/ipv6/conf/" OVERLAY_LINK "/disable_ipv6";
    if (there->index != 0 && !there->vxlan) {
        return error_set(err, ERR_CONFLICT,
                         "the link " OVERLAY_LINK " of this machine is none of VXLAN: remove or rename it (ip link)");
    }
    int rc = 0;
    wanted->index = there->index;
    if (!can_stay(there, wanted)) {
        rc = overlay_kernel_remove_tunnel(k, there, err);
        rc = rc != 0 ? rc : make_link(k, wanted, err);
        wanted->index = if_nametoindex(OVERLAY_LINK);
        if (rc != 0) {
            return rc;
        }
        set_link_value(no_ipv6, "1");
    }
    /* While two nodes do not think alike of their way, packets come by another than they would be answered. */
    char line[8] = "";
    if (!fs_read_line(loose, line, sizeof line) || strcmp(line, "2") != 0) {
        set_link_value(loose, "2");
    }
    bool fresh = wanted->index != there->index;
    rc = fresh || there->mtu != wanted->mtu || !there->up ? set_link(k, wanted) : 0;
    rc = rc != 0 ? rc : fresh || there->address != wanted->address ? set_address(k, wanted) : 0;
    return rc == 0 ? overlay_kernel_set_sums(err) : error_set_errno(err, -rc, "cannot set the link " OVERLAY_LINK);
}

int overlay_kernel_set_sums(struct error *err)
{
    CLEANUP_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ethtool_value v = {.cmd = ETHTOOL_GTXCSUM};
    struct ifreq r = {.ifr_name = OVERLAY_LINK, .ifr_data = (char *)&v};
    int rc = fd < 0 ? -1 : ioctl(fd, SIOCETHTOOL, &r);
    if (rc == 0 && v.data != 0) {
        v = (struct ethtool_value){.cmd = ETHTOOL_STXCSUM, .data = 0};
        rc = ioctl(fd, SIOCETHTOOL, &r);
    }
    return rc == 0 ? 0 : error_set_errno(err, errno, "cannot switch off sums by the network card on " OVERLAY_LINK);
}

/* ---- What others change ---- */

static bool is_tunnel_name(const struct nlmsghdr *h)
{
    const struct nlattr *name = netlink_find_behind(h, sizeof(struct ifinfomsg), IFLA_IFNAME);
    return name != NULL && name->nla_len == NLA_HDRLEN + sizeof OVERLAY_LINK &&
           memcmp((const uint8_t *)name + NLA_HDRLEN, OVERLAY_LINK, sizeof OVERLAY_LINK) == 0;
}

static unsigned hear_route(const struct nlmsghdr *h)
{
    const struct rtmsg *m = NLMSG_DATA(h);
    if (h->nlmsg_len < NLMSG_LENGTH(sizeof *m) || m->rtm_table == RT_TABLE_LOCAL) {
        return OVERLAY_UNTOUCHED;
    }
    return m->rtm_protocol == OVERLAY_ROUTE_PROTOCOL ? OVERLAY_ENTRIES_TOUCHED : OVERLAY_WAYS_TOUCHED;
}

static unsigned hear(const struct nlmsghdr *h, overlay_link_matters *matters, void *data)
{
    switch (h->nlmsg_type) {
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
        return hear_route(h);
    case RTM_NEWLINK:
    case RTM_DELLINK: {
        const struct ifinfomsg *m = NLMSG_DATA(h);
        return h->nlmsg_len < NLMSG_LENGTH(sizeof *m)  ? OVERLAY_UNTOUCHED
               : is_tunnel_name(h)                     ? OVERLAY_ENTRIES_TOUCHED
               : matters((uint32_t)m->ifi_index, data) ? OVERLAY_WAYS_TOUCHED
                                                       : OVERLAY_UNTOUCHED;
    }
    case RTM_NEWADDR:
    case RTM_DELADDR: {
        const struct ifaddrmsg *m = NLMSG_DATA(h);
        return h->nlmsg_len < NLMSG_LENGTH(sizeof *m) ? OVERLAY_UNTOUCHED : OVERLAY_WAYS_TOUCHED;
    }
    default:
        return OVERLAY_UNTOUCHED;
    }
}

unsigned overlay_kernel_touched(struct overlay_kernel *k, overlay_link_matters *matters, void *data)
{
    unsigned all = OVERLAY_UNTOUCHED;
    for (;;) {
        ssize_t got = recv(k->watch.fd, k->watch.reply, NETLINK_REPLY_BYTES, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) { /* ENOBUFS: something was lost */
            return all | (errno == ENOBUFS ? OVERLAY_ENTRIES_TOUCHED | OVERLAY_WAYS_TOUCHED : OVERLAY_UNTOUCHED);
        }
        size_t left = (size_t)got;
        for (const struct nlmsghdr *h = (const void *)k->watch.reply; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
            all |= h->nlmsg_pid == k->asks.port ? OVERLAY_UNTOUCHED : hear(h, matters, data);
        }
    }
}
