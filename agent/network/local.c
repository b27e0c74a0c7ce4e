#include "agent/network/local.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdbool.h>
#include <string.h>

#include "agent/network/netlink.h"

#include <linux/rtnetlink.h>

#define LABEL "lo:reeve"

/* 0 or the kernel's -errno. */
static int ask_kernel(bool add, uint32_t ip)
{
    uint32_t be = htonl(ip);
    struct netlink n;
    struct netlink_request r;
    struct ifaddrmsg head = {
        .ifa_family = AF_INET, .ifa_prefixlen = 32, .ifa_scope = RT_SCOPE_HOST, .ifa_index = if_nametoindex("lo")};
    if (head.ifa_index == 0) {
        return -errno;
    }
    netlink_begin(&r, add ? RTM_NEWADDR : RTM_DELADDR, add ? NLM_F_CREATE | NLM_F_REPLACE : 0, &head, sizeof head);
    netlink_put(&r, IFA_LOCAL, &be, sizeof be);
    netlink_put_text(&r, IFA_LABEL, LABEL);
    int rc = netlink_open(&n, NETLINK_ROUTE);
    rc = rc != 0 ? rc : netlink_ask(&n, &r);
    netlink_close(&n);
    return rc;
}

int network_set_local(uint32_t ip, struct error *err)
{
    struct ifaddrs *all = NULL;
    bool there = false;
    int bad = getifaddrs(&all) == 0 ? 0 : -errno;
    for (const struct ifaddrs *i = all; i != NULL && bad == 0; i = i->ifa_next) {
        if (i->ifa_addr == NULL || i->ifa_addr->sa_family != AF_INET || strcmp(i->ifa_name, LABEL) != 0) {
            continue;
        }
        struct sockaddr_in at;
        memcpy(&at, i->ifa_addr, sizeof at);
        if (ntohl(at.sin_addr.s_addr) == ip) {
            there = true;
        } else {
            bad = ask_kernel(false, ntohl(at.sin_addr.s_addr));
        }
    }
    if (all != NULL) {
        freeifaddrs(all);
    }
    bad = bad == 0 && ip != 0 && !there ? ask_kernel(true, ip) : bad;
    return bad == 0 ? 0 : error_set_errno(err, -bad, "address of the name server on the interface lo");
}
