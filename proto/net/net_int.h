/* Inside of the net files: what net/tls.c, net/conn.c, net/connect.c and net/listener.c share. */
#ifndef PROTO_NET_NET_INT_H
#define PROTO_NET_NET_INT_H

#include <openssl/ssl.h>

#include "base/list.h"
#include "base/strmap.h"
#include "proto/net/net.h"
#include "proto/net/outgoing.h"
#include "proto/pki/x509.h"

/* ---- TLS (net/tls.c) ---- */

struct net_tls {
    unsigned refs;
    SSL_CTX *ctx;           /* for both directions */
    BIO_METHOD *bio_method; /* reads from and writes into a net_conn */
    X509 *cert;             /* our own, or NULL */
    char *refused;          /* servers; NULL: none */
    char *read_bytes;       /* NET_READ_BYTES for the next read of any connection; NULL: none is kept */
    uv_mutex_t known_lock;
    struct strmap known; /* under it: -> struct net_known, by fingerprint */
    int64_t grace_s;     /* net_tls_set_grace */
    bool late_masters;   /* net_tls_set_late_masters */
    bool has_pin;
    uint8_t pin[PKI_FINGERPRINT_SIZE];
};

/* The SSL of a connection: application data = c, BIOs in place. */
SSL *net_tls_ssl(struct net_tls *t, struct net_conn *c, bool server);
/* Client: offer this one protocol. */
void net_tls_offer(SSL *ssl, const char *alpn);
/* Why the TLS layer gave up on c: reads and clears OpenSSL's error queue of this thread, sets c->found unless it is
 * known already. */
void net_tls_explain(struct net_conn *c);
/* "expired on ..." text for a certificate outside its time, ERR_UNAUTHORIZED; 0 if its time is right. */
int net_tls_check_time(const X509 *cert, struct error *err);

/* ---- Certificates of peers (net/known.c) ---- */

/* One that connections have now, and what it says. */
struct net_known {
    unsigned refs;
    uint8_t print[PKI_FINGERPRINT_SIZE];
    X509 *cert;
    struct pki_identity who;
    struct pki_facts facts; /* with the root of the chain that was verified */
    char groups[];          /* of a user's (pki.h) */
};
/* The copy that other connections have of it, with a reference; NULL: there is none. Any thread. */
X509 *net_known_cert(struct net_tls *t, const X509 *cert);
/* The row of a certificate whose chain was verified, up to the CA with this fingerprint ("": not known). A reference,
 * for net_known_give, which takes NULL as well. Any thread. */
struct net_known *net_known_get(struct net_tls *t, X509 *cert, const char ca[33]);
void net_known_give(struct net_tls *t, struct net_known *k);

