/* rctl cluster show and set. Two hollow nodes, which hold ranges of pods' addresses. */
#include "tests/unit/kit/habits.h"

static int set_up(void **state)
{
    return habits_set_up(state, 2, NULL, NULL);
}

static void what_holds_for_the_cluster_is_shown_and_set(void **state)
{
    struct habits *h = *state;
    habits_until(h, "test $(rctl get nodes -o jsonpath='{.items[*].spec.podCIDR}' | wc -w) = 2");
    habits_until(h, "rctl cluster show | grep -q '^featureLevel:  *1  *what all masters can do'");
    static const struct habit rows[] = {
        {"rctl cluster show", NULL, 0,
         "clusterName:\npodSubnet:                     10.244.0.0/16\nnodeCIDRMaskSize:\n24"},
        {"rctl cluster show -o yaml", NULL, 0, "kind: ClusterConfiguration\npodSubnet: 10.244.0.0/16"},
        {"rctl cluster show admission | tr -s ' '", NULL, 0,
         "NAME KINDS ON SETTING WHAT IT DOES\nNamespaceLifecycle all in namespaces, namespaces yes - Nothing is made\n"
         "ServiceAccount pods no podTokens=OnRequest A pod gets a volume\nPriority pods, "
         "priorityclasses yes no class is the default\nDefaultTolerationSeconds\n"
         "DefaultStorageClass persistentvolumeclaims yes storageclass/local\nPodSecurity pods, what makes pods, "
         "namespaces yes enforce=privileged warn=privileged audit=privileged\nLimitRanger pods, "
         "persistentvolumeclaims no limitranges: 0\nResourceQuota what quotas count no resourcequotas: 0 Nobody",
         "="},
        {"rctl cluster set podSecurityEnforce=baseline podSecurityAudit=restricted", NULL, 0, "configured"},
        {"rctl cluster show admission | tr -s ' '", NULL, 0, "yes enforce=baseline warn=privileged audit=restricted",
         "="},
        {"rctl cluster set podSecurityEnforce= podSecurityAudit=", NULL, 0, "configured"},
        {"rctl cluster show admission -o json", NULL, 0,
         "\"admission\": [\n\"name\": \"NamespaceLifecycle\"\n\"operations\": [\n\"type\": \"mutating\"", "="},
        {"rctl cluster show admission -o yaml", NULL, 0, "admission:\n- name: NamespaceLifecycle\n  setting: ", "="},
        {"rctl cluster show admission -o wide", NULL, 2, "=", "wide"},
        {"rctl cluster show admision", NULL, 2, "=", "\"admision\" is not expected: there is \"admission\""},
        {"rctl get clusterconfigurations", NULL, 0, "POD-SUBNET\ncluster\n10.96.0.0/12"},
        {"rctl cluster set", NULL, 2, "=", "KEY=VALUE"},
        {"rctl cluster set scoringStrategy=RequestedToCapacityRatio", NULL, HABIT_ANY, "=",
         "spec.scheduling.scoringShape\nRequired value"},
        {"rctl cluster set scoringStrategy=RequestedToCapacityRatio scoringShape=0:0,80:10,100:5 "
         "scoringResources=cpu:1,example.com/gpu:5",
         NULL, 0, "configured"},
        {"rctl cluster show | tr -s ' '", NULL, 0,
         "scoringStrategy: RequestedToCapacityRatio\nscoringShape: 0:0,80:10,100:5\nscoringResources: cpu:1", "="},
        {"rctl cluster set scoringStrategy= scoringShape= scoringResources=", NULL, 0, "configured"},
        {"rctl cluster set podSubnets=1", NULL, 2, "=", "unknown setting \"podSubnets\"\nnodeCIDRMaskSize"},
        {"rctl cluster set podSubnet=10.128.0.0/9", NULL, HABIT_ANY, "=",
         "podSubnet can't change from 10.244.0.0/16 to 10.128.0.0/9 while nodes hold ranges\nhollow-"},
        {"rctl cluster set nodeCIDRMaskSize=26", NULL, HABIT_ANY, "=", "nodeCIDRMaskSize can't change from 24 to 26"},
        {"rctl cluster set podRouting=ipip", NULL, HABIT_ANY, "=", "podRouting\n\"auto\", \"host-gw\", \"vxlan\""},
        {"rctl cluster set podRouting=vxlan vxlanID=77", NULL, 0, "configured"},
        {"rctl cluster show", NULL, 0, "podRouting:                    vxlan\nvxlanID:                       77"},
        {"rctl cluster set podRouting= vxlanID=", NULL, 0, "configured"},
        {"rctl cluster set dnsDomain=Not_A_Name", NULL, HABIT_ANY, "=", "spec.networking.dnsDomain"},
        {"rctl cluster set nodeMonitorGracePeriodSeconds=90 dnsDomain=my.zone", NULL, 0,
         "=clusterconfiguration.reeve.io/cluster configured\n"},
        {"rctl cluster show", NULL, 0, "dnsDomain:                     my.zone\nnodeMonitorGracePeriodSeconds: 90"},
        {"rctl cluster set nodeMonitorGracePeriodSeconds=", NULL, 0, "configured"},
        {"rctl cluster show", NULL, 0, "nodeMonitorGracePeriodSeconds: <unset>"},
        {"rctl patch clusterconfiguration cluster --type=merge -p "
         "'{\"spec\":{\"networking\":{\"podSubnet\":\"10.0.0.0/12\"}}}'",
         NULL, HABIT_ANY, "=", "can't change"},
        {"rctl delete clusterconfiguration cluster", NULL, 0, "deleted"}, /* nothing fixed differs from the defaults */
        {"rctl cluster show", NULL, 0, "podSubnet:                     10.244.0.0/16", "made before"},
        {"rctl cluster set podSubnet=10.128.0.0/9", NULL, HABIT_ANY, "=", "can't change"},
        {"rctl cluster set nodeMonitorGracePeriodSeconds=50", NULL, 0, "configured"},
        {"rctl get clusterconfiguration cluster -o jsonpath={.spec.nodeMonitorGracePeriodSeconds}", NULL, 0, "=50"},
    };
    habits_run(h, rows, ARRAY_SIZE(rows));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_holds_for_the_cluster_is_shown_and_set, set_up, habits_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
