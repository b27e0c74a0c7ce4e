/* Talking to a cluster from a program that does one thing at a time: calls that block, over a libuv loop of their own.
 *
 * An api knows all masters of a cluster and holds one session to one of them. A master keeps a request that meets an
 * election until there is a leader (timeoutMs tells it how long we wait); a call that meets a dead, silent or deposed
 * master goes on with the next one. So an error is a refusal, or the deadline, or that a majority of the masters is
 * known to be dead. Writes carry a transaction id, so repeating them cannot do them twice; only when the deadline
 * passes with the outcome open is the answer ERR_UNKNOWN_OUTCOME. Not thread-safe; callbacks run inside the blocking
 * call. */
#ifndef CLIENT_API_API_H
#define CLIENT_API_API_H

#include <stdio.h>
#include <uv.h>

#include "base/buf.h"
#include "base/err.h"
#include "client/api/config.h"
#include "proto/model/msgpack.h"
#include "proto/rpc/rpc.h"
#include "proto/schema/object.h"

#define API_DEADLINE_MS    30000
#define API_CONNECT_MS     3000  /* for a connection and its handshake; twice as long in each later round */
#define API_CONNECT_ROUNDS 2u    /* up to so many times */
#define API_PROBE_MS       1000  /* while a request has no answer, its master is asked this often how it is */
#define API_SILENT_MS      2500  /* without an answer to that the next master is tried; longer in later rounds */
#define API_REFUSED_MS     1500  /* give up when nobody takes a connection at any master's address for this long */
#define API_DEAD_MS        3000  /* give up when for this long all have refused, or said that they are no majority */
#define API_DEAD_PROBES    2u    /* so many times a master must say that */
#define API_BUSY_MS        15000 /* a stream that is refused because something is not ready: give up after so long */
#define API_TELL_MS        2000  /* then a person is told what is waited for */

/* What rctl exits with. */
enum exit_code {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_CONFLICT = 3,
    EXIT_UNKNOWN = 4,
    EXIT_NOT_FOUND = 5,
    EXIT_DENIED = 6,
    EXIT_NO_QUORUM = 7,
};
enum exit_code exit_code_of(int err_code);

struct api;
/* Does not connect yet; the first call does. ERR_INVALID if the certificates are unusable. deadline_ms: how long a call
 * may take over all its attempts. notes: lines about attempts go to stderr. The target is copied. */
int api_new(const struct config_target *target, int64_t deadline_ms, bool notes, struct api **out, struct error *err);
/* Closes the session and frees; NULL is fine. A session that does not close in half a second is left open. */
void api_free(struct api *a);
uv_loop_t *api_loop(struct api *a);
/* Lines about what is waited for ("waiting: the masters are electing a leader") go there when it takes long. NULL:
 * nowhere. */
void api_tell(struct api *a, FILE *to);
/* All requests from now on are made as somebody else: {user, ?groups, ?uid}, a map (proto/rpc/api.h). */
void api_set_as(struct api *a, const struct value *as);
/* Sends all calls from now on to this address only ("cluster status" asks each member). NULL: back to all. */
void api_pin(struct api *a, const char *address);

struct api_reply {
    struct buf bytes;
    struct mp result; /* in bytes */
};
void api_reply_close(struct api_reply *r);
#define CLEANUP_REPLY __attribute__((cleanup(api_reply_close)))

/* params: a map. 0 with the answer in *out, which the caller closes, also after an error. A negative code: what a
 * master refused (api_refused), that no master answers, or that the deadline has passed. ERR_TOO_LARGE at once: more
 * than API_ELEMENTS_MAX elements, or RPC_MESSAGE_MAX bytes. err may be NULL. */
int api_read(struct api *a, const char *method, const struct value *params, struct api_reply *out, struct error *err);
/* The same with a transaction id added to params (in place, memory from arena). ERR_UNKNOWN_OUTCOME: the deadline has
 * passed, and what was asked for may have been done. */
int api_write(struct api *a, struct arena *arena, const char *method, struct value *params, struct api_reply *out,
              struct error *err);
/* The standing (proto/pki/pki.h) of a certificate that the masters sign now, as the one in use told when the connection
 * was made; "" if it has not, or not yet. */
const char *api_standing(const struct api *a);
/* Masters whose certificates count no more, in the words of PKI_REFUSED_MAX (proto/pki/pki.h), as the leader told when
 * the connection was made. Borrowed; NULL: the leader has not told. */
const char *api_refused_masters(const struct api *a);
/* The last error came from a master's answer (and not from the network or from here). */
bool api_refused(const struct api *a);

/* ---- Objects ---- */

