/* One connection of HTTP/1.1. It answers one request after the other: what comes behind the request that is being
 * answered is kept, at most REST_AHEAD_MAX of it, and read when it is its turn.
 *
 * The core knows no socket: bytes leave through a struct rest_wire. Calls know their connection until it is gone.
 *
 * Bounds: a body (REST_BODY_MAX; of strangers MASTER_STRANGER_MESSAGE_MAX), what waits to be sent (lists and streams
 * stop at REST_SEND_HIGH and go on when the peer has read), how long it takes nothing (REST_STUCK_MS; of what somebody
 * reads, logs and streams, REST_PATIENT_MS), sends half a request (REST_HALF_MS), or asks for nothing (REST_IDLE_MS:
 * longer than clients keep connections, which is 90 s in Go). What was sent before it closes goes out within the same
 * bounds. */
#ifndef MASTER_REST_CONN_H
#define MASTER_REST_CONN_H

#include "base/list.h"
#include "master/master.h"
#include "proto/http/http.h"

#define REST_BODY_MAX   (3u << 20)       /* Kubernetes' limit of a request */
#define REST_VALUES_MAX API_ELEMENTS_MAX /* that a body may have: as a message of msgpack-RPC */
#define REST_AHEAD_MAX  (64u << 10)
#define REST_SEND_HIGH  NET_LOW_WATER /* so that it is told when there is room again */
#define REST_STUCK_MS   30000
#define REST_PATIENT_MS (4 * 3600 * INT64_C(1000)) /* as a kubelet's */
#define REST_HALF_MS    30000
#define REST_IDLE_MS    180000

struct rest_call;
struct rest_wire {
    void (*send)(void *data, const void *p, size_t n); /* copies */
    /* The bytes of b from `at` on, taken over: b is empty afterwards. NULL: they are sent. */
    void (*give)(void *data, struct buf *b, size_t at);
    size_t (*pending)(const void *data);
    bool (*waits)(const void *data); /* for its turn to be sent: its peer can take nothing. NULL: it never does */
    void (*pause)(void *data, bool paused);
    size_t (*untaken)(const void *data); /* pending, and what the peer has not got of what has left */
    /* What was sent goes out, while the peer takes some of it every patience_ms; rest_conn_gone comes later. */
    void (*close)(void *data, int64_t patience_ms);
    void (*abort)(void *data); /* the same, at once, whatever waits */
    /* Who came as a stranger has proven who he is. False: there is no place for him. NULL: there always is. */
    bool (*proven)(void *data, const struct pki_identity *who);
    void (*be_patient)(void *data); /* the peer may take nothing for long; NULL: it may anyway */
};
struct rest_conn {
    struct list link; /* master.https */
    struct session *session;
    const struct rest_wire *wire;
    void *wire_data;
    struct http_in in;
    struct buf ahead;
    struct rest_call *call; /* NULL: none is being answered */
    struct principal
        *who; /* bearer.c: of the token of the request that is being read or answered; NULL: the session's */
    struct error *denied; /* why its token is not taken; NULL: it is, or there is none */
    bool feeding, closing, paused;
    bool dropped;                     /* closing, and nobody waits for the peer to take what was sent */
    bool upgraded;                    /* bytes are the call's (rest_call_feed) */
    bool patient;                     /* what is answered is read by somebody: REST_PATIENT_MS */
    uint64_t sent_bytes, taken_bytes; /* by the peer, when last looked at */
    int64_t taken_ms;                 /* when it last took some, or had nothing to take */
    int64_t since_ms;                 /* the request that is half here began; or the last one was answered */
};

struct rest_conn *rest_conn_new(struct session *s, const struct rest_wire *wire, void *wire_data);
void rest_conn_feed(struct rest_conn *c, const void *p, size_t n);
void rest_conn_drained(struct rest_conn *c); /* what waits to be sent has fallen below REST_SEND_HIGH */
void rest_conn_gone(struct rest_conn *c);    /* the connection is over: ends its streams, and frees it */
void rest_conn_tick(struct rest_conn *c, int64_t now_ms);

/* The head of a request is whole: who asks (bearer.c). False: its body is larger than he may send. */
bool rest_conn_who(struct rest_conn *c);

/* ---- For calls ---- */

void rest_conn_send(struct rest_conn *c, struct str bytes);
void rest_conn_give(struct rest_conn *c, struct buf *b, size_t at); /* what stands in b from `at` on; b is empty then */
bool rest_conn_is_full(const struct rest_conn *c);
/* Its call is answered. keep: there may be another one; else it closes. */
void rest_conn_done(struct rest_conn *c, bool keep);
/* The call's answer is read by somebody, who may take his time: REST_PATIENT_MS instead of REST_STUCK_MS, until the
 * next request. */
void rest_conn_be_patient(struct rest_conn *c);
size_t rest_conn_untaken(const struct rest_conn *c); /* bytes sent that the peer does not have */
/* Its call has said 101: what comes from now on is its (rest_call_feed). patient: as rest_conn_be_patient. */
void rest_conn_upgraded(struct rest_conn *c, bool patient);
void rest_conn_pause(struct rest_conn *c, bool paused); /* of one that is, or is being, upgraded */
/* The answer cannot be ended well: cuts it. */
void rest_conn_cut(struct rest_conn *c);

#endif
