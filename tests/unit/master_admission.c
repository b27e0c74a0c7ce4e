/* The table of admission: that it is in order, that a master acts in that order, and tells it. */
#include "tests/unit/kit/master_kit.h"

#include "master/admission/row.h"

static unsigned count_rows(void)
{
    unsigned n = 0;
    while (admission_rows[n] != NULL) {
        n++;
    }
    return n;
}

/* What changes a document comes before what judges the object, and last what the evaluation asks: so the order of the
 * list is the order in which it acts. */
static void test_the_order_of_the_list_is_that_of_the_hooks(void **state)
{
    (void)state;
    unsigned stage = 0;
    for (unsigned i = 0; i < count_rows(); i++) {
        const struct admission_row *row = admission_rows[i];
        unsigned own = row->evaluated ? 2 : row->give != NULL ? 0 : 1;
        if (own < stage) {
            fail_msg("%s comes too late in the list", row->name);
        }
        stage = own;
    }
}

static void test_rows_say_what_they_are(void **state)
{
    (void)state;
    for (unsigned i = 0; i < count_rows(); i++) {
        const struct admission_row *row = admission_rows[i];
        size_t n = strlen(row->help);
        bool does = row->give != NULL || row->check != NULL || row->remove != NULL || row->evaluated;
        bool removes = (row->operations & ADMISSION_DELETE) != 0;
        if (!does || row->operations == 0 || removes != (row->remove != NULL) || n < 20 || n > 120 ||
            row->help[n - 1] != '.' || strstr(row->help, ". ") != NULL ||
            (row->kinds[0] == 0) > (row->kinds_told != NULL)) {
            fail_msg("%s is not whole", row->name);
        }
        for (unsigned other = 0; other < i; other++) {
            assert_string_not_equal(row->name, admission_rows[other]->name);
        }
    }
}

static void test_a_master_tells_the_rows_and_how_they_are_set(void **state)
{
    struct kit *k = *state;
    struct client *admin = client_admin(k, 0);
    for (unsigned round = 0; round < 2; round++) {
        const struct value *rows = value_get(must(admin, "admission", "{}"), "admission");
        assert_int_equal(value_count(rows), count_rows());
        for (unsigned i = 0; i < count_rows(); i++) {
            const struct value *v = value_item(rows, i);
            assert_string_equal(value_text(k, v, "name"), admission_rows[i]->name);
            if (strcmp(admission_rows[i]->name, "ServiceAccount") == 0) {
                assert_string_equal(value_text(k, v, "setting"),
                                    round == 0 ? "podTokens=OnRequest" : "podTokens=Automatic");
                assert_true(value_to_bool(value_get(v, "on"), round == 0) == (round == 1));
                assert_string_equal(value_text(k, v, "kinds"), "pods");
                assert_string_equal(value_text(k, v, "type"), "mutating");
            }
        }
        must(admin, "patch",
             "{kind: ClusterConfiguration, name: cluster, type: merge, patch: {spec: {podTokens: Automatic}}}");
    }
    refused(client_as(k, 0, PKI_ROLE_NODE, "n1"), ERR_FORBIDDEN, NULL, "admission", "{}");
    client_close(admin);
}

#define POD(more)                                                                                                      \
    "{object: {apiVersion: v1, kind: Pod, metadata: {name: p, namespace: tight}, spec: {" more                         \
    " containers: [{name: c, image: i, resources: {limits: {cpu: %s}}}]}}}"

/* A pod that goes against all rows hears of them one after another, as they stand in the list. */
static void test_a_pod_is_refused_by_the_first_row_that_refuses_it(void **state)
{
    struct kit *k = *state;
    struct client *admin = client_admin(k, 0);
    refused(admin, ERR_NOT_FOUND, "namespaces \"tight\" not found", "create",
            POD("hostNetwork: true, priorityClassName: nosuch,"), "'4'");
    must(admin, "apply",
         "{objects: [{apiVersion: v1, kind: Namespace, metadata: {name: tight, labels: "
         "{pod-security.kubernetes.io/enforce: baseline}}}, {apiVersion: v1, kind: LimitRange, metadata: {name: l, "
         "namespace: tight}, spec: {limits: [{type: Container, max: {cpu: '2'}}]}}, {apiVersion: v1, kind: "
         "ResourceQuota, metadata: {name: q, namespace: tight}, spec: {hard: {pods: '0'}}}]}");
    refused(admin, ERR_FORBIDDEN, "no PriorityClass with name nosuch was found", "create",
            POD("hostNetwork: true, priorityClassName: nosuch,"), "'4'");
    refused(admin, ERR_FORBIDDEN, "violates PodSecurity \"baseline:latest\"", "create", POD("hostNetwork: true,"),
            "'4'");
    refused(admin, ERR_FORBIDDEN, "maximum cpu usage per Container is 2", "create", POD(""), "'4'");
    refused(admin, ERR_FORBIDDEN, "exceeded quota: q", "create", POD(""), "'1'");
    must(admin, "patch",
         "{kind: ResourceQuota, namespace: tight, name: q, type: merge, patch: {spec: {hard: {pods: '1'}}}}");
    must(admin, "create", POD(""), "'1'");
    /* And has what rows give. */
    const struct value *v = must(admin, "get", "{kind: Pod, namespace: tight, name: p}");
    assert_int_equal(value_count(value_path(v, "object.spec.tolerations")), 2);
    must(admin, "create",
         "{object: {apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: c, namespace: tight}, spec: "
         "{accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}}");
    v = must(admin, "get", "{kind: PersistentVolumeClaim, namespace: tight, name: c}");
    assert_true(str_is(value_to_str(value_item(value_path(v, "object.metadata.finalizers"), 0)),
                       "kubernetes.io/pvc-protection"));
    assert_true(value_path_str(v, "object.spec.storageClassName").n > 0);
    client_close(admin);
}

/* Whatever the request: what the cluster needs is deleted by none. */
static void test_what_is_needed_is_deleted_by_no_request(void **state)
{
    struct kit *k = *state;
    struct client *admin = client_admin(k, 0);
    static const struct {
        const char *kind, *ns, *name;
    } rows[] = {{"Namespace", "", "kube-system"},
                {"PriorityClass", "", "system-node-critical"},
                {"ConfigMap", "kube-system", "reeve-revoked"}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        refused(admin, ERR_FORBIDDEN, "can't be deleted: the cluster needs it", "delete", "{kind: %s%s%s, name: %s}",
                rows[i].kind, rows[i].ns[0] != '\0' ? ", namespace: " : "", rows[i].ns, rows[i].name);
        if (i > 0) { /* namespaces are deleted in steps */
            refused(admin, ERR_FORBIDDEN, "can't be deleted: the cluster needs it", "txn",
                    "{ops: [{op: delete, kind: %s%s%s, name: %s}]}", rows[i].kind,
                    rows[i].ns[0] != '\0' ? ", namespace: " : "", rows[i].ns, rows[i].name);
        }
    }
    must(admin, "deletecollection", "{kind: PriorityClass}");
    must(admin, "get", "{kind: PriorityClass, name: system-node-critical}");
    client_close(admin);
}

static int set_up(void **state)
{
    *state = kit_one(NULL);
    return 0;
}

static int tear_down(void **state)
{
    kit_free(*state);
    return 0;
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_order_of_the_list_is_that_of_the_hooks),
        cmocka_unit_test(test_rows_say_what_they_are),
        T(test_a_master_tells_the_rows_and_how_they_are_set),
        T(test_a_pod_is_refused_by_the_first_row_that_refuses_it),
        T(test_what_is_needed_is_deleted_by_no_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
