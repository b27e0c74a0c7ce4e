/* msgpack-RPC sessions over a net_conn (or any byte pipe), symmetric: both sides may call, answer and open streams.
 *
 *   request       [0, id, method, [params]]        params: exactly one map
 *   response      [1, id, error, result]           error: nil or {code, reason, message, field?, retryAfterMs?,
 *                                                  about?: {group, kind, name},
 *                                                  causes?: [{reason, field, message}], causesAll?}
 *   notification  [2, method, [params]]
 * Streams (watch, logs, exec, port-forward): a request whose result is {"stream": N}, N = the request's id; then
 *   [2, "stream.data",   [N, side, payload]]       payload: one msgpack document
 *   [2, "stream.credit", [N, side, bytes]]         the receiver may be sent that many more bytes of payload
 *   [2, "stream.end",    [N, side, error]]         nil = finished; last message of that side
 * side is 0 when sent by the one who made the request, 1 when sent by the one who answered it (ids of both sides may be
 * equal). Credit starts at RPC_STREAM_WINDOW in both directions and is renewed by the receiver as it consumes
 * (rpc_stream_consumed). Specification: github.com/msgpack-rpc/msgpack-rpc/spec.md.
 *
 * Calls and streams that the end of the session cuts hear ERR_CLOSED with the reason as text; on_close gets the reason
 * itself. A callback that hears it must not call again on the same session (rpc_session_is_open tells).
 *
 * Laws: every call gets exactly one callback, later, from the loop (ERR_CLOSED when the session ends, ERR_TIMEOUT; for
 * calls that may have taken effect use the code ERR_UNKNOWN_OUTCOME at the caller's discretion: rpc says `sent` in the
 * result). Limits: a message above message_max closes the session with ERR_TOO_LARGE before it is buffered (the head of
 * a str, bin or array tells); elements at all depths (elements_max), likewise: read as a document a byte can become
 * fifty; a request that is too large is told so before its session is closed; requests in flight per session; bytes
 * queued for sending: above send_max calls and notifications fail with ERR_BUSY, streams stop by credit, and a
 * session that stays above it for RPC_STUCK_MS is closed. Garbage closes the session and is counted. */
#ifndef PROTO_RPC_RPC_H
#define PROTO_RPC_RPC_H

#include "base/buf.h"
#include "base/err.h"
#include "proto/model/msgpack.h"
#include "proto/net/net.h"

#define RPC_MESSAGE_MAX (10u << 20)
/* Elements of a request, keys too, that a server takes of somebody it trusts with large ones. A pod with all
 * defaults has 200; what is read of one costs 56 bytes and a quarter of a microsecond at most. */
#define RPC_ELEMENTS_MAX  (512u << 10)
#define RPC_STREAM_WINDOW (1u << 20)
#define RPC_INFLIGHT_MAX  4096u
#define RPC_SEND_MAX      (64u << 20)
#define RPC_STUCK_MS      30000

struct rpc_session;
struct rpc_request; /* a call we received and have not answered yet */
struct rpc_stream;

struct rpc_stats {
    uint64_t requests_in, requests_out, notifications_in, errors_out, bad_messages, refused_limit;
    uint64_t bytes;         /* that went into the queues, to be sent or to be put together */
    uint64_t too_large;     /* messages with too many bytes or elements */
    uint64_t late_messages; /* answers and stream messages for what is over already; ignored */
};

struct rpc_handler {
    /* A call arrived. params is borrowed for the call (rpc_request_params gives it again later: the request keeps a
     * copy). Must lead to exactly one rpc_reply*, now or later. NULL handler: every call is answered
     * ERR_UNSUPPORTED. */
    void (*on_request)(struct rpc_session *s, struct rpc_request *r, struct str method, struct mp params, void *data);
    void (*on_notify)(struct rpc_session *s, struct str method, struct mp params, void *data); /* may be NULL */
    /* The session is over; all calls have had their callback, all streams their on_end, unanswered requests may still
     * be answered (into the void). Last callback; the session is freed after it. */
    void (*on_close)(struct rpc_session *s, const struct error *why, void *data);
};
struct rpc_config {
    struct rpc_handler handler;
    void *data;
    size_t in_max;         /* of a message of the peer's; 0 = message_max */
    uint64_t elements_max; /* likewise; 0 = none: for who reads answers of a master */
    bool hands_on; /* a master: it wraps what others sent it in something of its own, so its messages may be deeper */
    size_t message_max, send_max; /* 0 = the defaults above; send_max is at least 2 * NET_LOW_WATER */
    unsigned inflight_max;        /* of the peer's requests and of the streams they became; beyond: ERR_LIMIT */
    int64_t stuck_ms;             /* 0 = RPC_STUCK_MS */
    struct rpc_stats *stats;      /* shared counters, may be NULL */
    const struct log *log;
};

