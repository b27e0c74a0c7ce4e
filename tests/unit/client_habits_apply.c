/* kubectl's habits of making objects: create, run, apply with all its options, diff. */
#include "tests/unit/kit/habits.h"

static int set_up(void **state)
{
    return habits_set_up(state, 0, NULL, NULL);
}

static void creating(void **state)
{
    struct habits *h = *state;
    habits_file(h, "env", "A=1\nB=2\n");
    habits_file(h, "cm.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ed}\ndata: {k: old}\n");
    habits_must(h,
                "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=x -keyout a.key "
                "-out a.crt "
                "&& openssl ecparam -genkey -name prime256v1 -noout -out b.key",
                NULL);
    static const struct habit rows[] = {
        {"rctl create secret tls web --cert=a.crt --key=a.key", NULL, 0, "=secret/web created\n"},
        {"rctl get secret web -o jsonpath='{.type} {.data.tls\\.crt}'", NULL, 0, "kubernetes.io/tls LS0t"},
        {"rctl create secret tls bad --cert=a.crt --key=b.key", NULL, 1, "=", "the key in b.key is not that of"},
        {"rctl create secret tls bad --cert=env --key=b.key", NULL, 1, "=", "env is no certificate"},
        {"rctl create secret tls bad --cert=a.crt", NULL, 2, "=", "--key=FILE"},
        {"rctl create secret docker-registry pull --docker-server=reg.io --docker-username=u --docker-password=p "
         "--docker-email=e@x",
         NULL, 0, "=secret/pull created\n"},
        {"rctl get secret pull -o jsonpath='{.data.\\.dockerconfigjson}' | base64 -d", NULL, 0,
         "={\"auths\":{\"reg.io\":{\"username\":\"u\",\"password\":\"p\",\"email\":\"e@x\",\"auth\":\"dTpw\"}}}"},
        {"rctl create secret docker-registry pull2", NULL, 2, "=", "--docker-username"},
        {"rctl create secret generic g --from-env-file=env --type=x/y -o jsonpath='{.type} {.data.B}'", NULL, 0,
         "=x/y Mg=="},
        {"rctl create cm h --from-literal=FOO=Bar --append-hash --dry-run=client -o name", NULL, 0, "configmap/h-"},
        {"rctl create secret odd x", NULL, 2, "=", "generic|tls|docker-registry"},
        {"rctl create deployment two --image=a/b:1 --image=c/b:2 --replicas=2 --port=80 --dry-run=client -o yaml", NULL,
         0, "name: b\nname: b-2\nreplicas: 2\ncontainerPort: 80"},
        {"rctl create deployment two --image=a --image=b -- sleep 1", NULL, 2, "=", "one --image"},
        {"rctl create deployment d --image=a --dry-run=client -o json -- sleep 1", NULL, 0, "\"sleep\""},
        {"rctl create job j --image=a -- echo hello", NULL, 0, "job.batch/j created\n", "="},
        {"rctl get job j -o jsonpath='{.spec.template.spec.restartPolicy} {.spec.template.spec.containers[0].command}'",
         NULL, 0, "=Never [\"echo\",\"hello\"]", "="},
        {"rctl create job j2", NULL, 2, "=", "--image"},
        {"rctl create job j3 --from=cronjob/x", NULL, 5, "=", "cronjobs.batch \"x\" not found"},
        {"rctl create job j3 --from=deploy/x", NULL, 2, "=", "it takes cronjob/NAME"},
        {"rctl create job j3 --from=c", NULL, 2, "=", "--from=c: it takes cronjob/NAME"},
        {"rctl create hpa j3", NULL, 2, "=", "rctl autoscale TYPE/NAME"},
        {"rctl create job j3 --from=cronjob/x --image=a", NULL, 2, "=", "neither goes with --from"},
        {"rctl create cronjob c --image=a", NULL, 2, "=", "when? --schedule"},
        {"rctl create cronjob c --image=a --schedule='* * * *'", NULL, 1, "=",
         "spec.schedule\n4 fields where there are 5"},
        {"rctl create cronjob c --image=a --schedule='0 3 * * 1-5' -- echo hello", NULL, 0,
         "=cronjob.batch/c created\n", "="},
        {"rctl patch cj c -p '{\"spec\": {\"timeZone\": \"Middle/Earth\"}}'", NULL, 1, "=",
         "spec.timeZone: Invalid value: \"Middle/Earth\": unknown time zone Middle/Earth"},
        {"rctl get cj c", NULL, 0,
         "SCHEDULE\nTIMEZONE\nSUSPEND\nACTIVE\nLAST SCHEDULE\n0 3 * * 1-5   <none>     False     0        <none>", "="},
        {"rctl get cj c -o jsonpath='{.spec.jobTemplate.spec.template.spec.restartPolicy} {.spec.concurrencyPolicy}'",
         NULL, 0, "=OnFailure Allow", "="},
        {"rctl describe cj c", NULL, 0,
         "Schedule:                      0 3 * * 1-5\nConcurrency Policy:            Allow\nActive Jobs:", "="},
        {"rctl create job now --from=cronjob/c", NULL, 0, "=job.batch/now created\n", "="},
        {"rctl get job now -o jsonpath='{.metadata.annotations} {.metadata.ownerReferences[0].name} "
         "{.spec.template.spec.containers[0].command}'",
         NULL, 0, "cronjob.kubernetes.io/instantiate\nmanual\n c [\"echo\",\"hello\"]", "="},
        {"rctl set image cj/c c=b && rctl get cj c -o wide", NULL, 0, "cronjob.batch/c image updated\n c            b",
         "="},
        {"rctl logs cj/c", NULL, 1, "=", "a CronJob has no pods itself"},
        {"printf 'apiVersion: batch/v1beta1\nkind: CronJob\nmetadata: {name: old}\nspec: {schedule: \"@daily\", "
         "jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: a}]}}}}}\n' | "
         "rctl "
         "apply -f -",
         NULL, 0, "=cronjob.batch/old created\n", "="},
        {"rctl create cronjob c2 --image=a --schedule='0 0 31 2 *' --dry-run=server", NULL, 0, NULL,
         "Warning: spec.schedule: \"0 0 31 2 *\" never comes"},
        {"printf 'apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: edge}\nspec: {updateStrategy: {rollingUpdate: "
         "{maxSurge: 1, maxUnavailable: 0}}, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, "
         "spec: {containers: [{name: c, image: a, ports: [{containerPort: 80, hostPort: 80}]}]}}}\n' | rctl apply "
         "--dry-run=server -f -",
         NULL, 0, NULL,
         "Warning: spec.updateStrategy.rollingUpdate.maxSurge: an update gets stuck: a new pod waits for the hostPort"},
        {"rctl create ingress i --class=nginx --rule='a.b/*=c:80,tls=s' --rule=a.b/d=e:http,tls=s --rule=/=f:1 "
         "--rule='*.b/=f:1,tls' --default-backend=g:2 --annotation=x.y/z=w=v --dry-run=client -o "
         "'jsonpath={.spec}{.metadata.annotations}'",
         NULL, 0,
         "={\"defaultBackend\":{\"service\":{\"name\":\"g\",\"port\":{\"number\":2}}},\"ingre"
         "ssClassName\":\"nginx\",\"rules\":[{\"host\":\"a.b\",\"http\":{\"paths\":[{\"backend"
         "\":{\"service\":{\"name\":\"c\",\"port\":{\"number\":80}}},\"path\":\"/\",\"pathType\":"
         "\"Prefix\"},{\"backend\":{\"service\":{\"name\":\"e\",\"port\":{\"name\":\"http\"}}},\""
         "path\":\"/d\",\"pathType\":\"Exact\"}]}},{\"http\":{\"paths\":[{\"backend\":{\"servi"
         "ce\":{\"name\":\"f\",\"port\":{\"number\":1}}},\"path\":\"/\",\"pathType\":\"Exact\"}]}"
         "},{\"host\":\"*.b\",\"http\":{\"paths\":[{\"backend\":{\"service\":{\"name\":\"f\",\"po"
         "rt\":{\"number\":1}}},\"path\":\"/\",\"pathType\":\"Exact\"}]}}],\"tls\":[{\"hosts\":"
         "[\"a.b\"],\"secretName\":\"s\"},{\"hosts\":[\"*.b\"]}]}{\"x.y/z\":\"w=v\"}",
         "="},
        {"rctl create ing i --rule=a.b/c=d:80 && rctl get ing i --no-headers", NULL, 0,
         "ingress.networking.k8s.io/i created\n<none>   a.b", "="},
        {"rctl create ing j --rule='*.b/*=d:80' --rule=a.b/longer=e:http,tls=s --class=c && rctl describe ing j", NULL,
         0,
         "=ingress.networking.k8s.io/j created\nName:             j\nLabels:           <none>\nNamespace:        "
         "default\nAddress:          \n"
         "Ingress Class:    c\nDefault backend:  <default>\nTLS:\n  s terminates a.b\nRules:\n"
         "  Host  Path  Backends\n  ----  ----  --------\n  *.b   \n        /   d:80\n  a.b   \n"
         "        /longer   e:http\nAnnotations:  <none>\nEvents:  <none>\n",
         "="},
        {"rctl create ingress i", NULL, 2, "=", "what goes where?"},
        {"rctl create ingress i --rule=a=b:80", NULL, 2, "=", "--rule is HOST/PATH=SERVICE:PORT"},
        {"rctl create ingress i --rule=a/=b", NULL, 2, "=", "--rule is HOST/PATH=SERVICE:PORT"},
        {"rctl create ingress i --rule=a/=b:1,ssl", NULL, 2, "=", "--rule is HOST/PATH=SERVICE:PORT"},
        {"rctl create ingress i --default-backend=b", NULL, 2, "=", "--default-backend is SERVICE:PORT"},
        {"rctl create ingress i --default-backend=b:1 --annotation=x", NULL, 2, "=", "--annotation is KEY=VALUE"},
        {"rctl create quota q --hard=pods=3,requests.cpu=2 --hard requests.memory=1Gi --scopes=NotBestEffort -n "
         "default",
         NULL, 0, "resourcequota/q created"},
        {"rctl create quota q2 --hard=pods", NULL, 2, "=", "pods\" must be RESOURCE=AMOUNT"},
        {"rctl create quota q2 --hard=pods=1,pods=2", NULL, 2, "=", "\"pods\" is given twice"},
        {"rctl create quota q2 --hard=sheep=1", NULL, 1, "=",
         "spec.hard[sheep]: Invalid value: \"sheep\": must be a standard resource"},
        {"rctl delete quota q", NULL, 0, "deleted"},
        {"rctl create nonsense x", NULL, 2, "=", "rolebinding and clusterrolebinding"},
        {"EDITOR='sed -i s/old/new/' rctl create -f cm.yaml --edit", NULL, 0, "=configmap/ed created\n"},
        {"rctl get cm ed -o jsonpath={.data.k}", NULL, 0, "=new"},
        {"rctl delete cm ed && EDITOR=true rctl create -f cm.yaml --edit --save-config", NULL, 0,
         "configmap/ed created"},
        {"rctl apply view-last-applied cm/ed -o json", NULL, 0, "\"k\": \"old\""},
        {"rctl replace -f cm.yaml --save-config", NULL, 0, "=configmap/ed replaced\n"},
        {"rctl replace --force --grace-period=0 --cascade=orphan -f cm.yaml", NULL, 0,
         "configmap \"ed\" deleted\nconfigmap/ed replaced"},
        {"rctl replace -f cm.yaml --dry-run=server -o name", NULL, 0, "=configmap/ed\n"},
        {"rctl create ns n1 --save-config -o yaml", NULL, 0, "last-applied-configuration"},
        {"for i in $(seq 20); do printf -- '---\\napiVersion: v1\\nkind: ConfigMap\\nmetadata: {name: fat%s}\\ndata: "
         "{a: %s}\\n' "
         "$i $(head -c 240000 /dev/zero | tr '\\0' y); done > fat.yaml; rctl apply -f fat.yaml",
         NULL, 1, "=", "the 20 objects are applied together or not at all; apply fewer of them at a time"},
    };
    habits_run(h, rows, ARRAY_SIZE(rows));
}

