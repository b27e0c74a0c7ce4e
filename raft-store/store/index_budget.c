/* Disruption budgets by what they select: whoever takes a pod away asks for those that hold it. */
#include "raft-store/store/index.h"

/* One label is enough: a search asks for each label that the pod has, and for budgets that ask for no certain one. */
static void by_budget(const struct object *budget, struct index_keys *out)
{
    CLEANUP_BUF struct buf key = BUF_INIT;
    struct mp selector = mp_get(object_spec(budget), "selector");
    struct mp_iter it = mp_iter(mp_get(selector, "matchLabels"));
    if (mp_type(selector) != MP_MAP) {
        return;
    }
    if (mp_next(&it)) {
        index_label_key(&key, budget->ns, it.key, mp_str(it.value));
    } else {
        index_label_key(&key, budget->ns, STR_NONE, STR_NONE);
    }
    index_key(out, buf_str(&key));
}

const struct index_row index_budget = {.kind = KIND_PODDISRUPTIONBUDGET, .keys = by_budget};
