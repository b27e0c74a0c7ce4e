/* The engine: fields, normal forms, defaults, metadata, errors. */
#include <stdlib.h>

#include "base/env.h"

#include "tests/unit/proto_kind_fixture.h"

#define POD                                                                                                            \
    "apiVersion: v1\n"                                                                                                 \
    "kind: Pod\n"                                                                                                      \
    "metadata:\n"                                                                                                      \
    "  name: web\n"                                                                                                    \
    "spec:\n"                                                                                                          \
    "  containers:\n"                                                                                                  \
    "  - name: nginx\n"                                                                                                \
    "    image: nginx:1.25\n"

static void an_unknown_field_is_named_with_its_place_and_the_nearest_one(void **state)
{
    struct fixture *f = *state;
    fixture_bad(f, POD "    imagee: x\n",
                "Pod \"web\" is invalid: line 9, column 5: unknown field \"spec.containers[0].imagee\" (did you mean "
                "\"image\"?)");
    assert_string_equal(f->err.field, "spec.containers[0].imagee");
}

static void an_unknown_field_is_named_with_the_file_if_the_caller_knows_it(void **state)
{
    struct fixture *f = *state;
    struct value *doc = fixture_read(f, POD "    imagee: x\n");
    struct errlist l = {.arena = &f->arena};
    kind_find_field_errors(kind_by_id(KIND_POD), &f->arena, doc, 0, &l);
    assert_int_equal(errlist_to_error(&l, "Pod \"web\"", "pod.yaml", &f->err), ERR_INVALID);
    assert_string_equal(f->err.message,
                        "pod.yaml:9:5: unknown field \"spec.containers[0].imagee\" (did you mean \"image\"?)");
}

static void lenient_checks_drop_unknown_fields(void **state)
{
    struct fixture *f = *state;
    struct value *doc = fixture_read(f, POD "    imagee: x\nextra: 1\n");
    assert_int_equal(kind_check(kind_by_id(KIND_POD), &f->arena, doc, NULL, KIND_CHECK_LENIENT, &f->err), 0);
    assert_null(value_get(doc, "extra"));
    assert_null(value_get(value_item(value_path(doc, "spec.containers"), 0), "imagee"));
}

static void several_findings_are_listed(void **state)
{
    struct fixture *f = *state;
    fixture_bad(f, POD "    foo: x\n    bar: y\n", "\n* ");
    assert_contains(f->err.message, "spec.containers[0].foo");
    assert_contains(f->err.message, "spec.containers[0].bar");
}

static void assert_cause(const struct error *err, unsigned i, const char *reason, const char *field, const char *text)
{
    struct error_cause_text c;
    assert_true(error_cause(err, i, &c));
    assert_string_equal(error_cause_word(c.reason), reason);
    assert_true(str_is(c.field, field));
    if (!str_is(c.text, text)) {
        fail_msg("%.*s", STR_ARG(c.text));
    }
}

static void each_finding_is_a_cause(void **state)
{
    struct fixture *f = *state;
    fixture_bad(f,
                "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: X}, spec: {replicas: -1, "
                "selector: {matchLabels: {a: b}}, strategy: {type: Sometimes}, template: {metadata: {labels: {a: b}}, "
                "spec: {containers: [{name: c, image: i}, {name: c, image: i}]}}}}",
                "Deployment \"web\" is invalid:\n* ");
    assert_int_equal(f->err.causes_all, 4);
    assert_cause(&f->err, 0, "FieldValueInvalid", "metadata.namespace",
                 "Invalid value: \"X\": must be at most 63 lower case letters, digits and '-', begin and end with a "
                 "letter or digit (such as 'my-name')");
    assert_cause(&f->err, 1, "FieldValueNotSupported", "spec.strategy.type",
                 "Unsupported value: \"Sometimes\": supported values: \"RollingUpdate\", \"Recreate\"");
    struct str group, kind, name;
    assert_true(error_about(&f->err, &group, &kind, &name));
    assert_true(str_is(group, "apps") && str_is(kind, "Deployment") && str_is(name, "web"));
}

