/* Inside of the rpc files: what rpc/session.c, rpc/call.c and rpc/stream.c share. */
#ifndef PROTO_RPC_RPC_INT_H
#define PROTO_RPC_RPC_INT_H

#include "base/list.h"
#include "proto/rpc/codec.h"
#include "proto/rpc/rpc.h"

/* ---- Things found by their 32-bit id (rpc/table.c) ---- */

struct rpc_node {
    struct rpc_node *next; /* in its slot */
    uint32_t id;
};
struct rpc_table {
    struct rpc_node **slots; /* none while the table is empty */
    uint32_t size, count;
};
struct rpc_node *rpc_table_find(const struct rpc_table *t, uint32_t id);
void rpc_table_add(struct rpc_table *t, struct rpc_node *n); /* n->id is set and not in there */
void rpc_table_remove(struct rpc_table *t, struct rpc_node *n);
void rpc_table_close(struct rpc_table *t);

/* ---- Sessions ----
 *
 *   CONNECTING --> OPEN --> CLOSING --> ENDED --> on_close, freed
 *       |                     ^
 *       +---------------------+
 *
 * CLOSING: we asked the connection to close. ENDED: the connection is gone, everybody is being told. */
enum rpc_state { RPC_CONNECTING, RPC_OPEN, RPC_CLOSING, RPC_ENDED };

struct rpc_session {
    struct net_conn *conn; /* NULL from ENDED on */
    uv_loop_t *loop;
    uv_timer_t timer;    /* for the earliest of all deadlines */
    int64_t timer_at_ms; /* 0 = not armed */
    enum rpc_state state;
    struct rpc_config config;
    struct rpc_stats *stats, own_stats;
    /* In. */
    struct rpc_scan scan;
    struct buf in; /* the beginning of a message */
    bool paused;
    struct rpc_request *current; /* in on_request; NULL as soon as it is answered */
    /* Ours. */
    uint32_t last_id;
    struct rpc_table calls;
    struct list calls_list; /* sent or waiting, in order */
    struct list waiting;    /* for the connection to open */
    size_t waiting_bytes;
    struct list failing;     /* failed at once, not yet told */
    struct rpc_table opened; /* streams we opened, from the answer on */
    /* Theirs. */
    struct rpc_table requests;
    struct list requests_list;
    struct rpc_table accepted; /* streams we answered with */
    struct list streams_list;  /* of both tables */
    /* Out. */
    struct buf head;
    int64_t stuck_since_ms;        /* 0 = not above send_max */
    struct error *why;             /* set: ended by an error of this layer, or by the connection */
    struct pki_identity *peer_was; /* kept for callbacks when the connection is gone */
    char *addr_was;
    bool refused, reached;
};

int64_t rpc_now(const struct rpc_session *s);
void rpc_arm(struct rpc_session *s, int64_t at_ms); /* the timer, not later than this */
/* End the session because of what the peer did (or does not do). Counted and logged. The first reason counts. */
void rpc_session_fail(struct rpc_session *s, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* A message: what is in s->head, then tail. Only in OPEN. */
void rpc_send(struct rpc_session *s, struct str tail);
bool rpc_send_is_full(const struct rpc_session *s);

/* ---- Calls and requests (rpc/call.c) ---- */

struct rpc_call {
    struct rpc_node node;
    struct list link;      /* calls_list or failing */
    struct list wait_link; /* waiting */
    struct buf bytes;      /* the message while it waits */
    rpc_result_cb *cb;     /* NULL for a notification that waits, and for a stream's call */
    void *data;
    struct rpc_stream *stream;
    int64_t deadline_ms; /* 0 = none */
    int code;            /* in failing: why */
    bool sent;
};
void rpc_call_start(struct rpc_session *s, struct rpc_call *c, const char *method, struct str params,
                    int64_t timeout_ms);
void rpc_calls_open(struct rpc_session *s);                   /* send what waited */
void rpc_calls_expire(struct rpc_session *s, int64_t now_ms); /* ends calls that are late; arms for the next one */
void rpc_calls_close(struct rpc_session *s, const struct error *why);
void rpc_on_response(struct rpc_session *s, const struct rpc_message *m);
void rpc_on_request(struct rpc_session *s, const struct rpc_message *m);
void rpc_requests_close(struct rpc_session *s);
/* p: the beginning of a message that will not be read. If it is a request whose id and method are in that part, it is
 * answered with ERR_TOO_LARGE and this text. */
void rpc_refuse_unread(struct rpc_session *s, const uint8_t *p, size_t n, const char *text);
/* The head of [1, id, nil, and of the request's answer: for a stream. Consumes r; its session must be there. */
void rpc_request_free(struct rpc_request *r);

struct rpc_request {
    struct rpc_node node;
    struct list link;
    struct rpc_session *session;
    struct str method;
    struct mp params;
    uint8_t *copy; /* of method and params, once the message they came in is gone */
};

/* ---- Streams (rpc/stream.c) ---- */

struct rpc_stream {
    struct rpc_node node;
    struct list link; /* streams_list while in one of the tables */
    struct rpc_session *session;
    struct rpc_stream_events events;
    void *data;
    bool opener; /* we made the request: our side is 0 */
    bool open;   /* accepted */
    bool local_ended, peer_ended;
    bool want_write; /* a write was refused */
    unsigned busy;   /* callbacks of it that are running */
    int64_t send_credit, recv_credit;
    uint64_t unconsumed;     /* delivered and not yet reported by rpc_stream_consumed */
    uint64_t to_credit;      /* reported and not yet told to the peer */
    struct error *end_error; /* of our end, while the answer is not there yet */
};
void rpc_stream_answered(struct rpc_stream *st, const struct rpc_result *result);
/* stream.data, stream.credit, stream.end; false if it is another method. */
bool rpc_on_stream_message(struct rpc_session *s, const struct rpc_message *m);
void rpc_streams_drained(struct rpc_session *s);
void rpc_streams_close(struct rpc_session *s, const struct error *why);

#endif
