/* rctl rollout, wait and describe as kubectl's are typed. */
#include "tests/unit/kit/habits.h"

static int set_up(void **state)
{
    return habits_set_up(
        state, 1,
        "for n in a b; do rctl create deployment $n --image=x:1 --replicas=1 && rctl label deploy $n team=red || exit "
        "1; done; "
        "rctl rollout status deploy/a deploy/b --timeout=30s && rctl set image deploy/a x=x:2 && "
        "rctl annotate deploy a kubernetes.io/change-cause=second && rctl rollout status deploy/a --timeout=30s && "
        "rctl create configmap c --from-literal=k=v && rctl create configmap c2 --from-literal=k=v",
        NULL);
}

static void rollouts_of_several(void **state)
{
    static const struct habit rows[] = {
        {"rctl rollout status deploy -l team=red --timeout=30s", NULL, 0,
         "=deployment \"a\" successfully rolled out\ndeployment \"b\" successfully rolled out\n", "="},
        {"rctl rollout status deploy a b --watch=false", NULL, 0, "\"a\" successfully\n\"b\" successfully", "="},
        {"rctl rollout status deploy/a deploy/none", NULL, 1, "\"a\" successfully",
         "deployments.apps \"none\" not found"},
        {"rctl rollout status deploy -l team=none", NULL, 0, "=", "No resources found"},
        {"rctl rollout status deploy", NULL, 2, "=", "which deployments"},
        {"rctl rollout status pods", NULL, 2, "=", "pods have no rollouts"},
        {"rctl rollout status cj/x", NULL, 2, "=", "cronjobs have no rollouts"},
        {"rctl rollout history deploy/a", NULL, 0,
         "=deployment.apps/a\nREVISION   CHANGE-CAUSE\n1          <none>\n2          second\n", "="},
        {"rctl rollout history deploy -l team=red", NULL, 0, "deployment.apps/a\ndeployment.apps/b", "="},
        {"rctl rollout history deploy/a --revision=1", NULL, 0, "revision #1\nPod Template:\nx:1", "="},
        {"rctl rollout history deploy/a --revision=9", NULL, 5, "=", "unable to find revision 9"},
        {"rctl rollout history deploy/a --revision=2 -o jsonpath='{.kind} {.spec.template.spec.containers[0].image}'",
         NULL, 0, "=ReplicaSet x:2", "="},
        {"rctl rollout history deploy/a -o yaml", NULL, 0, "kind: List\nimage: x:1\nimage: x:2", "="},
        {"rctl rollout history deploy/a -o go-template='{{range .items}}{{index .metadata.annotations "
         "\"deployment.kubernetes.io/revision\"}} {{end}}'",
         NULL, 0, "=1 2 ", "="},
        {"rctl rollout history deploy/a -o xml", NULL, 2, "=", "unknown output form"},
        {"rctl rollout pause deploy -l team=red", NULL, 0, "=deployment.apps/a paused\ndeployment.apps/b paused\n",
         "="},
        {"rctl rollout restart deploy/a", NULL, 1, "=", "\"a\" is paused"},
        {"rctl rollout pause deploy/a", NULL, 1, "=", "already paused"},
        {"rctl rollout resume deploy/a deploy/b", NULL, 0, "=deployment.apps/a resumed\ndeployment.apps/b resumed\n",
         "="},
        {"rctl rollout restart deploy -l team=red", NULL, 0,
         "=deployment.apps/a restarted\ndeployment.apps/b restarted\n", "="},
        {"rctl rollout status deploy -l team=red --timeout=30s", NULL, 0, "\"b\" successfully", "="},
        {"rctl rollout undo deploy/a --to-revision=1", NULL, 0, "=deployment.apps/a rolled back\n", "="},
        {"rctl rollout fly deploy/a", NULL, 2, "=", "unknown command \"rollout fly\""},
    };
    RUN(rows);
}

