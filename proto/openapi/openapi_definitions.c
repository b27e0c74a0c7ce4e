/* Definitions: the tables of fields as JSON schemas, with what Kubernetes' clients read of them. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proto/openapi/openapi_int.h"

static void set_text(struct openapi_maker *m, struct value *v, const char *key, const char *text)
{
    value_set(m->a, v, key, value_cstr(m->a, text));
}

static struct value *texts(struct arena *a, const char *first, const char *second)
{
    struct value *l = value_list(a);
    value_append(a, l, value_cstr(a, first));
    if (second != NULL) {
        value_append(a, l, value_cstr(a, second));
    }
    return l;
}

struct value *openapi_reference(struct openapi_maker *m, unsigned type)
{
    struct value *v = value_map(m->a);
    m->wanted[type] = true;
    value_set(m->a, v, "$ref",
              value_strf(m->a, "#/%s/%s", m->v3 ? "components/schemas" : "definitions", m->o->types[type].name));
    return v;
}

struct value *openapi_gvk(struct arena *a, const char *api_version, const char *kind)
{
    const char *slash = strchr(api_version, '/');
    struct value *v = value_map(a);
    value_set(a, v, "group",
              value_str(a, (struct str){api_version, slash == NULL ? 0 : (size_t)(slash - api_version)}));
    value_set(a, v, "version", value_cstr(a, slash == NULL ? api_version : slash + 1));
    value_set(a, v, "kind", value_cstr(a, kind));
    return v;
}

/* ---- One field ---- */

static struct value *scalar(struct openapi_maker *m, const char *type, const char *format)
{
    struct value *v = value_map(m->a);
    set_text(m, v, "type", type);
    if (format != NULL) {
        set_text(m, v, "format", format);
    }
    return v;
}

static struct value *one_value(struct openapi_maker *m, const struct field *f)
{
    switch (f->type) {
    case FIELD_STRING:
        return scalar(m, "string", NULL);
    case FIELD_INT32:
        return scalar(m, "integer", "int32");
    case FIELD_INT64:
        return scalar(m, "integer", "int64");
    case FIELD_BOOL:
        return scalar(m, "boolean", NULL);
    case FIELD_FLOAT:
        return scalar(m, "number", "double");
    case FIELD_BYTES:
        return scalar(m, "string", "byte");
    case FIELD_TIME:
        return openapi_reference(m, openapi_scalar(m->o, (f->flags & FIELD_MICRO) ? "MicroTime" : "Time"));
    case FIELD_QUANTITY:
        return openapi_reference(m, openapi_scalar(m->o, "Quantity"));
    case FIELD_INT_OR_STRING:
        return openapi_reference(m, openapi_scalar(m->o, "IntOrString"));
    case FIELD_OBJECT:
        return openapi_reference(m, openapi_type_of(m->o, f->sub));
    case FIELD_ANY:
        break;
    }
    struct value *v = scalar(m, f->shape == SHAPE_MAP ? "array" : "object", NULL);
    if (f->shape == SHAPE_MAP) { /* of lists of texts */
        value_set(m->a, v, "items", scalar(m, "string", NULL));
    }
    return v;
}

/* How a list is merged: by strategic merge patches (x-kubernetes-patch-*) and by server-side apply
 * (x-kubernetes-list-*). */
static void set_merge(struct openapi_maker *m, struct value *v, const struct field *f)
{
    bool retain = (f->flags & FIELD_RETAIN_KEYS) != 0, merged = f->merge_key != NULL || (f->flags & FIELD_SET) != 0;
    if (f->shape == SHAPE_LIST) {
        set_text(m, v, "x-kubernetes-list-type", f->merge_key != NULL ? "map" : merged ? "set" : "atomic");
    }
    if (f->merge_key != NULL) {
        value_set(m->a, v, "x-kubernetes-list-map-keys", texts(m->a, f->merge_key, f->merge_key2));
        set_text(m, v, "x-kubernetes-patch-merge-key", f->merge_key);
    }
    if (merged || retain) {
        set_text(m, v, "x-kubernetes-patch-strategy", !retain ? "merge" : merged ? "merge,retainKeys" : "retainKeys");
    }
}

static struct value *choices(struct openapi_maker *m, const char *one_of)
{
    struct value *l = value_list(m->a);
    for (const char *c = one_of;; c++) {
        size_t n = strcspn(c, "|");
        value_append(m->a, l, value_str(m->a, (struct str){c, n}));
        c += n;
        if (*c == '\0') {
            return l;
        }
    }
}

/* Choices and defaults, which v2 does not show. */
static void set_facts(struct openapi_maker *m, struct value *v, const struct field *f)
{
    if (!m->v3 || f->shape != SHAPE_ONE) {
        return;
    }
    if (f->one_of != NULL && f->type == FIELD_STRING) {
        value_set(m->a, v, "enum", choices(m, f->one_of));
    }
    if (f->fallback == NULL) {
        return;
    }
    if (f->type == FIELD_STRING) {
        set_text(m, v, "default", f->fallback);
    } else if (f->type == FIELD_BOOL) {
        value_set(m->a, v, "default", value_bool(m->a, strcmp(f->fallback, "true") == 0));
    } else if (f->type == FIELD_INT32 || f->type == FIELD_INT64) {
        value_set(m->a, v, "default", value_int(m->a, strtoll(f->fallback, NULL, 10)));
    }
}

