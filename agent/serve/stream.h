/* A stream of exec, attach or port-forward as its owner sees it: an rpc stream, or a channel (proto/rpc/channel.h) over
 * several of them when the client asked for that with `resume`. Same contract as rpc_stream_*, so the owner need not
 * know which.
 *
 *   WIRED --the session to the master is lost, or the master says that another one was--> CUT --the client comes over
 *   another master--> WIRED
 *     |                                                              |
 *     | the client has ended it, or is gone                          | nobody came in agent_config.cut_ms
 *     \------------------------> over: on_end <---------------------/
 *
 * While it is CUT the command runs on: what it prints is kept up to the channel's window, then it waits. */
#ifndef AGENT_SERVE_STREAM_H
#define AGENT_SERVE_STREAM_H

#include "proto/rpc/rpc.h"

#define SERVE_CUT_MAX    256u /* streams of an agent that are CUT; what is cut beyond is over at once */
#define SERVE_TARGET_MAX 640u

struct agent;
struct serve_stream;
struct serve_stream_events {
    void (*on_data)(struct serve_stream *st, struct mp payload, size_t payload_bytes, void *data);
    void (*on_writable)(struct serve_stream *st, void *data);
    /* Nobody reads any more. Exactly once; our side must still be ended if it was not. err: NULL, or why. */
    void (*on_end)(struct serve_stream *st, const struct error *err, void *data);
};

/* A request with `resume` that goes on with a stream that is here, or cannot: answered, true. False: it begins anew (or
 * has no `resume`). target: what the stream leads to, as the request names it; a token is good for that alone, for the
 * pod that had the name then, and for the user who began (`asker`, which the master says). */
bool serve_stream_resumed(struct agent *a, struct rpc_request *r, struct mp params, const char *target);
/* Answers the request. uid: of the pod that it leads to. NULL: whoever asked is gone, and no event comes. */
struct serve_stream *serve_stream_accept(struct agent *a, struct rpc_request *r, struct mp params, const char *target,
                                         const char *uid, const struct serve_stream_events *events, void *data);
int serve_stream_write(struct serve_stream *st, struct str payload); /* 0, ERR_BUSY (on_writable comes), ERR_CLOSED */
void serve_stream_consumed(struct serve_stream *st, size_t payload_bytes);
void serve_stream_end(struct serve_stream *st, const struct error *err); /* once; freed after it and on_end */
/* The agent stops: those that are CUT are over. */
void serve_streams_close(struct agent *a);
/* "METHOD NAMESPACE/NAME WHICH"; false: longer than any that can be. */
bool serve_target(char out[SERVE_TARGET_MAX], const char *method, struct mp params, struct str which);

#endif
