/* kubectl's habits around nodes and running pods: cordon, drain, taint, run and attach, cp's words. Two hollow
 * nodes. */
#include "tests/unit/kit/habits.h"

static int set_up(void **state)
{
    return habits_set_up(state, 2, NULL, NULL);
}

static void cordon_and_taint(void **state)
{
    struct habits *h = *state;
    static const struct habit rows[] = {
        {"rctl cordon hollow-1 nosuch", NULL, 1, "=node/hollow-1 cordoned\n", "nosuch"},
        {"rctl cordon node/hollow-1", NULL, 0, "=node/hollow-1 already cordoned\n"},
        {"rctl uncordon hollow-1 --dry-run=server", NULL, 0, "=node/hollow-1 uncordoned (server dry run)\n"},
        {"rctl uncordon hollow-1", NULL, 0, "=node/hollow-1 uncordoned\n"},
        {"rctl cordon -l no=such", NULL, 0, "=", "No resources found"},
        {"rctl cordon nosuch", NULL, 5, "="},
        {"rctl cordon hollow-1 -l a=b", NULL, 2, "=", "names cannot be combined"},
        {"rctl cordon", NULL, 2, "="},
        {"rctl taint nodes hollow-1 nosuch dedicated=db:NoSchedule", NULL, 1, "=node/hollow-1 tainted\n", "nosuch"},
        {"rctl taint nodes hollow-1 dedicated=web:NoSchedule", NULL, 1, "=",
         "error: the node has the taint\n--overwrite is false"},
        {"rctl taint nodes hollow-1 dedicated=web:NoSchedule --overwrite", NULL, 0, "tainted"},
        {"rctl taint node hollow-1 dedicated:NoSchedule-", NULL, 0, "=node/hollow-1 untainted\n"},
        {"rctl taint nodes --all k=v:PreferNoSchedule x:NoSchedule", NULL, 0,
         "=node/hollow-0 tainted\nnode/hollow-1 tainted\n"},
        {"rctl taint nodes --all k- x-", NULL, 0, "=node/hollow-0 untainted\nnode/hollow-1 untainted\n"},
        {"rctl taint nodes -l kubernetes.io/hostname=hollow-0 q:NoSchedule", NULL, HABIT_ANY},
        {"rctl taint nodes --all q-", NULL, HABIT_ANY},
        {"rctl label node hollow-0 node-role.kubernetes.io/gpu= && rctl describe node hollow-0 | tr -s ' '", NULL, 0,
         "Name: hollow-0\nRoles: gpu\nUnschedulable: false\nLease:\n HolderIdentity: hollow-0\n AcquireTime: <unset>\n "
         "RenewTime: \nConditions:\n Type Status LastHeartbeatTime LastTransitionTime Reason Message\n"
         "InternalIP:\nSystem Info:\nNon-terminated Pods:"},
        {"rctl user add eve && rctl create clusterrole n --verb=get,list --resource=nodes,pods,events", NULL,
         HABIT_ANY},
        {"rctl create clusterrolebinding n --clusterrole=n --user=eve", NULL, HABIT_ANY},
        {"rctl describe node hollow-0 --as eve", NULL, 0, "Unschedulable:\n!Lease:\nConditions:", "="},
        {"rctl taint nodes hollow-1 k-", NULL, 5, "=", "not found"},
        {"rctl taint nodes hollow-1 k=v:Sometimes", NULL, 2, "=", "NoSchedule, PreferNoSchedule, NoExecute"},
    };
    habits_run(h, rows, ARRAY_SIZE(rows));
}