static void one_finding_is_one_cause_and_its_text_is_as_ever(void **state)
{
    struct fixture *f = *state;
    fixture_bad(f, "{apiVersion: v1, kind: Secret, metadata: {name: s}, type: Opaque, dato: {}}", "unknown field");
    assert_cause(&f->err, 0, "FieldValueInvalid", "dato", "unknown field \"dato\" (did you mean \"data\"?)");
    assert_int_equal(f->err.causes_all, 1);
    fixture_bad(f, POD "  hostNetwork: sure\n", "Pod \"web\" is invalid: line");
    assert_cause(&f->err, 0, "FieldValueInvalid", "spec.hostNetwork", "Invalid value: \"sure\": must be true or false");
}

static void findings_beyond_those_that_are_shown_are_counted(void **state)
{
    struct fixture *f = *state;
    CLEANUP_BUF struct buf b = BUF_INIT;
    buf_puts(&b, "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}");
    for (unsigned i = 0; i < ERRLIST_MAX + 4; i++) {
        buf_printf(&b, ", x%u: 1", i);
    }
    buf_puts(&b, "}");
    fixture_bad(f, buf_cstr(&b), "unknown field \"x0\"");
    assert_int_equal(f->err.causes_all, ERRLIST_MAX + 4);
    assert_int_equal(f->err.causes_kept, ERROR_CAUSES_MAX);
}

static void wrong_types_are_refused(void **state)
{
    struct fixture *f = *state;
    fixture_bad(f, POD "  hostNetwork: sure\n", "spec.hostNetwork: Invalid value: \"sure\": must be true or false");
    fixture_bad(f, POD "  priority: high\n", "spec.priority: Invalid value: \"high\": must be a whole number");
    fixture_bad(f, POD "  priority: 1.5\n", "must be a whole number");
    fixture_bad(f, POD "  priority: 3000000000\n", "must be a whole number of 32 bits");
    fixture_bad(f, POD "    env: [{name: A, value: 8080}]\n", "must be a string (write it in quotes)");
    fixture_bad(f, POD "    ports: 80\n", "spec.containers[0].ports: Invalid value: 80: must be a list");
    fixture_bad(f, POD "    args: [[a]]\n", "spec.containers[0].args[0]: Invalid value");
    fixture_bad(f, POD "  securityContext: []\n", "must be a map");
    fixture_bad(f, POD "  nodeSelector: {a: {b: c}}\n", "spec.nodeSelector[a]");
    fixture_bad(f, POD "    resources: {limits: {cpu: fast}}\n", "must be a quantity");
}

static void normal_forms_are_made(void **state)
{
    struct fixture *f = *state;
    struct value *doc = fixture_good(f, POD "    resources: {limits: {cpu: 2, memory: 1e9, example.com/x: 3}}\n"
                                            "  priority: 5.0\n  hostname: null\n");
    struct value *c = value_item(value_path(doc, "spec.containers"), 0);
    assert_true(str_is(value_path_str(c, "resources.limits.cpu"), "2"));
    assert_true(str_is(value_path_str(c, "resources.limits.memory"), "1G"));
    assert_int_equal(value_path_int(doc, "spec.priority", 0), 5);
    assert_null(value_path(doc, "spec.hostname"));
    doc =
        fixture_good(f, "{apiVersion: v1, kind: Secret, metadata: {name: s}, data: {k: aGk=}, stringData: {t: hello}}");
    struct value *k = value_path(doc, "data.k"), *t = value_path(doc, "data.t");
    assert_int_equal(k->type, VALUE_BIN);
    assert_true(str_is(k->str, "hi"));
    assert_int_equal(t->type, VALUE_BIN);
    assert_true(str_is(t->str, "hello"));
    assert_null(value_get(doc, "stringData"));
}

static void a_fraction_in_a_quantity_keeps_its_value(void **state)
{
    struct fixture *f = *state;
    struct value *doc = fixture_good(f, POD "    resources: {limits: {cpu: 0.1}}\n");
    assert_true(
        str_is(value_path_str(value_item(value_path(doc, "spec.containers"), 0), "resources.limits.cpu"), "100m"));
}

static void secrets_do_not_show_up_in_errors(void **state)
{
    struct fixture *f = *state;
    fixture_bad(f, "{apiVersion: v1, kind: Secret, metadata: {name: s}, data: {k: 'hunter2!'}}",
                "data[k]: Invalid value: (secret): must be base64 text");
    assert_null(strstr(f->err.message, "hunter2"));
    fixture_bad(f, "{apiVersion: v1, kind: Secret, metadata: {name: s}, stringData: {k: [hunter2]}}", "(secret)");
    assert_null(strstr(f->err.message, "hunter2"));
}

