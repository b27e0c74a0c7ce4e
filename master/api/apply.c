/* apply: manifests as the user has them, all or nothing, by the three-way merge of proto/patch/patch.h. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "master/api/write.h"
#include "master/master.h"
#include "proto/patch/patch.h"
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

/* ---- What is remembered of a large manifest ---- */

#define REMEMBERED_MAX      (256u << 10) /* all annotations of an object, as in Kubernetes */
#define REMEMBERED_SHORTER  (128u << 10) /* above this a server-side apply keeps long texts by their length only */
#define REMEMBERED_TEXT_MAX 256u

static bool is_long(const struct value *v)
{
    return value_is_str(v) && v->str.n > REMEMBERED_TEXT_MAX;
}

/* Which fields there were is what the next merge needs; what a long text said it does not. */
static void shorten(struct arena *a, struct value *v)
{
    for (unsigned i = 0; value_is_map(v) && i < v->map.count; i++) {
        struct value *m = v->map.members[i].value;
        if (is_long(m)) {
            v->map.members[i].value = value_strf(a, "(%zu bytes)", m->str.n);
        } else {
            shorten(a, m);
        }
    }
    for (unsigned i = 0; value_is_list(v) && i < value_count(v); i++) {
        shorten(a, value_item(v, i));
    }
}

/* The annotation of a document that is about to be stored. A client-side apply keeps the whole manifest or is refused,
 * as kubectl's; a server-side one has no such limit (kubectl writes no annotation then): it keeps what fits. */
static int fit_annotation(struct arena *a, const struct kind *k, struct value *doc, bool server_side, struct error *err)
{
    struct value *annotations = value_path(doc, "metadata.annotations"), *last = NULL;
    struct str text = value_to_str(value_get(annotations, APPLY_ANNOTATION));
    if (!server_side && text.n > REMEMBERED_MAX) {
        return error_set_field(
            err, ERR_INVALID, "metadata.annotations",
            "%s \"%.*s\" is invalid: metadata.annotations: Too long: may not be more than %u bytes, and "
            "apply remembers the manifest there, which has %zu; apply it with --server-side",
            k->name, STR_ARG(value_path_str(doc, "metadata.name")), REMEMBERED_MAX, text.n);
    }
    if (!server_side || text.n <= REMEMBERED_SHORTER) {
        return 0;
    }
    CLEANUP_BUF struct buf b = BUF_INIT;
    if (json_read(a, text, &last, NULL) == 0) {
        shorten(a, last);
        json_write_canonical(&b, last);
    }
    if (b.size > 0 && b.size <= REMEMBERED_SHORTER) {
        value_set(a, annotations, APPLY_ANNOTATION, value_str(a, buf_str(&b)));
    } else {
        value_remove(annotations, APPLY_ANNOTATION);
    }
    return 0;
}

/* What all documents of one request share. */
struct applying {
    const struct admission *ad;
    struct write *write;
    struct txn *txn;
    struct strmap named; /* kind, namespace and name of those that were applied */
    bool server_side, repeats;
    int64_t began_ms; /* cpu_ms() */
};

/* Lists that are merged are compared each with each, so the size of a request does not say what it costs: one that
 * takes more of the loop is refused. */
#ifdef __SANITIZE_ADDRESS__ /* comparing takes several times as long */
#define APPLY_CPU_MS 1000
#else
#define APPLY_CPU_MS 250
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

static int apply_one(struct applying *ap, struct value *doc, struct error *err)
{
    const struct admission *ad = ap->ad;
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
    value_remove(doc, "status");
    const struct object *old = view_get(ad->tip, k, ns, name);
    struct object *o = NULL;
    if (old == NULL) {
        struct value *fresh = value_copy(ad->arena, patch_first_apply(ad->arena, doc));
        rv = fit_annotation(ad->arena, k, fresh, ap->server_side, err);
        rv = rv != 0 ? rv : admit_create(ad, k, fresh, &o, err);
        if (rv == 0) {
            txn_create(t, o);
            write_add(w, k, ns, name, NULL);
        }
        return rv;
    }
    struct value *current = object_to_value(ad->arena, old);
    struct value *merged = NULL;
    rv = patch_three_way(k, ad->arena, last_applied(ad->arena, old), doc, current, &merged, err);
    struct value *next = rv == 0 ? value_copy(ad->arena, merged) : NULL;
    rv = rv != 0 ? rv : fit_annotation(ad->arena, k, next, ap->server_side, err);
    if (rv == 0) {
        rv = update_to(ad, t, next, old, current, TXN_PART_SPEC, if_revision, err);
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
        .server_side = q->server_side,
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
