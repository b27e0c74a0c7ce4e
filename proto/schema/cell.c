/* Cells of tables: the same for rctl and for who asks a master for a table. */
#include <string.h>

#include "base/timefmt.h"
#include "proto/schema/object.h"

static void write_age(struct buf *out, const struct object *o, int64_t now_ms)
{
    int64_t created = object_created_ms(o);
    char age[TIMEFMT_SIZE] = "<unknown>";
    if (created > 0) {
        timefmt_age(MAX(now_ms - created, 0), age);
    }
    buf_puts(out, age);
}

void kind_write_cell(struct buf *out, const struct column *c, const struct object *o, int64_t now_ms)
{
    if (c->cell == NULL && strcmp(c->title, "AGE") == 0) {
        write_age(out, o, now_ms);
        return;
    }
    if (c->cell == NULL || strcmp(c->title, "NAME") == 0) {
        buf_append_str(out, o->name);
    }
    if (c->cell != NULL) {
        c->cell(out, o, now_ms);
    }
}
