/* kubectl's habits with priorities: classes, what pods get from them, who is pushed out for whom, and who
 * waits for whom. */
#include "tests/unit/kit/habits.h"

static int set_up(void **state)
{
    return habits_set_up(state, 1, "rctl cordon hollow-0", NULL);
}

static void classes_are_made_and_shown(void **state)
{
    static const struct habit rows[] = {
        {"rctl get pc | tr -s ' '", NULL, 0,
         "NAME VALUE GLOBAL-DEFAULT AGE PREEMPTIONPOLICY\n"
         "system-cluster-critical 2000000000 false\nsystem-node-critical 2000001000 false",
         "="},
        {"rctl create priorityclass high --value=1000 --description='for what users wait for'", NULL, 0,
         "priorityclass.scheduling.k8s.io/high created", "="},
        {"rctl create pc patient --value=500 --preemption-policy=Never --dry-run=client -o yaml", NULL, 0,
         "kind: PriorityClass\npreemptionPolicy: Never\nvalue: 500", "="},
        {"rctl create priorityclass", NULL, 2, "=", "exactly one name is needed"},
        {"rctl create priorityclass mad --value=2000000000", NULL, 1, "=",
         "value: Forbidden: maximum allowed value of a user defined priority is 1000000000"},
        {"rctl create priorityclass usual --value=10 --global-default", NULL, 0, "created", "="},
        {"rctl create priorityclass other --value=20 --global-default", NULL, 6, "=",
         "PriorityClass usual is already marked as default. Only one default can exist"},
        {"rctl describe pc high | tr -s ' '", NULL, 0,
         "Name: high\nValue: 1000\nGlobalDefault: false\nPreemptionPolicy: PreemptLowerPriority\n"
         "Description: for what users wait for\nAnnotations: <none>\nEvents: <none>\n",
         "="},
        {"rctl explain pc.preemptionPolicy", NULL, 0, "where there is no room, pods of lower priority are", "="},
        {"rctl patch pc high --type=merge -p '{value: 1001}'", NULL, 1, "=", "may not be changed in an update"},
        {"rctl delete pc system-node-critical", NULL, 6, "=", "can't be deleted: the cluster needs it"},
    };
    RUN(rows);
}

#define POD(name, more)                                                                                                \
    "{apiVersion: v1, kind: Pod, metadata: {name: " name "}, spec: {" more " containers: [{name: c, image: 'i:1'}]}}"

static void pods_get_the_priority_of_their_class(void **state)
{
    static const struct habit rows[] = {
        {"rctl create -f -", POD("a", "priorityClassName: high,"), 0, "pod/a created", "="},
        {"rctl get pod a -o jsonpath='{.spec.priority} {.spec.preemptionPolicy}'", NULL, 0,
         "=1000 PreemptLowerPriority", "="},
        {"rctl create -f -", POD("b", ""), 0, "pod/b created", "="},
        {"rctl get pod b -o jsonpath='{.spec.priorityClassName} {.spec.priority}'", NULL, 0, "=usual 10", "="},
        {"rctl create -f -", POD("c", "priorityClassName: system-node-critical,"), 0, "pod/c created", "="},
        {"rctl describe pod c | tr -s ' '", NULL, 0, "Priority: 2000001000\nPriority Class Name: system-node-critical",
         "="},
        {"rctl create -f -", POD("d", "priorityClassName: nosuch,"), 6, "=",
         "pods \"d\" is forbidden: no PriorityClass with name nosuch was found"},
        {"rctl create -f -", POD("d", "priorityClassName: high, priority: 999,"), 6, "=",
         "the integer value of priority (999) must not be provided in pod spec; it comes from the PriorityClass and "
         "is 1000"},
        {"rctl create -f -", POD("d", "priorityClassName: high, priority: 1000,"), 0, "pod/d created", "="},
        {"rctl create -f -", POD("e", "preemptionPolicy: Never,"), 6, "=",
         "the string value of PreemptionPolicy (Never) must not be provided in pod spec"},
        /* the same manifest comes again, and speaks of no priority */
        {"rctl apply -f -", POD("b", ""), 0, "pod/b configured", NULL},
        /* a class and its first pod at once */
        {"rctl apply -f -",
         "apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: fresh}\nvalue: 7\n---\n" POD(
             "f", "priorityClassName: fresh,"),
         0, "pod/f created", "="},
        {"rctl get pod f -o jsonpath='{.spec.priority}'", NULL, 0, "=7", "="},
        {"rctl delete pod --all --grace-period=0 --force", NULL, 0, "pod \"a\" force deleted"},
        {"rctl delete pc usual fresh", NULL, 0, "priorityclass.scheduling.k8s.io \"usual\" deleted"},
    };
    RUN(rows);
}

/* A template that names a class which is not there makes no pods, and says why. */
static void controllers_pods_get_it_too(void **state)
{
    static const struct habit rows[] = {
        {"rctl create deployment web --image=i:1 --dry-run=client -o yaml | sed 's/^      containers:/      "
         "priorityClassName: later\\n      containers:/' | rctl create -f -",
         NULL, 0, "deployment.apps/web created", "="},
        {"for i in $(seq 600); do rctl get events | grep 'no PriorityClass' && break; done", NULL, 0,
         "no PriorityClass with name later was found", "="},
        {"rctl create priorityclass later --value=50", NULL, 0, "created", "="},
        {"for i in $(seq 600); do rctl get pods -l app=web -o jsonpath='{.items[*].spec.priority}' | grep 50 && break; "
         "done",
         NULL, 0, "50", "="},
        {"rctl delete deployment web", NULL, 0, "deleted"},
    };
    RUN(rows);
}

