/* What rctl says of fields that are not carried out: warnings on stderr for each way to write, refusals, marks of
 * explain. */
#include "tests/unit/kit/habits.h"

static int set_up(void **state)
{
    struct habits *h = habits_start(0);
    habits_file(h, "web.yaml",
                "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 1\n"
                "  selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n    spec:\n"
                "      securityContext: {seLinuxChangePolicy: Recursive}\n      containers:\n      - {name: c, image: "
                "'nginx:1'}\n");
    habits_must(
        h, "sed 's/securityContext: {.*}/resourceClaims: [{name: g, resourceClaimName: g}]/' web.yaml > refused.yaml",
        NULL);
    habits_must(h, "sed 's/securityContext: {.*}/terminationGracePeriodSeconds: 5/' web.yaml > quiet.yaml", NULL);
    *state = h;
    return 0;
}

#define SELINUX "securityContext.seLinuxChangePolicy: not carried out yet: labels of SELinux are not set"
#define WARNING "=Warning: spec.template.spec." SELINUX "\n"
#define QUIET   "!Warning:"

static void every_way_to_write_warns(void **state)
{
    static const struct habit rows[] = {
        {"rctl create -f web.yaml --dry-run=client", NULL, 0, "deployment.apps/web created (dry run)", WARNING},
        {"rctl create -f web.yaml --dry-run=server", NULL, 0, "deployment.apps/web created (server dry run)", WARNING},
        {"rctl apply -f web.yaml --dry-run=server", NULL, 0, "deployment.apps/web created (server dry run)", WARNING},
        {"rctl apply -f web.yaml -o name", NULL, 0, "=deployment.apps/web\n", WARNING},
        {"rctl scale deploy web --replicas=2", NULL, 0, "scaled", QUIET},
        {"rctl label deploy web a=b", NULL, 0, "labeled", QUIET},
        {"rctl set image deploy web c=nginx:2", NULL, 0, "image updated", WARNING},
        {"rctl patch deploy web --type=merge -p '{\"spec\":{\"minReadySeconds\":1}}'", NULL, 0, "patched", WARNING},
        {"sed s/nginx:1/nginx:3/ web.yaml | rctl replace -f -", NULL, 0, "replaced", WARNING},
        {"rctl get events --field-selector reason=NotCarriedOut", NULL, 0, "seLinuxChangePolicy: not carried out yet"},
        {"rctl describe deploy web", NULL, 0, "NotCarriedOut"},
    };
    RUN(rows);
}

/* Events are kept for an hour: the pod says it for as long as it lives, also one that a ReplicaSet made. */
static void pods_have_a_condition_for_what_is_not_carried_out(void **state)
{
    habits_until(*state, "rctl get pods -l app=web -o name | grep -q pod/");
    static const struct habit rows[] = {
        {"rctl get pods -l app=web -o jsonpath='{.items[0].status.conditions[?(@.type==\"NotCarriedOut\")].message}'",
         NULL, 0, "=spec." SELINUX},
        {"rctl run alone --image=x:1 "
         "--overrides='{\"spec\":{\"securityContext\":{\"seLinuxChangePolicy\":\"Recursive\"}}}'",
         NULL, 0, "created"},
        {"rctl wait --for=condition=NotCarriedOut pod/alone --timeout=30s", NULL, 0, "condition met"},
        {"rctl describe pod alone", NULL, 0, "NotCarriedOut"},
        {"rctl run plain --image=x:1 && rctl get pod plain -o yaml", NULL, 0, "!NotCarriedOut"},
    };
    RUN(rows);
}

#define PRIVILEGED_POD "rctl run deep --image=x:1 -n safe --privileged"

/* Pod security: refused by the level that is enforced, warned of by the other, also where a template is written; and
 * whoever raises a level hears of the pods that are there. */