static void run_makes_a_pod(void **state)
{
    struct habits *h = *state;
#define DRY "--dry-run=client -o yaml"
    static const struct habit rows[] = {
        {"rctl run web --image=nginx:1 --env=A=1 --env=B=2 --port=80 " DRY " -- one two", NULL, 0,
         "run: web\nname: web\nimage: nginx:1\ncontainerPort: 80\n- one\nname: A\nrestartPolicy: "
         "Always\nargs:\n!command:\n!namespace"},
        {"rctl run web --image=nginx:1 --labels=a=b,c=d -l e=f --annotations=note=m --restart=Never --command " DRY
         " -- sh -c 'echo x'",
         NULL, 0, "a: b\nc: d\ne: f\nnote: m\nrestartPolicy: Never\ncommand:\n- sh\n- echo x\n!run: web"},
        {"rctl run web --image=x -it " DRY " --attach=false", NULL, 0, "stdin: true\nstdinOnce: true\ntty: true"},
        {"rctl run web --image=x --privileged --image-pull-policy=Never " DRY, NULL, 0,
         "privileged: true\nimagePullPolicy: Never"},
        {"rctl run web --image=x --overrides='{\"spec\":{\"hostNetwork\":true}}' " DRY, NULL, 0,
         "hostNetwork: true\nimage: x"},
        {"rctl run web --image=x", NULL, 0, "=pod/web created\n"},
        {"rctl run web2 --image=x -o name --restart=OnFailure", NULL, 0, "=pod/web2\n"},
        {"rctl run web --image=x --dry-run=server", NULL, 3, "=", "already exists"},
        {"rctl run --image=x", NULL, 2, "=", "which name"},
        {"rctl run web", NULL, 2, "=", "--image"},
        {"rctl run web --image=x -t", NULL, 2, "=", "-t needs -i"},
        {"rctl run web --image=x --rm", NULL, 2, "=", "--rm"},
        {"rctl run web --image=x -i --dry-run", NULL, 2, "=", "--dry-run makes no pod"},
        {"rctl run web --image=x --restart=Perhaps", NULL, 2, "=", "Always, OnFailure or Never"},
        {"rctl run web --image=x --expose", NULL, 2, "=", "which port? --port=PORT"},
        {"rctl run web --image=x --env=A", NULL, 2, "=", "--env is KEY=VALUE"},
        {"rctl delete pod web web2 --now", NULL, 0, "deleted"},
    };
    habits_run(h, rows, ARRAY_SIZE(rows));
}