static void waits_for_conditions_values_and_ends(void **state)
{
    static const struct habit rows[] = {
        {"rctl wait deploy/a deploy/b --for=condition=Available --timeout=30s", NULL, 0,
         "=deployment.apps/a condition met\ndeployment.apps/b condition met\n", "="},
        {"rctl wait deploy -l team=red --for=condition=available=true --timeout=30s", NULL, 0,
         "a condition met\nb condition met", "="},
        {"rctl wait deploy --all --for=condition=Available --timeout=30s", NULL, 0, "a condition met\nb condition met",
         "="},
        {"rctl wait deploy a b --for=jsonpath='{.status.readyReplicas}'=1 --timeout=30s", NULL, 0, "b condition met",
         "="},
        {"rctl wait deploy/a --for=jsonpath='{.metadata.name}' --timeout=-1s", NULL, 0,
         "=deployment.apps/a condition met\n", "="},
        {"rctl wait cm/c --for=jsonpath='{.data.k}'=w --timeout=300ms", NULL, 1, "=",
         "timed out waiting for the condition on configmap/c"},
        {"rctl wait cm c c2 --for=jsonpath='{.data.k}'=w --timeout=100ms", NULL, 1, "=",
         "on configmap/c\non configmap/c2"},
        {"rctl wait deploy/a --for=condition=Available=False --timeout=0", NULL, 1, "=", "timed out"},
        {"rctl wait cm/none --for=condition=Ready", NULL, 5, "=", "configmaps \"none\" not found"},
        {"rctl wait cm/none --for=delete", NULL, 0, "deleted", "="},
        {"rctl delete cm c2 --wait=false >/dev/null; rctl wait cm/c2 --for=delete --timeout=10s", NULL, 0,
         "configmap/c2 deleted", "="},
        {"rctl wait cm -l app=none --for=condition=Ready", NULL, 1, "=", "no matching resources found"},
        {"(until [ -e waiting ]; do :; done; rctl create cm late --from-literal=a=b >/dev/null) & touch waiting; "
         "rctl wait cm/late --for=create --timeout=20s; code=$?; wait; exit $code",
         NULL, 0, "=configmap/late condition met\n", "="},
        {"rctl wait deploy/a", NULL, 2, "=", "--for=condition=Ready"},
        {"rctl wait deploy/a --for=someday", NULL, 2, "=", "not \"someday\""},
        {"rctl wait deploy --for=condition=Available", NULL, 2, "=", "which deployments? Give names"},
        {"rctl wait gtw/x --for=condition=Complete", NULL, 2, "=", "Gateway is not there yet"},
    };
    RUN(rows);
}

static void several_are_described(void **state)
{
    static const struct habit rows[] = {
        {"rctl describe deploy a b", NULL, 0, "Name:                   a\nName:                   b", "="},
        {"rctl describe deploy -l team=red", NULL, 0, "Name:                   a\nName:                   b", "="},
        {"rctl describe deploy/a cm/c", NULL, 0, "Name:                   a\nName:         c", "="},
        {"rctl describe deploy,cm -l team=red --show-events=false --chunk-size=10", NULL, 0, "!Events", "="},
        {"rctl describe cm -l team=none", NULL, 0, "=", "No resources found in default namespace."},
        {"rctl describe cm none", NULL, 5, "=", "not found"},
        {"rctl get cm c -o yaml | rctl describe -f -", NULL, 0, "Name:         c", "="},
    };
    RUN(rows);
}

/* The name of its ReplicaSet would be too long: said while it is waited for, and at the end. */
static void a_rollout_that_can_make_no_pods_says_why(void **state)
{
    habits_must(*state,
                "n=$(printf 'd%.0s' $(seq 245)); printf 'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: %s}\n"
                "spec:\n  progressDeadlineSeconds: 2\n  minReadySeconds: 1\n  selector: {matchLabels: {app: long}}\n  "
                "template:\n    metadata: {labels: {app: long}}\n    spec: {containers: [{name: c, image: x:1}]}\n' $n "
                "> long.yaml && rctl apply -f long.yaml",
                NULL);
    static const struct habit rows[] = {
        {"rctl rollout status -f long.yaml --timeout=60s", NULL, 1, NULL,
         "exceeded its progress deadline: Failed to create new replica set\nGive the Deployment a shorter name"},
        {"rctl get -f long.yaml -o jsonpath='{range .status.conditions[*]}{.type}={.reason} {end}'", NULL, 0,
         "ReplicaFailure=FailedCreate\nProgressing=ProgressDeadlineExceeded", "="},
        {"rctl rollout status -f long.yaml", NULL, 1, "=", "exceeded its progress deadline: Failed to create"},
        {"sed -i s/progressDeadlineSeconds:.*/progressDeadlineSeconds:\\ 600/ long.yaml && rctl delete -f long.yaml && "
         "rctl apply -f long.yaml && rctl wait -f long.yaml --for=condition=ReplicaFailure --timeout=60s",
         NULL, 0, "condition met", "="},
        {"rctl rollout status -f long.yaml --timeout=1s", NULL, HABIT_ANY, "Waiting for deployment",
         "no pods can be made: Failed to create new replica set\ntimed out"},
        {"rctl delete -f long.yaml", NULL, 0, "deleted", "="},
        {"rctl create deployment nowhere --image=x:1 -o yaml --dry-run=client | sed 's/^    spec:/    spec:\\n      "
         "nodeSelector: {no: where}/' | rctl apply -f - && rctl rollout status deploy/nowhere --timeout=1s",
         NULL, HABIT_ANY, "created", "timed out waiting for the condition\nrctl describe pod"},
        {"rctl delete deploy nowhere", NULL, 0, "deleted", "="},
    };
    RUN(rows);
}

