/* WebSocket for servers: frames of a client out of bytes that come in pieces, frames to be sent, and what the opening
 * handshake is answered with. Pure: no sockets, no clocks.
 *
 * Source: RFC 6455. Read strictly: reserved bits, unknown operations, frames without a mask, lengths that are not the
 * shortest, control frames that are long or in fragments, fragments that do not follow each other, and a Close that is
 * malformed are refused; `code` says what to close with. That text is UTF-8 is the business of who reads it.
 *
 * Messages are handed on piece by piece, whether they come as one frame or in fragments: the reader holds nothing but a
 * control frame, WS_CONTROL_MAX, and the bytes that it was given last, without their mask. */
#ifndef PROTO_WEBSOCKET_WEBSOCKET_H
#define PROTO_WEBSOCKET_WEBSOCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

#define WS_CONTROL_MAX 125u

enum ws_op { WS_CONTINUATION = 0, WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };
enum ws_code { /* why a connection is closed: section 7.4.1 */
               WS_NORMAL = 1000,
               WS_PROTOCOL_ERROR = 1002,
               WS_BAD_DATA = 1007,
               WS_TOO_LARGE = 1009,
               WS_INTERNAL = 1011,
};

/* Borrowed from the reader: until the next ws_in_feed. */
struct ws_event {
    enum ws_op op;    /* WS_TEXT, WS_BINARY: of a message, of whose bytes this is a piece */
    bool first, last; /* piece of it; the last one may be empty */
    struct str data;  /* of PING and PONG as well; of CLOSE the reason */
    unsigned code;    /* CLOSE: 0: none was told */
};
enum ws_step {
    WS_MORE,  /* all bytes were taken, and there is nothing to tell */
    WS_EVENT, /* *e */
    WS_BAD,   /* it never will be anything: close with `code` and `why` */
};
struct ws_in {
    uint8_t head[14];
    unsigned head_size;
    uint64_t left, at; /* of the frame's bytes: how many are to come, and how many have */
    bool in_frame;
    enum ws_op op; /* of the message that is being read; WS_CONTINUATION: none is */
    bool begun;    /* a piece of it was told */
    bool bad;
    uint8_t control[WS_CONTROL_MAX];
    struct buf piece; /* unmasked */
    unsigned code;    /* BAD */
    const char *why;
};
void ws_in_init(struct ws_in *in);
void ws_in_close(struct ws_in *in);
enum ws_step ws_in_feed(struct ws_in *in, const void *bytes, size_t n, size_t *used, struct ws_event *e);

/* One message, or a control frame, in one frame. `more`: bytes of the same message that follow `bytes`, or STR_NONE. */
void ws_put(struct buf *b, enum ws_op op, struct str bytes, struct str more);
void ws_put_close(struct buf *b, unsigned code, const char *why);
/* As a client sends it: a fragment (`last` false) or what is whole, masked. */
void ws_put_masked(struct buf *b, enum ws_op op, bool last, struct str bytes, const uint8_t mask[4]);

/* Sec-WebSocket-Key into Sec-WebSocket-Accept. False: it is not the base64 of 16 bytes. */
bool ws_accept(struct buf *out, struct str key);

#endif
