/* Writing through the API of one master: create, update, patch, apply, delete, txn, and what is refused. */
#include <xxhash.h>

#include "proto/schema/object.h"
#include "tests/unit/kit/master_kit.h"

#define POD "{apiVersion: v1, kind: Pod, metadata: {name: %s}, spec: {containers: [{name: c, image: i}]}}"

struct state {
    struct kit *kit;
    struct client *c;
};

static int set_up(void **state)
{
    struct state *s = xcalloc(1, sizeof *s);
    s->kit = kit_one(NULL);
    s->c = client_admin(s->kit, 0);
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct state *s = *state;
    kit_free(s->kit);
    free(s);
    return 0;
}

static struct client *client_of(void **state)
{
    return ((struct state *)*state)->c;
}

/* Member of the i-th element of a list in the last answer. */
static const char *text_at_item(struct client *c, const char *list, unsigned i, const char *path)
{
    struct str s = value_path_str(value_item(value_path(c->result, list), i), path);
    return s.p == NULL ? "" : s.p;
}

/* The i-th warning of the last answer. */
static const char *warning_at(struct client *c, unsigned i)
{
    struct str s = value_to_str(value_item(value_path(c->result, "warnings"), i));
    return s.p == NULL ? "" : s.p;
}

static void make_configmap(struct client *c, const char *name, const char *data)
{
    must(c, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: %s}, data: %s}}", name, data);
}

/* ---- create ---- */

static void test_create_answers_the_stored_object(void **state)
{
    struct client *c = client_of(state);
    must(c, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {k: v}}}");
    assert_string_equal(text_at(c, "object.metadata.name"), "a");
    assert_string_equal(text_at(c, "object.metadata.namespace"), "default");
    assert_int_equal(strlen(text_at(c, "object.metadata.uid")), 36);
    assert_true(strlen(text_at(c, "object.metadata.creationTimestamp")) >= 20);
    assert_int_equal(strtoll(text_at(c, "object.metadata.resourceVersion"), NULL, 10), int_at(c, "revision"));
    refused(c, ERR_EXISTS, "configmaps \"a\" already exists", "create",
            "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}}");
}

static void test_create_defaults_and_sets_what_is_the_systems(void **state)
{
    struct client *c = client_of(state);
    must(c, "create",
         "{object: {apiVersion: v1, kind: Pod, metadata: {name: p, uid: mine, resourceVersion: '7', generation: 9,"
         " deletionTimestamp: '2020-01-01T00:00:00Z'}, spec: {containers: [{name: c, image: i}]},"
         " status: {phase: Running}}}");
    assert_string_equal(text_at(c, "object.status.phase"), "Pending");
    assert_string_equal(text_at(c, "object.status.qosClass"), "BestEffort");
    assert_string_equal(text_at(c, "object.spec.restartPolicy"), "Always");
    assert_string_not_equal(text_at(c, "object.metadata.uid"), "mine");
    assert_string_equal(text_at(c, "object.metadata.deletionTimestamp"), "");
    const struct value *tolerations = value_path(c->result, "object.spec.tolerations");
    assert_int_equal(value_count(tolerations), 2);
}

static void test_generate_name(void **state)
{
    struct client *c = client_of(state);
    char first[128];
    for (int i = 0; i < 2; i++) {
        must(c, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {generateName: gen-}}}");
        const char *name = text_at(c, "object.metadata.name");
        assert_int_equal(strlen(name), 9);
        assert_memory_equal(name, "gen-", 4);
        assert_true(i == 0 || strcmp(first, name) != 0);
        snprintf(first, sizeof first, "%s", name);
    }
    refused(c, ERR_INVALID, "name or generateName is required", "create",
            "{object: {apiVersion: v1, kind: ConfigMap, metadata: {}}}");
}

static void test_create_refuses_wrong_documents(void **state)
{
    struct client *c = client_of(state);
    refused(c, ERR_USAGE, "parameter \"object\" is missing", "create", "{}");
    refused(c, ERR_USAGE, "must be a map", "create", "{object: [1]}");
    refused(c, ERR_INVALID, NULL, "create", "{object: {kind: ConfigMap, metadata: 7}}");
    refused(c, ERR_INVALID, "metadata", "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: 7}}");
    refused(c, ERR_INVALID, "Deployment", "create",
            "{object: {apiVersion: apps/v1, kind: Deploymnt, metadata: {name: a}}}");
    refused(c, ERR_INVALID, "name", "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: A_b}}}");
    refused(c, ERR_INVALID, NULL, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: 7}}}");
    refused(c, ERR_INVALID, "immage", "create",
            "{object: {apiVersion: v1, kind: Pod, metadata: {name: x}, spec: {containers: [{name: c, immage: i}]}}}");
    assert_non_null(strstr(c->err.message, "image"));
    refused(
        c, ERR_INVALID, "replicas", "create",
        "{object: {apiVersion: apps/v1, kind: Deployment, metadata: {name: x}, spec: {replicas: -1, selector: "
        "{matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}}}}");
    assert_string_equal(c->err.field, "spec.replicas");
    refused(
        c, ERR_INVALID, "selector", "create",
        "{object: {apiVersion: apps/v1, kind: Deployment, metadata: {name: x}, spec: {selector: "
        "{matchLabels: {a: z}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}}}}");
    refused(c, ERR_NOT_FOUND, "namespaces \"nowhere\" not found", "create",
            "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: nowhere}}}");
    refused(c, ERR_USAGE, "\"id\" must be 16 bytes", "create",
            "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: a2}}, id: short}");
}

