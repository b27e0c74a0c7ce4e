/* TLS streams on libuv: listen, connect, send with back-pressure, close. TLS 1.3 only, mutual where the peer has a
 * certificate, ALPN tells guests apart. OpenSSL works on memory; libuv owns the sockets. What is sent during one turn
 * of the loop leaves together at its end.
 *
 * Laws (libuv's): a callback never runs inside the call that registered it; after net_conn_close the close callback
 * comes exactly once, later, and is the last one; memory is freed after it. Loop thread only.
 * Limits: handshake NET_HANDSHAKE_MS, then the connection is cut; connections by class of the peer (net/gate.h);
 * net_conn_pending() tells what is queued and the owner must stop above its own limit (rpc does); TCP_NODELAY,
 * keepalive and TCP_USER_TIMEOUT are set. */
#ifndef PROTO_NET_NET_H
#define PROTO_NET_NET_H

#include <uv.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "proto/net/gate.h"
#include "proto/net/worker.h"
#include "proto/pki/pki.h"

#define NET_HANDSHAKE_MS 10000
#define NET_CAS_MAX                                                                                                    \
    8u /* CAs that are trusted at a time: two while a cluster's CA is replaced, and room for lists put together */
#define NET_NETWORK_MAX 64
#define NET_ADDR_MAX    300 /* "host:port" or "[v6]:port" */
#define ALPN_RAFT       "reeve-raft/1"
#define ALPN_RPC        "reeve-rpc/1"
#define ALPN_HTTP       "http/1.1"

/* Certificates and keys of this process; shared by all its connections; reference-counted so that they can be replaced
 * while connections live (renewal: new connections take the new one). */
struct net_tls;
/* ca_pem: one CA, or several, one behind the other: a peer of any of them is taken; one that has expired is passed over
 * if another has not. Our own certificate must be of one of them. cert/key NULL: client without identity (joining). ca
 * NULL with pin_fingerprint: the server's chain must contain a CA certificate with that fingerprint (32 hex digits).
 * ERR_INVALID names what is wrong (expired: says so with the date). */
int net_tls_new(const char *ca_pem, const char *cert_pem, const char *key_pem, const char *pin_fingerprint,
                struct net_tls **out, struct error *err);
/* The same, but our own certificate may have expired, or not begun: for those who connect to have it renewed. */
int net_tls_new_lenient(const char *ca_pem, const char *cert_pem, const char *key_pem, struct net_tls **out,
                        struct error *err);
/* For listeners: lets in nodes whose certificate expired at most grace_s ago, or begins within grace_s (a clock ran
 * ahead), and is in order otherwise. net_conn_peer_expired marks them, and the owner restricts what they may do. 0, as
 * at first: nobody is let in so. */
void net_tls_set_grace(struct net_tls *t, int64_t grace_s);
/* The grace is for masters too, and for those that we connect to as well: masters among each other, who must find a
 * leader before anybody can sign new certificates. */
void net_tls_set_late_masters(struct net_tls *t);
/* Servers that are refused although a CA we trust has signed them (pki_refused_has): for connections that are made from
 * now on. Copied; a list that is not valid is as none. */
void net_tls_set_refused(struct net_tls *t, struct str refused);
struct net_tls *net_tls_ref(struct net_tls *t);
void net_tls_unref(struct net_tls *t);

struct net_conn;
struct net_conn_events {
    /* Handshake done; client side only (server side: the listener's on_conn stands for it). Note that in TLS 1.3 a
     * server that refuses our certificate says so only after this: on_close brings the reason. */
    void (*on_open)(struct net_conn *c, void *data);
    /* Bytes arrived; borrowed for the call. */
    void (*on_data)(struct net_conn *c, const uint8_t *p, size_t n, void *data);
    /* net_conn_pending() has fallen below NET_LOW_WATER after having been above. May be NULL. */
    void (*on_drain)(struct net_conn *c, void *data);
    /* The connection is over by the peer, by an error, or by net_conn_close. why: NULL if closed by us. Last
     * callback. */
    void (*on_close)(struct net_conn *c, const struct error *why, void *data);
};
#define NET_LOW_WATER (256u << 10)

/* addr "host:port"; names are resolved asynchronously. Server certificates are checked against the CA, not against the
 * host name (the cluster's own CA signs members only), and must be of role master. timeout_ms covers name, TCP and TLS
 * together (0: NET_HANDSHAKE_MS). Returns at once; whatever fails, a malformed address included, comes through
 * on_close. */
struct net_conn *net_connect(uv_loop_t *loop, struct net_tls *tls, const char *addr, const char *alpn,
                             int64_t timeout_ms, const struct net_conn_events *events, void *data);
/* Copies the bytes. No error: failures come through on_close. Ignored when closing. Before on_open they wait for it. */
void net_conn_send(struct net_conn *c, const void *p, size_t n);
/* The same with the bytes of b from `at` on, which are taken over where they are many: b is empty afterwards. */
void net_conn_give(struct net_conn *c, struct buf *b, size_t at);
size_t net_conn_pending(const struct net_conn *c); /* bytes accepted and not yet given to the kernel */
/* Has much to send and waits for its share of a turn: that its peer takes nothing is this process's doing. */
bool net_conn_waits(const struct net_conn *c);
size_t net_conn_untaken(const struct net_conn *c);    /* these, and what the kernel has that the peer's has not */
void net_conn_pause(struct net_conn *c, bool paused); /* stop or go on reading */
/* From now on a peer that is there may take nothing for as long as it likes: somebody reads what it shows him. */
void net_conn_be_patient(struct net_conn *c);
/* What was sent before still goes out, as long as the peer takes some of it every second. No callback but on_close
 * comes after. */
