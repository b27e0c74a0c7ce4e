#include "raft-store/store/event.h"

#include <assert.h>

#define REPORTER "reeve-master" /* of events that name nobody else */

int event_put(struct txn *t, struct arena *a, const struct view *tip, struct value *doc, int64_t wall_ms,
              unsigned check, struct error *err)
{
    assert(t != NULL && tip != NULL && doc != NULL);
    const struct kind *k = kind_by_id(KIND_EVENT);
    struct str ns = event_namespace(doc);
    const struct object *home = view_get(tip, kind_by_id(KIND_NAMESPACE), STR_NONE, ns);
    if (home == NULL || home->deleting) {
        return 0;
    }
    struct str name = event_name(a, doc);
    const struct object *former = view_get(tip, k, ns, name);
    if (former != NULL) {
        struct value *again = object_to_value(a, former);
        event_set_again(a, again, wall_ms, t->count);
        return txn_update_value(t, k, again, TXN_PART_ALL, former->revision, err);
    }
    event_set_name(a, doc, ns, name);
    event_set_first(a, doc, wall_ms, t->count, REPORTER);
    int rv = check == 0 ? 0 : kind_check(k, a, doc, NULL, check, err);
    return rv != 0 ? rv : txn_create_value(t, k, doc, err);
}

bool event_in_txn(const struct txn *t, struct arena *a, const struct value *doc)
{
    struct str ns = event_namespace(doc), name = event_name(a, doc);
    for (unsigned i = 0; i < t->count; i++) {
        const struct txn_op *op = &t->ops[i];
        if (op->kind->id == KIND_EVENT && str_eq(op->name, name) && str_eq(op->ns, ns)) {
            return true;
        }
    }
    return false;
}
