#include "agent/network/network_int.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Routes we make carry a protocol number of our own (rtnetlink(7), rtm_protocol): whatever carries it and is not wanted
 * is an old one of ours, also from before a restart; nobody else's route is touched. */
#define ROUTE_PROTOCOL 82
#define REPLY_BYTES    (64u << 10)

bool network_prefix_parse(const char *text, struct network_prefix *out)
{
    char address[INET6_ADDRSTRLEN];
    const char *slash = strchr(text, '/');
    char *end;
    memset(out, 0, sizeof *out);
    if (slash == NULL || (size_t)(slash - text) >= sizeof address || slash[1] < '0' || slash[1] > '9') {
        return false;
    }
    snprintf(address, sizeof address, "%.*s", (int)(slash - text), text);
    out->family = strchr(address, ':') != NULL ? AF_INET6 : AF_INET;
    unsigned long bits = strtoul(slash + 1, &end, 10), max = out->family == AF_INET ? 32 : 128;
    if (*end != '\0' || bits > max || inet_pton(out->family, address, out->bytes) != 1) {
        return false;
    }
    out->bits = (unsigned)bits;
    for (unsigned i = out->bits; i < max; i++) {
        if ((out->bytes[i / 8] & (0x80u >> (i % 8))) != 0) {
            return false;
        }
    }
    return true;
}

struct request {
    struct nlmsghdr head;
    struct rtmsg route;
    uint8_t attributes[128];
};

static void add_attribute(struct request *r, unsigned short type, const void *p, size_t n)
{
    struct rtattr *a = (struct rtattr *)(void *)((uint8_t *)r + NLMSG_ALIGN(r->head.nlmsg_len));
    a->rta_type = type;
    a->rta_len = (unsigned short)RTA_LENGTH(n);
    memcpy(RTA_DATA(a), p, n);
    r->head.nlmsg_len = NLMSG_ALIGN(r->head.nlmsg_len) + RTA_ALIGN(a->rta_len);
}

static size_t address_bytes(int family)
{
    return family == AF_INET ? 4 : 16;
}

/* Sends and waits for the acknowledgement. 0 or -errno. */
static int transact(int fd, struct request *r)
{
    uint8_t reply[8192] __attribute__((aligned(8)));
    r->head.nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
    if (send(fd, r, r->head.nlmsg_len, 0) < 0) {
        return -errno;
    }
    for (;;) {
        ssize_t n = recv(fd, reply, sizeof reply, 0);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -errno;
        }
        size_t left = (size_t)n;
        for (struct nlmsghdr *h = (struct nlmsghdr *)(void *)reply; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
            if (h->nlmsg_type == NLMSG_ERROR) {
                return ((struct nlmsgerr *)NLMSG_DATA(h))->error;
            }
        }
    }
}

static void request_init(struct request *r, unsigned short type, unsigned short flags, const struct network_prefix *p)
{
    memset(r, 0, sizeof *r);
    r->head.nlmsg_len = NLMSG_LENGTH(sizeof r->route);
    r->head.nlmsg_type = type;
    r->head.nlmsg_flags = flags;
    r->route.rtm_family = (unsigned char)p->family;
    r->route.rtm_dst_len = (unsigned char)p->bits;
    r->route.rtm_table = RT_TABLE_MAIN;
    r->route.rtm_protocol = ROUTE_PROTOCOL;
    r->route.rtm_type = RTN_UNICAST;
    r->route.rtm_scope = RT_SCOPE_UNIVERSE;
    add_attribute(r, RTA_DST, p->bytes, address_bytes(p->family));
}

static int set_route(int fd, const struct network_via *v)
{
    struct request r;
    request_init(&r, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &v->prefix);
    add_attribute(&r, RTA_GATEWAY, v->gateway, address_bytes(v->prefix.family));
    return transact(fd, &r);
}

