/* rctl top and autoscale: what hollow containers say that they use comes over agents and masters to who asks, and to
 * the autoscaler. The agents measure every second. */
#include "tests/unit/kit/habits.h"

static const char workload[] =
    "apiVersion: apps/v1\n"
    "kind: Deployment\n"
    "metadata: {name: web, labels: {app: web}}\n"
    "spec:\n"
    "  replicas: 2\n"
    "  selector: {matchLabels: {app: web}}\n"
    "  template:\n"
    "    metadata: {labels: {app: web}}\n"
    "    spec:\n"
    "      containers:\n"
    "      - {name: c, image: x:1, resources: {requests: {cpu: 100m, memory: 64Mi}}, env: [{name: HOLLOW_CPU_MILLI, "
    "value: '200'}, {name: HOLLOW_MEMORY_BYTES, value: '33554432'}]}\n"
    "      - {name: side, image: x:1, resources: {requests: {cpu: 100m, memory: 64Mi}}, env: [{name: HOLLOW_CPU_MILLI, "
    "value: '0'}]}\n";

static int set_up(void **state)
{
    static const char *const args[] = {"--usage", "1", NULL};
    struct habits *h = habits_start_with(1, args);
    *state = h;
    return 0;
}

static void top_says_when_nothing_is_known_yet(void **state)
{
    static const struct habit rows[] = {
        {"rctl top pods", NULL, 0, "=", "No resources found in default namespace."},
        {"rctl top pods -A", NULL, 0, "=", "No resources found"},
        {"rctl top pod none", NULL, 5, "=", "pods \"none\" not found"},
        {"rctl top node none", NULL, 5, "=", "nodes \"none\" not found"},
        {"rctl run silent --image=x:1 && rctl wait pod/silent --for=condition=Ready --timeout=30s >/dev/null && "
         "rctl top pods",
         NULL, 1, "pod/silent created", "what pods use is not known yet (silent): nodes measure it every 1 s"},
        {"rctl top pods --sort-by=name a b", NULL, 2, "=", "one name, or none"},
        {"rctl top pod silent -l a=b", NULL, 2, "=", "cannot be combined with -l"},
        {"rctl top pod silent -A", NULL, 2, "=", "without -A"},
    };
    RUN(rows);
}

static void top_shows_what_is_used(void **state)
{
    static const struct habit rows[] = {
        {"rctl top nodes", NULL, 0, "NAME       CPU(cores)   CPU(%)   MEMORY(bytes)   MEMORY(%)\nhollow-0", "="},
        {"rctl top node hollow-0 --no-headers | wc -l", NULL, 0, "=1\n", "="},
        {"rctl top pods -l app=web", NULL, 0, "CPU(cores)   MEMORY(bytes)\nweb-\n32Mi", "="},
        {"rctl top pods -l app=web --no-headers | awk '{print $3}'", NULL, 0, "=32Mi\n32Mi\n", "="},
        {"rctl top po -l app=web --no-headers | awk '{sub(/m/, \"\", $2); print ($2 >= 190 && $2 <= 210)}'", NULL, 0,
         "=1\n1\n", "="},
        {"rctl top pods -l app=web --containers --sort-by=cpu --no-headers | awk '{print $2}'", NULL, 0,
         "=c\nc\nside\nside\n", "="},
        {"rctl top pods -A --sort-by=memory | head -1", NULL, 0, "NAMESPACE   NAME", NULL},
        {"rctl top pods --sum -l app=web", NULL, 0, "________     ________\n64Mi", "="},
        {"rctl top pods --field-selector spec.nodeName=none", NULL, 0, "=", "No resources found"},
        {"rctl top pods", NULL, 0, "web-", "not known yet of 1 pods: silent"},
    };
    habits_file(*state, "web.yaml", workload);
    habits_must(*state, "rctl apply -f web.yaml && rctl rollout status deploy/web --timeout=30s", NULL);
    habits_until(*state, "test \"$(rctl top pods -l app=web --no-headers | wc -l)\" = 2");
    RUN(rows);
}

/* 200m of 200m that are requested; half of that is wanted. */
static void a_busy_deployment_grows(void **state)
{
    static const struct habit rows[] = {
        {"rctl autoscale deploy/web", NULL, 2, "=", "--max=N"},
        {"rctl autoscale deploy/none/x --max=3", NULL, 2, "=", "more than one slash"},
        {"rctl autoscale deploy/none --max=3", NULL, 5, "=", "deployments.apps \"none\" not found"},
        {"rctl autoscale pod/silent --max=3", NULL, 2, "=", "cannot autoscale a Pod"},
        {"rctl autoscale deploy/web --max=3 --min=4", NULL, 2, "=", "--min=4 is more than --max=3"},
        {"rctl autoscale deploy/web --max=3 --cpu=much", NULL, 2, "=", "--cpu is a percentage (80%) or an amount"},
        {"rctl autoscale deploy/web --max=3 --memory=10Mi --dry-run=client -o yaml", NULL, 0,
         "apiVersion: autoscaling/v2\naverageValue: 10Mi\nmaxReplicas: 3\nname: web", "="},
        {"rctl autoscale deploy web --min=2 --max=3 --cpu-percent=50", NULL, 0,
         "=horizontalpodautoscaler.autoscaling/web autoscaled\n", "="},
        {"until [ \"$(rctl get deploy web -o jsonpath='{.spec.replicas}')\" = 3 ]; do sleep 0.1; done", NULL, 0, "=",
         "="},
        {"rctl get hpa web --no-headers | awk '{print $1, $2, $3, $5, $6, $7}'", NULL, 0, "web Deployment/web cpu: 2 3",
         "="},
        {"rctl get hpa", NULL, 0, "NAME   REFERENCE        TARGETS\nMINPODS   MAXPODS   REPLICAS   AGE\n%/50%", "="},
        {"rctl describe hpa web", NULL, 0,
         "Deployment/web\nresource cpu on pods  (as a percentage of request):\nMin replicas:\nMax replicas:\n"
         "ScalingActive   True\nTooManyReplicas\nSuccessfulRescale\nNew size: 3; reason: cpu resource utilization",
         "="},
        {"rctl get hpa.v1.autoscaling web -o jsonpath='{.apiVersion} {.spec.targetCPUUtilizationPercentage}'", NULL, 0,
         "=autoscaling/v1 50", "="},
        /* Without its version: the autoscaler writes its status meanwhile. */
        {"rctl get hpa.v1.autoscaling web -o yaml | grep -v resourceVersion: > v1.yaml && "
         "rctl apply -f v1.yaml 2>/dev/null && "
         "rctl get hpa web -o jsonpath='{.spec.metrics[*].resource.target.averageUtilization}'",
         NULL, 0, "horizontalpodautoscaler.autoscaling/web configured\n50", "="},
        {"rctl explain hpa.spec.behavior.scaleDown", NULL, 0, "stabilizationWindowSeconds", "="},
    };
    RUN(rows);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(top_says_when_nothing_is_known_yet),
        cmocka_unit_test(top_shows_what_is_used),
        cmocka_unit_test(a_busy_deployment_grows),
    };
    return cmocka_run_group_tests(tests, set_up, habits_tear_down);
}
