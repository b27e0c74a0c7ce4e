/* Inside reeve-master: the daemon's state, which all of its rooms work on. Nobody outside master/ includes this.
 *
 * One libuv loop owns everything. Requests come in on rpc sessions (clients and agents: ALPN reeve-rpc/1, masters:
 * reeve-raft/1), are checked against the method table (methods.c), and are answered at commit. Any master serves reads,
 * after the leader has confirmed an index; writes go to the leader. Agents keep a connection to each master: every one
 * of them hears their heartbeats and reaches their nodes, whoever leads (nodes.c, relay.c), and each serves those that
 * have chosen it (nodes/lease.h). */
#ifndef MASTER_MASTER_H
#define MASTER_MASTER_H

#include <uv.h>

#include "base/list.h"
#include "base/strmap.h"
#include "master/config.h"
#include "master/core.h"
#include "master/counters.h"
#include "master/daemon.h"
#include "master/front/laps.h"
#include "master/front/turns.h"
#include "master/nodes/names.h"
#include "proto/net/net.h"
#include "proto/rpc/api.h"
#include "proto/rpc/rpc.h"
#include "raft-store/raft/replica.h"
#include "raft-store/raft/transport.h"
#include "raft-store/raft/uv_io.h"

#define MASTER_WATCHES_MAX             50000u
#define MASTER_WATCHES_PER_SESSION_MAX 1000u
/* Of the places for watches: a node follows its own pods alone, users leave some for each other, and all leave some
 * for administrators. */
#define MASTER_WATCHES_NODE_MAX      16u                       /* of one node */
#define MASTER_WATCHES_SUBJECT_MAX   (MASTER_WATCHES_MAX / 4)  /* of one user */
#define MASTER_WATCHES_RESERVE       (MASTER_WATCHES_MAX / 10) /* nodes take none of these */

#define MASTER_STRANGER_MESSAGE_MAX  (64u << 10) /* of a connection without certificate: hello and join */
#define MASTER_STRANGER_ELEMENTS_MAX 1024u
#define MASTER_NODE_MESSAGE_MAX      (4u << 20) /* of an agent */
#define MASTER_NODE_ELEMENTS_MAX     API_ELEMENTS_MAX
#define MASTER_USER_ELEMENTS_MAX     API_ELEMENTS_MAX
#define MASTER_USER_OBJECTS_MAX      1024u /* written by one request; rctl makes several of it */
#define MASTER_STRANGER_INFLIGHT_MAX 4u
#define MASTER_STRANGER_IDLE_MS      10000        /* without a request it is closed */
#define MASTER_STRANGER_LIFE_MS      300000       /* and between two requests, whatever it does */
#define MASTER_REQUEST_BYTES_MAX     (512u << 20) /* of requests that have no answer yet */
#define MASTER_SESSION_BYTES_MAX     (64u << 20) /* of one connection: its requests, and the answers it does not read */
#define MASTER_FORWARDING_MAX        (TRANSPORT_INFLIGHT_MAX / 4) /* of one identity, at the leader over this master */
#define MASTER_FORWARD_TIMEOUT_MS    30000
#define MASTER_WAIT_MS               10000  /* a request that says no timeoutMs waits for a leader so long */
#define MASTER_WAIT_MAX_MS           600000 /* and no request longer, whatever it says */
#define MASTER_PARKED_MAX            16384u /* requests that wait for a leader; one identity: half of them */
#define MASTER_READ_TIMEOUT_MS       10000
#define NODES_INSTANCE_MAX           80 /* of an agent's ID-START-NONCE (nodes.c) */

/* The certificate in use, and its renewal. */
struct identity {
    int64_t from_s, until_s; /* its life */
    char serial[PKI_SERIAL_SIZE];
    char name[PKI_NAME_MAX + 1]; /* that it certifies: another id's, if it is of before `recover` */
    int64_t ca_from_s, ca_until_s;
    int64_t due_ms;      /* wall clock: the next attempt to renew; INT64_MAX = never, it ends with the CA */
    unsigned failures;   /* in a row */
    unsigned generation; /* counts identity_load: a renewal that began before one is of no use */
    bool renewing;
    bool useless; /* outside its time, or another id's: to be renewed as soon as somebody can sign */
    char ca[33];  /* fingerprint of the CA that signed it */
    char *cert_pem, *key_pem;
    char error[256]; /* of the last failure; "" = none */
};

