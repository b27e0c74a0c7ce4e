/* Streams to nodes that go on over another master when theirs is lost (api/channel.c). Any number at once; they share
 * the api's session. Callbacks come from the loop, or, for on_end, out of api_channel_finish. */
#ifndef CLIENT_API_CHANNEL_H
#define CLIENT_API_CHANNEL_H

#include "client/api/api.h"

/* A stream that was cut is resumed, or tried to be, for so long. It is longer than the node keeps the stream
 * (AGENT_CUT_MS): then the node's refusal, which says why, comes first. */
#define API_RESUME_MS 45000

struct api_channel;
struct api_channel_events {
    void (*on_open)(struct api_channel *c, void *data); /* the first time; may be NULL */
    void (*on_data)(struct api_channel *c, struct mp payload, size_t payload_bytes, void *data);
    void (*on_writable)(struct api_channel *c, void *data); /* after a write was refused; may be NULL */
    /* The stream is over; err NULL: its other side has ended it. No further event comes, unless it was never open and
     * api_channel_try is called again. */
    void (*on_end)(struct api_channel *c, const struct error *err, void *data);
};
/* params: a map; copied. Nothing is sent yet. */
struct api_channel *api_channel_new(struct api *a, const char *method, struct str params, bool resumable,
                                    const struct api_channel_events *events, void *data);
/* Opens it, once, with these parameters (those of api_channel_new, and what belongs to this try): on_open or on_end. */
void api_channel_try(struct api_channel *c, struct str params);
/* Opens it, with the patience of a call. */
void api_channel_start(struct api_channel *c);
/* As rpc_stream_write, rpc_stream_consumed. Before it is open a resumable one takes a window's worth. */
int api_channel_write(struct api_channel *c, struct str payload);
void api_channel_consumed(struct api_channel *c, size_t payload_bytes);
/* The caller wants no more: the node is told to end what it does for the stream, and on_end comes. While the stream is
 * cut nobody can be told; the node then ends it after AGENT_CUT_MS. */
void api_channel_finish(struct api_channel *c);
void api_channel_free(struct api_channel *c); /* at any time; no event comes any more. Not from inside on_data */

#endif
