/* How people look at a cluster with kubectl, typed with rctl. */
#include "tests/unit/kit/habits.h"

static int set_up(void **state)
{
    return habits_set_up(
        state, 2,
        "rctl create deployment web --image=web:1 --replicas=2 && rctl wait deploy/web --for=condition=Available",
        NULL);
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
    RUN(rows);
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
    RUN(rows);
}

/* A guess that is wrong costs more than none. */
static void what_kubernetes_has_and_reeve_has_not_yet_is_named(void **state)
{
    static const struct habit rows[] = {
        {"rctl get csidriver", NULL, 2, "=", "CSIDriver is not there yet\n!did you mean"},
        {"rctl get gtw,pods", NULL, 2, "=", "Gateway is not there yet"},
        {"rctl describe gtw/x", NULL, 2, "=", "Gateway is not there yet"},
        {"rctl explain gateway.spec", NULL, 5, "=", "Gateway is not there yet"},
        {"rctl get gateways.gateway.networking.k8s.io", NULL, 2, "=", "Gateway is not there yet"},
        {"rctl get crd", NULL, 2, "=", "CustomResourceDefinition is not there yet"},
        {"rctl get gatewayclass", NULL, 2, "=", "GatewayClass is not there yet"},
        {"rctl apply -f -", "apiVersion: storage.k8s.io/v1\nkind: CSIDriver\nmetadata: {name: x}\n", 1, NULL,
         "CSIDriver is not there yet"},
        {"rctl get xyz", NULL, 2, "=", "no resource type \"xyz\"\n!did you mean"},
        {"rctl get pdos", NULL, 2, "=", "did you mean \"pods\""},
        {"rctl fly", NULL, 2, "=", "unknown command \"fly\"\n!did you mean"},
        {"rctl get pods --sort", NULL, 2, "=", "did you mean --sort-by?"},
        {"rctl desc pods", NULL, 2, "=", "did you mean \"rctl describe\"?"},
        {"rctl get depl", NULL, 2, "=", "did you mean \"deployments\"?"},
        {"rctl get pods --zap", NULL, 2, "=", "unknown option --zap\n!did you mean"},
    };
    RUN(rows);
}

static void types_and_versions(void **state)
{
    static const struct habit rows[] = {
        {"rctl api-resources", NULL, 0,
         "NAME                         SHORTNAMES   APIVERSION                     NAMESPACED   KIND\n"
         "pods                         po           v1                             true         Pod\n",
         "="},
        {"rctl api-resources -o wide", NULL, 0,
         "VERBS\nCATEGORIES\ncreate,delete,deletecollection,get,list,patch,update,watch   all\n", "="},
        {"rctl api-resources -o name", NULL, 0,
         "pods\ncontrollerrevisions.apps\ndaemonsets.apps\ndeployments.apps\nreplicasets.apps\n", "="},
        {"rctl api-resources --namespaced=false -o name", NULL, 0,
         "=certificatesigningrequests.certificates.k8s.io\nclusterconfigurations.reeve.io\nclusterrolebindings.rbac."
         "authorization.k8s.io\nclusterroles.rbac."
         "authorization.k8s.io\ningressclasses.networking.k8s."
         "io\nnamespaces\nnodes\npersistentvolumes\npriorityclasses.scheduling.k8s.io\nruntimeclasses.node.k8s.io\n"
         "storageclasses.storage.k8s.io\n",
         "="},
        {"rctl api-resources --namespaced --no-headers", NULL, 0, "configmaps \n!NAME\n!namespaces", "="},
        {"rctl api-resources --verbs=list,get -o name --api-group=apps", NULL, 0,
         "=controllerrevisions.apps\ndaemonsets.apps\ndeployments.apps\nreplicasets.apps\nstatefulsets.apps\n", "="},
        {"rctl api-resources --verbs=list,impersonate -o name", NULL, 0, "=", "="},
        {"rctl api-resources --api-group= --categories=all -o name --cached", NULL, 0,
         "=pods\nreplicationcontrollers\nservices\n", "="},
        {"rctl api-resources --sort-by=kind -o name | head -2", NULL, 0,
         "=certificatesigningrequests.certificates.k8s.io\nclusterconfigurations.reeve.io\n", "="},
        {"rctl api-resources --sort-by=age", NULL, 2, "=", "--sort-by is name or kind"},
        {"rctl api-resources -o xml", NULL, 2, "=", "--output is wide or name"},
        {"rctl api-versions", NULL, 0,
         "=apps/v1\nautoscaling/v2\nbatch/v1\ncertificates.k8s.io/v1\ncoordination.k8s.io/v1\ndiscovery.k8s.io/"
         "v1\nnetworking.k8s.io/v1\nnode.k8s.io/v1\n"
         "policy/v1\nrbac.authorization.k8s.io/v1\nreeve.io/v1\nscheduling.k8s.io/v1\nscheduling.k8s.io/v1alpha2\n"
         "storage.k8s.io/v1\nv1\n",
         "="},
        {"rctl version", NULL, 0, "Client Version: 0.\nServer Version: 0.", "="},
        {"rctl version --client -o yaml", NULL, 0, "clientVersion:\n  gitVersion: v0.\n  minor: \"\n!serverVersion",
         "="},
        {"rctl version -o json", NULL, 0, "\"clientVersion\": {\n\"serverVersion\": {\n\"gitVersion\": \"v0.", "="},
        {"rctl version --short --client", NULL, 0, "Client Version", "="},
        {"rctl version -o xml", NULL, 2, "=", "--output is json or yaml"},
        {"rctl explain pods.spec.containers --recursive", NULL, 0, "livenessProbe\nimagePullPolicy", "="},
        {"rctl explain deploy.spec.replicas", NULL, 0, "replicas", "="},
        {"rctl explain pod.spec.nosuch", NULL, 5, "=", "nosuch"},
    };
    RUN(rows);
}

