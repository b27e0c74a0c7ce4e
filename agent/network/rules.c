#include "agent/network/network_int.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

/* One table for all of it, deleted and made anew in one transaction: between two versions no packet sees half of one,
 * and what an earlier agent left is gone with the first.
 *
 *   at, any   host ports: by address, and for all addresses of the node -> the pod's address and port
 *   in, out   what comes from outside or from a pod, and what the node itself sends, if it is meant for an address of
 *             the node
 *   post      traffic to the node's own loopback address cannot come back from a pod, nor can a pod's to itself by a
 *             host port (`self`): both leave with the node's address. So does what leaves the cluster (not by the
 *             bridge plugin: that would hide pods from each other across nodes). Pods send all by way of the node, also
 *             to those on the same bridge (podlink.h), so that an answer is led back; those of an older agent answer
 *             directly (`bridged`), so what was led to them leaves with the node's address as well
 *   quiet     the kernel's advice to send directly: it would be followed
 *   closed    what pods may not connect to (the masters), here and on other machines: refused at once
 *   ask       questions to the node's name server, and its answers, are not noted (network_set_names)
 *   guard     the bridge's route_localnet, needed for 127.0.0.1:PORT, opens the node's loopback addresses to pods: it
 *             is closed again here
 *
 * Beside it there is a table that stays, with what must not be forgotten: how many connections each pod has
 * (network_flows_write). */

static bool same_port(const struct network_owner_port *a, const struct network_owner_port *b)
{
    return a->host_port == b->host_port && strcmp(a->protocol, b->protocol) == 0 && strcmp(a->host_ip, b->host_ip) == 0;
}

static bool leads(const struct network_owner *w)
{
    return !w->leaving && w->ip[0] != '\0';
}

/* Of two owners of one port the first has it. */
static bool is_first(const struct list *owners, const struct network_owner_port *port)
{
    LIST_FOR(it, owners)
    {
        const struct network_owner *w = LIST_ENTRY(it, struct network_owner, link);
        for (unsigned i = 0; leads(w) && i < w->ports_count; i++) {
            if (same_port(&w->ports[i], port)) {
                return &w->ports[i] == port;
            }
        }
    }
    return false;
}

static void write_map(struct buf *out, const struct list *owners, bool by_address)
{
    bool any = false;
    buf_printf(out, " map %s {\n  type %sinet_proto . inet_service : ipv4_addr . inet_service\n",
               by_address ? "at" : "any", by_address ? "ipv4_addr . " : "");
    LIST_FOR(it, owners)
    {
        const struct network_owner *w = LIST_ENTRY(it, struct network_owner, link);
        for (unsigned i = 0; leads(w) && i < w->ports_count; i++) {
            const struct network_owner_port *p = &w->ports[i];
            if ((p->host_ip[0] != '\0') != by_address || !is_first(owners, p)) {
                continue;
            }
            buf_puts(out, any ? ",\n   " : "  elements = {\n   ");
            buf_printf(out, "%s%s%s . %u : %s . %u", p->host_ip, by_address ? " . " : "", p->protocol, p->host_port,
                       w->ip, p->container_port);
            any = true;
        }
    }
    buf_puts(out, any ? "\n  }\n }\n" : " }\n");
}

/* Those that have come to themselves, and those that answer directly. */
static void write_peers(struct buf *out, const struct list *owners, bool self)
{
    bool any = false;
    buf_printf(out, " set %s {\n  type ipv4_addr%s\n", self ? "self" : "bridged", self ? " . ipv4_addr" : "");
    LIST_FOR(it, owners)
    {
        const struct network_owner *w = LIST_ENTRY(it, struct network_owner, link);
        if (!leads(w) || (self ? w->ports_count == 0 : w->routed)) {
            continue;
        }
        buf_puts(out, any ? ", " : "  elements = { ");
        buf_puts(out, w->ip);
        if (self) {
            buf_printf(out, " . %s", w->ip);
        }
        any = true;
    }
    buf_puts(out, any ? " }\n }\n" : " }\n");
}