static void test_create_ignoring_validation_drops_unknown_fields(void **state)
{
    struct client *c = client_of(state);
    must(c, "create",
         "{validate: ignore, object: {apiVersion: v1, kind: ConfigMap, metadata: {name: lax}, dta: {k: v}}}");
    assert_null(value_path(c->result, "object.dta"));
}

static void test_dry_run_writes_nothing_but_checks_everything(void **state)
{
    struct client *c = client_of(state);
    must(c, "create", "{dryRun: true, object: {apiVersion: v1, kind: ConfigMap, metadata: {name: dry}, data: {a: b}}}");
    assert_string_equal(text_at(c, "object.data.a"), "b");
    assert_int_equal(strlen(text_at(c, "object.metadata.uid")), 36);
    assert_non_null(value_path(c->result, "object.metadata.creationTimestamp"));
    assert_null(value_path(c->result, "object.metadata.resourceVersion"));
    refused(c, ERR_NOT_FOUND, NULL, "get", "{kind: ConfigMap, name: dry}");
    make_configmap(c, "wet", "{a: '1'}");
    refused(c, ERR_EXISTS, "wet", "create",
            "{dryRun: true, object: {apiVersion: v1, kind: ConfigMap, metadata: {name: wet}}}");
    refused(c, ERR_CONFLICT, "wet", "update",
            "{dryRun: true, object: {apiVersion: v1, kind: ConfigMap, metadata: {name: wet, resourceVersion: '1'}}}");
    must(c, "apply",
         "{dryRun: true, objects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: wet}, data: {a: '2'}}]}");
    assert_string_equal(value_text(c->kit, value_item(value_get(c->result, "results"), 0), "result"), "configured");
    must(c, "update",
         "{dryRun: true, object: {apiVersion: v1, kind: ConfigMap, metadata: {name: wet}, data: {a: '2'}}}");
    assert_false(value_path_bool(c->result, "unchanged", true));
    char *would = xstrdup(text_at(c, "object.metadata.resourceVersion"));
    must(c, "update",
         "{dryRun: true, object: {apiVersion: v1, kind: ConfigMap, metadata: {name: wet}, data: {a: '1'}}}");
    assert_true(value_path_bool(c->result, "unchanged", false));
    must(c, "get", "{kind: ConfigMap, name: wet}");
    assert_string_equal(text_at(c, "object.metadata.resourceVersion"), would);
    free(would);
    must(c, "delete", "{kind: ConfigMap, name: wet, dryRun: true}");
    assert_true(value_path_bool(c->result, "gone", false));
    assert_string_equal(text_at(c, "object.metadata.name"), "wet");
    must(c, "get", "{kind: ConfigMap, name: wet}");
    assert_string_equal(text_at(c, "object.data.a"), "1");
}

#define WARNED_POD                                                                                                     \
    "{apiVersion: v1, kind: Pod, metadata: {name: %s}, spec: {securityContext: {seLinuxChangePolicy: "                 \
    "Recursive}, containers: [{name: c, image: "                                                                       \
    "i}]}}"

static void test_what_is_not_carried_out_is_told_in_the_answer_and_by_an_event(void **state)
{
    struct client *c = client_of(state);
    const char *text = "spec.securityContext.seLinuxChangePolicy: not carried out yet: labels of SELinux are not set";
    must(c, "create", "{object: " POD "}", "quiet");
    assert_string_equal(text_at(c, "warnings"), "");
    must(c, "create", "{dryRun: true, object: " WARNED_POD "}", "loud");
    assert_string_equal(warning_at(c, 0), text);
    must(c, "list", "{kind: Event, fieldSelector: 'reason=NotCarriedOut'}");
    assert_int_equal(value_count(value_path(c->result, "items")), 0);
    must(c, "create", "{object: " WARNED_POD "}", "loud");
    assert_string_equal(warning_at(c, 0), text);
    assert_int_equal(value_count(value_path(c->result, "warnings")), 1);
    must(c, "list", "{kind: Event, fieldSelector: 'reason=NotCarriedOut'}");
    struct value *event = value_item(value_path(c->result, "items"), 0);
    assert_true(str_is(value_path_str(event, "reason"), "NotCarriedOut"));
    assert_true(str_is(value_path_str(event, "message"), text));
    assert_true(str_is(value_path_str(event, "involvedObject.name"), "loud"));
    /* A change of something else says it no more. */
    must(c, "patch", "{kind: Pod, name: loud, type: merge, patch: {metadata: {labels: {a: b}}}}");
    assert_int_equal(value_count(value_path(c->result, "warnings")), 0);
    /* Of many objects, whose it is. */
    must(c, "apply", "{objects: [" WARNED_POD ", " POD "]}", "one", "two");
    assert_non_null(
        strstr(warning_at(c, 0), "Pod \"one\": spec.securityContext.seLinuxChangePolicy: not carried out yet"));
    refused(c, ERR_INVALID, "spec.resourceClaims: Forbidden: not carried out yet", "create",
            "{object: {apiVersion: v1, kind: Pod, metadata: {name: r}, spec: {resourceClaims: [{name: x, "
            "resourceClaimName: x}], containers: [{name: c, image: i}]}}}");
}