/* Takes over an open connection (its events). */
struct rpc_session *rpc_session_new(struct net_conn *conn, uv_loop_t *loop, const struct rpc_config *config);
/* Connect first; calls made before the connection is open are queued. on_close with the reason if it fails. */
struct rpc_session *rpc_session_connect(uv_loop_t *loop, struct net_tls *tls, const char *addr, const char *alpn,
                                        int64_t timeout_ms, const struct rpc_config *config);
void rpc_session_close(struct rpc_session *s);         /* asynchronous */
bool rpc_session_is_open(const struct rpc_session *s); /* connected and not closing */
const struct pki_identity *rpc_session_peer(const struct rpc_session *s);
const struct pki_facts *rpc_session_peer_facts(const struct rpc_session *s); /* open: of its certificate; else empty */
const char *rpc_session_peer_addr(const struct rpc_session *s);
bool rpc_session_refused(const struct rpc_session *s);  /* in on_close: as net_conn_refused */
bool rpc_session_accepted(const struct rpc_session *s); /* in on_close: as net_conn_accepted */
size_t rpc_session_pending(const struct rpc_session *s);
size_t rpc_session_held(const struct rpc_session *s); /* that, and what has come in of a message that is not whole */
/* Ends it because it holds too much memory: what waits to be sent is dropped. Logged as other endings for the peer's
 * sake. */
void rpc_session_shed(struct rpc_session *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
unsigned
rpc_session_inflight(const struct rpc_session *s); /* the peer's requests without an answer, and streams they became */
void *rpc_session_data(const struct rpc_session *s);
void rpc_session_set_data(struct rpc_session *s, void *data);

/* Calls. params: one msgpack map (copied). timeout_ms 0 = none. */
struct rpc_result {
    const struct error *error; /* NULL = done */
    struct mp result;          /* borrowed for the callback */
    bool sent;                 /* on error: the request may have reached the peer */
};
typedef void rpc_result_cb(const struct rpc_result *result, void *data);
void rpc_call(struct rpc_session *s, const char *method, struct str params, int64_t timeout_ms, rpc_result_cb *cb,
              void *data);
int rpc_notify(struct rpc_session *s, const char *method, struct str params); /* 0, ERR_BUSY, ERR_CLOSED */

/* Requests. The session may be gone when the answer comes: then it is dropped. */
struct rpc_session *rpc_request_session(struct rpc_request *r); /* NULL if gone */
struct str rpc_request_method(const struct rpc_request *r);
struct mp rpc_request_params(const struct rpc_request *r);
void rpc_reply(struct rpc_request *r, struct str result);             /* one msgpack document; consumes r */
void rpc_reply_error(struct rpc_request *r, const struct error *err); /* consumes r */

/* Streams. */
struct rpc_stream_events {
    /* Opener's side only: the peer accepted (before any data). result: the map with "stream". May be NULL. */
    void (*on_open)(struct rpc_stream *st, struct mp result, void *data);
    void (*on_data)(struct rpc_stream *st, struct mp payload, size_t payload_bytes, void *data);
    void (*on_writable)(struct rpc_stream *st, void *data); /* credit came after a write was refused; may be NULL */
    /* The peer's side ended, the call was refused, or the session closed. err NULL = regular end. Exactly once. If our
     * side has not ended yet it must still be ended (rpc_stream_end); the stream is freed when both sides are over. */
    void (*on_end)(struct rpc_stream *st, const struct error *err, void *data);
};
struct rpc_stream *rpc_stream_open(struct rpc_session *s, const char *method, struct str params,
                                   const struct rpc_stream_events *events, void *data);
/* Answer a request with a stream. Consumes r. NULL if the session is gone (then no event comes). */
struct rpc_stream *rpc_stream_accept(struct rpc_request *r, const struct rpc_stream_events *events, void *data);
/* payload: one msgpack document. 0, or ERR_BUSY: not sent, no credit left; wait for on_writable. A payload larger than
 * the credit left is sent if any credit is left at all (so large items pass), and the credit goes below zero. Also
 * ERR_BUSY while the peer has not yet accepted, or send_max is reached. ERR_CLOSED when a side or the session is over,
 * ERR_TOO_LARGE for what no message can hold. */
int rpc_stream_write(struct rpc_stream *st, struct str payload);
/* We have dealt with n payload bytes: gives the peer new credit. Call it for all bytes seen in on_data, at once or
 * later. */
void rpc_stream_consumed(struct rpc_stream *st, size_t n);
/* End our side (once), with an error or NULL. After it no further on_data is delivered; on_end comes if it has not yet.
 * After both this and on_end the stream is gone: do not touch it again. There is no half-close: who ends no longer
 * reads. */
void rpc_stream_end(struct rpc_stream *st, const struct error *err);
struct rpc_session *rpc_stream_session(struct rpc_stream *st); /* NULL if gone */

/* The error map of responses, also used inside stream payloads. */
void rpc_write_error(struct buf *out, const struct error *err);
void rpc_read_error(struct mp m, struct error *err);

#endif
