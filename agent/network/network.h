/* The pod network of a node: addresses and links of pods on a bridge, nftables rules for host ports and for what leaves
 * the cluster, routes to the other nodes' pods, connections into pods.
 *
 * Addresses are leases in a directory (leases.h), links are made by netlink (podlink.h). The rules are one nftables
 * table, always written as a whole, and mended when others break it. Guarantee: who holds an address or a port is
 * noted before anything is made and until the last of it is gone; network_next tells all of them after a restart,
 * however the former agent ended. Loop thread only; callbacks never run inside the call that registered them. */
#ifndef AGENT_NETWORK_NETWORK_H
#define AGENT_NETWORK_NETWORK_H

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h" /* before uv.h: MIN and MAX */
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#define NETWORK_PLUGIN_MS  60000 /* far beyond what a machine that stands still for seconds needs */
#define NETWORK_CONNECT_MS 5000
#define NETWORK_PORTS_MAX  64u

struct network_config {
    const char *dir;    /* own state: leases, who holds what */
    const char *bridge; /* NULL = "reeve0"; shorter than a name of a link may be */
    const char
        *pod_cidr; /* "10.244.3.0/24"; NULL or "": the one of last time, or not known yet; see network_set_pod_cidr */
    /* of all pods: traffic from pods that leaves it is masqueraded by the node; NULL = no masquerade */
    const char *cluster_cidr;
    unsigned mtu;        /* of pods; 0 = what the ways to other nodes allow, as usual if they allow that */
    const char *node_ip; /* the address by which other nodes know this one; NULL = any of its links' */
    /* How many connections of the node's table (nf_conntrack) one pod may have begun; 0 = a share of it, -1 = no
     * limit. */
    int64_t pod_connections;
    const struct log *log;
};
struct network;
int network_new(uv_loop_t *loop, const struct network_config *c, struct network **out, struct error *err);
/* Addresses by counting through the pod CIDR; no kernel objects. */
struct network *network_hollow_new(uv_loop_t *loop, const char *pod_cidr);
/* Waits for running plugins. Interfaces and routes stay. */
void network_close(struct network *n, void (*cb)(void *data), void *data);

/* What pod_connections 0 stands for on a machine whose table has so many places: a 32nd, at least
 * NETWORK_CONNECTIONS_MIN. */
#define NETWORK_CONNECTIONS_SHARE 32
#define NETWORK_CONNECTIONS_MIN   1024
int64_t network_connections_share(int64_t places);
/* Asks the kernel which pods were refused further connections since the last question, because they had begun as many
 * as they may. Later cb comes for each: `dropped` packets since the pod was last quiet for some minutes, and the bound.
 * Does nothing if there is no bound, no pod, or the former question is still under way. */
typedef void network_full_cb(const char *uid, uint64_t dropped, int64_t most, void *data);
void network_check_flows(struct network *n, network_full_cb *cb, void *data);

/* The master gives the node its range. ERR_CONFLICT if another one is in use by pods. Before it is set network_add
 * waits. */
int network_set_pod_cidr(struct network *n, const char *pod_cidr, struct error *err);
const char *network_pod_cidr(const struct network *n); /* "" if not set */

struct network_port {
    uint16_t host_port, container_port;
    const char *protocol; /* "tcp", "udp", "sctp" */
    const char *host_ip;  /* NULL or "" = all */
};
struct network_pod {
    const char *uid, *name, *ns;
    const char *netns; /* path of the namespace file */
    const char *wish;  /* the address that it had, which it gets again if nobody else has it; NULL or "": any */
    const struct network_port *ports;
    unsigned ports_count;
};
/* error NULL: ip is the pod's address (no prefix length), borrowed for the call. */
typedef void network_add_cb(const char *ip, const struct error *error, void *data);
void network_add(struct network *n, const struct network_pod *pod, network_add_cb *cb, void *data);
/* For pods that were added, or half added, or never. Only uid and netns are needed. */
typedef void network_done_cb(const struct error *error, void *data);
void network_del(struct network *n, const char *uid, const char *netns, network_done_cb *cb, void *data);
/* uids of all that hold something here, also from before a restart; each call gives one, starting with *cursor = 0;
 * false at the end. */
bool network_next(struct network *n, unsigned *cursor, char uid[64]);

/* Addresses of all pods of the cluster, in place of cluster_cidr; the rules follow. What is no range of IPv4 is
 * passed over. */
void network_set_cluster_cidr(struct network *n, struct str cidr);
/* All other nodes' ranges; the list is copied. Ways to them are made in the kernel, for each node over the link that
 * both are on or through the tunnel (overlay.h); those that were made before and are not in the list any more are
 * removed. From then on they are kept so: what others break is mended, and each choice follows the machine's addresses
 * and links. What fails is logged and tried again. ERR_INVALID for a malformed entry (the rest is done). */
struct network_route {
    const char *pod_cidr;
    const char *node_ip;
};
int network_set_routes(struct network *n, const struct network_route *routes, unsigned count, struct error *err);
/* The node's address is another one than at the start. Ways to other nodes and rules follow. */
void network_set_node(struct network *n, const char *node_ip);
/* How the cluster wants it: mode "auto", "host-gw", "vxlan", and VXLAN's number and port. What makes no sense is as the
 * default says: auto, OVERLAY_ID, OVERLAY_PORT. */
void network_set_overlay(struct network *n, struct str mode, int64_t id, int64_t port);
/* All of it is looked at again, as now and then is good where nobody tells of a change. */
void network_check_peers(struct network *n);

/* Addresses that pods may not connect to: the masters'. Connections of the node itself, and of pods on its network, are
 * not touched. If one of them is an address of this node, its port is closed on all the node's addresses. Copied;
 * written to the kernel once the pod CIDR is known. */
#define NETWORK_CLOSED_MAX 64u
struct network_closed {
    char ip[16]; /* IPv4 */
    uint16_t port;
};
void network_set_closed(struct network *n, const struct network_closed *closed, unsigned count);

/* What somebody else deletes of the rules (`nft flush ruleset`, a firewall that is reloaded) is heard of and made again
 * at once; after NETWORK_MENDS_AT_ONCE times once a second. While much is written into other tables the kernel is not
 * asked to tell: pause, and afterwards all is written anew. */
#define NETWORK_MENDS_AT_ONCE 20u
void network_pause_watch(struct network *n, bool pause);

/* The node's name server (IPv4): its packets are not noted in the table of connections, where the two questions that a
 * resolver sends at once would get into each other's way, and each question would take a place. */
void network_set_names(struct network *n, const char *ip);

/* TCP connection to address:port from inside a namespace (netns "" or NULL = the node's own; address NULL = 127.0.0.1).
 * The socket is non-blocking and goes to the callee; -1 with the error (ERR_TIMEOUT, ERR_SYSTEM "connection
 * refused"). */
typedef void network_connect_cb(int fd, const struct error *error, void *data);
void network_connect(uv_loop_t *loop, const char *netns, const char *address, uint16_t port, int64_t timeout_ms,
                     network_connect_cb *cb, void *data);

#endif
