/* What is served, and the definitions that it is made of, with their names.
 *
 * A definition is called as Kubernetes calls it, io.k8s.api.GROUP.VERSION.NAME: of the group whose kinds have it, where
 * the first group comes before the others (a PodSpec is core's, whoever has it). What all groups share is the
 * machinery's. Two tables with one name are one definition: the fields are those of Kubernetes' type of that name
 * (proto_kind_fields). */
#include <assert.h>
#include <string.h>

#include "proto/openapi/openapi_int.h"

#define META "io.k8s.apimachinery.pkg.apis.meta.v1."

/* What all groups share: of schemas, and forms of scalars. */
static const char *const SHARED[] = {
    "ObjectMeta", "OwnerReference", "ManagedFieldsEntry", "LabelSelector",           "LabelSelectorRequirement",
    "Condition",  "DeleteOptions",  "Preconditions",      "FieldSelectorRequirement"};

static const struct {
    const char *name, *format, *doc;
} SCALARS[] = {
    {"io.k8s.apimachinery.pkg.api.resource.Quantity", "",
     "An amount: a number with a fraction or a suffix, such as 500m, 1.5 or 128Mi."},
    {"io.k8s.apimachinery.pkg.util.intstr.IntOrString", "int-or-string",
     "A number, or a text: the name of a port, a percentage."},
    {META "Time", "date-time", "A time by RFC 3339, such as 2006-01-02T15:04:05Z."},
    {META "MicroTime", "date-time", "A time by RFC 3339 with six digits behind the second."},
    {META "ListMeta", NULL, NULL}, /* made by hand: it belongs to answers alone */
};

unsigned openapi_scalar(const struct openapi *o, const char *name)
{
    for (unsigned i = 0; i < o->types_count; i++) {
        const char *dot = strrchr(o->types[i].name, '.');
        if (o->types[i].format != NULL && strcmp(dot + 1, name) == 0) {
            return i;
        }
    }
    assert(!"no such form");
    return 0;
}

bool openapi_has_field(const struct openapi *o, const struct field *f)
{
    return f->since <= o->level;
}

/* ---- Names ---- */

