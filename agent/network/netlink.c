#include "agent/network/netlink.h"

#include <stdint.h>

const struct nlattr *netlink_find(const void *p, size_t n, unsigned type)
{
    for (const uint8_t *at = p; n >= NLA_HDRLEN;) {
        const struct nlattr *a = (const void *)at;
        size_t step = NLA_ALIGN(a->nla_len);
        if (a->nla_len < NLA_HDRLEN || a->nla_len > n) {
            return NULL;
        }
        if ((a->nla_type & NLA_TYPE_MASK) == type) {
            return a;
        }
        step = step < n ? step : n;
        at += step;
        n -= step;
    }
    return NULL;
}

const struct nlattr *netlink_find_in(const struct nlattr *outer, unsigned type)
{
    return outer == NULL ? NULL : netlink_find((const uint8_t *)outer + NLA_HDRLEN, outer->nla_len - NLA_HDRLEN, type);
}
