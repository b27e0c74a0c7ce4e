#include "proto/describe/describe.h"

#include "proto/describe/parts.h"

static void describe_generic(struct buf *out, const struct object *o, const struct describe_context *c)
{
    describe_head(out, o, 14);
    describe_text(out, 0, 14, "API Version:", str_of(o->kind->api_version));
    describe_text(out, 0, 14, "Kind:", str_of(o->kind->name));
    for (struct mp_iter it = mp_iter(object_mp(o)); mp_next(&it);) {
        if (str_is(it.key, "apiVersion") || str_is(it.key, "kind") || str_is(it.key, "metadata")) {
            continue;
        }
        describe_title(out, it.key);
        buf_puts(out, ":");
        if (mp_type(it.value) == MP_MAP || mp_type(it.value) == MP_ARRAY) {
            buf_putc(out, '\n');
            describe_value(out, it.value, 1);
        } else {
            buf_puts(out, "  ");
            describe_scalar(out, it.value);
            buf_putc(out, '\n');
        }
    }
    describe_events(out, c);
}

void describe_object(struct buf *out, const struct object *o, const struct describe_context *c)
{
    (o->kind->describe != NULL ? o->kind->describe : describe_generic)(out, o, c);
}
