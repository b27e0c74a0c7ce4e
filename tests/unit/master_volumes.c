/* Volumes between masters and agents: what an agent is told of claims and volumes (node.refs), and how it lets a volume
 * go (node.volumes); and what claims are given on their way in. */
#include "tests/unit/kit/master_kit.h"

#include "proto/pki/pki.h"

static int setup(void **state)
{
    *state = kit_one(NULL);
    return 0;
}

static int teardown(void **state)
{
    kit_free(*state);
    return 0;
}

static struct client *admin_of(void **state)
{
    static struct client *admin;
    static struct kit *of;
    if (of != *state) {
        of = *state;
        admin = client_admin(of, 0);
    }
    return admin;
}

static struct client *agent_new(struct kit *k, const char *name)
{
    struct client *a = client_as(k, 0, PKI_ROLE_NODE, name);
    must(a, "node.register",
         "{node: {apiVersion: v1, kind: Node, metadata: {name: %s, labels: {kubernetes.io/hostname: %s}}, spec: {}}}",
         name, name);
    return a;
}

/* The names that a feed tells, as TYPE name, joined. */
static void told(struct kit *k, struct stream *s, const char *wanted)
{
    char out[600] = "";
    const struct value *payload = stream_next(s);
    assert_non_null(payload);
    const struct value *events = value_get(payload, "events");
    VALUE_FOR(i, events)
    {
        const struct value *e = value_item(events, i);
        size_t n = strlen(out);
        snprintf(out + n, sizeof out - n, "%s %s;", value_text(k, e, "type"), value_text(k, e, "object.metadata.name"));
    }
    assert_string_equal(out, wanted);
}

static void volume(struct client *c, const char *name, const char *node, const char *claim)
{
    must(c, "create",
         "{object: {apiVersion: v1, kind: PersistentVolume, metadata: {name: %s, labels: {reeve.io/node: %s}, "
         "finalizers: [reeve.io/local-volume]}, spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], "
         "hostPath: {path: /v}, storageClassName: s, claimRef: {namespace: default, name: %s}}}}",
         name, node, claim);
}

static void test_an_agent_is_told_of_claims_and_their_volumes(void **state)
{
    struct client *c = admin_of(state), *a = agent_new(c->kit, "user");
    must(c, "create",
         "{object: {apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: data}, spec: {accessModes: "
         "[ReadWriteOnce], resources: {requests: {storage: 1Gi}}, storageClassName: other, volumeName: far}}}");
    must(c, "create",
         "{object: {apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: unused}, spec: {accessModes: "
         "[ReadWriteOnce], resources: {requests: {storage: 1Gi}}, storageClassName: other}}}");
    struct stream *s = stream_open(a, "node.refs", "{name: user}");
    told(c->kit, s, "BOOKMARK ;");
    must(c, "create",
         "{object: {apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {nodeName: user, volumes: [{name: d, "
         "persistentVolumeClaim: {claimName: data}}], containers: [{name: c, image: i}]}}}");
    told(c->kit, s, "ADDED data;");
    volume(c, "far", "elsewhere", "nobody"); /* the claim names it: whose it is, is for the agent to compare */
    told(c->kit, s, "ADDED far;");
    must(c, "patch", "{kind: PersistentVolume, name: far, type: merge, patch: {metadata: {labels: {a: b}}}}");
    told(c->kit, s, "MODIFIED far;");
    must(c, "delete", "{kind: Pod, name: p, gracePeriodSeconds: 0}");
    const struct value *last = stream_next(s); /* in whatever order */
    assert_int_equal(value_count(value_get(last, "events")), 2);
    assert_true(stream_quiet(s, 50));
    stream_close(s);
    client_close(a);
}