/* 1 MiB of data is Kubernetes' limit for a ConfigMap; the object around it may be larger. */
static void test_a_mebibyte_of_data_is_accepted_and_more_refused(void **state)
{
    struct client *c = client_of(state);
    char *big = malloc((1 << 20) + 2);
    memset(big, 'x', (1 << 20) + 1);
    big[(1 << 20) + 1] = '\0';
    refused(c, ERR_INVALID, "Too long", "create",
            "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: big}, data: {k: %s}}}", big);
    big[1 << 20] = '\0';
    must(c, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: big}, data: {k: %s}}}", big);
    must(c, "get", "{kind: ConfigMap, name: big}");
    assert_int_equal(strlen(text_at(c, "object.data.k")), 1 << 20);
    free(big);
    must(c, "delete", "{kind: ConfigMap, name: big}");
}

static void test_an_object_above_the_limit_is_refused(void **state)
{
    struct client *c = client_of(state);
    char *big = malloc(OBJECT_SIZE_MAX + 1);
    memset(big, 'x', OBJECT_SIZE_MAX);
    big[OBJECT_SIZE_MAX] = '\0';
    refused(c, ERR_TOO_LARGE, NULL, "create",
            "{object: {apiVersion: v1, kind: Pod, metadata: {name: big}, spec: {containers: [{name: c, image: i, args: "
            "[%s]}]}}}",
            big);
    free(big);
}

/* ---- update, patch ---- */

static void test_update_with_a_stale_version_conflicts(void **state)
{
    struct client *c = client_of(state);
    make_configmap(c, "up", "{a: '1'}");
    const char *version = text_at(c, "object.metadata.resourceVersion");
    must(c, "update",
         "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: up, resourceVersion: '%s'}, data: {a: '2'}}}",
         version);
    assert_string_equal(text_at(c, "object.data.a"), "2");
    refused(c, ERR_CONFLICT, "configmaps \"up\" has been changed", "update",
            "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: up, resourceVersion: '%s'}, data: {a: '3'}}}",
            version);
    refused(c, ERR_NOT_FOUND, "configmaps \"upp\" not found", "update",
            "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: upp}}}");
    refused(c, ERR_CONFLICT, "uid", "update",
            "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: up, uid: other}, data: {a: '3'}}}");
    refused(c, ERR_USAGE, "unknown part", "update",
            "{part: spec, object: {apiVersion: v1, kind: ConfigMap, metadata: {name: up}}}");
}

static void test_an_update_that_changes_nothing_costs_no_revision(void **state)
{
    struct client *c = client_of(state);
    make_configmap(c, "same", "{a: '1'}");
    int64_t revision = int_at(c, "revision");
    must(c, "update", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: same}, data: {a: '1'}}}");
    assert_true(value_path_bool(c->result, "unchanged", false));
    must(c, "get", "{kind: ConfigMap, name: same}");
    assert_int_equal(strtoll(text_at(c, "object.metadata.resourceVersion"), NULL, 10), revision);
}

static void test_a_resource_version_that_is_no_number_is_refused(void **state)
{
    struct client *c = client_of(state);
    make_configmap(c, "ver", "{a: '1'}");
    refused(c, ERR_INVALID, "resourceVersion", "update",
            "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: ver, resourceVersion: abc}, data: {a: '3'}}}");
    refused(c, ERR_INVALID, "resourceVersion", "apply",
            "{objects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: ver, resourceVersion: 1x}}]}");
}

static void test_parts_touch_only_their_part(void **state)
{
    struct client *c = client_of(state);
    must(c, "create", "{object: " POD "}", "parts");
    must(c, "update",
         "{part: status, object: {apiVersion: v1, kind: Pod, metadata: {name: parts, labels: {x: z}},"
         " spec: {containers: [{name: c, image: other}]}, status: {phase: Running}}}");
    assert_string_equal(text_at(c, "object.status.phase"), "Running");
    assert_string_equal(text_at(c, "object.metadata.labels.x"), "");
    must(c, "patch",
         "{kind: Pod, name: parts, type: merge, patch: {metadata: {labels: {x: z}}, status: {phase: Failed}}}");
    assert_string_equal(text_at(c, "object.metadata.labels.x"), "z");
    assert_string_equal(text_at(c, "object.status.phase"), "Running");
    must(c, "patch", "{kind: Pod, name: parts, part: status, type: merge, patch: {status: {reason: Because}}}");
    assert_string_equal(text_at(c, "object.status.reason"), "Because");
    assert_string_equal(text_at(c, "object.status.phase"), "Running");
}

static void test_immutable_fields_stay(void **state)
{
    struct client *c = client_of(state);
    must(c, "create", "{object: " POD "}", "fixed");
    refused(c, ERR_INVALID, NULL, "patch",
            "{kind: Pod, name: fixed, type: merge, patch: {spec: {restartPolicy: Never}}}");
    refused(c, ERR_INVALID, "name", "patch", "{kind: Pod, name: fixed, type: merge, patch: {metadata: {name: other}}}");
    must(c, "patch",
         "{kind: Pod, name: fixed, type: merge, patch: {metadata: {creationTimestamp: '2001-01-01T00:00:00Z'}}}");
    assert_int_not_equal(strncmp(text_at(c, "object.metadata.creationTimestamp"), "2001", 4), 0);
}

