#include "agent/network/podlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <xxhash.h>

#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/veth.h>

#include "agent/network/netlink.h"
#include "agent/util/fsutil.h"
#include "base/mem.h"

#define POD_DEVICE "eth0"
#define MAC_BYTES  6u
#define LIST_TRIES 5u

void podlink_name(const char *uid, char name[IFNAMSIZ])
{
    uint64_t hash = XXH3_64bits(uid, strlen(uid));
    snprintf(name, IFNAMSIZ, "veth%011llx", (unsigned long long)(hash >> 20));
}

static uint32_t gateway_of(const struct podlink *l)
{
    return l->range.first + 1;
}

/* ---- Requests ---- */

static void begin_link(struct netlink_request *r, unsigned type, unsigned flags, unsigned index, bool up)
{
    struct ifinfomsg head = {
        .ifi_family = AF_UNSPEC, .ifi_index = (int)index, .ifi_flags = up ? IFF_UP : 0, .ifi_change = up ? IFF_UP : 0};
    netlink_begin(r, type, flags, &head, sizeof head);
}

/* It gives itself no address of IPv6: before it is up. A kernel without IPv6 refuses it, and needs it not. */
static void forgo_ipv6(struct netlink *n, unsigned index)
{
    struct netlink_request r;
    begin_link(&r, RTM_NEWLINK, 0, index, false);
    size_t spec = netlink_nest(&r, IFLA_AF_SPEC), family = netlink_nest(&r, AF_INET6);
    netlink_put_u8(&r, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
    netlink_nest_end(&r, family);
    netlink_nest_end(&r, spec);
    (void)netlink_ask(n, &r);
}

static int add_address(struct netlink *n, unsigned index, uint32_t ip, struct cidr range)
{
    struct netlink_request r;
    uint32_t be = htonl(ip), last = htonl((uint32_t)(cidr_end(range) - 1));
    struct ifaddrmsg head = {.ifa_family = AF_INET, .ifa_prefixlen = (uint8_t)range.bits, .ifa_index = index};
    netlink_begin(&r, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &head, sizeof head);
    netlink_put(&r, IFA_LOCAL, &be, sizeof be);
    netlink_put(&r, IFA_ADDRESS, &be, sizeof be);
    netlink_put(&r, IFA_BROADCAST, &last, sizeof last);
    return netlink_ask(n, &r);
}

static int add_route(struct netlink *n, unsigned index, struct cidr to, uint32_t gateway)
{
    struct netlink_request r;
    uint32_t be = htonl(to.first), via = htonl(gateway);
    struct rtmsg head = {.rtm_family = AF_INET,
                         .rtm_dst_len = (unsigned char)to.bits,
                         .rtm_table = RT_TABLE_MAIN,
                         .rtm_protocol = RTPROT_BOOT,
                         .rtm_type = RTN_UNICAST,
                         .rtm_scope = RT_SCOPE_UNIVERSE};
    netlink_begin(&r, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &head, sizeof head);
    if (to.bits > 0) {
        netlink_put(&r, RTA_DST, &be, sizeof be);
    }
    netlink_put(&r, RTA_GATEWAY, &via, sizeof via);
    netlink_put_u32(&r, RTA_OIF, index);
    int rc = netlink_ask(n, &r);
    return rc == -EEXIST ? 0 : rc; /* the first one wins */
}

static int delete_link(struct netlink *n, const char *name)
{
    struct netlink_request r;
    begin_link(&r, RTM_DELLINK, 0, 0, false);
    netlink_put_text(&r, IFLA_IFNAME, name);
    return netlink_ask(n, &r);
}

/* ---- The bridge ---- */

static int make_bridge(struct netlink *n, const struct podlink *l)
{
    struct netlink_request r;
    uint8_t mac[MAC_BYTES] = {0x0a, 0x58};
    uint32_t be = htonl(gateway_of(l));
    memcpy(mac + 2, &be, sizeof be); /* given, it does not change with each port that comes and goes */
    begin_link(&r, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, true);
    netlink_put_text(&r, IFLA_IFNAME, l->bridge);
    netlink_put(&r, IFLA_ADDRESS, mac, sizeof mac);
    if (l->mtu != 0) {
        netlink_put_u32(&r, IFLA_MTU, l->mtu);
    }
    size_t info = netlink_nest(&r, IFLA_LINKINFO);
    netlink_put_text(&r, IFLA_INFO_KIND, "bridge");
    netlink_nest_end(&r, info);
    int rc = netlink_ask(n, &r);
    return rc == -EEXIST ? 0 : rc; /* by another thread of ours */
}

struct addresses {
    unsigned link;
    uint32_t wanted;
    unsigned char bits;
    bool has_wanted;
    struct {
        uint32_t ip;
        uint8_t bits;
    } others[16];
    unsigned count;
};

static void read_address(const struct nlmsghdr *h, void *data)
{
    struct addresses *a = data;
    const struct ifaddrmsg *m = NLMSG_DATA(h);
    uint32_t ip = 0;
    if (h->nlmsg_type != RTM_NEWADDR || h->nlmsg_len < NLMSG_LENGTH(sizeof *m) || m->ifa_index != a->link ||
        m->ifa_family != AF_INET || !netlink_copy(&ip, netlink_find_behind(h, sizeof *m, IFA_LOCAL), sizeof ip)) {
        return;
    }
    if (ntohl(ip) == a->wanted && m->ifa_prefixlen == a->bits) {
        a->has_wanted = true;
    } else if (a->count < ARRAY_SIZE(a->others)) {
        a->others[a->count].ip = ip;
        a->others[a->count++].bits = m->ifa_prefixlen;
    }
}

static int list_addresses(struct netlink *n, unsigned index, const struct podlink *l, struct addresses *a)
{
    struct netlink_request r;
    int rc = -EAGAIN;
    for (unsigned tries = 0; rc == -EAGAIN && tries < LIST_TRIES; tries++) {
        *a = (struct addresses){.link = index, .wanted = gateway_of(l), .bits = (unsigned char)l->range.bits};
        netlink_begin(&r, RTM_GETADDR, NLM_F_DUMP, &(struct ifaddrmsg){.ifa_family = AF_INET},
                      sizeof(struct ifaddrmsg));
        rc = netlink_list(n, &r, read_address, a);
    }
    return rc == -EAGAIN ? 0 : rc; /* it changes all the time: what was seen */
}

/* Those of a range that the node had before would keep its pods from reaching the node that has it now. They go first:
 * where the wanted one is, none is left. */
static int renew_address(struct netlink *n, unsigned index, const struct podlink *l, const struct addresses *a)
{
    struct netlink_request r;
    for (unsigned i = 0; i < a->count; i++) {
        struct ifaddrmsg head = {.ifa_family = AF_INET, .ifa_prefixlen = a->others[i].bits, .ifa_index = index};
        netlink_begin(&r, RTM_DELADDR, 0, &head, sizeof head);
        netlink_put(&r, IFA_LOCAL, &a->others[i].ip, sizeof a->others[i].ip);
        int rc = netlink_ask(n, &r);
        if (rc != 0 && rc != -EADDRNOTAVAIL) { /* another thread of ours may be faster */
            return rc;
        }
    }
    int rc = add_address(n, index, gateway_of(l), l->range);
    return rc == -EEXIST ? 0 : rc;
}

/* Each step is looked at each time: an agent may have ended between two of them. */
static int ensure_bridge(struct netlink *n, const struct podlink *l, unsigned *index, struct error *err)
{
    struct netlink_request r;
    struct addresses a;
    int rc = 0;
    *index = if_nametoindex(l->bridge);
    if (*index == 0) {
        rc = make_bridge(n, l);
        *index = if_nametoindex(l->bridge);
        rc = rc == 0 && *index == 0 ? -errno : rc;
    }
    rc = rc != 0 ? rc : list_addresses(n, *index, l, &a);
    if (rc == 0) {
        begin_link(&r, RTM_NEWLINK, 0, *index, true);
        rc = netlink_ask(n, &r);
    }
    rc = rc != 0 || a.has_wanted ? rc : renew_address(n, *index, l, &a);
    return rc == 0 ? 0 : error_set_errno(err, -rc, "cannot make the bridge %s", l->bridge);
}

/* ---- The pair ---- */

static void write_pair(struct netlink_request *r, const struct podlink *l, const char *name, int ns)
{
    uint8_t mac[MAC_BYTES] = {0x0a, 0x58};
    uint32_t be = htonl(l->ip);
    memcpy(mac + 2, &be, sizeof be);
    begin_link(r, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, false);
    netlink_put_text(r, IFLA_IFNAME, name);
    if (l->mtu != 0) {
        netlink_put_u32(r, IFLA_MTU, l->mtu);
    }
    size_t info = netlink_nest(r, IFLA_LINKINFO);
    netlink_put_text(r, IFLA_INFO_KIND, "veth");
    size_t data = netlink_nest(r, IFLA_INFO_DATA), peer = netlink_nest(r, VETH_INFO_PEER);
    netlink_put_raw(r, &(struct ifinfomsg){.ifi_family = AF_UNSPEC}, sizeof(struct ifinfomsg));
    netlink_put_text(r, IFLA_IFNAME, POD_DEVICE);
    netlink_put(r, IFLA_ADDRESS, mac, sizeof mac);
    netlink_put_u32(r, IFLA_NET_NS_FD, (uint32_t)ns);
    if (l->mtu != 0) {
        netlink_put_u32(r, IFLA_MTU, l->mtu);
    }
    netlink_nest_end(r, peer);
    netlink_nest_end(r, data);
    netlink_nest_end(r, info);
}

static int join_bridge(struct netlink *n, unsigned index, unsigned bridge)
{
    struct netlink_request r;
    begin_link(&r, RTM_NEWLINK, 0, index, true);
    netlink_put_u32(&r, IFLA_MASTER, bridge);
    return netlink_ask(n, &r);
}

/* A pod must reach itself through a service. */
static int let_hairpin(struct netlink *n, unsigned index)
{
    struct netlink_request r;
    netlink_begin(&r, RTM_SETLINK, 0, &(struct ifinfomsg){.ifi_family = AF_BRIDGE, .ifi_index = (int)index},
                  sizeof(struct ifinfomsg));
    size_t port = netlink_nest(&r, IFLA_PROTINFO);
    netlink_put_u8(&r, IFLA_BRPORT_MODE, 1);
    netlink_nest_end(&r, port);
    return netlink_ask(n, &r);
}

/* The kernel notices only after a while, up to a second when much goes on, that a link has begun to carry, and the
 * bridge sends nothing to it before. Who asks is answered as it is now. */
static void sync_carrier(const char *name)
{
    struct ethtool_value v = {.cmd = ETHTOOL_GLINK};
    struct ifreq r = {.ifr_data = (char *)&v};
    CLEANUP_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    snprintf(r.ifr_name, sizeof r.ifr_name, "%s", name);
    if (fd >= 0) {
        (void)ioctl(fd, SIOCETHTOOL, &r);
    }
}

/* In the pod's namespace. */
static int set_up_inside(const struct podlink *l, struct error *err)
{
    struct netlink n;
    struct netlink_request r;
    struct cidr half = {l->range.first, l->range.bits + 1}, other = {half.first + (uint32_t)cidr_size(half), half.bits};
    unsigned index = if_nametoindex(POD_DEVICE);
    int rc = netlink_open(&n, NETLINK_ROUTE);
    if (rc != 0) {
        netlink_close(&n);
        return error_set_errno(err, -rc, "cannot open a netlink socket in the pod's network namespace");
    }
    forgo_ipv6(&n, index);
    begin_link(&r, RTM_NEWLINK, 0, index, true);
    rc = index == 0 ? -ENODEV : netlink_ask(&n, &r);
    rc = rc != 0 ? rc : add_address(&n, index, l->ip, l->range);
    /* The halves of the range are narrower than the range, which is on the link. */
    rc = rc != 0 ? rc : add_route(&n, index, (struct cidr){0, 0}, gateway_of(l));
    rc = rc != 0 ? rc : add_route(&n, index, half, gateway_of(l));
    rc = rc != 0 ? rc : add_route(&n, index, other, gateway_of(l));
    netlink_close(&n);
    return rc == 0 ? 0 : error_set_errno(err, -rc, "cannot set up " POD_DEVICE " of the pod");
}

static int make(struct netlink *n, const struct podlink *l, int ns, struct error *err)
{
    struct netlink_request r;
    char name[IFNAMSIZ];
    unsigned bridge;
    podlink_name(l->uid, name);
    int rc = ensure_bridge(n, l, &bridge, err);
    if (rc != 0) {
        return rc;
    }
    write_pair(&r, l, name, ns);
    rc = netlink_ask(n, &r);
    if (rc != 0) {
        return error_set_errno(err, -rc, "cannot make the pod's link %s (veth)", name);
    }
    unsigned index = if_nametoindex(name);
    forgo_ipv6(n, index);
    rc = index == 0 ? -ENODEV : join_bridge(n, index, bridge);
    rc = rc != 0 ? rc : let_hairpin(n, index);
    return rc == 0 ? 0 : error_set_errno(err, -rc, "cannot set up the bridge's port %s", name);
}

int podlink_make(const struct podlink *l, struct error *err)
{
    struct netlink n;
    char name[IFNAMSIZ];
    CLEANUP_CLOSE int ns = open(l->netns, O_RDONLY | O_CLOEXEC);
    CLEANUP_CLOSE int own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (ns < 0 || own < 0) {
        return error_set_errno(err, errno, "cannot open the pod's network namespace %s", l->netns);
    }
    int rc = netlink_open(&n, NETLINK_ROUTE);
    rc = rc != 0 ? error_set_errno(err, -rc, "cannot open a netlink socket") : make(&n, l, ns, err);
    netlink_close(&n);
    if (rc == 0 && setns(ns, CLONE_NEWNET) != 0) {
        rc = error_set_errno(err, errno, "cannot enter the pod's network namespace %s", l->netns);
    }
    rc = rc != 0 ? rc : set_up_inside(l, err);
    if (rc == 0 && setns(own, CLONE_NEWNET) == 0) {
        podlink_name(l->uid, name);
        sync_carrier(name);
    }
    return rc;
}

static int delete_here(const char *name)
{
    struct netlink n;
    int rc = netlink_open(&n, NETLINK_ROUTE);
    rc = rc != 0 ? rc : delete_link(&n, name);
    netlink_close(&n);
    return rc;
}

int podlink_delete(const struct podlink *l, struct error *err)
{
    char name[IFNAMSIZ];
    podlink_name(l->uid, name);
    int rc = delete_here(name);
    if (rc == -ENODEV) { /* it has none, or one of an earlier agent, which only the pod knows */
        CLEANUP_CLOSE int ns = l->netns[0] == '\0' ? -1 : open(l->netns, O_RDONLY | O_CLOEXEC);
        rc = ns >= 0 && setns(ns, CLONE_NEWNET) == 0 ? delete_here(POD_DEVICE) : 0;
    }
    return rc == 0 || rc == -ENODEV ? 0 : error_set_errno(err, -rc, "cannot delete the pod's link %s", name);
}