static void pod_security_refuses_and_warns(void **state)
{
    static const struct habit rows[] = {
        {"rctl create ns safe", NULL, 0, "created"},
        {PRIVILEGED_POD, NULL, 0, "created", QUIET},
        {"rctl label ns safe pod-security.kubernetes.io/warn=baseline", NULL, 0, "labeled", QUIET},
        {"rctl label ns safe pod-security.kubernetes.io/enforce=baseline", NULL, 0, "labeled",
         "Warning: existing pods in namespace \"safe\" violate the new PodSecurity enforce level \"baseline:latest\"\n"
         "Warning: deep: privileged (container \"deep\" must not set securityContext.privileged=true)"},
        {"rctl label ns safe pod-security.kubernetes.io/enforce=base --overwrite", NULL, HABIT_ANY, "=",
         "pod-security.kubernetes.io/enforce\nmust be one of privileged, baseline, restricted"},
        {"rctl run deeper --image=x:1 -n safe --privileged", NULL, HABIT_ANY, "=",
         "pods \"deeper\" is forbidden: violates PodSecurity \"baseline:latest\": privileged (container \"deeper\""},
        {"rctl label ns safe pod-security.kubernetes.io/warn=restricted --overwrite", NULL, 0, "labeled"},
        {"rctl run plain --image=x:1 -n safe", NULL, 0, "created",
         "Warning: would violate PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false"},
        {"rctl create deploy web --image=x:1 -n safe", NULL, 0, "created",
         "Warning: would violate PodSecurity \"restricted:latest\"\nseccompProfile (pod or container \"x\""},
        {"rctl scale deploy web --replicas=3 -n safe", NULL, 0, "scaled", QUIET},
        {"rctl cluster set podSecurityEnforce=baseline podSecurityWarn=restricted", NULL, 0, "configured"},
        {"rctl run deep --image=x:1 --privileged", NULL, HABIT_ANY, "=", "violates PodSecurity \"baseline:latest\""},
        {"rctl run deep --image=x:1 --privileged -n kube-system", NULL, 0, "created", QUIET},
        {"rctl cluster set podSecurityEnforce= podSecurityWarn=", NULL, 0, "configured"},
        {"rctl run deep --image=x:1 --privileged", NULL, 0, "created", QUIET},
    };
    RUN(rows);
}

static void a_broken_promise_is_refused_and_a_kept_one_is_quiet(void **state)
{
    static const struct habit rows[] = {
        {"rctl create -f refused.yaml --dry-run=client", NULL, 0, "created (dry run)",
         "Warning: spec.template.spec.resourceClaims: not carried out yet: there are no resource claims"},
        {"rctl create -f refused.yaml", NULL, 1, "=",
         "Forbidden: not carried out yet: there are no resource claims; the devices would be missing"},
        {"rctl delete deploy web", NULL, 0, "deleted", QUIET},
        {"rctl apply -f quiet.yaml", NULL, 0, "deployment.apps/web created", QUIET},
        {"rctl run a --image=x:1 --image-pull-policy=Always --dry-run=server", NULL, 0, "pod/a created", QUIET},
        {"rctl explain pod.spec.resourceClaims", NULL, 0,
         "Not carried out yet, so it is refused: there are no resource"},
    };
    RUN(rows);
}