static void test_a_node_is_told_of_its_own_volumes_whoever_uses_them(void **state)
{
    struct client *c = admin_of(state), *a = agent_new(c->kit, "keeper");
    struct stream *s = stream_open(a, "node.refs", "{name: keeper}");
    told(c->kit, s, "BOOKMARK ;");
    volume(c, "own", "keeper", "nobody");
    told(c->kit, s, "ADDED own;");
    volume(c, "others", "someone", "nobody");
    assert_true(stream_quiet(s, 50));
    must(c, "patch",
         "{kind: PersistentVolume, name: own, type: merge, patch: {metadata: {labels: {reeve.io/node: someone}}}}");
    told(c->kit, s, "DELETED own;");
    must(c, "patch",
         "{kind: PersistentVolume, name: own, type: merge, patch: {metadata: {labels: {reeve.io/node: keeper}}}}");
    told(c->kit, s, "ADDED own;");
    stream_close(s);
    client_close(a);
}

static const char *uid_of(struct client *c, const char *name)
{
    must(c, "get", "{kind: PersistentVolume, name: %s}", name);
    return text_at(c, "object.metadata.uid");
}

static bool has_local_finalizer(struct client *c, const char *name)
{
    must(c, "get", "{kind: PersistentVolume, name: %s}", name);
    const struct value *list = value_path(c->result, "object.metadata.finalizers");
    bool found = false;
    VALUE_FOR(i, list)
    {
        found |= str_is(value_to_str(value_item(list, i)), "reeve.io/local-volume");
    }
    return found;
}

static void test_a_node_lets_go_of_its_own_volumes_that_are_to_go(void **state)
{
    struct client *c = admin_of(state), *a = agent_new(c->kit, "letting"), *b = agent_new(c->kit, "other");
    volume(c, "going", "letting", "nobody");
    char uid[80];
    snprintf(uid, sizeof uid, "%s", uid_of(c, "going"));
    refused(a, ERR_FORBIDDEN, "may not speak for", "node.volumes", "{name: other, volumes: []}");
    refused(a, ERR_USAGE, "must be a list", "node.volumes", "{name: letting, volumes: 7}");
    must(a, "node.volumes", "{name: letting, volumes: [{name: going, uid: %s}]}", uid); /* nobody has deleted it */
    assert_true(has_local_finalizer(c, "going"));
    must(c, "patch",
         "{kind: PersistentVolume, name: going, type: merge, patch: {metadata: {finalizers: "
         "[kubernetes.io/pv-protection, reeve.io/local-volume, example.com/mine]}}}");
    must(c, "delete", "{kind: PersistentVolume, name: going}");
    /* In the meantime the controllers take the protection away: nobody uses it. */
    for (int64_t end = kit_now() + KIT_WAIT_MS;;) {
        must(c, "get", "{kind: PersistentVolume, name: going}");
        const struct value *list = value_path(c->result, "object.metadata.finalizers");
        if (value_count(list) == 2 || kit_now() > end) {
            assert_int_equal(value_count(list), 2);
            break;
        }
        kit_turn(c->kit, 20);
    }
    must(b, "node.volumes", "{name: other, volumes: [{name: going, uid: %s}]}", uid); /* it is not that node's */
    must(a, "node.volumes", "{name: letting, volumes: [{name: going, uid: another}, {name: nosuch, uid: x}, 7]}");
    assert_true(has_local_finalizer(c, "going"));
    must(a, "node.volumes", "{name: letting, volumes: [{name: going, uid: %s}, {name: going, uid: %s}]}", uid, uid);
    assert_false(has_local_finalizer(c, "going"));                                      /* and keeps those of others */
    must(a, "node.volumes", "{name: letting, volumes: [{name: going, uid: %s}]}", uid); /* as often as it likes */
    must(c, "patch", "{kind: PersistentVolume, name: going, type: merge, patch: {metadata: {finalizers: null}}}");
    refused(c, ERR_NOT_FOUND, NULL, "get", "{kind: PersistentVolume, name: going}");
    client_close(a);
    client_close(b);
}

