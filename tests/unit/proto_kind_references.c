/* What objects refer to: each field of a pod's spec that names another object is in one table here, with the kind of
 * the object; a field that is in the schema and not in the table fails the test, so whoever adds a source of volumes
 * or environments says what it refers to. */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/proto_kind_fixture.h"

#include "proto/schema/table.h"

#define NONE "" /* names no object of the API */

static const struct row {
    const char *path, *kind;
    enum reference_use use;
} rows[] = {
    {"nodeName", "Node", REFERENCE_PLACE},
    {"serviceAccountName", "ServiceAccount", REFERENCE_TARGET},
    {"serviceAccount", NONE, 0}, /* the same as serviceAccountName */
    {"priorityClassName", "PriorityClass", REFERENCE_TARGET},
    {"runtimeClassName", "RuntimeClass", REFERENCE_CONTENT},
    {"schedulingGroup.podGroupName", "PodGroup", REFERENCE_TARGET},
    {"imagePullSecrets.name", "Secret", REFERENCE_CONTENT},
    {"resourceClaims.resourceClaimName", "ResourceClaim", REFERENCE_TARGET},
    {"resourceClaims.resourceClaimTemplateName", "ResourceClaimTemplate", REFERENCE_TARGET},
    {"resourceClaims.source.resourceClaimName", NONE, 0}, /* refused, and an old spelling */
    {"resourceClaims.source.resourceClaimTemplateName", NONE, 0},
    {"volumes.configMap.name", "ConfigMap", REFERENCE_CONTENT},
    {"volumes.secret.secretName", "Secret", REFERENCE_CONTENT},
    {"volumes.projected.sources.configMap.name", "ConfigMap", REFERENCE_CONTENT},
    {"volumes.projected.sources.secret.name", "Secret", REFERENCE_CONTENT},
    {"volumes.projected.sources.clusterTrustBundle.name", "ClusterTrustBundle", REFERENCE_TARGET},
    {"volumes.persistentVolumeClaim.claimName", "PersistentVolumeClaim", REFERENCE_CONTENT},
    {"volumes.iscsi.secretRef.name", "Secret", REFERENCE_TARGET},
    {"volumes.glusterfs.endpoints", "Endpoints", REFERENCE_TARGET},
    {"volumes.rbd.secretRef.name", "Secret", REFERENCE_TARGET},
    {"volumes.flexVolume.secretRef.name", "Secret", REFERENCE_TARGET},
    {"volumes.cinder.secretRef.name", "Secret", REFERENCE_TARGET},
    {"volumes.cephfs.secretRef.name", "Secret", REFERENCE_TARGET},
    {"volumes.azureFile.secretName", "Secret", REFERENCE_TARGET},
    {"volumes.scaleIO.secretRef.name", "Secret", REFERENCE_TARGET},
    {"volumes.storageos.secretRef.name", "Secret", REFERENCE_TARGET},
    {"volumes.csi.nodePublishSecretRef.name", "Secret", REFERENCE_TARGET},
    {"initContainers.env.valueFrom.configMapKeyRef.name", "ConfigMap", REFERENCE_CONTENT},
    {"initContainers.env.valueFrom.secretKeyRef.name", "Secret", REFERENCE_CONTENT},
    {"initContainers.envFrom.configMapRef.name", "ConfigMap", REFERENCE_CONTENT},
    {"initContainers.envFrom.secretRef.name", "Secret", REFERENCE_CONTENT},
    {"containers.env.valueFrom.configMapKeyRef.name", "ConfigMap", REFERENCE_CONTENT},
    {"containers.env.valueFrom.secretKeyRef.name", "Secret", REFERENCE_CONTENT},
    {"containers.envFrom.configMapRef.name", "ConfigMap", REFERENCE_CONTENT},
    {"containers.envFrom.secretRef.name", "Secret", REFERENCE_CONTENT},
    {"ephemeralContainers.env.valueFrom.configMapKeyRef.name", "ConfigMap", REFERENCE_CONTENT},
    {"ephemeralContainers.env.valueFrom.secretKeyRef.name", "Secret", REFERENCE_CONTENT},
    {"ephemeralContainers.envFrom.configMapRef.name", "ConfigMap", REFERENCE_CONTENT},
    {"ephemeralContainers.envFrom.secretRef.name", "Secret", REFERENCE_CONTENT},
};

