/* Requests out of bytes. The head is gathered line by line up to the empty one, then read at once; bodies go into a
 * buffer of their own. Everything that two readers could read differently is refused here. */
#include "proto/http/http.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

void http_in_init(struct http_in *in, size_t body_max)
{
    *in = (struct http_in){.body_max = body_max};
}

void http_in_close(struct http_in *in)
{
    buf_close(&in->head);
    buf_close(&in->body);
    buf_close(&in->headers);
}

void http_in_let_go(struct http_in *in)
{
    assert(in->state == HTTP_IN_WHOLE);
    http_in_close(in);
    in->request = (struct http_request){0};
}

void http_in_next(struct http_in *in)
{
    http_in_let_go(in);
    in->state = HTTP_IN_HEAD;
    in->left = in->trailer = in->line = 0;
}

bool http_in_begun(const struct http_in *in)
{
    return in->state != HTTP_IN_WHOLE && (in->state != HTTP_IN_HEAD || in->head.size > 0);
}

size_t http_in_held(const struct http_in *in)
{
    return in->head.cap + in->body.cap + in->headers.cap;
}

static enum http_step bad(struct http_in *in, unsigned status, const char *why)
{
    in->state = HTTP_IN_BAD;
    in->status = status;
    in->why = why;
    return HTTP_BAD;
}

/* ---- The head ---- */

/* RFC 9110 5.6.2 */
static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && (c == '\0' || strchr("!#$%&'*+-.^_`|~", c) == NULL)) {
            return false;
        }
    }
    return s.n > 0;
}

static struct str trim(struct str s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t')) {
        s.n--;
    }
    return s;
}

bool http_is_word(struct str s, const char *word)
{
    return s.n == strlen(word) && strncasecmp(s.n == 0 ? "" : s.p, word, s.n) == 0;
}

/* Up to the separator, which is passed; or the rest. */
static struct str cut(struct str *rest, char separator)
{
    const char *at = rest->n == 0 ? NULL : memchr(rest->p, separator, rest->n);
    struct str first = {rest->p, at == NULL ? rest->n : (size_t)(at - rest->p)};
    size_t taken = MIN(rest->n, first.n + 1);
    rest->p += taken;
    rest->n -= taken;
    return first;
}

struct str http_header(const struct http_request *r, const char *name)
{
    for (unsigned i = 0; i < r->headers_count; i++) {
        if (http_is_word(r->headers[i].name, name)) {
            return r->headers[i].value;
        }
    }
    return STR_NONE;
}

bool http_header_has(const struct http_request *r, const char *name, const char *word)
{
    for (unsigned i = 0; i < r->headers_count; i++) {
        struct str rest = r->headers[i].value;
        while (http_is_word(r->headers[i].name, name) && rest.n > 0) {
            if (http_is_word(trim(cut(&rest, ',')), word)) {
                return true;
            }
        }
    }
    return false;
}

/* "GET /a?b HTTP/1.1" */
static bool read_first_line(struct http_request *r, struct str line)
{
    r->method = cut(&line, ' ');
    r->target = cut(&line, ' ');
    bool known = str_is(line, "HTTP/1.1") || str_is(line, "HTTP/1.0");
    if (!known || !is_token(r->method) || r->target.n == 0 || r->target.p[0] != '/') {
        return false;
    }
    for (size_t i = 0; i < r->target.n; i++) {
        unsigned char c = (unsigned char)r->target.p[i];
        if (c <= ' ' || c >= 0x7f) {
            return false;
        }
    }
    r->minor = line.p[line.n - 1] == '1';
    r->query = r->target;
    r->path = cut(&r->query, '?');
    return true;
}

static bool read_header(struct http_in *in, struct str line)
{
    struct http_request *r = &in->request;
    buf_reserve(&in->headers, sizeof *r->headers);
    r->headers = (struct http_header *)(void *)in->headers.data;
    struct http_header *h = &r->headers[r->headers_count];
    struct str value = line;
    h->name = cut(&value, ':');
    h->value = trim(value);
    if (h->name.n == line.n || !is_token(h->name)) { /* a blank in front of the colon, or at the start, is no token */
        return false;
    }
    for (size_t i = 0; i < h->value.n; i++) {
        unsigned char c = (unsigned char)h->value.p[i];
        if ((c < ' ' && c != '\t') || c == 0x7f) {
            return false;
        }
    }
    r->headers_count++;
    in->headers.size += sizeof *h;
    return true;
}

static unsigned count_of(const struct http_request *r, const char *name)
{
    unsigned n = 0;
    for (unsigned i = 0; i < r->headers_count; i++) {
        n += http_is_word(r->headers[i].name, name);
    }
    return n;
}

