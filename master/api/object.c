/* create, update, patch: one object by one transaction. */
#include "master/api/managed.h"
#include "master/api/write.h"
#include "master/master.h"
#include "proto/facts/precondition.h"

struct admission api_admission(struct api_call *c, const struct api_write *how)
{
    return (struct admission){
        .arena = c->arena,
        .tip = api_tip(c),
        .env = c->m->env,
        .level = store_level(replica_store(c->m->replica)),
        .lenient = how->lenient,
        .who = c->who,
        .warnings = &c->warnings,
        .notes = c->m->audits ? &c->notes : NULL,
        .zones = c->m->zones,
        .manager = how->manager.n > 0 ? how->manager : STR(API_MANAGER),
    };
}

/* Submits, answers, and closes the transaction. old: what is there; NULL: nothing, or it is a repetition. */
static void submit_one(struct api_call *c, enum api_verb verb, const struct api_write *how, struct txn *t,
                       const struct api_target *of, const struct object *old)
{
    struct write *w = write_new(c, verb);
    write_add(w, of->kind, of->ns, of->name, old);
    write_submit(w, how, t);
    txn_close(t);
}

void verb_create(struct api_call *c, const struct api_create *q)
{
    struct admission ad = api_admission(c, &q->how);
    struct api_target of = {0};
    struct error err = {0};
    struct object *o = NULL;
    struct txn t;
    api_txn_init(&t, &q->how);
    ad.names_from = &t;
    bool repeat = ad.repeats = api_repeats(c, &t);
    if (admit_document_kind(&ad, q->object, &of.kind, &of.ns, &of.name, &err) != 0 ||
        (!repeat && admit_create(&ad, of.kind, q->object, &o, &err) != 0)) {
        api_refuse_of(c, &of, &err);
        txn_close(&t);
        return;
    }
    if (!repeat) {
        txn_create(&t, o);
    }
    submit_one(c, API_CREATE, &q->how, &t, &of, NULL);
}

/* ---- Parts ---- */

struct api_part {
    const char *name;
    enum txn_part part;
    /* The member of spec that a patch of the part may change; of a part of the status the one of status that a write of
     * it changes, whatever else it says. NULL: all of the part. */
    const char *only;
};
static const struct api_part PARTS[] = {
    {"", TXN_PART_SPEC, NULL},
    {"status", TXN_PART_STATUS, NULL},
    {"scale", TXN_PART_SPEC, "replicas"},
    {"ephemeralcontainers", TXN_PART_SPEC, "ephemeralContainers"},
    {"finalize", TXN_PART_SPEC, "finalizers"}, /* of a namespace, whose deletion waits for them */
    {"approval", TXN_PART_STATUS, "conditions"},
};

const struct api_part *api_part_named(struct str name)
{
    for (size_t i = 0; i < ARRAY_SIZE(PARTS); i++) {
        if (str_is(name, PARTS[i].name) || (name.n == 0 && i == 0)) {
            return &PARTS[i];
        }
    }
    return NULL;
}

const char *api_part_name(const struct api_part *part)
{
    return part->name;
}

const char *api_part_only(const struct api_part *part)
{
    return part->only;
}

enum txn_part api_part_of_txn(const struct api_part *part)
{
    return part->part;
}

bool api_has_part(const struct kind *k, const struct api_part *part, struct error *err)
{
    bool status = part->part == TXN_PART_STATUS;
    bool has = status && part->only != NULL               ? k->has_approval
               : status                                   ? k->has_status
               : part->only == NULL                       ? true
               : str_is(str_of(part->only), "replicas")   ? k->has_scale
               : str_is(str_of(part->only), "finalizers") ? k->id == KIND_NAMESPACE
                                                          : k->has_ephemeral;
    if (!has) {
        error_set(err, ERR_NOT_FOUND, "%s have no part \"%s\"; leave it out to change the object itself", k->plural,
                  part->name);
    }
    return has;
}

