/* kubectl's habits of writing: what people type to change things, each line with what must come of it. */
#include "tests/unit/kit/habits.h"

static int set_up(void **state)
{
    return habits_set_up(state, 0, NULL, NULL);
}

#define WEB                                                                                                            \
    "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 1\n  selector: {matchLabels: "   \
    "{app: web}}\n  template:\n    metadata: {labels: {app: web}}\n    spec:\n      containers:\n      - {name: c, "   \
    "image: 'nginx:1'}\n      - {name: d, image: 'side:1'}\n"

static void cm(struct habits *h, const char *file, const char *name, const char *data)
{
    habits_file(h, file,
                arena_printf(&h->kit->arena,
                             "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, labels: {id: %s}}\n"
                             "data: {k: %s}\n",
                             name, name, data));
}

/* ---- Manifests ---- */

static void manifests_come_in_every_spelling(void **state)
{
    struct habits *h = *state;
    cm(h, "a.yaml", "fa", "one");
    cm(h, "b.yaml", "fb", "one");
    habits_must(h, "mkdir -p deep/er && sed s/fa/fc/ a.yaml > deep/er/c.yaml && sed s/fa/fd/ a.yaml > deep/d.yaml",
                NULL);
    static const struct habit rows[] = {
        {"rctl apply -f a.yaml,b.yaml", NULL, 0, "=configmap/fa created\nconfigmap/fb created\n", "="},
        {"rctl apply -f a.yaml -f b.yaml", NULL, 0, "=configmap/fa unchanged\nconfigmap/fb unchanged\n"},
        {"cat a.yaml | rctl apply -f -", NULL, 0, "=configmap/fa unchanged\n"},
        {"rctl apply -f deep", NULL, 0, "=configmap/fd created\n"},
        {"rctl apply -R -f deep", NULL, 0, "=configmap/fd unchanged\nconfigmap/fc created\n"},
        {"rctl apply -f a.yaml,b.yaml -l id=fb", NULL, 0, "=configmap/fb unchanged\n"},
        {"rctl apply -f https://example.org/x.yaml", NULL, 1, "=", "not fetched from the web yet\ncurl -fsSL https://"},
        {"rctl create -f http://example.org/x.yaml", NULL, 1, "=",
         "curl -fsSL http://example.org/x.yaml | rctl create -f -"},
        {"rctl apply -f a.yaml,nosuch.yaml", NULL, 5, "=", "nosuch.yaml"},
        {"rctl delete -f a.yaml,b.yaml -f deep -R", NULL, 0, "configmap \"fa\" deleted\nconfigmap \"fc\" deleted"},
        {"rctl apply", NULL, 2, "=", "-f FILE"},
        {"rctl apply -f a.yaml -k deep", NULL, 2, "=", "cannot be given together"},
    };
    habits_run(h, rows, ARRAY_SIZE(rows));
}

static void unknown_kinds_are_listed_and_can_be_left_out(void **state)
{
    struct habits *h = *state;
    habits_file(h, "mixed.yaml",
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: mixed}\n---\n"
                "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: nightly}\n---\n"
                "apiVersion: example.org/v1\nkind: Strange\nmetadata: {name: s}\n");
    static const struct habit rows[] = {
        {"rctl apply -f mixed.yaml", NULL, 1, "=",
         "mixed.yaml:6:\nmixed.yaml:10:\nGateway\nStrange\n2 of 3 objects\n--skip-unknown"},
        {"rctl get cm mixed", NULL, 5, "=", "not found"},
        {"rctl apply -f mixed.yaml --skip-unknown", NULL, 0, "=configmap/mixed created\n",
         "left out: mixed.yaml:6:\nGateway\nleft out: mixed.yaml:10:\nStrange"},
        {"rctl delete -f mixed.yaml --skip-unknown", NULL, 0, "=configmap \"mixed\" deleted\n", "left out"},
        {"sed 1,4d mixed.yaml | rctl apply --skip-unknown -f -", NULL, 1, "=", "none of the 2 objects"},
    };
    habits_run(h, rows, ARRAY_SIZE(rows));
}

