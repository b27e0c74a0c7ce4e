/* Documents of users on their way in: what the user may not set is taken off, what the system sets is put on, and
 * the whole is checked, by its kind's table and then by the rows of admission (master/admission/row.h). */
#include "master/api/admission.h"

#include <assert.h>
#include <stdio.h>
#include <xxhash.h>

#include "master/admission/row.h"
#include "master/api/managed.h"
#include "master/master.h"

void kind_resource_name(const struct kind *k, char *out, size_t size)
{
    const char *slash = strchr(k->api_version, '/');
    if (slash == NULL) {
        snprintf(out, size, "%s", k->plural);
    } else {
        snprintf(out, size, "%s.%.*s", k->plural, (int)(slash - k->api_version), k->api_version);
    }
}

/* Metadata that only the system writes. ownerReferences, finalizers, labels and annotations are the user's. */
static const char *const system_metadata[] = {
    "uid",      "resourceVersion", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds",
    "selfLink",
};

/* Five letters are taken by another of some thousand objects now and then; whoever let the name be chosen must not be
 * refused for it. Ten are never: so a repetition, which finds both names taken, finds its own by the long one. */
static int make_name(const struct admission *ad, struct value *metadata, const struct kind *k, struct str ns,
                     struct error *err)
{
    if (value_to_str(value_get(metadata, "name")).n > 0) {
        return 0;
    }
    struct str prefix = value_to_str(value_get(metadata, "generateName"));
    if (prefix.n == 0) {
        error_set_field(err, ERR_INVALID, "metadata.name",
                        "%s is invalid: metadata.name: Required value: name or generateName is required", k->name);
        error_add_cause(err, ERROR_CAUSE_REQUIRED, STR("metadata.name"),
                        STR("Required value: name or generateName is required"));
        return ERR_INVALID;
    }
    struct rng rng;
    if (ad->names_from != NULL && ad->names_from->has_id) {
        rng.state = XXH3_64bits_withSeed(ad->names_from->id, TXN_ID_SIZE, ad->ordinal);
    } else {
        env_random(ad->env, &rng.state, sizeof rng.state);
    }
    char suffix[6], more[6];
    rng_suffix(&rng, suffix);
    rng_suffix(&rng, more);
    struct str base = name_generate_base(prefix, NAME_GENERATE_MAX);
    struct value *name = value_strf(ad->arena, "%.*s%s", STR_ARG(base), suffix);
    if (ad->tip != NULL && view_get(ad->tip, k, ns, value_to_str(name)) != NULL) {
        base = name_generate_base(prefix, NAME_GENERATE_MAX - 5);
        struct value *longer = value_strf(ad->arena, "%.*s%s%s", STR_ARG(base), suffix, more);
        bool mine = view_get(ad->tip, k, ns, value_to_str(longer)) != NULL;
        name = mine || !ad->repeats ? longer : name;
    }
    value_set(ad->arena, metadata, "name", name);
    return 0;
}

int admit_document_kind(const struct admission *ad, struct value *doc, const struct kind **k, struct str *ns,
                        struct str *name, struct error *err)
{
    if (!value_is_map(doc)) {
        return error_set(err, ERR_USAGE, "the object must be a map with apiVersion, kind and metadata");
    }
    *k = kind_of_document(ad->arena, doc, err);
    if (*k == NULL) {
        return ERR_INVALID;
    }
    struct value *metadata = value_get(doc, "metadata");
    if (metadata != NULL && metadata->type != VALUE_MAP && metadata->type != VALUE_NULL) {
        return error_set_field(err, ERR_INVALID, "metadata", "%s: metadata must be a map", (*k)->name);
    }
    metadata = value_ensure_map(ad->arena, doc, "metadata");
    if ((*k)->namespaced && value_to_str(value_get(metadata, "namespace")).n == 0) {
        value_set(ad->arena, metadata, "namespace", value_cstr(ad->arena, "default"));
    }
    *ns = (*k)->namespaced ? value_to_str(value_get(metadata, "namespace")) : STR_NONE;
    int rv = make_name(ad, metadata, *k, *ns, err);
    if (rv != 0) {
        return rv;
    }
    *name = value_to_str(value_get(metadata, "name"));
    return 0;
}

