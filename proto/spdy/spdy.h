/* SPDY/3.1 for the streams of kubectl (exec, attach, port-forward): frames out of bytes that come in pieces, and frames
 * to be sent. Pure: no sockets, no clocks.
 *
 * Source: draft-mbelshe-httpbis-spdy-00. Blocks of headers are compressed with zlib, one stream for each direction of
 * a connection, primed with the specification's dictionary (section 2.6.10.1). Those who speak it here have no flow
 * control and take no notice of SETTINGS and WINDOW_UPDATE: what holds a writer back is that its connection is not
 * read.
 *
 * Refused, and the reader reads no more: another version, a frame of a known type whose length cannot be, a stream 0,
 * a block that does not inflate to exactly the headers it promises. Frames of unknown types are passed over.
 *
 * Limits: SPDY_CONTROL_MAX for a frame that is not data, SPDY_HEADERS_MAX for a block when inflated,
 * SPDY_PAIRS_MAX headers in it. Data is handed on as it comes: the reader holds none. */
#ifndef PROTO_SPDY_SPDY_H
#define PROTO_SPDY_SPDY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

#define SPDY_CONTROL_MAX     (16u << 10)
#define SPDY_HEADERS_MAX     (16u << 10)
#define SPDY_PAIRS_MAX       32u
#define SPDY_DATA_MAX        (64u << 10) /* of one frame that is written */
#define SPDY_DICTIONARY_SIZE 1423u

enum spdy_type { /* of frames, as they are numbered; DATA has no number */
                 SPDY_DATA = 0,
                 SPDY_SYN_STREAM = 1,
                 SPDY_SYN_REPLY = 2,
                 SPDY_RST_STREAM = 3,
                 SPDY_SETTINGS = 4,
                 SPDY_PING = 6,
                 SPDY_GOAWAY = 7,
                 SPDY_HEADERS = 8,
                 SPDY_WINDOW_UPDATE = 9,
};
enum spdy_status { /* of RST_STREAM */
                   SPDY_PROTOCOL_ERROR = 1,
                   SPDY_INVALID_STREAM = 2,
                   SPDY_REFUSED_STREAM = 3,
                   SPDY_CANCEL = 5,
};

struct spdy_pair {
    struct str name, value; /* of several values: separated by NUL */
};
/* Borrowed from the reader: until the next spdy_in_feed. */
struct spdy_frame {
    enum spdy_type type;
    uint32_t stream; /* of those that are about one; of a GOAWAY: the last one that was taken */
    bool fin;        /* DATA, SYN_STREAM, SYN_REPLY, HEADERS: the sender's last frame of the stream */
    uint32_t value;  /* of RST_STREAM and GOAWAY the status, of PING its id, of WINDOW_UPDATE the bytes */
    struct str data; /* DATA: a piece of it; `fin` comes with the last */
    unsigned count;  /* SYN_STREAM, SYN_REPLY, HEADERS */
    const struct spdy_pair *pairs;
};
/* The value of a header; STR_NONE: there is none. name: in small letters, as they travel. */
struct str spdy_header(const struct spdy_frame *f, const char *name);

enum spdy_step {
    SPDY_MORE,  /* all bytes were taken, and nothing is whole */
    SPDY_FRAME, /* *f is one, or a piece of data */
    SPDY_BAD,   /* it never will be: `why`; end the connection */
};
struct z_stream_s;
struct spdy_in {
    uint8_t head[8];
    unsigned head_size;
    uint32_t left; /* of the frame, behind its head */
    bool bad;
    struct buf frame; /* a control frame, without its head */
    struct buf block; /* headers, inflated */
    struct spdy_pair pairs[SPDY_PAIRS_MAX];
    struct z_stream_s *z; /* NULL: there was no block yet */
    const char *why;      /* BAD: for people */
};
void spdy_in_init(struct spdy_in *in);
void spdy_in_close(struct spdy_in *in);
enum spdy_step spdy_in_feed(struct spdy_in *in, const void *bytes, size_t n, size_t *used, struct spdy_frame *f);
size_t spdy_in_held(const struct spdy_in *in); /* bytes of memory */

/* The writing side: frames are appended to `b`. */
struct spdy_out {
    struct z_stream_s *z; /* NULL: there was no block yet */
};
void spdy_out_init(struct spdy_out *out);
void spdy_out_close(struct spdy_out *out);
void spdy_put_stream(struct spdy_out *out, struct buf *b, uint32_t stream, bool fin, const struct spdy_pair *pairs,
                     unsigned count);
void spdy_put_reply(struct spdy_out *out, struct buf *b, uint32_t stream, bool fin, const struct spdy_pair *pairs,
                    unsigned count);
void spdy_put_data(struct buf *b, uint32_t stream, struct str bytes, bool fin); /* nothing and no fin: nothing */
void spdy_put_reset(struct buf *b, uint32_t stream, enum spdy_status status);
void spdy_put_ping(struct buf *b, uint32_t id);
void spdy_put_goaway(struct buf *b, uint32_t last, uint32_t status);

/* ---- Blocks of headers (block.c), for the two above ---- */

bool spdy_block_read(struct spdy_in *in, const uint8_t *p, size_t n, struct spdy_frame *f); /* false: in->why */
void spdy_block_write(struct spdy_out *out, struct buf *b, const struct spdy_pair *pairs, unsigned count);
void spdy_dictionary(uint8_t out[SPDY_DICTIONARY_SIZE]);

#endif