static void applying_too_much_at_once(void **state)
{
    struct habits *h = *state;
    habits_must(
        h,
        "{ printf 'apiVersion: v1\nkind: Pod\nmetadata: {name: many}\nspec:\n  containers:\n'; for k in $(seq 40); do "
        "echo \"  - {name: c$k, image: x, args: [a$(yes , a | head -n 3999 | tr -d '\n')]}\"; done; } > many.yaml; "
        "for i in $(seq 200); do echo \"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: some$i}\ndata:\"; "
        "seq 400 | sed 's/.*/  k&: v/'; done > some.yaml; { cat some.yaml; echo ---; cat many.yaml; } > both.yaml",
        NULL);
    static const struct habit rows[] = {
        {"timeout 20 rctl apply -f many.yaml", NULL, 1, "=",
         "error: Pod \"many\": the request has more than 131056 elements"},
        {"timeout 20 rctl create -f many.yaml", NULL, 1, "=", "the request has more than 131056 elements"},
        {"rctl apply -f some.yaml | grep -c created", NULL, 0, "=200\n", "200 objects are more than one request takes"},
        {"timeout 20 rctl apply -f both.yaml | grep -c unchanged", NULL, HABIT_ANY, "=200\n",
         "the first 200 of 201 objects were applied"},
    };
    habits_run(h, rows, ARRAY_SIZE(rows));
}