struct watch_table;
struct node_feeds;
struct lease;
struct batches;
struct list_pages;
struct discards;
struct sched_explain;
struct allowance;
struct listing;
struct revoked;
struct departed;
struct reseal;
struct rotate;
struct authority;
struct zones;
struct audit;
struct openapi;
struct rest_kept;
struct session;

struct master {
    struct master_config config;
    const struct env *env;
    struct log log;
    uv_loop_t loop;
    uv_check_t check;
    uv_prepare_t prepare;
    uv_idle_t idle; /* runs while deciders have work left */
    uv_timer_t deadline, chores, haste;
    uint64_t haste_ms; /* between the last two looks of haste */
    uv_poll_t told;    /* of struct stop */
    struct net_tls *tls;
    struct net_listener *listeners[4];
    unsigned listeners_count;
    struct rpc_stats rpc_stats;
    struct net_gate *gate;         /* places for connections, of all listeners */
    struct net_worker *handshakes; /* does those of all listeners; NULL at the end */
    struct turns *turns;
    struct list sessions;     /* struct session.link */
    struct list strangers;    /* struct session.stranger_link */
    struct principal *nobody; /* whom connections without a certificate ask as; NULL: there was none yet */
    struct list uncalled;     /* struct session.call_link: agents who have not been told that this master leads */
    struct openapi *openapi;  /* rest/openapi.c: documents, made when first asked for; of the level... */
    unsigned openapi_level;   /* ...of the cluster then */
    struct rest_kept *kept;   /* rest/kept.h: JSON of objects; NULL: none is kept */
    struct {
        struct object *object; /* a reference; NULL: none */
        uint64_t revision;
        struct buf protobuf;
    } https_event;     /* rest/watch.c: the event that was written last in protobuf: watches are told the same one */
    struct list https; /* rest/conn.h: connections that speak HTTP */
    struct list https_ended; /* rest/call.h: streams of theirs that are over */
    struct list asked;       /* ask.c */
    struct list parked;      /* parked.c */
    struct list relays;      /* relay.c: streams that wait for the leader to open them */
    uv_timer_t parked_timer;
    unsigned parked_count;
    struct list backups; /* backup.c */
    unsigned backups_count;
    struct strmap agents; /* node name -> struct session: the link of its agent to this master */
    struct uv_io *io;
    struct transport *transport;
    /* A call to another master: transport_call, or what stands for it where there is no network. */
    void (*ask_master)(struct master *m, uint64_t id, const char *method, struct str params, int64_t timeout_ms,
                       rpc_result_cb *cb, void *data);
    struct replica *replica;
    struct core *core;
    struct zones *zones;
    struct audit *audit; /* NULL: nothing is recorded (tests) */
    bool audits;         /* there is a policy that records something (front/audit.c) */
    struct watch_table *watches;
    struct node_feeds *feeds;
    struct names_walk names;
    struct lease *lease;
    struct batches *batches;
    struct list_pages *pages;
    struct discards *discards;                   /* versions of the state that are freed beside the loop */
    struct allowance *wrong_tokens;              /* by network */
    struct allowance *renewals;                  /* by identity: its certificate */
    struct allowance *node_rate, *user_rate;     /* by identity: its requests; NULL: any number (rate.h) */
    struct allowance *node_kib, *replica_events; /* by node: bytes that it writes, events that it tells */
    struct revoked *revoked;
    struct departed *departed; /* pods that were deleted: events about them are still taken */
    struct rotate *rotate;
    struct reseal *reseal;
    struct authority *authority;
    struct bearers *bearers;             /* auth/bearer.h; NULL: tokens are not taken */
    struct account_keys *account_keys;   /* auth/account_keys.h; NULL: it signs no tokens */
    struct secret_tokens *secret_tokens; /* auth/secret_tokens.h; NULL: it fills in none */
    struct levels *levels;
    struct master_stats stats;
    struct laps laps;
    size_t request_bytes; /* of all sessions */
    struct {
        uint64_t max, looked_at, bytes, most, shed;
        int64_t looked_ms, room_ms;
    } held; /* held.c: as last looked at; the most ever; connections ended for it; looked for room, and there was some */
    struct {
        bool told;
        int64_t told_ms;
        uint64_t events, calls; /* since then */
    } dropped;                  /* nodes' events that were not kept: the log's line about them (nodes/events.c) */
    char *ca_pem;     /* whom we trust: one CA, or several; the first one is that of our certificate (auth/rotate.h) */
    char *ca_key_pem; /* of that one, while ca.key is on the disk; NULL: it is in parts (auth/authority.h) */
    struct pki_ring seal_keys; /* seal.key */
    struct identity identity;
    unsigned chores_done; /* timer ticks */
    int exit_code;
    bool stopping;
    struct list changes; /* change.c */
    bool settling;
    enum master_damage damage;
    struct error damage_error;
    char *known_masters;        /* the file `masters` as written (known.c) */
    int64_t leader_seen_ms;     /* removed.c: a leader was known then */
    uint64_t record_revision;   /* removed.c: of the record that was last looked at */
    uint64_t disbelieved;       /* removed.c: the master whose word was last not taken */
    bool announced, announcing; /* our addresses are in the cluster's list; are on their way */
};