static void patches_keep_nulls_and_directives(void **state)
{
    struct fixture *f = *state;
    struct value *doc =
        fixture_read(f, "spec: {hostname: null, $retainKeys: [a], containers: [{name: a, $patch: delete}],"
                        " nodeSelector: {a: null}}");
    assert_int_equal(kind_check_fields(kind_by_id(KIND_POD), &f->arena, doc, KIND_CHECK_PATCH, &f->err), 0);
    assert_non_null(value_path(doc, "spec.hostname"));
    assert_int_equal(value_count(value_path(doc, "spec")), 4);
    assert_int_equal(value_count(value_path(doc, "spec.nodeSelector")), 1);
    assert_int_equal(value_count(value_item(value_path(doc, "spec.containers"), 0)), 2);
}

static void fields_alone_fill_in_nothing(void **state)
{
    struct fixture *f = *state;
    struct value *doc = fixture_read(f, POD);
    assert_int_equal(kind_check_fields(kind_by_id(KIND_POD), &f->arena, doc, 0, &f->err), 0);
    assert_null(value_path(doc, "spec.restartPolicy"));
    assert_null(value_path(doc, "metadata.namespace"));
}

/* ---- Which kind ---- */

static void documents_name_their_kind(void **state)
{
    struct fixture *f = *state;
    struct value *doc = fixture_read(f, "{apiVersion: apps/v1, kind: Deployment}");
    assert_int_equal(kind_of_document(&f->arena, doc, &f->err)->id, KIND_DEPLOYMENT);
    fixture_bad(f, "{apiVersion: v1, kind: Podd}", "unknown kind \"Podd\" (did you mean \"Pod\"?)");
    fixture_bad(f, "{apiVersion: v1, kind: Deployment}",
                "no kind \"Deployment\" in apiVersion \"v1\": write apiVersion: apps/v1");
    fixture_bad(f, "{apiVersion: v1}", "kind: Required value");
    fixture_bad(f, "{kind: Pod}", "apiVersion: Required value: write apiVersion: v1");
    fixture_bad(f, "[1, 2]", "not an object");
    fixture_bad(f, "{apiVersion: x/v1, kind: Whale}", "unknown kind \"Whale\"");
}

static void old_spellings_are_converted_with_a_selector(void **state)
{
    struct fixture *f = *state;
    static const char *const old[] = {"extensions/v1beta1", "apps/v1beta1", "apps/v1beta2"};
    for (unsigned i = 0; i < ARRAY_SIZE(old); i++) {
        char yaml[512];
        snprintf(yaml, sizeof(yaml),
                 "{apiVersion: %s, kind: Deployment, metadata: {name: d}, spec: {rollbackTo: {revision: 2}, template: "
                 "{metadata: {labels: {app: a}}, spec: {containers: [{name: c, image: i}]}}}}",
                 old[i]);
        struct value *doc = fixture_good(f, yaml);
        assert_true(str_is(value_path_str(doc, "apiVersion"), "apps/v1"));
        assert_true(str_is(value_path_str(doc, "spec.selector.matchLabels.app"), "a"));
        assert_null(value_path(doc, "spec.rollbackTo"));
    }
    fixture_bad(f, "{apiVersion: extensions/v1beta1, kind: Pod}", "write apiVersion: v1");
}

/* ---- Metadata ---- */

static void names_are_required_and_judged(void **state)
{
    struct fixture *f = *state;
    fixture_bad(f, "{apiVersion: v1, kind: ConfigMap}",
                "metadata.name: Required value: name or generateName is required");
    fixture_bad(f, "{apiVersion: v1, kind: ConfigMap, metadata: {name: Web}}",
                "metadata.name: Invalid value: \"Web\": ");
    fixture_good(f, "{apiVersion: v1, kind: ConfigMap, metadata: {name: a.b}}");
    fixture_bad(f, "{apiVersion: v1, kind: Namespace, metadata: {name: a.b}}", "metadata.name: Invalid value: \"a.b\"");
    fixture_bad(f, "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: a.b}}",
                "metadata.namespace: Invalid value");
    fixture_good(f, "{apiVersion: v1, kind: ConfigMap, metadata: {generateName: web-}}");
    fixture_bad(f, "{apiVersion: v1, kind: ConfigMap, metadata: {generateName: Web-}}",
                "metadata.generateName: Invalid value: \"Web-\"");
}

