/* Pod security: which level a namespace asks for, and how pods go against it. Every rule of the standard stands here
 * with a pod that breaks it and one that just does not. */
#include <stdlib.h>

#include "proto/facts/cluster.h"
#include "proto/facts/pod_security.h"
#include "tests/unit/proto_kind_fixture.h"

#define SAFE_CONTAINER                                                                                                 \
    "allowPrivilegeEscalation: false, runAsNonRoot: true, capabilities: {drop: [ALL]}, "                               \
    "seccompProfile: {type: RuntimeDefault}"

/* What is found, of a pod written as metadata and spec. */
static const char *found(struct fixture *f, const char *pod, enum pod_security_level level)
{
    struct buf out = BUF_INIT;
    pod_security_breaks(&out, fixture_read(f, pod), level);
    const char *text = arena_printf(&f->arena, "%s", out.size == 0 ? "" : buf_cstr(&out));
    buf_close(&out);
    return text;
}

struct row {
    const char *pod; /* a member of its spec, beside one container "c"; or with "containers" the whole spec */
    const char *text;
};

static void rows_check(struct fixture *f, const struct row *rows, unsigned count, enum pod_security_level level,
                       const char *context)
{
    for (unsigned i = 0; i < count; i++) {
        bool whole = strstr(rows[i].pod, "containers: ") == rows[i].pod;
        const char *pod = arena_printf(&f->arena, "{spec: {%s%s%s%s%s}}", whole ? "" : "containers: [{name: c",
                                       whole ? "" : context, whole ? "" : "}]", whole ? "" : ", ", rows[i].pod);
        const char *text = found(f, pod, level);
        if (strcmp(text, rows[i].text) != 0) {
            fail_msg("%s\n  is     %s\n  not    %s", pod, text, rows[i].text);
        }
    }
}

static void baseline_forbids_what_reaches_into_the_node(void **state)
{
    static const struct row rows[] = {
        {"restartPolicy: Always", ""},
        {"hostNetwork: true, hostPID: false", "host namespaces (hostNetwork=true)"},
        {"hostNetwork: true, hostPID: true, hostIPC: true",
         "host namespaces (hostNetwork=true, hostPID=true, hostIPC=true)"},
        {"volumes: [{name: a, hostPath: {path: /}}]", "hostPath volumes (volume \"a\")"},
        {"volumes: [{name: a, hostPath: {path: /}}, {name: b, emptyDir: {}}, {name: d, hostPath: {path: /}}]",
         "hostPath volumes (volumes \"a\", \"d\")"},
        {"containers: [{name: c, ports: [{containerPort: 80, hostPort: 8080}]}]",
         "hostPort (container \"c\" uses hostPort 8080)"},
        {"containers: [{name: c, ports: [{hostPort: 1}, {hostPort: 0}, {hostPort: 2}]}, {name: d, ports: "
         "[{hostPort: 3}]}]",
         "hostPort (containers \"c\", \"d\" use hostPorts 1, 2, 3)"},
        {"containers: [{name: c, ports: [{containerPort: 80}]}]", ""},
        {"containers: [{name: c, securityContext: {privileged: true}}], initContainers: [{name: i, securityContext: "
         "{privileged: true}}], ephemeralContainers: [{name: e, securityContext: {privileged: false}}]",
         "privileged (containers \"i\", \"c\" must not set securityContext.privileged=true)"},
        {"containers: [{name: c, securityContext: {procMount: Unmasked}}]",
         "procMount (container \"c\" must not set securityContext.procMount to \"Unmasked\")"},
        {"containers: [{name: c, securityContext: {procMount: Default}}]", ""},
        {"containers: [{name: c, securityContext: {capabilities: {add: [NET_ADMIN, CHOWN, NET_RAW]}}}, {name: d, "
         "securityContext: {capabilities: {add: [NET_ADMIN]}}}]",
         "non-default capabilities (containers \"c\", \"d\" must not include \"NET_ADMIN\", \"NET_RAW\" in "
         "securityContext.capabilities.add)"},
        {"containers: [{name: c, securityContext: {capabilities: {add: [AUDIT_WRITE, CHOWN, DAC_OVERRIDE, FOWNER, "
         "FSETID, KILL, MKNOD, NET_BIND_SERVICE, SETFCAP, SETGID, SETPCAP, SETUID, SYS_CHROOT]}}}]",
         ""},
        {"containers: [{name: c, securityContext: {capabilities: {add: [CAP_CHOWN]}}}]",
         "non-default capabilities (container \"c\" must not include \"CAP_CHOWN\" in "
         "securityContext.capabilities.add)"},
        {"securityContext: {seLinuxOptions: {type: container_t, level: s0}}", ""},
        {"securityContext: {seLinuxOptions: {type: spc_t}}",
         "seLinuxOptions (pod set forbidden securityContext.seLinuxOptions)"},
        {"containers: [{name: c, securityContext: {seLinuxOptions: {user: root}}}]",
         "seLinuxOptions (container \"c\" set forbidden securityContext.seLinuxOptions)"},
        {"securityContext: {seccompProfile: {type: Localhost}}", ""},
        {"securityContext: {seccompProfile: {type: Unconfined}}",
         "seccompProfile (pod must not set securityContext.seccompProfile.type to \"Unconfined\")"},
        {"containers: [{name: c, securityContext: {seccompProfile: {type: Unconfined}}}]",
         "seccompProfile (container \"c\" must not set securityContext.seccompProfile.type to \"Unconfined\")"},
        {"securityContext: {appArmorProfile: {type: Unconfined}}",
         "forbidden AppArmor profile (pod must not set AppArmor profile type to \"Unconfined\")"},
        {"securityContext: {sysctls: [{name: kernel.msgmax}, {name: net.ipv4.tcp_syncookies}, {name: a.b}]}",
         "forbidden sysctls (kernel.msgmax, a.b)"},
        {"securityContext: {windowsOptions: {hostProcess: true}}",
         "hostProcess (pod must not set securityContext.windowsOptions.hostProcess=true)"},
        {"hostIPC: true, volumes: [{name: a, hostPath: {path: /}}]",
         "host namespaces (hostIPC=true), hostPath volumes (volume \"a\")"},
        /* What the restricted level forbids is nothing to this one. */
        {"securityContext: {runAsUser: 0, runAsNonRoot: false}, volumes: [{name: n, nfs: {server: a, path: /}}]", ""},
    };
    rows_check(*state, rows, ARRAY_SIZE(rows), POD_SECURITY_BASELINE, "");
}