static void draining(void **state)
{
    struct habits *h = *state;
    habits_must(h,
                "rctl cordon hollow-0 && rctl create deployment d --image=x --replicas=2 && rctl run lone --image=x -l "
                "keep=yes",
                NULL);
    habits_must(h,
                "rctl run scratch --image=x --overrides='{\"spec\":{\"volumes\":[{\"name\":\"s\",\"emptyDir\":{}}]}}'",
                NULL);
    habits_until(h, "test $(rctl get pods | grep -c Running) = 4");
    habits_must(h, "rctl uncordon hollow-0", NULL);
    static const struct habit rows[] = {
        {"rctl scale deploy d --replicas=3 --timeout=20s && rctl get deploy d -o jsonpath={.status.replicas}", NULL, 0,
         "=deployment.apps/d scaled\n3"},
        {"rctl scale deploy d --replicas=2 --timeout=20s && rctl get deploy d -o jsonpath={.status.replicas}", NULL, 0,
         "=deployment.apps/d scaled\n2"},
        {"rctl drain hollow-1", NULL, 1, "!evicting", "lone cannot be moved: nothing would make it anew (--force)"},
        {"rctl drain hollow-1 --force", NULL, 1, "!evicting", "scratch cannot be moved: has an emptyDir"},
        {"rctl drain hollow-1 --pod-selector app=d --dry-run=server", NULL, 0,
         "evicting pod default/d-\n!lone\ndrained"},
        {"rctl drain hollow-1 --pod-selector app=d --timeout=30s", NULL, 0,
         "evicting pod default/d-\n!lone\n!scratch\nnode/hollow-1 drained"},
        {"rctl get pods lone scratch -o name", NULL, 0, "pod/lone\npod/scratch"},
        {"rctl drain node/hollow-1 --ignore-daemonsets --delete-local-data --force --grace-period=1 --disable-eviction "
         "--timeout=30s --skip-wait-for-delete-timeout=10",
         NULL, 0, "evicting pod default/lone\nevicting pod default/scratch\nnode/hollow-1 drained",
         "--delete-local-data is old"},
        {"rctl get pods lone", NULL, 5, "="},
        {"rctl drain nosuch hollow-1 --force", NULL, 1, "node/hollow-1 drained", "nosuch"},
        {"rctl drain -l no=such", NULL, 0, "=", "No resources found"},
        {"rctl uncordon hollow-1 && rctl delete deploy d", NULL, 0},
    };
    habits_run(h, rows, ARRAY_SIZE(rows));
}

static void draining_under_a_budget(void **state)
{
    struct habits *h = *state;
    habits_must(h, "rctl cordon hollow-0 && rctl create deployment w --image=x --replicas=2", NULL);
    habits_until(h, "test $(rctl get pods -l app=w | grep -c 1/1) = 2");
    static const struct habit rows[] = {
        {"rctl create pdb w --selector=app=w --min-available=2", NULL, 0, "=poddisruptionbudget.policy/w created\n"},
        {"rctl create pdb w --selector=app=w", NULL, 2, "=", "one of --min-available and --max-unavailable"},
        {"rctl create pdb w --min-available=1", NULL, 2, "=", "which pods?"},
        {"rctl create poddisruptionbudget h --selector=app=w --max-unavailable=50% --dry-run=client -o "
         "jsonpath={.spec.maxUnavailable}",
         NULL, 0, "=50%"},
        {"rctl create pdb h --selector=app=w --min-available=half", NULL, 1, "=", "must be a number or a percentage"},
        {"echo '{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: h}, spec: {}}' | rctl apply -f - "
         "--dry-run=server",
         NULL, 0, "poddisruptionbudget.policy/h created",
         "Warning: spec: neither minAvailable nor maxUnavailable\nWarning: spec.selector: without one"},
        {"rctl wait pdb/w --for=jsonpath={.status.currentHealthy}=2 --timeout=30s", NULL, 0},
        {"rctl get pdb", NULL, 0,
         "NAME   MIN AVAILABLE   MAX UNAVAILABLE   ALLOWED DISRUPTIONS   AGE\nw      2         "
         "      N/A               0"},
        {"rctl describe pdb w", NULL, 0,
         "Min available:  2\nSelector:       app=w\n    Allowed disruptions:  0\n    Current:              2\n    "
         "Desired:              2\n    Total:                2"},
        {"rctl explain pdb.spec.minAvailable", NULL, 0, "must be healthy after an eviction"},
        {"rctl drain hollow-1 --pod-selector app=w --dry-run=server", NULL, 1, "!drained",
         "Cannot evict pod as it would violate the pod's disruption budget."},
        {"rctl drain hollow-1 --pod-selector app=w --timeout=1s", NULL, HABIT_ANY, "evicting pod default/w-\n!drained",
         "The disruption budget w needs 2 healthy pods and has 2 currently\nwas not drained within 1s: 2 of 2 pods"},
        {"rctl get pods -l app=w -o name | wc -l", NULL, 0, "=2\n"},
        {"rctl uncordon hollow-0 && rctl scale deploy w --replicas=3 --timeout=30s", NULL, 0},
        {"rctl drain hollow-1 --pod-selector app=w --timeout=60s", NULL, 0, "evicted\nnode/hollow-1 drained"},
        {"rctl get pods -l app=w -o jsonpath={.items[*].spec.nodeName}", NULL, 0, "!hollow-1"},
        {"rctl uncordon hollow-1 && rctl create pdb w2 --selector=app=w --min-available=1", NULL, 0},
        {"rctl drain hollow-0 --pod-selector app=w --timeout=20s", NULL, 1, "!drained",
         "This pod has more than one PodDisruptionBudget"},
        {"rctl drain hollow-0 --pod-selector app=w --timeout=60s --disable-eviction", NULL, 0, "deleted\ndrained"},
        {"rctl uncordon hollow-0 && rctl delete pdb w w2 && rctl delete deploy w", NULL, 0},
    };
    habits_run(h, rows, ARRAY_SIZE(rows));
}