static void test_the_three_patches(void **state)
{
    struct client *c = client_of(state);
    must(c, "create",
         "{object: {apiVersion: v1, kind: Pod, metadata: {name: pat}, spec: {containers: [{name: a, image: i1}, {name: "
         "b, image: i2}]}}}");
    must(c, "patch", "{kind: Pod, name: pat, type: strategic, patch: {spec: {containers: [{name: b, image: i3}]}}}");
    const struct value *containers = value_path(c->result, "object.spec.containers");
    assert_int_equal(value_count(containers), 2);
    assert_string_equal(value_text(c->kit, value_item(containers, 1), "image"), "i3");
    must(c, "patch", "{kind: Pod, name: pat, type: merge, patch: {metadata: {annotations: {a: '1', b: '2'}}}}");
    must(c, "patch", "{kind: Pod, name: pat, type: merge, patch: {metadata: {annotations: {a: null}}}}");
    assert_string_equal(text_at(c, "object.metadata.annotations.b"), "2");
    assert_string_equal(text_at(c, "object.metadata.annotations.a"), "");
    must(c, "patch",
         "{kind: Pod, name: pat, type: json, patch: [{op: test, path: /metadata/annotations/b, value: '2'},"
         " {op: replace, path: /metadata/annotations/b, value: '3'}]}");
    assert_string_equal(text_at(c, "object.metadata.annotations.b"), "3");
    refused(c, ERR_INVALID, NULL, "patch",
            "{kind: Pod, name: pat, type: json, patch: [{op: test, path: /metadata/annotations/b, value: '2'}]}");
    refused(c, ERR_USAGE, "unknown type", "patch", "{kind: Pod, name: pat, type: yaml, patch: {}}");
    refused(c, ERR_NOT_FOUND, "pods \"nopat\" not found", "patch", "{kind: Pod, name: nopat, type: merge, patch: {}}");
    refused(c, ERR_CONFLICT, NULL, "patch",
            "{kind: Pod, name: pat, revision: 1, type: merge, patch: {metadata: {labels: {x: z}}}}");
    refused(c, ERR_INVALID, NULL, "patch", "{kind: Pod, name: pat, type: merge, patch: {kind: Secret}}");
    refused(c, ERR_INVALID, NULL, "patch", "{kind: Pod, name: pat, type: merge, patch: {metadata: null}}");
    refused(c, ERR_INVALID, NULL, "patch", "{kind: Pod, name: pat, type: merge, patch: {metadata: 7}}");
    refused(c, ERR_INVALID, NULL, "patch", "{kind: Pod, name: pat, type: merge, patch: {spec: null}}");
    refused(c, ERR_INVALID, NULL, "patch",
            "{kind: Pod, name: pat, type: json, patch: [{op: replace, path: '', value: [1]}]}");
    refused(c, ERR_INVALID, NULL, "patch", "{kind: Pod, name: pat, type: json, patch: {}}");
    must(c, "patch", "{kind: Pod, name: pat, type: merge, patch: {}}");
    assert_true(value_path_bool(c->result, "unchanged", false));
}

/* ---- apply ---- */

static const char *applied(struct client *c, unsigned i)
{
    return value_text(c->kit, value_item(value_get(c->result, "results"), i), "result");
}

static void test_apply_merges_three_ways(void **state)
{
    struct client *c = client_of(state);
    must(c, "apply", "{objects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: ap}, data: {a: '1', b: '2'}}]}");
    assert_string_equal(applied(c, 0), "created");
    must(c, "patch", "{kind: ConfigMap, name: ap, type: merge, patch: {data: {c: '3'}}}");
    must(c, "apply", "{objects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: ap}, data: {a: '9'}}]}");
    assert_string_equal(applied(c, 0), "configured");
    must(c, "get", "{kind: ConfigMap, name: ap}");
    assert_string_equal(text_at(c, "object.data.a"), "9");
    assert_string_equal(text_at(c, "object.data.b"), "");  /* was ours, is not any more */
    assert_string_equal(text_at(c, "object.data.c"), "3"); /* was never ours */
    must(c, "apply", "{objects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: ap}, data: {a: '9'}}]}");
    assert_string_equal(applied(c, 0), "unchanged");
}

#define APPLY_REQUESTS                                                                                                 \
    "{objects: [{apiVersion: apps/v1, kind: Deployment, metadata: {name: q}, spec: {selector: {matchLabels: {a: b}}, " \
    "template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i, resources: {requests: "            \
    "{%s}}}]}}}}]}"

static const char *apply_requests(struct client *c, const char *requests)
{
    must(c, "apply", APPLY_REQUESTS, requests);
    return text_at_item(c, "results", 0, "result");
}

static void test_an_apply_that_means_the_same_changes_nothing(void **state)
{
    struct client *c = client_of(state);
    assert_string_equal(apply_requests(c, "cpu: '0.01', memory: 1024Ki"), "created");
    assert_string_equal(apply_requests(c, "cpu: 10m, memory: 1Mi"), "unchanged");
    assert_string_equal(apply_requests(c, "memory: 1.0Mi, cpu: 10m"), "unchanged");
    /* Another family of units is another text, but no other spec. */
    assert_string_equal(apply_requests(c, "cpu: 10m, memory: 1048576"), "configured");
    must(c, "get", "{kind: Deployment, name: q}");
    assert_int_equal(int_at(c, "object.metadata.generation"), 1);
    assert_string_equal(apply_requests(c, "cpu: 11m, memory: 1Mi"), "configured");
    must(c, "get", "{kind: Deployment, name: q}");
    assert_int_equal(int_at(c, "object.metadata.generation"), 2);
}

static void test_apply_is_all_or_nothing(void **state)
{
    struct client *c = client_of(state);
    refused(c, ERR_INVALID, "BAD", "apply",
            "{objects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: fine}},"
            " {apiVersion: v1, kind: ConfigMap, metadata: {name: BAD}}]}");
    refused(c, ERR_NOT_FOUND, NULL, "get", "{kind: ConfigMap, name: fine}");
    refused(c, ERR_INVALID, "named twice", "apply",
            "{objects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: twice}},"
            " {apiVersion: v1, kind: ConfigMap, metadata: {name: twice}}]}");
    refused(c, ERR_USAGE, "objects", "apply", "{objects: []}");
    refused(c, ERR_USAGE, "objects", "apply", "{objects: 7}");
    refused(c, ERR_USAGE, NULL, "apply", "{objects: [7]}");
}

