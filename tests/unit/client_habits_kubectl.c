/* Debian's kubectl against a master: what people type, and what they see. Requests and answers themselves are told by
 * api_rest; here is TLS, the port, discovery as a client does it, and `rctl config kubeconfig`. */
#include "tests/unit/kit/habits.h"

static int set_up(void **state)
{
    return habits_set_up(state, 1, "rctl config kubeconfig -f kube && test \"$(stat -c %a kube)\" = 600", NULL);
}

/* kubectl, with the file that rctl wrote. */
#define K    "KUBECONFIG=kube ${KUBECTL:-kubectl} "
#define KATE "KUBECONFIG=kate.kube ${KUBECTL:-kubectl} "

static void kubectl_finds_its_way(void **state)
{
    static const struct habit rows[] = {
        {K "version", NULL, 0, "v1.33.0", NULL},
        {K "api-versions", NULL, 0, "apps/v1\nbatch/v1\npolicy/v1\nv1", NULL},
        {K "api-resources --no-headers", NULL, 0, "deploy\npods\nhpa", NULL},
        {K "cluster-info", NULL, 0, "is running at", NULL},
        {K "get --raw /readyz", NULL, 0, "=ok", "="},
        {K "get --raw /api/v1/nodes/hollow-0/proxy/healthz", NULL, 0, "=ok", "="},
        {K "get --raw /api/v1/nodes/hollow-0/proxy/pods", NULL, 0, "{\"kind\":\"PodList\"", "="},
        {K "get nodes --no-headers", NULL, 0, "hollow-0", "="},
        {K "get cs | tr -s ' '", NULL, 0,
         "NAME STATUS MESSAGE ERROR\nscheduler Healthy ok\ncontroller-manager Healthy ok\netcd-0 Healthy ok",
         "Warning: v1 ComponentStatus is deprecated in v1.19+"},
        {K "get ns default -o name", NULL, 0, "=namespace/default\n", "="},
        {K "get pods none", NULL, 1, "=", "=Error from server (NotFound): pods \"none\" not found\n"},
        {"rctl config kubeconfig | grep -c 'server: https://'", NULL, 0, "=1\n", "="},
    };
    RUN(rows);
}

static void rights_are_reviewed(void **state)
{
    static const struct habit rows[] = {
        {K "auth can-i create pods", NULL, 0, "=yes\n", "="},
        {K "auth can-i get /readyz", NULL, 0, "=yes\n", "="},
        {K "auth can-i --list", NULL, 0, "*.*\n[*]", "="},
        {"rctl user add kate && rctl create role look --verb=get,list --resource=pods && "
         "rctl create rolebinding look --role=look --user=kate && "
         "rctl --config kate.config config kubeconfig -f kate.kube",
         NULL, 0, NULL, NULL},
        {KATE "auth can-i list pods", NULL, 0, "=yes\n", "="},
        {KATE "auth can-i list pods -n kube-system", NULL, 1, "=no\n", "="},
        {KATE "auth can-i delete pods", NULL, 1, "=no\n", "="},
        {KATE "auth can-i --list", NULL, 0, "pods\n[get list]\nselfsubjectaccessreviews.authorization.k8s.io", "="},
        {KATE "get pods", NULL, 0, NULL, NULL},
        {K "get pods --as kate", NULL, 0, NULL, NULL},
        {K "get secrets --as kate --as-group dev", NULL, 1, "=", "User \"kate\" cannot list resource \"secrets\""},
        {K "auth can-i list pods --as kate", NULL, 0, "=yes\n", "="},
        {K "auth can-i delete pods --as kate", NULL, 1, "=no\n", "="},
        {KATE "get secrets --as admin", NULL, 1, "=", "User \"kate\" cannot impersonate resource \"users\""},
        {"rctl get pods --as kate", NULL, 0, NULL, NULL},
        {"rctl --as kate get secrets", NULL, 6, "=", "User \"kate\" cannot list resource \"secrets\""},
        {"rctl auth whoami --as kate --as-group dev", NULL, 0, "kate\n[dev system:authenticated]", "="},
        {"rctl auth can-i delete pods --as kate", NULL, 1, "=no\n", "="},
        {KATE "get secrets", NULL, 1, "=", "secrets is forbidden: User \"kate\" cannot list resource \"secrets\""},
    };
    RUN(rows);
}

