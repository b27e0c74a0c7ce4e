/* What the kernel's table of services should hold and what it holds: elements of a fixed number of sets. Pure.
 *
 * Chains, rules and sets (skeleton.h) are the same whatever services there are; a service is elements. A front is where
 * connections arrive: address . protocol . port of a cluster IP, of a node port at each of the node's addresses, of an
 * external IP or of a balancer's address.
 *
 *   ports      front -> info                     what is done there (enum service_info)
 *   outside    front -> info                     the same for those who are no pod and not the node, where that differs
 *   endpoints  front . place -> address . port   places are drawn; or it is the number of an endpoint that a client
 *                                                is to come back to
 *   members    address . port -> number          of endpoints that clients come back to
 *   sources    front . first, last               who may use a balancer's address
 *   hairpin    address . address                 an endpoint here that has come to itself
 *   addresses  address                           cluster IPs: other ports of them are refused
 *
 * Changes leave as a queue: first what ports need, then ports, then what they need no more. Invariant: after each
 * prefix of it, for every number of places in an info so many are in `endpoints`. So it may be cut into transactions
 * anywhere. Two ports that want one front: the one with the smaller key has it, the other gets it when that is gone. */
#ifndef AGENT_SERVICE_TABLE_H
#define AGENT_SERVICE_TABLE_H

#include "agent/service/change.h"
#include "agent/service/port.h"

#include <stddef.h>

#define SERVICE_SETS(X)                                                                                                \
    /* name, key bytes, data bytes, ranges */                                                                          \
    X(PORTS, "ports", 12, 4, false)                                                                                    \
    X(OUTSIDE, "outside", 12, 4, false)                                                                                \
    X(ENDPOINTS, "endpoints", 16, 8, false)                                                                            \
    X(MEMBERS, "members", 8, 4, false)                                                                                 \
    X(SOURCES, "sources", 20, 0, true) /* 16 for the first, and the last address */                                    \
    X(HAIRPIN, "hairpin", 8, 0, false)                                                                                 \
    X(ADDRESSES, "addresses", 4, 0, false)
enum service_set {
#define X(id, name, key, data, ranges) SERVICE_SET_##id,
    SERVICE_SETS(X)
#undef X
        SERVICE_SETS_COUNT
};
#define SERVICE_FRONT_BYTES 12
#define SERVICE_KEY_BYTES   NFT_KEY_BYTES
#define SERVICE_DATA_BYTES  NFT_DATA_BYTES
extern const struct nft_set_kind service_sets[SERVICE_SETS_COUNT];

/* A number in the machine's byte order. */
enum service_info {
    SERVICE_PLACES = 0xffff,
    SERVICE_LOCAL = 1 << 16,  /* the places of endpoints on this node */
    SERVICE_REFUSE = 1 << 20, /* nobody is there: the client hears so at once */
    SERVICE_DROP = 1 << 21,   /* somebody is there, but not here, and only those here count */
    SERVICE_MASK = 1 << 22,   /* leaves with the node's address */
    SERVICE_LIMIT = 1 << 23,  /* `sources` says who may */
    SERVICE_STEP = 0x1f << 24 /* of affinity: SERVICE_AFFINITY_STEPS, from 1; 0 = none */
};
#define SERVICE_STEP_SHIFT  24
#define SERVICE_LOCAL_PLACE 0x40000000u /* the first place of the endpoints on this node */
#define SERVICE_MEMBER      0x80000000u /* in numbers of endpoints that clients come back to */
/* Places are drawn from so many: one each up to SERVICE_PLACES_EXACT endpoints; for more of them, the smallest of
 * service_places that has eight for each at least, dealt in turn: then some are drawn an eighth more often. */
#define SERVICE_PLACES_EXACT 64u
#define SERVICE_PLACES_LARGE                                                                                           \
    {                                                                                                                  \
        1024, 8192, 32768                                                                                              \
    }
