/* Keys that stand twice in a map: readers keep both for who asks for it, and here the last one is left, and it is told
 * where that was. */
#include <assert.h>

#include "proto/text/text.h"

#define KEY_SHOWN 100

struct settling {
    struct arena *arena;
    struct value *twice;
    struct error *err;
    struct buf path;
};

static int settle(struct settling *s, struct value *v);

static void enter(struct settling *s, struct str key)
{
    buf_printf(&s->path, "%s%.*s", s->path.size > 0 ? "." : "", (int)MIN(key.n, (size_t)KEY_SHOWN), key.p);
}

static int settle_map(struct settling *s, struct value *map)
{
    unsigned first, second;
    size_t here = s->path.size;
    int rv = 0;
    while (value_find_duplicate(map, &first, &second)) {
        if (value_count(s->twice) >= TEXT_TWICE_MAX) {
            return error_set(s->err, ERR_INVALID, "more than %u keys stand twice in their maps", TEXT_TWICE_MAX);
        }
        enter(s, map->map.members[second].key);
        value_append(s->arena, s->twice, value_str(s->arena, buf_str(&s->path)));
        s->path.size = here;
        map->map.members[first].value = NULL;
        value_drop_marked(map);
    }
    for (unsigned i = 0; rv == 0 && i < map->map.count; i++) {
        enter(s, map->map.members[i].key);
        rv = settle(s, map->map.members[i].value);
        s->path.size = here;
    }
    return rv;
}

/* No deeper than readers go: VALUE_DEPTH_MAX. */
static int settle(struct settling *s, struct value *v)
{
    int rv = value_is_map(v) ? settle_map(s, v) : 0;
    size_t here = s->path.size;
    for (unsigned i = 0; rv == 0 && value_is_list(v) && i < v->list.count; i++) {
        buf_printf(&s->path, "[%u]", i);
        rv = settle(s, v->list.items[i]);
        s->path.size = here;
    }
    return rv;
}

int text_settle_twice(struct arena *a, struct value *doc, struct value *twice, struct error *err)
{
    assert(value_is_list(twice));
    struct settling s = {.arena = a, .twice = twice, .err = err, .path = BUF_INIT};
    int rv = settle(&s, doc);
    buf_close(&s.path);
    return rv;
}