/* How the body comes. RFC 9112 6.1 and 6.3, without any of the repairs that they allow. */
static enum http_step read_length(struct http_in *in)
{
    struct http_request *r = &in->request;
    unsigned lengths = count_of(r, "Content-Length"), codings = count_of(r, "Transfer-Encoding");
    if (lengths + codings > 1) {
        return bad(in, 400, "a request has one Content-Length, or one Transfer-Encoding, and not both");
    }
    if (codings == 1) {
        if (r->minor == 0 || !http_is_word(http_header(r, "Transfer-Encoding"), "chunked")) {
            return bad(in, r->minor == 0 ? 400 : 501, "the only transfer coding that is read is chunked, in HTTP/1.1");
        }
        in->state = HTTP_IN_CHUNK_LINE;
        r->has_body = true;
        return HTTP_HEAD;
    }
    if (lengths == 1) {
        struct str text = http_header(r, "Content-Length");
        int64_t n;
        if (text.n == 0 || text.p[0] < '0' || text.p[0] > '9' || !str_to_int64(text, &n)) {
            return bad(in, 400, "Content-Length must be a decimal number");
        }
        if ((uint64_t)n > in->body_max) {
            return bad(in, 413, "the body is larger than what is taken");
        }
        in->left = (size_t)n;
        r->has_body = n > 0;
    }
    in->state = HTTP_IN_LENGTH;
    return HTTP_HEAD;
}

bool http_in_limit(struct http_in *in, size_t body_max)
{
    in->body_max = body_max;
    if (in->state == HTTP_IN_LENGTH && in->left > body_max) {
        bad(in, 413, "the body is larger than what is taken");
        return false;
    }
    return true;
}

static enum http_step read_head(struct http_in *in)
{
    struct http_request *r = &in->request;
    struct str rest = buf_str(&in->head);
    *r = (struct http_request){0};
    buf_reset(&in->headers);
    for (bool first = true; rest.n > 0; first = false) {
        struct str line = cut(&rest, '\n');
        line.n--; /* the CR: take_line has seen to it */
        if (line.n == 0) {
            break;
        }
        if (first && str_is(line, "PRI * HTTP/2.0")) { /* RFC 9113 3.4: how every client of it begins */
            return bad(in, 505, "HTTP/2 is not spoken here: speak HTTP/1.1, and offer http/1.1 or nothing by ALPN");
        }
        if (first && !read_first_line(r, line)) {
            return bad(in, 400, "the first line must be METHOD /PATH HTTP/1.1");
        }
        if (!first && r->headers_count == HTTP_HEADERS_MAX) {
            return bad(in, 431, "the request has too many headers");
        }
        if (!first && !read_header(in, line)) {
            return bad(in, 400, "a header must be NAME: VALUE on one line");
        }
    }
    if (count_of(r, "Host") > 1 || (r->minor == 1 && count_of(r, "Host") == 0)) {
        return bad(in, 400, "a request has one Host");
    }
    r->keep_alive =
        r->minor == 1 ? !http_header_has(r, "Connection", "close") : http_header_has(r, "Connection", "keep-alive");
    struct str expect = http_header(r, "Expect");
    if (expect.n > 0 && !http_is_word(expect, "100-continue")) {
        return bad(in, 417, "nothing but 100-continue can be expected");
    }
    enum http_step step = read_length(in);
    r->expect_continue = expect.n > 0 && r->minor == 1 && r->has_body;
    return step;
}

/* ---- Lines ---- */

/* Takes bytes up to the end of a line onto head. The result: HTTP_WHOLE (the line is; it begins at in->line), MORE or
 * BAD. most: bytes that the line may have. */
static enum http_step take_line(struct http_in *in, const char *p, size_t n, size_t most, size_t *used)
{
    const char *end = n == 0 ? NULL : memchr(p, '\n', n);
    size_t taken = end == NULL ? n : (size_t)(end - p) + 1;
    if (in->head.size - in->line + taken > most) {
        return bad(in, in->state == HTTP_IN_HEAD ? 431 : 400, "a line of the request is too long");
    }
    buf_append(&in->head, p, taken);
    *used += taken;
    struct str line = {(const char *)in->head.data + in->line, in->head.size - in->line};
    const char *cr = line.n == 0 ? NULL : memchr(line.p, '\r', line.n);
    bool ends_well = line.n >= 2 && cr == line.p + line.n - 2;
    if ((end != NULL && !ends_well) || (end == NULL && cr != NULL && cr != line.p + line.n - 1)) {
        return bad(in, 400, "lines must end with CR LF, and have no other CR");
    }
    return end == NULL ? HTTP_MORE : HTTP_WHOLE;
}

static enum http_step feed_head(struct http_in *in, const char *p, size_t n, size_t *used)
{
    while (*used < n) {
        size_t most = in->line == 0 ? HTTP_LINE_MAX : HTTP_HEAD_MAX - in->line;
        enum http_step step = take_line(in, p + *used, n - *used, most, used);
        if (step != HTTP_WHOLE) {
            return step;
        }
        size_t size = in->head.size - in->line;
        if (in->head.size == 2) { /* empty lines in front of a request are passed (RFC 9112 2.2) */
            buf_reset(&in->head);
            if (++in->trailer > 4) {
                return bad(in, 400, "there is no request, but empty lines");
            }
            continue;
        }
        in->line = in->head.size;
        if (size == 2) {
            in->trailer = 0;
            return read_head(in);
        }
    }
    return HTTP_MORE;
}