static void applying(void **state)
{
    struct habits *h = *state;
    habits_must(h, "rctl create ns ap", NULL);
    habits_file(h, "a.yaml",
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, labels: {app: p}}\ndata: {k: one}\n");
    habits_file(h, "b.yaml",
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b, labels: {app: p}}\ndata: {k: one}\n");
    habits_file(
        h, "rs.yaml",
        "apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: fixed}\nspec: {replicas: 0, selector: {matchLabels: "
        "{a: one}}, template: {metadata: {labels: {a: one}}, spec: {containers: [{name: c, image: x}]}}}\n");
#define AP "rctl -n ap apply "
    static const struct habit rows[] = {
        {AP "-f a.yaml,b.yaml", NULL, 0, "=configmap/a created\nconfigmap/b created\n"},
        {"rctl -n ap create cm byhand --from-literal=k=v && rctl -n ap label cm byhand app=p", NULL, 0},
        {AP "-f a.yaml --prune", NULL, 2, "=", "-l SELECTOR, or --all"},
        {AP "-f a.yaml --prune --all -l app=p", NULL, 2, "=", "not with both"},
        {AP "-f a.yaml --prune -l app=p --prune-allowlist=nonsense", NULL, 2, "=", "GROUP/VERSION/KIND"},
        {AP "-f a.yaml --prune -l app=p --prune-allowlist=core/v1/Secret", NULL, 0, "=configmap/a unchanged\n"},
        {AP "-f a.yaml --prune -l app=p --dry-run=server", NULL, 0,
         "=configmap/a unchanged (server dry run)\nconfigmap/b pruned (server dry run)\n"},
        {AP "-f a.yaml --prune -l app=p --prune-whitelist=core/v1/ConfigMap --prune-whitelist=batch/v1/Job --wait",
         NULL, 0, "=configmap/a unchanged\nconfigmap/b pruned\n"},
        {"rctl -n ap get cm byhand -o name", NULL, 0, "=configmap/byhand\n"},
        {AP "-f a.yaml --server-side", NULL, 0, "=configmap/a serverside-applied\n"},
        {AP "-f a.yaml --server-side --force-conflicts --field-manager=ci", NULL, 0, "serverside-applied"},
        {AP "-f a.yaml --force-conflicts", NULL, 2, "="},
        {"rctl -n ap patch cm a -p '{\"data\":{\"k\":\"other\"}}'", NULL, 0},
        {"sed s/one/two/ a.yaml | " AP "--overwrite=false -f -", NULL, 3, "=", "data.k was changed by other means"},
        {"rctl -n ap get cm a -o jsonpath={.data.k}", NULL, 0, "=other"},
        {"sed s/one/two/ a.yaml | " AP "--overwrite -f -", NULL, 0, "=configmap/a configured\n"},
        {"sed s/one/three/ a.yaml | " AP "--overwrite=false -f -", NULL, 0, "=configmap/a configured\n"},
        {AP "view-last-applied cm a", NULL, 0, "k: three\nname: a"},
        {AP "view-last-applied -f a.yaml -o json", NULL, 0, "\"k\": \"three\""},
        {AP "view-last-applied cm/byhand", NULL, 1, "=", "no last-applied-configuration annotation found"},
        {AP "view-last-applied cm/nosuch", NULL, 5, "="},
        {AP "set-last-applied -f a.yaml", NULL, 0, "=configmap/a configured\n"},
        {AP "view-last-applied cm/a", NULL, 0, "k: one"},
        {"sed 's/: b,/: byhand,/' b.yaml | " AP "set-last-applied -f -", NULL, 1, "=", "--create-annotation"},
        {"sed 's/: b,/: byhand,/' b.yaml | " AP "set-last-applied --create-annotation -f -", NULL, 0, "configured"},
        {"EDITOR='sed -i s/one/typed/' " AP "edit-last-applied cm/a", NULL, 0, "=configmap/a edited\n"},
        {AP "view-last-applied cm/a", NULL, 0, "k: typed"},
        {"rctl -n ap get cm a -o jsonpath={.data.k}", NULL, 0, "=three"},
        {AP "-f rs.yaml", NULL, 0, "created"},
        {"sed 's/one/two/g' rs.yaml | " AP "-f -", NULL, 1, "=", "immutable"},
        {"sed 's/one/two/g' rs.yaml | " AP "--force --grace-period=0 --timeout=30s -f -", NULL, 0,
         "replicaset.apps/fixed created"},
        {"sed 's/one/two/;s/{a: one}/{a: \"-bad-\"}/' rs.yaml | " AP "--force -f -", NULL, 1, "="},
        {"rctl -n ap get rs fixed -o name", NULL, 0, "=replicaset.apps/fixed\n"},
        {AP "--record -f a.yaml", NULL, 0, "configured", "--record is old"},
        {"rctl -n ap get cm a -o yaml", NULL, 0, "change-cause: rctl -n ap apply --record -f a.yaml"},
        {AP "-f a.yaml,rs.yaml --dry-run=client -o json", NULL, 0,
         "\"kind\": \"List\"\n\"kind\": \"ConfigMap\"\n\"kind\": "
         "\"ReplicaSet\""},
        {AP "-f a.yaml,b.yaml -o json | rctl -n ap apply -f - -o name", NULL, 0, "=configmap/a\nconfigmap/b\n"},
        {AP "-f a.yaml,b.yaml -o jsonpath='{.items[*].metadata.name}'", NULL, 0, "=a b"},
        {AP "-f a.yaml -o jsonpath='{.metadata.name}'", NULL, 0, "=a"},
        {AP "nonsense", NULL, 2, "=", "-f FILE"},
    };
    habits_run(h, rows, ARRAY_SIZE(rows));
}