/* False, and answered, if the kind has no such part: a write of it would change nothing in silence. */
static bool kind_has_part(struct api_call *c, const struct kind *k, const struct api_part *part)
{
    struct error err = {0};
    bool has = api_has_part(k, part, &err);
    if (!has) {
        c->front->fail(c, &err);
    }
    return has;
}

/* ---- update, patch ---- */

/* With a status annotations may come along. */
static bool annotates(const struct value *doc, const struct value *before)
{
    const struct value *now = value_path(doc, "metadata.annotations"),
                       *was = value_path(before, "metadata.annotations");
    return value_is_map(now) && (value_count(now) != value_count(was) || (was != NULL && !value_equal(now, was)));
}

int update_to(const struct admission *ad, struct txn *t, struct value *doc, const struct object *old,
              struct value *before, enum txn_part part, uint64_t if_revision, struct error *err)
{
    struct object *o = NULL;
    before = before != NULL ? before : object_to_value(ad->arena, old);
    int rv = admit_update(ad, doc, old, before, part, &o, err);
    if (rv == 0) {
        /* Who manages the status stands in metadata: that, and annotations, is all of it that has changed. */
        bool more = part == TXN_PART_STATUS &&
                    (mp_type(mp_path(object_mp(o), "metadata." MANAGED_MEMBER)) != MP_NONE || annotates(doc, before));
        struct txn_op *op = txn_update(t, o, more ? TXN_PART_ALL : part, if_revision);
        if (part != TXN_PART_STATUS) { /* of which the object is made of the old one */
            op->doc = doc;
            op->was = before;
            op->was_at = old->revision;
        }
    }
    return rv;
}

/* Of a write of one member of the status the rest of it stays as it is: the document is changed. */
static void only_of_status(struct arena *a, const char *only, struct value *doc, const struct value *before)
{
    const struct value *was = value_get(before, "status");
    struct value *asked = value_get(value_get(doc, "status"), only);
    struct value *status = value_is_map(was) ? value_copy(a, was) : value_map(a);
    value_remove(status, only);
    if (asked != NULL) {
        value_set(a, status, only, asked);
    }
    value_set(a, doc, "status", status);
}

/* The document of an update. Of a part that is one member of the spec, that member alone counts: who may write the part
 * may not write the rest. */
static struct value *update_document(struct api_call *c, const struct api_update *q, const struct object *old)
{
    const char *only = q->part->only;
    if (only == NULL) {
        return q->object;
    }
    if (q->part->part == TXN_PART_STATUS) {
        only_of_status(c->arena, only, q->object, object_to_value(c->arena, old));
        return q->object;
    }
    struct value *doc = object_to_value(c->arena, old), *spec = value_ensure_map(c->arena, doc, "spec");
    struct value *asked = value_get(value_get(q->object, "spec"), only), *uid = value_path(q->object, "metadata.uid");
    value_remove(spec, only);
    if (asked != NULL) {
        value_set(c->arena, spec, only, asked);
    }
    if (uid != NULL) {
        value_set(c->arena, value_ensure_map(c->arena, doc, "metadata"), "uid", uid);
    }
    return doc;
}

/* What is not there is made, of some kinds. A resourceVersion in the document counts for nothing then, as in
 * Kubernetes. */
static bool is_made(const struct api_update *q, const struct kind *k)
{
    return q->is_put && k->put_makes && q->part == &PARTS[0];
}

/* A uid is that of an object that there was. */
static int make(const struct admission *ad, struct txn *t, const struct kind *k, struct value *doc, struct error *err)
{
    struct object *o = NULL;
    struct str uid = value_path_str(doc, "metadata.uid"), name = value_path_str(doc, "metadata.name");
    if (uid.n > 0) {
        return error_set(err, ERR_CONFLICT,
                         "%s \"%.*s\" is not there any more, and the document has the uid %.*s of a former one; leave "
                         "it out to make a new one",
                         k->singular, STR_ARG(name), STR_ARG(uid));
    }
    int rv = admit_create(ad, k, doc, &o, err);
    if (rv == 0) {
        txn_create(t, o);
    }
    return rv;
}

