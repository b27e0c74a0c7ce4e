/* The names of the cluster: what a name of the zone stands for, from the Services and EndpointSlices that the node has
 * been told. Pure.
 *
 * Schema: Kubernetes' DNS-Based Service Discovery 1.1.0 (github.com/kubernetes/dns, docs/specification.md), IPv4.
 * `Z` is the domain of the cluster:
 *
 *   SERVICE.NS.svc.Z                A: the cluster IP; headless: each ready endpoint; ExternalName: CNAME
 *   _PORT._PROTOCOL.SERVICE.NS.svc.Z   SRV: the service; headless: each ready endpoint
 *   HOST.SERVICE.NS.svc.Z           A: the endpoint with this hostname; without one its address with dashes is its name
 *   A-B-C-D.NS.pod.Z                A: that address, if a pod of NS has it, as far as the node can know (zone_pod_of)
 *   D.C.B.A.in-addr.arpa            PTR: of a cluster IP, of an endpoint with a hostname
 *   dns-version.Z                   TXT
 *
 * A name that exists without records of the type asked for is ZONE_NO_DATA, not ZONE_NO_NAME: resolvers stop looking
 * at the first and go on in their search list at the second. What lies between names (NS.svc.Z) exists. A headless
 * service without ready endpoints does not. */
#ifndef AGENT_DNS_ZONE_H
#define AGENT_DNS_ZONE_H

#include "agent/service/known.h"
#include "base/mem.h"

#define ZONE_TTL_S       5u
#define ZONE_LABELS_MAX  128u  /* of any name: 255 bytes */
#define ZONE_RECORDS_MAX 2048u /* of one answer; further endpoints are left out */
#define ZONE_RANGES_MAX  8u
#define ZONE_ALIASES_MAX 8u /* ExternalNames that lead to one another */

enum zone_type { ZONE_A = 1, ZONE_NS = 2, ZONE_CNAME = 5, ZONE_SOA = 6, ZONE_PTR = 12, ZONE_TXT = 16, ZONE_SRV = 33 };
#define ZONE_ANY 255u

/* Who has an address. ZONE_POD_MAYBE: of another node's pods none is known by name. */
enum zone_pod { ZONE_POD_NONE, ZONE_POD_MAYBE, ZONE_POD_THERE };
typedef enum zone_pod zone_pod_of(uint32_t ip, struct str ns, void *data);

struct zone {
    const struct known *known; /* borrowed */
    struct str domain;         /* borrowed: "cluster.local", lower case */
    uint32_t server;           /* address of the name server itself, answered for ns.dns.Z; 0 = none */
    /* Addresses whose reverse names are ours: services' and pods'. */
    struct cidr services, pods;
    zone_pod_of *pod_of; /* NULL: no pod is known, each address of the range may be one's */
    void *pod_data;
};

enum zone_result {
    ZONE_ELSEWHERE, /* no name of the zone */
    ZONE_UNKNOWN,   /* the node has not been told yet what there is */
    ZONE_NO_NAME,
    ZONE_NO_DATA,
    ZONE_FOUND,
    ZONE_ALIAS /* records lead to `elsewhere`, which is no name of the zone: whoever asked wants its records, too */
};
struct zone_record {
    struct zone_record *next;
    struct str owner; /* "web.default.svc.cluster.local"; empty: the name that was asked */
    struct str text;  /* CNAME, PTR, NS, SRV: a name; TXT */
    uint32_t ip;      /* A */
    uint16_t type, weight, port;
    bool additional;
};
struct zone_answer {
    enum zone_result result;
    struct zone_record *records; /* in their order; from the arena */
    struct zone_record **end;
    unsigned count;
    struct str elsewhere;
};

/* labels: of the name, the first one first, without the root's, in lower case; they may hold any bytes. dice: any
 * number, which shuffles the endpoints. */
void zone_ask(const struct zone *z, const struct str *labels, unsigned count, unsigned type, uint64_t dice,
              struct arena *a, struct zone_answer *out);

#endif
