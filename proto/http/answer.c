/* What answers are made of. Source: RFC 9110 15, RFC 9112 4 and 7.1. */
#include "proto/http/http.h"

#include <stdio.h>

#include "base/mem.h"

static const struct {
    unsigned status;
    const char *reason;
} reasons[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {413, "Content Too Large"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {422, "Unprocessable Content"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

const char *http_reason(unsigned status)
{
    for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
        if (reasons[i].status == status) {
            return reasons[i].reason;
        }
    }
    return "Unknown";
}

void http_put_status(struct buf *out, unsigned status)
{
    buf_printf(out, "HTTP/1.1 %u %s\r\n", status, http_reason(status));
}

void http_put_header(struct buf *out, const char *name, struct str value)
{
    buf_puts(out, name);
    buf_puts(out, ": ");
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];
        buf_putc(out, c < ' ' || c == 0x7f ? ' ' : (char)c);
    }
    buf_puts(out, "\r\n");
}

void http_put_length(struct buf *out, size_t n)
{
    buf_printf(out, "Content-Length: %zu\r\n", n);
}

void http_put_end(struct buf *out)
{
    buf_puts(out, "\r\n");
}

void http_put_chunk(struct buf *out, struct str bytes)
{
    if (bytes.n > 0) {
        buf_printf(out, "%zx\r\n", bytes.n);
        buf_append_str(out, bytes);
        buf_puts(out, "\r\n");
    }
}

void http_put_last_chunk(struct buf *out)
{
    buf_puts(out, "0\r\n\r\n");
}
