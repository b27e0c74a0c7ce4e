/* Heads of answers, for who asks on another's behalf. Source: RFC 9112, sections 4 to 6, read as strictly as requests
 * are. */
#include <string.h>

#include "base/mem.h"
#include "proto/http/http.h"

static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= ' ' || c >= 0x7f || strchr("()<>@,;:\\\"/[]?={}", c) != NULL) {
            return false;
        }
    }
    return s.n > 0;
}

static bool is_text(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c < ' ' && c != '\t') || c == 0x7f) {
            return false;
        }
    }
    return true;
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

/* "HTTP/1.1 200 OK"; the reason may be missing. */
static bool read_status(struct str line, struct http_reply *r)
{
    if (line.n < 12 || memcmp(line.p, "HTTP/1.", 7) != 0 || (line.p[7] != '0' && line.p[7] != '1') ||
        line.p[8] != ' ' || (line.n > 12 && line.p[12] != ' ')) {
        return false;
    }
    r->status = 0;
    for (unsigned i = 9; i < 12; i++) {
        if (line.p[i] < '0' || line.p[i] > '9') {
            return false;
        }
        r->status = r->status * 10 + (unsigned)(line.p[i] - '0');
    }
    r->reason = line.n > 13 ? (struct str){line.p + 13, line.n - 13} : STR("");
    return r->status >= 100 && r->status <= 599 && is_text(r->reason);
}

static bool read_length(struct str value, struct http_reply *r)
{
    int64_t n;
    if (value.n == 0 || value.p[0] < '0' || value.p[0] > '9' || !str_to_int64(value, &n) ||
        (r->has_length && r->length != (uint64_t)n)) {
        return false;
    }
    r->has_length = true;
    r->length = (uint64_t)n;
    return true;
}

static bool read_header(struct str line, struct http_reply *r)
{
    const char *colon = line.n == 0 ? NULL : memchr(line.p, ':', line.n);
    if (colon == NULL || r->headers_count == HTTP_HEADERS_MAX) {
        return false;
    }
    size_t n = (size_t)(colon - line.p);
    struct http_header h = {{line.p, n}, trim((struct str){colon + 1, line.n - n - 1})};
    if (!is_token(h.name) || !is_text(h.value)) {
        return false;
    }
    r->headers[r->headers_count++] = h;
    if (http_is_word(h.name, "Content-Length")) {
        return read_length(h.value, r);
    }
    if (http_is_word(h.name, "Transfer-Encoding")) {
        bool fine = http_is_word(h.value, "chunked") && !r->chunked;
        r->chunked = true;
        return fine;
    }
    return true;
}

int64_t http_reply_read(const void *bytes, size_t n, struct http_reply *r)
{
    const char *p = bytes;
    const char *end = n < 4 ? NULL : memmem(p, n, "\r\n\r\n", 4);
    *r = (struct http_reply){0};
    if (end == NULL) {
        return n > HTTP_HEAD_MAX ? -1 : 0;
    }
    size_t size = (size_t)(end - p) + 4;
    struct str rest = {p, size - 2};
    for (bool first = true; rest.n > 0; first = false) {
        const char *stop = memmem(rest.p, rest.n, "\r\n", 2);
        struct str line = {rest.p, (size_t)(stop - rest.p)};
        rest.p += line.n + 2;
        rest.n -= line.n + 2;
        if (first ? !read_status(line, r) : !read_header(line, r)) {
            return -1;
        }
    }
    return size > HTTP_HEAD_MAX || (r->has_length && r->chunked) ? -1 : (int64_t)size;
}
