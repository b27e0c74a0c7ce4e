/* Paths: what may be asked of each kind, with the parameters that each verb knows. */
#include <ctype.h>
#include <string.h>

#include "proto/openapi/openapi_int.h"

/* ---- Parameters ---- */

struct parameter {
    const char *name, *type;
};

static const struct parameter WRITE[] = {
    {"dryRun", "string"}, {"fieldManager", "string"}, {"fieldValidation", "string"}, {"pretty", "string"}, {0}};
static const struct parameter PATCH[] = {{"dryRun", "string"},          {"fieldManager", "string"},
                                         {"fieldValidation", "string"}, {"force", "boolean"},
                                         {"pretty", "string"},          {0}};
static const struct parameter REMOVE[] = {
    {"dryRun", "string"}, {"gracePeriodSeconds", "integer"}, {"orphanDependents", "boolean"},
    {"pretty", "string"}, {"propagationPolicy", "string"},   {0}};
static const struct parameter LIST[] = {{"allowWatchBookmarks", "boolean"},
                                        {"continue", "string"},
                                        {"fieldSelector", "string"},
                                        {"labelSelector", "string"},
                                        {"limit", "integer"},
                                        {"pretty", "string"},
                                        {"resourceVersion", "string"},
                                        {"resourceVersionMatch", "string"},
                                        {"sendInitialEvents", "boolean"},
                                        {"timeoutSeconds", "integer"},
                                        {"watch", "boolean"},
                                        {0}};
static const struct parameter REMOVE_ALL[] = {{"continue", "string"},
                                              {"dryRun", "string"},
                                              {"fieldSelector", "string"},
                                              {"gracePeriodSeconds", "integer"},
                                              {"labelSelector", "string"},
                                              {"limit", "integer"},
                                              {"orphanDependents", "boolean"},
                                              {"pretty", "string"},
                                              {"propagationPolicy", "string"},
                                              {"resourceVersion", "string"},
                                              {"resourceVersionMatch", "string"},
                                              {0}};
static const struct parameter GET[] = {{"pretty", "string"}, {0}};

static struct value *parameter(struct openapi_maker *m, const char *in, const char *name, const char *type)
{
    struct value *v = value_map(m->a), *form = m->v3 ? value_map(m->a) : v;
    value_set(m->a, v, "in", value_cstr(m->a, in));
    value_set(m->a, v, "name", value_cstr(m->a, name));
    if (strcmp(in, "path") == 0) {
        value_set(m->a, v, "required", value_bool(m->a, true));
    }
    value_set(m->a, form, "type", value_cstr(m->a, type));
    if (m->v3) {
        value_set(m->a, v, "schema", form);
    }
    return v;
}

static struct value *parameters(struct openapi_maker *m, const struct parameter *rows)
{
    struct value *l = value_list(m->a);
    for (; rows->name != NULL; rows++) {
        value_append(m->a, l, parameter(m, "query", rows->name, rows->type));
    }
    return l;
}

/* ---- Bodies ---- */

static struct value *media(struct openapi_maker *m, const char *const *types)
{
    struct value *l = value_list(m->a);
    for (; *types != NULL; types++) {
        value_append(m->a, l, value_cstr(m->a, *types));
    }
    return l;
}

static const char *const JSON[] = {"application/json", NULL};
static const char *const BODIES[] = {"application/json", "application/yaml", "application/vnd.kubernetes.protobuf",
                                     NULL};
static const char *const PATCHES[] = {"application/json-patch+json", "application/merge-patch+json",
                                      "application/strategic-merge-patch+json", "application/apply-patch+yaml", NULL};

/* {TYPE: {schema}} of v3. */
static struct value *content(struct openapi_maker *m, const char *const *types, struct value *schema)
{
    struct value *v = value_map(m->a);
    for (; *types != NULL; types++) {
        value_set(m->a, value_ensure_map(m->a, v, *types), "schema", schema);
    }
    return v;
}

static void set_body(struct openapi_maker *m, struct value *op, const char *const *types, struct value *schema,
                     bool required)
{
    if (m->v3) {
        struct value *body = value_ensure_map(m->a, op, "requestBody");
        value_set(m->a, body, "content", content(m, types, schema));
        value_set(m->a, body, "required", value_bool(m->a, required));
        return;
    }
    struct value *body = value_map(m->a);
    value_set(m->a, body, "in", value_cstr(m->a, "body"));
    value_set(m->a, body, "name", value_cstr(m->a, "body"));
    value_set(m->a, body, "required", value_bool(m->a, required));
    value_set(m->a, body, "schema", schema);
    value_append(m->a, value_get(op, "parameters"), body);
    value_set(m->a, op, "consumes", media(m, types));
}