static void test_apply_a_namespace_and_what_is_in_it_at_once(void **state)
{
    struct client *c = client_of(state);
    must(c, "apply",
         "{objects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: in, namespace: fresh}},"
         " {apiVersion: v1, kind: Namespace, metadata: {name: fresh}}]}");
    int64_t last = int_at(c, "revision"); /* of one transaction of two objects */
    must(c, "get", "{kind: ConfigMap, namespace: fresh, name: in}");
    assert_in_range(strtoll(text_at(c, "object.metadata.resourceVersion"), NULL, 10), last - 1, last);
    must(c, "get", "{kind: Namespace, name: fresh}");
    assert_in_range(strtoll(text_at(c, "object.metadata.resourceVersion"), NULL, 10), last - 1, last);
    assert_string_equal(text_at(c, "object.status.phase"), "Active");
}

/* ---- delete ---- */

static void test_delete_of_an_unbound_object_is_at_once(void **state)
{
    struct client *c = client_of(state);
    make_configmap(c, "del", "{}");
    must(c, "delete", "{kind: ConfigMap, name: del}");
    assert_true(value_path_bool(c->result, "gone", false));
    assert_string_equal(text_at(c, "object.metadata.name"), "del");
    refused(c, ERR_NOT_FOUND, "configmaps \"del\" not found", "delete", "{kind: ConfigMap, name: del}");
}

static void test_delete_of_a_bound_pod_waits_for_its_agent(void **state)
{
    struct client *c = client_of(state);
    must(c, "create",
         "{object: {apiVersion: v1, kind: Pod, metadata: {name: bound}, spec: {nodeName: nowhere-node,"
         " terminationGracePeriodSeconds: 600, containers: [{name: c, image: i}]}}}");
    must(c, "delete", "{kind: Pod, name: bound}");
    assert_false(value_path_bool(c->result, "gone", true));
    assert_int_equal(int_at(c, "object.metadata.deletionGracePeriodSeconds"), 600);
    must(c, "delete", "{kind: Pod, name: bound, gracePeriodSeconds: 300}");
    assert_int_equal(int_at(c, "object.metadata.deletionGracePeriodSeconds"), 300);
    must(c, "delete", "{kind: Pod, name: bound, gracePeriodSeconds: 500}"); /* never longer again */
    assert_int_equal(int_at(c, "object.metadata.deletionGracePeriodSeconds"), 300);
    must(c, "delete", "{kind: Pod, name: bound, gracePeriodSeconds: 0}");
    assert_true(value_path_bool(c->result, "gone", false));
    refused(c, ERR_USAGE, "negative", "delete", "{kind: Pod, name: bound, gracePeriodSeconds: -7}");
}

static void test_finalizers_hold_a_deleted_object(void **state)
{
    struct client *c = client_of(state);
    must(c, "create",
         "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: fin, finalizers: [example.com/x]}}}");
    must(c, "delete", "{kind: ConfigMap, name: fin}");
    assert_false(value_path_bool(c->result, "gone", true));
    must(c, "get", "{kind: ConfigMap, name: fin}");
    assert_string_not_equal(text_at(c, "object.metadata.deletionTimestamp"), "");
    must(c, "patch", "{kind: ConfigMap, name: fin, type: merge, patch: {metadata: {finalizers: null}, data: {a: b}}}");
    assert_true(value_path_bool(c->result, "gone", false));
    assert_null(value_path(c->result, "object.metadata.finalizers"));
    assert_string_not_equal(text_at(c, "object.metadata.deletionTimestamp"), "");
    assert_string_equal(text_at(c, "object.data.a"), "b");
    refused(c, ERR_NOT_FOUND, NULL, "get", "{kind: ConfigMap, name: fin}");
}

static void test_delete_preconditions(void **state)
{
    struct client *c = client_of(state);
    make_configmap(c, "pre", "{}");
    const char *uid = text_at(c, "object.metadata.uid");
    int64_t revision = int_at(c, "revision");
    refused(c, ERR_CONFLICT, "uid", "delete", "{kind: ConfigMap, name: pre, uid: other}");
    refused(c, ERR_CONFLICT, "revision", "delete", "{kind: ConfigMap, name: pre, revision: 1}");
    refused(c, ERR_USAGE, "propagationPolicy", "delete", "{kind: ConfigMap, name: pre, propagationPolicy: Never}");
    must(c, "delete", "{kind: ConfigMap, name: pre, uid: %s, revision: %lld}", uid, (long long)revision);
}

static void test_propagation_foreground_orphan_background(void **state)
{
    struct client *c = client_of(state);
    static const char *const policies[] = {"Background", "Foreground", "Orphan"};
    for (unsigned i = 0; i < 3; i++) {
        make_configmap(c, "owner", "{}");
        const char *uid = text_at(c, "object.metadata.uid");
        must(c, "create",
             "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: child, ownerReferences: [{apiVersion: v1, "
             "kind: ConfigMap, "
             "name: owner, uid: %s, controller: true, blockOwnerDeletion: true}]}}}",
             uid);
        must(c, "delete", "{kind: ConfigMap, name: owner, propagationPolicy: %s}", policies[i]);
        assert_int_equal(value_path_bool(c->result, "gone", false), i == 0);
        const char *last = i == 2 ? "owner" : "child";
        for (int64_t until = kit_now() + 10000; call(c, "get", "{kind: ConfigMap, name: %s}", last) == 0;) {
            assert_true(kit_now() < until);
            kit_turn(c->kit, 20);
        }
        for (int64_t until = kit_now() + 10000; call(c, "get", "{kind: ConfigMap, name: owner}") == 0;) {
            assert_true(kit_now() < until);
            kit_turn(c->kit, 20);
        }
        assert_int_equal(call(c, "get", "{kind: ConfigMap, name: child}"), i == 2 ? 0 : ERR_NOT_FOUND);
    }
}

