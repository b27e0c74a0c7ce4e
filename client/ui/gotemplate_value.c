/* Values as templates see them: what is true, and how a value is written. */
#include "client/ui/gotemplate_int.h"
#include "proto/text/text.h"

bool gotemplate_truth(const struct value *v)
{
    if (value_is_null(v)) {
        return false;
    }
    switch (v->type) {
    case VALUE_BOOL:
        return v->boolean;
    case VALUE_INT:
        return v->integer != 0;
    case VALUE_FLOAT:
        return v->number != 0;
    case VALUE_STR:
    case VALUE_BIN:
        return v->str.n > 0;
    default:
        return value_count(v) > 0;
    }
}

static void write_map(struct buf *out, const struct value *v)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct value *sorted = value_copy(&a, v);
    value_sort(sorted);
    buf_puts(out, "map[");
    VALUE_FOR(i, sorted)
    {
        buf_puts(out, i > 0 ? " " : "");
        buf_append_str(out, sorted->map.members[i].key);
        buf_putc(out, ':');
        gotemplate_write_value(out, sorted->map.members[i].value, true);
    }
    buf_putc(out, ']');
}

void gotemplate_write_value(struct buf *out, const struct value *v, bool inside)
{
    if (value_is_null(v)) {
        buf_puts(out, inside ? "<nil>" : "<no value>");
        return;
    }
    switch (v->type) {
    case VALUE_STR:
        buf_append_str(out, v->str);
        return;
    case VALUE_BIN:
        base64_write(out, v->str.p, v->str.n);
        return;
    case VALUE_MAP:
        write_map(out, v);
        return;
    case VALUE_LIST:
        buf_putc(out, '[');
        VALUE_FOR(i, v)
        {
            buf_puts(out, i > 0 ? " " : "");
            gotemplate_write_value(out, v->list.items[i], true);
        }
        buf_putc(out, ']');
        return;
    default:
        json_write(out, v, 0);
        return;
    }
}