/* [2 metrics] */
static void counters_are_told_to_who_may(void **state)
{
    static const struct habit rows[] = {
        {K "get --raw /metrics >metrics", NULL, 0, "=", "="},
        /* Turns are counted when somebody has waited for one: here nobody need have. */
        {"grep -Ec '^(reeve_turns_served_total [0-9]|(reeve_requests_total|reeve_raft_is_leader|"
         "process_resident_memory_bytes|apiserver_storage_objects.resource=\"namespaces\".) [1-9])' metrics",
         NULL, 0, "=5\n", "="},
        /* Each line is a sample, or tells of a family; each family once, in one piece. */
        {"grep -v '^# ' metrics | grep -Evc '^[a-z0-9_]+([{][a-z_]+=\"[a-zA-Z0-9._-]+\"[}])? [0-9.]+$'", NULL, 1,
         "=0\n", "="},
        {"sed -n 's/^# TYPE \\([^ ]*\\) .*/\\1/p' metrics | sort >types; sed 's/^# [A-Z]* //; s/[{ ].*//' metrics | "
         "uniq | "
         "sort >names; cmp types names && uniq -d types",
         NULL, 0, "=", "="},
        {KATE "get --raw /metrics", NULL, 1, "=", "cannot get path \"/metrics\""},
        {"rctl create clusterrolebinding watch --clusterrole=system:monitoring --user=kate", NULL, 0, NULL, NULL},
        {KATE "get --raw /metrics | grep -c '^reeve_requests_total'", NULL, 0, "=1\n", "="},
    };
    RUN(rows);
}