#define NEEDS_VERSION "must be specified for an update, as it was read"

/* The version that is changed, or 0 for any: a PUT says it of kinds that nobody may change unseen. */
static int update_version(const struct api_update *q, const struct kind *k, uint64_t *revision, struct error *err)
{
    int rv = admit_version(q->object, k, revision, err);
    if (rv == 0 && *revision == 0 && q->is_put && k->put_needs_version) {
        struct str name = value_path_str(q->object, "metadata.name");
        rv =
            error_set_field(err, ERR_INVALID, "metadata.resourceVersion",
                            "%s \"%.*s\" is invalid: metadata.resourceVersion: " NEEDS_VERSION, k->name, STR_ARG(name));
        error_add_cause(err, ERROR_CAUSE_INVALID, STR("metadata.resourceVersion"), STR(NEEDS_VERSION));
    }
    return rv;
}

void verb_update(struct api_call *c, const struct api_update *q)
{
    struct admission ad = api_admission(c, &q->how);
    struct api_target of = {0};
    struct error err = {0};
    ad.subresource = str_of(q->part->name);
    if (admit_document_kind(&ad, q->object, &of.kind, &of.ns, &of.name, &err) != 0) {
        api_refuse_of(c, &of, &err);
        return;
    }
    if (!kind_has_part(c, of.kind, q->part)) {
        return;
    }
    const struct object *old = NULL;
    struct txn t;
    api_txn_init(&t, &q->how);
    if (!api_repeats(c, &t)) {
        uint64_t if_revision;
        old = view_get(ad.tip, of.kind, of.ns, of.name);
        bool made = old == NULL && is_made(q, of.kind);
        int rv = made          ? make(&ad, &t, of.kind, q->object, &err)
                 : old == NULL ? error_not_found(&err, of.kind, of.name)
                               : update_version(q, of.kind, &if_revision, &err);
        rv = rv != 0 || made
                 ? rv
                 : update_to(&ad, &t, update_document(c, q, old), old, NULL, q->part->part, if_revision, &err);
        if (rv != 0) {
            api_refuse_of(c, &of, &err);
            txn_close(&t);
            return;
        }
    }
    submit_one(c, API_UPDATE, &q->how, &t, &of, old);
}

/* Does the patch change more than the one member of the spec? */
static bool changes_more(struct arena *a, const char *only, const struct value *doc, const struct value *old)
{
    struct value *now = value_copy(a, doc), *before = value_copy(a, old);
    value_remove(value_get(now, "spec"), only);
    value_remove(value_get(before, "spec"), only);
    value_remove(value_get(now, "metadata"), "resourceVersion");
    value_remove(value_get(before, "metadata"), "resourceVersion");
    return !value_equal(now, before);
}

/* Patches that speak of managers are made for what was read of them. */
static void show_managed(struct arena *a, const struct api_patch *q, struct value *current)
{
    struct value *metadata = value_get(current, "metadata"), *stored = value_get(metadata, MANAGED_MEMBER);
    bool speaks = q->type != PATCH_JSON && value_path(q->patch, "metadata.managedFields") != NULL;
    for (unsigned i = 0; q->type == PATCH_JSON && i < value_count(q->patch); i++) {
        const struct value *op = value_item(q->patch, i);
        speaks |= str_starts(value_to_str(value_get(op, "path")), STR("/metadata/managedFields")) ||
                  str_starts(value_to_str(value_get(op, "from")), STR("/metadata/managedFields"));
    }
    if (speaks && stored != NULL && stored->type == VALUE_BIN) {
        value_set(a, metadata, "managedFields",
                  managed_to_value(a, stored->str, value_to_str(value_get(current, "apiVersion"))));
    }
}