/* One that can be bound to is an address of this node. */
static bool is_local(const char *ip)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    CLEANUP_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return fd >= 0 && inet_pton(AF_INET, ip, &at.sin_addr) == 1 &&
           bind(fd, (const struct sockaddr *)(const void *)&at, sizeof at) == 0;
}

static void write_closed_list(struct buf *out, const struct network_rules *r, const char *which, const char *how)
{
    buf_printf(out, "  iifname \"%s\"%s ip daddr . tcp dport {", r->bridge, which);
    for (unsigned i = 0; i < r->closed_count; i++) {
        buf_printf(out, "%s %s . %u", i > 0 ? "," : "", r->closed[i].ip, r->closed[i].port);
    }
    buf_printf(out, " } %s\n", how);
}

/* Who was led there by a Service is told by ICMP: of what comes from a bridge, the kernel's resets are not translated
 * back (nf_send_reset, with br_netfilter). */
static void write_closed(struct buf *out, const struct network_rules *r, const char *name, bool here)
{
    buf_printf(out, " chain %s {\n  type filter hook %s priority -10;\n", name, here ? "input" : "forward");
    write_closed_list(out, r, " ct status dnat", "reject");
    write_closed_list(out, r, "", "reject with tcp reset");
    for (unsigned i = 0; here && i < r->closed_count; i++) {
        if (is_local(r->closed[i].ip)) {
            buf_printf(out, "  iifname \"%s\" tcp dport %u reject with tcp reset\n", r->bridge, r->closed[i].port);
        }
    }
    buf_puts(out, " }\n");
}

static void write_names(struct buf *out, const char *ip)
{
    if (ip != NULL && ip[0] != '\0') {
        buf_printf(out,
                   " chain ask {\n  type filter hook prerouting priority -300;\n"
                   "  ip daddr %s meta l4proto { tcp, udp } th dport 53 notrack\n }\n"
                   " chain ask-here {\n  type filter hook output priority -300;\n"
                   "  ip daddr %s meta l4proto { tcp, udp } th dport 53 notrack\n"
                   "  ip saddr %s meta l4proto { tcp, udp } th sport 53 notrack\n }\n",
                   ip, ip, ip);
    }
}

void network_rules_write(struct buf *out, const struct network_rules *r)
{
    buf_puts(out, "table ip reeve-pods\ndelete table ip reeve-pods\ntable ip reeve-pods {\n");
    write_map(out, r->owners, true);
    write_map(out, r->owners, false);
    write_peers(out, r->owners, true);
    write_peers(out, r->owners, false);
    buf_puts(out, " chain lead {\n"
                  "  dnat ip to ip daddr . meta l4proto . th dport map @at\n"
                  "  dnat ip to meta l4proto . th dport map @any\n"
                  " }\n"
                  " chain in {\n  type nat hook prerouting priority -100;\n  fib daddr type local goto lead\n }\n"
                  " chain out {\n  type nat hook output priority -100;\n  fib daddr type local goto lead\n }\n"
                  " chain post {\n  type nat hook postrouting priority 100;\n");
    buf_printf(out, "  ct status dnat ip saddr 127.0.0.0/8 oifname \"%s\" masquerade\n", r->bridge);
    buf_puts(out, "  ct status dnat ip saddr . ip daddr @self masquerade\n");
    buf_printf(out, "  ct status dnat ip saddr %s ip daddr @bridged masquerade\n", r->pod_cidr);
    if (r->cluster_cidr != NULL) {
        buf_printf(out, "  ip saddr %s ip daddr != %s masquerade\n", r->pod_cidr, r->cluster_cidr);
    }
    buf_puts(out, " }\n");
    if (r->closed_count > 0) {
        write_closed(out, r, "closed", false);
        write_closed(out, r, "closed-here", true);
    }
    write_names(out, r->names);
    buf_printf(out,
               " chain quiet {\n  type filter hook output priority 0;\n"
               "  oifname \"%s\" icmp type redirect drop\n }\n"
               " chain guard {\n  type filter hook prerouting priority -300;\n"
               "  iifname \"%s\" ip daddr 127.0.0.0/8 drop\n }\n}\n",
               r->bridge, r->bridge);
}
