/* What is known of a pod; written by its node and by the masters. */
#include "proto/kinds/kinds.h"

/* clang-format off */

SCHEMA_STATIC(pod_condition, "PodCondition", "One statement about the pod.",
    STRING("type", "What it is about: PodScheduled, Initialized, ContainersReady, Ready, or another."),
    STRING("status", "True, False or Unknown."),
    TIME("lastProbeTime", "When it was last looked at."),
    TIME("lastTransitionTime", "When status last changed."),
    STRING("reason", "Why, in one word."),
    STRING("message", "Why, for people."));

SCHEMA_STATIC(state_waiting, "ContainerStateWaiting", "Not started yet.",
    STRING("reason", "Why, in one word, such as ImagePullBackOff."),
    STRING("message", "Why, for people."));

SCHEMA_STATIC(state_running, "ContainerStateRunning", "Running.",
    TIME("startedAt", "Since when."));

SCHEMA_STATIC(state_terminated, "ContainerStateTerminated", "Ended.",
    INT32("exitCode", "Exit code of the program."),
    INT32("signal", "Signal that ended it, if one did."),
    STRING("reason", "Why, in one word, such as Completed, Error or OOMKilled."),
    STRING("message", "What the program left as its last words."),
    TIME("startedAt", "When it had started."),
    TIME("finishedAt", "When it ended."),
    STRING("containerID", "Identity of the ended container."));

SCHEMA_STATIC(container_state, "ContainerState", "One of three states.",
    OBJECT("waiting", state_waiting, "Not started yet."),
    OBJECT("running", state_running, "Running."),
    OBJECT("terminated", state_terminated, "Ended."));

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
    OBJECT("resources", schema_resources, "What is in force for it."));

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
    STRING("nominatedNodeName", "Node on which room is being made for the pod.", KEY),
    STRING("hostIP", "Address of the node."),
    OBJECTS("hostIPs", host_ip, "All addresses of the node.", MERGE("ip")),
    STRING("podIP", "Address of the pod."),
    OBJECTS("podIPs", pod_ip, "All addresses of the pod.", MERGE("ip")),
    TIME("startTime", "When the node took on the pod."),
    OBJECTS("initContainerStatuses", container_status, "The init containers."),
    OBJECTS("containerStatuses", container_status, "The containers."),
    STRING("qosClass", "Guaranteed, Burstable or BestEffort, from requests and limits."),
    OBJECTS("ephemeralContainerStatuses", container_status, "The ephemeral containers."),
    STRING("resize", "Progress of a change of resources."),
    OBJECTS("resourceClaimStatuses", claim_status, "Claims made for the pod.", MERGE("name"),
            .flags = FIELD_RETAIN_KEYS));