static void kustomizations_are_applied(void **state)
{
    struct habits *h = *state;
    habits_must(h, "mkdir -p base over && rctl create ns kus", NULL);
    habits_file(h, "base/kustomization.yaml", "configMapGenerator:\n- {name: conf, literals: [FOO=Bar]}\n");
    habits_file(h, "over/kustomization.yaml",
                "resources: [../base]\nnamePrefix: dev-\nnamespace: kus\ncommonLabels: {app: k}\n");
    static const struct habit rows[] = {
        {"rctl kustomize over", NULL, 0, "name: dev-conf-\nFOO: Bar\nnamespace: kus"},
        {"cd over && rctl kustomize", NULL, 0, "name: dev-conf-"},
        {"rctl kustomize over -o out.yaml && cat out.yaml", NULL, 0, "name: dev-conf-"},
        {"rctl apply -k over", NULL, 0, "configmap/dev-conf-\ncreated"},
        {"rctl kustomize over | rctl apply -f -", NULL, 0, "unchanged"},
        {"sed -i s/Bar/Baz/ base/kustomization.yaml && rctl apply -k over/ --prune -l app=k", NULL, 0,
         "created\npruned"},
        {"rctl diff -k over", NULL, 0, "="},
        {"rctl delete -k over", NULL, 0, "deleted"},
        {"rctl create -k over --dry-run=client -o name", NULL, 0, "configmap/dev-conf-"},
        {"rctl kustomize nosuch", NULL, 5, "=", "nosuch"},
        {"rctl kustomize .", NULL, 5, "=", "no kustomization.yaml"},
        {"rctl kustomize a b", NULL, 2, "="},
    };
    habits_run(h, rows, ARRAY_SIZE(rows));
}

