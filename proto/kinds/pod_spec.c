/* What a pod is to be, and the template that makes pods. */
#include "proto/kinds/kinds.h"
#include "proto/schema/release.h"

/* clang-format off */

SCHEMA_STATIC(sysctl, "Sysctl", "A kernel setting of the pod's namespaces.",
    STRING("name", "Name of the setting.", REQUIRED),
    STRING("value", "Its value.", REQUIRED));

SCHEMA_STATIC(pod_security, "PodSecurityContext", "Privileges of all containers that do not say otherwise.",
    OBJECT("seLinuxOptions", schema_selinux_options, "SELinux label.", REFUSED(SELINUX_WHY)),
    OBJECT("windowsOptions", schema_windows_options, "Settings for Windows.", WARNED(WINDOWS_WHY), NUMBER(8)),
    INT64("runAsUser", "User id of the first processes.", NUMBER(2)),
    INT64("runAsGroup", "Group id of the first processes.", NUMBER(6)),
    BOOLEAN("runAsNonRoot", "Refuse to start a container as user 0.", NUMBER(3)),
    INTS("supplementalGroups", "Further groups of the first processes."),
    INT64("fsGroup", "Group that owns the volumes and that all processes belong to."),
    OBJECTS("sysctls", sysctl, "Kernel settings of the pod's namespaces; nodes refuse those that are not safe.",
            NUMBER(7)),
    STRING("fsGroupChangePolicy", "Whether ownership of volumes is always changed.", ONE_OF("OnRootMismatch|Always"),
           NUMBER(9)),
    OBJECT("seccompProfile", schema_seccomp_profile, "Filter of system calls."),
    OBJECT("appArmorProfile", schema_apparmor_profile, "AppArmor profile of all containers.", REFUSED(APPARMOR_WHY),
           QUIET("type=Unconfined")),
    STRING("supplementalGroupsPolicy", "Whether the groups that the image gives to the user count as well.",
           ONE_OF("Merge|Strict")),
    STRING("seLinuxChangePolicy", "How volumes get their SELinux label.", ONE_OF("Recursive|MountOption"),
           WARNED("labels of SELinux are not set")));

SCHEMA(schema_toleration, "Toleration", "Lets the pod onto nodes with a matching taint.",
    STRING("key", "Key of the taint; with Exists, none means all."),
    STRING("operator", "Equal compares the value, Exists does not.", ONE_OF("Exists|Equal")),
    STRING("value", "Value of the taint, for Equal."),
    STRING("effect", "Effect of the taint; none means all.", ONE_OF("NoSchedule|PreferNoSchedule|NoExecute")),
    INT64("tolerationSeconds", "With NoExecute: how long the pod may stay; for ever if not given."));

SCHEMA_STATIC(host_alias, "HostAlias", "A line of the pod's hosts file.",
    STRING("ip", "Address.", REQUIRED),
    STRINGS("hostnames", "Names for the address."));

SCHEMA_STATIC(dns_option, "PodDNSConfigOption", "An option of the resolver.",
    STRING("name", "Name of the option.", REQUIRED),
    STRING("value", "Its value, if it has one."));

SCHEMA_STATIC(dns_config, "PodDNSConfig", "Resolver settings added to those of dnsPolicy.",
    STRINGS("nameservers", "Addresses of name servers."),
    STRINGS("searches", "Domains to search."),
    OBJECTS("options", dns_option, "Further options."));

SCHEMA_STATIC(readiness_gate, "PodReadinessGate", "A condition that must be true for the pod to be Ready.",
    STRING("conditionType", "Type of the condition.", REQUIRED));

SCHEMA_STATIC(pod_os, "PodOS", "Operating system of the pod.",
    STRING("name", "linux or windows.", .flags = FIELD_REQUIRED, ONE_OF("linux|windows"),
           REFUSED("all nodes run Linux"), QUIET("linux")));

SCHEMA_STATIC(scheduling_gate, "PodSchedulingGate", "Holds the pod back from being given a node.",
    STRING("name", "Name of the gate.", REQUIRED));

SCHEMA_STATIC(scheduling_group, "PodSchedulingGroup", "The group with which the pod is placed.",
    STRING("podGroupName", "A PodGroup of the namespace. The pod waits until it exists.", REQUIRED_KEY));

SCHEMA_STATIC(claim_source, "ClaimSource", "Which claim; exactly one.",
    STRING("resourceClaimName", "A claim of the namespace.", KEY),
    STRING("resourceClaimTemplateName", "A template to make one from.", KEY));

SCHEMA_STATIC(pod_resource_claim, "PodResourceClaim", "A resource claim that containers may use.",
    STRING("name", "Name inside the pod.", REQUIRED),
    OBJECT("source", claim_source, "Where the claim comes from, as it was written before v1.31."),
    STRING("resourceClaimName", "A claim of the namespace.", KEY, NUMBER(3)),
    STRING("resourceClaimTemplateName", "A template to make one from.", KEY));

