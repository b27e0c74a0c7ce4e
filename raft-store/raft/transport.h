/* Messages between masters, over TLS sessions of proto/rpc (ALPN reeve-raft/1): Raft's own, questions for the term, and
 * calls that a master forwards to another. Sessions are made to every member of the raft configuration, kept alive and
 * reconnected with backoff; one that the peer opened to us is used too, whichever is open. The peer must have role
 * master and a CN equal to the id it speaks for.
 *
 *   notification "raft"      {from, address, data: bin}          one encoded raft message
 *                            (raft-store/raft/raft_codec.h)
 *   request      "raft.part" {transfer, offset, size, hash, data, ?head} -> {}   a chunk of an InstallSnapshot
 *                (transport_snapshot.c)
 *   request      "raft.term" {round, term} -> {term}
 *   notification "removed"   {id}        to a master that is no member any more: see on_removed
 * all other requests go to on_request.
 *
 * Limits: TRANSPORT_QUEUE_MAX bytes queued per peer, above it raft messages are dropped (Raft sends again); one
 * InstallSnapshot per peer at a time. Loop thread only. */
#ifndef RAFT_STORE_RAFT_TRANSPORT_H
#define RAFT_STORE_RAFT_TRANSPORT_H

#include <uv.h>

#include "proto/net/net.h"
#include "proto/rpc/rpc.h"
#include "raft-store/raft/replica.h"

#define TRANSPORT_QUEUE_MAX    (32u << 20)
#define TRANSPORT_CHUNK        (256u << 10)
#define TRANSPORT_INFLIGHT_MAX 16384u /* forwarded calls and relayed streams a peer may have open here */
#define TRANSPORT_CALL_MS      10000

struct transport;
struct transport_config {
    uv_loop_t *loop;
    struct net_tls *tls; /* a ref of its own is taken; transport_set_tls replaces it */
    uint64_t id;
    const char *address; /* copied */
    const struct log *log;
    /* copied; where the state of snapshots lies (raft-store/disk/snapfile.h); NULL: it stays in memory */
    const char *snapshot_dir;
    /* A request of another master that is not the transport's own ("forward", "read.index", "announce"...). Must be
     * answered. */
    void (*on_request)(void *data, uint64_t peer_id, struct rpc_request *r, struct str method, struct mp params);
    void *data;
    /* Another master says that we were removed from the cluster. NULL: ignored. */
    void (*on_removed)(void *data, uint64_t peer_id);
};
struct transport *transport_new(const struct transport_config *config);
/* Asynchronous: sessions are closed, then `closed`, then it is freed. */
void transport_close(struct transport *t, void (*closed)(void *data), void *data);
void transport_set_tls(struct transport *t, struct net_tls *tls);
/* Follows the raft configuration now instead of within a second: connections with whoever is no member end. */
void transport_follow_members(struct transport *t);
/* Ends the connections with masters whose certificate is unwanted: id, and facts of the certificate on this
 * connection. New ones are made where members are. */
void transport_end_sessions(struct transport *t,
                            bool (*unwanted)(void *data, uint64_t id, const struct pki_facts *facts), void *data);
/* The node to deliver to (set once, before replica_start). */
void transport_set_node(struct transport *t, struct replica *n);
/* A connection that another master opened to our listener (ALPN reeve-raft/1): the transport takes it. */
void transport_accept(struct transport *t, struct net_conn *c);
/* A call to another master; exactly one callback. ERR_CLOSED at once (later, from the loop) without a session. */
void transport_call(struct transport *t, uint64_t peer_id, const char *method, struct str params, int64_t timeout_ms,
                    rpc_result_cb *cb, void *data);
/* The open session to a peer, for streams; NULL if none. Borrowed. */
struct rpc_session *transport_session(struct transport *t, uint64_t peer_id);
/* Connected, and, if we lead, heard within the last three heartbeats or so. Followers do not hear each other: a leader
 * may trust this only when transport_settled. */
bool transport_reachable(const struct transport *t, uint64_t peer_id);
/* Everybody with an open session was heard since `since_ms` (env_real's, when our leadership began), or has had the
 * time: from now on transport_reachable tells a leader who answers, not who happened to talk to a follower. */
bool transport_settled(const struct transport *t, int64_t since_ms);
/* Leader of `term`, at the end of a turn: followers that have been sent the entries up to `commit`, but not yet that
 * they are committed, are told now by an AppendEntries without entries, instead of with the next heartbeat (up to its
 * whole period later). Keeps watches on followers and reads through them quick; nothing depends on it. */
void transport_hint_commit(struct transport *t, uint64_t term, uint64_t commit);
/* For replica_config.peers.ask_term; data = the transport. */
void transport_ask_term(void *data, uint64_t id, uint64_t round, uint64_t term);
/* For replica_config.peers.reachable. */
bool transport_reachable_peer(void *data, uint64_t id);
/* For replica_config.peers.ended: it has no session with us, and where it listened nobody does. A process that
 * stands still keeps both. */
bool transport_ended_peer(void *data, uint64_t id);

struct transport_stats {
    uint64_t sent, received, dropped, bad, bytes_sent, bytes_received, snapshots_sent, snapshots_received;
};
const struct transport_stats *transport_stats(const struct transport *t);

#endif
