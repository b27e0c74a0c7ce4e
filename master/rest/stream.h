/* exec, attach and port-forward over HTTP: a request whose connection becomes a bundle of channels, in SPDY/3.1 or
 * WebSocket, tied to streams of the agent (proto/rpc/api.h: pod.exec, pod.attach, pod.portforward).
 *
 *   stream.c          the request: what it asks for, what is agreed on, the 101, the end; how long each takes
 *   stream_spdy.c     channels as streams of SPDY, on the connection or in a tunnel of WebSocket
 *   stream_ws.c       channels as messages of WebSocket whose first byte is the channel
 *   stream_exec.c     what exec and attach do with them;  stream_forward.c   what port-forward does
 *   stream_node.c     the agent's end
 *
 *   ASKED --the agent has accepted (exec, attach), or the pod is there (port-forward)--> 101, OPEN
 *     | refused: a Status, as of any request                         | all is said, or it cannot go on
 *     v                                                              v
 *   (answered)                         ENDING --the client hangs up, or STREAM_LINGER_MS after it has taken all-->
 *
 * Nothing is begun for who does not get his 101 but a command whose client has gone meanwhile; it is ended then.
 *
 * Bounds. What the client sends and the pod does not take is held up to STREAM_HELD_MAX and a read more, then the
 * connection is not read. What the pod says is acknowledged when the connection has room (REST_SEND_HIGH), so what is
 * held of an agent's stream is its window at most (RPC_STREAM_WINDOW). A client that is quiet, and has nothing to
 * read, for STREAM_IDLE_MS is told so and closed; so is one that takes nothing of what stays behind at the end. Loop
 * thread only. */
#ifndef MASTER_REST_STREAM_H
#define MASTER_REST_STREAM_H

#include "master/rest/call.h"
#include "proto/rpc/rpc.h"
#include "proto/spdy/spdy.h"
#include "proto/websocket/websocket.h"

#define STREAM_SETUP_MS     30000 /* for the channels that were asked for, as Kubernetes' */
#define STREAM_IDLE_MS      REST_PATIENT_MS
#define STREAM_LINGER_MS    5000
#define STREAM_YOUNG_MS     60000 /* an attach to a container that began since shows all that it has said */
#define STREAM_CHANNELS_MAX 256u
#define STREAM_PORTS_MAX    16u /* that a WebSocket can name */
#define STREAM_HELD_MAX     (256u << 10)
#define STREAM_TEXT_MAX     (256u << 10) /* of a message in base64 */

enum stream_use { STREAM_ERROR, STREAM_STDIN, STREAM_STDOUT, STREAM_STDERR, STREAM_RESIZE, STREAM_DATA, STREAM_USES };

struct rest_stream;
struct stream_channel {
    struct list link; /* rest_stream.channels */
    struct rest_stream *stream;
    uint32_t id; /* SPDY's stream, WebSocket's channel */
    enum stream_use use;
    uint16_t port;          /* of a port-forward */
    char request[24];       /* which of its connections */
    bool in_over, out_over; /* nothing comes any more; nothing is sent */
    bool reset;             /* both, and the client has thrown it away */
    void *owner;            /* the application's */
};

/* How channels travel. */
struct stream_carrier {
    void (*begin)(struct rest_stream *s); /* behind the 101 */
    void (*feed)(struct rest_stream *s, const uint8_t *p, size_t n);
    void (*write)(struct stream_channel *ch, struct str bytes, bool fin);
    void (*end)(struct rest_stream *s, const char *why); /* the last word. why NULL: all is said */
};
extern const struct stream_carrier stream_spdy, stream_ws;

/* What they are for. */
struct stream_app {
    void (*here)(struct rest_stream *s);     /* whoever asks may: goes on to stream_upgrade, or fails the errand */
    bool (*open)(struct stream_channel *ch); /* false: it is not wanted */
    void (*data)(struct stream_channel *ch, struct str bytes);
    void (*fin)(struct stream_channel *ch); /* in_over, or reset */
    void (*drained)(struct rest_stream *s); /* the connection has room again */
    bool (*waits)(struct rest_stream *s);   /* for channels that the client has to make */
    void (*lost)(struct rest_stream *s);    /* nobody is there any more: lets go of the agent */
};
extern const struct stream_app stream_exec, stream_forward;

