/* Workloads by what they select and by what they label: whoever comes new looks for those that would choose its pods,
 * or whose pods it would choose (controllers/rivals.h). */
#include "proto/facts/chooser.h"
#include "raft-store/store/index.h"

void index_chooser_key(struct buf *out, bool labels, struct str ns, struct str key, struct str value)
{
    buf_puts(out, labels ? "labels " : "selects ");
    index_label_key(out, ns, key, value);
}

/* One label is enough of a selector: a search asks for each label of a template, and for selectors that ask for no
 * certain one. */
static void by_chooser(const struct object *o, struct index_keys *out)
{
    CLEANUP_BUF struct buf text = BUF_INIT;
    struct str key = STR_NONE, value = STR_NONE;
    if (!chooser_is(o)) {
        return;
    }
    chooser_pair(o, &key, &value);
    index_chooser_key(&text, false, o->ns, key, value);
    index_key(out, buf_str(&text));
    for (struct mp_iter it = mp_iter(chooser_labels(o)); mp_next(&it);) {
        buf_reset(&text);
        index_chooser_key(&text, true, o->ns, it.key, mp_str(it.value));
        index_key(out, buf_str(&text));
    }
}

static bool chooses_nothing(const struct object *o)
{
    return !chooser_is(o);
}

const struct index_row index_chooser = {.keys = by_chooser, .has_none = chooses_nothing};