/* What a new source may be called that refers to something and whose field does not say so by its flags. */
static bool sounds_like_a_reference(const char *name)
{
    static const char *const endings[] = {"secretName", "claimName", "ClassName",
                                          "nodeName",   "endpoints", "AccountName"};
    for (unsigned i = 0; i < ARRAY_SIZE(endings); i++) {
        if (str_ends(str_of(name), str_of(endings[i]))) {
            return true;
        }
    }
    return strcmp(name, "serviceAccount") == 0;
}

struct walk {
    const struct field *chain[12];
    unsigned depth;
    void (*leaf)(struct walk *w, const char *path);
    struct arena *arena;
    unsigned found;
};

static void walk(struct walk *w, const struct schema *s, const char *above)
{
    for (unsigned i = 0; i < s->count; i++) {
        const struct field *f = &s->fields[i];
        const char *path = arena_printf(w->arena, "%s%s%s", above, above[0] == '\0' ? "" : ".", f->name);
        if (strcmp(f->name, "volumeClaimTemplate") == 0) {
            continue; /* a claim of its own, with references of its own */
        }
        assert_true(w->depth < ARRAY_SIZE(w->chain));
        w->chain[w->depth++] = f;
        if (f->type == FIELD_OBJECT) {
            walk(w, f->sub, path);
        } else if ((f->flags & FIELD_KEY) || sounds_like_a_reference(f->name) ||
                   strcmp(path, "volumes.projected.sources.clusterTrustBundle.name") == 0) {
            w->leaf(w, path);
        }
        w->depth--;
    }
}

struct seen {
    unsigned count;
    struct kind_reference last;
};

static void see(void *data, const struct kind_reference *r)
{
    struct seen *s = data;
    s->count++;
    s->last = *r;
}

/* A pod (or what has pods) whose spec says nothing but this field. */
static struct object *object_with(struct walk *w, const char *kind, const char *at, bool optional)
{
    struct arena *a = w->arena;
    struct value *v = value_cstr(a, "target");
    for (unsigned i = w->depth; i > 0; i--) {
        const struct field *f = w->chain[i - 1];
        struct value *map = value_map(a);
        if (f->shape == SHAPE_LIST) {
            struct value *list = value_list(a);
            value_append(a, list, v);
            v = list;
        }
        value_set(a, map, f->name, v);
        if (i == w->depth && optional) {
            value_set(a, map, "optional", value_bool(a, true));
        }
        v = map;
    }
    const struct kind *k = kind_by_name(str_of(kind));
    struct value *doc = value_map(a), *metadata = value_map(a);
    value_set(a, metadata, "name", value_cstr(a, "it"));
    value_set(a, metadata, "namespace", value_cstr(a, "here"));
    value_set(a, doc, "apiVersion", value_cstr(a, k->api_version));
    value_set(a, doc, "kind", value_cstr(a, kind));
    value_set(a, doc, "metadata", metadata);
    if (at[0] == '\0') {
        value_set(a, doc, "spec", v);
    } else {
        value_set(a, value_ensure_map(a, value_ensure_map(a, doc, "spec"), "template"), "spec", v);
    }
    struct object *o;
    assert_int_equal(object_from_value(k, doc, 1, &o, NULL), 0);
    return o;
}

static void expect(struct walk *w, const struct row *row, const char *kind, const char *at)
{
    for (int optional = 0; optional < 2; optional++) {
        CLEANUP_OBJECT struct object *o = object_with(w, kind, at, optional);
        struct seen s = {0};
        kind_references(o, see, &s);
        const struct kind *to = kind_by_name(str_of(row->kind));
        if (to == NULL) {
            assert_int_equal(s.count, 0);
            continue;
        }
        if (s.count != 1) {
            fail_msg("%s of a %s gives %u references", row->path, kind, s.count);
        }
        assert_ptr_equal(s.last.kind, to);
        assert_true(str_is(s.last.name, "target"));
        assert_true(str_is(s.last.ns, to->namespaced ? "here" : ""));
        assert_int_equal(s.last.use, row->use);
        assert_int_equal(s.last.optional, optional || strcmp(row->path, "imagePullSecrets.name") == 0);
    }
}

static void look(struct walk *w, const char *path)
{
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        if (strcmp(rows[i].path, path) == 0) {
            w->found++;
            expect(w, &rows[i], "Pod", "");
            expect(w, &rows[i], "Deployment", "template");
            expect(w, &rows[i], "ReplicaSet", "template");
            return;
        }
    }
    fail_msg("%s names an object: proto/kinds/pod_refs.c and this table must say of which kind", path);
}

