/* A request over HTTP from its head to its answer. It embeds an errand (front/errand.h), which knows who asks, when and
 * where it is done; what is typed is made in request.c, answered in answers.c.
 *
 * A call that has become a stream (a watch, a log) lives until the stream ends. One whose connection is gone (conn
 * NULL) lives until its errand has come back. */
#ifndef MASTER_REST_CALL_H
#define MASTER_REST_CALL_H

#include "master/front/errand.h"
#include "master/rest/conn.h"
#include "master/rest/form.h"
#include "master/rest/path.h"
#include "master/rest/pretty.h"

enum rest_do {
    REST_DO_GET,
    REST_DO_LIST,
    REST_DO_WATCH,
    REST_DO_CREATE,
    REST_DO_UPDATE,
    REST_DO_PATCH,
    REST_DO_APPLY, /* server-side */
    REST_DO_DELETE,
    REST_DO_CLEAR, /* deletecollection */
    REST_DO_EVICT,
    REST_DO_BIND,
    REST_DO_FINALIZE,
    REST_DO_LOG,
    REST_DO_STREAM, /* exec, attach, port-forward */
    REST_DO_PROXY,
    REST_DO_WHOAMI,
    REST_DO_REVIEW, /* of rights (review.c) */
    REST_DO_METRICS,
    REST_DO_ACCOUNT_TOKEN,
    REST_DO_TOKEN_REVIEW,
    REST_DO_TELL, /* answered by this file's like: discovery, health */
};

#define REST_WARNINGS_MAX 16u

struct rest_log;
struct rest_stream;
struct rest_ws;
struct rest_proxy;
struct rest_call {
    struct errand e;
    struct rest_conn *conn; /* NULL: it is gone */
    struct arena own;       /* as long as the call; what the head says is copied here */
    enum rest_do what;
    struct rest_path path;
    struct rest_options o;
    struct rest_view view;
    enum rest_coding coding;
    enum patch_type patch;
    struct buf body;
    uint8_t id[TXN_ID_SIZE];          /* of a write: a repetition behind an election does nothing twice */
    struct str accept, if_none_match; /* TELL: headers */
    struct str agent;                 /* of User-Agent, up to its first '/' */
    bool keep_alive, chunks;          /* chunks: HTTP/1.1 */
    bool head_only;                   /* HEAD */
    struct value *spec;               /* of a review, for the answer; in the errand's arena */
    bool takes_gzip;
    struct value *warnings; /* of fields that are not known; in `own` */
    struct value *twice;    /* keys that the body has twice, as texts; in the errand's arena */
    struct view *before;    /* CLEAR: what there is before it is done, for the answer; NULL: it has not come to that */
    /* An answer that is written piece by piece. */
    struct buf out;         /* what has not left */
    size_t frame_room;      /* of that, in front, for the head of its chunk */
    struct rest_gzip *gzip; /* that it goes through; NULL: through none */
    bool begun;             /* its head has left */
    bool rows;              /* there is an object in it */
    bool waits;             /* for the peer to read */
    bool is_pretty;         /* JSON is laid out for people */
    struct rest_pretty pretty;
    /* A list in protobuf: its items are counted, and written when it is known how many bytes they have. */
    bool sized;
    size_t items_bytes, written_bytes; /* all, and those of the second walk */
    size_t piece_bytes;                /* of the piece that is being made */
    /* A watch. */
    struct api_stream stream;
    struct watch *watch;    /* NULL: it is none, or it is over */
    struct list ended_link; /* master.https_ended: its stream has ended, and is to be let go */
    bool over, initial_told, columns_told;
    int64_t until_ms, bookmark_ms;
    uint64_t told;      /* the version that was told last */
    struct rest_ws *ws; /* of a watch or a log over WebSocket; NULL: over HTTP */
    struct rest_log *log;
    bool judged; /* LOG: over a follower, as new as the leader: he may, and it is clear which container */
    struct rest_stream *upgrade; /* STREAM */
    struct rest_proxy *proxy;    /* PROXY */
};

static inline struct rest_call *rest_call_of(const struct errand *e)
{
    return CONTAINER_OF(e, struct rest_call, e);
}
static inline struct rest_call *rest_call_of_api(const struct api_call *c)
{
    return rest_call_of(errand_of_api(c));
}

/* Of the request that the connection's reader has whole. */
void rest_call_begin(struct rest_conn *conn);
void rest_call_drained(struct rest_call *c);
void rest_call_tick(struct rest_call *c, int64_t now_ms);
void rest_call_lost(struct rest_call *c);         /* its connection is gone */
size_t rest_call_held(const struct rest_call *c); /* bytes of memory, beside those of its errand */
/* Bytes behind its 101. It may be gone then. */
void rest_call_feed(struct rest_call *c, const void *p, size_t n);

/* ---- Answering: each ends the call (call.c) ---- */