/* ---- Why a connection ends (net/blame.c) ---- */
struct net_conn;
/* The first reason counts. The text gets the peer's address in front. */
void net_conn_blame(struct net_conn *c, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The same by TLS, which may be with the thread: into c->found. */
void net_conn_found(struct net_conn *c, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* What TLS has found is the reason, if none was known before. */
void net_conn_blame_found(struct net_conn *c);

/* ---- Handshakes (net/handshake.c, net/worker.c) ---- */
enum net_step { NET_STEP_MORE, NET_STEP_DONE, NET_STEP_FAILED };
/* With c->in, on any thread: more must come, the peer is known, or c->found says why not and an alert is in c->cipher.
 * OpenSSL may take as much of c->in as it wants. */
enum net_step net_conn_step(struct net_conn *c);
/* c, whose step reads what is in its stash, does not read until net_conn_step_ended, which comes later. */
void net_worker_take(struct net_worker *w, struct net_conn *c);
/* c is closed: harmless if it is not there, or no more. Not while it is away. */
void net_worker_forget(struct net_worker *w, struct net_conn *c);
/* By the worker, on the loop: c is away from now on; its step has been done. The second may free c. */
void net_conn_step_begins(struct net_conn *c);
void net_conn_step_ended(struct net_conn *c);

/* ---- Connections (net/conn.c) ----
 *
 *            net_connect                     accept
 *                |                             |
 *            RESOLVING -> CONNECTING ----> HANDSHAKE ----> OPEN ----> FLUSHING ----> CLOSED -> on_close, freed
 *                |            |                |             |        (last bytes)     ^
 *                +------------+----------------+-------------+-------------------------+
 *
 * CLOSED means that uv_close was called on the handles; the close callback comes when all of them are gone.
 * FLUSHING is left when the last byte was given to the kernel, or after NET_FLUSH_MS without progress. A server that
 * refused a handshake waits in FLUSHING for the peer's end, so that the alert that says why is not overtaken by a
 * reset; and one that is closed slowly until the peer has taken all, however long it takes some of it every
 * patience_ms, and NET_FLUSH_MS more. */
enum net_state { NET_RESOLVING, NET_CONNECTING, NET_HANDSHAKE, NET_OPEN, NET_FLUSHING, NET_CLOSED };

#define NET_FLUSH_MS      1000
#define NET_READ_BYTES    (64u << 10)
#define NET_WRITE_LITTLE  (32u << 10) /* what waits to be sent of who is never made to wait for his turn to send */
#define NET_READS_GRANTED 128u /* connections that had to wait and read in one turn of the loop, whatever its share */
#define NET_WRITE_MUCH    (96u << 10) /* at once: a piece of something larger */
#define NET_RECORD_BYTES  (16u << 10)
#define NET_RECORD_MORE   22u          /* that a record has besides: head, type and tag */
#define NET_CIPHER_HIGH   (256u << 10) /* encrypted ahead of the kernel at most, per connection */

struct net_resolve;

/* The side that made a connection, listener or client, and hears of its life. */
struct net_conn_side {
    void (*opened)(struct net_conn *c);
    void (*failed)(struct net_conn *c); /* its handshake did: told once, c->why is known. May be NULL */
    void (*closes)(
        struct net_conn *c); /* once, on the way to CLOSED: gives back what only the beginning needs. May be NULL */
    void (*gone)(struct net_conn *c); /* all handles are closed, its memory goes after this. May be NULL */
};

struct net_conn {
    const struct net_conn_side *side;
    uv_tcp_t tcp;
    uv_timer_t timer; /* handshake, then flush */
    uv_idle_t kick;   /* active while there is something to do at the end of this turn */
    unsigned handles; /* not yet closed; and one while it is away */
    enum net_state state;
    bool server;
    bool paused, reading;
    bool writing;        /* a uv_write is under way */
    bool above_low;      /* pending was at or above NET_LOW_WATER: a drain is owed */
    bool notify_sent;    /* close_notify went into the stream */
    bool await_eof;      /* FLUSHING: until the peer ends */
    int64_t patience_ms; /* FLUSHING: closed slowly; 0: not */
    size_t untaken;      /* then, when last looked at... */
    int64_t taken_ms;    /* ...and when it was another */
    bool in_process;     /* inside process(): OpenSSL is not entered again */
    bool away;           /* with the thread, which alone touches what is the step's */
    struct net_tls *tls;
    struct net_outgoing plain; /* accepted, not yet encrypted */
    size_t flying;             /* bytes in the uv_write under way */
    bool keeps_buffer;         /* OpenSSL does, of the record that it wrote last: more follow at once */
    struct buf stash;          /* ciphertext kept while paused, or until its step begins */
    bool refused;              /* by the host: nobody listens at any of its addresses */
    bool accepted;             /* TCP had connected */
    bool failed;               /* ended by why, not by net_conn_close */
    struct error *why;
    struct net_conn_events events;
    void *data;
    char *addr; /* the peer's: as asked for (client), numeric (server) */
    int64_t timeout_ms;
    /* The step's: the loop's, or, while it is away, the thread's. */
    SSL *ssl;
    struct buf cipher; /* encrypted, not yet given to libuv */
    const uint8_t *in; /* ciphertext the TLS layer may take now */
    size_t in_size;
    struct buf step_bytes;   /* where it lies while it is away */
    enum net_step stepped;   /* what came of it */
    struct error *found;     /* by TLS: why it cannot go on */
    struct net_known *shown; /* the peer's certificate: its chain was verified, its handshake goes on. NULL: none */
    struct net_known *peer;  /* the same, from the handshake's end on */
    bool peer_expired;
    char *alpn; /* wanted (client), agreed (open) */
    /* Client side. */
    struct net_resolve *resolve;
    struct addrinfo *addrs, *addr_next;
    /* Server side. */
    struct net_listener *listener;
    struct list link;       /* in listener->conns */
    struct list step_link;  /* net/worker.c */
    bool step_crowds;       /* its network has had its share of steps */
    struct list read_link;  /* in listener->reads.waiting */
    bool read_granted;      /* it has waited: its next read does not ask for the share */
    struct list write_link; /* in listener->writes.nodes or .users */
    struct net_place place;
};

/* In FLUSHING, NET_FLUSH_MS after the last look: it was closed slowly, and the peer has not all, but took some of it
 * not longer than its patience ago (net/patience.c). */
bool net_conn_may_take_more(struct net_conn *c);
/* A fresh connection in `state` with its handles set up; refs tls. */
struct net_conn *net_conn_new(uv_loop_t *loop, struct net_tls *tls, bool server, enum net_state state,
                              const struct net_conn_side *side);
/* TCP is there: socket options, TLS, read; from RESOLVING/CONNECTING (client) or after uv_accept (server). */
void net_conn_start_tls(struct net_conn *c);
void net_conn_start_timer(struct net_conn *c); /* c->timeout_ms for all that comes before OPEN */
/* End at once for the reason noted. No callback runs inside. */
void net_conn_fail(struct net_conn *c);
/* c has waited in listener->reads.waiting: it goes on to read. False: it has nothing to read for, it is paused. */
bool net_conn_read_again(struct net_conn *c);
/* uv_close callback of any handle of c. */
void net_conn_on_handle_closed(uv_handle_t *h);

/* ---- Writers (net/writers.c) ---- */
/* c counts as one who has much to send: net_listener_bound_writes is about it. */
bool net_writer_has_much(const struct net_conn *c);
/* True: c, which is in no queue, has much to send and not now: it is in its queue from now on (c->write_link). */
bool net_writer_waits(struct net_conn *c);
/* Whose turn it is, taken from its queue; NULL: nobody's in this turn of the loop. */
struct net_conn *net_writer_next(struct net_listener *l);

/* ---- Listener (net/listener.c) ---- */
struct net_listener {
    uv_poll_t poll;   /* of fd */
    uv_timer_t pause; /* accepting goes on when it fires */
    unsigned handles; /* not yet closed */
    int fd;
    int waiting; /* accepted, and there is no place for it yet; -1 */
    int64_t waiting_since_ms;
    struct sockaddr_storage from; /* of the one accepted last */
    int spare;                    /* given up to accept and close when there are no descriptors; -1 */
    struct net_listener_config config;
    struct net_stats stats;
    struct net_gate *gate;
    struct net_tls *tls;
    unsigned refs; /* the owner, and each connection */
    bool closing;
    int port;
    struct list conns;
    struct {
        bool bounded;               /* net_listener_turn was called */
        uint64_t share_ns, used_ns; /* of this turn */
        uint64_t since_ns;          /* when the read that runs began */
        struct list waiting;        /* struct net_conn.read_link: they do not read, though there may be something */
    } reads;
    struct {
        uint64_t share_ns, used_ns; /* of this turn; no share: nothing is bounded */
        struct list nodes, users;   /* struct net_conn.write_link: with much to send; users: all but nodes */
        bool users_next;            /* where both wait: a node went last */
    } writes;
    void (*on_closed)(void *data);
    void *on_closed_data;
};

/* ---- Addresses (net/addr.c) ---- */
/* Text of a socket address, "1.2.3.4:5" or "[::1]:5". */
void net_addr_text(const struct sockaddr *sa, char out[NET_ADDR_MAX]);

#endif