#define SET(kind, more)                                                                                                \
    "apiVersion: apps/v1\nkind: " kind "\nmetadata: {name: set}\nspec:\n" more                                         \
    "  selector: {matchLabels: {app: set}}\n  template:\n    metadata: {labels: {app: set}}\n"                         \
    "    spec: {containers: [{name: c, image: x:1}]}\n"
#define HISTORY(kind, line) "=" kind ".apps/set\nREVISION   CHANGE-CAUSE\n" line "2          second\n"

/* StatefulSets and DaemonSets keep revisions, can be looked at one by one, and gone back to. */
static void sets_have_a_history_and_a_way_back(void **state)
{
    static const struct habit rows[] = {
        {"rctl apply -f - && rctl rollout status sts/set --timeout=30s", SET("StatefulSet", "  serviceName: set\n"), 0,
         "created", "="},
        {"rctl annotate sts set kubernetes.io/change-cause=second && rctl set image sts/set c=x:2 && "
         "rctl rollout status sts/set --timeout=30s",
         NULL, 0, "rolling update complete 1 pods", "="},
        {"rctl rollout history sts/set", NULL, 0, HISTORY("statefulset", "1          <none>\n"), "="},
        {"rctl rollout history sts/set --revision=1", NULL, 0, "Pod Template:\nx:1", "="},
        {"rctl rollout history sts/set --revision=7", NULL, 5, "=", "revision 7"},
        {"rctl rollout undo sts/set --to-revision=7", NULL, HABIT_ANY, "=", "revision 7"},
        {"rctl rollout undo sts/set --to-revision=1 && rctl rollout status sts/set --timeout=30s && "
         "rctl get sts set -o jsonpath={.spec.template.spec.containers[0].image}",
         NULL, 0, "rolled back\nx:1", "="},
        {"rctl rollout history sts/set", NULL, 0, "2          second\n3", "="},
        {"rctl rollout undo sts/set && rctl get sts set -o jsonpath={.spec.template.spec.containers[0].image}", NULL, 0,
         "rolled back\nx:2", "="},
        {"rctl delete sts set", NULL, 0, "deleted", "="},
        {"rctl apply -f - && rctl rollout status ds/set --timeout=30s", SET("DaemonSet", ""), 0,
         "successfully rolled out", "="},
        {"rctl annotate ds set kubernetes.io/change-cause=second && rctl set image ds/set c=x:2 && "
         "rctl rollout status ds/set --timeout=30s",
         NULL, 0, "successfully rolled out", "="},
        {"rctl rollout history ds/set", NULL, 0, HISTORY("daemonset", "1          <none>\n"), "="},
        {"rctl rollout history ds/set --revision=2", NULL, 0, "x:2", "="},
        {"rctl rollout undo ds/set --to-revision=1 && rctl rollout status ds/set --timeout=30s && "
         "rctl get ds set -o jsonpath={.spec.template.spec.containers[0].image}",
         NULL, 0, "rolled back\nx:1", "="},
        {"rctl rollout restart ds/set && rctl rollout status ds/set --timeout=30s", NULL, 0, "restarted", "="},
        {"rctl delete ds set", NULL, 0, "deleted", "="},
    };
    RUN(rows);
}

#define RC(name, replicas, app)                                                                                        \
    "apiVersion: v1\nkind: ReplicationController\nmetadata: {name: " name "}\nspec:\n  replicas: " replicas            \
    "\n  template:\n    metadata: {labels: {app: " app "}}\n    spec:\n      containers: [{name: c, image: x:1}]\n"

