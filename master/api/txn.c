/* txn: several operations of the user's own making, all or nothing. */
#include "master/admission/row.h"
#include "master/api/write.h"
#include "master/master.h"

static int add_create(const struct admission *ad, struct txn *t, const struct kind *k, const struct api_op *op,
                      struct error *err)
{
    struct object *o = NULL;
    int rv = admit_create(ad, k, op->object, &o, err);
    if (rv == 0) {
        txn_create(t, o);
    }
    return rv;
}

/* update and delete: of what is there. */
static int add_change(const struct admission *ad, struct txn *t, const struct api_op *op, const struct object *old,
                      struct error *err)
{
    const struct kind *k = old->kind;
    if (op->type == API_OP_UPDATE) {
        uint64_t version;
        int rv = admit_version(op->object, k, &version, err);
        return rv != 0 ? rv
                       : update_to(ad, t, op->object, old, NULL, op->part,
                                   op->if_revision != 0 ? op->if_revision : version, err);
    }
    if (k->in_steps || mp_count(mp_path(object_mp(old), "metadata.finalizers"))) {
        return error_set(err, ERR_UNSUPPORTED, "txn: %s \"%.*s\" is deleted in steps; use delete", k->singular,
                         STR_ARG(old->name));
    }
    if (admission_remove(ad->tip, ad->who, old, err) != 0) {
        return err->code;
    }
    txn_delete(t, old)->if_revision = op->if_revision;
    return 0;
}

static int add_op(struct admission *ad, struct write *w, struct txn *t, const struct api_op *op, struct error *err)
{
    struct api_target of = op->of;
    ad->ordinal = w->count;
    int rv = op->object == NULL ? 0 : admit_document_kind(ad, op->object, &of.kind, &of.ns, &of.name, err);
    if (rv != 0) {
        return rv;
    }
    const struct object *old = ad->repeats ? NULL : view_get(ad->tip, of.kind, of.ns, of.name);
    write_add(w, of.kind, of.ns, of.name, old);
    if (ad->repeats) {
        return 0;
    }
    if (op->type == API_OP_CHECK) {
        txn_check(t, of.kind, of.ns, of.name, op->absent ? UINT64_MAX : op->if_revision);
    } else if (op->type == API_OP_CREATE) {
        rv = add_create(ad, t, of.kind, op, err);
    } else {
        rv = old == NULL ? error_not_found(err, of.kind, of.name) : add_change(ad, t, op, old, err);
    }
    if (rv != 0) {
        kind_error_about(err, of.kind, of.name);
    } else if (op->if_uid.n > 0) {
        t->ops[t->count - 1].if_uid = (struct str){arena_strndup(&t->arena, op->if_uid.p, op->if_uid.n), op->if_uid.n};
    }
    return rv;
}

void verb_txn(struct api_call *c, const struct api_txn *q)
{
    if (q->count == 0 || q->count > MASTER_USER_OBJECTS_MAX) {
        api_fail(c, ERR_USAGE, "txn: ops must be a list of 1 to %u operations", MASTER_USER_OBJECTS_MAX);
        return;
    }
    struct txn t;
    api_txn_init(&t, &q->how);
    struct admission ad = api_admission(c, &q->how);
    struct claims claims;
    claims_init(&claims, &t);
    ad.same_txn = ad.names_from = &t;
    ad.claims = &claims;
    ad.repeats = api_repeats(c, &t);
    struct write *w = write_new(c, API_TXN);
    struct error err = {0};
    int rv = 0;
    for (unsigned i = 0; rv == 0 && i < q->count; i++) {
        rv = add_op(&ad, w, &t, &q->ops[i], &err);
    }
    if (rv != 0) {
        write_refuse(w, &err);
    } else {
        write_submit(w, &q->how, &t);
    }
    claims_close(&claims);
    txn_close(&t);
}
