/* How people look at a cluster with kubectl, typed with rctl. */
#include "tests/unit/kit/habits.h"

static int set_up(void **state)
{
    struct habits *h = habits_start(2);
    habits_must(
        h, "rctl create deployment web --image=web:1 --replicas=2 && rctl wait deploy/web --for=condition=Available",
        NULL);
    *state = h;
    return 0;
}

static int tear_down(void **state)
{
    habits_stop(*state);
    return 0;
}

static void several_types_at_once(void **state)
{
    static const struct habit rows[] = {
        {"rctl get pods,deploy", NULL, 0, "pod/web-\ndeployment.apps/web ", "="},
        {"rctl get all", NULL, 0, "pod/web-\ndeployment.apps/web \nreplicaset.apps/web-", "="},
        {"rctl get deploy/web pods/none -o name", NULL, 5, "=deployment.apps/web\n",
         "=Error from server (NotFound): pods \"none\" not found\n"},
        {"rctl get pods none --ignore-not-found", NULL, 0, "=", "="},
        {"rctl get pods -l app=none", NULL, 0, "=", "=No resources found in default namespace.\n"},
    };
    habits_run(*state, rows, ARRAY_SIZE(rows));
}

static void fields_that_cannot_be_selected_are_refused(void **state)
{
    static const struct habit rows[] = {
        {"rctl get pods --field-selector=foo=bar", NULL, 1, "=",
         "field label not supported: foo; pods can be selected by metadata.name, metadata.namespace, spec.nodeName"},
        {"rctl get pods -w --field-selector=foo=bar", NULL, 1, "=", "field label not supported: foo"},
        {"rctl get deploy --field-selector=status.phase=Running", NULL, 1, "=",
         "deployments can be selected by metadata.name, metadata.namespace\n"},
        {"rctl get pods --field-selector status.phase=Running,spec.nodeName!=none -o name", NULL, 0, "pod/web-", "="},
        {"rctl get pods --field-selector=status.phase!=Running", NULL, 0, "=", "No resources found"},
        {"rctl get nodes --field-selector spec.unschedulable=false -o name", NULL, 0, "=node/hollow-0\nnode/hollow-1\n",
         "="},
        {"rctl get events --field-selector type=Warning,source=none", NULL, 0, "=", NULL},
    };
    habits_run(*state, rows, ARRAY_SIZE(rows));
}

/* A guess that is wrong costs more than none. */
static void what_kubernetes_has_and_reeve_has_not_yet_is_named(void **state)
{
    static const struct habit rows[] = {
        {"rctl get sts", NULL, 2, "=", "StatefulSet is not there yet\n!did you mean"},
        {"rctl get svc,pods", NULL, 2, "=", "Service is not there yet"},
        {"rctl describe cj/x", NULL, 2, "=", "CronJob is not there yet"},
        {"rctl explain job.spec", NULL, 5, "=", "Job is not there yet"},
        {"rctl get jobs.batch", NULL, 2, "=", "Job is not there yet"},
        {"rctl get crd", NULL, 2, "=", "CustomResourceDefinition is not there yet"},
        {"rctl get pvc", NULL, 2, "=", "PersistentVolumeClaim is not there yet"},
        {"rctl apply -f -", "apiVersion: batch/v1\nkind: Job\nmetadata: {name: x}\n", 1, NULL, "Job is not there yet"},
        {"rctl apply -f -", "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: x}\n", 1, NULL,
         "Role is not there yet\n!Node"},
        {"rctl get xyz", NULL, 2, "=", "no resource type \"xyz\"\n!did you mean"},
        {"rctl get pdos", NULL, 2, "=", "did you mean \"pods\""},
        {"rctl fly", NULL, 2, "=", "unknown command \"fly\"\n!did you mean"},
        {"rctl get pods --zap", NULL, 2, "=", "unknown option --zap\n!did you mean"},
    };
    habits_run(*state, rows, ARRAY_SIZE(rows));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(several_types_at_once),
        cmocka_unit_test(fields_that_cannot_be_selected_are_refused),
        cmocka_unit_test(what_kubernetes_has_and_reeve_has_not_yet_is_named),
    };
    return KIT_RUN(tests, set_up, tear_down);
}
