/* Containers: how to start them, what they may use, how their health is asked. */
#include "proto/kinds/kinds.h"

/* clang-format off */

/* ---- Handlers of probes and hooks ---- */

SCHEMA_STATIC(exec_action, "ExecAction", "Runs a command in the container; exit code 0 is success.",
    STRINGS("command", "Program and arguments. No shell is involved."));

SCHEMA_STATIC(http_header, "HTTPHeader", "A header sent along with the request.",
    STRING("name", "Name of the header.", REQUIRED),
    STRING("value", "Its value."));

SCHEMA_STATIC(http_get_action, "HTTPGetAction", "Sends a GET request; an answer from 200 to 399 is success.",
    STRING("path", "Path of the request.", DEFAULT("/")),
    INT_OR_STRING("port", "Number, or name of a port of the container.", REQUIRED),
    STRING("host", "Host to connect to; the pod's address if not given."),
    STRING("scheme", "HTTP or HTTPS (the certificate is not verified).", DEFAULT("HTTP"), ONE_OF("HTTP|HTTPS")),
    OBJECTS("httpHeaders", http_header, "Further headers; names may repeat."));

SCHEMA_STATIC(tcp_socket_action, "TCPSocketAction", "Opens a TCP connection; being accepted is success.",
    INT_OR_STRING("port", "Number, or name of a port of the container.", REQUIRED),
    STRING("host", "Host to connect to; the pod's address if not given."));

SCHEMA_STATIC(grpc_action, "GRPCAction", "Asks the standard gRPC health service.",
    INT32("port", "Port number of the service.", REQUIRED),
    STRING("service", "Service name put into the question.", DEFAULT("")));

SCHEMA_STATIC(sleep_action, "SleepAction", "Waits.",
    INT64("seconds", "How long.", ZERO));

SCHEMA_STATIC(probe, "Probe",
    "Asks again and again whether a container is well. Exactly one of exec, httpGet, tcpSocket and grpc says how.",
    OBJECT("exec", exec_action, "Run a command in the container.", INSIDE(1)),
    OBJECT("httpGet", http_get_action, "Send an HTTP request.", INSIDE(1)),
    OBJECT("tcpSocket", tcp_socket_action, "Open a TCP connection.", INSIDE(1)),
    OBJECT("grpc", grpc_action, "Ask the gRPC health service.", INSIDE(1)),
    INT32("initialDelaySeconds", "Wait this long after the start of the container.", ZERO),
    INT32("timeoutSeconds", "An answer later than this is a failure.", DEFAULT("1"), ZERO),
    INT32("periodSeconds", "Time from one question to the next.", DEFAULT("10"), ZERO),
    INT32("successThreshold", "Successes in a row until well after a failure; 1 for liveness and startup.",
          DEFAULT("1"), ZERO),
    INT32("failureThreshold", "Failures in a row until not well.", DEFAULT("3"), ZERO),
    INT64("terminationGracePeriodSeconds", "Grace period when this probe stops the container, instead of the pod's."));

SCHEMA_STATIC(lifecycle_handler, "LifecycleHandler", "What to do at an event in a container's life; exactly one.",
    OBJECT("exec", exec_action, "Run a command in the container."),
    OBJECT("httpGet", http_get_action, "Send an HTTP request."),
    OBJECT("tcpSocket", tcp_socket_action, "Accepted for old manifests; does nothing."),
    OBJECT("sleep", sleep_action, "Wait."));

SCHEMA_STATIC(lifecycle, "Lifecycle", "Hooks in a container's life.",
    OBJECT("postStart", lifecycle_handler, "Right after the start; if it fails the container is stopped."),
    OBJECT("preStop", lifecycle_handler, "Before the container is told to end; the grace period runs meanwhile."),
    STRING("stopSignal", "Signal that tells the container to end; the image's if not given."));

/* ---- Ports, environment, resources, mounts ---- */

