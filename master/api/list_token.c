#include "master/api/list_token.h"

#include "proto/model/msgpack.h"
#include "proto/text/text.h"

void list_token_write(struct buf *out, const struct list_token *t)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    mp_write_array(&b, 5);
    mp_write_uint(&b, t->master);
    mp_write_uint(&b, t->revision);
    mp_write_str(&b, t->ns);
    mp_write_str(&b, t->name);
    mp_write_uint(&b, t->told);
    base64_write(out, b.data, b.size);
}

bool list_token_read(struct arena *a, struct str text, struct list_token *t)
{
    CLEANUP_BUF struct buf raw = BUF_INIT;
    if (!base64_read(&raw, text)) {
        return false;
    }
    struct mp m = mp_of(arena_memdup(a, raw.data, raw.size), raw.size);
    uint32_t count;
    return mp_read_array(&m, &count) && count == 5 && mp_read_uint(&m, &t->master) && mp_read_uint(&m, &t->revision) &&
           mp_read_str(&m, &t->ns) && mp_read_str(&m, &t->name) && mp_read_uint(&m, &t->told);
}
