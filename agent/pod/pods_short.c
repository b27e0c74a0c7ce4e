/* A node that runs short of memory or process ids: one pod goes, by the kubelet's order (evict_takes_first), and the
 * next one not before it has given everything back. */
#include <stdio.h>

#include "agent/pod/evict.h"
#include "agent/pod/pods.h"

static bool may_go(const struct agent_pod *ap)
{
    const struct pod *p = ap->pod;
    return !ap->gone && !p->deleting && !p->failed && (p->state == POD_INIT || p->state == POD_RUNNING);
}

static bool measure(struct agent_pod *ap, bool memory, struct evict_candidate *out)
{
    const struct podspec *s = ap->pod->spec;
    struct cgroup_usage u;
    char path[CGROUP_PATH_MAX];
    cgroup_pod_path(ap->agent->cgroup, ap->uid, path);
    *out = (struct evict_candidate){.priority = mp_int(mp_path(object_mp(s->object), "spec.priority"), 0)};
    if (cgroup_usage(ap->agent->cgroup, path, &u, NULL) != 0) {
        return false;
    }
    out->used = memory ? u.working_set_bytes : u.pids;
    out->requested = memory ? (uint64_t)MAX(s->total.memory_bytes, 0) : 0;
    return out->used > 0 && out->priority < EVICT_CRITICAL_PRIORITY;
}

/* NULL: nobody, or one is still giving back. */
static struct agent_pod *worst(struct agent *a, bool memory, struct evict_candidate *out)
{
    const struct strmap_entry *e;
    struct agent_pod *found = NULL;
    for (size_t i = 0; (e = strmap_next(&a->pods, &i)) != NULL;) {
        struct agent_pod *ap = e->value;
        struct evict_candidate c;
        if (pods_is_giving_back(ap)) {
            return NULL;
        }
        if (may_go(ap) && measure(ap, memory, &c) && (found == NULL || evict_takes_first(&c, out))) {
            found = ap;
            *out = c;
        }
    }
    return found;
}

void pods_check_short(struct agent *a)
{
    bool memory = a->conditions[NODE_MEMORY_PRESSURE].is_short;
    struct evict_candidate c;
    char message[EVICT_MESSAGE_MAX];
    if (a->hollow || (!memory && !a->conditions[NODE_PID_PRESSURE].is_short)) {
        return;
    }
    struct agent_pod *ap = worst(a, memory, &c);
    if (ap != NULL && memory) {
        evict_memory_message(&c, threshold_of(&a->evict_at.memory, a->facts.memory_bytes), a->room.memory_bytes,
                             message);
    } else if (ap != NULL) {
        evict_pids_message(&c, threshold_of(&a->evict_at.pids, a->facts.pids), a->room.pids, message);
    }
    if (ap != NULL) {
        pods_evict(ap, message, true);
    }
}