static void app_armor_is_read_from_annotations_too(void **state)
{
    static const char pod[] = "{metadata: {annotations: {container.apparmor.security.beta.kubernetes.io/c: %s}}, spec: "
                              "{containers: [{name: c}]}}";
    struct fixture *f = *state;
    static const char *const good[] = {"runtime/default", "localhost/mine", "''"};
    for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
        assert_string_equal(found(f, arena_printf(&f->arena, pod, good[i]), POD_SECURITY_BASELINE), "");
    }
    assert_string_equal(found(f, arena_printf(&f->arena, pod, "unconfined"), POD_SECURITY_BASELINE),
                        "forbidden AppArmor profile (annotation \"container.apparmor.security.beta.kubernetes.io/c\" "
                        "must not ask for another AppArmor profile)");
}

static void restricted_asks_each_container_to_give_up_rights(void **state)
{
    static const char said_nothing[] =
        "allowPrivilegeEscalation != false (container \"c\" must set "
        "securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container \"c\" must set "
        "securityContext.capabilities.drop=[\"ALL\"]), runAsNonRoot != true (pod or container \"c\" must set "
        "securityContext.runAsNonRoot=true), seccompProfile (pod or container \"c\" must set "
        "securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")";
    static const struct row plain[] = {{"restartPolicy: Always", said_nothing}};
    rows_check(*state, plain, ARRAY_SIZE(plain), POD_SECURITY_RESTRICTED, "");
    static const struct row rows[] = {
        {"restartPolicy: Always", ""},
        {"volumes: [{name: a, emptyDir: {}}, {name: b, configMap: {}}, {name: c, persistentVolumeClaim: {}}, {name: d, "
         "projected: {}}, {name: e, secret: {}}, {name: f, downwardAPI: {}}, {name: g, ephemeral: {}}, {name: h, csi: "
         "{}}, {name: i, image: {}}]",
         ""},
        {"volumes: [{name: a, hostPath: {path: /}}, {name: b, nfs: {}}]",
         "restricted volume types (volume \"a\" uses restricted volume type \"hostPath\", volume \"b\" uses restricted "
         "volume type \"nfs\")"},
        {"securityContext: {runAsUser: 0}", "runAsUser=0 (pod must not set runAsUser=0)"},
        {"securityContext: {runAsUser: 1}", ""},
        {"securityContext: {runAsNonRoot: false}",
         "runAsNonRoot != true (pod must not set securityContext.runAsNonRoot=false)"},
        {"securityContext: {seccompProfile: {type: Unconfined}}",
         "seccompProfile (pod must not set securityContext.seccompProfile.type to \"Unconfined\")"},
        {"hostPID: true", "host namespaces (hostPID=true)"},
    };
    rows_check(*state, rows, ARRAY_SIZE(rows), POD_SECURITY_RESTRICTED, ", securityContext: {" SAFE_CONTAINER "}");

    /* What the pod says holds for its containers, unless one says otherwise. */
    static const struct row inherited[] = {
        {"securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}", ""},
        {"containers: [{name: c, securityContext: {allowPrivilegeEscalation: false, runAsNonRoot: false, "
         "capabilities: {drop: [ALL], add: [NET_BIND_SERVICE]}}}], securityContext: {runAsNonRoot: true, "
         "seccompProfile: {type: Localhost}}",
         "runAsNonRoot != true (container \"c\" must not set securityContext.runAsNonRoot=false)"},
        {"containers: [{name: c, securityContext: {" SAFE_CONTAINER ", runAsUser: 0}}]",
         "runAsUser=0 (container \"c\" must not set runAsUser=0)"},
        {"containers: [{name: c, securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL], add: "
         "[CHOWN]}}}], securityContext: {runAsNonRoot: true, seccompProfile: {type: Localhost}}",
         "unrestricted capabilities (container \"c\" must not include \"CHOWN\" in securityContext.capabilities.add)"},
        {"containers: [{name: c, securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [all]}}}], "
         "securityContext: {runAsNonRoot: true, seccompProfile: {type: Localhost}}",
         "unrestricted capabilities (container \"c\" must set securityContext.capabilities.drop=[\"ALL\"])"},
    };
    rows_check(*state, inherited, ARRAY_SIZE(inherited), POD_SECURITY_RESTRICTED,
               ", securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}");
}