static void about_the_cluster_and_oneself(void **state)
{
    static const struct habit rows[] = {
        {"rctl cluster-info", NULL, 0, "Reeve master 1 (leader) is at 127.0.0.1:\n1 master, 2 nodes", "="},
        {"rctl cluster-info dump -A --output-directory=dump && ls dump dump/default && cat dump/default/web-*/logs.txt",
         NULL, 0,
         "Cluster info dumped to "
         "dump\ndefault\nnodes.json\ndeployments.json\nevents.json\npods.json\nreplicasets.json\n"
         "==== START logs for container web of pod default/web-\n!secret",
         "="},
        {"grep -o 'hollow-.\",' dump/nodes.json", NULL, 0, "hollow-1", "="},
        {"rctl cluster-info dump --namespaces=default,other -o yaml", NULL, 0,
         "kind: Node\nkind: Deployment\n---\n==== END logs", "="},
        {"rctl cluster-info dump --namespaces=../x", NULL, 2, NULL, "no name of a namespace"},
        {"rctl cluster-info dump --output-directory=/proc/none", NULL, HABIT_ANY, "=", "write /proc/none/nodes.json"},
        {"rctl cluster-info dump -o xml", NULL, 2, "=", "--output is json or yaml"},
        {"rctl auth whoami", NULL, 0,
         "ATTRIBUTE   VALUE\nUsername    admin\nGroups      [reeve:admins system:masters system:authenticated]", "="},
        {"rctl auth whoami -o json", NULL, 0, "\"username\": \"admin\"\nSelfSubjectReview", "="},
        {"rctl auth can-i create deployments.apps", NULL, 0, "=yes\n", "="},
        {"rctl auth can-i '*' '*' -A", NULL, 0, "=yes\n", "="},
        {"rctl auth can-i get pods --subresource=log -n default -q", NULL, 0, "=", "="},
        {"rctl auth can-i create csidrivers", NULL, 1, "=no\n", "CSIDriver is not there yet"},
        {"rctl auth can-i fly pods", NULL, 0, "=yes\n", "verb \"fly\" is not known"},
        {"rctl auth can-i --list", NULL, 0, "*.*", "="},
        {"rctl auth can-i", NULL, 2, "=", "rctl auth can-i delete pods"},
        {"rctl proxy", NULL, 2, "=", "rctl get --raw"},
        {"rctl options", NULL, 0, "--request-timeout\n--server\n!--cache-dir", "="},
        {"rctl help get", NULL, 0, "Usage: rctl get", "="},
        {"rctl help", NULL, 0, "Commands:", "="},
        {"rctl get --help", NULL, 0, "--label-columns", "="},
    };
    RUN(rows);
}

