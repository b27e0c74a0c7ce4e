/* [10 tables] The rest of what people type to Debian's kubectl: each command of its manual that client_habits_kubectl does not
 * type, and what kubectl and rctl show of the same objects, which must be the same. */
#include <sys/stat.h>

#include "tests/unit/kit/habits.h"

#define K "KUBECONFIG=kube ${KUBECTL:-kubectl} "

/* "same WORD...": kubectl and rctl say the same, but for ages and how wide columns are. */
static const char same[] =
    "#!/bin/sh\n"
    "plain() { sed -E 's/\\b([0-9]+[dhms])+\\b( ago)?/AGE/g; s/ +/ /g; s/ $//; /^(AGE )?$/d'; }\n"
    "KUBECONFIG=kube ${KUBECTL:-kubectl} \"$@\" >said.k 2>&1; k=$?\n"
    "rctl \"$@\" >said.r 2>&1; r=$?\n"
    "plain <said.k >plain.k; plain <said.r >plain.r\n"
    "diff -u --label kubectl --label rctl plain.k plain.r && [ $k = $r ] || { echo \"exit $k and $r\"; exit 1; }\n"
    "[ -s said.k ] || { echo neither says anything; exit 1; }\n";

static int set_up(void **state)
{
    int rv = habits_set_up(state, 2, "rctl config kubeconfig -f kube >said", NULL);
    struct habits *h = *state;
    habits_file(h, "same", same);
    habits_file(h, "cm.yaml",
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cm, labels: {app: cm}}\ndata: {a: b}\n");
    habits_file(
        h, "web.yaml",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, labels: {app: web}}\nspec:\n"
        "  replicas: 2\n  selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n"
        "    spec: {containers: [{name: c, image: hello:1.0}]}\n");
    habits_must(
        h,
        "chmod 755 same && rctl apply -f cm.yaml -f web.yaml >said && rctl expose deploy web --port=80 >said && "
        "rctl rollout status deploy/web --timeout=60s >said",
        NULL);
    return rv;
}

static void both_show_the_same(void **state)
{
    static const struct habit rows[] = {
        {"same get nodes", NULL, 0, NULL, NULL},
        {"same get nodes -o name", NULL, 0, NULL, NULL},
        {"same get ns", NULL, 0, NULL, NULL},
        {"same get pods", NULL, 0, NULL, NULL},
        {"same get pods -o wide", NULL, 0, NULL, NULL},
        {"same get pods -A", NULL, 0, NULL, NULL},
        {"same get pods --show-labels", NULL, 0, NULL, NULL},
        {"same get pods -L app", NULL, 0, NULL, NULL},
        {"same get pods --no-headers", NULL, 0, NULL, NULL},
        {"same get pods -l app=web --field-selector=status.phase=Running --sort-by=.metadata.name", NULL, 0, NULL,
         NULL},
        {"same get deploy", NULL, 0, NULL, NULL},
        {"same get deploy -o wide", NULL, 0, NULL, NULL},
        {"same get rs", NULL, 0, NULL, NULL},
        {"same get svc", NULL, 0, NULL, NULL},
        {"same get endpoints web", NULL, 0, NULL, NULL},
        {"same get deploy,svc,cm", NULL, 0, NULL, NULL},
        {"same get all", NULL, 0, NULL, NULL},
        {"same get cm", NULL, 0, NULL, NULL},
        {"same get cm -o name", NULL, 0, NULL, NULL},
        {"same get cm -o custom-columns=N:.metadata.name,A:.data.a", NULL, 0, NULL, NULL},
        {"same get cm cm -o jsonpath={.data.a}", NULL, 0, NULL, NULL},
        {"same get cm cm -o 'jsonpath={range .data.*}{@}{\"\\n\"}{end}'", NULL, 0, NULL, NULL},
        {"same get cm cm -o go-template={{.metadata.name}}", NULL, 0, NULL, NULL},
        {"same get sts", NULL, 0, NULL, NULL},
        {"same get pv", NULL, 0, NULL, NULL},
        {"same rollout status deployment/web", NULL, 0, NULL, NULL},
        {"same apply view-last-applied deploy/web", NULL, 0, NULL, NULL},
        {"same create cm dry --from-literal=a=b --dry-run=client", NULL, 0, NULL, NULL},
        {"same create cm dry --from-literal=a=b --dry-run=client -o name", NULL, 0, NULL, NULL},
        {"same scale deploy web --replicas=2", NULL, 0, NULL, NULL},
        {"same get --raw /readyz", NULL, 0, NULL, NULL},
        {"same wait --for=condition=Available deployment/web --timeout=30s", NULL, 0, NULL, NULL},
        {"same auth can-i create pods", NULL, 0, NULL, NULL},
    };
    RUN(rows);
}