static void a_pod_without_room_pushes_others_out(void **state)
{
    static const struct habit rows[] = {
        {"rctl uncordon hollow-0", NULL, 0, "uncordoned"},
        {"rctl run low --image=i:1 --overrides='{spec: {containers: [{name: low, image: i, resources: {requests: {cpu: "
         "'$(rctl get node hollow-0 -o jsonpath='{.status.allocatable.cpu}')'}}}]}}'",
         NULL, 0, "pod/low created"},
        {"rctl wait --for=condition=Ready pod/low --timeout=60s", NULL, 0, "condition met"},
        {"rctl run vip --image=i:1 --overrides='{spec: {priorityClassName: high, containers: [{name: vip, image: i, "
         "resources: {requests: {cpu: 1}}}]}}'",
         NULL, 0, "pod/vip created"},
        {"rctl wait --for=condition=Ready pod/vip --timeout=60s", NULL, 0, "condition met"},
        {"rctl get pods -o name", NULL, 0, "=pod/vip\n", "="},
        {"rctl get events --field-selector reason=Preempted", NULL, 0, "Preempted by pod default/vip on node hollow-0"},
    };
    RUN(rows);
}

#define MEMBER(name)                                                                                                   \
    "apiVersion: v1\nkind: Pod\nmetadata: {name: " name                                                                \
    "}\nspec: {schedulingGroup: {podGroupName: pair}, containers: [{name: c, image: i:1}]}\n"

static void pods_of_a_group_wait_for_each_other(void **state)
{
    static const struct habit rows[] = {
        {"rctl create -f -", MEMBER("pair-a"), 0, "pod/pair-a created", "="},
        {"for i in $(seq 600); do rctl get pod pair-a -o yaml | grep 'does not exist' && break; done", NULL, 0,
         "waiting for pod group \"pair\", which does not exist", "="},
        {"rctl create -f -",
         "apiVersion: scheduling.k8s.io/v1beta1\nkind: PodGroup\nmetadata: {name: pair}\nspec: {schedulingPolicy: "
         "{gang: "
         "{minCount: 2}}}\n",
         0, "podgroup.scheduling.k8s.io/pair created", "="},
        {"for i in $(seq 600); do rctl get pg -o wide | grep 'of 2' && break; done", NULL, 0, "1 of 2 members exist",
         "="},
        {"rctl get podgroups | tr -s ' '", NULL, 0, "NAME POLICY MIN-COUNT SCHEDULED AGE\npair Gang 2 False"},
        {"rctl describe pg pair", NULL, 0,
         "Policy:       Gang\nMin count:    2\nScheduled:    False\nWhy:          1 of 2 members exist\nEvents:"},
        {"rctl create -f -", MEMBER("pair-b"), 0, "pod/pair-b created", "="},
        {"rctl wait --for=condition=PodGroupScheduled pg/pair --timeout=60s", NULL, 0, "condition met"},
        {"rctl get pods -o jsonpath='{range .items[*]}{.metadata.name} {.spec.nodeName} {end}'", NULL, 0,
         "pair-a hollow-0 pair-b hollow-0"},
        {"rctl get events --field-selector involvedObject.kind=PodGroup", NULL, 0,
         "2 members have a node, 2 are needed"},
        {"rctl patch pod pair-a -p '{\"spec\":{\"schedulingGroup\":{\"podGroupName\":\"other\"}}}'", NULL, 1, "=",
         "pod updates may not change fields other than"},
        {"rctl create -f -",
         "apiVersion: scheduling.k8s.io/v1alpha2\nkind: PodGroup\nmetadata: {name: bad}\nspec: {schedulingPolicy: "
         "{gang: "
         "{minCount: 0}}}\n",
         1, "=", "spec.schedulingPolicy.gang.minCount: Invalid value: 0"},
        {"rctl create -f -", "apiVersion: scheduling.k8s.io/v1alpha1\nkind: Workload\nmetadata: {name: w}\n", 1, "=",
         "Workload is not there yet"},
        {"rctl explain podgroup.spec.schedulingPolicy.gang.minCount", NULL, 0,
         "So many of the pods get nodes at the same"},
        {"rctl explain pod.spec.schedulingGroup", NULL, 0, "podGroupName"},
        {"rctl delete pg pair", NULL, 0, "podgroup.scheduling.k8s.io \"pair\" deleted"},
    };
    RUN(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_are_made_and_shown),          cmocka_unit_test(pods_get_the_priority_of_their_class),
        cmocka_unit_test(controllers_pods_get_it_too),         cmocka_unit_test(a_pod_without_room_pushes_others_out),
        cmocka_unit_test(pods_of_a_group_wait_for_each_other),
    };
    return cmocka_run_group_tests(tests, set_up, habits_tear_down);
}