/* [8 kubectl] [9 openapi] */
static void objects_are_made_changed_and_deleted(void **state)
{
    habits_file(*state, "web.yaml",
                "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, labels: {app: web}}\nspec:\n  replicas: "
                "2\n  selector: "
                "{matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n    spec: {containers: "
                "[{name: c, image: hello:1.0}]}\n");
    habits_file(*state, "pdb.yaml",
                "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: b}\nspec: {minAvailable: 1, "
                "selector: {matchLabels: {app: x}}}\n");
    habits_file(*state, "cm.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cm}\ndata: {a: b}\n");
    static const struct habit rows[] = {
        {K "create -f cm.yaml", NULL, 0, "=configmap/cm created\n", "="},
        {K "create -f cm.yaml", NULL, 1, "=", "AlreadyExists"},
        {K "get cm cm -o jsonpath={.data.a}", NULL, 0, "=b", "="},
        {K "label cm cm x=y", NULL, 0, "configmap/cm labeled", "="},
        {K "annotate cm cm x=y", NULL, 0, "configmap/cm annotated", "="},
        {K "patch cm cm --type=json -p '[{\"op\":\"add\",\"path\":\"/data/c\",\"value\":\"d\"}]'", NULL, 0,
         "configmap/cm patched", "="},
        {K "replace -f cm.yaml", NULL, 0, "configmap/cm replaced", "="},
        {K "create -f pdb.yaml", NULL, 0, "poddisruptionbudget.policy/b created", "="},
        {K "replace -f pdb.yaml", NULL, 0, "poddisruptionbudget.policy/b replaced", "="}, /* it asks for the version */
        {K "delete -f pdb.yaml", NULL, 0, "deleted", "="},
        {K "apply -f web.yaml", NULL, 0, "=deployment.apps/web created\n", "="},
        {K "apply -f web.yaml", NULL, 0, "=deployment.apps/web unchanged\n", "="},
        {K "rollout status deployment/web --timeout=60s", NULL, 0, "successfully rolled out", "="},
        {K "get deploy,rs,pods -l app=web", NULL, 0, "deployment.apps/web\n2/2\nRunning", "="},
        {K "get pods -l app=web -o wide --no-headers", NULL, 0, "hollow-0", "="},
        {K "get pods -A --field-selector=status.phase=Running --sort-by=.metadata.name", NULL, 0, "web-", "="},
        {K "describe deployment web", NULL, 0, "ScalingReplicaSet\nReplicas:", "="},
        {K "describe pods -l app=web", NULL, 0, "Container ID\nReady", "="},
        {K "describe node hollow-0", NULL, 0, "HolderIdentity:  hollow-0\nRenewTime:\nNon-terminated Pods\nweb-", "="},
        {K "scale deployment web --replicas=3", NULL, 0, "=deployment.apps/web scaled\n", "="},
        {K "diff -f web.yaml", NULL, HABIT_ANY, "-  replicas: 3\n+  replicas: 2", NULL},
        {K "set image deployment/web c=hello:2.0", NULL, 0, "image updated", "="},
        {K "rollout status deployment/web --timeout=60s", NULL, 0, "successfully rolled out", "="},
        {K "rollout history deployment/web", NULL, 0, "REVISION\n2", "="},
        {K "rollout undo deployment/web", NULL, 0, "rolled back", "="},
        {K "rollout restart deployment/web", NULL, 0, "restarted", "="},
        {K "expose deployment web --port=80", NULL, 0, "service/web exposed", "="},
        {K "apply --server-side --force-conflicts -f cm.yaml", NULL, 0, "configmap/cm serverside-applied", "="},
        {K "get events", NULL, 0, "ScalingReplicaSet", "="},
        {K "run one --image=hello:1.0 --restart=Never", NULL, 0, "pod/one created", "="},
        {K "wait --for=condition=Ready pod/one --timeout=60s", NULL, 0, "condition met", "="},
        {K "cordon hollow-0", NULL, 0, "cordoned", "="},
        {K "uncordon hollow-0", NULL, 0, "uncordoned", "="},
        {K "taint node hollow-0 k=v:PreferNoSchedule", NULL, 0, "tainted", "="},
        {K "delete pod one --now", NULL, 0, "pod \"one\" deleted", "="},
        {K "delete -f web.yaml", NULL, 0, "deployment.apps \"web\" deleted", "="},
        {K "delete cm --all", NULL, 0, "configmap \"cm\" deleted", "="},
        {K "create configmap lit --from-literal=a=b", NULL, 0, "configmap/lit created", "="},
        {K "create secret generic s --from-literal=a=b", NULL, 0, "secret/s created", "="},
        {K "create deployment two --image=hello:1.0", NULL, 0, "deployment.apps/two created", "="},
        {K "create job j --image=hello:1.0", NULL, 0, "job.batch/j created", "="},
        {K "delete deployment two --cascade=foreground --timeout=60s", NULL, 0, "deleted", "="},
        {K "create namespace team", NULL, 0, "namespace/team created", "="},
        {K "delete namespace team --timeout=60s", NULL, 0, "namespace \"team\" deleted", "="},
        {K "create deployment web --image=hello:1.0", NULL, 0, "created", "="},
        {K "autoscale deployment web --min=1 --max=3", NULL, 0, "autoscaled", NULL},
        {K "create -f cm.yaml --dry-run=server", NULL, 0, "configmap/cm created (server dry run)", "="},
        {K "explain deployment.spec.replicas", NULL, 0, "integer", "="},
    };
    RUN(rows);
}

