/* A channel: payloads in two directions that go on over a succession of rpc streams, with none lost, doubled or out of
 * order. For exec, attach and port-forward, whose streams lead over a master that may die while the node and the client
 * live.
 *
 * Positions are bytes of payload since the beginning, of one direction. Each side keeps what it has sent and the other
 * has not dealt with; when the stream is another one, both say how far they have come, and what is missing is sent
 * again from there. The client opens every stream of a channel with the same parameters and `resume` (proto/rpc/api.h):
 * a token that it has chosen, the number of the try, and what it has received. Payloads that are arrays are the
 * channel's own, all others are the user's:
 *
 *   [0, N]        I have dealt with N bytes: you need not keep them, and may send more
 *   [1, error]    this side has nothing more to send, ever; nil = a regular end. Who hears it ends the stream
 *   [2, N]        the node's first payload on a stream: I know channels, and have received N bytes
 *
 * A node that knows no channels never says [2, N]: then channel_set_plain() and all is as it is without.
 * Laws: what channel_write took is delivered once, in order, however often the stream is cut, as long as both sides
 * live; who sends more than the window, acknowledges what was not sent, or asks for what is not kept, is refused. Held
 * at most: CHANNEL_WINDOW and one payload in each direction, for a sender and for a receiver that does not deal with
 * it, whatever the peer does. Pure: no clock, no loop. The owner moves payloads (channel_next, channel_took) and
 * knows which stream is in use. */
#ifndef PROTO_RPC_CHANNEL_H
#define PROTO_RPC_CHANNEL_H

#include "base/buf.h"
#include "base/err.h"
#include "proto/model/msgpack.h"

#define CHANNEL_WINDOW   (1u << 20)  /* of one direction: sent and not dealt with */
#define CHANNEL_ACK_STEP (64u << 10) /* dealt with and not said; also what an idle sender keeps at most */
#define CHANNEL_TOKEN    16u         /* bytes, random */

struct channel {
    struct {
        struct buf kept; /* payloads: u32 length, bytes; the first one begins at position `from` */
        size_t next_at;  /* offset in kept of the next one to be sent */
        uint64_t from, next, end;
        uint64_t sent;  /* the highest `next` of all streams */
        uint64_t acked; /* dealt with by the peer */
        bool refused;   /* a write; there may be room again */
        bool over, over_sent;
        struct error *why; /* NULL: a regular end */
    } out;
    struct {
        uint64_t received, consumed, told;
        bool over;
    } in;
    bool known;     /* the peer knows channels */
    bool plain;     /* nothing is kept any more; it cannot be resumed */
    bool waiting;   /* nothing goes out before the peer has said how far it has come */
    bool greet;     /* we have to say it */
    int next_kind;  /* of channel_next */
    struct buf own; /* one of our own payloads */
};

/* node: the side that is asked, and greets. The other one may send before it hears whether the peer knows channels. */
void channel_init(struct channel *c, bool node);
void channel_close(struct channel *c);

/* ---- Out ---- */

/* 0, ERR_BUSY (the window is full; channel_room tells when to try again), ERR_CLOSED (channel_end was called),
 * ERR_TOO_LARGE. */
int channel_write(struct channel *c, struct str payload);
void channel_end(struct channel *c, const struct error *why); /* once; goes out behind what was written */
bool channel_room(struct channel *c);                         /* true once after a refused write, when there is room */
/* The next payload for the stream, borrowed until channel_took or another call. False: nothing to send. */
bool channel_next(struct channel *c, struct str *payload);
void channel_took(struct channel *c); /* the stream has taken it */

/* ---- In ---- */

enum channel_got {
    CHANNEL_DATA,  /* the user's: channel_consumed when it is dealt with */
    CHANNEL_OWN,   /* dealt with */
    CHANNEL_ENDED, /* the peer has nothing more to send, in err: why (code 0: a regular end) */
    CHANNEL_BAD,   /* against the rules, in err: how */
};
enum channel_got channel_in(struct channel *c, struct mp payload, struct error *err);
void channel_consumed(struct channel *c, size_t n);

/* ---- Streams come and go ---- */

/* The stream is gone. What was on its way is sent again when there is another one: the asking side waits for the
 * node's greeting. */
void channel_cut(struct channel *c);
uint64_t channel_received(const struct channel *c); /* to be told when the next stream is opened */
/* The node's side, a new stream: the peer has received so much. 0, or ERR_USAGE with nothing changed. */
int channel_resume(struct channel *c, uint64_t received, struct error *err);
/* The peer knows no channels, or it cannot be waited for: what was sent need not be kept. */
void channel_set_plain(struct channel *c);

#endif
