/* What is known of a pod; written by its node and by the masters. */
#include "proto/kinds/kinds.h"

/* clang-format off */

SCHEMA_STATIC(pod_condition, "PodCondition", "One statement about the pod.",
    STRING("type", "What it is about: PodScheduled, Initialized, ContainersReady, Ready, or another."),
    STRING("status", "True, False or Unknown."),
    TIME("lastProbeTime", "When it was last looked at."),
    TIME("lastTransitionTime", "When status last changed."),
    STRING("reason", "Why, in one word."),
    STRING("message", "Why, for people."),
    INT64("observedGeneration", "Generation of the pod that it speaks of.", ZERO));

SCHEMA_STATIC(state_waiting, "ContainerStateWaiting", "Not started yet.",
    STRING("reason", "Why, in one word, such as ImagePullBackOff."),
    STRING("message", "Why, for people."));

SCHEMA_STATIC(state_running, "ContainerStateRunning", "Running.",
    TIME("startedAt", "Since when."));

SCHEMA_STATIC(state_terminated, "ContainerStateTerminated", "Ended.",
    INT32("exitCode", "Exit code of the program."),
    INT32("signal", "Signal that ended it, if one did.", ZERO),
    STRING("reason", "Why, in one word, such as Completed, Error or OOMKilled."),
    STRING("message", "What the program left as its last words."),
    TIME("startedAt", "When it had started."),
    TIME("finishedAt", "When it ended."),
    STRING("containerID", "Identity of the ended container."));

SCHEMA_STATIC(container_state, "ContainerState", "One of three states.",
    OBJECT("waiting", state_waiting, "Not started yet."),
    OBJECT("running", state_running, "Running."),
    OBJECT("terminated", state_terminated, "Ended."));

SCHEMA_STATIC(mount_status, "VolumeMountStatus", "A volume as it is mounted.",
    STRING("name", "Name of the volume."),
    STRING("mountPath", "Where in the container."),
    BOOLEAN("readOnly", "Whether it is read-only.", ZERO),
    STRING("recursiveReadOnly", "Whether mounts below it are read-only as well."));

SCHEMA_STATIC(linux_user, "LinuxContainerUser", "User and groups of a process.",
    INT64("uid", "User id."),
    INT64("gid", "Group id."),
    INTS("supplementalGroups", "Further groups."));

SCHEMA_STATIC(container_user, "ContainerUser", "Who a process is.",
    OBJECT("linux", linux_user, "On Linux."));

SCHEMA_STATIC(resource_health, "ResourceHealth", "Health of one device.",
    STRING("resourceID", "Identity of the device."),
    STRING("health", "Healthy, Unhealthy or Unknown."));

SCHEMA_STATIC(resource_status, "ResourceStatus", "Health of what was set aside of one resource.",
    STRING("name", "Name of the resource."),
    OBJECTS("resources", resource_health, "The devices."));

SCHEMA_STATIC(container_status, "ContainerStatus", "What is known of one container.",
    STRING("name", "Name of the container."),
    OBJECT("state", container_state, "What it does now."),
    OBJECT("lastState", container_state, "How it ended the last time."),
    BOOLEAN("ready", "Whether it passes its readiness probe."),
    INT32("restartCount", "How often it was started again."),
    STRING("image", "Image it runs."),
    STRING("imageID", "Digest of the image."),
    STRING("containerID", "Identity of the container: runtime://id."),
    BOOLEAN("started", "Whether it has started and passed its startup probe."),
    QUANTITY_MAP("allocatedResources", "What the node has set aside for it."),
    OBJECT("resources", schema_resources, "What is in force for it."),
    OBJECTS("volumeMounts", mount_status, "Volumes as they are mounted.", MERGE("mountPath")),
    OBJECT("user", container_user, "Who its first process was at the start."),
    OBJECTS("allocatedResourcesStatus", resource_status, "Health of what was set aside.", MERGE("name")),
    STRING("stopSignal", "Signal that tells it to end."));

SCHEMA_STATIC(host_ip, "HostIP", "An address of the node.",
    STRING("ip", "The address."));

SCHEMA_STATIC(pod_ip, "PodIP", "An address of the pod.",
    STRING("ip", "The address."));

SCHEMA_STATIC(claim_status, "PodResourceClaimStatus", "A claim made for the pod.",
    STRING("name", "Name inside the pod."),
    STRING("resourceClaimName", "Name of the claim that was made."));

SCHEMA(schema_pod_status, "PodStatus", "What is known of the pod. It may lag behind.",
    STRING("phase", "Pending, Running, Succeeded, Failed or Unknown."),
    OBJECTS("conditions", pod_condition, "Statements about the pod.", MERGE("type")),
    STRING("message", "Why it is in this state, for people."),
    STRING("reason", "Why, in one word, such as Evicted."),
    STRING("nominatedNodeName", "Node on which room is being made for the pod.", KEY, NUMBER(11)),
    STRING("hostIP", "Address of the node.", NUMBER(5)),
    OBJECTS("hostIPs", host_ip, "All addresses of the node.", MERGE("ip"), NUMBER(16)),
    STRING("podIP", "Address of the pod.", NUMBER(6)),
    OBJECTS("podIPs", pod_ip, "All addresses of the pod.", MERGE("ip"), NUMBER(12)),
    TIME("startTime", "When the node took on the pod.", NUMBER(7)),
    OBJECTS("initContainerStatuses", container_status, "The init containers.", NUMBER(10)),
    OBJECTS("containerStatuses", container_status, "The containers.", NUMBER(8)),
    STRING("qosClass", "Guaranteed, Burstable or BestEffort, from requests and limits."),
    OBJECTS("ephemeralContainerStatuses", container_status, "The ephemeral containers.", NUMBER(13)),
    STRING("resize", "Progress of a change of resources."),
    OBJECTS("resourceClaimStatuses", claim_status, "Claims made for the pod.", MERGE("name"),
            .flags = FIELD_RETAIN_KEYS),
    INT64("observedGeneration", "Generation of the pod that this speaks of.", NUMBER(17), ZERO));