/* A patch in the words of another version is made for the object as it reads in that version. */
static int patch_in_version(const struct api_patch *q, const struct kind *k, struct arena *a, struct value *current,
                            struct value **doc, struct error *err)
{
    struct value *result = NULL, *shown = q->api_version.n == 0 ? current : value_copy(a, current);
    struct str version = q->api_version.n == 0 ? str_of(k->api_version) : q->api_version;
    int rv = kind_write_version(k, a, shown, version, err);
    rv = rv != 0 ? rv : patch_apply(q->type, k, a, shown, q->patch, &result, err);
    if (rv != 0) {
        return rv;
    }
    *doc = value_copy(a, result);
    if (!value_is_map(*doc) || !str_is(value_path_str(*doc, "kind"), k->name) ||
        !str_eq(value_path_str(*doc, "apiVersion"), version)) {
        return error_set_field(err, ERR_INVALID, "kind", "a patch can't change kind or apiVersion of %s \"%.*s\"",
                               k->singular, STR_ARG(q->of.name));
    }
    (void)kind_of_document(a, *doc, NULL); /* k, and the document has the words of the stored version from here on */
    return 0;
}

/* What the patch makes of the object as it is now. */
static int patch_to(struct api_call *c, const struct api_patch *q, const struct object *old, struct txn *t,
                    struct error *err)
{
    struct admission ad = api_admission(c, &q->how);
    const struct api_part *part = q->part;
    const struct kind *k = old->kind;
    struct value *doc = NULL, *current = object_to_value(c->arena, old);
    ad.subresource = str_of(part->name);
    show_managed(c->arena, q, current);
    int rv = patch_in_version(q, k, c->arena, current, &doc, err);
    if (rv != 0) {
        return rv;
    }
    struct str name = value_path_str(doc, "metadata.name"), ns = value_path_str(doc, "metadata.namespace");
    if (!str_eq(name, old->name) || !str_eq(ns, old->ns)) {
        return error_set_field(err, ERR_INVALID, "metadata.name",
                               "a patch can't change name or namespace of %s \"%.*s\"", k->singular,
                               STR_ARG(old->name));
    }
    if (part->only != NULL && part->part == TXN_PART_STATUS) {
        only_of_status(c->arena, part->only, doc, current);
    } else if (part->only != NULL && changes_more(c->arena, part->only, doc, current)) {
        return error_set_field(err, ERR_INVALID, "spec",
                               "a patch of the part \"%s\" can change spec.%s alone; leave "
                               "the part out to change more of %s \"%.*s\"",
                               part->name, part->only, k->singular, STR_ARG(old->name));
    }
    /* A version that the patch has set is a precondition, as in an update. */
    uint64_t if_revision = q->if_revision, version;
    if ((rv = admit_version(doc, k, &version, err)) != 0) {
        return rv;
    }
    if (version != 0 && version != old->revision) {
        if_revision = version;
    }
    return update_to(&ad, t, doc, old, current, part->part, if_revision, err);
}

void verb_patch(struct api_call *c, const struct api_patch *q)
{
    const struct object *old = NULL;
    struct error err = {0};
    struct txn t;
    if (!kind_has_part(c, q->of.kind, q->part)) {
        return;
    }
    api_txn_init(&t, &q->how);
    if (!api_repeats(c, &t)) {
        old = view_get(api_tip(c), q->of.kind, q->of.ns, q->of.name);
        int rv =
            old == NULL ? error_not_found(&err, q->of.kind, q->of.name) : precondition_check(old, q->if_uid, 0, &err);
        rv = rv != 0 ? rv : patch_to(c, q, old, &t, &err);
        if (rv != 0) {
            api_refuse_of(c, &q->of, &err);
            txn_close(&t);
            return;
        }
    }
    submit_one(c, API_PATCH, &q->how, &t, &q->of, old);
}
