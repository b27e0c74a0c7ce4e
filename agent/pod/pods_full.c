/* Pods at a bound of the kernel's, which only what runs in them sees: processes that it refuses them, connections that
 * it drops. Events say so, too, and of processes their status. */
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

static void on_full(const char *uid, uint64_t dropped, int64_t most, void *data)
{
    struct agent *a = data;
    struct agent_pod *ap = strmap_get(&a->pods, str_of(uid));
    if (ap == NULL || ap->gone) {
        return;
    }
    char message[200];
    snprintf(message, sizeof message,
             "The pod has begun as many connections as the node keeps for one (%" PRId64 ", see reeve-agent's "
             "--pod-connections); what would begin more is dropped, so far %" PRIu64 " packets",
             most, dropped);
    report_event(a->report, &(struct report_event){.ns = ap->ns,
                                                   .pod = ap->name,
                                                   .uid = ap->uid,
                                                   .warning = true,
                                                   .reason = "ConnectionsLimitReached",
                                                   .message = message});
}

void pods_check_flows(struct agent *a)
{
    if (!a->hollow) {
        network_check_flows(a->network, on_full, a);
    }
}