static void options_of_all_commands(void **state)
{
    static const struct habit rows[] = {
        {"rctl --request-timeout=30s get ns default -o name", NULL, 0, "=namespace/default\n", "="},
        {"rctl get ns default -o name -v 6", NULL, 0, "=namespace/default\n", "note: connecting to"},
        {"rctl get ns default -o name -v=6", NULL, 0, "=namespace/default\n", "note: connecting to"},
        {"rctl get ns default -o name --v=8", NULL, 0, "=namespace/default\n", "note: connecting to"},
        {"rctl get -v ns default -o name", NULL, 0, "=namespace/default\n", "note: connecting to"},
        {"REEVE_CONFIG= rctl get ns default -o name --kubeconfig=config", NULL, 0, "=namespace/default\n", "="},
        {"REEVE_CONFIG= rctl get ns default -o name", NULL, 5, "=", "no configuration"},
        {"rctl get ns default -o name --user=admin --cache-dir /tmp --match-server-version", NULL, 0,
         "=namespace/default\n", "="},
        {"rctl get ns default -o name --user=nobody", NULL, 5, "=", "no user called \"nobody\""},
        {"rctl get ns default -o name --cluster=none", NULL, 5, "=", "no cluster called \"none\""},
        {"rctl get ns default -o name --context=none", NULL, 5, "=", "no context called \"none\""},
        {"rctl get ns default -o name -s \"$(sed -n 's/.*\\(127[.0-9:]*\\).*/\\1/p' config | head -1)\"", NULL, 0,
         "=namespace/default\n", "="},
        {"rctl get ns default --server https://127.0.0.1:1 --request-timeout=2s", NULL, 1, "=", "127.0.0.1:1"},
        {"rctl get ns default --request-timeout=soon", NULL, HABIT_ANY, "=", "--request-timeout is a duration"},
    };
    RUN(rows);
}

/* By the node, which has the log: rctl only says since when. */
static void logs_are_cut_where_they_lie(void **state)
{
    habits_must(*state,
                "rctl get pods -l app=web -o jsonpath='{.items[0].metadata.name} {.items[0].metadata.uid} "
                "{.items[0].spec.nodeName} {.items[0].spec.containers[0].name}' >pod && echo >>pod && read p uid node "
                "c <pod && "
                "d=../hollow/${node#hollow-}/logs/default_${p}_$uid/$c && mkdir -p $d && for m in 1 2 3 4; do "
                "echo \"2026-01-02T03:0$m:00.5Z stdout F minute $m\"; done >$d/0.log && "
                "date -u '+%Y-%m-%dT%H:%M:%S.000Z stderr F now' >>$d/0.log",
                NULL);
#define LOGS "rctl logs $(cut -d' ' -f1 pod) "
    static const struct habit rows[] = {
        {LOGS, NULL, 0, "=minute 1\nminute 2\nminute 3\nminute 4\nnow\n", "="},
        {LOGS "--since-time=2026-01-02T03:03:00Z", NULL, 0, "=minute 3\nminute 4\nnow\n", "="},
        {LOGS "--since-time=2026-01-02T03:03:01Z", NULL, 0, "=minute 4\nnow\n", "="},
        {LOGS "--since-time=2026-01-02T05:03:00+02:00 --tail=2", NULL, 0, "=minute 4\nnow\n", "="},
        {LOGS "--since-time=2026-01-02T03:04:00Z --timestamps", NULL, 0, "2026-01-02T03:04:00.5Z minute 4\n", "="},
        {LOGS "--since=5h", NULL, 0, "=now\n", "="},
        {LOGS "--since=2000000h", NULL, 0, "minute 1\nnow", "="},
        {"first 3 " LOGS "-f --since-time=2026-01-02T03:03:00Z", NULL, 0, "=minute 3\nminute 4\nnow\n", NULL},
        {"rctl get --raw \"/api/v1/namespaces/default/pods/$(cut -d' ' -f1 "
         "pod)/log?sinceTime=2026-01-02T03:04:00Z&tailLines=5\"",
         NULL, 0, "=minute 4\nnow\n", "="},
        {"rctl get --raw \"/api/v1/namespaces/default/pods/$(cut -d' ' -f1 "
         "pod)/log?sinceTime=2026-01-02T03:04:00Z&sinceSeconds=5\"",
         NULL, HABIT_ANY, "=", "sinceTime and sinceSeconds exclude each other"},
    };
    RUN(rows);
}