static void set_answer(struct openapi_maker *m, struct value *op, const char *code, struct value *schema)
{
    struct value *answer = value_ensure_map(m->a, value_ensure_map(m->a, op, "responses"), code);
    value_set(m->a, answer, "description", value_cstr(m->a, strcmp(code, "200") == 0 ? "OK" : "Created"));
    if (m->v3) {
        value_set(m->a, answer, "content", content(m, JSON, schema));
    } else {
        value_set(m->a, answer, "schema", schema);
        value_set(m->a, op, "produces", media(m, JSON));
    }
}

/* ---- Operations ---- */

/* What a path is about. */
struct subject {
    const struct openapi_served *served; /* whose kind is in the operation's name */
    const char *api_version, *kind;      /* what is sent and answered */
    unsigned type;
    const char *suffix; /* of the operation's name: "", "Status" */
    bool within;        /* the path names a namespace */
};

/* "createAppsV1NamespacedDeployment": each once in a document. */
static struct value *operation_name(struct openapi_maker *m, const struct subject *s, const char *action)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    bool begins = true;
    const char *v = s->served->api_version;
    buf_puts(&b, action);
    buf_puts(&b, strchr(v, '/') == NULL ? "Core" : "");
    for (; *v != '\0'; v++) {
        if (isalnum((unsigned char)*v)) {
            buf_putc(&b, begins ? (char)toupper((unsigned char)*v) : *v);
        }
        begins = !isalnum((unsigned char)*v);
    }
    buf_printf(&b, "%s%s%s", s->within ? "Namespaced" : "", s->served->kind->name, s->suffix);
    return value_str(m->a, buf_str(&b));
}

static struct value *operation(struct openapi_maker *m, const struct subject *s, struct value *path, const char *method,
                               const char *name, const char *action, const struct parameter *rows)
{
    struct value *op = value_ensure_map(m->a, path, method);
    value_set(m->a, op, "operationId", operation_name(m, s, name));
    value_set(m->a, op, "parameters", parameters(m, rows));
    value_set(m->a, op, "x-kubernetes-action", value_cstr(m->a, action));
    value_set(m->a, op, "x-kubernetes-group-version-kind", openapi_gvk(m->a, s->api_version, s->kind));
    return op;
}

static void add_get(struct openapi_maker *m, const struct subject *s, struct value *path)
{
    struct value *op = operation(m, s, path, "get", "read", "get", GET);
    set_answer(m, op, "200", openapi_reference(m, s->type));
}

static void add_put(struct openapi_maker *m, const struct subject *s, struct value *path)
{
    struct value *op = operation(m, s, path, "put", "replace", "put", WRITE);
    set_body(m, op, BODIES, openapi_reference(m, s->type), true);
    set_answer(m, op, "200", openapi_reference(m, s->type));
}

static void add_patch(struct openapi_maker *m, const struct subject *s, struct value *path)
{
    struct value *op = operation(m, s, path, "patch", "patch", "patch", PATCH), *any = value_map(m->a);
    value_set(m->a, any, "type", value_cstr(m->a, "object"));
    set_body(m, op, PATCHES, any, true);
    set_answer(m, op, "200", openapi_reference(m, s->type));
}

static void add_post(struct openapi_maker *m, const struct subject *s, struct value *path)
{
    struct value *op = operation(m, s, path, "post", "create", "post", WRITE);
    set_body(m, op, BODIES, openapi_reference(m, s->type), true);
    set_answer(m, op, "201", openapi_reference(m, s->type));
}

static void add_delete(struct openapi_maker *m, const struct subject *s, struct value *path, bool collection)
{
    unsigned options = openapi_type_of(m->o, kind_of_request(STR("v1"), STR("DeleteOptions"))->schema);
    struct value *op = operation(m, s, path, "delete", collection ? "deleteCollection" : "delete",
                                 collection ? "deletecollection" : "delete", collection ? REMOVE_ALL : REMOVE);
    set_body(m, op, BODIES, openapi_reference(m, options), false);
    set_answer(m, op, "200", openapi_reference(m, collection ? s->served->list : s->type));
}