unsigned service_places(unsigned endpoints);
/* Seconds that affinity can last; what lies between lasts until the next. */
#define SERVICE_AFFINITY_STEPS                                                                                         \
    {                                                                                                                  \
        1, 2, 3, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 450, 600, 900, 1200, 1800, 2700, 3600, 5400, 7200,      \
            10800, 14400, 21600, 28800, 43200, 64800, 86400                                                            \
    }
#define SERVICE_AFFINITY_STEPS_COUNT 30u

struct service_table;
struct service_table *service_table_new(void);
void service_table_free(struct service_table *t);

/* Where node ports are: addresses of this node (not 127.0.0.0/8). All ports follow. */
#define SERVICE_NODE_ADDRESSES_MAX 4u
void service_table_set_addresses(struct service_table *t, const uint32_t *ips, unsigned count);
void service_table_put(struct service_table *t,
                       const struct service_port *p);                /* copied; new, or instead of the former */
void service_table_remove(struct service_table *t, const char *key); /* may be unknown */
size_t service_table_count(const struct service_table *t);
size_t service_table_elements(const struct service_table *t); /* wanted ones */
size_t service_table_waiting(const struct service_table *t);  /* changes that service_table_next would tell */

/* The next changes, at most max; 0 = all is as it should be. Asked again before service_table_done it tells the same.
 * Borrowed until the next call of another function. */
unsigned service_table_next(const struct service_table *t, struct nft_change *out, unsigned max);
void service_table_done(struct service_table *t, unsigned count); /* so many of them are in the kernel now */

/* The kernel does not take the first of them: it is left out until something else is wanted there, or until
 * service_table_retry. One that should have gone counts as gone. Returns whose it is ("NAMESPACE/NAME:PORT"), borrowed;
 * NULL: nobody's any more. */
const char *service_table_refuse(struct service_table *t);
size_t service_table_refused(const struct service_table *t); /* left out now */
void service_table_retry(struct service_table *t);           /* they are tried again */
/* "endpoints 10.96.0.7 tcp 80", as people read it: the set, and the front or address that its key begins with. */
#define SERVICE_CHANGE_TEXT 64u
void service_change_text(const struct nft_change *c, char out[SERVICE_CHANGE_TEXT]);

/* At most max elements that are in the kernel as they are wanted, from *cursor on, which goes on and begins again with
 * 0; all of them come in turn, each once, unless elements are added meanwhile. */
unsigned service_table_settled(const struct service_table *t, size_t *cursor, struct nft_change *out, unsigned max);

/* Is it an element that is wanted, or that is to go, or that was found? */
bool service_table_knows(const struct service_table *t, enum service_set set, const uint8_t *key);

/* The kernel has nothing: all that is wanted must be added. */
void service_table_forget(struct service_table *t);
/* After service_table_forget: this is there. What is not wanted will be removed, by service_table_next. */
void service_table_found(struct service_table *t, enum service_set set, const uint8_t *key, const uint8_t *data);

/* UDP has no end of a connection. True if the kernel's memory of one leads to nobody who serves: packets to ip:port are
 * answered from reply_ip:reply_port. Ports that are gone are known until the next service_table_flows_swept but one:
 * what was listed before one of them can be judged after it. */
bool service_table_flow_is_stale(const struct service_table *t, uint32_t ip, uint16_t port, uint32_t reply_ip,
                                 uint16_t reply_port);
/* Something of UDP has changed since the last service_table_flows_swept; there is UDP at all. */
bool service_table_flows_changed(const struct service_table *t);
bool service_table_has_flows(const struct service_table *t);
/* Where connections of UDP arrive, or did since then, in no order; malloc()ed. Returns how many. */
struct service_front {
    uint32_t ip;
    uint16_t port;
};
size_t service_table_flow_fronts(const struct service_table *t, struct service_front **out);
void service_table_flows_swept(struct service_table *t);

#endif
