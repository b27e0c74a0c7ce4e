/* rctl debug as kubectl's is typed: ephemeral containers, copies of pods, pods on nodes. */
#include "tests/unit/kit/habits.h"

static const char WEB[] =
    "apiVersion: v1\nkind: Pod\nmetadata: {name: web, labels: {app: web}, annotations: {note: kept}}\nspec:\n"
    "  initContainers: [{name: first, image: i:1, command: [exit, '0']}]\n"
    "  containers:\n"
    "  - {name: app, image: app:1, args: [serve], livenessProbe: {tcpSocket: {port: 80}},\n"
    "     readinessProbe: {tcpSocket: {port: 80}}, startupProbe: {tcpSocket: {port: 80}}}\n"
    "  - {name: side, image: side:1}\n";

static int set_up(void **state)
{
    struct habits *h = habits_start(1);
    habits_file(h, "web.yaml", WEB);
    habits_must(h, "rctl create -f web.yaml && rctl wait --for=condition=Ready pod/web --timeout=60s", NULL);
    *state = h;
    return 0;
}

static void a_copy_has_one_container_more(void **state)
{
    static const struct habit rows[] = {
        {"rctl debug web --copy-to=one --image=busybox -c look --env=A=b --attach=false -it -- sh -c 'sleep 1'", NULL,
         0, "=pod/one created\n", "="},
        {"rctl get pod one -o jsonpath='{.metadata.labels}{.metadata.annotations}|{.spec.containers[*].name}'", NULL, 0,
         "=|app side look"},
        {"rctl get pod one -o jsonpath='{.spec.containers[2]}'", NULL, 0,
         "\"image\":\"busybox\"\n\"stdin\":true\n\"tty\":true\n\"command\":[\"sh\",\"-c\",\"sleep 1\"]\n"
         "{\"name\":\"A\",\"value\":\"b\"}\nFallbackToLogsOnError"},
        {"rctl get pod one -o yaml", NULL, 0, "name: first\nimage: app:1\n- serve\n!Probe:\n!shareProcessNamespace"},
        {"rctl debug web --copy-to=two --image=busybox --share-processes --keep-labels --keep-annotations "
         "--keep-liveness --keep-init-containers=false",
         NULL, 0, "=pod/two created\n", "Defaulting debug container name to debugger-"},
        {"rctl get pod two -o yaml", NULL, 0,
         "app: web\nnote: kept\nshareProcessNamespace: true\nlivenessProbe:\nname: debugger-\n!readinessProbe\n"
         "!startupProbe\n!name: first"},
        {"rctl debug web --copy-to=two --image=busybox -q", NULL, 3, "=", "already exists\n!Defaulting"},
        {"rctl debug web --copy-to=three -c app --same-node -- sh", NULL, 0, "=pod/three created\n", "="},
        {"rctl get pod three -o jsonpath='{.spec.nodeName} {.spec.containers[0].image} {.spec.containers[0].command} "
         "{.spec.containers[0].args} {.spec.containers[*].name}'",
         NULL, 0, "=hollow-0 app:1 [\"sh\"]  app side"},
        {"rctl debug web --copy-to=four -c app --arguments-only -- other && rctl get pod four -o "
         "jsonpath='{.spec.containers[0].command}{.spec.containers[0].args}'",
         NULL, 0, "[\"other\"]"},
        {"rctl debug web --copy-to=five --set-image=app=app:2,side=side:2 && rctl get pod five -o "
         "jsonpath='{.spec.containers[*].image}'",
         NULL, 0, "app:2 side:2", "="},
        {"rctl debug web --copy-to=six --set-image='*=all:1' && rctl get pod six -o "
         "jsonpath='{.spec.containers[*].image}'",
         NULL, 0, "all:1 all:1"},
        {"rctl debug web --copy-to=seven --image=x -c d --profile=general && rctl get pod seven -o "
         "jsonpath='{.spec.shareProcessNamespace} {.spec.containers[2].securityContext}'",
         NULL, 0, "true {\"capabilities\":{\"add\":[\"SYS_PTRACE\"]}}"},
        {"rctl debug web --copy-to=eight --image=x -c d --profile=restricted && rctl get pod eight -o "
         "jsonpath='{.spec.containers[2].securityContext}'",
         NULL, 0, "\"runAsNonRoot\":true\n\"drop\":[\"ALL\"]\nRuntimeDefault"},
        {"echo typed | rctl debug web --copy-to=nine --image=x -c d -i -q -- cat", NULL, 0, "=typed\n", "="},
    };
    RUN(rows);
}