static void validate_is_strict_warn_or_ignore(void **state)
{
    struct habits *h = *state;
    habits_file(h, "odd.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: odd}\ndatum: {a: b}\n");
    habits_file(h, "twice.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: odd}\ndata: {a: '1', a: '2'}\n");
    static const struct habit rows[] = {
        {"rctl apply -f odd.yaml", NULL, 1, "=", "odd.yaml:4:1:\ndatum\ndata"},
        {"rctl apply --validate=strict -f odd.yaml", NULL, 1, "=", "datum"},
        {"rctl apply --validate=warn -f odd.yaml", NULL, 0, "=configmap/odd created\n",
         "Warning: odd.yaml:4:1:\ndatum"},
        {"rctl apply --validate=ignore -f odd.yaml", NULL, 0, "=configmap/odd unchanged\n", "="},
        {"rctl apply -f twice.yaml", NULL, 1, "=", "twice.yaml:4:\nkey \"a\" was given already"},
        {"rctl apply --validate=warn -f twice.yaml", NULL, 0, "=configmap/odd configured\n",
         "=Warning: twice.yaml: duplicate field \"data.a\"\n"},
        {"rctl get cm odd -o jsonpath={.data.a}", NULL, 0, "=2"},
        {"rctl apply --validate=ignore -f twice.yaml", NULL, 0, "=configmap/odd unchanged\n", "="},
        {"rctl apply --validate=false --field-manager=me -f odd.yaml", NULL, 0, "=configmap/odd configured\n", "="},
        {"rctl apply --validate=maybe -f odd.yaml", NULL, 2, "=", "strict (true), warn or ignore (false)"},
        {"rctl delete cm odd", NULL, 0},
    };
    habits_run(h, rows, ARRAY_SIZE(rows));
}

static void a_client_dry_run_names_no_namespace(void **state)
{
    struct habits *h = *state;
    cm(h, "a.yaml", "dry", "one");
    static const struct habit rows[] = {
        {"rctl create deployment w --image=x --dry-run=client -o yaml", NULL, 0, "name: w\n!namespace", "="},
        {"rctl create cm c --from-literal=a=b --dry-run -o json", NULL, 0, "\"name\": \"c\"\n!namespace", "="},
        {"rctl create cm c --from-literal=a=b --dry-run=client -o yaml -n shop", NULL, 0, "namespace: shop"},
        {"rctl create -f a.yaml --dry-run=client -o yaml", NULL, 0, "name: dry\n!namespace"},
        {"rctl apply -f a.yaml --dry-run=client -o yaml", NULL, 0, "name: dry\n!namespace"},
        {"rctl create ns elsewhere", NULL, 0, "=namespace/elsewhere created\n"},
        {"rctl create cm c --from-literal=a=b --dry-run=client -o yaml | rctl apply -n elsewhere -f -", NULL, 0,
         "=configmap/c created\n"},
        {"rctl -n elsewhere get cm c -o name", NULL, 0, "=configmap/c\n"},
        {"rctl create -f a.yaml --dry-run=server", NULL, 0, "=configmap/dry created (server dry run)\n"},
        {"rctl create -f a.yaml --dry-run=none -o name", NULL, 0, "=configmap/dry\n"},
        {"rctl create cm form --from-literal=a=b -o nonsense", NULL, 2, "=", "nonsense"},
        {"rctl get cm form", NULL, 5, "="},
        {"rctl create -f a.yaml --dry-run=perhaps", NULL, 2, "=", "none, client or server"},
        {"rctl delete -f a.yaml", NULL, 0},
    };
    habits_run(h, rows, ARRAY_SIZE(rows));
}

/* ---- One of several is missing ---- */

static void what_is_there_is_handled_and_what_is_missing_is_told(void **state)
{
    struct habits *h = *state;
    habits_must(h, "rctl apply -f -", WEB);
    static const struct habit rows[] = {
        {"rctl scale deploy web nosuch --replicas=2", NULL, 1, "=deployment.apps/web scaled\n",
         "Error from server (NotFound)\n\"nosuch\""},
        {"rctl get deploy web -o jsonpath={.spec.replicas}", NULL, 0, "=2"},
        {"rctl scale deploy nosuch --replicas=2", NULL, 5, "=", "\"nosuch\""},
        {"rctl scale deploy/nosuch deploy/web --replicas=1 --current-replicas=2", NULL, 1,
         "=deployment.apps/web scaled\n"},
        {"rctl scale deploy/web --replicas=3 --current-replicas=2", NULL, 3, "=",
         "error: expected replicas to be 2, was 1"},
        {"rctl scale deploy/web --replicas=3 --resource-version=1", NULL, 3, "="},
        {"rctl label deploy web nosuch a=b", NULL, 1, "=deployment.apps/web labeled\n", "nosuch"},
        {"rctl annotate deploy nosuch web a=b", NULL, 1, "=deployment.apps/web annotated\n", "nosuch"},
        {"rctl patch deploy nosuch web -p '{\"spec\":{\"replicas\":0}}'", NULL, 1, "=deployment.apps/web patched\n"},
        {"rctl set image deploy/web deploy/nosuch c=nginx:2", NULL, 1, "=deployment.apps/web image updated\n",
         "nosuch"},
        {"rctl delete deploy web", NULL, 0},
    };
    habits_run(h, rows, ARRAY_SIZE(rows));
}

