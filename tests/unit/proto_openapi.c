/* OpenAPI documents: no reference dangles, every kind and field can be looked up as `kubectl explain` does it, the
 * parameters that kubectl looks for are there, and the protobuf form says what JSON says. */
#include "proto/openapi/openapi.h"

#include <limits.h>
#include <stdlib.h>

#include "proto/protobuf/wire.h"
#include "tests/unit/proto_kind_fixture.h"

#define LEVEL     UINT_MAX /* all that there is */
#define NAMES_MAX 2000

static struct openapi *o; /* of all tests: documents are made once */

static int make(void **state)
{
    (void)state;
    o = openapi_new(LEVEL, "v1.33.0", NULL);
    return 0;
}

static int drop(void **state)
{
    (void)state;
    openapi_free(o);
    return 0;
}

static struct value *read_document(struct fixture *f, const struct openapi_document *d)
{
    struct value *v;
    assert_non_null(d);
    if (json_read(&f->arena, (struct str){d->bytes, d->size}, &v, &f->err) != 0) {
        fail_msg("%s", f->err.message);
    }
    return v;
}

static const char *place_of(struct fixture *f, const char *api_version)
{
    return arena_printf(&f->arena, "%s/%s", strchr(api_version, '/') == NULL ? "api" : "apis", api_version);
}

static struct value *read_v3(struct fixture *f, const char *api_version)
{
    return read_document(f, openapi_v3(o, str_of(place_of(f, api_version))));
}

/* ---- References, arrays, names ---- */

static struct value *resolve(const struct value *doc, struct str ref)
{
    const struct value *v = doc;
    assert_true(ref.n > 2 && ref.p[0] == '#' && ref.p[1] == '/');
    for (const char *p = ref.p + 2, *end = ref.p + ref.n; v != NULL && p < end;) {
        const char *slash = memchr(p, '/', (size_t)(end - p));
        size_t n = (size_t)((slash == NULL ? end : slash) - p);
        v = value_get_str_key(v, (struct str){p, n});
        p += n + 1;
    }
    return (struct value *)v;
}

static unsigned check_parts(const struct value *doc, const struct value *v)
{
    unsigned references = 0;
    for (unsigned i = 0; i < value_count(v); i++) {
        references += check_parts(doc, v->type == VALUE_LIST ? v->list.items[i] : v->map.members[i].value);
    }
    const struct value *ref = value_get(v, "$ref");
    if (value_is_str(ref)) {
        references++;
        if (resolve(doc, ref->str) == NULL) {
            fail_msg("%.*s leads nowhere", STR_ARG(ref->str));
        }
    }
    if (str_is(value_to_str(value_get(v, "type")), "array")) {
        assert_true(value_is_map(value_get(v, "items")));
    }
    return references;
}