static void test_protected_namespaces_stay(void **state)
{
    struct client *c = client_of(state);
    refused(c, ERR_FORBIDDEN, "can't be deleted", "delete", "{kind: Namespace, name: default}");
    refused(c, ERR_FORBIDDEN, "can't be deleted", "delete", "{kind: Namespace, name: kube-system}");
    must(c, "deletecollection", "{kind: Namespace, labelSelector: kubernetes.io/metadata.name=default}");
    assert_int_equal(int_at(c, "count"), 0);
}

static void test_a_namespace_keeps_its_finalizers_when_it_is_replaced(void **state)
{
    struct client *c = client_of(state);
    must(c, "create", "{object: {apiVersion: v1, kind: Namespace, metadata: {name: kept}}}");
    assert_string_equal(text_at(c, "object.status.phase"), "Active");
    must(c, "update", "{object: {apiVersion: v1, kind: Namespace, metadata: {name: kept, labels: {a: b}}}}");
    const struct value *list = value_path(c->result, "object.spec.finalizers");
    assert_int_equal(value_count(list), 1);
    assert_true(str_is(value_to_str(value_item(list, 0)), "kubernetes"));
    refused(c, ERR_INVALID, "status.phase: Invalid value", "patch",
            "{kind: Namespace, name: kept, part: status, type: merge, patch: {status: {phase: Terminating}}}");
    must(c, "delete", "{kind: Namespace, name: kept}");
}

/* Counts that nobody could have counted. */
static void test_a_status_is_checked_like_a_spec(void **state)
{
    struct client *c = client_of(state);
    must(c, "create",
         "{object: {apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: counted}, spec: {replicas: 0, selector: "
         "{matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}}}}");
    refused(c, ERR_INVALID, "status.readyReplicas: Invalid value: -1", "patch",
            "{kind: ReplicaSet, name: counted, part: status, type: merge, patch: {status: {readyReplicas: -1}}}");
    must(c, "delete", "{kind: ReplicaSet, name: counted}");
}

static void test_a_terminating_namespace_takes_nothing_new_and_empties(void **state)
{
    struct client *c = client_of(state);
    must(c, "create", "{object: {apiVersion: v1, kind: Namespace, metadata: {name: ending}}}");
    must(c, "create",
         "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: stays, namespace: ending, finalizers: "
         "[example.com/x]}}}");
    must(c, "delete", "{kind: Namespace, name: ending}");
    assert_string_equal(text_at(c, "object.status.phase"), "Terminating");
    refused(c, ERR_FORBIDDEN, "being terminated", "create",
            "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: late, namespace: ending}}}");
    must(c, "patch",
         "{kind: ConfigMap, namespace: ending, name: stays, type: merge, patch: {metadata: {finalizers: []}}}");
    for (int64_t until = kit_now() + 10000; call(c, "get", "{kind: Namespace, name: ending}") == 0;) {
        assert_true(kit_now() < until);
        kit_turn(c->kit, 20);
    }
    assert_int_equal(c->err.code, ERR_NOT_FOUND);
}

static void test_deletecollection_by_selectors(void **state)
{
    struct client *c = client_of(state);
    must(c, "create", "{object: {apiVersion: v1, kind: Namespace, metadata: {name: coll}}}");
    for (int i = 0; i < 6; i++) {
        must(c, "create",
             "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: c%d, namespace: coll, labels: {odd: '%d'}}}}",
             i, i % 2);
    }
    must(c, "deletecollection", "{kind: ConfigMap, namespace: coll, labelSelector: odd=1, dryRun: true}");
    assert_int_equal(int_at(c, "count"), 3);
    must(c, "deletecollection", "{kind: ConfigMap, namespace: coll, labelSelector: odd=1}");
    assert_int_equal(int_at(c, "count"), 3);
    must(c, "deletecollection", "{kind: ConfigMap, namespace: coll, fieldSelector: metadata.name=c0}");
    assert_int_equal(int_at(c, "count"), 1);
    must(c, "list", "{kind: ConfigMap, namespace: coll}");
    assert_int_equal(value_count(value_get(c->result, "items")), 2);
    refused(c, ERR_INVALID, NULL, "deletecollection", "{kind: ConfigMap, namespace: coll, labelSelector: 'a in ('}");
}

/* ---- txn ---- */

