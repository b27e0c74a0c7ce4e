/* Where the sandbox of a pod is, as the machines of pods know it. */
#include <stdlib.h>

#include "agent/pod/podops.h"

void podops_place_holder(struct agent_pod *ap)
{
    struct error err;
    if (ap->sandbox->pause_pid != 0 &&
        cgroup_pod_place(ap->agent->cgroup, ap->uid, "pause", ap->sandbox->pause_pid, &err) != 0) {
        log_warn(ap->agent->log, "pod", "%s/%s: %s", ap->ns, ap->name, err.message);
    }
}

void podops_sandbox_paths(struct agent_pod *ap)
{
    struct sandbox sb;
    if (sandbox_find(ap->agent->sandboxes, ap->uid, &sb)) {
        free(ap->sandbox);
        ap->sandbox = xmemdup(&sb, sizeof sb);
        podops_place_holder(ap);
    }
}