static void objects_have_all_their_forms(void **state)
{
    static const struct habit rows[] = {
        {K "get cm cm -o yaml | grep -v uid: >k.yaml && rctl get cm cm -o yaml | grep -v uid: >r.yaml && "
           "rctl diff -f k.yaml && rctl diff -f r.yaml",
         NULL, 0, "=", "="},
        {K "get cm -o json | grep -c '\"kind\": \"ConfigMap\"'", NULL, 0, NULL, "="},
        {K "get deploy web -o yaml >d.yaml && " K "replace -f d.yaml", NULL, 0, "=deployment.apps/web replaced\n", "="},
        {"KUBECONFIG=kube first 2 ${KUBECTL:-kubectl} get cm cm -o yaml -w", NULL, HABIT_ANY, "apiVersion: v1", NULL},
        {"(until [ -e seen ]; do rctl label cm cm at=$(date +%N) --overwrite >label.out; done) & KUBECONFIG=kube first "
         "2 "
         "${KUBECTL:-kubectl} get cm --watch-only; touch seen; wait",
         NULL, HABIT_ANY, "cm ", NULL},
        {K "create deployment three --image=hello:1.0 --dry-run=client -o yaml", NULL, 0, "name: three", "="},
        {K "apply -f cm.yaml --dry-run=client", NULL, 0, "configmap/cm\n(dry run)", NULL},
        {K "kustomize .", NULL, 1, "=", NULL},
        {K "plugin list", NULL, 1, NULL, "unable to find any kubectl plugins"},
        {K "get csr", NULL, 0, "=", "No resources found"},
        {K "explain pod.spec --recursive", NULL, 0, "containers\nrestartPolicy", "="},
        {K "cluster-info dump --namespaces=default --output-directory=dump && ls dump dump/default", NULL, 0,
         "nodes.json\npods.json\ndeployments.json", NULL},
        {K "top nodes", NULL, HABIT_ANY, NULL, NULL},
        {K "config view --minify", NULL, 0, "server: https://", "="},
    };
    RUN(rows);
}

