/* A node's own admission, by table. */
#include "tests/unit/agent_fakes.h"

#include "agent/pod/admit.h"

#define C(more) "'containers':[{'name':'c','image':'i'" more "}]"
#define ASKS(r) ",'resources':{'requests':{" r "}}"
#define PORT(p) ",'ports':[{'containerPort':80," p "}]"
#define TERMS(t)                                                                                                       \
    "'affinity':{'nodeAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':{'nodeSelectorTerms':[" t "]}}}"
#define FITS    "", ""
#define REFUSED "Pod was rejected: "
#define ROOM    REFUSED "Node didn't have enough resource: "
#define AFFINITY                                                                                                       \
    "NodeAffinity", REFUSED "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"
#define PORTS                                                                                                          \
    "NodePorts", REFUSED "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports"
#define TAINTED                                                                                                        \
    "TaintToleration", REFUSED "Predicate TaintToleration failed: node(s) had taints that the pod didn't tolerate"

/* The node: 2 CPUs, 4 GiB, 10 GiB of disk, 3 pods. */
static const char node_json[] =
    "{'apiVersion':'v1','kind':'Node','metadata':{'name':'n1','labels':{'disk':'ssd','zone':'b','gen':'7'}},"
    "'spec':{'taints':[{'key':'gpu','value':'yes','effect':'NoExecute'},{'key':'new','effect':'NoSchedule'}]}}";
#define PLAIN_NODE                                                                                                     \
    "{'apiVersion':'v1','kind':'Node','metadata':{'name':'n1','labels':{'disk':'ssd','zone':'b','gen':'7'}}}"

static const struct {
    const char *pod;       /* spec */
    const char *others[3]; /* specs of what is here */
    const char *reason, *message;
} rows[] = {
    /* room */
    {C(ASKS("'cpu':'2','memory':'4Gi','ephemeral-storage':'10Gi'")), {0}, FITS},
    {C(ASKS("'cpu':'2001m'")), {0}, "OutOfcpu", ROOM "cpu, requested: 2001, used: 0, capacity: 2000"},
    {C(ASKS("'cpu':'600m'")),
     {C(ASKS("'cpu':'1'")), C(ASKS("'cpu':'500m'"))},
     "OutOfcpu",
     ROOM "cpu, requested: 600, used: 1500, capacity: 2000"},
    {C(ASKS("'cpu':'500m'")), {C(ASKS("'cpu':'1'")), C(ASKS("'cpu':'500m'"))}, FITS},
    {C(ASKS("'memory':'3Gi'")),
     {C(ASKS("'memory':'2Gi'"))},
     "OutOfmemory",
     ROOM "memory, requested: 3221225472, used: 2147483648, capacity: 4294967296"},
    {C(ASKS("'ephemeral-storage':'11Gi'")),
     {0},
     "OutOfephemeral-storage",
     ROOM "ephemeral-storage, requested: 11811160064, used: 0, capacity: 10737418240"},
    {C(""), {C(""), C("")}, FITS},
    {C(""), {C(""), C(""), C("")}, "OutOfpods", ROOM "pods, requested: 1, used: 3, capacity: 3"},
    /* one that asks for nothing is not compared, whatever is used */
    {C(""), {C(ASKS("'cpu':'9','memory':'90Gi'"))}, FITS},
    /* amounts nobody has, and sums of them */
    {C(ASKS("'cpu':'1'")), {C(ASKS("'cpu':'8E'")), C(ASKS("'cpu':'8E'"))}, "OutOfcpu", NULL},
    /* init containers: the greatest of them, beside the sidecars started before */
    {"'initContainers':[{'name':'i','image':'i','resources':{'requests':{'cpu':'2'}}}]," C(ASKS("'cpu':'1'")),
     {0},
     FITS},
    {"'initContainers':[{'name':'i','image':'i','resources':{'requests':{'cpu':'3'}}}]," C(ASKS("'cpu':'1'")),
     {0},
     "OutOfcpu",
     ROOM "cpu, requested: 3000, used: 0, capacity: 2000"},
    {"'initContainers':[{'name':'s','image':'i','restartPolicy':'Always','resources':{'requests':{'cpu':'1'}}},"
     "{'name':'i','image':'i','resources':{'requests':{'cpu':'1500m'}}}]," C(""),
     {0},
     "OutOfcpu",
     ROOM "cpu, requested: 2500, used: 0, capacity: 2000"},
    {"'overhead':{'cpu':'500m'}," C(ASKS("'cpu':'1600m'")),
     {0},
     "OutOfcpu",
     ROOM "cpu, requested: 2100, used: 0, capacity: 2000"},
    /* what this node does not know at all */
    {C(ASKS("'example.com/gpu':'4'")), {0}, FITS},
    /* labels */
    {"'nodeSelector':{'disk':'ssd'}," C(""), {0}, FITS},
    {"'nodeSelector':{'disk':'hdd'}," C(""), {0}, AFFINITY},
    {"'nodeSelector':{'disk':'ssd','rack':'1'}," C(""), {0}, AFFINITY},
    {TERMS("{'matchExpressions':[{'key':'zone','operator':'In','values':['a','b']}]}") "," C(""), {0}, FITS},
    {TERMS("{'matchExpressions':[{'key':'zone','operator':'NotIn','values':['a','b']}]}") "," C(""), {0}, AFFINITY},
    {TERMS("{'matchExpressions':[{'key':'zone','operator':'In','values':['a']}]},"
           "{'matchExpressions':[{'key':'gen','operator':'Gt','values':['6']}]}") "," C(""),
     {0},
     FITS},
    {TERMS("{'matchExpressions':[{'key':'gen','operator':'Lt','values':['7']}]}") "," C(""), {0}, AFFINITY},
    {TERMS("{'matchFields':[{'key':'metadata.name','operator':'In','values':['n1']}]}") "," C(""), {0}, FITS},
    {TERMS("{'matchFields':[{'key':'metadata.name','operator':'In','values':['n2']}]}") "," C(""), {0}, AFFINITY},
    {TERMS("{}") "," C(""), {0}, AFFINITY},
    /* ports of the node */
    {C(PORT("'hostPort':8080,'protocol':'TCP'")), {C(PORT("'hostPort':8081,'protocol':'TCP'"))}, FITS},
    {C(PORT("'hostPort':8080,'protocol':'TCP'")), {C(PORT("'hostPort':8080,'protocol':'TCP'"))}, PORTS},
    {C(PORT("'hostPort':8080,'protocol':'TCP'")), {C(PORT("'hostPort':8080,'protocol':'UDP'"))}, FITS},
    {C(PORT("'hostPort':8080,'hostIP':'10.0.0.1'")), {C(PORT("'hostPort':8080,'hostIP':'10.0.0.2'"))}, FITS},
    {C(PORT("'hostPort':8080,'hostIP':'10.0.0.1'")), {C(PORT("'hostPort':8080,'hostIP':'0.0.0.0'"))}, PORTS},
    {C(PORT("'protocol':'TCP'")), {C(PORT("'protocol':'TCP'"))}, FITS},
};

