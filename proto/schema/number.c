/* Numbers of fields in Kubernetes' protobuf messages. Most messages number their fields in the order in which the API
 * shows them, so a table says only where one does not (struct field: number, inside); tests/script/fields has all
 * numbers, and proto_kind_numbers compares. */
#include <assert.h>

#include "proto/schema/table.h"

struct field_number field_number_next(struct field_number *last, const struct field *f)
{
    if (f->number == FIELD_NO_NUMBER) {
        return (struct field_number){0, 0};
    }
    struct field_number n = {f->number, f->inside};
    if (n.number == 0) {
        if (f->inside == last->inside) {
            n.number = last->number + 1;
        } else {
            n.number = f->inside != 0 ? 1 : last->inside + 1;
        }
    }
    *last = n;
    return n;
}

const struct field *schema_field_numbered(const struct schema *s, unsigned inside, unsigned number, bool *opens)
{
    assert(s != NULL && opens != NULL);
    struct field_number last = {0, 0};
    *opens = false;
    for (unsigned i = 0; i < s->count; i++) {
        struct field_number n = field_number_next(&last, &s->fields[i]);
        if (n.number != 0 && n.number == number && n.inside == inside) {
            return &s->fields[i];
        }
        *opens |= inside == 0 && n.inside != 0 && n.inside == number;
    }
    return NULL;
}