static int delete_route(int fd, const struct network_prefix *p)
{
    struct request r;
    request_init(&r, RTM_DELROUTE, 0, p);
    int rc = transact(fd, &r);
    return rc == -ESRCH ? 0 : rc;
}

static bool is_wanted(const struct network_prefix *p, const struct network_via *routes, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (memcmp(p, &routes[i].prefix, sizeof *p) == 0) {
            return true;
        }
    }
    return false;
}

/* Ours out of one message of a dump. */
static bool parse_own(const struct nlmsghdr *h, struct network_prefix *out)
{
    const struct rtmsg *m = NLMSG_DATA(h);
    memset(out, 0, sizeof *out);
    if (h->nlmsg_type != RTM_NEWROUTE || m->rtm_protocol != ROUTE_PROTOCOL || m->rtm_table != RT_TABLE_MAIN) {
        return false;
    }
    out->family = m->rtm_family;
    out->bits = m->rtm_dst_len;
    size_t left = RTM_PAYLOAD(h);
    for (struct rtattr *a = RTM_RTA(m); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
        if (a->rta_type == RTA_DST && RTA_PAYLOAD(a) <= sizeof out->bytes) {
            memcpy(out->bytes, RTA_DATA(a), RTA_PAYLOAD(a));
        }
    }
    return true;
}

/* Prefixes of all routes of ours; the list is malloc()ed. */
static int dump_own(int fd, int family, struct network_prefix **list, unsigned *count)
{
    struct {
        struct nlmsghdr head;
        struct rtmsg route;
    } r = {.head = {.nlmsg_len = sizeof r, .nlmsg_type = RTM_GETROUTE, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
           .route = {.rtm_family = (unsigned char)family}};
    if (send(fd, &r, sizeof r, 0) < 0) {
        return -errno;
    }
    uint8_t *reply = xmalloc(REPLY_BYTES);
    int rc = 0;
    for (bool more = true; more && rc == 0;) {
        ssize_t n = recv(fd, reply, REPLY_BYTES, 0);
        if (n < 0) {
            rc = errno == EINTR ? 0 : -errno;
            continue;
        }
        size_t left = (size_t)n;
        for (struct nlmsghdr *h = (struct nlmsghdr *)(void *)reply; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
            struct network_prefix p;
            if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR) {
                more = false;
            } else if (parse_own(h, &p)) {
                *list = xrealloc(*list, (*count + 1) * sizeof **list);
                (*list)[(*count)++] = p;
            }
        }
    }
    free(reply);
    return rc;
}

static void describe(const struct network_prefix *p, char out[64])
{
    char address[INET6_ADDRSTRLEN];
    inet_ntop(p->family, p->bytes, address, sizeof address);
    snprintf(out, 64, "%s/%u", address, p->bits);
}

int network_routes_apply(const struct network_via *routes, unsigned count, struct error *err)
{
    CLEANUP_CLOSE int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    struct network_prefix *own = NULL;
    unsigned own_count = 0;
    char text[64];
    int first = 0;
    if (fd < 0) {
        return error_set_errno(err, errno, "cannot open a netlink socket");
    }
    int rc = dump_own(fd, AF_INET, &own, &own_count);
    rc = rc != 0 ? rc : dump_own(fd, AF_INET6, &own, &own_count);
    if (rc != 0) {
        first = error_set_errno(err, -rc, "cannot list the routes");
    }
    for (unsigned i = 0; i < own_count; i++) {
        rc = is_wanted(&own[i], routes, count) ? 0 : delete_route(fd, &own[i]);
        if (rc != 0 && first == 0) {
            describe(&own[i], text);
            first = error_set_errno(err, -rc, "cannot remove the route to %s", text);
        }
    }
    free(own);
    for (unsigned i = 0; i < count; i++) {
        rc = set_route(fd, &routes[i]);
        if (rc != 0 && first == 0) {
            describe(&routes[i].prefix, text);
            first = error_set_errno(err, -rc, "cannot add the route to %s", text);
        }
    }
    return first;
}