/* ---- label, annotate, patch ---- */

static void labels_and_annotations(void **state)
{
    struct habits *h = *state;
    cm(h, "l.yaml", "lab", "one");
    habits_must(h,
                "rctl create ns labs && rctl -n labs apply -f l.yaml && sed 's/: lab/: lab2/g' l.yaml | rctl -n labs "
                "apply -f -",
                NULL);
    static const struct habit rows[] = {
        {"rctl -n labs label cm lab tier=front", NULL, 0, "=configmap/lab labeled\n"},
        {"rctl -n labs label cm lab tier=front", NULL, 0, "=configmap/lab not labeled\n"},
        {"rctl -n labs label cm lab tier=back", NULL, 1, "=", "error: 'tier' already has a value (front)\n--overwrite"},
        {"rctl -n labs label cm lab tier=back --overwrite", NULL, 0, "labeled"},
        {"rctl -n labs label cm lab tier-", NULL, 0, "=configmap/lab unlabeled\n"},
        {"rctl -n labs label cm --all x=y", NULL, 0, "=configmap/lab labeled\nconfigmap/lab2 labeled\n"},
        {"rctl -n labs label cm -l id=lab2 x-", NULL, 0, "=configmap/lab2 unlabeled\n"},
        {"rctl -n labs label cm --field-selector metadata.name=lab2 fs=1", NULL, 0, "=configmap/lab2 labeled\n"},
        {"rctl -n labs label cm lab --list", NULL, 0, "=id=lab\nx=y\n"},
        {"rctl -n labs label cm lab lab2 --list", NULL, 0,
         "Listing labels for configmap/lab:\nListing labels for configmap/lab2:"},
        {"rctl -n labs label cm lab q=1 --resource-version=1", NULL, 3, "="},
        {"rctl -n labs label cm/lab q=1 --dry-run", NULL, 0, "=configmap/lab labeled (dry run)\n"},
        {"rctl -n labs label -f l.yaml q=1 r=2 x-", NULL, 0, "labeled"},
        {"rctl -n labs annotate cm lab note='a b c' -o name", NULL, 0, "=configmap/lab\n"},
        {"rctl -n labs annotate cm lab note-", NULL, 0, "=configmap/lab annotated\n"},
        {"rctl -n labs annotate cm --all a=b", NULL, 0, "configmap/lab annotated\nconfigmap/lab2 annotated"},
        {"rctl -n labs label cm --field-selector metadata.name=none a=b", NULL, 0, "=", "No resources found"},
    };
    habits_run(h, rows, ARRAY_SIZE(rows));
}

