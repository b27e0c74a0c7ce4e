/* Cells of tables: the same for rctl and for who asks a master for a table. */
#include <string.h>

#include "base/le.h"
#include "base/timefmt.h"
#include "proto/schema/object.h"

#define OPEN 0xffu

void kind_write_since(struct buf *out, int64_t then_ms, int64_t now_ms)
{
    char age[TIMEFMT_SIZE];
    if (now_ms == KIND_AGES_OPEN) {
        buf_putc(out, (char)OPEN);
        buf_put_u64(out, (uint64_t)then_ms);
        return;
    }
    timefmt_age(now_ms - then_ms, age);
    buf_puts(out, age);
}

void kind_close_ages(struct buf *out, struct str text, int64_t now_ms)
{
    const char *open;
    while ((open = text.n == 0 ? NULL : memchr(text.p, (int)OPEN, text.n)) != NULL) {
        size_t n = (size_t)(open - text.p);
        buf_append(out, text.p, n);
        text = (struct str){open, text.n - n};
        if (text.n < KIND_AGE_OPEN_BYTES) {
            break; /* it is none */
        }
        kind_write_since(out, (int64_t)le_load_u64((const uint8_t *)open + 1), now_ms);
        text = (struct str){open + KIND_AGE_OPEN_BYTES, text.n - KIND_AGE_OPEN_BYTES};
    }
    buf_append_str(out, text);
}

static void write_age(struct buf *out, const struct object *o, int64_t now_ms)
{
    int64_t created = object_created_ms(o);
    if (created > 0) {
        kind_write_since(out, created, now_ms);
    } else {
        buf_puts(out, "<unknown>");
    }
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