static void objects_are_changed(void **state)
{
    static const struct habit rows[] = {
        {K "replace --force -f cm.yaml", NULL, 0, "=configmap \"cm\" deleted\nconfigmap/cm replaced\n", "="},
        {"KUBECONFIG=kube; export KUBECONFIG; k=${KUBECTL:-kubectl}; $k apply -f cm.yaml >said && $k create cm old "
         "--from-literal=a=b --save-config >said && $k label cm old app=cm >said && if $k apply -h | grep -q "
         "allowlist; then "
         "o=allowlist; else o=whitelist; fi; $k apply -f cm.yaml --prune -l app=cm --prune-$o=core/v1/ConfigMap",
         NULL, 0, "configmap/cm unchanged\nconfigmap/old pruned", NULL},
        {K "patch deployment web -p '{\"spec\":{\"minReadySeconds\":1}}'", NULL, 0, "=deployment.apps/web patched\n",
         "="},
        {K "patch deployment web --type=merge -p '{\"spec\":{\"minReadySeconds\":0}}'", NULL, 0,
         "=deployment.apps/web patched\n", "="},
        {K "patch deployment web --type=merge -p '{\"spec\":{\"minReadySeconds\":0}}'", NULL, 0,
         "=deployment.apps/web patched (no change)\n", "="},
        {K "patch deployment web --type=merge -p '{\"spec\":{\"replicas\":-1}}'", NULL, 1, "=",
         "The Deployment \"web\" is invalid: spec.replicas: Invalid value"},
        {"EDITOR='sed -i s/a:.b/a:\\ c/' " K "edit cm cm", NULL, 0, "=configmap/cm edited\n", "="},
        {K "get cm cm -o jsonpath={.data.a}", NULL, 0, "=c", "="},
        {K "set image deployment/web c=hello:2.0 --record", NULL, 0, "=deployment.apps/web image updated\n", NULL},
        {K "rollout status deployment/web --timeout=60s", NULL, 0, "successfully rolled out", "="},
        {K "rollout history deployment/web", NULL, 0, "set image deployment/web", "="},
        {K "rollout history deployment/web --revision=1", NULL, 0, "revision #1\nhello:1.0", "="},
        {"rctl rollout history deployment/web --revision=1", NULL, 0, "revision #1\nhello:1.0", "="},
        {K "set env deployment/web A=B", NULL, 0, "=deployment.apps/web env updated\n", "="},
        {K "set resources deployment web --limits=cpu=200m", NULL, 0,
         "=deployment.apps/web resource requirements updated\n", "="},
        {K "rollout pause deployment/web", NULL, 0, "=deployment.apps/web paused\n", "="},
        {K "rollout resume deployment/web", NULL, 0, "=deployment.apps/web resumed\n", "="},
        {K "rollout status deployment/web --timeout=60s", NULL, 0, "successfully rolled out", "="},
        {K "create serviceaccount sa", NULL, 0, "=serviceaccount/sa created\n", "="},
        {K "create role r --verb=get --resource=pods", NULL, 0, "=role.rbac.authorization.k8s.io/r created\n", "="},
        {K "create rolebinding r --role=r --serviceaccount=default:sa", NULL, 0,
         "=rolebinding.rbac.authorization.k8s.io/r created\n", "="},
        {K "create quota q --hard=pods=100", NULL, 0, "=resourcequota/q created\n", "="},
        {K "create priorityclass pc --value=10", NULL, 0, "=priorityclass.scheduling.k8s.io/pc created\n", "="},
        {K "create poddisruptionbudget pdb --selector=app=web --max-unavailable=1", NULL, HABIT_ANY, NULL, NULL},
        {K "create cronjob cj --image=hello:1.0 --schedule='0 3 * * *'", NULL, HABIT_ANY, NULL, NULL},
        {K "drain hollow-1 --ignore-daemonsets --force --timeout=60s", NULL, 0, "evicting pod default/web-", NULL},
        {K "get pods -o wide --field-selector=spec.nodeName=hollow-1", NULL, 0, "=", "No resources found"},
        {K "uncordon hollow-1", NULL, 0, "uncordoned", "="},
        {K "taint node hollow-1 k=v:NoSchedule", NULL, 0, "=node/hollow-1 tainted\n", "="},
        {K "taint node hollow-1 k-", NULL, 0, "=node/hollow-1 untainted\n", "="},
        {K "delete pods -l app=web --grace-period=0 --force", NULL, 0, "force deleted",
         "Immediate deletion does not wait"},
        {K "delete svc web --wait=false", NULL, 0, "=service \"web\" deleted\n", "="},
        {K "delete deployment web --cascade=orphan", NULL, 0, "=deployment.apps \"web\" deleted\n", "="},
        {K "get rs -l app=web -o name", NULL, 0, "replicaset.apps/web-", "="},
        {K "delete rs -l app=web", NULL, 0, "deleted", "="},
        {K "create ingress i --rule=a/b=c:80 --class=none", NULL, 0, "=ingress.networking.k8s.io/i created\n", "="},
        {K "create -f -", "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: t}\n", 1, "=",
         "no matches for kind \"Thing\" in version \"example.com/v1\""},
    };
    RUN(rows);
}