SCHEMA_STATIC(container_port, "ContainerPort", "A port that the container listens on.",
    STRING("name", "Name by which probes and services may refer to it; unique in the pod."),
    INT32("hostPort", "The same port on the node, if it is to be reachable there.", ZERO),
    INT32("containerPort", "Number of the port.", REQUIRED),
    STRING("protocol", "Transport.", DEFAULT("TCP"), ONE_OF("TCP|UDP|SCTP")),
    STRING("hostIP", "Address of the node to bind hostPort to."));

SCHEMA_STATIC(env_source, "ConfigMapEnvSource", "All entries of a ConfigMap or Secret.",
    STRING("name", "Name of the object.", KEY, INSIDE(1)),
    BOOLEAN("optional", "Start also if the object is missing."));

SCHEMA_STATIC(env_from, "EnvFromSource", "Environment variables from all entries of an object.",
    STRING("prefix", "Put in front of each key."),
    OBJECT("configMapRef", env_source, "The ConfigMap to read."),
    OBJECT("secretRef", env_source, "The Secret to read."));

SCHEMA(schema_field_selector, "ObjectFieldSelector", "A field of the pod itself.",
    STRING("apiVersion", "Version the path is written in.", DEFAULT("v1")),
    STRING("fieldPath", "Such as metadata.name, metadata.labels['app'], spec.nodeName or status.podIP.", REQUIRED));

SCHEMA(schema_resource_selector, "ResourceFieldSelector", "A request or limit of a container.",
    STRING("containerName", "Which container; needed in volumes."),
    STRING("resource", "Such as limits.cpu or requests.memory.", REQUIRED),
    QUANTITY("divisor", "Unit of the number that is given out."));

SCHEMA_STATIC(key_selector, "ConfigMapKeySelector", "One entry of a ConfigMap or Secret.",
    STRING("name", "Name of the object.", KEY, INSIDE(1)),
    STRING("key", "Key of the entry.", REQUIRED),
    BOOLEAN("optional", "Start also if the object or the key is missing."));

SCHEMA_STATIC(env_var_source, "EnvVarSource", "Where the value of a variable comes from; exactly one.",
    OBJECT("fieldRef", schema_field_selector, "A field of the pod."),
    OBJECT("resourceFieldRef", schema_resource_selector, "A request or limit of the container."),
    OBJECT("configMapKeyRef", key_selector, "An entry of a ConfigMap."),
    OBJECT("secretKeyRef", key_selector, "An entry of a Secret."));

SCHEMA_STATIC(env_var, "EnvVar", "One environment variable.",
    STRING("name", "Name of the variable.", REQUIRED),
    STRING("value", "Value; $(NAME) stands for a variable defined before, $$ for a dollar sign."),
    OBJECT("valueFrom", env_var_source, "Take the value from elsewhere."));

SCHEMA_STATIC(resource_claim, "ResourceClaim", "Use of a claim that the pod declares.",
    STRING("name", "Name of an entry of spec.resourceClaims.", REQUIRED),
    STRING("request", "One request of the claim; all of it if not given."));

SCHEMA(schema_resources, "ResourceRequirements", "What a container needs and what it may use at most.",
    QUANTITY_MAP("limits", "The most it may use; enforced on the node."),
    QUANTITY_MAP("requests", "What is set aside for it when a node is chosen; the limits if not given."),
    OBJECTS("claims", resource_claim, "Claims of the pod that this container uses.", REFUSED(CLAIMS_WHY)));

SCHEMA_STATIC(resize_policy, "ContainerResizePolicy", "What a change of a resource does to the running container.",
    STRING("resourceName", "cpu or memory.", REQUIRED),
    STRING("restartPolicy", "NotRequired or RestartContainer.", REQUIRED));