/* ---- The body ---- */

static enum http_step whole(struct http_in *in)
{
    in->state = HTTP_IN_WHOLE;
    in->request.body = buf_str(&in->body);
    return HTTP_WHOLE;
}

static bool take_bytes(struct http_in *in, const char *p, size_t n, size_t *used)
{
    size_t taken = MIN(in->left, n - *used);
    buf_append(&in->body, p + *used, taken);
    *used += taken;
    in->left -= taken;
    return in->left == 0;
}

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* "1a2;extension". False: malformed. */
static bool chunk_size(struct str line, size_t *size)
{
    size_t i = 0;
    *size = 0;
    for (; i < line.n && hex(line.p[i]) >= 0; i++) {
        if (i == 8) {
            return false;
        }
        *size = *size * 16 + (size_t)hex(line.p[i]);
    }
    bool any = i > 0;
    while (i < line.n && (line.p[i] == ' ' || line.p[i] == '\t')) {
        i++;
    }
    return any && (i == line.n || line.p[i] == ';');
}

/* Lines of a body are read behind the head, and forgotten: what the request borrows stays where it is, since the head
 * has room for a line. */
static enum http_step body_line(struct http_in *in, const char *p, size_t n, size_t most, size_t *used,
                                struct str *line)
{
    enum http_step step = take_line(in, p + *used, n - *used, most, used);
    if (step == HTTP_WHOLE) {
        *line = (struct str){(const char *)in->head.data + in->line, in->head.size - in->line - 2};
        in->head.size = in->line;
    }
    return step;
}

static enum http_step feed_chunk_line(struct http_in *in, const char *p, size_t n, size_t *used)
{
    struct str line;
    enum http_step step = body_line(in, p, n, HTTP_CHUNK_LINE, used, &line);
    if (step != HTTP_WHOLE) {
        return step;
    }
    if (!chunk_size(line, &in->left)) {
        return bad(in, 400, "a chunk must begin with its size");
    }
    if (in->left > in->body_max - in->body.size) {
        return bad(in, 413, "the body is larger than what is taken");
    }
    in->state = in->left == 0 ? HTTP_IN_TRAILERS : HTTP_IN_CHUNK;
    return HTTP_WHOLE;
}

static enum http_step feed_trailers(struct http_in *in, const char *p, size_t n, size_t *used)
{
    struct str line;
    size_t before = *used;
    enum http_step step = body_line(in, p, n, HTTP_TRAILER_MAX, used, &line);
    in->trailer += *used - before;
    if (in->trailer > HTTP_TRAILER_MAX) {
        return bad(in, 400, "the trailers are too long");
    }
    if (step == HTTP_WHOLE && line.n == 0) {
        return whole(in);
    }
    return step == HTTP_WHOLE ? HTTP_MORE : step;
}

static enum http_step feed_body(struct http_in *in, const char *p, size_t n, size_t *used)
{
    for (;;) {
        enum http_step step = HTTP_WHOLE; /* of the piece */
        switch (in->state) {
        case HTTP_IN_LENGTH:
            return take_bytes(in, p, n, used) ? whole(in) : HTTP_MORE;
        case HTTP_IN_CHUNK_LINE:
            step = feed_chunk_line(in, p, n, used);
            break;
        case HTTP_IN_CHUNK:
            if (take_bytes(in, p, n, used)) {
                in->state = HTTP_IN_CHUNK_END;
            }
            break;
        case HTTP_IN_CHUNK_END: {
            struct str line;
            step = body_line(in, p, n, 2, used, &line);
            in->state = step == HTTP_WHOLE ? HTTP_IN_CHUNK_LINE : in->state;
            break;
        }
        case HTTP_IN_TRAILERS:
            step = feed_trailers(in, p, n, used);
            if (in->state == HTTP_IN_WHOLE) {
                return step;
            }
            step = step == HTTP_BAD ? HTTP_BAD : *used < n ? HTTP_WHOLE : HTTP_MORE;
            break;
        default:
            return HTTP_BAD;
        }
        if (step != HTTP_WHOLE || *used == n) {
            return step == HTTP_WHOLE ? HTTP_MORE : step;
        }
    }
}

enum http_step http_in_feed(struct http_in *in, const void *bytes, size_t n, size_t *used)
{
    *used = 0;
    switch (in->state) {
    case HTTP_IN_HEAD: {
        enum http_step step = feed_head(in, bytes, n, used);
        if (step == HTTP_HEAD && in->state == HTTP_IN_CHUNK_LINE) {
            /* Lines of the body are put behind the head, which must not move then. */
            buf_reserve(&in->head, HTTP_TRAILER_MAX);
            return read_head(in);
        }
        return step;
    }
    case HTTP_IN_WHOLE:
        return HTTP_WHOLE;
    case HTTP_IN_BAD:
        return HTTP_BAD;
    default:
        return feed_body(in, bytes, n, used);
    }
}