static int text_cmp(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void check_operations(struct fixture *f, const struct value *doc)
{
    static const char *names[NAMES_MAX];
    unsigned count = 0;
    const struct value *paths = value_get(doc, "paths");
    for (unsigned i = 0; i < value_count(paths); i++) {
        const struct value *path = paths->map.members[i].value;
        assert_int_equal(paths->map.members[i].key.p[0], '/');
        for (unsigned k = 0; k < value_count(path); k++) {
            struct str id = value_to_str(value_get(path->map.members[k].value, "operationId"));
            if (!str_is(path->map.members[k].key, "parameters")) {
                assert_true(id.n > 0 && count < NAMES_MAX);
                assert_true(value_count(value_get(path->map.members[k].value, "responses")) > 0);
                names[count++] = arena_strndup(&f->arena, id.p, id.n);
            }
        }
    }
    qsort(names, count, sizeof *names, text_cmp);
    for (unsigned i = 1; i < count; i++) {
        assert_string_not_equal(names[i], names[i - 1]);
    }
}

static bool gvk_is(const struct value *gvk, const char *api_version, const char *kind)
{
    CLEANUP_FREE char *own = NULL;
    struct str group = value_to_str(value_get(gvk, "group")), version = value_to_str(value_get(gvk, "version"));
    own = group.n == 0 ? xasprintf("%.*s", STR_ARG(version)) : xasprintf("%.*s/%.*s", STR_ARG(group), STR_ARG(version));
    return strcmp(own, api_version) == 0 && str_is(value_to_str(value_get(gvk, "kind")), kind);
}

/* The definition of a kind, as clients find it. There is one. */
static struct value *find_kind(const struct value *definitions, const char *api_version, const char *kind)
{
    struct value *found = NULL;
    for (unsigned i = 0; i < value_count(definitions); i++) {
        struct value *d = definitions->map.members[i].value, *list = value_get(d, "x-kubernetes-group-version-kind");
        assert_true(list == NULL || value_is_list(list));
        VALUE_FOR(k, list)
        {
            if (gvk_is(value_item(list, k), api_version, kind)) {
                assert_null(found);
                found = d;
            }
        }
    }
    if (found == NULL) {
        fail_msg("no definition of %s in %s", kind, api_version);
    }
    return found;
}

/* [2 openapi-references] [2 openapi-gvk] [8 argo-cd] [9 references] Every reference leads somewhere in the same document, every array has items. */
static void v2_is_whole(void **state)
{
    struct fixture *f = *state;
    const struct openapi_document *d = openapi_v2_json(o);
    struct value *doc = read_document(f, d);
    assert_true(str_is(value_path_str(doc, "swagger"), "2.0"));
    assert_true(str_is(value_path_str(doc, "info.version"), "v1.33.0"));
    unsigned references = check_parts(doc, doc);
    check_operations(f, doc);
    for (unsigned i = 0; i < kinds_count(); i++) {
        const struct kind *k = kinds_at(i);
        find_kind(value_get(doc, "definitions"), k->api_version, k->name);
        find_kind(value_get(doc, "definitions"), k->api_version, arena_printf(&f->arena, "%sList", k->name));
    }
    printf("v2: %zu bytes of JSON, %zu of protobuf; %u definitions, %u paths, %u references\n", d->size,
           openapi_v2_protobuf(o)->size, value_count(value_get(doc, "definitions")),
           value_count(value_get(doc, "paths")), references);
}

/* [2 openapi-v3] */
static void v3_is_whole(void **state)
{
    struct fixture *f = *state;
    struct value *paths = value_get(read_document(f, openapi_v3_index(o)), "paths");
    size_t all = 0, largest = 0;
    assert_true(value_count(paths) > 10);
    for (unsigned i = 0; i < value_count(paths); i++) {
        struct str place = paths->map.members[i].key,
                   url = value_path_str(paths->map.members[i].value, "serverRelativeURL");
        const struct openapi_document *d = openapi_v3(o, place);
        struct value *doc = read_document(f, d);
        const char *expected = arena_printf(&f->arena, "/openapi/v3/%.*s?hash=%s", STR_ARG(place), d->hash);
        assert_true(str_is(url, expected));
        assert_true(str_is(value_path_str(doc, "openapi"), "3.0.0"));
        assert_true(check_parts(doc, doc) > 0);
        check_operations(f, doc);
        all += d->size;
        largest = MAX(largest, d->size);
    }
    for (unsigned i = 0; i < kinds_count(); i++) {
        const struct kind *k = kinds_at(i);
        find_kind(value_path(read_v3(f, k->api_version), "components.schemas"), k->api_version, k->name);
    }
    assert_null(openapi_v3(o, STR("apis/none.example.com/v1")));
    printf("v3: %u documents, %zu bytes, the largest %zu\n", value_count(paths), all, largest);
}

/* ---- explain ---- */

/* Of a property: what it, or each thing in it, is. */
static struct value *follow(const struct value *doc, const struct value *v)
{
    for (const struct value *next = v; next != NULL;) {
        v = next;
        struct str ref = value_to_str(value_get(v, "$ref"));
        next = value_get(v, "items");
        next = next != NULL ? next : value_get(v, "additionalProperties");
        next = next != NULL ? next : value_item(value_get(v, "allOf"), 0);
        next = ref.n > 0 ? resolve(doc, ref) : next;
    }
    return (struct value *)v;
}

static unsigned explain_all(const struct value *doc, const struct value *definition, const struct schema *s)
{
    unsigned count = 0;
    for (unsigned i = 0; i < s->count; i++) {
        const struct field *f = &s->fields[i];
        const struct value *p = value_get(value_get(definition, "properties"), f->name);
        if (p == NULL || value_path_str(p, "description").n == 0) {
            fail_msg("%s.%s is not described", s->name, f->name);
        }
        count++;
        const struct value *what = follow(doc, p);
        if (f->type == FIELD_OBJECT) {
            count += explain_all(doc, what, f->sub);
        } else {
            assert_true(value_path_str(what, "type").n > 0 || value_get(what, "oneOf") != NULL);
        }
    }
    return count;
}

/* [2 openapi-fields] */
static void every_field_can_be_explained(void **state)
{
    struct fixture *f = *state;
    struct value *v2 = read_document(f, openapi_v2_json(o));
    unsigned two = 0, three = 0;
    for (unsigned i = 0; i < kinds_count(); i++) {
        const struct kind *k = kinds_at(i);
        struct value *v3 = read_v3(f, k->api_version);
        two += explain_all(v2, find_kind(value_get(v2, "definitions"), k->api_version, k->name), k->schema);
        three += explain_all(v3, find_kind(value_path(v3, "components.schemas"), k->api_version, k->name), k->schema);
    }
    for (unsigned i = 0; i < kind_requests_count(); i++) {
        const struct kind *k = kind_requests_at(i);
        const char *slash = strchr(k->plural, '/');
        if (slash != NULL && kind_by_any_name((struct str){k->plural, (size_t)(slash - k->plural)}) == NULL) {
            continue; /* asked of a kind that is not there */
        }
        explain_all(v2, find_kind(value_get(v2, "definitions"), k->api_version, k->name), k->schema);
    }
    assert_int_equal(two, three);
    printf("%u fields\n", two);
}

/* [2 openapi-merge-keys] */
static void facts_of_fields(void **state)
{
    struct fixture *f = *state;
    struct value *all = value_get(read_document(f, openapi_v2_json(o)), "definitions");
    struct value *spec = value_get(value_get(all, "io.k8s.api.core.v1.PodSpec"), "properties");
    struct value *volumes = value_get(spec, "volumes"), *ports;
    assert_true(str_is(value_path_str(volumes, "x-kubernetes-patch-strategy"), "merge,retainKeys"));
    assert_true(str_is(value_path_str(volumes, "x-kubernetes-patch-merge-key"), "name"));
    assert_true(str_is(value_path_str(volumes, "x-kubernetes-list-type"), "map"));
    assert_true(str_is(value_path_str(value_get(spec, "tolerations"), "x-kubernetes-list-type"), "atomic"));
    assert_true(str_is(value_to_str(value_item(value_get(value_get(all, "io.k8s.api.core.v1.PodSpec"), "required"), 0)),
                       "containers"));
    ports = value_path(value_get(all, "io.k8s.api.core.v1.Container"), "properties.ports.x-kubernetes-list-map-keys");
    assert_int_equal(value_count(ports), 2);
    assert_true(str_is(value_path_str(value_get(all, "io.k8s.api.apps.v1.DeploymentSpec"),
                                      "properties.strategy.x-kubernetes-patch-strategy"),
                       "retainKeys"));
    assert_true(str_is(value_path_str(value_get(all, "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"),
                                      "properties.finalizers.x-kubernetes-list-type"),
                       "set"));
    assert_true(str_is(value_path_str(value_get(all, "io.k8s.apimachinery.pkg.util.intstr.IntOrString"), "format"),
                       "int-or-string"));
    /* v3 alone: choices and defaults. */
    struct value *v3 = value_path(read_v3(f, "v1"), "components.schemas");
    struct value *policy = value_path(value_get(v3, "io.k8s.api.core.v1.PodSpec"), "properties.restartPolicy");
    assert_int_equal(value_count(value_get(policy, "enum")), 3);
    assert_true(str_is(value_path_str(policy, "default"), "Always"));
}

/* ---- What kubectl looks for ---- */

static bool has_parameter(const struct value *op, const char *name)
{
    const struct value *list = value_get(op, "parameters");
    VALUE_FOR(i, list)
    {
        if (str_is(value_to_str(value_get(value_item(list, i), "name")), name) &&
            str_is(value_to_str(value_get(value_item(list, i), "in")), "query")) {
            return true;
        }
    }
    return false;
}

static bool can_patch(const struct value *doc, const struct kind *k)
{
    const struct value *paths = value_get(doc, "paths");
    for (unsigned i = 0; i < value_count(paths); i++) {
        const struct value *op = value_get(paths->map.members[i].value, "patch");
        if (op != NULL && gvk_is(value_get(op, "x-kubernetes-group-version-kind"), k->api_version, k->name) &&
            has_parameter(op, "fieldValidation") && has_parameter(op, "dryRun")) {
            return true;
        }
    }
    return false;
}

/* [2 openapi-patch] */
static void patches_know_dry_run_and_field_validation(void **state)
{
    struct fixture *f = *state;
    struct value *v2 = read_document(f, openapi_v2_json(o));
    for (unsigned i = 0; i < kinds_count(); i++) {
        assert_true(can_patch(v2, kinds_at(i)));
        assert_true(can_patch(read_v3(f, kinds_at(i)->api_version), kinds_at(i)));
    }
    struct value *pods = value_get(value_get(v2, "paths"), "/api/v1/namespaces/{namespace}/pods");
    assert_true(has_parameter(value_get(pods, "get"), "labelSelector"));
    assert_true(has_parameter(value_get(pods, "post"), "fieldValidation"));
    assert_int_equal(value_count(value_get(pods, "parameters")), 1);
    assert_non_null(value_get(value_get(v2, "paths"), "/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale"));
    assert_non_null(value_get(value_get(v2, "paths"), "/api/v1/namespaces/{namespace}/pods/{name}/eviction"));
    assert_non_null(value_get(value_get(v2, "paths"), "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"));
}

/* ---- The protobuf form ---- */

static struct str field_of(struct str message, unsigned number)
{
    struct pb_field f;
    int more;
    while ((more = pb_next(&message, &f)) > 0) {
        if (f.number == number) {
            assert_int_equal(f.type, PB_BYTES);
            return f.bytes;
        }
    }
    assert_int_equal(more, 0);
    return STR_NONE;
}

/* A definition, or a property: the texts that JSON has. */
static unsigned same_schema(struct str message, const struct value *v)
{
    unsigned count = 1, required = 0;
    struct str properties = field_of(message, 25), items = field_of(message, 23), values = field_of(message, 21);
    struct pb_field f;
    assert_true(str_eq(field_of(message, 1), value_path_str(v, "$ref")));
    assert_true(str_eq(field_of(message, 4), value_path_str(v, "description")));
    assert_true(str_eq(field_of(message, 2), value_path_str(v, "format")));
    assert_true(str_eq(field_of(field_of(message, 22), 1), value_path_str(v, "type")));
    for (struct str rest = properties; pb_next(&rest, &f) > 0; count++) {
        const struct value *p = value_get_str_key(value_get(v, "properties"), field_of(f.bytes, 1));
        assert_non_null(p);
        same_schema(field_of(f.bytes, 2), p);
    }
    if (value_get(v, "items") != NULL) {
        same_schema(field_of(items, 1), value_get(v, "items"));
    }
    if (value_get(v, "additionalProperties") != NULL) {
        same_schema(field_of(values, 1), value_get(v, "additionalProperties"));
    }
    for (struct str rest = message; pb_next(&rest, &f) > 0;) {
        required += f.number == 19;
    }
    assert_int_equal(required, value_count(value_get(v, "required")));
    assert_int_equal(count - 1, value_count(value_get(v, "properties")));
    return count;
}

/* {1 name, 2 {2 YAML}} */
static struct value *extension(struct fixture *f, struct str message, unsigned number, const char *name)
{
    struct pb_field at;
    for (struct str rest = message; pb_next(&rest, &at) > 0;) {
        if (at.number == number && str_is(field_of(at.bytes, 1), name)) {
            struct value **docs;
            unsigned count;
            assert_int_equal(yaml_read(&f->arena, field_of(field_of(at.bytes, 2), 2), NULL, &docs, &count, &f->err), 0);
            return docs[0];
        }
    }
    return NULL;
}

/* As kubectl 1.20 asks whether a kind can be applied with --dry-run=server. */
static bool offers_dry_run(struct fixture *f, struct str patch, const struct kind *k)
{
    struct pb_field at;
    const struct value *gvk = extension(f, patch, 13, "x-kubernetes-group-version-kind");
    if (gvk == NULL || !gvk_is(gvk, k->api_version, k->name)) {
        return false;
    }
    for (struct str rest = patch; pb_next(&rest, &at) > 0;) {
        struct str query = at.number == 8 ? field_of(field_of(field_of(at.bytes, 1), 2), 3) : STR_NONE;
        if (str_is(field_of(query, 4), "dryRun") && str_is(field_of(query, 2), "query")) {
            return true;
        }
    }
    return false;
}

/* [2 openapi-gnostic] */
static void the_protobuf_form_says_the_same(void **state)
{
    struct fixture *f = *state;
    const struct openapi_document *d = openapi_v2_protobuf(o);
    struct str message = {d->bytes, d->size};
    const struct value *doc = read_document(f, openapi_v2_json(o)), *all = value_get(doc, "definitions");
    struct pb_field at;
    unsigned definitions = 0, fields = 0, paths = 0, patches = 0;
    assert_true(str_is(field_of(message, 1), "2.0"));
    for (struct str rest = field_of(message, 9); pb_next(&rest, &at) > 0; definitions++) {
        const struct value *v = value_get_str_key(all, field_of(at.bytes, 1));
        const struct value *gvk = extension(f, field_of(at.bytes, 2), 31, "x-kubernetes-group-version-kind");
        fields += same_schema(field_of(at.bytes, 2), v);
        assert_true(value_equal(gvk, value_get(v, "x-kubernetes-group-version-kind")));
    }
    assert_int_equal(definitions, value_count(all));
    assert_true(fields > 1000);
    for (struct str rest = field_of(message, 8); pb_next(&rest, &at) > 0; paths++) {
        assert_non_null(value_get_str_key(value_get(doc, "paths"), field_of(at.bytes, 1)));
        struct str patch = field_of(field_of(at.bytes, 2), 8);
        for (unsigned i = 0; i < kinds_count() && patch.n > 0; i++) {
            patches += offers_dry_run(f, patch, kinds_at(i));
        }
    }
    assert_int_equal(paths, value_count(value_get(doc, "paths")));
    assert_true(patches >= kinds_count());
}

/* ---- The same, and others ---- */

/* [9 openapi-once] Made when it is first asked for, and kept. */
static void a_document_is_always_the_same(void **state)
{
    struct fixture *f = *state;
    struct openapi *again = openapi_new(LEVEL, "v1.33.0", NULL);
    const struct openapi_document *one = openapi_v2_json(o), *two = openapi_v2_json(again);
    assert_ptr_equal(one, openapi_v2_json(o));
    assert_string_equal(one->hash, two->hash);
    assert_int_equal(strlen(one->hash), 32);
    assert_string_equal(openapi_v3_index(o)->hash, openapi_v3_index(again)->hash);
    assert_string_equal(openapi_v2_protobuf(o)->hash, openapi_v2_protobuf(again)->hash);
    openapi_free(again);

    struct openapi *lower = openapi_new(0, "v1.33.0", NULL); /* Jobs came with level 1 */
    assert_string_not_equal(openapi_v2_json(lower)->hash, one->hash);
    assert_null(openapi_v3(lower, STR("apis/batch/v1")));
    assert_non_null(openapi_v3(lower, STR("apis/apps/v1")));
    check_parts(read_document(f, openapi_v2_json(lower)), read_document(f, openapi_v2_json(lower)));
    openapi_free(lower);
    openapi_free(NULL);
}

static bool serves_no_review(const struct kind *request)
{
    return strstr(request->name, "Review") == NULL;
}

/* A front that does not take a request does not tell of it. */
/* [2 not-served] */
static void what_is_not_served_is_not_told(void **state)
{
    struct fixture *f = *state;
    struct openapi *less = openapi_new(LEVEL, "v1.33.0", serves_no_review);
    struct value *doc = read_document(f, openapi_v2_json(less));
    check_parts(doc, doc);
    for (unsigned i = 0; i < value_count(value_get(doc, "definitions")); i++) {
        struct str name = value_get(doc, "definitions")->map.members[i].key;
        assert_false(str_ends(name, STR("SubjectAccessReview")));
    }
    assert_null(value_get(value_get(doc, "paths"), "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"));
    assert_non_null(value_get(value_get(doc, "paths"), "/api/v1/namespaces/{namespace}/pods/{name}/eviction"));
    assert_non_null(
        value_get(value_get(doc, "paths"), "/api/v1/namespaces/{namespace}/pods/{name}/ephemeralcontainers"));
    assert_null(openapi_v3(less, STR("apis/authorization.k8s.io/v1")));
    openapi_free(less);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(v2_is_whole),
        TEST(v3_is_whole),
        TEST(every_field_can_be_explained),
        TEST(facts_of_fields),
        TEST(patches_know_dry_run_and_field_validation),
        TEST(the_protobuf_form_says_the_same),
        TEST(a_document_is_always_the_same),
        TEST(what_is_not_served_is_not_told),
    };
    return cmocka_run_group_tests(tests, make, drop);
}