SCHEMA_STATIC(volume_mount, "VolumeMount", "Shows a volume of the pod in the container's file system.",
    STRING("name", "Name of the volume.", REQUIRED),
    BOOLEAN("readOnly", "Mount it read-only.", ZERO),
    STRING("mountPath", "Where in the container; no colon.", REQUIRED),
    STRING("subPath", "A path inside the volume to mount instead of its root."),
    STRING("mountPropagation", "Whether mounts made later are seen on the other side.",
           ONE_OF("None|HostToContainer|Bidirectional")),
    STRING("subPathExpr", "As subPath, with $(NAME) replaced from the environment."),
    STRING("recursiveReadOnly", "Whether mounts below a read-only one are read-only as well.",
           ONE_OF("Disabled|IfPossible|Enabled")));

SCHEMA_STATIC(volume_device, "VolumeDevice", "Shows a raw block volume as a device.",
    STRING("name", "Name of a volume that is a claim in block mode.", REQUIRED),
    STRING("devicePath", "Path of the device in the container.", REQUIRED));

/* ---- Security ---- */

SCHEMA_STATIC(capabilities, "Capabilities", "Changes to the kernel capabilities of the container.",
    STRINGS("add", "Capabilities to add, without CAP_."),
    STRINGS("drop", "Capabilities to take away; ALL for all."));

SCHEMA(schema_selinux_options, "SELinuxOptions", "SELinux label.",
    STRING("user", "User part."),
    STRING("role", "Role part."),
    STRING("type", "Type part."),
    STRING("level", "Level part."));

SCHEMA(schema_windows_options, "WindowsSecurityContextOptions", "Settings for Windows; accepted, not used.",
    STRING("gmsaCredentialSpecName", "Name of a credential specification."),
    STRING("gmsaCredentialSpec", "The specification itself."),
    STRING("runAsUserName", "User to run as."),
    BOOLEAN("hostProcess", "Run as a process of the host."));

SCHEMA(schema_seccomp_profile, "SeccompProfile", "Filter of system calls.",
    STRING("type", "Which profile.", .flags = FIELD_REQUIRED, ONE_OF("Unconfined|RuntimeDefault|Localhost")),
    STRING("localhostProfile", "File below the node's directory of profiles, for Localhost."));

SCHEMA(schema_apparmor_profile, "AppArmorProfile", "AppArmor profile of a container.",
    STRING("type", "Which profile.", .flags = FIELD_REQUIRED, ONE_OF("Unconfined|RuntimeDefault|Localhost"),
           REFUSED(APPARMOR_WHY), QUIET("Unconfined")),
    STRING("localhostProfile", "Profile loaded on the node, for Localhost."));

SCHEMA_STATIC(security_context, "SecurityContext", "Privileges of one container; overrides the pod's.",
    OBJECT("capabilities", capabilities, "Kernel capabilities added and dropped."),
    BOOLEAN("privileged", "As powerful as root on the node."),
    OBJECT("seLinuxOptions", schema_selinux_options, "SELinux label of the container.", REFUSED(SELINUX_WHY)),
    OBJECT("windowsOptions", schema_windows_options, "Settings for Windows.", WARNED(WINDOWS_WHY), NUMBER(10)),
    INT64("runAsUser", "User id of the first process; the image's if not given.", NUMBER(4)),
    INT64("runAsGroup", "Group id of the first process.", NUMBER(8)),
    BOOLEAN("runAsNonRoot", "Refuse to start as user 0.", NUMBER(5)),
    BOOLEAN("readOnlyRootFilesystem", "The container cannot write to its own root."),
    BOOLEAN("allowPrivilegeEscalation", "Whether a process may gain more rights than its parent (setuid)."),
    STRING("procMount", "Default hides parts of /proc, Unmasked shows all, to pods with hostUsers false.",
           ONE_OF("Default|Unmasked"), NUMBER(9)),
    OBJECT("seccompProfile", schema_seccomp_profile, "Filter of system calls.", NUMBER(11)),
    OBJECT("appArmorProfile", schema_apparmor_profile, "AppArmor profile of the container.", REFUSED(APPARMOR_WHY),
           QUIET("type=Unconfined")));

/* ---- The container ---- */

