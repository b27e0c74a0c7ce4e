/* Who may hold how many connections: the places of a server, by class of the peer, so that one class that is full, or
 * one peer that wants all, is in nobody else's way.
 *
 * A connection takes a place as a handshake when it is accepted; the finished handshake says which class it belongs to,
 * and it moves there or is refused. Nobody can take the places of another class: those of masters, of nodes and of
 * administrators are thereby kept for them, and what the descriptors of the process allow beyond all of them is kept
 * for the disk.
 *
 * Within a class: strangers (no certificate) and unfinished handshakes are counted by network, which is one IPv4
 * address or the 64 bits of an IPv6 network; who has a certificate by its name. One gate may serve several
 * listeners. Pure: no clock, no socket. Loop thread only. */
#ifndef PROTO_NET_GATE_H
#define PROTO_NET_GATE_H

#include <sys/socket.h>

#include "base/err.h"
#include "base/list.h"
#include "proto/pki/pki.h"

/* name, its word for people */
#define NET_CLASS_LIST(X)                                                                                              \
    X(HANDSHAKE, "unfinished TLS handshakes")                                                                          \
    X(STRANGER, "peers without a certificate")                                                                         \
    X(NODE, "nodes")                                                                                                   \
    X(ADMIN, "administrators")                                                                                         \
    X(USER, "other users")                                                                                             \
    X(MASTER, "masters")
enum net_class {
#define X(name, word) NET_CLASS_##name,
    NET_CLASS_LIST(X)
#undef X
        NET_CLASSES
};

#define NET_GATE_DESCRIPTORS_LEAST 192u    /* with fewer there is no sensible share */
#define NET_GATE_CONNS_MAX         262144u /* of all classes, whatever the descriptors allow */
#define NET_GATE_USERS_MAX         2048u   /* of them for users, and half as many for administrators */
#define NET_GATE_WAIT_MS           200     /* a crowd that comes at once waits so long for handshakes to be finished */
#define NET_GATE_PATIENCE_MS       1000    /* a handshake may be cut for a newcomer's sake when it is older */

struct net_gate_config {
    unsigned max[NET_CLASSES];  /* places of each class */
    unsigned each[NET_CLASSES]; /* of them for one network (HANDSHAKE, STRANGER) or one certificate's name */
    unsigned total;             /* of all classes */
};
struct net_gate_stats {
    unsigned open[NET_CLASSES];    /* places taken now */
    uint64_t refused[NET_CLASSES]; /* for want of a place, of the class or of the peer's share in it */
    uint64_t cut;                  /* handshakes that were ended for newcomers */
    uint64_t no_descriptor;        /* connections that could not be accepted for want of one */
};

struct net_gate;
struct net_party;
/* Part of the connection that has the place; zeroed before net_gate_enter and after net_gate_leave. */
struct net_place {
    struct net_gate *gate; /* NULL: has none */
    enum net_class class;
    struct net_party *network, *name; /* whom it is counted on */
    struct list link;                 /* of handshakes, the oldest first */
    int64_t since_ms;
    bool refused; /* and only here until it has been told */
};

/* The shares of a server whose process may have so many descriptors (at least NET_GATE_DESCRIPTORS_LEAST): what is left
 * over is for everything that is no accepted connection. With many descriptors only the places of nodes go on growing:
 * each has a certificate, and few places by its name. */
void net_gate_share(unsigned descriptors, struct net_gate_config *out);
/* No distinction between peers: places for `total` connections. */
void net_gate_plain(unsigned total, struct net_gate_config *out);
struct net_gate *net_gate_new(const struct net_gate_config *config);
struct net_gate *net_gate_ref(struct net_gate *g);
void net_gate_unref(struct net_gate *g);

/* A handshake begins. NET_GATE_FULL: no place now, look at net_gate_victim and try again, or wait; NET_GATE_REFUSED:
 * counted, hang up. waited: for a place, as long as one may wait (NET_GATE_WAIT_MS); whose network has most of the
 * places is then refused. */
enum net_gate_answer { NET_GATE_IN, NET_GATE_FULL, NET_GATE_REFUSED };
enum net_gate_answer net_gate_enter(struct net_gate *g, const struct sockaddr *from, int64_t now_ms, bool waited,
                                    struct net_place *p);
/* The handshake that goes first when a place is needed: one that was refused, or the oldest of the network that has
 * most of them; NULL if none is older than NET_GATE_PATIENCE_MS. The caller ends it, by which its place becomes
 * free. */
struct net_place *net_gate_victim(struct net_gate *g, int64_t now_ms);
/* The handshake is over. ERR_LIMIT: no place in its class; counted; p stays what it was until net_gate_leave, so
 * that the peer can be told. */
int net_gate_admit(struct net_place *p, const struct pki_identity *who, struct error *err);
/* A stranger has proven who he is: his connection is counted as one of those from now on. False: it is no stranger's,
 * or there is no place for it there; it stays what it was. */
bool net_gate_prove(struct net_place *p, const struct pki_identity *who);
void net_gate_move(const struct net_place *from,
                   struct net_place *to); /* a handshake's place lies elsewhere from now on */
void net_gate_leave(struct net_place *p); /* harmless without a place */

/* The network that a handshake is counted on, as a number: the same for all of its handshakes, and as good as never that
 * of another one. */
uint64_t net_gate_network(const struct net_place *p);

struct net_gate_stats *net_gate_stats(struct net_gate *g); /* the caller may count no_descriptor */
const struct net_gate_config *net_gate_config(const struct net_gate *g);
enum net_class net_class_of(enum pki_role role);
const char *net_class_word(enum net_class c);

#endif