static void differences(void **state)
{
    struct habits *h = *state;
    habits_file(h, "d.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: di}\ndata: {k: one}\n");
    habits_file(h, "s.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: di}\nstringData: {p: hunter2, q: same}\n");
    habits_must(h, "mkdir -p tmp", NULL);
#define D "TMPDIR=$HOME/tmp rctl diff "
    static const struct habit rows[] = {
        {D "-f d.yaml", NULL, 1, "+  k: one\n+  name: di\nv1.ConfigMap.default.di\n!uid"},
        {"rctl get cm di", NULL, 5, "="},
        {"rctl apply -f d.yaml && " D "-f d.yaml", NULL, 0, "=configmap/di created\n", "="},
        {"sed s/one/two/ d.yaml | " D "-f -", NULL, 1, "-  k: one\n+  k: two\n!resourceVersion\n!last-applied"},
        {"sed s/one/two/ d.yaml | KUBECTL_EXTERNAL_DIFF='diff -q -r' " D "-f -", NULL, 1, "differ"},
        {"sed s/one/two/ d.yaml | KUBECTL_EXTERNAL_DIFF=false REEVE_EXTERNAL_DIFF='echo seen' " D "-f -", NULL, 0,
         "seen"},
        {"sed s/one/two/ d.yaml | REEVE_EXTERNAL_DIFF=/no/such " D "-f -", NULL, 2, "=", "/no/such"},
        {D "-f nosuch.yaml", NULL, 5, "=", "nosuch.yaml"},
        {D, NULL, 2, "="},
        {"sed s/ConfigMap/ConfigMop/ d.yaml | " D "-f -", NULL, 2, "=", "ConfigMop"},
        {D "-f s.yaml", NULL, 1, "p: '***'\n!hunter2\n!aHVudGVyMg"},
        {"rctl apply -f s.yaml && sed s/hunter2/hunter3/ s.yaml | " D "-f -", NULL, 1,
         "-  p: '*** (before)'\n+  p: '*** (after)'\n   q: '***'\n!hunter\n!aHVudGVy"},
        {"sed s/one/two/ d.yaml | " D "--server-side --force-conflicts --field-manager=x -f -", NULL, 1, "+  k: two"},
        {"ls tmp", NULL, 0, "="},
    };
    habits_run(h, rows, ARRAY_SIZE(rows));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(creating),    cmocka_unit_test(run_makes_a_pod),
        cmocka_unit_test(applying),    cmocka_unit_test(kustomizations_are_applied),
        cmocka_unit_test(differences), cmocka_unit_test(applying_too_much_at_once),
    };
    return cmocka_run_group_tests(tests, set_up, habits_tear_down);
}
