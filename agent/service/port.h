/* What the node's dataplane is told: one struct a service port, with all of its endpoints.
 *
 * Whoever feeds it reads Services and EndpointSlices; here are addresses and numbers only. Addresses are IPv4, as
 * numbers in the machine's byte order. Semantics: https://kubernetes.io/docs/reference/networking/virtual-ips/. */
#ifndef AGENT_SERVICE_PORT_H
#define AGENT_SERVICE_PORT_H

#include "proto/facts/cidr.h"

#include <stdbool.h>
#include <stdint.h>

#define SERVICE_ENDPOINTS_MAX  4096u /* of one port; further ones get no traffic */
#define SERVICE_ADDRESSES_MAX  64u   /* of one kind of one port; further ones are left out */
#define SERVICE_AFFINITY_MAX_S 86400u

struct service_endpoint {
    uint32_t ip;
    uint16_t port;
    bool ready;       /* and not terminating, or not asked for (publishNotReadyAddresses) */
    bool serving;     /* ready, whether it terminates or not */
    bool terminating; /* its deletion has been asked for */
    bool local;       /* on this node */
};

struct service_port {
    const char *key;     /* "NAMESPACE/NAME:PORT": unique, the same after a restart */
    uint8_t protocol;    /* IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP */
    uint32_t cluster_ip; /* 0 = none (headless, ExternalName): nothing is done */
    uint16_t port;
    uint16_t node_port; /* 0 = none */
    const uint32_t *external_ips;
    unsigned external_ips_count;
    const uint32_t *balancers; /* status.loadBalancer.ingress[].ip */
    unsigned balancers_count;
    const struct cidr *sources; /* loadBalancerSourceRanges; none: everybody */
    unsigned sources_count;
    uint32_t affinity_s; /* of sessionAffinity ClientIP; 0 = none */
    bool internal_local; /* internalTrafficPolicy: Local */
    bool external_local; /* externalTrafficPolicy: Local */
    const struct service_endpoint *endpoints;
    unsigned endpoints_count;
};

/* Pure. The endpoints that new connections go to, sorted by address and port, each once: those that are ready, or if
 * there is none, those that serve although they terminate. out has room for SERVICE_ENDPOINTS_MAX. Returns how many. */
unsigned service_choose(const struct service_port *p, bool local_only, struct service_endpoint *out);

/* Nobody is equal to NULL. */
bool service_port_equal(const struct service_port *a, const struct service_port *b);
/* A copy of its own, in one piece: free(). */
struct service_port *service_port_copy(const struct service_port *p);

#endif