/* One comes to its end; another, whose pods fit nowhere, is broken off and taken back. */
static void controllers_of_old_tutorials_are_updated_and_taken_back(void **state)
{
    static const struct habit rows[] = {
        {"rctl create -f -", RC("none", "0", "none"), 0, "=replicationcontroller/none created\n", "="},
        {"rctl create -f -", RC("one", "1", "one") "      nodeSelector: {no: where}\n", 0,
         "=replicationcontroller/one created\n", "="},
        {"rctl get rc one -o wide", NULL, 0, "DESIRED   CURRENT   READY\nCONTAINERS   IMAGES   SELECTOR\napp=one", "="},
        {"rctl expose rc one --port=80 && rctl get svc one -o jsonpath={.spec.selector}", NULL, 0,
         "=service/one exposed\n{\"app\":\"one\"}", "="},
        {"rctl describe rc one", NULL, 0,
         "Selector:     app=one\nReplicas:     1 current / 1 desired\n"
         "replication-controller",
         "="},
        {"rctl rolling-update", NULL, 2, "=", "which controllers?"},
        {"rctl rolling-update none", NULL, 2, "=", "one of --image=IMAGE, -f FILE and --rollback"},
        {"rctl rolling-update none --image=", NULL, 2, "=", "--image is empty"},
        {"rctl rolling-update none none --image=x:2", NULL, 2, "=", "cannot take its own place"},
        {"rctl rolling-update none --rollback", NULL, 5, "=", "no update that was begun"},
        {"rctl annotate rc none kubectl.kubernetes.io/next-controller-id=gone && rctl rolling-update none --rollback",
         NULL, 0, "There is no gone; none goes on alone\nreplicationcontroller/none rolling updated", NULL},
        {"rctl rolling-update none --rollback", NULL, 5, "=", "no update that was begun"},
        {"rctl rolling-update missing --image=x:2", NULL, 5, "=", "\"missing\" not found"},
        {"rctl rolling-update none --image=x:2 --container=d", NULL, 2, "=", "none has no container \"d\""},
        {"rctl rolling-update none two --image=x:2 --dry-run=client -o jsonpath='{.metadata.name} {.spec.replicas}'",
         NULL, 0, "=two 0", "of old days"},
        {"rctl rolling-update none two --image=x:2", NULL, 0,
         "Created two\nScaling up two from 0 to 0\nDeleting none\nreplicationcontroller/two rolling updated",
         "of old days"},
        {"rctl rolling-update two --image=x:3", NULL, 0, "Renaming two-\nreplicationcontroller/two rolling updated",
         NULL},
        {"rctl get rc two -o jsonpath='{.spec.template.spec.containers[0].image} {.metadata.annotations}'", NULL, 0,
         "=x:3 ", "="},
        {"rctl rolling-update two --image=x:3", NULL, 1, "=", "two runs image x:3 already"},
        {"rctl rolling-update two -f -", RC("three", "0", "none"), 1, "=", "would take each other's pods"},
        {"rctl rolling-update two -f -", RC("three", "0", "three"), 0, "replicationcontroller/three rolling updated",
         NULL},
        {"rctl rolling-update one other --image=x:2 --timeout=1s", NULL, HABIT_ANY, "Scaling other up to 1",
         "other has not 1 pods that are Ready; the same command goes on, --rollback takes it back"},
        {"rctl rolling-update one three --image=x:2", NULL, 3, NULL, "is there already, and is no update of one"},
        {"rctl rolling-update one other --rollback", NULL, 0,
         "Scaling other down to 0\nDeleting other\nreplicationcontroller/one rolling updated", NULL},
        {"rctl get rc -o name", NULL, 0, "=replicationcontroller/one\nreplicationcontroller/three\n", "="},
        {"rctl get rc one -o jsonpath={.metadata.annotations}", NULL, 0, "=", "="},
        {"rctl scale rc three --replicas=2 && rctl delete rc one three && rctl delete svc one", NULL, 0, "three scaled",
         "="},
    };
    RUN(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rollouts_of_several),
        cmocka_unit_test(waits_for_conditions_values_and_ends),
        cmocka_unit_test(several_are_described),
        cmocka_unit_test(a_rollout_that_can_make_no_pods_says_why),
        cmocka_unit_test(controllers_of_old_tutorials_are_updated_and_taken_back),
        cmocka_unit_test(sets_have_a_history_and_a_way_back),
    };
    return cmocka_run_group_tests(tests, set_up, habits_tear_down);
}
