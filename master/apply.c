/* apply: manifests as the user has them, all or nothing, by the three-way merge of proto/patch.h. */
#include <assert.h>
#include <stdlib.h>

#include "master/master.h"
#include "proto/patch.h"
#include "proto/text.h"

/* What the manifest said the last time, from the annotation; NULL if it was never applied or the annotation is damaged. */
static struct value *last_applied(struct arena *a, const struct object *o)
{
    struct str text = object_annotation(o, APPLY_ANNOTATION);
    struct value *v = NULL;
    if (text.n == 0 || json_read(a, text, &v, NULL) != 0 || !value_is_map(v)) {
        return NULL;
    }
    return v;
}

static int apply_one(struct call *c, const struct admission *ad, struct write *w, struct txn *t, struct value *doc,
                     struct error *err)
{
    const struct kind *k;
    struct str ns, name;
    const struct value *metadata = value_get(doc, "metadata");
    if (value_to_str(value_get(metadata, "name")).n == 0 && value_to_str(value_get(metadata, "generateName")).n > 0) {
        return error_set_field(err, ERR_INVALID, "metadata.generateName",
                               "apply can't know an object by generateName; use create, or give it a name");
    }
    int rv = admit_document_kind(ad, doc, &k, &ns, &name, err);
    if (rv != 0) {
        return rv;
    }
    if (call_repeats(c, t)) {
        write_add(w, k, ns, name, "configured");
        return 0;
    }
    for (unsigned i = 0; i < t->count; i++) {
        if (t->ops[i].kind == k && str_eq(t->ops[i].ns, ns) && str_eq(t->ops[i].name, name)) {
            return error_set(err, ERR_INVALID, "%s \"%.*s\" is named twice in what is applied", k->singular,
                             STR_ARG(name));
        }
    }
    rv = kind_check_fields(k, ad->arena, doc, ad->lenient ? KIND_CHECK_LENIENT : 0, err);
    if (rv != 0) {
        return rv;
    }
    uint64_t if_revision;
    if ((rv = admit_version(doc, k, &if_revision, err)) != 0) {
        return rv;
    }
    value_remove(value_get(doc, "metadata"), "resourceVersion");
    value_remove(doc, "status");
    const struct object *old = view_get(ad->tip, k, ns, name);
    struct object *o = NULL;
    if (old == NULL) {
        struct value *fresh = value_copy(ad->arena, patch_first_apply(ad->arena, doc));
        rv = admit_create(ad, k, fresh, &o, err);
        if (rv == 0) {
            txn_create(t, o);
            write_add(w, k, ns, name, "created");
        }
        return rv;
    }
    struct value *current = object_to_value(ad->arena, old);
    struct value *merged = NULL;
    rv = patch_three_way(k, ad->arena, last_applied(ad->arena, old), doc, current, &merged, err);
    if (rv == 0) {
        rv = admit_update(ad, k, value_copy(ad->arena, merged), old, TXN_PART_SPEC, &o, err);
    }
    if (rv == 0) {
        txn_update(t, o, TXN_PART_SPEC, if_revision);
        write_add(w, k, ns, name, "configured");
    }
    return rv;
}

/* Namespaces first, so that what lives in them can come in the same transaction; otherwise in the user's order. */
static int apply_pass(struct call *c, const struct admission *ad, struct write *w, struct txn *t, struct value *objects,
                      bool namespaces, struct error *err)
{
    VALUE_FOR(i, objects)
    {
        struct value *doc = value_item(objects, i);
        bool is_namespace = str_is(value_to_str(value_get(doc, "kind")), "Namespace");
        if (is_namespace == namespaces) {
            int rv = apply_one(c, ad, w, t, doc, err);
            if (rv != 0) {
                return rv;
            }
        }
    }
    return 0;
}

void method_apply(struct call *c)
{
    struct mp m = mp_get(c->params, "objects");
    if (mp_type(m) != MP_ARRAY || mp_count(m) == 0 || mp_count(m) > TXN_OPS_MAX) {
        call_failf(c, ERR_USAGE, "apply: objects must be a list of 1 to %u objects", TXN_OPS_MAX);
        return;
    }
    struct value *objects;
    struct error err = {0};
    if (msgpack_read_value(&c->arena, m.p, (size_t)(m.end - m.p), &objects, &err) != 0) {
        call_fail(c, &err);
        return;
    }
    struct txn t;
    txn_init(&t, "api");
    if (!call_txn_id(c, &t)) {
        txn_close(&t);
        return;
    }
    struct admission ad = {
        .arena = &c->arena,
        .tip = store_tip(node_store(c->m->node)),
        .env = c->m->env,
        .lenient = str_is(mp_str(mp_get(c->params, "validate")), "ignore"),
        .same_txn = &t,
        .warnings = &c->warnings,
        .many = mp_count(m) > 1,
    };
    struct write *w = write_new(c, WRITE_APPLY);
    int rv = apply_pass(c, &ad, w, &t, objects, true, &err);
    if (rv == 0) {
        rv = apply_pass(c, &ad, w, &t, objects, false, &err);
    }
    if (rv != 0) {
        write_refuse(w, &err);
    } else {
        write_submit(w, &t);
    }
    txn_close(&t);
}