/* What can be done with a connection, whatever it speaks. addr: "HOST:PORT". held: bytes of memory. close: what was
 * sent goes out. shed: it goes at once, and `why` is logged. */
struct session_way {
    bool (*is_open)(const struct session *s);
    void (*close)(struct session *s);
    void (*shed)(struct session *s, const char *why);
    size_t (*held)(const struct session *s);
    unsigned (*inflight)(const struct session *s);
    const char *(*addr)(const struct session *s);
};
struct rest_conn;

/* A client's or agent's connection. */
struct session {
    struct list link;
    struct master *m;
    const struct session_way *way;
    struct rpc_session *rpc;           /* NULL: it does not speak msgpack-RPC, but... */
    struct rest_conn *http;            /* ...HTTP */
    struct principal *principal;       /* of its certificate, or of nobody: as its requests have it; a reference */
    int64_t cert_from_s, cert_until_s; /* life of its certificate, or of the one it was given since */
    char cert_ca[33];                  /* fingerprint of the CA of that one; "" = not known */
    bool expired;                      /* let in to renew it, and for nothing else */
    bool revoked;                      /* its certificate: calls are refused, and it is closed */
    bool answer_owed;                  /* of a cert.revoke that ends it: closed a little later */
    char node[PKI_NAME_MAX + 1];       /* agents: the link of this node (nodes.c) */
    char instance[NODES_INSTANCE_MAX]; /* of that agent; "": it told none */
    unsigned reports;                  /* that wait to be sent to the leader (batch.c) */
    struct subject *subject;           /* a reference */
    struct lane lane;                  /* its requests that wait for their turn */
    int64_t beat_ms;                   /* the newest heartbeat that was looked at */
    size_t request_bytes;              /* of the requests that have no answer yet */
    struct list stranger_link, call_link;
    int64_t since_ms, heard_ms; /* strangers: connected; last busy */
    struct error *refusal;      /* it has no place: what every request hears */
};

/* ---- daemon.c ---- */

void master_stop(struct master *m, int exit_code);
/* Something changed outside of a callback of the loop's: make sure a turn follows. */
void master_wake(struct master *m);
/* The replacement of the key that seals (reseal.h) has come to another step: looks at it soon, and again in growing
 * pauses, for about half a second. Beyond that the chores do. Nothing for a master that stops. */
void master_hasten(struct master *m);
/* The clock of `laps`, in us: on the wall, of no day. */
static inline int64_t master_clock_us(void)
{
    return (int64_t)(uv_hrtime() / 1000);
}

#endif