static void class_make(struct client *c, const char *name, bool is_default, bool grows)
{
    must(c, "create",
         "{object: {apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: %s, annotations: "
         "{storageclass.kubernetes.io/is-default-class: '%s'}}, provisioner: example.com/x, allowVolumeExpansion: "
         "%s}}",
         name, is_default ? "true" : "false", grows ? "true" : "false");
}

static void claim_make(struct client *c, const char *name, const char *spec)
{
    must(c, "create",
         "{object: {apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: %s}, spec: {accessModes: "
         "[ReadWriteOnce], resources: {requests: {storage: 1Gi}}%s}}}",
         name, spec);
}

static void test_a_claim_gets_the_default_class_and_its_protection(void **state)
{
    struct client *c = admin_of(state);
    must(c, "get", "{kind: StorageClass, name: local}"); /* every new cluster has it */
    assert_true(value_path(c->result, "object.provisioner") != NULL);
    must(c, "delete", "{kind: StorageClass, name: local}");
    class_make(c, "plain", false, false);
    claim_make(c, "before", "");
    assert_string_equal(text_at(c, "object.spec.storageClassName"), "");
    class_make(c, "standard", true, false);
    claim_make(c, "after", "");
    assert_string_equal(text_at(c, "object.spec.storageClassName"), "standard");
    assert_string_equal(text_at(c, "object.status.phase"), "Pending");
    assert_string_equal(value_text(c->kit, value_item(value_path(c->result, "object.metadata.finalizers"), 0), ""),
                        "kubernetes.io/pvc-protection");
    claim_make(c, "none", ", storageClassName: ''");
    assert_string_equal(text_at(c, "object.spec.storageClassName"), "");
    claim_make(c, "own", ", storageClassName: plain");
    assert_string_equal(text_at(c, "object.spec.storageClassName"), "plain");
}

static void test_a_claim_asks_for_more_only_if_its_class_lets_it(void **state)
{
    struct client *c = admin_of(state);
    class_make(c, "grows", false, true);
    class_make(c, "fixed", false, false);
    static const char *const names[] = {"grows", "fixed"};
    for (unsigned i = 0; i < 2; i++) {
        char spec[80];
        snprintf(spec, sizeof spec, ", storageClassName: %s, volumeName: v%u", names[i], i);
        must(c, "create",
             "{object: {apiVersion: v1, kind: PersistentVolume, metadata: {name: v%u}, spec: {capacity: {storage: "
             "1Gi}, accessModes: [ReadWriteOnce], hostPath: {path: /v}, storageClassName: %s}}}",
             i, names[i]);
        claim_make(c, names[i], spec);
        must(c, "patch",
             "{kind: PersistentVolumeClaim, name: %s, part: status, type: merge, patch: {status: {phase: Bound}}}",
             names[i]);
    }
    must(c, "patch",
         "{kind: PersistentVolumeClaim, name: grows, type: merge, patch: {spec: {resources: {requests: {storage: "
         "2Gi}}}}}");
    refused(c, ERR_FORBIDDEN, "only dynamically provisioned pvc can be resized", "patch",
            "{kind: PersistentVolumeClaim, name: fixed, type: merge, patch: {spec: {resources: {requests: {storage: "
            "2Gi}}}}}");
    refused(c, ERR_INVALID, "field can not be less than", "patch",
            "{kind: PersistentVolumeClaim, name: grows, type: merge, patch: {spec: {resources: {requests: {storage: "
            "512Mi}}}}}");
}