static const char *unsafe, *metadata = ""; /* of the next checks */

static void check(const char *pod, const char *const *specs, const char *json, bool known, const char *reason,
                  const char *message, bool by_node)
{
    CLEANUP_OBJECT struct object *node = object_of(json);
    struct podspec *s = spec_with(metadata, pod, ""), *others[3] = {0};
    struct admit_node n = {.name = "n1",
                           .cpu_milli = 2000,
                           .memory_bytes = 4ll << 30,
                           .ephemeral_bytes = 10ll << 30,
                           .pods = 3,
                           .known = known,
                           .unsafe_sysctls = unsafe,
                           .no_user_namespaces = known ? NULL : "the kernel is old",
                           .labels = mp_path(object_mp(node), "metadata.labels"),
                           .taints = mp_path(object_mp(node), "spec.taints")};
    struct admit_refusal why = {0};
    unsigned count = 0;
    for (; specs != NULL && count < 3 && specs[count] != NULL; count++) {
        others[count] = spec_of(specs[count]);
    }
    bool ok = admit_pod(s, &n, (const struct podspec *const *)others, count, &why);
    if (ok != (reason[0] == '\0') || strcmp(why.reason, reason) != 0 ||
        (message != NULL && strcmp(why.message, message) != 0)) {
        fail_msg("%s: %s: %s", pod, why.reason, why.message);
    }
    assert_int_equal(why.by_node, by_node);
    for (unsigned i = 0; i < count; i++) {
        podspec_free(others[i]);
    }
    podspec_free(s);
}

static void a_pod_is_taken_or_refused_with_the_kubelets_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        check(rows[i].pod, rows[i].others, PLAIN_NODE, true, rows[i].reason, rows[i].message,
              strcmp(rows[i].reason, "NodeAffinity") == 0);
    }
}

/* NoSchedule is the scheduler's affair: whoever writes nodeName passes it. */
static void taints_with_no_execute_must_be_tolerated(void **state)
{
    (void)state;
    check(C(""), NULL, node_json, true, TAINTED, true);
    check("'tolerations':[{'key':'gpu','operator':'Equal','value':'no','effect':'NoExecute'}]," C(""), NULL, node_json,
          true, TAINTED, true);
    check("'tolerations':[{'key':'gpu','operator':'Exists','effect':'NoExecute'}]," C(""), NULL, node_json, true, FITS,
          false);
    check("'tolerations':[{'operator':'Exists'}]," C(""), NULL, node_json, true, FITS, false);
}