static void deleting_pods_by_field(void **state)
{
    struct habits *h = *state;
    habits_must(h, "rctl run done --image=x --restart=Never --command -- exit 0; rctl run up --image=x", NULL);
    habits_until(h, "rctl get pod done -o jsonpath={.status.phase} | grep Succeeded && rctl get pod up | grep Running");
    static const struct habit rows[] = {
        {"rctl delete ns default 2>&1 | grep -c hint:", NULL, 1, "=0\n"},
        {"rctl delete pods --field-selector=status.phase=Succeeded", NULL, 0, "=pod \"done\" deleted\n"},
        {"rctl delete pods --field-selector=status.phase==Running,metadata.name=up --now", NULL, 0,
         "=pod \"up\" deleted\n"},
        {"rctl delete pods -A --field-selector=status.phase=Failed", NULL, 0, "=", "No resources found"},
    };
    habits_run(h, rows, ARRAY_SIZE(rows));
}

static void attaching(void **state)
{
    struct habits *h = *state;
    static const struct habit rows[] = {
        {"rctl run once --image=x --restart=Never --attach --rm --command -- exit 3", NULL, 3, "pod \"once\" deleted"},
        {"rctl run once --image=x --restart=Never --attach --rm -q --command -- exit 0", NULL, 0, "="},
        {"rctl get pod once", NULL, 5},
        {"for i in 1 2 3; do rctl run soon --image=x --restart=Never -i --rm --command -- exit 3 </dev/null; done",
         NULL, 3, "=pod \"soon\" deleted\npod \"soon\" deleted\npod \"soon\" deleted\n",
         "pod default/soon terminated (Error)"},
        {"rctl run never --image=x --restart=Never --attach --pod-running-timeout=200ms --overrides "
         "'{\"spec\":{\"nodeSelector\":{\"no\":\"such\"}}}'",
         NULL, HABIT_ANY, NULL, "did not run in time"},
        {"echo typed | rctl run c1 --image=x -i --rm --restart=Never --command -- cat", NULL, 0,
         "=typed\npod \"c1\" deleted\n"},
        {"seq 200000 > many; rctl run c2 --image=x -i --rm -q --restart=Never --command -- cat < many | cmp - many",
         NULL, 0, "="},
        {"rctl run c3 --image=x -i --attach=false --restart=Never --command -- cat", NULL, 0, "pod/c3 created"},
        {"until rctl get pod c3 | grep Running; do sleep 0.1; done; echo yo | rctl attach -i c3", NULL, 0, "yo"},
        {"echo x | rctl attach -it c3 2>&1 | grep -c 'completed pod'", NULL, HABIT_ANY},
        {"rctl delete pod c3 --now", NULL, 0},
        {"rctl attach nosuch", NULL, 5, "="},
        {"rctl attach", NULL, 2, "="},
        {"rctl attach never -c nosuch", NULL, 5, "=", "container nosuch is not valid"},
        {"rctl delete pod never --force --grace-period=0", NULL, 0},
    };
    habits_run(h, rows, ARRAY_SIZE(rows));
}

