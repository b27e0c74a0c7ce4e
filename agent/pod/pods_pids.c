/* Pods that are forked out: the kernel refuses them processes, which only what runs in them sees. Their status and
 * an event say so, too. */
#include <inttypes.h>
#include <stdio.h>

#include "agent/pod/pods.h"

void pods_check_pids(struct agent *a)
{
    const struct strmap_entry *e;
    for (size_t i = 0; !a->hollow && (e = strmap_next(&a->pods, &i)) != NULL;) {
        struct agent_pod *ap = e->value;
        uint64_t refused = ap->gone ? 0 : cgroup_pod_forks_refused(a->cgroup, ap->uid);
        if (!pod_forks_refused(ap->pod, refused, env_wall_ms(a->env))) {
            continue;
        }
        char message[160];
        snprintf(message, sizeof message,
                 "The pod has as many processes as it may (%" PRId64 "); it was refused more, so far %" PRIu64 " times",
                 a->pod_pids, refused);
        report_event(a->report, &(struct report_event){.ns = ap->ns,
                                                       .pod = ap->name,
                                                       .uid = ap->uid,
                                                       .warning = true,
                                                       .reason = "PidsLimitReached",
                                                       .message = message});
        report_dirty(a->report, &ap->report);
    }
}