#define SYSCTL(name)    "'securityContext':{'sysctls':[{'name':'" name "','value':'1'}]},"
#define FORBIDDEN(what) "SysctlForbidden", REFUSED "forbidden sysctl: " what

static void only_settings_that_cannot_disturb_others_are_made(void **state)
{
    (void)state;
    check(SYSCTL("net.ipv4.tcp_syncookies") C(""), NULL, PLAIN_NODE, true, FITS, false);
    check(SYSCTL("net/ipv4/ip_unprivileged_port_start") C(""), NULL, PLAIN_NODE, true, FITS, false);
    check(SYSCTL("kernel.shm_rmid_forced") C(""), NULL, PLAIN_NODE, true, FITS, false);
    check(SYSCTL("kernel.msgmax") C(""), NULL, PLAIN_NODE, true, FORBIDDEN("\"kernel.msgmax\" not allowlisted"), false);
    check(SYSCTL("net.core.somaxconn") C(""), NULL, PLAIN_NODE, true,
          FORBIDDEN("\"net.core.somaxconn\" not allowlisted"), false);
    check(SYSCTL("vm.swappiness") C(""), NULL, PLAIN_NODE, true, FORBIDDEN("\"vm.swappiness\" not allowlisted"), false);
    check("'hostNetwork':true," SYSCTL("net.ipv4.tcp_syncookies") C(""), NULL, PLAIN_NODE, true,
          FORBIDDEN("\"net.ipv4.tcp_syncookies\" not allowed with host net enabled"), false);
    check("'hostIPC':true," SYSCTL("kernel.shm_rmid_forced") C(""), NULL, PLAIN_NODE, true,
          FORBIDDEN("\"kernel.shm_rmid_forced\" not allowed with host ipc enabled"), false);
    /* by the node's own word */
    unsafe = "net.core.somaxconn,kernel.msg*,vm.*";
    check(SYSCTL("kernel.msgmax") C(""), NULL, PLAIN_NODE, true, FITS, false);
    check(SYSCTL("net.core.somaxconn") C(""), NULL, PLAIN_NODE, true, FITS, false);
    check(SYSCTL("net.core.rmem_max") C(""), NULL, PLAIN_NODE, true, FORBIDDEN("\"net.core.rmem_max\" not allowlisted"),
          false);
    /* but never what is the node's alone */
    check(SYSCTL("vm.swappiness") C(""), NULL, PLAIN_NODE, true, FORBIDDEN("\"vm.swappiness\" not allowlisted"), false);
    unsafe = NULL;
}

#define SECURE(what) C(",'securityContext':{" what "}")
#define NO_APPARMOR                                                                                                    \
    "AppArmor", REFUSED "Cannot enforce AppArmor: this node sets no profiles; take appArmorProfile away or say "       \
                        "Unconfined (container c)"

static void what_no_node_carries_out_is_refused(void **state)
{
    (void)state;
    const char *selinux = REFUSED "Cannot set labels of SELinux: take seLinuxOptions away (container c)";
    check(SECURE("'appArmorProfile':{'type':'RuntimeDefault'}"), NULL, PLAIN_NODE, true, NO_APPARMOR, false);
    check(SECURE("'appArmorProfile':{'type':'Localhost','localhostProfile':'x'}"), NULL, PLAIN_NODE, true, NO_APPARMOR,
          false);
    check(SECURE("'appArmorProfile':{'type':'Unconfined'}"), NULL, PLAIN_NODE, true, FITS, false);
    check("'securityContext':{'appArmorProfile':{'type':'RuntimeDefault'}}," C(""), NULL, PLAIN_NODE, true, NO_APPARMOR,
          false);
    check("'securityContext':{'appArmorProfile':{'type':'RuntimeDefault'}}," SECURE(
              "'appArmorProfile':{'type':'Unconfined'}"),
          NULL, PLAIN_NODE, true, FITS, false);
    check(SECURE("'seLinuxOptions':{'level':'s0:c1,c2'}"), NULL, PLAIN_NODE, true, "SELinux", selinux, false);
    check("'securityContext':{'seLinuxOptions':{'type':'x_t'}}," C(""), NULL, PLAIN_NODE, true, "SELinux", selinux,
          false);
    check(SECURE("'procMount':'Unmasked'"), NULL, PLAIN_NODE, true, "ProcMount", NULL, false);
    check("'hostUsers':false," SECURE("'procMount':'Unmasked'"), NULL, PLAIN_NODE, true, FITS, false);
    check(SECURE("'procMount':'Default'"), NULL, PLAIN_NODE, true, FITS, false);
    check("'hostUsers':false," C(""), NULL, PLAIN_NODE, true, FITS, false);
    check("'hostUsers':false,'hostPID':true," C(""), NULL, PLAIN_NODE, true, "UserNamespaces",
          "Pod was rejected: hostUsers false cannot be had with hostPID", false);
    check("'hostUsers':true," C(""), NULL, PLAIN_NODE, true, FITS, false);
    metadata = ",'annotations':{'container.apparmor.security.beta.kubernetes.io/c':'localhost/x'}";
    check(C(""), NULL, PLAIN_NODE, true, NO_APPARMOR, false);
    metadata = ",'annotations':{'container.apparmor.security.beta.kubernetes.io/c':'unconfined'}";
    check(C(""), NULL, PLAIN_NODE, true, FITS, false);
    metadata = "";
}

