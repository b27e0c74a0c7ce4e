/* Keys that stand twice in a map: readers keep both for who asks for it, and here the last one is left, and it is told
 * where that was. */
#include <assert.h>

#include "proto/text/text.h"

#define KEY_SHOWN 100

/* The way from the document to where it looks: written out only where a key stands twice. */
struct step {
    const struct step *above; /* NULL: the document */
    const struct str *key;    /* NULL: an element of a list */
    unsigned index;
};

struct settling {
    struct arena *arena;
    struct value *twice;
    struct error *err;
};

static int settle(struct settling *s, struct value *v, const struct step *here);

static void write_path(struct buf *b, const struct step *at)
{
    if (at == NULL) {
        return;
    }
    write_path(b, at->above);
    if (at->key == NULL) {
        buf_printf(b, "[%u]", at->index);
    } else {
        buf_printf(b, "%s%.*s", b->size > 0 ? "." : "", (int)MIN(at->key->n, (size_t)KEY_SHOWN), at->key->p);
    }
}

static void tell(struct settling *s, const struct step *at)
{
    CLEANUP_BUF struct buf path = BUF_INIT;
    write_path(&path, at);
    value_append(s->arena, s->twice, value_str(s->arena, buf_str(&path)));
}

static int settle_map(struct settling *s, struct value *map, const struct step *here)
{
    unsigned first, second;
    int rv = 0;
    while (value_find_duplicate(map, &first, &second)) {
        if (value_count(s->twice) >= TEXT_TWICE_MAX) {
            return error_set(s->err, ERR_INVALID, "more than %u keys stand twice in their maps", TEXT_TWICE_MAX);
        }
        tell(s, &(struct step){.above = here, .key = &map->map.members[second].key});
        map->map.members[first].value = NULL;
        value_drop_marked(map);
    }
    for (unsigned i = 0; rv == 0 && i < map->map.count; i++) {
        const struct step member = {.above = here, .key = &map->map.members[i].key};
        rv = settle(s, map->map.members[i].value, &member);
    }
    return rv;
}

/* No deeper than readers go: VALUE_DEPTH_MAX. */
static int settle(struct settling *s, struct value *v, const struct step *here)
{
    int rv = value_is_map(v) ? settle_map(s, v, here) : 0;
    for (unsigned i = 0; rv == 0 && value_is_list(v) && i < v->list.count; i++) {
        const struct step element = {.above = here, .index = i};
        rv = settle(s, v->list.items[i], &element);
    }
    return rv;
}

int text_settle_twice(struct arena *a, struct value *doc, struct value *twice, struct error *err)
{
    assert(value_is_list(twice));
    struct settling s = {.arena = a, .twice = twice, .err = err};
    return settle(&s, doc, NULL);
}