int admit_version(struct value *doc, const struct kind *k, uint64_t *revision, struct error *err)
{
    const struct value *v = value_path(doc, "metadata.resourceVersion");
    struct str s = value_to_str(v);
    *revision = 0;
    if (value_is_null(v) || (value_is_str(v) && s.n == 0)) {
        return 0;
    }
    bool good = s.n > 0 && s.n < 20;
    for (size_t i = 0; good && i < s.n; i++) {
        good = s.p[i] >= '0' && s.p[i] <= '9';
        *revision = *revision * 10 + (uint64_t)(s.p[i] - '0');
    }
    return good ? 0
                : error_set_field(err, ERR_INVALID, "metadata.resourceVersion",
                                  "%s: metadata.resourceVersion: must be a number in quotes, as it was read, or absent",
                                  k->name);
}

void admit_warn(const struct admission *ad, const struct value *text)
{
    if (ad->warnings == NULL || value_count(*ad->warnings) >= WRITE_WARNINGS_MAX) {
        return;
    }
    if (*ad->warnings == NULL) {
        *ad->warnings = value_list(ad->arena);
    }
    value_append(ad->arena, *ad->warnings, value_str(ad->arena, value_to_str(text)));
}

void admit_note(const struct admission *ad, const struct kind *k, const struct value *doc, const char *key,
                const char *text)
{
    struct arena *a = ad->arena;
    if (ad->notes == NULL || value_count(*ad->notes) >= WRITE_NOTES_MAX) {
        return;
    }
    *ad->notes = *ad->notes != NULL ? *ad->notes : value_list(a);
    struct value *note = value_map(a);
    value_set(a, note, "resource", value_cstr(a, k->plural));
    value_set(a, note, "namespace", value_str(a, value_path_str(doc, "metadata.namespace")));
    value_set(a, note, "name", value_str(a, value_path_str(doc, "metadata.name")));
    value_set(a, note, "key", value_cstr(a, key));
    value_set(a, note, "text", value_cstr(a, text));
    value_append(a, *ad->notes, note);
}

/* What is kept but not carried out, and what is hardly meant. */
void admit_warnings(const struct admission *ad, const struct kind *k, const struct value *doc)
{
    struct kind_warnings found;
    if (ad->warnings == NULL) {
        return;
    }
    kind_find_warnings(k, ad->arena, doc, &found);
    kind_find_doubts(k, ad->arena, doc, &found);
    for (unsigned i = 0; i < found.count; i++) {
        const char *whose = ad->many ? kind_document_name(k, ad->arena, doc) : "";
        admit_warn(ad, value_strf(ad->arena, "%s%s%s", whose, ad->many ? ": " : "", found.items[i]));
    }
}

/* More than the number of replicas: whoever scales has heard it before. */
static bool spec_changes(const struct value *now, const struct value *before)
{
    for (unsigned i = 0; i < value_count(now); i++) {
        struct str key = now->map.members[i].key;
        if (!str_is(key, "replicas") && !value_equal(now->map.members[i].value, value_get_str_key(before, key))) {
            return true;
        }
    }
    return value_count(now) != value_count(before);
}

/* What it is now an object, which the rows may refuse. Takes it back then. */
static int admit_object(const struct admission *ad, struct admission_change *c, struct object **out, struct error *err)
{
    int rv = object_from_value(c->kind, c->doc, 0, out, err);
    if (rv != 0) {
        return rv;
    }
    c->now = *out;
    rv = admission_check(ad, c, err);
    if (rv != 0) {
        object_unref_p(out);
    }
    return rv;
}