/* Nor does such a node make user namespaces. */
static void what_is_not_known_of_the_node_refuses_nothing(void **state)
{
    (void)state;
    check("'nodeSelector':{'disk':'hdd'}," C(""), NULL, node_json, false, FITS, false);
    check(C(ASKS("'cpu':'9'")), NULL, node_json, false, "OutOfcpu", NULL, false);
    check("'hostUsers':true," C(""), NULL, node_json, false, FITS, false);
    check("'hostUsers':false," C(""), NULL, node_json, false, "UserNamespaces",
          REFUSED "hostUsers false needs a user namespace of the pod, and this node makes none: the kernel is old",
          false);
}

#define CRITICAL "'priority':2000000000,"
#define GUARANTEED(cpu)                                                                                                \
    C(",'resources':{'requests':{'cpu':'" cpu "','memory':'1Mi'},'limits':{'cpu':'" cpu "','memory':'1Mi'}}")

/* The node has 2 CPUs and takes 3 pods. */
static void a_critical_pod_takes_its_room_from_as_few_as_need_be(void **state)
{
    (void)state;
    static const struct {
        const char *pod;
        const char *others[3];
        const char *goes; /* "010"; "": their going does not help */
    } cases[] = {
        /* who holds nothing need not go, nor a small one beside a large one */
        {CRITICAL C(ASKS("'cpu':'1'")), {C(""), C(ASKS("'cpu':'500m'")), GUARANTEED("1500m")}, "001"},
        /* Guaranteed ones go last */
        {CRITICAL C(ASKS("'cpu':'500m'")), {C(""), C(ASKS("'cpu':'500m'")), GUARANTEED("1500m")}, "010"},
        /* of equal ones the lower priority goes */
        {CRITICAL C(ASKS("'cpu':'1'")),
         {"'priority':5," C(ASKS("'cpu':'1'")), "'priority':4," C(ASKS("'cpu':'1'"))},
         "01"},
        /* the number of pods is room, too */
        {CRITICAL C(""), {C(ASKS("'cpu':'1'")), C(""), C(ASKS("'cpu':'1'"))}, "010"},
        /* none of the system's goes, and nobody in vain */
        {CRITICAL C(ASKS("'cpu':'1'")), {CRITICAL C(ASKS("'cpu':'2'")), C("")}, ""},
        {CRITICAL C(ASKS("'cpu':'3'")), {C(ASKS("'cpu':'2'"))}, ""},
        /* who cannot be asked (the third of a case) stays */
        {CRITICAL C(ASKS("'cpu':'1'")), {C(""), C(""), C(ASKS("'cpu':'2'"))}, ""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct podspec *s = spec_of(cases[i].pod), *others[3] = {0};
        struct admit_node n = {.name = "n1", .cpu_milli = 2000, .memory_bytes = 4ll << 30, .pods = 3};
        bool may_go[3] = {true, true, i + 1 < ARRAY_SIZE(cases)}, goes[3];
        unsigned count = 0;
        char text[4] = "";
        for (; count < 3 && cases[i].others[count] != NULL; count++) {
            others[count] = spec_of(cases[i].others[count]);
        }
        assert_true(admit_is_critical(s));
        bool helps = admit_victims(s, &n, (const struct podspec *const *)others, may_go, count, goes);
        for (unsigned k = 0; k < count; k++) {
            text[k] = goes[k] ? '1' : '0';
            assert_true(helps || !goes[k]);
        }
        assert_string_equal(helps ? text : "", cases[i].goes);
        for (unsigned k = 0; k < count; k++) {
            podspec_free(others[k]);
        }
        podspec_free(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pod_is_taken_or_refused_with_the_kubelets_words),
        cmocka_unit_test(taints_with_no_execute_must_be_tolerated),
        cmocka_unit_test(only_settings_that_cannot_disturb_others_are_made),
        cmocka_unit_test(what_no_node_carries_out_is_refused),
        cmocka_unit_test(what_is_not_known_of_the_node_refuses_nothing),
        cmocka_unit_test(a_critical_pod_takes_its_room_from_as_few_as_need_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
