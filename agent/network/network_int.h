/* Inside of the pod network. The node's side is network.c, one pod's job.c: its address leases.c, its link podlink.c.
 * Who holds what is owner.c, the nftables rules rules.c, the bound of a pod's connections flows.c. Ways to other nodes'
 * pods are network_peers.c and overlay.h, the kernel's memory of connections conntrack.c, connections into pods
 * connect.c. */
#ifndef AGENT_NETWORK_NETWORK_INT_H
#define AGENT_NETWORK_NETWORK_INT_H

#include "agent/network/network.h"
#include "agent/util/aside.h"
#include "base/buf.h"
#include "base/list.h"

#include <netinet/in.h>

/* ---- Who holds an address or a port of the node ---- */

/* One pod that has, or may have, something in the kernel or among the leases. It is noted in a file before the first of
 * it is made and forgotten after the last of it is gone: what a crash leaves behind is known at the next start. */
struct network_owner_port {
    uint16_t host_port, container_port;
    const char *protocol;          /* literal: "tcp", "udp", "sctp" */
    char host_ip[INET_ADDRSTRLEN]; /* "" = all addresses of the node */
};
struct network_owner {
    struct list link;
    char uid[64];
    char ip[64];      /* "" = being added, or it is not known how far that came */
    bool leaving;     /* no rule leads to it any more */
    bool routed;      /* it sends all by way of the node; one of an older agent answers its neighbours directly */
    uint64_t dropped; /* of its connections, as last told */
    struct network_owner_port *ports;
    unsigned ports_count;
};
/* Owners in the order in which they came: of two that want one port the first has it. */
struct network_owners {
    struct list list;
    char *dir, *leases; /* DIR/results, DIR/leases/NAME */
};
/* Reads what is there: the notes, and leases without a note. */
int network_owners_open(struct network_owners *o, const char *dir, const char *network, struct error *err);
void network_owners_close(struct network_owners *o);
struct network_owner *network_owners_find(const struct network_owners *o, const char *uid); /* NULL if none */
/* A new owner without an address, noted. NULL with the error. */
struct network_owner *network_owners_add(struct network_owners *o, const char *uid, const struct network_port *ports,
                                         unsigned count, struct error *err);
int network_owners_keep(const struct network_owners *o, const struct network_owner *w, struct error *err);
void network_owners_forget(struct network_owner *take, const struct network_owners *o);

/* Pure: all of the agent's nftables rules as one transaction that replaces the former ones. Pods keep their address
 * among themselves and leave the cluster with the node's; host ports lead into pods. */
struct network_rules {
    const char *bridge, *pod_cidr;
    const char *cluster_cidr; /* NULL = no masquerade of what leaves the cluster */
    const struct list *owners;
    const struct network_closed *closed; /* network_set_closed */
    unsigned closed_count;
    const char *names; /* network_set_names; NULL or "": none */
};
void network_rules_write(struct buf *out, const struct network_rules *r);
/* Pure: a table of its own, which is only ever added to, so that it goes on counting: of one pod (by address) so many
 * connections at most are begun; further ones are dropped before the kernel notes them, and counted by address in the
 * set `full`. connections -1: the table goes. */
void network_flows_write(struct buf *out, const char *bridge, int64_t connections);
#define NETWORK_FLOWS_ARGV                                                                                             \
    {                                                                                                                  \
        "nft", "-n", "list", "set", "ip", "reeve-flows", "full", NULL                                                  \
    }
/* Pure: the next address of what nft says of that set, and its packets that were dropped; *text goes on behind it.
 * False at the end. */
bool network_flows_next(struct str *text, char ip[INET_ADDRSTRLEN], uint64_t *packets);

/* ---- The network itself ---- */

#define NETWORK_NAME "reeve" /* leases are in a directory of that name */

struct network {
    uv_loop_t *loop;
    const struct log *log;
    struct aside *aside; /* links are made there; NULL: hollow */
    char *dir, *bridge, *cluster_cidr;
    char pod_cidr[64];
    unsigned mtu;
    bool hollow, closing;
    uint32_t hollow_next;
    struct list waiting; /* ADDs before the pod CIDR is known */
    struct network_owners owners;
    struct network_closed closed[NETWORK_CLOSED_MAX];
    unsigned closed_count;
    char names[INET_ADDRSTRLEN];            /* of the name server; "" = none */
    struct list rules_waiting, rules_batch; /* jobs whose change is not in the kernel yet; ... is being written */
    bool rules_dirty, rules_running;
    int64_t connections;         /* of one pod; -1: no bound */
    struct network_peers *peers; /* NULL: hollow */
    struct network_watch *watch; /* NULL: hollow */
    network_full_cb *full_cb;    /* NULL: the kernel is not being asked */
    void *full_data;
    unsigned holders;
    void (*close_cb)(void *data);
    void *close_data;
};

/* ---- job.c ---- */

void network_release(struct network *n); /* gives back one of n->holders; the last one frees */

/* Writes the rules if they have changed or a job waits for them. Repeatable: the text says what the whole shall be. */
void network_rules_run(struct network *n);
void network_jobs_go(struct network *n);     /* those that waited for the pod CIDR */
void network_jobs_cancel(struct network *n); /* those that still wait; ERR_CANCELED */

bool network_is_asking(const struct network *n); /* network_check_flows has no answer yet */

/* UDP has no end of a connection: the kernel goes on sending a known peer's packets where it sent them before. Makes it
 * forget the peers of these host ports. Blocking, short. */
int network_conntrack_forget(const struct network_owner_port *ports, unsigned count, struct error *err);

/* ---- network.c ---- */

void network_flows_run(struct network *n); /* writes the bound of a pod's connections */

/* ---- network_watch.c ---- */

int network_watch_open(struct network *n, struct error *err); /* holds n until it is closed */
void network_watch_close(struct network *n);
void network_watch_want(struct network *n, const char *table, bool wanted); /* before it is written so */
void network_watch_free(struct network *n);

/* ---- network_peers.c ---- */

void network_peers_mend_rules(struct network *n);

int network_peers_open(struct network *n, const char *node_ip, struct error *err); /* holds n until it is closed */
void network_peers_close(struct network *n);
void network_peers_free(struct network *n);
void network_peers_changed(struct network *n);
unsigned network_pods_mtu(const struct network *n); /* of pods that are added; 0 = the plugin's choice */

#endif
