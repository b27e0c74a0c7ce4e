/* HTTP/1.1 for servers: requests out of bytes that come in pieces, and what answers are made of. Pure: no sockets, no
 * clocks.
 *
 * Source: RFC 9110 and RFC 9112, read strictly, since whoever reads a request otherwise than a proxy in front reads
 * another request: lines end with CR LF, and a bare CR or LF, folded lines, a space in front of a colon, two lengths,
 * a length beside chunks, and any transfer coding but chunked are refused. Not read: trailers (dropped), chunk
 * extensions (dropped), HTTP/0.9; HTTP/1.0 is read, its connections are closed after the answer unless they ask
 * otherwise, and it may send no chunks.
 *
 * Limits: HTTP_LINE_MAX for the first line, HTTP_HEAD_MAX for the whole head, HTTP_HEADERS_MAX lines, the body's bound
 * is the caller's. The reader holds one request and no byte of the next: what is behind it stays with the caller. */
#ifndef PROTO_HTTP_HTTP_H
#define PROTO_HTTP_HTTP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

#define HTTP_LINE_MAX    (16u << 10)
#define HTTP_HEAD_MAX    (64u << 10)
#define HTTP_HEADERS_MAX 96u
#define HTTP_CHUNK_LINE  256u       /* of a chunk's size, with its extensions */
#define HTTP_TRAILER_MAX (8u << 10) /* of all of them */

struct http_header {
    struct str name, value; /* value: without blanks around it */
};
/* Borrowed from the reader: until the next http_in_* call. */
struct http_request {
    struct str method, target;
    struct str path, query;      /* of the target, still encoded; query without '?' */
    unsigned minor;              /* of the version: 1, or 0 */
    struct http_header *headers; /* the reader's */
    unsigned headers_count;
    bool keep_alive;      /* the connection may go on behind the answer */
    bool expect_continue; /* the body comes when it is told to (http_continue) */
    bool has_body;
    struct str body; /* of a whole one */
};
/* The value of the first header of that name, any case; STR_NONE: there is none. */
struct str http_header(const struct http_request *r, const char *name);
/* Has a header with a list of words (Connection, Upgrade) this one? Any case. */
bool http_header_has(const struct http_request *r, const char *name, const char *word);

enum http_step {
    HTTP_MORE,  /* all bytes were taken, the request is not whole */
    HTTP_HEAD,  /* its head is whole: look at it, and go on, or answer and close */
    HTTP_WHOLE, /* it is whole; http_in_next when it is answered */
    HTTP_BAD,   /* it never will be: answer `status` and close */
};
enum http_state { /* of the reader */
                  HTTP_IN_HEAD,
                  HTTP_IN_LENGTH,     /* a body of known length */
                  HTTP_IN_CHUNK_LINE, /* a chunk's size */
                  HTTP_IN_CHUNK,
                  HTTP_IN_CHUNK_END, /* the CR LF behind it */
                  HTTP_IN_TRAILERS,
                  HTTP_IN_WHOLE,
                  HTTP_IN_BAD,
};
struct http_in {
    enum http_state state;
    struct buf head, body;
    size_t body_max, left, trailer;
    size_t line; /* where the line begins that is being read, in head */
    struct http_request request;
    struct buf headers; /* request.headers; nothing between two requests */
    unsigned status;    /* BAD: what to answer... */
    const char *why;    /* ...and why, for people */
};
void http_in_init(struct http_in *in, size_t body_max);
void http_in_close(struct http_in *in);
/* Nobody looks at the whole request any more: gives back its memory. */
void http_in_let_go(struct http_in *in);
/* For the next request of the connection. Between two of them it holds no memory: most connections are idle. */
void http_in_next(struct http_in *in);
/* Takes bytes, *used of them. HTTP_HEAD comes once for each request, before any byte of its body is taken. */
enum http_step http_in_feed(struct http_in *in, const void *bytes, size_t n, size_t *used);
/* Behind HTTP_HEAD: the bound of this request's body. False: it says that it is longer; it is BAD then. */
bool http_in_limit(struct http_in *in, size_t body_max);
bool http_in_begun(const struct http_in *in);  /* is there any byte of a request that is not whole? */
size_t http_in_held(const struct http_in *in); /* bytes of memory */

/* ---- Targets (url.c) ---- */

/* Decodes %XX, and '+' as a blank in a query, onto out. False: malformed, or a NUL. */
bool http_decode(struct buf *out, struct str text, bool query);
/* for (struct str rest = query, k, v; http_query_next(&rest, &k, &v);) each "k=v", encoded. */
bool http_query_next(struct str *rest, struct str *key, struct str *value);

/* ---- Media types (media.c) ---- */

/* One of a list, as in Accept: "application/json;as=Table;v=v1;g=meta.k8s.io;q=0.5". */
struct http_media {
    struct str type;   /* "application/json", any case; spaces around are gone */
    struct str params; /* behind the first ';' */
    unsigned q;        /* in thousandths; 1000 where none is told */
};
bool http_media_next(struct str *rest, struct http_media *m);
struct str http_media_param(const struct http_media *m, const char *name); /* unquoted; STR_NONE: there is none */
bool http_is_word(struct str s, const char *word);                         /* any case */
/* Does If-None-Match name this tag ("\"abc\"", with its quotes), weak or not, in a list or by "*"? RFC 9110 13.1.2. */
bool http_has_tag(struct str list, const char *tag);

/* ---- Answers (answer.c) ---- */

const char *http_reason(unsigned status); /* "Not Found" */
/* The first line. Headers follow, then http_put_end. */
void http_put_status(struct buf *out, unsigned status);
/* Control characters in the value become blanks. */
void http_put_header(struct buf *out, const char *name, struct str value);
void http_put_length(struct buf *out, size_t n);
void http_put_end(struct buf *out);
void http_put_chunk(struct buf *out, struct str bytes); /* nothing if it is empty: that would be the end */
void http_put_last_chunk(struct buf *out);
/* Of another server's answer; borrows from its bytes. */
struct http_reply {
    unsigned status;
    struct str reason;
    struct http_header headers[HTTP_HEADERS_MAX];
    unsigned headers_count;
    bool has_length, chunked; /* neither: the body ends with the connection */
    uint64_t length;
};
/* How many bytes its head has; 0: it is not whole; -1: it never will be (reply.c). */
int64_t http_reply_read(const void *bytes, size_t n, struct http_reply *r);
#define HTTP_CONTINUE "HTTP/1.1 100 Continue\r\n\r\n"

#endif
