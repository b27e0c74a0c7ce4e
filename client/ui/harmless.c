#include "client/ui/harmless.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

static const char *const colours[] = {"\033[31m", "\033[33m", "\033[0m"};

enum progress { MORE, DONE, WRONG };

/* Is what is held a colour of ours? */
static enum progress colour(const struct harmless *h)
{
    for (size_t i = 0; i < ARRAY_SIZE(colours); i++) {
        if (strncmp(colours[i], h->held, h->held_count) == 0) {
            return colours[i][h->held_count] == '\0' ? DONE : MORE;
        }
    }
    return WRONG;
}

/* Is what is held one character of UTF-8, in its shortest form? */
static enum progress character(const struct harmless *h, uint32_t *code)
{
    const uint8_t *p = (const uint8_t *)h->held;
    unsigned n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
    if (n == 0) {
        return WRONG;
    }
    *code = n == 1 ? p[0] : p[0] & (0x7fu >> n);
    for (unsigned i = 1; i < h->held_count; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return WRONG;
        }
        *code = *code << 6 | (p[i] & 0x3f);
    }
    if (h->held_count < n) {
        return MORE;
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    bool surrogate = *code >= 0xd800 && *code < 0xe000;
    return *code >= least[n] && !surrogate && *code < 0x110000 ? DONE : WRONG;
}

static bool turns_text(uint32_t c)
{
    return (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0x200e || c == 0x200f || c == 0x061c;
}

static void put(struct harmless *h, uint32_t c)
{
    if (c == '\n' || c == '\t' || (c >= 0x20 && c < 0x7f)) {
        buf_putc(&h->out, (char)c);
    } else if (c < 0x20 || c == 0x7f) {
        buf_printf(&h->out, "^%c", (int)(c ^ 0x40));
    } else if (c < 0xa0) {
        buf_printf(&h->out, "\\x%02x", c);
    } else if (turns_text(c)) {
        buf_printf(&h->out, "\\u%04x", c);
    } else {
        buf_append(&h->out, h->held, h->held_count);
    }
    h->held_count = 0;
}

static void byte_in(struct harmless *h, char byte);

/* The first byte that is held begins nothing: shows it, and looks at the rest anew. */
static void give_up(struct harmless *h)
{
    char rest[sizeof h->held];
    unsigned n = h->held_count - 1;
    uint8_t first = (uint8_t)h->held[0];
    memcpy(rest, h->held + 1, n);
    h->held_count = 0;
    if (first < 0x80) {
        put(h, first);
    } else {
        buf_printf(&h->out, "\\x%02x", first);
    }
    for (unsigned i = 0; i < n; i++) {
        byte_in(h, rest[i]);
    }
}

static void byte_in(struct harmless *h, char byte)
{
    uint32_t code = 0;
    assert(h->held_count < sizeof h->held);
    h->held[h->held_count++] = byte;
    bool escape = h->held[0] == '\033';
    enum progress p = escape ? colour(h) : character(h, &code);
    if (p == WRONG) {
        give_up(h);
    } else if (p == DONE && escape) {
        buf_append(&h->out, h->held, h->held_count);
        h->held_count = 0;
    } else if (p == DONE) {
        put(h, code);
    }
}

static ssize_t flush_to(struct harmless *h)
{
    size_t n = h->out.size == 0 ? 0 : fwrite(h->out.data, 1, h->out.size, h->to);
    bool good = n == h->out.size && fflush(h->to) == 0;
    buf_reset(&h->out);
    return good ? 1 : 0;
}

static ssize_t on_write(void *cookie, const char *p, size_t n)
{
    struct harmless *h = cookie;
    for (size_t i = 0; i < n; i++) {
        byte_in(h, p[i]);
    }
    return flush_to(h) == 1 ? (ssize_t)n : 0;
}

FILE *harmless_open(struct harmless *h, FILE *to)
{
    *h = (struct harmless){.to = to};
    FILE *f = fopencookie(h, "w", (cookie_io_functions_t){.write = on_write});
    if (f == NULL) {
        abort(); /* no memory */
    }
    int fd = fileno(to);
    setvbuf(f, NULL, fd >= 0 && isatty(fd) ? _IOLBF : _IOFBF, BUFSIZ);
    return f;
}

void harmless_close(struct harmless *h, FILE *stream)
{
    fclose(stream);
    while (h->held_count > 0) {
        give_up(h);
    }
    flush_to(h);
    buf_close(&h->out);
}