static void copying(void **state)
{
    struct habits *h = *state;
    habits_file(h, "f", "text");
    habits_must(h, "rctl run box --image=x", NULL);
    habits_until(h, "rctl get pod box | grep Running");
    static const struct habit rows[] = {
        {"rctl cp f g", NULL, 2, "=", "one of the two must be in a container"},
        {"rctl cp box:/a box:/b", NULL, 2, "=", "one of the two must be here"},
        {"rctl cp f", NULL, 2, "="},
        {"rctl cp nosuch box:/tmp", NULL, 5, "=", "nosuch"},
        {"rctl cp f nopod:/tmp", NULL, 5, "=", "\"nopod\" not found"},
        {"rctl cp f other/box:/tmp", NULL, 5, "=", "not found"},
        {"rctl cp f box:", NULL, 2, "=", "[NAMESPACE/]POD:PATH"},
        {"rctl cp box:/tmp/.. x", NULL, 2, "=", "name the directory itself"},
        {"rctl cp f box:/tmp -c nosuch", NULL, 5, "=", "nosuch is not valid"},
        {"rctl cp box:/etc/hosts hosts", NULL, 5, "=",
         "nothing came from the container"}, /* a hollow tar prints nothing */
        {"rctl cp f default/box:/tmp/g", NULL, 0, "=", "="},
        {"rctl delete pod box --now", NULL, 0},
    };
    habits_run(h, rows, ARRAY_SIZE(rows));
}

static void images(void **state)
{
    static const struct habit rows[] = {
        {"mkdir -p root/etc && echo hi >root/etc/motd && rctl image build root -t web:1.0 --cmd sh", NULL, 0,
         "./web-1.0.tar: web:1.0, sha256:\n1 layer", "packing root"},
        {"rctl image build root -t app/web:2 -o other.tar && test -s other.tar", NULL, 0, "other.tar: app/web:2"},
        {"rctl image build root", NULL, 2, "=", "-t NAME:TAG"},
        {"rctl image build -t a:1", NULL, 2, "=", "of what? A directory, --packages, or -f FILE"},
        {"rctl image build nosuch -t a:1", NULL, 5, "=", "nosuch"},
        {"rctl image build root -t https://reg/a:1", NULL, HABIT_ANY, "=", "without https://"},
        {"rctl image build root -t a:1 --expose http", NULL, 2, "=", "--expose http: a port is needed"},
        {"rctl image build root -t a:1 -e A", NULL, 2, "=", "--env A: NAME=VALUE is needed"},
        {"rctl image build root -t a:1 --cmd '[1]'", NULL, 2, "=", "--cmd: a JSON list of texts"},
        {"rctl image build -f nosuch.yaml", NULL, 5, "=", "nosuch.yaml"},
        {"rctl image pull", NULL, 2, "=", "which image?"},
        {"rctl image pull web:1 --node hollow-0", NULL, 5, "=",
         "pull web:1 on node hollow-0\nthis node may ask no registry at docker.io"},
        {"rctl image pull web:1 --node nosuch", NULL, 5, "=", "nodes \"nosuch\" not found"},
        {"rctl image rm", NULL, 2, "=", "which image?"},
        {"rctl image rm web:1", NULL, 5, "=", "there is no image web:1 on this node"},
        {"rctl image rm web:1 2>&1 | grep -c 'no image'", NULL, 0, "=1\n"},
        {"rctl image rm web:1 --node hollow-1", NULL, 5, "=", "rm web:1 on node hollow-1"},
    };
    RUN(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cordon_and_taint),
        cmocka_unit_test(draining),
        cmocka_unit_test(draining_under_a_budget),
        cmocka_unit_test(deleting_pods_by_field),
        cmocka_unit_test(attaching),
        cmocka_unit_test(copying),
        cmocka_unit_test(images),
    };
    return cmocka_run_group_tests(tests, set_up, habits_tear_down);
}
