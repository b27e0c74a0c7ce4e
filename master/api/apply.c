/* apply: manifests as the user has them, all or nothing: by the three-way merge of proto/patch/patch.h, or,
 * server-side, by who manages which field (proto/managed). */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "master/api/managed.h"
#include "master/api/write.h"
#include "master/master.h"
#include "proto/text/text.h"

/* What the manifest said the last time, from the annotation; NULL if it was never applied or the annotation is
 * damaged. */
static struct value *last_applied(struct arena *a, const struct object *o)
{
    struct str text = object_annotation(o, APPLY_ANNOTATION);
    struct value *v = NULL;
    if (text.n == 0 || json_read(a, text, &v, NULL) != 0 || !value_is_map(v)) {
        return NULL;
    }
    return v;
}

#define REMEMBERED_MAX (256u << 10) /* all annotations of an object, as in Kubernetes */

/* The annotation of a document that is about to be stored: the whole manifest, or it is refused, as kubectl's. */
static int fit_annotation(const struct kind *k, const struct value *doc, struct error *err)
{
    struct str text = value_to_str(value_get(value_path(doc, "metadata.annotations"), APPLY_ANNOTATION));
    return text.n <= REMEMBERED_MAX
               ? 0
               : error_set_field(
                     err, ERR_INVALID, "metadata.annotations",
                     "%s \"%.*s\" is invalid: metadata.annotations: Too long: may not be more than %u bytes, and "
                     "apply remembers the manifest there, which has %zu; apply it with --server-side",
                     k->name, STR_ARG(value_path_str(doc, "metadata.name")), REMEMBERED_MAX, text.n);
}

/* What all documents of one request share. */
struct applying {
    const struct admission *ad;
    struct write *write;
    struct txn *txn;
    const struct api_apply *how;
    struct strmap named; /* kind, namespace and name of those that were applied */
    bool repeats;
    int64_t began_ms; /* cpu_ms() */
};

/* Lists that are merged are compared each with each, so the size of a request does not say what it costs: one that
 * takes more of the loop is refused. */
#ifdef __SANITIZE_ADDRESS__ /* comparing takes several times as long */
#define APPLY_CPU_MS 2000
#else
#define APPLY_CPU_MS 500 /* 200 ConfigMaps of 400 keys, as many as rctl sends, take 200 on a slow machine */
#endif

/* Of this thread: time in which it stood still does not count. */
static int64_t cpu_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* One transaction writes an object once. */
static bool name_once(struct applying *ap, const struct kind *k, struct str ns, struct str name)
{
    char key[64 + 2 * 256];
    int n = snprintf(key, sizeof key, "%u/%.*s/%.*s", (unsigned)k->id, STR_ARG(ns), STR_ARG(name));
    if (n >= (int)sizeof key) {
        return true; /* no valid name is so long, which the check will say */
    }
    if (strmap_get(&ap->named, str_of(key)) != NULL) {
        return false;
    }
    strmap_set(&ap->named, str_of(key), ap);
    return true;
}

/* What was applied the last time, what is applied now, and what is there. */
static int apply_three_way(struct applying *ap, const struct kind *k, struct value *doc, const struct object *old,
                           struct value *current, struct value **next, struct error *err)
{
    const struct admission *ad = ap->ad;
    struct value *merged = NULL;
    value_remove(doc, "status");
    if (old == NULL) {
        *next = value_copy(ad->arena, patch_first_apply(ad->arena, doc));
        return fit_annotation(k, *next, err);
    }
    int rv = patch_three_way(k, ad->arena, last_applied(ad->arena, old), doc, current, &merged, err);
    *next = rv == 0 ? value_copy(ad->arena, merged) : NULL;
    return rv != 0 ? rv : fit_annotation(k, *next, err);
}

/* Who may apply a part may not apply the rest: of a document of one member of the spec, that alone counts. */
static struct value *only_member(struct arena *a, const struct value *doc, const char *only)
{
    struct value *out = value_map(a), *member = value_get(value_get(doc, "spec"), only);
    if (member != NULL) {
        value_set(a, value_ensure_map(a, out, "spec"), only, member);
    }
    return out;
}

/* The same of one member of the status; annotations go along, as with any write of it. */
static struct value *only_status_member(struct arena *a, const struct value *doc, const char *only)
{
    struct value *out = value_copy(a, doc), *status = value_map(a), *member = value_get(value_get(out, "status"), only);
    if (member != NULL) {
        value_set(a, status, only, member);
    }
    value_remove(out, "spec");
    value_set(a, out, "status", status);
    return out;
}

/* The document is of one part, or of all but the status. */
static int apply_server_side(struct applying *ap, struct admission *ad, const struct kind *k, struct value *doc,
                             const struct value *current, struct value **next, struct error *err)
{
    const struct api_part *part = ap->how->part;
    bool status = api_part_of_txn(part) == TXN_PART_STATUS;
    if (!status) {
        value_remove(doc, "status");
    }
    if (api_part_only(part) != NULL) {
        doc = status ? only_status_member(ad->arena, doc, api_part_only(part))
                     : only_member(ad->arena, doc, api_part_only(part));
    }
    ad->subresource = str_of(api_part_name(part));
    return admit_managed_apply(ad, k, current, doc, status, ap->how->force, next, err);
}

