/* rctl get as kubectl get is typed: columns, templates, files, order, watches, raw paths. */
#include "tests/unit/kit/habits.h"

static const char pods[] =
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a2, labels: {app: web, tier: front, x.io/zone: z1}}\ndata: {k: "
    "'10'}\n"
    "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a10, labels: {app: web}}\ndata: {k: '9', only: here}\n"
    "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a1}\ndata: {k: 2Ki}\n"
    "---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\ntype: Opaque\nstringData: {p: hunter2}\n"
    "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: there, namespace: other}\ndata: {k: v}\n";

static int set_up(void **state)
{
    struct habits *h = habits_start(1);
    habits_must(h, "rctl create namespace other", NULL);
    habits_file(h, "objects.yaml", pods);
    habits_must(h, "rctl apply -f objects.yaml", NULL);
    habits_must(h,
                "rctl create deployment web --image=web:1 --replicas=2 && rctl rollout status deploy/web --timeout=30s",
                NULL);
    *state = h;
    return 0;
}

static void columns_of_labels_and_kinds(void **state)
{
    static const struct habit rows[] = {
        {"rctl get cm a2 -L app,tier -L x.io/zone", NULL, 0, "NAME   DATA   AGE\nAPP   TIER    ZONE\nweb   front   z1",
         "="},
        {"rctl get cm a1 --label-columns=app --no-headers", NULL, 0, "<none>\n!APP", "="},
        {"rctl get cm a2 --show-kind", NULL, 0, "configmap/a2", "="},
        {"rctl get cm a2 --show-labels", NULL, 0, "LABELS\napp=web,tier=front,x.io/zone=z1", "="},
        {"rctl get cm --no-headers | wc -l", NULL, 0, "=3\n", "="},
        {"rctl get cm -A -o name --chunk-size=1", NULL, 0, "configmap/a1\nconfigmap/there", "="},
        {"rctl get cm --chunk-size=500 --server-print=false --show-managed-fields -o name a1", NULL, 0,
         "=configmap/a1\n", "="},
        {"rctl get cm --chunk-size=many", NULL, 2, "=", "--chunk-size is a whole number"},
        {"rctl get cm,deploy -o name", NULL, 0, "=configmap/a1\nconfigmap/a10\nconfigmap/a2\ndeployment.apps/web\n",
         "="},
        {"rctl get configmaps/a1 deployments.apps/web -o name", NULL, 0, "=configmap/a1\ndeployment.apps/web\n", "="},
    };
    RUN(rows);
}

static void lists_are_ordered_by_a_field_that_exists(void **state)
{
    static const struct habit rows[] = {
        {"rctl get cm --sort-by=.metadata.name -o name", NULL, 0, "=configmap/a1\nconfigmap/a2\nconfigmap/a10\n", "="},
        {"rctl get cm --sort-by='{.data.k}' -o name", NULL, 0, "=configmap/a10\nconfigmap/a2\nconfigmap/a1\n", "="},
        {"rctl get cm --sort-by=data.only -o name", NULL, 0, "=configmap/a1\nconfigmap/a2\nconfigmap/a10\n", "="},
        {"rctl get cm --sort-by=.nosuch", NULL, 2, "=", "no object of the list has a field \".nosuch\""},
        {"rctl get cm -l app=none --sort-by=.nosuch", NULL, 0, "=", "No resources found"},
        {"rctl get cm --sort-by='.a['", NULL, 2, "=", "--sort-by: jsonpath"},
    };
    RUN(rows);
}

static void templates_and_paths(void **state)
{
    habits_file(*state, "t.tpl", "{{range .items}}{{.metadata.name}} {{end}}");
    habits_file(*state, "p.txt", "{.items[*].metadata.name}");
    habits_file(*state, "c.txt", "NAME   VALUE\nmetadata.name  .data.k\n");
    habits_file(*state, "bad.txt", "NAME   VALUE\nmetadata.name\n");
    static const struct habit rows[] = {
        {"rctl get cm -o go-template='{{range .items}}{{.metadata.name}}={{.data.k}};{{end}}'", NULL, 0,
         "=a1=2Ki;a10=9;a2=10;", "="},
        {"rctl get cm a1 -o template --template='{{.kind}}/{{.metadata.name}}{{\"\\n\"}}'", NULL, 0, "=ConfigMap/a1\n",
         "="},
        {"rctl get cm a1 --template='{{.metadata.name}}'", NULL, 0, "=a1", "="},
        {"rctl get cm -o go-template-file=t.tpl", NULL, 0, "=a1 a10 a2 ", "="},
        {"rctl get cm -o templatefile --template=t.tpl", NULL, 0, "=a1 a10 a2 ", "="},
        {"rctl get secret s -o go-template='{{.data.p}} {{.data.p | base64decode}}'", NULL, 0, "=aHVudGVyMg== hunter2",
         "="},
        {"rctl get cm a1 -o go-template='{{.a.b}}'", NULL, 2, "=", "template: 1:3: nil pointer evaluating b"},
        {"rctl get cm a1 -o go-template='{{if}}'", NULL, 2, "=", "template: 1:5: missing value"},
        {"rctl get cm a1 -o go-template", NULL, 2, "=", "-o go-template needs a template"},
        {"rctl get cm -o go-template-file=none.tpl", NULL, 5, "=", "none.tpl"},
        {"rctl get cm -o jsonpath='{.items[0,2].metadata.name}'", NULL, 0, "=a1 a2", "="},
        {"rctl get cm -o jsonpath='{.items[0:3:2].metadata.name}'", NULL, 0, "=a1 a2", "="},
        {"rctl get cm -o jsonpath=\"{.items[1]['kind','data'].k}\"", NULL, 0, "=9", "="},
        {"rctl get cm -o jsonpath=\"{.items[*]['kind', 'apiVersion']}\"", NULL, 0,
         "=ConfigMap ConfigMap ConfigMap v1 v1 v1", "="},
        {"rctl get cm -o jsonpath='{range .items[*]}[{.metadata.name}, {.data.k}] {end}'", NULL, 0,
         "=[a1, 2Ki] [a10, 9] [a2, 10] ", "="},
        {"rctl get cm a2 -o jsonpath='{.metadata.labels.x\\.io/zone}'", NULL, 0, "=z1", "="},
        {"rctl get cm -o jsonpath='{.items[0:3:0]}'", NULL, 2, "=", "a step is above 0"},
        {"rctl get cm -o jsonpath='{.items[0,]}'", NULL, 2, "=", "expected an index"},
        {"rctl get cm -o jsonpath-file=p.txt", NULL, 0, "=a1 a10 a2", "="},
        {"rctl get cm -o jsonpath --template='{.items[0].data.k}'", NULL, 0, "=2Ki", "="},
        {"rctl get cm -o jsonpath-as-json='{.items[*].metadata.name}'", NULL, 0,
         "=[\n    \"a1\",\n    \"a10\",\n    \"a2\"\n]\n", "="},
        {"rctl get cm -o jsonpath-as-json='{.nosuch}'", NULL, 0, "=[]\n", "="},
        {"rctl get cm -o custom-columns=N:{.metadata.name},K:data.k,X:{nosuch}", NULL, 0,
         "N     K     X\na1    2Ki   <none>", "="},
        {"rctl get cm -o custom-columns-file=c.txt --no-headers", NULL, 0, "=a1    2Ki\na10   9\na2    10\n", "="},
        {"rctl get cm -o custom-columns-file=bad.txt", NULL, 2, "=", "a line of titles and one of as many paths"},
        {"rctl get cm -o xml", NULL, 2, "=",
         "unknown output form \"xml\"\ngo-template-file=FILE\njsonpath-as-json=..."},
        {"rctl get cm -o json=x", NULL, 2, "=", "unknown output form \"json=x\""},
    };
    RUN(rows);
}

static void objects_of_files(void **state)
{
    static const struct habit rows[] = {
        {"rctl get -f objects.yaml -o name", NULL, 0,
         "=configmap/a2\nconfigmap/a10\nconfigmap/a1\nsecret/s\nconfigmap/there\n", "="},
        {"rctl get -f - -o name", pods, 0, "configmap/there", "="},
        {"rctl get -f objects.yaml -o jsonpath='{.items[*].metadata.namespace}'", NULL, 0,
         "=default default default default other", "="},
        {"rctl get -f none.yaml", NULL, 5, "=", "none.yaml"},
        {"rctl get cm a1 none --ignore-not-found -o name", NULL, 0, "=configmap/a1\n", "="},
        {"rctl get cm -l app=none --ignore-not-found", NULL, 0, "=", "="},
        {"rctl get cm a1 -A", NULL, 2, "=", "cannot be combined"},
    };
    RUN(rows);
}

/* The line while an object changes again and again. */
#define CHANGING(line)                                                                                                 \
    "rm -f stop; (until [ -e stop ]; do i=$((i + 1)); rctl label cm a1 seen=x$i --overwrite >/dev/null; done) & " line \
    "; touch stop; wait; rctl label cm a1 seen- >/dev/null"

/* A watch ends when its reader has seen enough. */
static void watches_show_what_was_asked(void **state)
{
    static const struct habit rows[] = {
        {"first 2 rctl get cm -w --output-watch-events", NULL, 0, "EVENT   NAME\nADDED   a1", NULL},
        {"first 3 rctl get cm -w -o custom-columns=N:.metadata.name", NULL, 0, "=N\na1\na10\n", NULL},
        {CHANGING("first 1 rctl get cm a1 --watch-only -o jsonpath='{.metadata.labels.seen}'"), NULL, 0, "x\n!a1",
         NULL},
        {CHANGING("first 22 rctl get cm a1 --watch-only --output-watch-events -o json"), NULL, 0,
         "\"type\": \"MODIFIED\"\n!ADDED", NULL},
        {"rctl get cm none -w", NULL, 5, "=", "not found"},
        {"rctl get cm,secrets -w", NULL, 2, "=", "one type, or one object, can be watched at a time"},
        {"first 1 rctl get cm --sort-by=.metadata.name -w", NULL, 0, "NAME", "--sort-by is ignored"},
    };
    RUN(rows);
}

static void raw_paths_answer_as_the_api_would(void **state)
{
    static const struct habit rows[] = {
        {"rctl get --raw /version", NULL, 0, "\"major\":\"0\"\n\"gitVersion\":\"v0.", "="},
        {"rctl get --raw /healthz", NULL, 0, "=ok", "="},
        {"rctl get --raw=/livez; rctl get --raw '/readyz?verbose'", NULL, 0, "=okok", "="},
        {"rctl get --raw /", NULL, 0, "\"/apis/apps/v1\"", "="},
        {"rctl get --raw /api", NULL, 0, "={\"kind\":\"APIVersions\",\"versions\":[\"v1\"]}\n", "="},
        {"rctl get --raw /apis", NULL, 0, "APIGroupList\n\"groupVersion\":\"apps/v1\"", "="},
        {"rctl get --raw /apis/apps", NULL, 0, "\"kind\":\"APIGroup\"", "="},
        {"rctl get --raw /api/v1", NULL, 0, "\"name\":\"pods\"\n\"shortNames\":[\"cm\"]\npods/log\n!deployments", "="},
        {"rctl get --raw /apis/apps/v1", NULL, 0, "deployments/scale\n!pods", "="},
        {"rctl get --raw /api/v1/namespaces/default/configmaps/a1", NULL, 0, "\"k\":\"2Ki\"", "="},
        {"rctl get --raw '/api/v1/namespaces/default/configmaps?labelSelector=app%3Dweb&limit=1'", NULL, 0,
         "ConfigMapList\n\"a10\"\n\"a2\"\n!\"a1\"", "="},
        {"rctl get --raw /api/v1/configmaps", NULL, 0, "\"there\"", "="},
        {"rctl get --raw /api/v1/namespaces/other", NULL, 0, "\"phase\":\"Active\"", "="},
        {"rctl get --raw /api/v1/namespaces/default/pods?fieldSelector=foo=bar", NULL, 1, "=",
         "field label not supported"},
        {"rctl get --raw /apis/apps/v1/namespaces/default/deployments/web/scale", NULL, 0,
         "\"kind\":\"Scale\"\n\"spec\":{\"replicas\":2}\napp=web", "="},
        {"rctl get --raw /apis/apps/v1/namespaces/default/deployments/web/status", NULL, 0, "\"readyReplicas\":2", "="},
        {"first 1 rctl get --raw '/api/v1/configmaps?watch=true'", NULL, 0, "{\"type\":\"ADDED\",\"object\":{", NULL},
        {"rctl get --raw /apis/storage.k8s.io/v1/csidrivers", NULL, 5, "=", "CSIDriver is not there yet"},
        {"rctl get --raw /api/v1/namespaces/default/configmaps/none", NULL, 5, "=", "not found"},
        {"rctl get --raw /api/v2/pods", NULL, 5, "=", "could not find the requested resource"},
        {"rctl get --raw /metrics", NULL, 0, "# TYPE reeve_requests_total counter\nreeve_requests_total ", "="},
        {"rctl get --raw /openapi/v2", NULL, HABIT_ANY, "=", "\"/openapi/v2\" is told over HTTPS alone"},
        {"rctl get --raw /logs", NULL, HABIT_ANY, "=", "serve none"},
        {"rctl get cs", NULL, 2, "=", "ComponentStatus is not there: Kubernetes has deprecated it"},
        {"rctl get --raw /metrics/more", NULL, 5, "=", "could not find the requested resource"},
        {"rctl get --raw /metrics --as kate", NULL, 6, "=", "User \"kate\" cannot get path \"/metrics\""},
        {"rctl get --raw pods", NULL, 2, "=", "begins with /"},
        {"rctl get --raw /api pods", NULL, 2, "=", "nothing else"},
    };
    RUN(rows);
}

static void events_by_object_and_type(void **state)
{
    static const struct habit rows[] = {
        {"rctl events --for deploy/web", NULL, 0, "ScalingReplicaSet\n!Started", "="},
        {"rctl events --for deployments.apps/web --types=Normal,Warning -o name", NULL, 0, "event/", "="},
        {"rctl events --types=warning --for deploy/web", NULL, 0, "=", "No resources found"},
        {"rctl events --types=Bad", NULL, 2, "=", "--types are Normal or Warning"},
        {"rctl events --for web", NULL, 2, "=", "--for wants TYPE/NAME"},
        {"rctl events --for csidriver/web", NULL, 2, "=", "CSIDriver is not there yet"},
        {"first 2 rctl events --for deploy/web -w", NULL, 0, "REASON\nScalingReplicaSet", NULL},
        {"rctl events -o custom-columns=R:.reason --for deploy/web", NULL, 0, "R\nScalingReplicaSet", "="},
        {"rctl get events -A --field-selector involvedObject.kind=Deployment -o jsonpath='{.items[0].reason}'", NULL, 0,
         "=ScalingReplicaSet", "="},
    };
    RUN(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_of_labels_and_kinds), cmocka_unit_test(lists_are_ordered_by_a_field_that_exists),
        cmocka_unit_test(templates_and_paths),         cmocka_unit_test(objects_of_files),
        cmocka_unit_test(watches_show_what_was_asked), cmocka_unit_test(raw_paths_answer_as_the_api_would),
        cmocka_unit_test(events_by_object_and_type),
    };
    return cmocka_run_group_tests(tests, set_up, habits_tear_down);
}