/* One object, the caller's reference. stale: any master may answer from what it has, which may be old. ns counts only
 * for kinds with namespaces. ERR_NOT_FOUND. */
int api_get(struct api *a, const struct kind *k, const char *ns, const char *name, bool stale, struct object **out,
            struct error *err);
struct api_list_query {
    const struct kind *kind;
    const char *ns;                              /* NULL = all */
    const char *label_selector, *field_selector; /* NULL = none */
    bool stale;
    unsigned limit; /* of one page; 0 = API_LIST_LIMIT_DEFAULT */
};
struct api_list {
    struct object **items;
    unsigned count, cap;
    uint64_t revision;
};
void api_list_close(struct api_list *l);
#define CLEANUP_LIST __attribute__((cleanup(api_list_close)))
/* All pages. out is added to, so that several kinds can be collected. */
int api_list(struct api *a, const struct api_list_query *q, struct api_list *out, struct error *err);

/* ---- Watches ---- */

enum api_event { API_ADDED, API_MODIFIED, API_DELETED, API_SYNCED };
/* SYNCED (o NULL) comes once, when everything that was there at the start has been told. The object is borrowed. False
 * ends the watch. */
typedef bool api_watch_cb(enum api_event type, const struct object *o, uint64_t revision, void *data);
/* Tells first what is there (ADDED), then what happens, in order, once each, also across the failure of masters: a
 * broken stream is resumed behind the last revision seen; if that is too old, what is there is compared with what was
 * told. 0 when cb ended it, ERR_TIMEOUT when timeout_ms (0 = none) has passed, or the error that made going on
 * senseless. */
int api_watch(struct api *a, const struct api_list_query *q, int64_t timeout_ms, api_watch_cb *cb, void *data,
              struct error *err);

/* ---- Streams ---- */

/* For programs that open streams by themselves, many at once: the session now in use, or a new one that is still
 * connecting (streams opened on it wait). Streams end by their own on_end when it fails. */
struct rpc_session *api_session(struct api *a);

/* One stream at a time, opened with the same patience as a call: masters that are down or do not lead are passed
 * over. */
struct api_stream;
struct api_stream_events {
    void (*on_data)(struct mp payload, void *data); /* credit is given back when it returns */
    void (*on_writable)(void *data);                /* may be NULL */
};
int api_stream_open(struct api *a, const char *method, const struct value *params,
                    const struct api_stream_events *events, void *data, struct api_stream **out, struct error *err);
/* payload: one msgpack document. 0, ERR_BUSY (wait for on_writable), ERR_CLOSED. */
int api_stream_write(struct api_stream *s, struct str payload);
/* Tells the other side that nothing more will be written; what it sends still arrives. */
void api_stream_finish(struct api_stream *s);
/* Becomes true when the other side has ended; for api_run(). */
const bool *api_stream_ended(const struct api_stream *s);
/* Ends and frees it. Returns 0, or the code with which the other side ended (err filled). NULL is fine. */
int api_stream_close(struct api_stream *s, struct error *err);
/* While something long goes on over the session (counted): the master is asked now and then whether it is there; one
 * that does not answer for API_PING_LATE_MS is hung up on, so that streams end and can be resumed elsewhere. movable:
 * so is one that has known no leader for API_PING_LEADERLESS pings, because what it tells is old. */
#define API_PING_MS         5000
#define API_PING_LATE_MS    15000
#define API_PING_LEADERLESS 3u
void api_ping_start(struct api *a, bool movable);
void api_ping_stop(struct api *a, bool movable);

/* ---- Logs ---- */

/* A container's log, whole: a stream that is cut (a master dies, the agent restarts) goes on at the place where it was,
 * with no line lost and none doubled; where lines are gone from the node meanwhile, on_note says it. Several at once
 * share the session. Callbacks come from the loop. */
struct api_log;
struct api_log_events {
    void (*on_text)(struct str text, void *data);  /* in pieces, not in lines */
    void (*on_note)(const char *text, void *data); /* for stderr; may be NULL */
};
#define API_LOG_PATIENCE_MS 60000 /* a log that was followed is tried to be resumed for so long */
/* params: of `logs` (proto/rpc/api.h), without places and after; copied. */
struct api_log *api_log_open(struct api *a, const struct value *params, const struct api_log_events *events,
                             void *data);
const bool *api_log_ended(const struct api_log *l); /* for api_run() */
/* Ends and frees it. 0, or why it ended (err filled). */
int api_log_close(struct api_log *l, struct error *err);

/* Run the loop until *done, or for timeout_ms (0 = for ever). False on timeout. */
bool api_run(struct api *a, const bool *done, int64_t timeout_ms);

#endif
