/* What other name servers have answered, kept for as long as they said. Pure: the time comes in.
 *
 * Bounded in bytes; what was not asked for longest goes first. Nothing is given out after its time: an answer that is
 * too old is asked for again. */
#ifndef AGENT_DNS_CACHE_H
#define AGENT_DNS_CACHE_H

#include "base/list.h"
#include "base/strmap.h"

struct dns_cache;
struct dns_cache *dns_cache_new(size_t bytes_max);
void dns_cache_free(struct dns_cache *c);
/* The answer is copied; one of more than a 16th of the bytes is not kept. */
void dns_cache_put(struct dns_cache *c, struct str key, struct str answer, uint32_t ttl_s, int64_t now_ms);
/* False: there is none. *age_s: since it was put. Borrowed until the next call. */
bool dns_cache_get(struct dns_cache *c, struct str key, int64_t now_ms, struct str *answer, uint32_t *age_s);
size_t dns_cache_bytes(const struct dns_cache *c);
size_t dns_cache_count(const struct dns_cache *c);

#endif