static void what_a_namespace_may_have(void **state)
{
    static const struct habit rows[] = {
        {"rctl create ns shop && rctl -n shop create quota q --hard=pods=2,requests.cpu=1,limits.memory=1Gi", NULL, 0,
         "resourcequota/q created", "="},
        {"rctl -n shop get quota", NULL, 0,
         "NAME   REQUEST                        LIMIT                  AGE\n"
         "q      pods: 0/2, requests.cpu: 0/1   limits.memory: 0/1Gi ",
         "="},
        {"rctl -n shop describe quota q", NULL, 0,
         "=Name:          q\nNamespace:     shop\nResource       Used  Hard\n--------       ----  ----\n"
         "limits.memory  0     1Gi\npods           0     2\nrequests.cpu   0     1\n",
         "="},
        {"rctl -n shop run p --image=a", NULL, 6, "=",
         "pods \"p\" is forbidden: failed quota: q: must specify limits.memory for: p; requests.cpu for: p"},
        {"rctl apply -f -",
         "apiVersion: v1\nkind: LimitRange\nmetadata: {name: l, namespace: shop}\nspec: {limits: [{type: Container, "
         "default: {memory: 128Mi}, defaultRequest: {cpu: 400m}, max: {memory: 1Gi}}]}\n",
         0, "limitrange/l created", "="},
        {"rctl -n shop describe limits l", NULL, 0,
         "=Name:       l\nNamespace:  shop\n"
         "Type        Resource  Min  Max  Default Request  Default Limit  Max Limit/Request Ratio\n"
         "----        --------  ---  ---  ---------------  -------------  -----------------------\n"
         "Container   cpu       -    -    400m             -              -\n"
         "Container   memory    -    1Gi  128Mi            128Mi          -\n",
         "="},
        {"rctl -n shop get limits --no-headers", NULL, 0, "l   20\nZ", "="},
        {"rctl -n shop run p --image=a && rctl -n shop run p2 --image=a", NULL, 0, "pod/p2 created", NULL},
        {"rctl -n shop run p3 --image=a", NULL, 6, "=",
         "pods \"p3\" is forbidden: exceeded quota: q, requested: pods=1,requests.cpu=400m, used: "
         "pods=2,requests.cpu=800m, limited: pods=2,requests.cpu=1"},
        {"rctl -n shop run p3 --image=a --dry-run=server", NULL, 6, "=", "exceeded quota: q"},
        {"rctl describe ns shop", NULL, 0,
         "Status:       Active\n"
         "Resource Quotas\n"
         "  Name:          q\n"
         "  Resource       Used   Hard\n"
         "  --------       ---    ---\n"
         "  limits.memory  256Mi  1Gi\n"
         "  requests.cpu   800m   1\n"
         "Resource Limits\n"
         " Type       Resource  Min  Max  Default Request  Default Limit  Max Limit/Request Ratio\n"
         " Container  memory    -    1Gi  128Mi            128Mi          -\n",
         "="},
        {"rctl describe ns default", NULL, 0, "No resource quota.\nNo LimitRange resource.\n", "="},
        {"rctl apply -f -",
         "apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: {name: lead, namespace: shop}\nspec: "
         "{holderIdentity: web-0, leaseDurationSeconds: 15, renewTime: '2026-01-01T00:00:00.123456Z'}\n",
         0, "lease.coordination.k8s.io/lead created", "="},
        {"rctl -n shop get lease", NULL, 0, "NAME   HOLDER   AGE\nlead   web-0 ", "="},
        {"rctl -n shop get lease lead -o jsonpath={.spec.renewTime}", NULL, 0, "=2026-01-01T00:00:00.123456Z", "="},
        {"rctl delete ns shop --wait=false", NULL, 0, "deleted", NULL},
    };
    RUN(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(several_types_at_once),
        cmocka_unit_test(fields_that_cannot_be_selected_are_refused),
        cmocka_unit_test(what_kubernetes_has_and_reeve_has_not_yet_is_named),
        cmocka_unit_test(types_and_versions),
        cmocka_unit_test(about_the_cluster_and_oneself),
        cmocka_unit_test(options_of_all_commands),
        cmocka_unit_test(logs_are_cut_where_they_lie),
        cmocka_unit_test(what_a_namespace_may_have),
    };
    return cmocka_run_group_tests(tests, set_up, habits_tear_down);
}