/* One document. type NULL: JSON, which leaves in the form that was asked for. */
void rest_answer(struct rest_call *c, unsigned status, const char *type, const struct buf *body);
/* What is in that form already: its type; NULL: it is JSON. */
const char *rest_type_of(const struct rest_call *c);
void rest_answer_failure(struct rest_call *c, unsigned status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same, of bytes that do not change, with an ETag: nothing but 304 for who has them. */
void rest_answer_kept(struct rest_call *c, const char *type, struct str body, const char *hash);
/* Headers that every answer has, behind its first line; more may follow, then http_put_end. */
void rest_put_head(struct rest_call *c, struct buf *out, unsigned status, const char *type);
/* Of an answer with a head of its own: its status for the audit, and the header Audit-Id if it is recorded. */
void rest_put_audit(struct rest_call *c, struct buf *out, unsigned status);
/* An answer in pieces: the head, with the first of them, then the others. */
void rest_begin(struct rest_call *c, unsigned status, const char *type);
void rest_open_piece(struct rest_call *c, size_t bytes); /* `out` is empty: room in it for so many of the next piece */
void rest_flush(struct rest_call *c);                    /* what stands in `out` */
void rest_end(struct rest_call *c);                      /* the last piece; ends the call */
void rest_call_free(struct rest_call *c);
void rest_call_leave(struct rest_call *c); /* it is over; its connection goes on, or closes */

/* ---- Of the other files ---- */

extern const struct api_front rest_api_front;             /* answers.c */
bool rest_typed(struct errand *e, struct api_request *q); /* request.c */
int rest_peek(struct errand *e, struct api_request *q);
bool rest_is_typed(const struct rest_call *c);
struct api_selection rest_selection(const struct rest_call *c, const struct kind *k);
enum api_verb rest_verb(const struct rest_call *c); /* what rest_typed will make; its body is not read for that */
bool rest_decide(struct rest_call *c, const struct http_request *r); /* dispatch.c. False: it has been answered */
int rest_read_body(struct rest_call *c, struct arena *a, struct value **doc, struct error *err); /* request.c */
/* As whom it is asked (impersonate.c). False: it has been answered. */
bool rest_become(struct rest_call *c, const struct http_request *r);
/* Reviews of rights: what is asked, and what every review is answered with (review.c). */
int rest_make_review(struct rest_call *c, struct arena *a, struct api_request *q, struct error *err);
void rest_write_review(struct rest_call *c, struct buf *out, struct mp m);
/* Tokens (account.c): typed requests of bodies, and their answers. */
int rest_make_account_token(struct rest_call *c, struct arena *a, struct api_request *q, struct error *err);
int rest_make_token_review(struct rest_call *c, struct arena *a, struct api_request *q, struct error *err);
void rest_tell_token(struct rest_call *c, struct mp document);
void rest_tell_openid(struct rest_call *c);
void rest_tell(struct rest_call *c);                                       /* discovery.c */
void rest_tell_openapi(struct rest_call *c);                               /* openapi.c */
void rest_tell_health(struct rest_call *c);                                /* health.c */
void rest_tell_components(struct rest_call *c);                            /* components.c */
void rest_tell_metrics(struct rest_call *c);                               /* metrics.c */
struct api_stream *rest_watch_open(struct api_call *api, struct watch *w); /* watch.c */
void rest_watch_tick(struct rest_call *c, int64_t now_ms);
void rest_watch_lost(struct rest_call *c);
/* The same over WebSocket (watch_ws.c). */
bool rest_ws_decide(struct rest_call *c, const struct http_request *r); /* false: it has been answered */
void rest_ws_begin(struct rest_call *c);
void rest_ws_flush(struct rest_call *c);
void rest_ws_end(struct rest_call *c);
bool rest_ws_closed(const struct rest_ws *ws); /* the client has said Close; NULL: no */
void rest_ws_feed(struct rest_call *c, const void *p, size_t n);
void rest_ws_free(struct rest_ws *ws); /* NULL: nothing */
/* Of what is proxied (proxy.c). */
bool rest_proxy_decide(struct rest_call *c, const struct http_request *r); /* false: it has been answered */
void rest_proxy_start(struct rest_call *c);
const char *rest_proxy_access(struct rest_call *c, struct str *ns, struct str *name);
void rest_proxy_here(struct rest_call *c);
void rest_proxy_drained(struct rest_call *c);
void rest_proxy_lost(struct rest_call *c);
void rest_proxy_free(struct rest_proxy *x); /* NULL: nothing */
/* Logs (log.c): as errand_front asks. */
void rest_log_here(struct rest_call *c); /* at the leader, or wherever the node's link is */
bool rest_log_near(struct rest_call *c); /* a follower; false: nothing was done */
void rest_log_write(struct rest_call *c, struct buf *b);
void rest_log_relay(struct rest_call *c, uint64_t leader, struct str params);
void rest_log_drained(struct rest_call *c);
void rest_log_lost(struct rest_call *c);
void rest_log_close(struct rest_call *c); /* the client has said Close; ends the call */
/* Streams (stream.c): likewise. */
bool rest_stream_decide(struct rest_call *c, const struct http_request *r); /* false: it has been answered */
void rest_stream_start(struct rest_call *c);
const char *rest_stream_access(struct rest_call *c, struct str *ns, struct str *name);
void rest_stream_here(struct rest_call *c);
bool rest_stream_near(struct rest_call *c);
bool rest_stream_write(struct rest_call *c, struct buf *b);
void rest_stream_relay(struct rest_call *c, uint64_t leader, struct str params);
void rest_stream_feed(struct rest_call *c, const void *p, size_t n);
void rest_stream_drained(struct rest_call *c);
void rest_stream_tick(struct rest_call *c, int64_t now_ms);
void rest_stream_lost(struct rest_call *c);
void rest_stream_free(struct rest_stream *s); /* NULL: nothing */
size_t rest_stream_held(const struct rest_stream *s);

#endif