static void the_namespace_is_default_or_none(void **state)
{
    struct fixture *f = *state;
    struct value *doc = fixture_good(f, "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}");
    assert_true(str_is(value_path_str(doc, "metadata.namespace"), "default"));
    fixture_bad(f, "{apiVersion: v1, kind: Node, metadata: {name: n1, namespace: default}}",
                "metadata.namespace: Forbidden: not allowed");
}

static void labels_and_annotations_are_judged(void **state)
{
    struct fixture *f = *state;
    fixture_bad(f, "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, labels: {'-x': z}}}",
                "metadata.labels: Invalid");
    fixture_bad(f, "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, labels: {x: 'a b'}}}",
                "metadata.labels: Invalid value: \"a b\"");
    fixture_bad(f, "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, annotations: {'a b': z}}}",
                "metadata.annotations: Invalid value: \"a b\"");
    struct value *doc = fixture_read(f, "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, annotations: {k: v}}}");
    size_t n = (256u << 10) + 1;
    char *big = xmalloc(n);
    memset(big, 'x', n);
    value_set(&f->arena, value_path(doc, "metadata.annotations"), "k", value_str(&f->arena, (struct str){big, n}));
    free(big);
    assert_int_equal(fixture_check_value(f, doc, NULL), ERR_INVALID);
    assert_contains(f->err.message, "metadata.annotations: Too long");
}

static void owners_have_one_controller(void **state)
{
    struct fixture *f = *state;
#define OWNER(uid) "{apiVersion: v1, kind: Pod, name: p, uid: " uid ", controller: true}"
    fixture_good(f, "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, ownerReferences: [" OWNER("u1") "]}}");
    fixture_bad(
        f, "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, ownerReferences: [" OWNER("u1") "," OWNER("u2") "]}}",
        "only one owner may have controller: true");
    fixture_bad(
        f, "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, ownerReferences: [{kind: Pod, name: p, uid: u}]}}",
        "metadata.ownerReferences[0].apiVersion: Required value");
}

/* Source: Kubernetes' ValidateOwnerReferences; that names may be keys is ours. */
static void owners_are_judged_member_by_member(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *api, *kind, *name, *uid;
        const char *field; /* NULL: good */
    } rows[] = {
        {"apps/v1", "ReplicaSet", "web", "u", NULL},
        {"example.com/v1alpha1", "Far", "system:thing", "u", NULL},
        {"''", "ReplicaSet", "web", "u", "apiVersion"},
        {"apps/v1/v2", "ReplicaSet", "web", "u", "apiVersion"},
        {"apps/", "ReplicaSet", "web", "u", "apiVersion"},
        {"/v1", "ReplicaSet", "web", "u", "apiVersion"},
        {"apps/v1", "''", "web", "u", "kind"},
        {"v1", "Event", "web", "u", "kind"},
        {"apps/v1", "ReplicaSet", "''", "u", "name"},
        {"apps/v1", "ReplicaSet", "web", "''", "uid"},
        {"apps/v1", "ReplicaSet", "a/b", "u", "name"},
        {"apps/v1", "ReplicaSet", "'..'", "u", "name"},
        {"apps/v1", "ReplicaSet", "\"a\\0b\"", "u", "name"},
        {"apps/v1", "ReplicaSet", "web", "'a b'", "uid"},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        char yaml[400], part[100];
        snprintf(yaml, sizeof yaml,
                 "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, ownerReferences: [{apiVersion: %s, kind: %s, "
                 "name: %s, uid: %s}]}}",
                 rows[i].api, rows[i].kind, rows[i].name, rows[i].uid);
        snprintf(part, sizeof part, "metadata.ownerReferences[0].%s: ", rows[i].field);
        if (rows[i].field == NULL) {
            fixture_good(f, yaml);
        } else {
            fixture_bad(f, yaml, part);
        }
    }
}

/* Wherever an object names another: 253 characters are a name, 254 are none, and what no path could hold is none
 * either. */