/* What "x" without a tag got by itself is written in the copy, and is not carried out for x:2. */
static void a_copy_may_take_the_place_of_the_pod(void **state)
{
    habits_must(*state, "rctl run old --image=x", NULL);
    static const struct habit rows[] = {
        {"rctl debug old --copy-to=new --replace --set-image=old=x:2", NULL, 0, "=pod/new created\n", "="},
        {"rctl wait --for=delete pod/old --timeout=30s", NULL, 0},
        {"rctl debug new --copy-to=new --replace --set-image=old=x:3", NULL, 0, "=pod/new created\n", "="},
        {"rctl get pod new -o jsonpath='{.spec.containers[0].image}'", NULL, 0, "=x:3"},
    };
    RUN(rows);
}

static void an_ephemeral_container_runs_beside_the_others(void **state)
{
    static const struct habit rows[] = {
        {"rctl debug web --image=busybox -c look --target=app --env=A=b -- hold", NULL, 0, "=", "="},
        {"rctl get pod web -o jsonpath='{.spec.ephemeralContainers[0]}'", NULL, 0,
         "\"name\":\"look\"\n\"image\":\"busybox\"\n\"targetContainerName\":\"app\"\n\"command\":[\"hold\"]\n"
         "{\"name\":\"A\",\"value\":\"b\"}\n\"terminationMessagePolicy\":\"FallbackToLogsOnError\""},
        {"rctl wait pod/web --for=jsonpath='{.status.ephemeralContainerStatuses[0].state.running}' --timeout=60s", NULL,
         0, "condition met"},
        {"rctl get pod web", NULL, 0, "2/2\nRunning"},
        /* It is joined by its name, and its output is kept. */
        {"echo typed | rctl debug web --image=x -c sh -i -q -- cat", NULL, 0, "=typed\n", "="},
        {"rctl debug web --image=x --attach -- exit 3", NULL, 0, "=", "Defaulting debug container name to debugger-"},
        {"rctl get pod web -o jsonpath='{.status.ephemeralContainerStatuses[2].name} "
         "{.status.ephemeralContainerStatuses[2].state.terminated.exitCode} "
         "{.status.ephemeralContainerStatuses[2].restartCount} {.status.phase}'",
         NULL, 0, "debugger-\n 3 0 Running"},
        {"rctl exec web -c look -- echo hello", NULL, 0},
        {"rctl describe pod web", NULL, 0, "Ephemeral Containers:\n  look:"},
        {"rctl debug web --image=x -c app", NULL, 1, "=", "Duplicate value"},
        {"rctl debug web --image=y -c look", NULL, 1, "=", "may not be removed or changed"},
        {"rctl debug web --image=x --target=none", NULL, 1, "=", "targetContainerName: Not found"},
        {"rctl debug web --image=x -c e1 -q --profile=general && rctl get pod web -o "
         "jsonpath='{.spec.ephemeralContainers[3].securityContext}'",
         NULL, 0, "SYS_PTRACE"},
        {"rctl patch pod web --subresource=ephemeralcontainers -p "
         "'{\"spec\":{\"ephemeralContainers\":[{\"name\":\"e2\",\"image\":\"x\"}]}}'",
         NULL, 0, "pod/web patched"},
        {"rctl run done --image=x --restart=Never --command -- exit 0 && rctl wait pod/done "
         "--for=jsonpath='{.status.phase}'=Succeeded --timeout=60s",
         NULL, 0},
        {"printf 'securityContext: {runAsUser: 7}\\nenv: [{name: B, value: c}]' > custom.yaml && rctl debug web "
         "--image=x -c e3 --env=A=b --custom=custom.yaml && rctl get pod web -o "
         "jsonpath='{.spec.ephemeralContainers[5].securityContext.runAsUser} "
         "{.spec.ephemeralContainers[5].env[*].name} {.spec.ephemeralContainers[5].image}'",
         NULL, 0, "7 \nA\nB\n x"},
        {"rctl debug web --copy-to=custom --image=x -c e3 --custom=custom.yaml && rctl get pod custom -o "
         "jsonpath='{.spec.containers[2].name} {.spec.containers[2].securityContext.runAsUser}'",
         NULL, 0, "e3 7"},
        {"echo 'image: y' > bad.yaml; rctl debug web --image=x --custom=bad.yaml -q", NULL, 2, "=",
         "must not have \"image\""},
        {"rctl debug web --image=x --custom=none.yaml -q", NULL, 5, "=", "none.yaml"},
        {"rctl debug done --image=x", NULL, 1, "=", "has ended\n--copy-to=NAME makes a copy"},
        {"rctl run crash --image=x --command -- exit 1 && rctl wait pod/crash --timeout=60s "
         "--for=jsonpath='{.status.containerStatuses[0].state.waiting.reason}'=CrashLoopBackOff",
         NULL, 0},
        {"rctl debug crash --image=x -c look --target=crash", NULL, 0, "=", "\"crash\" does not run now"},
        {"rctl wait pod/crash --for=jsonpath='{.status.ephemeralContainerStatuses[0].state.running}' --timeout=60s",
         NULL, 0, "condition met"},
        /* what was said beforehand, the node says as well */
        {"until rctl get events --field-selector reason=TargetNotRunning -o name | grep -q .; do sleep 0.1; done; "
         "rctl describe pod crash",
         NULL, 0, "TargetNotRunning\nContainer look does not see the processes of crash, which does not run"},
        {"rctl get events --field-selector reason=TargetNotRunning -o jsonpath='{.items[*].type} "
         "{.items[*].involvedObject.fieldPath}'",
         NULL, 0, "=Warning spec.ephemeralContainers{look}"},
        {"rctl delete pod web --timeout=60s", NULL, 0, "deleted"},
    };
    RUN(rows);
}