static void test_txn_checks_and_swaps_or_does_nothing(void **state)
{
    struct client *c = client_of(state);
    make_configmap(c, "cas", "{v: '1'}");
    int64_t revision = int_at(c, "revision");
    must(c, "txn",
         "{ops: [{op: check, kind: ConfigMap, name: cas, revision: %lld}, {op: check, kind: ConfigMap, name: cas2, "
         "absent: true},"
         " {op: update, object: {apiVersion: v1, kind: ConfigMap, metadata: {name: cas}, data: {v: '2'}}},"
         " {op: create, object: {apiVersion: v1, kind: ConfigMap, metadata: {name: cas2}}}]}",
         (long long)revision);
    const struct value *results = value_get(c->result, "results");
    assert_int_equal(value_count(results), 4);
    assert_string_equal(value_text(c->kit, value_item(results, 2), "object.data.v"), "2");
    refused(c, ERR_CONFLICT, "cas", "txn",
            "{ops: [{op: create, object: {apiVersion: v1, kind: ConfigMap, metadata: {name: cas3}}},"
            " {op: check, kind: ConfigMap, name: cas, revision: %lld}]}",
            (long long)revision);
    refused(c, ERR_NOT_FOUND, NULL, "get", "{kind: ConfigMap, name: cas3}");
    refused(c, ERR_EXISTS, "cas2", "txn", "{ops: [{op: check, kind: ConfigMap, name: cas2, absent: true}]}");
    must(c, "txn", "{ops: [{op: delete, kind: ConfigMap, name: cas2}]}");
    refused(c, ERR_NOT_FOUND, NULL, "get", "{kind: ConfigMap, name: cas2}");
    refused(c, ERR_NOT_FOUND, NULL, "txn", "{ops: [{op: delete, kind: ConfigMap, name: cas2}]}");
    refused(c, ERR_USAGE, "unknown op", "txn", "{ops: [{op: remove, kind: ConfigMap, name: cas}]}");
    refused(c, ERR_USAGE, "ops", "txn", "{ops: []}");
    refused(c, ERR_USAGE, NULL, "txn", "{ops: [7]}");
    refused(c, ERR_USAGE, NULL, "txn", "{ops: [{op: create}]}");
    refused(c, ERR_USAGE, "revison", "txn", "{ops: [{op: check, kind: ConfigMap, name: cas, revison: 7}]}");
    refused(c, ERR_CONFLICT, "uid", "txn", "{ops: [{op: check, kind: ConfigMap, name: cas, uid: other}]}");
}

static void test_txn_deletes_in_steps_only_by_delete(void **state)
{
    struct client *c = client_of(state);
    must(c, "create", "{object: " POD "}", "steps");
    refused(c, ERR_UNSUPPORTED, "use delete", "txn", "{ops: [{op: delete, kind: Pod, name: steps}]}");
}

static void test_txn_updates_one_object_twice_in_order(void **state)
{
    struct client *c = client_of(state);
    make_configmap(c, "two", "{v: '0'}");
    must(c, "txn",
         "{ops: [{op: update, object: {apiVersion: v1, kind: ConfigMap, metadata: {name: two}, data: {v: '1'}}},"
         " {op: update, object: {apiVersion: v1, kind: ConfigMap, metadata: {name: two}, data: {v: '2'}}}]}");
    must(c, "get", "{kind: ConfigMap, name: two}");
    assert_string_equal(text_at(c, "object.data.v"), "2");
}

/* ---- Repeating ---- */

static struct value *with_id(struct client *c, struct value *params, uint8_t fill)
{
    uint8_t id[16];
    memset(id, fill, sizeof id);
    value_set(&c->kit->arena, params, "id", value_bin(&c->kit->arena, id, sizeof id));
    return params;
}

static void test_a_repeated_create_is_done_once(void **state)
{
    struct client *c = client_of(state);
    struct value *params =
        with_id(c, kit_doc(c->kit, "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: once}}}"), 1);
    must_value(c, "create", params);
    int64_t revision = int_at(c, "revision");
    const char *uid = text_at(c, "object.metadata.uid");
    must_value(c, "create", params);
    assert_int_equal(int_at(c, "revision"), revision);
    assert_string_equal(text_at(c, "object.metadata.uid"), uid);
    /* With the warnings of the answer that was lost. */
    params = with_id(c, kit_doc(c->kit, "{object: " WARNED_POD "}", "warned"), 2);
    must_value(c, "create", params);
    must_value(c, "create", params);
    assert_int_equal(value_count(value_path(c->result, "warnings")), 1);
}

static void test_a_repeated_generated_name_is_the_same(void **state)
{
    struct client *c = client_of(state);
    struct value *params =
        with_id(c, kit_doc(c->kit, "{object: {apiVersion: v1, kind: ConfigMap, metadata: {generateName: again-}}}"), 2);
    must_value(c, "create", params);
    const char *name = text_at(c, "object.metadata.name");
    must_value(c, "create", params);
    assert_string_equal(text_at(c, "object.metadata.name"), name);
}

static void test_a_generated_name_that_is_taken_is_another_and_stays_the_same_when_repeated(void **state)
{
    struct client *c = client_of(state);
    uint8_t id[16];
    char suffix[6];
    memset(id, 60, sizeof id);
    struct rng rng = {XXH3_64bits_withSeed(id, sizeof id, 0)}; /* as admission makes it */
    rng_suffix(&rng, suffix);
    const char *taken = arena_printf(&c->kit->arena, "taken-%s", suffix);
    make_configmap(c, taken, "{v: '1'}");
    struct value *params = with_id(
        c, kit_doc(c->kit, "{object: {apiVersion: v1, kind: ConfigMap, metadata: {generateName: taken-}}}"), 60);
    must_value(c, "create", params);
    const char *name = text_at(c, "object.metadata.name");
    assert_string_not_equal(name, taken);
    assert_memory_equal(name, taken, strlen(taken)); /* so the suffix was the one that this test meant */
    must_value(c, "create", params);
    assert_string_equal(text_at(c, "object.metadata.name"), name);
    must(c, "get", "{kind: ConfigMap, name: %s}", taken);
    assert_string_equal(text_at(c, "object.data.v"), "1");
}