static void who_applies_owns_his_fields(void **state)
{
    habits_file(*state, "own.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: own}\ndata: {a: b, c: d}\n");
    static const struct habit rows[] = {
        {K "apply --server-side -f own.yaml", NULL, 0, "=configmap/own serverside-applied\n", "="},
        {K "get cm own -o jsonpath='{.metadata.managedFields[*].manager}'", NULL, 0, "=kubectl", "="},
        {"sed s/b,/e,/ own.yaml | " K "apply --server-side --field-manager=ci -f -", NULL, 1, "=",
         "Apply failed with 1 conflict: conflict with \"kubectl\": .data.a\n--force-conflicts"},
        {"sed s/b,/e,/ own.yaml | " K "apply --server-side --field-manager=ci --force-conflicts -f -", NULL, 0,
         "serverside-applied", "="},
        {K "get --raw /api/v1/namespaces/default/configmaps/own", NULL, 0,
         "\"managedFields\":[\n\"manager\":\"ci\",\"operation\":\"Apply\"\n\"f:a\":{}", "="},
        {"sed 's/a: b, //' own.yaml | " K "apply --server-side -f -", NULL, 0, "serverside-applied", "="},
        {K "get cm own -o jsonpath='{.data}'", NULL, 0, "={\"a\":\"e\",\"c\":\"d\"}", "="},
        {K "patch cm own -p '{\"data\":{\"c\":\"x\"}}'", NULL, 0, "patched", "="},
        {K "apply --server-side -f own.yaml", NULL, 1, "=", "2 conflicts\n\"ci\"\n\"kubectl-patch\" using v1"},
        {"rctl get cm own -o yaml", NULL, 0, "!managedFields\n!managed:", "="},
        {"rctl get cm own -o yaml --show-managed-fields", NULL, 0,
         "managedFields:\nmanager: kubectl-patch\n!managed:", "="},
        {"rctl apply --server-side -f own.yaml", NULL, 3, "=", "Apply failed with 2 conflicts"},
        {"rctl apply --server-side --force-conflicts -f own.yaml", NULL, 0, "=configmap/own serverside-applied\n", "="},
        {"rctl get cm own -o jsonpath='{.data.a}{.data.c}'", NULL, 0, "=bd", "="},
        {K "delete cm own", NULL, 0, "deleted", "="},
    };
    RUN(rows);
}

static void what_happens_is_seen(void **state)
{
    habits_file(*state, "seen.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: seen}\n");
    static const struct habit rows[] = {
        {K "create -f seen.yaml", NULL, 0, "created", "="},
        {"(sleep 1; " K "label cm seen x=y >label.out) & KUBECONFIG=kube first 3 ${KUBECTL:-kubectl} get cm -w "
         "--field-selector=metadata.name=seen",
         NULL, HABIT_ANY, "NAME\nseen", NULL},
    };
    RUN(rows);
}

/* [8 kubectl-streams] */
static void commands_run_in_containers(void **state)
{
    static const struct habit rows[] = {
        {K "run box --image=hello:1.0 --restart=Never", NULL, 0, "pod/box created", "="},
        {K "wait --for=condition=Ready pod/box --timeout=60s", NULL, 0, "condition met", "="},
        {K "exec box -- echo hello you", NULL, 0, "=hello you\n", "="},
        {K "exec -i box -- cat", "some lines\nof input\n", 0, "=some lines\nof input\n", "="},
        {K "exec box -- exit 7", NULL, 7, "=", "=command terminated with exit code 7\n"},
        {"head -c 5000000 /dev/zero | " K "exec -i box -- cat | wc -c", NULL, 0, "=5000000\n", "="},
        {"head -c 9000000 /dev/zero | " K "exec -i box -- cat | (sleep 1; wc -c)", NULL, 0, "=9000000\n", "="},
        {K "exec box -c none -- echo x", NULL, 1, "=", "container none is not valid for pod box"},
        {K "exec none -- echo x", NULL, 1, "=", "=Error from server (NotFound): pods \"none\" not found\n"},
        {K "attach none", NULL, 1, "=", "pods \"none\" not found"},
        {"echo typed | " K "run once --image=hello:1.0 -i --rm --restart=Never --command -- cat", NULL, 0,
         "typed\npod \"once\" deleted", NULL},
        {"seq 200000 >many; " K "run once --image=hello:1.0 -i --rm --restart=Never --command -- cat <many >back; "
         "grep -v deleted back | cmp - many",
         NULL, 0, "=", NULL},
        {K "delete pod box --now", NULL, 0, "deleted", "="},
    };
    RUN(rows);
}