enum stream_state { STREAM_ASKED, STREAM_OPEN, STREAM_ENDING };
struct stream_verb;
struct stream_protocol;
struct stream_node;
struct rest_stream {
    struct rest_call *call;
    const struct stream_verb *verb;
    const struct stream_app *does;
    const struct stream_protocol *protocol;
    enum stream_state state;
    bool by_get, may_get; /* GET: the right to read it was asked for, and is there */
    struct str key;       /* of WebSocket: what the handshake is answered with */
    /* What the query asks for. */
    struct str container, *command;
    unsigned command_count, ports_count;
    bool wants[STREAM_USES], tty;
    uint16_t ports[STREAM_PORTS_MAX];
    /* Open. */
    struct list channels;
    unsigned channels_count;
    size_t held; /* bytes of the client's that nobody has taken */
    size_t kept; /* of the pod's for channels that are not there yet */
    int64_t since_ms, active_ms, until_ms;
    size_t untaken;   /* ENDING: what the client did not have when last looked at */
    uint32_t last_id; /* SPDY: the client's last stream */
    struct spdy_in spdy_in;
    struct spdy_out spdy_out;
    struct ws_in ws_in;
    struct buf text;     /* WebSocket: a message in base64 */
    unsigned close_code; /* WebSocket: to end with; 0: as the reader says */
    unsigned ws_head;    /* bytes of the message's head that have come: the channel, and the one that it closes */
    uint8_t ws_channel;
    void *app; /* the application's own */
};

/* ---- stream.c, for the others ---- */

/* What has been agreed on. */
unsigned stream_level(const struct rest_stream *s); /* 1 to 5: of v4.channel.k8s.io 4 */
bool stream_is_base64(const struct rest_stream *s);
bool stream_is_tunnel(const struct rest_stream *s);
bool stream_is_ws(const struct rest_stream *s);
/* The agent's parameters, as one map. port 0: none. */
void stream_write_params(const struct rest_stream *s, struct buf *b, unsigned port);
const char *stream_method(const struct rest_stream *s);      /* "exec": as masters call it */
const char *stream_node_method(const struct rest_stream *s); /* "pod.exec": as agents do */
unsigned stream_flags(const struct rest_stream *s);          /* method_flags: of the request in the masters' language */
const char *stream_access(const struct rest_stream *s);      /* "create pods/exec" */

void stream_upgrade(struct rest_stream *s);  /* says 101; the errand is over */
void rest_stream_end(struct rest_stream *s); /* all is said */
void stream_fail(struct rest_stream *s, const char *why);
void stream_hold(struct rest_stream *s, size_t more, size_t less); /* the client's bytes */
bool stream_is_full(const struct rest_stream *s);

struct stream_channel *stream_channel_new(struct rest_stream *s, uint32_t id, enum stream_use use);
void stream_channel_free(struct stream_channel *ch);
struct stream_channel *stream_channel_by_id(struct rest_stream *s, uint32_t id);
void stream_write(struct stream_channel *ch, struct str bytes, bool fin); /* ch NULL, or over: nothing */

/* ---- stream_spdy.c, for tunnels ---- */

void stream_spdy_feed(struct rest_stream *s, const uint8_t *p, size_t n);

/* ---- stream_ws.c ---- */

void stream_ws_message(struct rest_stream *s, struct str bytes);

/* ---- stream_node.c ---- */

struct stream_node_events {
    void (*open)(void *data);
    void (*data)(struct mp payload, size_t bytes, void *data); /* give them back: stream_node_took */
    void (*writable)(void *data);
    void (*end)(const struct error *err, void *data); /* the last one; the node's end is gone behind it */
};
/* The pod's agent, where it has a link to this master. NULL: it has none; err, if given, says why: no such pod, no
 * node, no link. */
struct rpc_session *stream_node_link(struct master *m, struct str ns, struct str name, struct error *err);
/* Which container is meant must be clear: ERR_USAGE, with Kubernetes' words, if none is named and there are several, or
 * if the pod has none of that name. A pod that is not known here is nobody's business here: 0. */
int stream_check_container(struct master *m, struct str ns, struct str name, struct str container, struct error *err);
/* relayed: `to` is the leader, and method "forward". */
struct stream_node *stream_node_open(struct rpc_session *to, bool relayed, const char *method, struct str params,
                                     const struct stream_node_events *events, void *data);
int stream_node_write(struct stream_node *n, struct str payload); /* 0, ERR_BUSY (writable comes), ERR_CLOSED */
void stream_node_took(struct stream_node *n, size_t bytes);
void stream_node_leave(struct stream_node *n); /* no event comes any more */
/* An end that came before the agent accepted, as an error of the request. */
void stream_node_refusal(bool relayed, const struct error *err, struct error *out);

#endif
