#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "proto/openapi/openapi_int.h"
#include "proto/text/text.h"

struct openapi *openapi_new(unsigned level, const char *version, openapi_serves *serves)
{
    assert(version != NULL);
    struct openapi *o = xcalloc(1, sizeof *o);
    arena_init(&o->arena);
    o->level = level;
    o->version = arena_strdup(&o->arena, version);
    openapi_list(o, serves);
    o->v3 = xcalloc(o->places_count, sizeof *o->v3);
    return o;
}

void openapi_free(struct openapi *o)
{
    if (o == NULL) {
        return;
    }
    free((void *)o->v2_json.bytes);
    free((void *)o->v2_protobuf.bytes);
    free((void *)o->index.bytes);
    for (unsigned i = 0; i < o->places_count; i++) {
        free((void *)o->v3[i].bytes);
    }
    free(o->v3);
    arena_close(&o->arena);
    free(o);
}

/* Takes what is in the buffer. */
static void keep(struct openapi_document *d, struct buf *bytes)
{
    static const char digits[] = "0123456789abcdef";
    XXH128_canonical_t hash;
    XXH128_canonicalFromHash(&hash, XXH3_128bits(bytes->data, bytes->size));
    for (unsigned i = 0; i < sizeof hash.digest; i++) {
        d->hash[2 * i] = digits[hash.digest[i] >> 4];
        d->hash[2 * i + 1] = digits[hash.digest[i] & 15];
    }
    d->bytes = buf_take(bytes, &d->size);
}

static struct value *info(struct openapi_maker *m)
{
    struct value *v = value_map(m->a);
    value_set(m->a, v, "title", value_cstr(m->a, "Reeve"));
    value_set(m->a, v, "version", value_cstr(m->a, m->o->version));
    return v;
}

static struct openapi_maker maker(const struct openapi *o, struct arena *a, bool v3)
{
    return (struct openapi_maker){o, a, v3, arena_alloc(a, o->types_count)};
}

/* ---- v2 ---- */

static struct value *make_v2(const struct openapi *o, struct arena *a)
{
    struct openapi_maker m = maker(o, a, false);
    memset(m.wanted, true, o->types_count);
    struct value *v = value_map(a);
    value_set(a, v, "swagger", value_cstr(a, "2.0"));
    value_set(a, v, "info", info(&m));
    value_set(a, v, "paths", openapi_paths(&m, NULL));
    value_set(a, v, "definitions", openapi_definitions(&m));
    return v;
}

const struct openapi_document *openapi_v2_json(struct openapi *o)
{
    if (o->v2_json.bytes == NULL) {
        CLEANUP_ARENA struct arena a;
        CLEANUP_BUF struct buf b = BUF_INIT;
        arena_init(&a);
        json_write(&b, make_v2(o, &a), 0);
        keep(&o->v2_json, &b);
    }
    return &o->v2_json;
}

const struct openapi_document *openapi_v2_protobuf(struct openapi *o)
{
    if (o->v2_protobuf.bytes == NULL) {
        CLEANUP_ARENA struct arena a;
        CLEANUP_BUF struct buf b = BUF_INIT;
        arena_init(&a);
        openapi_write_gnostic(&b, make_v2(o, &a));
        keep(&o->v2_protobuf, &b);
    }
    return &o->v2_protobuf;
}

/* ---- v3 ---- */

static const struct openapi_document *v3_at(struct openapi *o, unsigned place)
{
    struct openapi_document *d = &o->v3[place];
    if (d->bytes == NULL) {
        CLEANUP_ARENA struct arena a;
        CLEANUP_BUF struct buf b = BUF_INIT;
        arena_init(&a);
        struct openapi_maker m = maker(o, &a, true);
        struct value *v = value_map(&a), *components = value_map(&a);
        value_set(&a, v, "openapi", value_cstr(&a, "3.0.0"));
        value_set(&a, v, "info", info(&m));
        value_set(&a, v, "paths", openapi_paths(&m, o->places[place]));
        value_set(&a, components, "schemas", openapi_definitions(&m));
        value_set(&a, v, "components", components);
        json_write(&b, v, 0);
        keep(d, &b);
    }
    return d;
}

const struct openapi_document *openapi_v3(struct openapi *o, struct str place)
{
    for (unsigned i = 0; i < o->places_count; i++) {
        if (str_is(place, o->places[i])) {
            return v3_at(o, i);
        }
    }
    return NULL;
}

const struct openapi_document *openapi_v3_index(struct openapi *o)
{
    if (o->index.bytes == NULL) {
        CLEANUP_ARENA struct arena a;
        CLEANUP_BUF struct buf b = BUF_INIT;
        arena_init(&a);
        struct value *v = value_map(&a), *paths = value_ensure_map(&a, v, "paths");
        for (unsigned i = 0; i < o->places_count; i++) {
            struct value *one = value_ensure_map(&a, paths, o->places[i]);
            value_set(&a, one, "serverRelativeURL",
                      value_strf(&a, "/openapi/v3/%s?hash=%s", o->places[i], v3_at(o, i)->hash));
        }
        json_write(&b, v, 0);
        keep(&o->index, &b);
    }
    return &o->index;
}
