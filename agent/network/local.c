#include "agent/network/local.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

#define LABEL "lo:reeve"

struct request {
    struct nlmsghdr head;
    struct ifaddrmsg address;
    uint8_t attributes[64];
};

static void add_attribute(struct request *r, unsigned short type, const void *p, size_t n)
{
    struct rtattr *a = (struct rtattr *)(void *)((uint8_t *)r + NLMSG_ALIGN(r->head.nlmsg_len));
    a->rta_type = type;
    a->rta_len = (unsigned short)RTA_LENGTH(n);
    memcpy(RTA_DATA(a), p, n);
    r->head.nlmsg_len = NLMSG_ALIGN(r->head.nlmsg_len) + RTA_ALIGN(a->rta_len);
}

/* 0 or the kernel's errno. */
static int ask_kernel(bool add, uint32_t ip)
{
    struct {
        struct nlmsghdr head;
        struct nlmsgerr answer;
        uint8_t more[256];
    } reply;
    uint32_t be = htonl(ip);
    struct request r = {.head = {.nlmsg_len = NLMSG_LENGTH(sizeof r.address),
                                 .nlmsg_type = add ? RTM_NEWADDR : RTM_DELADDR,
                                 .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | (add ? NLM_F_CREATE | NLM_F_REPLACE : 0)},
                        .address = {.ifa_family = AF_INET, .ifa_prefixlen = 32, .ifa_scope = RT_SCOPE_HOST}};
    CLEANUP_CLOSE int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    r.address.ifa_index = if_nametoindex("lo");
    add_attribute(&r, IFA_LOCAL, &be, sizeof be);
    add_attribute(&r, IFA_LABEL, LABEL, sizeof LABEL);
    if (fd < 0 || r.address.ifa_index == 0 || send(fd, &r, r.head.nlmsg_len, 0) < 0) {
        return errno;
    }
    ssize_t n = recv(fd, &reply, sizeof reply, 0);
    if (n < (ssize_t)NLMSG_LENGTH(sizeof reply.answer) || reply.head.nlmsg_type != NLMSG_ERROR) {
        return n < 0 ? errno : EPROTO;
    }
    return -reply.answer.error;
}

int network_set_local(uint32_t ip, struct error *err)
{
    struct ifaddrs *all = NULL;
    bool there = false;
    int bad = getifaddrs(&all) == 0 ? 0 : errno;
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
    return bad == 0 ? 0 : error_set_errno(err, bad, "address of the name server on the interface lo");
}