static void patches_of_every_type(void **state)
{
    struct habits *h = *state;
    habits_must(h, "rctl apply -f -", WEB);
    habits_file(h, "web.yaml", WEB);
    habits_file(h, "p.yaml", "spec: {template: {spec: {containers: [{name: c, image: 'nginx:9'}]}}}\n");
    static const struct habit rows[] = {
        {"rctl patch deploy web --patch-file p.yaml", NULL, 0, "=deployment.apps/web patched\n"},
        {"rctl get deploy web -o jsonpath='{.spec.template.spec.containers[*].image}'", NULL, 0, "nginx:9\nside:1"},
        {"rctl patch deploy web --type=merge -p '{\"spec\":{\"replicas\":4}}' -o jsonpath={.spec.replicas}", NULL, 0,
         "=4"},
        {"rctl patch deploy web --type json -p '[{\"op\":\"replace\",\"path\":\"/spec/replicas\",\"value\":2}]'", NULL,
         0, "patched"},
        {"rctl patch -f web.yaml -p '{\"spec\":{\"replicas\":3}}'", NULL, 0, "patched"},
        {"rctl patch deploy web --subresource=status --type=merge -p '{\"status\":{\"replicas\":7}}' -o "
         "jsonpath={.status.replicas}",
         NULL, 0, "=7"},
        {"rctl patch deploy web --dry-run=server -p '{\"spec\":{\"replicas\":9}}'", NULL, 0,
         "patched (server dry run)"},
        {"rctl patch deploy web --type json -p '[{\"op\":\"test\",\"path\":\"/spec/replicas\",\"value\":77}]'", NULL, 1,
         "="},
        {"rctl patch deploy web --record -p '{\"spec\":{\"replicas\":5}}'", NULL, 0, "patched", "Flag --record is old"},
        {"rctl get deploy web -o jsonpath='{.metadata.annotations}'", NULL, 0,
         "kubernetes.io/change-cause\nrctl patch deploy web --record"},
        {"rctl patch deploy web --record --type json -p "
         "'[{\"op\":\"replace\",\"path\":\"/spec/replicas\",\"value\":1}]'",
         NULL, 0, "patched"},
        {"rctl get deploy web -o jsonpath='{.metadata.annotations}'", NULL, 0, "--type json"},
        {"rctl delete deploy web", NULL, 0},
    };
    habits_run(h, rows, ARRAY_SIZE(rows));
}

static void a_patch_of_a_part_changes_that_part(void **state)
{
    struct habits *h = *state;
    habits_must(h, "rctl apply -f -", WEB);
    habits_must(h, "rctl create cm conf --from-literal=a=b", NULL);
#define PATCH "rctl patch deploy web --type=merge --subresource="
    static const struct habit rows[] = {
        {PATCH "scale -p '{\"spec\":{\"replicas\":4}}' -o jsonpath={.spec.replicas}", NULL, 0, "=4"},
        {PATCH "scale -p '{\"spec\":{\"replicas\":5,\"minReadySeconds\":9}}'", NULL, 1, "=",
         "the part \"scale\" can change spec.replicas alone"},
        {PATCH "scale -p '{\"metadata\":{\"labels\":{\"a\":\"b\"}}}'", NULL, 1, "=", "spec.replicas alone"},
        {PATCH "status -p '{\"spec\":{\"replicas\":9},\"status\":{\"replicas\":6}}' -o "
               "jsonpath='{.spec.replicas} {.status.replicas}'",
         NULL, 0, "=4 6"},
        {PATCH "ephemeralcontainers -p '{\"spec\":{\"replicas\":1}}'", NULL, 5, "=",
         "deployments have no part \"ephemeralcontainers\""},
        {"rctl patch cm conf --subresource=status --type=merge -p '{\"data\":{\"a\":\"c\"}}'", NULL, 5, "=",
         "configmaps have no part \"status\"; leave it out"},
        {"rctl patch cm conf --subresource=scale --type=merge -p '{\"spec\":{\"replicas\":1}}'", NULL, 5, "=",
         "no part \"scale\""},
        {"rctl get cm conf -o jsonpath={.data.a}", NULL, 0, "=b"},
        /* What Kubernetes takes beside the RFC. */
        {"rctl patch cm conf --type=json -p '[{\"op\":\"test\",\"path\":\"/data/x\",\"value\":null},"
         "{\"op\":\"replace\",\"path\":\"/data/x\",\"value\":\"y\"}]' -o jsonpath={.data}",
         NULL, 0, "={\"a\":\"b\",\"x\":\"y\"}"},
        {"rctl delete deploy/web cm/conf", NULL, 0},
    };
    habits_run(h, rows, ARRAY_SIZE(rows));
}

/* ---- set ---- */

