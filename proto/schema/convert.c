/* The versions of a kind: documents of any of them become the stored one on their way in (up), and one that is asked
 * for on their way out (down). The rows are the kind's (struct kind_version). */
#include <assert.h>

#include "proto/schema/object.h"
#include "proto/schema/table.h"

static const struct kind_version *version_of(const struct kind *k, struct str api_version)
{
    for (const struct kind_version *v = k->versions; v != NULL && v->api_version != NULL; v++) {
        if (str_is(api_version, v->api_version)) {
            return v;
        }
    }
    return NULL;
}

static struct str group_of(struct str api_version)
{
    const char *slash = api_version.n == 0 ? NULL : memchr(api_version.p, '/', api_version.n);
    return slash == NULL ? STR_NONE : (struct str){api_version.p, (size_t)(slash - api_version.p)};
}

/* The kind of this name that a document of api_version can be of; *v: how, NULL = it is the stored version. */
static const struct kind *kind_in_version(struct str api_version, struct str name, const struct kind_version **v)
{
    *v = NULL;
    for (unsigned i = 0; i < kinds_count(); i++) {
        const struct kind *k = kinds_at(i);
        if (str_is(name, k->name) &&
            (str_is(api_version, k->api_version) || (*v = version_of(k, api_version)) != NULL)) {
            return k;
        }
    }
    return NULL;
}

const struct kind *convert_up(struct arena *a, struct value *doc)
{
    struct str api = value_to_str(value_get(doc, "apiVersion")), name = value_to_str(value_get(doc, "kind"));
    const struct kind_version *v;
    const struct kind *k = kind_in_version(api, name, &v);
    if (v != NULL) {
        value_set(a, doc, "apiVersion", value_cstr(a, k->api_version));
        if (v->up != NULL) {
            v->up(a, doc);
        }
    }
    return k;
}

const struct schema *kind_version_schema(const struct kind *k, struct str api_version)
{
    const struct kind_version *v = version_of(k, api_version);
    if (str_is(api_version, k->api_version)) {
        return k->schema;
    }
    if (v == NULL || v->read_only) {
        return NULL;
    }
    return v->schema != NULL || v->up != NULL ? v->schema : k->schema;
}

int kind_write_version(const struct kind *k, struct arena *a, struct value *doc, struct str api_version,
                       struct error *err)
{
    const struct kind_version *v = version_of(k, api_version);
    if (str_is(api_version, k->api_version)) {
        return 0;
    }
    if (v == NULL || v->read_only) {
        return error_set(err, ERR_UNSUPPORTED, "%s are not served as \"%.*s\"; ask for \"%s\"", k->plural,
                         STR_ARG(api_version), k->api_version);
    }
    if (v->down != NULL) {
        v->down(a, doc);
    }
    value_set(a, doc, "apiVersion", value_cstr(a, v->api_version));
    return 0;
}

const struct kind *kind_of_reference(struct str api_version, struct str name)
{
    const struct kind_version *v;
    const struct kind *k = kind_in_version(api_version, name, &v);
    for (unsigned i = 0; k == NULL && i < kinds_count(); i++) {
        if (str_is(name, kinds_at(i)->name) && str_eq(group_of(api_version), kind_group(kinds_at(i)))) {
            k = kinds_at(i);
        }
    }
    return k;
}

void kind_references(const struct object *o, kind_reference_cb *cb, void *data)
{
    for (struct mp_iter it = mp_iter(mp_path(object_mp(o), "metadata.ownerReferences")); mp_next(&it);) {
        const struct kind *k =
            kind_of_reference(mp_str(mp_get(it.value, "apiVersion")), mp_str(mp_get(it.value, "kind")));
        if (k == NULL) {
            continue;
        }
        const struct kind_reference r = {.kind = k,
                                         .ns = k->namespaced ? o->ns : STR_NONE,
                                         .name = mp_str(mp_get(it.value, "name")),
                                         .uid = mp_str(mp_get(it.value, "uid")),
                                         .use = REFERENCE_OWNER};
        cb(data, &r);
    }
    if (o->kind->references != NULL) {
        o->kind->references(o, cb, data);
    }
}
