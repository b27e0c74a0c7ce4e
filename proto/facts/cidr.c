#include "proto/facts/cidr.h"

#include <assert.h>
#include <stdio.h>

/* One decimal number of at most max, and what stands behind it. */
static bool number(const char **p, const char *end, unsigned max, unsigned *out)
{
    const char *start = *p;
    *out = 0;
    while (*p < end && **p >= '0' && **p <= '9' && *p - start < 3) {
        *out = *out * 10 + (unsigned)(*(*p)++ - '0');
    }
    return *p > start && *out <= max && (*start != '0' || *p - start == 1);
}

/* Four numbers; *p stands behind them. */
static bool read_address(const char **p, const char *end, uint32_t *out)
{
    unsigned n;
    *out = 0;
    for (unsigned i = 0; i < 4; i++) {
        if ((i > 0 && (*p == end || *(*p)++ != '.')) || !number(p, end, 255, &n)) {
            return false;
        }
        *out = *out << 8 | n;
    }
    return true;
}

bool cidr_parse_address(struct str s, uint32_t *out)
{
    const char *p = s.p, *end = s.p + s.n;
    return s.n > 0 && read_address(&p, end, out) && p == end;
}

bool cidr_parse(struct str s, struct cidr *out)
{
    const char *p = s.p, *end = s.p + s.n;
    uint32_t address;
    unsigned n;
    if (s.n == 0 || !read_address(&p, end, &address) || p == end || *p++ != '/') {
        return false;
    }
    if (!number(&p, end, 32, &n) || p != end || (n < 32 && (address & (UINT32_MAX >> n)) != 0)) {
        return false;
    }
    *out = (struct cidr){address, n};
    return true;
}

void cidr_text(struct cidr c, char out[CIDR_TEXT_SIZE])
{
    assert(c.bits <= 32);
    snprintf(out, CIDR_TEXT_SIZE, "%u.%u.%u.%u/%u", c.first >> 24, c.first >> 16 & 255, c.first >> 8 & 255,
             c.first & 255, c.bits);
}

int64_t cidr_mark(struct cidr c)
{
    /* Source: finalizer of splitmix64. */
    uint64_t x = ((uint64_t)c.first << 6 | c.bits) + UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return (int64_t)((x ^ x >> 31) >> 24);
}