static struct value *property(struct openapi_maker *m, const struct field *f)
{
    struct value *v = value_map(m->a), *one = one_value(m, f);
    set_text(m, v, "description", f->doc);
    if (f->shape == SHAPE_LIST) {
        set_text(m, v, "type", "array");
        value_set(m->a, v, "items", one);
    } else if (f->shape == SHAPE_MAP) {
        set_text(m, v, "type", "object");
        value_set(m->a, v, "additionalProperties", one);
    } else if (m->v3 && value_get(one, "$ref") != NULL) { /* what stands beside a $ref does not count in v3 */
        struct value *all = value_list(m->a);
        value_append(m->a, all, one);
        value_set(m->a, v, "allOf", all);
    } else {
        for (unsigned i = 0; i < value_count(one); i++) {
            value_push(m->a, v, one->map.members[i].key, one->map.members[i].value);
        }
    }
    set_facts(m, v, f);
    set_merge(m, v, f);
    return v;
}

/* ---- One definition ---- */

static struct value *of_scalars(struct openapi_maker *m, const struct openapi_type *t)
{
    struct value *v = value_map(m->a);
    set_text(m, v, "description", t->doc);
    if (m->v3 && strcmp(t->format, "int-or-string") == 0) {
        struct value *either = value_list(m->a);
        value_append(m->a, either, scalar(m, "integer", NULL));
        value_append(m->a, either, scalar(m, "string", NULL));
        value_set(m->a, v, "oneOf", either);
    } else {
        set_text(m, v, "type", "string");
    }
    if (t->format[0] != '\0') {
        set_text(m, v, "format", t->format);
    }
    return v;
}

static void add_property(struct openapi_maker *m, struct value *properties, const char *name, const char *type,
                         const char *format, const char *doc)
{
    struct value *v = scalar(m, type, format);
    set_text(m, v, "description", doc);
    value_set(m->a, properties, name, v);
}

/* Of lists: what an answer with many objects says of itself. */
static struct value *list_meta(struct openapi_maker *m)
{
    struct value *v = value_map(m->a), *p = value_map(m->a);
    set_text(m, v, "description", "What a list says of itself.");
    add_property(m, p, "resourceVersion", "string", NULL, "The revision that the list shows.");
    add_property(m, p, "continue", "string", NULL, "There is more: ask for the rest with it.");
    add_property(m, p, "remainingItemCount", "integer", "int64", "How many there are beside these.");
    add_property(m, p, "selfLink", "string", NULL, "Not used any more.");
    value_set(m->a, v, "properties", p);
    set_text(m, v, "type", "object");
    return v;
}

static struct value *of_list(struct openapi_maker *m, const struct openapi_type *t)
{
    struct value *v = value_map(m->a), *p = value_map(m->a), *items = value_map(m->a);
    value_set(m->a, v, "description", value_strf(m->a, "Several objects: %s.", t->root->kind->plural));
    add_property(m, p, "apiVersion", "string", NULL, "Group and version of the API that the list is written in.");
    set_text(m, items, "description", "The objects.");
    set_text(m, items, "type", "array");
    value_set(m->a, items, "items", openapi_reference(m, t->items));
    value_set(m->a, p, "items", items);
    add_property(m, p, "kind", "string", NULL, "What the document describes.");
    unsigned meta = 0;
    while (!str_ends(str_of(m->o->types[meta].name), STR(".ListMeta"))) {
        meta++;
    }
    value_set(m->a, p, "metadata", openapi_reference(m, meta));
    value_set(m->a, v, "properties", p);
    value_set(m->a, v, "required", texts(m->a, "items", NULL));
    set_text(m, v, "type", "object");
    return v;
}

static struct value *of_schema(struct openapi_maker *m, const struct schema *s)
{
    struct value *v = value_map(m->a), *p = value_map(m->a), *required = value_list(m->a);
    set_text(m, v, "description", s->doc);
    for (unsigned i = 0; i < s->count; i++) {
        const struct field *f = &s->fields[i];
        if (!openapi_has_field(m->o, f)) {
            continue;
        }
        value_set(m->a, p, f->name, property(m, f));
        if (f->flags & FIELD_REQUIRED) {
            value_append(m->a, required, value_cstr(m->a, f->name));
        }
    }
    value_set(m->a, v, "properties", p);
    if (value_count(required) > 0) {
        value_set(m->a, v, "required", required);
    }
    set_text(m, v, "type", "object");
    return v;
}

static struct value *definition(struct openapi_maker *m, const struct openapi_type *t)
{
    if (t->format != NULL) {
        return of_scalars(m, t);
    }
    struct value *v = t->schema != NULL ? of_schema(m, t->schema) : t->root != NULL ? of_list(m, t) : list_meta(m);
    if (t->root != NULL) {
        struct value *gvk = value_list(m->a);
        const char *kind = t->root->kind->name;
        value_append(
            m->a, gvk,
            openapi_gvk(m->a, t->root->api_version, t->schema != NULL ? kind : arena_printf(m->a, "%sList", kind)));
        value_set(m->a, v, "x-kubernetes-group-version-kind", gvk);
    }
    return v;
}

struct value *openapi_definitions(struct openapi_maker *m)
{
    struct value **made = arena_alloc(m->a, m->o->types_count * sizeof(struct value *));
    for (bool more = true; more;) {
        more = false;
        for (unsigned i = 0; i < m->o->types_count; i++) {
            if (m->wanted[i] && made[i] == NULL) { /* it may want others */
                made[i] = definition(m, &m->o->types[i]);
                more = true;
            }
        }
    }
    struct value *all = value_map(m->a);
    for (unsigned i = 0; i < m->o->types_count; i++) {
        if (made[i] != NULL) {
            value_push(m->a, all, str_of(m->o->types[i].name), made[i]);
        }
    }
    return all;
}