static void names_that_are_looked_up_may_be_keys(void **state)
{
    struct fixture *f = *state;
    static const char *const rows[] = {
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: %s}}",
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, ownerReferences: [{apiVersion: v1, kind: Pod, name: %s, "
        "uid: u}]}}",
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, ownerReferences: [{apiVersion: v1, kind: Pod, name: p, "
        "uid: %s}]}}",
        "{apiVersion: v1, kind: Event, metadata: {name: a, namespace: default}, involvedObject: {namespace: default, "
        "name: %s}}",
        "{apiVersion: v1, kind: Event, metadata: {name: a, namespace: default}, involvedObject: {namespace: default}, "
        "related: {name: %s}}",
#define POD_WITH(text)                                                                                                 \
    "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: c, image: i}], " text "}}"
#define POD_ENV(text)                                                                                                  \
    "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: c, image: i, " text "}]}}"
        POD_WITH("nodeName: %s"),
        POD_WITH("serviceAccountName: %s"),
        POD_WITH("priorityClassName: %s"),
        POD_WITH("runtimeClassName: %s"),
        POD_WITH("imagePullSecrets: [{name: %s}]"),
        POD_WITH("volumes: [{name: v, configMap: {name: %s}}]"),
        POD_WITH("volumes: [{name: v, secret: {secretName: %s}}]"),
        POD_WITH("volumes: [{name: v, persistentVolumeClaim: {claimName: %s}}]"),
        POD_WITH("volumes: [{name: v, projected: {sources: [{configMap: {name: %s}}]}}]"),
        POD_WITH("volumes: [{name: v, projected: {sources: [{secret: {name: %s}}]}}]"),
        POD_ENV("envFrom: [{configMapRef: {name: %s}}]"),
        POD_ENV("envFrom: [{secretRef: {name: %s}}]"),
        POD_ENV("env: [{name: E, valueFrom: {configMapKeyRef: {name: %s, key: k}}}]"),
        POD_ENV("env: [{name: E, valueFrom: {secretKeyRef: {name: %s, key: k}}}]"),
    };
    char longest[255], yaml[800];
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        memset(longest, 'a', sizeof longest);
        longest[253] = '\0';
        snprintf(yaml, sizeof yaml, rows[i], longest);
        if (fixture_check(f, yaml) != 0) { /* the name may be one that nothing is done with yet, but it is one */
            assert_contains(f->err.message, "Forbidden: ");
            assert_null(strstr(f->err.message, "Invalid value"));
        }
        longest[253] = 'a';
        longest[254] = '\0';
        snprintf(yaml, sizeof yaml, rows[i], longest);
        fixture_bad(f, yaml, "Invalid value");
        snprintf(yaml, sizeof yaml, rows[i], "'a/b'");
        fixture_bad(f, yaml, "Invalid value");
        snprintf(yaml, sizeof yaml, rows[i], "\"a\\x01\"");
        fixture_bad(f, yaml, "Invalid value");
    }
}

static void finalizers_cannot_be_added_to_what_is_going(void **state)
{
    struct fixture *f = *state;
#define GOING "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, deletionTimestamp: '2026-01-01T00:00:00Z', "
    fixture_change(f, GOING "finalizers: [a/b]}}", GOING "finalizers: [a/b, a/c]}}", "no new finalizers can be added");
    fixture_change(f, GOING "finalizers: [a/b]}}", GOING "finalizers: []}}", NULL);
    fixture_bad(f, "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, finalizers: ['a b']}}",
                "metadata.finalizers[0]");
}

static void identity_cannot_change(void **state)
{
    struct fixture *f = *state;
    fixture_change(f, "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, uid: u1}}",
                   "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, uid: u2}}",
                   "metadata.uid: Invalid value: \"u2\": field is immutable");
    fixture_change(f, "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}",
                   "{apiVersion: v1, kind: ConfigMap, metadata: {name: b}}", "metadata.name: Invalid value: \"b\"");
}

static void what_the_system_writes_can_be_dropped(void **state)
{
    struct fixture *f = *state;
    struct value *doc = fixture_good(
        f,
        "{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: r, uid: u, generation: 7, creationTimestamp: "
        "'2026-01-01T00:00:00Z'}, spec: {selector: {matchLabels: {a: b}}, template: {metadata: {creationTimestamp: "
        "'2026-01-01T00:00:00Z', labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}}, status: {replicas: 3}}");
    kind_drop_readonly(kind_by_id(KIND_REPLICASET), doc);
    assert_null(value_get(doc, "status"));
    assert_null(value_path(doc, "metadata.uid"));
    assert_null(value_path(doc, "metadata.generation"));
    assert_null(value_path(doc, "spec.template.metadata.creationTimestamp"));
    assert_true(str_is(value_path_str(doc, "spec.template.metadata.labels.a"), "b"));
}

static void the_list_of_findings_has_an_end(void **state)
{
    struct fixture *f = *state;
    struct errlist l = {.arena = &f->arena};
    for (unsigned i = 0; i < 3 * ERRLIST_MAX; i++) {
        errlist_add(&l, ERROR_CAUSE_INVALID, NULL, "spec", "finding %u", i);
    }
    assert_int_equal(l.count, ERRLIST_MAX);
    assert_string_equal(l.items[0].message, "finding 0");
    l.count = 0;
    assert_int_equal(errlist_to_error(&l, "Pod \"x\"", NULL, NULL), 0);
}

static void endless_lists_and_maps_are_refused(void **state)
{
    struct fixture *f = *state;
    struct value *doc = fixture_read(f, POD), *list = value_path(doc, "spec.containers");
    for (unsigned i = 0; i < KIND_LIST_MAX; i++) {
        value_append(&f->arena, list, value_copy(&f->arena, value_item(list, 0)));
    }
    assert_int_equal(fixture_check_value(f, doc, NULL), ERR_INVALID);
    assert_contains(f->err.message, "spec.containers: Too many: 1025: must have at most 1024 items");
    doc = fixture_read(f, "{apiVersion: v1, kind: ConfigMap, metadata: {name: m}, data: {}}");
    for (unsigned i = 0; i <= KIND_MAP_MAX; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%u", i);
        value_set(&f->arena, value_get(doc, "data"), key, value_cstr(&f->arena, ""));
    }
    assert_int_equal(fixture_check_value(f, doc, NULL), ERR_INVALID);
    assert_contains(f->err.message, "data: Too many: 4097");
}

/* One kind of entry in N containers, a little below the limit of a list in each. */
static struct value *crowded_pod(struct fixture *f, unsigned containers, const char *path, const char *entry)
{
    struct value *doc = fixture_read(f, POD), *list = value_path(doc, "spec.containers");
    for (unsigned i = 1; i < containers; i++) {
        value_append(&f->arena, list, value_copy(&f->arena, value_item(list, 0)));
    }
    VALUE_FOR(i, list)
    {
        struct value *c = value_item(list, i), *entries = value_list(&f->arena);
        value_set(&f->arena, c, "name", value_strf(&f->arena, "c%u", i));
        for (unsigned k = 0; k < 1000; k++) {
            char text[128];
            snprintf(text, sizeof text, entry, k, k);
            value_append(&f->arena, entries, fixture_read(f, text));
        }
        bool claims = strcmp(path, "claims") == 0;
        value_set(&f->arena, claims ? value_ensure_map(&f->arena, c, "resources") : c, path, entries);
    }
    return doc;
}

/* What is compared with each other or looked up among others ends for all containers together. */
static void a_pod_has_an_end_for_all_containers_together(void **state)
{
    struct fixture *f = *state;
    static const char *const rows[][3] = {
        {"ports", "{containerPort: %u}", "ports"},
        {"volumeMounts", "{name: v%u, mountPath: /%u}", "volumeMounts"},
        {"volumeDevices", "{name: v%u, devicePath: /%u}", "volumeDevices"},
        {"claims", "{name: v%u}", "resources.claims"},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        struct value *doc = crowded_pod(f, 2, rows[i][0], rows[i][1]);
        assert_int_equal(fixture_check_value(f, doc, NULL), ERR_INVALID);
        char text[128];
        snprintf(text, sizeof text, "spec.containers: Too many: 2000 %s: must have at most 1024 in all", rows[i][2]);
        assert_contains(f->err.message, text);
    }
    struct value *doc = fixture_read(f, POD), *keys = value_list(&f->arena);
    for (unsigned i = 0; i <= KIND_LIST_MAX; i++) {
        value_append(&f->arena, keys, value_strf(&f->arena, "k%u", i));
    }
    struct value *spread =
        fixture_read(f, "[{maxSkew: 1, topologyKey: z1, whenUnsatisfiable: ScheduleAnyway, labelSelector: {}}]");
    value_set(&f->arena, value_item(spread, 0), "matchLabelKeys", keys);
    value_set(&f->arena, value_get(doc, "spec"), "topologySpreadConstraints", spread);
    assert_int_equal(fixture_check_value(f, doc, NULL), ERR_INVALID);
    assert_contains(f->err.message, "matchLabelKeys: Too many: 1025: must have at most 1024 items");
}

/* Another value in place of this one: of any type, or the same thing damaged. */
static struct value *random_value(struct arena *a, struct rng *rng, unsigned depth)
{
    static const char *const texts[] = {"",     "a",    "-1", "1Mi",    "http", "A_b",
                                        "../x", "true", "In", "Always", "2026", "%"};
    struct value *v;
    switch (rng_below(rng, depth > 3 ? 6 : 8)) {
    case 0:
        return value_null(a);
    case 1:
        return value_bool(a, rng_below(rng, 2));
    case 2:
        return value_int(a, (int64_t)rng_next(rng));
    case 3:
        return value_int(a, (int64_t)rng_below(rng, 3) - 1);
    case 4:
        return value_float(a, (double)(int64_t)rng_next(rng) / 3);
    case 5:
        return value_cstr(a, texts[rng_below(rng, ARRAY_SIZE(texts))]);
    case 6:
        v = value_list(a);
        value_append(a, v, random_value(a, rng, depth + 1));
        return v;
    default:
        v = value_map(a);
        value_set(a, v, texts[rng_below(rng, ARRAY_SIZE(texts))], random_value(a, rng, depth + 1));
        return v;
    }
}

/* Replaces or removes about one value in `rarity`, and doubles elements of lists. */
static void damage(struct arena *a, struct rng *rng, struct value *v, unsigned rarity)
{
    if (v->type == VALUE_LIST) {
        VALUE_FOR(i, v)
        {
            if (rng_below(rng, rarity) == 0) {
                v->list.items[i] = random_value(a, rng, 0);
            }
            damage(a, rng, value_item(v, i), rarity);
        }
        if (v->list.count > 0 && rng_below(rng, 4) == 0) {
            value_append(a, v, value_copy(a, value_item(v, 0)));
        }
    }
    for (unsigned i = 0; v->type == VALUE_MAP && i < v->map.count; i++) {
        if (rng_below(rng, rarity) == 0) {
            v->map.members[i].value = random_value(a, rng, 0);
        }
        damage(a, rng, v->map.members[i].value, rarity);
        if (rng_below(rng, 4) == 0) {
            value_remove_str_key(v, v->map.members[i].key);
        }
    }
}

/* Whatever comes, it is refused or becomes an object; and what became one stays one. */
static void nonsense_is_refused_and_does_no_harm(void **state)
{
    struct fixture *f = *state;
    struct rng rng = {20260101};
    for (unsigned n = 0; n < 600; n++) {
        CLEANUP_ARENA struct arena a;
        arena_init(&a);
        const struct kind *k = kinds_at(n % kinds_count());
        struct value *doc = fixture_full_map(&a, k->schema), *old = NULL;
        value_set(&a, value_get(doc, "metadata"), "name", value_cstr(&a, "n"));
        damage(&a, &rng, doc, n % 3 == 0 ? 1000000 : 100 + 10 * n);
        if (n % 2 == 1) {
            old = value_copy(&a, doc);
            damage(&a, &rng, doc, 200);
            if (kind_check_fields(k, &a, old, KIND_CHECK_LENIENT, NULL) != 0 ||
                !value_is_map(value_get(old, "metadata"))) {
                old = NULL;
            }
        }
        unsigned flags = (old == NULL ? 0 : KIND_CHECK_UPDATE) | (n % 5 == 0 ? KIND_CHECK_LENIENT : 0);
        if (kind_check(k, &a, doc, old, flags, &f->err) == 0) {
            CLEANUP_BUF struct buf b = BUF_INIT;
            kind_encode(k, doc, &b);
            assert_true(mp_valid(mp_of(b.data, b.size)));
            /* What an object has from before a rule it may keep. */
            old = old == NULL ? NULL : value_copy(&a, doc);
            assert_int_equal(kind_check(k, &a, doc, old, old == NULL ? 0 : KIND_CHECK_UPDATE, &f->err), 0);
        }
    }
}

static void a_name_that_goes_on_behind_a_nul_is_another_name(void **state)
{
    struct fixture *f = *state;
    const struct schema *s = kind_by_id(KIND_POD)->schema;
    assert_non_null(schema_field(s, STR("kind")));
    static const char longer[] = "kind\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    for (size_t n = 5; n < sizeof longer; n++) {
        assert_null(schema_field(s, (struct str){longer, n}));
    }
    assert_int_equal(
        fixture_check(f, "{\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"metadata\": {\"name\": \"a\"}, "
                         "\"spec\": {\"containers\": [{\"name\": \"c\", \"image\\u0000\\u0000Policy\": \"x\"}]}}"),
        ERR_INVALID);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
/* An older master changes what a newer one has stored: what it does not know stays, as long as nobody touches it. */
static void what_is_unknown_and_was_there_stays_in_an_update(void **state)
{
    struct fixture *f = *state;
    const struct kind *k = kind_by_id(KIND_DEPLOYMENT);
#define NEWER(replicas, top, image, item)                                                                              \
    "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, uid: u}, top: " top ", spec: {replicas: " replicas  \
    ", selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: d, image: "  \
    "i}, {name: c, image: " image ", gadget: " item "}]}}}}"
    struct value *old = fixture_read(f, NEWER("1", "{x: 1}", "i", "[1]")),
                 *new = fixture_read(f, NEWER("2", "{x: 1}", "j", "[1]"));
    struct value *containers = value_path(new, "spec.template.spec.containers");
    struct value *first = containers->list.items[0]; /* by name, wherever it stands */
    containers->list.items[0] = containers->list.items[1];
    containers->list.items[1] = first;
    assert_int_equal(kind_check(k, &f->arena, new, old, KIND_CHECK_UPDATE, &f->err), 0);
    assert_int_equal(value_to_int(value_path(new, "top.x"), 0), 1);
    assert_non_null(value_get(value_item(value_path(new, "spec.template.spec.containers"), 0), "gadget"));
    static const char *const changed[] = {NEWER("2", "{x: 2}", "i", "[1]"), NEWER("2", "{x: 1}", "i", "[2]")};
    for (unsigned i = 0; i < ARRAY_SIZE(changed); i++) {
        f->err = (struct error){0};
        assert_int_equal(kind_check(k, &f->arena, fixture_read(f, changed[i]), old, KIND_CHECK_UPDATE, &f->err),
                         ERR_INVALID);
        assert_non_null(strstr(f->err.message, i == 0 ? "unknown field \"top\"" : "containers[1].gadget"));
    }
    struct value *dropped = fixture_read(f, changed[0]);
    assert_int_equal(kind_check(k, &f->arena, dropped, old, KIND_CHECK_UPDATE | KIND_CHECK_LENIENT, &f->err), 0);
    assert_null(value_get(dropped, "top"));
    struct value *kept = fixture_read(f, changed[0]);
    assert_int_equal(kind_check_fields(k, &f->arena, kept, KIND_CHECK_KEEP, &f->err), 0);
    assert_non_null(value_get(kept, "top"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_unknown_field_is_named_with_its_place_and_the_nearest_one),
        TEST(an_unknown_field_is_named_with_the_file_if_the_caller_knows_it),
        TEST(lenient_checks_drop_unknown_fields),
        TEST(several_findings_are_listed),
        TEST(each_finding_is_a_cause),
        TEST(one_finding_is_one_cause_and_its_text_is_as_ever),
        TEST(findings_beyond_those_that_are_shown_are_counted),
        TEST(wrong_types_are_refused),
        TEST(normal_forms_are_made),
        TEST(a_fraction_in_a_quantity_keeps_its_value),
        TEST(secrets_do_not_show_up_in_errors),
        TEST(patches_keep_nulls_and_directives),
        TEST(fields_alone_fill_in_nothing),
        TEST(documents_name_their_kind),
        TEST(old_spellings_are_converted_with_a_selector),
        TEST(names_are_required_and_judged),
        TEST(the_namespace_is_default_or_none),
        TEST(labels_and_annotations_are_judged),
        TEST(owners_have_one_controller),
        TEST(owners_are_judged_member_by_member),
        TEST(names_that_are_looked_up_may_be_keys),
        TEST(finalizers_cannot_be_added_to_what_is_going),
        TEST(identity_cannot_change),
        TEST(what_the_system_writes_can_be_dropped),
        TEST(the_list_of_findings_has_an_end),
        TEST(endless_lists_and_maps_are_refused),
        TEST(a_pod_has_an_end_for_all_containers_together),
        TEST(nonsense_is_refused_and_does_no_harm),
        TEST(a_name_that_goes_on_behind_a_nul_is_another_name),
        TEST(what_is_unknown_and_was_there_stays_in_an_update),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
