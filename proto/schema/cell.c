/* Cells of tables: the same for rctl and for who asks a master for a table. */
#include <string.h>

#include "base/le.h"
#include "base/timefmt.h"
#include "proto/schema/object.h"

#define OPEN 0xffu

void kind_write_since(struct buf *out, int64_t then_ms, int64_t now_ms)
{
    char age[TIMEFMT_SIZE];
    int64_t since_ms;
    if (now_ms == KIND_AGES_OPEN) {
        buf_putc(out, (char)OPEN);
        buf_put_u64(out, (uint64_t)then_ms);
        return;
    }
    if (__builtin_sub_overflow(now_ms, then_ms, &since_ms)) {
        since_ms = then_ms < 0 ? INT64_MAX : 0;
    }
    timefmt_age(since_ms, age);
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

/* Strings that came in MessagePack may hold any byte, so also the one that begins an open age. `closed` is the same
 * cell with its ages written as of 0: where it has that byte too it is the string's, and becomes U+FFFD. */
static void write_apart(struct buf *out, struct str open, struct str closed)
{
    while (open.n > 0) {
        bool begins = (uint8_t)open.p[0] == OPEN, own = closed.n > 0 && (uint8_t)closed.p[0] == OPEN;
        size_t taken = 1, passed = 1;
        if (!begins) {
            buf_putc(out, open.p[0]);
        } else if (own || open.n < KIND_AGE_OPEN_BYTES) {
            buf_puts(out, "\xef\xbf\xbd");
        } else {
            CLEANUP_BUF struct buf age = BUF_INIT;
            kind_write_since(&age, (int64_t)le_load_u64((const uint8_t *)open.p + 1), 0);
            taken = KIND_AGE_OPEN_BYTES;
            passed = age.size;
            buf_append(out, open.p, taken);
        }
        passed = MIN(passed, closed.n);
        open = (struct str){open.p + taken, open.n - taken};
        closed = (struct str){closed.p + passed, closed.n - passed};
    }
}

static void write_open(struct buf *out, const struct column *c, const struct object *o)
{
    CLEANUP_BUF struct buf open = BUF_INIT, closed = BUF_INIT;
    c->cell(&open, o, KIND_AGES_OPEN);
    if (open.size > 0 && memchr(open.data, (int)OPEN, open.size) != NULL) {
        c->cell(&closed, o, 0);
        write_apart(out, buf_str(&open), buf_str(&closed));
    } else {
        buf_append_str(out, buf_str(&open));
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
    if (c->cell != NULL && now_ms == KIND_AGES_OPEN) {
        write_open(out, c, o);
    } else if (c->cell != NULL) {
        c->cell(out, o, now_ms);
    }
}