static void every_field_that_names_an_object_is_told(void **state)
{
    struct fixture *f = *state;
    struct walk w = {.leaf = look, .arena = &f->arena};
    const struct field *spec = schema_field(kind_by_id(KIND_POD)->schema, STR("spec"));
    walk(&w, spec->sub, "");
    assert_int_equal(w.found, ARRAY_SIZE(rows));
}

static void tell_text(void *data, const struct kind_reference *r)
{
    static const char *const uses[] = {"owner", "content", "place", "target"};
    buf_printf(data, "%s %s %.*s/%.*s%s%.*s%s\n", uses[r->use], r->kind->name, STR_ARG(r->ns), STR_ARG(r->name),
               r->uid.n > 0 ? " " : "", STR_ARG(r->uid), r->optional ? " optional" : "");
}

static const char *references_of(struct fixture *f, const char *yaml)
{
    struct value *doc = fixture_read(f, yaml);
    const struct kind *k = kind_of_document(&f->arena, doc, &f->err);
    struct buf out = BUF_INIT;
    CLEANUP_OBJECT struct object *o = NULL;
    assert_non_null(k);
    assert_int_equal(object_from_value(k, doc, 1, &o, &f->err), 0);
    kind_references(o, tell_text, &out);
    const char *text = arena_strdup(&f->arena, buf_cstr(&out));
    buf_close(&out);
    return text;
}

static void owners_come_first_in_any_version_of_their_group(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(
        references_of(f, "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: ns, ownerReferences: ["
                         "{apiVersion: apps/v1, kind: ReplicaSet, name: r, uid: u1}, "
                         "{apiVersion: apps/v1beta1, kind: Deployment, name: d, uid: u2}, "
                         "{apiVersion: apps/v9, kind: Deployment, name: e, uid: u3}, "
                         "{apiVersion: other.io/v1, kind: Deployment, name: x, uid: u4}, "
                         "{apiVersion: v1, kind: Node, name: m, uid: u5}]}, spec: {nodeName: m}}"),
        "owner ReplicaSet ns/r u1\nowner Deployment ns/d u2\nowner Deployment ns/e u3\nowner Node /m u5\nplace Node "
        "/m\n");
}

static void an_event_refers_to_what_it_is_about(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(
        references_of(f, "{apiVersion: v1, kind: Event, metadata: {name: e, namespace: ns}, involvedObject: "
                         "{apiVersion: v1, kind: Pod, name: p, namespace: ns, uid: u}}"),
        "target Pod ns/p u optional\n");
    assert_string_equal(
        references_of(f, "{apiVersion: v1, kind: Event, metadata: {name: e, namespace: ns}, involvedObject: "
                         "{apiVersion: who/v1, kind: Knows, name: p, namespace: ns}}"),
        "");
}

static void names_that_nothing_can_have_are_no_references(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(
        references_of(f, "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: ns}, spec: {nodeName: '', "
                         "volumes: [{name: a, secret: {secretName: 'a/b'}}, {name: b, configMap: {}}]}}"),
        "");
}

static void a_claim_that_is_made_for_a_pod_is_told_of_the_pod_alone(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(references_of(f, "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: ns}, spec: {"
                                         "volumes: [{name: a, ephemeral: {volumeClaimTemplate: {spec: {}}}}, "
                                         "{name: '/', ephemeral: {volumeClaimTemplate: {}}}, {name: b, ephemeral: {}}, "
                                         "{ephemeral: 1}, 7]}}"),
                        "content PersistentVolumeClaim ns/p-a\n");
    assert_string_equal(references_of(f, "{apiVersion: apps/v1, kind: Deployment, metadata: {name: p, namespace: ns}, "
                                         "spec: {template: {spec: {volumes: [{name: a, ephemeral: "
                                         "{volumeClaimTemplate: {spec: {}}}}]}}}}"),
                        "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_field_that_names_an_object_is_told, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(owners_come_first_in_any_version_of_their_group, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(an_event_refers_to_what_it_is_about, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(names_that_nothing_can_have_are_no_references, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_claim_that_is_made_for_a_pod_is_told_of_the_pod_alone, fixture_setup,
                                        fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