static int apply_one(struct applying *ap, struct value *doc, struct error *err)
{
    struct admission own = *ap->ad, *ad = &own; /* what it learns of one document is not for the next */
    struct write *w = ap->write;
    struct txn *t = ap->txn;
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
    if (ap->repeats) {
        write_add(w, k, ns, name, NULL);
        return 0;
    }
    if (!name_once(ap, k, ns, name)) {
        return error_set(err, ERR_INVALID, "%s \"%.*s\" is named twice in what is applied", k->singular, STR_ARG(name));
    }
    bool server_side = ap->how->server_side, in_part = server_side && *api_part_name(ap->how->part) != '\0';
    if (server_side && value_count(value_get(metadata, "managedFields")) > 0) {
        return error_set(err, ERR_USAGE, "metadata.managedFields must be nil");
    }
    if (in_part && !api_has_part(k, ap->how->part, err)) {
        return ERR_NOT_FOUND;
    }
    unsigned flags = (ad->lenient ? KIND_CHECK_LENIENT : 0) | KIND_CHECK_LEVEL(ad->level);
    rv = kind_check_fields(k, ad->arena, doc, flags, err);
    if (rv != 0) {
        return rv;
    }
    uint64_t if_revision;
    if ((rv = admit_version(doc, k, &if_revision, err)) != 0) {
        return rv;
    }
    value_remove(value_get(doc, "metadata"), "resourceVersion");
    const struct object *old = view_get(ad->tip, k, ns, name);
    struct object *o = NULL;
    struct value *next = NULL, *current = old == NULL ? NULL : object_to_value(ad->arena, old);
    if (old == NULL && in_part) {
        return error_not_found(err, k, name);
    }
    struct str uid = value_path_str(doc, "metadata.uid");
    if (old == NULL && server_side && uid.n > 0) {
        error_set(err, ERR_CONFLICT,
                  "uid mismatch: the provided object specified uid %.*s, and no existing object was found",
                  STR_ARG(uid));
        kind_error_about(err, k, name);
        return ERR_CONFLICT;
    }
    rv = server_side ? apply_server_side(ap, ad, k, doc, current, &next, err)
                     : apply_three_way(ap, k, doc, old, current, &next, err);
    if (rv != 0) {
        kind_error_about(err, k, name);
    } else if (old == NULL) {
        rv = admit_create(ad, k, next, &o, err);
        if (rv == 0) {
            txn_create(t, o);
        }
    } else {
        enum txn_part part = server_side ? api_part_of_txn(ap->how->part) : TXN_PART_SPEC;
        rv = update_to(ad, t, next, old, current, part, if_revision, err);
    }
    if (rv == 0) {
        write_add(w, k, ns, name, old);
    }
    return rv;
}

/* Namespaces first, so that what lives in them can come in the same transaction; otherwise in the user's order. */
static int apply_pass(struct applying *ap, struct value *objects, bool namespaces, struct error *err)
{
    VALUE_FOR(i, objects)
    {
        struct value *doc = value_item(objects, i);
        if (cpu_ms() - ap->began_ms > APPLY_CPU_MS) {
            return error_set(err, ERR_TOO_LARGE,
                             "%u of %u objects had taken more than %d ms to compare with what is there; nothing was "
                             "done; apply fewer at a time",
                             i, value_count(objects), APPLY_CPU_MS);
        }
        bool is_namespace = str_is(value_to_str(value_get(doc, "kind")), "Namespace");
        if (is_namespace == namespaces) {
            int rv = apply_one(ap, doc, err);
            if (rv != 0) {
                return rv;
            }
        }
    }
    return 0;
}

void verb_apply(struct api_call *c, const struct api_apply *q)
{
    unsigned count = value_count(q->objects);
    if (!value_is_list(q->objects) || count == 0 || count > MASTER_USER_OBJECTS_MAX) {
        api_fail(c, ERR_USAGE, "apply: objects must be a list of 1 to %u objects", MASTER_USER_OBJECTS_MAX);
        return;
    }
    struct error err = {0};
    struct txn t;
    api_txn_init(&t, &q->how);
    struct admission ad = api_admission(c, &q->how);
    struct claims claims;
    claims_init(&claims, &t);
    ad.same_txn = &t;
    ad.claims = &claims;
    ad.many = count > 1;
    struct write *w = write_new(c, API_APPLY);
    struct applying ap = {
        .ad = &ad,
        .write = w,
        .txn = &t,
        .how = q,
        .repeats = api_repeats(c, &t),
        .began_ms = cpu_ms(),
    };
    strmap_init(&ap.named);
    int rv = apply_pass(&ap, q->objects, true, &err);
    if (rv == 0) {
        rv = apply_pass(&ap, q->objects, false, &err);
    }
    strmap_close(&ap.named);
    claims_close(&claims);
    if (rv != 0) {
        write_refuse(w, &err);
    } else {
        write_submit(w, &q->how, &t);
    }
    txn_close(&t);
}