/* $1: a command for each forwarded port's local number; the others: ports. What is forwarded to is the master itself:
 * hollow pods have the network of their agent. */
#define FORWARD                                                                                                        \
    "P=$(sed -n 's/.*server: https:.*://p' kube); " K "port-forward pod/fwd :$P :$P >pf.out 2>pf.err & "               \
    "until [ \"$(grep -c 'Forwarding from 127' pf.out)\" = 2 ]; do kill -0 $! || exit 9; done; "                       \
    "L=$(sed -n 's/.*127.0.0.1:\\([0-9]*\\) .*/\\1/p' pf.out | head -1); "                                             \
    "M=$(sed -n 's/.*127.0.0.1:\\([0-9]*\\) .*/\\1/p' pf.out | tail -1); "

static void ports_are_forwarded(void **state)
{
    static const struct habit rows[] = {
        {K "run fwd --image=hello:1.0 --restart=Never", NULL, 0, "pod/fwd created", "="},
        {K "wait --for=condition=Ready pod/fwd --timeout=60s", NULL, 0, "condition met", "="},
        {FORWARD "curl -sk https://127.0.0.1:$L/healthz https://127.0.0.1:$M/readyz; kill $!", NULL, HABIT_ANY, "=okok",
         NULL},
        {FORWARD "for i in 1 2 3 4 5 6 7 8; do curl -sk https://127.0.0.1:$L/healthz & done; curl -sk "
                 "https://127.0.0.1:$M/livez; wait %2 %3 %4 %5 %6 %7 %8 %9; kill %1; cat pf.err",
         NULL, HABIT_ANY, "=okokokokokokokokok", NULL},
        {K "port-forward none 0:80", NULL, 1, "=", "pods \"none\" not found"},
        {K "delete pod fwd --now", NULL, 0, "deleted", "="},
    };
    RUN(rows);
}

/* 429 with Retry-After: whoever asks too often waits for it, and does all that he wanted. The last test: the master has
 * the rate from here on. */
static void who_asks_too_often_waits_and_asks_again(void **state)
{
    struct habits *h = *state;
    char path[220];
    snprintf(path, sizeof path, "%s/master.yaml", h->kit->masters[0].dir);
    FILE *f = fopen(path, "a");
    assert_non_null(f);
    fprintf(f, "userRequestsPerSecond: 2\n"); /* 20 at once */
    assert_int_equal(fclose(f), 0);
    kit_stop(h->kit, 0, SIGTERM);
    kit_start(h->kit, 0);
    static const struct habit rows[] = {
        {"for i in $(seq 30); do echo \"---\"; echo \"{apiVersion: v1, kind: ConfigMap, metadata: {name: many-$i}}\"; "
         "done >many.yaml; " K "-v=6 create -f many.yaml 2>told | grep -c created",
         NULL, 0, "=30\n", "="},
        {"grep -q 'POST.*429 Too Many Requests' told", NULL, 0, "=", "="},
        {"rctl cluster status -o yaml | grep -c 'requestsOverRate: [1-9]'", NULL, 0, "=1\n", "="},
    };
    RUN(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kubectl_finds_its_way),
        cmocka_unit_test(rights_are_reviewed),
        cmocka_unit_test(counters_are_told_to_who_may),
        cmocka_unit_test(objects_are_made_changed_and_deleted),
        cmocka_unit_test(who_applies_owns_his_fields),
        cmocka_unit_test(what_happens_is_seen),
        cmocka_unit_test(commands_run_in_containers),
        cmocka_unit_test(ports_are_forwarded),
        cmocka_unit_test(who_asks_too_often_waits_and_asks_again),
    };
    cmocka_set_test_filter(getenv("TEST"));
    return cmocka_run_group_tests(tests, set_up, habits_tear_down);
}