static void privileged_allows_all_and_nonsense_breaks_nothing(void **state)
{
    struct fixture *f = *state;
    static const char *const pods[] = {
        "{}",
        "{spec: 7}",
        "{spec: {containers: 7}}",
        "{spec: {containers: [7, {name: {}}], volumes: [[], 3]}}",
        "{spec: {containers: [{name: c, securityContext: 1, ports: [1]}], securityContext: [], volumes: {a: b}}}",
        "{metadata: {annotations: [1]}, spec: {containers: [{}], hostNetwork: 'true', securityContext: {sysctls: 3}}}",
    };
    for (unsigned i = 0; i < ARRAY_SIZE(pods); i++) {
        for (unsigned level = 0; level < 3; level++) {
            found(f, pods[i], (enum pod_security_level)level);
        }
    }
    assert_string_equal(found(f, "{spec: {hostNetwork: true, containers: [{name: c}]}}", POD_SECURITY_PRIVILEGED), "");
}

static void labels_decide_and_then_the_cluster(void **state)
{
    struct fixture *f = *state;
    CLEANUP_OBJECT struct object *config = fixture_object(
        f, "{apiVersion: reeve.io/v1, kind: ClusterConfiguration, metadata: {name: cluster}, spec: {podSecurity: "
           "{enforce: baseline, warn: restricted, audit: baseline}}}");
    struct pod_security common = cluster_pod_security(config), none = cluster_pod_security(NULL);
    assert_true(common.enforce == POD_SECURITY_BASELINE && common.warn == POD_SECURITY_RESTRICTED);
    assert_true(common.audit == POD_SECURITY_BASELINE && none.audit == POD_SECURITY_PRIVILEGED);
    assert_true(none.enforce == POD_SECURITY_PRIVILEGED && none.warn == POD_SECURITY_PRIVILEGED);
    static const struct {
        const char *labels;
        struct pod_security is;
    } rows[] = {
        {"{a: b}", {POD_SECURITY_BASELINE, POD_SECURITY_RESTRICTED, POD_SECURITY_BASELINE}},
        {"{pod-security.kubernetes.io/enforce: privileged}",
         {POD_SECURITY_PRIVILEGED, POD_SECURITY_RESTRICTED, POD_SECURITY_BASELINE}},
        {"{pod-security.kubernetes.io/warn: baseline, pod-security.kubernetes.io/enforce: restricted}",
         {POD_SECURITY_RESTRICTED, POD_SECURITY_BASELINE, POD_SECURITY_BASELINE}},
        {"{pod-security.kubernetes.io/enforce: Baseline, pod-security.kubernetes.io/audit: restricted}",
         {POD_SECURITY_RESTRICTED, POD_SECURITY_RESTRICTED, POD_SECURITY_RESTRICTED}},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_OBJECT struct object *ns = fixture_object(
            f, arena_printf(&f->arena, "{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: %s}}",
                            rows[i].labels));
        struct pod_security is = pod_security_of(object_labels(ns), common);
        if (is.enforce != rows[i].is.enforce || is.warn != rows[i].is.warn || is.audit != rows[i].is.audit) {
            fail_msg("%s: %s, %s, %s", rows[i].labels, pod_security_words[is.enforce], pod_security_words[is.warn],
                     pod_security_words[is.audit]);
        }
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(baseline_forbids_what_reaches_into_the_node),
        T(app_armor_is_read_from_annotations_too),
        T(restricted_asks_each_container_to_give_up_rights),
        T(privileged_allows_all_and_nonsense_breaks_nothing),
        T(labels_decide_and_then_the_cluster),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
