/* Objects as JSON, from their bytes: nothing is decoded, and the revision is put in on the way. */
#include <stdio.h>

#include "proto/schema/object.h"
#include "proto/text/text.h"

static void write_metadata(struct buf *out, struct mp metadata, uint64_t revision)
{
    bool first = true;
    buf_putc(out, '{');
    if (revision > 0) {
        buf_printf(out, "\"resourceVersion\":\"%llu\"", (unsigned long long)revision);
        first = false;
    }
    for (struct mp_iter it = mp_iter(metadata); mp_next(&it);) {
        buf_puts(out, first ? "" : ",");
        first = false;
        json_write_text(out, it.key);
        buf_putc(out, ':');
        json_write_mp(out, &it.value);
    }
    buf_putc(out, '}');
}

void object_write_json_metadata(struct buf *out, const struct object *o, uint64_t revision)
{
    write_metadata(out, mp_get(object_mp(o), "metadata"), revision);
}

void object_write_json(struct buf *out, const struct object *o, uint64_t revision)
{
    struct mp m = object_mp(o);
    struct str key;
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
            write_metadata(out, metadata, revision);
        } else {
            json_write_mp(out, &m);
        }
    }
    buf_putc(out, '}');
}
