/* Objects as JSON, from their bytes: nothing is decoded, and the revision is put in on the way. */
#include <stdio.h>

#include "proto/managed/fields_v1.h"
#include "proto/schema/object.h"
#include "proto/text/text.h"

/* Who manages what, as clients know it. */
static void write_managed(struct buf *out, struct mp stored, struct str api_version, bool *first)
{
    struct str bytes;
    size_t before = out->size;
    buf_puts(out, *first ? "\"managedFields\":" : ",\"managedFields\":");
    if (mp_read_bin(&stored, &bytes) && managed_write_json(out, bytes, api_version)) {
        *first = false;
    } else {
        out->size = before;
    }
}

/* As "%llu", which lists of thousands of objects would notice. */
static void write_revision(struct buf *out, uint64_t revision)
{
    char text[24], *p = text + sizeof text;
    *--p = '"';
    do {
        *--p = (char)('0' + revision % 10);
        revision /= 10;
    } while (revision > 0);
    buf_puts(out, "\"resourceVersion\":\"");
    buf_append(out, p, (size_t)(text + sizeof text - p));
}

static void write_metadata(struct buf *out, struct mp metadata, uint64_t revision, struct str api_version)
{
    bool first = true;
    buf_putc(out, '{');
    if (revision > 0) {
        write_revision(out, revision);
        first = false;
    }
    for (struct mp_iter it = mp_iter(metadata); mp_next(&it);) {
        if (str_is(it.key, MANAGED_MEMBER)) {
            if (api_version.n > 0) {
                write_managed(out, it.value, api_version, &first);
            }
            continue;
        }
        buf_puts(out, first ? "" : ",");
        first = false;
        json_write_text(out, it.key);
        buf_putc(out, ':');
        json_write_mp(out, &it.value);
    }
    buf_putc(out, '}');
}

/* Of one that is apart, put together in `room`. */
static struct mp body_of(const struct object *o, struct buf *room)
{
    if (!object_is_apart(o)) {
        return object_mp(o);
    }
    object_append_body(room, o);
    return mp_of(room->data, room->size);
}

void object_write_json_metadata(struct buf *out, const struct object *o, uint64_t revision, bool managed)
{
    CLEANUP_BUF struct buf room = BUF_INIT;
    struct mp body = body_of(o, &room);
    write_metadata(out, mp_get(body, "metadata"), revision, managed ? mp_str(mp_get(body, "apiVersion")) : STR_NONE);
}

void object_write_json(struct buf *out, const struct object *o, uint64_t revision)
{
    CLEANUP_BUF struct buf room = BUF_INIT;
    struct mp m = body_of(o, &room);
    struct str key, api_version = mp_str(mp_get(m, "apiVersion"));
    uint32_t count = 0;
    mp_read_map(&m, &count);
    buf_putc(out, '{');
    for (uint32_t i = 0; i < count && mp_read_str(&m, &key); i++) {
        buf_puts(out, i == 0 ? "" : ",");
        json_write_text(out, key);
        buf_putc(out, ':');
        if (str_is(key, "metadata")) {
            struct mp metadata = {0};
            mp_read_item(&m, &metadata);
            write_metadata(out, metadata, revision, api_version);
        } else {
            json_write_mp(out, &m);
        }
    }
    buf_putc(out, '}');
}