static void add_list(struct openapi_maker *m, const struct subject *s, struct value *path)
{
    struct value *op = operation(m, s, path, "get", "list", "list", LIST);
    set_answer(m, op, "200", openapi_reference(m, s->served->list));
}

/* ---- Paths ---- */

/* With what stands in braces in it as parameters. */
static struct value *path_at(struct openapi_maker *m, struct value *paths, const char *path)
{
    struct value *v = value_ensure_map(m->a, paths, path);
    if (value_get(v, "parameters") != NULL || strchr(path, '{') == NULL) {
        return v;
    }
    struct value *l = value_list(m->a);
    for (const char *p = strchr(path, '{'); p != NULL; p = strchr(p + 1, '{')) {
        const char *name = arena_strndup(m->a, p + 1, strcspn(p + 1, "}"));
        value_append(m->a, l, parameter(m, "path", name, "string"));
    }
    value_set(m->a, v, "parameters", l);
    return v;
}

static void add_part(struct openapi_maker *m, struct value *paths, const char *path, const struct subject *s)
{
    struct value *v = path_at(m, paths, path);
    add_get(m, s, v);
    add_put(m, s, v);
    add_patch(m, s, v);
}

static void add_kind(struct openapi_maker *m, struct value *paths, const struct openapi_served *served)
{
    const struct kind *k = served->kind;
    const char *all = arena_printf(m->a, "/%s/%s", served->place, k->plural);
    const char *some =
        k->namespaced ? arena_printf(m->a, "/%s/namespaces/{namespace}/%s", served->place, k->plural) : all;
    const char *one = arena_printf(m->a, "%s/{name}", some);
    struct subject s = {served, served->api_version, k->name, served->type, "", k->namespaced};
    struct value *v = path_at(m, paths, some);
    add_list(m, &s, v);
    add_post(m, &s, v);
    add_delete(m, &s, v, true);
    add_part(m, paths, one, &s);
    add_delete(m, &s, path_at(m, paths, one), false);
    if (k->namespaced) {
        struct subject everywhere = s;
        everywhere.within = false;
        everywhere.suffix = "ForAllNamespaces";
        add_list(m, &everywhere, path_at(m, paths, all));
    }
    if (k->has_status) {
        s.suffix = "Status";
        add_part(m, paths, arena_printf(m->a, "%s/status", one), &s);
    }
    if (k->has_approval) {
        s.suffix = "Approval";
        add_part(m, paths, arena_printf(m->a, "%s/approval", one), &s);
    }
    if (k->has_ephemeral) {
        s.suffix = "Ephemeralcontainers";
        add_part(m, paths, arena_printf(m->a, "%s/ephemeralcontainers", one), &s);
    }
    if (k->has_scale) {
        const struct kind *scale = kind_of_request(STR("autoscaling/v1"), STR("Scale"));
        struct subject size = {served,  scale->api_version, scale->name, openapi_type_of(m->o, scale->schema),
                               "Scale", k->namespaced};
        add_part(m, paths, arena_printf(m->a, "%s/scale", one), &size);
    }
}

static void add_request(struct openapi_maker *m, struct value *paths, const struct openapi_served *served)
{
    const struct kind *k = served->kind;
    const char *slash = strchr(k->plural, '/'), *ns = k->namespaced ? "namespaces/{namespace}/" : "";
    const char *path = slash == NULL ? arena_printf(m->a, "/%s/%s%s", served->place, ns, k->plural)
                                     : arena_printf(m->a, "/%s/%s%.*s/{name}%s", served->place, ns,
                                                    (int)(slash - k->plural), k->plural, slash);
    const struct subject s = {served, served->api_version, k->name, served->type, "", k->namespaced};
    add_post(m, &s, path_at(m, paths, path));
}

struct value *openapi_paths(struct openapi_maker *m, const char *place)
{
    struct value *paths = value_map(m->a);
    for (unsigned i = 0; i < m->o->served_count; i++) {
        const struct openapi_served *s = &m->o->served[i];
        if (s->kind->plural[0] == '\0' || (place != NULL && strcmp(s->place, place) != 0)) {
            continue;
        }
        if (s->kind->id != 0) {
            add_kind(m, paths, s);
        } else {
            add_request(m, paths, s);
        }
    }
    return paths;
}
