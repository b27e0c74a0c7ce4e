#include "agent/pod/grpc_health.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define HEAD_SIZE   9u
#define FRAME_MAX   16384u /* of what follows the head, as we have not allowed more */
#define MESSAGE_MAX 1024u  /* a status is two bytes; others may add fields */

enum frame { FRAME_DATA, FRAME_HEADERS, FRAME_RESET = 3, FRAME_SETTINGS, FRAME_PING = 6, FRAME_GOAWAY };
#define FLAG_ACK         0x01u /* of SETTINGS and PING */
#define FLAG_END_STREAM  0x01u
#define FLAG_END_HEADERS 0x04u
#define FLAG_PADDED      0x08u

void grpc_health_init(struct grpc_health *g)
{
    *g = (struct grpc_health){BUF_INIT, BUF_INIT, false};
}

void grpc_health_close(struct grpc_health *g)
{
    buf_close(&g->in);
    buf_close(&g->message);
}

/* ---- The question ---- */

static void put_frame(struct buf *out, enum frame type, unsigned flags, unsigned stream, struct str payload)
{
    size_t n = payload.n;
    const uint8_t head[HEAD_SIZE] = {
        (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n, (uint8_t)type, (uint8_t)flags, 0, 0, 0, (uint8_t)stream};
    buf_append(out, head, sizeof head);
    buf_append_str(out, payload);
}

/* RFC 7541, 5.1: an integer below first's bits of prefix_bits. */
static void put_int(struct buf *out, unsigned first, unsigned prefix_bits, size_t value)
{
    size_t most = (1u << prefix_bits) - 1;
    if (value < most) {
        buf_putc(out, (char)(first | value));
        return;
    }
    buf_putc(out, (char)(first | most));
    for (value -= most; value >= 128; value >>= 7) {
        buf_putc(out, (char)(value | 128));
    }
    buf_putc(out, (char)value);
}

static void put_text(struct buf *out, struct str s)
{
    put_int(out, 0, 7, s.n); /* no Huffman code */
    buf_append_str(out, s);
}

/* Literal without indexing; the name is number `name` of the static table, or `text` if that is 0. */
static void put_header(struct buf *out, unsigned name, const char *text, struct str value)
{
    put_int(out, 0, 4, name);
    if (name == 0) {
        put_text(out, str_of(text));
    }
    put_text(out, value);
}

void grpc_health_ask(struct buf *out, struct str authority, struct str service)
{
    static const char no_push[] = {0, 2, 0, 0, 0, 0};
    CLEANUP_BUF struct buf headers = BUF_INIT;
    CLEANUP_BUF struct buf message = BUF_INIT;
    CLEANUP_BUF struct buf data = BUF_INIT;
    service.n = MIN(service.n, GRPC_HEALTH_SERVICE_MAX);
    buf_puts(out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    put_frame(out, FRAME_SETTINGS, 0, 0, (struct str){no_push, sizeof no_push});
    put_int(&headers, 0x80, 7, 3); /* :method POST */
    put_int(&headers, 0x80, 7, 6); /* :scheme http */
    put_header(&headers, 4, NULL, STR("/grpc.health.v1.Health/Check"));
    put_header(&headers, 1, NULL, authority);
    put_header(&headers, 31, NULL, STR("application/grpc"));
    put_header(&headers, 0, "te", STR("trailers"));
    put_header(&headers, 58, NULL, STR("reeve-agent-probe"));
    put_frame(out, FRAME_HEADERS, FLAG_END_HEADERS, 1, buf_str(&headers));
    if (service.n > 0) { /* field 1, a string */
        buf_putc(&message, 0x0a);
        for (size_t n = service.n; n > 0 || message.size == 1; n >>= 7) {
            buf_putc(&message, (char)((n & 127) | (n >= 128 ? 128 : 0)));
        }
        buf_append_str(&message, service);
    }
    const uint8_t prefix[5] = {0, 0, 0, (uint8_t)(message.size >> 8), (uint8_t)message.size};
    buf_append(&data, prefix, sizeof prefix);
    buf_append(&data, message.data, message.size);
    put_frame(out, FRAME_DATA, FLAG_END_STREAM, 1, buf_str(&data));
}

/* ---- The answer ---- */

static bool read_varint(const uint8_t **p, const uint8_t *end, uint64_t *out)
{
    *out = 0;
    for (unsigned shift = 0; *p < end && shift < 64; shift += 7) {
        uint8_t b = *(*p)++;
        *out |= (uint64_t)(b & 127) << shift;
        if (b < 128) {
            return true;
        }
    }
    return false;
}

/* The status of a HealthCheckResponse, its field 1; the last one counts. -1: it is malformed. */
static int read_status(const uint8_t *p, size_t n)
{
    const uint8_t *end = p + n;
    uint64_t status = 0, key, value = 0;
    while (p < end) {
        if (!read_varint(&p, end, &key)) {
            return -1;
        }
        unsigned wire = key & 7;
        size_t skip = wire == 1 ? 8 : wire == 5 ? 4 : 0;
        if (wire == 0 || wire == 2) {
            if (!read_varint(&p, end, &value)) {
                return -1;
            }
            skip = wire == 2 ? (size_t)MIN(value, (uint64_t)n + 1) : 0;
        } else if (skip == 0) {
            return -1;
        }
        if ((size_t)(end - p) < skip) {
            return -1;
        }
        p += skip;
        status = key == 8 ? value : status; /* field 1, varint */
    }
    return status > 3 ? 0 : (int)status;
}

static enum grpc_health_result bad(char why[160], const char *text)
{
    snprintf(why, 160, "%s", text);
    return GRPC_HEALTH_BAD;
}

static enum grpc_health_result judge(const struct grpc_health *g, char why[160])
{
    static const char *const words[] = {"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"};
    const uint8_t *m = g->message.data;
    if (g->message.size < 5) {
        return bad(why,
                   "error: health rpc probe failed: the server answers with an error (it does not know the service, "
                   "or does not implement grpc.health.v1.Health)");
    }
    uint32_t size = (uint32_t)m[1] << 24 | (uint32_t)m[2] << 16 | (uint32_t)m[3] << 8 | m[4];
    int status = m[0] != 0 || size != g->message.size - 5 ? -1 : read_status(m + 5, size);
    if (status < 0) {
        return bad(why, "error: health rpc probe failed: malformed answer");
    }
    if (status == 1) {
        return GRPC_HEALTH_SERVING;
    }
    snprintf(why, 160, "service unhealthy (responded with \"%s\")", words[status]);
    return GRPC_HEALTH_BAD;
}

static enum grpc_health_result on_data(struct grpc_health *g, unsigned flags, const uint8_t *p, size_t n, char why[160])
{
    if ((flags & FLAG_PADDED) != 0) {
        if (n == 0 || p[0] >= n) {
            return bad(why, "error: health rpc probe failed: malformed HTTP/2");
        }
        n -= 1 + (size_t)p[0];
        p++;
    }
    if (g->message.size + n > MESSAGE_MAX) {
        return bad(why, "error: health rpc probe failed: the answer is too long");
    }
    buf_append(&g->message, p, n);
    return GRPC_HEALTH_MORE;
}

static enum grpc_health_result on_frame(struct grpc_health *g, const uint8_t *head, const uint8_t *p, size_t n,
                                        struct buf *out, char why[160])
{
    unsigned type = head[3], flags = head[4];
    uint32_t stream = ((uint32_t)head[5] << 24 | (uint32_t)head[6] << 16 | (uint32_t)head[7] << 8 | head[8]) << 1 >> 1;
    enum grpc_health_result r = GRPC_HEALTH_MORE;
    if (!g->greeted && type != FRAME_SETTINGS) {
        return bad(why, "error: health rpc probe failed: the server does not speak HTTP/2");
    }
    g->greeted = true;
    if (type == FRAME_SETTINGS && (flags & FLAG_ACK) == 0) {
        put_frame(out, FRAME_SETTINGS, FLAG_ACK, 0, STR(""));
    } else if (type == FRAME_PING && (flags & FLAG_ACK) == 0 && n == 8) {
        put_frame(out, FRAME_PING, FLAG_ACK, 0, (struct str){(const char *)p, n});
    } else if (type == FRAME_GOAWAY) {
        return bad(why, "error: health rpc probe failed: the server closes the connection");
    } else if (type == FRAME_RESET && stream == 1) {
        return bad(why, "error: health rpc probe failed: the server aborts the call");
    } else if (type == FRAME_DATA && stream == 1) {
        r = on_data(g, flags, p, n, why);
    }
    bool ends = (type == FRAME_DATA || type == FRAME_HEADERS) && stream == 1 && (flags & FLAG_END_STREAM) != 0;
    return r == GRPC_HEALTH_MORE && ends ? judge(g, why) : r;
}

enum grpc_health_result grpc_health_feed(struct grpc_health *g, const void *bytes, size_t n, struct buf *out,
                                         char why[160])
{
    enum grpc_health_result r = GRPC_HEALTH_MORE;
    size_t used = 0;
    buf_append(&g->in, bytes, n);
    while (r == GRPC_HEALTH_MORE && g->in.size - used >= HEAD_SIZE) {
        const uint8_t *head = g->in.data + used;
        size_t size = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
        if (size > FRAME_MAX) {
            return bad(why, "error: health rpc probe failed: the server does not speak HTTP/2");
        }
        if (g->in.size - used < HEAD_SIZE + size) {
            break;
        }
        r = on_frame(g, head, head + HEAD_SIZE, size, out, why);
        used += HEAD_SIZE + size;
    }
    buf_consume(&g->in, used);
    return r;
}