void net_conn_close(struct net_conn *c);
/* The same for a peer that may read slowly: what was sent goes out as long as it takes some of it every patience_ms,
 * and the connection stays until the peer has all of it, what the kernel holds too, so that nothing that it still sends
 * cuts what it has not read. It is told at once that no more comes. net_conn_close ends the patience. */
void net_conn_close_slowly(struct net_conn *c, int64_t patience_ms);
/* The same, but what was sent and has not left yet is dropped: for a peer that holds too much. Also after
 * net_conn_close. */
void net_conn_abort(struct net_conn *c);
void net_conn_set_events(struct net_conn *c, const struct net_conn_events *events, void *data);
const struct pki_identity *net_conn_peer(const struct net_conn *c); /* role NONE without certificate */
/* When the peer's certificate began and ends (seconds since the epoch); false without certificate. */
bool net_conn_peer_life(const struct net_conn *c, int64_t *not_before_s, int64_t *not_after_s);
/* Serial number, CA, life and time of issue of the peer's certificate; serial "" without. */
const struct pki_facts *net_conn_peer_facts(const struct net_conn *c);
/* The groups of a user's certificate, as pki_sign_user takes them; "" for others. */
const char *net_conn_peer_groups(const struct net_conn *c);
/* The peer, who came without a certificate, has proven otherwise who he is (net_gate_prove). */
bool net_conn_prove(struct net_conn *c, const struct pki_identity *who);
bool net_conn_peer_expired(
    const struct net_conn *c); /* when the connection was made it was outside its time: net_tls_set_grace */
const char *net_conn_alpn(const struct net_conn *c);
const char *net_conn_peer_addr(const struct net_conn *c);
/* In on_close: the host we dialled said that nobody listens there. (Silence, a cut or a full queue are no such
 * word.) */
bool net_conn_refused(const struct net_conn *c);
/* In on_close: somebody listens there, whatever came of the handshake (the kernel may have said so for a program that
 * does nothing). */
bool net_conn_accepted(const struct net_conn *c);

struct net_listener;
struct net_listener_config {
    uv_loop_t *loop;
    struct net_tls *tls; /* with a certificate; the listener takes a reference; replace with net_listener_set_tls */
    const char *addr;    /* "host:port"; ignored if fd >= 0 */
    int fd;              /* an already listening socket (socket activation; taken over on success), or -1 */
    const char *const *alpns; /* NULL-terminated, in order of preference */
    struct net_gate *gate;    /* places for connections; the listener takes a reference. NULL: one of its own with... */
    unsigned conns_max;       /* ... so many places for any peer; further connections are closed at once and counted */
    int64_t handshake_ms;     /* 0 = NET_HANDSHAKE_MS */
    struct net_worker
        *worker; /* does the handshakes; the listener takes a reference. NULL: they are done on the loop */
    const struct log *log;
    /* A connection with a finished handshake. Set its events here and now, or net_conn_close it. The peer may be
     * without certificate (role NONE): the server asks for one but does not insist, since joiners have none. */
    void (*on_conn)(struct net_conn *c, void *data);
    /* The same for a peer for which there is no place, in its class or in its share of it (why: ERR_LIMIT). It may be
     * told so here, and is cut after NET_REFUSED_MS. NULL: the connection is closed at once. */
    void (*on_refused)(struct net_conn *c, const struct error *why, void *data);
    void *data;
};
#define NET_REFUSED_MS 2000
struct net_stats {
    uint64_t accepted, handshake_failed, bytes_in, bytes_out;
    unsigned open; /* accepted and not yet gone, unfinished handshakes included */
};
/* ERR_BUSY etc. with the address and what holds it ("bind 127.0.0.1:7400: address already in use; ..."). */
int net_listen(const struct net_listener_config *config, struct net_listener **out, struct error *err);
void net_listener_set_tls(struct net_listener *l, struct net_tls *tls);
/* A turn of the loop begins, before its sockets are looked at. Until the next call l's open connections read for about
 * share_ns, and the read that was begun. Whoever comes later waits for a turn after this one, in the order of coming.
 * Of those who have waited, 128 read in each turn in any case. Without a call nothing is bounded. */
void net_listener_turn(struct net_listener *l, uint64_t share_ns);
/* From now on those of l's open connections that have more than 32 KiB to send, encrypt and write for about share_ns
 * between two calls of net_listener_turn, and what the last of them has; the others wait, in the order of coming. Nodes
 * have a queue of their own, which takes turns with that of all others. Masters do not wait, nor what was closed. */
void net_listener_bound_writes(struct net_listener *l, uint64_t share_ns);
int net_listener_port(const struct net_listener *l);
const struct net_stats *net_listener_stats(const struct net_listener *l);
struct net_gate *net_listener_gate(const struct net_listener *l); /* borrowed */
/* Stops accepting; open connections live on, unfinished handshakes are cut. on_closed from the loop, then the
 * listener is gone. */
void net_listener_close(struct net_listener *l, void (*on_closed)(void *data), void *data);

/* "host:port", "[v6]:port", ":port" (any address) into its parts. false if malformed. */
bool net_addr_split(const char *addr, char host[256], char port[8]);
/* What limits by address count as one peer, of "HOST:PORT": an IPv4 address, or the first 64 bits of an IPv6 address
 * ("2001:db8:1:2::/64"). Never empty; what is no address is "?". */
void net_addr_network(const char *addr, char out[NET_NETWORK_MAX]);
/* Whom a line of the log is about, for log_line_of: the certificate's name, or the network of one without. */
#define NET_PEER_MAX (PKI_NAME_MAX + 16)
const char *net_peer_word(const struct pki_identity *who, const char *addr, char out[NET_PEER_MAX]);

#endif