/* in: the field that keeps the message with these rows; 0 = they are the message. */
#define CONTAINER_ROWS(in)                                                                                             \
    STRING("name", "Name of the container, unique in the pod. Cannot change.", REQUIRED, INSIDE(in)),                  \
        STRING("image", "Image to run, such as nginx:1.25.", INSIDE(in)),                                              \
        STRINGS("command", "Program to start instead of the image's entry point. $(NAME) is replaced.", INSIDE(in)),   \
        STRINGS("args", "Arguments instead of the image's. $(NAME) is replaced.", INSIDE(in)),                         \
        STRING("workingDir", "Directory the program starts in.", INSIDE(in)),                                          \
        OBJECTS("ports", container_port, "Ports it listens on.", MERGE("containerPort"),                               \
                .merge_key2 = "protocol", INSIDE(in)),                                                                 \
        OBJECTS("envFrom", env_from,                                                                                   \
                "Variables from ConfigMaps and Secrets; later ones win, env wins over all.", INSIDE(in), NUMBER(19)),  \
        OBJECTS("env", env_var, "Environment variables.", MERGE("name"), INSIDE(in), NUMBER(7)),                       \
        OBJECT("resources", schema_resources, "CPU, memory and other resources.", ZERO, INSIDE(in)),                   \
        OBJECTS("resizePolicy", resize_policy, "What a change of resources does.",                                     \
                WARNED("resources of a running pod do not change"), INSIDE(in), NUMBER(23)),                           \
        STRING("restartPolicy",                                                                                        \
               "Always makes an init container a sidecar that runs beside the others.", INSIDE(in)),                   \
        OBJECTS("volumeMounts", volume_mount, "Volumes it sees.", MERGE("mountPath"), INSIDE(in), NUMBER(9)),          \
        OBJECTS("volumeDevices", volume_device, "Block devices it sees.", MERGE("devicePath"),                         \
                REFUSED("the device would be missing"), INSIDE(in), NUMBER(21)),                                       \
        OBJECT("livenessProbe", probe, "If it fails the container is restarted.", INSIDE(in), NUMBER(10)),             \
        OBJECT("readinessProbe", probe, "If it fails the pod gets no traffic.", INSIDE(in)),                           \
        OBJECT("startupProbe", probe,                                                                                  \
               "Until it succeeds the other probes wait; if it fails the container restarts.", INSIDE(in), NUMBER(22)),\
        OBJECT("lifecycle", lifecycle, "Hooks after the start and before the stop.", INSIDE(in), NUMBER(12)),          \
        STRING("terminationMessagePath", "File whose text becomes the message of the ended container.",                \
               DEFAULT("/dev/termination-log"), INSIDE(in)),                                                           \
        STRING("terminationMessagePolicy",                                                                             \
               "File, or the end of the log if the file is empty and it failed.",                                      \
               DEFAULT("File"), ONE_OF("File|FallbackToLogsOnError"), INSIDE(in), NUMBER(20)),                         \
        STRING("imagePullPolicy",                                                                                      \
               "When to fetch the image. Always for the tag latest, else IfNotPresent.",                               \
               ONE_OF("Always|Never|IfNotPresent"), INSIDE(in), NUMBER(14)),                                           \
        OBJECT("securityContext", security_context, "Privileges.", INSIDE(in)),                                        \
        BOOLEAN("stdin", "Keep standard input open for attach.", ZERO, INSIDE(in)),                                    \
        BOOLEAN("stdinOnce", "Close standard input after the first client has left.", ZERO, INSIDE(in)),               \
        BOOLEAN("tty", "Give the program a terminal; needs stdin.", ZERO, INSIDE(in))

SCHEMA(schema_container, "Container", "One program of a pod, run from an image.",
    CONTAINER_ROWS(0));

SCHEMA(schema_ephemeral_container, "EphemeralContainer", "A container added to a running pod to look into it.",
    CONTAINER_ROWS(1),
    STRING("targetContainerName", "Container whose processes it sees.", NUMBER(2)));
