/* The name server of a node: what the zone has (zone.h) is answered at once, from memory; other names are asked of the
 * node's own name servers (forward.h). UDP and TCP, RFC 1035, 6891, 7766.
 *
 * It serves the node and its pods: others are refused. Bounds: DNS_CONNECTIONS_MAX connections, of one address
 * DNS_CONNECTIONS_EACH; one that is idle for DNS_IDLE_MS is closed, and one that does not read what it asked for as
 * well; DNS_PIPELINE_MAX questions of one connection may wait for other servers. Loop thread only. */
#ifndef AGENT_DNS_SERVER_H
#define AGENT_DNS_SERVER_H

#include "agent/dns/forward.h"
#include "agent/dns/zone.h"
#include "base/err.h"

#define DNS_CONNECTIONS_MAX  256u
#define DNS_CONNECTIONS_EACH 32u
#define DNS_PIPELINE_MAX     32u
#define DNS_IDLE_MS          10000
#define DNS_UNREAD_MAX       (256u << 10) /* bytes of answers that a connection has not read */

struct dns_server;
/* known is borrowed until dns_server_close. */
struct dns_server *dns_server_new(uv_loop_t *loop, const struct env *env, const struct log *log,
                                  const struct known *known);
/* Addresses of the node are served as its pods are; domain is copied. */
void dns_server_set_zone(struct dns_server *s, struct str domain, struct cidr services, struct cidr pods);
/* Whom names of pods are asked of; before that each address of their range may be one's. */
void dns_server_set_pods(struct dns_server *s, zone_pod_of *pod_of, void *data);
void dns_server_set_node(struct dns_server *s, uint32_t ip);
/* Serves at this address (in the machine's byte order), which the node must have; 0: any port, for tests. Instead of
 * the former one, which is kept if this fails. */
int dns_server_listen(struct dns_server *s, uint32_t ip, uint16_t port, struct error *err);
uint16_t dns_server_port(const struct dns_server *s); /* 0: it does not serve */
struct dns_forward *dns_server_forward(struct dns_server *s);
/* cb when all is closed; then it is freed. */
void dns_server_close(struct dns_server *s, void (*cb)(void *data), void *data);

struct dns_server_stats {
    uint64_t questions, refused, malformed;
    unsigned connections, waiting; /* for other servers */
};
void dns_server_get_stats(const struct dns_server *s, struct dns_server_stats *out);

#endif
