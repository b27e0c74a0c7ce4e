#include "agent/dns/cache.h"

#include <assert.h>
#include <stdlib.h>

struct kept {
    struct list link; /* the one asked for last is first */
    struct str key;   /* in bytes */
    struct str answer;
    int64_t put_ms, until_ms;
    size_t cost;
    char bytes[];
};
struct dns_cache {
    struct strmap map;
    struct list order;
    size_t bytes, bytes_max;
};

struct dns_cache *dns_cache_new(size_t bytes_max)
{
    struct dns_cache *c = xcalloc(1, sizeof *c);
    strmap_init(&c->map);
    list_init(&c->order);
    c->bytes_max = bytes_max;
    return c;
}

static void drop(struct dns_cache *c, struct kept *k)
{
    assert(c->bytes >= k->cost);
    strmap_remove(&c->map, k->key);
    list_remove(&k->link);
    c->bytes -= k->cost;
    free(k);
}

void dns_cache_free(struct dns_cache *c)
{
    while (c != NULL && !list_empty(&c->order)) {
        drop(c, LIST_ENTRY(c->order.next, struct kept, link));
    }
    if (c != NULL) {
        assert(c->bytes == 0);
        strmap_close(&c->map);
        free(c);
    }
}

void dns_cache_put(struct dns_cache *c, struct str key, struct str answer, uint32_t ttl_s, int64_t now_ms)
{
    /* The map has its own copy of the key. */
    size_t cost = sizeof(struct kept) + 2 * key.n + answer.n + sizeof(struct strmap_entry);
    struct kept *former = strmap_get(&c->map, key);
    if (former != NULL) {
        drop(c, former);
    }
    if (ttl_s == 0 || cost > c->bytes_max / 16) {
        return;
    }
    while (c->bytes + cost > c->bytes_max) {
        drop(c, LIST_ENTRY(c->order.prev, struct kept, link));
    }
    struct kept *k = xmalloc(sizeof *k + key.n + answer.n);
    *k = (struct kept){.put_ms = now_ms, .until_ms = now_ms + (int64_t)ttl_s * 1000, .cost = cost};
    k->key = (struct str){memcpy(k->bytes, key.p, key.n), key.n};
    k->answer = (struct str){memcpy(k->bytes + key.n, answer.p, answer.n), answer.n};
    strmap_set(&c->map, k->key, k);
    list_push_front(&c->order, &k->link);
    c->bytes += cost;
}

bool dns_cache_get(struct dns_cache *c, struct str key, int64_t now_ms, struct str *answer, uint32_t *age_s)
{
    struct kept *k = strmap_get(&c->map, key);
    if (k == NULL) {
        return false;
    }
    if (now_ms >= k->until_ms) {
        drop(c, k);
        return false;
    }
    list_remove(&k->link);
    list_push_front(&c->order, &k->link);
    *answer = k->answer;
    *age_s = (uint32_t)((now_ms - k->put_ms) / 1000);
    return true;
}

size_t dns_cache_bytes(const struct dns_cache *c)
{
    return c->bytes;
}

size_t dns_cache_count(const struct dns_cache *c)
{
    return c->map.count;
}