static void set_changes_one_thing(void **state)
{
    struct habits *h = *state;
    habits_file(h, "web.yaml", WEB);
    habits_must(h, "rctl apply -f web.yaml", NULL);
    habits_must(h, "rctl create cm conf --from-literal=db-host=h --from-literal=db-port=1", NULL);
    habits_must(h, "rctl create secret generic sec --from-literal=pass=hidden", NULL);
#define C0 "rctl get deploy web -o jsonpath='{.spec.template.spec.containers[0]."
    static const struct habit rows[] = {
        {"rctl set image deploy/web c=nginx:2", NULL, 0, "=deployment.apps/web image updated\n"},
        {"rctl set image deploy/web c=nginx:2", NULL, 0, "=", "="},
        {"rctl set image deploy/web c=Nginx:2", NULL, 2, "=",
         "c: couldn't parse image reference \"Nginx:2\": invalid reference format"},
        {"rctl run bad --image='a b'", NULL, 2, "=", "--image: couldn't parse image reference \"a b\""},
        {"rctl create deployment bad --image=https://x/y", NULL, 2, "=", "(it stands without https://)"},
        {"rctl set image deploy/web x=nginx:2", NULL, 5, "=", "error: unable to find container named \"x\""},
        {"rctl set image deploy web '*=all:1' --record", NULL, 0, "image updated", "--record is old"},
        {"rctl set image -f web.yaml c=local:1 --local -o yaml", NULL, 0, "image: local:1\n!namespace"},
        {"rctl set image deploy/web c=dry:1 --dry-run=client -o yaml", NULL, 0, "image: dry:1"},
        {"rctl set image deploy/web c=dry:1 --dry-run=server", NULL, 0, "image updated (server dry run)"},
        {C0 "image}'", NULL, 0, "=all:1"},
        {"rctl set env deploy/web A=1 B=2 -c c", NULL, 0, "=deployment.apps/web env updated\n"},
        {"rctl set env deploy/web --list", NULL, 0,
         "=# deployment.apps/web, container c\nA=1\nB=2\n# deployment.apps/web, container d\n"},
        {"rctl set env deploy/web A- -c c", NULL, 0, "updated"},
        {"rctl set env deploy/web B=3 --overwrite=false", NULL, 1, "=", "--overwrite is false"},
        {"rctl set env deploy/web B=3 -e E=4 -c c", NULL, 0, "updated"},
        {C0 "env}'", NULL, 0, "B\nE\n!\"A\""},
        {"rctl set env deploy/web --from=configmap/conf --prefix=X_ -c d", NULL, 0, "updated"},
        {"rctl set env deploy/web --from=secret/sec --keys=pass -c d", NULL, 0, "updated"},
        {"rctl set env deploy/web --list -c d", NULL, 0,
         "# X_DB_HOST from configmap conf, key db-host\n# PASS from secret sec, key pass\n!hidden"},
        {"rctl set env deploy/web --list --resolve -c d", NULL, 0, "X_DB_HOST=h\nPASS=hidden"},
        {"printf 'S=5\\r\\n# no\\n' | rctl set env deploy/web - -c c", NULL, 0, "updated"},
        {C0 "env[?(@.name==\"S\")].value}'", NULL, 0, "=5"},
        {"rctl set env deploy/web --from=deploy/web", NULL, 2, "=", "configmap/NAME or secret/NAME"},
        {"rctl set env deploy/web", NULL, 2, "=", "KEY=VALUE"},
        {"rctl set env -f web.yaml Q=1 --local -o json", NULL, 0, "\"name\": \"Q\""},
        {"rctl set resources deploy/web --limits=cpu=200m,memory=64Mi --requests=cpu=100m -c c", NULL, 0,
         "=deployment.apps/web resource requirements updated\n"},
        {C0 "resources}'", NULL, 0, "200m\n64Mi\n100m"},
        {"rctl set resources deploy/web", NULL, 2, "="},
        {"rctl set resources deploy/web --limits=cpu", NULL, 2, "=", "NAME=AMOUNT"},
        {"rctl set sa -f web.yaml builder --local -o yaml", NULL, 0, "serviceAccountName: builder"},
        {"rctl set serviceaccount -f web.yaml builder --local -o json", NULL, 0, "\"serviceAccountName\": \"builder\""},
        {"rctl set selector deploy/web app=other", NULL, 1, "=", "only a Service's selector"},
        {"rctl create service clusterip chosen --tcp=80", NULL, 0, "created"},
        {"rctl set selector service/chosen app=web,tier=front", NULL, 0, "=service/chosen selector updated\n"},
        {"rctl set selector svc chosen tier=back", NULL, 0, "=service/chosen selector updated\n"},
        {"rctl get svc chosen -o jsonpath={.spec.selector}", NULL, 0, "={\"tier\":\"back\"}"},
        {"rctl set selector svc/chosen app=x --resource-version=1", NULL, 3, "=", "not 1"},
        {"rctl set selector svc/chosen =x", NULL, 2, "=", "a selector is KEY=VALUE,..."},
        {"rctl delete svc chosen", NULL, 0},
        {"rctl patch secret sec --record -p '{\"stringData\":{\"pass\":\"hunter2\"}}'", NULL, 0, "patched"},
        {"rctl get secret sec -o yaml", NULL, 0, "change-cause: rctl patch\n!hunter2"},
        {"rctl delete deploy/web cm/conf secret/sec", NULL, 0},
    };
    habits_run(h, rows, ARRAY_SIZE(rows));
}