static void a_pod_on_a_node_sees_it(void **state)
{
    static const struct habit rows[] = {
        {"rctl debug node/hollow-0 --image=busybox -it --attach=false -- sh", NULL, 0, "pod/node-debugger-hollow-0-",
         "Creating debugging pod node-debugger-hollow-0-\nwith container debugger on node hollow-0."},
        {"rctl get pods -l app.kubernetes.io/managed-by=rctl-debug -o yaml", NULL, 0,
         "nodeName: hollow-0\nhostPID: true\nhostNetwork: true\nhostIPC: true\nmountPath: /host\npath: /\n"
         "operator: Exists\nrestartPolicy: Never\nname: debugger\nstdin: true\n- sh"},
        {"rctl delete pods -l app.kubernetes.io/managed-by=rctl-debug --grace-period=0", NULL, 0},
        {"rctl debug no/hollow-0 --image=busybox --profile=sysadmin -q -c look", NULL, 0, "=", "="},
        {"rctl get pods -l app.kubernetes.io/managed-by=rctl-debug -o yaml", NULL, 0, "privileged: true\nname: look"},
        {"rctl delete pods -l app.kubernetes.io/managed-by=rctl-debug --grace-period=0", NULL, 0},
        {"rctl debug node/hollow-0 --image=busybox --profile=baseline -q", NULL, 0, "=", "="},
        {"rctl get pods -l app.kubernetes.io/managed-by=rctl-debug -o yaml", NULL, 0,
         "nodeName: hollow-0\n!hostPID: true\n!hostPath"},
        {"rctl debug node/none --image=busybox", NULL, 5, "=", "\"none\" not found"},
    };
    RUN(rows);
}

static void what_does_not_go_together_is_told(void **state)
{
    static const struct habit rows[] = {
        {"rctl debug", NULL, 2, "=", "which pod"},
        {"rctl debug -- sh", NULL, 2, "=", "which pod"},
        {"rctl debug a b --image=x", NULL, 2, "=", "one pod or node at a time"},
        {"rctl debug web", NULL, 2, "=", "you must specify --image when not using --copy-to"},
        {"rctl debug web --copy-to=x", NULL, 2, "=", "--image, --set-image or command arguments"},
        {"rctl debug web --copy-to=x -c new -- sh", NULL, 2, "=", "specify image when creating new container"},
        {"rctl debug web --copy-to=x --set-image=none=y", NULL, 5, "=", "no container \"none\""},
        {"rctl debug web --copy-to=x --set-image=y", NULL, 2, "=", "--set-image is KEY=VALUE"},
        {"rctl debug web --image=x --set-image=a=b", NULL, 2, "=", "--set-image may only be used with --copy-to"},
        {"rctl debug web --image=x --same-node", NULL, 2, "=", "--same-node may only be used with --copy-to"},
        {"rctl debug web --copy-to=x --image=x --target=app", NULL, 2, "=", "--share-processes instead"},
        {"rctl debug web --copy-to=x --image=x -t", NULL, 2, "=", "-i/--stdin is required"},
        {"rctl debug web --copy-to=x --image=x --env=novalue", NULL, 2, "=", "--env is KEY=VALUE"},
        {"rctl debug web --image=x --profile=odd", NULL, 2, "=", "not \"odd\""},
        {"rctl debug node/hollow-0 --image=x --copy-to=y", NULL, 2, "=", "a node has no copy"},
        {"rctl debug node/hollow-0", NULL, 2, "=", "--image"},
        {"rctl debug none --image=x", NULL, 5, "=", "pods \"none\" not found"},
        {"rctl debug cm/x --image=x", NULL, 2, "=", "has no pods"},
        {"rctl get pod x", NULL, 5},
    };
    RUN(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_has_one_container_more),
        cmocka_unit_test(a_copy_may_take_the_place_of_the_pod),
        cmocka_unit_test(a_pod_on_a_node_sees_it),
        cmocka_unit_test(what_does_not_go_together_is_told),
        cmocka_unit_test(an_ephemeral_container_runs_beside_the_others), /* the last one: deletes web */
    };
    return cmocka_run_group_tests(tests, set_up, habits_tear_down);
}
