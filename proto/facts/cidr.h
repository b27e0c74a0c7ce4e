/* Ranges of IPv4 addresses, as numbers. Pure. */
#ifndef PROTO_FACTS_CIDR_H
#define PROTO_FACTS_CIDR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

#define CIDR_TEXT_SIZE 19 /* "255.255.255.255/32" and its end */

struct cidr {
    uint32_t first; /* address, host byte order; a multiple of the size */
    unsigned bits;  /* of the mask, 0 to 32 */
};
/* "10.244.0.0/16": decimal, no leading zeros, nothing set behind the mask. */
bool cidr_parse(struct str s, struct cidr *out);
bool cidr_parse_address(struct str s, uint32_t *out); /* "10.244.0.1": decimal, no leading zeros */
void cidr_text(struct cidr c, char out[CIDR_TEXT_SIZE]);
/* 40 bits by which sets of ranges can be told apart: the marks of different sets hardly ever add up to the same. */
int64_t cidr_mark(struct cidr c);
static inline uint64_t cidr_size(struct cidr c)
{
    return 1ull << (32 - c.bits);
}
static inline uint64_t cidr_end(struct cidr c) /* one behind the last */
{
    return c.first + cidr_size(c);
}
static inline bool cidr_contains(struct cidr c, uint32_t address)
{
    return address >= c.first && address < cidr_end(c);
}
static inline bool cidr_overlap(struct cidr a, struct cidr b)
{
    return a.first < cidr_end(b) && b.first < cidr_end(a);
}

#endif