/* Objects that nobody in his right mind makes; the master goes on, and nothing is bound that should not be. */
static void test_hostile_volumes_claims_and_nodes_stop_nothing(void **state)
{
    struct client *c = admin_of(state);
    char name[80], pod[6000] = "";
    must(c, "create",
         "{object: {apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: odd}, provisioner: "
         "reeve.io/local}}");
    for (unsigned i = 0; i < 40; i++) { /* 40 Pi on one node */
        must(c, "create",
             "{object: {apiVersion: v1, kind: PersistentVolume, metadata: {name: big%u, labels: {reeve.io/node: full}, "
             "annotations: {pv.kubernetes.io/provisioned-by: reeve.io/local}}, spec: {capacity: {storage: 1Pi}, "
             "accessModes: [ReadWriteOnce], hostPath: {path: /v}, storageClassName: none, claimRef: {namespace: "
             "nowhere, "
             "name: nobody, uid: '%u', kind: Pod, apiVersion: odd/v0}}}}",
             i, i);
    }
    static const char *const roots[] = {"/a/../b", "a", "/", "", "/a/", "/good"};
    static const char *const sizes[] = {"1Gi", "1Gi", "1Gi", "1Gi", "1Gi", "0"};
    for (unsigned i = 0; i < 6; i++) { /* each offers nothing */
        must(c, "create",
             "{object: {apiVersion: v1, kind: Node, metadata: {name: odd%u, labels: {kubernetes.io/hostname: odd%u}, "
             "annotations: {reeve.io/local-volumes-root: '%s'}}}}",
             i, i, roots[i]);
        must(c, "patch",
             "{kind: Node, name: odd%u, part: status, type: merge, patch: {status: {allocatable: {cpu: '4', memory: "
             "4Gi, pods: '9', reeve.io/local-storage: %s}, conditions: [{type: Ready, status: 'True'}]}}}",
             i, sizes[i]);
    }
    claim_make(c, "huge", ", storageClassName: odd");
    must(
        c, "patch",
        "{kind: PersistentVolumeClaim, name: huge, part: status, type: merge, patch: {status: {phase: Bound, capacity: "
        "{storage: 8Ei}, accessModes: [ReadWriteMany], conditions: [{type: a}, {type: b, status: c}]}}}");
    for (unsigned i = 0; i < 70; i++) {
        snprintf(name, sizeof name, "%s{name: v%u, persistentVolumeClaim: {claimName: huge%u}}", i > 0 ? ", " : "", i,
                 i);
        strcat(pod, name);
        if (i > 0) {
            char claim[16];
            snprintf(claim, sizeof claim, "huge%u", i);
            claim_make(c, claim, ", storageClassName: odd");
        }
    }
    must(c, "create",
         "{object: {apiVersion: v1, kind: Pod, metadata: {name: many}, spec: {volumes: [%s], containers: [{name: c, "
         "image: i}]}}}",
         pod);
    must(c, "create",
         "{object: {apiVersion: v1, kind: Pod, metadata: {name: odd}, spec: {volumes: [{name: v, "
         "persistentVolumeClaim: {claimName: huge}}], containers: [{name: c, image: i}]}}}");
    static const char *const pods[] = {"many", "odd"};
    static const char *const why[] = {"\"huge0\" not found", "persistent volumes to bind"};
    for (unsigned i = 0; i < 2; i++) {
        for (int64_t end = kit_now() + KIT_WAIT_MS;;) {
            must(c, "get", "{kind: Pod, name: %s}", pods[i]);
            const struct value *said =
                value_find(value_path(c->result, "object.status.conditions"), "type", STR("PodScheduled"));
            const char *message = said == NULL ? "" : value_text(c->kit, said, "message");
            if (strstr(message, why[i]) != NULL || kit_now() > end) {
                assert_non_null(strstr(message, why[i]));
                break;
            }
            kit_turn(c->kit, 20);
        }
        assert_string_equal(text_at(c, "object.spec.nodeName"), "");
    }
    must(c, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: alive}}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_agent_is_told_of_claims_and_their_volumes),
        cmocka_unit_test(test_a_node_is_told_of_its_own_volumes_whoever_uses_them),
        cmocka_unit_test(test_a_node_lets_go_of_its_own_volumes_that_are_to_go),
        cmocka_unit_test(test_a_claim_gets_the_default_class_and_its_protection),
        cmocka_unit_test(test_a_claim_asks_for_more_only_if_its_class_lets_it),
        cmocka_unit_test(test_hostile_volumes_claims_and_nodes_stop_nothing),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