/* Duplicates, fractions of bytes, old labels, a key that does not fit: as Kubernetes warns. */
static void what_is_hardly_meant_is_warned_of(void **state)
{
    struct habits *h = *state;
#define POD(container, more)                                                                                           \
    "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {" more "containers: [{name: c, image: 'i:1', " container   \
    "}]}\n"
    habits_file(h, "env.yaml", POD("env: [{name: A, value: a}, {name: B}, {name: A, value: b}]", ""));
    habits_file(h, "bytes.yaml", POD("resources: {limits: {memory: 400m, cpu: 400m}}", ""));
    habits_file(h, "ports.yaml",
                POD("ports: [{containerPort: 80}, {containerPort: 80, protocol: UDP}, "
                    "{containerPort: 80, name: x}]",
                    ""));
    habits_file(h, "label.yaml", POD("", "nodeSelector: {beta.kubernetes.io/os: linux}, "));
    habits_file(h, "policy.yaml",
                "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec: {podSelector: {}, "
                "ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}, {ipBlock: {cidr: 'fd00::/8', except: "
                "['fd00:1::/32']}}]}], egress: [{to: [{ipBlock: {cidr: '::/0'}}]}]}\n");
    habits_must(h,
                "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=a -keyout a.key -out "
                "a.crt 2>/dev/null && openssl ecparam -name prime256v1 -genkey -noout -out b.key",
                NULL);
    static const struct habit rows[] = {
        {"rctl create --dry-run=server -f env.yaml", NULL, 0, "created",
         "=Warning: spec.containers[0].env[2]: hides an earlier \"A\", which may get lost in an apply\n"},
        {"rctl create --dry-run=server -f bytes.yaml", NULL, 0, "created",
         "=Warning: spec.containers[0].resources.requests[memory]: \"400m\" is no whole number of bytes; m stands for "
         "thousandths\nWarning: spec.containers[0].resources.limits[memory]: \"400m\" is no whole number of bytes; m "
         "stands for thousandths\n"},
        {"rctl create --dry-run=server -f ports.yaml", NULL, 0, "created",
         "=Warning: spec.containers[0].ports[2]: the same port as an earlier one\n"},
        {"rctl create quota q --hard=count/job=1,count/jobs.batch=1 --dry-run=server", NULL, 0, "created",
         "=Warning: spec.hard[count/job]: counts nothing: there is no such kind here; the form is count/jobs.batch, "
         "count/pods\n"},
        {"rctl create --dry-run=server -f label.yaml", NULL, 0, "created",
         "=Warning: spec.nodeSelector[beta.kubernetes.io/os]: an old name of the label; write kubernetes.io/os\n"},
        {"rctl create --dry-run=server -f policy.yaml", NULL, 0, "created",
         "=Warning: spec.ingress[0].from[1].ipBlock.cidr: \"fd00::/8\" matches nobody: pods have addresses of IPv4 "
         "alone\nWarning: spec.egress[0].to[0].ipBlock.cidr: \"::/0\" matches nobody: pods have addresses of IPv4 "
         "alone\n"},
        {"rctl create secret generic t --type=kubernetes.io/tls --from-file=tls.crt=a.crt --from-file=tls.key=b.key",
         NULL, 0, "created", "=Warning: data: tls.crt and tls.key are no certificate and the key that belongs to it\n"},
        {"rctl patch secret t --type=merge -p \"{\\\"data\\\":{\\\"tls.key\\\":\\\"$(base64 -w0 a.key)\\\"}}\"", NULL,
         0, "patched", QUIET},
        {"rctl patch secret t --type=merge -p '{\"stringData\":{\"tls.key\":\"x\"}}'", NULL, 0, "patched",
         "no certificate and the key"},
        {"rctl delete secret t", NULL, 0},
    };
    habits_run(h, rows, ARRAY_SIZE(rows));
}

/* Two controllers for the same pods: who makes the second one hears it, and an event is about the younger. */
static void selectors_that_would_fight_are_told(void **state)
{
    static const struct habit rows[] = {
        {"rctl create deployment first --image=x:1 --replicas=0", NULL, 0, "created", QUIET},
        {"rctl create deployment first --image=x:1 --replicas=0 --dry-run=client -o yaml | sed 's/^  name: first/  "
         "name: "
         "second/' | rctl create -f -",
         NULL, 0, "=deployment.apps/second created\n",
         "=Warning: the selector of deployment \"second\" (app=first) chooses pods of deployment \"first\" as well; "
         "give "
         "their pods labels that tell them apart\n"},
        {"rctl scale deploy second --replicas=1 && rctl scale deploy second --replicas=0", NULL, 0, "scaled", QUIET},
    };
    RUN(rows);
    /* Of two that were made in one second either may count as the younger. */
    habits_until(*state,
                 "rctl get events --field-selector reason=SelectorOverlap | grep -qE 'deployment/(first|second)'");
    habits_must(*state, "rctl delete deploy first second", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_way_to_write_warns),
        cmocka_unit_test(what_is_hardly_meant_is_warned_of),
        cmocka_unit_test(selectors_that_would_fight_are_told),
        cmocka_unit_test(pods_have_a_condition_for_what_is_not_carried_out),
        cmocka_unit_test(pod_security_refuses_and_warns),
        cmocka_unit_test(a_broken_promise_is_refused_and_a_kept_one_is_quiet),
    };
    return cmocka_run_group_tests(tests, set_up, habits_tear_down);
}