/* ---- edit ---- */

static void editing(void **state)
{
    struct habits *h = *state;
    habits_must(h,
                "rctl create ns ed && rctl -n ed create cm one --from-literal=k=old && rctl -n ed create cm two "
                "--from-literal=k=old",
                NULL);
    habits_must(h, "mkdir -p tmp", NULL);
    habits_file(h, "bad.sh",
                "#!/bin/sh\ncp \"$1\" seen-$(ls seen-* 2>/dev/null | wc -l)\n"
                "grep -q '  nam:' \"$1\" || sed -i 's/^data:/datum:/;s/^  name: /  nam: x\\n&/' \"$1\"\n");
    habits_file(
        h, "mend.sh",
        "#!/bin/sh\nif grep -q 'It was refused' \"$1\"; then sed -i 's/^datum:/data:/;s/k: old/k: mended/' \"$1\"\n"
        "else sed -i 's/^data:/datum:/' \"$1\"; fi\n");
    habits_file(h, "refuse.sh", "#!/bin/sh\nsed -i 's/name: one/name: other/' \"$1\"\n");
    habits_file(
        h, "race.sh",
        "#!/bin/sh\nrctl -n ed patch cm two -p '{\"data\":{\"k\":\"theirs\"}}'\nsed -i 's/k: .*/k: mine/' \"$1\"\n");
    habits_must(h, "chmod +x *.sh", NULL);
#define ED "TMPDIR=$HOME/tmp rctl -n ed edit "
    static const struct habit rows[] = {
        {"EDITOR=/no/such/editor " ED "cm one", NULL, 1, "=",
         "error: there is no editor \"/no/such/editor\"\n!from server"},
        {"EDITOR=false " ED "cm one", NULL, 1, "=", "the editor \"false\" failed\n!kept"},
        {"ls tmp", NULL, 0, "="},
        {"EDITOR=true " ED "cm one", NULL, 0, "=", "Edit cancelled, no changes made."},
        {"EDITOR='truncate -s 0' " ED "cm one", NULL, 0, "=", "file is empty"},
        {"ls tmp", NULL, 0, "="},
        {"EDITOR=false KUBE_EDITOR='sed -i s/old/new/' " ED "cm one", NULL, 0, "=configmap/one edited\n"},
        {"KUBE_EDITOR=false REEVE_EDITOR='sed -i s/new/old/' " ED "cm one", NULL, 0, "=configmap/one edited\n"},
        {"EDITOR=./bad.sh " ED "cm one", NULL, 1, "=",
         "nothing was changed\nWhat you typed is kept in\ntmp/rctl-edit-"},
        {"grep -c '^datum' tmp/rctl-edit-*", NULL, 0, "=1\n"},
        {"rm tmp/*; sed '/^apiVersion/,$d' seen-1 | grep -v '^#'", NULL, 1, "="},
        {"grep '^#' seen-1", NULL, 0, "# It was refused:\n\"datum\"\n\"metadata.nam\"", NULL},
        {"EDITOR=./mend.sh " ED "cm one", NULL, 0, "=configmap/one edited\n"},
        {"rctl -n ed get cm one -o jsonpath={.data.k}", NULL, 0, "=mended"},
        {"EDITOR=./refuse.sh " ED "cm one", NULL, 1, "=", "kept in"},
        {"rm tmp/*; EDITOR='sed -i s/mended/all/;s/old/all/' " ED "cm", NULL, HABIT_ANY},
        {"EDITOR='sed -i \"s/k: .*/k: all/\"' " ED "cm", NULL, 0, "configmap/one edited\nconfigmap/two edited"},
        {"EDITOR='sed -i \"0,/k: all/s//k: first/\"' " ED "cm one two", NULL, 0, "=configmap/one edited\n",
         "configmap/two skipped"},
        {"EDITOR='sed -i \"s/\\\"first\\\"/\\\"json\\\"/\"' " ED "cm/one -o json", NULL, 0, "=configmap/one edited\n"},
        {"rctl -n ed get cm one -o jsonpath={.data.k}", NULL, 0, "=json"},
        {ED "cm one -o name", NULL, 2, "=", "yaml or json"},
        {"EDITOR=true " ED "cm one nosuch", NULL, HABIT_ANY, "=", "nosuch"},
        {"EDITOR=./race.sh " ED "cm two", NULL, 3, "configmap/two patched\n!edited",
         "somebody changed it meanwhile\nWhat you typed is kept in"},
        {"grep -h 'k: ' tmp/rctl-edit-*; rm tmp/*; rctl -n ed get cm two -o jsonpath={.data.k}", NULL, 0,
         "=  k: mine\ntheirs"},
        {"EDITOR='sed -i s/json/rec/' " ED "cm one --record", NULL, 0, "edited"},
        {"rctl -n ed get cm one -o yaml", NULL, 0, "kubernetes.io/change-cause: rctl -n ed edit cm one --record"},
        {"ls tmp", NULL, 0, "="},
    };
    habits_run(h, rows, ARRAY_SIZE(rows));
}

