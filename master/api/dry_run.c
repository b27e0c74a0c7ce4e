/* params.dryRun: everything is checked, nothing is written, and the answer shows what would be.
 *
 * The preconditions are those of the store's evaluation, looked at on the tip; what the store alone gives (uid, creationTimestamp of a new object)
 * is absent from the answer. It is given when the tip's word has been confirmed, as for any read. */
#include "master/api/admission.h"
#include "master/api/write.h"
#include "master/master.h"

static int check_op(const struct view *tip, const struct txn_op *op, struct error *err)
{
    char resource[128];
    const struct object *old = view_get(tip, op->kind, op->ns, op->name);
    kind_resource_name(op->kind, resource, sizeof resource);
    if (op->type == TXN_CREATE || (op->type == TXN_CHECK && op->if_revision == UINT64_MAX)) {
        return old == NULL ? 0 : error_set(err, ERR_EXISTS, "%s \"%.*s\" already exists", resource, STR_ARG(op->name));
    }
    if (old == NULL) {
        return error_set(err, ERR_NOT_FOUND, "%s \"%.*s\" not found", resource, STR_ARG(op->name));
    }
    if (op->if_revision != 0 && op->if_revision != old->revision) {
        return error_set(err, ERR_CONFLICT, "%s \"%.*s\" has been changed: its resourceVersion is %llu, not %llu",
                         resource, STR_ARG(op->name), (unsigned long long)old->revision,
                         (unsigned long long)op->if_revision);
    }
    if (op->if_uid.n > 0 && !str_eq(op->if_uid, old->uid)) {
        return error_set(err, ERR_CONFLICT, "%s \"%.*s\" is another object than the one meant: its uid is %.*s",
                         resource, STR_ARG(op->name), STR_ARG(old->uid));
    }
    return 0;
}

static bool same_body(const struct object *a, const struct object *b)
{
    return a->body_size == b->body_size && memcmp(a->body, b->body, a->body_size) == 0;
}

/* The last operation on the item decides how it would look. */
static void fill_item(struct write *w, struct write_item *item, const struct txn *t, const struct view *tip)
{
    const struct object *old = view_get(tip, item->kind, item->ns, item->name), *seen = old;
    for (unsigned i = 0; i < t->count; i++) {
        const struct txn_op *op = &t->ops[i];
        if (op->kind == item->kind && str_eq(op->name, item->name) && str_eq(op->ns, item->ns)) {
            seen = op->object != NULL ? op->object : seen;
            item->gone |= op->type == TXN_DELETE;
            if (w->shape == WRITE_APPLY && old != NULL && op->object != NULL && same_body(old, op->object)) {
                item->result = "unchanged";
            }
        }
    }
    item->object = seen == NULL ? NULL : object_ref(seen);
}

static void confirmed(const struct error *error, void *data)
{
    struct write *w = data;
    struct txn_result r = {.revision = view_revision(store_committed(replica_store(w->call->m->replica)))};
    write_answered(&r, error, w);
}

void write_dry_run(struct write *w, const struct txn *t)
{
    struct replica *replica = w->call->m->replica;
    const struct view *tip = store_tip(replica_store(replica));
    struct error err = {0};
    for (unsigned i = 0; i < t->count; i++) {
        if (check_op(tip, &t->ops[i], &err) != 0) {
            write_refuse(w, &err);
            return;
        }
    }
    for (unsigned i = 0; i < w->count; i++) {
        fill_item(w, &w->items[i], t, tip);
    }
    replica_read(replica, confirmed, w);
}