#define HPA(percent)                                                                                                   \
    "apiVersion: autoscaling/v1\nkind: HorizontalPodAutoscaler\nmetadata: {name: h}\nspec:\n"                          \
    "  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}\n  maxReplicas: 3\n"                         \
    "  targetCPUUtilizationPercentage: " percent "\n"
#define ROLE(verbs)                                                                                                    \
    "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: rec, namespace: default}\n"                \
    "rules: [{apiGroups: [''], resources: [pods], verbs: [" verbs "]}]\n"
#define LATER(group, kind)                                                                                             \
    {                                                                                                                  \
        K "apply -f -", "apiVersion: " group "\nkind: " kind "\nmetadata: {name: later}\n", 1, "=",                    \
            "no matches for kind \"" kind "\" in version \"" group "\""                                                \
    }

static void other_versions_and_groups_are_served(void **state)
{
    static const struct habit rows[] = {
        {K "apply -f -", HPA("50"), 0, "=horizontalpodautoscaler.autoscaling/h created\n", NULL},
        {K "apply -f -", HPA("60"), 0, "=horizontalpodautoscaler.autoscaling/h configured\n", NULL},
        {K "apply -f -", HPA("60"), 0, "=horizontalpodautoscaler.autoscaling/h unchanged\n", NULL},
        {K "get horizontalpodautoscalers.v1.autoscaling h -o jsonpath={.spec.targetCPUUtilizationPercentage}", NULL, 0,
         "=60", NULL},
        {K "patch horizontalpodautoscalers.v1.autoscaling h -p '{\"spec\":{\"targetCPUUtilizationPercentage\":70}}'",
         NULL, 0, "patched", NULL},
        {"rctl get hpa h -o 'jsonpath={.spec.metrics[0].resource.target.averageUtilization}'", NULL, 0, "=70", "="},
        {K "delete hpa h", NULL, 0, "deleted", NULL},
        {K "get events.v1.events.k8s.io -o 'jsonpath={.items[0].apiVersion} {.items[0].regarding.kind}'", NULL, 0,
         "events.k8s.io/v1 ", "="},
        {K "get events.v1.events.k8s.io", NULL, 0, "LAST SEEN\nScheduled", "="},
        {K "get podtemplates", NULL, 0, "=", "No resources found"},
    };
    RUN(rows);
}

static void the_rest_is_as_people_know_it(void **state)
{
    static const struct habit rows[] = {
        {"KUBECONFIG=kube ${KUBECTL:-kubectl} proxy --port=0 >proxy.out & "
         "until grep -q Starting proxy.out; do kill -0 $! || exit 9; done; "
         "curl -s http://$(sed -n 's/.*on //p' proxy.out)/api/v1/namespaces/default/configmaps/cm | "
         "grep -c '\"kind\": *\"ConfigMap\"'; kill $!",
         NULL, HABIT_ANY, "=1\n", NULL},
        {K "auth reconcile -f -", ROLE("get"), 0, "role.rbac.authorization.k8s.io/rec reconciled", NULL},
        {K "auth reconcile -f -", ROLE("get, list"), 0, "role.rbac.authorization.k8s.io/rec reconciled", NULL},
        {K "get role rec -o 'jsonpath={.rules[*].verbs}'", NULL, 0, "list", "="},
        {K "auth reconcile -f cm.yaml", NULL, HABIT_ANY, NULL, NULL},
        LATER("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
        LATER("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"),
        LATER("apiregistration.k8s.io/v1", "APIService"),
        {K "get --raw /apis/apiextensions.k8s.io/v1/customresourcedefinitions", NULL, 1, "=",
         "the server could not find the requested resource"},
        {K "wait --for=delete cm/none --timeout=10s", NULL, HABIT_ANY, NULL, NULL},
    };
    RUN(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_show_the_same),
        cmocka_unit_test(objects_have_all_their_forms),
        cmocka_unit_test(other_versions_and_groups_are_served),
        cmocka_unit_test(the_rest_is_as_people_know_it),
        cmocka_unit_test(objects_are_changed),
    };
    cmocka_set_test_filter(getenv("TEST"));
    return cmocka_run_group_tests(tests, set_up, habits_tear_down);
}