/* ---- delete ---- */

static void deleting(void **state)
{
    struct habits *h = *state;
    habits_must(h,
                "rctl create ns del; for i in a b c d e f; do rctl -n del create cm $i --from-literal=k=v; rctl -n del "
                "label cm $i n=$i; done",
                NULL);
#define DEL "rctl -n del delete "
    static const struct habit rows[] = {
        {DEL "cm --field-selector metadata.name=a", NULL, 0, "=configmap \"a\" deleted\n"},
        {DEL "cm -l n=b", NULL, 0, "=configmap \"b\" deleted\n"},
        {DEL "cm/c --dry-run=server", NULL, 0, "=configmap \"c\" deleted (server dry run)\n"},
        {DEL "cm/c --dry-run", NULL, 0, "=configmap \"c\" deleted (dry run)\n"},
        {DEL "cm c x", NULL, HABIT_ANY, "=configmap \"c\" deleted\n", "\"x\" not found"},
        {DEL "cm x", NULL, 5, "="},
        {DEL "cm d -o yaml", NULL, 2, "=", "--output of delete is name"},
        {"rctl -n del create cm named --from-literal=a=b && " DEL "cm named -o name", NULL, 0,
         "configmap/named\n!deleted"},
        {DEL "cm x --ignore-not-found", NULL, 0, "=", "="},
        {DEL "cm x --ignore-not-found=true", NULL, 0, "=", "="},
        {DEL "cm/d -i", "n\n", 0, "configmap/d\n(y/N)\n!deleted", "nothing was deleted"},
        {DEL "cm/d -i", "y\n", 0, "configmap \"d\" deleted"},
        {DEL "cm e --now --wait=false", NULL, 0, "deleted"},
        {DEL "cm f --force --grace-period=0", NULL, 0, "=configmap \"f\" force deleted\n"},
        {DEL "cm --all --cascade=orphan", NULL, HABIT_ANY},
        {DEL "cm --all --cascade=perhaps", NULL, 2, "=", "background, foreground or orphan"},
        {DEL "cm", NULL, 2, "=", "--field-selector"},
        {DEL "cm a --field-selector metadata.name=a", NULL, 2, "=", "cannot be combined"},
        {DEL "cm --field-selector metadata.name=none", NULL, 0, "=", "No resources found"},
    };
    habits_run(h, rows, ARRAY_SIZE(rows));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(manifests_come_in_every_spelling),
        cmocka_unit_test(unknown_kinds_are_listed_and_can_be_left_out),
        cmocka_unit_test(validate_is_strict_warn_or_ignore),
        cmocka_unit_test(a_client_dry_run_names_no_namespace),
        cmocka_unit_test(what_is_there_is_handled_and_what_is_missing_is_told),
        cmocka_unit_test(labels_and_annotations),
        cmocka_unit_test(patches_of_every_type),
        cmocka_unit_test(a_patch_of_a_part_changes_that_part),
        cmocka_unit_test(set_changes_one_thing),
        cmocka_unit_test(editing),
        cmocka_unit_test(deleting),
    };
    return cmocka_run_group_tests(tests, set_up, habits_tear_down);
}
