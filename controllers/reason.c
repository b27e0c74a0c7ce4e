#include "controllers/reason.h"

#include <assert.h>
#include <inttypes.h>

static const char *const texts[] = {
#define X(name, text) text,
    REASON_LIST(X)
#undef X
};

void decisions_add(struct decisions *l, const struct decision *d)
{
    assert(d->reason < REASONS);
    if (l->count == DECISIONS_MAX) {
        l->left_out++;
    } else {
        l->items[l->count++] = *d;
    }
}

void decision_write(struct buf *out, const struct decision *d)
{
    assert(d->reason < REASONS);
    for (const char *p = texts[d->reason]; *p != '\0'; p++) {
        if (*p != '%') {
            buf_append(out, p, 1);
            continue;
        }
        switch (*++p) {
        case 's':
            buf_append_str(out, d->what);
            break;
        case 't':
            buf_append_str(out, d->more);
            break;
        case 'n':
            buf_printf(out, "%" PRId64, d->count);
            break;
        default:
            assert(*p == 'm'); /* the list knows no other operand */
            buf_printf(out, "%" PRId64, d->other);
        }
    }
}

void decisions_write(struct buf *out, const struct decisions *l)
{
    for (unsigned i = 0; i < l->count; i++) {
        buf_puts(out, i == 0 ? "" : "; ");
        decision_write(out, &l->items[i]);
    }
    if (l->left_out > 0) {
        buf_printf(out, "; and %u more", l->left_out);
    }
}