static void test_a_repeated_delete_and_patch_succeed(void **state)
{
    struct client *c = client_of(state);
    make_configmap(c, "rep", "{v: '1'}");
    struct value *patch = with_id(
        c,
        kit_doc(c->kit, "{kind: ConfigMap, name: rep, type: json, patch: [{op: test, path: /data/v, value: '1'},"
                        " {op: replace, path: /data/v, value: '2'}]}"),
        3);
    must_value(c, "patch", patch);
    int64_t revision = int_at(c, "revision");
    must_value(c, "patch", patch);
    assert_int_equal(int_at(c, "revision"), revision);
    assert_string_equal(text_at(c, "object.data.v"), "2");
    struct value *del = with_id(c, kit_doc(c->kit, "{kind: ConfigMap, name: rep}"), 4);
    must_value(c, "delete", del);
    revision = int_at(c, "revision");
    must_value(c, "delete", del);
    assert_true(value_path_bool(c->result, "gone", false));
    assert_int_equal(int_at(c, "revision"), revision);
    struct value *txn =
        with_id(c,
                kit_doc(c->kit, "{ops: [{op: create, object: {apiVersion: v1, kind: ConfigMap, metadata: {name: rep}}},"
                                " {op: check, kind: ConfigMap, name: rep2, absent: true}]}"),
                5);
    must_value(c, "txn", txn);
    revision = int_at(c, "revision");
    must(c, "delete", "{kind: ConfigMap, name: rep}");
    must_value(c, "txn", txn);
    assert_int_equal(int_at(c, "revision"), revision);
    refused(c, ERR_NOT_FOUND, NULL, "get", "{kind: ConfigMap, name: rep}");
}

/* ---- Methods and parameters ---- */

static void test_unknown_words_come_with_a_suggestion(void **state)
{
    struct client *c = client_of(state);
    refused(c, ERR_UNSUPPORTED, "did you mean \"create\"", "creat", "{}");
    refused(c, ERR_UNSUPPORTED, "unknown method", "frobnicate", "{}");
    refused(c, ERR_USAGE, "unknown parameter \"nmae\"", "get", "{kind: Pod, nmae: x}");
    refused(c, ERR_NOT_FOUND, "did you mean \"Deployment\"", "list", "{kind: Deploymnet}");
    refused(c, ERR_NOT_FOUND, "unknown kind", "list", "{kind: Xyzzyplugh}");
    refused(c, ERR_USAGE, "must be a string", "get", "{kind: 7, name: x}");
    refused(c, ERR_USAGE, "\"name\" is missing", "get", "{kind: Pod}");
    refused(c, ERR_UNSUPPORTED, NULL, "", "{}");
    must(c, "list", "{kind: Pod}");
    must(c, "list", "{kind: Deployment}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create_answers_the_stored_object),
        cmocka_unit_test(test_create_defaults_and_sets_what_is_the_systems),
        cmocka_unit_test(test_generate_name),
        cmocka_unit_test(test_create_refuses_wrong_documents),
        cmocka_unit_test(test_create_ignoring_validation_drops_unknown_fields),
        cmocka_unit_test(test_dry_run_writes_nothing_but_checks_everything),
        cmocka_unit_test(test_a_mebibyte_of_data_is_accepted_and_more_refused),
        cmocka_unit_test(test_an_object_above_the_limit_is_refused),
        cmocka_unit_test(test_what_is_not_carried_out_is_told_in_the_answer_and_by_an_event),
        cmocka_unit_test(test_update_with_a_stale_version_conflicts),
        cmocka_unit_test(test_an_update_that_changes_nothing_costs_no_revision),
        cmocka_unit_test(test_a_resource_version_that_is_no_number_is_refused),
        cmocka_unit_test(test_parts_touch_only_their_part),
        cmocka_unit_test(test_immutable_fields_stay),
        cmocka_unit_test(test_the_three_patches),
        cmocka_unit_test(test_apply_merges_three_ways),
        cmocka_unit_test(test_an_apply_that_means_the_same_changes_nothing),
        cmocka_unit_test(test_apply_is_all_or_nothing),
        cmocka_unit_test(test_apply_a_namespace_and_what_is_in_it_at_once),
        cmocka_unit_test(test_delete_of_an_unbound_object_is_at_once),
        cmocka_unit_test(test_delete_of_a_bound_pod_waits_for_its_agent),
        cmocka_unit_test(test_finalizers_hold_a_deleted_object),
        cmocka_unit_test(test_delete_preconditions),
        cmocka_unit_test(test_propagation_foreground_orphan_background),
        cmocka_unit_test(test_protected_namespaces_stay),
        cmocka_unit_test(test_a_namespace_keeps_its_finalizers_when_it_is_replaced),
        cmocka_unit_test(test_a_status_is_checked_like_a_spec),
        cmocka_unit_test(test_a_terminating_namespace_takes_nothing_new_and_empties),
        cmocka_unit_test(test_deletecollection_by_selectors),
        cmocka_unit_test(test_txn_checks_and_swaps_or_does_nothing),
        cmocka_unit_test(test_txn_deletes_in_steps_only_by_delete),
        cmocka_unit_test(test_txn_updates_one_object_twice_in_order),
        cmocka_unit_test(test_a_repeated_create_is_done_once),
        cmocka_unit_test(test_a_repeated_generated_name_is_the_same),
        cmocka_unit_test(test_a_generated_name_that_is_taken_is_another_and_stays_the_same_when_repeated),
        cmocka_unit_test(test_a_repeated_delete_and_patch_succeed),
        cmocka_unit_test(test_unknown_words_come_with_a_suggestion),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