SCHEMA(schema_pod_spec, "PodSpec", "What the pod is to be.",
    OBJECTS("volumes", schema_volume, "Volumes that containers can mount.", MERGE("name"), .flags = FIELD_RETAIN_KEYS),
    OBJECTS("initContainers", schema_container, "Run one after another, each to its end, before the containers start.",
            MERGE("name"), NUMBER(20)),
    OBJECTS("containers", schema_container, "The programs of the pod. They share network and volumes.", MERGE("name"),
            REQUIRED, NUMBER(2)),
    OBJECTS("ephemeralContainers", schema_ephemeral_container, "Added later, to look into a running pod.",
            MERGE("name"), NUMBER(34)),
    STRING("restartPolicy", "Which ended containers are started again.", DEFAULT("Always"),
           ONE_OF("Always|OnFailure|Never"), NUMBER(3)),
    INT64("terminationGracePeriodSeconds", "Time for containers to end well before they are killed.", DEFAULT("30")),
    INT64("activeDeadlineSeconds", "The pod fails if it is still running after this time."),
    STRING("dnsPolicy",
           "Where names are looked up. ClusterFirst: of the node's name server, which knows services and asks others "
           "for the rest; on the node's network as Default. ClusterFirstWithHostNet: there, too. Default: as the node "
           "does. None: as dnsConfig says.",
           DEFAULT("ClusterFirst"), ONE_OF("ClusterFirstWithHostNet|ClusterFirst|Default|None")),
    STRING_MAP("nodeSelector", "Labels that the node must have."),
    STRING("serviceAccountName", "Account the pod acts as; unset: default."),
    STRING("serviceAccount", "Old name of serviceAccountName."),
    BOOLEAN("automountServiceAccountToken", "Whether containers see a token of the account.", NUMBER(21)),
    STRING("nodeName", "Node of the pod; chosen by the scheduler if empty.", NUMBER(10)),
    BOOLEAN("hostNetwork", "Use the network of the node.", ZERO),
    BOOLEAN("hostPID", "See the processes of the node.", ZERO),
    BOOLEAN("hostIPC", "Share inter-process communication with the node.", ZERO),
    BOOLEAN("shareProcessNamespace", "Containers of the pod see each other's processes.", NUMBER(27)),
    OBJECT("securityContext", pod_security, "Privileges for all containers.", DEFAULT("{}"), NUMBER(14)),
    OBJECTS("imagePullSecrets", schema_local_reference, "Secrets with credentials for registries.", MERGE("name")),
    STRING("hostname", "Host name of the pod; its name if not given."),
    STRING("subdomain", "Gives the pod a full name below this subdomain."),
    OBJECT("affinity", schema_affinity, "Where the pod must or would like to run."),
    STRING("schedulerName", "Who chooses the node.", DEFAULT("default-scheduler")),
    OBJECTS("tolerations", schema_toleration, "Taints of nodes that the pod puts up with.", NUMBER(22)),
    OBJECTS("hostAliases", host_alias, "Lines for the hosts file.", MERGE("ip")),
    STRING("priorityClassName", "PriorityClass that gives the priority; the one that is the default if not given."),
    INT32("priority", "Pods of higher priority are placed first. It comes from the class: leave it out."),
    OBJECT("dnsConfig", dns_config, "Resolver settings."),
    OBJECTS("readinessGates", readiness_gate, "Conditions that the pod must have to be Ready.", NUMBER(28)),
    STRING("runtimeClassName", "RuntimeClass that says by which OCI runtime its containers run; crun if not given."),
    BOOLEAN("enableServiceLinks",
            "Tell containers about the Services of the namespace in environment variables: NAME_SERVICE_HOST and "
            "others. At most 200 Services. Of the Service kubernetes they are always told."),
    STRING("preemptionPolicy", "Whether it may push out pods of lower priority. It comes from the class: leave it "
           "out.", ONE_OF("PreemptLowerPriority|Never")),
    QUANTITY_MAP("overhead", "Resources of the pod itself, beside its containers. It comes from the RuntimeClass: "
                 "leave it out."),
    OBJECTS("topologySpreadConstraints", schema_topology_spread, "How pods like this are spread over places.",
            MERGE("topologyKey"), .merge_key2 = "whenUnsatisfiable"),
    BOOLEAN("setHostnameAsFQDN", "The host name is the full name.", NUMBER(35)),
    OBJECT("os", pod_os, "Operating system."),
    BOOLEAN("hostUsers", "Use the node's user ids; false makes a user namespace."),
    OBJECTS("schedulingGates", scheduling_gate, "The pod gets no node until they are all removed.", MERGE("name")),
    OBJECTS("resourceClaims", pod_resource_claim, "Claims that containers may use.", MERGE("name"),
            .flags = FIELD_RETAIN_KEYS, REFUSED(CLAIMS_WHY)),
    OBJECT("resources", schema_resources, "What all containers together need and may use at most: cpu, memory, huge "
           "pages. What it says stands in place of the sum of the containers.", SINCE(RELEASE_LEVEL_CARRIED)),
    OBJECT("schedulingGroup", scheduling_group, "The group with which the pod is placed, all of it or none. Cannot "
           "change.", SINCE(RELEASE_LEVEL_CARRIED), NUMBER(43)));

SCHEMA(schema_pod_template, "PodTemplateSpec", "The pods to be made.",
    OBJECT("metadata", schema_object_meta, "Labels and annotations of the pods.", ZERO),
    OBJECT("spec", schema_pod_spec, "What the pods are to be.", REQUIRED));