static bool is_shared(const char *name)
{
    for (unsigned i = 0; i < ARRAY_SIZE(SHARED); i++) {
        if (strcmp(SHARED[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* "io.k8s.api.networking.v1." of networking.k8s.io/v1, "io.reeve.v1." of reeve.io/v1: groups of Kubernetes go by their
 * first word, others by their domain. */
static const char *prefix_of(struct arena *a, const char *api_version)
{
    const char *slash = strchr(api_version, '/'), *version = slash == NULL ? api_version : slash + 1;
    struct str group = {api_version, slash == NULL ? 0 : (size_t)(slash - api_version)};
    const char *dot = group.n == 0 ? NULL : memchr(group.p, '.', group.n);
    if (group.n == 0) {
        return arena_printf(a, "io.k8s.api.core.%s.", version);
    }
    if (dot == NULL || str_ends(group, STR(".k8s.io"))) {
        return arena_printf(a, "io.k8s.api.%.*s.%s.", dot == NULL ? (int)group.n : (int)(dot - group.p), group.p,
                            version);
    }
    CLEANUP_BUF struct buf b = BUF_INIT;
    for (size_t end = group.n, i = group.n; i-- > 0;) {
        if (i == 0 || group.p[i - 1] == '.') {
            buf_append(&b, group.p + i, end - i);
            buf_putc(&b, '.');
            end = i == 0 ? 0 : i - 1;
        }
    }
    return arena_printf(a, "%s%s.", buf_cstr(&b), version);
}

/* ---- Types ---- */

static unsigned add_type(struct openapi *o, struct openapi_type t)
{
    o->types = arena_grow(&o->arena, o->types, o->types_count, &o->types_cap, sizeof *o->types, 256);
    o->types[o->types_count] = t;
    return o->types_count++;
}

static bool find_type(const struct openapi *o, const char *name, unsigned *found)
{
    for (unsigned i = 0; i < o->types_count; i++) {
        if (strcmp(o->types[i].name, name) == 0) {
            *found = i;
            return true;
        }
    }
    return false;
}

static bool find_schema(const struct openapi *o, const struct schema *s, unsigned *type)
{
    for (unsigned i = 0; i < o->schemas_count; i++) {
        if (o->schemas[i].schema == s) {
            *type = o->schemas[i].type;
            return true;
        }
    }
    return false;
}

unsigned openapi_type_of(const struct openapi *o, const struct schema *s)
{
    unsigned type;
    bool found = find_schema(o, s, &type);
    assert(found);
    return type;
}

static unsigned add_schema(struct openapi *o, const struct schema *s, const char *prefix)
{
    unsigned type;
    if (find_schema(o, s, &type)) {
        return type;
    }
    const char *name = arena_printf(&o->arena, "%s%s", is_shared(s->name) ? META : prefix, s->name);
    if (!find_type(o, name, &type)) {
        type = add_type(o, (struct openapi_type){.name = name, .schema = s});
    }
    o->schemas = arena_grow(&o->arena, o->schemas, o->schemas_count, &o->schemas_cap, sizeof *o->schemas, 256);
    o->schemas[o->schemas_count++] = (struct openapi_schema){s, type};
    for (unsigned i = 0; i < s->count; i++) {
        if (s->fields[i].type == FIELD_OBJECT && openapi_has_field(o, &s->fields[i])) {
            add_schema(o, s->fields[i].sub, prefix);
        }
    }
    return type;
}

/* ---- What is served ---- */

static const char *place_of(struct arena *a, const char *api_version)
{
    return arena_printf(a, "%s/%s", strchr(api_version, '/') == NULL ? "api" : "apis", api_version);
}

static void add_served(struct openapi *o, struct openapi_served s)
{
    o->served = arena_grow(&o->arena, o->served, o->served_count, &o->served_cap, sizeof *o->served, 64);
    o->served[o->served_count++] = s;
}

static void add_kind(struct openapi *o, const struct kind *k)
{
    add_served(o, (struct openapi_served){k, k->api_version, place_of(&o->arena, k->api_version), k->schema, 0, 0});
    for (const struct kind_version *v = k->versions; v != NULL && v->api_version != NULL; v++) {
        const struct schema *s = kind_version_schema(k, str_of(v->api_version));
        if (!v->read_only && s != NULL) {
            add_served(o, (struct openapi_served){k, v->api_version, place_of(&o->arena, v->api_version), s, 0, 0});
        }
    }
}

/* "pods/eviction" stands where pods stand. Nothing is asked of a kind that is not there. */
static void add_request(struct openapi *o, const struct kind *k)
{
    const char *slash = strchr(k->plural, '/'), *at = k->api_version;
    if (slash != NULL) {
        const struct kind *parent = kind_by_any_name((struct str){k->plural, (size_t)(slash - k->plural)});
        if (parent == NULL || parent->since > o->level) {
            return;
        }
        at = parent->api_version;
    }
    add_served(o, (struct openapi_served){k, k->api_version, place_of(&o->arena, at), k->schema, 0, 0});
}

static void add_kinds(struct openapi *o, bool first_group)
{
    for (unsigned i = 0; i < kinds_count(); i++) {
        const struct kind *k = kinds_at(i);
        if ((kind_group(k).n == 0) == first_group && k->since <= o->level) {
            add_kind(o, k);
        }
    }
}

static void list_served(struct openapi *o, openapi_serves *serves)
{
    add_kinds(o, true);
    add_kinds(o, false);
    for (unsigned i = 0; i < kind_requests_count(); i++) {
        if (serves == NULL || serves(kind_requests_at(i))) {
            add_request(o, kind_requests_at(i));
        }
    }
}

static void list_places(struct openapi *o)
{
    for (unsigned i = 0; i < o->served_count; i++) {
        bool known = o->served[i].kind->plural[0] == '\0'; /* comes along with others */
        for (unsigned k = 0; k < o->places_count && !known; k++) {
            known = strcmp(o->places[k], o->served[i].place) == 0;
        }
        if (!known) {
            o->places = arena_grow(&o->arena, o->places, o->places_count, &o->places_cap, sizeof *o->places, 16);
            o->places[o->places_count++] = o->served[i].place;
        }
    }
}

void openapi_list(struct openapi *o, openapi_serves *serves)
{
    for (unsigned i = 0; i < ARRAY_SIZE(SCALARS); i++) {
        add_type(o, (struct openapi_type){.name = SCALARS[i].name, .format = SCALARS[i].format, .doc = SCALARS[i].doc});
    }
    list_served(o, serves);
    for (unsigned i = 0; i < o->served_count; i++) {
        struct openapi_served *s = &o->served[i];
        const char *prefix = prefix_of(&o->arena, s->api_version);
        s->type = s->list = add_schema(o, s->schema, prefix);
    }
    for (unsigned i = 0; i < o->served_count; i++) {
        struct openapi_served *s = &o->served[i];
        if (o->types[s->type].root == NULL) {
            o->types[s->type].root = s;
        }
        if (s->kind->id != 0) {
            const char *name = arena_printf(&o->arena, "%sList", o->types[s->type].name);
            s->list = add_type(o, (struct openapi_type){.name = name, .items = s->type, .root = s});
        }
    }
    list_places(o);
}
