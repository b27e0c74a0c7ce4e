/* Kinds that are little but data. */
#include "client/describe/describe.h"
#include "client/describe/parts.h"

void describe_namespace(struct buf *out, const struct object *o, const struct describe_context *c)
{
    describe_head(out, o, 14);
    describe_text(out, 0, 14, "Status:", mp_str(mp_path(object_mp(o), "status.phase")));
    describe_conditions(out, mp_path(object_mp(o), "status.conditions"), true);
    describe_events(out, c);
}

void describe_configmap(struct buf *out, const struct object *o, const struct describe_context *c)
{
    describe_head(out, o, 14);
    buf_puts(out, "\nData\n====\n");
    for (struct mp_iter it = mp_iter(mp_get(object_mp(o), "data")); mp_next(&it);) {
        struct str v = mp_str(it.value);
        buf_printf(out, "%.*s:\n----\n%.*s\n\n", STR_ARG(it.key), STR_ARG(v));
    }
    buf_puts(out, "BinaryData\n====\n");
    for (struct mp_iter it = mp_iter(mp_get(object_mp(o), "binaryData")); mp_next(&it);) {
        struct str v;
        struct mp m = it.value;
        buf_printf(out, "%.*s: %zu bytes\n", STR_ARG(it.key), mp_read_bin(&m, &v) ? v.n : 0);
    }
    buf_putc(out, '\n');
    describe_events(out, c);
}

/* Sizes only: what is in a Secret is nobody's business who looks over a shoulder. */
void describe_secret(struct buf *out, const struct object *o, const struct describe_context *c)
{
    describe_head(out, o, 14);
    buf_putc(out, '\n');
    describe_text(out, 0, 6, "Type:", mp_str(mp_get(object_mp(o), "type")));
    buf_puts(out, "\nData\n====\n");
    for (struct mp_iter it = mp_iter(mp_get(object_mp(o), "data")); mp_next(&it);) {
        struct str v;
        struct mp m = it.value;
        size_t n = mp_read_bin(&m, &v) ? v.n : mp_str(it.value).n;
        buf_printf(out, "%.*s:  %zu bytes\n", STR_ARG(it.key), n);
    }
    if (c->events_count > 0) {
        buf_putc(out, '\n');
        describe_events(out, c);
    }
}