int admit_create(const struct admission *ad, const struct kind *k, struct value *doc, struct object **out,
                 struct error *err)
{
    struct value *metadata = value_get(doc, "metadata");
    struct admit_managed managed;
    assert(metadata != NULL);
    admit_managed_take(ad, doc, NULL, &managed);
    for (size_t i = 0; i < ARRAY_SIZE(system_metadata); i++) {
        value_remove(metadata, system_metadata[i]);
    }
    if (k->has_status) {
        value_remove(doc, "status");
    }
    /* Checked before the first state is filled in, so that wrong types are the user's error and not an assertion
     * here. */
    unsigned flags = (ad->lenient ? KIND_CHECK_LENIENT : 0) | KIND_CHECK_LEVEL(ad->level);
    int rv = kind_check_fields(k, ad->arena, doc, flags, err);
    if (rv != 0) {
        return rv;
    }
    if (k->begin != NULL) {
        k->begin(ad->arena, doc);
    }
    rv = kind_check(k, ad->arena, doc, NULL, flags, err);
    if (rv != 0) {
        return rv;
    }
    admit_warnings(ad, k, doc);
    if (k->tells_undone) {
        kind_add_undone_condition(k, ad->arena, doc, env_wall_ms(ad->env));
    }
    struct admission_change c = {.kind = k, .part = TXN_PART_ALL, .doc = doc};
    rv = admission_give(ad, &c, err);
    rv = rv != 0 ? rv : admit_managed_put(ad, k, doc, NULL, MANAGED_SPEC, &managed, err);
    return rv != 0 ? rv : admit_object(ad, &c, out, err);
}

int admit_update(const struct admission *ad, struct value *doc, const struct object *old, struct value *before,
                 enum txn_part part, struct object **out, struct error *err)
{
    const struct kind *k = old->kind;
    before = before != NULL ? before : object_to_value(ad->arena, old);
    struct value *metadata = value_ensure_map(ad->arena, doc, "metadata");
    struct str uid = value_to_str(value_get(metadata, "uid"));
    if (uid.n > 0 && !str_eq(uid, old->uid)) {
        return error_set_field(err, ERR_CONFLICT, "metadata.uid",
                               "%s \"%.*s\" was deleted and made anew: its uid is %.*s, not %.*s; read it again",
                               k->singular, STR_ARG(old->name), STR_ARG(old->uid), STR_ARG(uid));
    }
    const struct value *old_metadata = value_get(before, "metadata");
    struct admit_managed managed;
    admit_managed_take(ad, doc, before, &managed);
    for (size_t i = 0; i < ARRAY_SIZE(system_metadata); i++) {
        struct value *kept = value_get(old_metadata, system_metadata[i]);
        value_remove(metadata, system_metadata[i]);
        if (kept != NULL && strcmp(system_metadata[i], "resourceVersion") != 0) {
            value_set(ad->arena, metadata, system_metadata[i], value_copy(ad->arena, kept));
        }
    }
    if (k->has_status && part == TXN_PART_SPEC) {
        struct value *status = value_get(before, "status");
        value_remove(doc, "status");
        if (status != NULL) {
            value_set(ad->arena, doc, "status", value_copy(ad->arena, status));
        }
    } else if (part == TXN_PART_STATUS) {
        struct value *status = value_get(doc, "status"), *annotations = value_get(metadata, "annotations");
        doc = value_copy(ad->arena, before);
        value_remove(doc, "status");
        if (status != NULL) {
            value_set(ad->arena, doc, "status", status);
        }
        if (value_is_map(annotations)) { /* of the rest they alone come along, as in Kubernetes */
            value_set(ad->arena, value_ensure_map(ad->arena, doc, "metadata"), "annotations", annotations);
        }
    }
    if (k->keep != NULL) {
        k->keep(ad->arena, doc, before);
    }
    value_remove(value_get(doc, "metadata"), "resourceVersion");
    value_remove((struct value *)old_metadata, "resourceVersion");
    unsigned flags = KIND_CHECK_UPDATE | (ad->lenient ? KIND_CHECK_LENIENT : 0) | KIND_CHECK_LEVEL(ad->level);
    int rv = kind_check(k, ad->arena, doc, before, flags, err);
    if (rv == 0 && part == TXN_PART_SPEC &&
        (spec_changes(value_get(doc, "spec"), value_get(before, "spec")) ||
         spec_changes(value_get(doc, "data"), value_get(before, "data")))) {
        admit_warnings(ad, k, doc);
    }
    struct admission_change c = {.kind = k, .part = part, .doc = doc, .before = before, .old = old};
    rv = rv != 0 ? rv : admission_give(ad, &c, err);
    enum managed_part managed_part = part == TXN_PART_STATUS ? MANAGED_STATUS : MANAGED_SPEC;
    rv = rv != 0 ? rv : admit_managed_put(ad, k, doc, before, managed_part, &managed, err);
    return rv != 0 ? rv : admit_object(ad, &c, out, err);
}
