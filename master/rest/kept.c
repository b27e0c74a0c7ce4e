#include "master/rest/kept.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/mem.h"

#define BUCKETS_MIN 256u
#define HEAP_BYTES  16u /* that an allocation costs besides */

struct id {
    uint64_t revision, hash;
    const struct kind *kind;
    uint32_t body_size;
    enum rest_kept_what what;
};
struct one {
    struct one *next; /* of its bucket */
    struct list link; /* in `used` */
    struct id id;
    uint32_t size;
    int64_t used_ms;
    uint8_t bytes[];
};
/* Invariants: bytes is the sum of what all in the table cost, and at most `most`; each of them is in `used`, the one
 * that was asked for longest ago first. */
struct rest_kept {
    struct one **buckets; /* NULL while nothing is kept */
    size_t buckets_count; /* a power of two */
    struct list used;
    size_t most;
    int64_t now_ms;
    struct rest_kept_stats stats;
    struct {
        struct id id;
        uint64_t revision; /* that it is told with */
        struct buf json;   /* empty: none */
    } last;                /* what was made last and could not be kept: watches are told the same one after another */
};

struct rest_kept *rest_kept_new(size_t most_bytes)
{
    struct rest_kept *k = xcalloc(1, sizeof *k);
    k->most = most_bytes;
    list_init(&k->used);
    return k;
}

static struct id id_of(const struct object *o, enum rest_kept_what what)
{
    return (struct id){o->revision, o->hash, o->kind, o->body_size, what};
}

static bool id_eq(const struct id *a, const struct id *b)
{
    return a->revision == b->revision && a->hash == b->hash && a->kind == b->kind && a->body_size == b->body_size &&
           a->what == b->what;
}

static size_t cost_of(size_t size)
{
    return sizeof(struct one) + size + HEAP_BYTES + sizeof(struct one *);
}

static struct one **bucket_of(const struct rest_kept *k, const struct id *id)
{
    return &k->buckets[(id->hash ^ id->revision ^ (uint64_t)id->what) & (k->buckets_count - 1)];
}

static void drop(struct rest_kept *k, struct one *one)
{
    struct one **at = bucket_of(k, &one->id);
    while (*at != one) {
        at = &(*at)->next;
    }
    *at = one->next;
    list_remove(&one->link);
    k->stats.bytes -= cost_of(one->size);
    k->stats.count--;
    free(one);
    if (k->stats.count == 0) { /* nothing is kept for long: then it holds nothing */
        free(k->buckets);
        k->buckets = NULL;
        k->buckets_count = 0;
    }
}

void rest_kept_forget(struct rest_kept *k)
{
    while (k != NULL && !list_empty(&k->used)) {
        drop(k, LIST_ENTRY(k->used.next, struct one, link));
    }
    if (k != NULL) {
        buf_close(&k->last.json);
    }
}

void rest_kept_free(struct rest_kept *k)
{
    if (k != NULL) {
        rest_kept_forget(k);
        free(k);
    }
}

static struct one *find(const struct rest_kept *k, const struct id *id)
{
    struct one *one = k->buckets == NULL ? NULL : *bucket_of(k, id);
    while (one != NULL && !id_eq(&one->id, id)) {
        one = one->next;
    }
    return one;
}

static void grow(struct rest_kept *k)
{
    size_t count = k->buckets == NULL ? BUCKETS_MIN : k->buckets_count * 2;
    free(k->buckets);
    k->buckets = xcalloc(count, sizeof *k->buckets);
    k->buckets_count = count;
    LIST_FOR(it, &k->used)
    {
        struct one *one = LIST_ENTRY(it, struct one, link), **at = bucket_of(k, &one->id);
        one->next = *at;
        *at = one;
    }
}

/* False: what is there was used too lately. */
static bool make_room(struct rest_kept *k, size_t cost)
{
    while (k->stats.bytes + cost > k->most && !list_empty(&k->used)) {
        struct one *oldest = LIST_ENTRY(k->used.next, struct one, link);
        if (k->now_ms - oldest->used_ms < REST_KEPT_FRESH_MS) {
            return false;
        }
        drop(k, oldest);
    }
    return k->stats.bytes + cost <= k->most;
}

static bool keep(struct rest_kept *k, const struct id *id, const uint8_t *json, size_t size)
{
    if (size > REST_KEPT_ONE_BYTES || !make_room(k, cost_of(size))) {
        return false;
    }
    if (k->stats.count == k->buckets_count) {
        grow(k);
    }
    struct one *one = xmalloc(sizeof *one + size), **at = bucket_of(k, id);
    *one = (struct one){.next = *at, .id = *id, .size = (uint32_t)size, .used_ms = k->now_ms};
    memcpy(one->bytes, json, size);
    *at = one;
    list_push_back(&k->used, &one->link);
    k->stats.bytes += cost_of(size);
    k->stats.count++;
    assert(k->stats.bytes <= k->most);
    return true;
}

/* One that is asked for. NULL: it is not there. */
static struct one *use(struct rest_kept *k, const struct id *id)
{
    struct one *one = find(k, id);
    if (one != NULL) {
        k->stats.found++;
        one->used_ms = k->now_ms;
        list_remove(&one->link);
        list_push_back(&k->used, &one->link);
    }
    return one;
}

struct str rest_kept_get(struct rest_kept *k, enum rest_kept_what what, const struct object *o)
{
    struct id id = id_of(o, what);
    const struct one *one = k == NULL ? NULL : use(k, &id);
    return one == NULL ? STR_NONE : (struct str){(const char *)one->bytes, one->size};
}

void rest_kept_put(struct rest_kept *k, enum rest_kept_what what, const struct object *o, struct str bytes)
{
    assert(what != REST_KEPT_JSON && !o->kind->secret);
    struct id id = id_of(o, what);
    if (k != NULL && find(k, &id) == NULL) {
        k->stats.made++;
        keep(k, &id, (const uint8_t *)bytes.p, bytes.n);
    }
}

void rest_kept_write(struct rest_kept *k, struct buf *out, const struct object *o, uint64_t revision)
{
    assert(!o->kind->secret);
    struct id id = id_of(o, REST_KEPT_JSON);
    const struct one *one = revision == o->revision ? use(k, &id) : NULL;
    if (one != NULL) {
        buf_append(out, one->bytes, one->size);
        return;
    }
    if (k->last.json.size > 0 && k->last.revision == revision && id_eq(&k->last.id, &id)) {
        k->stats.found++;
        buf_append_str(out, buf_str(&k->last.json));
        return;
    }
    size_t at = out->size;
    k->stats.made++;
    object_write_json(out, o, revision);
    if (revision != o->revision || !keep(k, &id, out->data + at, out->size - at)) {
        buf_reset(&k->last.json);
        buf_append(&k->last.json, out->data + at, out->size - at);
        k->last.id = id;
        k->last.revision = revision;
    }
}

void rest_kept_tick(struct rest_kept *k, int64_t now_ms)
{
    if (k == NULL) {
        return;
    }
    k->now_ms = now_ms;
    while (!list_empty(&k->used)) {
        struct one *oldest = LIST_ENTRY(k->used.next, struct one, link);
        if (now_ms - oldest->used_ms < REST_KEPT_MS) {
            break;
        }
        drop(k, oldest);
    }
}

void rest_kept_stats(const struct rest_kept *k, struct rest_kept_stats *out)
{
    *out = k == NULL ? (struct rest_kept_stats){0} : k->stats;
}
