/* An index of one file and one line: raft-store/store/index_widget.c. Widgets are found by what they are to say. */
#include "raft-store/store/index.h"

static void by_text(const struct object *widget, struct index_keys *out)
{
    index_key(out, mp_str(mp_path(object_mp(widget), "spec.text")));
}

static bool asks_text(struct str ns, const struct selector *labels, const struct selector *fields, unsigned nth,
                      struct buf *key)
{
    (void)ns;
    (void)labels;
    struct str text = field_selector_value(fields, "spec.text");
    buf_append_str(key, text);
    return nth == 0 && !str_empty(text);
}

const struct index_row index_widget = {.kind = KIND_WIDGET, .keys = by_text, .asks = asks_text};
