/* Inside the transport: transport.c (sessions) and transport_snapshot.c (big transfers); and what uv_io.c, which
 * stands on it, uses. */
#ifndef RAFT_STORE_RAFT_TRANSPORT_INT_H
#define RAFT_STORE_RAFT_TRANSPORT_INT_H

#include "base/list.h"
#include "raft-store/raft/raft_codec.h"
#include "raft-store/raft/transport.h"

struct peer;
struct snapshot_out; /* an InstallSnapshot on its way to a peer */
struct snapshot_in;  /* one that is being put together */

/* Who takes what arrives. */
struct transport_receiver {
    /* A decoded message for the local raft. Ownership of its buffers goes along (raft_malloc). */
    void (*deliver)(void *data, struct raft_message *message);
    /* The transport closes, before anything was ever started: nothing may be sent from now on. */
    void (*forget)(void *data);
    void *data;
};

/* A session to or from a peer. */
struct link {
    struct peer *peer;
    struct rpc_session *rpc; /* NULL: none */
    bool checked;            /* the certificate is the peer's */
};
struct peer {
    struct list list;
    struct transport *t;
    uint64_t id;
    char address[NET_ADDR_MAX]; /* "" until known */
    struct link out, in;
    uv_timer_t retry;
    unsigned backoff_ms;
    bool leaving;     /* freed when its links and timer are closed */
    unsigned handles; /* links and timer that still have callbacks to come */
    int64_t heard_ms;
    int64_t bad_ms;   /* its last message that nobody can have meant; 0: none */
    unsigned shut_ms; /* for so long behind it nothing is heard of it: doubled with each */
    bool refused;     /* the last dial met a host where nobody listens; no session since */
    struct {          /* the last AppendEntries that went out */
        uint64_t term, index, index_term, commit;
        unsigned char version;
    } appended;
    struct snapshot_out *sending;
    struct snapshot_in *receiving;
};
struct transport {
    struct transport_config config;
    char address[NET_ADDR_MAX];
    struct net_tls *tls;
    char *snapshot_dir;
    struct replica *replica;
    const struct transport_receiver *receiver; /* NULL: none */
    struct list peers;
    uv_timer_t refresh;
    bool refresh_closed;
    unsigned arrivals; /* snapshots that a worker makes durable */
    bool closing;
    void (*closed)(void *data);
    void *closed_data;
    struct transport_stats stats;
};

/* Encodes and sends; 0, or RAFT_NOCONNECTION (dropped: Raft sends again). InstallSnapshot goes through
 * transport_send_snapshot. */
int transport_send(struct transport *t, const struct raft_message *m);
typedef void transport_send_done(void *data, int status);
/* The message's data and configuration must stay until done, which comes exactly once, from the loop. */
void transport_send_snapshot(struct transport *t, const struct raft_message *m, transport_send_done *done, void *data);
/* Borrowed until another one, or NULL, is set. */
void transport_set_receiver(struct transport *t, const struct transport_receiver *receiver);

/* Inside the transport. */
struct peer *peer_find(const struct transport *t, uint64_t id); /* NULL: none, or it is leaving */
struct rpc_session *peer_session(struct peer *p);               /* the open one, or NULL */
void transport_deliver(struct peer *p, struct raft_message *m);
void transport_maybe_closed(struct transport *t);
void snapshot_on_part(struct peer *p, struct rpc_request *r, struct mp params);
void snapshot_in_free(struct snapshot_in *in);

#endif
